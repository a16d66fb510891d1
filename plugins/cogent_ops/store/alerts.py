"""Messages to people: written down before they are sent, told once per cause, silenced with a reason and an end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, func, select, update
from sqlalchemy.engine import Row

from cogent_ops.domain.exceptions import OPEN, Status
from cogent_ops.domain.money import Money
from cogent_ops.errors import PermanentError
from cogent_ops.store.engine import Database
from cogent_ops.store.exceptions import StoredException, drill_clause, stored
from cogent_ops.store.ledger import AuditLog
from cogent_ops.store.schema import alert, exception, silence
from cogent_ops.store.sql import Values, chunks, lock, now

#: The longest that anybody may silence a cause: after it somebody should look again.
LONGEST_SILENCE = timedelta(days=90)


class AlertState(StrEnum):
    """Where a message stands. Obsolete: what it told of was over before it could be delivered."""

    WAITING = "waiting"
    SENT = "sent"
    OBSOLETE = "obsolete"


class Told(StrEnum):
    """What people are told of an exception: that it is there, or that its owner has let the deadline pass."""

    OPENED = "alerted_at"
    OVERDUE = "escalated_at"


@dataclass(frozen=True)
class Untold:
    """An exception that nobody was told of yet.

    :param since: when it was opened; for an overdue one: when its owner should have acted.
    """

    id: int
    kind: str
    cause_key: str
    cause_group: str
    owner: str
    since: datetime


@dataclass(frozen=True)
class NewAlert:
    """A message to be sent.

    :param channel: name of the channel, as in ``include/exceptions.yaml``.
    :param cause_group: the cause it tells of; empty: several.
    :param exceptions: ids of all exceptions that it tells of.
    """

    channel: str
    kind: str
    cause_group: str
    urgency: str
    exceptions: Sequence[int]
    subject: str
    body: str


@dataclass(frozen=True)
class Alert(NewAlert):
    """A message as the store holds it; ``due_at`` of a waiting one: when it may be sent (again).

    :param error: why it could not be delivered; nothing secret.
    """

    id: int
    link: str
    state: AlertState
    attempts: int
    due_at: datetime
    error: str | None
    created_at: datetime
    sent_at: datetime | None


@dataclass(frozen=True)
class Silence:
    """What nobody wants to hear of, until when and why. An empty ``cause_group``: all of the kind."""

    id: int
    link: str
    kind: str
    cause_group: str
    reason: str
    actor: str
    created_at: datetime
    until: datetime

    def covers(self, kind: str, cause_group: str) -> bool:
        """Whether it is about this cause."""
        return self.kind == kind and self.cause_group in ("", cause_group)


class Alerts:
    """The outbox of all links, and what is silenced."""

    def __init__(self, database: Database, audit_log: AuditLog) -> None:
        self._database, self._log = database, audit_log

    def newest_opening(self, link: str) -> datetime | None:
        """When the youngest exception that nobody has taken up was opened."""
        query = select(func.max(exception.c.opened_at)).where(*_new(link))
        with self._database.read() as conn:
            newest: datetime | None = conn.execute(query).scalar_one()
            return newest

    def untold(self, link: str) -> list[Untold]:
        """Exceptions that nobody has taken up or was told of, the oldest first."""
        return self._untold(exception.c.opened_at, *_new(link), exception.c.alerted_at.is_(None))

    def overdue(self, link: str, moment: datetime) -> list[Untold]:
        """Exceptions that were told of and still nobody has taken up, although they should be done by now."""
        e = exception.c
        late = (e.deadline <= moment, e.alerted_at.is_not(None), e.escalated_at.is_(None))
        return self._untold(e.deadline, *_new(link), *late)

    def _untold(self, since: ColumnElement[datetime], *where: ColumnElement[bool]) -> list[Untold]:
        e = exception.c
        query = select(e.id, e.kind, e.cause_key, e.cause_group, e.owner, since.label("since")).where(*where)
        with self._database.read() as conn:
            return [Untold(**row._mapping) for row in conn.execute(query.order_by(e.id))]

    def told_since(self, link: str, moment: datetime) -> set[tuple[str, str]]:
        """Kind and group of causes that are open and that people were told of since."""
        e = exception.c
        told = (e.link == link, e.status.in_(OPEN), e.alerted_at > moment)
        with self._database.read() as conn:
            return {
                (row.kind, row.cause_group)
                for row in conn.execute(select(e.kind, e.cause_group).where(*told))
            }

    def kinds_since(self, link: str, moment: datetime) -> set[tuple[str, bool]]:
        """Kinds of which a message was written since, and whether it was about a drill."""
        a = alert.c
        drill = drill_clause(a.cause_group).label("drill")
        query = select(a.kind, drill).where(a.link == link, a.created_at > moment).distinct()
        with self._database.read() as conn:
            return {(row.kind, bool(row.drill)) for row in conn.execute(query)}

    def mark(
        self, conn: Connection, link: str, kind: str, told: Told, chosen: Collection[Untold], moment: datetime
    ) -> list[int]:
        """Note that people are told of exceptions of a kind, in the transaction that stores the message.

        :return: ids of those that still are to be told of; others were told or taken up meanwhile.
        """
        e = exception.c
        marked: list[int] = []
        for chunk in chunks(sorted(one.cause_key for one in chosen)):
            still = and_(*_new(link), e.kind == kind, e[told.value].is_(None))
            locked = lock(conn, e.cause_key, chunk, still)
            marking = update(exception).where(still, e.cause_key.in_(locked)).values({told.value: moment})
            marked += conn.execute(marking.returning(e.id)).scalars()
        return sorted(marked)

    def exceptions(self, conn: Connection, ids: Collection[int]) -> list[StoredException]:
        """Exceptions by id, the oldest first."""
        query = select(exception).where(exception.c.id.in_(ids)).order_by(exception.c.id)
        return [stored(row) for row in conn.execute(query)]

    def at_stake(self, conn: Connection, ids: Collection[int]) -> list[Money]:
        """Money that depends on exceptions, one amount for each currency."""
        e, sums = exception.c, Counter[str]()
        for chunk in chunks(ids):
            query = select(e.currency, func.sum(e.amount)).where(e.id.in_(chunk), e.amount.is_not(None))
            for currency, cents in conn.execute(query.group_by(e.currency)):
                sums[currency] += int(cents)
        return [Money(currency, cents) for currency, cents in sorted(sums.items())]

    def write(self, conn: Connection, link: str, new: NewAlert, moment: datetime) -> None:
        """Put a message into the outbox, due at once."""
        row: Values = {
            "link": link,
            "channel": new.channel,
            "kind": new.kind,
            "cause_group": new.cause_group,
            "urgency": new.urgency,
            "exceptions": list(new.exceptions),
            "subject": new.subject,
            "body": new.body,
            "state": AlertState.WAITING,
            "attempts": 0,
            "due_at": moment,
            "error": None,
            "created_at": moment,
            "sent_at": None,
        }
        conn.execute(alert.insert(), row)

    def claim(
        self, link: str, moment: datetime, lease: timedelta, *, without: Collection[str]
    ) -> Alert | None:
        """Take the oldest message that is due; nobody else gets it before the lease ends.

        :param without: channels to leave alone.
        """
        a = alert.c
        due = and_(a.link == link, a.state == AlertState.WAITING, a.due_at <= moment)
        oldest = select(a.id).where(due, a.channel.not_in(without)).order_by(a.id).limit(1).scalar_subquery()
        taking = (
            update(alert)
            .where(a.id == oldest, due)
            .values(due_at=moment + lease, attempts=a.attempts + 1)
            .returning(*a)
        )
        with self._database.begin() as conn:
            row = conn.execute(taking).one_or_none()
        return None if row is None else _alert(row)

    def has_due(self, link: str, moment: datetime) -> bool:
        """Whether a message waits that may be sent."""
        a = alert.c
        due = exists().where(a.link == link, a.state == AlertState.WAITING, a.due_at <= moment)
        with self._database.read() as conn:
            return bool(conn.execute(select(due)).scalar_one())

    def is_over(self, ids: Collection[int]) -> bool:
        """Whether none of the exceptions is open any more."""
        e = exception.c
        with self._database.read() as conn:
            return not any(
                conn.execute(select(e.id).where(e.id.in_(chunk), e.status.in_(OPEN)).limit(1)).first()
                for chunk in chunks(ids)
            )

    def settle(self, conn: Connection, taken: Alert, state: AlertState, moment: datetime) -> bool:
        """Note that a message which was claimed is sent, or not needed any more; whether it still was ours."""
        sent_at = moment if state is AlertState.SENT else None
        return self._note(conn, taken, state=state, error=None, sent_at=sent_at)

    def postpone(self, conn: Connection, taken: Alert, due_at: datetime, error: str) -> bool:
        """Note that a message which was claimed could not be delivered; whether it still was ours."""
        return self._note(conn, taken, due_at=due_at, error=error)

    def _note(self, conn: Connection, taken: Alert, **values: object) -> bool:
        a = alert.c
        still_ours = (a.id == taken.id, a.state == AlertState.WAITING, a.attempts == taken.attempts)
        return bool(conn.execute(update(alert).where(*still_ours).values(values)).rowcount)

    def drills(self, link: str, since: datetime) -> list[Alert]:
        """Messages about drills that were written since, the oldest first."""
        a = alert.c
        mine = (a.link == link, a.created_at >= since, drill_clause(a.cause_group))
        with self._database.read() as conn:
            return [_alert(row) for row in conn.execute(select(alert).where(*mine).order_by(a.id))]

    def withdraw(self, conn: Connection, link: str, cause_groups: Collection[str]) -> int:
        """Let messages about these causes that still wait not be sent any more; how many."""
        a, withdrawn = alert.c, 0
        waiting = and_(a.link == link, a.state == AlertState.WAITING)
        for chunk in chunks(sorted(cause_groups)):
            mine = update(alert).where(waiting, a.cause_group.in_(chunk))
            withdrawn += conn.execute(mine.values(state=AlertState.OBSOLETE)).rowcount
        return withdrawn

    def recent(self, link: str, *, limit: int) -> list[Alert]:
        """Messages, the youngest first."""
        a = alert.c
        query = select(alert).where(a.link == link).order_by(a.created_at.desc(), a.id.desc()).limit(limit)
        with self._database.read() as conn:
            return [_alert(row) for row in conn.execute(query)]

    def silence(
        self,
        conn: Connection,
        link: str,
        *,
        kind: str,
        cause_group: str = "",
        reason: str,
        until: datetime,
        actor: str,
    ) -> int:
        """Be quiet about a cause, or about all of a kind; with an entry in the audit log.

        :return: the silence's id.
        :raises PermanentError: without a reason, or with an end that is past or too far away.
        """
        moment = now()
        if not reason.strip():
            raise PermanentError("A silence needs a reason.")
        if not moment < until <= moment + LONGEST_SILENCE:
            raise PermanentError(
                f"A silence needs an end within the next {LONGEST_SILENCE.days} days, not {until:%Y-%m-%d %H:%M}."
            )
        row: Values = {
            "link": link,
            "kind": kind,
            "cause_group": cause_group,
            "reason": reason.strip(),
            "actor": actor,
            "created_at": moment,
            "until": until,
        }
        added = int(conn.execute(silence.insert().values(row).returning(silence.c.id)).scalar_one())
        detail = {
            "kind": kind,
            "cause_group": cause_group,
            "reason": reason.strip(),
            "until": until.isoformat(),
        }
        self._log.write(actor, "silence", f"silence/{added}", detail, link=link, conn=conn)
        return added

    def lift(self, conn: Connection, link: str, silence_id: int, *, actor: str) -> None:
        """End a silence now, with an entry in the audit log.

        :raises PermanentError: when the link has no such silence, or it has ended.
        """
        s, moment = silence.c, now()
        ending = update(silence).where(s.link == link, s.id == silence_id, s.until > moment)
        if not conn.execute(ending.values(until=moment)).rowcount:
            raise PermanentError(f"Link '{link}' has no silence {silence_id} that has not ended.")
        self._log.write(actor, "lift_silence", f"silence/{silence_id}", link=link, conn=conn)

    def silences(self, link: str, moment: datetime) -> list[Silence]:
        """What is silenced at a moment, the oldest first."""
        s = silence.c
        query = select(silence).where(s.link == link, s.until > moment).order_by(s.id)
        with self._database.read() as conn:
            return [Silence(**row._mapping) for row in conn.execute(query)]


def _new(link: str) -> tuple[ColumnElement[bool], ...]:
    e = exception.c
    return (e.link == link, e.status == Status.NEW)


def _alert(row: Row[Any]) -> Alert:
    return Alert(**{**row._mapping, "state": AlertState(row.state)})
