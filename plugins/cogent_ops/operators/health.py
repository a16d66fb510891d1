"""Operator of ``sync_health`` that looks at everything."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from cogent_ops.operators.common import LinkOperator, Summary, try_key

if TYPE_CHECKING:
    from cogent_ops.domain.health.model import Snapshot
    from cogent_ops.runtime import Runtime

#: A run that an exception has woken checks again only when the last check is older.
OFTEN = timedelta(minutes=1)
METRICS = "cogent_ops.health"


class HealthCheckOperator(LinkOperator):
    """Look at a link as a whole: store a snapshot, raise and close exceptions, tell people, emit metrics.

    One at a time: two checks would count the same twice as two in a row.

    :param link: the link. (templated)
    """

    template_fields: Sequence[str] = ("link",)
    ui_color: str = "#ccfbf1"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_active_tis_per_dag": 1, **kwargs})

    def execute(self, context: Context) -> Summary:
        """Check.

        :return: how the link stands, in a sentence and numbers.
        """
        from cogent_ops.runtime import Runtime

        runtime = Runtime(self.link)
        if context["dag_run"].run_type == "asset_triggered" and _is_recent(runtime, self.link):
            return {"skipped": "the last check is younger than a minute"}
        snapshot = runtime.health(try_key(context)).run()
        emit(snapshot)
        summary = summary_of(snapshot)
        self.publish(context, summary)
        return summary


def _is_recent(runtime: Runtime, link: str) -> bool:
    checked = runtime.store.health.checked_at(link)
    return checked is not None and datetime.now(UTC) - checked < OFTEN


def summary_of(snapshot: Snapshot) -> Summary:
    """A snapshot in a sentence and a few numbers."""
    return {
        "state": snapshot.state.value,
        "sentence": snapshot.sentence,
        "data_age_seconds": {one.flow.value: one.age for one in snapshot.flows},
        "orders_unexplained": snapshot.orders.unexplained,
        "units_unexplained": snapshot.units.unexplained,
        "units_at_risk": sum(one.at_risk for one in snapshot.stores),
        "exceptions_open": sum(one.open for one in snapshot.queues),
    }


def emit(snapshot: Snapshot) -> None:
    """Give the numbers to Airflow's metrics. Without a backend configured there, this does nothing."""
    from airflow.sdk.observability import stats

    for name, value, tags in gauges(snapshot):
        stats.gauge(f"{METRICS}.{name}", value, tags={"link": snapshot.link, **tags})


def gauges(snapshot: Snapshot) -> list[tuple[str, float, dict[str, str]]]:
    """Name, value and tags of each number; what is not known is left out."""
    from cogent_ops.domain.health.model import State

    ranks = {state: rank for rank, state in enumerate(State)}
    found: list[tuple[str, float | None, dict[str, str]]] = [("state", ranks[snapshot.state], {})]
    for flow in snapshot.flows:
        numbers = {
            "data_age_seconds": flow.age,
            "target_seconds": flow.target,
            "p50_seconds": flow.p50,
            "p95_seconds": flow.p95,
            "waiting": flow.waiting,
            "review": flow.review,
            "done_last_hour": flow.done,
            "drain_seconds": flow.drain,
            "flow_state": ranks[flow.state],
        }
        found += [(name, value, {"flow": flow.flow.value}) for name, value in numbers.items()]
    for store in snapshot.stores:
        tags = {"store": store.place or "unknown"}
        found += [
            ("orders_seen", store.orders.seen, tags),
            ("orders_unexplained", store.orders.unexplained, tags),
            ("units_seen", store.units.seen, tags),
            ("units_unexplained", store.units.unexplained, tags),
            ("units_at_risk", store.at_risk, tags),
            ("store_state", ranks[store.state], tags),
        ]
    for budget in snapshot.budgets:
        tags = {"target": budget.target}
        found += [("budget_used", budget.used, tags), ("budget_factor", budget.factor, tags)]
    for queue in snapshot.queues:
        tags = {"owner": queue.owner}
        found += [("exceptions_open", queue.open, tags), ("exceptions_overdue", queue.overdue, tags)]
    return [(name, float(value), tags) for name, value, tags in found if value is not None]
