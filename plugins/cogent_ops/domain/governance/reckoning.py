"""From what was read to what a month's report says: pure reckoning, the same for the same input."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Protocol, TypeVar

from cogent_ops.domain.governance.model import (
    REPEATS,
    SPELLS,
    ChannelMonth,
    DayCount,
    DrillMonth,
    FlowDay,
    FlowMonth,
    KindMonth,
    Life,
    Message,
    OrderDay,
    OrderDone,
    OrdersMonth,
    OwnerMonth,
    Repeat,
    Spell,
    Unaccounted,
)
from cogent_ops.domain.health.model import Flow

#: Between two looks of sync health so much time may pass; a longer pause was watched by nobody.
PAUSE = timedelta(minutes=15)
#: A cause that comes up so often in a month is a repeated one.
REPEATED = 3

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
Title = Callable[[str], str]


class Measured(Protocol):
    """How old a flow's data was at one look; seconds."""

    @property
    def at(self) -> datetime:
        """When."""

    @property
    def age(self) -> float | None:
        """``None``: nobody knows."""

    @property
    def target(self) -> float:
        """How old it may have been."""


def quantile(values: Iterable[float], share: float) -> float | None:
    """The value that so large a share does not exceed; ``None``: there is none.

    :param share: above 0, up to 1.
    """
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def covered(looks: Sequence[datetime], since: datetime, until: datetime) -> float:
    """Share of a span in which somebody looked often enough.

    :param looks: when, in order.
    """
    whole = (until - since).total_seconds()
    if whole <= 0:
        return 0.0
    edges = [since, *looks, until]
    spans = (later - earlier for earlier, later in pairwise(edges))
    watched = sum((span for span in spans if span <= PAUSE), timedelta()).total_seconds()
    return min(1.0, watched / whole) if looks else 0.0


def by(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """Items by a key, in their order."""
    groups: dict[Key, list[Item]] = defaultdict(list)
    for one in items:
        groups[key(one)].append(one)
    return dict(groups)


def days(since: datetime, until: datetime, zone: tzinfo) -> list[date]:
    """The calendar days of a span."""
    first, last = since.astimezone(zone).date(), (until - timedelta(microseconds=1)).astimezone(zone).date()
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


# Freshness


def flow_month(flow: Flow, samples: Sequence[Measured], zone: tzinfo) -> FlowMonth | None:
    """How fresh a flow's data was; ``None``: its age was never known.

    :param samples: in order.
    """
    known = [(one.at, one.age, one.target) for one in samples if one.age is not None]
    if not known:
        return None
    spells = list(_spells(known))
    longest = sorted(spells, key=lambda one: (-one.lasted.total_seconds(), one.began))[:SPELLS]
    return FlowMonth(
        flow=flow,
        target=known[-1][2],
        measured=len(known),
        within=_within(known),
        p50=quantile((age for _, age, _ in known), 0.5) or 0.0,
        p95=quantile((age for _, age, _ in known), 0.95) or 0.0,
        late=sum(one.lasted.total_seconds() for one in spells),
        spells=tuple(longest),
        days=tuple(
            FlowDay(
                day=day,
                measured=len(some),
                within=_within(some),
                p95=quantile((age for _, age, _ in some), 0.95) or 0.0,
            )
            for day, some in by(known, lambda one: one[0].astimezone(zone).date()).items()
        ),
    )


_Known = tuple[datetime, float, float]


def _within(known: Iterable[_Known]) -> int:
    return sum(age <= target for _, age, target in known)


def _spells(known: Sequence[_Known]) -> Iterator[Spell]:
    """Times in which one look after the other found a flow late. A spell ends with the first look that does not."""
    began: datetime | None = None
    last, peak = known[0][0], 0.0
    for at, age, target in known:
        if began is not None and (age <= target or at - last > PAUSE):
            yield Spell(began=began, ended=at if at - last <= PAUSE else last, peak=peak)
            began, peak = None, 0.0
        if age > target:
            began, peak = began or at, max(peak, age)
        last = at
    if began is not None:
        yield Spell(began=began, ended=last, peak=peak)


# Orders


def orders_month(
    done: Sequence[OrderDone], confirmed: int, left_over: int, calendar: Sequence[date], zone: tzinfo
) -> OrdersMonth:
    """What became of kiosk orders.

    :param calendar: the month's days.
    """
    took = [_seconds(one.confirmed_at, one.captured_at) for one in done if one.confirmed_at is not None]
    daily = by(done, lambda one: one.captured_at.astimezone(zone).date())
    helped = {day: sum(one.helped for one in some) for day, some in daily.items()}
    return OrdersMonth(
        captured=len(done),
        helped=sum(one.helped for one in done),
        confirmed=confirmed,
        left_over=left_over,
        p50=quantile(took, 0.5),
        p95=quantile(took, 0.95),
        days=tuple(
            OrderDay(day=day, alone=len(daily.get(day, [])) - helped.get(day, 0), helped=helped.get(day, 0))
            for day in calendar
        ),
    )


# Exceptions


def kinds_month(lives: Iterable[Life], since: datetime, title: Title) -> tuple[KindMonth, ...]:
    """Exceptions by kind, the most frequent first."""
    rows = []
    for kind, some in by(lives, lambda one: one.kind).items():
        new = [one for one in some if one.opened_at >= since]
        over = [one for one in new if one.resolved_at is not None]
        decided = [one for one in over if one.is_decided]
        alone = [one for one in over if one.closed_by_itself and not one.is_decided]
        rows.append(
            KindMonth(
                kind=kind,
                title=title(kind),
                opened=len(new),
                by_itself=len(alone),
                by_people=len(over) - len(decided) - len(alone),
                decided=len(decided),
                open=sum(one.resolved_at is None for one in some),
            )
        )
    return tuple(sorted(rows, key=lambda one: (-one.opened, -one.open, one.kind)))


def opened_by_day(
    lives: Iterable[Life], since: datetime, calendar: Sequence[date], zone: tzinfo
) -> tuple[DayCount, ...]:
    """How many were opened on each day, by owner."""
    daily: dict[date, Counter[str]] = defaultdict(Counter)
    for one in lives:
        if one.opened_at >= since:
            daily[one.opened_at.astimezone(zone).date()][one.owner] += 1
    return tuple(DayCount(day=day, owners=dict(sorted(daily[day].items()))) for day in calendar)


def repeats(lives: Iterable[Life], since: datetime, title: Title) -> tuple[Repeat, ...]:
    """Causes that came up again and again in the month, the most frequent first."""
    new = (one for one in lives if one.opened_at >= since)
    rows = [
        Repeat(
            kind=kind,
            title=title(kind),
            owner=some[-1].owner,
            record=some[-1].record,
            times=len(some),
            records=len({one.cause_key for one in some}),
            message=some[-1].message,
        )
        for (kind, _), some in by(new, lambda one: (one.kind, one.cause_group)).items()
        if len(some) >= REPEATED
    ]
    return tuple(sorted(rows, key=lambda one: (-one.times, one.kind, one.record))[:REPEATS])


def owners_month(lives: Iterable[Life], since: datetime, until: datetime) -> tuple[OwnerMonth, ...]:
    """How each owner's exceptions were answered."""
    return tuple(
        _owner(owner, some, since, until) for owner, some in sorted(by(lives, lambda one: one.owner).items())
    )


def _owner(owner: str, lives: Sequence[Life], since: datetime, until: datetime) -> OwnerMonth:
    new = [one for one in lives if one.opened_at >= since]
    judged = [verdict for verdict in (one.in_time(until) for one in new) if verdict is not None]
    answered = [_seconds(one.opened_at, one.acknowledged_at) for one in new if one.acknowledged_at]
    closed = [_seconds(one.opened_at, one.resolved_at) for one in new if one.resolved_at]
    open_ = [one for one in lives if one.resolved_at is None]
    return OwnerMonth(
        owner=owner,
        opened=len(new),
        judged=len(judged),
        in_time=sum(judged),
        to_acknowledge_p50=quantile(answered, 0.5),
        to_acknowledge_p95=quantile(answered, 0.95),
        escalated=sum(one.escalated_at is not None for one in new),
        to_close_p50=quantile(closed, 0.5),
        to_close_p95=quantile(closed, 0.95),
        open=len(open_),
        overdue=sum(one.in_time(until) is False and one.acknowledged_at is None for one in open_),
        oldest=min((one.opened_at for one in open_), default=None),
    )


def _seconds(begin: datetime, end: datetime) -> float:
    return max(0.0, (end - begin).total_seconds())


def unaccounted(lives: Iterable[Life], kind: str) -> tuple[Unaccounted, ...]:
    """Times in which something was not accounted for."""
    return tuple(
        Unaccounted(since=one.opened_at, until=one.resolved_at, message=one.message)
        for one in lives
        if one.kind == kind
    )


# Messages and drills


def channels_month(messages: Iterable[Message]) -> tuple[ChannelMonth, ...]:
    """What became of messages, channel by channel."""
    rows = []
    for channel, some in sorted(by(messages, lambda one: one.channel).items()):
        sent = [_seconds(one.written_at, one.sent_at) for one in some if one.sent_at is not None]
        needless = sum(one.sent_at is None and one.is_needless for one in some)
        rows.append(
            ChannelMonth(
                channel=channel,
                written=len(some),
                sent=len(sent),
                needless=needless,
                undelivered=len(some) - len(sent) - needless,
                p50=quantile(sent, 0.5),
                p95=quantile(sent, 0.95),
            )
        )
    return tuple(rows)


def drills_month(
    lives: Iterable[Life],
    sent: Mapping[str, datetime],
    ended: Mapping[int, datetime],
    until: datetime,
    title: Title,
) -> tuple[DrillMonth, ...]:
    """Drills and how they were taken.

    :param sent: when the first message was delivered, by cause.
    :param ended: when drills were cleaned up that nobody had closed, by number.
    """
    return tuple(
        DrillMonth(
            title=title(one.kind),
            owner=one.owner,
            raised_at=one.opened_at,
            alerted=_span(one.opened_at, sent.get(one.cause_key)),
            acknowledged=_span(one.opened_at, one.acknowledged_at),
            closed=None if one.exception_id in ended else _span(one.opened_at, one.resolved_at),
            in_time=_drill_in_time(one, until),
        )
        for one in lives
    )


def _drill_in_time(one: Life, until: datetime) -> bool | None:
    """A drill that is over and that nobody took note of was missed, however early it ended."""
    return False if one.closed_by_itself else one.in_time(until)


def _span(begin: datetime, end: datetime | None) -> float | None:
    return None if end is None else _seconds(begin, end)
