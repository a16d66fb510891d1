"""Rows that stores' systems send: a movement or a count of one SKU at one place, understood or refused with the cure.

The same rules hold for files and for the endpoint. Docs for those who send: ``docs/movements.md``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any

from cogent_ops.domain.orders import LONGEST_IDENTIFIER, MOST_UNITS
from cogent_ops.domain.text import did_you_mean, has_control_characters, one_line, visible

#: Columns by name, with the headers that mean them, in small letters without spaces, hyphens and underscores.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "movementid", "transactionid", "eventid", "documentid"),
    "sku": ("sku", "article", "articlenumber", "item", "itemnumber"),
    "location": ("location", "locationkey", "channel", "channelkey", "store", "storekey"),
    "quantity": ("quantity", "qty", "delta", "change"),
    "counted": ("counted", "count", "onhand", "quantityonhand", "quantityonstock"),
    "at": ("at", "time", "timestamp", "datetime", "occurredat"),
    "reason": ("reason", "note", "comment"),
}
REQUIRED = ("id", "sku", "location", "at")
#: What stands for the stock without Channel; no Channel's key is so short.
POOL = "-"
#: Clocks differ; what lies further ahead is a mistake, and a count from the future would hide every sale before it.
AHEAD = timedelta(minutes=10)
_LONGEST_REASON = 100
_SHOWN = 60
_WHOLE = re.compile(r"[+-]?\d{1,12}(\.0+)?")


@dataclass(frozen=True)
class MovementRow:
    """A row that was understood.

    :param channel: key of the supply Channel; empty: the pool without Channel.
    :param delta: signed units, or ``None``: ``counted`` says how many were there.
    """

    id: str
    sku: str
    channel: str
    delta: int | None
    counted: int | None
    at: datetime
    reason: str


@dataclass(frozen=True)
class RowProblem:
    """Why a row was not taken.

    :param message: what is wrong, with the value as far as it can be shown.
    """

    field: str
    rule: str
    message: str
    cure: str


def columns_of(headers: Iterable[str]) -> dict[str, str] | RowProblem:
    """Header by column, for a table; a column that every row needs must be among them."""
    given = list(headers)
    found = meanings(given)
    if isinstance(found, RowProblem):
        return found
    lacking = [name for name in REQUIRED if name not in found]
    if not lacking and not {"quantity", "counted"} & found.keys():
        lacking = ["quantity"]
    if lacking:
        shown = ", ".join(visible(header) for header in given)[:200]
        text = f"there is no column {' and no column '.join(lacking)} among: {shown}"
        cure = "Name the columns in the first line: id, sku, location, quantity or counted, at, reason."
        return RowProblem(lacking[0], "is a column", text, cure)
    return found


def meanings(headers: Iterable[str]) -> dict[str, str] | RowProblem:
    """Header by column, of those headers that mean one; others are let pass."""
    found: dict[str, str] = {}
    for header in headers:
        name = next((column for column, names in COLUMNS.items() if _plain(header) in names), None)
        if name is not None and name in found:
            text = f"the columns '{visible(found[name])}' and '{visible(header)}' both mean {name}"
            return RowProblem(name, "is there once", text, "Leave one of them out.")
        if name is not None:
            found[name] = header
    return found


def unknown_field(raw: Mapping[str, Any]) -> RowProblem | None:
    """A field of an object that means nothing here."""
    for name in raw:
        if name not in COLUMNS:
            known = ", ".join(COLUMNS)
            text = f"'{visible(name)[:_SHOWN]}' is no field of a movement"
            cure = f"{did_you_mean(name, COLUMNS)}Known are: {known}."
            return RowProblem(visible(name)[:_SHOWN], "is a known field", text, cure)
    return None


def read_row(raw: Mapping[str, Any], now: datetime) -> MovementRow | RowProblem:
    """A row with the columns' own names.

    :param now: the present, which no row may lie behind of.
    """
    for name in ("id", "sku", "location"):
        problem = _identifier_problem(name, raw.get(name))
        if problem is not None:
            return problem
    amount = _amount(raw)
    if isinstance(amount, RowProblem):
        return amount
    at = _moment(raw.get("at"), now)
    if isinstance(at, RowProblem):
        return at
    location = _text(raw["location"])
    return MovementRow(
        id=_text(raw["id"]),
        sku=_text(raw["sku"]),
        channel="" if location == POOL else location,
        delta=None if amount[1] else amount[0],
        counted=amount[0] if amount[1] else None,
        at=at,
        reason=one_line(_text(raw.get("reason")))[:_LONGEST_REASON],
    )


def _identifier_problem(name: str, value: Any) -> RowProblem | None:
    text = _text(value)
    if text and len(text) <= LONGEST_IDENTIFIER and not has_control_characters(text):
        return None
    cures = {
        "id": "Give every movement an id of its own, e.g. the till's number and the document's: it keeps a row that is "
        "sent again from counting twice.",
        "sku": "Give the SKU as commercetools has it.",
        "location": f"Give the key of the store's supply Channel, or {POOL} for stock that belongs to no Channel.",
    }
    if not text:
        return RowProblem(name, "is filled", f"{name} is {_show(value)}", cures[name])
    rule = f"has at most {LONGEST_IDENTIFIER} visible characters"
    return RowProblem(name, rule, f"{name} is {_show(text)}", cures[name])


def _amount(raw: Mapping[str, Any]) -> tuple[int, bool] | RowProblem:
    """Units, and whether they are a count."""
    given = [name for name in ("quantity", "counted") if not _is_empty(raw.get(name))]
    if len(given) != 1:
        text = "both quantity and counted are filled" if given else "neither quantity nor counted is filled"
        cure = "Fill quantity for a movement (sold two: -2, came in: 5), or counted for what a count found; never both."
        return RowProblem("quantity", "is either a movement or a count", text, cure)
    (name,) = given
    value, units = raw[name], _whole(raw[name])
    if units is None:
        cure = "Give whole units without thousands separators, e.g. -2."
        return RowProblem(name, "is a whole number", f"{name} is {_show(value)}", cure)
    if name == "counted" and not 0 <= units <= MOST_UNITS:
        cure = "A count finds nothing or more; a difference belongs into quantity."
        return RowProblem(name, f"is 0 to {MOST_UNITS}", f"counted is {units}", cure)
    if name == "quantity" and not 1 <= abs(units) <= MOST_UNITS:
        cure = "Leave out rows that move nothing; send what really moved otherwise."
        return RowProblem(name, f"is 1 to {MOST_UNITS} either way", f"quantity is {units}", cure)
    return units, name == "counted"


def _whole(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float | Decimal):
        return int(value) if isfinite(value) and value == int(value) else None
    text = value.strip() if isinstance(value, str) else ""
    return int(text.partition(".")[0]) if text.isascii() and _WHOLE.fullmatch(text) else None


def _moment(value: Any, now: datetime) -> datetime | RowProblem:
    cure = (
        "Give the moment it happened with its offset, e.g. 2026-11-24T16:05:00+01:00 or 2026-11-24T15:05:00Z."
    )
    found = value
    if isinstance(value, str):
        try:
            found = datetime.fromisoformat(value.strip())
        except ValueError:
            found = None
    if not isinstance(found, datetime):
        return RowProblem("at", "is a moment in ISO 8601", f"at is {_show(value)}", cure)
    if found.tzinfo is None:
        return RowProblem("at", "says its offset from UTC", f"at is {_show(value)}", cure)
    try:
        found = found.astimezone(UTC)
    except OverflowError:
        return RowProblem("at", "is a moment in ISO 8601", f"at is {_show(value)}", cure)
    if found > now + AHEAD:
        text = f"at is {_show(value)}, which lies in the future"
        return RowProblem("at", "lies in the past", text, f"{cure} Set the clock of the system that sent it.")
    return found


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip()) or value != value  # noqa: PLR0124 - NaN


def _text(value: Any) -> str:
    """Identifiers may come as whole numbers, never as fractions: those have lost digits on the way."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.strip() if isinstance(value, str) else ""


def _plain(header: str) -> str:
    return re.sub(r"[\s_-]+", "", header).casefold()


def _show(value: Any) -> str:
    return visible(str(value) if isinstance(value, datetime) else repr(value))[:_SHOWN]
