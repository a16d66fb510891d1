"""Simulated life in the shops: kiosk sales, online orders and catalogue edits against a running sandbox.

The simulation decides *what* happens and *when*, from a seed alone; how an order is stored or stock deducted
is the business of whoever implements the protocols below. Time is a parameter (:meth:`Traffic.advance`), and
the background thread only feeds the clock into it, so a test that advances by hand sees the same orders as a
demo that runs for real.

Kiosk orders live the lives that Cloudshelf's statuses allow: most baskets are paid, some stay placed or are
abandoned, a few are voided or refunded after payment.
"""

from __future__ import annotations

import heapq
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import partial
from types import TracebackType
from typing import Protocol, Self

from cogent_ops.errors import CogentOpsError
from cogent_ops.sandbox.dataset import Dataset, Json, all_variants, stable_id


class OrderRefused(CogentOpsError):
    """The simulated shop does not take the order (out of stock, article gone). Expected, and counted."""


class KioskStatus(StrEnum):
    """Cloudshelf's ``OrderStatus`` values that a kiosk order passes through here."""

    DRAFT_BASKET = "DRAFT_BASKET"
    PLACED = "PLACED"
    PAID = "PAID"
    VOIDED = "VOIDED"
    REFUNDED = "REFUNDED"


class EditKind(StrEnum):
    """What somebody changes about a product while a synchronisation is running."""

    PRICE = "price"
    """Every price of the product times ``factor``."""
    RENAME = "rename"
    """``text`` is appended to the name in every locale."""
    UNPUBLISH = "unpublish"
    PUBLISH = "publish"


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One position. ``price`` is the unit price in major units of ``currency``."""

    product_id: str
    sku: str
    quantity: int
    price: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class KioskOrder:
    """A basket as a kiosk saves it.

    :param reference: unique per seed; UUID-shaped. The terminal's attempt at a payment is known by it.
    :param channel_key: key of the store's commercetools Channel, i.e. where the kiosk stands; empty for one whose
        location nobody has set.
    :param internal: a session of Cloudshelf's own staff (``CLOUDSHELF_INTERNAL``), which is never a sale.
    """

    reference: str
    lines: tuple[OrderLine, ...]
    channel_key: str
    customer_email: str
    sales_assistant: str
    discount_code: str | None
    internal: bool


@dataclass(frozen=True, slots=True)
class OnlineOrder:
    """A web-shop order.

    :param supply_channel_key: channel that ships it; ``None`` takes from the channel-less pool.
    """

    order_number: str
    lines: tuple[OrderLine, ...]
    customer_email: str
    supply_channel_key: str | None


@dataclass(frozen=True, slots=True)
class ProductEdit:
    """A change of one product; ``factor`` and ``text`` are set where the kind needs them."""

    product_id: str
    kind: EditKind
    factor: Decimal = Decimal(1)
    text: str = ""


class KioskOrders(Protocol):
    """The Cloudshelf side of the sandbox. Called from the traffic thread."""

    def place_kiosk_order(self, order: KioskOrder) -> str:
        """Save a new order with status ``DRAFT_BASKET`` and return its id.

        :raises OrderRefused: when the order cannot be taken.
        """
        ...

    def set_kiosk_order_status(self, order_id: str, status: KioskStatus) -> None:
        """Move an order on, and its ``updatedAt`` with it.

        :raises OrderRefused: when the order is gone.
        """
        ...


class OnlineOrders(Protocol):
    """The commercetools side of the sandbox. Called from the traffic thread."""

    def place_online_order(self, order: OnlineOrder) -> str:
        """Create an order that deducts its lines from the InventoryEntries, and return its id.

        :raises OrderRefused: when stock does not suffice; nothing is deducted then.
        """
        ...


class CatalogueEditor(Protocol):
    """The merchandisers' side of commercetools. Called from the traffic thread."""

    def edit_product(self, edit: ProductEdit) -> None:
        """Change the product: a new version, a new ``lastModifiedAt``.

        :raises OrderRefused: when the product is gone.
        """
        ...


@dataclass(frozen=True, slots=True)
class Offer:
    """A variant that can be bought.

    :param price: unit price in major units.
    :param channel_keys: keys of the stores' Channels that have an InventoryEntry for it.
    """

    product_id: str
    sku: str
    price: Decimal
    currency: str
    channel_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Story:
    """The life of a kiosk order after its basket was saved: ``(seconds to wait at most, next status)``."""

    name: str
    weight: int
    steps: tuple[tuple[float, KioskStatus], ...]


STORIES: tuple[Story, ...] = (
    Story("paid", 70, ((6.0, KioskStatus.PAID),)),
    Story("placed_then_paid", 10, ((4.0, KioskStatus.PLACED), (8.0, KioskStatus.PAID))),
    Story("placed_only", 5, ((4.0, KioskStatus.PLACED),)),
    Story("abandoned", 10, ()),
    Story("voided", 3, ((6.0, KioskStatus.PAID), (15.0, KioskStatus.VOIDED))),
    Story("refunded", 2, ((6.0, KioskStatus.PAID), (20.0, KioskStatus.REFUNDED))),
)

_Act = Callable[[float, int, random.Random], None]
"""What an arrival does: (due second, running number, the stream's own random numbers)."""

_INTERNAL_SHARE = 0.02
_DISCOUNT_SHARE = 0.1
_NO_LOCATION_SHARE = 0.02
_FROM_STORE_SHARE = 0.2
_SECOND_PIECE_SHARE = 0.1
_REPUBLISH_SHARE = 0.3
_EDIT_WEIGHTS = {EditKind.PRICE: 6, EditKind.RENAME: 3, EditKind.UNPUBLISH: 1}
_TICK_SECONDS = 0.05
_ASSISTANTS = ("Alma R.", "Benno K.", "Carla M.", "Deniz A.", "Elsa T.")


def offers(dataset: Dataset, *, country: str = "DE", currency: str = "EUR") -> list[Offer]:
    """Every variant of a clean product that has a SKU and a price for anybody in the market."""
    standalone: dict[str, list[Json]] = {}
    for price in dataset.standalone_prices:
        standalone.setdefault(price["sku"], []).append(price)
    stores = _stores_by_sku(dataset)
    return [
        Offer(product["id"], sku, amount, currency, stores.get(sku, ()))
        for product in dataset.products
        if product["id"] not in dataset.dirt
        for variant in all_variants(product)
        if (sku := variant.get("sku"))
        and (amount := _amount(variant.get("prices") or standalone.get(sku, []), country, currency))
        is not None
    ]


def store_keys(dataset: Dataset) -> list[str]:
    """Keys of the Channels that can hold stock, in the order of the dataset."""
    return [channel["key"] for channel in dataset.channels if "InventorySupply" in channel["roles"]]


def _stores_by_sku(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    keys = {channel["id"]: channel["key"] for channel in dataset.channels}
    found: dict[str, tuple[str, ...]] = {}
    for entry in dataset.inventory:
        channel = entry.get("supplyChannel")
        if channel is not None and channel["id"] in keys:
            found[entry["sku"]] = (*found.get(entry["sku"], ()), keys[channel["id"]])
    return found


def _amount(prices: Sequence[Json], country: str, currency: str) -> Decimal | None:
    """A plain price of the market: good enough to sell at, not the API's price selection."""
    fitting = [
        price
        for price in prices
        if price["value"]["currencyCode"] == currency
        and price.get("country") in (None, country)
        and not {"channel", "customerGroup", "validUntil"} & price.keys()
    ]
    if not fitting:
        return None
    best = max(fitting, key=lambda price: "country" in price)
    value = best.get("discounted", best)["value"]
    return Decimal(value["centAmount"]).scaleb(-value["fractionDigits"])


class Traffic:
    """Produces orders and edits at given mean rates (Poisson arrivals) until told to stop.

    :param offers: what can be bought, see :func:`offers`; the first ones sell best.
    :param kiosk: takes kiosk orders; needed when ``kiosk_per_second`` is above zero.
    :param online: takes online orders; needed when ``online_per_second`` is above zero.
    :param editor: takes catalogue edits; needed when ``edits_per_second`` is above zero.
    :param seed: equal seed, rates and offers give equal orders in equal sequence.
    :param stores: keys of the stores with a kiosk, for baskets whose first article no store lists; without
        them, the stores that list anything. See :func:`store_keys`.
    :param max_orders: each stream ends after that many arrivals; ``None`` = never.
    :raises ValueError: for a negative rate, for no offers, or for a rate without somebody who takes it.
    """

    def __init__(
        self,
        offers: Sequence[Offer],
        *,
        seed: int,
        kiosk: KioskOrders | None = None,
        online: OnlineOrders | None = None,
        editor: CatalogueEditor | None = None,
        kiosk_per_second: float = 0.0,
        online_per_second: float = 0.0,
        edits_per_second: float = 0.0,
        stores: Sequence[str] = (),
        max_orders: int | None = None,
    ) -> None:
        _check_rate("kiosk", kiosk_per_second, kiosk)
        _check_rate("online", online_per_second, online)
        _check_rate("edits", edits_per_second, editor)
        if not offers:
            raise ValueError(
                "Traffic needs at least one offer: the dataset has no clean variant in this market."
            )
        self._offers = offers
        self._store_keys = list(stores) or sorted({key for offer in offers for key in offer.channel_keys})
        self._seed = seed
        self._max_orders = max_orders
        self._counts: Counter[str] = Counter()
        self._counts_lock = threading.Lock()
        self._clock = 0.0
        self._sequence = 0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._unpublished: list[str] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None
        if kiosk is not None and kiosk_per_second:
            self._arrivals("kiosk", kiosk_per_second, partial(self._kiosk_sale, kiosk))
        if online is not None and online_per_second:
            self._arrivals("online", online_per_second, partial(self._online_sale, online))
        if editor is not None and edits_per_second:
            self._arrivals("edits", edits_per_second, partial(self._edit, editor))

    # Clock

    def advance(self, seconds: float) -> int:
        """Let simulated time pass and do everything that falls due in it; returns how many actions were done.

        How the time is cut into steps makes no difference to what is done.
        """
        self._clock += seconds
        done = 0
        while self._due and self._due[0][0] <= self._clock:
            _, _, action = heapq.heappop(self._due)
            action()
            done += 1
        return done

    def start(self) -> None:
        """Run in real time in a background thread.

        :raises RuntimeError: when it is running already.
        """
        if self._thread is not None:
            raise RuntimeError("Traffic is running already.")
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="sandbox-traffic", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> Mapping[str, int]:
        """Stop the thread and return the final counts. Does nothing when it is not running.

        :param timeout: seconds to wait for an action in progress.
        :raises TimeoutError: when the thread does not end in time.
        :raises Exception: whatever made the thread die, when it died by itself.
        """
        thread, self._thread = self._thread, None
        self._stop.set()
        if thread is not None:
            thread.join(timeout)
            if thread.is_alive():
                raise TimeoutError(f"The traffic thread did not end within {timeout:g} s.")
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        return self.counts()

    def counts(self) -> dict[str, int]:
        """How often what happened so far, e.g. ``kiosk_orders``, ``kiosk_paid``, ``online_refused``."""
        with self._counts_lock:
            return dict(self._counts)

    def __enter__(self) -> Self:
        """Start the thread."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the thread."""
        self.stop()

    def _run(self) -> None:
        last = time.monotonic()
        try:
            while not self._stop.wait(_TICK_SECONDS):
                now = time.monotonic()
                self.advance(now - last)
                last = now
        except Exception as error:
            self._failure = error
            raise

    # What falls due

    def _schedule(self, due: float, action: Callable[[], None]) -> None:
        self._sequence += 1
        heapq.heappush(self._due, (due, self._sequence, action))

    def _arrivals(self, stream: str, per_second: float, act: _Act) -> None:
        """Chain of arrivals: each one schedules the next, so the heap stays small at any rate."""
        rng = random.Random(f"{self._seed}/{stream}")

        def arrive(due: float, number: int) -> None:
            act(due, number, rng)
            if self._max_orders is None or number + 1 < self._max_orders:
                after = due + rng.expovariate(per_second)
                self._schedule(after, partial(arrive, after, number + 1))

        first = rng.expovariate(per_second)
        self._schedule(first, partial(arrive, first, 0))

    def _count(self, *what: str) -> None:
        with self._counts_lock:
            self._counts.update(what)

    def _kiosk_sale(self, kiosk: KioskOrders, due: float, number: int, rng: random.Random) -> None:
        story = rng.choices(STORIES, weights=[story.weight for story in STORIES])[0]
        waits = [rng.uniform(longest / 4, longest) for longest, _ in story.steps]
        try:
            order_id = kiosk.place_kiosk_order(self._kiosk_order(number, rng))
        except OrderRefused:
            self._count("kiosk_refused")
            return
        self._count("kiosk_orders", f"kiosk_story_{story.name}")
        for wait, (_, status) in zip(waits, story.steps, strict=True):
            due += wait
            self._schedule(due, partial(self._change_status, kiosk, order_id, status))

    def _change_status(self, kiosk: KioskOrders, order_id: str, status: KioskStatus) -> None:
        try:
            kiosk.set_kiosk_order_status(order_id, status)
        except OrderRefused:
            self._count("kiosk_refused")
        else:
            self._count(f"kiosk_{status.value.lower()}")

    def _online_sale(self, online: OnlineOrders, due: float, number: int, rng: random.Random) -> None:
        try:
            online.place_online_order(self._online_order(number, rng))
        except OrderRefused:
            self._count("online_refused")
        else:
            self._count("online_orders")

    def _edit(self, editor: CatalogueEditor, due: float, number: int, rng: random.Random) -> None:
        edit = self._next_edit(number, rng)
        try:
            editor.edit_product(edit)
        except OrderRefused:
            self._count("edits_refused")
            return
        if edit.kind is EditKind.UNPUBLISH:
            self._unpublished.append(edit.product_id)
        self._count("edits", f"edits_{edit.kind.value}")

    # What the events are about

    def _kiosk_order(self, number: int, rng: random.Random) -> KioskOrder:
        lines, stores = self._basket(rng)
        stores = stores or self._store_keys
        is_placed = bool(stores) and rng.random() >= _NO_LOCATION_SHARE
        return KioskOrder(
            reference=stable_id(self._seed, "kiosk-order", number),
            lines=lines,
            channel_key=rng.choice(stores) if is_placed else "",
            customer_email=f"kiosk-customer-{number}@example.com",
            sales_assistant=rng.choice(_ASSISTANTS),
            discount_code="WELCOME10" if rng.random() < _DISCOUNT_SHARE else None,
            internal=rng.random() < _INTERNAL_SHARE,
        )

    def _online_order(self, number: int, rng: random.Random) -> OnlineOrder:
        lines, stores = self._basket(rng)
        from_store = bool(stores) and rng.random() < _FROM_STORE_SHARE
        return OnlineOrder(
            order_number=f"web-{self._seed}-{number:07d}",
            lines=lines,
            customer_email=f"shopper-{rng.randrange(10_000)}@example.com",
            supply_channel_key=rng.choice(stores) if from_store else None,
        )

    def _basket(self, rng: random.Random) -> tuple[tuple[OrderLine, ...], Sequence[str]]:
        """One to four different articles, and the stores that list the first of them."""
        chosen = {offer.sku: offer for offer in (self._popular(rng) for _ in range(_basket_size(rng)))}
        lines = tuple(
            OrderLine(
                offer.product_id,
                offer.sku,
                1 + (rng.random() < _SECOND_PIECE_SHARE),
                offer.price,
                offer.currency,
            )
            for offer in chosen.values()
        )
        return lines, next(iter(chosen.values())).channel_keys

    def _popular(self, rng: random.Random) -> Offer:
        """A few articles make most of the sales: that is what makes writers meet at one InventoryEntry."""
        return self._offers[int(len(self._offers) * rng.random() ** 3)]

    def _next_edit(self, number: int, rng: random.Random) -> ProductEdit:
        if self._unpublished and rng.random() < _REPUBLISH_SHARE:
            return ProductEdit(self._unpublished.pop(0), EditKind.PUBLISH)
        kind = rng.choices(list(_EDIT_WEIGHTS), weights=list(_EDIT_WEIGHTS.values()))[0]
        product_id = rng.choice(self._offers).product_id
        factor = Decimal(rng.choice(("0.80", "0.90", "1.05", "1.10")))
        if kind is EditKind.PRICE:
            return ProductEdit(product_id, kind, factor=factor)
        return ProductEdit(product_id, kind, text=f" ({number})" if kind is EditKind.RENAME else "")


def _basket_size(rng: random.Random) -> int:
    return rng.choices((1, 2, 3, 4), weights=(60, 25, 10, 5))[0]


def _check_rate(stream: str, per_second: float, taker: object | None) -> None:
    if per_second < 0:
        raise ValueError(f"{stream}_per_second must not be negative, got {per_second}.")
    if per_second > 0 and taker is None:
        raise ValueError(f"{stream}_per_second is {per_second}, but nobody was given who takes them.")
