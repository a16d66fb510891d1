"""What people read of a month: one page that prints, all figures as CSV, and the exceptions behind them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from markupsafe import Markup
from upath import UPath

from cogent_ops.domain.governance.model import FlowMonth, Life, Month
from cogent_ops.domain.governance.reckoning import days
from cogent_ops.domain.governance.steps import ANSWERED, FRESH, next_steps, times
from cogent_ops.domain.health.model import Flow
from cogent_ops.domain.money import Money, major, show
from cogent_ops.domain.policies import Policies
from cogent_ops.domain.text import span
from cogent_ops.quality.reports import pages, spreadsheet
from cogent_ops.services.drift import charts as drift_charts
from cogent_ops.services.drift.report import AREAS, STATES
from cogent_ops.services.governance.charts import against, unit_of
from cogent_ops.store.drift import FindingState

PAGE, FIGURES, LIST = "index.html", "figures.csv", "exceptions.csv"
#: Changes that the page shows; the CSV holds all.
SHOWN = 100
FIGURE_COLUMNS = ("month", "section", "what", "measure", "value", "unit")
LIFE_COLUMNS = (
    "number",
    "kind",
    "what",
    "owner",
    "record",
    "store",
    "opened",
    "told",
    "deadline",
    "taken_up",
    "deputy_told",
    "over",
    "is",
    "in_time",
    "message",
)

Cell = int | float | Decimal | str | None
Figure = tuple[str, str, str, Cell, str]


def write_report(month: Month, lives: Iterable[Life], policies: Policies, folder: UPath) -> UPath:
    """Write the page and both lists.

    :param lives: exceptions of the month, drills left out.
    :return: the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FIGURES).write_text(figures_csv(month), encoding="utf-8-sig", newline="")
    (folder / LIST).write_text(lives_csv(lives, month.until, policies), encoding="utf-8-sig", newline="")
    page = folder / PAGE
    page.write_text(render(month), encoding="utf-8")
    return page


def render(month: Month) -> str:
    """The page."""
    here = Path(__file__).parent
    environment = pages(here, here.parent / "drift")
    zone = ZoneInfo(month.zone)
    environment.filters.update(
        span=span,
        percent=percent,
        local=lambda moment: _local(moment, zone),
        money=lambda worth: " + ".join(show(one) for one in worth),
        mended=lambda state: STATES[FindingState(state)],
    )
    calendar = days(month.since, month.until, zone)
    owners = sorted({owner for day in month.days for owner in day.owners})
    return environment.get_template("month.html").render(
        month=month,
        title=title(month),
        verdict=verdict(month),
        tiles=_tiles(month),
        steps=next_steps(month),
        figures=FIGURES,
        list=LIST,
        shown=SHOWN,
        fresh=FRESH,
        answered=ANSWERED,
        curves=[(flow.flow.value, _curve(flow, calendar), unit_of(flow.target)[1]) for flow in month.flows],
        order_chart=_order_chart(month),
        drift_chart=_drift_chart(month),
        areas=list(AREAS.values()),
        exception_chart=_exception_chart(month, owners),
        owners=owners,
    )


def title(month: Month) -> str:
    """``October 2026``."""
    return f"{month.since.astimezone(ZoneInfo(month.zone)):%B %Y}"


def verdict(month: Month) -> str:
    """The page's first sentence."""
    parts = list(_parts(month))
    if not parts:
        return f"Nothing is known of {title(month)}: nothing was measured, sold, compared or raised."
    return f"{'; '.join(parts)}."


def _parts(month: Month) -> Iterator[str]:
    stock = _flow(month, Flow.STOCK)
    if stock is not None:
        yield f"Stock was within {span(stock.target)} at {percent(stock.share)} of the checks"
    orders = month.orders
    if orders.right_first_time is not None:
        yield f"{percent(orders.right_first_time)} of {orders.captured:,} orders came through without a person"
    if month.checks:
        count = len(month.unaccounted)
        yield f"something was unaccounted for {times(count)}" if count else "everything was accounted for"
    if month.judged:
        yield f"{percent(month.answered)} of {month.judged:,} exceptions were answered in time"


def _tiles(month: Month) -> list[tuple[str, str]]:
    stock, orders, nights = _flow(month, Flow.STOCK), month.orders, month.drift.nights
    return [
        ("Stock within target", percent(stock.share if stock else None)),
        ("Orders without a person", percent(orders.right_first_time)),
        ("Not accounted for", f"{len(month.unaccounted):,} ×" if month.checks else "–"),
        ("Exceptions opened", f"{sum(one.opened for one in month.kinds):,}"),
        ("Answered in time", percent(month.answered)),
        ("Differences, last night", f"{nights[-1].total:,}" if nights else "–"),
    ]


def _flow(month: Month, flow: Flow) -> FlowMonth | None:
    return next((one for one in month.flows if one.flow is flow), None)


def percent(share: float | None) -> str:
    """``99.4 %``; what is not all of it is never called 100."""
    if share is None:
        return "–"
    return "100 %" if share >= 1 else f"{min(share, 0.999):.1%}".replace("%", " %")


def _local(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%d %b %H:%M}"


# Charts


def _curve(flow: FlowMonth, calendar: Sequence[date]) -> Markup:
    values = {one.day: one.p95 for one in flow.days}
    late = sum(value > flow.target for value in values.values())
    return against(
        calendar, values, flow.target, f"{flow.flow}: {late} of {len(values)} days above {span(flow.target)}"
    )


def _order_chart(month: Month) -> Markup:
    names = [one.day.isoformat() for one in month.orders.days]
    series = {
        "by themselves": {one.day.isoformat(): one.alone for one in month.orders.days},
        "needed a person": {one.day.isoformat(): one.helped for one in month.orders.days},
    }
    return drift_charts.stacked(names, series, "Orders by day")


def _drift_chart(month: Month) -> Markup:
    nights = month.drift.nights
    series = {
        area: {one.night: one.findings.get(area, 0) for one in nights if one.findings.get(area)}
        for area in AREAS.values()
    }
    return drift_charts.stacked([one.night for one in nights], series, "Differences by night and area")


def _exception_chart(month: Month, owners: Sequence[str]) -> Markup:
    names = [one.day.isoformat() for one in month.days]
    series = {
        owner: {one.day.isoformat(): one.owners[owner] for one in month.days if owner in one.owners}
        for owner in owners
    }
    return drift_charts.stacked(names, series, "Exceptions opened by day and owner")


# Lists


def figures_csv(month: Month) -> str:
    """Every number of the month, a line each, safe to open in a spreadsheet."""
    rows = ((month.name, *measure, _rounded(value), unit) for *measure, value, unit in figures(month))
    return spreadsheet(FIGURE_COLUMNS, rows)


def lives_csv(lives: Iterable[Life], until: datetime, policies: Policies) -> str:
    """The exceptions of the month, a line each life, safe to open in a spreadsheet."""
    return spreadsheet(LIFE_COLUMNS, (_life(one, until, policies.kind(one.kind).title) for one in lives))


def _life(one: Life, until: datetime, what: str) -> tuple[Cell, ...]:
    """A row of :data:`LIFE_COLUMNS`."""
    moments = (
        one.opened_at,
        one.alerted_at,
        one.deadline,
        one.acknowledged_at,
        one.escalated_at,
        one.resolved_at,
    )
    in_time = {True: "yes", False: "no", None: ""}[one.in_time(until)]
    said = (one.exception_id, one.kind, what, one.owner, one.record, one.place)
    return (*said, *map(_moment, moments), one.status, in_time, one.message)


def figures(month: Month) -> Iterator[Figure]:
    """Section, what, measure, value and unit."""
    yield "watch", "sync health", "checks", month.checks, ""
    yield "watch", "sync health", "time covered", month.covered, "share"
    yield from _flow_figures(month.flows)
    yield from _order_figures(month)
    yield from _drift_figures(month)
    yield from _exception_figures(month)
    yield from _message_figures(month)
    for step in next_steps(month):
        yield "next", step.owner, step.text, step.why, ""


def _flow_figures(flows: Iterable[FlowMonth]) -> Iterator[Figure]:
    for one in flows:
        name = one.flow.value
        yield "freshness", name, "target", one.target, "s"
        yield "freshness", name, "within target", one.share, "share"
        yield "freshness", name, "age, half", one.p50, "s"
        yield "freshness", name, "age, 95 %", one.p95, "s"
        yield "freshness", name, "late altogether", one.late, "s"
        for spell in one.spells:
            yield "freshness", name, f"late from {_moment(spell.began)}", spell.lasted.total_seconds(), "s"
        for day in one.days:
            yield "freshness by day", name, f"{day.day} within target", day.within / day.measured, "share"
            yield "freshness by day", name, f"{day.day} age, 95 %", day.p95, "s"


def _order_figures(month: Month) -> Iterator[Figure]:
    orders, units = month.orders, month.units
    yield "orders", "kiosk orders", "captured", orders.captured, "orders"
    yield "orders", "kiosk orders", "needed a person", orders.helped, "orders"
    yield "orders", "kiosk orders", "right first time", orders.right_first_time, "share"
    yield "orders", "kiosk orders", "became sales", orders.confirmed, "orders"
    yield "orders", "kiosk orders", "not captured at the end", orders.left_over, "orders"
    yield "orders", "kiosk orders", "sale to commercetools, half", orders.p50, "s"
    yield "orders", "kiosk orders", "sale to commercetools, 95 %", orders.p95, "s"
    for day in orders.days:
        yield "orders by day", str(day.day), "by themselves", day.alone, "orders"
        yield "orders by day", str(day.day), "needed a person", day.helped, "orders"
    yield "units", "stock", "movements", units.movements, "movements"
    yield "units", "stock", "moved", units.moved, "units"
    yield "units", "stock", "in commercetools at the end", units.arrived, "units"
    yield "units", "orders and units", "times not accounted for", len(month.unaccounted), ""


def _drift_figures(month: Month) -> Iterator[Figure]:
    for night in month.drift.nights:
        yield "drift by night", night.night, "pairs compared", night.checked, "pairs"
        yield "drift by night", night.night, "units of stock off", night.units, "units"
        for area, count in night.findings.items():
            yield "drift by night", night.night, f"differences: {area}", count, "differences"
    for one in month.drift.causes:
        yield "drift by cause", f"{one.area}: {one.cause}", "nights", one.nights, "nights"
        yield "drift by cause", f"{one.area}: {one.cause}", "differences", one.findings, "differences"
        yield "drift by cause", f"{one.area}: {one.cause}", "units", one.units, "units"
        for worth in one.worth:
            yield "drift by cause", f"{one.area}: {one.cause}", "worth", _major(worth), worth.currency
    for state, count in month.drift.mended.items():
        yield "drift", "what could be mended", STATES[FindingState(state)], count, "differences"


def _exception_figures(month: Month) -> Iterator[Figure]:
    for one in month.kinds:
        for measure, value in (
            ("opened", one.opened),
            ("over by itself", one.by_itself),
            ("closed by people", one.by_people),
            ("left as it is", one.decided),
            ("open at the end", one.open),
        ):
            yield "exceptions", one.title, measure, value, "exceptions"
    for again in month.repeats:
        yield "repeats", f"{again.title}: {again.record}", "times", again.times, ""
        yield "repeats", f"{again.title}: {again.record}", "records", again.records, ""
    for owner in month.owners:
        for measure, number in (
            ("opened", owner.opened),
            ("judged", owner.judged),
            ("in time", owner.in_time),
            ("deputy told", owner.escalated),
            ("open at the end", owner.open),
            ("overdue at the end", owner.overdue),
        ):
            yield "answers", owner.owner, measure, number, "exceptions"
        for measure, seconds in (
            ("taken up, half", owner.to_acknowledge_p50),
            ("taken up, 95 %", owner.to_acknowledge_p95),
            ("over, half", owner.to_close_p50),
            ("over, 95 %", owner.to_close_p95),
        ):
            yield "answers", owner.owner, measure, seconds, "s"


def _message_figures(month: Month) -> Iterator[Figure]:
    for one in month.channels:
        for measure, value in (
            ("written", one.written),
            ("sent", one.sent),
            ("not needed any more", one.needless),
            ("not delivered", one.undelivered),
        ):
            yield "messages", one.channel, measure, value, "messages"
        yield "messages", one.channel, "on their way, half", one.p50, "s"
        yield "messages", one.channel, "on their way, 95 %", one.p95, "s"
    for silence in month.silences:
        lasted = (silence.until - silence.since).total_seconds()
        yield "silences", f"{silence.title}: {silence.cause or 'all'}", silence.reason, lasted, "s"
    for change in month.changes:
        yield "changes", change.actor, change.what, _moment(change.at), ""
    for drill in month.drills:
        what = f"{drill.title}, {drill.owner}, {_moment(drill.raised_at)}"
        for measure, seconds in (
            ("message came", drill.alerted),
            ("taken up", drill.acknowledged),
            ("closed", drill.closed),
        ):
            yield "drills", what, measure, seconds, "s"


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"


def _rounded(value: Cell) -> Cell:
    return round(value, 4) if isinstance(value, float) else value


def _major(worth: Money) -> Decimal:
    return Decimal(major(worth))
