"""The live stock endpoint, which kiosks ask on a product view: ``GET <prefix>/<link>?variant=…&location=…``.

Kiosks are not people: there is no Airflow login here, but a token of its own (``cogent_ops_live_stock_<link>``), which
the kiosk got from the Cloudshelf Manager. Everything else about a request is cheap to refuse, and a request never holds
up the API server: waiting is asynchronous, reading happens in a few threads, and after ``timeout_seconds`` there is an
answer.

An answer that is not known is an error (503), for a zero would tell a shopper that a product is sold out.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from cogent_ops.domain.rules import LiveStockRules
from cogent_ops.errors import CogentOpsError, RetryableError
from cogent_ops.hooks import live_stock_tokens
from cogent_ops.links import link_names
from cogent_ops.runtime import Runtime
from cogent_ops.services.live_stock.cache import Bounds, Freshness, LiveCache
from cogent_ops.services.live_stock.questions import Question, Refused
from cogent_ops.services.live_stock.service import LiveStock
from cogent_ops.services.throttle import Throttle, client_of
from cogent_ops.web.tokens import Tokens

if TYPE_CHECKING:
    from fastapi import FastAPI

log = logging.getLogger(__name__)

#: Connections and files are read again after so long, not for every request.
RENEW_SECONDS = 60.0
#: What is missing is looked for again after so long.
RETRY_SECONDS = 5.0
OPEN_SECONDS = 5.0
#: A client's burst, in seconds' worth of its rate.
BURST_SECONDS = 10.0
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
READABLE = ("Age", "X-Stock-As-Of", "Retry-After")


class NotOpen(RetryableError):
    """A link's endpoint cannot work; the log says why and what the cure is."""


class TooMany(RetryableError):
    """A client asks more often than it may."""


@dataclass(frozen=True)
class Door:
    """What a link's endpoint works with.

    :param tokens: what opens it.
    """

    rules: LiveStockRules
    tokens: Tokens
    throttle: Throttle
    stock: LiveStock


class Doors:
    """The doors of all links, each renewed once a minute while it is used."""

    def __init__(self) -> None:
        self._open_doors: dict[str, Door] = {}
        self._names = LiveCache[frozenset[str]](
            "names of the links",
            lambda keys: dict.fromkeys(keys, frozenset(link_names())),
            Freshness(RENEW_SECONDS, stale=0.0),
            Bounds(keys=1, readers=1),
        )
        self._doors = LiveCache[Door](
            "settings of the live stock endpoint",
            self._read,
            Freshness(RENEW_SECONDS, stale=0.0, retry=RETRY_SECONDS),
            Bounds(readers=2, batch=1),
        )

    async def door(self, link: str) -> Door:
        """The door of a link.

        :raises Refused: when there is no such link.
        :raises NotOpen: when something that it needs is missing.
        """
        deadline = asyncio.get_running_loop().time() + OPEN_SECONDS
        # A mapping that cannot be read names no links, which closes no open door.
        if link not in self._open_doors and link not in (await self._names.get("", deadline)).value:
            raise Refused(404, "unknown_link", "There is no such link. The address ends in the link's name.")
        try:
            return (await self._doors.get(link, deadline)).value
        except CogentOpsError as error:
            raise NotOpen(str(error), retry_after=RETRY_SECONDS) from error

    def last(self, link: str) -> Door | None:
        """The door as it was when it could be opened last."""
        return self._open_doors.get(link)

    def _read(self, links: Sequence[str]) -> dict[str, Door]:
        for link in links:
            self._open_doors[link] = self._opened(link, self._open_doors.get(link))
        return {link: self._open_doors[link] for link in links}

    @staticmethod
    def _opened(link: str, before: Door | None) -> Door:
        """A door, with what another one before it knows already as far as nothing has changed.

        :raises CogentOpsError: without a token; without the rest, too, when there was none before.
        """
        tokens = Tokens(live_stock_tokens(link))
        try:
            stock = Runtime(link).live_stock(before.stock if before else None)
        except CogentOpsError as error:
            if before is None:
                raise
            log.error("Live stock of link '%s' goes on with the settings it had: %s", link, error)  # noqa: TRY400
            stock = before.stock
        rules = stock.config.live_stock
        if before is not None and before.rules == rules:
            return Door(rules, tokens, before.throttle, stock)
        rate = rules.requests_per_minute / 60
        return Door(rules, tokens, Throttle(rate, rate * BURST_SECONDS), stock)


class CorsByLink:
    """Answers browsers about cross-origin requests as the link says that the path ends in."""

    def __init__(self, app: ASGIApp, doors: Doors) -> None:
        self.app, self.doors = app, doors
        self._apps: dict[tuple[str, ...], CORSMiddleware] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        door = await self._door(_link(scope)) if scope["type"] == "http" else None
        app = self.app if door is None else self._with(door.rules.cors_origins)
        await app(scope, receive, send)

    async def _door(self, link: str) -> Door | None:
        try:
            return await self.doors.door(link)
        except CogentOpsError:
            return self.doors.last(link)  # the route meets the same error, and answers it

    def _with(self, origins: tuple[str, ...]) -> ASGIApp:
        if origins not in self._apps:
            self._apps[origins] = CORSMiddleware(
                self.app,
                allow_origins=origins,
                allow_methods=("GET",),
                allow_headers=("*",),
                expose_headers=READABLE,
            )
        return self._apps[origins]


def create_app() -> FastAPI:
    """The app, for the API server."""
    from fastapi import FastAPI

    doors = Doors()

    async def answer(request: Request) -> Response:
        door = await doors.door(_link(request.scope))
        wait = door.throttle.take(_client(request, door.rules))
        if wait:
            raise TooMany("Too many requests from this address.", retry_after=wait)
        if not door.tokens.admit(request.headers.get("authorization")):
            raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"})
        found = await door.stock.answer(Question.of(request.query_params.multi_items()))
        as_of = datetime.now(UTC) - timedelta(seconds=found.age)
        return JSONResponse(
            found.body,
            headers={
                **HEADERS,
                "Age": str(int(found.age)),
                "X-Stock-As-Of": as_of.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            },
        )

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(CorsByLink, doors=doors)
    app.add_route("/{link}", answer, methods=["GET"])
    app.add_route("/{link}/", answer, methods=["GET"])
    app.add_exception_handler(CogentOpsError, _explain)
    app.add_exception_handler(HTTPException, _explain)
    return app


async def _explain(_request: Request, error: Exception) -> Response:
    """The error answer; what only the operator may know is in the log."""
    headers = dict(HEADERS)
    if isinstance(error, Refused):
        status, code, message = error.status, error.code, str(error)
    elif isinstance(error, HTTPException):
        status, code, message = (
            error.status_code,
            *_BY_STATUS.get(error.status_code, ("refused", error.detail)),
        )
        headers |= error.headers or {}
    else:
        status, (code, message) = (429, _TOO_MANY) if isinstance(error, TooMany) else (503, _UNKNOWN)
        if isinstance(error, NotOpen):
            code, message = _NOT_OPEN
        wait = getattr(error, "retry_after", None) or 1.0
        headers["Retry-After"] = str(max(1, math.ceil(wait)))
    return JSONResponse({"error": code, "message": message}, status, headers)


_BY_STATUS = {
    401: ("unauthorized", "Send the endpoint's token: Authorization: Bearer <token>."),
    404: ("not_found", "The address ends in the link's name, e.g. /cogent_ops/live-stock/default."),
    405: ("method_not_allowed", "Ask with GET."),
}
_TOO_MANY = ("too_many_requests", "This address asks more often than it may. Wait as Retry-After says.")
_UNKNOWN = ("unavailable", "The stock is not known at this moment. It is not zero; ask again.")
_NOT_OPEN = (
    "not_configured",
    "The endpoint is not set up completely; the log of Airflow's API server says how.",
)


def _link(scope: Scope) -> str:
    return str(scope["path"]).rstrip("/").rpartition("/")[2]


def _client(request: Request, rules: LiveStockRules) -> str:
    peer = request.client.host if request.client else None
    return client_of(peer, request.headers.getlist("x-forwarded-for"), rules.trusted_proxies)
