"""What Airflow's API server gets: the desk, the report pages, and the endpoints that machines ask.

Registration only; the apps are built when first asked for.
"""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from cogent_ops.addresses import DESK_PREFIX, GOVERNANCE_PREFIX, NIGHTS_PREFIX, REPORTS_PREFIX
from cogent_ops.pages import MonthLink, NightLink, ReportLink

VIEWS = [
    {
        "name": name,
        "href": f"{prefix}/",
        "destination": "nav",
        "category": "browse",
        "url_route": prefix.strip("/").replace("_", "-").replace("/", "-"),
    }
    for name, prefix in (
        ("Sync Health", DESK_PREFIX),
        ("Catalogue reports", REPORTS_PREFIX),
        ("Nights", NIGHTS_PREFIX),
        ("Months", GOVERNANCE_PREFIX),
    )
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
        from cogent_ops.web.desk import app as desk

        apps = {
            "desk": (desk, DESK_PREFIX),
            "reports": (reports, REPORTS_PREFIX),
            "nights": (nights, NIGHTS_PREFIX),
            "governance": (governance, GOVERNANCE_PREFIX),
            "live stock": (live_stock, LIVE_STOCK_PREFIX),
            "movements": (movements, MOVEMENTS_PREFIX),
        }
        return [
            {"name": f"cogent_ops {name}", "app": module.create_app(), "url_prefix": prefix}
            for name, (module, prefix) in apps.items()
        ]
