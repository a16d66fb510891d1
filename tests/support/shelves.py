"""A link's availability flow over a sandbox, and what kiosks should say: counted anew from commercetools itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from tests.integration.clients.helpers import QUICK, kiosk, shop
from tests.support.carrying import Carrier

from cogent_ops.clients.transport import Tuning
from cogent_ops.domain.identifiers import location_gid, variant_gid
from cogent_ops.errors import RetryableError
from cogent_ops.sandbox import actions
from cogent_ops.services.availability import AvailabilityFlow, CollectCounts, PushCounts
from cogent_ops.store.schema import stock_level, variant_flag

Json = dict[str, Any]

ATTEMPTS = 60


@dataclass
class Shelves:
    """The availability of a carrier's link.

    :param settings: of the link, over the carrier's.
    :param project: as the store knows it.
    """

    carrier: Carrier
    tuning: Tuning = QUICK
    settings: Json = field(default_factory=dict)
    project: str = "commercetools/sandbox"
    #: Moved on by a test that lets time pass for the flow.
    ahead: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        self.store = self.carrier.store
        self.flow = self.renewed()

    @property
    def link(self) -> str:
        return self.carrier.name

    def renewed(self) -> AvailabilityFlow:
        """The flow as the next run makes it."""
        config = self.carrier.config.model_copy(update=self.settings)
        server = self.carrier.server
        self.flow = AvailabilityFlow(
            config,
            self.store,
            shop(server, self.tuning),
            kiosk(server, self.tuning),
            self.carrier.files.locations,
            project=self.project,
        )
        return self.flow

    @property
    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def collect(self, *, full: bool = False) -> CollectCounts:
        return self.flow.collect(self.now, full=full)

    def push(self, limit: int | None = None) -> PushCounts:
        return self.flow.push(limit)

    def once(self, *, full: bool = False) -> PushCounts:
        """Collect and push."""
        self.collect(full=full)
        return self.push()

    def settle(self, *, full: bool = False) -> None:
        """Collect and push, tried again where Airflow would, until nothing is left to do."""
        for _ in range(ATTEMPTS):
            try:
                self.once(full=full)
            except RetryableError:
                continue
            shelf = self.store.availability
            if not shelf.to_read(self.link, self.now, 1) and not shelf.has_due(self.link, self.now):
                backlog = shelf.backlog(self.link)
                if not backlog.levels and not backlog.flags:
                    return
            self.let_time_pass()
        raise AssertionError(f"something is left: {self.store.availability.backlog(self.link)}")

    def let_time_pass(self) -> None:
        """Whatever waits for its time, a refusal's pause or a dead sender's hold, has waited enough."""
        past = datetime.now(UTC) - timedelta(seconds=1)
        with self.store.begin() as conn:
            due = {"due_at": sa.case((stock_level.c.due_at > past, past), else_=stock_level.c.due_at)}
            conn.execute(sa.update(stock_level).values(due))
            due = {"due_at": sa.case((variant_flag.c.due_at > past, past), else_=variant_flag.c.due_at)}
            conn.execute(sa.update(variant_flag).values(due))
            held = sa.update(variant_flag).where(variant_flag.c.holder.is_not(None))
            conn.execute(held.values(held_until=past))

    # What happens to stock

    def set(self, sku: str, quantity: int, channel: str | None = None) -> None:
        """Somebody counts, which shows in ``lastModifiedAt``."""
        self.carrier.floor.set_stock(sku, quantity, channel)

    def sell(self, number: str, sku: str, quantity: int = 1, channel: str | None = None) -> None:
        """Somebody buys in the web shop."""
        line = {"sku": sku, "quantity": quantity, "centAmount": 100}
        order: Json = {"orderNumber": number, "currency": "EUR", "lines": [line], "channel": channel}
        self.carrier.floor.raw_online_order(order)

    def pass_overlap(self) -> None:
        """Time passes, and something else changes, so that what changed before is not looked at again."""
        self.carrier.server.state.clock.advance(60)
        self.set("SOMETHING-ELSE", int(self.carrier.server.state.clock.now().timestamp()))
        self.settle()

    def remove_entry(self, sku: str, channel: str | None = None) -> None:
        """Somebody deletes an inventory entry."""
        state = self.carrier.server.state.commercetools
        with state.lock:
            id_ = None if channel is None else state.find({"typeId": "channel", "key": channel})["id"]
            entry = state.entry(sku, id_)
            assert entry is not None
            actions.delete_inventory(state, entry)

    def empty(self, sku: str) -> None:
        """Nothing of a SKU is left anywhere."""
        for channel in self.stock()[sku]:
            self.set(sku, 0, channel or None)

    # Both sides

    def stock(self) -> dict[str, dict[str, int]]:
        """What commercetools has for sale, by SKU and Channel key (empty: the pool)."""
        state = self.carrier.server.state.commercetools
        found: dict[str, dict[str, int]] = {}
        with state.lock:
            state.settle()
            keys = {channel["id"]: channel["key"] for channel in state["channels"]}
            for entry in state["inventory"]:
                channel = entry.get("supplyChannel")
                key = keys[channel["id"]] if channel else ""
                found.setdefault(entry["sku"], {})[key] = entry["availableQuantity"]
        return found

    def kiosk(self) -> Json:
        return self.carrier.kiosk()

    def levels(self) -> dict[tuple[str, str], list[Any]]:
        """Quantity and ``isInStock`` by variant and location, as Cloudshelf has them."""
        stored: Json = self.kiosk()["stock"]
        return {(name.partition("@")[0], name.partition("@")[2]): level for name, level in stored.items()}

    def variants(self) -> dict[str, Json]:
        """Variants by gid, as Cloudshelf has them."""
        products = self.kiosk()["products"].values()
        return {gid: variant for product in products for gid, variant in product["variants"].items()}

    def level(self, sku: str, channel: str) -> Any:
        return self.levels()[variant_gid(sku), location_gid(channel)]

    def check(self) -> None:
        """What kiosks say is what commercetools has, counted with the link's default rules."""
        stock, kiosk_ = self.stock(), self.kiosk()
        stores = {gid.rpartition("/")[2] for gid in kiosk_["locations"]}
        levels, variants = self.levels(), self.variants()
        assert variants
        for gid, variant in variants.items():
            there = stock.get(variant["sku"], {})
            total = sum(max(0, quantity) for quantity in there.values())
            assert variant["isInStock"] is (total > 0), (variant["sku"], there)
            back_order = variant["inventoryPolicy"] == "CONTINUE"
            assert variant["availableToPurchase"] is (total > 0 or back_order), (variant["sku"], there)
            for channel, quantity in there.items():
                if channel in stores:
                    told, in_stock = levels[gid, location_gid(channel)]
                    assert max(0, told) == max(0, quantity), (variant["sku"], channel)
                    assert in_stock is (quantity > 0), (variant["sku"], channel)
        for (gid, place), (told, in_stock) in levels.items():
            if place.rpartition("/")[2] not in stock.get(variants[gid]["sku"], {}):
                assert told <= 0, "an entry that is gone is no stock"
                assert in_stock is False
