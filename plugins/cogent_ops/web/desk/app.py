"""The desk as the API server runs it: one app, one guard, and the pages that its parts add."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from cogent_ops.errors import CogentOpsError, RetryableError
from cogent_ops.web.desk import explain, health, inbox, playbook
from cogent_ops.web.desk.access import guard
from cogent_ops.web.desk.frame import Desk, NotFound

if TYPE_CHECKING:
    from fastapi import FastAPI

log = logging.getLogger(__name__)

#: Modules with ``add_routes(router, desk)``.
PARTS = (health, inbox, explain, playbook)


def create_app() -> FastAPI:
    """The app, for the API server."""
    from fastapi import APIRouter, Depends, FastAPI

    desk = Desk()
    guarded = [Depends(guard())]
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    router = APIRouter()
    for part in PARTS:
        part.add_routes(router, desk)

    @router.get("/static/{name}")
    def static(name: str) -> Response:
        return desk.static(name)

    # No coroutines: a page reads files and is rendered, which must not hold up everything else of the API server.
    def refused(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        return desk.refusal(request, status, str(getattr(error, "detail", "")))

    def failed(request: Request, error: Exception) -> Response:
        if isinstance(error, NotFound):
            return desk.refusal(request, 404, str(error))
        log.error("The desk cannot show %s: %s", request.url.path, error)
        return desk.refusal(request, 503 if isinstance(error, RetryableError) else 500, str(error))

    app.include_router(router, dependencies=guarded)
    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(CogentOpsError, failed)
    return app
