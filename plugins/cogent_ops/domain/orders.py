"""Cloudshelf orders: what stock sees of them (which lines move how many units of what, and where), and what was sold.

Kiosks, connectors and people write orders, so anything may be in one. A line that cannot be understood is named with
field, rule and cure while the others go on; an order without id, state or time of change cannot be kept at all.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any

from cogent_ops.domain.identifiers import LOCATION, IdentifierError, parse_gid, sku_of
from cogent_ops.domain.rules import OrderStatus
from cogent_ops.domain.text import has_control_characters, one_line, visible
from cogent_ops.errors import PermanentError

Raw = Mapping[str, Any]

#: More units in one line, or of one movement, are a slip of a keyboard, not a sale.
MOST_UNITS = 1_000_000
LONGEST_IDENTIFIER = 256
#: Longest address that SMTP carries (RFC 5321).
LONGEST_EMAIL = 254
#: What stands for the place of an order that names none; no Channel key can look like it.
NO_LOCATION = "(no location)"

_SHOWN = 80
#: A name of a product may be longer in a catalogue; an order needs no more of it.
_LONGEST_NAME = 256
_ORDER = ("id", "status", "createdAt", "updatedAt", "thirdPartyId")
_LINE = (
    "id",
    "productId",
    "productName",
    "productVariantId",
    "productVariantName",
    "platformProvidedProductId",
    "platformProvidedProductVariantId",
    "quantity",
    "currencyCode",
)
_SESSION = (
    "id",
    "status",
    "visibilityType",
    "locationId",
    "locationName",
    "deviceId",
    "deviceName",
    "cloudshelfId",
    "cloudshelfName",
    "salesAssistantId",
    "salesAssistantName",
    "fulfilmentMethod",
    "paymentMethod",
    "paymentAttemptId",
    "basketCurrencyCode",
)
#: The attributes of a line that say where it came from. All others may hold anything, also about a customer.
_ORIGINS = (
    "CS_Cloudshelf",
    "CS_Device",
    "CS_OriginatingStore",
    "CS_SalesAssistant",
    "CS_SessionId",
    "CS_Session",
    "CS_DRAFT_ORDER_ID",
)
_IDENTIFIER = re.compile(
    r"gid://[\w.%~/-]+|[0-9A-HJKMNP-TV-Za-z]{26}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
)
_CODE = re.compile(r"[^\s@]{1,100}")
_ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}", re.IGNORECASE)


class UnreadableOrder(PermanentError):
    """An order lacks what it cannot be kept without.

    :param order_id: as far as it has one.
    """

    def __init__(self, order_id: str, field: str, rule: str, message: str) -> None:
        super().__init__(message)
        self.order_id, self.field, self.rule = order_id, field, rule


@dataclass(frozen=True)
class LineProblem:
    """Why a line moves nothing.

    :param number: the line, from 1.
    """

    number: int
    field: str
    rule: str
    message: str


@dataclass(frozen=True)
class OrderLine:
    """Units of one variant.

    :param number: the line, from 1.
    :param sku: the variant, or its identifier as given where that is no SKU of ours.
    :param is_known: whether it is a SKU.
    :param aliases: all identifiers that the line gives for its variant.
    """

    number: int
    sku: str
    is_known: bool
    aliases: tuple[str, ...]
    quantity: int
    name: str


@dataclass(frozen=True)
class SoldLine:
    """A line as the customer bought it, whatever may be wrong with it.

    :param number: the line, from 1.
    :param sku: ``None`` where no identifier of the line is a SKU of ours.
    :param identifier: of its variant, or else its product, as given; empty for shipping.
    :param quantity: ``None`` where it is no whole number; ``quantity_given`` says what it is.
    :param price: of one unit in major units, as the API wrote it; ``None``: no number.
    :param currency: as given; empty: none.
    :param is_shipping: it has neither product nor variant.
    """

    number: int
    sku: str | None
    identifier: str
    name: str
    quantity: int | None
    quantity_given: str
    price: str | None
    currency: str
    is_shipping: bool


@dataclass(frozen=True)
class Session:
    """Where and how an order was made; empty texts: not given.

    :param cloudshelf: the kiosk's content by name, else by id; ``device``, ``store`` and ``sales_assistant`` likewise.
    :param payment_attempt: id of the card payment on the kiosk.
    :param basket_value: in major units, as the API wrote it.
    """

    id: str = ""
    cloudshelf: str = ""
    device: str = ""
    store: str = ""
    sales_assistant: str = ""
    payment_method: str = ""
    payment_attempt: str = ""
    currency: str = ""
    basket_value: str | None = None


@dataclass(frozen=True)
class KioskOrder:
    """An order.

    :param ulid: the last part of its id, under which people know it.
    :param location: the session's location as given; empty: none.
    :param is_internal: made by Cloudshelf's own staff while testing, so no sale.
    :param content: what is kept of it; nothing about a customer.
    :param sold: every line, also those that move no stock.
    :param third_party_id: under which another system knows it; empty: none.
    """

    id: str
    ulid: str
    status: OrderStatus
    created_at: datetime
    updated_at: datetime
    lines: tuple[OrderLine, ...]
    problems: tuple[LineProblem, ...]
    location: str
    location_name: str
    is_internal: bool
    content: Raw
    sold: tuple[SoldLine, ...]
    session: Session
    discount_code: str
    third_party_id: str

    @property
    def fingerprint(self) -> str:
        """Equal for equal content."""
        return _hash(self.content)

    @property
    def paid_at(self) -> datetime:
        """When it was paid: its last change while that is the payment, else when it was made."""
        is_payment = self.status in (OrderStatus.PLACED, OrderStatus.PAID)
        return self.updated_at if is_payment else self.created_at

    @property
    def was_paid_on_kiosk(self) -> bool:
        """Whether a card payment was tried on the kiosk; a basket that went to the web shop by QR code has none."""
        return bool(self.session.payment_attempt)


def read_order(raw: Raw) -> KioskOrder:
    """An order as Cloudshelf gives it, or as :attr:`KioskOrder.content` has it.

    :raises UnreadableOrder: naming the field that cannot be right.
    """
    content = kept(raw)
    id_ = content.get("id")
    if (
        not isinstance(id_, str)
        or not id_.strip()
        or len(id_) > LONGEST_IDENTIFIER
        or has_control_characters(id_)
    ):
        raise UnreadableOrder(_show(id_), "id", "is an id", f"An order has the id {_show(id_)}.")
    ulid = id_.rpartition("/")[2] or id_
    status = content.get("status")
    if status not in list(OrderStatus):
        known = ", ".join(OrderStatus)
        text = f"Order {ulid} has the status {_show(status)}; known are {known}."
        raise UnreadableOrder(id_, "status", "is a known status", text)
    session = content["session"] or {}
    lines = list(_lines(content["lines"]))
    return KioskOrder(
        id=id_,
        ulid=ulid,
        status=OrderStatus(status),
        created_at=_moment(id_, content, "createdAt"),
        updated_at=_moment(id_, content, "updatedAt"),
        lines=tuple(line for line in lines if isinstance(line, OrderLine)),
        problems=tuple(line for line in lines if isinstance(line, LineProblem)),
        location=_text(session.get("locationId")),
        location_name=_text(session.get("locationName")),
        is_internal=session.get("visibilityType") == "CLOUDSHELF_INTERNAL",
        content=content,
        sold=tuple(_sold(number, line) for number, line in enumerate(content["lines"], start=1)),
        session=_session(session),
        discount_code=_text(content["discountCode"]),
        third_party_id=_text(content["thirdPartyId"]),
    )


def capture_hash(order: KioskOrder) -> str:
    """Equal while nothing changes that an order in commercetools is made of: lines, prices, session, discount."""
    return _hash({name: order.content[name] for name in ("createdAt", "discountCode", "lines", "session")})


def email_of(raw: Raw, attribute: str) -> str | None:
    """The customer's e-mail address as an attribute of a line gives it, in whatever form; ``None``: none.

    It is no part of :attr:`KioskOrder.content` and belongs in no log.

    :param raw: the order as Cloudshelf gives it.
    """
    for line in _objects(raw.get("lines")):
        for one in _objects(line.get("customAttributes")):
            text = _text(one.get("value")) if one.get("key") == attribute else ""
            if text and len(text) <= LONGEST_EMAIL and not has_control_characters(text):
                return text
    return None


def _hash(content: object) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _session(raw: Raw) -> Session:
    def named(what: str) -> str:
        return one_line(_text(raw.get(f"{what}Name")))[:_LONGEST_NAME] or _text(raw.get(f"{what}Id"))

    return Session(
        id=_text(raw.get("id")),
        cloudshelf=named("cloudshelf"),
        device=named("device"),
        store=named("location"),
        sales_assistant=named("salesAssistant"),
        payment_method=_text(raw.get("paymentMethod")),
        payment_attempt=_text(raw.get("paymentAttemptId")),
        currency=_text(raw.get("basketCurrencyCode")),
        basket_value=raw.get("basketValue"),
    )


def kept(raw: Raw) -> dict[str, Any]:
    """What of an order may be stored: no customer, no free text but names from the catalogue and of devices."""
    session, code = raw.get("session"), raw.get("discountCode")
    return {
        **{name: _plain(raw.get(name)) for name in _ORDER},
        "discountCode": code if isinstance(code, str) and _CODE.fullmatch(code) else None,
        "lines": [_kept_line(line) for line in _objects(raw.get("lines"))],
        "session": None
        if not isinstance(session, Mapping)
        else {
            **{name: _plain(session.get(name)) for name in _SESSION},
            "basketValue": _amount(session.get("basketValue")),
        },
    }


def _kept_line(line: Raw) -> dict[str, Any]:
    origins = [
        {"key": one.get("key"), "value": one.get("value")}
        for one in _objects(line.get("customAttributes"))
        if one.get("key") in _ORIGINS and _IDENTIFIER.fullmatch(str(one.get("value")))
    ]
    return {
        **{name: _plain(line.get(name)) for name in _LINE},
        "price": _amount(line.get("price")),
        "customAttributes": origins,
    }


def _objects(value: object) -> list[Raw]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _plain(value: object) -> str | int | float | None:
    """A value as it is, unless it is none that a field of an order can have."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    return value if isinstance(value, str | int) else None


def _amount(value: object) -> str | None:
    """A price in major units as the API wrote it, or as text that was made of it."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return str(found) if found.is_finite() else None


def _lines(raw: list[Raw]) -> Iterator[OrderLine | LineProblem]:
    """Lines that move stock, and what is wrong with others; a shipping line, which has no article, is neither."""
    for number, line in enumerate(raw, start=1):
        variant = _variant(line)
        if variant or _product(line):
            yield _line(number, line, variant)


def _variant(line: Raw) -> tuple[str, ...]:
    """All identifiers that a line gives for its variant, ours leading."""
    given = (_text(line.get("platformProvidedProductVariantId")), _text(line.get("productVariantId")))
    return tuple(dict.fromkeys(one for one in given if one))


def _product(line: Raw) -> str:
    return _text(line.get("platformProvidedProductId")) or _text(line.get("productId"))


def _sold(number: int, line: Raw) -> SoldLine:
    variant, product, quantity = _variant(line), _product(line), line.get("quantity")
    is_whole = isinstance(quantity, int) and not isinstance(quantity, bool)
    return SoldLine(
        number=number,
        sku=known_sku(variant),
        identifier=variant[0] if variant else product,
        name=one_line(_text(line.get("productName")))[:_LONGEST_NAME],
        quantity=quantity if is_whole else None,
        quantity_given=_show(quantity),
        price=line.get("price"),
        currency=_text(line.get("currencyCode")),
        is_shipping=not variant and not product,
    )


def _line(number: int, line: Raw, aliases: tuple[str, ...]) -> OrderLine | LineProblem:
    def problem(field: str, rule: str, message: str) -> LineProblem:
        return LineProblem(number, f"lines[{number}].{field}", rule, f"Line {number}{named}: {message}.")

    name = visible(_text(line.get("productName")))[:_SHOWN]
    named = f" ('{name}')" if name else ""
    if not aliases:
        return problem("productVariantId", "names a variant", "it names a product, but no variant of it")
    quantity = line.get("quantity")
    if isinstance(quantity, bool) or not isinstance(quantity, int):
        return problem("quantity", "is a whole number", f"the quantity is {_show(quantity)}")
    if not 1 <= quantity <= MOST_UNITS:
        return problem("quantity", f"is 1 to {MOST_UNITS}", f"the quantity is {quantity}")
    sku = known_sku(aliases)
    identifier = aliases[0] if sku is None else sku
    if len(identifier) > LONGEST_IDENTIFIER or has_control_characters(identifier):
        rule = f"has at most {LONGEST_IDENTIFIER} visible characters"
        return problem("productVariantId", rule, f"its variant is {_show(identifier)}")
    return OrderLine(number, identifier, sku is not None, aliases, quantity, name)


def known_sku(gids: tuple[str, ...]) -> str | None:
    """The SKU in an identifier of ours among those of a variant."""
    for gid in gids:
        try:
            return sku_of(gid)
        except IdentifierError:
            continue
    return None


def own_channel(location: str) -> str | None:
    """The supply Channel's key in a location's external id of ours."""
    try:
        parsed = parse_gid(location)
    except IdentifierError:
        return None
    return parsed.id if parsed.app == "external" and parsed.type == LOCATION else None


def location_name(location: str) -> str:
    """A location's id in the form in which ids with and without ``gid://`` can be compared."""
    last = location.rpartition("/")[2]
    return last.upper() if _ULID.fullmatch(last) and not location.startswith("gid://external/") else location


def _moment(order_id: str, content: Raw, field: str) -> datetime:
    value = content.get(field)
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        ulid = order_id.rpartition("/")[2]
        text = f"Order {ulid} says {field} {_show(value)}, which is no moment in UTC."
        raise UnreadableOrder(order_id, field, "is a moment, e.g. 2026-11-24T16:02:38Z", text)
    return found


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _show(value: object) -> str:
    return visible(repr(value))[:_SHOWN]
