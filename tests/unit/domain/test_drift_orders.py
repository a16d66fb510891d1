"""Orders in three places: every difference has its cause or what explains it; and the money that hangs on it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from cogent_ops.domain.drift.model import Cause, Moment
from cogent_ops.domain.drift.money import Ledger
from cogent_ops.domain.drift.orders import (
    EXCLUDED,
    REVIEW,
    WAITING,
    YOUNG,
    Aspect,
    KioskSide,
    LedgerSide,
    OrderFacts,
    ShopSide,
    findings,
    judge,
)
from cogent_ops.domain.rules import OrderStatus

NOW = datetime(2026, 11, 24, 4, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
PLACED, CAPTURED, EDITED = NOW - 20 * HOUR, NOW - 19 * HOUR, NOW - 5 * HOUR
MOMENT = Moment(NOW, lag=MINUTE, late=HOUR)
SINCE = NOW - timedelta(days=2)
KEPT = TypeAdapter(OrderFacts)

KIOSK = KioskSide("PAID", PLACED, "EUR", 1900)
LEDGER = LedgerSide(
    status="PAID",
    state="captured",
    reason="",
    due_at=None,
    is_to_be_told=False,
    captured_status="PAID",
    told_status=None,
    origin="kiosk",
    ct_order_id="ct-1",
    place="Leeds",
    currency="EUR",
    total=1900,
    units=2,
    ordered_at=PLACED,
    changed_at=PLACED,
    captured_at=CAPTURED,
)
SHOP = ShopSide(
    id="ct-1",
    number="CS-1",
    version=3,
    created_at=CAPTURED,
    changed_at=CAPTURED,
    changed_by="an API client",
    currency="EUR",
    total=1900,
    gross=1900,
    units=2,
    status="PAID",
    charged=1900,
    refunded=0,
    owed=0,
)


def facts(kiosk: Any = KIOSK, ledger: Any = LEDGER, shop: Any = SHOP, **fields: Any) -> OrderFacts:
    """An order that agrees on all sides; a dictionary changes fields of a side, ``None`` takes it away."""
    sides: list[Any] = [
        replace(whole, **given) if isinstance(given, dict) else given
        for whole, given in ((KIOSK, kiosk), (LEDGER, ledger), (SHOP, shop))
    ]
    return OrderFacts("gid://cloudshelf/Order/1", "CS-1", *sides, **fields)


def causes(one: OrderFacts) -> list[tuple[Aspect, Cause | str]]:
    return [(each.aspect, each.cause or each.why) for each in judge(one, MOMENT)]


def test_what_agrees_is_no_difference() -> None:
    assert judge(facts(), MOMENT) == []
    assert judge(facts(kiosk=None), MOMENT) == []
    placed = facts({"status": "PLACED"}, {"status": "PLACED"})
    assert judge(placed, MOMENT) == [], "one that was only placed, and was found to be paid"


@pytest.mark.parametrize(
    ("kiosk", "fields", "why"),
    [
        ({}, {}, Cause.LOST),
        ({"changed_at": NOW - HOUR / 2}, {}, YOUNG),
        ({}, {"in_review": True}, REVIEW),
    ],
)
def test_an_order_that_the_store_does_not_know(kiosk: Any, fields: Any, why: Any) -> None:
    (found,) = judge(facts(kiosk, None, None, **fields), MOMENT)
    assert (found.aspect, found.cause or found.why) == (Aspect.ORDER, why)
    assert (found.units, found.amount, found.currency) == (-1, -1900, "EUR")


def test_an_order_of_nobody() -> None:
    assert causes(facts(None, None)) == [(Aspect.ORDER, Cause.ORPHANED)]
    assert causes(facts(None, None, {"created_at": NOW})) == [(Aspect.ORDER, YOUNG)]


def test_an_order_that_is_there_twice() -> None:
    twin = {"id": "ct-2", "number": "CS-1-2"}
    assert causes(facts(None, shop=twin, twin_of="CS-1")) == [(Aspect.ORDER, Cause.DUPLICATED)]
    assert causes(facts(None, shop={**twin, "created_at": NOW}, twin_of="CS-1")) == [(Aspect.ORDER, YOUNG)]
    assert causes(facts(None, shop=twin, twin_of="CS-1", in_review=True)) == [(Aspect.ORDER, REVIEW)]


@pytest.mark.parametrize(
    ("ledger", "why"),
    [
        ({"state": "waiting", "due_at": NOW}, WAITING),
        ({"state": "waiting", "due_at": NOW - HOUR / 2}, WAITING),
        ({"state": "sending", "due_at": NOW - 2 * HOUR}, Cause.LATE),
        ({"state": "waiting", "due_at": None}, Cause.LATE),
        ({"state": "review"}, REVIEW),
        ({"state": "excluded", "reason": "draft basket"}, EXCLUDED),
    ],
)
def test_an_order_that_is_not_captured(ledger: Any, why: Any) -> None:
    assert causes(facts(ledger=ledger, shop=None)) == [(Aspect.ORDER, why)]


def test_an_excluded_order_that_was_imported_is_orphaned() -> None:
    excluded = {"state": "excluded", "reason": "rejected", "origin": None}
    assert causes(facts(ledger=excluded)) == [(Aspect.ORDER, Cause.ORPHANED)]


def test_a_captured_order_that_is_gone() -> None:
    assert causes(facts(shop=None)) == [(Aspect.ORDER, Cause.LOST)]
    assert causes(facts(ledger={"captured_at": NOW}, shop=None)) == [(Aspect.ORDER, YOUNG)]
    assert causes(facts(shop={"id": "ct-9"})) == [(Aspect.ORDER, Cause.WRONG_IDENTIFIER)]


@pytest.mark.parametrize(
    ("shop", "why"),
    [
        ({"changed_at": EDITED}, Cause.MANUAL_EDIT),
        ({"changed_at": CAPTURED}, Cause.UNEXPLAINED),
        ({"changed_at": NOW - MINUTE / 2}, YOUNG),
    ],
)
def test_other_amounts(shop: Any, why: Any) -> None:
    assert causes(facts(shop={"total": 1800, **shop})) == [(Aspect.TOTAL, why)]
    assert causes(facts(shop={"units": 3, **shop})) == [(Aspect.UNITS, why)]
    (found,) = judge(facts(shop={"total": 1800, **shop}), MOMENT)
    assert (found.amount, found.currency, found.wanted, found.shown) == (-100, "EUR", "€19.00", "€18.00")


@pytest.mark.parametrize(
    ("ledger", "shop", "why"),
    [
        # commercetools has moved on
        ({}, {"status": "VOIDED"}, Cause.LATE),
        ({}, {"status": "VOIDED", "changed_at": NOW - HOUR / 2}, WAITING),
        ({"is_to_be_told": True}, {"status": "VOIDED"}, WAITING),
        ({"told_status": "VOIDED"}, {"status": "VOIDED"}, Cause.LOST),
        # Cloudshelf has
        ({"status": "REFUNDED"}, {}, Cause.LATE),
        ({"status": "REFUNDED", "changed_at": NOW - HOUR / 2}, {}, WAITING),
        ({"status": "REFUNDED", "due_at": NOW}, {}, WAITING),
        ({"status": "REFUNDED", "due_at": NOW - 2 * HOUR}, {}, Cause.LATE),
        # it was there, and went back
        ({"status": "REFUNDED", "captured_status": "REFUNDED"}, {}, Cause.LOST),
        ({}, {"status": None}, Cause.LOST),
    ],
)
def test_another_state(ledger: Any, shop: Any, why: Any) -> None:
    one = facts(kiosk=None, ledger=ledger, shop=shop)
    assert causes(one) == [(Aspect.STATE, why)]
    assert causes(replace(one, in_review=True)) == [(Aspect.STATE, REVIEW)]


def test_a_state_that_no_poll_has_read() -> None:
    changed = {"status": "REFUNDED", "changed_at": NOW - 2 * HOUR}
    assert causes(facts(changed)) == [(Aspect.STATE, Cause.LATE)]
    assert causes(facts({**changed, "changed_at": NOW - HOUR / 2})) == [(Aspect.STATE, YOUNG)]
    assert causes(facts({**changed, "changed_at": PLACED})) == [], "the store has heard of a newer one"
    assert causes(facts(changed, {"told_status": "REFUNDED"}, None))[:1] != [(Aspect.STATE, Cause.LATE)]


def test_who_paid_an_order_of_somebody_else_is_not_known_here() -> None:
    for origin in ("shop", "hand"):
        unpaid = {"status": None, "charged": 0, "units": 1}
        assert judge(facts(ledger={"origin": origin}, shop=unpaid), MOMENT) == []


def test_findings_carry_evidence_without_naming_anybody() -> None:
    one = facts(shop={"total": 1800, "changed_at": EDITED, "changed_by": "a person"})
    (found,) = findings(one, judge(one, MOMENT), link="default", night="2026-11-24")
    assert (found.subject, found.place, found.owner) == ("CS-1 · total", "Leeds", "finance")
    assert found.message.startswith(
        "Order CS-1, total: should be €19.00, is €18.00. It was changed in commercetools by"
    )
    assert {fact.what for fact in found.evidence} >= {"kiosk order", "captured total", "commercetools says"}


# Money


def money(*orders: OrderFacts) -> Ledger:
    ledger = Ledger(MOMENT, SINCE)
    for one in orders:
        ledger.add(one)
    return ledger


def found(*orders: OrderFacts) -> dict[tuple[str, Cause], int | None]:
    rows = money(*orders).findings(link="default", night="2026-11-24")
    return {(one.subject.rpartition(" ")[2], one.cause): one.amount for one in rows}


def test_takings_by_day_store_and_currency() -> None:
    other = facts(ledger={"place": "York", "currency": "GBP"}, shop={"currency": "GBP"})
    earlier = facts(ledger={"ordered_at": PLACED - timedelta(days=1)})
    too_old = facts(ledger={"ordered_at": SINCE - HOUR})
    waiting = facts(ledger={"state": "waiting", "due_at": NOW}, shop=None)
    ledger = money(facts(), facts(), other, earlier, too_old, waiting)
    assert [(row.day, row.place, row.currency, row.orders, row.captured) for row in ledger.rows()] == [
        ("2026-11-22", "Leeds", "EUR", 1, 1900),
        ("2026-11-23", "Leeds", "EUR", 2, 3800),
        ("2026-11-23", "York", "GBP", 1, 1900),
    ]
    assert all(row.captured == row.shop == row.paid for row in ledger.rows())
    assert not ledger.differences


@pytest.mark.parametrize(
    ("one", "wanted"),
    [
        (facts(shop={"charged": 0}), {("payment", Cause.LOST): -1900}),
        (facts(shop={"charged": 3800}), {("payment", Cause.DUPLICATED): 1900}),
        (facts(shop={"gross": 2280, "charged": 2280}), {}),
        (facts(shop=None), {("total", Cause.LOST): -1900}),
        (
            facts(shop={"total": 1800, "gross": 1900, "changed_at": EDITED}),
            {("total", Cause.MANUAL_EDIT): -100},
        ),
        (facts(None, None), {("total", Cause.ORPHANED): 1900}),
        (facts(None, shop={"id": "ct-2"}, twin_of="CS-1"), {("total", Cause.DUPLICATED): 1900}),
        (facts(shop={"charged": 0}, ledger={"origin": "shop"}), {}),
        (facts(shop={"charged": 0}, in_review=True), {}),
        (facts(shop={"charged": 0, "changed_at": NOW - HOUR / 2}), {}),
        (facts(shop={"refunded": 2000}), {("refund", Cause.DUPLICATED): 100}),
    ],
)
def test_money_that_differs(one: OrderFacts, wanted: Any) -> None:
    assert found(one) == wanted


@pytest.mark.parametrize("status", ["VOIDED", "REFUNDED"])
def test_all_that_was_paid_goes_back(status: str) -> None:
    ledger, shop = {"status": status, "captured_status": status}, {"status": status}
    assert found(facts(None, ledger, {**shop, "refunded": 900, "owed": 1000})) == {}
    assert found(facts(None, ledger, {**shop, "refunded": 900})) == {("refund", Cause.LOST): -1000}


def test_differences_of_one_day_are_added_up_and_named() -> None:
    orders = [replace(facts(shop={"charged": 1900 - n}), number=f"CS-{n}") for n in range(1, 31)]
    (one,) = money(*orders).findings(link="default", night="2026-11-24")
    assert (one.units, one.amount) == (30, -sum(range(1, 31)))
    assert [fact.what for fact in one.evidence] == [f"CS-{n}" for n in range(30, 10, -1)]
    assert one.subject == "2026-11-23 Leeds EUR · payment"
    assert one.message == "Leeds, 2026-11-23: 30 orders have payments of less than they come to, by €4.65."


# Whatever the sides say

TIMES = st.sampled_from([PLACED, CAPTURED, EDITED, NOW - 2 * HOUR, NOW - HOUR / 2, NOW])
STATUSES = st.sampled_from([status.value for status in OrderStatus])
CENTS = st.sampled_from([0, 1800, 1900])
FACTS = st.builds(
    facts,
    st.none() | st.fixed_dictionaries({"status": STATUSES, "changed_at": TIMES}),
    st.none()
    | st.fixed_dictionaries(
        {
            "status": STATUSES,
            "state": st.sampled_from(["waiting", "sending", "captured", "review", "excluded"]),
            "due_at": st.none() | TIMES,
            "is_to_be_told": st.booleans(),
            "captured_status": st.none() | STATUSES,
            "told_status": st.none() | STATUSES,
            "origin": st.sampled_from([None, "kiosk", "shop", "hand"]),
            "currency": st.sampled_from([None, "EUR", "GBP"]),
            "total": st.none() | CENTS,
            "changed_at": TIMES,
            "captured_at": st.none() | TIMES,
        }
    ),
    st.none()
    | st.fixed_dictionaries(
        {
            "id": st.sampled_from(["ct-1", "ct-2"]),
            "changed_at": TIMES,
            "total": CENTS,
            "units": st.integers(0, 2),
            "status": st.none() | STATUSES,
            "charged": CENTS,
            "refunded": CENTS,
        }
    ),
    in_review=st.booleans(),
    twin_of=st.sampled_from(["", "CS-0"]),
)


@given(FACTS)
def test_every_difference_has_a_cause_or_an_explanation_and_survives_the_archive(one: OrderFacts) -> None:
    assert KEPT.validate_json(KEPT.dump_json(one)) == one
    judged = judge(one, MOMENT)
    assert all(each.cause is not None or each.why in (YOUNG, WAITING, REVIEW, EXCLUDED) for each in judged)
    rows = findings(one, judged, link="default", night="2026-11-24")
    assert len(rows) == sum(each.cause is not None for each in judged)
    assert all(row.amount is None or row.currency for row in rows)


@given(st.lists(FACTS, max_size=6))
def test_money_adds_up_to_the_orders_that_were_counted(orders: list[OrderFacts]) -> None:
    ledger = money(*orders)
    rows = list(ledger.findings(link="default", night="2026-11-24"))
    assert len({(row.subject, row.cause) for row in rows}) == len(rows)
    counted = [one for one in orders if one.ledger and one.ledger.state == "captured" and not one.twin_of]
    assert sum(row.orders for row in ledger.rows()) == len(counted)
    assert all(row.amount for row in rows)
