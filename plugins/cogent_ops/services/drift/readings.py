"""Both sides of stock, read from commercetools and the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from cogent_ops.clients.commercetools import MAX_PAGE
from cogent_ops.domain.commercetools import timestamp
from cogent_ops.domain.messages import in_order
from cogent_ops.domain.order_states import moves_stock
from cogent_ops.domain.orders import read_order
from cogent_ops.domain.rules import OrderStatus
from cogent_ops.domain.stock import Place, desired_effects
from cogent_ops.errors import MissingScope
from cogent_ops.services.drift.archive import MOMENT, Night
from cogent_ops.services.drift.comparison import Parts
from cogent_ops.services.drift.tables import (
    EDITS,
    ENTRIES,
    LEDGER,
    MENDED,
    OPEN,
    POSITIONS,
    SALES,
    UNMOVED,
    Entry,
    entry_row,
    table,
)
from cogent_ops.services.pipeline import batches, ordered_map
from cogent_ops.services.stock.entries import TAKING, ProjectEntries
from cogent_ops.services.stock.locations import Locations, Places
from cogent_ops.services.stock.start import started_at

#: Ranges of ids (UUIDs) that together hold all of them, read at the same time.
RANGES = (
    ('id < "4"',),
    ('id >= "4"', 'id < "8"'),
    ('id >= "8"', 'id < "c"'),
    ('id >= "c"',),
)
#: What was written before the last reading may have become visible so long after it at most, clocks included.
SLACK = timedelta(minutes=5)
#: Rows of the ledger that are turned into columns at a time.
ROWS = 20_000


@dataclass(frozen=True)
class Moves:
    """What has moved stock, as of a moment.

    :param mended: what of the ledger other links have mended.
    """

    read_at: datetime
    since: datetime
    ledger: pa.Table
    sales: pa.Table
    mended: pa.Table


class StockReadings:
    """Reads what a stock comparison needs."""

    def __init__(self, parts: Parts) -> None:
        self.parts, self.link = parts, parts.config.name
        self.lag = timedelta(seconds=parts.config.drift.lag_seconds)
        self.entries = ProjectEntries(parts.commercetools, parts.store, parts.config)

    # commercetools

    def inventory(self, night: Night) -> None:
        """Write all inventory entries into the night, a page at a time."""
        with night.writer("inventory", ENTRIES) as writer:
            workers = min(len(RANGES), self.parts.config.concurrency)
            for rows in _interleaved([self._pages(where) for where in RANGES], workers):
                writer.write_table(table(ENTRIES, rows))

    def _pages(self, where: Iterable[str]) -> Iterator[list[tuple[object, ...]]]:
        asked = self.parts.now()
        for page in self.parts.commercetools.pages("inventory", where=where, page_size=MAX_PAGE):
            yield [entry_row(self.entries.place_of(entry), entry, asked) for entry in page]
            asked = self.parts.now()

    def again(self, places: Iterable[Place]) -> pa.Table:
        """Entries of some places as they are now; a place without one is there, too."""
        wanted, asked = list(places), self.parts.now()
        found: dict[Place, Entry] = dict(self.entries.read(dict.fromkeys(wanted)))
        return table(ENTRIES, (entry_row(place, found.get(place), asked) for place in wanted))

    def sales(self, since: datetime) -> pa.Table:
        """What orders created since a moment take from stock by themselves."""
        stamp = self.parts.commercetools.literal(timestamp(since))
        pages = self.parts.commercetools.pages("orders", where=[f"createdAt >= {stamp}"])
        return table(SALES, chain.from_iterable(map(self._taken, chain.from_iterable(pages))))

    def _taken(self, order: Entry) -> list[tuple[object, ...]]:
        units: dict[Place, int] = {}
        for place, mode, quantity in self.entries.ordered(order):
            if mode == TAKING:
                units[place] = units.get(place, 0) - quantity
        name, created = order.get("orderNumber") or order["id"], datetime.fromisoformat(order["createdAt"])
        return [(name, *place, taken, created) for place, taken in units.items()]

    def edits(self, entries: Iterable[str], since: datetime) -> pa.Table | None:
        """Changes of quantity that Messages tell of, ours included; ``None``: the project keeps none."""
        shop = self.parts.commercetools
        try:
            if not shop.project().get("messages", {}).get("enabled"):
                return None
            stamp = shop.literal(timestamp(since))
            where = f'type = "InventoryEntryQuantitySet" and createdAt >= {stamp}'
            pages = shop.by_values("messages", "resource(id)", sorted(entries), params={"where": where})
            told = in_order(chain.from_iterable(pages))
        except MissingScope:
            return None
        return table(EDITS, (self._edit(message) for message in told))

    def _edit(self, message: Entry) -> tuple[object, ...]:
        place = self.entries.place_of(message)
        before, after = message["oldQuantityOnStock"], message["newQuantityOnStock"]
        by = (message.get("createdBy") or {}).get("clientId")
        return (*place, before, after, datetime.fromisoformat(message["createdAt"]), by)

    # The ledger

    def moves(self, since: datetime) -> Moves:
        """Our changes and the web shop's orders since a moment; the orders from a lag earlier on."""
        read_at = self.parts.now()
        sales = self.sales(since - self.lag)
        return Moves(read_at, since, self.ledger(since), sales, self.mended(since))

    def moves_since(self, before: Moves) -> Moves:
        """The same as of now, of which only what may be new is read."""
        read_at, recent = self.parts.now(), before.read_at - SLACK
        # What was unfinished may be settled, or gone.
        ledger = before.ledger.filter(pc.is_valid(before.ledger["settled_at"]))
        newer = self.ledger(recent)
        ledger = pa.concat_tables(
            [ledger.join(newer.select(["id"]), keys="id", join_type="left anti").select(LEDGER.names), newer]
        )
        sales = before.sales.filter(pc.less(before.sales["created_at"], pa.scalar(recent, MOMENT)))
        sales = pa.concat_tables([sales, self.sales(recent)])
        return Moves(read_at, before.since, ledger, sales, self.mended(before.since))

    def ledger(self, since: datetime) -> pa.Table:
        """Our changes that are unfinished or were settled since a moment."""
        found = (
            (b.id, *b.place, b.delta, b.created_at, b.settled_at, b.before, b.after, b.counted, b.changes)
            for b in self.parts.store.stock_history.batches(self.parts.project, since)
        )
        return _in_pieces(LEDGER, found)

    def mended(self, since: datetime) -> pa.Table:
        """What other links have mended in changes that are unfinished or were settled since a moment."""
        found = self.parts.store.stock_history.mended(self.parts.project, since, self.link)
        return table(MENDED, ((one.batch, *one.place, one.units, one.found_at) for one in found))

    def positions(self) -> pa.Table:
        """What commercetools said last of entries that we ever moved."""
        found = self.parts.store.stock_history.positions(self.parts.project)
        return _in_pieces(POSITIONS, ((*one.place, one.on_stock, one.version) for one in found))

    def open(self) -> pa.Table:
        """What of this link commercetools does not have yet."""
        found = self.parts.store.stock_history.open(self.parts.project)
        return table(
            OPEN,
            (
                (*one.place, one.state, one.reason, one.movements, one.units, one.oldest)
                for one in found
                if one.link == self.link
            ),
        )

    def unmoved(self, since: datetime) -> pa.Table:
        """Kiosk orders changed since a moment whose units no movement carries."""
        history = self.parts.store.stock_history
        found = [
            (one.order_id, *one.place, one.recorded, one.moved, one.at)
            for one in history.unmoved(self.link, since)
        ]
        return table(UNMOVED, [*found, *self._without_effect(since)])

    def _without_effect(self, since: datetime) -> Iterator[tuple[object, ...]]:
        """Orders that should have moved stock, and have not even a record of it."""
        rules, store = self.parts.config.movements, self.parts.store
        start = started_at(self.parts.config, store)
        silent = store.stock_history.without_effect(self.link, since, rules.deduct)
        with store.read() as conn:
            captures = store.captures.by_ids(conn, self.link, [one.order_id for one in silent])
        places = Places(rules, Locations(self.parts.cloudshelf))
        for stored in silent:
            order, capture = read_order(stored.content), captures.get(stored.order_id)
            said = capture.edits if capture else {}
            channel = places.channel(order.location, said)
            is_sale = not order.is_internal and moves_stock(OrderStatus(stored.status), said)
            if channel is None or not is_sale or start is None or order.updated_at < start:
                continue
            ordered: dict[Place, int] = {}
            for line in order.lines:
                place = Place(line.sku, channel)
                ordered[place] = ordered.get(place, 0) + line.quantity
            for place, units in desired_effects(order.status, ordered, {}, rules).items():
                if units:
                    yield order.id, *place, units, 0, order.updated_at


def _in_pieces(schema: pa.Schema, found: Iterator[tuple[object, ...]]) -> pa.Table:
    """A table of many rows, of which only a part are rows at the same time."""
    pieces = [table(schema, piece) for piece in batches(found, ROWS)]
    return pa.concat_tables(pieces) if pieces else schema.empty_table()


def _interleaved(
    sources: list[Iterator[list[tuple[object, ...]]]], workers: int
) -> Iterator[list[tuple[object, ...]]]:
    """Pages of several sources, as many of them under way at the same time as there are workers."""
    alive = sources
    while alive:
        pages = list(ordered_map(lambda source: next(source, None), alive, workers=workers))
        yield from (page for page in pages if page is not None)
        alive = [source for source, page in zip(alive, pages, strict=True) if page is not None]
