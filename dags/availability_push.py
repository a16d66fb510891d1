"""commercetools' availability to the kiosks: stock levels of every store, and whether a variant is in stock at all.

**tell** looks for changed inventory entries every few seconds and sends Cloudshelf what differs from what it was told
last. The latest quantity replaces older ones that were not sent yet, so a launch that changes thousands of entries in
seconds costs no more calls than it has rows. Every entry is read anew at times (`availability.sweep_minutes`), because
an order's effect need not show as a change.

While kiosk sales reach commercetools late, kiosks are told less: what is known to be gone and is still in the inventory
(`protection`). Everything is told again once commercetools knows.

A run keeps looking for almost a minute, then the next one starts; `stock_deltas` wakes it too. With `full` every entry
is read at once. Running it again changes nothing.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Param

from cogent_ops import operators as ops
from cogent_ops.dag_defaults import (
    availability_asset,
    every_minute,
    flow_dag,
    for_each_link,
    stock_asset,
)

FULL = Param(False, type="boolean", description="Read every inventory entry, not only what changed.")


def build(link: str) -> None:
    """The DAG of one link."""
    with flow_dag(
        "availability_push",
        link,
        schedule=every_minute(stock_asset(link)),
        late_after=timedelta(minutes=20),
        dagrun_timeout=timedelta(hours=2),
        tags=["stock"],
        params={"full": FULL},
        doc_md=__doc__,
    ):
        ops.AvailabilityPushOperator(
            task_id="tell",
            link=link,
            full="{{ params.full }}",
            outlets=[availability_asset(link)],
            retry_delay=timedelta(seconds=10),
            execution_timeout=timedelta(hours=1),
        )


for_each_link(build)
