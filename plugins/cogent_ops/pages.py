"""Pages in Airflow's user interface: where they are, and the buttons that lead from a task to the page of its run.

Airflow loads this with the plugin, in every component and every task, so no operator is imported here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink

from cogent_ops.addresses import GOVERNANCE_PREFIX, NIGHTS_PREFIX, REPORTS_PREFIX
from cogent_ops.links import DEFAULT_LINK

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


def run_key(dag_id: str, run_id: str) -> str:
    """A run as it may stand in paths on any object storage: stable over retries, unique per run.

    Scheduled runs of two DAGs at the same time have the same run id.
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "_", f"{dag_id}__{run_id}")


class ReportLink(BaseOperatorLink):
    """Button on a task: the report of its run."""

    name = "Catalogue report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Address within the Airflow UI; the page answers 404 until the report task has run."""
        link = getattr(operator, "link", DEFAULT_LINK)
        return f"{REPORTS_PREFIX}/{link}/{run_key(ti_key.dag_id, ti_key.run_id)}/index.html"


class NightLink(BaseOperatorLink):
    """Button on a task: the report of its night."""

    name = "Night's report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Address within the Airflow UI; the page answers 404 until the night was compared."""
        link = getattr(operator, "link", DEFAULT_LINK)
        return f"{NIGHTS_PREFIX}/{link}/run/{run_key(ti_key.dag_id, ti_key.run_id)}"


class MonthLink(BaseOperatorLink):
    """Button on a task: the monthly reports."""

    name = "Monthly reports"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Address within the Airflow UI: the list, in which the task's month is once it has run."""
        return f"{GOVERNANCE_PREFIX}/"
