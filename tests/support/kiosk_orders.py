"""Kiosk orders as Cloudshelf gives them, and what a draft needs beside them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from cogent_ops.domain.identifiers import location_gid, product_gid, variant_gid
from cogent_ops.domain.order_draft import Article, Draft, DraftContext, build
from cogent_ops.domain.orders import KioskOrder, read_order
from cogent_ops.domain.rules import OrderRules
from cogent_ops.domain.taxes import TaxRate

Json = dict[str, Any]
ULID = "01JDFX0000ABCDEFGHJKMNPQRS"
RULES = OrderRules()
VAT = TaxRate("VAT", Decimal("0.19"), is_included=True, country="DE")
REDUCED = TaxRate("VAT reduced", Decimal("0.07"), is_included=True, country="DE")
SALES_TAX = TaxRate("Sales tax", Decimal("0.0825"), is_included=False, country="US")


def line(sku: str | None = "sku-1", quantity: Any = 2, **more: Any) -> Json:
    """An order line."""
    return {
        "id": "gid://cloudshelf/OrderLine/1",
        "productId": "gid://cloudshelf/Product/1",
        "productName": "Coat",
        "productVariantId": "gid://cloudshelf/ProductVariant/1",
        "productVariantName": "S",
        "platformProvidedProductId": product_gid("p"),
        "platformProvidedProductVariantId": None if sku is None else variant_gid(sku),
        "quantity": quantity,
        "price": 19.9,
        "currencyCode": "EUR",
        "customAttributes": [],
        **more,
    }


def shipping(price: float | None = 4.9, **more: Any) -> Json:
    """A line without an article."""
    nothing = {"productId": "", "productVariantId": "", "platformProvidedProductId": None, "productName": ""}
    return line(None, **{"quantity": 1, "price": price, **nothing, **more})


def order(*lines: Json, **more: Any) -> Json:
    """An order."""
    return {
        "id": f"gid://cloudshelf/Order/{ULID}",
        "status": "PAID",
        "createdAt": "2026-11-24T10:00:00Z",
        "updatedAt": "2026-11-24T10:00:05.123Z",
        "thirdPartyId": None,
        "discountCode": None,
        "lines": list(lines),
        "session": {"id": "gid://cloudshelf/Session/1", "locationId": location_gid("berlin")},
        **more,
    }


def paid(*lines: Json, basket: float | str | None = None, **more: Any) -> KioskOrder:
    """A paid order, with the value of its basket where one is given."""
    session = {**order()["session"], "basketValue": basket, **more.pop("session", {})}
    return read_order(order(*lines, session=session, **more))


def context(*skus: str, tax: TaxRate | None = VAT, **more: Any) -> DraftContext:
    """What is known: these SKUs, all of one tax category with one rate."""
    currency, country = ("EUR", "DE") if tax is None else (more.pop("currency", "EUR"), tax.country)
    articles: Mapping[str, Article] = {
        sku: Article({"de": "Mantel", "en": "Coat"}, "standard") for sku in skus
    }
    known: Json = {
        "currency": currency,
        "country": country,
        "locales": ("de", "en"),
        "channel": "berlin",
        "store": "berlin-store",
        "articles": articles,
        "taxes": {"standard": tax},
        "other_tax": None,
        "email": None,
        "edits": {},
        "type_key": "cogent-ops-order",
    }
    return DraftContext(**{**known, **more})


def drafted(order_: KioskOrder, known: DraftContext, rules: OrderRules = RULES) -> Draft:
    """The draft of an order with which nothing is wrong."""
    found = build(order_, known, rules)
    assert isinstance(found, Draft), found
    return found
