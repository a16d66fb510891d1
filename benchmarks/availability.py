"""Changes of availability on their way to Cloudshelf: calls and time against the floor, and how late each is told.

2,000 variants with an inventory entry in each of 20 stores, the sandbox in a process of its own with latency and rate
limits. First all changes happen before anybody looks, as in a launch; then they come evenly for a minute while the flow
runs. The floor of the calls is one for each thousand levels that changed. The floor of the time is what rates, latency
and concurrency alone allow for the requests that were sent. In the end what Cloudshelf has is compared with what
commercetools has.

    python -m benchmarks availability [--changes 50000] [--url postgresql://… of an empty database]
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import random
import resource
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from upath import UPath

from cogent_ops.clients.cloudshelf import CloudshelfAccount, CloudshelfClient
from cogent_ops.clients.commercetools import CommercetoolsAccount, CommercetoolsClient
from cogent_ops.clients.transport import RateBudget, Unlimited
from cogent_ops.config import load_config
from cogent_ops.domain.priorities import Priority
from cogent_ops.services.availability import AvailabilityFlow, PushCounts
from cogent_ops.services.catalogue.plan import CatalogueRequest
from cogent_ops.services.catalogue.sync import CatalogueSync
from cogent_ops.store import Store, open_store, upgrade

ROOT = Path(__file__).resolve().parents[1]
LINK = "default"
STORES, PRODUCTS, VARIANTS = 20, 200, 10
#: Seconds that an answer takes, requests per second, burst: cautious guesses at the real APIs, which publish neither.
APIS = {"commercetools": (0.15, 50.0, 100), "cloudshelf": (0.6, 10.0, 20)}
PLAN: dict[str, Any] = {
    "latency": {api: {"base": latency} for api, (latency, _, _) in APIS.items()},
    # What processes together may send at once at worst: see docs/decisions/0003-rate-budget.md.
    "rate_limits": {
        api: {"per_second": rate, "burst": burst + rate / 4} for api, (_, rate, burst) in APIS.items()
    },
}
STREAM_SECONDS = 60.0

Json = dict[str, Any]


@dataclass
class Sandbox:
    """The sandbox and what happens in it, in its own process; called by name through a pipe."""

    server: Any
    entries: list[Json]
    #: When a level changed, and when it was told: by entry, in order, with the quantity.
    changed: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    told: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    number: int = 0

    def hear(self, exchange: Any) -> None:
        """Remember which quantities were told."""
        if exchange.operation == "upsertStockLevels":
            now = time.monotonic()
            for row in json.loads(exchange.request)["variables"]["input"]:
                place = f"{_last(row['productVariantId'])}@{_last(row['locationId'])}"
                self.told.setdefault(place, []).append((row["quantity"], now))

    def limit(self, on: bool) -> None:
        """Latency and rate limits on or off; counters back to nothing."""
        from cogent_ops.sandbox.faults import FaultPlan

        self.server.app.faults.use(FaultPlan.model_validate(PLAN if on else {}))
        self.server.app.forget()

    def change(self, times: int, seconds: float) -> int:
        """Give entries new quantities, evenly in so many seconds; returns how many entries changed."""
        from cogent_ops.sandbox import actions

        state, chance = self.server.state.commercetools, random.Random(times)
        keys = {channel["id"]: channel["key"] for channel in state["channels"]}
        began, names = time.monotonic(), set()
        for done in range(times):
            if (ahead := began + done * seconds / times - time.monotonic()) > 0.01:
                time.sleep(ahead)
            chosen = chance.choice(self.entries)["id"]
            self.number += 1
            with state.lock:
                entry = state["inventory"].get(chosen)
                update = {"action": "changeQuantity", "quantity": self.number}
                actions.update_inventory(state, entry, {"version": entry["version"], "actions": [update]})
            name = f"{entry['sku']}@{keys[entry['supplyChannel']['id']]}"
            names.add(name)
            self.changed.setdefault(name, []).append((self.number, time.monotonic()))
        return len(names)

    def lags(self) -> list[float]:
        """Seconds from each change to the moment when it, or a later one of the same level, was told."""
        found = []
        for name, changes in self.changed.items():
            told = iter(self.told.get(name, ()))
            at = next(told, None)
            for number, when in changes:
                while at is not None and (at[0] < number or at[1] < when):
                    at = next(told, None)
                found.append(float("inf") if at is None else at[1] - when)
        return found

    def forget(self) -> None:
        """Measure anew."""
        self.changed.clear()
        self.told.clear()

    def counters(self) -> Json:
        """What the sandbox saw."""
        found: Json = self.server.app.counted()
        return found

    def wrong(self) -> int:
        """How many levels Cloudshelf has otherwise than commercetools."""
        shop, kiosk = self.server.dump("commercetools"), self.server.dump("cloudshelf")
        has = {f"{_last(variant)}@{_last(place)}": level[0] for variant, place, level in _levels(kiosk)}
        wanted = {name: units[1] for name, units in shop["inventory"].items() if not name.endswith("@")}
        return sum(has.get(name) != units for name, units in wanted.items())


def _levels(kiosk: Json) -> list[tuple[str, str, list[Any]]]:
    split = ((name.partition("@"), level) for name, level in kiosk["stock"].items())
    return [(variant, place, level) for (variant, _, place), level in split]


def _last(gid: str) -> str:
    return gid.rpartition("/")[2]


def serve(pipe: Connection) -> None:
    """Run the sandbox and do what the pipe says."""
    from cogent_ops.sandbox.cloudshelf_state import KioskBehaviour
    from cogent_ops.sandbox.generator import VariantMix, generate
    from cogent_ops.sandbox.server import SandboxServer

    mix = VariantMix(((1, VARIANTS, VARIANTS),))
    data = generate(seed=5, products=PRODUCTS, now=datetime.now(UTC), dirty_share=0, variants=mix)
    template, stock = data.channels[0], data.inventory[0]
    channels = [
        {**template, "id": str(uuid5(NAMESPACE_URL, f"store-{n}")), "key": f"store-{n}"}
        for n in range(STORES)
    ]
    skus = [v["sku"] for p in data.products for v in (p["masterVariant"], *p["variants"])]
    entries = [
        {
            **stock,
            "id": str(uuid5(NAMESPACE_URL, f"{sku}@{channel['key']}")),
            "sku": sku,
            "supplyChannel": {"typeId": "channel", "id": channel["id"]},
            "quantityOnStock": 1,
            "availableQuantity": 1,
            "lastModifiedAt": "2026-01-01T00:00:00.000Z",
        }
        for sku in skus
        for channel in channels
    ]
    crowded = replace(data, channels=[*data.channels, *channels], inventory=entries)
    heard: list[Sandbox] = []
    with SandboxServer(
        crowded,
        kiosk=KioskBehaviour(safety_stock=1),
        observer=lambda exchange: heard[0].hear(exchange) if heard else None,
    ) as server:
        sandbox = Sandbox(server, entries)
        heard.append(sandbox)
        pipe.send((server.commercetools_url, server.auth_url, server.cloudshelf_url))
        while (command := pipe.recv()) is not None:
            name, *arguments = command
            pipe.send(getattr(sandbox, name)(*arguments))


class Clients:
    """Clients of the sandbox, within the store's budgets or without limit."""

    def __init__(self, urls: tuple[str, str, str], store: Store) -> None:
        self.urls, self.store = urls, store

    def commercetools(self, *, limited: bool = True) -> CommercetoolsClient:
        account = CommercetoolsAccount(
            "benchmark", self.urls[0], self.urls[1], "sandbox", "sandbox-client", "sandbox-secret"
        )
        budget = self._budget(account.budget_name, "commercetools", limited=limited)
        return CommercetoolsClient(account, budget, Priority.AVAILABILITY)

    def cloudshelf(self, *, limited: bool = True) -> CloudshelfClient:
        account = CloudshelfAccount("benchmark", self.urls[2], "sandbox-key")
        budget = self._budget(account.budget_name, "cloudshelf", limited=limited)
        return CloudshelfClient(account, budget, Priority.AVAILABILITY)

    def _budget(self, name: str, api: str, *, limited: bool) -> RateBudget:
        _, rate, burst = APIS[api]
        return self.store.budget(name, rate, burst) if limited else Unlimited()


@dataclass
class Measured:
    """One run; seconds."""

    wall: float
    cpu: float
    told: PushCounts
    backlog: int = 0


def run(flow: AvailabilityFlow, store: Store, *, until: threading.Event) -> Measured:
    """Collect and push as a task does, until nothing is left and nothing more comes."""
    began, cpu, total = time.perf_counter(), time.process_time(), PushCounts()
    most = 0
    while True:
        last = until.is_set()
        round_began = time.perf_counter()
        found = flow.collect(datetime.now(UTC))
        most = max(most, store.availability.backlog(LINK).levels)
        told = flow.push()
        total += told
        if last and not (found.changed or found.unread or told.more):
            return Measured(time.perf_counter() - began, time.process_time() - cpu, total, most)
        if not last:
            time.sleep(max(0.0, flow.rules.poll_seconds - (time.perf_counter() - round_began)))


def show_catalogue(clients: Clients, store: Store, folder: Path) -> None:
    """Bring the catalogue to the kiosks."""
    store.audits.record(LINK, "benchmark", verdict="go", counts={})
    flow = CatalogueSync(
        config=load_config(ROOT / "include").link(LINK),
        store=store,
        root=UPath(folder),
        suite=ROOT / "include/schemas/product_master.json",
        commercetools=clients.commercetools(limited=False),
        cloudshelf=clients.cloudshelf(limited=False),
    )
    request = CatalogueRequest(LINK, "first", datetime.now(UTC), full_refresh=True)
    for stage in (flow.extract, flow.gate, flow.push):
        stage(request)


def at_least(api: str, requests: int) -> float:
    """Seconds that so many requests take at least."""
    latency, rate, burst = APIS[api]
    concurrency = load_config(ROOT / "include").link(LINK).concurrency
    return max(max(0.0, requests - burst) / rate + latency, requests * latency / concurrency)


def report(name: str, measured: Measured, rows: int, counters: Json, wrong: int) -> bool:
    """Print a run; whether it was right."""
    sent = counters["requests"]
    reads = sum(count for what, count in sent.items() if what.startswith("commercetools."))
    refused = sum(counters.get("rate_limited", {}).values())
    avoidable = sum(counters.get("avoidable_429", {}).values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    calls, told = -(-rows // 1000), sent.get("cloudshelf.upsertStockLevels", 0)
    floor = at_least("commercetools", reads) + at_least("cloudshelf", told)
    print(
        f"{name:<22}{measured.wall:>7.1f} s (floor {floor:.1f} s)  {measured.told.told:>6} levels in {told} calls "
        f"(floor {calls})  {reads} reads  CPU {measured.cpu:.1f} s  peak {peak:.0f} MB  most due {measured.backlog}"
        f"  refused={refused} avoidable_429={avoidable}  {wrong} levels wrong",
        flush=True,
    )
    return wrong == 0 and avoidable == 0 and measured.told.refused == 0


def measure(store_url: str, label: str, changes: int) -> bool:
    """Both runs on one store."""
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,), daemon=True)
    process.start()

    def ask(*command: Any) -> Any:
        pipe.send(command)
        return pipe.recv()

    upgrade(store_url)
    store = open_store(store_url)
    right = True
    with tempfile.TemporaryDirectory() as folder:
        clients = Clients(pipe.recv(), store)
        ask("limit", False)
        show_catalogue(clients, store, Path(folder))
        config, nothing = load_config(ROOT / "include").link(LINK), threading.Event()
        nothing.set()
        flow = AvailabilityFlow(
            config,
            store,
            clients.commercetools(),
            clients.cloudshelf(),
            {},
            project="commercetools/benchmark",
        )
        first = run(flow, store, until=nothing)
        print(
            f"{label}: {first.told.told:,} levels told at first, in {first.wall:.1f} s without latency",
            flush=True,
        )

        ask("forget")
        rows = ask("change", changes, 0.0)
        ask("limit", True)
        time.sleep(3)  # the sandbox's buckets fill
        measured = run(flow, store, until=nothing)
        right &= report(f"{label}, all at once", measured, rows, ask("counters"), ask("wrong"))

        ask("forget")
        ask("limit", True)
        time.sleep(3)
        over = threading.Event()
        pipe.send(("change", changes, STREAM_SECONDS))

        def listen() -> None:
            pipe.recv()
            over.set()

        listening = threading.Thread(target=listen)
        listening.start()
        measured = run(flow, store, until=over)
        listening.join()
        right &= report(f"{label}, in a minute", measured, measured.told.told, ask("counters"), ask("wrong"))
        lags = sorted(ask("lags"))
        cuts = statistics.quantiles(lags, n=100)
        print(
            f"{'':<22}from change to told: p50 {cuts[49]:.1f} s, p95 {cuts[94]:.1f} s, p99 {cuts[98]:.1f} s",
            flush=True,
        )
    pipe.send(None)
    process.join(10)
    store.close()
    return right


def main(arguments: list[str]) -> int:
    """Run it; 1 when a result is wrong (figures are for people to judge)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--changes", type=int, default=50_000)
    parser.add_argument("--url", help="an empty PostgreSQL database, to measure besides SQLite")
    args = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        right = measure(f"sqlite:///{Path(name) / 'store.db'}", "sqlite", args.changes)
        if args.url:
            right &= measure(args.url, "postgresql", args.changes)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
