"""Causes of a difference, and what may be mended: tables over what can be known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogent_ops.domain.drift.causes import Change, Difference, Edit, Sale, judge, may_be_young
from cogent_ops.domain.drift.healing import FEW, is_small, plan
from cogent_ops.domain.drift.model import OURS, TITLES, Area, Cause, Finding
from cogent_ops.domain.drift.stock import Night, Waiting, place_of, unmoved, waiting
from cogent_ops.domain.exceptions import Owner
from cogent_ops.domain.rules import DriftRules
from cogent_ops.domain.stock import Place

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
NIGHT_BEFORE, READ = NOON - timedelta(hours=10), NOON + timedelta(hours=14)
PLACE = Place("COAT", "leeds")


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


FIRST = Change("b1", -2, NOON, 20, 18)
SECOND = Change("b2", -3, at(60), 18, 15)
#: After two changes of ours; what differs is said by each case.
BASE = Difference(
    PLACE,
    base=20,
    base_at=NIGHT_BEFORE,
    expected=15,
    actual=15,
    read_at=READ,
    batch="b2",
    us=frozenset({"us", "austria"}),
    changed_by="us",
    changes=(FIRST, SECOND),
)


def told(*changes: Change) -> tuple[Change, ...]:
    """Messages tell of them."""
    return tuple(replace(one, is_told=True) for one in changes)


CASES: dict[str, tuple[dict[str, Any], dict[Cause, int]]] = {
    "the last change once more": ({"actual": 12}, {Cause.DUPLICATED: -3}),
    "the same by another link's client": ({"actual": 12, "changed_by": "austria"}, {Cause.DUPLICATED: -3}),
    "the last change is named and not in": ({"actual": 18}, {Cause.LOST: 3}),
    "the entry names an older change": ({"actual": 18, "batch": "b1"}, {Cause.LOST: 3}),
    "the entry names none": ({"actual": 20, "batch": None}, {Cause.LOST: 5}),
    "an older state, whoever wrote it": ({"actual": 18, "batch": "b1", "changed_by": "erp"}, {Cause.LOST: 3}),
    "it names an older one, and something else": ({"actual": 17, "batch": "b1"}, {Cause.UNEXPLAINED: 2}),
    "somebody else wrote last": ({"actual": 30, "changed_by": "erp"}, {Cause.MANUAL_EDIT: 15}),
    "somebody else did what we did": ({"actual": 12, "changed_by": "erp"}, {Cause.MANUAL_EDIT: -3}),
    "the version moved and nobody says who": (
        {"actual": 12, "changed_by": None, "is_touched": True},
        {Cause.MANUAL_EDIT: -3},
    ),
    "made anew": ({"actual": 30, "is_replaced": True}, {Cause.MANUAL_EDIT: 15}),
    "a message tells of less": (
        {"actual": 25, "edits": (Edit(15, 19, at(90), "erp"),)},
        {Cause.MANUAL_EDIT: 4, Cause.UNEXPLAINED: 6},
    ),
    "no message tells": ({"actual": 25, "edits": ()}, {Cause.UNEXPLAINED: 10}),
    "an older change once more": ({"actual": 13}, {Cause.UNEXPLAINED: -2}),
    "a difference before the last change": (
        {"actual": 12, "changes": (FIRST, replace(SECOND, before=15, after=12))},
        {Cause.UNEXPLAINED: -3},
    ),
    "the last change was doubled in one": (
        {"actual": 12, "changes": (FIRST, replace(SECOND, before=18, after=12))},
        {Cause.DUPLICATED: -3},
    ),
    "nothing is known of the last change": (
        {"actual": 12, "changes": (FIRST, replace(SECOND, before=None, after=None))},
        {Cause.UNEXPLAINED: -3},
    ),
    "no change of ours": (
        {"actual": 12, "changes": (), "batch": None, "expected": 20},
        {Cause.UNEXPLAINED: -8},
    ),
    "an order came last": (
        {"actual": 9, "sales": (Sale("W1", -3, at(90)),), "expected": 12},
        {Cause.DUPLICATED: -3},
    ),
    # More than one thing, and something after it.
    "an edit that a message tells, then our change": (
        {
            "changes": told(FIRST, replace(SECOND, before=28, after=25)),
            "edits": (Edit(18, 28, at(30), "erp"),),
            "actual": 25,
        },
        {Cause.MANUAL_EDIT: 10},
    ),
    "the same, and that twice": (
        {
            "changes": told(FIRST, replace(SECOND, before=28, after=25)),
            "edits": (Edit(18, 28, at(30), "erp"),),
            "actual": 22,
        },
        {Cause.MANUAL_EDIT: 10, Cause.DUPLICATED: -3},
    ),
    "twice, and then somebody set it": (
        {
            "changes": told(FIRST, SECOND),
            "edits": (Edit(15, 12, at(61), "us"), Edit(12, 30, at(90), "erp")),
            "actual": 30,
            "changed_by": "erp",
        },
        {Cause.MANUAL_EDIT: 15},
    ),
    "twice, then our next change": (
        {
            "changes": told(FIRST, replace(SECOND, before=16, after=13)),
            "edits": (Edit(18, 16, at(1), "us"),),
            "actual": 13,
        },
        {Cause.DUPLICATED: -2},
    ),
    "twice, then our next change, and nobody says by whom": (
        {
            "changes": told(FIRST, replace(SECOND, before=16, after=13)),
            "edits": (Edit(18, 16, at(1)),),
            "actual": 13,
        },
        {Cause.MANUAL_EDIT: -2},
    ),
    "twice, then our next change, without Messages": (
        {"changes": (FIRST, replace(SECOND, before=16, after=13)), "actual": 13},
        {Cause.UNEXPLAINED: -2},
    ),
    "both twice": (
        {
            "changes": told(FIRST, replace(SECOND, before=16, after=13)),
            "edits": (Edit(18, 16, at(1), "us"), Edit(13, 10, at(61), "us")),
            "actual": 10,
        },
        {Cause.DUPLICATED: -5},
    ),
    "forgotten, then our next change": (
        {"changes": told(FIRST, replace(SECOND, before=20, after=17)), "edits": (), "actual": 17},
        {Cause.LOST: 2},
    ),
    "forgotten, then our next change, and Messages have gaps": (
        {
            "changes": (FIRST, *told(replace(SECOND, before=20, after=17))),
            "edits": (),
            "actual": 17,
        },
        {Cause.UNEXPLAINED: 2},
    ),
    "forgotten, then our next change, without Messages": (
        {"changes": (FIRST, replace(SECOND, before=20, after=17)), "actual": 17},
        {Cause.UNEXPLAINED: 2},
    ),
    "forgotten, and the next change twice": (
        {
            "changes": told(FIRST, replace(SECOND, before=20, after=17)),
            "edits": (Edit(17, 14, at(61), "us"),),
            "actual": 14,
        },
        {Cause.DUPLICATED: -1},
    ),
    "an older change once more, much later": (
        {"changes": told(FIRST, SECOND), "edits": (Edit(15, 13, at(300), "us"),), "actual": 13},
        {Cause.DUPLICATED: -2},
    ),
    "our client did something that we never meant": (
        {"changes": told(FIRST, SECOND), "edits": (Edit(15, 8, at(90), "us"),), "actual": 8},
        {Cause.UNEXPLAINED: -7},
    ),
    "an edit that nobody tells, then our change twice": (
        {"changes": (FIRST, replace(SECOND, before=28, after=25)), "actual": 22},
        {Cause.UNEXPLAINED: 7},
    ),
    "twice, and another link has mended it": (
        {
            "changes": (FIRST, Change("b3", 2, at(60), 16, 18, mended=2)),
            "expected": 18,
            "actual": 14,
            "batch": "b3",
        },
        {Cause.UNEXPLAINED: -4},
    ),
    "another link has mended it, and our next change is in twice": (
        {
            "changes": (FIRST, Change("b3", 2, at(60), 16, 18, mended=2), Change("b4", -1, at(90), 18, 17)),
            "expected": 17,
            "actual": 16,
            "batch": "b4",
        },
        {Cause.DUPLICATED: -1},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_causes_are_what_points_to_them(name: str) -> None:
    changed, causes = CASES[name]
    found = replace(BASE, **changed)
    assert {one.cause: one.units for one in judge(found)} == causes
    assert sum(causes.values()) == found.off
    assert all(one.why for one in judge(found))


@given(
    st.integers(-50, 50).filter(bool),
    st.sampled_from(["erp", "merchant-center"]),
    st.sampled_from(["b2", "other", None]),
)
def test_what_somebody_else_wrote_last_is_never_mended_unless_the_entry_forgot_us(
    off: int, who: str, batch: str | None
) -> None:
    found = replace(BASE, actual=BASE.expected + off, changed_by=who, batch=batch)
    forgot = batch != "b2" and off == -sum(change.delta for change in BASE.changes)
    assert {one.cause in OURS for one in judge(found)} == {forgot}


#: What happens to an entry: by us, told by a Message of ours or of somebody else's, an order, or nobody tells.
HAPPENS = st.lists(
    st.tuples(
        st.sampled_from(["ours", "twice", "erp", "order", "untold", "mended"]),
        st.integers(-9, 9).filter(bool),
    ),
    max_size=8,
)


@given(HAPPENS, st.booleans(), st.sampled_from(["us", "erp", None]))
def test_causes_account_for_all_of_a_difference_and_for_nothing_else(
    happens: list[tuple[str, int]], keeps_messages: bool, by: str | None
) -> None:
    quantity, expected, last = 100, 100, None
    changes: list[Change] = []
    edits: list[Edit] = []
    sales: list[Sale] = []
    for place, (what, units) in enumerate(happens):
        moment, before = at(10 * place), quantity
        quantity += units
        if what in ("ours", "mended"):
            last, is_mend = f"b{place}", what == "mended"
            changes.append(
                Change(last, units, moment, before, quantity, keeps_messages, units if is_mend else 0)
            )
            expected += 0 if is_mend else units
        elif what == "order":
            sales.append(Sale(f"W{place}", units, moment))
            expected += units
        elif what != "untold":
            edits.append(Edit(before, quantity, moment, "us" if what == "twice" else "erp"))
    found = Difference(
        PLACE,
        base=100,
        base_at=NIGHT_BEFORE,
        expected=expected,
        actual=quantity,
        read_at=READ,
        batch=last,
        us=frozenset({"us"}),
        changed_by=by,
        changes=tuple(changes),
        sales=tuple(sales),
        edits=tuple(edits) if keeps_messages else None,
    )
    if not found.off:
        return
    causes = judge(found)
    assert sum(one.units for one in causes) == found.off
    assert len({one.cause for one in causes}) == len(causes)
    # One movement mends a place in one night, or none.
    assert sum(one.cause is not Cause.MANUAL_EDIT for one in causes) <= 1


@given(st.lists(st.integers(-5, -1), max_size=6), st.data())
def test_a_difference_is_young_exactly_when_some_of_the_young_orders_make_it(
    units: list[int], data: st.DataObject
) -> None:
    some = data.draw(st.lists(st.sampled_from(range(len(units))), unique=True)) if units else []
    off = sum(units[place] for place in some)
    assert may_be_young(off, tuple(units)) or off == 0
    assert not may_be_young(1, tuple(units))
    assert not may_be_young(sum(units) - 1, tuple(units))


def test_every_cause_has_a_title() -> None:
    assert set(TITLES) == set(Cause)


# Mending


def finding(cause: Cause = Cause.LOST, heal: int | None = -2, amount: int | None = 1000) -> Finding:
    return Finding(
        link="default",
        night="2026-11-24",
        area=Area.STOCK,
        cause=cause,
        subject=f"COAT-{heal}-{amount}-{cause}@leeds",
        message="",
        evidence=(),
        owner=Owner.PLATFORM,
        action="",
        amount=amount,
        currency="GBP",
        heal=heal,
    )


SMALL = DriftRules(heal="small", heal_units=3, heal_value=20, heal_share=0.01)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (finding(), True),
        (finding(heal=-3, amount=2000), True),
        (finding(heal=-4), False),
        (finding(amount=-2001), False),
        (finding(amount=None), False),
        (finding(Cause.UNEXPLAINED), False),
        (finding(heal=None), False),
    ],
)
def test_only_what_lies_within_all_limits_and_is_our_own_doing_is_small(one: Finding, expected: bool) -> None:
    assert is_small(one, SMALL, "GBP") is expected
    chosen = plan([one], 1000, SMALL, "GBP")
    assert (one in chosen.at_once) is expected
    assert (one in chosen.asked) is (not expected and one.heal is not None)


def test_too_many_at_once_are_never_mended_without_a_person() -> None:
    many = [finding(amount=number) for number in range(FEW + 1)]
    assert len(plan(many[:FEW], 100, SMALL, "GBP").at_once) == FEW
    refused = plan(many, 100, SMALL, "GBP")
    assert refused.at_once == ()
    assert len(refused.asked) == FEW + 1
    assert "something larger" in refused.why
    assert len(plan(many, 100 * len(many), SMALL, "GBP").at_once) == FEW + 1


@pytest.mark.parametrize(("heal", "asked"), [("off", 0), ("ask", 1)])
def test_off_and_ask_mend_nothing_by_themselves(heal: str, asked: int) -> None:
    chosen = plan([finding()], 1000, SMALL.model_copy(update={"heal": heal}), "GBP")
    assert (len(chosen.at_once), len(chosen.asked)) == (0, asked)


def test_a_limit_of_money_counts_in_the_currencys_own_digits() -> None:
    yen = replace(finding(amount=21), currency="JPY")
    assert not is_small(yen, SMALL, "JPY")
    assert is_small(replace(yen, amount=20), SMALL, "JPY")


# Words

NIGHT = Night("default", "2026-11-24", "GBP", {"COAT": 500})


def test_a_finding_about_an_order_names_its_place_and_what_would_mend_it() -> None:
    found = unmoved(NIGHT, PLACE, "gid://cloudshelf/Order/01J", recorded=-2, moved=0)
    assert (found.cause, found.units, found.heal, found.amount) == (Cause.LOST, 2, -2, 1000)
    assert place_of(found) == PLACE
    assert unmoved(NIGHT, PLACE, "gid://cloudshelf/Order/01J", -2, -4).cause is Cause.DUPLICATED
    assert unmoved(NIGHT, PLACE, "gid://cloudshelf/Order/01J", 0, -2).cause is Cause.LOST


@pytest.mark.parametrize(
    ("state", "reason", "cause"),
    [
        ("waiting", "", Cause.LATE),
        ("batched", "", Cause.LATE),
        ("parked", "refused", Cause.LATE),
        ("review", "unknown sku", Cause.WRONG_IDENTIFIER),
        ("review", "unknown variant id and location id", Cause.WRONG_IDENTIFIER),
        ("review", "unknown location", Cause.PHANTOM_LOCATION),
        ("review", "unknown location id", Cause.PHANTOM_LOCATION),
    ],
)
def test_what_waits_is_late_or_waits_for_an_identifier(state: str, reason: str, cause: Cause) -> None:
    found = waiting(NIGHT, Waiting(PLACE, state, reason, 3, -4, NOON), NOON + timedelta(minutes=90))
    assert (found.cause, found.units, found.heal) == (cause, 4, None)
    assert "90 minutes" in found.message
