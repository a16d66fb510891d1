"""A circuit breaker that lets concurrent requests pass: pybreaker keeps the state, we ask and tell.

``pybreaker.CircuitBreaker.call`` holds its lock while the guarded function runs, which would let one request of
the process through at a time. So nothing but the outcome of a finished request goes through it.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from threading import Lock

from pybreaker import STATE_CLOSED, CircuitBreaker, CircuitBreakerError, CircuitMemoryStorage

from cogent_ops.errors import CircuitOpen

log = logging.getLogger(__name__)


class _Failed(Exception):
    """Tells pybreaker about a failure."""


def _fail() -> None:
    raise _Failed


def _succeed() -> None:
    """Tells pybreaker about a success."""


class Breaker:
    """The breaker of one target in one process; threads share it.

    :param target: as messages name it.
    :param failures: so many in a row open the circuit.
    :param seconds: how long it stays open; then one request is let through, whose outcome decides.
    """

    def __init__(self, target: str, failures: int, seconds: float) -> None:
        self.target, self.seconds = target, seconds
        self._storage = CircuitMemoryStorage(STATE_CLOSED)
        self._circuit = CircuitBreaker(
            fail_max=failures, reset_timeout=seconds, state_storage=self._storage, name=target
        )
        self._lock = Lock()
        self._trial_until = 0.0

    def check(self) -> None:
        """Pass when a request may be sent; whoever passes an open circuit must :meth:`record` the outcome.

        :raises CircuitOpen: with the seconds to wait.
        """
        if self._circuit.current_state == STATE_CLOSED:
            return
        with self._lock:
            now = time.monotonic()
            wait = max(self._remaining(), self._trial_until - now)
            if wait > 0:
                raise CircuitOpen(
                    f"{self.target} failed repeatedly; calls are parked for another {wait:.1f} s.",
                    retry_after=wait,
                )
            self._trial_until = now + self.seconds

    def record(self, *, failed: bool) -> None:
        """Tell how a request ended. An answer is a success, also one that refuses the request."""
        if not failed and self._circuit.current_state == STATE_CLOSED and not self._circuit.fail_counter:
            return
        was_closed = self._circuit.current_state == STATE_CLOSED
        try:
            self._circuit.call(_fail if failed else _succeed)
        except (_Failed, CircuitBreakerError):
            if was_closed and self._circuit.current_state != STATE_CLOSED:
                log.warning("%s failed repeatedly; calls are parked for %.0f s", self.target, self.seconds)
        self._trial_until = 0.0

    def _remaining(self) -> float:
        opened = self._storage.opened_at
        return 0.0 if opened is None else self.seconds - (datetime.now(UTC) - opened).total_seconds()
