"""Creating and updating commercetools resources other than orders.

An update is a list of actions on a copy of the resource: either all of them take effect, or none does. Actions are
functions ``(state, resource, action) -> resource``; what they accept is declared in :mod:`shapes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from cogent_ops.sandbox.answers import (
    ApiError,
    Json,
    duplicate_field,
    invalid_field,
    invalid_input,
    invalid_operation,
    required_field,
    resource_not_found,
)
from cogent_ops.sandbox.shapes import ACTIONS, DRAFTS, check
from cogent_ops.sandbox.state import CommercetoolsState, field_definition, typed_money

Action: TypeAlias = Callable[[CommercetoolsState, Json, Json], Json]

MAX_ACTIONS = 500
_UPDATE = {"version!": "int", "actions!": ["any"]}


def apply_update(
    state: CommercetoolsState, resource: str, schema: str, old: Json, body: Any, actions: Mapping[str, Action]
) -> Json:
    """Run an update request against a resource.

    :param resource: path of the collection, e.g. ``inventory``.
    :param schema: name of the resource in the OpenAPI, e.g. ``InventoryEntry``.
    :raises ApiError: 409 on a stale version; 400 when any action is not possible, with nothing changed.
    """
    check(_UPDATE, body)
    state.check_version(old, body["version"])
    if len(body["actions"]) > MAX_ACTIONS:
        raise invalid_input(f"At most {MAX_ACTIONS} update actions are allowed in one request.")
    new = old
    for action in body["actions"]:
        new = actions[_checked(schema, action)](state, new, action)
    return state.replace(resource, old, new, len(body["actions"]))


def _checked(schema: str, action: Any) -> str:
    """Validate an action against its declared shape and return its name."""
    name = action.get("action") if isinstance(action, dict) else None
    shape = ACTIONS[schema].get(name) if isinstance(name, str) else None
    if shape is None or name is None:
        raise invalid_input(f"'{name}' is no update action of {schema}.")
    check({"action!": "text", **shape}, action)
    return str(name)


# Action makers


def setter(source: str, target: str | None = None) -> Action:
    """An action that writes one field; a missing or ``null`` value removes it."""
    name = target or source

    def apply(state: CommercetoolsState, resource: Json, action: Json) -> Json:
        return with_field(resource, name, action.get(source))

    return apply


def with_field(resource: Json, name: str, value: Any) -> Json:
    """The resource with a field set, or without it when the value is ``None``."""
    changed = {**resource, name: value}
    if value is None:
        del changed[name]
    return changed


def custom_actions(resource_type_id: str) -> dict[str, Action]:
    """``setCustomType`` (which replaces every field of another Type) and ``setCustomField``."""

    def set_type(state: CommercetoolsState, resource: Json, action: Json) -> Json:
        draft = (
            None if action.get("type") is None else {"type": action["type"], "fields": action.get("fields")}
        )
        return with_field(resource, "custom", state.custom(resource_type_id, draft))

    def set_field(state: CommercetoolsState, resource: Json, action: Json) -> Json:
        return state.with_custom_field(resource, action["name"], action.get("value"))

    return {"setCustomType": set_type, "setCustomField": set_field}


def unique_key(state: CommercetoolsState, resource: str, key: str | None, own_id: str | None = None) -> None:
    """Refuse a key that another resource of the collection has.

    :raises ApiError: 400 ``DuplicateField``.
    """
    if key is None:
        return
    taken = state[resource].first("key", key)
    if taken is not None and taken["id"] != own_id:
        raise duplicate_field("key", key)


def _key_setter(resource: str) -> Action:
    def apply(state: CommercetoolsState, old: Json, action: Json) -> Json:
        unique_key(state, resource, action.get("key"), old["id"])
        return with_field(old, "key", action.get("key"))

    return apply


# Inventory


def create_inventory(state: CommercetoolsState, draft: Any) -> Json:
    """Create an InventoryEntry; (sku, supplyChannel) is unique.

    :raises ApiError: 400 ``DuplicateField`` for a second entry, ``MissingRoleOnChannel`` for a wrong channel.
    """
    check(DRAFTS["InventoryEntryDraft"], draft)
    channel = _supply_channel(state, draft.get("supplyChannel"))
    _unique_entry(state, draft["sku"], channel)
    unique_key(state, "inventory", draft.get("key"))
    content = {
        **draft,
        "supplyChannel": channel,
        "availableQuantity": draft["quantityOnStock"],
        "custom": state.custom("inventory-entry", draft.get("custom")),
    }
    with state.stock_moves(draft["sku"]):
        made = state.add("inventory", content)
    state.emit("InventoryEntryCreated", "inventory-entry", made, inventoryEntry=made)
    return made


def _supply_channel(state: CommercetoolsState, identifier: Mapping[str, Any] | None) -> Json | None:
    if identifier is None:
        return None
    channel = state.find(identifier)
    if "InventorySupply" not in channel["roles"]:
        text = f"The channel '{channel['key']}' has no role 'InventorySupply'."
        raise ApiError(400, "MissingRoleOnChannel", text, missingRole="InventorySupply")
    return state.resolve(identifier)


def _unique_entry(state: CommercetoolsState, sku: str, channel: Json | None) -> None:
    if state.entry(sku, None if channel is None else channel["id"]) is not None:
        tail = "" if channel is None else f" in combination with channel '{channel['id']}'"
        raise duplicate_field("sku", sku, tail)


def update_inventory(state: CommercetoolsState, old: Json, body: Any) -> Json:
    """Run an update of an InventoryEntry and tell who listens."""
    with state.stock_moves(old["sku"]):
        new = apply_update(state, "inventory", "InventoryEntry", old, body, INVENTORY)
    if new["quantityOnStock"] != old["quantityOnStock"]:
        state.emit(
            "InventoryEntryQuantitySet",
            "inventory-entry",
            new,
            oldQuantityOnStock=old["quantityOnStock"],
            newQuantityOnStock=new["quantityOnStock"],
            oldAvailableQuantity=old["availableQuantity"],
            newAvailableQuantity=new["availableQuantity"],
            sku=new["sku"],
            supplyChannel=new.get("supplyChannel"),
        )
    return new


def delete_inventory(state: CommercetoolsState, entry: Json) -> None:
    """Remove an InventoryEntry and tell who listens."""
    with state.stock_moves(entry["sku"]):
        state["inventory"].remove(entry["id"])
    channel = entry.get("supplyChannel")
    state.emit("InventoryEntryDeleted", "inventory-entry", entry, sku=entry["sku"], supplyChannel=channel)


def _quantity(change: Callable[[int, int], int]) -> Action:
    def apply(state: CommercetoolsState, entry: Json, action: Json) -> Json:
        return state.stocked(entry, change(entry["quantityOnStock"], action["quantity"]))

    return apply


def _move_entry(state: CommercetoolsState, entry: Json, action: Json) -> Json:
    channel = _supply_channel(state, action.get("supplyChannel"))
    if channel != entry.get("supplyChannel"):
        _unique_entry(state, entry["sku"], channel)
    return with_field(entry, "supplyChannel", channel)


def _limits(state: CommercetoolsState, entry: Json, action: Json) -> Json:
    limited = with_field(entry, "minCartQuantity", action.get("minCartQuantity"))
    return with_field(limited, "maxCartQuantity", action.get("maxCartQuantity"))


def _level(name: str) -> Action:
    def apply(state: CommercetoolsState, entry: Json, action: Json) -> Json:
        levels = with_field(entry.get("stockLevels", {}), name, action.get("quantity"))
        return with_field(entry, "stockLevels", levels or None)

    return apply


INVENTORY: dict[str, Action] = {
    "addQuantity": _quantity(lambda old, quantity: old + quantity),
    "removeQuantity": _quantity(lambda old, quantity: old - quantity),
    "changeQuantity": _quantity(lambda old, quantity: quantity),
    "setKey": _key_setter("inventory"),
    "setSupplyChannel": _move_entry,
    "setRestockableInDays": setter("restockableInDays"),
    "setExpectedDelivery": setter("expectedDelivery"),
    "setInventoryLimits": _limits,
    "setSafetyStock": _level("safetyStock"),
    "setReorderPoint": _level("reorderPoint"),
    "setReservationExpirationInMinutes": setter("reservationExpirationInMinutes"),
    **custom_actions("inventory-entry"),
}


# Channels


def create_channel(state: CommercetoolsState, draft: Any) -> Json:
    """Create a Channel; its role defaults to ``InventorySupply``.

    :raises ApiError: 400 ``DuplicateField`` when the key is taken.
    """
    check(DRAFTS["ChannelDraft"], draft)
    unique_key(state, "channels", draft["key"])
    roles = draft.get("roles") or ["InventorySupply"]
    return state.add(
        "channels", {**draft, "roles": roles, "custom": state.custom("channel", draft.get("custom"))}
    )


def _roles(change: Callable[[list[str], list[str]], list[str]]) -> Action:
    def apply(state: CommercetoolsState, channel: Json, action: Json) -> Json:
        return {**channel, "roles": change(channel["roles"], action["roles"])}

    return apply


CHANNELS: dict[str, Action] = {
    "addRoles": _roles(lambda old, named: [*old, *(role for role in named if role not in old)]),
    "removeRoles": _roles(lambda old, named: [role for role in old if role not in named]),
    "setRoles": _roles(lambda old, named: list(named)),
    "changeKey": _key_setter("channels"),
    "changeName": setter("name"),
    "changeDescription": setter("description"),
    "setAddress": setter("address"),
    **custom_actions("channel"),
}


# Types


def create_type(state: CommercetoolsState, draft: Any) -> Json:
    """Create a Type.

    :raises ApiError: 400 ``DuplicateField`` when the key is taken, ``InvalidOperation`` when one of its field names
        has another type elsewhere.
    """
    check(DRAFTS["TypeDraft"], draft)
    unique_key(state, "types", draft["key"])
    definitions = draft.get("fieldDefinitions") or []
    names = [definition["name"] for definition in definitions]
    for name in names:
        if names.count(name) > 1:
            raise duplicate_field("fieldDefinitions.name", name)
    for definition in definitions:
        _same_everywhere(state, draft["resourceTypeIds"], definition)
    filled = [_filled(definition) for definition in definitions]
    return state.add("types", {**draft, "fieldDefinitions": filled})


def _filled(definition: Json) -> Json:
    return {"inputHint": "SingleLine", **definition}


def _same_everywhere(state: CommercetoolsState, resource_types: list[str], definition: Json) -> None:
    """One field name has one type per resource type, across all Types."""
    for other in state["types"]:
        known = field_definition(other, definition["name"])
        if known is None or known["type"] == definition["type"]:
            continue
        if set(resource_types) & set(other["resourceTypeIds"]):
            text = f"Field '{definition['name']}' has another type in Type '{other['key']}'."
            raise invalid_operation(text)


def _add_definition(state: CommercetoolsState, kind: Json, action: Json) -> Json:
    definition = action["fieldDefinition"]
    if field_definition(kind, definition["name"]) is not None:
        raise duplicate_field("fieldDefinition.name", definition["name"])
    _same_everywhere(state, kind["resourceTypeIds"], definition)
    return {**kind, "fieldDefinitions": [*kind["fieldDefinitions"], _filled(definition)]}


def _remove_definition(state: CommercetoolsState, kind: Json, action: Json) -> Json:
    name = action["fieldName"]
    if field_definition(kind, name) is None:
        raise invalid_field("fieldName", name, f"Type '{kind['key']}' has no field '{name}'.")
    left = [known for known in kind["fieldDefinitions"] if known["name"] != name]
    return {**kind, "fieldDefinitions": left}


def _change_label(state: CommercetoolsState, kind: Json, action: Json) -> Json:
    name = action["fieldName"]
    if field_definition(kind, name) is None:
        raise invalid_field("fieldName", name, f"Type '{kind['key']}' has no field '{name}'.")
    definitions = [
        {**known, "label": action["label"]} if known["name"] == name else known
        for known in kind["fieldDefinitions"]
    ]
    return {**kind, "fieldDefinitions": definitions}


TYPES: dict[str, Action] = {
    "addFieldDefinition": _add_definition,
    "removeFieldDefinition": _remove_definition,
    "changeKey": _key_setter("types"),
    "changeName": setter("name"),
    "setDescription": setter("description"),
    "changeLabel": _change_label,
}


# Custom objects


def upsert_custom_object(state: CommercetoolsState, draft: Any) -> tuple[Json, bool]:
    """Create or replace a Custom Object.

    :returns: the object and whether it was created.
    :raises ApiError: 409 when a version was sent and is stale.
    """
    check(DRAFTS["CustomObjectDraft"], draft)
    old = state["custom-objects"].first("container/key", f"{draft['container']}/{draft['key']}")
    content = {name: draft[name] for name in ("container", "key", "value")}
    if old is None:
        return state.add("custom-objects", content), True
    if draft.get("version") is not None:
        state.check_version(old, draft["version"])
    return state.replace("custom-objects", old, {**old, **content}), False


# Payments


def create_payment(state: CommercetoolsState, draft: Any) -> Json:
    """Create a Payment; ``key`` is unique, and so is ``interfaceId`` within its payment interface.

    :raises ApiError: 400 ``DuplicateField``.
    """
    check(DRAFTS["PaymentDraft"], draft)
    unique_key(state, "payments", draft.get("key"))
    method = dict(draft.get("paymentMethodInfo") or {})
    custom = state.custom("payment-method-info", method.pop("custom", None))
    if custom is not None:
        method["custom"] = custom
    _unique_interface_id(state, draft.get("interfaceId"), method.get("paymentInterface"), None)
    made = state.add(
        "payments",
        {
            **draft,
            "amountPlanned": typed_money(draft["amountPlanned"]),
            "paymentMethodInfo": method,
            "paymentStatus": draft.get("paymentStatus") or {},
            "transactions": [_transaction(state, one) for one in draft.get("transactions") or []],
            "interfaceInteractions": [],
            "custom": state.custom("payment", draft.get("custom")),
        },
    )
    state.emit("PaymentCreated", "payment", made, payment=made)
    return made


def update_payment(state: CommercetoolsState, old: Json, body: Any) -> Json:
    """Run an update of a Payment and tell who listens."""
    new = apply_update(state, "payments", "Payment", old, body, PAYMENTS)
    known = {one["id"]: one["state"] for one in old["transactions"]}
    for one in new["transactions"]:
        if one["id"] not in known:
            state.emit("PaymentTransactionAdded", "payment", new, transaction=one)
        elif one["state"] != known[one["id"]]:
            moved = {"transactionId": one["id"], "state": one["state"]}
            state.emit("PaymentTransactionStateChanged", "payment", new, **moved)
    return new


def _unique_interface_id(
    state: CommercetoolsState, interface_id: str | None, interface: str | None, own_id: str | None
) -> None:
    if interface_id is None:
        return
    for other in state["payments"].by("interfaceId", interface_id):
        if other["paymentMethodInfo"].get("paymentInterface") == interface and other["id"] != own_id:
            raise duplicate_field("interfaceId", interface_id)


def _transaction(state: CommercetoolsState, draft: Json) -> Json:
    made = {
        "id": state.ids.uuid(),
        "state": "Initial",
        **draft,
        "amount": typed_money(draft["amount"]),
        "custom": state.custom("transaction", draft.get("custom")),
    }
    return {name: value for name, value in made.items() if value is not None}


def _add_transaction(state: CommercetoolsState, payment: Json, action: Json) -> Json:
    made = _transaction(state, action["transaction"])
    return {**payment, "transactions": [*payment["transactions"], made]}


def _transaction_setter(name: str) -> Action:
    def apply(state: CommercetoolsState, payment: Json, action: Json) -> Json:
        identifier = action["transactionId"]
        if identifier not in [one["id"] for one in payment["transactions"]]:
            raise resource_not_found(f"ID '{identifier}'")
        changed = [
            {**one, name: action[name]} if one["id"] == identifier else one for one in payment["transactions"]
        ]
        return {**payment, "transactions": changed}

    return apply


def _set_interface_id(state: CommercetoolsState, payment: Json, action: Json) -> Json:
    if payment.get("interfaceId") is not None:
        raise invalid_operation("The interfaceId of a payment can be set only once.")
    interface = payment["paymentMethodInfo"].get("paymentInterface")
    _unique_interface_id(state, action["interfaceId"], interface, payment["id"])
    return {**payment, "interfaceId": action["interfaceId"]}


def _inside(field: str, name: str, source: str | None = None) -> Action:
    def apply(state: CommercetoolsState, payment: Json, action: Json) -> Json:
        return {**payment, field: with_field(payment[field], name, action.get(source or name))}

    return apply


def _change_amount(state: CommercetoolsState, payment: Json, action: Json) -> Json:
    return {**payment, "amountPlanned": typed_money(action["amount"])}


PAYMENTS: dict[str, Action] = {
    "addTransaction": _add_transaction,
    "changeTransactionState": _transaction_setter("state"),
    "changeTransactionTimestamp": _transaction_setter("timestamp"),
    "changeTransactionInteractionId": _transaction_setter("interactionId"),
    "changeAmountPlanned": _change_amount,
    "setInterfaceId": _set_interface_id,
    "setStatusInterfaceCode": _inside("paymentStatus", "interfaceCode"),
    "setStatusInterfaceText": _inside("paymentStatus", "interfaceText"),
    "setMethodInfoMethod": _inside("paymentMethodInfo", "method"),
    "setMethodInfoName": _inside("paymentMethodInfo", "name"),
    "setMethodInfoInterface": _inside("paymentMethodInfo", "paymentInterface", "interface"),
    "setKey": _key_setter("payments"),
    **custom_actions("payment"),
}


# Project


def update_project(state: CommercetoolsState, body: Any) -> Json:
    """Change project settings; only the Messages switch is simulated.

    :raises ApiError: 409 on a stale version, 400 for anything else.
    """
    check(_UPDATE, body)
    old = state.project
    state.check_version({**old, "id": old["key"]}, body["version"])
    new = old
    for action in body["actions"]:
        _checked("Project", action)
        settings = action["messagesConfiguration"]
        if not 1 <= settings["deleteDaysAfterCreation"] <= 90:
            raise invalid_field(
                "deleteDaysAfterCreation", settings["deleteDaysAfterCreation"], "1 to 90 days are possible."
            )
        new = {**new, "messages": settings}
    if not body["actions"]:
        raise required_field("actions")
    state.project = {**new, "version": old["version"] + 1}
    return state.project
