"""The gate stage: every extracted product is accepted or held with a reason, however the catalogue is cut."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support import extracted
from tests.support.databases import Databases
from tests.support.gating import NOW, ROOT, SUITE
from upath import UPath

from cogent_ops.config import load_config
from cogent_ops.domain.identifiers import variant_gid
from cogent_ops.quality import Finding, Severity
from cogent_ops.sandbox.dataset import Dataset, Json, all_variants
from cogent_ops.sandbox.defects import Defect
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.sunrise import load_sunrise
from cogent_ops.services.catalogue.gate import GateStage
from cogent_ops.services.catalogue.gated import GatedProduct
from cogent_ops.services.catalogue.runfolder import RunFolder, part_name
from cogent_ops.services.pipeline import batches
from cogent_ops.store import Store, open_store

SUNRISE = Path(os.environ.get("COGENT_OPS_SHARED", ROOT / "../shared")) / "data/sunrise"
LINK = "default"

Change = Callable[[list[Json]], object]


@pytest.fixture
def store(sqlite_databases: Databases) -> Iterator[Store]:
    with sqlite_databases.current() as url:
        opened = open_store(url)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def dirty() -> Dataset:
    return generate(seed=5, products=150, now=NOW, every_defect=True, dirty_share=0.3, over_limit=True)


class Run:
    """One run of the stage over a dataset, and what it left."""

    def __init__(
        self,
        store: Store,
        root: Path,
        data: Dataset,
        *,
        include: Path = ROOT / "include",
        suite: Path = SUITE,
        chunk: int = 200_000,
        lines: Iterable[Json] | None = None,
        quiet: bool = False,
    ) -> None:
        self.folder = RunFolder(UPath(root), LINK, "run")
        self.folder.write_json("reference.json", extracted.reference(data))
        listed = list(extracted.lines(data) if lines is None else lines)
        for number, part in enumerate(batches(listed, 40), start=1):
            rows = [row for line in part for row in extracted.registered(line)]
            store.catalogue.register_skus(LINK, "run", [line["projection"]["id"] for line in part], rows)
            self.folder.write_lines("extract", part_name("part", number), map(json.dumps, part))
        self.stage = GateStage(load_config(include).link(LINK), store, self.folder, suite, {}, chunk=chunk)
        self.counts: dict[str, Any] = self.stage.run(NOW, skip_unchanged=quiet)

    @property
    def gated(self) -> dict[str, GatedProduct]:
        products = map(GatedProduct.from_line, self.folder.read_lines("gate", "products"))
        return {product.product_id: product for product in products}

    @property
    def findings(self) -> list[Finding]:
        return list(map(Finding.model_validate_json, self.folder.read_lines("gate", "findings")))


def variant_count(data: Dataset) -> int:
    return sum(1 for product in data.products for _ in all_variants(product))


def assert_nothing_is_lost(run: Run, data: Dataset) -> None:
    """Each product is there once, each variant accepted or held with a reason, and the counts say so."""
    gated, counts = run.gated, run.counts
    assert gated.keys() == {product["id"] for product in data.products}
    assert counts["products_accepted"] + counts["products_held"] == len(data.products)
    assert counts["variants_accepted"] + counts["variants_held"] == variant_count(data)
    assert counts["products_held"] == sum(product.product is None for product in gated.values())
    assert counts["variants_accepted"] == sum(len(product.variants) for product in gated.values())
    reasons = {(f.product_id, f.variant_id) for f in run.findings if f.severity is Severity.BLOCK}
    for raw in data.products:
        product = gated[raw["id"]]
        for variant in all_variants(raw):
            accepted = variant.get("sku") in product.skus
            why = {(product.product_id, None), (product.product_id, variant["id"])} & reasons
            assert accepted or why, (product.product_key, variant["id"])
    assert run.folder.read_json("gate.json") == counts


def test_what_is_dirty_is_held_and_what_is_clean_passes(store: Store, tmp_path: Path, dirty: Dataset) -> None:
    run = Run(store, tmp_path, dirty)
    assert_nothing_is_lost(run, dirty)
    for raw in dirty.products:
        product = run.gated[raw["id"]]
        held = set(dirty.dirt.get(raw["id"], ())) - {Defect.HTML_JUNK.value}
        complete = product.product is not None and len(product.variants) == len(list(all_variants(raw)))
        assert complete is not bool(held), (product.product_key, held)


def test_only_the_dirty_variants_of_a_product_are_held(store: Store, tmp_path: Path, dirty: Dataset) -> None:
    gated = Run(store, tmp_path, dirty).gated
    partly = 0
    for raw in dirty.products:
        bad = {id_ for ids in dirty.dirty_variants.get(raw["id"], {}).values() for id_ in ids}
        good = [variant["sku"] for variant in all_variants(raw) if variant["id"] not in bad]
        if bad and good:
            partly += 1
            assert list(gated[raw["id"]].skus) == good
            assert [variant.id for variant in gated[raw["id"]].variants] == [variant_gid(sku) for sku in good]
            dirty_skus = {v["sku"] for v in all_variants(raw) if v["id"] in bad and v.get("sku")}
            assert set(gated[raw["id"]].held_skus) == dirty_skus
        elif bad:
            assert gated[raw["id"]].product is None
    assert partly


@pytest.mark.parametrize("chunk", [1, 37, 500])
def test_verdicts_do_not_depend_on_how_the_catalogue_is_cut(
    store: Store, tmp_path: Path, dirty: Dataset, chunk: int
) -> None:
    few = list(extracted.lines(dirty))[:: 15 if chunk == 1 else 1]
    whole = Run(store, tmp_path / "whole", dirty, lines=few)
    cut = Run(store, tmp_path / "cut", dirty, lines=few, chunk=chunk)
    assert cut.gated == whole.gated
    assert cut.counts == whole.counts
    assert sorted(map(str, cut.findings)) == sorted(map(str, whole.findings))


def test_running_again_leaves_nothing_of_the_attempt_before(
    store: Store, tmp_path: Path, dirty: Dataset
) -> None:
    run = Run(store, tmp_path, dirty, chunk=100)
    before = (run.gated, run.findings)
    run.stage.chunk = 200_000
    assert run.stage.run(NOW) == run.counts
    assert run.gated == before[0]
    assert sorted(map(str, run.findings)) == sorted(map(str, before[1]))


def test_a_mended_record_releases_itself(store: Store, tmp_path: Path, dirty: Dataset) -> None:
    lines = [
        line
        for line in extracted.lines(dirty)
        if dirty.dirt.get(line["projection"]["id"]) == ("missing_key",)
    ]
    held = Run(store, tmp_path / "1", dirty, lines=lines)
    assert {product.product for product in held.gated.values()} == {None}
    for line in lines:
        line["projection"] = {**line["projection"], "key": "mended"}
    mended = Run(store, tmp_path / "2", dirty, lines=lines)
    assert all(product.product is not None for product in mended.gated.values())
    assert mended.counts["products_held"] == 0


def test_holds_that_can_end_by_themselves_are_marked(store: Store, tmp_path: Path, dirty: Dataset) -> None:
    waits = {"duplicate_sku", "sku_case_twin", "expired_price", "no_inventory_entry", "unknown_category"}
    run = Run(store, tmp_path, dirty)
    for id_, product in run.gated.items():
        defects = set(dirty.dirt.get(id_, ()))
        if defects <= waits:
            assert product.recheck is bool(defects)
        elif defects == {"missing_key"}:
            assert not product.recheck


def test_the_registry_knows_of_twins_beyond_the_run(store: Store, tmp_path: Path) -> None:
    data = generate(seed=5, products=30, now=NOW, dirty_share=0)
    lines = list(extracted.lines(data))
    sku = lines[0]["projection"]["masterVariant"]["sku"]
    other = lines[1]["projection"]["masterVariant"]["sku"]
    store.catalogue.register_skus(
        LINK, "before", ["elsewhere"], [(sku, "elsewhere", 1), (other.lower(), "elsewhere", 2)]
    )
    run = Run(store, tmp_path, data, lines=lines)
    found = {(f.sku, f.rule) for f in run.findings}
    assert found == {(sku, "SKU is unique in the whole catalogue"), (other, "SKU has no look-alike")}


def test_a_sku_that_changed_is_reported_and_passes(store: Store, tmp_path: Path) -> None:
    data = generate(seed=5, products=3, now=NOW, dirty_share=0)
    lines = list(extracted.lines(data))
    lines[0]["previous_skus"] = {"1": "OLD-SKU"}
    run = Run(store, tmp_path, data, lines=lines)
    [finding] = run.findings
    assert (finding.severity, finding.rule) == (Severity.WARN, "SKU is unchanged since the last run")
    assert "'OLD-SKU'" in finding.message
    assert run.counts["variants_held"] == 0


def test_an_empty_extract_is_no_trouble(store: Store, tmp_path: Path, dirty: Dataset) -> None:
    run = Run(store, tmp_path, dirty, lines=())
    assert set(run.counts.values()) == {0}
    assert run.gated == {}
    assert run.folder.read_json("gate.json") == run.counts


def test_data_docs_lie_below_the_report(store: Store, tmp_path: Path, dirty: Dataset) -> None:
    run = Run(store, tmp_path, dirty)
    assert (run.folder.stage("report") / "data_docs" / "index.html").is_file()


@pytest.mark.skipif(
    not SUNRISE.is_dir(), reason="the Sunrise files are not here; COGENT_OPS_SHARED names their place"
)
@pytest.mark.parametrize("include", ["docs/examples/sunrise", "include"])
def test_every_row_of_sunrise_is_accepted_or_held_with_a_reason(
    store: Store, tmp_path: Path, include: str
) -> None:
    data = load_sunrise(SUNRISE, now=NOW)
    run = Run(store, tmp_path, data, include=ROOT / include)
    assert_nothing_is_lost(run, data)
    assert run.counts["products_accepted"] + run.counts["products_held"] == data.source_counts["products"]
    assert run.counts["variants_accepted"] + run.counts["variants_held"] == data.source_counts["variants"]
    assert run.counts["products_held"] >= len(data.dirt)


def judged(run: Run) -> dict[str, str]:
    return dict(map(json.loads, run.folder.read_lines("gate", "judged")))


def test_what_is_as_it_was_when_it_was_judged_is_left_alone(
    store: Store, tmp_path: Path, dirty: Dataset
) -> None:
    first = Run(store, tmp_path / "first", dirty, quiet=True)
    assert judged(first).keys() == {product["id"] for product in dirty.products}
    store.fingerprints.remember(LINK, "judged", judged(first), "first")
    # Stock that moves changes versions and times, and nothing that is judged or sent.
    touched = [
        {
            **line,
            "projection": {**line["projection"], "version": 99, "lastModifiedAt": "2026-11-20T11:59:59.000Z"},
        }
        for line in extracted.lines(dirty)
    ]
    again = Run(store, tmp_path / "again", dirty, quiet=True, lines=touched)
    assert again.counts["products_unchanged"] == len(dirty.products)
    assert (again.gated, again.findings, judged(again)) == ({}, [], {})


def rename(line: Json) -> Json:
    return {**line, "projection": {**line["projection"], "name": {"de": "Anders", "en": "Different"}}}


def sell_out(line: Json) -> Json:
    return {**line, "inventory": {}}


@pytest.mark.parametrize("change", [rename, sell_out])
def test_a_single_change_has_everything_judged_again(
    store: Store, tmp_path: Path, dirty: Dataset, change: Callable[[Json], Json]
) -> None:
    store.fingerprints.remember(
        LINK, "judged", judged(Run(store, tmp_path / "1", dirty, quiet=True)), "first"
    )
    lines = list(extracted.lines(dirty))
    clean = next(at for at, line in enumerate(lines) if line["projection"]["id"] not in dirty.dirt)
    lines[clean] = change(lines[clean])
    again = Run(store, tmp_path / "2", dirty, quiet=True, lines=lines)
    assert again.counts["products_unchanged"] == 0
    assert len(again.gated) == len(dirty.products)


def test_another_products_sku_and_another_schema_count_as_changes(
    store: Store, tmp_path: Path, dirty: Dataset
) -> None:
    store.fingerprints.remember(
        LINK, "judged", judged(Run(store, tmp_path / "1", dirty, quiet=True)), "first"
    )
    clean = next(product for product in dirty.products if product["id"] not in dirty.dirt)
    store.catalogue.register_skus(LINK, "other", ["new"], [(clean["masterVariant"]["sku"], "new", 1)])
    twin = Run(store, tmp_path / "2", dirty, quiet=True)
    assert twin.counts["products_unchanged"] == 0
    assert twin.gated[clean["id"]].held_skus == (clean["masterVariant"]["sku"],)

    store.fingerprints.remember(LINK, "judged", judged(twin), "second")
    suite = tmp_path / "suite.json"
    suite.write_text(SUITE.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert Run(store, tmp_path / "3", dirty, quiet=True, suite=suite).counts["products_unchanged"] == 0
