"""The sandbox as a process: both APIs, their faults and the control endpoints behind one port.

============================  =====================================================================
path                          what
============================  =====================================================================
``/ct``                       commercetools HTTP API
``/ct-auth/oauth/token``      commercetools OAuth
``/cloudshelf/graphql``       Cloudshelf GraphQL API
``/_sandbox``                 control endpoints, see :class:`Control`
============================  =====================================================================

It is a plain ASGI application, because faults need the connection itself: a reset or a time-out has no place in the
request-response model of a framework.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from inspect import isawaitable
from types import TracebackType
from typing import Any, Self

import msgspec
import uvicorn
from graphql import GraphQLError

from cogent_ops.errors import CogentOpsError
from cogent_ops.sandbox import subscriptions
from cogent_ops.sandbox.answers import Answer, ApiError, Json, canonical, decode, json_answer
from cogent_ops.sandbox.cloudshelf_api import CloudshelfApi, Request
from cogent_ops.sandbox.cloudshelf_state import CloudshelfState, KioskBehaviour
from cogent_ops.sandbox.collection import Clock, Ids
from cogent_ops.sandbox.commercetools_api import CommercetoolsApi, Operation
from cogent_ops.sandbox.dataset import Dataset
from cogent_ops.sandbox.faults import FaultEngine, FaultPlan, Kind, Rule, describe, whole_seconds
from cogent_ops.sandbox.shopfloor import ShopFloor
from cogent_ops.sandbox.state import Behaviour, CommercetoolsState

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

_COMMERCETOOLS, _AUTH, _CLOUDSHELF, _CONTROL = (
    "/ct/",
    "/ct-auth/oauth/token",
    "/cloudshelf/graphql",
    "/_sandbox",
)
_RETRY_GRACE_SECONDS = 0.25
"""Requests that were under way when a 429 was sent are not held against the client."""
_START_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer, for tests that check traffic against the contracts."""

    api: str
    operation: str
    method: str
    path: str
    query: str
    request: bytes
    status: int
    answer: bytes


@dataclass(slots=True)
class Call:
    """A request on its way through the sandbox.

    :param api: ``commercetools``, ``cloudshelf`` or ``auth``.
    :param operation: its name for fault rules and counters.
    :param act: makes it take effect.
    :param target: id of the commercetools resource that it updates, for conflicts.
    :param records: how many records it carries.
    """

    api: str
    operation: str
    act: Callable[[], Answer | Awaitable[Answer]]
    target: tuple[str, str] | None = None
    records: int = 0


@dataclass(slots=True)
class Counters:
    """What the sandbox saw. ``avoidable_429`` counts 429s that a client earned by ignoring Retry-After."""

    requests: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    records: Counter[str] = field(default_factory=Counter)
    rate_limited: Counter[str] = field(default_factory=Counter)
    inside_retry_after: Counter[str] = field(default_factory=Counter)
    avoidable_429: Counter[str] = field(default_factory=Counter)
    in_flight: Counter[str] = field(default_factory=Counter)
    most_in_flight: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> Json:
        """Counters by name, then by operation or API."""
        return {
            name: {what: count for what, count in sorted(getattr(self, name).items()) if count}
            for name in (
                "requests",
                "statuses",
                "records",
                "rate_limited",
                "inside_retry_after",
                "avoidable_429",
                "most_in_flight",
            )
        }


class SandboxState:
    """Both systems, their shared clock and the people who use them.

    :param dataset: what commercetools starts with; Cloudshelf starts empty.
    """

    def __init__(self, dataset: Dataset, behaviour: Behaviour, kiosk: KioskBehaviour, seed: int) -> None:
        self.clock = Clock()
        self.commercetools = CommercetoolsState(dataset, self.clock, behaviour, seed)
        self.cloudshelf = CloudshelfState(self.clock, kiosk, seed)
        self.floor = ShopFloor(self.commercetools, self.cloudshelf)


class SandboxApp:
    """The ASGI application."""

    def __init__(
        self, state: SandboxState, plan: FaultPlan, observer: Callable[[Exchange], None] | None = None
    ) -> None:
        self.state = state
        self.faults = FaultEngine(plan)
        self.counters = Counters()
        self.commercetools = CommercetoolsApi(state.commercetools)
        self.cloudshelf = CloudshelfApi(state.cloudshelf, self.faults.spend)
        self.find_transport: Callable[[Any], asyncio.Transport | None] = lambda client: None
        state.commercetools.messages_stopped = self.faults.messages_stopped
        state.cloudshelf.refuse, state.cloudshelf.blemish = self.faults.refuse, self.faults.blemish
        self._observer = observer
        self._control = Control(self)
        self._request_ids = Ids(plan.seed + 2)
        self._quiet: dict[str, tuple[float, float]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        body = await _body(receive)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        path = scope["raw_path"].decode("latin-1").split("?")[0]
        query = scope["query_string"].decode("latin-1")
        if path.startswith(_CONTROL):
            answer: Answer | None = self._control.handle(scope["method"], path.removeprefix(_CONTROL), body)
        else:
            call = self._recognise(scope["method"], path, query, headers, body)
            content = b"\0".join((scope["method"].encode(), path.encode(), query.encode(), body))
            answer = await self._run(call, content)
            if answer is not None and self._observer is not None:
                self._observer(
                    Exchange(
                        call.api,
                        call.operation,
                        scope["method"],
                        path,
                        query,
                        body,
                        answer.status,
                        answer.body,
                    )
                )
            if answer is not None:
                answer.headers.append(self._correlation(call.api, headers))
        if answer is None:
            await self._break(scope, receive)
        else:
            await _send(answer, send)

    def counted(self) -> Json:
        """Counters, and the faults that struck by API and kind; nothing that is zero."""
        struck = {what: count for what, count in sorted(self.faults.applied.items()) if count}
        return {**self.counters.as_json(), "faults": struck}

    def forget(self) -> None:
        """Count from nothing, whatever was seen so far."""
        self.counters = Counters(in_flight=self.counters.in_flight)
        self.faults.applied.clear()
        self._quiet.clear()

    # What it is

    def _recognise(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> Call:
        if path == _AUTH:
            return Call("auth", "token", lambda: self.commercetools.token(method, headers, body))
        if path.startswith(_COMMERCETOOLS):
            return self._commercetools_call(method, path.removeprefix("/ct"), query, headers, body)
        if path == _CLOUDSHELF:
            return self._cloudshelf_call(method, headers, body)
        missing = json_answer(404, {"statusCode": 404, "message": f"URI not found: {path}"})
        return Call("commercetools", "unknown", lambda: missing)

    def _commercetools_call(
        self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes
    ) -> Call:
        operation = self.commercetools.operation(method, path)

        def act() -> Answer:
            with self.state.commercetools.lock:
                return self.commercetools.handle(method, path, query, headers, body, operation)

        name = "unknown" if operation is None else operation.name
        return Call("commercetools", name, act, self._conflict_target(operation))

    def _conflict_target(self, operation: Operation | None) -> tuple[str, str] | None:
        """Only looked up when some rule asks for conflicts."""
        if operation is None or not any(rule.kind is Kind.CONFLICT for rule in self.faults.plan.rules):
            return None
        identifier = self.commercetools.target(operation)
        return None if identifier is None else (operation.resource, identifier)

    def _cloudshelf_call(self, method: str, headers: Mapping[str, str], body: bytes) -> Call:
        try:
            request = self.cloudshelf.read(decode(body) if method == "POST" else None)
        except msgspec.DecodeError:
            request = Request(problem=[GraphQLError("The body is no JSON.")])

        def act() -> Answer | Awaitable[Answer]:
            if len(body) > self.state.cloudshelf.behaviour.max_body_bytes:
                return Answer(413, b"<html><body>Request Entity Too Large</body></html>", [], b"text/html")
            with self.state.cloudshelf.lock:
                return self.cloudshelf.handle(request, headers)

        return Call("cloudshelf", request.name, act, records=request.records)

    # What happens to it

    async def _run(self, call: Call, content: bytes) -> Answer | None:
        """Count, limit, delay, break; ``None`` means that the connection must break."""
        self._count_in(call)
        try:
            answer = await self._with_faults(call, content)
        finally:
            self.counters.in_flight[call.api] -= 1
        if answer is not None:
            self.counters.statuses[f"{call.api}.{answer.status}"] += 1
        return answer

    def _count_in(self, call: Call) -> None:
        counters = self.counters
        counters.requests[f"{call.api}.{call.operation}"] += 1
        if call.records:
            counters.records[f"{call.api}.{call.operation}"] += call.records
        counters.in_flight[call.api] += 1
        counters.most_in_flight[call.api] = max(
            counters.most_in_flight[call.api], counters.in_flight[call.api]
        )

    async def _with_faults(self, call: Call, content: bytes) -> Answer | None:
        quiet = self._inside_quiet_time(call.api)
        wait = self.faults.over_limit(call.api)
        if wait > 0:
            self.counters.avoidable_429[call.api] += quiet
            return self._throttled(call.api, wait if self.faults.says_when(call.api) else 0)
        latency = self.faults.latency(call.api)
        if latency > 0:
            await asyncio.sleep(latency)
        versioned = call.target is not None
        rule = self.faults.decide(call.api, call.operation, content, versioned=versioned)
        if rule is None:
            return await self._act(call)
        if rule.kind is Kind.THROTTLE:
            self.counters.avoidable_429[call.api] += quiet
            return self._throttled(call.api, rule.retry_after)
        return await self._faulty(call, rule)

    async def _faulty(self, call: Call, rule: Rule) -> Answer | None:
        answer: Answer | None = None
        if rule.kind is Kind.CONFLICT and call.target is not None:
            with self.state.commercetools.lock:
                self.state.commercetools.touch(*call.target)
            return await self._act(call)
        if rule.kind is Kind.SLOW or rule.when == "after":
            answer = await self._act(call)
        if rule.kind in (Kind.SLOW, Kind.TIMEOUT):
            await asyncio.sleep(rule.delay)
        if rule.kind is Kind.SLOW:
            return answer
        return self._server_error(call.api, rule) if rule.kind is Kind.ERROR else None

    @staticmethod
    async def _act(call: Call) -> Answer:
        answer = call.act()
        return await answer if isawaitable(answer) else answer

    def _server_error(self, api: str, rule: Rule) -> Answer:
        if api == "cloudshelf" and rule.status < 400:
            error = {"message": "Internal server error", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}
            return json_answer(rule.status, {"data": None, "errors": [error]})
        code = {502: "BadGateway", 503: "OverCapacity"}.get(rule.status, "General")
        answer = ApiError(rule.status, code, "The sandbox was told to fail here.").answer()
        if api == "cloudshelf":
            answer = Answer(rule.status, b"<html><body>upstream error</body></html>", [], b"text/html")
        if rule.status == 503 and "retry_after" in rule.model_fields_set and rule.retry_after > 0:
            answer.headers.append((b"retry-after", str(whole_seconds(rule.retry_after)).encode()))
        return answer

    def _throttled(self, api: str, wait: float) -> Answer:
        self.counters.rate_limited[api] += 1
        answer = json_answer(429, {"statusCode": 429, "message": "Too many requests."})
        if wait > 0:
            seconds = whole_seconds(wait)
            answer.headers.append((b"retry-after", str(seconds).encode()))
            now = time.monotonic()
            since, until = self._quiet.get(api, (now, now))
            self._quiet[api] = (since if until > now else now, max(until, now + seconds))
        return answer

    def _inside_quiet_time(self, api: str) -> bool:
        """Whether the client sends although it was asked to wait."""
        since, until = self._quiet.get(api, (0.0, 0.0))
        inside = since + _RETRY_GRACE_SECONDS < time.monotonic() < until
        self.counters.inside_retry_after[api] += inside
        return inside

    def _correlation(self, api: str, headers: Mapping[str, str]) -> tuple[bytes, bytes]:
        made = self._request_ids.uuid()
        if api == "cloudshelf":
            return b"x-request-id", made.encode()
        sent = headers.get("x-correlation-id", f"{self.state.commercetools.key}/{made}")
        return b"x-correlation-id", sent.encode("latin-1")

    async def _break(self, scope: Scope, receive: Receive) -> None:
        """Reset the TCP connection, and wait until the server has noticed."""
        transport = self.find_transport(scope["client"])
        if transport is not None:
            raw = transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        while (await receive())["type"] != "http.disconnect":
            continue


async def _body(receive: Receive) -> bytes:
    message = await receive()
    if not message.get("more_body"):
        return bytes(message.get("body", b""))
    chunks = [message.get("body", b"")]
    while message.get("more_body"):
        message = await receive()
        chunks.append(message.get("body", b""))
    return b"".join(chunks)


async def _send(answer: Answer, send: Send) -> None:
    headers = [
        (b"content-type", answer.content_type),
        (b"content-length", str(len(answer.body)).encode()),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


class Control:
    """The endpoints under ``/_sandbox``, which no real API has.

    - ``GET /health``: 200 once it runs.
    - ``GET /state``: how many of what there is; ``GET /state/commercetools`` and ``GET /state/cloudshelf``: the
      content as canonical JSON, without timestamps and internal ids, for comparing end states.
    - ``GET /counters``, ``DELETE /counters``.
    - ``GET /faults``, ``PUT /faults`` (a plan as JSON), ``DELETE /faults``.
    - ``POST /reset`` ``{"api": "commercetools" | "cloudshelf"}`` (both when left out).
    - ``GET /clock``, ``POST /clock`` ``{"advance_seconds": 60}``.
    - ``POST /change`` ``{"change": "unpublish", "product": …}``: see :data:`cogent_ops.sandbox.shopfloor.CHANGES`.
    - ``POST /tokens/expire``: invalidate every access token.
    - ``GET /subscriptions``: what each Subscription has delivered, holds back, and has discarded.
    """

    def __init__(self, app: SandboxApp) -> None:
        self._app = app

    def handle(self, method: str, path: str, body: bytes) -> Answer:
        """Answer a control request."""
        handlers: dict[str, Callable[[Json], Json]] = {
            "GET /health": lambda given: {"ok": True},
            "GET /state": lambda given: self._sizes(),
            "GET /counters": lambda given: self._app.counted(),
            "DELETE /counters": lambda given: self._forget(),
            "GET /faults": lambda given: describe(self._app.faults.plan),
            "PUT /faults": self._use_faults,
            "DELETE /faults": lambda given: self._use_faults({}),
            "POST /reset": self._reset,
            "GET /clock": lambda given: {"now": self._app.state.clock.stamp()},
            "POST /clock": self._advance,
            "POST /change": self._change,
            "POST /tokens/expire": lambda given: self._expire_tokens(),
            "GET /subscriptions": lambda given: self._subscriptions(),
        }
        handler = handlers.get(f"{method} {path.rstrip('/')}")
        try:
            if path in ("/state/commercetools", "/state/cloudshelf") and method == "GET":
                return Answer(200, self.dump(path.rpartition("/")[2]))
            if handler is None:
                return json_answer(404, {"error": f"{method} {path} is no control endpoint."})
            return json_answer(200, handler(_object(body)))
        except KeyError as error:
            return json_answer(400, {"error": f"The field {error} is missing."})
        except (CogentOpsError, ValueError, TypeError) as error:
            return json_answer(400, {"error": str(error)})

    def dump(self, api: str) -> bytes:
        """Content of one system as canonical JSON."""
        state = self._app.state
        side: CommercetoolsState | CloudshelfState = (
            state.cloudshelf if api == "cloudshelf" else state.commercetools
        )
        with side.lock:
            if isinstance(side, CommercetoolsState):
                side.settle()
            return canonical(side.canonical())

    def _sizes(self) -> Json:
        state = self._app.state
        with state.commercetools.lock, state.cloudshelf.lock:
            state.commercetools.settle()
            return {
                "commercetools": {
                    name: len(found) for name, found in state.commercetools.collections.items()
                },
                "cloudshelf": {
                    **{kind: len(found) for kind, found in state.cloudshelf.entities.items()},
                    "StockLevel": sum(len(levels) for levels in state.cloudshelf.stock.values()),
                },
            }

    def _forget(self) -> Json:
        self._app.forget()
        return {}

    def _use_faults(self, given: Json) -> Json:
        self._app.faults.use(FaultPlan.model_validate(given))
        return describe(self._app.faults.plan)

    def _reset(self, given: Json) -> Json:
        state = self._app.state
        sides: dict[str, CommercetoolsState | CloudshelfState] = {
            "commercetools": state.commercetools,
            "cloudshelf": state.cloudshelf,
        }
        wanted = given.get("api")
        if wanted is not None and wanted not in sides:
            raise ValueError(f"'{wanted}' is neither 'commercetools' nor 'cloudshelf'.")
        for side in sides.values() if wanted is None else [sides[wanted]]:
            with side.lock:
                side.reset()
        return {}

    def _advance(self, given: Json) -> Json:
        self._app.state.clock.advance(float(given["advance_seconds"]))
        return {"now": self._app.state.clock.stamp()}

    def _change(self, given: Json) -> Json:
        return self._app.state.floor.change(given.pop("change", ""), given)

    def _subscriptions(self) -> Json:
        state = self._app.state.commercetools
        with state.lock:
            return {"subscriptions": subscriptions.told(state)}

    def _expire_tokens(self) -> Json:
        with self._app.state.commercetools.lock:
            self._app.commercetools.expire_tokens()
        return {}


def _object(body: bytes) -> Json:
    given = decode(body) if body else {}
    if not isinstance(given, dict):
        raise TypeError("A JSON object is expected.")
    return given


class SandboxServer:
    """The sandbox in a background thread of this process; a context manager.

    :param dataset: what commercetools starts with.
    :param faults: what goes wrong; nothing when left out.
    :param port: 0 takes a free one.
    :param seed: of generated ids.
    :param behaviour: open questions about commercetools, token life time, scopes.
    :param kiosk: open questions about Cloudshelf, its limits and settings.
    :param observer: is told every exchange, e.g. to check it against the contracts.
    """

    def __init__(
        self,
        dataset: Dataset,
        faults: FaultPlan | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int = 0,
        behaviour: Behaviour | None = None,
        kiosk: KioskBehaviour | None = None,
        observer: Callable[[Exchange], None] | None = None,
    ) -> None:
        self.state = SandboxState(dataset, behaviour or Behaviour(), kiosk or KioskBehaviour(), seed)
        self.app = SandboxApp(self.state, faults or FaultPlan(), observer)
        self._host, self._port = host, port
        self._thread: threading.Thread | None = None
        self._socket: socket.socket | None = None
        config = uvicorn.Config(
            self.app,
            host=host,
            port=port,
            lifespan="off",
            access_log=False,
            log_level=logging.WARNING,
            timeout_graceful_shutdown=1,
            backlog=1024,
        )
        self._server = uvicorn.Server(config)
        self.app.find_transport = self._transport

    # Where it is

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://{self._host}:{self._port}"

    @property
    def commercetools_url(self) -> str:
        """API base URL, without the project key."""
        return f"{self.url}/ct"

    @property
    def auth_url(self) -> str:
        """OAuth base URL; the token is at ``/oauth/token`` below it."""
        return f"{self.url}/ct-auth"

    @property
    def cloudshelf_url(self) -> str:
        """GraphQL URL."""
        return f"{self.url}/cloudshelf/graphql"

    @property
    def control_url(self) -> str:
        """Base of the control endpoints."""
        return f"{self.url}/_sandbox"

    # What tests want to know and do

    def counters(self) -> Json:
        """What ``GET /_sandbox/counters`` answers."""
        return self.app.counted()

    def dump(self, api: str) -> Json:
        """Content of ``commercetools`` or ``cloudshelf`` for comparing end states."""
        content: Json = decode(Control(self.app).dump(api))
        return content

    def set_faults(self, plan: FaultPlan | None) -> None:
        """Change what goes wrong from now on."""
        self.app.faults.use(plan or FaultPlan())

    # Life

    def start(self) -> Self:
        """Listen and serve.

        :raises OSError: when the port is taken.
        :raises RuntimeError: when the server does not come up.
        """
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((self._host, self._port))
        self._port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="sandbox", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("The sandbox did not start.")
            time.sleep(0.005)
        return self

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket] if self._socket is not None else None)

    def stop(self) -> None:
        """Stop serving; open connections are closed."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(_START_SECONDS)
            self._thread = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def _transport(self, client: Any) -> asyncio.Transport | None:
        for connection in list(self._server.server_state.connections):
            if getattr(connection, "client", None) == tuple(client):
                transport: asyncio.Transport | None = getattr(connection, "transport", None)
                return transport
        return None


def serve(
    dataset: Dataset,
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    seed: int = 0,
    faults: FaultPlan | None = None,
    behaviour: Behaviour | None = None,
    kiosk: KioskBehaviour | None = None,
    traffic: Callable[[ShopFloor], AbstractContextManager[object]] | None = None,
    ready: Callable[[SandboxServer], None] | None = None,
) -> None:
    """Run the sandbox until SIGINT or SIGTERM. Must be called in the main thread.

    :param traffic: makes the simulated customers; they work while the sandbox runs.
    :param ready: is called once it listens.
    :raises OSError: when the port is taken.
    """
    stop = threading.Event()
    old = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with SandboxServer(
            dataset, faults, host=host, port=port, seed=seed, behaviour=behaviour, kiosk=kiosk
        ) as server:
            if ready is not None:
                ready(server)
            with _long_lived_heap(), nullcontext() if traffic is None else traffic(server.state.floor):
                while not stop.wait(0.5):
                    continue
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


@contextmanager
def _long_lived_heap() -> Iterator[None]:
    """Look less often for garbage, and never in what was loaded: with millions of objects that are there to stay, the
    search costs more than all answers together.
    """
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()
