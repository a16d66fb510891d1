"""What of commercetools a draft needs: articles, tax rates, Channels and Stores, read for many orders at once and kept.

Everything is read again after a while, and at once where an order names something that is not known.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from cogent_ops.clients.commercetools import CommercetoolsClient
from cogent_ops.config import LinkConfig
from cogent_ops.domain.catalogue import SUPPLY_ROLE
from cogent_ops.domain.custom_types import ORDER, declared
from cogent_ops.domain.order_draft import Article, DraftContext, wanted_skus
from cogent_ops.domain.orders import KioskOrder
from cogent_ops.domain.taxes import TaxRate
from cogent_ops.errors import PermanentError
from cogent_ops.services.stock.entries import carriers
from cogent_ops.services.stock.locations import Places

Json = dict[str, Any]

#: How long what was read counts.
KEEP_SECONDS = 600.0
#: Something that is not known is looked for again, but not more often than this.
LOOK_AGAIN_SECONDS = 10.0
_UNREAD: tuple[float, Article | None] = (float("-inf"), None)


@dataclass(frozen=True)
class _Shop:
    """The project's Channels, Stores and tax categories.

    :param channels: ids of supply Channels by key.
    :param stores: keys of Stores by id of a supply Channel of theirs.
    :param taxes: rate for the link's country by id of the tax category.
    :param other_tax: that of the configured category for shipping.
    """

    read_at: float
    channels: Mapping[str, str]
    stores: Mapping[str, str]
    taxes: Mapping[str, TaxRate | None]
    other_tax: TaxRate | None


@dataclass(frozen=True)
class Wanted:
    """An order of which a draft is to be made.

    :param is_afresh: what it needs may have been mended since it was read.
    """

    order: KioskOrder
    edits: Mapping[str, str]
    is_afresh: bool = False

    @property
    def skus(self) -> frozenset[str]:
        """What it is made of."""
        return wanted_skus(self.order, self.edits)


class OrderContext:
    """Reference data of one link. Keep one as long as a task lives; it is used by one thread.

    :param places: tells whose stock an order takes.
    """

    def __init__(self, config: LinkConfig, client: CommercetoolsClient, places: Places) -> None:
        self.config, self.client, self.places = config, client, places
        self._shop: _Shop | None = None
        self._articles: dict[str, tuple[float, Article | None]] = {}
        self._has_type = False

    def require_type(self) -> None:
        """See that the project has the Type whose fields say which kiosk order an order is.

        :raises PermanentError: with the command that installs it.
        """
        if self._has_type:
            return
        types = declared(order_key=self.config.custom_types.order)
        wanted = next(kind for kind in types if kind.resource == ORDER)
        found = self.client.get("types", key=wanted.key)
        if found is None or wanted.missing(found):
            raise PermanentError(
                f"The project has no custom Type '{wanted.key}' with all its fields, by which an order is recognised "
                "after a lost answer. Install it: cogent-ops bootstrap. Kiosk orders wait meanwhile."
            )
        self._has_type = True

    def prepare(self, orders: Iterable[Wanted]) -> None:
        """Read what the drafts of orders need, in as few requests as possible."""
        listed = list(orders)
        self._read_articles(listed)
        named = {self.places.channel(one.order.location, one.edits) for one in listed}
        found = (self._article(sku) for one in listed for sku in one.skus)
        categories = {article.tax_category for article in found if article}
        shop = self._current()
        is_strange = (named - {None}) - shop.channels.keys() or (categories - {None}) - shop.taxes.keys()
        if is_strange or any(one.is_afresh for one in listed):
            self._look_again()

    def _read_articles(self, orders: Iterable[Wanted]) -> None:
        since = time.monotonic() - KEEP_SECONDS
        unread: set[str] = set()
        for one in orders:
            for sku in one.skus:
                if one.is_afresh or self._articles.get(sku, _UNREAD)[0] < since:
                    unread.add(sku)
                    self._articles.pop(sku, None)
        for sku, product in carriers(self.client, unread):
            self._articles[sku] = time.monotonic(), _article(product)

    def of(self, order: KioskOrder, edits: Mapping[str, str], email: str | None) -> DraftContext:
        """What the draft of a prepared order needs."""
        shop, config = self._current(), self.config
        channel = self.places.channel(order.location, edits)
        found = {sku: one for sku in wanted_skus(order, edits) if (one := self._article(sku))}
        known = channel if channel in shop.channels else None
        return DraftContext(
            currency=config.currency,
            country=config.country,
            locales=config.locales,
            channel=known,
            store=self._store(shop, known),
            articles=found,
            taxes=shop.taxes,
            other_tax=shop.other_tax,
            email=email,
            edits=edits,
            type_key=config.custom_types.order,
        )

    def _article(self, sku: str) -> Article | None:
        return self._articles.get(sku, _UNREAD)[1]

    def _store(self, shop: _Shop, channel: str | None) -> str | None:
        wanted = self.config.orders.store
        if wanted == "none" or channel is None:
            return None
        return shop.stores.get(shop.channels[channel]) if wanted == "channel" else wanted

    # Reading

    def _current(self) -> _Shop:
        if self._shop is None or time.monotonic() - self._shop.read_at > KEEP_SECONDS:
            self._shop = self._read()
        return self._shop

    def _look_again(self) -> None:
        if self._shop is None or time.monotonic() - self._shop.read_at > LOOK_AGAIN_SECONDS:
            self._shop = self._read()

    def _read(self) -> _Shop:
        config, rules = self.config, self.config.orders
        categories = self._all("tax-categories")
        rates = {one["id"]: self._rate(one) for one in categories}
        keys = {one["key"]: one["id"] for one in categories if one.get("key")}
        wanted = keys.get(rules.shipping_tax_category) if rules.shipping_tax_category else None
        stores = self._all("stores") if rules.store == "channel" else []
        return _Shop(
            read_at=time.monotonic(),
            channels={one["key"]: one["id"] for one in self._all("channels") if SUPPLY_ROLE in one["roles"]},
            stores=_stores(stores, config.country),
            taxes=rates,
            other_tax=None if wanted is None else rates[wanted],
        )

    def _all(self, resource: str) -> list[Json]:
        return list(chain.from_iterable(self.client.pages(resource)))

    def _rate(self, category: Json) -> TaxRate | None:
        """The rate for the link's country as a whole; those of its states are for addresses, which kiosks lack."""
        for rate in category["rates"]:
            if rate["country"] == self.config.country and not rate.get("state"):
                return TaxRate.of(rate, prices_include_tax=self.config.orders.prices_include_tax)
        return None


def _article(product: Mapping[str, Any]) -> Article:
    category = product.get("taxCategory")
    return Article(product["name"], category["id"] if category else None)


def _stores(stores: Iterable[Json], country: str) -> dict[str, str]:
    """By supply Channel, the first Store by key that sells in the country; commercetools refuses any other."""
    found: dict[str, str] = {}
    for store in sorted(stores, key=lambda one: str(one["key"]), reverse=True):
        countries = {one["code"] for one in store.get("countries") or ()}
        if not countries or country in countries:
            found.update((channel["id"], store["key"]) for channel in store.get("supplyChannels") or ())
    return found
