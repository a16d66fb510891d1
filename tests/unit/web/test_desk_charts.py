"""Charts as shapes: what is measured can be seen, what was not is not made up."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from cogent_ops.domain.health.model import Account, Change, Flow, HourAccount, State
from cogent_ops.store.health import Sample
from cogent_ops.web.desk.charts import (
    HEIGHT,
    POINTS,
    SILENT,
    TOP,
    WIDTH,
    Curve,
    Window,
    curve,
    hour_bars,
    share_bar,
    stairs,
    ticks,
)

LONDON = ZoneInfo("Europe/London")
END = datetime(2026, 11, 27, 14, 0, tzinfo=UTC)
DAY = Window(END - timedelta(hours=24), END, LONDON)

ages = st.floats(0, 1e6, allow_nan=False)
counts = st.integers(0, 5000)


def samples(*pairs: tuple[float, float | None]) -> list[Sample]:
    """Checks, as minutes before the end and the age that they found."""
    return [
        Sample(Flow.STOCK, END - timedelta(minutes=before), age, 60.0, None, None, 0, 0, State.GOOD)
        for before, age in sorted(pairs, key=lambda pair: -pair[0])
    ]


def drawn(found: list[Sample], target: float = 60.0, changes: tuple[Change, ...] = ()) -> Curve:
    return curve(found, target, DAY, changes)


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path)]


def test_a_curve_says_what_it_shows() -> None:
    found = drawn(samples(*((before, 12.0) for before in range(0, 1440, 5))))
    assert found.summary == "Agreed: 60 s. Highest: 12 s at Thu 14:05. Never over it."
    late = drawn(samples(*((before, 240.0 if 100 <= before < 120 else 12.0) for before in range(0, 1440, 5))))
    assert late.summary == "Agreed: 60 s. Highest: 4 min at 12:05. Over it for 20 min."
    assert drawn([]).summary == "Nothing was measured in this time. Agreed: 60 s."
    assert not drawn(samples((5, None))).line


@given(st.lists(st.tuples(st.floats(0, 1440), ages), min_size=1, max_size=60), st.floats(1, 1e5))
def test_every_point_lies_in_the_drawing_and_so_does_the_target(
    pairs: list[tuple[float, float]], target: float
) -> None:
    found = drawn(samples(*pairs), target)
    for x, y in points(found.line):
        assert 0 <= x <= WIDTH
        assert TOP - 0.1 <= y <= TOP + HEIGHT + 0.1
    assert TOP < found.target <= TOP + HEIGHT


@given(st.lists(st.tuples(st.floats(0, 1440), ages), min_size=1, max_size=60))
def test_the_worst_moment_is_never_left_out(pairs: list[tuple[float, float]]) -> None:
    found = drawn(samples(*pairs))
    highest = max(age for _, age in pairs)
    ceiling = max(60 * 1.35, highest * 1.06)
    assert min(y for _, y in points(found.line)) == round(TOP + HEIGHT * (1 - highest / ceiling), 1)


def test_a_week_of_checks_has_no_more_points_than_a_day() -> None:
    week = Window(END - timedelta(days=7), END, LONDON)
    found = curve(samples(*((before, before % 50) for before in range(0, 7 * 1440, 5))), 60.0, week, ())
    assert POINTS / 2 < len(points(found.line)) <= POINTS + 1


def test_where_nobody_looked_the_curve_breaks_and_the_gap_is_marked() -> None:
    looked = [before for before in range(0, 1440, 5) if not 300 < before < 400]
    found = drawn(samples(*((before, 12.0) for before in looked)))
    assert found.line.count("M") == 2
    (gap,) = found.gaps
    assert gap.x == DAY.x(END - timedelta(minutes=400))
    assert abs(gap.width - 100 / 1440 * WIDTH) < 0.2
    assert timedelta(minutes=20) > SILENT
    nothing = drawn([])
    assert [(one.x, one.width) for one in nothing.gaps] == [(0, WIDTH)]


@given(st.lists(st.floats(0, 2000), max_size=40))
def test_marks_of_changes_do_not_cover_each_other_and_name_every_change_once(befores: list[float]) -> None:
    changes = tuple(
        Change(at=END - timedelta(minutes=before), actor="ada", what="x") for before in sorted(befores)
    )
    found = drawn([], changes=changes).marks
    named = [
        number
        for mark in found
        for low, _, high in [mark.text.partition("–")]
        for number in range(int(low), int(high or low) + 1)
    ]
    assert sorted(named) == [number for number, one in enumerate(changes, 1) if DAY.holds(one.at)]
    edges = sorted((mark.x, mark.x + mark.width) for mark in found)
    assert all(left >= 0 and right <= WIDTH + 0.1 for left, right in edges)
    assert all(before[1] <= after[0] + 0.1 for before, after in itertools.pairwise(edges))


def test_ticks_are_round_hours_of_the_business_also_when_the_clock_changes() -> None:
    assert [tick.text for tick in ticks(DAY)] == ["18:00", "00:00", "06:00", "12:00"]
    autumn = datetime(2026, 10, 25, 12, 0, tzinfo=UTC)
    changed = [tick.text for tick in ticks(Window(autumn - timedelta(hours=24), autumn, LONDON))]
    assert changed == ["18:00", "00:00", "06:00", "12:00"]
    week = Window(END - timedelta(days=7), END, ZoneInfo("America/New_York"))
    assert [tick.text for tick in ticks(week)] == ["Sat", "Sun", "Mon", "Tue", "Wed", "Thu", "Fri"]
    short = Window(END - timedelta(hours=6), END, LONDON)
    assert [tick.text for tick in ticks(short)] == [
        "08:00",
        "09:00",
        "10:00",
        "11:00",
        "12:00",
        "13:00",
        "14:00",
    ]


accounts = st.builds(Account, seen=counts, done=counts, waiting=counts, review=counts, excluded=counts)


@given(accounts)
def test_a_bar_shows_every_part_that_is_not_empty_and_fills_its_width(account: Account) -> None:
    bars = share_bar(account)
    parts = (account.done, account.excluded, account.waiting, account.review, account.unexplained)
    assert len(bars) == sum(bool(part) for part in parts)
    if bars:
        assert abs(sum(bar.width for bar in bars) - 1000) < 0.5
        assert min(bar.width for bar in bars) > 4


@given(st.dictionaries(st.integers(0, 30), accounts, max_size=24))
def test_hours_stack_within_the_drawing(by_hour: dict[int, Account]) -> None:
    hours = [
        HourAccount(hour=END.replace(minute=0) - timedelta(hours=ago), orders=account, units=Account())
        for ago, account in by_hour.items()
    ]
    found = hour_bars(hours, END + timedelta(minutes=20), LONDON)
    for _, path in found.paths:
        for x, y in re.findall(r"M([\d.e+-]+) ([\d.e+-]+)h", path):
            assert 0 <= float(x) <= WIDTH
            assert -0.01 <= float(y) <= HEIGHT


def test_a_quantity_stays_what_it_is_until_it_changes() -> None:
    found = stairs([(END - timedelta(hours=12), 8), (END - timedelta(hours=6), 2)], DAY)
    assert found is not None
    assert (found.top, found.bottom, found.zero) == (8, 0, None)
    assert found.line == f"M{WIDTH / 2:g} {TOP:g}H{WIDTH * 0.75:g}V{TOP + HEIGHT * 0.75:g}H{WIDTH:g}"
    below = stairs([(END - timedelta(hours=12), 4), (END - timedelta(hours=6), -4)], DAY)
    assert below is not None
    assert below.zero == TOP + HEIGHT / 2
    assert stairs([(END, 4)], DAY) is None


@given(st.floats(0.05, 400))
def test_a_time_line_of_any_length_has_a_few_times_below_it(days: float) -> None:
    found = list(ticks(Window(END - timedelta(days=days), END, LONDON)))
    assert len(found) <= 30
    assert len(found) >= min(1, int(days))
    assert [tick.x for tick in found] == sorted(tick.x for tick in found)
