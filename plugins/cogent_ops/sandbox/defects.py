"""The ways in which product master data goes wrong, each of which can be planted in a generated product.

One product carries one planted defect, so that a test can say which finding it expects. The two defects that
need another product (a SKU used twice) also mark that other product.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Self

from cogent_ops.sandbox.dataset import Json, all_variants, money, reference, stable_id, timestamp

MAX_VARIANTS = 100
"""Variants of a product in a Classic catalogue (commercetools limits)."""

_EVERY_VARIANT_SHARE = 0.3
_CONTROL_CHARACTERS = ("\x07", "\x0b", "\x1b", "\x00", "\x85")
_JUNK = (
    '<div style="font-family:Calibri"><p>Neu!<p><b>Nur heute<br></div><script>alert("x")</script>',
    "<![CDATA[Gr&ouml;&szlig;e &amp;amp; Passform]]><table><tr><td>S</td><td>&nbsp;</td></table",
    "<p>GrÃ¶ÃŸe fÃ¤llt klein aus</p><!-- copied from supplier feed --><img src=x onerror=alert(1)>",
)


class Level(StrEnum):
    """What a defect concerns: the product as a whole, or single variants."""

    PRODUCT = "product"
    VARIANT = "variant"


class Defect(StrEnum):
    """A defect by its stable name; ``rule`` says in words which rule of the master schema should find it.

    Members carry ``level`` (:class:`Level`), ``rule`` and, as their docstring, what is planted.
    """

    level: Level
    rule: str

    def __new__(cls, name: str, level: Level, rule: str, doc: str) -> Self:
        """Make a member that is its name and knows the rest."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.level = level
        member.rule = rule
        member.__doc__ = doc
        return member

    MISSING_SKU = (
        "missing_sku",
        Level.VARIANT,
        "SKU is present",
        "A variant has no SKU, and so no InventoryEntry either.",
    )
    SKU_WITH_SPACES = (
        "sku_with_spaces",
        Level.VARIANT,
        "SKU is well-formed",
        "A SKU has a leading, trailing, inner or non-breaking space, as spreadsheets leave them.",
    )
    SKU_WITH_CONTROL_CHARACTERS = (
        "sku_with_control_characters",
        Level.VARIANT,
        "SKU is well-formed",
        "A SKU holds an invisible control character, as scanners leave them.",
    )
    DUPLICATE_SKU = (
        "duplicate_sku",
        Level.VARIANT,
        "SKU is unique in the whole catalogue",
        "Two products use the same SKU; both are marked.",
    )
    SKU_CASE_TWIN = (
        "sku_case_twin",
        Level.VARIANT,
        "SKU has no look-alike",
        "Two products use SKUs that differ only by upper and lower case; both are marked.",
    )
    MISSING_KEY = ("missing_key", Level.PRODUCT, "key is present", "The product has no key.")
    MISSING_NAME = (
        "missing_name",
        Level.PRODUCT,
        "name is present in every required locale",
        "The name lacks the project's first language.",
    )
    BLANK_NAME = (
        "blank_name",
        Level.PRODUCT,
        "name is present in every required locale",
        "The name is there in every language, but holds nothing but spaces.",
    )
    MISSING_SLUG = (
        "missing_slug",
        Level.PRODUCT,
        "slug is present in every required locale",
        "The slug lacks the project's first language.",
    )
    NO_PRICE_FOR_MARKET = (
        "no_price_for_market",
        Level.VARIANT,
        "a price in the organisation's currency exists",
        "The only prices are in a currency that no European shop sells in.",
    )
    ZERO_PRICE = ("zero_price", Level.VARIANT, "price is above zero", "Every price is 0.00.")
    DISCOUNT_ABOVE_PRICE = (
        "discount_above_price",
        Level.VARIANT,
        "current price is not above the original price",
        "Every price has a discounted value that is higher than the price itself.",
    )
    EXPIRED_PRICE = (
        "expired_price",
        Level.VARIANT,
        "a price in the organisation's currency exists",
        "Every price has ended in the past.",
    )
    NO_IMAGE = ("no_image", Level.VARIANT, "at least one https image", "No image at all.")
    INSECURE_IMAGE = (
        "insecure_image",
        Level.VARIANT,
        "at least one https image",
        "Images are given by http:// addresses only.",
    )
    NO_CATEGORY = ("no_category", Level.PRODUCT, "product is in a category", "The product is in no category.")
    UNKNOWN_CATEGORY = (
        "unknown_category",
        Level.PRODUCT,
        "product is in known categories only",
        "The product refers to a category that does not exist.",
    )
    NO_TAX_CATEGORY = (
        "no_tax_category",
        Level.PRODUCT,
        "tax category is present",
        "The product has no tax category.",
    )
    GTIN_CHECK_DIGIT = (
        "gtin_check_digit",
        Level.VARIANT,
        "barcode has a valid check digit",
        "A GTIN-13 with a wrong check digit.",
    )
    GTIN_MALFORMED = (
        "gtin_malformed",
        Level.VARIANT,
        "barcode has a valid check digit",
        "A barcode that is no GTIN: letters, wrong length, or a spreadsheet's scientific notation.",
    )
    INDISTINCT_VARIANTS = (
        "indistinct_variants",
        Level.PRODUCT,
        "variants of a product are distinguishable",
        "Two variants agree in every attribute that tells variants apart.",
    )
    MISSING_ATTRIBUTES = (
        "missing_attributes",
        Level.PRODUCT,
        "variants of a product are distinguishable",
        "No variant has the attributes that tell variants apart.",
    )
    NO_INVENTORY_ENTRY = (
        "no_inventory_entry",
        Level.VARIANT,
        "an InventoryEntry exists for the SKU",
        "No InventoryEntry, neither in a channel nor in the channel-less pool.",
    )
    NAME_TOO_LONG = ("name_too_long", Level.PRODUCT, "text lengths", "A name of 1,200 characters.")
    DESCRIPTION_TOO_LONG = (
        "description_too_long",
        Level.PRODUCT,
        "text lengths",
        "A description of more than 70,000 characters.",
    )
    CONTROL_CHARACTERS = (
        "control_characters",
        Level.PRODUCT,
        "no control characters",
        "The name holds a control character in every language.",
    )
    HTML_JUNK = (
        "html_junk",
        Level.PRODUCT,
        "none: the mapping cleans descriptions, so the product is pushed",
        "The description holds scripts, unclosed tags, double-escaped entities or wrongly decoded text.",
    )
    TOO_MANY_VARIANTS = (
        "too_many_variants",
        Level.PRODUCT,
        "a product has at most 100 variants",
        "101 variants: more than commercetools allows. Planted on request only.",
    )


@dataclass(slots=True)
class Bundle:
    """One product with everything that belongs to it, and what is wrong with it.

    :param product: raw ``ProductProjection``.
    :param inventory: raw entries of its SKUs.
    :param standalone_prices: raw prices of its SKUs (only with ``priceMode`` Standalone).
    :param defects: names of its defects.
    :param dirty_variants: defect name -> ids of the variants concerned, for defects of single variants.
    """

    product: Json
    inventory: list[Json]
    standalone_prices: list[Json]
    defects: tuple[str, ...] = ()
    dirty_variants: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def mark(self, defect: Defect, variant_ids: Iterable[int] = ()) -> None:
        """Note that the product has the defect, on these variants."""
        self.defects = (*self.defects, defect.value)
        ids = tuple(variant_ids)
        if ids:
            self.dirty_variants[defect.value] = ids


@dataclass(frozen=True, slots=True)
class Planting:
    """What planting needs to know besides the product.

    :param rng: the product's own random numbers.
    :param now: the moment the data is made for.
    :param required_locale: the language that names and slugs must have.
    :param axes: names of the attributes that tell variants apart.
    :param barcode_attribute: name of the attribute that holds the GTIN.
    :param partner_sku: a SKU of another product, for the defects that need one.
    """

    rng: random.Random
    now: datetime
    required_locale: str
    axes: tuple[str, str]
    barcode_attribute: str
    partner_sku: str | None = None


def plant(defect: Defect, bundle: Bundle, planting: Planting) -> None:
    """Spoil a clean product with one defect and note it in the bundle.

    :raises ValueError: for a defect that cannot be planted into a finished product (``TOO_MANY_VARIANTS``),
        or that lacks its partner SKU.
    """
    if defect in _PRODUCT_PLANTERS:
        _PRODUCT_PLANTERS[defect](bundle, planting)
        bundle.mark(defect)
    elif defect in _VARIANT_PLANTERS:
        victims = _victims(bundle.product, planting.rng, single=defect in NEEDS_PARTNER)
        for variant in victims:
            _VARIANT_PLANTERS[defect](variant, bundle, planting)
        bundle.mark(defect, (variant["id"] for variant in victims))
    else:
        raise ValueError(f"{defect.value} cannot be planted into a finished product.")


def _victims(product: Json, rng: random.Random, *, single: bool) -> list[Json]:
    """Mostly one variant, sometimes all of them: both happen, and the gate treats them differently."""
    variants = list(all_variants(product))
    if not single and rng.random() < _EVERY_VARIANT_SHARE:
        return variants
    return [rng.choice(variants)]


def gtin13(body: int) -> str:
    """GTIN-13 with its GS1 check digit.

    :param body: the twelve digits before the check digit, as a number.
    """
    digits = f"{body:012d}"
    weighted = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits))
    return f"{digits}{-weighted % 10}"


# Product level


def _drop_key(bundle: Bundle, planting: Planting) -> None:
    bundle.product.pop("key", None)


def _drop_locale(field_name: str) -> Callable[[Bundle, Planting], None]:
    def drop(bundle: Bundle, planting: Planting) -> None:
        texts = bundle.product[field_name]
        bundle.product[field_name] = {
            key: text for key, text in texts.items() if key != planting.required_locale
        }

    return drop


def _change_names(change: Callable[[str, random.Random], str]) -> Callable[[Bundle, Planting], None]:
    def rename(bundle: Bundle, planting: Planting) -> None:
        names = bundle.product["name"]
        bundle.product["name"] = {locale: change(text, planting.rng) for locale, text in names.items()}

    return rename


def _blank(text: str, rng: random.Random) -> str:
    return " " * rng.randint(1, 4)


def _over_long(text: str, rng: random.Random) -> str:
    return (f"{text} " * 100)[:1200].ljust(1200, "x")


def _with_control_character(text: str, rng: random.Random) -> str:
    at = rng.randrange(1, len(text))
    return text[:at] + rng.choice(_CONTROL_CHARACTERS) + text[at:]


def _lengthen_description(bundle: Bundle, planting: Planting) -> None:
    texts = bundle.product["description"]
    repeats = {locale: 70_000 // len(text) + 1 for locale, text in texts.items()}
    bundle.product["description"] = {locale: text * repeats[locale] for locale, text in texts.items()}


def _junk_description(bundle: Bundle, planting: Planting) -> None:
    junk = planting.rng.choice(_JUNK)
    texts = bundle.product["description"]
    bundle.product["description"] = {locale: f"{text}{junk}" for locale, text in texts.items()}


def _drop_categories(bundle: Bundle, planting: Planting) -> None:
    bundle.product["categories"] = []
    bundle.product["categoryOrderHints"] = {}


def _unknown_category(bundle: Bundle, planting: Planting) -> None:
    nowhere = reference("category", stable_id(bundle.product["id"], "no such category"))
    bundle.product["categories"] = [nowhere, *bundle.product["categories"][1:]]
    bundle.product["categoryOrderHints"] = {}


def _drop_tax_category(bundle: Bundle, planting: Planting) -> None:
    bundle.product.pop("taxCategory", None)


def _repeat_variant(bundle: Bundle, planting: Planting) -> None:
    variants = list(all_variants(bundle.product))
    original, copy = planting.rng.sample(variants, 2)
    axes = {attribute["name"]: attribute for attribute in original["attributes"]}
    copy["attributes"] = [
        axes[attribute["name"]] if attribute["name"] in planting.axes else attribute
        for attribute in copy["attributes"]
    ]


def _drop_axes(bundle: Bundle, planting: Planting) -> None:
    for variant in all_variants(bundle.product):
        variant["attributes"] = [item for item in variant["attributes"] if item["name"] not in planting.axes]


_PRODUCT_PLANTERS: dict[Defect, Callable[[Bundle, Planting], None]] = {
    Defect.MISSING_KEY: _drop_key,
    Defect.MISSING_NAME: _drop_locale("name"),
    Defect.BLANK_NAME: _change_names(_blank),
    Defect.MISSING_SLUG: _drop_locale("slug"),
    Defect.NO_CATEGORY: _drop_categories,
    Defect.UNKNOWN_CATEGORY: _unknown_category,
    Defect.NO_TAX_CATEGORY: _drop_tax_category,
    Defect.INDISTINCT_VARIANTS: _repeat_variant,
    Defect.MISSING_ATTRIBUTES: _drop_axes,
    Defect.NAME_TOO_LONG: _change_names(_over_long),
    Defect.DESCRIPTION_TOO_LONG: _lengthen_description,
    Defect.CONTROL_CHARACTERS: _change_names(_with_control_character),
    Defect.HTML_JUNK: _junk_description,
}


# Variant level


def _rename_sku(variant: Json, bundle: Bundle, sku: str) -> None:
    """Give the variant another SKU and let its stock follow."""
    for entry in bundle.inventory:
        if entry["sku"] == variant["sku"]:
            entry["sku"] = sku
    variant["sku"] = sku


def _drop_inventory(variant: Json, bundle: Bundle, planting: Planting) -> None:
    bundle.inventory = [entry for entry in bundle.inventory if entry["sku"] != variant["sku"]]


def _drop_sku(variant: Json, bundle: Bundle, planting: Planting) -> None:
    _drop_inventory(variant, bundle, planting)
    del variant["sku"]


def _space_in_sku(variant: Json, bundle: Bundle, planting: Planting) -> None:
    sku = variant["sku"]
    spoilt = (f" {sku}", f"{sku} ", sku.replace("-", " ", 1), sku.replace("-", "\u00a0", 1))
    _rename_sku(variant, bundle, planting.rng.choice(spoilt))


def _control_character_in_sku(variant: Json, bundle: Bundle, planting: Planting) -> None:
    sku = _with_control_character(variant["sku"], planting.rng)
    _rename_sku(variant, bundle, planting.rng.choice((sku, f"{variant['sku']}\t", f"{variant['sku']}\r\n")))


def _partner_sku(planting: Planting) -> str:
    if planting.partner_sku is None:
        raise ValueError("This defect needs the SKU of another product.")
    return planting.partner_sku


def _take_sku(variant: Json, bundle: Bundle, planting: Planting) -> None:
    _drop_inventory(variant, bundle, planting)
    variant["sku"] = _partner_sku(planting)


def _take_sku_in_lower_case(variant: Json, bundle: Bundle, planting: Planting) -> None:
    _rename_sku(variant, bundle, _partner_sku(planting).lower())


def _dollars_only(variant: Json, bundle: Bundle, planting: Planting) -> None:
    cents = variant["prices"][0]["value"]["centAmount"]
    price = {"id": variant["prices"][0]["id"], "value": money("USD", cents), "country": "US"}
    variant["prices"] = [price]


def _zero_prices(variant: Json, bundle: Bundle, planting: Planting) -> None:
    variant["prices"] = [
        {
            **{name: part for name, part in price.items() if name != "discounted"},
            "value": money(price["value"]["currencyCode"], 0),
        }
        for price in variant["prices"]
    ]


def _raise_discounts(variant: Json, bundle: Bundle, planting: Planting) -> None:
    discount = reference("product-discount", stable_id("discount above price"))
    variant["prices"] = [
        {
            **price,
            "discounted": {
                "value": money(price["value"]["currencyCode"], price["value"]["centAmount"] * 3 // 2),
                "discount": discount,
            },
        }
        for price in variant["prices"]
    ]


def _expire_prices(variant: Json, bundle: Bundle, planting: Planting) -> None:
    """End each price in a week of its own, since equal scopes may not overlap in time."""
    variant["prices"] = [
        {
            **price,
            "validFrom": timestamp(planting.now - timedelta(days=40 + 14 * place)),
            "validUntil": timestamp(planting.now - timedelta(days=33 + 14 * place)),
        }
        for place, price in enumerate(variant["prices"])
    ]


def _drop_images(variant: Json, bundle: Bundle, planting: Planting) -> None:
    variant["images"] = []


def _insecure_images(variant: Json, bundle: Bundle, planting: Planting) -> None:
    variant["images"] = [
        {**image, "url": image["url"].replace("https://", "http://", 1)} for image in variant["images"]
    ]


def _change_gtin(change: Callable[[str, random.Random], str]) -> Callable[[Json, Bundle, Planting], None]:
    def spoil(variant: Json, bundle: Bundle, planting: Planting) -> None:
        name = planting.barcode_attribute
        given = next((item["value"] for item in variant["attributes"] if item["name"] == name), gtin13(0))
        others = [item for item in variant["attributes"] if item["name"] != name]
        variant["attributes"] = [*others, {"name": name, "value": change(given, planting.rng)}]

    return spoil


def _wrong_check_digit(gtin: str, rng: random.Random) -> str:
    return gtin[:-1] + str((int(gtin[-1]) + rng.randint(1, 9)) % 10)


def _no_gtin(gtin: str, rng: random.Random) -> str:
    return rng.choice(
        (f"EAN {gtin}", gtin[:-2], f"{float(gtin):.5E}", gtin.replace("0", "O").replace("1", "l"))
    )


_VARIANT_PLANTERS: dict[Defect, Callable[[Json, Bundle, Planting], None]] = {
    Defect.MISSING_SKU: _drop_sku,
    Defect.SKU_WITH_SPACES: _space_in_sku,
    Defect.SKU_WITH_CONTROL_CHARACTERS: _control_character_in_sku,
    Defect.DUPLICATE_SKU: _take_sku,
    Defect.SKU_CASE_TWIN: _take_sku_in_lower_case,
    Defect.NO_PRICE_FOR_MARKET: _dollars_only,
    Defect.ZERO_PRICE: _zero_prices,
    Defect.DISCOUNT_ABOVE_PRICE: _raise_discounts,
    Defect.EXPIRED_PRICE: _expire_prices,
    Defect.NO_IMAGE: _drop_images,
    Defect.INSECURE_IMAGE: _insecure_images,
    Defect.GTIN_CHECK_DIGIT: _change_gtin(_wrong_check_digit),
    Defect.GTIN_MALFORMED: _change_gtin(_no_gtin),
    Defect.NO_INVENTORY_ENTRY: _drop_inventory,
}

PLANTABLE: tuple[Defect, ...] = (*_VARIANT_PLANTERS, *_PRODUCT_PLANTERS)
"""Every defect that :func:`plant` can plant."""

NEEDS_PARTNER = frozenset({Defect.DUPLICATE_SKU, Defect.SKU_CASE_TWIN})
"""Defects that take a SKU of another product."""

NEEDS_TWO_VARIANTS = frozenset({Defect.INDISTINCT_VARIANTS, Defect.MISSING_ATTRIBUTES})
"""Defects that show only in a product with at least two variants."""

EXPECTED_RULES = MappingProxyType({defect.value: defect.rule for defect in Defect})
"""Defect name -> the rule, in words, that should find it."""
