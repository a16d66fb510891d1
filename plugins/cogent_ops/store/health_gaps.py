"""Sources outside that tell us of changes: when each told us everything last, and the gaps in which they did not.

A gap is open from the moment from which on something may have been missed until everything was read again and compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, or_, select, update

from cogent_ops.store.engine import Database
from cogent_ops.store.schema import health_gap, health_source
from cogent_ops.store.sql import Values, insert, upsert

_G, _S = health_gap.c, health_source.c

GapSource = Literal["subscription", "messages"]


@dataclass(frozen=True)
class Source:
    """Something outside that was looked at.

    :param status: its own word.
    :param reference: its id there; another one is another source under the same name.
    :param healthy_at: when it was seen in order last; ``None``: never.
    """

    name: str
    status: str
    reference: str
    healthy_at: datetime | None
    looked_at: datetime


@dataclass(frozen=True)
class Gap:
    """A time in which a source told us nothing.

    :param began_at: from then on something may have been missed.
    :param ended_at: from then on it tells us everything again; ``None``: it does not yet.
    :param replayed_at: what lies in the gap was set to be read again.
    :param reconciled_at: all of it was read and compared, or given up with a reason in ``detail``.
    :param detail: what was read and what differs, for people; no personal data.
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


class Gaps:
    """The sources of all links, and their gaps."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Sources

    def source(self, link: str, kind: str, name: str) -> Source | None:
        """One source; ``None`` when nobody has looked at it yet."""
        return self.sources(link, kind).get(name)

    def sources(self, link: str, kind: str) -> dict[str, Source]:
        """Sources of a kind by name."""
        query = select(_S.name, _S.status, _S.reference, _S.healthy_at, _S.looked_at).where(
            _S.link == link, _S.source == kind
        )
        with self._database.read() as conn:
            return {row.name: Source(*row) for row in conn.execute(query)}

    def saw(
        self,
        conn: Connection,
        link: str,
        kind: str,
        name: str,
        status: str,
        at: datetime,
        *,
        is_healthy: bool,
        reference: str = "",
    ) -> None:
        """Note how a source was seen.

        :param is_healthy: it tells us everything; else the time when it did last stays.
        """
        row: Values = {
            "link": link,
            "source": kind,
            "name": name,
            "status": status,
            "reference": reference,
            "healthy_at": at if is_healthy else None,
            "looked_at": at,
        }
        upsert(conn, health_source, [row], fixed=() if is_healthy else ("healthy_at",))

    def forget(self, conn: Connection, link: str, kind: str, name: str) -> None:
        """Nobody waits for this source any more."""
        conn.execute(delete(health_source).where(_S.link == link, _S.source == kind, _S.name == name))

    # Gaps

    def begin(
        self,
        conn: Connection,
        link: str,
        source: GapSource,
        name: str,
        began_at: datetime,
        detail: Mapping[str, Any],
    ) -> Gap:
        """Note that a source may tell us nothing from a moment on; a gap that is open already goes on.

        One that had ended, and was not reconciled yet, has not ended after all: what was read for it is read again.

        :param detail: what is known of it now, instead of what was noted before.
        """
        row: Values = {
            "link": link,
            "source": source,
            "name": name,
            "began_at": began_at,
            "ended_at": None,
            "replayed_at": None,
            "reconciled_at": None,
            "detail": dict(detail),
        }
        adding = insert(conn, health_gap).values(row)
        again = {"ended_at": None, "replayed_at": None, "detail": adding.excluded.detail}
        conn.execute(
            adding.on_conflict_do_update(
                index_elements=["link", "source", "name"],
                index_where=_G.reconciled_at.is_(None),
                set_=again,
            )
        )
        return _gap(conn.execute(select(health_gap).where(*_ongoing(link, source, name))).one())

    def end(self, conn: Connection, gap: Gap, at: datetime) -> None:
        """Note that the source tells us everything again."""
        conn.execute(update(health_gap).where(_is_open(gap), _G.ended_at.is_(None)).values(ended_at=at))

    def replayed(self, conn: Connection, gap: Gap, at: datetime) -> None:
        """Note that what lies in the gap was set to be read again."""
        conn.execute(update(health_gap).where(_is_open(gap)).values(replayed_at=at))

    def close(self, conn: Connection, gap: Gap, at: datetime) -> None:
        """Note that all of it was read and compared, or given up."""
        conn.execute(update(health_gap).where(_is_open(gap)).values(reconciled_at=at))

    def give_up(
        self, conn: Connection, link: str, source: GapSource, name: str, reason: str, at: datetime
    ) -> None:
        """Nobody minds this source any more: its gap, if there is one, closes unread, and says why."""
        gap = self.ongoing(link, source, name, conn)
        if gap is not None:
            self.note(conn, gap, {**gap.detail, "given_up": reason})
            self.close(conn, gap, at)

    def note(self, conn: Connection, gap: Gap, detail: Mapping[str, Any]) -> None:
        """Note what was read and what differs, instead of what was noted before."""
        conn.execute(update(health_gap).where(_is_open(gap)).values(detail=dict(detail)))

    def ongoing(self, link: str, source: GapSource, name: str, conn: Connection | None = None) -> Gap | None:
        """The gap of a source that is not reconciled; ``None``: there is none."""
        if conn is None:
            with self._database.read() as own:
                return self.ongoing(link, source, name, own)
        row = conn.execute(select(health_gap).where(*_ongoing(link, source, name))).one_or_none()
        return None if row is None else _gap(row)

    def open(self, link: str) -> list[Gap]:
        """Gaps that are not reconciled, the oldest first."""
        query = select(health_gap).where(_G.link == link, _G.reconciled_at.is_(None)).order_by(_G.id)
        with self._database.read() as conn:
            return [_gap(row) for row in conn.execute(query)]

    def recent(self, link: str, since: datetime) -> list[Gap]:
        """Gaps that reach beyond a moment, the oldest first."""
        reaches = or_(_G.reconciled_at.is_(None), _G.reconciled_at >= since, _G.began_at >= since)
        query = select(health_gap).where(_G.link == link, reaches).order_by(_G.id)
        with self._database.read() as conn:
            return [_gap(row) for row in conn.execute(query)]


def _ongoing(link: str, source: str, name: str) -> tuple[ColumnElement[bool], ...]:
    return (_G.link == link, _G.source == source, _G.name == name, _G.reconciled_at.is_(None))


def _is_open(gap: Gap) -> ColumnElement[bool]:
    return and_(_G.id == gap.id, _G.reconciled_at.is_(None))


def _gap(row: Row[Any]) -> Gap:
    return Gap(**row._mapping)
