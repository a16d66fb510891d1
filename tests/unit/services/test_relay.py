"""Steps side by side: they hand work on, outlive each other's troubles, and end when it is quiet."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest

from cogent_ops.errors import PermanentError, RetryableError
from cogent_ops.services.relay import Relay, Step

FOREVER = 30.0
NEVER = 3600.0


def relay(*steps: Step, poll: float = NEVER, linger: float = 0.05, longest: float = FOREVER) -> Relay:
    return Relay(steps, poll, linger, longest)


def scripted(*results: int | Exception) -> Callable[[], int]:
    """Does in turn what the script says, then nothing."""
    left = list(results)

    def run() -> int:
        result = left.pop(0) if left else 0
        if isinstance(result, Exception):
            raise result
        return result

    return run


def test_it_goes_on_while_there_is_work_and_ends_when_it_is_quiet() -> None:
    assert relay(Step("a", scripted(3, 4, 5))).run() == {"a": 12}


def test_what_one_step_finds_wakes_the_others_before_their_pause_is_over() -> None:
    inbox: list[int] = []
    has_looked = threading.Event()
    polls = iter([1, 1])

    def poll() -> int:
        has_looked.wait(FOREVER)
        found = next(polls, 0)
        inbox.extend([found] * found)
        return found

    def drain() -> int:
        has_looked.set()
        count = len(inbox)
        inbox.clear()
        return count

    assert relay(Step("poll", poll), Step("drain", drain), linger=0.5).run() == {"poll": 2, "drain": 2}


def test_a_step_that_costs_others_rests_between_its_turns_and_still_ends_at_once() -> None:
    costly, free = Step("costly", lambda: 1, rest_seconds=NEVER), Step("free", lambda: 1)
    done = relay(costly, free, longest=1.0).run()
    assert done["costly"] == 1
    assert done["free"] > 1


def test_a_step_in_trouble_does_not_stop_the_others_and_is_tried_again() -> None:
    down = RetryableError("down", retry_after=0.01)
    done = relay(Step("poll", scripted(down, down, 2)), Step("drain", scripted(1)), linger=0.5).run()
    assert done == {"poll": 2, "drain": 1}


def test_trouble_that_lasts_until_the_end_is_raised_with_its_delay() -> None:
    def down() -> int:
        raise RetryableError("down", retry_after=0.01)

    with pytest.raises(RetryableError, match="down") as raised:
        relay(Step("poll", down), Step("drain", scripted(1)), longest=1.0).run()
    assert raised.value.retry_after == pytest.approx(0.01)


@pytest.mark.parametrize("error", [PermanentError("a person must act"), ValueError("a bug")])
def test_what_a_person_must_mend_ends_its_step_alone_and_is_raised_at_the_end(error: Exception) -> None:
    drained: list[int] = []

    def drain() -> int:
        drained.append(1)
        return int(len(drained) < 3)

    with pytest.raises(type(error), match=str(error)):
        relay(Step("poll", scripted(error)), Step("drain", drain), poll=0.01).run()
    assert len(drained) >= 3


@pytest.mark.parametrize("first", ["a", "b"])
def test_what_a_person_must_mend_is_raised_before_what_may_pass(first: str) -> None:
    def down() -> int:
        raise RetryableError("later", retry_after=0.05)

    steps = [Step("a", down), Step("b", scripted(PermanentError("mend me")))]
    with pytest.raises(PermanentError, match="mend me"):
        relay(*(steps if first == "a" else steps[::-1]), longest=1.0).run()


def test_it_ends_in_time_although_there_is_always_work() -> None:
    assert relay(Step("a", lambda: 1), longest=1.0).run()["a"] > 0


def test_it_shows_that_it_is_alive() -> None:
    beats: list[int] = []
    Relay([Step("a", scripted(1))], 0.01, 0.05, FOREVER, lambda: beats.append(1)).run()
    assert beats


def test_an_interrupted_run_stops_its_steps() -> None:
    def beat() -> None:
        raise KeyboardInterrupt

    running: Sequence[threading.Thread] = threading.enumerate()
    with pytest.raises(KeyboardInterrupt):
        Relay([Step("a", lambda: 1)], 0.01, 0.05, FOREVER, beat).run()
    assert set(threading.enumerate()) <= set(running)
