"""Random histories of what must happen exactly once: how many, the faults they meet, two workers at once, and deaths.

``COGENT_OPS_HISTORIES=5000 pytest <file>`` tries many more of them, at random, than a test run does.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from tests.support.processes import started

from cogent_ops.clients.transport import close_sessions
from cogent_ops.errors import RetryableError
from cogent_ops.sandbox.faults import FaultPlan, Rule
from cogent_ops.store import Store

Argument = TypeVar("Argument")
WANTED = os.environ.get("COGENT_OPS_HISTORIES")


def histories(number: int) -> settings:
    """So many in a test run, always the same."""
    return settings(
        max_examples=int(WANTED or number),
        derandomize=WANTED is None,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def plans(
    *, rates: Sequence[float], anything: Sequence[str], writes: Sequence[str], updates: Sequence[str]
) -> st.SearchStrategy[FaultPlan]:
    """Up to three of: errors and lost connections before and after the deed, slowness, conflicts, throttling.

    :param anything: patterns of operations of which any may fail.
    :param writes: those that may time out.
    :param updates: those that send a version.
    """
    rate, when, delay = st.sampled_from(rates), st.sampled_from(["before", "after"]), st.just(0.01)
    failing = {"operation": st.sampled_from(anything), "rate": rate}
    rules = st.one_of(
        st.builds(Rule, kind=st.just("error"), status=st.sampled_from([500, 502, 503]), when=when, **failing),
        st.builds(Rule, kind=st.just("reset"), when=when, **failing),
        st.builds(Rule, kind=st.just("slow"), delay=delay, **failing),
        st.builds(
            Rule,
            kind=st.just("timeout"),
            operation=st.sampled_from(writes),
            when=when,
            rate=rate,
            delay=delay,
        ),
        st.builds(Rule, kind=st.just("conflict"), operation=st.sampled_from(updates), rate=rate),
        st.builds(
            Rule,
            kind=st.just("throttle"),
            api=st.just("commercetools"),
            rate=st.just(0.1),
            retry_after=st.just(0),
        ),
    )
    return st.builds(FaultPlan, seed=st.integers(0, 1000), rules=st.lists(rules, max_size=3).map(tuple))


def two_at_once(rounds: Sequence[Callable[[], object]], let_leases_end: Callable[[], object]) -> None:
    """Two workers do their round twice, at once; the second believes that the leases of the first have ended."""

    def work(number: int) -> None:
        for _ in range(2):
            if number:
                let_leases_end()
            with suppress(RetryableError):
                rounds[number]()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(2)))


def kill_at_random(
    work: Callable[[Argument], None],
    argument: Argument,
    store: Store,
    chance: random.Random,
    meanwhile: Callable[[int], None],
    let_leases_end: Callable[[], object],
) -> None:
    """Two processes work for ever; ten times one of them is killed, and another takes its place.

    :param store: what they work on; a forked process must not inherit connections that are in use.
    :param meanwhile: what happens before each death, given its number.
    """
    store.close()
    close_sessions()
    workers = [started(work, argument) for _ in range(2)]
    try:
        for number in range(10):
            meanwhile(number)
            time.sleep(chance.uniform(0.02, 0.15))
            victim = chance.randrange(2)
            workers[victim].kill()
            workers[victim].join()
            assert workers[victim].exitcode == -9
            # A lease is longer than a request can be under way.
            time.sleep(0.1)
            let_leases_end()
            store.close()
            close_sessions()
            workers[victim] = started(work, argument)
    finally:
        for worker in workers:
            worker.kill()
            worker.join()
