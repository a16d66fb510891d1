"""Pages of reports that lie in the data root, whichever flow wrote them: the list of them, and the files of each.

Airflow does not authenticate plugin apps, so one guard hangs on the whole app: it asks for a login, and for the right
to read the DAG that writes the reports, of each link. Pages are served without scripts.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from cogent_ops.links import link_names
from cogent_ops.web.desk.access import has_right

if TYPE_CHECKING:
    from fastapi import FastAPI
    from jinja2 import Template
    from upath import UPath

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'self'; "
        "form-action 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}
#: So many reports of each link are listed.
RECENT_RUNS = 50


def guarded_app(flow: str) -> FastAPI:
    """An app for those who may read a flow's DAG.

    It answers 401 without a login, 403 without the right for any link, and 404 for a link that is not theirs to read.
    """
    from airflow.api_fastapi.core_api.security import get_user
    from fastapi import Depends, FastAPI

    def check(request: Request, user: Any = Depends(get_user)) -> None:  # noqa: B008  # FastAPI's way
        links = tuple(name for name in link_names() if has_right(request, user, "GET", flow, name))
        if not links:
            raise HTTPException(403, f"You may not read this. It takes the right to read the DAG {flow}.")
        if request.path_params.get("link", links[0]) not in links:
            raise HTTPException(404, "There is no such link, or it is not yours to read.")
        request.state.links = links

    return FastAPI(dependencies=[Depends(check)], docs_url=None, redoc_url=None, openapi_url=None)


def add_reports(
    app: FastAPI,
    listing: Callable[[Sequence[str]], str],
    find: Callable[[str, str, str], UPath | None],
    missing: str,
    headers: Mapping[str, str] = HEADERS,
) -> FastAPI:
    """Add the list and the files; call it last, because it answers for every other address.

    :param listing: the page that lists the reports of links.
    :param find: the file of a link's report; ``None``: there is none.
    :param missing: what is said then.
    :param headers: of the files.
    """

    @app.get("/")
    def index(request: Request) -> Response:
        return HTMLResponse(listing(request.state.links), headers=HEADERS)

    @app.get("/{link}/{name}/{file:path}")
    def report(link: str, name: str, file: str) -> Response:
        found = find(link, name, file)
        if found is None:
            raise HTTPException(404, missing)
        kind = mimetypes.guess_type(found.name)[0] or "application/octet-stream"
        return Response(found.read_bytes(), media_type=kind, headers=headers)

    return app


def inside(folder: Callable[[], UPath], name: str, file: str) -> UPath | None:
    """A file of a report's folder; ``None`` when there is none, or the path leads anywhere else.

    :param folder: asked for once ``name``, of which it is made, has turned out to be a plain name.
    """
    parts = PurePosixPath(file or "index.html").parts
    if any(one in ("..", ".") or "\\" in one or one.startswith("/") for one in (name, *parts)):
        return None
    found = folder().joinpath(*parts)
    return found if found.is_file() else None


def template(name: str) -> Template:
    """A page of this package."""
    from jinja2 import Environment, PackageLoader, select_autoescape

    pages = Environment(
        loader=PackageLoader("cogent_ops.web"), autoescape=select_autoescape(), trim_blocks=True
    )
    return pages.get_template(name)
