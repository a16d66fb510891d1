"""How fast the gate judges rows, what each rule costs, and that its memory does not grow with the catalogue.

Measured is what lies between the rows of mapped products and the findings: frames, Great Expectations, verdicts.
Great Expectations costs the same a chunk whatever its size, which is why the gate takes large ones.

    python -m benchmarks gate [--rows 400000] [--dirty 0.06]
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Any

from cogent_ops.config import load_config
from cogent_ops.domain.catalogue import CatalogueContext, ExtractLine, MappedProduct, map_product
from cogent_ops.quality import CHUNK, Chunk, Gate, SkuFacts
from cogent_ops.quality.schema import read_schema
from cogent_ops.sandbox.dataset import Dataset
from cogent_ops.sandbox.generator import CatalogueGenerator, Options
from cogent_ops.services.pipeline import fewer_collections

ROOT = Path(__file__).resolve().parents[1]
SUITE = ROOT / "include/schemas/product_master.json"
NOW = datetime(2026, 11, 20, tzinfo=UTC)
FLOOR = 300_000
"""Rows a second that the gate must reach."""
PRODUCTS, VARIANTS = 1000, 10
SIZES = (10_000, 50_000, 100_000, CHUNK)
TRIES = 5


@dataclass(frozen=True)
class Timed:
    """The best of some tries: seconds on the clock, and seconds of this process's own work."""

    wall: float
    cpu: float


def timed(work: Callable[[], object], tries: int = TRIES) -> Timed:
    """Run some times and keep the least: what else the machine does is no matter of ours."""
    walls, cpus = [], []
    for _ in range(tries):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return Timed(min(walls), min(cpus))


def catalogue(dirty: float) -> list[MappedProduct]:
    """A mapped catalogue of PRODUCTS products with VARIANTS variants each."""
    generator = CatalogueGenerator(
        Options(seed=7, products=PRODUCTS, now=NOW, variants=VARIANTS, dirty_share=dirty)
    )
    context = CatalogueContext.build(
        reference(generator.foundation()), load_config(ROOT / "include").link("default"), NOW, {}
    )
    products = []
    for bundle in generator.bundles():
        stock: dict[str, dict[str, int]] = {}
        for entry in bundle.inventory:
            channel = entry.get("supplyChannel", {}).get("id", "")
            stock.setdefault(entry["sku"], {})[channel] = entry["availableQuantity"]
        prices: dict[str, list[Any]] = {}
        for price in bundle.standalone_prices:
            prices.setdefault(price["sku"], []).append(price)
        line = {"projection": bundle.product, "inventory": stock, "standalone_prices": prices}
        products.append(map_product(ExtractLine.model_validate(line), context))
    return products


def reference(data: Dataset) -> dict[str, Any]:
    names = ("channels", "categories", "product_types", "tax_categories", "customer_groups")
    return {name: getattr(data, name) for name in names}


def chunk(gate: Gate, products: list[MappedProduct], rows: int) -> Chunk:
    """The catalogue over and over, until there are so many rows."""
    filled = gate.chunk()
    for product in cycle(products):
        if filled.variants >= rows:
            return filled
        filled.add(product)
    return filled


def findings(gate: Gate, rows: Chunk) -> Counter[str]:
    """Judge, and make every finding."""
    verdicts = gate.judge(rows, SkuFacts())
    return Counter(finding.rule for verdict in verdicts.values() for finding in verdict.findings())


def sizes(gate: Gate, products: list[MappedProduct]) -> bool:
    """Rows a second by the size of chunks; false when a finding is missing or too many."""
    once = findings(gate, chunk(gate, products, PRODUCTS * VARIANTS))
    print(f"{'chunk':>10}{'fill s':>9}{'judge s':>9}{'CPU s':>8}{'rows/s':>11}{'of floor':>10}")
    right = True
    for size in SIZES:
        fill = timed(lambda size=size: chunk(gate, products, size), tries=1)  # type: ignore[misc]
        rows = chunk(gate, products, size)
        took = timed(lambda rows=rows: findings(gate, rows))  # type: ignore[misc]
        copies = rows.variants // (PRODUCTS * VARIANTS)
        right &= findings(gate, rows) == Counter({rule: count * copies for rule, count in once.items()})
        rate = rows.variants / took.wall
        print(
            f"{size:>10,}{fill.wall:>9.2f}{took.wall:>9.2f}{took.cpu:>8.2f}{rate:>11,.0f}{rate / FLOOR:>9.2f}x"
        )
    print(f"floor {FLOOR:,} rows/s; the gate uses chunks of {CHUNK:,} rows")
    return right


def rules(products: list[MappedProduct], rows: int) -> None:
    """What each rule costs by itself: with few rows (the fixed cost), and with each 100,000 variants more."""
    suite = json.loads(SUITE.read_text(encoding="utf-8"))
    print(f"\n{'rule by itself':<52}{'fixed ms':>9}{'ms/100,000 rows':>17}")
    with tempfile.TemporaryDirectory() as folder:
        for rule in read_schema(SUITE).rules:
            path = Path(folder) / "one.json"
            path.write_text(json.dumps({**suite, "expectations": [suite["expectations"][rule.place]]}))
            gate = Gate(path, "benchmark")
            few, many = chunk(gate, products, VARIANTS), chunk(gate, products, rows)
            fixed = timed(lambda: gate.judge(few, SkuFacts())).cpu  # noqa: B023
            whole = timed(lambda: gate.judge(many, SkuFacts())).cpu  # noqa: B023
            each = (whole - fixed) * 100_000 / rows
            print(f"{rule.name:<52}{fixed * 1000:>9.1f}{each * 1000:>17.1f}")


def memory(gate: Gate, products: list[MappedProduct], rows: int) -> None:
    """Peak memory chunk after chunk: it must not grow."""
    print("\npeak memory by rows judged so far:")
    for number in range(1, max(2, rows // CHUNK) + 1):
        judged = chunk(gate, products, CHUNK)
        findings(gate, judged)
        del judged
        print(f"{number * CHUNK:>12,} rows {peak_mb():>6.0f} MB")


def peak_mb() -> float:
    """The most memory that this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def main(arguments: list[str] | None = None) -> int:
    """Measure; the exit code is 1 when the gate found anything else than in the catalogue taken once."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=3 * CHUNK, help="rows judged to see whether memory grows")
    parser.add_argument("--dirty", type=float, default=0.06, help="share of products with a defect")
    options = parser.parse_args(arguments)
    products = catalogue(options.dirty)
    before = peak_mb()
    ready = timed(lambda: Gate(SUITE, "benchmark").prepare(), tries=1)
    gate = Gate(SUITE, "benchmark")
    print(
        f"first gate of a process, with imports: {ready.wall:.1f} s, {ready.cpu:.1f} s CPU, "
        f"{peak_mb() - before:.0f} MB\n"
    )
    with fewer_collections():  # as the task does
        right = sizes(gate, products)
        memory(gate, products, options.rows)
        rules(products, 100_000)
    print("" if right else "\nWRONG: findings differ between sizes of chunks")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
