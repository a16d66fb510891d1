"""Faults strike as the plan says, before or after a request took effect, and equally for equal seeds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from tests.support.talk import Shop

from cogent_ops.sandbox.dataset import Dataset
from cogent_ops.sandbox.faults import FaultPlan, RateLimit, Rule
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.server import SandboxServer

Json = dict[str, Any]


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return generate(seed=6, products=3, now=datetime(2026, 11, 20, tzinfo=UTC))


@contextmanager
def shop(dataset: Dataset, *rules: Json, **plan: Any) -> Iterator[Shop]:
    faults = FaultPlan(rules=[Rule.model_validate(rule) for rule in rules], **plan)
    with SandboxServer(dataset) as server:
        made = Shop(server)
        server.set_faults(faults)
        yield made


ENTRY = {"sku": "N", "quantityOnStock": 1}


def stored(shop: Shop) -> int:
    shop.server.set_faults(None)
    return len(shop.get("/inventory", where='sku = "N"')["results"])


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["error", "reset", "timeout"])
def test_a_request_fails_before_or_after_it_took_effect(dataset: Dataset, kind: str, when: str) -> None:
    with shop(dataset, {"kind": kind, "when": when, "status": 502, "delay": 0.05}) as customer:
        if kind == "error":
            answer = customer.send("/inventory", ENTRY)
            assert (answer.status_code, answer.json()["errors"][0]["code"]) == (502, "BadGateway")
        else:
            with pytest.raises(httpx.TransportError):
                customer.send("/inventory", ENTRY)
        assert stored(customer) == (1 if when == "after" else 0)


def test_429_says_when_to_come_back_and_counts_who_does_not_listen(dataset: Dataset) -> None:
    with shop(dataset, {"kind": "throttle", "retry_after": 2, "limit": 1}) as customer:
        refused = customer.ask("/inventory")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
        assert customer.ask("/inventory").status_code == 200
        assert customer.server.counters()["rate_limited"] == {"commercetools": 1}


@pytest.mark.parametrize(("rule", "header"), [({}, None), ({"retry_after": 3}, "3")])
def test_503_carries_retry_after_where_the_rule_gives_it(
    dataset: Dataset, rule: Json, header: str | None
) -> None:
    with shop(dataset, {"kind": "error", "status": 503, **rule}) as customer:
        assert customer.ask("/inventory").headers.get("retry-after") == header


def test_a_conflict_comes_from_somebody_elses_write(dataset: Dataset) -> None:
    with shop(dataset) as customer:
        entry = customer.post("/inventory", ENTRY)
        customer.server.set_faults(
            FaultPlan(rules=[Rule(kind="conflict", operation="inventory.update", limit=1)])
        )
        refused = customer.act("/inventory", entry, {"action": "addQuantity", "quantity": 1})
        assert refused["statusCode"] == 409
        entry = customer.get(f"/inventory/{entry['id']}")
        assert refused["errors"][0]["currentVersion"] == entry["version"]
        assert (
            customer.act("/inventory", entry, {"action": "addQuantity", "quantity": 1})["quantityOnStock"]
            == 2
        )


def test_messages_can_stop_while_all_else_goes_on(dataset: Dataset) -> None:
    with shop(dataset, {"kind": "stop_messages"}) as customer:
        assert customer.send("/inventory", ENTRY).status_code == 201
        assert customer.get("/messages")["results"] == []
        assert stored(customer) == 1


def test_a_rate_limit_lets_its_burst_through(dataset: Dataset) -> None:
    limit = {"commercetools": RateLimit(per_second=0.01, burst=3)}
    with shop(dataset, rate_limits=limit) as customer:
        statuses = [customer.ask("/inventory").status_code for _ in range(5)]
        assert statuses == [200, 200, 200, 429, 429]


def outcomes(dataset: Dataset, seed: int) -> list[int]:
    with shop(dataset, {"kind": "error", "rate": 0.3}, seed=seed) as customer:
        return [customer.ask("/inventory", limit=1 + number % 7).status_code for number in range(60)]


def test_equal_seeds_fail_equally_and_others_do_not(dataset: Dataset) -> None:
    first = outcomes(dataset, 1)
    assert first == outcomes(dataset, 1) != outcomes(dataset, 2)
    assert 5 < first.count(503) < 35


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/health", None),
        ("GET", "/state", None),
        ("GET", "/state/commercetools", None),
        ("GET", "/counters", None),
        ("DELETE", "/counters", None),
        ("PUT", "/faults", {"seed": 3, "rules": [{"kind": "slow", "delay": 0.1}]}),
        ("GET", "/faults", None),
        ("DELETE", "/faults", None),
        ("POST", "/clock", {"advance_seconds": 60}),
        ("POST", "/change", {"change": "stock", "sku": "X", "quantity": 4}),
        ("POST", "/tokens/expire", None),
        ("POST", "/reset", {"api": "cloudshelf"}),
    ],
)
def test_control_endpoints(dataset: Dataset, method: str, path: str, body: Json | None) -> None:
    with SandboxServer(dataset) as server:
        answer = httpx.request(method, server.control_url + path, json=body)
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("path", "body"), [("/change", {"change": "magic"}), ("/faults", {"rules": [{"kind": "x"}]})]
)
def test_a_control_that_makes_no_sense_says_why(dataset: Dataset, path: str, body: Json) -> None:
    with SandboxServer(dataset) as server:
        answer = httpx.request("POST" if path == "/change" else "PUT", server.control_url + path, json=body)
        assert answer.status_code == 400
        assert answer.json()["error"]
