"""The simulated Cloudshelf API keeps the promises that the facts about the real one name, each shown once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.talk import Kiosk

from cogent_ops.sandbox.cloudshelf_state import KioskBehaviour
from cogent_ops.sandbox.dataset import Dataset
from cogent_ops.sandbox.faults import Credits, FaultPlan, Rule
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.server import SandboxServer

Json = dict[str, Any]

PRODUCTS = """mutation ($input: [ProductInput!]!) { upsertProducts(input: $input) {
    products { id platformProvidedId } userErrors { code message } } }"""
VARIANTS = """mutation ($inputs: [UpsertVariantsInput!]!) { upsertProductVariants(inputs: $inputs) {
    productVariants { platformProvidedId isInStock } userErrors { code message } } }"""
LOCATIONS = """mutation ($input: [LocationInput!]!) { upsertLocations(input: $input) {
    locations { platformProvidedId } userErrors { code message } } }"""
STOCK = """mutation ($input: [StockLevelInput!]!) { upsertStockLevels(input: $input) {
    stockLevels { isInStock } userErrors { code message } } }"""
PAGE = """query ($first: Int, $after: String) { products(first: $first, after: $after) {
    edges { cursor node { platformProvidedId } } pageInfo { hasNextPage endCursor } totalCount } }"""


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return generate(seed=6, products=0, now=datetime(2026, 11, 20, tzinfo=UTC))


@pytest.fixture
def kiosk(dataset: Dataset) -> Iterator[Kiosk]:
    with SandboxServer(dataset) as server:
        yield Kiosk(server)


def gid(name: str, kind: str = "P") -> str:
    return f"gid://external/{kind}/{name}"


def product(name: str) -> Json:
    return {"id": gid(name), "displayName": name.title(), "handle": name}


def variant(name: str, **more: Any) -> Json:
    fields = {"displayName": name, "sku": name, "currentPrice": 1.5, "originalPrice": 2.0, "position": 1}
    return {"id": gid(name, "V"), "isInStock": True, "availableToPurchase": True, **fields, **more}


def test_the_key_opens_and_a_wrong_one_does_not(kiosk: Kiosk) -> None:
    assert kiosk.data("{ version isInMaintenanceMode }")["isInMaintenanceMode"] is False
    kiosk.key = "wrong"
    assert kiosk.error(PAGE)["extensions"]["code"] == "UNAUTHENTICATED"
    assert kiosk.data("{ version }")["version"], "health needs no key"


@pytest.mark.parametrize("refusal", ["http", "graphql"])
def test_how_a_wrong_key_is_refused_is_a_switch(dataset: Dataset, refusal: Any) -> None:
    with SandboxServer(dataset, kiosk=KioskBehaviour(refusal=refusal)) as server:
        assert Kiosk(server, "wrong").ask(PAGE).status_code == (401 if refusal == "http" else 200)


def test_a_role_without_a_permission_is_refused(dataset: Dataset) -> None:
    only = frozenset({"CATALOGUE:READ"})
    with SandboxServer(dataset, kiosk=KioskBehaviour(permissions=only)) as server:
        kiosk = Kiosk(server)
        assert kiosk.data(PAGE)["products"]["totalCount"] == 0
        assert "errors" in kiosk.ask(PRODUCTS, input=[product("a")]).json()


def test_an_upsert_creates_once_and_is_found_by_either_id(kiosk: Kiosk) -> None:
    made = kiosk.data(PRODUCTS, input=[product("a")])["upsertProducts"]["products"][0]
    again = kiosk.data(PRODUCTS, input=[product("a")])["upsertProducts"]["products"][0]
    assert made == again
    assert made["platformProvidedId"] == gid("a") != made["id"]
    query = "query ($id: GlobalId!) { product(id: $id) { id } }"
    assert {kiosk.data(query, id=id_)["product"]["id"] for id_ in made.values()} == {made["id"]}


def test_part_of_a_batch_is_applied_beside_errors_that_name_no_record(dataset: Dataset) -> None:
    plan = FaultPlan(rules=[Rule(kind="refuse", ids="*bad*", code="ENTITY_INVALID_FIELD")])
    with SandboxServer(dataset, plan) as server:
        kiosk = Kiosk(server)
        batch = [product(name) for name in ("good", "bad", "fine")]
        answer = kiosk.data(PRODUCTS, input=batch)["upsertProducts"]
        assert [one["platformProvidedId"] for one in answer["products"]] == [gid("good"), gid("fine")]
        assert [error["code"] for error in answer["userErrors"]] == ["ENTITY_INVALID_FIELD"]
        assert "bad" not in answer["userErrors"][0]["message"]


def test_a_variant_needs_its_product(kiosk: Kiosk) -> None:
    entry = {"productId": gid("nobody"), "variants": [variant("v")]}
    answer = kiosk.data(VARIANTS, inputs=[entry])["upsertProductVariants"]
    assert answer["productVariants"] == []
    assert answer["userErrors"][0]["code"] == "ENTITY_NOT_FOUND"


def test_pages_follow_cursors(kiosk: Kiosk) -> None:
    kiosk.data(PRODUCTS, input=[product(f"p{n:02}") for n in range(25)])
    seen, after = [], None
    while True:
        page = kiosk.data(PAGE, first=10, after=after)["products"]
        seen += [edge["node"]["platformProvidedId"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert len(seen) == len(set(seen)) == page["totalCount"] == 25
    assert len(kiosk.data(PAGE)["products"]["edges"]) == 20, "pages have a default size"


@pytest.mark.parametrize("complexity", ["static", "multiplied"])
def test_complexity_is_limited_before_anything_runs(dataset: Dataset, complexity: Any) -> None:
    with SandboxServer(dataset, kiosk=KioskBehaviour(complexity=complexity)) as server:
        kiosk = Kiosk(server)
        wide = " ".join(f"p{n}: version" for n in range(501))
        assert "complexity" in kiosk.error(f"{{ {wide} }}")["message"]
        deep_page = kiosk.ask(PAGE, first=400).json()
        assert ("errors" in deep_page) is (complexity == "multiplied")


def test_depth_is_limited(dataset: Dataset) -> None:
    with SandboxServer(dataset, kiosk=KioskBehaviour(max_depth=3)) as server:
        assert "depth" in Kiosk(server).error(PAGE)["message"]


def test_credits_are_spent_and_refilled(dataset: Dataset) -> None:
    plan = FaultPlan(credits=Credits(capacity=3, per_second=0.001))
    with SandboxServer(dataset, plan) as server:
        kiosk = Kiosk(server)
        answers = [kiosk.ask("{ version isInMaintenanceMode }").json() for _ in range(3)]
        assert ["errors" in answer for answer in answers] == [False, True, True]


@pytest.mark.parametrize(("form", "field"), [("address", "address"), ("structured", "address1")])
def test_the_form_of_a_location_is_a_switch_that_shows(dataset: Dataset, form: Any, field: str) -> None:
    with SandboxServer(dataset, kiosk=KioskBehaviour(location_form=form)) as server:
        kiosk = Kiosk(server)
        shape = kiosk.data('{ __type(name: "LocationInput") { inputFields { name } } }')["__type"]
        assert field in {one["name"] for one in shape["inputFields"]}
        place = {"id": gid("l", "L"), "displayName": "L", "countryCode": "DE"}
        assert (
            kiosk.data(LOCATIONS, input=[{**place, field: "Street 1"}])["upsertLocations"]["userErrors"] == []
        )
        other = "address" if field == "address1" else "address1"
        assert other in kiosk.error(LOCATIONS, input=[{**place, other: "Street 1"}])["message"]


@pytest.mark.parametrize(
    ("safety", "quantity", "in_stock"), [(0, 0, True), (0, -1, False), (2, 1, False), (2, 2, True)]
)
def test_below_the_safety_stock_is_out_of_stock(
    dataset: Dataset, safety: int, quantity: int, in_stock: bool
) -> None:
    with SandboxServer(dataset, kiosk=KioskBehaviour(safety_stock=safety)) as server:
        kiosk = Kiosk(server)
        kiosk.data(PRODUCTS, input=[product("a")])
        kiosk.data(VARIANTS, inputs=[{"productId": gid("a"), "variants": [variant("v")]}])
        place = {"id": gid("l", "L"), "displayName": "L", "countryCode": "DE", "address1": "Street 1"}
        kiosk.data(LOCATIONS, input=[place])
        level = {"locationId": gid("l", "L"), "productVariantId": gid("v", "V"), "quantity": quantity}
        (told,) = kiosk.data(STOCK, input=[level])["upsertStockLevels"]["stockLevels"]
        assert told["isInStock"] is in_stock


def test_group_membership_is_set_as_a_whole_and_in_order(kiosk: Kiosk) -> None:
    kiosk.data(PRODUCTS, input=[product(name) for name in "abc"])
    groups = "mutation ($i: [ProductGroupInput!]!) { upsertProductGroups(input: $i) { userErrors { code } } }"
    kiosk.data(groups, i=[{"id": gid("g", "G"), "displayName": "G"}])
    setting = """mutation ($b: ProductGroupUpdateBatch!) {
        updateProductsInProductGroupInBatch(productGroupUpdateBatchInput: $b) { productGroupId success number } }"""
    for members in ("cab", "b"):
        ids = [gid(name) for name in members]
        batch = {"productGroupUpdateBatch": [{"productGroupId": gid("g", "G"), "productIds": ids}]}
        (told,) = kiosk.data(setting, b=batch)["updateProductsInProductGroupInBatch"]
        assert (told["success"], told["number"]) == (True, len(members))
        held = kiosk.server.dump("cloudshelf")
        assert [gid(name) for name in members] in _lists(held)


def _lists(value: Any) -> list[list[Any]]:
    """Every list anywhere inside."""
    found = [value] if isinstance(value, list) else []
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return found + [one for part in inner for one in _lists(part)]


def test_orders_come_newest_first_and_have_no_filter(kiosk: Kiosk) -> None:
    floor = kiosk.server.state.floor
    made = []
    for number in range(3):
        kiosk.server.state.clock.advance(1)
        made.append(floor.raw_kiosk_order({"lines": [{"quantity": number + 1}]})["id"])
    kiosk.server.state.clock.advance(1)
    floor.set_order_status(made[0], "PAID")
    query = "{ orders(first: 10, sortBy: {updatedAt: DESC}) { edges { node { id status } } } }"
    nodes = [edge["node"] for edge in kiosk.data(query)["orders"]["edges"]]
    assert [node["id"] for node in nodes] == [made[0], made[2], made[1]]
    assert nodes[0]["status"] == "PAID"
    assert "errors" in kiosk.ask('{ orders(status: "PAID") { totalCount } }').json()


def test_what_was_reported_shows_beside_what_is_held(kiosk: Kiosk) -> None:
    kiosk.data(PRODUCTS, input=[product("a")])
    report = "mutation { reportCatalogStats(knownNumberOfProducts: 2) }"
    assert kiosk.data(report)["reportCatalogStats"] is True
    stats = kiosk.data(
        "{ syncStats { lastReportedCatalogStatsForProducts { asExpected knownNumber numberHeldAtTimeOfReporting } } }"
    )
    told = stats["syncStats"]["lastReportedCatalogStatsForProducts"]
    assert told == {"asExpected": False, "knownNumber": 2, "numberHeldAtTimeOfReporting": 1}
