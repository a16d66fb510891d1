"""Map what was extracted, let the product master schema judge it, and write the verdicts down.

The catalogue streams through in large chunks: the gate costs the same a chunk whatever its size. Records wait for
their verdict in their final form in a local file, so memory holds no more of them than the columns that are judged.
What must be known of the whole catalogue (is this SKU unique?) comes from the SKU registry, which the extract has
filled before.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import IO

from cogent_ops.config import LinkConfig, LocationOverride
from cogent_ops.domain.catalogue import CatalogueContext, ExtractLine, MappedProduct, accept, map_product
from cogent_ops.quality import CHUNK, Chunk, Gate, Level, SkuFacts, Verdict, Verdicts, write_data_docs
from cogent_ops.services.catalogue.gated import GatedProduct
from cogent_ops.services.catalogue.runfolder import RunFolder, part_name
from cogent_ops.services.pipeline import batches
from cogent_ops.store import Store

log = logging.getLogger(__name__)

#: SKUs that the registry is asked about at once; the answer is small, but looking for it takes memory.
SKUS_LOOKED_UP = 10_000
#: Name of the judged products in the run folder, and kind of their fingerprints in the store.
JUDGED = "judged"
SOME_TIME = datetime(2026, 1, 1, tzinfo=UTC)


class GateStage:
    """The second task of a run.

    :param suite: path of the product master suite.
    :param overrides: what ``include/locations.yaml`` says, by Channel key.
    :param chunk: variants judged at once.
    """

    def __init__(
        self,
        config: LinkConfig,
        store: Store,
        folder: RunFolder,
        suite: Path,
        overrides: Mapping[str, LocationOverride],
        *,
        chunk: int = CHUNK,
    ) -> None:
        self.config, self.store, self.folder, self.suite = config, store, folder, suite
        self.overrides, self.chunk = overrides, chunk

    def run(self, now: datetime, *, skip_unchanged: bool = False) -> dict[str, int | str]:
        """Judge every extracted product; the result counts accepted and held products and variants.

        :param skip_unchanged: leave a chunk alone when all that its verdicts depend on is as it was when they were
            given. Most runs of a quiet day look again at the same few held products.
        :raises ConfigError: when the suite file cannot be used.
        """
        reference = self.folder.read_json("reference.json")
        context = CatalogueContext.build(reference, self.config, now, self.overrides)
        gate = Gate(self.suite, self.config.name)
        self.folder.clear("gate")
        counts: Counter[str] = Counter(
            products_accepted=0, products_held=0, products_unchanged=0, variants_accepted=0, variants_held=0
        )
        for number, waiting in enumerate(self._waiting(gate, context), start=1):
            facts = _sku_facts(self.store, self.config.name, waiting.chunk)
            judged = self._judged(waiting, facts) if skip_unchanged else dict.fromkeys(waiting.ids(), "")
            if skip_unchanged and self.store.fingerprints.known(self.config.name, JUDGED, judged) == judged:
                counts["products_unchanged"] += waiting.chunk.products
                continue
            verdicts = gate.judge(waiting.chunk, facts)
            self.folder.write_lines("gate", part_name(JUDGED, number), map(json.dumps, judged.items()))
            self.folder.write_lines(
                "gate",
                part_name("findings", number),
                (
                    finding.model_dump_json()
                    for verdict in verdicts.values()
                    for finding in verdict.findings()
                ),
            )
            self.folder.write_lines("gate", part_name("products", number), waiting.released(verdicts, counts))
            log.info("judged %d products, %d of them with findings", waiting.chunk.products, len(verdicts))
        write_data_docs(gate, self.folder.stage("report"))
        self.folder.write_json("gate.json", dict(counts))
        return dict(counts)

    def _waiting(self, gate: Gate, context: CatalogueContext) -> Iterator[Waiting]:
        """The extracted products, mapped, in chunks; each chunk is gone when the next is asked for."""
        lines = self.folder.read_lines("extract", "part")
        mapped = (map_product(ExtractLine.model_validate_json(line), context) for line in lines)
        for first in mapped:
            with tempfile.TemporaryFile("w+", encoding="utf-8", prefix="cogent-ops-gate-") as file:
                waiting = Waiting(gate.chunk(), file)
                waiting.add(first)
                while waiting.chunk.variants < self.chunk and (product := next(mapped, None)) is not None:
                    waiting.add(product)
                yield waiting

    def _judged(self, waiting: Waiting, facts: SkuFacts) -> dict[str, str]:
        """Fingerprint, by product, of all that a verdict depends on and of what would be sent."""
        suite = self.suite.read_bytes()
        waiting.chunk.know(facts)
        return {id_: fingerprint_of(suite, *parts) for id_, *parts in waiting.contents()}


def admitted(
    gate: Gate, store: Store, link: str, products: Iterable[MappedProduct]
) -> Iterator[GatedProduct]:
    """What the gate lets pass of some products, judged in one chunk: for whoever asks about few of them."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", prefix="cogent-ops-gate-") as file:
        waiting = Waiting(gate.chunk(), file)
        for product in products:
            waiting.add(product)
        verdicts = gate.judge(waiting.chunk, _sku_facts(store, link, waiting.chunk))
        yield from map(GatedProduct.from_line, waiting.released(verdicts, Counter()))


def _sku_facts(store: Store, link: str, chunk: Chunk) -> SkuFacts:
    """What the registry says about the SKUs of a chunk."""
    counts: dict[str, int] = {}
    lookalikes: dict[str, str] = {}
    for skus in batches(filter(None, chunk.skus), SKUS_LOOKED_UP):
        counts |= store.catalogue.sku_conflicts(link, skus)
        lookalikes |= store.catalogue.lookalikes(link, skus)
    return SkuFacts(counts, lookalikes)


class Waiting:
    """Products that wait for their verdict: what is judged in memory, what is sent later in a local file."""

    def __init__(self, chunk: Chunk, file: IO[str]) -> None:
        self.chunk, self._lines = chunk, file

    def add(self, mapped: MappedProduct) -> None:
        """Append a product, as if nothing of it were held."""
        self.chunk.add(mapped)
        self._lines.write(everything(mapped).to_line() + "\n")

    def ids(self) -> list[str]:
        """The products, in order."""
        ids: list[str] = self.chunk.columns[Level.PRODUCT]["product_id"]
        return ids

    def contents(self) -> Iterator[tuple[str, str, str]]:
        """Of each product its id, what would be sent, and its rows. Its version is left out: stock moves it."""
        self._lines.seek(0)
        rows = iter(range(self.chunk.variants))
        for place, line in enumerate(self._lines):
            sent = replace(GatedProduct.from_line(line), version=0, modified_at=SOME_TIME)
            own = [self.chunk.row(Level.VARIANT, row) for row in islice(rows, self.chunk.sizes[place])]
            yield sent.product_id, sent.to_line(), repr((self.chunk.row(Level.PRODUCT, place), own))

    def released(self, verdicts: Verdicts, counts: Counter[str]) -> Iterator[str]:
        """One line a product, without what its verdict holds; counts what is accepted and what is held."""
        self._lines.seek(0)
        for place, (line, variants) in enumerate(zip(self._lines, self.chunk.sizes, strict=True)):
            verdict = verdicts.get(place)
            if verdict is None or not verdict.holds:
                counts.update(products_accepted=1, variants_accepted=variants)
                yield line.rstrip("\n")
            else:
                gated = without(GatedProduct.from_line(line), verdict)
                passed = len(gated.variants)
                counts["products_held" if gated.product is None else "products_accepted"] += 1
                counts.update(variants_accepted=passed, variants_held=variants - passed)
                yield gated.to_line()


def everything(mapped: MappedProduct) -> GatedProduct:
    """A product with every variant that can be sent at all."""
    accepted = accept(mapped, held=())
    if accepted is not None:
        return GatedProduct.accept(accepted, recheck=False)
    return GatedProduct(
        product_id=mapped.product_id,
        product_key=mapped.product_key or "",
        product_name=mapped.product_name,
        version=mapped.version,
        modified_at=mapped.modified_at,
        held_skus=tuple(variant.sku for variant in mapped.variants if variant.sku),
    )


def without(gated: GatedProduct, verdict: Verdict) -> GatedProduct:
    """What passes of a product; the product itself is held when no variant passes."""
    held = set(gated.skus) if verdict.held else verdict.held_skus
    passed = [place for place, sku in enumerate(gated.skus) if sku not in held]
    return replace(
        gated,
        recheck=verdict.recheck,
        product=gated.product if passed else None,
        variants=tuple(gated.variants[place] for place in passed),
        skus=tuple(gated.skus[place] for place in passed),
        held_skus=(*gated.held_skus, *(sku for sku in gated.skus if sku in held)),
    )


def fingerprint_of(suite: bytes, *parts: str) -> str:
    """Hash (hex, 32 characters) of a suite file and texts."""
    digest = hashlib.blake2b(suite, digest_size=16)
    for part in parts:
        digest.update(part.encode(errors="surrogatepass") + b"\0")
    return digest.hexdigest()
