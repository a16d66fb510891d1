"""A rate budget per target API, shared by every process that uses the store.

The token bucket is one row. A process leases about a quarter of a second's worth of tokens at a time and
hands them to its threads, so the database sees a few small transactions a second, not one per request. When
the target asks for fewer requests, the row is closed for everybody and its rate is halved; successes bring it
back bit by bit. Other processes notice when their slice runs out, a quarter of a second later at most.

Priorities: stock leaves a part of the bucket to orders, availability a larger one, and the catalogue more still,
so an order finds tokens while the catalogue is being loaded.

Clocks: the row holds times of one clock, PostgreSQL's own or, for SQLite, that of the one machine that can
use the file; waits within a process are monotonic. So processes need not agree about the time. If that one
clock is set forward, a full bucket and the early end of a pause are the worst that can follow; if it is set
back, refill starts from the new time and no pause lasts longer than an hour.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from threading import Condition

from sqlalchemy import Connection, select, update

from cogent_ops.domain.priorities import Priority
from cogent_ops.errors import BudgetExhausted
from cogent_ops.store.bucket import LONGEST_PAUSE_SECONDS, SLICE_SECONDS, Bucket, Lease, Limit
from cogent_ops.store.engine import Database
from cogent_ops.store.schema import rate_budget
from cogent_ops.store.sql import insert

#: The pause after a refusal that names none.
DEFAULT_PAUSE_SECONDS = 1.0
#: A pause that is known already to this precision is not written again: many threads are refused together.
KNOWN_SECONDS = 0.1
#: Processes that wait for the same tokens should not all come back at the same moment.
JITTER = 0.1


@dataclass
class _Slice:
    """Tokens held for one priority until ``expires``; after a refusal, when another lease may be tried.

    :param wish: how many tokens were refused last.
    :param soonest: before it, this wish cannot be met.
    :param ready: at it, a whole slice should be there.
    """

    tokens: int = 0
    expires: float = 0.0
    wish: int = 0
    soonest: float = 0.0
    ready: float = 0.0
    leasing: bool = False

    def next_try(self, tokens: int, deadline: float) -> float:
        """When a waiter should lease: once a whole slice is there, or its wish at the deadline."""
        return 0.0 if tokens < self.wish else min(self.ready, max(self.soonest, deadline))


def _slices() -> dict[Priority, _Slice]:
    return {priority: _Slice() for priority in Priority}


@dataclass
class _Share:
    """One process's part of a budget; times are monotonic. Use it with ``changed`` held.

    :param recorded_until: the end of the longest pause that the store was told of.
    :param epoch: changes with every pause; a lease from an earlier epoch is void.
    """

    changed: Condition = field(default_factory=Condition)
    slices: dict[Priority, _Slice] = field(default_factory=_slices)
    blocked_until: float = 0.0
    recorded_until: float = 0.0
    returned: int = 0
    healthy: bool = False
    epoch: int = 0

    def take(self, tokens: int, priority: Priority, now: float) -> bool:
        """Take tokens leased for this priority or a lower one; a higher one's come from the reserve."""
        for leased_for in sorted(self.slices, reverse=True):
            held = self.slices[leased_for]
            if now >= held.expires:
                self.give_back(held)
            elif leased_for >= priority and held.tokens >= tokens:
                held.tokens -= tokens
                return True
        return False

    def give_back(self, held: _Slice) -> None:
        """Return a slice's tokens to the bucket, with the next lease."""
        self.returned += held.tokens
        held.tokens = 0

    def block(self, until: float) -> None:
        """Drop every token, also those of a lease under way."""
        self.blocked_until = max(self.blocked_until, until)
        self.slices.update({priority: _Slice(leasing=held.leasing) for priority, held in self.slices.items()})
        self.returned, self.healthy = 0, False
        self.epoch += 1
        self.changed.notify_all()


class SharedBudget:
    """The budget of one target. Threads may share it, and forks, which start without leased tokens."""

    def __init__(self, database: Database, target: str, limit: Limit) -> None:
        self.target, self.limit = target, limit
        self._database = database
        self._shares: dict[int, _Share] = {}

    def acquire(self, tokens: int = 1, *, priority: Priority, timeout: float) -> None:
        """Wait until ``tokens`` requests may be sent.

        :param timeout: seconds to wait at most; it gives up at once when that cannot be long enough.
        :raises BudgetExhausted: with ``retry_after``, when they do not become free in time.
        :raises StoreUnavailable: when the store is out of reach.
        :raises ValueError: for more tokens than the bucket can hold.
        :raises RuntimeError: inside a write transaction of the store, for which a lease would wait.
        """
        if not 1 <= tokens <= self.limit.burst:
            raise ValueError(f"{tokens} tokens at once is outside 1 to the burst of {self.limit.burst:g}.")
        if self._database.is_writing:
            raise RuntimeError("Send no request inside a write transaction of the store.")
        share, deadline = self._share(), time.monotonic() + timeout
        while not self._take(share, tokens, priority, deadline):
            if self._lease(share, tokens, priority):
                return

    def throttled(self, retry_after: float | None) -> None:
        """The target refused a request: nobody sends for ``retry_after`` seconds, then all at half the rate.

        :param retry_after: seconds as the target asked for; ``None`` when it did not say.
        :raises StoreUnavailable: when the store is out of reach; this process pauses all the same.
        """
        asked = DEFAULT_PAUSE_SECONDS if retry_after is None else max(0.0, retry_after)
        pause = min(asked, LONGEST_PAUSE_SECONDS)
        share, until = self._share(), time.monotonic() + pause
        with share.changed:
            share.block(until)
            if share.recorded_until > until - KNOWN_SECONDS:
                return
            share.recorded_until = until
        with self._database.begin() as conn:
            bucket = self._locked(conn)
            self._save(conn, bucket.throttled(self._database.epoch(conn), pause))

    def succeeded(self) -> None:
        """The target answered, so the rate may recover. It costs nothing: the next lease carries the news."""
        self._share().healthy = True

    def _share(self) -> _Share:
        pid = os.getpid()
        return self._shares.get(pid) or self._shares.setdefault(pid, _Share())

    def _take(self, share: _Share, tokens: int, priority: Priority, deadline: float) -> bool:
        """Take leased tokens, waiting where waiting helps; ``False``: it is for this thread to lease."""
        with share.changed:
            while True:
                now = time.monotonic()
                held = share.slices[priority]
                if share.blocked_until <= now:
                    if share.take(tokens, priority, now):
                        return True
                    if not held.leasing and held.next_try(tokens, deadline) <= now:
                        held.leasing = True
                        return False
                self._wait(share, max(share.blocked_until, held.next_try(tokens, deadline)), now, deadline)

    def _wait(self, share: _Share, until: float, now: float, deadline: float) -> None:
        if until > deadline or now >= deadline:
            raise BudgetExhausted(
                f"The rate budget of {self.target} is used up for the next {max(0.0, until - now):.1f} s.",
                retry_after=max(until - now, SLICE_SECONDS),
            )
        # Where nothing says when, another thread is leasing and will notify.
        share.changed.wait((until if until > now else deadline) - now)

    def _lease(self, share: _Share, tokens: int, priority: Priority) -> bool:
        """Lease a slice and take ``tokens`` from it; ``False``: there were too few, or a pause began."""
        with share.changed:
            share.give_back(share.slices[priority])
            epoch, returned, healthy = share.epoch, share.returned, share.healthy
            share.returned, share.healthy = 0, False
        lease: Lease | None = None
        try:
            lease = self._transact(tokens, priority, returned, healthy)
        finally:
            with share.changed:
                share.slices[priority].leasing = False
                share.changed.notify_all()
                current = lease if epoch == share.epoch else None
                taken = current is not None and _arrive(share, priority, current, tokens)
        return taken

    def _transact(self, tokens: int, priority: Priority, returned: int, healthy: bool) -> Lease:
        with self._database.begin() as conn:
            bucket = self._locked(conn)
            now = self._database.epoch(conn)
            full = bucket.refilled(self.limit, now, returned=returned, healthy=healthy)
            left, lease = full.lease(self.limit, tokens, priority, now)
            self._save(conn, left)
        return lease

    def _locked(self, conn: Connection) -> Bucket:
        """The target's row, locked against other processes; a new target starts with a full bucket."""
        b = rate_budget.c
        columns = (b[name.name] for name in fields(Bucket))
        query = select(*columns).where(b.target == self.target).with_for_update()
        row = conn.execute(query).one_or_none()
        if row is None:
            full = Bucket(tokens=self.limit.burst, refilled_at=self._database.epoch(conn))
            adding = insert(conn, rate_budget).values(target=self.target, **asdict(full))
            conn.execute(adding.on_conflict_do_nothing())
            row = conn.execute(query).one()
        return Bucket(*row)

    def _save(self, conn: Connection, bucket: Bucket) -> None:
        conn.execute(update(rate_budget).where(rate_budget.c.target == self.target).values(asdict(bucket)))


def read_buckets(conn: Connection, targets: Iterable[str]) -> dict[str, Bucket]:
    """The buckets of those targets that were ever used."""
    b = rate_budget.c
    query = select(b.target, *(b[name.name] for name in fields(Bucket))).where(b.target.in_(list(targets)))
    return {target: Bucket(*row) for target, *row in conn.execute(query)}


def _arrive(share: _Share, priority: Priority, lease: Lease, tokens: int) -> bool:
    """Book a lease's answer; ``True`` when the thread that asked has its tokens."""
    now, held = time.monotonic(), share.slices[priority]
    if lease.tokens:
        held.tokens, held.expires = lease.tokens - tokens, now + SLICE_SECONDS
        held.wish, held.soonest, held.ready = 0, 0.0, 0.0
        return True
    if lease.blocked:
        share.block(now + lease.soonest)
    else:
        held.wish, held.soonest = tokens, now + lease.soonest
        held.ready = now + lease.ready * random.uniform(1.0, 1.0 + JITTER)
    return False


_BUDGETS: dict[tuple[object, str, Limit], SharedBudget] = {}


def shared_budget(database: Database, target: str, rate: float, burst: float) -> SharedBudget:
    """The one :class:`SharedBudget` of the process for a target and a limit.

    :raises ValueError: for a rate or burst that lets nothing through.
    """
    limit = Limit(rate, burst)
    return _BUDGETS.setdefault((database.url, target, limit), SharedBudget(database, target, limit))
