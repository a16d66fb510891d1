"""Sync Health: how a link stands, on one page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from cogent_ops.web.desk.access import visit_of

if TYPE_CHECKING:
    from fastapi import APIRouter

    from cogent_ops.web.desk.frame import Desk


def add_routes(router: APIRouter, desk: Desk) -> None:
    """Add the page."""

    @router.get("/")
    def health(request: Request) -> Response:
        visit = visit_of(request)
        snapshot = desk.runtime(visit.link).store.health.snapshot(visit.link)
        return desk.page(request, "desk/health.html", title="Sync Health", part="health", snapshot=snapshot)
