"""What every DAG of the package has in common: owner, tags, time limits, retries by kind of error, deadline.

Read while DAG files are parsed, so it imports nothing heavier than the task SDK.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from airflow.sdk import (
    DAG,
    Asset,
    AssetOrTimeSchedule,
    AssetWatcher,
    Context,
    CronDataIntervalTimetable,
    RetryDecision,
    RetryPolicy,
)
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from cogent_ops.errors import PermanentError, RetryableError
from cogent_ops.links import DEFAULT_LINK, link_names
from cogent_ops.notifiers import task_failed, task_succeeded

#: The longest wait that a target may ask of a task; longer ones are cut, so that a wrong header cannot park a flow.
LONGEST_RETRY_DELAY = timedelta(minutes=30)


class FlowRetryPolicy(RetryPolicy):
    """Retry what can succeed later, after the time the target asked for; fail at once what needs a person."""

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Context | None = None,
    ) -> RetryDecision:
        """Decide by the exception tree alone; everything we do not know keeps the task's own delay."""
        if isinstance(exception, PermanentError):
            return RetryDecision.fail(reason=f"needs a person: {type(exception).__name__}")
        if isinstance(exception, RetryableError) and exception.retry_after is not None:
            delay = min(timedelta(seconds=exception.retry_after), LONGEST_RETRY_DELAY)
            return RetryDecision.retry(delay=delay, reason="the target said when to come back")
        return RetryDecision.default()


DEFAULT_ARGS: dict[str, Any] = {
    "owner": "data/platform",
    "retries": 3,
    "retry_delay": timedelta(minutes=1),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": LONGEST_RETRY_DELAY,
    "retry_policy": FlowRetryPolicy(),
    "execution_timeout": timedelta(hours=2),
}

#: For tasks that ask a person: no answer within a week means hold, never go.
HOLD_WITHOUT_ANSWER: dict[str, Any] = {
    "defaults": "Reject",
    "response_timeout": timedelta(days=7),
    "execution_timeout": None,
}


class FlowDag(DAG):
    """A DAG that ``airflow dags test`` can run although it has a deadline.

    A test run of Airflow 3.3.2 takes the alert itself for its id in the database, and breaks when everything has
    succeeded. A test run raises no alert anyway, so it does without.
    """

    def test(self, *args: Any, **kwargs: Any) -> Any:
        """Run in this process. See :meth:`airflow.sdk.DAG.test`."""
        deadline, self.deadline = self.deadline, None
        try:
            return super().test(*args, **kwargs)
        finally:
            self.deadline = deadline


def dag_id(flow: str, link: str) -> str:
    """``catalogue_sync`` for the default link, ``catalogue_sync__<link>`` for another."""
    return flow if link == DEFAULT_LINK else f"{flow}__{link}"


def flow_dag(flow: str, link: str, *, tags: Iterable[str], late_after: timedelta, **options: Any) -> FlowDag:
    """A DAG of one flow and link.

    :param late_after: a run that has not finished this long after it was queued raises a deadline alert. Counted
        from the queueing, so that a backfill of the past does not alarm.
    :param options: further arguments of :class:`airflow.sdk.DAG`.
    """
    settings: dict[str, Any] = {
        "default_args": {
            **DEFAULT_ARGS,
            "on_failure_callback": partial(task_failed, link=link),
            "on_success_callback": partial(task_succeeded, link=link, flow=flow),
        },
        "tags": ["cogent_ops", f"link:{link}", *tags],
        "start_date": datetime(2026, 1, 1, tzinfo=UTC),
        "catchup": False,
        "max_active_runs": 1,
        "dagrun_timeout": timedelta(hours=6),
        "render_template_as_native_obj": True,
        "deadline": _deadline(flow, link, late_after),
        **options,
    }
    return FlowDag(dag_id(flow, link), **settings)


def _deadline(flow: str, link: str, late_after: timedelta) -> DeadlineAlert:
    return DeadlineAlert(
        name=f"{dag_id(flow, link)} is late",
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=late_after,
        callback=AsyncCallback(
            "cogent_ops.notifiers.deadline_missed",
            kwargs={"link": link, "flow": flow, "minutes": int(late_after.total_seconds() // 60)},
        ),
    )


def for_each_link(build: Callable[[str], None]) -> None:
    """Make a flow's DAG once per link of ``include/mapping.yaml``."""
    for link in link_names():
        build(link)


def catalogue_asset(link: str) -> Asset:
    """What ``catalogue_sync`` produces: the link's catalogue on the kiosks."""
    return Asset(name=dag_id("cloudshelf_catalogue", link), uri=f"cogent-ops://cloudshelf/{link}/catalogue")


def stock_asset(link: str) -> Asset:
    """What ``stock_deltas`` produces: the link's movements in commercetools."""
    return Asset(name=dag_id("commercetools_stock", link), uri=f"cogent-ops://commercetools/{link}/stock")


def availability_asset(link: str) -> Asset:
    """What ``availability_push`` produces: the link's stock on the kiosks."""
    return Asset(
        name=dag_id("cloudshelf_availability", link), uri=f"cogent-ops://cloudshelf/{link}/availability"
    )


def stock_inbox(link: str) -> Asset:
    """What wakes ``stock_deltas``: kiosk orders and movements that wait."""
    from cogent_ops.triggers import StockWorkTrigger

    return Asset(
        name=dag_id("stock_inbox", link),
        uri=f"cogent-ops://store/{link}/inbox",
        watchers=[AssetWatcher(name=dag_id("stock_work", link), trigger=StockWorkTrigger(link=link))],
    )


def order_asset(link: str) -> Asset:
    """What ``kiosk_order_capture`` produces: the link's kiosk orders in commercetools."""
    return Asset(name=dag_id("commercetools_orders", link), uri=f"cogent-ops://commercetools/{link}/orders")


def order_inbox(link: str) -> Asset:
    """What wakes ``kiosk_order_capture``: kiosk orders whose time has come."""
    from cogent_ops.triggers import OrderWorkTrigger

    return Asset(
        name=dag_id("order_inbox", link),
        uri=f"cogent-ops://store/{link}/orders",
        watchers=[AssetWatcher(name=dag_id("order_work", link), trigger=OrderWorkTrigger(link=link))],
    )


def drift_asset(link: str) -> Asset:
    """What ``drift_reconciliation`` produces: the link's nights, compared."""
    return Asset(name=dag_id("drift_nights", link), uri=f"cogent-ops://store/{link}/nights")


def health_asset(link: str) -> Asset:
    """What ``sync_health`` produces: how the link stands."""
    return Asset(name=dag_id("sync_health_state", link), uri=f"cogent-ops://store/{link}/health")


def flow_assets(link: str) -> list[Asset]:
    """What the flows produce, and sync health looks at."""
    makers = (catalogue_asset, stock_asset, availability_asset, order_asset, drift_asset)
    return [make(link) for make in makers]


def exception_inbox(link: str) -> Asset:
    """What wakes those who tell people of exceptions and ask them: an exception that was opened."""
    from cogent_ops.triggers import ExceptionWatchTrigger

    return Asset(
        name=dag_id("exception_inbox", link),
        uri=f"cogent-ops://store/{link}/exceptions",
        watchers=[
            AssetWatcher(name=dag_id("exception_watch", link), trigger=ExceptionWatchTrigger(link=link))
        ],
    )


def on_clock(cron: str, *assets: Asset) -> AssetOrTimeSchedule:
    """A flow that assets wake, and the clock in case they do not; with data intervals for backfills."""
    clock = CronDataIntervalTimetable(cron, timezone="UTC")
    return AssetOrTimeSchedule(timetable=clock, assets=list(assets))


def every_minute(*assets: Asset) -> AssetOrTimeSchedule:
    """See :func:`on_clock`."""
    return on_clock("* * * * *", *assets)


def every_minute_backfilled_by_day(*assets: Asset) -> AssetOrTimeSchedule:
    """See :func:`on_clock`; a backfill goes by the day: see :class:`cogent_ops.timetables.FrequentTimetable`."""
    from cogent_ops.timetables import FrequentTimetable

    clock = FrequentTimetable("* * * * *", timezone="UTC")
    # A timetable of one's own is one of Airflow's core, which stands here for the task SDK's.
    return AssetOrTimeSchedule(timetable=clock, assets=list(assets))  # type: ignore[arg-type]
