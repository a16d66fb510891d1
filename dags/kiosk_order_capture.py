"""Kiosk orders to commercetools within seconds, each exactly once, and what becomes of them back to Cloudshelf.

**capture** takes the orders that `stock_deltas` has polled (it polls itself while that is paused), imports those that
are paid, carries voids and refunds over, and asks a person about what is unclear or incomplete: `cogent-ops exceptions`
lists it. It keeps going while there is work and ends when it has been quiet for a while (`orders.linger_seconds`).
Waiting orders wake it within a second or two; the clock does so every minute in any case.

An order's number is made of its id in Cloudshelf, so commercetools itself refuses a second one, whatever answers were
lost and whoever was killed. `cogent-ops orders status` says for any time what became of all orders.

A run works from what the store holds. Only a backfill takes its data interval: it reads the orders that changed in it
once more, captures what was missed, and changes nothing else. Its runs go by the day, whatever the schedule:

    airflow backfill create --dag-id kiosk_order_capture --from-date 2026-11-16 --to-date 2026-11-22
"""

from __future__ import annotations

from datetime import timedelta

from cogent_ops import operators as ops
from cogent_ops.dag_defaults import (
    every_minute_backfilled_by_day,
    flow_dag,
    for_each_link,
    order_asset,
    order_inbox,
)


def build(link: str) -> None:
    """The DAG of one link."""
    with flow_dag(
        "kiosk_order_capture",
        link,
        schedule=every_minute_backfilled_by_day(order_inbox(link)),
        late_after=timedelta(minutes=20),
        dagrun_timeout=timedelta(hours=2),
        tags=["orders"],
        doc_md=__doc__,
    ):
        ops.KioskOrderCaptureOperator(
            task_id="capture",
            link=link,
            outlets=[order_asset(link)],
            retry_delay=timedelta(seconds=10),
            execution_timeout=timedelta(hours=1),
        )


for_each_link(build)
