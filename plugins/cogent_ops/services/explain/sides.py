"""One place's stock as both systems say it now. Whatever cannot be read is said, and nothing is guessed instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Any

from cogent_ops.clients.cloudshelf import CloudshelfClient
from cogent_ops.clients.commercetools import CommercetoolsClient
from cogent_ops.config import LinkConfig
from cogent_ops.domain.commercetools import timestamp
from cogent_ops.domain.health.evidence import EntryRead, KioskSide, Ledger, ShopSide, Told, WebOrder
from cogent_ops.domain.identifiers import location_gid, product_gid, variant_gid
from cogent_ops.domain.messages import in_order
from cogent_ops.domain.stock import Place, last_batch
from cogent_ops.errors import CogentOpsError, MissingScope
from cogent_ops.services.stock.entries import TAKING, ProjectEntries
from cogent_ops.store import Store
from cogent_ops.store.stock_story import flags

Json = Mapping[str, Any]

#: The modes in which an order reserves its units.
RESERVING = ("ReserveOnOrder", "ReserveOnCart")
#: So many orders of one article are read.
MOST_ORDERS, ORDERS_PAGE = 2000, 200
MESSAGES = ("InventoryEntryQuantitySet", "InventoryEntryCreated", "InventoryEntryDeleted")
NO_MESSAGES = (
    "The commercetools project keeps no Messages, which would tell of changes by others: see docs/go-live.md."
)


class ShopReader:
    """Reads one place in commercetools.

    :param client: gives the client; it may refuse, as any request may.
    """

    def __init__(
        self,
        config: LinkConfig,
        store: Store,
        client: Callable[[], CommercetoolsClient],
        now: Callable[[], datetime],
    ) -> None:
        self.config, self.store, self._client, self._now = config, store, client, now

    def read(self, place: Place, ledger: Ledger, since: datetime) -> ShopSide:
        """The entry, and what changed it beside us since a moment."""
        try:
            client = self._client()
            entries = ProjectEntries(client, self.store, self.config)
            orders, messages, why = None, None, list[str]()
            try:
                orders = self._orders(client, entries, place, since, why)
            except MissingScope as error:
                why.append(f"Orders of the web shop could not be read. {error}")
            remembered = ledger.remembered
            known = {one.entry_id for one in ledger.batches if one.entry_id}
            raw = entries.read_one(place, remembered.entry_id if remembered else None)
            read_at = self._now()
            if raw is not None:
                known.add(raw["id"])
            try:
                messages = self._messages(client, known, since, why)
            except MissingScope as error:
                why.append(f"Changes by others could not be read. {error}")
        except CogentOpsError as error:
            return ShopSide(read_at=None, problem=str(error))
        return ShopSide(
            read_at=read_at,
            entry=None if raw is None else _entry(raw),
            orders=orders,
            messages=messages,
            why=tuple(why),
        )

    def _orders(
        self,
        client: CommercetoolsClient,
        entries: ProjectEntries,
        place: Place,
        since: datetime,
        why: list[str],
    ) -> tuple[WebOrder, ...]:
        where = [
            f"createdAt >= {client.literal(timestamp(since))}",
            f"lineItems(variant(sku = {client.literal(place.sku)}))",
        ]
        found: list[WebOrder] = []
        read = 0
        for page in client.pages("orders", where=where, page_size=ORDERS_PAGE):
            read += len(page)
            found.extend(one for order in page for one in _taken(entries, order, place))
            if read >= MOST_ORDERS:
                why.append(
                    f"Only {MOST_ORDERS:,} of the orders with this article were read: ask for fewer days."
                )
                break
        return tuple(sorted(found, key=lambda one: one.at))

    def _messages(
        self, client: CommercetoolsClient, entries: set[str], since: datetime, why: list[str]
    ) -> tuple[Told, ...] | None:
        """Changes of quantity that Messages tell of, ours included; ``None``: the project keeps none."""
        if not client.project().get("messages", {}).get("enabled"):
            why.append(NO_MESSAGES)
            return None
        kinds = ", ".join(client.literal(one) for one in MESSAGES)
        where = f"type in ({kinds}) and createdAt >= {client.literal(timestamp(since))}"
        pages = client.by_values("messages", "resource(id)", sorted(entries), params={"where": where})
        return tuple(map(_told, in_order(chain.from_iterable(pages))))


def _entry(raw: Json) -> EntryRead:
    return EntryRead(
        on_stock=int(raw["quantityOnStock"]),
        available=int(raw["availableQuantity"]),
        batch=last_batch(raw),
        changed_at=datetime.fromisoformat(raw["lastModifiedAt"]),
        changed_by=_who(raw.get("lastModifiedBy")),
    )


def _who(by: Json | None) -> str:
    """Which client changed something, as commercetools says; a person has one, too, and no name here."""
    by = by or {}
    return str(
        by.get("clientId") or ("a person in the Merchant Center" if by.get("isPlatformClient") else "")
    )


def _taken(entries: ProjectEntries, order: Json, place: Place) -> Iterator[WebOrder]:
    """What an order takes from the place, and what it reserves there."""
    units = {True: 0, False: 0}
    for where, mode, quantity in entries.ordered(order):
        if where == place and mode in (TAKING, *RESERVING):
            units[mode == TAKING] += quantity
    number, at = order.get("orderNumber") or order["id"], datetime.fromisoformat(order["createdAt"])
    yield from (WebOrder(number, taken, takes, at) for takes, taken in units.items() if taken)


def _told(message: Json) -> Told:
    before, after = message.get("oldQuantityOnStock"), message.get("newQuantityOnStock")
    if message["type"] == "InventoryEntryCreated":
        before, after = None, message["inventoryEntry"]["quantityOnStock"]
    elif message["type"] == "InventoryEntryDeleted":
        before, after = None, None
    at, by = datetime.fromisoformat(message["createdAt"]), _who(message.get("createdBy"))
    return Told(message["id"], before, after, at, by)


class KioskReader:
    """Reads what kiosks show of one place.

    :param client: gives the client; it may refuse, as any request may.
    """

    def __init__(
        self,
        config: LinkConfig,
        store: Store,
        client: Callable[[], CloudshelfClient],
        now: Callable[[], datetime],
    ) -> None:
        self.config, self.store, self._client, self._now = config, store, client, now

    def read(self, place: Place) -> KioskSide:
        """The store's flag and the article's own two."""
        product = self.store.stock_story.product_of(self.config.name, place.sku)
        if product is None:
            return KioskSide(read_at=self._now(), is_shown=False)
        try:
            found = self._client().shown_levels_of(product_gid(product))
        except CogentOpsError as error:
            return KioskSide(read_at=None, problem=str(error))
        nothing = KioskSide(read_at=self._now(), is_shown=False)
        for variant in (found or {}).get("productVariants") or ():
            if variant["platformProvidedId"] == variant_gid(place.sku):
                said = flags(variant["isInStock"], variant["availableToPurchase"])
                shown = replace(nothing, is_shown=True, flags=said)
                return replace(shown, in_stock=_at(variant, place.channel))
        return nothing


def _at(variant: Json, channel: str) -> bool | None:
    """Whether the article is in stock at a store; ``None``: Cloudshelf has no level there."""
    if not channel:
        return None
    wanted = location_gid(channel)
    levels = variant["stockLevels"] or ()
    return next(
        (
            bool(one["isInStock"])
            for one in levels
            if (one["location"] or {}).get("platformProvidedId") == wanted
        ),
        None,
    )
