"""What the simulated Cloudshelf takes and answers is what the official schema says, in both forms of LocationInput.

Every answer is completed once more by graphql-core on the whole official schema: what comes out must be what the
sandbox said, to the last field, without an error.
"""

# ruff: noqa: TID253  (whoever checks a schema needs graphql-core)

from __future__ import annotations

import http.server
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    execute_sync,
    extend_schema,
    get_named_type,
    is_leaf_type,
    parse,
    validate,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.contracts import Json, contract
from tests.support.talk import Kiosk, gid, location, product, variant

from cogent_ops.sandbox.cloudshelf_api import load_schema
from cogent_ops.sandbox.cloudshelf_state import KioskBehaviour
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.server import Exchange, SandboxServer

EMPTY = generate(seed=6, products=0, now=datetime(2026, 11, 20, tzinfo=UTC))
FORMS = ("structured", "address")
#: What has replaced ``address`` since the contract was taken down.
STRUCTURED = """extend input LocationInput {
    address1: String address2: String city: String provinceCode: String zip: String phone: String email: String }"""
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
GID = re.compile(r"gid://[^/]+/[^/]+/[^/]+")


@pytest.fixture(scope="module")
def official() -> GraphQLSchema:
    schema = build_schema(contract("cloudshelf.graphql").read_text(encoding="utf-8"))
    extended = extend_schema(schema, parse(STRUCTURED))
    for name, pattern in (("UTCDateTime", MOMENT), ("GlobalId", GID)):
        checked = _checked(name, pattern)
        # The hook has one name in older releases of graphql-core and another in newer ones.
        vars(extended.type_map[name]).update(serialize=checked, coerce_output_value=checked)
    return extended


def _checked(name: str, pattern: re.Pattern[str]) -> Any:
    def check(value: Any) -> str:
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            raise ValueError(f"{value!r} is no {name}")
        return value

    return check


def judge(official: GraphQLSchema, said: Exchange) -> bool:
    """Hold an exchange to the official schema; whether it was taken."""
    answer = json.loads(said.answer)
    assert said.status == 200 or "errors" in answer
    if said.status != 200 or answer.get("data") is None:
        assert all(error["message"] for error in answer["errors"])
        return False
    request = json.loads(said.request)
    document = parse(request["query"])
    assert validate(official, document) == []
    again = execute_sync(
        official,
        document,
        root_value=answer["data"],
        variable_values=request.get("variables"),
        field_resolver=lambda source, info, **arguments: source[info.path.key],
    )
    assert again.errors is None, (request, again.errors)
    assert again.data == answer["data"]
    return True


class Talk:
    """Speaks to one sandbox and remembers what was said."""

    def __init__(self, form: Any) -> None:
        self.form = form
        self.seen: list[Exchange] = []
        self.server = SandboxServer(
            EMPTY, kiosk=KioskBehaviour(location_form=form), observer=self.seen.append
        )

    def begin(self) -> Kiosk:
        """An organisation as new, with a little of everything in it."""
        self.server.state.cloudshelf.reset()
        self.seen.clear()
        kiosk = Kiosk(self.server)
        kiosk.products(product("a", tags=["new"], metadata=[METADATA]), product("b"))
        kiosk.variants("a", variant("v", metaimages=[IMAGE], attributes=[{"key": "Size", "value": "M"}]))
        kiosk.locations(self.place("l"))
        kiosk.groups({"id": gid("g", "G"), "displayName": "G", "featuredImage": IMAGE})
        kiosk.stock("v", "l", 3)
        line = {"productID": gid("a"), "productVariantID": gid("v", "V"), "quantity": 1, "price": 1.5}
        self.server.state.floor.raw_kiosk_order({"lines": [line], "session": {"deviceName": "K1"}})
        return kiosk

    def place(self, name: str) -> Json:
        """A ``LocationInput`` in the sandbox's form."""
        place = location(name)
        if self.form == "address":
            place["address"] = place.pop("address1")
        return place


METADATA = {"namespace": "CT", "key": "k", "data": "d"}
IMAGE = {"url": "https://images.example.com/a.jpg", "preferredImage": True}


@pytest.fixture(scope="module", params=FORMS)
def talk(request: pytest.FixtureRequest, official: GraphQLSchema) -> Iterator[Talk]:
    made = Talk(request.param)
    with made.server:
        yield made


# A conversation with every operation

EVERYTHING = {
    "Product": """id platformProvidedId displayName description handle vendor productType tags remoteUpdatedAt
        createdAt updatedAt metadata { id namespace key data createdAt updatedAt }
        productVariants { id sku } productGroups { id displayName }""",
    "ProductVariant": """id platformProvidedId product { id } position displayName sku barcode currentPrice
        originalPrice isInStock availableToPurchase inventoryPolicy attributes { key value } metadata { key data }
        metaimages { id originalUrl url preferredImage available createdAt updatedAt }
        stockLevels { id isInStock location { id } productVariant { id } createdAt updatedAt } createdAt updatedAt""",
    "ProductGroup": """id platformProvidedId displayName handle featuredImage { url } isAllProductGroup
        metadata { key } productCount products { id } createdAt updatedAt""",
    "Location": """id platformProvidedId displayName address countryCode fulfillsOnlineOrders metadata { key }
        stockLevels { isInStock productVariant { sku } } createdAt updatedAt""",
    "Order": """id status thirdPartyId discountCode createdAt updatedAt session { id order { id } }
        lines { id productId productName productVariantId productVariantName platformProvidedId
            platformProvidedProductId platformProvidedProductVariantId quantity price currencyCode
            customAttributes { key value } createdAt updatedAt }""",
    "Device": """id platformProvidedId displayName status lastSeen visibilityType registered location { id displayName }
        createdAt updatedAt""",
    "Session": """id status visibilityType cloudshelfId cloudshelfName deviceId deviceName locationId locationName
        salesAssistantId salesAssistantName fulfilmentMethod paymentMethod paymentAttemptId basketValue
        basketCurrencyCode order { id } endedAt createdAt updatedAt""",
}
PAGE_INFO = "pageInfo { startCursor endCursor hasNextPage hasPreviousPage } totalCount"
ERRORS = "userErrors { code message }"
PLURALS = {
    "products": "Product",
    "productGroups": "ProductGroup",
    "locations": "Location",
    "orders": "Order",
    "devices": "Device",
}
INPUTS = {
    "upsertProducts": ("input", "ProductInput", "products", "Product"),
    "upsertProductVariants": ("inputs", "UpsertVariantsInput", "productVariants", "ProductVariant"),
    "upsertProductGroups": ("input", "ProductGroupInput", "productGroups", "ProductGroup"),
    "upsertLocations": ("input", "LocationInput", "locations", "Location"),
    "upsertStockLevels": ("input", "StockLevelInput", "stockLevels", None),
    "upsertOrders": ("input", "OrderInput", "orders", "Order"),
}
COUNTS = """productCount validProductCount variantCount imageCount productGroupCount
    productGroupWithValidProductCount"""
STATS = "{ knownNumber numberHeldAtTimeOfReporting asExpected extraInformation reportedAt }"


def upsert(kiosk: Kiosk, name: str, *inputs: Json) -> None:
    argument, kind, answer, entity = INPUTS[name]
    fields = EVERYTHING[entity] if entity else "id isInStock updatedAt"
    kiosk.ask(
        f"mutation ($x: [{kind}!]!) {{ {name}({argument}: $x) {{ {answer} {{ {fields} }} {ERRORS} }} }}",
        x=list(inputs),
    )


def converse(talk: Talk, kiosk: Kiosk, file_url: str) -> None:
    """Every operation of the simulated schema, taken and refused."""
    read(kiosk)
    write(talk, kiosk)
    change_membership(kiosk)
    for what in ("Products", "Variants", "ProductGroups"):
        for url in (file_url, f"{file_url}/nothing", "file:///etc/hostname"):
            kiosk.ask(f'mutation {{ keepKnown{what}ViaFile(fileUrl: "{url}") {{ count {ERRORS} }} }}')
    for what, answer in (
        ("Products", "products"),
        ("ProductGroups", "productGroups"),
        ("Locations", "locations"),
    ):
        fields = EVERYTHING[PLURALS[answer]]
        ids = [gid("a"), gid("g", "G"), gid("l", "L"), gid("nobody")]
        kiosk.ask(
            f"mutation ($ids: [GlobalId!]!) {{ delete{what}(ids: $ids) {{ {answer} {{ {fields} }} {ERRORS} }} }}",
            ids=ids,
        )


def read(kiosk: Kiosk) -> None:
    kiosk.ask("{ version isInMaintenanceMode organisationRequiresStockSync }")
    kiosk.ask(f"{{ ingestionStats {{ {COUNTS} }} }}")
    kiosk.ask("mutation { reportCatalogStats(knownNumberOfProducts: 2, knownNumberOfImages: 9) }")
    reports = " ".join(
        f"lastReportedCatalogStatsFor{what} {STATS}" for what in ("Products", "Variants", "Images")
    )
    kiosk.ask(f"{{ syncStats {{ isClosed lastIngestionDataDate {reports} }} }}")
    fields = "id displayName domainName defaultCurrencyCode safetyStockNumber isClosed createdAt updatedAt"
    for id_ in (kiosk.server.state.cloudshelf.organisation["id"], gid("nobody")):
        kiosk.ask(f"query ($id: GlobalId!) {{ organisation(id: $id) {{ {fields} }} }}", id=id_)
    for name, kind in PLURALS.items():
        node = f"edges {{ cursor node {{ {EVERYTHING[kind]} }} }} {PAGE_INFO}"
        kiosk.ask(f"{{ {name}(first: 2, sortBy: {{updatedAt: DESC}}) {{ {node} }} }}")
        kiosk.ask(f'{{ {name}(after: "nonsense") {{ totalCount }} }}')
        single = kind[0].lower() + kind[1:]
        for id_ in (gid("a"), gid("g", "G"), gid("l", "L"), gid("nobody"), "no id"):
            kiosk.ask(f"query ($id: GlobalId!) {{ {single}(id: $id) {{ {EVERYTHING[kind]} }} }}", id=id_)
    (device,) = kiosk.server.state.cloudshelf.devices()
    kiosk.server.state.floor.change("kiosk", {"channel": device["locationId"], "on": False})
    kiosk.ask(f"query ($id: GlobalId!) {{ device(id: $id) {{ {EVERYTHING['Device']} }} }}", id=device["id"])
    for status in ("ACTIVE", "REVOKED", "ALL"):
        node = "node { id name maskedKey lastUsedAt revokedAt createdAt updatedAt }"
        keys = f"organisationApiKeys(filterQuery: {{status: {status}}}) {{ edges {{ {node} }} {PAGE_INFO} }}"
        kiosk.ask(f"{{ {keys} }}")
    kiosk.ask('{ products(textSearch: "a", productGroupIds: ["gid://external/G/g"]) { totalCount } }')
    kiosk.ask(f"{{ sessions(includeIncomplete: true) {{ {EVERYTHING['Session']} }} }}")


def write(talk: Talk, kiosk: Kiosk) -> None:
    upsert(kiosk, "upsertProducts", product("c", metadata=[METADATA]), {"id": gid("d")})
    upsert(
        kiosk,
        "upsertProductVariants",
        {"productId": gid("c"), "variants": [variant("w"), {"id": gid("x", "V")}]},
    )
    upsert(kiosk, "upsertProductVariants", {"productId": gid("nobody"), "variants": [variant("w")]})
    upsert(
        kiosk, "upsertProductGroups", {"id": gid("h", "G"), "displayName": "H", "metadata": [METADATA]}, {}
    )
    upsert(kiosk, "upsertLocations", talk.place("m"), {"displayName": "nowhere"})
    level = {"locationId": gid("m", "L"), "productVariantId": gid("w", "V"), "quantity": 0}
    upsert(kiosk, "upsertStockLevels", level, {**level, "locationId": gid("nobody", "L")})
    upsert(kiosk, "upsertOrders", {"status": "PAID", "thirdPartyId": "t1", "lines": [{"quantity": 2}]}, {})
    upsert(kiosk, "upsertOrders", {"thirdPartyId": "t1", "newThirdPartyId": "t2", "fromPOS": True})


def change_membership(kiosk: Kiosk) -> None:
    variables = "$g: GlobalId!, $p: [GlobalId!]!"
    for name in ("update", "add", "remove"):
        field = {"update": "updateProductsInProductGroup", "add": "addProductsToProductGroup"}.get(
            name, "removeProductsFromProductGroup"
        )
        call = f"mutation ({variables}) {{ {field}(productGroupId: $g, productIds: $p) }}"
        kiosk.ask(call, g=gid("g", "G"), p=[gid("a")])
        kiosk.ask(call, g=gid("nobody", "G"), p=[])
    rows = [
        {"productGroupId": gid("g", "G"), "productIds": [gid("b")]},
        {"productGroupId": gid("x"), "productIds": []},
    ]
    kiosk.ask(
        """mutation ($b: ProductGroupUpdateBatch!) { updateProductsInProductGroupInBatch(
            productGroupUpdateBatchInput: $b) { productGroupId success number } }""",
        b={"productGroupUpdateBatch": rows},
    )


@contextmanager
def keep_file() -> Iterator[str]:
    """A URL with ids that are to be kept; every path below it is something else."""

    class Files(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'[{"id": "gid://external/P/a"}]' if self.path == "/keep.json" else b"<html>"
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/keep.json"
        server.shutdown()


def test_every_operation(official: GraphQLSchema, talk: Talk) -> None:
    kiosk = talk.begin()
    with keep_file() as url:
        converse(talk, kiosk, url)
    taken = {one.operation for one in talk.seen if judge(official, one)}
    simulated = load_schema(talk.form)
    offered = {
        name for root in (simulated.query_type, simulated.mutation_type) if root for name in root.fields
    }
    assert offered <= {field for operation in taken for field in operation.split("+")}


# Random requests

calm = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.function_scoped_fixture,
    ],
)
LEAVES: dict[str, st.SearchStrategy[Any]] = {
    "GlobalId": st.sampled_from([gid("a"), gid("v", "V"), gid("g", "G"), gid("l", "L"), gid("new"), "no id"]),
    "UTCDateTime": st.sampled_from(["2026-11-20T10:15:00Z", "2026-11-20T10:15:00.000Z", "today"]),
    "String": st.sampled_from(["", "a", "ünï", "t1"]),
    "Int": st.sampled_from([0, 1, -1, 2**31 - 1, 2**31]),
    "Float": st.sampled_from([0, 1.5, -2]),
    "Boolean": st.booleans(),
}


def values(kind: Any, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values of an input type of the official schema: mostly right, sometimes absent or wrong."""
    if isinstance(kind, GraphQLNonNull):
        return values(kind.of_type, depth)
    if isinstance(kind, GraphQLList):
        return st.lists(values(kind.of_type, depth + 1), min_size=1, max_size=2)
    if isinstance(kind, GraphQLEnumType):
        return st.sampled_from([*sorted(kind.values)[:5], "DE", "EUR", "NONSENSE"])
    if not isinstance(kind, GraphQLInputObjectType):
        return LEAVES[kind.name]
    needed = {name for name, one in kind.fields.items() if isinstance(one.type, GraphQLNonNull)}
    fields = {name: values(one.type, depth + 1) for name, one in kind.fields.items() if name in kind.fields}
    return st.fixed_dictionaries(
        {name: fields[name] for name in sorted(needed)},
        optional={name: one for name, one in sorted(fields.items()) if name not in needed},
    )


def selections(kind: Any, depth: int) -> st.SearchStrategy[str]:
    """A selection of fields of a simulated type."""
    named = get_named_type(kind)
    assert isinstance(named, GraphQLObjectType)
    leaves = [name for name, one in named.fields.items() if is_leaf_type(get_named_type(one.type))]
    nested = [name for name in named.fields if name not in leaves] if depth else []
    chosen = st.lists(st.sampled_from(["__typename", *leaves]), min_size=1, max_size=4, unique=True)
    below = st.lists(st.sampled_from(nested), max_size=2, unique=True) if nested else st.just([])
    return st.tuples(chosen, below).flatmap(
        lambda drawn: st.tuples(*(selections(named.fields[name].type, depth - 1) for name in drawn[1])).map(
            lambda inner: " ".join(
                [*drawn[0], *(f"{n} {{ {s} }}" for n, s in zip(drawn[1], inner, strict=True))]
            )
        )
    )


@pytest.mark.parametrize("name", INPUTS)
def test_any_upsert(official: GraphQLSchema, talk: Talk, name: str) -> None:
    argument, kind, _, _ = INPUTS[name]
    mutation = load_schema(talk.form).mutation_type
    assert mutation is not None
    inputs = st.lists(values(official.type_map[kind]), min_size=1, max_size=3)
    taken = []

    @calm
    @given(inputs, selections(mutation.fields[name].type, 3))
    def say(given: list[Json], wanted: str) -> None:
        kiosk = talk.begin()
        text = f"mutation ($x: [{kind}!]!) {{ {name}({argument}: $x) {{ {wanted} }} }}"
        kiosk.ask(text, x=given)
        taken.append(judge(official, talk.seen[-1]))

    say()
    assert any(taken)


@pytest.mark.parametrize("name", PLURALS)
def test_any_query(official: GraphQLSchema, talk: Talk, name: str) -> None:
    query = load_schema(talk.form).query_type
    assert query is not None
    numbers = st.sampled_from([None, 0, 1, 2, 50])

    @calm
    @given(numbers, numbers, st.sampled_from(["ASC", "DESC"]), selections(query.fields[name].type, 4))
    def say(first: int | None, last: int | None, order: str, wanted: str) -> None:
        text = f"query ($f: Int, $l: Int) {{ {name}(first: $f, last: $l, sortBy: {{id: {order}}}) {{ {wanted} }} }}"
        kiosk.ask(text, f=first, l=last)
        assert judge(official, talk.seen[-1])

    kiosk = talk.begin()
    say()
