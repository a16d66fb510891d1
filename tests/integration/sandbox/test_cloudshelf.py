"""The simulated Cloudshelf API keeps the promises that the facts about the real one name, each shown once."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from tests.support.talk import Json, Kiosk, codes, gid, http, location, names, product, variant

from cogent_ops.sandbox.cloudshelf_state import ALL_PERMISSIONS, KioskBehaviour
from cogent_ops.sandbox.faults import Credits, FaultPlan, Rule
from cogent_ops.sandbox.server import SandboxServer

Start = Callable[..., SandboxServer]
Behaving = Callable[..., Kiosk]

PRODUCTS = """mutation ($input: [ProductInput!]!) { upsertProducts(input: $input) {
    products { id platformProvidedId } userErrors { code message } } }"""
LOCATIONS = """mutation ($input: [LocationInput!]!) { upsertLocations(input: $input) {
    locations { platformProvidedId } userErrors { code message } } }"""
PAGE = """query ($first: Int, $after: String, $last: Int, $before: String) {
    products(first: $first, after: $after, last: $last, before: $before) {
        edges { cursor node { platformProvidedId } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount } }"""
PRODUCT = """query ($id: GlobalId!) { product(id: $id) { id displayName description handle tags vendor updatedAt
    metadata { namespace key data } productGroups { platformProvidedId }
    productVariants { platformProvidedId currentPrice attributes { key value } metaimages { originalUrl } } } }"""
MEMBERS = (
    """query ($id: GlobalId!) { productGroup(id: $id) { productCount products { platformProvidedId } } }"""
)
MEMBERSHIP = """mutation ($b: ProductGroupUpdateBatch!) {
    updateProductsInProductGroupInBatch(productGroupUpdateBatchInput: $b) { productGroupId success number } }"""


@pytest.fixture
def behaving(start: Start) -> Behaving:
    """Somebody at an organisation that answers an open question so: ``behaving(lists="merge")``."""
    return lambda **switches: Kiosk(start(kiosk=KioskBehaviour(**switches)))


def page_names(page: Json) -> list[str]:
    return names([edge["node"] for edge in page["edges"]])


# Keys, roles, introspection


def test_the_key_opens_and_a_wrong_one_does_not(kiosk: Kiosk) -> None:
    kiosk.data(PAGE)
    for key in ("wrong", None):
        refused = Kiosk(kiosk.server, key)
        assert refused.error(PAGE)["extensions"]["code"] == "UNAUTHENTICATED"
        assert refused.data("{ version isInMaintenanceMode }")["isInMaintenanceMode"] is False
        assert "errors" in refused.ask("{ version organisationRequiresStockSync }").json()


@pytest.mark.parametrize(("refusal", "status"), [("http", 401), ("graphql", 200)])
def test_how_a_wrong_key_is_refused(behaving: Behaving, refusal: str, status: int) -> None:
    kiosk = behaving(refusal=refusal)
    assert Kiosk(kiosk.server, "wrong").ask(PAGE).status_code == status


@pytest.mark.parametrize("is_open", [True, False])
def test_who_may_read_the_schema(behaving: Behaving, is_open: bool) -> None:
    kiosk = behaving(open_introspection=is_open)
    query = '{ __type(name: "LocationInput") { name } }'
    assert ("errors" in Kiosk(kiosk.server, None).ask(query).json()) is not is_open
    assert kiosk.data(query)["__type"]["name"] == "LocationInput"


@pytest.mark.parametrize(
    ("missing", "query"),
    [
        ("CATALOGUE:READ", "{ products { totalCount } }"),
        ("CATALOGUE:MODIFY", "mutation { upsertProducts(input: []) { userErrors { code } } }"),
        ("LOCATIONS:READ", "{ locations { totalCount } }"),
        ("LOCATIONS:MODIFY", "mutation { upsertLocations(input: []) { userErrors { code } } }"),
        ("ORDERS:READ", "{ orders { totalCount } }"),
        ("ORDERS:MODIFY", "mutation { upsertOrders(input: []) { userErrors { code } } }"),
        ("MY_ORGANISATION:READ", "{ ingestionStats { productCount } }"),
        ("MY_ORGANISATION:MODIFY", "mutation { reportCatalogStats(knownNumberOfProducts: 1) }"),
    ],
)
def test_a_role_opens_what_it_names(behaving: Behaving, missing: str, query: str) -> None:
    assert behaving(permissions=frozenset({missing})).data(query)
    refused = behaving(permissions=ALL_PERMISSIONS - {missing}).error(query)
    assert refused["extensions"]["code"] == "FORBIDDEN"


@pytest.mark.parametrize("entity", ["CATALOGUE", "LOCATIONS"])
def test_which_right_guards_stock(behaving: Behaving, entity: str) -> None:
    query = "mutation { upsertStockLevels(input: []) { userErrors { code } } }"
    assert behaving(stock_permission=entity, permissions=frozenset({f"{entity}:MODIFY"})).data(query)
    without = ALL_PERMISSIONS - {f"{entity}:MODIFY"}
    assert behaving(stock_permission=entity, permissions=without).error(query)


@pytest.mark.parametrize("entity", ["CATALOGUE", "MY_ORGANISATION"])
def test_which_right_guards_the_numbers(behaving: Behaving, entity: str) -> None:
    query = "mutation { reportCatalogStats(knownNumberOfProducts: 1) }"
    only = frozenset({f"{entity}:MODIFY"})
    assert behaving(statistics_permission=entity, permissions=only).data(query)
    assert behaving(statistics_permission=entity, permissions=ALL_PERMISSIONS - only).error(query)


def test_a_deletion_answers_with_what_is_no_more(kiosk: Kiosk) -> None:
    kiosk.products(product("a"))
    kiosk.variants("a", variant("v"))
    kiosk.groups({"id": gid("g", "G"), "displayName": "G"})
    gone = kiosk.data(
        """mutation ($p: [GlobalId!]!, $g: [GlobalId!]!) {
            deleteProducts(ids: $p) { products { displayName productVariants { id } } userErrors { code } }
            deleteProductGroups(ids: $g) { productGroups { productCount } userErrors { code } } }""",
        p=[gid("a"), gid("a")],
        g=[gid("g", "G")],
    )
    assert gone["deleteProducts"] == {
        "products": [{"displayName": "A", "productVariants": []}],
        "userErrors": [{"code": "ENTITY_NOT_FOUND"}],
    }
    assert gone["deleteProductGroups"] == {"productGroups": [{"productCount": 0}], "userErrors": []}


@pytest.mark.parametrize("moment", ["today", "2026-11-20", "20.11.2026 10:00"])
def test_a_time_that_is_none_is_refused(kiosk: Kiosk, moment: str) -> None:
    query = "mutation ($x: [ProductInput!]!) { upsertProducts(input: $x) { userErrors { code } } }"
    assert "UTCDateTime" in kiosk.error(query, x=[product("a", remoteUpdatedAt=moment)])["message"]


def test_every_answer_carries_a_request_id(kiosk: Kiosk) -> None:
    assert (
        kiosk.ask("{ version }").headers["x-request-id"] != kiosk.ask("{ version }").headers["x-request-id"]
    )


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"query": 1}',
        b'{"query": "{"}',
        b'{"query": "{ nothing }"}',
        b'{"query": "{version}", "variables": [1]}',
    ],
)
def test_what_is_no_request_is_refused(kiosk: Kiosk, body: bytes) -> None:
    headers = {"Authorization": "Token sandbox-key"}
    answer = http().post(kiosk.server.cloudshelf_url, content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["message"]


# Limits


@pytest.mark.parametrize(("complexity", "refused"), [("static", False), ("multiplied", True)])
def test_whether_a_page_multiplies_its_cost(behaving: Behaving, complexity: str, refused: bool) -> None:
    assert ("errors" in behaving(complexity=complexity).ask(PAGE, first=400).json()) is refused


@pytest.mark.parametrize(("over_limit", "status"), [("graphql", 200), ("http", 400)])
def test_complexity_and_depth_are_limited_before_anything_runs(
    behaving: Behaving, over_limit: str, status: int
) -> None:
    kiosk = behaving(over_limit=over_limit, max_depth=4)
    one = 'upsertProducts(input: [{id: "gid://external/P/a", displayName: "A"}]) { userErrors { code } }'
    wide = kiosk.ask(f"mutation {{ {' '.join(f'm{n}: {one}' for n in range(167))} }}")
    assert (wide.status_code, "complexity of 500" in wide.text) == (status, True)
    deep = kiosk.ask("{ products { edges { node { productVariants { sku } } } } }")
    assert (deep.status_code, "depth of 4" in deep.text) == (status, True)
    assert kiosk.data("{ products { totalCount } }")["products"]["totalCount"] == 0


def test_fragments_cost_what_they_hold(behaving: Behaving) -> None:
    kiosk = behaving(max_complexity=5)
    query = "{ products { edges { node { ...f ... on Product { vendor } } } } } fragment f on Product "
    assert kiosk.data(query + "{ id }")
    assert "complexity" in kiosk.error(query + "{ id handle }")["message"]


@pytest.mark.parametrize(("over_limit", "status"), [("graphql", 200), ("http", 429)])
def test_credits_are_spent_and_refilled(start: Start, over_limit: Any, status: int) -> None:
    plan = FaultPlan(credits=Credits(capacity=3, per_second=0.001))
    kiosk = Kiosk(start(plan, kiosk=KioskBehaviour(over_limit=over_limit)))
    answers = [kiosk.ask("{ version isInMaintenanceMode }") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, status, status]
    assert "credits" in answers[1].json()["errors"][0]["message"]
    assert ("retry-after" in answers[1].headers) is (over_limit == "http")
    assert kiosk.data("{ version }"), "one credit is left"


@pytest.mark.parametrize(("max_batch", "made"), [(None, 3), (3, 3), (2, 0)])
def test_how_many_records_a_batch_may_have(behaving: Behaving, max_batch: int | None, made: int) -> None:
    answer = behaving(max_batch=max_batch).products(*(product(name) for name in "abc"))
    assert len(answer["products"]) == made
    assert codes(answer) == ([] if made else ["INVALID_ARGUMENT"])


@pytest.mark.parametrize(("most", "status"), [(10_000, 200), (100, 413)])
def test_how_long_a_body_may_be(behaving: Behaving, most: int, status: int) -> None:
    assert behaving(max_body_bytes=most).ask(PRODUCTS, input=[product("a")]).status_code == status


# Identity and fields


def test_an_upsert_creates_once_and_is_found_by_either_id(kiosk: Kiosk) -> None:
    (made,) = kiosk.data(PRODUCTS, input=[product("a")])["upsertProducts"]["products"]
    (again,) = kiosk.data(PRODUCTS, input=[product("a")])["upsertProducts"]["products"]
    assert made == again
    assert made["platformProvidedId"] == gid("a") != made["id"]
    assert {kiosk.data(PRODUCT, id=id_)["product"]["id"] for id_ in made.values()} == {made["id"]}
    assert kiosk.data(PRODUCT, id=gid("b"))["product"] is None


def test_an_internal_id_is_never_made_up(kiosk: Kiosk) -> None:
    unknown = {"id": "gid://cloudshelf/Product/01ARZ3NDEKTSV4RRFFQ69G5FAV", "displayName": "A"}
    assert codes(kiosk.products(unknown)) == ["ENTITY_NOT_FOUND"]


@pytest.mark.parametrize("value", ["A-1", "gid://external/P/", "gid:/external/P/a", 7, None])
def test_an_id_is_a_gid(kiosk: Kiosk, value: Any) -> None:
    """Also where the input goes through the compiled checks."""
    answer = kiosk.ask(PRODUCTS, input=[{"id": value, "displayName": "A"}]).json()
    assert ("errors" in answer) is (value is not None)


def test_metadata_needs_a_namespace(kiosk: Kiosk) -> None:
    rows = [{"namespace": "", "key": "k", "data": "1"}, {"namespace": "Shop", "key": "k", "data": "2"}]
    kiosk.products(product("a", metadata=rows))
    stored = kiosk.data(PRODUCT, id=gid("a"))["product"]["metadata"]
    assert [(one["namespace"], one["data"]) for one in stored] == [("global", "1"), ("shop", "2")]
    assert (
        "namespace"
        in kiosk.error(PRODUCTS, input=[product("b", metadata=[{"key": "k", "data": "1"}])])["message"]
    )


@pytest.mark.parametrize("lists", ["replace", "merge"])
def test_whether_lists_replace_or_join(behaving: Behaving, lists: str) -> None:
    def row(key: str, data: str) -> Json:
        return {"namespace": "n", "key": key, "data": data}

    kiosk = behaving(lists=lists)
    kiosk.products(product("a", tags=["x", "y"], metadata=[row("k", "1"), row("old", "1")]))
    kiosk.products(product("a", tags=["y", "z"], metadata=[row("k", "2")]))
    stored = kiosk.data(PRODUCT, id=gid("a"))["product"]
    both = lists == "merge"
    assert stored["tags"] == (["x", "y", "z"] if both else ["y", "z"])
    assert [(one["key"], one["data"]) for one in stored["metadata"]] == [
        *([("old", "1")] if both else []),
        ("k", "2"),
    ]


@pytest.mark.parametrize(("null", "expected"), [("clears", None), ("keeps", "Acme")])
def test_whether_null_clears(behaving: Behaving, null: str, expected: str | None) -> None:
    kiosk = behaving(null=null)
    kiosk.products(product("a", vendor="Acme", description="Text"))
    kiosk.products({"id": gid("a"), "displayName": None, "vendor": None})
    stored = kiosk.data(PRODUCT, id=gid("a"))["product"]
    assert (stored["vendor"], stored["displayName"], stored["description"]) == (expected, "A", "Text")


@pytest.mark.parametrize("bumps", [True, False])
def test_whether_an_upsert_without_news_counts_as_a_change(behaving: Behaving, bumps: bool) -> None:
    kiosk = behaving(unchanged_upsert_bumps=bumps)
    (first,) = kiosk.products(product("a"))["products"]
    kiosk.server.state.clock.advance(1)
    (second,) = kiosk.products(product("a"))["products"]
    assert (second["updatedAt"] > first["updatedAt"]) is bumps


def test_a_handle_comes_from_the_name_unless_it_is_sent(kiosk: Kiosk) -> None:
    kiosk.products({"id": gid("a"), "displayName": "Red Mug, large"}, product("b", handle="mine"))
    assert kiosk.data(PRODUCT, id=gid("a"))["product"]["handle"] == "red-mug-large"
    assert kiosk.data(PRODUCT, id=gid("b"))["product"]["handle"] == "mine"


# Batches


@pytest.mark.parametrize(("batches", "applied"), [("partial", ["good", "fine"]), ("atomic", [])])
def test_what_becomes_of_a_batch_with_a_bad_record(start: Start, batches: Any, applied: list[str]) -> None:
    plan = FaultPlan(rules=[Rule(kind="refuse", ids="*bad*", code="ENTITY_INVALID_FIELD")])
    kiosk = Kiosk(start(plan, kiosk=KioskBehaviour(batches=batches)))
    kiosk.products(product("old", vendor="Acme"))
    answer = kiosk.products(
        *(product(name) for name in ("good", "bad", "fine")), product("old", vendor="New")
    )
    assert names(answer["products"]) == [*applied, *(["old"] if applied else [])]
    assert codes(answer) == ["ENTITY_INVALID_FIELD"]
    assert "bad" not in answer["userErrors"][0]["message"], "nothing says which record is meant"
    assert page_names(kiosk.data(PAGE)["products"]) == ["old", *applied]
    assert kiosk.data(PRODUCT, id=gid("old"))["product"]["vendor"] == ("New" if applied else "Acme")


@pytest.mark.parametrize(
    ("field", "upsert"),
    [
        ("displayName", lambda kiosk, gone: kiosk.products(gone(product("x")))),
        ("displayName", lambda kiosk, gone: kiosk.groups(gone({"id": gid("x", "G"), "displayName": "X"}))),
        ("displayName", lambda kiosk, gone: kiosk.locations(gone(location("x")))),
        ("countryCode", lambda kiosk, gone: kiosk.locations(gone(location("x")))),
        ("address1", lambda kiosk, gone: kiosk.locations(gone(location("x")))),
        ("currentPrice", lambda kiosk, gone: kiosk.variants("a", gone(variant("x")))),
        ("originalPrice", lambda kiosk, gone: kiosk.variants("a", gone(variant("x")))),
        ("isInStock", lambda kiosk, gone: kiosk.variants("a", gone(variant("x")))),
        ("availableToPurchase", lambda kiosk, gone: kiosk.variants("a", gone(variant("x")))),
        ("status", lambda kiosk, gone: kiosk.orders(gone({"thirdPartyId": "t", "status": "PAID"}))),
    ],
)
def test_what_creation_needs(kiosk: Kiosk, field: str, upsert: Callable[[Kiosk, Any], Json]) -> None:
    kiosk.products(product("a"))
    answer = upsert(kiosk, lambda record: {name: value for name, value in record.items() if name != field})
    assert codes(answer) == ["ENTITY_CREATION_MISSING_FIELD"]
    assert field in answer["userErrors"][0]["message"]
    assert codes(upsert(kiosk, lambda record: record)) == []
    assert codes(upsert(kiosk, lambda record: record | {field: None})) == [], "an update may leave it out"


def test_a_variant_needs_its_product(kiosk: Kiosk) -> None:
    answer = kiosk.variants("nobody", variant("v"), variant("w"))
    assert (answer["productVariants"], codes(answer)) == ([], ["ENTITY_NOT_FOUND"])


def test_a_variant_moves_to_the_product_it_is_sent_under(kiosk: Kiosk) -> None:
    kiosk.products(product("a"), product("b"))
    kiosk.variants("a", variant("v", position=2), variant("w", position=1))
    kiosk.variants("b", variant("v"))
    held = [kiosk.data(PRODUCT, id=gid(name))["product"]["productVariants"] for name in "ab"]
    assert [names(variants) for variants in held] == [["w"], ["v"]]


# Reading


def test_pages_follow_cursors(kiosk: Kiosk) -> None:
    kiosk.products(*(product(f"p{n:02}") for n in range(25)))
    seen, after = [], None
    while True:
        page = kiosk.data(PAGE, first=10, after=after)["products"]
        assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
        seen += page_names(page)
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert seen == [f"p{n:02}" for n in range(25)]
    assert page["totalCount"] == 25
    back = kiosk.data(PAGE, last=3, before=page["pageInfo"]["startCursor"])["products"]
    assert page_names(back) == ["p17", "p18", "p19"]
    assert len(kiosk.data(PAGE)["products"]["edges"]) == 20, "pages have a default size"


@pytest.mark.parametrize(("max_page", "length"), [(None, 12), (5, 5)])
def test_how_long_a_page_may_be(behaving: Behaving, max_page: int | None, length: int) -> None:
    kiosk = behaving(max_page=max_page)
    kiosk.products(*(product(f"p{n:02}") for n in range(12)))
    page = kiosk.data(PAGE, first=100)["products"]
    assert len(page["edges"]) == length
    assert page["pageInfo"]["hasNextPage"] is (length < 12)


def test_a_made_up_cursor_is_refused(kiosk: Kiosk) -> None:
    assert "no cursor" in kiosk.error(PAGE, after="made-up")["message"]


def test_products_are_found_by_text_and_group(kiosk: Kiosk) -> None:
    kiosk.products(product("red mug"), product("blue mug"), product("plate"))
    kiosk.groups({"id": gid("g", "G"), "displayName": "G"})
    _set_members(kiosk, ["plate", "blue mug"])
    query = """query ($text: String, $groups: [String!]) { products(textSearch: $text, productGroupIds: $groups) {
        edges { node { platformProvidedId } } } }"""
    assert page_names(kiosk.data(query, text="MUG")["products"]) == ["red mug", "blue mug"]
    assert page_names(kiosk.data(query, text="mug", groups=[gid("g", "G")])["products"]) == ["blue mug"]


# Groups


def _set_members(kiosk: Kiosk, members: list[str], group: str = "g") -> Json:
    row = {"productGroupId": gid(group, "G"), "productIds": [gid(name) for name in members]}
    (told,) = kiosk.data(MEMBERSHIP, b={"productGroupUpdateBatch": [row]})[
        "updateProductsInProductGroupInBatch"
    ]
    return dict(told)


def test_group_membership_is_set_as_a_whole_and_in_order(kiosk: Kiosk) -> None:
    kiosk.products(*(product(name) for name in "abc"))
    kiosk.groups({"id": gid("g", "G"), "displayName": "G"})
    for members in (["c", "a", "b"], ["b"], []):
        told = _set_members(kiosk, members)
        assert (told["success"], told["number"]) == (True, len(members))
        held = kiosk.data(MEMBERS, id=gid("g", "G"))["productGroup"]
        assert (names(held["products"]), held["productCount"]) == (members, len(members))


def test_members_are_added_and_removed(kiosk: Kiosk) -> None:
    kiosk.products(*(product(name) for name in "abc"))
    kiosk.groups({"id": gid("g", "G"), "displayName": "G"})
    for mutation, ids, expected in (
        ("updateProductsInProductGroup", "ab", "ab"),
        ("addProductsToProductGroup", "cb", "abc"),
        ("removeProductsFromProductGroup", "a", "bc"),
    ):
        text = (
            f"mutation ($g: GlobalId!, $p: [GlobalId!]!) {{ {mutation}(productGroupId: $g, productIds: $p) }}"
        )
        assert kiosk.data(text, g=gid("g", "G"), p=[gid(name) for name in ids])[mutation] is True
        assert names(kiosk.data(MEMBERS, id=gid("g", "G"))["productGroup"]["products"]) == list(expected)


@pytest.mark.parametrize(("group", "members"), [("nobody", ["a"]), ("g", ["a", "nobody"])])
def test_an_unknown_member_changes_nothing(kiosk: Kiosk, group: str, members: list[str]) -> None:
    kiosk.products(product("a"))
    kiosk.groups({"id": gid("g", "G"), "displayName": "G"})
    assert _set_members(kiosk, members, group)["success"] is False
    assert kiosk.data(MEMBERS, id=gid("g", "G"))["productGroup"]["productCount"] == 0


# Deletions


def test_a_deleted_product_takes_everything_along(kiosk: Kiosk) -> None:
    kiosk.products(product("a"), product("b"))
    kiosk.variants("a", variant("v"))
    kiosk.locations(location("l"))
    kiosk.stock("v", "l", 3)
    kiosk.groups({"id": gid("g", "G"), "displayName": "G"})
    _set_members(kiosk, ["a", "b"])
    text = """mutation ($ids: [GlobalId!]!) { deleteProducts(ids: $ids) {
        products { platformProvidedId } userErrors { code message } } }"""
    answer = kiosk.data(text, ids=[gid("a"), gid("nobody")])["deleteProducts"]
    assert (names(answer["products"]), codes(answer)) == (["a"], ["ENTITY_NOT_FOUND"])
    held = kiosk.server.dump("cloudshelf")
    assert (list(held["products"]), held["stock"]) == ([gid("b")], {})
    assert names(kiosk.data(MEMBERS, id=gid("g", "G"))["productGroup"]["products"]) == ["b"]
    (made,) = kiosk.products(product("a"))["products"]
    assert kiosk.data(PRODUCT, id=made["id"])["product"]["productVariants"] == []


def test_the_group_of_all_products_stays(kiosk: Kiosk) -> None:
    kiosk.products(product("a"))
    groups = "{ productGroups { edges { node { id isAllProductGroup products { platformProvidedId } } } } }"
    (edge,) = kiosk.data(groups)["productGroups"]["edges"]
    assert edge["node"]["isAllProductGroup"]
    assert names(edge["node"]["products"]) == ["a"]
    text = "mutation ($ids: [GlobalId!]!) { deleteProductGroups(ids: $ids) { userErrors { code message } } }"
    assert codes(kiosk.data(text, ids=[edge["node"]["id"]])["deleteProductGroups"]) == ["ACTION_DISALLOWED"]


@contextmanager
def served(content: bytes) -> Iterator[str]:
    """URL of a file."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Be quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/keep.json"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


KEEP = """mutation ($url: String!) { keepKnownVariantsViaFile(fileUrl: $url) { count userErrors { code message } } }"""


def test_what_a_file_does_not_name_is_deleted(kiosk: Kiosk) -> None:
    kiosk.products(product("a"))
    kiosk.variants("a", *(variant(name) for name in "uvw"))
    with served(json.dumps([{"id": gid("u", "V")}, {"id": gid("unknown", "V")}]).encode()) as url:
        assert kiosk.data(KEEP, url=url)["keepKnownVariantsViaFile"] == {"count": 2, "userErrors": []}
    assert names(kiosk.data(PRODUCT, id=gid("a"))["product"]["productVariants"]) == ["u"]


@pytest.mark.parametrize("content", [b"nonsense", b"{}", b'["gid://external/V/u"]', b'[{"key": "u"}]'])
def test_a_file_that_cannot_be_read_deletes_nothing(kiosk: Kiosk, content: bytes) -> None:
    kiosk.products(product("a"))
    kiosk.variants("a", variant("u"))
    with served(content) as url:
        answer = kiosk.data(KEEP, url=url)["keepKnownVariantsViaFile"]
    assert (answer["count"], codes(answer)) == (0, ["INVALID_FILE"])
    assert len(kiosk.data(PRODUCT, id=gid("a"))["product"]["productVariants"]) == 1


@pytest.mark.parametrize("url", ["file:///etc/hostname", "http://198.51.100.1/keep.json", "keep.json"])
def test_only_this_machine_is_asked_for_a_file(kiosk: Kiosk, url: str) -> None:
    assert codes(kiosk.data(KEEP, url=url)["keepKnownVariantsViaFile"]) == ["INVALID_FILE"]


# Locations and stock


@pytest.mark.parametrize(("form", "field"), [("address", "address"), ("structured", "address1")])
def test_the_form_of_a_location_shows(behaving: Behaving, form: str, field: str) -> None:
    kiosk = behaving(location_form=form)
    shape = kiosk.data('{ __type(name: "LocationInput") { inputFields { name } } }')["__type"]
    assert field in {one["name"] for one in shape["inputFields"]}
    place = {"id": gid("l", "L"), "displayName": "L", "countryCode": "DE"}
    assert codes(kiosk.data(LOCATIONS, input=[{**place, field: "Street 1"}])["upsertLocations"]) == []
    read = "{ locations { edges { node { address fulfillsOnlineOrders } } } }"
    (edge,) = kiosk.data(read)["locations"]["edges"]
    assert edge["node"] == {"address": "Street 1", "fulfillsOnlineOrders": False}
    other = "address" if field == "address1" else "address1"
    assert other in kiosk.error(LOCATIONS, input=[{**place, other: "Street 1"}])["message"]


@pytest.mark.parametrize(
    ("itself", "safety", "quantity", "in_stock"),
    [
        ("in", 0, 0, True),
        ("in", 0, -1, False),
        ("in", 2, 1, False),
        ("in", 2, 2, True),
        ("out", 0, 0, False),
        ("out", 0, 1, True),
        ("out", 2, 2, False),
        ("out", 2, 3, True),
    ],
)
def test_below_the_safety_stock_is_out_of_stock(
    behaving: Behaving, itself: str, safety: int, quantity: int, in_stock: bool
) -> None:
    kiosk = behaving(safety_stock=safety, safety_stock_itself=itself)
    kiosk.products(product("a"))
    kiosk.variants("a", variant("v"))
    kiosk.locations(location("l"))
    (told,) = kiosk.stock("v", "l", quantity)["stockLevels"]
    assert told["isInStock"] is in_stock


@pytest.mark.parametrize(("sku", "place"), [("nobody", "l"), ("v", "nowhere")])
def test_a_stock_level_needs_both_its_ends(kiosk: Kiosk, sku: str, place: str) -> None:
    kiosk.products(product("a"))
    kiosk.variants("a", variant("v"))
    kiosk.locations(location("l"))
    assert codes(kiosk.stock(sku, place, 1)) == ["ENTITY_NOT_FOUND"]


def test_a_quantity_cannot_be_read_back(kiosk: Kiosk) -> None:
    assert (
        "quantity" in kiosk.error("{ locations { edges { node { stockLevels { quantity } } } } }")["message"]
    )


# Orders


def _sold(kiosk: Kiosk, **session: Any) -> str:
    kiosk.server.state.clock.advance(1)
    lines = [{"productID": gid("a"), "productVariantID": gid("v", "V"), "quantity": 2, "price": 9.5}]
    made = kiosk.server.state.floor.raw_kiosk_order({"lines": lines, "session": session or None})
    return str(made["id"])


def test_orders_come_newest_first_and_have_no_filter(kiosk: Kiosk) -> None:
    made = [_sold(kiosk) for _ in range(3)]
    kiosk.server.state.clock.advance(1)
    kiosk.server.state.floor.set_order_status(made[0], "PAID")
    query = "{ orders(first: 10, sortBy: {updatedAt: DESC}) { edges { node { id status } } } }"
    nodes = [edge["node"] for edge in kiosk.data(query)["orders"]["edges"]]
    assert [(node["id"], node["status"]) for node in nodes] == [
        (made[0], "PAID"),
        (made[2], "DRAFT_BASKET"),
        (made[1], "DRAFT_BASKET"),
    ]
    assert "status" in kiosk.error('{ orders(status: "PAID") { totalCount } }')["message"]


def test_an_order_changed_during_a_scan_moves_to_the_front_and_hides_none(kiosk: Kiosk) -> None:
    made = [_sold(kiosk) for _ in range(6)]
    query = """query ($after: String) { orders(first: 2, after: $after, sortBy: {updatedAt: DESC}) {
        edges { node { id } } pageInfo { hasNextPage endCursor } } }"""
    seen, after, more = [], None, True
    while more:
        page = kiosk.data(query, after=after)["orders"]
        seen += [edge["node"]["id"] for edge in page["edges"]]
        if after is None:
            kiosk.server.state.clock.advance(1)
            kiosk.server.state.floor.set_order_status(made[0], "PAID")
        more, after = page["pageInfo"]["hasNextPage"], page["pageInfo"]["endCursor"]
    assert set(seen) == set(made[1:]), "the changed one is met by the next scan, a shift only repeats"
    assert len(seen) > len(set(seen))


def test_an_order_is_known_by_its_id_or_by_a_third_partys(kiosk: Kiosk) -> None:
    kiosk.products(product("a"))
    (cart,) = kiosk.orders({"thirdPartyId": "cart-1", "status": "PLACED"})["orders"]
    (renamed,) = kiosk.orders({"thirdPartyId": "cart-1", "newThirdPartyId": "order-1", "status": "PAID"})[
        "orders"
    ]
    assert (renamed["id"], renamed["thirdPartyId"], renamed["status"]) == (cart["id"], "order-1", "PAID")
    (other,) = kiosk.orders({"thirdPartyId": "cart-1", "status": "PLACED"})["orders"]
    assert other["id"] != cart["id"], "the old name is free again"
    (same,) = kiosk.orders({"id": cart["id"], "status": "REFUNDED"})["orders"]
    assert (same["id"], same["status"]) == (cart["id"], "REFUNDED")
    assert codes(kiosk.orders({"id": gid("x", "Order"), "status": "PAID"})) == ["ENTITY_NOT_FOUND"]


@pytest.mark.parametrize(("lists", "count"), [("replace", 1), ("merge", 2)])
def test_whether_order_lines_replace_or_join(behaving: Behaving, lists: str, count: int) -> None:
    kiosk = behaving(lists=lists)
    for _ in range(2):
        kiosk.orders({"thirdPartyId": "t", "status": "PAID", "lines": [{"quantity": 1, "price": 4.5}]})
    query = "{ orders { edges { node { lines { quantity price currencyCode productId } } } } }"
    (edge,) = kiosk.data(query)["orders"]["edges"]
    shipping = {"quantity": 1, "price": 4.5, "currencyCode": "EUR", "productId": ""}
    assert edge["node"]["lines"] == [shipping] * count


@pytest.mark.parametrize(
    ("form", "expected"), [("gid", "gid://cloudshelf/Location/01ABC"), ("ulid", "01ABC")]
)
def test_how_a_session_names_its_place(behaving: Behaving, form: str, expected: str) -> None:
    kiosk = behaving(session_ids=form)
    order = _sold(kiosk, locationId="gid://cloudshelf/Location/01ABC", locationName="Berlin")
    query = "query ($id: GlobalId!) { order(id: $id) { session { locationId locationName order { id } } } }"
    session = kiosk.data(query, id=order)["order"]["session"]
    assert session == {"locationId": expected, "locationName": "Berlin", "order": {"id": order}}


def test_sessions_have_filters_that_orders_lack(kiosk: Kiosk) -> None:
    _sold(kiosk, visibilityType="CLOUDSHELF_INTERNAL", deviceId="d-1")
    _sold(kiosk, status="IN_PROGRESS", deviceId="d-1")
    shown = _sold(kiosk, deviceId="d-1")
    query = """query ($incomplete: Boolean, $internal: Boolean, $device: GlobalId) { sessions(
        includeIncomplete: $incomplete, includeInternal: $internal, deviceId: $device) { order { id } } }"""
    assert [
        one["order"]["id"] for one in kiosk.data(query, incomplete=False, internal=False)["sessions"]
    ] == [shown]
    assert len(kiosk.data(query, incomplete=True, internal=True)["sessions"]) == 3
    assert kiosk.data(query, device="gid://cloudshelf/Device/other")["sessions"] == []


# Statistics


@pytest.mark.parametrize(("rule", "valid"), [("image", 1), ("variant", 2)])
def test_ingestion_is_counted(behaving: Behaving, rule: str, valid: int) -> None:
    kiosk = behaving(valid_product=rule)
    kiosk.products(*(product(name) for name in "abc"))
    image = {"url": "https://images.example.com/v.jpg", "preferredImage": True}
    kiosk.variants("a", variant("v", metaimages=[image]), variant("w"))
    kiosk.variants("b", variant("x"))
    kiosk.groups({"id": gid("g", "G"), "displayName": "G"})
    _set_members(kiosk, ["a"])
    query = """{ ingestionStats { productCount validProductCount variantCount imageCount productGroupCount
        productGroupWithValidProductCount } }"""
    assert kiosk.data(query)["ingestionStats"] == {
        "productCount": 3,
        "validProductCount": valid,
        "variantCount": 3,
        "imageCount": 1,
        "productGroupCount": 1,
        "productGroupWithValidProductCount": 1,
    }


def test_what_was_reported_shows_beside_what_is_held(kiosk: Kiosk) -> None:
    kiosk.products(product("a"))
    query = """{ syncStats { isClosed lastIngestionDataDate lastReportedCatalogStatsForVariants { knownNumber }
        lastReportedCatalogStatsForProducts { asExpected knownNumber numberHeldAtTimeOfReporting } } }"""
    assert kiosk.data(query)["syncStats"]["lastReportedCatalogStatsForProducts"] is None
    for known, expected in ((2, False), (1, True)):
        text = f"mutation {{ reportCatalogStats(knownNumberOfProducts: {known}, retailerClosed: true) }}"
        assert kiosk.data(text)["reportCatalogStats"] is True
        stats = kiosk.data(query)["syncStats"]
        assert stats["lastReportedCatalogStatsForProducts"] == {
            "asExpected": expected,
            "knownNumber": known,
            "numberHeldAtTimeOfReporting": 1,
        }
    assert stats["lastReportedCatalogStatsForVariants"] is None
    assert stats["isClosed"] is True
    assert stats["lastIngestionDataDate"]
