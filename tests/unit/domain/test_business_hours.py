"""When people work: deadlines that count only those hours, over nights, week ends, holidays and clock changes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cogent_ops.domain.business_hours import BusinessHours

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
LONDON = ZoneInfo("Europe/London")
SHOP = BusinessHours(
    timezone="Europe/London",
    days=("mon", "tue", "wed", "thu", "fri"),
    opens="09:00",
    closes="18:00",
    closed_on=(date(2026, 12, 25),),
)


def at(text: str) -> datetime:
    """A moment in London."""
    return datetime.fromisoformat(text).replace(tzinfo=LONDON)


@pytest.mark.parametrize(
    ("moment", "is_open", "opening"),
    [
        ("2026-11-24 09:00", True, "2026-11-24 09:00"),
        ("2026-11-24 17:59:59", True, "2026-11-24 17:59:59"),
        ("2026-11-24 18:00", False, "2026-11-25 09:00"),
        ("2026-11-24 08:59", False, "2026-11-24 09:00"),
        ("2026-11-27 18:01", False, "2026-11-30 09:00"),  # Friday evening
        ("2026-11-29 12:00", False, "2026-11-30 09:00"),  # Sunday
        ("2026-12-25 12:00", False, "2026-12-28 09:00"),  # a holiday before a week end
        ("2026-07-01 08:30", False, "2026-07-01 09:00"),  # 07:30 UTC
    ],
)
def test_open_and_closed(moment: str, is_open: bool, opening: str) -> None:
    assert SHOP.is_open(at(moment)) is is_open
    assert SHOP.after(at(moment), 0) == at(opening)
    assert SHOP.after(at(moment), 0).tzinfo is UTC


@pytest.mark.parametrize(
    ("moment", "minutes", "due"),
    [
        ("2026-11-24 10:00", 60, "2026-11-24 11:00"),
        ("2026-11-24 10:00", 480, "2026-11-24 18:00"),  # closing time is still in time
        ("2026-11-24 17:50", 60, "2026-11-25 09:50"),
        ("2026-11-24 22:00", 60, "2026-11-25 10:00"),
        ("2026-11-27 17:00", 120, "2026-11-30 10:00"),
        ("2026-12-24 17:30", 60, "2026-12-28 09:30"),
        ("2026-11-24 12:00", 0, "2026-11-24 12:00"),
        ("2026-11-29 12:00", 0, "2026-11-30 09:00"),
        ("2026-03-27 17:00", 120, "2026-03-30 10:00"),  # summer time begins on that Sunday
        ("2026-11-24 10:00", 10 * 540, "2026-12-08 10:00"),  # ten working days
    ],
)
def test_minutes_of_work(moment: str, minutes: int, due: str) -> None:
    assert SHOP.after(at(moment), minutes) == at(due)


@given(
    moment=st.integers(0, 525_600).map(lambda minute: NEW_YEAR + timedelta(minutes=minute)),
    minutes=st.integers(0, 3000),
    more=st.integers(0, 3000),
)
def test_minutes_add_up(moment: datetime, minutes: int, more: int) -> None:
    due = SHOP.after(moment, minutes)
    assert due >= moment
    assert SHOP.is_open(due) or SHOP.is_open(due - timedelta(microseconds=1))
    assert SHOP.after(due, more) == SHOP.after(moment, minutes + more) or minutes == 0 or more == 0


@given(hour=st.integers(1, 22), minute=st.integers(0, 59))
def test_a_time_without_quotes_is_what_yaml_makes_of_it(hour: int, minute: int) -> None:
    read = BusinessHours.model_validate({"opens": "00:30", "closes": hour * 60 + minute})
    assert read.closes == f"{hour:02}:{minute:02}"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"timezone": "Europe/Leeds"}, "no time zone"),
        ({"timezone": "Europe"}, "no time zone"),
        ({"opens": "18:00", "closes": "09:00"}, "must come after"),
        ({"opens": "09:00", "closes": "09:00"}, "must come after"),
        ({"opens": 9}, "no time of day"),
        ({"opens": "9"}, "match"),
        ({"closes": "24:30"}, "match"),
        ({"opens": True}, "string"),
        ({"days": []}, "at least 1"),
        ({"days": ["monday"]}, "'mon'"),
        ({"closed_on": ["25.12."]}, "date"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        BusinessHours.model_validate(wrong)
