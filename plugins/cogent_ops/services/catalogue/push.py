"""Bring the gated catalogue to Cloudshelf: only what changed, safe to repeat, resumable after a crash.

A fingerprint is remembered only after Cloudshelf confirmed the record, and the watermark moves in the last
transaction of the run. So a crash anywhere leaves a run that can simply be repeated: what was confirmed is
skipped, the rest is sent.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any

from cogent_ops.clients.cloudshelf import BatchOutcome, CloudshelfClient, RecordFailure
from cogent_ops.config import LinkConfig
from cogent_ops.domain.exceptions import Kind
from cogent_ops.domain.identifiers import product_gid, variant_gid
from cogent_ops.domain.kiosk import KioskGroup, KioskLocation
from cogent_ops.services.catalogue.gate import JUDGED
from cogent_ops.services.catalogue.gated import GatedProduct, GatedRecord
from cogent_ops.services.pipeline import batches, ordered_map
from cogent_ops.store import Store

log = logging.getLogger(__name__)

Raw = dict[str, Any]
#: Records whose fingerprints are looked up in one query.
LOOKUP = 1000
PREVIEW = 500


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
    """What a push did, by kind of record, and what Cloudshelf refused (by gid)."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: dict[str, RecordFailure] = field(default_factory=dict)
    #: Gids refused in an earlier run, and those of them that Cloudshelf has taken by now.
    watched: frozenset[str] = frozenset()
    confirmed: set[str] = field(default_factory=set)
    preview: list[Raw] = field(default_factory=list)

    def applied(self, kind: str, changes: list[Change], outcome: BatchOutcome) -> dict[str, str]:
        """Count a batch's outcome; returns gid and fingerprint of what Cloudshelf confirmed."""
        self.failures.update({failure.id: failure for failure in outcome.failed})
        applied = set(outcome.applied)
        self.confirmed |= applied & self.watched
        done = [change for change in changes if change.id in applied]
        self.counts[f"{kind}s_created"] += sum(change.is_new for change in done)
        self.counts[f"{kind}s_updated"] += sum(not change.is_new for change in done)
        self.counts[f"{kind}s_refused"] += len(outcome.failed)
        return {change.id: change.record.hash for change in done}

    def unchanged(self, kind: str, id_: str) -> None:
        """Count a record that Cloudshelf has already."""
        self.counts[f"{kind}s_unchanged"] += 1
        if id_ in self.watched:
            self.confirmed.add(id_)

    def planned(self, kind: str, changes: list[Change]) -> None:
        """Count what a dry run would send, and keep some of it to show."""
        self.counts[f"{kind}s_created"] += sum(change.is_new for change in changes)
        self.counts[f"{kind}s_updated"] += sum(not change.is_new for change in changes)
        room = PREVIEW - len(self.preview)
        self.preview += [
            {"kind": kind, "id": change.id, "action": "create" if change.is_new else "update"}
            for change in changes[:room]
        ]


class Push:
    """One push to one Cloudshelf organisation.

    :param dry_run: compare and count, send and store nothing.
    """

    def __init__(
        self, config: LinkConfig, store: Store, client: CloudshelfClient, run_key: str, *, dry_run: bool
    ) -> None:
        self.config, self.store, self.client = config, store, client
        self.run_key, self.dry_run = run_key, dry_run
        refused = store.exceptions.open(config.name, Kind.RECORD_REFUSED)
        self.result = PushResult(watched=frozenset(record.cause_key for record in refused))

    def locations(self, locations: Iterable[KioskLocation]) -> None:
        """Upsert the stores."""
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

    def products(self, gated: Iterable[GatedProduct]) -> None:
        """Upsert the products themselves; their variants follow in a pass of their own."""
        records = ((line.product, "") for line in gated if line.product is not None)
        self._send(
            "product", records, self.config.batches.products, self._upsert(self.client.upsert_products)
        )

    def variants(self, gated: Iterable[GatedProduct]) -> None:
        """Upsert the variants of every product that Cloudshelf has."""
        records = (
            (variant, line.product.id)
            for line in gated
            if line.product is not None and line.product.id not in self.result.failures
            for variant in line.variants
        )
        self._send("variant", records, self.config.batches.variants, self._upsert_variants)

    def states(self, gated: Iterable[GatedProduct]) -> None:
        """Note for each product what is on the kiosk now, and take off variants that no longer exist."""
        for chunk in batches(gated, LOOKUP):
            before = self.store.catalogue.states(self.config.name, [line.product_id for line in chunk])
            now = [line.state(before.get(line.product_id), self.result.failures) for line in chunk]
            for line, state in zip(chunk, now, strict=True):
                old = before.get(line.product_id)
                if line.product is not None and old is not None:
                    gone = set(old.skus) - set(state.skus) - set(line.held_skus)
                    self._retire(line.product_id, line.product.id, gone)
            if not self.dry_run:
                changed = [state for state in now if state != before.get(state.product_id)]
                self.store.catalogue.record_products(self.config.name, self.run_key, changed)

    def groups(self, groups: Iterable[KioskGroup]) -> None:
        """Upsert the groups that have members, set their ordered members, and remove groups without any."""
        known = {group.id: group for group in groups}
        members = {
            group: [product_gid(product_id) for _, product_id in rows]
            for group, rows in groupby(self.store.catalogue.members(self.config.name), key=itemgetter(0))
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

    def remove(self, product_ids: list[str]) -> None:
        """Delete products that are no longer published, with everything we know about them."""
        self.result.counts["products_removed"] = len(product_ids)
        if self.dry_run:
            self.result.preview += [
                {"kind": "product", "id": product_gid(id_), "action": "remove"} for id_ in product_ids
            ]
            return
        for batch in batches(product_ids, self.config.batches.products):
            outcome = self.client.delete_products([product_gid(id_) for id_ in batch])
            refused = {failure.id for failure in outcome.failed}
            self.result.failures.update({failure.id: failure for failure in outcome.failed})
            gone = [id_ for id_ in batch if product_gid(id_) not in refused]
            self.result.counts["products_removed"] -= len(refused)
            self.forget(gone)

    def report_statistics(self, images: int | None) -> None:
        """Tell Cloudshelf what it should hold, so that its own count check can notice a difference."""
        if self.dry_run:
            return
        totals = self.store.catalogue.totals(self.config.name)
        self.client.report_catalogue_stats(
            products=totals.products, variants=totals.variants, groups=totals.groups, images=images
        )

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
            log.info("%s: %d confirmed, %d refused", kind, len(applied), len(outcome.failed))

    def _changed(self, kind: str, records: Iterable[tuple[GatedRecord, str]]) -> Iterator[Change]:
        for chunk in batches(records, LOOKUP):
            known = self.store.fingerprints.known(self.config.name, kind, [record.id for record, _ in chunk])
            for record, owner in chunk:
                if known.get(record.id) == record.hash:
                    self.result.unchanged(kind, record.id)
                else:
                    yield Change(record, record.id not in known, owner)

    @staticmethod
    def _upsert(method: Callable[[list[Raw]], BatchOutcome]) -> Call:
        return lambda batch: method([change.record.input for change in batch])

    def _upsert_variants(self, batch: list[Change]) -> BatchOutcome:
        entries = groupby(batch, key=attrgetter("owner"))
        return self.client.upsert_variants(
            [(owner, [change.record.input for change in changes]) for owner, changes in entries]
        )

    def _set_memberships(self, batch: list[Change]) -> BatchOutcome:
        return self.client.set_memberships([(change.id, change.record.input["members"]) for change in batch])

    def _retire(self, product_id: str, product: str, skus: set[str]) -> None:
        """Take single variants off sale: Cloudshelf has no mutation that deletes one.

        A SKU that another product carries now keeps its Cloudshelf variant, which moves with it.
        """
        moved = self.store.catalogue.carried_elsewhere(self.config.name, skus, product_id)
        gone = {variant_gid(sku) for sku in skus - moved}
        if not gone:
            return
        self.result.counts["variants_retired"] += len(gone)
        if self.dry_run:
            return
        held = [node for node in self.client.product_variants(product) if node["id"] in gone]
        off = [{**node, "isInStock": False, "availableToPurchase": False} for node in held]
        if off:
            outcome = self.client.upsert_variants([(product, off)])
            self.result.failures.update({failure.id: failure for failure in outcome.failed})
        self.store.fingerprints.forget(self.config.name, "variant", sorted(gone))

    def _remove_groups(self, wanted: set[str]) -> None:
        gone = [id_ for id_ in self.store.fingerprints.ids(self.config.name, "group") if id_ not in wanted]
        self.result.counts["groups_removed"] = len(gone)
        if self.dry_run:
            return
        for batch in batches(gone, self.config.batches.groups):
            outcome = self.client.delete_groups(batch)
            refused = {failure.id for failure in outcome.failed}
            self.result.failures.update({failure.id: failure for failure in outcome.failed})
            done = [id_ for id_ in batch if id_ not in refused]
            for kind in ("group", "membership"):
                self.store.fingerprints.forget(self.config.name, kind, done)

    def forget(self, product_ids: list[str]) -> None:
        """Drop everything known about products: should they come back, they are new."""
        link = self.config.name
        states = self.store.catalogue.states(link, product_ids)
        variants = [variant_gid(sku) for state in states.values() for sku in state.skus]
        self.store.fingerprints.forget(link, "product", [product_gid(id_) for id_ in product_ids])
        self.store.fingerprints.forget(link, "variant", variants)
        self.store.fingerprints.forget(link, JUDGED, product_ids)
        self.store.catalogue.remove_products(link, product_ids)


def preview_lines(result: PushResult) -> Iterator[str]:
    """The dry run's preview as JSON lines."""
    return (json.dumps(entry) for entry in result.preview)
