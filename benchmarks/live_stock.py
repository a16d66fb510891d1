"""The live stock endpoint under load on loopback: what kiosks wait, and what commercetools sees of it.

Endpoint and sandbox run in processes of their own. Requests leave on a schedule, whether or not earlier ones have been
answered, and their time counts from when they should have left. Every answer is checked: status, and that its number
is the one that commercetools holds, so never a zero that is none.

    python -m benchmarks live_stock [--rate 300] [--seconds 10] [--keys 200]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import multiprocessing
import os
import random
import re
import shutil
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_plus

import yaml

ROOT = Path(__file__).resolve().parents[1]
PATH = "/cogent_ops/live-stock/default"
TOKEN = "a-token-that-nobody-guesses"
#: A cautious guess at commercetools, which publishes neither.
LATENCY_SECONDS, RATE, BURST = 0.15, 50.0, 100
TTL_SECONDS, TIMEOUT_SECONDS = 3.0, 2.0
START_SECONDS = 60.0
DOWN = {"kind": "error", "api": "commercetools", "status": 503, "retry_after": 0}
HANGING = {"kind": "slow", "api": "commercetools", "delay": 20}
_SKU = re.compile(r'"((?:[^"\\]|\\.)*)"')

Json = dict[str, Any]


# The other processes


def run_shop(pipe: Connection) -> None:
    """commercetools, simulated, which notes who is asked for; answers to commands that come through the pipe."""
    from cogent_ops.sandbox.command import connections
    from cogent_ops.sandbox.faults import FaultPlan
    from cogent_ops.sandbox.generator import generate
    from cogent_ops.sandbox.server import Exchange, SandboxServer

    asked: Counter[str] = Counter()

    def note(exchange: Exchange) -> None:
        if exchange.operation == "inventory.query":
            asked.update(f"sku {sku}" for sku in set(_SKU.findall(unquote_plus(exchange.query))))

    limits: Json = {
        "latency": {"commercetools": {"base": LATENCY_SECONDS}},
        "rate_limits": {"commercetools": {"per_second": RATE, "burst": BURST + RATE / 4}},
    }
    dataset = generate(seed=1, products=300, now=datetime.now(UTC))
    with SandboxServer(dataset, FaultPlan.model_validate(limits), observer=note) as server:
        totals: Counter[str] = Counter()
        for entry in dataset.inventory:
            totals[entry["sku"]] += max(0, entry["availableQuantity"])
        pipe.send({"connections": connections(server), "totals": dict(totals)})
        while (command := pipe.recv()) is not None:
            if isinstance(command, list):
                server.set_faults(FaultPlan.model_validate({**limits, "rules": command}))
                pipe.send(None)
            else:
                seen = server.counters()
                requests = seen["requests"].get("commercetools.inventory.query", 0)
                refused = sum(seen["rate_limited"].values())
                pipe.send({**asked, "requests": requests, "refused": refused})
                server.app.forget()
                asked.clear()


def run_endpoint(environment: dict[str, str], pipe: Connection) -> None:
    """The endpoint below the prefix that Airflow mounts it under, served as Airflow serves it."""
    os.environ |= environment
    import uvicorn
    from starlette.applications import Starlette

    from cogent_ops.web.live_stock import create_app

    logging.disable(logging.CRITICAL)
    outer = Starlette()
    outer.mount(PATH.rpartition("/")[0], create_app())
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    pipe.send(listening.getsockname()[1])
    uvicorn.Server(uvicorn.Config(outer, log_level="critical", lifespan="off", access_log=False)).run(
        [listening]
    )


@contextmanager
def process(target: Any, *args: Any) -> Iterator[Connection]:
    """Run a function in a fresh process; gives the end of the pipe that it was handed."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    started = context.Process(target=target, args=(*args, theirs), daemon=True)
    started.start()
    try:
        yield ours
    finally:
        started.terminate()
        started.join(10)


def receive(pipe: Connection) -> Any:
    """What a process has to say."""
    if not pipe.poll(START_SECONDS):
        raise RuntimeError("A process of the benchmark does not answer.")
    return pipe.recv()


def prepare(folder: Path) -> dict[str, str]:
    """Configuration, store and token for the endpoint."""
    from cogent_ops.store import upgrade

    include = folder / "include"
    shutil.copytree(ROOT / "include", include)
    mapping = yaml.safe_load((include / "mapping.yaml").read_text(encoding="utf-8"))
    mapping["defaults"]["limits"]["commercetools"] |= {"rate": RATE, "burst": BURST}
    mapping["defaults"]["live_stock"] = {
        "ttl_seconds": TTL_SECONDS,
        "timeout_seconds": TIMEOUT_SECONDS,
        "requests_per_minute": 10_000_000,
    }
    (include / "mapping.yaml").write_text(yaml.safe_dump(mapping), encoding="utf-8")
    upgrade(f"sqlite:///{folder / 'store.db'}")
    return {
        "AIRFLOW_HOME": str(folder),
        "COGENT_OPS_INCLUDE": str(include),
        "_AIRFLOW_PROCESS_CONTEXT": "server",
        "AIRFLOW_CONN_COGENT_OPS_STORE": json.dumps(
            {"conn_type": "sqlite", "host": str(folder / "store.db")}
        ),
        "AIRFLOW_CONN_COGENT_OPS_LIVE_STOCK_DEFAULT": json.dumps({"conn_type": "generic", "password": TOKEN}),
    }


# Load


@dataclass
class Load:
    """What became of the requests of one scenario."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    oldest: int = 0
    wrong: int = 0

    def line(self, name: str, asked: Json) -> str:
        """The figures as a row."""
        ordered = sorted(self.seconds)
        p50, p99 = (1000 * ordered[int(len(ordered) * share)] for share in (0.5, 0.99))
        per_key = [count for key, count in asked.items() if key.startswith("sku ")]
        statuses = ", ".join(f"{count:,} × {status}" for status, count in sorted(self.statuses.items()))
        return (
            f"{name:<46}{p50:>8.1f}{p99:>8.1f}{1000 * ordered[-1]:>8.0f}"
            f"{asked.get('requests', 0):>8}{max(per_key, default=0):>9}   {statuses}"
            + (f", age up to {self.oldest} s" if self.oldest else "")
        )


class Kiosks:
    """Clients with connections that stay open, as browsers have them."""

    def __init__(self, port: int, totals: dict[str, int], token: str = TOKEN) -> None:
        self.port, self.totals, self.token = port, totals, token
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def run(self, keys: list[str], rate: float, seconds: float, seed: int) -> Load:
        """Send ``rate`` requests a second on a schedule."""
        load, chance = Load(), random.Random(seed)
        began, tasks = time.perf_counter() + 0.05, []
        for number in range(int(rate * seconds)):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(self._one(load, chance.choice(keys), due)))
        await asyncio.gather(*tasks)
        return load

    async def saturate(self, keys: list[str], connections: int, seconds: float) -> Load:
        """Send the next request as soon as the last one is answered, on so many connections."""
        load, end = Load(), time.perf_counter() + seconds

        async def kiosk(number: int) -> None:
            chance = random.Random(number)
            while (now := time.perf_counter()) < end:
                await self._one(load, chance.choice(keys), now)

        await asyncio.gather(*(kiosk(number) for number in range(connections)))
        return load

    async def _one(self, load: Load, sku: str, due: float) -> None:
        head, body = await self._asked(
            f"GET {PATH}?variant={quote(sku, safe='')} HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {self.token}\r\n\r\n".encode()
        )
        load.seconds.append(time.perf_counter() - due)
        status = int(head[""].split(" ", 2)[1])
        load.statuses[status] += 1
        load.oldest = max(load.oldest, int(head.get("age", 0)))
        if status == 200:
            load.wrong += body["response"]["totalNumberAvailable"] != self.totals[sku]
        else:
            load.wrong += "response" in body

    async def _asked(self, request: bytes) -> tuple[dict[str, str], Json]:
        """Headers (the status line under the empty name) and body."""
        while True:
            is_old = bool(self._idle)
            opened = self._idle.pop() if is_old else await asyncio.open_connection("127.0.0.1", self.port)
            reader, writer = opened
            try:
                writer.write(request)
                first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                if not is_old:
                    raise
                continue  # the server closes connections that were idle for some seconds
            head = dict(line.lower().split(": ", 1) for line in lines if line)
            body = json.loads(await reader.readexactly(int(head["content-length"])))
            self._idle.append(opened)
            return {**head, "": first}, body


class Bench:
    """The scenarios, one after the other."""

    def __init__(self, shop: Connection, port: int, totals: dict[str, int], args: argparse.Namespace) -> None:
        self.shop, self.port, self.totals, self.args = shop, port, totals, args
        self.failures: list[str] = []

    def command(self, what: Any) -> Any:
        """Tell the sandbox, and hear what it says."""
        self.shop.send(what)
        return receive(self.shop)

    def scenario(
        self,
        name: str,
        keys: list[str],
        expected: set[int],
        *,
        token: str = TOKEN,
        most_reads: int | None = None,
    ) -> None:
        """Run one at the rate asked for, print its row, and note what is not as it must be."""
        self.command("counts")
        kiosks = Kiosks(self.port, self.totals, token)
        self.judge(
            name, asyncio.run(kiosks.run(keys, self.args.rate, self.args.seconds, 1)), expected, most_reads
        )

    def judge(self, name: str, load: Load, expected: set[int], most_reads: int | None = None) -> None:
        """Print a row, and note what is not as it must be."""
        asked = self.command("counts")
        print(load.line(name, asked), flush=True)
        if load.wrong or set(load.statuses) - expected:
            self.failures.append(f"{name}: {load.wrong} wrong bodies, statuses {dict(load.statuses)}")
        most = max((count for key, count in asked.items() if key.startswith("sku ")), default=0)
        if most_reads is not None and most > most_reads:
            self.failures.append(f"{name}: a key was read {most} times, {most_reads} at most are needed")
        if asked["refused"]:
            self.failures.append(f"{name}: commercetools had to refuse {asked['refused']} requests")

    def run(self) -> None:
        """All scenarios."""
        skus = sorted(sku for sku, total in self.totals.items() if total > 0)
        known, unknown = skus[: self.args.keys], skus[self.args.keys : self.args.keys + 100]
        reads = int(self.args.seconds / TTL_SECONDS) + 2
        head = ("p50 ms", "p99 ms", "max ms", "reads", "per key")
        print(f"{'':<46}{head[0]:>8}{head[1]:>8}{head[2]:>8}{head[3]:>8}{head[4]:>9}   answers")
        self.scenario("one product, everybody", known[:1], {200}, most_reads=reads)
        self.scenario(f"{len(known)} products", known, {200}, most_reads=reads)
        self.scenario("wrong token", known, {401}, token="wrong", most_reads=0)
        self.command([DOWN])
        time.sleep(TTL_SECONDS)
        self.scenario("commercetools down (503), known products", known, {200})
        self.scenario("commercetools down (503), unknown products", unknown, {503})
        self.command([HANGING])
        self.scenario("commercetools hangs, known products", known, {200})
        self.scenario("commercetools hangs, unknown products", unknown, {503})
        self.command([])
        time.sleep(TTL_SECONDS + TIMEOUT_SECONDS)
        self.scenario("again in order", known, {200}, most_reads=reads)
        flood = asyncio.run(Kiosks(self.port, self.totals).saturate(known, 32, self.args.seconds))
        self.judge("as fast as it goes, 32 connections", flood, {200}, reads)
        print(f"{len(flood.seconds) / self.args.seconds:,.0f} requests a second at most, by one process")


def main(arguments: list[str]) -> int:
    """Run it; 1 when an answer was wrong or a key was read too often (times are for people to judge)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=float, default=300, help="requests a second, of all kiosks together")
    parser.add_argument("--seconds", type=float, default=10, help="of every scenario")
    parser.add_argument("--keys", type=int, default=200, help="products that are looked at")
    args = parser.parse_args(arguments)
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as name, process(run_shop) as shop:
        told = receive(shop)
        environment = prepare(Path(name)) | told["connections"]
        with process(run_endpoint, environment) as endpoint:
            bench = Bench(shop, receive(endpoint), told["totals"], args)
            bench.run()
    for failure in bench.failures:
        print(f"WRONG: {failure}")
    return 1 if bench.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
