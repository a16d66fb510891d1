"""How both clients behave when the network and the targets do not: over real HTTP, with faults on purpose."""

from __future__ import annotations

import logging
import socket
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from sqlalchemy.engine import URL
from tests.integration.clients.helpers import (
    KEY,
    QUICK,
    SECRET,
    Counting,
    Reply,
    Scripted,
    Seen,
    kiosk,
    scripted,
    shop,
)
from tests.support.processes import alone, together

from cogent_ops.clients.commercetools import Created
from cogent_ops.errors import (
    AmbiguousOutcome,
    BudgetExhausted,
    CircuitOpen,
    CogentOpsError,
    RateLimited,
    TargetUnavailable,
)
from cogent_ops.sandbox.faults import FaultPlan, Kind, RateLimit, Rule
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.store import open_store

Start = Callable[..., SandboxServer]

IMPATIENT = replace(QUICK, read_seconds=1.0)
TYPE = {"key": "cs-test", "name": {"en": "Test"}, "resourceTypeIds": ["order"]}

LOST: list[Any] = [
    pytest.param({"kind": Kind.ERROR, "status": 500}, id="500"),
    pytest.param({"kind": Kind.RESET}, id="reset before"),
    pytest.param({"kind": Kind.RESET, "when": "after"}, id="reset after"),
    pytest.param({"kind": Kind.ERROR, "status": 500, "when": "after"}, id="500 after"),
    pytest.param({"kind": Kind.TIMEOUT, "delay": 2.0, "when": "after"}, id="timeout after"),
]
UNTOUCHED: list[Any] = [
    pytest.param({"kind": Kind.ERROR, "status": 503}, id="503"),
    pytest.param({"kind": Kind.ERROR, "status": 502}, id="502"),
    pytest.param({"kind": Kind.THROTTLE, "retry_after": 0}, id="429"),
]


def faults(**rule: Any) -> FaultPlan:
    return FaultPlan(rules=(Rule(**rule),))


# Reads and idempotent writes


@pytest.mark.parametrize("fault", LOST + UNTOUCHED)
def test_reads_are_sent_again(start: Start, fault: dict[str, Any]) -> None:
    server = start(faults(api="commercetools", limit=2, **fault))
    assert shop(server, IMPATIENT).project()["key"] == "sandbox"
    assert server.counters()["requests"]["commercetools.project.get"] == 3


@pytest.mark.parametrize("fault", LOST + UNTOUCHED)
def test_upserts_are_sent_again(start: Start, fault: dict[str, Any]) -> None:
    server = start(faults(api="cloudshelf", limit=2, **fault))
    product = {"id": "gid://external/P/1", "displayName": "One"}
    assert kiosk(server, IMPATIENT).upsert_products([product]).applied == ("gid://external/P/1",)
    assert len(server.dump("cloudshelf")["products"]) == 1


def test_attempts_are_bounded(start: Start) -> None:
    server = start(faults(kind=Kind.ERROR, api="commercetools", status=500))
    with pytest.raises(TargetUnavailable, match=r"500 General.*correlation id sandbox/"):
        shop(server, replace(QUICK, attempts=4)).project()
    assert server.counters()["requests"]["commercetools.project.get"] == 4


# Writes


@pytest.mark.parametrize("fault", LOST)
def test_a_write_whose_outcome_is_unknown_is_not_sent_again(start: Start, fault: dict[str, Any]) -> None:
    server = start(faults(operation="types.create", limit=1, **fault))
    with pytest.raises(AmbiguousOutcome):
        shop(server, IMPATIENT).create("types", TYPE)
    assert server.counters()["requests"]["commercetools.types.create"] == 1


@pytest.mark.parametrize("fault", UNTOUCHED)
def test_a_write_that_was_not_carried_out_is_sent_again(start: Start, fault: dict[str, Any]) -> None:
    server = start(faults(operation="types.create", limit=2, **fault))
    assert isinstance(shop(server).create("types", TYPE), Created)


def test_a_write_is_certain_when_only_the_login_failed(start: Start) -> None:
    server = start(faults(kind=Kind.RESET, api="auth", limit=2))
    assert isinstance(shop(server).create("types", TYPE), Created)
    assert server.counters()["requests"]["commercetools.types.create"] == 1


@pytest.mark.parametrize("write", [False, True])
def test_a_refused_connection_is_tried_again_and_names_the_field(write: bool) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        budget = Counting()
        client = Scripted(url, [], set()).kiosk(replace(QUICK, attempts=3), budget)
        with pytest.raises(
            TargetUnavailable, match=r"field 'host \(GraphQL URL\)' of connection 'cloudshelf_def"
        ):
            client.upsert_products([{"id": "gid://external/P/1"}]) if write else client.status()
    assert budget.acquired == 3


# Waiting


def test_retry_after_is_waited_for_and_told_to_everybody(start: Start) -> None:
    server = start(faults(kind=Kind.THROTTLE, api="commercetools", limit=1, retry_after=1))
    budget = Counting()
    shop(server, budget=budget).project()
    assert budget.pauses == [1.0]
    counters = server.counters()
    assert counters["requests"]["commercetools.project.get"] == 2
    assert counters["inside_retry_after"].get("commercetools", 0) == 0


def test_a_busy_answer_with_retry_after_pauses_everybody_too() -> None:
    replies = iter([Reply(503, b"", {"retry-after": "0"}), Reply(503), Reply(body={"key": "sandbox"})])
    budget = Counting()
    with scripted(lambda _: next(replies)) as server:
        assert server.shop(budget=budget).project() == {"key": "sandbox"}
    assert budget.pauses == [0.0]


def test_a_long_retry_after_is_left_to_the_caller(start: Start) -> None:
    server = start(faults(kind=Kind.THROTTLE, api="commercetools", retry_after=3600))
    with pytest.raises(RateLimited) as caught:
        shop(server).project()
    assert caught.value.retry_after == 3600
    assert server.counters()["requests"]["commercetools.project.get"] == 1


def test_being_asked_to_wait_costs_no_attempt(start: Start) -> None:
    server = start(faults(kind=Kind.THROTTLE, api="commercetools", limit=12, retry_after=0))
    assert shop(server, replace(QUICK, attempts=2)).project()["key"] == "sandbox"


def test_threads_stay_within_the_shared_budget(start: Start, sqlite_store: URL) -> None:
    limits = {"commercetools": RateLimit(per_second=40, burst=25)}
    server = start(FaultPlan(rate_limits=limits))
    store = open_store(sqlite_store)
    client = shop(server, budget=store.budget("commercetools/sandbox", rate=30, burst=8))
    with ThreadPoolExecutor(6) as pool:
        assert len(list(pool.map(lambda _: client.project(), range(60)))) == 60
    assert server.counters()["rate_limited"] == {}
    store.close()


def test_processes_wait_out_a_retry_after_together(sqlite_store: URL) -> None:
    """One is refused; all are silent until the time is over, but for what each had leased already."""

    numbers = count(1)
    refused: list[float] = []

    def answer(seen: Seen) -> Reply:
        refuse = next(numbers) == 10
        if refuse:
            refused.append(seen.at)
        return Reply(429, b"", {"retry-after": "2"}) if refuse else Reply(body={"key": "sandbox"})

    def work(_: int) -> int:
        store = open_store(sqlite_store)
        client = server.shop(budget=store.budget("commercetools/sandbox", rate=40, burst=10))
        return sum(client.project()["key"] == "sandbox" for _ in range(15))

    with scripted(answer) as server:
        assert together(work, 3) == [15, 15, 15]
        inside = [seen.at - refused[0] for seen in server.seen if 1.0 < seen.at - refused[0] < 2.0]
    assert inside == []
    assert len(server.seen) == 46


def test_a_used_up_budget_is_an_error_with_retry_after(start: Start, sqlite_store: URL) -> None:
    server, store = start(), open_store(sqlite_store)
    budget = store.budget("commercetools/sandbox", rate=0.01, burst=1)
    client = shop(server, replace(QUICK, total_seconds=0.5), budget)
    with pytest.raises(BudgetExhausted) as caught:
        [client.project() for _ in range(3)]
    assert caught.value.retry_after
    store.close()


# The circuit


def test_the_circuit_parks_calls_and_closes_again(start: Start) -> None:
    server = start()
    client = shop(
        server, replace(QUICK, attempts=3, breaker_failures=3, breaker_seconds=2.0, total_seconds=1.0)
    )
    client.project()  # The first call takes longer than others: it logs in.
    server.set_faults(faults(kind=Kind.ERROR, api="commercetools", status=503))
    with pytest.raises(TargetUnavailable):
        client.project()
    before = server.counters()["requests"]["commercetools.project.get"]
    with pytest.raises(CircuitOpen) as caught:
        client.project()
    assert caught.value.retry_after
    assert server.counters()["requests"]["commercetools.project.get"] == before
    server.set_faults(None)
    time.sleep(2.1)
    assert client.project()["key"] == "sandbox"


def test_a_short_outage_is_waited_out_in_the_call(start: Start) -> None:
    server = start(faults(kind=Kind.ERROR, api="commercetools", status=503, limit=3))
    client = shop(server, replace(QUICK, breaker_failures=3, breaker_seconds=0.3))
    assert client.project()["key"] == "sandbox"
    assert server.counters()["requests"]["commercetools.project.get"] == 4


def test_refusals_do_not_open_the_circuit(sandbox: SandboxServer) -> None:
    client = shop(sandbox, replace(QUICK, breaker_failures=2))
    for _ in range(5):
        assert client.get("types", key="not-there") is None
    client.project()


# Connections


def test_clients_of_a_process_share_connections_and_token() -> None:
    with scripted(lambda _: Reply(body={"key": "sandbox"})) as server:
        for _ in range(4):
            server.shop().project()
        assert len(server.connections) == 2, "one to the API, one to the authorization server"


def test_a_fork_opens_its_own_connections(sandbox: SandboxServer) -> None:
    client = shop(sandbox)
    client.project()
    assert alone(lambda: client.project()["key"]) == "sandbox"
    assert client.project()["key"] == "sandbox"
    assert sandbox.counters()["requests"]["auth.token"] == 2


# What is written down


def test_correlation_ids_are_sent_and_logged(
    sandbox: SandboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "cogent_ops.clients")
    with scripted(
        lambda _: Reply(body={"key": "sandbox"}, headers={"x-correlation-id": "sandbox/answered"})
    ) as server:
        server.shop().project()
    assert server.seen[0].headers["x-correlation-id"].startswith("sandbox/")
    assert "commercetools GET project: 200" in caplog.text
    assert "sandbox/answered" in caplog.text
    kiosk(sandbox).status()
    assert "cloudshelf Status: 200" in caplog.text


def test_httpx_writes_no_urls_of_ours(sandbox: SandboxServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    list(shop(sandbox).pages("inventory", where=('sku = "customer@mail.example.com"',)))
    assert "customer" not in caplog.text


def _failing(start: Start) -> Iterator[Callable[[], object]]:
    """Calls that fail in every way."""
    noisy = "customer anna@mail.example.com, +49 30 1234567, Bearer opaque-access-token-of-this-process"
    for status in (400, 401, 403, 404, 409, 429, 500, 503):

        def answer(seen: Seen, status: int = status) -> Reply:
            said = f"{noisy} {KEY if seen.path == '/graphql' else SECRET}"
            echo = {"message": said, "errors": [{"code": "InvalidInput", "message": said}]}
            return Reply(status, echo, {"retry-after": "0"})

        with scripted(answer) as server:
            few = replace(QUICK, attempts=2, total_seconds=0.2)
            yield server.shop(few).project
            yield lambda server=server, few=few: server.shop(few).update("types", "1", 1, [])  # type: ignore[misc]
            yield server.kiosk(few).status
            yield lambda server=server, few=few: server.kiosk(few).upsert_products([{"id": "x"}])  # type: ignore[misc]
    sandbox = start()
    yield shop(sandbox, client_secret="wrong-secret-value").project
    yield kiosk(sandbox, key="wrong-key-value").status


def test_no_secret_and_no_personal_data_in_logs_and_errors(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    written = []
    for call in _failing(start):
        with suppress(CogentOpsError):
            try:
                call()
            except CogentOpsError as error:
                written += traceback.format_exception(error)
                raise
    text = "".join(written) + caplog.text
    assert len(written) > 30
    for secret in (
        SECRET,
        KEY,
        "anna@mail",
        "1234567",
        "opaque-access-token",
        "wrong-secret-value",
        "wrong-key-value",
    ):
        assert secret not in text, secret


@pytest.fixture
def sqlite_store(sqlite_databases: Any) -> Iterator[URL]:
    with sqlite_databases.current() as url:
        yield url
