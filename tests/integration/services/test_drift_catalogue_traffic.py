"""The catalogue is compared while the catalogue flow is under way: nothing is invented, and what is wrong is found."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.support.carrying import Carrier, kept_gate
from tests.support.drift import Nights

from cogent_ops.domain.drift.model import Cause, Finding
from cogent_ops.domain.identifiers import product_gid
from cogent_ops.errors import RetryableError
from cogent_ops.sandbox.dataset import Dataset
from cogent_ops.sandbox.generator import generate
from cogent_ops.services.drift import suspects
from cogent_ops.services.drift.catalogue import CatalogueComparison
from cogent_ops.store import Store

Json = dict[str, Any]
Start = Callable[..., Carrier]

pytestmark = pytest.mark.usefixtures("quick_gate")

#: A change reaches the kiosks within a run or two; so long after it, it must be there. Of the platforms: a moment.
LATE, LAG = timedelta(minutes=2), timedelta(seconds=5)


@pytest.fixture(autouse=True)
def _kept_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suspects, "Gate", lambda suite, link: kept_gate(suite.read_bytes(), suite, link))


@pytest.fixture(scope="module")
def data() -> Dataset:
    return generate(seed=12, products=40, now=datetime.now(UTC), dirty_share=0)


@pytest.fixture
def link(begin: Start, local: Store, data: Dataset) -> Carrier:
    found = begin(data, local)
    found.clear()
    found.sync()
    return found


def night(link: Carrier, folder: Path, name: str, **later: float) -> list[Finding]:
    """One night, by limits that a busy minute can break."""
    rules = link.config.drift.model_copy(
        update={"catalogue_minutes": LATE.total_seconds() / 60, "lag_seconds": LAG.total_seconds()}
    )
    config = link.config.model_copy(update={"drift": rules})
    nights = Nights(link.server, link.store, config, folder / name, timedelta(**later))
    return list(nights.compare(CatalogueComparison).findings)


@dataclass
class Traffic:
    """Merchandisers change products, and the flow runs again and again."""

    link: Carrier
    busy: Sequence[Json]
    chance: random.Random
    edits: int = 0
    runs: int = 0
    failures: list[BaseException] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def edit(self) -> None:
        product, number, deed = self.chance.choice(self.busy), self.edits, self.chance.randrange(4)
        if deed == 0:
            self.link.edit(product["id"], name={"de": f"Neu {number}", "en": f"New {number}"})
        elif deed == 1:
            images = [{"url": f"https://example.com/{number}.jpg"}]
            self.link.edit_variant(product["id"], 1, images=images)
        elif deed == 2:
            # Held by the gate until it has a name again.
            self.link.edit(product["id"], name={})
        else:
            self.link.edit(product["id"], published=self.chance.random() < 0.8)
        self.edits += 1

    def sync(self) -> None:
        wishes: tuple[Json, ...] = ({}, {"full_refresh": True}, {"resend": True, "full_refresh": True})
        self.link.sync(**wishes[self.runs % len(wishes)])
        self.runs += 1

    def _until_over(self, deed: Callable[[], None], pause: float) -> None:
        while not self.over.wait(pause):
            try:
                deed()
            except RetryableError:
                continue
            except BaseException as error:  # noqa: BLE001 - a thread's failure is the test's
                self.failures.append(error)
                return

    @contextmanager
    def going(self) -> Iterator[None]:
        """Until the block ends."""
        deeds = ((self.edit, 0.1), (self.sync, 0.05))
        threads = [threading.Thread(target=self._until_over, args=deed, daemon=True) for deed in deeds]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.over.set()
            for thread in threads:
                thread.join(timeout=120)
        assert self.failures == []


def test_nothing_is_invented_while_the_flow_is_under_way_and_what_is_wrong_is_found(
    link: Carrier, data: Dataset, tmp_path: Path
) -> None:
    busy, quiet = data.products[:25], data.products[25:]
    traffic = Traffic(link, busy, random.Random(3))
    with traffic.going():
        nights = count()
        while (number := next(nights)) < 3 or traffic.runs < 3 or traffic.edits <= 20:
            assert number < 100, "the flow does not get on"
            assert [one.message for one in night(link, tmp_path, f"quiet-{number}")] == []
        spoilt = quiet[0]
        state = link.server.state.cloudshelf
        with state.lock:
            entity = state.get("Product", product_gid(spoilt["id"]))
            assert entity is not None
            entity.update(
                displayName="Sale!", updatedAt=(datetime.now(UTC) - timedelta(seconds=20)).isoformat()
            )
            state.revision["Product"] += 1
        found = night(link, tmp_path, "spoilt")
    causes = {one.subject: one.cause for one in found}
    if not causes:
        # A run has just sent it again.
        now = state.get("Product", product_gid(spoilt["id"]))
        assert now is not None
        assert now["displayName"] != "Sale!"
    else:
        title = f"{spoilt['key']} · title"
        assert causes in ({title: Cause.MANUAL_EDIT}, {title: Cause.LOST})


@pytest.mark.parametrize("stages", [("extract",), ("extract", "gate"), ("extract", "gate", "push")])
def test_a_run_that_stands_still_half_way_explains_what_it_has_not_done(
    link: Carrier, data: Dataset, tmp_path: Path, stages: tuple[str, ...]
) -> None:
    """A worker died, or is slow; the product is not late before its time."""
    product = data.products[0]
    link.edit(product["id"], name={"de": "Neu", "en": "New"})
    request = link.request()
    link.carry(request, stages)
    assert night(link, tmp_path, "at once") == []
    later = night(link, tmp_path, "later", minutes=5)
    assert [one.cause for one in later] == ([] if "push" in stages else [Cause.LATE])
    link.carry(request, ("extract", "gate", "push", "report"))
    assert night(link, tmp_path, "done", minutes=10) == []
