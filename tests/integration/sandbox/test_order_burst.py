"""The recount that benchmarks and the demo rely on: it is content with what is right, and names whatever is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from urllib.parse import unquote

import pytest
from tests.support.talk import Json, Kiosk, Shop, variant

from cogent_ops.domain.identifiers import location_gid, product_gid, variant_gid
from cogent_ops.sandbox.command import connections
from cogent_ops.sandbox.dataset import Dataset, all_variants
from order_burst import FAULTS, OrderBurst, Sale
from order_cases import CASES
from order_recount import recount
from sandbox_talk import Sandbox

STORE = "store-berlin"
#: Those that nobody in commercetools has to wait for.
AT_KIOSKS = [case for case in CASES if case.end != "cancelled"]


class Clerk:
    """Somebody who captures by hand what a burst has sold, and makes no mistake."""

    def __init__(self, shop: Shop, burst: OrderBurst) -> None:
        self.shop, self.burst, self.floor = shop, burst, shop.server.state.floor

    def sale(self, end: str) -> Sale:
        """One that ends so."""
        return next(sale for sale in self.burst.sales.values() if sale.case.end == end)

    def work(self) -> None:
        """Capture everything and take it from stock."""
        taken = Counter[str]()
        for sale in self.burst.sales.values():
            taken.update(sale.stock)
            if sale.case.end in ("order", "refunded"):
                self.capture(sale)
        for place, pieces in taken.items():
            sku, _, channel = place.rpartition("@")
            self.floor.set_stock(sku, self.burst.stock_before.get(place, 0) - pieces, channel)

    def capture(self, sale: Sale) -> None:
        """One order in the state in which it ends; Cloudshelf is told."""
        is_refunded = sale.case.end == "refunded"
        made = self.shop.ok("POST", "orders/import", self.draft(sale))
        for line in made["lineItems"] if is_refunded else ():
            back = {"lineItemId": line["id"], "quantity": line["quantity"], "shipmentState": "Returned"}
            made = self.shop.act("orders", made, {"action": "addReturnInfo", "items": [back]})
        Kiosk(self.shop.server).orders({"id": sale.id, "newThirdPartyId": made["id"]})

    def draft(self, sale: Sale) -> Json:
        is_refunded, amount = sale.case.end == "refunded", money(sale.cents)
        transactions = [
            {"type": kind, "state": "Success", "amount": amount}
            for kind in ("Charge", "Refund")[: 1 + is_refunded]
        ]
        payment = self.shop.post("payments", {"amountPlanned": amount, "transactions": transactions})
        lines = self.shop.server.state.cloudshelf.entities["Order"][sale.id]["lines"]
        goods = [line for line in lines if line["productVariantId"]]
        return {
            "orderNumber": sale.order_number,
            "totalPrice": amount,
            "orderState": "Cancelled" if is_refunded else "Confirmed",
            "paymentState": "Paid",
            "lineItems": [item(line) for line in goods],
            "customLineItems": [fee(line) for line in lines if line not in goods],
            "paymentInfo": {"payments": [{"typeId": "payment", "id": payment["id"]}]},
        }


def money(cents: int) -> Json:
    return {"currencyCode": "EUR", "centAmount": cents}


def item(line: Json) -> Json:
    sku = unquote(line["platformProvidedProductVariantId"].rpartition("/")[2])
    price = {"value": money(round(line["price"] * 100))}
    return {"name": {"en": sku}, "variant": {"sku": sku}, "quantity": line["quantity"], "price": price}


def fee(line: Json) -> Json:
    price = money(round(line["price"] * 100))
    return {"name": {"en": "Fee"}, "slug": "fee", "quantity": line["quantity"], "money": price}


@pytest.fixture
def talk(shop: Shop, kiosk: Kiosk, dataset: Dataset) -> Iterator[Sandbox]:
    """A sandbox with a kiosk in Berlin that shows everything."""
    place = {"id": location_gid(STORE), "displayName": "Berlin", "countryCode": "DE", "address1": "Street 1"}
    kiosk.locations(place)
    kiosk.products({"id": product_gid("all"), "displayName": "All"})
    skus = [one["sku"] for product in dataset.products for one in all_variants(product)]
    mutation = """mutation ($inputs: [UpsertVariantsInput!]!) { upsertProductVariants(inputs: $inputs) {
        userErrors { message } } }"""
    shown = [{**variant(sku), "id": variant_gid(sku)} for sku in skus]
    kiosk.data(mutation, inputs=[{"productId": product_gid("all"), "variants": shown}])
    announced = connections(shop.server)
    told = {"control_url": shop.server.control_url, "connections": announced}
    with closing(Sandbox(told)) as talk:
        yield talk


@pytest.fixture
def clerk(shop: Shop, talk: Sandbox) -> Clerk:
    """After a burst in which every kind of order came."""
    burst = OrderBurst(talk, AT_KIOSKS, pace=0.001)
    burst.sell([0.0] * 60)
    return Clerk(shop, burst)


def test_it_is_content_with_what_is_right_though_the_apis_misbehave(talk: Sandbox, clerk: Clerk) -> None:
    clerk.work()
    talk.misbehave(FAULTS)
    found = recount(talk, clerk.burst)
    assert (found.wrong, found.lost, found.doubled) == ((), 0, 0)
    assert found.is_right
    assert found.orders == 60
    assert {sale.case for sale in clerk.burst.sales.values()} == set(AT_KIOSKS)
    assert found.faults == 0, "those that only the recount met are none"
    assert len(found.seconds) == sum(
        sale.case.end in ("order", "refunded") for sale in clerk.burst.sales.values()
    )


def test_it_misses_whatever_was_not_captured(talk: Sandbox, clerk: Clerk) -> None:
    found = recount(talk, clerk.burst)
    due = [sale for sale in clerk.burst.sales.values() if sale.case.end in ("order", "refunded")]
    assert sum("0 orders in commercetools" in text for text in found.wrong) == len(due) == len(found.wrong)
    assert found.lost == found.sold > 0


def _second(clerk: Clerk) -> str:
    sale = clerk.sale("order")
    clerk.shop.ok("POST", "orders/import", {**clerk.draft(sale), "orderNumber": f"web-{sale.ulid}-2"})
    return f"order web-{sale.ulid}-2 belongs to nobody"


def _shop_twice(clerk: Clerk) -> str:
    sale = clerk.sale("shop")
    clerk.shop.ok("POST", "orders/import", clerk.draft(sale))
    return "2 orders in commercetools"


def _draft_basket(clerk: Clerk) -> str:
    clerk.shop.ok("POST", "orders/import", clerk.draft(clerk.sale("none")))
    return "1 orders in commercetools"


def _state(clerk: Clerk) -> str:
    clerk.floor.change("order-change", {"order": clerk.sale("order").order_number, "orderState": "Complete"})
    return "orderState is Complete, not Confirmed"


def _refund(clerk: Clerk) -> str:
    clerk.floor.change("order-change", {"order": clerk.sale("order").order_number, "refund": 1})
    return "'Refund Success': 1}, not"


def _not_told(clerk: Clerk) -> str:
    Kiosk(clerk.shop.server).orders({"id": clerk.sale("order").id, "newThirdPartyId": "another"})
    return "Cloudshelf knows it as another"


@pytest.mark.parametrize("spoil", [_second, _shop_twice, _draft_basket, _state, _refund, _not_told])
def test_it_names_what_is_wrong(talk: Sandbox, clerk: Clerk, spoil: Callable[[Clerk], str]) -> None:
    clerk.work()
    expected = spoil(clerk)
    (text,) = (text for text in recount(talk, clerk.burst).wrong if expected in text)
    assert text


def test_it_counts_every_piece_of_stock(talk: Sandbox, clerk: Clerk) -> None:
    clerk.work()
    place = next(iter(clerk.sale("order").stock))
    sku, _, channel = place.rpartition("@")
    clerk.floor.set_stock(sku, talk.inventory()[place] + 2, channel)
    clerk.floor.set_stock("new", -3, "store-berlin")
    found = recount(talk, clerk.burst)
    assert (found.lost, found.doubled) == (2, 3)
