"""The playbook as a page: the same book as ``docs/playbook.md``, with links that lead to the pages themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from cogent_ops.config import book_in_force, load_config, policies_in_force
from cogent_ops.errors import ConfigError
from cogent_ops.services.playbook import playbook as whole_book
from cogent_ops.web.desk.access import visit_of

if TYPE_CHECKING:
    from fastapi import APIRouter

    from cogent_ops.web.desk.frame import Desk


def add_routes(router: APIRouter, desk: Desk) -> None:
    """Add the page."""

    @router.get("/playbook")
    def playbook(request: Request) -> Response:
        visit = visit_of(request)
        try:
            links = load_config().links
        except ConfigError:
            # Somebody may look for what to do about just that.
            links = {}
        readable = {name: one for name, one in links.items() if name in visit.links}
        book = whole_book(policies_in_force(), book_in_force(), readable, link=visit.link)
        return desk.page(request, "desk/playbook.html", title=book.title, part="playbook", book=book)
