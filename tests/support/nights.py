"""A project whose stock is compared night by night, and people, systems and mishaps that make it differ."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from tests.integration.clients.helpers import kiosk, shop
from tests.support.carrying import ROOT, SUITE
from tests.support.kiosks import Kiosks
from tests.support.stock import StockWorld
from upath import UPath

from cogent_ops.config import load_config
from cogent_ops.domain.custom_types import LAST_BATCH, declared
from cogent_ops.domain.drift.model import Finding
from cogent_ops.domain.stock import NewMovement, Place
from cogent_ops.sandbox import actions
from cogent_ops.sandbox.dataset import all_variants
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.services.drift.comparison import Parts
from cogent_ops.services.drift.nights import Nights
from cogent_ops.services.drift.stock import StockComparison
from cogent_ops.store import Store
from cogent_ops.store.drift import FindingState, StoredFinding
from cogent_ops.store.schema import movement

Json = dict[str, Any]

QUICKLY: Json = {"lag_seconds": 0.4, "rereads": 6, "late_minutes": 15}
STOCK = (StockComparison,)


@dataclass
class NightWorld:
    """One link over a sandbox and a store.

    :param rules: of the section ``drift``.
    """

    server: SandboxServer
    store: Store
    folder: Path
    rules: Json = field(default_factory=dict)
    comparisons: Any = STOCK
    #: Moved on by a test that lets time pass for the comparison.
    ahead: timedelta = timedelta(0)
    count: int = 0
    given: int = 0
    orders: int = 0

    def __post_init__(self) -> None:
        self.stock = StockWorld(self.server, self.store)
        #: Whoever polls and carries, one at a time, where something must happen in between.
        self.polling = threading.Lock()
        self.kiosks = Kiosks(self.server, self.store)
        self.kiosks.install()
        client = shop(self.server)
        for kind in declared():
            client.ensure("types", kind.draft())
        for key in ("berlin", "hamburg"):
            client.ensure("channels", {"key": key, "roles": ["InventorySupply"]})
        self.kiosks.show(self.skus)

    @cached_property
    def skus(self) -> list[str]:
        """Articles that the project has."""
        found = (all_variants(product) for product in self.server.state.commercetools["product-projections"])
        return sorted(variant["sku"] for variants in found for variant in variants)

    def places(self, number: int, *, store: str = "berlin", units: int = 20) -> list[Place]:
        """Places with so many units, which the next call does not give again."""
        found = [Place(self.skus[self.given + place], store) for place in range(number)]
        self.given += number
        for place in found:
            self.stock.stock(place, units)
        return found

    @cached_property
    def parts(self) -> Parts:
        files = load_config(ROOT / "include")
        config = files.link("default")
        rules = config.drift.model_copy(update={**QUICKLY, **self.rules})
        return Parts(
            config=config.model_copy(update={"drift": rules, "movements": self.kiosks.config.movements}),
            store=self.store,
            commercetools=shop(self.server),
            cloudshelf=kiosk(self.server),
            locations=files.locations,
            project=self.stock.project,
            suite=SUITE,
            run_key="drift",
            now=lambda: datetime.now(UTC) + self.ahead,
        )

    @cached_property
    def nights(self) -> Nights:
        return Nights(self.parts, UPath(self.folder), self.comparisons)

    def night(self) -> list[Finding]:
        """One night as the DAG goes through it, up to the question; what it found."""
        self.count += 1
        name = self.last
        self.nights.snapshot(name)
        self.nights.compare(name)
        self.nights.heal(name)
        self.nights.report(name)
        return [one.finding for one in self.store.drift.findings("default", name)]

    @property
    def last(self) -> str:
        """The name of the last night."""
        return f"2026-12-{self.count:02d}"

    def stored(self, night: str | None = None) -> list[StoredFinding]:
        return self.store.drift.findings("default", night or self.last)

    def states(self, night: str | None = None) -> dict[str, FindingState]:
        """States by subject."""
        return {one.finding.subject: one.state for one in self.stored(night)}

    # What happens by rights

    def sell(self, place: Place, units: int) -> str:
        """A kiosk sells, and the sale is carried to commercetools."""
        order = self.kiosks.sell((place.sku, units), store=place.channel)
        self.carry()
        return order

    def carry(self) -> None:
        """What the stock flow does."""
        with self.polling:
            self.kiosks.poll()
            self.stock.finish()

    def move(self, place: Place, delta: int) -> None:
        """A movement from a store's system that is carried."""
        self._carry(self.stock.movement(place, delta))

    def count_shelf(self, place: Place, units: int, at: datetime | None = None) -> None:
        """Somebody counts, or has counted at a moment, and the count is carried."""
        self._carry(self.stock.movement(place, counted=units), at)

    def _carry(self, one: NewMovement, at: datetime | None = None) -> None:
        self.stock.add(replace(one, occurred_at=at or datetime.now(UTC)))
        mine = sa.select(movement.c.state).where(movement.c.source_id == one.source_id)
        for _ in range(500):
            self.stock.finish()
            with self.store.read() as conn:
                if conn.execute(mine).scalar_one() not in ("waiting", "batched"):
                    return
            # Another drain is carrying it.
            time.sleep(0.01)
        raise AssertionError(f"not carried: {one}")

    def sell_online(self, place: Place, units: int) -> None:
        """The web shop sells; its order takes the units from stock."""
        self.orders += 1
        line = {"sku": place.sku, "quantity": units, "centAmount": 100}
        order = {
            "orderNumber": f"W{self.orders}",
            "currency": "EUR",
            "lines": [line],
            "channel": place.channel,
        }
        self.server.state.floor.raw_online_order({**order, "inventoryMode": "TrackOnly"})

    def keep_messages(self, enabled: bool) -> None:
        """Whether the project keeps Messages from now on."""
        client = shop(self.server)
        project = client.project()
        wanted = {"enabled": enabled, "deleteDaysAfterCreation": 15}
        action = {"action": "changeMessagesConfiguration", "messagesConfiguration": wanted}
        state = self.server.state.commercetools
        with state.lock:
            actions.update_project(state, {"version": project["version"], "actions": [action]})

    # What goes wrong

    def duplicate_last(self, place: Place, delta: int) -> None:
        """Our last change is applied once more, by our own client: what a lost answer may lead to elsewhere."""
        entry = self.stock.entry(place)
        assert entry is not None
        name = "addQuantity" if delta > 0 else "removeQuantity"
        batch = entry["custom"]["fields"][LAST_BATCH]
        change = [
            {"action": name, "quantity": abs(delta)},
            {"action": "setCustomField", "name": LAST_BATCH, "value": batch},
        ]
        shop(self.server).update("inventory", entry["id"], entry["version"], change)

    def forget_last(self, place: Place, before: Json) -> None:
        """An older state of the entry comes back, as after a restore."""
        state = self.server.state.commercetools
        with state.lock:
            now = self.stock.entry(place)
            assert now is not None
            state["inventory"].put({**before, "version": now["version"]})

    def edit(self, place: Place, units: int) -> None:
        """Somebody sets the quantity in the Merchant Center."""
        self.server.state.floor.set_stock(place.sku, units, place.channel or None)

    def remove(self, place: Place) -> None:
        """Somebody deletes the entry."""
        entry = self.stock.entry(place)
        assert entry is not None
        shop(self.server).delete("inventory", entry["id"], entry["version"])

    def poll_and_lose(self, order: str) -> None:
        """An order is polled, and its movements vanish from the inbox before they are sent."""
        with self.polling:
            self._poll_and_lose(order)

    def sell_and_lose(self, place: Place, units: int) -> str:
        """The same of an order that is placed now, which nobody polls before."""
        with self.polling:
            order = self.kiosks.sell((place.sku, units), store=place.channel)
            self._poll_and_lose(order)
        return order

    def _poll_and_lose(self, order: str) -> None:
        self.kiosks.poll()
        with self.store.begin() as conn:
            conn.execute(sa.delete(movement).where(movement.c.source_id.startswith(f"{order}/")))

    def make_old(self, minutes: int) -> None:
        """Movements that wait have waited so long."""
        moment = datetime.now(UTC) - timedelta(minutes=minutes)
        waiting = movement.c.state.in_(("waiting", "review"))
        with self.store.begin() as conn:
            conn.execute(sa.update(movement).where(waiting).values(recorded_at=moment))


def causes(findings: Sequence[Finding]) -> dict[str, str]:
    """Causes by subject."""
    return {one.subject: one.cause.value for one in findings}
