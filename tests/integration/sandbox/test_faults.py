"""Faults strike as the plan says, before or after a request took effect, and equally for equal seeds."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tests.support.talk import Json, Kiosk, Shop, codes, names, product, refusal

from cogent_ops.sandbox.faults import FaultPlan
from cogent_ops.sandbox.server import SandboxServer

ENTRY = {"sku": "N", "quantityOnStock": 1}


def use(server: SandboxServer, *rules: Json, **plan: Any) -> None:
    server.set_faults(FaultPlan.model_validate({"rules": rules, **plan}))


def stored(shop: Shop) -> int:
    """How many entries the failed request made."""
    shop.server.set_faults(None)
    return len(shop.query("inventory", where='sku = "N"'))


# One fault each


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["error", "reset", "timeout"])
def test_a_request_fails_before_or_after_it_took_effect(shop: Shop, kind: str, when: str) -> None:
    use(shop.server, {"kind": kind, "when": when, "status": 502, "delay": 0.05})
    if kind == "error":
        assert refusal(shop.send("inventory", ENTRY)) == (502, "BadGateway")
    else:
        with pytest.raises(httpx.TransportError):
            shop.send("inventory", ENTRY)
    assert stored(shop) == (1 if when == "after" else 0)


@pytest.mark.parametrize(("status", "code"), [(500, "General"), (502, "BadGateway"), (503, "OverCapacity")])
def test_commercetools_fails_in_its_own_words(shop: Shop, status: int, code: str) -> None:
    use(shop.server, {"kind": "error", "status": status})
    assert refusal(shop.ask("inventory")) == (status, code)


@pytest.mark.parametrize(("status", "is_json"), [(200, True), (502, False), (504, False)])
def test_cloudshelf_fails_by_http_or_by_a_graphql_error(kiosk: Kiosk, status: int, is_json: bool) -> None:
    use(kiosk.server, {"kind": "error", "status": status})
    answer = kiosk.ask("{ version }")
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/json" if is_json else "text/html")
    if is_json:
        assert answer.json()["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"


@pytest.mark.parametrize(("kind", "made"), [("slow", 1), ("timeout", 0)])
def test_who_does_not_wait_does_not_know(start: Callable[..., SandboxServer], kind: str, made: int) -> None:
    shop = Shop(start())
    use(shop.server, {"kind": kind, "delay": 3})
    url, headers = (
        f"{shop.server.commercetools_url}/sandbox/inventory",
        {"Authorization": f"Bearer {shop.token}"},
    )
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(url, json=ENTRY, headers=headers, timeout=1.0)
    assert stored(shop) == made


def test_a_slow_answer_is_a_good_one(shop: Shop) -> None:
    use(
        shop.server,
        {"kind": "slow", "delay": 0.05},
        latency={"commercetools": {"base": 0.05, "jitter": 0.01}},
    )
    assert shop.send("inventory", ENTRY).status_code == 201
    assert shop.server.counters()["faults"] == {"commercetools.slow": 1}


@pytest.mark.parametrize(("retry_after", "header"), [(2, "2"), (0.2, "1"), (0, None)])
def test_429_says_when_to_come_back(shop: Shop, retry_after: float, header: str | None) -> None:
    use(shop.server, {"kind": "throttle", "retry_after": retry_after, "limit": 1})
    refused = shop.ask("inventory")
    assert (refused.status_code, refused.headers.get("retry-after")) == (429, header)
    assert shop.ask("inventory").status_code == 200
    assert shop.server.counters()["rate_limited"]["commercetools"] >= 1


@pytest.mark.parametrize(("rule", "header"), [({}, None), ({"retry_after": 3}, "3")])
def test_503_carries_retry_after_where_the_rule_gives_it(shop: Shop, rule: Json, header: str | None) -> None:
    use(shop.server, {"kind": "error", "status": 503, **rule})
    assert shop.ask("inventory").headers.get("retry-after") == header


def test_who_does_not_listen_to_retry_after_is_counted(shop: Shop) -> None:
    use(shop.server, {"kind": "throttle", "retry_after": 30, "limit": 2})
    assert shop.ask("inventory").status_code == 429
    assert shop.server.counters()["avoidable_429"] == {}
    time.sleep(0.3)  # what was under way when the 429 was sent is not held against anybody
    assert shop.ask("inventory").status_code == 429
    counters = shop.server.counters()
    assert counters["avoidable_429"]["commercetools"] == 1
    assert counters["inside_retry_after"]["commercetools"] == 1


def test_a_conflict_comes_from_somebody_elses_write(shop: Shop) -> None:
    entry = shop.post("inventory", ENTRY)
    use(shop.server, {"kind": "conflict", "operation": "inventory.update", "limit": 1})
    add = {"action": "addQuantity", "quantity": 1}
    refused = shop.act("inventory", entry, add)
    entry = shop.get(f"inventory/{entry['id']}")
    assert (refused["statusCode"], refused["errors"][0]["currentVersion"]) == (409, entry["version"])
    assert shop.act("inventory", entry, add)["quantityOnStock"] == 2


def test_a_conflict_needs_something_to_conflict_with(shop: Shop) -> None:
    use(shop.server, {"kind": "conflict"})
    assert shop.send("inventory", ENTRY).status_code == 201
    assert shop.ask("inventory").status_code == 200


def test_single_records_are_refused(kiosk: Kiosk) -> None:
    use(
        kiosk.server,
        {"kind": "refuse", "ids": "*/bad-*", "code": "ENTITY_INVALID_FIELD"},
        {"kind": "refuse", "operation": "upsertProducts", "limit": 1, "code": "TEMPORARY_RESTRICTION"},
    )
    batch = [product(name) for name in ("one", "bad-1", "two", "bad-2")]
    first = kiosk.products(*batch)
    assert names(first["products"]) == ["two"]
    assert codes(first) == ["TEMPORARY_RESTRICTION", "ENTITY_INVALID_FIELD", "ENTITY_INVALID_FIELD"]
    assert names(kiosk.products(*batch)["products"]) == ["one", "two"], "bad ones are refused for ever"


def test_single_records_are_taken_with_an_error_beside_them(kiosk: Kiosk) -> None:
    use(kiosk.server, {"kind": "blemish", "ids": "*/odd", "code": "IMAGE_UPLOAD_ERROR"})
    answer = kiosk.products(product("one"), product("odd"))
    assert names(answer["products"]) == ["one", "odd"]
    assert codes(answer) == ["IMAGE_UPLOAD_ERROR"]


def test_a_group_of_a_batch_is_refused(kiosk: Kiosk) -> None:
    kiosk.products(product("a"))
    kiosk.groups({"id": "gid://external/G/g", "displayName": "G"})
    use(kiosk.server, {"kind": "refuse", "operation": "updateProductsInProductGroupInBatch"})
    text = """mutation ($b: ProductGroupUpdateBatch!) {
        updateProductsInProductGroupInBatch(productGroupUpdateBatchInput: $b) { success number } }"""
    rows = [{"productGroupId": "gid://external/G/g", "productIds": ["gid://external/P/a"]}]
    answer = kiosk.data(text, b={"productGroupUpdateBatch": rows})
    assert answer["updateProductsInProductGroupInBatch"] == [{"success": False, "number": 0}]


def test_messages_can_stop_while_all_else_goes_on(shop: Shop) -> None:
    use(shop.server, {"kind": "stop_messages"})
    assert shop.send("inventory", ENTRY).status_code == 201
    assert shop.query("messages") == []
    assert stored(shop) == 1


# When they strike


@pytest.mark.parametrize(
    ("rule", "struck"),
    [
        ({}, "xxxxxxxx"),
        ({"skip": 3}, "...xxxxx"),
        ({"limit": 2}, "xx......"),
        ({"skip": 1, "limit": 1}, ".x......"),
        ({"every": 4}, "x...x..."),
        ({"every": 4, "length": 2, "skip": 1}, ".xx..xx."),
        ({"rate": 0}, "........"),
        ({"operation": "inventory.query"}, "xxxxxxxx"),
        ({"operation": "*.query", "api": "commercetools"}, "xxxxxxxx"),
        ({"operation": "inventory.update"}, "........"),
        ({"api": "cloudshelf"}, "........"),
        ({"api": "auth"}, "........"),
    ],
)
def test_which_requests_a_rule_strikes(shop: Shop, rule: Json, struck: str) -> None:
    use(shop.server, {"kind": "error", **rule})
    answers = [shop.ask("inventory").status_code for _ in range(len(struck))]
    assert "".join("x" if status == 503 else "." for status in answers) == struck


def test_the_first_rule_that_strikes_decides(shop: Shop) -> None:
    use(
        shop.server,
        {"kind": "error", "status": 500, "limit": 1},
        {"kind": "error", "status": 502, "limit": 1},
    )
    assert [shop.ask("inventory").status_code for _ in range(3)] == [500, 502, 200]


def test_a_token_may_be_refused(shop: Shop) -> None:
    use(shop.server, {"kind": "error", "operation": "token", "limit": 1})
    assert [shop.issue().status_code for _ in range(2)] == [503, 200]


def outcomes(shop: Shop, seed: int, order: list[int], threads: int = 1) -> dict[int, int]:
    """Status of requests that differ, sent in an order, perhaps several at a time."""
    use(shop.server, {"kind": "error", "rate": 0.3}, seed=seed)
    with ThreadPoolExecutor(threads) as pool:
        statuses = pool.map(lambda number: shop.ask("inventory", offset=number).status_code, order)
        return dict(zip(order, statuses, strict=True))


def test_equal_seeds_fail_equally_in_any_order(shop: Shop) -> None:
    order = list(range(40))
    first = outcomes(shop, 1, order)
    assert first == outcomes(shop, 1, order[::-1]) == outcomes(shop, 1, order, threads=6)
    assert first != outcomes(shop, 2, order)
    assert 3 < list(first.values()).count(503) < 25


def test_a_retry_gets_a_new_decision(shop: Shop) -> None:
    use(shop.server, {"kind": "error", "rate": 0.5})
    assert {shop.ask("inventory").status_code for _ in range(20)} == {200, 503}


# Limits


def test_each_api_has_a_limit_of_its_own(shop: Shop) -> None:
    limits = {"commercetools": {"per_second": 0.01, "burst": 3}, "auth": {"per_second": 0.01, "burst": 1}}
    use(shop.server, rate_limits=limits)
    answers = [shop.ask("inventory") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert 95 <= int(answers[-1].headers["retry-after"]) <= 100
    assert [shop.issue().status_code for _ in range(2)] == [200, 429]
    assert [Kiosk(shop.server).ask("{ version }").status_code for _ in range(5)] == [200] * 5


@pytest.mark.parametrize("says", [True, False])
def test_a_limit_may_keep_to_itself_how_long_to_wait(shop: Shop, says: bool) -> None:
    use(shop.server, rate_limits={"commercetools": {"per_second": 0.01, "burst": 1, "retry_after": says}})
    refused = [shop.ask("inventory") for _ in range(2)][1]
    assert (refused.status_code, "retry-after" in refused.headers) == (429, says)


def test_only_versioned_writes_meet_conflicts(shop: Shop) -> None:
    entry = shop.entry("A")
    use(shop.server, {"kind": "conflict"}, {"kind": "slow", "delay": 0})
    assert shop.ask(f"inventory/{entry['id']}").status_code == 200
    assert shop.send("inventory", {"sku": "B", "quantityOnStock": 1}).status_code == 201
    assert shop("DELETE", f"inventory/{entry['id']}", version=entry["version"]).status_code == 409
    struck = shop.server.counters()["faults"]
    assert (struck["commercetools.conflict"], struck["commercetools.slow"]) == (1, 2)


def test_a_bucket_fills_again(shop: Shop) -> None:
    use(shop.server, rate_limits={"commercetools": {"per_second": 20, "burst": 1}})
    answers: list[int] = []
    while 429 not in answers or answers[-1] == 429:
        answers.append(shop.ask("inventory").status_code)
        assert len(answers) < 2000
    assert set(answers) == {200, 429}
