"""A dataset as the extract of a catalogue run leaves it, without a server between."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cogent_ops.domain.text import visible
from cogent_ops.sandbox.dataset import Dataset, Json, all_variants

REFERENCE = ("project", "categories", "channels", "product_types", "tax_categories", "customer_groups")


def reference(data: Dataset) -> dict[str, Any]:
    """Reference resources by name."""
    return {name: getattr(data, name) for name in REFERENCE}


def lines(data: Dataset) -> Iterator[Json]:
    """One line a product. Stock of a SKU that no query may name is unknown."""
    stock: dict[str, dict[str, int]] = {}
    for entry in data.inventory:
        channel = entry.get("supplyChannel", {}).get("id", "")
        stock.setdefault(entry["sku"], {})[channel] = entry["availableQuantity"]
    prices: dict[str, list[Json]] = {}
    for price in data.standalone_prices:
        prices.setdefault(price["sku"], []).append(price)
    for projection in data.products:
        skus = [variant["sku"] for variant in all_variants(projection) if "sku" in variant]
        yield {
            "projection": projection,
            "inventory": {sku: stock[sku] for sku in skus if sku in stock and sku.isprintable()},
            "standalone_prices": {sku: prices[sku] for sku in skus if sku in prices},
            "previous_skus": {},
        }


def registered(line: Json) -> list[tuple[str, str, int]]:
    """What the extract notes in the SKU registry of one line: SKU as shown, product id, variant id."""
    projection = line["projection"]
    return [
        (visible(variant["sku"]), projection["id"], variant["id"])
        for variant in all_variants(projection)
        if "sku" in variant
    ]
