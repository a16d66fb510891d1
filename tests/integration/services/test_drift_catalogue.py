"""Injected differences of the catalogue are found with their cause, and nothing is found where nothing is wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.carrying import Carrier, kept_gate
from tests.support.drift import Nights

from cogent_ops.sandbox.dataset import Dataset
from cogent_ops.sandbox.generator import generate
from cogent_ops.services.drift import suspects
from cogent_ops.services.drift.catalogue import CatalogueComparison
from cogent_ops.store import Store

Start = Callable[..., Carrier]

pytestmark = pytest.mark.usefixtures("quick_gate")


@pytest.fixture(autouse=True)
def _kept_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suspects, "Gate", lambda suite, link: kept_gate(suite.read_bytes(), suite, link))


@pytest.fixture(scope="module")
def dirty() -> Dataset:
    return generate(
        seed=11, products=110, now=datetime.now(UTC), every_defect=True, dirty_share=0.2, over_limit=True
    )


def nights(link: Carrier, folder: Path, **later: float) -> Nights:
    return Nights(link.server, link.store, link.config, folder, timedelta(**later))


def test_nothing_is_found_where_nothing_is_wrong(begin: Start, store: Store, dirty: Dataset, tmp_path: Path) -> None:
    link = begin(dirty, store)
    link.clear()
    link.sync()
    for hours in (0, 2, 20, 48):
        compared = nights(link, tmp_path / str(hours), hours=hours).compare(CatalogueComparison)
        assert [one.message for one in compared.findings] == []
        print(compared.checked, compared.counts)
