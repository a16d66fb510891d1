"""Mapping of whole catalogues: the generated department store with every defect, and the Sunrise files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.extracted import lines, reference

from cogent_ops.config import load_config
from cogent_ops.domain.catalogue import (
    CatalogueContext,
    ExtractLine,
    MappedProduct,
    accept,
    map_groups,
    map_locations,
    map_product,
)
from cogent_ops.domain.completeness import check_mapping
from cogent_ops.domain.rules import CatalogueRules
from cogent_ops.sandbox.dataset import Dataset
from cogent_ops.sandbox.defects import Defect
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.sunrise import load_sunrise

ROOT = Path(__file__).parents[3]
SUNRISE = Path(os.environ.get("COGENT_OPS_SHARED", ROOT / "../shared")) / "data/sunrise"
NOW = datetime(2026, 11, 20, tzinfo=UTC)

Row = dict[str, Any]

#: How each defect shows in the rows of its product; found elsewhere: SKUs used twice, which no single product shows.
SYMPTOMS: dict[Defect, Callable[[Row], bool]] = {
    Defect.MISSING_SKU: lambda row: row["sku"] is None,
    Defect.SKU_WITH_SPACES: lambda row: row["sku"] is not None and bool({" ", "\u00a0"} & set(row["sku"])),
    Defect.SKU_WITH_CONTROL_CHARACTERS: lambda row: (
        row["sku"] is not None and not row["sku"].replace("\u00a0", "").isprintable()
    ),
    Defect.MISSING_KEY: lambda row: row["product_key"] is None,
    Defect.MISSING_NAME: lambda row: row["missing_names"] == "de",
    Defect.BLANK_NAME: lambda row: row["missing_names"] == "de, en",
    Defect.MISSING_SLUG: lambda row: row["missing_slugs"] == "de",
    Defect.NO_PRICE_FOR_MARKET: lambda row: "no price in EUR" in row["price_problem"],
    Defect.ZERO_PRICE: lambda row: row["current_price"] == 0,
    Defect.DISCOUNT_ABOVE_PRICE: lambda row: (row["current_price"] or 0) > (row["original_price"] or 0),
    Defect.EXPIRED_PRICE: lambda row: "have ended" in row["price_problem"],
    Defect.NO_IMAGE: lambda row: row["image_count"] == 0,
    Defect.INSECURE_IMAGE: lambda row: row["image_count"] > row["https_images"],
    Defect.NO_CATEGORY: lambda row: row["category_count"] == 0,
    Defect.UNKNOWN_CATEGORY: lambda row: row["unknown_categories"] != "",
    Defect.NO_TAX_CATEGORY: lambda row: row["tax_category"] is None,
    Defect.GTIN_CHECK_DIGIT: lambda row: not row["barcode_valid"] and row["barcode"].isdigit(),
    Defect.GTIN_MALFORMED: lambda row: not row["barcode_valid"],
    Defect.INDISTINCT_VARIANTS: lambda row: not row["distinguishable"],
    Defect.MISSING_ATTRIBUTES: lambda row: not row["distinguishable"] and row["options"] == "",
    Defect.NO_INVENTORY_ENTRY: lambda row: row["inventory_entry"] is False,
    Defect.NAME_TOO_LONG: lambda row: row["name_length"] == 1200,
    Defect.DESCRIPTION_TOO_LONG: lambda row: row["description_length"] > 65_535,
    Defect.CONTROL_CHARACTERS: lambda row: "name" in row["product_control_characters"],
    Defect.TOO_MANY_VARIANTS: lambda row: row["variant_count"] > 100,
}
DEFECTS = {defect.value: defect for defect in Defect}
#: What the mapping cannot see in one product, or mends.
ELSEWHERE = {Defect.DUPLICATE_SKU, Defect.SKU_CASE_TWIN, Defect.HTML_JUNK}
#: A defect that brings another one's symptom along.
ALSO = {
    Defect.MISSING_SKU: {Defect.NO_INVENTORY_ENTRY},
    Defect.MISSING_ATTRIBUTES: {Defect.INDISTINCT_VARIANTS},
    Defect.GTIN_CHECK_DIGIT: {Defect.GTIN_MALFORMED},
    Defect.GTIN_MALFORMED: {Defect.GTIN_CHECK_DIGIT},
    Defect.BLANK_NAME: {Defect.MISSING_NAME},
}


def extracted(data: Dataset) -> Iterator[ExtractLine]:
    """The dataset as the extract would leave it, a product at a time."""
    return map(ExtractLine.model_validate, lines(data))


def mapped(data: Dataset, rules: CatalogueRules) -> list[MappedProduct]:
    context = CatalogueContext.build(reference(data), rules, NOW, {})
    return [map_product(line, context) for line in extracted(data)]


@pytest.fixture(scope="module")
def store() -> Dataset:
    return generate(seed=11, products=400, now=NOW, every_defect=True, dirty_share=0.3, over_limit=True)


@pytest.fixture(scope="module")
def rules() -> CatalogueRules:
    return load_config(ROOT / "include").link("default")


@pytest.fixture(scope="module")
def products(store: Dataset, rules: CatalogueRules) -> list[MappedProduct]:
    return mapped(store, rules)


def symptoms(row: Row) -> set[Defect]:
    return {defect for defect, shows in SYMPTOMS.items() if shows(row)}


def test_each_defect_shows_in_its_product_and_nowhere_else(
    store: Dataset, products: list[MappedProduct]
) -> None:
    seen: set[Defect] = set()
    for product in products:
        planted = {DEFECTS[name] for name in store.dirt.get(product.product_id, ())}
        shown = set().union(*map(symptoms, product.rows()))
        explained = planted.union(*(ALSO.get(defect, set()) for defect in planted))
        assert planted - ELSEWHERE <= shown, (product.product_key, planted, shown)
        assert shown <= explained, (product.product_key, planted, shown)
        seen |= planted
    assert seen == set(Defect)


def test_defects_of_single_variants_show_in_their_rows_only(
    store: Dataset, products: list[MappedProduct]
) -> None:
    for product in products:
        for name, ids in store.dirty_variants.get(product.product_id, {}).items():
            if (defect := DEFECTS[name]) in SYMPTOMS:
                marked = {row["variant_id"] for row in product.rows() if SYMPTOMS[defect](row)}
                assert marked == set(ids), (product.product_key, name)


def test_clean_products_become_complete_records(store: Dataset, products: list[MappedProduct]) -> None:
    for product in products:
        if product.product_id in store.dirt:
            continue
        accepted = accept(product, ())
        assert accepted is not None
        assert accepted.held_skus == ()
        assert accepted.group_ids
        record = accepted.product
        assert record.display_name
        assert record.vendor
        assert record.product_type
        for variant in accepted.variants:
            assert 0 < variant.current_price <= variant.original_price
            assert [image.preferred for image in variant.images] == [True] + [False] * (
                len(variant.images) - 1
            )
        signatures = {variant.attributes for variant in accepted.variants}
        assert len(signatures) == len(accepted.variants)


def test_html_junk_is_cleaned(store: Dataset, products: list[MappedProduct]) -> None:
    junk = [p for p in products if Defect.HTML_JUNK in store.dirt.get(p.product_id, ())]
    assert junk
    for product in junk:
        for rubbish in ("script", "style", "onerror", "CDATA", "&amp;amp;", "Ã", "<!--"):
            assert rubbish not in product.record.description


def test_italian_first_falls_back_to_german(store: Dataset) -> None:
    raw = load_config(ROOT / "include").link("default").model_dump(exclude={"name"})
    rules = CatalogueRules.model_validate(
        {key: raw[key] for key in CatalogueRules.model_fields if key in raw}
        | {"locales": ("it", "de"), "required_locales": ("de",)}
    )
    names = {product.product_id: product.product_name for product in mapped(store, rules)}
    for raw_product in store.products:
        wanted = raw_product["name"].get("it") or raw_product["name"].get("de") or ""
        assert names[raw_product["id"]] == wanted.strip()


def test_groups_and_locations_of_the_store(store: Dataset, rules: CatalogueRules) -> None:
    context = CatalogueContext.build(reference(store), rules, NOW, {})
    groups = map_groups(context)
    assert len(groups) == len(store.categories)
    assert len({group.id for group in groups}) == len(groups)
    locations, problems = map_locations(context.channels, {}, rules)
    assert problems == []
    assert len(locations) == len(store.channels) - 1


def test_shipped_mapping_fits_the_generated_store(store: Dataset, rules: CatalogueRules) -> None:
    assert check_mapping(rules, reference(store)) == []


def test_what_the_project_does_not_know_is_named(store: Dataset, rules: CatalogueRules) -> None:
    wrong = CatalogueRules.model_validate(
        {
            "country": "FR",
            "currency": "CHF",
            "locales": ["fr", "de"],
            "required_locales": ["de"],
            "prices": {"channel": "store-berlim", "customer_group": "loyal"},
            "attributes": {"vendor": "brnad", "product_type": "attribute:kind", "options": ["color", "sise"]},
            "groups": {"exclude": ["no-such"]},
            "stock": {"channels": ["store-berlin", "store-paris"], "back_order_attribute": "preorder"},
            "locations": {"exclude": ["erp"]},
        }
    )
    problems = {problem.field: problem for problem in check_mapping(wrong, reference(store))}
    assert set(problems) == {
        *("country", "currency", "locales", "prices.channel", "prices.customer_group", "attributes.vendor"),
        *("attributes.product_type", "attributes.options", "groups.exclude", "stock.channels"),
        "stock.back_order_attribute",
    }
    assert "Did you mean 'store-berlin'?" in problems["prices.channel"].message
    assert "Did you mean 'brand'?" in problems["attributes.vendor"].message


def test_a_project_without_any_store_is_named(store: Dataset, rules: CatalogueRules) -> None:
    [problem] = check_mapping(rules, reference(store) | {"channels": []})
    assert problem.rule == "a store exists"


@pytest.mark.skipif(
    not SUNRISE.is_dir(), reason="the Sunrise files are not here; COGENT_OPS_SHARED names their place"
)
@pytest.mark.parametrize("include", ["docs/examples/sunrise", "include"])
def test_sunrise_maps_without_loss(include: str) -> None:
    data = load_sunrise(SUNRISE, now=NOW)
    rules = load_config(ROOT / include).link("default")
    products = mapped(data, rules)
    rows = [row for product in products for row in product.rows()]
    assert len(products) == data.source_counts["products"]
    assert len(rows) == data.source_counts["variants"]
    assert {row["product_id"] for row in rows if row["unknown_categories"]} == set(data.dirt)
    accepted = [found for product in products if (found := accept(product, ()))]
    assert sum(len(found.variants) + len(found.held_skus) for found in accepted) == len(rows)


@pytest.mark.skipif(
    not SUNRISE.is_dir(), reason="the Sunrise files are not here; COGENT_OPS_SHARED names their place"
)
def test_sunrise_example_fits_its_data() -> None:
    data = load_sunrise(SUNRISE, now=NOW)
    rules = load_config(ROOT / "docs/examples/sunrise").link("default")
    assert check_mapping(rules, reference(data)) == []
    for product in mapped(data, rules):
        for row in product.rows():
            assert row["sendable"]
            assert row["distinguishable"], (row["sku"], row["options"])
    locations, problems = map_locations(
        CatalogueContext.build(reference(data), rules, NOW, {}).channels, {}, rules
    )
    assert len(locations) == 4
    assert problems == []
