"""The command line over a store and a sandbox of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

if "airflow" not in sys.modules:  # its settings must stand before anything imports it
    import tests.airflow.conftest  # noqa: F401

# Airflow's log handler keeps the standard output that it finds when it is imported: let it not be one test's.
import cogent_ops.hooks  # noqa: F401
from cogent_ops import cli
from cogent_ops.clients.transport import close_sessions
from cogent_ops.sandbox import command
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.store import Store, open_store, upgrade

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line: ``run("store", "status")`` gives exit code, output and errors."""

    def call(*argv: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(argv)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the connection ``cogent_ops_store`` says that the store is; nothing is there yet."""
    where = tmp_path / "store.db"
    conn = {"conn_type": "sqlite", "host": str(where)}
    monkeypatch.setenv("AIRFLOW_CONN_COGENT_OPS_STORE", json.dumps(conn))
    return where


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    url = URL.create("sqlite", database=str(path))
    upgrade(url)
    opened = open_store(url)
    yield opened
    opened.close()


@pytest.fixture
def sandbox(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxServer]:
    """Both APIs, with the connections of the link ``default``."""
    data = generate(seed=3, products=5, now=datetime(2026, 11, 20, tzinfo=UTC))
    with SandboxServer(data) as server:
        for name, value in command.connections(server).items():
            monkeypatch.setenv(name, value)
        yield server
        close_sessions()
