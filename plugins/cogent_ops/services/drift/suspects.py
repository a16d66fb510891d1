"""Products that differ, read once more from both sides and judged by the gate, with what the store knows of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from cogent_ops.domain.catalogue import CatalogueContext, map_product
from cogent_ops.domain.drift.catalogue import Known, Suspect
from cogent_ops.domain.drift.shelf import ProductView, is_ours, shown_view, wanted_view
from cogent_ops.domain.exceptions import Kind
from cogent_ops.domain.identifiers import PRODUCT, parse_gid
from cogent_ops.quality import Gate
from cogent_ops.services.catalogue.gate import admitted
from cogent_ops.services.catalogue.gated import GatedProduct, hashes_but_for_stock
from cogent_ops.services.catalogue.push import ANNOUNCED, UNSURE
from cogent_ops.services.catalogue.read import CatalogueReader, parsed, skus_of, variants_of
from cogent_ops.services.drift.comparison import Parts
from cogent_ops.services.pipeline import ordered_map
from cogent_ops.store import ProductState, Store

Raw = dict[str, Any]

#: Reference data whose changes reach products with the nightly full pass only, and such that every run looks at.
NIGHTLY_REFERENCE, REFERENCE = ("categories", "product_types"), ("tax_categories",)


@dataclass(frozen=True)
class _Gathered:
    """What is known of some products, by their ids.

    :param lines: those that are published, joined with stock and prices.
    :param stocked: when the newest inventory entry was made, by SKU, where that may have ended a hold.
    :param confirmed: see :class:`Suspect`, as ``told``.
    :param listed: those that the last full pass still saw.
    """

    lines: Mapping[str, Raw]
    gated: Mapping[str, GatedProduct]
    states: Mapping[str, ProductState]
    stocked: Mapping[str, datetime]
    confirmed: Set[str]
    told: Set[str]
    listed: Set[str]


class Suspects:
    """Finds out all that tells why products are shown otherwise than they should be.

    :param context: what products are mapped with.
    :param reference: the raw resources that it was made of.
    """

    def __init__(
        self, parts: Parts, reader: CatalogueReader, context: CatalogueContext, reference: Mapping[str, Any]
    ) -> None:
        self.parts, self.reader, self.context = parts, reader, context
        self.config, self.store, self.link = parts.config, parts.store, parts.config.name
        self._nightly_at = newest(one for name in NIGHTLY_REFERENCE for one in reference[name])
        self._reference_at = newest(one for name in REFERENCE for one in reference[name])

    @cached_property
    def gate(self) -> Gate:
        """Made when the first product differs: it takes seconds."""
        return Gate(self.parts.suite, self.link)

    @cached_property
    def refused(self) -> frozenset[str]:
        """Ids of records that Cloudshelf refused, which a person knows."""
        return refused_records(self.store, self.link)

    def look(self, gids: Sequence[str]) -> list[Suspect]:
        """Look at some products.

        :param gids: as Cloudshelf knows them; also such that are not ours.
        """
        ids = {gid: parse_gid(gid).id for gid in gids if is_ours(gid, PRODUCT)}
        found = self._gather(list(ids.values()))
        shown = ordered_map(self.parts.cloudshelf.shown_product, gids, workers=self.config.concurrency)
        return [
            self._suspect(gid, ids.get(gid, ""), node, found) for gid, node in zip(gids, shown, strict=True)
        ]

    def _gather(self, ids: Sequence[str]) -> _Gathered:
        """All that is known of some products of ours on this side of Cloudshelf."""
        lines = {one["projection"]["id"]: one for one in self._lines(ids)}
        mapped = [map_product(parsed(line), self.context) for line in lines.values()]
        judged = admitted(self.gate, self.store, self.link, mapped) if mapped else ()
        gated = {one.product_id: one for one in judged}
        states = self.store.catalogue.states(self.link, ids)
        confirmed, told = self._told(gated.values())
        return _Gathered(
            lines=lines,
            gated=gated,
            states=states,
            stocked=self._stocked_at([line for id_, line in lines.items() if _was_held(states.get(id_))]),
            confirmed=confirmed,
            told=told,
            listed={product_id for product_id, _ in self.store.catalogue.previous_skus(self.link, ids)},
        )

    def _suspect(self, gid: str, id_: str, node: Raw | None, found: _Gathered) -> Suspect:
        line, judged, state = found.lines.get(id_), found.gated.get(id_), found.states.get(id_)
        view = None if node is None else shown_view(node, self.config.currency)
        records = _records(gid, judged, view)
        return Suspect(
            gid=gid,
            name=_name(gid, id_, judged, state, node),
            is_published=line is not None,
            wanted=self._wanted(judged),
            held_skus=judged.held_skus if judged else (),
            shown=view,
            known=_known(state),
            told=tuple(record for record in records if record in found.told),
            confirmed=tuple(record for record in records if record in found.confirmed),
            refused=tuple(record for record in records if record in self.refused),
            changed_at=self._changed_at(line, found.stocked),
            nightly_at=self._changed_at_night(line),
            was_listed=id_ in found.listed,
        )

    def _lines(self, ids: Sequence[str]) -> list[Raw]:
        """Those of the products that are published, joined with stock and prices."""
        pages = self.reader.projections_of(ids) if ids else ()
        return [line for page in pages for line in self.reader.joined(page)]

    def _wanted(self, judged: GatedProduct | None) -> ProductView | None:
        if judged is None or judged.product is None:
            return None
        variants = [one.input for one in judged.variants]
        return wanted_view(judged.product.input, variants, judged.group_ids, self.config.currency)

    # What Cloudshelf has confirmed

    def _told(self, gated: Iterable[GatedProduct]) -> tuple[set[str], set[str]]:
        """Ids of records that were confirmed at all, and of those that were with the content of now."""
        products, variants = dict[str, frozenset[str]](), dict[str, frozenset[str]]()
        for one in gated:
            if one.product is not None:
                products[one.product.id] = frozenset({one.product.hash})
                for record in one.variants:
                    variants[record.id] = hashes_but_for_stock(one.product.id, record.input)
        confirmed, told = set[str](), set[str]()
        for kind, wanted in (("product", products), ("variant", variants)):
            known = self.store.fingerprints.known(self.link, kind, wanted)
            confirmed.update(gid for gid, hash_ in known.items() if hash_ not in (ANNOUNCED, UNSURE))
            told.update(gid for gid, hash_ in known.items() if hash_ in wanted[gid])
        return confirmed, told

    # When things changed

    def _changed_at(self, line: Raw | None, stocked: Mapping[str, datetime]) -> datetime | None:
        """When the product changed last, or what decides about a hold of it."""
        if line is None:
            return None
        entries = (stocked[sku] for sku in skus_of(line["projection"]) if sku in stocked)
        own = datetime.fromisoformat(line["projection"]["lastModifiedAt"])
        return max(filter(None, (own, self._reference_at, *entries)))

    def _stocked_at(self, lines: Sequence[Raw]) -> dict[str, datetime]:
        """When the newest inventory entry of a SKU was made: one that was missing may have held it until then."""
        skus = [sku for line in lines for sku in skus_of(line["projection"]) if sku.isprintable()]
        made: dict[str, datetime] = {}
        for entries in self.parts.commercetools.by_values("inventory", "sku", skus):
            for entry in entries:
                at = datetime.fromisoformat(entry["createdAt"])
                made[entry["sku"]] = max(at, made.get(entry["sku"], at))
        return made

    def _changed_at_night(self, line: Raw | None) -> datetime | None:
        """When something changed last that the product's own time of change does not tell."""
        times = [self._nightly_at]
        if line is not None:
            times += [newest(prices) for prices in line["standalone_prices"].values()]
            embedded = (price for one in variants_of(line["projection"]) for price in one.get("prices", ()))
            standalone = (price for prices in line["standalone_prices"].values() for price in prices)
            times += [self._boundary(price) for price in (*embedded, *standalone)]
        return max(filter(None, times), default=None)

    def _boundary(self, price: Raw) -> datetime | None:
        """When the price began or ended, if it has."""
        given = (price[name] for name in ("validFrom", "validUntil") if price.get(name))
        now = self.context.scope.now
        return max((at for at in map(datetime.fromisoformat, given) if at <= now), default=None)


def refused_records(store: Store, link: str) -> frozenset[str]:
    """Ids of records that Cloudshelf refused, which a person knows."""
    return frozenset(store.exceptions.open_causes(link, Kind.RECORD_REFUSED, decided=True))


def newest(resources: Iterable[Mapping[str, Any]]) -> datetime | None:
    """When one of some raw resources changed last."""
    times = (one["lastModifiedAt"] for one in resources if "lastModifiedAt" in one)
    return max(map(datetime.fromisoformat, times), default=None)


def _was_held(state: ProductState | None) -> bool:
    return state is None or state.status != "pushed"


def _known(state: ProductState | None) -> Known | None:
    if state is None:
        return None
    recorded = state.recorded_at or datetime.min.replace(tzinfo=UTC)
    return Known(state.status, state.on_kiosk, state.skus, state.group_ids, recorded)


def _records(gid: str, judged: GatedProduct | None, shown: ProductView | None) -> list[str]:
    """Ids of the product and of all variants that either side has."""
    wanted = (one.id for one in (judged.variants if judged else ()))
    there = (one.gid for one in (shown.variants if shown else ()))
    return list(dict.fromkeys((gid, *wanted, *there)))


def _name(
    gid: str, product_id: str, judged: GatedProduct | None, state: ProductState | None, node: Raw | None
) -> str:
    """As people name the product: by its key, else by its id, else by what Cloudshelf calls it."""
    if product_id:
        key = judged.product_key if judged else state.product_key if state else ""
        return key or product_id
    return f"{node['displayName']} ({gid})" if node is not None else gid
