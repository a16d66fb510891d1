"""Map what was extracted, let the product master schema judge it, and write the verdicts down.

The catalogue streams through in chunks; what must be known of the whole catalogue (is this SKU unique?) comes
from the SKU registry, which the extract has filled before.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from pathlib import Path

from cogent_ops.config import LinkConfig
from cogent_ops.domain.catalogue import CatalogueContext, ExtractLine
from cogent_ops.quality import Gate, write_data_docs
from cogent_ops.services.catalogue.runfolder import RunFolder, part_name
from cogent_ops.store import Store

#: Variants judged at once. Great Expectations costs the same per call whatever the size, so not too few.
CHUNK = 10_000


class PartLine(ExtractLine):
    """A line of the extract with what the SKU registry knew before."""

    previous_skus: dict[int, str] = {}


class GateStage:
    """The second task of a run.

    :param suite: path of the product master suite.
    """

    def __init__(self, config: LinkConfig, store: Store, folder: RunFolder, suite: Path) -> None:
        self.config, self.store, self.folder, self.suite = config, store, folder, suite

    def run(self, now: datetime) -> dict[str, int | str]:
        """Judge every extracted product; the result counts accepted and held products and variants."""
        context = CatalogueContext.build(self.folder.read_json("reference.json"), self.config, now)
        gate = Gate(self.suite, self.config.name)
        self.folder.clear("gate")
        counts: Counter[str] = Counter(
            products_accepted=0, products_held=0, variants_accepted=0, variants_held=0
        )
        for number, chunk in enumerate(self._chunks(context), start=1):
            gated, findings = self._judge(chunk, gate)
            self.folder.write_lines("gate", part_name("products", number), (g.to_line() for g in gated))
            self.folder.write_lines(
                "gate", part_name("findings", number), (f.model_dump_json() for f in findings)
            )
            counts.update(_count(gated, findings))
        write_data_docs(gate, self.folder.stage("report"))
        self.folder.write_json("gate.json", dict(counts))
        return dict(counts)
