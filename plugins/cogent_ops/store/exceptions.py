"""What waits for a person: one record per cause, folded, counted, never deleted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, and_, case, func, literal, select, update

from cogent_ops.domain.exceptions import NewException
from cogent_ops.errors import PermanentError
from cogent_ops.store.engine import Database
from cogent_ops.store.ledger import AuditLog
from cogent_ops.store.schema import exception
from cogent_ops.store.sql import Values, chunks, lock, now, pages, upsert


class Status(StrEnum):
    """Where an exception stands. A person's ``expected`` and ``rejected`` outlive repeats."""

    NEW = "new"
    ACKNOWLEDGED = "acknowledged"
    IN_PROGRESS = "in_progress"
    FIXED = "fixed"
    EXPECTED = "expected"
    REJECTED = "rejected"


OPEN = (Status.NEW, Status.ACKNOWLEDGED, Status.IN_PROGRESS)


@dataclass(frozen=True)
class StoredException:
    """An exception as the store holds it; the meaning of the first ten fields is :class:`NewException`'s.

    :param count: how many runs saw the cause, ``first_seen`` and ``last_seen`` included.
    :param deadline: until when its owner should have acted.
    :param run_key: the run that touched it last.
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


class Exceptions:
    """The exception queue of all links."""

    def __init__(self, database: Database, audit_log: AuditLog) -> None:
        self._database, self._log = database, audit_log

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

        A repeat brings message and payload up to date, and counts unless the same run raised it before. It
        opens a fixed record again, with the new ``deadline``; a decision of a person (expected, rejected) and
        a deadline that runs stay.
        """
        moment = now()
        e = exception.c
        reopened, given = e.status == Status.FIXED, literal(deadline, e.deadline.type)
        upsert(
            conn,
            exception,
            [_row(link, one, run_key, moment, deadline) for one in _folded(new)],
            key=("link", "kind", "cause_key"),
            fixed=("first_seen",),
            changes={
                "count": case((e.run_key == run_key, e.count), else_=e.count + 1),
                "status": case((reopened, literal(Status.NEW, e.status.type)), else_=e.status),
                "deadline": case((reopened, given), else_=func.coalesce(e.deadline, given)),
                "resolved_at": case((reopened, None), else_=e.resolved_at),
            },
        )

    def resolve(self, conn: Connection, link: str, kind: str, cause_keys: Iterable[str], run_key: str) -> int:
        """Close open exceptions whose cause was verified to be gone; returns how many were open."""
        e = exception.c
        closed = 0
        fixed = {"status": Status.FIXED, "resolved_at": now(), "run_key": run_key}
        for chunk in chunks(sorted(set(cause_keys))):
            still_open = and_(e.link == link, e.kind == kind, e.status.in_(OPEN))
            locked = lock(conn, e.cause_key, chunk, still_open)
            closing = update(exception).where(still_open, e.cause_key.in_(locked)).values(fixed)
            closed += conn.execute(closing).rowcount
        return closed

    def decide(self, link: str, exception_id: int, status: Status, *, actor: str, note: str) -> None:
        """Set an exception's status as a person decided, with an entry in the audit log.

        :raises PermanentError: when the link has no such exception.
        """
        e = exception.c
        changing = (
            update(exception)
            .where(e.link == link, e.id == exception_id)
            .values(status=status, resolved_at=None if status in OPEN else now())
        )
        detail = {"status": status, "note": note}
        with self._database.begin() as conn:
            if not conn.execute(changing).rowcount:
                raise PermanentError(f"Link '{link}' has no exception {exception_id}.")
            self._log.write(
                actor, "decide_exception", f"exception/{exception_id}", detail, link=link, conn=conn
            )

    def open(self, link: str, kind: str | None = None) -> list[StoredException]:
        """Exceptions that still need somebody, the oldest first."""
        query = select(exception).where(exception.c.link == link, exception.c.status.in_(OPEN))
        if kind is not None:
            query = query.where(exception.c.kind == kind)
        with self._database.read() as conn:
            rows = conn.execute(query.order_by(exception.c.id)).all()
        return [StoredException(**{**row._mapping, "status": Status(row.status)}) for row in rows]

    def open_causes(self, link: str, kind: str) -> Iterator[str]:
        """Cause keys of the open exceptions of a kind; no transaction stays open between pages."""
        e = exception.c
        query = select(e.cause_key).where(e.link == link, e.kind == kind, e.status.in_(OPEN))
        return (row.cause_key for row in pages(self._database, query, e.cause_key))


def _folded(new: Iterable[NewException]) -> list[NewException]:
    """One of each cause: a statement must not touch the same record twice, and a run counts a cause once."""
    return list({(one.kind, one.cause_key): one for one in new}.values())


def _row(link: str, new: NewException, run_key: str, moment: datetime, deadline: datetime | None) -> Values:
    return {
        "link": link,
        "kind": new.kind,
        "cause_key": new.cause_key,
        "record": new.record,
        "field": new.field,
        "rule": new.rule,
        "message": new.message,
        "cure": new.cure,
        "owner": new.owner,
        "severity": new.severity,
        "status": Status.NEW,
        "deadline": deadline,
        "count": 1,
        "first_seen": moment,
        "last_seen": moment,
        "resolved_at": None,
        "payload": dict(new.payload),
        "run_key": run_key,
    }
