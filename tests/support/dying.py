"""Processes that die where a test wants it: before or after any write to the store and any request."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from cogent_ops.clients.transport import close_sessions
from cogent_ops.store.engine import Database


class Crash(BaseException):
    """The process dies here."""


class Boundaries:
    """Counts the moments at which a process may die, and dies at one of them.

    Two at each transaction (nothing written, all of it) and two at each request (not sent, answered). A process that
    has died does nothing any more: whatever its other threads come to is refused.

    :param at: number of the fatal moment, from 0; ``None`` counts only.
    :param die: raises, or kills the process.
    """

    def __init__(self, at: int | None = None, die: Callable[[], None] | None = None) -> None:
        self.at, self.passed, self.is_dead = at, 0, False
        self._die, self._lock = die or _crash, threading.Lock()

    def cross(self) -> None:
        """Come to such a moment."""
        with self._lock:
            self.is_dead = self.is_dead or self.passed == self.at
            self.passed += 1
        if self.is_dead:
            self._die()

    @contextmanager
    def watched(self) -> Iterator[Boundaries]:
        """Count, and die, in this block."""
        begin, send = Database.begin, httpx.Client.send

        @contextmanager
        def beginning(database: Database) -> Iterator[Any]:
            self.cross()
            with begin(database) as conn:
                yield conn
            self.cross()

        def sending(client: httpx.Client, request: httpx.Request, **how: Any) -> httpx.Response:
            self.cross()
            response = send(client, request, **how)
            self.cross()
            return response

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Database, "begin", beginning)
            patched.setattr(httpx.Client, "send", sending)
            yield self


def _crash() -> None:
    raise Crash


def kill_myself() -> None:
    """As the out-of-memory killer does it: nothing is cleaned up."""
    os.kill(os.getpid(), signal.SIGKILL)


def survives(work: Callable[[], object], boundaries: Boundaries) -> bool:
    """Whether a forked process comes to the end of its work, or is killed on the way.

    :raises AssertionError: when it ends in any other way.
    """
    close_sessions()
    with warnings.catch_warnings():
        # Threads of the test runner do not matter to the child, which only does the work and ends.
        warnings.filterwarnings("ignore", message=".*multi-threaded", category=DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            with boundaries.watched():
                work()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - whatever it is, this process ends here
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return False
    assert os.WIFEXITED(status)
    assert os.WEXITSTATUS(status) == 0, "the work failed by itself"
    return True
