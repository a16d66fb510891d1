"""Operators: parameters → one service call.

They return small summaries only (counts and addresses); records lie in the run's folder on object storage. A
:class:`~cogent_ops.errors.PermanentError` fails the task at once, a :class:`~cogent_ops.errors.RetryableError` is
tried again when the target said so (:class:`cogent_ops.dag_defaults.FlowRetryPolicy`).
"""

from cogent_ops.operators.alerts import AlertOperator
from cogent_ops.operators.catalogue import (
    REPORTS_PREFIX,
    AcceptAuditOperator,
    CatalogueOperator,
    CatalogueReportOperator,
    CatalogueVerdictOperator,
    CloudshelfCataloguePushOperator,
    CommercetoolsCatalogueExtractOperator,
    ProductMasterGateOperator,
    ReportLink,
)
from cogent_ops.operators.common import run_key
from cogent_ops.operators.drift import (
    NIGHTS_PREFIX,
    DriftCompareOperator,
    DriftDecideOperator,
    DriftHealOperator,
    DriftReportOperator,
    DriftSnapshotOperator,
    NightLink,
)
from cogent_ops.operators.orders import KioskOrderCaptureOperator
from cogent_ops.operators.retention import RetentionOperator
from cogent_ops.operators.review import (
    ApplyAnswerOperator,
    AskPersonOperator,
    ExceptionQuestionsOperator,
)
from cogent_ops.operators.stock import AvailabilityPushOperator, StockDeltasOperator

__all__ = [
    "NIGHTS_PREFIX",
    "REPORTS_PREFIX",
    "AcceptAuditOperator",
    "AlertOperator",
    "ApplyAnswerOperator",
    "AskPersonOperator",
    "AvailabilityPushOperator",
    "CatalogueOperator",
    "CatalogueReportOperator",
    "CatalogueVerdictOperator",
    "CloudshelfCataloguePushOperator",
    "CommercetoolsCatalogueExtractOperator",
    "DriftCompareOperator",
    "DriftDecideOperator",
    "DriftHealOperator",
    "DriftReportOperator",
    "DriftSnapshotOperator",
    "ExceptionQuestionsOperator",
    "KioskOrderCaptureOperator",
    "NightLink",
    "ProductMasterGateOperator",
    "ReportLink",
    "RetentionOperator",
    "StockDeltasOperator",
    "run_key",
]
