"""Two links that share one commercetools project: both see what is wrong with its stock, and it is mended once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import pytest
from tests.support.nights import STOCK, NightWorld, causes
from upath import UPath

from cogent_ops.clients.transport import close_sessions
from cogent_ops.domain.drift.model import Finding
from cogent_ops.domain.stock import Place
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.services.drift.nights import Nights
from cogent_ops.store import Store
from cogent_ops.store.drift import FindingState

AUSTRIA = "austria-client"


@dataclass
class Neighbour:
    """Another link of the same project, with nights of its own."""

    world: NightWorld
    folder: Path
    name: str = "austria"
    count: int = 0

    @cached_property
    def nights(self) -> Nights:
        parts = replace(
            self.world.parts,
            config=self.world.parts.config.model_copy(update={"name": self.name}),
            siblings=("default",),
        )
        return Nights(parts, UPath(self.folder), STOCK)

    @property
    def last(self) -> str:
        return f"2026-12-{self.count:02d}"

    def snapshot(self) -> None:
        self.count += 1
        self.nights.snapshot(self.last)

    def rest(self) -> list[Finding]:
        """What a night does after its snapshot."""
        self.nights.compare(self.last)
        self.nights.heal(self.last)
        self.nights.report(self.last)
        return [one.finding for one in self.world.store.drift.findings(self.name, self.last)]

    def night(self) -> list[Finding]:
        self.snapshot()
        return self.rest()

    def states(self, night: str | None = None) -> dict[str, FindingState]:
        found = self.world.store.drift.findings(self.name, night or self.last)
        return {one.finding.subject: one.state for one in found}


@pytest.fixture
def world(store: Store, tmp_path: Path) -> Iterator[NightWorld]:
    with ExitStack() as stack:
        data = generate(seed=1, products=3, now=datetime.now(UTC), dirty_share=0.0)
        server = stack.enter_context(SandboxServer(data))
        rules = {"heal": "small", "heal_value": 1e6}
        world = NightWorld(server, store, tmp_path / "root", rules=rules)
        clients = frozenset({AUSTRIA, "sandbox-client"})
        vars(world)["parts"] = replace(world.parts, clients=clients, siblings=("austria",))
        yield world
        close_sessions()


@pytest.fixture
def neighbour(world: NightWorld, tmp_path: Path) -> Neighbour:
    return Neighbour(world, tmp_path / "neighbour")


@pytest.fixture
def place(world: NightWorld, neighbour: Neighbour) -> Place:
    """A place that both have compared and that has gone wrong since."""
    (found,) = world.places(1)
    assert (world.night(), neighbour.night()) == ([], [])
    world.move(found, -2)
    world.duplicate_last(found, -2)
    return found


def nothing_is_left(world: NightWorld, neighbour: Neighbour, place: Place, units: int) -> None:
    world.carry()
    assert world.stock.on_stock(place) == units
    assert (world.night(), neighbour.night()) == ([], [])
    world.carry()
    assert world.stock.on_stock(place) == units


def test_both_report_it_and_whoever_is_first_mends_it(
    world: NightWorld, neighbour: Neighbour, place: Place
) -> None:
    neighbour.snapshot()
    assert causes(world.night()) == {str(place): "duplicated"}
    assert causes(neighbour.rest()) == {str(place): "duplicated"}
    assert world.states() == {str(place): FindingState.HEALING}
    assert neighbour.states() == {str(place): FindingState.OVERTAKEN}
    nothing_is_left(world, neighbour, place, 18)
    assert world.states("2026-12-02") == {str(place): FindingState.VERIFIED}


def test_what_is_about_to_be_mended_is_not_mended_again(
    world: NightWorld, neighbour: Neighbour, place: Place
) -> None:
    """The movement waits in the inbox while the other link reads the entry."""
    world.night()
    assert causes(neighbour.night()) == {str(place): "duplicated"}
    assert neighbour.states() == {str(place): FindingState.OVERTAKEN}
    nothing_is_left(world, neighbour, place, 18)


def test_what_was_mended_before_it_was_looked_at_is_no_difference(
    world: NightWorld, neighbour: Neighbour, place: Place
) -> None:
    world.night()
    world.carry()
    assert neighbour.night() == []
    nothing_is_left(world, neighbour, place, 18)


def test_what_went_wrong_after_it_was_mended_is_found_by_both_and_mended_by_one(
    world: NightWorld, neighbour: Neighbour, place: Place
) -> None:
    world.night()
    world.carry()
    world.move(place, -3)
    world.duplicate_last(place, -3)
    (found,) = neighbour.night()
    assert (found.cause, found.units) == ("duplicated", -3)
    assert neighbour.states() == {str(place): FindingState.OVERTAKEN}
    assert causes(world.night()) == {str(place): "duplicated"}
    nothing_is_left(world, neighbour, place, 15)


def test_a_question_is_taken_back_when_the_other_link_has_mended_it(
    world: NightWorld, neighbour: Neighbour, place: Place
) -> None:
    rules = world.parts.config.drift.model_copy(update={"heal": "ask"})
    config = neighbour.nights.parts.config.model_copy(update={"drift": rules})
    neighbour.nights.parts = replace(neighbour.nights.parts, config=config)
    neighbour.nights.rules = rules
    neighbour.night()
    assert neighbour.states() == {str(place): FindingState.PROPOSED}
    asked = neighbour.nights.proposals()
    world.night()
    world.carry()
    assert world.stock.on_stock(place) == 18

    # Whether the answer comes before or after the next night.
    assert neighbour.nights.decide(asked.until, "Approve", "ada")["healed"] == 0
    nothing_is_left(world, neighbour, place, 18)
    assert neighbour.states("2026-12-02") == {str(place): FindingState.OVERTAKEN}
    assert neighbour.nights.proposals().count == 0


def test_what_the_other_links_client_did_twice_is_our_own_doing(
    world: NightWorld, neighbour: Neighbour
) -> None:
    (place,) = world.places(1)
    assert (world.night(), neighbour.night()) == ([], [])
    world.move(place, -2)
    with world.server.state.commercetools.written_by(AUSTRIA):
        world.edit(place, 16)
    changed = world.stock.entry(place)
    assert changed is not None
    assert changed["lastModifiedBy"] == {"clientId": AUSTRIA}
    assert causes(world.night()) == {str(place): "duplicated"}


def test_an_order_that_no_movement_carries_is_its_own_links_affair(
    world: NightWorld, neighbour: Neighbour
) -> None:
    (place,) = world.places(1)
    assert (world.night(), neighbour.night()) == ([], [])
    order = world.kiosks.sell((place.sku, 2), store=place.channel)
    world.poll_and_lose(order)
    assert neighbour.night() == []
    assert [one.reference for one in world.night()] == [order]
    nothing_is_left(world, neighbour, place, 18)
