"""Which exceptions a person is to be asked about in Airflow, all of one cause in one question."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select, tuple_, update

from cogent_ops.domain.exceptions import OPEN, Status
from cogent_ops.store.engine import Database
from cogent_ops.store.exceptions import Cause, by_cause, drill_clause, stored
from cogent_ops.store.schema import exception
from cogent_ops.store.sql import chunks, take_turns

#: How long an answer that left things as they are keeps a question from being asked again.
HOLD = timedelta(hours=4)
#: After so long a run that asked, and did not say what came of it, is taken for dead. Longer than any run waits.
LOST = timedelta(hours=3)


class Questions:
    """Open exceptions as questions: each is put to people once at a time, whatever runs ask; drills never are."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def is_due(self, link: str, kinds: Collection[str], moment: datetime) -> bool:
        """Whether somebody should be asked something now.

        :param kinds: those that can be decided about.
        """
        with self._database.read() as conn:
            return conn.execute(_due_groups(link, kinds, moment).limit(1)).first() is not None

    def claim(
        self, link: str, kinds: Collection[str], asked_by: str, moment: datetime, *, limit: int
    ) -> list[Cause]:
        """Take questions that are due, the oldest first; nobody else asks them until :meth:`answered`.

        A cause about which somebody is being asked waits, with all that was raised meanwhile.

        :param asked_by: the run that asks. Claiming again in its name gives what it claimed before as well.
        """
        e = exception.c
        with self._database.begin() as conn:
            take_turns(conn, link, "questions")
            groups = conn.execute(_due_groups(link, kinds, moment).limit(limit)).all()
            if groups:
                among = tuple_(e.kind, e.cause_group).in_([(one.kind, one.cause_group) for one in groups])
                asking = update(exception).where(e.link == link, among, _is_due(moment))
                conn.execute(asking.values(asked_by=asked_by, asked_at=moment))
            rows = conn.execute(
                select(exception)
                .where(e.link == link, e.status.in_(OPEN), e.asked_by == asked_by)
                .order_by(e.id)
            ).all()
        return by_cause(map(stored, rows))

    def asked(self, link: str, asked_by: str, ids: Collection[int]) -> list[int]:
        """Those of the exceptions about which this run still waits for an answer, the oldest first."""
        e = exception.c
        waiting: list[int] = []
        with self._database.read() as conn:
            for chunk in chunks(sorted(ids)):
                query = select(e.id).where(e.link == link, e.id.in_(chunk), e.asked_by == asked_by)
                waiting += conn.execute(query.order_by(e.id)).scalars()
        return waiting

    def answered(
        self, conn: Connection, link: str, asked_by: str, ids: Collection[int], *, at: datetime | None
    ) -> None:
        """Let exceptions be asked about again by others.

        :param at: when a person answered: it is asked again when :data:`HOLD` has passed, or when what was tried again
            has failed again. ``None``: at once, as when nobody did.
        """
        e = exception.c
        for chunk in chunks(sorted(ids)):
            mine = and_(e.link == link, e.id.in_(chunk), e.asked_by == asked_by)
            conn.execute(update(exception).where(mine).values(asked_by=None, asked_at=at))


def _is_due(moment: datetime) -> ColumnElement[bool]:
    e = exception.c
    failed_again = and_(e.status == Status.IN_PROGRESS, e.replays > 0, e.last_seen > e.asked_at)
    free = or_(e.asked_at.is_(None), e.asked_at <= moment - HOLD, failed_again)
    return and_(
        e.status.in_(OPEN),
        or_(and_(e.asked_by.is_(None), free), and_(e.asked_by.is_not(None), e.asked_at <= moment - LOST)),
    )


def _due_groups(link: str, kinds: Collection[str], moment: datetime) -> Select[tuple[str, str]]:
    e, other = exception.c, exception.alias("other")
    being_asked = (
        select(other.c.id)
        .where(
            other.c.link == link,
            other.c.kind == e.kind,
            other.c.cause_group == e.cause_group,
            other.c.status.in_(OPEN),
            other.c.asked_by.is_not(None),
            other.c.asked_at > moment - LOST,
        )
        .exists()
    )
    return (
        select(e.kind, e.cause_group)
        .where(
            e.link == link,
            e.kind.in_(sorted(kinds)),
            _is_due(moment),
            ~being_asked,
            ~drill_clause(e.cause_key),
        )
        .group_by(e.kind, e.cause_group)
        .order_by(func.min(e.id))
    )
