"""The Sunrise loader: the format's grammar on a small copy, and the counts of the real files where given."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cogent_ops.domain.availability import by_sku
from cogent_ops.domain.commercetools import Category, Channel, ProductProjection
from cogent_ops.sandbox.dataset import Dataset, all_variants
from cogent_ops.sandbox.sunrise import SunriseError, load_sunrise

NOW = datetime(2026, 11, 20, tzinfo=UTC)
REAL = Path(os.environ.get("SUNRISE_DATA", Path(__file__).parents[4] / "shared" / "data" / "sunrise"))

PRODUCTS = """\
productType,variantId,sku,prices,tax,categories,images,name.en,name.de,slug.en,slug.de,baseId,size,color,hint.en,hint.de,limited,details.en,details.de
shirt,1,S-1,EUR 1000;DE-EUR 900#shop-a;USD 800 b2b,standard,Men>Shirts;Men > Suits,https://images.example.com/1.jpg;https://images.example.com/2.jpg,Shirt,Hemd,shirt,hemd,77,M,red,light,hell,TRUE,a;b,x
,2,S-2,EUR 1100,,,,,,,,77,L,blue,,,false,,
shirt,1,S-3,EUR 1200,standard,,,Suit,Anzug,suit,anzug,78,M,red,,,,,
"""
CATEGORIES = """\
key,externalId,name.de,name.en,slug.de,slug.en,parentId,orderHint
c2,2,Hemden,Shirts,hemden,shirts,1,0.02
c1,1,Herren,Men,herren,men,,0.01
"""
INVENTORY = "sku,quantityOnStock,supplyChannel\nS-1,5,\nS-1,3,shop-a\nOLD-9,1,\n"
CHANNELS = [
    {
        "key": "shop-a",
        "roles": ["InventorySupply"],
        "custom": {"type": {"key": "physicalStore"}, "fields": {}},
    }
]
COLOURS = [{"key": "red", "label": {"en": "red", "de": "rot"}}, {"key": "blue", "label": {"en": "blue"}}]
PRODUCT_TYPES = [
    {
        "key": "shirt",
        "name": "shirt",
        "description": "",
        "attributes": [
            {"name": name, "label": {"en": name}, "type": kind}
            for name, kind in (
                ("baseId", {"name": "text"}),
                ("size", {"name": "enum", "values": [{"key": size, "label": size} for size in "LM"]}),
                ("color", {"name": "lenum", "values": COLOURS}),
                ("hint", {"name": "ltext"}),
                ("limited", {"name": "boolean"}),
                ("details", {"name": "set", "elementType": {"name": "ltext"}}),
            )
        ],
    }
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for file, text in (
        ("products.csv", PRODUCTS),
        ("categories.csv", CATEGORIES),
        ("inventory.csv", INVENTORY),
        ("channels.json", json.dumps(CHANNELS)),
        ("product-type.json", json.dumps(PRODUCT_TYPES)),
    ):
        (tmp_path / file).write_text(text, encoding="utf-8")
    return tmp_path


def test_rows_without_product_type_are_further_variants(folder: Path) -> None:
    dataset = load_sunrise(folder, now=NOW)
    assert [[v["sku"] for v in all_variants(p)] for p in dataset.products] == [["S-1", "S-2"], ["S-3"]]
    assert [product["key"] for product in dataset.products] == ["77", "78"]
    assert "key" not in load_sunrise(folder, now=NOW, key_attribute=None).products[0]


def test_price_grammar(folder: Path) -> None:
    dataset = load_sunrise(folder, now=NOW)
    plain, at_shop, for_group = dataset.products[0]["masterVariant"]["prices"]
    assert plain["value"] == {
        "type": "centPrecision",
        "currencyCode": "EUR",
        "centAmount": 1000,
        "fractionDigits": 2,
    }
    assert at_shop["country"] == "DE"
    assert at_shop["channel"] == {"typeId": "channel", "id": dataset.channels[0]["id"]}
    assert for_group["customerGroup"]["id"] == dataset.customer_groups[0]["id"]
    assert dataset.customer_groups[0]["key"] == "b2b"


def test_attribute_values_have_the_form_of_their_type(folder: Path) -> None:
    first, second = all_variants(load_sunrise(folder, now=NOW).products[0])
    assert {item["name"]: item["value"] for item in first["attributes"]} == {
        "baseId": "77",
        "size": {"key": "M", "label": "M"},
        "color": {"key": "red", "label": {"en": "red", "de": "rot"}},
        "hint": {"en": "light", "de": "hell"},
        "limited": True,
        "details": [{"en": "a", "de": "x"}, {"en": "b"}],
    }
    assert [item["name"] for item in second["attributes"]] == ["baseId", "size", "color", "limited"]


def test_unknown_category_path_stays_as_a_reference_to_nothing(folder: Path) -> None:
    dataset = load_sunrise(folder, now=NOW)
    known = {category["id"] for category in dataset.categories}
    shirts, suits = (item["id"] for item in dataset.products[0]["categories"])
    assert shirts in known
    assert suits not in known
    assert dataset.dirt == {dataset.products[0]["id"]: ("unknown_category",)}
    assert dataset.source_counts["unknown_categories"] == 1


def test_parents_come_before_children_whatever_the_order_of_rows(folder: Path) -> None:
    men, shirts = load_sunrise(folder, now=NOW).categories
    assert (men["key"], shirts["key"]) == ("c1", "c2")
    assert shirts["parent"] == {"typeId": "category", "id": men["id"]}
    assert "parent" not in men


def test_every_row_is_counted(folder: Path) -> None:
    counts = load_sunrise(folder, now=NOW).source_counts
    assert counts["rows:products.csv"] == counts["variants"] == 3
    assert counts["rows:categories.csv"] == counts["categories"] == 2
    assert counts["rows:inventory.csv"] == counts["inventory"] == 3
    assert counts["rows:channels.json"] == counts["channels"] == 1
    assert (counts["inventory_without_product"], counts["variants_without_inventory"]) == (1, 2)


def test_loading_twice_gives_equal_data(folder: Path) -> None:
    assert load_sunrise(folder, now=NOW) == load_sunrise(folder, now=NOW)


def replaced(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (
            "products.csv",
            replaced("EUR 1000", "EUR ten"),
            r"products.csv, line 2: price 'EUR ten' does not read",
        ),
        ("products.csv", replaced("shirt,1,S-1", ",1,S-1"), "line 2: a variant without a product above it"),
        ("products.csv", replaced("shirt,1,S-1", "coat,1,S-1"), "line 2: product type 'coat' is not in"),
        ("products.csv", replaced(",2,S-2", ",two,S-2"), "line 3: variantId 'two' is no number"),
        ("products.csv", replaced("M,red", "M,mauve"), "attribute 'color' has no value with the key 'mauve'"),
        ("products.csv", replaced(",TRUE,", ",maybe,"), "attribute 'limited': 'maybe' is no boolean"),
        ("products.csv", lambda text: text.rstrip() + ",surplus\n", "line 4: has more cells than the header"),
        ("categories.csv", replaced("shirts,1,", "shirts,9,"), "line 2: parentId '9' names no category"),
        ("categories.csv", replaced("men,,", "men,2,"), "line 2: the category is its own ancestor"),
        ("categories.csv", replaced("c1,1", "c1,2"), "line 3: a second category with the externalId '2'"),
        ("inventory.csv", replaced("S-1,5", "S-1,many"), "inventory.csv, line 2: quantityOnStock 'many'"),
        ("inventory.csv", replaced("OLD-9", "S-1"), "line 4: a second entry for SKU 'S-1'"),
    ],
)
def test_unreadable_rows_stop_the_load_and_are_named(
    folder: Path, file: str, change: Callable[[str], str], message: str
) -> None:
    before = (folder / file).read_text(encoding="utf-8")
    (folder / file).write_text(change(before), encoding="utf-8")
    with pytest.raises(SunriseError, match=message):
        load_sunrise(folder, now=NOW)


def test_repeated_skus_keep_both_products(folder: Path) -> None:
    (folder / "products.csv").write_text(PRODUCTS.replace("S-3", "S-1"), encoding="utf-8")
    dataset = load_sunrise(folder, now=NOW)
    assert len({product["id"] for product in dataset.products}) == 2
    prices = [price["id"] for p in dataset.products for v in all_variants(p) for price in v["prices"]]
    assert len(set(prices)) == len(prices)


needs_real_files = pytest.mark.skipif(
    not REAL.is_dir(), reason="the Sunrise files are not beside this project"
)


@pytest.fixture(scope="module")
def real() -> Dataset:
    return load_sunrise(REAL, now=NOW)


@needs_real_files
def test_real_files_are_read_to_the_last_row(real: Dataset) -> None:
    for file, records in (
        ("products.csv", [variant for product in real.products for variant in all_variants(product)]),
        ("categories.csv", real.categories),
        ("inventory.csv", real.inventory),
    ):
        with (REAL / file).open(encoding="utf-8-sig", newline="") as stream:
            assert (
                len(records) == sum(1 for _ in csv.DictReader(stream)) == real.source_counts[f"rows:{file}"]
            )
    assert len(real.channels) == len(json.loads((REAL / "channels.json").read_text(encoding="utf-8")))


@needs_real_files
def test_real_files_hold_what_is_known_of_them(real: Dataset) -> None:
    counts = real.source_counts
    assert (counts["products"], counts["variants"], counts["prices"]) == (32, 119, 2023)
    assert (counts["categories"], counts["channels"], counts["inventory"]) == (102, 18, 26_137)
    assert (counts["inventory_without_product"], counts["variants_without_inventory"]) == (26_018, 0)
    assert (counts.get("unknown_categories", 0), counts["unknown_channels"]) == (0, 0)


@needs_real_files
def test_real_records_read_as_the_domain_reads_the_api(real: Dataset) -> None:
    models: tuple[tuple[Any, list[dict[str, Any]]], ...] = (
        (ProductProjection, real.products),
        (Category, real.categories),
        (Channel, real.channels),
    )
    assert all(model.model_validate(record) for model, records in models for record in records)
    assert sum(map(len, by_sku(real.inventory[:200]).values())) == 200
    ids = Counter(
        record["id"] for records in (*(some for _, some in models), real.inventory) for record in records
    )
    assert max(ids.values()) == 1
