"""commercetools resources as far as this package reads them (Classic catalogue, HTTP API).

Only the fields we use; unknown ones are ignored, so that a new field of the API never breaks a run. Shapes
follow the public OpenAPI of the HTTP API.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Localized = dict[str, str]


def timestamp(moment: datetime) -> str:
    """A moment as the API writes it: ``2026-11-20T10:15:00.000Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment_of(text: str | None) -> datetime | None:
    """The moment that a text of the API, or of a note that holds one, names; ``None``: it names none."""
    return datetime.fromisoformat(text) if text else None


class Resource(BaseModel):
    """Base: camelCase on the wire, immutable in memory."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)


class Reference(Resource):
    """A reference to another resource, by id."""

    type_id: str
    id: str


class Money(Resource):
    """An amount in minor units; ``fraction_digits`` is the currency's exponent (0, 2, 3)."""

    currency_code: str
    cent_amount: int
    fraction_digits: int = 2


class DiscountedPrice(Resource):
    """The price after a product discount."""

    value: Money


class Price(Resource):
    """An embedded price. Scopes that are ``None`` match everybody."""

    id: str | None = None
    value: Money
    country: str | None = None
    customer_group: Reference | None = None
    channel: Reference | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    discounted: DiscountedPrice | None = None


class StandalonePrice(Price):
    """A price kept apart from the product, joined by SKU."""

    sku: str
    active: bool = True


class Attribute(Resource):
    """An attribute's raw value: text, number, boolean, enum ``{key,label}``, money, reference, or a list (set)."""

    name: str
    value: Any = None


class Image(Resource):
    """A product image."""

    url: str
    label: str | None = None


class Variant(Resource):
    """A product variant; the master variant has id 1."""

    id: int
    sku: str | None = None
    key: str | None = None
    prices: tuple[Price, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    images: tuple[Image, ...] = ()


class ProductProjection(Resource):
    """The current (published) projection of a product."""

    id: str
    version: int
    last_modified_at: datetime
    key: str | None = None
    product_type: Reference
    name: Localized = Field(default_factory=dict)
    slug: Localized = Field(default_factory=dict)
    description: Localized = Field(default_factory=dict)
    categories: tuple[Reference, ...] = ()
    category_order_hints: dict[str, str] = Field(default_factory=dict)
    attributes: tuple[Attribute, ...] = ()
    master_variant: Variant
    variants: tuple[Variant, ...] = ()
    tax_category: Reference | None = None
    price_mode: str = "Embedded"

    @property
    def all_variants(self) -> tuple[Variant, ...]:
        """Master variant first, as commercetools orders them."""
        return (self.master_variant, *self.variants)


class Category(Resource):
    """A category of the tree."""

    id: str
    key: str | None = None
    name: Localized = Field(default_factory=dict)
    slug: Localized = Field(default_factory=dict)
    parent: Reference | None = None
    order_hint: str = "0.5"


class Address(Resource):
    """A postal address; only the country is mandatory in commercetools."""

    country: str
    street_name: str | None = None
    street_number: str | None = None
    postal_code: str | None = None
    city: str | None = None
    region: str | None = None
    state: str | None = None
    phone: str | None = None
    email: str | None = None


class Channel(Resource):
    """A Channel; one with the role ``InventorySupply`` can hold stock."""

    id: str
    key: str
    roles: tuple[str, ...] = ()
    name: Localized = Field(default_factory=dict)
    address: Address | None = None


class AttributeType(Resource):
    """What values an attribute takes: ``text``, ``ltext``, ``enum``, ``lenum``, ``number``, ``set`` …"""

    name: str


class AttributeDefinition(Resource):
    """An attribute of a product type; the label is what a shopper may read.

    ``attribute_constraint`` is ``None``, ``Unique``, ``CombinationUnique`` or ``SameForAll`` (as text).
    """

    name: str
    label: Localized = Field(default_factory=dict)
    type: AttributeType = AttributeType(name="text")
    attribute_constraint: str = "None"


class ProductType(Resource):
    """A product type with its attribute definitions."""

    id: str
    key: str | None = None
    name: str = ""
    attributes: tuple[AttributeDefinition, ...] = ()
