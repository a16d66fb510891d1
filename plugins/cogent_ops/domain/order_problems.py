"""What keeps a kiosk order from commercetools, in words for the person who can mend it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cogent_ops.domain.exceptions import Kind, NewException, Owner, order_cause
from cogent_ops.domain.money import Money
from cogent_ops.domain.order_states import Decision, Outcome
from cogent_ops.domain.orders import KioskOrder

_OWNERS = {
    Kind.AMBIGUOUS_PAYMENT: Owner.CUSTOMER_SERVICE,
    Kind.ORDER_LOCATION: Owner.RETAIL_OPS,
    Kind.ORDER_CONTACT: Owner.CUSTOMER_SERVICE,
    Kind.ORDER_ARTICLE: Owner.ECOMMERCE,
    Kind.ORDER_LINE: Owner.RETAIL_OPS,
    Kind.ORDER_MONEY: Owner.FINANCE,
    Kind.ORDER_TAX: Owner.FINANCE,
    Kind.ORDER_REFUSED: Owner.PLATFORM,
    Kind.ORDER_CONFLICT: Owner.CUSTOMER_SERVICE,
    Kind.ORDER_STATE: Owner.CUSTOMER_SERVICE,
    Kind.REFUND_AMOUNT: Owner.FINANCE,
}


@dataclass(frozen=True)
class Problem:
    """Something that a person must mend.

    :param field: of the kiosk order, as Cloudshelf calls it; lines count from 1.
    :param message: a sentence, without the order's name and without anything about the customer.
    :param group: equal for problems of several orders that one deed would cure; empty: the order stands alone.
    """

    kind: Kind
    field: str
    rule: str
    message: str
    cure: str
    group: str = ""


def exceptions_of(
    order: KioskOrder,
    problems: Iterable[Problem],
    *,
    number: str,
    place: str = "",
    amount: Money | None = None,
) -> list[NewException]:
    """The exceptions to raise, one of each kind: its first problem names field, rule and cure, the message all.

    :param number: the orderNumber in commercetools.
    :param place: the store, as people name it.
    :param amount: what the customer paid, as far as it is known.
    """
    kinds: dict[Kind, list[Problem]] = {}
    for one in problems:
        kinds.setdefault(one.kind, []).append(one)
    return [_exception(order, kind, found, number, place, amount) for kind, found in kinds.items()]


def _exception(
    order: KioskOrder, kind: Kind, problems: list[Problem], number: str, place: str, amount: Money | None
) -> NewException:
    first = problems[0]
    groups = {one.group for one in problems}
    named = [{"field": one.field, "rule": one.rule} for one in problems]
    return NewException(
        kind=kind,
        cause_key=order_cause(order.id),
        record=number,
        field=first.field,
        rule=first.rule,
        message=f"Order {number}{f', {place}' if place else ''}: {' '.join(one.message for one in problems)}",
        cure=" ".join(dict.fromkeys(one.cure for one in problems)),
        owner=_OWNERS[kind],
        payload={"order": order.id, "problems": named},
        group=groups.pop() if len(groups) == 1 else "",
        place=place,
        amount=None if amount is None else amount.cents,
        currency=None if amount is None else amount.currency,
    )


def state_problem(order: KioskOrder, decision: Decision) -> Problem:
    """What a person is asked where the order's state leaves the decision to them.

    :param decision: to ask, or to refuse.
    """
    if decision.outcome is Outcome.ASK:
        return Problem(
            Kind.AMBIGUOUS_PAYMENT,
            "status",
            "somebody knows whether it was paid",
            f"It was placed at {order.updated_at:%Y-%m-%d %H:%M} UTC, and Cloudshelf still does not say whether it was "
            "paid.",
            "Ask the store or the payment provider. Paid: approve it. Not paid: reject it with the reason. It goes on "
            "by itself when Cloudshelf says PAID or VOIDED.",
        )
    return Problem(
        Kind.ORDER_STATE,
        "status",
        "may follow the state it had",
        f"Cloudshelf says {order.status}, but commercetools has the order as {decision.status}: {decision.reason}.",
        "Nothing was changed. Find out what happened in the store and change the order in commercetools by hand where "
        "that is needed; then close this.",
    )
