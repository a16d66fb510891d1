"""Whether nothing arrives from a store although something usually would.

What is usual at an hour is what the same hour of the week brought in the weeks before, by the clock on the wall of the
business. Expected orders add up from the last order on; when so many are missing that chance does not explain it, the
store is silent. Pure functions of hours and numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

HOUR = timedelta(hours=1)
WEEK = timedelta(weeks=1)
#: An hour counts as this many times the same hour of the other weeks at most, so that one launch makes nobody expect
#: another one every week. Small numbers vary by themselves, so up to so many orders are taken as they are.
MOST_TIMES, SMALL = 3.0, 3.0


@dataclass(frozen=True)
class Arrivals:
    """What came from a store.

    :param hours: orders by the beginning of the hour, UTC; hours without any are left out.
    :param first: when its first order came that anybody knows of; nothing is known of the time before.
    :param last: when its last one came.
    """

    hours: Mapping[datetime, int]
    first: datetime
    last: datetime


@dataclass(frozen=True)
class Quiet:
    """How quiet a store is.

    :param last_order: when its last kiosk order came.
    :param expected: orders that would have been usual since then.
    :param is_silent: chance does not explain it.
    """

    last_order: datetime
    expected: float
    is_silent: bool


def quiet(arrivals: Arrivals, now: datetime, zone: ZoneInfo, *, weeks: int, after_orders: float) -> Quiet:
    """Judge a store.

    :param weeks: so many weeks before say what is usual.
    :param after_orders: silent is who misses so many orders.
    """
    missing = expected(arrivals, now, zone, weeks)
    return Quiet(arrivals.last, missing, missing >= after_orders)


def expected(arrivals: Arrivals, now: datetime, zone: ZoneInfo, weeks: int) -> float:
    """Orders that would have been usual since the last one; of a longer silence than a week, those of its first week.

    :param weeks: so many weeks before the silence say what is usual.
    """
    until = min(now, arrivals.last + WEEK)
    return sum(
        share * usual(arrivals, hour, zone, weeks)
        for hour, share in _hours(arrivals.last.astimezone(UTC), until.astimezone(UTC))
    )


def usual(arrivals: Arrivals, hour: datetime, zone: ZoneInfo, weeks: int) -> float:
    """Orders that are usual in an hour.

    :param hour: its beginning, UTC.
    """
    known = _begin(arrivals.first.astimezone(UTC))
    before = [_weeks_before(hour, number, zone) for number in range(1, weeks + 1)]
    return _mean([arrivals.hours.get(one, 0) for one in before if one >= known])


def _mean(counts: Sequence[int]) -> float:
    if not counts:
        return 0.0
    total, others = sum(counts), len(counts) - 1
    capped = [
        min(count, max(SMALL, MOST_TIMES * (total - count) / others)) if others else count for count in counts
    ]
    return sum(capped) / len(capped)


def _weeks_before(hour: datetime, weeks: int, zone: ZoneInfo) -> datetime:
    """The same hour by the clock on the wall, so many weeks before, UTC."""
    local = hour.astimezone(zone)
    # Arithmetic with a zone keeps the time on the wall, also where summer time has begun or ended in between.
    return _begin((local - weeks * WEEK).astimezone(UTC))


def _hours(start: datetime, end: datetime) -> Iterator[tuple[datetime, float]]:
    """Beginnings of the hours between two moments, each with the share of it that lies between them."""
    hour = _begin(start)
    while hour < end:
        following = hour + HOUR
        yield hour, (min(end, following) - max(start, hour)) / HOUR
        hour = following


def _begin(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
