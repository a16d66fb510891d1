"""The drain against a sandbox: what becomes of movements, one kind of trouble after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any

import pytest
from tests.integration.clients.helpers import QUICK, shop
from tests.support.stock import LINK, STORE, Ledger, StockWorld

from cogent_ops.clients.transport import close_sessions
from cogent_ops.domain.custom_types import INVENTORY_TYPE, LAST_BATCH, declared
from cogent_ops.domain.exceptions import Kind
from cogent_ops.domain.stock import Place, Source
from cogent_ops.errors import MissingScope, PermanentError, RetryableError
from cogent_ops.sandbox import actions
from cogent_ops.sandbox.dataset import Dataset
from cogent_ops.sandbox.faults import FaultPlan, Rule
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.sandbox.state import Behaviour
from cogent_ops.services.stock.drain import ORDERS_NAMED, ORDERS_SAID, ROUNDS, TRIES, DrainCounts
from cogent_ops.store import Store, StoredException

HAT, CAP, RUG = Place("HAT", STORE), Place("CAP", ""), Place("RUG", STORE)
OTHER = "store-munich"

Make = Callable[..., StockWorld]


@pytest.fixture
def make(dataset: Dataset, local: Store) -> Iterator[Make]:
    """Starts a sandbox with three entries and the Types: ``make(faults, behaviour=…)``."""
    with ExitStack() as stack:

        def begin(
            faults: FaultPlan | None = None, *, types: bool = True, settings: Any = None, **named: Any
        ) -> StockWorld:
            server = stack.enter_context(SandboxServer(dataset, **named))
            world = StockWorld(server, local, settings=settings or {})
            if types:
                world.install_types()
            for place, units in ((HAT, 10), (CAP, 5), (RUG, 3)):
                world.stock(place, units)
            server.set_faults(faults)
            return world

        yield begin
        close_sessions()


@pytest.fixture
def world(make: Make) -> StockWorld:
    return make()


def known_sku(dataset: Dataset, world: StockWorld) -> str:
    """A SKU of a product that has no entry in a store yet."""
    skus = (product["masterVariant"].get("sku") for product in dataset.products)
    return next(str(sku) for sku in skus if sku and world.entry(Place(sku, OTHER)) is None)


def raised(world: StockWorld, kind: Kind) -> list[StoredException]:
    return world.store.exceptions.open(LINK, kind)


def mark(world: StockWorld, place: Place) -> str | None:
    entry = world.entry(place)
    assert entry is not None
    found: str | None = entry.get("custom", {}).get("fields", {}).get(LAST_BATCH)
    return found


# Plain


def test_a_movement_reaches_its_entry_in_one_request(world: StockWorld) -> None:
    world.move(HAT, -2)
    world.forget_requests()
    assert world.drain().round() == DrainCounts(batches=1, applied=1, movements=1)
    assert world.on_stock(HAT) == 8
    assert mark(world, HAT) is not None
    assert world.requests()["inventory.update"] == 1
    assert world.drain().round() == DrainCounts()
    assert world.states() == {"applied": 1}


def test_movements_of_an_entry_are_netted_into_one_request(world: StockWorld) -> None:
    world.add(*(world.movement(HAT, -1) for _ in range(7)), world.movement(HAT, 3), world.movement(CAP, 2))
    world.forget_requests()
    assert world.drain().round() == DrainCounts(batches=2, applied=2, movements=9)
    assert (world.on_stock(HAT), world.on_stock(CAP), world.on_stock(RUG)) == (6, 7, 3)
    assert world.requests()["inventory.update"] == 2


def test_what_comes_to_nothing_is_not_sent(world: StockWorld) -> None:
    world.add(world.movement(HAT, -2), world.movement(HAT, 2))
    world.forget_requests()
    assert world.drain().round() == DrainCounts(batches=1, applied=1, movements=2)
    assert world.requests() == {}
    assert mark(world, HAT) is None


def test_a_round_takes_as_much_as_it_may(make: Make) -> None:
    world = make(settings={"round_entries": 2})
    world.add(*(world.movement(place, -1) for place in (HAT, CAP, RUG)))
    drain = world.drain()
    assert [drain.round().batches for _ in range(3)] == [2, 1, 0]


def test_entries_once_met_are_read_by_their_ids_alone(world: StockWorld) -> None:
    """A SKU may have an entry in every store, none of which should be read for nothing."""
    world.stock(Place("HAT", OTHER), 1)
    drain = world.drain()
    world.move(HAT, -1)
    drain.round()
    world.move(HAT, -1)
    world.forget_requests()
    drain.round()
    assert world.requests() == {"inventory.query": 1, "inventory.update": 1}
    assert world.on_stock(HAT) == 8


def test_an_entry_that_was_made_anew_is_found_again(world: StockWorld) -> None:
    world.move(HAT, -1)
    world.finish()
    entry = world.entry(HAT)
    assert entry is not None
    state = world.server.state.commercetools
    with state.lock:
        state["inventory"].remove(entry["id"])
    world.stock(HAT, 50)
    world.move(HAT, -1)
    world.finish()
    assert world.on_stock(HAT) == 49


# Missing entries, unknown identifiers


def test_a_missing_entry_of_a_known_sku_is_made(world: StockWorld, dataset: Dataset) -> None:
    place = Place(known_sku(dataset, world), OTHER)
    world.move(place, -3)
    assert world.drain().round() == DrainCounts(batches=1, applied=1, movements=1)
    assert world.on_stock(place) == -3
    assert mark(world, place) is not None
    (found,) = raised(world, Kind.OVERSELL)
    assert found.record == str(place)


def test_a_missing_entry_that_somebody_else_makes_meanwhile_is_taken(
    world: StockWorld, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(known_sku(dataset, world), OTHER)
    drain = world.drain()
    known = drain.entries.known_skus

    def made_meanwhile(skus: Any) -> set[str]:
        world.stock(place, 7)
        return known(skus)

    monkeypatch.setattr(drain.entries, "known_skus", made_meanwhile)
    world.move(place, -3)
    assert drain.round().applied == 1
    assert world.on_stock(place) == 4


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_entry_whose_making_got_no_answer_is_made_once(make: Make, dataset: Dataset, when: Any) -> None:
    lost = Rule(kind="reset", operation="inventory.create", when=when, rate=1, limit=1)
    world = make(FaultPlan(rules=(lost,)))
    place = Place(known_sku(dataset, world), OTHER)
    world.move(place, -3)
    world.finish()
    assert world.on_stock(place) == -3


def test_an_unknown_sku_waits_for_a_person_and_goes_on_by_itself(world: StockWorld) -> None:
    def what_it_is(what: str, value: str) -> str:
        return f"It is the {what} of another: {value}."

    odd = Place("PRODUCT-KEY", STORE)
    world.add(*(world.movement(odd, -1) for _ in range(3)), world.movement(Place("PRODUCT-KEY", ""), -1))
    world.move(HAT, -1)
    drain = world.drain(identify=what_it_is)
    assert drain.round() == DrainCounts(batches=3, applied=1, movements=1, reviewed=4)
    (found,) = raised(world, Kind.UNKNOWN_IDENTIFIER)
    assert found.cause_key == "sku/PRODUCT-KEY"
    assert "It is the sku of another: PRODUCT-KEY." in found.message
    assert world.states() == {"applied": 1, "review": 4}
    assert drain.recheck() == 0
    assert drain.round() == DrainCounts()
    world.store.catalogue.register_skus(LINK, "r", ["p"], [("PRODUCT-KEY", "p", 1)])
    assert drain.recheck() == 4
    assert raised(world, Kind.UNKNOWN_IDENTIFIER) == []
    world.finish()
    assert (world.on_stock(odd), world.on_stock(Place("PRODUCT-KEY", ""))) == (-3, -1)


def test_an_unknown_location_waits_until_there_is_such_a_channel(world: StockWorld, dataset: Dataset) -> None:
    sku = known_sku(dataset, world)
    world.move(Place(sku, "store-atlantis"), -1)
    assert world.drain().round().reviewed == 1
    (found,) = raised(world, Kind.UNKNOWN_IDENTIFIER)
    assert (found.cause_key, found.field) == ("location/store-atlantis", "location")
    shop(world.server).create("channels", {"key": "store-atlantis", "roles": ["InventorySupply"]})
    assert world.drain().recheck() == 1
    world.finish()
    assert world.on_stock(Place(sku, "store-atlantis")) == -1
    assert raised(world, Kind.UNKNOWN_IDENTIFIER) == []


def test_an_unknown_sku_goes_to_review_also_when_a_drain_died_before(world: StockWorld) -> None:
    world.move(Place("NOBODY-KNOWS", STORE), -1)
    claimed = world.store.stock.claim(world.project, "dead", limit=9, lease_seconds=60)
    assert len(claimed) == 1
    world.let_leases_end()
    assert world.drain().round().reviewed == 1
    assert world.states() == {"review": 1}


def test_a_corrected_identifier_moves_what_waits(world: StockWorld) -> None:
    wrong = Place("HAT-OLD", STORE)
    world.move(wrong, -2)
    world.finish()
    with world.store.begin() as conn:
        assert world.store.stock.release(conn, LINK, world.project, wrong, HAT) == 1
    world.finish()
    assert world.on_stock(HAT) == 8


# Types


def test_without_our_type_movements_wait_and_the_cure_is_named(make: Make) -> None:
    world = make(types=False)
    world.move(HAT, -2)
    for _ in range(2):
        world.let_leases_end()
        with pytest.raises(PermanentError, match="Install it: cogent-ops bootstrap"):
            world.drain().round()
    assert world.on_stock(HAT) == 10
    world.install_types()
    world.finish()
    assert world.on_stock(HAT) == 8


def test_a_type_that_goes_while_a_drain_runs_parks_nothing(world: StockWorld) -> None:
    drain = world.drain()
    drain.entries.require_type()
    kind = shop(world.server).get("types", key=INVENTORY_TYPE)
    state = world.server.state.commercetools
    with state.lock:
        assert kind is not None
        state["types"].remove(kind["id"])
    world.add(world.movement(HAT, -2), world.movement(CAP, -1))
    with pytest.raises(PermanentError, match="cogent-ops bootstrap"):
        drain.round()
    assert world.store.stock.backlog(world.project).parked == 0
    world.install_types()
    world.finish()
    assert (world.on_stock(HAT), world.on_stock(CAP)) == (8, 4)


def foreign_type(world: StockWorld) -> str:
    note = {"name": "note", "label": {"en": "Note"}, "required": False, "type": {"name": "String"}}
    draft = {"key": "erp", "name": {"en": "ERP"}, "resourceTypeIds": ["inventory-entry"]}
    made = shop(world.server).ensure("types", {**draft, "fieldDefinitions": [note]})
    return str(made.resource["id"])


def test_another_integrations_type_is_extended_and_never_replaced(world: StockWorld) -> None:
    id_ = foreign_type(world)
    sock, shoe = Place("SOCK", STORE), Place("SHOE", STORE)
    for place in (sock, shoe):
        custom = {"type": {"typeId": "type", "id": id_}, "fields": {"note": f"keep {place.sku}"}}
        world.stock(place, 4, custom=custom)
    world.add(world.movement(sock, -1), world.movement(shoe, -2))
    world.forget_requests()
    world.finish()
    for place, left in ((sock, 3), (shoe, 2)):
        entry = world.entry(place)
        assert entry is not None
        assert entry["quantityOnStock"] == left
        assert entry["custom"]["type"]["id"] == id_
        assert entry["custom"]["fields"]["note"] == f"keep {place.sku}"
        assert entry["custom"]["fields"][LAST_BATCH]
    kind = shop(world.server).get("types", id_)
    assert kind is not None
    assert [field["name"] for field in kind["fieldDefinitions"]] == ["note", LAST_BATCH]


# Oversell


def test_an_oversell_names_the_orders_that_took_the_missing_units_and_closes(world: StockWorld) -> None:
    kiosk: dict[str, Any] = {"source": Source.KIOSK_ORDER}
    world.move(RUG, -2, at=1, reference="early", **kiosk)
    world.finish()
    world.move(RUG, -2, at=2, reference="late-1", **kiosk)
    world.move(RUG, -1, at=3, reference="late-2", **kiosk)
    world.finish()
    (found,) = raised(world, Kind.OVERSELL)
    assert found.record == str(RUG)
    assert "-2 on stock" in found.message
    assert "late-2, late-1" in found.message
    assert "early" not in found.message
    assert found.payload["orders"] == ["late-2", "late-1"]
    world.move(RUG, -1, at=4)
    world.move(RUG, 1, at=5)
    world.finish()
    assert len(raised(world, Kind.OVERSELL)) == 1, "nobody looked at the entry, so nobody knows"
    world.move(RUG, 1, at=4, reference="late-2", **kiosk)
    world.finish()
    (found,) = raised(world, Kind.OVERSELL)
    assert found.payload["orders"] == ["late-1"]
    world.move(RUG, 5, at=6)
    world.finish()
    assert raised(world, Kind.OVERSELL) == []


@pytest.mark.parametrize(
    ("sold", "more"),
    [(ORDERS_SAID, ""), (ORDERS_SAID + 3, " and 3 more"), (ORDERS_NAMED + 4, " and at least 15 more")],
)
def test_the_message_of_an_oversell_names_the_latest_orders_and_counts_the_others(
    world: StockWorld, sold: int, more: str
) -> None:
    for n in range(sold):
        world.move(RUG, -1, at=n + 1, reference=f"o{n:02}", source=Source.KIOSK_ORDER)
    world.move(RUG, -10, at=sold + 1)
    world.finish()
    (found,) = raised(world, Kind.OVERSELL)
    orders = [f"o{n:02}" for n in reversed(range(sold))]
    assert found.message.endswith(f"orders of it: {', '.join(orders[:ORDERS_SAID])}{more}.")
    assert found.payload["orders"] == orders[:ORDERS_NAMED]


def test_what_is_promised_online_is_oversold_too(world: StockWorld) -> None:
    world.sell_online(RUG, 2, reserve=True)
    world.move(RUG, -2, reference="order", source=Source.KIOSK_ORDER)
    world.finish()
    (found,) = raised(world, Kind.OVERSELL)
    assert "1 on stock, -1 available" in found.message


# Counts


def test_a_count_sets_the_truth_of_its_time(world: StockWorld) -> None:
    world.move(HAT, -1, at=5)
    world.finish()
    world.move(HAT, -4, at=1, id_="before")
    world.move(HAT, counted=6, at=3, id_="count")
    world.move(HAT, -2, at=7)
    world.finish()
    assert world.on_stock(HAT) == 6 - 1 - 2
    assert world.reasons() == {"before": "the count of 2026-11-20 09:03:00 UTC has seen it"}


def test_news_from_before_a_count_has_no_effect_however_late(world: StockWorld) -> None:
    world.move(HAT, counted=6, at=3)
    world.finish()
    world.move(HAT, -4, at=2)
    world.move(HAT, counted=1, at=1)
    assert world.finish().applied == 1
    assert world.on_stock(HAT) == 6
    assert world.states() == {"applied": 1, "excluded": 2}


def test_a_count_that_changes_nothing_counts_all_the_same(world: StockWorld) -> None:
    world.move(HAT, counted=10, at=3)
    world.forget_requests()
    world.finish()
    assert "inventory.update" not in world.requests()
    world.move(HAT, -4, at=2)
    world.finish()
    assert world.on_stock(HAT) == 10


def test_a_count_that_changes_nothing_is_remembered_after_a_crash(world: StockWorld) -> None:
    """Its batch has its amount, zero, and its drain died before it noted the count."""
    world.move(HAT, counted=10, at=3)
    drain = world.drain()
    claimed = world.store.stock.claim(world.project, drain.owner, limit=9, lease_seconds=60)
    tasks, lost = drain._tasks(claimed)
    assert lost == []
    assert [task.aim.delta for task in tasks if task.aim] == [0]
    world.finish()
    world.move(HAT, -4, at=2)
    world.finish()
    assert world.on_stock(HAT) == 10


def test_a_count_that_was_planned_is_sent_as_planned(world: StockWorld) -> None:
    """What sells online between the plan and the request comes on top of the count."""
    world.move(HAT, counted=6, at=3)
    drain = world.drain()
    drain._tasks(world.store.stock.claim(world.project, drain.owner, limit=9, lease_seconds=60))
    world.sell_online(HAT, 1)
    world.finish()
    assert world.on_stock(HAT) == 5


def test_a_count_keeps_its_amount_when_somebody_sells_online_just_then(
    world: StockWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.move(HAT, counted=6, at=3)
    drain = world.drain()
    send = drain._send

    def sold_just_before(*args: Any) -> Any:
        if world.on_stock(HAT) == 10:
            world.sell_online(HAT, 1)
            world.touch(HAT)
        return send(*args)

    monkeypatch.setattr(drain, "_send", sold_just_before)
    assert drain.round().applied == 1
    assert world.on_stock(HAT) == 5


def test_a_count_makes_a_missing_entry(world: StockWorld, dataset: Dataset) -> None:
    place = Place(known_sku(dataset, world), OTHER)
    world.move(place, counted=8, at=3)
    world.move(place, -1, at=4)
    world.finish()
    assert world.on_stock(place) == 7


# Refusals


def refusing(world: StockWorld) -> Callable[[], None]:
    """HAT's Type has our field as a number, which commercetools refuses; returns what mends it."""
    id_ = foreign_type(world)
    state, entry = world.server.state.commercetools, world.entry(HAT)
    assert entry is not None
    number = {"name": LAST_BATCH, "label": {"en": "x"}, "required": False, "type": {"name": "Number"}}
    with state.lock:
        kind = state["types"].get(id_)
        assert kind is not None
        definitions = [*kind["fieldDefinitions"], number]
        state.replace("types", kind, {**kind, "fieldDefinitions": definitions})
        custom = {"type": {"typeId": "type", "id": id_}, "fields": {}}
        state.replace("inventory", entry, {**entry, "custom": custom})

    def mend() -> None:
        now = world.entry(HAT)
        assert now is not None
        with state.lock:
            state.replace("inventory", now, {name: value for name, value in now.items() if name != "custom"})

    return mend


def test_a_refused_change_is_set_aside_and_others_go_on(world: StockWorld) -> None:
    mend = refusing(world)
    world.add(world.movement(HAT, -2), world.movement(CAP, -1), world.movement(RUG, -1))
    drain = world.drain()
    assert drain.round() == DrainCounts(batches=3, applied=2, movements=2, parked=1)
    assert (world.on_stock(HAT), world.on_stock(CAP), world.on_stock(RUG)) == (10, 4, 2)
    (found,) = raised(world, Kind.STOCK_REFUSED)
    assert found.record == str(HAT)
    assert LAST_BATCH in found.message
    world.add(world.movement(HAT, -1), world.movement(CAP, -1))
    assert drain.round() == DrainCounts(batches=1, applied=1, movements=1)
    assert not world.store.stock.has_waiting(world.project)
    mend()
    with world.store.begin() as conn:
        assert world.store.stock.unpark(conn, world.project, HAT)
    assert drain.round() == DrainCounts(batches=1, applied=1, movements=1)
    assert raised(world, Kind.STOCK_REFUSED) == []
    assert drain.round() == DrainCounts(batches=1, applied=1, movements=1)
    assert world.on_stock(HAT) == 7


def test_a_refused_change_is_tried_again_by_itself_and_raised_once(world: StockWorld) -> None:
    refusing(world)
    world.move(HAT, -2)
    for _ in range(3):
        assert world.drain().round().parked == 1
        world.let_leases_end()
    (found,) = raised(world, Kind.STOCK_REFUSED)
    assert found.count == 3


def test_a_missing_permission_stops_the_round_and_parks_nothing(make: Make) -> None:
    world = make(
        behaviour=Behaviour(scopes=("view_products:sandbox", "view_types:sandbox", "view_channels:sandbox")),
        types=False,
    )
    state = world.server.state.commercetools
    with state.lock:
        actions.create_type(state, declared()[0].draft())
    world.move(HAT, -2)
    with pytest.raises(MissingScope):
        world.drain().round()
    assert world.states() == {"batched": 1}
    assert raised(world, Kind.STOCK_REFUSED) == []


# Others at work


def test_changes_by_others_in_between_are_read_and_kept(make: Make) -> None:
    conflict = Rule(kind="conflict", operation="inventory.update", rate=1, limit=5)
    world = make(FaultPlan(rules=(conflict,)), behaviour=Behaviour(order_touches_entry=True))
    world.sell_online(HAT, 3)
    world.move(HAT, -2)
    assert world.drain().round() == DrainCounts(batches=1, applied=1, movements=1)
    assert world.on_stock(HAT) == 5
    assert sum(world.server.counters()["faults"].values()) == 5


def test_a_storm_of_changes_ends_the_round_and_not_the_movement(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cogent_ops.services.stock.drain.BUSY_SECONDS", 60.0)
    conflict = Rule(kind="conflict", operation="inventory.update", rate=1, limit=TRIES + 2)
    world = make(FaultPlan(rules=(conflict,)))
    world.add(world.movement(HAT, -2))
    assert world.drain().round() == DrainCounts(batches=1, unfinished=1)
    assert world.drain().round() == DrainCounts(), "it pauses for a moment"
    world.finish()
    assert world.on_stock(HAT) == 8


def test_an_entry_that_never_answers_is_told_to_a_person_in_the_end(make: Make) -> None:
    broken = Rule(kind="error", status=500, operation="inventory.update", rate=1)
    world = make(FaultPlan(rules=(broken,)))
    world.move(HAT, -2)
    for _ in range(ROUNDS):
        assert world.drain().round() == DrainCounts(batches=1, unfinished=1)
        world.let_leases_end()
    assert world.drain().round() == DrainCounts(batches=1, parked=1)
    (found,) = raised(world, Kind.STOCK_REFUSED)
    assert "no certain answer" in found.message
    assert "500" in found.message
    world.server.set_faults(None)
    world.finish()
    assert world.on_stock(HAT) == 8
    assert raised(world, Kind.STOCK_REFUSED) == []


def test_a_drain_whose_batches_were_taken_over_sends_none_of_them(world: StockWorld) -> None:
    world.add(world.movement(HAT, -2), world.movement(CAP, -1))
    slow, quick = world.drain(), world.drain()
    claimed = world.store.stock.claim(world.project, slow.owner, limit=9, lease_seconds=60)
    world.let_leases_end()
    assert quick.round().applied == 2
    world.move(HAT, -1)
    assert quick.round().applied == 1
    tasks, lost = slow._tasks(claimed)
    assert [batch.place for batch in lost] == [HAT]
    (found,) = tasks
    assert (found.batch.place, found.aim) == (CAP, None), "it is on its entry, as anybody can see"
    assert type(slow._bring(found, set())).__name__ == "Applied"
    assert (world.on_stock(HAT), world.on_stock(CAP)) == (7, 4)


def test_a_request_that_arrives_after_its_drain_was_succeeded_changes_nothing(world: StockWorld) -> None:
    """It was aimed in time, and then the process stood still while others carried the batch through, and the next."""
    world.move(HAT, -2)
    slow, quick = world.drain(), world.drain()
    tasks, _ = slow._tasks(world.store.stock.claim(world.project, slow.owner, limit=9, lease_seconds=60))
    world.let_leases_end()
    quick.round()
    world.move(HAT, -1)
    quick.round()
    (outcome,) = [slow._bring(task, set()) for task in tasks]
    assert type(outcome).__name__ == "_Unfinished"
    assert world.on_stock(HAT) == 7


# Faults

FAULTS = {
    "unavailable": Rule(kind="error", status=503, api="commercetools", rate=0.3),
    "bad gateway": Rule(kind="error", status=502, api="commercetools", rate=0.3),
    "error before": Rule(kind="error", status=500, operation="inventory.*", rate=0.4),
    "error after": Rule(kind="error", status=500, operation="inventory.*", when="after", rate=0.4),
    "reset before": Rule(kind="reset", operation="inventory.*", rate=0.4),
    "reset after": Rule(kind="reset", operation="inventory.*", when="after", rate=0.4),
    "timeout before": Rule(kind="timeout", operation="inventory.*", rate=0.4, delay=0.02),
    "timeout after": Rule(kind="timeout", operation="inventory.*", when="after", rate=0.4, delay=0.02),
    "slow": Rule(kind="slow", api="commercetools", rate=0.3, delay=0.03),
    "conflict": Rule(kind="conflict", operation="inventory.update", rate=0.5),
    "throttle": Rule(kind="throttle", api="commercetools", every=9, retry_after=0),
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", FAULTS)
def test_faults_lose_and_double_nothing(make: Make, dataset: Dataset, name: str, seed: int) -> None:
    world = make(FaultPlan(seed=seed, rules=(FAULTS[name],)))
    world.tuning = replace(QUICK, attempts=2)
    places = [HAT, CAP, RUG, Place(known_sku(dataset, world), OTHER)]
    ledger = Ledger(dict(zip(places, (10, 5, 3, 0), strict=True)))
    for turn in range(4):
        movements = [world.movement(place, turn - 2 or 5, at=turn) for place in places]
        world.add(*movements)
        ledger.note(*movements)
        world.let_leases_end()
        with suppress(RetryableError):
            world.drain().round()
    world.finish()
    assert {place: world.on_stock(place) for place in places} == ledger.expected()
    assert world.states() == {"applied": 16}
    assert raised(world, Kind.STOCK_REFUSED) == []
    assert sum(world.server.counters()["faults"].values()) > 0


def test_a_target_that_is_down_leaves_everything_waiting(make: Make) -> None:
    down = Rule(kind="error", status=503, api="commercetools", rate=1)
    world = make(FaultPlan(rules=(down,)))
    world.tuning = replace(QUICK, attempts=2)
    world.add(world.movement(HAT, -2), world.movement(CAP, -1))
    with pytest.raises(RetryableError):
        world.drain().round()
    assert world.store.stock.has_waiting(world.project), "whoever comes next may go on at once"
    world.server.set_faults(None)
    assert world.drain().round().applied == 2


def test_what_was_done_before_an_error_is_noted(make: Make) -> None:
    world = make(settings={"concurrency": 1})
    world.add(*(world.movement(place, -1) for place in (HAT, CAP, RUG)))
    late = Rule(kind="error", status=503, operation="inventory.update", rate=1, skip=2)
    world.server.set_faults(FaultPlan(rules=(late,)))
    world.tuning = replace(QUICK, attempts=2)
    with pytest.raises(RetryableError):
        world.drain().round()
    assert world.states() == {"applied": 2, "batched": 1}
