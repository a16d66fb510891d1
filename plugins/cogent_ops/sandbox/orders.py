"""Order import and order updates.

Order Import takes totals, taxes and states as they are sent and by default leaves stock alone
(``inventoryMode: None``); with another mode it acts on the inventory like a checkout does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from cogent_ops.sandbox.actions import Action, apply_update, custom_actions, setter, with_field
from cogent_ops.sandbox.answers import (
    ApiError,
    Json,
    duplicate_field,
    invalid_input,
    invalid_operation,
    reference_not_found,
    resource_not_found,
)
from cogent_ops.sandbox.dataset import all_variants, reference
from cogent_ops.sandbox.shapes import DRAFTS, check
from cogent_ops.sandbox.state import CommercetoolsState, typed_money

_INITIAL_STATE = reference("state", "00000000-0000-4000-8000-000000000001")
_EVENTS = {
    "orderState": ("OrderStateChanged", "oldOrderState"),
    "paymentState": ("OrderPaymentStateChanged", "oldPaymentState"),
    "shipmentState": ("OrderShipmentStateChanged", "oldShipmentState"),
}


def import_order(state: CommercetoolsState, draft: Any) -> Json:
    """Create an Order exactly as sent.

    :raises ApiError: 400 ``DuplicateField`` for a known ``orderNumber``, ``ReferencedResourceNotFound`` for an
        unknown SKU, store, channel or payment, ``OutOfStock`` when an inventory mode cannot be met.
    """
    check(DRAFTS["OrderImportDraft"], draft)
    if not draft.get("lineItems") and not draft.get("customLineItems"):
        raise invalid_input("At least one of 'lineItems' and 'customLineItems' must be given.")
    number = draft.get("orderNumber")
    if number is not None and state["orders"].first("orderNumber", number) is not None:
        raise duplicate_field("orderNumber", number)
    _distinct_keys(draft)
    if draft.get("customerId") is not None:
        raise reference_not_found("customer", {"id": draft["customerId"]})
    order = _order(state, draft)
    movements = _movements(state, order)
    made = state.add("orders", order)
    for entry_id, quantity, reserve in movements:
        effect = partial(state.deduct, entry_id, quantity, reserve=reserve)
        state.later(state.behaviour.order_lag_seconds, effect)
    state.emit("OrderImported", "order", made, order=made)
    return made


def _distinct_keys(draft: Json) -> None:
    for name in ("lineItems", "customLineItems"):
        keys = [line["key"] for line in draft.get(name) or [] if line.get("key") is not None]
        for key in keys:
            if keys.count(key) > 1:
                raise duplicate_field(f"{name}.key", key)


def _order(state: CommercetoolsState, draft: Json) -> Json:
    store = None if draft.get("store") is None else state.find(draft["store"])
    if store is not None:
        _check_country(store, draft.get("country"))
    taxed = draft.get("taxedPrice")
    return {
        **draft,
        "customerGroup": state.resolve(draft.get("customerGroup")),
        "store": None if store is None else {"typeId": "store", "key": store["key"]},
        "lineItems": [_line(state, line, store) for line in draft.get("lineItems") or []],
        "customLineItems": [_custom_line(state, line) for line in draft.get("customLineItems") or []],
        "totalPrice": typed_money(draft["totalPrice"]),
        "taxedPrice": None if taxed is None else _taxed(taxed),
        "paymentInfo": _payment_info(state, draft.get("paymentInfo")),
        "inventoryMode": draft.get("inventoryMode") or "None",
        "orderState": draft.get("orderState") or "Open",
        "origin": draft.get("origin") or "Customer",
        "shippingMode": "Single",
        "shipping": [],
        "refusedGifts": [],
        "syncInfo": [],
        "returnInfo": [],
        "custom": state.custom("order", draft.get("custom")),
    }


def _check_country(store: Json, country: str | None) -> None:
    countries = [known["code"] for known in store["countries"]]
    if country is not None and countries and country not in countries:
        text = f"The country '{country}' is not configured for the store '{store['key']}'."
        raise ApiError(400, "CountryNotConfiguredInStore", text, storeCountries=countries, country=country)


def _line(state: CommercetoolsState, draft: Json, store: Json | None) -> Json:
    product, variant = _ordered(state, draft)
    quantity = draft["quantity"]
    price = draft["price"]
    unit = typed_money(price["value"])
    made = {
        "id": state.ids.uuid(),
        "key": draft.get("key"),
        "productId": product["id"],
        "productKey": product.get("key"),
        "name": draft["name"],
        "productSlug": product["slug"],
        "productType": product["productType"],
        "variant": {name: variant[name] for name in _VARIANT_COPY if name in variant},
        "price": {
            **price,
            "id": state.ids.uuid(),
            "value": unit,
            "customerGroup": state.resolve(price.get("customerGroup")),
            "channel": state.resolve(price.get("channel")),
        },
        "quantity": quantity,
        "totalPrice": {**unit, "centAmount": unit["centAmount"] * quantity},
        "discountedPricePerQuantity": [],
        "taxedPricePortions": [],
        "perMethodTaxRate": [],
        "state": [{"quantity": quantity, "state": _INITIAL_STATE}],
        "taxRate": draft.get("taxRate"),
        "supplyChannel": _line_channel(state, draft, "supplyChannel", store, "supplyChannels"),
        "distributionChannel": _line_channel(
            state, draft, "distributionChannel", store, "distributionChannels"
        ),
        "priceMode": "Platform",
        "lineItemMode": "Standard",
        "inventoryMode": draft.get("inventoryMode"),
        "custom": state.custom("line-item", draft.get("custom")),
    }
    made["price"] = _without_none(made["price"])
    return _without_none(made)


_VARIANT_COPY = ("id", "sku", "key", "attributes", "images")


def _without_none(values: Json) -> Json:
    return {name: value for name, value in values.items() if value is not None}


def _ordered(state: CommercetoolsState, draft: Json) -> tuple[Json, Json]:
    """The product and the variant that a line names by SKU, or by variant id and product id."""
    wanted = draft["variant"]
    products = state["product-projections"]
    if wanted.get("sku") is not None:
        product = products.first("masterVariant.sku", wanted["sku"])
    else:
        product = products.get(draft.get("productId") or "")
    for variant in () if product is None else all_variants(product):
        named = "sku" if wanted.get("sku") is not None else "id"
        if product is not None and variant.get(named) == wanted.get(named):
            return product, variant
    text = f"The variant with SKU '{wanted.get('sku')}' or id '{wanted.get('id')}' was not found."
    code = state.behaviour.unknown_sku_code
    raise ApiError(400, code, text, **({"typeId": "product"} if code == "ReferencedResourceNotFound" else {}))


def _line_channel(
    state: CommercetoolsState, draft: Json, name: str, store: Json | None, allowed: str
) -> Json | None:
    channel = state.resolve(draft.get(name))
    permitted = [] if store is None else [known["id"] for known in store[allowed]]
    if store is not None and channel is not None and permitted and channel["id"] not in permitted:
        raise invalid_operation(f"The {name} of a line is not one of the store '{store['key']}'.")
    return channel


def _custom_line(state: CommercetoolsState, draft: Json) -> Json:
    money = typed_money(draft["money"])
    return _without_none(
        {
            **draft,
            "id": state.ids.uuid(),
            "money": money,
            "totalPrice": {**money, "centAmount": money["centAmount"] * draft["quantity"]},
            "discountedPricePerQuantity": [],
            "taxedPricePortions": [],
            "perMethodTaxRate": [],
            "state": [{"quantity": draft["quantity"], "state": _INITIAL_STATE}],
            "taxCategory": state.resolve(draft.get("taxCategory")),
            "priceMode": draft.get("priceMode") or "Standard",
            "custom": state.custom("custom-line-item", draft.get("custom")),
        }
    )


def _taxed(draft: Json) -> Json:
    return {
        "totalNet": typed_money(draft["totalNet"]),
        "totalGross": typed_money(draft["totalGross"]),
        "taxPortions": [{**one, "amount": typed_money(one["amount"])} for one in draft["taxPortions"]],
    }


def _payment_info(state: CommercetoolsState, draft: Json | None) -> Json | None:
    if draft is None:
        return None
    for payment in draft["payments"]:
        state.find(payment)
        _payment_is_free(state, payment["id"])
    return {"payments": [reference("payment", payment["id"]) for payment in draft["payments"]]}


def _payment_is_free(state: CommercetoolsState, payment_id: str) -> None:
    order = state["orders"].first("paymentInfo.payments.id", payment_id)
    if order is not None:
        raise invalid_operation(f"The payment '{payment_id}' is on order '{order['id']}' already.")


# Stock


def _movements(state: CommercetoolsState, order: Json) -> list[tuple[str, int, bool]]:
    """What the order takes from which InventoryEntry: (entry id, pieces, reserve only)."""
    found: list[tuple[str, int, bool]] = []
    short: list[Json] = []
    wanted: dict[str, int] = {}
    for line in order["lineItems"]:
        mode = line.get("inventoryMode") or order["inventoryMode"]
        if mode == "None":
            continue
        entry = state.entry(line["variant"].get("sku", ""), (line.get("supplyChannel") or {}).get("id"))
        if entry is None:
            short.append(line)
            continue
        wanted[entry["id"]] = wanted.get(entry["id"], 0) + line["quantity"]
        enough = entry["availableQuantity"] >= wanted[entry["id"]] or "restockableInDays" in entry
        if mode != "TrackOnly" and not enough:
            short.append(line)
        found.append((entry["id"], line["quantity"], mode != "TrackOnly"))
    if short:
        _raise_out_of_stock(short)
    return found


def _raise_out_of_stock(lines: list[Json]) -> None:
    skus = [line["variant"].get("sku", "") for line in lines]
    text = f"The following line items are out of stock: {', '.join(skus)}."
    raise ApiError(400, "OutOfStock", text, lineItems=[line["id"] for line in lines], skus=skus)


# Updates


def update_order(state: CommercetoolsState, old: Json, body: Any) -> Json:
    """Run an update of an Order and tell who listens."""
    new = apply_update(state, "orders", "Order", old, body, ORDERS)
    for name, (message, previous) in _EVENTS.items():
        if new.get(name) != old.get(name):
            state.emit(message, "order", new, **{name: new[name], previous: old.get(name)})
    known = _payments(old)
    for payment in _payments(new):
        if payment not in known:
            state.emit("OrderPaymentAdded", "order", new, paymentRef=payment)
    _tell_of_returns(state, old, new)
    return new


def _tell_of_returns(state: CommercetoolsState, old: Json, new: Json) -> None:
    """Returns that were added, replaced as a whole (then their items have other ids), or moved on."""
    before = {item["id"]: item for info in old["returnInfo"] for item in info["items"]}
    kept = new["returnInfo"][: len(old["returnInfo"])]
    if [_item_ids(info) for info in kept] != [_item_ids(info) for info in old["returnInfo"]]:
        state.emit("ReturnInfoSet", "order", new, returnInfo=new["returnInfo"])
        return
    for added in new["returnInfo"][len(kept) :]:
        state.emit("ReturnInfoAdded", "order", new, returnInfo=added)
    for item in (item for info in kept for item in info["items"]):
        if item["shipmentState"] != before[item["id"]]["shipmentState"]:
            moved = {"returnItemId": item["id"], "returnShipmentState": item["shipmentState"]}
            state.emit("OrderReturnShipmentStateChanged", "order", new, **moved)


def _item_ids(info: Json) -> list[str]:
    return [item["id"] for item in info["items"]]


def _payments(order: Json) -> list[Json]:
    return list(order.get("paymentInfo", {}).get("payments", []))


def _return_info(state: CommercetoolsState, order: Json, draft: Mapping[str, Any]) -> Json:
    items = [_return_item(state, order, item) for item in draft["items"]]
    return _without_none(
        {
            "items": items,
            "returnTrackingId": draft.get("returnTrackingId"),
            "returnDate": draft.get("returnDate"),
        }
    )


def _return_item(state: CommercetoolsState, order: Json, draft: Json) -> Json:
    line = draft.get("lineItemId")
    custom_line = draft.get("customLineItemId")
    known = [one["id"] for one in order["lineItems" if line else "customLineItems"]]
    if (line or custom_line) not in known:
        raise invalid_operation(f"The order has no line item '{line or custom_line}'.")
    if draft["shipmentState"] not in ("Advised", "Returned"):
        raise invalid_operation("A return starts with shipmentState 'Advised' or 'Returned'.")
    stamp = state.clock.stamp()
    made = {
        **draft,
        "id": state.ids.uuid(),
        "type": "LineItemReturnItem" if line else "CustomLineItemReturnItem",
        "paymentState": "NonRefundable" if draft["shipmentState"] == "Advised" else "Initial",
        "custom": state.custom("order-return-item", draft.get("custom")),
        "createdAt": stamp,
        "lastModifiedAt": stamp,
    }
    return _without_none(made)


def _add_return(state: CommercetoolsState, order: Json, action: Json) -> Json:
    return {**order, "returnInfo": [*order["returnInfo"], _return_info(state, order, action)]}


def _set_returns(state: CommercetoolsState, order: Json, action: Json) -> Json:
    made = [_return_info(state, order, info) for info in action.get("items") or []]
    return {**order, "returnInfo": made}


def _return_setter(name: str, allowed: Mapping[str, Sequence[str]]) -> Action:
    def changed(state: CommercetoolsState, item: Json, action: Json) -> Json:
        if action[name] not in allowed.get(item[name], ()):
            raise invalid_operation(f"{name} of a return cannot go from '{item[name]}' to '{action[name]}'.")
        return {**item, name: action[name], "lastModifiedAt": state.clock.stamp()}

    def apply(state: CommercetoolsState, order: Json, action: Json) -> Json:
        wanted = action.get("returnItemId") or action.get("returnItemKey")
        hits = 0
        infos = []
        for info in order["returnInfo"]:
            items = []
            for item in info["items"]:
                hit = wanted in (item["id"], item.get("key"))
                hits += hit
                items.append(changed(state, item, action) if hit else item)
            infos.append({**info, "items": items})
        if not hits:
            raise resource_not_found(f"return item '{wanted}'")
        return {**order, "returnInfo": infos}

    return apply


def _add_payment(state: CommercetoolsState, order: Json, action: Json) -> Json:
    payment = state.resolve(action["payment"])
    payments = _payments(order)
    if payment in payments or payment is None:
        return order
    _payment_is_free(state, payment["id"])
    return {**order, "paymentInfo": {"payments": [*payments, payment]}}


def _remove_payment(state: CommercetoolsState, order: Json, action: Json) -> Json:
    payment = state.resolve(action["payment"])
    left = [one for one in _payments(order) if one != payment]
    return with_field(order, "paymentInfo", {"payments": left} if left else None)


def _set_number(state: CommercetoolsState, order: Json, action: Json) -> Json:
    if order.get("orderNumber") is not None:
        raise invalid_operation("The orderNumber of an order cannot be changed.")
    number = action.get("orderNumber")
    if number is not None and state["orders"].first("orderNumber", number) is not None:
        raise duplicate_field("orderNumber", number)
    return with_field(order, "orderNumber", number)


def _set_store(state: CommercetoolsState, order: Json, action: Json) -> Json:
    identifier = action.get("store")
    store = None if identifier is None else {"typeId": "store", "key": state.find(identifier)["key"]}
    if store == order.get("store"):
        raise invalid_operation("The order has this store already.")
    return with_field(order, "store", store)


def _sync_info(state: CommercetoolsState, order: Json, action: Json) -> Json:
    channel = state.find(action["channel"])
    if not {"OrderImport", "OrderExport"} & set(channel["roles"]):
        text = f"The channel '{channel['key']}' has neither role 'OrderExport' nor 'OrderImport'."
        raise ApiError(400, "MissingRoleOnChannel", text, missingRole="OrderExport")
    made = _without_none(
        {
            "channel": reference("channel", channel["id"]),
            "externalId": action.get("externalId"),
            "syncedAt": action.get("syncedAt") or state.clock.stamp(),
        }
    )
    kept = [info for info in order["syncInfo"] if info["channel"] != made["channel"]]
    return {**order, "syncInfo": [*kept, made]}


ORDERS: dict[str, Action] = {
    "changeOrderState": setter("orderState"),
    "changePaymentState": setter("paymentState"),
    "changeShipmentState": setter("shipmentState"),
    "addReturnInfo": _add_return,
    "setReturnInfo": _set_returns,
    "setReturnShipmentState": _return_setter("shipmentState", {"Returned": ("BackInStock", "Unusable")}),
    "setReturnPaymentState": _return_setter("paymentState", {"Initial": ("Refunded", "NotRefunded")}),
    "addPayment": _add_payment,
    "removePayment": _remove_payment,
    "setOrderNumber": _set_number,
    "setPurchaseOrderNumber": setter("purchaseOrderNumber"),
    "setCustomerEmail": setter("email", "customerEmail"),
    "setShippingAddress": setter("address", "shippingAddress"),
    "setBillingAddress": setter("address", "billingAddress"),
    "setStore": _set_store,
    "updateSyncInfo": _sync_info,
    **custom_actions("order"),
}
