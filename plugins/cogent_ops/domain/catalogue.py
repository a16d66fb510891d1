"""From commercetools products, categories and channels to Cloudshelf records.

Mapping never raises on bad data: what is wrong with a product stays visible in the rows that the product master
schema judges (:meth:`MappedProduct.rows`, :data:`GATE_COLUMNS`), and only what passed becomes records to send
(:func:`accept`).
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from cogent_ops.domain import attributes as attrs
from cogent_ops.domain.attributes import TypeView, Values
from cogent_ops.domain.barcodes import is_gtin
from cogent_ops.domain.categories import CategoryTree
from cogent_ops.domain.commercetools import (
    Category,
    Channel,
    Price,
    ProductProjection,
    ProductType,
    StandalonePrice,
    Variant,
)
from cogent_ops.domain.identifiers import group_gid, location_gid, product_gid, variant_gid
from cogent_ops.domain.kiosk import (
    KioskGroup,
    KioskImage,
    KioskLocation,
    KioskProduct,
    KioskVariant,
    Metadata,
)
from cogent_ops.domain.markup import clean_html
from cogent_ops.domain.pricing import Amounts, PriceScope, amounts
from cogent_ops.domain.rules import CatalogueRules, InventoryPolicy, LocationOverride, StockRules
from cogent_ops.domain.text import any_language, did_you_mean, has_control_characters, localized, one_line
from cogent_ops.errors import ConfigError

SUPPLY_ROLE = "InventorySupply"
NAMESPACE = "commercetools"
#: The nightly full pass, which alone finds what is gone, may be so old: a day, and half of one for a night that failed.
FULL_PASS_LIMIT = timedelta(hours=36)
#: Key of the inventory entries without a supply Channel.
CHANNELLESS = ""

PRODUCT_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "product_id": "commercetools id of the product",
        "product_key": "key of the product; null when it has none",
        "product_name": "name in the first of the link's languages that has one; empty when none has",
        "product_type": "key of the commercetools product type; empty when unknown",
        "missing_names": "required languages without a name, comma separated; empty when none is missing",
        "missing_slugs": "required languages without a slug, comma separated; empty when none is missing",
        "name_length": "characters of the longest name in the link's languages",
        "description_length": "characters of the description as it is sent (cleaned HTML)",
        "product_control_characters": "fields with control characters (name, slug, key, vendor), comma separated",
        "category_count": "how many categories the product refers to",
        "unknown_categories": "ids of referred categories that do not exist, comma separated",
        "group_count": "how many product groups the product joins",
        "tax_category": "id of the tax category; null when there is none",
        "tax_category_known": "whether that tax category exists; false when there is none",
        "variant_count": "how many variants the product has",
    }
)
"""Columns that are equal in all rows of a product, with their meaning."""

VARIANT_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "variant_id": "commercetools id of the variant, 1 is the master variant",
        "sku": "SKU exactly as commercetools has it; null when there is none",
        "previous_sku": "SKU that this variant carried before, when that was another; else null",
        "sendable": "whether the variant can be sent at all: it has a usable SKU and a price",
        "current_price": "what the shopper pays, major units; null when no price fits the link",
        "original_price": "the undiscounted price, major units; null when no price fits the link",
        "currency": "the link's currency",
        "price_problem": "why no price fits the link; empty when one does",
        "image_count": "how many images the variant has",
        "https_images": "how many of them have an https address; only these are sent",
        "first_image": "address of the first image; null when there is none",
        "barcode": "barcode; null when there is none",
        "barcode_valid": "whether the barcode is a GTIN with a right check digit; true when there is none",
        "options": "what tells the variant from its siblings, as a shopper reads it",
        "distinguishable": "whether that differs from all siblings; true for a product with one variant",
        "inventory_entry": "whether any inventory entry exists for the SKU; null when no entry can be asked for, "
        "because the SKU is missing, blank or holds control characters",
        "available": "pieces available in the channels that count for the link",
        "variant_name_length": "characters of the variant's name as it is sent",
        "longest_option": "characters of the longest option value",
        "option_control_characters": "options with control characters by their labels, comma separated",
    }
)
"""Columns of the variant's own, with their meaning."""

GATE_COLUMNS: Mapping[str, str] = MappingProxyType({**PRODUCT_COLUMNS, **VARIANT_COLUMNS})
"""Columns of the rows that the product master schema judges, with their meaning."""


class ExtractLine(BaseModel):
    """One product as the extract leaves it: joined with its stock and its standalone prices.

    :param inventory: available quantity by SKU and supply Channel id (:data:`CHANNELLESS`: the central pool).
    :param previous_skus: SKU that a variant (by its id) carried before, where that was another.
    """

    model_config = ConfigDict(frozen=True)

    projection: ProductProjection
    inventory: dict[str, dict[str, int]] = Field(default_factory=dict)
    standalone_prices: dict[str, tuple[StandalonePrice, ...]] = Field(default_factory=dict)
    previous_skus: dict[int, str] = Field(default_factory=dict)


class StockFlags(NamedTuple):
    """A variant's flags on the kiosk.

    :param purchasable: it can be bought, be it as a back order.
    """

    in_stock: bool
    purchasable: bool


@dataclass(frozen=True)
class CountingStock:
    """Which stock counts for a link: one judgement for flags, stock levels and live answers.

    :param channels: ids of the Channels whose stock counts; ``None``: all.
    """

    rules: StockRules
    channels: frozenset[str] | None

    @classmethod
    def of(
        cls, config: CatalogueRules, channels: Iterable[Channel], overrides: Mapping[str, LocationOverride]
    ) -> CountingStock:
        """What counts by the link's rules.

        :param channels: the project's Channels.
        :param overrides: what ``include/locations.yaml`` says, by Channel key.
        :raises ConfigError: when the rules name a Channel that the project does not have.
        """
        return cls(config.stock, _counting(config, list(channels), overrides))

    def available(self, stock: Mapping[str, int]) -> int:
        """Pieces for sale: what one Channel has oversold takes nothing from another.

        :param stock: available quantity by supply Channel id (:data:`CHANNELLESS`: the central pool).
        """
        if not self.rules.count_channelless:
            stock = {channel: quantity for channel, quantity in stock.items() if channel != CHANNELLESS}
        return sum(
            quantity
            for channel, quantity in stock.items()
            if quantity > 0 and (self.channels is None or not channel or channel in self.channels)
        )

    def in_stock(self, available: int) -> bool:
        """Whether so many pieces for sale are more than the safety stock."""
        return available > self.rules.safety_stock

    def flags(self, available: int, *, back_order: bool) -> StockFlags:
        """What a kiosk shows of a variant with so many pieces for sale.

        :param back_order: whether it can be bought although it is out of stock.
        """
        in_stock = self.in_stock(available)
        return StockFlags(in_stock, in_stock or back_order)


@dataclass(frozen=True)
class CatalogueContext:
    """What all products of a run are mapped with: the rules and the project's reference data.

    :param counting: ids of the Channels whose stock counts; ``None``: all.
    """

    rules: CatalogueRules
    scope: PriceScope
    channels: tuple[Channel, ...]
    categories: CategoryTree
    types: Mapping[str, TypeView]
    tax_categories: frozenset[str]
    counting: frozenset[str] | None

    @classmethod
    def build(
        cls,
        reference: Mapping[str, Any],
        config: CatalogueRules,
        now: datetime,
        overrides: Mapping[str, LocationOverride],
    ) -> CatalogueContext:
        """Prepare the mapping.

        :param reference: raw resources by name: ``categories``, ``channels``, ``product_types``,
            ``tax_categories``, ``customer_groups``.
        :param now: the moment at which prices must be valid.
        :param overrides: what ``include/locations.yaml`` says, by Channel key.
        :raises ConfigError: when the rules name a Channel or customer group that the project does not have.
        """
        channels = tuple(Channel.model_validate(raw) for raw in reference["channels"])
        channel_ids = {channel.key: channel.id for channel in channels}
        group_ids = {raw["key"]: raw["id"] for raw in reference["customer_groups"] if "key" in raw}
        prices = config.prices
        types = (ProductType.model_validate(raw) for raw in reference["product_types"])
        return cls(
            rules=config,
            scope=PriceScope(
                currency=config.currency,
                country=config.country,
                now=now,
                channel_id=_known(prices.channel, channel_ids, "prices.channel", "channel"),
                customer_group_id=_known(
                    prices.customer_group, group_ids, "prices.customer_group", "customer group"
                ),
            ),
            channels=channels,
            categories=CategoryTree(
                map(Category.model_validate, reference["categories"]), config.groups, config.locales
            ),
            types={kind.id: TypeView.of(kind, config.attributes, config.locales) for kind in types},
            tax_categories=frozenset(raw["id"] for raw in reference["tax_categories"]),
            counting=_counting(config, channels, overrides),
        )

    @cached_property
    def stock(self) -> CountingStock:
        """Which stock counts."""
        return CountingStock(self.rules.stock, self.counting)


@dataclass(frozen=True, slots=True)
class MappedVariant:
    """A variant with whatever is wrong with it; see :data:`GATE_COLUMNS` for what the fields mean.

    :param record: the Cloudshelf record, ``None`` when there is no usable SKU or no price to make one of.
    """

    variant_id: int
    sku: str | None
    record: KioskVariant | None
    row: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MappedProduct:
    """A product with whatever is wrong with it."""

    product_id: str
    product_key: str | None
    product_name: str
    version: int
    modified_at: datetime
    record: KioskProduct
    variants: tuple[MappedVariant, ...]
    group_ids: tuple[str, ...]
    group_order: Mapping[str, str]
    row: Mapping[str, Any]

    def rows(self) -> list[dict[str, Any]]:
        """One flat row a variant, with the columns of :data:`GATE_COLUMNS`."""
        return [{**self.row, **variant.row} for variant in self.variants]


@dataclass(frozen=True, slots=True)
class AcceptedProduct:
    """What passed the gate of one product.

    :param variants: the accepted variants, in the order of commercetools.
    :param held_skus: SKUs that commercetools has and the gate holds.
    :param group_order: order hint by group id, where there is one.
    """

    product_id: str
    product_key: str | None
    product_name: str
    version: int
    modified_at: datetime
    product: KioskProduct
    variants: tuple[KioskVariant, ...]
    held_skus: tuple[str, ...]
    group_ids: tuple[str, ...]
    group_order: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something about the project's own data, not about a product, that a person must mend.

    :param value: what it is about: a key.
    :param field: the field concerned.
    :param rule: what should hold, in words.
    :param message: what is wrong, for a person.
    """

    value: str
    field: str
    rule: str
    message: str


def accept(mapped: MappedProduct, held: Container[int]) -> AcceptedProduct | None:
    """The records of what passed; ``None`` when nothing of the product did.

    :param held: ids of the variants that the gate holds. One that is not sendable is held anyhow.
    """
    passed, held_skus = [], []
    for variant in mapped.variants:
        if variant.record is not None and variant.variant_id not in held:
            passed.append(variant.record)
        elif variant.sku:
            held_skus.append(variant.sku)
    if not passed:
        return None
    return AcceptedProduct(
        product_id=mapped.product_id,
        product_key=mapped.product_key,
        product_name=mapped.product_name,
        version=mapped.version,
        modified_at=mapped.modified_at,
        product=mapped.record,
        variants=tuple(passed),
        held_skus=tuple(held_skus),
        group_ids=mapped.group_ids,
        group_order=mapped.group_order,
    )


def map_product(line: ExtractLine, context: CatalogueContext) -> MappedProduct:
    """Map one product; whatever its data, this gives a result."""
    return _Mapping(line, context).product()


def map_groups(context: CatalogueContext) -> list[KioskGroup]:
    """The product groups, in the order of the category tree."""
    return [
        KioskGroup(id=group_gid(category.id), display_name=name, metadata=_group_metadata(category))
        for category, name in context.categories.grouped()
    ]


def map_locations(
    channels: Iterable[Channel], overrides: Mapping[str, LocationOverride], config: CatalogueRules
) -> tuple[list[KioskLocation], list[Problem]]:
    """The link's stores, and what keeps others from being one.

    :param channels: the project's Channels.
    :param overrides: what ``include/locations.yaml`` says, by Channel key.
    """
    known = list(channels)
    supply = {channel.key: channel for channel in known if SUPPLY_ROLE in channel.roles}
    locations: list[KioskLocation] = []
    problems = [_no_such_channel(key, known) for key in overrides if key not in supply]
    for key, channel in supply.items():
        override = overrides.get(key, _NO_OVERRIDE)
        if not _is_location(channel, override, config):
            continue
        location = _location(channel, override, config.locales)
        lacking = list(_lacking(key, location))
        problems += lacking
        if not lacking:
            locations.append(location)
    return locations, problems


class _Mapping:
    """One product being mapped: what its variants share is worked out once."""

    def __init__(self, line: ExtractLine, context: CatalogueContext) -> None:
        self.line, self.context = line, context
        self.rules, self.locales = context.rules, context.rules.locales
        self.projection = projection = line.projection
        self.variants = projection.all_variants
        self.values = [attrs.by_name(variant.attributes) for variant in self.variants]
        self.shared = {**self.values[0], **attrs.by_name(projection.attributes)}
        self.kind = context.types.get(projection.product_type.id) or TypeView()
        self.name = localized(projection.name, self.locales)
        self.options = self.kind.tell_apart(self.values, self.locales)
        self.distinct = attrs.distinguishable(self.options)

    def product(self) -> MappedProduct:
        projection, record = self.projection, self._product_record()
        joined, order = self._memberships()
        return MappedProduct(
            product_id=projection.id,
            product_key=projection.key,
            product_name=self.name,
            version=projection.version,
            modified_at=projection.last_modified_at,
            record=record,
            variants=tuple(map(self._variant, range(len(self.variants)))),
            group_ids=joined,
            group_order=order,
            row={**self._product_row(record), "group_count": len(joined)},
        )

    def _product_record(self) -> KioskProduct:
        projection, wanted = self.projection, self.rules.attributes
        return KioskProduct(
            id=product_gid(projection.id),
            display_name=self.name,
            description=clean_html(
                localized(projection.description, self.locales), self.rules.description_tags
            ),
            handle=localized(projection.slug, self.locales) or projection.key or projection.id,
            vendor=attrs.first_filled(self.shared, (wanted.vendor,) if wanted.vendor else (), self.locales),
            product_type=self._product_type(),
            tags=attrs.tags(self.shared, wanted.tags, self.locales),
            metadata=self._metadata(self.shared, "product"),
        )

    def _product_type(self) -> str:
        source = self.rules.attributes.product_type
        if source == "name":
            return self.kind.name
        if source == "key":
            return self.kind.key
        return attrs.render(self.shared.get(source.removeprefix("attribute:")), self.locales)

    def _metadata(self, values: Values, level: str) -> tuple[Metadata, ...]:
        rules = [rule for rule in self.rules.attributes.metadata if rule.level == level]
        return attrs.metadata(values, rules, self.locales)

    def _product_row(self, record: KioskProduct) -> dict[str, Any]:
        projection, context = self.projection, self.context
        tax = projection.tax_category.id if projection.tax_category else None
        names = [text for locale in self.locales if (text := projection.name.get(locale))]
        slugs = [text for locale in self.locales if (text := projection.slug.get(locale))]
        categories = [category.id for category in projection.categories]
        return {
            "product_id": projection.id,
            "product_key": projection.key,
            "product_name": self.name,
            "product_type": self.kind.key,
            "missing_names": self._missing(projection.name),
            "missing_slugs": self._missing(projection.slug),
            "name_length": max(map(len, names), default=0),
            "description_length": len(record.description),
            "product_control_characters": _spoilt(
                name=names, slug=slugs, key=(projection.key or "",), vendor=(record.vendor,)
            ),
            "category_count": len(categories),
            "unknown_categories": ", ".join(id_ for id_ in categories if id_ not in context.categories),
            "tax_category": tax,
            "tax_category_known": tax in context.tax_categories,
            "variant_count": len(self.variants),
        }

    def _missing(self, texts: Mapping[str, str]) -> str:
        return ", ".join(locale for locale in self.rules.required_locales if not localized(texts, (locale,)))

    def _memberships(self) -> tuple[tuple[str, ...], dict[str, str]]:
        """Groups of the product, each once, and its order hints in them."""
        tree, hints = self.context.categories, self.projection.category_order_hints
        joined = {
            group: group_gid(group)
            for category in self.projection.categories
            for group in tree.groups_of(category.id)
        }
        order = {gid: hints[group] for group, gid in joined.items() if group in hints}
        return tuple(joined.values()), order

    def _variant(self, place: int) -> MappedVariant:
        variant, options = self.variants[place], self.options[place]
        prices = self._prices(variant)
        price = self.context.scope.select(prices)
        stock = self.line.inventory.get(variant.sku) if variant.sku else None
        facts = _Facts(
            place=place,
            amounts=None if price is None else amounts(price),
            available=None if stock is None else self.context.stock.available(stock),
            barcode=attrs.first_filled(self.values[place], self.rules.attributes.barcode, self.locales),
            images=_images(variant),
            name=" / ".join(value for _, value in options) or self.name,
        )
        record = self._variant_record(variant, facts)
        row = self._variant_row(variant, facts)
        row["sendable"] = record is not None
        row["price_problem"] = self.context.scope.explain(prices) if price is None else ""
        return MappedVariant(variant.id, variant.sku, record, row)

    def _prices(self, variant: Variant) -> Sequence[Price]:
        if self.projection.price_mode != "Standalone":
            return variant.prices
        return [p for p in self.line.standalone_prices.get(variant.sku or "", ()) if p.active]

    def _variant_row(self, variant: Variant, facts: _Facts) -> dict[str, Any]:
        amounts_, options = facts.amounts, self.options[facts.place]
        values = [value for _, value in options]
        return {
            "variant_id": variant.id,
            "sku": variant.sku,
            "previous_sku": self.line.previous_skus.get(variant.id),
            "current_price": float(amounts_.current) if amounts_ else None,
            "original_price": float(amounts_.original) if amounts_ else None,
            "currency": self.rules.currency,
            "image_count": len(variant.images),
            "https_images": len(facts.images),
            "first_image": variant.images[0].url if variant.images else None,
            "barcode": facts.barcode or None,
            "barcode_valid": not facts.barcode or is_gtin(facts.barcode),
            "options": ", ".join(f"{label}: {value}" for label, value in options),
            "distinguishable": self.distinct[facts.place],
            "inventory_entry": facts.available is not None if _is_askable(variant.sku) else None,
            "available": facts.available or 0,
            "variant_name_length": len(facts.name),
            "longest_option": max(map(len, values), default=0),
            "option_control_characters": _spoilt(**{label: (value,) for label, value in options}),
        }

    def _variant_record(self, variant: Variant, facts: _Facts) -> KioskVariant | None:
        """The record; ``None`` without a usable SKU or a price to make one of."""
        sku = variant.sku
        if not sku or not _is_usable(sku) or facts.amounts is None:
            return None
        values = self.values[facts.place]
        policy = self._policy(values)
        flags = self.context.stock.flags(facts.available or 0, back_order=policy is InventoryPolicy.CONTINUE)
        return KioskVariant(
            id=variant_gid(sku),
            sku=sku,
            position=facts.place + 1,
            display_name=facts.name,
            barcode=facts.barcode or None,
            current_price=facts.amounts.current,
            original_price=facts.amounts.original,
            is_in_stock=flags.in_stock,
            available_to_purchase=flags.purchasable,
            inventory_policy=policy.value,
            attributes=self.options[facts.place],
            metadata=self._metadata(values, "variant"),
            images=facts.images,
        )

    def _policy(self, values: Values) -> InventoryPolicy:
        stock = self.rules.stock
        allowed = values.get(stock.back_order_attribute) if stock.back_order_attribute else None
        if isinstance(allowed, bool):
            return InventoryPolicy.CONTINUE if allowed else InventoryPolicy.DENY
        return stock.when_out_of_stock


@dataclass(frozen=True, slots=True)
class _Facts:
    """What row and record of a variant are both made from.

    :param available: pieces for sale; ``None`` when there is no inventory entry at all.
    """

    place: int
    amounts: Amounts | None
    available: int | None
    barcode: str
    images: tuple[KioskImage, ...]
    name: str


def _images(variant: Variant) -> tuple[KioskImage, ...]:
    """The images with an https address, each once; the first is preferred."""
    urls = dict.fromkeys(image.url for image in variant.images if image.url.startswith("https://"))
    return tuple(_image(url, place == 0) for place, url in enumerate(urls))


@lru_cache(maxsize=4096)
def _image(url: str, preferred: bool) -> KioskImage:
    """Variants of one colour share their images, so one record serves them all."""
    return KioskImage(url=url, preferred=preferred)


def _spoilt(**texts: Sequence[str]) -> str:
    """Names of the fields in which a text holds control characters."""
    if all("".join(found).isprintable() for found in texts.values()):
        return ""
    return ", ".join(name for name, found in texts.items() if any(map(has_control_characters, found)))


def _is_usable(sku: str) -> bool:
    """Whether an identifier can be made of the SKU: it is not blank and holds no half characters."""
    return bool(sku.strip()) and not any("\ud800" <= char <= "\udfff" for char in sku)


def _is_askable(sku: str | None) -> bool:
    """Whether a query may name the SKU: the extract asks for no stock of one that could spoil the query."""
    return sku is not None and bool(sku.strip()) and sku.isprintable()


def _known(key: str | None, ids: Mapping[str, str], field: str, what: str) -> str | None:
    if key is None or key in ids:
        return None if key is None else ids[key]
    raise ConfigError(
        "include/mapping.yaml",
        f"commercetools has no {what} with the key '{key}'",
        f"{did_you_mean(key, ids)}Correct it here, or create the {what} in commercetools.",
        field=field,
    )


def _counting(
    rules: CatalogueRules, channels: Collection[Channel], overrides: Mapping[str, LocationOverride]
) -> frozenset[str] | None:
    """Ids of the Channels whose stock counts; ``None``: all."""
    wanted = rules.stock.channels
    if wanted == "all":
        return None
    if wanted == "locations":
        return frozenset(
            channel.id
            for channel in channels
            if _is_location(channel, overrides.get(channel.key, _NO_OVERRIDE), rules)
        )
    ids = {channel.key: channel.id for channel in channels}
    found = (_known(key, ids, f"stock.channels[{place}]", "channel") for place, key in enumerate(wanted))
    return frozenset(filter(None, found))


def _group_metadata(category: Category) -> tuple[Metadata, ...]:
    known = {"category_key": category.key, "order_hint": category.order_hint}
    return tuple(Metadata(namespace=NAMESPACE, key=key, data=data) for key, data in known.items() if data)


# Locations


_NO_OVERRIDE = LocationOverride()


def _is_location(channel: Channel, override: LocationOverride, rules: CatalogueRules) -> bool:
    """Whether the Channel is a store of this link."""
    where = override.country or (channel.address.country if channel.address else None)
    return (
        not override.exclude
        and SUPPLY_ROLE in channel.roles
        and channel.key not in rules.locations.exclude
        and (not rules.locations.countries or where is None or where in rules.locations.countries)
    )


def _location(channel: Channel, override: LocationOverride, locales: Sequence[str]) -> KioskLocation:
    address = channel.address
    street = one_line(f"{address.street_name or ''} {address.street_number or ''}") if address else ""
    return KioskLocation(
        id=location_gid(channel.key),
        display_name=override.display_name or one_line(any_language(channel.name, locales)) or channel.key,
        country_code=override.country or (address.country if address else ""),
        address1=override.address1 or street,
        address2=override.address2 or "",
        city=override.city or (address and address.city) or "",
        province_code=override.province_code or (address and (address.region or address.state)) or "",
        zip=override.zip or (address and address.postal_code) or "",
        phone=override.phone or (address and address.phone) or "",
        email=override.email or (address and address.email) or "",
        fulfills_online_orders=override.fulfils_online_orders,
        metadata=(Metadata(namespace=NAMESPACE, key="channel_key", data=channel.key),),
    )


def _lacking(key: str, location: KioskLocation) -> Iterator[Problem]:
    """What Cloudshelf demands of a location and this one has not."""
    if not location.country_code:
        yield Problem(key, "address.country", "country is present", f"Store '{key}' has no country.")
    if not location.address1:
        yield Problem(
            key, "address.streetName", "street is present", f"Store '{key}' has no street in its address."
        )


def _no_such_channel(key: str, channels: Iterable[Channel]) -> Problem:
    """An entry of ``include/locations.yaml`` that would silently have no effect."""
    if any(channel.key == key for channel in channels):
        message = f"Channel '{key}' has an entry in locations.yaml, but not the role {SUPPLY_ROLE}."
        return Problem(key, "roles", "channel can hold stock", message)
    hint = did_you_mean(key, (channel.key for channel in channels))
    message = f"locations.yaml describes a store '{key}', but commercetools has no such channel. {hint}"
    return Problem(key, "key", "channel exists", message.strip())
