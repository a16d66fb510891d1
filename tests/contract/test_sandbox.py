"""The sandbox accepts and answers what the official contracts describe: a broad conversation, every word checked."""

# ruff: noqa: TID253  (whoever checks a schema needs graphql-core)

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    build_schema,
    is_introspection_type,
    is_specified_scalar_type,
)
from tests.support.contracts import OpenApi, contract
from tests.support.talk import Shop

from cogent_ops.sandbox.cloudshelf_api import load_schema
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.server import Exchange, SandboxServer

Json = dict[str, Any]
NOW = datetime(2026, 11, 20, tzinfo=UTC)
MONEY = {"currencyCode": "EUR", "centAmount": 1999}


def read_everything(shop: Shop) -> None:
    """Query, by id, by key, and the refusals of reading."""
    for path in (
        "product-projections",
        "categories",
        "channels",
        "product-types",
        "tax-categories",
        "customer-groups",
        "stores",
        "standalone-prices",
        "inventory",
    ):
        page = shop.get(f"/{path}", limit=3, sort="id asc", withTotal="false")
        found = page["results"][0]
        shop.get(f"/{path}", where=f'id > "{found["id"]}"', limit=2)
        shop.get(f"/{path}/{found['id']}")
        if found.get("key"):
            shop.get(f"/{path}/key={found['key']}")
        shop.get(f"/{path}/00000000-0000-4000-8000-000000000000")
        shop.get(f"/{path}", where="id is is")
        shop.get(f"/{path}", limit=501)
    shop.get("/inventory", where='sku in ("a", "b") and supplyChannel is not defined')


def move_stock(shop: Shop) -> None:
    """An InventoryEntry through every action, and the refusals of writing."""
    channel = shop.post("/channels", {"key": "till", "roles": ["InventorySupply"], "name": {"en": "Till"}})
    made_type = shop.post(
        "/types",
        {
            "key": "mark",
            "name": {"en": "Mark"},
            "resourceTypeIds": ["inventory-entry"],
            "fieldDefinitions": [
                {"name": "mark", "label": {"en": "Mark"}, "required": False, "type": {"name": "String"}}
            ],
        },
    )
    other = {"name": "other", "label": {"en": "O"}, "required": False, "type": {"name": "Number"}}
    shop.act("/types", made_type, {"action": "addFieldDefinition", "fieldDefinition": other})
    entry = shop.post(
        "/inventory",
        {"sku": "N1", "quantityOnStock": 5, "supplyChannel": {"typeId": "channel", "key": "till"}},
    )
    shop.post(
        "/inventory",
        {"sku": "N1", "quantityOnStock": 5, "supplyChannel": {"typeId": "channel", "key": "till"}},
    )
    shop.post("/inventory", {"sku": "N2"})
    shop.post(
        "/inventory", {"sku": "N2", "quantityOnStock": 1, "supplyChannel": {"typeId": "channel", "key": "x"}}
    )
    for action in (
        {"action": "addQuantity", "quantity": 3},
        {"action": "removeQuantity", "quantity": 11},
        {"action": "changeQuantity", "quantity": 2},
        {"action": "setKey", "key": "n1-till"},
        {"action": "setRestockableInDays", "restockableInDays": 3},
        {"action": "setExpectedDelivery", "expectedDelivery": "2026-12-01T00:00:00.000Z"},
        {"action": "setCustomType", "type": {"typeId": "type", "key": "mark"}, "fields": {"mark": "m"}},
        {"action": "setCustomField", "name": "mark", "value": "n"},
        {"action": "setSupplyChannel"},
    ):
        entry = shop.act("/inventory", entry, action)
    shop.act("/inventory", {**entry, "version": 1}, {"action": "addQuantity", "quantity": 1})
    shop.act("/inventory", entry, {"action": "addQuantity", "quantity": "many"})
    shop.act("/channels", channel, {"action": "addRoles", "roles": ["ProductDistribution"]})
    shop.delete(f"/inventory/{entry['id']}", entry["version"])


def sell(shop: Shop, sku: str) -> None:
    """Payment, imported order, its later states, and the refusals."""
    payment = shop.post("/payments", {"key": "pay-1", "amountPlanned": MONEY})
    charge = {"type": "Charge", "amount": MONEY, "state": "Success", "interactionId": "psp-1"}
    payment = shop.act("/payments", payment, {"action": "addTransaction", "transaction": charge})
    draft = {
        "orderNumber": "cs-1",
        "totalPrice": MONEY,
        "lineItems": [
            {"name": {"en": "Cap"}, "variant": {"sku": sku}, "quantity": 1, "price": {"value": MONEY}}
        ],
        "customLineItems": [{"name": {"en": "Fee"}, "slug": "fee", "quantity": 1, "money": MONEY}],
        "orderState": "Confirmed",
        "paymentState": "Paid",
        "paymentInfo": {"payments": [{"typeId": "payment", "id": payment["id"]}]},
    }
    order = shop.post("/orders/import", draft)
    shop.post("/orders/import", draft)
    shop.post("/orders/import", {"orderNumber": "cs-2"})
    shop.get("/orders/order-number=cs-1")
    shop.get("/orders", where='orderNumber = "cs-1"', expand="paymentInfo.payments[*]")
    shop.get("/orders/order-number=cs-1", expand="paymentInfo.payments[*]")
    shop.get("/orders", expand="paymentInfo..payments")
    line = order["lineItems"][0]["id"]
    returned = {"quantity": 1, "lineItemId": line, "shipmentState": "Returned"}
    for action in (
        {"action": "changeShipmentState", "shipmentState": "Shipped"},
        {"action": "changeOrderState", "orderState": "Complete"},
        {"action": "addReturnInfo", "items": [returned]},
        {"action": "changePaymentState", "paymentState": "CreditOwed"},
    ):
        order = shop.act("/orders", order, action)
    shop.act("/orders", order, {"action": "changeOrderState", "orderState": "Sold"})


def settings(shop: Shop) -> None:
    """Project, Messages, Custom Objects."""
    project = shop.get("")
    switch = {"enabled": True, "deleteDaysAfterCreation": 30}
    action = {"action": "changeMessagesConfiguration", "messagesConfiguration": switch}
    shop.post("", {"version": project["version"], "actions": [action]})
    shop.get("/messages", limit=5, sort="createdAt asc")
    shop.get("/messages", where='type = "InventoryEntryQuantitySet"')
    shop.post("/custom-objects", {"container": "cursors", "key": "poll", "value": {"at": 1}})
    shop.get("/custom-objects/cursors/poll")
    shop.get("/nothing-here")


def be_told(shop: Shop) -> None:
    """A Subscription from its creation to its end, healthy and not, and who may come in."""
    queue = {"type": "SQS", "queueUrl": "https://queue.example.com/1", "region": "eu-west-1"}
    draft = {"key": "erp", "destination": queue, "messages": [{"resourceTypeId": "order"}]}
    made = shop.post("/subscriptions", draft)
    shop.post("/subscriptions", draft)
    shop.post("/subscriptions", {"key": "nothing", "destination": queue})
    shop.post("/subscriptions", {"destination": {"type": "Pigeon"}, "messages": []})
    shop.get("/subscriptions", where='key = "erp"')
    shop.get("/subscriptions/key=erp")
    shop.ask(f"/subscriptions/{made['id']}/health")
    for status in ("TemporaryError", "ConfigurationErrorDeliveryStopped"):
        shop.server.state.floor.change("subscription", {"subscription": "erp", "status": status})
        shop.get(f"/subscriptions/{made['id']}/health")
        shop.get("/subscriptions/key=erp")
    made = shop.act("/subscriptions", made, {"action": "changeDestination", "destination": queue})
    for action in (
        {"action": "setMessages", "messages": [{"resourceTypeId": "product", "types": ["ProductPublished"]}]},
        {"action": "setChanges", "changes": [{"resourceTypeId": "inventory-entry"}]},
        {"action": "setKey", "key": "pim"},
    ):
        made = shop.act("/subscriptions", made, action)
    shop.delete("/subscriptions/key=pim", made["version"])
    shop.get("/api-clients", limit=5)
    shop.server.state.floor.change("client", {"deleteAt": "2099-01-01T00:00:00Z"})
    shop.get("/api-clients/sandbox-client")
    shop.get("/api-clients/nobody")


@pytest.fixture(scope="module")
def spoken(openapi: OpenApi) -> list[Exchange]:
    """The conversation, after it was made sure that there is a contract to check it against."""
    seen: list[Exchange] = []
    data = generate(seed=4, products=12, now=NOW, dirty_share=0)
    with SandboxServer(data, observer=seen.append) as server:
        shop = Shop(server)
        read_everything(shop)
        move_stock(shop)
        sell(shop, data.products[0]["masterVariant"]["sku"])
        settings(shop)
        be_told(shop)
    return [exchange for exchange in seen if exchange.api == "commercetools"]


def described(openapi: OpenApi, exchange: Exchange) -> Json | None:
    try:
        item = openapi.path(exchange.path.removeprefix("/ct"))
    except AssertionError:
        return None
    found: Json | None = item.get(exchange.method.lower())
    return found


def name(exchange: Exchange) -> str:
    return f"{exchange.method} {exchange.path}?{exchange.query} -> {exchange.status}"


def test_the_conversation_is_broad(spoken: list[Exchange]) -> None:
    assert {exchange.status for exchange in spoken} >= {200, 201, 400, 404, 409}
    assert len({exchange.operation for exchange in spoken}) >= 35


def test_whatever_is_accepted_may_be_sent(openapi: OpenApi, spoken: list[Exchange]) -> None:
    for exchange in spoken:
        operation = described(openapi, exchange)
        if exchange.status in (200, 201):
            assert operation is not None, name(exchange)
            openapi.check_query(operation.get("parameters", []), exchange.query)
            if exchange.request:
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                openapi.check(schema, json.loads(exchange.request))


def test_every_answer_is_one_that_is_described(openapi: OpenApi, spoken: list[Exchange]) -> None:
    for exchange in spoken:
        operation = described(openapi, exchange)
        if operation is None:
            assert exchange.status == 404, name(exchange)
            continue
        schema = openapi.answer(operation, exchange.status)
        assert schema is not None or str(exchange.status) in operation["responses"], name(exchange)
        if schema is not None:
            try:
                openapi.check_answer(schema, json.loads(exchange.answer))
            except AssertionError as error:
                raise AssertionError(f"{name(exchange)}: {error}") from error


def test_every_refusal_has_the_documented_shape(openapi: OpenApi, spoken: list[Exchange]) -> None:
    refused = [exchange for exchange in spoken if exchange.status >= 400]
    assert len(refused) > 20
    for exchange in refused:
        body = json.loads(exchange.answer)
        openapi.check_answer({"$ref": "#/components/schemas/ErrorResponse"}, body)
        assert body["statusCode"] == exchange.status
        assert body["message"] == body["errors"][0]["message"]


# Cloudshelf


@pytest.fixture(scope="module")
def official() -> GraphQLSchema:
    return build_schema(contract("cloudshelf.graphql").read_text(encoding="utf-8"))


def ours() -> GraphQLSchema:
    """The sandbox's schema in the form of the contract, whose LocationInput is the older one."""
    return load_schema("address")


def types() -> Iterator[Any]:
    for found in ours().type_map.values():
        if not is_introspection_type(found) and not is_specified_scalar_type(found):
            yield found


@pytest.mark.parametrize("kind", list(types()), ids=str)
def test_the_simulated_schema_is_a_part_of_the_official_one(official: GraphQLSchema, kind: Any) -> None:
    """graphql-core holds every answer to the simulated schema, so this holds it to the official one too."""
    theirs = official.type_map.get(kind.name)
    assert type(theirs) is type(kind), f"{kind.name} is no {type(kind).__name__} there"
    if isinstance(kind, GraphQLEnumType):
        assert isinstance(theirs, GraphQLEnumType)
        assert kind.values.keys() <= theirs.values.keys()
    elif isinstance(kind, GraphQLObjectType):
        assert isinstance(theirs, GraphQLObjectType)
        _compare_fields(kind, theirs)
    elif isinstance(kind, GraphQLInputObjectType):
        assert isinstance(theirs, GraphQLInputObjectType)
        _compare_inputs(kind, theirs)
    else:
        assert isinstance(kind, GraphQLScalarType)


def _compare_fields(kind: GraphQLObjectType, theirs: GraphQLObjectType) -> None:
    for field, one in kind.fields.items():
        assert str(theirs.fields[field].type) == str(one.type), f"{kind.name}.{field}"
        for argument, given in one.args.items():
            there = theirs.fields[field].args[argument]
            assert str(there.type) == str(given.type), f"{kind.name}.{field}({argument})"
        mandatory = {n for n, a in theirs.fields[field].args.items() if str(a.type).endswith("!")}
        assert mandatory <= one.args.keys(), f"{kind.name}.{field} lacks {mandatory}"


def _compare_inputs(kind: GraphQLInputObjectType, theirs: GraphQLInputObjectType) -> None:
    for field, one in kind.fields.items():
        assert str(theirs.fields[field].type) == str(one.type), f"{kind.name}.{field}"
    mandatory = {n for n, f in theirs.fields.items() if str(f.type).endswith("!")}
    assert mandatory <= kind.fields.keys(), f"{kind.name} lacks {mandatory}"
