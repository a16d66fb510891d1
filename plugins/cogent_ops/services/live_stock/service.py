"""One link's live stock: from a question to an answer and its age.

What is read, and how long it is kept:

==============  ===================================  ==================================================================
stock of a SKU  ``/inventory``, all Channels at once  ``live_stock.ttl_seconds``; when reading fails, the last known
                                                     value stands in for ``live_stock.stale_seconds``
what is held    the store                            likewise, and not older than the stock that it is taken off
back
Channels        ``/channels``                        minutes, renewed behind the answer; stores hardly ever change
internal ids    Cloudshelf                           likewise; an id that is missing is looked for again at once
==============  ===================================  ==================================================================

While stock is late, units that are gone and that commercetools still has are taken off (``services.protection``), also
off the last known value that stands in for it. Where the store does not say in time what is held back, nothing is.

That a SKU has no entry at a store is a true zero only when the SKU is known, from an entry anywhere, from the registry
of SKUs, or from a product that carries it. Else the answer is that it is unknown.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

from cogent_ops.clients.cloudshelf import CloudshelfClient
from cogent_ops.clients.commercetools import CommercetoolsClient
from cogent_ops.clients.transport import Tuning
from cogent_ops.config import LinkConfig
from cogent_ops.domain.availability import by_sku
from cogent_ops.domain.health.risk import Hold
from cogent_ops.domain.identifiers import IdentifierError, parse_gid, product_gid, sku_of
from cogent_ops.domain.rules import LiveStockRules, LocationOverride
from cogent_ops.errors import CogentOpsError, StoreUnavailable
from cogent_ops.services.live_stock.answers import Entries, Places
from cogent_ops.services.live_stock.cache import Bounds, Freshness, Known, LiveCache
from cogent_ops.services.live_stock.questions import (
    Question,
    Refused,
    location_identifier,
    ulid_of,
    variant_identifier,
)
from cogent_ops.services.stock.entries import known_skus
from cogent_ops.store import Store
from cogent_ops.store.sql import now as by_our_clock

Json = dict[str, Any]

#: Channels and the ids of locations are read again after so many seconds …
REFERENCE_SECONDS = 300.0
#: … and the ids of a product's variants, which are never given to another.
VARIANT_IDS_SECONDS = 3600.0
#: An id that is missing in what was read longer ago than this is looked for again.
LOOK_AGAIN_SECONDS = 60.0
RETRY_SECONDS = 5.0
#: So long the store may take to say what is held back.
HELD_SECONDS = 0.5
#: Reads at a time; each may carry many SKUs.
READERS = 4
PRODUCTS_KEPT = 2000


@dataclass(frozen=True)
class Stock:
    """The stock of a SKU as it was read.

    :param began: when reading began.
    :param ended: when it had ended, by the clock of the caches.
    """

    sku: str
    entries: Entries
    began: datetime
    ended: float


@dataclass(frozen=True)
class Answer:
    """What a kiosk is told.

    :param body: as Cloudshelf reads it.
    :param age: seconds since the stock was read.
    """

    body: Json
    age: float


def hasty(rules: LiveStockRules, links: int) -> Tuning:
    """How clients work for somebody who waits: two tries at most, and a target that is down is soon left alone.

    :param links: that may share the connections: all whose systems have the same address do.
    """
    return Tuning(
        connect_seconds=min(1.0, rules.timeout_seconds),
        read_seconds=rules.timeout_seconds,
        connections=(READERS + 2) * links,
        attempts=2,
        backoff_seconds=0.1,
        longest_backoff_seconds=0.2,
        total_seconds=rules.timeout_seconds * 0.75,
        breaker_failures=4,
        breaker_seconds=max(2.0, rules.timeout_seconds),
    )


class LiveStock:
    """One link's live stock. Use it from one event loop; clients and store are used in threads.

    :param overrides: what ``include/locations.yaml`` says, by Channel key.
    :param kiosk: makes the Cloudshelf client; called when an internal id comes, which may be never.
    :param project: the commercetools project as its rate budget names it.
    :param pace: seconds until commercetools may be asked for stock again.
    :param basis: all that it was made from; equal for another one that would answer alike.
    """

    def __init__(
        self,
        config: LinkConfig,
        overrides: Mapping[str, LocationOverride],
        shop: CommercetoolsClient,
        kiosk: Callable[[], CloudshelfClient],
        store: Store,
        *,
        project: str,
        pace: Callable[[], float] = lambda: 0.0,
        basis: object = None,
    ) -> None:
        self.config, self.basis, self._overrides = config, basis, overrides
        self._shop, self._kiosk, self._store, self._project = shop, kiosk, store, project
        rules, link = config.live_stock, config.name
        seldom = Freshness(REFERENCE_SECONDS, stale=math.inf, behind=True, retry=RETRY_SECONDS)
        self._stocks: LiveCache[Stock | None] = LiveCache(
            f"stock of link '{link}'",
            self._read_stocks,
            Freshness(rules.ttl_seconds, rules.stale_seconds),
            Bounds(readers=READERS),
            pace=pace,
        )
        self._held: LiveCache[Mapping[str, Hold]] = LiveCache(
            f"what is held back of link '{link}'",
            self._read_held,
            Freshness(rules.ttl_seconds, rules.stale_seconds),
            Bounds(readers=1),
        )
        self._places: LiveCache[Places] = LiveCache(
            f"channels of link '{link}'", self._read_places, seldom, Bounds(readers=1)
        )
        self._locations: LiveCache[Mapping[str, str]] = LiveCache(
            f"locations of link '{link}'", self._read_locations, seldom, Bounds(readers=1)
        )
        self._variants: LiveCache[Mapping[str, str]] = LiveCache(
            f"variants of link '{link}'",
            self._read_variants,
            Freshness(VARIANT_IDS_SECONDS, stale=math.inf, retry=RETRY_SECONDS),
            Bounds(keys=PRODUCTS_KEPT, readers=2, batch=1),
        )

    async def answer(self, question: Question) -> Answer:
        """What a kiosk is told, within ``live_stock.timeout_seconds``.

        :raises Refused: for a variant or a location that is not known.
        :raises CogentOpsError: when nothing is known of the stock at this moment.
        """
        deadline = asyncio.get_running_loop().time() + self.config.live_stock.timeout_seconds
        places = (await self._places.get("", deadline)).value
        store = await self._store_of(question.location, places, deadline)
        stock = await self._stock_of(question, deadline)
        held = await self._held_back(stock.value, places, deadline)
        return Answer(places.answer(question, store, stock.value.entries, held), stock.age)

    # What is meant

    async def _stock_of(self, question: Question, deadline: float) -> Known[Stock]:
        asked = variant_identifier(question.variant)
        for sku in asked.names:
            known = await self._known_stock(sku, deadline)
            if known is not None:
                return known
        if asked.internal is None:
            raise _unknown_variant(
                f"No product in commercetools carries the SKU '{asked.names[0] if asked.names else question.variant}'."
            )
        if question.product is None:
            raise _unknown_variant(
                f"'{question.variant}' is an id of Cloudshelf's own, which can only be looked up with the product's: "
                "ask with product=, too, or with the id that we gave (gid://external/CommercetoolsSku/…) or the SKU."
            )
        sku_found = await self._sku_of(asked.internal, question.product, deadline)
        known = None if sku_found is None else await self._known_stock(sku_found, deadline)
        if known is None:
            raise _unknown_variant(
                f"Cloudshelf knows no variant '{question.variant}' with an id of ours of product '{question.product}'."
            )
        return known

    async def _known_stock(self, sku: str, deadline: float) -> Known[Stock] | None:
        known = await self._stocks.get(sku, deadline)
        return None if known.value is None else Known(known.value, known.age)

    async def _held_back(self, stock: Stock, places: Places, deadline: float) -> dict[str, int]:
        """Units by Channel key that are held back, by what the ledger says after the stock was read."""
        age = min(time.monotonic() - stock.ended, self.config.live_stock.ttl_seconds)
        soon = min(deadline, asyncio.get_running_loop().time() + HELD_SECONDS)
        try:
            holds = (await self._held.get(stock.sku, soon, max_age=age)).value
        except CogentOpsError:
            return {}  # the cache says so in the log
        if not holds:
            return {}
        named = {places.assortment.key(channel): one.batch for channel, one in stock.entries.items()}
        return {channel: hold.units(named.get(channel), stock.began) for channel, hold in holds.items()}

    async def _sku_of(self, ulid: str, product: str, deadline: float) -> str | None:
        gid = product if product.startswith("gid://") else product_gid(product)
        return await _look_up(self._variants, gid, ulid, deadline)

    async def _store_of(self, location: str | None, places: Places, deadline: float) -> str | None:
        if location is None:
            return None
        asked = location_identifier(location)
        keys = list(asked.names)
        if asked.internal is not None and not any(key in places.stores for key in keys):
            keys += filter(None, [await _look_up(self._locations, "", asked.internal, deadline)])
        for key in keys:
            if key in places.stores:
                return key
        raise Refused(
            404,
            "unknown_location",
            f"'{location}' is no store of link '{self.config.name}': neither the key of a supply Channel that is one "
            "of its locations, nor the id of such a location in Cloudshelf.",
        )

    # Reading, in threads

    def _read_stocks(self, skus: Sequence[str]) -> dict[str, Stock | None]:
        """Stock by SKU; ``None`` for one that does not exist."""
        began = by_our_clock()
        found = by_sku(chain.from_iterable(self._shop.by_values("inventory", "sku", skus)))
        without = [sku for sku in skus if sku not in found]
        known = self._known(without) if without else set()
        ended = time.monotonic()
        there = {sku: found.get(sku, {} if sku in known else None) for sku in skus}
        return {
            sku: None if entries is None else Stock(sku, entries, began, ended)
            for sku, entries in there.items()
        }

    def _read_held(self, skus: Sequence[str]) -> dict[str, Mapping[str, Hold]]:
        with self._store.read() as conn:
            holds = self._store.protection.holds(conn, self.config.name, self._project, skus)
        found: dict[str, dict[str, Hold]] = {sku: {} for sku in skus}
        for place, hold in holds.items():
            found[place.sku][place.channel] = hold
        return dict(found)

    def _known(self, skus: Sequence[str]) -> set[str]:
        try:
            registered = self._store.catalogue.registered(self.config.name, skus)
        except StoreUnavailable:
            registered = set()  # commercetools knows it, too
        return registered | known_skus(self._shop, [sku for sku in skus if sku not in registered])

    def _read_places(self, keys: Sequence[str]) -> dict[str, Places]:
        channels = chain.from_iterable(self._shop.pages("channels"))
        places = Places.of(channels, self.config, self._overrides)
        return dict.fromkeys(keys, places)

    def _read_locations(self, keys: Sequence[str]) -> dict[str, Mapping[str, str]]:
        nodes = chain.from_iterable(self._kiosk().locations())
        channel_keys = {
            ulid_of(node["id"]): parse_gid(node["platformProvidedId"]).id
            for node in nodes
            if node["platformProvidedId"]
        }
        return dict.fromkeys(keys, channel_keys)

    def _read_variants(self, products: Sequence[str]) -> dict[str, Mapping[str, str]]:
        kiosk = self._kiosk()
        return {product: _skus(kiosk.variant_ids(product)) for product in products}


async def _look_up(cache: LiveCache[Mapping[str, str]], key: str, wanted: str, deadline: float) -> str | None:
    """What an id stands for; one that is missing may be younger than what was read."""
    known = await cache.get(key, deadline)
    if wanted not in known.value and known.age > LOOK_AGAIN_SECONDS:
        known = await cache.get(key, deadline, max_age=LOOK_AGAIN_SECONDS)
    return known.value.get(wanted)


def _skus(ids: Mapping[str, str | None]) -> dict[str, str]:
    """SKU by ULID, of the variants that have an id of ours."""
    found = {}
    for own, ours in ids.items():
        try:
            found[ulid_of(own)] = sku_of(ours or "")
        except IdentifierError:
            continue  # somebody else's variant, which has no SKU that we could ask for
    return found


def _unknown_variant(message: str) -> Refused:
    return Refused(404, "unknown_variant", message)
