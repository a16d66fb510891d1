"""Mapped catalogues, judged by a gate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from tests.support import extracted

from cogent_ops.config import load_config
from cogent_ops.domain.catalogue import CatalogueContext, ExtractLine, MappedProduct, map_product
from cogent_ops.domain.text import fold, visible
from cogent_ops.quality import Finding, Gate, SkuFacts, Verdicts
from cogent_ops.sandbox.dataset import Dataset

ROOT = Path(__file__).parents[2]
SUITE = ROOT / "include/schemas/product_master.json"
NOW = datetime(2026, 11, 20, tzinfo=UTC)


def mapped(data: Dataset, include: Path = ROOT / "include") -> list[MappedProduct]:
    context = CatalogueContext.build(extracted.reference(data), load_config(include).link("default"), NOW, {})
    return [map_product(ExtractLine.model_validate(line), context) for line in extracted.lines(data)]


def facts(products: Iterable[MappedProduct]) -> SkuFacts:
    """What the SKU registry would say if these products were the whole catalogue."""
    counts = Counter(
        visible(variant.sku) for product in products for variant in product.variants if variant.sku
    )
    alike: dict[str, set[str]] = {}
    for sku in counts:
        alike.setdefault(fold(sku), set()).add(sku)
    return SkuFacts(
        {sku: count for sku, count in counts.items() if count > 1},
        {sku: min(others) for sku in counts if (others := alike[fold(sku)] - {sku})},
    )


def judge(gate: Gate, products: Iterable[MappedProduct], known: SkuFacts | None = None) -> Verdicts:
    """Judge all in one chunk."""
    products = list(products)
    chunk = gate.chunk()
    for product in products:
        chunk.add(product)
    return gate.judge(chunk, facts(products) if known is None else known)


def found(verdicts: Verdicts) -> Iterator[Finding]:
    for verdict in verdicts.values():
        yield from verdict.findings()
