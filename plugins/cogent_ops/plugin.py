"""What Airflow's user interface gets: the report pages. Registration only; the pages are built when first asked for."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from cogent_ops.operators import REPORTS_PREFIX, ReportLink

VIEWS = [
    {
        "name": "Catalogue reports",
        "href": f"{REPORTS_PREFIX}/",
        "destination": "nav",
        "category": "browse",
        "url_route": "cogent-ops-reports",
    }
]
LINKS = [ReportLink()]


class CogentOpsPlugin(AirflowPlugin):
    """The plugin. Airflow loads it in every component and every task, so it imports nothing heavy."""

    name = "cogent_ops"
    operator_extra_links = LINKS
    external_views = VIEWS

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]  # a property defers the import
        """The web app, built by the API server alone."""
        from cogent_ops.web.reports import create_app

        return [{"name": "cogent_ops reports", "app": create_app(), "url_prefix": REPORTS_PREFIX}]
