"""The catalogue flow over real HTTP and a real store: what passes is on the kiosks, the rest is held and named."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.carrying import ROOT, STAGES, Carrier

from cogent_ops.clients.transport import close_sessions
from cogent_ops.domain.identifiers import group_gid, product_gid, variant_gid
from cogent_ops.errors import AuditRequired, CogentOpsError
from cogent_ops.sandbox.dataset import Dataset, all_variants
from cogent_ops.sandbox.defects import Defect
from cogent_ops.sandbox.faults import FaultPlan, Rule
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.sandbox.sunrise import load_sunrise
from cogent_ops.store import Store, open_store

Start = Callable[..., Carrier]
SUNRISE = Path(os.environ.get("COGENT_OPS_SHARED", ROOT / "../shared")) / "data/sunrise"
HARMLESS = {Defect.HTML_JUNK.value}


@pytest.fixture(scope="module")
def dirty() -> Dataset:
    return generate(seed=11, products=120, now=datetime.now(UTC), every_defect=True, dirty_share=0.2)


@pytest.fixture(scope="module")
def clean() -> Dataset:
    return generate(seed=12, products=30, now=datetime.now(UTC), dirty_share=0)


@pytest.fixture(scope="module")
def few() -> Dataset:
    return generate(seed=13, products=30, now=datetime.now(UTC), dirty_share=0.3)


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Start]:
    """Starts a sandbox and a link over it."""
    with ExitStack() as stack:

        def made(data: Dataset, store: Store, **more: Any) -> Carrier:
            server = stack.enter_context(SandboxServer(data))
            return Carrier(server, store, tmp_path, **more)

        yield made
        close_sessions()


@pytest.fixture
def local(sqlite_databases: Any) -> Iterator[Store]:
    """A store on SQLite, for what does not depend on the database."""
    with sqlite_databases.current() as url:
        opened = open_store(url)
        yield opened
        opened.close()


def sound(data: Dataset) -> set[str]:
    return {p["id"] for p in data.products if not set(data.dirt.get(p["id"], ())) - HARMLESS}


def test_what_passes_is_on_the_kiosk_and_the_rest_is_held_with_an_owner(
    begin: Start, store: Store, dirty: Dataset
) -> None:
    link = begin(dirty, store)
    with pytest.raises(AuditRequired, match="catalogue_audit"):
        link.sync()
    audit = link.audit()
    assert (audit.verdict, link.kiosk()["products"]) == ("no_go", {})
    store.audits.accept("default", audit.id, actor="Ada", note="planted on purpose")
    counts = link.sync()
    kiosk = link.kiosk()
    assert counts["products_accepted"] + counts["products_held"] == len(dirty.products)
    assert len(kiosk["products"]) == counts["products_accepted"] == counts["products_created"]
    assert sum(len(p["variants"]) for p in kiosk["products"].values()) == counts["variants_accepted"]
    for product in dirty.products:
        shown = link.shown(product["id"])
        if product["id"] in sound(dirty):
            skus = {variant_gid(variant["sku"]) for variant in all_variants(product)}
            assert shown is not None
            assert shown["variants"].keys() == skus
    named = {record.payload["product_id"] for record in link.held()}
    assert named == {p["id"] for p in dirty.products} - sound(dirty)
    assert all(record.owner and record.cure and record.message for record in link.held())
    expected = {product_gid(id_) for id_ in sound(dirty)}
    for category in {c["id"] for p in dirty.products for c in p["categories"] if p["id"] in sound(dirty)}:
        members = kiosk["groups"][group_gid(category)]["products"]
        in_it = {
            product_gid(p["id"]) for p in dirty.products if category in {c["id"] for c in p["categories"]}
        }
        assert in_it & expected <= set(members) <= in_it
    assert (
        kiosk["reported"]["Products"] == len(kiosk["products"]) if "Products" in kiosk["reported"] else True
    )


def test_a_second_run_sends_nothing(begin: Start, store: Store, dirty: Dataset) -> None:
    link = begin(dirty, store)
    link.clear()
    link.sync()
    before, watermark = link.kiosk(), store.watermarks.get("default", "catalogue_sync")
    link.forget()
    for wishes in ({}, {"full_refresh": True}):
        link.sync(**wishes)
        assert {name for name in link.sent() if "upsert" in name or "delete" in name} == set()
    assert link.kiosk() == before
    assert watermark is not None
    assert store.watermarks.get("default", "catalogue_sync") == watermark


def test_a_change_goes_through_and_a_bad_one_leaves_the_last_good_version(
    begin: Start, local: Store, clean: Dataset
) -> None:
    link = begin(clean, local)
    link.clear()
    link.sync()
    product = clean.products[0]
    before = link.shown(product["id"])
    assert before is not None
    link.server.state.floor.change_product(product["id"], {"name": {"de": "Neu", "en": "New"}})
    link.sync()
    renamed = link.shown(product["id"])
    assert renamed is not None
    assert renamed["displayName"] == "Neu" != before["displayName"]

    link.server.state.floor.change_product(product["id"], {"name": {}})
    link.sync()
    assert link.shown(product["id"]) == renamed
    (waiting,) = {record.rule: record for record in link.held()}.values()
    assert waiting.rule == "name is present in every required locale"

    link.server.state.floor.change_product(product["id"], {"name": {"de": "Wieder gut", "en": "Fine"}})
    link.sync()
    mended = link.shown(product["id"])
    assert mended is not None
    assert mended["displayName"] == "Wieder gut"
    assert link.held() == []


def test_a_hold_that_ends_by_itself_is_noticed_without_a_change_of_the_product(
    begin: Start, local: Store, clean: Dataset
) -> None:
    product = clean.products[0]
    skus = {variant["sku"] for variant in all_variants(product)}
    link = begin(clean, local)
    state = link.server.state.commercetools
    entries = [entry for entry in state.collections["inventory"] if entry["sku"] in skus]
    for entry in entries:
        state.collections["inventory"].remove(entry["id"])
    link.clear()
    link.sync()
    assert link.shown(product["id"]) is None
    assert {record.rule for record in link.held()} == {"an InventoryEntry exists for the SKU"}
    for entry in entries:
        state.collections["inventory"].put(entry)
    link.sync()
    assert link.shown(product["id"]) is not None
    assert link.held() == []


def test_what_is_gone_is_removed_by_a_full_pass_unless_it_is_too_much(
    begin: Start, local: Store, clean: Dataset
) -> None:
    link = begin(clean, local)
    link.clear()
    link.sync()
    floor = link.server.state.floor
    floor.publish_product(clean.products[0]["id"], False)
    link.sync()
    assert link.shown(clean.products[0]["id"]) is not None, "a delta cannot see what is gone"
    link.sync(full_refresh=True)
    assert link.shown(clean.products[0]["id"]) is None

    for product in clean.products[1:11]:
        floor.publish_product(product["id"], False)
    held = link.sync(full_refresh=True)
    assert held["removals_held"] == 10
    assert len(link.kiosk()["products"]) == len(clean.products) - 1
    (guard,) = link.held("mass_removal")
    assert "accept_removals = 10" in guard.cure
    link.sync(full_refresh=True, accept_removals=10)
    assert len(link.kiosk()["products"]) == len(clean.products) - 11
    assert link.held("mass_removal") == []

    floor.publish_product(clean.products[1]["id"], True)
    link.sync(full_refresh=True)
    assert link.shown(clean.products[1]["id"]) is not None


def test_a_variant_that_is_gone_goes_off_sale(begin: Start, local: Store, clean: Dataset) -> None:
    product = next(p for p in clean.products if len(p["variants"]) > 1)
    *stay, gone = product["variants"]
    link = begin(clean, local)
    link.clear()
    link.sync()
    link.server.state.floor.change_product(product["id"], {"variants": stay})
    link.sync()
    shown = link.shown(product["id"])
    assert shown is not None
    retired = shown["variants"][variant_gid(gone["sku"])]
    assert (retired["isInStock"], retired["availableToPurchase"]) == (False, False)


def test_a_dry_run_shows_what_would_change_and_changes_nothing(
    begin: Start, local: Store, clean: Dataset
) -> None:
    link = begin(clean, local)
    link.clear()
    request = link.request(dry_run=True)
    counts = link.carry(request)
    assert counts["products_created"] == len(clean.products)
    assert link.kiosk()["products"] == {}
    assert local.watermarks.get("default", "catalogue_sync") is None
    assert list(local.catalogue.product_ids("default")) == []
    assert len(list(link.flow().folder(request).read_lines("gate", "preview"))) > len(clean.products)


def test_single_skus_and_backfills_touch_nothing_else(begin: Start, local: Store, clean: Dataset) -> None:
    link = begin(clean, local)
    link.clear()
    chosen = clean.products[3]
    link.sync(skus=(chosen["masterVariant"]["sku"],))
    assert link.kiosk()["products"].keys() == {product_gid(chosen["id"])}
    assert local.watermarks.get("default", "catalogue_sync") is None
    changed = sorted(product["lastModifiedAt"] for product in clean.products)
    middle = datetime.fromisoformat(changed[len(changed) // 2])
    link.sync(interval=(middle, middle + timedelta(days=400)))
    assert len(link.kiosk()["products"]) >= len(clean.products) // 2
    assert local.watermarks.get("default", "catalogue_sync") is None


STORMS = [
    Rule(kind="error", rate=0.05, status=503),
    Rule(kind="error", rate=0.02, status=500, when="after"),
    Rule(kind="reset", rate=0.05, when="after"),
    Rule(kind="timeout", rate=0.005, delay=0.1),
    Rule(kind="throttle", every=60, retry_after=1),
    Rule(kind="refuse", operation="upsert*", rate=0.03, code="TEMPORARY_RESTRICTION"),
    Rule(kind="refuse", operation="upsert*", rate=0.01, code="ENTITY_INVALID_FIELD"),
]


def until_settled(link: Carrier) -> None:
    """Run until nothing that Cloudshelf refused is left, as the schedule would."""
    link.sync(full_refresh=True)
    for _ in range(12):
        if not link.held("record_refused"):
            return
        link.sync(full_refresh=True)
    raise AssertionError("something is refused again and again")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_with_faults_the_kiosk_ends_as_without(
    begin: Start, sqlite_databases: Any, dirty: Dataset, seed: int
) -> None:
    ends = []
    for rules in ([], STORMS):
        with sqlite_databases.current() as url:
            store = open_store(url)
            link = begin(dirty, store, budgets=True)
            link.server.set_faults(FaultPlan(seed=seed, rules=rules))
            link.clear()
            until_settled(link)
            causes = {(record.kind, record.cause_key) for record in store.exceptions.open("default")}
            ends.append((link.kiosk(), causes))
            counters = link.server.counters()
            assert sum(counters["faults"].values()) > 20 or not rules
            assert sum(counters["avoidable_429"].values()) == 0
            store.close()
    assert ends[0] == ends[1]


class Crash(BaseException):
    """The process dies here."""


@pytest.mark.parametrize("seed", range(5))
def test_a_crash_anywhere_is_made_good_by_running_again(
    begin: Start, sqlite_databases: Any, few: Dataset, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Die at a chosen transaction of the store, before or after it, then run again; four deaths in a row."""
    from cogent_ops.store.engine import Database

    ends = []
    for deaths in (0, 4):
        with sqlite_databases.current() as url:
            store = open_store(url)
            link = begin(few, store)
            link.clear()
            request = link.request(full_refresh=True)
            died, claimed = 0, []
            for death in range(deaths):
                with monkeypatch.context() as patched:
                    die_at(patched, Database, seed + death * 5, after=bool((seed + death) % 2))
                    try:
                        link.carry(request)
                    except Crash:
                        died += 1
                        if store.watermarks.get("default", "catalogue_sync") is not None:
                            claimed.append(link.kiosk())
            assert died >= deaths - 1
            link.carry(request)
            link.sync(full_refresh=True)
            causes = {(record.kind, record.cause_key) for record in store.exceptions.open("default")}
            ends.append((link.kiosk(), causes, set(store.catalogue.product_ids("default"))))
            assert all(early == link.kiosk() for early in claimed), "a watermark before everything was stored"
            store.close()
    assert ends[0] == ends[1]


def die_at(patched: pytest.MonkeyPatch, database: Any, number: int, *, after: bool) -> None:
    """Raise at the ``number``-th write transaction, instead of it or right after it was committed."""
    from contextlib import contextmanager

    original, count = database.begin, iter(range(10**6))

    @contextmanager
    def begin(self: Any) -> Iterator[Any]:
        fatal = next(count) == number
        if fatal and not after:
            raise Crash
        with original(self) as conn:
            yield conn
        if fatal:
            raise Crash

    patched.setattr(database, "begin", begin)


def test_two_links_of_one_project_do_not_meet(
    begin: Start, local: Store, clean: Dataset, tmp_path: Path
) -> None:
    include = tmp_path / "two"
    (include / "schemas").mkdir(parents=True)
    text = (ROOT / "include/mapping.yaml").read_text(encoding="utf-8")
    (include / "mapping.yaml").write_text(
        f"{text}\n  britain: {{country: GB, currency: GBP}}\n", encoding="utf-8"
    )
    german, british = (begin(clean, local, name=name, include=include) for name in ("default", "britain"))
    for link in (german, british):
        link.clear()
        link.sync()
    assert german.kiosk()["products"].keys() == british.kiosk()["products"].keys()
    shown = [link.kiosk()["products"][product_gid(clean.products[0]["id"])] for link in (german, british)]
    prices = [next(iter(product["variants"].values()))["currentPrice"] for product in shown]
    assert prices[0] != prices[1]


@pytest.mark.skipif(not SUNRISE.is_dir(), reason=f"the Sunrise sample data is not here ({SUNRISE})")
def test_every_row_of_sunrise_is_pushed_or_held_with_a_reason(begin: Start, local: Store) -> None:
    data = load_sunrise(SUNRISE, now=datetime.now(UTC))
    link = begin(data, local, include=ROOT / "docs/examples/sunrise", settings={"audit_tolerance": 0.0})
    link.clear()
    counts = link.sync()
    variants = sum(1 for product in data.products for _ in all_variants(product))
    assert counts["products"] == len(data.products) == data.source_counts["products"]
    assert counts["variants"] == variants
    assert counts["products_accepted"] + counts["products_held"] == len(data.products)
    assert counts["variants_accepted"] + counts["variants_held"] == variants
    kiosk = link.kiosk()["products"]
    assert len(kiosk) == counts["products_accepted"] > 0
    assert sum(len(product["variants"]) for product in kiosk.values()) == counts["variants_accepted"]
    reasons = {record.payload["product_id"] for record in link.held()}
    assert {p["id"] for p in data.products if product_gid(p["id"]) not in kiosk} <= reasons


def test_a_product_deleted_between_two_pages_is_removed_by_the_next_full_pass(
    begin: Start, local: Store, clean: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cogent_ops.clients.commercetools import CommercetoolsClient

    link = begin(clean, local, settings={"page_size": 10})
    link.clear()
    link.sync()
    victim = max(product["id"] for product in clean.products)
    pages = CommercetoolsClient.pages

    def deleting(self: Any, resource: str, **wishes: Any) -> Iterator[Any]:
        for number, page in enumerate(pages(self, resource, **wishes)):
            yield page
            if resource == "product-projections" and number == 0:
                link.server.state.floor.delete_product(victim)

    with monkeypatch.context() as patched:
        patched.setattr(CommercetoolsClient, "pages", deleting)
        link.sync(full_refresh=True)
    link.sync(full_refresh=True)
    assert link.shown(victim) is None
    assert len(link.kiosk()["products"]) == len(clean.products) - 1


def test_a_failed_run_leaves_the_watermark_where_it_was(begin: Start, local: Store, clean: Dataset) -> None:
    link = begin(clean, local)
    link.clear()
    link.sync()
    before = local.watermarks.get("default", "catalogue_sync")
    link.server.state.floor.change_product(clean.products[0]["id"], {"name": {"de": "Neu", "en": "New"}})
    object.__setattr__(link.server.state.cloudshelf.behaviour, "api_key", "changed")
    request = link.request()
    link.carry(request, STAGES[:2])
    with pytest.raises(CogentOpsError, match="cloudshelf_default"):
        link.carry(request, ("push",))
    assert local.watermarks.get("default", "catalogue_sync") == before
