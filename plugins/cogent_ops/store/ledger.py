"""What has been done so far: watermarks, fingerprints, runs and the log of people's actions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, select, true, update

from cogent_ops.errors import PermanentError
from cogent_ops.store.engine import Database
from cogent_ops.store.schema import audit_log, fingerprint, sync_run, watermark
from cogent_ops.store.sql import Values, chunks, lock, now, pages, upsert


class Watermarks:
    """How far each flow of a link has come."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, link: str, flow: str) -> datetime | None:
        """Everything before this moment is stored; ``None`` when the flow never finished."""
        query = select(watermark.c.value).where(watermark.c.link == link, watermark.c.flow == flow)
        with self._database.read() as conn:
            return conn.execute(query).scalar_one_or_none()

    def set(self, conn: Connection, link: str, flow: str, value: datetime) -> None:
        """Move the watermark, in the transaction that stores everything before it."""
        row = {"link": link, "flow": flow, "value": value, "updated_at": now()}
        upsert(conn, watermark, [row])

    def advance(
        self, conn: Connection, link: str, flow: str, known: datetime | None, value: datetime
    ) -> bool:
        """Move the watermark as :meth:`set` does, unless somebody has moved it since it was read.

        :param known: as it was read, before what lies between was.
        :return: whether it was moved.
        """
        if known is None:
            self.set(conn, link, flow, value)
            return True
        w = watermark.c
        as_read = (w.link == link, w.flow == flow, w.value == known)
        moving = update(watermark).where(*as_read).values(value=value, updated_at=now())
        return bool(conn.execute(moving).rowcount)

    def move_back(self, conn: Connection, link: str, flow: str, value: datetime) -> bool:
        """Have everything since a moment read again; a flow that has not come so far, or never ran, stays.

        :return: whether it was moved.
        """
        w = watermark.c
        later = (w.link == link, w.flow == flow, w.value > value)
        moving = update(watermark).where(*later).values(value=value, updated_at=now())
        return bool(conn.execute(moving).rowcount)


class Fingerprints:
    """Hashes of what the other side confirmed last, by kind of record (``product``, ``variant``, ...)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(self, link: str, kind: str, ids: Iterable[str]) -> dict[str, str]:
        """Hash by id, of those ids that have one."""
        f = fingerprint.c
        found: dict[str, str] = {}
        with self._database.read() as conn:
            for chunk in chunks(ids):
                query = select(f.id, f.hash).where(f.link == link, f.kind == kind, f.id.in_(chunk))
                found.update((row.id, row.hash) for row in conn.execute(query))
        return found

    def remember(self, link: str, kind: str, hashes: Mapping[str, str], run_key: str) -> None:
        """Note hashes by id: a record's only after the other side has confirmed it, before that a mark instead."""
        moment = now()
        rows = [
            {"link": link, "kind": kind, "id": id_, "hash": hash_, "run_key": run_key, "updated_at": moment}
            for id_, hash_ in hashes.items()
        ]
        if rows:
            with self._database.begin() as conn:
                upsert(conn, fingerprint, rows)

    def forget(self, link: str, kind: str, ids: Iterable[str]) -> None:
        """Drop the hashes, so that the records are sent again or are known to be gone."""
        f = fingerprint.c
        listed = sorted(set(ids))
        if not listed:
            return
        with self._database.begin() as conn:
            for chunk in chunks(listed):
                kept = and_(f.link == link, f.kind == kind)
                locked = lock(conn, f.id, chunk, kept)
                conn.execute(delete(fingerprint).where(kept, f.id.in_(locked)))

    def ids(self, link: str, kind: str) -> Iterator[str]:
        """Ids that have a hash, in order; no transaction stays open between pages."""
        f = fingerprint.c
        query = select(f.id).where(f.link == link, f.kind == kind)
        return (row.id for row in pages(self._database, query, f.id))


@dataclass(frozen=True)
class Run:
    """One run of a flow; ``attempts`` counts its starts, so a retry shows."""

    id: int
    link: str
    flow: str
    run_key: str
    mode: str
    window_start: datetime | None
    window_end: datetime | None
    params: Mapping[str, Any]
    status: str
    attempts: int
    counts: Mapping[str, Any]
    report_path: str | None
    started_at: datetime
    finished_at: datetime | None


class Runs:
    """The runs of each flow. A run key is unique within link and flow, and stable over retries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def start(
        self,
        link: str,
        flow: str,
        run_key: str,
        mode: str,
        *,
        window: tuple[datetime | None, datetime | None] = (None, None),
        params: Mapping[str, Any] | None = None,
    ) -> None:
        """Note that a run begins; a repeated start keeps ``started_at`` and counts an attempt."""
        row = {
            "link": link,
            "flow": flow,
            "run_key": run_key,
            "mode": mode,
            "window_start": window[0],
            "window_end": window[1],
            "params": dict(params or {}),
            "status": "running",
            "attempts": 1,
            "counts": {},
            "report_path": None,
            "started_at": now(),
            "finished_at": None,
        }
        with self._database.begin() as conn:
            upsert(
                conn,
                sync_run,
                [row],
                key=("link", "flow", "run_key"),
                fixed=("started_at",),
                changes={"attempts": sync_run.c.attempts + 1},
            )

    def finish(
        self,
        link: str,
        flow: str,
        run_key: str,
        *,
        status: str,
        counts: Mapping[str, Any],
        report_path: str | None = None,
    ) -> None:
        """Close a run.

        :raises PermanentError: when the run was never started.
        """
        closing = (
            update(sync_run)
            .where(*_is(link, flow, run_key))
            .values(status=status, counts=dict(counts), report_path=report_path, finished_at=now())
        )
        with self._database.begin() as conn:
            if not conn.execute(closing).rowcount:
                raise PermanentError(f"No run '{run_key}' of {flow} was started for link '{link}'.")

    def fail(self, link: str, flow: str, run_key: str, *, stage: str, reason: str) -> None:
        """Note that a stage of a run failed; nothing when the run was never started."""
        ended = {"status": "failed", "counts": {"failed_in": stage, "reason": reason}, "finished_at": now()}
        with self._database.begin() as conn:
            conn.execute(update(sync_run).where(*_is(link, flow, run_key)).values(ended))

    def resume(self, link: str, flow: str, run_key: str) -> None:
        """Note that a failed run goes on with a stage that is tried again."""
        again: Values = {"status": "running", "counts": {}, "finished_at": None}
        failed = (*_is(link, flow, run_key), sync_run.c.status == "failed")
        with self._database.begin() as conn:
            conn.execute(update(sync_run).where(*failed).values(again))

    def latest(self, link: str, flow: str, *, status: str | None = None) -> Run | None:
        """The run that was started last (with this status)."""
        return next(iter(self.recent(link=link, flow=flow, status=status, limit=1)), None)

    def by_key(self, link: str, run_key: str) -> list[Run]:
        """What was done in a run, one entry for each flow."""
        query = select(sync_run).where(sync_run.c.link == link, sync_run.c.run_key == run_key)
        with self._database.read() as conn:
            return [Run(**row._mapping) for row in conn.execute(query.order_by(sync_run.c.id))]

    def since(self, link: str, flow: str, moment: datetime, *, status: str) -> list[Run]:
        """All runs of a status that were started at a moment or later, the oldest first."""
        r = sync_run.c
        wanted = (r.link == link, r.flow == flow, r.status == status, r.started_at >= moment)
        with self._database.read() as conn:
            found = conn.execute(select(sync_run).where(*wanted).order_by(r.id))
            return [Run(**row._mapping) for row in found]

    def recent(
        self,
        *,
        link: str | None = None,
        flow: str | None = None,
        status: str | None = None,
        limit: int = 20,
    ) -> list[Run]:
        """Runs, the youngest first."""
        query = select(sync_run).order_by(sync_run.c.id.desc()).limit(limit)
        for column, value in ((sync_run.c.link, link), (sync_run.c.flow, flow), (sync_run.c.status, status)):
            if value is not None:
                query = query.where(column == value)
        with self._database.read() as conn:
            return [Run(**row._mapping) for row in conn.execute(query)]


def _is(link: str, flow: str, run_key: str) -> tuple[ColumnElement[bool], ...]:
    r = sync_run.c
    return (r.link == link, r.flow == flow, r.run_key == run_key)


@dataclass(frozen=True)
class LogEntry:
    """Who did what to what, and when."""

    id: int
    at: datetime
    link: str | None
    actor: str
    action: str
    subject: str
    detail: Mapping[str, Any]


class AuditLog:
    """Decisions of people (and of the system in their place). Entries are never changed or deleted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(
        self,
        actor: str,
        action: str,
        subject: str,
        detail: Mapping[str, Any] | None = None,
        *,
        link: str | None = None,
        conn: Connection | None = None,
    ) -> None:
        """Add an entry; with ``conn`` in that transaction, so that deed and entry stand or fall together."""
        if conn is None:
            with self._database.begin() as own:
                return self.write(actor, action, subject, detail, link=link, conn=own)
        row = {"at": now(), "link": link, "actor": actor, "action": action, "subject": subject}
        conn.execute(audit_log.insert(), row | {"detail": dict(detail or {})})
        return None

    def write_all(
        self,
        conn: Connection,
        actor: str,
        action: str,
        details: Mapping[str, Mapping[str, Any]],
        *,
        link: str | None = None,
    ) -> None:
        """Add an entry of one action for each of many subjects, in the caller's transaction.

        :param details: by subject.
        """
        shared: Values = {"at": now(), "link": link, "actor": actor, "action": action}
        rows = [{**shared, "subject": subject, "detail": dict(one)} for subject, one in details.items()]
        if rows:
            conn.execute(audit_log.insert(), rows)

    def entries(self, subject: str | None = None, *, limit: int = 100) -> list[LogEntry]:
        """Entries, the youngest first."""
        query = select(audit_log).order_by(audit_log.c.id.desc()).limit(limit)
        if subject is not None:
            query = query.where(audit_log.c.subject == subject)
        with self._database.read() as conn:
            return [LogEntry(**row._mapping) for row in conn.execute(query)]

    def since(self, conn: Connection, subject: str, seen: int) -> list[LogEntry]:
        """What was done to a subject after an entry, the oldest first."""
        later = (audit_log.c.subject == subject, audit_log.c.id > seen)
        query = select(audit_log).where(*later).order_by(audit_log.c.id)
        return [LogEntry(**row._mapping) for row in conn.execute(query)]

    def newest(self) -> int:
        """Id of the youngest entry; 0: there is none."""
        with self._database.read() as conn:
            return int(conn.execute(select(func.coalesce(func.max(audit_log.c.id), 0))).scalar_one())

    def latest(
        self, subjects: Iterable[str], actions: Collection[str], *, link: str | None = None
    ) -> dict[str, LogEntry]:
        """By subject, the youngest entry about one of the actions.

        :param link: only its own, where links share a subject.
        """
        found: dict[str, LogEntry] = {}
        mine = true() if link is None else audit_log.c.link == link
        with self._database.read() as conn:
            for chunk in chunks(subjects):
                wanted = and_(audit_log.c.subject.in_(chunk), audit_log.c.action.in_(actions), mine)
                ids = select(func.max(audit_log.c.id)).where(wanted).group_by(audit_log.c.subject)
                for row in conn.execute(select(audit_log).where(audit_log.c.id.in_(ids))):
                    found[row.subject] = LogEntry(**row._mapping)
        return found
