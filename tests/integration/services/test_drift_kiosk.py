"""What kiosks show of stock, compared with what they were told: over a sandbox, with traffic that is under way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.integration.clients.helpers import kiosk, shop
from tests.support.carrying import ROOT, Carrier
from tests.support.nights import QUICKLY
from tests.support.shelves import Shelves
from upath import UPath

from cogent_ops.clients.cloudshelf import StockLevel
from cogent_ops.domain.drift.model import Finding
from cogent_ops.domain.identifiers import location_gid, parse_gid, sku_of, variant_gid
from cogent_ops.sandbox.cloudshelf_state import KioskBehaviour
from cogent_ops.sandbox.generator import VariantMix, generate
from cogent_ops.services.drift.comparison import Parts
from cogent_ops.services.drift.kiosk import KioskComparison
from cogent_ops.services.drift.nights import Nights
from cogent_ops.store import Store
from cogent_ops.store.schema import stock_level, variant_flag

Json = dict[str, Any]


class KioskNights:
    """Nights that compare kiosks only."""

    def __init__(self, shelves: Shelves, folder: Path) -> None:
        self.shelves, self.count = shelves, 0
        carrier = shelves.carrier
        rules = carrier.config.drift.model_copy(update=QUICKLY)
        self.parts = Parts(
            config=carrier.config.model_copy(update={"drift": rules}),
            store=shelves.store,
            commercetools=shop(carrier.server),
            cloudshelf=kiosk(carrier.server),
            locations=carrier.files.locations,
            project="commercetools/sandbox",
            suite=ROOT / "include" / "schemas" / "product_master.json",
            run_key="drift",
            now=lambda: datetime.now(UTC),
        )
        self.nights = Nights(self.parts, UPath(folder), (KioskComparison,))

    def night(self) -> list[Finding]:
        self.count += 1
        name = f"2026-12-{self.count:02d}"
        self.nights.snapshot(name)
        self.nights.compare(name)
        return [one.finding for one in self.shelves.store.drift.findings(self.shelves.link, name)]

    def make_old(self, minutes: float = 60) -> None:
        """What was told was told so long ago, and so was what should have been."""
        moment = datetime.now(UTC) - timedelta(minutes=minutes)
        with self.shelves.store.begin() as conn:
            for one in (stock_level, variant_flag):
                conn.execute(sa.update(one).values(wanted_at=moment))
                conn.execute(sa.update(one).where(one.c.told_at.is_not(None)).values(told_at=moment))

    def level(self, sku: str, channel: str) -> Json:
        """A stock level as Cloudshelf has it, to be spoilt."""
        state = self.shelves.carrier.server.state.cloudshelf
        variant, location = self.entity("ProductVariant", variant_gid(sku)), location_gid(channel)
        found: Json = state.stock[variant["id"]][self.entity("Location", location)["id"]]
        return found

    def entity(self, kind: str, gid: str) -> Json:
        """A record as Cloudshelf has it."""
        found = self.shelves.carrier.server.state.cloudshelf.get(kind, gid)
        assert found is not None
        return found


@pytest.fixture
def kiosks(begin: Callable[..., Carrier], store: Store, quick_gate: None, tmp_path: Path) -> KioskNights:
    """A catalogue on the kiosks, with its stock, told an hour ago."""
    mix = VariantMix(((1, 1, 3),))
    data = generate(seed=31, products=6, now=datetime.now(UTC), dirty_share=0, variants=mix)
    carrier = begin(data, store, sandbox={"kiosk": KioskBehaviour(safety_stock_itself="out")})
    carrier.clear()
    carrier.sync()
    shelves = Shelves(carrier)
    shelves.settle(full=True)
    made = KioskNights(shelves, tmp_path / "root")
    made.make_old()
    return made


def a_level(kiosks: KioskNights, *, in_stock: bool = True) -> tuple[str, str]:
    """SKU and Channel of a level that was told."""
    for (variant, location), (units, said) in sorted(kiosks.shelves.levels().items()):
        if units > 0 and said is in_stock:
            return sku_of(variant), parse_gid(location).id
    raise AssertionError("no such level")


def test_kiosks_that_show_what_they_were_told_are_no_finding(kiosks: KioskNights) -> None:
    assert kiosks.night() == []


def test_a_flag_that_somebody_turned_is_found_and_one_told_a_moment_ago_is_not(kiosks: KioskNights) -> None:
    sku, store = a_level(kiosks)
    kiosks.level(sku, store)["isInStock"] = False
    (found,) = kiosks.night()
    assert (found.subject, found.cause, found.place) == (f"{sku}@{store}", "kiosk_flag", store)
    assert "kiosks show out of stock, and were told" in found.message

    kiosks.make_old(minutes=-1)
    assert kiosks.night() == []


def test_a_variant_that_shows_other_flags_and_a_level_that_is_gone(kiosks: KioskNights) -> None:
    sku, store = a_level(kiosks)
    state = kiosks.shelves.carrier.server.state.cloudshelf
    variant = kiosks.entity("ProductVariant", variant_gid(sku))
    assert variant["isInStock"] is True
    variant["isInStock"] = False
    location = kiosks.entity("Location", location_gid(store))
    del state.stock[variant["id"]][location["id"]]
    found = {one.subject: one for one in kiosks.night()}
    assert {subject: one.cause for subject, one in found.items()} == {
        sku: "kiosk_flag",
        f"{sku}@{store}": "kiosk_flag",
    }
    assert "kiosks show nothing" in found[f"{sku}@{store}"].message


def test_stock_at_a_location_that_is_no_store_and_stock_that_nobody_told(kiosks: KioskNights) -> None:
    sku, store = a_level(kiosks)
    shelves = kiosks.shelves
    client = kiosk(shelves.carrier.server)
    state = shelves.carrier.server.state.cloudshelf
    place = {"displayName": "Old", "countryCode": "DE", "address1": "Hauptstr. 1"}
    with state.lock:
        state.upsert("upsertLocations", "Location", [{"id": location_gid("closed"), **place}])
    client.upsert_stock_levels([StockLevel(location_gid("closed"), variant_gid(sku), 4)])
    with shelves.store.begin() as conn:
        gone = sa.and_(stock_level.c.sku == sku, stock_level.c.channel == store)
        conn.execute(sa.delete(stock_level).where(gone))
    found = {one.subject: one.cause for one in kiosks.night()}
    assert found == {f"{sku}@closed": "phantom_location", f"{sku}@{store}": "extra"}


def test_what_kiosks_should_have_heard_long_ago_is_late(kiosks: KioskNights) -> None:
    sku, store = a_level(kiosks)
    here = sa.and_(stock_level.c.sku == sku, stock_level.c.channel == store)
    with kiosks.shelves.store.begin() as conn:
        conn.execute(sa.update(stock_level).where(here).values(wanted=stock_level.c.wanted + 1))
    assert [(one.subject, one.cause) for one in kiosks.night()] == [(f"{sku}@{store}", "late")]
    with kiosks.shelves.store.begin() as conn:
        conn.execute(sa.update(stock_level).where(here).values(wanted_at=datetime.now(UTC)))
    assert kiosks.night() == []

    long_ago = datetime.now(UTC) - timedelta(hours=2)
    with kiosks.shelves.store.begin() as conn:
        conn.execute(sa.update(variant_flag).where(variant_flag.c.sku == sku).values(read_due=long_ago))
    (found,) = kiosks.night()
    assert (found.subject, found.cause) == (sku, "late")
    assert "nobody has looked" in found.message


def test_a_safety_stock_is_no_difference(kiosks: KioskNights) -> None:
    """Kiosks then say out of stock although some are there, because the business wants it so."""
    server = kiosks.shelves.carrier.server
    sku, store = a_level(kiosks)
    units = kiosks.shelves.level(sku, store)[0]
    state = server.state.cloudshelf
    state.behaviour = replace(state.behaviour, safety_stock=units + 1)
    for levels in state.stock.values():
        for level in levels.values():
            level["isInStock"] = level["quantity"] > units
    kiosks.make_old()
    assert [one for one in kiosks.night() if one.place == store and one.subject.startswith(sku)] == []
