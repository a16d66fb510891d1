"""``cogent-ops sandbox`` as a process: ready, reachable, and gone when asked to go."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

COMMAND = [sys.executable, "-m", "cogent_ops.cli", "sandbox", "--port", "0", "--products", "5"]
ROOT = Path(__file__).resolve().parents[3]


def test_starts_says_where_it_is_and_ends(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    process = subprocess.Popen(
        [*COMMAND, "--traffic", "--ready-file", str(ready)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT / "plugins",
    )
    try:
        deadline = time.monotonic() + 60
        while not ready.exists() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
        told = json.loads(ready.read_text())
        assert httpx.get(f"{told['control_url']}/health").json() == {"ok": True}
        commercetools = json.loads(told["connections"]["AIRFLOW_CONN_COMMERCETOOLS_DEFAULT"])
        assert commercetools["conn_type"] == "commercetools"
        assert commercetools["host"].startswith(told["url"])
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "export AIRFLOW_CONN_CLOUDSHELF_DEFAULT=" in output


def test_options_that_make_no_catalogue_are_refused() -> None:
    done = subprocess.run(
        [*COMMAND[:-1], "-3"], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT / "plugins"
    )
    assert done.returncode == 1
    assert "products must be between" in done.stderr
