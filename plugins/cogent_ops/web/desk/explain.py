"""Why is this number what it is: the story of one article in one store, from both systems."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from cogent_ops.domain.health.story import Story, System
from cogent_ops.domain.stock import NO_CHANNEL, Place
from cogent_ops.services.explain.explain import DAYS
from cogent_ops.services.explain.naming import UnknownPlace
from cogent_ops.web.desk.access import visit_of
from cogent_ops.web.desk.charts import Stairs, Window, stairs

if TYPE_CHECKING:
    from fastapi import APIRouter

    from cogent_ops.web.desk.frame import Desk

#: How far back one may look, in days.
SPANS = (7, 14, 30, 90)
SYSTEMS = {
    System.KIOSK: "Kiosk",
    System.STORE: "Store's system",
    System.SHOP: "commercetools",
    System.US: "Integration",
}


def add_routes(router: APIRouter, desk: Desk) -> None:
    """Add the page."""

    @router.get("/explain")
    def explain(request: Request) -> Response:
        visit = visit_of(request)
        sku, location, days = _asked(request.query_params)
        runtime = desk.runtime(visit.link)
        snapshot = runtime.store.health.snapshot(visit.link)
        story, problem = None, ""
        places: list[Place] = []
        if sku and location:
            try:
                story = runtime.explain().story(f"{sku}@{location}", days=days)
            except UnknownPlace as unknown:
                problem = str(unknown)
        elif sku:
            places = [Place.named(one) for one in runtime.explain().suggestions(sku)]
            problem = (
                "" if places else f"Nothing is known of an article {sku}. Check the SKU, and name a store."
            )
        return desk.page(
            request,
            "desk/explain.html",
            title="Why is this number what it is?",
            part="explain",
            status=404 if problem else 200,
            sku=sku,
            location=location,
            days=days,
            spans=SPANS,
            systems=SYSTEMS,
            names={one.place: one.name for one in snapshot.stores if one.place} if snapshot else {},
            story=story,
            stairs=_stairs(story, desk) if story else None,
            problem=problem,
            places=places,
        )


def _asked(query: Mapping[str, str]) -> tuple[str, str, int]:
    """Article, store and days; ``?sku=COAT@berlin`` names both at once, and ``?sku=COAT@`` the pool without Channel."""
    sku, location, days = (query.get(name, "").strip() for name in ("sku", "location", "days"))
    if not location:
        head, _, tail = sku.rpartition("@")
        sku, location = (head, tail or NO_CHANNEL) if head else (sku, "")
    return sku, location, int(days) if days.isdecimal() and int(days) in SPANS else DAYS


def _stairs(story: Story, desk: Desk) -> Stairs | None:
    end = story.asked_at
    # What is read while the answer is made is a moment younger than the question.
    numbers = [(min(event.at, end), event.number) for event in story.events if event.number is not None]
    # At least an hour, which begins earlier where all of it is young: nobody knows what comes.
    start = min([end - timedelta(hours=1), *(at for at, _ in numbers)])
    return stairs(numbers, Window(start, end, desk.zone()))
