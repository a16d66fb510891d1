"""What must still happen to an order in commercetools so that it is as its state in Cloudshelf says, and the way back.

:func:`changes` compares and gives update actions; it gives none when nothing is left to do, so applying it twice does
nothing twice. Money and goods are compared by their sums: what people refunded in commercetools themselves counts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cogent_ops.domain.commercetools import timestamp
from cogent_ops.domain.custom_types import ORDER_ID
from cogent_ops.domain.exceptions import Kind
from cogent_ops.domain.money import Money, show
from cogent_ops.domain.order_draft import GOODS, Draft
from cogent_ops.domain.order_edits import refund_lines_of, refund_of
from cogent_ops.domain.order_payment import Balance, charge
from cogent_ops.domain.order_problems import Problem
from cogent_ops.domain.order_states import ON_THEIR_WAY, STATES, Amount, Returned, StateRow, Step
from cogent_ops.domain.orders import KioskOrder
from cogent_ops.domain.rules import OrderStatus

Json = dict[str, Any]
Raw = Mapping[str, Any]

_GOODS_KEY = re.compile(rf"{GOODS}(\d+)")
#: Ends the interactionId of refunds that are owed since an order was voided.
_VOID, _REFUND = "void", "refund"


@dataclass(frozen=True)
class Changes:
    """Update actions for the order and for its payment.

    :param problem: what a person must say before all of it can be done.
    """

    order_actions: tuple[Json, ...] = ()
    payment_actions: tuple[Json, ...] = ()
    problem: Problem | None = None

    def __bool__(self) -> bool:
        """Whether there is anything to send."""
        return bool(self.order_actions or self.payment_actions)


def changes(
    order: KioskOrder,
    status: OrderStatus,
    ct_order: Raw,
    payment: Raw | None,
    edits: Mapping[str, str],
    *,
    number: str,
) -> Changes:
    """What is left to do until commercetools' order is in a state.

    :param status: the state that counts; a confirmed one, or VOIDED.
    :param ct_order: the order as read.
    :param payment: its payment as read; ``None``: it has none.
    :param edits: what people corrected; a partial refund needs their word on how much.
    :param number: the orderNumber, from which the ids of what is added are made.
    """
    row = STATES[status]
    problem = None if payment is None else _refund_problem(row, Balance.of(payment), edits)
    return Changes(
        (
            *_attach(ct_order, payment),
            *_states(row, ct_order),
            *_returns(row, order, ct_order, edits, number),
        ),
        () if payment is None else tuple(_transactions(row, order, payment, edits, number)),
        problem,
    )


# Money


def _transactions(
    row: StateRow, order: KioskOrder, payment: Raw, edits: Mapping[str, str], number: str
) -> Iterator[Json]:
    balance = Balance.of(payment)
    charged = balance.charged
    if not balance.is_charged:
        charged = balance.planned
        yield {"action": "addTransaction", "transaction": charge(charged, order)}
    for step in row.steps:
        if step.type != "Refund":
            continue
        settled, covered = _settle(step, payment, charged, balance.refunded + balance.owed, number)
        yield from settled
        left = _target(step, charged, balance, edits) - covered
        if left.cents > 0:
            yield {"action": "addTransaction", "transaction": _refund(step, left, order, number)}


def _target(step: Step, charged: Money, balance: Balance, edits: Mapping[str, str]) -> Money:
    """What should have gone back, or be owed, in all."""
    if step.amount is Amount.LEFT:
        return charged
    named = refund_of(edits, charged.currency)
    return balance.refunded if named is None or named.cents > charged.cents else named


def _refund(step: Step, amount: Money, order: KioskOrder, number: str) -> Json:
    return {
        "type": step.type,
        "state": step.state,
        "amount": amount.api(),
        "timestamp": timestamp(order.updated_at),
        "interactionId": _interaction(number, _VOID if step.state == "Pending" else _REFUND),
    }


def _interaction(number: str, what: str) -> str:
    return f"{number}-{what}"


def _settle(
    step: Step, payment: Raw, charged: Money, covered: Money, number: str
) -> tuple[list[Json], Money]:
    """What becomes of a refund that was noted as owed when the order was voided; those of others are theirs to move.

    :param covered: what went back or is owed.
    :return: the actions, and what is covered after them.
    """
    found: list[Json] = []
    for one in payment.get("transactions") or ():
        is_ours = one.get("interactionId") == _interaction(number, _VOID) and one["state"] == "Pending"
        if not is_ours or step.amount is not Amount.LEFT:
            continue
        state = step.state
        if covered.cents > charged.cents:
            # Whoever paid it out noted that as a transaction of its own.
            state, covered = "Failure", covered - Money.of(one["amount"])
        if state != one["state"]:
            found.append({"action": "changeTransactionState", "transactionId": one["id"], "state": state})
    return found, covered


def _refund_problem(row: StateRow, balance: Balance, edits: Mapping[str, str]) -> Problem | None:
    """What a person must say about a partial refund, whose amount Cloudshelf does not carry."""
    if row.returned is not Returned.NAMED:
        return None
    charged = balance.charged if balance.is_charged else balance.planned
    named = refund_of(edits, charged.currency)
    if named is None and balance.refunded.cents + balance.owed.cents == 0:
        message = (
            f"It is partially refunded, and Cloudshelf does not say how much of {show(charged)} went back."
        )
    elif named is not None and named.cents > charged.cents:
        message = f"{show(named)} cannot have been refunded: the customer paid {show(charged)}."
    else:
        return None
    return Problem(
        Kind.REFUND_AMOUNT,
        "status",
        "somebody says how much was refunded",
        message,
        "Ask the store or the payment provider, and edit refund_amount: what was refunded so far, in all; if goods "
        "came back, refund_lines: e.g. 1:2, 3 (two of line 1, all of line 3). Then try again.",
    )


# The order


def _attach(ct_order: Raw, payment: Raw | None) -> Iterator[Json]:
    known = {one["id"] for one in (ct_order.get("paymentInfo") or {}).get("payments", ())}
    if payment is not None and payment["id"] not in known:
        yield {"action": "addPayment", "payment": {"typeId": "payment", "id": payment["id"]}}


def _states(row: StateRow, ct_order: Raw) -> Iterator[Json]:
    state = ct_order.get("orderState")
    if row.order_state not in (None, state) and state not in row.unless:
        yield {"action": "changeOrderState", "orderState": row.order_state}
    shipment = ct_order.get("shipmentState")
    # Who uses no states of shipments gets none.
    if shipment is not None and row.shipment_state not in (None, shipment) and shipment not in ON_THEIR_WAY:
        yield {"action": "changeShipmentState", "shipmentState": row.shipment_state}


@dataclass(frozen=True)
class _Goods:
    """A line of commercetools' order that can come back.

    :param field: in which a return names it.
    :param number: of the kiosk order's line; ``None``: it is not known.
    """

    id: str
    field: str
    place: int
    number: int | None
    quantity: int


def _goods(ct_order: Raw) -> Iterator[_Goods]:
    items = [("lineItemId", line) for line in ct_order.get("lineItems") or ()]
    custom = [("customLineItemId", line) for line in ct_order.get("customLineItems") or ()]
    for place, (field, line) in enumerate((*items, *custom), start=1):
        match = _GOODS_KEY.fullmatch(line.get("key") or "")
        if match or field == "lineItemId":
            number = int(match[1]) if match else None
            yield _Goods(line["id"], field, place, number, int(line["quantity"]))


def _return_items(ct_order: Raw) -> list[Raw]:
    return [item for info in ct_order.get("returnInfo") or () for item in info["items"]]


def _returned(ct_order: Raw) -> Counter[str]:
    """Units that came back, by line."""
    found: Counter[str] = Counter()
    for item in _return_items(ct_order):
        found[item.get("lineItemId") or item["customLineItemId"]] += int(item["quantity"])
    return found


def _returns(
    row: StateRow, order: KioskOrder, ct_order: Raw, edits: Mapping[str, str], number: str
) -> Iterator[Json]:
    if row.returned is Returned.NONE:
        return
    wanted = refund_lines_of(edits)
    done = _returned(ct_order)
    items: list[Json] = []
    for goods in _goods(ct_order):
        target = goods.quantity if row.returned is Returned.ALL else _named(goods, wanted)
        units = min(target, goods.quantity) - done[goods.id]
        if units > 0:
            key = f"{number}-{goods.place}-{done[goods.id]}"
            item = {"key": key, "quantity": units, goods.field: goods.id, "shipmentState": "Returned"}
            items.append(item)
    if items:
        yield {"action": "addReturnInfo", "items": items, "returnDate": timestamp(order.updated_at)}
    settled = [{"returnItemKey": item["key"]} for item in items]
    if row.returned is Returned.ALL:
        settled += [
            {"returnItemId": item["id"]}
            for item in _return_items(ct_order)
            if item["paymentState"] == "Initial"
        ]
    for item in settled:
        yield {"action": "setReturnPaymentState", **item, "paymentState": "Refunded"}


def _named(goods: _Goods, wanted: Mapping[int, int | None]) -> int:
    if goods.number is None or goods.number not in wanted:
        return 0
    units = wanted[goods.number]
    return goods.quantity if units is None else units


# The way back


def shop_status(ct_order: Raw, payment: Raw | None) -> OrderStatus | None:
    """What an order in commercetools amounts to in Cloudshelf's words; ``None``: it was not paid."""
    is_cancelled = ct_order.get("orderState") == "Cancelled"
    if payment is None:
        charged = refunded = 0
    else:
        balance = Balance.of(payment)
        charged, refunded = balance.charged.cents, balance.refunded.cents
    if charged and refunded >= charged:
        return OrderStatus.REFUNDED
    # Where nothing was paid, all the goods that came back tell a refund from a cancellation.
    if is_cancelled:
        done = _returned(ct_order)
        is_back = not charged and all(done[one.id] >= one.quantity for one in _goods(ct_order))
        return OrderStatus.REFUNDED if is_back else OrderStatus.VOIDED
    if refunded:
        return OrderStatus.PARTIALLY_REFUNDED
    return OrderStatus.PAID if charged or ct_order.get("paymentState") == "Paid" else None


def source_of(ct_order: Raw) -> str | None:
    """The kiosk order that an order says it is; ``None``: it says nothing."""
    found: str | None = ((ct_order.get("custom") or {}).get("fields") or {}).get(ORDER_ID)
    return found


def not_ours(ct_order: Raw, order_id: str, draft: Draft) -> str | None:
    """Why an order with our number is not provably the one that we sent; ``None``: it is.

    :param order_id: the kiosk order's.
    """
    origin = source_of(ct_order)
    if origin != order_id:
        named = f"the kiosk order '{origin}'" if origin else "no kiosk order"
        return f"its field {ORDER_ID} names {named}"
    found = Money.of(ct_order["totalPrice"])
    if found != draft.total:
        return f"it comes to {show(found)}, the kiosk order to {show(draft.total)}"
    if _lines_of(ct_order) != Counter(
        (line.sku, line.quantity, line.price.currency, line.price.cents) for line in draft.lines
    ):
        return "its lines differ from the kiosk order's"
    return None


def _lines_of(ct_order: Raw) -> Counter[tuple[str | None, int, str, int]]:
    items = [
        (line["variant"].get("sku"), line["quantity"], line["price"]["value"])
        for line in ct_order.get("lineItems") or ()
    ]
    items += [(None, line["quantity"], line["money"]) for line in ct_order.get("customLineItems") or ()]
    return Counter((sku, int(quantity), *_pair(price)) for sku, quantity, price in items)


def _pair(price: Raw) -> tuple[str, int]:
    amount = Money.of(price)
    return amount.currency, amount.cents
