"""Statements that both databases understand: bulk upserts and lookups by many keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Connection,
    Double,
    Select,
    Table,
    Text,
    cast,
    column,
    func,
    literal,
    select,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Row

from cogent_ops.store.engine import Database, to_json
from cogent_ops.store.schema import UtcDateTime

Item = TypeVar("Item")
Values = dict[str, Any]

#: Keys named in one statement. SQLite allows 999 variables where it is old, PostgreSQL 65,535.
KEYS_PER_STATEMENT = 900
ROWS_PER_PAGE = 1000


def now() -> datetime:
    """The process's clock."""
    return datetime.now(UTC)


def chunks(items: Iterable[Item], size: int = KEYS_PER_STATEMENT) -> Iterator[list[Item]]:
    """Cut ``items`` into lists of at most ``size``."""
    source = iter(items)
    while chunk := list(islice(source, size)):
        yield chunk


def seconds_between(
    conn: Connection, begin: ColumnElement[Any], end: ColumnElement[Any]
) -> ColumnElement[float]:
    """How long it is from one moment to the other, in seconds; negative when it is the other way round."""
    if conn.dialect.name == "sqlite":
        days = func.julianday(end) - func.julianday(begin)
        return cast(days * 86_400.0, Double)
    return cast(func.extract("epoch", end - begin), Double)


def hour_of(conn: Connection, moment: ColumnElement[Any]) -> ColumnElement[str]:
    """The hour in which a moment lies, in UTC, as text: ``2026-11-28 10``."""
    if conn.dialect.name == "sqlite":
        # As it is stored.
        return func.substr(moment, 1, 13, type_=Text)
    return func.to_char(func.timezone("UTC", moment), "YYYY-MM-DD HH24", type_=Text)


def as_moment(hour: str) -> datetime:
    """What :func:`hour_of` gives, as the moment at which the hour begins."""
    return datetime.fromisoformat(f"{hour}:00:00").replace(tzinfo=UTC)


def insert(conn: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """The database's own INSERT, the one with ``ON CONFLICT``."""
    return sqlite.insert(table) if conn.dialect.name == "sqlite" else postgresql.insert(table)


def upsert(
    conn: Connection,
    table: Table,
    rows: Iterable[Values],
    *,
    key: Sequence[str] = (),
    fixed: Sequence[str] = (),
    changes: Values | None = None,
) -> None:
    """Insert ``rows``, which all have the same columns, or update those that exist; of equal keys the last counts.

    :param key: columns of the unique constraint; the primary key when empty.
    :param fixed: columns that an update leaves as they are.
    :param changes: by column, an expression to set instead of the new row's value.
    """
    names = tuple(key) or tuple(column.name for column in table.primary_key)
    # The same order in every process: two of them upserting the same rows must not wait for each other.
    ordered = sorted(rows, key=lambda row: tuple(row[name] for name in names))
    if not ordered:
        return
    statement = insert(conn, table)
    updated: Values = {
        name: statement.excluded[name] for name in ordered[0] if name not in names and name not in fixed
    }
    updated.update(changes or {})
    if isinstance(statement, postgresql.Insert):
        statement = statement.from_select(list(ordered[0]), _recordset(conn, table, ordered, names))
        conn.execute(statement.on_conflict_do_update(index_elements=names, set_=updated))
    else:
        conn.execute(statement.on_conflict_do_update(index_elements=names, set_=updated), ordered)


def insert_new(conn: Connection, table: Table, rows: Iterable[Values], *, key: Sequence[str]) -> int:
    """Insert those of the rows whose key is not there yet, in their order; of equal keys the first counts.

    Two transactions that may insert the same keys must take turns.

    :param key: columns of the unique constraint.
    :return: how many were new.
    """
    added = 0
    for chunk in chunks(rows, ROWS_PER_PAGE):
        first: dict[tuple[Any, ...], Values] = {}
        for row in chunk:
            first.setdefault(tuple(row[name] for name in key), row)
        new, statement = list(first.values()), insert(conn, table)
        if isinstance(statement, postgresql.Insert):
            statement = statement.from_select(list(new[0]), _recordset(conn, table, new, key))
            adding = statement.on_conflict_do_nothing(index_elements=key)
            added += len(conn.execute(adding.returning(literal(1))).all())
        else:
            # Its driver counts the rows of the last set of parameters only.
            before = conn.exec_driver_sql("SELECT total_changes()").scalar_one()
            conn.execute(statement.on_conflict_do_nothing(index_elements=key), new)
            added += conn.exec_driver_sql("SELECT total_changes()").scalar_one() - before
    return added


def lock(
    conn: Connection, key: Column[str], values: Sequence[str], *where: ColumnElement[bool]
) -> Sequence[str]:
    """Lock rows before they are changed, in the order in which :func:`upsert` locks them.

    Change those only that are returned: others may have appeared since, and would be locked out of order.

    :param values: what ``key`` should be, in order.
    :return: keys of the rows locked; on SQLite, whose writers take turns anyway, simply all of ``values``.
    """
    if conn.dialect.name == "sqlite":
        return values
    return (
        conn.execute(select(key).where(*where, key.in_(values)).order_by(key).with_for_update())
        .scalars()
        .all()
    )


def take_turns(conn: Connection, *subject: str) -> None:
    """Wait until no other transaction has its turn with a subject; the turn ends with this transaction.

    For transactions that touch rows which :func:`lock` cannot know yet. On SQLite all writers take turns.
    """
    if conn.dialect.name != "sqlite":
        name = "/".join(("cogent_ops", *subject))
        conn.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


def _recordset(conn: Connection, table: Table, rows: Sequence[Values], key: Sequence[str]) -> Select[Any]:
    """All rows as one JSON parameter: several times faster on PostgreSQL than a statement for each row."""
    columns = [table.c[name] for name in rows[0]]
    plain = {target.name: _plain(conn, target) for target in columns}
    records = [{name: convert(row[name]) for name, convert in plain.items()} for row in rows]
    # Dirty keys may have become equal only now, and PostgreSQL refuses to touch a row twice in a statement.
    unique = {tuple(record[name] for name in key): record for record in records}
    source = (
        func.json_to_recordset(cast(literal(to_json(list(unique.values())), Text), JSON))
        .table_valued(*(column(c.name, Text if _is_json(c) else c.type) for c in columns))
        .render_derived(name="source", with_types=True)
    )
    return select(*(cast(source.c[c.name], JSON) if _is_json(c) else source.c[c.name] for c in columns))


def _is_json(target: Column[Any]) -> bool:
    return isinstance(target.type, JSON)


def _plain(conn: Connection, target: Column[Any]) -> Callable[[Any], Any]:
    """How a column's values become JSON. JSON itself goes as text: PostgreSQL keeps its escapes only unread."""
    if _is_json(target):
        return to_json
    bind = target.type.dialect_impl(conn.dialect).bind_processor(conn.dialect)
    convert: Callable[[Any], Any] = bind or (lambda value: value)
    if isinstance(target.type, UtcDateTime):
        return lambda value: None if value is None else convert(value).isoformat()
    return convert


def pages(database: Database, query: Select[Any], *cursor: Column[Any]) -> Iterator[Row[Any]]:
    """All rows of a query, a page at a time, each page in a read of its own.

    The caller may take as long as it likes between rows: no transaction stays open. So it is no snapshot:
    rows that others add or remove meanwhile may or may not be seen, all others are seen once.

    :param cursor: columns that order the rows; selected, never null and together unique.
    """
    ordered = query.order_by(*cursor).limit(ROWS_PER_PAGE)
    page = _page(database, ordered)
    while page:
        yield from page
        if len(page) < ROWS_PER_PAGE:
            return
        last = tuple_(*(literal(page[-1]._mapping[column], column.type) for column in cursor))
        page = _page(database, ordered.where(tuple_(*cursor) > last))


def _page(database: Database, query: Select[Any]) -> Sequence[Row[Any]]:
    with database.read() as conn:
        return conn.execute(query).all()
