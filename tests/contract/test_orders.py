"""What is sent of a kiosk order is what the official contract describes: the import, the payment, later changes."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from tests.support.exact import Exact
from tests.support.kiosk_orders import REDUCED, SALES_TAX, VAT, context, drafted, line, paid, shipping

from cogent_ops.domain.order_changes import changes
from cogent_ops.domain.order_draft import Draft
from cogent_ops.domain.order_payment import payment_draft
from cogent_ops.domain.orders import KioskOrder
from cogent_ops.domain.rules import OrderRules, OrderStatus

Json = dict[str, Any]
NUMBER = "CS-1"
RULES = OrderRules(
    unknown_products="custom_line",
    discounts="custom_line",
    tax_required=False,
    shipping_tax_category="shipping",
)


def problems(exact: Exact, kind: str, value: Any) -> list[str]:
    return exact.problems({"$ref": f"#/components/schemas/{kind}"}, value)


def sales() -> list[tuple[KioskOrder, Draft]]:
    """Orders of every sort: with and without tax, store, e-mail, discount, shipping, unknown articles."""
    session = {"deviceName": "Kiosk 3", "salesAssistantName": "Kim", "paymentMethod": "STRIPE"}
    found = []
    for tax, is_full in product((VAT, REDUCED, SALES_TAX, None), (True, False)):
        currency = "USD" if tax is SALES_TAX else "EUR"
        lines = [line("a", 2, price=10, currencyCode=currency)]
        if is_full:
            lines += [shipping(4.9, currencyCode=currency), line("gone", 1, price=3, currencyCode=currency)]
        known = context("a", tax=tax, currency=currency)
        known = replace(known, other_tax=tax if is_full else None)
        if is_full:
            known = replace(known, email="anna@example.com", edits={"total": "20.00"})
        else:
            known = replace(known, store=None)
        order = paid(*lines, session=session if is_full else {}, discountCode="X" if is_full else None)
        found.append((order, drafted(order, known, RULES)))
    return found


def test_imports_are_what_the_contract_describes(exact: Exact) -> None:
    for order, draft in sales():
        payments = {"payments": [{"typeId": "payment", "id": "1"}]}
        assert problems(exact, "OrderImportDraft", {**draft.body, "paymentInfo": payments}) == []
        assert problems(exact, "PaymentDraft", payment_draft(draft, order)) == []


def test_the_contract_would_find_what_it_does_not_describe(exact: Exact) -> None:
    _, draft = sales()[0]
    assert problems(exact, "OrderImportDraft", {**draft.body, "externalId": "1"})
    assert problems(exact, "OrderImportDraft", {**draft.body, "orderState": "Paid"})


def as_stored(draft: Draft) -> Json:
    """What of an imported order a comparison reads."""
    items, custom = (
        [{**one, "id": f"{name}{n}"} for n, one in enumerate(draft.body[name], start=1)]
        for name in ("lineItems", "customLineItems")
    )
    return {
        "orderState": "Confirmed",
        "shipmentState": "Pending",
        "lineItems": items,
        "customLineItems": custom,
        "returnInfo": [],
    }


@pytest.mark.parametrize("status", [OrderStatus.PARTIALLY_REFUNDED, OrderStatus.VOIDED, OrderStatus.REFUNDED])
def test_later_changes_are_what_the_contract_describes(exact: Exact, status: OrderStatus) -> None:
    edits = {"refund_amount": "5.00", "refund_lines": "1"}
    for order, draft in sales():
        stored = as_stored(draft)
        bare: Json = {"id": "p", **(payment_draft(draft, order) or {}), "transactions": []}
        owed = {"id": "t", "type": "Refund", "state": "Pending", "interactionId": f"{NUMBER}-void"}
        half = {"currencyCode": draft.gross.currency, "centAmount": 100}
        charge = {"id": "c", "type": "Charge", "state": "Success", "amount": draft.gross.api()}
        item = {"id": "r", "paymentState": "Initial", "quantity": 1, "lineItemId": "lineItems1"}
        for payment, infos in (
            (bare, []),
            ({**bare, "transactions": [charge, {**owed, "amount": half}]}, [item]),
        ):
            known = {**stored, "returnInfo": [{"items": infos}] if infos else []}
            found = changes(order, status, known, payment, edits, number=NUMBER)
            sent = {"version": 1, "actions": list(found.order_actions)}
            paid_ = {"version": 1, "actions": list(found.payment_actions)}
            assert found.order_actions
            assert found.payment_actions
            assert problems(exact, "OrderUpdate", sent) == []
            assert problems(exact, "PaymentUpdate", paid_) == []
