"""A product launch: the web shop floods commercetools with orders while kiosks sell seven times as much as before.

Both stock flows run against a sandbox with latency and rate limits. Twice a second it is noted how much waits, how fast
it goes out, and how much of each API's rate is used; ``--plot`` draws that. In the end nothing may wait, and what
Cloudshelf was told must be what commercetools has.

    python -m benchmarks launch [--plot docs/images/launch.svg]
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import yaml

from benchmarks import plots
from benchmarks.sandbox import sandbox
from cogent_ops.domain.identifiers import location_gid, variant_gid

ROOT = Path(__file__).resolve().parents[1]
RATES = {"commercetools": 50, "cloudshelf": 10}
PLAN = {
    "latency": {"commercetools": {"base": 0.08}, "cloudshelf": {"base": 0.25}},
    "rate_limits": {
        "commercetools": {"per_second": 50, "burst": 115},
        "cloudshelf": {"per_second": 10, "burst": 25},
    },
}
#: Seconds of each part, kiosk sales per second and web orders per second in it.
PARTS = ((15.0, 10, 2), (20.0, 70, 200), (25.0, 10, 2))
PATIENCE_SECONDS = 120.0
SAMPLE_SECONDS = 0.5
PRODUCTS, VARIANTS = 200, 6

Json = dict[str, Any]


@dataclass(frozen=True)
class Sample:
    """How things stand at a moment; requests and totals count from the start."""

    at: float
    movements: int
    levels: int
    applied: int
    told: int
    commercetools: int
    cloudshelf: int


class Scene:
    """The sandbox, and whoever buys there.

    :param told: what the sandbox says of itself.
    """

    def __init__(self, told: Json) -> None:
        self.connections: dict[str, str] = told["connections"]
        self._http = httpx.Client(base_url=told["control_url"], timeout=60)
        self._rng = random.Random(5)
        self._numbers = count(1)

    def limit(self) -> None:
        """Latency and limits on, counters back to nothing; from here on it is measured."""
        self.plan(PLAN)
        self._http.delete("/counters").raise_for_status()
        self._variants = self.variants()
        self._stores = sorted(self.state("cloudshelf")["locations"])

    def plan(self, plan: Json) -> None:
        """Latency, limits and faults from now on."""
        self._http.put("/faults", json=plan).raise_for_status()

    def variants(self) -> list[str]:
        """Ids of the variants that kiosks show."""
        products = self.state("cloudshelf")["products"].values()
        return sorted(id_ for one in products for id_ in one["variants"])

    def kiosk_sale(self) -> None:
        """Somebody buys at a kiosk."""
        self._sell_at_kiosk(self._any(self._variants), self._any(self._stores))

    def web_sale(self) -> None:
        """Somebody buys in the web shop; what is sold out there stays so."""
        self.buy_online(last_part(self._any(self._variants)), last_part(self._any(self._stores)))

    def buy_at_kiosk(self, sku: str, channel: str) -> bool:
        """Somebody wants a unit at a kiosk, which sells it if it was told that one is there."""
        return self._sell_at_kiosk(variant_gid(sku), location_gid(channel), offered=True)

    def buy_online(self, sku: str, channel: str) -> bool:
        """Somebody wants a unit in the web shop, which sells it if commercetools has one."""
        line = {"sku": sku, "quantity": 1, "centAmount": 900}
        return self._change(
            "online-order",
            orderNumber=f"web-{next(self._numbers)}",
            currency="EUR",
            lines=[line],
            channel=channel,
            inventoryMode="ReserveOnOrder",
        )

    def set_stock(self, sku: str, channel: str, quantity: int) -> None:
        """Somebody counts."""
        self._change("stock", sku=sku, quantity=quantity, channel=channel or None)

    def _sell_at_kiosk(self, variant: str, location: str, **more: Any) -> bool:
        line = {"productVariantID": variant, "quantity": 1, "price": 9.0, "currencyCode": "EUR"}
        session = {"locationId": location}
        return self._change("kiosk-order", lines=[line], status="PAID", session=session, **more)

    def state(self, api: str) -> Json:
        """The whole content of one side."""
        found: Json = self._http.get(f"/state/{api}").raise_for_status().json()
        return found

    def counters(self) -> Json:
        """What the sandbox saw."""
        found: Json = self._http.get("/counters").raise_for_status().json()
        return found

    def _any(self, of: Sequence[str]) -> str:
        return self._rng.choice(of)

    def _change(self, what: str, **given: Any) -> bool:
        """Whether it could be done."""
        return self._http.post("/change", json={"change": what, **given}).is_success


def main(options: list[str]) -> int:
    """Play it, print what was seen, draw it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args(options)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with sandbox(folder, {}, products=PRODUCTS, variants=VARIANTS) as told:
            return _play(Scene(told), folder, args.plot)


def _play(scene: Scene, folder: Path, plot: Path | None) -> int:
    from cogent_ops.store import upgrade

    configure(scene, folder, sum(seconds for seconds, _, _ in PARTS) + 2 * PATIENCE_SECONDS)
    upgrade(f"sqlite:///{folder / 'store.db'}")
    from cogent_ops.runtime import Runtime

    # Only what is printed here should be; the flows' own lines are for task logs.
    logging.disable(logging.CRITICAL)
    runtime = Runtime("default")
    fill_kiosks(runtime)
    runtime.availability("before").collect(datetime.now(UTC), full=True)
    while runtime.availability("before").push().more:
        pass
    scene.limit()
    flows = [
        threading.Thread(target=flow, daemon=True)
        for flow in (runtime.stock("launch").run, runtime.availability("launch").keep_up)
    ]
    for flow in flows:
        flow.start()
    time.sleep(3)  # the first poll says from when orders count
    samples = _watch(scene, runtime)
    counted, wrong = scene.counters(), wrong_levels(scene)
    avoidable = sum(counted["avoidable_429"].values())
    _print(samples, counted, wrong)
    if plot is not None:
        plot.write_text(draw(samples), encoding="utf-8")
    last = samples[-1]
    return int(bool(wrong or avoidable or last.movements or last.levels))


def configure(scene: Scene, folder: Path, longest: float, **settings: Json) -> None:
    """Let the flows of this process, and of those that it starts, work for a sandbox.

    :param longest: seconds that a run may last.
    :param settings: of the link, besides.
    """
    shutil.copytree(ROOT / "include", folder / "include")
    path = folder / "include/mapping.yaml"
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    data["links"]["default"] |= {
        "movements": {"linger_seconds": 600, "longest_run_seconds": longest},
        "availability": {"longest_run_seconds": longest},
        **settings,
    }
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    os.environ |= scene.connections
    os.environ |= {
        "AIRFLOW_HOME": str(folder / "airflow"),
        "COGENT_OPS_INCLUDE": str(folder / "include"),
        "AIRFLOW_CONN_COGENT_OPS_STORE": json.dumps(
            {"conn_type": "sqlite", "host": str(folder / "store.db")}
        ),
    }


def fill_kiosks(runtime: Any) -> None:
    """Carry the catalogue."""
    from cogent_ops.services.catalogue.plan import CatalogueRequest, Flow

    runtime.store.audits.record("default", "before", verdict="go", counts={})
    request = CatalogueRequest(
        link="default", run_key="before", now=datetime.now(UTC), flow=Flow.SYNC, full_refresh=True
    )
    flow = runtime.catalogue(reads=True, writes=True)
    for stage in (flow.extract, flow.gate, flow.push):
        stage(request)
    runtime.bootstrap()


def _watch(scene: Scene, runtime: Any) -> list[Sample]:
    """Buy by the programme and note how things stand, until nothing waits any more."""
    began = time.monotonic()
    ends = began + sum(seconds for seconds, _, _ in PARTS)
    buyers = [
        threading.Thread(target=_buy, args=(buy, column, began), daemon=True)
        for buy, column in ((scene.kiosk_sale, 1), (scene.web_sale, 2))
    ]
    for buyer in buyers:
        buyer.start()
    samples: list[Sample] = []
    quiet = 0
    while quiet < 6 and time.monotonic() < ends + PATIENCE_SECONDS:
        time.sleep(SAMPLE_SECONDS)
        samples.append(_sample(scene, runtime, time.monotonic() - began))
        waits = samples[-1].movements + samples[-1].levels
        quiet = quiet + 1 if time.monotonic() > ends + 10 and not waits else 0
    for buyer in buyers:
        buyer.join()
    return samples


def _buy(buy: Callable[[], None], column: int, began: float) -> None:
    start = began
    for part in PARTS:
        times = int(part[0] * part[column])
        for done in range(times):
            ahead = start + done * part[0] / times - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
            buy()
        start += part[0]
        time.sleep(max(0.0, start - time.monotonic()))


def _sample(scene: Scene, runtime: Any, at: float) -> Sample:
    from sqlalchemy import text

    backlog, counted = runtime.store.stock.backlog(runtime.project), scene.counters()
    requests = counted["requests"]
    with runtime.store.read() as conn:
        due = text("SELECT count(*) FROM stock_level WHERE told IS NULL OR told <> wanted")
        done = text("SELECT count(*) FROM movement WHERE state = 'applied'")
        levels, applied = conn.execute(due).scalar_one(), conn.execute(done).scalar_one()
    return Sample(
        at=at,
        movements=backlog.waiting + backlog.batched,
        levels=levels,
        applied=applied,
        told=sum(count for name, count in counted["records"].items() if "StockLevels" in name),
        commercetools=sum(count for name, count in requests.items() if name.startswith("commercetools.")),
        cloudshelf=sum(count for name, count in requests.items() if name.startswith("cloudshelf.")),
    )


def wrong_levels(scene: Scene) -> int:
    """How many levels Cloudshelf has otherwise than commercetools."""
    inventory, told = scene.state("commercetools")["inventory"], scene.state("cloudshelf")["stock"]
    wrong = 0
    for level, (quantity, _) in told.items():
        place = "@".join(last_part(part) for part in level.split("@gid"))
        wrong += max(0, quantity) != max(0, inventory.get(place, [0, 0])[1])
    return wrong


def _print(samples: Sequence[Sample], counted: Json, wrong: int) -> None:
    peak, last = max(samples, key=lambda one: one.movements + one.levels), samples[-1]
    print(f"{last.applied} kiosk movements applied, {last.told} levels told in {last.at:.0f} s")
    print(f"most waiting: {peak.movements} movements and {peak.levels} levels, at {peak.at:.0f} s")
    print(f"longest queue of movements: {max(one.movements for one in samples)}")
    for api, rate in RATES.items():
        used = _rates([getattr(one, api) for one in samples], [one.at for one in samples])
        print(f"{api}: {max(used):.0f} requests/s at most of {rate}")
    print(f"avoidable 429: {counted['avoidable_429'] or 0}; levels that differ in the end: {wrong}")


def _rates(totals: Sequence[int], times: Sequence[float], window: int = 8) -> list[float]:
    """Per second, over the last few samples."""
    found = []
    for at in range(len(totals)):
        before = max(0, at - window)
        seconds = times[at] - times[before]
        found.append((totals[at] - totals[before]) / seconds if seconds else 0.0)
    return found


def last_part(gid: str) -> str:
    """What an id of ours was made of."""
    return unquote(gid.rpartition("/")[2])


# Drawing


def draw(samples: Sequence[Sample]) -> str:
    """The plot as SVG: what waits, how fast it goes out, how much of the APIs it takes."""
    times = [one.at for one in samples]

    def rates(name: str) -> list[float]:
        return _rates([getattr(one, name) for one in samples], times)

    share = {
        api: [100 * used / rate for used in _rates([getattr(one, api) for one in samples], times)]
        for api, rate in RATES.items()
    }
    panels: list[plots.Panel] = [
        (
            "Waiting",
            [
                ("movements to commercetools", plots.BLUE, [one.movements for one in samples]),
                ("stock levels to Cloudshelf", plots.ORANGE, [one.levels for one in samples]),
            ],
        ),
        (
            "Going out per second",
            [("movements", plots.BLUE, rates("applied")), ("stock levels", plots.ORANGE, rates("told"))],
        ),
        (
            "Share of the API's rate in use (%)",
            [
                ("commercetools", plots.BLUE, share["commercetools"]),
                ("Cloudshelf", plots.ORANGE, share["cloudshelf"]),
            ],
        ),
    ]
    return plots.draw(panels, times, shade=(PARTS[0][0], PARTS[0][0] + PARTS[1][0]))
