"""Kiosk sales through real Airflow: how long each takes to change commercetools' InventoryEntry, and at what cost.

API server, scheduler, DAG processor and triggerer run as in ``make up``, against the sandbox in a process of its own. A
sale's time ends when the store has settled its batch, a little later than commercetools has it. Afterwards both sides
are counted again.

    python -m benchmarks sales [--rate 20] [--seconds 300] [--url postgresql://… of an empty database, for the store]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PRODUCTS = 100
#: After unpausing, until Airflow has started the watcher that wakes the flow.
WARM_UP_SECONDS = 50.0
PATIENCE_SECONDS = 60.0

Json = dict[str, Any]


def main(options: list[str]) -> int:
    """Sell, wait, count; 1 when a unit was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=20.0, help="sales per second")
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--url", help="store on PostgreSQL instead of SQLite")
    args = parser.parse_args(options)
    sys.path.insert(0, str(ROOT / "scripts"))
    import demo

    progress, port = demo.Progress(), demo.free_port()
    settings = argparse.Namespace(keep=True, traffic=False, sunrise=None, products=PRODUCTS)
    with tempfile.TemporaryDirectory() as name, demo.workplace(Path(name) / "work", port) as processes:
        url = args.url or f"sqlite:///{processes.env['AIRFLOW_HOME']}/cogent_ops.db"
        if args.url:
            processes.env["AIRFLOW_CONN_COGENT_OPS_STORE"] = _connection(args.url)
            processes.run("store", "cogent-ops", "store", "upgrade")
        sandbox = demo.start(processes, progress, settings)
        airflow = demo.Airflow(f"http://127.0.0.1:{port}", processes)
        demo.carry(airflow, progress)
        processes.run("bootstrap", "cogent-ops", "bootstrap")
        airflow.wait_until_ready("stock_deltas", "availability_push")
        for dag_id in ("stock_deltas", "availability_push"):
            airflow.unpause(dag_id)
        progress.step(f"both stock flows are on; in {WARM_UP_SECONDS:.0f} s the sales begin")
        time.sleep(WARM_UP_SECONDS)
        return _measure(args, url, sandbox, processes, progress)


def _connection(url: str) -> str:
    from sqlalchemy import make_url

    parts = make_url(url)
    fields = {
        "conn_type": "postgres",
        "host": parts.host,
        "port": parts.port or 5432,
        "login": parts.username,
    }
    return json.dumps({**fields, "password": parts.password, "schema": parts.database})


def _measure(args: argparse.Namespace, url: str, sandbox: Json, processes: Any, progress: Any) -> int:
    from cogent_ops.store import open_store
    from demo import family
    from kiosk_burst import Burst

    store, burst = open_store(url), Burst(sandbox["control_url"])
    roots = processes.pids("sandbox")
    used, began = _cpu_seconds(family(roots)), time.monotonic()
    sold_at = burst.sell_steadily(args.rate, args.seconds)
    seconds = time.monotonic() - began
    progress.step(f"{len(sold_at)} sales in {seconds:.0f} s")
    deadline = time.monotonic() + PATIENCE_SECONDS
    found = burst.recount()
    while (found.lost or found.doubled) and time.monotonic() < deadline:
        time.sleep(0.5)
        found = burst.recount()
    time.sleep(1.0)
    pids = family(roots)
    cores = (_cpu_seconds(pids) - used) / (time.monotonic() - began)
    in_inbox, applied = _moments(store)
    for name, moments in (("in the inbox", in_inbox), ("in commercetools", applied)):
        lags = sorted(moments[order] - at for order, at in sold_at.items() if order in moments)
        at = [lags[min(int(len(lags) * share), len(lags) - 1)] for share in (0.5, 0.95, 0.99, 1.0)]
        print(
            f"sale to {name:<16} p50 {at[0]:.2f} s  p95 {at[1]:.2f} s  p99 {at[2]:.2f} s  max {at[3]:.2f} s"
        )
    print(f"{found.sold} units sold, {found.deducted} deducted: lost {found.lost}, doubled {found.doubled}")
    print(f"Airflow: {cores:.2f} cores, {_memory_mb(pids):.0f} MB (PSS of all its processes)")
    return int(bool(found.lost or found.doubled))


def _moments(store: Any) -> tuple[dict[str, float], dict[str, float]]:
    """By order: when its movement was recorded, and when it was settled; seconds since 1970."""
    from sqlalchemy import select

    from cogent_ops.store.schema import movement, stock_batch

    query = select(movement.c.source_id, movement.c.recorded_at, stock_batch.c.settled_at).join(
        stock_batch, stock_batch.c.id == movement.c.batch_id, isouter=True
    )
    in_inbox, applied = {}, {}
    with store.read() as conn:
        for source_id, recorded, settled in conn.execute(query):
            # <order id>/<SKU>@<channel>/<revision>
            id_ = source_id.rpartition("@")[0].rpartition("/")[0]
            in_inbox[id_] = recorded.timestamp()
            if settled is not None:
                applied[id_] = settled.timestamp()
    return in_inbox, applied


# What it costs; Linux only


def _stat(entry: Path) -> Sequence[str]:
    """Fields of ``/proc/<pid>/stat`` from the third on."""
    return (entry / "stat").read_text().rpartition(")")[2].split()


def _cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time of processes, and of their children that have ended."""
    ticks = 0
    for pid in pids:
        with suppress(OSError):
            ticks += sum(map(int, _stat(Path(f"/proc/{pid}"))[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _memory_mb(pids: Iterable[int]) -> float:
    kilobytes = 0
    for pid in pids:
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes / 1024
