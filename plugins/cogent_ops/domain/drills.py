"""Drills: the alert of a kind, raised on purpose, so that people can practise while nothing is wrong.

A drill is an exception like any other, with the kind's owner, deadline, channel and escalation, so that what is tried
is the real way. Its cause key alone marks it in the store (:func:`is_drill`), and ``DRILL`` marks it wherever people
read. No flow looks at it, nobody is asked about it, and it is counted nowhere but as a drill.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_hex

from cogent_ops.domain.exceptions import Action, Kind, NewException, Owner

#: How a drill is called wherever people read of it.
MARK = "DRILL"
#: What may be done about a drill: what tells that somebody has seen it, and that they are done with it.
DEEDS = frozenset({Action.ACKNOWLEDGE, Action.START, Action.NOTE, Action.HOLD, Action.FIXED})
NOTICE = "This is a drill: nothing is wrong, and no customer, order or unit is affected."
CURE = (
    f"{NOTICE} Take note of it in the inbox or on the command line, say what you would look at first, and close it as "
    "fixed, with a note."
)
#: The cause keys of drills for SQL's LIKE, in which ``_`` is one character. Cause keys are made of SKUs, too, so the
#: first word alone would take a retailer's drill for one of ours.
LIKE = "drill/________T______-________"
_KEY = re.compile(r"drill/[0-9]{8}T[0-9]{6}-[0-9a-f]{8}")


def is_drill(cause_key: str) -> bool:
    """Whether an exception with this cause key, or a message with this cause group, is a drill."""
    return _KEY.fullmatch(cause_key) is not None


def drill_cause(moment: datetime) -> str:
    """A cause key that no other drill has.

    :param moment: when the drill begins.
    """
    return f"drill/{moment.astimezone(UTC):%Y%m%dT%H%M%S}-{token_hex(4)}"


@dataclass(frozen=True)
class Sample:
    """What a drill of a kind says.

    :param record: what it would be about.
    :param message: what would be wrong with that, a sentence that goes on after the record.
    :param owner: who must act where the policy leaves it to the finding.
    """

    record: str
    message: str
    owner: Owner = Owner.PLATFORM


_ORDER, _STOCK = "order CS-01DRILL", "DRILL-1@store-drill"

SAMPLES: Mapping[Kind, Sample] = {
    Kind.PRODUCT_HELD: Sample(
        "SKU DRILL-1", "the GTIN's check digit is wrong, so kiosks do not get it.", Owner.MERCHANDISING
    ),
    Kind.RECORD_REFUSED: Sample("product DRILL-1", "Cloudshelf refused it: VALIDATION_ERROR."),
    Kind.MASS_REMOVAL: Sample(
        "120 of 800 products",
        "they are no longer published in commercetools. Nothing was removed.",
        Owner.MERCHANDISING,
    ),
    Kind.LOCATION_INCOMPLETE: Sample(
        "store store-drill", "its supply Channel has no address.", Owner.RETAIL_OPS
    ),
    Kind.DEADLINE_MISSED: Sample(
        "run drill of stock_deltas", "it has not finished 10 minutes after it was queued."
    ),
    Kind.TASK_FAILED: Sample("stock_deltas.drain", "its run failed after all retries."),
    Kind.UNKNOWN_IDENTIFIER: Sample(
        "SKU DRILL-1", "stock moved for it, but no product of commercetools carries it.", Owner.ECOMMERCE
    ),
    Kind.BAD_MOVEMENT: Sample("file drill.csv, line 7", "its quantity is no whole number.", Owner.RETAIL_OPS),
    Kind.REFUND_QUANTITY: Sample(
        _ORDER,
        "it is partially refunded, and Cloudshelf does not say which units came back.",
        Owner.CUSTOMER_SERVICE,
    ),
    Kind.STOCK_REFUSED: Sample(_STOCK, "commercetools does not take a change of its quantity."),
    Kind.OVERSELL: Sample(_STOCK, "-2 available after the last change.", Owner.CUSTOMER_SERVICE),
    Kind.AVAILABILITY_REFUSED: Sample(_STOCK, "Cloudshelf refused its stock level: NOT_FOUND."),
    Kind.SAFETY_STOCK_BOUNDARY: Sample("safetyStockNumber", "Cloudshelf takes a quantity of 0 for in stock."),
    Kind.AMBIGUOUS_PAYMENT: Sample(
        _ORDER, "Cloudshelf does not say whether it was paid.", Owner.CUSTOMER_SERVICE
    ),
    Kind.ORDER_UNREADABLE: Sample(_ORDER, "its lines cannot be read."),
    Kind.ORDER_LOCATION: Sample(_ORDER, "its kiosk stands at no known store.", Owner.RETAIL_OPS),
    Kind.ORDER_CONTACT: Sample(_ORDER, "nobody knows the customer's e-mail address.", Owner.CUSTOMER_SERVICE),
    Kind.ORDER_ARTICLE: Sample(
        _ORDER, "line 1 sells DRILL-1, which is not in commercetools.", Owner.ECOMMERCE
    ),
    Kind.ORDER_LINE: Sample(_ORDER, "line 1 sells 0 units.", Owner.RETAIL_OPS),
    Kind.ORDER_MONEY: Sample(_ORDER, "its lines do not add up to its total.", Owner.FINANCE),
    Kind.ORDER_TAX: Sample(_ORDER, "there is no tax rate for its country.", Owner.FINANCE),
    Kind.ORDER_REFUSED: Sample(_ORDER, "commercetools refuses it: InvalidInput."),
    Kind.ORDER_CONFLICT: Sample(
        _ORDER, "another order in commercetools has its number.", Owner.CUSTOMER_SERVICE
    ),
    Kind.ORDER_STATE: Sample(
        _ORDER, "Cloudshelf says PLACED, but commercetools has it as PAID.", Owner.CUSTOMER_SERVICE
    ),
    Kind.REFUND_AMOUNT: Sample(
        _ORDER, "it is partially refunded, and nobody knows the amount.", Owner.FINANCE
    ),
    Kind.STATUS_REFUSED: Sample(_ORDER, "Cloudshelf does not take that it was captured: NOT_FOUND."),
    Kind.ALERT_UNDELIVERED: Sample("channel drill", "messages cannot be delivered over its connection."),
    Kind.DRIFT_STOCK: Sample(
        "3 × changed by hand", "3 differences of 7 units between the two systems.", Owner.RETAIL_OPS
    ),
    Kind.DRIFT_CATALOGUE: Sample(
        "2 × another price", "kiosks show 2 products with another price.", Owner.MERCHANDISING
    ),
    Kind.DRIFT_ORDERS: Sample("1 × missing order", "one kiosk order is not in commercetools.", Owner.FINANCE),
    Kind.DRIFT_MONEY: Sample("takings of one day", "both systems name different sums.", Owner.FINANCE),
    Kind.DRIFT_HEAL: Sample(
        "5 quantities", "5 differences of 12 units wait for your yes or no.", Owner.RETAIL_OPS
    ),
    Kind.FLOW_STALLED: Sample("stock", "what waits longest has waited for 12 minutes; the target is 1."),
    Kind.UNACCOUNTED: Sample("units of store-drill", "1 unit is neither done nor waiting nor excluded."),
    Kind.STOCK_AT_RISK: Sample(_STOCK, "4 units may be sold twice, because stock is late.", Owner.ECOMMERCE),
    Kind.STORE_SILENT: Sample(
        "store store-drill", "nothing has come since 09:40; 8 orders would be usual.", Owner.RETAIL_OPS
    ),
    Kind.CREDENTIAL: Sample("connection cloudshelf_drill", "its key ends in 5 days."),
    Kind.MESSAGES_OFF: Sample("project drill", "commercetools keeps no Messages any more."),
    Kind.SUBSCRIPTION_STOPPED: Sample("Subscription drill", "it has delivered nothing since 09:40."),
    Kind.MONITOR_SILENT: Sample("sync_health", "no check has ended for 20 minutes."),
}


def drill(kind: Kind, cause_key: str, owner: Owner | None = None) -> NewException:
    """The exception that a drill raises.

    :param cause_key: see :func:`drill_cause`.
    :param owner: who shall practise, where the policy leaves open who must act; ``None``: the usual one.
    """
    sample = SAMPLES[kind]
    record = f"{MARK} {sample.record}"
    return NewException(
        kind=kind,
        cause_key=cause_key,
        record=record,
        field="",
        rule="drill",
        message=f"{record}: {sample.message}",
        cure=CURE,
        owner=owner or sample.owner,
    )
