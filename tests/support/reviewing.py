"""Kiosks whose orders are captured, and a person who decides about what keeps them from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from tests.integration.clients.helpers import shop
from tests.support.captures import Captures
from tests.support.kiosks import Json, ulid

from cogent_ops.clients.commercetools import Created
from cogent_ops.config import SHIPPED, load_policies
from cogent_ops.domain.exceptions import Action, Status
from cogent_ops.domain.identifiers import location_gid
from cogent_ops.domain.policies import Policies
from cogent_ops.services.review import Decision, Done, Review
from cogent_ops.store import Filter, StoredException

PAID_HERE = {"paymentAttemptId": "attempt-1", "paymentMethod": "STRIPE"}
COAT = "coat-s"


@dataclass
class Reviewing(Captures):
    """See the module."""

    policies: Policies = field(default_factory=lambda: load_policies(SHIPPED.parent))

    def review(self) -> Review:
        """A review as a task or a command makes it."""
        return Review(
            self.name,
            self.store,
            self.policies,
            desk=self.desk,
            project=lambda: self.project,
            clock=lambda: self.now,
        )

    def placed_long_ago(self) -> str:
        """An order that nobody has seen paid."""
        order = self.sell((COAT, 1), status="PLACED", **PAID_HERE)
        self.ahead = timedelta(minutes=20)
        self.run()
        return order

    def nowhere(self, orders: int = 1) -> list[str]:
        """Orders of kiosks at a location that commercetools does not know."""
        with self.state.lock:
            known = self.state.get("Location", location_gid("atlantis"))
        place = known["id"] if known else self.add_location(location_gid("atlantis"))
        session = {"locationId": place, "locationName": "Atlantis", **PAID_HERE}
        sold = [self.sell((COAT, 1), store=None, **session) for _ in range(orders)]
        self.run()
        return sold

    def by_hand(self, number: str) -> Json:
        """An order that a person entered in commercetools."""
        line = {
            "variant": {"sku": COAT},
            "name": {"de": "Coat"},
            "quantity": 1,
            "price": {"value": {"currencyCode": "EUR", "centAmount": 950}},
        }
        draft: Json = {
            "orderNumber": number,
            "totalPrice": {"currencyCode": "EUR", "centAmount": 950},
            "inventoryMode": "None",
            "lineItems": [line],
        }
        made = shop(self.server).create("orders/import", draft)
        assert isinstance(made, Created)
        return made.resource

    def do(self, action: Action, ids: Sequence[int], *, actor: str = "ann", **more: Any) -> list[Done]:
        return self.review().carry_out(Decision(action, actor, **more), ids)

    def one(self, order: str) -> StoredException:
        """The one exception of an order, open or not."""
        found = [one for one in self.everything() if one.record == f"CS-{ulid(order)}"]
        assert len(found) == 1, found
        return found[0]

    def everything(self) -> list[StoredException]:
        return self.review().find(Filter(statuses=tuple(Status)))
