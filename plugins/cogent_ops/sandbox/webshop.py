"""The web shop's own orders, and the people who work on orders in commercetools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cogent_ops.sandbox import actions, orders
from cogent_ops.sandbox.answers import Json, resource_not_found
from cogent_ops.sandbox.state import CommercetoolsState

TYPE_KEY = "web-shop-order"
"""The shop's own Type for orders; that of another integration would not be its to change."""

Line = tuple[str, int, int]
"""SKU, pieces, unit price in minor units."""

_STATES = {
    "orderState": "changeOrderState",
    "paymentState": "changePaymentState",
    "shipmentState": "changeShipmentState",
}


def online_order(
    state: CommercetoolsState,
    number: str,
    lines: Sequence[Line],
    *,
    currency: str,
    email: str | None = None,
    channel_key: str | None = None,
    mode: str = "TrackOnly",
    custom: Json | None = None,
) -> Json:
    """An order of the web shop, which takes its pieces from stock.

    :param channel_key: supply channel that ships; ``None`` = the channel-less pool.
    :param custom: ``CustomFieldsDraft``.
    :raises ApiError: 400 ``OutOfStock`` when an entry is missing or holds too little.
    """
    channel = None if channel_key is None else {"typeId": "channel", "key": channel_key}
    items = [
        {
            "name": {"en": sku},
            "variant": {"sku": sku},
            "quantity": quantity,
            "price": {"value": {"currencyCode": currency, "centAmount": cents}},
            **({} if channel is None else {"supplyChannel": channel}),
        }
        for sku, quantity, cents in lines
    ]
    total = sum(quantity * cents for _, quantity, cents in lines)
    draft: Json = {
        "orderNumber": number,
        "lineItems": items,
        "totalPrice": {"currencyCode": currency, "centAmount": total},
        "inventoryMode": mode,
        "orderState": "Open",
        "paymentState": "Paid",
        **({} if email is None else {"customerEmail": email}),
        **({} if custom is None else {"custom": custom}),
    }
    return orders.import_order(state, draft)


def naming_basket(state: CommercetoolsState, field: str, basket: str) -> Json:
    """Custom fields by which an order of the shop names the kiosk basket that was bought with it."""
    definition = {
        "name": field,
        "label": {"en": "Kiosk basket"},
        "required": False,
        "type": {"name": "String"},
    }
    known = state["types"].first("key", TYPE_KEY)
    if known is None:
        draft = {"key": TYPE_KEY, "name": {"en": "Web shop"}, "resourceTypeIds": ["order"]}
        actions.create_type(state, {**draft, "fieldDefinitions": [definition]})
    elif all(one["name"] != field for one in known["fieldDefinitions"]):
        change = {"action": "addFieldDefinition", "fieldDefinition": definition}
        body = {"version": known["version"], "actions": [change]}
        actions.apply_update(state, "types", "Type", known, body, actions.TYPES)
    return {"type": {"typeId": "type", "key": TYPE_KEY}, "fields": {field: basket}}


def work_on(state: CommercetoolsState, given: Mapping[str, Any]) -> Json:
    """Somebody changes an order by hand: ``order`` (id or number), states, ``refund``, ``returns``.

    A ``refund`` (minor units) becomes a Refund transaction on the order's payment.

    :raises ApiError: when there is no such order, or the change is refused.
    """
    collection = state["orders"]
    order = collection.get(given["order"]) or collection.first("orderNumber", given["order"])
    if order is None:
        raise resource_not_found(f"order '{given['order']}'")
    if given.get("refund") is not None:
        _refund(state, order, given["refund"])
    wanted: list[Json] = [
        {"action": action, name: given[name]} for name, action in _STATES.items() if given.get(name)
    ]
    if given.get("returns"):
        wanted.append({"action": "addReturnInfo", "items": _returned(order, given["returns"])})
    if wanted:
        order = orders.update_order(state, order, {"version": order["version"], "actions": wanted})
    return order


def _refund(state: CommercetoolsState, order: Json, cents: int) -> None:
    payment = state.find(order["paymentInfo"]["payments"][0])
    amount = {"currencyCode": payment["amountPlanned"]["currencyCode"], "centAmount": cents}
    transaction = {"type": "Refund", "amount": amount, "state": "Success"}
    action = {"action": "addTransaction", "transaction": transaction}
    actions.update_payment(state, payment, {"version": payment["version"], "actions": [action]})


def _returned(order: Json, lines: Sequence[Json]) -> list[Json]:
    ids = {line["variant"].get("sku"): line["id"] for line in order["lineItems"]}
    return [
        {"lineItemId": ids[line["sku"]], "quantity": line["quantity"], "shipmentState": "Returned"}
        for line in lines
    ]
