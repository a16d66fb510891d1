"""Lists of exceptions for people: sorted, counted and cut into pages by the database, however many there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, func, literal_column, select, tuple_
from sqlalchemy.engine import Row

from cogent_ops.domain.money import Money
from cogent_ops.domain.policies import Severity
from cogent_ops.store.engine import Database
from cogent_ops.store.exceptions import Filter, StoredException, drill_clause, narrowed, stored
from cogent_ops.store.schema import exception
from cogent_ops.store.sql import chunks

#: Causes named in one statement: SQLite allows 999 variables, and a cause has two.
CAUSES_PER_STATEMENT = 400

_E = exception.c
#: The kind as an expression. Grouped by the column itself, SQLite would walk an index of all exceptions that there ever
#: were, only because it has them in that order.
_KIND = _E.kind.op("||")(literal_column("''"))


class Sort(StrEnum):
    """What stands first."""

    #: What is overdue, then what is critical, then by deadline, then by money.
    URGENCY = "urgency"
    #: What is due first.
    DEADLINE = "deadline"
    #: What most money depends on, minor units whatever the currency.
    MONEY = "money"
    #: What was opened last, or closed last.
    NEWEST = "newest"


@dataclass(frozen=True)
class ListedCause:
    """Exceptions that one deed would cure.

    :param count: how many of them the list holds.
    :param deadline: the earliest.
    :param opened_at: of the oldest.
    :param at_stake: money that depends on them; ``None``: none, or it is of several currencies.
    :param first: those that come first in the list, by its order.
    """

    kind: str
    cause_group: str
    count: int
    deadline: datetime | None
    opened_at: datetime | None
    at_stake: Money | None
    first: tuple[StoredException, ...]


@dataclass(frozen=True)
class ListTotals:
    """A list in numbers; drills count in ``all`` only.

    :param overdue: those whose owner should have acted.
    :param soon: those whose owner should act before long.
    :param valued: those on which money depends.
    :param at_stake: that money, a sum for each currency, the largest first.
    """

    all: int
    overdue: int
    soon: int
    valued: int
    at_stake: tuple[Money, ...]


class Listing:
    """The exceptions of all links, for reading only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def exceptions(
        self, link: str, wanted: Filter, sort: Sort, moment: datetime, *, limit: int, offset: int = 0
    ) -> list[StoredException]:
        """A page of single exceptions."""
        query = select(exception).where(*_listed(link, wanted)).order_by(*_order(sort, moment))
        with self._database.read() as conn:
            return [stored(row) for row in conn.execute(query.limit(limit).offset(offset))]

    def ids(self, link: str, wanted: Filter, sort: Sort, moment: datetime, *, limit: int) -> list[int]:
        """Their numbers alone, in the same order."""
        query = select(_E.id).where(*_listed(link, wanted)).order_by(*_order(sort, moment)).limit(limit)
        with self._database.read() as conn:
            return list(conn.execute(query).scalars())

    def causes(
        self,
        link: str,
        wanted: Filter,
        sort: Sort,
        moment: datetime,
        *,
        limit: int,
        offset: int = 0,
        first: int,
    ) -> list[ListedCause]:
        """A page of causes.

        :param first: so many exceptions of each are read.
        """
        query = (
            select(
                _KIND.label("kind"),
                _E.cause_group,
                func.count().label("how_many"),
                func.min(_E.deadline).label("deadline"),
                func.min(_E.opened_at).label("opened_at"),
                func.sum(_E.amount).label("amount"),
                func.min(_E.currency).label("currency"),
                func.max(_E.currency).label("other_currency"),
            )
            .where(*_listed(link, wanted))
            .group_by(_KIND, _E.cause_group)
            .order_by(*_cause_order(sort, moment))
        )
        with self._database.read() as conn:
            rows = conn.execute(query.limit(limit).offset(offset)).all()
            some = self._first_of(conn, link, wanted, sort, moment, rows, first)
        return [
            ListedCause(
                row.kind,
                row.cause_group,
                row.how_many,
                row.deadline,
                row.opened_at,
                _sum(row),
                tuple(some[row.kind, row.cause_group]),
            )
            for row in rows
            # Between the two statements a flow may have closed the last one.
            if some[row.kind, row.cause_group]
        ]

    def _first_of(
        self,
        conn: Connection,
        link: str,
        wanted: Filter,
        sort: Sort,
        moment: datetime,
        causes: Sequence[Row[Any]],
        first: int,
    ) -> dict[tuple[str, str], list[StoredException]]:
        found: dict[tuple[str, str], list[StoredException]] = {
            (row.kind, row.cause_group): [] for row in causes
        }
        order = _order(sort, moment)
        place = func.row_number().over(partition_by=(_E.kind, _E.cause_group), order_by=order).label("place")
        for chunk in chunks(found, CAUSES_PER_STATEMENT):
            ranked = (
                select(_E.id, place)
                .where(
                    *_listed(link, wanted),
                    # SQLite finds no pairs by an index.
                    _E.kind.in_(sorted({kind for kind, _ in chunk})),
                    tuple_(_E.kind, _E.cause_group).in_(chunk),
                )
                .subquery()
            )
            query = (
                select(exception)
                .join(ranked, _E.id == ranked.c.id)
                .where(ranked.c.place <= first)
                .order_by(ranked.c.place)
            )
            for row in conn.execute(query):
                found[row.kind, row.cause_group].append(stored(row))
        return found

    def count(self, link: str, wanted: Filter) -> int:
        """How many exceptions there are."""
        return self._number(select(func.count()).select_from(exception).where(*_listed(link, wanted)))

    def count_causes(self, link: str, wanted: Filter) -> int:
        """How many causes they have."""
        each = select(_KIND).where(*_listed(link, wanted)).group_by(_KIND, _E.cause_group).subquery()
        return self._number(select(func.count()).select_from(each))

    def _number(self, query: Select[Any]) -> int:
        with self._database.read() as conn:
            return int(conn.execute(query).scalar_one())

    def totals(self, link: str, wanted: Filter, moment: datetime, soon: timedelta) -> ListTotals:
        """What a list comes to.

        :param soon: what is due within this is due before long.
        """
        is_real = ~drill_clause(_E.cause_key)
        overdue, before_long = _E.deadline < moment, _E.deadline < moment + soon
        query = (
            select(
                _E.currency,
                func.count().label("all"),
                _count_if(is_real & overdue).label("overdue"),
                _count_if(is_real & before_long & ~overdue).label("soon"),
                _count_if(is_real & (_E.amount > 0)).label("valued"),
                func.sum(case((is_real, _E.amount))).label("amount"),
            )
            .where(*_listed(link, wanted))
            .group_by(_E.currency)
        )
        with self._database.read() as conn:
            rows = conn.execute(query).all()
        sums = [Money(row.currency, int(row.amount)) for row in rows if row.currency and row.amount]
        return ListTotals(
            all=sum(row.all for row in rows),
            overdue=sum(int(row.overdue) for row in rows),
            soon=sum(int(row.soon) for row in rows),
            valued=sum(int(row.valued) for row in rows),
            at_stake=tuple(sorted(sums, key=lambda one: -one.cents)),
        )

    def by(self, column: str, link: str, wanted: Filter) -> dict[str, int]:
        """How many exceptions there are of each owner, kind or place, the most first.

        :param column: ``owner``, ``kind`` or ``place``.
        """
        named = _E[column]
        query = select(named, func.count()).where(*_listed(link, wanted)).group_by(named)
        with self._database.read() as conn:
            found = {str(name): int(count) for name, count in conn.execute(query)}
        return dict(sorted(found.items(), key=lambda one: (-one[1], one[0])))


def _listed(link: str, wanted: Filter) -> list[ColumnElement[bool]]:
    return [_E.link == link, *narrowed(wanted)]


def _count_if(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((condition, 1), else_=0))


def _sum(row: Row[Any]) -> Money | None:
    is_one = row.currency is not None and row.currency == row.other_currency
    return Money(row.currency, int(row.amount)) if is_one and row.amount else None


# The order. NULL sorts first on one database and last on the other, so nothing is left to them.

_LOUDNESS: Mapping[str, int] = {severity.value: place for place, severity in enumerate(Severity)}


def _rank(moment: datetime) -> ColumnElement[int]:
    """Overdue before what is not, loud before quiet."""
    loudness = case(_LOUDNESS, value=_E.severity, else_=len(_LOUDNESS))
    return loudness + case((_E.deadline < moment, 0), else_=len(_LOUDNESS) + 1)


def _last_if_null(column: ColumnElement[Any]) -> tuple[ColumnElement[Any], ...]:
    return (case((column.is_(None), 1), else_=0), column)


def _touched() -> ColumnElement[datetime]:
    return func.coalesce(_E.resolved_at, _E.opened_at, _E.first_seen)


def _order(sort: Sort, moment: datetime) -> list[ColumnElement[Any]]:
    money = func.coalesce(_E.amount, 0).desc()
    due = _last_if_null(_E.deadline)
    by: Iterable[ColumnElement[Any]]
    match sort:
        case Sort.URGENCY:
            by = (_rank(moment), *due, money)
        case Sort.DEADLINE:
            by = (*due, _rank(moment))
        case Sort.MONEY:
            by = (money, *due)
        case Sort.NEWEST:
            by = (_touched().desc(),)
    return [*by, _E.id]


def _cause_order(sort: Sort, moment: datetime) -> list[ColumnElement[Any]]:
    """The same for causes: by the best place that one of their exceptions has."""
    money = func.coalesce(func.sum(_E.amount), 0).desc()
    due = _last_if_null(func.min(_E.deadline))
    rank = func.min(_rank(moment))
    by: Iterable[ColumnElement[Any]]
    match sort:
        case Sort.URGENCY:
            by = (rank, *due, money)
        case Sort.DEADLINE:
            by = (*due, rank)
        case Sort.MONEY:
            by = (money, *due)
        case Sort.NEWEST:
            by = (func.max(_touched()).desc(),)
    return [*by, func.min(_E.id)]
