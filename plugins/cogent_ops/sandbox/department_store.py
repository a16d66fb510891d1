"""Everything of a generated project that is not a product: categories, stores, product types and the like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import count

from cogent_ops.sandbox import vocabulary as words
from cogent_ops.sandbox.dataset import Dataset, Json, project, reference, resource, stable_id, timestamp
from cogent_ops.sandbox.vocabulary import LOCALES, Department, Words

CUSTOMER_GROUPS = ("b2b", "loyalty")
TAGS = ("new", "bestseller", "limited", "eco")
COLLECTION_ATTRIBUTE = "collection"

_TAX_RATES = {"DE": 0.19, "AT": 0.2, "IT": 0.22, "GB": 0.2, "US": 0.0}
_REDUCED_RATES = {"DE": 0.07, "AT": 0.1, "IT": 0.1, "GB": 0.0, "US": 0.0}
_SPECIAL_CATEGORIES: tuple[tuple[str, Words], ...] = (
    ("new", ("Neu", "New", "Novità")),
    ("sale", ("Sale", "Sale", "Saldi")),
)


def foundation(*, seed: int, now: datetime, stores: int) -> Dataset:
    """A project without products.

    :param seed: ids depend on it.
    :param now: timezone-aware; the project was set up 900 days earlier.
    :param stores: how many of the known stores exist.
    """
    built = timestamp(now - timedelta(days=900))
    chosen = words.STORES[:stores]
    return Dataset(
        project=project(
            name="Generated department store",
            countries=sorted({"DE", "GB", *(country for _, _, country, *_ in chosen)}),
            currencies=["EUR", "GBP", "USD"],
            languages=list(LOCALES),
            created=built,
        ),
        categories=list(_categories(seed, built)),
        channels=[_channel(seed, built, *store) for store in chosen] + [_erp_channel(seed, built)],
        product_types=[_product_type(seed, built, department) for department in words.DEPARTMENTS],
        tax_categories=_tax_categories(seed, built),
        customer_groups=[
            {
                **resource(stable_id(seed, "customer-group", key), built, built),
                "key": key,
                "name": key.upper(),
            }
            for key in CUSTOMER_GROUPS
        ],
        stores=[_store(seed, built, key, city, country) for key, city, country, *_ in chosen],
        products=[],
        inventory=[],
        standalone_prices=[],
    )


def texts(terms: Words, locales: Iterable[str] = LOCALES) -> Json:
    """A localized string of the term in these locales."""
    wanted = set(locales)
    return {locale: term for locale, term in zip(LOCALES, terms, strict=True) if locale in wanted}


def slugify(text: str) -> str:
    """A slug as commercetools takes it: ``[a-z0-9-]``."""
    plain = text.lower().translate(_TRANSLITERATION)
    return "-".join(
        part for part in "".join(c if c.isascii() and c.isalnum() else " " for c in plain).split()
    )


_TRANSLITERATION = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "é": "e", "à": "a", "ù": "u", "&": " and "}
)


def _categories(seed: int, built: str) -> Iterator[Json]:
    """Parents before children. Every third category has no Italian name yet."""
    places = count(1)

    def category(key: str, name: Words, parents: tuple[str, ...]) -> Json:
        place = next(places)
        locales = LOCALES if place % 3 else LOCALES[:2]
        made = {
            **resource(stable_id(seed, "category", key), built, built),
            "key": key,
            "name": texts(name, locales),
            "slug": {locale: f"{slugify(term)}-{key}" for locale, term in texts(name, locales).items()},
            "ancestors": [reference("category", stable_id(seed, "category", parent)) for parent in parents],
            "orderHint": f"0.{place:04d}1",
        }
        if parents:
            made["parent"] = made["ancestors"][-1]
        return made

    for department in words.DEPARTMENTS:
        yield category(department.key, department.name, ())
        for group in department.groups:
            yield category(group.key, group.name, (department.key,))
            for leaf in group.leaves:
                yield category(leaf.key, leaf.name, (department.key, group.key))
    for key, name in _SPECIAL_CATEGORIES:
        yield category(key, name, ())
        for department in words.DEPARTMENTS:
            yield category(f"{key}-{department.key}", department.name, (key,))


def _channel(
    seed: int, built: str, key: str, city: str, country: str, street: str, number: str, postal_code: str
) -> Json:
    return {
        **resource(stable_id(seed, "channel", key), built, built),
        "key": f"store-{key}",
        "roles": ["InventorySupply", "ProductDistribution"],
        "name": {"de": f"Filiale {city}", "en": f"{city} store"},
        "address": {
            "country": country,
            "streetName": street,
            "streetNumber": number,
            "postalCode": postal_code,
            "city": city,
            "email": f"{key}@example.com",
        },
    }


def _erp_channel(seed: int, built: str) -> Json:
    """A Channel that holds no stock: only its roles say that it is no store."""
    return {
        **resource(stable_id(seed, "channel", "erp"), built, built),
        "key": "erp",
        "roles": ["OrderImport", "OrderExport"],
        "name": {"en": "ERP"},
    }


def _store(seed: int, built: str, key: str, city: str, country: str) -> Json:
    channel = reference("channel", stable_id(seed, "channel", key))
    return {
        **resource(stable_id(seed, "store", key), built, built),
        "key": f"store-{key}",
        "name": {"de": f"Filiale {city}", "en": f"{city} store"},
        "languages": list(LOCALES),
        "countries": [{"code": country}],
        "distributionChannels": [channel],
        "supplyChannels": [channel],
        "productSelections": [],
    }


def _tax_categories(seed: int, built: str) -> list[Json]:
    return [
        {
            **resource(stable_id(seed, "tax-category", key), built, built),
            "key": key,
            "name": key,
            "rates": [
                {
                    "id": stable_id(seed, "tax-rate", key, country)[:8],
                    "name": f"{key} {country}",
                    "amount": amount,
                    "includedInPrice": country != "US",
                    "country": country,
                }
                for country, amount in rates.items()
            ],
        }
        for key, rates in (("standard", _TAX_RATES), ("reduced", _REDUCED_RATES))
    ]


def _product_type(seed: int, built: str, department: Department) -> Json:
    return {
        **resource(stable_id(seed, "product-type", department.key), built, built),
        "key": department.key,
        "name": department.name[1],
        "description": f"Articles of the department {department.name[1]}",
        "attributes": [*_axis_definitions(department), *_common_definitions()],
    }


def _axis_definitions(department: Department) -> list[Json]:
    colours = [{"key": key, "label": texts(name)} for key, _, name in words.COLOURS]
    sizes = [{"key": size, "label": size} for size in (*words.CLOTHES_SIZES, *words.SHOE_SIZES)]
    storages = [{"key": storage, "label": storage} for storage in words.STORAGES]
    known = {
        "color": _attribute("color", ("Farbe", "Colour", "Colore"), {"name": "lenum", "values": colours}),
        "size": _attribute("size", ("Größe", "Size", "Taglia"), {"name": "enum", "values": sizes}),
        "dimensions": _attribute("dimensions", ("Maße", "Dimensions", "Misure"), {"name": "text"}),
        "shade": _attribute("shade", ("Farbton / Duft", "Shade / scent", "Tonalità"), {"name": "ltext"}),
        "volume": _attribute("volume", ("Inhalt", "Volume", "Contenuto"), {"name": "text"}),
        "storage": _attribute(
            "storage", ("Speicher", "Storage", "Memoria"), {"name": "enum", "values": storages}
        ),
    }
    return [known[axis] for axis in department.axes]


def _common_definitions() -> list[Json]:
    brands = [{"key": slugify(brand), "label": brand} for brand in words.BRANDS]
    tags = [{"key": tag, "label": tag} for tag in TAGS]
    same = "SameForAll"
    return [
        _attribute("brand", ("Marke", "Brand", "Marca"), {"name": "enum", "values": brands}, same),
        _attribute("material", ("Material", "Material", "Materiale"), {"name": "ltext"}, same),
        _attribute("gtin", ("GTIN", "GTIN", "GTIN"), {"name": "text"}, "Unique"),
        _attribute(
            "tags",
            ("Merkmale", "Tags", "Etichette"),
            {"name": "set", "elementType": {"name": "enum", "values": tags}},
            same,
        ),
        _attribute("sustainable", ("Nachhaltig", "Sustainable", "Sostenibile"), {"name": "boolean"}, same),
        _attribute("recommendedPrice", ("UVP", "RRP", "Prezzo consigliato"), {"name": "money"}),
        _attribute("weight", ("Gewicht in g", "Weight in g", "Peso in g"), {"name": "number"}),
        _attribute(
            COLLECTION_ATTRIBUTE,
            ("Kollektion", "Collection", "Collezione"),
            {"name": "text"},
            level="Product",
        ),
    ]


def _attribute(name: str, label: Words, kind: Json, constraint: str = "None", level: str = "Variant") -> Json:
    return {
        "name": name,
        "label": texts(label),
        "type": kind,
        "isRequired": False,
        "level": level,
        "attributeConstraint": constraint,
        "inputHint": "SingleLine",
        "isSearchable": True,
    }
