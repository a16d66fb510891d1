"""What is left to do to an order: nothing twice, right sums whatever people did meanwhile, and the way back.

The simulated project carries the actions out as the API does, so what is compared is what would stand there.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.kiosk_orders import context, drafted, line, paid, shipping

from cogent_ops.domain.custom_types import ORDER, declared
from cogent_ops.domain.exceptions import Kind
from cogent_ops.domain.order_changes import Changes, changes, not_ours, shop_status
from cogent_ops.domain.order_draft import Draft, DraftContext
from cogent_ops.domain.order_payment import payment_draft
from cogent_ops.domain.order_states import FOLLOWS
from cogent_ops.domain.orders import KioskOrder
from cogent_ops.domain.rules import OrderStatus
from cogent_ops.sandbox import actions, orders
from cogent_ops.sandbox.collection import Clock
from cogent_ops.sandbox.dataset import all_variants
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.state import Behaviour, CommercetoolsState

Json = dict[str, Any]
PAID, PARTLY, VOIDED, REFUNDED = (
    OrderStatus.PAID,
    OrderStatus.PARTIALLY_REFUNDED,
    OrderStatus.VOIDED,
    OrderStatus.REFUNDED,
)


@cache
def dataset() -> Any:
    return generate(seed=3, products=2, now=datetime(2026, 11, 20, tzinfo=UTC))


class Project:
    """A simulated project with one captured order: two of one article, one of another, and shipping.

    :param is_gift: whether all of it is free.
    """

    def __init__(self, *, is_gift: bool = False) -> None:
        self.state = CommercetoolsState(dataset(), Clock(), Behaviour())
        kind = next(one for one in declared() if one.resource == ORDER)
        actions.create_type(self.state, kind.draft())
        a, b = [one["sku"] for product in dataset().products for one in all_variants(product)][:2]
        self.order = paid(line(a, 2, price=10), line(b, 1, price=5), shipping(4.9))
        free = {f"price.{n}": "0" for n in (1, 2, 3)} if is_gift else {}
        self.context: DraftContext = context(a, b, channel="store-berlin", store="store-berlin", edits=free)
        self.draft: Draft = drafted(self.order, self.context)
        payment = payment_draft(self.draft, self.order)
        self.payment_id: str | None = None
        if payment is not None:
            self.payment_id = actions.create_payment(self.state, payment)["id"]
        self.order_id = orders.import_order(self.state, self.body())["id"]

    def body(self) -> Json:
        if self.payment_id is None:
            return self.draft.body
        payments = {"payments": [{"typeId": "payment", "id": self.payment_id}]}
        return {**self.draft.body, "paymentInfo": payments}

    @property
    def ct_order(self) -> Json:
        return self.state["orders"].get(self.order_id) or {}

    @property
    def payment(self) -> Json | None:
        return self.state["payments"].get(self.payment_id) if self.payment_id else None

    def left(self, status: OrderStatus, **edits: str) -> Changes:
        order = replace(self.order, status=status)
        return changes(order, status, self.ct_order, self.payment, edits, number=self.draft.number)

    def apply(self, status: OrderStatus, **edits: str) -> Changes:
        """Bring the order to a state, as the capture does."""
        found = self.left(status, **edits)
        self.update(*found.order_actions)
        self.pay(*found.payment_actions)
        return found

    def update(self, *wanted: Json) -> None:
        """Change the order, as the capture or anybody else does."""
        if wanted:
            body = {"version": self.ct_order["version"], "actions": list(wanted)}
            orders.update_order(self.state, self.ct_order, body)

    def pay(self, *wanted: Json) -> None:
        if wanted and self.payment is not None:
            body = {"version": self.payment["version"], "actions": list(wanted)}
            actions.update_payment(self.state, self.payment, body)

    def refund(self, cents: int, state: str = "Success") -> None:
        """Somebody refunds in commercetools, or through a payment provider."""
        amount = {"currencyCode": "EUR", "centAmount": cents}
        self.pay(
            {"action": "addTransaction", "transaction": {"type": "Refund", "state": state, "amount": amount}}
        )

    def moved(self, kind: str, state: str = "Success") -> int:
        found = [
            one
            for one in (self.payment or {"transactions": []})["transactions"]
            if (one["type"], one["state"]) == (kind, state)
        ]
        return sum(one["amount"]["centAmount"] for one in found)

    def back(self) -> int:
        """What went back, or will."""
        return self.moved("Refund") + self.moved("Refund", "Pending")

    def returned(self) -> dict[str, int]:
        """Units that came back, by key of the line."""
        keys = {one["id"]: one["key"] for one in self.ct_order["lineItems"]}
        found: dict[str, int] = {}
        for info in self.ct_order["returnInfo"]:
            for item in info["items"]:
                key = keys[item["lineItemId"]]
                found[key] = found.get(key, 0) + item["quantity"]
        return found


TOTAL = 2990


def test_a_captured_order_needs_nothing_more() -> None:
    project = Project()
    assert not project.left(PAID)
    assert project.left(PAID).problem is None
    assert (project.moved("Charge"), project.ct_order["orderState"]) == (TOTAL, "Confirmed")


def test_a_refund_pays_back_takes_back_and_cancels() -> None:
    project = Project()
    project.apply(REFUNDED)
    order = project.ct_order
    assert (order["orderState"], order["shipmentState"], order["paymentState"]) == (
        "Cancelled",
        "Canceled",
        "Paid",
    )
    assert (project.moved("Refund"), project.returned()) == (TOTAL, {"l1": 2, "l2": 1})
    states = {(item["shipmentState"], item["paymentState"]) for item in order["returnInfo"][0]["items"]}
    assert states == {("Returned", "Refunded")}


def test_a_void_owes_the_money_and_says_not_that_it_moved() -> None:
    project = Project()
    project.apply(VOIDED)
    assert (project.ct_order["orderState"], project.ct_order["shipmentState"]) == ("Cancelled", "Canceled")
    assert (project.moved("Refund"), project.moved("Refund", "Pending"), project.returned()) == (0, TOTAL, {})


def test_a_void_that_is_paid_out_becomes_the_refund() -> None:
    project = Project()
    project.apply(VOIDED)
    project.apply(REFUNDED)
    assert (project.moved("Refund"), project.moved("Refund", "Pending")) == (TOTAL, 0)
    assert project.returned() == {"l1": 2, "l2": 1}


def test_a_void_that_somebody_else_paid_out_is_not_paid_twice() -> None:
    project = Project()
    project.apply(VOIDED)
    project.refund(1000)
    project.apply(REFUNDED)
    assert (project.moved("Refund"), project.moved("Refund", "Pending")) == (TOTAL, 0)


def test_a_partial_refund_waits_for_a_person_and_then_is_exact() -> None:
    project = Project()
    asked = project.apply(PARTLY)
    assert not asked
    assert asked.problem is not None
    assert (asked.problem.kind, "€29.90" in asked.problem.message) == (Kind.REFUND_AMOUNT, True)
    done = project.apply(PARTLY, refund_amount="5.00", refund_lines="1:1")
    assert done.problem is None
    assert (project.moved("Refund"), project.returned()) == (500, {"l1": 1})
    assert project.ct_order["orderState"] == "Confirmed"
    project.apply(PARTLY, refund_amount="15.00", refund_lines="1, 2")
    assert (project.moved("Refund"), project.returned()) == (1500, {"l1": 2, "l2": 1})
    project.apply(REFUNDED)
    assert (project.moved("Refund"), project.returned()) == (TOTAL, {"l1": 2, "l2": 1})


def test_nobody_gets_back_more_than_was_paid() -> None:
    project = Project()
    found = project.apply(PARTLY, refund_amount="29.91")
    assert found.problem is not None
    assert (found.problem.kind, project.moved("Refund")) == (Kind.REFUND_AMOUNT, 0)


def test_a_refund_in_commercetools_is_the_amount_that_was_missing() -> None:
    project = Project()
    project.refund(700)
    assert project.left(PARTLY).problem is None
    project.apply(REFUNDED)
    assert project.moved("Refund") == TOTAL


def test_a_refund_of_others_that_is_under_way_is_not_paid_twice() -> None:
    project = Project()
    project.refund(TOTAL, "Pending")
    project.apply(REFUNDED)
    assert (project.moved("Refund"), project.moved("Refund", "Pending")) == (0, TOTAL)


@pytest.mark.parametrize("shipment", ["Shipped", "Delivered", "Partial"])
def test_goods_that_are_on_their_way_stay_so(shipment: str) -> None:
    project = Project()
    project.update({"action": "changeShipmentState", "shipmentState": shipment})
    project.apply(VOIDED)
    assert project.ct_order["shipmentState"] == shipment


def test_a_completed_order_stays_complete_when_it_is_refunded() -> None:
    project = Project()
    project.update({"action": "changeOrderState", "orderState": "Complete"})
    project.apply(REFUNDED)
    assert (project.ct_order["orderState"], project.moved("Refund")) == ("Complete", TOTAL)
    assert shop_status(project.ct_order, project.payment) is REFUNDED


def test_who_uses_no_states_of_shipments_gets_none() -> None:
    project = Project()
    order = {name: value for name, value in project.ct_order.items() if name != "shipmentState"}
    found = changes(project.order, VOIDED, order, project.payment, {}, number="n")
    assert [one["action"] for one in found.order_actions] == ["changeOrderState"]


def test_returns_of_others_count() -> None:
    project = Project()
    first = project.ct_order["lineItems"][0]["id"]
    item = {"quantity": 1, "lineItemId": first, "shipmentState": "Returned"}
    project.update({"action": "addReturnInfo", "items": [item]})
    project.apply(REFUNDED)
    assert project.returned() == {"l1": 2, "l2": 1}
    items = [item for info in project.ct_order["returnInfo"] for item in info["items"]]
    assert {item["paymentState"] for item in items} == {"Refunded"}


def test_a_payment_that_is_not_on_the_order_is_put_there_and_charged() -> None:
    """Two requests made it, and the process died in between."""
    project = Project()
    project.update({"action": "removePayment", "payment": {"typeId": "payment", "id": project.payment_id}})
    bare = {**(project.payment or {}), "transactions": []}
    found = changes(project.order, PAID, project.ct_order, bare, {}, number=project.draft.number)
    assert [one["action"] for one in found.order_actions] == ["addPayment"]
    [action] = found.payment_actions
    assert (action["transaction"]["type"], action["transaction"]["amount"]["centAmount"]) == ("Charge", TOTAL)


def test_an_order_entered_by_hand_is_cancelled_without_a_payment() -> None:
    project = Project()
    found = changes(project.order, VOIDED, project.ct_order, None, {}, number="n")
    assert [one["action"] for one in found.order_actions] == ["changeOrderState", "changeShipmentState"]
    assert found.payment_actions == ()


# Whatever happens in whatever order


CAPTURED = st.sampled_from([PAID, PARTLY, VOIDED, REFUNDED])
EDITS = st.dictionaries(st.sampled_from(["refund_amount", "refund_lines"]), st.none(), max_size=2).flatmap(
    lambda names: st.fixed_dictionaries(
        {
            name: st.sampled_from(["5.00", "29.90"] if name == "refund_amount" else ["1:1", "1, 2"])
            for name in names
        }
    )
)
OTHERS = st.one_of(
    st.tuples(st.just("refund"), st.integers(1, 3000), st.sampled_from(["Success", "Pending", "Failure"])),
    st.tuples(st.just("orderState"), st.sampled_from(["Open", "Complete", "Cancelled"]), st.none()),
    st.tuples(st.just("shipmentState"), st.sampled_from(["Shipped", "Ready", "Canceled"]), st.none()),
)


@settings(max_examples=150, deadline=None)
@given(
    steps=st.lists(st.one_of(st.tuples(CAPTURED, EDITS), OTHERS), max_size=6),
    is_gift=st.booleans(),
)
def test_applying_it_twice_does_nothing_twice(steps: list[tuple[Any, ...]], is_gift: bool) -> None:
    """And no more goes back than was charged, unless others pay it back."""
    project = Project(is_gift=is_gift)
    for what, *how in steps:
        match what:
            case OrderStatus():
                before = project.back()
                project.apply(what, **how[0])
                assert not project.left(what, **how[0])
                assert project.back() <= max(TOTAL, before)
                assert is_gift or what not in (VOIDED, REFUNDED) or project.back() >= TOTAL
            case "refund":
                project.refund(*how)
            case "orderState":
                project.update({"action": "changeOrderState", "orderState": how[0]})
            case _:
                project.update({"action": "changeShipmentState", "shipmentState": how[0]})
    assert is_gift or project.moved("Charge") == TOTAL
    bought = {one["key"]: one["quantity"] for one in project.ct_order["lineItems"]}
    assert all(units <= bought[key] for key, units in project.returned().items())


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.tuples(CAPTURED, st.just({"refund_amount": "5.00"})), max_size=4), is_gift=st.booleans()
)
def test_the_shop_s_order_says_what_the_kiosk_s_says(
    steps: list[tuple[OrderStatus, dict[str, str]]], is_gift: bool
) -> None:
    """So neither ever has news for the other, and no echo goes round."""
    project, at = Project(is_gift=is_gift), PAID
    for status, edits in steps:
        if status not in FOLLOWS[at] or (is_gift and status is PARTLY):
            continue
        project.apply(status, **edits)
        at = status
    assert shop_status(project.ct_order, project.payment) is at


@pytest.mark.parametrize(
    ("order", "status"),
    [
        ({"orderState": "Open", "paymentState": "Paid", "lineItems": [{"id": "1", "quantity": 1}]}, PAID),
        ({"orderState": "Open", "paymentState": "Pending"}, None),
        ({"orderState": "Cancelled", "lineItems": [{"id": "1", "quantity": 1}]}, VOIDED),
    ],
)
def test_an_order_without_a_payment_is_told_by_its_states(order: Json, status: OrderStatus | None) -> None:
    assert shop_status(order, None) is status


# Whose order is it


def test_what_was_sent_is_ours() -> None:
    project = Project()
    assert not_ours(project.ct_order, project.order.id, project.draft) is None
    project.apply(REFUNDED)
    assert not_ours(project.ct_order, project.order.id, project.draft) is None


@pytest.mark.parametrize(
    ("edits", "reason"),
    [
        ({"price.1": "11"}, "comes to €29.90"),
        ({"quantity.1": "0", "price.2": "25"}, "lines differ"),
        ({"price.1": "9", "price.2": "7"}, "lines differ"),
    ],
)
def test_an_order_with_other_content_is_not_ours(edits: dict[str, str], reason: str) -> None:
    project = Project()
    other = drafted(project.order, replace(project.context, edits=edits))
    assert reason in (not_ours(project.ct_order, project.order.id, other) or "")


def test_an_order_of_others_under_our_number_is_not_ours() -> None:
    project = Project()
    stranger: KioskOrder = replace(project.order, id="gid://cloudshelf/Order/2")
    assert "names the kiosk order" in (not_ours(project.ct_order, stranger.id, project.draft) or "")
    bare = {name: value for name, value in project.ct_order.items() if name != "custom"}
    assert "names no kiosk order" in (not_ours(bare, project.order.id, project.draft) or "")
