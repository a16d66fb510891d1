"""Tells people of exceptions, every five minutes and within seconds of a new one.

**alert** writes a message for each cause that nobody has heard of, in business words, and sends it to the channel of
its owner: once per cause, several causes of a kind together when they come up within five minutes. Out of business
hours only what `include/exceptions.yaml` calls critical goes out; the rest waits for the opening. When an owner lets
the deadline pass, whoever stands in is told, once. What is silenced is left out until the silence ends.

Messages go through Airflow connections (`docs/alerts.md`). They are stored before they are sent, so none is lost; after
a crash one may come twice. One that cannot be delivered waits, is tried again, and becomes an exception of its own
(`alert_undelivered`), which another channel tells of if there is one.

A run works from what the store holds, whatever its data interval; running it again sends nothing twice.
"""

from __future__ import annotations

from datetime import timedelta

from cogent_ops import operators as ops
from cogent_ops.dag_defaults import exception_inbox, flow_dag, for_each_link, on_clock


def build(link: str) -> None:
    """The DAG of one link."""
    with flow_dag(
        "sync_health",
        link,
        schedule=on_clock("*/5 * * * *", exception_inbox(link)),
        late_after=timedelta(minutes=20),
        dagrun_timeout=timedelta(hours=1),
        tags=["health", "alerts"],
        doc_md=__doc__,
    ):
        ops.AlertOperator(
            task_id="alert",
            link=link,
            retry_delay=timedelta(seconds=30),
            execution_timeout=timedelta(minutes=15),
        )


for_each_link(build)
