"""What is to be done with an order, by its state, what became of it so far, what people said and when it was sold."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from cogent_ops.domain.order_edits import PAID_EDIT
from cogent_ops.domain.order_states import FOLLOWS, STATES, Decision, Outcome, decide, effective, is_rejected
from cogent_ops.domain.orders import KioskOrder
from cogent_ops.domain.rules import OrderRules, OrderStatus
from cogent_ops.store.orders import WANTED, Capture, CaptureState, Origin

BEFORE_START = "sold before the start"


def judge(
    order: KioskOrder,
    capture: Capture | None,
    rules: OrderRules,
    *,
    start: datetime | None,
    now: datetime,
) -> Decision:
    """What is to be done with an order.

    :param capture: what became of it so far; ``None``: it is new.
    :param start: what was sold before is none of ours; ``None``: all of it is.
    """
    edits = capture.edits if capture else {}
    if capture is not None and capture.state is CaptureState.CAPTURED:
        return _judge_captured(order, capture, rules, now)
    decision = decide(order, rules, edits=edits, captured=None, now=now)
    if decision.outcome is Outcome.EXCLUDE:
        return decision
    if capture is not None and is_rejected(decision.status, edits):
        return replace(decision, outcome=Outcome.EXCLUDE, reason=capture.reason or "", due_at=None)
    is_wanted = WANTED in edits or edits.get(PAID_EDIT) == "yes"
    if start is not None and order.created_at < start and not is_wanted:
        sold = (capture.confirmed_at if capture else None) or sold_at(order, rules)
        if sold is None or sold < start:
            return Decision(Outcome.EXCLUDE, decision.status, BEFORE_START)
    return decision


def sold_at(order: KioskOrder, rules: OrderRules) -> datetime | None:
    """When an order became a sale, as far as its present state tells; ``None``: it is none.

    Of one that is refunded already only the day it was made is known.
    """
    status = effective(order.status, {}, rules)
    if status is OrderStatus.PAID:
        return order.updated_at
    return order.created_at if STATES[status].is_confirmed else None


def _judge_captured(order: KioskOrder, capture: Capture, rules: OrderRules, now: datetime) -> Decision:
    captured = OrderStatus(capture.captured_status) if capture.captured_status else OrderStatus.PAID
    told = OrderStatus(capture.told_status) if capture.told_status else None
    if capture.origin is Origin.SHOP:
        # The shop's own order follows the shop.
        return Decision(Outcome.SETTLED, order.status)
    # What we tell Cloudshelf becomes what was captured as soon as it is known to be told.
    if told in FOLLOWS.get(captured, FOLLOWS.keys()):
        if order.status is told:
            return Decision(Outcome.SETTLED, told)
        if told in FOLLOWS.get(order.status, frozenset()):
            # This was read before it was told.
            return Decision(Outcome.SETTLED, captured)
    return decide(order, rules, edits=capture.edits, captured=captured, now=now)
