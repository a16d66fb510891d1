"""One run of ``kiosk_order_capture``: orders are captured, told of and watched, side by side, until it is quiet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from cogent_ops.config import LinkConfig
from cogent_ops.services.beat import Beat, is_alive
from cogent_ops.services.counts import Tally
from cogent_ops.services.orders.capture import CaptureCounts, OrderCapture
from cogent_ops.services.orders.shop import ShopCounts, ShopWatch
from cogent_ops.services.orders.tell import OrderTelling, TellCounts
from cogent_ops.services.relay import Relay, Step
from cogent_ops.services.stock.flow import ALIVE as STOCK_ALIVE
from cogent_ops.services.stock.orders import OrderPoll, PollCounts
from cogent_ops.store import Store

#: Watermark that says when a run of the flow was alive last.
ALIVE = "kiosk_order_capture_alive"


@dataclass
class OrderFlow:
    """Keeps a link's kiosk orders and their commercetools orders in step for as long as there is work.

    :param poll: reads Cloudshelf's orders while the stock flow, which usually does, shows no sign of life.
    """

    config: LinkConfig
    store: Store
    poll: OrderPoll
    capture: OrderCapture
    telling: OrderTelling
    shop: ShopWatch
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def run(self) -> dict[str, int]:
        """Run until it is quiet; what was done, in numbers.

        :raises RetryableError: when an API or the store stayed out of reach until the end; nothing is lost.
        :raises PermanentError: when a person must act; what could go on went on until the end.
        """
        rules = self.config.orders
        self.poll.intake.adopt()
        polled, captured = Tally(PollCounts()), Tally(CaptureCounts())
        told, seen = Tally(TellCounts()), Tally(ShopCounts())
        steps = (
            Step("orders", lambda: polled.add(self._polled()).changed, rules.poll_seconds),
            Step("capture", lambda: captured.add(self.capture.round()).done),
            Step("tell", lambda: told.add(self.telling.round(self.clock())).told, rules.poll_seconds),
            Step("shop", lambda: seen.add(self.shop.look(self.clock())).changed),
        )
        with Beat(self.store, self.config.name, ALIVE, self.clock) as beat:
            Relay(steps, rules.poll_seconds, rules.linger_seconds, rules.longest_run_seconds, beat).run()
        return {
            "orders_read": polled.total.read,
            "orders_stored": polled.total.changed,
            **{f"orders_{name}": number for name, number in asdict(captured.total).items()},
            "orders_told": told.total.told,
            "told_refused": told.total.refused,
            "shop_orders_read": seen.total.read,
            "changed_by_shop": seen.total.changed,
        }

    def _polled(self) -> PollCounts:
        """One poll, unless the stock flow is at work."""
        if is_alive(self.store, self.config.name, STOCK_ALIVE, self.clock()):
            return PollCounts()
        return self.poll.run(self.clock())


class OrderWatch:
    """Whether ``kiosk_order_capture`` should be woken: the store is all that it looks at."""

    def __init__(self, link: str, store: Store) -> None:
        self.link, self.store = link, store

    def has_work(self, now: datetime) -> bool:
        """Whether a run would find something, and none is at work.

        :raises RetryableError: when the store is out of reach.
        """
        if is_alive(self.store, self.link, ALIVE, now):
            return False
        return self.store.captures.has_due(self.link, now) or self.store.order_news.has_news(self.link, now)
