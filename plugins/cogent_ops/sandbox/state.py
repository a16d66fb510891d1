"""Everything the simulated commercetools project holds, and what happens to it.

Where the facts leave a behaviour of the real API open, :class:`Behaviour` makes it a switch whose default is the
answer that is hardest on a client: versions that jump, order-driven stock changes that no delta query shows, product
versions that move because stock moved.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import takewhile
from typing import Any, Literal

from cogent_ops.sandbox.answers import (
    Json,
    concurrent_modification,
    invalid_field,
    invalid_operation,
    reference_exists,
    reference_not_found,
    required_field,
)
from cogent_ops.sandbox.collection import Clock, Collection, Ids, wire_time
from cogent_ops.sandbox.dataset import Dataset, all_variants, reference

RESOURCE_OF_TYPE = {
    "product": "product-projections",
    "category": "categories",
    "channel": "channels",
    "product-type": "product-types",
    "tax-category": "tax-categories",
    "customer-group": "customer-groups",
    "store": "stores",
    "standalone-price": "standalone-prices",
    "inventory-entry": "inventory",
    "type": "types",
    "key-value-document": "custom-objects",
    "payment": "payments",
    "order": "orders",
}
FRACTION_DIGITS = {
    "JPY": 0,
    "KRW": 0,
    "ISK": 0,
    "CLP": 0,
    "VND": 0,
    "XAF": 0,
    "XOF": 0,
    "XPF": 0,
    "BHD": 3,
    "IQD": 3,
    "JOD": 3,
    "KWD": 3,
    "LYD": 3,
    "OMR": 3,
    "TND": 3,
}


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Open questions about the commercetools API, as switches. Lags are off unless asked for.

    :param token_seconds: life time of an access token; the real default is 172,800.
    :param scopes: scopes of the API client.
    :param order_lag_seconds: how late an order shows in the inventory (documented: up to about ten seconds).
    :param order_touches_entry: whether an order bumps version and ``lastModifiedAt`` of the InventoryEntry.
    :param availability_lag_seconds: how late a projection shows what the inventory says.
    :param stock_touches_product: what a change of availability does to the product: nothing, its version, or
        version and ``lastModifiedAt``.
    :param message_lag_seconds: how late a Message becomes visible; its ``createdAt`` is not moved.
    :param version_step_per_action: versions grow by the number of actions instead of by one.
    :param no_op_bumps: whether an update that changes nothing makes a new version.
    :param unknown_sku_code: error code when an imported order names a SKU that is in no product.
    :param max_uri_bytes: longest request target.
    :param long_uri_status: how a longer one is refused; both have been seen.
    """

    token_seconds: int = 172_800
    scopes: tuple[str, ...] = ("manage_project:sandbox",)
    client_id: str = "sandbox-client"
    client_secret: str = "sandbox-secret"  # noqa: S105  (opens nothing but the sandbox)
    order_lag_seconds: float = 0.0
    order_touches_entry: bool = False
    availability_lag_seconds: float = 0.0
    stock_touches_product: Literal["nothing", "version", "modified"] = "version"
    message_lag_seconds: float = 0.0
    version_step_per_action: bool = True
    no_op_bumps: bool = False
    unknown_sku_code: Literal["ReferencedResourceNotFound", "InvalidInput"] = "ReferencedResourceNotFound"
    max_uri_bytes: int = 8192
    long_uri_status: Literal[404, 414] = 414


#: Client id under which the sandbox's own people and systems change resources, as in the Merchant Center.
PEOPLE = "sandbox-people"


class CommercetoolsState:
    """One project. Every method must be called with :attr:`lock` held.

    :param dataset: what the project starts with; it is not changed.
    """

    def __init__(self, dataset: Dataset, clock: Clock, behaviour: Behaviour, seed: int = 0) -> None:
        self.clock, self.behaviour = clock, behaviour
        self.lock = threading.RLock()
        self.ids = Ids(seed)
        self.writer = PEOPLE
        self.messages_stopped: Callable[[], bool] = lambda: False
        self._dataset = dataset
        self.reset()

    def reset(self) -> None:
        """Return to the dataset."""
        data = self._dataset
        self.project: Json = dict(data.project)
        self.selections: dict[str, list[Json]] = {}
        self._sequence: dict[str, int] = {}
        #: Of each Subscription by its id, how many notifications were delivered, held back and discarded.
        self.notified: dict[str, Counter[str]] = {}
        self._pending: list[tuple[datetime, Callable[[], object]]] = []
        self._outdated: dict[str, Json | None] = {}
        self._reserved: dict[str, int] = {
            entry["id"]: entry["quantityOnStock"] - entry["availableQuantity"]
            for entry in data.inventory
            if entry["quantityOnStock"] != entry["availableQuantity"]
        }
        self.collections = _collections()
        for name, resources in _content(data).items():
            self.collections[name].load(resources)
        made = {"createdAt": self.clock.stamp(), "lastModifiedAt": self.clock.stamp()}
        scope = " ".join(self.behaviour.scopes)
        self.collections["api-clients"].put(
            {"id": self.behaviour.client_id, "name": "Sandbox", "scope": scope, **made}
        )

    @property
    def key(self) -> str:
        """The project key."""
        return str(self.project["key"])

    def __getitem__(self, resource: str) -> Collection:
        """The collection behind a path such as ``inventory``."""
        return self.collections[resource]

    # Time

    def later(self, seconds: float, effect: Callable[[], object]) -> None:
        """Do something now, or once so much simulated time has passed."""
        if seconds <= 0:
            effect()
        else:
            self._pending.append((self.clock.now() + timedelta(seconds=seconds), effect))

    def settle(self) -> None:
        """Carry out what has fallen due, and forget Messages that are older than the project keeps them."""
        self._forget_messages()
        if not self._pending:
            return
        now = self.clock.now()
        due = [effect for when, effect in self._pending if when <= now]
        self._pending = [(when, effect) for when, effect in self._pending if when > now]
        for effect in due:
            effect()

    def _forget_messages(self) -> None:
        keep = timedelta(days=self.project["messages"].get("deleteDaysAfterCreation", 15))
        oldest = wire_time(self.clock.now() - keep)
        messages = self.collections["messages"]
        for message in list(takewhile(lambda message: message["createdAt"] < oldest, messages)):
            messages.remove(message["id"])

    # Resources

    @contextmanager
    def written_by(self, client_id: str) -> Iterator[None]:
        """What changes meanwhile was changed by an API client."""
        self.writer = client_id
        try:
            yield
        finally:
            self.writer = PEOPLE

    def changed(self) -> Json:
        """When a resource was changed last and by whom: now, by whoever writes."""
        return {"lastModifiedAt": self.clock.stamp(), "lastModifiedBy": {"clientId": self.writer}}

    def head(self) -> Json:
        """Id, version and timestamps of a new resource."""
        changed = self.changed()
        made = {"createdAt": changed["lastModifiedAt"], "createdBy": changed["lastModifiedBy"]}
        return {"id": self.ids.uuid(), "version": 1, **made, **changed}

    def add(self, resource: str, content: Mapping[str, Any]) -> Json:
        """Store a new resource; fields that are ``None`` are left out, as the API does."""
        made = {**self.head(), **{name: value for name, value in content.items() if value is not None}}
        self.collections[resource].put(made)
        return made

    def replace(self, resource: str, old: Json, new: Json, actions: int = 1) -> Json:
        """Store a changed resource under a new version."""
        if new == old and not self.behaviour.no_op_bumps:
            return old
        step = max(1, actions) if self.behaviour.version_step_per_action else 1
        made = {**new, "version": old["version"] + step, **self.changed()}
        self.collections[resource].put(made)
        return made

    def touch(self, resource: str, identifier: str) -> None:
        """Bump a version as another client's harmless update would."""
        old = self.collections[resource].get(identifier)
        if old is not None:
            self.collections[resource].put({**old, "version": old["version"] + 1, **self.changed()})

    @staticmethod
    def check_version(resource: Json, version: int) -> None:
        """Optimistic locking.

        :raises ApiError: 409 ``ConcurrentModification`` with ``currentVersion``.
        """
        if resource["version"] != version:
            raise concurrent_modification(resource["id"], version, resource["version"])

    def resolve(self, identifier: Mapping[str, Any] | None) -> Json | None:
        """Turn a ResourceIdentifier into a Reference.

        :raises ApiError: 400 ``ReferencedResourceNotFound``.
        """
        return None if identifier is None else reference(identifier["typeId"], self.find(identifier)["id"])

    def find(self, identifier: Mapping[str, Any]) -> Json:
        """The resource behind a ResourceIdentifier (or a Reference).

        :raises ApiError: 400 ``ReferencedResourceNotFound``.
        """
        type_id = identifier["typeId"]
        collection = self.collections[RESOURCE_OF_TYPE[type_id]]
        found = None
        if identifier.get("id") is not None:
            found = collection.get(identifier["id"])
        elif identifier.get("key") is not None:
            found = collection.first("key", identifier["key"])
        if found is None:
            raise reference_not_found(type_id, identifier)
        return found

    def check_unreferenced(self, type_id: str, identifier: str) -> None:
        """Refuse to delete what something points at.

        :raises ApiError: 400 ``ReferenceExists`` naming the kind of resource that does.
        """
        wanted = reference(type_id, identifier)
        for name in self.collections.keys() - {"messages", "custom-objects", "subscriptions", "api-clients"}:
            if any(_mentions(resource, wanted) for resource in self.collections[name]):
                raise reference_exists(identifier, self.collections[name].type_id)

    def select(self, store: str, selection: str, products: Sequence[str], *, active: bool = True) -> None:
        """Give a store a Product Selection.

        :param store: the store's key.
        :param selection: id of the selection.
        :param products: ids of its products.
        :raises ApiError: 400 when the store or a product does not exist.
        """
        old = self.find({"typeId": "store", "key": store})
        rows = [{"product": self.resolve(reference("product", one))} for one in products]
        self.selections[selection] = rows
        link = {"productSelection": reference("product-selection", selection), "active": active}
        self.replace("stores", old, {**old, "productSelections": [*old["productSelections"], link]})

    # Custom fields

    def custom(self, resource_type_id: str, draft: Mapping[str, Any] | None) -> Json | None:
        """CustomFields from a draft; every field is checked against its definition.

        :raises ApiError: 400 when the Type does not fit the resource or a field does not fit the Type.
        """
        if draft is None:
            return None
        definition = self.find(draft["type"])
        if resource_type_id not in definition["resourceTypeIds"]:
            allowed = ", ".join(definition["resourceTypeIds"])
            raise invalid_operation(
                f"Type '{definition['key']}' is for {allowed}, not for {resource_type_id}."
            )
        fields = {name: value for name, value in (draft.get("fields") or {}).items() if value is not None}
        for name, value in fields.items():
            _check_custom_field(definition, name, value)
        for known in definition["fieldDefinitions"]:
            if known["required"] and known["name"] not in fields:
                raise required_field(f"custom.fields.{known['name']}")
        return {"type": reference("type", definition["id"]), "fields": fields}

    def with_custom_field(self, resource: Json, name: str, value: Any) -> Json:
        """The resource with one custom field set, or removed when the value is ``None``.

        :raises ApiError: 400 when the resource has no Type or the Type has no such field.
        """
        if "custom" not in resource:
            raise invalid_operation("The resource has no custom Type; use setCustomType first.")
        definition = self.find(resource["custom"]["type"])
        _check_custom_field(definition, name, value)
        fields = {**resource["custom"]["fields"], name: value}
        if value is None:
            del fields[name]
        return {**resource, "custom": {**resource["custom"], "fields": fields}}

    # Stock

    def entry(self, sku: str, channel_id: str | None) -> Json | None:
        """The InventoryEntry of a SKU in a supply channel; ``None`` is the channel-less pool."""
        for entry in self.collections["inventory"].by("sku", sku):
            if (entry.get("supplyChannel") or {}).get("id") == channel_id:
                return entry
        return None

    def stocked(self, entry: Json, on_stock: int) -> Json:
        """The entry with another quantity; ``availableQuantity`` is what reservations leave of it."""
        return {
            **entry,
            "quantityOnStock": on_stock,
            "availableQuantity": on_stock - self._reserved.get(entry["id"], 0),
        }

    def deduct(self, entry_id: str, quantity: int, *, reserve: bool) -> None:
        """What an order does to an entry, once the lag is over.

        :param quantity: pieces sold; negative gives back.
        :param reserve: reserve (available only) instead of taking from stock.
        """
        old = self.collections["inventory"].get(entry_id)
        if old is None:
            return
        if reserve:
            self._reserved[entry_id] = self._reserved.get(entry_id, 0) + quantity
        new = self.stocked(old, old["quantityOnStock"] - (0 if reserve else quantity))
        if self.behaviour.order_touches_entry:
            new = {**new, "version": old["version"] + 1, "lastModifiedAt": self.clock.stamp()}
        with self.stock_moves(old["sku"]):
            self.collections["inventory"].put(new)

    @contextmanager
    def stock_moves(self, sku: str) -> Iterator[None]:
        """Around a change of a SKU's inventory: projections hear of it late, the product's version moves."""
        shown, before = self.availability(sku), self._available(sku)
        yield
        if self._available(sku) == before:
            return
        lag = self.behaviour.availability_lag_seconds
        if lag > 0 and sku not in self._outdated:
            self._outdated[sku] = shown
            self.later(lag, partial(self._outdated.pop, sku))
        self._touch_product(sku)

    def _available(self, sku: str) -> list[tuple[str, int]]:
        entries = self.collections["inventory"].by("sku", sku)
        return [(str(entry.get("supplyChannel")), entry["availableQuantity"]) for entry in entries]

    def _touch_product(self, sku: str) -> None:
        how = self.behaviour.stock_touches_product
        if how == "nothing":
            return
        for product in self.collections["product-projections"].by("masterVariant.sku", sku):
            modified = self.clock.stamp() if how == "modified" else product["lastModifiedAt"]
            changed = {**product, "version": product["version"] + 1, "lastModifiedAt": modified}
            self.collections["product-projections"].put(changed)

    def availability(self, sku: str | None) -> Json | None:
        """``ProductVariantAvailability`` from the inventory; ``None`` when there is no entry."""
        if sku is None:
            return None
        if sku in self._outdated:
            return self._outdated[sku]
        answer: Json = {}
        channels: Json = {}
        for entry in self.collections["inventory"].by("sku", sku):
            quantity = entry["availableQuantity"]
            part = {
                "isOnStock": quantity > 0,
                "availableQuantity": quantity,
                "id": entry["id"],
                "version": entry["version"],
            }
            if "supplyChannel" in entry:
                channels[entry["supplyChannel"]["id"]] = part
            else:
                answer.update(part)
        if channels:
            answer["channels"] = channels
        return answer or None

    # Messages

    def emit(self, kind: str, type_id: str, resource: Json, **payload: Any) -> None:
        """Write a Message, unless the project has them off or notifications have stopped.

        Subscriptions are told in either case.
        """
        self._notify(kind, type_id)
        if not self.project["messages"]["enabled"] or self.messages_stopped():
            return
        identifier = resource["id"]
        self._sequence[identifier] = self._sequence.get(identifier, 0) + 1
        named = {name: resource[name] for name in ("key", "orderNumber", "sku") if resource.get(name)}
        message = {
            **self.head(),
            "sequenceNumber": self._sequence[identifier],
            "resource": reference(type_id, identifier),
            "resourceVersion": resource["version"],
            "type": kind,
            **({"resourceUserProvidedIdentifiers": named} if named else {}),
            **{name: value for name, value in payload.items() if value is not None},
        }
        self.later(self.behaviour.message_lag_seconds, lambda: self.collections["messages"].put(message))

    def _notify(self, kind: str, type_id: str) -> None:
        """Count what Subscriptions do with a notification."""
        for one in self.collections["subscriptions"]:
            wanted = any(
                message["resourceTypeId"] == type_id and kind in (message.get("types") or [kind])
                for message in one["messages"]
            )
            if wanted or any(change["resourceTypeId"] == type_id for change in one["changes"]):
                self.notified.setdefault(one["id"], Counter())[fate(one["status"])] += 1

    def canonical(self) -> Json:
        """What counts when two end states are compared: no ids, versions or timestamps of our own making."""
        channels = {channel["id"]: channel["key"] for channel in self.collections["channels"]}
        return {
            "inventory": {
                f"{entry['sku']}@{channels.get((entry.get('supplyChannel') or {}).get('id', ''), '')}": [
                    entry["quantityOnStock"],
                    entry["availableQuantity"],
                ]
                for entry in self.collections["inventory"]
            },
            "orders": {
                order.get("orderNumber", order["id"]): self._canonical_order(order, channels)
                for order in self.collections["orders"]
            },
            "products": {
                product["id"]: product["published"] for product in self.collections["product-projections"]
            },
            "types": sorted(kind["key"] for kind in self.collections["types"]),
            "channels": {channel["key"]: channel["roles"] for channel in self.collections["channels"]},
        }

    def _canonical_order(self, order: Json, channels: Mapping[str, str]) -> Json:
        lines = {line["id"]: line for line in [*order["lineItems"], *order["customLineItems"]]}
        return {
            **{name: order.get(name) for name in ("orderState", "paymentState", "shipmentState")},
            "currency": order["totalPrice"]["currencyCode"],
            "total": order["totalPrice"]["centAmount"],
            "lines": [
                [
                    line["variant"].get("sku"),
                    line["quantity"],
                    line["price"]["value"]["centAmount"],
                    channels.get((line.get("supplyChannel") or {}).get("id", "")),
                ]
                for line in order["lineItems"]
            ],
            "customLines": [
                [line["slug"], line["quantity"], line["money"]["centAmount"]]
                for line in order["customLineItems"]
            ],
            "store": (order.get("store") or {}).get("key"),
            "inventoryMode": order["inventoryMode"],
            "custom": order.get("custom", {}).get("fields", {}),
            "payments": [
                self._canonical_payment(payment["id"])
                for payment in order.get("paymentInfo", {}).get("payments", [])
            ],
            "returns": [
                [_line_name(lines[item.get("lineItemId") or item["customLineItemId"]]), item["quantity"]]
                for info in order["returnInfo"]
                for item in info["items"]
            ],
        }

    def _canonical_payment(self, identifier: str) -> Json | None:
        payment = self.collections["payments"].get(identifier)
        if payment is None:
            return None
        return {
            "key": payment.get("key"),
            "planned": payment["amountPlanned"]["centAmount"],
            "transactions": [
                [one["type"], one["state"], one["amount"]["centAmount"]] for one in payment["transactions"]
            ],
        }


def _line_name(line: Json) -> str:
    """SKU of a line item, slug of a custom one."""
    return str(line["slug"] if "slug" in line else line["variant"].get("sku"))


def fate(status: str) -> str:
    """What a Subscription of a status does with notifications: ``delivered``, ``held`` or ``discarded``."""
    fates = {"Healthy": "delivered", "TemporaryError": "held", "ConfigurationError": "held"}
    return fates.get(status, "discarded")


def _collections() -> dict[str, Collection]:
    plain = {name: Collection(type_id) for type_id, name in RESOURCE_OF_TYPE.items()}
    variants = {"masterVariant.sku": _variant_skus, "variants.sku": _variant_skus}
    return {
        **plain,
        "product-projections": Collection("product", variants),
        "inventory": Collection("inventory-entry", {"sku": _sku}),
        "standalone-prices": Collection("standalone-price", {"sku": _sku}),
        "orders": Collection(
            "order", {"orderNumber": _order_number, "paymentInfo.payments.id": _payment_ids}
        ),
        "payments": Collection("payment", {"interfaceId": _interface_id}),
        "custom-objects": Collection("key-value-document", {"container/key": _container_and_key}),
        "messages": Collection("message"),
        "subscriptions": Collection("subscription"),
        "api-clients": Collection("api-client"),
    }


def _content(data: Dataset) -> dict[str, list[Json]]:
    return {
        "product-projections": [
            {"published": True, "hasStagedChanges": False, "attributes": [], **product}
            for product in data.products
        ],
        "categories": data.categories,
        "channels": data.channels,
        "product-types": data.product_types,
        "tax-categories": data.tax_categories,
        "customer-groups": data.customer_groups,
        "stores": data.stores,
        "standalone-prices": data.standalone_prices,
        "inventory": data.inventory,
        "types": data.types,
    }


def _variant_skus(product: Json) -> list[str]:
    return [variant["sku"] for variant in all_variants(product) if variant.get("sku")]


def _sku(resource: Json) -> list[str]:
    return [resource["sku"]]


def _order_number(order: Json) -> list[str]:
    return [order["orderNumber"]] if order.get("orderNumber") else []


def _payment_ids(order: Json) -> list[str]:
    return [payment["id"] for payment in order.get("paymentInfo", {}).get("payments", [])]


def _interface_id(payment: Json) -> list[str]:
    return [payment["interfaceId"]] if payment.get("interfaceId") else []


def _container_and_key(custom_object: Json) -> list[str]:
    return [f"{custom_object['container']}/{custom_object['key']}"]


def _mentions(value: Any, wanted: Json) -> bool:
    """Whether a reference stands anywhere inside a resource."""
    if isinstance(value, dict):
        return value == wanted or any(_mentions(inner, wanted) for inner in value.values())
    return isinstance(value, list) and any(_mentions(inner, wanted) for inner in value)


def typed_money(money: Mapping[str, Any]) -> Json:
    """``CentPrecisionMoney`` from a draft's ``Money``."""
    currency = money["currencyCode"]
    return {
        "type": "centPrecision",
        "currencyCode": currency,
        "centAmount": money["centAmount"],
        "fractionDigits": FRACTION_DIGITS.get(currency, 2),
    }


def field_definition(kind: Mapping[str, Any], name: str) -> Json | None:
    """A field definition of a Type by name."""
    return next((known for known in kind["fieldDefinitions"] if known["name"] == name), None)


def _check_custom_field(kind: Mapping[str, Any], name: str, value: Any) -> None:
    definition = field_definition(kind, name)
    if definition is None:
        raise invalid_field(f"custom.fields.{name}", value, f"Type '{kind['key']}' has no field '{name}'.")
    if value is None:
        if definition["required"]:
            raise required_field(f"custom.fields.{name}")
        return
    if not _fits(definition["type"], value):
        expected = definition["type"]["name"]
        raise invalid_field(
            f"custom.fields.{name}", value, f"Field '{name}' takes values of type {expected}."
        )


def _fits(field_type: Mapping[str, Any], value: Any) -> bool:
    match field_type["name"]:
        case "Set":
            return isinstance(value, list) and all(_fits(field_type["elementType"], one) for one in value)
        case "Enum":
            return value in [option["key"] for option in field_type["values"]]
        case "Boolean":
            return isinstance(value, bool)
        case "Number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "LocalizedString" | "Money" | "Reference":
            return isinstance(value, dict)
    return isinstance(value, str)
