"""A night's comparison of stock in a process of its own: a million pairs of two archived snapshots, and twice fewer.

A tenth of the pairs has moved since the night before, by us or by the web shop; one in ten thousand is wrong. Every
run checks that exactly the wrong ones are found. ``--causes`` stages every mishap, and every two of them one after the
other, while kiosks and the shop sell, and writes what was found into the tables of docs/drift.md.

    python -m benchmarks drift [--pairs 1000000] [--causes]
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa  # noqa: TID253 - nothing but the benchmark imports this
from upath import UPath

from cogent_ops.clients.cloudshelf import CloudshelfAccount, CloudshelfClient
from cogent_ops.clients.commercetools import CommercetoolsAccount, CommercetoolsClient
from cogent_ops.clients.transport import Unlimited
from cogent_ops.config import load_config
from cogent_ops.domain.priorities import Priority
from cogent_ops.services.drift.archive import MOMENT, Archive, Night
from cogent_ops.services.drift.comparison import Parts
from cogent_ops.services.drift.stock import StockComparison
from cogent_ops.services.drift.tables import (
    EDITS,
    ENTRIES,
    LEDGER,
    OPEN,
    POSITIONS,
    PRICES,
    SALES,
    TEXT,
    UNCLEAR,
    UNITS,
    UNMOVED,
)
from cogent_ops.store import open_store, upgrade

if TYPE_CHECKING:
    from tests.support.nights import NightWorld

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "drift.md"
STORES, MOVED, WRONG = 10, 10, 10_000
FIRST = datetime(2026, 11, 23, 1, 30, tzinfo=UTC)
MOST_SECONDS, MOST_MB = 60.0, 1024.0


def fill(archive: Archive, pairs: int) -> None:
    """Two nights: what was there, and a day of changes later."""
    number = np.arange(pairs)
    sku = pa.array([f"SKU-{one // STORES:08d}" for one in number])
    channel = pa.array([f"store-{one % STORES:02d}" for one in number])
    units = np.random.default_rng(1).integers(5, 200, pairs)
    ours, theirs = number[:: MOVED * 2], number[MOVED :: MOVED * 2]
    wrong = number[WRONG // 2 :: WRONG]
    noon, second = FIRST + timedelta(hours=10), FIRST + timedelta(days=1)
    batches = np.full(pairs, None, dtype=object)
    batches[ours] = [f"{one:032x}" for one in ours]
    after = units.copy()
    after[ours] -= 2
    after[theirs] -= 1
    after[wrong] -= 3
    _write(archive.night("2026-11-23"), _entries(sku, channel, units, None, FIRST), FIRST)
    ledger = pa.table(
        [
            pa.array(batches[ours], TEXT),
            sku.take(pa.array(ours)),
            channel.take(pa.array(ours)),
            *(_same(value, kind, len(ours)) for value, kind in ((-2, UNITS), (noon, MOMENT), (noon, MOMENT))),
            *(_same(value, UNITS, len(ours)) for value in (None, None, None, 0)),
        ],
        schema=LEDGER,
    )
    sales = pa.table(
        [
            pa.array([f"W{one}" for one in theirs]),
            sku.take(pa.array(theirs)),
            channel.take(pa.array(theirs)),
            _same(-1, UNITS, len(theirs)),
            _same(noon, MOMENT, len(theirs)),
        ],
        schema=SALES,
    )
    night = archive.night("2026-11-24")
    _write(night, _entries(sku, channel, after, pa.array(batches, TEXT), second), second, ledger, sales)


def _entries(
    sku: pa.Array, channel: pa.Array, units: np.ndarray, batch: pa.Array | None, asked: datetime
) -> pa.Table:
    size = len(units)
    ids = pa.array([f"{one:08x}-0000-4000-8000-000000000000" for one in range(size)])
    amounts = pa.array(units, UNITS)
    marks = pa.nulls(size, TEXT) if batch is None else batch
    version, changed = _same(3, UNITS, size), _same(asked, MOMENT, size)
    columns = [sku, channel, ids, version, amounts, marks, changed, _same("us", TEXT, size), changed]
    return pa.table(columns, schema=ENTRIES)


def _same(value: object, kind: pa.DataType, size: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, kind), size)


def _write(
    night: Night,
    entries: pa.Table,
    began: datetime,
    ledger: pa.Table | None = None,
    sales: pa.Table | None = None,
) -> None:
    night.write("inventory", entries)
    night.write("inventory_again", ENTRIES.empty_table())
    night.write("ledger", LEDGER.empty_table() if ledger is None else ledger)
    night.write("sales", SALES.empty_table() if sales is None else sales)
    for name, schema in (
        ("positions", POSITIONS),
        ("open", OPEN),
        ("unmoved", UNMOVED),
        ("edits", EDITS),
        ("prices", PRICES),
        ("stock_unclear", UNCLEAR),
    ):
        night.write(name, schema.empty_table())
    night.complete(began, began + timedelta(minutes=10))


def parts(folder: Path) -> Parts:
    """What the comparison is made of; nothing of it is asked."""
    url = f"sqlite:///{folder / 'store.db'}"
    upgrade(url)
    files = load_config(ROOT / "include")
    account = CommercetoolsAccount("c", "http://localhost", "http://localhost", "p", "us", "secret")
    return Parts(
        config=files.link("default"),
        store=open_store(url),
        commercetools=CommercetoolsClient(account, Unlimited(), Priority.CATALOGUE),
        cloudshelf=CloudshelfClient(
            CloudshelfAccount("k", "http://localhost", "key"), Unlimited(), Priority.CATALOGUE
        ),
        locations=files.locations,
        project="commercetools/p",
        suite=ROOT / "include" / "schemas" / "product_master.json",
        run_key="benchmark",
        now=lambda: datetime.now(UTC),
    )


def work(folder: str, pipe: Connection) -> None:
    """Compare, in a fresh process."""
    archive, comparison = Archive(UPath(folder), "default"), StockComparison(parts(Path(folder)))
    night = archive.night("2026-11-24")
    began, cpu = time.perf_counter(), time.process_time()
    found = comparison.compare(night, archive.previous(night))
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    units = {one.units for one in found.findings}
    pipe.send((seconds, cpu, peak, found.checked, len(found.findings), units))


def measure(pairs: int) -> bool:
    """Fill, compare, print; whether what was found and what it took are right."""
    with tempfile.TemporaryDirectory() as folder:
        context = multiprocessing.get_context("spawn")
        # In a process of its own, too: its memory is not the comparison's.
        filler = context.Process(target=fill, args=(Archive(UPath(folder), "default"), pairs))
        filler.start()
        filler.join()
        ours, theirs = context.Pipe()
        child = context.Process(target=work, args=(folder, theirs))
        child.start()
        seconds, cpu, peak, checked, found, units = ours.recv()
        child.join()
    wrong = len(range(WRONG // 2, pairs, WRONG))
    right = (checked, found, units) == (pairs, wrong, {-3}) and seconds < MOST_SECONDS and peak < MOST_MB
    print(
        f"{pairs:>9,} pairs{seconds:>7.1f} s  CPU {cpu:>5.1f} s  peak {peak:>5.0f} MB  {found:,} of {wrong:,} wrong "
        f"ones found{'' if right else '   NOT AS IT SHOULD BE'}",
        flush=True,
    )
    return right


# Causes


@contextmanager
def staging() -> Iterator[NightWorld]:
    """A sandbox in which mishaps are staged."""
    from tests.support.nights import NightWorld

    from cogent_ops.sandbox.generator import generate
    from cogent_ops.sandbox.server import SandboxServer
    from cogent_ops.sandbox.state import Behaviour

    data = generate(seed=1, products=60, now=datetime.now(UTC), dirty_share=0.0)
    with (
        tempfile.TemporaryDirectory() as name,
        SandboxServer(data, behaviour=Behaviour(order_lag_seconds=0.2)) as server,
    ):
        url = f"sqlite:///{Path(name) / 'store.db'}"
        upgrade(url)
        yield NightWorld(server, open_store(url), Path(name) / "root", rules={"heal": "off"})


def confusion(each: int, bystanders: int, seed: int) -> bool:
    """Stage every mishap under traffic, print and write the table; whether every cause was right."""
    from tests.support.mishaps import MISHAPS, NOTHING, stage

    with staging() as world:
        staged = stage(world, each=each, bystanders=bystanders, seed=seed)
    causes = sorted({cause for _, cause in staged.found} | {cause for cause, _, _ in MISHAPS.values()})
    lines = [
        f"| what happened ({each} times each) | {' | '.join(cause.replace('_', ' ') for cause in causes)} |",
        f"|---|{'---:|' * len(causes)}",
    ]
    for name_ in (*MISHAPS, NOTHING):
        cells = [str(staged.found[name_, cause] or "") for cause in causes]
        lines.append(f"| {name_} | {' | '.join(cells)} |")
    said = (
        f"While {staged.sold['kiosk']} kiosk orders and {staged.sold['shop']} orders of the web shop sold {bystanders} "
        f"other articles; units wrong in {len(staged.wrong_units)} findings."
    )
    write("causes", [*lines, "", said])
    return not (staged.wrong or staged.wrong_units)


def pairs(seeds: Sequence[int], bystanders: int) -> bool:
    """Stage two mishaps at each place under traffic, print and write the table; whether all was right."""
    from tests.support.mishaps import FIRST, SECOND, of_both, stage_pairs

    every = [(first, second) for first in FIRST for second in SECOND]
    found: dict[tuple[str, str], set[str]] = {pair: set() for pair in every}
    wrong = invented = 0
    for seed in seeds:
        with staging() as world:
            causes, besides = stage_pairs(world, every, bystanders=bystanders, seed=seed)
        invented += len(besides)
        for pair in every:
            if causes[pair] != of_both(*pair):
                wrong += 1
                print(f"seed {seed}: {pair} should be {of_both(*pair)}, was {causes[pair]}", flush=True)
            found[pair].add(" and ".join(sorted(causes[pair])).replace("_", " ") or "nothing")
    lines = [f"| first, then: | {' | '.join(SECOND)} |", f"|---|{'---|' * len(SECOND)}"]
    for first in FIRST:
        cells = ["; ".join(sorted(found[first, second])) for second in SECOND]
        lines.append(f"| **{first}** | {' | '.join(cells)} |")
    said = (
        f"{len(every)} pairs, {len(seeds)} times each in another order, while kiosks and the web shop sold "
        f"{bystanders} other articles: causes or units wrong in {wrong}, findings where nothing was staged: {invented}."
    )
    write("pairs", [*lines, "", said])
    return not (wrong or invented)


def write(mark: str, lines: Sequence[str]) -> None:
    """Print a table, and put it where the document has its mark."""
    text = "\n".join(lines)
    print(text, flush=True)
    document = DOCUMENT.read_text(encoding="utf-8")
    marked = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)", re.DOTALL)
    DOCUMENT.write_text(marked.sub(lambda found: f"{found[1]}{text}\n{found[2]}", document), encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Run it; 1 when a result is wrong, or takes more than promised."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument(
        "--causes", action="store_true", help="stage mishaps instead, and write docs/drift.md"
    )
    parser.add_argument("--each", type=int, default=10)
    args = parser.parse_args(arguments)
    if args.causes:
        right = [confusion(args.each, bystanders=12, seed=5), pairs((1, 2, 3), bystanders=8)]
        return 0 if all(right) else 1
    results = [measure(args.pairs // part) for part in (4, 2, 1)]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
