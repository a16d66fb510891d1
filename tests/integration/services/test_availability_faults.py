"""Faults and crashes: whatever breaks wherever, kiosks end up saying what commercetools has for sale."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.engine import URL
from tests.integration.clients.helpers import QUICK
from tests.support.carrying import Carrier
from tests.support.databases import Databases
from tests.support.dying import Boundaries, Crash, kill_myself, survives
from tests.support.shelves import Shelves

from cogent_ops.errors import RetryableError
from cogent_ops.sandbox.cloudshelf_state import KioskBehaviour
from cogent_ops.sandbox.dataset import Dataset
from cogent_ops.sandbox.faults import FaultPlan, Rule
from cogent_ops.sandbox.generator import VariantMix, generate
from cogent_ops.sandbox.state import Behaviour
from cogent_ops.store import Store, open_store

Begin = Callable[..., Carrier]

pytestmark = pytest.mark.usefixtures("quick_gate")

STORM = (
    Rule(kind="error", rate=0.04, status=503),
    Rule(kind="error", rate=0.03, status=500, when="after"),
    Rule(kind="reset", rate=0.06, when="after"),
    Rule(kind="timeout", rate=0.01, delay=0.05),
    Rule(kind="throttle", api="commercetools", every=19, limit=1, retry_after=1),
    Rule(kind="throttle", api="cloudshelf", every=13, limit=1, retry_after=1),
    Rule(kind="refuse", operation="upsert*", rate=0.05, code="TEMPORARY_RESTRICTION"),
    Rule(kind="refuse", operation="upsert*", rate=0.03, code="ENTITY_INVALID_FIELD"),
)
#: A client that gives up early, so that the tasks themselves fail and are tried again.
IMPATIENT = replace(QUICK, attempts=2)


@pytest.fixture(scope="module")
def few() -> Dataset:
    """Clean products of one to three variants, in a project with Messages."""
    mix = VariantMix(((1, 1, 3),))
    return generate(seed=41, products=8, now=datetime.now(UTC), dirty_share=0, variants=mix)


def shelved(begin: Begin, data: Dataset, store: Store, **sandbox: Any) -> Shelves:
    """A link whose catalogue is on the kiosks. Zero counts as in stock there."""
    carrier = begin(data, store, sandbox={"kiosk": KioskBehaviour(), **sandbox})
    carrier.clear()
    carrier.sync()
    link = Shelves(carrier)
    link.settings = {"availability": carrier.config.availability.model_copy(update={"rows_per_call": 9})}
    link.renewed()
    return link


class Day:
    """Things that happen to stock."""

    def __init__(self, link: Shelves, seed: int) -> None:
        self.link, self.rng, self.orders = link, random.Random(seed), 0
        self.places = [
            (sku, channel)
            for sku, there in link.stock().items()
            for channel in there
            if any(variant["sku"] == sku for variant in link.variants().values())
        ]

    def happen(self, times: int) -> None:
        for _ in range(times):
            sku, channel = self.rng.choice(self.places)
            match self.rng.choice(("count", "count", "order", "empty", "delete")):
                case "count":
                    self.link.set(sku, self.rng.choice((-1, 0, 1, 20)), channel or None)
                case "order":
                    self.link.set(sku, 50, channel or None)
                    self.orders += 1
                    self.link.sell(f"web-{self.orders}", sku, self.rng.randint(1, 5), channel or None)
                case "empty":
                    self.link.empty(sku)
                case "delete" if channel in self.link.stock().get(sku, {}):
                    self.link.remove_entry(sku, channel or None)

    def end(self) -> None:
        """All is quiet, and everything has been read again."""
        self.link.ahead += timedelta(minutes=16)
        self.link.renewed()
        self.link.settle()
        self.link.check()
        assert self.link.store.exceptions.open(self.link.link, "availability_refused") == []


@pytest.mark.parametrize("seed", range(4))
def test_a_storm_changes_nothing_in_the_end(begin: Begin, few: Dataset, store: Store, seed: int) -> None:
    quiet = Behaviour(order_touches_entry=bool(seed % 2))
    link = shelved(begin, few, store, behaviour=quiet)
    day = Day(link, seed)
    link.carrier.server.app.faults.use(FaultPlan(seed=seed, rules=STORM))
    link.tuning = IMPATIENT if seed < 2 else QUICK
    failed = 0
    for _ in range(6):
        day.happen(4)
        link.renewed()
        try:
            link.once()
        except RetryableError:
            failed += 1
    struck = link.carrier.server.app.faults.applied
    assert struck["cloudshelf.refuse"] + struck["cloudshelf.reset"] > 0
    assert link.carrier.server.counters()["avoidable_429"] == {}
    day.end()


def test_a_crash_between_any_two_steps_loses_nothing(begin: Begin, few: Dataset, store: Store) -> None:
    link = shelved(begin, few, store)
    day = Day(link, 7)
    link.settle()
    at = crashes = 0
    while True:
        day.happen(3)
        link.renewed()
        boundaries = Boundaries(at)
        try:
            with boundaries.watched():
                link.once()
        except Crash:
            crashes += 1
            link.renewed()
            link.let_time_pass()
            link.settle()
            link.ahead += timedelta(minutes=16)  # an order may show by nothing else
            link.settle()
            link.check()
            at += 1
        else:
            break
        if at > 60:
            break
    assert crashes > 20
    day.end()


def test_a_catalogue_run_that_dies_leaves_right_flags(begin: Begin, few: Dataset, store: Store) -> None:
    """It dies while it writes variants; this flow goes on, then the run is tried again."""
    link = shelved(begin, few, store)
    link.settle()
    day, skus = Day(link, 3), sorted(variant["sku"] for variant in link.variants().values())
    at, died = 0, True
    while died:
        for sku in skus[:4]:
            link.empty(sku) if at % 2 else link.set(sku, 9)
        request = link.carrier.request(full_refresh=True)
        link.carrier.carry(request, ("extract", "gate"))
        for sku in skus[2:6]:
            link.set(sku, 0 if at % 2 else 7)
        died = False
        try:
            with Boundaries(at).watched():
                link.carrier.flow().push(request)
        except Crash:
            died = True
        link.settle()
        link.check()
        link.carrier.carry(request, ("push", "report"))
        link.settle()
        link.check()
        at += 3
    assert at > 20
    day.end()


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_process_loses_nothing(
    begin: Begin, few: Dataset, sqlite_databases: Databases, seed: int
) -> None:
    rng = random.Random(seed)
    with sqlite_databases.current() as url:
        store = open_store(url)
        link = shelved(begin, few, store)
        link.settle()
        day = Day(link, seed)
        killed = 0
        for _ in range(6):
            day.happen(4)
            store.close()
            if not survives(lambda: _run(url, link), Boundaries(rng.randrange(30), kill_myself)):
                killed += 1
        assert killed > 0
        link.let_time_pass()
        day.end()
        store.close()


def _run(url: URL, link: Shelves) -> None:
    """In a process of its own."""
    carrier = replace(link.carrier, store=open_store(url))
    again = Shelves(carrier, settings=link.settings)
    again.once()
