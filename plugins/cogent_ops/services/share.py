"""A part of a rate budget that more urgent flows cannot take away."""

from __future__ import annotations

import time
from collections.abc import Callable

from cogent_ops.clients.transport import RateBudget
from cogent_ops.domain.priorities import Priority
from cogent_ops.errors import BudgetExhausted
from cogent_ops.services.throttle import Throttle

#: What rounding leaves of a token is waited for, too: without a pause the same moment would be asked again and again.
LEAST_PAUSE_SECONDS = 0.001


class GuaranteedShare:
    """A rate budget in which a small part of the requests go at a higher priority.

    A flow that is busy for minutes keeps the bucket at its own reserve, and whoever stands below it gets nothing.
    At a launch that would be the kiosks: for as long as movements wait they would show what is sold out.

    :param share: paces the requests that may go at the higher priority; all others wait their turn as ever.
    :param lifted: the higher priority.
    """

    def __init__(
        self,
        budget: RateBudget,
        share: Throttle,
        lifted: Priority,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._budget, self._share, self._lifted = budget, share, lifted
        self._clock, self._sleep = clock, sleep

    def acquire(self, tokens: int = 1, *, priority: Priority, timeout: float) -> None:
        """Wait for the budget, at the higher priority as soon as the share allows it.

        :raises BudgetExhausted: when that takes longer than ``timeout`` seconds.
        """
        deadline = self._clock() + timeout
        while True:
            until_lifted, left = self._share.take(), max(0.0, deadline - self._clock())
            if not until_lifted:
                return self._budget.acquire(tokens, priority=self._lifted, timeout=left)
            asked = self._clock()
            try:
                return self._budget.acquire(tokens, priority=priority, timeout=min(left, until_lifted))
            except BudgetExhausted:
                # It gives up at once when waiting so long cannot help; the share's token is due later.
                remaining = until_lifted - (self._clock() - asked)
                if remaining >= deadline - self._clock():
                    raise
                self._sleep(max(LEAST_PAUSE_SECONDS, remaining))

    def throttled(self, retry_after: float | None) -> None:
        """The target asked everybody to wait."""
        self._budget.throttled(retry_after)

    def succeeded(self) -> None:
        """The target answered."""
        self._budget.succeeded()
