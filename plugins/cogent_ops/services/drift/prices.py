"""What units are worth: the price that kiosks show, which commercetools has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cogent_ops.domain.catalogue import CatalogueContext, map_product
from cogent_ops.domain.iso import CURRENCY_EXPONENTS
from cogent_ops.services.catalogue.read import CatalogueReader, parsed
from cogent_ops.services.drift.comparison import Parts
from cogent_ops.services.pipeline import batches
from cogent_ops.services.stock.entries import carriers

#: Products priced in one go.
PRICED = 50


def prices(parts: Parts, skus: Iterable[str]) -> dict[str, int]:
    """Price in minor units of the link's currency by SKU; those without one are absent.

    Staged products count, too: what lies on a shelf has a value before it is published.
    """
    wanted = {sku for sku in skus if sku.isprintable()}
    if not wanted:
        return {}
    reader = CatalogueReader(parts.config, parts.commercetools)
    context = CatalogueContext.build(reader.reference(), parts.config, parts.now(), parts.locations)
    digits = CURRENCY_EXPONENTS.get(parts.config.currency, 2)
    products = {product["id"]: dict(product) for _, product in carriers(parts.commercetools, wanted)}
    found: dict[str, int] = {}
    for page in batches(products.values(), PRICED):
        for sku, price in _priced(reader.priced(page), context):
            if sku in wanted:
                found[sku] = int(price.scaleb(digits))
    return found


def _priced(lines: Iterable[Mapping[str, Any]], context: CatalogueContext) -> Iterator[tuple[str, Any]]:
    for line in lines:
        for variant in map_product(parsed(dict(line)), context).variants:
            if variant.record is not None:
                yield variant.record.sku, variant.record.current_price
