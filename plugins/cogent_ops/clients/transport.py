"""How both clients send a request: pooled connections, timeouts, retries, rate budget, circuit breaker.

A client describes a request as a :class:`Call`. Its ``read`` turns the HTTP answer into a result, or raises an
error of :mod:`cogent_ops.errors`; from the class of that error alone follows what happens next:

================================  ============================================================================
``RateLimited``                   the shared budget pauses everybody, then the call is sent again
``TargetUnavailable``             nothing was changed: sent again after a pause
``AmbiguousOutcome``              sent again when the call is idempotent, else raised: the caller must look first
``CircuitOpen``                   nothing was sent; tried again when the circuit may have closed
anything else                     raised
================================  ============================================================================

The time for all attempts of a call together is bounded. What a call leaves behind after that is an error with
``retry_after``, from which Airflow's retry policy goes on.
"""

from __future__ import annotations

import logging
import os
import random
import re
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from itertools import count
from typing import Any, Generic, Protocol, TypeVar, cast

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_before_delay

from cogent_ops.clients.breaker import Breaker
from cogent_ops.clients.redaction import Redactor
from cogent_ops.domain.priorities import Priority
from cogent_ops.errors import (
    AmbiguousOutcome,
    BudgetExhausted,
    CircuitOpen,
    CogentOpsError,
    ConnectionConfigError,
    RateLimited,
    RetryableError,
    StoreUnavailable,
    TargetUnavailable,
)

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Value = TypeVar("Value")

_SECONDS = re.compile(r"\d{1,9}(?:\.\d{1,9})?")
CORRELATION_HEADERS = ("x-correlation-id", "x-request-id")
#: Raised before a byte of the request left this machine.
_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)
#: Whoever raises these has waited already as long as it makes sense.
_WAITED = (BudgetExhausted, StoreUnavailable)


class RateBudget(Protocol):
    """What a client needs of a rate budget; :class:`cogent_ops.store.SharedBudget` is one."""

    def acquire(self, tokens: int = 1, *, priority: Priority, timeout: float) -> None:
        """Wait until ``tokens`` requests may be sent.

        :raises BudgetExhausted: when that takes longer than ``timeout`` seconds.
        """

    def throttled(self, retry_after: float | None) -> None:
        """The target asked everybody to wait ``retry_after`` seconds; ``None`` when it did not say how long."""

    def succeeded(self) -> None:
        """The target answered."""


class Unlimited:
    """The budget of somebody who sends a handful of requests: no limit but the target's own."""

    def acquire(self, tokens: int = 1, *, priority: Priority, timeout: float) -> None:
        """Pass."""

    def throttled(self, retry_after: float | None) -> None:
        """The call that was refused waits by itself."""

    def succeeded(self) -> None:
        """Nothing to recover."""


@dataclass(frozen=True)
class Tuning:
    """How patient a client is. Durations are seconds.

    :param connect_seconds: longest wait for a connection.
    :param read_seconds: longest silence of the target; commercetools ends a request after 60 s itself.
    :param connections: most connections to the target, hence most requests of this process at a time.
    :param attempts: how often a call is sent at most while the target fails.
    :param backoff_seconds: upper bound of the first pause; each further one is twice as long (full jitter).
    :param longest_backoff_seconds: no pause of our own choice is longer; Retry-After may ask for more.
    :param total_seconds: after so long no further attempt of a call begins.
    :param breaker_failures: so many failures in a row park all calls of the process …
    :param breaker_seconds: … for so long.
    """

    connect_seconds: float = 5.0
    read_seconds: float = 65.0
    connections: int = 32
    attempts: int = 6
    backoff_seconds: float = 0.5
    longest_backoff_seconds: float = 20.0
    total_seconds: float = 180.0
    breaker_failures: int = 10
    breaker_seconds: float = 30.0

    def backoff(self, attempt: int) -> float:
        """Seconds to wait after the ``attempt``-th failure (from 1), chosen at random below a doubling bound."""
        bound = min(self.longest_backoff_seconds, self.backoff_seconds * 2 ** min(attempt - 1, 30))
        return random.uniform(0.0, bound)


@dataclass(frozen=True)
class Call(Generic[Result]):
    """One request and what its answer means.

    :param name: for logs and messages, free of data, e.g. ``GET product-projections``.
    :param read: turns the answer into the result or raises; called once per attempt.
    :param idempotent: sending it twice leaves the same state as sending it once.
    """

    name: str
    method: str
    url: str
    read: Callable[[httpx.Response], Result]
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    idempotent: bool = True


@dataclass(frozen=True)
class Target:
    """Whom we talk to, as messages name it.

    :param name: ``commercetools`` or ``cloudshelf``.
    :param url: base URL.
    :param field: the connection's field that holds ``url``, as the form shows it.
    """

    name: str
    url: str
    conn_id: str
    field: str

    def misconfigured(self, problem: str, cure: str, field: str | None = None) -> ConnectionConfigError:
        """The connection is to blame; ``field`` when it is not the one with the URL."""
        return ConnectionConfigError(self.conn_id, field or self.field, problem, cure)


@dataclass(frozen=True)
class Session:
    """What the calls of one process to one target share."""

    http: httpx.Client
    breaker: Breaker


class Transport:
    """Sends the calls of one client; threads may share it, and forks.

    :param clean: masks what no message may show.
    :param auth: adds the credentials to each request; it may send requests of its own before.
    """

    def __init__(
        self,
        target: Target,
        budget: RateBudget,
        priority: Priority,
        tuning: Tuning,
        *,
        clean: Redactor,
        auth: httpx.Auth | None = None,
    ) -> None:
        self.target, self.budget, self.priority, self.tuning = target, budget, priority, tuning
        self.clean, self._auth = clean, auth
        _hush_httpx(target.url)

    def call(self, call: Call[Result]) -> Result:
        """Send until it succeeds, is refused, or the patience ends.

        :raises RetryableError: the last failure, when the attempts or the time are used up; ``under_way`` when any of
            the attempts may be.
        :raises PermanentError: when somebody must act first.
        """
        deadline = time.monotonic() + self.tuning.total_seconds
        too_late, failures = stop_before_delay(self.tuning.total_seconds), count(1)
        under_way = False

        def attempt() -> Result:
            nonlocal under_way
            try:
                return self.once(call, deadline)
            except RetryableError as error:
                under_way = error.under_way = under_way or error.under_way
                raise

        retrying = Retrying(
            retry=retry_if_exception(lambda error: _again(error, call.idempotent)),
            wait=self._pause,
            stop=lambda state: (_counts(state) and next(failures) >= self.tuning.attempts) or too_late(state),
            before_sleep=lambda state: self._log_retry(call, state),
            reraise=True,
        )
        try:
            result: Result = retrying(attempt)
        except AmbiguousOutcome as error:
            if not call.idempotent:
                raise
            raise TargetUnavailable(
                str(error), retry_after=error.retry_after, under_way=error.under_way
            ) from None
        return result

    def once(self, call: Call[Result], deadline: float) -> Result:
        """One attempt.

        :param deadline: monotonic time until which a free token of the budget is worth waiting for.
        """
        timeout = max(0.0, deadline - time.monotonic())
        self.budget.acquire(priority=self.priority, timeout=timeout)
        session = self._session()
        session.breaker.check()
        try:
            result = call.read(self._send(session.http, call))
        except (RateLimited, TargetUnavailable, AmbiguousOutcome) as error:
            limited = isinstance(error, RateLimited)
            session.breaker.record(failed=not limited)
            if limited or error.retry_after is not None:
                self.budget.throttled(error.retry_after)
            raise
        except CircuitOpen:
            raise
        except CogentOpsError:
            session.breaker.record(failed=False)
            raise
        session.breaker.record(failed=False)
        self.budget.succeeded()
        return result

    def _send(self, http: httpx.Client, call: Call[Any]) -> httpx.Response:
        request = http.build_request(call.method, call.url, content=call.content, headers=dict(call.headers))
        started = time.monotonic()
        try:
            response = http.send(request, auth=self._auth)
        except _NOT_SENT as error:
            raise TargetUnavailable(
                f"{self._what(call)} could not be sent: {self._reason(error)}. If this lasts, check the field "
                f"'{self.target.field}' of connection '{self.target.conn_id}'."
            ) from None
        except httpx.RequestError as error:
            what = f"{self._what(call)} got no answer: {self._reason(error)}."
            raise AmbiguousOutcome(what, under_way=True) from None
        if log.isEnabledFor(logging.DEBUG):
            took = 1000 * (time.monotonic() - started)
            log.debug(
                "%s: %d after %.0f ms (%s)",
                self._what(call),
                response.status_code,
                took,
                correlation_id(response),
            )
        return response

    def _session(self) -> Session:
        key = (self.target.name, self.target.url, self.tuning)
        return per_process(key, lambda: _new_session(self.target, self.tuning))

    def _pause(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        asked = getattr(error, "retry_after", None)
        if asked is None:
            return self.tuning.backoff(state.attempt_number)
        return float(asked) + random.uniform(0.0, self.tuning.backoff_seconds)

    def _log_retry(self, call: Call[Any], state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        log.warning(
            "%s failed at attempt %d and is sent again in %.1f s: %s",
            self._what(call),
            state.attempt_number,
            state.upcoming_sleep,
            self.clean(str(error)),
        )

    def _what(self, call: Call[Any]) -> str:
        return f"{self.target.name} {call.name}"

    def _reason(self, error: Exception) -> str:
        return self.clean(str(error)) or type(error).__name__


def _counts(state: RetryCallState) -> bool:
    """Whether an attempt failed by the target's fault; asking us to wait is none, and bounded by time alone."""
    error = state.outcome.exception() if state.outcome is not None else None
    return not isinstance(error, (RateLimited, CircuitOpen))


def _again(error: BaseException, idempotent: bool) -> bool:
    if isinstance(error, AmbiguousOutcome):
        return idempotent
    return isinstance(error, RetryableError) and not isinstance(error, _WAITED)


# Answers


def correlation_id(response: httpx.Response) -> str | None:
    """The target's id of this exchange, for its support desk."""
    found = (response.headers.get(name) for name in CORRELATION_HEADERS)
    return next((value for value in found if value), None)


def retry_after(response: httpx.Response) -> float | None:
    """Seconds that the ``Retry-After`` header asks to wait, given in seconds or as a date; ``None`` without one.

    A date is compared with the answer's own ``Date``, so that the two clocks need not agree.
    """
    text = response.headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    until = _http_date(text)
    if until is None:
        return None
    sent = _http_date(response.headers.get("date", "")) or datetime.now(UTC)
    return max(0.0, (until - sent).total_seconds())


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


# Connections


def checked_url(conn_id: str, field: str, url: str) -> None:
    """Refuse a URL that no request can go to.

    :raises ConnectionConfigError: naming the field.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in ("http", "https") or not rest or any(char.isspace() for char in url):
        problem = f"'{url}' is no URL with scheme"
        raise ConnectionConfigError(
            conn_id, field, problem, "Give it with https:// and, where needed, the port."
        )
    try:
        httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConnectionConfigError(conn_id, field, f"'{url}' is no URL: {error}", "Correct it.") from None


def checked_secret(conn_id: str, field: str, value: str) -> None:
    """Refuse a credential that no header can carry; the message does not show it.

    :raises ConnectionConfigError: naming the field.
    """
    if not value:
        raise ConnectionConfigError(conn_id, field, "it is empty", "Fill it in.")
    if not value.isascii() or not value.isprintable() or " " in value:
        problem = "it holds a space, a line break or another character that no such value has"
        raise ConnectionConfigError(conn_id, field, problem, "Copy it again, without anything around it.")


# What a process keeps

_KEPT: dict[tuple[int, Hashable], Any] = {}


def per_process(key: Hashable, make: Callable[[], Value]) -> Value:
    """The process's one value for a key. Neither sockets nor locks may be shared with the process forked from."""
    own = (os.getpid(), key)
    found = _KEPT.get(own)
    return cast("Value", found if found is not None else _KEPT.setdefault(own, make()))


def close_sessions() -> None:
    """Close this process's connections and forget its tokens; the next call opens new ones."""
    for own in [own for own in _KEPT if own[0] == os.getpid()]:
        kept = _KEPT.pop(own, None)
        if isinstance(kept, Session):
            kept.http.close()


def _new_session(target: Target, tuning: Tuning) -> Session:
    http = httpx.Client(
        verify=per_process("certificates", httpx.create_ssl_context),
        timeout=httpx.Timeout(tuning.read_seconds, connect=tuning.connect_seconds),
        limits=httpx.Limits(
            max_connections=tuning.connections,
            max_keepalive_connections=tuning.connections,
            keepalive_expiry=30.0,
        ),
        headers={"User-Agent": "cogent-ops", "Accept": "application/json"},
        follow_redirects=False,
    )
    # Links may share the session, and what a gateway sets for one account is not for another.
    http.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return Session(http, Breaker(target.name, tuning.breaker_failures, tuning.breaker_seconds))


class _NoUrls(logging.Filter):
    """Drops httpx's own line about requests to our targets: it shows URLs, and predicates can hold personal data."""

    def __init__(self) -> None:
        super().__init__()
        self.hosts: set[bytes] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record stays."""
        arguments = record.args if isinstance(record.args, tuple) else ()
        return not any(isinstance(one, httpx.URL) and one.netloc in self.hosts for one in arguments)


_NO_URLS = _NoUrls()


def _hush_httpx(url: str) -> None:
    _NO_URLS.hosts.add(httpx.URL(url).netloc)
    logging.getLogger("httpx").addFilter(_NO_URLS)
