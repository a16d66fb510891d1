"""Money: exact for every currency, and refused where it cannot be."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogent_ops.domain.iso import CURRENCY_EXPONENTS
from cogent_ops.domain.money import (
    MOST_CENTS,
    Money,
    MoneyError,
    allocate,
    major,
    minor_units,
    money,
    show,
    total,
)

CURRENCIES = st.sampled_from(["EUR", "JPY", "BHD"])
CENTS = st.integers(-MOST_CENTS + 1, MOST_CENTS - 1)


@pytest.mark.parametrize(
    ("amount", "currency", "cents"),
    [
        ("12.5", "EUR", 1250),
        ("0", "EUR", 0),
        ("84", "JPY", 84),
        ("1.234", "BHD", 1234),
        ("-3.10", "GBP", -310),
        ("1E+3", "EUR", 100_000),
        (Decimal("7.01"), "USD", 701),
    ],
)
def test_amounts_become_minor_units(amount: Decimal | str, currency: str, cents: int) -> None:
    assert minor_units(amount, currency) == cents


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("12.345", "EUR"),
        ("0.5", "JPY"),
        ("1.2345", "BHD"),
        ("", "EUR"),
        ("12,50", "EUR"),
        ("NaN", "EUR"),
        ("sNaN", "EUR"),
        ("Infinity", "EUR"),
        ("1e999999999", "EUR"),
        ("10000000000000", "EUR"),
        ("1", "EURO"),
    ],
)
def test_what_a_currency_cannot_express_is_refused(amount: str, currency: str) -> None:
    with pytest.raises(MoneyError):
        minor_units(amount, currency)


@given(cents=CENTS, currency=CURRENCIES)
def test_whatever_is_shown_in_major_units_reads_the_same(cents: int, currency: str) -> None:
    amount = Money(currency, cents)
    assert money(major(amount), currency) == amount
    assert len(major(amount).partition(".")[2]) == CURRENCY_EXPONENTS[currency]


@given(
    prices=st.lists(st.integers(0, 10**7), min_size=1, max_size=30),
    currency=CURRENCIES,
)
def test_sums_of_binary_floats_are_the_sums_that_were_meant(prices: list[int], currency: str) -> None:
    """Cloudshelf adds up floats; what they carry beside the digits is not a digit."""
    sum_ = sum(float(major(Money(currency, price))) for price in prices)
    assert minor_units(str(sum_), currency) == sum(prices)


@given(cents=CENTS, weights=st.lists(st.integers(0, 10**6), min_size=1, max_size=8).filter(any))
def test_parts_add_up_and_none_is_off_by_a_unit(cents: int, weights: list[int]) -> None:
    parts = allocate(cents, weights)
    assert sum(parts) == cents
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part * sum(weights) - cents * weight) < sum(weights)


def test_nothing_of_a_part_without_weight() -> None:
    assert allocate(-100, [0, 1, 0]) == [0, -100, 0]


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (Money("GBP", 8400), "£84.00"),
        (Money("CHF", 8400), "CHF 84.00"),
        (Money("JPY", 84), "¥84"),
        (Money("BHD", 1250), "BHD 1.250"),
        (Money("EUR", -5), "-€0.05"),
    ],
)
def test_people_read_it_as_they_write_it(amount: Money, text: str) -> None:
    assert show(amount) == text


def test_currencies_are_never_mixed() -> None:
    with pytest.raises(MoneyError):
        total([Money("EUR", 1), Money("USD", 1)], "EUR")
    with pytest.raises(MoneyError):
        Money("EUR", 1) - Money("USD", 1)
    assert total([], "JPY") == Money("JPY", 0)


def test_the_api_s_form_and_back() -> None:
    amount = Money("EUR", 1990)
    assert amount.api() == {"currencyCode": "EUR", "centAmount": 1990}
    assert Money.of({**amount.api(), "type": "centPrecision", "fractionDigits": 2}) == amount
