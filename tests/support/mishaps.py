"""Everything that may go wrong with stock, staged while kiosks and the web shop sell, and what a night makes of it."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.nights import NightWorld

from cogent_ops.domain.drift.model import Finding
from cogent_ops.domain.stock import Place
from cogent_ops.errors import RetryableError

#: What was found where nothing was staged, and what was staged where nothing was found.
NOTHING = "nothing"


def _duplicated(world: NightWorld, place: Place) -> None:
    world.move(place, -2)
    world.duplicate_last(place, -2)


def _forgotten(world: NightWorld, place: Place) -> None:
    before = world.stock.entry(place)
    world.move(place, -3)
    world.forget_last(place, before or {})


def _edited(world: NightWorld, place: Place) -> None:
    world.move(place, -1)
    world.edit(place, 30)


def _edited_alike(world: NightWorld, place: Place) -> None:
    """Somebody sets what comes to our last change once more."""
    world.move(place, -1)
    world.edit(place, 18)


def _then_sold(mishap: Callable[[NightWorld, Place], None]) -> Callable[[NightWorld, Place], None]:
    def staged(world: NightWorld, place: Place) -> None:
        mishap(world, place)
        world.move(place, -1)

    return staged


def _counted(world: NightWorld, place: Place) -> None:
    world.count_shelf(place, 17)


def _counted_after(world: NightWorld, place: Place) -> None:
    """A count finds out what a doubled change has done."""
    _duplicated(world, place)
    world.count_shelf(place, 18)


def _unmoved(world: NightWorld, place: Place) -> None:
    order = world.kiosks.sell((place.sku, 2), store=place.channel)
    world.poll_and_lose(order)


#: Name, what the cause should be, how many units are off, and whether it may be mended; of each, how it is staged.
MISHAPS: Mapping[str, tuple[str, int, Callable[[NightWorld, Place], None]]] = {
    "our change is in twice": ("duplicated", -2, _duplicated),
    "our change is forgotten": ("lost", 3, _forgotten),
    "an order without movement": ("lost", 2, _unmoved),
    "somebody sets the quantity": ("manual_edit", 11, _edited),
    "somebody sets what looks like our change again": ("manual_edit", -1, _edited_alike),
    "somebody sets it, then it is sold": ("manual_edit", 11, _then_sold(_edited)),
    "our change is in twice, then it is sold": ("duplicated", -2, _then_sold(_duplicated)),
    "our change is forgotten, then it is sold": ("lost", 3, _then_sold(_forgotten)),
    "the entry is deleted": ("missing_entry", -20, lambda world, place: world.remove(place)),
    "a count finds fewer": ("count_difference", -3, _counted),
    "our change is in twice, then it is counted": ("count_difference", 2, _counted_after),
}


@dataclass
class Staged:
    """What was staged, and what a night found.

    :param found: how often a cause was found, by mishap; ``nothing`` stands for none.
    :param wrong_units: findings whose units are not what was staged.
    """

    expected: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    found: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong_units: list[str] = field(default_factory=list)
    sold: Counter[str] = field(default_factory=Counter)

    def judge(self, findings: list[Finding]) -> None:
        """Count what was found against what was staged."""
        left = dict(self.names)
        for one in findings:
            place = one.subject.partition(" (order ")[0]
            name = left.pop(place, NOTHING)
            self.found[name, one.cause.value] += 1
            if name != NOTHING and one.units != MISHAPS[name][1]:
                self.wrong_units.append(f"{name}: {one.message}")
        for name in left.values():
            self.found[name, NOTHING] += 1

    @property
    def wrong(self) -> list[tuple[str, str, int]]:
        """What was found with another cause than staged, was invented, or was missed."""
        return [
            (name, cause, times)
            for (name, cause), times in sorted(self.found.items())
            if name == NOTHING or MISHAPS[name][0] != cause
        ]


def stage(world: NightWorld, *, each: int, bystanders: int, seed: int) -> Staged:
    """Stage every mishap while bystanders are sold, and let a night look at it while they still are.

    :param each: places for each mishap.
    :param bystanders: places that are sold all the time, at which nothing goes wrong.
    """
    staged, chance = Staged(), random.Random(seed)
    places = {name: world.places(each) for name in MISHAPS}
    crowd = world.places(bystanders, units=10_000)
    for place in (one for some in places.values() for one in some):
        world.move(place, 0)
    assert world.night() == []
    work = [(name, place) for name, some in places.items() for place in some]
    chance.shuffle(work)
    with traffic(world, crowd, staged.sold, seed):
        for name, place in work:
            staged.names[str(place)] = name
            MISHAPS[name][2](world, place)
        findings = world.night()
    staged.judge(findings)
    world.carry()
    return staged


@contextmanager
def traffic(world: NightWorld, crowd: list[Place], sold: Counter[str], seed: int) -> Iterator[None]:
    """Kiosks and the web shop sell, and what kiosks sell is carried, until the block ends."""
    over, chance, failures = threading.Event(), random.Random(seed), list[BaseException]()

    def until_over(deed: Callable[[], Any], pause: float) -> None:
        while not over.wait(pause):
            try:
                deed()
            except RetryableError:
                continue
            except BaseException as error:  # noqa: BLE001 - a thread's failure is the test's
                failures.append(error)
                return

    def kiosk() -> None:
        place = chance.choice(crowd)
        world.kiosks.sell((place.sku, chance.randint(1, 3)), store=place.channel)
        sold["kiosk"] += 1

    def shop() -> None:
        world.sell_online(chance.choice(crowd), chance.randint(1, 3))
        sold["shop"] += 1

    deeds = ((kiosk, 0.05), (shop, 0.15), (world.carry, 0.02))
    threads = [threading.Thread(target=until_over, args=deed, daemon=True) for deed in deeds]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(timeout=60)
    assert failures == []
