"""What checks of sync health found: the last one whole, and how old data was at each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import Connection, select

from cogent_ops.domain.health.model import Flow, Snapshot, State
from cogent_ops.store.engine import Database
from cogent_ops.store.ledger import LogEntry
from cogent_ops.store.schema import audit_log, health_sample, health_state
from cogent_ops.store.sql import Values, insert, upsert

_H, _S = health_state.c, health_sample.c


@dataclass(frozen=True)
class Sample:
    """How old the data of a flow was at one check. Ages and spans in seconds; see :class:`Freshness`.

    :param age: ``None``: the flow had never run.
    """

    flow: Flow
    at: datetime
    age: float | None
    target: float
    p50: float | None
    p95: float | None
    waiting: int
    done: int
    state: State


class Health:
    """The health of all links."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, conn: Connection, snapshot: Snapshot, run_key: str) -> None:
        """Keep what a check found, and how old data was. An older check never replaces a younger one."""
        state: Values = {
            "link": snapshot.link,
            "checked_at": snapshot.checked_at,
            "run_key": run_key,
            "content": snapshot.model_dump(mode="json"),
        }
        adding = insert(conn, health_state).values(state)
        younger = adding.excluded.checked_at >= _H.checked_at
        changes = {name: adding.excluded[name] for name in state if name != "link"}
        conn.execute(adding.on_conflict_do_update(index_elements=["link"], set_=changes, where=younger))
        rows: list[Values] = [
            {
                "link": snapshot.link,
                "flow": one.flow,
                "at": snapshot.checked_at,
                "age": one.age,
                "target": one.target,
                "p50": one.p50,
                "p95": one.p95,
                "waiting": one.waiting,
                "done": one.done,
                "state": one.state,
            }
            for one in snapshot.flows
        ]
        upsert(conn, health_sample, rows)

    def snapshot(self, link: str) -> Snapshot | None:
        """What the last check found; ``None``: there was none, or another release stored it in another form."""
        query = select(_H.content).where(_H.link == link)
        with self._database.read() as conn:
            content = conn.execute(query).scalar_one_or_none()
        try:
            return None if content is None else Snapshot.model_validate(content)
        except ValueError:
            # The next check replaces it, within minutes.
            return None

    def checked_at(self, link: str) -> datetime | None:
        """When the last check was; ``None``: there was none."""
        query = select(_H.checked_at).where(_H.link == link)
        with self._database.read() as conn:
            return conn.execute(query).scalar_one_or_none()

    def first_check(self, link: str) -> datetime | None:
        """When the first check was of which a measurement is kept."""
        # Each check measures every flow; of one of them, the index has the times in order.
        first = (_S.link == link, _S.flow == Flow.STOCK)
        query = select(_S.at).where(*first).order_by(_S.at).limit(1)
        with self._database.read() as conn:
            return conn.execute(query).scalar_one_or_none()

    def deeds(self, link: str, since: datetime, actions: Collection[str], limit: int) -> list[LogEntry]:
        """The youngest entries of the audit log about some actions, the oldest of them first."""
        a = audit_log.c
        wanted = (a.link == link, a.at >= since, a.action.in_(list(actions)))
        query = select(audit_log).where(*wanted).order_by(a.at.desc(), a.id.desc()).limit(limit)
        with self._database.read() as conn:
            return [LogEntry(**row._mapping) for row in conn.execute(query)][::-1]

    def samples(
        self, link: str, since: datetime, flow: Flow | None = None, *, until: datetime | None = None
    ) -> list[Sample]:
        """How old data was at each check, the oldest first.

        :param since: the first moment.
        :param flow: of this flow alone; ``None``: of all.
        :param until: the moment after the last.
        """
        query = select(*(_S[field.name] for field in fields(Sample))).where(_S.link == link, _S.at >= since)
        if flow is not None:
            query = query.where(_S.flow == flow)
        if until is not None:
            query = query.where(_S.at < until)
        with self._database.read() as conn:
            return [
                Sample(**{**row._mapping, "flow": Flow(row.flow), "state": State(row.state)})
                for row in conn.execute(query.order_by(_S.at, _S.flow))
            ]
