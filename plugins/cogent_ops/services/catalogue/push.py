"""Bring the gated catalogue to Cloudshelf: only what changed, safe to repeat, resumable after a crash.

Before a record is sent the store notes that Cloudshelf may have it from now on (a mark in place of its fingerprint; the
SKUs in the state of a variant's product). The fingerprint follows when Cloudshelf has confirmed the record, and is gone
before the record is deleted. The watermark moves last of all. So a crash anywhere leaves a run that can be repeated or
given up: what was confirmed is skipped, the rest is sent, and nothing is ever on a kiosk that the store does not know.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby, islice
from operator import attrgetter, itemgetter
from typing import Any

from cogent_ops.clients.cloudshelf import BatchOutcome, CloudshelfClient, RecordFailure
from cogent_ops.config import LinkConfig
from cogent_ops.domain.exceptions import Kind
from cogent_ops.domain.identifiers import parse_gid, product_gid, variant_gid
from cogent_ops.domain.kiosk import KioskGroup, KioskLocation
from cogent_ops.domain.rules import InventoryPolicy
from cogent_ops.errors import PermanentError
from cogent_ops.services.catalogue.gated import GatedProduct, GatedRecord
from cogent_ops.services.pipeline import batches, ordered_map
from cogent_ops.store import ProductState, Store
from cogent_ops.store.availability import Shown

log = logging.getLogger(__name__)

Raw = dict[str, Any]
#: Records whose fingerprints are looked up in one query.
LOOKUP = 1000
#: Products whose states are looked up in one query; each may hold a hundred variants.
PRODUCTS = 200
PREVIEW = 500
#: A variant that is being sent is held so long: longer than anything that was sent can be under way.
HOLD_SECONDS = 300.0
#: Who holds it. One push of a link runs at a time, so what an earlier one held, which must be dead, is its own.
HOLDER = "catalogue"
HELD_PAUSE_SECONDS = 0.5
#: In place of a fingerprint: Cloudshelf may have the record from now on; it has it, in whatever form.
ANNOUNCED, UNSURE = "", "?"
#: Kinds that are found by their fingerprints once they are gone; so these must be there before Cloudshelf has them.
FOUND_BY_FINGERPRINT = frozenset({"location", "product", "group"})
STATISTICS = "catalogue statistics"


@dataclass(frozen=True)
class Change:
    """A record that Cloudshelf does not have in this form yet.

    :param owner: for a variant, the gid of its product.
    """

    record: GatedRecord
    is_new: bool
    owner: str = ""

    @property
    def id(self) -> str:
        """The record's gid."""
        return self.record.id


Call = Callable[[list[Change]], BatchOutcome]


@dataclass
class PushResult:
    """What a push did, by kind of record.

    :param failures: what Cloudshelf refused, by gid.
    :param absent: gids of those of them that it never had.
    :param overtaken: ids of products of which a later run has pushed a newer version meanwhile.
    :param watched: gids refused in an earlier run.
    :param confirmed: those of them that Cloudshelf has taken by now.
    :param knows_images: whether every variant on the kiosk is one of this run, so that its images are known.
    """

    counts: Counter[str] = field(default_factory=Counter)
    failures: dict[str, RecordFailure] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    overtaken: set[str] = field(default_factory=set)
    watched: frozenset[str] = frozenset()
    confirmed: set[str] = field(default_factory=set)
    knows_images: bool = True
    preview: list[Raw] = field(default_factory=list)

    def applied(self, kind: str, changes: list[Change], outcome: BatchOutcome) -> dict[str, str]:
        """Count a batch's outcome.

        :return: by gid, the fingerprint of what Cloudshelf confirmed, and a mark of what it has with an error beside.
        """
        refused, applied = self.refused(outcome), set(outcome.applied)
        there = {failure.id for failure in outcome.failed if failure.returned}
        self.absent.update(change.id for change in changes if change.is_new and change.id in refused - there)
        done = [change for change in changes if change.id in applied]
        self.counts[f"{kind}s_created"] += sum(change.is_new for change in done)
        self.counts[f"{kind}s_updated"] += sum(not change.is_new for change in done)
        self.counts[f"{kind}s_refused"] += len(outcome.failed)
        return {change.id: change.record.hash for change in done} | dict.fromkeys(there, UNSURE)

    def refused(self, outcome: BatchOutcome) -> set[str]:
        """Keep what was refused, and note what is no longer; returns the gids of what was refused."""
        failures = {failure.id: failure for failure in outcome.failed}
        self.failures.update(failures)
        self.confirmed.update(self.watched.intersection(outcome.applied))
        return set(failures)

    def unchanged(self, kind: str, id_: str) -> None:
        """Count a record that Cloudshelf has already."""
        self.counts[f"{kind}s_unchanged"] += 1
        if id_ in self.watched:
            self.confirmed.add(id_)

    def planned(self, kind: str, changes: list[Change]) -> None:
        """Count what a dry run would send, and keep some of it to show."""
        self.counts[f"{kind}s_created"] += sum(change.is_new for change in changes)
        self.counts[f"{kind}s_updated"] += sum(not change.is_new for change in changes)
        self.show(kind, ((change.id, "create" if change.is_new else "update") for change in changes))

    def show(self, kind: str, entries: Iterable[tuple[str, str]]) -> None:
        """Keep gids and actions for the preview, as far as there is room."""
        room = islice(entries, PREVIEW - len(self.preview))
        self.preview += [{"kind": kind, "id": id_, "action": action} for id_, action in room]


class Push:
    """One push to one Cloudshelf organisation. Its methods are called in the order in which they stand here.

    :param began: when the run began to read; what the store noted later may be newer than what this run has read.
    :param dry_run: compare and count, send and store nothing.
    :param resend: send what was confirmed in this form, too.
    """

    def __init__(
        self,
        config: LinkConfig,
        store: Store,
        client: CloudshelfClient,
        run_key: str,
        began: datetime,
        *,
        dry_run: bool,
        resend: bool = False,
    ) -> None:
        self.config, self.store, self.client = config, store, client
        self.run_key, self.began, self.dry_run, self.resend = run_key, began, dry_run, resend
        self.result = PushResult(
            watched=frozenset(store.exceptions.open_causes(config.name, Kind.RECORD_REFUSED))
        )
        #: What a dry run would store: groups and order hints by product, of those that change.
        self._supposed: dict[str, dict[str, str | None]] = {}

    def locations(self, locations: Iterable[KioskLocation]) -> list[str]:
        """Upsert the stores.

        :return: Channel keys of locations that Cloudshelf still has although they are none of these. Kiosks may stand
            there, so a person must say what becomes of them.
        """
        by_id = {location.id: location for location in locations}
        records = (
            (GatedRecord.of(location.id, location.model_dump(mode="json")), "") for location in by_id.values()
        )
        self._send(
            "location",
            records,
            self.config.batches.locations,
            lambda batch: self.client.upsert_locations([by_id[change.id] for change in batch]),
        )
        return self._leftovers(by_id)

    def _leftovers(self, wanted: Container[str]) -> list[str]:
        link, fingerprints = self.config.name, self.store.fingerprints
        left = [id_ for id_ in fingerprints.ids(link, "location") if id_ not in wanted]
        there = (
            {node["platformProvidedId"] for page in self.client.locations() for node in page} if left else ()
        )
        if not self.dry_run:
            fingerprints.forget(link, "location", (id_ for id_ in left if id_ not in there))
        return [parse_gid(id_).id for id_ in left if id_ in there]

    def products(self, gated: Iterable[GatedProduct]) -> None:
        """Upsert the products themselves; their variants follow in a pass of their own."""
        records = ((line.product, "") for line in self._timely(gated) if line.product is not None)
        self._send(
            "product", records, self.config.batches.products, self._upsert(self.client.upsert_products)
        )
        if self.result.overtaken:
            self.result.counts["products_overtaken"] = len(self.result.overtaken)
            log.warning("%d products were pushed in a newer version meanwhile", len(self.result.overtaken))

    def _timely(self, gated: Iterable[GatedProduct]) -> Iterator[GatedProduct]:
        """Leave out what a later run has pushed in a newer version, while this one waited or was repeated."""
        for chunk in batches(gated, PRODUCTS):
            known = self._states(chunk)
            for line in chunk:
                state = known.get(line.product_id)
                if state is not None and state.version > line.version and self._is_later(state):
                    self.result.overtaken.add(line.product_id)
                else:
                    yield line

    def variants(self, gated: Iterable[GatedProduct]) -> None:
        """Upsert the variants of every product that Cloudshelf has."""
        self._send("variant", self._claimed(gated), self.config.batches.variants, self._upsert_variants)

    def _claimed(self, gated: Iterable[GatedProduct]) -> Iterator[tuple[GatedRecord, str]]:
        """Variants to send, each with its product; noted before as what the kiosk may show from now on."""
        for chunk in self._chunks(gated):
            sent = [
                (line, line.product)
                for line in chunk
                if line.product is not None and line.product.id not in self.result.failures
            ]
            before = self._states(chunk)
            claims = (_claim(line, before.get(line.product_id)) for line, _ in sent)
            self._record(before, claims)
            yield from ((variant, product.id) for line, product in sent for variant in line.variants)

    def states(self, gated: Iterable[GatedProduct]) -> None:
        """Note for each product what is on the kiosk now, and take off variants that no longer exist."""
        for chunk in self._chunks(gated):
            before = self._states(chunk)
            self._record(before, [self._state(line, before.get(line.product_id)) for line in chunk])

    def _state(self, line: GatedProduct, before: ProductState | None) -> ProductState:
        state = line.state(before, self.result.failures, self.result.absent)
        if line.product is not None and before is not None and line.product.id not in self.result.failures:
            gone = set(before.skus).difference(line.skus, line.held_skus)
            left = self._retire(line, gone)
            refused = any(variant_gid(sku) in self.result.failures for sku in left)
            state = replace(state, skus=(*state.skus, *left), recheck=state.recheck or refused)
        self.result.knows_images &= set(state.skus) <= set(line.skus)
        return state

    def _states(self, lines: Iterable[GatedProduct]) -> dict[str, ProductState]:
        return self.store.catalogue.states(self.config.name, [line.product_id for line in lines])

    def _record(self, before: dict[str, ProductState], states: Iterable[ProductState]) -> None:
        changed = [state for state in states if state != before.get(state.product_id)]
        if not self.dry_run:
            self.store.catalogue.record_products(self.config.name, self.run_key, changed)
            return
        for state in changed:
            shown = state.group_ids if state.on_kiosk else ()
            self._supposed[state.product_id] = {id_: state.group_order.get(id_) for id_ in shown}

    def _chunks(self, gated: Iterable[GatedProduct]) -> Iterator[list[GatedProduct]]:
        return batches((line for line in gated if line.product_id not in self.result.overtaken), PRODUCTS)

    def _retire(self, line: GatedProduct, skus: set[str]) -> list[str]:
        """Take single variants off sale: Cloudshelf has no mutation that deletes one.

        :return: SKUs that the product goes on showing: Cloudshelf refused, or another product carries the SKU now but
            is not on the kiosk with it. One that is has taken the Cloudshelf variant along.
        """
        if not skus:
            return []
        moved = self.store.catalogue.carried_elsewhere(self.config.name, skus, line.product_id)
        others = self.store.catalogue.states(self.config.name, sorted(set[str]().union(*moved.values())))
        waiting = {
            sku
            for sku, ids in moved.items()
            if not any(sku in others[id_].skus for id_ in ids & others.keys())
        }
        refused = self._take_off_sale(product_gid(line.product_id), skus - moved.keys())
        return sorted(waiting | refused)

    def _take_off_sale(self, product: str, skus: set[str]) -> set[str]:
        """Returns the SKUs of those that Cloudshelf refused."""
        gone = {variant_gid(sku): sku for sku in sorted(skus)}
        self.result.counts["variants_retired"] += len(gone)
        if self.dry_run or not gone:
            return set()
        self.store.fingerprints.forget(self.config.name, "variant", gone)
        self._hold(list(gone.values()))
        there = [node for node in self.client.product_variants(product) if node["id"] in gone]
        off = [{**node, "isInStock": False, "availableToPurchase": False} for node in there]
        refused = self.result.refused(self.client.upsert_variants([(product, off)])) if off else set[str]()
        self.result.counts["variants_retired"] -= len(refused)
        left = {gone[id_] for id_ in refused}
        availability, link = self.store.availability, self.config.name
        availability.forget(link, {parse_gid(product).id: set(gone.values()) - left})
        availability.told_by_catalogue(link, HOLDER, told=(), refused=left)
        return left

    def untouched(self, product_ids: Iterable[str]) -> list[str]:
        """Those of some products that no run has recorded since this one began to read."""
        catalogue, link = self.store.catalogue, self.config.name
        found: list[str] = []
        for chunk in batches(product_ids, LOOKUP):
            touched = {id_ for id_, state in catalogue.states(link, chunk).items() if self._is_later(state)}
            found += [id_ for id_ in chunk if id_ not in touched]
        return found

    def _is_later(self, state: ProductState) -> bool:
        return state.recorded_at is not None and state.recorded_at > self.began

    def remove(self, product_ids: list[str]) -> None:
        """Delete products that are no longer published, with everything we know about them."""
        self.result.counts["products_removed"] = len(product_ids)
        if self.dry_run:
            self.result.show("product", ((product_gid(id_), "remove") for id_ in product_ids))
            self._supposed.update((id_, {}) for id_ in product_ids)
            return
        for batch in batches(product_ids, self.config.batches.products):
            gids = [product_gid(id_) for id_ in batch]
            self._distrust(batch, gids)
            refused = self.result.refused(self.client.delete_products(gids))
            self.result.counts["products_removed"] -= len(refused)
            self.forget([id_ for id_ in batch if product_gid(id_) not in refused])

    def _distrust(self, product_ids: list[str], gids: list[str]) -> None:
        """Whatever becomes of a deletion: should the products come back, all of them is sent again."""
        link, fingerprints = self.config.name, self.store.fingerprints
        states = self.store.catalogue.states(link, product_ids).values()
        fingerprints.remember(link, "product", dict.fromkeys(gids, UNSURE), self.run_key)
        fingerprints.forget(link, "variant", (variant_gid(sku) for state in states for sku in state.skus))
        fingerprints.forget(link, "membership", (id_ for state in states for id_ in state.group_ids))

    def forget(self, product_ids: list[str]) -> None:
        """Drop everything known about products that no kiosk shows."""
        for chunk in batches(product_ids, PRODUCTS):
            states = self.store.catalogue.states(self.config.name, chunk)
            self.store.availability.forget(
                self.config.name, {id_: state.skus for id_, state in states.items()}
            )
        self.store.catalogue.remove_products(self.config.name, product_ids)
        gids = [product_gid(id_) for id_ in product_ids]
        self.store.fingerprints.forget(self.config.name, "product", gids)

    def groups(self, groups: Iterable[KioskGroup]) -> None:
        """Upsert the groups that have members, set their ordered members, and remove groups without any."""
        known = {group.id: group for group in groups}
        members = {
            group: [product_gid(product_id) for _, product_id in rows]
            for group, rows in groupby(self._members(), key=itemgetter(0))
            if group in known
        }
        wanted = ((GatedRecord.of(id_, known[id_].to_input()), "") for id_ in members)
        self._send("group", wanted, self.config.batches.groups, self._upsert(self.client.upsert_groups))
        sets = (
            (GatedRecord.of(id_, {"members": ids}), "")
            for id_, ids in members.items()
            if id_ not in self.result.failures
        )
        self._send("membership", sets, self.config.batches.memberships, self._set_memberships)
        self._remove_groups(set(members))

    def _members(self) -> Iterator[tuple[str, str]]:
        return self.store.catalogue.members(self.config.name, instead=self._supposed)

    def _set_memberships(self, batch: list[Change]) -> BatchOutcome:
        return self.client.set_memberships([(change.id, change.record.input["members"]) for change in batch])

    def _remove_groups(self, wanted: set[str]) -> None:
        gone = [id_ for id_ in self.store.fingerprints.ids(self.config.name, "group") if id_ not in wanted]
        self.result.counts["groups_removed"] = len(gone)
        if self.dry_run:
            self.result.show("group", ((id_, "remove") for id_ in gone))
            return
        for batch in batches(gone, self.config.batches.groups):
            link, fingerprints = self.config.name, self.store.fingerprints
            fingerprints.remember(link, "group", dict.fromkeys(batch, UNSURE), self.run_key)
            fingerprints.forget(link, "membership", batch)
            refused = self.result.refused(self.client.delete_groups(batch))
            self.result.counts["groups_removed"] -= len(refused)
            fingerprints.forget(link, "group", [id_ for id_ in batch if id_ not in refused])

    def report_statistics(self, images: int | None) -> None:
        """Tell Cloudshelf what it should hold, so that its own count check can notice a difference.

        The catalogue is there by now, so a refusal ends as an exception beside it and not as a failed run.

        :param images: how many images the variants of this run carry, when it read them all.
        """
        if self.dry_run:
            return
        totals = self.store.catalogue.totals(self.config.name)
        try:
            self.client.report_catalogue_stats(
                products=totals.products,
                variants=totals.variants,
                groups=totals.groups,
                images=images if self.result.knows_images else None,
            )
        except PermanentError as error:
            code = getattr(error, "code", "NOT_ALLOWED")
            self.result.failures[STATISTICS] = RecordFailure(STATISTICS, code, str(error))
        else:
            self.result.confirmed.add(STATISTICS)

    def _send(self, kind: str, records: Iterable[tuple[GatedRecord, str]], size: int, call: Call) -> None:
        changed = batches(self._changed(kind, records), size)
        if self.dry_run:
            for batch in changed:
                self.result.planned(kind, batch)
            return
        done = ordered_map(lambda batch: (batch, call(batch)), changed, workers=self.config.concurrency)
        for batch, outcome in done:
            applied = self.result.applied(kind, batch, outcome)
            self.store.fingerprints.remember(self.config.name, kind, applied, self.run_key)
            log.info("%s: %d confirmed, %d refused", kind, len(outcome.applied), len(outcome.failed))

    def _changed(self, kind: str, records: Iterable[tuple[GatedRecord, str]]) -> Iterator[Change]:
        for chunk in batches(records, LOOKUP):
            known = self.store.fingerprints.known(self.config.name, kind, [record.id for record, _ in chunk])
            changes: list[Change] = []
            same: list[Change] = []
            for record, owner in chunk:
                change = Change(record, known.get(record.id, ANNOUNCED) == ANNOUNCED, owner)
                is_same = known.get(record.id) == record.hash and not self.resend
                (same if is_same else changes).append(change)
            for change in same:
                self.result.unchanged(kind, change.id)
            if not self.dry_run:
                if kind == "variant":
                    self.store.availability.seen_by_catalogue(self.config.name, map(_shown, same))
                self._announce(kind, changes)
            yield from changes

    def _announce(self, kind: str, changes: Iterable[Change]) -> None:
        """Note what is about to be sent, so that a crash between sending and remembering leaves no wrong hash."""
        marks = {
            change.id: ANNOUNCED if change.is_new else UNSURE
            for change in changes
            if not change.is_new or kind in FOUND_BY_FINGERPRINT
        }
        self.store.fingerprints.remember(self.config.name, kind, marks, self.run_key)

    @staticmethod
    def _upsert(method: Callable[[list[Raw]], BatchOutcome]) -> Call:
        return lambda batch: method([change.record.input for change in batch])

    def _upsert_variants(self, batch: list[Change]) -> BatchOutcome:
        """Send variants, and let the availability flow know what it need not tell any more."""
        shown = {change.id: _shown(change) for change in batch}
        entries = [
            (owner, [change.record.input for change in changes])
            for owner, changes in groupby(batch, key=attrgetter("owner"))
        ]
        self._hold([one.sku for one in shown.values()])
        outcome = self.client.upsert_variants(entries)
        # Cloudshelf has also what it returned with an error beside, e.g. for one of its images.
        there = [*outcome.applied, *(failure.id for failure in outcome.failed if failure.returned)]
        told = [shown[id_] for id_ in there]
        refused = [shown[failure.id].sku for failure in outcome.failed if not failure.returned]
        self.store.availability.told_by_catalogue(self.config.name, HOLDER, told, refused)
        return outcome

    def _hold(self, skus: list[str]) -> None:
        """Wait until the availability flow, which reads variants and writes them back, does so with none of these.

        Should this run die, what it held is held until nothing that it sent can be under way any more, or until the
        next run of the catalogue flow sends it.
        """
        others = set(skus)
        while others:
            until = datetime.now(UTC) + timedelta(seconds=HOLD_SECONDS)
            others = self.store.availability.hold(self.config.name, HOLDER, sorted(others), until)
            if others:
                time.sleep(HELD_PAUSE_SECONDS)


def _shown(change: Change) -> Shown:
    """A variant to send, as the availability flow knows it."""
    fields = change.record.input
    return Shown(
        sku=fields["sku"],
        product_id=parse_gid(change.owner).id,
        in_stock=fields["isInStock"],
        purchasable=fields["availableToPurchase"],
        back_order=fields["inventoryPolicy"] == InventoryPolicy.CONTINUE,
    )


def _claim(line: GatedProduct, before: ProductState | None) -> ProductState:
    """What the kiosk may show of a product while its variants are sent: what it will, and still what it did."""
    state = line.state(before)
    known = set(state.skus)
    return replace(
        state, skus=(*state.skus, *(sku for sku in (before.skus if before else ()) if sku not in known))
    )


def preview_lines(result: PushResult) -> Iterator[str]:
    """The dry run's preview as JSON lines."""
    return (json.dumps(entry) for entry in result.preview)
