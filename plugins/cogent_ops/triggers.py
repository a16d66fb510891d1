"""Triggers that wake a flow. An event is only ever a wake-up call: what there is to do stands in the inbox.

Airflow may deliver events late, out of order, coalesced or not at all (while a run is active), so they carry nothing,
and the schedule wakes the flow every minute anyway.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from cogent_ops.errors import CogentOpsError

log = logging.getLogger(__name__)

#: Pause after a look that failed.
FAILURE_SECONDS = 10.0
#: Pause after an event: the run that it wakes needs a moment to show that it is alive.
AFTER_EVENT_SECONDS = 5.0


class StockWorkTrigger(BaseEventTrigger):
    """Fires when kiosk orders or movements wait and no run of ``stock_deltas`` is at work.

    :param link: the link.
    :param seconds: pause between two looks; each costs one small query of Cloudshelf.
    """

    def __init__(self, link: str, seconds: float = 1.0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.link, self.seconds = link, seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """How the triggerer makes it again."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {"link": self.link, "seconds": self.seconds},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look, again and again; an error is logged and the looking goes on."""
        from cogent_ops.runtime import Runtime

        watch = None
        while True:
            pause = self.seconds
            try:
                if watch is None:
                    watch = await asyncio.to_thread(Runtime(self.link).stock_watch)
                if await asyncio.to_thread(watch.has_work, datetime.now(UTC)):
                    yield TriggerEvent({"link": self.link})  # type: ignore[no-untyped-call]
                    pause = AFTER_EVENT_SECONDS
            except CogentOpsError as error:
                log.warning("no look for stock work of link '%s': %s", self.link, error)
                watch, pause = None, FAILURE_SECONDS
            await asyncio.sleep(pause)
