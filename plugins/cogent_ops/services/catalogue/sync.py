"""The catalogue flow's use cases, one method a task: extract, gate, push, report (and the audit's verdict)."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from upath import UPath

from cogent_ops.clients.cloudshelf import CloudshelfClient
from cogent_ops.clients.commercetools import CommercetoolsClient
from cogent_ops.config import LinkConfig, LocationOverride
from cogent_ops.domain.catalogue import CatalogueContext, map_groups, map_locations
from cogent_ops.domain.exceptions import Kind, NewException
from cogent_ops.quality import Finding, RunSummary, write_reports
from cogent_ops.services.catalogue import finish
from cogent_ops.services.catalogue.extract import Extract
from cogent_ops.services.catalogue.finish import Finish
from cogent_ops.services.catalogue.gate import JUDGED, GateStage
from cogent_ops.services.catalogue.gated import GatedProduct
from cogent_ops.services.catalogue.plan import CatalogueRequest, Mode
from cogent_ops.services.catalogue.push import Push, preview_lines
from cogent_ops.services.catalogue.runfolder import RunFolder, part_name
from cogent_ops.store import Audit, Store

log = logging.getLogger(__name__)

Summary = dict[str, Any]
SAMPLE = 20


class CatalogueSync:
    """The catalogue flow of one link.

    :param commercetools: needed by :meth:`extract` only.
    :param cloudshelf: needed by :meth:`push` only.
    :param root: data root that holds the run folders.
    :param suite: path of the product master suite.
    """

    def __init__(
        self,
        *,
        config: LinkConfig,
        store: Store,
        root: UPath,
        suite: Path,
        commercetools: CommercetoolsClient | None = None,
        cloudshelf: CloudshelfClient | None = None,
        locations: Mapping[str, LocationOverride] | None = None,
    ) -> None:
        self.config, self.store, self.root, self.suite = config, store, root, suite
        self.commercetools, self.cloudshelf = commercetools, cloudshelf
        self.overrides = dict(locations or {})

    def folder(self, request: CatalogueRequest) -> RunFolder:
        """The run's folder below the data root."""
        return RunFolder(self.root, self.config.name, request.run_key)

    def extract(self, request: CatalogueRequest) -> Summary:
        """Read from commercetools what the run's plan asks for. See :class:`Extract`."""
        if self.commercetools is None:
            raise ValueError("extract needs a commercetools client")
        return Extract(self.config, self.store, self.commercetools, self.folder(request)).run(request)

    def gate(self, request: CatalogueRequest) -> Summary:
        """Judge what was extracted by the product master schema. See :class:`GateStage`."""
        folder = self.folder(request)
        is_delta = folder.read_json("extract.json")["mode"] == Mode.DELTA
        stage = GateStage(self.config, self.store, folder, self.suite)
        return stage.run(request.now, skip_unchanged=is_delta and not request.dry_run)

    def push(self, request: CatalogueRequest) -> Summary:
        """Bring what passed to Cloudshelf, remove what is gone, and close the run.

        :return: counts by kind of record and action.
        """
        if self.cloudshelf is None:
            raise ValueError("push needs a Cloudshelf client")
        folder = self.folder(request)
        extract, reference = folder.read_json("extract.json"), folder.read_json("reference.json")
        context = CatalogueContext.build(reference, self.config, request.now)
        locations, problems = map_locations(context.channels, self.overrides, self.config)
        push = Push(self.config, self.store, self.cloudshelf, request.run_key, dry_run=request.dry_run)
        push.locations(locations)
        push.products(self._gated(folder))
        push.variants(self._gated(folder))
        push.states(self._gated(folder))
        raised = self._remove(request, extract, push)
        push.groups(map_groups(context))
        push.report_statistics(self._images(folder) if extract["mode"] == Mode.FULL else None)
        if request.dry_run:
            folder.write_lines("gate", part_name("preview", 1), preview_lines(push.result))
        else:
            raised += [finish.incomplete_location(problem) for problem in problems]
            self._finish(request, extract, push, raised)
        summary = {**push.result.counts, "removals_held": sum(e.payload.get("count", 0) for e in raised)}
        folder.write_json("push.json", summary)
        return summary

    def report(self, request: CatalogueRequest) -> Summary:
        """Write the one-page report and the fix list; ``report`` in the result is its address."""
        folder = self.folder(request)
        findings = list(self._findings(folder))
        stages = {name: _optional(folder, f"{name}.json") for name in ("extract", "gate", "push")}
        summary = RunSummary(
            link=self.config.name,
            flow=request.flow.value,
            run_key=request.run_key,
            mode=str(stages["extract"].get("mode", "")),
            started=request.now,
            dry_run=request.dry_run,
            counts={
                key: value
                for stage in stages.values()
                for key, value in stage.items()
                if isinstance(value, int)
            },
            preview=[json.loads(line) for line in folder.read_lines("gate", "preview")],
        )
        address = str(write_reports(folder.stage("report"), summary, findings))
        counts = {**stages["gate"], **stages["push"]}
        self.store.runs.finish(
            self.config.name, request.flow, request.run_key, status="done", counts=counts, report_path=address
        )
        with self.store.begin() as conn:  # a run that has ended is no longer late
            late = [request.flow.value]
            self.store.exceptions.resolve(conn, self.config.name, Kind.DEADLINE_MISSED, late, request.run_key)
        return {"report": address, "findings": len(findings)}

    def verdict(self, request: CatalogueRequest) -> Audit:
        """Record the audit's go or no-go: no-go when anything of the catalogue is held."""
        folder = self.folder(request)
        counts = folder.read_json("gate.json")
        held = counts["products_held"] + counts["variants_held"]
        seen = max(1, held + counts["products_accepted"] + counts["variants_accepted"])
        passed = held / seen <= self.config.audit_tolerance
        return self.store.audits.record(
            self.config.name,
            request.run_key,
            verdict="go" if passed else "no_go",
            counts=counts,
            report_path=str(folder.path / "report" / "index.html"),
        )

    def _remove(self, request: CatalogueRequest, extract: Summary, push: Push) -> list[NewException]:
        """Remove what a full listing no longer shows, unless it is so much that a person must say so."""
        if extract["mode"] != Mode.FULL:
            return []
        catalogue, link = self.store.catalogue, self.config.name
        listed = self._listed(self.folder(request))
        shown = list(catalogue.product_ids(link, on_kiosk=True))
        gone = [id_ for id_ in shown if id_ not in listed]
        guard = self.config.removal_guard
        if guard.holds(len(gone), len(shown)) and request.accept_removals < len(gone):
            log.warning("mass-removal guard: %d of %d products held", len(gone), len(shown))
            return [finish.mass_removal(len(gone), len(shown), guard.max_share, gone[:SAMPLE])]
        push.remove(gone)
        if not request.dry_run:
            # What never reached a kiosk and is no longer published needs no call, only to be forgotten.
            never_shown = set(catalogue.product_ids(link)).difference(listed, shown)
            push.forget(sorted(never_shown))
        return []

    def _finish(
        self, request: CatalogueRequest, extract: Summary, push: Push, raised: list[NewException]
    ) -> None:
        folder = self.folder(request)
        raised += [finish.held(finding) for finding in finish.blocking(self._findings(folder))]
        raised += [finish.refused(failure) for failure in push.result.failures.values()]
        judged = self._judged(folder)
        Finish(self.config, self.store).run(
            request, extract, raised, seen=judged.keys(), confirmed=push.result.confirmed
        )
        # Only now: a verdict whose consequences are not stored yet must be given again.
        if push.result.failures:
            self.store.fingerprints.forget(self.config.name, JUDGED, judged)
        else:
            remembered = {id_: hash_ for id_, hash_ in judged.items() if hash_}
            self.store.fingerprints.remember(self.config.name, JUDGED, remembered, request.run_key)

    @staticmethod
    def _gated(folder: RunFolder) -> Iterator[GatedProduct]:
        return map(GatedProduct.from_line, folder.read_lines("gate", "products"))

    @staticmethod
    def _findings(folder: RunFolder) -> Iterator[Finding]:
        return map(Finding.model_validate_json, folder.read_lines("gate", "findings"))

    @staticmethod
    def _judged(folder: RunFolder) -> dict[str, str]:
        return dict(map(json.loads, folder.read_lines("gate", JUDGED)))

    @staticmethod
    def _listed(folder: RunFolder) -> set[str]:
        return set(map(json.loads, folder.read_lines("extract", "seen")))

    def _images(self, folder: RunFolder) -> int:
        return sum(line.images() for line in self._gated(folder))


def _optional(folder: RunFolder, name: str) -> Summary:
    try:
        return folder.read_json(name)
    except FileNotFoundError:
        return {}
