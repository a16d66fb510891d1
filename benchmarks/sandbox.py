"""The sandbox in a process of its own, so that its work is not counted as ours."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

START_SECONDS = 120


@contextmanager
def sandbox(
    folder: Path, faults: Mapping[str, Any], *, products: int, variants: int
) -> Iterator[dict[str, Any]]:
    """Run it; gives what it announces: its addresses and connections.

    :param faults: latency, rate limits and rules, as a faults file has them.
    """
    (folder / "faults.yaml").write_text(yaml.safe_dump(dict(faults)))
    ready = folder / "ready.json"
    options = ["--products", str(products), "--variants", str(variants), "--dirty-share", "0.02"]
    options += ["--port", "0", "--ready-file", str(ready), "--faults", str(folder / "faults.yaml")]
    process = subprocess.Popen(
        [sys.executable, "-m", "cogent_ops.cli", "sandbox", *options], stdout=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("The sandbox did not start.")
            time.sleep(0.1)
        yield json.loads(ready.read_text())
    finally:
        process.terminate()
        process.wait(10)
