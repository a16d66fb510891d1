"""The end of a run: what is wrong is raised, then what is mended is closed together with the watermark's move."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from cogent_ops.clients.cloudshelf import RecordFailure
from cogent_ops.config import LinkConfig
from cogent_ops.domain.catalogue import Problem
from cogent_ops.domain.commercetools import moment_of
from cogent_ops.domain.exceptions import Kind, NewException, Owner
from cogent_ops.domain.text import visible
from cogent_ops.quality import Finding, Severity
from cogent_ops.services.catalogue.plan import FULL_PASS, Flow, Plan, next_watermark
from cogent_ops.services.catalogue.push import STATISTICS
from cogent_ops.services.pipeline import batches
from cogent_ops.store import Store

#: Exceptions raised in one transaction.
RAISED = 1000


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
        group=f"{finding.field}/{finding.rule}",
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
    cure = "Look the record up in the Cloudshelf Manager. It is sent again with every run until it is taken."
    if failure.id == STATISTICS:
        cure = (
            "The catalogue is on the kiosks; only Cloudshelf's own count check is missing. Ask Cloudshelf which right "
            "the role of the key needs for it."
        )
    return NewException(
        kind=Kind.RECORD_REFUSED,
        cause_key=failure.id,
        record=failure.id,
        field="",
        rule=failure.code,
        message=f"Cloudshelf refused {failure.id}: {failure.code}: {failure.message}",
        cure=cure,
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


def leftover_location(key: str) -> NewException:
    """A location that Cloudshelf still has although it is no store of the link any more."""
    return NewException(
        kind=Kind.LOCATION_INCOMPLETE,
        cause_key=key,
        record=key,
        field="channel",
        rule="location is a store of the link",
        message=(
            f"Cloudshelf still has the location of channel '{key}', which is no store of this link any more: the "
            "channel is gone, lost its role, lies in another country or is excluded."
        ),
        cure=(
            "Move its kiosks to another location and delete it in the Cloudshelf Manager; or make the channel a store "
            "again, in commercetools or in include/."
        ),
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

    def __init__(self, config: LinkConfig, store: Store, run_key: str) -> None:
        self.config, self.store, self.run_key = config, store, run_key
        #: Kind and cause of everything that is wrong now.
        self._found: set[tuple[str, str]] = set()

    def raise_(self, raised: Iterable[NewException]) -> None:
        """Put what is wrong now into the exception queue, however much it is; repeating it changes nothing."""
        for some in batches(raised, RAISED):
            self._found.update((one.kind, one.cause_key) for one in some)
            with self.store.begin() as conn:
                self.store.exceptions.raise_many(conn, self.config.name, some, self.run_key)

    def held_besides(self, judged: Collection[str]) -> list[str]:
        """Ids of products that are held by open exceptions and that this run did not judge."""
        causes = self.store.exceptions.open_causes(self.config.name, Kind.PRODUCT_HELD)
        return sorted({_product_id(cause_key) for cause_key in causes}.difference(judged))

    def close(
        self, extract: Mapping[str, Any], plan: Plan, *, checked: Collection[str], confirmed: Collection[str]
    ) -> None:
        """Close what was verified as mended and move the watermark, once all that is wrong has been raised.

        :param extract: the summary that the extract left, with ``started``, ``newest`` and the ``watermark`` before it.
        :param checked: ids of the products that this run judged or missed: only their exceptions can be closed by it.
        :param confirmed: gids, refused by Cloudshelf earlier, that it took in this run.
        """
        link = self.config.name
        mended = self._mended(checked, confirmed, full=plan.finds_removals)
        started = datetime.fromisoformat(extract["started"])
        newest, known = moment_of(extract["newest"]), moment_of(extract.get("watermark"))
        moved = next_watermark(known, newest, started)
        last_full = self.store.watermarks.get(link, FULL_PASS)
        with self.store.begin() as conn:
            for kind, keys in mended.items():
                self.store.exceptions.resolve(conn, link, kind, keys, self.run_key)
            if plan.moves_watermark and moved is not None:
                # Somebody who wants more read again may have moved it back meanwhile; then that is read next.
                self.store.watermarks.advance(conn, link, Flow.SYNC, known, moved)
            if plan.finds_removals:
                self.store.watermarks.set(conn, link, FULL_PASS, max(started, last_full or started))

    def _mended(
        self, checked: Collection[str], confirmed: Collection[str], *, full: bool
    ) -> dict[Kind, list[str]]:
        """Causes of open exceptions that this run looked at and did not find again."""
        looked_at: dict[Kind, Callable[[str], bool]] = {
            Kind.PRODUCT_HELD: lambda cause_key: _product_id(cause_key) in checked,
            Kind.RECORD_REFUSED: lambda cause_key: full or cause_key in confirmed,
            Kind.LOCATION_INCOMPLETE: lambda cause_key: True,
            Kind.MASS_REMOVAL: lambda cause_key: full,
        }
        return {
            kind: [
                cause_key
                for cause_key in self.store.exceptions.open_causes(self.config.name, kind)
                if was_checked(cause_key) and (kind, cause_key) not in self._found
            ]
            for kind, was_checked in looked_at.items()
        }


def _product_id(cause_key: str) -> str:
    """The product in what :func:`cause` made."""
    return cause_key.partition("/")[0]


def blocking(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Findings that hold something back; warnings stay in the report."""
    return (finding for finding in findings if finding.severity is Severity.BLOCK)
