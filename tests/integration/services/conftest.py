"""A sandbox per test, a link over it, and connections closed afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.integration.services.links import LinkUnderTest
from tests.support.carrying import Carrier, kept_gate
from tests.support.databases import Databases

from cogent_ops.clients.transport import close_sessions
from cogent_ops.sandbox.dataset import Dataset
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.store import Store, open_store


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    return generate(seed=3, products=20, now=datetime(2026, 11, 20, tzinfo=UTC))


@pytest.fixture
def start(dataset: Dataset, tmp_path: Path) -> Iterator[Callable[..., LinkUnderTest]]:
    """Starts a sandbox with a link over it: ``start(faults, data=…, behaviour=…, kiosk=…)``."""
    with ExitStack() as stack:

        def begin(*args: Any, data: Dataset = dataset, **named: Any) -> LinkUnderTest:
            server = stack.enter_context(SandboxServer(data, *args, **named))
            return LinkUnderTest(server, tmp_path / str(server.url.rpartition(":")[2]))

        yield begin
        close_sessions()


@pytest.fixture
def link(start: Callable[..., LinkUnderTest]) -> LinkUnderTest:
    """A link over a sandbox without faults."""
    return start()


# The catalogue flow


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Carrier]]:
    """Starts a sandbox and a link over it: ``begin(data, store, **of_carrier)``."""
    with ExitStack() as stack:

        def made(data: Dataset, store: Store, *, server: SandboxServer | None = None, **more: Any) -> Carrier:
            over = server or stack.enter_context(SandboxServer(data, **more.pop("sandbox", {})))
            return Carrier(over, store, tmp_path / "runs", **more)

        yield made
        close_sessions()


@pytest.fixture
def local(sqlite_databases: Databases) -> Iterator[Store]:
    """A store on SQLite, for what does not depend on the database."""
    with sqlite_databases.current() as url:
        opened = open_store(url)
        yield opened
        opened.close()


@pytest.fixture
def quick_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge with a gate that is kept from run to run, and write no Data Docs: a second or two a run."""
    from cogent_ops.services.catalogue import gate

    monkeypatch.setattr(gate, "Gate", lambda suite, link: kept_gate(suite.read_bytes(), suite, link))
    monkeypatch.setattr(gate, "write_data_docs", lambda gate, folder: None)
