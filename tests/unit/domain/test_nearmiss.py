"""Identifiers as people and spreadsheets write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogent_ops.domain.nearmiss import closest, other_forms


@pytest.mark.parametrize(
    ("meant", "written"),
    [
        ("00047110", "47110"),
        ("47110", "00047110"),
        ("47110", "47110.0"),
        ("00047110", "47110.0"),
        ("47110", "'47110"),
        ("47110", ' "47110"'),
        ("A 1O0".replace(" ", ""), "A 1O0"),
        ("ABC-100", "ABC-1O0"),
        ("ABC-100", "ABC–100"),
        ("S5-8B", "SS-8B"),
    ],
)
def test_a_slip_leads_back_to_what_was_meant(meant: str, written: str) -> None:
    assert meant in other_forms(written)


@given(st.text(max_size=40))
def test_forms_are_few_and_never_the_value_itself(value: str) -> None:
    forms = other_forms(value)
    assert value not in forms
    assert "" not in forms
    assert len(forms) == len(set(forms)) < 300


def test_only_what_is_close_is_offered() -> None:
    known = ["COAT-RED-M", "COAT-RED-L", "HAT-1"]
    assert closest("coat-rde-m", known) == "COAT-RED-M"
    assert closest("TROUSERS-9", known) is None
    assert closest("x", []) is None
