"""Compare what kiosks show of the catalogue with what commercetools has for them, whatever the flow believes it sent.

Both sides are read whole once. What differs then, which is little, is read again from both sides and judged by the
gate, so that nothing is called drift that only changed between the two readings or is held. The archive keeps what
differed, with all that tells why; so a past night can be judged again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from pydantic import TypeAdapter

from cogent_ops.domain.catalogue import (
    AcceptedProduct,
    CatalogueContext,
    MappedProduct,
    accept,
    map_groups,
    map_product,
)
from cogent_ops.domain.drift.catalogue import (
    CatalogueMoment,
    GroupSuspect,
    Mismatch,
    Suspect,
    findings,
    group_finding,
    judge,
    judge_group,
)
from cogent_ops.domain.drift.model import Area, Finding
from cogent_ops.domain.drift.shelf import ProductView, Shelf, is_ours, shown_view, wanted_view
from cogent_ops.domain.exceptions import Kind
from cogent_ops.domain.identifiers import GROUP, product_gid
from cogent_ops.services.catalogue.gated import GatedRecord
from cogent_ops.services.catalogue.plan import FULL_PASS, Flow, Mode
from cogent_ops.services.catalogue.read import CatalogueReader, parsed
from cogent_ops.services.drift.archive import Night
from cogent_ops.services.drift.comparison import Compared, Parts
from cogent_ops.services.drift.facts import Row, as_json, read_facts, write_facts
from cogent_ops.services.drift.suspects import Suspects, newest, refused_records
from cogent_ops.services.pipeline import batches, ordered_map

log = logging.getLogger(__name__)

Raw = dict[str, Any]

TABLE = "catalogue_suspects"
#: Products joined with their prices in one go, and suspects read again and judged in one go.
PRICED, AGAIN = 50, 200
#: So many products are looked at one by one at most, which is a request to Cloudshelf each: more have one cause.
MOST = 20_000
#: Runs of the flow among which the youngest full pass is looked for: more than there are between two nights.
RUNS = 200


@dataclass(frozen=True)
class Scan:
    """What the first reading of both sides came to.

    :param cleared: whether the link's audit lets anything be pushed; without it kiosks show nothing of it.
    :param further: products that differ besides those that were looked at.
    """

    moment: CatalogueMoment
    cleared: bool
    products: int = 0
    variants: int = 0
    further: int = 0


_SCAN, _SUSPECT, _GROUP = TypeAdapter(Scan), TypeAdapter(Suspect), TypeAdapter(GroupSuspect)
_MOMENT = TypeAdapter(CatalogueMoment)


class CatalogueComparison:
    """The catalogue of one link."""

    area = Area.CATALOGUE

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.config, self.store, self.link = parts.config, parts.store, parts.config.name
        self.reader = CatalogueReader(parts.config, parts.commercetools)

    # Reading

    def snapshot(self, night: Night) -> None:
        """Read both sides, and what differs once more."""
        if night.has(TABLE):
            return
        write_facts(night, TABLE, self._rows())

    def _rows(self) -> Iterator[Row]:
        moment = self._moment()
        if self.store.audits.clearance(self.link) is None:
            yield "scan", as_json(_SCAN, Scan(moment, cleared=False))
            return
        reference = self.reader.reference()
        context = CatalogueContext.build(reference, self.config, moment.now, self.parts.locations)
        again = Suspects(self.parts, self.reader, context, reference)
        counts: Counter[str] = Counter()
        gids = self._differing(context, counts)
        gids, further = gids[:MOST], max(0, len(gids) - MOST)
        yield "scan", as_json(_SCAN, Scan(moment, True, counts["products"], counts["variants"], further))
        log.info("%d of %d products are read again, because they differ", len(gids), counts["products"])
        for suspect in self._twice(again, gids, moment):
            yield "product", as_json(_SUSPECT, suspect)
        for group in self._groups(context, newest(reference["categories"])):
            yield "group", as_json(_GROUP, group)
        # The flow may have come to a removal since; nobody knows which products were read before that.
        yield "after", as_json(_MOMENT, self._moment(since=moment.now))

    def _twice(self, again: Suspects, gids: list[str], moment: CatalogueMoment) -> Iterator[Suspect]:
        """What differs still, and once more where no explanation is found: the flow may have been at work on it."""
        doubtful: list[str] = []
        for suspect in chain.from_iterable(map(again.look, batches(gids, AGAIN))):
            if any(one.cause is not None for one in judge(suspect, moment, self.config.currency)):
                doubtful.append(suspect.gid)
            else:
                yield suspect
        yield from chain.from_iterable(map(again.look, batches(doubtful, AGAIN)))

    def _moment(self, since: datetime | None = None) -> CatalogueMoment:
        """What the flow is at.

        :param since: what it was at since then counts, too.
        """
        rules, now = self.config.drift, self.parts.now()
        return CatalogueMoment(
            now=now,
            lag=timedelta(seconds=rules.lag_seconds),
            late=timedelta(minutes=rules.catalogue_minutes),
            last_full=self.store.watermarks.get(self.link, FULL_PASS),
            removals_held=any(self.store.exceptions.open_causes(self.link, Kind.MASS_REMOVAL)),
            is_removing=self._is_removing(since or now),
        )

    def _is_removing(self, since: datetime) -> bool:
        """Whether the youngest full pass has not gone through to its end, or had not at a moment."""
        runs = self.store.runs.recent(link=self.link, flow=Flow.SYNC, limit=RUNS)
        full = next((run for run in runs if run.mode == Mode.FULL), None)
        if full is None:
            return False
        return full.status != "done" or full.finished_at is None or full.finished_at >= since

    def _differing(self, context: CatalogueContext, counts: Counter[str]) -> list[str]:
        """Ids of all products that are not shown as they would be sent if the gate held nothing."""
        shelf, currency = Shelf(), self.config.currency
        for page in self.parts.cloudshelf.shown_products():
            for node in page:
                shelf.put(shown_view(node, currency))
        differing: dict[str, None] = {}
        for mapped in self._mapped(context):
            counts.update(products=1, variants=len(mapped.variants))
            gid, wanted = product_gid(mapped.product_id), accept(mapped, held=())
            if not (gid not in shelf if wanted is None else shelf.take(_view(wanted, currency))):
                differing[gid] = None
        besides = [gid for gid in shelf.rest() if gid not in differing]
        counts["products"] += len(besides)
        return [*differing, *besides]

    def _mapped(self, context: CatalogueContext) -> Iterator[MappedProduct]:
        products = chain.from_iterable(self.reader.projections())
        lines = ordered_map(self.reader.priced, batches(products, PRICED), workers=self.config.concurrency)
        for line in chain.from_iterable(lines):
            yield map_product(parsed(line), context)

    def _groups(self, context: CatalogueContext, changed_at: datetime | None) -> Iterator[GroupSuspect]:
        """Groups of ours that are shown under another name, or whose category is gone."""
        wanted = {group.id: group for group in map_groups(context)}
        refused = refused_records(self.store, self.link)
        for page in self.parts.cloudshelf.shown_groups():
            shown = {
                one["platformProvidedId"]: one for one in page if is_ours(one["platformProvidedId"], GROUP)
            }
            known = self.store.fingerprints.known(self.link, "group", shown)
            for gid, one in shown.items():
                group = wanted.get(gid)
                if group is not None and group.display_name == one["displayName"]:
                    continue
                yield GroupSuspect(
                    gid=gid,
                    wanted=None if group is None else group.display_name,
                    shown=one["displayName"],
                    is_told=group is not None
                    and known.get(gid) == GatedRecord.of(gid, group.to_input()).hash,
                    is_refused=gid in refused,
                    changed_at=changed_at,
                    shown_at=datetime.fromisoformat(one["updatedAt"]),
                )

    # Judging

    def compare(self, night: Night, previous: Night | None) -> Compared:
        """Judge what the archive holds of a night."""
        if not night.has(TABLE):
            return Compared(0, ())
        rows = read_facts(night, TABLE)
        scan = _SCAN.validate_json(next(rows)[1])
        if not scan.cleared:
            return Compared(0, (), {"waits_for_the_audit": 1})
        moment = _both(scan.moment, read_facts(night, TABLE))
        counts: Counter[str] = Counter(products=scan.products, variants=scan.variants)
        if scan.further:
            counts["further_differences_not_listed"] = scan.further
        found: list[Finding] = []
        said = {"link": night.link, "night": night.name, "currency": self.config.currency}
        for kind, facts in rows:
            if kind == "product":
                suspect = _SUSPECT.validate_json(facts)
                mismatches = judge(suspect, moment, self.config.currency)
                found += findings(suspect, mismatches, **said)
                _count(mismatches, counts)
            elif kind == "group":
                mismatch = judge_group(_GROUP.validate_json(facts), moment)
                found += filter(None, (group_finding(mismatch, **said),))
                _count([mismatch], counts)
        return Compared(scan.products, found, counts)


def _both(first: CatalogueMoment, rows: Iterable[Row]) -> CatalogueMoment:
    """The moment at which the reading began, with what explains removals at its end."""
    for kind, facts in rows:
        if kind == "after":
            last = _MOMENT.validate_json(facts)
            return replace(
                first,
                removals_held=first.removals_held or last.removals_held,
                is_removing=first.is_removing or last.is_removing,
            )
    return first


def _count(mismatches: Iterable[Mismatch], counts: Counter[str]) -> None:
    """Differences by what differs, and explained ones by what explains them."""
    for one in mismatches:
        counts[one.why if one.cause is None else f"other_{one.aspect}"] += 1


def _view(accepted: AcceptedProduct, currency: str) -> ProductView:
    return wanted_view(
        accepted.product.to_input(),
        (one.to_input() for one in accepted.variants),
        accepted.group_ids,
        currency,
    )
