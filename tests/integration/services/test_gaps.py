"""A gap closes only when everything in it was read again, and when that is seen to agree; what does not is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from tests.integration.services.test_availability import STRICT, a_sku, a_store
from tests.support.carrying import Carrier
from tests.support.kiosks import ulid
from tests.support.landed import Landed, worlds
from tests.support.outside import LINK, Outskirts, one
from tests.support.shelves import Shelves

from cogent_ops.clients.transport import close_sessions
from cogent_ops.domain.exceptions import Kind
from cogent_ops.domain.health.model import State
from cogent_ops.sandbox.dataset import Dataset
from cogent_ops.sandbox.generator import VariantMix, generate
from cogent_ops.services.availability import CHANGES
from cogent_ops.services.beat import SHOP_LOOKED
from cogent_ops.services.health import gaps
from cogent_ops.services.health.looking import OutsideReport
from cogent_ops.services.orders.shop import SHOP_FLOW
from cogent_ops.store import Store
from cogent_ops.store.health_gaps import Gap
from cogent_ops.store.schema import stock_level, sync_run, variant_flag

Begin = Callable[..., Carrier]
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
CATALOGUE = "catalogue_sync"
STOPPED = Kind.SUBSCRIPTION_STOPPED

pytestmark = pytest.mark.usefixtures("quick_gate")


@pytest.fixture(scope="module")
def clean() -> Dataset:
    """Clean products that were last touched long before any gap."""
    mix = VariantMix(((1, 1, 4),))
    return generate(seed=31, products=12, now=datetime.now(UTC) - 5 * HOUR, dirty_share=0, variants=mix)


@dataclass
class Gapped:
    """A link whose catalogue and stock are on the kiosks, and whoever watches what lies outside."""

    carrier: Carrier
    shelves: Shelves
    outside: Outskirts

    @property
    def store(self) -> Store:
        return self.carrier.store

    def look(self, later: timedelta = timedelta(0)) -> OutsideReport:
        return self.outside.look("subscriptions", "messages", "gaps", later=later)

    def stop(self) -> None:
        """A Subscription that delivered half an hour ago, and then stopped."""
        self.outside.subscribe()
        self.look(-30 * MINUTE)
        self.outside.change("subscription", subscription="erp", status="ConfigurationErrorDeliveryStopped")
        self.look(-25 * MINUTE)

    def go_on(self) -> None:
        """Ten minutes ago it delivered again."""
        self.outside.change("subscription", subscription="erp", status="Healthy")
        self.look(-10 * MINUTE)

    def in_the_gap(self, *what: Callable[[], Any]) -> None:
        """Things happen a quarter of an hour ago, while nobody is told."""
        clock = self.carrier.server.state.clock
        clock.advance(-15 * 60)
        for one_ in what:
            one_()
        clock.advance(15 * 60)

    def look_elsewhere(self) -> None:
        """The flows believe to have read everything up to now, and are told of something else."""
        self.shelves.set("SOMETHING-ELSE", 1)
        with self.store.begin() as conn:
            for flow in (CHANGES, CATALOGUE):
                self.store.watermarks.set(conn, LINK, flow, datetime.now(UTC) + MINUTE)

    def gap(self) -> Gap:
        (found,) = self.store.gaps.recent(LINK, datetime.now(UTC) - HOUR)
        return found

    def left(self) -> list[str]:
        found: list[str] = self.gap().detail["left"]
        return found


@pytest.fixture
def make(begin: Begin) -> Callable[[Dataset, Store], Gapped]:
    def made(data: Dataset, store: Store) -> Gapped:
        carrier = begin(data, store, sandbox={"kiosk": STRICT})
        carrier.clear()
        carrier.sync()
        shelves = Shelves(carrier)
        shelves.settle()
        return Gapped(carrier, shelves, Outskirts(carrier.server, store))

    return made


Make = Callable[[Dataset, Store], Gapped]


def test_what_was_missed_is_read_again_before_the_gap_closes(
    make: Make, clean: Dataset, store: Store
) -> None:
    """Nobody would have read any of this: not by its time, not by a hint, not for a quarter of an hour."""
    world = make(clean, store)
    shelves, carrier = world.shelves, world.carrier
    counted, sold, gone = (a_sku(clean, place) for place in range(3))
    product = clean.products[0]["id"]
    world.stop()
    world.in_the_gap(
        lambda: shelves.set(counted, 77, a_store(shelves, counted)),
        lambda: shelves.sell("web-1", sold, 1, a_store(shelves, sold)),
        lambda: shelves.remove_entry(gone, a_store(shelves, gone)),
        lambda: carrier.edit(product, name={"de": "Neuer Name", "en": "New name"}),
    )
    world.look_elsewhere()
    shelves.renewed()
    shelves.settle()
    carrier.sync()
    with pytest.raises(AssertionError):
        shelves.check()
    assert carrier.shown(product)["displayName"] != "Neuer Name"

    world.go_on()
    (said,) = world.outside.open(STOPPED)
    assert "read again in a few minutes" in said
    before = world.store.watermarks.get(LINK, CHANGES)
    found = world.look()
    gap = world.gap()
    assert gap.replayed_at is not None
    began = gap.began_at - 2 * MINUTE
    assert gap.detail["moved_back"] == [CHANGES, CATALOGUE]
    assert [world.store.watermarks.get(LINK, flow) for flow in (CHANGES, CATALOGUE)] == [began, began]
    assert before is not None
    assert before > began
    assert world.store.availability.unread(LINK) == len(shelves.variants())
    assert one(found, "Gap of Subscription erp").state is State.LATE
    assert world.left() == [
        "catalogue_sync has not read the catalogue again since",
        f"{len(shelves.variants())} articles whose stock availability_push has not read again yet",
    ]

    shelves.settle()
    shelves.check()
    world.look()
    assert world.left() == ["catalogue_sync has not read the catalogue again since"]
    (said,) = world.outside.open(STOPPED)
    assert "Left: catalogue_sync" in said

    carrier.sync()
    shelves.settle()
    assert carrier.shown(product)["displayName"] == "Neuer Name"
    found = world.look()
    assert world.outside.open(STOPPED) == []
    assert one(found, "Gap of Subscription erp").state is State.GOOD
    gap = world.gap()
    assert gap.reconciled_at is not None
    assert gap.detail["left"] == []
    assert gap.detail["reading"]["messages"] >= 3
    assert {counted, sold, gone} <= set(gap.detail["reading"]["skus"])
    assert world.store.gaps.open(LINK) == []
    assert states_of(world.look()) == {"Subscriptions", "Messages"}, "a gap that is closed is told once"


def states_of(report: OutsideReport) -> set[str]:
    return {check.name for check in report.checks}


def replayed(world: Gapped) -> None:
    """A gap of which everything was read again, just before it is compared."""
    world.stop()
    world.go_on()
    world.look()
    world.carrier.sync()
    world.shelves.settle()


def test_the_catalogue_was_read_again_however_many_runs_follow(
    make: Make, clean: Dataset, store: Store
) -> None:
    world = make(clean, store)
    world.stop()
    world.go_on()
    world.look()
    world.carrier.sync()
    for _ in range(6):
        world.carrier.sync(skus=(a_sku(clean),))
    waits = f"{len(world.shelves.variants())} articles whose stock availability_push has not read again yet"
    world.look()
    assert world.left() == [waits]
    with store.begin() as conn:
        conn.execute(sa.delete(sync_run))
    world.look()
    assert world.left() == [waits], "it is remembered, however long the rest takes"
    world.shelves.settle()
    world.look()
    assert world.outside.open(STOPPED) == []


def test_runs_that_read_a_part_or_change_nothing_do_not_count(
    make: Make, clean: Dataset, local: Store
) -> None:
    world = make(clean, local)
    world.stop()
    world.go_on()
    world.look()
    world.carrier.sync(skus=(a_sku(clean),))
    world.carrier.sync(full_refresh=True, dry_run=True)
    world.shelves.settle()
    world.look()
    assert world.left() == ["catalogue_sync has not read the catalogue again since"]


def test_stock_that_differs_keeps_it_open_and_is_named(make: Make, clean: Dataset, store: Store) -> None:
    world = make(clean, store)
    sku = a_sku(clean)
    channel = a_store(world.shelves, sku)
    world.in_the_gap(lambda: world.shelves.set(sku, 41, channel))
    replayed(world)
    wrong = {"stores": {channel: 5}}
    with store.begin() as conn:
        conn.execute(sa.update(variant_flag).where(variant_flag.c.sku == sku).values(counted=wrong))
    world.look()
    (left,) = world.left()
    assert left.startswith(f"1 article of which stock differs: {sku}: ")
    assert f"41 at {channel}" in left
    assert left.endswith(f"5 at {channel} here")
    (said,) = world.outside.open(STOPPED)
    assert left in said
    store.availability.read_soon(LINK, [sku], datetime(2000, 1, 1, tzinfo=UTC))
    world.shelves.settle()
    world.look()
    assert world.outside.open(STOPPED) == []


def test_what_kiosks_are_not_told_keeps_it_open(make: Make, clean: Dataset, local: Store) -> None:
    world = make(clean, local)
    replayed(world)
    sku = a_sku(clean)
    untold = {"told": None, "due_at": datetime.now(UTC) + HOUR, "wanted_at": datetime.now(UTC)}
    with local.begin() as conn:
        conn.execute(sa.update(stock_level).where(stock_level.c.sku == sku).values(untold))
    world.look()
    (left,) = world.left()
    assert left.startswith(f"stock that kiosks have not been told yet: {sku}@")
    world.shelves.let_time_pass()
    world.shelves.settle()
    world.look()
    assert world.outside.open(STOPPED) == []


def test_what_changes_while_it_is_compared_is_on_its_way(make: Make, clean: Dataset, local: Store) -> None:
    world = make(clean, local)
    sku = a_sku(clean)
    channel = a_store(world.shelves, sku)
    world.in_the_gap(lambda: world.shelves.set(sku, 41, channel))
    replayed(world)
    units = iter(range(100, 1000))

    def busy(seconds: float) -> None:
        """Somebody sells all the time."""
        world.shelves.set(sku, next(units), channel)

    world.shelves.set(sku, 42, channel)
    looks = world.outside.looks()
    reader = looks["gaps"]
    assert isinstance(reader, gaps.Gaps)
    reader._pause = busy
    assert reader.judge(None, datetime.now(UTC)).found == ()


def test_a_gap_that_begins_again_is_read_again(make: Make, clean: Dataset, local: Store) -> None:
    world = make(clean, local)
    world.stop()
    world.go_on()
    world.look()
    world.carrier.sync()
    world.look()
    assert world.gap().detail["catalogue_read"]
    world.shelves.settle()
    world.outside.change("subscription", subscription="erp", status="ManuallySuspended")
    world.look()
    gap = world.gap()
    assert (gap.ended_at, gap.replayed_at) == (None, None)
    assert "catalogue_read" not in gap.detail
    (said,) = world.outside.open(STOPPED)
    assert "ManuallySuspended" in said
    world.outside.change("subscription", subscription="erp", status="Healthy")
    world.look(MINUTE)
    world.look(5 * MINUTE)
    assert world.store.availability.unread(LINK) == len(world.shelves.variants())
    assert "catalogue_sync has not read the catalogue again since" in world.left()


def test_its_messages_are_read_a_part_at_a_time(
    make: Make, clean: Dataset, local: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gaps, "PAGE", 3)
    monkeypatch.setattr(gaps, "PAGES", 2)
    world = make(clean, local)
    skus = [a_sku(clean, place) for place in range(8)]
    world.in_the_gap(
        *(lambda sku=sku: world.shelves.set(sku, 9, a_store(world.shelves, sku)) for sku in skus)
    )
    replayed(world)
    world.look()
    assert world.left() == ["its Messages, of which 6 were read"]
    world.look()
    assert world.outside.open(STOPPED) == []
    reading = world.gap().detail["reading"]
    assert (reading["messages"], sorted(reading["skus"])) == (8, sorted(skus))


def test_gaps_that_a_check_has_no_time_for_are_carried_on_with_by_the_next(
    make: Make, clean: Dataset, local: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However slow commercetools is: whoever checks has more to tell than this."""
    monkeypatch.setattr(gaps, "PAGE", 3)
    world = make(clean, local)
    skus = [a_sku(clean, place) for place in range(8)]
    world.in_the_gap(
        *(lambda sku=sku: world.shelves.set(sku, 9, a_store(world.shelves, sku)) for sku in skus)
    )
    for key in ("erp", "pim"):
        world.outside.subscribe(key)
    world.look(-30 * MINUTE)
    for status, since in (("ManuallySuspended", 25), ("Healthy", 10)):
        for key in ("erp", "pim"):
            world.outside.change("subscription", subscription=key, status=status)
        world.look(-since * MINUTE)
    world.look()
    world.carrier.sync()
    world.shelves.settle()

    reader, seconds = world.outside.looks()["gaps"], iter(range(0, 10_000, 25))
    assert isinstance(reader, gaps.Gaps)
    reader._clock = lambda: float(next(seconds))
    found = reader.judge(None, datetime.now(UTC))
    first, second = (new.message for new in found.found)
    assert "Left: its Messages, of which 6 were read." in first
    assert "Left: what this check had no time for; the next one goes on with it." in second
    assert found.gone == ()
    world.look()
    assert world.outside.open(STOPPED) == []
    read = [gap.detail["reading"]["messages"] for gap in local.gaps.recent(LINK, datetime.now(UTC) - HOUR)]
    assert read == [8, 8]


def test_without_messages_the_rest_is_compared(make: Make, clean: Dataset, local: Store) -> None:
    world = make(clean, local)
    replayed(world)
    scopes = ("view_products", "view_channels", "view_project_settings", "manage_subscriptions")
    world.outside.change("client", scopes=[f"{scope}:sandbox" for scope in scopes])
    close_sessions()
    world.look()
    assert world.outside.open(STOPPED) == []
    assert "view_messages" in world.gap().detail["reading"]["why"]


def test_a_gap_of_messages_is_read_again_like_any_other(make: Make, clean: Dataset, local: Store) -> None:
    world = make(clean, local)
    world.look(-30 * MINUTE)
    world.outside.keep_messages(False)
    world.look(-20 * MINUTE)
    stock = world.shelves.stock()
    sku, channel = next((sku, key) for sku in stock for key, units in stock[sku].items() if key and units)
    world.in_the_gap(lambda: world.shelves.sell("web-1", sku, 1, channel))
    world.look_elsewhere()
    world.shelves.settle()
    with pytest.raises(AssertionError):
        world.shelves.check()
    world.outside.keep_messages(True)
    world.look(-10 * MINUTE)
    world.look()
    world.carrier.sync()
    world.shelves.settle()
    world.shelves.check()
    world.look()
    assert world.outside.open(Kind.MESSAGES_OFF) == []
    assert world.store.gaps.open(LINK) == []


# Orders


@pytest.fixture
def landed(store: Store) -> Iterator[Landed]:
    with worlds(store) as made:
        yield made()


def looked(world: Landed) -> None:
    """As if somebody had looked at the shop's orders, and had seen nothing."""
    with world.store.begin() as conn:
        world.store.watermarks.set(conn, LINK, SHOP_LOOKED, datetime.now(UTC) + MINUTE)


def test_orders_that_changed_in_the_gap_are_heard_of(landed: Landed) -> None:
    """The shop watch had read beyond the change; that it only says to have looked again is not enough."""
    outside = Outskirts(landed.server, landed.store)
    landed.server.state.clock.advance(-3600)
    order, _ = landed.land(), landed.land()
    landed.server.state.clock.advance(3600)
    landed.look()
    landed.tell()
    outside.subscribe()
    outside.look("subscriptions", "gaps", later=-30 * MINUTE)
    outside.change("subscription", subscription="erp", status="ManuallySuspended")
    outside.look("subscriptions", "gaps", later=-25 * MINUTE)
    landed.server.state.clock.advance(-15 * 60)
    landed.cancel(order)
    landed.server.state.clock.advance(15 * 60)
    with landed.store.begin() as conn:
        landed.store.watermarks.set(conn, LINK, SHOP_FLOW, datetime.now(UTC) + 10 * MINUTE)
    landed.look()
    assert landed.row(order).shop_status == "PAID"
    outside.change("subscription", subscription="erp", status="Healthy")
    outside.look("subscriptions", "gaps", later=-10 * MINUTE)

    outside.look("subscriptions", "gaps")
    assert "kiosk_order_capture has not looked" in outside.open(STOPPED)[0]
    looked(landed)
    outside.look("subscriptions", "gaps")
    (said,) = outside.open(STOPPED)
    assert f"1 order other in commercetools than here: {ulid(order)} (VOIDED there, PAID here)" in said
    landed.look()
    looked(landed)
    assert landed.row(order).shop_status == "VOIDED"
    outside.look("subscriptions", "gaps")
    assert outside.open(STOPPED) == []


# Nobody moves forward what was moved back


def test_a_look_under_way_leaves_the_watermark_where_it_was_moved(
    landed: Landed, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = landed.land()
    landed.look()
    landed.cancel(order)
    watch = landed.watch()
    back = datetime.now(UTC) - HOUR
    read = watch._read

    def meanwhile(since: datetime) -> Any:
        seen = read(since)
        with landed.store.begin() as conn:
            assert landed.store.watermarks.move_back(conn, LINK, SHOP_FLOW, back)
        return seen

    monkeypatch.setattr(watch, "_read", meanwhile)
    watch.look(landed.now)
    assert landed.row(order).shop_status == "VOIDED", "what it saw is kept"
    assert landed.store.watermarks.get(LINK, SHOP_FLOW) == back


@pytest.mark.parametrize("wishes", [{}, {"full_refresh": True}], ids=["delta", "full pass"])
def test_a_catalogue_run_under_way_leaves_the_watermark_where_it_was_moved(
    make: Make, clean: Dataset, store: Store, wishes: dict[str, bool]
) -> None:
    world = make(clean, store)
    known = store.watermarks.get(LINK, CATALOGUE)
    assert known is not None
    back = known - HOUR
    request = world.carrier.request(**wishes)
    world.carrier.edit(clean.products[0]["id"], name={"de": "Neuer Name", "en": "New name"})
    world.carrier.carry(request, ("extract", "gate"))
    with store.begin() as conn:
        assert store.watermarks.move_back(conn, LINK, CATALOGUE, back)
    world.carrier.carry(request, ("push", "report"))
    assert world.carrier.shown(clean.products[0]["id"])["displayName"] == "Neuer Name", "what it read is kept"
    assert store.watermarks.get(LINK, CATALOGUE) == back
    world.carrier.sync()
    after = store.watermarks.get(LINK, CATALOGUE)
    assert after is not None
    assert after > known
