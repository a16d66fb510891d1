"""The payment of a kiosk order: what it must look like, and what moved on it so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cogent_ops.domain.commercetools import timestamp
from cogent_ops.domain.money import Money
from cogent_ops.domain.order_draft import Draft
from cogent_ops.domain.orders import KioskOrder

Json = dict[str, Any]
Raw = Mapping[str, Any]

_INTERFACE = "Cloudshelf"
#: Types of transactions that take money back from the retailer.
_BACK = ("Refund", "Chargeback")
_OPEN = ("Initial", "Pending")


def payment_draft(draft: Draft, order: KioskOrder) -> Json | None:
    """``PaymentDraft`` of an order that was paid, with its number as key; ``None``: there was nothing to pay."""
    if not draft.gross.cents:
        return None
    method = order.session.payment_method
    return {
        "key": draft.number,
        "amountPlanned": draft.gross.api(),
        "paymentMethodInfo": {"paymentInterface": _INTERFACE, **({"method": method} if method else {})},
        "transactions": [charge(draft.gross, order)],
    }


def charge(amount: Money, order: KioskOrder) -> Json:
    """The transaction of what the customer paid."""
    return {
        "type": "Charge",
        "state": "Success",
        "amount": amount.api(),
        "timestamp": timestamp(order.paid_at),
        "interactionId": order.session.payment_attempt or order.ulid,
    }


def payment_fits(payment: Raw, draft: Draft) -> bool:
    """Whether a payment is over what a draft comes to; it is not where the order was corrected between two tries."""
    return Money.of(payment["amountPlanned"]) == draft.gross


@dataclass(frozen=True)
class Balance:
    """What moved on a payment.

    :param planned: what it is over.
    :param is_charged: whether there is a charge that did not fail.
    :param charged: what the customer has paid.
    :param refunded: what went back.
    :param owed: what is to go back, but has not yet.
    """

    planned: Money
    is_charged: bool
    charged: Money
    refunded: Money
    owed: Money

    @classmethod
    def of(cls, payment: Raw) -> Balance:
        """From a payment as read."""
        planned = Money.of(payment["amountPlanned"])
        transactions = payment.get("transactions") or ()
        charges = [one for one in transactions if one["type"] == "Charge" and one["state"] != "Failure"]
        back = [one for one in transactions if one["type"] in _BACK]
        return cls(
            planned,
            bool(charges),
            _sum((one for one in charges if one["state"] == "Success"), planned),
            _sum((one for one in back if one["state"] == "Success"), planned),
            _sum((one for one in back if one["state"] in _OPEN), planned),
        )


def _sum(transactions: Iterable[Raw], like: Money) -> Money:
    cents = sum(int(one["amount"]["centAmount"]) for one in transactions)
    return Money(like.currency, cents)
