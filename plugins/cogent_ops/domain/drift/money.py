"""What kiosks took, by day, store and currency, against what commercetools' orders come to and what was paid on them.

A day is one of UTC, of the time at which an order was placed. Only orders that this package sent are compared with
their payments: who paid a basket in the web shop, or an order that was entered by hand, is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from cogent_ops.domain.drift.model import Area, Cause, Fact, Finding, Moment
from cogent_ops.domain.drift.orders import LedgerSide, OrderFacts, ShopSide, judge
from cogent_ops.domain.exceptions import Owner
from cogent_ops.domain.money import Money, show
from cogent_ops.domain.rules import OrderStatus

#: Orders that a finding names.
NAMED = 20
#: States in which all that was paid goes back.
_ALL_BACK = (OrderStatus.REFUNDED, OrderStatus.VOIDED)


class Aspect(StrEnum):
    """What differs."""

    TOTAL = "total"
    PAYMENT = "payment"
    REFUND = "refund"


@dataclass
class Takings:
    """A day's takings of a store in one currency, in minor units.

    :param captured: totals of the orders as they were captured.
    :param shop: totals of the same orders in commercetools.
    :param paid: what was paid on them there.
    :param refunded: what went back, and what is to.
    """

    day: str
    place: str
    currency: str
    orders: int = 0
    captured: int = 0
    shop: int = 0
    paid: int = 0
    refunded: int = 0


@dataclass(frozen=True)
class Difference:
    """What is wrong with the money of one order, as ``amount`` in minor units: what is there less what should be."""

    aspect: Aspect
    cause: Cause
    number: str
    wanted: int
    shown: int

    @property
    def amount(self) -> int:
        """What is too much; negative: too little."""
        return self.shown - self.wanted


@dataclass
class Ledger:
    """Takings and differences of some days.

    :param since: orders that were placed before are left out: their days are not whole.
    """

    moment: Moment
    since: datetime
    takings: dict[tuple[str, str, str], Takings] = field(default_factory=dict)
    differences: dict[tuple[str, str, str, Aspect, Cause], list[Difference]] = field(default_factory=dict)

    def add(self, facts: OrderFacts) -> None:
        """Count an order in: a captured one, or one that commercetools has too many."""
        ledger, shop = facts.ledger, facts.shop
        is_captured = ledger is not None and ledger.state == "captured"
        placed_at = ledger.ordered_at if ledger else shop.created_at if shop else self.since
        if placed_at < self.since or not (is_captured or (shop is not None and ledger is None)):
            return
        key = f"{placed_at:%Y-%m-%d}", facts.place, _currency(ledger, shop)
        row = self.takings.setdefault(key, Takings(*key))
        if ledger is not None and not facts.twin_of:
            _count_captured(row, ledger, shop)
        if shop is not None and shop.currency == row.currency:
            row.shop += shop.total
            row.paid += shop.charged
            row.refunded += shop.refunded + shop.owed
        for one in differences(facts, self.moment):
            self.differences.setdefault((*key, one.aspect, one.cause), []).append(one)

    def rows(self) -> list[Takings]:
        """Takings by day, store and currency."""
        return [self.takings[key] for key in sorted(self.takings)]

    def findings(self, *, link: str, night: str) -> Iterator[Finding]:
        """One finding for each day, store, currency, aspect and cause."""
        for (day, place, currency, aspect, cause), rows in sorted(self.differences.items()):
            yield _finding(day, place, currency, aspect, cause, rows, link=link, night=night)


def _count_captured(row: Takings, ledger: LedgerSide, shop: ShopSide | None) -> None:
    row.orders += 1
    if ledger.money is not None:
        row.captured += ledger.money.cents
    elif shop is not None:
        row.captured += shop.total  # captured without a total of its own: commercetools' counts


def _currency(ledger: LedgerSide | None, shop: ShopSide | None) -> str:
    if ledger is not None and ledger.money is not None:
        return ledger.money.currency
    return shop.currency if shop is not None else ""


def differences(facts: OrderFacts, moment: Moment) -> Iterator[Difference]:
    """What is wrong with the money of an order; nothing while the order is on its way or in review."""
    judged = judge(facts, moment)
    if any(one.cause is None for one in judged):
        return
    currency, shop = _currency(facts.ledger, facts.shop), facts.shop
    for one in judged:
        if one.amount and one.cause is not None and one.currency == currency:
            shown = shop.total if shop else 0
            yield Difference(Aspect.TOTAL, one.cause, facts.number, shown - one.amount, shown)
    if (
        _has_our_payment(facts)
        and facts.ledger
        and shop
        and not moment.is_young(shop.changed_at, moment.late)
    ):
        yield from _payments(facts.number, facts.ledger, shop)


def _has_our_payment(facts: OrderFacts) -> bool:
    is_sent = facts.ledger is not None and facts.ledger.origin == "kiosk"
    return is_sent and not facts.twin_of and not facts.in_review


def _payments(number: str, ledger: LedgerSide, shop: ShopSide) -> Iterator[Difference]:
    if shop.charged != shop.gross:
        cause = Cause.LOST if shop.charged < shop.gross else Cause.DUPLICATED
        yield Difference(Aspect.PAYMENT, cause, number, shop.gross, shop.charged)
    back = shop.refunded + shop.owed
    if back > shop.charged:
        yield Difference(Aspect.REFUND, Cause.DUPLICATED, number, shop.charged, back)
    elif ledger.captured_status in _ALL_BACK and back < shop.charged:
        yield Difference(Aspect.REFUND, Cause.LOST, number, shop.charged, back)


_WORDS = {
    (Aspect.TOTAL, True): "come to more in commercetools than was captured",
    (Aspect.TOTAL, False): "come to less in commercetools than was captured",
    (Aspect.PAYMENT, True): "have payments of more than they come to",
    (Aspect.PAYMENT, False): "have payments of less than they come to",
    (Aspect.REFUND, True): "were refunded by more than was paid",
    (Aspect.REFUND, False): "are void or refunded, and less goes back than was paid",
}
_ACTIONS = {
    Aspect.TOTAL: "See the findings about these orders; book what commercetools says only when they are settled.",
    Aspect.PAYMENT: "Compare the payments of these orders in commercetools with the payment provider's report, and "
    "correct them there.",
    Aspect.REFUND: "Compare the refunds of these orders in commercetools with the payment provider's report, and "
    "correct them there.",
}


def _finding(
    day: str,
    place: str,
    currency: str,
    aspect: Aspect,
    cause: Cause,
    rows: list[Difference],
    *,
    link: str,
    night: str,
) -> Finding:
    amount = sum(one.amount for one in rows)
    orders = "1 order" if len(rows) == 1 else f"{len(rows)} orders"
    where = f"{place or 'no store'}, {day}"
    message = f"{where}: {orders} {_WORDS[aspect, amount > 0]}, by {show(Money(currency, abs(amount)))}."
    return Finding(
        link=link,
        night=night,
        area=Area.MONEY,
        cause=cause,
        subject=f"{day} {place} {currency} · {aspect}",
        message=message,
        evidence=tuple(_evidence(rows, currency)),
        owner=Owner.FINANCE,
        action=_ACTIONS[aspect],
        units=len(rows),
        amount=amount,
        currency=currency,
        place=place,
    )


def _evidence(rows: Iterable[Difference], currency: str) -> Iterator[Fact]:
    largest = sorted(rows, key=lambda one: (-abs(one.amount), one.number))
    for one in largest[:NAMED]:
        wanted, shown = (show(Money(currency, cents)) for cents in (one.wanted, one.shown))
        yield Fact(one.number, f"should be {wanted}, is {shown}")
