"""A burst of kiosk orders of every kind; :mod:`order_recount` says what became of them."""

from __future__ import annotations

import heapq
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import unquote

import httpx

from order_cases import CASES, EMAIL, FOREIGN, GONE, NAME, PHONE, Case, Json
from sandbox_talk import Sandbox

#: One request in eight goes wrong, most of them in the way that hurts: applied, and the answer is lost.
FAULTS: Json = {
    "seed": 11,
    "rules": [
        {"kind": "error", "rate": 0.04, "status": 503},
        {"kind": "error", "rate": 0.03, "status": 500, "when": "after"},
        {"kind": "reset", "rate": 0.05, "when": "after"},
        {"kind": "conflict", "operation": "*.update", "rate": 0.05},
        {"kind": "refuse", "operation": "upsertOrders", "rate": 0.02},
    ],
}
#: Of the stores that sell, and what their kiosks take.
COUNTRY, CURRENCY = "DE", "EUR"
#: Stands before an order's id in its number in commercetools.
PREFIX = "CS-"
_WORKERS = 8
_MOST_LINES = 3
_TRY_AGAIN_SECONDS = 2.0
_OURS = "gid://external/CommercetoolsSku/"
_DISCONTINUED = "gid://external/CommercetoolsProduct/discontinued"
_LOCATIONS = "{ locations(first: 100) { edges { node { id displayName platformProvidedId countryCode } } } }"
_PRODUCTS = "mutation ($input: [ProductInput!]!) { upsertProducts(input: $input) { userErrors { message } } }"
_VARIANTS = """mutation ($inputs: [UpsertVariantsInput!]!) { upsertProductVariants(inputs: $inputs) {
    userErrors { message } } }"""


@dataclass
class Sale:
    """An order that was placed, and what should become of it.

    :param id: its id at Cloudshelf.
    :param cents: what the customer pays, in minor units.
    :param units: pieces by SKU.
    :param stock: pieces by ``<SKU>@<Channel>`` that are gone from stock in the end.
    :param paid_at: when it was paid, in seconds since 1970.
    """

    id: str
    case: Case
    cents: int
    units: Counter[str]
    stock: Counter[str]
    paid_at: float | None = None

    @property
    def ulid(self) -> str:
        """The last part of its id."""
        return self.id.rpartition("/")[2]

    @property
    def order_number(self) -> str:
        """Its number in commercetools."""
        return f"{PREFIX}{self.ulid}"


@dataclass(frozen=True)
class _Shelf:
    """What kiosks show and where they stand.

    :param prices: by external id of the variant.
    :param places: name of the location and key of its Channel, by internal id of the location.
    :param stocked: variants that were in stock at the beginning, by internal id of the location.
    """

    prices: Mapping[str, float]
    places: Mapping[str, tuple[str, str]]
    stocked: Mapping[str, Sequence[str]]


@dataclass(order=True)
class _Due:
    at: float
    number: int
    act: Callable[[], None] = field(compare=False)


class OrderBurst:
    """Places orders and moves them on.

    :param cases: kinds of order; each comes at least once, if there are so many orders.
    :param pace: how much of an order's life takes how long: 0.5 = it lives twice as fast.
    :param stores: names of the stores that sell; empty: all.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        cases: Sequence[Case] = CASES,
        *,
        pace: float = 1.0,
        seed: int = 7,
        stores: Collection[str] = (),
    ) -> None:
        self._sandbox, self._cases, self._pace, self._stores = sandbox, cases, pace, stores
        self._rng = random.Random(seed)
        self._lock = threading.Lock()
        self._due: list[_Due] = []
        self._number = 0
        #: Every order that was placed, by its id at Cloudshelf.
        self.sales: dict[str, Sale] = {}
        #: Stock, and how often an API had misbehaved, before the first of them.
        self.stock_before: Mapping[str, int] = {}
        self.faults_before = 0

    def sell(self, arrivals: Iterable[float]) -> None:
        """Place an order at each of these seconds from now and let each have its life; returns when all has happened.

        :raises Exception: whatever goes wrong at the control endpoint.
        """
        shelf = self._prepared()
        began, cases = time.monotonic(), self._drawn()
        for after in arrivals:
            self._schedule(began + after, partial(self._place, shelf, next(cases)))
        with ThreadPoolExecutor(_WORKERS) as pool:
            running: set[Future[None]] = set()
            while self._due or running:
                running = {one for one in running if not _is_over(one)}
                due = self._next_due()
                if due is None:
                    time.sleep(0.002)
                else:
                    running.add(pool.submit(due))

    def _prepared(self) -> _Shelf:
        """What kiosks show; from here on it is counted."""
        shown = self._sandbox.state("cloudshelf")
        prices = {
            gid: variant["currentPrice"]
            for product in shown["products"].values()
            for gid, variant in product["variants"].items()
            if gid.startswith(_OURS)
        }
        nodes = [edge["node"] for edge in self._sandbox.graphql(_LOCATIONS)["locations"]["edges"]]
        places = {
            node["id"]: (node["displayName"], unquote(node["platformProvidedId"].rpartition("/")[2]))
            for node in nodes
            if node["countryCode"] == COUNTRY and (not self._stores or node["displayName"] in self._stores)
        }
        state = {"currentPrice": 10.0, "originalPrice": 10.0, "isInStock": True, "availableToPurchase": True}
        strange = [{"id": gid, "displayName": "Discontinued", **state} for gid in (GONE, FOREIGN)]
        self._sandbox.graphql(_PRODUCTS, input=[{"id": _DISCONTINUED, "displayName": "Discontinued"}])
        self._sandbox.graphql(_VARIANTS, inputs=[{"productId": _DISCONTINUED, "variants": strange}])
        self.stock_before, self.faults_before = self._sandbox.inventory(), self._sandbox.faults()
        stocked = {
            location: [
                gid for gid in sorted(prices) if self.stock_before.get(f"{_sku(gid)}@{channel}", 0) > 0
            ]
            for location, (_, channel) in sorted(places.items())
        }
        return _Shelf(
            prices, places, {place: gids for place, gids in stocked.items() if len(gids) >= _MOST_LINES}
        )

    def _drawn(self) -> Iterator[Case]:
        """Every case once, then as often as its weight says."""
        yield from self._cases
        weights = [case.weight for case in self._cases]
        while True:
            yield self._rng.choices(self._cases, weights)[0]

    def _schedule(self, at: float, act: Callable[[], None]) -> None:
        with self._lock:
            self._number += 1
            heapq.heappush(self._due, _Due(at, self._number, act))

    def _next_due(self) -> Callable[[], None] | None:
        with self._lock:
            is_due = bool(self._due) and self._due[0].at <= time.monotonic()
            return heapq.heappop(self._due).act if is_due else None

    # The life of an order

    def _place(self, shelf: _Shelf, case: Case) -> None:
        with self._lock:
            order = self._order(shelf)
            _, place = shelf.places[order["session"]["locationId"]]
            if case.spoil is not None:
                case.spoil(order, self._rng)
            waits = [self._pace * self._rng.uniform(longest / 4, longest) for longest, _ in case.steps]
        id_ = str(self._sandbox.change("kiosk-order", **order)["id"])
        sale = _sale(id_, case, order["lines"], place)
        with self._lock:
            self.sales[id_] = sale
        self._live(sale, deque(zip(waits, (step for _, step in case.steps), strict=True)))

    def _live(self, sale: Sale, left: deque[tuple[float, str]]) -> None:
        """Let the next step of its life come; one after the other, however late the first one was."""
        if left:
            wait, step = left.popleft()
            self._schedule(time.monotonic() + wait, partial(self._step, sale, step, left))

    def _order(self, shelf: _Shelf) -> Json:
        rng, who = self._rng, self._rng.randrange(10**6)
        location = rng.choice(list(shelf.stocked))
        articles = rng.choices(range(1, _MOST_LINES + 1), (60, 30, 10))[0]
        customer = [
            {"key": "CS_EMAIL", "value": f"kiosk-{who}{EMAIL}"},
            {"key": "CS_CUSTOMER", "value": f"{NAME}{who}, {PHONE}{who:06}"},
        ]
        lines: list[Json] = [
            {
                "productVariantID": gid,
                "quantity": rng.choices((1, 2), (90, 10))[0],
                "price": shelf.prices[gid],
                "currencyCode": CURRENCY,
                "customAttributes": customer,
            }
            for gid in rng.sample(shelf.stocked[location], articles)
        ]
        if rng.random() < 0.1:
            lines.append({"quantity": 1, "price": 4.95, "currencyCode": CURRENCY})
        return {"lines": lines, "session": self._session(location, shelf.places[location][0])}

    def _session(self, location: str, name: str) -> Json:
        number = self._rng.randrange(40)
        return {
            "locationId": location,
            "locationName": name,
            "deviceId": f"gid://cloudshelf/Device/{number}",
            "deviceName": f"Kiosk {number}",
            "cloudshelfId": "gid://cloudshelf/Cloudshelf/1",
            "cloudshelfName": "Endless aisle",
            "salesAssistantId": f"gid://cloudshelf/SalesAssistant/{number}",
            "salesAssistantName": f"Assistant {number}",
            "paymentMethod": "STRIPE",
            "paymentAttemptId": f"{self._rng.getrandbits(64):016x}",
            "fulfilmentMethod": "SHIP_TO_HOME",
        }

    def _step(self, sale: Sale, step: str, left: deque[tuple[float, str]]) -> None:
        if step == "bought":
            bought = {"order": sale.id, "orderNumber": f"web-{sale.ulid}", "inventoryMode": "None"}
            self._sandbox.change("basket-purchase", **bought)
        elif step != "cancelled":
            sale.paid_at = time.time() if step == "PAID" else sale.paid_at
            self._sandbox.change("kiosk-status", order=sale.id, status=step)
        elif not self._cancel(sale):
            left.appendleft((_TRY_AGAIN_SECONDS, step))
        self._live(sale, left)

    def _cancel(self, sale: Sale) -> bool:
        """Cancel in commercetools; false while the order is not there yet."""
        try:
            self._sandbox.change("order-change", order=sale.order_number, orderState="Cancelled")
        except httpx.HTTPStatusError:
            return False
        return True


def _is_over(running: Future[None]) -> bool:
    """:raises Exception: whatever went wrong in it."""
    if not running.done():
        return False
    running.result()
    return True


def _sku(gid: str) -> str:
    return unquote(gid.removeprefix(_OURS))


def _sale(id_: str, case: Case, lines: list[Json], place: str) -> Sale:
    units = Counter[str]()
    for line in lines:
        gid = line.get("productVariantID", "")
        if gid.startswith(_OURS) and gid != GONE and line["quantity"] > 0:
            units[_sku(gid)] += line["quantity"]
    stock = Counter({f"{sku}@{place}": pieces for sku, pieces in units.items() if case.takes_stock})
    cents = sum(round((line["price"] or 0) * 100) * line["quantity"] for line in lines)
    return Sale(id_, case, cents, units, stock)
