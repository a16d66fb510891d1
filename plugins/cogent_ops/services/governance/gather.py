"""A month read from the store and put into numbers. Nothing is asked of the systems outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from cogent_ops.domain.business_hours import BusinessHours
from cogent_ops.domain.drift.model import TITLES, Area
from cogent_ops.domain.drills import is_drill
from cogent_ops.domain.exceptions import Kind
from cogent_ops.domain.governance import reckoning
from cogent_ops.domain.governance.model import (
    CauseMonth,
    DriftMonth,
    DrillMonth,
    FlowMonth,
    Life,
    Message,
    Month,
    NightMonth,
    SilenceMonth,
)
from cogent_ops.domain.health.model import Change, Flow
from cogent_ops.domain.money import Money
from cogent_ops.domain.policies import Policies
from cogent_ops.domain.rules import RetentionRules
from cogent_ops.errors import PermanentError
from cogent_ops.services.drift.report import AREAS
from cogent_ops.services.drill import END
from cogent_ops.services.health.changes import ACTIONS, Changes, told
from cogent_ops.store import LogEntry, Store
from cogent_ops.store.drift import NightTotal
from cogent_ops.store.governance import Window
from cogent_ops.store.health import Sample


@dataclass(frozen=True)
class Span:
    """A month of the business's calendar.

    :param until: the moment after it, or now where it is not over.
    """

    name: str
    zone: str
    since: datetime
    until: datetime
    is_over: bool

    @property
    def tz(self) -> tzinfo:
        """The time zone."""
        return ZoneInfo(self.zone)

    @property
    def nights(self) -> tuple[str, str]:
        """The first name that a night of the month may have, and the first of the month after."""
        following = self.since.astimezone(self.tz).replace(day=1) + timedelta(days=32)
        return f"{self.name}-01", f"{following:%Y-%m}-01"


def month_span(name: str, hours: BusinessHours, now: datetime) -> Span:
    """The month of that name.

    :param name: ``2026-10``.
    :raises PermanentError: when there is no such month, or it has not begun.
    """
    zone = ZoneInfo(hours.timezone)
    try:
        first = datetime.strptime(name, "%Y-%m").replace(tzinfo=zone)
    except ValueError:
        raise PermanentError(f"'{name}' is no month. Write it like {now.astimezone(zone):%Y-%m}.") from None
    following = (first + timedelta(days=32)).replace(day=1)
    if first > now:
        raise PermanentError(f"{name} has not begun, so there is nothing to report.")
    return Span(
        name=f"{first:%Y-%m}",
        zone=hours.timezone,
        since=first,
        until=min(following, now),
        is_over=following <= now,
    )


def month_before(moment: datetime, hours: BusinessHours) -> str:
    """The last month that is over at a moment."""
    local = moment.astimezone(ZoneInfo(hours.timezone))
    return f"{local.replace(day=1) - timedelta(days=1):%Y-%m}"


@dataclass(frozen=True)
class Gathered:
    """A month, and the exceptions that it is about, drills left out."""

    month: Month
    lives: Sequence[Life]


class Gathering:
    """Reads months of a link."""

    def __init__(self, link: str, store: Store, policies: Policies, kept: RetentionRules) -> None:
        self.link, self.store, self.policies, self.kept = link, store, policies, kept

    def lives(self, span: Span) -> list[Life]:
        """Exceptions of the month, also drills."""
        return self.store.governance.lives(self._window(span))

    def month(self, span: Span, now: datetime) -> Gathered:
        """The month in numbers.

        :param now: for what has been purged by then.
        """
        window, source, zone = self._window(span), self.store.governance, span.tz
        calendar = reckoning.days(span.since, span.until, zone)
        lives, log = source.lives(window), source.log(window)
        messages = source.messages(window)
        real = [one for one in lives if not one.is_drill]
        samples = self.store.health.samples(self.link, span.since, until=span.until)
        looks = sorted({one.at for one in samples})
        month = Month(
            link=self.link,
            name=span.name,
            zone=span.zone,
            since=span.since,
            until=span.until,
            is_over=span.is_over,
            checks=len(looks),
            covered=reckoning.covered(looks, span.since, span.until),
            flows=tuple(self._flows(samples, zone)),
            orders=reckoning.orders_month(
                source.captured(window), *source.left_over(window), calendar=calendar, zone=zone
            ),
            units=source.units(window),
            unaccounted=reckoning.unaccounted(real, Kind.UNACCOUNTED),
            drift=self._drift(span),
            kinds=reckoning.kinds_month(real, span.since, self._title),
            days=reckoning.opened_by_day(real, span.since, calendar, zone),
            repeats=reckoning.repeats(real, span.since, self._title),
            owners=reckoning.owners_month(real, span.since, span.until),
            channels=reckoning.channels_month(one for one in messages if not is_drill(one.cause_group)),
            silences=tuple(self._silences(window)),
            changes=self._changes(window, log),
            drills=self._drills(lives, messages, log, span),
            notes=tuple(self._notes(span, looks, now)),
        )
        return Gathered(month, real)

    def is_purged(self, span: Span, now: datetime) -> bool:
        """Whether some of what the month is made of is gone by its age."""
        return any(True for _ in self._purged(span, now))

    def _window(self, span: Span) -> Window:
        return Window(self.link, span.since, span.until)

    def _title(self, kind: str) -> str:
        return self.policies.kind(kind).title

    def _flows(self, samples: Sequence[Sample], zone: tzinfo) -> Iterator[FlowMonth]:
        by_flow = reckoning.by(samples, lambda one: one.flow)
        for flow in Flow:
            found = reckoning.flow_month(flow, by_flow.get(flow, []), zone)
            if found is not None:
                yield found

    def _drift(self, span: Span) -> DriftMonth:
        nights = self.store.governance.nights(self.link, *span.nights)
        totals = self.store.governance.totals(self.link, *span.nights)
        by_night = reckoning.by(totals, lambda one: one.night)
        return DriftMonth(
            nights=tuple(
                NightMonth(
                    night=one.night,
                    checked=one.checked,
                    findings=_by_area(by_night.get(one.night, [])),
                    units=sum(each.units for each in by_night.get(one.night, []) if each.area is Area.STOCK),
                )
                for one in nights
            ),
            causes=_causes(totals),
            mended=self.store.governance.mended(self.link, *span.nights),
        )

    def _silences(self, window: Window) -> Iterator[SilenceMonth]:
        for one in self.store.governance.silences(window):
            if not is_drill(one.cause_group):
                yield SilenceMonth(
                    title=self._title(one.kind),
                    cause=one.cause_group,
                    reason=one.reason,
                    actor=one.actor,
                    since=one.created_at,
                    until=one.until,
                )

    def _changes(self, window: Window, log: Sequence[LogEntry]) -> tuple[Change, ...]:
        gaps = Changes(self.link, self.store).gaps(window.since)
        found = [
            *told(one for one in log if one.action in ACTIONS),
            *(one for one in gaps if one.at < window.until),
        ]
        return tuple(sorted(found, key=lambda one: one.at))

    def _drills(
        self, lives: Sequence[Life], messages: Sequence[Message], log: Sequence[LogEntry], span: Span
    ) -> tuple[DrillMonth, ...]:
        sent: dict[str, datetime] = {}
        for one in messages:
            if one.sent_at is not None:
                sent.setdefault(one.cause_group, one.sent_at)
        ended = {int(one.subject.rpartition("/")[2]): one.at for one in log if one.action == END}
        mine = [one for one in lives if one.is_drill and one.opened_at >= span.since]
        return reckoning.drills_month(mine, sent, ended, span.until, self._title)

    def _notes(self, span: Span, looks: Sequence[datetime], now: datetime) -> Iterator[str]:
        if not span.is_over:
            yield f"The month is not over: these are its numbers up to {span.until:%Y-%m-%d %H:%M} UTC."
        if not looks:
            yield "Sync health has measured nothing in this month, so nothing is known of how fresh data was."
        elif looks[0] - span.since > reckoning.PAUSE:
            yield f"Sync health measures since {looks[0]:%Y-%m-%d %H:%M} UTC; of the time before nothing is known."
        yield from self._purged(span, now)

    def _purged(self, span: Span, now: datetime) -> Iterator[str]:
        for what, days in _PURGED.items():
            kept: int = getattr(self.kept, days)
            if now - timedelta(days=kept) > span.since:
                yield f"{what} are kept for {kept} days (retention.{days}), so some of this month are gone."


#: What is purged by age, and the rule that says when.
_PURGED: Mapping[str, str] = {
    "Messages": "alerts_days",
    "Measurements of how fresh data was": "health_days",
    "Nights of comparison": "drift_days",
}


def _by_area(totals: Sequence[NightTotal]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in totals:
        found[AREAS[one.area]] = found.get(AREAS[one.area], 0) + one.findings
    return found


def _causes(totals: Sequence[NightTotal]) -> tuple[CauseMonth, ...]:
    rows = []
    for (area, cause), some in reckoning.by(totals, lambda one: (one.area, one.cause)).items():
        worth: dict[str, int] = {}
        for one in some:
            if one.currency:
                worth[one.currency] = worth.get(one.currency, 0) + one.amount
        rows.append(
            CauseMonth(
                area=AREAS[area],
                cause=TITLES[cause],
                nights=len({one.night for one in some}),
                findings=sum(one.findings for one in some),
                units=sum(one.units for one in some),
                worth=tuple(Money(currency, cents) for currency, cents in sorted(worth.items())),
            )
        )
    return tuple(sorted(rows, key=lambda one: (-one.findings, one.area, one.cause)))
