"""Inventory entries of a commercetools project, found by SKU and the key of their supply Channel."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from cogent_ops.clients.commercetools import CommercetoolsClient, Created, Exists, Updated
from cogent_ops.config import LinkConfig
from cogent_ops.domain.catalogue import SUPPLY_ROLE
from cogent_ops.domain.custom_types import INVENTORY, declared
from cogent_ops.domain.stock import Place, last_batch
from cogent_ops.errors import AmbiguousOutcome, PermanentError
from cogent_ops.services.catalogue.extract import selections
from cogent_ops.services.pipeline import batches, ordered_map
from cogent_ops.store import Store
from cogent_ops.store.stock import Position

Entry = Mapping[str, Any]

#: The mode in which an order takes its units from the quantity; the others reserve, or do nothing.
TAKING = "TrackOnly"
#: Channels and Types change rarely; one that is not known is looked for again after so many seconds.
LOOK_AGAIN_SECONDS = 30.0
#: After so many, Channels are read again in any case: a key may have been given to another Channel.
FORGET_SECONDS = 300.0
#: Ids or SKUs in a request for entries: about what a URI holds.
VALUES_PER_QUERY = 150
QUERIES_AT_A_TIME = 4


class ProjectEntries:
    """The inventory of one project. Threads may share it.

    :param config: of the link whose SKU registry is asked before the project is.
    """

    def __init__(self, client: CommercetoolsClient, store: Store, config: LinkConfig) -> None:
        self.client, self.store, self.link = client, store, config.name
        keys = config.custom_types
        types = declared(inventory_key=keys.inventory, order_key=keys.order)
        self.wanted = next(kind for kind in types if kind.resource == INVENTORY)
        self._keys: dict[str, str] = {}
        self._suppliers: set[str] = set()
        self._looked_at = float("-inf")
        self._marking: set[str] = set()

    def require_type(self, *, again: bool = False) -> None:
        """See that the project has the Type whose field makes batches recognisable.

        :param again: whether to look although it was there before.
        :raises PermanentError: with the command that installs it.
        """
        if self._marking and not again:
            return
        found = self.client.get("types", key=self.wanted.key)
        if found is None:
            raise PermanentError(
                f"The project has no custom Type '{self.wanted.key}', by which a stock movement is recognised after a "
                "lost answer. Install it: cogent-ops bootstrap. Movements wait meanwhile."
            )
        self.make_marking(found)

    def make_marking(self, kind: Entry) -> None:
        """Complete a Type, ours or another integration's, by our field; nothing else of it changes.

        :raises AmbiguousOutcome: when nobody knows whether it was completed; try again.
        """
        additions = self.wanted.additions(kind)
        if additions and not isinstance(
            self.client.update("types", kind["id"], kind["version"], additions), Updated
        ):
            raise AmbiguousOutcome(f"Type '{kind['key']}' was changed by somebody else meanwhile.")
        self._marking.add(kind["id"])

    def prepare(self, entry: Entry) -> None:
        """See that our field can be set on an entry that carries another integration's Type."""
        custom = entry.get("custom")
        if custom is None or custom["type"]["id"] in self._marking:
            return
        kind = self.client.get("types", custom["type"]["id"])
        if kind is None:
            raise AmbiguousOutcome(f"The custom Type of inventory entry {entry['id']} has just gone.")
        self.make_marking(kind)

    # Reading

    def read(
        self, wanted: Mapping[Place, str | None], marks: Mapping[Place, str] | None = None
    ) -> dict[Place, Entry]:
        """Entries by place, of those places that have one.

        :param wanted: id of the place's entry as far as it is known, so that no entry is read for nothing: a SKU may
            have one in every store.
        :param marks: by place, a batch that may be on its entry; that entry is found wherever it was moved to.
        """
        marks, found = marks or {}, dict[Place, Entry]()
        places = {id_: place for place, id_ in wanted.items() if id_ is not None}
        for entry in self._query("id", sorted(places)):
            place = places[entry["id"]]
            if self.place_of(entry) == place or last_batch(entry) == marks.get(place, ""):
                found[place] = entry
        lacking = wanted.keys() - found.keys()
        for entry in self._query("sku", sorted({place.sku for place in lacking})):
            place = self.place_of(entry)
            if place in lacking:
                found[place] = entry
        return found

    def _query(self, field: str, values: Sequence[str]) -> Iterator[Entry]:
        def ask(chunk: Sequence[str]) -> list[Entry]:
            return list(chain.from_iterable(self.client.by_values("inventory", field, chunk)))

        chunks = batches(values, VALUES_PER_QUERY)
        return chain.from_iterable(ordered_map(ask, chunks, workers=QUERIES_AT_A_TIME))

    def read_one(self, place: Place, id_: str | None = None, mark: str = "") -> Entry | None:
        """The entry of a place; ``None`` when there is none. See :meth:`read`."""
        return self.read({place: id_}, {place: mark}).get(place)

    def place_of(self, entry: Entry) -> Place:
        """Where an entry is; a Channel that is not known, or not lately, is looked up."""
        channel = entry.get("supplyChannel")
        if channel is None:
            return Place(entry["sku"], "")
        id_ = channel["id"]
        if id_ not in self._keys or time.monotonic() - self._looked_at > FORGET_SECONDS:
            self._look()
        return Place(entry["sku"], self._keys.get(id_, id_))

    def ordered(self, order: Mapping[str, Any]) -> Iterator[tuple[Place, str | None, int]]:
        """Lines of an order that name an article: its place, the inventory mode, and the units without sign."""
        for line in order.get("lineItems", ()):
            sku = line["variant"].get("sku")
            if sku:
                place = self.place_of({"sku": sku, "supplyChannel": line.get("supplyChannel")})
                yield place, line.get("inventoryMode") or order.get("inventoryMode"), int(line["quantity"])

    def is_supplier(self, channel: str) -> bool:
        """Whether a key is that of a Channel that may hold stock; the empty one is the pool without Channel."""
        if channel and channel not in self._suppliers:
            self._look()
        return not channel or channel in self._suppliers

    def _look(self) -> None:
        if time.monotonic() - self._looked_at < LOOK_AGAIN_SECONDS:
            return
        channels = list(chain.from_iterable(self.client.pages("channels")))
        self._keys = {channel["id"]: channel["key"] for channel in channels}
        self._suppliers = {channel["key"] for channel in channels if SUPPLY_ROLE in channel["roles"]}
        self._looked_at = time.monotonic()

    def known_skus(self, skus: Iterable[str]) -> set[str]:
        """Those of the SKUs that a product carries, published or not."""
        wanted = list(skus)
        known = self.store.catalogue.registered(self.link, sorted(wanted))
        return known | known_skus(self.client, [sku for sku in wanted if sku not in known])

    # Creating

    def create(self, place: Place) -> Entry | None:
        """An empty entry; ``None`` when somebody else, or a request of ours without answer, may have made one."""
        draft: dict[str, Any] = {"sku": place.sku, "quantityOnStock": 0}
        if place.channel:
            draft["supplyChannel"] = {"typeId": "channel", "key": place.channel}
        try:
            made: Created | Exists = self.client.create("inventory", draft)
        except AmbiguousOutcome:
            return None
        return made.resource if isinstance(made, Created) else None


def position(place: Place, entry: Entry) -> Position:
    """What an entry says of its quantities, in units."""
    return Position(
        place, entry["id"], entry["version"], entry["quantityOnStock"], entry["availableQuantity"]
    )


def known_skus(client: CommercetoolsClient, skus: Iterable[str]) -> set[str]:
    """Those of the SKUs that a product of the project carries, published or not."""
    return {sku for sku, _ in carriers(client, skus)}


def carriers(client: CommercetoolsClient, skus: Iterable[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each of the SKUs that a product of the project carries, published or not, with that product's projection."""
    wanted = set(skus)
    for chunk in selections(sorted(wanted)):
        literals = ", ".join(client.literal(sku) for sku in chunk)
        where = f"masterVariant(sku in ({literals})) or variants(sku in ({literals}))"
        for page in client.pages("product-projections", where=[where], params={"staged": "true"}):
            for product in page:
                carried = (one.get("sku") for one in (product["masterVariant"], *product["variants"]))
                yield from ((sku, product) for sku in carried if sku in wanted)
