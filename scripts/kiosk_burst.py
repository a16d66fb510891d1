"""A burst of kiosk sales against the sandbox while its APIs misbehave, and an independent recount afterwards."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass
from urllib.parse import unquote

from sandbox_talk import Sandbox

SALES = 200
#: Share of the sales that are voided again.
VOIDED = 0.1
#: One request in eight goes wrong, most of them in the way that hurts: applied, and the answer is lost.
FAULTS = {
    "seed": 11,
    "rules": [
        {"kind": "error", "rate": 0.04, "status": 503},
        {"kind": "error", "rate": 0.03, "status": 500, "when": "after"},
        {"kind": "reset", "rate": 0.05, "when": "after"},
        {"kind": "conflict", "operation": "inventory.update", "rate": 0.05},
    ],
}

Stock = dict[str, int]


@dataclass(frozen=True)
class Recount:
    """What the two sides say afterwards, in units.

    :param sold: units of sales that stand, voided ones left out.
    :param deducted: units that are gone from commercetools' inventory.
    :param lost: units sold and not deducted, entry by entry.
    :param doubled: units deducted and not sold, entry by entry.
    :param faults: how often an API misbehaved.
    """

    orders: int
    voided: int
    sold: int
    deducted: int
    lost: int
    doubled: int
    faults: int


class Burst:
    """Sells, and counts again.

    :param sandbox: only its control endpoint is used.
    """

    def __init__(self, sandbox: Sandbox, seed: int = 7) -> None:
        self._sandbox = sandbox
        self._rng = random.Random(seed)
        self._before: Stock = {}
        #: Place and units of every order.
        self._orders: dict[str, tuple[str, int]] = {}
        self._voided: set[str] = set()
        self._faults_before = 0

    def sell(self, sales: int = SALES) -> None:
        """Sell what kiosks show, with faults on; some sales are voided at once."""
        variants, stores = self._shown()
        self._sandbox.misbehave(FAULTS)
        popular = self._rng.sample(variants, min(40, len(variants)))
        for _ in range(sales):
            order = self._sell_one(popular, stores)
            if self._rng.random() < VOIDED:
                self._void(order)

    def sell_steadily(self, per_second: float, seconds: float) -> dict[str, float]:
        """Sell evenly, without faults; when each order was placed, in seconds since 1970."""
        variants, stores = self._shown()
        placed: dict[str, float] = {}
        began = time.monotonic()
        for number in range(int(per_second * seconds)):
            time.sleep(max(0.0, began + number / per_second - time.monotonic()))
            at = time.time()
            placed[self._sell_one(variants[:200], stores)] = at
        return placed

    def _shown(self) -> tuple[list[str], list[str]]:
        """Variants and stores that kiosks show; from here on it is counted."""
        self._before, self._faults_before = self._sandbox.inventory(), self._sandbox.faults()
        # Only what kiosks show can be sold there; each of the stores may sell it, with stock or without.
        shown = self._sandbox.state("cloudshelf")
        variants = sorted(id_ for product in shown["products"].values() for id_ in product["variants"])
        return variants, sorted(shown["locations"])

    def _sell_one(self, variants: list[str], stores: list[str]) -> str:
        variant, store, units = self._rng.choice(variants), self._rng.choice(stores), self._rng.randint(1, 3)
        line = {"productVariantID": variant, "quantity": units, "price": 10.0, "currencyCode": "EUR"}
        session = {"locationId": store}
        made = str(self._sandbox.change("kiosk-order", lines=[line], status="PAID", session=session)["id"])
        self._orders[made] = (f"{_named(variant)}@{_named(store)}", units)
        return made

    def _void(self, order: str) -> None:
        self._sandbox.change("kiosk-status", order=order, status="VOIDED")
        self._voided.add(order)

    def calm(self) -> None:
        """Switch the faults off."""
        self._sandbox.calm()

    def recount(self) -> Recount:
        """Compare commercetools' inventory before and after with what was sold, entry by entry."""
        after, sold = self._sandbox.inventory(), Counter[str]()
        for order, (place, units) in self._orders.items():
            sold[place] += 0 if order in self._voided else units
        places = self._before.keys() | after.keys() | sold.keys()
        gone = {place: self._before.get(place, 0) - after.get(place, 0) for place in places}
        return Recount(
            orders=len(self._orders),
            voided=len(self._voided),
            sold=sum(sold.values()),
            deducted=sum(gone.values()),
            lost=sum(max(0, sold[place] - units) for place, units in gone.items()),
            doubled=sum(max(0, units - sold[place]) for place, units in gone.items()),
            faults=self._sandbox.faults() - self._faults_before,
        )


def _named(gid: str) -> str:
    """What an external id of Cloudshelf stands for: a SKU, or the key of a Channel."""
    return unquote(gid.rpartition("/")[2])
