"""Monthly reports in Airflow's user interface: the list of months, and each month's page and lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cogent_ops.runtime import Runtime
from cogent_ops.web.stored import add_reports, guarded_app, inside, template

if TYPE_CHECKING:
    from fastapi import FastAPI
    from upath import UPath


def create_app() -> FastAPI:
    """The app, for the API server."""
    missing = "There is no such report. It is written at the end of the month."
    return add_reports(guarded_app("governance_report"), render_index, month_file, missing)


def month_file(link: str, month: str, file: str) -> UPath | None:
    """A file of a month's report; ``None`` when there is none, or the path leads anywhere else."""
    from cogent_ops.services.governance.months import month_folder

    return inside(lambda: month_folder(Runtime(link).data_root, link, month), month, file)


def render_index(links: Sequence[str]) -> str:
    """The list of months of links, the youngest first."""
    from cogent_ops.services.governance.months import month_names

    rows = [(month, link) for link in links for month in month_names(Runtime(link).data_root, link)]
    return template("months.html").render(title="Months", rows=sorted(rows, reverse=True))
