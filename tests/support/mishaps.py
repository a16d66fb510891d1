"""Everything that may go wrong with stock, staged while kiosks and the web shop sell, and what a night makes of it."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    world.edit(place, (world.stock.on_stock(place) or 0) - 1)


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
    world.sell_and_lose(place, 2)


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


#: What is staged in pairs, one after the other at the same place; an entry that is gone can only come second.
FIRST = (
    "our change is in twice",
    "our change is forgotten",
    "an order without movement",
    "somebody sets the quantity",
    "somebody sets what looks like our change again",
    "a count finds fewer",
)
SECOND = (*FIRST, "the entry is deleted")
#: Stands for what an order should have moved, which is a finding of its own.
ORDER = "lost (order)"


def of_both(first: str, second: str) -> dict[str, int]:
    """What a night should find of two mishaps at a place with 20 units: units by cause, by what people would say.

    Whoever sets a quantity, counts or deletes has settled what was wrong before; an order that no movement carries
    is missing whatever else happens.
    """
    quantity, open_, found = 20, list[tuple[str, int]](), Counter[str]()
    for name in (first, second):
        cause, units, _ = MISHAPS[name]
        if name == "an order without movement":
            found[ORDER] += units
        elif cause in ("duplicated", "lost"):
            quantity += -2 + units if cause == "duplicated" else -3 + units
            open_.append((cause, units))
        elif cause == "manual_edit":
            quantity -= 1
            step = 30 - quantity if name == "somebody sets the quantity" else -1
            quantity += step
            open_ = [("manual_edit", sum(off for _, off in open_) + step)]
        elif cause == "count_difference":
            found[cause] += 17 - quantity
            quantity, open_ = 17, []
        else:
            found[cause], open_ = units, []
    found.update({cause: units for cause, units in open_ if cause == "manual_edit"})
    ours = [(cause, units) for cause, units in open_ if cause != "manual_edit"]
    if ours:
        largest = max(ours, key=lambda one: abs(one[1]))[0]
        found[largest] += sum(units for _, units in ours)
    return {cause: units for cause, units in found.items() if units}


def stage_pairs(
    world: NightWorld, pairs: Sequence[tuple[str, str]], *, bystanders: int, seed: int
) -> tuple[dict[tuple[str, str], dict[str, int]], list[Finding]]:
    """Stage two mishaps at each place while bystanders are sold; what a night found of each, and of nothing staged."""
    chance = random.Random(seed)
    places = dict(zip(pairs, world.places(len(pairs)), strict=True))
    crowd = world.places(bystanders, units=10_000)
    for place in places.values():
        world.move(place, 0)
    assert world.night() == []
    work = list(places.items())
    chance.shuffle(work)
    with traffic(world, crowd, Counter(), seed):
        for at in (0, 1):
            for pair, place in work:
                MISHAPS[pair[at]][2](world, place)
        findings = world.night()
    world.carry()
    names = {str(place): pair for pair, place in places.items()}
    found: dict[tuple[str, str], dict[str, int]] = {pair: {} for pair in pairs}
    invented: list[Finding] = []
    for one in findings:
        pair_ = names.get(one.subject.partition(" (order ")[0])
        if pair_ is None:
            invented.append(one)
        else:
            cause = ORDER if one.reference else one.cause.value
            found[pair_][cause] = found[pair_].get(cause, 0) + one.units
    return found, invented


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
