"""A kiosk order as commercetools imports it: by SKU, in exact money, with tax, and with no effect on stock.

:func:`build` gives the body of the import, or everything that is wrong with the order at once. It decides nothing that
only the shop or a person can know: where a price, a place or a sum does not fit, somebody is asked.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from decimal import Decimal
from typing import Any

from cogent_ops.domain.commercetools import timestamp
from cogent_ops.domain.custom_types import ORDER_ID
from cogent_ops.domain.exceptions import Kind
from cogent_ops.domain.money import Money, MoneyError, allocate, minor_units, money, show, total
from cogent_ops.domain.order_edits import (
    CURRENCY_EDIT,
    PRICE_EDIT,
    QUANTITY_EDIT,
    SKU_EDIT,
    TOTAL_EDIT,
    is_email,
    of_line,
)
from cogent_ops.domain.order_problems import Problem
from cogent_ops.domain.order_states import STATES
from cogent_ops.domain.orders import MOST_UNITS, KioskOrder, SoldLine
from cogent_ops.domain.rules import OrderRules, OrderStatus
from cogent_ops.domain.taxes import Taxed, TaxRate, taxed

Json = dict[str, Any]

#: The kinds of exception that a draft can meet; those that it does not meet are settled.
DRAFT_KINDS = frozenset(
    {
        Kind.ORDER_LOCATION,
        Kind.ORDER_CONTACT,
        Kind.ORDER_ARTICLE,
        Kind.ORDER_LINE,
        Kind.ORDER_MONEY,
        Kind.ORDER_TAX,
    }
)
#: Keys of lines begin so: goods, shipping, and what a discount or a person's word adds or takes.
GOODS, SHIPPING, ADJUSTMENT = "l", "s", "d"

_KEY = re.compile(r"[A-Za-z0-9_-]{1,200}")


@dataclass(frozen=True)
class Article:
    """What commercetools knows of a SKU.

    :param name: the product's, by locale.
    :param tax_category: its id; ``None``: the product has none.
    """

    name: Mapping[str, str]
    tax_category: str | None


@dataclass(frozen=True)
class DraftContext:
    """What a draft needs beside the order itself.

    :param currency: of the link, as its country and its locales are.
    :param channel: key of the store's supply Channel; ``None``: not known.
    :param store: key of the Store; ``None``: none.
    :param articles: by SKU; an absent one is unknown to commercetools.
    :param taxes: rates for the country by the id of the tax category; ``None`` or absent: it has none.
    :param other_tax: the rate of shipping and other custom lines.
    :param email: of the customer.
    :param edits: what people corrected.
    :param type_key: key of the Type for orders.
    """

    currency: str
    country: str
    locales: tuple[str, ...]
    channel: str | None
    store: str | None
    articles: Mapping[str, Article]
    taxes: Mapping[str, TaxRate | None]
    other_tax: TaxRate | None
    email: str | None = field(repr=False)
    edits: Mapping[str, str]
    type_key: str


@dataclass(frozen=True)
class DraftLine:
    """A line of the draft.

    :param key: ``l2`` for goods, ``s3`` for shipping, ``d1`` for a discount; the number is the kiosk order's line.
    :param sku: ``None``: a custom line item.
    :param name: by locale.
    :param price: of one unit.
    """

    key: str
    sku: str | None
    name: Mapping[str, str]
    quantity: int
    price: Money
    tax: TaxRate | None

    @property
    def is_goods(self) -> bool:
        """Whether it is something that a customer carries home, or sends back."""
        return self.key.startswith(GOODS)

    @property
    def total(self) -> Money:
        """The price of all units."""
        return self.price * self.quantity


@dataclass(frozen=True)
class Draft:
    """An order that can be imported.

    :param number: the orderNumber.
    :param body: ``OrderImportDraft``; whoever sends it adds the payment.
    :param total: ``totalPrice``.
    :param gross: what the customer pays: ``total``, and taxes that come on top of it.
    :param units: of goods.
    """

    number: str
    body: Json
    total: Money
    gross: Money
    units: int
    lines: tuple[DraftLine, ...]


def order_number(order: KioskOrder, rules: OrderRules) -> str:
    """The orderNumber, which is the payment's key, too: prefix and ULID, or a hash where an id is no ULID."""
    name = order.ulid if _KEY.fullmatch(order.ulid) else hashlib.sha256(order.id.encode()).hexdigest()[:26]
    return f"{rules.number_prefix}{name}"


#: Shorter than this, what follows the prefix is hardly part of a number.
_PART_OF_NUMBER = 6


def without_prefix(text: str, prefix: str) -> str:
    """What to look for where somebody types an order's number: some messages name it without its prefix.

    What stands before a number is no use in finding it, so the rest finds the number with and without its prefix.

    :param prefix: ``orders.number_prefix``.
    """
    rest = text[len(prefix) :]
    begins_so = text[: len(prefix)].casefold() == prefix.casefold()
    return rest if begins_so and len(rest) >= _PART_OF_NUMBER else text


def wanted_skus(order: KioskOrder, edits: Mapping[str, str]) -> frozenset[str]:
    """The SKUs for which a draft needs :attr:`DraftContext.articles`."""
    found = (_sku(line, edits) for line in order.sold if not line.is_shipping)
    return frozenset(sku for sku in found if sku)


def build(order: KioskOrder, context: DraftContext, rules: OrderRules) -> Draft | tuple[Problem, ...]:
    """The import of an order, or all that is wrong with it."""
    builder = _Builder(order, context, rules)
    return builder.draft()


class _Builder:
    """Builds one draft; problems are collected on the way."""

    def __init__(self, order: KioskOrder, context: DraftContext, rules: OrderRules) -> None:
        self.order, self.context, self.rules = order, context, rules
        self.problems: list[Problem] = []

    def draft(self) -> Draft | tuple[Problem, ...]:
        self._check_place()
        email = self._email()
        self._check_currencies()
        lines = [line for sold in self.order.sold if (line := self._line(sold)) is not None]
        if not lines and not self.problems:
            self._line_problem("lines", "has a line", "It has no line that could be sold.")
        if not self._has(Kind.ORDER_LINE, Kind.ORDER_MONEY, Kind.ORDER_ARTICLE):
            lines += self._adjustments(lines)
        if self.problems:
            return tuple(self.problems)
        return self._finish(lines, email)

    def _has(self, *kinds: Kind) -> bool:
        return any(problem.kind in kinds for problem in self.problems)

    def _problem(self, kind: Kind, field_: str, rule: str, message: str, cure: str, group: str = "") -> None:
        self.problems.append(Problem(kind, field_, rule, message, cure, group))

    # The order as a whole

    def _check_place(self) -> None:
        if self.context.channel is not None:
            return
        given, named = self.order.location, self.order.location_name
        called = f" ('{named}')" if named else ""
        told = (
            f"It names the location '{given}'{called}, which stands for no supply Channel."
            if given
            else "It names no location, so nobody can tell which store sold it."
        )
        self._problem(
            Kind.ORDER_LOCATION,
            "session.locationId",
            "stands for a supply Channel",
            " ".join((told, *_whereabouts(self.order))),
            "Give the kiosk's device its store in Cloudshelf, or run the bootstrap for a new store; then try the "
            "orders again. Or edit location: the key of the supply Channel of the store that sold it.",
            f"location/{given}" if given else "",
        )

    def _email(self) -> str | None:
        email = None if self.rules.email == "never" else self.context.email
        if email is not None and is_email(email):
            return email
        if self.rules.email == "required":
            told = (
                "The customer's e-mail address is missing."
                if email is None
                else "The e-mail address is no address."
            )
            self._problem(
                Kind.ORDER_CONTACT,
                f"customAttributes.{self.rules.email_attribute}",
                "is an e-mail address",
                told,
                "Ask the store or the customer, and edit email; or set orders.email to optional.",
            )
        return None

    def _check_currencies(self) -> None:
        wanted = self.context.currency
        if self.context.edits.get(CURRENCY_EDIT) == wanted:
            return
        lines = {line.currency for line in self.order.sold if line.currency}
        found = lines | ({self.order.session.currency} - {""})
        if found <= {wanted}:
            return
        named = ", ".join(sorted(found))
        why = "which cannot be added up" if len(found) > 1 else f"and this link sells in {wanted}"
        self._problem(
            Kind.ORDER_MONEY,
            "lines.currencyCode",
            f"is {wanted} throughout",
            f"Its amounts are in {named}, {why}.",
            f"Find out what was paid. If the amounts are {wanted} in truth, edit currency: {wanted}; else enter the "
            "order by hand and link it.",
        )

    # Lines

    def _line(self, sold: SoldLine) -> DraftLine | None:
        """A line of the draft; ``None`` where it is left out, or cannot be understood."""
        edits, n = self.context.edits, sold.number
        if of_line(edits, QUANTITY_EDIT, n) == "0":
            return None
        quantity, price = self._quantity(sold), self._price(sold)
        if sold.is_shipping:
            name = self._named(sold.name or "Shipping")
            key, sku, tax = f"{SHIPPING}{n}", None, self._other_tax(sold)
        else:
            key, sku, name, tax = self._goods(sold)
        if quantity is None or price is None:
            return None
        return DraftLine(key, sku, name, quantity, price, tax)

    def _goods(self, sold: SoldLine) -> tuple[str, str | None, Mapping[str, str], TaxRate | None]:
        key, sku = f"{GOODS}{sold.number}", _sku(sold, self.context.edits)
        article = None if sku is None else self.context.articles.get(sku)
        if article is not None:
            name = {locale: text for locale, text in article.name.items() if text.strip()}
            return key, sku, name or self._named(sold.name or str(sku)), self._tax(sold, str(sku), article)
        if self.rules.unknown_products == "custom_line":
            return key, None, self._named(sold.name or sku or sold.identifier), self._other_tax(sold)
        self._unknown(sold, sku)
        return key, sku, {}, None

    def _named(self, text: str) -> Mapping[str, str]:
        return {self.context.locales[0]: text}

    def _unknown(self, sold: SoldLine, sku: str | None) -> None:
        given = sku or sold.identifier
        what = f"SKU '{sku}' is not in commercetools" if sku else f"'{given}' names no SKU of ours"
        self._problem(
            Kind.ORDER_ARTICLE,
            f"lines[{sold.number}].productVariantId",
            "is an article that commercetools has",
            f"Line {sold.number}{_called(sold)}: {what}.",
            f"Make the article in commercetools, or edit sku.{sold.number}: the SKU that was sold; then try again.",
            f"article/{given}",
        )

    def _quantity(self, sold: SoldLine) -> int | None:
        edited = of_line(self.context.edits, QUANTITY_EDIT, sold.number)
        if edited is not None:
            return int(edited)
        if sold.is_shipping and sold.quantity is None:
            return 1  # Cloudshelf lets shipping go without
        if sold.quantity is not None and 1 <= sold.quantity <= MOST_UNITS:
            return sold.quantity
        self._line_problem(
            f"lines[{sold.number}].quantity",
            f"is 1 to {MOST_UNITS}",
            f"Line {sold.number}{_called(sold)}: the quantity is {sold.quantity_given}.",
            f"Edit quantity.{sold.number} (0 leaves the line out)",
        )
        return None

    def _price(self, sold: SoldLine) -> Money | None:
        currency = self.context.currency
        edited = of_line(self.context.edits, PRICE_EDIT, sold.number)
        if edited is not None:
            return money(edited, currency)
        # An amount in another currency is a problem already, and may have digits that this one has not.
        why = _price_problem(sold, None if self._has(Kind.ORDER_MONEY) else currency)
        if not why:
            return None if self._has(Kind.ORDER_MONEY) else money(sold.price or "0", currency)
        self._line_problem(
            f"lines[{sold.number}].price",
            "is a price",
            f"Line {sold.number}{_called(sold)}: {why}.",
            f"Edit price.{sold.number} (0 for a gift)",
        )
        return None

    def _line_problem(self, field_: str, rule: str, message: str, edit: str = "") -> None:
        deed = f"{edit} and try again" if edit else "Reject it with the reason"
        cure = f"Ask the store what was sold and paid. {deed}, or enter the order by hand and link it."
        self._problem(Kind.ORDER_LINE, field_, rule, message, cure)

    # Tax

    def _tax(self, sold: SoldLine, sku: str, article: Article) -> TaxRate | None:
        category = article.tax_category
        rate = None if category is None else self.context.taxes.get(category)
        if rate is None and self.rules.tax_required:
            country = self.context.country
            self._problem(
                Kind.ORDER_TAX,
                f"lines[{sold.number}].taxRate",
                f"has a tax rate for {country}",
                f"Line {sold.number}{_called(sold)}: SKU '{sku}' has no tax category in commercetools."
                if category is None
                else f"Line {sold.number}{_called(sold)}: the tax category of SKU '{sku}' has no rate for {country}.",
                f"Give the product a tax category, and that a rate for {country}, in commercetools; then try again.",
                f"tax/{category or sku}",
            )
        return rate

    def _other_tax(self, sold: SoldLine) -> TaxRate | None:
        category, rate = self.rules.shipping_tax_category, self.context.other_tax
        if rate is None and category is not None and self.rules.tax_required:
            country = self.context.country
            self._problem(
                Kind.ORDER_TAX,
                f"lines[{sold.number}].taxRate",
                f"has a tax rate for {country}",
                f"Line {sold.number}{_called(sold)}: the tax category '{category}' has no rate for {country}.",
                f"Give the tax category a rate for {country} in commercetools, or correct "
                "orders.shipping_tax_category.",
                f"tax/{category}",
            )
        return rate

    # The sum

    def _adjustments(self, lines: list[DraftLine]) -> list[DraftLine]:
        """Lines that bring the sum to what the customer paid, as far as somebody says so."""
        currency = self.context.currency
        sum_ = total((line.total for line in lines), currency)
        given = self.context.edits.get(TOTAL_EDIT)
        if given is not None:
            return self._spread(lines, money(given, currency) - sum_)
        basket = self._basket()
        goods = total((line.total for line in lines if line.is_goods), currency)
        # Whether Cloudshelf's basket holds the shipping is not documented, so both are right.
        if basket is None or basket in (sum_, goods):
            return []
        is_discount = bool(self.order.discount_code) and 0 <= basket.cents < sum_.cents
        if is_discount and self.rules.discounts == "custom_line" and goods == sum_:
            return self._spread(lines, basket - sum_)
        self._sum_problem(sum_, basket, is_discount=is_discount)
        return []

    def _basket(self) -> Money | None:
        value = self.order.session.basket_value
        if not self.rules.check_basket_value or value is None:
            return None
        try:
            return money(value, self.context.currency)
        except MoneyError as error:
            self._money_problem("is an amount of money", f"The value of the basket: {error}")
            return None

    def _sum_problem(self, sum_: Money, basket: Money, *, is_discount: bool) -> None:
        code = self.order.discount_code
        why = f"; it names the discount code '{code}', but not what that took off" if is_discount else ""
        self._money_problem(
            "the lines come to the value of the basket",
            f"Its lines come to {show(sum_)}, its basket to {show(basket)}{why}.",
        )

    def _money_problem(self, rule: str, message: str) -> None:
        self._problem(
            Kind.ORDER_MONEY,
            "session.basketValue",
            rule,
            message,
            "Find out what the customer paid, and edit total: that amount (the difference becomes a line of its own), "
            "or the price or quantity of the line that is wrong; then try again.",
        )

    def _spread(self, lines: list[DraftLine], difference: Money) -> list[DraftLine]:
        """The difference as custom lines: one for each tax rate of the goods, in proportion to what they cost."""
        if not difference.cents:
            return []
        code = self.order.discount_code
        text = f"Discount {code}" if code and difference.cents < 0 else "Adjustment"
        weights: dict[TaxRate | None, int] = {}
        for line in lines:
            if line.is_goods:
                weights[line.tax] = weights.get(line.tax, 0) + line.total.cents
        if not sum(weights.values()):
            weights = {self.context.other_tax: 1}
        parts = allocate(difference.cents, list(weights.values()))
        return [
            DraftLine(f"{ADJUSTMENT}{n}", None, self._named(text), 1, Money(difference.currency, part), rate)
            for n, (rate, part) in enumerate(zip(weights, parts, strict=True), start=1)
            if part
        ]

    # The body

    def _finish(self, lines: list[DraftLine], email: str | None) -> Draft:
        currency, number = self.context.currency, order_number(self.order, self.rules)
        sum_ = total((line.total for line in lines), currency)
        sums = taxed(((line.total, line.tax) for line in lines), currency)
        is_known = all(line.tax is not None for line in lines if line.sku is not None)
        body = self._body(number, lines, sum_, sums if is_known else None, email)
        gross = sums.gross if is_known else sum_
        units = sum(line.quantity for line in lines if line.is_goods)
        return Draft(number, body, sum_, gross, units, tuple(lines))

    def _body(
        self, number: str, lines: list[DraftLine], sum_: Money, sums: Taxed | None, email: str | None
    ) -> Json:
        context, rules = self.context, self.rules
        optional: Json = {
            "customerEmail": email,
            "store": None if context.store is None else {"typeId": "store", "key": context.store},
            "taxedPrice": None if sums is None else sums.api(),
            "shipmentState": rules.shipment_state,
        }
        return {
            "orderNumber": number,
            "origin": "Customer",
            # Movements own the deduction: an import that took stock would take it twice.
            "inventoryMode": "None",
            "country": context.country,
            "completedAt": timestamp(self.order.paid_at),
            "totalPrice": sum_.api(),
            "lineItems": [self._line_item(line) for line in lines if line.sku is not None],
            "customLineItems": [_custom_line(line) for line in lines if line.sku is None],
            "orderState": rules.order_state,
            "paymentState": STATES[OrderStatus.PAID].payment_state,
            "custom": {"type": {"typeId": "type", "key": context.type_key}, "fields": self._origin()},
            **{name: value for name, value in optional.items() if value is not None},
        }

    def _line_item(self, line: DraftLine) -> Json:
        return {
            "key": line.key,
            "name": dict(line.name),
            "variant": {"sku": line.sku},
            "quantity": line.quantity,
            "price": {"value": line.price.api()},
            "supplyChannel": {"typeId": "channel", "key": self.context.channel},
            **_tax_rate(line),
        }

    def _origin(self) -> dict[str, str]:
        session = self.order.session
        fields = {
            ORDER_ID: self.order.id,
            "CS_Cloudshelf": session.cloudshelf,
            "CS_Device": session.device,
            "CS_OriginatingStore": session.store,
            "CS_SalesAssistant": session.sales_assistant,
            "CS_SessionId": session.id,
        }
        return {name: text for name, text in fields.items() if text}


def _sku(sold: SoldLine, edits: Mapping[str, str]) -> str | None:
    return of_line(edits, SKU_EDIT, sold.number) or sold.sku


def _called(sold: SoldLine) -> str:
    return f" ('{sold.name[:80]}')" if sold.name else ""


def _whereabouts(order: KioskOrder) -> Iterator[str]:
    """What an order knows that helps people to find its store; not who sold it: messages name nobody."""
    session = order.session
    if session.device:
        yield f"Kiosk: {session.device[:80].rstrip('.')}."
    elif not order.location:
        yield "It names no kiosk either."
    yield f"Ordered at {order.created_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC."


def _price_problem(sold: SoldLine, currency: str | None) -> str:
    """What is wrong with a price; empty: nothing. Cloudshelf gives a price that is missing as null, or as zero.

    :param currency: whose digits it must fit; ``None``: not known.
    """
    if sold.is_shipping and sold.price is None:
        return ""
    amount = Decimal(sold.price or "0")
    if not amount and not sold.is_shipping:
        return "it has no price"
    if amount < 0:
        return f"the price is negative ({sold.price})"
    try:
        if currency is not None:
            minor_units(amount, currency)
    except MoneyError as error:
        return f"the price cannot be paid: {str(error).rstrip('.')}"
    return ""


def _tax_rate(line: DraftLine) -> Json:
    return {} if line.tax is None else {"taxRate": line.tax.api()}


def _custom_line(line: DraftLine) -> Json:
    return {
        "key": line.key,
        "slug": line.key,
        "name": dict(line.name),
        "quantity": line.quantity,
        "money": line.price.api(),
        **_tax_rate(line),
    }
