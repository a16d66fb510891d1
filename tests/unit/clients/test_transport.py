"""Pauses, Retry-After, and what a process keeps."""

from __future__ import annotations

import os

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.processes import alone

from cogent_ops.clients.transport import Tuning, close_sessions, correlation_id, per_process, retry_after


def answer(**headers: str) -> httpx.Response:
    return httpx.Response(429, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": " 0.5 "}, 0.5),
        ({"retry_after": "0"}, 0.0),
        (
            {"retry_after": "Fri, 20 Nov 2026 10:00:30 GMT", "date": "Fri, 20 Nov 2026 10:00:00 GMT"},
            30.0,
        ),
        (
            {"retry_after": "Fri, 20 Nov 2026 09:00:00 GMT", "date": "Fri, 20 Nov 2026 10:00:00 GMT"},
            0.0,
        ),
        ({"retry_after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "-3"}, None),
        ({"retry_after": "1e999"}, None),
        ({"retry_after": "5 minutes"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(answer(**headers)) == seconds


def test_correlation_id_is_whichever_the_target_sends() -> None:
    assert correlation_id(answer(x_request_id="r")) == "r"
    assert correlation_id(answer(x_correlation_id="c", x_request_id="r")) == "c"
    assert correlation_id(answer()) is None


@given(attempt=st.integers(1, 10_000))
def test_backoff_stays_below_its_bound(attempt: int) -> None:
    tuning = Tuning(backoff_seconds=0.5, longest_backoff_seconds=20)
    assert 0 <= tuning.backoff(attempt) <= min(20, 0.5 * 2 ** min(attempt - 1, 10))


def test_backoff_is_spread_over_the_whole_range() -> None:
    pauses = [Tuning().backoff(4) for _ in range(400)]
    assert min(pauses) < 0.4
    assert max(pauses) > 3.6


def test_a_fork_shares_nothing_with_its_parent() -> None:
    kept = per_process("thing", lambda: [os.getpid()])
    assert per_process("thing", lambda: [0]) is kept
    assert alone(lambda: per_process("thing", lambda: [os.getpid()])) != kept
    close_sessions()
    assert per_process("thing", lambda: [1]) == [1]
    close_sessions()
