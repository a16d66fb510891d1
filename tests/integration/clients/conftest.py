"""A sandbox per test, with connections closed afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

from cogent_ops.clients.transport import close_sessions
from cogent_ops.sandbox.dataset import Dataset
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.server import SandboxServer


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    return generate(seed=3, products=60, now=datetime(2026, 11, 20, tzinfo=UTC), every_defect=True)


@pytest.fixture
def start(dataset: Dataset) -> Iterator[Callable[..., SandboxServer]]:
    """Starts sandboxes: ``start(faults, behaviour=…, kiosk=…)``."""
    with ExitStack() as stack:

        def begin(*args: Any, **named: Any) -> SandboxServer:
            return stack.enter_context(SandboxServer(dataset, *args, **named))

        yield begin
        close_sessions()


@pytest.fixture
def sandbox(start: Callable[..., SandboxServer]) -> SandboxServer:
    """A sandbox without faults."""
    return start()


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_sessions()
