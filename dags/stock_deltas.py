"""Kiosk sales, voids and refunds to commercetools' inventory within seconds, exactly once.

**move** polls Cloudshelf's orders into the inbox and drains the inbox into InventoryEntries, side by side. It keeps
going while there is work and ends when it has been quiet for a while (`movements.linger_seconds`). Waiting orders or
movements wake it within a second or two (Airflow's triggerer watches for them); the clock does so every minute in any
case.

Every movement of an entry that waits goes out in one request, which also writes the batch's id on the entry. After a
lost answer the entry itself says whether it was changed, so nothing is counted twice, also when two runs drain at once
or one is killed. What cannot be carried out waits with an owner: `cogent-ops exceptions` lists it.

A run works from what the inbox holds, whatever its data interval; running it again changes nothing.
"""

from __future__ import annotations

from datetime import timedelta

from cogent_ops import operators as ops
from cogent_ops.dag_defaults import every_minute, flow_dag, for_each_link, stock_asset, stock_inbox


def build(link: str) -> None:
    """The DAG of one link."""
    with flow_dag(
        "stock_deltas",
        link,
        schedule=every_minute(stock_inbox(link)),
        late_after=timedelta(minutes=20),
        dagrun_timeout=timedelta(hours=2),
        tags=["stock"],
        doc_md=__doc__,
    ):
        ops.StockDeltasOperator(
            task_id="move",
            link=link,
            outlets=[stock_asset(link)],
            retry_delay=timedelta(seconds=10),
            execution_timeout=timedelta(hours=1),
        )


for_each_link(build)
