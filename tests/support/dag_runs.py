"""Runs of a DAG as its tasks have them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def dag_run(dag_id: str, run_type: str, start: datetime, end: datetime, after: datetime | None = None) -> Any:
    """A run that has begun.

    :param start: of its data interval, with ``end``.
    :param after: from when on it may run; the end of its interval, when left out.
    """
    from airflow.sdk.api.datamodels._generated import DagRun, DagRunState, DagRunType

    return DagRun(
        dag_id=dag_id,
        run_id=f"{run_type}__{start.isoformat()}",
        logical_date=start,
        data_interval_start=start,
        data_interval_end=end,
        run_after=after or end,
        start_date=datetime.now(UTC),
        end_date=None,
        run_type=DagRunType(run_type),
        state=DagRunState.RUNNING,
        consumed_asset_events=[],
        partition_key=None,
    )
