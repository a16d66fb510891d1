"""Kiosks of a sandbox that sell, a poll of their orders, and what the inbox should hold by an independent count."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from tests.integration.clients.helpers import QUICK, kiosk

from cogent_ops.clients.transport import Tuning
from cogent_ops.config import LinkConfig, load_config
from cogent_ops.domain.identifiers import location_gid, product_gid, variant_gid
from cogent_ops.domain.stock import Place
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.services.stock.orders import OrderPoll, PollCounts
from cogent_ops.store import Store
from cogent_ops.store.exceptions import StoredException
from cogent_ops.store.schema import kiosk_order, movement, order_effect

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
PRODUCT = "p"
SKUS = ("coat-s", "coat-m", "coat/l 50%")
STORES = ("berlin", "hamburg")


@dataclass
class Kiosks:
    """One link over a sandbox and a store.

    :param settings: of the section ``movements``; the start lies long ago unless a test says otherwise.
    """

    server: SandboxServer
    store: Store
    name: str = "default"
    tuning: Tuning = QUICK
    settings: Json = field(default_factory=dict)
    project: str = "commercetools/sandbox"
    #: Moved on by a test that lets time pass for the poll.
    ahead: timedelta = timedelta(0)

    @cached_property
    def config(self) -> LinkConfig:
        link = load_config(ROOT / "include").link("default")
        changes = {"start": LONG_AGO, "orders_page": 4, **self.settings}
        movements = link.movements.model_copy(update=changes)
        return link.model_copy(update={"movements": movements, "name": self.name})

    @property
    def state(self) -> Any:
        return self.server.state.cloudshelf

    def install(self) -> None:
        """A catalogue and stores, as the other flows bring them."""
        with self.state.lock:
            self.state.reset()
            product = {"id": product_gid(PRODUCT), "displayName": "Coat"}
            self.state.upsert("upsertProducts", "Product", [product])
        self.show(SKUS)
        for store in STORES:
            self.add_location(location_gid(store))

    def show(self, skus: Iterable[str]) -> None:
        """Articles on the kiosks."""
        variants = [
            {
                "id": variant_gid(sku),
                "sku": sku,
                "displayName": sku,
                "currentPrice": 9.5,
                "originalPrice": 9.5,
                "isInStock": True,
                "availableToPurchase": True,
            }
            for sku in skus
        ]
        with self.state.lock:
            batch = [{"productId": product_gid(PRODUCT), "variants": variants}]
            self.state.upsert_variants("upsertProductVariants", batch)

    def add_location(self, gid: str | None, **more: Any) -> str:
        """A location; its internal id."""
        given = {"displayName": "Store", "countryCode": "DE", "address1": "Hauptstr. 1", **more}
        with self.state.lock:
            outcome = self.state.upsert("upsertLocations", "Location", [{"id": gid, **given}])
            assert outcome.errors == []
            return str(outcome.entities[0]["id"])

    # People

    def location(self, store: str) -> str:
        """A store's internal id, as sessions name it."""
        return str(self.state.get("Location", location_gid(store))["id"])

    def sell(
        self, *lines: tuple[str, int], store: str | None = "berlin", status: str = "PAID", **session: Any
    ) -> str:
        """A kiosk order; its id."""
        place = {} if store is None else {"locationId": self.location(store), "locationName": store.title()}
        return self.raw_order([line(*one) for one in lines], status, {**place, **session})

    def raw_order(self, lines: list[Json], status: str = "PAID", session: Json | None = None) -> str:
        given = {"lines": lines, "status": status, "session": session}
        return str(self.server.state.floor.change("kiosk-order", given)["id"])

    def set_status(self, order: str, status: str) -> None:
        self.server.state.floor.set_order_status(order, status)

    def set_lines(self, order: str, *lines: tuple[str, int]) -> None:
        """Replace an order's lines; they get new ids."""
        with self.state.lock:
            given = {"id": order, "lines": [line(*one) for one in lines]}
            assert self.state.upsert_orders("upsertOrders", [given]).errors == []

    def change(self, order: str, **fields: Any) -> None:
        """Change an order's record as no API does."""
        with self.state.lock:
            self.state.get("Order", order).update(fields)
            self.state.revision["Order"] += 1

    # The poll

    def poller(self, **more: Any) -> OrderPoll:
        """A poll as a task makes it."""
        return OrderPoll(self.config, self.store, kiosk(self.server, self.tuning), self.project, **more)

    @property
    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def poll(self, **more: Any) -> PollCounts:
        return self.poller(**more).run(self.now)

    # What the store holds

    def movements(self) -> list[Any]:
        query = sa.select(movement).where(movement.c.link == self.name).order_by(movement.c.id)
        with self.store.read() as conn:
            return list(conn.execute(query))

    def moved(self, *states: str) -> dict[tuple[str, Place], int]:
        """Units by order (its ULID) and place, zeros left out."""
        sums: dict[tuple[str, Place], int] = {}
        for one in self.movements():
            if not states or one.state in states:
                key = one.reference, Place(one.sku, one.channel)
                sums[key] = sums.get(key, 0) + one.delta
        return {key: units for key, units in sums.items() if units}

    def effects(self) -> dict[tuple[str, Place], int]:
        """The same by what is recorded of the orders."""
        query = sa.select(order_effect).where(order_effect.c.link == self.name)
        with self.store.read() as conn:
            return {
                (ulid(row.order_id), Place(row.sku, row.channel)): row.quantity
                for row in conn.execute(query)
                if row.quantity
            }

    def orders(self) -> dict[str, Any]:
        query = sa.select(kiosk_order).where(kiosk_order.c.link == self.name)
        with self.store.read() as conn:
            return {row.order_id: row for row in conn.execute(query)}

    def exceptions(self) -> dict[str, StoredException]:
        """Open exceptions by kind and cause, e.g. ``bad_movement order/…``."""
        return {f"{one.kind} {one.cause_key}": one for one in self.store.exceptions.open(self.name)}


def line(sku: str, quantity: Any) -> Json:
    return {
        "productID": product_gid(PRODUCT),
        "productVariantID": variant_gid(sku),
        "quantity": quantity,
        "price": 9.5,
    }


def ulid(gid: str) -> str:
    return gid.rpartition("/")[2]
