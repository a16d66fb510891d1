"""The rate budget that processes share: bounds, pauses, priorities, recovery."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL
from tests.support.processes import alone, together

from cogent_ops.domain.priorities import Priority
from cogent_ops.errors import BudgetExhausted, StoreUnavailable
from cogent_ops.store import SharedBudget, Store
from cogent_ops.store.bucket import (
    LONGEST_PAUSE_SECONDS,
    LONGEST_STEP_SECONDS,
    RECOVERY_SECONDS,
    SLICE_SECONDS,
    Bucket,
)
from cogent_ops.store.engine import Database, database
from cogent_ops.store.schema import rate_budget

ORDERS, STOCK, CATALOGUE = Priority.ORDERS, Priority.STOCK, Priority.CATALOGUE
#: What may differ between the store's clock and the one that measures.
CLOCKS = 0.05


@pytest.fixture
def target() -> str:
    """A name that no other test uses: a process remembers its leases, also of a store that it closed."""
    return f"commercetools/{uuid4()}"


@dataclass(frozen=True)
class Sent:
    """A request: it was asked for at ``asked`` and could be sent at ``sent``, by the machine's one clock."""

    asked: float
    sent: float


# Between processes.


def test_processes_together_stay_within_rate_and_burst(store: Store, target: str) -> None:
    rate, burst, each = 60.0, 15.0, 45
    begun = time.monotonic()

    def send(number: int) -> list[Sent]:
        budget = store.budget(target, rate, burst)
        return [_send(budget, Priority(number % 3), timeout=30) for _ in range(each)]

    sent = sorted(request.sent for requests in together(send, 4) for request in requests)
    assert len(sent) == 4 * each
    assert len(sent) <= burst + rate * (sent[-1] - begun + CLOCKS)
    for first, begin in enumerate(sent):
        for last in range(first, len(sent)):
            # What others had leased before ``begin`` may still be sent after it.
            stretch = sent[last] - begin + SLICE_SECONDS + CLOCKS
            assert last - first + 1 <= burst + rate * stretch


def test_a_refusal_stops_every_process(store: Store, target: str) -> None:
    pause = 1.2

    def work(number: int) -> tuple[list[Sent], tuple[float, float]]:
        budget = store.budget(target, 100, 20)
        sent = [_send(budget, STOCK, timeout=30) for _ in range(5)]
        refused = time.monotonic()
        if number == 0:
            budget.throttled(pause)
        told = time.monotonic()
        return sent + [_send(budget, STOCK, timeout=30) for _ in range(25)], (refused, told)

    results = together(work, 3)
    refused, told = results[0][1]
    for number, (requests, _) in enumerate(results):
        assert len(requests) == 30
        quiet_from = refused if number == 0 else told + SLICE_SECONDS
        broken = [r for r in requests if quiet_from < r.asked and r.sent < refused + pause - CLOCKS]
        assert broken == []
    assert min(request.sent for request in results[0][0][5:]) >= refused + pause - CLOCKS


def test_refusals_of_many_processes_are_one_event(store: Store, target: str, store_url: URL) -> None:
    together(lambda _: store.budget(target, 100, 20).throttled(5), 4)
    bucket = _bucket(store_url, target)
    assert bucket.factor == 0.5
    assert bucket.blocked_until - bucket.cut_at >= 5


def test_a_new_target_starts_full_for_all_of_them_together(store: Store, target: str) -> None:
    burst, rate = 12.0, 0.001

    def drain(_: int) -> int:
        return _drain(store.budget(target, rate, burst), ORDERS)

    assert sum(together(drain, 4)) == burst


def test_a_fork_gets_none_of_the_leased_tokens(store: Store, target: str) -> None:
    rate, burst, begun = 40.0, 10.0, time.monotonic()
    budget = store.budget(target, rate, burst)
    budget.acquire(priority=ORDERS, timeout=1)  # leases all ten and keeps nine
    taken = alone(lambda: _drain(budget, ORDERS))
    assert taken <= rate * (time.monotonic() - begun + CLOCKS)
    assert _drain(budget, ORDERS) + taken + 1 <= burst + rate * (time.monotonic() - begun + CLOCKS)


# Within a process.


def test_a_process_asks_the_store_once_for_a_slice(store: Store, target: str, store_url: URL) -> None:
    budget = store.budget(target, 400, 1000)
    with _transactions(database(store_url)) as counted:
        for _ in range(100):
            budget.acquire(priority=CATALOGUE, timeout=5)
    assert 1 <= len(counted) <= 5, "a slow machine may need some more than one"


def test_threads_share_what_their_process_leased(store: Store, target: str) -> None:
    rate, burst, begun = 200.0, 20.0, time.monotonic()
    budget = store.budget(target, rate, burst)
    sent: list[float] = []

    def work() -> None:
        for _ in range(20):
            budget.acquire(priority=CATALOGUE, timeout=30)
            sent.append(time.monotonic())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(sent) == 160
    assert len(sent) <= burst + rate * (max(sent) - begun + CLOCKS)


def test_what_is_not_used_in_time_flows_back(store: Store, target: str, store_url: URL) -> None:
    rate, burst = 8.0, 100.0  # a slice is two tokens
    budget = store.budget(target, rate, burst)
    budget.acquire(priority=ORDERS, timeout=1)
    _change(store_url, tokens=50.0)
    before = _bucket(store_url, target)
    time.sleep(SLICE_SECONDS + 0.05)
    budget.acquire(priority=ORDERS, timeout=1)
    after = _bucket(store_url, target)
    flowed = rate * (after.refilled_at - before.refilled_at)
    assert after.tokens == pytest.approx(before.tokens + flowed + 1 - 2)


def test_lower_priorities_leave_a_reserve_to_higher_ones(store: Store, target: str) -> None:
    budget = store.budget(target, 0.001, 20)
    assert [_drain(budget, priority) for priority in (CATALOGUE, STOCK, ORDERS)] == [12, 4, 4]


def test_orders_may_use_what_was_leased_for_the_catalogue(store: Store, target: str, store_url: URL) -> None:
    budget = store.budget(target, 80, 50)
    budget.acquire(priority=CATALOGUE, timeout=1)
    with _transactions(database(store_url)) as counted:
        budget.acquire(priority=ORDERS, timeout=1)
    assert len(counted) <= 1, "none, unless the slice ran out meanwhile"


def test_targets_have_budgets_of_their_own(store: Store, target: str) -> None:
    assert _drain(store.budget(target, 0.001, 3), ORDERS) == 3
    assert _drain(store.budget("cloudshelf/shop", 0.001, 2), ORDERS) == 2
    assert store.budget(target, 0.001, 3) is store.budget(target, 0.001, 3)


# Waiting and giving up.


def test_who_cannot_be_served_in_time_learns_when(store: Store, target: str) -> None:
    budget = store.budget(target, 2, 3)
    budget.acquire(3, priority=ORDERS, timeout=0)
    with pytest.raises(BudgetExhausted, match=f"rate budget of {target}") as caught:
        budget.acquire(2, priority=ORDERS, timeout=0.1)
    wait = caught.value.retry_after
    assert wait is not None
    assert 0.1 < wait <= 2 / 2
    time.sleep(wait)
    budget.acquire(2, priority=ORDERS, timeout=0.5)


def test_a_refused_wish_does_not_stand_in_the_way_of_a_smaller(store: Store, target: str) -> None:
    budget = store.budget(target, 4, 20)
    budget.acquire(20, priority=ORDERS, timeout=0)
    with pytest.raises(BudgetExhausted):
        budget.acquire(20, priority=ORDERS, timeout=0)
    budget.acquire(1, priority=ORDERS, timeout=2)


def test_who_can_be_served_in_time_waits(store: Store, target: str) -> None:
    rate, begun = 5.0, time.monotonic()
    budget = store.budget(target, rate, 1)
    for _ in range(4):
        budget.acquire(priority=CATALOGUE, timeout=30)
    assert 1 + rate * (time.monotonic() - begun + CLOCKS) >= 4


def test_a_pause_is_told_to_those_who_wait(store: Store, target: str) -> None:
    budget = store.budget(target, 0.1, 1)
    budget.acquire(priority=ORDERS, timeout=1)
    caught: list[BudgetExhausted] = []

    def wait() -> None:
        try:
            budget.acquire(priority=ORDERS, timeout=40)
        except BudgetExhausted as error:
            caught.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.1)
    budget.throttled(600)
    waiting.join(20)
    assert not waiting.is_alive()
    (error,) = caught
    assert error.retry_after is not None
    assert 500 < error.retry_after <= 600


def test_a_pause_is_no_longer_than_an_hour(store: Store, target: str, store_url: URL) -> None:
    budget = store.budget(target, 10, 5)
    budget.throttled(1e9)
    with pytest.raises(BudgetExhausted) as caught:
        budget.acquire(priority=ORDERS, timeout=1)
    assert caught.value.retry_after == pytest.approx(LONGEST_PAUSE_SECONDS, rel=0.01)
    _change(store_url, blocked_until=time.time() + 1e9)  # as if the clock had been set back
    told = alone(lambda: _refusal(store.budget(target, 10, 5)))
    assert told == pytest.approx(LONGEST_PAUSE_SECONDS, rel=0.01)


@pytest.mark.parametrize(("retry_after", "pause"), [(None, 1.0), (0.0, 0.0), (-5.0, 0.0), (30.0, 30.0)])
def test_a_refusal_is_written_down(
    store: Store, target: str, store_url: URL, retry_after: float | None, pause: float
) -> None:
    store.budget(target, 10, 5).throttled(retry_after)
    bucket = _bucket(store_url, target)
    assert (bucket.tokens, bucket.factor) == (0, 0.5)
    assert bucket.blocked_until - bucket.cut_at == pytest.approx(pause)


def test_a_longer_pause_replaces_a_shorter(store: Store, target: str, store_url: URL) -> None:
    budget = store.budget(target, 10, 5)
    for pause in (5, 50, 20):
        budget.throttled(pause)
    bucket = _bucket(store_url, target)
    assert 45 < bucket.blocked_until - bucket.cut_at < 60
    assert bucket.factor == 0.5


# Recovery.


@pytest.mark.parametrize(
    ("succeeds", "least", "most"),
    [(True, 2 / RECOVERY_SECONDS, LONGEST_STEP_SECONDS / RECOVERY_SECONDS), (False, 0, 0)],
)
def test_the_rate_recovers_with_successes_only(
    store: Store, target: str, store_url: URL, succeeds: bool, least: float, most: float
) -> None:
    budget = store.budget(target, 10, 5)
    budget.throttled(0)
    if succeeds:
        budget.succeeded()
    earlier = _bucket(store_url, target).refilled_at - 2
    _change(store_url, refilled_at=earlier, blocked_until=earlier)
    budget.acquire(priority=ORDERS, timeout=5)
    assert 0.5 + least <= _bucket(store_url, target).factor <= 0.5 + most + 1e-9


# Misuse and trouble.


def test_no_request_is_sent_inside_a_transaction(store: Store, target: str) -> None:
    with store.begin(), pytest.raises(RuntimeError, match="inside a write transaction"):
        store.budget(target, 10, 5).acquire(priority=ORDERS, timeout=1)


@pytest.mark.parametrize("tokens", [0, -1, 6])
def test_more_than_the_burst_can_never_be_had(store: Store, target: str, tokens: int) -> None:
    with pytest.raises(ValueError, match="outside 1 to the burst of 5"):
        store.budget(target, 10, 5).acquire(tokens, priority=ORDERS, timeout=1)
    with pytest.raises(ValueError, match="rate > 0"):
        store.budget(target, 0, 5)


def test_a_store_that_is_away_stops_nobody_for_good(
    store: Store, target: str, store_url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = store.budget(target, 10, 5)

    def away(*_: object) -> Bucket:
        raise StoreUnavailable("away")

    monkeypatch.setattr(SharedBudget, "_locked", away)
    with pytest.raises(StoreUnavailable):
        budget.acquire(priority=ORDERS, timeout=1)
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable):
        budget.throttled(0.3)
    monkeypatch.undo()
    budget.acquire(priority=ORDERS, timeout=5)
    assert time.monotonic() - begun >= 0.3 - CLOCKS  # the pause counts in this process all the same
    assert _bucket(store_url, target).factor == 1


def _send(budget: SharedBudget, priority: Priority, timeout: float) -> Sent:
    asked = time.monotonic()
    budget.acquire(priority=priority, timeout=timeout)
    return Sent(asked, time.monotonic())


def _drain(budget: SharedBudget, priority: Priority) -> int:
    """Take what can be had without waiting."""
    for taken in range(1000):
        try:
            budget.acquire(priority=priority, timeout=0)
        except BudgetExhausted:
            return taken
    raise AssertionError("the budget has no end")


def _refusal(budget: SharedBudget) -> float | None:
    with pytest.raises(BudgetExhausted) as caught:
        budget.acquire(priority=ORDERS, timeout=1)
    return caught.value.retry_after


def _bucket(url: URL, target: str) -> Bucket:
    with database(url).read() as conn:
        row = conn.execute(sa.select(rate_budget).where(rate_budget.c.target == target)).one()
    return Bucket(**{name: value for name, value in row._mapping.items() if name != "target"})


def _change(url: URL, **values: float) -> None:
    with database(url).begin() as conn:
        conn.execute(rate_budget.update().values(values))


@contextmanager
def _transactions(opened: Database) -> Iterator[list[sa.Connection]]:
    counted: list[sa.Connection] = []
    count = counted.append
    sa.event.listen(opened.engine, "commit", count)
    yield counted
    sa.event.remove(opened.engine, "commit", count)
