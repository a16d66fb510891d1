"""Great Expectations takes seconds to import and some to get ready, so one gate serves many tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.gating import SUITE

from cogent_ops.quality import Gate

Entry = dict[str, Any]


@pytest.fixture(scope="session")
def gate() -> Gate:
    return Gate(SUITE, "default")


@pytest.fixture
def edited(tmp_path: Path) -> Callable[[Callable[[list[Entry]], object]], Path]:
    """Writes the shipped suite with its rules changed."""

    def write(edit: Callable[[list[Entry]], object]) -> Path:
        suite = json.loads(SUITE.read_text(encoding="utf-8"))
        edit(suite["expectations"])
        path = tmp_path / "product_master.json"
        path.write_text(json.dumps(suite, indent=1), encoding="utf-8")
        return path

    return write
