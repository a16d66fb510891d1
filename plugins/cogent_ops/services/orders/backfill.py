"""A window of the past once more: what was missed in it is read and captured, and nothing else changes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from cogent_ops.services.orders.capture import CaptureCounts, OrderCapture
from cogent_ops.services.orders.judgement import BEFORE_START
from cogent_ops.services.stock.orders import OrderPoll
from cogent_ops.store import Store

log = logging.getLogger(__name__)

WANTED_BY_BACKFILL = "wanted by a backfill"


@dataclass
class OrderBackfill:
    """Captures what a link missed in a window of time."""

    link: str
    store: Store
    poll: OrderPoll
    capture: OrderCapture
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def run(self, start: datetime, end: datetime) -> dict[str, int]:
        """Capture the orders that Cloudshelf changed last at or after ``start`` and before ``end``.

        Somebody has named the window, so orders that were sold before the link's start count, too.

        :return: how many were read, missed, captured, changed, and asked about; ``orders_there_already``: those placed
            in the window that commercetools had before, whenever they changed last.
        :raises RetryableError: when an API or the store is out of reach; what was done is done.
        :raises PermanentError: when a person must act before anything can be sent.
        """
        captures = self.store.captures
        known = captures.captured_between(self.link, start, end)
        polled = self.poll.read_between(start, end, self.clock())
        ids = captures.changed_between(self.link, start, end)
        with self.store.begin() as conn:
            captures.reopen(conn, self.link, ids, BEFORE_START, WANTED_BY_BACKFILL)
        total, counts = CaptureCounts(), self.capture.round(ids)
        while counts != CaptureCounts():
            total += counts
            counts = self.capture.round(ids)
        done = {
            "orders_read": polled.read,
            "orders_missed": polled.changed,
            "orders_captured": total.imported + total.found,
            "orders_changed": total.changed,
            "orders_there_already": known,
            "orders_review": total.review,
            "orders_waiting": total.waiting,
        }
        log.info(
            "kiosk orders of link %s changed from %s to %s: %s",
            self.link,
            start,
            end,
            ", ".join(
                f"{number} {name.removeprefix('orders_').replace('_', ' ')}" for name, number in done.items()
            ),
        )
        return done
