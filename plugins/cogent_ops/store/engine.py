"""Connections to the store: one engine per process, explicit read and write transactions.

SQLite loses updates without a word when two processes read, compute and write (measured: 83 % lost with its
defaults), so every write transaction takes the write lock at its start (``BEGIN IMMEDIATE``) and waits for
it. A read takes no lock and is refused the right to write.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from cogent_ops.errors import CogentOpsError, ConnectionConfigError, StoreUnavailable

CONNECTION_ID = "cogent_ops_store"
#: How long a connection waits for SQLite's write lock before it gives up.
BUSY_TIMEOUT_SECONDS = 30
#: How long PostgreSQL may take to accept a connection.
CONNECT_TIMEOUT_SECONDS = 10
#: How long it may leave data unacknowledged, or stay silent, before the connection counts as dead.
SILENCE_SECONDS = 30

#: How JSON columns are written. NaN is refused: PostgreSQL would not take it, and SQLite could not say why.
to_json = partial(json.dumps, allow_nan=False)

_FILE = "host (file path)"
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
#: SQLSTATEs by prefix: connection, rollback (deadlock), resources, operator intervention, lock not available,
#: idle or over-long transaction ended by the server.
_POSTGRESQL_TRANSIENT = ("08", "40", "53", "57", "55P03", "25P03", "25P04")
#: A path that this user may not use: the problem and its cure.
_BARRED = (
    "this user may not write the file or its folder",
    "Give both to the user that runs Airflow, or name another path.",
)
#: What somebody must mend, by SQLite's code: the problem and its cure.
_SQLITE_FAULTS = {
    sqlite3.SQLITE_NOTADB: ("the file is no SQLite database", "Name another file, or move this one away."),
    sqlite3.SQLITE_CORRUPT: ("the file is damaged", "Restore the last backup of it."),
}
#: The same for PostgreSQL: SQLSTATE or the server's words (a refused connection has no SQLSTATE), the
#: connection's field, the problem and its cure.
_POSTGRESQL_FAULTS = (
    (
        r"42501",
        "login",
        "the user lacks a permission in the database",
        "Make it the database's owner, or: GRANT USAGE, CREATE ON SCHEMA public TO <user>",
    ),
    (
        r"password authentication failed|no password supplied",
        "password",
        "the server refused login and password",
        "Correct them.",
    ),
    (
        r'role ".*" does not exist',
        "login",
        "the server does not know the user",
        "Correct it, or create the role.",
    ),
    (
        r'database ".*" does not exist',
        "schema (database)",
        "the server has no such database",
        "Correct the name, or: CREATE DATABASE <name> OWNER <user>",
    ),
    (
        r"no pg_hba.conf entry",
        "host",
        "the server admits no connection from this machine with this user, database and encryption",
        "Have an entry added to its pg_hba.conf.",
    ),
)


def default_url() -> URL:
    """The embedded store: a SQLite file in AIRFLOW_HOME."""
    home = Path(os.environ.get("AIRFLOW_HOME") or "~/airflow").expanduser().absolute()
    return URL.create("sqlite", database=str(home / "cogent_ops.db"))


def parse_url(url: str | URL | None) -> URL:
    """The store's address in the form this package uses; ``None`` means the embedded default.

    :param url: ``sqlite:///<path>`` or ``postgresql://...``; also ``postgres://``, which Airflow writes.
    :raises ConnectionConfigError: for another database, one in memory or with a relative path, or text that
        is no URL.
    """
    if url is None:
        return default_url()
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise _unusable("it is not a database URL") from None
    if parsed.drivername in _POSTGRESQL_NAMES:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() != "sqlite":
        raise _unusable(f"'{parsed.drivername}' is not supported")
    path = sqlite_path(parsed)
    if path is None:
        raise _unusable("an in-memory database cannot be shared by processes", _FILE)
    if not path.is_absolute():
        raise _unusable(f"'{path}' would be another file in every working directory", _FILE)
    return URL.create("sqlite", database=str(path))


def sqlite_path(url: URL) -> Path | None:
    """The file behind a SQLite URL; ``None`` for PostgreSQL and for a database in memory."""
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return Path(str(url.database))


def _unusable(problem: str, field: str = "conn_type") -> ConnectionConfigError:
    return ConnectionConfigError(
        CONNECTION_ID,
        field,
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

        On PostgreSQL others may write meanwhile: lock what you read and then change (``with_for_update``).

        :raises StoreUnavailable: when the database is out of reach or its lock stayed taken.
        :raises ConnectionConfigError: when it cannot be used as it is, with the cure.
        :raises RuntimeError: when this thread has one open already (a second one would wait for the first).
        """
        if self.is_writing:
            raise RuntimeError("This thread has a write transaction open: pass its connection on instead.")
        self._thread.writing = True
        try:
            with translated(self.url), self.engine.connect() as conn:
                conn.execution_options(**{_WRITES: True})
                with conn.begin():
                    yield conn
        finally:
            self._thread.writing = False

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read-only transaction; it takes no write lock and the database refuses writes in it.

        :raises StoreUnavailable: when the database is out of reach.
        :raises ConnectionConfigError: when it cannot be used as it is, with the cure.
        """
        with translated(self.url), self.engine.connect() as conn:
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
    path = sqlite_path(url)
    if path is not None:
        engine = create_engine(
            url, hide_parameters=True, json_serializer=to_json, creator=partial(_connect_sqlite, path)
        )
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    options: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "tcp_user_timeout": SILENCE_SECONDS * 1000,
        "keepalives_idle": SILENCE_SECONDS,
        "application_name": "cogent_ops",
        # Server-side prepared statements break behind a pooler in transaction mode, which many sites run.
        "prepare_threshold": None,
    }
    return create_engine(
        url, hide_parameters=True, json_serializer=to_json, pool_pre_ping=True, connect_args=options
    )


def _connect_sqlite(path: Path) -> sqlite3.Connection:
    """Open the file, which must exist: only an upgrade creates it."""
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw",
        uri=True,
        timeout=BUSY_TIMEOUT_SECONDS,
        isolation_level=None,  # the driver must not begin transactions of its own
        check_same_thread=False,  # the pool hands a connection to one thread at a time
    )
    try:
        _use_write_ahead_log(connection)
        connection.execute("PRAGMA foreign_keys=ON")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch a new file over; SQLite does not wait for others that are doing so, whatever its timeout."""
    deadline = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_sqlite(conn: Connection) -> None:
    writes = conn.get_execution_options().get(_WRITES, False)
    conn.exec_driver_sql(f"PRAGMA query_only={'OFF' if writes else 'ON'}")
    conn.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def describe(url: URL) -> str:
    """The store's address for messages: no user, no password, no options."""
    path = sqlite_path(url)
    host = url.host or url.query.get("host", "localhost")
    return f"sqlite:///{path}" if path else f"postgresql://{host}:{url.port or 5432}/{url.database}"


@contextmanager
def translated(url: URL) -> Iterator[None]:
    """Turn what the database says into the errors that retry policies and people know; the rest is a bug."""
    try:
        yield
    except PoolTimeout as error:
        raise StoreUnavailable(f"All connections of this process to {describe(url)} are in use.") from error
    except DBAPIError as error:
        known = _known_error(url, error)
        if known is None:
            raise
        raise known from error


def _known_error(url: URL, error: DBAPIError) -> CogentOpsError | None:
    """The error in this package's terms, without anything from statement or data; ``None`` for any other."""
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        return _known_sqlite_error(url, cause)
    state = getattr(cause, "sqlstate", None)
    text = str(cause).partition("\n")[0]
    for pattern, field, problem, cure in _POSTGRESQL_FAULTS:
        if re.search(pattern, state or text):
            return _faulty(url, field, problem, cure)
    if state is not None:
        return _unavailable(url, f"SQLSTATE {state}") if state.startswith(_POSTGRESQL_TRANSIENT) else None
    return _unavailable(url, text) if isinstance(error, OperationalError) else None


def _known_sqlite_error(url: URL, cause: sqlite3.Error) -> CogentOpsError | None:
    code, path = getattr(cause, "sqlite_errorcode", 0) & 0xFF, Path(str(url.database))
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM) and _is_barred(path):
        return _faulty(url, _FILE, *_BARRED)
    if code in _SQLITE_FAULTS:
        return _faulty(url, _FILE, *_SQLITE_FAULTS[code])
    return _unavailable(url, cause.sqlite_errorname) if code in _SQLITE_TRANSIENT else None


def is_missing(url: URL) -> bool:
    """Whether the URL names a SQLite file that is not there; opening it would fail."""
    path = sqlite_path(url)
    if path is None:
        return False
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except OSError:
        pass  # it cannot be used, and SQLite will say why
    return False


def _is_barred(path: Path) -> bool:
    """Whether this user may not write the file, or not add SQLite's own files beside it."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return not (os.access(path, os.R_OK | os.W_OK) and os.access(path.parent, os.W_OK | os.X_OK))


def create_file(url: URL) -> None:
    """Create a SQLite store's folder and an empty file, where they are missing; does nothing for PostgreSQL.

    :raises ConnectionConfigError: when this user may not.
    """
    path = sqlite_path(url)
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise _faulty(url, _FILE, *_BARRED) from error


def _unavailable(url: URL, reason: str) -> StoreUnavailable:
    return StoreUnavailable(f"The store {describe(url)} is busy or out of reach: {reason}.")


def _faulty(url: URL, field: str, problem: str, cure: str) -> ConnectionConfigError:
    return ConnectionConfigError(CONNECTION_ID, field, f"{problem} ({describe(url)})", cure)
