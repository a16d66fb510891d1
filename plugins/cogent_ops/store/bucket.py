"""The arithmetic of a shared rate budget: a token bucket that slows when the target refuses, and recovers.

Pure functions of a row and a time; ``budget`` keeps the row in the store.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from cogent_ops.domain.priorities import Priority

#: How much of the bucket each priority leaves to those above it.
RESERVED = {
    Priority.ORDERS: 0.0,
    Priority.LIVE: 0.1,
    Priority.STOCK: 0.2,
    Priority.AVAILABILITY: 0.3,
    Priority.CATALOGUE: 0.4,
}
#: A process takes this much time's worth of tokens at once (at least one), and may hold them as long.
SLICE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 3600.0
#: What a refusal leaves of the rate, and the least that repeated refusals leave of it.
CUT = 0.5
LEAST_FACTOR = 0.02
#: Refusals that arrive together are one event: their requests were sent before the first was answered.
CUT_INTERVAL_SECONDS = 1.0
#: How long the rate would take from nothing to the configured one while requests succeed.
RECOVERY_SECONDS = 60.0
#: A success speaks for the last few seconds only, not for the silence before them.
LONGEST_STEP_SECONDS = 5.0
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Limit:
    """What may be asked of a target.

    :param rate: requests per second, sustained.
    :param burst: requests at once after a quiet time; at least 1.
    :raises ValueError: for a rate or burst that lets nothing through.
    """

    rate: float
    burst: float

    def __post_init__(self) -> None:
        """Check both."""
        if self.rate <= 0 or self.burst < 1:
            raise ValueError(f"A rate budget needs rate > 0 and burst >= 1, not {self.rate}, {self.burst}.")


@dataclass(frozen=True)
class Lease:
    """What a process got: tokens, or the seconds until its wish, and until a whole slice, can be met."""

    tokens: int
    soonest: float = 0.0
    ready: float = 0.0
    blocked: bool = False


@dataclass(frozen=True)
class Bucket:
    """The state of a target. Times are seconds since 1970 UTC, by one clock.

    :param factor: share of the configured rate that the target bears at present.
    :param cut_at: when ``factor`` was cut last.
    :param used: tokens that were ever taken and not given back: requests sent, as far as processes live to tell.
    """

    tokens: float
    refilled_at: float
    factor: float = 1.0
    cut_at: float = 0.0
    blocked_until: float = 0.0
    used: float = 0.0

    def refilled(self, limit: Limit, now: float, *, returned: float = 0.0, healthy: bool = False) -> Bucket:
        """The bucket at ``now``, with what flowed in and what a process gives back.

        :param healthy: requests succeeded lately, so the rate may rise.
        """
        used = max(0.0, self.used - returned)
        if self.blocked_until > now:
            until = min(self.blocked_until, now + LONGEST_PAUSE_SECONDS)
            return replace(self, blocked_until=until, used=used)
        elapsed = max(0.0, now - max(self.refilled_at, self.blocked_until))
        tokens = min(limit.burst, self.tokens + returned + elapsed * limit.rate * self.factor)
        rise = min(elapsed, LONGEST_STEP_SECONDS) / RECOVERY_SECONDS if healthy else 0.0
        factor = min(1.0, self.factor + rise)
        return replace(self, tokens=tokens, refilled_at=now, factor=factor, used=used)

    def lease(self, limit: Limit, wanted: int, priority: Priority, now: float) -> tuple[Bucket, Lease]:
        """Take a slice of at least ``wanted`` tokens, or learn when to ask again. The bucket must be refilled.

        Whoever must wait should wait for a whole slice: waiting for a token would mean asking for each one.
        """
        if self.blocked_until > now:
            pause = self.blocked_until - now
            return self, Lease(0, pause, pause, blocked=True)
        rate = limit.rate * self.factor
        reserve = min(RESERVED[priority] * limit.burst, limit.burst - wanted)
        free = self.tokens - reserve + _ROUNDING
        part = max(wanted, int(min(rate * SLICE_SECONDS, limit.burst - reserve)))
        if free < wanted:
            return self, Lease(0, (wanted - free) / rate, (part - free) / rate)
        granted = int(min(part, free))
        return replace(self, tokens=self.tokens - granted, used=self.used + granted), Lease(granted)

    def throttled(self, now: float, pause: float) -> Bucket:
        """The bucket after the target refused a request: empty, closed for ``pause`` seconds, then slower."""
        until = max(self.blocked_until, now + pause)
        closed = replace(self, tokens=0.0, refilled_at=until, blocked_until=until)
        if self.blocked_until > now or 0 <= now - self.cut_at < CUT_INTERVAL_SECONDS:
            return closed
        return replace(closed, factor=max(LEAST_FACTOR, self.factor * CUT), cut_at=now)
