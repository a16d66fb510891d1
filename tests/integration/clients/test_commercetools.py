"""The commercetools client against the sandbox: paging, login, versions, uniqueness, and what a user is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from tests.integration.clients.helpers import QUICK, SECRET, Reply, Seen, scripted, shop

from cogent_ops.clients.commercetools import (
    Action,
    CommercetoolsRefused,
    Conflict,
    Created,
    Exists,
    Updated,
)
from cogent_ops.clients.transport import close_sessions
from cogent_ops.errors import (
    AmbiguousOutcome,
    ApiRejected,
    ConnectionConfigError,
    MissingScope,
    PermanentError,
    TargetUnavailable,
)
from cogent_ops.sandbox.dataset import Dataset
from cogent_ops.sandbox.faults import FaultPlan, Kind, Rule
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.sandbox.state import Behaviour

Start = Callable[..., SandboxServer]
Json = dict[str, Any]

STAGED = {"staged": "false"}
TYPE: Json = {"key": "cs-test", "name": {"en": "Test"}, "resourceTypeIds": ["order"]}
RENAME = [{"action": "changeName", "name": {"en": "Other"}}]
IMPATIENT = replace(QUICK, read_seconds=1.0)


def ids(pages: Any) -> list[str]:
    return [one["id"] for page in pages for one in page]


# Paging


@pytest.mark.parametrize("size", [1, 7, 60, 61, 500])
def test_every_product_once_in_order(sandbox: SandboxServer, dataset: Dataset, size: int) -> None:
    pages = list(shop(sandbox).pages("product-projections", params=STAGED, page_size=size))
    assert ids(pages) == sorted(product["id"] for product in dataset.products)
    assert all(0 < len(page) <= size for page in pages)


def test_a_total_is_never_asked_for(start: Start) -> None:
    queries: list[str] = []
    server = start(observer=lambda exchange: queries.append(exchange.query))
    list(shop(server).pages("categories"))
    assert "withTotal=false" in queries[-1]


def test_predicates_are_combined(sandbox: SandboxServer, dataset: Dataset) -> None:
    entry = dataset.inventory[0]
    where = (f'sku = "{entry["sku"]}"', f'id = "{entry["id"]}"')
    assert ids(shop(sandbox).pages("inventory", where=where)) == [entry["id"]]
    assert ids(shop(sandbox).pages("inventory", where=(*where, 'sku = "x"'))) == []


def test_what_vanishes_or_appears_between_two_pages_hides_nothing(
    sandbox: SandboxServer, dataset: Dataset
) -> None:
    expected = sorted(entry["id"] for entry in dataset.inventory)
    pages = shop(sandbox).pages("inventory", page_size=20)
    read = [*next(pages), *next(pages)]
    state = sandbox.state.commercetools
    gone = [expected[0], expected[39], expected[40], expected[45]]
    with state.lock:
        for id_ in gone:
            state["inventory"].remove(id_)
    read += [entry for page in pages for entry in page]
    assert [entry["id"] for entry in read] == [id_ for id_ in expected if id_ not in gone[2:]]


def test_a_server_that_ignores_the_order_is_noticed() -> None:
    page = {"results": [{"id": "b"}, {"id": "a"}]}
    with scripted(lambda _: Reply(body=page)) as server, pytest.raises(ApiRejected, match="not sorted by id"):
        list(server.shop().pages("inventory", page_size=2))


def test_a_server_that_ignores_the_cursor_is_noticed() -> None:
    page = {"results": [{"id": "a"}, {"id": "b"}]}
    with scripted(lambda _: Reply(body=page)) as server, pytest.raises(ApiRejected, match="not sorted by id"):
        list(server.shop().pages("inventory", page_size=2))
    assert len(server.seen) == 2


def test_paging_survives_faults(start: Start, dataset: Dataset) -> None:
    rules = (
        Rule(kind=Kind.ERROR, api="commercetools", rate=0.1, status=500),
        Rule(kind=Kind.RESET, api="commercetools", rate=0.1, when="after"),
        Rule(kind=Kind.THROTTLE, api="commercetools", rate=0.1, retry_after=0),
    )
    server = start(FaultPlan(seed=5, rules=rules))
    found = ids(shop(server).pages("inventory", page_size=9))
    assert found == sorted(entry["id"] for entry in dataset.inventory)
    assert sum(server.counters()["faults"].values()) > 3


# Asking for values


def test_every_entry_of_every_sku(sandbox: SandboxServer, dataset: Dataset) -> None:
    skus = [entry["sku"] for entry in dataset.inventory]
    found = ids(shop(sandbox).by_values("inventory", "sku", skus, page_size=50))
    assert sorted(found) == sorted(entry["id"] for entry in dataset.inventory)


def test_no_request_is_longer_than_a_front_end_takes(start: Start) -> None:
    longest: list[int] = []
    server = start(observer=lambda exchange: longest.append(len(exchange.path) + len(exchange.query)))
    skus = [f'SKU "{number}" ü \\ 100% + & = / : ; ?' for number in range(400)]
    assert list(shop(server).by_values("inventory", "sku", skus)) == []
    assert max(longest) < 8000
    assert server.counters()["statuses"].keys() == {"auth.200", "commercetools.200"}


def test_spoiled_skus_are_found_as_they_are(sandbox: SandboxServer) -> None:
    client = shop(sandbox)
    skus = ['a"b', "a\\b", "ä ö", "a,b", "(a)", "a+b & c=d", "100%25", "🚲", "a'b", "a#b", "a:b*!$"]
    for sku in skus:
        client.create("inventory", {"sku": sku, "quantityOnStock": 1})
    found = [entry["sku"] for page in client.by_values("inventory", "sku", skus) for entry in page]
    assert sorted(found) == sorted(skus)


# Single resources


def test_get_by_id_and_key(sandbox: SandboxServer, dataset: Dataset) -> None:
    client, channel = shop(sandbox), dataset.channels[0]
    assert (client.get("channels", channel["id"]) or {})["key"] == channel["key"]
    assert (client.get("channels", key=channel["key"]) or {})["id"] == channel["id"]
    assert client.get("channels", key="no such/key?") is None


def test_create_update_conflict(sandbox: SandboxServer) -> None:
    client = shop(sandbox)
    made = client.create("types", TYPE)
    assert isinstance(made, Created)
    assert client.create("types", TYPE) == Exists("key", "cs-test")
    changed = client.update("types", made.resource["id"], made.resource["version"], RENAME)
    assert isinstance(changed, Updated)
    assert changed.resource["name"] == {"en": "Other"}
    stale = client.update("types", made.resource["id"], made.resource["version"], RENAME)
    assert stale == Conflict(changed.resource["version"])


def test_a_conflict_made_by_somebody_else(start: Start) -> None:
    server = start(FaultPlan(rules=(Rule(kind=Kind.CONFLICT, operation="types.update", limit=1),)))
    client = shop(server)
    made = client.ensure("types", TYPE).resource
    conflict = client.update("types", made["id"], made["version"], RENAME)
    assert isinstance(conflict, Conflict)
    assert conflict.current_version
    assert isinstance(client.update("types", made["id"], conflict.current_version, RENAME), Updated)


def test_a_refused_draft_says_why(sandbox: SandboxServer) -> None:
    with pytest.raises(CommercetoolsRefused, match="commercetools refused the request: ") as caught:
        shop(sandbox).create("inventory", {"sku": "A"})
    assert caught.value.action is Action.PERMANENT
    assert caught.value.status == 400
    assert (caught.value.correlation_id or "").startswith("sandbox/")


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"kind": Kind.RESET, "when": "after"}, id="made, answer lost"),
        pytest.param({"kind": Kind.RESET, "when": "before"}, id="not made, connection lost"),
        pytest.param({"kind": Kind.ERROR, "when": "after", "status": 500}, id="made, 500"),
        pytest.param({"kind": Kind.ERROR, "when": "after", "status": 503}, id="made, 503"),
        pytest.param({"kind": Kind.ERROR, "when": "before", "status": 500}, id="not made, 500"),
        pytest.param({"kind": Kind.TIMEOUT, "when": "after", "delay": 2.0}, id="made, timeout"),
        pytest.param({"kind": Kind.SLOW, "delay": 2.0}, id="made, too slow"),
    ],
)
def test_ensure_never_creates_twice(start: Start, fault: Json) -> None:
    server = start(FaultPlan(rules=(Rule(operation="types.create", limit=1, **fault),)))
    before = len(server.dump("commercetools")["types"])
    assert shop(server, IMPATIENT).ensure("types", TYPE).resource["key"] == "cs-test"
    assert not shop(server).ensure("types", TYPE).created
    assert len(server.dump("commercetools")["types"]) == before + 1


def test_a_create_that_fails_twice_is_left_open(start: Start) -> None:
    server = start(FaultPlan(rules=(Rule(kind=Kind.RESET, operation="types.create"),)))
    with pytest.raises(AmbiguousOutcome):
        shop(server).ensure("types", TYPE)


# Login


def test_granted_scopes(start: Start) -> None:
    scopes = ("view_published_products:sandbox", "manage_types:sandbox")
    assert shop(start(behaviour=Behaviour(scopes=scopes))).granted_scopes() == scopes


def test_a_refused_token_is_replaced_once_for_all_threads(sandbox: SandboxServer) -> None:
    client = shop(sandbox)
    client.project()
    with sandbox.state.commercetools.lock:
        sandbox.app.commercetools.expire_tokens()
    begin = threading.Barrier(6, timeout=10)

    def read(_: int) -> str:
        begin.wait()
        return str(client.project()["key"])

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(read, range(6))) == {"sandbox"}
    assert sandbox.counters()["requests"]["auth.token"] == 2


def test_an_expired_token_is_replaced_and_a_write_is_done_once(sandbox: SandboxServer) -> None:
    client = shop(sandbox)
    client.project()
    sandbox.state.clock.advance(200_000)
    assert isinstance(client.create("types", TYPE), Created)
    assert sandbox.counters()["statuses"]["commercetools.401"] == 1


def test_a_token_is_replaced_before_it_ends(start: Start) -> None:
    server = start(behaviour=Behaviour(token_seconds=2))
    client = shop(server)
    client.project()
    time.sleep(1.85)
    client.project()
    counters = server.counters()
    assert counters["requests"]["auth.token"] == 2
    assert "commercetools.401" not in counters["statuses"]


def test_many_threads_fetch_one_token(sandbox: SandboxServer) -> None:
    client = shop(sandbox)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: client.project(), range(16)))
    assert sandbox.counters()["requests"]["auth.token"] == 1


def test_a_failing_login_is_tried_again(start: Start) -> None:
    server = start(FaultPlan(rules=(Rule(kind=Kind.ERROR, api="auth", status=503, limit=2),)))
    assert shop(server).project()["key"] == "sandbox"


def test_a_login_that_stays_down_is_no_fault_of_the_connection(start: Start) -> None:
    server = start(FaultPlan(rules=(Rule(kind=Kind.ERROR, api="auth", status=503),)))
    with pytest.raises(TargetUnavailable, match="authorization server"):
        shop(server, replace(QUICK, attempts=2)).project()


def test_who_waits_for_a_login_that_fails_does_not_try_it_again_in_turn(start: Start) -> None:
    slow = Rule(kind=Kind.TIMEOUT, api="auth", delay=2)
    server = start(FaultPlan(rules=(slow,)))
    begin = threading.Barrier(6, timeout=10)

    def read(_: int) -> None:
        begin.wait()
        with pytest.raises(TargetUnavailable):
            shop(server, replace(QUICK, attempts=1)).project()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(read, range(6)))
    assert server.counters()["requests"] == {"auth.token": 1}
    server.set_faults(FaultPlan())
    assert shop(server).project()["key"] == "sandbox"


def test_nobody_waits_for_a_login_longer_than_for_the_answer(start: Start) -> None:
    server = start(FaultPlan(rules=(Rule(kind=Kind.SLOW, api="auth", delay=4, limit=1),)))
    patient, hasty = shop(server), shop(server, replace(QUICK, attempts=1, total_seconds=0.2))
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(patient.project)
        while not server.counters()["requests"]:
            time.sleep(0.01)
        with pytest.raises(TargetUnavailable, match="not answered in time"):
            hasty.project()
        assert not answer.done()
        assert answer.result()["key"] == "sandbox"


# Removing


def test_a_resource_is_removed_at_its_version_only(sandbox: SandboxServer) -> None:
    client = shop(sandbox)
    made = client.ensure("types", TYPE).resource
    assert client.delete("types", made["id"], made["version"] + 7) == Conflict(made["version"])
    assert client.get("types", made["id"]) is not None
    gone = client.delete("types", made["id"], made["version"])
    assert isinstance(gone, Updated)
    assert gone.resource["id"] == made["id"]
    assert client.get("types", made["id"]) is None
    assert client.delete("types", made["id"], made["version"]) == Conflict(None)


# What a user is told


def told(error: type[PermanentError], call: Callable[[], object]) -> str:
    with pytest.raises(error) as caught:
        call()
    text = str(caught.value)
    assert "commercetools_default" in text
    assert SECRET not in text
    return text


@pytest.mark.parametrize("wrong", [{"client_secret": "not-the-secret"}, {"client_id": "somebody"}])
def test_wrong_credentials(sandbox: SandboxServer, wrong: Json) -> None:
    text = told(ConnectionConfigError, shop(sandbox, **wrong).project)
    assert "login (client id) and password (client secret)" in text
    assert "Merchant Center" in text
    assert not any(value in text for value in wrong.values())
    assert sandbox.counters()["requests"] == {"auth.token": 1}


def test_a_scope_that_the_client_may_not_have(start: Start) -> None:
    server = start(behaviour=Behaviour(scopes=("view_products:sandbox",)))
    text = told(ConnectionConfigError, shop(server, scopes=("manage_orders:sandbox",)).project)
    assert "extra scopes" in text
    assert "manage_orders:sandbox" in text


def test_a_missing_scope_is_named(start: Start) -> None:
    server = start(behaviour=Behaviour(scopes=("view_published_products:sandbox",)))
    text = told(MissingScope, lambda: shop(server).create("types", TYPE))
    assert "lacks the scope manage_types." in text
    text = told(MissingScope, lambda: list(shop(server).pages("categories")))
    assert "view_products or view_categories" in text


def test_a_wrong_project_key(sandbox: SandboxServer) -> None:
    text = told(ConnectionConfigError, shop(sandbox, project_key="elsewhere").project)
    assert "extra project_key" in text
    assert "elsewhere" in text


def test_a_wrong_auth_url(sandbox: SandboxServer) -> None:
    text = told(ConnectionConfigError, shop(sandbox, auth_url=sandbox.url).project)
    assert "extra auth_url" in text


def test_a_web_page_instead_of_the_api() -> None:
    with scripted(lambda _: Reply(200, b"<html>Welcome</html>")) as server:
        assert "host (API base URL)" in told(ConnectionConfigError, server.shop().project)


def test_a_redirect_is_not_followed_with_the_token() -> None:
    with scripted(lambda _: Reply(301, b"", {"location": "http://127.0.0.1:9/elsewhere"})) as server:
        assert "host (API base URL)" in told(ConnectionConfigError, server.shop().project)


def test_a_fresh_token_that_the_api_refuses() -> None:
    with scripted(lambda _: Reply(401, {"message": "invalid_token"})) as server:
        text = told(ConnectionConfigError, server.shop().project)
        assert len(server.seen) == 2
    assert "region" in text


def test_keys_are_part_of_the_path_only() -> None:
    def answer(seen: Seen) -> Reply:
        return Reply(body={"path": seen.path})

    with scripted(answer) as server:
        found = server.shop().get("orders", key="a/b?c=d")
    close_sessions()
    assert found == {"path": "/sandbox/orders/order-number=a%2Fb%3Fc%3Dd"}
