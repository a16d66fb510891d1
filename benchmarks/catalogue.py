"""A full catalogue sync against the sandbox in a process of its own: time against the floor, and peak memory.

The floor is what rate limits and latency alone allow: for each stage and API, the requests that were really sent, at
the API's rate after its burst, or at the concurrency allowed by latency, whichever takes longer. It knows no work of
our own, neither parsing nor judging nor storing.

    python -m benchmarks catalogue [--products 10000] [--variants 10]
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import yaml

from benchmarks.sandbox import sandbox

ROOT = Path(__file__).resolve().parents[1]
#: Seconds that an answer takes, requests per second, burst: cautious guesses at the real APIs, which publish neither.
APIS = {"commercetools": (0.15, 50.0, 100), "cloudshelf": (0.6, 10.0, 20)}
#: As in the shipped configuration.
CONCURRENCY = 4
STAGES = ("extract", "gate", "push")

Json = dict[str, Any]


@dataclass(frozen=True)
class Measured:
    """One run. Seconds by stage, requests by stage and API, and the process's peak memory in MB."""

    seconds: dict[str, float]
    requests: dict[str, dict[str, int]]
    peak_mb: float
    counts: Json

    @property
    def wall(self) -> float:
        return sum(self.seconds.values())

    @property
    def floor(self) -> float:
        return sum(floor(sent) for sent in self.requests.values())


def floor(sent: dict[str, int]) -> float:
    """Seconds that a stage's requests take at least."""
    longest = 0.0
    for api, (latency, rate, burst) in APIS.items():
        count = sent.get(api, 0)
        by_rate = max(0.0, count - burst) / rate + (latency if count else 0.0)
        longest = max(longest, by_rate, count * latency / CONCURRENCY)
    return longest


def faults() -> Json:
    """The sandbox's latency and rate limits."""
    return {
        "latency": {api: {"base": latency} for api, (latency, _, _) in APIS.items()},
        "rate_limits": {api: {"per_second": rate, "burst": burst} for api, (_, rate, burst) in APIS.items()},
    }


def include_folder(folder: Path) -> Path:
    """The project's configuration, with the limits and the concurrency of this benchmark."""
    made = folder / "include"
    (made / "schemas").mkdir(parents=True)
    for name in ("locations.yaml", "schemas/product_master.json"):
        (made / name).write_text((ROOT / "include" / name).read_text(encoding="utf-8"), encoding="utf-8")
    mapping = yaml.safe_load((ROOT / "include" / "mapping.yaml").read_text(encoding="utf-8"))
    mapping["defaults"]["concurrency"] = CONCURRENCY
    for api, (_, rate, burst) in APIS.items():
        mapping["defaults"]["limits"][api] |= {"rate": rate, "burst": burst}
    (made / "mapping.yaml").write_text(yaml.safe_dump(mapping), encoding="utf-8")
    return made


def run(control: str, name: str, *, full: bool, send: Any) -> None:
    """One run in this process, as the three tasks of the DAG would do it; the result goes through the pipe."""
    from cogent_ops.runtime import Runtime
    from cogent_ops.services.catalogue.plan import CatalogueRequest
    from cogent_ops.services.pipeline import fewer_collections

    logging.disable(logging.INFO)
    flow = Runtime("default").catalogue(reads=True, writes=True)
    flow.store.audits.record("default", name, verdict="go", counts={})
    request = CatalogueRequest("default", name, datetime.now(UTC), full_refresh=full)
    seconds, requests, counts = {}, {}, {}
    for stage in STAGES:
        httpx.delete(f"{control}/counters")
        began = time.perf_counter()
        with fewer_collections():
            counts[stage] = getattr(flow, stage)(request)
        seconds[stage] = time.perf_counter() - began
        requests[stage] = by_api(httpx.get(f"{control}/counters").json())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    send.send(Measured(seconds, requests, peak, counts))


def night(control: str, send: Any) -> None:
    """A night's comparison of the catalogue in this process."""
    from cogent_ops.runtime import Runtime
    from cogent_ops.services.drift.catalogue import CatalogueComparison

    logging.disable(logging.INFO)
    nights = Runtime("default").nights("night")
    compared, archived = CatalogueComparison(nights.parts), nights.archive.night("2026-11-24")
    httpx.delete(f"{control}/counters")
    began = time.perf_counter()
    compared.snapshot(archived)
    read = time.perf_counter()
    found = compared.compare(archived, None)
    seconds = {"read": read - began, "compare": time.perf_counter() - read}
    requests = {"read": by_api(httpx.get(f"{control}/counters").json()), "compare": {}}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    counts = {"findings": len(found.findings), "checked": found.checked, **found.counts}
    send.send(Measured(seconds, requests, peak, counts))


def by_api(counters: Json) -> dict[str, int]:
    """Requests of each API, from the sandbox's own count."""
    sent: dict[str, int] = {}
    for name, count in counters["requests"].items():
        api = name.partition(".")[0]
        sent[api] = sent.get(api, 0) + count
    if counters["rate_limited"]:
        raise RuntimeError(f"The sandbox had to refuse requests: {counters['rate_limited']}")
    return sent


def measure(target: Callable[..., None], *args: Any, **kwargs: Any) -> Measured:
    """One run in a fresh process, so that its memory is its own."""
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=target, args=args, kwargs={**kwargs, "send": send})
    process.start()
    send.close()
    try:
        measured: Measured = receive.recv()
    finally:
        process.join()
    return measured


def report(name: str, measured: Measured) -> None:
    """Print one run."""
    print(f"\n{name}: {measured.wall:.1f} s, floor {measured.floor:.1f} s, peak {measured.peak_mb:.0f} MB")
    for stage in measured.seconds:
        sent = (
            ", ".join(f"{count} to {api}" for api, count in sorted(measured.requests[stage].items()))
            or "none"
        )
        print(f"  {stage:<8}{measured.seconds[stage]:>7.1f} s   requests: {sent}")


def main(arguments: list[str]) -> int:
    """Run it; 1 when a result is wrong (figures are for people to judge)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--products", type=int, default=10_000)
    parser.add_argument("--variants", type=int, default=10, help="of every product")
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with sandbox(folder, faults(), products=args.products, variants=args.variants) as found:
            os.environ |= {
                **found["connections"],
                "AIRFLOW_HOME": name,
                "COGENT_OPS_INCLUDE": str(include_folder(folder)),
                "_AIRFLOW_PROCESS_CONTEXT": "server",
            }
            control = found["control_url"]
            first = measure(run, control, "first", full=True)
            again = measure(run, control, "again", full=True)
            delta = measure(run, control, "delta", full=False)
            quiet = measure(run, control, "quiet", full=False)
            compared = measure(night, control)
            held = httpx.get(f"{control}/state", timeout=60).json()["cloudshelf"]
    report(f"Full sync of {first.counts['extract']['variants']:,} variants", first)
    report("Full pass again, nothing changed", again)
    report("First delta after it, nothing changed (held products are judged again)", delta)
    report("Every further delta, nothing changed", quiet)
    report("A night's comparison with the kiosks, nothing changed", compared)
    accepted = first.counts["gate"]["variants_accepted"]
    print(f"\nwall / floor of the full sync   {first.wall / first.floor:.2f}")
    print(f"nothing-changed run / full      {quiet.wall / first.wall:.1%}")
    print(f"on the kiosks {held['ProductVariant']:,} of {accepted:,} accepted variants")
    print(f"the night's comparison          {compared.counts}")
    return 0 if held["ProductVariant"] == accepted and not compared.counts["findings"] else 1
