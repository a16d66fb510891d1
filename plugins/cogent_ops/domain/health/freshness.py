"""How old the data of a flow is, against what was agreed, and whether somebody must be called.

Age alone decides. Percentiles show how the last hour went; a bad hour that is over is no reason to call anybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cogent_ops.domain.health.model import Flow, Freshness, State

#: After so many times the agreed age, a flow does not only lag, it stands.
BAD_TIMES = 3.0


@dataclass(frozen=True)
class Waiting:
    """What has not arrived yet.

    :param waiting: all of it but ``review``.
    :param refused: what the other side refuses, of ``waiting``; each of it has an exception of its own.
    :param review: what waits for a person to say something.
    :param oldest: since when the oldest of it waits, what is refused left out.
    :param oldest_refused: the same of what is refused.
    """

    waiting: int = 0
    refused: int = 0
    review: int = 0
    oldest: datetime | None = None
    oldest_refused: datetime | None = None


@dataclass(frozen=True)
class Arrived:
    """What has arrived, and how long that took, in seconds.

    :param done: how much.
    :param lately: how much of it arrived in the last minutes.
    :param p50: half of it took so long at most; ``None``: nothing arrived.
    """

    done: int = 0
    lately: int = 0
    p50: float | None = None
    p95: float | None = None


@dataclass(frozen=True)
class Reading:
    """What was measured of a flow.

    :param target: agreed age, in seconds.
    :param looked_at: when it looked last, right through to the end; ``None``: never.
    :param lately: seconds that ``arrived.lately`` counts.
    :param notes: why it may be late, as others know it, the most telling first.
    """

    flow: Flow
    target: float
    looked_at: datetime | None
    waiting: Waiting = Waiting()
    arrived: Arrived = Arrived()
    lately: float = 300.0
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Verdict:
    """How a flow stands.

    :param is_stalled: somebody must be called: it stands, or was late at the check before, too.
    """

    freshness: Freshness
    is_stalled: bool


def judge(reading: Reading, now: datetime, before: Freshness | None, first_check: datetime | None) -> Verdict:
    """Judge a flow.

    What the other side refuses makes a flow late at most, and calls nobody: each of it has called somebody already.

    :param before: how it stood at the check before; ``None``: there was none.
    :param first_check: when the first check was: a flow that has never run may take its target from then on, before
        that is a fault. ``None``: this is the first.
    """
    waiting = reading.waiting
    own = _age(now, reading.looked_at, waiting.oldest)
    age = _age(now, reading.looked_at, waiting.oldest, waiting.oldest_refused)
    if reading.looked_at is None and own is None:
        is_new = first_check is None or (now - first_check).total_seconds() <= reading.target
        state = State.UNKNOWN if is_new else State.BAD
    else:
        state = _state(own, age, reading.target)
    is_late_itself = state is State.BAD or (own is not None and own > reading.target)
    was_late = before is not None and before.state in (State.LATE, State.BAD)
    freshness = Freshness(
        flow=reading.flow,
        state=state,
        age=age,
        target=reading.target,
        looked_at=reading.looked_at,
        oldest_waiting=min(filter(None, (waiting.oldest, waiting.oldest_refused)), default=None),
        p50=reading.arrived.p50,
        p95=reading.arrived.p95,
        done=reading.arrived.done,
        waiting=waiting.waiting,
        review=waiting.review,
        drain=_drain(reading, before),
        cause=_cause(reading, now) if state in (State.LATE, State.BAD) else "",
    )
    return Verdict(freshness, state is State.BAD or (is_late_itself and was_late))


def _age(now: datetime, *moments: datetime | None) -> float | None:
    """Of the oldest of them; clocks that run ahead make nothing younger than now."""
    ages = [(now - moment).total_seconds() for moment in moments if moment is not None]
    return max(0.0, *ages) if ages else None


def _state(own: float | None, age: float | None, target: float) -> State:
    if own is not None and own > BAD_TIMES * target:
        return State.BAD
    return State.LATE if age is not None and age > target else State.GOOD


def _drain(reading: Reading, before: Freshness | None) -> float | None:
    """Seconds that what waits will take; ``None``: nobody can say, or it does not get less."""
    waiting = reading.waiting.waiting - reading.waiting.refused
    if waiting <= 0:
        return 0.0
    grows = before is not None and 0 < before.waiting < reading.waiting.waiting
    if grows or not reading.arrived.lately:
        return None
    return waiting * reading.lately / reading.arrived.lately


def _cause(reading: Reading, now: datetime) -> str:
    """Why it is late, as far as anybody knows; a sentence for each reason."""
    if reading.looked_at is None:
        return " ".join((*reading.notes, "It has never run: is its DAG paused?"))
    sentences = list(reading.notes)
    if (now - reading.looked_at).total_seconds() > reading.target:
        hint = "" if sentences else " Is its DAG paused, or its API down?"
        sentences.append(f"It has not looked since {reading.looked_at:%Y-%m-%d %H:%M} UTC.{hint}")
    waiting = reading.waiting
    if waiting.refused:
        sentences.append(f"{waiting.refused:,} are refused by the other side, see their exceptions.")
    free = waiting.waiting - waiting.refused
    if free and waiting.oldest and (now - waiting.oldest).total_seconds() > reading.target:
        sentences.append(f"{free:,} wait, the oldest since {waiting.oldest:%Y-%m-%d %H:%M} UTC.")
    return " ".join(sentences)
