"""Report pages in Airflow's user interface: the list of catalogue runs, and each run's report, fix list and Data Docs.

Airflow does not authenticate plugin apps, so every route here asks for a login and for the right to read the catalogue
DAGs. Pages come from the data root, wherever that is, and are served without scripts of their own.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cogent_ops.links import link_names
from cogent_ops.runtime import Runtime
from cogent_ops.services.catalogue.plan import Flow
from cogent_ops.services.catalogue.runfolder import RunFolder

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.responses import Response
    from jinja2 import Template
    from upath import UPath

#: Data Docs carry inline styles and scripts; nothing may be loaded from, or sent to, anywhere else.
POLICY = (
    "default-src 'none'; img-src 'self' data:; font-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-inline'; frame-ancestors 'self'; form-action 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}
RECENT_RUNS = 50


def create_app() -> FastAPI:
    """The app, for the API server."""
    from airflow.api_fastapi.core_api.security import requires_access_dag, requires_authenticated
    from fastapi import Depends, FastAPI, HTTPException
    from fastapi.responses import HTMLResponse

    reader = [Depends(requires_authenticated()), Depends(requires_access_dag("GET", None, Flow.SYNC.value))]
    app = FastAPI(dependencies=reader, docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/", dependencies=reader)
    def index() -> HTMLResponse:
        return HTMLResponse(render_index(), headers=HEADERS)

    @app.get("/{link}/{run_key}/{file:path}", dependencies=reader)
    def report(link: str, run_key: str, file: str) -> Response:
        found = report_file(link, run_key, file)
        if found is None:
            raise HTTPException(
                404, "There is no such report. It is written when the run's report task has ended."
            )
        return served_file(found)

    return app


def report_file(link: str, run_key: str, file: str) -> UPath | None:
    """A file of a run's report; ``None`` when there is none, or the path leads anywhere else."""
    if link not in link_names():
        return None
    return inside(lambda: RunFolder(Runtime(link).data_root, link, run_key).path / "report", run_key, file)


def inside(folder: Callable[[], UPath], run: str, file: str) -> UPath | None:
    """A file of a report's folder; ``None`` when there is none, or the path leads anywhere else.

    :param folder: asked for once ``run``, of which it is made, has turned out to be a plain name.
    """
    parts = PurePosixPath(file or "index.html").parts
    if any(name in ("..", ".") or "\\" in name or name.startswith("/") for name in (run, *parts)):
        return None
    found = folder().joinpath(*parts)
    return found if found.is_file() else None


def served_file(found: UPath) -> Response:
    """A file as an answer."""
    from fastapi.responses import Response

    kind = mimetypes.guess_type(found.name)[0] or "application/octet-stream"
    return Response(found.read_bytes(), media_type=kind, headers=HEADERS)


def template(name: str) -> Template:
    """A page of this package."""
    from jinja2 import Environment, PackageLoader, select_autoescape

    pages = Environment(
        loader=PackageLoader("cogent_ops.web"), autoescape=select_autoescape(), trim_blocks=True
    )
    return pages.get_template(name)


def render_index() -> str:
    """The list of runs of all links, the youngest first."""
    runs = [
        run for link in link_names() for run in Runtime(link).store.runs.recent(link=link, limit=RECENT_RUNS)
    ]
    runs.sort(key=lambda run: run.started_at, reverse=True)
    return template("runs.html").render(title="Catalogue reports", rows=runs)
