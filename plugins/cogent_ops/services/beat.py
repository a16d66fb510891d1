"""Signs of life of a flow that keeps going, so that nobody wakes another run of it beside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Self

from cogent_ops.store import Store

#: Without a sign of life for so long, no run is at work.
ALIVE_SECONDS = 5.0
BEAT_SECONDS = 1.0


class Beat:
    """Notes that a run is alive, at most once in a while, and at the end of the ``with`` that it has ended.

    :param flow: the watermark that says when a run of the flow was alive last.
    """

    def __init__(self, store: Store, link: str, flow: str, clock: Callable[[], datetime]) -> None:
        self.store, self.link, self.flow, self.clock = store, link, flow, clock
        self._at = float("-inf")

    def __call__(self) -> None:
        """Note it, unless that was done lately."""
        if time.monotonic() - self._at >= BEAT_SECONDS:
            self._at = time.monotonic()
            self._note(self.clock())

    def __enter__(self) -> Self:
        """The run begins."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Say that the run has ended, so that new work wakes the next one at once."""
        self._note(self.clock() - timedelta(seconds=ALIVE_SECONDS))

    def _note(self, moment: datetime) -> None:
        with self.store.begin() as conn:
            self.store.watermarks.set(conn, self.link, self.flow, moment)


def is_alive(store: Store, link: str, flow: str, now: datetime) -> bool:
    """Whether a run of the flow has shown itself lately."""
    seen = store.watermarks.get(link, flow)
    return seen is not None and now - seen < timedelta(seconds=ALIVE_SECONDS)
