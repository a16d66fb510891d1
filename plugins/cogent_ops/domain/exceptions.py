"""Kinds of exception: what waits for a person, and who that person is.

An exception never disappears: a cause folds into one record with a count, and only a verified success (the
product passed the gate and Cloudshelf confirmed it) closes it.
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


class Owner(StrEnum):
    """Who must act."""

    RETAIL_OPS = "retail ops"
    ECOMMERCE = "ecommerce"
    MERCHANDISING = "merchandising"
    FINANCE = "finance"
    CUSTOMER_SERVICE = "customer service"
    PLATFORM = "data/platform"


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
    severity: str = "block"
    payload: Mapping[str, Any] = default(default_factory=dict)
    group: str = ""
    place: str = ""
    amount: int | None = None
    currency: str | None = None
