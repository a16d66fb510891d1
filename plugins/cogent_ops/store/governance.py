"""What a month looked like, read from what is stored for good; for the monthly report.

Everything is read as it was at the end of the window: what happened after it counts as not yet happened, so that a
month reads the same whenever it is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import ColumnElement, and_, case, exists, func, literal, or_, select

from cogent_ops.domain.exceptions import HELD_ORDERS, Status, order_cause
from cogent_ops.domain.governance.model import Life, Message, OrderDone, UnitsMonth
from cogent_ops.domain.stock import MovementState
from cogent_ops.store.alerts import AlertState, Silence
from cogent_ops.store.drift import NightTotal, StoredNight, total_of
from cogent_ops.store.engine import Database
from cogent_ops.store.ledger import LogEntry
from cogent_ops.store.orders import Origin
from cogent_ops.store.schema import (
    alert,
    audit_log,
    drift_finding,
    drift_night,
    drift_total,
    exception,
    exception_past,
    movement,
    order_capture,
    silence,
)

_E, _P, _A, _C, _M = exception.c, exception_past.c, alert.c, order_capture.c, movement.c


@dataclass(frozen=True)
class Window:
    """A span of time of one link; ``until`` is the moment after it."""

    link: str
    since: datetime
    until: datetime

    def holds(self, column: ColumnElement[datetime]) -> ColumnElement[bool]:
        """Whether a moment lies in it."""
        return and_(column >= self.since, column < self.until)

    def seen(self, moment: datetime | None) -> datetime | None:
        """A moment as it was known at the end: what came later had not happened."""
        return None if moment is None or moment >= self.until else moment


class Governance:
    """Months of all links."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def lives(self, window: Window) -> list[Life]:
        """Lives of exceptions that reach into the window, the oldest first; drills are among them."""
        opened = func.coalesce(_E.opened_at, _E.first_seen).label("opened_at")
        present = select(_E.id.label("exception_id"), opened, *(_E[name] for name in _LIFE)).where(
            _E.link == window.link,
            opened < window.until,
            or_(_E.resolved_at.is_(None), _E.resolved_at >= window.since),
        )
        past = select(_P.exception_id, _P.opened_at, *(_P[name] for name in _LIFE)).where(
            _P.link == window.link, _P.opened_at < window.until, _P.resolved_at >= window.since
        )
        found: list[Life] = []
        with self._database.read() as conn:
            for query in (past, present):
                for row in conn.execute(query):
                    values = dict(row._mapping)
                    for name in _LATER:
                        values[name] = window.seen(values[name])
                    if values["resolved_at"] is None:
                        values["status"] = Status.ACKNOWLEDGED if values["acknowledged_at"] else Status.NEW
                    found.append(Life(**values))
        return sorted(found, key=lambda one: (one.opened_at, one.exception_id))

    def messages(self, window: Window) -> list[Message]:
        """Messages that were written in the window, the oldest first; those about drills are among them."""
        columns = (_A.channel, _A.kind, _A.cause_group, _A.state, _A.created_at, _A.sent_at)
        query = select(*columns).where(_A.link == window.link, window.holds(_A.created_at)).order_by(_A.id)
        with self._database.read() as conn:
            return [
                Message(
                    channel=row.channel,
                    kind=row.kind,
                    cause_group=row.cause_group,
                    written_at=row.created_at,
                    sent_at=window.seen(row.sent_at),
                    is_needless=row.state == AlertState.OBSOLETE,
                )
                for row in conn.execute(query)
            ]

    def silences(self, window: Window) -> list[Silence]:
        """What was silenced at some time in the window, the oldest first."""
        s = silence.c
        mine = (s.link == window.link, s.created_at < window.until, s.until > window.since)
        with self._database.read() as conn:
            return [
                Silence(**row._mapping) for row in conn.execute(select(silence).where(*mine).order_by(s.id))
            ]

    def log(self, window: Window) -> list[LogEntry]:
        """What people (and the system in their place) did in the window, the oldest first."""
        a = audit_log.c
        query = select(audit_log).where(a.link == window.link, window.holds(a.at)).order_by(a.at, a.id)
        with self._database.read() as conn:
            return [LogEntry(**row._mapping) for row in conn.execute(query)]

    def captured(self, window: Window) -> list[OrderDone]:
        """Orders that came into commercetools in the window, the earliest first."""
        helped = exists().where(
            _E.link == _C.link,
            _E.kind.in_(sorted(HELD_ORDERS)),
            _E.cause_key == literal(order_cause("")) + _C.order_id,
            _E.first_seen <= _C.captured_at,
        )
        by_hand = or_(_C.origin == Origin.HAND, _C.decided_by.is_not(None))
        query = (
            select(_C.captured_at, _C.confirmed_at, or_(by_hand, helped).label("helped"))
            .where(_C.link == window.link, window.holds(_C.captured_at))
            .order_by(_C.captured_at)
        )
        with self._database.read() as conn:
            return [
                OrderDone(captured_at=row.captured_at, confirmed_at=row.confirmed_at, helped=bool(row.helped))
                for row in conn.execute(query)
            ]

    def left_over(self, window: Window) -> tuple[int, int]:
        """Orders that became sales in the window, and those of them that were not captured by its end."""
        late = or_(_C.captured_at.is_(None), _C.captured_at >= window.until)
        query = select(func.count(), func.coalesce(func.sum(case((late, 1), else_=0)), 0)).where(
            _C.link == window.link, window.holds(_C.confirmed_at)
        )
        with self._database.read() as conn:
            confirmed, left = conn.execute(query).one()
            return int(confirmed), int(left)

    def units(self, window: Window) -> UnitsMonth:
        """Units that moved in the window, and what had become of them by its end."""
        arrived = and_(_M.state == MovementState.APPLIED, _M.settled_at < window.until)
        units = func.abs(_M.delta)
        query = select(
            func.count(),
            func.coalesce(func.sum(units), 0),
            func.coalesce(func.sum(case((arrived, units), else_=0)), 0),
        ).where(
            _M.link == window.link,
            window.holds(_M.occurred_at),
            _M.delta.is_not(None),
            _M.state != MovementState.EXCLUDED,
        )
        with self._database.read() as conn:
            movements, moved, there = conn.execute(query).one()
            return UnitsMonth(movements=int(movements), moved=int(moved), arrived=int(there))

    def nights(self, link: str, first: str, last: str) -> list[StoredNight]:
        """Nights that were compared, by name, the first and those before the last; the oldest first."""
        n = drift_night.c
        query = select(drift_night).where(n.link == link, n.night >= first, n.night < last, n.state == "done")
        with self._database.read() as conn:
            return [StoredNight(**row._mapping) for row in conn.execute(query.order_by(n.night))]

    def totals(self, link: str, first: str, last: str) -> list[NightTotal]:
        """What those nights found."""
        t = drift_total.c
        query = select(drift_total).where(t.link == link, t.night >= first, t.night < last)
        with self._database.read() as conn:
            ordered = query.order_by(t.night, t.area, t.cause, t.currency)
            return [total_of(row) for row in conn.execute(ordered)]

    def mended(self, link: str, first: str, last: str) -> dict[str, int]:
        """How many findings of those nights are in which state, of those that could be mended."""
        f = drift_finding.c
        query = (
            select(f.state, func.count())
            .where(f.link == link, f.night >= first, f.night < last, f.state != "reported")
            .group_by(f.state)
        )
        with self._database.read() as conn:
            return {state: int(count) for state, count in conn.execute(query)}


#: What is kept of a life, present or past, under the same names; each table has the first two in its own way.
_LIFE = [field.name for field in fields(Life) if field.name not in ("exception_id", "opened_at")]
#: Those of its moments that come after the opening.
_LATER = ("alerted_at", "escalated_at", "acknowledged_at", "resolved_at")
