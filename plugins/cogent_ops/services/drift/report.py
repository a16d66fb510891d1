"""What people read of a night: one page with charts, and all findings as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from upath import UPath

from cogent_ops.domain.drift.model import TITLES, Area, Cause, Finding
from cogent_ops.domain.money import Money, major, show
from cogent_ops.quality.reports import pages, spreadsheet
from cogent_ops.services.drift.charts import stacked
from cogent_ops.services.drift.comparison import MoneyLine
from cogent_ops.store.drift import FindingState, NightTotal, StoredFinding

PAGE, LIST = "index.html", "findings.csv"
#: Findings that the page shows; the CSV holds all.
SHOWN = 300
COLUMNS = (
    "night",
    "area",
    "cause",
    "subject",
    "place",
    "units",
    "amount",
    "currency",
    "owner",
    "message",
    "action",
    "would_mend",
    "state",
    "evidence",
)
STATES: Mapping[FindingState, str] = {
    FindingState.REPORTED: "reported",
    FindingState.PROPOSED: "waits for your yes or no",
    FindingState.HEALING: "mended, to be verified next night",
    FindingState.VERIFIED: "mended and verified",
    FindingState.RETURNED: "mended, and wrong again",
    FindingState.DECLINED: "declined",
    FindingState.OVERTAKEN: "not mended: something else happened",
}
AREAS: Mapping[Area, str] = {
    Area.STOCK: "Stock",
    Area.KIOSK: "Kiosks",
    Area.CATALOGUE: "Catalogue",
    Area.ORDERS: "Orders",
    Area.MONEY: "Money",
}


@dataclass(frozen=True)
class NightReport:
    """A night for its readers.

    :param heal: what the configuration says about mending.
    :param checked: pairs that were compared, by area; ``counts`` further numbers.
    :param kept: findings that are stored one by one, with what became of them.
    :param nights: names of the nights that the trend shows, in order.
    :param is_first: there was no night before to compare with.
    """

    link: str
    night: str
    began: datetime
    heal: str
    checked: Mapping[str, int]
    counts: Mapping[str, Mapping[str, int]]
    findings: Sequence[Finding]
    kept: Sequence[StoredFinding]
    figures: Sequence[MoneyLine]
    trend: Sequence[NightTotal]
    nights: Sequence[str]
    is_first: bool


class CauseRow(NamedTuple):
    """A line of the overview."""

    area: str
    title: str
    findings: int
    units: int
    worth: str
    owner: str
    action: str


def write_report(report: NightReport, folder: UPath) -> UPath:
    """Write ``index.html`` and ``findings.csv``.

    :return: the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LIST).write_text(as_csv(report), encoding="utf-8-sig", newline="")
    page = folder / PAGE
    page.write_text(render(report), encoding="utf-8")
    return page


def as_csv(report: NightReport) -> str:
    """All findings, safe to open in a spreadsheet."""
    states = _states(report.kept)
    return spreadsheet(COLUMNS, (_row(one, states) for one in ranked(report.findings)))


def _row(one: Finding, states: Mapping[tuple[Area, Cause, str], FindingState]) -> tuple[object, ...]:
    """A row of :data:`COLUMNS`."""
    evidence = "; ".join(
        f"{fact.what}: {fact.value}{f' ({fact.at:%Y-%m-%d %H:%M:%S} UTC)' if fact.at else ''}"
        for fact in one.evidence
    )
    worth = None if one.amount is None or not one.currency else major(Money(one.currency, one.amount))
    return (
        one.night,
        one.area,
        TITLES[one.cause],
        one.subject,
        one.place,
        one.units,
        None if worth is None else Decimal(worth),
        one.currency,
        one.owner,
        one.message,
        one.action,
        one.heal,
        STATES[states.get(one.key, FindingState.REPORTED)],
        evidence,
    )


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """The most expensive first."""
    return sorted(findings, key=lambda one: (-abs(one.amount or 0), -abs(one.units), one.area, one.subject))


def render(report: NightReport) -> str:
    """The page."""
    environment = pages(Path(__file__).parent)
    environment.filters["money"] = _money
    states = _states(report.kept)
    by_area = _by_night(report.trend)
    shown = ranked(report.findings)[:SHOWN]
    return environment.get_template("night.html").render(
        report=report,
        list=LIST,
        verdict=verdict(report),
        tiles=_tiles(report),
        rows=cause_rows(report),
        findings=[(one, TITLES[one.cause], _state(one, states), _worth([one])) for one in shown],
        total=len(report.findings),
        chart=stacked(report.nights, by_area, "Differences by night and area"),
        legend=list(by_area),
        areas=[
            (AREAS[Area(area)], checked, report.counts.get(area, {}))
            for area, checked in report.checked.items()
        ],
    )


def verdict(report: NightReport) -> str:
    """The page's first sentence."""
    checked = sum(report.checked.values())
    if report.is_first:
        return (
            f"The first night: {checked:,} pairs were compared with what is known. From the next night on every change "
            "since this one must be explained."
        )
    if not report.findings:
        return f"All of {checked:,} pairs agree, as far as they could be judged. There is nothing to do."
    worth = _worth(report.findings)
    value = f", worth {worth}" if worth else ""
    rate = 1 - len(report.findings) / checked if checked else 0.0
    return f"{len(report.findings):,} differences among {checked:,} pairs{value}: {max(0.0, rate):.3%} agree."


def cause_rows(report: NightReport) -> list[CauseRow]:
    """Causes, the most expensive first."""
    groups: dict[tuple[Area, Cause], list[Finding]] = {}
    for one in report.findings:
        groups.setdefault((one.area, one.cause), []).append(one)
    biggest = sorted(groups.items(), key=lambda item: -sum(abs(one.amount or 0) for one in item[1]))
    return [
        CauseRow(
            AREAS[area],
            TITLES[cause],
            len(some),
            sum(abs(one.units) for one in some),
            _worth(some),
            some[0].owner.value,
            some[0].action,
        )
        for (area, cause), some in biggest
    ]


def _tiles(report: NightReport) -> list[tuple[str, str]]:
    states = [one.state for one in report.kept]
    healed = sum(state in (FindingState.HEALING, FindingState.VERIFIED) for state in states)
    stock = [one for one in report.findings if one.area is Area.STOCK]
    tiles = [
        ("Pairs compared", f"{sum(report.checked.values()):,}"),
        ("Differences", f"{len(report.findings):,}"),
        ("Units of stock off", f"{sum(abs(one.units) for one in stock):,}"),
        ("Worth", _worth(report.findings) or "–"),
    ]
    if report.heal != "off":
        tiles += [
            ("Mended", f"{healed:,}"),
            ("Wait for a person", f"{states.count(FindingState.PROPOSED):,}"),
        ]
    return tiles


def _by_night(trend: Iterable[NightTotal]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for one in trend:
        nights = found.setdefault(AREAS[one.area], {})
        nights[one.night] = nights.get(one.night, 0) + one.findings
    return {name: found.get(name, {}) for name in AREAS.values()}


def _worth(findings: Iterable[Finding]) -> str:
    """Money without signs, by currency; empty: nobody knows a price."""
    sums: dict[str, int] = {}
    for one in findings:
        if one.amount is not None and one.currency:
            sums[one.currency] = sums.get(one.currency, 0) + abs(one.amount)
    return " + ".join(show(Money(currency, cents)) for currency, cents in sorted(sums.items()))


def _money(cents: int, currency: str) -> str:
    return show(Money(currency, cents))


def _states(kept: Iterable[StoredFinding]) -> dict[tuple[Area, Cause, str], FindingState]:
    return {one.finding.key: one.state for one in kept}


def _state(finding: Finding, states: Mapping[tuple[Area, Cause, str], FindingState]) -> str:
    state = states.get(finding.key, FindingState.REPORTED)
    if state is FindingState.REPORTED and finding.heal:
        return f"would add {finding.heal:+d}"
    return "" if state is FindingState.REPORTED else STATES[state]
