"""Inventory entries of a sandbox, an inbox before them, and what they should come to by an independent count."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from tests.integration.clients.helpers import QUICK, shop

from cogent_ops.clients.transport import Tuning
from cogent_ops.config import LinkConfig, load_config
from cogent_ops.domain.custom_types import declared
from cogent_ops.domain.stock import NewMovement, Place, Source
from cogent_ops.errors import RetryableError
from cogent_ops.sandbox import actions
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.services.stock.drain import DrainCounts, StockDrain
from cogent_ops.store import Store
from cogent_ops.store.schema import movement, stock_batch

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
START = datetime(2026, 11, 20, 9, tzinfo=UTC)
LINK = "default"
STORE = "store-hamburg"
_OWNERS = count()


def minute(number: int) -> datetime:
    """A time of the day."""
    return START + timedelta(minutes=number)


def movements_told(store: Store) -> list[tuple[Any, ...]]:
    """What the store took in, in that order: source id, SKU, channel, delta, counted."""
    columns = (
        movement.c.source_id,
        movement.c.sku,
        movement.c.channel,
        movement.c.delta,
        movement.c.counted,
    )
    with store.read() as conn:
        return [tuple(row) for row in conn.execute(sa.select(*columns).order_by(movement.c.id))]


@dataclass
class StockWorld:
    """One project over a sandbox and a store; several may share both, as long as their SKUs differ.

    :param project: as the store knows it.
    """

    server: SandboxServer
    store: Store
    project: str = "commercetools/sandbox"
    tuning: Tuning = QUICK
    settings: Json = field(default_factory=dict)

    @cached_property
    def config(self) -> LinkConfig:
        link = load_config(ROOT / "include").link(LINK)
        return link.model_copy(update={"movements": link.movements.model_copy(update=self.settings)})

    def install_types(self) -> None:
        """What bootstrap does."""
        client = shop(self.server)
        for kind in declared():
            client.ensure("types", kind.draft())

    def drain(self, **more: Any) -> StockDrain:
        """A drain as a task makes it."""
        client = shop(self.server, self.tuning)
        owner = f"worker-{next(_OWNERS)}"
        return StockDrain(self.config, self.store, client, self.project, **{"owner": owner, **more})

    def finish(self, *, rounds: int = 60) -> DrainCounts:
        """Drain until nothing is left to do; leases of the dead end meanwhile."""
        total, drain = DrainCounts(), self.drain()
        for _ in range(rounds):
            self.let_leases_end()
            try:
                done = drain.round()
            except RetryableError:
                continue
            if not done.batches:
                return total
            total += done
        raise AssertionError(f"not drained after {rounds} rounds: {self.store.stock.backlog(self.project)}")

    def let_leases_end(self) -> None:
        """Let so much time pass that every batch that is not applied may be taken over."""
        due = {"lease_until": 0.0, "retry_at": 0.0}
        mine = (stock_batch.c.project == self.project) & (stock_batch.c.state != "applied")
        with self.store.begin() as conn:
            # In the order in which runs lock them, so that neither waits for the other.
            locked = sa.select(stock_batch.c.id).where(mine).order_by(stock_batch.c.id).with_for_update()
            ids = list(conn.execute(locked).scalars())
            conn.execute(sa.update(stock_batch).where(stock_batch.c.id.in_(ids)).values(due))

    # The inbox

    def movement(
        self, place: Place, delta: int | None = None, *, at: int = 0, id_: str | None = None, **more: Any
    ) -> NewMovement:
        """A movement; ``counted=…`` makes it a count, ``at`` is the minute of the day."""
        source_id = id_ or f"m{next(_OWNERS)}"
        fields: Json = {"link": LINK, "source": Source.API, "reference": source_id, **more}
        return NewMovement(
            project=self.project,
            sku=place.sku,
            channel=place.channel,
            source_id=source_id,
            occurred_at=minute(at),
            delta=delta,
            **fields,
        )

    def add(self, *movements: NewMovement) -> int:
        with self.store.begin() as conn:
            return self.store.stock.add_movements(conn, movements)

    def move(self, place: Place, delta: int | None = None, **more: Any) -> None:
        """Add one movement."""
        self.add(self.movement(place, delta, **more))

    def states(self) -> dict[str, int]:
        """Movements by state."""
        query = sa.select(movement.c.state, sa.func.count()).where(movement.c.project == self.project)
        with self.store.read() as conn:
            rows = conn.execute(query.group_by(movement.c.state)).all()
        return {state: number for state, number in rows}  # noqa: C416 - rows are no pairs to mypy

    def reasons(self) -> dict[str, str]:
        """Reasons by movement, of those that have one."""
        with self.store.read() as conn:
            rows = conn.execute(
                sa.select(movement.c.source_id, movement.c.reason).where(movement.c.project == self.project)
            )
            return {source_id: reason for source_id, reason in rows if reason}

    # The project

    def stock(self, place: Place, quantity: int, **more: Any) -> Json:
        """Make an entry."""
        draft: Json = {"sku": place.sku, "quantityOnStock": quantity, **more}
        if place.channel:
            draft["supplyChannel"] = {"typeId": "channel", "key": place.channel}
        state = self.server.state.commercetools
        with state.lock:
            return actions.create_inventory(state, draft)

    def entry(self, place: Place) -> Json | None:
        """An entry as commercetools has it."""
        state = self.server.state.commercetools
        with state.lock:
            channel = state["channels"].first("key", place.channel) if place.channel else None
            return state.entry(place.sku, channel["id"] if channel else None)

    def on_stock(self, place: Place) -> int | None:
        """Units of an entry; ``None`` when there is none."""
        entry = self.entry(place)
        return None if entry is None else int(entry["quantityOnStock"])

    def sell_online(self, place: Place, units: int, *, reserve: bool = False) -> None:
        """What an order of the web shop does to an entry."""
        state, entry = self.server.state.commercetools, self.entry(place)
        assert entry is not None
        with state.lock:
            state.deduct(entry["id"], units, reserve=reserve)

    def touch(self, place: Place) -> None:
        """Somebody changes something else about an entry."""
        state, entry = self.server.state.commercetools, self.entry(place)
        if entry is not None:
            with state.lock:
                state.touch("inventory", entry["id"])

    def forget_requests(self) -> None:
        self.server.app.forget()

    def requests(self) -> Json:
        """Requests since they were forgotten, by operation of commercetools."""
        counted: Json = self.server.counters()["requests"]
        return {name.removeprefix("commercetools."): number for name, number in counted.items()}


@dataclass
class Ledger:
    """What was sent to the inbox, by idempotency key, and what entries must come to whatever happens on the way."""

    initial: dict[Place, int] = field(default_factory=dict)
    sent: dict[str, NewMovement] = field(default_factory=dict)

    def note(self, *movements: NewMovement) -> None:
        """Note movements; a key that is there already changes nothing."""
        for one in movements:
            self.sent.setdefault(one.source_id, one)

    def expected(self) -> dict[Place, int]:
        """Units by place: the last count and what happened after it, or everything that happened."""
        return {place: self._units(place, start) for place, start in self.initial.items()}

    def _units(self, place: Place, start: int) -> int:
        here = [one for one in self.sent.values() if one.place == place]
        since, units = None, start
        for one in here:
            if one.counted is not None and (since is None or one.occurred_at >= since):
                since, units = one.occurred_at, one.counted
        changes = (one for one in here if one.delta is not None)
        return units + sum(one.delta or 0 for one in changes if since is None or one.occurred_at > since)
