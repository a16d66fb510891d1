"""Which place people mean: a SKU, and a store by the key of its Channel, by its name or by Cloudshelf's id."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cogent_ops.clients.commercetools import CommercetoolsClient
from cogent_ops.config import LinkConfig
from cogent_ops.domain.nearmiss import closest
from cogent_ops.domain.orders import own_channel
from cogent_ops.domain.rules import LocationOverride
from cogent_ops.domain.stock import NO_CHANNEL, Place
from cogent_ops.domain.text import one_line
from cogent_ops.errors import CogentOpsError, PermanentError
from cogent_ops.services.stock.entries import known_skus
from cogent_ops.services.stock.identify import NEIGHBOURS, Identifier
from cogent_ops.services.stores import Stores
from cogent_ops.store import Store

Json = Mapping[str, Any]

#: So many stores or places a message names.
NAMED = 12


class UnknownPlace(PermanentError):
    """Nobody knows such a SKU, or such a store; the message says what was probably meant."""


@dataclass(frozen=True)
class Named:
    """A place with the store as people call it."""

    place: Place
    name: str


class Naming:
    """Finds the place behind what somebody typed. Make one for each question.

    :param client: gives the commercetools client; what it cannot be asked is taken from the store.
    :param overrides: what ``include/locations.yaml`` says, by Channel key.
    """

    def __init__(
        self,
        config: LinkConfig,
        store: Store,
        project: str,
        client: Callable[[], CommercetoolsClient],
        overrides: Mapping[str, LocationOverride],
    ) -> None:
        self.config, self.store, self.project, self.overrides = config, store, project, overrides
        self._link, self._client = config.name, client
        #: Why commercetools could not be asked; empty: it could, or was not yet.
        self.problem = ""

    def find(self, text: str) -> Named:
        """The place that somebody means.

        :param text: ``SKU@store``; without ``@`` the only place of the SKU, else the pool without Channel.
        :raises UnknownPlace: when the SKU or the store is unknown, or several stores may be meant.
        """
        sku, at, location = one_line(text).rpartition("@")
        sku, location = (sku.strip(), location.strip()) if at else (location.strip(), "")
        if not sku:
            raise UnknownPlace("Name an article and a store, such as A0E2000000024BF@berlin.")
        places = self.store.stock_story.places_of(self._link, self.project, sku)
        if not at:
            location = _only_place(sku, places)
        stores = self._stores()
        channel = self._channel(location, stores, places)
        if not places:
            self._require_known(sku)
        return Named(Place(sku, channel), stores.get(channel, channel))

    # Stores

    def _stores(self) -> Stores:
        """All stores; where nobody answers, those that sync health saw last."""
        try:
            return Stores.read(self._client(), self.overrides, self.config.locales)
        except CogentOpsError as error:
            self.problem = str(error)
            snapshot = self.store.health.snapshot(self._link)
            return Stores({one.place: [one.name] for one in snapshot.stores if one.place} if snapshot else {})

    def _channel(self, given: str, stores: Stores, places: Sequence[Place]) -> str:
        """Key of the Channel; empty: the pool without one.

        :param places: where the article is known to be.
        """
        if not given or given == NO_CHANNEL:
            return ""
        key = own_channel(given) or given
        if key in stores or key in {one.channel for one in places}:
            return key
        called = stores.called(given)
        if len(called) == 1:
            return called[0]
        if called:
            keys = ", ".join(f"'{one}'" for one in called)
            raise UnknownPlace(f"Several stores are called '{given}'; give the key of one: {keys}.")
        raise UnknownPlace(self._no_store(given, stores))

    def _no_store(self, given: str, stores: Stores) -> str:
        if self.problem:
            return (
                f"commercetools cannot be asked for its stores, and none is known here as '{given}'. Give the key of "
                f"the store's Channel. ({self.problem})"
            )
        hint = self._identifier().identify_location(given)
        if not hint:
            hint = " ".join(f"Did you mean '{stores[key]}' ('{key}')?" for key in stores.near(given, 1))
        shown = ", ".join(f"'{key}'" for key in sorted(stores)[:NAMED])
        more = f" and {len(stores) - NAMED} more" if len(stores) > NAMED else ""
        return f"No supply Channel has the key or the name '{given}'. {hint or f'There are: {shown}{more}.'}"

    # SKUs

    def _require_known(self, sku: str) -> None:
        """Refuse a SKU that no catalogue run has seen and commercetools does not know.

        :raises UnknownPlace: with what it is instead, where somebody knows.
        """
        if self.store.catalogue.registered(self._link, [sku]) or self._is_in_shop(sku):
            return
        hint = self._identifier().identify_sku(sku) or self._like(sku)
        unasked = f" commercetools could not be asked: {self.problem}" if self.problem else ""
        raise UnknownPlace(f"No article has the SKU '{sku}'. {hint}{unasked}".strip())

    def _is_in_shop(self, sku: str) -> bool:
        if self.problem:
            return False
        try:
            client = self._client()
            entries: Sequence[Json] = next(iter(client.by_values("inventory", "sku", [sku])), [])
            return bool(entries) or bool(known_skus(client, [sku]))
        except CogentOpsError as error:
            self.problem = str(error)
            return False

    def _like(self, sku: str) -> str:
        """A SKU that was moved or told, and that looks like this one."""
        places = self.store.stock_story.beginning(self._link, self.project, sku[:2], NEIGHBOURS)
        near = closest(sku, (one.sku for one in places))
        return f"Did you mean the SKU '{near}'?" if near else ""

    def _identifier(self) -> Identifier:
        return Identifier(self.config, self.store, None if self.problem else self._client())


def _only_place(sku: str, places: Sequence[Place]) -> str:
    """The store of a SKU that was given without one."""
    if len(places) > 1:
        names = ", ".join(f"'{one}'" for one in places[:NAMED])
        raise UnknownPlace(f"'{sku}' is in {len(places)} places; say which: {names}.")
    return places[0].channel if places else ""


def _folded(text: str) -> str:
    return "".join(text.split()).casefold()
