"""What checks of sync health found: the last one whole, how old data was at each, and gaps of sources outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, select, update

from cogent_ops.domain.health.model import Flow, Snapshot, State
from cogent_ops.store.engine import Database
from cogent_ops.store.schema import health_gap, health_sample, health_state
from cogent_ops.store.sql import Values, insert, upsert

#: What may tell us nothing for a while.
GapSource = Literal["subscription", "messages"]

_H, _S, _G = health_state.c, health_sample.c, health_gap.c


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


@dataclass(frozen=True)
class Gap:
    """A time in which a source outside told us nothing.

    :param name: which one, such as the Subscription's key.
    :param ended_at: when it told us something again; ``None``: it does not yet.
    :param replayed_at: when everything was marked to be read again.
    :param reconciled_at: when everything was read, and told; only then is the gap closed.
    """

    id: int
    link: str
    source: GapSource
    name: str
    began_at: datetime
    ended_at: datetime | None
    replayed_at: datetime | None
    reconciled_at: datetime | None
    detail: Mapping[str, Any]


class Health:
    """The health of all links."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Checks

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
        query = select(_S.at).where(_S.link == link).order_by(_S.at).limit(1)
        with self._database.read() as conn:
            return conn.execute(query).scalar_one_or_none()

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

    # Gaps

    def open_gap(
        self,
        conn: Connection,
        link: str,
        source: GapSource,
        name: str,
        began_at: datetime,
        detail: Mapping[str, Any],
    ) -> bool:
        """Note that a source tells us nothing; whether that was news. One gap of a source is open at a time."""
        row: Values = {
            "link": link,
            "source": source,
            "name": name,
            "began_at": began_at,
            "detail": dict(detail),
        }
        adding = insert(conn, health_gap).values(row).on_conflict_do_nothing().returning(_G.id)
        return conn.execute(adding).first() is not None

    def gaps(self, link: str, *, since: datetime | None = None, open_only: bool = False) -> list[Gap]:
        """Gaps, the oldest first.

        :param since: those that began then or later.
        :param open_only: those that are not reconciled yet.
        """
        query = select(health_gap).where(_G.link == link)
        if since is not None:
            query = query.where(_G.began_at >= since)
        if open_only:
            query = query.where(_G.reconciled_at.is_(None))
        with self._database.read() as conn:
            return [Gap(**row._mapping) for row in conn.execute(query.order_by(_G.began_at, _G.id))]

    def note_gap(
        self,
        conn: Connection,
        gap_id: int,
        *,
        ended_at: datetime | None = None,
        replayed_at: datetime | None = None,
        reconciled_at: datetime | None = None,
    ) -> None:
        """Note what has become of a gap; what is ``None`` stays as it is."""
        given = {"ended_at": ended_at, "replayed_at": replayed_at, "reconciled_at": reconciled_at}
        values = {name: moment for name, moment in given.items() if moment is not None}
        if values:
            conn.execute(update(health_gap).where(_G.id == gap_id).values(values))
