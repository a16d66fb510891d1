"""The catalogue as commercetools has it: products with their stock and prices, and what all of them refer to.

Availability comes from ``/inventory``, never from the projection, which is only eventually consistent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from cogent_ops.clients.commercetools import CommercetoolsClient
from cogent_ops.config import LinkConfig
from cogent_ops.domain.catalogue import ExtractLine
from cogent_ops.domain.text import writable

Raw = dict[str, Any]

#: Reference resources that mapping needs whole; each is small (at most 10,000 categories per project).
REFERENCE_RESOURCES = {
    "categories": "categories",
    "channels": "channels",
    "product_types": "product-types",
    "tax_categories": "tax-categories",
    "customer_groups": "customer-groups",
}
_PUBLISHED = {"staged": "false"}


class CatalogueReader:
    """Reads what a link's kiosks should show. Threads may share it."""

    def __init__(self, config: LinkConfig, client: CommercetoolsClient) -> None:
        self.config, self.client = config, client

    def reference(self) -> Raw:
        """Raw resources by name, as :meth:`cogent_ops.domain.catalogue.CatalogueContext.build` takes them."""
        return {
            name: list(chain.from_iterable(self.client.pages(resource, page_size=500)))
            for name, resource in REFERENCE_RESOURCES.items()
        }

    def projections(self, *, where: tuple[str, ...] = ()) -> Iterator[list[Raw]]:
        """Published products that the link's query admits, in pages.

        :param where: further predicates.
        """
        return self.client.pages(
            "product-projections",
            where=(*where, *self.config.query),
            params=_PUBLISHED,
            page_size=self.config.page_size,
        )

    def projections_of(self, product_ids: Iterable[str]) -> Iterator[list[Raw]]:
        """Those of some products that are published and that the link's query admits."""
        params = dict(_PUBLISHED)
        if self.config.query:
            params["where"] = " and ".join(f"({predicate})" for predicate in self.config.query)
        return self.client.by_values("product-projections", "id", product_ids, params=params)

    def joined(self, page: list[Raw]) -> list[Raw]:
        """Products with their stock and standalone prices: the content of an ``ExtractLine`` each."""
        stock = self._stock(_askable(page))
        return [
            {**line, "inventory": {sku: stock[sku] for sku in skus_of(line["projection"]) if sku in stock}}
            for line in self.priced(page)
        ]

    def priced(self, page: list[Raw]) -> list[Raw]:
        """The same without stock, for whoever does not look at it: it takes a request for every few SKUs."""
        prices = self._standalone_prices(_askable(p for p in page if p.get("priceMode") == "Standalone"))
        return [
            {
                "projection": projection,
                "standalone_prices": {sku: prices[sku] for sku in skus_of(projection) if sku in prices},
            }
            for projection in page
        ]

    def _stock(self, skus: list[str]) -> dict[str, dict[str, int]]:
        """Available quantity by SKU and supply channel id (empty: the channel-less pool)."""
        stock: dict[str, dict[str, int]] = {}
        for entries in self.client.by_values("inventory", "sku", skus):
            for entry in entries:
                channel = entry.get("supplyChannel", {}).get("id", "")
                stock.setdefault(entry["sku"], {})[channel] = entry["availableQuantity"]
        return stock

    def _standalone_prices(self, skus: list[str]) -> dict[str, list[Raw]]:
        prices: dict[str, list[Raw]] = {}
        for page in self.client.by_values("standalone-prices", "sku", skus):
            for price in page:
                prices.setdefault(price["sku"], []).append(price)
        return prices


def parsed(line: Raw) -> ExtractLine:
    """A product as read, in the form in which a run's folder would have handed it on."""
    return ExtractLine.model_validate_json(writable(json.dumps(line, ensure_ascii=False)))


def variants_of(projection: Raw) -> list[Raw]:
    """All variants, the master variant first."""
    return [projection["masterVariant"], *projection.get("variants", ())]


def skus_of(projection: Raw) -> list[str]:
    """SKUs of those variants that have one."""
    return [variant["sku"] for variant in variants_of(projection) if variant.get("sku")]


def _askable(page: Iterable[Raw]) -> list[str]:
    """SKUs that a query may name. One with control characters is held anyway, and could spoil the whole query."""
    return [sku for projection in page for sku in skus_of(projection) if sku.isprintable()]
