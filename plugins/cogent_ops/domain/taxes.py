"""Tax rates, and what the tax of an order's lines comes to: by rate, rounded half to even, and adding up exactly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from cogent_ops.domain.money import Money


@dataclass(frozen=True)
class TaxRate:
    """A tax rate for a country.

    :param amount: as a share, 0.19.
    :param is_included: whether prices hold the tax.
    """

    name: str
    amount: Decimal
    is_included: bool
    country: str

    @classmethod
    def of(cls, raw: Mapping[str, Any], *, prices_include_tax: bool) -> TaxRate:
        """A rate as commercetools gives it.

        :param prices_include_tax: what counts where the rate does not say.
        """
        included = raw.get("includedInPrice")
        return cls(
            str(raw["name"]),
            Decimal(str(raw["amount"])),
            prices_include_tax if included is None else bool(included),
            str(raw["country"]),
        )

    def api(self) -> dict[str, Any]:
        """``TaxRate`` of the commercetools API."""
        return {
            "name": self.name,
            "amount": float(self.amount),
            "includedInPrice": self.is_included,
            "country": self.country,
        }

    def tax(self, cents: int) -> int:
        """The tax of prices in minor units: in them, or on top of them."""
        rate = Fraction(self.amount)
        return round(cents * rate / (1 + rate) if self.is_included else cents * rate)


@dataclass(frozen=True)
class Taxed:
    """Totals with tax.

    :param portions: the tax by rate; they come to the difference between gross and net.
    """

    net: Money
    gross: Money
    portions: tuple[tuple[TaxRate, Money], ...]

    def api(self) -> dict[str, Any]:
        """``TaxedPriceDraft`` of the commercetools API."""
        return {
            "totalNet": self.net.api(),
            "totalGross": self.gross.api(),
            "taxPortions": [
                {"name": rate.name, "rate": float(rate.amount), "amount": tax.api()}
                for rate, tax in self.portions
            ],
        }


def taxed(prices: Iterable[tuple[Money, TaxRate | None]], currency: str) -> Taxed:
    """The totals of lines, each with its rate; ``None``: free of tax."""
    sums: dict[TaxRate | None, int] = {}
    for price, rate in prices:
        sums[rate] = sums.get(rate, 0) + price.cents
    taxes = {rate: rate.tax(cents) for rate, cents in sums.items() if rate is not None}
    included = sum(tax for rate, tax in taxes.items() if rate.is_included)
    on_top = sum(taxes.values()) - included
    whole = sum(sums.values())
    return Taxed(
        net=Money(currency, whole - included),
        gross=Money(currency, whole + on_top),
        portions=tuple((rate, Money(currency, tax)) for rate, tax in taxes.items()),
    )
