"""Monthly reports in Airflow's user interface: the list of months, and each month's page and lists.

Airflow does not authenticate plugin apps, so every route here asks for a login and for the right to read the DAG.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cogent_ops.links import link_names
from cogent_ops.runtime import Runtime
from cogent_ops.web.reports import HEADERS, inside, served_file, template

if TYPE_CHECKING:
    from fastapi import FastAPI
    from upath import UPath

DAG = "governance_report"


def create_app() -> FastAPI:
    """The app, for the API server."""
    from airflow.api_fastapi.core_api.security import requires_access_dag, requires_authenticated
    from fastapi import Depends, FastAPI, HTTPException
    from fastapi.responses import HTMLResponse, Response

    reader = [Depends(requires_authenticated()), Depends(requires_access_dag("GET", None, DAG))]
    app = FastAPI(dependencies=reader, docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/", dependencies=reader)
    def index() -> HTMLResponse:
        return HTMLResponse(render_index(), headers=HEADERS)

    @app.get("/{link}/{month}/{file:path}", dependencies=reader)
    def report(link: str, month: str, file: str) -> Response:
        found = month_file(link, month, file)
        if found is None:
            raise HTTPException(404, "There is no such report. It is written at the end of the month.")
        return served_file(found)

    return app


def month_file(link: str, month: str, file: str) -> UPath | None:
    """A file of a month's report; ``None`` when there is none, or the path leads anywhere else."""
    from cogent_ops.services.governance.months import month_folder

    if link not in link_names():
        return None
    return inside(lambda: month_folder(Runtime(link).data_root, link, month), month, file)


def render_index() -> str:
    """The list of months of all links, the youngest first."""
    from cogent_ops.services.governance.months import month_names

    rows = [(month, link) for link in link_names() for month in month_names(Runtime(link).data_root, link)]
    return template("months.html").render(title="Months", rows=sorted(rows, reverse=True))
