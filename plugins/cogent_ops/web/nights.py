"""Nights in Airflow's user interface: the list of them, and each night's report and CSV.

Airflow does not authenticate plugin apps, so every route here asks for a login and for the right to read the DAG.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cogent_ops.links import link_names
from cogent_ops.runtime import Runtime
from cogent_ops.web.reports import HEADERS, RECENT_RUNS, inside, served_file, template

if TYPE_CHECKING:
    from fastapi import FastAPI
    from upath import UPath

DAG = "drift_reconciliation"


def create_app() -> FastAPI:
    """The app, for the API server."""
    from airflow.api_fastapi.core_api.security import requires_access_dag, requires_authenticated
    from fastapi import Depends, FastAPI, HTTPException
    from fastapi.responses import HTMLResponse, RedirectResponse, Response

    reader = [Depends(requires_authenticated()), Depends(requires_access_dag("GET", None, DAG))]
    app = FastAPI(dependencies=reader, docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/", dependencies=reader)
    def index() -> HTMLResponse:
        return HTMLResponse(render_index(), headers=HEADERS)

    @app.get("/{link}/run/{run_key}", dependencies=reader)
    def of_run(link: str, run_key: str) -> RedirectResponse:
        night = Runtime(link).store.drift.of_run(link, run_key) if link in link_names() else None
        if night is None:
            raise HTTPException(404, "This run has compared no night yet; the report task writes its page.")
        return RedirectResponse(f"../{night}/index.html", headers=HEADERS)

    @app.get("/{link}/{night}/{file:path}", dependencies=reader)
    def report(link: str, night: str, file: str) -> Response:
        found = night_file(link, night, file)
        if found is None:
            raise HTTPException(
                404, "There is no such report. It is written when the night's report task has ended."
            )
        return served_file(found)

    return app


def night_file(link: str, night: str, file: str) -> UPath | None:
    """A file of a night's report; ``None`` when there is none, or the path leads anywhere else."""
    from cogent_ops.services.drift.archive import Archive

    if link not in link_names():
        return None
    return inside(lambda: Archive(Runtime(link).data_root, link).night(night).path / "report", night, file)


def render_index() -> str:
    """The list of nights of all links, the youngest first."""
    nights = [night for link in link_names() for night in Runtime(link).store.drift.nights(link, RECENT_RUNS)]
    nights.sort(key=lambda night: (night.night, night.link), reverse=True)
    return template("nights.html").render(title="Nights", rows=nights)
