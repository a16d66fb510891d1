"""Drafts: exact in every currency, all that is wrong told at once, and no effect on stock."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.kiosk_orders import (
    REDUCED,
    RULES,
    SALES_TAX,
    ULID,
    VAT,
    context,
    drafted,
    line,
    order,
    paid,
    shipping,
)

from cogent_ops.domain.exceptions import Kind
from cogent_ops.domain.identifiers import location_gid
from cogent_ops.domain.money import Money, major
from cogent_ops.domain.order_draft import (
    DRAFT_KINDS,
    Article,
    Draft,
    DraftContext,
    build,
    order_number,
    wanted_skus,
)
from cogent_ops.domain.order_payment import payment_draft, payment_fits
from cogent_ops.domain.order_problems import Problem, exceptions_of
from cogent_ops.domain.orders import KioskOrder, read_order
from cogent_ops.domain.rules import OrderRules
from cogent_ops.domain.taxes import TaxRate

Json = dict[str, Any]

KIOSK_3 = "Kiosk: Kiosk 3. Ordered at 2026-11-24 10:00 UTC."


def problems(order_: KioskOrder, known: DraftContext, rules: OrderRules = RULES) -> tuple[Problem, ...]:
    found = build(order_, known, rules)
    assert not isinstance(found, Draft)
    return found


def kinds(order_: KioskOrder, known: DraftContext, rules: OrderRules = RULES) -> list[Kind]:
    return [one.kind for one in problems(order_, known, rules)]


# What is sent


def test_an_order_as_it_is_imported() -> None:
    session = {
        "locationName": "Berlin",
        "deviceName": "Kiosk 3",
        "cloudshelfName": "Endless aisle",
        "salesAssistantName": "Kim",
    }
    sold = paid(line("sku-1", 2), line("sku-2", 1, price=5), basket=44.8, session=session)
    draft = drafted(sold, context("sku-1", "sku-2", email="anna@example.com"))
    assert (draft.number, draft.total, draft.gross, draft.units) == (
        f"CS-{ULID}",
        Money("EUR", 4480),
        Money("EUR", 4480),
        3,
    )
    body = draft.body
    assert body["lineItems"][0] == {
        "key": "l1",
        "name": {"de": "Mantel", "en": "Coat"},
        "variant": {"sku": "sku-1"},
        "quantity": 2,
        "price": {"value": {"currencyCode": "EUR", "centAmount": 1990}},
        "supplyChannel": {"typeId": "channel", "key": "berlin"},
        "taxRate": {"name": "VAT", "amount": 0.19, "includedInPrice": True, "country": "DE"},
    }
    assert body["taxedPrice"]["taxPortions"] == [
        {"name": "VAT", "rate": 0.19, "amount": {"currencyCode": "EUR", "centAmount": 715}}
    ]
    assert {name: body[name] for name in ("country", "customerEmail", "completedAt", "store", "origin")} == {
        "country": "DE",
        "customerEmail": "anna@example.com",
        "completedAt": "2026-11-24T10:00:05.123Z",
        "store": {"typeId": "store", "key": "berlin-store"},
        "origin": "Customer",
    }
    assert (body["orderState"], body["paymentState"], body["shipmentState"]) == (
        "Confirmed",
        "Paid",
        "Pending",
    )
    assert body["custom"] == {
        "type": {"typeId": "type", "key": "cogent-ops-order"},
        "fields": {
            "CS_OrderId": f"gid://cloudshelf/Order/{ULID}",
            "CS_Cloudshelf": "Endless aisle",
            "CS_Device": "Kiosk 3",
            "CS_OriginatingStore": "Berlin",
            "CS_SalesAssistant": "Kim",
            "CS_SessionId": "gid://cloudshelf/Session/1",
        },
    }


@pytest.mark.parametrize("unknown", ["review", "custom_line"])
def test_an_import_never_takes_stock(unknown: Any) -> None:
    """Movements own the deduction; two that deduct would count a sale twice."""
    sold = paid(line("sku-1"), shipping(), line("sku-2", 3))
    draft = drafted(sold, context("sku-1", "sku-2"), RULES.model_copy(update={"unknown_products": unknown}))
    assert draft.body["inventoryMode"] == "None"
    assert "inventoryMode" not in json.dumps([draft.body["lineItems"], draft.body["customLineItems"]])


def test_what_is_not_known_is_left_out_and_not_sent_as_nothing() -> None:
    rules = RULES.model_copy(update={"shipment_state": None})
    body = drafted(paid(line(), session={"id": None}), context("sku-1", store=None), rules).body
    assert not {"customerEmail", "store", "shipmentState"} & body.keys()
    assert list(body["custom"]["fields"]) == ["CS_OrderId", "CS_OriginatingStore"]


def test_an_order_first_met_after_its_payment_was_completed_when_it_was_made() -> None:
    sold = read_order(order(line(), status="REFUNDED"))
    assert drafted(sold, context("sku-1")).body["completedAt"] == "2026-11-24T10:00:00.000Z"


def test_shipping_and_unknown_articles_become_custom_lines() -> None:
    rules = OrderRules(unknown_products="custom_line", shipping_tax_category="shipping")
    sold = paid(line("sku-1"), shipping(4.9, productName="Express"), line("gone", 1, price=3))
    draft = drafted(sold, context("sku-1", other_tax=REDUCED), rules)
    custom = draft.body["customLineItems"]
    assert [(one["slug"], one["name"], one["money"]["centAmount"]) for one in custom] == [
        ("s2", {"de": "Express"}, 490),
        ("l3", {"de": "Coat"}, 300),
    ]
    assert {one["taxRate"]["amount"] for one in custom} == {0.07}
    assert (draft.total.cents, draft.units) == (3980 + 490 + 300, 3)


def test_shipping_without_a_price_is_free_and_without_a_number_one() -> None:
    draft = drafted(paid(line(), shipping(None, quantity=None)), context("sku-1"))
    assert [(one.key, one.quantity, one.price.cents) for one in draft.lines][1:] == [("s2", 1, 0)]


def test_names_fall_back_to_the_kiosk_s() -> None:
    known = context("sku-1", articles={"sku-1": Article({"en": " "}, "standard")})
    assert drafted(paid(line()), known).body["lineItems"][0]["name"] == {"de": "Coat"}


def test_an_id_that_is_no_ulid_still_makes_a_number_that_every_key_takes() -> None:
    odd, other = (read_order(order(line(), id=f"gid://x/Order/{name}")) for name in ("a b", "a c"))
    numbers = {order_number(odd, RULES), order_number(other, RULES)}
    assert len(numbers) == 2
    assert all(number.startswith("CS-") and " " not in number for number in numbers)


# Sums


PRICES = st.integers(1, 10**7)
LINES = st.lists(
    st.tuples(PRICES, st.integers(1, 50), st.sampled_from("ab"), st.booleans()), min_size=1, max_size=8
)


@settings(max_examples=200)
@given(
    currency=st.sampled_from(["EUR", "JPY", "BHD"]),
    lines=LINES,
    off=st.integers(0, 10**6),
    included=st.booleans(),
    rates=st.tuples(st.decimals(0, 1, places=4), st.decimals(0, 1, places=4)),
)
def test_everything_adds_up_exactly(
    currency: str, lines: list[tuple[int, int, str, bool]], off: int, included: bool, rates: Any
) -> None:
    """Lines to the total, net and tax to gross, a discount over several rates to what the basket says."""

    def amount(cents: int) -> float:
        return float(major(Money(currency, cents)))

    sold = [
        line(sku, units, price=amount(cents), currencyCode=currency)
        if not is_unknown
        else line(f"x{sku}", units, price=amount(cents), currencyCode=currency)
        for cents, units, sku, is_unknown in lines
    ]
    sum_ = sum(cents * units for cents, units, *_ in lines)
    off = min(off, sum_)
    order_ = paid(*sold, basket=amount(sum_ - off), discountCode="SUMMER")
    taxes = {sku: TaxRate(sku, rate, included, "DE") for sku, rate in zip("ab", rates, strict=True)}
    known = replace(
        context(currency=currency, taxes=taxes, tax=VAT),
        articles={sku: Article({"de": sku}, sku) for sku in "ab"},
        currency=currency,
        other_tax=taxes["a"],
    )
    rules = OrderRules(discounts="custom_line", unknown_products="custom_line", shipping_tax_category="other")
    draft = drafted(order_, known, rules)
    body, taxed = draft.body, draft.body["taxedPrice"]
    assert body["totalPrice"] == {"currencyCode": currency, "centAmount": sum_ - off}
    items = sum(one["price"]["value"]["centAmount"] * one["quantity"] for one in body["lineItems"])
    custom = sum(one["money"]["centAmount"] * one["quantity"] for one in body["customLineItems"])
    assert items + custom == sum_ - off
    portions = sum(one["amount"]["centAmount"] for one in taxed["taxPortions"])
    assert taxed["totalNet"]["centAmount"] + portions == taxed["totalGross"]["centAmount"]
    assert draft.gross.cents == taxed["totalGross"]["centAmount"]
    assert draft.gross == draft.total or not included
    slugs = [one["slug"] for one in body["customLineItems"]]
    keys = slugs + [one["key"] for one in body["lineItems"]]
    assert len(set(keys)) == len(keys)


def test_a_discount_is_shared_by_the_tax_rates_of_the_goods() -> None:
    known = replace(
        context(taxes={"standard": VAT, "food": REDUCED}),
        articles={"a": Article({"de": "A"}, "standard"), "b": Article({"de": "B"}, "food")},
    )
    sold = paid(line("a", 1, price=30), line("b", 1, price=10), basket=36, discountCode="TEN")
    draft = drafted(sold, known, OrderRules(discounts="custom_line"))
    off = draft.body["customLineItems"]
    assert [(one["slug"], one["money"]["centAmount"], one["taxRate"]["amount"]) for one in off] == [
        ("d1", -300, 0.19),
        ("d2", -100, 0.07),
    ]
    assert off[0]["name"] == {"de": "Discount TEN"}


def test_taxes_on_top_are_paid_by_the_customer_too() -> None:
    known = context("sku-1", tax=SALES_TAX, currency="USD")
    draft = drafted(paid(line(price=10, currencyCode="USD")), known)
    assert (draft.total, draft.gross) == (Money("USD", 2000), Money("USD", 2165))
    payment = payment_draft(draft, paid(line()))
    assert payment is not None
    assert payment["amountPlanned"]["centAmount"] == 2165


@pytest.mark.parametrize("basket", [39.8, 44.7, "39.800000000000004", None])
def test_the_basket_may_hold_the_shipping_or_not(basket: Any) -> None:
    assert drafted(paid(line(), shipping(4.9), basket=basket), context("sku-1")).total.cents == 4470


@pytest.mark.parametrize(
    ("basket", "code", "rules"),
    [
        (30, None, RULES),
        (50, None, RULES),
        (30, "SUMMER", RULES),
        (50, "SUMMER", OrderRules(discounts="custom_line")),
        (30, None, OrderRules(discounts="custom_line")),
        ("1e400", None, RULES),
        ("30.555", None, RULES),
    ],
)
def test_a_sum_that_nobody_explains_is_asked_about(basket: Any, code: str | None, rules: OrderRules) -> None:
    sold = paid(line(), basket=basket, discountCode=code)
    assert kinds(sold, context("sku-1"), rules) == [Kind.ORDER_MONEY]
    assert (
        drafted(sold, context("sku-1"), rules.model_copy(update={"check_basket_value": False})).total.cents
        == 3980
    )


@pytest.mark.parametrize(("total", "lines"), [("30", -980), ("39.80", 0), ("45.00", 520)])
def test_a_person_s_word_on_what_was_paid_settles_a_sum(total: str, lines: int) -> None:
    draft = drafted(paid(line(), basket=1), context("sku-1", edits={"total": total}))
    assert sum(one.total.cents for one in draft.lines if one.sku is None) == lines
    assert draft.total == Money("EUR", 3980 + lines)


def test_a_discount_on_a_basket_that_may_lack_the_shipping_is_asked_about() -> None:
    sold = paid(line(), shipping(4.9), basket=30, discountCode="SUMMER")
    assert kinds(sold, context("sku-1"), OrderRules(discounts="custom_line")) == [Kind.ORDER_MONEY]


# What is wrong


def test_everything_that_is_wrong_is_told_at_once() -> None:
    sold = paid(
        line("a", 0),
        line("b", 1, price=None),
        line("c", 1),
        line("d", 1),
        session={"locationId": "gid://cloudshelf/Location/9", "locationName": "Leeds"},
    )
    known = replace(context(channel=None), articles={one: Article({"de": one}, "x") for one in "abd"})
    rules = OrderRules(email="required")
    found = problems(sold, known, rules)
    assert {one.kind for one in found} == {
        Kind.ORDER_LOCATION,
        Kind.ORDER_CONTACT,
        Kind.ORDER_LINE,
        Kind.ORDER_ARTICLE,
        Kind.ORDER_TAX,
    }
    assert {one.kind for one in found} <= DRAFT_KINDS
    assert {one.group for one in found if one.kind is Kind.ORDER_LOCATION} == {
        "location/gid://cloudshelf/Location/9"
    }
    assert {one.group for one in found if one.kind is Kind.ORDER_ARTICLE} == {"article/c"}
    for one in found:
        assert one.field
        assert one.rule
        assert one.message.endswith(".")
        assert one.cure.endswith(".")


@pytest.mark.parametrize(
    ("change", "edits", "kind", "field"),
    [
        ({"price": None}, {"price.1": "5.00"}, Kind.ORDER_LINE, "lines[1].price"),
        ({"price": 0.0}, {"price.1": "0.00"}, Kind.ORDER_LINE, "lines[1].price"),
        ({"price": -1}, {"price.1": "1.00"}, Kind.ORDER_LINE, "lines[1].price"),
        ({"price": 1.005}, {"price.1": "1.01"}, Kind.ORDER_LINE, "lines[1].price"),
        ({"quantity": 0}, {"quantity.1": "1"}, Kind.ORDER_LINE, "lines[1].quantity"),
        ({"quantity": -2}, {"quantity.1": "2"}, Kind.ORDER_LINE, "lines[1].quantity"),
        ({"quantity": 1.5}, {"quantity.1": "2"}, Kind.ORDER_LINE, "lines[1].quantity"),
        ({"quantity": None}, {"quantity.1": "2"}, Kind.ORDER_LINE, "lines[1].quantity"),
        ({"quantity": True}, {"quantity.1": "2"}, Kind.ORDER_LINE, "lines[1].quantity"),
        ({"currencyCode": "USD"}, {"currency": "EUR"}, Kind.ORDER_MONEY, "lines.currencyCode"),
        (
            {"platformProvidedProductVariantId": None},
            {"sku.1": "sku-1"},
            Kind.ORDER_ARTICLE,
            "lines[1].productVariantId",
        ),
    ],
)
def test_a_defect_is_named_and_a_person_can_mend_it(
    change: Json, edits: dict[str, str], kind: Kind, field: str
) -> None:
    sold = paid(line(**change), line("sku-2", 1))
    known = context("sku-1", "sku-2")
    [found] = problems(sold, known)
    assert (found.kind, found.field) == (kind, field)
    assert drafted(sold, replace(known, edits=edits)).units >= 1


def test_currencies_that_are_mixed_are_not_added_up() -> None:
    [found] = problems(
        paid(line(currencyCode="USD", price=1.005), line("sku-2", 1)), context("sku-1", "sku-2")
    )
    assert "EUR, USD" in found.message
    [other] = problems(paid(line(), session={"basketCurrencyCode": "GBP"}), context("sku-1"))
    assert other.kind is Kind.ORDER_MONEY


def test_an_amount_without_a_currency_is_in_the_link_s() -> None:
    assert drafted(paid(line(currencyCode=None)), context("sku-1")).total == Money("EUR", 3980)


def test_a_line_can_be_left_out_but_not_all_of_them() -> None:
    sold = paid(line("a", 0), line("sku-1", 1))
    assert [one.key for one in drafted(sold, context("sku-1", edits={"quantity.1": "0"})).lines] == ["l2"]
    nothing = {"quantity.1": "0", "quantity.2": "0"}
    assert kinds(sold, context("sku-1", edits=nothing)) == [Kind.ORDER_LINE]
    assert kinds(paid(), context()) == [Kind.ORDER_LINE]


@pytest.mark.parametrize(
    ("email", "rules", "sent"),
    [
        ("anna@example.com", OrderRules(), True),
        ("anna@example.com", OrderRules(email="never"), False),
        ("anna", OrderRules(), False),
        (None, OrderRules(), False),
        ("anna@example.com", OrderRules(email="required"), True),
    ],
)
def test_an_e_mail_address_is_sent_where_it_is_one(email: str | None, rules: OrderRules, sent: bool) -> None:
    body = drafted(paid(line()), context("sku-1", email=email), rules).body
    assert ("customerEmail" in body) is sent


@pytest.mark.parametrize("email", [None, "anna at example"])
def test_an_order_that_needs_an_e_mail_address_waits_for_it(email: str | None) -> None:
    [found] = problems(paid(line()), context("sku-1", email=email), OrderRules(email="required"))
    assert found.kind is Kind.ORDER_CONTACT
    assert "anna" not in f"{found}"


def test_personal_data_shows_in_no_problem_and_no_exception() -> None:
    known = context(email="anna@example.com", channel=None)
    sold = paid(line())
    raised = exceptions_of(sold, problems(sold, known), number="CS-1", place="Berlin")
    assert "anna" not in f"{known}{raised}"


@pytest.mark.parametrize(
    ("session", "told"),
    [
        ({"deviceName": "Kiosk 3", "deviceId": "d-1", "salesAssistantName": "Kim"}, KIOSK_3),
        ({"deviceId": "d-1"}, "Kiosk: d-1. Ordered at 2026-11-24 10:00 UTC."),
        ({}, "It names no kiosk either. Ordered at 2026-11-24 10:00 UTC."),
    ],
)
def test_an_order_without_a_store_says_what_helps_to_find_it(session: dict[str, Any], told: str) -> None:
    bare: dict[str, Any] = {"locationId": None, "locationName": None, "deviceName": None, "deviceId": None}
    [found] = problems(paid(line(), session={**bare, **session}), context("sku-1", channel=None))
    assert found.message == f"It names no location, so nobody can tell which store sold it. {told}"


def test_an_order_of_an_unknown_place_names_its_kiosk_too() -> None:
    session = {"locationId": "x", "locationName": "Leeds", "deviceName": "Kiosk 3"}
    [found] = problems(paid(line(), session=session), context("sku-1", channel=None))
    assert found.message.startswith(
        "It names the location 'x' ('Leeds'), which stands for no supply Channel. Kiosk: "
    )


def test_tax_rates_are_required_unless_the_configuration_says_otherwise() -> None:
    sold = paid(line(), shipping())
    for known in (
        context("sku-1", taxes={"standard": None}),
        context("sku-1", articles={"sku-1": Article({"de": "x"}, None)}),
    ):
        assert kinds(sold, known) == [Kind.ORDER_TAX]
        draft = drafted(sold, known, OrderRules(tax_required=False))
        assert "taxedPrice" not in draft.body
        assert "taxRate" not in draft.body["lineItems"][0]
    shipped = OrderRules(shipping_tax_category="shipping")
    [found] = problems(sold, context("sku-1"), shipped)
    assert (found.kind, found.group) == (Kind.ORDER_TAX, "tax/shipping")


def test_an_edited_sku_is_looked_up_instead() -> None:
    sold = paid(line("a"), line(None), shipping())
    assert wanted_skus(sold, {}) == {"a"}
    assert wanted_skus(sold, {"sku.1": "b", "sku.2": "c"}) == {"b", "c"}


def test_one_exception_of_each_kind_names_the_order_and_its_owner() -> None:
    sold = paid(line("a", 0), line("b", 0), session={"locationId": location_gid("x")})
    found = exceptions_of(
        sold, problems(sold, context(channel=None)), number="CS-1", place="Leeds", amount=Money("GBP", 8400)
    )
    by_kind = {one.kind: one for one in found}
    assert len(by_kind) == len(found)
    lines = by_kind[Kind.ORDER_LINE]
    assert lines.message.startswith("Order CS-1, Leeds: Line 1 ('Coat'): the quantity is 0. Line 2 ('Coat')")
    assert (lines.cause_key, lines.record, lines.field) == (f"order/{sold.id}", "CS-1", "lines[1].quantity")
    assert (lines.amount, lines.currency, lines.place) == (8400, "GBP", "Leeds")
    assert by_kind[Kind.ORDER_LOCATION].group == f"location/{location_gid('x')}"


# Payments


def test_a_payment_is_over_what_the_customer_paid() -> None:
    sold = paid(line(), session={"paymentMethod": "VIVAWALLET", "paymentAttemptId": "pa-1"})
    draft = drafted(sold, context("sku-1"))
    payment = payment_draft(draft, sold)
    assert payment == {
        "key": draft.number,
        "amountPlanned": {"currencyCode": "EUR", "centAmount": 3980},
        "paymentMethodInfo": {"paymentInterface": "Cloudshelf", "method": "VIVAWALLET"},
        "transactions": [
            {
                "type": "Charge",
                "state": "Success",
                "amount": {"currencyCode": "EUR", "centAmount": 3980},
                "timestamp": "2026-11-24T10:00:05.123Z",
                "interactionId": "pa-1",
            }
        ],
    }
    assert payment_fits(payment, draft)
    dearer = drafted(sold, context("sku-1", edits={"price.1": "20.00"}))
    assert not payment_fits(payment, dearer)


def test_a_gift_has_no_payment() -> None:
    sold = paid(line())
    assert payment_draft(drafted(sold, context("sku-1", edits={"price.1": "0"})), sold) is None


# Anything at all


VALUES = st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=5)


@settings(max_examples=300)
@given(
    lines=st.lists(
        st.dictionaries(st.sampled_from(list(line())), VALUES, max_size=4), min_size=1, max_size=4
    ),
    session=st.dictionaries(
        st.sampled_from(["basketValue", "basketCurrencyCode", "locationId", "deviceName"]), VALUES
    ),
    rules=st.builds(
        OrderRules,
        unknown_products=st.sampled_from(["review", "custom_line"]),
        discounts=st.sampled_from(["review", "custom_line"]),
        tax_required=st.booleans(),
    ),
)
def test_whatever_an_order_holds_there_is_a_draft_or_a_problem(
    lines: list[Json], session: Json, rules: OrderRules
) -> None:
    sold = paid(*(line(**change) for change in lines), session=session, discountCode="X")
    found = build(sold, context("sku-1"), rules)
    if isinstance(found, Draft):
        assert found.lines
        assert found.total.cents >= 0
        assert all(one.quantity > 0 for one in found.lines)
    else:
        assert found
