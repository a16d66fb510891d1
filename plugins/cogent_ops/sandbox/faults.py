"""Faults on purpose: which request fails how, decided by a seed and by the request itself.

A decision depends on the seed, the rule, the content of the request and how often exactly this request was seen
before. Equal sequences of requests therefore meet equal faults, and so do concurrent ones, whose order nobody
controls; and a retry of a request gets a new decision.

A plan as a file (every part is optional)::

    seed: 7
    latency: {commercetools: {base: 0.05, jitter: 0.02}, cloudshelf: {base: 0.08}}
    rate_limits: {commercetools: {per_second: 50, burst: 50}}
    credits: {capacity: 2000, per_second: 200}
    rules:
      - {kind: error, rate: 0.05, status: 503}
      - {kind: reset, when: after, api: commercetools, operation: "inventory.update", rate: 0.05}
      - {kind: throttle, api: cloudshelf, every: 100, length: 5, retry_after: 2}
      - {kind: refuse, operation: "upsert*", rate: 0.02}
      - {kind: refuse, ids: "*BROKEN*", code: ENTITY_INVALID_FIELD}
      - {kind: blemish, ids: "*DEAD-IMAGE*", code: IMAGE_UPLOAD_ERROR}
"""

from __future__ import annotations

import hashlib
import math
import random
import threading
import time
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cogent_ops.errors import ConfigError

Api = Literal["commercetools", "cloudshelf", "auth"]
_ON_FILE = "faults file"


class Kind(StrEnum):
    """What goes wrong."""

    ERROR = "error"
    """A 5xx answer (or, for Cloudshelf with status 200, a GraphQL error)."""
    THROTTLE = "throttle"
    """429 with Retry-After."""
    RESET = "reset"
    """The connection breaks."""
    TIMEOUT = "timeout"
    """Nothing is answered for ``delay`` seconds, then the connection breaks."""
    SLOW = "slow"
    """The answer comes ``delay`` seconds later."""
    CONFLICT = "conflict"
    """Somebody else changes the resource just before, so that the sent version is stale (409)."""
    REFUSE = "refuse"
    """Single records of a Cloudshelf batch are refused although they are fine."""
    BLEMISH = "blemish"
    """Single records of a Cloudshelf batch are taken and listed, with a user error beside them."""
    STOP_MESSAGES = "stop_messages"
    """No Message is written any more."""


#: Kinds that strike records and not whole requests.
OF_RECORDS = frozenset({Kind.REFUSE, Kind.BLEMISH})


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Latency(_Strict):
    """Seconds that every answer takes: ``base`` plus a random share of ``jitter``."""

    base: float = Field(0.0, ge=0)
    jitter: float = Field(0.0, ge=0)


class RateLimit(_Strict):
    """Token bucket over all clients of an API.

    :param retry_after: whether the 429 says how long to wait; of both real APIs that is not known.
    """

    per_second: float = Field(gt=0)
    burst: float = Field(1.0, ge=1)
    retry_after: bool = True


class Credits(_Strict):
    """Cloudshelf's budget, from which the complexity of each query is taken."""

    capacity: float = Field(gt=0)
    per_second: float = Field(gt=0)


class Rule(_Strict):
    """One kind of fault and when it strikes.

    :param kind: what goes wrong.
    :param api: which API; ``*`` = all.
    :param operation: pattern over operation names: ``inventory.update``, ``*.query``, ``upsert*``, ``token``.
    :param rate: share of the matching requests (for ``refuse`` and ``blemish``: records) that are hit.
    :param every: strike in storms instead: of every so many matching requests …
    :param length: … the first so many are hit.
    :param skip: leave the first so many matching requests alone.
    :param limit: strike at most so often.
    :param when: before or after the request took effect (``error``, ``reset``, ``timeout``).
    :param status: HTTP status of ``error``.
    :param retry_after: seconds that 429 asks to wait, and 503 where it is given; 0 leaves the header out.
    :param delay: seconds of ``slow`` and ``timeout``.
    :param ids: ``refuse`` and ``blemish``: pattern of record ids that are hit for ever.
    :param code: ``refuse`` and ``blemish``: code of the user error.
    """

    kind: Kind
    api: Api | Literal["*"] = "*"
    operation: str = "*"
    rate: float = Field(1.0, ge=0, le=1)
    every: int | None = Field(None, ge=1)
    length: int = Field(1, ge=1)
    skip: int = Field(0, ge=0)
    limit: int | None = Field(None, ge=0)
    when: Literal["before", "after"] = "before"
    status: int = 503
    retry_after: float = Field(1.0, ge=0)
    delay: float = Field(5.0, ge=0)
    ids: str | None = None
    code: str = "UNKNOWN_ERROR"

    @model_validator(mode="after")
    def _only_where_it_means_something(self) -> Rule:
        if self.ids is not None and self.kind not in OF_RECORDS:
            raise ValueError("'ids' belongs to kinds 'refuse' and 'blemish'")
        return self

    def concerns(self, api: str, operation: str) -> bool:
        """Whether a request falls under this rule."""
        return self.api in ("*", api) and fnmatchcase(operation, self.operation)


class FaultPlan(_Strict):
    """Everything that goes wrong, is slow or is limited."""

    seed: int = 0
    latency: Mapping[Api, Latency] = Field(default_factory=dict)
    rate_limits: Mapping[Api, RateLimit] = Field(default_factory=dict)
    credits: Credits | None = None
    rules: tuple[Rule, ...] = ()

    @classmethod
    def load(cls, path: Path) -> FaultPlan:
        """Read a plan from YAML (or JSON).

        :raises ConfigError: naming the file, the field and what is allowed there.
        """
        try:
            return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
        except OSError as error:
            raise ConfigError(str(path), f"cannot be read: {error.strerror}", "Check the path.") from error
        except yaml.YAMLError as error:
            raise ConfigError(str(path), f"is no YAML: {error}", "Mend the file.") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            cure = "The module cogent_ops.sandbox.faults lists what a plan may hold."
            raise ConfigError(str(path), first["msg"], cure, field=where) from error


class Bucket:
    """A token bucket on the monotonic clock."""

    def __init__(self, capacity: float, per_second: float) -> None:
        self._capacity, self._per_second = capacity, per_second
        self._tokens, self._at = capacity, time.monotonic()

    def take(self, tokens: float) -> float:
        """Take tokens; when they do not suffice nothing is taken.

        :returns: seconds until they would suffice, 0 when they were taken.
        """
        now = time.monotonic()
        self._tokens = min(self._capacity, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        if self._tokens >= tokens:
            self._tokens -= tokens
            return 0.0
        return (tokens - self._tokens) / self._per_second


class FaultEngine:
    """Decides per request; counts what it did in :attr:`applied`."""

    def __init__(self, plan: FaultPlan) -> None:
        self._lock = threading.Lock()
        self.applied: Counter[str] = Counter()
        self.use(plan)

    def use(self, plan: FaultPlan) -> None:
        """Start over with another plan."""
        with self._lock:
            self.plan = plan
            self._matched: Counter[int] = Counter()
            self._struck: Counter[int] = Counter()
            self._seen: Counter[tuple[int, bytes]] = Counter()
            self._random = random.Random(plan.seed)
            self._limits = {
                str(api): Bucket(limit.burst, limit.per_second) for api, limit in plan.rate_limits.items()
            }
            budget = plan.credits
            self._credits = None if budget is None else Bucket(budget.capacity, budget.per_second)

    def latency(self, api: str) -> float:
        """Seconds that this answer takes."""
        latency = {str(name): latency for name, latency in self.plan.latency.items()}.get(api)
        return 0.0 if latency is None else latency.base + latency.jitter * self._random.random()

    def over_limit(self, api: str) -> float:
        """Seconds until a request of this API is allowed, 0 when it is."""
        bucket = self._limits.get(api)
        return 0.0 if bucket is None else bucket.take(1)

    def says_when(self, api: str) -> bool:
        """Whether a request over the limit is told how long to wait."""
        return all(limit.retry_after for name, limit in self.plan.rate_limits.items() if name == api)

    def spend(self, credits: int) -> float:
        """Take credits; seconds that are missing, 0 when they were taken."""
        return 0.0 if self._credits is None else self._credits.take(credits)

    def decide(self, api: str, operation: str, content: bytes, *, versioned: bool = True) -> Rule | None:
        """The first rule that strikes this request, if any.

        :param content: what makes the request this request: method, path, query and body.
        :param versioned: whether it addresses a version of something, so that it can meet a conflict.
        """
        impossible = OF_RECORDS | {Kind.STOP_MESSAGES} | (set() if versioned else {Kind.CONFLICT})
        with self._lock:
            return next(self._striking(api, operation, content, impossible), None)

    def _striking(
        self, api: str, operation: str, content: bytes, impossible: Container[Kind]
    ) -> Iterator[Rule]:
        digest = b""
        for index, rule in enumerate(self.plan.rules):
            if rule.kind in impossible or not rule.concerns(api, operation):
                continue
            digest = digest or hashlib.blake2b(content, digest_size=16).digest()
            if self._strikes(index, rule, digest):
                self.applied[f"{api}.{rule.kind.value}"] += 1
                yield rule

    def _strikes(self, index: int, rule: Rule, digest: bytes) -> bool:
        number = self._matched[index]
        self._matched[index] += 1
        if number < rule.skip or (rule.limit is not None and self._struck[index] >= rule.limit):
            return False
        if rule.every is not None:
            struck = (number - rule.skip) % rule.every < rule.length
        else:
            struck = self._chance(index, digest) < rule.rate
        self._struck[index] += struck
        return struck

    def _chance(self, index: int, digest: bytes) -> float:
        """A number in [0, 1) that is new for every repetition of the same content."""
        occurrence = self._seen[(index, digest)]
        self._seen[(index, digest)] += 1
        text = f"{self.plan.seed}/{index}/{occurrence}/".encode() + digest
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") / 2**64

    def refuse(self, operation: str, ids: Sequence[str]) -> Mapping[int, str]:
        """Which records of a Cloudshelf batch are refused: index -> code of the user error."""
        return self._hit(Kind.REFUSE, operation, ids)

    def blemish(self, operation: str, ids: Sequence[str]) -> Mapping[int, str]:
        """Which records of a Cloudshelf batch are taken with an error beside them: index -> its code."""
        return self._hit(Kind.BLEMISH, operation, ids)

    def _hit(self, kind: Kind, operation: str, ids: Sequence[str]) -> Mapping[int, str]:
        hit: dict[int, str] = {}
        with self._lock:
            for index, rule in enumerate(self.plan.rules):
                if rule.kind is kind and rule.concerns("cloudshelf", operation):
                    for at in self._struck_of(index, rule, ids):
                        hit.setdefault(at, rule.code)
            self.applied[f"cloudshelf.{kind.value}"] += len(hit)
        return hit

    def _struck_of(self, index: int, rule: Rule, ids: Sequence[str]) -> Iterator[int]:
        for at, gid in enumerate(ids):
            if rule.ids is not None:
                struck = fnmatchcase(gid, rule.ids)
            else:
                struck = self._strikes(index, rule, hashlib.blake2b(gid.encode(), digest_size=16).digest())
            if struck:
                yield at

    def messages_stopped(self) -> bool:
        """Whether Messages have stopped."""
        stopped = any(rule.kind is Kind.STOP_MESSAGES for rule in self.plan.rules)
        self.applied["commercetools.stop_messages"] += stopped
        return stopped


def whole_seconds(seconds: float) -> int:
    """A waiting time as Retry-After carries it: whole seconds, never too short."""
    return max(1, math.ceil(seconds))


def describe(plan: FaultPlan) -> dict[str, Any]:
    """The plan as JSON, without what was left at its default."""
    return plan.model_dump(mode="json", exclude_defaults=True)
