"""Read kiosk orders in all three places where they have to be, and compare them.

Compared are the orders that were placed or changed in the last days, and older ones that still wait. What the archive
keeps of an order holds no personal data: statuses, times, totals and numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import chain
from typing import Any

from pydantic import TypeAdapter

from cogent_ops.domain.commercetools import timestamp
from cogent_ops.domain.custom_types import ORDER_ID
from cogent_ops.domain.drift.model import Area, Finding, Moment
from cogent_ops.domain.drift.orders import (
    KioskSide,
    LedgerSide,
    OrderFacts,
    ShopSide,
    findings,
    judge,
)
from cogent_ops.domain.exceptions import ORDER_KINDS, Kind, order_of
from cogent_ops.domain.money import Money, MoneyError, minor_units
from cogent_ops.domain.order_changes import shop_status
from cogent_ops.domain.order_draft import GOODS
from cogent_ops.domain.order_payment import Balance
from cogent_ops.services.drift.archive import Night
from cogent_ops.services.drift.comparison import Compared, Parts
from cogent_ops.services.drift.facts import Row, as_json, read_facts, write_facts
from cogent_ops.services.orders.shop import together
from cogent_ops.services.pipeline import batches
from cogent_ops.store.orders import Capture

Raw = Mapping[str, Any]

TABLE = "orders"
#: Orders looked up or written at once.
SOME = 500
#: Kinds of exception whose cause is one order: a person knows of it.
KINDS = (*ORDER_KINDS, Kind.ORDER_UNREADABLE, Kind.BAD_MOVEMENT)
_EXPANDED = {"expand": "paymentInfo.payments[*]"}
_USERS = {"clientId": "an API client", "associate": "an associate", "customer": "a customer"}


@dataclass(frozen=True)
class Reading:
    """When the sides were read.

    :param since: orders that were placed or changed since then are compared.
    :param in_use: whether the link has ever captured an order, or asked a person about one. Who has not begun with that
        lacks nothing.
    """

    moment: Moment
    since: datetime
    in_use: bool


READING, FACTS = TypeAdapter(Reading), TypeAdapter(OrderFacts)


@dataclass
class _Sides:
    """What was read.

    :param kiosk: by the kiosk order's id, as the others.
    :param shop: by the id of the commercetools order, with the kiosk order that it is; empty: nobody says which.
    :param in_review: ids of kiosk orders that a person has been told of.
    """

    kiosk: dict[str, KioskSide] = field(default_factory=dict)
    captures: dict[str, Capture] = field(default_factory=dict)
    shop: dict[str, tuple[ShopSide, str]] = field(default_factory=dict)
    in_review: set[str] = field(default_factory=set)


class OrderComparison:
    """The kiosk orders of one link."""

    area = Area.ORDERS

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.config, self.store, self.link = parts.config, parts.store, parts.config.name
        self.prefix = parts.config.orders.number_prefix
        self._origins = tuple(dict.fromkeys((ORDER_ID, parts.config.orders.basket_field)))

    # Reading

    def snapshot(self, night: Night) -> None:
        """Read the orders of the last days from all three sides."""
        if not night.has(TABLE):
            write_facts(night, TABLE, self._rows())

    def _rows(self) -> Iterator[Row]:
        rules, now = self.config.drift, self.parts.now()
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        since = today - timedelta(days=rules.order_days)
        moment = Moment(now, timedelta(seconds=rules.lag_seconds), timedelta(minutes=rules.order_minutes))
        accounts = self.store.captures.accounting(self.link)
        reading = Reading(moment, since, in_use=bool(accounts.captured or accounts.review))
        yield "reading", as_json(READING, reading)
        if reading.in_use:
            for one in self._facts(self._read(since)):
                yield "order", as_json(FACTS, one)

    def _read(self, since: datetime) -> _Sides:
        """Read all sides while orders go on.

        commercetools is read after the store, so what differs only because it moved on meanwhile is young there.
        """
        sides = _Sides(kiosk=self._kiosk(since), in_review=self._in_review())
        sides.captures = {one.order_id: one for one in self.store.captures.compared(self.link, since)}
        where = f'lastModifiedAt >= "{timestamp(since)}"'
        for page in self.parts.commercetools.pages("orders", where=(where,), params=_EXPANDED):
            self._note(sides, page, {})
        others = self._others(sides)
        sides.captures.update((one.order_id, one) for one in others)
        self._look_up(sides, others)
        sides.in_review |= self._in_review()
        return sides

    def _kiosk(self, since: datetime) -> dict[str, KioskSide]:
        found: dict[str, KioskSide] = {}
        for page in self.parts.cloudshelf.orders(self.config.movements.orders_page):
            sides = {node["id"]: _kiosk_side(node) for node in page}
            found.update((id_, side) for id_, side in sides.items() if side.changed_at >= since)
            if any(side.changed_at < since for side in sides.values()):
                break
        return found

    def _note(self, sides: _Sides, page: Iterable[Raw], by_id: Mapping[str, str]) -> None:
        """Keep of commercetools' orders what concerns kiosks.

        :param by_id: kiosk orders by the id of the commercetools order that they were captured as.
        """
        orders, captures = list(page), self.store.captures
        with self.store.read() as conn:
            captured = captures.by_ct_orders(conn, self.link, [order["id"] for order in orders])
            numbers = [str(order.get("orderNumber") or "") for order in orders if order["id"] not in captured]
            others = {
                number for link in self.parts.siblings for number in captures.by_numbers(conn, link, numbers)
            }
        for order in orders:
            if order["id"] not in captured and order.get("orderNumber") in others:
                # It belongs to a kiosk of another link, whose night compares it.
                continue
            capture = captured.get(order["id"])
            named = by_id.get(order["id"]) or (capture.order_id if capture else self._named(order))
            if named or self._is_numbered(order):
                sides.shop[order["id"]] = _shop_side(order), named

    def _is_numbered(self, order: Raw) -> bool:
        return bool(self.prefix) and str(order.get("orderNumber") or "").startswith(self.prefix)

    def _named(self, order: Raw) -> str:
        """The kiosk order that a commercetools order says it is."""
        fields = (order.get("custom") or {}).get("fields") or {}
        return next((str(fields[name]) for name in self._origins if fields.get(name)), "")

    def _others(self, sides: _Sides) -> list[Capture]:
        """Captures of orders that are older, and of which one side has changed lately."""
        ids = {named for _, named in sides.shop.values() if named} | sides.kiosk.keys()
        numbers = {side.number for side, named in sides.shop.values() if not named and side.number}
        with self.store.read() as conn:
            captures = self.store.captures
            found = captures.by_ids(conn, self.link, ids - sides.captures.keys())
            by_number = captures.by_numbers(conn, self.link, numbers)
        found |= {id_: one for one in by_number.values() if (id_ := one.order_id) not in sides.captures}
        return list(found.values())

    def _look_up(self, sides: _Sides, others: list[Capture]) -> None:
        """Read those of commercetools' orders that did not change lately: by id, and by number where that is ours.

        :param others: captures that were read after commercetools was; so it is read again for them.
        """
        again = {one.order_id for one in others}
        wanted = [
            one
            for one in sides.captures.values()
            if one.state == "captured" and (one.ct_order_id not in sides.shop or one.order_id in again)
        ]
        client, by_id = self.parts.commercetools, {str(one.ct_order_id): one.order_id for one in wanted}
        for some in batches(wanted, SOME):
            ids = [str(one.ct_order_id) for one in some if one.ct_order_id]
            numbers = [one.order_number for one in some if one.origin == "kiosk"]
            pages = chain(
                client.by_values("orders", "id", ids, params=_EXPANDED),
                client.by_values("orders", "orderNumber", numbers, params=_EXPANDED),
            )
            for page in pages:
                self._note(sides, page, by_id)

    # Joining

    def _facts(self, sides: _Sides) -> Iterator[OrderFacts]:
        """One entry for each kiosk order, one for each further commercetools order of it, and for each of nobody."""
        belonging: dict[str, list[ShopSide]] = {}
        numbered = {one.order_number: one.order_id for one in sides.captures.values()}
        for side, named in sides.shop.values():
            belonging.setdefault(named or numbered.get(side.number, ""), []).append(side)
        for side in belonging.pop("", ()):
            yield OrderFacts("", side.number, shop=side)
        for id_ in sorted(belonging.keys() | sides.captures.keys() | sides.kiosk.keys()):
            capture = sides.captures.get(id_)
            own, others = _own(capture, belonging.get(id_, []))
            facts = OrderFacts(
                order_id=id_,
                number=capture.order_number if capture else own.number if own else "",
                kiosk=sides.kiosk.get(id_),
                ledger=_ledger_side(capture) if capture else None,
                shop=own,
                in_review=id_ in sides.in_review,
            )
            yield facts
            for side in others:
                yield replace(facts, number=side.number, kiosk=None, shop=side, twin_of=facts.number)

    def _in_review(self) -> set[str]:
        exceptions = self.store.exceptions
        causes = (exceptions.open_causes(self.link, kind, decided=True) for kind in KINDS)
        return {order_of(cause) for cause in chain.from_iterable(causes)}

    # Judging

    def compare(self, night: Night, previous: Night | None) -> Compared:
        """Judge what the archive holds of a night."""
        if not night.has(TABLE):
            return Compared(0, ())
        rows = read_facts(night, TABLE)
        reading = READING.validate_json(next(rows)[1])
        if not reading.in_use:
            return Compared(0, (), {"orders_are_not_captured": 1})
        moment, counts = reading.moment, Counter[str]()
        found: list[Finding] = []
        for checked, (_, facts) in enumerate(rows, start=1):
            one = FACTS.validate_json(facts)
            counts["orders"] = checked
            mismatches = judge(one, moment)
            found += findings(one, mismatches, link=night.link, night=night.name)
            counts.update(each.why for each in mismatches if each.cause is None)
        return Compared(counts["orders"], found, counts)


def _own(capture: Capture | None, sides: list[ShopSide]) -> tuple[ShopSide | None, list[ShopSide]]:
    """The commercetools order that a kiosk order was captured as, and the others that claim to be it."""
    if capture is None or len(sides) < 2:
        return (sides[0] if sides else None), sides[1:]
    ranked = sorted(
        sides, key=lambda one: (one.id != capture.ct_order_id, one.number != capture.order_number)
    )
    return ranked[0], ranked[1:]


def _kiosk_side(node: Raw) -> KioskSide:
    currencies = {line["currencyCode"] for line in node["lines"]}
    currency = str(next(iter(currencies))) if len(currencies) == 1 else ""
    try:
        prices = (Decimal(str(line["price"])) * line["quantity"] for line in node["lines"])
        amount = minor_units(sum(prices, Decimal(0)), currency)
    except MoneyError:
        amount = None
    return KioskSide(node["status"], datetime.fromisoformat(node["updatedAt"]), currency, amount)


def _ledger_side(capture: Capture) -> LedgerSide:
    return LedgerSide(
        status=capture.status,
        state=capture.state,
        reason=capture.reason or "",
        due_at=capture.due_at,
        is_to_be_told=capture.tell_at is not None,
        captured_status=capture.captured_status,
        told_status=capture.told_status,
        origin=capture.origin,
        ct_order_id=capture.ct_order_id,
        place=capture.place,
        currency=capture.currency,
        total=capture.total,
        units=capture.units,
        ordered_at=capture.ordered_at,
        changed_at=capture.changed_at,
        captured_at=capture.captured_at,
    )


def _shop_side(order: Raw) -> ShopSide:
    total = Money.of(order["totalPrice"])
    gross = Money.of((order.get("taxedPrice") or {}).get("totalGross") or order["totalPrice"])
    payments = [one["obj"] for one in (order.get("paymentInfo") or {}).get("payments", ()) if "obj" in one]
    payment = together(payments)
    balance = None if payment is None else Balance.of(payment)
    return ShopSide(
        id=order["id"],
        number=str(order.get("orderNumber") or ""),
        version=order["version"],
        created_at=datetime.fromisoformat(order["createdAt"]),
        changed_at=max(datetime.fromisoformat(one["lastModifiedAt"]) for one in (order, *payments)),
        changed_by=_changed_by(order),
        currency=total.currency,
        total=total.cents,
        gross=gross.cents,
        units=sum(_goods(order)),
        status=shop_status(order, payment),
        charged=balance.charged.cents if balance else 0,
        refunded=balance.refunded.cents if balance else 0,
        owed=balance.owed.cents if balance else 0,
    )


def _goods(order: Raw) -> Iterator[int]:
    yield from (int(line["quantity"]) for line in order.get("lineItems") or ())
    custom = (
        line for line in order.get("customLineItems") or () if str(line.get("key", "")).startswith(GOODS)
    )
    yield from (int(line["quantity"]) for line in custom)


def _changed_by(order: Raw) -> str:
    """What kind of user changed an order last; who it is, is nobody's business here."""
    by = order.get("lastModifiedBy") or {}
    if by.get("isPlatformClient") or by.get("externalUserId"):
        return "a person"
    return next((text for name, text in _USERS.items() if by.get(name)), "")
