"""Kiosk orders in three places: in Cloudshelf, in the store of this package, and in commercetools.

Each order of Cloudshelf has to be known here, each captured one has to be in commercetools once, with its total and its
state, and nothing of ours may be there that nobody knows. What waits, is in review, excluded by name or changed a
moment ago is explained.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cogent_ops.domain.drift.model import Area, Cause, Fact, Finding, Moment
from cogent_ops.domain.exceptions import Owner
from cogent_ops.domain.money import Money, show
from cogent_ops.domain.order_states import FOLLOWS, OVERDUE
from cogent_ops.domain.rules import OrderStatus


class Aspect(StrEnum):
    """What differs."""

    ORDER = "order"
    TOTAL = "total"
    UNITS = "units"
    STATE = "state"


# The three sides


@dataclass(frozen=True)
class KioskSide:
    """An order as Cloudshelf has it.

    :param amount: its lines' sum in minor units; ``None``: it cannot be told.
    """

    status: str
    changed_at: datetime
    currency: str
    amount: int | None


@dataclass(frozen=True)
class LedgerSide:
    """An order as the store has it, see :class:`cogent_ops.store.orders.Capture`."""

    status: str
    state: str
    reason: str
    due_at: datetime | None
    is_to_be_told: bool
    captured_status: str | None
    told_status: str | None
    origin: str | None
    ct_order_id: str | None
    place: str
    currency: str | None
    total: int | None
    units: int
    ordered_at: datetime
    changed_at: datetime
    captured_at: datetime | None

    @property
    def money(self) -> Money | None:
        """What it comes to; ``None``: that is not known (yet)."""
        return None if self.currency is None or self.total is None else Money(self.currency, self.total)


@dataclass(frozen=True)
class ShopSide:
    """An order as commercetools has it.

    :param gross: what the customer owes: the total, and taxes that come on top of it.
    :param units: of goods.
    :param status: what it amounts to in Cloudshelf's words; ``None``: it was not paid.
    :param charged: what was paid, in minor units, as ``refunded`` and ``owed`` are what went back and what is to.
    :param changed_by: what kind of user changed it last.
    """

    id: str
    number: str
    version: int
    created_at: datetime
    changed_at: datetime
    changed_by: str
    currency: str
    total: int
    gross: int
    units: int
    status: str | None
    charged: int
    refunded: int
    owed: int


@dataclass(frozen=True)
class OrderFacts:
    """All that is known of one order; a second order of commercetools for the same kiosk order has facts of its own.

    :param order_id: the kiosk order's id; empty: nobody knows it.
    :param in_review: whether a person has been told of it.
    :param twin_of: number of the commercetools order that the kiosk order was captured as; empty: this one, or none.
    """

    order_id: str
    number: str
    kiosk: KioskSide | None = None
    ledger: LedgerSide | None = None
    shop: ShopSide | None = None
    in_review: bool = False
    twin_of: str = ""

    @property
    def place(self) -> str:
        """The store that sold it."""
        return self.ledger.place if self.ledger else ""


# What explains a difference

YOUNG = "changed_a_moment_ago"
WAITING = "on_its_way"
REVIEW = "in_review"
EXCLUDED = "excluded_by_name"


@dataclass(frozen=True)
class OrderMismatch:
    """One difference.

    :param cause: ``None``: it is explained, and ``why`` says by what.
    :param units: orders, or units of goods, that commercetools has too many (negative: too few).
    :param amount: how much more commercetools says than it should, in minor units of ``currency``.
    """

    aspect: Aspect
    wanted: str
    shown: str
    cause: Cause | None
    why: str
    units: int = 0
    amount: int | None = None
    currency: str | None = None


Why = tuple[Cause | None, str]


def judge(facts: OrderFacts, moment: Moment) -> list[OrderMismatch]:
    """Everything that differs about an order, with its cause or what explains it."""
    if facts.ledger is None:
        return list(_unknown(facts, moment))
    if facts.twin_of and facts.shop is not None:
        return [_surplus(facts.shop, *_twin_cause(facts, facts.shop, moment))]
    if facts.ledger.state != "captured":
        return list(_not_captured(facts, facts.ledger, moment))
    return list(_captured(facts, facts.ledger, moment))


# Orders that the store does not know


def _unknown(facts: OrderFacts, moment: Moment) -> Iterator[OrderMismatch]:
    if facts.shop is not None:
        if moment.is_young(facts.shop.created_at, moment.lag):
            yield _surplus(facts.shop, None, YOUNG)
        else:
            text = "It has a number of ours, and no kiosk order that this package knows belongs to it."
            yield _surplus(facts.shop, Cause.ORPHANED, text)
    elif facts.kiosk is not None:
        cause, why = _unread_cause(facts, facts.kiosk, moment)
        amount = None if facts.kiosk.amount is None else -facts.kiosk.amount
        wanted = f"{facts.kiosk.status} in Cloudshelf"
        currency = facts.kiosk.currency
        yield OrderMismatch(Aspect.ORDER, wanted, "unknown here", cause, why, -1, amount, currency)


def _unread_cause(facts: OrderFacts, kiosk: KioskSide, moment: Moment) -> Why:
    if facts.in_review:
        return None, REVIEW
    if moment.is_young(kiosk.changed_at, moment.late):
        return None, YOUNG
    return Cause.LOST, "No poll has read it."


def _surplus(shop: ShopSide, cause: Cause | None, why: str) -> OrderMismatch:
    """An order that commercetools has and should not have."""
    shown = f"order {shop.number or shop.id} in commercetools"
    return OrderMismatch(Aspect.ORDER, "none", shown, cause, why, 1, shop.total, shop.currency)


def _twin_cause(facts: OrderFacts, shop: ShopSide, moment: Moment) -> Why:
    if facts.in_review:
        return None, REVIEW
    if moment.is_young(shop.created_at, moment.lag):
        return None, YOUNG
    return Cause.DUPLICATED, f"The same kiosk order is in commercetools as {facts.twin_of} already."


# Orders on their way


def _not_captured(facts: OrderFacts, ledger: LedgerSide, moment: Moment) -> Iterator[OrderMismatch]:
    wanted = f"{ledger.status} in Cloudshelf"
    if ledger.state == "excluded" and facts.shop is not None and ledger.origin is None:
        yield _surplus(facts.shop, Cause.ORPHANED, f"It is excluded ({ledger.reason}), and it was imported.")
        return
    cause, why = _waiting_cause(ledger, moment)
    shown = f"{ledger.state}: {ledger.reason or 'no reason given'}"
    yield OrderMismatch(Aspect.ORDER, wanted, shown, cause, why, -1, *_lacking(ledger))


def _lacking(ledger: LedgerSide) -> tuple[int | None, str | None]:
    """Amount and currency by which commercetools has too little without the order."""
    amount = ledger.money
    return (None, None) if amount is None else (-amount.cents, amount.currency)


def _waiting_cause(ledger: LedgerSide, moment: Moment) -> Why:
    if ledger.state == "excluded":
        return None, EXCLUDED
    if ledger.state == "review":
        return None, REVIEW
    if ledger.due_at is None:
        return Cause.LATE, "It waits, and nothing will ever look at it again."
    if moment.now - ledger.due_at > OVERDUE:
        return (
            Cause.LATE,
            "It should have been looked at long ago: kiosk_order_capture does not run, or fails.",
        )
    return None, WAITING


# Captured orders


def _captured(facts: OrderFacts, ledger: LedgerSide, moment: Moment) -> Iterator[OrderMismatch]:
    yield from _unread_change(facts, ledger, moment)
    shop = facts.shop
    if shop is None:
        wanted = f"order {facts.number} in commercetools"
        cause, why = _gone_cause(ledger, moment)
        yield OrderMismatch(Aspect.ORDER, wanted, "none", cause, why, -1, *_lacking(ledger))
        return
    if shop.id != ledger.ct_order_id:
        text = "The order of this number is another one than was captured."
        yield OrderMismatch(Aspect.ORDER, str(ledger.ct_order_id), shop.id, Cause.WRONG_IDENTIFIER, text)
    yield from _other_amounts(ledger, shop, moment)
    yield from _other_state(facts, ledger, shop, moment)


def _gone_cause(ledger: LedgerSide, moment: Moment) -> Why:
    if moment.is_young(ledger.captured_at, moment.lag):
        return None, YOUNG
    return Cause.LOST, "It was captured, and commercetools has it no more."


def _unread_change(facts: OrderFacts, ledger: LedgerSide, moment: Moment) -> Iterator[OrderMismatch]:
    """A state in Cloudshelf that the store has not heard of."""
    kiosk = facts.kiosk
    if kiosk is None or kiosk.status in (ledger.status, ledger.told_status):
        return
    if kiosk.changed_at <= ledger.changed_at:
        return  # read before the store heard of a newer one
    if moment.is_young(kiosk.changed_at, moment.late):
        why: Why = (None, YOUNG)
    else:
        why = (Cause.LATE, "No poll has read the change.")
    yield OrderMismatch(Aspect.STATE, kiosk.status, ledger.status, *why)


def _other_amounts(ledger: LedgerSide, shop: ShopSide, moment: Moment) -> Iterator[OrderMismatch]:
    wanted, shown = ledger.money, Money(shop.currency, shop.total)
    if wanted is not None and wanted != shown:
        cause, why = _edit_cause(ledger, shop, moment)
        more = shown.cents - (wanted.cents if wanted.currency == shown.currency else 0)
        amounts = show(wanted), show(shown)
        yield OrderMismatch(Aspect.TOTAL, *amounts, cause, why, amount=more, currency=shown.currency)
    if ledger.origin == "kiosk" and ledger.units != shop.units:
        cause, why = _edit_cause(ledger, shop, moment)
        more = shop.units - ledger.units
        yield OrderMismatch(Aspect.UNITS, str(ledger.units), str(shop.units), cause, why, more)


def _edit_cause(ledger: LedgerSide, shop: ShopSide, moment: Moment) -> Why:
    if moment.is_young(shop.changed_at, moment.lag):
        return None, YOUNG
    captured = ledger.captured_at
    if captured is not None and shop.changed_at > captured + moment.lag:
        by = f" by {shop.changed_by}" if shop.changed_by else ""
        return Cause.MANUAL_EDIT, f"It was changed in commercetools{by} after it was captured."
    return Cause.UNEXPLAINED, "Nobody is known to have changed it since it was captured."


def _other_state(
    facts: OrderFacts, ledger: LedgerSide, shop: ShopSide, moment: Moment
) -> Iterator[OrderMismatch]:
    wanted, shown = _effective(ledger.status), shop.status
    if shown is None and ledger.origin != "kiosk":
        return  # somebody else's order may be paid where its payments do not show
    if wanted == shown:
        return
    why = _state_cause(facts, ledger, shop, moment)
    yield OrderMismatch(Aspect.STATE, wanted, shown or "not paid", *why)


def _effective(status: str) -> str:
    """What a captured order's state amounts to: one that was only placed was found to be paid."""
    return OrderStatus.PAID if status == OrderStatus.PLACED else status


def _state_cause(facts: OrderFacts, ledger: LedgerSide, shop: ShopSide, moment: Moment) -> Why:
    if facts.in_review:
        return None, REVIEW
    is_at_work = ledger.is_to_be_told or (ledger.due_at is not None and moment.now - ledger.due_at <= OVERDUE)
    times = (ledger.changed_at, shop.changed_at)
    if is_at_work or any(moment.is_young(at, moment.late) for at in times):
        return None, WAITING
    if shop.status in _after(_effective(ledger.status)):
        if ledger.told_status == shop.status:
            return Cause.LOST, "Cloudshelf was told of it, and shows another state."
        return Cause.LATE, "It moved on in commercetools, and Cloudshelf has not been told."
    if ledger.captured_status == _effective(ledger.status):
        return Cause.LOST, "It was brought to that state in commercetools, and is in another one now."
    return Cause.LATE, "It moved on in Cloudshelf, and commercetools has not been told."


def _after(status: str) -> frozenset[str]:
    return frozenset(map(str, FOLLOWS.get(OrderStatus(status), ())))


# What people read

_OWNERS = {
    Cause.LATE: Owner.PLATFORM,
    Cause.LOST: Owner.ECOMMERCE,
    Cause.DUPLICATED: Owner.FINANCE,
    Cause.ORPHANED: Owner.ECOMMERCE,
    Cause.MANUAL_EDIT: Owner.FINANCE,
    Cause.WRONG_IDENTIFIER: Owner.ECOMMERCE,
    Cause.UNEXPLAINED: Owner.FINANCE,
}
_ACTIONS = {
    Cause.LATE: "Look at the last runs of kiosk_order_capture. It goes on by itself once they are green.",
    Cause.LOST: "Read the day again: airflow backfill create --dag-id kiosk_order_capture for it. An order that was "
    "deleted in commercetools must be entered there by hand, and linked: cogent-ops exceptions link.",
    Cause.DUPLICATED: "Cancel the order that is one too many in commercetools, and pay back what it charged.",
    Cause.ORPHANED: "Find out who made it. If it stands for no sale, cancel it in commercetools.",
    Cause.MANUAL_EDIT: "Ask who changed it and why; if it is meant, mark the exception as expected.",
    Cause.WRONG_IDENTIFIER: "Compare both orders in commercetools, and cancel the one that stands for no sale.",
    Cause.UNEXPLAINED: "Compare the order in both systems, and note in the exception what it is.",
}


def findings(facts: OrderFacts, mismatches: list[OrderMismatch], *, link: str, night: str) -> list[Finding]:
    """The findings of an order; what is explained is none."""
    return [
        _finding(facts, one, one.cause, link=link, night=night) for one in mismatches if one.cause is not None
    ]


def _finding(facts: OrderFacts, one: OrderMismatch, cause: Cause, *, link: str, night: str) -> Finding:
    what = f"Order {facts.number or facts.order_id}"
    return Finding(
        link=link,
        night=night,
        area=Area.ORDERS,
        cause=cause,
        subject=f"{facts.number or facts.order_id} · {one.aspect}",
        message=f"{what}, {one.aspect}: should be {one.wanted}, is {one.shown}. {one.why}",
        evidence=tuple(_evidence(facts)),
        owner=_OWNERS[cause],
        action=_ACTIONS[cause],
        units=one.units,
        amount=one.amount,
        currency=one.currency if one.amount is not None else None,
        place=facts.place,
    )


def _evidence(facts: OrderFacts) -> Iterator[Fact]:
    if facts.order_id:
        yield Fact("kiosk order", facts.order_id)
    if facts.kiosk is not None:
        yield Fact("Cloudshelf says", facts.kiosk.status, facts.kiosk.changed_at)
    if facts.ledger is not None:
        ledger = facts.ledger
        as_ = f", as {ledger.captured_status}" if ledger.captured_status else ""
        yield Fact("recorded", f"{ledger.state}{as_}: {ledger.status}", ledger.changed_at)
        if ledger.money is not None:
            yield Fact("captured total", show(ledger.money), ledger.captured_at)
    if facts.shop is not None:
        shop = facts.shop
        yield Fact(
            "commercetools order", f"{shop.number or shop.id}, version {shop.version}", shop.created_at
        )
        yield Fact("changed last", shop.changed_by or "by nobody known", shop.changed_at)
        amounts = (shop.total, shop.charged, shop.refunded, shop.owed)
        total, charged, refunded, owed = (show(Money(shop.currency, cents)) for cents in amounts)
        yield Fact(
            "commercetools says", f"total {total}, paid {charged}, refunded {refunded}, to be refunded {owed}"
        )
    if facts.twin_of:
        yield Fact("captured as", facts.twin_of)
