"""Connections: addresses, transactions, forks, threads, and what is said when the database is away."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.engine import URL
from tests.support.databases import Databases
from tests.support.postgres import connect
from tests.support.processes import alone

from cogent_ops.errors import CogentOpsError, ConnectionConfigError, PermanentError, StoreUnavailable
from cogent_ops.store import Store, engine, open_store, upgrade
from cogent_ops.store.engine import database, describe, parse_url
from cogent_ops.store.schema import watermark


@pytest.mark.parametrize(
    ("given", "parsed"),
    [
        ("sqlite:////data/store.db", "sqlite:////data/store.db"),
        ("sqlite+pysqlite:////data/store.db?timeout=1", "sqlite:////data/store.db"),
        ("postgres://ops:s%40fe@db:5433/ops", "postgresql+psycopg://ops:s%40fe@db:5433/ops"),
        ("postgresql://ops@db/ops?sslmode=require", "postgresql+psycopg://ops@db/ops?sslmode=require"),
        ("postgresql+psycopg://db/ops", "postgresql+psycopg://db/ops"),
    ],
)
def test_addresses(given: str, parsed: str) -> None:
    assert parse_url(given).render_as_string(hide_password=False) == parsed
    assert parse_url(parse_url(given)) == parse_url(given)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("store.db", "not a database URL"),
        ("postgresql://db:port/ops", "not a database URL"),
        ("mysql://db/ops", "'mysql' is not supported"),
        ("postgresql+asyncpg://db/ops", "'postgresql.asyncpg' is not supported"),
        ("sqlite://", "in-memory"),
        ("sqlite:///:memory:", "in-memory"),
        ("sqlite:///store.db", "'store.db' would be another file in every working directory"),
    ],
)
def test_addresses_that_cannot_be_used(given: str, problem: str) -> None:
    with pytest.raises(ConnectionConfigError, match=problem) as caught:
        parse_url(given)
    assert "cogent_ops_store" in str(caught.value)
    assert "sqlite:////absolute/path" in str(caught.value)


def test_the_embedded_store_lies_in_airflows_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", "~/flow")
    assert parse_url(None).database == str(Path.home() / "flow" / "cogent_ops.db")
    monkeypatch.delenv("AIRFLOW_HOME")
    assert parse_url(None).database == str(Path.home() / "airflow" / "cogent_ops.db")


def test_messages_name_the_place_but_no_secret() -> None:
    assert describe(parse_url("postgresql://ops:secret@db/ops?sslmode=require")) == "postgresql://db:5432/ops"
    assert describe(parse_url("postgresql:///ops?host=/run/pg")) == "postgresql:///run/pg:5432/ops"
    assert describe(parse_url("sqlite:////data/store.db")) == "sqlite:////data/store.db"


PID = sa.select(sa.func.pg_backend_pid())

# Transactions.


class Interrupted(Exception):
    """Whatever goes wrong in the middle of a transaction."""


def test_what_fails_leaves_nothing(store: Store, store_url: URL) -> None:
    def interrupted() -> None:
        with database(store_url).begin() as conn:
            _write(conn)
            raise Interrupted

    with pytest.raises(Interrupted):
        interrupted()
    assert store.watermarks.get("x", "flow") is None


def test_a_transaction_within_a_transaction_is_refused_at_once(store: Store) -> None:
    with store.begin(), pytest.raises(RuntimeError, match="pass its connection on"):
        store.fingerprints.remember("x", "product", {"a": "1"}, "run")
    store.fingerprints.remember("x", "product", {"a": "1"}, "run")


def test_reading_sees_what_was_committed_only(store: Store) -> None:
    with store.begin() as conn:
        _write(conn)
        assert store.watermarks.get("x", "flow") is None
    assert store.watermarks.get("x", "flow") is not None


def test_writing_while_reading_is_a_bug_and_shows_as_one(store: Store) -> None:
    with pytest.raises(sa.exc.DBAPIError, match=r"read-?only"), store.read() as conn:
        _write(conn)
    with store.begin() as conn:  # the connection that read can write again
        _write(conn)


def test_threads_share_a_store(store: Store) -> None:
    def work(number: int) -> None:
        for step in range(10):
            store.fingerprints.remember("x", "product", {f"{number}/{step}": "1"}, "run")
            assert store.fingerprints.known("x", "product", [f"{number}/{step}"])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(list(store.fingerprints.ids("x", "product"))) == 80


def test_a_closed_store_opens_again(store: Store) -> None:
    store.close()
    assert store.watermarks.get("x", "flow") is None


# Forks.


def test_a_fork_uses_connections_of_its_own(store: Store, store_url: URL) -> None:
    opened = database(store_url)
    with opened.begin() as conn:
        _write(conn)
        seen = alone(lambda: (id(opened.engine), store.watermarks.get("x", "flow")))
    assert seen == (seen[0], None)
    assert seen[0] != id(opened.engine)
    assert store.watermarks.get("x", "flow") is not None


def test_a_fork_that_ends_leaves_the_parents_connections_alone(store: Store, store_url: URL) -> None:
    opened = database(store_url)
    with opened.read() as conn:
        assert conn.execute(sa.select(sa.func.count()).select_from(watermark)).scalar_one() == 0
        alone(lambda: store.fingerprints.remember("x", "product", {"a": "1"}, "run"))
        alone(store.close)
        assert conn.execute(sa.select(sa.func.count()).select_from(watermark)).scalar_one() == 0
    assert store.fingerprints.known("x", "product", ["a"]) == {"a": "1"}


# SQLite is busy, gone or spoiled.


@pytest.fixture
def sqlite_url(sqlite_databases: Databases) -> Iterator[URL]:
    with sqlite_databases.current() as url:
        yield url


def test_a_lock_that_stays_taken_is_told(sqlite_url: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_SECONDS", 0.05)
    store = open_store(sqlite_url)
    with closing(sqlite3.connect(str(sqlite_url.database), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match=r"busy or out of reach: SQLITE_BUSY"):
            store.fingerprints.remember("x", "product", {"a": "secret"}, "run")
        assert store.fingerprints.known("x", "product", ["a"]) == {}  # readers go on
        other.execute("ROLLBACK")
    store.fingerprints.remember("x", "product", {"a": "1"}, "run")


def test_a_file_that_vanished_is_told_and_not_created_anew(sqlite_url: URL) -> None:
    store, file = open_store(sqlite_url), Path(str(sqlite_url.database))
    store.close()
    for part in file.parent.iterdir():
        part.unlink()
    with pytest.raises(StoreUnavailable, match="SQLITE_CANTOPEN"):
        store.watermarks.get("x", "flow")
    assert list(file.parent.iterdir()) == []


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    file.write_text("name,price\n" * 500)
    for attempt in (open_store, upgrade):
        with pytest.raises(ConnectionConfigError, match=r"no SQLite database .*Name another file"):
            attempt(f"sqlite:///{file}")
    assert file.read_text() == "name,price\n" * 500


def test_a_damaged_file_is_told(sqlite_url: URL) -> None:
    file = Path(str(sqlite_url.database))
    content = bytearray(file.read_bytes())
    content[4096 : len(content)] = b"\x00" * (len(content) - 4096)
    file.write_bytes(content)
    with pytest.raises(ConnectionConfigError, match=r"damaged .*Restore the last backup"):
        open_store(sqlite_url).watermarks.get("x", "flow")


def test_a_path_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConnectionConfigError, match=r"host \(file path\).*may not write"):
        upgrade(f"sqlite:///{tmp_path}/file/store.db")
    with pytest.raises(ConnectionConfigError, match=r"host \(file path\).*may not write"):
        open_store(f"sqlite:///{tmp_path}/file/store.db")


@pytest.mark.parametrize(("folder", "file"), [(0o555, 0o666), (0o777, 0o444), (0o000, 0o666)])
def test_a_file_of_another_user_is_told(sqlite_url: URL, folder: int, file: int) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")

    def work(path: Path) -> str:
        os.setuid(65534)
        try:
            open_store(f"sqlite:///{path}").fingerprints.remember("x", "product", {"a": "1"}, "run")
        except PermanentError as error:
            return str(error)
        return "written"

    with TemporaryDirectory() as top:
        path = Path(top) / "theirs" / "store.db"
        path.parent.mkdir()
        shutil.copy(str(sqlite_url.database), path)
        for part, mode in ((path, file), (path.parent, folder), (Path(top), 0o755)):
            part.chmod(mode)
        assert "may not write the file or its folder" in alone(lambda: work(path))


# PostgreSQL is away, refuses or ends a connection.


@pytest.fixture
def postgresql_url(postgresql_databases: Databases) -> Iterator[URL]:
    with postgresql_databases.current() as url:
        yield url


@contextmanager
def _stranger(url: URL) -> Iterator[URL]:
    """The database as a user sees it who may connect and nothing else."""
    name = f"cogent_ops_test_{uuid4().hex[:8]}"
    with closing(connect(url)) as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        try:
            yield url.set(username=name)
        finally:
            database(url.set(username=name)).close()
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def test_a_server_that_is_away_is_told(unused_port: int) -> None:
    with pytest.raises(StoreUnavailable, match=r"out of reach: .*refused") as caught:
        open_store(f"postgresql://ops:s3cret@127.0.0.1:{unused_port}/ops")
    assert "s3cret" not in str(caught.value)


@pytest.mark.postgres
def test_a_connection_that_the_server_ends_is_told(postgresql_url: URL) -> None:
    store = open_store(postgresql_url)

    def interrupted() -> None:
        with store.begin() as conn:
            _write(conn)
            _terminate(postgresql_url, conn.execute(PID).scalar_one())
            _write(conn)

    with pytest.raises(StoreUnavailable, match="SQLSTATE 57P01"):
        interrupted()
    assert store.watermarks.get("x", "flow") is None


@pytest.mark.postgres
def test_connections_that_died_unused_are_replaced_unseen(postgresql_url: URL) -> None:
    store = open_store(postgresql_url)
    with store.read() as conn:
        pid = conn.execute(PID).scalar_one()
    _terminate(postgresql_url, pid)
    store.fingerprints.remember("x", "product", {"a": "1"}, "run")


@pytest.mark.postgres
def test_a_lock_the_server_does_not_wait_for_is_told(postgresql_url: URL) -> None:
    with closing(connect(postgresql_url)) as other, other.transaction():
        other.execute("LOCK TABLE watermark")
        impatient = sa.text("SET LOCAL lock_timeout = '50ms'; DELETE FROM watermark")
        with (
            pytest.raises(StoreUnavailable, match="SQLSTATE 55P03"),
            database(postgresql_url).begin() as conn,
        ):
            conn.execute(impatient)


@pytest.mark.postgres
def test_refusals_say_which_field_and_what_to_do(postgresql_url: URL) -> None:
    for url, said in (
        (postgresql_url.set(username="nobody_at_all"), r"'login': the server does not know the user"),
        (
            postgresql_url.set(database="nowhere"),
            r"'schema \(database\)': .*no such database.*CREATE DATABASE",
        ),
    ):
        with pytest.raises(ConnectionConfigError, match=said):
            open_store(url)


@pytest.mark.postgres
def test_a_user_without_permissions_is_told_what_to_grant(
    postgresql_databases: Databases, postgresql_url: URL
) -> None:
    said = r"'login': .*lacks a permission.*GRANT USAGE, CREATE ON SCHEMA public"
    with _stranger(postgresql_url) as url, pytest.raises(ConnectionConfigError, match=said):
        open_store(url)
    with postgresql_databases.empty() as empty, closing(connect(empty)) as admin:
        admin.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        with _stranger(empty) as url, pytest.raises(ConnectionConfigError, match=said):
            upgrade(url)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (psycopg.errors.DeadlockDetected("deadlock"), StoreUnavailable),
        (psycopg.errors.SerializationFailure("conflict"), StoreUnavailable),
        (psycopg.errors.TooManyConnections("many"), StoreUnavailable),
        (psycopg.errors.DiskFull("disk"), StoreUnavailable),
        (
            psycopg.OperationalError('FATAL:  password authentication failed for user "x"'),
            ConnectionConfigError,
        ),
        (psycopg.OperationalError("FATAL:  no pg_hba.conf entry for host"), ConnectionConfigError),
        (psycopg.OperationalError("could not translate host name"), StoreUnavailable),
        (psycopg.errors.UndefinedTable("no table"), None),
        (psycopg.errors.UniqueViolation("twice"), None),
    ],
)
def test_what_postgresql_says_is_sorted(error: psycopg.Error, kind: type[CogentOpsError] | None) -> None:
    wrapped = sa.exc.DBAPIError.instance("SELECT 'data'", {}, error, psycopg.Error)
    url = parse_url("postgresql://ops:s3cret@db/ops")
    with pytest.raises(kind or type(wrapped)) as caught, engine.translated(url):
        raise wrapped
    if kind is not None:
        assert "data" not in str(caught.value).replace("database", "")


def _write(conn: sa.Connection) -> None:
    moment = datetime.now(UTC)
    conn.execute(watermark.insert().values(link="x", flow="flow", value=moment, updated_at=moment))


def _terminate(url: URL, pid: int) -> None:
    with closing(connect(url)) as admin:
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port where nothing listens, and that nobody else is given meanwhile."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
