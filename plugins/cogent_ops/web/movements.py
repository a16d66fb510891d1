"""The endpoint for movements and counts of stores' systems: ``POST <prefix>/<link>`` with ``{"movements": […]}``.

Machines send here, so there is no Airflow login but a token (``cogent_ops_movements_<link>``). The answer comes after
everything that was accepted is stored, and says of each row what became of it; sending all of it again changes nothing.
For those who send: ``docs/movements.md``.
"""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cogent_ops.domain.stock import Source
from cogent_ops.errors import CogentOpsError, PermanentError, RetryableError
from cogent_ops.hooks import movement_tokens
from cogent_ops.links import link_names
from cogent_ops.runtime import Runtime
from cogent_ops.services.stock.receive import Fate, Inbox, Received, receive
from cogent_ops.web.tokens import Tokens

if TYPE_CHECKING:
    from fastapi import FastAPI

log = logging.getLogger(__name__)

MOST_ROWS = 1000
MOST_BYTES = 2 * 1024 * 1024
#: Connections are read again after so long, and what is missing is looked for again.
RENEW_SECONDS = 60.0
RETRY_SECONDS = 5.0
#: The first callers wait so long for the one who reads.
FIRST_SECONDS = 2.0
#: Threads that this endpoint may use, of which Airflow's own API must always have enough left.
THREADS = 8
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Refused(PermanentError):
    """The request as a whole is wrong; none of it was stored."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class NotOpen(RetryableError):
    """The endpoint cannot work; the log says why and what the cure is."""


@dataclass(frozen=True)
class _Door:
    """What a link's endpoint works with, or why it does not."""

    tokens: Tokens | None = None
    inbox: Inbox | None = None
    read_at: float = field(default_factory=time.monotonic)

    @property
    def is_fresh(self) -> bool:
        return time.monotonic() - self.read_at < (RENEW_SECONDS if self.tokens else RETRY_SECONDS)


class Doors:
    """The endpoints of all links, each read again once a minute while it is used.

    One caller reads at a time. The others go on with what was read before: when the store or a secrets backend does not
    answer, they must not wait for it one after another.
    """

    def __init__(self) -> None:
        self._doors: dict[str, _Door] = {}
        self._reading: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def door(self, link: str) -> tuple[Tokens, Inbox]:
        """Tokens and inbox of a link.

        :raises Refused: when there is no such link.
        :raises NotOpen: when something that it needs is missing.
        """
        found = self._doors.get(link)
        if found is None or not found.is_fresh:
            found = self._renewed(link, found)
        if found.tokens is None or found.inbox is None:
            raise NotOpen("The endpoint is not set up completely.", retry_after=RETRY_SECONDS)
        return found.tokens, found.inbox

    def _renewed(self, link: str, before: _Door | None) -> _Door:
        if link not in link_names():
            raise Refused(404, "unknown_link", "There is no such link. The address ends in the link's name.")
        reading = self._reading[link]
        # In the beginning there is nothing to go on with.
        if not reading.acquire(timeout=FIRST_SECONDS if before is None else 0):
            return before or _Door()
        try:
            found = self._doors.get(link)
            if found is None or not found.is_fresh:
                found = self._doors[link] = self._read(link)
            return found
        finally:
            reading.release()

    @staticmethod
    def _read(link: str) -> _Door:
        try:
            tokens, runtime = Tokens(movement_tokens(link)), Runtime(link)
            return _Door(tokens, Inbox(link, runtime.store, runtime.project, Source.API))
        except CogentOpsError as error:
            log.error("The endpoint for movements of link '%s' lets nobody in: %s", link, error)  # noqa: TRY400
            return _Door()


def create_app() -> FastAPI:
    """The app, for the API server."""
    from fastapi import FastAPI

    doors = Doors()
    # Its own: when the store does not answer, callers wait for each other, and nobody else of the API server does.
    threads = CapacityLimiter(THREADS)

    async def take(request: Request) -> Response:
        link = str(request.path_params["link"])
        tokens, inbox = await run_sync(doors.door, link, limiter=threads)
        if not tokens.admit(request.headers.get("authorization")):
            raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"})
        rows = _rows(await _body(request))
        results = await run_sync(
            receive, inbox, rows, datetime.now(UTC), f"api-{uuid4().hex}", limiter=threads
        )
        return JSONResponse(_summary(results), headers=HEADERS)

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_route("/{link}", take, methods=["POST"])
    app.add_route("/{link}/", take, methods=["POST"])
    app.add_exception_handler(CogentOpsError, _explain)
    app.add_exception_handler(HTTPException, _explain)
    return app


async def _body(request: Request) -> bytes:
    """The body, as far as it is not too long."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MOST_BYTES:
            text = f"A request has at most {MOST_BYTES} bytes. Send fewer movements at once."
            raise Refused(413, "too_large", text)
    return bytes(content)


def _rows(body: bytes) -> list[Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "no_json", f"The body is no JSON: {error}"[:300]) from error
    rows = content.get("movements") if isinstance(content, dict) else None
    if not isinstance(rows, list):
        raise Refused(400, "no_movements", 'The body has to be an object with a list: {"movements": […]}.')
    if len(rows) > MOST_ROWS:
        text = f"A request has at most {MOST_ROWS} movements, not {len(rows)}. Send the others in further requests."
        raise Refused(413, "too_many", text)
    return rows


def _summary(results: list[tuple[str | None, Received]]) -> dict[str, Any]:
    fates = [one.fate for _, one in results]
    return {
        "accepted": fates.count(Fate.ACCEPTED),
        "duplicates": fates.count(Fate.DUPLICATE),
        "rejected": fates.count(Fate.REJECTED),
        "results": [_result(id_, one) for id_, one in results],
    }


def _result(id_: str | None, one: Received) -> dict[str, Any]:
    told = {"id": id_, "status": one.fate.value}
    if one.problem is None:
        return told
    problem = one.problem
    return told | {
        "field": problem.field,
        "rule": problem.rule,
        "message": f"{problem.message}.",
        "cure": problem.cure,
    }


async def _explain(_request: Request, error: Exception) -> Response:
    """The error answer; what only the operator may know is in the log."""
    headers = dict(HEADERS)
    if isinstance(error, Refused):
        status, code, message = error.status, error.code, str(error)
    elif isinstance(error, HTTPException):
        status = error.status_code
        code, message = _BY_STATUS.get(status, ("refused", error.detail))
        headers |= error.headers or {}
    else:
        if not isinstance(error, NotOpen):
            log.error("Movements could not be stored: %s", error)
        status, (code, message) = 503, _NOT_OPEN if isinstance(error, NotOpen) else _UNAVAILABLE
        headers["Retry-After"] = str(max(1, math.ceil(getattr(error, "retry_after", None) or RETRY_SECONDS)))
    return JSONResponse({"error": code, "message": message}, status, headers)


_BY_STATUS = {
    401: ("unauthorized", "Send the endpoint's token: Authorization: Bearer <token>."),
    404: ("not_found", "The address ends in the link's name, e.g. /cogent_ops/movements/default."),
    405: ("method_not_allowed", "Send movements with POST."),
}
_UNAVAILABLE = ("unavailable", "Nothing of this request is certain to be stored. Send all of it again.")
_NOT_OPEN = (
    "not_configured",
    "The endpoint is not set up completely; the log of Airflow's API server says how. Nothing was stored.",
)
