"""Nights in Airflow's user interface: the list of them, and each night's report and CSV."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from cogent_ops.runtime import Runtime
from cogent_ops.web.stored import HEADERS, RECENT_RUNS, add_reports, guarded_app, inside, template

if TYPE_CHECKING:
    from fastapi import FastAPI
    from upath import UPath


def create_app() -> FastAPI:
    """The app, for the API server."""
    app = guarded_app("drift_reconciliation")

    @app.get("/{link}/run/{run_key}")
    def of_run(link: str, run_key: str) -> Response:
        night = Runtime(link).store.drift.of_run(link, run_key)
        if night is None:
            raise HTTPException(404, "This run has compared no night yet; the report task writes its page.")
        return RedirectResponse(f"../{night}/index.html", headers=HEADERS)

    missing = "There is no such report. It is written when the night's report task has ended."
    return add_reports(app, render_index, night_file, missing)


def night_file(link: str, night: str, file: str) -> UPath | None:
    """A file of a night's report; ``None`` when there is none, or the path leads anywhere else."""
    from cogent_ops.services.drift.archive import Archive

    return inside(lambda: Archive(Runtime(link).data_root, link).night(night).path / "report", night, file)


def render_index(links: Sequence[str]) -> str:
    """The list of nights of links, the youngest first."""
    nights = [night for link in links for night in Runtime(link).store.drift.nights(link, RECENT_RUNS)]
    nights.sort(key=lambda night: (night.night, night.link), reverse=True)
    return template("nights.html").render(title="Nights", rows=nights)
