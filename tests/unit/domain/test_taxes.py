"""Taxes add up exactly, whatever the rates and amounts."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from cogent_ops.domain.money import Money
from cogent_ops.domain.taxes import TaxRate, taxed

RATES = st.builds(
    TaxRate,
    name=st.sampled_from(["a", "b"]),
    amount=st.decimals(0, 1, places=4),
    is_included=st.booleans(),
    country=st.just("DE"),
)
LINES = st.lists(st.tuples(st.integers(-(10**6), 10**9), st.none() | RATES), max_size=12)


@given(lines=LINES)
def test_net_and_portions_come_to_gross(lines: list[tuple[int, TaxRate | None]]) -> None:
    found = taxed([(Money("EUR", cents), rate) for cents, rate in lines], "EUR")
    portions = sum(tax.cents for _, tax in found.portions)
    assert found.net.cents + portions == found.gross.cents
    on_top = sum(tax.cents for rate, tax in found.portions if not rate.is_included)
    assert found.gross.cents - on_top == sum(cents for cents, _ in lines)


@given(cents=st.integers(0, 10**12), rate=st.decimals(0, 1, places=4))
def test_tax_is_off_by_less_than_a_unit(cents: int, rate: Decimal) -> None:
    inside = TaxRate("t", rate, is_included=True, country="DE").tax(cents)
    on_top = TaxRate("t", rate, is_included=False, country="US").tax(cents)
    assert abs((cents - inside) * rate - inside) <= (1 + rate) / 2
    assert abs(cents * rate - on_top) <= Decimal("0.5")


def test_halves_go_to_the_even_unit() -> None:
    half = TaxRate("t", Decimal("0.5"), is_included=False, country="US")
    assert [half.tax(cents) for cents in (1, 3, 5, 7)] == [0, 2, 2, 4]


def test_a_rate_is_read_as_the_api_gives_it() -> None:
    raw = {"id": "1", "name": "VAT", "amount": 0.19, "includedInPrice": True, "country": "DE"}
    rate = TaxRate.of(raw, prices_include_tax=False)
    assert rate == TaxRate("VAT", Decimal("0.19"), is_included=True, country="DE")
    silent = {name: value for name, value in raw.items() if name != "includedInPrice"}
    assert not TaxRate.of(silent, prices_include_tax=False).is_included
    assert rate.api() == {"name": "VAT", "amount": 0.19, "includedInPrice": True, "country": "DE"}
