"""Injected differences of the catalogue are found with their cause, and nothing is found where nothing is wrong."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.carrying import Carrier, kept_gate
from tests.support.drift import Nights

from cogent_ops.domain.drift.model import Cause, Finding
from cogent_ops.domain.identifiers import group_gid, product_gid, variant_gid
from cogent_ops.sandbox.cloudshelf_state import KioskBehaviour
from cogent_ops.sandbox.dataset import Dataset, all_variants
from cogent_ops.sandbox.generator import generate
from cogent_ops.services.drift import catalogue, suspects
from cogent_ops.services.drift.catalogue import CatalogueComparison
from cogent_ops.store import Store

Json = dict[str, Any]
Start = Callable[..., Carrier]

pytestmark = pytest.mark.usefixtures("quick_gate")

#: Later than any change may take, and sooner than any removal.
LATER = {"hours": 2}


@pytest.fixture(autouse=True)
def _kept_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suspects, "Gate", lambda suite, link: kept_gate(suite.read_bytes(), suite, link))


@pytest.fixture(scope="module")
def dirty() -> Dataset:
    return generate(
        seed=11, products=60, now=datetime.now(UTC), every_defect=True, dirty_share=0.2, over_limit=True
    )


@pytest.fixture(scope="module")
def clean() -> Dataset:
    return generate(seed=12, products=24, now=datetime.now(UTC), dirty_share=0)


class Shop:
    """A link whose catalogue is on the kiosks, and whoever spoils it."""

    def __init__(self, link: Carrier, folder: Path) -> None:
        self.link, self.folder, self.products = link, folder, link.server.state.commercetools
        self._taken = 0

    @property
    def kiosk(self) -> Any:
        return self.link.server.state.cloudshelf

    def night(self, **later: float) -> Nights:
        self._taken += 1
        link = self.link
        return Nights(
            link.server, link.store, link.config, self.folder / str(self._taken), timedelta(**later)
        )

    def found(self, **later: float) -> dict[str, Finding]:
        return self.night(**(later or LATER)).found(CatalogueComparison)

    def causes(self, **later: float) -> dict[str, Cause]:
        return {subject: one.cause for subject, one in self.found(**later).items()}

    def explained(self, **later: float) -> Json:
        compared = self.night(**later).compare(CatalogueComparison)
        assert list(compared.findings) == []
        return {name: n for name, n in compared.counts.items() if name not in ("products", "variants")}

    def shown(self, kind: str, gid: str, **fields: Any) -> None:
        """Somebody changes a record in Cloudshelf, a while after we sent it."""
        with self.kiosk.lock:
            entity = self.kiosk.get(kind, gid)
            entity.update(fields)
            entity["updatedAt"] = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
            self.kiosk.revision[kind] += 1

    def spoilt(self, kind: str, gid: str, **fields: Any) -> None:
        """Cloudshelf confirmed something, and keeps something else."""
        with self.kiosk.lock:
            self.kiosk.get(kind, gid).update(fields)
            self.kiosk.revision[kind] += 1

    def make(self, *inputs: Json) -> None:
        with self.kiosk.lock:
            assert self.kiosk.upsert("upsertProducts", "Product", list(inputs)).errors == []

    def delete(self, gid: str) -> None:
        with self.kiosk.lock:
            assert self.kiosk.delete("Product", [gid]).errors == []


@pytest.fixture
def shop(begin: Start, local: Store, clean: Dataset, tmp_path: Path) -> Shop:
    link = begin(clean, local)
    link.clear()
    link.sync()
    return Shop(link, tmp_path / "drift")


def named(product: Json, aspect: str) -> str:
    return f"{product['key']} · {aspect}"


def with_options(data: Dataset) -> Json:
    """A product whose variants have names of their own."""
    return next(product for product in data.products if product["variants"])


# Nothing is invented


def test_nothing_is_found_where_nothing_is_wrong(
    begin: Start, store: Store, dirty: Dataset, tmp_path: Path
) -> None:
    link = begin(dirty, store)
    link.clear()
    link.sync()
    shop = Shop(link, tmp_path / "drift")
    for hours in (0, 48):
        compared = shop.night(hours=hours).compare(CatalogueComparison)
        assert [one.message for one in compared.findings] == []
        assert compared.checked == len(dirty.products)
        assert compared.counts["variants"] == sum(len(list(all_variants(p))) for p in dirty.products)


@pytest.mark.parametrize("behaviour", [{"complexity": "multiplied"}, {"batches": "atomic", "null": "keeps"}])
def test_nor_with_an_api_that_takes_less_at_once_or_keeps_what_is_null(
    begin: Start, local: Store, clean: Dataset, tmp_path: Path, behaviour: Json
) -> None:
    link = begin(clean, local, sandbox={"kiosk": KioskBehaviour(**behaviour)})
    link.clear()
    link.sync()
    assert Shop(link, tmp_path).found() == {}


def test_nothing_is_found_before_an_audit_lets_anything_be_pushed(
    begin: Start, local: Store, clean: Dataset, tmp_path: Path
) -> None:
    compared = Shop(begin(clean, local), tmp_path).night(hours=48).compare(CatalogueComparison)
    assert (compared.checked, list(compared.findings)) == (0, [])
    assert compared.counts == {"waits_for_the_audit": 1}


def test_a_held_update_and_a_held_variant_are_no_drift(shop: Shop, clean: Dataset) -> None:
    whole, part = clean.products[0], next(p for p in clean.products[1:] if p["variants"])
    shop.link.edit(whole["id"], name={})
    shop.link.edit_variant(part["id"], 1, images=[])
    shop.link.sync()
    assert shop.explained(hours=2) == {"held_by_the_gate": 2}


def test_a_change_of_a_moment_ago_is_no_drift_and_becomes_late(shop: Shop, clean: Dataset) -> None:
    product = with_options(clean)
    shop.link.edit(product["id"], name={"de": "Neu", "en": "New"})
    assert shop.explained(minutes=59) == {"changed_a_moment_ago": 1}
    found = shop.found(minutes=61)
    assert {subject: one.cause for subject, one in found.items()} == {named(product, "title"): Cause.LATE}
    assert "Neu" in found[named(product, "title")].message
    shop.link.sync()
    assert shop.found() == {}


def test_a_new_product_is_late_only_after_its_time(shop: Shop, clean: Dataset) -> None:
    product = {
        **deepcopy(clean.products[0]),
        "id": "00000000-0000-4000-8000-0000000000aa",
        "key": "brand-new",
    }
    product["masterVariant"]["sku"], product["variants"] = "BRAND-NEW", []
    with shop.products.lock:
        shop.products.add("product-projections", product)
        shop.products.add("inventory", {"sku": "BRAND-NEW", "quantityOnStock": 3, "availableQuantity": 3})
    assert shop.explained(minutes=30) == {"changed_a_moment_ago": 1}
    assert shop.causes() == {"brand-new · product": Cause.LATE}


def test_a_removal_waits_for_the_full_pass_and_is_late_when_that_does_not_come(
    shop: Shop, clean: Dataset
) -> None:
    product = clean.products[3]
    shop.link.floor.change("delete", {"product": product["key"]})
    assert shop.explained(hours=20) == {"waits_for_the_full_pass": 1}
    assert shop.causes(hours=37) == {named(product, "product"): Cause.LATE}


def test_removals_that_wait_for_a_person_are_no_drift(shop: Shop, clean: Dataset) -> None:
    gone = clean.products[:20]
    for product in gone:
        shop.link.floor.change("delete", {"product": product["key"]})
    shop.link.sync(full_refresh=True)
    assert shop.explained(hours=2) == {"removal_waits_for_a_person": len(gone)}


def test_where_very_many_differ_some_are_looked_at_and_the_others_counted(
    shop: Shop, clean: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "MOST", 2)
    for product in clean.products[:5]:
        shop.shown("Product", product_gid(product["id"]), displayName="Sale!")
    compared = shop.night(**LATER).compare(CatalogueComparison)
    assert (len(compared.findings), compared.counts["further_differences_not_listed"]) == (2, 3)


def test_a_refused_record_is_no_drift(shop: Shop, clean: Dataset) -> None:
    product = clean.products[0]
    assert not product["variants"], "its name is its variant's, too, which is not sent either"
    shop.link.edit(product["id"], name={"de": "Neu", "en": "New"})
    with shop.kiosk.lock:
        shop.kiosk.refuse = lambda operation, ids: {
            n: "ENTITY_INVALID_FIELD" for n, id_ in enumerate(ids) if id_ == product_gid(product["id"])
        }
    shop.link.sync()
    assert shop.explained(hours=2) == {"refused_and_told": 2}


def test_a_variant_taken_off_sale_stays_there_without_being_drift(shop: Shop, clean: Dataset) -> None:
    product = with_options(clean)
    gone = product["variants"][-1]
    shop.link.edit(product["id"], variants=product["variants"][:-1])
    shop.link.sync()
    compared = shop.night(hours=2).compare(CatalogueComparison)
    assert list(compared.findings) == []
    shop.shown("ProductVariant", variant_gid(gone["sku"]), isInStock=True)
    assert shop.causes() == {named(product, "variant"): Cause.MANUAL_EDIT}


def test_a_price_that_begins_waits_for_the_full_pass(shop: Shop, clean: Dataset) -> None:
    product, state = clean.products[0], shop.products
    found = shop.link.product(product["id"])
    begins = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    money = {"type": "centPrecision", "currencyCode": "EUR", "centAmount": 123_456, "fractionDigits": 2}
    dear = {"id": "p-new", "value": money, "country": "DE", "validFrom": begins}
    master = {**found["masterVariant"], "prices": [*found["masterVariant"]["prices"], dear]}
    with state.lock:
        changed = state.replace("product-projections", found, {**found, "masterVariant": master})
        changed["lastModifiedAt"] = found["lastModifiedAt"]
    assert shop.explained(minutes=59) == {}
    assert shop.explained(hours=3) == {"waits_for_the_full_pass": 1}
    (late,) = shop.found(hours=38).values()
    assert (late.cause, late.subject) == (Cause.LATE, named(product, "price"))
    assert "1234.56" in late.message


# What is wrong is found


def test_changes_made_in_cloudshelf_are_manual_edits_with_what_they_change(
    shop: Shop, clean: Dataset
) -> None:
    one, two, three, four = clean.products[:4]
    sku = two["masterVariant"]["sku"]
    node = shop.kiosk.get("ProductVariant", variant_gid(sku))
    before = node["currentPrice"]
    shop.shown("Product", product_gid(one["id"]), displayName="By hand")
    shop.shown("ProductVariant", variant_gid(sku), currentPrice=before + 1.5, originalPrice=before + 1.5)
    shop.shown(
        "ProductVariant",
        variant_gid(three["masterVariant"]["sku"]),
        metaimages=[{"url": "https://images.example.com/other.jpg", "preferredImage": True}],
    )
    shop.shown("ProductVariant", variant_gid(four["masterVariant"]["sku"]), sku="SOMETHING-ELSE")
    found = shop.found()
    assert {subject: one.cause for subject, one in found.items()} == {
        named(one, "title"): Cause.MANUAL_EDIT,
        named(two, "price"): Cause.MANUAL_EDIT,
        named(three, "image"): Cause.MANUAL_EDIT,
        named(four, "identifier"): Cause.WRONG_IDENTIFIER,
    }
    price = found[named(two, "price")]
    assert (price.amount, price.currency, price.units, price.owner) == (150, "EUR", 1, "finance")
    assert any(fact.what == sku for fact in price.evidence)
    assert found[named(one, "title")].owner == "merchandising"


def test_what_cloudshelf_confirmed_and_lost_is_lost(shop: Shop, clean: Dataset) -> None:
    one, two = clean.products[:2]
    group = next(iter(shop.kiosk.members))
    shop.spoilt("Product", product_gid(one["id"]), displayName="")
    shop.delete(product_gid(two["id"]))
    causes = shop.causes()
    assert causes == {named(one, "title"): Cause.LOST, named(two, "product"): Cause.LOST}
    with shop.kiosk.lock:
        members = list(shop.kiosk.members[group])
        shop.kiosk.members[group] = members[1:]
    left_out = shop.kiosk.get("Product", members[0])["platformProvidedId"]
    product = next(p for p in clean.products if product_gid(p["id"]) == left_out)
    assert shop.causes()[named(product, "category")] in (Cause.LOST, Cause.MANUAL_EDIT)


def test_whatever_kiosks_show_instead_is_mended_by_sending_it_again(shop: Shop, clean: Dataset) -> None:
    one, two, three, four = clean.products[:4]
    sku = two["masterVariant"]["sku"]
    group = group_gid(four["categories"][0]["id"])
    before = shop.link.kiosk()
    shop.shown("Product", product_gid(one["id"]), displayName="By hand")
    shop.shown("ProductVariant", variant_gid(sku), currentPrice=1.5)
    shop.delete(product_gid(three["id"]))
    shop.shown("ProductGroup", group, displayName="By hand")
    assert len(shop.found()) == 4
    skus = tuple(variant["sku"] for product in (one, two, three) for variant in all_variants(product))
    shop.link.sync(skus=skus)
    assert len(shop.found()) == 4, "what was confirmed is not sent without being asked for"
    shop.link.sync(skus=skus, resend=True, dry_run=True)
    assert len(shop.found()) == 4
    shop.link.sync(skus=skus, resend=True)
    assert shop.found() == {}
    assert shop.link.kiosk() == before


def test_records_that_are_not_ours_are_extra(shop: Shop, clean: Dataset) -> None:
    product = clean.products[0]
    shop.make({"id": "gid://external/ShopifyProduct/7", "displayName": "Somebody else's"})
    shop.make({"id": product_gid("00000000-0000-4000-8000-00000000dead"), "displayName": "Forgotten"})
    twin = {"currentPrice": 1.0, "originalPrice": 1.0, "isInStock": True, "availableToPurchase": True}
    stranger = {"id": "gid://external/ShopifyVariant/7", "sku": product["masterVariant"]["sku"], **twin}
    by_hand = {"id": "gid://external/ShopifyVariant/8", "sku": "BY-HAND", **twin}
    other = clean.products[1]
    with shop.kiosk.lock:
        for owner, variant in ((product, stranger), (other, by_hand)):
            rows = [{"productId": product_gid(owner["id"]), "variants": [variant]}]
            assert shop.kiosk.upsert_variants("upsertProductVariants", rows).errors == []
    assert shop.causes() == {
        "Somebody else's (gid://external/ShopifyProduct/7) · product": Cause.EXTRA,
        "00000000-0000-4000-8000-00000000dead · product": Cause.LOST,
        named(product, "variant"): Cause.WRONG_IDENTIFIER,
        named(other, "variant"): Cause.EXTRA,
    }


def test_a_renamed_group_is_found(shop: Shop, clean: Dataset) -> None:
    category = clean.products[0]["categories"][0]["id"]
    shop.shown("ProductGroup", group_gid(category), displayName="By hand")
    assert shop.causes() == {f"{group_gid(category)} · group": Cause.MANUAL_EDIT}


def test_a_past_night_is_judged_again_without_asking_anybody(shop: Shop, clean: Dataset) -> None:
    shop.shown("Product", product_gid(clean.products[0]["id"]), displayName="By hand")
    night = shop.night(**LATER)
    first = night.compare(CatalogueComparison)
    shop.link.forget()
    again = CatalogueComparison(night.parts()).compare(night.archive.night("2026-11-01"), None)
    assert again == first
    assert not shop.link.asked()
    empty = CatalogueComparison(night.parts()).compare(night.archive.night("2026-11-02"), None)
    assert (empty.checked, list(empty.findings)) == (0, [])
