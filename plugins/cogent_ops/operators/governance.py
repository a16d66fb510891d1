"""Operator of ``governance_report``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink, Context

from cogent_ops.operators.common import LinkOperator, Summary
from cogent_ops.pages import MonthLink

if TYPE_CHECKING:
    from airflow.sdk.types import DagRunProtocol

    from cogent_ops.services.governance.months import Months

#: Runs of the clock, of which there is one a month.
_BY_THE_CLOCK = ("scheduled", "backfill")


class MonthReportOperator(LinkOperator):
    """Write the report of a month from what is stored; writing it again gives the same.

    :param link: the link. (templated)
    :param month: which one, such as ``2026-10``; empty: the one of the run's data interval, else the last that is
        over. (templated)
    """

    template_fields: Sequence[str] = ("link", "month")
    ui_color: str = "#ede9fe"
    operator_extra_links: Collection[BaseOperatorLink] = (MonthLink(),)

    def __init__(self, *, month: str | None = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.month = month

    def execute(self, context: Context) -> Summary:
        """Write it.

        :return: the month, its first sentence, and where the page is.
        """
        from cogent_ops.runtime import Runtime

        months = Runtime(self.link).months()
        return asdict(months.write(str(self.month or "") or month_of(months, context["dag_run"])))


def month_of(months: Months, run: DagRunProtocol) -> str:
    """The month that a run is about; empty: the last that is over."""
    if run.run_type in _BY_THE_CLOCK and run.data_interval_start is not None:
        return months.of(run.data_interval_start)
    return ""
