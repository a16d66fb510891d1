"""Stores on both databases. Imports are local: most tests need no store and should not pay for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from sqlalchemy.engine import URL
    from tests.support.databases import Databases

    from cogent_ops.store import Store

# How fast examples come tells of the machine, and not of the code. They are always the same, so that a change fails for
# what it did and not for its luck; ``COGENT_OPS_NEW_EXAMPLES=1`` looks for new ones.
settings.register_profile(
    "tests",
    deadline=None,
    derandomize="COGENT_OPS_NEW_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tests")


@pytest.fixture(scope="session")
def sqlite_databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    from tests.support.databases import SqliteDatabases

    databases = SqliteDatabases(tmp_path_factory.mktemp("sqlite"))
    yield databases
    databases.close()


@pytest.fixture(scope="session")
def postgresql_databases() -> Iterator[Databases]:
    from tests.support.databases import PostgresDatabases
    from tests.support.postgres import NoPostgres, postgres_server

    try:
        with postgres_server() as server:
            databases = PostgresDatabases(server)
            yield databases
            databases.close()
    except NoPostgres as error:
        pytest.skip(f"HALF OF THE STORE'S TESTS IS MISSING: no PostgreSQL: {error}")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def databases(request: pytest.FixtureRequest) -> Databases:
    """Makes databases on the engine under test."""
    found: Databases = request.getfixturevalue(f"{request.param}_databases")
    return found


@pytest.fixture
def empty_url(databases: Databases) -> Iterator[URL]:
    """A database without tables."""
    with databases.empty() as url:
        yield url


@pytest.fixture
def store_url(databases: Databases) -> Iterator[URL]:
    """A database with the store's tables."""
    with databases.current() as url:
        yield url


@pytest.fixture
def store(store_url: URL) -> Iterator[Store]:
    """An empty store, on each engine in turn."""
    from cogent_ops.store import open_store

    opened = open_store(store_url)
    yield opened
    opened.close()
