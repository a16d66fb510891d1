"""What Airflow's API server gets: the desk, the report pages, and the endpoints that machines ask.

Registration only; the apps are built when first asked for.
"""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from cogent_ops.pages import (
    DESK_PREFIX,
    GOVERNANCE_PREFIX,
    NIGHTS_PREFIX,
    REPORTS_PREFIX,
    MonthLink,
    NightLink,
    ReportLink,
)

VIEWS = [
    {
        "name": "Sync Health",
        "href": f"{DESK_PREFIX}/",
        "destination": "nav",
        "category": "browse",
        "url_route": "cogent-ops-desk",
    },
    {
        "name": "Catalogue reports",
        "href": f"{REPORTS_PREFIX}/",
        "destination": "nav",
        "category": "browse",
        "url_route": "cogent-ops-reports",
    },
    {
        "name": "Nights",
        "href": f"{NIGHTS_PREFIX}/",
        "destination": "nav",
        "category": "browse",
        "url_route": "cogent-ops-nights",
    },
    {
        "name": "Months",
        "href": f"{GOVERNANCE_PREFIX}/",
        "destination": "nav",
        "category": "browse",
        "url_route": "cogent-ops-governance",
    },
]
LINKS = [ReportLink(), NightLink(), MonthLink()]
LIVE_STOCK_PREFIX = "/cogent_ops/live-stock"
MOVEMENTS_PREFIX = "/cogent_ops/movements"


class CogentOpsPlugin(AirflowPlugin):
    """The plugin. Airflow loads it in every component and every task, so it imports nothing heavy."""

    name = "cogent_ops"
    operator_extra_links = LINKS
    external_views = VIEWS

    @property
    def timetables(self) -> list[type]:  # type: ignore[override]  # a property defers the import
        """Timetables that Airflow reads back from its database."""
        from cogent_ops.timetables import FrequentTimetable

        return [FrequentTimetable]

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]  # a property defers the import
        """The web apps, built by the API server alone."""
        from cogent_ops.web import governance, live_stock, movements, nights, reports
        from cogent_ops.web.desk.app import create_app

        return [
            {"name": "cogent_ops desk", "app": create_app(), "url_prefix": DESK_PREFIX},
            {"name": "cogent_ops reports", "app": reports.create_app(), "url_prefix": REPORTS_PREFIX},
            {"name": "cogent_ops nights", "app": nights.create_app(), "url_prefix": NIGHTS_PREFIX},
            {
                "name": "cogent_ops governance",
                "app": governance.create_app(),
                "url_prefix": GOVERNANCE_PREFIX,
            },
            {
                "name": "cogent_ops live stock",
                "app": live_stock.create_app(),
                "url_prefix": LIVE_STOCK_PREFIX,
            },
            {"name": "cogent_ops movements", "app": movements.create_app(), "url_prefix": MOVEMENTS_PREFIX},
        ]
