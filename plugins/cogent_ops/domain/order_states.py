"""What each state of a kiosk order means for commercetools: one table of states, one of what may follow what.

A state is confirmed when somebody paid. Until an order is captured, its present state alone decides what becomes of it.
Once it is captured, its state may only move on as :data:`FOLLOWS` says; anything else changes nothing in
commercetools, and a person looks at it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cogent_ops.domain.order_edits import PAID_EDIT, REFUND_EDITS
from cogent_ops.domain.orders import KioskOrder
from cogent_ops.domain.rules import MovementRules, OrderRules, OrderStatus
from cogent_ops.domain.stock import Place, desired_effects

#: An order that waits longer than this beyond its time, and that nobody holds, is waiting for nothing.
OVERDUE = timedelta(hours=1)
#: Marks beside a person's corrections: the state that was rejected, and that the order moves no stock.
REJECTED, STOCK, NO_STOCK = "rejected", "stock", "none"

EXCLUDED_DRAFT = "draft basket"
EXCLUDED_INTERNAL = "internal session"
EXCLUDED_VOIDED = "voided before it was captured"
WAITS_FOR_PAYMENT = "waits for its payment"
ASKS_FOR_PAYMENT = "nobody knows whether it was paid"


class Outcome(StrEnum):
    """What is to be done with an order now."""

    EXCLUDE = "exclude"
    WAIT = "wait"
    ASK = "ask"
    CAPTURE = "capture"
    CHANGE = "change"
    SETTLED = "settled"
    REFUSE = "refuse"


class Returned(StrEnum):
    """Which lines come back to the retailer."""

    NONE = "none"
    NAMED = "named"
    ALL = "all"


class Amount(StrEnum):
    """Over how much a transaction goes."""

    ALL = "the total"
    LEFT = "what is left of the charge"
    NAMED = "what a person says was refunded, less what is refunded already"


@dataclass(frozen=True)
class Step:
    """A transaction that a payment must have.

    :param type: ``Charge`` or ``Refund``.
    :param state: ``Success`` where money moved; ``Pending`` where it is owed.
    """

    type: str
    state: str
    amount: Amount


@dataclass(frozen=True)
class StateRow:
    """A row of the table.

    :param outcome: what is done with an order that is met in this state first.
    :param reason: why it is no order in commercetools (yet); empty: it is one.
    :param order_state: ``orderState`` that the order comes to; ``None``: it stays.
    :param unless: ``orderState`` that stays nevertheless.
    :param payment_state: likewise, ``paymentState``.
    :param shipment_state: likewise; goods that are on their way keep theirs, see :data:`ON_THEIR_WAY`.
    :param steps: transactions of the payment, that of the capture included.
    :param told: what Cloudshelf is told.
    """

    status: OrderStatus
    is_confirmed: bool
    outcome: Outcome
    reason: str = ""
    order_state: str | None = None
    unless: tuple[str, ...] = ()
    payment_state: str | None = None
    shipment_state: str | None = None
    steps: tuple[Step, ...] = ()
    returned: Returned = Returned.NONE
    told: str = ""


#: States of a shipment that no refund takes back.
ON_THEIR_WAY = ("Shipped", "Delivered", "Partial")

_CHARGE = Step("Charge", "Success", Amount.ALL)
_ID = "the commercetools order's id"

_ROWS = (
    StateRow(OrderStatus.DRAFT_BASKET, is_confirmed=False, outcome=Outcome.EXCLUDE, reason=EXCLUDED_DRAFT),
    StateRow(OrderStatus.PLACED, is_confirmed=False, outcome=Outcome.WAIT, reason=WAITS_FOR_PAYMENT),
    StateRow(
        OrderStatus.PAID,
        is_confirmed=True,
        outcome=Outcome.CAPTURE,
        payment_state="Paid",
        steps=(_CHARGE,),
        told=_ID,
    ),
    StateRow(
        OrderStatus.PARTIALLY_REFUNDED,
        is_confirmed=True,
        outcome=Outcome.CAPTURE,
        steps=(_CHARGE, Step("Refund", "Success", Amount.NAMED)),
        returned=Returned.NAMED,
        told=_ID,
    ),
    StateRow(
        OrderStatus.VOIDED,
        is_confirmed=False,
        outcome=Outcome.EXCLUDE,
        reason=EXCLUDED_VOIDED,
        order_state="Cancelled",
        shipment_state="Canceled",
        steps=(_CHARGE, Step("Refund", "Pending", Amount.LEFT)),
    ),
    StateRow(
        OrderStatus.REFUNDED,
        is_confirmed=True,
        outcome=Outcome.CAPTURE,
        order_state="Cancelled",
        unless=("Complete",),
        shipment_state="Canceled",
        steps=(_CHARGE, Step("Refund", "Success", Amount.LEFT)),
        returned=Returned.ALL,
        told=_ID,
    ),
)

STATES: Mapping[OrderStatus, StateRow] = {row.status: row for row in _ROWS}

FOLLOWS: Mapping[OrderStatus, frozenset[OrderStatus]] = {
    OrderStatus.PAID: frozenset(
        {OrderStatus.PARTIALLY_REFUNDED, OrderStatus.VOIDED, OrderStatus.REFUNDED},
    ),
    OrderStatus.PARTIALLY_REFUNDED: frozenset({OrderStatus.VOIDED, OrderStatus.REFUNDED}),
    OrderStatus.VOIDED: frozenset({OrderStatus.REFUNDED}),
    OrderStatus.REFUNDED: frozenset(),
}
"""Which states may follow the one that a captured order is in. Money that went back does not come again."""


@dataclass(frozen=True)
class Decision:
    """What is to be done with an order.

    :param status: the state that counts: a person's or the configuration's word makes PLACED a PAID one.
    :param reason: why it is excluded, waits, is asked about or refused; empty: nothing of that.
    :param due_at: when to look again; only when it waits.
    """

    outcome: Outcome
    status: OrderStatus
    reason: str = ""
    due_at: datetime | None = None


def effective(status: OrderStatus, edits: Mapping[str, str], rules: OrderRules) -> OrderStatus:
    """The state that counts."""
    is_paid = rules.placed_is_paid or edits.get(PAID_EDIT) == "yes"
    return OrderStatus.PAID if status is OrderStatus.PLACED and is_paid else status


def decide(
    order: KioskOrder,
    rules: OrderRules,
    *,
    edits: Mapping[str, str],
    captured: OrderStatus | None,
    now: datetime,
) -> Decision:
    """What is to be done with an order.

    :param edits: what people corrected, see :mod:`cogent_ops.domain.order_edits`.
    :param captured: the state up to which commercetools has the order; ``None``: it is not there.
    """
    status = effective(order.status, edits, rules)
    if captured is not None:
        return _decide_captured(status, captured, edits)
    row = STATES[status]
    if order.is_internal:
        return Decision(Outcome.EXCLUDE, status, EXCLUDED_INTERNAL)
    if row.outcome is not Outcome.WAIT:
        return Decision(row.outcome, status, row.reason)
    until = order.updated_at + timedelta(minutes=rules.grace_minutes)
    if now < until:
        return Decision(Outcome.WAIT, status, row.reason, until)
    return Decision(Outcome.ASK, status, ASKS_FOR_PAYMENT)


def _decide_captured(status: OrderStatus, captured: OrderStatus, edits: Mapping[str, str]) -> Decision:
    if status in FOLLOWS.get(captured, FOLLOWS.keys()):
        return Decision(Outcome.CHANGE, status)
    if status is not captured:
        return Decision(Outcome.REFUSE, captured, f"{status} cannot follow {captured}")
    is_told = status is OrderStatus.PARTIALLY_REFUNDED and any(name in edits for name in REFUND_EDITS)
    return Decision(Outcome.CHANGE if is_told else Outcome.SETTLED, status)


def tells(kiosk: OrderStatus, shop: OrderStatus | None) -> OrderStatus | None:
    """What Cloudshelf should be told of an order that changed in commercetools; ``None``: nothing.

    :param kiosk: the state that counts in Cloudshelf, see :func:`effective`.
    :param shop: the state that commercetools' order amounts to.
    """
    return shop if shop in FOLLOWS.get(kiosk, frozenset()) else None


def is_rejected(status: OrderStatus, edits: Mapping[str, str]) -> bool:
    """Whether a person's rejection counts: it does no more for a sale that was none when it was rejected."""
    rejected = edits.get(REJECTED)
    if rejected is None:
        return False
    return STATES[OrderStatus(rejected)].is_confirmed or not STATES[status].is_confirmed


def moves_stock(status: OrderStatus, edits: Mapping[str, str]) -> bool:
    """Whether an order may move stock at all: not once it was rejected, nor where another order took its units."""
    return edits.get(STOCK) != NO_STOCK and not is_rejected(status, edits)


def stock_effect(status: OrderStatus, rules: MovementRules) -> str:
    """What an order in this state does to stock, in words."""
    place, sold = Place("", ""), {Place("", ""): 1}
    first = desired_effects(status, sold, {}, rules).get(place, 0)
    later = desired_effects(status, sold, {place: -1}, rules).get(place, 0)
    if later == 0:
        return "what was taken is given back"
    if status in rules.deduct:
        return "the ordered units are taken"
    return "as before; the ordered units are taken if it is met first" if first else "as before"
