"""Captured orders, people who work on them in commercetools, and a person at the desk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

from tests.integration.clients.helpers import kiosk, shop
from tests.support.captures import Captures, coats
from tests.support.kiosks import SKUS, Json

from cogent_ops.clients.commercetools import CommercetoolsClient, Created
from cogent_ops.clients.transport import close_sessions
from cogent_ops.config import LinkConfig
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.services.orders.shop import ShopCounts, ShopWatch
from cogent_ops.services.orders.tell import OrderTelling, TellCounts
from cogent_ops.store import Store
from cogent_ops.store.orders import CaptureState

COAT, OTHER, ODD = SKUS
#: Price of one article, in minor units.
CENTS = 950
ACTOR = "dana"


@dataclass
class Landed(Captures):
    """A link with orders that are in commercetools."""

    @cached_property
    def config(self) -> LinkConfig:
        self.orders_settings = {"shop_poll_seconds": 1.0, "grace_minutes": 0, **self.orders_settings}
        return super().config

    @cached_property
    def client(self) -> CommercetoolsClient:
        return shop(self.server, self.tuning)

    def land(self, *lines: tuple[str, int], **more: Any) -> str:
        """Sell, and capture the order; its id in Cloudshelf."""
        order = self.sell(*(lines or ((COAT, 1),)), **more)
        self.run()
        assert self.row(order).state is CaptureState.CAPTURED, self.exceptions()
        return order

    def once(self) -> None:
        """What a run of the flow does, each step once."""
        self.poll()
        self.capture().round()
        self.look()
        self.tell()

    # People in commercetools

    def work_on(self, order: str, **change: Any) -> None:
        """Somebody changes the commercetools order of a kiosk order."""
        self.server.state.floor.change("order-change", {"order": self.row(order).ct_order_id, **change})

    def cancel(self, order: str) -> None:
        self.work_on(order, orderState="Cancelled")

    def enter(self, number: str, cents: int = CENTS, currency: str = "EUR", **more: Any) -> Json:
        """An order with its payment, as a person enters one."""
        amount = {"currencyCode": currency, "centAmount": cents}
        charge = {"type": "Charge", "state": "Success", "amount": amount}
        payment = self.client.create(
            "payments", {"key": number, "amountPlanned": amount, "transactions": [charge]}
        )
        assert isinstance(payment, Created)
        line = {"name": {"de": "Mantel"}, "slug": "coat", "quantity": 1, "money": amount}
        draft: Json = {
            "orderNumber": number,
            "totalPrice": amount,
            "customLineItems": [line],
            "orderState": "Confirmed",
            "paymentState": "Paid",
            "inventoryMode": "None",
            "paymentInfo": {"payments": [{"typeId": "payment", "id": payment.resource["id"]}]},
        }
        made = self.client.create("orders/import", {**draft, **more})
        assert isinstance(made, Created)
        return made.resource

    # What comes after the capture

    def watch(self) -> ShopWatch:
        return ShopWatch(self.config, self.store, self.client)

    def look(self) -> ShopCounts:
        """A look as the first one of a run."""
        return self.watch().look(self.now)

    def telling(self) -> OrderTelling:
        return OrderTelling(self.config, self.store, kiosk(self.server, self.tuning), run_key="run")

    def tell(self, later: timedelta = timedelta(0)) -> TellCounts:
        return self.telling().round(self.now + later)

    # The desk

    def edit(self, order: str, edits: Mapping[str, str]) -> Mapping[str, str]:
        """Correct an order; what people are shown of it."""
        desk = self.desk()
        checked = desk.check(order, edits)
        with self.store.begin() as conn:
            desk.edit(conn, checked, ACTOR)
        return checked.shown

    def replay(self, order: str) -> None:
        with self.store.begin() as conn:
            self.desk().replay(conn, order, ACTOR)

    def approve(self, order: str) -> None:
        with self.store.begin() as conn:
            self.desk().approve(conn, order, ACTOR)

    def link_to(self, order: str, number: str, kind: str = "order_conflict") -> None:
        desk = self.desk()
        entered = desk.find(order, number)
        with self.store.begin() as conn:
            desk.link(conn, entered, ACTOR, kind=kind)

    def reject(
        self, order: str, reason: str = "a test of the staff", kind: str = "ambiguous_payment"
    ) -> None:
        with self.store.begin() as conn:
            self.desk().reject(conn, order, reason, ACTOR, kind=kind)

    # What is there afterwards

    def shown(self, order: str) -> tuple[str, str | None]:
        """Status and ``thirdPartyId`` in Cloudshelf."""
        with self.state.lock:
            found = self.state.get("Order", order)
            return found["status"], found["thirdPartyId"]

    def all_requests(self) -> dict[str, int]:
        """Requests of both APIs since they were forgotten, by operation."""
        counted: dict[str, int] = self.server.counters()["requests"]
        return counted

    def writes(self) -> dict[str, int]:
        """Those that change something."""
        verbs = (".create", ".update", ".delete", ".import")
        return {
            name: number
            for name, number in self.all_requests().items()
            if name.endswith(verbs) or "upsert" in name
        }


@contextmanager
def worlds(store: Store) -> Iterator[Any]:
    """Starts sandboxes with kiosks: ``begin(faults, orders_settings=…)``."""
    with ExitStack() as stack:

        def begin(*args: Any, **named: Any) -> Landed:
            world = Landed(stack.enter_context(SandboxServer(coats(), *args)), store, **named)
            world.begin()
            return world

        yield begin
        close_sessions()
