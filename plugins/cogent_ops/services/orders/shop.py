"""Watching captured orders in commercetools: who cancels, refunds or completes one there is heard in Cloudshelf.

Orders and payments are two resources, and a refund on a payment does not touch its order, so both are asked for what
changed. The watermark is commercetools' own time of the newest change that was read, and never later than the moment at
which the look began; it moves only with the statuses that were stored, and each look reaches back a little for what
became visible late.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from cogent_ops.clients.commercetools import CommercetoolsClient
from cogent_ops.config import LinkConfig
from cogent_ops.domain.commercetools import timestamp
from cogent_ops.domain.order_changes import shop_status
from cogent_ops.domain.rules import OrderStatus
from cogent_ops.services.beat import SHOP_LOOKED, Note
from cogent_ops.services.counts import Counts
from cogent_ops.store import Store
from cogent_ops.store.orders import Capture

Raw = Mapping[str, Any]

#: Watermark: everything that changed in commercetools before this moment was seen.
SHOP_FLOW = "kiosk_orders_shop"
#: The first look begins so long ago: its moment is taken from this machine's clock, which may be ahead.
FIRST_LOOK = timedelta(hours=1)


@dataclass(frozen=True)
class ShopCounts(Counts):
    """What a look found.

    :param read: orders of ours that have changed lately.
    :param changed: those among them that commercetools says something new of.
    """

    read: int = 0
    changed: int = 0


@dataclass
class _Seen:
    """What a look has read.

    :param orders: commercetools orders that were captured, by the kiosk order that each belongs to.
    :param captures: those kiosk orders.
    :param payments: payments that have changed, by id.
    :param placed: ids of all payments whose orders were read.
    """

    newest: datetime | None = None
    orders: dict[str, Raw] = field(default_factory=dict)
    captures: dict[str, Capture] = field(default_factory=dict)
    payments: dict[str, Raw] = field(default_factory=dict)
    placed: set[str] = field(default_factory=set)

    def note_changes(self, page: Sequence[Raw]) -> None:
        moments = [datetime.fromisoformat(one["lastModifiedAt"]) for one in page]
        self.newest = max(moments if self.newest is None else (self.newest, *moments))


class ShopWatch:
    """Watches the orders of a link. Keep one as long as a task lives: it knows when it has looked."""

    def __init__(self, config: LinkConfig, store: Store, client: CommercetoolsClient) -> None:
        self.config, self.store, self.client = config, store, client
        self.rules = config.orders
        self._link = config.name
        self._looked_at = float("-inf")
        self._looked = Note(store, self._link, SHOP_LOOKED)

    def look(self, now: datetime) -> ShopCounts:
        """Note what became of orders since the last look; nothing before ``shop_poll_seconds`` have passed.

        :param now: the moment at which it begins.
        :raises RetryableError: when commercetools or the store is out of reach; the watermark stays.
        """
        if time.monotonic() - self._looked_at < self.rules.shop_poll_seconds:
            return ShopCounts()
        stored = self.store.watermarks.get(self._link, SHOP_FLOW)
        mark = stored or now - FIRST_LOOK
        seen = self._read(mark - timedelta(seconds=self.rules.overlap_seconds))
        changed = self._changed(seen)
        # What changed while pages were read may be on a page that was read before; the next look finds it.
        reached = max(mark, min(seen.newest or mark, now))
        if changed or reached != stored:
            tell = [id_ for id_, status in changed.items() if status != seen.captures[id_].captured_status]
            with self.store.begin() as conn:
                self.store.order_news.saw_shop(conn, self._link, changed, tell)
                # Somebody who wants more read again may have moved it back meanwhile; then that is read next.
                self.store.watermarks.advance(conn, self._link, SHOP_FLOW, stored, reached)
        self._looked_at = time.monotonic()
        self._looked(now)
        return ShopCounts(len(seen.orders), len(changed))

    def differences(self, since: datetime, until: datetime) -> dict[str, tuple[str, str]]:
        """Captured orders of which commercetools says something else than is known here; nothing is stored.

        :param since: only those that changed there since.
        :param until: what changed later is left out: it may be on its way.
        :return: by the kiosk order's id, what is known and what commercetools says.
        """
        seen = self._read(since)
        found: dict[str, tuple[str, str]] = {}
        for id_, status in self._changed(seen).items():
            order = seen.orders[id_]
            touched = [seen.payments[one] for one in payment_ids(order) if one in seen.payments]
            if max(datetime.fromisoformat(one["lastModifiedAt"]) for one in (order, *touched)) <= until:
                found[id_] = str(seen.captures[id_].shop_status or "nothing"), str(status or "nothing")
        return found

    # Reading

    def _read(self, since: datetime) -> _Seen:
        seen, where = _Seen(), f"lastModifiedAt >= {self.client.literal(timestamp(since))}"
        for page in self.client.pages("orders", where=[where]):
            self._keep_ours(page, seen)
            seen.note_changes(page)
        for page in self.client.pages("payments", where=[where]):
            seen.payments.update((payment["id"], payment) for payment in page)
            seen.note_changes(page)
        others = sorted(seen.payments.keys() - seen.placed)
        for page in self.client.by_values("orders", "paymentInfo(payments(id))", others):
            self._keep_ours(page, seen)
        wanted = {id_ for order in seen.orders.values() for id_ in payment_ids(order)}
        lacking = self.client.by_values("payments", "id", sorted(wanted - seen.payments.keys()))
        seen.payments.update((payment["id"], payment) for payment in chain.from_iterable(lacking))
        return seen

    def _keep_ours(self, page: Sequence[Raw], seen: _Seen) -> None:
        """Keep those orders that were captured; others are the web shop's alone."""
        with self.store.read() as conn:
            ours = self.store.captures.by_ct_orders(conn, self._link, (order["id"] for order in page))
        for order in page:
            seen.placed.update(payment_ids(order))
            if order["id"] in ours:
                capture = ours[order["id"]]
                seen.orders[capture.order_id], seen.captures[capture.order_id] = order, capture

    # What it means

    def _changed(self, seen: _Seen) -> dict[str, OrderStatus | None]:
        """What commercetools says that orders are, of those of which it said something else before."""
        found: dict[str, OrderStatus | None] = {}
        for id_, order in seen.orders.items():
            payments = [seen.payments[one] for one in payment_ids(order) if one in seen.payments]
            status = shop_status(order, together(payments))
            if status != seen.captures[id_].shop_status:
                found[id_] = status
        return found


def together(payments: Iterable[Raw]) -> Raw | None:
    """Several payments of an order as one that has all their transactions; ``None`` when there is none."""
    found = list(payments)
    if not found:
        return None
    transactions = [one for payment in found for one in payment.get("transactions", ())]
    return {**found[0], "transactions": transactions}


def payment_ids(order: Raw) -> list[str]:
    """Ids of an order's payments."""
    return [one["id"] for one in (order.get("paymentInfo") or {}).get("payments", ())]
