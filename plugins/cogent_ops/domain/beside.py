"""A kiosk order beside the order in commercetools, or beside what would be sent: what is the same and what differs.

Each row says in words what differs, so that nobody has to find it by comparing columns, or by a colour.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cogent_ops.domain.money import Money, MoneyError, money, show
from cogent_ops.domain.order_draft import ADJUSTMENT, SHIPPING, Draft
from cogent_ops.domain.order_edits import LINE_EDITS, LOCATION_EDIT, PAID_EDIT, QUANTITY_EDIT, of_line
from cogent_ops.domain.order_problems import Problem
from cogent_ops.domain.orders import KioskOrder, SoldLine
from cogent_ops.domain.rules import OrderStatus

NONE = "none"
#: What the amount of an order is called, by whether Cloudshelf says that it was paid.
PAID, AMOUNT = "Customer paid", "Amount of the order"
_PAID = frozenset({OrderStatus.PAID, OrderStatus.PARTIALLY_REFUNDED, OrderStatus.REFUNDED})
_CORRECTED = "corrected by a person"
_LINE = re.compile(r"lines\[(\d+)\]")


class Mark(StrEnum):
    """How two sides of a row stand to each other."""

    SAME = "same"
    DIFFERS = "differs"
    #: One of the sides has nothing of the kind.
    LACKS = "missing"
    #: It keeps the whole from being sent.
    STOPS = "stops it"
    #: There is nothing to compare.
    PLAIN = ""


@dataclass(frozen=True)
class Pair:
    """One row.

    :param words: what differs, or what to know about it; empty: nothing.
    """

    what: str
    source: str
    target: str
    mark: Mark = Mark.PLAIN
    words: str = ""


@dataclass(frozen=True)
class Beside:
    """Two sides of one thing.

    :param source: what the left side is, as ``target`` is the right one; an empty ``target``: there is none.
    :param problem: why the right side cannot be shown; empty: it is.
    :param note: what to know about the whole; empty: nothing.
    """

    title: str
    source: str
    target: str
    pairs: tuple[Pair, ...]
    problem: str = ""
    note: str = ""

    @property
    def differences(self) -> int:
        """Rows whose sides are not the same."""
        return sum(one.mark in (Mark.DIFFERS, Mark.LACKS) for one in self.pairs)


@dataclass(frozen=True)
class ShopLine:
    """A line of the order in commercetools, or of what would be sent.

    :param key: ``l2`` for goods of the kiosk order's second line; empty: it has none.
    :param price: of one unit.
    """

    key: str
    sku: str
    name: str
    quantity: int
    price: Money

    @property
    def total(self) -> Money:
        """Of all units."""
        return self.price * self.quantity


@dataclass(frozen=True)
class ShopOrder:
    """An order in commercetools, or what would be sent.

    :param states: as commercetools names them.
    :param status: what it amounts to in Cloudshelf's words; ``None``: that is no question (yet), or it was not paid.
    :param gross: what the customer owes: the total, and taxes that come on top of it.
    """

    number: str
    states: str
    status: str | None
    store: str
    total: Money
    gross: Money
    lines: tuple[ShopLine, ...]
    is_draft: bool = False


def of_draft(draft: Draft) -> ShopOrder:
    """What would be sent."""
    body = draft.body
    return ShopOrder(
        number=draft.number,
        states=_states(body),
        status=None,
        store=str((body.get("store") or {}).get("key") or ""),
        total=draft.total,
        gross=draft.gross,
        lines=tuple(
            ShopLine(one.key, one.sku or "", _first(one.name), one.quantity, one.price) for one in draft.lines
        ),
        is_draft=True,
    )


def of_order(raw: Mapping[str, Any], status: OrderStatus | None) -> ShopOrder:
    """An order as commercetools gives it.

    :param status: see :func:`cogent_ops.domain.order_changes.shop_status`.
    """
    total = Money.of(raw["totalPrice"])
    taxed = raw.get("taxedPrice")
    lines = [
        ShopLine(
            str(one.get("key") or ""),
            str(one["variant"].get("sku") or ""),
            _first(one.get("name") or {}),
            int(one["quantity"]),
            Money.of(one["price"]["value"]),
        )
        for one in raw.get("lineItems") or ()
    ]
    lines += [
        ShopLine(
            str(one.get("key") or ""),
            "",
            _first(one.get("name") or {}),
            int(one["quantity"]),
            Money.of(one["money"]),
        )
        for one in raw.get("customLineItems") or ()
    ]
    return ShopOrder(
        number=str(raw.get("orderNumber") or raw["id"]),
        states=_states(raw),
        status=status,
        store=str((raw.get("store") or {}).get("key") or ""),
        total=total,
        gross=Money.of(taxed["totalGross"]) if taxed else total,
        lines=tuple(lines),
    )


def _states(raw: Mapping[str, Any]) -> str:
    found = (raw.get(name) for name in ("orderState", "paymentState", "shipmentState"))
    return ", ".join(str(one) for one in found if one)


def _first(name: Mapping[str, str]) -> str:
    return next(iter(name.values()), "")


def compare(
    order: KioskOrder,
    number: str,
    shop: ShopOrder | None,
    *,
    edits: Mapping[str, str],
    problems: Sequence[Problem] = (),
) -> tuple[Pair, ...]:
    """A kiosk order beside commercetools' side of it.

    :param number: the orderNumber that it has, or would get.
    :param shop: ``None``: there is none, and ``problems`` say why.
    :param edits: what people have corrected.
    """
    return tuple(_Comparison(order, number, shop, edits, problems).rows())


@dataclass(frozen=True)
class _Comparison:
    order: KioskOrder
    number: str
    shop: ShopOrder | None
    edits: Mapping[str, str]
    problems: Sequence[Problem]

    def rows(self) -> Iterator[Pair]:
        if self.shop is not None and self.shop.number != self.number:
            words = "Another number: somebody entered it under that, or the web shop made it."
            yield Pair("Order number", self.number, self.shop.number, Mark.DIFFERS, words)
        yield self._status()
        yield self._store()
        yield from self._lines()
        yield from self._money()
        yield from self._others()

    def _status(self) -> Pair:
        said = self._said("status")
        if self.shop is None:
            return Pair("Status", self.order.status, "", *said)
        if self.shop.is_draft:
            return Pair("Status", self.order.status, self.shop.states, *said)
        status = self.shop.status
        shown = f"{status or 'not paid'} ({self.shop.states})" if self.shop.states else status or "not paid"
        if status == self.order.status:
            return Pair("Status", self.order.status, shown, Mark.SAME)
        is_confirmed = self.edits.get(PAID_EDIT) == "yes"
        if is_confirmed and (self.order.status, status) == (OrderStatus.PLACED, OrderStatus.PAID):
            words = "A person has confirmed the payment. Cloudshelf may go on saying PLACED; that is normal."
            return Pair("Status", self.order.status, shown, Mark.PLAIN, words)
        words = f"Cloudshelf says {self.order.status}, commercetools {status or 'that it was not paid'}."
        return Pair("Status", self.order.status, shown, Mark.DIFFERS, words)

    def _store(self) -> Pair:
        named = self.order.location_name or self.order.location or NONE
        target = "" if self.shop is None else self.shop.store or "no Store"
        mark, words = self._said("session.locationId")
        given = self.edits.get(LOCATION_EDIT)
        if given:
            words = f"{words} A person gave the Channel {given}.".strip()
        return Pair("Store", named, target, mark, words)

    # Lines

    def _lines(self) -> Iterator[Pair]:
        left = list(self.shop.lines) if self.shop else []
        for sold in self.order.sold:
            mine = _take(left, sold) if self.shop else None
            yield self._line(sold, mine)
        for one in left:
            if one.key.startswith(ADJUSTMENT):
                words = "Added so that the order comes to what the customer paid."
                yield Pair(
                    one.name or "Adjustment", NONE, _bought(one.quantity, one.price), Mark.PLAIN, words
                )
            else:
                what = " ".join(part for part in (one.sku, one.name) if part)
                words = "Only commercetools has this line."
                yield Pair(what, NONE, _bought(one.quantity, one.price), Mark.LACKS, words)

    def _line(self, sold: SoldLine, mine: ShopLine | None) -> Pair:
        named = sold.name or ("Shipping" if sold.is_shipping else "")
        what = (
            f"Line {sold.number}: {' '.join(part for part in (sold.sku or sold.identifier, named) if part)}"
        )
        source, price = _sold(sold), _price(sold)
        corrected = [name for name in LINE_EDITS if of_line(self.edits, name, sold.number) is not None]
        said = [
            one.message.partition(": ")[2] or one.message for one in self.problems if _is_about(one, sold)
        ]
        if self.shop is None:
            mark = Mark.STOPS if said else Mark.PLAIN
            words = [_capital(one) for one in said]
            return Pair(what, source, "", mark, " ".join(words + _by_a_person(corrected)))
        if mine is None:
            if of_line(self.edits, QUANTITY_EDIT, sold.number) == "0":
                return Pair(what, source, NONE, Mark.LACKS, "Left out by a person.")
            return Pair(what, source, NONE, Mark.LACKS, "commercetools has no such line.")
        target = _bought(mine.quantity, mine.price)
        words = list(_differences(sold, price, mine))
        if sold.sku and mine.sku != sold.sku:
            target = f"{target} of {mine.sku}" if mine.sku else f"{target}, without a SKU"
        mark = Mark.DIFFERS if words else Mark.SAME
        return Pair(what, source, target, mark, " ".join(words + _by_a_person(corrected)))

    # Money

    def _money(self) -> Iterator[Pair]:
        lines = _sum(self.order)
        goods = None if self.shop is None else self.shop.total
        if lines is not None or goods is not None:
            yield _amounts("Lines together", lines, goods, is_known=self.shop is not None)
        basket = _basket(self.order)
        mark, words = self._said("session.basketValue", "lines.currencyCode")
        if basket is None and not words:
            return
        what = PAID if self.order.status in _PAID else AMOUNT
        if self.shop is None or words:
            source = NONE if basket is None else basket if isinstance(basket, str) else show(basket)
            yield Pair(what, source, "", mark, words)
        elif not isinstance(basket, Money):
            words = "These cannot be compared."
            yield Pair(what, basket or NONE, show(self.shop.gross), Mark.DIFFERS, words)
        else:
            # Whether the basket holds the shipping is not documented, so both are right.
            without = self._without_shipping(self.shop)
            alike = basket if basket in (self.shop.gross, self.shop.total, without) else self.shop.gross
            pair = _amounts(what, basket, alike, is_known=True)
            note = "commercetools has shipping on top." if alike == without != self.shop.gross else ""
            yield Pair(pair.what, pair.source, show(self.shop.gross), pair.mark, pair.words or note)

    @staticmethod
    def _without_shipping(shop: ShopOrder) -> Money:
        shipping = (one.total for one in shop.lines if one.key.startswith(SHIPPING))
        return shop.total - sum(shipping, Money(shop.total.currency, 0))

    def _others(self) -> Iterator[Pair]:
        """What is wrong about nothing that stands above."""
        shown = ("session.locationId", "session.basketValue", "lines.currencyCode", "status")
        for one in self.problems:
            if one.field not in shown and not _LINE.match(one.field):
                what = "E-mail address" if one.field.startswith("customAttributes.") else one.field
                yield Pair(what, NONE, "", Mark.STOPS, one.message)

    def _said(self, *fields: str) -> tuple[Mark, str]:
        words = " ".join(one.message for one in self.problems if one.field in fields)
        return (Mark.STOPS if words else Mark.PLAIN), words


def _take(left: list[ShopLine], sold: SoldLine) -> ShopLine | None:
    """The line of commercetools that stands for one of the kiosk: by its key, else by its SKU."""
    keys = {f"l{sold.number}", f"{SHIPPING}{sold.number}"}
    found = next((one for one in left if one.key in keys), None)
    if found is None and sold.sku:
        found = next((one for one in left if one.sku == sold.sku), None)
    if found is not None:
        left.remove(found)
    return found


def _is_about(problem: Problem, sold: SoldLine) -> bool:
    match = _LINE.match(problem.field)
    return match is not None and match[1] == str(sold.number)


def _differences(sold: SoldLine, price: Money | None, mine: ShopLine) -> Iterator[str]:
    if sold.quantity != mine.quantity and not (sold.is_shipping and sold.quantity is None):
        given = sold.quantity_given if sold.quantity is None else sold.quantity
        yield f"Quantity: {given} at the kiosk, {mine.quantity} in commercetools."
    if price is None:
        yield f"Price: {sold.price or NONE} at the kiosk, {show(mine.price)} in commercetools."
    elif price != mine.price:
        yield f"Price of one: {show(price)} at the kiosk, {show(mine.price)} in commercetools."
    if sold.sku and mine.sku != sold.sku:
        yield f"SKU: {sold.sku} at the kiosk, {mine.sku or NONE} in commercetools."


def _by_a_person(corrected: Iterable[str]) -> list[str]:
    names = " and ".join(corrected)
    return [f"{_capital(names)} {_CORRECTED}."] if names else []


def _amounts(what: str, source: Money | None, target: Money | None, *, is_known: bool) -> Pair:
    shown = NONE if source is None else show(source), show(target) if target else NONE if is_known else ""
    if not is_known:
        return Pair(what, *shown)
    if source is None or target is None or source.currency != target.currency:
        return Pair(what, *shown, Mark.DIFFERS, "These cannot be compared.")
    difference = target - source
    if not difference.cents:
        return Pair(what, *shown, Mark.SAME)
    more = "more" if difference.cents > 0 else "less"
    size = difference if difference.cents > 0 else -difference
    return Pair(what, *shown, Mark.DIFFERS, f"commercetools has {show(size)} {more}.")


def _sold(sold: SoldLine) -> str:
    quantity = sold.quantity_given if sold.quantity is None else str(sold.quantity)
    price = _price(sold)
    if sold.is_shipping and sold.quantity is None:
        quantity = "1"
    if price is not None and sold.quantity is not None:
        return _bought(sold.quantity, price)
    shown = (
        show(price) if price else " ".join(part for part in (sold.price or "no price", sold.currency) if part)
    )
    return f"{quantity} × {shown}"


def _bought(quantity: int, price: Money) -> str:
    total = f" = {show(price * quantity)}" if quantity != 1 else ""
    return f"{quantity:,} × {show(price)}{total}"


def _price(sold: SoldLine) -> Money | None:
    try:
        return money(sold.price, sold.currency) if sold.price and sold.currency else None
    except MoneyError:
        return None


def _sum(order: KioskOrder) -> Money | None:
    """What the lines come to; ``None`` where one of them cannot be understood."""
    found: Money | None = None
    for sold in order.sold:
        price, quantity = _price(sold), 1 if sold.is_shipping and sold.quantity is None else sold.quantity
        if price is None or quantity is None:
            return None
        try:
            found = price * quantity if found is None else found + price * quantity
        except MoneyError:
            return None
    return found


def _basket(order: KioskOrder) -> Money | str | None:
    value = order.session.basket_value
    if value is None:
        return None
    lines = (line.currency for line in order.sold if line.currency)
    currency = order.session.currency or next(lines, "")
    try:
        return money(value, currency)
    except MoneyError:
        return f"{value} {currency}".strip()


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
