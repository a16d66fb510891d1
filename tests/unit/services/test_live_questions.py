"""Queries and ids in every form, and the numbers of an answer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogent_ops.config import LinkConfig
from cogent_ops.domain.availability import Found
from cogent_ops.domain.identifiers import location_gid, variant_gid
from cogent_ops.services.live_stock.answers import Places
from cogent_ops.services.live_stock.questions import (
    Identifier,
    Question,
    Refused,
    location_identifier,
    ulid_of,
    variant_identifier,
)

ULID = "01HZX3J9T7Q8V2R4M6N8P0S1WY"


def test_a_question_takes_what_it_knows_and_lets_the_rest_pass() -> None:
    query = [("variant", " A-1 "), ("product", "P"), ("location", ""), ("cb", "1"), ("variant", "A-1")]
    assert Question.of(query) == Question("A-1", "P", None)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ([], "'variant' is missing"),
        ([("variant", "  ")], "'variant' is missing"),
        ([("variant", "a"), ("variant", "b")], "'variant' is given twice"),
        ([("variant", "x" * 513)], "'variant' has 513 characters"),
        ([("variant", "a"), ("location", "b\x00c")], "'location' holds control characters"),
        ([("variant", "a\nb")], "'variant' holds control characters"),
    ],
)
def test_a_bad_question_is_told_what_is_wrong(query: list[tuple[str, str]], told: str) -> None:
    with pytest.raises(Refused, match=told) as raised:
        Question.of(query)
    assert (raised.value.status, raised.value.code) == (400, "bad_request")


@pytest.mark.parametrize(
    ("text", "names", "internal"),
    [
        ("A-1", ("A-1",), None),
        ("A/1 ä", ("A/1 ä",), None),
        ("A%2F1", ("A%2F1", "A/1"), None),
        ("gid://external/CommercetoolsSku/A%2F1", ("A/1",), None),
        ("gid://external/CommercetoolsSku/A%252F1", ("A%2F1",), None),
        ("gid://external/SomebodysVariant/A-1", ("A-1",), None),
        ("gid://external/SomebodysVariant/x/A-1", ("A-1",), None),
        (f"gid://cloudshelf/ProductVariant/{ULID}", (), ULID),
        (f"gid://cloudshelf/ProductVariant/{ULID.lower()}", (), ULID),
        ("gid://cloudshelf/ProductVariant/A-1", ("A-1",), None),
        (ULID, (ULID,), ULID),
        ("x" * 300, (), None),
    ],
)
def test_variants_in_every_form(text: str, names: tuple[str, ...], internal: str | None) -> None:
    assert variant_identifier(text) == Identifier(names, internal)


@given(st.text(min_size=1, max_size=40).filter(lambda sku: sku.strip() and sku.isprintable()))
def test_our_own_ids_come_back_as_what_they_were_made_of(name: str) -> None:
    assert variant_identifier(variant_gid(name)).names == (name,)
    assert location_identifier(location_gid(name)).names == (name,)


def test_internal_ids_compare_with_and_without_the_rest() -> None:
    assert ulid_of(f"gid://cloudshelf/Location/{ULID.lower()}") == ulid_of(ULID)


# Numbers

CHANNELS: list[dict[str, Any]] = [
    {
        "id": f"id-{key}",
        "key": key,
        "version": 1,
        "roles": roles,
        "name": {"de": key.title()},
        "address": {"country": country, "streetName": "Markt", "streetNumber": "1"},
    }
    for key, roles, country in (
        ("berlin", ["InventorySupply"], "DE"),
        ("wien", ["InventorySupply"], "AT"),
        ("webshop", ["ProductDistribution"], "DE"),
    )
]
STOCK = {"id-berlin": 3, "id-wien": 2, "": 10, "id-webshop": -4}


def body(
    quantities: dict[str, int],
    store: str | None = None,
    held: dict[str, int] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    base = {
        "country": "DE",
        "currency": "EUR",
        "locales": ["de"],
        "required_locales": ["de"],
        "name": "default",
    }
    places = Places.of(CHANNELS, LinkConfig.model_validate({**base, **settings}), {})
    entries = {channel: Found(quantity) for channel, quantity in quantities.items()}
    answer = places.answer(Question("A-1", None, store), store, entries, held or {})
    assert answer["dataType"] == "StockLevels"
    assert answer["dataTypeVersion"] == 1
    response: dict[str, Any] = answer["response"]
    return response


def numbers(response: dict[str, Any]) -> tuple[int, dict[str, int]]:
    stores = {one["displayName"]: one["numberAvailable"] for one in response["locations"]}
    return response["totalNumberAvailable"], stores


@pytest.mark.parametrize(
    ("settings", "total", "stores"),
    [
        ({}, 15, {"Berlin": 3, "Wien": 2}),
        ({"stock": {"count_channelless": False}}, 5, {"Berlin": 3, "Wien": 2}),
        ({"locations": {"countries": ["DE"]}}, 15, {"Berlin": 3}),
        ({"locations": {"countries": ["DE"]}, "stock": {"channels": "locations"}}, 13, {"Berlin": 3}),
        ({"stock": {"channels": ["wien"], "count_channelless": False}}, 2, {"Berlin": 0, "Wien": 2}),
        ({"stock": {"safety_stock": 14}}, 15, {"Berlin": 3, "Wien": 2}),
        ({"stock": {"safety_stock": 15}}, 0, {"Berlin": 0, "Wien": 0}),
    ],
)
def test_numbers_follow_the_rules_of_stock(
    settings: dict[str, Any], total: int, stores: dict[str, int]
) -> None:
    assert numbers(body(STOCK, **settings)) == (total, stores)


@pytest.mark.parametrize(
    ("held", "total", "stores"),
    [
        ({"berlin": 2}, 13, {"Berlin": 1, "Wien": 2}),
        ({"berlin": 9, "wien": 9}, 10, {"Berlin": 0, "Wien": 0}),
        ({"": 4}, 11, {"Berlin": 3, "Wien": 2}),
        ({"": 99, "berlin": 3, "wien": 2}, 0, {"Berlin": 0, "Wien": 0}),
    ],
)
def test_what_is_held_back_is_not_told(held: dict[str, int], total: int, stores: dict[str, int]) -> None:
    assert numbers(body(STOCK, held=held)) == (total, stores)


def test_no_entry_is_zero_and_no_number_is_below() -> None:
    assert numbers(body({})) == (0, {"Berlin": 0, "Wien": 0})
    assert numbers(body({"id-berlin": -5, "id-wien": 2})) == (2, {"Berlin": 0, "Wien": 2})


def test_a_store_that_was_asked_for_stands_by_itself() -> None:
    assert body(STOCK)["location"] is None
    assert body(STOCK, "berlin")["location"] == {
        "id": location_gid("berlin"),
        "displayName": "Berlin",
        "fulfillsOnlineOrders": False,
        "numberAvailable": 3,
    }
