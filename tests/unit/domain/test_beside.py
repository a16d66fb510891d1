"""A kiosk order beside commercetools' side of it: what is the same is said to be, and every difference is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.kiosk_orders import RULES, SALES_TAX, context, drafted, line, paid, shipping

from cogent_ops.domain.beside import Beside, Mark, Pair, ShopLine, ShopOrder, compare, of_draft, of_order
from cogent_ops.domain.money import Money
from cogent_ops.domain.order_draft import Draft, build, order_number
from cogent_ops.domain.orders import KioskOrder
from cogent_ops.domain.rules import OrderStatus

Json = dict[str, Any]
EUR = "EUR"


def sides(
    order: KioskOrder, shop: ShopOrder | None = None, edits: Mapping[str, str] | None = None
) -> dict[str, Pair]:
    """Rows by what they are about; without a shop order, beside what would be sent."""
    known = context("sku-1", "sku-2", edits=edits or {})
    number = order_number(order, RULES)
    if shop is None:
        made = build(order, known, RULES)
        if isinstance(made, Draft):
            pairs = compare(order, number, of_draft(made), edits=edits or {})
        else:
            pairs = compare(order, number, None, edits=edits or {}, problems=made)
    else:
        pairs = compare(order, number, shop, edits=edits or {})
    assert len({one.what for one in pairs}) == len(pairs)
    return {one.what.partition(":")[0]: one for one in pairs}


def marks(pairs: Mapping[str, Pair]) -> dict[str, Mark]:
    return {what: one.mark for what, one in pairs.items() if one.mark is not Mark.PLAIN}


def differing(pairs: Mapping[str, Pair]) -> set[str]:
    return {what for what, mark in marks(pairs).items() if mark is not Mark.SAME}


def imported(order: KioskOrder, **change: Any) -> ShopOrder:
    """The order in commercetools as it was imported, but for a change."""
    shop = of_draft(drafted(order, context("sku-1", "sku-2"), RULES))
    return replace(shop, is_draft=False, status=order.status, **change)


prices = st.integers(min_value=1, max_value=10**7).map(lambda cents: cents / 100)
quantities = st.integers(min_value=1, max_value=999)
lines = st.lists(
    st.builds(line, st.sampled_from(["sku-1", "sku-2"]), quantities).flatmap(
        lambda one: prices.map(lambda price: {**one, "price": price})
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(lines, st.lists(st.builds(shipping, prices), max_size=1))
def test_what_is_imported_as_it_was_sold_shows_no_difference(sold: list[Json], sent: list[Json]) -> None:
    order = paid(*sold, *sent)
    for shop in (None, imported(order)):
        pairs = sides(order, shop)
        assert differing(pairs) == set()
        assert [what for what in pairs if what.startswith("Line ")] == [
            f"Line {number}" for number in range(1, len(sold) + len(sent) + 1)
        ]


@settings(max_examples=60, deadline=None)
@given(lines, st.data())
def test_a_line_that_was_changed_is_the_one_that_is_marked(sold: list[Json], data: st.DataObject) -> None:
    order = paid(*sold)
    shop = imported(order)
    at = data.draw(st.integers(min_value=0, max_value=len(sold) - 1))
    mine = shop.lines[at]
    change: Json = data.draw(
        st.sampled_from(
            [
                {"quantity": mine.quantity + 1},
                {"price": mine.price + Money(EUR, 1)},
                {"sku": "sku-3"},
            ]
        )
    )
    other = replace(mine, **change)
    changed = (*shop.lines[:at], other, *shop.lines[at + 1 :])
    found = differing(sides(order, replace(shop, lines=changed)))
    assert found == {f"Line {at + 1}"}


def test_each_difference_is_said_in_words() -> None:
    order = paid(line(quantity=2), line("sku-2", 1, price=5.0))
    shop = imported(order)
    first, second = shop.lines
    pairs = sides(
        order,
        replace(
            shop,
            lines=(replace(first, quantity=1, price=Money(EUR, 2000)),),
            total=Money(EUR, 2000),
            gross=Money(EUR, 2000),
            status="VOIDED",
        ),
    )
    assert pairs["Line 1"].words == (
        "Quantity: 2 at the kiosk, 1 in commercetools. Price of one: €19.90 at the kiosk, €20.00 in commercetools."
    )
    assert (pairs["Line 1"].source, pairs["Line 1"].target) == ("2 × €19.90 = €39.80", "1 × €20.00")
    assert (pairs["Line 2"].mark, pairs["Line 2"].target) == (Mark.LACKS, "none")
    assert pairs["Lines together"].words == "commercetools has €24.80 less."
    assert pairs["Status"].words == "Cloudshelf says PAID, commercetools VOIDED."
    assert second.sku == "sku-2"


def test_a_line_that_only_commercetools_has_is_named() -> None:
    order = paid(line())
    shop = imported(order)
    extra = ShopLine("", "sku-9", "Hat", 3, Money(EUR, 100))
    pairs = sides(order, replace(shop, lines=(*shop.lines, extra)))
    assert pairs["sku-9 Hat"] == Pair(
        "sku-9 Hat", "none", "3 × €1.00 = €3.00", Mark.LACKS, "Only commercetools has this line."
    )


def test_lines_that_somebody_entered_by_hand_are_found_by_their_sku() -> None:
    order = paid(line(), line("sku-2", 1))
    shop = imported(order)
    by_hand = tuple(replace(one, key="") for one in reversed(shop.lines))
    assert differing(sides(order, replace(shop, lines=by_hand))) == set()


def test_a_discount_is_no_difference_and_is_explained() -> None:
    order = paid(line(quantity=2), basket=30.0, discountCode="AUTUMN")
    rules = RULES.model_copy(update={"discounts": "custom_line"})
    shop = of_draft(drafted(order, context("sku-1"), rules))
    pairs = {one.what: one for one in compare(order, order_number(order, RULES), shop, edits={})}
    assert pairs["Discount AUTUMN"].mark is Mark.PLAIN
    assert pairs["Discount AUTUMN"].words == "Added so that the order comes to what the customer paid."
    assert pairs["Customer paid"].mark is Mark.SAME
    assert pairs["Lines together"].mark is Mark.DIFFERS


def test_a_basket_may_leave_out_the_shipping() -> None:
    order = paid(line(quantity=1), shipping(4.9), basket=19.9)
    pair = sides(order)["Customer paid"]
    assert (pair.mark, pair.target, pair.words) == (
        Mark.SAME,
        "€24.80",
        "commercetools has shipping on top.",
    )


def test_taxes_on_top_are_part_of_what_the_customer_paid() -> None:
    order = paid(
        line(quantity=1, price=100.0, currencyCode="USD"),
        basket=108.25,
        session={"basketCurrencyCode": "USD"},
    )
    shop = ShopOrder(
        order_number(order, RULES),
        "Open",
        "PAID",
        "",
        Money("USD", 10000),
        Money("USD", 10825),
        (ShopLine("l1", "sku-1", "", 1, Money("USD", 10000)),),
    )
    assert SALES_TAX.is_included is False
    assert sides(order, shop)["Customer paid"].mark is Mark.SAME


@pytest.mark.parametrize(
    ("status", "named"),
    [
        ("PLACED", "Amount of the order"),
        ("VOIDED", "Amount of the order"),
        ("PAID", "Customer paid"),
        ("REFUNDED", "Customer paid"),
    ],
)
def test_only_what_is_paid_is_called_so(status: str, named: str) -> None:
    order = replace(paid(line(), basket=39.8), status=OrderStatus(status))
    shop = imported(paid(line()))
    rows = {one.what for one in compare(order, order_number(order, RULES), shop, edits={})}
    assert {"Customer paid", "Amount of the order"} & rows == {named}


def test_that_cloudshelf_goes_on_saying_placed_is_normal_where_a_person_has_confirmed_the_payment() -> None:
    order = replace(paid(line()), status=OrderStatus.PLACED)
    shop = imported(paid(line()))
    pair = sides(order, shop, {"paid": "yes"})["Status"]
    assert pair.mark is Mark.PLAIN
    assert pair.words == (
        "A person has confirmed the payment. Cloudshelf may go on saying PLACED; that is normal."
    )
    assert differing(sides(order, shop, {"paid": "yes"})) == set()
    assert sides(order, shop)["Status"].mark is Mark.DIFFERS
    voided = replace(shop, status="VOIDED")
    assert sides(order, voided, {"paid": "yes"})["Status"].mark is Mark.DIFFERS


# What cannot be sent


@pytest.mark.parametrize(
    ("order", "row", "words"),
    [
        (paid(line(), line(price=None)), "Line 2", "It has no price."),
        (paid(line(quantity="two")), "Line 1", "The quantity is 'two'."),
        (paid(line("sku-7")), "Line 1", "SKU 'sku-7' is not in commercetools."),
        (
            paid(line(), basket=99.0),
            "Customer paid",
            "Its lines come to €39.80, its basket to €99.00.",
        ),
        (
            paid(line(currencyCode="GBP")),
            "Customer paid",
            "Its amounts are in GBP, and this link sells in EUR.",
        ),
    ],
)
def test_what_keeps_an_order_from_being_sent_stands_where_it_is_wrong(
    order: KioskOrder, row: str, words: str
) -> None:
    pairs = sides(order)
    assert pairs[row].mark is Mark.STOPS
    assert pairs[row].words == words
    assert marks(pairs) == {row: Mark.STOPS}
    assert all(not one.target for one in pairs.values())


def test_an_order_without_a_store_or_an_address_says_so_in_rows_of_their_own() -> None:
    order = paid(line())
    rules = RULES.model_copy(update={"email": "required"})
    made = build(order, replace(context("sku-1"), channel=None), rules)
    assert not isinstance(made, Draft)
    pairs = {one.what: one for one in compare(order, "CS-1", None, edits={}, problems=made)}
    assert pairs["Store"].mark is Mark.STOPS
    assert pairs["E-mail address"] == Pair(
        "E-mail address", "none", "", Mark.STOPS, "The customer's e-mail address is missing."
    )


# What people corrected


def test_corrections_are_differences_that_name_their_reason() -> None:
    order = paid(line(), line("sku-2", 1, price=None), line("sku-2", 1))
    edits = {"price.2": "12.50", "quantity.3": "0", "location": "hamburg"}
    pairs = sides(order, edits=edits)
    assert (
        pairs["Line 2"].words
        == "Price: none at the kiosk, €12.50 in commercetools. Price corrected by a person."
    )
    assert pairs["Line 3"].words == "Left out by a person."
    assert pairs["Store"].words == "A person gave the Channel hamburg."
    assert differing(pairs) >= {"Line 2", "Line 3"}


# What commercetools gives


def test_an_order_of_commercetools_is_read_with_its_custom_lines_and_taxes() -> None:
    raw = {
        "id": "1",
        "orderNumber": "CS-1",
        "orderState": "Confirmed",
        "paymentState": "Paid",
        "store": {"key": "berlin-store"},
        "totalPrice": {"currencyCode": "EUR", "centAmount": 2480},
        "taxedPrice": {"totalGross": {"currencyCode": "EUR", "centAmount": 2951}},
        "lineItems": [
            {
                "key": "l1",
                "variant": {"sku": "sku-1"},
                "name": {"de": "Mantel"},
                "quantity": 1,
                "price": {"value": {"currencyCode": "EUR", "centAmount": 1990}},
            }
        ],
        "customLineItems": [
            {"name": {"de": "Versand"}, "quantity": 1, "money": {"currencyCode": "EUR", "centAmount": 490}}
        ],
    }
    assert of_order(raw, OrderStatus.PAID) == ShopOrder(
        "CS-1",
        "Confirmed, Paid",
        OrderStatus.PAID,
        "berlin-store",
        Money(EUR, 2480),
        Money(EUR, 2951),
        (
            ShopLine("l1", "sku-1", "Mantel", 1, Money(EUR, 1990)),
            ShopLine("", "", "Versand", 1, Money(EUR, 490)),
        ),
    )


def test_an_order_under_another_number_says_so() -> None:
    order = paid(line())
    pairs = sides(order, imported(order, number="1001"))
    assert pairs["Order number"].mark is Mark.DIFFERS


def test_differences_are_counted() -> None:
    same, other, missing = (
        Pair("a", "1", "1", Mark.SAME),
        Pair("b", "1", "2", Mark.DIFFERS),
        Pair("c", "1", "", Mark.LACKS),
    )
    assert Beside("t", "s", "t", (same, other, missing, Pair("d", "", ""))).differences == 2
