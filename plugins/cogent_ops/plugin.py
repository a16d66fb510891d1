"""What Airflow's user interface gets: the report pages. Registration only; the pages are built when first asked for."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from cogent_ops.operators import REPORTS_PREFIX, ReportLink


class CogentOpsPlugin(AirflowPlugin):
    """The plugin. Airflow loads it in every component and every task, so it imports nothing heavy."""

    name = "cogent_ops"
    operator_extra_links: ClassVar[list[Any]] = [ReportLink()]
    external_views: ClassVar[list[dict[str, str]]] = [
        {
            "name": "Catalogue reports",
            "href": f"{REPORTS_PREFIX}/",
            "destination": "nav",
            "category": "browse",
            "url_route": "cogent-ops-reports",
        }
    ]

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:
        """The web app, built by the API server alone."""
        from cogent_ops.web.reports import create_app

        return [{"name": "cogent_ops reports", "app": create_app(), "url_prefix": REPORTS_PREFIX}]
