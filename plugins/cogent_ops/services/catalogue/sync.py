"""The catalogue flow's use cases, one method a task: extract, gate, push, report (and the audit's verdict)."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

from upath import UPath

from cogent_ops.clients.cloudshelf import CloudshelfClient
from cogent_ops.clients.commercetools import CommercetoolsClient
from cogent_ops.config import LinkConfig, LocationOverride
from cogent_ops.domain.catalogue import CatalogueContext, map_groups, map_locations
from cogent_ops.domain.exceptions import NewException
from cogent_ops.domain.identifiers import parse_gid
from cogent_ops.errors import CogentOpsError
from cogent_ops.quality import Finding, RunSummary, write_reports
from cogent_ops.services.catalogue import finish
from cogent_ops.services.catalogue.extract import Extract
from cogent_ops.services.catalogue.finish import Finish
from cogent_ops.services.catalogue.gate import JUDGED, GateStage
from cogent_ops.services.catalogue.gated import GatedProduct
from cogent_ops.services.catalogue.plan import CatalogueRequest, Mode, Plan
from cogent_ops.services.catalogue.push import STATISTICS, Push, preview_lines
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
        with self._stage(request, "extract"):
            return Extract(self.config, self.store, self.commercetools, self.folder(request)).run(request)

    def gate(self, request: CatalogueRequest) -> Summary:
        """Judge what was extracted by the product master schema. See :class:`GateStage`."""
        with self._stage(request, "gate"):
            folder = self.folder(request)
            is_delta = folder.read_json("extract.json")["mode"] == Mode.DELTA
            stage = GateStage(self.config, self.store, folder, self.suite, self.overrides)
            return stage.run(
                request.now, skip_unchanged=is_delta and not request.dry_run and not request.resend
            )

    def push(self, request: CatalogueRequest) -> Summary:
        """Bring what passed to Cloudshelf, remove what is gone, and close the run.

        :return: counts by kind of record and action.
        """
        if self.cloudshelf is None:
            raise ValueError("push needs a Cloudshelf client")
        with self._stage(request, "push"):
            return self._push(request, self.cloudshelf)

    def _push(self, request: CatalogueRequest, client: CloudshelfClient) -> Summary:
        folder = self.folder(request)
        extract, judged = folder.read_json("extract.json"), self._judged(folder)
        reference = folder.read_json("reference.json")
        context = CatalogueContext.build(reference, self.config, request.now, self.overrides)
        locations, problems = map_locations(context.channels, self.overrides, self.config)
        is_full = extract["mode"] == Mode.FULL
        if not request.dry_run:
            # Until all that follows from a verdict is stored, it must be given again.
            known = self.store.fingerprints.ids(self.config.name, JUDGED)
            self.store.fingerprints.forget(self.config.name, JUDGED, known if is_full else judged)
        began = datetime.fromisoformat(extract["started"])
        push = Push(
            self.config,
            self.store,
            client,
            request.run_key,
            began,
            dry_run=request.dry_run,
            resend=request.resend,
        )
        incomplete = {problem.value for problem in problems}
        leftovers = [key for key in push.locations(locations) if key not in incomplete]
        push.products(self._gated(folder))
        push.variants(self._gated(folder))
        push.states(self._gated(folder))
        withheld = self._remove(request, extract, push)
        push.groups(map_groups(context))
        push.report_statistics(self._images(folder) if is_full else None)
        if request.dry_run:
            folder.write_lines("gate", part_name("preview", 1), preview_lines(push.result))
        else:
            about_project = [
                *withheld,
                *map(finish.incomplete_location, problems),
                *map(finish.leftover_location, leftovers),
            ]
            self._finish(request, extract, push, about_project, judged)
        summary = {**push.result.counts, "removals_held": sum(one.payload["count"] for one in withheld)}
        folder.write_json("push.json", summary)
        return summary

    def report(self, request: CatalogueRequest) -> Summary:
        """Write the one-page report and the fix list; ``report`` in the result is its address."""
        with self._stage(request, "report"):
            return self._report(request)

    def _report(self, request: CatalogueRequest) -> Summary:
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
        return {"report": address, "findings": len(findings)}

    def verdict(self, request: CatalogueRequest) -> Audit:
        """Record the audit's go or no-go.

        No-go when more of the catalogue is held than the link tolerates, and when there is none at all: more likely
        than an empty shop is a ``query`` that nothing fulfils, or another project.
        """
        folder = self.folder(request)
        counts = folder.read_json("gate.json")
        held = counts["products_held"] + counts["variants_held"]
        seen = held + counts["products_accepted"] + counts["variants_accepted"]
        passed = seen > 0 and held / seen <= self.config.audit_tolerance
        return self.store.audits.record(
            self.config.name,
            request.run_key,
            verdict="go" if passed else "no_go",
            counts=counts,
            report_path=str(folder.path / "report" / "index.html"),
        )

    @contextmanager
    def _stage(self, request: CatalogueRequest, stage: str) -> Iterator[None]:
        """Let the record of the run say when a stage fails, and when it is tried again."""
        run = (self.config.name, request.flow, request.run_key)
        if stage != "extract":  # which notes by itself that the run begins
            self.store.runs.resume(*run)
        try:
            yield
        except Exception as error:
            try:
                self.store.runs.fail(*run, stage=stage, reason=str(error) or type(error).__name__)
            except CogentOpsError:
                log.warning("the store is out of reach, so the failed run stays without a note")
            raise

    def _remove(self, request: CatalogueRequest, extract: Summary, push: Push) -> list[NewException]:
        """Remove what a full listing no longer shows, unless it is so much that a person must say so."""
        if extract["mode"] != Mode.FULL:
            return []
        listed = self._listed(self.folder(request))
        shown = self._shown()
        # What came to the kiosks after this listing is not gone, however late this run goes on.
        gone = push.untouched(id_ for id_ in shown if id_ not in listed)
        guard = self.config.removal_guard
        if guard.holds(len(gone), len(shown)) and request.accept_removals < len(gone):
            log.warning("mass-removal guard: %d of %d products held", len(gone), len(shown))
            return [finish.mass_removal(len(gone), len(shown), guard.max_share, gone[:SAMPLE])]
        push.remove(gone)
        if not request.dry_run:
            # What never reached a kiosk and is no longer published needs no call, only to be forgotten.
            never_shown = set(self.store.catalogue.product_ids(self.config.name)).difference(listed, shown)
            push.forget(push.untouched(sorted(never_shown)))
        return []

    def _shown(self) -> dict[str, None]:
        """Ids of the products that may be on kiosks: those known to be, and those that a run was about to send."""
        link = self.config.name
        announced = (parse_gid(gid).id for gid in self.store.fingerprints.ids(link, "product"))
        return dict.fromkeys(chain(self.store.catalogue.product_ids(link, on_kiosk=True), announced))

    def _finish(
        self,
        request: CatalogueRequest,
        extract: Summary,
        push: Push,
        about_project: list[NewException],
        judged: dict[str, str],
    ) -> None:
        result, closing = push.result, Finish(self.config, self.store, request.run_key)
        plan, seen = Plan(Mode(extract["mode"])), judged.keys() - result.overtaken
        closing.raise_(about_project)
        closing.raise_(map(finish.refused, result.failures.values()))
        held = (one for one in self._findings(self.folder(request)) if one.product_id in seen)
        closing.raise_(map(finish.held, finish.blocking(held)))
        gone = push.untouched(closing.held_besides(judged)) if plan.finds_removals else ()
        closing.close(extract, plan, checked=seen.union(gone), confirmed=result.confirmed)
        if not result.failures.keys() - {STATISTICS}:
            remembered = {id_: judged[id_] for id_ in seen if judged[id_]}
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
