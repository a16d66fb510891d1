"""Mapping of products, stock and stores, on small products made by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogent_ops.domain.catalogue import (
    GATE_COLUMNS,
    AcceptedProduct,
    CatalogueContext,
    ExtractLine,
    MappedProduct,
    accept,
    map_groups,
    map_locations,
    map_product,
)
from cogent_ops.domain.commercetools import Channel
from cogent_ops.domain.rules import CatalogueRules, LocationOverride
from cogent_ops.errors import ConfigError

NOW = datetime(2026, 11, 20, tzinfo=UTC)
RULES: dict[str, Any] = {
    "country": "DE",
    "currency": "EUR",
    "locales": ["de", "en"],
    "required_locales": ["de", "en"],
    "attributes": {
        "barcode": ["gtin"],
        "vendor": "brand",
        "tags": ["tags"],
        "metadata": [
            {"attribute": "material", "namespace": "facts"},
            {"attribute": "collection", "namespace": "facts"},
            {"attribute": "weight", "namespace": "facts", "level": "variant"},
        ],
    },
}
REFERENCE: dict[str, Any] = {
    "project": {"key": "p"},
    "categories": [
        {"id": "men", "key": "men", "name": {"de": "Herren"}, "orderHint": "0.1"},
        {
            "id": "shirts",
            "key": "shirts",
            "name": {"de": "Hemden"},
            "parent": {"typeId": "category", "id": "men"},
        },
    ],
    "channels": [
        {
            "id": "ch-berlin",
            "key": "berlin",
            "roles": ["InventorySupply"],
            "name": {"de": "Berlin"},
            "address": {"country": "DE", "streetName": "Allee", "streetNumber": "1", "city": "Berlin"},
        },
        {
            "id": "ch-wien",
            "key": "wien",
            "roles": ["InventorySupply"],
            "address": {"country": "AT", "streetName": "Gasse"},
        },
        {"id": "ch-erp", "key": "erp", "roles": ["OrderExport"]},
    ],
    "product_types": [
        {
            "id": "shirt",
            "key": "shirt",
            "name": "Shirt",
            "attributes": [
                {"name": "color", "label": {"de": "Farbe"}, "type": {"name": "lenum"}},
                {"name": "size", "label": {"de": "Größe"}, "type": {"name": "enum"}},
                {"name": "brand", "label": {"de": "Marke"}, "type": {"name": "text"}},
                {"name": "weight", "label": {"de": "Gewicht"}, "type": {"name": "number"}},
            ],
        }
    ],
    "tax_categories": [{"id": "standard", "key": "standard"}],
    "customer_groups": [{"id": "cg-1", "key": "club"}, {"id": "cg-2"}],
}


def context(overrides: dict[str, LocationOverride] | None = None, **rules: Any) -> CatalogueContext:
    return CatalogueContext.build(
        REFERENCE, CatalogueRules.model_validate(RULES | rules), NOW, overrides or {}
    )


def variant(number: int, size: str = "M", **changes: Any) -> dict[str, Any]:
    made = {
        "id": number,
        "sku": f"S-{number}",
        "prices": [{"id": "p", "value": {"currencyCode": "EUR", "centAmount": 1995}}],
        "attributes": [
            {"name": "color", "value": {"key": "red", "label": {"de": "Rot", "en": "Red"}}},
            {"name": "size", "value": {"key": size, "label": size}},
            {"name": "brand", "value": "Marl"},
            {"name": "material", "value": {"de": "Wolle"}},
            {"name": "weight", "value": 120},
            {"name": "tags", "value": [{"key": "new", "label": "Neu"}]},
        ],
        "images": [{"url": "https://img.example.com/1.jpg"}, {"url": "https://img.example.com/2.jpg"}],
    }
    return {key: value for key, value in {**made, **changes}.items() if value is not None}


def product(*variants: dict[str, Any], **changes: Any) -> dict[str, Any]:
    first, *others = variants or (variant(1, "M"), variant(2, "L"))
    made = {
        "id": "prod-1",
        "version": 3,
        "lastModifiedAt": "2026-11-19T10:00:00.000Z",
        "key": "shirt-1",
        "productType": {"typeId": "product-type", "id": "shirt"},
        "name": {"de": "Hemd", "en": "Shirt"},
        "slug": {"de": "hemd", "en": "shirt"},
        "description": {"de": "<p>Ein Hemd</p><script>x</script>"},
        "categories": [{"typeId": "category", "id": "shirts"}],
        "categoryOrderHints": {"shirts": "0.7"},
        "attributes": [{"name": "collection", "value": "Winter"}],
        "masterVariant": first,
        "variants": others,
        "taxCategory": {"typeId": "tax-category", "id": "standard"},
    }
    return {key: value for key, value in {**made, **changes}.items() if value is not None}


def mapped(
    raw: dict[str, Any] | None = None,
    standalone_prices: dict[str, Any] | None = None,
    **rules: Any,
) -> MappedProduct:
    line = {
        "projection": raw or product(),
        "inventory": {"S-1": {"": 5}, "S-2": {"": 0}},
        "standalone_prices": standalone_prices or {},
    }
    return map_product(ExtractLine.model_validate(line), context(**rules))


def passed(result: MappedProduct) -> AcceptedProduct:
    accepted = accept(result, ())
    assert accepted is not None
    return accepted


def test_a_sound_product() -> None:
    accepted = passed(mapped())
    assert accepted.product.to_input() == {
        "id": "gid://external/CommercetoolsProduct/prod-1",
        "displayName": "Hemd",
        "description": "<p>Ein Hemd</p>",
        "handle": "hemd",
        "vendor": "Marl",
        "productType": "Shirt",
        "tags": ["Neu"],
        "metadata": [
            {"namespace": "facts", "key": "material", "data": "Wolle"},
            {"namespace": "facts", "key": "collection", "data": "Winter"},
        ],
    }
    assert accepted.variants[0].to_input() == {
        "id": "gid://external/CommercetoolsSku/S-1",
        "sku": "S-1",
        "position": 1,
        "displayName": "M",
        "barcode": None,
        "currentPrice": 19.95,
        "originalPrice": 19.95,
        "isInStock": True,
        "availableToPurchase": True,
        "inventoryPolicy": "DENY",
        "attributes": [{"key": "Größe", "value": "M"}],
        "metadata": [{"namespace": "facts", "key": "weight", "data": "120"}],
        "metaimages": [
            {"url": "https://img.example.com/1.jpg", "preferredImage": True},
            {"url": "https://img.example.com/2.jpg", "preferredImage": False},
        ],
    }
    assert accepted.group_ids == ("gid://external/CommercetoolsCategory/shirts",)
    assert accepted.group_order == {"gid://external/CommercetoolsCategory/shirts": "0.7"}
    assert (accepted.version, accepted.product_key, accepted.held_skus) == (3, "shirt-1", ())


def test_rows_have_the_documented_columns_and_show_nothing_wrong() -> None:
    rows = mapped().rows()
    assert all(set(row) == set(GATE_COLUMNS) for row in rows)
    assert [row["sku"] for row in rows] == ["S-1", "S-2"]
    for row in rows:
        wrong = {name for name, value in row.items() if value is False}
        assert wrong == set()
        assert row["missing_names"] == row["price_problem"] == row["unknown_categories"] == ""


def test_a_simple_product_has_one_variant_named_like_it() -> None:
    [only] = passed(mapped(product(variant(1)))).variants
    assert only.display_name == "Hemd"
    assert only.attributes == ()


@pytest.mark.parametrize(
    ("changes", "column", "value"),
    [
        ({"key": None}, "product_key", None),
        ({"name": {"en": "Shirt"}}, "missing_names", "de"),
        ({"name": {"de": "  ", "en": ""}}, "missing_names", "de, en"),
        ({"name": {}}, "product_name", ""),
        ({"slug": {"de": "hemd"}}, "missing_slugs", "en"),
        ({"name": {"de": "x" * 300, "en": "Shirt"}}, "name_length", 300),
        ({"name": {"de": "He\x07md", "en": "Shirt"}}, "product_control_characters", "name"),
        ({"description": {"de": "y" * 70_000}}, "description_length", 70_000),
        ({"categories": []}, "category_count", 0),
        ({"categories": [{"typeId": "category", "id": "gone"}]}, "unknown_categories", "gone"),
        ({"taxCategory": None}, "tax_category", None),
        ({"taxCategory": {"typeId": "tax-category", "id": "x"}}, "tax_category_known", False),
        ({"productType": {"typeId": "product-type", "id": "new"}}, "product_type", ""),
    ],
)
def test_what_is_wrong_with_a_product_shows_in_all_its_rows(
    changes: dict[str, Any], column: str, value: Any
) -> None:
    assert [row[column] for row in mapped(product(**changes)).rows()] == [value, value]


@pytest.mark.parametrize(
    ("changes", "column", "value"),
    [
        ({"sku": None}, "sku", None),
        ({"sku": None}, "sendable", False),
        ({"sku": "  "}, "sendable", False),
        ({"sku": "\ud800"}, "sendable", False),
        ({"sku": " S-9"}, "sendable", True),
        ({"sku": "S\x00"}, "inventory_entry", None),
        ({"sku": "S-9"}, "inventory_entry", False),
        ({"prices": []}, "current_price", None),
        ({"prices": []}, "price_problem", "it has no price at all"),
        ({"prices": []}, "sendable", False),
        ({"images": []}, "https_images", 0),
        ({"images": [{"url": "http://img.example.com/1.jpg"}]}, "https_images", 0),
        (
            {"images": [{"url": "http://img.example.com/1.jpg"}]},
            "first_image",
            "http://img.example.com/1.jpg",
        ),
        ({"attributes": [{"name": "gtin", "value": "4006381333932"}]}, "barcode_valid", False),
        ({"attributes": [{"name": "gtin", "value": 4006381333931}]}, "barcode_valid", True),
        ({"attributes": []}, "distinguishable", False),
        ({"attributes": [{"name": "size", "value": {"key": "XL", "label": "XL"}}]}, "distinguishable", True),
    ],
)
def test_what_is_wrong_with_a_variant_shows_in_its_row(
    changes: dict[str, Any], column: str, value: Any
) -> None:
    assert mapped(product(variant(1, "M", **changes), variant(2, "L"))).rows()[0][column] == value


def test_equal_variants_are_both_marked() -> None:
    rows = mapped(product(variant(1), variant(2), variant(3, "L"))).rows()
    assert [row["distinguishable"] for row in rows] == [False, False, True]


def test_the_previous_sku_is_passed_on() -> None:
    line = ExtractLine.model_validate({"projection": product(), "previous_skus": {"2": "OLD"}})
    assert [row["previous_sku"] for row in map_product(line, context()).rows()] == [None, "OLD"]


def test_a_discount_shows_as_current_below_original() -> None:
    price = {
        "value": {"currencyCode": "EUR", "centAmount": 2000},
        "discounted": {"value": {"currencyCode": "EUR", "centAmount": 1500}},
    }
    [only] = passed(mapped(product(variant(1, prices=[price])))).variants
    assert (only.current_price, only.original_price) == (Decimal("15.00"), Decimal("20.00"))


def standalone(sku: str, cents: int, **more: Any) -> dict[str, Any]:
    return {"sku": sku, "value": {"currencyCode": "EUR", "centAmount": cents}, **more}


def test_standalone_prices_count_where_the_product_says_so() -> None:
    prices = {"S-1": [standalone("S-1", 500)]}
    embedded = mapped(product(variant(1)), prices)
    apart = mapped(product(variant(1), priceMode="Standalone"), prices)
    assert passed(embedded).variants[0].current_price == Decimal("19.95")
    assert passed(apart).variants[0].current_price == Decimal("5.00")


def test_an_inactive_standalone_price_does_not_count() -> None:
    prices = {"S-1": [standalone("S-1", 500, active=False)]}
    [row] = mapped(product(variant(1), priceMode="Standalone"), prices).rows()
    assert row["price_problem"] == "it has no price at all"


def test_prices_of_the_links_channel_and_group() -> None:
    price = {"value": {"currencyCode": "EUR", "centAmount": 100}}
    special = [
        {
            "value": {"currencyCode": "EUR", "centAmount": 90},
            "channel": {"typeId": "channel", "id": "ch-wien"},
        },
        {
            "value": {"currencyCode": "EUR", "centAmount": 80},
            "customerGroup": {"typeId": "customer-group", "id": "cg-1"},
        },
    ]
    raw = product(variant(1, prices=[price, *special]))
    shown = [
        passed(mapped(raw, **rules)).variants[0].current_price
        for rules in (
            {},
            {"prices": {"channel": "wien"}},
            {"prices": {"channel": "wien", "customer_group": "club"}},
        )
    ]
    assert shown == [Decimal(1), Decimal("0.9"), Decimal("0.8")]


@pytest.mark.parametrize(
    ("rules", "field", "hint"),
    [
        ({"prices": {"channel": "berlim"}}, "prices.channel", "Did you mean 'berlin'?"),
        ({"prices": {"customer_group": "staff"}}, "prices.customer_group", "customer group"),
        ({"stock": {"channels": ["berlin", "paris"]}}, "stock.channels[1]", "'paris'"),
    ],
)
def test_rules_that_name_what_commercetools_lacks_are_refused(
    rules: dict[str, Any], field: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        context(**rules)
    assert caught.value.field == field
    assert hint in str(caught.value)


STOCK = {"": 1, "ch-berlin": 2, "ch-wien": 4, "ch-unheard-of": 8}


@pytest.mark.parametrize(
    ("rules", "available"),
    [
        ({}, 15),
        ({"channels": "all", "count_channelless": False}, 14),
        ({"channels": "locations"}, 7),
        ({"channels": ["berlin"]}, 3),
        ({"channels": ["berlin"], "count_channelless": False}, 2),
    ],
)
def test_channels_that_count(rules: dict[str, Any], available: int) -> None:
    assert context(stock=rules).stock.available(STOCK) == available


def test_stock_of_the_links_own_stores_only() -> None:
    rules: dict[str, Any] = {"stock": {"channels": "locations"}, "locations": {"countries": ["AT"]}}
    assert context(**rules).stock.available(STOCK) == 5


@pytest.mark.parametrize(
    ("key", "override", "available"),
    [
        pytest.param("berlin", {"country": "AT"}, 7, id="a store that is moved into the link's country"),
        pytest.param("wien", {"country": "DE"}, 1, id="a store that is moved out of it"),
        pytest.param("wien", {"exclude": True}, 1, id="a store that kiosks do not show"),
    ],
)
def test_stock_of_stores_as_locations_yaml_says_they_are(
    key: str, override: dict[str, Any], available: int
) -> None:
    """Where kiosks show a store, its stock counts, and nowhere else."""
    rules: dict[str, Any] = {"stock": {"channels": "locations"}, "locations": {"countries": ["AT"]}}
    overrides = {key: LocationOverride.model_validate(override)}
    assert context(overrides, **rules).stock.available(STOCK) == available


def test_what_one_store_oversold_takes_nothing_from_another() -> None:
    assert context().stock.available({"ch-berlin": -3, "ch-wien": 2}) == 2


def flags(
    available: int, attributes: tuple[dict[str, Any], ...] = (), **rules: Any
) -> tuple[bool, bool, str]:
    raw = product(variant(1, attributes=list(attributes)))
    line = ExtractLine.model_validate({"projection": raw, "inventory": {"S-1": {"": available}}})
    [record] = passed(map_product(line, context(stock=rules))).variants
    return record.is_in_stock, record.available_to_purchase, record.inventory_policy


def test_stock_flags() -> None:
    assert flags(1) == (True, True, "DENY")
    assert flags(0) == (False, False, "DENY")
    assert flags(-1) == (False, False, "DENY")
    assert flags(2, safety_stock=2) == (False, False, "DENY")
    assert flags(3, safety_stock=2) == (True, True, "DENY")
    assert flags(0, when_out_of_stock="CONTINUE") == (False, True, "CONTINUE")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, (False, True, "CONTINUE")), (False, (False, False, "DENY")), ("yes", (False, False, "DENY"))],
)
def test_a_variant_can_have_its_own_back_order_policy(value: Any, expected: tuple[bool, bool, str]) -> None:
    attribute = {"name": "preorder", "value": value}
    assert flags(0, (attribute,), back_order_attribute="preorder") == expected


def test_held_variants_stay_out_and_keep_the_place_of_the_others() -> None:
    result = mapped(product(variant(1, "S"), variant(2, "M"), variant(3, "L")))
    accepted = accept(result, {1})
    assert accepted is not None
    assert [(v.sku, v.position) for v in accepted.variants] == [("S-2", 2), ("S-3", 3)]
    assert accepted.held_skus == ("S-1",)


def test_a_product_without_a_good_variant_is_held_as_a_whole() -> None:
    assert accept(mapped(), {1, 2}) is None
    assert accept(mapped(product(variant(1, sku=None))), ()) is None


def test_what_cannot_be_sent_is_held_even_when_the_gate_lets_it_pass() -> None:
    result = mapped(product(variant(1, "S", sku=None), variant(2, "M", prices=[]), variant(3, "L")))
    accepted = passed(result)
    assert [v.sku for v in accepted.variants] == ["S-3"]
    assert accepted.held_skus == ("S-2",)


def test_insecure_images_are_left_out_and_repeated_ones_sent_once() -> None:
    urls = ("http://a.example/1", "https://a.example/2", "https://a.example/2", "https://a.example/3")
    [record] = passed(mapped(product(variant(1, images=[{"url": url} for url in urls])))).variants
    assert [(image.url, image.preferred) for image in record.images] == [
        ("https://a.example/2", True),
        ("https://a.example/3", False),
    ]


@pytest.mark.parametrize(
    ("source", "shown"),
    [("name", "Shirt"), ("key", "shirt"), ("attribute:material", "Wolle"), ("attribute:nothing", "")],
)
def test_product_type(source: str, shown: str) -> None:
    rules = RULES["attributes"] | {"product_type": source}
    assert passed(mapped(attributes=rules)).product.product_type == shown


def test_a_product_in_two_categories_of_one_group_joins_once() -> None:
    raw = product(categories=[{"typeId": "category", "id": id_} for id_ in ("shirts", "men")])
    accepted = passed(mapped(raw, groups={"max_depth": 1}))
    assert accepted.group_ids == ("gid://external/CommercetoolsCategory/men",)
    assert accepted.group_order == {}


def test_groups() -> None:
    groups = map_groups(context())
    assert [group.display_name for group in groups] == ["Herren", "Herren > Hemden"]
    assert groups[1].id == "gid://external/CommercetoolsCategory/shirts"
    assert {(entry.key, entry.data) for entry in groups[1].metadata} == {
        ("category_key", "shirts"),
        ("order_hint", "0.5"),
    }


# Locations


def channels(*changes: dict[str, Any]) -> list[Channel]:
    raw = REFERENCE["channels"] if not changes else [REFERENCE["channels"][0] | change for change in changes]
    return [Channel.model_validate(channel) for channel in raw]


def rules(**changes: Any) -> CatalogueRules:
    return CatalogueRules.model_validate(RULES | changes)


def test_locations_come_from_supply_channels() -> None:
    locations, problems = map_locations(channels(), {}, rules())
    assert problems == []
    assert [(where.display_name, where.country_code, where.address1) for where in locations] == [
        ("Berlin", "DE", "Allee 1"),
        ("wien", "AT", "Gasse"),
    ]
    assert locations[0].id == "gid://external/CommercetoolsChannel/berlin"


def test_locations_of_the_links_countries_only() -> None:
    locations, problems = map_locations(channels(), {}, rules(locations={"countries": ["AT"]}))
    assert [where.id.rpartition("/")[2] for where in locations] == ["wien"]
    assert problems == []


def test_an_override_wins_field_by_field() -> None:
    override = LocationOverride(display_name="Mitte", city="Potsdam", fulfils_online_orders=True)
    [where, _] = map_locations(channels(), {"berlin": override}, rules())[0]
    assert (where.display_name, where.address1, where.city) == ("Mitte", "Allee 1", "Potsdam")
    assert where.fulfills_online_orders


@pytest.mark.parametrize("by_rule", [True, False])
def test_excluded_channels_are_no_stores_and_no_problems(by_rule: bool) -> None:
    overrides = {} if by_rule else {"wien": LocationOverride(exclude=True)}
    locations, problems = map_locations(
        channels(), overrides, rules(locations={"exclude": ["wien"] if by_rule else []})
    )
    assert [where.id.rpartition("/")[2] for where in locations] == ["berlin"]
    assert problems == []


def test_an_incomplete_channel_is_a_problem_until_the_override_fills_it() -> None:
    bare = channels({"address": None})
    locations, problems = map_locations(bare, {}, rules())
    assert locations == []
    assert [(problem.value, problem.field) for problem in problems] == [
        ("berlin", "address.country"),
        ("berlin", "address.streetName"),
    ]
    filled = {"berlin": LocationOverride(country="DE", address1="Allee 1")}
    locations, problems = map_locations(bare, filled, rules())
    assert len(locations) == 1
    assert problems == []


def test_an_override_for_a_channel_that_is_none_is_a_problem() -> None:
    overrides = {"berlim": LocationOverride(), "erp": LocationOverride()}
    _, problems = map_locations(channels(), overrides, rules())
    assert [problem.value for problem in problems] == ["berlim", "erp"]
    assert "Did you mean 'berlin'?" in problems[0].message
    assert "InventorySupply" in problems[1].message


# Anything


texts = st.dictionaries(st.sampled_from(["de", "en", "it"]), st.text(max_size=8), max_size=3)
attribute_values = (
    st.none() | st.booleans() | st.floats() | st.text(max_size=4) | texts | st.lists(texts, max_size=2)
)
wild_variants: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    id=st.integers(1, 200),
    sku=st.none() | st.text(max_size=6),
    attributes=st.lists(
        st.builds(
            dict, name=st.sampled_from(["color", "size", "gtin", "brand", "tags"]), value=attribute_values
        ),
        max_size=4,
    ),
    images=st.lists(st.builds(dict, url=st.text(max_size=12)), max_size=2),
    prices=st.lists(
        st.builds(
            dict,
            value=st.builds(
                dict, currencyCode=st.sampled_from(["EUR", "USD", "???"]), centAmount=st.integers(-5, 10**12)
            ),
        ),
        max_size=2,
    ),
)
references: st.SearchStrategy[list[dict[str, Any]]] = st.lists(
    st.builds(dict, typeId=st.just("category"), id=st.sampled_from(["men", "shirts", "gone", ""])), max_size=3
)


@given(
    variants=st.lists(wild_variants, min_size=1, max_size=4),
    name=texts,
    slug=texts,
    description=texts,
    categories=references,
    key=st.none() | st.text(max_size=4),
    mode=st.sampled_from(["Embedded", "Standalone", "?"]),
)
def test_mapping_never_raises(
    variants: list[dict[str, Any]],
    name: dict[str, str],
    slug: dict[str, str],
    description: dict[str, str],
    categories: list[dict[str, Any]],
    key: str | None,
    mode: str,
) -> None:
    raw = product(
        *variants,
        name=name,
        slug=slug,
        description=description,
        categories=categories,
        key=key,
        priceMode=mode,
    )
    result = mapped(raw)
    assert len(result.rows()) == len(variants)
    accepted = accept(result, ())
    sendable = [row for row in result.rows() if row["sendable"]]
    assert (accepted is None) is (sendable == [])
    if accepted is not None:
        assert len(accepted.variants) == len(sendable)
        accepted.product.to_input()
        for record in accepted.variants:
            record.to_input()
