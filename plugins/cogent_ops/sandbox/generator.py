"""Generated catalogues: a department store of any size, equal for an equal seed.

Every product is made from random numbers of its own (seed and running number), so a catalogue can be streamed
product by product. Clean products are clean for a shop in Germany (EUR) and in Great Britain (GBP) with
German and English names; Italian is only partly filled, as are other optional things, because fallbacks must
be exercised by data that is in order.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import cycle, islice, product
from typing import TypedDict, Unpack

from cogent_ops.sandbox import vocabulary as words
from cogent_ops.sandbox.dataset import (
    Dataset,
    Json,
    all_variants,
    money,
    reference,
    resource,
    stable_id,
    timestamp,
)
from cogent_ops.sandbox.defects import (
    MAX_VARIANTS,
    NEEDS_PARTNER,
    NEEDS_TWO_VARIANTS,
    PLANTABLE,
    Bundle,
    Defect,
    Planting,
    gtin13,
    plant,
)
from cogent_ops.sandbox.department_store import (
    COLLECTION_ATTRIBUTE,
    CUSTOMER_GROUPS,
    TAGS,
    foundation,
    slugify,
    texts,
)
from cogent_ops.sandbox.vocabulary import LOCALES, Department, Group, Leaf, Words

VARIANT_AXES = ("color", "size", "dimensions", "shade", "volume", "storage")
"""Names of all attributes that tell variants apart, in the order in which a shopper expects them."""

BRAND_ATTRIBUTE = "brand"
BARCODE_ATTRIBUTE = "gtin"
TAGS_ATTRIBUTE = "tags"
REQUIRED_LOCALES = ("de", "en")
"""Every clean product has its name and slug in these."""

_STYLES = 2**25
_STYLE_STEP = 7_368_787
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LARGEST_AT = 7
_MIN_PRODUCTS_FOR_LARGEST = 50
_GTIN_BASE = 200_000_000_000
_RATES = {"EUR": 1.0, "GBP": 0.87, "USD": 1.08}
_PROMISES: Words = ("aus", "made of", "in")
_QUOTED: Words = ("„{}“", "“{}”", "«{}»")


@dataclass(frozen=True, slots=True)
class VariantMix:
    """How many variants products have.

    :param buckets: ``(weight, fewest, most)``; within a bucket every number is equally likely.
    :param largest: from 50 products on, one product has exactly this many; ``None`` leaves it to chance.
    """

    buckets: tuple[tuple[int, int, int], ...] = (
        (25, 1, 1),
        (55, 2, 6),
        (15, 7, 12),
        (4, 13, 40),
        (1, 41, 100),
    )
    largest: int | None = MAX_VARIANTS

    def draw(self, rng: random.Random) -> int:
        """Number of variants of one product."""
        _, fewest, most = rng.choices(self.buckets, weights=[weight for weight, _, _ in self.buckets])[0]
        return rng.randint(fewest, most)


@dataclass(frozen=True, slots=True)
class Options:
    """What a generated catalogue is to be like.

    :param seed: equal options give equal data.
    :param products: how many; 200 make a demo, 10,000 with ``variants=10`` a benchmark.
    :param now: timezone-aware; validity periods and timestamps are relative to it.
    :param dirty_share: share of products that get one defect each (see :class:`~.defects.Defect`). A defect
        that takes another product's SKU marks that one too, on top of the share.
    :param variants: a fixed number for every product (a defect that needs two variants gets two), or a mix.
    :param stores: how many stores with a Channel each.
    :param stores_per_product: fewest and most stores that list a product.
    :param standalone_share: share of clean products with ``priceMode`` Standalone.
    :param every_defect: plant each defect at least once, even where that exceeds the share.
    :param over_limit: the last product has 101 variants, which a real Classic project cannot hold.
    :raises ValueError: for values that make no catalogue.
    """

    seed: int
    products: int
    now: datetime
    dirty_share: float = 0.06
    variants: int | VariantMix = field(default_factory=VariantMix)
    stores: int = 6
    stores_per_product: tuple[int, int] = (1, 3)
    standalone_share: float = 0.1
    every_defect: bool = False
    over_limit: bool = False

    def __post_init__(self) -> None:
        """Check the ranges."""
        fewest, most = self.stores_per_product
        if self.now.tzinfo is None:
            raise ValueError("now needs a time zone.")
        if not 0 <= self.products <= _STYLES:
            raise ValueError(f"products must be between 0 and {_STYLES}, got {self.products}.")
        if not 0 <= self.dirty_share <= 1 or not 0 <= self.standalone_share <= 1:
            raise ValueError("Shares lie between 0 and 1.")
        if not 1 <= self.stores <= len(words.STORES):
            raise ValueError(f"stores must be between 1 and {len(words.STORES)}, got {self.stores}.")
        if not 0 <= fewest <= most:
            raise ValueError(f"stores_per_product must be (fewest, most), got {self.stores_per_product}.")
        if isinstance(self.variants, int) and not 1 <= self.variants <= MAX_VARIANTS:
            raise ValueError(f"A product has 1 to {MAX_VARIANTS} variants, not {self.variants}.")


class Settings(TypedDict, total=False):
    """The optional fields of :class:`Options`, for :func:`generate`."""

    dirty_share: float
    variants: int | VariantMix
    stores: int
    stores_per_product: tuple[int, int]
    standalone_share: float
    every_defect: bool
    over_limit: bool


def generate(*, seed: int, products: int, now: datetime, **settings: Unpack[Settings]) -> Dataset:
    """Make a whole catalogue in memory; the parameters are the fields of :class:`Options`.

    :raises ValueError: for values that make no catalogue.
    """
    return CatalogueGenerator(Options(seed=seed, products=products, now=now, **settings)).dataset()


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be wrong with one product.

    ``partner`` is the running number of the product whose SKU is taken; ``mirrored`` marks that other
    product, which is itself left as it is.
    """

    defect: Defect | None = None
    partner: int | None = None
    mirrored: bool = False


_CLEAN = _Plan()


@dataclass(frozen=True, slots=True)
class _PriceRule:
    """A price that every variant of a product has: a factor of its base price, and for whom and when."""

    currency: str
    factor: float = 1.0
    discount: float | None = None
    scope: Json = field(default_factory=dict)


@dataclass(slots=True)
class _Blueprint:
    """The decisions about a product that come first, above all its SKUs, which other products may take."""

    index: int
    rng: random.Random
    department: Department
    group: Group
    leaf: Leaf
    noun: Words
    brand: str
    model: str
    style: str
    combinations: list[tuple[tuple[str, str, Words], str]]

    def sku(self, place: int) -> str:
        """SKU of the variant at this place (0 = master)."""
        (_, code, _), second = self.combinations[place]
        return f"{self.department.code}{self.style}-{code}-{_alphanumeric(second)}"


class CatalogueGenerator:
    """Makes a catalogue; :meth:`bundles` streams its products without keeping them.

    :param options: what to make.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        seed, stores = options.seed, words.STORES[: options.stores]
        self._created = timestamp(options.now - timedelta(days=900))
        self._amounts: dict[tuple[str, int], Json] = {}
        self._axes: dict[tuple[str, str], Json] = {}
        self._channels = [reference("channel", stable_id(seed, "channel", key)) for key, *_ in stores]
        self._groups = [
            reference("customer-group", stable_id(seed, "customer-group", key)) for key in CUSTOMER_GROUPS
        ]
        self._discount = reference("product-discount", stable_id(seed, "product-discount", "season"))
        self._plans = _plan_defects(options)

    def foundation(self) -> Dataset:
        """The project without its products."""
        return foundation(seed=self.options.seed, now=self.options.now, stores=self.options.stores)

    def dataset(self) -> Dataset:
        """Everything, in memory."""
        bundles = list(self.bundles())
        return replace(
            self.foundation(),
            products=[bundle.product for bundle in bundles],
            inventory=[entry for bundle in bundles for entry in bundle.inventory],
            standalone_prices=[price for bundle in bundles for price in bundle.standalone_prices],
            dirt={bundle.product["id"]: bundle.defects for bundle in bundles if bundle.defects},
            dirty_variants={
                bundle.product["id"]: bundle.dirty_variants for bundle in bundles if bundle.dirty_variants
            },
            source_counts=_counts(bundles),
        )

    def bundles(self) -> Iterator[Bundle]:
        """Products one by one, each with its stock, its standalone prices and its defects."""
        for index in range(self.options.products):
            yield self._bundle(index)

    def _bundle(self, index: int) -> Bundle:
        blueprint = self._blueprint(index)
        plan = self._plans.get(index, _CLEAN)
        standalone = plan is _CLEAN and blueprint.rng.random() < self.options.standalone_share
        bundle = self._clean(blueprint, standalone=standalone)
        if plan.defect is None:
            return bundle
        if plan.mirrored or plan.defect is Defect.TOO_MANY_VARIANTS:
            bundle.mark(plan.defect, (1,) if plan.mirrored else ())
        else:
            plant(plan.defect, bundle, self._planting(blueprint, plan.partner))
        return bundle

    def _planting(self, blueprint: _Blueprint, partner: int | None) -> Planting:
        return Planting(
            rng=blueprint.rng,
            now=self.options.now,
            required_locale=REQUIRED_LOCALES[0],
            axes=blueprint.department.axes,
            barcode_attribute=BARCODE_ATTRIBUTE,
            partner_sku=None if partner is None else self._blueprint(partner).sku(0),
        )

    # The decisions

    def _blueprint(self, index: int) -> _Blueprint:
        rng = random.Random(f"{self.options.seed}/product/{index}")
        department = rng.choice(words.DEPARTMENTS)
        group = rng.choice(department.groups)
        leaf = rng.choice(group.leaves)
        firsts = words.SCENTS if group.scented else words.COLOURS
        seconds = group.second_axis or department.second_axis
        return _Blueprint(
            index=index,
            rng=rng,
            department=department,
            group=group,
            leaf=leaf,
            noun=rng.choice(leaf.nouns),
            brand=rng.choice(words.BRANDS),
            model=rng.choice(words.MODELS),
            style=_style(self.options.seed, index),
            combinations=_combinations(rng, firsts, seconds, self._variant_count(index, rng)),
        )

    def _variant_count(self, index: int, rng: random.Random) -> int:
        options = self.options
        defect = self._plans.get(index, _CLEAN).defect
        if defect is Defect.TOO_MANY_VARIANTS:
            return MAX_VARIANTS + 1
        if isinstance(options.variants, int):
            drawn = options.variants
        elif (
            options.variants.largest
            and index == _LARGEST_AT
            and options.products >= _MIN_PRODUCTS_FOR_LARGEST
        ):
            drawn = options.variants.largest
        else:
            drawn = options.variants.draw(rng)
        return max(drawn, 2) if defect in NEEDS_TWO_VARIANTS else drawn

    # The records

    def _clean(self, blueprint: _Blueprint, *, standalone: bool) -> Bundle:
        rng = blueprint.rng
        modified = self._modified(rng)
        cents = rng.randint(*blueprint.leaf.cents)
        rules = self._price_rules(rng)
        common = self._common_attributes(blueprint, cents)
        barcodes = rng.random() < 0.85
        pictures = self._pictures(blueprint)
        variants, standalone_prices = [], []
        for place, (first, second) in enumerate(blueprint.combinations):
            prices = list(self._prices(blueprint, place, rules, _surcharged(blueprint, cents, second)))
            sku = blueprint.sku(place)
            if standalone:
                standalone_prices += [self._standalone(price, sku, modified) for price in prices]
            variants.append(
                {
                    "id": place + 1,
                    "sku": sku,
                    "prices": [] if standalone else prices,
                    "attributes": [
                        *self._axis_attributes(blueprint, first, second),
                        *([_gtin(blueprint.index, place)] if barcodes else ()),
                        *common,
                    ],
                    "images": pictures[first[0]],
                    "assets": [],
                }
            )
        return Bundle(
            product=self._product(blueprint, variants, modified, "Standalone" if standalone else "Embedded"),
            inventory=list(self._inventory(blueprint)),
            standalone_prices=standalone_prices,
        )

    def _product(self, blueprint: _Blueprint, variants: list[Json], modified: str, price_mode: str) -> Json:
        rng = blueprint.rng
        locales = LOCALES if rng.random() < 0.4 else REQUIRED_LOCALES
        name = {
            locale: f"{blueprint.brand} {noun} {blueprint.model}"
            for locale, noun in texts(blueprint.noun, locales).items()
        }
        categories, hints = self._categories(blueprint)
        style = blueprint.style.lower()
        return {
            **resource(self._id("product", blueprint.index), self._created, modified, rng.randint(1, 40)),
            "key": f"{blueprint.leaf.key}-{style}",
            "productType": reference("product-type", self._id("product-type", blueprint.department.key)),
            "name": name,
            "slug": {locale: f"{slugify(text)}-{style}" for locale, text in name.items()},
            "description": self._description(blueprint, locales if rng.random() < 0.85 else LOCALES[:1]),
            "categories": categories,
            "categoryOrderHints": hints,
            "searchKeywords": {},
            "hasStagedChanges": rng.random() < 0.05,
            "published": True,
            "taxCategory": reference(
                "tax-category", self._id("tax-category", "reduced" if rng.random() < 0.05 else "standard")
            ),
            "priceMode": price_mode,
            "attributes": [
                {
                    "name": COLLECTION_ATTRIBUTE,
                    "value": f"{rng.choice(words.MODELS)} {2020 + rng.randrange(7)}",
                }
            ],
            "masterVariant": variants[0],
            "variants": variants[1:],
        }

    def _description(self, blueprint: _Blueprint, locales: Sequence[str]) -> Json:
        material = blueprint.rng.choice(blueprint.department.materials)
        detail = blueprint.rng.choice(blueprint.department.details)
        promise = ("mit", "with", "con") if blueprint.department is words.BEAUTY else _PROMISES
        return {
            locale: f"<p>{noun} {quoted.format(blueprint.model)} {link} {stuff}.</p><p>{more}</p>"
            for locale, noun, quoted, link, stuff, more in zip(
                LOCALES, blueprint.noun, _QUOTED, promise, material, detail, strict=True
            )
            if locale in locales
        }

    def _categories(self, blueprint: _Blueprint) -> tuple[list[Json], Json]:
        """The article's own category, sometimes another one below *New* or *Sale*, and its place in them."""
        rng = blueprint.rng
        keys = [blueprint.leaf.key]
        if rng.random() < 0.25:
            keys.append(f"{rng.choice(('new', 'sale'))}-{blueprint.department.key}")
        ids = [self._id("category", key) for key in keys]
        hints = {key: f"0.{rng.randrange(10_000):04d}1" for key in ids} if rng.random() < 0.7 else {}
        return [reference("category", key) for key in ids], hints

    def _common_attributes(self, blueprint: _Blueprint, cents: int) -> list[Json]:
        rng, brand = blueprint.rng, blueprint.brand
        material = texts(
            rng.choice(blueprint.department.materials), LOCALES if rng.random() < 0.5 else LOCALES[:2]
        )
        chosen = rng.sample(TAGS, rng.choice((0, 1, 1, 2)))
        found: list[Json] = [
            {"name": BRAND_ATTRIBUTE, "value": {"key": slugify(brand), "label": brand}},
            {"name": "material", "value": material},
            {"name": "sustainable", "value": rng.random() < 0.3},
            {"name": "weight", "value": rng.choice((120, 250.5, 480, 1500))},
        ]
        if chosen:
            found.append({"name": TAGS_ATTRIBUTE, "value": [{"key": tag, "label": tag} for tag in chosen]})
        if rng.random() < 0.3:
            found.append({"name": "recommendedPrice", "value": self._amount("EUR", _charming(cents * 1.2))})
        return found

    def _axis_attributes(
        self, blueprint: _Blueprint, first: tuple[str, str, Words], second: str
    ) -> list[Json]:
        """The two attributes that tell variants apart; equal ones are one object in the whole catalogue."""
        first_name, second_name = blueprint.department.axes
        key, _, name = first
        labels = texts(name)
        return [
            self._axes.setdefault(
                (first_name, key),
                {
                    "name": first_name,
                    "value": {"key": key, "label": labels} if first_name == "color" else labels,
                },
            ),
            self._axes.setdefault(
                (second_name, second),
                {
                    "name": second_name,
                    "value": second
                    if second_name in ("dimensions", "volume")
                    else {"key": second, "label": second},
                },
            ),
        ]

    def _pictures(self, blueprint: _Blueprint) -> dict[str, list[Json]]:
        """Images by first axis: variants of one colour share theirs."""
        number = blueprint.rng.randint(1, 3)
        folder = f"https://images.example.com/{blueprint.department.key}/{blueprint.style.lower()}"
        return {
            key: [
                {"url": f"{folder}-{key}-{shot}.jpg", "dimensions": _DIMENSIONS}
                for shot in range(1, number + 1)
            ]
            for (key, _, _), _ in blueprint.combinations
        }

    def _inventory(self, blueprint: _Blueprint) -> Iterator[Json]:
        """Entries of every SKU in the stores that list the product, and mostly in the channel-less pool."""
        rng = blueprint.rng
        fewest, most = (min(limit, len(self._channels)) for limit in self.options.stores_per_product)
        places: list[Json | None] = [*rng.sample(self._channels, rng.randint(fewest, most))]
        if not places or rng.random() < 0.9:
            places.append(None)
        modified = self._modified(rng)
        for variant in range(len(blueprint.combinations)):
            sku = blueprint.sku(variant)
            for number, channel in enumerate(places):
                quantity, available = _stock(rng)
                entry = resource(
                    self._id("inventory", blueprint.index, variant, number), self._created, modified
                )
                entry["sku"] = sku
                if channel is not None:
                    entry["supplyChannel"] = channel
                entry["quantityOnStock"] = quantity
                entry["availableQuantity"] = available
                yield entry

    # Prices

    def _price_rules(self, rng: random.Random) -> list[_PriceRule]:
        """Which prices a product has: the same pattern for all its variants, as price lists are made."""
        discount = rng.choice((0.9, 0.8, 0.7, 0.5)) if rng.random() < 0.2 else None
        rules = [_PriceRule("EUR", discount=discount), _PriceRule("GBP", scope={"country": "GB"})]
        if rng.random() < 0.4:
            rules.append(_PriceRule("EUR", 1.02, scope={"country": "DE"}))
        if rng.random() < 0.6:
            rules.append(_PriceRule("USD", scope={"country": "US"}))
        if rng.random() < 0.3:
            rules.append(_PriceRule("EUR", 0.8, scope={"customerGroup": rng.choice(self._groups)}))
        if rng.random() < 0.25:
            factor = rng.choice((0.95, 1.05))
            rules.append(
                _PriceRule("EUR", factor, scope={"country": "DE", "channel": rng.choice(self._channels)})
            )
        if rng.random() < 0.3:
            rules.append(_PriceRule("EUR", 0.85, scope={"country": "DE", **self._period(rng)}))
        return rules

    def _period(self, rng: random.Random) -> Json:
        """A fortnight that is over, running or to come."""
        begin = self.options.now + timedelta(days=rng.choice((-60, -7, -3, 20)))
        return {"validFrom": timestamp(begin), "validUntil": timestamp(begin + timedelta(days=14))}

    def _prices(
        self, blueprint: _Blueprint, place: int, rules: list[_PriceRule], cents: int
    ) -> Iterator[Json]:
        for number, rule in enumerate(rules):
            amount = _charming(cents * rule.factor * _RATES[rule.currency])
            price = {
                "id": self._id("price", blueprint.index, place, number),
                "value": self._amount(rule.currency, amount),
                **rule.scope,
            }
            if rule.discount is not None:
                lowered = self._amount(rule.currency, int(amount * rule.discount) // 5 * 5)
                price["discounted"] = {"value": lowered, "discount": self._discount}
            yield price

    def _standalone(self, price: Json, sku: str, modified: str) -> Json:
        head = resource(price["id"], self._created, modified)
        return {**head, **price, "sku": sku, "active": True}

    def _amount(self, currency: str, cents: int) -> Json:
        """The amount, as one object for the whole catalogue."""
        known = self._amounts.get((currency, cents))
        if known is None:
            known = self._amounts[currency, cents] = money(currency, cents)
        return known

    # Small things

    def _id(self, *parts: object) -> str:
        return stable_id(self.options.seed, *parts)

    def _modified(self, rng: random.Random) -> str:
        """Mostly long ago; two of a hundred within the last hour, which is what a delta run looks for."""
        longest = 3600 if rng.random() < 0.02 else 400 * 86_400
        return timestamp(self.options.now - timedelta(seconds=rng.randrange(longest)))


_DIMENSIONS = {"w": 1200, "h": 1600}


def _plan_defects(options: Options) -> dict[int, _Plan]:
    """Who gets which defect: every kind in turn, so that few dirty products already show many kinds."""
    rng = random.Random(f"{options.seed}/defects")
    last = options.products - 1
    usable = range(last if options.over_limit else options.products)
    wanted = round(options.products * options.dirty_share)
    if options.every_defect:
        wanted = max(wanted, len(PLANTABLE))
    chosen = rng.sample(usable, min(wanted, len(usable)))
    taken = set(chosen)
    partners = [index for index in usable if index not in taken]
    rng.shuffle(partners)
    plans = {last: _Plan(Defect.TOO_MANY_VARIANTS)} if options.over_limit and options.products else {}
    for index, defect in zip(chosen, cycle(rng.sample(PLANTABLE, len(PLANTABLE))), strict=False):
        if defect not in NEEDS_PARTNER:
            plans[index] = _Plan(defect)
        elif partners:
            partner = partners.pop()
            plans[index] = _Plan(defect, partner=partner)
            plans[partner] = _Plan(defect, mirrored=True)
        else:
            plans[index] = _Plan(Defect.MISSING_SKU)
    return plans


def _combinations(
    rng: random.Random, firsts: Sequence[tuple[str, str, Words]], seconds: Sequence[str], number: int
) -> list[tuple[tuple[str, str, Words], str]]:
    """So many different pairs of values of the two axes, as a near-rectangle of neighbouring sizes."""
    narrowest = -(-number // len(seconds))
    width = rng.randint(narrowest, max(narrowest, min(4, number)))
    height = -(-number // width)
    start = rng.randint(0, len(seconds) - height)
    return list(islice(product(rng.sample(firsts, width), seconds[start : start + height]), number))


def _style(seed: int, index: int) -> str:
    """Five characters that no other product of the catalogue has: an odd step visits every number once."""
    number = (index * _STYLE_STEP + seed * 104_729) % _STYLES
    return "".join(_ALPHABET[number >> shift & 31] for shift in (20, 15, 10, 5, 0))


def _alphanumeric(text: str) -> str:
    return "".join(character for character in text.upper() if character.isalnum())


def _gtin(index: int, place: int) -> Json:
    return {"name": BARCODE_ATTRIBUTE, "value": gtin13(_GTIN_BASE + index * 128 + place)}


def _surcharged(blueprint: _Blueprint, cents: int, second: str) -> int:
    """More memory or a bigger bottle costs more; a bigger size of a shirt does not."""
    if blueprint.department.axes[1] not in ("storage", "volume", "dimensions"):
        return cents
    return cents + cents * blueprint.department.second_axis.index(second) // 8


def _charming(cents: float) -> int:
    """The usual price ending: ``.95``."""
    return int(cents) // 100 * 100 + 95


def _stock(rng: random.Random) -> tuple[int, int]:
    """``(quantityOnStock, availableQuantity)``: often nothing, seldom oversold, some pieces reserved."""
    roll = rng.random()
    if roll < 0.15:
        return 0, 0
    if roll < 0.155:
        return -1, -1
    quantity = rng.randint(1, 9) if roll < 0.75 else rng.randint(10, 80)
    reserved = rng.randint(1, 2) if quantity > 2 and rng.random() < 0.05 else 0
    return quantity, quantity - reserved


def _counts(bundles: list[Bundle]) -> dict[str, int]:
    found: Counter[str] = Counter(products=len(bundles), dirty_products=sum(bool(b.defects) for b in bundles))
    for bundle in bundles:
        variants = list(all_variants(bundle.product))
        found["variants"] += len(variants)
        found["embedded_prices"] += sum(len(variant["prices"]) for variant in variants)
        found["standalone_prices"] += len(bundle.standalone_prices)
        found["inventory"] += len(bundle.inventory)
    return dict(found)
