"""A sandbox per test, a link over it, and connections closed afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.integration.services.links import LinkUnderTest

from cogent_ops.clients.transport import close_sessions
from cogent_ops.sandbox.dataset import Dataset
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.server import SandboxServer


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
