"""Units at risk: by tables, and for any ledger, any rates and any clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogent_ops.domain.health.risk import (
    SKEW,
    Hold,
    Lateness,
    Risk,
    Settled,
    Sold,
    Unsent,
    risks,
)
from cogent_ops.domain.rules import ProtectionRules
from cogent_ops.domain.stock import Place

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
COAT, RUG = Place("coat", "berlin"), Place("rug", "bonn")


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def unsent(place: Place = COAT, seconds: float = 90, **more: Any) -> Unsent:
    return Unsent(place, ago(seconds), **more)


def found(
    *open_: Unsent,
    sold: dict[Place, Sold] | None = None,
    read: float | None = 0,
    protected: tuple[Place, ...] = (),
    entries: dict[Place, str] | None = None,
    **rules: Any,
) -> dict[Place, Risk]:
    late = Lateness.of(NOW, open_, None if read is None else ago(read))
    by_place = {one.place: one for one in open_}
    return risks(late, by_place, sold or {}, protected, entries or {}, ProtectionRules(**rules))


# Known units


@pytest.mark.parametrize(
    ("waiting", "batch", "sending", "named", "pending"),
    [
        (-2, None, 0, None, 2),
        (-2, "b1", -3, None, 5),
        (-2, "b1", -3, "b0", 5),
        (-2, "b1", -3, "b1", 2),
        (0, "b1", -3, "b1", 0),
        (+1, "b1", -3, None, 2),
        (+4, "b1", -3, None, 0),
        (+4, "b1", -3, "b1", 0),
        (-1, "b1", +5, "b1", 1),
    ],
)
def test_a_unit_that_the_entry_shows_is_not_taken_off_again(
    waiting: int, batch: str | None, sending: int, named: str | None, pending: int
) -> None:
    assert unsent(waiting=waiting, batch=batch, sending=sending).pending(named) == pending


# Estimated units


@pytest.mark.parametrize(
    ("sold", "seconds", "factor", "most", "units"),
    [
        (Sold(120, 10), 61, 1, 50, 1),
        (Sold(120, 10), 600, 1, 50, 10),
        (Sold(120, 10), 600, 2, 50, 20),
        (Sold(120, 10), 600, 0, 50, 0),
        (Sold(120, 10), 600, 1, 3, 3),
        (Sold(0, 0), 36_000, 1, 50, 0),
        (Sold(1, 0), 61, 1, 50, 0),
        (Sold(1, 0), 3600, 1, 50, 1),
        (Sold(1, 0), 3599, 1, 50, 0),
        (Sold(-4, -4), 36_000, 1, 50, 0),
    ],
)
def test_what_was_probably_sold_while_nobody_read_orders(
    sold: Sold, seconds: float, factor: float, most: int, units: int
) -> None:
    one = found(sold={COAT: sold}, read=seconds, factor=factor, most_units=most, reserve=0)
    assert sum(risk.expected for risk in one.values()) == units


@pytest.mark.parametrize(
    ("open_", "read", "rules", "units"),
    [
        ([unsent(waiting=-2)], 0, {}, (2, 0, 2)),
        ([unsent(waiting=-2)], 0, {"reserve": 0}, (2, 0, 0)),
        ([unsent(waiting=-3)], 0, {"reserve": 0.5}, (3, 0, 2)),
        ([unsent(waiting=-1)], 0, {"reserve": 0.4}, (1, 0, 0)),
        ([unsent(waiting=-2)], 0, {"most_units": 1}, (2, 0, 1)),
        ([], 180, {}, (0, 3, 3)),
        ([], 180, {"factor": 2, "most_units": 7}, (0, 6, 1)),
        ([unsent(waiting=-2)], 180, {}, (2, 3, 5)),
    ],
    ids=[
        "as much again as is known",
        "nothing is left to the web shop",
        "half of it is, and there are no half units",
        "or less",
        "not more than so many",
        "as much again as is expected",
        "what is probably gone goes first",
        "all of it",
    ],
)
def test_what_is_held_back(
    open_: list[Unsent], read: float, rules: dict[str, Any], units: tuple[int, int, int]
) -> None:
    one = found(*open_, sold={COAT: Sold(120, 10)}, read=read, **rules)[COAT]
    assert (one.pending, one.expected, one.reserved) == units
    assert one.buffer == sum(units)
    assert one.units == one.pending + one.expected, "what is left to the web shop is not at risk"


def test_nothing_is_left_to_the_web_shop_where_nothing_is_at_risk() -> None:
    assert set(found(unsent(waiting=-1), sold={COAT: Sold(120, 10), RUG: Sold(120, 10)})) == {COAT}


@pytest.mark.parametrize(
    ("units", "recent", "hours", "rate"),
    [(4, 0, 2, 2), (4, 2, 2, 12), (-3, -3, 2, 0), (5, 5, 0.1, 50), (4, -2, 2, 2)],
)
def test_a_launch_is_not_averaged_away(units: int, recent: int, hours: float, rate: float) -> None:
    assert Sold(units, recent).rate(ProtectionRules(rate_hours=hours)) == pytest.approx(rate)


# When


@pytest.mark.parametrize(
    ("open_", "read", "protected", "places"),
    [
        ([unsent(waiting=-1, seconds=61)], 0, (), {COAT}),
        ([unsent(waiting=-1, seconds=60)], 0, (), set()),
        ([unsent(waiting=-1, seconds=1), unsent(RUG, 61, waiting=-1)], 0, (), {COAT, RUG}),
        (
            [unsent(waiting=-1, seconds=1), unsent(RUG, 61, batch="b", sending=-1, is_stuck=True)],
            0,
            (),
            {RUG},
        ),
        ([unsent(waiting=-1, seconds=1)], 61, (), {COAT}),
        ([unsent(waiting=-1, seconds=1)], None, (), set()),
        ([unsent(waiting=-1, seconds=31)], 0, (COAT,), {COAT}),
        ([unsent(waiting=-1, seconds=29)], 0, (COAT,), set()),
        ([unsent(waiting=+1, seconds=99)], 0, (COAT,), set()),
        ([], 99, (COAT,), set()),
    ],
    ids=[
        "late",
        "not yet",
        "all are late when one is",
        "what was refused is late alone",
        "nobody reads orders",
        "nobody ever read orders",
        "what is protected stays so",
        "until it is late no more",
        "or nothing is gone",
        "nothing sold, nothing expected",
    ],
)
def test_when_units_are_at_risk(
    open_: list[Unsent], read: float | None, protected: tuple[Place, ...], places: set[Place]
) -> None:
    assert set(found(*open_, read=read, protected=protected)) == places


def test_what_is_expected_comes_on_top_of_what_is_known() -> None:
    sold = {COAT: Sold(120, 10), RUG: Sold(0, 0)}
    one = found(unsent(waiting=-2), sold=sold, read=120)[COAT]
    assert (one.pending, one.expected, one.units) == (2, 2, 4)
    assert one.age == timedelta(seconds=120)
    assert one.rate == 60
    assert RUG not in found(sold=sold, read=120)


def test_nothing_is_expected_while_orders_are_read() -> None:
    sold = {COAT: Sold(1200, 100)}
    assert found(unsent(waiting=-2, seconds=3600), sold=sold, read=5)[COAT].expected == 0


def test_sync_health_is_told_both() -> None:
    said = found(unsent(waiting=-2), sold={COAT: Sold(120, 10)}, read=120)[COAT].at_risk(3, ago(120))
    assert (said.sku, said.place, said.units, said.buffer, said.age) == ("coat", "berlin", 4, 3, 120.0)


# What is held back


def test_a_reading_from_before_a_batch_is_outdated() -> None:
    hold = Hold(settled=Settled("b1", NOW, -2))
    assert hold.is_outdated("b0", ago(1))
    assert hold.is_outdated(None, ago(1))
    assert not hold.is_outdated("b1", ago(1)), "the entry shows it"
    assert hold.is_outdated("b0", NOW + SKEW), "clocks differ"
    assert not hold.is_outdated("b0", NOW + SKEW * 2)
    assert not Hold().is_outdated(None, NOW)
    following = unsent(batch="b2", sending=-1)
    assert not Hold(following, settled=Settled("b1", NOW, -2)).is_outdated("b2", ago(1)), "b2 came after b1"
    assert not Hold(settled=Settled("b1", NOW, 0)).is_outdated("b0", NOW), "it was never sent"


def test_what_an_outdated_reading_lacks_is_taken_off() -> None:
    hold = Hold(unsent(waiting=-3), besides=1, settled=Settled("b1", NOW, -2))
    assert hold.units("b0", ago(1)) == 3 + 2 + 1
    assert hold.units("b1", ago(1)) == 3 + 1
    assert hold.units("b0") == 3 + 1, "what was read long ago is read again anyway"
    back = Hold(unsent(waiting=-3), settled=Settled("b1", NOW, +5))
    assert back.units("b0", ago(1)) == 0


def test_what_ends_holds_nothing_back() -> None:
    assert Hold(unsent(waiting=-3), besides=2).units(None) == 5
    assert Hold(unsent(waiting=-3), besides=2, is_ending=True).units(None) == 0
    assert Hold().units("b1") == 0


units = st.integers(-500, 500)
places = st.builds(Place, st.sampled_from("abc"), st.sampled_from(["", "s1", "s2"]))
ledgers = st.lists(
    st.builds(
        Unsent,
        places,
        st.floats(-60, 10_000).map(ago),
        units,
        st.sampled_from([None, "b1", "b2"]),
        units,
        st.booleans(),
    ),
    unique_by=lambda one: one.place,
)
sales = st.dictionaries(places, st.builds(Sold, units, units))
chosen = st.builds(
    ProtectionRules,
    after_seconds=st.floats(5, 600),
    rate_hours=st.floats(0.05, 24),
    factor=st.floats(0, 10),
    reserve=st.floats(0, 10),
    most_units=st.integers(0, 100),
)


@given(
    open_=ledgers,
    sold=sales,
    read=st.none() | st.floats(-60, 10_000),
    protected=st.lists(places),
    entries=st.dictionaries(places, st.sampled_from(["b1", "b2"])),
    rules=chosen,
)
def test_for_any_ledger(
    open_: list[Unsent],
    sold: dict[Place, Sold],
    read: float | None,
    protected: list[Place],
    entries: dict[Place, str],
    rules: ProtectionRules,
) -> None:
    late = Lateness.of(NOW, open_, None if read is None else ago(read))
    by_place = {one.place: one for one in open_}
    at_risk = risks(late, by_place, sold, protected, entries, rules)
    limit = timedelta(seconds=rules.after_seconds)
    is_blind = read is not None and timedelta(seconds=read) > limit
    for place, risk in at_risk.items():
        assert risk.units == risk.pending + risk.expected > 0
        assert 0 <= risk.expected <= risk.expected + risk.reserved <= rules.most_units
        assert risk.buffer == risk.units + risk.reserved
        assert is_blind or risk.expected == 0
        one = by_place.get(place)
        assert risk.pending == (0 if one is None else one.pending(entries.get(place)))
        assert risk.age >= timedelta()
    oldest = max((NOW - one.oldest for one in open_), default=timedelta())
    if not is_blind and oldest <= limit / 2:
        assert at_risk == {}, "nothing is late, so everything is released"
