"""What was seen is done, waiting, in review or excluded; what is none of these is found, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.kiosk_orders import line, paid

from cogent_ops.domain.health.accounting import (
    Fault,
    MovedUnits,
    SeenOrders,
    What,
    hours_by_place,
    unrecorded,
)
from cogent_ops.domain.rules import MovementRules
from cogent_ops.domain.stock import MovementState

RULES = MovementRules()
HOUR = datetime(2026, 11, 28, 10, tzinfo=UTC)
SOLD = SeenOrders(HOUR, "Berlin", "berlin", "captured", 1, "1")


@pytest.mark.parametrize(
    ("status", "moves", "effects", "lacking"),
    [
        ("PAID", True, (-2, -1), 0),
        ("PAID", True, (), -3),
        ("PAID", True, (-2,), -1),
        ("PAID", True, (-6,), 3),
        ("VOIDED", True, (0, 0), 0),
        ("VOIDED", True, (-2, 0), 2),
        ("PARTIALLY_REFUNDED", True, (-3,), 0),
        ("PARTIALLY_REFUNDED", True, (), -3),
        ("PAID", False, (), 0),
        ("PAID", False, (-3,), 3),
    ],
)
def test_what_an_order_should_have_done_and_has_not(
    status: str, moves: bool, effects: tuple[int, ...], lacking: int
) -> None:
    order = paid(line("a", 2), line("b", 1), status=status)
    assert unrecorded(order, moves, effects, RULES) == lacking


def test_a_broken_line_has_an_exception_of_its_own() -> None:
    assert unrecorded(paid(line("a", 2), line("b", -1)), True, (-2,), RULES) == 0


PLACES = st.sampled_from(["", "berlin", "hamburg"])
HOURS = st.integers(0, 3).map(lambda number: HOUR + timedelta(hours=number))
ORDERS = st.builds(
    replace,
    st.just(SOLD),
    example=st.uuids().map(str),
    orders=st.integers(1, 9),
    hour=HOURS,
    state=st.sampled_from(["", "captured", "waiting", "sending", "review", "excluded"]),
)
UNITS = st.builds(MovedUnits, HOURS, PLACES, st.sampled_from(MovementState), st.integers(0, 100))


@given(
    st.lists(st.tuples(PLACES, ORDERS), max_size=20),
    st.lists(st.tuples(PLACES, UNITS), max_size=20),
    st.data(),
)
def test_accounts_add_up_and_only_faults_are_unexplained(
    orders: list[tuple[str, SeenOrders]], units: list[tuple[str, MovedUnits]], data: st.DataObject
) -> None:
    ids = [order.example for _, order in orders if order.orders == 1]
    wrong = (
        data.draw(st.lists(st.tuples(st.sampled_from(What), st.sampled_from(ids)), unique=True))
        if ids
        else []
    )
    faults = {key: Fault(key[0], key[1], 7, "wrong") for key in wrong}
    found = hours_by_place(orders, units, faults)
    accounts = [hour for hours in found.values() for hour in hours]
    assert sum(one.orders.seen for one in accounts) == sum(one.orders for _, one in orders)
    lost_orders = sum(what is What.ORDERS for what, _ in wrong)
    assert sum(one.orders.unexplained for one in accounts) == lost_orders
    assert sum(one.units.unexplained for one in accounts) == 7 * (len(wrong) - lost_orders)
    moved = sum(one.units for _, one in units)
    assert sum(one.units.seen for one in accounts) == moved + 7 * (len(wrong) - lost_orders)
    assert all(min(part) >= 0 for one in accounts for part in (_parts(one.orders), _parts(one.units)))
    assert all(list(hours) == sorted(hours, key=lambda one: one.hour) for hours in found.values())


def _parts(account: object) -> list[int]:
    return [
        getattr(account, name) for name in ("seen", "done", "waiting", "review", "excluded", "unexplained")
    ]
