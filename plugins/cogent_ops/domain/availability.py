"""What kiosks should say of a variant's stock, from its inventory entries.

Flags, stock levels and live answers rest on one judgement, :class:`~cogent_ops.domain.catalogue.CountingStock`, so that
a kiosk never contradicts itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cogent_ops.domain.catalogue import CHANNELLESS, CountingStock, map_locations
from cogent_ops.domain.commercetools import Channel, InventoryEntry
from cogent_ops.domain.identifiers import parse_gid
from cogent_ops.domain.rules import CatalogueRules, LocationOverride

#: Largest quantity that GraphQL's Int carries.
MOST = 2**31 - 1


@dataclass(frozen=True)
class Wanted:
    """What kiosks should be told of a variant.

    :param levels: units by Channel key of each store that has an inventory entry, never negative.
    :param in_stock: whether enough is there in all counting Channels together.
    """

    levels: Mapping[str, int]
    in_stock: bool


@dataclass(frozen=True)
class Assortment:
    """Where a link's stock lies, and what of it counts.

    :param stores: Channel key by id, of the Channels that are locations of the link.
    """

    stock: CountingStock
    stores: Mapping[str, str]

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
        return cls(CountingStock.of(config, known), stores)

    def wanted(self, stock: Mapping[str, int]) -> Wanted:
        """What kiosks should be told of a variant.

        A variant that is out of stock altogether is so in every store, as the live endpoint answers, too: the safety
        stock is a threshold, and what lies below it is for nobody. A store whose Channel does not count has none.

        :param stock: available quantity by supply Channel id (empty: the central pool), of all its entries.
        """
        in_stock = self.stock.in_stock(self.stock.available(stock))
        levels = {
            self.stores[channel]: self._level(channel, quantity) if in_stock else 0
            for channel, quantity in stock.items()
            if channel in self.stores
        }
        return Wanted(levels, in_stock)

    def _level(self, channel: str, quantity: int) -> int:
        return min(self.stock.available({channel: quantity}), MOST)


def by_sku(entries: Iterable[InventoryEntry]) -> dict[str, dict[str, int]]:
    """Available quantity by SKU and supply Channel id (empty: the central pool)."""
    found: dict[str, dict[str, int]] = {}
    for entry in entries:
        channel = CHANNELLESS if entry.supply_channel is None else entry.supply_channel.id
        found.setdefault(entry.sku, {})[channel] = entry.available_quantity
    return found
