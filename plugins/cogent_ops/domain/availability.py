"""What kiosks should say of a variant's stock, from its inventory entries.

Flags, stock levels and live answers rest on one judgement, :class:`~cogent_ops.domain.catalogue.CountingStock`, so that
a kiosk never contradicts itself. Units that are held back (see :mod:`cogent_ops.domain.health.risk`) are taken off
before it judges, so that they are nowhere, neither in a store nor in a flag.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from cogent_ops.domain.catalogue import CHANNELLESS, CountingStock, map_locations
from cogent_ops.domain.commercetools import Channel
from cogent_ops.domain.identifiers import parse_gid
from cogent_ops.domain.rules import CatalogueRules, LocationOverride
from cogent_ops.domain.stock import last_batch

#: Largest quantity that GraphQL's Int carries.
MOST = 2**31 - 1

_NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True)
class Found:
    """What an inventory entry held when it was read.

    :param available: units for sale; below zero where more was sold than is there.
    :param batch: the batch of ours that it names as the last one applied to it.
    """

    available: int
    batch: str | None = None


@dataclass(frozen=True)
class Wanted:
    """What kiosks should be told of a variant.

    :param levels: units by Channel key of each store that has an inventory entry, never negative.
    :param in_stock: whether enough is there in all counting Channels together.
    :param total: units in all of them; 0 when that is not enough.
    """

    levels: Mapping[str, int]
    in_stock: bool
    total: int = 0


@dataclass(frozen=True)
class Counted:
    """What of a variant's stock counts, as it was read: all that it takes to say what kiosks should be told.

    :param stores: units by Channel key of the link's stores; 0 where a Channel does not count, or has nothing.
    :param others: units by key of other Channels that count (empty: the central pool).
    :param batches: by Channel key, the batch of ours that an entry named, where that was still under way.
    """

    stores: Mapping[str, int]
    others: Mapping[str, int]
    batches: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> Counted:
        """What :meth:`to_json` has made."""
        return cls(kept.get("stores", {}), kept.get("others", {}), kept.get("batches", {}))

    def to_json(self) -> dict[str, Any]:
        """As it is kept in the store."""
        parts = {"stores": self.stores, "others": self.others, "batches": self.batches}
        return {name: dict(part) for name, part in parts.items() if part}

    def wanted(self, stock: CountingStock, held: Mapping[str, int] = _NOTHING) -> Wanted:
        """What kiosks should be told.

        A variant that is out of stock altogether is so in every store, as the live endpoint answers, too: the safety
        stock is a threshold, and what lies below it is for nobody.

        :param held: units by Channel key that are held back; a Channel gives what it has at most.
        """
        stores, others = _less(self.stores, held), _less(self.others, held)
        total = sum(stores.values()) + sum(others.values())
        in_stock = stock.in_stock(total)
        levels = {channel: min(units, MOST) if in_stock else 0 for channel, units in stores.items()}
        return Wanted(levels, in_stock, total if in_stock else 0)


def _less(units: Mapping[str, int], held: Mapping[str, int]) -> Mapping[str, int]:
    return {channel: max(0, there - held.get(channel, 0)) for channel, there in units.items()}


@dataclass(frozen=True)
class Assortment:
    """Where a link's stock lies, and what of it counts.

    :param stores: Channel key by id, of the Channels that are locations of the link.
    :param keys: Channel key by id, of all Channels.
    """

    stock: CountingStock
    stores: Mapping[str, str]
    keys: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, config: CatalogueRules, channels: Iterable[Channel], overrides: Mapping[str, LocationOverride]
    ) -> Assortment:
        """By the link's rules.

        :param channels: the project's Channels.
        :param overrides: what ``include/locations.yaml`` says, by Channel key.
        :raises ConfigError: when the rules name a Channel that the project does not have.
        """
        known = list(channels)
        locations, _ = map_locations(known, overrides, config)
        keys = {parse_gid(location.id).id for location in locations}
        stores = {channel.id: channel.key for channel in known if channel.key in keys}
        return cls(
            CountingStock.of(config, known, overrides), stores, {channel.id: channel.key for channel in known}
        )

    def counted(self, stock: Mapping[str, int]) -> Counted:
        """What of a variant's stock counts. A store whose Channel does not count has none.

        :param stock: available quantity by supply Channel id (empty: the central pool), of all its entries.
        """
        units = {channel: self.stock.available({channel: there}) for channel, there in stock.items()}
        stores = {key: units[id_] for id_, key in self.stores.items() if id_ in units}
        others = {self.key(id_): there for id_, there in units.items() if there and id_ not in self.stores}
        return Counted(stores, others)

    def wanted(self, stock: Mapping[str, int]) -> Wanted:
        """What kiosks should be told of a variant while nothing is held back; see :meth:`counted`."""
        return self.counted(stock).wanted(self.stock)

    def key(self, channel: str) -> str:
        """A Channel's key by its id. One that is younger than what was read of Channels stands for itself."""
        return self.keys.get(channel, channel)


def by_sku(entries: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Found]]:
    """What inventory entries hold, by SKU and supply Channel id (empty: the central pool).

    :param entries: as the API gives them.
    """
    found: dict[str, dict[str, Found]] = {}
    for entry in entries:
        channel = entry.get("supplyChannel", {}).get("id", CHANNELLESS)
        there = Found(int(entry["availableQuantity"]), last_batch(entry))
        found.setdefault(entry["sku"], {})[channel] = there
    return found
