"""Signs of life of flows: that a run keeps going, so that nobody wakes another beside it, and when each looked last."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Self

from cogent_ops.store import Store

#: Without a sign of life for so long, no run is at work.
ALIVE_SECONDS = 5.0
BEAT_SECONDS = 1.0
#: That a flow has looked is noted so often at most.
LOOK_SECONDS = 5.0

#: Watermarks that say when somebody looked last, right through to the end: at Cloudshelf's orders, whoever did; at
#: whether ``stock_deltas`` has anything to do, and it had not; at commercetools' inventory; at the shop's orders.
POLLED = "kiosk_orders_polled"
WATCHED = "stock_deltas_watched"
COLLECTED = "availability_collected"
SHOP_LOOKED = "kiosk_orders_shop_looked"


class Note:
    """A watermark that says when something happened last. It is written once in a while at most.

    :param flow: the watermark.
    :param seconds: pause between two times that it is written.
    """

    def __init__(self, store: Store, link: str, flow: str, seconds: float = LOOK_SECONDS) -> None:
        self.store, self.link, self.flow, self.seconds = store, link, flow, seconds
        self._at = float("-inf")

    def __call__(self, moment: datetime) -> None:
        """It happened; note that, unless that was done lately."""
        if time.monotonic() - self._at >= self.seconds:
            self._at = time.monotonic()
            self.set(moment)

    def set(self, moment: datetime) -> None:
        """Note it in any case."""
        with self.store.begin() as conn:
            self.store.watermarks.set(conn, self.link, self.flow, moment)


class Beat:
    """Notes that a run is alive, at most once in a while, and at the end of the ``with`` that it has ended.

    :param flow: the watermark that says when a run of the flow was alive last.
    """

    def __init__(self, store: Store, link: str, flow: str, clock: Callable[[], datetime]) -> None:
        self.clock = clock
        self._note = Note(store, link, flow, BEAT_SECONDS)

    def __call__(self) -> None:
        """Note it, unless that was done lately."""
        self._note(self.clock())

    def __enter__(self) -> Self:
        """The run begins."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Say that the run has ended, so that new work wakes the next one at once."""
        self._note.set(self.clock() - timedelta(seconds=ALIVE_SECONDS))


def is_alive(store: Store, link: str, flow: str, now: datetime) -> bool:
    """Whether a run of the flow has shown itself lately."""
    seen = store.watermarks.get(link, flow)
    return seen is not None and now - seen < timedelta(seconds=ALIVE_SECONDS)
