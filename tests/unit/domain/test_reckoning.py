"""How a quantity came about: however things are told, it adds up, and only what is untold is a gap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogent_ops.domain.reckoning import Change, Reckoning, reckon

START = datetime(2026, 11, 20, 9, tzinfo=UTC)
LAG = timedelta(seconds=60)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def ours(id_: str, seconds: float, before: int | None, units: int) -> Change:
    after = None if before is None else before + units
    return Change(id_, at(seconds), units, before, after, "ours")


def order(id_: str, seconds: float, units: int) -> Change:
    return Change(id_, at(seconds), units)


def now(seconds: float, units: int) -> Change:
    return Change("now", at(seconds), 0, units, units)


def gaps(found: Reckoning) -> list[int]:
    return [row.units for row in found.rows if row.change is None]


def ids(found: Reckoning) -> list[str]:
    return [row.change.id if row.change else "gap" for row in found.rows]


def test_changes_that_fit_leave_no_gap() -> None:
    found = reckon([ours("a", 0, 20, -2), order("w", 100, -1), ours("b", 200, 17, -3)], now(300, 14), LAG)
    assert (found.base, found.number, gaps(found)) == (20, 14, [])
    assert [row.number for row in found.rows] == [18, 17, 14]


def test_what_nobody_tells_is_a_gap_where_it_was_noticed_first() -> None:
    found = reckon([ours("a", 0, 20, -2), ours("b", 200, 23, -3)], now(300, 20), LAG)
    assert ids(found) == ["a", "gap", "b"]
    assert (found.rows[1].units, found.rows[1].since, found.rows[1].at) == (5, at(0), at(200))


def test_what_came_after_the_last_change_is_noticed_now() -> None:
    found = reckon([ours("a", 0, 20, -2)], now(300, 15), LAG)
    assert (ids(found), found.number) == (["a", "gap"], 15)


@pytest.mark.parametrize("seconds", [70, 130])
def test_an_order_goes_to_the_side_of_a_change_where_it_fits(seconds: float) -> None:
    """Clocks differ, and orders show late."""
    before = reckon(
        [ours("a", 0, 20, -2), ours("b", 100, 17, -3), order("w", seconds, -1)], now(500, 14), LAG
    )
    after = reckon([ours("a", 0, 20, -2), ours("b", 100, 18, -3), order("w", seconds, -1)], now(500, 14), LAG)
    assert ids(before) == ["a", "w", "b"]
    assert ids(after) == ["a", "b", "w"]


def test_an_order_that_does_not_show_yet_is_no_gap() -> None:
    found = reckon([ours("a", 0, 20, -2), order("w", 290, -4)], now(300, 18), LAG)
    assert (gaps(found), [one.id for one in found.hidden]) == ([], ["w"])


def test_an_order_that_should_long_show_and_does_not_is_a_gap() -> None:
    found = reckon([ours("a", 0, 20, -2), order("w", 100, -4)], now(300, 18), LAG)
    assert (gaps(found), found.hidden) == ([4], ())


def test_messages_and_our_changes_are_put_where_one_ends_as_the_next_begins() -> None:
    told = Change("m", at(95), 5, 18, 23, "theirs")
    late = Change("m", at(105), 5, 18, 23, "theirs")
    for message in (told, late):
        found = reckon([ours("a", 0, 20, -2), ours("b", 100, 23, -3), message], now(300, 20), LAG)
        assert (ids(found), gaps(found)) == (["a", "m", "b"], [])


def test_an_entry_that_was_deleted_and_made_anew_goes_on_with_what_it_was_made_with() -> None:
    gone = Change("d", at(50), None, None, 0, "theirs")
    made = Change("c", at(60), 7, 0, 7, "theirs")
    found = reckon([ours("a", 0, 20, -2), gone, made], now(300, 7), LAG)
    assert [(row.units, row.number) for row in found.rows] == [(-2, 18), (-18, 0), (7, 7)]


def test_a_change_whose_quantity_before_is_unknown_is_measured_by_the_one_after() -> None:
    reread = Change("b", at(100), -3, None, 12, "ours")
    found = reckon([ours("a", 0, 20, -2), reread], now(300, 12), LAG)
    assert (ids(found), gaps(found)) == (["a", "gap", "b"], [-3])


def test_nothing_is_known_where_nothing_says_a_quantity() -> None:
    found = reckon([order("w", 0, -1)], None, LAG)
    assert (found.base, found.rows) == (None, ())


def test_without_a_reading_orders_count_by_their_time() -> None:
    found = reckon([ours("a", 0, 20, -2), order("w", 290, -4)], None, LAG)
    assert (found.number, found.hidden) == (14, ())


#: What really happened, one after the other: whose it was, units, and whether anybody tells.
HISTORY = st.lists(
    st.tuples(
        st.sampled_from(["ours", "theirs", "order", "untold"]), st.integers(-5, 5), st.integers(-40, 40)
    ),
    max_size=9,
)


@given(HISTORY, st.integers(0, 50))
def test_it_always_adds_up_and_what_is_told_is_never_untold(
    history: list[tuple[str, int, int]], base: int
) -> None:
    changes: list[Change] = []
    quantity, untold = base, 0
    for place, (whose, units, wrong) in enumerate(history):
        moment = 300.0 * (place + 1)
        if whose == "order":
            # Its time says little, but not nothing.
            changes.append(order(f"w{place}", moment + wrong, units))
        elif whose == "untold":
            untold += abs(units)
        else:
            changes.append(Change(f"c{place}", at(moment), units, quantity, quantity + units, whose))
        quantity += units
    found = reckon(changes, now(300.0 * (len(history) + 1), quantity), LAG)
    numbers = [found.base or 0, *(row.number for row in found.rows)]
    assert [row.units for row in found.rows] == [b - a for a, b in pairwise(numbers)]
    assert found.number == quantity
    assert sorted(one for one in ids(found) if one != "gap") == sorted(one.id for one in changes)
    if not untold:
        assert gaps(found) == []


@given(HISTORY, st.integers(0, 50))
def test_however_close_together_all_happened_it_adds_up(
    history: list[tuple[str, int, int]], base: int
) -> None:
    changes: list[Change] = []
    quantity = base
    for place, (whose, units, wrong) in enumerate(history):
        moment = 10.0 * place + wrong
        if whose == "order":
            changes.append(order(f"w{place}", moment, units))
        elif whose != "untold":
            changes.append(Change(f"c{place}", at(moment), units, quantity, quantity + units, whose))
        quantity += units
    found = reckon(changes, now(1000, quantity), LAG)
    assert (found.base or 0) + sum(row.units for row in found.rows) == quantity
    assert found.hidden == ()
