"""A month of a link in numbers: what is read for it, and what its report says.

:class:`Month` is all that a report is made of. It is kept beside the report, so that a month can be written anew after
its sources were purged by age.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from cogent_ops.domain.drills import is_drill
from cogent_ops.domain.exceptions import Status
from cogent_ops.domain.health.model import Change, Flow, Part
from cogent_ops.domain.money import Money

#: Grows when months that were kept before can not be read any more.
FORM = 1

# What is read


@dataclass(frozen=True)
class Life:
    """One life of an exception, from its opening until its cause was gone or a person decided, as of a month's end.

    :param status: as of then: open ones are ``new`` or ``acknowledged``.
    """

    exception_id: int
    opened_at: datetime
    kind: str
    cause_key: str
    cause_group: str
    record: str
    message: str
    owner: str
    status: str
    place: str
    deadline: datetime | None
    alerted_at: datetime | None
    escalated_at: datetime | None
    acknowledged_at: datetime | None
    resolved_at: datetime | None

    @property
    def is_drill(self) -> bool:
        """Whether it was raised for practice."""
        return is_drill(self.cause_key)

    @property
    def is_decided(self) -> bool:
        """Whether a person left it as it is."""
        return self.status in (Status.EXPECTED, Status.REJECTED)

    @property
    def closed_by_itself(self) -> bool:
        """Whether it was over before anybody took note of it."""
        return self.resolved_at is not None and self.acknowledged_at is None

    def in_time(self, until: datetime) -> bool | None:
        """Whether it was taken up, or was over, by its deadline; ``None``: there was time left at the month's end.

        :param until: the moment after the month.
        """
        acted = min(
            (one for one in (self.acknowledged_at, self.resolved_at) if one is not None), default=None
        )
        if self.deadline is None:
            return True if acted is not None else None
        if acted is not None:
            return acted <= self.deadline
        return False if self.deadline < until else None


@dataclass(frozen=True)
class Message:
    """A message to people.

    :param is_needless: what it told of was over before it could be delivered.
    """

    channel: str
    kind: str
    cause_group: str
    written_at: datetime
    sent_at: datetime | None
    is_needless: bool


@dataclass(frozen=True)
class OrderDone:
    """An order that came into commercetools.

    :param helped: not without a person.
    """

    captured_at: datetime
    confirmed_at: datetime | None
    helped: bool


# What a report says. Spans in seconds, shares from 0 to 1.


class Spell(Part):
    """A time in which a flow's data was older than agreed.

    :param peak: the highest age.
    """

    began: datetime
    ended: datetime
    peak: float

    @property
    def lasted(self) -> timedelta:
        """How long."""
        return self.ended - self.began


class FlowDay(Part):
    """A flow's day, by the business's calendar."""

    day: date
    measured: int
    within: int
    p95: float


class FlowMonth(Part):
    """How fresh a flow's data was.

    :param target: agreed at the month's end.
    :param measured: measurements of which the age is known.
    :param within: those within the target of their time.
    :param late: how long it was late altogether.
    :param spells: the longest, at most :data:`SPELLS`.
    """

    flow: Flow
    target: float
    measured: int
    within: int
    p50: float
    p95: float
    late: float
    spells: tuple[Spell, ...]
    days: tuple[FlowDay, ...]

    @property
    def share(self) -> float:
        """Share of measurements within the target."""
        return self.within / self.measured if self.measured else 0.0


class OrderDay(Part):
    """Orders of a day."""

    day: date
    alone: int
    helped: int


class OrdersMonth(Part):
    """Kiosk orders.

    :param captured: came into commercetools.
    :param helped: those of them that a person had to help.
    :param confirmed: became sales.
    :param left_over: those of them that were not captured at the month's end.
    :param p50: time from the sale to commercetools; ``None``: no order.
    """

    captured: int
    helped: int
    confirmed: int
    left_over: int
    p50: float | None
    p95: float | None
    days: tuple[OrderDay, ...]

    @property
    def right_first_time(self) -> float | None:
        """Share that came through without a person; ``None``: no order."""
        return 1 - self.helped / self.captured if self.captured else None


class UnitsMonth(Part):
    """Units of stock.

    :param movements: how many movements.
    :param moved: units that they moved, without signs.
    :param arrived: those of them that were in commercetools at the month's end.
    """

    movements: int = 0
    moved: int = 0
    arrived: int = 0


class Unaccounted(Part):
    """A time in which something was not accounted for.

    :param until: ``None``: it still was not at the month's end.
    """

    since: datetime
    until: datetime | None
    message: str


class NightMonth(Part):
    """A night's comparison: differences by area, and units of stock that were off."""

    night: str
    checked: int
    findings: dict[str, int]
    units: int

    @property
    def total(self) -> int:
        """Differences of all areas."""
        return sum(self.findings.values())


class CauseMonth(Part):
    """A cause of drift.

    :param nights: on how many nights it was found.
    :param findings: differences, those of a night that were there the night before counted again.
    """

    area: str
    cause: str
    nights: int
    findings: int
    units: int
    worth: tuple[Money, ...]


class DriftMonth(Part):
    """Nights, and what was mended.

    :param mended: differences that could be mended, by what became of them.
    """

    nights: tuple[NightMonth, ...]
    causes: tuple[CauseMonth, ...]
    mended: dict[str, int]


class KindMonth(Part):
    """Exceptions of a kind.

    :param by_itself: over before anybody took note.
    :param by_people: over after somebody had.
    :param decided: left as they are, or rejected.
    :param open: at the month's end, also those of months before.
    """

    kind: str
    title: str
    opened: int
    by_itself: int
    by_people: int
    decided: int
    open: int


class Repeat(Part):
    """A cause that came up again and again.

    :param times: how often in the month.
    :param records: how many different records it was about.
    :param message: what was said last.
    """

    kind: str
    title: str
    owner: str
    record: str
    times: int
    records: int
    message: str


class OwnerMonth(Part):
    """How an owner's exceptions were answered.

    :param opened: in the month.
    :param judged: those whose deadline came, or that were answered or over.
    :param in_time: those of them that were answered or over by the deadline.
    :param escalated: of which the deputy had to be told.
    :param open: at the month's end, also of months before.
    :param overdue: those of them whose deadline had passed unanswered.
    :param oldest: when the oldest of these was opened.
    """

    owner: str
    opened: int
    judged: int
    in_time: int
    to_acknowledge_p50: float | None
    to_acknowledge_p95: float | None
    escalated: int
    to_close_p50: float | None
    to_close_p95: float | None
    open: int
    overdue: int
    oldest: datetime | None

    @property
    def share(self) -> float | None:
        """Share that was answered in time; ``None``: nothing had to be."""
        return self.in_time / self.judged if self.judged else None


class ChannelMonth(Part):
    """Messages over one channel.

    :param undelivered: neither sent nor needless at the month's end.
    """

    channel: str
    written: int
    sent: int
    needless: int
    undelivered: int
    p50: float | None
    p95: float | None


class SilenceMonth(Part):
    """What nobody wanted to hear of."""

    title: str
    cause: str
    reason: str
    actor: str
    since: datetime
    until: datetime


class DrillMonth(Part):
    """A drill. Spans count from when it was raised; ``None``: it did not happen."""

    title: str
    owner: str
    raised_at: datetime
    alerted: float | None
    acknowledged: float | None
    closed: float | None
    in_time: bool | None


class DayCount(Part):
    """Exceptions that were opened on a day, by owner."""

    day: date
    owners: dict[str, int]


class Month(Part):
    """A month of a link.

    :param name: ``2026-10``.
    :param zone: the business's time zone, by whose calendar it is a month.
    :param since: its first moment; ``until`` is the moment after it, or after what is known of it.
    :param is_over: else it is the month so far.
    :param checks: how often sync health looked.
    :param covered: share of the time in which it looked as often as it should.
    :param notes: what the numbers do not hold, and why.
    """

    form: int = FORM
    link: str
    name: str
    zone: str
    since: datetime
    until: datetime
    is_over: bool
    checks: int
    covered: float
    flows: tuple[FlowMonth, ...]
    orders: OrdersMonth
    units: UnitsMonth
    unaccounted: tuple[Unaccounted, ...]
    drift: DriftMonth
    kinds: tuple[KindMonth, ...]
    days: tuple[DayCount, ...]
    repeats: tuple[Repeat, ...]
    owners: tuple[OwnerMonth, ...]
    channels: tuple[ChannelMonth, ...]
    silences: tuple[SilenceMonth, ...]
    changes: tuple[Change, ...]
    drills: tuple[DrillMonth, ...]
    notes: tuple[str, ...]

    @property
    def judged(self) -> int:
        """Exceptions of all owners that had to be answered."""
        return sum(one.judged for one in self.owners)

    @property
    def answered(self) -> float | None:
        """Share of them that was answered in time; ``None``: nothing had to be."""
        return sum(one.in_time for one in self.owners) / self.judged if self.judged else None


class Step(Part):
    """What to do next.

    :param owner: whose it is.
    :param text: what to do.
    :param why: the numbers that say so.
    """

    owner: str
    text: str
    why: str


#: So many spells of a flow, and so many repeated causes, a report names.
SPELLS, REPEATS = 5, 20
