"""A night while kiosks and the web shop sell: every mishap with its cause, none invented, and mended within limits."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.mishaps import FIRST, NOTHING, SECOND, of_both, stage, stage_pairs
from tests.support.nights import NightWorld

from cogent_ops.clients.transport import close_sessions
from cogent_ops.domain.exceptions import Kind
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.sandbox.state import Behaviour
from cogent_ops.store import Store
from cogent_ops.store.drift import FindingState


@pytest.fixture
def world(store: Store, tmp_path: Path) -> Iterator[NightWorld]:
    with ExitStack() as stack:
        data = generate(seed=1, products=6, now=datetime.now(UTC), dirty_share=0.0)
        server = stack.enter_context(SandboxServer(data, behaviour=Behaviour(order_lag_seconds=0.2)))
        yield NightWorld(server, store, tmp_path / "root", rules={"heal": "small", "heal_value": 1e6})
        close_sessions()


def test_each_mishap_is_found_with_its_cause_and_nothing_else(world: NightWorld) -> None:
    staged = stage(world, each=1, bystanders=4, seed=11)
    assert staged.wrong == []
    assert staged.wrong_units == []
    assert not any(name == NOTHING for name, _ in staged.found)
    assert staged.sold["kiosk"] > 5
    assert staged.sold["shop"] > 2

    healing = {one.finding.subject for one in world.stored() if one.state is FindingState.HEALING}
    assert {world.stored()[0].finding.night} == {"2026-12-02"}
    assert len(healing) == 5
    assert world.night() == []
    assert {one.state for one in world.stored("2026-12-02") if one.finding.subject in healing} == {
        FindingState.VERIFIED
    }


def test_of_two_mishaps_at_one_place_each_gets_its_cause_and_units(world: NightWorld) -> None:
    chance = random.Random(7)
    pairs = chance.sample([(first, second) for first in FIRST for second in SECOND], 14)
    found, invented = stage_pairs(world, pairs, bystanders=3, seed=7)
    assert invented == []
    assert found == {pair: of_both(*pair) for pair in pairs}


def test_above_the_limits_a_person_is_asked_and_no_answer_changes_nothing(world: NightWorld) -> None:
    (place,) = world.places(1)
    world.night()
    world.move(place, -5)
    world.duplicate_last(place, -5)
    (found,) = world.night()
    assert (found.cause, found.heal) == ("duplicated", 5)
    assert world.states() == {str(place): FindingState.PROPOSED}
    asked = world.nights.proposals()
    assert asked.count == 1
    assert "Mending it adds +5" in asked.text
    assert [one.cause_key for one in world.store.exceptions.open("default", Kind.DRIFT_HEAL)] == ["waiting"]

    world.nights.decide(asked.until, "Hold", "nobody")
    world.carry()
    assert world.stock.on_stock(place) == 10
    assert world.night() == []
    again = world.nights.proposals()
    assert again.count == 1
    assert world.nights.decide(again.until, "Approve", "ada")["healed"] == 1
    world.carry()
    assert world.stock.on_stock(place) == 15
    assert world.night() == []
    (done,) = world.stored("2026-12-02")
    assert (done.state, done.decided_by) == (FindingState.VERIFIED, "ada")
    assert world.store.exceptions.open("default", Kind.DRIFT_HEAL) == []


def test_what_has_changed_since_or_was_declined_is_not_mended(world: NightWorld) -> None:
    declined, edited, counted = world.places(3)
    world.night()
    for place in (edited, counted):
        world.move(place, -5)
        world.duplicate_last(place, -5)
    world.move(declined, -6)
    world.duplicate_last(declined, -6)
    world.night()
    assert world.nights.proposals().count == 3
    world.edit(edited, 15)
    world.count_shelf(counted, 15)
    world.nights.decide(world.nights.proposals().until, "Approve", "ada")
    world.carry()
    assert world.stock.on_stock(edited) == 15
    assert world.stock.on_stock(counted) == 15
    assert world.stock.on_stock(declined) == 14

    world.night()
    assert world.states("2026-12-02")[str(counted)] is FindingState.OVERTAKEN
    world.nights.decide(world.nights.proposals().until, "Decline", "ada")
    assert world.nights.proposals().count == 0


def test_a_past_night_is_compared_again_from_its_archive_alone(world: NightWorld) -> None:
    (place,) = world.places(1)
    world.night()
    world.move(place, -2)
    world.duplicate_last(place, -2)
    found = world.night()
    world.carry()
    world.night()
    world.server.app.forget()
    world.nights.compare("2026-12-02", backfilled=True)
    world.nights.report("2026-12-02")
    assert world.server.counters()["requests"] == {}
    assert [one.finding for one in world.stored("2026-12-02")] == found
    assert world.states("2026-12-02") == {str(place): FindingState.VERIFIED}
