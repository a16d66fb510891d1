"""Availability out: whatever happens to stock, kiosks end up saying what commercetools has for sale."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.integration.clients.helpers import QUICK
from tests.support.carrying import Carrier
from tests.support.shelves import Shelves

from cogent_ops.domain.identifiers import location_gid, product_gid, variant_gid
from cogent_ops.domain.rules import InventoryPolicy
from cogent_ops.errors import TargetUnavailable
from cogent_ops.sandbox.cloudshelf_state import ALL_PERMISSIONS, KioskBehaviour
from cogent_ops.sandbox.dataset import Dataset, all_variants
from cogent_ops.sandbox.faults import FaultPlan, Rule
from cogent_ops.sandbox.generator import VariantMix, generate
from cogent_ops.sandbox.server import Exchange
from cogent_ops.sandbox.state import Behaviour
from cogent_ops.services import availability
from cogent_ops.services.catalogue import push as catalogue_push
from cogent_ops.store import Store

Json = dict[str, Any]
Begin = Callable[..., Carrier]

pytestmark = pytest.mark.usefixtures("quick_gate")

STRICT = KioskBehaviour(safety_stock_itself="out")
"""An organisation in which zero is out of stock."""


@pytest.fixture(scope="module")
def clean() -> Dataset:
    """Clean products of one to four variants."""
    mix = VariantMix(((1, 1, 4),))
    data = generate(seed=31, products=12, now=datetime.now(UTC), dirty_share=0, variants=mix)
    return with_messages(data, enabled=False)


@pytest.fixture
def shelve(begin: Begin) -> Callable[..., Shelves]:
    """Makes a link whose catalogue is on the kiosks: ``shelve(data, store, sandbox={…})``."""

    def made(data: Dataset, store: Store, **more: Any) -> Shelves:
        sandbox = {"kiosk": STRICT, **more.pop("sandbox", {})}
        carrier = begin(data, store, sandbox=sandbox, **more)
        carrier.clear()
        carrier.sync()
        carrier.forget()
        return Shelves(carrier)

    return made


Shelve = Callable[..., Shelves]


def a_sku(data: Dataset, place: int = 0) -> str:
    """SKU of a product that some store has."""
    stocked = {entry["sku"] for entry in data.inventory if "supplyChannel" in entry}
    skus: list[str] = [product["masterVariant"]["sku"] for product in data.products]
    return [sku for sku in skus if sku in stocked][place]


def a_store(link: Shelves, sku: str) -> str:
    return max(link.stock()[sku])


# Changes


def test_the_first_run_tells_everything_and_the_second_nothing(
    shelve: Shelve, clean: Dataset, store: Store
) -> None:
    link = shelve(clean, store)
    found = link.collect()
    told = link.push()
    assert told.told == found.changed > 50
    link.check()
    link.carrier.forget()
    assert link.once() == availability.PushCounts()
    link.renewed()
    assert link.once() == availability.PushCounts()
    asked = {name for name in link.carrier.asked() if name.startswith("cloudshelf")}
    assert asked == set(), "nothing differs, so Cloudshelf is not asked"


def test_a_change_reaches_the_kiosk_and_nothing_else_is_sent(
    shelve: Shelve, clean: Dataset, store: Store
) -> None:
    link = shelve(clean, store)
    link.settle()
    sku = a_sku(clean)
    channel = a_store(link, sku)
    link.carrier.forget()
    link.set(sku, 41, channel)
    link.set(sku, 42, channel)
    assert link.once().told == 1
    assert link.level(sku, channel) == [42, True]
    assert link.carrier.sent() == {"upsertStockLevels": 1}


def test_the_flags_count_all_channels(shelve: Shelve, clean: Dataset, local: Store) -> None:
    link = shelve(clean, local)
    link.settle()
    sku = a_sku(clean)
    link.empty(sku)
    link.settle()
    link.check()
    assert not link.variants()[variant_gid(sku)]["isInStock"]
    link.set(sku, 1)
    link.settle()
    link.check()
    assert link.variants()[variant_gid(sku)]["isInStock"], "the central pool alone suffices"


def test_a_flag_changes_nothing_else_of_a_variant(shelve: Shelve, clean: Dataset, local: Store) -> None:
    link = shelve(clean, local)
    sku = a_sku(clean)
    before = link.variants()
    link.empty(sku)
    link.settle()
    after = link.variants()
    assert after[variant_gid(sku)]["isInStock"] is False
    untouched = {"isInStock", "availableToPurchase"}
    for gid, variant in before.items():
        assert {k: v for k, v in variant.items() if k not in untouched} == {
            k: v for k, v in after[gid].items() if k not in untouched
        }


def test_stock_of_other_skus_is_counted_and_left(shelve: Shelve, clean: Dataset, local: Store) -> None:
    link = shelve(clean, local)
    link.settle()
    link.set("NOT-ON-KIOSKS", 5)
    found = link.collect()
    assert (found.hidden, found.changed) == (1, 0)


def test_an_online_order_is_found_by_reading_again(shelve: Shelve, clean: Dataset, store: Store) -> None:
    lagging = Behaviour(order_lag_seconds=8, order_touches_entry=False)
    link = shelve(clean, store, sandbox={"behaviour": lagging})
    link.settle()
    sku = a_sku(clean)
    channel = a_store(link, sku)
    link.set(sku, 9, channel)
    link.settle()
    link.pass_overlap()
    link.sell("web-1", sku, 2, channel)
    assert link.once().told == 0
    link.carrier.server.state.clock.advance(10)
    assert link.once().told == 0, "nothing says that the entry changed"
    link.ahead += timedelta(minutes=16)
    assert link.once().told == 1
    assert link.level(sku, channel) == [7, True]


def test_an_order_that_touches_its_entry_is_found_at_once(
    shelve: Shelve, clean: Dataset, local: Store
) -> None:
    link = shelve(clean, local, sandbox={"behaviour": Behaviour(order_touches_entry=True)})
    link.settle()
    sku = a_sku(clean)
    channel = a_store(link, sku)
    link.set(sku, 9, channel)
    link.settle()
    link.sell("web-1", sku, 2, channel)
    assert link.once().told == 1
    assert link.level(sku, channel) == [7, True]


def with_messages(data: Dataset, *, enabled: bool = True) -> Dataset:
    """The project with Messages on or off; they are off by default in commercetools."""
    settings = {"enabled": enabled, "deleteDaysAfterCreation": 15}
    return replace(data, project={**data.project, "messages": settings})


def test_messages_tell_of_orders_within_seconds(shelve: Shelve, clean: Dataset, store: Store) -> None:
    lagging = Behaviour(order_lag_seconds=300, order_touches_entry=False)
    link = shelve(with_messages(clean), store, sandbox={"behaviour": lagging})
    sku = a_sku(clean)
    channel = a_store(link, sku)
    link.set(sku, 9, channel)
    link.settle()
    link.sell("web-1", sku, 2, channel)
    assert link.once().told == 0, "the order does not show yet"
    link.carrier.server.state.clock.advance(302)
    link.ahead += timedelta(seconds=availability.ORDER_SECONDS)
    assert link.once().told == 1
    assert link.level(sku, channel) == [7, True]
    link.carrier.forget()
    link.once()
    assert link.carrier.asked().get("commercetools.inventory.query", 0) == 1, "each Message is heard once"


@pytest.mark.parametrize("cause", ["commercetools fails", "no time is left"])
def test_an_order_is_looked_at_twice_also_when_a_collection_ended_early(
    shelve: Shelve, clean: Dataset, local: Store, monkeypatch: pytest.MonkeyPatch, cause: str
) -> None:
    lagging = Behaviour(order_lag_seconds=300, order_touches_entry=False)
    link = shelve(with_messages(clean), local, sandbox={"behaviour": lagging})
    sku = a_sku(clean)
    channel = a_store(link, sku)
    link.set(sku, 9, channel)
    link.pass_overlap()
    link.sell("web-1", sku, 2, channel)
    if cause == "commercetools fails":
        use(link, Rule(kind="error", api="commercetools", operation="inventory.query", skip=1))
        with pytest.raises(TargetUnavailable):
            link.collect()
        use(link)
    else:
        with monkeypatch.context() as patched:
            patched.setattr(availability, "SLICE_SECONDS", 0.0)
            assert link.collect().unread
    assert link.once().told == 0, "the order does not show yet"
    link.carrier.server.state.clock.advance(302)
    link.ahead += timedelta(seconds=availability.ORDER_SECONDS)
    assert link.once().told == 1
    assert link.level(sku, channel) == [7, True]


def test_without_the_scope_messages_are_done_without(shelve: Shelve, clean: Dataset, local: Store) -> None:
    scopes = ("manage_products:sandbox", "view_project_settings:sandbox")
    link = shelve(clean, local)
    state = link.carrier.server.state.commercetools
    state.behaviour = replace(state.behaviour, scopes=scopes)
    state.project = with_messages(clean).project
    link.settle()
    link.check()


@pytest.mark.parametrize("told", [True, False], ids=["with Messages", "without"])
def test_a_deleted_entry_is_no_stock(shelve: Shelve, clean: Dataset, store: Store, told: bool) -> None:
    link = shelve(with_messages(clean) if told else clean, store)
    sku = a_sku(clean)
    channel = a_store(link, sku)
    link.set(sku, 9, channel)
    link.settle()
    link.pass_overlap()
    link.remove_entry(sku, channel)
    if not told:
        assert link.once().told == 0
        link.ahead += timedelta(minutes=16)
    link.settle()
    assert link.level(sku, channel) == [0, False]
    link.check()


def test_a_full_collection_reads_everything_now(shelve: Shelve, clean: Dataset, local: Store) -> None:
    link = shelve(clean, local)
    link.settle()
    sku = a_sku(clean)
    channel = a_store(link, sku)
    link.set(sku, 9, channel)
    link.settle()
    link.pass_overlap()
    link.remove_entry(sku, channel)
    assert link.collect().changed == 0
    found = link.collect(full=True)
    assert found.skus == len(link.variants())
    assert found.changed >= 1
    assert not found.unread


@pytest.mark.parametrize("when", ["behind the cursor", "after its SKU was read", "before the last page"])
def test_an_entry_that_changes_while_changes_are_read_is_not_missed(
    shelve: Shelve, clean: Dataset, local: Store, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    monkeypatch.setattr(availability, "PAGE", 4)
    link = shelve(clean, local)
    link.settle()
    sku = a_sku(clean)
    entries = sorted((e for e in clean.inventory if e["sku"] == sku), key=lambda e: str(e["id"]))
    keys = {channel["id"]: channel["key"] for channel in clean.channels}
    entry = entries[0 if when == "behind the cursor" else -1]
    channel_key = keys[entry["supplyChannel"]["id"]] if "supplyChannel" in entry else None
    for entry in clean.inventory[:30]:
        channel = entry.get("supplyChannel")
        link.set(entry["sku"], 50, keys[channel["id"]] if channel else None)
    pages, meddled = 0, False

    def meddle(exchange: Exchange) -> None:
        nonlocal pages, meddled
        if exchange.operation != "inventory.query":
            return
        pages += "lastModifiedAt" in exchange.query
        if when == "after its SKU was read":
            now = sku in exchange.query
        else:
            now = pages == (2 if when == "behind the cursor" else 6)
        if now and not meddled:
            meddled = True
            link.set(sku, 77, channel_key)

    link.carrier.server.app._observer = meddle
    link.settings = {
        "availability": link.carrier.config.availability.model_copy(update={"overlap_seconds": 0})
    }
    link.renewed().collect(link.now)
    assert pages > 6
    assert meddled
    link.carrier.server.app._observer = None
    link.settle()
    link.check()


def test_who_is_overtaken_stores_nothing(shelve: Shelve, clean: Dataset, local: Store) -> None:
    link = shelve(clean, local)
    link.settle()
    sku = a_sku(clean)
    link.set(sku, 3, a_store(link, sku))

    def meddle(exchange: Exchange) -> None:
        if exchange.operation == "inventory.query" and "lastModifiedAt" in exchange.query:
            link.carrier.server.app._observer = None
            link.store.availability.begin(link.link)

    link.carrier.server.app._observer = meddle
    found = link.collect()
    assert (found.overtaken, found.changed) == (True, 0)
    link.settle()
    link.check()


# A launch


def test_a_launch_is_told_in_as_few_calls_as_its_rows_demand(shelve: Shelve, store: Store) -> None:
    mix = VariantMix(((1, 8, 8),))
    data = generate(seed=32, products=40, now=datetime.now(UTC), dirty_share=0, variants=mix)
    link = shelve(data, store)
    link.settle()
    link.settings = {
        "availability": link.carrier.config.availability.model_copy(update={"rows_per_call": 200})
    }
    link.renewed()
    link.carrier.forget()
    shown = {variant["sku"] for variant in link.variants().values()}
    rounds = [
        [(sku, channel) for sku, there in link.stock().items() for channel in there if sku in shown]
    ] * 2
    changed = {place for part in rounds for place in part}
    assert len(changed) > 800
    stores = {gid.rpartition("/")[2] for gid in link.kiosk()["locations"]}
    rows = sum(channel in stores for _, channel in changed)
    for number, part in enumerate(rounds, start=1):  # every entry twice, before anybody looks
        for place, (sku, channel) in enumerate(part):
            link.set(sku, 1000 * number + place, channel or None)
    told = link.once()
    assert told.told == rows
    assert link.carrier.asked()["cloudshelf.upsertStockLevels"] == told.calls == -(-rows // 200)
    link.check()
    assert link.once() == availability.PushCounts()


def test_a_limit_leaves_the_rest_for_later(shelve: Shelve, clean: Dataset, local: Store) -> None:
    link = shelve(clean, local)
    link.collect()
    told = link.push(limit=30)
    assert (told.told, told.more) == (30, True)
    link.settle()
    link.check()


def test_two_runs_at_once_do_no_harm(shelve: Shelve, clean: Dataset, store: Store) -> None:
    link = shelve(clean, store)
    link.settings = {
        "availability": link.carrier.config.availability.model_copy(update={"rows_per_call": 20})
    }
    flows = [link.renewed() for _ in range(3)]
    skus = [a_sku(clean, place) for place in range(4)]

    def work(flow: availability.AvailabilityFlow) -> None:
        for number in range(4):
            for sku in skus:
                link.set(sku, number)
            flow.collect(link.now)
            flow.push()

    threads = [threading.Thread(target=work, args=(flow,)) for flow in flows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    link.settle()
    link.check()


# Zero


def rows_sent(exchanges: list[Exchange]) -> Iterator[Json]:
    for exchange in exchanges:
        if exchange.operation == "upsertStockLevels":
            yield from json.loads(exchange.request)["variables"]["input"]


def boundary(link: Shelves) -> list[Any]:
    return link.store.exceptions.open(link.link, "safety_stock_boundary")


def test_zero_is_told_as_zero_where_that_is_out_of_stock(
    shelve: Shelve, clean: Dataset, local: Store
) -> None:
    seen: list[Exchange] = []
    link = shelve(clean, local, sandbox={"observer": seen.append})
    link.settle()
    assert min(row["quantity"] for row in rows_sent(seen)) == 0
    assert boundary(link) == []


def test_a_zero_that_counts_as_in_stock_is_told_as_less(shelve: Shelve, clean: Dataset, store: Store) -> None:
    seen: list[Exchange] = []
    link = shelve(clean, store, sandbox={"kiosk": KioskBehaviour(), "observer": seen.append})
    link.settle()
    link.check()  # no store without stock counts as in stock
    (found,) = boundary(link)
    assert "safetyStockNumber, which is 0" in found.message
    assert "Set the organisation's safety stock to 1" in found.cure
    seen.clear()
    sku = a_sku(clean)
    link.renewed()
    link.empty(sku)
    link.settle()
    link.check()
    assert {row["quantity"] for row in rows_sent(seen)} == {-1}, (
        "the next run knows, and never sends a zero first"
    )

    # Somebody cures it.
    organisation = link.carrier.server.state.cloudshelf
    organisation.behaviour = replace(organisation.behaviour, safety_stock=1)
    seen.clear()
    link.renewed()
    channel = a_store(link, sku)
    for quantity in (3, 0):
        link.set(sku, quantity, channel)
        link.settle()
    assert link.level(sku, channel) == [0, False]
    assert boundary(link) == []


def test_a_number_that_falls_back_to_zero_is_noticed(shelve: Shelve, clean: Dataset, local: Store) -> None:
    link = shelve(clean, local, sandbox={"kiosk": KioskBehaviour(safety_stock=1)})
    link.settle()
    link.check()
    assert boundary(link) == []
    organisation = link.carrier.server.state.cloudshelf
    organisation.behaviour = replace(organisation.behaviour, safety_stock=0)
    link.empty(a_sku(clean))
    link.settle()
    assert len(boundary(link)) == 1
    assert all(told != 0 for told, _ in link.levels().values()), "every zero told before is told anew"


def test_a_key_that_may_not_read_the_number_still_protects(
    shelve: Shelve, clean: Dataset, local: Store
) -> None:
    link = shelve(clean, local, sandbox={"kiosk": KioskBehaviour()})
    link.flow._zero._number = lambda: ""  # type: ignore[method-assign]
    link.settle()
    link.check()
    assert "cannot be read with this key" in boundary(link)[0].message


def test_stock_that_no_number_makes_none_stays_due(shelve: Shelve, clean: Dataset, local: Store) -> None:
    link = shelve(clean, local, sandbox={"kiosk": KioskBehaviour(safety_stock=-5)})
    link.collect()
    told = link.push()
    assert told.refused > 0
    (refused,) = link.store.exceptions.open(link.link, "availability_refused")
    assert "even with -1 pieces" in refused.message
    assert link.store.availability.backlog(link.link).refused == told.refused


# Refusals


def use(link: Shelves, *rules: Rule, seed: int = 0) -> None:
    link.carrier.server.app.faults.use(FaultPlan(seed=seed, rules=rules))


def refused(link: Shelves) -> list[Any]:
    return link.store.exceptions.open(link.link, "availability_refused")


@pytest.mark.parametrize("batches", ["partial", "atomic"])
def test_what_is_refused_is_raised_once_and_holds_up_nothing(
    shelve: Shelve, clean: Dataset, store: Store, batches: Any
) -> None:
    link = shelve(clean, store, sandbox={"kiosk": replace(STRICT, batches=batches)})
    sku = a_sku(clean)
    bad = Rule(kind="refuse", operation="upsertStockLevels", ids=f"*{sku}@*", code="ENTITY_INVALID_FIELD")
    use(link, bad)
    link.collect()
    told = link.push()
    rows = sum(channel != "" for channel in link.stock()[sku])
    assert told.refused == rows
    assert {gid for gid, _ in link.levels()} == set(link.variants()) - {variant_gid(sku)} - _poolless(link)
    (found,) = refused(link)
    assert found.cause_key == "level/ENTITY_INVALID_FIELD"
    assert sku in found.record
    link.carrier.forget()
    for _ in range(3):
        link.set(sku, 33, a_store(link, sku))
        assert link.once().refused == 0, "it waits for its time, whatever changes"
    assert "cloudshelf.upsertStockLevels" not in link.carrier.asked()
    use(link)
    link.let_time_pass()
    link.settle()
    link.check()
    assert refused(link) == []


def _poolless(link: Shelves) -> set[str]:
    """Variants that no store lists."""
    stock = link.stock()
    return {
        gid
        for gid, variant in link.variants().items()
        if not any(channel for channel in stock.get(variant["sku"], {}))
    }


def test_refused_flags_are_tried_again(shelve: Shelve, clean: Dataset, local: Store) -> None:
    link = shelve(clean, local)
    link.settle()
    sku = a_sku(clean)
    use(
        link, Rule(kind="refuse", operation="upsertProductVariants", ids=f"*{sku}", code="IMAGE_UPLOAD_ERROR")
    )
    link.empty(sku)
    for number in range(1, 4):
        link.once()
        assert len(refused(link)) == (number == availability.PATIENT_REFUSALS), "that may pass by itself"
        link.let_time_pass()
    use(link)
    link.settle()
    link.check()
    assert refused(link) == []


def test_a_location_that_is_not_there_yet_is_waited_for(shelve: Shelve, clean: Dataset, store: Store) -> None:
    link = shelve(clean, store)
    link.settle()
    state = link.carrier.server.state.commercetools
    with state.lock:
        address = {"country": "DE", "streetName": "Neuer Weg 1"}
        new = {"key": "new-store", "roles": ["InventorySupply"], "name": {"de": "Neu"}, "address": address}
        state.add("channels", new)
    sku = a_sku(clean)
    link.set(sku, 6, "new-store")
    link.renewed()
    told = link.once()
    assert (told.waiting, told.refused, told.told) == (1, 0, 0)
    assert not link.once().waiting, "it is not asked for again and again"
    assert refused(link) == []
    link.carrier.sync(full_refresh=True)
    link.renewed()
    link.settle()
    assert link.level(sku, "new-store") == [6, True]


def test_a_store_that_closed_is_told_none_and_then_nothing(
    shelve: Shelve, clean: Dataset, local: Store
) -> None:
    link = shelve(clean, local)
    sku = a_sku(clean)
    channel = a_store(link, sku)
    link.set(sku, 5, channel)
    link.settle()
    locations = link.carrier.config.locations.model_copy(update={"exclude": (channel,)})
    link.settings = {"locations": locations}
    link.renewed()
    link.collect(full=True)
    link.push()
    assert link.level(sku, channel) == [0, False]


def test_a_role_that_may_not_is_said(shelve: Shelve, clean: Dataset, local: Store) -> None:
    from cogent_ops.errors import ConnectionConfigError

    link = shelve(clean, local, sandbox={"kiosk": replace(STRICT, stock_permission="LOCATIONS")})
    organisation = link.carrier.server.state.cloudshelf
    without = ALL_PERMISSIONS - {"LOCATIONS:MODIFY"}
    organisation.behaviour = replace(organisation.behaviour, permissions=without)
    link.collect()
    with pytest.raises(ConnectionConfigError, match="READ and MODIFY for CATALOGUE, LOCATIONS"):
        link.push()
    organisation.behaviour = replace(organisation.behaviour, permissions=ALL_PERMISSIONS)
    link.push()
    link.check()


# Outages


def sold_out(link: Shelves, *, concurrency: int) -> list[str]:
    """All is told, then everything is sold out; told in calls of five by a client that gives up early."""
    link.settle()
    rules = link.carrier.config.availability.model_copy(update={"rows_per_call": 5})
    link.settings = {"availability": rules, "concurrency": concurrency}
    link.tuning = replace(QUICK, attempts=2)
    link.renewed()
    skus = sorted(variant["sku"] for variant in link.variants().values())
    for sku in skus:
        link.empty(sku)
    return skus


@pytest.mark.parametrize("status", [500, 502, 503])
@pytest.mark.parametrize("operation", ["upsertStockLevels", "product+*", "upsertProductVariants"])
def test_what_an_outage_kept_back_is_told_as_soon_as_it_is_over(
    shelve: Shelve, clean: Dataset, local: Store, operation: str, status: int
) -> None:
    link = shelve(clean, local)
    skus = sold_out(link, concurrency=4)
    use(link, Rule(kind="error", api="cloudshelf", operation=operation, status=status))
    with pytest.raises(TargetUnavailable):
        link.once()
    for sku in skus[::2]:
        link.set(sku, 7, a_store(link, sku))
    with pytest.raises(TargetUnavailable):
        link.once()
    use(link)
    link.once()
    link.check()


def test_what_was_not_answered_is_not_told_anew_while_it_may_still_arrive(
    shelve: Shelve, clean: Dataset, local: Store
) -> None:
    link = shelve(clean, local)
    sold_out(link, concurrency=1)
    use(link, Rule(kind="reset", api="cloudshelf", operation="upsertStockLevels", limit=2))
    with pytest.raises(TargetUnavailable):
        link.once()
    link.once()
    assert link.store.availability.backlog(link.link).levels == 5, (
        "those of the call that was lost, and no others"
    )
    link.let_time_pass()
    link.once()
    link.check()


# The two flows


def test_a_product_that_appears_is_told_without_a_change_of_its_stock(
    shelve: Shelve, clean: Dataset, store: Store
) -> None:
    link = shelve(clean, store)
    product = clean.products[0]
    link.settle()
    link.carrier.floor.publish_product(product["id"], False)
    link.carrier.sync(full_refresh=True)
    skus = {variant["sku"] for variant in all_variants(product)}
    assert link.store.availability.shown(link.link, skus) == set()
    link.settle()
    assert not {gid for gid, _ in link.levels()} & set(map(variant_gid, skus))
    link.carrier.floor.publish_product(product["id"], True)
    link.carrier.sync()
    link.settle()
    link.check()


def test_stock_turns_after_this_flow_before_the_catalogue(
    shelve: Shelve, clean: Dataset, store: Store
) -> None:
    link = shelve(clean, store)
    link.settle()
    sku = a_sku(clean)
    for units in (0, 4):
        link.empty(sku)
        link.set(sku, units)
        link.settle()
        link.check()
        link.carrier.sync(full_refresh=True)
        link.check()
        assert link.once() == availability.PushCounts(), "what the catalogue flow told counts as told"


def test_stock_turns_after_the_catalogue_before_this_flow(
    shelve: Shelve, clean: Dataset, store: Store
) -> None:
    link = shelve(clean, store)
    link.settle()
    sku = a_sku(clean)
    for units in (0, 4):
        link.empty(sku)
        link.set(sku, units)
        link.carrier.sync(full_refresh=True)
        assert link.once().flags == 0, "what the catalogue flow told counts as told"
        link.check()


def test_what_the_catalogue_read_too_early_is_put_right(shelve: Shelve, clean: Dataset, store: Store) -> None:
    link = shelve(clean, store)
    link.settle()
    sku = a_sku(clean)
    link.carrier.edit(clean.products[0]["id"], name={"de": "Neu", "en": "New"})
    request = link.carrier.request(full_refresh=True)
    link.empty(sku)
    link.settle()
    link.set(sku, 4)
    link.carrier.carry(request, ("extract", "gate"))  # it reads 4
    link.empty(sku)
    link.settle()
    link.carrier.carry(request, ("push", "report"))
    link.settle()
    link.check()


def test_a_fingerprint_hides_no_wrong_flag(shelve: Shelve, clean: Dataset, store: Store) -> None:
    link = shelve(clean, store)
    link.settle()
    sku = a_sku(clean)
    link.carrier.sync(full_refresh=True)
    stock = {channel: quantity for channel, quantity in link.stock()[sku].items() if quantity > 0}
    link.empty(sku)
    link.settle()  # told: out of stock. The catalogue flow's fingerprint says in stock.
    link.pass_overlap()
    state = link.carrier.server.state.commercetools
    with state.lock:  # Stock returns, and no entry shows it.
        for entry in list(state["inventory"].by("sku", sku)):
            state.deduct(entry["id"], -5, reserve=False)
    assert stock
    assert link.once() == availability.PushCounts()
    link.carrier.sync(full_refresh=True)  # finds nothing to send, but another stock than this flow did
    link.settle()
    link.check()
    assert link.variants()[variant_gid(sku)]["isInStock"]


def test_a_retired_variant_stays_off_sale(shelve: Shelve, store: Store) -> None:
    mix = VariantMix(((1, 3, 3),))
    data = generate(seed=33, products=4, now=datetime.now(UTC), dirty_share=0, variants=mix)
    link = shelve(data, store)
    link.settle()
    product = data.products[0]
    gone = product["variants"][-1]["sku"]
    link.carrier.edit(product["id"], variants=product["variants"][:-1])
    link.carrier.sync()
    link.set(gone, 50)
    link.settle(full=True)
    retired = link.variants()[variant_gid(gone)]
    assert (retired["isInStock"], retired["availableToPurchase"]) == (False, False)


def test_another_policy_is_told_by_the_catalogue_and_kept(
    shelve: Shelve, clean: Dataset, store: Store
) -> None:
    link = shelve(clean, store)
    sku = a_sku(clean)
    link.empty(sku)
    link.settle()
    stock = link.carrier.config.stock.model_copy(update={"when_out_of_stock": InventoryPolicy.CONTINUE})
    link.carrier.settings["stock"] = stock
    link.carrier.sync(full_refresh=True)
    link.renewed()
    link.settle(full=True)
    link.check()
    assert link.variants()[variant_gid(sku)]["availableToPurchase"]


def test_the_catalogue_waits_for_a_variant_that_is_being_written(
    shelve: Shelve, clean: Dataset, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This flow reads a variant, the catalogue flow sends a new price, this flow writes the variant back."""
    link = shelve(clean, store)
    link.settle()
    monkeypatch.setattr(catalogue_push, "HELD_PAUSE_SECONDS", 0.01)
    product = clean.products[0]
    sku = product["masterVariant"]["sku"]
    link.carrier.edit(product["id"], name={"de": "Neu", "en": "New"})
    link.carrier.edit_variant(product["id"], 1, images=[{"url": "https://images.example.com/new.jpg"}])
    request = link.carrier.request()
    link.carrier.carry(request, ("extract", "gate"))
    pushing = threading.Thread(target=link.carrier.carry, args=(request, ("push", "report")))

    write = link.flow._write_flags

    def slowly(*args: Any) -> Any:
        """This flow has read the variant; now comes the catalogue flow."""
        pushing.start()
        pushing.join(1)
        assert pushing.is_alive(), "it waits"
        return write(*args)

    monkeypatch.setattr(link.flow, "_write_flags", slowly)
    link.empty(sku)
    link.once()
    pushing.join()
    link.renewed()
    link.settle()
    link.check()
    shown = link.carrier.shown(product["id"])["variants"][variant_gid(sku)]
    assert "new.jpg" in str(shown["metaimages"]), "and nothing that the catalogue flow has sent is lost"


def test_locations_and_products_are_told_apart(shelve: Shelve, clean: Dataset, local: Store) -> None:
    link = shelve(clean, local)
    link.settle()
    product = clean.products[1]
    link.carrier.floor.delete_product(product["id"])
    link.carrier.sync(full_refresh=True, accept_removals=1)
    assert product_gid(product["id"]) not in link.kiosk()["products"]
    for variant in all_variants(product):
        link.set(variant["sku"], 8)
    link.settle()
    link.check()
    assert location_gid(clean.channels[0]["key"]) in link.kiosk()["locations"]
