"""The main job, once, through real Airflow against the sandbox; with ``--keep`` left running with its UI.

Embedded defaults only: SQLite, LocalExecutor, files below ``.demo`` (``.up`` with ``--keep``). Every process started
here ends here.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import httpx

from cogent_ops.domain.order_states import WAITS_FOR_PAYMENT
from cogent_ops.services.beat import COLLECTED
from cogent_ops.services.stock.start import START_FLOW
from cogent_ops.store import Store, open_store
from demo_report import local_path, print_orders, print_recount, print_run
from message_log import message_log
from order_burst import FAULTS, OrderBurst
from order_cases import CASES
from order_recount import Recount, recount
from sandbox_talk import Sandbox

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
PRODUCTS = 300
START_SECONDS = 90.0
RUN_SECONDS = 180.0
END_SECONDS = 10.0
ANSWER_AGAIN_SECONDS = 10.0
USER, PASSWORD = "admin", "admin"
NOTE = "Demo: the planted defects are known."
ORDERS, ORDERS_PER_SECOND = 200, 10.0
#: Kinds of order that need no setting but the shipped ones, and no wait for the next look at commercetools' orders.
KINDS_OF_ORDER = [case for case in CASES if case.end != "cancelled" and case.kind != "order_contact"]
#: How much faster than in reality these orders live.
PACE = 0.3
#: What runs besides the catalogue while the demo is kept.
FLOWS = (
    "availability_push",
    "stock_deltas",
    "kiosk_order_capture",
    "exception_review",
    "sync_health",
    "drift_reconciliation",
)
#: In the demo's folder: what people are told.
MESSAGES = "messages.log"

Json = dict[str, Any]


class DemoFailed(Exception):
    """The demo cannot go on; the message says what to look at."""


class Progress:
    """Steps as they happen, with the time that has passed."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def step(self, text: str) -> None:
        """Say what happens next."""
        print(f"[{time.monotonic() - self._began:5.1f} s] {text}", flush=True)

    def detail(self, text: str) -> None:
        """Say what came out of it."""
        print(f"          {text}", flush=True)


class Processes:
    """Background processes, each with a log file and a process group of its own."""

    def __init__(self, logs: Path, env: dict[str, str]) -> None:
        self.logs, self.env = logs, env
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, name: str, *command: str) -> None:
        """Start ``command`` (a program of the virtual environment)."""
        with (self.logs / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(
                [str(BIN / command[0]), *command[1:]],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self.env,
                cwd=ROOT,
                start_new_session=True,
            )

    def run(self, name: str, *command: str) -> None:
        """Start ``command`` and wait for its end.

        :raises DemoFailed: when it fails.
        """
        self.start(name, *command)
        if self._running.pop(name).wait(START_SECONDS) != 0:
            raise DemoFailed(f"'{' '.join(command)}' failed: see {self.logs / name}.log")

    def pids(self, *without: str) -> list[int]:
        """Ids of the processes that run, but for those named."""
        return [process.pid for name, process in self._running.items() if name not in without]

    def check(self) -> None:
        """See that all are alive.

        :raises DemoFailed: naming the one that is not, with the end of its log.
        """
        for name, process in self._running.items():
            if process.poll() is not None:
                log = self.logs / f"{name}.log"
                tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
                raise DemoFailed(
                    f"'{name}' ended with code {process.returncode}:\n{tail}\n(whole log: {log})"
                )

    def stop(self) -> None:
        """End all, with everything that they started."""
        # A task that runs is in a group of its own, and once its parents are gone nobody can tell whose it was.
        started = family(self.pids())
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in self._running.values():
                _signal_group(process.pid, number)
            deadline = time.monotonic() + END_SECONDS
            while (
                any(_group_lives(process) for process in self._running.values())
                and time.monotonic() < deadline
            ):
                time.sleep(0.1)
        for pid in started:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._running.clear()


def family(pids: Iterable[int]) -> list[int]:
    """Processes with all that they have started."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found, left = [], list(pids)
    while left:
        pid = left.pop()
        found.append(pid)
        left += children.get(pid, [])
    return found


def _parents() -> Iterator[tuple[int, int]]:
    """Every process with the one that started it."""
    if not Path("/proc/self/stat").exists():
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
        for line in listed.stdout.splitlines():
            pid, parent = line.split()
            yield int(pid), int(parent)
        return
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            yield int(entry.name), int((entry / "stat").read_text().rpartition(")")[2].split()[1])


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return


def _group_lives(process: subprocess.Popen[bytes]) -> bool:
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


class Airflow:
    """What the demo does in Airflow, through its public REST API, as a person would in the UI."""

    def __init__(self, url: str, processes: Processes) -> None:
        self.url, self.processes = url, processes
        self._client = httpx.Client(base_url=url, timeout=30)

    def wait_until_ready(self, *dag_ids: str) -> None:
        """Wait for the API server, and until the DAGs are parsed."""
        wait_for(lambda: self._get("/api/v2/monitor/health") is not None, START_SECONDS, self.processes)
        token = self._client.post("/auth/token", json={"username": USER, "password": PASSWORD})
        self._client.headers["Authorization"] = f"Bearer {token.raise_for_status().json()['access_token']}"
        for dag_id in dag_ids:
            wait_for(partial(self._get, f"/api/v2/dags/{dag_id}"), START_SECONDS, self.processes)

    def import_errors(self) -> list[Json]:
        """DAG files that Airflow could not read."""
        return list((self._get("/api/v2/importErrors") or {}).get("import_errors", []))

    def unpause(self, dag_id: str) -> None:
        """Switch a DAG on."""
        self._client.patch(f"/api/v2/dags/{dag_id}", json={"is_paused": False}).raise_for_status()

    def pause(self, dag_id: str) -> None:
        """Switch a DAG off."""
        self._client.patch(f"/api/v2/dags/{dag_id}", json={"is_paused": True}).raise_for_status()

    def run(self, dag_id: str) -> str:
        """Switch a DAG on and give the id of the run that follows.

        Airflow makes up for the latest scheduled run by itself; where it does not, one is triggered.
        """
        self.unpause(dag_id)
        try:
            return str(wait_for(lambda: self._latest_run(dag_id), 6.0, self.processes))
        except DemoFailed:
            made = self._client.post(f"/api/v2/dags/{dag_id}/dagRuns", json={"logical_date": None})
            return str(made.raise_for_status().json()["dag_run_id"])

    def _latest_run(self, dag_id: str) -> str | None:
        runs = (self._get(f"/api/v2/dags/{dag_id}/dagRuns") or {}).get("dag_runs", [])
        return runs[0]["dag_run_id"] if runs else None

    def watch(self, dag_id: str, run_id: str, progress: Progress, answer: Callable[[str], object]) -> None:
        """Follow a run to its end, telling each task's; ``answer`` is called for a task that waits for a person.

        :raises DemoFailed: when the run fails or takes too long.
        """
        told: set[str] = set()
        answered: dict[str, float] = {}
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"

        def finished() -> bool:
            for task in (self._get(f"{path}/taskInstances") or {}).get("task_instances", []):
                name, state = task["task_id"], task["state"]
                if state == "awaiting_input" and time.monotonic() > answered.get(name, 0.0):
                    answer(f"{path}/taskInstances/{name}")
                    # Asked again where the answer came before the task was ready to hear it.
                    answered[name] = time.monotonic() + ANSWER_AGAIN_SECONDS
                elif state in ("success", "failed", "skipped") and f"{name}/{state}" not in told:
                    told.add(f"{name}/{state}")
                    seconds = f"{task['duration']:.1f} s" if task.get("duration") else ""
                    progress.detail(f"{dag_id}.{name:<18} {state:<8} {seconds}")
            return (self._get(path) or {}).get("state") in ("success", "failed")

        wait_for(finished, RUN_SECONDS, self.processes)
        if self._get(path)["state"] != "success":  # type: ignore[index]
            raise DemoFailed(
                f"{dag_id} failed: see the task logs below {self.processes.env['AIRFLOW_HOME']}/logs"
            )

    def approve(self, task_path: str) -> bool:
        """Answer a task that waits for a person; whether it was the first answer that was taken."""
        answer = {"chosen_options": ["Approve"], "params_input": {"note": NOTE}}
        told = self._client.patch(f"{task_path}/-1/hitlDetails", json=answer)
        if told.status_code in (httpx.codes.NOT_FOUND, httpx.codes.CONFLICT):
            return False
        told.raise_for_status()
        return True

    def _get(self, path: str) -> Json | None:
        try:
            answer = self._client.get(path)
        except httpx.HTTPError:
            return None
        found: Json | None = answer.json() if answer.is_success else None
        return found


def wait_for(condition: Callable[[], Any], seconds: float, processes: Processes) -> Any:
    """Poll until the condition holds, and give what it gave.

    :raises DemoFailed: when it does not in time, or a process has died.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := condition():
            return result
        processes.check()
        time.sleep(0.2)
    raise DemoFailed(f"Nothing happened within {seconds:.0f} s: see the logs in {processes.logs}")


def free_port(wanted: int = 0) -> int:
    """The wanted port if it is free, else any."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DemoFailed("No TCP port is free.")


def environment(home: Path, api_port: int) -> dict[str, str]:
    """Airflow on embedded defaults, reading this checkout, reachable from this machine only."""
    url = f"http://127.0.0.1:{api_port}"
    settings = {
        "CORE__DAGS_FOLDER": ROOT / "dags",
        "CORE__PLUGINS_FOLDER": ROOT / "plugins",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": 4,
        "CORE__LOAD_EXAMPLES": False,
        "CORE__FERNET_KEY": "",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": home / "passwords.json",
        "CORE__TEST_CONNECTION": "Enabled",
        "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "API__HOST": "127.0.0.1",
        "API__PORT": api_port,
        "API__BASE_URL": url,
        "API__SECRET_KEY": secrets.token_hex(16),
        "API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": 0.1,
    }
    env = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "COGENT_OPS"))}
    env |= {f"AIRFLOW__{name}": str(value) for name, value in settings.items()}
    env |= {"AIRFLOW_HOME": str(home), "COGENT_OPS_INCLUDE": str(ROOT / "include"), "PYTHONUNBUFFERED": "1"}
    env["PATH"] = f"{BIN}{os.pathsep}{env.get('PATH', '')}"
    return env


@contextmanager
def workplace(folder: Path, api_port: int) -> Iterator[Processes]:
    """A fresh AIRFLOW_HOME, and the processes that work in it."""
    shutil.rmtree(folder, ignore_errors=True)
    home = folder / "airflow"
    home.mkdir(parents=True)
    (home / "passwords.json").write_text(json.dumps({USER: PASSWORD}))
    with message_log(folder / MESSAGES) as connection:
        env = environment(home, api_port) | {"AIRFLOW_CONN_COGENT_OPS_ALERTS": connection}
        processes = Processes(folder / "logs", env)
        try:
            yield processes
        finally:
            processes.stop()


def start(processes: Processes, progress: Progress, args: argparse.Namespace) -> Json:
    """Sandbox, database and Airflow's components; returns what the sandbox says of itself."""
    home = Path(processes.env["AIRFLOW_HOME"])
    ready = home.parent / "sandbox.json"
    progress.step("Starting the sandbox (commercetools and Cloudshelf simulated) and Airflow's database")
    source = ["--sunrise", str(args.sunrise)] if args.sunrise else ["--products", str(args.products)]
    traffic = ["--traffic"] if args.traffic else []
    processes.start(
        "sandbox", "cogent-ops", "sandbox", "--port", "0", "--ready-file", str(ready), *source, *traffic
    )
    processes.run("db-migrate", "airflow", "db", "migrate")
    sandbox: Json = json.loads(
        wait_for(lambda: ready.exists() and ready.read_text(), START_SECONDS, processes)
    )
    processes.env.update(sandbox["connections"])
    progress.step(
        "Starting Airflow: API server, scheduler, DAG processor" + (", triggerer" if args.keep else "")
    )
    for component in ("api-server", "scheduler", "dag-processor", *(["triggerer"] if args.keep else [])):
        processes.start(component, "airflow", component)
    return sandbox


def carry(airflow: Airflow, progress: Progress) -> None:
    """Audit, acceptance, sync."""
    airflow.wait_until_ready("catalogue_audit", "catalogue_sync")
    if errors := airflow.import_errors():
        raise DemoFailed("\n".join(f"{error['filename']}: {error['stack_trace']}" for error in errors))
    progress.step(
        "catalogue_audit: the whole catalogue against the product master schema, before anything is pushed"
    )

    def accept(task_path: str) -> None:
        if airflow.approve(task_path):
            progress.detail(
                "no-go: the findings waited for a person under Required Actions; the demo accepts them"
            )

    airflow.watch("catalogue_audit", airflow.run("catalogue_audit"), progress, accept)
    progress.step("catalogue_sync: commercetools → gate → Cloudshelf")
    airflow.watch("catalogue_sync", airflow.run("catalogue_sync"), progress, airflow.approve)


def sell(airflow: Airflow, talk: Sandbox, store: Store, progress: Progress) -> Recount:
    """Kiosk orders, good and bad, while both APIs misbehave; what a recount of both sides finds afterwards."""
    burst = OrderBurst(talk, KINDS_OF_ORDER, pace=PACE)
    progress.step(
        f"stock_deltas, kiosk_order_capture: {ORDERS} orders, good and bad, while requests fail and answers are lost"
    )
    for dag_id in ("stock_deltas", "kiosk_order_capture"):
        airflow.unpause(dag_id)
    # Orders count from the first poll on: what was sold before is in the quantities already.
    wait_for(lambda: store.watermarks.get("default", START_FLOW), START_SECONDS, airflow.processes)
    talk.misbehave(FAULTS)
    burst.sell(number / ORDERS_PER_SECOND for number in range(ORDERS))
    early = recount(talk, burst)

    def is_settled() -> bool:
        counted = store.captures.accounting("default")
        is_judged = counted.seen == ORDERS and counted.waiting.keys() <= {WAITS_FOR_PAYMENT}
        return is_judged and recount(talk, burst).is_right

    try:
        wait_for(is_settled, RUN_SECONDS, airflow.processes)
    except DemoFailed:
        airflow.processes.check()
        progress.detail("some orders have not arrived in time; the recount below names them")
    talk.calm()
    progress.detail(
        f"{len(early.wrong)} orders and {early.lost} units were not in commercetools yet when the last one was placed"
    )
    return recount(talk, burst)


def summarise(store: Store, kiosk: Mapping[str, int]) -> None:
    """What was pushed, skipped and held, and why; beside it what the simulated Cloudshelf says that it holds."""
    run, audit = (store.runs.latest("default", flow) for flow in ("catalogue_sync", "catalogue_audit"))
    if run is None or audit is None:
        raise DemoFailed("The store knows of no finished run.")
    print_run(run.counts, kiosk, store)
    print("\nReports")
    print(f"  audit  file://{local_path(audit.report_path)}")
    print(f"  sync   file://{local_path(run.report_path)}")
    print(f"  fix list and Data Docs lie beside them in {Path(local_path(run.report_path)).parent}")


def arguments() -> argparse.Namespace:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")
    made.add_argument(
        "--folder", type=Path, help="where everything lies (default: .demo, or .up with --keep)"
    )
    made.add_argument(
        "--products", type=int, default=PRODUCTS, help="size of the catalogue (default: %(default)s)"
    )
    made.add_argument(
        "--sunrise", type=Path, help="folder with commercetools' Sunrise sample data to use instead"
    )
    args = made.parse_args()
    args.traffic = args.keep
    return args


def main() -> int:
    """Run the demo."""
    args, progress = arguments(), Progress()
    api_port = free_port(8080)
    folder = args.folder or ROOT / (".up" if args.keep else ".demo")
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with workplace(folder, api_port) as processes:
            sandbox = start(processes, progress, args)
            airflow = Airflow(f"http://127.0.0.1:{api_port}", processes)
            home = Path(processes.env["AIRFLOW_HOME"])
            carry(airflow, progress)
            processes.run("bootstrap", "cogent-ops", "bootstrap")
            airflow.wait_until_ready(*FLOWS)
            store = open_store(f"sqlite:///{home / 'cogent_ops.db'}")
            with closing(Sandbox(sandbox)) as talk:
                shown = talk.sizes("cloudshelf")
                # With --keep kiosks and the web shop sell all the time, and nothing can be recounted.
                found = None if args.keep else sell(airflow, talk, store, progress)
            progress.step("Done")
            summarise(store, shown)
            if found is not None:
                print_orders(store)
                print_recount(found)
                if not found.is_right:
                    raise DemoFailed("An order or a unit was lost or doubled, which must never happen.")
            if args.keep:
                open_shops(airflow, store)
                stay(airflow, sandbox, processes)
    except DemoFailed as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.")
        return 0 if args.keep else 130
    return 0


def open_shops(airflow: Airflow, store: Store) -> None:
    """Switch everything on: first what tells kiosks how much is there, so that they sell no more than that."""
    first, *others = FLOWS
    airflow.unpause(first)

    def is_told() -> bool:
        backlog = store.availability.backlog("default")
        is_read = store.watermarks.get("default", COLLECTED) is not None
        return is_read and not backlog.levels + backlog.flags - backlog.refused

    wait_for(is_told, RUN_SECONDS, airflow.processes)
    for dag_id in others:
        airflow.unpause(dag_id)


def stay(airflow: Airflow, sandbox: Json, processes: Processes) -> NoReturn:
    """Leave everything running until Ctrl-C."""
    print(f"\nAirflow       {airflow.url}   (user {USER}, password {PASSWORD})")
    print(f"Sandbox       {sandbox['control_url']}/state   kiosk and online traffic is running")
    print(
        f"Messages      {Path(processes.env['AIRFLOW_HOME']).parent / MESSAGES}   what owners of exceptions are told"
    )
    print("Stop with Ctrl-C.", flush=True)
    while True:
        processes.check()
        time.sleep(1)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
