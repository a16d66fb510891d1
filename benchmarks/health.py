"""A check of sync health over a busy store: seconds, against what a check every five minutes may take.

The store holds 50,000 kiosk orders of the last day, 36,000 of them of the last hour with two articles each (72,000
movements, as many stock levels told), beside older orders that must not cost anything. Some faults are among them:
units that were never recorded, movements that are missing, orders that nobody looks at. The run fails when a check
finds others, or not all, or takes longer than 5 s: of CPU on SQLite, which works in this process, so that a busy
machine makes no difference; by the clock on PostgreSQL. Nothing outside is asked.

    python -m benchmarks health [--orders 50000] [--history 300000] [--url postgresql://… of an empty database]
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Table

from cogent_ops.config import load_config
from cogent_ops.domain.identifiers import location_gid, variant_gid
from cogent_ops.domain.orders import read_order
from cogent_ops.services.health.check import HealthCheck, HealthParts
from cogent_ops.store import Store, open_store, upgrade
from cogent_ops.store.bucket import Limit
from cogent_ops.store.schema import (
    kiosk_order,
    movement,
    order_capture,
    order_effect,
    stock_level,
)
from cogent_ops.store.sql import chunks

ROOT = Path(__file__).resolve().parents[1]
LINK, PROJECT = "default", "commercetools/bench"
STORES, MOST_SECONDS = 40, 5.0
#: One order in so many is wrong in each of three ways, of the orders of the last hour.
WRONG = 5000
_OLD = timedelta(days=28)


def main(options: list[str]) -> int:
    """Fill, check three times, print; 1 when something is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=50_000, help="of the last day")
    parser.add_argument("--history", type=int, default=300_000, help="older orders")
    parser.add_argument("--url", help="an empty database instead of a temporary SQLite file")
    args = parser.parse_args(options)
    with tempfile.TemporaryDirectory() as folder:
        url = args.url or f"sqlite:///{folder}/health.db"
        upgrade(url)
        store, now = open_store(url), datetime.now(UTC)
        began = time.perf_counter()
        wrong = fill(store, args.orders, args.history, now)
        print(f"filled in {time.perf_counter() - began:.0f} s", flush=True)
        failed = [
            not check(store, args.orders, wrong, run, is_sqlite=args.url is None)
            for run in ("first", "second", "third")
        ]
        store.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak {peak:.0f} MB")
    return int(any(failed))


def check(store: Store, orders: int, wrong: tuple[int, int], run: str, *, is_sqlite: bool) -> bool:
    """One check; whether it found what is wrong, and nothing else, in time."""
    parts = HealthParts(
        config=load_config(ROOT / "include").link(LINK),
        store=store,
        project=PROJECT,
        run_key=run,
        limits={PROJECT: Limit(50.0, 100.0)},
    )
    began, cpu = time.perf_counter(), time.process_time()
    snapshot = HealthCheck(parts).run()
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    spent = cpu if is_sqlite else seconds
    stock = snapshot.flows[1]
    found = (snapshot.orders.unexplained, snapshot.units.unexplained)
    right = found == wrong and snapshot.orders.seen == orders and stock.done > orders / 2
    print(
        f"{run:<8}{seconds:>6.2f} s  CPU {cpu:>5.2f} s  {snapshot.orders.seen:,} orders, {snapshot.units.seen:,} "
        f"units, {stock.done:,} movements of an hour (p95 {stock.p95 or 0:.1f} s); unexplained {found[0]} orders, "
        f"{found[1]} units{'' if right else '   NOT AS IT SHOULD BE'}{'' if spent < MOST_SECONDS else '   TOO SLOW'}",
        flush=True,
    )
    return right and spent < MOST_SECONDS


# Filling


def fill(store: Store, orders: int, history: int, now: datetime, *, stores: int = STORES) -> tuple[int, int]:
    """Store all orders with what they did; how many orders, and how many units, nobody can explain."""
    recent = int(orders * 0.72)
    quiet = orders - recent
    ages = [
        *((timedelta(hours=23, minutes=50) * part / max(1, quiet), 1) for part in range(quiet)),
        *((timedelta(hours=1) * part / recent, 2) for part in range(recent)),
        *((timedelta(days=1, minutes=10) + _OLD * part / max(1, history), 1) for part in range(history)),
    ]
    lost_orders = lost_units = 0
    for portion in chunks(enumerate(ages), 5000):
        rows: dict[Table, list[dict[str, Any]]] = {}
        for number, (age, lines) in portion:
            fault = number % WRONG if quiet <= number < orders else -1
            lost_orders += fault == 1
            lost_units += 2 * lines * (fault in (2, 3))
            for table, row in _order(number, _place(number, stores), now - age, lines, fault):
                rows.setdefault(table, []).append(row)
        with store.begin() as conn:
            for table, some in rows.items():
                conn.execute(table.insert(), some)
    levels = [
        {
            "link": LINK,
            "sku": f"SKU-{number // stores:06d}",
            "channel": _place(number, stores),
            "wanted": 5,
            "told": 5,
            "wanted_at": now - timedelta(minutes=30, seconds=3),
            "told_at": now - timedelta(minutes=30),
            "due_at": now,
            "refusals": 0,
            "batch": None,
        }
        for number in range(2 * recent)
    ]
    for some in chunks(levels, 5000):
        with store.begin() as conn:
            conn.execute(stock_level.insert(), some)
    return lost_orders, lost_units


def _place(number: int, stores: int) -> str:
    return f"store-{number % stores:02d}"


def place_name(place: str) -> str:
    """A store as people name it."""
    return f"Store {place.removeprefix('store-')}"


def _order(
    number: int, place: str, at: datetime, lines: int, fault: int
) -> Iterator[tuple[Table, dict[str, Any]]]:
    """Rows of one order. 1: nobody looks at it; 2: its effect was not recorded; 3: its movements are missing."""
    ulid = f"{number:026d}"
    id_ = f"gid://cloudshelf/Order/{ulid}"
    skus = [f"SKU-{(number * 7 + line) % 5000:06d}" for line in range(lines)]
    content = read_order(_raw(id_, place, skus, at)).content
    yield (
        kiosk_order,
        {
            "link": LINK,
            "order_id": id_,
            "status": "PAID",
            "modified_at": at,
            "content": content,
            "hash": "",
            "recheck": False,
            "first_seen": at + timedelta(seconds=1),
            "last_seen": at + timedelta(seconds=1),
        },
    )
    yield order_capture, _capture(id_, ulid, place, lines, at, is_stranded=fault == 1)
    for sku in skus:
        if fault != 2:
            yield (
                order_effect,
                {
                    "link": LINK,
                    "order_id": id_,
                    "sku": sku,
                    "channel": place,
                    "quantity": -2,
                    "revision": 1,
                    "updated_at": at,
                },
            )
        if fault not in (2, 3):
            yield movement, _movement(id_, ulid, place, sku, at)


def _raw(id_: str, place: str, skus: Sequence[str], at: datetime) -> dict[str, Any]:
    return {
        "id": id_,
        "status": "PAID",
        "createdAt": at.isoformat(),
        "updatedAt": at.isoformat(),
        "lines": [
            {
                "productVariantId": "v",
                "platformProvidedProductVariantId": variant_gid(sku),
                "productName": "Coat",
                "quantity": 2,
                "price": 19.9,
                "currencyCode": "EUR",
            }
            for sku in skus
        ],
        "session": {"locationId": location_gid(place), "locationName": place_name(place)},
    }


def _capture(
    id_: str, ulid: str, place: str, lines: int, at: datetime, *, is_stranded: bool
) -> dict[str, Any]:
    return {
        "link": LINK,
        "order_id": id_,
        "order_number": ulid,
        "status": "PAID",
        "state": "waiting" if is_stranded else "captured",
        "reason": "is to be looked at" if is_stranded else None,
        "due_at": None,
        "lease_until": 0.0,
        "attempts": 0,
        "revision": 1,
        "origin": None if is_stranded else "kiosk",
        "tell_attempts": 0,
        "place": place_name(place),
        "currency": "EUR",
        "total": 1990,
        "units": 2 * lines,
        "edits": {},
        "ordered_at": at,
        "changed_at": at,
        "confirmed_at": at,
        "captured_at": None if is_stranded else at + timedelta(seconds=4),
        "updated_at": at,
    }


def _movement(id_: str, ulid: str, place: str, sku: str, at: datetime) -> dict[str, Any]:
    return {
        "link": LINK,
        "project": PROJECT,
        "sku": sku,
        "channel": place,
        "delta": -2,
        "source": "kiosk_order",
        "source_id": f"{id_}/{sku}@{place}/1",
        "reference": ulid,
        "occurred_at": at,
        "recorded_at": at + timedelta(seconds=1),
        "state": "applied",
        "settled_at": at + timedelta(seconds=2 + (at.microsecond % 7)),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
