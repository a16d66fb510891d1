"""A backlog of stock movements against the sandbox in a process of its own: time against the floor, none doubled.

The floor is what the rate limit alone allows for one request an entry: 2,000 entries at 100 requests a second take
20 s. Every run recounts the sandbox: each entry must hold what it began with plus the sum of its movements. In the last
one the sandbox refuses requests now and then (429 with Retry-After) while two processes drain.

    python -m benchmarks stock [--movements 50000] [--entries 2000] [--url postgresql://… of an empty database]
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import random
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx

from benchmarks.sandbox import sandbox
from cogent_ops.clients.commercetools import CommercetoolsAccount, CommercetoolsClient
from cogent_ops.clients.transport import Unlimited
from cogent_ops.config import LinkConfig, load_config
from cogent_ops.domain.custom_types import declared
from cogent_ops.domain.priorities import Priority
from cogent_ops.domain.stock import NewMovement, Place, Source
from cogent_ops.errors import RetryableError
from cogent_ops.services.stock.drain import DrainCounts, StockDrain
from cogent_ops.store import Store, open_store, upgrade

ROOT = Path(__file__).resolve().parents[1]
RATE, BURST = 100.0, 100
#: What processes together may send at once at worst: see docs/decisions/0003-rate-budget.md.
MOST_AT_ONCE = BURST + RATE / 4
LATENCY_SECONDS = 0.1
CONCURRENCY = 16
PLAN: dict[str, Any] = {
    "latency": {"commercetools": {"base": LATENCY_SECONDS}},
    "rate_limits": {"commercetools": {"per_second": RATE, "burst": MOST_AT_ONCE}},
}
#: Every thousand requests, eight in a row are refused for two seconds.
THROTTLE = {
    "kind": "throttle",
    "api": "commercetools",
    "every": 1000,
    "length": 8,
    "skip": 500,
    "retry_after": 2,
}
RUNS: tuple[tuple[str, int, list[Any]], ...] = (
    ("one process", 1, []),
    ("two processes", 2, []),
    ("two, throttled", 2, [THROTTLE]),
)
LINK = "default"

Json = dict[str, Any]


@dataclass(frozen=True)
class Drained:
    """What one process did."""

    counts: DrainCounts
    cpu_seconds: float
    peak_mb: float


def link() -> LinkConfig:
    """The shipped configuration, with this benchmark's limits."""
    found = load_config(ROOT / "include").link(LINK)
    movements = found.movements.model_copy(update={"concurrency": CONCURRENCY})
    return found.model_copy(update={"movements": movements})


def client(url: str, store: Store | None) -> CommercetoolsClient:
    """A client of the sandbox, within the store's budget, or without limit."""
    account = CommercetoolsAccount(
        "benchmark", f"{url}/ct", f"{url}/ct-auth", "sandbox", "sandbox-client", "sandbox-secret"
    )
    budget = Unlimited() if store is None else store.budget(account.budget_name, RATE, BURST)
    return CommercetoolsClient(account, budget, Priority.STOCK)


def fill(store: Store, project: str, places: list[Place], movements: int, seed: int) -> dict[str, int]:
    """Put movements into the inbox; returns their sum by entry, as the sandbox names entries."""
    chance, sums, start = random.Random(seed), dict[str, int](), datetime.now(UTC) - timedelta(hours=1)
    rows = []
    for number in range(movements):
        place, delta = places[number % len(places)], chance.choice((-3, -2, -1, -1, -1, 1))
        name = f"{place.sku}@{place.channel}"
        sums[name] = sums.get(name, 0) + delta
        rows.append(
            NewMovement(
                link=LINK,
                project=project,
                sku=place.sku,
                channel=place.channel,
                source=Source.API,
                source_id=f"{seed}/{number}",
                reference=f"order {number}",
                occurred_at=start + timedelta(milliseconds=number),
                delta=delta,
            )
        )
    with store.begin() as conn:
        assert store.stock.add_movements(conn, rows) == movements
    return sums


def work(store_url: str, url: str, project: str, number: int, pipe: Connection) -> None:
    """Drain until nothing waits, as a task does."""
    logging.disable(logging.WARNING)
    store = open_store(store_url)
    drain = StockDrain(link(), store, client(url, store), project, owner=f"process-{number}")
    pipe.send("ready")
    pipe.recv()
    counts, begun = DrainCounts(), time.process_time()
    while True:
        try:
            done = drain.round()
        except RetryableError:
            time.sleep(0.2)
            continue
        counts += done
        if not done.batches:
            left = store.stock.backlog(project)
            if not (left.waiting or left.batched):
                break
            time.sleep(0.05)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pipe.send(Drained(counts, time.process_time() - begun, peak))


def drain(store_url: str, url: str, project: str, processes: int) -> tuple[float, list[Drained]]:
    """Drain in fresh processes; the seconds from their start together to the end of the last."""
    context = multiprocessing.get_context("spawn")
    pipes, children = [], []
    for number in range(processes):
        ours, theirs = context.Pipe()
        child = context.Process(target=work, args=(store_url, url, project, number, theirs))
        child.start()
        pipes.append(ours)
        children.append(child)
    for pipe in pipes:
        assert pipe.recv() == "ready"
    time.sleep(1.5)  # the bucket of the sandbox fills again
    begun = time.perf_counter()
    for pipe in pipes:
        pipe.send("go")
    found = [pipe.recv() for pipe in pipes]
    took = time.perf_counter() - begun
    for child in children:
        child.join()
    return took, found


@dataclass
class Run:
    """One measured run."""

    name: str
    seconds: float
    requests: int
    faulty: list[str]
    counters: Json
    drained: list[Drained]


def measure(name: str, store_url: str, control: str, url: str, places: list[Place], options: Json) -> Run:
    """Fill the inbox, drain it, recount the sandbox."""
    project = f"commercetools/sandbox-{name}"
    store = open_store(store_url)
    before = inventory(control)
    sums = fill(store, project, places, options["movements"], options["seed"])
    httpx.put(f"{control}/faults", json=PLAN | {"rules": options["rules"]}).raise_for_status()
    httpx.delete(f"{control}/counters")
    seconds, drained = drain(store_url, url, project, options["processes"])
    counters = httpx.get(f"{control}/counters").json()
    httpx.put(f"{control}/faults", json={}).raise_for_status()
    after = inventory(control)
    wrong = [key for key, units in before.items() if after[key] != units + sums.get(key, 0)]
    sent = sum(n for key, n in counters["requests"].items() if key.startswith("commercetools."))
    return Run(name, seconds, sent, wrong, counters, drained)


def inventory(control: str) -> dict[str, int]:
    """Units on stock by entry."""
    content = httpx.get(f"{control}/state/commercetools", timeout=60).json()["inventory"]
    return {key: quantities[0] for key, quantities in content.items()}


def report(run: Run, floor: float) -> bool:
    """Print a run; whether it was right."""
    counters = run.counters
    refused = sum(counters.get("rate_limited", {}).values())
    avoidable = sum(counters.get("avoidable_429", {}).values())
    inside = sum(counters.get("inside_retry_after", {}).values())
    cpu = " + ".join(f"{one.cpu_seconds:.1f}" for one in run.drained)
    moved = sum(one.counts.movements for one in run.drained)
    print(
        f"{run.name:<16}{run.seconds:>7.1f} s{run.seconds / floor:>7.2f} x floor{run.requests:>7} requests"
        f"{refused:>5} refused  avoidable_429={avoidable} inside_retry_after={inside}"
        f"  CPU {cpu} s  peak {max(one.peak_mb for one in run.drained):.0f} MB"
        f"  {moved} movements, {len(run.faulty)} entries wrong",
        flush=True,
    )
    return not (run.faulty or avoidable or inside)


def main(arguments: list[str]) -> int:
    """Run it; 1 when a result is wrong (figures are for people to judge)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--movements", type=int, default=50_000)
    parser.add_argument("--entries", type=int, default=2_000)
    parser.add_argument("--url", help="an empty database; default: a temporary SQLite file")
    args = parser.parse_args(arguments)
    right = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store_url = args.url or f"sqlite:///{folder / 'store.db'}"
        with sandbox(folder, {}, products=max(20, args.entries // 10), variants=10) as found:
            url, control = found["url"], found["control_url"]
            installer = client(url, None)
            for kind in declared():
                installer.ensure("types", kind.draft())
            entries = sorted(key for key in inventory(control) if not key.endswith("@"))
            places = [Place(*key.rsplit("@", 1)) for key in entries[: args.entries]]
            assert len(places) == args.entries
            floor = args.entries / RATE
            print(f"{args.movements:,} movements on {args.entries:,} entries; floor {floor:.1f} s")
            upgrade(store_url)
            for number, (label, processes, rules) in enumerate(RUNS):
                options = {
                    "movements": args.movements,
                    "processes": processes,
                    "rules": rules,
                    "seed": number,
                }
                right &= report(measure(label, store_url, control, url, places, options), floor)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
