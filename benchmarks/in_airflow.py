"""Flows in real Airflow against the sandbox: API server, scheduler, DAG processor and triggerer as in ``make up``."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import demo  # noqa: E402  (a script, found by the path above)

PRODUCTS = 100
#: After unpausing, until Airflow has started the watchers that wake the flows.
WARM_UP_SECONDS = 50.0

Json = dict[str, Any]


@dataclass(frozen=True)
class Running:
    """Airflow with flows that are switched on.

    :param store_url: SQLAlchemy URL of the operational store.
    :param sandbox: what the sandbox says of itself.
    """

    store_url: str
    sandbox: Json
    home: Path
    processes: demo.Processes
    progress: demo.Progress

    def airflow(self) -> list[int]:
        """Ids of Airflow's processes and of all that they have started."""
        return demo.family(self.processes.pids("sandbox"))

    def simulated(self) -> list[int]:
        """The id of the sandbox's process."""
        return list(set(self.processes.pids()) - set(self.processes.pids("sandbox")))


@contextmanager
def running(*dag_ids: str, store_url: str | None = None, include: Path | None = None) -> Iterator[Running]:
    """Carry a catalogue, switch the flows on, and end everything afterwards.

    :param store_url: an empty database on PostgreSQL; ``None`` = SQLite.
    :param include: a folder of settings in place of the shipped one.
    """
    progress, port = demo.Progress(), demo.free_port()
    settings = argparse.Namespace(keep=True, traffic=False, sunrise=None, products=PRODUCTS)
    with tempfile.TemporaryDirectory() as name, demo.workplace(Path(name) / "work", port) as processes:
        home = Path(processes.env["AIRFLOW_HOME"])
        if include is not None:
            processes.env["COGENT_OPS_INCLUDE"] = str(include)
        if store_url is not None:
            processes.env["AIRFLOW_CONN_COGENT_OPS_STORE"] = store_connection(store_url)
            processes.run("store", "cogent-ops", "store", "upgrade")
        sandbox = demo.start(processes, progress, settings)
        airflow = demo.Airflow(f"http://127.0.0.1:{port}", processes)
        demo.carry(airflow, progress)
        processes.run("bootstrap", "cogent-ops", "bootstrap")
        airflow.wait_until_ready(*dag_ids)
        for dag_id in dag_ids:
            airflow.unpause(dag_id)
        progress.step(f"{' and '.join(dag_ids)} are on; in {WARM_UP_SECONDS:.0f} s the sales begin")
        time.sleep(WARM_UP_SECONDS)
        yield Running(store_url or f"sqlite:///{home / 'cogent_ops.db'}", sandbox, home, processes, progress)


def store_connection(url: str) -> str:
    """A store as Airflow keeps its connection, for the environment."""
    parts = make_url(url)
    if parts.drivername.startswith("sqlite"):
        return json.dumps({"conn_type": "sqlite", "host": parts.database})
    fields = {
        "conn_type": "postgres",
        "host": parts.host,
        "port": parts.port or 5432,
        "login": parts.username,
    }
    return json.dumps({**fields, "password": parts.password, "schema": parts.database})


def percentiles(seconds: Sequence[float]) -> str:
    """Sorted waiting times in one line."""
    if not seconds:
        return "nothing to measure"
    at = [seconds[min(int(len(seconds) * share), len(seconds) - 1)] for share in (0.5, 0.95, 0.99, 1.0)]
    return f"p50 {at[0]:.2f} s  p95 {at[1]:.2f} s  p99 {at[2]:.2f} s  max {at[3]:.2f} s"


# What it costs; Linux only


class Meter:
    """CPU time of a run's processes from now on."""

    def __init__(self, run: Running) -> None:
        self._run, self._began = run, time.monotonic()
        self._before = cpu_seconds(run.airflow()), cpu_seconds(run.simulated())

    def __str__(self) -> str:
        """Cores used on average until now, memory at this moment, and how busy the machine is."""
        pids, seconds = self._run.airflow(), time.monotonic() - self._began
        airflow = (cpu_seconds(pids) - self._before[0]) / seconds
        sandbox = (cpu_seconds(self._run.simulated()) - self._before[1]) / seconds
        return (
            f"Airflow {airflow:.2f} cores, {memory_mb(pids):.0f} MB (PSS of all its processes); "
            f"sandbox {sandbox:.2f} cores; load average {os.getloadavg()[1]:.1f} on {os.cpu_count()} cores"
        )


def _stat(entry: Path) -> Sequence[str]:
    """Fields of ``/proc/<pid>/stat`` from the third on."""
    return (entry / "stat").read_text().rpartition(")")[2].split()


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time of processes, and of their children that have ended."""
    ticks = 0
    for pid in pids:
        with suppress(OSError):
            ticks += sum(map(int, _stat(Path(f"/proc/{pid}"))[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_mb(pids: Iterable[int]) -> float:
    """Memory of processes, shared pages by their share."""
    kilobytes = 0
    for pid in pids:
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes / 1024
