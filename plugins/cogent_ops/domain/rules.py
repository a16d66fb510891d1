"""What a person decides about the catalogue of one link, as the mapping needs it.

:mod:`cogent_ops.config` reads these from ``include/mapping.yaml``. They live here because the mapping is pure and
knows nothing of files; the descriptions become the configuration reference and the hints of editors.
"""

from __future__ import annotations

import re
from enum import StrEnum
from ipaddress import ip_network
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from cogent_ops.domain.iso import COUNTRIES, CURRENCY_EXPONENTS
from cogent_ops.domain.markup import UNREADABLE
from cogent_ops.domain.text import did_you_mean

_LOCALE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|\d{3}))?")

_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:\d{1,5})?")


def _currency(code: str) -> str:
    if code not in CURRENCY_EXPONENTS:
        hint = did_you_mean(code, CURRENCY_EXPONENTS) or "It has three capitals, e.g. EUR"
        raise ValueError(f"'{code}' is not a currency code of ISO 4217 ({hint.strip()})")
    return code


def _country(code: str) -> str:
    if code not in COUNTRIES:
        hint = did_you_mean(code, COUNTRIES) or "It has two capitals, e.g. DE"
        raise ValueError(f"'{code}' is not a country code of ISO 3166-1 ({hint.strip()})")
    return code


def _locale(tag: str) -> str:
    if not _LOCALE.fullmatch(tag):
        raise ValueError(f"'{tag}' is not a locale as commercetools writes it (e.g. de, de-AT, zh-Hans-CN)")
    return tag


def _origin(text: str) -> str:
    if text != "*" and not _ORIGIN.fullmatch(text):
        raise ValueError(
            f"'{text}' is no origin as browsers send it (e.g. https://kiosk.example.com: scheme, host, port where it "
            "is not the usual one, no path), nor *"
        )
    return text


def _network(text: str) -> str:
    try:
        ip_network(text)
    except ValueError:
        raise ValueError(f"'{text}' is no address or network (e.g. 10.0.0.5 or 10.0.0.0/8)") from None
    return text


def _harmless(tag: str) -> str:
    if tag in UNREADABLE:
        raise ValueError(f"'{tag}' is no tag that a description may keep: its content is never shown as text")
    return tag


Currency = Annotated[str, AfterValidator(_currency), Field(examples=["EUR"])]
Country = Annotated[str, AfterValidator(_country), Field(examples=["DE"])]
Locale = Annotated[str, AfterValidator(_locale), Field(examples=["de", "de-AT"])]
Origin = Annotated[str, AfterValidator(_origin), Field(examples=["https://kiosk.example.com"])]
Network = Annotated[str, AfterValidator(_network), Field(examples=["10.0.0.0/8"])]
Tag = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*$"), AfterValidator(_harmless)]
Name = Annotated[str, StringConstraints(min_length=1, pattern=r"\S")]
Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{2,256}$")]
"""A commercetools key."""


class Rules(BaseModel):
    """Base: immutable, and a field that does not exist is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _empty_means_default(cls, data: Any) -> Any:
        """A field without a value counts as left out: all lines of a section may be comments."""
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value is not None or key not in cls.model_fields}


class PriceRules(Rules):
    """Which of a variant's prices the kiosk shows.

    As commercetools selects prices: those that fit currency, country, channel, customer group and date; the most
    specific wins, a customer group before a channel before a country, and at equal scope one with dates.
    """

    channel: Key | None = Field(
        None, description="Key of the Channel whose prices count. Empty: only prices without a Channel."
    )
    customer_group: Key | None = Field(
        None, description="Key of the customer group whose prices count. Empty: only prices for everybody."
    )


class MetadataRule(Rules):
    """One attribute that becomes Cloudshelf metadata, for labels, filters and content blocks."""

    attribute: Name = Field(description="Name of the commercetools attribute.")
    namespace: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]*$")] = Field(
        "commercetools", description="Namespace in Cloudshelf, lower case."
    )
    key: Name | None = Field(None, description="Key in Cloudshelf. Empty: the attribute's name.")
    level: Literal["product", "variant"] = Field(
        "product", description="Whether products carry it (from the master variant) or each variant does."
    )


class AttributeRules(Rules):
    """Which attributes mean what."""

    options: Literal["auto"] | Annotated[tuple[Name, ...], Field(min_length=1)] = Field(
        "auto",
        description="What tells the variants of a product apart: a list of attributes in the order a shopper "
        "chooses, or auto: the readable attributes of the product type whose values differ within the product.",
    )
    ignore: tuple[Name, ...] = Field(
        (), description="Attributes that auto never takes, e.g. article numbers that differ but say nothing."
    )
    barcode: tuple[Name, ...] = Field(
        (), description="Attributes that may hold the barcode (GTIN); the first filled one counts."
    )
    vendor: Name | None = Field(None, description="Attribute that holds the brand.")
    tags: tuple[Name, ...] = Field((), description="Attributes whose values become tags.")
    product_type: Annotated[str, StringConstraints(pattern=r"^(name|key|attribute:\S+)$")] = Field(
        "name",
        description="Where the kiosk's product type comes from: name or key of the commercetools product type, "
        "or attribute:NAME.",
    )
    metadata: tuple[MetadataRule, ...] = Field((), description="Attributes that become metadata.")


class GroupRules(Rules):
    """How the category tree becomes Cloudshelf's flat product groups."""

    separator: Annotated[str, StringConstraints(min_length=1, max_length=10)] = Field(
        " > ", description="Stands between the names of a path: Women > Shoes > Boots."
    )
    include_ancestors: bool = Field(
        False, description="Whether a product is a member of the groups above its own category too."
    )
    exclude: tuple[Key, ...] = Field(
        (), description="Keys of categories that become no group, with everything below them."
    )
    max_depth: Annotated[int, Field(ge=1, le=50)] | None = Field(
        None, description="Deepest level that becomes a group; what lies below joins it. Empty: all levels."
    )


class InventoryPolicy(StrEnum):
    """What the kiosk does with a variant that is out of stock."""

    DENY = "DENY"
    CONTINUE = "CONTINUE"


class StockRules(Rules):
    """When a variant counts as in stock and may be bought."""

    channels: Literal["all", "locations"] | Annotated[tuple[Key, ...], Field(min_length=1)] = Field(
        "all",
        description="Supply Channels whose stock counts: all, locations (those of this link's stores), "
        "or a list of Channel keys.",
    )
    count_channelless: bool = Field(
        True, description="Whether stock without a Channel (the central pool) counts."
    )
    safety_stock: Annotated[int, Field(ge=0)] = Field(
        0,
        description="In stock means: more than this is available in all counting Channels together.",
        json_schema_extra={"unit": "pieces"},
    )
    when_out_of_stock: InventoryPolicy = Field(
        InventoryPolicy.DENY,
        description="DENY: out of stock cannot be bought. CONTINUE: it can (back order, pre-order).",
    )
    back_order_attribute: Name | None = Field(
        None, description="Boolean attribute that, where filled, overrules when_out_of_stock per variant."
    )


class LocationRules(Rules):
    """Which supply Channels become Cloudshelf locations."""

    countries: tuple[Country, ...] = Field((), description="Only stores in these countries. Empty: all.")
    exclude: tuple[Key, ...] = Field((), description="Keys of Channels that are no store of this link.")


class LocationOverride(Rules):
    """What is known about one store besides its commercetools Channel; a filled field wins over the Channel's."""

    display_name: Name | None = Field(None, description="Name of the store as kiosks show it.")
    address1: Name | None = Field(None, description="Street and number.")
    address2: str | None = Field(None, description="Second address line.")
    city: Name | None = Field(None, description="City.")
    province_code: str | None = Field(None, description="Region or state.")
    zip: str | None = Field(None, description="Postal code.")
    country: Country | None = Field(None, description="Country code.")
    phone: str | None = Field(None, description="Phone number of the store.")
    email: str | None = Field(None, description="E-mail address of the store.")
    fulfils_online_orders: bool = Field(
        False, description="Whether online orders are delivered from this store."
    )
    exclude: bool = Field(False, description="Whether this Channel is no store, in any link.")


class OrderStatus(StrEnum):
    """State of a Cloudshelf order."""

    DRAFT_BASKET = "DRAFT_BASKET"
    PLACED = "PLACED"
    PAID = "PAID"
    PARTIALLY_REFUNDED = "PARTIALLY_REFUNDED"
    REFUNDED = "REFUNDED"
    VOIDED = "VOIDED"


class CatalogueRules(Rules):
    """Everything the mapping of one link depends on."""

    country: Country = Field(description="Country of the organisation (ISO 3166-1); selects prices.")
    currency: Currency = Field(description="The organisation's one currency (ISO 4217); selects prices.")
    locales: Annotated[tuple[Locale, ...], Field(min_length=1)] = Field(
        description="Languages in the order of preference; a text that lacks one is taken from the next."
    )
    required_locales: Annotated[tuple[Locale, ...], Field(min_length=1)] = Field(
        description="Languages in which every product must have its name and slug; a part of locales."
    )
    prices: PriceRules = Field(default_factory=PriceRules, description="Price selection.")
    attributes: AttributeRules = Field(default_factory=AttributeRules, description="Meaning of attributes.")
    description_tags: tuple[Tag, ...] = Field(
        ("p", "br", "ul", "ol", "li", "strong", "em", "b", "i", "h2", "h3", "h4"),
        description="HTML tags that survive in descriptions, without their attributes; of others the text stays.",
    )
    groups: GroupRules = Field(default_factory=GroupRules, description="Categories to product groups.")
    stock: StockRules = Field(default_factory=StockRules, description="Stock flags.")
    locations: LocationRules = Field(default_factory=LocationRules, description="Channels to locations.")

    @field_validator("required_locales")
    @classmethod
    def _are_read(cls, required: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        missing = [locale for locale in required if locale not in info.data.get("locales", required)]
        if missing:
            raise ValueError(f"names {', '.join(missing)}, which is not among the locales")
        return required


Pause = Annotated[float, Field(gt=0, le=60, json_schema_extra={"unit": "s"})]
Overlap = Annotated[int, Field(ge=0, le=86_400, json_schema_extra={"unit": "s"})]
Lease = Annotated[
    int,
    Field(
        ge=30,
        le=3600,
        description="After so long without a sign of life, another run takes over what one left unfinished.",
        json_schema_extra={"unit": "s"},
    ),
]
Linger = Annotated[
    float,
    Field(
        ge=0,
        le=600,
        description="How long a run keeps looking after its last piece of work before it ends.",
        json_schema_extra={"unit": "s"},
    ),
]
LongestRun = Annotated[
    float,
    Field(
        ge=1,
        le=3600,
        description="After so long a run hands over to the next one.",
        json_schema_extra={"unit": "s"},
    ),
]


class MovementRules(Rules):
    """Which kiosk orders move stock, where, and how the movements are carried to commercetools."""

    deduct: tuple[OrderStatus, ...] = Field(
        (OrderStatus.PLACED, OrderStatus.PAID),
        description="Order states in which the ordered quantities are taken from stock.",
    )
    give_back: tuple[OrderStatus, ...] = Field(
        (OrderStatus.VOIDED, OrderStatus.REFUNDED),
        description="Order states in which everything taken is given back.",
    )
    take_from: Literal["location"] | Key = Field(
        "location",
        description="Whose stock a kiosk sale takes: location (the supply Channel of the kiosk's store), or the "
        "key of one supply Channel for all stores.",
    )
    start: AwareDatetime | None = Field(
        None,
        description="Moment from which kiosk orders move stock; commercetools' quantities hold what was sold before "
        "it, so that is recorded and not sent. Empty: the moment of the first poll.",
        examples=["2026-11-24T06:00:00Z"],
    )
    file_drop: str | None = Field(
        None,
        description="Folder in which stores' systems lay movements and counts (CSV, JSONL, Parquet), as a local "
        "path or an object storage URL. Empty: none.",
    )
    overlap_seconds: Overlap = Field(
        120, description="How far a poll of orders looks back behind the last one."
    )
    orders_page: Annotated[int, Field(ge=1, le=250)] = Field(
        50,
        description="Orders asked for in a page; halved by itself where Cloudshelf finds that too complex.",
        json_schema_extra={"unit": "orders"},
    )
    round_entries: Annotated[int, Field(ge=1, le=5000)] = Field(
        500,
        description="Inventory entries that one round of a drain changes at most.",
        json_schema_extra={"unit": "entries"},
    )
    concurrency: Annotated[int, Field(ge=1, le=64)] = Field(
        16, description="Entries changed at the same time by one drain.", json_schema_extra={"unit": "calls"}
    )
    lease_seconds: Lease = 90
    poll_seconds: Pause = Field(1.0, description="Pause between two looks for new work.")
    linger_seconds: Linger = 15.0
    longest_run_seconds: LongestRun = 300.0

    @field_validator("give_back")
    @classmethod
    def _is_one_or_the_other(
        cls, states: tuple[OrderStatus, ...], info: ValidationInfo
    ) -> tuple[OrderStatus, ...]:
        both = [state for state in states if state in info.data.get("deduct", ())]
        if both:
            raise ValueError(f"names {', '.join(both)}, which is in deduct too")
        return states


class AvailabilityRules(Rules):
    """How commercetools' availability reaches the kiosks."""

    rows_per_call: Annotated[int, Field(ge=1, le=1000)] = Field(
        1000, description="Stock levels in a call to Cloudshelf.", json_schema_extra={"unit": "rows"}
    )
    overlap_seconds: Annotated[int, Field(ge=0, le=3600)] = Field(
        30,
        description="How far a look at changed inventory entries reaches back behind the last one.",
        json_schema_extra={"unit": "s"},
    )
    sweep_minutes: Annotated[int, Field(ge=1, le=1440)] = Field(
        15,
        description="After so long every inventory entry is read, because a change by an order may not show "
        "otherwise.",
        json_schema_extra={"unit": "min"},
    )
    share: Annotated[float, Field(gt=0, le=0.5)] = Field(
        0.15,
        description="Part of commercetools' rate that stays for reading availability however many movements wait.",
        json_schema_extra={"unit": "share 0..1"},
    )
    poll_seconds: Pause = Field(2.0, description="Pause between two looks for changes.")
    longest_run_seconds: LongestRun = Field(
        50.0, description="So long a run keeps looking; the next one starts every minute."
    )


class LiveStockRules(Rules):
    """How the live stock endpoint answers kiosks on a product view."""

    ttl_seconds: Annotated[float, Field(gt=0, le=60)] = Field(
        3.0,
        description="How old an answer of commercetools may be and still be given to the next kiosk.",
        json_schema_extra={"unit": "s"},
    )
    stale_seconds: Annotated[float, Field(ge=0, le=86_400)] = Field(
        300.0,
        description="How old the last known value may be that stands in while commercetools gives none; without "
        "one the answer is an error, never a zero.",
        json_schema_extra={"unit": "s"},
    )
    timeout_seconds: Annotated[float, Field(gt=0, le=30)] = Field(
        2.0,
        description="After so long a kiosk gets the last known value, or the error.",
        json_schema_extra={"unit": "s"},
    )
    requests_per_minute: Annotated[int, Field(ge=1)] = Field(
        600,
        description="Requests that one client address may send in a minute; ten seconds' worth at once. A store's "
        "kiosks usually share an address.",
        json_schema_extra={"unit": "requests"},
    )
    share: Annotated[float, Field(gt=0, le=1)] = Field(
        0.2,
        description="Largest part of limits.commercetools.rate that one process of the API server spends on it.",
        json_schema_extra={"unit": "share 0..1"},
    )
    cors_origins: tuple[Origin, ...] = Field(
        ("*",),
        description="Origins whose pages a browser lets read the answer. *: all; the token still guards it.",
    )
    trusted_proxies: tuple[Network, ...] = Field(
        (),
        description="Proxies whose X-Forwarded-For is believed when clients are told apart. Empty: the address "
        "that connects is the client.",
    )


class OrderRules(Rules):
    """When and how a kiosk order becomes a commercetools order."""

    number_prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{0,20}$")] = Field(
        "CS-",
        description="Stands before the Cloudshelf order's id in the orderNumber. Never change it later.",
    )
    grace_minutes: Annotated[int, Field(ge=0, le=10_080)] = Field(
        15,
        description="So long a PLACED order may wait for its payment before a person is asked.",
        json_schema_extra={"unit": "min"},
    )
    placed_is_paid: bool = Field(
        False, description="Whether PLACED means paid, as a payment on the kiosk may; then nobody is asked."
    )
    order_state: Literal["Open", "Confirmed"] = Field(
        "Confirmed", description="orderState of a captured order."
    )
    shipment_state: Literal["Pending", "Ready", "Delayed", "Backorder"] | None = Field(
        "Pending", description="shipmentState of a captured order. Empty: none."
    )
    store: Literal["channel", "none"] | Key = Field(
        "channel",
        description="Store of a captured order: channel (the Store whose supply Channels hold the kiosk's Channel), "
        "none, or the key of one Store.",
    )
    email: Literal["optional", "required", "never"] = Field(
        "optional",
        description="Whether an order needs the customer's e-mail address. optional: it is sent where Cloudshelf gives "
        "one. never: it is neither read nor kept.",
    )
    email_attribute: Name = Field(
        "CS_EMAIL", description="Attribute of an order line in which Cloudshelf gives the e-mail address."
    )
    unknown_products: Literal["review", "custom_line"] = Field(
        "review",
        description="What becomes of a line whose article commercetools does not have: review (a person mends it), or "
        "custom_line (it becomes a custom line item).",
    )
    discounts: Literal["review", "custom_line"] = Field(
        "review",
        description="What becomes of an order with a discount code whose lines come to more than the basket: review, "
        "or custom_line (the difference becomes a custom line item with a negative price).",
    )
    check_basket_value: bool = Field(
        True, description="Whether the lines must come to the value of the session's basket."
    )
    prices_include_tax: bool = Field(
        True, description="Whether kiosk prices hold the tax where a product's tax rate does not say."
    )
    shipping_tax_category: Key | None = Field(
        None, description="Key of the tax category of shipping lines and other custom lines. Empty: no tax."
    )
    tax_required: bool = Field(
        True,
        description="Whether every line needs a tax rate for the store's country. False: it is left out.",
    )
    basket_field: Name = Field(
        "CS_OrderId",
        description="Custom field in which the web shop's own orders name the kiosk basket that a customer took along "
        "by QR code.",
    )
    poll_seconds: Pause = Field(1.0, description="Pause between two looks for orders to capture.")
    shop_poll_seconds: Annotated[float, Field(ge=1, le=3600)] = Field(
        30.0,
        description="Pause between two looks for orders that commercetools has cancelled, refunded or completed.",
        json_schema_extra={"unit": "s"},
    )
    overlap_seconds: Overlap = Field(120, description="How far such a look reaches back behind the last one.")
    round_orders: Annotated[int, Field(ge=1, le=500)] = Field(
        100, description="Orders that one round takes on.", json_schema_extra={"unit": "orders"}
    )
    concurrency: Annotated[int, Field(ge=1, le=64)] = Field(
        16, description="Orders worked on at the same time.", json_schema_extra={"unit": "orders"}
    )
    lease_seconds: Lease = 90
    linger_seconds: Linger = 15.0
    longest_run_seconds: LongestRun = 300.0


Days = Annotated[int, Field(ge=1, le=3650, json_schema_extra={"unit": "days"})]


class RetentionRules(Rules):
    """How long what is not needed any more is kept. What is open is never touched, and totals stay for accounting."""

    contacts_days: Days = Field(
        7,
        description="E-mail addresses of orders that are captured or excluded; an order in review keeps its own.",
    )
    orders_days: Days = Field(400, description="Contents of kiosk orders; numbers, totals and states stay.")
    payloads_days: Days = Field(90, description="Payloads of closed exceptions; the exception itself stays.")
    alerts_days: Days = Field(90, description="Messages that were sent.")
    health_days: Days = Field(
        400, description="Measurements of sync health, from which curves and monthly reports are drawn."
    )
    drift_days: Days = Field(
        400,
        description="Nights of comparison with what they found; what waits for an answer or is being mended stays. "
        "Snapshots have drift.keep_nights, and reports are kept for good.",
    )
    runs_days: Days = Field(30, description="Run folders with what tasks hand to one another, and reports.")


class DriftRules(Rules):
    """What a night's comparison may mend by itself, and what is too young to be called a difference."""

    heal: Literal["off", "ask", "small"] = Field(
        "off",
        description="off: differences are reported with what would be mended, and nothing is (begin with this). ask: a "
        "person approves everything that is mended. small: what lies within the limits is mended by itself.",
    )
    heal_units: Annotated[int, Field(ge=0, le=10_000)] = Field(
        3,
        description="Most units of one difference that are mended without a person.",
        json_schema_extra={"unit": "units"},
    )
    heal_value: Annotated[float, Field(ge=0)] = Field(
        50.0,
        description="Most money of one difference that is mended without a person; without a price it is too much.",
        json_schema_extra={"unit": "the link's currency"},
    )
    heal_share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.001,
        description="Share of the compared SKUs of which so many may differ at once; beyond it something larger is "
        "wrong, and a person is asked for all of them.",
        json_schema_extra={"unit": "share 0..1"},
    )
    lag_seconds: Annotated[float, Field(ge=0, le=3600)] = Field(
        60.0,
        description="Changes younger than this may not show everywhere yet: what differs is read again after it.",
        json_schema_extra={"unit": "s"},
    )
    rereads: Annotated[int, Field(ge=1, le=20)] = Field(
        4, description="How often what differs is read again while its orders are too young to judge it."
    )
    late_minutes: Annotated[int, Field(ge=1, le=10_080)] = Field(
        15, description="A movement may wait so long.", json_schema_extra={"unit": "min"}
    )
    catalogue_minutes: Annotated[int, Field(ge=15, le=10_080)] = Field(
        60,
        description="A change of the catalogue may take so long to reach the kiosks.",
        json_schema_extra={"unit": "min"},
    )
    order_minutes: Annotated[int, Field(ge=1, le=10_080)] = Field(
        60,
        description="An order, or a change of it, may take so long to reach the other side.",
        json_schema_extra={"unit": "min"},
    )
    order_days: Annotated[int, Field(ge=1, le=60)] = Field(
        2,
        description="Orders that were placed or changed in so many days before the night are compared.",
        json_schema_extra={"unit": "days"},
    )
    listed: Annotated[int, Field(ge=1, le=100_000)] = Field(
        1000,
        description="Differences of a night that are stored one by one, the most expensive first; the others are in "
        "its CSV file and in the totals.",
    )
    keep_nights: Annotated[int, Field(ge=2, le=3650)] = Field(
        60, description="Nights whose snapshots are kept, from which they can be compared again."
    )


class FreshnessTargets(Rules):
    """The agreed age of data, flow by flow; sync health measures against it."""

    catalogue_minutes: Annotated[int, Field(ge=15, le=10_080)] = Field(
        45,
        description="From a change of a product to the kiosks.",
        json_schema_extra={"unit": "min"},
    )
    stock_seconds: Annotated[int, Field(ge=5, le=86_400)] = Field(
        60,
        description="From a sale at a kiosk to the inventory of commercetools.",
        json_schema_extra={"unit": "s"},
    )
    availability_seconds: Annotated[int, Field(ge=10, le=86_400)] = Field(
        120,
        description="From a change of the inventory to the kiosks.",
        json_schema_extra={"unit": "s"},
    )
    orders_seconds: Annotated[int, Field(ge=10, le=86_400)] = Field(
        120,
        description="From the payment of a kiosk order to the order in commercetools.",
        json_schema_extra={"unit": "s"},
    )
    status_minutes: Annotated[int, Field(ge=1, le=10_080)] = Field(
        15,
        description="From a captured order, or a change of it, to Cloudshelf.",
        json_schema_extra={"unit": "min"},
    )
    drift_hours: Annotated[int, Field(ge=24, le=240)] = Field(
        30, description="From one nightly comparison to the next.", json_schema_extra={"unit": "h"}
    )


class HealthRules(Rules):
    """What is normal for a link, and what calls somebody."""

    targets: FreshnessTargets = Field(
        default_factory=FreshnessTargets, description="How old the data of each flow may be."
    )
    usual_weeks: Annotated[int, Field(ge=1, le=26)] = Field(
        4,
        description="So many past weeks say what is usual in a store at an hour of the week.",
        json_schema_extra={"unit": "weeks"},
    )
    silent_after_orders: Annotated[float, Field(ge=2, le=1000)] = Field(
        7.0,
        description="A store is silent when so many orders would have been usual since its last one. With 7, chance "
        "alone does that once in about a thousand such spans.",
        json_schema_extra={"unit": "orders"},
    )
    kiosk_minutes: Annotated[int, Field(ge=5, le=10_080)] = Field(
        60,
        description="A kiosk that Cloudshelf has not seen for so long counts as off, within business hours.",
        json_schema_extra={"unit": "min"},
    )
    credential_days: Annotated[int, Field(ge=1, le=365)] = Field(
        30,
        description="So long before a credential ends somebody is told.",
        json_schema_extra={"unit": "days"},
    )
    messages: Literal["watch", "required", "ignore"] = Field(
        "watch",
        description="Whether commercetools must keep Messages. watch: a project that has kept them must go on.",
    )
    subscriptions: Literal["all", "none"] | tuple[Key, ...] = Field(
        "all",
        description="Which Subscriptions of the commercetools project must deliver: all that there are, none, or a "
        "list of keys, each of which must be there.",
    )
    monitor_minutes: Annotated[int, Field(ge=6, le=1440)] = Field(
        15,
        description="After so long without a check the monitor itself counts as dead, and the page turns grey.",
        json_schema_extra={"unit": "min"},
    )
    heartbeat: Name | None = Field(
        None,
        description="Id of an Airflow connection (type http) that is called after each check, so that a service "
        "outside can tell when Airflow as a whole is dead. Empty: none.",
    )


class ProtectionRules(Rules):
    """Protection while late: kiosks are told less, so that nothing is sold twice."""

    mode: Literal["on", "off"] = Field(
        "on", description="off: units at risk are shown, and nothing is held back."
    )
    after_seconds: Annotated[float, Field(ge=5, le=86_400)] = Field(
        60.0,
        description="Stock that is late for so long is protected; below it the next push corrects it anyway.",
        json_schema_extra={"unit": "s"},
    )
    rate_hours: Annotated[float, Field(gt=0, le=168)] = Field(
        2.0,
        description="The rate of sale is that of so many hours before, or of the last ten minutes where that is more.",
        json_schema_extra={"unit": "h"},
    )
    factor: Annotated[float, Field(ge=0, le=10)] = Field(
        1.0,
        description="Sales that are expected while nobody reads orders are held back times this. 0: only what is "
        "known to be sold.",
    )
    reserve: Annotated[float, Field(ge=0, le=10)] = Field(
        1.0,
        description="For each unit at risk so many more are left to the web shop: if stock stays late as long again, "
        "kiosks sell as many again, and the web shop does not learn of it before. 0: kiosks sell to the last unit.",
    )
    most_units: Annotated[int, Field(ge=0, le=100_000)] = Field(
        50,
        description="Most units that are held back at a place by estimate; what is known to be sold comes on top.",
        json_schema_extra={"unit": "units"},
    )
