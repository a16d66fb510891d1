"""Amounts of money in minor units: exact, by the digits that ISO 4217 gives each currency, and never a float.

Cloudshelf gives amounts as floats in major units. What a binary float adds to an amount (12.300000000000001) is noise,
no digit; anything else that a currency cannot express is refused, because rounding it would change what was paid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

from cogent_ops.domain.iso import CURRENCY_EXPONENTS
from cogent_ops.errors import PermanentError

#: No kiosk sells for more; a larger amount is a slip, and commercetools takes no more than 2^53 minor units.
MOST_CENTS = 10**15
#: As far, in minor units, may an amount lie from a whole one and still be that.
_NOISE = Decimal("0.0001")
_SYMBOLS = {"GBP": "£", "EUR": "€", "USD": "$", "JPY": "¥"}


class MoneyError(PermanentError):
    """An amount that its currency cannot express, or two currencies where one was meant."""


@dataclass(frozen=True)
class Money:
    """An amount.

    :param currency: code of ISO 4217.
    :param cents: minor units, signed.
    """

    currency: str
    cents: int

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Money:
        """An amount as commercetools writes it (``currencyCode``, ``centAmount``)."""
        return cls(str(raw["currencyCode"]), int(raw["centAmount"]))

    def api(self) -> dict[str, Any]:
        """``Money`` of the commercetools API."""
        return {"currencyCode": self.currency, "centAmount": self.cents}

    def __add__(self, other: Money) -> Money:
        """Both together.

        :raises MoneyError: when the currencies differ.
        """
        return Money(self._shared(other), self.cents + other.cents)

    def __sub__(self, other: Money) -> Money:
        """What is left.

        :raises MoneyError: when the currencies differ.
        """
        return Money(self._shared(other), self.cents - other.cents)

    def __mul__(self, factor: int) -> Money:
        """So many of it."""
        return Money(self.currency, self.cents * factor)

    def __neg__(self) -> Money:
        """The same amount in the other direction."""
        return Money(self.currency, -self.cents)

    def _shared(self, other: Money) -> str:
        if self.currency != other.currency:
            raise MoneyError(f"{show(self)} and {show(other)} are not of one currency.")
        return self.currency


def minor_units(amount: Decimal | str, currency: str) -> int:
    """Minor units of an amount in major units.

    :raises MoneyError: when the text is no number, the currency is not known or has fewer digits than the amount.
    """
    digits = CURRENCY_EXPONENTS.get(currency)
    if digits is None:
        raise MoneyError(f"'{currency}' is no currency of ISO 4217.")
    try:
        found = Decimal(amount)
    except InvalidOperation:
        raise MoneyError(f"'{amount}' is no amount of money.") from None
    if not found.is_finite() or (found and found.adjusted() + digits >= len(str(MOST_CENTS)) - 1):
        raise MoneyError(f"{amount} {currency} is more than any order comes to.")
    exact = found.scaleb(digits)
    whole = exact.to_integral_value(ROUND_HALF_EVEN)
    if abs(exact - whole) > _NOISE:
        raise MoneyError(f"{amount} {currency} has more than the {digits} decimals of that currency.")
    return int(whole)


def money(amount: Decimal | str, currency: str) -> Money:
    """An amount in major units.

    :raises MoneyError: see :func:`minor_units`.
    """
    return Money(currency, minor_units(amount, currency))


def total(amounts: Iterable[Money], currency: str) -> Money:
    """The sum; nothing comes to zero of ``currency``.

    :raises MoneyError: when one is of another currency.
    """
    return sum(amounts, Money(currency, 0))


def allocate(cents: int, weights: Sequence[int]) -> list[int]:
    """Parts of an amount in proportion to weights, which add up to it exactly.

    What rounding leaves goes to the parts that lost most by it.

    :param weights: none negative, one at least positive.
    """
    whole, sign = abs(cents), -1 if cents < 0 else 1
    sum_ = sum(weights)
    parts = [whole * weight // sum_ for weight in weights]
    lost = sorted(range(len(weights)), key=lambda i: (-(whole * weights[i] % sum_), i))
    for i in lost[: whole - sum(parts)]:
        parts[i] += 1
    return [sign * part for part in parts]


def major(amount: Money) -> str:
    """Major units with the currency's digits: ``84.00``."""
    return f"{Decimal(amount.cents).scaleb(-CURRENCY_EXPONENTS.get(amount.currency, 2)):f}"


def show(amount: Money) -> str:
    """As people write it: ``£84.00``, ``CHF 84.00``."""
    sign, text = ("-", major(-amount)) if amount.cents < 0 else ("", major(amount))
    symbol = _SYMBOLS.get(amount.currency)
    return f"{sign}{symbol}{text}" if symbol else f"{sign}{amount.currency} {text}"
