"""A sandbox per test, and both APIs of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.talk import Kiosk, Shop

from cogent_ops.sandbox.dataset import Dataset
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.server import SandboxServer


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    return generate(seed=5, products=25, now=datetime(2026, 11, 20, tzinfo=UTC), dirty_share=0)


@pytest.fixture
def start(dataset: Dataset) -> Iterator[Callable[..., SandboxServer]]:
    """Starts sandboxes: ``start(faults, behaviour=…, kiosk=…)``."""
    with ExitStack() as stack:

        def begin(*args: Any, **named: Any) -> SandboxServer:
            return stack.enter_context(SandboxServer(dataset, *args, **named))

        yield begin


@pytest.fixture(scope="session")
def _standing(dataset: Dataset) -> Iterator[SandboxServer]:
    with SandboxServer(dataset) as server:
        yield server


@pytest.fixture
def sandbox(_standing: SandboxServer) -> SandboxServer:
    """A sandbox without faults, as new."""
    _standing.set_faults(None)
    _standing.app.forget()
    _standing.state.clock.offset = timedelta(0)
    _standing.state.commercetools.reset()
    _standing.state.cloudshelf.reset()
    return _standing


@pytest.fixture
def shop(sandbox: SandboxServer) -> Shop:
    return Shop(sandbox)


@pytest.fixture
def kiosk(sandbox: SandboxServer) -> Kiosk:
    return Kiosk(sandbox)
