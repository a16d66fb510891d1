"""The official contract of commercetools, read once: it is large."""

from __future__ import annotations

import pytest
from tests.support.contracts import OpenApi, commercetools
from tests.support.exact import Exact


@pytest.fixture(scope="session")
def openapi() -> OpenApi:
    """Requests and answers are checked by it; skips where it is not at hand."""
    return commercetools()


@pytest.fixture(scope="session")
def exact(openapi: OpenApi) -> Exact:
    """The same, and nothing that the contract does not know is let through."""
    return Exact(openapi)
