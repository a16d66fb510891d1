"""What orders do to stock, what counts come to, and what is sent for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogent_ops.domain.custom_types import LAST_BATCH
from cogent_ops.domain.rules import MovementRules, OrderStatus
from cogent_ops.domain.stock import (
    Claimed,
    NewMovement,
    Place,
    Source,
    change_actions,
    desired_effects,
    differences,
    last_batch,
    mark_actions,
    newest_count,
    plan_count,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
RULES = MovementRules()
HAT, CAP = Place("HAT", "store-oslo"), Place("CAP", "")
S = OrderStatus
PLACES = st.sampled_from([HAT, CAP, Place("HAT", "")])
UNITS = st.dictionaries(PLACES, st.integers(1, 9))
SIGNED = st.dictionaries(PLACES, st.integers(-9, 9))


def test_a_place_reads_as_people_write_it() -> None:
    assert [str(HAT), str(CAP)] == ["HAT@store-oslo", "CAP@(no channel)"]


@pytest.mark.parametrize("amounts", [{}, {"delta": 1, "counted": 1}])
def test_a_movement_is_a_change_or_a_count(amounts: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="either a delta or a count"):
        NewMovement("de", "p", "HAT", "", Source.API, "1", "1", NOON, **amounts)  # type: ignore[arg-type]


# Orders


@pytest.mark.parametrize(
    ("status", "recorded", "wanted"),
    [
        (S.DRAFT_BASKET, {}, {}),
        (S.DRAFT_BASKET, {HAT: -2}, {HAT: 0}),
        (S.PLACED, {}, {HAT: -2}),
        (S.PAID, {HAT: -2}, {HAT: -2}),
        (S.PAID, {HAT: -1, CAP: -3}, {HAT: -2, CAP: 0}),
        (S.VOIDED, {HAT: -2}, {HAT: 0}),
        (S.VOIDED, {}, {}),
        (S.REFUNDED, {HAT: -2}, {HAT: 0}),
        (S.PARTIALLY_REFUNDED, {HAT: -2}, {HAT: -2}),
        (S.PARTIALLY_REFUNDED, {HAT: -1}, {HAT: -1}),
        (S.PARTIALLY_REFUNDED, {}, {HAT: -2}),
        (S.PARTIALLY_REFUNDED, {HAT: 0}, {HAT: 0}),
    ],
)
def test_what_an_order_of_two_hats_should_have_done(
    status: OrderStatus, recorded: dict[Place, int], wanted: dict[Place, int]
) -> None:
    assert desired_effects(status, {HAT: 2}, recorded, RULES) == wanted


def test_which_states_deduct_is_configured() -> None:
    rules = MovementRules(deduct=(S.PAID,), give_back=(S.VOIDED,))
    assert desired_effects(S.PLACED, {HAT: 2}, {}, rules) == {}
    assert desired_effects(S.REFUNDED, {HAT: 2}, {HAT: -2}, rules) == {HAT: -2}


@given(st.lists(st.sampled_from(S), max_size=8), UNITS)
def test_however_an_order_came_to_its_state_it_did_what_the_state_says(
    states: list[OrderStatus], ordered: dict[Place, int]
) -> None:
    recorded: dict[Place, int] = {}
    moved: dict[Place, int] = {}
    for status in states:
        desired = desired_effects(status, ordered, recorded, RULES)
        for place, change in differences(desired, recorded).items():
            moved[place] = moved.get(place, 0) + change
        recorded |= desired
        assert differences(desired_effects(status, ordered, recorded, RULES), recorded) == {}
    done = {place: units for place, units in moved.items() if units}
    if states and states[-1] in RULES.deduct:
        assert done == {place: -units for place, units in ordered.items()}
    if states and states[-1] in (*RULES.give_back, S.DRAFT_BASKET):
        assert done == {}


@given(SIGNED, SIGNED)
def test_differences_turn_one_into_the_other(desired: dict[Place, int], recorded: dict[Place, int]) -> None:
    changes = differences(desired, recorded)
    assert 0 not in changes.values()
    for place in {*desired, *recorded}:
        assert recorded.get(place, 0) + changes.get(place, 0) == desired.get(place, 0)


# Counts


def change(id_: int, delta: int, minute: int) -> Claimed:
    return Claimed(id_, NOON + timedelta(minutes=minute), delta, None, "api", f"m{id_}")


def count(id_: int, counted: int, minute: int) -> Claimed:
    return Claimed(id_, NOON + timedelta(minutes=minute), None, counted, "api", f"c{id_}")


@pytest.mark.parametrize(
    ("claimed", "wanted"),
    [
        ([], None),
        ([change(1, -1, 0)], None),
        ([count(1, 5, 0), count(2, 7, 3), count(3, 6, 1)], 2),
        ([count(1, 5, 0), count(2, 7, 0)], 2),
        ([count(2, 7, 0), count(1, 5, 0)], 2),
    ],
)
def test_the_latest_count_decides(claimed: list[Claimed], wanted: int | None) -> None:
    found = newest_count(claimed)
    assert (found.id if found else None) == wanted


def test_a_plan_counts_what_came_after_and_names_why_the_rest_does_not() -> None:
    decisive = count(4, 10, 5)
    claimed = [change(1, -3, 4), change(2, -2, 5), count(3, 99, 1), decisive, change(5, -1, 6)]
    plan = plan_count(claimed, decisive, applied_since=-2)
    assert plan.target == 10 - 2 - 1
    assert plan.excluded == {
        1: "the count of 2026-11-20 12:05:00 UTC has seen it",
        2: "the count of 2026-11-20 12:05:00 UTC has seen it",
        3: "a later count was taken (c4)",
    }


def test_a_count_settles_what_was_to_be_put_right_whenever_it_was_taken() -> None:
    decisive = count(1, 8, 0)
    heal = replace(change(2, 2, 9), corrects=True)
    plan = plan_count([decisive, heal, change(3, -1, 9)], decisive, applied_since=0)
    assert plan.target == 7
    assert plan.excluded == {2: "the count of 2026-11-20 12:00:00 UTC settles it"}


EVENTS = st.lists(
    st.tuples(st.booleans(), st.integers(-9, 9), st.integers(0, 6)), min_size=1, max_size=8
).map(
    lambda rows: [
        count(id_, abs(units), minute) if is_count else change(id_, units, minute)
        for id_, (is_count, units, minute) in enumerate(rows)
    ]
)


@given(EVENTS, st.randoms(use_true_random=False))
def test_a_plan_does_not_depend_on_the_order_of_arrival(claimed: list[Claimed], chance: Any) -> None:
    decisive = newest_count(claimed)
    if decisive is None:
        return
    shuffled = list(claimed)
    chance.shuffle(shuffled)
    assert newest_count(shuffled) == decisive
    plan = plan_count(claimed, decisive, 0)
    assert plan_count(shuffled, decisive, 0) == plan
    later = [one for one in claimed if one.delta is not None and one.occurred_at > decisive.occurred_at]
    assert plan.target == (decisive.counted or 0) + sum(one.delta or 0 for one in later)
    assert plan.excluded.keys() == {one.id for one in claimed} - {decisive.id} - {one.id for one in later}


@given(EVENTS)
def test_a_plan_gives_the_same_whether_changes_were_applied_before_or_are_in_the_batch(
    claimed: list[Claimed],
) -> None:
    decisive = newest_count(claimed)
    if decisive is None:
        return
    later = [one for one in claimed if one.delta is not None and one.occurred_at > decisive.occurred_at]
    before = [one for one in claimed if one not in later]
    applied = sum(one.delta or 0 for one in later)
    assert plan_count(before, decisive, applied).target == plan_count(claimed, decisive, 0).target


# Requests


@pytest.mark.parametrize(
    ("delta", "actions"),
    [
        (0, []),
        (3, [{"action": "addQuantity", "quantity": 3}]),
        (-3, [{"action": "removeQuantity", "quantity": 3}]),
    ],
)
def test_a_change_adds_or_removes(delta: int, actions: list[dict[str, Any]]) -> None:
    assert change_actions(delta) == actions


def test_an_entry_without_type_gets_ours() -> None:
    (action,) = mark_actions("b1", None, "ours")
    assert action == {
        "action": "setCustomType",
        "type": {"typeId": "type", "key": "ours"},
        "fields": {LAST_BATCH: "b1"},
    }


def test_an_entry_with_a_type_keeps_it() -> None:
    custom = {"type": {"typeId": "type", "id": "theirs"}, "fields": {"note": "x"}}
    assert mark_actions("b1", custom, "ours") == [
        {"action": "setCustomField", "name": LAST_BATCH, "value": "b1"}
    ]


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        ({}, None),
        ({"custom": None}, None),
        ({"custom": {"fields": {"note": "x"}}}, None),
        ({"custom": {"fields": {LAST_BATCH: "b7"}}}, "b7"),
    ],
)
def test_an_entry_says_which_batch_it_has(entry: dict[str, Any], wanted: str | None) -> None:
    assert last_batch(entry) == wanted


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("A@berlin", Place("A", "berlin")),
        ("A@b@berlin", Place("A@b", "berlin")),
        ("A@", Place("A", "")),
        ("A", Place("A", "")),
        ("A@(no channel)", Place("A", "")),
    ],
)
def test_places_are_understood_as_people_write_them(text: str, place: Place) -> None:
    assert Place.named(text) == place
    assert Place.named(str(place)) == place
