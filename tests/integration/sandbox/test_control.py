"""The control endpoints: reading and changing what both systems hold, their faults and their clock."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from tests.support.talk import Json, Kiosk, Shop, gid, http, location, product, variant

from cogent_ops.domain.identifiers import location_gid, variant_gid
from cogent_ops.sandbox.dataset import Dataset
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.sandbox.traffic import KioskOrder, OrderLine, OrderRefused


def control(server: SandboxServer, method: str, path: str, body: Any = None) -> httpx.Response:
    return http().request(method, f"{server.control_url}{path}", json=body)


def told(server: SandboxServer, method: str, path: str, body: Any = None) -> Any:
    answer = control(server, method, path, body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def change(server: SandboxServer, what: str, **given: Any) -> Json:
    return dict(told(server, "POST", "/change", {"change": what, **given}))


def test_it_says_that_it_is_well_and_how_much_there_is(kiosk: Kiosk, dataset: Dataset) -> None:
    server = kiosk.server
    assert told(server, "GET", "/health") == {"ok": True}
    kiosk.products(product("a"))
    kiosk.variants("a", variant("v"))
    kiosk.locations(location("l"))
    kiosk.stock("v", "l", 1)
    sizes = told(server, "GET", "/state")
    assert sizes["commercetools"]["product-projections"] == len(dataset.products)
    assert sizes["cloudshelf"] == {
        "Product": 1,
        "ProductVariant": 1,
        "ProductGroup": 1,
        "Location": 1,
        "Order": 0,
        "Session": 0,
        "StockLevel": 1,
    }


def test_equal_contents_are_equal_byte_for_byte(kiosk: Kiosk) -> None:
    """Though ids and times differ, and what came in between has gone."""
    kiosk.products(product("a", tags=["x"]), product("b"))
    kiosk.variants("a", variant("v"))
    first = control(kiosk.server, "GET", "/state/cloudshelf").content
    told(kiosk.server, "POST", "/reset", {"api": "cloudshelf"})
    kiosk.server.state.clock.advance(3600)
    kiosk.products(product("c"))
    kiosk.products(product("a"))
    kiosk.variants("a", variant("v"))
    kiosk.products(product("a", tags=["x"]), product("b"))
    assert control(kiosk.server, "GET", "/state/cloudshelf").content != first
    kiosk.data(
        "mutation ($ids: [GlobalId!]!) { deleteProducts(ids: $ids) { userErrors { code } } }", ids=[gid("c")]
    )
    assert control(kiosk.server, "GET", "/state/cloudshelf").content == first


def test_a_reset_returns_to_the_beginning(shop: Shop) -> None:
    before = control(shop.server, "GET", "/state/commercetools").content
    Kiosk(shop.server).products(product("a"))
    shop.entry("A")
    assert control(shop.server, "GET", "/state/commercetools").content != before
    told(shop.server, "POST", "/reset", {"api": "commercetools"})
    assert control(shop.server, "GET", "/state/commercetools").content == before
    assert told(shop.server, "GET", "/state")["cloudshelf"]["Product"] == 1
    told(shop.server, "POST", "/reset")
    assert told(shop.server, "GET", "/state")["cloudshelf"]["Product"] == 0


def test_counters_count_and_forget(shop: Shop) -> None:
    told(shop.server, "DELETE", "/counters")  # the token
    shop.query("inventory")
    shop.ask("inventory/none")
    Kiosk(shop.server).products(product("a"), product("b"))
    counters = told(shop.server, "GET", "/counters")
    assert counters["requests"] == {
        "cloudshelf.upsertProducts": 1,
        "commercetools.inventory.get": 1,
        "commercetools.inventory.query": 1,
    }
    assert counters["statuses"] == {"cloudshelf.200": 1, "commercetools.200": 1, "commercetools.404": 1}
    assert counters["records"] == {"cloudshelf.upsertProducts": 2}
    assert counters["most_in_flight"] == {"cloudshelf": 1, "commercetools": 1}
    told(shop.server, "DELETE", "/counters")
    assert told(shop.server, "GET", "/counters")["requests"] == {}


def test_faults_change_while_it_runs(shop: Shop) -> None:
    plan = {"seed": 3, "rules": [{"kind": "error", "status": 500}]}
    assert told(shop.server, "PUT", "/faults", plan) == plan == told(shop.server, "GET", "/faults")
    assert shop.ask("inventory").status_code == 500
    assert told(shop.server, "DELETE", "/faults") == {}
    assert shop.ask("inventory").status_code == 200


def test_the_clock_moves_for_both_systems(shop: Shop) -> None:
    before = told(shop.server, "GET", "/clock")["now"]
    after = told(shop.server, "POST", "/clock", {"advance_seconds": 3600})["now"]
    assert after > before
    assert shop.entry("A")["createdAt"] >= after
    (made,) = Kiosk(shop.server).products(product("a"))["products"]
    assert made["updatedAt"] >= after


def test_merchandisers_change_products(shop: Shop, dataset: Dataset) -> None:
    one = dataset.products[1]
    path = f"product-projections/{one['id']}"
    change(shop.server, "edit", product=one["key"], fields={"name": {"en": "New"}})
    edited = shop.ok("GET", path)
    assert edited["name"] == {"en": "New"}
    assert (edited["version"] > one["version"], edited["lastModifiedAt"] > one["lastModifiedAt"]) == (
        True,
        True,
    )
    change(shop.server, "unpublish", product=one["id"])
    assert shop.ask(path).status_code == 404
    change(shop.server, "publish", product=one["id"])
    assert shop.ask(path).status_code == 200
    change(shop.server, "delete", product=one["id"])
    assert shop.ask(path, staged="true").status_code == 404
    told(shop.server, "POST", "/reset")
    assert shop.ok("GET", path)["name"] == one["name"], "the dataset itself is never changed"


def test_stock_clerks_count(shop: Shop) -> None:
    assert change(shop.server, "stock", sku="new", quantity=4, channel="store-berlin")["quantityOnStock"] == 4
    assert change(shop.server, "stock", sku="new", quantity=6, channel="store-berlin")["quantityOnStock"] == 6
    assert len(shop.query("inventory", where='sku = "new"')) == 1


def test_customers_buy(shop: Shop, dataset: Dataset) -> None:
    sku = dataset.products[0]["masterVariant"]["sku"]
    change(shop.server, "stock", sku=sku, quantity=3)
    order = {
        "orderNumber": "web-1",
        "currency": "EUR",
        "lines": [{"sku": sku, "quantity": 2, "centAmount": 999}],
    }
    assert change(shop.server, "online-order", **order)["orderNumber"] == "web-1"
    entry = shop.query("inventory", where=f'sku = "{sku}" and supplyChannel is not defined')[0]
    assert (entry["quantityOnStock"], entry["availableQuantity"]) == (3, 1)
    lines = [{"productVariantID": variant_gid(sku), "quantity": 1, "price": 9.99}]
    made = change(shop.server, "kiosk-order", lines=lines, status="PLACED")
    change(shop.server, "kiosk-status", order=made["id"], status="PAID")
    read = "query ($id: GlobalId!) { order(id: $id) { status lines { quantity price } } }"
    assert Kiosk(shop.server).data(read, id=made["id"])["order"] == {
        "status": "PAID",
        "lines": [{"quantity": 1, "price": 9.99}],
    }


def test_a_kiosk_may_sell_only_what_it_was_told_is_there(kiosk: Kiosk) -> None:
    kiosk.products(product("a"))
    kiosk.variants("a", variant("v"))
    kiosk.locations(location("l"))
    order = {
        "change": "kiosk-order",
        "lines": [{"productVariantID": gid("v", "V"), "quantity": 1, "price": 9.99}],
        "session": {"locationId": gid("l", "L")},
        "offered": True,
    }

    def status() -> int:
        return control(kiosk.server, "POST", "/change", order).status_code

    assert status() == 400, "nothing was told of the store"
    for quantity, expected in ((2, 200), (-1, 400), (1, 200)):
        kiosk.stock("v", "l", quantity)
        assert status() == expected
    kiosk.variants("a", variant("v", isInStock=False))
    assert status() == 400


def test_customers_leave_what_the_kiosk_was_told_is_sold_out(kiosk: Kiosk) -> None:
    kiosk.products(product("a"))
    kiosk.variants("a", *({**variant(name), "id": variant_gid(name)} for name in "vw"))
    places = {store: location_gid(store) for store in ("berlin", "munich")}
    kiosk.locations(*({**location("l"), "id": place} for place in places.values()))
    floor = kiosk.server.state.floor

    def tell(name: str, store: str, quantity: int) -> None:
        level = {"productVariantId": variant_gid(name), "locationId": places[store], "quantity": quantity}
        kiosk.data(
            "mutation ($level: StockLevelInput!) { upsertStockLevels(input: [$level]) { userErrors { code } } }",
            level=level,
        )

    def bought(store: str) -> str:
        made = floor.place_kiosk_order(an_order(store, "v", "w"))
        read = "query ($id: GlobalId!) { order(id: $id) { lines { platformProvidedProductVariantId } } }"
        lines = kiosk.data(read, id=made)["order"]["lines"]
        return "".join(line["platformProvidedProductVariantId"].rpartition("/")[2] for line in lines)

    assert bought("berlin") == "vw", "nothing was told"
    tell("v", "munich", 3)
    assert (bought("berlin"), bought("munich")) == ("w", "vw")
    tell("w", "berlin", -1)
    assert bought("munich") == "v"
    with pytest.raises(OrderRefused, match="sold out in berlin"):
        bought("berlin")
    assert bought("") == "vw", "a kiosk without a location knows no levels"


def test_a_store_gets_a_selection(shop: Shop, dataset: Dataset) -> None:
    ids = [one["id"] for one in dataset.products[:2]]
    change(shop.server, "select", store="store-berlin", selection="summer", products=ids)
    rows = shop.query("in-store/key=store-berlin/product-selection-assignments")
    assert [row["product"]["id"] for row in rows] == ids


@pytest.mark.parametrize(
    ("method", "path", "body", "words"),
    [
        ("POST", "/change", {"change": "magic"}, "'magic' is none of: publish"),
        ("POST", "/change", {"change": "unpublish", "product": "none"}, "There is no product none"),
        ("POST", "/change", {"change": "stock", "sku": "A"}, "'stock' lacks or misreads 'quantity'"),
        ("POST", "/change", {"change": "stock", "sku": "A", "quantity": 1, "channel": "x"}, "was not found"),
        ("POST", "/change", {"change": "kiosk-status", "order": "x", "status": "PAID"}, "no order x"),
        ("PUT", "/faults", {"rules": [{"kind": "x"}]}, "Input should be 'error', 'throttle'"),
        ("PUT", "/faults", {"rule": []}, "Extra inputs are not permitted"),
        ("POST", "/clock", {}, "advance_seconds"),
        ("POST", "/clock", {"advance_seconds": "soon"}, "soon"),
        ("POST", "/reset", {"api": "both"}, "'both' is neither"),
        ("POST", "/clock", [], "object"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(
    sandbox: SandboxServer, method: str, path: str, body: Any, words: str
) -> None:
    answer = control(sandbox, method, path, body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_there_are_no_other_endpoints(sandbox: SandboxServer) -> None:
    assert control(sandbox, "GET", "/magic").status_code == 404
    assert control(sandbox, "POST", "/health").status_code == 404
    assert http().get(f"{sandbox.url}/elsewhere").status_code == 404


def test_health_comes_without_faults(sandbox: SandboxServer) -> None:
    told(sandbox, "PUT", "/faults", {"rules": [{"kind": "reset"}]})
    assert told(sandbox, "GET", "/health") == {"ok": True}


# Who is let in, who is told, which kiosks are there


QUEUE = {"type": "SQS", "queueUrl": "https://queue.example.com/1", "region": "eu-west-1"}


def test_a_client_ends_at_its_time(shop: Shop) -> None:
    server = shop.server
    ends = server.state.clock.now() + timedelta(hours=1)
    change(server, "client", deleteAt=ends.isoformat())
    assert shop.get("/api-clients/sandbox-client")["deleteAt"]
    told(server, "POST", "/clock", {"advance_seconds": 3601})
    assert shop.issue().status_code == 401
    assert shop.ask("/channels").status_code == 401
    change(server, "client", deleteAt=None)
    assert Shop(server).ask("/channels").status_code == 200


def test_a_revoked_client_is_gone_with_its_tokens(shop: Shop) -> None:
    change(shop.server, "client", revoked=True)
    assert shop.ask("/channels").status_code == 401
    assert shop.issue().status_code == 401
    assert control(shop.server, "POST", "/change", {"change": "client", "deleteAt": None}).status_code == 400
    told(shop.server, "POST", "/reset", {"api": "commercetools"})
    assert Shop(shop.server).ask("/channels").status_code == 200


def test_a_client_gets_other_scopes_with_its_next_token(shop: Shop) -> None:
    change(shop.server, "client", scopes=["view_products:sandbox"])
    assert shop.ask("/subscriptions").status_code == 200
    fewer = Shop(shop.server)
    assert fewer.ask("/inventory").status_code == 200
    assert fewer.ask("/subscriptions").status_code == 403


def test_a_revoked_key_opens_nothing(kiosk: Kiosk) -> None:
    server = kiosk.server
    change(server, "key", revoked=True)
    assert kiosk.error("{ products { totalCount } }")["extensions"]["code"] == "UNAUTHENTICATED"
    change(server, "key", revoked=False, permissions=["CATALOGUE:READ"])
    assert kiosk.data("{ products { totalCount } }")["products"]["totalCount"] == 0
    assert kiosk.error("{ devices { totalCount } }")["extensions"]["code"] == "FORBIDDEN"


@pytest.mark.parametrize(
    ("status", "health", "way"),
    [
        ("Healthy", 200, "delivered"),
        ("TemporaryError", 503, "held"),
        ("ConfigurationError", 400, "held"),
        ("ConfigurationErrorDeliveryStopped", 400, "discarded"),
        ("ManuallySuspended", 400, "discarded"),
    ],
)
def test_a_subscription_delivers_holds_back_or_discards(
    shop: Shop, status: str, health: int, way: str
) -> None:
    draft = {"key": "stock", "destination": QUEUE, "messages": [{"resourceTypeId": "inventory-entry"}]}
    made = shop.ok("POST", "subscriptions", draft)
    change(shop.server, "subscription", subscription="stock", status=status)
    shop.entry("told-of")
    (found,) = told(shop.server, "GET", "/subscriptions")["subscriptions"]
    counts = {name: found[name] for name in ("delivered", "held", "discarded")}
    assert counts == {"delivered": 0, "held": 0, "discarded": 0, way: 1}
    assert (
        http().get(f"{shop.server.commercetools_url}/sandbox/subscriptions/{made['id']}/health").status_code
        == health
    )


def test_what_was_held_back_is_delivered_once_it_is_healthy_and_lost_when_it_stops(shop: Shop) -> None:
    def counts() -> tuple[int, int, int]:
        (one,) = told(shop.server, "GET", "/subscriptions")["subscriptions"]
        return one["delivered"], one["held"], one["discarded"]

    draft = {"key": "stock", "destination": QUEUE, "changes": [{"resourceTypeId": "inventory-entry"}]}
    made = shop.ok("POST", "subscriptions", draft)
    change(shop.server, "subscription", subscription="stock", status="TemporaryError")
    shop.entry("kept")
    change(shop.server, "subscription", subscription="stock", status="ConfigurationError")
    assert counts() == (0, 1, 0)
    found = shop.act("subscriptions", made, {"action": "changeDestination", "destination": QUEUE})
    assert (found["status"], counts()) == ("Healthy", (1, 0, 0))
    change(shop.server, "subscription", subscription="stock", status="ConfigurationError")
    shop.entry("lost")
    change(shop.server, "subscription", subscription="stock", status="ConfigurationErrorDeliveryStopped")
    shop.entry("lost-too")
    assert counts() == (1, 0, 2)


def test_a_kiosk_that_is_off_was_seen_when_it_went(kiosk: Kiosk) -> None:
    server = kiosk.server
    place = {**location("l"), "id": "gid://external/CommercetoolsChannel/berlin"}
    kiosk.locations(place)
    seen = "{ devices { edges { node { status lastSeen } } } }"

    def node() -> Json:
        return dict(kiosk.data(seen)["devices"]["edges"][0]["node"])

    assert node()["status"] == "LIVE"
    change(server, "kiosk", channel="berlin", on=False)
    off = node()
    told(server, "POST", "/clock", {"advance_seconds": 600})
    assert node() == off
    assert off["status"] == "OFFLINE"
    with pytest.raises(OrderRefused, match="berlin"):
        server.state.floor.place_kiosk_order(an_order("berlin"))
    change(server, "kiosk", channel="berlin", on=True, sells=False)
    assert node()["lastSeen"] > off["lastSeen"]
    with pytest.raises(OrderRefused, match="berlin"):
        server.state.floor.place_kiosk_order(an_order("berlin"))
    assert control(server, "POST", "/change", {"change": "kiosk", "channel": "nowhere"}).status_code == 400


def an_order(channel: str, *skus: str) -> KioskOrder:
    lines = tuple(OrderLine("a", sku, 1, Decimal("9.99"), "EUR") for sku in skus or ("v",))
    return KioskOrder("1", lines, channel, "a@example.com", "Alma R.", None, internal=False)
