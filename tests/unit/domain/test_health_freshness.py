"""How old data is, and when somebody is called for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogent_ops.domain.health.freshness import BAD_TIMES, Arrived, Reading, Waiting, judge
from cogent_ops.domain.health.model import Flow, Freshness, State

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
TARGET = 60.0
FRESH = Reading(Flow.STOCK, TARGET, NOW - timedelta(seconds=5))


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def state(reading: Reading, before: Freshness | None = None, first: datetime | None = NOW) -> State:
    return judge(reading, NOW, before, first).freshness.state


def test_data_is_as_old_as_what_waits_longest_or_as_the_last_look() -> None:
    idle = judge(replace(FRESH, looked_at=ago(7)), NOW, None, NOW).freshness
    assert (idle.age, idle.state) == (7.0, State.GOOD)
    busy = judge(replace(FRESH, waiting=Waiting(waiting=3, oldest=ago(30))), NOW, None, NOW).freshness
    assert (busy.age, busy.oldest_waiting) == (30.0, ago(30))


@pytest.mark.parametrize(
    ("age", "expected"),
    [(TARGET, State.GOOD), (TARGET + 1, State.LATE), (TARGET * BAD_TIMES + 1, State.BAD)],
)
@pytest.mark.parametrize("is_looking", [True, False])
def test_age_alone_decides(age: float, expected: State, is_looking: bool) -> None:
    late = replace(FRESH, waiting=Waiting(waiting=1, oldest=ago(age))) if is_looking else None
    assert state(late or replace(FRESH, looked_at=ago(age))) is expected


def test_a_bad_hour_that_is_over_calls_nobody() -> None:
    verdict = judge(replace(FRESH, arrived=Arrived(100, 10, 300.0, 900.0)), NOW, None, NOW)
    assert (verdict.freshness.state, verdict.is_stalled) == (State.GOOD, False)


def test_somebody_is_called_when_it_stands_or_is_late_twice_in_a_row() -> None:
    late = replace(FRESH, looked_at=ago(TARGET + 30))
    first = judge(late, NOW, None, NOW)
    assert (first.freshness.state, first.is_stalled) == (State.LATE, False)
    assert judge(late, NOW, first.freshness, NOW).is_stalled
    assert judge(replace(FRESH, looked_at=ago(TARGET * 4)), NOW, None, NOW).is_stalled


def test_what_is_refused_makes_a_flow_late_and_calls_nobody_again() -> None:
    refused = Waiting(waiting=2, refused=2, oldest_refused=ago(90_000))
    reading = replace(FRESH, waiting=refused)
    before = judge(reading, NOW, None, NOW)
    assert before.freshness.state is State.LATE
    assert not judge(reading, NOW, before.freshness, NOW).is_stalled
    assert "refused" in before.freshness.cause
    stands = judge(replace(reading, looked_at=ago(TARGET * 4)), NOW, None, NOW)
    assert stands.is_stalled, "it may stand besides"


def test_a_flow_that_has_never_run_has_its_target_from_the_first_check_on() -> None:
    never = replace(FRESH, looked_at=None)
    assert state(never, first=None) is State.UNKNOWN
    assert state(never, first=ago(TARGET)) is State.UNKNOWN
    verdict = judge(never, NOW, None, ago(TARGET + 1))
    assert (verdict.freshness.state, verdict.freshness.age, verdict.is_stalled) == (State.BAD, None, True)
    assert "never run" in verdict.freshness.cause


def test_why_it_is_late_is_said_as_far_as_anybody_knows() -> None:
    late = replace(FRESH, looked_at=ago(600))
    assert "has not looked since 2026-11-28 11:50 UTC" in judge(late, NOW, None, NOW).freshness.cause
    told = judge(replace(late, notes=("The task fails.",)), NOW, None, NOW).freshness.cause
    assert told.startswith("The task fails.")
    waits = replace(FRESH, waiting=Waiting(waiting=1240, oldest=ago(600)))
    assert "1,240 wait, the oldest since 2026-11-28 11:50 UTC" in judge(waits, NOW, None, NOW).freshness.cause
    assert judge(FRESH, NOW, None, NOW).freshness.cause == "", "nothing is to be explained"


@pytest.mark.parametrize(
    ("waiting", "before", "lately", "drain"),
    [
        (0, None, 0, 0.0),
        (100, None, 0, None),
        (100, None, 300, 100.0),
        (100, 50, 300, None),
        (100, 400, 300, 100.0),
        (100, 0, 300, 100.0),
    ],
    ids=["nothing waits", "nothing moves", "at the pace", "it grows", "it gets less", "it has just begun"],
)
def test_how_long_a_backlog_takes(waiting: int, before: int | None, lately: int, drain: float | None) -> None:
    known = (
        None
        if before is None
        else judge(FRESH, NOW, None, NOW).freshness.model_copy(update={"waiting": before})
    )
    reading = replace(FRESH, waiting=Waiting(waiting=waiting), arrived=Arrived(lately, lately), lately=300.0)
    assert judge(reading, NOW, known, NOW).freshness.drain == drain


SECONDS = st.one_of(st.none(), st.floats(-100, 10**6, allow_nan=False))


@given(SECONDS, SECONDS, SECONDS, st.sampled_from(State), SECONDS)
def test_a_verdict_never_contradicts_itself(
    looked: float | None, oldest: float | None, refused: float | None, was: State, first: float | None
) -> None:
    moments = [None if one is None else ago(one) for one in (looked, oldest, refused, first)]
    reading = replace(
        FRESH, looked_at=moments[0], waiting=Waiting(5, 2, 1, oldest=moments[1], oldest_refused=moments[2])
    )
    before = judge(FRESH, NOW, None, NOW).freshness.model_copy(update={"state": was})
    verdict = judge(reading, NOW, before, moments[3])
    one = verdict.freshness
    assert one.age is None or one.age >= 0, "clocks that run ahead make nothing younger than now"
    if one.state is State.GOOD:
        assert one.age is not None
        assert one.age <= TARGET
        assert not verdict.is_stalled
    if verdict.is_stalled:
        assert one.state in (State.LATE, State.BAD)
        assert one.cause
    assert one.state is not State.UNKNOWN or one.looked_at is None
