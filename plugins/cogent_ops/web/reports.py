"""Catalogue reports in Airflow's user interface: the list of runs, and each run's report, fix list and Data Docs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cogent_ops.runtime import Runtime
from cogent_ops.services.catalogue.plan import Flow
from cogent_ops.services.catalogue.runfolder import RunFolder
from cogent_ops.web.stored import HEADERS, RECENT_RUNS, add_reports, guarded_app, inside, template

if TYPE_CHECKING:
    from fastapi import FastAPI
    from upath import UPath

#: Data Docs carry inline styles and scripts; nothing may be loaded from, or sent to, anywhere else.
POLICY = (
    "default-src 'none'; img-src 'self' data:; font-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-inline'; frame-ancestors 'self'; form-action 'none'; base-uri 'none'"
)


def create_app() -> FastAPI:
    """The app, for the API server."""
    missing = "There is no such report. It is written when the run's report task has ended."
    headers = {**HEADERS, "Content-Security-Policy": POLICY}
    return add_reports(guarded_app(Flow.SYNC), render_index, report_file, missing, headers)


def report_file(link: str, run_key: str, file: str) -> UPath | None:
    """A file of a run's report; ``None`` when there is none, or the path leads anywhere else."""
    return inside(lambda: RunFolder(Runtime(link).data_root, link, run_key).path / "report", run_key, file)


def render_index(links: Sequence[str]) -> str:
    """The list of runs of links, the youngest first."""
    runs = [run for link in links for run in Runtime(link).store.runs.recent(link=link, limit=RECENT_RUNS)]
    runs.sort(key=lambda run: run.started_at, reverse=True)
    return template("runs.html").render(title="Catalogue reports", rows=runs)
