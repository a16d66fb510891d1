"""Nights over a sandbox: each mishap is found with its cause, nothing else is, and what is mended is right."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.nights import NightWorld, causes

from cogent_ops.clients.transport import close_sessions
from cogent_ops.domain.exceptions import Kind
from cogent_ops.domain.stock import Place
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.services.drift import readings
from cogent_ops.store import Store
from cogent_ops.store.drift import FindingState
from cogent_ops.store.stock_history import PastBatch

Make = Callable[..., NightWorld]
#: Longer than the lag of these worlds.
A_WHILE = 0.5


@pytest.fixture
def make(store: Store, tmp_path: Path) -> Iterator[Make]:
    """Starts a sandbox with a link: ``make(**rules)``."""
    with ExitStack() as stack:

        def begin(**rules: Any) -> NightWorld:
            data = generate(seed=1, products=3, now=datetime.now(UTC), dirty_share=0.0)
            server = stack.enter_context(SandboxServer(data))
            return NightWorld(server, store, tmp_path / "root", rules=rules)

        yield begin
        close_sessions()


def test_what_is_as_it_should_be_is_no_finding(make: Make) -> None:
    world = make()
    sold, moved, shop, reserved, counted = world.places(5)
    assert world.night() == []
    order = world.sell(sold, 3)
    world.move(moved, 5)
    world.sell_online(shop, 4)
    world.stock.sell_online(reserved, 2, reserve=True)
    world.count_shelf(counted, 20)
    world.sell(counted, 1)
    world.kiosks.set_status(order, "VOIDED")
    world.carry()
    time.sleep(A_WHILE)
    assert world.night() == []
    assert [world.stock.on_stock(one) for one in (sold, moved, shop, reserved, counted)] == [
        20,
        25,
        16,
        20,
        19,
    ]


def test_a_change_that_is_in_twice_is_found_mended_and_verified(make: Make) -> None:
    world = make(heal="small", heal_value=1e6)
    (place,) = world.places(1)
    world.night()
    world.sell(place, 2)
    world.duplicate_last(place, -2)
    (found,) = world.night()
    assert (found.subject, found.cause, found.units, found.heal) == (str(place), "duplicated", -2, 2)
    assert found.amount is not None
    assert found.amount < 0
    assert world.states() == {str(place): FindingState.HEALING}
    world.carry()
    assert world.stock.on_stock(place) == 18
    assert world.night() == []
    assert world.states("2026-12-02") == {str(place): FindingState.VERIFIED}


def test_a_night_that_is_compared_again_leaves_its_question_open(make: Make) -> None:
    world = make(heal="ask")
    (place,) = world.places(1)
    world.night()
    world.sell(place, 2)
    world.duplicate_last(place, -2)
    world.night()
    asked = world.nights.proposals()
    world.nights.compare(world.last, backfilled=True)
    assert world.states() == {str(place): FindingState.PROPOSED}
    assert world.nights.decide(asked.until, "Approve", "ada")["healed"] == 1
    world.carry()
    assert world.stock.on_stock(place) == 18


def test_a_change_that_the_entry_has_forgotten_is_found_and_mended(make: Make) -> None:
    world = make(heal="small", heal_value=1e6)
    (place,) = world.places(1)
    world.sell(place, 1)
    world.night()
    before = world.stock.entry(place)
    world.sell(place, 2)
    assert before is not None
    world.forget_last(place, before)
    (found,) = world.night()
    assert (found.cause, found.units, found.heal) == ("lost", 2, -2)
    world.carry()
    assert world.stock.on_stock(place) == 17
    assert world.night() == []


def test_what_a_person_has_set_is_told_to_its_owner_and_left_alone(make: Make) -> None:
    world = make(heal="small", heal_value=1e6)
    place, other = world.places(2)
    world.night()
    world.sell(place, 1)
    world.edit(place, 18)
    world.edit(other, 25)
    found = world.night()
    assert causes(found) == {str(place): "manual_edit", str(other): "manual_edit"}
    assert {one.subject: (one.units, one.heal) for one in found} == {
        str(place): (-1, None),
        str(other): (5, None),
    }
    assert world.night() == []
    assert world.stock.on_stock(other) == 25


def test_an_edit_before_our_last_change_is_not_taken_for_our_own_fault(make: Make) -> None:
    """Commercetools then says that we changed the entry last, and the amounts are alike."""
    world = make(heal="small", heal_value=1e6)
    place, told = world.places(2)
    world.keep_messages(False)
    world.night()
    world.sell(place, 1)
    world.edit(place, 18)
    world.sell(place, 1)
    assert causes(world.night()) == {str(place): "unexplained"}
    assert world.states() == {str(place): FindingState.PROPOSED}

    world.keep_messages(True)
    world.sell(told, 1)
    world.edit(told, 18)
    world.sell(told, 1)
    assert causes(world.night()) == {str(told): "manual_edit"}


def test_an_entry_that_is_gone_and_one_that_was_made_anew(make: Make) -> None:
    world = make()
    gone, anew = world.places(2)
    world.night()
    world.remove(gone)
    world.remove(anew)
    world.edit(anew, 15)
    found = {one.subject: one for one in world.night()}
    assert causes(list(found.values())) == {str(gone): "missing_entry", str(anew): "manual_edit"}
    assert found[str(gone)].units == -20
    assert world.night() == []


def test_a_count_begins_anew_and_tells_what_it_found(make: Make) -> None:
    world = make(heal="small", heal_value=1e6)
    (place,) = world.places(1)
    world.night()
    world.sell(place, 2)
    world.duplicate_last(place, -2)
    world.count_shelf(place, 17)
    world.sell(place, 1)
    (found,) = world.night()
    assert (found.cause, found.units, found.heal) == ("count_difference", 1, None)
    assert world.stock.on_stock(place) == 16
    assert world.night() == []


def counted_in_the_evening(world: NightWorld) -> tuple[Place, datetime]:
    """A place with 18 units on the shelf and 16 in commercetools, and when somebody counted who tells it later."""
    (place,) = world.places(1)
    world.night()
    world.move(place, -2)
    world.duplicate_last(place, -2)
    evening = datetime.now(UTC)
    assert causes(world.night()) == {str(place): "duplicated"}
    return place, evening


def test_a_count_that_comes_while_a_person_is_asked_settles_it(make: Make) -> None:
    world = make(heal="ask")
    place, evening = counted_in_the_evening(world)
    asked = world.nights.proposals()
    world.count_shelf(place, 18, evening)
    assert world.stock.on_stock(place) == 18
    decided = world.nights.decide(asked.until, "Approve", "ada")
    assert (decided["healed"], decided["overtaken"]) == (0, 1)
    world.carry()
    assert world.stock.on_stock(place) == 18
    assert world.states() == {str(place): FindingState.OVERTAKEN}


@pytest.mark.parametrize("healed_first", [True, False])
def test_a_count_that_comes_after_its_heal_is_not_raised_by_it(make: Make, healed_first: bool) -> None:
    world = make(heal="small", heal_value=1e6)
    place, evening = counted_in_the_evening(world)
    assert world.states() == {str(place): FindingState.HEALING}
    if healed_first:
        world.carry()
    world.count_shelf(place, 18, evening)
    assert world.stock.on_stock(place) == 18


def test_what_an_order_should_have_moved_comes_on_top_of_an_earlier_count(make: Make) -> None:
    world = make(heal="small", heal_value=1e6)
    (place,) = world.places(1)
    world.night()
    evening = datetime.now(UTC) - timedelta(hours=1)
    order = world.sell_and_lose(place, 2)
    assert [one.reference for one in world.night()] == [order]
    world.count_shelf(place, 20, evening)
    assert world.stock.on_stock(place) == 18


def test_movements_that_wait_are_late_only_when_they_are_old(make: Make) -> None:
    world = make()
    (place,) = world.places(1)
    world.night()
    world.kiosks.sell((place.sku, 2), store="berlin")
    world.kiosks.poll()
    world.stock.add(world.stock.movement(Place("NO-SUCH", "berlin"), -1))
    world.stock.finish()
    world.kiosks.sell((place.sku, 2), store="berlin")
    world.kiosks.poll()
    assert world.night() == []
    world.make_old(60)
    found = world.night()
    assert sorted(one.cause for one in found) == ["late", "wrong_identifier"]
    late = next(one for one in found if one.cause == "late")
    assert (late.subject, late.units) == (str(place), 2)
    world.stock.finish()
    assert [one.cause for one in world.night()] == ["wrong_identifier"]


def test_stock_of_a_store_that_nobody_knows(make: Make) -> None:
    world = make()
    (place,) = world.places(1)
    world.stock.add(world.stock.movement(Place(place.sku, "nowhere"), -1))
    world.stock.finish()
    world.make_old(60)
    (found,) = world.night()
    assert (found.cause, found.place) == ("phantom_location", "nowhere")


def test_an_order_that_no_movement_carries_is_mended_once(make: Make) -> None:
    world = make(heal="small", heal_value=1e6)
    (place,) = world.places(1)
    world.night()
    order = world.kiosks.sell((place.sku, 2), store="berlin")
    world.poll_and_lose(order)
    (found,) = world.night()
    assert (found.cause, found.units, found.heal, found.reference) == ("lost", 2, -2, order)
    world.carry()
    assert world.stock.on_stock(place) == 18
    assert world.night() == []
    world.kiosks.set_status(order, "VOIDED")
    world.carry()
    time.sleep(A_WHILE)
    assert world.night() == []
    assert world.stock.on_stock(place) == 20


def test_an_order_that_is_mended_settles_nothing_else_at_its_place(make: Make) -> None:
    world = make(heal="small", heal_value=1e6, heal_units=5)
    (place,) = world.places(1)
    world.night()
    world.move(place, -6)
    world.duplicate_last(place, -6)
    world.sell_and_lose(place, 1)
    assert {one.units for one in world.night()} == {-6, 1}
    asked = world.nights.proposals()
    assert asked.count == 1
    world.carry()
    assert world.nights.decide(asked.until, "Approve", "ada")["healed"] == 1
    world.carry()
    assert world.stock.on_stock(place) == 13


def test_what_two_nights_find_at_a_place_is_mended_together(make: Make) -> None:
    world = make(heal="ask")
    (place,) = world.places(1)
    world.night()
    for units in (-2, -1):
        world.move(place, units)
        world.duplicate_last(place, units)
        assert causes(world.night()) == {str(place): "duplicated"}
    asked = world.nights.proposals()
    assert world.nights.decide(asked.until, "Approve", "ada")["healed"] == 2
    world.carry()
    assert world.stock.on_stock(place) == 17
    assert world.night() == []


@pytest.mark.parametrize("unanswered", [0, 2])
def test_what_was_mended_and_is_wrong_again_is_raised_however_late_it_was_approved(
    make: Make, unanswered: int
) -> None:
    world = make(heal="ask")
    (place,) = world.places(1)
    world.night()
    world.move(place, -2)
    world.duplicate_last(place, -2)
    world.night()
    found = world.last
    for _ in range(unanswered):
        assert world.night() == []
    world.nights.decide(world.nights.proposals().until, "Approve", "ada")
    world.carry()
    world.move(place, -3)
    world.duplicate_last(place, -3)
    world.night()
    assert world.states(found) == {str(place): FindingState.RETURNED}
    exceptions = world.store.exceptions
    assert "returned" in exceptions.open_causes("default", Kind.DRIFT_HEAL)
    world.night()
    assert "returned" not in exceptions.open_causes("default", Kind.DRIFT_HEAL)


def test_what_a_person_approves_stays_right_after_a_later_night_has_mended_the_place(make: Make) -> None:
    world = make(heal="small", heal_value=1e6, heal_units=5)
    (place,) = world.places(1)
    world.night()
    for units in (-6, -1):
        world.move(place, units)
        world.duplicate_last(place, units)
        assert causes(world.night()) == {str(place): "duplicated"}
    world.carry()
    asked = world.nights.proposals()
    assert world.nights.decide(asked.until, "Approve", "ada")["healed"] == 1
    world.carry()
    assert world.stock.on_stock(place) == 13


def test_what_is_read_again_is_as_if_all_had_been_read_again(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readings, "SLACK", timedelta(seconds=0.5))
    world = make()
    place, other = world.places(2)
    world.move(place, -1)
    world.sell_online(other, 1)
    reader, since = readings.StockReadings(world.parts), datetime.now(UTC) - timedelta(hours=1)
    world.stock.move(other, -3)
    world.store.stock.claim(world.stock.project, "somebody", limit=10, lease_seconds=0)
    first = reader.moves(since)
    time.sleep(1.0)
    asked: list[datetime] = []
    batches = world.store.stock_history.batches

    def noted(project: str, at: datetime) -> Iterator[PastBatch]:
        asked.append(at)
        return batches(project, at)

    monkeypatch.setattr(world.store.stock_history, "batches", noted)
    world.stock.finish()
    world.count_shelf(place, 7)
    world.sell_online(place, 2)
    again = reader.moves_since(first)
    whole = reader.moves(since)
    for name in ("ledger", "sales", "mended"):
        found, expected = getattr(again, name).to_pylist(), getattr(whole, name).to_pylist()
        assert sorted(found, key=repr) == sorted(expected, key=repr)
    assert (len(whole.ledger), len(whole.sales)) == (3, 2)
    assert asked == [first.read_at - readings.SLACK, since]
