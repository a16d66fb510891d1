"""What operators of all flows share."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

if TYPE_CHECKING:
    from airflow.sdk.types import DagRunProtocol

Summary = dict[str, Any]


def run_key(dag_id: str, run_id: str) -> str:
    """A run as it may stand in paths on any object storage: stable over retries, unique per run.

    Scheduled runs of two DAGs at the same time have the same run id.
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "_", f"{dag_id}__{run_id}")


def try_key(context: Context) -> str:
    """A try of a task: two tries, of which the first may still be alive somewhere, are two owners."""
    run, task = context["dag_run"], context["ti"]
    return f"{run_key(run.dag_id, run.run_id)}/{task.try_number}"


def backfilled(run: DagRunProtocol) -> tuple[datetime, datetime] | None:
    """The data interval of a backfill; other runs work from the watermark."""
    start, end = run.data_interval_start, run.data_interval_end
    if run.run_type != "backfill" or start is None or end is None:
        return None
    return start, end
