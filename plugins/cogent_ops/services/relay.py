"""Steps of a flow that hand work to one another, side by side, for as long as there is work and a little longer.

Starting a task costs Airflow a second or two; so a flow that must be fast keeps going instead of paying that for each
batch. Its steps run beside each other: while Cloudshelf does not answer, the inbox is drained all the same.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cogent_ops.errors import RetryableError

log = logging.getLogger(__name__)

#: Pause after a failure that names none, and the longest one.
FAILURE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 30.0


@dataclass(frozen=True)
class Step:
    """One step.

    :param run: does what there is to do and returns how much that was; 0: nothing.
    :param rest_seconds: pause after a turn that found something. Nobody's news cuts it short: it is for a step whose
        every turn costs requests that others need, too.
    """

    name: str
    run: Callable[[], int]
    rest_seconds: float = 0.0


@dataclass
class _State:
    """What a step is up to; guarded by the relay's condition."""

    step: Step
    done: int = 0
    is_busy: bool = True
    error: Exception | None = None


@dataclass
class Relay:
    """Runs steps until nothing has happened for a while, or the time is up. Durations are seconds.

    :param poll_seconds: pause of a step that found nothing, unless another one has found something meanwhile.
    :param linger_seconds: how long nothing must have happened.
    :param longest_seconds: after so long it ends in any case, each step at its next pause.
    :param beat: called about once a second while it runs.
    """

    steps: Sequence[Step]
    poll_seconds: float
    linger_seconds: float
    longest_seconds: float
    beat: Callable[[], None] = lambda: None
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _is_ending: bool = False
    _last_work: float = 0.0
    _works: int = 0

    def run(self) -> dict[str, int]:
        """Run the steps; how much each has done, by name.

        :raises PermanentError: the first one of a step; the others went on until the end.
        :raises RetryableError: what kept a step from working at the end.
        """
        states = [_State(step) for step in self.steps]
        began = self._last_work = time.monotonic()
        threads = [
            threading.Thread(
                target=self._go, args=(state,), name=f"cogent-ops-{state.step.name}", daemon=True
            )
            for state in states
        ]
        for thread in threads:
            thread.start()
        try:
            while not self._is_over(states, began):
                self.beat()
                with self._changed:
                    self._changed.wait(min(1.0, self.poll_seconds))
        finally:
            with self._changed:
                self._is_ending = True
                self._changed.notify_all()
            for thread in threads:
                thread.join()
        errors = [state.error for state in states if state.error is not None]
        for error in sorted(errors, key=lambda one: isinstance(one, RetryableError)):
            raise error
        return {state.step.name: state.done for state in states}

    def _is_over(self, states: Sequence[_State], began: float) -> bool:
        now = time.monotonic()
        with self._changed:
            if now - began >= self.longest_seconds or all(_has_failed(state) for state in states):
                return True
            is_quiet = not any(state.is_busy for state in states)
            return is_quiet and now - self._last_work >= self.linger_seconds

    def _go(self, state: _State) -> None:
        while True:
            with self._changed:
                if self._is_ending:
                    return
                state.is_busy, works = True, self._works
            pause = self._once(state)
            with self._changed:
                state.is_busy = False
                if _has_failed(state):
                    self._changed.notify_all()
                    return
                if pause and not self._is_ending:
                    self._wait(state, works, pause)

    def _wait(self, state: _State, works: int, pause: float) -> None:
        """Pause, unless some step has found work since ``works`` was noted; a failed one waits for its time."""

        def may_go() -> bool:
            return self._is_ending or (state.error is None and self._works != works)

        self._changed.wait_for(may_go, pause)

    def _once(self, state: _State) -> float:
        """One turn of a step; seconds to pause after it."""
        try:
            done = state.step.run()
        except RetryableError as error:
            asked = FAILURE_SECONDS if error.retry_after is None else error.retry_after
            pause = min(asked, LONGEST_PAUSE_SECONDS)
            log.warning("%s is tried again in %.0f s: %s", state.step.name, pause, error)
            state.error = error
            return pause
        except Exception as error:  # the others must go on, and the end of the run raises it
            log.exception("%s has ended", state.step.name)
            state.error = error
            return 0.0
        state.error = None
        if not done:
            return self.poll_seconds
        with self._changed:
            state.done += done
            self._last_work = time.monotonic()
            self._works += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_ending, state.step.rest_seconds)
        return 0.0


def _has_failed(state: _State) -> bool:
    return state.error is not None and not isinstance(state.error, RetryableError)
