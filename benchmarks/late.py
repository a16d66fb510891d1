"""Protection while late: at a launch kiosks and the web shop sell the same scarce articles, and stock becomes late.

The same shoppers come to three worlds: without protection, with known units held back alone, and with protection as it
is shipped. Each is a sandbox of its own with latency and rate limits. A kiosk sells what it was told is there; the web
shop sells what commercetools has. What is really left is counted by the shoppers alone. When everything is over,
commercetools must have as many units below zero as they counted sold twice, nothing may wait, nothing may be held back,
and kiosks must have been told what commercetools has.

    python -m benchmarks late [--lag drain] [--seeds 1 2 3] [--plot docs/images/late.svg]
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks import plots
from benchmarks.launch import PLAN, Scene, configure, fill_kiosks, last_part, wrong_levels
from benchmarks.sandbox import sandbox

Json = dict[str, Any]

#: What is late, and the rule by which the sandbox makes it so; without one the drain simply stops.
LAGS: Mapping[str, tuple[str, Json | None]] = {
    "drain": ("stock_deltas reads orders and does not drain them", None),
    "writes": (
        "commercetools refuses changes of inventory (503)",
        {"kind": "error", "api": "commercetools", "operation": "inventory.update", "status": 503},
    ),
    "dark": (
        "commercetools refuses connectors everything (503), and the web shop goes on",
        {"kind": "error", "api": "commercetools", "status": 503},
    ),
    "orders": (
        "Cloudshelf refuses to give orders (503)",
        {"kind": "error", "api": "cloudshelf", "operation": "orders", "status": 503},
    ),
}
#: Seconds of each part, and shoppers per second at kiosks and in the web shop in it.
PARTS = ((20.0, 0.3, 0.3), (240.0, 1.5, 1.5), (10.0, 0.0, 0.0))
LAG = (80.0, 230.0)
PATIENCE_SECONDS = 180.0
PRODUCTS, VARIANTS = 40, 3
PLACES, MOST_UNITS = 80, 11
#: By name, the rules of protection.
WORLDS: Mapping[str, Json] = {
    "without protection": {"mode": "off"},
    "known units alone": {"reserve": 0},
    "as shipped": {},
}
WITHOUT, KNOWN, SHIPPED = WORLDS


@dataclass(frozen=True)
class Shopper:
    """Somebody who wants one unit.

    :param at: seconds from the beginning.
    :param place: number of the place.
    """

    at: float
    is_online: bool
    place: int


@dataclass
class Outcome:
    """What became of all shoppers.

    :param sold: units by who sold them, ``kiosk`` or ``web``.
    :param twice: those among them that were gone already.
    :param refused: shoppers who were refused although a unit was left.
    :param lost: those of them for whom it was left until the end.
    :param samples: seconds, units sold twice so far, movements waiting and units held back.
    :param wrong: what should not be, in words.
    """

    sold: Counter[str] = field(default_factory=Counter)
    twice: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    begun: int = 0
    samples: list[tuple[float, int, int, int]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


class Till:
    """Who bought what, and what is really left."""

    def __init__(self, scene: Scene, places: Sequence[tuple[str, str]], units: Sequence[int]) -> None:
        self.scene, self.places, self.left = scene, places, list(units)
        self.outcome = Outcome()
        self._turned_away: Counter[int] = Counter()
        self._lock = threading.Lock()

    def serve(self, shopper: Shopper) -> None:
        """Sell, if the shop believes that it can."""
        who, place = ("web" if shopper.is_online else "kiosk"), shopper.place
        sku, channel = self.places[place]
        buy = self.scene.buy_online if shopper.is_online else self.scene.buy_at_kiosk
        is_sold = buy(sku, channel)
        with self._lock:
            if is_sold:
                self.left[place] -= 1
                self.outcome.sold[who] += 1
                self.outcome.twice[who] += self.left[place] < 0
            elif self.left[place] > 0:
                self.outcome.refused[who] += 1
                self._turned_away[place] += 1

    def twice(self) -> int:
        """Units sold twice so far."""
        with self._lock:
            return sum(-units for units in self.left if units < 0)

    def close(self) -> None:
        """Nobody comes any more."""
        self.outcome.lost = sum(
            min(times, max(0, self.left[place])) for place, times in self._turned_away.items()
        )


def shoppers(seed: int) -> list[Shopper]:
    """Everybody who comes, in order; the first places are wanted most."""
    rng = random.Random(seed)
    weights = [1 / (1 + place) ** 0.5 for place in range(PLACES)]
    found: list[Shopper] = []
    start = 0.0
    for seconds, kiosks, online in PARTS:
        for rate, is_online in ((kiosks, False), (online, True)):
            at = rng.expovariate(rate) if rate else seconds
            while at < seconds:
                found.append(Shopper(start + at, is_online, rng.choices(range(PLACES), weights)[0]))
                at += rng.expovariate(rate)
        start += seconds
    return sorted(found, key=lambda one: one.at)


def main(options: list[str]) -> int:
    """Play each lag with each seed in every world; print and draw what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lag", nargs="+", choices=LAGS, default=["drain"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--plot", type=Path, help="draw the first seed of the first lag")
    args = parser.parse_args(options)
    failed = 0
    for number, lag in enumerate(args.lag):
        print(f"\n{lag}: {LAGS[lag][0]}", flush=True)
        played = [play(lag, seed) for seed in args.seeds]
        for seed, worlds in zip(args.seeds, played, strict=True):
            for name, outcome in worlds.items():
                _print(f"seed {seed}, {name}", outcome)
                failed += len(outcome.wrong)
        _sum_up(played)
        if args.plot is not None and not number:
            args.plot.write_text(draw(played[0]), encoding="utf-8")
    return int(failed > 0)


def play(lag: str, seed: int) -> dict[str, Outcome]:
    """All worlds, side by side."""
    context = multiprocessing.get_context("spawn")
    with ThreadPoolExecutor(len(WORLDS)) as pool, tempfile.TemporaryDirectory() as root:
        running = {}
        for name in WORLDS:
            folder = Path(root) / name
            folder.mkdir()
            running[name] = pool.submit(_in_a_process, context, folder, lag, seed, name)
        return {name: one.result() for name, one in running.items()}


def _in_a_process(context: Any, folder: Path, lag: str, seed: int, world: str) -> Outcome:
    """A world's settings are environment variables, so each has a process."""
    process = context.Process(target=_world, args=(folder, lag, seed, world))
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"The world '{world}' has ended before its time.")
    told: Json = json.loads((folder / "outcome.json").read_text())
    for name in ("sold", "twice", "refused"):
        told[name] = Counter(told[name])
    return Outcome(**told)


def _world(folder: Path, lag: str, seed: int, world: str) -> None:
    from cogent_ops.store import upgrade

    logging.disable(logging.CRITICAL)
    with sandbox(folder, {}, products=PRODUCTS, variants=VARIANTS) as told:
        scene = Scene(told)
        seconds = sum(part[0] for part in PARTS) + 2 * PATIENCE_SECONDS
        configure(scene, folder, seconds, protection=dict(WORLDS[world]))
        upgrade(f"sqlite:///{folder / 'store.db'}")
        from cogent_ops.runtime import Runtime

        runtime = Runtime("default")
        fill_kiosks(runtime)
        till = Till(scene, *_stock_up(scene, seed))
        runtime.availability("before").collect(datetime.now(UTC), full=True)
        while runtime.availability("before").push().more:
            pass
        scene.limit()
        _play(scene, runtime, till, lag, seed)
    (folder / "outcome.json").write_text(json.dumps(vars(till.outcome)))


def _stock_up(scene: Scene, seed: int) -> tuple[list[tuple[str, str]], list[int]]:
    """Some places have a few units, and their variants none anywhere else; the others are not asked for."""
    rng = random.Random(seed)
    stores = {last_part(gid) for gid in scene.state("cloudshelf")["locations"]}
    shown = {last_part(variant) for variant in scene.variants()}
    entries = sorted(tuple(name.rpartition("@")[::2]) for name in scene.state("commercetools")["inventory"])
    there = [(sku, channel) for sku, channel in entries if sku in shown and channel in stores]
    places = rng.sample(there, PLACES)
    chosen = {place: rng.randint(2, MOST_UNITS) for place in places}
    skus = {sku for sku, _ in places}
    for sku, channel in entries:
        if sku in skus:
            scene.set_stock(sku, channel, chosen.get((sku, channel), 0))
    stock = scene.state("commercetools")["inventory"]
    # Less what is reserved already.
    return places, [stock["@".join(place)][1] for place in places]


def _play(scene: Scene, runtime: Any, till: Till, lag: str, seed: int) -> None:
    context = multiprocessing.get_context("spawn")
    is_stopped = context.Event()
    flows = [
        context.Process(target=_move, args=(is_stopped,), daemon=True),
        context.Process(target=_tell, daemon=True),
    ]
    for flow in flows:
        flow.start()
    try:
        _wait_for(runtime)
        began = time.monotonic()
        coming = threading.Thread(target=_come, args=(till, seed, began), daemon=True)
        lagging = threading.Thread(target=_lag, args=(scene, lag, is_stopped, began), daemon=True)
        for thread in (coming, lagging):
            thread.start()
        _watch(runtime, till, began, coming)
        till.close()
        _check(scene, runtime, till)
    finally:
        for flow in flows:
            flow.terminate()
            flow.join()


def _wait_for(runtime: Any) -> None:
    """Wait until both flows have looked: the first poll says from when orders count."""
    from cogent_ops.services.beat import COLLECTED, POLLED

    deadline = time.monotonic() + PATIENCE_SECONDS
    while None in (runtime.store.watermarks.get("default", mark) for mark in (COLLECTED, POLLED)):
        if time.monotonic() > deadline:
            raise RuntimeError("The flows did not start.")
        time.sleep(0.5)


def _move(is_stopped: Any) -> None:
    """``stock_deltas``, whose drain may be stopped."""
    logging.disable(logging.CRITICAL)
    from cogent_ops.runtime import Runtime
    from cogent_ops.services.stock.drain import DrainCounts

    flow = Runtime("default").stock("launch")
    drain = flow.drain.round
    flow.drain.round = lambda: DrainCounts() if is_stopped.is_set() else drain()  # type: ignore[method-assign]
    _again_and_again(flow.run)


def _tell() -> None:
    """``availability_push``."""
    logging.disable(logging.CRITICAL)
    from cogent_ops.runtime import Runtime

    _again_and_again(lambda: Runtime("default").availability("launch").keep_up())


def _again_and_again(run: Callable[[], object]) -> None:
    """As Airflow tries a run again that has failed."""
    from cogent_ops.errors import RetryableError

    while True:
        try:
            run()
        except RetryableError:
            time.sleep(5)


def _come(till: Till, seed: int, began: float) -> None:
    with ThreadPoolExecutor(8) as pool:
        for shopper in shoppers(seed):
            time.sleep(max(0.0, began + shopper.at - time.monotonic()))
            pool.submit(till.serve, shopper)


def _lag(scene: Scene, lag: str, is_stopped: Any, began: float) -> None:
    rule = LAGS[lag][1]
    time.sleep(max(0.0, began + LAG[0] - time.monotonic()))
    if rule is None:
        is_stopped.set()
    else:
        scene.plan({**PLAN, "rules": [rule]})
    time.sleep(max(0.0, began + LAG[1] - time.monotonic()))
    is_stopped.clear()
    scene.plan(PLAN)


def _watch(runtime: Any, till: Till, began: float, coming: threading.Thread) -> None:
    """Note how things stand, until nobody comes and nothing waits any more."""
    ends = began + sum(part[0] for part in PARTS)
    quiet = 0
    while quiet < 10 and time.monotonic() < ends + PATIENCE_SECONDS:
        time.sleep(1.0)
        backlog = runtime.store.stock.backlog(runtime.project)
        rows = runtime.store.protection.rows("default")
        waiting, held = backlog.waiting + backlog.batched, sum(row.buffer for row in rows.values())
        till.outcome.samples.append((time.monotonic() - began, till.twice(), waiting, held))
        levels = runtime.store.availability.backlog("default").levels
        is_over = time.monotonic() > ends + 10 and not coming.is_alive()
        quiet = quiet + 1 if is_over and not (waiting or rows or levels) else 0


def _check(scene: Scene, runtime: Any, till: Till) -> None:
    outcome, backlog, wrong = till.outcome, runtime.store.stock.backlog(runtime.project), wrong_levels(scene)
    stock = scene.state("commercetools")["inventory"]
    below = sum(max(0, -stock["@".join(place)][1]) for place in till.places)
    rows = runtime.store.protection.rows("default")
    entries = runtime.store.audit_log.entries(limit=100_000)
    begun = Counter(one.subject for one in entries if one.action == "begin")
    released = Counter(one.subject for one in entries if one.action == "release")
    outcome.begun = sum(begun.values())
    outcome.wrong = [
        text
        for text, is_wrong in (
            (f"{below} units below zero in commercetools, {till.twice()} sold twice", below != till.twice()),
            (f"{backlog.waiting + backlog.batched} movements wait", backlog.waiting + backlog.batched > 0),
            (f"{len(rows)} places are protected still", bool(rows)),
            (f"{begun - released} began, and {released - begun} ended, alone", begun != released),
            (f"{wrong} levels differ from commercetools", wrong > 0),
        )
        if is_wrong
    ]


def _print(name: str, one: Outcome) -> None:
    print(
        f"  {name:<28} sold {one.sold['kiosk']:>4} at kiosks {one.sold['web']:>4} online   twice "
        f"{one.twice.total():>3} (kiosks {one.twice['kiosk']:>3}, online {one.twice['web']:>3})   refused "
        f"{one.refused['kiosk']:>3} with a unit left, {one.lost:>2} lost   protected {one.begun:>3}"
        f"{''.join(f'   WRONG: {text}' for text in one.wrong)}",
        flush=True,
    )


def _sum_up(played: Sequence[Mapping[str, Outcome]]) -> None:
    for name in WORLDS:
        ours = [worlds[name] for worlds in played]
        twice = [one.twice.total() for one in ours]
        print(
            f"  mean {name:<23} sold {mean(one.sold.total() for one in ours):.0f}   twice "
            f"{mean(twice):.1f} ({min(twice)} to {max(twice)}; kiosks {mean(one.twice['kiosk'] for one in ours):.1f}, "
            f"online {mean(one.twice['web'] for one in ours):.1f})   refused with a unit left "
            f"{mean(one.refused['kiosk'] for one in ours):.1f}, lost {mean(one.lost for one in ours):.1f}",
            flush=True,
        )


def draw(worlds: Mapping[str, Outcome]) -> str:
    """Units sold twice and held back over time, as SVG; the lag is grey."""
    samples = {name: one.samples for name, one in worlds.items()}
    length = min(map(len, samples.values()))
    times = [one[0] for one in samples[SHIPPED][:length]]

    def column(name: str, number: int) -> list[float]:
        return [float(one[number]) for one in samples[name][:length]]

    panels: list[plots.Panel] = [
        (
            "Units sold twice",
            [
                (WITHOUT, plots.ORANGE, column(WITHOUT, 1)),
                (KNOWN, plots.GREEN, column(KNOWN, 1)),
                (SHIPPED, plots.BLUE, column(SHIPPED, 1)),
            ],
        ),
        (
            "Units that kiosks are told less",
            [(KNOWN, plots.GREEN, column(KNOWN, 3)), (SHIPPED, plots.BLUE, column(SHIPPED, 3))],
        ),
        ("Movements waiting", [(SHIPPED, plots.BLUE, column(SHIPPED, 2))]),
    ]
    return plots.draw(panels, times, shade=LAG, step=30)
