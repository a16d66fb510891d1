"""A month's report: what the store holds, the same whenever it is written, also when there is next to nothing."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.calendars import LINK, Calendar
from tests.support.months import a_month, an_order, payment
from upath import UPath

from cogent_ops.config import load_policies
from cogent_ops.domain.exceptions import Action, Status
from cogent_ops.domain.governance.model import Month
from cogent_ops.domain.health.model import Flow
from cogent_ops.domain.rules import RetentionRules
from cogent_ops.errors import PermanentError
from cogent_ops.services.governance.months import FACTS, Months, Written, month_names
from cogent_ops.services.retention import Retention
from cogent_ops.store import Store
from cogent_ops.store.alerts import AlertState

ROOT = Path(__file__).resolve().parents[3]
POLICIES = load_policies(ROOT / "include")
SECOND_OF_NOVEMBER = datetime(2026, 11, 2, 12, tzinfo=UTC)
FILES = ("index.html", "figures.csv", "exceptions.csv", FACTS)


def months(
    store: Store,
    root: Path,
    now: datetime = SECOND_OF_NOVEMBER,
    rules: RetentionRules | None = None,
) -> Months:
    kept = rules or RetentionRules()
    return Months(LINK, store, POLICIES, kept, UPath(root), clock=lambda: now)


def read(written: Written) -> dict[str, str]:
    folder = Path(written.page).parent
    return {
        name: (folder / name).read_text(encoding="utf-8-sig") for name in FILES if (folder / name).exists()
    }


def facts(written: Written) -> Month:
    return Month.model_validate_json(read(written)[FACTS])


@pytest.fixture
def calendar(store: Store, monkeypatch: pytest.MonkeyPatch) -> Calendar:
    return Calendar.over(store, monkeypatch)


def test_a_month_says_what_happened(calendar: Calendar, tmp_path: Path) -> None:
    a_month(calendar, every=timedelta(minutes=15))
    written = months(calendar.store, tmp_path).write("2026-10")
    month = facts(written)

    assert (month.name, month.zone, month.is_over) == ("2026-10", "Europe/London", True)
    # By London's calendar, whose October begins an hour earlier than UTC's and ends with it.
    assert (month.since, month.until) == (
        datetime(2026, 9, 30, 23, tzinfo=UTC),
        datetime(2026, 11, 1, tzinfo=UTC),
    )
    assert month.checks == 31 * 96 + 4
    assert month.covered == 1.0
    stock = next(one for one in month.flows if one.flow is Flow.STOCK)
    assert (stock.measured - stock.within, len(stock.spells)) == (6, 1)
    assert stock.spells[0].lasted == timedelta(minutes=90)
    assert {one.flow for one in month.flows} == set(Flow)

    assert (month.orders.captured, month.orders.helped, month.orders.left_over) == (930, 6, 0)
    assert (month.units.moved, month.units.arrived) == (1860, 1860)
    (lost,) = month.unaccounted
    assert "3 units of Leeds" in lost.message
    assert len(month.drift.nights) == 30
    assert {one.cause for one in month.drift.causes} == {
        "Changed by a person or another system",
        "Waits longer than it should",
    }
    assert [(one.kind, one.times) for one in month.repeats] == [("task_failed", 4)]
    retail = next(one for one in month.owners if one.owner == "retail ops")
    assert (retail.opened, retail.judged, retail.in_time, retail.escalated) == (8, 8, 5, 4)
    (channel,) = month.channels
    # 4 tasks, 8 payments with 4 reminders, and one that is not delivered: no drill.
    assert (channel.written, channel.sent, channel.undelivered) == (17, 16, 1)
    assert [one.reason for one in month.silences] == ["the supplier mends them"]
    assert "configuration: mapping.yaml changed" in [one.what for one in month.changes]
    assert [one.in_time for one in month.drills] == [True, False]
    assert "retail ops" in {one.owner for one in month.drills}
    # Drills stand nowhere else.
    assert sum(one.opened for one in month.kinds) == 13
    assert "DRILL" not in read(written)["exceptions.csv"]

    page = read(written)["index.html"]
    assert "October 2026" in page
    assert "What to do next" in page
    assert page.count("<svg") == len(month.flows) + 3
    assert "<script" not in page
    assert written.steps >= 6


def test_a_month_is_the_same_whenever_it_is_written(calendar: Calendar, tmp_path: Path) -> None:
    a_month(calendar, every=timedelta(hours=4))
    left = payment(99)
    calendar.on(10, 31, 20).open(left)
    an_order(calendar.store, "late", datetime(2026, 10, 31, 23, tzinfo=UTC), None)
    first = read(months(calendar.store, tmp_path / "a").write("2026-10"))
    assert "CS-99" in first["exceptions.csv"]
    assert facts(months(calendar.store, tmp_path / "a").write("2026-10")).orders.left_over == 1

    # November goes on: what was open is closed, comes back, is told, captured, silenced and decided.
    calendar.on(11, 3).decide(left, Action.ACKNOWLEDGE)
    calendar.later(hours=1).close(left)
    calendar.on(11, 4).open(replace(left, message="again"))
    an_order(
        calendar.store, "late", datetime(2026, 10, 31, 23, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)
    )
    while waiting := calendar.store.alerts.claim(LINK, calendar.at, timedelta(minutes=1), without=()):
        with calendar.store.begin() as conn:
            calendar.store.alerts.settle(conn, waiting, AlertState.SENT, calendar.at)
    calendar.store.audit_log.write("ann", "retry_stock", "SKU@leeds", {}, link=LINK)
    later = months(calendar.store, tmp_path / "b", datetime(2026, 12, 20, tzinfo=UTC)).write("2026-10")
    assert read(later) == first


def test_once_its_sources_are_purged_a_month_is_written_as_it_was_kept(
    calendar: Calendar, tmp_path: Path
) -> None:
    a_month(calendar, every=timedelta(hours=4))
    rules = RetentionRules(alerts_days=40, health_days=40)
    first = read(months(calendar.store, tmp_path, rules=rules).write("2026-10"))

    after = datetime(2027, 2, 1, tzinfo=UTC)
    purged = Retention(LINK, rules, calendar.store, UPath(tmp_path)).run(after)
    assert purged["alerts"]
    assert purged["health_samples"]
    again = months(calendar.store, tmp_path, after, rules)
    assert read(again.write("2026-10")) == first

    # Without what was kept it says what is missing, rather than a number that is none.
    elsewhere = months(calendar.store, tmp_path / "elsewhere", after, rules).write("2026-10")
    month = facts(elsewhere)
    assert month.flows == ()
    assert any("Messages are kept for 40 days" in note for note in month.notes)
    assert "Messages are kept for 40 days" in read(elsewhere)["index.html"]

    (tmp_path / "governance" / LINK / "2026-10" / FACTS).write_text("{}")
    assert facts(again.write("2026-10")).flows == ()


def test_a_month_of_which_nothing_is_known_says_so(store: Store, tmp_path: Path) -> None:
    written = months(store, tmp_path).write("2026-10")
    assert written.verdict.startswith("Nothing is known of October 2026")
    month = facts(written)
    assert month.notes == (
        "Sync health has measured nothing in this month, so nothing is known of how fresh data was.",
    )
    page = read(written)["index.html"]
    assert "No night of this month was compared." in page
    assert "There was none." in page


def test_a_month_that_is_not_over_is_written_as_far_as_it_has_come(
    calendar: Calendar, tmp_path: Path
) -> None:
    calendar.on(11, 1, 8).open(payment(1))
    written = months(calendar.store, tmp_path).write("2026-11")
    assert (written.is_over, written.title) == (False, "November 2026")
    page = read(written)["index.html"]
    assert "so far" in page
    assert "The month is not over" in page
    assert FACTS not in read(written)
    assert calendar.store.exceptions.open(LINK)[0].status is Status.NEW


def test_the_month_before_is_meant_when_none_is_named(store: Store, tmp_path: Path) -> None:
    assert months(store, tmp_path).write().month == "2026-10"
    # In London it is November already half an hour before midnight UTC? No: it keeps UTC by then.
    eve = datetime(2026, 10, 31, 23, 30, tzinfo=UTC)
    assert months(store, tmp_path, eve).write().month == "2026-09"
    assert months(store, tmp_path).of(datetime(2026, 8, 31, 23, 30, tzinfo=UTC)) == "2026-09"
    assert month_names(UPath(tmp_path), LINK) == ["2026-10", "2026-09"]
    assert month_names(UPath(tmp_path), "austria") == []


@pytest.mark.parametrize(
    ("name", "said"),
    [("october", "Write it like 2026-11"), ("2026-13", "is no month"), ("2027-01", "has not begun")],
)
def test_what_is_no_month_is_refused(store: Store, tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(PermanentError, match=said):
        months(store, tmp_path).write(name)


def test_lists_open_in_a_spreadsheet_and_execute_nothing(calendar: Calendar, tmp_path: Path) -> None:
    evil = replace(payment(1), record='=HYPERLINK("http://x")', message="<script>alert(1)</script>\nline")
    for day in (3, 4, 5):
        calendar.on(10, day).open(evil)
        calendar.later(hours=1).close(evil)
    found = read(months(calendar.store, tmp_path).write("2026-10"))
    rows = list(csv.DictReader(io.StringIO(found["exceptions.csv"])))
    assert [row["record"][0] for row in rows] == ["'", "'", "'"]
    figures = list(csv.DictReader(io.StringIO(found["figures.csv"])))
    assert {row["month"] for row in figures} == {"2026-10"}
    assert [row["value"] for row in figures if (row["section"], row["measure"]) == ("repeats", "times")] == [
        "3"
    ]
    assert "<script" not in found["index.html"]
    assert "&lt;script&gt;" in found["index.html"]
