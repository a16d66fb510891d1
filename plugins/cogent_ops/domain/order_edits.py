"""What a person may correct about a kiosk order, by name and value: ``{"price.2": "12.50", "paid": "yes"}``.

``location``, ``email``, ``currency``, ``paid``, ``total`` (what the customer paid), ``refund_amount`` (what was
refunded so far, in all), ``refund_lines`` (what came back so far, in all), and by line ``price.<n>``, ``sku.<n>`` and
``quantity.<n>``. Amounts are in major units with a point. What is stored was checked by :func:`check_edit`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from cogent_ops.domain.money import Money, MoneyError, major, money
from cogent_ops.domain.orders import LONGEST_EMAIL, LONGEST_IDENTIFIER, MOST_UNITS, KioskOrder, SoldLine
from cogent_ops.domain.text import has_control_characters
from cogent_ops.errors import PermanentError

LOCATION_EDIT = "location"
EMAIL_EDIT = "email"
CURRENCY_EDIT = "currency"
PAID_EDIT = "paid"
TOTAL_EDIT = "total"
REFUND_EDIT = "refund_amount"
REFUND_LINES_EDIT = "refund_lines"
PRICE_EDIT = "price"
SKU_EDIT = "sku"
QUANTITY_EDIT = "quantity"

REFUND_EDITS = (REFUND_EDIT, REFUND_LINES_EDIT)
LINE_EDITS = (PRICE_EDIT, SKU_EDIT, QUANTITY_EDIT)

_KEY = re.compile(r"[A-Za-z0-9_-]{2,256}")
_EMAIL = re.compile(r"[^\s@<>,;:\"()\[\]\\]{1,64}@([A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,63}")
_LINES = re.compile(r"(\d{1,6})(?::(\d{1,7}))?")


#: How people know a field: as it stands on the page of an exception, and in the texts of the playbook.
_FIELD_NAMES: Mapping[str, str] = {
    LOCATION_EDIT: "Store",
    EMAIL_EDIT: "E-mail address",
    CURRENCY_EDIT: "Currency",
    TOTAL_EDIT: "Total paid",
    REFUND_EDIT: "Refunded",
    REFUND_LINES_EDIT: "Lines that came back",
    SKU_EDIT: "SKU",
    PRICE_EDIT: "Price of one",
    QUANTITY_EDIT: "Quantity",
}


class EditError(PermanentError):
    """A correction that cannot be taken, in words for the person who gave it."""


def field_name(name: str) -> str:
    """How people know a field.

    :param name: of a correction, with or without its line: ``location``, ``price.2``.
    :raises KeyError: when no form has such a field.
    """
    return _FIELD_NAMES[name.partition(".")[0]]


def is_email(text: str) -> bool:
    """Whether the text has the form of an e-mail address that mail can be sent to over the internet."""
    return len(text) <= LONGEST_EMAIL and _EMAIL.fullmatch(text) is not None


def check_edit(order: KioskOrder, name: str, value: str, currency: str) -> str:
    """A correction in the form in which it is stored.

    :param currency: of the link.
    :raises EditError: when there is no such name, or the value does not fit it.
    """
    check_name(name)
    what, dot, number = name.partition(".")
    if dot:
        return _LINE_CHECKS[what](_line(order, name, number), value.strip(), currency)
    return _CHECKS[name](order, value.strip(), currency)


def check_name(name: str) -> None:
    """See that a name is one of a correction.

    :raises EditError: when it is not.
    """
    what, dot, _ = name.partition(".")
    if name not in _CHECKS and not (dot and what in LINE_EDITS):
        known = ", ".join((*_CHECKS, *(f"{one}.<line>" for one in LINE_EDITS)))
        raise EditError(f"An order has no '{name[:40]}' to correct. There are: {known}.")


def of_line(edits: Mapping[str, str], what: str, number: int) -> str | None:
    """The correction of a line; ``None``: there is none."""
    return edits.get(f"{what}.{number}")


def refund_of(edits: Mapping[str, str], currency: str) -> Money | None:
    """What a person says was refunded so far, in all."""
    given = edits.get(REFUND_EDIT)
    return None if given is None else money(given, currency)


def refund_lines_of(edits: Mapping[str, str]) -> dict[int, int | None]:
    """Units by line that a person says came back so far, in all; ``None``: all of the line's."""
    return _read_lines(edits.get(REFUND_LINES_EDIT, ""))


def _line(order: KioskOrder, name: str, number: str) -> SoldLine:
    found = [line for line in order.sold if number == str(line.number)]
    if not found:
        raise EditError(f"'{name[:40]}': the order has lines 1 to {len(order.sold)}.")
    return found[0]


def _location(order: KioskOrder, value: str, currency: str) -> str:
    if not _KEY.fullmatch(value):
        raise EditError("A location is given by the key of its supply Channel, e.g. berlin-mitte.")
    return value


def _email(order: KioskOrder, value: str, currency: str) -> str:
    if not is_email(value):
        raise EditError("That is no e-mail address.")
    return value


def _currency(order: KioskOrder, value: str, currency: str) -> str:
    if value != currency:
        raise EditError(f"This link sells in {currency}, so an order can only be captured in that.")
    return value


def _paid(order: KioskOrder, value: str, currency: str) -> str:
    if value != "yes":
        raise EditError("'paid' can only be yes; an order that nobody paid is rejected instead.")
    return value


def _total(order: KioskOrder, value: str, currency: str) -> str:
    return _amount(value, currency)


def _refund(order: KioskOrder, value: str, currency: str) -> str:
    found = _amount(value, currency)
    if not money(found, currency).cents:
        raise EditError("A refund is more than nothing.")
    return found


def _refund_lines(order: KioskOrder, value: str, currency: str) -> str:
    given = _read_lines(value)
    by_number = {line.number: line for line in order.sold if not line.is_shipping}
    for number, units in given.items():
        if number not in by_number:
            raise EditError(f"The order has no line {number} that could come back.")
        sold = by_number[number].quantity
        if units is not None and not 1 <= units <= (sold or MOST_UNITS):
            raise EditError(f"Of line {number} between 1 and {sold} can come back.")
    return ", ".join(f"{number}" if units is None else f"{number}:{units}" for number, units in given.items())


def _read_lines(value: str) -> dict[int, int | None]:
    found: dict[int, int | None] = {}
    for part in filter(None, re.split(r"[,\s]+", value)):
        match = _LINES.fullmatch(part)
        if match is None:
            raise EditError("Lines that came back are given as '1:2, 3': two of line 1, all of line 3.")
        found[int(match[1])] = None if match[2] is None else int(match[2])
    return found


def _price(line: SoldLine, value: str, currency: str) -> str:
    return _amount(value, currency)


def _sku(line: SoldLine, value: str, currency: str) -> str:
    if not value or len(value) > LONGEST_IDENTIFIER or has_control_characters(value):
        raise EditError(f"A SKU has 1 to {LONGEST_IDENTIFIER} visible characters.")
    return value


def _quantity(line: SoldLine, value: str, currency: str) -> str:
    if not re.fullmatch(r"\d{1,7}", value) or int(value) > MOST_UNITS:
        raise EditError(f"A quantity is a whole number from 0 (the line is left out) to {MOST_UNITS}.")
    return str(int(value))


def _amount(value: str, currency: str) -> str:
    if not re.fullmatch(r"\d{1,15}(\.\d{1,6})?", value):
        raise EditError("An amount is given in major units with a point and without a sign, e.g. 12.50.")
    try:
        return major(money(value, currency))
    except MoneyError as error:
        raise EditError(str(error)) from error


_CHECKS: Mapping[str, Callable[[KioskOrder, str, str], str]] = {
    LOCATION_EDIT: _location,
    EMAIL_EDIT: _email,
    CURRENCY_EDIT: _currency,
    PAID_EDIT: _paid,
    TOTAL_EDIT: _total,
    REFUND_EDIT: _refund,
    REFUND_LINES_EDIT: _refund_lines,
}
_LINE_CHECKS: Mapping[str, Callable[[SoldLine, str, str], str]] = {
    PRICE_EDIT: _price,
    SKU_EDIT: _sku,
    QUANTITY_EDIT: _quantity,
}
