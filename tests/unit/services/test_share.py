"""A guaranteed share: a busy flow above cannot keep everything, and the share is all that is lifted."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from cogent_ops.domain.priorities import Priority
from cogent_ops.errors import BudgetExhausted
from cogent_ops.services.share import GuaranteedShare
from cogent_ops.services.throttle import Throttle


@dataclass
class Time:
    now: float = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Busy:
    """A budget of which higher priorities leave nothing."""

    granted: list[Priority] = field(default_factory=list)
    told: list[object] = field(default_factory=list)

    def acquire(self, tokens: int = 1, *, priority: Priority, timeout: float) -> None:
        if priority > Priority.STOCK:
            raise BudgetExhausted("nothing left", retry_after=1.0)
        self.granted.append(priority)

    def throttled(self, retry_after: float | None) -> None:
        self.told.append(retry_after)

    def succeeded(self) -> None:
        self.told.append("fine")


class Idle(Busy):
    """A budget that has enough for everybody."""

    def acquire(self, tokens: int = 1, *, priority: Priority, timeout: float) -> None:
        self.granted.append(priority)


def share_of(budget: Busy, time: Time, rate: float) -> GuaranteedShare:
    throttle = Throttle(rate, 1.0, clock=lambda: time.now)
    return GuaranteedShare(budget, throttle, Priority.STOCK, clock=lambda: time.now, sleep=time.sleep)


def test_a_busy_flow_above_leaves_the_share_and_nothing_more() -> None:
    time, budget = Time(), Busy()
    share = share_of(budget, time, rate=5.0)
    for _ in range(50):
        share.acquire(priority=Priority.AVAILABILITY, timeout=60.0)
    assert budget.granted == [Priority.STOCK] * 50
    assert time.now == pytest.approx(49 / 5.0, abs=0.1)


def test_what_goes_beyond_the_share_waits_its_own_turn() -> None:
    time, budget = Time(), Idle()
    share = share_of(budget, time, rate=1.0)
    for _ in range(10):
        share.acquire(priority=Priority.AVAILABILITY, timeout=60.0)
    assert budget.granted == [Priority.STOCK, *[Priority.AVAILABILITY] * 9]
    assert time.now == 0.0


def test_it_gives_up_when_the_share_comes_too_late() -> None:
    time, budget = Time(), Busy()
    share = share_of(budget, time, rate=0.1)
    share.acquire(priority=Priority.AVAILABILITY, timeout=1.0)
    with pytest.raises(BudgetExhausted):
        share.acquire(priority=Priority.AVAILABILITY, timeout=1.0)
    assert len(budget.granted) == 1


def test_what_the_target_says_is_passed_on() -> None:
    budget = Busy()
    share = share_of(budget, Time(), rate=1.0)
    share.throttled(3.0)
    share.succeeded()
    assert budget.told == [3.0, "fine"]
