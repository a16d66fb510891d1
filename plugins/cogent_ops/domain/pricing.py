"""Which of a variant's prices counts, and amounts as decimals.

The rules are those of commercetools' own price selection, applied here because a projection selected by the
server cannot be read for embedded and standalone prices alike, nor explained when it is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from cogent_ops.domain.commercetools import Money, Price
from cogent_ops.domain.iso import CURRENCY_EXPONENTS

_BEFORE_ALL_DATES = datetime.min.replace(tzinfo=UTC)


class Amounts(NamedTuple):
    """What the kiosk shows: equal when nothing is discounted."""

    current: Decimal
    original: Decimal


@dataclass(frozen=True, slots=True)
class PriceScope:
    """For whom, where and when a price is looked for.

    :param channel_id: only prices of this Channel or of none; ``None``: only prices without a Channel.
    :param customer_group_id: likewise for the customer group.
    :param now: the moment at which a price must be valid, with time zone.
    """

    currency: str
    country: str
    now: datetime
    channel_id: str | None = None
    customer_group_id: str | None = None

    def select(self, prices: Iterable[Price]) -> Price | None:
        """The most specific price that fits; the order of ``prices`` does not matter.

        A price for the customer group wins over one for the Channel, that over one for the country, that over
        one for everybody; at equal scope one with dates wins, and of two such the one that began last.
        """
        fitting = [price for price in prices if self._is_for(price) and self._is_valid(price)]
        if len(fitting) > 1:
            return max(fitting, key=_specificity)
        return fitting[0] if fitting else None

    def explain(self, prices: Sequence[Price]) -> str:
        """Why :meth:`select` finds nothing, for the person who must mend it."""
        if not prices:
            return "it has no price at all"
        currencies = {price.value.currency_code for price in prices}
        if self.currency not in currencies:
            return f"it has no price in {self.currency}, only in {', '.join(sorted(currencies))}"
        if not any(self._is_for(price) for price in prices):
            return (
                f"its prices in {self.currency} are for other countries than {self.country}, or for other "
                "channels or customer groups"
            )
        return f"its prices in {self.currency} have ended or have not begun"

    def _is_for(self, price: Price) -> bool:
        return (
            price.value.currency_code == self.currency
            and price.country in (None, self.country)
            and (price.channel is None or price.channel.id == self.channel_id)
            and (price.customer_group is None or price.customer_group.id == self.customer_group_id)
        )

    def _is_valid(self, price: Price) -> bool:
        """From ``validFrom`` on and before ``validUntil``: periods that follow each other never overlap."""
        return (price.valid_from is None or price.valid_from <= self.now) and (
            price.valid_until is None or self.now < price.valid_until
        )


def amounts(price: Price) -> Amounts:
    """Current and original amount: a product discount lowers the current one."""
    original = amount(price.value)
    return Amounts(original if price.discounted is None else amount(price.discounted.value), original)


def amount(money: Money) -> Decimal:
    """Major units with as many decimals as the currency has."""
    return _scaled(money.cent_amount, CURRENCY_EXPONENTS.get(money.currency_code, money.fraction_digits))


@lru_cache(maxsize=65_536)
def _scaled(cents: int, digits: int) -> Decimal:
    return Decimal(cents).scaleb(-digits)


def _specificity(price: Price) -> tuple[bool, bool, bool, bool, datetime, int, str]:
    """Ends with amount and id, so that data which commercetools would refuse still gives one answer."""
    return (
        price.customer_group is not None,
        price.channel is not None,
        price.country is not None,
        price.valid_from is not None or price.valid_until is not None,
        price.valid_from or _BEFORE_ALL_DATES,
        -price.value.cent_amount,
        price.id or "",
    )
