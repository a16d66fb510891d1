"""A night's page and CSV: whatever data holds, a spreadsheet shows it and a browser does not run it."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

from cogent_ops.domain.drift.model import Area, Cause, Fact, Finding
from cogent_ops.domain.exceptions import Owner
from cogent_ops.services.drift.charts import stacked
from cogent_ops.services.drift.report import NightReport, as_csv, render, verdict
from cogent_ops.store.drift import FindingState, NightTotal, StoredFinding

NIGHT = "2026-11-24"
EVIL = '=HYPERLINK("http://x")<script>alert(1)</script>'


def finding(subject: str = EVIL, amount: int | None = -1050, heal: int | None = 2) -> Finding:
    return Finding(
        link="default",
        night=NIGHT,
        area=Area.STOCK,
        cause=Cause.LOST,
        subject=subject,
        message=f"{subject} is off",
        evidence=(Fact("batch", "b1", datetime(2026, 11, 24, tzinfo=UTC)),),
        owner=Owner.PLATFORM,
        action="look",
        units=-2,
        amount=amount,
        currency=None if amount is None else "GBP",
        heal=heal,
    )


def report(*findings: Finding, state: FindingState = FindingState.REPORTED, heal: str = "off") -> NightReport:
    return NightReport(
        link="default",
        night=NIGHT,
        began=datetime(2026, 11, 24, 1, 30, tzinfo=UTC),
        heal=heal,
        checked={Area.STOCK: 1000},
        counts={},
        findings=findings,
        kept=[StoredFinding(place, one, state, None, None) for place, one in enumerate(findings)],
        figures=[],
        trend=[NightTotal(NIGHT, Area.STOCK, Cause.LOST, "GBP", len(findings), 2, 1050)],
        nights=[NIGHT],
        is_first=False,
    )


def test_the_csv_holds_numbers_as_numbers_and_no_formula() -> None:
    (row,) = list(csv.DictReader(io.StringIO(as_csv(report(finding(), state=FindingState.HEALING)))))
    assert row["subject"].startswith("'=")
    assert (row["units"], row["amount"], row["currency"], row["would_mend"]) == ("-2", "-10.50", "GBP", "2")
    assert row["state"] == "mended, to be verified next night"
    assert row["evidence"] == "batch: b1 (2026-11-24 00:00:00 UTC)"


def test_the_page_escapes_what_data_holds() -> None:
    page = render(report(finding()))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "would add +2" in page
    assert "dry run: nothing is mended" in page


def test_the_first_sentence_says_how_it_is() -> None:
    assert "All of 1,000 pairs agree" in verdict(report())
    assert verdict(report(finding())) == "1 differences among 1,000 pairs, worth £10.50: 99.900% agree."
    assert "worth" not in verdict(report(finding(amount=None)))


def test_the_dearest_comes_first() -> None:
    cheap, dear = finding("A", amount=-10), finding("B", amount=5000)
    page = render(report(cheap, dear))
    assert page.index('class="break">B<') < page.index('class="break">A<')


def test_a_chart_draws_what_is_there_and_says_it() -> None:
    chart = stacked(["n1", "n2"], {"Stock": {"n1": 3}, "<Kiosks>": {"n1": 1, "n2": 2}}, "By night")
    assert chart.count("<rect") == 3
    assert "n1: Stock 3" in chart
    assert "&lt;Kiosks&gt;" in chart
    assert 'aria-label="By night"' in chart
