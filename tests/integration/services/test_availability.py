"""Availability out: whatever happens to stock, kiosks end up saying what commercetools has for sale."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.carrying import Carrier
from tests.support.shelves import Shelves

from cogent_ops.sandbox.cloudshelf_state import KioskBehaviour
from cogent_ops.sandbox.dataset import Dataset
from cogent_ops.sandbox.generator import VariantMix, generate
from cogent_ops.store import Store

Json = dict[str, Any]
Begin = Callable[..., Carrier]

pytestmark = pytest.mark.usefixtures("quick_gate")


@pytest.fixture(scope="module")
def clean() -> Dataset:
    """Clean products of one to four variants."""
    mix = VariantMix(((1, 1, 4),))
    return generate(seed=31, products=15, now=datetime.now(UTC), dirty_share=0, variants=mix)


def shelves(
    begin: Begin, data: Dataset, store: Store, *, kiosk: KioskBehaviour | None = None, **more: Any
) -> Shelves:
    """A link whose catalogue is on the kiosks."""
    sandbox = more.pop("sandbox", {})
    if kiosk is not None:
        sandbox["kiosk"] = kiosk
    carrier = begin(data, store, sandbox=sandbox, **more)
    carrier.clear()
    carrier.sync()
    carrier.forget()
    return Shelves(carrier)


def test_first_run_tells_everything(begin: Begin, clean: Dataset, store: Store) -> None:
    link = shelves(begin, clean, store)
    found = link.collect()
    told = link.push()
    assert told.told == found.changed > 0
    link.check()
    assert link.once().told == 0
