"""What waits for a person: one record per cause, folded, counted, never deleted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Case,
    ColumnElement,
    Connection,
    and_,
    case,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.engine import Row

from cogent_ops.domain.drills import LIKE, is_drill
from cogent_ops.domain.exceptions import DECIDED, OPEN, Action, NewException, Status, may_follow
from cogent_ops.domain.money import Money
from cogent_ops.domain.policies import Policies
from cogent_ops.errors import PermanentError
from cogent_ops.store.engine import Database
from cogent_ops.store.ledger import AuditLog, LogEntry
from cogent_ops.store.schema import exception, exception_past
from cogent_ops.store.sql import Values, chunks, lock, now, pages, upsert

#: What may be the number of an exception; longer ones no database can hold.
_NUMBER = re.compile(r"[0-9]{1,18}")
#: What an exception that comes back has lost: nobody has seen it yet.
_FORGOTTEN = ("acknowledged_at", "alerted_at", "escalated_at", "asked_by", "asked_at", "outcome")

#: Entry of the audit log about somebody who has looked at a customer's address.
REVEAL = "reveal"
#: What may be done meanwhile without anybody having to look again.
_NO_NEWS = (REVEAL,)
#: What an entry of the audit log says beside what was decided: the status before and after.
_STATUSES = ("before", "status")


@dataclass(frozen=True)
class StoredException:
    """An exception as the store holds it; what is missing here is explained at :class:`NewException`.

    :param severity: how loudly it asks within business hours.
    :param deadline: until when its owner should have acted.
    :param count: how many runs saw the cause, ``first_seen`` and ``last_seen`` included.
    :param run_key: the run that touched it last.
    :param cause_group: equal for exceptions that one deed would cure; never empty.
    :param replays: how often a person had it tried again.
    :param outcome: what came of the last thing that a person had done about it.
    :param opened_at: when it was new (again).
    :param acknowledged_at: when somebody first took note of it.
    :param asked_by: the run that is asking a person about it.
    :param asked_at: since when; without ``asked_by``, when it was answered.
    """

    id: int
    link: str
    kind: str
    cause_key: str
    record: str
    field: str
    rule: str
    message: str
    cure: str
    owner: str
    severity: str
    status: Status
    deadline: datetime | None
    count: int
    first_seen: datetime
    last_seen: datetime
    resolved_at: datetime | None
    payload: Mapping[str, Any]
    run_key: str
    cause_group: str
    place: str
    amount: int | None
    currency: str | None
    replays: int
    outcome: str | None
    opened_at: datetime | None
    acknowledged_at: datetime | None
    alerted_at: datetime | None
    escalated_at: datetime | None
    asked_by: str | None
    asked_at: datetime | None

    @property
    def is_open(self) -> bool:
        """Whether it still needs somebody."""
        return self.status in OPEN

    @property
    def is_drill(self) -> bool:
        """Whether it was raised on purpose, for practice."""
        return is_drill(self.cause_key)

    @property
    def at_stake(self) -> Money | None:
        """Money that depends on it; ``None``: none, or nobody knows."""
        return None if self.amount is None or self.currency is None else Money(self.currency, self.amount)


@dataclass(frozen=True)
class Cause:
    """Exceptions that one deed would cure; the oldest first."""

    kind: str
    cause_group: str
    exceptions: tuple[StoredException, ...]


@dataclass(frozen=True)
class Filter:
    """Which exceptions to show; what is ``None`` or empty does not narrow.

    :param text: stands in the record, the place, the message or the number of an order that it is about, in whatever
        case; or is the number of an exception.
    :param overdue_at: only those whose owner should have acted before this moment.
    :param due_from: only those whose owner need not have acted before this moment.
    :param opened_until: only those that were there at this moment.
    :param place: the store, as people name it.
    :param has_money: only those on which money depends.
    :param drills: only drills, or none of them; ``None``: both.
    """

    statuses: tuple[Status, ...] = OPEN
    kind: str | None = None
    owner: str | None = None
    cause_group: str | None = None
    text: str = ""
    overdue_at: datetime | None = None
    due_from: datetime | None = None
    opened_until: datetime | None = None
    place: str | None = None
    has_money: bool = False
    drills: bool | None = False


class Overtaken(PermanentError):
    """Something was done about an exception since the person who decides has looked at it.

    :param entry: the first such deed.
    :param is_same: it is the very deed that was to be noted, so a form was sent twice.
    """

    def __init__(self, entry: LogEntry, *, is_same: bool) -> None:
        super().__init__(f"{entry.actor} has done '{entry.action}' meanwhile. Look at it again, then decide.")
        self.entry, self.is_same = entry, is_same


class Exceptions:
    """The exception queue of all links.

    :param policies: what ``include/exceptions.yaml`` says, asked whenever something is raised.
    """

    def __init__(self, database: Database, audit_log: AuditLog, policies: Callable[[], Policies]) -> None:
        self._database, self._log, self._policies = database, audit_log, policies

    def raise_(
        self,
        conn: Connection,
        link: str,
        new: NewException,
        run_key: str,
        *,
        deadline: datetime | None = None,
    ) -> None:
        """Raise one exception. See :meth:`raise_many`."""
        self.raise_many(conn, link, [new], run_key, deadline=deadline)

    def raise_many(
        self,
        conn: Connection,
        link: str,
        new: Iterable[NewException],
        run_key: str,
        *,
        deadline: datetime | None = None,
    ) -> None:
        """Raise exceptions in the given transaction; the same kind and cause folds into the record there is.

        Owner, severity and deadline are those of the kind's policy. A repeat brings message and payload up to date,
        and counts unless the same run raised it before. It opens a fixed record again, with a new deadline; a decision
        of a person (expected, rejected) and a deadline that runs stay.

        :param deadline: instead of the policy's.
        """
        moment, policies = now(), self._policies()
        e, found = exception.c, _folded(new)
        reopened = e.status == Status.FIXED
        given = literal_column("excluded.deadline", e.deadline.type)
        for kind in sorted({one.kind for one in found}):
            _keep_lives(conn, link, kind, [one.cause_key for one in found if one.kind == kind])
        upsert(
            conn,
            exception,
            [_row(link, one, run_key, moment, policies, deadline) for one in found],
            key=("link", "kind", "cause_key"),
            fixed=("first_seen",),
            changes={
                "count": case((e.run_key == run_key, e.count), else_=e.count + 1),
                "status": case((reopened, literal(Status.NEW, e.status.type)), else_=e.status),
                "deadline": case((reopened, given), else_=func.coalesce(e.deadline, given)),
                "opened_at": case((reopened, literal(moment, e.opened_at.type)), else_=e.opened_at),
                "resolved_at": _unless(reopened, e.resolved_at),
                **{name: _unless(reopened, e[name]) for name in _FORGOTTEN},
            },
        )

    def number(self, conn: Connection, link: str, kind: str, cause_key: str) -> int:
        """The number of an exception that is there, as of this transaction."""
        e = exception.c
        query = select(e.id).where(e.link == link, e.kind == kind, e.cause_key == cause_key)
        return int(conn.execute(query).scalar_one())

    def resolve(
        self,
        conn: Connection,
        link: str,
        kind: str,
        cause_keys: Iterable[str],
        run_key: str,
        *,
        decided: bool = False,
    ) -> int:
        """Close exceptions whose cause was verified to be gone; returns how many it closed.

        :param decided: also those that a person has decided to leave as they are, so that the cause opens them again
            should it come back. When they were closed stays as it is.
        """
        e = exception.c
        closed, moment = 0, now()
        decision = e.status.in_(DECIDED)
        fixed = {
            "status": Status.FIXED,
            "resolved_at": case((decision, e.resolved_at), else_=literal(moment, e.resolved_at.type)),
            "run_key": run_key,
        }
        for chunk in chunks(sorted(set(cause_keys))):
            closable = e.status.in_((*OPEN, *DECIDED) if decided else OPEN)
            mine = and_(e.link == link, e.kind == kind, closable)
            locked = lock(conn, e.cause_key, chunk, mine)
            closing = update(exception).where(mine, e.cause_key.in_(locked)).values(fixed)
            closed += conn.execute(closing).rowcount
        return closed

    def decide(
        self,
        conn: Connection,
        link: str,
        exception_id: int,
        action: Action,
        status: Status | None,
        *,
        actor: str,
        detail: Mapping[str, Any],
        outcome: str | None = None,
        seen: int | None = None,
    ) -> StoredException:
        """Note what a person did about an exception, with an entry in the audit log; gives it as it is then.

        Call it last in a transaction: flows, too, lock the record that an exception is about before the exception.
        What is opened again gets a new deadline, as in :meth:`raise_many`.

        :param status: what it becomes; ``None``: it stays.
        :param detail: for the audit log; no personal data.
        :param outcome: what came of it, as it is shown.
        :param seen: id of the youngest entry of the audit log when the person looked; ``None``: whatever has happened.
        :raises Overtaken: when somebody has done something about it since ``seen``.
        :raises PermanentError: when the link has no such exception, or that status may not follow.
        """
        e = exception.c
        query = select(exception).where(e.link == link, e.id == exception_id).with_for_update()
        found = _found(link, exception_id, conn.execute(query).one_or_none())
        if seen is not None:
            self.require_unchanged(conn, exception_id, action, actor=actor, detail=detail, seen=seen)
        changes = _decided(found, action, status)
        if found.resolved_at is not None and changes.get("status") is Status.NEW:
            _keep_life(conn, e.id == exception_id)
        if changes.get("status") is Status.NEW and not found.is_open:
            changes["deadline"] = self._policies().deadline(found.kind, changes["opened_at"])
        if outcome is not None:
            changes["outcome"] = outcome
        if changes:
            conn.execute(update(exception).where(e.id == exception_id).values(changes))
        said = {**detail, "before": found.status, "status": changes.get("status", found.status)}
        self._log.write(actor, action, subject(exception_id), said, link=link, conn=conn)
        return _found(link, exception_id, conn.execute(query).one_or_none())

    def require_unchanged(
        self,
        conn: Connection,
        exception_id: int,
        action: Action,
        *,
        actor: str,
        detail: Mapping[str, Any],
        seen: int,
    ) -> None:
        """See that nobody has decided about an exception since a person looked; see :meth:`decide`.

        :raises Overtaken: when somebody has, or the person themselves has done this very thing.
        """
        since = self._log.since(conn, subject(exception_id), seen)
        same = [one for one in since if (one.actor, one.action) == (actor, action) and _says(one, detail)]
        if same:
            raise Overtaken(same[0], is_same=True)
        # Who adds a note decides nothing, and everybody knows what they did themselves.
        others = [one for one in since if one.actor != actor and action is not Action.NOTE]
        news = [one for one in others if one.action not in _NO_NEWS]
        if news:
            raise Overtaken(news[0], is_same=False)

    def get(self, link: str, exception_id: int) -> StoredException:
        """One exception.

        :raises PermanentError: when the link has no such exception.
        """
        query = select(exception).where(exception.c.link == link, exception.c.id == exception_id)
        with self._database.read() as conn:
            return _found(link, exception_id, conn.execute(query).one_or_none())

    def find(self, link: str, wanted: Filter, *, limit: int | None = None) -> list[StoredException]:
        """Exceptions, the oldest first."""
        query = select(exception).where(exception.c.link == link, *narrowed(wanted))
        with self._database.read() as conn:
            return [stored(row) for row in conn.execute(query.order_by(exception.c.id).limit(limit))]

    def ids(self, link: str, wanted: Filter) -> list[int]:
        """Numbers of exceptions, the oldest first."""
        query = select(exception.c.id).where(exception.c.link == link, *narrowed(wanted))
        with self._database.read() as conn:
            return list(conn.execute(query.order_by(exception.c.id)).scalars())

    def open(self, link: str, kind: str | None = None) -> list[StoredException]:
        """Exceptions that still need somebody, the oldest first, without drills."""
        return self.find(link, Filter(kind=kind))

    def open_causes(self, link: str, kind: str, *, decided: bool = False) -> Iterator[str]:
        """Cause keys of the open exceptions of a kind, without drills; no transaction stays open between pages.

        :param decided: also of those that a person has decided to leave as they are.
        """
        e, wanted = exception.c, (*OPEN, *DECIDED) if decided else OPEN
        # A flow that finds no trouble closes what it raised, and it has raised no drill.
        mine = (e.link == link, e.kind == kind, e.status.in_(wanted), ~drill_clause(e.cause_key))
        query = select(e.cause_key).where(*mine)
        return (row.cause_key for row in pages(self._database, query, e.cause_key))


def subject(exception_id: int) -> str:
    """What the audit log calls an exception."""
    return f"exception/{exception_id}"


def drill_clause(cause_key: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a drill has this cause key (or a message this cause group), as a condition; see ``domain.drills``."""
    return cause_key.like(LIKE)


def stored(row: Row[Any]) -> StoredException:
    """A row of the table."""
    return StoredException(**{**row._mapping, "status": Status(row.status)})


def by_cause(found: Iterable[StoredException]) -> list[Cause]:
    """Exceptions put together by cause, in the order in which the causes first come up."""
    groups: dict[tuple[str, str], list[StoredException]] = {}
    for one in found:
        groups.setdefault((one.kind, one.cause_group), []).append(one)
    return [Cause(*key, tuple(some)) for key, some in groups.items()]


def _found(link: str, exception_id: int, row: Row[Any] | None) -> StoredException:
    if row is None:
        raise PermanentError(f"Link '{link}' has no exception {exception_id}. See: cogent-ops exceptions")
    return stored(row)


def _says(entry: LogEntry, detail: Mapping[str, Any]) -> bool:
    """Whether an entry of the audit log was made with this detail."""
    return {name: value for name, value in entry.detail.items() if name not in _STATUSES} == dict(detail)


def _decided(found: StoredException, action: Action, status: Status | None) -> Values:
    """What a decision changes about an exception."""
    changes: Values = {}
    if action in (Action.APPROVE, Action.REPLAY):
        changes["replays"] = exception.c.replays + 1
    if status is None:
        return changes
    if not may_follow(found.status, status):
        raise PermanentError(f"Exception {found.id} is {found.status}, so it cannot become {status}.")
    moment = now()
    changes |= {"status": status, "resolved_at": None if status in OPEN else moment}
    if status is Status.NEW and found.status is not Status.NEW:
        changes |= {"opened_at": moment, **dict.fromkeys(_FORGOTTEN)}
    elif found.acknowledged_at is None:
        changes["acknowledged_at"] = moment
    return changes


def narrowed(wanted: Filter) -> list[ColumnElement[bool]]:
    """A filter as conditions on the table."""
    e = exception.c
    conditions: list[ColumnElement[bool]] = [e.status.in_(wanted.statuses)]
    for column, value in (
        (e.kind, wanted.kind),
        (e.owner, wanted.owner),
        (e.cause_group, wanted.cause_group),
        (e.place, wanted.place),
    ):
        if value is not None:
            conditions.append(column == value)
    if wanted.text:
        conditions.append(or_(*_naming(wanted.text)))
    if wanted.overdue_at is not None:
        conditions.append(e.deadline < wanted.overdue_at)
    if wanted.due_from is not None:
        conditions.append(e.deadline >= wanted.due_from)
    if wanted.opened_until is not None:
        conditions.append(func.coalesce(e.opened_at, e.first_seen) <= wanted.opened_until)
    if wanted.has_money:
        conditions.append(e.amount > 0)
    if wanted.drills is not None:
        drills = drill_clause(e.cause_key)
        conditions.append(drills if wanted.drills else ~drills)
    return conditions


def _naming(text: str) -> Iterator[ColumnElement[bool]]:
    e = exception.c
    for column in (e.record, e.place, e.message):
        yield column.icontains(text, autoescape=True)
    # A message names only some of the orders.
    yield e.payload["orders"].as_string().icontains(text, autoescape=True)
    if _NUMBER.fullmatch(text):
        yield e.id == int(text)


def _keep_lives(conn: Connection, link: str, kind: str, cause_keys: Iterable[str]) -> None:
    """Keep the lives of those that are about to be opened again, before what came of them is forgotten."""
    e = exception.c
    for chunk in chunks(sorted(set(cause_keys))):
        # All of them, because it is in this order that the upsert will lock them.
        locked = lock(conn, e.cause_key, chunk, e.link == link, e.kind == kind)
        if locked:
            over = (e.link == link, e.kind == kind, e.status == Status.FIXED, e.resolved_at.is_not(None))
            _keep_life(conn, *over, e.cause_key.in_(locked))


def _keep_life(conn: Connection, *where: ColumnElement[bool]) -> None:
    e = exception.c
    columns: dict[str, ColumnElement[Any]] = {"exception_id": e.id}
    columns |= {column.name: e[column.name] for column in exception_past.c if column.name in e}
    columns["opened_at"] = func.coalesce(e.opened_at, e.first_seen)
    conn.execute(exception_past.insert().from_select([*columns], select(*columns.values()).where(*where)))


def _unless(condition: ColumnElement[bool], kept: ColumnElement[Any]) -> Case[Any]:
    return case((condition, null()), else_=kept)


def _folded(new: Iterable[NewException]) -> list[NewException]:
    """One of each cause: a statement must not touch the same record twice, and a run counts a cause once."""
    return list({(one.kind, one.cause_key): one for one in new}.values())


def _row(
    link: str,
    new: NewException,
    run_key: str,
    moment: datetime,
    policies: Policies,
    deadline: datetime | None,
) -> Values:
    return {
        "link": link,
        "kind": new.kind,
        "cause_key": new.cause_key,
        "record": new.record,
        "field": new.field,
        "rule": new.rule,
        "message": new.message,
        "cure": new.cure,
        "owner": policies.owner(new.kind, new.owner),
        "severity": policies.kind(new.kind).severity,
        "status": Status.NEW,
        "deadline": deadline or policies.deadline(new.kind, moment),
        "count": 1,
        "first_seen": moment,
        "last_seen": moment,
        "resolved_at": None,
        "payload": dict(new.payload),
        "run_key": run_key,
        "cause_group": new.group or new.cause_key,
        "place": new.place,
        "amount": new.amount,
        "currency": new.currency,
        "opened_at": moment,
        **dict.fromkeys(_FORGOTTEN),
    }
