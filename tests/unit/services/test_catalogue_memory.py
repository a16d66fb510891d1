"""What a run holds in memory is bounded, however long the catalogue and whatever it holds."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.databases import Databases
from tests.support.gating import ROOT
from upath import UPath

from cogent_ops.clients.cloudshelf import CloudshelfAccount, CloudshelfClient
from cogent_ops.clients.transport import Unlimited
from cogent_ops.config import load_config
from cogent_ops.domain.identifiers import group_gid, product_gid, variant_gid
from cogent_ops.domain.priorities import Priority
from cogent_ops.quality import Finding, Severity
from cogent_ops.services.catalogue import finish
from cogent_ops.services.catalogue.extract import SELECTION_BYTES, selections
from cogent_ops.services.catalogue.finish import Finish
from cogent_ops.services.catalogue.gated import GatedProduct, GatedRecord
from cogent_ops.services.catalogue.push import Push
from cogent_ops.services.catalogue.runfolder import RunFolder, part_name
from cogent_ops.store import Store, open_store

NOW = datetime.now(UTC)
CONFIG = load_config(ROOT / "include").link("default")
LONG = "x" * 20_000


@pytest.fixture
def store(sqlite_databases: Databases) -> Iterator[Store]:
    with sqlite_databases.current() as url:
        opened = open_store(url)
        yield opened
        opened.close()


def product(number: int) -> GatedProduct:
    """A product with a long description."""
    id_, sku = f"p{number:06}", f"SKU-{number:06}"
    content = {"id": product_gid(id_), "description": LONG}
    variant = {"id": variant_gid(sku), "sku": sku, "metaimages": []}
    return GatedProduct(
        product_id=id_,
        product_key=id_,
        product_name=id_,
        version=1,
        modified_at=NOW,
        product=GatedRecord.of(product_gid(id_), content),
        variants=(GatedRecord.of(variant_gid(sku), variant),),
        skus=(sku,),
        group_ids=(group_gid(f"c{number % 50}"),),
    )


def finding(number: int) -> Finding:
    return Finding(
        product_id=f"p{number:06}",
        product_name="A product",
        field="description",
        rule="text lengths",
        message=LONG[:2000],
        severity=Severity.BLOCK,
        owner="merchandising",
        cure="Shorten it.",
        mend="Merchant Center",
    )


def peak(work: Callable[[], object]) -> int:
    """Most bytes held at a time while working."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_push_holds_no_more_of_a_longer_catalogue(store: Store, tmp_path: Path) -> None:
    account = CloudshelfAccount("cloudshelf_default", "http://127.0.0.1:9/graphql", "unused")
    client = CloudshelfClient(account, Unlimited(), Priority.CATALOGUE)

    def push(count: int) -> int:
        folder = RunFolder(UPath(tmp_path), "default", str(count))
        folder.write_lines("gate", part_name("products", 1), (product(n).to_line() for n in range(count)))

        def work() -> None:
            began = NOW - timedelta(minutes=1)
            planned = Push(CONFIG, store, client, "run", began, dry_run=True)
            for stage in (planned.products, planned.variants, planned.states):
                stage(map(GatedProduct.from_line, folder.read_lines("gate", "products")))
            assert planned.result.counts["products_created"] == count

        return peak(work)

    push(100)
    short, long = push(1500), push(4500)
    # Ids and groups of a dry run may grow; 3,000 more descriptions would be 60 MB.
    assert long < short + 20_000_000


def test_what_is_held_is_raised_piece_by_piece(store: Store) -> None:
    def raise_(count: int) -> int:
        closing = Finish(CONFIG, store, f"run-{count}")
        return peak(lambda: closing.raise_(map(finish.held, map(finding, range(count)))))

    raise_(100)
    short, long = raise_(1500), raise_(6000)
    # Causes may grow; 4,500 more messages would be 9 MB.
    assert long < short + 3_000_000
    assert sum(1 for _ in store.exceptions.open_causes("default", "product_held")) == 6000


@given(st.lists(st.text(min_size=1, max_size=200), max_size=200))
def test_skus_are_named_in_queries_that_are_short_enough(skus: list[str]) -> None:
    cut = list(selections(skus))
    assert [sku for chunk in cut for sku in chunk] == skus
    for chunk in cut:
        size = sum(len(quote(json.dumps(sku, ensure_ascii=False))) for sku in chunk)
        assert len(chunk) == 1 or size <= SELECTION_BYTES


@pytest.mark.parametrize(
    ("text", "read"),
    [("Größe", "Größe"), ("half \ud83d of it", "half \ufffd of it"), ("\ud83d\ude00", "\U0001f600")],
)
def test_half_a_character_stops_no_run(tmp_path: Path, text: str, read: str) -> None:
    folder = RunFolder(UPath(tmp_path), "default", "run")
    document: dict[str, Any] = {"name": text}
    folder.write_json("reference.json", document)
    folder.write_lines("extract", "part-00001.jsonl", [json.dumps(document, ensure_ascii=False)])
    assert folder.read_json("reference.json") == {"name": read}
    assert list(map(json.loads, folder.read_lines("extract", "part"))) == [{"name": read}]
