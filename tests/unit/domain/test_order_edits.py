"""What a person may correct, and what is refused with a sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.kiosk_orders import line, paid, shipping

from cogent_ops.domain.money import Money
from cogent_ops.domain.order_edits import EditError, check_edit, is_email, refund_lines_of, refund_of

ORDER = paid(line("a", 2), line("b", 0), shipping())


@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [
        ("location", " berlin-mitte ", "berlin-mitte"),
        ("email", "anna@example.com", "anna@example.com"),
        ("currency", "EUR", "EUR"),
        ("paid", "yes", "yes"),
        ("total", "84", "84.00"),
        ("refund_amount", "12.5", "12.50"),
        ("refund_lines", "1:2 2", "1:2, 2"),
        ("price.1", "0", "0.00"),
        ("price.3", "4.9", "4.90"),
        ("sku.2", "coat/l 50%", "coat/l 50%"),
        ("quantity.2", "007", "7"),
        ("quantity.1", "0", "0"),
    ],
)
def test_corrections_are_stored_in_one_form(name: str, value: str, stored: str) -> None:
    assert check_edit(ORDER, name, value, "EUR") == stored
    assert check_edit(ORDER, name, stored, "EUR") == stored


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("address", "x"),
        ("price", "1"),
        ("price.4", "1"),
        ("price.01", "1"),
        ("price.x", "1"),
        ("price.1", "-1"),
        ("price.1", "1,50"),
        ("price.1", "1.234"),
        ("price.1", ""),
        ("price.1", "9" * 15),
        ("location", "a"),
        ("location", "berlin mitte"),
        ("email", "anna"),
        ("currency", "USD"),
        ("paid", "no"),
        ("total", "all"),
        ("refund_amount", "0"),
        ("refund_lines", "4"),
        ("refund_lines", "3"),
        ("refund_lines", "1:3"),
        ("refund_lines", "1:0"),
        ("refund_lines", "one"),
        ("sku.1", ""),
        ("sku.1", "a\x00b"),
        ("quantity.1", "-1"),
        ("quantity.1", "1.5"),
        ("quantity.1", "9999999"),
    ],
)
def test_what_cannot_be_taken_says_why(name: str, value: str) -> None:
    with pytest.raises(EditError) as refused:
        check_edit(ORDER, name, value, "EUR")
    assert str(refused.value).endswith(".")


def test_what_a_person_typed_is_never_repeated() -> None:
    """They may have typed an address into the wrong field."""
    for name in ("location", "email", "currency", "paid", "total", "refund_lines", "price.1", "quantity.1"):
        with pytest.raises(EditError) as refused:
            check_edit(ORDER, name, "anna@example", "EUR")
        assert "anna" not in str(refused.value)


@given(name=st.text(max_size=12), value=st.text(max_size=30))
def test_nothing_that_a_person_types_breaks_it(name: str, value: str) -> None:
    for one in (name, f"price.{name}", f"quantity.{name}"):
        try:
            check_edit(ORDER, one, value, "EUR")
        except EditError:
            continue


def test_refunds_are_read_back() -> None:
    edits = {"refund_amount": "12.50", "refund_lines": "1:2, 2"}
    assert refund_of(edits, "EUR") == Money("EUR", 1250)
    assert refund_lines_of(edits) == {1: 2, 2: None}
    assert (refund_of({}, "EUR"), refund_lines_of({})) == (None, {})


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("anna@example.com", True),
        ("anna.o'neill+kiosk@mail.example.co.uk", True),
        ("anna@example", False),
        ("anna example.com", False),
        ("@example.com", False),
        ("anna@@example.com", False),
        ("anna@example.com, otto@example.com", False),
        ("Anna <anna@example.com>", False),
        ("a" * 65 + "@example.com", False),
    ],
)
def test_addresses_are_told_by_their_form(text: str, is_one: bool) -> None:
    assert is_email(text) is is_one
