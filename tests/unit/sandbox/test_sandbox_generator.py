"""Generated catalogues: equal for an equal seed, clean where they say so, and shaped like API answers."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cogent_ops.domain.commercetools import (
    Category,
    Channel,
    ProductProjection,
    ProductType,
    StandalonePrice,
)
from cogent_ops.domain.identifiers import sku_of, variant_gid
from cogent_ops.sandbox.dataset import Dataset, all_variants
from cogent_ops.sandbox.defects import PLANTABLE, gtin13
from cogent_ops.sandbox.generator import (
    BARCODE_ATTRIBUTE,
    REQUIRED_LOCALES,
    VARIANT_AXES,
    CatalogueGenerator,
    Options,
    VariantMix,
    generate,
)

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def clean() -> Dataset:
    return generate(seed=11, products=150, now=NOW, dirty_share=0.0)


def variants_of(dataset: Dataset) -> list[dict[str, Any]]:
    return [variant for product in dataset.products for variant in all_variants(product)]


def test_equal_arguments_give_equal_data_and_another_seed_gives_other_data() -> None:
    first, second, other = (
        json.dumps(generate(seed=seed, products=30, now=NOW, dirty_share=0.5).products) for seed in (5, 5, 6)
    )
    assert first == second
    assert first != other


def test_streaming_gives_the_same_products_as_loading() -> None:
    options = Options(seed=3, products=25, now=NOW, dirty_share=0.4)
    streamed = [bundle.product for bundle in CatalogueGenerator(options).bundles()]
    assert streamed == generate(seed=3, products=25, now=NOW, dirty_share=0.4).products


def test_records_read_as_the_domain_reads_the_api(clean: Dataset) -> None:
    for model, records in (
        (ProductProjection, clean.products),
        (StandalonePrice, clean.standalone_prices),
        (Category, clean.categories),
        (Channel, clean.channels),
        (ProductType, clean.product_types),
    ):
        assert records
        assert all(model.model_validate(json.loads(json.dumps(record))) for record in records)


def test_ids_and_skus_and_barcodes_are_unique(clean: Dataset) -> None:
    variants = variants_of(clean)
    barcodes = [
        item["value"] for variant in variants for item in variant["attributes"] if item["name"] == "gtin"
    ]
    prices = [price["id"] for variant in variants for price in variant["prices"]]
    slugs = [product["slug"]["de"] for product in clean.products]
    for values in (
        [variant["sku"] for variant in variants],
        [record["id"] for record in (*clean.products, *clean.inventory, *clean.categories, *clean.channels)],
        [product["key"] for product in clean.products],
        [(entry["sku"], entry.get("supplyChannel", {}).get("id")) for entry in clean.inventory],
        barcodes,
        prices,
        slugs,
    ):
        assert values
        assert len(set(values)) == len(values)


def test_skus_survive_the_way_into_an_external_id(clean: Dataset) -> None:
    assert all(sku_of(variant_gid(variant["sku"])) == variant["sku"] for variant in variants_of(clean))


def test_clean_products_have_everything_a_kiosk_needs(clean: Dataset) -> None:
    categories = {category["id"] for category in clean.categories}
    tax_categories = {category["id"] for category in clean.tax_categories}
    stocked = {entry["sku"] for entry in clean.inventory}
    for product in clean.products:
        assert all(product[part][locale].strip() for part in ("name", "slug") for locale in REQUIRED_LOCALES)
        assert {item["id"] for item in product["categories"]} <= categories
        assert product["categories"]
        assert set(product["categoryOrderHints"]) <= {item["id"] for item in product["categories"]}
        assert product["taxCategory"]["id"] in tax_categories
        signatures = [axes_of(variant) for variant in all_variants(product)]
        assert len(set(signatures)) == len(signatures)
        assert all(image["url"].startswith("https://") for image in product["masterVariant"]["images"])
        assert {variant["sku"] for variant in all_variants(product)} <= stocked
    assert not clean.dirt


def axes_of(variant: dict[str, Any]) -> str:
    return json.dumps([item["value"] for item in variant["attributes"] if item["name"] in VARIANT_AXES])


@pytest.mark.parametrize(("country", "currency"), [("DE", "EUR"), ("GB", "GBP")])
def test_every_clean_variant_has_a_price_for_anybody(clean: Dataset, country: str, currency: str) -> None:
    standalone = Counter(price["sku"] for price in clean.standalone_prices if fits(price, country, currency))
    for variant in variants_of(clean):
        assert standalone[variant["sku"]] or any(
            fits(price, country, currency) for price in variant["prices"]
        )


def fits(price: dict[str, Any], country: str, currency: str) -> bool:
    restricted = {"customerGroup", "channel", "validFrom"} & price.keys()
    value = price["value"]
    lowered = price.get("discounted", price)["value"]["centAmount"]
    return (
        not restricted
        and value["currencyCode"] == currency
        and price.get("country") in (None, country)
        and 0 < lowered <= value["centAmount"]
    )


def test_no_variant_has_two_prices_for_the_same_case(clean: Dataset) -> None:
    for variant in variants_of(clean):
        scopes = [
            json.dumps({**price, "id": "", "value": price["value"]["currencyCode"], "discounted": ""})
            for price in variant["prices"]
        ]
        assert len(set(scopes)) == len(scopes)


def test_optional_things_are_partly_filled(clean: Dataset) -> None:
    italian = sum("it" in product["name"] for product in clean.products)
    english_text = sum("en" in product["description"] for product in clean.products)
    standalone = sum(product["priceMode"] == "Standalone" for product in clean.products)
    kinds = {key for variant in variants_of(clean) for price in variant["prices"] for key in price}
    assert 0 < italian < len(clean.products)
    assert 0 < english_text < len(clean.products)
    assert 0 < standalone < len(clean.products) / 2
    assert {"country", "customerGroup", "channel", "validFrom", "validUntil", "discounted"} <= kinds
    assert any("it" not in category["name"] for category in clean.categories)


def test_prices_run_out_run_and_are_to_come(clean: Dataset) -> None:
    now = NOW.isoformat()
    periods = [
        (price["validFrom"], price["validUntil"])
        for variant in variants_of(clean)
        for price in variant["prices"]
        if "validFrom" in price
    ]
    assert {(begin > now) + (end > now) for begin, end in periods} == {0, 1, 2}


def test_stock_has_zero_and_pool_and_stores(clean: Dataset) -> None:
    places = Counter(entry.get("supplyChannel", {}).get("id") for entry in clean.inventory)
    stores = {channel["id"] for channel in clean.channels if "InventorySupply" in channel["roles"]}
    assert len(stores) == 6
    assert set(places) == {*stores, None}
    assert any(entry["quantityOnStock"] == 0 for entry in clean.inventory)
    assert any(entry["availableQuantity"] < entry["quantityOnStock"] for entry in clean.inventory)


def test_categories_are_a_tree_of_three_levels_with_parents_first(clean: Dataset) -> None:
    seen: dict[str, int] = {}
    for category in clean.categories:
        parents = [ancestor["id"] for ancestor in category["ancestors"]]
        assert parents == sorted(parents, key=lambda parent: seen[parent])
        assert category.get("parent", {}).get("id") == (parents[-1] if parents else None)
        assert 0 < float(category["orderHint"]) < 1
        seen[category["id"]] = len(parents) + 1
    assert max(seen.values()) == 3


def test_variant_numbers_are_mixed_up_to_one_hundred() -> None:
    dataset = generate(seed=2, products=300, now=NOW)
    numbers = [1 + len(product["variants"]) for product in dataset.products]
    assert min(numbers) == 1
    assert max(numbers) == 100
    assert sum(number <= 12 for number in numbers) > 270
    assert dataset.source_counts["variants"] == sum(numbers)


def test_variant_number_can_be_fixed() -> None:
    dataset = generate(seed=2, products=20, now=NOW, variants=10)
    assert {len(product["variants"]) for product in dataset.products} == {9}
    mix = VariantMix(buckets=((1, 3, 3),), largest=None)
    assert {len(p["variants"]) for p in generate(seed=2, products=60, now=NOW, variants=mix).products} == {2}


def test_over_limit_makes_the_last_product_one_variant_too_large() -> None:
    dataset = generate(seed=2, products=10, now=NOW, dirty_share=0.0, over_limit=True)
    assert len(dataset.products[-1]["variants"]) == 100
    assert dataset.dirt == {dataset.products[-1]["id"]: ("too_many_variants",)}
    assert len({axes_of(variant) for variant in all_variants(dataset.products[-1])}) == 101


def test_share_of_dirt_is_kept_and_partners_come_on_top() -> None:
    dataset = generate(seed=4, products=500, now=NOW, variants=2)
    partners = sum(defects[0] in ("duplicate_sku", "sku_case_twin") for defects in dataset.dirt.values()) // 2
    assert len(dataset.dirt) == 30 + partners
    assert partners > 0


def test_every_defect_appears_on_request() -> None:
    dataset = generate(seed=4, products=60, now=NOW, every_defect=True)
    found = {name for defects in dataset.dirt.values() for name in defects}
    assert found == {defect.value for defect in PLANTABLE}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"now": NOW.replace(tzinfo=None)}, "time zone"),
        ({"products": -1}, "products must be"),
        ({"dirty_share": 1.5}, "Shares"),
        ({"stores": 0}, "stores must be"),
        ({"stores_per_product": (3, 1)}, "stores_per_product"),
        ({"variants": 101}, "1 to 100 variants"),
    ],
)
def test_impossible_options_are_refused(changes: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"seed": 1, "products": 5, "now": NOW, **changes}
    with pytest.raises(ValueError, match=message):
        generate(**given)


def test_everything_is_dirty_without_a_clean_product_to_take_a_sku_from() -> None:
    dataset = generate(seed=9, products=40, now=NOW, dirty_share=1.0)
    assert len(dataset.dirt) == 40
    assert not {"duplicate_sku", "sku_case_twin"} & {
        name for names in dataset.dirt.values() for name in names
    }


def test_some_products_changed_within_the_last_hour(clean: Dataset) -> None:
    recent = (NOW - timedelta(hours=1)).isoformat()
    changed = sum(product["lastModifiedAt"] > recent for product in clean.products)
    assert 0 < changed < len(clean.products) / 10


def test_check_digit_follows_gs1(clean: Dataset) -> None:
    assert gtin13(400638133393) == "4006381333931"
    barcodes = [
        item["value"]
        for variant in variants_of(clean)
        for item in variant["attributes"]
        if item["name"] == BARCODE_ATTRIBUTE
    ]
    assert all(gtin13(int(barcode[:12])) == barcode for barcode in barcodes)
