"""commercetools' *Sunrise* sample data, read from its old CSV import format into the API's wire format.

The format's peculiarities: a row without ``productType`` is a further variant of the product above it; prices
read ``[country-]CUR cents[ customer group][#channel key]``; categories are paths of English names
(``Women>Clothing>Shirts``); localized columns are named ``name.de``. What cannot be read stops the load with
file and line. What refers to nothing (a category path that does not exist) stays a reference to nothing and
is noted in ``dirt``: no row is ever dropped.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cogent_ops.errors import PermanentError
from cogent_ops.sandbox.dataset import (
    Dataset,
    Json,
    all_variants,
    money,
    project,
    reference,
    resource,
    stable_id,
    timestamp,
)
from cogent_ops.sandbox.defects import Defect

LOCALES = ("en", "de", "it")
COUNTRIES = ["AT", "BE", "CH", "DE", "ES", "FR", "GB", "IT", "NL", "SE", "US"]

_PRICE = re.compile(
    r"(?:(?P<country>[A-Z]{2})-)?(?P<currency>[A-Z]{3}) (?P<cents>\d+)"
    r"(?: (?P<group>[^\s#]+))?(?:#(?P<channel>\S+))?"
)
_TAX_RATES = {"DE": 0.19, "AT": 0.2, "IT": 0.22, "GB": 0.2, "US": 0.0}
_TEXTS = ("name", "description", "slug", "metaTitle", "metaDescription", "metaKeywords")


class SunriseError(PermanentError):
    """A Sunrise file cannot be read; the message names file, line and what is wrong."""

    def __init__(self, file: str, line: int, problem: str) -> None:
        super().__init__(f"{file}, line {line}: {problem}")


@dataclass(frozen=True, slots=True)
class _Row:
    """A CSV row and where it stands."""

    file: str
    line: int
    cells: dict[str, str]

    def __getitem__(self, column: str) -> str:
        return (self.cells.get(column) or "").strip()

    def localized(self, column: str) -> dict[str, str]:
        """Filled ``column.<locale>`` cells."""
        return {locale: text for locale in LOCALES if (text := self[f"{column}.{locale}"])}

    def error(self, problem: str) -> SunriseError:
        """An error that names this row."""
        return SunriseError(self.file, self.line, problem)


def load_sunrise(path: Path, *, now: datetime, key_attribute: str | None = "baseId") -> Dataset:
    """Read a folder with the Sunrise files.

    These are products.csv, categories.csv, inventory.csv, channels.json and product-type.json.

    :param path: the folder.
    :param now: timezone-aware; every record was made and changed at this moment.
    :param key_attribute: the files give products no key, so the first variant's value of this attribute
        becomes it; ``None`` leaves products without a key.
    :returns: ``source_counts`` holds for each file how many rows were read and how many records they became,
        and how many references point nowhere.
    :raises SunriseError: when a row cannot be read.
    :raises FileNotFoundError: when a file is missing.
    """
    return _Loader(path, timestamp(now), key_attribute).load()


class _Loader:
    """Reads the files once, in the order in which they refer to each other."""

    def __init__(self, path: Path, moment: str, key_attribute: str | None) -> None:
        self._path, self._moment, self._key_attribute = path, moment, key_attribute
        self._counts: Counter[str] = Counter()
        self._customer_groups: dict[str, Json] = {}
        self._tax_categories: dict[str, Json] = {}
        self._identities: set[str] = set()
        self._dirt: dict[str, tuple[str, ...]] = {}

    def load(self) -> Dataset:
        channels = [self._channel(raw) for raw in self._json("channels.json")]
        self._channel_keys = {channel["key"] for channel in channels}
        product_types = [self._product_type(raw) for raw in self._json("product-type.json")]
        self._product_types = {kind["key"]: kind for kind in product_types}
        categories, self._paths = self._categories()
        products = self._products()
        inventory = self._inventory()
        self._count_loose_ends(products, inventory)
        return Dataset(
            project=project(
                name="Sunrise",
                countries=COUNTRIES,
                currencies=["EUR", "USD"],
                languages=list(LOCALES),
                created=self._moment,
            ),
            categories=categories,
            channels=channels,
            product_types=product_types,
            tax_categories=list(self._tax_categories.values()),
            customer_groups=list(self._customer_groups.values()),
            stores=[],
            products=products,
            inventory=inventory,
            standalone_prices=[],
            types=list(self._types(channels)),
            dirt=self._dirt,
            source_counts=dict(self._counts),
        )

    # Files

    def _rows(self, file: str) -> Iterator[_Row]:
        with (self._path / file).open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            for cells in reader:
                self._counts[f"rows:{file}"] += 1
                row = _Row(file, reader.line_num, cells)
                if None in cells:
                    raise row.error("has more cells than the header")
                yield row

    def _json(self, file: str) -> list[Json]:
        found: list[Json] = json.loads((self._path / file).read_text(encoding="utf-8"))
        self._counts[f"rows:{file}"] = len(found)
        return found

    def _head(self, *identity: object) -> Json:
        return resource(_id(*identity), self._moment, self._moment)

    # Channels, types, categories

    def _channel(self, raw: Json) -> Json:
        made = {**self._head("channel", raw["key"]), **raw}
        if "custom" in raw:
            type_key = raw["custom"]["type"]["key"]
            made["custom"] = {**raw["custom"], "type": reference("type", _id("type", type_key))}
            self._counts["channels_with_custom_fields"] += 1
        self._counts["channels"] += 1
        return made

    def _types(self, channels: list[Json]) -> Iterator[Json]:
        """The Type behind the stores' custom fields, which the files use but do not define."""
        fields = {name for channel in channels for name in channel.get("custom", {}).get("fields", ())}
        if fields:
            yield {
                **self._head("type", "physicalStore"),
                "key": "physicalStore",
                "name": {"en": "Physical store"},
                "resourceTypeIds": ["channel"],
                "fieldDefinitions": [
                    {
                        "name": name,
                        "label": {"en": name},
                        "required": False,
                        "type": {"name": "LocalizedString" if name == "openingTimes" else "String"},
                        "inputHint": "SingleLine",
                    }
                    for name in sorted(fields)
                ],
            }

    def _product_type(self, raw: Json) -> Json:
        self._counts["product_types"] += 1
        attributes = [{"level": "Variant", **attribute} for attribute in raw["attributes"]]
        return {**self._head("product-type", raw["key"]), **raw, "attributes": attributes}

    def _categories(self) -> tuple[list[Json], dict[str, str]]:
        """Categories, parents first, and the ids by path of English names."""
        rows: dict[str, _Row] = {}
        for row in self._rows("categories.csv"):
            if rows.setdefault(row["externalId"], row) is not row:
                raise row.error(f"a second category with the externalId '{row['externalId']}'")
        made: list[tuple[int, Json]] = []
        paths: dict[str, str] = {}
        for row in rows.values():
            line = _lineage(row, rows)
            path = ">".join(parent["name.en"] for parent in line)
            if path in paths:
                raise row.error(f"a second category with the path '{path}'")
            paths[path] = _id("category", row["key"])
            made.append((len(line), self._category(row, line[:-1])))
        self._counts["categories"] = len(made)
        return [category for _, category in sorted(made, key=lambda item: item[0])], paths

    def _category(self, row: _Row, parents: list[_Row]) -> Json:
        ancestors = [reference("category", _id("category", parent["key"])) for parent in parents]
        return {
            **self._head("category", row["key"]),
            "key": row["key"],
            "externalId": row["externalId"],
            "name": row.localized("name"),
            "slug": row.localized("slug"),
            "ancestors": ancestors,
            "orderHint": row["orderHint"],
            **({"parent": ancestors[-1]} if ancestors else {}),
        }

    # Products

    def _products(self) -> list[Json]:
        products: list[Json] = []
        for row in self._rows("products.csv"):
            if row["productType"]:
                products.append(self._product(row))
            elif products:
                products[-1]["variants"].append(self._variant(row, products[-1]["productType"]["id"]))
            else:
                raise row.error("a variant without a product above it (productType is empty)")
        self._counts["products"] = len(products)
        return products

    def _product(self, row: _Row) -> Json:
        kind = self._product_types.get(row["productType"])
        if kind is None:
            raise row.error(f"product type '{row['productType']}' is not in product-type.json")
        identity = self._identity(row)
        product_id = _id("product", identity)
        made = {
            **self._head("product", identity),
            "productType": reference("product-type", kind["id"]),
            **{
                column: texts
                for column in _TEXTS
                if (texts := row.localized(column)) or column in ("name", "slug")
            },
            "categories": self._category_references(row, product_id),
            "categoryOrderHints": {},
            "searchKeywords": {},
            "hasStagedChanges": False,
            "published": True,
            "priceMode": "Embedded",
            "attributes": [],
            "masterVariant": self._variant(row, kind["id"]),
            "variants": [],
        }
        if self._key_attribute and row[self._key_attribute]:
            made["key"] = row[self._key_attribute]
        if row["tax"]:
            made["taxCategory"] = reference("tax-category", self._tax_category(row["tax"])["id"])
        return made

    def _identity(self, row: _Row) -> str:
        """The first SKU, made unique by the line number where data is dirty enough to need that."""
        identity = row["sku"]
        if not identity or identity in self._identities:
            identity = f"{identity}, line {row.line}"
        self._identities.add(identity)
        return identity

    def _category_references(self, row: _Row, product_id: str) -> list[Json]:
        found = []
        for path in _split(row["categories"]):
            identifier = self._paths.get(">".join(part.strip() for part in path.split(">")))
            if identifier is None:
                self._counts["unknown_categories"] += 1
                self._dirt[product_id] = (Defect.UNKNOWN_CATEGORY.value,)
                identifier = _id("unknown-category", path)
            found.append(reference("category", identifier))
        return found

    def _tax_category(self, key: str) -> Json:
        if key not in self._tax_categories:
            self._tax_categories[key] = {
                **self._head("tax-category", key),
                "key": key,
                "name": key,
                "rates": [
                    {"id": _id("tax-rate", key, country)[:8], "name": f"{key} {country}", "amount": amount}
                    | {"includedInPrice": country != "US", "country": country}
                    for country, amount in _TAX_RATES.items()
                ],
            }
        return self._tax_categories[key]

    def _variant(self, row: _Row, product_type_id: str) -> Json:
        kind = next(kind for kind in self._product_types.values() if kind["id"] == product_type_id)
        if not row["variantId"].isdigit():
            raise row.error(f"variantId '{row['variantId']}' is no number")
        self._counts["variants"] += 1
        return {
            "id": int(row["variantId"]),
            **({"sku": row["sku"]} if row["sku"] else {}),
            "prices": [self._price(row, place, text) for place, text in enumerate(_split(row["prices"]))],
            "attributes": [
                {"name": definition["name"], "value": value}
                for definition in kind["attributes"]
                if (value := _attribute_value(row, definition["name"], definition["type"])) is not None
            ],
            "images": [{"url": url, "dimensions": {"w": 0, "h": 0}} for url in _split(row["images"])],
            "assets": [],
        }

    def _price(self, row: _Row, place: int, text: str) -> Json:
        match = _PRICE.fullmatch(text)
        if match is None:
            raise row.error(
                f"price '{text}' does not read [country-]CUR cents[ customer group][#channel key]"
            )
        self._counts["prices"] += 1
        price = {
            "id": _id("price", row["sku"], row.line, place),
            "value": money(match["currency"], int(match["cents"])),
        }
        if match["country"]:
            price["country"] = match["country"]
        if match["group"]:
            price["customerGroup"] = reference("customer-group", self._customer_group(match["group"])["id"])
        if match["channel"]:
            self._counts["unknown_channels"] += match["channel"] not in self._channel_keys
            price["channel"] = reference("channel", _id("channel", match["channel"]))
        return price

    def _customer_group(self, key: str) -> Json:
        return self._customer_groups.setdefault(
            key, {**self._head("customer-group", key), "key": key, "name": key}
        )

    # Inventory

    def _inventory(self) -> list[Json]:
        entries: dict[str, Json] = {}
        for row in self._rows("inventory.csv"):
            entry = self._entry(row)
            if entry["id"] in entries:
                raise row.error(f"a second entry for SKU '{row['sku']}' in the same channel")
            entries[entry["id"]] = entry
        self._counts["inventory"] = len(entries)
        return list(entries.values())

    def _entry(self, row: _Row) -> Json:
        channel = row["supplyChannel"]
        try:
            quantity = int(row["quantityOnStock"])
        except ValueError as error:
            raise row.error(f"quantityOnStock '{row['quantityOnStock']}' is no whole number") from error
        entry = {**self._head("inventory", row["sku"], channel), "sku": row["sku"]}
        if channel:
            self._counts["unknown_channels"] += channel not in self._channel_keys
            entry["supplyChannel"] = reference("channel", _id("channel", channel))
        return {**entry, "quantityOnStock": quantity, "availableQuantity": quantity}

    def _count_loose_ends(self, products: list[Json], inventory: list[Json]) -> None:
        skus = {variant.get("sku") for product in products for variant in all_variants(product)}
        stocked = {entry["sku"] for entry in inventory}
        self._counts["inventory_without_product"] = sum(entry["sku"] not in skus for entry in inventory)
        self._counts["variants_without_inventory"] = len(skus - stocked)
        self._counts["customer_groups"] = len(self._customer_groups)
        self._counts["tax_categories"] = len(self._tax_categories)


def _id(*parts: object) -> str:
    return stable_id("sunrise", *parts)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(";") if part.strip()]


def _lineage(row: _Row, rows: Mapping[str, _Row]) -> list[_Row]:
    """The category and its ancestors, root first."""
    line = [row]
    while parent_id := line[0]["parentId"]:
        parent = rows.get(parent_id)
        if parent is None:
            raise row.error(f"parentId '{parent_id}' names no category")
        if parent in line:
            raise row.error("the category is its own ancestor")
        line.insert(0, parent)
    return line


def _attribute_value(row: _Row, name: str, kind: Json) -> Any:
    """The API's value of an attribute; ``None`` when the cell is empty."""
    if kind["name"] == "ltext":
        return row.localized(name) or None
    if kind["name"] == "set" and kind["elementType"]["name"] == "ltext":
        return _localized_set(row, name) or None
    if not row[name]:
        return None
    if kind["name"] == "set":
        return [_plain_value(row, name, kind["elementType"], text) for text in _split(row[name])]
    return _plain_value(row, name, kind, row[name])


def _localized_set(row: _Row, name: str) -> list[dict[str, str]]:
    """``details.en = a;b`` and ``details.de = x;y`` become ``[{en: a, de: x}, {en: b, de: y}]``."""
    lists = {locale: _split(text) for locale, text in row.localized(name).items()}
    longest = max(map(len, lists.values()), default=0)
    return [
        {locale: terms[at] for locale, terms in lists.items() if at < len(terms)} for at in range(longest)
    ]


def _plain_value(row: _Row, name: str, kind: Json, text: str) -> Any:
    if kind["name"] in ("enum", "lenum"):
        value = next((value for value in kind["values"] if value["key"] == text), None)
        if value is None:
            raise row.error(f"attribute '{name}' has no value with the key '{text}'")
        return value
    reader = _READERS.get(kind["name"])
    if reader is None:
        raise row.error(f"attribute '{name}' is of the type '{kind['name']}', which this format cannot hold")
    try:
        return reader(text)
    except (KeyError, ValueError) as error:
        raise row.error(f"attribute '{name}': '{text}' is no {kind['name']}") from error


_BOOLEANS = {"true": True, "false": False, "yes": True, "no": False}
_READERS: dict[str, Callable[[str], Any]] = {
    "text": str,
    "date": str,
    "time": str,
    "datetime": str,
    "number": float,
    "boolean": lambda text: _BOOLEANS[text.lower()],
}
