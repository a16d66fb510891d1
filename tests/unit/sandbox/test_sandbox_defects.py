"""Every defect: what was planted can be seen in the data, where it was said to be, and nowhere else."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cogent_ops.sandbox.dataset import Dataset, all_variants
from cogent_ops.sandbox.defects import (
    EXPECTED_RULES,
    PLANTABLE,
    Bundle,
    Defect,
    Level,
    Planting,
    gtin13,
    plant,
)
from cogent_ops.sandbox.generator import VARIANT_AXES, generate

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
Record = dict[str, Any]


class Catalogue:
    """A dataset with the look-ups that the checks below need."""

    def __init__(self, dataset: Dataset) -> None:
        self.products = dataset.products
        self.dirt = dataset.dirt
        self.dirty_variants = dataset.dirty_variants
        self.categories = {category["id"] for category in dataset.categories}
        self.stocked = {entry["sku"] for entry in dataset.inventory}
        self.standalone = {price["sku"] for price in dataset.standalone_prices}
        skus = [variant.get("sku", "") for product in dataset.products for variant in all_variants(product)]
        self.times = {sku: skus.count(sku) for sku in skus}
        folded = [sku.casefold() for sku in set(skus)]
        self.look_alikes = {sku for sku in skus if folded.count(sku.casefold()) > 1}


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue(generate(seed=21, products=240, now=NOW, dirty_share=0.5))


def has_control(text: str) -> bool:
    return any(unicodedata.category(character) == "Cc" for character in text)


def barcode(variant: Record) -> str | None:
    return next((item["value"] for item in variant["attributes"] if item["name"] == "gtin"), None)


def axes(variant: Record) -> str:
    return repr([item["value"] for item in variant["attributes"] if item["name"] in VARIANT_AXES])


def is_gtin(text: str) -> bool:
    return text.isdigit() and len(text) == 13


VariantCheck = Callable[[Catalogue, Record, Record], bool]

VARIANT_CHECKS: dict[Defect, VariantCheck] = {
    Defect.MISSING_SKU: lambda catalogue, product, variant: "sku" not in variant,
    Defect.SKU_WITH_SPACES: lambda c, p, v: any(x in v.get("sku", "") for x in (" ", "\u00a0")),
    Defect.SKU_WITH_CONTROL_CHARACTERS: lambda c, p, v: has_control(v.get("sku", "")),
    Defect.DUPLICATE_SKU: lambda c, p, v: "sku" in v and c.times[v["sku"]] > 1,
    Defect.SKU_CASE_TWIN: lambda c, p, v: v.get("sku") in c.look_alikes,
    Defect.NO_PRICE_FOR_MARKET: lambda c, p, v: (
        p["priceMode"] == "Embedded" and {x["value"]["currencyCode"] for x in v["prices"]} == {"USD"}
    ),
    Defect.ZERO_PRICE: lambda c, p, v: any(x["value"]["centAmount"] == 0 for x in v["prices"]),
    Defect.DISCOUNT_ABOVE_PRICE: lambda c, p, v: any(
        x["discounted"]["value"]["centAmount"] > x["value"]["centAmount"]
        for x in v["prices"]
        if "discounted" in x
    ),
    Defect.EXPIRED_PRICE: lambda c, p, v: (
        bool(v["prices"]) and all(x.get("validUntil", "9") < NOW.isoformat() for x in v["prices"])
    ),
    Defect.NO_IMAGE: lambda c, p, v: not v["images"],
    Defect.INSECURE_IMAGE: lambda c, p, v: any(x["url"].startswith("http:") for x in v["images"]),
    Defect.GTIN_CHECK_DIGIT: lambda c, p, v: (
        is_gtin(code := barcode(v) or gtin13(0)) and gtin13(int(code[:12])) != code
    ),
    Defect.GTIN_MALFORMED: lambda c, p, v: not is_gtin(barcode(v) or gtin13(0)),
    Defect.NO_INVENTORY_ENTRY: lambda c, p, v: "sku" in v and v["sku"] not in c.stocked,
}

PRODUCT_CHECKS: dict[Defect, Callable[[Catalogue, Record], bool]] = {
    Defect.MISSING_KEY: lambda c, p: "key" not in p,
    Defect.MISSING_NAME: lambda c, p: "de" not in p["name"],
    Defect.BLANK_NAME: lambda c, p: not any(text.strip() for text in p["name"].values()),
    Defect.MISSING_SLUG: lambda c, p: "de" not in p["slug"],
    Defect.NO_CATEGORY: lambda c, p: not p["categories"],
    Defect.UNKNOWN_CATEGORY: lambda c, p: bool({x["id"] for x in p["categories"]} - c.categories),
    Defect.NO_TAX_CATEGORY: lambda c, p: "taxCategory" not in p,
    Defect.INDISTINCT_VARIANTS: lambda c, p: (
        len({axes(v) for v in all_variants(p)}) < 1 + len(p["variants"]) and axes(p["masterVariant"]) != "[]"
    ),
    Defect.MISSING_ATTRIBUTES: lambda c, p: {axes(v) for v in all_variants(p)} == {"[]"},
    Defect.NAME_TOO_LONG: lambda c, p: len(p["name"]["en"]) == 1200,
    Defect.DESCRIPTION_TOO_LONG: lambda c, p: len(p["description"]["de"]) > 70_000,
    Defect.CONTROL_CHARACTERS: lambda c, p: has_control("".join(p["name"].values())),
    Defect.HTML_JUNK: lambda c, p: any(x in p["description"]["de"] for x in ("<script", "CDATA", "onerror")),
}


def test_every_plantable_defect_is_checked_here() -> None:
    assert set(VARIANT_CHECKS) | set(PRODUCT_CHECKS) == set(PLANTABLE)
    assert set(PLANTABLE) == set(Defect) - {Defect.TOO_MANY_VARIANTS}
    assert all(defect.__doc__ and EXPECTED_RULES[defect.value] for defect in Defect)
    assert {defect for defect in PLANTABLE if defect.level is Level.VARIANT} == set(VARIANT_CHECKS)


@pytest.mark.parametrize("defect", VARIANT_CHECKS, ids=str)
def test_variant_defect_is_on_the_named_variants_and_nowhere_else(
    catalogue: Catalogue, defect: Defect
) -> None:
    check = VARIANT_CHECKS[defect]
    seen = {}
    for product in catalogue.products:
        hit = [variant["id"] for variant in all_variants(product) if check(catalogue, product, variant)]
        if hit:
            seen[product["id"]] = tuple(hit)
    noted = {
        product_id: found[defect.value]
        for product_id, found in catalogue.dirty_variants.items()
        if defect.value in found
    }
    assert noted
    assert seen == noted


@pytest.mark.parametrize("defect", PRODUCT_CHECKS, ids=str)
def test_product_defect_is_on_the_named_products_and_nowhere_else(
    catalogue: Catalogue, defect: Defect
) -> None:
    seen = {product["id"] for product in catalogue.products if PRODUCT_CHECKS[defect](catalogue, product)}
    noted = {product_id for product_id, found in catalogue.dirt.items() if defect.value in found}
    assert noted
    assert seen == noted


def test_documentation_lists_every_defect() -> None:
    page = (Path(__file__).parents[3] / "docs" / "sandbox-data.md").read_text(encoding="utf-8")
    listed = [line for line in page.splitlines() if line.startswith("| `")]
    assert listed == [f"| `{d.value}` | {d.level.value} | {d.__doc__} | {d.rule} |" for d in Defect]


def test_defects_hit_single_variants_and_whole_products(catalogue: Catalogue) -> None:
    numbers = {product["id"]: 1 + len(product["variants"]) for product in catalogue.products}
    large = [
        (len(ids), numbers[product_id])
        for product_id, found in catalogue.dirty_variants.items()
        for ids in found.values()
        if numbers[product_id] > 1
    ]
    assert any(hit < number for hit, number in large)
    assert any(hit == number for hit, number in large)


def test_parts_shared_with_clean_products_stay_clean() -> None:
    clean = {
        p["id"]: p
        for p in generate(seed=8, products=80, now=NOW, dirty_share=0.0, standalone_share=0).products
    }
    mixed = generate(seed=8, products=80, now=NOW, dirty_share=0.5, standalone_share=0)
    untouched = [product for product in mixed.products if product["id"] not in mixed.dirt]
    assert len(untouched) > 30
    assert all(product == clean[product["id"]] for product in untouched)


def empty_planting() -> Planting:
    return Planting(random.Random(1), NOW, "de", ("color", "size"), "gtin")


def test_planting_refuses_what_it_cannot_plant() -> None:
    variant = {"id": 1, "sku": "A", "prices": [], "attributes": [], "images": []}
    bundle = Bundle({"id": "p", "masterVariant": variant, "variants": []}, [], [])
    with pytest.raises(ValueError, match="cannot be planted"):
        plant(Defect.TOO_MANY_VARIANTS, bundle, empty_planting())
    with pytest.raises(ValueError, match="SKU of another product"):
        plant(Defect.DUPLICATE_SKU, bundle, empty_planting())
    assert bundle.defects == ()
