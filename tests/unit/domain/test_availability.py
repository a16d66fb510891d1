"""What kiosks should say of a variant's stock: by tables, and for any stock and any rules."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogent_ops.domain.availability import MOST, Assortment, Counted, Found, by_sku
from cogent_ops.domain.catalogue import CatalogueContext, CountingStock, ExtractLine, map_product
from cogent_ops.domain.commercetools import Channel
from cogent_ops.domain.custom_types import LAST_BATCH
from cogent_ops.domain.rules import CatalogueRules, LocationOverride
from cogent_ops.errors import ConfigError

Json = dict[str, Any]

POOL, BERLIN, BONN, WIEN, DEPOT, WEB = "", "id-berlin", "id-bonn", "id-wien", "id-depot", "id-web"


def channel(key: str, country: str | None = "DE", *roles: str) -> Json:
    made: Json = {
        "id": f"id-{key}",
        "key": key,
        "roles": list(roles or ("InventorySupply",)),
        "name": {"de": key},
    }
    if country is not None:
        made["address"] = {"country": country, "streetName": "Hauptstr."}
    return made


CHANNELS = [
    channel("berlin"),
    channel("bonn"),
    channel("wien", "AT"),
    channel("depot", None),
    channel("web", "DE", "ProductDistribution"),
]


def rules(**stock: Any) -> CatalogueRules:
    content: Json = {"country": "DE", "currency": "EUR", "locales": ["de"], "required_locales": ["de"]}
    return CatalogueRules.model_validate({**content, "locations": {"countries": ["DE"]}, "stock": stock})


def assortment(overrides: dict[str, LocationOverride] | None = None, **stock: Any) -> Assortment:
    return Assortment.of(rules(**stock), map(Channel.model_validate, CHANNELS), overrides or {})


@pytest.mark.parametrize(
    ("stock_rules", "stock", "levels", "in_stock"),
    [
        ({}, {}, {}, False),
        ({}, {BERLIN: 3}, {"berlin": 3}, True),
        ({}, {BERLIN: 0}, {"berlin": 0}, False),
        ({}, {BERLIN: -2, BONN: 1}, {"berlin": 0, "bonn": 1}, True),
        ({}, {POOL: 4}, {}, True),
        ({}, {POOL: 4, BERLIN: 0}, {"berlin": 0}, True),
        ({}, {WIEN: 4}, {}, True),
        ({}, {DEPOT: 4, BERLIN: 1}, {"berlin": 1}, True),
        ({"count_channelless": False}, {POOL: 4, BERLIN: 0}, {"berlin": 0}, False),
        ({"channels": "locations"}, {WIEN: 4, BERLIN: 0}, {"berlin": 0}, False),
        ({"channels": ["bonn"]}, {BONN: 2, BERLIN: 5}, {"bonn": 2, "berlin": 0}, True),
        ({"channels": ["bonn"]}, {BONN: 0, BERLIN: 5}, {"bonn": 0, "berlin": 0}, False),
        ({"safety_stock": 3}, {BERLIN: 2, BONN: 1}, {"berlin": 0, "bonn": 0}, False),
        ({"safety_stock": 3}, {BERLIN: 2, BONN: 2}, {"berlin": 2, "bonn": 2}, True),
        ({}, {BERLIN: 2**40}, {"berlin": MOST}, True),
    ],
)
def test_levels_and_flag(stock_rules: Json, stock: Json, levels: Json, in_stock: bool) -> None:
    found = assortment(**stock_rules).wanted(stock)
    assert (found.levels, found.in_stock) == (levels, in_stock)


def test_stores_are_the_locations_of_the_link() -> None:
    assert set(assortment().stores.values()) == {"berlin", "bonn"}
    closed = {
        "bonn": LocationOverride(exclude=True),
        "depot": LocationOverride(country="DE", address1="Weg 1"),
    }
    assert set(assortment(closed).stores.values()) == {"berlin", "depot"}


def test_the_stock_of_those_that_are_locations_counts() -> None:
    moved = {
        "bonn": LocationOverride(exclude=True),
        "wien": LocationOverride(country="DE"),
        "depot": LocationOverride(country="AT"),
    }
    found = assortment(moved, channels="locations")
    assert set(found.stores.values()) == {"berlin", "wien"}
    assert found.wanted({BONN: 4, DEPOT: 4, WIEN: 3}).levels == {"wien": 3}
    assert not found.wanted({BONN: 4, DEPOT: 4, WIEN: 0}).in_stock


def test_a_channel_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="'bom'"):
        assortment(channels=["bom"])


def test_entries_by_sku() -> None:
    ours: Json = {"type": {"typeId": "type", "id": "t"}, "fields": {LAST_BATCH: "b7"}}
    entries: list[Json] = [
        {"sku": "a", "quantityOnStock": 5, "availableQuantity": 3},
        {
            "sku": "a",
            "availableQuantity": 2,
            "supplyChannel": {"typeId": "channel", "id": BERLIN},
            "custom": ours,
        },
        {"sku": "b", "availableQuantity": -1},
    ]
    assert by_sku(entries) == {"a": {POOL: Found(3), BERLIN: Found(2, "b7")}, "b": {POOL: Found(-1)}}


@pytest.mark.parametrize(
    ("stock_rules", "stock", "held", "levels", "total"),
    [
        ({}, {BERLIN: 3, BONN: 1}, {"berlin": 2}, {"berlin": 1, "bonn": 1}, 2),
        ({}, {BERLIN: 3, BONN: 1}, {"berlin": 9}, {"berlin": 0, "bonn": 1}, 1),
        ({}, {BERLIN: 3}, {"berlin": 3}, {"berlin": 0}, 0),
        ({}, {BERLIN: 3, POOL: 2}, {"": 1}, {"berlin": 3}, 4),
        ({}, {BERLIN: 3, DEPOT: 2}, {"depot": 5, "berlin": 3}, {"berlin": 0}, 0),
        ({"safety_stock": 2}, {BERLIN: 3}, {"berlin": 1}, {"berlin": 0}, 0),
        ({"channels": ["bonn"]}, {BONN: 2, BERLIN: 5}, {"berlin": 1}, {"bonn": 2, "berlin": 0}, 2),
        ({}, {"id-younger": 4}, {"id-younger": 3}, {}, 1),
    ],
)
def test_what_is_held_back_is_nowhere(
    stock_rules: Json, stock: Json, held: Json, levels: Json, total: int
) -> None:
    ours = assortment(**stock_rules)
    found = ours.counted(stock).wanted(ours.stock, held)
    assert (found.levels, found.total, found.in_stock) == (levels, total, total > 0)


stocks = st.dictionaries(
    st.sampled_from([POOL, BERLIN, BONN, WIEN, DEPOT, WEB, "id-unknown"]), st.integers(-(2**35), 2**35)
)
stock_rules = st.fixed_dictionaries(
    {
        "channels": st.sampled_from(["all", "locations", ("bonn",), ("berlin", "wien")]),
        "count_channelless": st.booleans(),
        "safety_stock": st.integers(0, 5),
        "when_out_of_stock": st.sampled_from(["DENY", "CONTINUE"]),
    }
)


@given(stock=stocks, chosen=stock_rules)
def test_a_kiosk_never_contradicts_itself(stock: Json, chosen: Json) -> None:
    found = assortment(**chosen).wanted(stock)
    assert all(0 <= units <= MOST for units in found.levels.values())
    assert set(found.levels) == {one.removeprefix("id-") for one in stock} & {"berlin", "bonn"}
    if any(found.levels.values()):
        assert found.in_stock
    for key, units in found.levels.items():
        assert units <= max(0, stock[f"id-{key}"])


held_back = st.dictionaries(
    st.sampled_from(["", "berlin", "bonn", "wien", "depot", "web", "id-unknown"]), st.integers(0, 2**36)
)


@given(stock=stocks, chosen=stock_rules, held=held_back)
def test_protection_never_tells_more_and_never_below_nothing(stock: Json, chosen: Json, held: Json) -> None:
    ours = assortment(**chosen)
    counted = ours.counted(stock)
    without, found = counted.wanted(ours.stock), counted.wanted(ours.stock, held)
    assert set(found.levels) == set(without.levels)
    assert all(0 <= units <= without.levels[key] for key, units in found.levels.items())
    assert 0 <= found.total <= without.total
    assert without.in_stock or not found.in_stock
    for key, units in found.levels.items():
        assert units == 0 or units >= without.levels[key] - held.get(key, 0)
    kept = Counted.of_json(json.loads(json.dumps(counted.to_json())))
    judge = CountingStock(ours.stock.rules, None)
    assert kept.wanted(judge, held) == found, "what was kept says the same as what was read"


@given(stock=stocks, chosen=stock_rules)
def test_both_flows_judge_alike(stock: Json, chosen: Json) -> None:
    """The catalogue flow's flags, from the whole mapping, are those that this flow would tell."""
    reference = {
        "channels": CHANNELS,
        **dict.fromkeys(("categories", "product_types", "tax_categories", "customer_groups"), ()),
    }
    now = datetime(2026, 11, 20, tzinfo=UTC)
    money = {"currencyCode": "EUR", "centAmount": 100, "fractionDigits": 2}
    line = ExtractLine.model_validate(
        {
            "projection": {
                "id": "p",
                "version": 1,
                "lastModifiedAt": now,
                "productType": {"typeId": "product-type", "id": "t"},
                "name": {"de": "P"},
                "slug": {"de": "p"},
                "masterVariant": {"id": 1, "sku": "a", "prices": [{"id": "1", "value": money}]},
            },
            "inventory": {"a": stock} if stock else {},
        }
    )
    (variant,) = map_product(line, CatalogueContext.build(reference, rules(**chosen), now, {})).variants
    assert variant.record is not None
    ours = assortment(**chosen)
    flags = ours.stock.flags(
        ours.stock.available(stock), back_order=chosen["when_out_of_stock"] == "CONTINUE"
    )
    assert (variant.record.is_in_stock, variant.record.available_to_purchase) == flags
    assert flags.in_stock is ours.wanted(stock).in_stock
