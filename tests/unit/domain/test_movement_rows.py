"""Rows of stores' systems: understood, or refused with field, rule and cure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cogent_ops.domain.movement_rows import (
    COLUMNS,
    MovementRow,
    RowProblem,
    columns_of,
    read_row,
    unknown_field,
)
from cogent_ops.domain.orders import MOST_UNITS

NOW = datetime(2026, 11, 24, 16, tzinfo=UTC)
ROW = {
    "id": "till1-7",
    "sku": "coat",
    "location": "berlin",
    "quantity": "-2",
    "at": "2026-11-24T16:05:00+01:00",
}


def row(**changes: Any) -> MovementRow | RowProblem:
    return read_row({**ROW, **changes}, NOW)


def good(**changes: Any) -> MovementRow:
    found = row(**changes)
    assert isinstance(found, MovementRow), found
    return found


def test_a_movement_is_understood() -> None:
    found = good(reason="  sold \n twice ")
    assert (found.id, found.sku, found.channel, found.delta, found.counted) == (
        "till1-7",
        "coat",
        "berlin",
        -2,
        None,
    )
    assert found.at == datetime(2026, 11, 24, 15, 5, tzinfo=UTC)
    assert found.reason == "sold twice"


@pytest.mark.parametrize(
    ("value", "units"),
    [
        ("+3", 3),
        (" 3 ", 3),
        ("3.0", 3),
        (3, 3),
        (3.0, 3),
        (Decimal("3.00"), 3),
        ("-1", -1),
        (MOST_UNITS, MOST_UNITS),
    ],
)
def test_whole_numbers_come_in_many_forms(value: Any, units: int) -> None:
    assert good(quantity=value).delta == units


def test_a_count_may_find_nothing() -> None:
    found = good(quantity=None, counted=0)
    assert (found.delta, found.counted) == (None, 0)


def test_numbers_may_identify() -> None:
    assert (good(id=7, sku=4711).id, good(sku=4711).sku) == ("7", "4711")


def test_the_pool_without_channel_is_asked_for_in_so_many_words() -> None:
    assert good(location="-").channel == ""
    assert isinstance(row(location=""), RowProblem)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": ""}, "id"),
        ({"id": None}, "id"),
        ({"id": 1.5}, "id"),
        ({"id": True}, "id"),
        ({"sku": "x" * 300}, "sku"),
        ({"sku": "a\x00b"}, "sku"),
        ({"sku": ["a"]}, "sku"),
        ({"location": " "}, "location"),
        ({"quantity": ""}, "quantity"),
        ({"quantity": None}, "quantity"),
        ({"quantity": float("nan")}, "quantity"),
        ({"counted": 3}, "quantity"),
        ({"quantity": "1,5"}, "quantity"),
        ({"quantity": "1.5"}, "quantity"),
        ({"quantity": "1e3"}, "quantity"),
        ({"quantity": "٣"}, "quantity"),
        ({"quantity": True}, "quantity"),
        ({"quantity": float("inf")}, "quantity"),
        ({"quantity": 0}, "quantity"),
        ({"quantity": MOST_UNITS + 1}, "quantity"),
        ({"quantity": None, "counted": -1}, "counted"),
        ({"at": None}, "at"),
        ({"at": "24.11.2026 16:05"}, "at"),
        ({"at": "2026-11-24T16:05:00"}, "at"),
        ({"at": "2026-11-24"}, "at"),
        ({"at": NOW.date()}, "at"),
        ({"at": NOW.replace(tzinfo=None)}, "at"),
        ({"at": NOW + timedelta(minutes=11)}, "at"),
        ({"at": datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))}, "at"),
    ],
)
def test_what_cannot_be_taken_is_named(changes: dict[str, Any], field: str) -> None:
    found = row(**changes)
    assert isinstance(found, RowProblem)
    assert found.field == field
    assert found.cure.endswith(".")
    assert found.message.startswith(("quantity", "counted", "id", "sku", "location", "at", "both", "neither"))


ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.datetimes()


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(list(COLUMNS)), ANYTHING))
def test_whatever_comes_is_taken_or_refused(changes: dict[str, Any]) -> None:
    found = read_row({**ROW, **changes}, NOW)
    if isinstance(found, MovementRow):
        assert (found.delta is None) != (found.counted is None)
        assert found.at <= NOW + timedelta(minutes=10)


def test_headers_are_understood_in_many_spellings() -> None:
    found = columns_of(["Movement ID", "SKU", "Store-Key", "Qty", "occurred_at", "shelf"])
    assert found == {
        "id": "Movement ID",
        "sku": "SKU",
        "location": "Store-Key",
        "quantity": "Qty",
        "at": "occurred_at",
    }


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        (["id", "sku", "quantity", "at"], "there is no column location"),
        (["id", "sku", "location", "at"], "there is no column quantity"),
        (["sku"], "there is no column id and no column location and no column at"),
        (["id", "sku", "SKU", "location", "quantity", "at"], "the columns 'sku' and 'SKU' both mean sku"),
    ],
)
def test_headers_that_cannot_be_right_are_named(headers: list[str], message: str) -> None:
    found = columns_of(headers)
    assert isinstance(found, RowProblem)
    assert message in found.message


def test_a_misspelt_field_is_named() -> None:
    found = unknown_field({"id": 1, "quantitiy": 2})
    assert found is not None
    assert "Did you mean 'quantity'?" in found.cure
    assert unknown_field(dict.fromkeys(COLUMNS)) is None
