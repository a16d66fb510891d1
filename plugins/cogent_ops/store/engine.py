"""Connections to the store: one engine per process, explicit read and write transactions.

SQLite loses updates without a word when two processes read, compute and write (measured: 83 % lost with its
defaults), so every write transaction takes the write lock at its start (``BEGIN IMMEDIATE``) and waits for
it. A read takes no lock and is refused the right to write.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from cogent_ops.errors import ConnectionConfigError, StoreUnavailable

CONNECTION_ID = "cogent_ops_store"
#: How long a connection waits for SQLite's write lock before it gives up.
BUSY_TIMEOUT_SECONDS = 30
CONNECT_TIMEOUT_SECONDS = 10

_WRITES = "cogent_ops_writes"
_POSTGRESQL_NAMES = ("postgres", "postgresql", "postgresql+psycopg")
_SQLITE_TRANSIENT = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
    }
)
#: SQLSTATEs by prefix: connection, rollback (deadlock), resources, operator intervention, lock not available.
_POSTGRESQL_TRANSIENT = ("08", "40", "53", "57", "55P03")


def default_url() -> URL:
    """The embedded store: a SQLite file in AIRFLOW_HOME."""
    home = Path(os.environ.get("AIRFLOW_HOME") or Path.home() / "airflow")
    return URL.create("sqlite", database=str(home / "cogent_ops.db"))


def parse_url(url: str | URL | None) -> URL:
    """The store's address in the form this package uses; ``None`` means the embedded default.

    :param url: ``sqlite:///<path>`` or ``postgresql://...``; also ``postgres://``, which Airflow writes.
    :raises ConnectionConfigError: for another database, an in-memory one, or text that is no URL.
    """
    if url is None:
        return default_url()
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise _unusable("it is not a database URL") from None
    if parsed.drivername in _POSTGRESQL_NAMES:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() != "sqlite":
        raise _unusable(f"'{parsed.drivername}' is not supported")
    if sqlite_path(parsed) is None:
        raise _unusable("an in-memory database cannot be shared by processes")
    return parsed.set(drivername="sqlite")


def sqlite_path(url: URL) -> Path | None:
    """The file behind a SQLite URL; ``None`` for PostgreSQL and for a database in memory."""
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return Path(str(url.database))


def _unusable(problem: str) -> ConnectionConfigError:
    return ConnectionConfigError(
        CONNECTION_ID,
        "conn_type",
        problem,
        "Use postgresql://user:password@host:5432/database or sqlite:////absolute/path/cogent_ops.db.",
    )


class Database:
    """A store's connections. Get it from :func:`database`, so that a process has one engine per URL."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self._thread = threading.local()

    @property
    def engine(self) -> Engine:
        """The process's own engine; a fork gets a fresh one and never touches its parent's connections."""
        key = (os.getpid(), self.url)
        engine = _ENGINES.get(key)
        if engine is None:
            engine = _ENGINES.setdefault(key, _create_engine(self.url))
        return engine

    @property
    def is_writing(self) -> bool:
        """Whether this thread has a write transaction open."""
        return getattr(self._thread, "writing", False)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A write transaction: committed at the end of the block, rolled back by an exception.

        Keep it short and call no other system inside: on SQLite every other writer waits meanwhile.

        :raises StoreUnavailable: when the database is out of reach or its lock stayed taken.
        :raises RuntimeError: when this thread has one open already (a second one would wait for the first).
        """
        if self.is_writing:
            raise RuntimeError("This thread has a write transaction open: pass its connection on instead.")
        self._thread.writing = True
        try:
            with _translated(self.url), self.engine.connect() as conn:
                conn.execution_options(**{_WRITES: True})
                with conn.begin():
                    yield conn
        finally:
            self._thread.writing = False

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read-only transaction; it takes no write lock and the database refuses writes in it.

        :raises StoreUnavailable: when the database is out of reach.
        """
        with _translated(self.url), self.engine.connect() as conn:
            conn.execution_options(postgresql_readonly=True)
            yield conn

    def epoch(self, conn: Connection) -> float:
        """Now, in seconds since 1970 UTC, by the one clock that every process using this database shares."""
        if self.is_sqlite:
            return time.time()
        return float(conn.execute(select(func.extract("epoch", func.clock_timestamp()))).scalar_one())

    def close(self) -> None:
        """Close this process's connections; the next use opens new ones."""
        engine = _ENGINES.pop((os.getpid(), self.url), None)
        if engine is not None:
            engine.dispose()


# Entries of other processes stay after a fork on purpose: collecting the parent's connections in the child
# would close them, and a connection must not be closed by a process that did not open it.
_ENGINES: dict[tuple[int, URL], Engine] = {}
_DATABASES: dict[URL, Database] = {}


def database(url: URL) -> Database:
    """The one :class:`Database` for this URL."""
    return _DATABASES.setdefault(url, Database(url))


def _create_engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_SECONDS})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    # Server-side prepared statements break behind a pooler in transaction mode, which many sites run.
    options: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "application_name": "cogent_ops",
        "prepare_threshold": None,
    }
    return create_engine(url, hide_parameters=True, pool_pre_ping=True, connect_args=options)


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver must not begin transactions of its own
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin_sqlite(conn: Connection) -> None:
    writes = conn.get_execution_options().get(_WRITES, False)
    conn.exec_driver_sql(f"PRAGMA query_only={'OFF' if writes else 'ON'}")
    conn.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def describe(url: URL) -> str:
    """The store's address for messages: no user, no password, no options."""
    path = sqlite_path(url)
    return f"sqlite:///{path}" if path else f"postgresql://{url.host}:{url.port or 5432}/{url.database}"


@contextmanager
def _translated(url: URL) -> Iterator[None]:
    """Turn "busy" and "out of reach" into the error that retry policies know; anything else stays a bug."""
    try:
        yield
    except PoolTimeout as error:
        raise StoreUnavailable(f"All connections of this process to {describe(url)} are in use.") from error
    except DBAPIError as error:
        reason = _transient_reason(error)
        if reason is None:
            raise
        raise StoreUnavailable(f"The store {describe(url)} is busy or out of reach: {reason}.") from error


def _transient_reason(error: DBAPIError) -> str | None:
    """Why trying again can help, without anything from statement or data; ``None`` when it cannot."""
    cause = error.orig
    if isinstance(cause, sqlite3.OperationalError):
        transient = getattr(cause, "sqlite_errorcode", 0) & 0xFF in _SQLITE_TRANSIENT
        return cause.sqlite_errorname if transient else None
    state = getattr(cause, "sqlstate", None)
    if state is not None:
        return f"SQLSTATE {state}" if state.startswith(_POSTGRESQL_TRANSIENT) else None
    if isinstance(error, OperationalError):
        return str(cause).partition("\n")[0]
    return None
