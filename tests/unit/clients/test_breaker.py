"""The circuit breaker: parks after failures in a row, lets one trial through, and never serialises requests."""

from __future__ import annotations

import threading
import time

import pytest

from cogent_ops.clients.breaker import Breaker
from cogent_ops.errors import CircuitOpen

SECONDS = 1.0


def opened(failures: int = 3) -> Breaker:
    breaker = Breaker("shop", failures, SECONDS)
    for _ in range(failures):
        breaker.check()
        breaker.record(failed=True)
    return breaker


def test_opens_after_failures_in_a_row_and_says_how_long() -> None:
    with pytest.raises(CircuitOpen, match="shop") as caught:
        opened().check()
    assert caught.value.retry_after is not None
    assert 0 < caught.value.retry_after <= SECONDS


def test_a_success_between_starts_the_count_again() -> None:
    breaker = Breaker("shop", 3, SECONDS)
    for failed in (True, True, False, True, True):
        breaker.record(failed=failed)
    breaker.check()


def test_lets_one_trial_through_and_closes_when_it_succeeds() -> None:
    breaker = opened()
    time.sleep(SECONDS * 1.1)
    breaker.check()
    with pytest.raises(CircuitOpen):
        breaker.check()
    breaker.record(failed=False)
    for _ in range(5):
        breaker.check()


def test_opens_again_when_the_trial_fails() -> None:
    breaker = opened()
    time.sleep(SECONDS * 1.1)
    breaker.check()
    breaker.record(failed=True)
    with pytest.raises(CircuitOpen):
        breaker.check()


def test_a_trial_of_which_nothing_is_heard_does_not_park_for_ever() -> None:
    breaker = opened()
    time.sleep(SECONDS * 1.1)
    breaker.check()
    time.sleep(SECONDS * 1.1)
    breaker.check()


def test_stragglers_do_not_close_an_open_circuit() -> None:
    breaker = opened()
    breaker.record(failed=False)
    with pytest.raises(CircuitOpen):
        breaker.check()


def test_only_one_of_many_threads_gets_the_trial() -> None:
    breaker = opened()
    time.sleep(SECONDS * 1.1)
    start, passed = threading.Barrier(8, timeout=5), []

    def knock() -> None:
        start.wait()
        try:
            breaker.check()
        except CircuitOpen:
            return
        passed.append(1)

    threads = [threading.Thread(target=knock) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(passed) == 1
