"""Read the catalogue from commercetools into the run folder, in bounded memory."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain
from typing import Any
from urllib.parse import quote

from cogent_ops.clients.commercetools import CommercetoolsClient
from cogent_ops.config import LinkConfig
from cogent_ops.domain.commercetools import moment_of
from cogent_ops.domain.text import visible
from cogent_ops.errors import AuditRequired, PermanentError, UnsupportedProject
from cogent_ops.services.catalogue.plan import FULL_PASS, CatalogueRequest, Flow, Mode, Plan, plan
from cogent_ops.services.catalogue.read import CatalogueReader, skus_of, variants_of
from cogent_ops.services.catalogue.runfolder import RunFolder, part_name
from cogent_ops.services.pipeline import batches, ordered_map
from cogent_ops.store import Store

log = logging.getLogger(__name__)

Raw = dict[str, Any]

#: Room for the SKUs of one query, which names each of them twice.
SELECTION_BYTES = 2500
#: Products joined with their stock in one go: few enough that many can be under way without filling the memory.
ENRICHED = 50
#: Products in a part of the run folder.
PART = 500


class Extract:
    """The first task of a run: plan, read, and note every SKU seen in the registry.

    :param client: commercetools client of the link.
    """

    def __init__(
        self, config: LinkConfig, store: Store, client: CommercetoolsClient, folder: RunFolder
    ) -> None:
        self.config, self.store, self.client, self.folder = config, store, client, folder
        self.reader = CatalogueReader(config, client)

    def run(self, request: CatalogueRequest) -> dict[str, int | str]:
        """Extract what the plan asks for; the result counts products, variants and parts.

        :raises AuditRequired: before the link's first push, until an audit passed or was accepted.
        :raises UnsupportedProject: for a project with the Modular catalogue.
        """
        if request.flow is Flow.SYNC and not request.dry_run:
            self._require_clearance()
        project = self.client.project()
        require_classic(project)
        link = self.config.name
        known = self.store.watermarks.get(link, Flow.SYNC)
        chosen = plan(request, self.config, known, self.store.watermarks.get(link, FULL_PASS))
        self.store.runs.start(
            link,
            request.flow,
            request.run_key,
            chosen.mode,
            window=(chosen.since, chosen.until),
            params=request.wishes(),
        )
        self.folder.write_json("reference.json", {"project": project, **self.reader.reference()})
        return self._read_products(request, chosen, known)

    def _require_clearance(self) -> None:
        if self.store.audits.clearance(self.config.name) is None:
            latest = self.store.audits.latest(self.config.name)
            state = "has not been audited yet" if latest is None else "failed its audit"
            raise AuditRequired(
                f"The catalogue of link '{self.config.name}' {state}, so nothing is pushed. Run the DAG "
                "catalogue_audit; when its findings are acceptable, accept them there or with "
                "'cogent-ops audit accept'."
            )

    def _read_products(
        self, request: CatalogueRequest, chosen: Plan, known: datetime | None
    ) -> dict[str, int | str]:
        self.folder.clear("extract")
        counts: Counter[str] = Counter()
        newest: str = ""
        seen: list[str] = []
        products = chain.from_iterable(self._pages(request, chosen))
        enriched = ordered_map(
            self.reader.joined, batches(products, ENRICHED), workers=self.config.concurrency
        )
        for number, lines in enumerate(batches(chain.from_iterable(enriched), PART), start=1):
            self._register(request.run_key, lines)
            self.folder.write_lines("extract", part_name("part", number), map(_compact, lines))
            projections = [line["projection"] for line in lines]
            seen += [projection["id"] for projection in projections]
            newest = max(newest, *(projection["lastModifiedAt"] for projection in projections))
            counts.update(
                parts=1, products=len(lines), variants=sum(len(variants_of(p)) for p in projections)
            )
        self.folder.write_lines("extract", part_name("seen", 1), map(json.dumps, seen))
        if chosen.finds_removals:
            self.store.catalogue.prune_skus(self.config.name, request.run_key)
        outcome: dict[str, Any] = {
            "mode": chosen.mode.value,
            "since": chosen.since,
            "until": chosen.until,
            "watermark": known,
            "started": request.now,
            "newest": moment_of(newest),
            **counts,
        }
        self.folder.write_json("extract.json", outcome)
        return {"mode": chosen.mode.value, **counts}

    def _pages(self, request: CatalogueRequest, chosen: Plan) -> Iterator[list[Raw]]:
        if chosen.mode is Mode.SKUS:
            yield from self._products_of(request.skus)
            return
        changed: set[str] = set()
        for page in self.reader.projections(where=chosen.where()):
            changed.update(projection["id"] for projection in page)
            yield page
        if chosen.mode is Mode.DELTA:
            yield from self._held_elsewhere(changed)

    def _products_of(self, skus: tuple[str, ...]) -> Iterator[list[Raw]]:
        """Products that hold one of the SKUs; a product that holds two of them is read once.

        :raises PermanentError: when there is none; one that is missing among others is said in the log.
        """
        read: set[str] = set()
        missing = set(skus)
        for chunk in selections(sorted(missing)):
            literals = ", ".join(self.client.literal(sku) for sku in chunk)
            where = f"masterVariant(sku in ({literals})) or variants(sku in ({literals}))"
            for page in self.reader.projections(where=(where,)):
                fresh = [projection for projection in page if projection["id"] not in read]
                read.update(projection["id"] for projection in fresh)
                missing.difference_update(*map(skus_of, fresh))
                if fresh:
                    yield fresh
        if missing:
            self._say_missing(sorted(missing), any_found=bool(read))

    @staticmethod
    def _say_missing(skus: list[str], *, any_found: bool) -> None:
        text = (
            f"No published product that the link's query admits carries: {', '.join(skus)}. Check how the SKUs are "
            "written (capitals and spaces count), and that their products are published."
        )
        if not any_found:
            raise PermanentError(text)
        log.warning("%s", text)

    def _held_elsewhere(self, changed: set[str]) -> Iterator[list[Raw]]:
        """Products whose hold may have ended without a change of their own (stock entry, price date, other SKU)."""
        waiting = [id_ for id_ in self.store.catalogue.recheck_ids(self.config.name) if id_ not in changed]
        if waiting:
            yield from self.reader.projections_of(waiting)

    def _register(self, run_key: str, lines: list[Raw]) -> None:
        """Note which SKU each variant carries now, and put the SKU it carried before beside it."""
        link = self.config.name
        products = {line["projection"]["id"]: variants_of(line["projection"]) for line in lines}
        before = self.store.catalogue.previous_skus(link, products, run_key=run_key)
        rows = []
        for line in lines:
            product_id = line["projection"]["id"]
            carried = {v["id"]: v["sku"] for v in products[product_id] if v.get("sku")}
            rows += [(visible(sku), product_id, variant_id) for variant_id, sku in carried.items()]
            line["previous_skus"] = {
                variant_id: before[product_id, variant_id]
                for variant_id, sku in carried.items()
                if before.get((product_id, variant_id), sku) not in (sku, visible(sku))
            }
        self.store.catalogue.register_skus(link, run_key, list(products), rows)


def require_classic(project: Raw) -> None:
    """Refuse a project of which only half would be seen.

    :raises UnsupportedProject: for a project with the Modular catalogue.
    """
    model = project.get("productCatalogModel", "Classic")
    if model != "Classic":
        raise UnsupportedProject(
            f"commercetools project '{project.get('key')}' uses the {model} product catalogue. This "
            "package reads Classic projections only, in which products carry their variants; it would see "
            "products without variants here. Use a Classic project, or wait for a release that supports it."
        )


def selections(skus: Iterable[str]) -> Iterator[list[str]]:
    """Cut SKUs so that a query may name them."""
    chunk: list[str] = []
    used = 0
    for sku in skus:
        size = len(quote(sku)) + len(quote('"",'))
        if chunk and used + size > SELECTION_BYTES:
            yield chunk
            chunk, used = [], 0
        chunk.append(sku)
        used += size
    if chunk:
        yield chunk


def _compact(line: Raw) -> str:
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"))
