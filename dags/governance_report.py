r"""How the month went and what to do next: freshness, orders, drift, exceptions, answers, messages, drills.

**report** writes one page that prints, all figures and all exceptions of the month as CSV, and keeps the numbers
(`docs/governance.md`). It reads what is stored and asks no system outside; drills count only as drills. What to do next
follows from the numbers by rules, each with the number that makes it speak. The page is under *Browse → Months*.

It runs at noon of the first day, when the month is over in every time zone; which days belong to it, the business's
calendar says (`business_hours.timezone`). A backfill writes past months, those that have a run already only with the
last option, and they read the same:

    airflow backfill create --dag-id governance_report --from-date 2026-08-01 --to-date 2026-10-31 \
      --reprocess-behavior completed

`cogent-ops report 2026-10` does the same on the command line, and for a month that is not over, too.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import CronDataIntervalTimetable, Param

from cogent_ops import operators as ops
from cogent_ops.dag_defaults import flow_dag, for_each_link

MONTH = Param("", type="string", description="Such as 2026-10. Empty: that of the run's data interval.")


def build(link: str) -> None:
    """The DAG of one link."""
    with flow_dag(
        "governance_report",
        link,
        schedule=CronDataIntervalTimetable("0 12 1 * *", timezone="UTC"),
        late_after=timedelta(hours=2),
        params={"month": MONTH},
        tags=["governance"],
        doc_md=__doc__,
    ):
        ops.MonthReportOperator(task_id="report", link=link, month="{{ params.month }}")


for_each_link(build)
