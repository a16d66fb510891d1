"""Causes of a difference, and what may be mended: tables over what can be known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogent_ops.domain.drift.causes import Change, Difference, Edit, judge, may_be_young
from cogent_ops.domain.drift.healing import FEW, OURS, is_small, plan
from cogent_ops.domain.drift.model import TITLES, Area, Cause, Finding
from cogent_ops.domain.drift.stock import Night, Waiting, place_of, unmoved, waiting
from cogent_ops.domain.exceptions import Owner
from cogent_ops.domain.rules import DriftRules
from cogent_ops.domain.stock import Place

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
PLACE = Place("COAT", "leeds")
FIRST = Change("b1", -2, NOON, 20, 18)
SECOND = Change("b2", -3, NOON + timedelta(hours=1), 18, 15)
#: After two changes of ours; what differs is said by each case.
BASE = Difference(
    PLACE, base=20, expected=15, actual=15, batch="b2", us="us", changed_by="us", changes=(FIRST, SECOND)
)
CASES = {
    "the last change once more": ({"actual": 12}, Cause.DUPLICATED),
    "the last change is named and not in": ({"actual": 18}, Cause.LOST),
    "the entry names an older change": ({"actual": 18, "batch": "b1"}, Cause.LOST),
    "the entry names none": ({"actual": 20, "batch": None}, Cause.LOST),
    "an older state, whoever wrote it": ({"actual": 18, "batch": "b1", "changed_by": "erp"}, Cause.LOST),
    "it names an older one, and something else": ({"actual": 17, "batch": "b1"}, Cause.UNEXPLAINED),
    "somebody else wrote last": ({"actual": 30, "changed_by": "erp"}, Cause.MANUAL_EDIT),
    "somebody else did what we did": ({"actual": 12, "changed_by": "erp"}, Cause.MANUAL_EDIT),
    "the version moved and nobody says who": (
        {"actual": 12, "changed_by": None, "is_touched": True},
        Cause.MANUAL_EDIT,
    ),
    "made anew": ({"actual": 30, "is_replaced": True}, Cause.MANUAL_EDIT),
    "a message tells": ({"actual": 25, "edits": (Edit(18, 28, NOON),)}, Cause.MANUAL_EDIT),
    "a message tells of less": ({"actual": 25, "edits": (Edit(18, 19, NOON),)}, Cause.UNEXPLAINED),
    "no message tells": ({"actual": 25, "edits": ()}, Cause.UNEXPLAINED),
    "an older change once more": ({"actual": 13}, Cause.UNEXPLAINED),
    "a difference before the last change": (
        {"actual": 12, "changes": (FIRST, replace(SECOND, before=15, after=12))},
        Cause.UNEXPLAINED,
    ),
    "the last change was doubled in one": (
        {"actual": 12, "changes": (FIRST, replace(SECOND, before=18, after=12))},
        Cause.DUPLICATED,
    ),
    "nothing is known of the last change": (
        {"actual": 12, "changes": (FIRST, replace(SECOND, before=None, after=None))},
        Cause.UNEXPLAINED,
    ),
    "no change of ours": ({"actual": 12, "changes": (), "batch": None}, Cause.UNEXPLAINED),
}


@pytest.mark.parametrize("name", CASES)
def test_a_cause_is_what_points_to_it(name: str) -> None:
    changed, cause = CASES[name]
    assert judge(replace(BASE, **changed)).cause is cause  # type: ignore[arg-type]  # fields by name


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
    assert (judge(found).cause in OURS) == forgot


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
