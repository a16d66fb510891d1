"""How long protection while late takes to look: with nothing late, and with 50,000 movements that are.

The store holds a busy day besides: applied movements, and the levels of every variant that kiosks show.

    python -m benchmarks protection [--movements 50000] [--places 2000] [--url postgresql://… of an empty database]
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from cogent_ops.config import LinkConfig, load_config
from cogent_ops.domain.availability import Counted, Wanted
from cogent_ops.domain.stock import NewMovement, Place, Source
from cogent_ops.services.beat import POLLED
from cogent_ops.services.pipeline import batches
from cogent_ops.services.protection import Protection, Refreshed
from cogent_ops.store import Store, open_store, upgrade
from cogent_ops.store.availability import Shown
from cogent_ops.store.stock import Applied, Position

Result = TypeVar("Result")

ROOT = Path(__file__).resolve().parents[1]
LINK, PROJECT = "default", "commercetools/benchmark"
STORES, APPLIED, UNITS = 20, 20_000, 1000


@dataclass(frozen=True)
class Took:
    """Seconds, and those of them that this process worked: on a busy machine it mostly waits for its turn."""

    wall: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.wall:.2f} s (CPU {self.cpu:.2f} s)"


def main(options: list[str]) -> int:
    """Fill a store, look, print; 1 when not just what is late was protected."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--movements", type=int, default=50_000)
    parser.add_argument("--places", type=int, default=2000)
    parser.add_argument("--url", help="an empty database on PostgreSQL; none: SQLite")
    args = parser.parse_args(options)
    with tempfile.TemporaryDirectory() as folder:
        url = args.url or f"sqlite:///{folder}/store.db"
        upgrade(url)
        return _measure(open_store(url), args.movements, args.places)


def _measure(store: Store, movements: int, places: int) -> int:
    config = load_config(ROOT / "include").link(LINK)
    skus = [f"SKU-{number:06}" for number in range(-(-places // STORES))]
    spots = [Place(sku, f"store-{number:02}") for sku in skus for number in range(STORES)][:places]
    _show(store, skus)
    now = datetime.now(UTC)
    _sell(store, spots, APPLIED, now - timedelta(minutes=30))
    while claimed := store.stock.claim(PROJECT, "drain", limit=5000, lease_seconds=60):
        done = [Applied(one.id, Position(one.place, one.id, 1, UNITS, UNITS)) for one in claimed]
        with store.begin() as conn:
            store.stock.settle(conn, PROJECT, done)
    with store.begin() as conn:
        store.watermarks.set(conn, LINK, POLLED, now)
    _timed("nothing waits", config, store, now, times=200)
    _sell(store, spots, movements, now)
    _timed(f"{movements:,} movements wait, none is late", config, store, now, times=20)
    later = now + timedelta(seconds=90)
    with store.begin() as conn:
        store.watermarks.set(conn, LINK, POLLED, later)
    protection = Protection(config, store, PROJECT)
    first, begun = _once(lambda: protection.refresh(later))
    again, same = _once(lambda: protection.refresh(later))
    risks, listed = _once(lambda: protection.at_risk(later))
    right = begun.begun == len(listed) == places and same == Refreshed()
    right &= sum(one.pending for one in listed) == movements
    print(
        f"  {movements:,} movements at {places:,} places are late: {first} until all are protected\n"
        f"  the next look, when nothing has changed: {again}\n"
        f"  what is at risk, for sync health: {risks}\n"
        f"  {'right' if right else 'WRONG'}: {begun.begun} places protected, "
        f"{sum(one.pending for one in listed):,} units pending"
    )
    return int(not right)


def _show(store: Store, skus: list[str]) -> None:
    """Kiosks show the variants, and were told everything."""
    levels = {f"store-{number:02}": UNITS for number in range(STORES)}
    for part in batches(skus, 500):
        store.availability.told_by_catalogue(
            LINK, "catalogue", [Shown(sku, "p", True, True, False) for sku in part]
        )
    turn = store.availability.begin(LINK)
    for part in batches(skus, 500):
        with store.begin() as conn:
            store.availability.record(
                conn,
                LINK,
                turn,
                dict.fromkeys(part, Wanted(levels, True)),
                datetime.now(UTC),
                counted=dict.fromkeys(part, Counted(levels, {})),
            )


def _sell(store: Store, places: list[Place], number: int, moment: datetime) -> None:
    rng = random.Random(number)
    sales = (
        NewMovement(
            link=LINK,
            project=PROJECT,
            sku=place.sku,
            channel=place.channel,
            source=Source.KIOSK_ORDER,
            source_id=f"{moment.timestamp()}/{count}",
            reference="order",
            occurred_at=moment,
            delta=-1,
        )
        for count, place in enumerate([*places, *rng.choices(places, k=max(0, number - len(places)))])
    )
    for part in batches(sales, 5000):
        with store.begin() as conn:
            store.stock.add_movements(conn, part)


def _timed(name: str, config: LinkConfig, store: Store, now: datetime, *, times: int) -> None:
    protection = Protection(config, store, PROJECT)
    took, found = _once(lambda: [protection.refresh(now) for _ in range(times)])
    if any(one != Refreshed() for one in found):
        raise RuntimeError("Something was protected although nothing is late.")
    wall, cpu = took.wall / times * 1000, took.cpu / times * 1000
    print(f"  {name}: {wall:.1f} ms a look (CPU {cpu:.1f} ms)", flush=True)


def _once(work: Callable[[], Result]) -> tuple[Took, Result]:
    began, worked = time.perf_counter(), time.process_time()
    result = work()
    return Took(time.perf_counter() - began, time.process_time() - worked), result
