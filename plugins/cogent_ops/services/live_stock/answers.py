"""What a kiosk is told: the numbers of a variant in the form that Cloudshelf reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cogent_ops.domain.availability import Assortment, Found
from cogent_ops.domain.catalogue import map_locations
from cogent_ops.domain.commercetools import Channel
from cogent_ops.domain.identifiers import parse_gid
from cogent_ops.domain.kiosk import KioskLocation
from cogent_ops.domain.rules import CatalogueRules, LocationOverride
from cogent_ops.services.live_stock.questions import Question

Json = dict[str, Any]
Entries = Mapping[str, Found]
"""What the inventory entries of one SKU hold by supply Channel id; the empty text is the central pool."""


@dataclass(frozen=True)
class Places:
    """Where stock can be, as a link sees it.

    :param stores: the link's stores by Channel key, as kiosks know them.
    """

    assortment: Assortment
    stores: Mapping[str, KioskLocation]

    @classmethod
    def of(
        cls, channels: Iterable[Json], config: CatalogueRules, overrides: Mapping[str, LocationOverride]
    ) -> Places:
        """The places of a project.

        :param channels: the project's Channels as the API gives them.
        :param overrides: what ``include/locations.yaml`` says, by Channel key.
        :raises ConfigError: when the rules name a Channel that the project does not have.
        """
        known = [Channel.model_validate(raw) for raw in channels]
        locations, _ = map_locations(known, overrides, config)
        return cls(Assortment.of(config, known, overrides), {parse_gid(one.id).id: one for one in locations})

    def answer(
        self, question: Question, store: str | None, entries: Entries, held: Mapping[str, int]
    ) -> Json:
        """The body of an answer.

        Flags, stock levels and this rest on one judgement: what is not more than the safety stock is for nobody, and
        counts as zero everywhere; a store whose Channel does not count has none. What lies in no store (the central
        pool, a warehouse) is in the total only. No number is below zero.

        :param store: Channel key of the store that was asked for; ``None``: no certain one.
        :param held: units by Channel key that are held back because stock is late.
        """
        counted = self.assortment.counted({channel: one.available for channel, one in entries.items()})
        wanted = counted.wanted(self.assortment.stock, held)
        stores = {key: _store(one, wanted.levels.get(key, 0)) for key, one in self.stores.items()}
        return {
            "dataType": "StockLevels",
            "dataTypeVersion": 1,
            "responseFor": {
                "variantId": question.variant,
                "productId": question.product,
                "locationId": question.location,
            },
            "response": {
                "totalNumberAvailable": wanted.total,
                "location": None if store is None else stores[store],
                "locations": list(stores.values()),
            },
        }


def _store(location: KioskLocation, available: int) -> Json:
    return {
        "id": location.id,
        "displayName": location.display_name,
        "fulfillsOnlineOrders": location.fulfills_online_orders,
        "numberAvailable": available,
    }
