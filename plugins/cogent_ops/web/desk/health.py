"""Sync Health: how a link stands, on one page, and one page for each store.

Everything comes from the snapshot that the last check left, so a visit asks neither API and counts nothing. When the
monitor itself has gone quiet, nothing here claims to be the present: all of it turns grey and says since when.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response

from cogent_ops.domain.health.model import (
    Change,
    Flow,
    Freshness,
    Snapshot,
    State,
    StoreHealth,
)
from cogent_ops.domain.rules import HealthRules
from cogent_ops.domain.text import span
from cogent_ops.errors import ConfigError
from cogent_ops.store.health import Sample
from cogent_ops.web.desk.access import Visit, visit_of
from cogent_ops.web.desk.charts import Curve, Window, curve, hour_bars, share_bar
from cogent_ops.web.desk.frame import NotFound

if TYPE_CHECKING:
    from fastapi import APIRouter

    from cogent_ops.runtime import Runtime
    from cogent_ops.store import Store
    from cogent_ops.web.desk.frame import Desk

REFRESH_SECONDS = 60
#: Hours that the curves show, and what that is called.
SPANS = {6: "6 hours", 24: "24 hours", 168: "7 days"}
USUAL_SPAN = 24
#: So many stores stand on the page; the others are one step away.
STORES_SHOWN = 10
#: So many changes are listed, the youngest.
CHANGES_SHOWN = 40

LABELS = {
    Flow.CATALOGUE: ("Catalogue", "products to the kiosks"),
    Flow.STOCK: ("Stock", "kiosk sales to commercetools"),
    Flow.AVAILABILITY: ("Availability", "what is left, to the kiosks"),
    Flow.ORDERS: ("Orders", "kiosk orders to commercetools"),
    Flow.STATUS: ("Order status", "back to Cloudshelf"),
    Flow.DRIFT: ("Drift", "the nightly comparison"),
}
#: Tiles, each with the flow that belongs to it and runs the other way.
TILES = (
    (Flow.CATALOGUE, None),
    (Flow.STOCK, Flow.AVAILABILITY),
    (Flow.ORDERS, Flow.STATUS),
    (Flow.DRIFT, None),
)
FLOW_WORDS = {
    State.GOOD: "On time",
    State.UNKNOWN: "Not used yet",
    State.LATE: "Late",
    State.BAD: "Stands still",
}
STORE_WORDS = {State.GOOD: "In order", State.UNKNOWN: "Not known", State.LATE: "Look", State.BAD: "Act now"}
CHECK_WORDS = {
    State.GOOD: "In order",
    State.UNKNOWN: "Not looked at",
    State.LATE: "Soon",
    State.BAD: "Broken",
}
_WIDTH_OF_BAR = 100


@dataclass(frozen=True)
class FlowView:
    """A flow as a tile shows it.

    :param state: grey while nobody looks, whatever was found last.
    :param age: empty: it has never run.
    :param level: how full the bar is, of 100; the agreed age is at half of it.
    :param details: short sentences.
    """

    flow: Flow
    label: str
    route: str
    state: State
    word: str
    age: str
    target: str
    level: float
    details: tuple[str, ...]
    cause: str
    review: int


@dataclass(frozen=True)
class Tile:
    """Two flows that belong together, or one."""

    main: FlowView
    other: FlowView | None


@dataclass(frozen=True)
class Chart:
    """A flow's curve."""

    view: FlowView
    curve: Curve


class Latest:
    """The last check of each link with what the page makes of it, kept until the next one: many people look at it."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Snapshot, dict[int, dict[str, Any]]]] = {}

    def snapshot(self, link: str, store: Store) -> Snapshot | None:
        """What the last check found; ``None``: there was none."""
        kept = self._kept.get(link)
        if kept is not None and kept[0].checked_at == store.health.checked_at(link):
            return kept[0]
        found = store.health.snapshot(link)
        if found is not None:
            self._kept[link] = (found, {})
        return found

    def view(
        self, snapshot: Snapshot, store: Store, hours: int, zone: ZoneInfo, stale_at: datetime | None
    ) -> dict[str, Any]:
        """What the page shows; see :func:`view`.

        :param hours: that the curves show.
        :param stale_at: the moment of the visit, where the monitor has gone quiet; ``None``: it has not.
        """
        kept, views = self._kept.get(snapshot.link, (None, {}))
        if stale_at is None and kept is snapshot and hours in views:
            return views[hours]
        end = stale_at or snapshot.checked_at
        window = Window(end - timedelta(hours=hours), end, zone)
        samples = store.health.samples(snapshot.link, window.start)
        made = view(snapshot, samples, window, is_stale=stale_at is not None)
        if stale_at is None and kept is snapshot:
            views[hours] = made
        return made


def add_routes(router: APIRouter, desk: Desk) -> None:
    """Add the pages."""
    latest = Latest()

    @router.get("/")
    def health(request: Request) -> Response:
        visit = visit_of(request)
        runtime = desk.runtime(visit.link)
        snapshot = latest.snapshot(visit.link, runtime.store)
        refresh = request.query_params.get("refresh", "")
        values: dict[str, Any] = {}
        if snapshot is not None:
            hours = _chosen(request.query_params.get("hours", "")) or _usual(visit, runtime.store)
            stale_at = visit.now if snapshot.is_stale(visit.now, monitor_minutes(runtime)) else None
            values = {
                **latest.view(snapshot, runtime.store, hours, desk.zone(), stale_at),
                "hours": hours,
                "all_stores": request.query_params.get("stores") == "all",
            }
        return desk.page(
            request,
            "desk/health.html",
            title="Sync Health",
            part="health",
            snapshot=snapshot,
            refresh_seconds=0 if refresh == "off" else REFRESH_SECONDS,
            refreshes_without_script=refresh == "on",
            **values,
        )

    @router.get("/store")
    def store(request: Request) -> Response:
        visit, place = visit_of(request), request.query_params.get("place", "")
        runtime = desk.runtime(visit.link)
        snapshot = latest.snapshot(visit.link, runtime.store)
        found = next((one for one in snapshot.stores if one.place == place), None) if snapshot else None
        if snapshot is None or found is None:
            raise NotFound(
                "Sync health knows no such store. It lists stores with kiosk orders of the last 24 hours, and those "
                "of commercetools' supply Channels."
            )
        return desk.page(
            request,
            "desk/store.html",
            title=found.name,
            part="health",
            store=found,
            state=State.UNKNOWN if snapshot.is_stale(visit.now, monitor_minutes(runtime)) else found.state,
            words=STORE_WORDS,
            snapshot=snapshot,
            bars=hour_bars(found.hours, snapshot.checked_at, desk.zone()),
            risks=[one for one in snapshot.risks if one.place == place],
        )


def _chosen(text: str) -> int | None:
    return int(text) if text.isdecimal() and int(text) in SPANS else None


def _usual(visit: Visit, store: Store) -> int:
    """What the curves show when nothing else was asked for: in the first hours a day would be nearly empty."""
    first, shortest = store.health.first_check(visit.link), min(SPANS)
    is_young = first is None or visit.now - first < timedelta(hours=shortest)
    return shortest if is_young else USUAL_SPAN


def monitor_minutes(runtime: Runtime) -> int:
    """After how many minutes without a check nothing is known any more."""
    try:
        return runtime.config.health.monitor_minutes
    except ConfigError:
        # The page must tell how things stand just when the configuration is broken.
        return HealthRules().monitor_minutes


def view(snapshot: Snapshot, samples: Sequence[Sample], window: Window, *, is_stale: bool) -> dict[str, Any]:
    """What the page shows.

    :param samples: of all flows, from the beginning of the window.
    :param is_stale: whether the monitor has gone quiet.
    """
    flows = {one.flow: flow_view(one, is_stale=is_stale) for one in snapshot.flows}
    changes = sorted(snapshot.changes, key=lambda change: change.at, reverse=True)[:CHANGES_SHOWN]
    hours = [hour for one in snapshot.stores for hour in one.hours]
    return {
        "is_stale": is_stale,
        "state": State.UNKNOWN if is_stale else snapshot.state,
        "tiles": [
            Tile(flows[main], flows.get(other) if other else None) for main, other in TILES if main in flows
        ],
        "charts": list(_charts(snapshot, flows, samples, window, changes)),
        "spans": SPANS,
        "accounts": [
            (name, account, share_bar(account))
            for name, account in (("Orders", snapshot.orders), ("Units", snapshot.units))
        ],
        "bars": hour_bars(hours, snapshot.checked_at, window.zone),
        "stores_shown": STORES_SHOWN,
        "store_bars": lambda one: store_bars(one, snapshot.checked_at, window.zone),
        "store_words": STORE_WORDS,
        "check_words": CHECK_WORDS,
        "checks": sorted(snapshot.checks, key=lambda check: -list(State).index(check.state)),
        "causes": causes(snapshot),
        "at_risk": sum(one.at_risk for one in snapshot.stores),
        "held_back": sum(one.buffer for one in snapshot.risks),
        "place_names": {one.place: one.name for one in snapshot.stores},
        "changes": changes,
        "changes_left_out": len(snapshot.changes) - len(changes),
    }


def _charts(
    snapshot: Snapshot,
    flows: dict[Flow, FlowView],
    samples: Sequence[Sample],
    window: Window,
    changes: Sequence[Change],
) -> Iterable[Chart]:
    by_flow: dict[Flow, list[Sample]] = {flow: [] for flow in Flow}
    for one in samples:
        by_flow[one.flow].append(one)
    for freshness in snapshot.flows:
        yield Chart(flows[freshness.flow], curve(by_flow[freshness.flow], freshness.target, window, changes))


def flow_view(one: Freshness, *, is_stale: bool = False) -> FlowView:
    """A flow in words.

    :param is_stale: whether that is how it was, not how it is.
    """
    label, route = LABELS[one.flow]
    share = 0.0 if one.age is None else min(1.0, one.age / one.target / 2)
    return FlowView(
        flow=one.flow,
        label=label,
        route=route,
        state=State.UNKNOWN if is_stale else one.state,
        word=f"was: {FLOW_WORDS[one.state].lower()}" if is_stale else FLOW_WORDS[one.state],
        age="" if one.age is None else span(one.age),
        target=span(one.target),
        level=round(share * _WIDTH_OF_BAR, 1),
        details=tuple(_details(one)),
        cause=one.cause,
        review=one.review,
    )


def _details(one: Freshness) -> Iterable[str]:
    if one.age is None:
        yield "It has not run yet."
        return
    if one.waiting and one.drain is not None:
        yield f"{one.waiting:,} waiting, done in about {span(one.drain)}."
    elif one.waiting:
        yield f"{one.waiting:,} waiting, and it does not get less."
    elif one.flow is not Flow.DRIFT:
        yield "Nothing is waiting."
    if one.flow is not Flow.DRIFT and one.p50 is not None and one.p95 is not None:
        yield f"Last hour: {one.done:,}, half within {span(one.p50)}, 95% within {span(one.p95)}."


def store_bars(one: StoreHealth, end: datetime, zone: ZoneInfo) -> tuple[tuple[str, str], ...]:
    """A store's orders hour by hour, small enough for a row of a table."""
    return hour_bars(one.hours, end, zone, width=96, height=22).paths


def causes(snapshot: Snapshot) -> list[tuple[str, int, float]]:
    """Differences of the last night by cause, the most frequent first, with the length of a bar of 100."""
    if snapshot.drift is None:
        return []
    found = sorted(snapshot.drift.findings.items(), key=lambda pair: (-pair[1], pair[0]))
    most = max((count for _, count in found), default=1)
    return [(cause, count, round(max(1.5, count / most * 100), 1)) for cause, count in found]
