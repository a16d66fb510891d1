"""A store is silent when so many usual orders are missing that chance does not explain it, and never before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogent_ops.domain.health.silence import Arrivals, expected, quiet, usual

BERLIN = ZoneInfo("Europe/Berlin")
#: A Saturday, at noon in Berlin.
NOON = datetime(2026, 11, 28, 11, tzinfo=UTC)
HOUR, WEEK = timedelta(hours=1), timedelta(weeks=1)


def selling(
    per_hour: int,
    *,
    last: datetime,
    weeks: int = 4,
    opens: int = 9,
    closes: int = 18,
    zone: ZoneInfo = BERLIN,
) -> Arrivals:
    """A store that sold as much in every hour that it was open, up to its last order."""
    first = (last - weeks * WEEK).replace(minute=0, second=0, microsecond=0)
    hours: dict[datetime, int] = {}
    hour = first
    while hour <= last:
        if opens <= hour.astimezone(zone).hour < closes:
            hours[hour] = per_hour
        hour += HOUR
    return Arrivals(hours, first=first, last=last)


def judge(arrivals: Arrivals, now: datetime, *, weeks: int = 4, after: float = 7.0) -> tuple[float, bool]:
    found = quiet(arrivals, now, BERLIN, weeks=weeks, after_orders=after)
    assert found.last_order == arrivals.last
    return round(found.expected, 2), found.is_silent


@pytest.mark.parametrize(
    ("silence", "missing", "is_silent"),
    [
        (timedelta(minutes=30), 2.0, False),
        (timedelta(minutes=90), 6.0, False),
        (timedelta(minutes=105), 7.0, True),
        (timedelta(hours=3), 12.0, True),
    ],
)
def test_orders_that_are_missing_add_up(silence: timedelta, missing: float, is_silent: bool) -> None:
    assert judge(selling(4, last=NOON), NOON + silence) == (missing, is_silent)


def test_a_closed_store_misses_nothing() -> None:
    evening = datetime(2026, 11, 27, 16, 59, tzinfo=UTC)
    night = selling(40, last=evening)
    assert judge(night, evening + timedelta(hours=13))[0] < 1
    assert judge(night, datetime(2026, 11, 28, 8, 30, tzinfo=UTC))[1], "half an hour after it has opened"


def test_a_store_that_sells_little_is_given_longer() -> None:
    rare = selling(1, last=NOON)
    assert judge(rare, NOON + timedelta(hours=5)) == (5.0, False)
    assert judge(rare, datetime(2026, 11, 29, 9, tzinfo=UTC)) == (7.0, True)


def test_a_store_without_history_is_never_silent() -> None:
    new = Arrivals({NOON: 1}, first=NOON, last=NOON)
    assert judge(new, NOON + timedelta(days=6)) == (0.0, False)


def test_weeks_before_the_first_order_say_nothing() -> None:
    """A store that is open for a week is judged by that week, not by three weeks of nothing before."""
    young = selling(4, last=NOON, weeks=1)
    assert usual(young, NOON, BERLIN, weeks=4) == 4.0


def test_one_launch_makes_nobody_expect_another_every_week() -> None:
    ordinary = selling(5, last=NOON)
    launch = Arrivals({**ordinary.hours, NOON - WEEK: 500}, ordinary.first, ordinary.last)
    assert usual(launch, NOON, BERLIN, weeks=4) == pytest.approx((15 + 5 + 5 + 5) / 4)


def test_small_numbers_are_taken_as_they_are() -> None:
    """Else a store that sells now and then would be expected to sell less than it does."""
    sparse = Arrivals({NOON - WEEK: 3, NOON - 3 * WEEK: 1}, first=NOON - 5 * WEEK, last=NOON)
    assert usual(sparse, NOON, BERLIN, weeks=4) == 1.0


def test_the_clock_on_the_wall_counts_when_summer_time_ends() -> None:
    """The shop opens at nine, before and after the clocks were changed on 25 October."""
    friday = datetime(2026, 10, 23, 15, 30, tzinfo=UTC)
    shop = selling(6, last=friday)
    nine = datetime(2026, 10, 30, 8, tzinfo=UTC)
    assert nine.astimezone(BERLIN).hour == 9
    assert usual(shop, nine, BERLIN, weeks=4) == 6.0
    assert usual(shop, nine - HOUR, BERLIN, weeks=4) == 0.0


def test_of_a_longer_silence_than_a_week_its_first_week_counts() -> None:
    """Later weeks would be compared with the silence itself."""
    shop = selling(1, last=NOON)
    week = judge(shop, NOON + WEEK)
    assert judge(shop, NOON + 5 * WEEK) == week
    assert week[1]


counts = st.dictionaries(st.integers(1, 4 * 7 * 24), st.integers(1, 60), max_size=60)
spans = st.timedeltas(timedelta(0), timedelta(days=10))


def drawn(some: dict[int, int], offset: timedelta) -> Arrivals:
    last = NOON + offset
    begin = last.replace(minute=0, second=0, microsecond=0)
    return Arrivals(
        {begin - hours * HOUR: count for hours, count in some.items()}, first=last - 5 * WEEK, last=last
    )


@given(counts, st.timedeltas(timedelta(0), WEEK), spans, spans)
def test_what_is_missing_only_grows_until_an_order_comes(
    some: dict[int, int], offset: timedelta, one: timedelta, other: timedelta
) -> None:
    arrivals = drawn(some, offset)
    less, more = sorted((one, other))
    before = expected(arrivals, arrivals.last + less, BERLIN, 4)
    after = expected(arrivals, arrivals.last + more, BERLIN, 4)
    assert 0 <= before <= after + 1e-9
    assert expected(arrivals, arrivals.last, BERLIN, 4) == 0.0


@given(counts, st.timedeltas(timedelta(0), WEEK), spans)
def test_nobody_expects_more_than_was_ever_sold(
    some: dict[int, int], offset: timedelta, silence: timedelta
) -> None:
    arrivals = drawn(some, offset)
    hours = silence / HOUR
    missing = expected(arrivals, arrivals.last + silence, BERLIN, 4)
    assert missing <= max(some.values(), default=0) * hours + 1e-6
    # Four weeks are behind each hour, so each order counts for a quarter of itself at most.
    assert missing <= sum(some.values()) / 4 * (1 + hours / (24 * 7)) + 1e-6
