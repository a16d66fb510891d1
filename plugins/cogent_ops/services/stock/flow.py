"""One run of ``stock_deltas``: orders are polled and the inbox is drained, side by side, until it is quiet."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cogent_ops.clients.cloudshelf import CloudshelfClient
from cogent_ops.config import LinkConfig
from cogent_ops.services.beat import WATCHED, Beat, Note, is_alive
from cogent_ops.services.counts import Tally
from cogent_ops.services.relay import Relay, Step
from cogent_ops.services.stock.drain import DrainCounts, StockDrain
from cogent_ops.services.stock.orders import OrderPoll, PollCounts
from cogent_ops.store import Store

log = logging.getLogger(__name__)

#: Watermark that says when a run of the flow was alive last.
ALIVE = "stock_deltas_alive"
#: Pause between two looks at movements whose identifiers were not known.
RECHECK_SECONDS = 60.0
#: Pause between two looks of the watch into the file drop.
FILES_SECONDS = 10.0


@dataclass
class StockFlow:
    """Keeps a link's stock in step for as long as there is work.

    :param sources: further steps that fill the inbox, such as a file drop.
    """

    config: LinkConfig
    store: Store
    poll: OrderPoll
    drain: StockDrain
    sources: Sequence[Step] = ()
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def run(self) -> dict[str, int]:
        """Run until it is quiet; what was done, in numbers.

        :raises RetryableError: when an API or the store stayed out of reach until the end; nothing is lost.
        :raises PermanentError: when a person must act; what could go on went on until the end.
        """
        rules = self.config.movements
        polled, drained = Tally(PollCounts()), Tally(DrainCounts())
        rechecked_at = float("-inf")

        def poll() -> int:
            counts = polled.add(self.poll.run(self.clock()))
            return counts.changed + counts.movements + counts.released

        def drain() -> int:
            nonlocal rechecked_at
            released = 0
            if time.monotonic() - rechecked_at > RECHECK_SECONDS:
                released = self.drain.recheck()
                rechecked_at = time.monotonic()
            counts = drained.add(self.drain.round())
            return released + counts.applied + counts.parked + counts.reviewed

        # At a peak every poll finds something; without a rest, polling would take the whole of Cloudshelf's rate.
        steps = (Step("orders", poll, rules.poll_seconds), *self.sources, Step("drain", drain))
        with Beat(self.store, self.config.name, ALIVE, self.clock) as beat:
            Relay(steps, rules.poll_seconds, rules.linger_seconds, rules.longest_run_seconds, beat).run()
        return {
            "orders_read": polled.total.read,
            "orders_changed": polled.total.changed,
            "movements_added": polled.total.movements,
            "entries_changed": drained.total.applied,
            "movements_applied": drained.total.movements,
            "parked": drained.total.parked,
            "in_review": drained.total.reviewed + polled.total.review,
        }


class StockWatch:
    """Whether ``stock_deltas`` should be woken: cheap enough to ask every second. Keep one as long as you watch.

    It may miss something, such as a change behind an order that is dated in the future; the clock is there for that.

    :param project: the commercetools project as its rate budget names it.
    :param files: whether a file lies in the drop; asked less often, because a listing may cost money.
    """

    def __init__(
        self,
        link: str,
        store: Store,
        client: CloudshelfClient,
        project: str,
        *,
        files: Callable[[], bool] = lambda: False,
    ) -> None:
        self.link, self.store, self.client, self.project = link, store, client, project
        self._files, self._files_at = files, float("-inf")
        self._woken_for: datetime | None = None
        self._watched = Note(store, link, WATCHED)

    def has_work(self, now: datetime) -> bool:
        """Whether a run would find something, and none is at work.

        :raises RetryableError: when Cloudshelf, the file drop or the store is out of reach.
        """
        if self.is_alive(now):
            return False
        if self.store.stock.has_waiting(self.project):
            return True
        newest, read = self.client.newest_order_change(), self.store.stock.newest_order(self.link)
        is_read = newest is None or (read is not None and newest <= read)
        if self._is_new(newest, is_read) or self._has_file():
            return True
        if is_read:
            self._watched(now)
        return False

    def is_alive(self, now: datetime) -> bool:
        """Whether a run of the flow has shown itself lately."""
        return is_alive(self.store, self.link, ALIVE, now)

    def _is_new(self, newest: datetime | None, is_read: bool) -> bool:
        """Whether an order changed after all that were read. One that cannot be read wakes once, not for ever."""
        if is_read or newest == self._woken_for:
            return False
        self._woken_for = newest
        return True

    def _has_file(self) -> bool:
        if time.monotonic() - self._files_at < FILES_SECONDS:
            return False
        self._files_at = time.monotonic()
        return self._files()
