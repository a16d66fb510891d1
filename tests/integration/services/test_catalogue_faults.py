"""Faults and crashes: whatever breaks wherever, the kiosks end as if nothing had, and nothing is lost."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import URL
from tests.integration.clients.helpers import QUICK
from tests.support.carrying import Carrier, Memory, content
from tests.support.databases import Databases
from tests.support.dying import Boundaries, Crash, kill_myself, survives

from cogent_ops.domain.identifiers import product_gid, sku_of
from cogent_ops.sandbox.cloudshelf_state import KioskBehaviour
from cogent_ops.sandbox.dataset import Dataset, Json, all_variants
from cogent_ops.sandbox.faults import FaultPlan, Rule
from cogent_ops.sandbox.generator import VariantMix, generate
from cogent_ops.services.catalogue.plan import CatalogueRequest
from cogent_ops.store import Store, open_store

Start = Callable[..., Carrier]

pytestmark = pytest.mark.usefixtures("quick_gate")
WISHES = {"full_refresh": True, "accept_removals": 3}


@pytest.fixture(scope="module")
def few() -> Dataset:
    """Clean products of two to four variants."""
    mix = VariantMix(((1, 2, 4),))
    return generate(seed=21, products=14, now=datetime.now(UTC), dirty_share=0, variants=mix)


@pytest.fixture(scope="module")
def mixed() -> Dataset:
    mix = VariantMix(((1, 1, 6),))
    return generate(seed=22, products=60, now=datetime.now(UTC), dirty_share=0.3, variants=mix)


class World:
    """A day in the shop, and the day on which all of it is undone: every kind of change that a run carries over."""

    def __init__(self, link: Carrier, data: Dataset) -> None:
        self.link, self.products = link, data.products
        self.category = next(c for c in data.categories if c["id"] == self.products[8]["categories"][0]["id"])
        self.channel = data.channels[0]

    def begin(self) -> None:
        """Before the first run: one product is not published yet, another lacks a variant."""
        self.link.edit(self.products[3]["id"], variants=self.products[3]["variants"][:-1])
        self.link.floor.publish_product(self.products[4]["id"], False)
        self.link.floor.set_stock("FRESH-1", 5)

    def change(self) -> None:
        edit, products = self.link.edit, self.products
        edit(products[0]["id"], name={"de": "Neu", "en": "New"})
        self.link.floor.publish_product(products[1]["id"], False)
        edit(products[2]["id"], variants=products[2]["variants"][:-1])
        edit(products[3]["id"], variants=products[3]["variants"])
        self.link.floor.publish_product(products[4]["id"], True)
        self.link.edit_variant(products[5]["id"], 1, sku="FRESH-1")
        self.link.edit_variant(products[6]["id"], 1, sku=products[5]["masterVariant"]["sku"])
        edit(products[7]["id"], categories=products[8]["categories"], categoryOrderHints={})
        edit(products[9]["id"], name={})
        self.link.change("categories", self.category["key"], name={"de": "Anders", "en": "Other"})
        self.link.change("channels", self.channel["key"], name={"de": "Laden", "en": "Shop"})

    def undo(self) -> None:
        edit, products = self.link.edit, self.products
        for place in (0, 9):
            edit(products[place]["id"], name=products[place]["name"])
        self.link.floor.publish_product(products[1]["id"], True)
        edit(products[2]["id"], variants=products[2]["variants"])
        edit(products[3]["id"], variants=products[3]["variants"][:-1])
        self.link.floor.publish_product(products[4]["id"], False)
        for place in (6, 5):
            self.link.edit_variant(products[place]["id"], 1, sku=products[place]["masterVariant"]["sku"])
        edit(
            products[7]["id"],
            categories=products[7]["categories"],
            categoryOrderHints=products[7]["categoryOrderHints"],
        )
        self.link.change("categories", self.category["key"], name=self.category["name"])
        self.link.change("channels", self.channel["key"], name=self.channel["name"])


def end(link: Carrier) -> Json:
    """All that must not depend on what went wrong on the way: both sides, but for times and names of runs."""
    ours = content(link.store, "sync_run", "sku_registry", "catalogue_audit", "watermark", "exception")
    return {
        "kiosk": link.kiosk(),
        "causes": sorted((one.kind, one.cause_key) for one in link.store.exceptions.open(link.name)),
        "fingerprints": sorted(row[:4] for row in ours["fingerprint"] if row[1] != "judged"),
        "states": sorted((*row[:5], *row[6:-2]) for row in ours["product_state"]),
        "members": ours["group_member"],
    }


# Faults

STORM = (
    Rule(kind="error", rate=0.03, status=503),
    Rule(kind="error", rate=0.02, status=500, when="after"),
    Rule(kind="reset", rate=0.05, when="after"),
    Rule(kind="timeout", rate=0.01, delay=0.05),
    Rule(kind="throttle", api="commercetools", every=11, limit=1, retry_after=1),
    Rule(kind="throttle", api="cloudshelf", every=17, limit=1, retry_after=1),
    Rule(kind="refuse", operation="upsert*", rate=0.05, code="TEMPORARY_RESTRICTION"),
    Rule(kind="refuse", operation="upsert*", rate=0.02, code="ENTITY_INVALID_FIELD"),
)
#: A client that gives up early, so that the tasks themselves fail and are tried again.
IMPATIENT = replace(QUICK, attempts=2)


def settled(link: Carrier, **wishes: Any) -> None:
    """Run, and again while something is refused, as the schedule would."""
    for _ in range(12):
        link.sync(**wishes)
        if not link.held("record_refused"):
            return
    raise AssertionError("something is refused again and again")


def two_days(link: Carrier, data: Dataset) -> Json:
    """The first full run, a change of everything, and what a delta and a full pass make of it."""
    world = World(link, data)
    world.begin()
    link.clear()
    settled(link)
    world.change()
    settled(link)
    settled(link, **WISHES)
    return end(link)


@pytest.fixture(scope="module")
def without_faults(
    sqlite_databases: Databases, mixed: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Json:
    from cogent_ops.sandbox.server import SandboxServer

    with sqlite_databases.current() as url, SandboxServer(mixed) as server:
        store = open_store(url)
        try:
            return two_days(Carrier(server, store, tmp_path_factory.mktemp("runs")), mixed)
        finally:
            store.close()


@pytest.mark.parametrize(("batches", "seed"), [*(("partial", seed) for seed in range(4)), ("atomic", 4)])
def test_with_faults_the_kiosk_ends_as_without(
    begin: Start, local: Store, mixed: Dataset, without_faults: Json, seed: int, batches: Any
) -> None:
    kiosk = KioskBehaviour(batches=batches)
    link = begin(mixed, local, budgets=True, tuning=IMPATIENT, sandbox={"kiosk": kiosk})
    link.server.set_faults(FaultPlan(seed=seed, rules=STORM))
    found = two_days(link, mixed)
    for name, wanted in without_faults.items():
        assert found[name] == wanted, name
    counters = link.server.counters()
    assert sum(counters["faults"].values()) > 20
    assert counters["rate_limited"].keys() == {"commercetools", "cloudshelf"}
    assert sum(counters["avoidable_429"].values()) == 0
    products = link.server.state.commercetools["product-projections"]
    newest = max(product["lastModifiedAt"] for product in products if product["published"])
    assert local.watermarks.get("default", "catalogue_sync") == datetime.fromisoformat(newest)


# Crashes


@dataclass
class Rehearsal:
    """A run whose extract and gate are done, and whose push can be repeated from the same beginning.

    :param base: the kiosk before it.
    :param wanted: everything after it.
    :param later: the run after the changes were undone, its gate done too.
    """

    link: Carrier
    url: URL
    request: CatalogueRequest
    later: CatalogueRequest
    base: Json
    wanted: Json
    moments: int
    organisation: Memory
    copy: Path
    watermarks: dict[str, Any]

    def restart(self) -> None:
        """Back to the moment before the push."""
        restore(self.link.store, self.url, self.copy)
        self.organisation.restore()

    def crash(self, moment: int) -> None:
        """Begin the push and die."""
        self.restart()
        with Boundaries(moment).watched(), pytest.raises(Crash):
            self.link.carry(self.request, ("push",))
        if watermarks(self.link.store) != self.watermarks:
            assert end(self.link) == self.wanted, (
                f"the watermark moved before everything was stored ({moment})"
            )


def watermarks(store: Store) -> dict[str, Any]:
    return {flow: store.watermarks.get("default", flow) for flow in ("catalogue_sync", "catalogue_sync.full")}


def keep(store: Store, url: URL, copy: Path) -> None:
    store.close()
    shutil.copy(str(url.database), copy)


def restore(store: Store, url: URL, copy: Path) -> None:
    store.close()
    for leftover in Path(str(url.database)).parent.glob("store.db-*"):
        leftover.unlink()
    shutil.copy(copy, str(url.database))


@pytest.fixture
def rehearsal(sqlite_databases: Databases, begin: Start, few: Dataset, tmp_path: Path) -> Iterator[Rehearsal]:
    with sqlite_databases.current() as url:
        store = open_store(url)
        link = begin(few, store, settings={"concurrency": 2})
        world = World(link, few)
        world.begin()
        link.clear()
        link.sync()
        base = link.kiosk()
        world.change()
        request = link.request(**WISHES)
        link.carry(request, ("extract", "gate"))
        organisation, copy = Memory(link.server.state.cloudshelf), tmp_path / "copy.db"
        keep(store, url, copy)
        before = watermarks(store)
        with Boundaries().watched() as counted:
            link.carry(request, ("push",))
        wanted = end(link)
        world.undo()
        later = link.request(**WISHES)
        link.carry(later, ("extract", "gate"))
        yield Rehearsal(link, url, request, later, base, wanted, counted.passed, organisation, copy, before)
        store.close()


PARTS = 3


@pytest.mark.parametrize("part", range(PARTS))
def test_a_push_that_died_anywhere_is_made_good_by_repeating_it(rehearsal: Rehearsal, part: int) -> None:
    assert rehearsal.wanted["kiosk"] != rehearsal.base
    for moment in range(part, rehearsal.moments - 1, PARTS):
        rehearsal.crash(moment)
        rehearsal.link.carry(rehearsal.request, ("push",))
        assert end(rehearsal.link) == rehearsal.wanted, f"died at {moment} of {rehearsal.moments}"


@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_a_dead_push_left_behind_the_next_run_sees_it(rehearsal: Rehearsal, part: int) -> None:
    """The dead run is given up, and meanwhile all its changes are undone: nothing of them may stay on a kiosk."""
    link = rehearsal.link
    for moment in range(part, rehearsal.moments - 1, PARTS):
        rehearsal.crash(moment)
        link.carry(replace(rehearsal.later, now=datetime.now(UTC)), ("extract", "push"))
        now = without_retired(link)
        assert now == rehearsal.base | {"reported": now["reported"]}, f"died at {moment}"
        assert now["reported"]["Variants"] == rehearsal.base["reported"]["Variants"]
        assert link.held() == []


def without_retired(link: Carrier) -> Json:
    """The kiosk without variants that are off sale because commercetools has no such SKU any more."""
    products = link.server.state.commercetools["product-projections"]
    carried = {variant["sku"] for product in products for variant in all_variants(product)}
    kiosk = link.kiosk()
    for product in kiosk["products"].values():
        for gid, variant in list(product["variants"].items()):
            if sku_of(gid) not in carried:
                assert not variant["isInStock"]
                assert not variant["availableToPurchase"]
                del product["variants"][gid]
    return kiosk


def test_an_extract_that_died_anywhere_is_made_good_by_repeating_it(
    sqlite_databases: Databases, begin: Start, few: Dataset, tmp_path: Path
) -> None:
    def registry(store: Store) -> list[tuple[Any, ...]]:
        return sorted(row[:-1] for row in content(store)["sku_registry"])

    with sqlite_databases.current() as url:
        store = open_store(url)
        link = begin(few, store)
        world = World(link, few)
        world.begin()
        link.clear()
        link.sync()
        world.change()
        request = link.request(**WISHES)
        keep(store, url, tmp_path / "copy.db")
        with Boundaries().watched() as counted:
            link.carry(request, ("extract",))
        read = sorted(link.run_folder(request).read_lines("extract", "part"))
        wanted = registry(store)
        for moment in range(counted.passed - 1):
            restore(store, url, tmp_path / "copy.db")
            with Boundaries(moment).watched(), pytest.raises(Crash):
                link.carry(request, ("extract",))
            link.carry(request, ("extract",))
            assert registry(store) == wanted
            assert sorted(link.run_folder(request).read_lines("extract", "part")) == read
        store.close()


def deaths_on_the_way(link: Carrier, request: CatalogueRequest, chance: random.Random) -> int:
    """Push in processes that are killed, at most five times, until one comes through."""

    def push() -> None:
        link.carry(request, ("push",))

    for deaths in range(6):
        link.store.close()
        moment = chance.randrange(2, 20) if deaths < 5 else None
        if survives(push, Boundaries(moment, kill_myself)):
            return deaths
    raise AssertionError("nobody killed the last one")


@pytest.mark.parametrize("seed", range(2))
def test_killed_processes_leave_nothing_undone(begin: Start, store: Store, few: Dataset, seed: int) -> None:
    """No exception, no clean-up: SIGKILL at random moments, one task process after the other."""
    chance = random.Random(seed)
    link = begin(few, store)
    world = World(link, few)
    world.begin()
    link.clear()
    first = link.request()
    link.carry(first, ("extract", "gate"))
    deaths = deaths_on_the_way(link, first, chance)
    world.change()
    second = link.request(**WISHES)
    link.carry(second, ("extract", "gate"))
    deaths += deaths_on_the_way(link, second, chance)
    assert deaths >= 4
    shown = {product_gid(p["id"]) for p in few.products if p["id"] != few.products[1]["id"]}
    assert link.kiosk()["products"].keys() == shown
    assert [one.rule for one in link.held()] == ["name is present in every required locale"]
    before = link.kiosk()
    link.forget()
    link.sync(**WISHES)
    assert link.sent() == {}
    assert link.kiosk() == before
