"""What Airflow pays for the package: parsing the DAG files, and loading the plugin in every component and task.

Each figure is the extra time in a fresh interpreter that has imported Airflow already, the smallest of several runs.

    python -m benchmarks parsing
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUNS = 5
PROGRAMS = {
    "parsing all DAG files": (
        1.0,
        "from airflow.dag_processing.dagbag import DagBag\nimport airflow.providers.standard.operators.empty",
        f"bag = DagBag({str(ROOT / 'dags')!r}); assert bag.dags and not bag.import_errors, bag.import_errors",
    ),
    "loading the plugin": (
        0.3,
        "import airflow.sdk, airflow.plugins_manager",
        "from cogent_ops.plugin import CogentOpsPlugin",
    ),
}


def seconds(prepare: str, measured: str) -> float:
    """Seconds that the second program takes after the first."""
    clock = "began = time.perf_counter()"
    program = f"import time\n{prepare}\n{clock}\n{measured}\nprint('took', time.perf_counter() - began)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd="/"
    )
    return float(done.stdout.rpartition("took")[2])


def main(arguments: list[str]) -> int:
    """Print each figure beside its limit."""
    for name, (limit, prepare, measured) in PROGRAMS.items():
        least = min(seconds(prepare, measured) for _ in range(RUNS))
        print(f"{name:<24}{least:>7.3f} s   limit {limit} s")
    return 0
