"""Purges by age what is not needed any more, every night: first of all personal data.

**purge** deletes e-mail addresses of orders that are captured or excluded, drops the contents of old kiosk orders and
the payloads of closed exceptions, and deletes old messages and run folders. How long each is kept stands in
`include/mapping.yaml`, section `retention`.

What is open is never touched: an order that waits or is in review keeps its address, one with an open exception its
content, an open exception its payload, and a message that could not be delivered stays. Order numbers, totals, states
and the audit log stay for accounting for good. What went is noted in the audit log, in numbers.

A run purges by the age at the moment it runs, whatever its data interval; running it again changes nothing.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import CronDataIntervalTimetable

from cogent_ops import operators as ops
from cogent_ops.dag_defaults import flow_dag, for_each_link


def build(link: str) -> None:
    """The DAG of one link."""
    with flow_dag(
        "retention",
        link,
        schedule=CronDataIntervalTimetable("40 2 * * *", timezone="UTC"),
        late_after=timedelta(hours=2),
        tags=["privacy"],
        doc_md=__doc__,
    ):
        ops.RetentionOperator(task_id="purge", link=link)


for_each_link(build)
