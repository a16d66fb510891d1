"""When people work: until when something should have been done, and when a message may wait for the morning."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from cogent_ops.domain.rules import Rules

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # no zone, no name, or that of a folder of zones
        raise ValueError(f"'{name}' is no time zone of the IANA database (e.g. Europe/London)") from None
    return name


def _clock(value: Any) -> Any:
    """YAML reads 18:00 without quotes as a number to the base 60: the minutes of the day."""
    if isinstance(value, int) and not isinstance(value, bool):
        if not 60 <= value < 24 * 60:
            raise ValueError(f"{value} is no time of day (e.g. 09:00)")
        return f"{value // 60:02}:{value % 60:02}"
    return value


Clock = Annotated[str, BeforeValidator(_clock), StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


class BusinessHours(Rules):
    """When somebody looks at messages. Outside of it only what is critical disturbs anybody."""

    timezone: Annotated[str, AfterValidator(_zone)] = Field(
        "Europe/London", description="Time zone of the other fields, as the IANA database names it."
    )
    days: Annotated[tuple[Day, ...], Field(min_length=1)] = Field(
        ("mon", "tue", "wed", "thu", "fri", "sat"), description="Days on which people work."
    )
    opens: Clock = Field("09:00", description="Local time at which they begin.")
    closes: Clock = Field("18:00", description="Local time at which they end.")
    closed_on: tuple[date, ...] = Field((), description="Days on which nobody works, such as 2026-12-25.")

    @model_validator(mode="after")
    def _opens_before_it_closes(self) -> BusinessHours:
        if self.opens >= self.closes:
            raise ValueError(f"closes ({self.closes}) must come after opens ({self.opens})")
        return self

    def is_open(self, moment: datetime) -> bool:
        """Whether people work at this moment."""
        start, _ = next(self._windows(moment))
        return start <= moment

    def after(self, moment: datetime, minutes: int) -> datetime:
        """The moment by which people have worked so many minutes since ``moment``, in UTC."""
        left = timedelta(minutes=minutes)
        for start, end in self._windows(moment):
            begin = max(start, moment.astimezone(UTC))
            if begin + left <= end:
                return begin + left
            left -= end - begin
        raise AssertionError("the weeks do not end")  # pragma: no cover

    def _windows(self, moment: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Times of work that end after ``moment``, in UTC and in order, without end."""
        zone = ZoneInfo(self.timezone)
        day = moment.astimezone(zone).date()
        while True:
            if DAYS[day.weekday()] in self.days and day not in self.closed_on:
                start, end = (
                    datetime.combine(day, time.fromisoformat(at), zone).astimezone(UTC)
                    for at in (self.opens, self.closes)
                )
                if end > moment:
                    yield start, end
            day += timedelta(days=1)
