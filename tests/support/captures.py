"""Kiosks whose orders are captured, and commercetools on the other side: what is there, by an independent look."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import count
from typing import Any

import sqlalchemy as sa
from tests.integration.clients.helpers import kiosk, shop
from tests.support.kiosks import SKUS, Json, Kiosks, ulid

from cogent_ops.config import LinkConfig
from cogent_ops.domain.custom_types import declared
from cogent_ops.domain.order_states import effective
from cogent_ops.domain.rules import LocationOverride, OrderStatus
from cogent_ops.errors import RetryableError
from cogent_ops.sandbox.dataset import Dataset
from cogent_ops.sandbox.generator import generate
from cogent_ops.services.orders.capture import CaptureCounts, OrderCapture
from cogent_ops.services.orders.context import OrderContext
from cogent_ops.services.orders.desk import OrderDesk
from cogent_ops.services.stock.locations import Locations, Places
from cogent_ops.store.orders import Accounting, Capture
from cogent_ops.store.schema import order_capture

_OWNERS = count()


def coats() -> Dataset:
    """A project with one product, whose SKUs the kiosks sell, and Channels for their stores."""
    data = generate(seed=1, products=1, now=datetime(2026, 11, 20, tzinfo=UTC), dirty_share=0.0)
    (product,) = data.products
    master = {**product["masterVariant"], "sku": SKUS[0]}
    others = [{**master, "id": n, "sku": sku} for n, sku in enumerate(SKUS[1:], start=2)]
    channels = [{**one, "key": one["key"].removeprefix("store-")} for one in data.channels]
    sold = {**product, "masterVariant": master, "variants": others}
    return replace(data, products=[sold], channels=channels, inventory=[])


@dataclass
class Captures(Kiosks):
    """A link whose orders are captured.

    :param orders: settings of the section ``orders``.
    """

    orders_settings: Json = field(default_factory=dict)
    #: What ``include/locations.yaml`` says.
    locations: dict[str, LocationOverride] = field(default_factory=dict)

    @cached_property
    def config(self) -> LinkConfig:
        plain = Kiosks(self.server, self.store, self.name, settings=self.settings).config
        rules = plain.orders.model_validate({**plain.orders.model_dump(), **self.orders_settings})
        return plain.model_copy(update={"orders": rules})

    def begin(self) -> None:
        """What catalogue flow and bootstrap bring."""
        self.install()
        client = shop(self.server)
        for kind in declared():
            client.ensure("types", kind.draft())
        for sku in SKUS:
            client.create("inventory", {"sku": sku, "quantityOnStock": 100})

    # The capture

    def capture(self, **more: Any) -> OrderCapture:
        """A capture as a task makes it."""
        client = shop(self.server, self.tuning)
        places = Places(self.config.movements, Locations(kiosk(self.server, self.tuning)))
        owner = f"worker-{os.getpid()}-{next(_OWNERS)}"
        given: Json = {"owner": owner, "project": self.project, "clock": lambda: self.now}
        return OrderCapture(
            self.config, self.store, client, OrderContext(self.config, client, places), **{**given, **more}
        )

    def desk(self) -> OrderDesk:
        """Where a person decides."""
        client = shop(self.server, self.tuning)
        return OrderDesk(
            self.config, self.store, client, self.capture(), self.project, locations=self.locations
        )

    def run(self, *, rounds: int = 60) -> CaptureCounts:
        """Poll, and capture until nothing is due."""
        self.poll()
        return self.finish(rounds=rounds)

    def finish(self, *, rounds: int = 60) -> CaptureCounts:
        """Capture until nothing is due, through whatever faults there are."""
        total, capture = CaptureCounts(), self.capture()
        for _ in range(rounds):
            try:
                counts = capture.round()
            except RetryableError:
                counts = CaptureCounts(waiting=1)
            total += counts
            if counts.waiting:
                self.let_time_pass()
            elif not counts.done:
                return total
        raise AssertionError(f"not captured after {rounds} rounds: {self.accounting()}")

    def decide(self, order: str, **edits: str) -> None:
        """A person sets an order right and lets it be tried again."""
        decisions = self.store.order_decisions
        with self.store.begin() as conn:
            decisions.edit(conn, self.name, self._locked(conn, order), edits, "ann")
            decisions.replay(conn, self.name, self._locked(conn, order), "ann")

    def leave_out(self, order: str, reason: str) -> None:
        """A person leaves an order out."""
        with self.store.begin() as conn:
            found = self._locked(conn, order)
            status = effective(OrderStatus(found.status), found.edits, self.config.orders)
            self.store.order_decisions.exclude(conn, self.name, found, status, reason, "ann")

    def _locked(self, conn: sa.Connection, order: str) -> Capture:
        found = self.store.captures.get(conn, self.name, order, lock=True)
        assert found is not None
        return found

    def let_time_pass(self, *states: str) -> None:
        """Whatever waits for its time has waited enough, and leases of the dead have ended.

        :param states: only rows in these; none given: those that are under way.
        """
        due = order_capture.c.due_at.is_not(None)
        mine = due & order_capture.c.state.in_(states or ("waiting", "sending", "captured"))
        past = {"due_at": self.now - timedelta(minutes=1), "lease_until": 0.0}
        with self.store.begin() as conn:
            conn.execute(sa.update(order_capture).where(mine).values(past))

    # What is there afterwards

    def row(self, order: str) -> Capture:
        with self.store.read() as conn:
            found = self.store.captures.get(conn, self.name, order)
        assert found is not None
        return found

    def accounting(self) -> Accounting:
        return self.store.captures.accounting(self.name)

    def ct_orders(self) -> list[Json]:
        """Orders of the project, as they are stored."""
        state = self.server.state.commercetools
        with state.lock:
            return json.loads(json.dumps(list(state["orders"])))  # type: ignore[no-any-return]

    def ct_order(self, order: str) -> Json:
        """The one commercetools order of a kiosk order."""
        found = [one for one in self.ct_orders() if one.get("orderNumber") == f"CS-{ulid(order)}"]
        assert len(found) == 1, f"{len(found)} orders"
        return found[0]

    def payment(self, order: str) -> Json:
        """Its one payment."""
        (reference,) = self.ct_order(order)["paymentInfo"]["payments"]
        state = self.server.state.commercetools
        with state.lock:
            found = [one for one in state["payments"] if one["id"] == reference["id"]]
        return found[0]

    def transactions(self, order: str) -> list[tuple[str, str, int]]:
        """Type, state and amount in minor units of its payment's transactions."""
        return [
            (one["type"], one["state"], one["amount"]["centAmount"])
            for one in self.payment(order)["transactions"]
        ]

    def requests(self) -> Json:
        """Requests since they were forgotten, by operation."""
        counted: Json = self.server.counters()["requests"]
        return {name: number for name, number in counted.items() if name.startswith("commercetools.")}

    def forget_requests(self) -> None:
        self.server.app.forget()

    def kinds(self, orders: Iterable[str]) -> list[set[str]]:
        """Kinds of the open exceptions of orders."""
        found = self.store.exceptions.open(self.name)
        return [{one.kind for one in found if one.cause_key == f"order/{order}"} for order in orders]
