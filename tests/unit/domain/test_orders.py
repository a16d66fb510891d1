"""Orders as stock sees them: which lines count, what is wrong with others, and what may be kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.kiosk_orders import ULID, line, order, shipping

from cogent_ops.domain.identifiers import location_gid
from cogent_ops.domain.orders import (
    MOST_UNITS,
    UnreadableOrder,
    capture_hash,
    email_of,
    kept,
    location_name,
    own_channel,
    read_order,
)

Json = dict[str, Any]


def test_an_order_says_what_it_sold_where() -> None:
    found = read_order(order(line("a/b", 2), line("c", 1)))
    assert [(one.sku, one.quantity, one.is_known) for one in found.lines] == [
        ("a/b", 2, True),
        ("c", 1, True),
    ]
    assert (found.ulid, found.location, found.problems) == (ULID, location_gid("berlin"), ())
    assert found.updated_at.microsecond == 123_000


def test_what_is_kept_reads_the_same() -> None:
    raw = order(line(), line(quantity=0), session=None, discountCode="SUMMER")
    first = read_order(raw)
    again = read_order(json.loads(json.dumps(first.content)))
    assert again == first
    assert again.fingerprint == first.fingerprint


def test_shipping_lines_move_nothing() -> None:
    found = read_order(order(shipping(), line()))
    assert [one.number for one in found.lines] == [2]
    assert found.problems == ()


@pytest.mark.parametrize("quantity", [None, 0, -1, MOST_UNITS + 1, 1.5, "2", True])
def test_a_bad_quantity_is_named_and_the_other_lines_go_on(quantity: Any) -> None:
    found = read_order(order(line("a", quantity), line("b", 1)))
    assert [one.sku for one in found.lines] == ["b"]
    (problem,) = found.problems
    assert problem.field == "lines[1].quantity"
    assert "Line 1 ('Coat'): the quantity is" in problem.message


def test_a_product_without_variant_is_named() -> None:
    found = read_order(order(line(None, productVariantId="")))
    assert [one.field for one in found.problems] == ["lines[1].productVariantId"]


@pytest.mark.parametrize("sku", ["x" * 300, "a\x00b", "a\nb"])
def test_an_identifier_that_no_store_can_hold_is_named(sku: str) -> None:
    assert [one.field for one in read_order(order(line(sku))).problems] == ["lines[1].productVariantId"]


def test_a_variant_that_is_not_ours_keeps_its_identifier() -> None:
    foreign = line(platformProvidedProductVariantId="gid://external/ShopifyProductVariant/7")
    own = line(None)
    found = read_order(order(foreign, own))
    assert [(one.sku, one.is_known) for one in found.lines] == [
        ("gid://external/ShopifyProductVariant/7", False),
        ("gid://cloudshelf/ProductVariant/1", False),
    ]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": None}, "id"),
        ({"id": "  "}, "id"),
        ({"status": "SHIPPED"}, "status"),
        ({"status": None}, "status"),
        ({"updatedAt": None}, "updatedAt"),
        ({"updatedAt": "yesterday"}, "updatedAt"),
        ({"updatedAt": "2026-11-24T10:00:00"}, "updatedAt"),
        ({"createdAt": 3}, "createdAt"),
    ],
)
def test_an_order_that_cannot_be_kept_says_why(change: Json, field: str) -> None:
    with pytest.raises(UnreadableOrder) as caught:
        read_order(order(line(), **change))
    assert caught.value.field == field


def test_internal_sessions_are_told_apart() -> None:
    assert read_order(order(line(), session={"visibilityType": "CLOUDSHELF_INTERNAL"})).is_internal
    assert not read_order(order(line(), session={"visibilityType": "RETAILER"})).is_internal


PERSONAL = ("anna@example.com", "+49 30 1234567", "0301234567", "Please ring at Anna's")


def test_nothing_about_a_customer_is_kept() -> None:
    attributes = [
        {"key": "CS_EMAIL", "value": PERSONAL[0]},
        {"key": "CS_CUSTOMER", "value": "gid://shopify/Customer/8"},
        {"key": "Note", "value": PERSONAL[3]},
        {"key": "CS_Device", "value": PERSONAL[2]},
        {"key": "CS_OriginatingStore", "value": PERSONAL[0]},
        {"key": "CS_SessionId", "value": f"gid://cloudshelf/Session/{ULID}"},
    ]
    raw = order(
        line(customAttributes=attributes, note=PERSONAL[3]),
        discountCode=PERSONAL[0],
        emailAddress=PERSONAL[0],
        session={"id": "s", "phoneNumber": PERSONAL[1], "deliveryAddress": {"name": "Anna"}},
    )
    text = json.dumps(kept(raw))
    assert not [one for one in (*PERSONAL, "Customer", "Anna") if one in text]
    assert kept(raw)["lines"][0]["customAttributes"] == [attributes[-1]]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [*order(line())]
LINE_FIELDS = [*line()]


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=3),
    st.dictionaries(st.sampled_from(LINE_FIELDS), ANYTHING, max_size=3),
)
def test_whatever_an_order_holds_it_is_read_or_refused(change: Json, line_change: Json) -> None:
    raw = {**order({**line(), **line_change}), **change}
    try:
        found = read_order(raw)
    except UnreadableOrder as error:
        refused = error.field
    else:
        refused = ""
        assert len(found.lines) + len(found.problems) <= len(found.content["lines"])
        json.dumps(found.content, allow_nan=False)
        assert found.fingerprint
    assert refused in ("", "id", "status", "createdAt", "updatedAt")


def test_locations_are_compared_by_what_identifies_them() -> None:
    assert own_channel(location_gid("store/1")) == "store/1"
    assert own_channel("gid://external/ShopifyLocation/1") is None
    assert own_channel("berlin") is None
    assert location_name(f"gid://cloudshelf/Location/{ULID.lower()}") == location_name(ULID) == ULID
    assert location_name("gid://external/ShopifyLocation/1") == "gid://external/ShopifyLocation/1"


def test_what_was_sold_is_kept_line_by_line_whatever_is_wrong_with_it() -> None:
    raw = order(
        line("a", 2),
        shipping(None),
        line("b", "two", price="x", currencyCode=None),
        line(None, 1, productVariantId="gid://cloudshelf/ProductVariant/9", price=-1),
    )
    found = read_order(raw).sold
    assert [(one.number, one.sku, one.quantity, one.price, one.currency) for one in found] == [
        (1, "a", 2, "19.9", "EUR"),
        (2, None, 1, None, "EUR"),
        (3, "b", None, None, ""),
        (4, None, 1, "-1", "EUR"),
    ]
    assert [one.is_shipping for one in found] == [False, True, False, False]
    assert (found[2].quantity_given, found[3].identifier) == ("'two'", "gid://cloudshelf/ProductVariant/9")


def test_a_session_is_told_by_names_and_else_by_ids() -> None:
    session = {
        "deviceId": "gid://d/1",
        "deviceName": "Kiosk 3",
        "cloudshelfId": "gid://c/1",
        "paymentAttemptId": "pa",
    }
    found = read_order(order(line(), session=session))
    assert (found.session.device, found.session.cloudshelf) == ("Kiosk 3", "gid://c/1")
    assert found.was_paid_on_kiosk
    assert not read_order(order(line(), session=None)).was_paid_on_kiosk


@pytest.mark.parametrize("value", ["anna@example.com", " anna@example.com "])
def test_an_e_mail_address_is_found_and_never_kept(value: str) -> None:
    raw = order(line(), line(customAttributes=[{"key": "CS_EMAIL", "value": value}]))
    assert email_of(raw, "CS_EMAIL") == "anna@example.com"
    assert email_of(raw, "EMAIL") is None
    assert "anna" not in json.dumps(read_order(raw).content)


@pytest.mark.parametrize("value", ["", None, 7, "a\nb@example.com", "a" * 250 + "@example.com"])
def test_what_can_be_no_e_mail_address_is_none(value: Any) -> None:
    assert email_of(order(line(customAttributes=[{"key": "CS_EMAIL", "value": value}])), "CS_EMAIL") is None


@pytest.mark.parametrize(
    ("change", "matters"),
    [
        ({"status": "REFUNDED"}, False),
        ({"updatedAt": "2026-11-25T10:00:00Z"}, False),
        ({"thirdPartyId": "ct-1"}, False),
        ({"lines": [line(price=1)]}, True),
        ({"discountCode": "SUMMER"}, True),
        ({"session": None}, True),
    ],
)
def test_only_what_an_order_is_made_of_counts_as_a_change_of_it(change: Json, matters: bool) -> None:
    before, after = (capture_hash(read_order(order(line(), **more))) for more in ({}, change))
    assert (before != after) is matters
