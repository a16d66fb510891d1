"""Everything that the clients send is what the official contracts of both APIs allow."""

# ruff: noqa: TID253  (whoever checks a schema needs graphql-core)

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSchema,
    IntValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    Visitor,
    build_schema,
    extend_schema,
    parse,
    validate,
    visit,
)
from graphql.execution.values import get_variable_values
from tests.support.contracts import OpenApi, contract

from cogent_ops.clients import graphql_api
from cogent_ops.clients.cloudshelf import (
    SCAN_PAGE,
    CloudshelfAccount,
    CloudshelfClient,
    OrderReport,
    StockLevel,
    location_input,
)
from cogent_ops.clients.commercetools import CommercetoolsAccount, CommercetoolsClient
from cogent_ops.clients.graphql_api import load_document
from cogent_ops.clients.transport import Tuning, Unlimited, close_sessions
from cogent_ops.domain.identifiers import group_gid, location_gid, product_gid, variant_gid
from cogent_ops.domain.kiosk import (
    KioskGroup,
    KioskImage,
    KioskLocation,
    KioskProduct,
    KioskVariant,
    Metadata,
)
from cogent_ops.domain.priorities import Priority
from cogent_ops.domain.rules import OrderStatus
from cogent_ops.sandbox.cloudshelf_state import KioskBehaviour
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.server import Exchange, SandboxServer

Json = dict[str, Any]

DOCUMENTS = sorted(path.stem for path in (Path(graphql_api.__file__).parent / "documents").glob("*.graphql"))
MAX_COMPLEXITY, MAX_DEPTH = 500, 20
#: What no connector has any business to read or change.
FORBIDDEN = re.compile(r"(?i)payment|secret|token|apikey|email|phone|telephone|firebase|organisation$")
#: How a kiosk was paid is no secret, and an order needs it; nothing else of a payment is read.
PAID_HOW = {"paymentMethod", "paymentAttemptId"}
#: How a key is called and whether it was ended; keys are masked there, and only one document may look at them.
KEYS = {"api_keys": {"organisationApiKeys"}}
#: Pages that are as long as the API lets them be, see ``CloudshelfClient.orders``; the worst case is what fits then.
SMALLER_PAGES = {"orders": 10, "devices": 50, "api_keys": 50, "shown_levels": 49, "shown_products": 20}
#: All that may be read of an organisation, and where.
ORGANISATION = {"owningOrganisation": {"displayName", "defaultCurrencyCode", "safetyStockNumber"}}


# Cloudshelf


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return build_schema(contract("cloudshelf.graphql").read_text(encoding="utf-8"))


def document(name: str) -> DocumentNode:
    return parse(load_document(name)[0])


def only_operation(text: DocumentNode) -> OperationDefinitionNode:
    (only,) = (node for node in text.definitions if isinstance(node, OperationDefinitionNode))
    return only


def operation(name: str) -> OperationDefinitionNode:
    """The operation of a document, with the content of a fragment wherever it is spread."""
    text = document(name)
    fragments = {
        node.name.value: node for node in text.definitions if isinstance(node, FragmentDefinitionNode)
    }

    class Opened(Visitor):
        def enter_selection_set(self, node: SelectionSetNode, *_: object) -> SelectionSetNode:
            opened: list[SelectionNode] = []
            for one in node.selections:
                if isinstance(one, FragmentSpreadNode):
                    opened += fragments[one.name.value].selection_set.selections
                else:
                    opened.append(one)
            return SelectionSetNode(selections=tuple(opened))

    found = visit(only_operation(text), Opened())
    assert isinstance(found, OperationDefinitionNode)
    return found


def fields(selections: SelectionSetNode | None) -> Iterator[FieldNode]:
    for node in selections.selections if selections else ():
        assert isinstance(node, FieldNode), "other fragments would need counting"
        yield node


def below(selections: SelectionSetNode | None) -> Iterator[FieldNode]:
    for node in fields(selections):
        yield node
        yield from below(node.selection_set)


def depth(selections: SelectionSetNode | None) -> int:
    return max((1 + depth(node.selection_set) for node in fields(selections)), default=0)


def first(node: FieldNode, otherwise: int) -> int:
    """The page size that a field asks for in the document itself."""
    written = (one.value for one in node.arguments or () if one.name.value == "first")
    return next((int(value.value) for value in written if isinstance(value, IntValueNode)), otherwise)


def cost(selections: SelectionSetNode | None, page: int = 1) -> int:
    """Every field 1; below ``edges`` times the page size, the worst that the API may charge."""
    return sum(
        1 + cost(node.selection_set, first(node, page)) * (page if node.name.value == "edges" else 1)
        for node in fields(selections)
    )


def test_there_are_documents() -> None:
    assert len(DOCUMENTS) > 10


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document_is_valid(schema: GraphQLSchema, name: str) -> None:
    assert validate(schema, document(name)) == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document_stays_within_the_limits(name: str) -> None:
    selections = operation(name).selection_set
    assert depth(selections) <= MAX_DEPTH
    assert cost(selections, SMALLER_PAGES.get(name, SCAN_PAGE)) <= MAX_COMPLEXITY


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document_keeps_away_from_what_is_none_of_our_business(name: str) -> None:
    nodes = list(below(operation(name).selection_set))
    touched = {node.name.value for node in nodes}
    allowed = {*ORGANISATION, *(PAID_HOW if name in ("order", "orders") else ()), *KEYS.get(name, ())}
    assert [one for one in touched if FORBIDDEN.search(one) and one not in allowed] == []
    for node in nodes:
        if node.name.value in ORGANISATION:
            assert {one.name.value for one in below(node.selection_set)} <= ORGANISATION[node.name.value]


def test_operations_have_names_of_their_own() -> None:
    assert len({load_document(name)[1] for name in DOCUMENTS}) == len(DOCUMENTS)


LOCATION = KioskLocation(
    id=location_gid("berlin"),
    display_name="Berlin",
    country_code="DE",
    address1="Hauptstr. 1",
    city="Berlin",
    zip="10115",
    metadata=(Metadata(namespace="cogent", key="channel", data="berlin"),),
)
PRODUCT = KioskProduct(
    id=product_gid("p"), display_name="P", handle="p", tags=("a",), metadata=LOCATION.metadata
)
VARIANT = KioskVariant(
    id=variant_gid("s"),
    sku="s",
    position=1,
    display_name="S",
    barcode="4006381333931",
    current_price=Decimal("9.95"),
    original_price=Decimal("12.50"),
    is_in_stock=True,
    available_to_purchase=True,
    attributes=(("Size", "S"),),
    metadata=LOCATION.metadata,
    images=(KioskImage(url="https://images.example.com/s.jpg", preferred=True),),
)
GROUP = KioskGroup(id=group_gid("g"), display_name="G", featured_image=VARIANT.images[0])


def _use_everything(client: CloudshelfClient) -> None:
    client.status()
    assert client.newest_order_change() is None
    order = "gid://cloudshelf/Order/unknown"
    assert client.order(order) is None
    list(client.orders())
    told = client.upsert_orders(
        [OrderReport(order, "5b3f2c1e-0000-4000-8000-000000000001", OrderStatus.VOIDED)]
    )
    assert [failure.code for failure in told.failed] == ["ENTITY_NOT_FOUND"]
    client.permissions()
    assert client.readable() == {"CATALOGUE", "LOCATIONS", "ORDERS"}
    assert client.may_read_devices()
    assert list(client.devices()) == []
    key = client.own_key()
    assert key is not None
    assert (key.name, key.revoked_at) == ("Connector", None)
    client.organisation()
    list(client.locations())
    client.counts()
    client.upsert_locations([LOCATION])
    client.upsert_products([PRODUCT.to_input()])
    client.upsert_variants([(PRODUCT.id, [VARIANT.to_input()])])
    client.upsert_variants([(PRODUCT.id, client.product_variants(PRODUCT.id))])
    assert list(client.variant_ids(PRODUCT.id).values()) == [VARIANT.id]
    unknown = product_gid("unknown")
    several = client.variants_of([PRODUCT.id, unknown])
    assert several == {PRODUCT.id: client.product_variants(PRODUCT.id), unknown: []}
    levels = client.upsert_stock_levels([StockLevel(LOCATION.id, VARIANT.id, 3)])
    assert list(levels.in_stock.values()) == [True]
    client.upsert_groups([GROUP.to_input()])
    client.set_memberships([(GROUP.id, [PRODUCT.id])])
    client.report_catalogue_stats(products=1, variants=1, groups=1, images=None)
    client.report_catalogue_stats(products=1, variants=1, groups=1, images=1)
    list(client.products())
    (shown,) = [one for page in client.shown_products() for one in page]
    assert shown == client.shown_product(PRODUCT.id)
    assert [one["platformProvidedId"] for one in shown["productGroups"]] == [GROUP.id]
    assert client.shown_product(unknown) is None
    (shown,) = [one for page in client.shown_levels() for one in page]
    assert shown == client.shown_levels_of(PRODUCT.id)
    assert [one["isInStock"] for one in shown["productVariants"][0]["stockLevels"]] == [True]
    assert GROUP.id in [one["platformProvidedId"] for page in client.shown_groups() for one in page]
    client.delete_groups([GROUP.id])
    client.delete_products([PRODUCT.id])


def test_every_variable_sent_is_what_the_schema_takes(schema: GraphQLSchema) -> None:
    sent: list[Json] = []
    data = generate(seed=1, products=0, now=datetime(2026, 11, 20, tzinfo=UTC))
    with SandboxServer(
        data,
        kiosk=KioskBehaviour(location_form="address"),
        observer=lambda exchange: sent.append(json.loads(exchange.request)),
    ) as server:
        account = CloudshelfAccount("cloudshelf_default", server.cloudshelf_url, "sandbox-key")
        _use_everything(CloudshelfClient(account, Unlimited(), Priority.CATALOGUE, Tuning()))
        close_sessions()
    for body in sent:
        node = only_operation(parse(body["query"]))
        found = get_variable_values(schema, node.variable_definitions or (), body["variables"])
        assert not isinstance(found, list), (body["operationName"], found)
    unused = {"ProductExists", "ProductGroupExists"}
    assert {body["operationName"] for body in sent} == {load_document(n)[1] for n in DOCUMENTS} - unused


def test_the_structured_address_is_what_the_newer_schema_takes(schema: GraphQLSchema) -> None:
    newer = extend_schema(
        schema,
        parse(
            "extend input LocationInput { address1: String address2: String city: String "
            "provinceCode: String zip: String phone: String email: String }"
        ),
    )
    definitions = operation("upsert_locations").variable_definitions or ()
    variables = {"input": [location_input(LOCATION, "structured")], "withIds": False}
    found = get_variable_values(newer, definitions, variables)
    assert not isinstance(found, list), found


# commercetools


FIELD = {"name": "csMark", "label": {"en": "Mark"}, "required": False, "type": {"name": "String"}}
TYPE = {
    "key": "cs-order",
    "name": {"en": "Cloudshelf"},
    "resourceTypeIds": ["order"],
    "fieldDefinitions": [FIELD],
}
SUBSCRIPTION = {
    "key": "erp",
    "destination": {"type": "SQS", "queueUrl": "https://queue.example.com/1", "region": "eu-west-1"},
    "messages": [{"resourceTypeId": "order", "types": ["OrderCreated"]}],
}
MONEY = {"currencyCode": "EUR", "centAmount": 1000}
ORDER = {
    "orderNumber": "cs-1",
    "totalPrice": MONEY,
    "customLineItems": [{"name": {"en": "Cap"}, "slug": "cap", "quantity": 1, "money": MONEY}],
}


def _read_and_write(client: CommercetoolsClient, skus: list[str]) -> None:
    client.project()
    for resource in (
        "product-projections",
        "categories",
        "channels",
        "product-types",
        "tax-categories",
        "customer-groups",
        "standalone-prices",
        "inventory",
    ):
        staged = {"staged": "false"} if resource == "product-projections" else None
        predicate = 'lastModifiedAt >= "2020-01-01T00:00:00.000Z"'
        pages = client.pages(resource, where=(predicate,), params=staged, page_size=20)
        found = [one for page in pages for one in page]
        assert found, resource
        assert client.get(resource, found[0]["id"]) == found[0] or resource == "product-projections"
    list(client.by_values("inventory", "sku", skus))
    list(client.by_values("standalone-prices", "sku", skus))
    made = client.ensure("types", TYPE).resource
    added = {"action": "addFieldDefinition", "fieldDefinition": {**FIELD, "name": "csOther"}}
    client.update("types", made["id"], made["version"], [added])
    client.create("channels", {"key": "cs-store", "roles": ["InventorySupply"], "name": {"en": "Store"}})
    client.get("channels", key="cs-store")
    client.create("inventory", {"sku": "cs-new", "quantityOnStock": 3})
    payment = client.ensure("payments", {"key": "cs-1", "amountPlanned": MONEY}).resource
    client.delete("payments", payment["id"], payment["version"])
    list(client.by_values("orders", "custom(fields(csOrder))", ["a", "b"]))
    client.create("subscriptions", SUBSCRIPTION)
    assert [(one.name, one.status, one.destination) for one in client.subscriptions()] == [
        ("erp", "Healthy", "SQS")
    ]
    assert client.access_ends() is None
    assert client.sign_in() == client.granted_scopes()
    client.create("orders/import", ORDER)
    client.get("orders", key="cs-1")
    assert list(client.pages("payments", where=('lastModifiedAt >= "2020-01-01T00:00:00.000Z"',))) == []
    assert list(client.by_values("orders", "paymentInfo(payments(id))", ["unknown"])) == []


def test_every_request_is_what_the_api_describes(openapi: OpenApi) -> None:
    seen: list[Exchange] = []
    data = generate(seed=2, products=30, now=datetime(2026, 11, 20, tzinfo=UTC))
    with SandboxServer(data, observer=seen.append) as server:
        account = CommercetoolsAccount(
            "commercetools_default",
            server.commercetools_url,
            server.auth_url,
            "sandbox",
            "sandbox-client",
            "sandbox-secret",
        )
        client = CommercetoolsClient(account, Unlimited(), Priority.CATALOGUE, Tuning())
        _read_and_write(client, [entry["sku"] for entry in data.inventory])
        close_sessions()
    assert all(exchange.status in (200, 201) for exchange in seen), "the sandbox refused something"
    tokens = [dict(parse_qsl(one.request.decode())) for one in seen if one.api == "auth"]
    assert tokens == [{"grant_type": "client_credentials"}] * 2
    for exchange in seen:
        if exchange.api == "commercetools":
            _check(openapi, exchange)


def _check(openapi: OpenApi, exchange: Exchange) -> None:
    item = openapi.path(exchange.path.removeprefix("/ct"))
    described = item[exchange.method.lower()]
    openapi.check_query(described.get("parameters", []), exchange.query)
    body = described.get("requestBody")
    assert (body is None) == (not exchange.request)
    if body is not None:
        openapi.check(body["content"]["application/json"]["schema"], json.loads(exchange.request))


@pytest.mark.parametrize(
    ("schema_name", "value"),
    [
        ("TypeDraft", {**TYPE, "kye": "typo"}),
        ("TypeDraft", {"key": "no-name"}),
        ("TypeUpdate", {"version": 1, "actions": [{"action": "addFieldDefinition", "definition": FIELD}]}),
        ("TypeUpdate", {"version": "1", "actions": []}),
    ],
)
def test_the_check_notices_what_is_wrong(openapi: OpenApi, schema_name: str, value: Json) -> None:
    with pytest.raises((AssertionError, KeyError)):
        openapi.check({"$ref": f"#/components/schemas/{schema_name}"}, value)
