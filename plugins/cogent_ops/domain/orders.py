"""Cloudshelf orders as stock sees them: which lines move how many units of what, and where.

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
from cogent_ops.domain.text import has_control_characters, visible
from cogent_ops.errors import PermanentError

Raw = Mapping[str, Any]

#: More units in one line, or of one movement, are a slip of a keyboard, not a sale.
MOST_UNITS = 1_000_000
LONGEST_IDENTIFIER = 256
#: What stands for the place of an order that names none; no Channel key can look like it.
NO_LOCATION = "(no location)"

_SHOWN = 80
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
class KioskOrder:
    """An order.

    :param ulid: the last part of its id, under which people know it.
    :param location: the session's location as given; empty: none.
    :param is_internal: made by Cloudshelf's own staff while testing, so no sale.
    :param content: what is kept of it; nothing about a customer.
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

    @property
    def fingerprint(self) -> str:
        """Equal for equal content."""
        text = json.dumps(self.content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


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
        ids = [line.get("platformProvidedProductVariantId"), line.get("productVariantId")]
        variant = [_text(one) for one in ids if _text(one)]
        product = _text(line.get("platformProvidedProductId")) or _text(line.get("productId"))
        if not variant and not product:
            continue
        yield _line(number, line, tuple(dict.fromkeys(variant)))


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
