"""Alerts: a deadline that was missed, a task that failed.

Delivery goes through the HTTP connection ``cogent_ops_alerts`` (a Slack-compatible incoming webhook or anything that
takes ``{"text": …}``). Without it an alert still stands in the exception queue and in the log.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import BaseNotifier, Connection, Context
from airflow.sdk.exceptions import AirflowNotFoundException

from cogent_ops.domain.exceptions import Kind, NewException, Owner
from cogent_ops.hooks import STORE_CONNECTION_ID, store_url

log = logging.getLogger(__name__)

ALERTS_CONNECTION_ID = "cogent_ops_alerts"


class AlertNotifier(BaseNotifier):
    """Send one line of text to the alert channel.

    :param text: what to say. (templated)
    :param http_conn_id: HTTP connection of the channel.
    """

    template_fields: Sequence[str] = ("text",)

    def __init__(self, *, text: str, http_conn_id: str = ALERTS_CONNECTION_ID, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.text, self.http_conn_id = text, http_conn_id

    def notify(self, context: Context) -> None:
        """Send from a task process."""
        from airflow.providers.http.notifications.http import HttpNotifier

        try:
            HttpNotifier(http_conn_id=self.http_conn_id, json={"text": self.text}).notify({})
        except AirflowNotFoundException:
            self._undelivered()

    async def async_notify(self, context: Context) -> None:
        """Send from the triggerer."""
        from airflow.providers.http.notifications.http import HttpNotifier

        if await find_connection(self.http_conn_id) is None:
            self._undelivered()
        else:
            await HttpNotifier(http_conn_id=self.http_conn_id, json={"text": self.text}).async_notify({})

    def _undelivered(self) -> None:
        log.warning(
            "Connection '%s' does not exist, so this alert went nowhere: %s", self.http_conn_id, self.text
        )


async def deadline_missed(
    link: str, flow: str, minutes: int, context: Mapping[str, Any] | None = None
) -> None:
    """A run has not finished in time: raise an exception with an owner, and tell the channel.

    Runs in the triggerer, at least once per missed deadline. It must return nothing: a dict would end the triggerer.

    :param minutes: how long a run of this flow may take from being queued.
    """
    run = dict((context or {}).get("dag_run") or {})
    if run.get("run_type") == "backfill":
        return
    raised = late_run(
        flow, minutes, str(run.get("dag_run_id") or run.get("run_id") or ""), str(run.get("dag_id") or flow)
    )
    await _record(link, raised)
    await AlertNotifier(text=f"{raised.message} {raised.cure}").async_notify({})


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


async def _record(link: str, raised: NewException) -> None:
    url = store_url(await find_connection(STORE_CONNECTION_ID))

    def write() -> None:
        from cogent_ops.store import open_store

        store = open_store(url, create=True)
        with store.begin() as conn:
            store.exceptions.raise_(conn, link, raised, str(raised.payload["run_id"]))

    await asyncio.to_thread(write)


async def find_connection(conn_id: str) -> Connection | None:
    """The connection, read without blocking the triggerer; ``None`` when there is none."""
    try:
        found: Connection | None = await Connection.async_get(conn_id)
    except AirflowNotFoundException:
        return None
    return found
