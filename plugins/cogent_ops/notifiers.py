"""What Airflow reports of its own accord: a deadline that was missed, a task that failed for good, one that succeeded.

Both kinds of bad news become exceptions with an owner, and people hear of them as of any other
(:mod:`cogent_ops.services.alerts`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import BaseNotifier, Context

from cogent_ops.domain.exceptions import Kind, NewException, Owner
from cogent_ops.errors import CogentOpsError

log = logging.getLogger(__name__)

#: The flow that watches all others.
MONITOR = "sync_health"


class AlertNotifier(BaseNotifier):
    """Send one line of text to a webhook, for DAGs of your own.

    :param text: what to say. (templated)
    :param http_conn_id: HTTP connection of the webhook.
    """

    template_fields: Sequence[str] = ("text",)

    def __init__(self, *, text: str, http_conn_id: str = "cogent_ops_alerts", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.text, self.http_conn_id = text, http_conn_id

    def notify(self, context: Context) -> None:
        """Send from a task process."""
        send_text(self.text, self.http_conn_id)

    async def async_notify(self, context: Context) -> None:
        """Send from the triggerer."""
        await asyncio.to_thread(send_text, self.text, self.http_conn_id)


def send_text(text: str, conn_id: str) -> None:
    """Send a text that nothing else remembers; what cannot be delivered is logged."""
    from cogent_ops.channels import deliver
    from cogent_ops.domain.policies import Channel

    try:
        deliver(Channel(connection=conn_id), "cogent_ops", text)
    except CogentOpsError as error:
        log.warning("This alert went nowhere (%s): %s", error, text)


async def deadline_missed(
    link: str, flow: str, minutes: int, context: Mapping[str, Any] | None = None
) -> None:
    """A run has not finished in time: raise an exception with an owner, and tell its channel.

    Runs in the triggerer, at least once per missed deadline. It must return nothing: a dict would end the triggerer.
    It tells people itself, because what holds up one flow may hold up the one that tells people, too.

    :param minutes: how long a run of this flow may take from being queued.
    """
    run = dict((context or {}).get("dag_run") or {})
    if run.get("run_type") == "backfill":
        return
    run_id = str(run.get("dag_run_id") or run.get("run_id") or "")
    raised = late_run(flow, minutes, run_id, str(run.get("dag_id") or flow))
    await asyncio.to_thread(_raise_and_tell, link, raised, run_id)


def _raise_and_tell(link: str, raised: NewException, run_id: str) -> None:
    from cogent_ops.runtime import Runtime

    runtime = Runtime(link)
    try:
        with runtime.store.begin() as conn:
            runtime.store.exceptions.raise_(conn, link, raised, run_id)
        runtime.alerts(run_id).run(datetime.now(UTC))
    except CogentOpsError as error:
        log.warning("the way for messages is barred: %s", error)
        text = f"{raised.message} {raised.cure} (Besides, the queue of exceptions is out of order: {error})"
        send_text(text, "cogent_ops_alerts")


def late_run(flow: str, minutes: int, run_id: str, dag_id: str) -> NewException:
    """The exception for a run that is late."""
    return NewException(
        kind=Kind.DEADLINE_MISSED,
        cause_key=flow,
        record=run_id or dag_id,
        field="",
        rule="deadline",
        message=f"{dag_id}: run {run_id} has not finished {minutes} minutes after it was queued.",
        cure="Open the run in Airflow: a waiting task says what it waits for, a failed one says what to do.",
        owner=Owner.PLATFORM,
        payload={"flow": flow, "dag_id": dag_id, "run_id": run_id, "minutes": minutes},
    )


def task_failed(context: Context, *, link: str) -> None:
    """A task has failed for good, after all its retries or at once: raise an exception with an owner."""
    from cogent_ops.runtime import Runtime

    run = context["dag_run"]
    try:
        store = Runtime(link).store
        with store.begin() as conn:
            store.exceptions.raise_(conn, link, failed_task(context), run.run_id)
    except CogentOpsError as error:
        log.warning("this failure could not be put into the queue of exceptions: %s", error)


def failed_task(context: Context) -> NewException:
    """The exception for a task that failed. Only errors of our own are quoted: others may hold anything."""
    run, task, error = context["dag_run"], context["ti"], context.get("exception")
    reason = type(error).__name__ if isinstance(error, BaseException) else "it was ended from outside"
    if isinstance(error, CogentOpsError):
        reason = f"{reason}: {error}"
    return NewException(
        kind=Kind.TASK_FAILED,
        cause_key=_task_cause(context),
        record=f"{run.dag_id}.{task.task_id}",
        field="",
        rule="task",
        message=f"Run {run.run_id} failed. {reason}",
        cure="The task's log in Airflow says what to mend; then clear the task. The next success closes this.",
        owner=Owner.PLATFORM,
        payload={"dag_id": run.dag_id, "run_id": run.run_id, "task_id": task.task_id},
    )


def task_succeeded(context: Context, *, link: str, flow: str) -> None:
    """A task has succeeded: its failure is over, and with the last task of a run that run is no longer late.

    Besides, whoever works looks whether the monitor still does: it cannot tell that itself.
    """
    from cogent_ops.runtime import Runtime

    gone = [(Kind.TASK_FAILED, _task_cause(context))]
    if not context["task"].downstream_task_ids and context["dag_run"].run_type != "backfill":
        gone.append((Kind.DEADLINE_MISSED, flow))
    try:
        store = Runtime(link).store
        gone = [(kind, cause) for kind, cause in gone if cause in store.exceptions.open_causes(link, kind)]
        if gone:
            with store.begin() as conn:
                for kind, cause in gone:
                    store.exceptions.resolve(conn, link, kind, [cause], context["dag_run"].run_id)
    except CogentOpsError as error:
        log.warning("what this success has cured could not be closed in the queue of exceptions: %s", error)
    if flow != MONITOR:
        watch_monitor(link, context["dag_run"].run_id)


def watch_monitor(link: str, run_id: str) -> None:
    """Raise an exception when sync health has not looked for too long, and tell people: nobody else would.

    :param run_id: the run that notices.
    """
    from cogent_ops.runtime import Runtime

    try:
        found = Runtime(link).watchdog().look(datetime.now(UTC))
    except CogentOpsError as error:
        log.warning("whether sync_health still looks could not be seen: %s", error)
        return
    if found is not None:
        _raise_and_tell(link, found, run_id)


def _task_cause(context: Context) -> str:
    """What one success of a task proves: of a backfill that run alone, else whatever the task works from."""
    run, task = context["dag_run"], context["ti"]
    window = f"/{run.run_id}" if run.run_type == "backfill" else ""
    return f"{run.dag_id}/{task.task_id}{window}"
