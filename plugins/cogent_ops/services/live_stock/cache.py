"""A cache in front of a slow API: whoever asks, a key is read once per time to live, and by one request at a time.

Keys that are wanted while all readers are busy wait, and the next reader takes them all in one request. So a rush on
many keys costs fewer requests, not more, and nobody waits for that when a reader is free.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar, cast

from cogent_ops.errors import (
    BudgetExhausted,
    CircuitOpen,
    CogentOpsError,
    RetryableError,
    TargetUnavailable,
)

log = logging.getLogger(__name__)

Value = TypeVar("Value")
Clock = Callable[[], float]

#: A failure that lasts is said in the log again after so long.
SAY_AGAIN_SECONDS = 60.0
_NOT_SENT = (BudgetExhausted, CircuitOpen)


@dataclass(frozen=True)
class Known(Generic[Value]):
    """A value with its age.

    :param age: seconds since its read began: the value is at least as new as that.
    """

    value: Value
    age: float


@dataclass(frozen=True)
class Freshness:
    """How old values may be, in seconds.

    :param ttl: so long a value is given without asking; after that it is read again.
    :param stale: so long the last known value stands in while reading fails.
    :param behind: an old value is given at once and read again behind it, for what hardly ever changes.
    :param retry: after a failure the key is not read again for so long; ``None``: ``ttl``. Where nothing was sent, and
        the error says when something can be, that counts if it is sooner.
    """

    ttl: float
    stale: float
    behind: bool = False
    retry: float | None = None


@dataclass(frozen=True)
class Bounds:
    """How much a cache may hold and do.

    :param keys: values kept; the one that nobody has asked for longest goes first.
    :param readers: reads at the same time, each in a thread.
    :param batch: keys in a read.
    :param waiting: keys that may wait for a reader; further ones are refused at once.
    """

    keys: int = 10_000
    readers: int = 4
    batch: int = 50
    waiting: int = 2000


class _Entry(Generic[Value]):
    """What is known of a key.

    :param read_at: when the read of its value began.
    :param retry_at: when it may be read again after a failure.
    """

    __slots__ = ("failure", "read_at", "reading", "retry_at", "value")

    def __init__(self) -> None:
        self.value: Value | None = None
        self.read_at: float | None = None
        self.failure: CogentOpsError | None = None
        self.retry_at = 0.0
        self.reading: asyncio.Future[None] | None = None


class LiveCache(Generic[Value]):
    """Values by key. Use it from one event loop; reading happens in threads.

    :param name: of what is read, as the log says it.
    :param read: gives the value of every key that it is asked for, and raises an error of :mod:`cogent_ops.errors`
        when it cannot. It runs in a thread and must bound its own time.
    :param pace: seconds until another read may begin. Whoever waits for it takes along what is wanted by then.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[Sequence[str]], Mapping[str, Value]],
        freshness: Freshness,
        bounds: Bounds | None = None,
        *,
        pace: Callable[[], float] = lambda: 0.0,
        clock: Clock = time.monotonic,
    ) -> None:
        self.name, self.freshness, self.bounds = name, freshness, bounds or Bounds()
        self._read, self._pace, self._clock = read, pace, clock
        self._entries: OrderedDict[str, _Entry[Value]] = OrderedDict()
        self._waiting: dict[str, _Entry[Value]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._pool = ThreadPoolExecutor(self.bounds.readers, thread_name_prefix="live-stock")
        self._failing_since: float | None = None
        self._said_at, self._said = -math.inf, False

    async def get(self, key: str, deadline: float, *, max_age: float | None = None) -> Known[Value]:
        """The value: fresh, or the last known one when reading fails or takes too long.

        :param deadline: loop time until which it is worth waiting for.
        :param max_age: instead of the time to live, e.g. less where an old value lacks something.
        :raises CogentOpsError: why there is none: that of the read, or ``TargetUnavailable`` when it takes too long.
        """
        entry = self._touch(key)
        ttl = self.freshness.ttl if max_age is None else max_age
        if self._is_due(entry, ttl):
            self._ask(key, entry)
        reading = entry.reading
        if reading is not None and self._should_wait(entry, ttl, renew=max_age is not None):
            await asyncio.wait((reading,), timeout=deadline - asyncio.get_running_loop().time())
        answered = reading is not None and reading.done() and entry.failure is None
        # What a slow read has only just given is as good as it gets, whatever its age.
        return self._best(entry, math.inf if answered else max(self.freshness.stale, ttl))

    # Asking

    def _touch(self, key: str) -> _Entry[Value]:
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry()
            self._forget_oldest()
        else:
            self._entries.move_to_end(key)
        return entry

    def _forget_oldest(self) -> None:
        while len(self._entries) > self.bounds.keys:
            oldest, entry = next(iter(self._entries.items()))
            if entry.reading is not None:
                return  # so many keys are being read that there is nothing to forget; `waiting` bounds them
            del self._entries[oldest]

    def _is_due(self, entry: _Entry[Value], ttl: float) -> bool:
        """Whether the key must be read and nobody does so already."""
        if entry.reading is not None or self._is_fresh(entry, ttl):
            return False
        return entry.failure is None or self._clock() >= entry.retry_at

    def _is_fresh(self, entry: _Entry[Value], ttl: float) -> bool:
        return entry.read_at is not None and self._clock() - entry.read_at < ttl

    def _should_wait(self, entry: _Entry[Value], ttl: float, *, renew: bool) -> bool:
        """Not for a value that is good enough, nor, when there is an old one, for a target that fails at present."""
        if self._is_fresh(entry, ttl):
            return False
        has_old = entry.read_at is not None and self._clock() - entry.read_at <= self.freshness.stale
        return not has_old or renew or (self._failing_since is None and not self.freshness.behind)

    def _ask(self, key: str, entry: _Entry[Value]) -> None:
        if len(self._waiting) >= self.bounds.waiting:
            return
        entry.reading = asyncio.get_running_loop().create_future()
        self._waiting[key] = entry
        if len(self._tasks) < self.bounds.readers:
            self._tasks.add(asyncio.get_running_loop().create_task(self._reader()))

    def _best(self, entry: _Entry[Value], oldest: float) -> Known[Value]:
        if entry.read_at is not None:
            age = max(0.0, self._clock() - entry.read_at)
            if age <= oldest:
                return Known(entry.value, age)  # type: ignore[arg-type]  # set together with read_at
        if entry.failure is not None and entry.reading is None:
            raise entry.failure
        raise TargetUnavailable(f"{self.name} could not be read in time, and nothing is known of it.")

    # Reading

    async def _reader(self) -> None:
        """Read until nothing waits."""
        try:
            await self._drain()
        finally:
            # In the same step: until a callback of the task ran, a new key would wait for a reader that has gone.
            self._tasks.remove(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _drain(self) -> None:
        """As long as keys wait, read as many of them as a read may hold."""
        while self._waiting:
            while wait := self._pace():
                await asyncio.sleep(wait)
            if not self._waiting:
                return  # another reader took all of them along
            batch = dict(islice(self._waiting.items(), self.bounds.batch))
            for key in batch:
                del self._waiting[key]
            began, failure = self._clock(), _interrupted(self.name)
            values: dict[str, Value] = {}
            try:
                values = dict(
                    await asyncio.get_running_loop().run_in_executor(self._pool, self._read, tuple(batch))
                )
            except CogentOpsError as error:
                failure = error
            except Exception as error:
                # A defect of ours must not let kiosks wait: it is said, and counts as a failed read.
                log.exception("%s: reading failed", self.name)
                failure = _interrupted(self.name)
                failure.__cause__ = error
            finally:
                for key, entry in batch.items():
                    self._settle(key, entry, began, values, failure)
            self._say(failure if not values else None)

    def _settle(
        self,
        key: str,
        entry: _Entry[Value],
        began: float,
        values: Mapping[str, Value],
        failure: CogentOpsError,
    ) -> None:
        if key in values:
            entry.value, entry.read_at, entry.failure = values[key], began, None
        else:
            entry.failure, entry.retry_at = failure, self._clock() + self._pause(failure)
        waiting, entry.reading = entry.reading, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def _pause(self, failure: CogentOpsError) -> float:
        pause = self.freshness.ttl if self.freshness.retry is None else self.freshness.retry
        if isinstance(failure, _NOT_SENT) and failure.retry_after is not None:
            return min(pause, failure.retry_after)
        return pause

    def _say(self, failure: CogentOpsError | None) -> None:
        """Tell the log when reading begins to fail, from time to time while it does, and when it works again.

        A target that fails now and then is told of once a minute at most.
        """
        now = self._clock()
        if failure is None:
            if self._failing_since is not None and self._said:
                log.warning("%s can be read again after %.0f s.", self.name, now - self._failing_since)
            self._failing_since, self._said = None, False
            return
        self._failing_since = now if self._failing_since is None else self._failing_since
        if now - self._said_at >= SAY_AGAIN_SECONDS:
            level = logging.WARNING if isinstance(failure, RetryableError) else logging.ERROR
            log.log(level, "%s cannot be read: %s", self.name, failure)
            self._said_at, self._said = now, True


def _interrupted(name: str) -> CogentOpsError:
    return TargetUnavailable(f"{name} could not be read.")
