"""``cogent-ops sandbox`` as a process: ready, reachable, and gone when asked to go."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.contracts import SHARED
from tests.support.talk import Json, http

from cogent_ops.sandbox.sunrise import load_sunrise

COMMAND = [sys.executable, "-m", "cogent_ops.cli", "sandbox", "--port", "0", "--products", "5"]
PLUGINS = Path(__file__).resolve().parents[3] / "plugins"
SUNRISE = (SHARED.parent / "data/sunrise").resolve()
#: Runs the command line in a Python where one package is missing.
WITHOUT = """import sys; sys.modules[sys.argv[1]] = None
from cogent_ops.cli import main; sys.exit(main(["sandbox", "--port", "0"]))"""


@contextmanager
def running(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], Json]]:
    """The process, and what it tells in its ready file."""
    ready = folder / "ready.json"
    process = subprocess.Popen(
        [*COMMAND, "--ready-file", str(ready), *options], stdout=subprocess.PIPE, text=True, cwd=PLUGINS
    )
    try:
        deadline = time.monotonic() + 60
        while not ready.exists():
            assert process.poll() is None, "the sandbox ended by itself"
            assert time.monotonic() < deadline, "the sandbox does not come up"
            time.sleep(0.05)
        yield process, json.loads(ready.read_text())
    finally:
        process.kill()
        process.communicate(timeout=30)


Start = Callable[..., Json]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda *options: stack.enter_context(running(tmp_path, *options))[1]


def control(told: Json, path: str) -> Any:
    return http().get(f"{told['control_url']}{path}").json()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_starts_says_where_it_is_and_ends(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path, "--traffic") as (process, told):
        assert control(told, "/health") == {"ok": True}
        process.send_signal(number)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    for name, value in told["connections"].items():
        assert f"export {name}='{value}'" in output


def test_its_connections_open_both_apis(begin: Start) -> None:
    told = begin()
    names = ("AIRFLOW_CONN_COMMERCETOOLS_DEFAULT", "AIRFLOW_CONN_CLOUDSHELF_DEFAULT")
    shop, kiosk = (json.loads(told["connections"][name]) for name in names)
    assert (shop["conn_type"], kiosk["conn_type"]) == ("commercetools", "cloudshelf")
    token = http().post(
        f"{shop['extra']['auth_url']}/oauth/token",
        data={"grant_type": "client_credentials"},
        auth=(shop["login"], shop["password"]),
    )
    project = http().get(
        f"{shop['host']}/{shop['extra']['project_key']}",
        headers={"Authorization": f"Bearer {token.json()['access_token']}"},
    )
    assert project.json()["key"] == shop["extra"]["project_key"]
    answer = http().post(
        kiosk["host"],
        json={"query": "{ products { totalCount } }"},
        headers={"Authorization": f"Token {kiosk['password']}"},
    )
    assert answer.json() == {"data": {"products": {"totalCount": 0}}}


def test_traffic_sells_while_it_runs(begin: Start) -> None:
    told = begin("--traffic", "--kiosk-rate", "0", "--online-rate", "50", "--edit-rate", "50")
    deadline = time.monotonic() + 30
    while not control(told, "/state")["commercetools"]["orders"]:
        assert time.monotonic() < deadline, "nobody buys"
        time.sleep(0.05)


def test_faults_come_from_a_file(begin: Start, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("seed: 3\nrules: [{kind: error, status: 500}]\n")
    told = begin("--faults", str(plan))
    assert control(told, "/faults") == {"seed": 3, "rules": [{"kind": "error", "status": 500}]}


@pytest.mark.skipif(not SUNRISE.is_dir(), reason=f"the Sunrise data is not here ({SUNRISE})")
def test_the_catalogue_may_be_sunrise(begin: Start) -> None:
    told = begin("--sunrise", str(SUNRISE))
    assert control(told, "/state")["commercetools"]["product-projections"] == len(
        load_sunrise(SUNRISE, now=datetime.now(UTC)).products
    )


def failed(*command: str) -> str:
    done = subprocess.run([*command], capture_output=True, text=True, timeout=60, check=False, cwd=PLUGINS)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--products", "-3"], "products must be between"),
        (["--dirty-share", "1.5"], "Shares lie between 0 and 1"),
        (["--variants", "101"], "1 to 100 variants"),
        (["--sunrise", "no-such-folder"], "no-such-folder"),
        (["--faults", "no-such-file.yaml"], "no-such-file.yaml"),
        (["--host", "203.0.113.1"], "Cannot listen at 203.0.113.1"),
    ],
)
def test_options_that_are_not_possible_are_named(options: list[str], words: str) -> None:
    assert words in failed(*COMMAND, *options)


def test_a_taken_port_is_named(begin: Start) -> None:
    port = begin()["url"].rpartition(":")[2]
    assert f"Cannot listen at 127.0.0.1:{port}" in failed(*COMMAND, "--port", port)


@pytest.mark.parametrize("package", ["uvicorn", "graphql", "msgspec"])
def test_a_missing_extra_says_what_to_install(package: str) -> None:
    message = failed(sys.executable, "-c", WITHOUT, package)
    assert package in message
    assert "pip install 'cogent-ops[sandbox]'" in message
