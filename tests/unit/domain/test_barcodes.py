"""GTIN check digits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogent_ops.domain.barcodes import is_gtin
from cogent_ops.sandbox.defects import gtin13


@pytest.mark.parametrize(
    ("code", "valid"),
    [
        ("4006381333931", True),
        ("96385074", True),
        ("036000291452", True),
        ("10012345678902", True),
        ("4006381333932", False),
        ("400638133393", False),
        ("4.00638E+12", False),
        ("4006381 33931", False),
        ("٤٠٠٦٣٨١٣٣٣٩٣١", False),
        ("ABCDEFGH", False),
        ("", False),
    ],
)
def test_codes(code: str, valid: bool) -> None:
    assert is_gtin(code) is valid


@given(body=st.integers(0, 10**12 - 1), place=st.integers(0, 12), step=st.integers(1, 9))
def test_one_wrong_digit_is_always_found(body: int, place: int, step: int) -> None:
    code = gtin13(body)
    assert is_gtin(code)
    wrong = f"{code[:place]}{(int(code[place]) + step) % 10}{code[place + 1 :]}"
    assert not is_gtin(wrong)
