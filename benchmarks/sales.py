"""Kiosk sales through real Airflow: how long each takes to change commercetools' InventoryEntry, and at what cost.

A sale's time ends when the store has settled its batch, a little later than commercetools has it. Afterwards both sides
are counted again.

    python -m benchmarks sales [--rate 20] [--seconds 300] [--url postgresql://… of an empty database, for the store]
"""

from __future__ import annotations

import argparse
import time
from contextlib import closing

from sqlalchemy import select

from benchmarks.in_airflow import Meter, Running, percentiles, running
from cogent_ops.store import open_store
from cogent_ops.store.schema import movement, stock_batch
from order_burst import OrderBurst
from order_cases import Case
from order_recount import recount
from sandbox_talk import Sandbox

PATIENCE_SECONDS = 60.0
PAID_AT_ONCE = Case("paid at once", 1, ((0.0, "PAID"),), "order")


def main(options: list[str]) -> int:
    """Sell, wait, count; 1 when a unit was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=20.0, help="sales per second")
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--url", help="store on PostgreSQL instead of SQLite")
    args = parser.parse_args(options)
    with (
        running("stock_deltas", "availability_push", store_url=args.url) as run,
        closing(Sandbox(run.sandbox)) as sandbox,
    ):
        return _measure(args, run, sandbox)


def _measure(args: argparse.Namespace, run: Running, sandbox: Sandbox) -> int:
    burst, meter, began = OrderBurst(sandbox, [PAID_AT_ONCE]), Meter(run), time.monotonic()
    burst.sell(number / args.rate for number in range(int(args.rate * args.seconds)))
    run.progress.step(f"{len(burst.sales)} sales in {time.monotonic() - began:.0f} s")
    deadline = time.monotonic() + PATIENCE_SECONDS
    found = recount(sandbox, burst)
    while (found.lost or found.doubled) and time.monotonic() < deadline:
        time.sleep(0.5)
        found = recount(sandbox, burst)
    time.sleep(1.0)
    in_inbox, applied = _moments(run.store_url)
    for name, moments in (("in the inbox", in_inbox), ("in commercetools", applied)):
        paid = {sale.id: sale.paid_at for sale in burst.sales.values() if sale.paid_at is not None}
        lags = sorted(moments[order] - at for order, at in paid.items() if order in moments)
        print(f"sale to {name:<16} {percentiles(lags)}")
    print(f"{found.sold} units sold, {found.deducted} deducted: lost {found.lost}, doubled {found.doubled}")
    print(meter)
    return int(bool(found.lost or found.doubled))


def _moments(store_url: str) -> tuple[dict[str, float], dict[str, float]]:
    """By order: when its movement was recorded, and when it was settled; seconds since 1970."""
    query = select(movement.c.source_id, movement.c.recorded_at, stock_batch.c.settled_at).join(
        stock_batch, stock_batch.c.id == movement.c.batch_id, isouter=True
    )
    in_inbox, applied = {}, {}
    with open_store(store_url).read() as conn:
        for source_id, recorded, settled in conn.execute(query):
            # <order id>/<SKU>@<channel>/<revision>
            id_ = source_id.rpartition("@")[0].rpartition("/")[0]
            in_inbox[id_] = recorded.timestamp()
            if settled is not None:
                applied[id_] = settled.timestamp()
    return in_inbox, applied
