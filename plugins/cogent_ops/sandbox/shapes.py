"""Shapes of what the commercetools part of the sandbox accepts and can be asked about.

Three tables, each checked field by field against the official OpenAPI by the contract test: request bodies
(``DRAFTS``), update actions (``ACTIONS``) and queryable fields (``FIELDS``). Names on the left are those of the
API. A body field that is not in its table is refused, never dropped: the sandbox would rather stop a test than let
it believe that a field had an effect.

A shape is the name of a leaf type, ``ref:<typeId>`` for a ResourceIdentifier, ``enum:<name>``, a one-element list
for an array, or a dictionary of fields in which a trailing ``!`` marks a required one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from cogent_ops.sandbox.answers import invalid_field, invalid_json, required_field
from cogent_ops.sandbox.predicates import Fields, moment

ENUMS: dict[str, tuple[str, ...]] = {
    "ChannelRoleEnum": ("InventorySupply", "ProductDistribution", "OrderExport", "OrderImport", "Primary"),
    "OrderState": ("Open", "Confirmed", "Complete", "Cancelled"),
    "PaymentState": ("BalanceDue", "Failed", "Pending", "CreditOwed", "Paid"),
    "ShipmentState": (
        "Shipped",
        "Delivered",
        "Ready",
        "Pending",
        "Delayed",
        "Partial",
        "Backorder",
        "Canceled",
    ),
    "InventoryMode": ("None", "TrackOnly", "ReserveOnOrder", "ReserveOnCart"),
    "CartOrigin": ("Customer", "Merchant", "Quote", "RecurringOrder"),
    "TransactionType": ("Authorization", "CancelAuthorization", "Charge", "Refund", "Chargeback"),
    "TransactionState": ("Initial", "Pending", "Success", "Failure"),
    "ReturnShipmentState": ("Advised", "Returned", "BackInStock", "Unusable"),
    "ReturnPaymentState": ("NonRefundable", "Initial", "Refunded", "NotRefunded"),
    "RoundingMode": ("HalfEven", "HalfUp", "HalfDown"),
    "TaxCalculationMode": ("LineItemLevel", "UnitPriceLevel"),
    "CustomLineItemPriceMode": ("Standard", "External"),
    "TypeTextInputHint": ("SingleLine", "MultiLine"),
    "SubscriptionHealthStatus": (
        "Healthy",
        "ConfigurationError",
        "ConfigurationErrorDeliveryStopped",
        "TemporaryError",
        "ManuallySuspended",
    ),
    "MessageSubscriptionResourceTypeId": (
        "approval-flow",
        "approval-rule",
        "associate-role",
        "business-unit",
        "category",
        "customer",
        "customer-email-token",
        "customer-group",
        "customer-password-token",
        "inventory-entry",
        "order",
        "payment",
        "product",
        "product-selection",
        "product-tailoring",
        "quote",
        "quote-request",
        "review",
        "shopping-list",
        "staged-quote",
        "standalone-price",
        "store",
    ),
    "ChangeSubscriptionResourceTypeId": (
        "approval-flow",
        "approval-rule",
        "associate-role",
        "attribute-group",
        "business-unit",
        "cart",
        "cart-discount",
        "category",
        "channel",
        "customer",
        "customer-email-token",
        "customer-group",
        "customer-password-token",
        "discount-code",
        "discount-group",
        "extension",
        "inventory-entry",
        "key-value-document",
        "order",
        "order-edit",
        "payment",
        "product",
        "product-discount",
        "product-selection",
        "product-tailoring",
        "product-type",
        "quote",
        "quote-request",
        "recurrence-policy",
        "recurring-order",
        "review",
        "shipping-method",
        "shopping-list",
        "staged-quote",
        "standalone-price",
        "state",
        "store",
        "subscription",
        "tax-category",
        "type",
        "zone",
    ),
    "ResourceTypeId": (
        "address",
        "approval-flow",
        "approval-rule",
        "asset",
        "associate-role",
        "business-unit",
        "cart-discount",
        "category",
        "channel",
        "customer",
        "customer-group",
        "custom-line-item",
        "discount-code",
        "inventory-entry",
        "line-item",
        "order",
        "order-delivery",
        "order-edit",
        "order-parcel",
        "order-return-item",
        "payment",
        "payment-interface-interaction",
        "payment-method",
        "payment-method-info",
        "product-price",
        "product-selection",
        "product-tailoring",
        "quote",
        "recurring-order",
        "reservation",
        "review",
        "shipping",
        "shipping-method",
        "shopping-list",
        "shopping-list-text-line-item",
        "standalone-price",
        "store",
        "transaction",
    ),
}

ADDRESS: dict[str, Any] = {
    "id": "text",
    "key": "text",
    "country!": "country",
    **dict.fromkeys(
        (
            "title",
            "salutation",
            "firstName",
            "lastName",
            "streetName",
            "streetNumber",
            "additionalStreetInfo",
            "postalCode",
            "city",
            "region",
            "state",
            "company",
            "department",
            "building",
            "apartment",
            "pOBox",
            "phone",
            "mobile",
            "email",
            "fax",
            "additionalAddressInfo",
            "externalId",
        ),
        "text",
    ),
}
STOCK_LEVELS = {"reorderPoint": "int", "safetyStock": "int"}
CUSTOM = {"type!": "ref:type", "fields": "fields"}
TAX_RATE = {
    "id": "text",
    "key": "text",
    "name!": "text",
    "amount!": "number",
    "includedInPrice!": "bool",
    "country!": "country",
    "state": "text",
}
TAX_PORTION = {"name": "text", "rate!": "number", "amount!": "money"}
PRICE = {
    "key": "text",
    "value!": "money",
    "country": "country",
    "customerGroup": "ref:customer-group",
    "channel": "ref:channel",
    "validFrom": "time",
    "validUntil": "time",
    "custom": CUSTOM,
}
TRANSACTION = {
    "timestamp": "time",
    "type!": "enum:TransactionType",
    "amount!": "money",
    "interactionId": "text",
    "state": "enum:TransactionState",
    "custom": CUSTOM,
    "interfaceId": "text",
}
RETURN_ITEM = {
    "key": "key",
    "quantity!": "int",
    "lineItemId": "text",
    "customLineItemId": "text",
    "comment": "text",
    "shipmentState!": "enum:ReturnShipmentState",
    "custom": CUSTOM,
}
RETURN_INFO = {"items!": [RETURN_ITEM], "returnTrackingId": "text", "returnDate": "time"}
FIELD_DEFINITION = {
    "type!": "fieldtype",
    "name!": "fieldname",
    "label!": "localized",
    "required!": "bool",
    "inputHint": "enum:TypeTextInputHint",
}

MESSAGE_SUBSCRIPTION = {"resourceTypeId!": "enum:MessageSubscriptionResourceTypeId", "types": ["text"]}
CHANGE_SUBSCRIPTION = {"resourceTypeId!": "enum:ChangeSubscriptionResourceTypeId"}
#: What a Subscription's destination needs besides its type.
DESTINATIONS: dict[str, tuple[str, ...]] = {
    "SQS": ("queueUrl", "region"),
    "SNS": ("topicArn",),
    "GoogleCloudPubSub": ("projectId", "topic"),
    "AzureServiceBus": ("connectionString",),
}

DRAFTS: dict[str, dict[str, Any]] = {
    "InventoryEntryDraft": {
        "sku!": "text",
        "key": "key",
        "supplyChannel": "ref:channel",
        "quantityOnStock!": "int",
        "minCartQuantity": "int",
        "maxCartQuantity": "int",
        "restockableInDays": "int",
        "expectedDelivery": "time",
        "reservationExpirationInMinutes": "int",
        "stockLevels": STOCK_LEVELS,
        "custom": CUSTOM,
    },
    "ChannelDraft": {
        "key!": "key",
        "roles": ["enum:ChannelRoleEnum"],
        "name": "localized",
        "description": "localized",
        "address": ADDRESS,
        "custom": CUSTOM,
        "geoLocation": "point",
    },
    "TypeDraft": {
        "key!": "key",
        "name!": "localized",
        "description": "localized",
        "resourceTypeIds!": ["enum:ResourceTypeId"],
        "fieldDefinitions": [FIELD_DEFINITION],
    },
    "SubscriptionDraft": {
        "key": "key",
        "destination!": "destination",
        "messages": [MESSAGE_SUBSCRIPTION],
        "changes": [CHANGE_SUBSCRIPTION],
        "format": "deliveryformat",
    },
    "CustomObjectDraft": {"container!": "container", "key!": "container", "value!": "any", "version": "int"},
    "PaymentDraft": {
        "externalId": "text",
        "interfaceId": "text",
        "amountPlanned!": "money",
        "paymentMethodInfo": {
            "paymentInterface": "text",
            "method": "text",
            "name": "localized",
            "interfaceAccount": "text",
            "custom": CUSTOM,
        },
        "paymentStatus": {"interfaceCode": "text", "interfaceText": "text"},
        "transactions": [TRANSACTION],
        "custom": CUSTOM,
        "key": "key",
    },
    "OrderImportDraft": {
        "orderNumber": "text",
        "purchaseOrderNumber": "text",
        "customerId": "text",
        "customerEmail": "text",
        "customerGroup": "ref:customer-group",
        "store": "ref:store",
        "lineItems": [
            {
                "name!": "localized",
                "key": "key",
                "variant!": {"id": "int", "sku": "text"},
                "productId": "text",
                "quantity!": "int",
                "price!": PRICE,
                "taxRate": TAX_RATE,
                "distributionChannel": "ref:channel",
                "supplyChannel": "ref:channel",
                "inventoryMode": "enum:InventoryMode",
                "custom": CUSTOM,
            }
        ],
        "customLineItems": [
            {
                "name!": "localized",
                "key": "key",
                "slug!": "text",
                "quantity!": "int",
                "money!": "money",
                "taxRate": TAX_RATE,
                "taxCategory": "ref:tax-category",
                "priceMode": "enum:CustomLineItemPriceMode",
                "custom": CUSTOM,
            }
        ],
        "totalPrice!": "money",
        "taxedPrice": {"totalNet!": "money", "totalGross!": "money", "taxPortions!": [TAX_PORTION]},
        "priceRoundingMode": "enum:RoundingMode",
        "taxRoundingMode": "enum:RoundingMode",
        "taxCalculationMode": "enum:TaxCalculationMode",
        "inventoryMode": "enum:InventoryMode",
        "billingAddress": ADDRESS,
        "shippingAddress": ADDRESS,
        "paymentInfo": {"payments!": ["reference:payment"]},
        "paymentState": "enum:PaymentState",
        "shipmentState": "enum:ShipmentState",
        "orderState": "enum:OrderState",
        "country": "country",
        "origin": "enum:CartOrigin",
        "completedAt": "time",
        "custom": CUSTOM,
    },
}

_SET_TYPE = {"type": "ref:type", "fields": "fields"}
_SET_FIELD = {"name!": "text", "value": "any"}

ACTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "InventoryEntry": {
        "addQuantity": {"quantity!": "int"},
        "removeQuantity": {"quantity!": "int"},
        "changeQuantity": {"quantity!": "int"},
        "setKey": {"key": "key"},
        "setSupplyChannel": {"supplyChannel": "ref:channel"},
        "setRestockableInDays": {"restockableInDays": "int"},
        "setExpectedDelivery": {"expectedDelivery": "time"},
        "setInventoryLimits": {"minCartQuantity": "int", "maxCartQuantity": "int"},
        "setSafetyStock": {"quantity": "int"},
        "setReorderPoint": {"quantity": "int"},
        "setReservationExpirationInMinutes": {"reservationExpirationInMinutes": "int"},
        "setCustomType": _SET_TYPE,
        "setCustomField": _SET_FIELD,
    },
    "Channel": {
        "addRoles": {"roles!": ["enum:ChannelRoleEnum"]},
        "removeRoles": {"roles!": ["enum:ChannelRoleEnum"]},
        "setRoles": {"roles!": ["enum:ChannelRoleEnum"]},
        "changeKey": {"key!": "key"},
        "changeName": {"name!": "localized"},
        "changeDescription": {"description!": "localized"},
        "setAddress": {"address": ADDRESS},
        "setCustomType": _SET_TYPE,
        "setCustomField": _SET_FIELD,
    },
    "Type": {
        "addFieldDefinition": {"fieldDefinition!": FIELD_DEFINITION},
        "removeFieldDefinition": {"fieldName!": "text"},
        "changeKey": {"key!": "key"},
        "changeName": {"name!": "localized"},
        "setDescription": {"description": "localized"},
        "changeLabel": {"fieldName!": "text", "label!": "localized"},
    },
    "Subscription": {
        "setKey": {"key": "key"},
        "setMessages": {"messages": [MESSAGE_SUBSCRIPTION]},
        "setChanges": {"changes": [CHANGE_SUBSCRIPTION]},
        "changeDestination": {"destination!": "destination"},
    },
    "Order": {
        "changeOrderState": {"orderState!": "enum:OrderState"},
        "changePaymentState": {"paymentState!": "enum:PaymentState"},
        "changeShipmentState": {"shipmentState!": "enum:ShipmentState"},
        "addReturnInfo": {"items!": [RETURN_ITEM], "returnTrackingId": "text", "returnDate": "time"},
        "setReturnInfo": {"items": [RETURN_INFO]},
        "setReturnShipmentState": {
            "returnItemId": "text",
            "returnItemKey": "text",
            "shipmentState!": "enum:ReturnShipmentState",
        },
        "setReturnPaymentState": {
            "returnItemId": "text",
            "returnItemKey": "text",
            "paymentState!": "enum:ReturnPaymentState",
        },
        "addPayment": {"payment!": "ref:payment"},
        "removePayment": {"payment!": "ref:payment"},
        "setOrderNumber": {"orderNumber": "text"},
        "setPurchaseOrderNumber": {"purchaseOrderNumber": "text"},
        "setCustomerEmail": {"email": "text"},
        "setShippingAddress": {"address": ADDRESS},
        "setBillingAddress": {"address": ADDRESS},
        "setStore": {"store": "ref:store"},
        "updateSyncInfo": {"externalId": "text", "channel!": "ref:channel", "syncedAt": "time"},
        "setCustomType": _SET_TYPE,
        "setCustomField": _SET_FIELD,
    },
    "Payment": {
        "addTransaction": {"transaction!": TRANSACTION},
        "changeTransactionState": {"transactionId!": "text", "state!": "enum:TransactionState"},
        "changeTransactionTimestamp": {"transactionId!": "text", "timestamp!": "time"},
        "changeTransactionInteractionId": {"transactionId!": "text", "interactionId!": "text"},
        "changeAmountPlanned": {"amount!": "money"},
        "setInterfaceId": {"interfaceId!": "text"},
        "setStatusInterfaceCode": {"interfaceCode": "text"},
        "setStatusInterfaceText": {"interfaceText!": "text"},
        "setMethodInfoMethod": {"method": "text"},
        "setMethodInfoName": {"name": "localized"},
        "setMethodInfoInterface": {"interface!": "text"},
        "setKey": {"key": "key"},
        "setCustomType": _SET_TYPE,
        "setCustomField": _SET_FIELD,
    },
    "Project": {
        "changeMessagesConfiguration": {
            "messagesConfiguration!": {"enabled!": "bool", "deleteDaysAfterCreation!": "int"}
        }
    },
}

# Queryable fields, by resource.
_BASE: Fields = {"id": "text", "version": "number", "createdAt": "time", "lastModifiedAt": "time"}
_REF: Fields = {"typeId": "text", "id": "text"}
_KEY_REF: Fields = {"typeId": "text", "key": "text"}
_TEXTS: Fields = {"*": "text"}
_MONEY: Fields = {
    "type": "text",
    "currencyCode": "text",
    "centAmount": "number",
    "fractionDigits": "number",
}
_CUSTOM: Fields = {"type": _REF, "fields": {"*": "any"}}
_PRICE: Fields = {
    "id": "text",
    "key": "text",
    "value": _MONEY,
    "country": "text",
    "customerGroup": _REF,
    "channel": _REF,
    "validFrom": "time",
    "validUntil": "time",
    "discounted": {"value": _MONEY, "discount": _REF},
    "custom": _CUSTOM,
}
_ATTRIBUTES: Fields = {"name": "text", "value": "any"}
_VARIANT: Fields = {
    "id": "number",
    "sku": "text",
    "key": "text",
    "prices": _PRICE,
    "attributes": _ATTRIBUTES,
    "images": {"url": "text", "label": "text"},
    "availability": {
        "isOnStock": "bool",
        "availableQuantity": "number",
        "restockableInDays": "number",
        "channels": {"*": "any"},
    },
}
_ADDRESS: Fields = {name.rstrip("!"): "text" for name in ADDRESS}
_TAX_RATE: Fields = {
    "id": "text",
    "name": "text",
    "amount": "number",
    "includedInPrice": "bool",
    "country": "text",
}
_LINE: Fields = {
    "id": "text",
    "key": "text",
    "productId": "text",
    "productKey": "text",
    "name": _TEXTS,
    "variant": {"id": "number", "sku": "text", "key": "text"},
    "quantity": "number",
    "totalPrice": _MONEY,
    "supplyChannel": _REF,
    "distributionChannel": _REF,
    "inventoryMode": "text",
    "custom": _CUSTOM,
}

FIELDS: dict[str, Fields] = {
    "product-projections": {
        **_BASE,
        "key": "text",
        "productType": _REF,
        "name": _TEXTS,
        "description": _TEXTS,
        "slug": _TEXTS,
        "categories": _REF,
        "categoryOrderHints": _TEXTS,
        "metaTitle": _TEXTS,
        "metaDescription": _TEXTS,
        "metaKeywords": _TEXTS,
        "hasStagedChanges": "bool",
        "published": "bool",
        "masterVariant": _VARIANT,
        "variants": _VARIANT,
        "taxCategory": _REF,
        "state": _REF,
        "priceMode": "text",
        "attributes": _ATTRIBUTES,
    },
    "categories": {
        **_BASE,
        "key": "text",
        "name": _TEXTS,
        "slug": _TEXTS,
        "description": _TEXTS,
        "ancestors": _REF,
        "parent": _REF,
        "orderHint": "text",
        "externalId": "text",
        "custom": _CUSTOM,
    },
    "channels": {
        **_BASE,
        "key": "text",
        "roles": "text",
        "name": _TEXTS,
        "description": _TEXTS,
        "address": _ADDRESS,
        "custom": _CUSTOM,
    },
    "product-types": {
        **_BASE,
        "key": "text",
        "name": "text",
        "description": "text",
        "attributes": {"name": "text", "label": _TEXTS, "isRequired": "bool", "isSearchable": "bool"},
    },
    "tax-categories": {
        **_BASE,
        "key": "text",
        "name": "text",
        "description": "text",
        "rates": _TAX_RATE,
    },
    "customer-groups": {**_BASE, "key": "text", "name": "text", "custom": _CUSTOM},
    "stores": {
        **_BASE,
        "key": "text",
        "name": _TEXTS,
        "languages": "text",
        "countries": {"code": "text"},
        "distributionChannels": _REF,
        "supplyChannels": _REF,
        "productSelections": {"productSelection": _REF, "active": "bool"},
        "custom": _CUSTOM,
    },
    "standalone-prices": {**_BASE, **_PRICE, "sku": "text", "active": "bool"},
    "inventory": {
        **_BASE,
        "key": "text",
        "sku": "text",
        "supplyChannel": _REF,
        "quantityOnStock": "number",
        "availableQuantity": "number",
        "minCartQuantity": "number",
        "maxCartQuantity": "number",
        "restockableInDays": "number",
        "expectedDelivery": "time",
        "reservationExpirationInMinutes": "number",
        "stockLevels": {"reorderPoint": "number", "safetyStock": "number"},
        "custom": _CUSTOM,
    },
    "types": {
        **_BASE,
        "key": "text",
        "name": _TEXTS,
        "description": _TEXTS,
        "resourceTypeIds": "text",
        "fieldDefinitions": {"name": "text", "required": "bool"},
    },
    "custom-objects": {**_BASE, "container": "text", "key": "text", "value": "any"},
    "payments": {
        **_BASE,
        "key": "text",
        "interfaceId": "text",
        "externalId": "text",
        "amountPlanned": _MONEY,
        "paymentMethodInfo": {"paymentInterface": "text", "method": "text"},
        "transactions": {
            "id": "text",
            "timestamp": "time",
            "type": "text",
            "amount": _MONEY,
            "interactionId": "text",
            "state": "text",
        },
        "custom": _CUSTOM,
    },
    "orders": {
        **_BASE,
        "orderNumber": "text",
        "purchaseOrderNumber": "text",
        "customerId": "text",
        "customerEmail": "text",
        "store": _KEY_REF,
        "lineItems": _LINE,
        "customLineItems": {"id": "text", "key": "text", "slug": "text", "quantity": "number"},
        "totalPrice": _MONEY,
        "country": "text",
        "origin": "text",
        "orderState": "text",
        "paymentState": "text",
        "shipmentState": "text",
        "inventoryMode": "text",
        "paymentInfo": {"payments": _REF},
        "returnInfo": {"items": {"id": "text", "key": "text", "quantity": "number"}},
        "syncInfo": {"channel": _REF, "externalId": "text", "syncedAt": "time"},
        "completedAt": "time",
        "custom": _CUSTOM,
    },
    "messages": {
        **_BASE,
        "sequenceNumber": "number",
        "resource": _REF,
        "resourceVersion": "number",
        "type": "text",
        "resourceUserProvidedIdentifiers": {"key": "text", "orderNumber": "text", "sku": "text"},
    },
    "subscriptions": {
        **_BASE,
        "key": "text",
        "destination": {"type": "text"},
        "messages": {"resourceTypeId": "text", "types": "text"},
        "changes": {"resourceTypeId": "text"},
        "status": "text",
    },
    "api-clients": {
        "id": "text",
        "name": "text",
        "scope": "text",
        "createdAt": "time",
        "deleteAt": "time",
    },
    "product-selection-assignments": {"product": _REF, "productSelection": _REF},
}


def check(shape: Any, value: Any, path: str = "") -> None:
    """Refuse a request body that does not have the shape.

    :param path: where in the body ``value`` stands, for the message.
    :raises ApiError: 400 ``RequiredField``, ``InvalidField`` or ``InvalidJsonInput``.
    """
    if isinstance(shape, dict):
        _check_object(shape, value, path)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            raise invalid_json(f"{path or 'body'}: array expected")
        for index, element in enumerate(value):
            check(shape[0], element, f"{path}[{index}]")
    elif shape.startswith("enum:"):
        allowed = ENUMS[shape[5:]]
        if value not in allowed:
            raise invalid_field(path, value, f"'{value}' is no value of {shape[5:]}.", list(allowed))
    elif shape.startswith(("ref:", "reference:")):
        _check_reference(shape, value, path)
    elif not _LEAVES[shape](value):
        raise invalid_json(f"{path}: not a valid {shape}")


def _check_object(shape: dict[str, Any], value: Any, path: str) -> None:
    if not isinstance(value, dict):
        raise invalid_json(f"{path or 'body'}: object expected")
    prefix = f"{path}." if path else ""
    known = {name.rstrip("!"): inner for name, inner in shape.items()}
    for name in shape:
        if name.endswith("!") and value.get(name[:-1]) is None:
            raise required_field(f"{prefix}{name[:-1]}")
    for name, inner in value.items():
        if name not in known:
            raise invalid_json(f"{prefix}{name}: this field does not exist")
        if inner is not None:
            check(known[name], inner, f"{prefix}{name}")


def _check_reference(shape: str, value: Any, path: str) -> None:
    kind, type_id = shape.split(":")
    names = ("typeId", "id") if kind == "reference" else ("typeId", "id", "key")
    if not isinstance(value, dict):
        raise invalid_json(f"{path}: object expected")
    for name in value:
        if name not in names:
            raise invalid_json(f"{path}.{name}: this field does not exist")
    if value.get("typeId") != type_id:
        raise invalid_json(f"{path}.typeId: '{type_id}' expected")
    if kind == "reference" and not value.get("id"):
        raise required_field(f"{path}.id")


def _matches(pattern: str) -> Callable[[Any], bool]:
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_texts(value: Any) -> bool:
    locale = re.compile(r"[a-zA-Z]{2,3}(-[A-Za-z0-9]{2,8})*")
    return isinstance(value, dict) and all(
        locale.fullmatch(name) is not None and isinstance(text, str) for name, text in value.items()
    )


def _is_money(value: Any) -> bool:
    optional = {"type", "fractionDigits"}
    return (
        isinstance(value, Mapping)
        and value.keys() - optional == {"centAmount", "currencyCode"}
        and _is_int(value["centAmount"])
        and _is_currency(value["currencyCode"])
    )


def _is_time(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        moment(value)
    except ValueError:
        return False
    return True


def _is_point(value: Any) -> bool:
    """A GeoJSON point: longitude, latitude."""
    return (
        isinstance(value, dict)
        and value.keys() == {"type", "coordinates"}
        and value["type"] == "Point"
        and isinstance(value["coordinates"], list)
        and len(value["coordinates"]) == 2
        and all(map(_is_number, value["coordinates"]))
    )


def _is_destination(value: Any) -> bool:
    if not isinstance(value, dict) or value.get("type") not in DESTINATIONS:
        return False
    return all(isinstance(value.get(name), str) for name in DESTINATIONS[value["type"]])


def _is_delivery_format(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return value == {"type": "Platform"} or (
        value.get("type") == "CloudEvents" and isinstance(value.get("cloudEventsVersion"), str)
    )


_is_currency = _matches("[A-Z]{3}")

_LEAVES: dict[str, Callable[[Any], bool]] = {
    "text": lambda value: isinstance(value, str),
    "key": _matches("[A-Za-z0-9_-]{2,256}"),
    "container": _matches("[-_~.a-zA-Z0-9]{1,256}"),
    "fieldname": _matches("[A-Za-z0-9_-]{2,36}"),
    "fieldtype": lambda value: isinstance(value, dict) and isinstance(value.get("name"), str),
    "int": _is_int,
    "number": _is_number,
    "bool": lambda value: isinstance(value, bool),
    "time": _is_time,
    "country": _matches("[A-Z]{2}"),
    "localized": _is_texts,
    "money": _is_money,
    "point": _is_point,
    "destination": _is_destination,
    "deliveryformat": _is_delivery_format,
    "fields": lambda value: isinstance(value, dict),
    "any": lambda value: True,
}
