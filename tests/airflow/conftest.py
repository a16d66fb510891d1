"""Airflow in a home of its own, and people who visit its pages.

The settings must stand before anything imports Airflow, so imports are local.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fastapi import FastAPI
    from playwright.sync_api import Browser
    from tests.support.databases import Databases
    from tests.support.desk import Clock, Seat, Visitor
    from tests.support.reviewing import Reviewing

    from cogent_ops.store import Store

ROOT = Path(__file__).resolve().parents[2]
HOME = Path(tempfile.mkdtemp(prefix="cogent-ops-airflow-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)

os.environ.update(
    {
        "AIRFLOW_HOME": str(HOME),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "ada:admin,uma:user,vic:viewer",
        "AIRFLOW__API_AUTH__JWT_SECRET": "only-for-these-tests-and-long-enough-for-hs512-" + "x" * 32,
        "COGENT_OPS_INCLUDE": str(ROOT / "include"),
        "_AIRFLOW_PROCESS_CONTEXT": "server",
    }
)


@pytest.fixture(scope="session")
def airflow_app() -> FastAPI:
    """Airflow's API server with the plugin's apps below it."""
    from airflow.api_fastapi.app import create_app
    from airflow.utils.db import initdb

    initdb()
    return create_app(apps="core")


@pytest.fixture
def desk_store(sqlite_databases: Databases, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """An empty store, which the pages read."""
    from cogent_ops.store import open_store

    with sqlite_databases.current() as url:
        conn = {"conn_type": "sqlite", "host": url.database}
        monkeypatch.setenv("AIRFLOW_CONN_COGENT_OPS_STORE", json.dumps(conn))
        store = open_store(url)
        yield store
        store.close()


@pytest.fixture
def include(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The business's files, which a test may change."""
    folder = tmp_path / "include"
    shutil.copytree(ROOT / "include", folder)
    monkeypatch.setenv("COGENT_OPS_INCLUDE", str(folder))
    return folder


@pytest.fixture
def desk_now(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time of the pages, which a test may set."""
    from tests.support.desk import Clock

    clock = Clock()
    monkeypatch.setattr("cogent_ops.web.desk.access.clock", clock)
    return clock


@pytest.fixture
def visitor(airflow_app: FastAPI, desk_store: Store) -> Callable[[str | None], Visitor]:
    """Makes people who visit the desk."""
    from tests.support.desk import Visitor

    return lambda name: Visitor(airflow_app, name)


@pytest.fixture
def world(desk_store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reviewing]:
    """A sandbox behind the desk."""
    from tests.support.captures import coats
    from tests.support.reviewing import Reviewing

    from cogent_ops.clients.transport import close_sessions
    from cogent_ops.config import SHIPPED, load_policies
    from cogent_ops.sandbox.command import connections
    from cogent_ops.sandbox.server import SandboxServer

    with SandboxServer(coats()) as server:
        for name, value in connections(server).items():
            monkeypatch.setenv(name, value)
        made = Reviewing(server, desk_store, "default", policies=load_policies(SHIPPED.parent))
        made.begin()
        yield made
        close_sessions()


@pytest.fixture(scope="session")
def desk_url(airflow_app: FastAPI) -> Iterator[str]:
    """The same app, served."""
    from tests.support.desk import live_server

    with live_server(airflow_app) as url:
        yield url


# Not for the whole session: the loop that drives the browser counts as running in this thread until the browser is
# closed, so every later test of the same worker that starts a loop of its own would fail.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    from tests.support.desk import chromium, started_browser

    found = chromium()
    if found is None:
        pytest.skip(
            "THE PAGES ARE NOT TRIED IN A BROWSER: there is no Chromium. Install one, or name it in the environment "
            "variable COGENT_OPS_CHROMIUM."
        )
    with started_browser(found) as started:
        yield started


@pytest.fixture
def seat(browser: Browser, desk_url: str, desk_store: Store) -> Iterator[Seat]:
    """A browser that opens pages. What it complains of, or asks anybody else for, fails the test."""
    from tests.support.desk import Seat

    taken = Seat(browser, desk_url)
    yield taken
    taken.close()
    assert not taken.complaints
