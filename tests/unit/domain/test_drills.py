"""What marks a drill, and what it says."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogent_ops.domain.drills import LIKE, MARK, SAMPLES, drill, drill_cause, is_drill
from cogent_ops.domain.exceptions import Kind, Owner

NOON = datetime(2026, 11, 20, 12, 5, 9, tzinfo=UTC)


def _like(text: str) -> bool:
    """What SQL's LIKE says."""
    return re.fullmatch(LIKE.replace("_", "."), text, re.DOTALL) is not None


def test_every_kind_can_be_drilled() -> None:
    assert set(SAMPLES) == set(Kind)


@pytest.mark.parametrize("kind", Kind)
def test_a_drill_is_marked_wherever_people_read(kind: Kind) -> None:
    made = drill(kind, drill_cause(NOON))
    assert (made.kind, made.owner) == (kind, SAMPLES[kind].owner)
    assert made.record.startswith(f"{MARK} ")
    assert made.message.startswith(made.record)
    assert made.message.endswith(".")
    assert "drill" in made.cure
    # Nothing that could be taken for an order, a store or money of theirs.
    assert (made.payload, made.group, made.place, made.amount) == ({}, "", "", None)


def test_who_practises_may_be_named() -> None:
    assert drill(Kind.DRIFT_STOCK, drill_cause(NOON), Owner.FINANCE).owner is Owner.FINANCE


@given(st.timedeltas(timedelta(days=-9000), timedelta(days=9000)), st.integers(-12, 14))
def test_the_cause_key_marks_it_for_python_and_sql(span: timedelta, hours: int) -> None:
    at = (NOON + span).astimezone(timezone(timedelta(hours=hours)))
    first, second = drill_cause(at), drill_cause(at)
    assert first != second
    for key in (first, second):
        assert is_drill(key)
        assert _like(key)


@pytest.mark.parametrize(
    "key",
    [
        "drill/18V-compact@leeds",
        "drill/",
        "drill/20261120T120509-1234567@leeds",
        "sku/drill/20261120T120509-12345678",
        "order/gid://cloudshelf/Order/drill",
        "drills/20261120T120509-12345678",
    ],
)
def test_a_retailers_own_drills_are_none_of_ours(key: str) -> None:
    assert not is_drill(key)
    assert not _like(key)


@given(st.text(), st.text())
def test_no_place_is_taken_for_a_drill(sku: str, channel: str) -> None:
    assert not is_drill(f"{sku}@{channel}")
