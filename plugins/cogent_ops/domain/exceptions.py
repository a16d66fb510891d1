"""Kinds of exception: what waits for a person, who that person is, and what may be done about it.

An exception never disappears: a cause folds into one record with a count, and only a verified success (the product
passed the gate and Cloudshelf confirmed it) closes it by itself. :data:`FOLLOWS` is its life.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as default
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What sort of trouble; the playbook has a card for each."""

    PRODUCT_HELD = "product_held"
    RECORD_REFUSED = "record_refused"
    MASS_REMOVAL = "mass_removal"
    LOCATION_INCOMPLETE = "location_incomplete"
    DEADLINE_MISSED = "deadline_missed"
    TASK_FAILED = "task_failed"
    UNKNOWN_IDENTIFIER = "unknown_identifier"
    BAD_MOVEMENT = "bad_movement"
    REFUND_QUANTITY = "refund_quantity"
    STOCK_REFUSED = "stock_refused"
    OVERSELL = "oversell"
    AVAILABILITY_REFUSED = "availability_refused"
    SAFETY_STOCK_BOUNDARY = "safety_stock_boundary"
    AMBIGUOUS_PAYMENT = "ambiguous_payment"
    ORDER_UNREADABLE = "order_unreadable"
    ORDER_LOCATION = "order_location"
    ORDER_CONTACT = "order_contact"
    ORDER_ARTICLE = "order_article"
    ORDER_LINE = "order_line"
    ORDER_MONEY = "order_money"
    ORDER_TAX = "order_tax"
    ORDER_REFUSED = "order_refused"
    ORDER_CONFLICT = "order_conflict"
    ORDER_STATE = "order_state"
    REFUND_AMOUNT = "refund_amount"
    STATUS_REFUSED = "status_refused"
    ALERT_UNDELIVERED = "alert_undelivered"
    DRIFT_STOCK = "drift_stock"
    DRIFT_CATALOGUE = "drift_catalogue"
    DRIFT_ORDERS = "drift_orders"
    DRIFT_MONEY = "drift_money"
    DRIFT_HEAL = "drift_heal"
    FLOW_STALLED = "flow_stalled"
    UNACCOUNTED = "unaccounted"
    STOCK_AT_RISK = "stock_at_risk"
    STORE_SILENT = "store_silent"
    CREDENTIAL = "credential"
    MESSAGES_OFF = "messages_off"
    SUBSCRIPTION_STOPPED = "subscription_stopped"
    MONITOR_SILENT = "monitor_silent"


class Owner(StrEnum):
    """Who must act."""

    RETAIL_OPS = "retail ops"
    ECOMMERCE = "ecommerce"
    MERCHANDISING = "merchandising"
    FINANCE = "finance"
    CUSTOMER_SERVICE = "customer service"
    PLATFORM = "data/platform"


class Status(StrEnum):
    """Where an exception stands. A person's ``expected`` and ``rejected`` outlive repeats."""

    NEW = "new"
    ACKNOWLEDGED = "acknowledged"
    IN_PROGRESS = "in_progress"
    FIXED = "fixed"
    EXPECTED = "expected"
    REJECTED = "rejected"


OPEN = (Status.NEW, Status.ACKNOWLEDGED, Status.IN_PROGRESS)
#: A person leaves it as it is, however often it is seen again.
DECIDED = (Status.EXPECTED, Status.REJECTED)
_CLOSED = frozenset({Status.FIXED, Status.EXPECTED, Status.REJECTED})

#: The life of an exception: what may follow what. A status may always be confirmed.
FOLLOWS: Mapping[Status, frozenset[Status]] = {
    Status.NEW: frozenset({Status.ACKNOWLEDGED, Status.IN_PROGRESS}) | _CLOSED,
    Status.ACKNOWLEDGED: frozenset({Status.IN_PROGRESS}) | _CLOSED,
    Status.IN_PROGRESS: frozenset({Status.ACKNOWLEDGED}) | _CLOSED,
    # By itself when the cause comes back, or by a person.
    Status.FIXED: frozenset({Status.NEW}),
    # Only by a person who takes the decision back; where causes recur, a check that sees the end of it closes it.
    Status.EXPECTED: frozenset({Status.NEW}),
    Status.REJECTED: frozenset({Status.NEW}),
}


def may_follow(before: Status, after: Status) -> bool:
    """Whether an exception may change from one status to the other."""
    return after is before or after in FOLLOWS[before]


class Action(StrEnum):
    """What a person may do about an exception."""

    ACKNOWLEDGE = "acknowledge"
    START = "start"
    HOLD = "hold"
    NOTE = "note"
    REOPEN = "reopen"
    EDIT = "edit"
    DRY_RUN = "dry_run"
    APPROVE = "approve"
    REPLAY = "replay"
    LINK = "link"
    REJECT = "reject"
    EXPECTED = "expected"
    FIXED = "fixed"


#: What is possible with every kind; all else its policy must allow.
ALWAYS = frozenset({Action.ACKNOWLEDGE, Action.START, Action.HOLD, Action.NOTE, Action.REOPEN})

#: The status that an action leads to; of the others nothing changes the status. What is approved or tried again is in
#: progress until its success is verified.
LEADS_TO: Mapping[Action, Status] = {
    Action.ACKNOWLEDGE: Status.ACKNOWLEDGED,
    Action.START: Status.IN_PROGRESS,
    Action.HOLD: Status.ACKNOWLEDGED,
    Action.REOPEN: Status.NEW,
    Action.EDIT: Status.IN_PROGRESS,
    Action.APPROVE: Status.IN_PROGRESS,
    Action.REPLAY: Status.IN_PROGRESS,
    Action.LINK: Status.FIXED,
    Action.REJECT: Status.REJECTED,
    Action.EXPECTED: Status.EXPECTED,
    Action.FIXED: Status.FIXED,
}


#: Kinds that keep an order from being captured: only what ends that for the order, too, may close them.
HELD_ORDERS = frozenset(
    {
        Kind.AMBIGUOUS_PAYMENT,
        Kind.ORDER_LOCATION,
        Kind.ORDER_CONTACT,
        Kind.ORDER_ARTICLE,
        Kind.ORDER_LINE,
        Kind.ORDER_MONEY,
        Kind.ORDER_TAX,
        Kind.ORDER_REFUSED,
        Kind.ORDER_CONFLICT,
    }
)
#: Kinds about an order that commercetools has already.
CAPTURED_ORDERS = frozenset({Kind.ORDER_STATE, Kind.REFUND_AMOUNT, Kind.STATUS_REFUSED})
#: Kinds whose cause is one order: :func:`order_of` says which.
ORDER_KINDS = HELD_ORDERS | CAPTURED_ORDERS

_ORDER_CAUSE = "order/"


def order_cause(order_id: str) -> str:
    """The cause key of what is wrong with one kiosk order.

    :param order_id: its id in Cloudshelf.
    """
    return _ORDER_CAUSE + order_id


def order_of(cause_key: str) -> str:
    """The id in Cloudshelf of the order that such a cause key names."""
    return cause_key.removeprefix(_ORDER_CAUSE)


def possible(kind: Kind) -> frozenset[Action]:
    """What can be carried out about a kind at all, besides taking note; which of it may be done, its policy says."""
    if kind in HELD_ORDERS:
        found = {Action.EDIT, Action.DRY_RUN, Action.REPLAY, Action.LINK, Action.REJECT}
        return frozenset(found | ({Action.APPROVE} if kind is Kind.AMBIGUOUS_PAYMENT else set()))
    if kind in CAPTURED_ORDERS:
        return frozenset({Action.EDIT, Action.DRY_RUN, Action.REPLAY, Action.EXPECTED, Action.FIXED})
    if kind is Kind.STOCK_REFUSED:
        return frozenset({Action.REPLAY})
    return frozenset({Action.REJECT, Action.EXPECTED, Action.FIXED})


@dataclass(frozen=True)
class NewException:
    """Something that must not be lost.

    :param cause_key: equal for equal causes, so that repeats fold into one record.
    :param record: what it is about, as a person names it (SKU, product key, channel).
    :param owner: who must act; where ``include/exceptions.yaml`` names an owner for the kind, that one counts.
    :param payload: what a replay or an investigation needs; no personal data.
    :param group: equal for exceptions that one deed would cure, so that people hear of it once and decide once.
        Empty: the cause stands alone.
    :param place: the store, as people name it; empty: none.
    :param amount: money at risk in minor units of ``currency``.
    """

    kind: Kind
    cause_key: str
    record: str
    field: str
    rule: str
    message: str
    cure: str
    owner: Owner
    payload: Mapping[str, Any] = default(default_factory=dict)
    group: str = ""
    place: str = ""
    amount: int | None = None
    currency: str | None = None
