"""The catalogue flow over real HTTP and a real store: what passes is on the kiosks, the rest is held and named."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.support.carrying import ROOT, STAGES, SUITE, Carrier, content

from cogent_ops.domain.identifiers import group_gid, location_gid, product_gid, variant_gid
from cogent_ops.domain.rules import PriceRules, StockRules
from cogent_ops.errors import AuditRequired, CogentOpsError, PermanentError
from cogent_ops.quality import Finding, Severity
from cogent_ops.sandbox.cloudshelf_state import ALL_PERMISSIONS, KioskBehaviour
from cogent_ops.sandbox.dataset import Dataset, Json, all_variants, money, reference
from cogent_ops.sandbox.defects import Defect, Level
from cogent_ops.sandbox.faults import FaultPlan, Rule
from cogent_ops.sandbox.generator import VARIANT_AXES, generate
from cogent_ops.sandbox.sunrise import load_sunrise
from cogent_ops.store import Store

Start = Callable[..., Carrier]
SUNRISE = Path(os.environ.get("COGENT_OPS_SHARED", ROOT / "../shared")) / "data/sunrise"
OWNERS = {
    entry["description"]: entry["meta"]["owner"]
    for entry in json.loads(SUITE.read_text(encoding="utf-8"))["expectations"]
}

pytestmark = pytest.mark.usefixtures("quick_gate")


@pytest.fixture(scope="module")
def dirty() -> Dataset:
    return generate(
        seed=11, products=110, now=datetime.now(UTC), every_defect=True, dirty_share=0.2, over_limit=True
    )


@pytest.fixture(scope="module")
def clean() -> Dataset:
    return generate(seed=12, products=24, now=datetime.now(UTC), dirty_share=0)


@pytest.fixture
def link(begin: Start, local: Store, clean: Dataset) -> Carrier:
    """A link whose clean catalogue is on the kiosks."""
    made = begin(clean, local)
    made.clear()
    made.sync()
    made.forget()
    return made


def first_with(data: Dataset, variants: int) -> Json:
    """A product with at least so many variants."""
    return next(p for p in data.products if len(p["variants"]) + 1 >= variants)


def category_key(data: Dataset, product: Json) -> str:
    ids = {category["id"]: category["key"] for category in data.categories}
    return str(ids[product["categories"][0]["id"]])


# What a run does


def expected_skus(data: Dataset, product: Json) -> set[str]:
    """SKUs of the variants that are clean, by what was planted; none when the product as a whole is not."""
    planted = data.dirt.get(product["id"], ())
    defects = {defect for defect in Defect if defect.value in planted} - {Defect.HTML_JUNK}
    alike = {Defect.INDISTINCT_VARIANTS, Defect.MISSING_ATTRIBUTES}
    if any(defect.level is Level.PRODUCT for defect in defects - alike):
        return set()
    bad = {id_ for ids in data.dirty_variants.get(product["id"], {}).values() for id_ in ids}
    if defects & alike:
        axes = {variant["id"]: axes_of(variant) for variant in all_variants(product)}
        shared = Counter(axes.values())
        bad |= {id_ for id_, found in axes.items() if shared[found] > 1}
    return {variant["sku"] for variant in all_variants(product) if variant["id"] not in bad}


def axes_of(variant: Json) -> str:
    return repr([item for item in variant["attributes"] if item["name"] in VARIANT_AXES])


def expected_groups(data: Dataset, shown: set[str]) -> dict[str, tuple[str, list[str]]]:
    """Path name and ordered products of every category with products on the kiosk, by group."""
    categories = {category["id"]: category for category in data.categories}
    members: dict[str, list[tuple[bool, Decimal, str]]] = {}
    for product in data.products:
        for category in {found["id"] for found in product["categories"]}:
            if product["id"] in shown:
                hint = product["categoryOrderHints"].get(category)
                rank = (hint is None, Decimal(hint or 0), product["id"])
                members.setdefault(category, []).append(rank)
    found = {}
    for category, ranked in members.items():
        path: list[str] = []
        above: Json | None = categories[category]
        while above is not None:
            path.insert(0, above["name"]["de"])
            above = categories.get(above.get("parent", {}).get("id"))
        found[group_gid(category)] = (" > ".join(path), [product_gid(id_) for *_, id_ in sorted(ranked)])
    return found


def test_exactly_what_passes_is_on_the_kiosk(begin: Start, store: Store, dirty: Dataset) -> None:
    link = begin(dirty, store)
    link.clear()
    counts = link.sync()
    kiosk = link.kiosk()

    wanted = {p["id"]: expected_skus(dirty, p) for p in dirty.products}
    shown = {id_ for id_, skus in wanted.items() if skus}
    assert {gid: set(product["variants"]) for gid, product in kiosk["products"].items()} == {
        product_gid(id_): set(map(variant_gid, wanted[id_])) for id_ in shown
    }
    groups = {gid: (group["displayName"], group["products"]) for gid, group in kiosk["groups"].items()}
    assert groups == expected_groups(dirty, shown)
    stores = [channel for channel in dirty.channels if "InventorySupply" in channel["roles"]]
    assert {gid: one["displayName"] for gid, one in kiosk["locations"].items()} == {
        location_gid(channel["key"]): channel["name"]["de"] for channel in stores
    }

    on_kiosk = [variant for product in kiosk["products"].values() for variant in product["variants"].values()]
    assert kiosk["reported"] == {
        "Products": len(shown),
        "Variants": len(on_kiosk),
        "ProductGroups": len(groups),
        "Images": sum(len(variant["metaimages"]) for variant in on_kiosk),
    }
    assert counts["products_accepted"] == counts["products_created"] == len(shown)
    assert counts["variants_accepted"] == counts["variants_created"] == len(on_kiosk)
    assert counts["products_accepted"] + counts["products_held"] == len(dirty.products)


def test_whatever_is_held_is_one_exception_a_cause_with_its_owner(
    begin: Start, store: Store, dirty: Dataset
) -> None:
    link = begin(dirty, store)
    link.clear()
    request = link.request()
    link.carry(request)
    findings = map(Finding.model_validate_json, link.run_folder(request).read_lines("gate", "findings"))
    causes = {
        (one.product_id, one.variant_id, one.rule) for one in findings if one.severity is Severity.BLOCK
    }
    held = link.held()
    assert len(held) == len(causes)
    assert {(record.payload["product_id"], record.rule) for record in held} == {
        (product_id, rule) for product_id, _, rule in causes
    }
    assert {record.rule: record.owner for record in held} == {
        rule: OWNERS[rule] for rule in {record.rule for record in held}
    }
    assert all(record.cure and record.message and record.field and record.count == 1 for record in held)
    planted = {p["id"] for p in dirty.products if set(dirty.dirt.get(p["id"], ())) - {Defect.HTML_JUNK.value}}
    assert {record.payload["product_id"] for record in held} == planted
    link.sync(full_refresh=True)
    assert {record.cause_key: record.count for record in link.held()} == {r.cause_key: 2 for r in held}


def test_a_second_run_sends_nothing(begin: Start, store: Store, dirty: Dataset) -> None:
    link = begin(dirty, store)
    link.clear()
    link.sync()
    before, watermark = link.kiosk(), store.watermarks.get("default", "catalogue_sync")
    assert watermark is not None
    link.forget()
    for wishes in ({}, {"full_refresh": True}, {}):
        link.sync(**wishes)
        assert link.sent() == {}
    assert link.kiosk() == before
    assert store.watermarks.get("default", "catalogue_sync") == watermark


def test_a_run_is_recorded_with_its_wishes_counts_and_report(link: Carrier) -> None:
    counts = link.sync(full_refresh=True)
    run = link.store.runs.latest("default", "catalogue_sync")
    assert run is not None
    assert (run.status, run.mode, run.params) == ("done", "full", {"full_refresh": True})
    assert run.counts["products_accepted"] == counts["products_accepted"]
    page = Path(str(run.report_path).removeprefix("file://"))
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert (page.parent / "fix_list.csv").is_file()


def test_a_delta_reads_and_sends_only_what_changed(link: Carrier, clean: Dataset) -> None:
    link.sync()
    link.forget()
    product = clean.products[2]
    link.edit(product["id"], name={"de": "Neu", "en": "New"})
    counts = link.sync()
    assert counts["mode"] == "delta"
    assert counts["products"] <= 2, "the product, and the newest one before it"
    assert link.sent() == {"upsertProducts": 1}
    shown = link.shown(product["id"])
    assert shown["displayName"] == "Neu"


# Audits


def test_nothing_is_pushed_before_an_audit_passed_or_was_accepted(
    begin: Start, local: Store, dirty: Dataset
) -> None:
    link = begin(dirty, local)
    with pytest.raises(AuditRequired, match="has not been audited yet"):
        link.sync()
    audit = link.audit()
    assert (audit.verdict, audit.is_clear) == ("no_go", False)
    with pytest.raises(AuditRequired, match="failed its audit"):
        link.sync()
    link.sync(dry_run=True)
    assert link.sent() == {}
    assert link.held() == []
    local.audits.accept("default", audit.id, actor="Ada", note="planted on purpose")
    link.sync()
    assert link.kiosk()["products"]
    (entry,) = local.audit_log.entries()
    assert (entry.actor, entry.detail["note"]) == ("Ada", "planted on purpose")


def test_an_audit_passes_within_its_tolerance(begin: Start, local: Store, dirty: Dataset) -> None:
    link = begin(dirty, local, settings={"audit_tolerance": 0.9})
    assert link.audit().verdict == "go"
    link.sync()
    assert link.kiosk()["products"]


def test_an_audit_of_nothing_is_no_go(begin: Start, local: Store, clean: Dataset) -> None:
    link = begin(clean, local, settings={"query": ('key = "nobody"',)})
    assert link.audit().verdict == "no_go"


# Changes of products


def test_a_bad_update_leaves_the_last_good_version_and_a_mended_one_releases_itself(
    link: Carrier, clean: Dataset
) -> None:
    product = clean.products[0]
    good = link.shown(product["id"])
    link.edit(product["id"], name={}, key="changed-meanwhile")
    link.sync()
    assert link.shown(product["id"]) == good
    (waiting,) = link.held()
    assert (waiting.rule, waiting.owner) == (
        "name is present in every required locale",
        "merchandising",
    )
    link.sync(full_refresh=True)
    assert link.shown(product["id"]) == good
    assert link.kiosk()["reported"]["Products"] == len(clean.products)

    link.edit(product["id"], name={"de": "Wieder gut", "en": "Fine"})
    link.sync()
    mended = link.shown(product["id"])
    assert mended["displayName"] == "Wieder gut"
    assert link.held() == []


def test_a_bad_variant_keeps_its_last_good_version_while_its_siblings_change(
    link: Carrier, clean: Dataset
) -> None:
    product = first_with(clean, 2)
    bad, fine = list(all_variants(product))[:2]
    shown = link.shown(product["id"])
    before = shown["variants"][variant_gid(bad["sku"])]
    link.edit_variant(product["id"], bad["id"], images=[])
    link.edit_variant(product["id"], fine["id"], images=[{"url": "https://images.example.com/new.jpg"}])
    link.sync()
    now = link.shown(product["id"])
    assert now["variants"][variant_gid(bad["sku"])] == before
    (image,) = now["variants"][variant_gid(fine["sku"])]["metaimages"]
    assert image["url"].endswith("new.jpg")
    (state,) = link.store.catalogue.states("default", [product["id"]]).values()
    assert (state.status, set(state.skus)) == ("partial", {v["sku"] for v in all_variants(product)})


def test_a_value_that_changes_back_is_sent_again(link: Carrier, clean: Dataset) -> None:
    """A delta leaves alone what is as it was judged last; a run in between may have pushed something else."""
    product = clean.products[0]
    for name, wishes in (
        ("Eins", {}),
        ("Zwei", {"full_refresh": True}),
        ("Eins", {}),
        ("Drei", {"skus": (product["masterVariant"]["sku"],)}),
        ("Eins", {}),
    ):
        link.edit(product["id"], name={"de": name, "en": name})
        link.sync(**wishes)
        shown = link.shown(product["id"])
        assert shown["displayName"] == name


def test_a_hold_that_ends_by_itself_is_noticed_without_a_change_of_the_product(
    begin: Start, local: Store, clean: Dataset
) -> None:
    product = clean.products[0]
    skus = {variant["sku"] for variant in all_variants(product)}
    link = begin(clean, local)
    inventory = link.server.state.commercetools["inventory"]
    entries = [entry for entry in inventory if entry["sku"] in skus]
    for entry in entries:
        inventory.remove(entry["id"])
    link.clear()
    link.sync()
    assert not link.is_shown(product["id"])
    assert {record.rule for record in link.held()} == {"an InventoryEntry exists for the SKU"}
    link.sync()
    assert not link.is_shown(product["id"])
    for entry in entries:
        inventory.put(entry)
    link.sync()
    assert link.is_shown(product["id"])
    assert link.held() == []


def test_a_price_that_begins_and_one_that_ends_need_no_change_of_the_product(
    link: Carrier, clean: Dataset
) -> None:
    product = first_with(clean, 1)
    sku = product["masterVariant"]["sku"]
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    later = {"id": "later", "value": money("EUR", 777), "validFrom": tomorrow.isoformat(timespec="seconds")}
    link.edit_variant(product["id"], 1, prices=[*product["masterVariant"]["prices"], later])
    link.sync()
    link.ahead = timedelta(days=2)
    link.sync(full_refresh=True)
    shown = link.shown(product["id"])
    assert shown["variants"][variant_gid(sku)]["currentPrice"] == 7.77


# SKUs


def test_a_variant_that_is_gone_goes_off_sale_and_comes_back(link: Carrier, clean: Dataset) -> None:
    product = first_with(clean, 3)
    *stay, gone = product["variants"]
    gid = variant_gid(gone["sku"])
    on_sale = link.shown(product["id"])
    link.edit(product["id"], variants=stay)
    counts = link.sync()
    assert counts["variants_retired"] == 1
    retired = link.shown(product["id"])
    flags = {"isInStock": False, "availableToPurchase": False}
    assert retired["variants"][gid] == on_sale["variants"][gid] | flags
    assert {**retired, "variants": on_sale["variants"]} == on_sale
    link.forget()
    link.sync(full_refresh=True)
    assert link.sent() == {}
    link.edit(product["id"], variants=[*stay, gone])
    link.sync()
    assert link.shown(product["id"]) == on_sale


def test_a_renamed_sku_is_another_variant(link: Carrier, clean: Dataset) -> None:
    product = first_with(clean, 2)
    old = product["masterVariant"]["sku"]
    link.floor.set_stock("RENAMED-1", 5)
    link.edit_variant(product["id"], 1, sku="RENAMED-1")
    request = link.request()
    link.carry(request)
    shown = link.shown(product["id"])
    assert shown["variants"][variant_gid("RENAMED-1")]["isInStock"]
    assert not shown["variants"][variant_gid(old)]["availableToPurchase"]
    findings = list(map(json.loads, link.run_folder(request).read_lines("gate", "findings")))
    assert [(one["severity"], one["sku"]) for one in findings] == [("warn", "RENAMED-1")]
    assert old in findings[0]["message"]
    assert link.held() == []


def test_a_sku_that_moves_takes_its_variant_along(link: Carrier, clean: Dataset) -> None:
    giver, taker = clean.products[0], clean.products[1]
    moving, left = giver["masterVariant"]["sku"], taker["masterVariant"]["sku"]
    link.floor.set_stock("FRESH-1", 5)
    for there, back in ((giver["id"], taker["id"]), (taker["id"], giver["id"])):
        link.edit_variant(there, 1, sku="FRESH-1")
        link.edit_variant(back, 1, sku=moving)
        link.sync()
        old, new = link.shown(there), link.shown(back)
        assert variant_gid(moving) not in old["variants"]
        assert new["variants"][variant_gid(moving)]["availableToPurchase"]
        assert old["variants"][variant_gid("FRESH-1")]["availableToPurchase"]
    assert not old["variants"][variant_gid(left)]["availableToPurchase"]
    assert link.held() == []


def test_a_sku_that_moves_unchanged_moves_all_the_same(begin: Start, local: Store, clean: Dataset) -> None:
    """Two products that differ by nothing but their SKUs exchange them."""
    link = begin(clean, local)
    plain = [p for p in clean.products if not p["variants"] and p["priceMode"] == "Embedded"]
    first, second = plain[:2]
    skus = [product["masterVariant"]["sku"] for product in (first, second)]
    shared = {name: first[name] for name in ("name", "productType", "attributes", "masterVariant")}
    link.edit(second["id"], **shared)
    link.edit_variant(second["id"], 1, sku=skus[1])
    for sku in skus:
        link.floor.set_stock(sku, 5)
    link.clear()
    link.sync()
    for product, sku in ((first, skus[1]), (second, skus[0])):
        link.edit_variant(product["id"], 1, sku=sku)
    link.sync()
    assert link.shown(first["id"])["variants"].keys() == {variant_gid(skus[1])}
    assert link.shown(second["id"])["variants"].keys() == {variant_gid(skus[0])}


def test_a_sku_that_moves_to_a_held_product_stays_on_sale_where_it_was(link: Carrier, clean: Dataset) -> None:
    giver, taker = clean.products[0], clean.products[1]
    gid = variant_gid(giver["masterVariant"]["sku"])
    link.floor.set_stock("FRESH-1", 5)
    link.edit_variant(giver["id"], 1, sku="FRESH-1")
    link.edit_variant(taker["id"], 1, sku=giver["masterVariant"]["sku"])
    link.edit(taker["id"], name={})
    for wishes in ({}, {"full_refresh": True}):
        link.sync(**wishes)
        shown = link.shown(giver["id"])
        assert shown["variants"][gid]["availableToPurchase"]
    link.edit(taker["id"], name=taker["name"])
    link.sync()
    moved = link.shown(taker["id"])
    assert moved["variants"][gid]["availableToPurchase"]
    link.sync(full_refresh=True)
    kept = link.store.catalogue.states("default", [giver["id"]])[giver["id"]].skus
    assert giver["masterVariant"]["sku"] not in kept


def test_a_sku_in_two_products_is_held_in_both_until_one_gives_it_up(link: Carrier, clean: Dataset) -> None:
    first, second = clean.products[0], clean.products[1]
    own, taken = second["masterVariant"]["sku"], first["masterVariant"]["sku"]
    before = link.shown(first["id"])
    link.edit_variant(second["id"], 1, sku=taken)
    link.edit(first["id"], slug={"de": "anders", "en": "different"})
    link.sync()
    held = {record.payload["product_id"] for record in link.held()}
    assert held == {first["id"], second["id"]}
    shown = link.shown(first["id"])
    assert shown["variants"] == before["variants"]
    link.edit_variant(second["id"], 1, sku=own)
    link.sync()
    assert link.held() == []
    again = link.shown(first["id"])
    assert again["handle"] == "anders"


# Groups


def test_groups_follow_the_category_tree(link: Carrier, clean: Dataset) -> None:
    product = clean.products[0]
    key = category_key(clean, product)
    group = group_gid(product["categories"][0]["id"])
    members = link.kiosk()["groups"][group]["products"]
    link.change("categories", key, name={"de": "Umbenannt", "en": "Renamed"})
    link.sync()
    renamed = link.kiosk()["groups"][group]
    assert renamed["displayName"].endswith("> Umbenannt")
    assert renamed["products"] == members

    others = [p for p in clean.products if product_gid(p["id"]) in members]
    for one in others:
        elsewhere = [c for c in one["categories"] if c["id"] != product["categories"][0]["id"]]
        link.edit(one["id"], categories=elsewhere or [clean.products[1]["categories"][0]])
    link.sync()
    assert group not in link.kiosk()["groups"]
    link.edit(product["id"], categories=product["categories"])
    link.sync()
    assert link.kiosk()["groups"][group]["products"] == [product_gid(product["id"])]


def test_members_stand_in_the_order_of_their_hints(link: Carrier, clean: Dataset) -> None:
    category = clean.products[0]["categories"][0]
    chosen = clean.products[:3]
    hints = ["0.7", None, "0.21"]
    for product, hint in zip(chosen, hints, strict=True):
        hinted = {} if hint is None else {category["id"]: hint}
        link.edit(product["id"], categories=[category], categoryOrderHints=hinted)
    link.sync()
    mine = {product_gid(product["id"]) for product in chosen}

    def order() -> list[str]:
        return [gid for gid in link.kiosk()["groups"][group_gid(category["id"])]["products"] if gid in mine]

    assert order() == [product_gid(chosen[place]["id"]) for place in (2, 0, 1)]
    link.edit(chosen[1]["id"], categoryOrderHints={category["id"]: "0.001"})
    link.sync()
    assert order() == [product_gid(chosen[place]["id"]) for place in (1, 2, 0)]


# Removals


def test_what_is_gone_is_removed_by_a_full_pass_and_can_come_back(link: Carrier, clean: Dataset) -> None:
    unpublished, deleted = clean.products[0], clean.products[1]
    before = link.kiosk()
    link.floor.publish_product(unpublished["id"], False)
    link.sync()
    assert link.is_shown(unpublished["id"]), "a delta cannot see what is gone"
    counts = link.sync(full_refresh=True)
    assert (counts["products_removed"], link.is_shown(unpublished["id"])) == (1, False)
    assert link.store.catalogue.states("default", [unpublished["id"]]) == {}
    link.floor.publish_product(unpublished["id"], True)
    link.sync()
    assert link.kiosk() == before | {"reported": link.kiosk()["reported"]}
    link.floor.delete_product(deleted["id"])
    link.sync(full_refresh=True)
    assert not link.is_shown(deleted["id"])
    gids = {product_gid(deleted["id"])}
    assert not any(gids & set(group["products"]) for group in link.kiosk()["groups"].values())


def test_a_mass_removal_waits_for_a_person(link: Carrier, clean: Dataset) -> None:
    for product in clean.products[:5]:
        link.floor.publish_product(product["id"], False)
    for accepted in (0, 4):
        held = link.sync(full_refresh=True, accept_removals=accepted)
        assert (held["removals_held"], link.kiosk()["products"].keys()) == (
            5,
            {product_gid(product["id"]) for product in clean.products},
        )
    (guard,) = link.held("mass_removal")
    assert guard.owner == "merchandising"
    assert "accept_removals = 5" in guard.cure
    assert set(guard.payload["sample"]) == {product["id"] for product in clean.products[:5]}
    link.sync()
    assert link.held("mass_removal"), "a delta has not looked"
    counts = link.sync(full_refresh=True, accept_removals=5)
    assert (counts["products_removed"], counts["removals_held"]) == (5, 0)
    assert len(link.kiosk()["products"]) == len(clean.products) - 5
    assert link.held("mass_removal") == []


def test_a_listing_that_ends_early_removes_nothing(link: Carrier, clean: Dataset) -> None:
    """The worst of all mistakes: a query, a scope or a server that shows nothing."""
    link.settings = {"query": ('key = "nobody"',)}
    counts = link.sync(full_refresh=True)
    assert counts["removals_held"] == len(clean.products)
    assert len(link.kiosk()["products"]) == len(clean.products)


def test_a_query_says_which_products_are_shown(begin: Start, local: Store, clean: Dataset) -> None:
    chosen = clean.products[4]
    link = begin(clean, local, settings={"query": (f'key = "{chosen["key"]}"',)})
    link.clear()
    link.sync()
    link.sync(skus=(chosen["masterVariant"]["sku"], clean.products[5]["masterVariant"]["sku"]))
    assert link.kiosk()["products"].keys() == {product_gid(chosen["id"])}


# Locations


def test_an_incomplete_store_is_named_until_it_is_mended(begin: Start, local: Store, clean: Dataset) -> None:
    link = begin(clean, local)
    key, address = clean.channels[0]["key"], clean.channels[0]["address"]
    link.change("channels", key, address={"country": "DE"})
    link.clear()
    link.sync()
    assert location_gid(key) not in link.kiosk()["locations"]
    (problem,) = link.held("location_incomplete")
    assert (problem.record, problem.field, problem.owner) == (key, "address.streetName", "retail ops")
    link.change("channels", key, address=address)
    link.sync()
    assert location_gid(key) in link.kiosk()["locations"]
    assert link.held("location_incomplete") == []


def test_a_location_that_is_no_store_any_more_stays_until_a_person_has_looked(
    link: Carrier, clean: Dataset
) -> None:
    key = clean.channels[0]["key"]
    link.change("channels", key, roles=["ProductDistribution"])
    link.sync()
    assert location_gid(key) in link.kiosk()["locations"]
    (left,) = link.held("location_incomplete")
    assert f"channel '{key}'" in left.message
    organisation = link.server.state.cloudshelf
    with organisation.lock:
        found = organisation.get("Location", location_gid(key))
        assert found is not None
        organisation.remove("Location", found)
    link.sync()
    assert link.held("location_incomplete") == []


# What Cloudshelf refuses


def test_a_refused_record_waits_as_an_exception_and_is_sent_until_it_is_taken(
    link: Carrier, clean: Dataset
) -> None:
    product, sibling = first_with(clean, 2), clean.products[0]
    gid = variant_gid(product["masterVariant"]["sku"])
    rule = Rule(kind="refuse", operation="upsertProductVariants", ids=gid, code="ENTITY_INVALID_FIELD")
    link.server.set_faults(FaultPlan(rules=(rule,)))
    before = link.shown(product["id"])
    for one in (product, sibling):
        for variant in all_variants(one):
            link.edit_variant(one["id"], variant["id"], images=[{"url": "https://images.example.com/n.jpg"}])
    counts = link.sync()
    assert counts["variants_refused"] == 1
    (refused,) = link.held("record_refused")
    assert (refused.record, refused.owner, refused.count) == (gid, "data/platform", 1)
    assert "ENTITY_INVALID_FIELD" in refused.message
    now = link.shown(product["id"])
    assert now["variants"][gid] == before["variants"][gid]
    assert all(v["metaimages"][0]["url"].endswith("/n.jpg") for k, v in now["variants"].items() if k != gid)
    link.sync()
    assert [record.count for record in link.held("record_refused")] == [2]
    link.server.set_faults(None)
    link.sync()
    taken = link.shown(product["id"])
    assert taken["variants"][gid]["metaimages"][0]["url"].endswith("/n.jpg")
    assert link.held("record_refused") == []


def test_a_new_record_that_is_refused_is_not_taken_for_one_on_the_kiosk(
    begin: Start, local: Store, clean: Dataset
) -> None:
    product, other = first_with(clean, 2), clean.products[0]
    master = variant_gid(product["masterVariant"]["sku"])
    link = begin(clean, local)
    link.server.set_faults(
        FaultPlan(
            rules=(
                Rule(kind="refuse", ids=master, code="ENTITY_INVALID_FIELD"),
                Rule(kind="refuse", ids=product_gid(other["id"]), code="ENTITY_INVALID_FIELD"),
            )
        )
    )
    link.clear()
    link.sync()
    kiosk = link.kiosk()
    states = local.catalogue.states("default", [product["id"], other["id"]])
    assert product["masterVariant"]["sku"] not in states[product["id"]].skus
    assert (states[other["id"]].status, states[other["id"]].on_kiosk) == ("held", False)
    assert (kiosk["reported"]["Products"], kiosk["reported"]["Variants"]) == (
        len(kiosk["products"]),
        sum(len(one["variants"]) for one in kiosk["products"].values()),
    )
    assert len(link.held("record_refused")) == 2
    link.server.set_faults(None)
    link.sync()
    assert link.kiosk()["products"].keys() == {product_gid(one["id"]) for one in clean.products}
    assert link.held("record_refused") == []


def test_a_new_record_that_is_taken_with_an_error_beside_it_is_on_the_kiosk(
    begin: Start, local: Store, clean: Dataset
) -> None:
    product = first_with(clean, 2)
    *stay, last = product["variants"]
    gid = variant_gid(last["sku"])
    link = begin(clean, local)
    link.edit(product["id"], variants=stay)
    link.clear()
    link.sync()
    link.server.set_faults(FaultPlan(rules=(Rule(kind="blemish", ids=gid, code="IMAGE_UPLOAD_ERROR"),)))
    link.edit(product["id"], variants=product["variants"])
    for _ in range(2):
        assert link.sync()["variants_refused"] == 1, "it is sent until nothing is beside it"
        assert [one.record for one in link.held("record_refused")] == [gid]
        assert last["sku"] in local.catalogue.states("default", [product["id"]])[product["id"]].skus
        assert local.availability.shown("default", [last["sku"]]) == {last["sku"]}
    link.server.set_faults(FaultPlan(rules=(Rule(kind="refuse", ids=gid, code="ENTITY_INVALID_FIELD"),)))
    link.sync()
    assert last["sku"] in local.catalogue.states("default", [product["id"]])[product["id"]].skus
    link.server.set_faults(None)
    link.edit(product["id"], variants=stay)
    link.sync()
    assert not link.shown(product["id"])["variants"][gid]["availableToPurchase"], "it is taken off sale"
    assert link.held("record_refused") == []


def test_a_variant_that_cannot_be_taken_off_sale_is_tried_again(link: Carrier, clean: Dataset) -> None:
    product = first_with(clean, 2)
    *stay, gone = product["variants"]
    gid = variant_gid(gone["sku"])
    link.server.set_faults(FaultPlan(rules=(Rule(kind="refuse", ids=gid, code="ENTITY_INVALID_FIELD"),)))
    link.edit(product["id"], variants=stay)
    link.sync()
    assert [record.record for record in link.held("record_refused")] == [gid]
    link.server.set_faults(None)
    link.sync()
    shown = link.shown(product["id"])
    assert not shown["variants"][gid]["availableToPurchase"]
    assert link.held("record_refused") == []


def test_a_key_that_may_not_report_numbers_still_brings_the_catalogue(
    begin: Start, local: Store, clean: Dataset
) -> None:
    allowed = frozenset(one for one in ALL_PERMISSIONS if not one.startswith("MY_ORGANISATION:MODIFY"))
    kiosk = KioskBehaviour(permissions=allowed, statistics_permission="MY_ORGANISATION")
    link = begin(clean, local, sandbox={"kiosk": kiosk})
    link.clear()
    link.sync()
    assert len(link.kiosk()["products"]) == len(clean.products)
    assert local.watermarks.get("default", "catalogue_sync") is not None
    (refused,) = link.held("record_refused")
    assert refused.record == "catalogue statistics"
    object.__setattr__(link.server.state.cloudshelf.behaviour, "permissions", ALL_PERMISSIONS)
    link.sync()
    assert link.held("record_refused") == []


# Other ways to run


def test_a_dry_run_shows_what_the_run_would_do_and_does_nothing(link: Carrier, clean: Dataset) -> None:
    product = first_with(clean, 3)
    link.edit(product["id"], variants=product["variants"][:-1], name={"de": "Neu", "en": "New"})
    moved = clean.products[-1]
    link.edit(moved["id"], categories=[product["categories"][0]], categoryOrderHints={})
    link.floor.publish_product(clean.products[0]["id"], False)
    link.change("categories", category_key(clean, product), name={"de": "Anders", "en": "Other"})
    before, kept = link.kiosk(), content(link.store, "sync_run", "sku_registry")
    request = link.request(dry_run=True, full_refresh=True)
    planned = link.carry(request)
    assert link.sent() == {}
    assert link.kiosk() == before
    assert content(link.store, "sync_run", "sku_registry") == kept
    shown = Counter(
        f"{entry['kind']}s_{entry['action']}d"
        for entry in map(json.loads, link.run_folder(request).read_lines("gate", "preview"))
    )

    done = link.sync(full_refresh=True)
    verbs = ("_created", "_updated", "_removed", "_unchanged", "_retired")
    counted = {name: count for name, count in done.items() if name.endswith(verbs)}
    assert {name: planned[name] for name in counted} == counted
    assert min(counted[name] for name in ("products_updated", "products_removed", "memberships_updated")) > 0
    quiet = ("_unchanged", "_retired")
    assert shown == {name: count for name, count in counted.items() if count and not name.endswith(quiet)}


def test_a_dry_run_before_the_first_push_shows_all_of_it(begin: Start, local: Store, clean: Dataset) -> None:
    link = begin(clean, local)
    planned = link.sync(dry_run=True)
    link.clear()
    done = link.sync()
    created = {name: count for name, count in done.items() if name.endswith("_created")}
    assert created["memberships_created"] > 0
    assert {name: planned[name] for name in created} == created


def test_chosen_skus_touch_nothing_else(begin: Start, local: Store, clean: Dataset) -> None:
    link = begin(clean, local)
    link.clear()
    product, other = first_with(clean, 3), clean.products[0]
    counts = link.sync(skus=[variant["sku"] for variant in all_variants(product)])
    assert (counts["mode"], counts["products"]) == ("skus", 1)
    link.sync(skus=(other["masterVariant"]["sku"],))
    assert link.kiosk()["products"].keys() == {product_gid(product["id"]), product_gid(other["id"])}
    assert local.watermarks.get("default", "catalogue_sync") is None


def test_skus_that_nobody_carries_are_said(
    link: Carrier, clean: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(PermanentError, match=r"carries: NO-SUCH, no-such-2\. Check how the SKUs are written"):
        link.sync(skus=("NO-SUCH", "no-such-2"))
    link.sync(skus=("NO-SUCH", clean.products[0]["masterVariant"]["sku"]))
    assert "carries: NO-SUCH. Check" in caplog.text


def test_more_and_longer_skus_than_a_query_may_name(begin: Start, local: Store, clean: Dataset) -> None:
    link = begin(clean, local)
    link.clear()
    chosen = clean.products[:6]
    skus = [f"{place}-{'Ж' * 120}" for place in range(len(chosen))]
    for product, sku in zip(chosen, skus, strict=True):
        link.floor.set_stock(sku, 3)
        link.edit_variant(product["id"], 1, sku=sku)
    link.sync(skus=skus)
    assert link.kiosk()["products"].keys() == {product_gid(product["id"]) for product in chosen}


def test_a_backfill_reads_its_interval_and_moves_nothing_else(
    begin: Start, local: Store, clean: Dataset
) -> None:
    link = begin(clean, local)
    link.clear()
    times = sorted(datetime.fromisoformat(product["lastModifiedAt"]) for product in clean.products)
    since, until = times[5], times[12]
    inside = {
        product["id"]
        for product in clean.products
        if since <= datetime.fromisoformat(product["lastModifiedAt"]) < until
    }
    counts = link.sync(interval=(since, until))
    assert (counts["mode"], counts["products"]) == ("backfill", len(inside))
    assert link.kiosk()["products"].keys() == set(map(product_gid, inside))
    run = local.runs.latest("default", "catalogue_sync")
    assert run is not None
    assert (run.window_start, run.window_end) == (since, until)
    assert local.watermarks.get("default", "catalogue_sync") is None
    assert local.watermarks.get("default", "catalogue_sync.full") is None


def test_two_links_of_one_project_do_not_meet(
    begin: Start, store: Store, clean: Dataset, tmp_path: Path
) -> None:
    include = tmp_path / "two"
    include.mkdir()
    text = (ROOT / "include/mapping.yaml").read_text(encoding="utf-8")
    british_rules = "britain: {country: GB, currency: GBP, locales: [en], required_locales: [en]}"
    (include / "mapping.yaml").write_text(f"{text}\n  {british_rules}\n", encoding="utf-8")
    german, british = (begin(clean, store, name=name, include=include) for name in ("default", "britain"))
    british.server.state.commercetools = german.server.state.commercetools
    british.server.app.commercetools = german.server.app.commercetools
    german.clear()
    with pytest.raises(AuditRequired, match="'britain'"):
        british.sync()
    british.clear()
    for link in (german, british):
        link.sync()
    product = clean.products[0]
    names, prices = [], []
    for link in (german, british):
        assert link.kiosk()["products"].keys() == {product_gid(one["id"]) for one in clean.products}
        shown = link.shown(product["id"])
        names.append(shown["displayName"])
        prices.append(shown["variants"][variant_gid(product["masterVariant"]["sku"])]["originalPrice"])
    assert names == [product["name"]["de"], product["name"]["en"]]
    cents = {
        price["value"]["currencyCode"]: price["value"]["centAmount"] for price in prices_of(clean, product)
    }
    assert prices == [cents["EUR"] / 100, cents["GBP"] / 100]

    german.edit(product["id"], name={"de": "Neu", "en": product["name"]["en"]})
    british.forget()
    for link in (german, british):
        link.sync()
    assert british.sent() == {}, "nothing changed in English"
    renamed = german.shown(product["id"])
    assert renamed["displayName"] == "Neu"


def prices_of(data: Dataset, product: Json) -> list[Json]:
    sku = product["masterVariant"]["sku"]
    standalone = [price for price in data.standalone_prices if price["sku"] == sku]
    return standalone or list(product["masterVariant"]["prices"])


# Prices and stock as the mapping selects them


@pytest.mark.parametrize(
    ("mode", "rules", "cents"),
    [
        ("Embedded", {}, 1000),
        ("Embedded", {"channel": "store-berlin"}, 800),
        ("Standalone", {}, 1000),
        ("Standalone", {"channel": "store-berlin", "customer_group": "loyalty"}, 700),
    ],
)
def test_the_price_that_the_link_selects(
    begin: Start, local: Store, mode: str, rules: dict[str, str], cents: int
) -> None:
    data = generate(seed=4, products=2, now=datetime.now(UTC), dirty_share=0, variants=1, standalone_share=0)
    link = begin(data, local, settings={"prices": PriceRules(**rules)})
    product = data.products[0]
    sku = product["masterVariant"]["sku"]
    channel = next(one["id"] for one in data.channels if one["key"] == "store-berlin")
    group = next(one["id"] for one in data.customer_groups if one["key"] == "loyalty")
    prices: list[Json] = [
        {"id": "1", "value": money("EUR", 1000), "country": "DE"},
        {"id": "2", "value": money("EUR", 800), "channel": reference("channel", channel)},
        {"id": "3", "value": money("EUR", 700), "customerGroup": reference("customer-group", group)},
        {"id": "4", "value": money("GBP", 600), "country": "GB"},
        {"id": "5", "value": money("EUR", 500), "country": "AT"},
    ]
    embedded = prices if mode == "Embedded" else []
    link.edit(product["id"], priceMode=mode)
    link.edit_variant(product["id"], 1, prices=embedded)
    standalone = link.server.state.commercetools["standalone-prices"]
    for price in prices if mode == "Standalone" else ():
        stamp = "2026-01-01T00:00:00.000Z"
        standalone.put({**price, "version": 1, "sku": sku, "active": True, "lastModifiedAt": stamp})
    link.clear()
    link.sync()
    shown = link.shown(product["id"])
    assert shown["variants"][variant_gid(sku)]["currentPrice"] == cents / 100


@pytest.mark.parametrize(
    ("rules", "in_stock"),
    [
        ({}, True),
        ({"channels": ("store-berlin",)}, False),
        ({"channels": ("store-berlin",), "count_channelless": False}, False),
        ({"channels": ("store-munich",)}, True),
        ({"safety_stock": 4}, False),
    ],
)
def test_the_stock_that_the_link_counts(
    begin: Start, local: Store, rules: dict[str, Any], in_stock: bool
) -> None:
    data = generate(seed=4, products=2, now=datetime.now(UTC), dirty_share=0, variants=1)
    link = begin(data, local, settings={"stock": StockRules(**rules)})
    sku = data.products[0]["masterVariant"]["sku"]
    inventory = link.server.state.commercetools["inventory"]
    for entry in list(inventory.by("sku", sku)):
        inventory.remove(entry["id"])
    link.floor.set_stock(sku, 4, "store-munich")
    link.floor.set_stock(sku, 0)
    link.clear()
    link.sync()
    shown = link.shown(data.products[0]["id"])
    assert shown["variants"][variant_gid(sku)]["isInStock"] is in_stock


# Runs that come late, or fail


def test_a_run_that_goes_on_late_undoes_nothing(begin: Start, local: Store, clean: Dataset) -> None:
    """It waited for a retry, or somebody cleared it, and meanwhile a later run has been through."""
    link = begin(clean, local)
    product, added, renamed = clean.products[0], clean.products[1], clean.products[2]
    link.floor.publish_product(added["id"], False)
    link.clear()
    link.sync()
    late = link.request(full_refresh=True)
    link.carry(late, ("extract", "gate"))
    link.edit(product["id"], name={"de": "Neuer", "en": "Newer"})
    link.edit(renamed["id"], name={})
    link.floor.publish_product(added["id"], True)
    link.sync()
    now, watermark = link.kiosk(), local.watermarks.get("default", "catalogue_sync")
    full = local.watermarks.get("default", "catalogue_sync.full")
    counts = link.carry(late, ("push", "report"))
    assert counts["products_overtaken"] == 2
    assert link.kiosk()["products"] == now["products"]
    assert link.is_shown(added["id"])
    assert [record.payload["product_id"] for record in link.held()] == [renamed["id"]]
    assert local.watermarks.get("default", "catalogue_sync") == watermark
    assert full is not None
    after = local.watermarks.get("default", "catalogue_sync.full")
    assert after is not None
    assert after >= full


def test_a_product_deleted_between_two_pages_is_removed_by_the_next_full_pass(
    link: Carrier, clean: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cogent_ops.clients.commercetools import CommercetoolsClient

    link.settings = {"page_size": 10}
    ids = sorted(product["id"] for product in clean.products)
    read, unread = ids[0], ids[-1]
    pages = CommercetoolsClient.pages

    def deleting(self: Any, resource: str, **wishes: Any) -> Iterator[Any]:
        for number, page in enumerate(pages(self, resource, **wishes)):
            yield page
            if resource == "product-projections" and number == 0:
                link.floor.delete_product(read)
                link.floor.delete_product(unread)

    with monkeypatch.context() as patched:
        patched.setattr(CommercetoolsClient, "pages", deleting)
        counts = link.sync(full_refresh=True)
    assert counts["products"] == len(ids) - 1, "no other product is missed or read twice"
    assert (link.is_shown(read), link.is_shown(unread)) == (True, False)
    link.sync(full_refresh=True)
    assert link.kiosk()["products"].keys() == set(map(product_gid, ids[1:-1]))


def test_a_failed_run_leaves_the_watermark_where_it_was_and_says_why(link: Carrier, clean: Dataset) -> None:
    before = link.store.watermarks.get("default", "catalogue_sync")
    link.edit(clean.products[0]["id"], name={"de": "Neu", "en": "New"})
    behaviour = link.server.state.cloudshelf.behaviour
    key = behaviour.api_key
    object.__setattr__(behaviour, "api_key", "changed")
    request = link.request()
    link.carry(request, STAGES[:2])
    with pytest.raises(CogentOpsError, match="cloudshelf_default"):
        link.carry(request, ("push",))
    assert link.store.watermarks.get("default", "catalogue_sync") == before
    (failed, *_) = link.store.runs.recent(link="default")
    assert (failed.status, failed.counts["failed_in"]) == ("failed", "push")
    assert "Connection 'cloudshelf_default', field 'password (API key)'" in failed.counts["reason"]
    object.__setattr__(behaviour, "api_key", key)
    link.carry(request, ("push", "report"))
    (mended, *_) = link.store.runs.recent(link="default")
    assert (mended.id, mended.status, mended.counts["products_updated"]) == (failed.id, "done", 1)
    shown = link.shown(clean.products[0]["id"])
    assert shown["displayName"] == "Neu"


# Sunrise


@pytest.mark.skipif(not SUNRISE.is_dir(), reason=f"the Sunrise sample data is not here ({SUNRISE})")
def test_every_row_of_sunrise_is_pushed_or_held_with_a_reason(
    begin: Start, local: Store, record_property: Callable[[str, object], None]
) -> None:
    data = load_sunrise(SUNRISE, now=datetime.now(UTC))
    link = begin(data, local, include=ROOT / "docs/examples/sunrise")
    link.clear()
    request = link.request()
    counts = link.carry(request)
    kiosk = link.kiosk()["products"]
    blocked = [
        finding
        for finding in map(
            Finding.model_validate_json, link.run_folder(request).read_lines("gate", "findings")
        )
        if finding.severity is Severity.BLOCK
    ]
    whole = {finding.product_id for finding in blocked if finding.variant_id is None}
    single = {(finding.product_id, finding.variant_id) for finding in blocked}
    accounts: Counter[str] = Counter()
    for product in data.products:
        shown = kiosk.get(product_gid(product["id"]), {"variants": {}})["variants"]
        for variant in all_variants(product):
            pushed = "sku" in variant and variant_gid(variant["sku"]) in shown
            reason = product["id"] in whole or (product["id"], variant["id"]) in single
            assert pushed is not reason, (product["key"], variant["id"])
            accounts["pushed" if pushed else "held"] += 1
    record_property("sunrise", f"{dict(data.source_counts)}: {dict(accounts)}, {counts}")
    assert accounts["pushed"] == counts["variants_accepted"] == counts["variants_created"] > 0
    assert accounts["held"] == counts["variants_held"]
    assert sum(accounts.values()) == data.source_counts["variants"] == counts["variants"]
    assert len(kiosk) == counts["products_accepted"] == counts["products_created"]
    assert counts["products_accepted"] + counts["products_held"] == data.source_counts["products"]
    assert {(record.payload["product_id"], record.rule) for record in link.held()} == {
        (finding.product_id, finding.rule) for finding in blocked
    }
