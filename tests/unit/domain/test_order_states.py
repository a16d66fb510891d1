"""The table of states: complete, in agreement with stock, and never moving backwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.kiosk_orders import RULES, line, paid

from cogent_ops.domain.order_states import (
    EXCLUDED_DRAFT,
    EXCLUDED_INTERNAL,
    EXCLUDED_VOIDED,
    FOLLOWS,
    NO_STOCK,
    REJECTED,
    STATES,
    STOCK,
    Decision,
    Outcome,
    decide,
    is_rejected,
    moves_stock,
    stock_effect,
    tells,
)
from cogent_ops.domain.orders import KioskOrder
from cogent_ops.domain.rules import MovementRules, OrderRules, OrderStatus

ORDER = paid(line())
CAPTURED = (Outcome.CAPTURE, Outcome.CHANGE)
STATUSES = st.sampled_from(OrderStatus)


def first_met(status: OrderStatus, *, later: float = 0, rules: OrderRules = RULES, **edits: str) -> Decision:
    """What is decided of an order that is not captured, some minutes after its last change."""
    order = replace(ORDER, status=status)
    now = order.updated_at + timedelta(minutes=later)
    return decide(order, rules, edits=edits, captured=None, now=now)


def test_every_status_has_its_row() -> None:
    assert set(STATES) == set(OrderStatus)
    assert {status for status, row in STATES.items() if row.is_confirmed} == {
        OrderStatus.PAID,
        OrderStatus.PARTIALLY_REFUNDED,
        OrderStatus.REFUNDED,
    }


@pytest.mark.parametrize(
    ("status", "outcome", "reason"),
    [
        (OrderStatus.DRAFT_BASKET, Outcome.EXCLUDE, EXCLUDED_DRAFT),
        (OrderStatus.VOIDED, Outcome.EXCLUDE, EXCLUDED_VOIDED),
        (OrderStatus.PAID, Outcome.CAPTURE, ""),
        (OrderStatus.PARTIALLY_REFUNDED, Outcome.CAPTURE, ""),
        (OrderStatus.REFUNDED, Outcome.CAPTURE, ""),
    ],
)
def test_an_order_that_is_met_first(status: OrderStatus, outcome: Outcome, reason: str) -> None:
    assert first_met(status) == Decision(outcome, status, reason)


def test_a_placed_order_waits_for_its_payment_and_then_a_person_is_asked() -> None:
    waits = first_met(OrderStatus.PLACED, later=14.9)
    assert (waits.outcome, waits.due_at) == (Outcome.WAIT, ORDER.updated_at + timedelta(minutes=15))
    assert first_met(OrderStatus.PLACED, later=15).outcome is Outcome.ASK


def test_a_person_or_the_configuration_can_say_that_placed_means_paid() -> None:
    paid_ = Decision(Outcome.CAPTURE, OrderStatus.PAID)
    assert first_met(OrderStatus.PLACED, later=99, paid="yes") == paid_
    assert first_met(OrderStatus.PLACED, rules=OrderRules(placed_is_paid=True)) == paid_


@pytest.mark.parametrize("status", list(OrderStatus))
def test_internal_sessions_are_never_captured(status: OrderStatus) -> None:
    internal = replace(ORDER, status=status, is_internal=True)
    found = decide(internal, RULES, edits={"paid": "yes"}, captured=None, now=internal.updated_at)
    assert (found.outcome, found.reason) == (Outcome.EXCLUDE, EXCLUDED_INTERNAL)


def captured_as(status: OrderStatus, captured: OrderStatus, **edits: str) -> Decision:
    order = replace(ORDER, status=status)
    return decide(order, RULES, edits=edits, captured=captured, now=order.updated_at)


@pytest.mark.parametrize("captured", list(FOLLOWS))
@pytest.mark.parametrize("status", list(OrderStatus))
def test_a_captured_order_only_moves_on(captured: OrderStatus, status: OrderStatus) -> None:
    found = captured_as(status, captured)
    if status is captured:
        assert found == Decision(Outcome.SETTLED, status)
    elif status in FOLLOWS[captured]:
        assert found == Decision(Outcome.CHANGE, status)
    else:
        assert (found.outcome, found.status) == (Outcome.REFUSE, captured)
        assert status in found.reason
        assert captured in found.reason


def test_an_approved_order_that_stays_placed_is_settled() -> None:
    assert captured_as(OrderStatus.PLACED, OrderStatus.PAID, paid="yes").outcome is Outcome.SETTLED
    assert captured_as(OrderStatus.PLACED, OrderStatus.PAID).outcome is Outcome.REFUSE


def test_a_partial_refund_is_looked_at_again_when_a_person_says_more() -> None:
    partly = OrderStatus.PARTIALLY_REFUNDED
    assert captured_as(partly, partly).outcome is Outcome.SETTLED
    assert captured_as(partly, partly, refund_amount="5.00").outcome is Outcome.CHANGE
    assert captured_as(partly, partly, refund_lines="1:1").outcome is Outcome.CHANGE


@given(history=st.lists(st.tuples(STATUSES, st.booleans(), st.integers(0, 30)), max_size=12))
def test_any_sequence_of_statuses_ends_in_a_state_of_the_table(
    history: list[tuple[OrderStatus, bool, int]],
) -> None:
    """And once captured an order is never taken back, forgotten or moved backwards."""
    captured: OrderStatus | None = None
    for status, approved, later in history:
        order: KioskOrder = replace(ORDER, status=status)
        now = order.updated_at + timedelta(minutes=later)
        edits = {"paid": "yes"} if approved else {}
        found = decide(order, RULES, edits=edits, captured=captured, now=now)
        assert (found.due_at is not None) is (found.outcome is Outcome.WAIT)
        if captured is None:
            assert found.outcome not in (Outcome.CHANGE, Outcome.SETTLED, Outcome.REFUSE)
            assert bool(found.reason) is (found.outcome is not Outcome.CAPTURE)
        else:
            assert found.outcome in (Outcome.CHANGE, Outcome.SETTLED, Outcome.REFUSE)
            assert found.status is captured or found.status in FOLLOWS[captured]
        if found.outcome in CAPTURED:
            captured = found.status
        assert captured is None or captured in FOLLOWS


@given(kiosk=STATUSES, shop=st.none() | STATUSES)
def test_cloudshelf_is_told_only_what_may_follow_what_it_says(
    kiosk: OrderStatus, shop: OrderStatus | None
) -> None:
    told = tells(kiosk, shop)
    assert told is None or (told is shop and captured_as(told, kiosk).outcome is Outcome.CHANGE)
    assert told is None or tells(told, shop) is None


def test_what_follows_ends() -> None:
    """No two states may follow each other, so telling one another never goes round in circles."""
    for status, after in FOLLOWS.items():
        assert all(status not in FOLLOWS[one] for one in after)


@pytest.mark.parametrize(
    ("status", "effect"),
    [
        (OrderStatus.DRAFT_BASKET, "what was taken is given back"),
        (OrderStatus.PLACED, "the ordered units are taken"),
        (OrderStatus.PAID, "the ordered units are taken"),
        (OrderStatus.PARTIALLY_REFUNDED, "as before; the ordered units are taken if it is met first"),
        (OrderStatus.REFUNDED, "what was taken is given back"),
        (OrderStatus.VOIDED, "what was taken is given back"),
    ],
)
def test_stock_follows_the_same_states(status: OrderStatus, effect: str) -> None:
    assert stock_effect(status, MovementRules()) == effect


def test_stock_and_orders_agree() -> None:
    """What takes units is an order or may become one; what gives them back is none, or a cancelled one."""
    rules = MovementRules()
    for status, row in STATES.items():
        if status in rules.deduct:
            assert row.outcome is not Outcome.EXCLUDE
        if status in rules.give_back:
            assert row.order_state == "Cancelled"


@pytest.mark.parametrize(
    ("rejected", "status", "counts"),
    [
        ("PLACED", "PLACED", True),
        ("PLACED", "VOIDED", True),
        ("PLACED", "PAID", False),  # a sale after all
        ("VOIDED", "PAID", False),
        ("PAID", "PAID", True),
        ("PAID", "PLACED", True),  # PLACED was taken for paid when it was rejected
        ("PAID", "REFUNDED", True),
        ("PARTIALLY_REFUNDED", "PAID", True),
    ],
)
def test_a_rejection_counts_until_the_order_becomes_a_sale(rejected: str, status: str, counts: bool) -> None:
    edits = {REJECTED: rejected}
    assert is_rejected(OrderStatus(status), edits) is counts
    assert moves_stock(OrderStatus(status), edits) is not counts
    assert not moves_stock(OrderStatus(status), {**edits, STOCK: NO_STOCK})


@given(STATUSES)
def test_what_nobody_rejected_moves_stock(status: OrderStatus) -> None:
    assert not is_rejected(status, {})
    assert moves_stock(status, {"location": "berlin"})
