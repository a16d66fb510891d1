"""Which part of the catalogue a run reads: a table of wishes, watermarks and hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogent_ops.config import LinkConfig
from cogent_ops.domain.commercetools import timestamp
from cogent_ops.services.catalogue.plan import (
    CatalogueRequest,
    Flow,
    Mode,
    full_pass_due,
    next_watermark,
    plan,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NIGHT = datetime(2026, 11, 20, 2, 15, tzinfo=UTC)
HOUR = timedelta(hours=1)
CONFIG = LinkConfig(name="default", country="DE", currency="EUR", locales=("de",), required_locales=("de",))
INTERVAL = (NOON - 26 * HOUR, NOON - 25 * HOUR)


def request(**wishes: object) -> CatalogueRequest:
    return CatalogueRequest(**({"link": "default", "run_key": "r", "now": NOON} | wishes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wishes", "watermark", "last_full", "mode"),
    [
        pytest.param({}, None, None, Mode.FULL, id="first run reads everything"),
        pytest.param({}, NOON - HOUR, NOON - 10 * HOUR, Mode.DELTA, id="by day only what changed"),
        pytest.param({"now": NIGHT}, NIGHT - HOUR, NIGHT - 24 * HOUR, Mode.FULL, id="nightly full pass"),
        pytest.param({"now": NIGHT}, NIGHT - HOUR, NIGHT - HOUR, Mode.DELTA, id="one full pass a night"),
        pytest.param(
            {}, NOON - HOUR, NOON - 40 * HOUR, Mode.FULL, id="an overdue full pass waits for no hour"
        ),
        pytest.param({"full_refresh": True}, NOON - HOUR, NOON - HOUR, Mode.FULL, id="asked for"),
        pytest.param({"skus": ("A",)}, NOON - HOUR, None, Mode.SKUS, id="single SKUs"),
        pytest.param(
            {"interval": INTERVAL, "full_refresh": True}, None, None, Mode.BACKFILL, id="backfill wins"
        ),
        pytest.param(
            {"flow": Flow.AUDIT}, NOON - HOUR, NOON - HOUR, Mode.FULL, id="an audit reads everything"
        ),
        pytest.param(
            {"flow": Flow.AUDIT, "interval": INTERVAL},
            NOON - HOUR,
            NOON - HOUR,
            Mode.FULL,
            id="so does the backfill of an audit",
        ),
        pytest.param(
            {"flow": Flow.AUDIT, "skus": ("A",)}, None, None, Mode.FULL, id="and one that names SKUs"
        ),
    ],
)
def test_mode(
    wishes: dict[str, object], watermark: datetime | None, last_full: datetime | None, mode: Mode
) -> None:
    assert plan(request(**wishes), CONFIG, watermark, last_full).mode is mode


def test_delta_overlaps_the_watermark() -> None:
    chosen = plan(request(), CONFIG, NOON - HOUR, NOON - HOUR)
    overlap = timedelta(seconds=CONFIG.overlap_seconds)
    assert chosen.where() == (f'lastModifiedAt >= "{timestamp(NOON - HOUR - overlap)}"',)


def test_backfill_reads_its_interval_and_touches_nothing_else() -> None:
    chosen = plan(request(interval=INTERVAL), CONFIG, NOON, NOON)
    assert chosen.where() == (
        f'lastModifiedAt >= "{timestamp(INTERVAL[0])}"',
        f'lastModifiedAt < "{timestamp(INTERVAL[1])}"',
    )
    assert not chosen.moves_watermark
    assert not chosen.finds_removals


moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(previous=st.none() | moments, newest=st.none() | moments, started=moments)
def test_watermark_never_goes_back_and_never_passes_what_the_run_can_have_read(
    previous: datetime | None, newest: datetime | None, started: datetime
) -> None:
    moved = next_watermark(previous, newest, started)
    if moved is None:
        assert previous is None
        assert newest is None
    else:
        assert previous is None or moved >= previous
        assert moved == previous or moved <= started


@given(start=moments, hour=st.integers(0, 23))
def test_runs_every_quarter_of_an_hour_make_one_full_pass_a_day(start: datetime, hour: int) -> None:
    passes = []
    last = start
    for quarter in range(1, 4 * 24 * 5):
        now = start + timedelta(minutes=15 * quarter)
        if full_pass_due(now, last, hour):
            passes.append(now)
            last = now
    assert 4 <= len(passes) <= 5
    assert all(now.hour == hour for now in passes[1:])
