"""Looks every five minutes whether both systems are in step, and tells people of exceptions within seconds.

**check** measures how old the data of each flow is, accounts for every order and unit by store and hour, looks at what
lies outside (kiosks, credentials, Messages, Subscriptions), and stores all of it as the one picture that Sync Health,
`cogent-ops health`, metrics and reports show (`docs/health.md`). What somebody must act upon becomes an exception; what
is well again is closed. It tells people itself at its end.

**alert** writes a message for each cause that nobody has heard of, in business words, and sends it to the channel of
its owner: once per cause, several causes of a kind together when they come up within five minutes. Out of business
hours only what `include/exceptions.yaml` calls critical goes out; the rest waits for the opening. When an owner lets
the deadline pass, whoever stands in is told, once. What is silenced is left out until the silence ends. Messages go
through Airflow connections (`docs/alerts.md`) and are stored before they are sent; after a crash one may come twice.
One that cannot be delivered waits, is tried again, and becomes an exception of its own (`alert_undelivered`).

An exception that is opened wakes a run at once; neither task waits for the other, nor for an earlier run. Such a run
does not check again when the last check is younger than a minute. A run works from what the store holds, whatever its
data interval; running it again sends nothing twice.
"""

from __future__ import annotations

from datetime import timedelta

from cogent_ops import dag_defaults as flows
from cogent_ops import operators as ops


def build(link: str) -> None:
    """The DAG of one link."""
    with flows.flow_dag(
        "sync_health",
        link,
        schedule=flows.on_clock("*/5 * * * *", flows.exception_inbox(link)),
        late_after=timedelta(minutes=20),
        dagrun_timeout=timedelta(hours=1),
        # A check takes seconds, and a message must not wait for it.
        max_active_runs=4,
        tags=["health", "alerts"],
        doc_md=__doc__,
    ):
        ops.AlertOperator(
            task_id="alert",
            link=link,
            retry_delay=timedelta(seconds=30),
            execution_timeout=timedelta(minutes=15),
        )
        ops.HealthCheckOperator(
            task_id="check",
            link=link,
            inlets=flows.flow_assets(link),
            outlets=[flows.health_asset(link)],
            retry_delay=timedelta(seconds=30),
            execution_timeout=timedelta(minutes=10),
        )


flows.for_each_link(build)
