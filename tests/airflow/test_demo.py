"""``make demo``, as a newcomer runs it: real scheduler, real executor, nothing left behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.airflow, pytest.mark.xdist_group("demo"), pytest.mark.timeout(600)]


def test_the_demo_ends_well_and_leaves_no_process(tmp_path: Path) -> None:
    command = [sys.executable, "scripts/demo.py", "--products", "60", "--folder", str(tmp_path / "demo")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for words in ("catalogue_audit", "no-go", "catalogue_sync", "Held, by owner and reason", "file://"):
        assert words in done.stdout
    (products,) = (line.split() for line in done.stdout.splitlines() if line.startswith("products"))
    pushed, held, on_the_kiosks = (int(products[at]) for at in (1, 3, 5))
    assert pushed == on_the_kiosks
    assert pushed + held == 60
    assert "Kiosk orders: 200 seen, 0 unexplained" in done.stdout
    assert "in commercetools, 0 wrong" in done.stdout
    assert "units deducted: lost 0, doubled 0" in done.stdout
    assert not _processes_that_name(tmp_path)


def _processes_that_name(folder: Path) -> list[str]:
    """Processes whose command line or environment names the folder (Linux only; elsewhere nothing is found)."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(folder / "demo").encode() in told:
            found.append(process.name)
    return found
