"""Token buckets, and whom a request counts against."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogent_ops.clients.transport import Unlimited
from cogent_ops.domain.priorities import Priority
from cogent_ops.services.throttle import ChargedBudget, Throttle, client_of


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_then_the_rate_and_the_wait_is_true() -> None:
    clock = Clock()
    throttle = Throttle(2.0, 3.0, clock=clock)
    assert [throttle.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert throttle.take("b") == 0
    clock.now += 0.49
    assert throttle.take("a") == pytest.approx(0.01)
    clock.now += 0.01
    assert throttle.take("a") == 0
    clock.now += 1000
    assert [throttle.take("a") > 0 for _ in range(4)] == [False, False, False, True]


@given(st.floats(0.1, 50), st.floats(1, 50), st.lists(st.floats(0, 5), max_size=60))
def test_never_more_than_the_burst_and_what_flows_in(rate: float, burst: float, pauses: list[float]) -> None:
    clock = Clock()
    throttle = Throttle(rate, burst, clock=clock)
    passed = 0
    for pause in pauses:
        clock.now += pause
        passed += throttle.take("a") == 0
    assert passed <= burst + rate * sum(pauses) + 1e-6


def test_it_holds_no_more_clients_than_it_may() -> None:
    throttle = Throttle(0.001, 2, keys=10)
    for number in range(1000):
        throttle.take(f"198.51.100.{number}")
        throttle.take("loyal")
    assert len(throttle) == 10
    assert throttle.take("loyal") > 0


def test_what_is_used_of_a_budget_is_waited_for_before_the_next_use() -> None:
    clock = Clock()
    share = Throttle(0.5, 2, clock=clock)
    budget = ChargedBudget(Unlimited(), share)
    assert share.wait() == 0
    for _ in range(3):  # of three that began together, none is held up
        budget.acquire(priority=Priority.LIVE, timeout=0)
    assert share.wait() == pytest.approx(4)
    clock.now += 4
    assert share.wait() == 0


PROXIES = ("10.0.0.0/8", "fd00::/8", "192.0.2.7")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # anybody can write the header
        ("10.1.2.3", ["198.51.100.1"], "198.51.100.1"),
        ("10.1.2.3", ["198.51.100.66, 198.51.100.1, 192.0.2.7"], "198.51.100.1"),
        ("10.1.2.3", ["198.51.100.66", "198.51.100.1"], "198.51.100.1"),  # two headers
        ("10.1.2.3", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.1.2.3", ["unknown"], "10.1.2.3"),
        ("10.1.2.3", ["198.51.100.1, rubbish"], "10.1.2.3"),
        ("10.1.2.3", [], "10.1.2.3"),
        ("10.1.2.3", ["10.1.2.4, 10.1.2.5"], "10.1.2.4"),
        ("fd00::1", ["[2001:db8:1:2:3::4]:443"], "2001:db8:1:2::/64"),
        ("2001:db8:1:2:aaaa::1", [], "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.9", [], "203.0.113.9"),
        (None, ["198.51.100.1"], "unknown"),
        ("testclient", ["198.51.100.1"], "testclient"),
    ],
)
def test_the_client_is_the_last_address_that_no_trusted_proxy_stands_for(
    peer: str | None, forwarded: list[str], client: str
) -> None:
    assert client_of(peer, forwarded, PROXIES) == client


@given(st.none() | st.text(), st.lists(st.text()))
def test_whatever_is_sent_counts_against_somebody(peer: str | None, forwarded: list[str]) -> None:
    assert client_of(peer, forwarded, PROXIES)
