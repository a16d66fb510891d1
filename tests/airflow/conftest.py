"""Airflow in a home of its own; the settings must stand before anything imports Airflow."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = Path(tempfile.mkdtemp(prefix="cogent-ops-airflow-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)

os.environ.update(
    {
        "AIRFLOW_HOME": str(HOME),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "ada:admin,vic:viewer",
        "AIRFLOW__API_AUTH__JWT_SECRET": "only-for-these-tests-and-long-enough-for-hs512-" + "x" * 32,
        "COGENT_OPS_INCLUDE": str(ROOT / "include"),
        "_AIRFLOW_PROCESS_CONTEXT": "server",
    }
)
