"""What a sandbox starts from: one commercetools project, in the API's own wire format.

A :class:`Dataset` holds plain dictionaries exactly as the commercetools HTTP API returns them, so that the
simulated server answers with them unchanged and no second model of the API can drift away from the first. It
also remembers what was done to the data on purpose (``dirt``): tests compare the gate's findings with that.

Equal parts (references, amounts, enum values) are shared between records to keep a catalogue of 100,000
variants in memory. Whoever changes a record replaces the part that changes and never edits one in place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]
"""A JSON object."""

PROJECT_KEY = "sandbox"


@dataclass(frozen=True, slots=True)
class Dataset:
    """A whole project. Lists hold raw API resources.

    :param project: the answer to ``GET /{projectKey}``.
    :param categories: every ``Category``, parents before children.
    :param channels: every ``Channel``.
    :param product_types: every ``ProductType``.
    :param tax_categories: every ``TaxCategory``.
    :param customer_groups: every ``CustomerGroup``.
    :param stores: every ``Store``.
    :param products: every ``ProductProjection`` (current data, all published).
    :param inventory: every ``InventoryEntry``; without ``supplyChannel`` it is the channel-less pool.
    :param standalone_prices: every ``StandalonePrice``, joined to products by SKU.
    :param types: every ``Type`` (custom fields) that records above use.
    :param dirt: product id -> names of the defects planted in or found on it; clean ones are absent.
    :param dirty_variants: product id -> defect name -> ids of the variants that carry it. Only for defects
        that concern single variants.
    :param source_counts: what was read and what became of it; for generated data the number of records.
    """

    project: Json
    categories: list[Json]
    channels: list[Json]
    product_types: list[Json]
    tax_categories: list[Json]
    customer_groups: list[Json]
    stores: list[Json]
    products: list[Json]
    inventory: list[Json]
    standalone_prices: list[Json]
    types: list[Json] = field(default_factory=list)
    dirt: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    dirty_variants: Mapping[str, Mapping[str, tuple[int, ...]]] = field(default_factory=dict)
    source_counts: Mapping[str, int] = field(default_factory=dict)


def all_variants(product: Json) -> Iterator[Json]:
    """Variants of a raw product, master variant first, as commercetools orders them."""
    yield product["masterVariant"]
    yield from product["variants"]


def stable_id(*parts: object) -> str:
    """UUID-shaped id that depends on nothing but ``parts``: equal input, equal id, on every machine."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=16).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-a{digest[17:20]}-{digest[20:]}"


def timestamp(moment: datetime) -> str:
    """A moment as the API writes it: ``2026-11-20T10:15:00.000Z``.

    :raises ValueError: when the moment has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError("A timestamp needs a time zone.")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def reference(type_id: str, identifier: str) -> Json:
    """A ``Reference`` by id."""
    return {"typeId": type_id, "id": identifier}


def money(currency: str, cents: int) -> Json:
    """A ``CentPrecisionMoney`` of a currency with two decimals.

    :param currency: ISO 4217 code, e.g. ``EUR``.
    :param cents: amount in minor units.
    """
    return {"type": "centPrecision", "currencyCode": currency, "centAmount": cents, "fractionDigits": 2}


def resource(identifier: str, created: str, modified: str, version: int = 1) -> Json:
    """The head that every resource has: id, version and both timestamps (already in wire format)."""
    return {"id": identifier, "version": version, "createdAt": created, "lastModifiedAt": modified}


def project(
    *, name: str, countries: list[str], currencies: list[str], languages: list[str], created: str
) -> Json:
    """A Classic-catalogue ``Project`` with Messages switched on.

    :param created: timestamp in wire format.
    """
    return {
        "version": 1,
        "key": PROJECT_KEY,
        "name": name,
        "countries": countries,
        "currencies": currencies,
        "languages": languages,
        "createdAt": created,
        "messages": {"enabled": True, "deleteDaysAfterCreation": 15},
        "carts": {"deleteDaysAfterLastModification": 90, "countryTaxRateFallbackEnabled": False},
        "shoppingLists": {"deleteDaysAfterLastModification": 360},
        "inventory": {"reservationExpirationInMinutes": 60, "releaseExpiredReservations": True},
        "discounts": {"discountCombinationMode": "Stacking"},
        "productCatalogModel": "Classic",
    }
