"""The end of a run: exceptions raised and closed, and the watermark moved, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import datetime

from cogent_ops.clients.cloudshelf import RecordFailure
from cogent_ops.config import LinkConfig
from cogent_ops.domain.catalogue import Problem
from cogent_ops.domain.exceptions import Kind, NewException, Owner
from cogent_ops.domain.text import visible
from cogent_ops.quality import Finding, Severity
from cogent_ops.services.catalogue.plan import CatalogueRequest, Flow, Mode, next_watermark
from cogent_ops.store import Store, StoredException


def held(finding: Finding) -> NewException:
    """A record that the gate holds, as an exception of its owner."""
    record = finding.sku or finding.product_key or finding.product_id
    return NewException(
        kind=Kind.PRODUCT_HELD,
        cause_key=cause(finding),
        record=visible(record),
        field=finding.field,
        rule=finding.rule,
        message=visible(f"{finding.product_name or record}: {finding.message}"),
        cure=finding.cure,
        owner=Owner(finding.owner),
        severity=finding.severity.value,
        payload={
            "product_id": finding.product_id,
            "sku": visible(finding.sku or ""),
            "value": visible(finding.value),
        },
    )


def cause(finding: Finding) -> str:
    """One cause: this product, this variant, this rule."""
    return f"{finding.product_id}/{finding.variant_id or ''}/{finding.rule}"


def refused(failure: RecordFailure) -> NewException:
    """A record that Cloudshelf did not take although the gate let it pass."""
    return NewException(
        kind=Kind.RECORD_REFUSED,
        cause_key=failure.id,
        record=failure.id,
        field="",
        rule=failure.code,
        message=f"Cloudshelf refused {failure.id}: {failure.code}: {failure.message}",
        cure="Look the record up in the Cloudshelf Manager. It is sent again with every run until it is taken.",
        owner=Owner.PLATFORM,
    )


def incomplete_location(problem: Problem) -> NewException:
    """A supply channel that cannot become a Cloudshelf location as it is."""
    return NewException(
        kind=Kind.LOCATION_INCOMPLETE,
        cause_key=problem.value,
        record=problem.value,
        field=problem.field,
        rule=problem.rule,
        message=problem.message,
        cure="Complete the channel in commercetools, or its entry in include/locations.yaml.",
        owner=Owner.RETAIL_OPS,
    )


def mass_removal(count: int, total: int, limit: float, sample: list[str]) -> NewException:
    """More products vanished than the guard lets go without a person."""
    return NewException(
        kind=Kind.MASS_REMOVAL,
        cause_key="mass_removal",
        record=f"{count} of {total} products",
        field="",
        rule="removal_guard",
        message=(
            f"{count} of {total} products on the kiosks are no longer published in commercetools, more than the "
            f"{limit:.0%} that may go without a person. Nothing was removed."
        ),
        cure=(
            "Check in commercetools that this is meant (a store, a product selection or an import may have gone "
            f"wrong). If so, trigger catalogue_sync with full_refresh = true and accept_removals = {count}."
        ),
        owner=Owner.MERCHANDISING,
        payload={"count": count, "total": total, "sample": sample},
    )


class Finish:
    """Close a push run in the store."""

    def __init__(self, config: LinkConfig, store: Store) -> None:
        self.config, self.store = config, store

    def run(
        self,
        request: CatalogueRequest,
        extract: dict[str, str],
        raised: Iterable[NewException],
        *,
        seen: Collection[str],
        confirmed: set[str],
    ) -> None:
        """Raise what is wrong now, close what was verified as mended, move the watermark.

        :param extract: the summary that the extract left, with ``mode``, ``started`` and ``newest``.
        :param seen: ids of the products that this run judged: only their exceptions can be closed by it.
        :param confirmed: gids, refused by Cloudshelf earlier, that it took in this run.
        """
        link, mode = self.config.name, Mode(extract["mode"])
        now_open = list(raised)
        still = {(e.kind, e.cause_key) for e in now_open}
        mended = self._mended(seen, confirmed, still, full=mode is Mode.FULL)
        started = datetime.fromisoformat(extract["started"])
        newest = datetime.fromisoformat(extract["newest"]) if extract["newest"] else None
        moved = next_watermark(self.store.watermarks.get(link, Flow.SYNC), newest, started)
        with self.store.begin() as conn:
            self.store.exceptions.raise_many(conn, link, now_open, request.run_key)
            for kind, keys in mended.items():
                self.store.exceptions.resolve(conn, link, kind, keys, request.run_key)
            if mode in (Mode.FULL, Mode.DELTA) and moved is not None:
                self.store.watermarks.set(conn, link, Flow.SYNC, moved)
            if mode is Mode.FULL:
                self.store.watermarks.set(conn, link, f"{Flow.SYNC}.full", started)

    def _mended(
        self, seen: Collection[str], confirmed: set[str], still: set[tuple[Kind, str]], *, full: bool
    ) -> dict[Kind, list[str]]:
        """Open exceptions whose cause this run looked at and did not find again."""
        looked_at: dict[Kind, Callable[[StoredException], bool]] = {
            Kind.PRODUCT_HELD: lambda record: full or record.payload.get("product_id") in seen,
            Kind.RECORD_REFUSED: lambda record: full or record.cause_key in confirmed,
            Kind.LOCATION_INCOMPLETE: lambda record: True,
            Kind.MASS_REMOVAL: lambda record: full,
        }
        return {
            kind: [
                record.cause_key
                for record in self.store.exceptions.open(self.config.name, kind)
                if was_checked(record) and (kind, record.cause_key) not in still
            ]
            for kind, was_checked in looked_at.items()
        }


def blocking(findings: Iterable[Finding]) -> Iterable[Finding]:
    """Findings that hold something back; warnings stay in the report."""
    return (finding for finding in findings if finding.severity is Severity.BLOCK)
