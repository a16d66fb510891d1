"""Orders as people make and change them: at kiosks, in the web shop, in commercetools."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.support.talk import Json, Kiosk, Shop, codes, refusal

from cogent_ops.domain.identifiers import product_gid, variant_gid
from cogent_ops.sandbox.cloudshelf_state import KioskBehaviour
from cogent_ops.sandbox.dataset import Dataset
from cogent_ops.sandbox.server import SandboxServer

READ = """query ($id: GlobalId!) { order(id: $id) { status thirdPartyId discountCode createdAt updatedAt
    lines { platformProvidedProductVariantId quantity price currencyCode createdAt }
    session { locationId paymentMethod paymentAttemptId basketValue createdAt } } }"""
MONEY = {"currencyCode": "EUR", "centAmount": 1998}
LONG_AGO = "2026-11-01T08:30:00.000Z"


def change(server: SandboxServer, what: str, **given: object) -> Json:
    return server.state.floor.change(what, given)


def read(server: SandboxServer, order: str) -> Json:
    return dict(Kiosk(server).data(READ, id=order)["order"])


@pytest.fixture
def sku(shop: Shop, dataset: Dataset) -> str:
    """A variant with a stock of ten that kiosks show."""
    found = str(dataset.products[0]["masterVariant"]["sku"])
    change(shop.server, "stock", sku=found, quantity=10)
    kiosk = Kiosk(shop.server)
    kiosk.products({"id": product_gid("p"), "displayName": "P"})
    given = {"id": variant_gid(found), "displayName": "V", "sku": found, "currentPrice": 9.99}
    flags = {"originalPrice": 9.99, "isInStock": True, "availableToPurchase": True}
    mutation = """mutation ($inputs: [UpsertVariantsInput!]!) { upsertProductVariants(inputs: $inputs) {
        userErrors { message } } }"""
    kiosk.data(mutation, inputs=[{"productId": product_gid("p"), "variants": [{**given, **flags}]}])
    return found


def place(server: SandboxServer, sku: str, **more: object) -> str:
    line = {"productVariantID": variant_gid(sku), "quantity": 2, "price": 9.99, "currencyCode": "EUR"}
    return str(change(server, "kiosk-order", **{"lines": [line], "session": {}, **more})["id"])


def stock(shop: Shop, sku: str) -> int:
    where = f'sku = "{sku}" and supplyChannel is not defined'
    return int(shop.query("inventory", where=where)[0]["quantityOnStock"])


# Kiosks


def test_an_order_of_another_time_is_of_that_time_altogether(shop: Shop, sku: str) -> None:
    order = place(shop.server, sku, at="2026-11-01T09:30:00+01:00", status="PAID")
    found = read(shop.server, order)
    times = {found["createdAt"], found["updatedAt"], found["session"]["createdAt"]}
    assert times | {line["createdAt"] for line in found["lines"]} == {LONG_AGO}
    change(shop.server, "kiosk-status", order=order, status="VOIDED", at="2026-11-02T00:00:00Z")
    found = read(shop.server, order)
    assert (found["createdAt"], found["updatedAt"]) == (LONG_AGO, "2026-11-02T00:00:00.000Z")
    newer = place(shop.server, sku)
    query = "{ orders(sortBy: {updatedAt: DESC}) { edges { node { id } } } }"
    edges = Kiosk(shop.server).data(query)["orders"]["edges"]
    assert [edge["node"]["id"] for edge in edges] == [newer, order]


def test_somebody_corrects_an_order(shop: Shop, sku: str) -> None:
    order = place(shop.server, sku, session={"paymentMethod": "STRIPE", "paymentAttemptId": "a-1"})
    before = read(shop.server, order)
    lines = [{"productVariantID": variant_gid(sku), "quantity": 1, "price": 5.0, "currencyCode": "GBP"}]
    session = {"locationId": "gid://external/Store/7"}
    change(
        shop.server,
        "kiosk-edit",
        order=order,
        lines=lines,
        session=session,
        discountCode="X",
        thirdPartyId="t",
    )
    after = read(shop.server, order)
    assert [(line["quantity"], line["price"], line["currencyCode"]) for line in after["lines"]] == [
        (1, 5.0, "GBP")
    ]
    assert after["session"] == {**before["session"], **session}
    assert (after["discountCode"], after["thirdPartyId"], after["status"]) == ("X", "t", "DRAFT_BASKET")
    assert after["createdAt"] == before["createdAt"] < after["updatedAt"]
    assert codes(Kiosk(shop.server).orders({"thirdPartyId": "t", "status": "PAID"})) == []
    assert read(shop.server, order)["status"] == "PAID"


def test_an_order_without_session_gets_one(shop: Shop, sku: str) -> None:
    order = place(shop.server, sku, session=None)
    assert read(shop.server, order)["session"] is None
    change(shop.server, "kiosk-edit", order=order, session={"locationId": "here"})
    assert read(shop.server, order)["session"]["locationId"] == "here"


def test_a_corrected_session_has_the_ids_that_the_api_gives(
    start: Callable[..., SandboxServer], dataset: Dataset
) -> None:
    server = start(kiosk=KioskBehaviour(session_ids="ulid"))
    order = place(server, "x", session={"locationId": "gid://cloudshelf/Location/01A"})
    change(server, "kiosk-edit", order=order, session={"locationId": "gid://cloudshelf/Location/01B"})
    assert read(server, order)["session"]["locationId"] == "01B"


def test_an_order_is_found_by_its_latest_third_party_id_alone(kiosk: Kiosk) -> None:
    (cart,) = kiosk.orders({"thirdPartyId": "cart", "status": "PLACED"})["orders"]
    kiosk.orders({"id": cart["id"], "newThirdPartyId": "order"})
    (same,) = kiosk.orders({"thirdPartyId": "order", "status": "PAID"})["orders"]
    (other,) = kiosk.orders({"thirdPartyId": "cart", "status": "PLACED"})["orders"]
    assert (same["id"], same["status"]) == (cart["id"], "PAID")
    assert other["id"] != cart["id"]


def test_an_order_that_is_placed_with_a_third_party_id_is_found_by_it(shop: Shop, sku: str) -> None:
    order = place(shop.server, sku, thirdPartyId="cart")
    (found,) = Kiosk(shop.server).orders({"thirdPartyId": "cart", "status": "PAID"})["orders"]
    assert found["id"] == order


@pytest.mark.parametrize("what", ["kiosk-status", "kiosk-edit"])
def test_nobody_changes_an_order_that_does_not_exist(shop: Shop, what: str) -> None:
    with pytest.raises(Exception, match="There is no order gid://cloudshelf/Order/0"):
        change(shop.server, what, order="gid://cloudshelf/Order/0", status="PAID")


# Baskets that are bought in the web shop


@pytest.mark.parametrize(("told", "field"), [("none", None), ("id", "id"), ("number", "orderNumber")])
def test_the_web_shop_sells_a_basket_and_reports_it(
    shop: Shop, sku: str, told: str, field: str | None
) -> None:
    basket = place(shop.server, sku)
    made = change(
        shop.server, "basket-purchase", order=basket, orderNumber="web-1", field="Basket", thirdPartyId=told
    )
    (order,) = shop.query("orders", where=f'custom(fields(Basket in ("x", "{basket}")))')
    assert (order["id"], order["totalPrice"]["centAmount"]) == (made["id"], 1998)
    assert [(line["variant"]["sku"], line["quantity"]) for line in order["lineItems"]] == [(sku, 2)]
    assert stock(shop, sku) == 8
    found = read(shop.server, basket)
    assert (found["status"], found["thirdPartyId"]) == ("PAID", None if field is None else made[field])


def test_a_purchase_may_be_reported_later(shop: Shop, sku: str) -> None:
    basket = place(shop.server, sku)
    given = {"order": basket, "orderNumber": "web-1", "inventoryMode": "None", "report": False}
    change(shop.server, "basket-purchase", **given)
    assert read(shop.server, basket)["status"] == "DRAFT_BASKET"
    assert stock(shop, sku) == 10


def test_the_shop_keeps_one_type_for_all_its_baskets(shop: Shop, sku: str) -> None:
    for number, field in enumerate(("One", "Two", "One")):
        basket = place(shop.server, sku)
        change(shop.server, "basket-purchase", order=basket, orderNumber=f"web-{number}", field=field)
    (kind,) = shop.query("types")
    assert [one["name"] for one in kind["fieldDefinitions"]] == ["One", "Two"]


def test_the_shop_sells_no_basket_whose_article_it_does_not_know(shop: Shop) -> None:
    basket = place(shop.server, "unheard-of")
    with pytest.raises(Exception, match="gid"):
        change(shop.server, "basket-purchase", order=basket, orderNumber="web-1")
    assert read(shop.server, basket)["status"] == "DRAFT_BASKET"
    assert shop.query("orders") == []


# commercetools


def captured(shop: Shop, sku: str) -> Json:
    charge = {"type": "Charge", "amount": MONEY, "state": "Success"}
    payment = shop.post("payments", {"key": "cs-1", "amountPlanned": MONEY, "transactions": [charge]})
    price = {"value": {"currencyCode": "EUR", "centAmount": 999}}
    line = {"name": {"en": "V"}, "variant": {"sku": sku}, "quantity": 2, "price": price}
    return shop.post(
        "orders/import",
        {
            "orderNumber": "cs-1",
            "totalPrice": MONEY,
            "lineItems": [line],
            "paymentInfo": {"payments": [{"typeId": "payment", "id": payment["id"]}]},
        },
    )


def test_somebody_works_on_an_order(shop: Shop, sku: str) -> None:
    order = captured(shop, sku)
    returns = [{"sku": sku, "quantity": 1}]
    change(
        shop.server,
        "order-change",
        order="cs-1",
        orderState="Complete",
        shipmentState="Shipped",
        refund=999,
        returns=returns,
    )
    after = shop.get("orders/order-number=cs-1", expand="paymentInfo.payments[*]")
    assert (after["orderState"], after["shipmentState"]) == ("Complete", "Shipped")
    assert after["version"] > order["version"]
    (item,) = after["returnInfo"][0]["items"]
    assert (item["quantity"], item["shipmentState"]) == (1, "Returned")
    (payment,) = after["paymentInfo"]["payments"]
    refund = payment["obj"]["transactions"][1]
    assert (refund["type"], refund["state"], refund["amount"]["centAmount"]) == ("Refund", "Success", 999)


def test_a_refund_alone_leaves_the_order_as_it_was(shop: Shop, sku: str) -> None:
    """A payment is a resource of its own: whoever looks for changed orders does not see it."""
    order = captured(shop, sku)
    change(shop.server, "order-change", order=order["id"], refund=100)
    assert shop.get(f"orders/{order['id']}") == order


def test_nobody_works_on_an_order_that_does_not_exist(shop: Shop) -> None:
    with pytest.raises(Exception, match="order 'cs-9'"):
        change(shop.server, "order-change", order="cs-9", orderState="Cancelled")


def test_the_dump_shows_what_an_order_is_worth_and_what_became_of_it(shop: Shop, sku: str) -> None:
    captured(shop, sku)
    change(shop.server, "order-change", order="cs-1", refund=998, returns=[{"sku": sku, "quantity": 1}])
    assert shop.server.dump("commercetools")["orders"]["cs-1"] == {
        "orderState": "Open",
        "paymentState": None,
        "shipmentState": None,
        "currency": "EUR",
        "total": 1998,
        "lines": [[sku, 2, 999, None]],
        "customLines": [],
        "store": None,
        "inventoryMode": "None",
        "custom": {},
        "payments": [
            {
                "key": "cs-1",
                "planned": 1998,
                "transactions": [["Charge", "Success", 1998], ["Refund", "Success", 998]],
            }
        ],
        "returns": [[sku, 1]],
    }


# References


def test_references_are_expanded_along_a_path(shop: Shop, sku: str) -> None:
    order = captured(shop, sku)
    (plain,) = order["paymentInfo"]["payments"]
    (found,) = shop.query("orders", expand=["paymentInfo.payments[*]", "no.such[*].path"])
    payment = found["paymentInfo"]["payments"][0]
    assert {name: payment[name] for name in plain} == plain
    assert payment["obj"] == shop.get("payments/key=cs-1")
    assert "obj" not in shop.get(f"orders/{order['id']}")["paymentInfo"]["payments"][0], "nothing is stored"


def test_expansion_goes_on_through_a_reference(shop: Shop, dataset: Dataset) -> None:
    child = next(one for one in dataset.categories if one.get("parent"))
    found = shop.get(f"categories/{child['id']}", expand="parent.parent")
    parent = next(one for one in dataset.categories if one["id"] == child["parent"]["id"])
    assert found["parent"]["obj"]["key"] == parent["key"]


def test_a_reference_to_what_has_gone_stays_as_it_is(shop: Shop, sku: str) -> None:
    order = captured(shop, sku)
    payment = shop.get("payments/key=cs-1")
    shop.delete(f"payments/{payment['id']}", payment["version"])
    found = shop.get(f"orders/{order['id']}", expand="paymentInfo.payments[*]")
    assert found["paymentInfo"] == order["paymentInfo"]


@pytest.mark.parametrize("path", ["", "paymentInfo..payments", "payments[0]", "a b"])
def test_a_path_that_is_none_is_refused(shop: Shop, sku: str, path: str) -> None:
    captured(shop, sku)
    assert refusal(shop.ask("orders", expand=path)) == (400, "InvalidInput")


def test_what_cannot_be_expanded_here_is_refused(shop: Shop, dataset: Dataset) -> None:
    product = dataset.products[0]["id"]
    change(shop.server, "select", store="store-berlin", selection="all", products=[product])
    for path in ("", "in-store/key=store-berlin/product-selection-assignments"):
        assert shop.ask(path, expand="product").status_code == 501
    kind = {"name": "Reference", "referenceTypeId": "product"}
    field = {"name": "Best", "label": {"en": "Best"}, "required": False, "type": kind}
    best = {"key": "best", "name": {"en": "Best"}, "resourceTypeIds": ["channel"]}
    shop.ok("POST", "types", {**best, "fieldDefinitions": [field]})
    fields = {"Best": {"typeId": "product", "id": product}}
    custom = {"type": {"typeId": "type", "key": "best"}, "fields": fields}
    shop.ok("POST", "channels", {"key": "till", "custom": custom})
    answer = shop.ask("channels/key=till", expand="custom.fields.Best")
    assert answer.status_code == 501, "only projections of products are simulated"
