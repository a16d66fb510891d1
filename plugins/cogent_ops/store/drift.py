"""Nights of comparison: what they found, and what became of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, Select, and_, delete, exists, func, or_, select, update
from sqlalchemy.engine import Row

from cogent_ops.domain.drift.model import Area, Cause, Finding
from cogent_ops.store.engine import Database
from cogent_ops.store.schema import drift_finding, drift_night, drift_total
from cogent_ops.store.sql import chunks, now, take_turns, upsert

_N, _T, _F = drift_night.c, drift_total.c, drift_finding.c
_FINDING = TypeAdapter(Finding)
_KEY = ("link", "night", "area", "cause", "subject")


class FindingState(StrEnum):
    """What becomes of a finding."""

    #: Nothing is mended from here; people act.
    REPORTED = "reported"
    #: It can be mended, and waits for a decision.
    PROPOSED = "proposed"
    #: Its movement is in the inbox, or in commercetools already; the next night verifies it.
    HEALING = "healing"
    VERIFIED = "verified"
    #: Mended, and wrong again the next night.
    RETURNED = "returned"
    #: A person said no, or nobody answered.
    DECLINED = "declined"
    #: Something else happened to it before it was mended.
    OVERTAKEN = "overtaken"


#: States of which a repeated comparison leaves nothing: nobody has decided yet.
_UNDECIDED = (FindingState.REPORTED, FindingState.PROPOSED)
#: States in which something is still to come of a finding.
_OPEN = (FindingState.PROPOSED, FindingState.HEALING)

#: Causes by which a quantity was settled anew, or may have been. Each night begins with what entries said the night
#: before, so what was lost or is there twice comes on top of what was found before, and what waits says nothing of it.
SETTLING = (Cause.COUNT_DIFFERENCE, Cause.MANUAL_EDIT, Cause.MISSING_ENTRY, Cause.UNEXPLAINED)


@dataclass(frozen=True)
class StoredFinding:
    """A finding with what became of it.

    :param decided_by: who had it mended, or declined it.
    :param outcome: why it is where it is, in words.
    """

    id: int
    finding: Finding
    state: FindingState
    decided_by: str | None
    outcome: str | None


@dataclass(frozen=True)
class NightTotal:
    """What a night found of one cause; units and money without signs."""

    night: str
    area: Area
    cause: Cause
    currency: str
    findings: int
    units: int
    amount: int


@dataclass(frozen=True)
class StoredNight:
    """A night."""

    link: str
    night: str
    run_key: str
    state: str
    backfilled: bool
    checked: int
    counts: Mapping[str, Any]
    report_path: str | None
    started_at: datetime
    finished_at: datetime | None


class Drift:
    """The nights of all links."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, link: str, night: str, run_key: str, *, backfilled: bool) -> None:
        """Note that a night begins; a repeated start keeps what the earlier one found until it finds anew."""
        row = {
            "link": link,
            "night": night,
            "run_key": run_key,
            "state": "running",
            "backfilled": backfilled,
            "checked": 0,
            "counts": {},
            "report_path": None,
            "started_at": now(),
            "finished_at": None,
        }
        with self._database.begin() as conn:
            upsert(conn, drift_night, [row], fixed=("started_at", "checked", "counts", "report_path"))

    def finish(
        self,
        conn: Connection,
        link: str,
        night: str,
        checked: int,
        counts: Mapping[str, Any],
        report_path: str,
    ) -> None:
        """Note that a night is done."""
        done = {"state": "done", "checked": checked, "counts": dict(counts), "report_path": report_path}
        here = and_(_N.link == link, _N.night == night)
        conn.execute(update(drift_night).where(here).values(**done, finished_at=now()))

    def record(
        self,
        conn: Connection,
        link: str,
        night: str,
        totals: Iterable[NightTotal],
        kept: Iterable[tuple[Finding, FindingState]],
    ) -> None:
        """Store what a night found, instead of what an earlier try of it found.

        Decisions stay, and what is found again keeps its id: a question about it may be open.

        :param kept: findings to keep one by one, and what is to become of them.
        """
        here = and_(_F.link == link, _F.night == night)
        conn.execute(delete(drift_total).where(_T.link == link, _T.night == night))
        upsert(conn, drift_total, [{"link": link, **vars(one)} for one in totals])
        before = select(_F.id, _F.area, _F.cause, _F.subject, _F.state).where(here)
        undecided, decided = dict[tuple[str, ...], int](), set[tuple[str, ...]]()
        for id_, *key, state in conn.execute(before.order_by(_F.id).with_for_update()):
            if state in _UNDECIDED:
                undecided[tuple(key)] = id_
            else:
                decided.add(tuple(key))
        moment = now()
        rows = [_row(finding, state, moment) for finding, state in kept if finding.key not in decided]
        upsert(conn, drift_finding, rows, key=_KEY, fixed=("created_at",))
        gone = undecided.keys() - {(row["area"], row["cause"], row["subject"]) for row in rows}
        for chunk in chunks(sorted(undecided[key] for key in gone)):
            conn.execute(delete(drift_finding).where(_F.id.in_(chunk)))

    def findings(
        self,
        link: str,
        night: str | None = None,
        states: Collection[FindingState] = (),
        since: datetime | None = None,
    ) -> list[StoredFinding]:
        """Findings of a night, or of all, in the order in which they were stored.

        :param states: only those in one of these; none: all.
        :param since: only those that came into their states since then; ``None``: whenever.
        """
        query = select(drift_finding).where(_F.link == link)
        if night is not None:
            query = query.where(_F.night == night)
        if states:
            query = query.where(_F.state.in_(states))
        if since is not None:
            query = query.where(_F.updated_at >= since)
        with self._database.read() as conn:
            return [_stored(row) for row in conn.execute(query.order_by(_F.id))]

    def at(self, link: str, subjects: Iterable[str], after: str) -> set[str]:
        """Those of the stock subjects of which a later night than ``after`` found what settles what was found before.

        What an order should have moved is settled by any later finding about it, which says the same anew.
        """
        settles = or_(_F.reference != "", _F.cause.in_(SETTLING))
        found: set[str] = set()
        with self._database.read() as conn:
            for chunk in chunks(subjects):
                query = select(_F.subject).where(
                    _F.link == link, _F.area == Area.STOCK, _F.subject.in_(chunk), _F.night > after, settles
                )
                found.update(conn.execute(query).scalars())
        return found

    def decide(
        self, conn: Connection, ids: Sequence[int], state: FindingState, *, actor: str | None, outcome: str
    ) -> int:
        """Move findings to a state; returns how many there were.

        :param actor: whose decision it was; ``None``: it stays whose it was.
        """
        moved = 0
        for chunk in chunks(sorted(ids)):
            values: dict[str, Any] = {"state": state, "outcome": outcome, "updated_at": now()}
            if actor is not None:
                values["decided_by"] = actor
            moved += conn.execute(update(drift_finding).where(_F.id.in_(chunk)).values(values)).rowcount
        return moved

    def lock(self, conn: Connection, ids: Sequence[int], state: FindingState) -> set[int]:
        """Lock those of the findings that are in a state, so that two do not decide about them at once."""
        found: set[int] = set()
        for chunk in chunks(sorted(ids)):
            query = select(_F.id).where(_F.id.in_(chunk), _F.state == state).order_by(_F.id).with_for_update()
            found.update(conn.execute(query).scalars())
        return found

    def purge(self, link: str, before: datetime, limit: int) -> int:
        """Delete nights that began before a moment, with what they found; how many rows.

        The youngest night stays, and so does a night of which a difference waits for an answer or is being mended.

        :param limit: rows of findings at most.
        """
        gone = 0
        with self._database.begin() as conn:
            youngest = select(func.max(_N.night)).where(_N.link == link).scalar_subquery()
            old = select(_N.night).where(_N.link == link, _N.started_at < before, _N.night != youngest)
            for night in conn.execute(old.order_by(_N.night)).scalars().all():
                here = and_(_F.link == link, _F.night == night)
                if conn.execute(select(exists().where(here, _F.state.in_(_OPEN)))).scalar_one():
                    continue
                some = select(_F.id).where(here).order_by(_F.id).limit(limit - gone)
                gone += conn.execute(delete(drift_finding).where(_F.id.in_(some))).rowcount
                if gone >= limit:
                    break
                conn.execute(delete(drift_total).where(_T.link == link, _T.night == night))
                gone += conn.execute(delete(drift_night).where(_N.link == link, _N.night == night)).rowcount
        return gone

    def take_turns(self, conn: Connection, project: str) -> None:
        """Let one transaction at a time heal a project, which links may share."""
        take_turns(conn, "drift", project)

    def of_run(self, link: str, run_key: str) -> str | None:
        """The night that a run was about; ``None`` when it has compared none."""
        query = select(_N.night).where(_N.link == link, _N.run_key == run_key).order_by(_N.night.desc())
        with self._database.read() as conn:
            return conn.execute(query.limit(1)).scalar_one_or_none()

    def nights(self, link: str, limit: int, until: str | None = None) -> list[StoredNight]:
        """The youngest nights, the youngest first.

        :param until: the last of them; ``None``: the youngest of all.
        """
        with self._database.read() as conn:
            return [StoredNight(**row._mapping) for row in conn.execute(_youngest(link, limit, until))]

    def trend(self, link: str, limit: int, until: str) -> list[NightTotal]:
        """What the nights of :meth:`nights` found, the oldest first; a night that found nothing has no row."""
        nights = _youngest(link, limit, until).subquery()
        query = (
            select(drift_total)
            .where(_T.link == link, _T.night.in_(select(nights.c.night)))
            .order_by(_T.night, _T.area, _T.cause, _T.currency)
        )
        with self._database.read() as conn:
            return [total_of(row) for row in conn.execute(query)]


def total_of(row: Row[Any]) -> NightTotal:
    """What a row of its table says."""
    numbers = (row.currency, row.findings, row.units, row.amount)
    return NightTotal(row.night, Area(row.area), Cause(row.cause), *numbers)


def _youngest(link: str, limit: int, until: str | None) -> Select[Any]:
    found = select(drift_night).where(_N.link == link)
    if until is not None:
        found = found.where(_N.night <= until)
    return found.order_by(_N.night.desc()).limit(limit)


def _row(finding: Finding, state: FindingState, moment: datetime) -> dict[str, Any]:
    return {
        **_FINDING.dump_python(finding, mode="json"),
        "state": state,
        "decided_by": None,
        "outcome": None,
        "created_at": moment,
        "updated_at": moment,
    }


def finding_of(row: Row[Any]) -> Finding:
    """The finding that a row of its table holds."""
    return _FINDING.validate_python({one.name: getattr(row, one.name) for one in fields(Finding)})


def _stored(row: Row[Any]) -> StoredFinding:
    return StoredFinding(row.id, finding_of(row), FindingState(row.state), row.decided_by, row.outcome)
