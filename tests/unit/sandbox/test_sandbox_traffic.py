"""Simulated shops: what happens follows from the seed, however time is cut, and every order is counted."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from cogent_ops.sandbox.dataset import Dataset
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.traffic import (
    EditKind,
    KioskOrder,
    KioskStatus,
    Offer,
    OnlineOrder,
    OrderRefused,
    ProductEdit,
    Traffic,
    offers,
    store_keys,
)

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
ARTICLES = [
    Offer(f"p{number}", f"SKU-{number}", Decimal("9.95"), "EUR", ("store-a",)) for number in range(50)
]


class Shop:
    """Takes everything and writes it down; refuses every n-th order when told to."""

    def __init__(self, refuse_every: int = 0) -> None:
        self.log: list[object] = []
        self.statuses: dict[str, list[KioskStatus]] = {}
        self.refuse_every = refuse_every
        self.asked = 0

    def _refuse(self) -> None:
        self.asked += 1
        if self.refuse_every and self.asked % self.refuse_every == 0:
            raise OrderRefused("sold out")

    def place_kiosk_order(self, order: KioskOrder) -> str:
        self._refuse()
        self.log.append(order)
        self.statuses[order.reference] = [KioskStatus.DRAFT_BASKET]
        return order.reference

    def set_kiosk_order_status(self, order_id: str, status: KioskStatus) -> None:
        self.log.append((order_id, status))
        self.statuses[order_id].append(status)

    def place_online_order(self, order: OnlineOrder) -> str:
        self._refuse()
        self.log.append(order)
        return order.order_number

    def edit_product(self, edit: ProductEdit) -> None:
        self.log.append(edit)


def traffic(shop: Shop, *, seed: int = 1, max_orders: int | None = None) -> Traffic:
    return Traffic(
        ARTICLES,
        seed=seed,
        kiosk=shop,
        online=shop,
        editor=shop,
        kiosk_per_second=5.0,
        online_per_second=3.0,
        edits_per_second=1.0,
        max_orders=max_orders,
    )


def test_how_time_is_cut_changes_nothing() -> None:
    at_once, in_steps, other_seed = Shop(), Shop(), Shop()
    traffic(at_once).advance(60)
    stepwise = traffic(in_steps)
    for _ in range(240):
        stepwise.advance(0.25)
    traffic(other_seed, seed=2).advance(60)
    assert at_once.log == in_steps.log
    assert at_once.log != other_seed.log


def test_rates_are_kept() -> None:
    shop = Shop()
    running = traffic(shop)
    running.advance(200)
    counts = running.counts()
    assert counts["kiosk_orders"] == pytest.approx(1000, rel=0.12)
    assert counts["online_orders"] == pytest.approx(600, rel=0.15)
    assert counts["edits"] == pytest.approx(200, rel=0.25)


def test_kiosk_orders_live_the_lives_that_statuses_allow() -> None:
    shop = Shop()
    running = traffic(shop, max_orders=500)
    running.advance(1000)
    lives = Counter(tuple(status.value for status in life) for life in shop.statuses.values())
    assert set(lives) == {
        ("DRAFT_BASKET",),
        ("DRAFT_BASKET", "PAID"),
        ("DRAFT_BASKET", "PLACED"),
        ("DRAFT_BASKET", "PLACED", "PAID"),
        ("DRAFT_BASKET", "PAID", "VOIDED"),
        ("DRAFT_BASKET", "PAID", "REFUNDED"),
    }
    assert sum(lives.values()) == running.counts()["kiosk_orders"] == 500
    assert lives["DRAFT_BASKET", "PAID"] > 250


def test_orders_have_different_articles_and_unique_numbers() -> None:
    shop = Shop()
    traffic(shop).advance(100)
    kiosk = [order for order in shop.log if isinstance(order, KioskOrder)]
    online = [order for order in shop.log if isinstance(order, OnlineOrder)]
    for lines in [order.lines for order in kiosk] + [order.lines for order in online]:
        skus = [line.sku for line in lines]
        assert 1 <= len(skus) == len(set(skus)) <= 4
        assert all(line.quantity in (1, 2) and line.price == Decimal("9.95") for line in lines)
    assert len({order.reference for order in kiosk}) == len(kiosk)
    assert len({order.order_number for order in online}) == len(online)
    assert {order.supply_channel_key for order in online} == {None, "store-a"}
    assert {order.internal for order in kiosk} == {True, False}
    assert all(order.customer_email.endswith("@example.com") for order in online)


def test_some_articles_sell_far_more_than_others() -> None:
    shop = Shop()
    traffic(shop).advance(200)
    sold = Counter(line.sku for order in shop.log if isinstance(order, KioskOrder) for line in order.lines)
    assert sold["SKU-0"] > 5 * sold["SKU-49"]


def test_only_what_was_unpublished_is_published_again() -> None:
    shop = Shop()
    Traffic(ARTICLES, seed=4, editor=shop, edits_per_second=10).advance(100)
    gone: list[str] = []
    for edit in shop.log:
        assert isinstance(edit, ProductEdit)
        if edit.kind is EditKind.UNPUBLISH:
            gone.append(edit.product_id)
        elif edit.kind is EditKind.PUBLISH:
            gone.remove(edit.product_id)
    kinds = {edit.kind for edit in shop.log if isinstance(edit, ProductEdit)}
    assert kinds == set(EditKind)


def test_refused_orders_are_counted_and_lead_to_nothing() -> None:
    shop = Shop(refuse_every=3)
    running = traffic(shop, max_orders=90)
    running.advance(1000)
    counts = running.counts()
    assert counts["kiosk_orders"] + counts["kiosk_refused"] == 90
    assert counts["online_orders"] + counts["online_refused"] == 90
    assert counts["kiosk_refused"] + counts["online_refused"] == 60
    assert len(shop.statuses) == counts["kiosk_orders"]


def test_thread_runs_in_real_time_and_stops() -> None:
    shop = Shop()
    running = Traffic(ARTICLES, seed=1, kiosk=shop, kiosk_per_second=200)
    with running:
        deadline = time.monotonic() + 5
        while running.counts().get("kiosk_orders", 0) < 5 and time.monotonic() < deadline:
            time.sleep(0.02)
        with pytest.raises(RuntimeError, match="running already"):
            running.start()
    counts = running.counts()
    assert counts["kiosk_orders"] >= 5
    time.sleep(0.15)
    assert running.counts() == counts
    assert running.stop() == counts


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_stop_says_what_the_thread_died_of() -> None:
    tried = threading.Event()

    class Broken(Shop):
        def place_kiosk_order(self, order: KioskOrder) -> str:
            tried.set()
            raise KeyError("state is broken")

    running = Traffic(ARTICLES, seed=1, kiosk=Broken(), kiosk_per_second=1000)
    running.start()
    assert tried.wait(20)
    with pytest.raises(KeyError, match="state is broken"):
        running.stop()


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        Traffic(ARTICLES, seed=1, kiosk=Shop(), kiosk_per_second=-1)
    with pytest.raises(ValueError, match="nobody was given"):
        Traffic(ARTICLES, seed=1, online_per_second=1)
    with pytest.raises(ValueError, match="at least one offer"):
        Traffic([], seed=1)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return generate(seed=3, products=60, now=NOW, dirty_share=0.3)


def test_offers_are_clean_variants_with_their_price_and_stores(dataset: Dataset) -> None:
    found = offers(dataset)
    dirty = set(dataset.dirt)
    sold = {offer.product_id for offer in found}
    assert sold == {product["id"] for product in dataset.products} - dirty
    assert all(offer.price > 0 and offer.currency == "EUR" for offer in found)
    keys = {channel["key"] for channel in dataset.channels}
    assert {key for offer in found for key in offer.channel_keys} <= keys
    assert any(offer.channel_keys for offer in found)


def test_kiosks_stand_in_stores_even_when_all_stock_is_in_the_pool(dataset: Dataset) -> None:
    keys = store_keys(dataset)
    assert len(keys) == 6
    shop, nowhere = Shop(), [Offer("p", "A", Decimal(1), "EUR", ())]
    Traffic(nowhere, seed=1, kiosk=shop, kiosk_per_second=1, stores=keys, max_orders=400).advance(2000)
    places = Counter(order.channel_key for order in shop.log if isinstance(order, KioskOrder))
    assert places.keys() == {*keys, ""}
    assert places[""] < 30, "the location of a few kiosks has been forgotten"


def test_offers_take_the_price_of_the_country_and_its_discount(dataset: Dataset) -> None:
    product = {
        "id": "p",
        "masterVariant": {
            "id": 1,
            "sku": "A",
            "prices": [
                price("EUR", 1000),
                {**price("EUR", 900, country="DE"), "discounted": {"value": price("EUR", 450)["value"]}},
                price("EUR", 100, channel={}),
                price("GBP", 800),
            ],
        },
        "variants": [{"id": 2, "sku": "B", "prices": [price("USD", 500)]}],
    }
    changed = Dataset(dataset.project, [], [], [], [], [], [], [product], [], [])
    assert [(offer.sku, offer.price) for offer in offers(changed)] == [("A", Decimal("4.50"))]
    assert [offer.price for offer in offers(changed, country="GB", currency="GBP")] == [Decimal("8.00")]


def price(currency: str, cents: int, **scope: object) -> dict[str, object]:
    return {"value": {"currencyCode": currency, "centAmount": cents, "fractionDigits": 2}, **scope}
