"""Triggers that wake a flow. An event is only ever a wake-up call: what there is to do stands in the inbox.

Airflow may deliver events late, out of order, coalesced or not at all (while a run is active), so they carry nothing,
and the schedule wakes the flow every minute anyway.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from cogent_ops.errors import CogentOpsError

log = logging.getLogger(__name__)

#: Pause after a look that failed.
FAILURE_SECONDS = 10.0
#: A watch is made anew after so long: connections and files may have changed.
RENEW_SECONDS = 300.0
#: Pause after an event: the run that it wakes needs a moment to show that it is alive.
AFTER_EVENT_SECONDS = 5.0


class WatchTrigger(BaseEventTrigger):
    """Looks for work of one flow, again and again, and fires when there is some.

    :param link: the link.
    :param seconds: pause between two looks.
    """

    def __init__(self, link: str, seconds: float = 1.0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.link, self.seconds = link, seconds

    def watch(self) -> Callable[[datetime], bool]:
        """What tells, for a moment, whether a run would find something. Made and called in a thread."""
        raise NotImplementedError

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """How the triggerer makes it again."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {"link": self.link, "seconds": self.seconds},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look, again and again; an error is logged and the looking goes on."""
        has_work: Callable[[datetime], bool] | None = None
        made_at = 0.0
        while True:
            pause = self.seconds
            try:
                if has_work is None or time.monotonic() - made_at > RENEW_SECONDS:
                    has_work, made_at = await asyncio.to_thread(self.watch), time.monotonic()
                if await asyncio.to_thread(has_work, datetime.now(UTC)):
                    yield TriggerEvent({"link": self.link})  # type: ignore[no-untyped-call]
                    pause = AFTER_EVENT_SECONDS
            except CogentOpsError as error:
                log.warning(
                    "%s does not look for work of link '%s': %s", type(self).__name__, self.link, error
                )
                has_work, pause = None, FAILURE_SECONDS
            await asyncio.sleep(pause)


class StockWorkTrigger(WatchTrigger):
    """Fires when kiosk orders or movements wait and no run of ``stock_deltas`` is at work.

    Each look costs one small query of Cloudshelf.
    """

    def watch(self) -> Callable[[datetime], bool]:
        """See :class:`cogent_ops.services.stock.flow.StockWatch`."""
        from cogent_ops.runtime import Runtime

        # Impatient, for looks take place in the few threads that all triggers of a triggerer share.
        return Runtime(self.link, is_awaited=True).stock_watch().has_work


class OrderWorkTrigger(WatchTrigger):
    """Fires when the time of a kiosk order has come and no run of ``kiosk_order_capture`` is at work.

    The store is all that it looks at.
    """

    def watch(self) -> Callable[[datetime], bool]:
        """See :class:`cogent_ops.services.orders.flow.OrderWatch`."""
        from cogent_ops.runtime import Runtime

        return Runtime(self.link).order_watch().has_work


class ExceptionWatchTrigger(WatchTrigger):
    """Fires when an exception was opened, or a message has become due; the store is all that it looks at."""

    def __init__(self, link: str, seconds: float = 2.0) -> None:
        super().__init__(link, seconds)

    def watch(self) -> Callable[[datetime], bool]:
        """See :class:`cogent_ops.services.alerts.ExceptionWatch`."""
        from cogent_ops.runtime import Runtime

        return Runtime(self.link).exception_watch().has_news
