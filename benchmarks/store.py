"""How fast the store is where the catalogue flow leans on it, in the flow's own batch sizes.

Every step checks what it stored; the figures count rows. Runs on a temporary SQLite file, or on an empty
database that ``--url`` names.

    python benchmarks/store.py [--variants 100000] [--url postgresql://...]
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cogent_ops.domain.priorities import Priority
from cogent_ops.store import ProductState, Store, Totals, open_store, upgrade
from cogent_ops.store.sql import chunks

LINK = "default"
VARIANTS_PER_PRODUCT = 8
#: Batch sizes of the flow: a page of commercetools, a chunk of the gate, a look-up and a batch of the push.
PAGE, CHUNK, LOOKUP, BATCH = 500, 10_000, 1000, 250
GROUPS = 400
REQUESTS = 5000


@dataclass
class Stopwatch:
    """Rows, seconds, and seconds of this process's own work (the rest is waiting for the database), by step."""

    steps: dict[str, tuple[int, float, float]] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str, rows: int) -> Iterator[None]:
        begun, worked = time.perf_counter(), time.process_time()
        yield
        self.steps[name] = (rows, time.perf_counter() - begun, time.process_time() - worked)

    def table(self) -> str:
        """The figures as text."""
        lines = [f"{'step':<40}{'rows':>9}{'seconds':>9}{'CPU s':>8}{'rows/s':>10}"]
        lines += [
            f"{name:<40}{rows:>9,}{seconds:>9.2f}{worked:>8.2f}{rows / seconds:>10,.0f}"
            for name, (rows, seconds, worked) in self.steps.items()
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class Assortment:
    """Products and their variants, as many as asked for."""

    variants: int

    @property
    def products(self) -> list[str]:
        return [f"product-{number:07d}" for number in range(self.variants // VARIANTS_PER_PRODUCT)]

    def rows(self, product_ids: list[str]) -> list[tuple[str, str, int]]:
        """(SKU, product id, variant id) of some products."""
        return [(f"SKU-{id_[8:]}-{n}", id_, n) for id_ in product_ids for n in range(VARIANTS_PER_PRODUCT)]

    def state(self, product_id: str) -> ProductState:
        number = int(product_id[8:])
        return ProductState(
            product_id=product_id,
            product_key=f"key-{number}",
            product_name=f"Product {number}",
            version=1,
            modified_at=datetime(2026, 11, 20, tzinfo=UTC),
            status="pushed",
            on_kiosk=True,
            skus=tuple(sku for sku, _, _ in self.rows([product_id])),
            group_ids=tuple(sorted({f"group-{number % GROUPS}", f"group-{number * 7 % GROUPS}"})),
        )


def registry(store: Store, all_: Assortment, watch: Stopwatch) -> None:
    """What the extract notes and the gate asks."""
    for run in ("1", "2"):
        with watch.step(f"registry: register all, run {run}", all_.variants):
            for page in chunks(all_.products, PAGE):
                before = store.catalogue.previous_skus(LINK, page, run_key=run)
                assert len(before) == (0 if run == "1" else len(page) * VARIANTS_PER_PRODUCT)
                store.catalogue.register_skus(LINK, run, page, all_.rows(page))
    skus = [sku for sku, _, _ in all_.rows(all_.products)]
    with watch.step("registry: conflicts and lookalikes", all_.variants):
        for chunk in chunks(skus, CHUNK):
            assert store.catalogue.sku_conflicts(LINK, chunk) == {}
            assert store.catalogue.lookalikes(LINK, chunk) == {}
    with watch.step("registry: prune", all_.variants):
        assert store.catalogue.prune_skus(LINK, "2") == 0


def fingerprints(store: Store, all_: Assortment, watch: Stopwatch) -> None:
    """What the push compares and remembers."""
    hashes = {f"variant:{sku}": f"{number:064x}" for number, (sku, *_) in enumerate(all_.rows(all_.products))}
    with watch.step("fingerprints: look up, none known", all_.variants):
        assert _known(store, hashes) == {}
    for run in ("1", "2"):
        with watch.step(f"fingerprints: remember, run {run}", all_.variants):
            for batch in chunks(hashes.items(), BATCH):
                store.fingerprints.remember(LINK, "variant", dict(batch), run)
    with watch.step("fingerprints: look up, all known", all_.variants):
        assert _known(store, hashes) == hashes
    with watch.step("fingerprints: list ids", all_.variants):
        assert sum(1 for _ in store.fingerprints.ids(LINK, "variant")) == len(hashes)


def _known(store: Store, hashes: dict[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for chunk in chunks(hashes, LOOKUP):
        found |= store.fingerprints.known(LINK, "variant", chunk)
    return found


def states(store: Store, all_: Assortment, watch: Stopwatch) -> None:
    """What the push notes of each product, and the groups that follow from it."""
    for run in ("1", "2"):
        with watch.step(f"states: read and record, run {run}", len(all_.products)):
            for chunk in chunks(all_.products, LOOKUP):
                assert len(store.catalogue.states(LINK, chunk)) == (0 if run == "1" else len(chunk))
                store.catalogue.record_products(LINK, run, map(all_.state, chunk))
    members = sum(len(all_.state(id_).group_ids) for id_ in all_.products)
    with watch.step("states: members of all groups", members):
        assert sum(1 for _ in store.catalogue.members(LINK)) == members
    with watch.step("states: totals", len(all_.products)):
        wanted = Totals(len(all_.products), all_.variants, min(GROUPS, len(all_.products)))
        assert store.catalogue.totals(LINK) == wanted


def budget(store: Store, _all: Assortment, watch: Stopwatch) -> None:
    """What a request pays for its token when the rate is no limit."""
    shared = store.budget("benchmark", rate=1_000_000, burst=1_000)
    with watch.step("rate budget: acquire a token", REQUESTS):
        for _ in range(REQUESTS):
            shared.acquire(priority=Priority.CATALOGUE, timeout=10)


STEPS: tuple[Callable[[Store, Assortment, Stopwatch], None], ...] = (registry, fingerprints, states, budget)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variants", type=int, default=100_000)
    parser.add_argument("--url", help="an empty database; default: a temporary SQLite file")
    chosen = parser.parse_args(arguments)
    all_ = Assortment(chosen.variants // VARIANTS_PER_PRODUCT * VARIANTS_PER_PRODUCT)
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "store.db"
        url = chosen.url or f"sqlite:///{file}"
        upgrade(url)
        store = open_store(url)
        for step in STEPS:
            step(store, all_, watch)
        store.close()
        print(watch.table())
        if file.exists():
            print(f"file: {file.stat().st_size / 1e6:.0f} MB")
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main(sys.argv[1:])
