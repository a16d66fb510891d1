"""Whatever happens on the way, an entry's quantity is what it began with plus every effect, once.

``COGENT_OPS_HISTORIES=5000 pytest tests/integration/services/test_stock_exactly_once.py`` tries many more histories, at
random, than a test run does.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.integration.clients.helpers import shop
from tests.support.databases import Databases
from tests.support.dying import Boundaries, Crash
from tests.support.histories import histories, kill_at_random, plans, two_at_once
from tests.support.stock import LINK, STORE, Ledger, StockWorld

from cogent_ops.clients.transport import close_sessions
from cogent_ops.domain.rules import MovementRules, OrderStatus
from cogent_ops.domain.stock import NewMovement, Place, Source, desired_effects, differences
from cogent_ops.errors import RetryableError
from cogent_ops.sandbox.faults import FaultPlan, Rule
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.sandbox.state import Behaviour
from cogent_ops.store import Store, open_store
from cogent_ops.store.stock import Effect

RULES = MovementRules()
_NUMBERS = count()


@dataclass(frozen=True)
class Shared:
    """What all histories of a database share; each has SKUs and a project of its own."""

    server: SandboxServer
    store: Store
    foreign: str


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def shared(request: pytest.FixtureRequest) -> Iterator[Shared]:
    databases: Databases = request.getfixturevalue(f"{request.param}_databases")
    data = generate(seed=3, products=3, now=datetime(2026, 11, 20, tzinfo=UTC))
    touched = Behaviour(order_touches_entry=True)
    with databases.current() as url, SandboxServer(data, behaviour=touched) as server:
        store = open_store(url)
        StockWorld(server, store).install_types()
        note = {"name": "note", "label": {"en": "Note"}, "required": False, "type": {"name": "String"}}
        draft = {"key": "erp", "name": {"en": "ERP"}, "resourceTypeIds": ["inventory-entry"]}
        kind = shop(server).ensure("types", {**draft, "fieldDefinitions": [note]})
        yield Shared(server, store, kind.resource["id"])
        store.close()
        close_sessions()


@dataclass
class History:
    """One story: entries, an inbox, kiosk orders as they were seen last."""

    world: StockWorld
    places: list[Place]
    ledger: Ledger = field(default_factory=Ledger)
    #: What each order did so far, by its last state that was seen.
    orders: dict[str, dict[Place, int]] = field(default_factory=dict)
    revisions: dict[tuple[str, Place], int] = field(default_factory=dict)
    online: int = 0

    def send(self, *movements: NewMovement) -> None:
        self.world.add(*movements)
        self.ledger.note(*movements)

    def see_order(self, order: str, status: OrderStatus, units: dict[Place, int], at: int) -> None:
        """An order is polled: its effects and the movements they take are stored together."""
        stock = self.world.store.stock
        with self.world.store.begin() as conn:
            stock.turn(conn, LINK)
            stored = {one.place: one for one in stock.effects(conn, LINK, [order]).get(order, [])}
            recorded = {place: one.quantity for place, one in stored.items()}
            desired = desired_effects(status, units, recorded, RULES)
            changed, new = [], []
            for place, delta in differences(desired, recorded).items():
                revision = stored[place].revision + 1 if place in stored else 1
                changed.append(Effect(order, place, desired.get(place, 0), revision))
                key = f"{order}/{place}/{revision}"
                named = {"id_": key, "reference": order, "source": Source.KIOSK_ORDER}
                new.append(self.world.movement(place, delta, at=at, **named))
            stock.save_effects(conn, LINK, changed)
            stock.add_movements(conn, new)
        met = any(one.reference == order for one in self.ledger.sent.values())
        self.ledger.note(*new)
        if status in RULES.deduct or (status is OrderStatus.PARTIALLY_REFUNDED and not met):
            self.orders[order] = {place: -number for place, number in units.items()}
        elif status in RULES.give_back:
            self.orders[order] = {}

    def drain(self, moment: int | None) -> None:
        """A round by a process that dies at a moment; with ``None`` it lives."""
        with Boundaries(moment).watched(), suppress(Crash, RetryableError):
            self.world.drain().round()
        self.world.let_leases_end()

    def drain_together(self) -> None:
        """Two drains at once."""
        two_at_once([self.world.drain().round for _ in range(2)], self.world.let_leases_end)

    def check(self) -> None:
        """After the last drain: every entry is right, every movement is done, every order did what it should."""
        self.world.server.set_faults(None)
        self.world.finish()
        expected = self.ledger.expected()
        expected[self.places[-1]] -= self.online
        assert {place: self.world.on_stock(place) or 0 for place in self.places} == expected
        assert self.world.states().keys() <= {"applied", "excluded"}
        assert sum(self.world.states().values()) == len(self.ledger.sent)
        for order, effects in self.orders.items():
            moved: dict[Place, int] = {}
            for one in self.ledger.sent.values():
                if one.reference == order:
                    moved[one.place] = moved.get(one.place, 0) + (one.delta or 0)
            assert {place: units for place, units in moved.items() if units} == effects


def begin(shared: Shared, **more: Any) -> History:
    """Four entries of a SKU: in a store, one with another integration's Type, one missing, one sold online."""
    number = next(_NUMBERS)
    world = StockWorld(shared.server, shared.store, f"commercetools/{number}", **more)
    shared.server.set_faults(None)
    skus = [f"H{number}-{letter}" for letter in "ABCD"]
    places = [Place(skus[0], STORE), Place(skus[1], ""), Place(skus[2], STORE), Place(skus[3], STORE)]
    variants = [(sku, f"p{number}", variant) for variant, sku in enumerate(skus, start=1)]
    shared.store.catalogue.register_skus(LINK, "r", [f"p{number}"], variants)
    world.stock(places[0], 10)
    foreign = {"type": {"typeId": "type", "id": shared.foreign}, "fields": {"note": "keep"}}
    world.stock(places[1], 5, custom=foreign)
    world.stock(places[3], 20)
    history = History(world, places)
    history.ledger.initial = dict(zip(places, (10, 5, 0, 20), strict=True))
    return history


# What may happen

PLACES = st.integers(0, 3)
#: The last place is sold online, too, which no count of ours can know of.
COUNTED = st.integers(0, 2)
MINUTES = st.integers(0, 9)
UNITS = st.integers(1, 4)
MOMENTS = st.integers(0, 40)
STATUS = st.sampled_from([one for one in OrderStatus if one is not OrderStatus.DRAFT_BASKET])

STEPS = st.one_of(
    st.tuples(st.just("change"), PLACES, st.integers(-5, 5).filter(bool), MINUTES),
    st.tuples(st.just("count"), COUNTED, st.integers(0, 12), MINUTES),
    st.tuples(st.just("again"), st.integers(0, 20)),
    st.tuples(st.just("order"), st.integers(0, 3), STATUS, MINUTES),
    st.tuples(st.just("order"), st.integers(0, 3), STATUS, MINUTES),
    st.tuples(st.just("online"), UNITS),
    st.tuples(st.just("touch"), PLACES),
    st.tuples(st.just("drain")),
    st.tuples(st.just("die"), MOMENTS),
    st.tuples(st.just("die"), MOMENTS),
    st.tuples(st.just("together")),
)
PLANS = plans(
    rates=[0.1, 0.3, 0.6],
    anything=["inventory.*", "*"],
    writes=["inventory.update"],
    updates=["inventory.update"],
)


def order_of(number: int, places: list[Place]) -> dict[Place, int]:
    """What a kiosk order holds."""
    return {places[number % 4]: 1 + number, places[(number + 1) % 4]: 2}


def step(history: History, number: int, what: tuple[Any, ...]) -> None:  # noqa: C901 - a table
    world, places = history.world, history.places
    match what:
        case ("change", place, units, at):
            history.send(world.movement(places[place], units, at=at, id_=f"{world.project}/{number}"))
        case ("count", place, units, at):
            key = f"{world.project}/{number}"
            history.send(world.movement(places[place], None, counted=units, at=at, id_=key))
        case ("again", which):
            known = [one for one in history.ledger.sent.values() if one.source == Source.API]
            if known:
                history.send(known[which % len(known)])
        case ("order", which, status, at):
            order = f"{world.project}/order-{which}"
            history.see_order(order, status, order_of(which, places), at)
        case ("online", units):
            world.sell_online(places[3], units)
            history.online += units
        case ("touch", place):
            world.touch(places[place])
        case ("drain",):
            history.drain(None)
        case ("die", moment):
            history.drain(moment)
        case ("together",):
            history.drain_together()


@histories(50)
@given(steps=st.lists(STEPS, min_size=3, max_size=14), plan=PLANS)
def test_every_history_ends_right(shared: Shared, steps: list[tuple[Any, ...]], plan: FaultPlan) -> None:
    """Sales, voids, refunds, counts, repeats, late news, deaths at any moment, any fault, two drains at once."""
    history = begin(shared)
    shared.server.set_faults(plan)
    for number, what in enumerate(steps):
        step(history, number, what)
    history.check()


# Deaths at every moment


def busy(shared: Shared) -> History:
    """Something of everything waits."""
    history = begin(shared, settings={"concurrency": 2})
    a, b, c, d = history.places
    movement = history.world.movement
    history.send(movement(a, -3, at=1), movement(a, None, counted=8, at=2), movement(a, -1, at=3))
    history.send(movement(b, -7, at=1), movement(c, -2, at=1), movement(d, 4, at=1), movement(d, -4, at=2))
    history.see_order(f"{history.world.project}/o", OrderStatus.PAID, {b: 1, c: 1, d: 2}, 4)
    return history


def test_dying_anywhere_in_a_round_changes_nothing(shared: Shared) -> None:
    with Boundaries().watched() as counted:
        history = busy(shared)
        before = counted.passed
        history.world.drain().round()
        moments = counted.passed - before
    history.check()
    assert moments > 15
    for moment in range(moments):
        history = busy(shared)
        history.drain(moment)
        history.check()


def test_a_late_request_of_a_dead_drain_counts_once(shared: Shared) -> None:
    """Its update hangs, its successor goes on, and the update arrives after all."""
    for delay in (0.02, 0.1):
        history = busy(shared)
        slow = Rule(kind="slow", operation="inventory.update", rate=1, delay=delay, limit=4)
        shared.server.set_faults(FaultPlan(rules=(slow,)))
        history.drain_together()
        history.check()


# Real processes


def work_for_ever(world: StockWorld) -> None:
    """What a worker process does until it is killed."""
    drain = world.drain(owner=f"process-{os.getpid()}")
    while True:
        try:
            if not drain.round().batches:
                time.sleep(0.005)
        except RetryableError:
            time.sleep(0.005)


@pytest.mark.parametrize("seed", range(2))
def test_two_processes_killed_at_random(shared: Shared, seed: int) -> None:
    chance = random.Random(seed)
    history = begin(shared)
    world = history.world
    shared.server.set_faults(
        FaultPlan(
            seed=seed,
            rules=(
                Rule(kind="reset", operation="inventory.update", when="after", rate=0.1),
                Rule(kind="conflict", operation="inventory.update", rate=0.1),
                Rule(kind="slow", operation="inventory.update", rate=0.3, delay=0.01),
            ),
        )
    )

    def sell(number: int) -> None:
        for place in history.places:
            at, key = chance.randrange(60), f"{world.project}/{number}/{place}"
            history.send(world.movement(place, chance.randrange(-3, 4) or 1, at=at, id_=key))
        if chance.random() < 0.4:
            key = f"{world.project}/{number}/count"
            history.send(world.movement(history.places[0], None, counted=9, at=number, id_=key))

    kill_at_random(work_for_ever, world, shared.store, chance, sell, world.let_leases_end)
    history.check()
