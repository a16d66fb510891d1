"""The live stock endpoint as a kiosk meets it: real HTTP, against the sandbox with whatever can go wrong."""

from __future__ import annotations

import json
import shutil
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tests.integration.clients.helpers import kiosk

from cogent_ops.domain.identifiers import location_gid, product_gid, variant_gid
from cogent_ops.domain.stock import NewMovement, Source
from cogent_ops.errors import StoreUnavailable
from cogent_ops.sandbox.command import connections
from cogent_ops.sandbox.dataset import Dataset
from cogent_ops.sandbox.faults import FaultPlan, Kind, Rule
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.store.availability import Shown
from cogent_ops.store.protection import Protections
from cogent_ops.store.stock import Applied

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "a-token-that-nobody-guesses"
PREFIX = "/cogent_ops/live-stock"
CONNECTION = "AIRFLOW_CONN_COGENT_OPS_LIVE_STOCK_DEFAULT"
ORIGIN = "https://kiosk.example.com"

pytestmark = [pytest.mark.airflow, pytest.mark.xdist_group("airflow")]

Json = dict[str, Any]


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return generate(seed=3, products=20, now=datetime(2026, 11, 20, tzinfo=UTC), dirty_share=0.0)


class Shop:
    """A sandbox, and a kiosk's view of the endpoint over it."""

    def __init__(self, server: SandboxServer, url: str) -> None:
        self.server = server
        self.http = httpx.Client(base_url=f"{url}{PREFIX}/", timeout=30)

    def ask(
        self, variant: str | None, *, token: str | None = TOKEN, link: str = "default", **params: str
    ) -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        query = {"variant": variant, **params} if variant is not None else params
        return self.http.get(link, params=query, headers=headers)

    def numbers(self, variant: str, **params: str) -> tuple[int, dict[str, int]]:
        """Total, and pieces by Channel key of the stores that have any."""
        answer = self.ask(variant, **params)
        assert answer.status_code == 200, answer.text
        response = answer.json()["response"]
        stores = {one["id"].rpartition("/")[2]: one["numberAvailable"] for one in response["locations"]}
        return response["totalNumberAvailable"], {key: number for key, number in stores.items() if number}

    # commercetools' side

    @property
    def inventory(self) -> list[Json]:
        state = self.server.state.commercetools
        with state.lock:
            return list(state["inventory"])

    @property
    def channels(self) -> dict[str, Json]:
        state = self.server.state.commercetools
        with state.lock:
            return {channel["id"]: channel for channel in state["channels"]}

    def sku(self) -> str:
        """One with stock in some store."""
        stocked: Counter[str] = Counter(
            entry["sku"]
            for entry in self.inventory
            if "supplyChannel" in entry and entry["availableQuantity"] > 3
        )
        return min(sku for sku, count in stocked.items() if count == max(stocked.values()))

    def truth(self, sku: str) -> tuple[int, dict[str, int]]:
        """The same as :meth:`numbers`, counted here."""
        total, stores = 0, Counter[str]()
        for entry in self.inventory:
            available = max(0, entry["availableQuantity"])
            if entry["sku"] != sku or not available:
                continue
            total += available
            if "supplyChannel" in entry:
                stores[self.channels[entry["supplyChannel"]["id"]]["key"]] += available
        return total, dict(stores)

    def set_stock(self, sku: str, quantity: int, channel: str) -> None:
        self.change(change="stock", sku=sku, quantity=quantity, channel=channel)

    def change(self, **what: Any) -> None:
        httpx.post(f"{self.server.control_url}/change", json=what).raise_for_status()

    def reads(self) -> int:
        """Reads of stock that commercetools saw."""
        return int(self.server.counters()["requests"].get("commercetools.inventory.query", 0))

    def fail(self, *rules: Rule) -> None:
        self.server.set_faults(FaultPlan(rules=rules))


@contextmanager
def served() -> Iterator[str]:
    """The app below its prefix, as Airflow mounts it; gives the base URL."""
    import uvicorn
    from starlette.applications import Starlette

    from cogent_ops.web.live_stock import create_app

    outer = Starlette()
    outer.mount(PREFIX, create_app())
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    server = uvicorn.Server(
        uvicorn.Config(outer, log_level="warning", lifespan="off", access_log=False, proxy_headers=False)
    )
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


def configure(include: Path, **settings: Any) -> None:
    path = include / "mapping.yaml"
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    data["links"]["default"].update(settings)
    path.write_text(yaml.safe_dump(data), encoding="utf-8")


@pytest.fixture
def include(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration, which a test may change before the shop opens."""
    folder = tmp_path / "include"
    shutil.copytree(ROOT / "include", folder)
    monkeypatch.setenv("COGENT_OPS_INCLUDE", str(folder))
    return folder


def give_token(monkeypatch: pytest.MonkeyPatch, token: str, **extra: str) -> None:
    monkeypatch.setenv(CONNECTION, json.dumps({"conn_type": "generic", "password": token, "extra": extra}))


@pytest.fixture
def shop(dataset: Dataset, include: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    from cogent_ops.clients.transport import close_sessions
    from cogent_ops.store import upgrade

    configure(
        include,
        live_stock={"ttl_seconds": 0.5, "timeout_seconds": 5, "requests_per_minute": 60_000, "share": 1},
    )
    upgrade(f"sqlite:///{tmp_path / 'store.db'}")
    store = {"conn_type": "sqlite", "host": str(tmp_path / "store.db")}
    monkeypatch.setenv("AIRFLOW_CONN_COGENT_OPS_STORE", json.dumps(store))
    give_token(monkeypatch, TOKEN)
    with SandboxServer(dataset) as server, served() as url:
        for name, value in connections(server).items():
            monkeypatch.setenv(name, value)
        yield Shop(server, url)
    close_sessions()


# Answers


def test_an_answer_has_the_documented_shape_and_the_numbers_of_commercetools(shop: Shop) -> None:
    sku = shop.sku()
    answer = shop.ask(sku, product="gid://external/CommercetoolsProduct/p")
    assert answer.status_code == 200
    body = answer.json()
    locations = body["response"].pop("locations")
    assert body == {
        "dataType": "StockLevels",
        "dataTypeVersion": 1,
        "responseFor": {
            "variantId": sku,
            "productId": "gid://external/CommercetoolsProduct/p",
            "locationId": None,
        },
        "response": {"totalNumberAvailable": shop.truth(sku)[0], "location": None},
    }
    suppliers = [one for one in shop.channels.values() if "InventorySupply" in one["roles"]]
    assert {one["id"] for one in locations} == {location_gid(one["key"]) for one in suppliers}
    for one in locations:
        assert set(one) == {"id", "displayName", "fulfillsOnlineOrders", "numberAvailable"}
    assert shop.numbers(sku) == shop.truth(sku)
    assert 0 <= int(answer.headers["age"]) <= 5
    as_of = datetime.fromisoformat(answer.headers["x-stock-as-of"])
    assert abs((datetime.now(UTC) - as_of).total_seconds()) < 60
    assert answer.headers["cache-control"] == "no-store"


def test_a_store_that_is_asked_for_stands_by_itself(shop: Shop) -> None:
    sku = shop.sku()
    key, pieces = next(iter(shop.truth(sku)[1].items()))
    for location in (key, location_gid(key)):
        response = shop.ask(sku, location=location).json()["response"]
        assert (response["location"]["id"], response["location"]["numberAvailable"]) == (
            location_gid(key),
            pieces,
        )
        assert response["location"] in response["locations"]


def test_every_form_of_a_variants_id_means_the_same(shop: Shop) -> None:
    sku = shop.sku()
    forms = [sku, variant_gid(sku), f"gid://external/SomebodysVariant/{sku}"]
    assert {json.dumps(shop.numbers(form), sort_keys=True) for form in forms} == {
        json.dumps(shop.truth(sku), sort_keys=True)
    }
    assert shop.ask(sku, unknown="parameter", utm="1").status_code == 200
    assert (
        shop.http.get(
            "default/", params={"variant": sku}, headers={"Authorization": f"Bearer {TOKEN}"}
        ).status_code
        == 200
    )


def test_cloudshelfs_own_ids_are_looked_up_there(shop: Shop) -> None:
    from cogent_ops.runtime import Runtime

    Runtime("default").bootstrap()
    sku = shop.sku()
    product, variant = product_gid("p-1"), variant_gid(sku)
    client = kiosk(shop.server)
    client.upsert_products([{"id": product, "displayName": "Coat"}])
    flags = {"isInStock": True, "availableToPurchase": True, "currentPrice": 1.0, "originalPrice": 1.0}
    client.upsert_variants([(product, [{"id": variant, "displayName": "Coat", "sku": sku, **flags}])])
    (own_id,) = client.variant_ids(product)
    node = next(node for page in client.locations() for node in page if node["platformProvidedId"])
    key = node["platformProvidedId"].rpartition("/")[2]

    by_gid = shop.ask(own_id, product=product, location=node["id"])
    assert by_gid.status_code == 200, by_gid.text
    assert by_gid.json()["responseFor"]["variantId"] == own_id
    assert by_gid.json()["response"]["location"]["id"] == location_gid(key)
    bare = shop.ask(own_id.rpartition("/")[2], product=product, location=node["id"].rpartition("/")[2])
    assert bare.json()["response"] == by_gid.json()["response"]
    assert shop.numbers(own_id, product=product) == shop.truth(sku)

    alone = shop.ask(own_id)
    assert (alone.status_code, alone.json()["error"]) == (404, "unknown_variant")
    assert "product=" in alone.json()["message"]
    reads = shop.server.counters()["requests"]
    for _ in range(20):
        shop.ask(own_id, product=product, location=node["id"])
    asked = {
        name: count - reads[name]
        for name, count in shop.server.counters()["requests"].items()
        if name.startswith("cloudshelf") and count != reads.get(name)
    }
    assert asked == {}


# What is a zero, and what is not


def test_a_known_sku_without_entry_is_a_true_zero_and_an_unknown_one_is_none(shop: Shop) -> None:
    sku = shop.sku()
    state = shop.server.state.commercetools
    with state.lock:
        for entry in shop.inventory:
            if entry["sku"] == sku:
                state["inventory"].remove(entry["id"])
    assert shop.numbers(sku) == (0, {})
    for unknown in ("no-such-sku", "gid://external/CommercetoolsSku/no-such-sku", shop.sku().lower() + "x"):
        answer = shop.ask(unknown)
        assert (answer.status_code, answer.json()["error"]) == (404, "unknown_variant")
        assert "response" not in answer.json()
    nowhere = shop.ask(shop.sku(), location="no-such-store")
    assert (nowhere.status_code, nowhere.json()["error"]) == (404, "unknown_location")


def test_what_is_sold_out_is_zero_and_never_below(shop: Shop) -> None:
    sku = shop.sku()
    for key in shop.truth(sku)[1]:
        shop.set_stock(sku, -3, key)
    shop.change(change="stock", sku=sku, quantity=0)
    assert shop.numbers(sku) == (0, {})


def test_a_change_shows_after_the_time_to_live(shop: Shop) -> None:
    sku = shop.sku()
    key, before = next(iter(shop.numbers(sku)[1].items()))
    shop.set_stock(sku, before + 7, key)
    deadline = time.monotonic() + 10
    while shop.numbers(sku)[1][key] != before + 7:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_safety_stock_holds_as_it_does_for_flags(shop_with: Any) -> None:
    shop = shop_with(stock={"safety_stock": 10_000})
    sku = shop.sku()
    assert shop.truth(sku)[0] > 0
    assert shop.numbers(sku) == (0, {})


def test_what_is_gone_is_not_told_while_stock_is_late(shop: Shop) -> None:
    from cogent_ops.runtime import Runtime

    runtime, sku = Runtime("default"), shop.sku()
    store, protection = runtime.store, runtime.protection()
    store.availability.told_by_catalogue("default", "catalogue", [Shown(sku, "p", True, True, False)])
    total, stores = shop.numbers(sku)
    key, pieces = next(iter(stores.items()))

    def sell(number: int) -> None:
        occurred = datetime.now(UTC) - timedelta(minutes=2)
        sale = NewMovement(
            "default", runtime.project, sku, key, Source.KIOSK_ORDER, f"o{number}", "o", occurred, delta=-1
        )
        with store.begin() as conn:
            store.stock.add_movements(conn, [sale])
        protection.refresh(datetime.now(UTC))

    def comes_to(wanted: tuple[int, dict[str, int]]) -> None:
        deadline = time.monotonic() + 20
        while shop.numbers(sku) != wanted:
            assert time.monotonic() < deadline, (shop.numbers(sku), wanted)
            time.sleep(0.05)

    # As much again as was sold is left to the web shop.
    sell(1)
    comes_to((total - 2, {**stores, key: pieces - 2}))
    shop.fail(Rule(kind=Kind.ERROR, api="commercetools", status=503))
    sell(2)
    comes_to((total - 4, {**stores, key: pieces - 4}))
    shop.fail()
    (batch,) = store.stock.claim(runtime.project, "w", limit=5, lease_seconds=60)
    shop.set_stock(sku, pieces - 2, key)
    with store.begin() as conn:
        store.stock.settle(conn, runtime.project, [Applied(batch.id)])
    protection.refresh(datetime.now(UTC))
    comes_to(shop.truth(sku))


def test_where_nobody_can_say_what_is_held_back_nothing_is(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    def away(*_: object) -> Any:
        nonlocal asked
        asked += 1
        raise StoreUnavailable("The store is away.")

    monkeypatch.setattr(Protections, "holds", away)
    sku = shop.sku()
    for _ in range(20):
        assert shop.numbers(sku) == shop.truth(sku)
    assert 1 <= asked < 20, "it is not asked again and again"


@pytest.fixture
def shop_with(include: Path, request: pytest.FixtureRequest) -> Any:
    """Opens the shop with settings of the link."""

    def opened(**settings: Any) -> Shop:
        made: Shop = request.getfixturevalue("shop")
        configure(include, **settings)
        return made

    return opened


def live(**settings: Any) -> Json:
    return {
        "live_stock": {"ttl_seconds": 0.2, "timeout_seconds": 5, "share": 1, "requests_per_minute": 60_000}
        | settings
    }


# Who may ask


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": f"Bearer {TOKEN} x"},
        {"Authorization": f"Bearer {TOKEN}\xff".encode("latin-1")},
    ],
)
def test_without_the_token_nobody_learns_anything(shop: Shop, headers: Any) -> None:
    answer = shop.http.get("default", params={"variant": shop.sku()}, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert set(answer.json()) == {"error", "message"}
    assert shop.reads() == 0


def test_while_tokens_change_both_are_good(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    give_token(monkeypatch, "the-new-token-of-this-year", previous_token=TOKEN)
    assert shop.ask(shop.sku(), token=TOKEN).status_code == 200
    assert shop.ask(shop.sku(), token="the-new-token-of-this-year").status_code == 200
    assert shop.ask(shop.sku(), token="another-token-altogether").status_code == 401


def test_the_connection_is_not_read_for_every_request(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    import cogent_ops.hooks

    looked: list[str] = []
    find = cogent_ops.hooks.find_connection

    def noting(conn_id: str) -> Any:
        looked.append(conn_id)
        return find(conn_id)

    monkeypatch.setattr(cogent_ops.hooks, "find_connection", noting)
    for _ in range(30):
        assert shop.ask(shop.sku()).status_code == 200
    assert looked.count("cogent_ops_live_stock_default") == 1


@pytest.mark.parametrize("token", [None, "short"])
def test_without_a_token_set_up_it_is_an_error_that_names_the_cure_in_the_log(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, token: str | None
) -> None:
    monkeypatch.delenv(CONNECTION)
    if token:
        give_token(monkeypatch, token)
    answer = shop.ask(shop.sku())
    assert (answer.status_code, answer.json()["error"]) == (503, "not_configured")
    assert "cogent_ops_live_stock_default" not in answer.text
    assert "cogent_ops_live_stock_default" in caplog.text
    assert "openssl rand" in caplog.text


def test_the_endpoint_opens_once_the_token_is_there(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    import cogent_ops.web.live_stock as module

    monkeypatch.setattr(module, "RETRY_SECONDS", 0.1)
    monkeypatch.delenv(CONNECTION)
    with served() as url:
        late = Shop(shop.server, url)
        assert late.ask(shop.sku()).status_code == 503
        give_token(monkeypatch, TOKEN)
        deadline = time.monotonic() + 10
        while late.ask(shop.sku()).status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_token_taken_away_closes_the_door_and_broken_settings_do_not(
    shop: Shop, include: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import cogent_ops.web.live_stock as module

    monkeypatch.setattr(module, "RENEW_SECONDS", 0.1)
    with served() as url:
        other = Shop(shop.server, url)
        assert other.ask(shop.sku()).status_code == 200
        (include / "mapping.yaml").write_text("links: [broken", encoding="utf-8")
        time.sleep(0.2)
        assert other.ask(shop.sku()).status_code == 200
        assert "goes on with the settings it had" in caplog.text
        give_token(monkeypatch, "the-new-token-of-this-year")
        time.sleep(0.2)
        assert other.ask(shop.sku()).status_code == 401


def test_a_store_that_has_moved_is_used_without_a_restart(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cogent_ops.runtime import Runtime
    from cogent_ops.store import upgrade

    before = Runtime("default").live_stock()
    assert Runtime("default").live_stock(before) is before
    upgrade(f"sqlite:///{tmp_path / 'moved.db'}")
    moved = {"conn_type": "sqlite", "host": str(tmp_path / "moved.db")}
    monkeypatch.setenv("AIRFLOW_CONN_COGENT_OPS_STORE", json.dumps(moved))
    after = Runtime("default").live_stock(before)
    assert after is not before
    assert Runtime("default").live_stock(after) is after


def test_a_link_that_does_not_exist_and_a_bad_question(shop: Shop) -> None:
    assert shop.ask(shop.sku(), link="atlantis").status_code == 404
    missing = shop.ask(None)
    assert (missing.status_code, missing.json()["error"]) == (400, "bad_request")
    assert "variant" in missing.json()["message"]
    assert shop.ask("x" * 600).status_code == 400
    assert shop.ask("a\x00b").status_code == 400
    posted = shop.http.post("default", headers={"Authorization": f"Bearer {TOKEN}"})
    assert posted.status_code == 405
    for page in ("docs", "openapi.json", "redoc"):
        assert shop.http.get(page).status_code == 404


@pytest.fixture
def slow_throttle(monkeypatch: pytest.MonkeyPatch) -> Json:
    """Settings by which a client may ask five times at once, and then every 20 seconds."""
    monkeypatch.setattr("cogent_ops.web.live_stock.BURST_SECONDS", 100.0)
    return {"requests_per_minute": 3}


def test_a_client_that_asks_too_often_is_told_when_to_come_back(shop_with: Any, slow_throttle: Json) -> None:
    shop = shop_with(**live(trusted_proxies=["127.0.0.1"], **slow_throttle))
    sku = shop.sku()

    def ask(client: str, token: str = TOKEN) -> Any:
        headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": f"198.51.100.66, {client}"}
        return shop.http.get("default", params={"variant": sku}, headers=headers)

    assert [ask("203.0.113.1").status_code for _ in range(8)] == [200] * 5 + [429] * 3
    refused = ask("203.0.113.1")
    assert 1 <= int(refused.headers["retry-after"]) <= 20
    assert refused.json()["error"] == "too_many_requests"
    assert ask("203.0.113.2").status_code == 200
    # Guessing tokens is not cheaper.
    assert [ask("203.0.113.3", "wrong").status_code for _ in range(7)] == [401] * 5 + [429] * 2


def test_without_a_trusted_proxy_the_header_changes_nothing(shop_with: Any, slow_throttle: Json) -> None:
    shop = shop_with(**live(**slow_throttle))
    answers = [
        shop.http.get(
            "default",
            params={"variant": shop.sku()},
            headers={"Authorization": f"Bearer {TOKEN}", "X-Forwarded-For": f"203.0.113.{number}"},
        ).status_code
        for number in range(7)
    ]
    assert answers == [200] * 5 + [429] * 2


def test_browsers_are_told_whose_pages_may_read(shop_with: Any) -> None:
    shop = shop_with(**live(cors_origins=[ORIGIN]))

    def preflight(origin: str) -> Any:
        wish = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
        return shop.http.options("default", params={"variant": "x"}, headers={"Origin": origin, **wish})

    allowed = preflight(ORIGIN)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    assert "authorization" in allowed.headers["access-control-allow-headers"].lower()
    assert "access-control-allow-origin" not in preflight("https://evil.example").headers
    for token, status in ((TOKEN, 200), ("wrong", 401)):
        headers = {"Origin": ORIGIN, "Authorization": f"Bearer {token}"}
        answer = shop.http.get("default", params={"variant": shop.sku()}, headers=headers)
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert "X-Stock-As-Of" in answer.headers["access-control-expose-headers"]


# When commercetools is slow, busy or away


def test_many_kiosks_cost_one_read_and_many_products_few(shop_with: Any) -> None:
    shop = shop_with(**live(ttl_seconds=60, timeout_seconds=20))
    shop.ask(shop.sku())
    shop.server.app.forget()
    skus = sorted({entry["sku"] for entry in shop.inventory})[:40]
    shop.fail(Rule(kind=Kind.SLOW, api="commercetools", operation="inventory.query", delay=1.0))
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(shop.ask, skus * 5))
    assert {answer.status_code for answer in answers} == {200}
    assert 1 <= shop.reads() <= 12
    again = shop.reads()
    assert all(shop.numbers(sku) == shop.truth(sku) for sku in skus)
    assert shop.reads() == again


def wait_for_an_answer(shop: Shop, sku: str) -> None:
    deadline = time.monotonic() + 20
    while shop.ask(sku).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


DOWN = Rule(kind=Kind.ERROR, api="commercetools", status=503, retry_after=0)


@pytest.mark.parametrize(
    "rule",
    [
        DOWN,
        Rule(kind=Kind.RESET, api="commercetools"),
        Rule(kind=Kind.SLOW, api="commercetools", delay=3),
        Rule(kind=Kind.THROTTLE, api="commercetools", retry_after=60),
    ],
    ids=["down", "reset", "slow", "throttled"],
)
def test_the_last_known_value_stands_in_with_its_age_and_what_is_not_known_is_no_zero(
    shop_with: Any, rule: Rule
) -> None:
    shop = shop_with(**live(timeout_seconds=0.8))
    first, second = sorted({entry["sku"] for entry in shop.inventory})[:2]
    wait_for_an_answer(shop, first)
    known = shop.numbers(first)
    shop.fail(rule)
    time.sleep(1.1)
    began = time.monotonic()
    answer = shop.ask(first)
    assert answer.status_code == 200
    assert int(answer.headers["age"]) >= 1
    assert shop.numbers(first) == known
    for _ in range(3):
        nothing = shop.ask(second)
        assert (nothing.status_code, nothing.json()["error"]) == (503, "unavailable")
        assert int(nothing.headers["retry-after"]) >= 1
        assert "response" not in nothing.json()
    assert time.monotonic() - began < 20
    if rule.kind is not Kind.THROTTLE:  # who was told to wait for a minute does so
        shop.server.set_faults(None)
        wait_for_an_answer(shop, second)
        assert shop.numbers(second) == shop.truth(second)
    assert shop.server.counters()["inside_retry_after"] == {}


def test_an_old_value_ends(shop_with: Any) -> None:
    shop = shop_with(**live(stale_seconds=1))
    sku = shop.sku()
    assert shop.ask(sku).status_code == 200
    shop.fail(DOWN)
    deadline = time.monotonic() + 20
    while (answer := shop.ask(sku)).status_code == 200:
        assert int(answer.headers["age"]) <= 1
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert answer.json()["error"] == "unavailable"


def test_wrong_credentials_are_said_in_the_log_and_no_zero(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    name = "AIRFLOW_CONN_COMMERCETOOLS_DEFAULT"
    wrong = json.loads(connections(shop.server)[name]) | {"password": "wrong"}
    monkeypatch.setenv(name, json.dumps(wrong))
    answer = shop.ask(shop.sku())
    assert (answer.status_code, answer.json()["error"]) == (503, "unavailable")
    assert "commercetools_default" in caplog.text
