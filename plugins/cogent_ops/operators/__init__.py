"""Operators: parameters → one service call.

They return small summaries only (counts and addresses); records lie in the run's folder on object storage. A
:class:`~cogent_ops.errors.PermanentError` fails the task at once, a :class:`~cogent_ops.errors.RetryableError` is
tried again when the target said so (:class:`cogent_ops.dag_defaults.FlowRetryPolicy`).
"""

from cogent_ops.operators.alerts import AlertOperator
from cogent_ops.operators.catalogue import (
    AcceptAuditOperator,
    CatalogueOperator,
    CatalogueReportOperator,
    CatalogueVerdictOperator,
    CloudshelfCataloguePushOperator,
    CommercetoolsCatalogueExtractOperator,
    ProductMasterGateOperator,
)
from cogent_ops.operators.drift import (
    DriftCompareOperator,
    DriftDecideOperator,
    DriftHealOperator,
    DriftReportOperator,
    DriftSnapshotOperator,
)
from cogent_ops.operators.governance import MonthReportOperator
from cogent_ops.operators.health import HealthCheckOperator
from cogent_ops.operators.orders import KioskOrderCaptureOperator
from cogent_ops.operators.retention import RetentionOperator
from cogent_ops.operators.review import (
    ApplyAnswerOperator,
    AskPersonOperator,
    ExceptionQuestionsOperator,
)
from cogent_ops.operators.stock import AvailabilityPushOperator, StockDeltasOperator

__all__ = [
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
    "HealthCheckOperator",
    "KioskOrderCaptureOperator",
    "MonthReportOperator",
    "ProductMasterGateOperator",
    "RetentionOperator",
    "StockDeltasOperator",
]
