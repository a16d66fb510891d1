"""The simulated commercetools API over HTTP, promise by promise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from tests.support.talk import Json, Shop, http, refusal

from cogent_ops.sandbox.dataset import Dataset, all_variants
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.sandbox.state import Behaviour
from cogent_ops.sandbox.traffic import EditKind, ProductEdit

Start = Callable[..., SandboxServer]
NOBODY = "00000000-0000-4000-8000-000000000000"
MONEY = {"currencyCode": "EUR", "centAmount": 1000}
CHANNEL = {"typeId": "channel", "key": "store-berlin"}
FIELD = {"name": "csMark", "label": {"en": "Mark"}, "required": False, "type": {"name": "String"}}
TYPE = {
    "key": "cs-inventory",
    "name": {"en": "Cloudshelf"},
    "resourceTypeIds": ["inventory-entry"],
    "fieldDefinitions": [FIELD],
}


def sold(dataset: Dataset) -> str:
    """A SKU that belongs to a product."""
    return str(next(v["sku"] for p in dataset.products for v in all_variants(p) if "sku" in v))


def line(sku: str, quantity: int = 1, **more: Any) -> Json:
    return {
        "name": {"en": "Article"},
        "variant": {"sku": sku},
        "quantity": quantity,
        "price": {"value": MONEY},
        **more,
    }


def order(number: str, *lines: Json, **more: Any) -> Json:
    return {"orderNumber": number, "lineItems": list(lines), "totalPrice": MONEY, **more}


# OAuth


@pytest.mark.parametrize(
    ("client", "form", "expected"),
    [
        (("sandbox-client", "wrong"), {}, (401, "invalid_client")),
        (("sandbox-client", "sandbox-secret"), {"grant_type": "password"}, (400, "unsupported_grant_type")),
        (("sandbox-client", "sandbox-secret"), {"scope": "view_orders:other"}, (400, "invalid_scope")),
    ],
)
def test_no_token_without_right(
    shop: Shop, client: tuple[str, str], form: dict[str, str], expected: tuple[int, str]
) -> None:
    answer = shop.issue(client=client, **form)
    assert refusal(answer) == expected
    assert answer.json()["error"] == expected[1]


def test_a_token_tells_its_life_and_its_scopes(shop: Shop) -> None:
    everything = shop.issue().json()
    assert everything["expires_in"] == 172_800
    assert everything["scope"] == "manage_project:sandbox"
    narrow = shop.issue("view_products:sandbox view_orders:sandbox").json()
    assert narrow["scope"] == "view_products:sandbox view_orders:sandbox"


def test_a_token_ends(start: Start) -> None:
    server = start(behaviour=Behaviour(token_seconds=3600))
    shop = Shop(server)
    shop.ok("GET", "")
    server.state.clock.advance(3600)
    answer = shop("GET", "")
    assert refusal(answer) == (401, "invalid_token")
    assert answer.json()["error"] == "invalid_token"
    shop.token = shop.issue().json()["access_token"]
    shop.ok("GET", "")
    http().post(f"{server.control_url}/tokens/expire").raise_for_status()
    assert shop("GET", "").status_code == 401


@pytest.mark.parametrize(
    ("scopes", "method", "path", "allowed"),
    [
        ("view_published_products", "GET", "product-projections", True),
        ("view_published_products", "GET", "product-projections?staged=false", True),
        ("view_published_products", "GET", "product-projections?staged=true", False),
        ("view_products", "GET", "product-projections?staged=true", True),
        ("view_published_products", "GET", "inventory", False),
        ("view_products", "GET", "inventory", True),
        ("view_products", "POST", "inventory", False),
        ("manage_products", "POST", "inventory", True),
        ("manage_products", "GET", "inventory", True),
        ("view_orders", "GET", "orders", True),
        ("view_orders", "POST", "orders/import", False),
        ("view_orders", "GET", "payments", False),
        ("view_orders", "GET", "messages", False),
        ("view_messages", "GET", "messages", True),
        ("view_products", "GET", "types", False),
        ("view_types", "GET", "types", True),
        ("view_products", "GET", "channels", True),
        ("view_channels", "GET", "channels", True),
        ("view_products", "GET", "stores", False),
        ("view_products", "GET", "", False),
        ("view_project_settings", "GET", "", True),
        ("view_standalone_prices", "GET", "standalone-prices", True),
        ("view_product_selections", "GET", "in-store/key=store-berlin/product-selection-assignments", True),
    ],
)
def test_scopes_open_what_they_name(shop: Shop, scopes: str, method: str, path: str, allowed: bool) -> None:
    token = shop.issue(f"{scopes}:sandbox").json()["access_token"]
    answer = shop(method, path, {} if method == "POST" else None, token=token)
    if allowed:
        assert answer.status_code in (200, 201, 400), answer.text
    else:
        assert refusal(answer) == (403, "insufficient_scope")


def test_without_a_token_nothing_opens(shop: Shop) -> None:
    answer = http().get(f"{shop.server.commercetools_url}/sandbox/inventory")
    assert answer.status_code == 401
    assert shop("GET", "inventory", token="made-up").status_code == 401


def test_every_answer_carries_a_correlation_id(shop: Shop) -> None:
    assert shop("GET", "").headers["x-correlation-id"].startswith("sandbox/")
    sent = {"Authorization": f"Bearer {shop.token}", "X-Correlation-ID": "mine"}
    answer = http().get(f"{shop.server.commercetools_url}/sandbox", headers=sent)
    assert answer.headers["x-correlation-id"] == "mine"


# Reading


def test_keyset_paging_sees_everything_once(shop: Shop, dataset: Dataset) -> None:
    seen = [one["id"] for page in shop.pages("inventory", 100, withTotal="false") for one in page]
    assert seen == sorted(entry["id"] for entry in dataset.inventory)


def test_a_product_deleted_between_two_pages_hides_no_other(shop: Shop, dataset: Dataset) -> None:
    pages = shop.pages("product-projections", 10)
    first = next(pages)
    shop.server.state.floor.delete_product(first[-1]["id"])
    seen = first + [one for page in pages for one in page]
    assert [one["id"] for one in seen] == sorted(product["id"] for product in dataset.products)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"limit": 501}, "between 0 and 500"),
        ({"limit": "-1"}, "between 0 and 500"),
        ({"offset": 10_001}, "between 0 and 10000"),
        ({"withTotal": "yes"}, "neither 'true' nor 'false'"),
        ({"sort": "sku upwards"}, "no sort expression"),
        ({"sort": "colour asc"}, "'colour' does not exist"),
        ({"where": 'colour = "red"'}, "'colour' does not exist"),
        ({"where": 'sku = "A" and'}, "Unexpected end of input"),
        ({"where": "sku in :s"}, "not bound"),
        ({"where": 'lastModifiedAt > "yesterday"'}, "not a valid time"),
        ({"where": 'supplyChannel = "c"'}, "use parentheses"),
    ],
)
def test_senseless_queries_are_refused(shop: Shop, params: Json, message: str) -> None:
    answer = shop("GET", "inventory", **params)
    assert refusal(answer) == (400, "InvalidInput")
    assert message in answer.json()["message"]


@pytest.mark.parametrize("parameter", ["priceCurrency", "localeProjection", "limt"])
def test_a_parameter_without_effect_is_refused(shop: Shop, parameter: str) -> None:
    answer = shop("GET", "product-projections", **{parameter: "x"})
    assert answer.status_code == 501
    assert parameter in answer.json()["message"]


def test_a_page_holds_what_was_asked_for(shop: Shop, dataset: Dataset) -> None:
    default = shop.ok("GET", "inventory")
    assert (default["limit"], default["offset"], default["count"]) == (20, 0, 20)
    assert default["total"] == len(dataset.inventory)
    second = shop.ok("GET", "inventory", sort="id asc", limit=500, offset=5, withTotal="false")
    assert "total" not in second
    assert second["count"] == min(500, len(dataset.inventory) - 5)


def test_a_filtered_total_is_capped(shop: Shop) -> None:
    state = shop.server.state.commercetools
    with state.lock:
        for number in range(10_050):
            state.add("custom-objects", {"container": "many", "key": str(number), "value": number})
    assert shop.ok("GET", "custom-objects", limit=1)["total"] == 10_050
    assert shop.ok("GET", "custom-objects/many", limit=1)["total"] == 10_000


@pytest.mark.parametrize(
    ("predicate", "found"),
    [
        ('sku = "A"', "A A@berlin"),
        ('sku in ("A", "B")', "A A@berlin B"),
        ('sku in ("A", "C") and supplyChannel is not defined', "A C"),
        ('sku in ("A", "C") and supplyChannel(id = "{berlin}")', "A@berlin"),
        ('sku not in ("A") and sku in ("A", "B")', "B"),
        ('not (sku = "A") and sku in ("A", "C")', "C"),
        ('(sku = "A" or sku = "B") and quantityOnStock > 5', "A B"),
        ('sku = "B" and quantityOnStock <> 7', ""),
        ('custom is defined and custom(fields(csMark = "m-1"))', "C"),
        ('sku in ("A", "B", "C") and custom(fields(csMark is not defined))', ""),
        ('stockLevels(safetyStock >= 2) and sku in ("A", "B")', "B"),
        ('sku = "A" and createdAt > "2020-01-01T00:00:00Z"', "A A@berlin"),
        ('sku = "A" and createdAt < "2020-01-01T00:00:00Z"', ""),
        ('key in ("entry-c")', "C"),
        ('sku = "\\"quoted\\""', ""),
    ],
)
def test_predicates(shop: Shop, predicate: str, found: str) -> None:
    shop.ok("POST", "types", TYPE)
    berlin = shop.ok("GET", "channels/key=store-berlin")["id"]
    custom = {"type": {"typeId": "type", "key": "cs-inventory"}, "fields": {"csMark": "m-1"}}
    shop.entry("A")
    shop.entry("A", supplyChannel=CHANNEL, quantityOnStock=0)
    shop.entry("B", quantityOnStock=7, stockLevels={"safetyStock": 2})
    shop.entry("C", custom=custom, key="entry-c")
    rows = shop.query("inventory", where=predicate.replace("{berlin}", berlin), sort="sku asc")
    assert sorted(one["sku"] + ("@berlin" if "supplyChannel" in one else "") for one in rows) == found.split()


def test_variables_fill_a_predicate(shop: Shop) -> None:
    for sku in ("A", "B", "C"):
        shop.entry(sku)
    rows = shop.query("inventory", where="sku in :s and quantityOnStock > :q", var_s=["A", "C"], var_q="9")
    assert {one["sku"] for one in rows} == {"A", "C"}


@pytest.mark.parametrize(
    "predicate",
    [
        'masterVariant(sku = "{sku}") or variants(sku = "{sku}")',
        'masterVariant(sku in ("{sku}")) or variants(sku in ("{sku}"))',
        'variants(attributes(name = "color")) and id = "{id}"',
        'productType(typeId = "product-type") and key = "{key}"',
        'name(en = "{name}") and id = "{id}"',
    ],
)
def test_a_product_is_found_by_what_is_inside(shop: Shop, dataset: Dataset, predicate: str) -> None:
    one = next(p for p in dataset.products if p["variants"] and _colourful(p))
    values = {
        "id": one["id"],
        "key": one["key"],
        "sku": one["variants"][-1]["sku"],
        "name": one["name"]["en"],
    }
    text = predicate
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    assert [found["id"] for found in shop.query("product-projections", where=text)] == [one["id"]]


def _colourful(product: Json) -> bool:
    return any(one["name"] == "color" for one in product["variants"][0]["attributes"])


def test_changes_are_found_by_time(shop: Shop, dataset: Dataset) -> None:
    shop.server.state.floor.change_product(dataset.products[3]["id"], {"name": {"en": "New"}})
    since = 'lastModifiedAt >= "2026-11-21T00:00:00.000Z"'
    assert [one["id"] for one in shop.query("product-projections", where=since)] == [
        dataset.products[3]["id"]
    ]


def test_unpublished_products_are_shown_staged_only(shop: Shop, dataset: Dataset) -> None:
    gone = dataset.products[0]
    shop.server.state.floor.publish_product(gone["id"], False)
    current = {one["id"] for one in shop.query("product-projections", limit=500)}
    staged = {one["id"] for one in shop.query("product-projections", limit=500, staged="true")}
    assert staged - current == {gone["id"]}
    for path in (gone["id"], f"key={gone['key']}"):
        assert refusal(shop("GET", f"product-projections/{path}")) == (404, "ResourceNotFound")
        assert shop.ok("GET", f"product-projections/{path}", staged="true")["published"] is False


def test_availability_is_what_the_inventory_says(shop: Shop, dataset: Dataset) -> None:
    sku = sold(dataset)
    shop.server.state.floor.set_stock(sku, 4)
    shop.server.state.floor.set_stock(sku, 0, "store-vienna")
    vienna = shop.ok("GET", "channels/key=store-vienna")["id"]
    product = shop.query("product-projections", where=f'masterVariant(sku = "{sku}")')[0]
    available = product["masterVariant"]["availability"]
    assert (available["isOnStock"], available["availableQuantity"]) == (True, 4)
    assert available["channels"][vienna]["isOnStock"] is False


def test_a_projection_hears_of_stock_late(start: Start, dataset: Dataset) -> None:
    server = start(behaviour=Behaviour(availability_lag_seconds=10))
    shop, sku = Shop(server), sold(dataset)
    shown = []
    for quantity in (900, 901):
        server.state.floor.set_stock(sku, quantity)
        (product,) = shop.query("product-projections", where=f'masterVariant(sku = "{sku}")')
        shown.append(product["masterVariant"].get("availability", {}).get("availableQuantity"))
    server.state.clock.advance(11)
    (product,) = shop.query("product-projections", where=f'masterVariant(sku = "{sku}")')
    assert shown[0] == shown[1] != 900
    assert product["masterVariant"]["availability"]["availableQuantity"] == 901


def test_staged_data_is_other_data(shop: Shop, dataset: Dataset) -> None:
    product = dataset.products[0]["id"]
    shop.server.state.floor.change_product(product, {"hasStagedChanges": True})
    current, staged = (
        shop.ok("GET", f"product-projections/{product}", staged=staged)["name"]
        for staged in ("false", "true")
    )
    assert current == dataset.products[0]["name"]
    assert current.keys() == staged.keys()
    assert current["en"] != staged["en"]


@pytest.mark.parametrize("model", ["Modular", "InMigration"])
def test_a_modular_catalogue_shows_no_variants(dataset: Dataset, model: str) -> None:
    modular = replace(dataset, project={**dataset.project, "productCatalogModel": model})
    with SandboxServer(modular) as server:
        shop = Shop(server)
        assert shop.ok("GET", "")["productCatalogModel"] == model
        products = shop.query("product-projections", limit=500)
        assert len(products) == len(dataset.products)
        assert all(product["variants"] == [] and "masterVariant" not in product for product in products)


@pytest.mark.parametrize("status", [414, 404])
def test_a_long_address_is_refused(start: Start, status: Any) -> None:
    shop = Shop(start(behaviour=Behaviour(long_uri_status=status)))
    skus = ", ".join(f'"SKU-{number:05d}"' for number in range(1000))
    assert shop("GET", "inventory", where=f"sku in ({skus})").status_code == status
    assert shop("GET", "inventory", where=f"sku in ({skus[:2000].rpartition(',')[0]})").status_code == 200


@pytest.mark.parametrize(
    "path", ["inventry", "inventory/a/b/c", "orders/key=1", "product-projections/search"]
)
def test_there_is_nothing_at_an_unknown_path(shop: Shop, path: str) -> None:
    assert refusal(shop("GET", path)) == (404, "ResourceNotFound")


def test_another_project_is_not_there(shop: Shop) -> None:
    url = f"{shop.server.commercetools_url}/other/inventory"
    assert http().get(url, headers={"Authorization": f"Bearer {shop.token}"}).status_code == 404


def test_head_tells_whether_there_is_one(shop: Shop, dataset: Dataset) -> None:
    found = shop("HEAD", f"product-projections/{dataset.products[0]['id']}")
    assert (found.status_code, found.content) == (200, b"")
    assert shop("HEAD", f"product-projections/{NOBODY}").status_code == 404
    for sku, status in ((sold(dataset), 200), ("nobody", 404)):
        answer = shop("HEAD", "inventory", where=f'sku = "{sku}"')
        assert (answer.status_code, answer.content) == (status, b"")


def test_a_store_without_selections_assigns_nothing(shop: Shop) -> None:
    path = "in-store/key={}/product-selection-assignments"
    assert shop.query(path.format("store-berlin")) == []
    assert shop("GET", path.format("nowhere")).status_code == 404


def test_a_selection_assigns_its_products(shop: Shop, dataset: Dataset) -> None:
    state = shop.server.state.commercetools
    with state.lock:
        state.select("store-berlin", "summer", [product["id"] for product in dataset.products[:3]])
        state.select("store-berlin", "sale", [dataset.products[2]["id"]])
        state.select("store-berlin", "winter", [dataset.products[5]["id"]], active=False)
    rows = shop.query("in-store/key=store-berlin/product-selection-assignments")
    assert [row["product"]["id"] for row in rows] == [
        *(product["id"] for product in dataset.products[:3]),
        dataset.products[2]["id"],
    ]


# Versions


def test_a_stale_version_is_refused_with_the_current_one(shop: Shop) -> None:
    entry = shop.entry("A")
    path = f"inventory/{entry['id']}"
    once = shop.update(path, entry["version"], {"action": "addQuantity", "quantity": 1}).json()
    for answer in (
        shop.update(path, entry["version"], {"action": "addQuantity", "quantity": 1}),
        shop.update(path, entry["version"], {"action": "changeQuantity", "quantity": 11}),
        shop("DELETE", path, version=entry["version"]),
    ):
        assert refusal(answer) == (409, "ConcurrentModification")
        assert answer.json()["errors"][0]["currentVersion"] == once["version"]
    assert shop.ok("GET", path)["quantityOnStock"] == 11


@pytest.mark.parametrize(("by_action", "step"), [(True, 3), (False, 1)])
def test_versions_grow(start: Start, by_action: bool, step: int) -> None:
    shop = Shop(start(behaviour=Behaviour(version_step_per_action=by_action)))
    entry = shop.entry("A")
    actions = [{"action": "addQuantity", "quantity": 1}] * 3
    new = shop.update(f"inventory/{entry['id']}", entry["version"], *actions).json()
    assert new["version"] - entry["version"] == step
    assert new["lastModifiedAt"] >= entry["lastModifiedAt"]


@pytest.mark.parametrize(("bumps", "step"), [(True, 1), (False, 0)])
def test_an_update_without_effect(start: Start, bumps: bool, step: int) -> None:
    shop = Shop(start(behaviour=Behaviour(no_op_bumps=bumps)))
    entry = shop.entry("A")
    new = shop.update(
        f"inventory/{entry['id']}", entry["version"], {"action": "changeQuantity", "quantity": 10}
    )
    assert new.json()["version"] - entry["version"] == step


def test_actions_take_effect_together_or_not_at_all(shop: Shop) -> None:
    entry = shop.entry("A")
    answer = shop.update(
        f"inventory/{entry['id']}",
        entry["version"],
        {"action": "addQuantity", "quantity": 5},
        {"action": "setCustomField", "name": "csMark", "value": "m"},
    )
    assert refusal(answer) == (400, "InvalidOperation")
    assert shop.ok("GET", f"inventory/{entry['id']}") == entry


def test_at_most_500_actions(shop: Shop) -> None:
    entry = shop.entry("A")
    actions = [{"action": "addQuantity", "quantity": 1}] * 501
    assert shop.update(f"inventory/{entry['id']}", entry["version"], *actions).status_code == 400
    assert shop.update(f"inventory/{entry['id']}", entry["version"], *actions[:500]).status_code == 200


def test_a_body_over_16_mb_is_refused(shop: Shop) -> None:
    body = b'{"sku": "' + b"x" * 16 * 1024 * 1024 + b'"}'
    assert refusal(shop("POST", "inventory", body)) == (413, "ContentTooLarge")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{", (400, "InvalidJsonInput")),
        ([], (400, "InvalidJsonInput")),
        ({"quantityOnStock": 1}, (400, "RequiredField")),
        ({"sku": "A"}, (400, "RequiredField")),
        ({"sku": "A", "quantityOnStock": "1"}, (400, "InvalidJsonInput")),
        ({"sku": "A", "quantityOnStock": 1, "quantity": 1}, (400, "InvalidJsonInput")),
        ({"sku": "A", "quantityOnStock": 1, "key": "x"}, (400, "InvalidJsonInput")),
        (
            {"sku": "A", "quantityOnStock": 1, "supplyChannel": {"typeId": "channel", "key": "nowhere"}},
            (400, "ReferencedResourceNotFound"),
        ),
        (
            {"sku": "A", "quantityOnStock": 1, "supplyChannel": {"typeId": "channel", "key": "erp"}},
            (400, "MissingRoleOnChannel"),
        ),
    ],
)
def test_a_wrong_draft_is_refused(shop: Shop, body: Any, expected: tuple[int, str]) -> None:
    assert refusal(shop("POST", "inventory", body)) == expected


# Uniqueness


@pytest.mark.parametrize(
    ("path", "first", "second", "field"),
    [
        (
            "inventory",
            {"sku": "A", "quantityOnStock": 1},
            {"sku": "A", "quantityOnStock": 2},
            "sku",
        ),
        (
            "inventory",
            {"sku": "A", "quantityOnStock": 1, "supplyChannel": CHANNEL},
            {"sku": "A", "quantityOnStock": 2, "supplyChannel": CHANNEL},
            "sku",
        ),
        (
            "inventory",
            {"sku": "A", "quantityOnStock": 1, "key": "same"},
            {"sku": "B", "quantityOnStock": 2, "key": "same"},
            "key",
        ),
        ("channels", {"key": "shop"}, {"key": "shop"}, "key"),
        ("types", TYPE, TYPE, "key"),
        ("payments", {"key": "p-1", "amountPlanned": MONEY}, {"key": "p-1", "amountPlanned": MONEY}, "key"),
        (
            "payments",
            {"interfaceId": "psp-1", "amountPlanned": MONEY},
            {"interfaceId": "psp-1", "amountPlanned": MONEY},
            "interfaceId",
        ),
    ],
)
def test_what_is_unique_cannot_be_made_twice(
    shop: Shop, path: str, first: Json, second: Json, field: str
) -> None:
    shop.ok("POST", path, first)
    answer = shop("POST", path, second)
    assert refusal(answer) == (400, "DuplicateField")
    assert answer.json()["errors"][0]["field"] == field
    assert answer.json()["errors"][0]["duplicateValue"] == second[field]


def test_one_sku_in_several_channels_is_several_entries(shop: Shop) -> None:
    shop.entry("A")
    shop.entry("A", supplyChannel=CHANNEL)
    moved = shop.entry("A", supplyChannel={"typeId": "channel", "key": "store-vienna"})
    answer = shop.update(
        f"inventory/{moved['id']}",
        moved["version"],
        {"action": "setSupplyChannel", "supplyChannel": CHANNEL},
    )
    assert refusal(answer) == (400, "DuplicateField")


# Inventory


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        ([{"action": "addQuantity", "quantity": 3}], {"quantityOnStock": 13, "availableQuantity": 13}),
        ([{"action": "removeQuantity", "quantity": 4}], {"quantityOnStock": 6}),
        ([{"action": "removeQuantity", "quantity": 12}], {"quantityOnStock": -2, "availableQuantity": -2}),
        ([{"action": "changeQuantity", "quantity": 0}], {"quantityOnStock": 0}),
        (
            [{"action": "removeQuantity", "quantity": 3}, {"action": "addQuantity", "quantity": 1}],
            {"quantityOnStock": 8},
        ),
        ([{"action": "setKey", "key": "mine"}], {"key": "mine"}),
        ([{"action": "setRestockableInDays", "restockableInDays": 4}], {"restockableInDays": 4}),
        (
            [{"action": "setExpectedDelivery", "expectedDelivery": "2026-12-01T00:00:00.000Z"}],
            {"expectedDelivery": "2026-12-01T00:00:00.000Z"},
        ),
        (
            [{"action": "setInventoryLimits", "minCartQuantity": 1, "maxCartQuantity": 5}],
            {"minCartQuantity": 1, "maxCartQuantity": 5},
        ),
        (
            [
                {"action": "setSafetyStock", "quantity": 2},
                {"action": "setReorderPoint", "quantity": 5},
            ],
            {"stockLevels": {"safetyStock": 2, "reorderPoint": 5}},
        ),
        (
            [{"action": "setReservationExpirationInMinutes", "reservationExpirationInMinutes": 9}],
            {"reservationExpirationInMinutes": 9},
        ),
    ],
)
def test_inventory_actions(shop: Shop, actions: list[Json], expected: Json) -> None:
    entry = shop.entry("A")
    new = shop.update(f"inventory/{entry['id']}", entry["version"], *actions).json()
    assert {name: new[name] for name in expected} == expected
    assert shop.ok("GET", f"inventory/{entry['id']}") == new


def test_an_unknown_action_is_refused(shop: Shop) -> None:
    entry = shop.entry("A")
    answer = shop.update(f"inventory/{entry['id']}", entry["version"], {"action": "subtractQuantity"})
    assert refusal(answer) == (400, "InvalidInput")


def test_a_deleted_entry_is_gone(shop: Shop) -> None:
    entry = shop.entry("A")
    assert shop("DELETE", f"inventory/{entry['id']}").status_code == 400
    shop.ok("DELETE", f"inventory/{entry['id']}", version=entry["version"])
    assert refusal(shop("GET", f"inventory/{entry['id']}")) == (404, "ResourceNotFound")
    shop.entry("A")


@pytest.mark.parametrize(
    ("how", "version", "modified"),
    [("nothing", False, False), ("version", True, False), ("modified", True, True)],
)
def test_a_product_feels_its_stock(
    start: Start, dataset: Dataset, how: Any, version: bool, modified: bool
) -> None:
    shop = Shop(start(behaviour=Behaviour(stock_touches_product=how)))
    before = dataset.products[0]
    shop.server.state.floor.set_stock(before["masterVariant"]["sku"], 77)
    after = shop.ok("GET", f"product-projections/{before['id']}")
    assert (after["version"] > before["version"]) == version
    assert (after["lastModifiedAt"] > before["lastModifiedAt"]) == modified


# Types and custom fields


def test_a_resource_has_one_type(shop: Shop) -> None:
    shop.ok("POST", "types", TYPE)
    other = {**TYPE, "key": "other", "fieldDefinitions": [{**FIELD, "name": "theirs"}]}
    shop.ok("POST", "types", other)
    entry = shop.entry("A", custom={"type": {"typeId": "type", "key": "other"}, "fields": {"theirs": "1"}})
    changed = shop.update(
        f"inventory/{entry['id']}",
        entry["version"],
        {
            "action": "setCustomType",
            "type": {"typeId": "type", "key": "cs-inventory"},
            "fields": {"csMark": "2"},
        },
    ).json()
    assert changed["custom"]["fields"] == {"csMark": "2"}, "the other integration's fields are wiped"


def test_fields_may_be_added_to_a_type_of_others(shop: Shop) -> None:
    kind = shop.ok("POST", "types", TYPE)
    path = f"types/{kind['id']}"
    second = {**FIELD, "name": "csBatch"}
    grown = shop.update(
        path, kind["version"], {"action": "addFieldDefinition", "fieldDefinition": second}
    ).json()
    assert [one["name"] for one in grown["fieldDefinitions"]] == ["csMark", "csBatch"]
    again = shop.update(path, grown["version"], {"action": "addFieldDefinition", "fieldDefinition": second})
    assert refusal(again) == (400, "DuplicateField")


@pytest.mark.parametrize(
    ("resource_types", "field_type", "possible"),
    [
        (["inventory-entry"], "String", True),
        (["inventory-entry"], "Number", False),
        (["order"], "Number", True),
    ],
)
def test_a_field_name_has_one_type_per_resource(
    shop: Shop, resource_types: list[str], field_type: str, possible: bool
) -> None:
    shop.ok("POST", "types", TYPE)
    field = {**FIELD, "type": {"name": field_type}}
    other = {**TYPE, "key": "other", "resourceTypeIds": resource_types, "fieldDefinitions": [field]}
    answer = shop("POST", "types", other)
    assert (answer.status_code == 201) == possible


@pytest.mark.parametrize(
    ("custom", "code"),
    [
        ({"type": {"typeId": "type", "key": "absent"}}, "ReferencedResourceNotFound"),
        ({"type": {"typeId": "type", "key": "cs-inventory"}, "fields": {"unknown": "1"}}, "InvalidField"),
        ({"type": {"typeId": "type", "key": "cs-inventory"}, "fields": {"csMark": 1}}, "InvalidField"),
        ({"type": {"typeId": "type", "key": "for-orders"}, "fields": {}}, "InvalidOperation"),
        ({"type": {"typeId": "type", "key": "strict"}, "fields": {}}, "RequiredField"),
    ],
)
def test_custom_fields_fit_their_type(shop: Shop, custom: Json, code: str) -> None:
    shop.ok("POST", "types", TYPE)
    shop.ok("POST", "types", {**TYPE, "key": "for-orders", "resourceTypeIds": ["order"]})
    must = {**FIELD, "name": "must", "required": True}
    shop.ok("POST", "types", {**TYPE, "key": "strict", "fieldDefinitions": [must]})
    assert refusal(shop("POST", "inventory", {"sku": "A", "quantityOnStock": 1, "custom": custom})) == (
        400,
        code,
    )


def test_what_is_in_use_cannot_be_deleted(shop: Shop) -> None:
    kind = shop.ok("POST", "types", TYPE)
    channel = shop.ok("POST", "channels", {"key": "pop-up"})
    entry = shop.entry(
        "A",
        supplyChannel={"typeId": "channel", "key": "pop-up"},
        custom={"type": {"typeId": "type", "key": "cs-inventory"}, "fields": {}},
    )
    for path, made in (("types", kind), ("channels", channel)):
        answer = shop("DELETE", f"{path}/{made['id']}", version=made["version"])
        assert refusal(answer) == (400, "ReferenceExists")
    shop.ok("DELETE", f"inventory/{entry['id']}", version=entry["version"])
    for path, made in (("types", kind), ("channels", channel)):
        shop.ok("DELETE", f"{path}/{made['id']}", version=made["version"])


def test_channel_roles_are_added_not_replaced(shop: Shop) -> None:
    made = shop.ok("POST", "channels", {"key": "shop"})
    assert made["roles"] == ["InventorySupply"]
    new = shop.update(
        f"channels/{made['id']}", made["version"], {"action": "addRoles", "roles": ["OrderExport"]}
    )
    assert new.json()["roles"] == ["InventorySupply", "OrderExport"]


def test_a_custom_object_is_created_then_replaced(shop: Shop) -> None:
    draft = {"container": "cursors", "key": "orders", "value": {"at": 1}}
    assert shop("POST", "custom-objects", draft).status_code == 201
    again = shop("POST", "custom-objects", {**draft, "value": {"at": 2}})
    assert again.status_code == 200
    found = shop.ok("GET", "custom-objects/cursors/orders")
    assert found["value"] == {"at": 2}
    assert refusal(shop("POST", "custom-objects", {**draft, "version": found["version"] - 1})) == (
        409,
        "ConcurrentModification",
    )
    assert [one["key"] for one in shop.query("custom-objects/cursors")] == ["orders"]


# Orders


def test_an_import_takes_what_is_sent_and_leaves_stock_alone(shop: Shop, dataset: Dataset) -> None:
    sku = sold(dataset)
    before = shop.query("inventory", where=f'sku = "{sku}"')
    made = shop.ok(
        "POST",
        "orders/import",
        order(
            "cs-1",
            line(sku, 3, key="l1"),
            orderState="Confirmed",
            paymentState="Paid",
            completedAt="2026-11-20T10:15:00.000Z",
            totalPrice={"currencyCode": "EUR", "centAmount": 1},
        ),
    )
    assert made["totalPrice"]["centAmount"] == 1, "a total is never calculated"
    assert made["lineItems"][0]["totalPrice"]["centAmount"] == 3000
    assert (made["orderState"], made["paymentState"]) == ("Confirmed", "Paid")
    assert (made["inventoryMode"], made["origin"]) == ("None", "Customer")
    assert shop.ok("GET", "orders/order-number=cs-1") == made
    assert shop.query("inventory", where=f'sku = "{sku}"') == before


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"orderNumber": "taken"}, "DuplicateField"),
        ({"lineItems": []}, "InvalidInput"),
        ({"totalPrice": None}, "RequiredField"),
        ({"customerId": NOBODY}, "ReferencedResourceNotFound"),
        ({"store": {"typeId": "store", "key": "nowhere"}}, "ReferencedResourceNotFound"),
        (
            {"store": {"typeId": "store", "key": "store-berlin"}, "country": "GB"},
            "CountryNotConfiguredInStore",
        ),
        ({"paymentInfo": {"payments": [{"typeId": "payment", "id": NOBODY}]}}, "ReferencedResourceNotFound"),
        ({"paymentInfo": {"payments": [{"typeId": "payment", "key": "p-1"}]}}, "InvalidJsonInput"),
        ({"shipmentState": "Cancelled"}, "InvalidField"),
        ({"createdAt": "2026-11-20T10:15:00.000Z"}, "InvalidJsonInput"),
        ({"shippingAddress": {"city": "Berlin"}}, "RequiredField"),
    ],
)
def test_an_import_is_refused(shop: Shop, dataset: Dataset, change: Json, code: str) -> None:
    draft = order("cs-1", line(sold(dataset)))
    shop.ok("POST", "orders/import", {**draft, "orderNumber": "taken"})
    assert refusal(shop("POST", "orders/import", {**draft, **change})) == (400, code)
    assert shop("GET", "orders/order-number=cs-1").status_code == 404


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([line("{sku}", key="l1"), line("{sku}", key="l1")], "DuplicateField"),
        ([line("{sku}", key="x")], "InvalidJsonInput"),
        ([line("{sku}", supplyChannel={"typeId": "channel", "key": "store-vienna"})], "InvalidOperation"),
    ],
)
def test_a_wrong_line_is_refused(shop: Shop, dataset: Dataset, lines: list[Json], code: str) -> None:
    lines = [{**one, "variant": {"sku": sold(dataset)}} for one in lines]
    draft = order("cs-1", *lines, store={"typeId": "store", "key": "store-berlin"})
    assert refusal(shop("POST", "orders/import", draft)) == (400, code)


@pytest.mark.parametrize("code", ["ReferencedResourceNotFound", "InvalidInput"])
def test_an_unknown_sku_is_refused(start: Start, code: Any) -> None:
    shop = Shop(start(behaviour=Behaviour(unknown_sku_code=code)))
    assert refusal(shop("POST", "orders/import", order("cs-1", line("nobody's")))) == (400, code)
    custom = {"name": {"en": "Cap"}, "slug": "cap", "quantity": 1, "money": MONEY}
    shop.ok("POST", "orders/import", {"totalPrice": MONEY, "customLineItems": [custom]})


@pytest.mark.parametrize(
    ("mode", "stock", "quantity", "expected"),
    [
        ("TrackOnly", 2, 3, {"quantityOnStock": -1, "availableQuantity": -1}),
        ("ReserveOnOrder", 5, 3, {"quantityOnStock": 5, "availableQuantity": 2}),
        ("ReserveOnOrder", 2, 3, "OutOfStock"),
        ("TrackOnly", None, 3, "OutOfStock"),
        ("None", None, 3, {}),
    ],
)
def test_other_inventory_modes_act_on_stock(
    shop: Shop, dataset: Dataset, mode: str, stock: int | None, quantity: int, expected: Any
) -> None:
    sku = sold(dataset)
    for entry in shop.query("inventory", where=f'sku = "{sku}"'):
        shop.ok("DELETE", f"inventory/{entry['id']}", version=entry["version"])
    if stock is not None:
        shop.entry(sku, quantityOnStock=stock)
    answer = shop("POST", "orders/import", order("cs-1", line(sku, quantity), inventoryMode=mode))
    if expected == "OutOfStock":
        assert refusal(answer) == (400, "OutOfStock")
        assert answer.json()["errors"][0]["skus"] == [sku]
    else:
        assert answer.status_code == 201
        entries = shop.query("inventory", where=f'sku = "{sku}"')
        assert [{name: entry[name] for name in expected} for entry in entries] == (
            [expected] if stock else []
        )


@pytest.mark.parametrize(("lag", "touches"), [(10, False), (0, True), (0, False)])
def test_an_online_order_shows_late_and_perhaps_unmarked(
    start: Start, dataset: Dataset, lag: int, touches: bool
) -> None:
    server = start(behaviour=Behaviour(order_lag_seconds=lag, order_touches_entry=touches))
    shop, sku = Shop(server), f"{sold(dataset)}"
    entry = server.state.floor.set_stock(sku, 10)
    change = {
        "change": "online-order",
        "orderNumber": "web-1",
        "currency": "EUR",
        "lines": [{"sku": sku, "quantity": 4, "centAmount": 999}],
        "inventoryMode": "TrackOnly",
    }
    server.state.clock.advance(1)  # times have milliseconds, and both may happen within one
    http().post(f"{server.control_url}/change", json=change).raise_for_status()
    seen = shop.ok("GET", f"inventory/{entry['id']}")
    assert seen["quantityOnStock"] == (10 if lag else 6)
    server.state.clock.advance(lag + 0.1)
    seen = shop.ok("GET", f"inventory/{entry['id']}")
    assert seen["quantityOnStock"] == 6
    assert (seen["version"] > entry["version"]) == touches
    assert (seen["lastModifiedAt"] > entry["lastModifiedAt"]) == touches


def test_an_order_is_moved_on(shop: Shop, dataset: Dataset) -> None:
    made = shop.ok("POST", "orders/import", order("cs-1", line(sold(dataset), 2)))
    new = shop.update(
        f"orders/{made['id']}",
        made["version"],
        {"action": "changeOrderState", "orderState": "Complete"},
        {"action": "changePaymentState", "paymentState": "Paid"},
        {"action": "changeShipmentState", "shipmentState": "Canceled"},
        {
            "action": "addReturnInfo",
            "items": [
                {
                    "key": "r-1",
                    "quantity": 1,
                    "lineItemId": made["lineItems"][0]["id"],
                    "shipmentState": "Returned",
                }
            ],
        },
    ).json()
    assert (new["orderState"], new["paymentState"], new["shipmentState"]) == ("Complete", "Paid", "Canceled")
    item = new["returnInfo"][0]["items"][0]
    assert (item["shipmentState"], item["paymentState"]) == ("Returned", "Initial")
    done = shop.update(
        "orders/order-number=cs-1",
        new["version"],
        {"action": "setReturnShipmentState", "returnItemKey": "r-1", "shipmentState": "BackInStock"},
        {"action": "setReturnPaymentState", "returnItemId": item["id"], "paymentState": "Refunded"},
    ).json()
    item = done["returnInfo"][0]["items"][0]
    assert (item["shipmentState"], item["paymentState"]) == ("BackInStock", "Refunded")


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ({"action": "setOrderNumber", "orderNumber": "cs-2"}, (400, "InvalidOperation")),
        (
            {"action": "setStore", "store": {"typeId": "store", "key": "store-berlin"}},
            (400, "InvalidOperation"),
        ),
        ({"action": "updateSyncInfo", "channel": CHANNEL}, (400, "MissingRoleOnChannel")),
        (
            {
                "action": "addReturnInfo",
                "items": [{"quantity": 1, "lineItemId": NOBODY, "shipmentState": "Returned"}],
            },
            (400, "InvalidOperation"),
        ),
        (
            {"action": "setReturnShipmentState", "returnItemKey": "none", "shipmentState": "Unusable"},
            (404, "ResourceNotFound"),
        ),
    ],
)
def test_an_order_update_is_refused(
    shop: Shop, dataset: Dataset, action: Json, expected: tuple[int, str]
) -> None:
    store = {"typeId": "store", "key": "store-berlin"}
    made = shop.ok("POST", "orders/import", order("cs-1", line(sold(dataset)), store=store))
    assert refusal(shop.update(f"orders/{made['id']}", made["version"], action)) == expected


def test_a_payment_belongs_to_one_order(shop: Shop, dataset: Dataset) -> None:
    payment = shop.ok("POST", "payments", {"key": "pay-1", "amountPlanned": MONEY})
    info = {"payments": [{"typeId": "payment", "id": payment["id"]}]}
    first = shop.ok("POST", "orders/import", order("cs-1", line(sold(dataset)), paymentInfo=info))
    assert first["paymentInfo"] == info
    second = order("cs-2", line(sold(dataset)))
    assert refusal(shop("POST", "orders/import", {**second, "paymentInfo": info})) == (
        400,
        "InvalidOperation",
    )
    made = shop.ok("POST", "orders/import", second)
    by_key = {"action": "addPayment", "payment": {"typeId": "payment", "key": "pay-1"}}
    assert shop.update(f"orders/{made['id']}", made["version"], by_key).status_code == 400


def test_a_payment_collects_transactions(shop: Shop) -> None:
    charge = {"type": "Charge", "amount": MONEY, "state": "Success", "interactionId": "psp-1"}
    made = shop.ok("POST", "payments", {"amountPlanned": MONEY, "transactions": [charge]})
    refund = {"type": "Refund", "amount": MONEY}
    new = shop.update(
        f"payments/{made['id']}", made["version"], {"action": "addTransaction", "transaction": refund}
    ).json()
    assert [(one["type"], one["state"]) for one in new["transactions"]] == [
        ("Charge", "Success"),
        ("Refund", "Initial"),
    ]


# Messages


def test_messages_tell_what_happened(shop: Shop, dataset: Dataset) -> None:
    entry = shop.entry("A")
    path = f"inventory/{entry['id']}"
    entry = shop.update(path, entry["version"], {"action": "removeQuantity", "quantity": 2}).json()
    shop.update(path, entry["version"], {"action": "setRestockableInDays", "restockableInDays": 3})
    shop.ok("POST", "orders/import", order("cs-1", line(sold(dataset))))
    shop.server.state.floor.publish_product(dataset.products[0]["id"], False)
    rows = shop.query("messages", sort=["createdAt asc", "id asc"], limit=100)
    of_entry = [row for row in rows if row["resource"]["id"] == entry["id"]]
    assert [(row["type"], row["sequenceNumber"]) for row in of_entry] == [
        ("InventoryEntryCreated", 1),
        ("InventoryEntryQuantitySet", 2),
    ]
    assert (of_entry[1]["oldQuantityOnStock"], of_entry[1]["newQuantityOnStock"]) == (10, 8)
    assert {"OrderImported", "ProductUnpublished"} <= {row["type"] for row in rows}


def test_an_order_tells_its_whole_story(shop: Shop, dataset: Dataset) -> None:
    payment = shop.ok("POST", "payments", {"key": "pay-1", "amountPlanned": MONEY})
    made = shop.ok("POST", "orders/import", order("cs-1", line(sold(dataset))))
    sent = {"quantity": 1, "lineItemId": made["lineItems"][0]["id"], "key": "r1", "shipmentState": "Returned"}
    for actions in (
        [{"action": "changeOrderState", "orderState": "Complete"}],
        [{"action": "addPayment", "payment": {"typeId": "payment", "key": "pay-1"}}],
        [{"action": "addReturnInfo", "items": [sent]}],
        [{"action": "setReturnShipmentState", "returnItemKey": "r1", "shipmentState": "Unusable"}],
        [{"action": "setReturnPaymentState", "returnItemKey": "r1", "paymentState": "NotRefunded"}],
        [{"action": "setReturnInfo", "items": [{"items": [sent]}]}],
    ):
        made = shop.update(f"orders/{made['id']}", made["version"], *actions).json()
    charge = {"type": "Charge", "amount": MONEY}
    payment = shop.update(
        f"payments/{payment['id']}", payment["version"], {"action": "addTransaction", "transaction": charge}
    ).json()
    done = {"transactionId": payment["transactions"][0]["id"], "state": "Success"}
    shop.update(f"payments/{payment['id']}", payment["version"], {"action": "changeTransactionState", **done})
    assert shop("DELETE", f"orders/{made['id']}", version=made["version"]).status_code == 200
    told = shop.query("messages", limit=100)
    assert [one["type"] for one in told if one["resource"]["typeId"] == "order"] == [
        "OrderImported",
        "OrderStateChanged",
        "OrderPaymentAdded",
        "ReturnInfoAdded",
        "OrderReturnShipmentStateChanged",
        "ReturnInfoSet",
        "OrderDeleted",
    ]
    assert [one["type"] for one in told if one["resource"]["typeId"] == "payment"] == [
        "PaymentCreated",
        "PaymentTransactionAdded",
        "PaymentTransactionStateChanged",
    ]


def test_a_standalone_price_changes_without_its_product(shop: Shop) -> None:
    price = shop.query("standalone-prices", limit=1)[0]
    where = f'masterVariant(sku = "{price["sku"]}") or variants(sku = "{price["sku"]}")'
    (product,) = shop.query("product-projections", where=where)
    shop.server.state.floor.edit_product(ProductEdit(product["id"], EditKind.PRICE, factor=Decimal(2)))
    (message,) = shop.query("messages", where=f'resource(id = "{price["id"]}")')
    assert (message["type"], message["oldValue"]) == ("StandalonePriceValueChanged", price["value"])
    assert shop.query("product-projections", where=where) == [product]


def test_an_online_order_sends_no_inventory_message(shop: Shop, dataset: Dataset) -> None:
    sku = sold(dataset)
    shop.server.state.floor.set_stock(sku, 10)
    before = len(shop.query("messages", where='resource(typeId = "inventory-entry")', limit=100))
    shop.server.state.floor.raw_online_order(
        {
            "orderNumber": "web-1",
            "currency": "EUR",
            "lines": [{"sku": sku, "quantity": 1, "centAmount": 100}],
        }
    )
    assert len(shop.query("messages", where='resource(typeId = "inventory-entry")', limit=100)) == before


def test_messages_may_be_off_late_or_gone(start: Start) -> None:
    server = start(behaviour=Behaviour(message_lag_seconds=30))
    shop = Shop(server)
    shop.entry("A")
    assert shop.query("messages") == []
    server.state.clock.advance(31)
    (message,) = shop.query("messages")
    assert message["createdAt"] < server.state.clock.stamp()
    off = {"enabled": False, "deleteDaysAfterCreation": 2}
    project = shop.ok("GET", "")
    change = {"action": "changeMessagesConfiguration", "messagesConfiguration": off}
    shop.ok("POST", "", {"version": project["version"], "actions": [change]})
    shop.entry("B")
    server.state.clock.advance(60)
    assert len(shop.query("messages")) == 1
    server.state.clock.advance(2 * 86_400)
    shop.token = shop.issue().json()["access_token"]
    assert shop.query("messages") == []
