"""Connections: what the hooks make of them, and what a person reads when one is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest

from cogent_ops.errors import ConnectionConfigError
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.server import SandboxServer

pytestmark = [pytest.mark.airflow, pytest.mark.xdist_group("airflow")]

COMMERCETOOLS = {
    "conn_type": "commercetools",
    "host": "https://api.example.com",
    "login": "client",
    "password": "s3cret",
    "extra": {"project_key": "shop", "auth_url": "https://auth.example.com", "scopes": "view_products:shop"},
}
CLOUDSHELF = {"conn_type": "cloudshelf", "host": "https://kiosk.example.com/graphql", "password": "k3y"}


def set_connection(monkeypatch: pytest.MonkeyPatch, conn_id: str, values: dict[str, Any]) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(values))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    dataset = generate(seed=1, products=5, now=datetime(2026, 11, 20, tzinfo=UTC))
    with SandboxServer(dataset) as server:
        yield server


def test_commercetools_account_is_what_the_connection_says(monkeypatch: pytest.MonkeyPatch) -> None:
    from cogent_ops.hooks import CommercetoolsHook

    set_connection(monkeypatch, "commercetools_default", COMMERCETOOLS)
    account = CommercetoolsHook().account()
    assert (account.api_url, account.auth_url) == ("https://api.example.com", "https://auth.example.com")
    assert (account.project_key, account.client_id, account.client_secret) == ("shop", "client", "s3cret")
    assert account.scopes == ("view_products:shop",)
    assert "s3cret" not in repr(account)


def test_a_port_in_its_own_field_belongs_to_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    from cogent_ops.hooks import CloudshelfHook

    given = CLOUDSHELF | {"host": "http://localhost/graphql", "port": 8765}
    set_connection(monkeypatch, "cloudshelf_austria", given)
    assert CloudshelfHook("cloudshelf_austria").account().url == "http://localhost:8765/graphql"


@pytest.mark.parametrize(
    ("change", "field", "cure"),
    [
        ({"host": ""}, "host (API base URL)", "Give the base URL"),
        ({"host": "api.example.com"}, "host (API base URL)", "https://api"),
        ({"host": "ftp://api.example.com"}, "host (API base URL)", "https://api"),
        ({"login": " "}, "login (client id)", "API client's id"),
        ({"password": ""}, "password (client secret)", "API client's secret"),
        ({"extra": {"auth_url": "https://auth.example.com"}}, "extra project_key", "project's key"),
        ({"extra": {"project_key": "shop"}}, "extra auth_url", "OAuth"),
        ({"conn_type": "http"}, "conn_type", "commercetools"),
    ],
)
def test_what_is_missing_is_named_with_connection_field_and_cure(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], field: str, cure: str
) -> None:
    from cogent_ops.hooks import CommercetoolsHook

    set_connection(monkeypatch, "commercetools_default", COMMERCETOOLS | change)
    with pytest.raises(ConnectionConfigError) as raised:
        CommercetoolsHook().account()
    assert raised.value.conn_id == "commercetools_default"
    assert raised.value.field == field
    assert cure in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_a_connection_that_does_not_exist_says_how_to_add_it() -> None:
    from cogent_ops.hooks import CloudshelfHook

    with pytest.raises(
        ConnectionConfigError, match="airflow connections add cloudshelf_nowhere --conn-type cloudshelf"
    ):
        CloudshelfHook("cloudshelf_nowhere").account()


def test_connection_test_logs_in(monkeypatch: pytest.MonkeyPatch, sandbox: SandboxServer) -> None:
    from cogent_ops.hooks import CloudshelfHook, CommercetoolsHook

    behaviour, kiosk = sandbox.state.commercetools.behaviour, sandbox.state.cloudshelf.behaviour
    commercetools = COMMERCETOOLS | {
        "host": sandbox.commercetools_url,
        "login": behaviour.client_id,
        "password": behaviour.client_secret,
        "extra": {"project_key": "sandbox", "auth_url": sandbox.auth_url},
    }
    set_connection(monkeypatch, "commercetools_default", commercetools)
    assert CommercetoolsHook().test_connection() == (True, "Logged in to commercetools project 'sandbox'.")
    set_connection(monkeypatch, "commercetools_default", commercetools | {"password": "wrong"})
    ok, message = CommercetoolsHook().test_connection()
    assert not ok
    assert "commercetools_default" in message

    cloudshelf = CLOUDSHELF | {"host": sandbox.cloudshelf_url, "password": kiosk.api_key}
    set_connection(monkeypatch, "cloudshelf_default", cloudshelf)
    ok, message = CloudshelfHook().test_connection()
    assert ok, message
    set_connection(monkeypatch, "cloudshelf_default", cloudshelf | {"password": "wr0ng-key"})
    ok, message = CloudshelfHook().test_connection()
    assert not ok
    assert "cloudshelf_default" in message
    assert "wr0ng-key" not in message


@pytest.mark.parametrize(
    ("values", "address"),
    [
        (
            {
                "conn_type": "postgres",
                "host": "db",
                "port": 5433,
                "login": "u",
                "password": "p@/:",
                "schema": "ops",
            },
            "postgresql+psycopg://u:***@db:5433/ops",
        ),
        (
            {
                "conn_type": "postgres",
                "host": "db",
                "schema": "ops",
                "extra": {"sslmode": "verify-full", "x": 1},
            },
            "postgresql+psycopg://db/ops?sslmode=verify-full",
        ),
        ({"conn_type": "sqlite", "host": "/srv/cogent.db"}, "sqlite:////srv/cogent.db"),
    ],
)
def test_store_connection(monkeypatch: pytest.MonkeyPatch, values: dict[str, Any], address: str) -> None:
    from cogent_ops.hooks import STORE_CONNECTION_ID, find_connection, store_url

    set_connection(monkeypatch, STORE_CONNECTION_ID, values)
    url = store_url(find_connection(STORE_CONNECTION_ID))
    assert url is not None
    assert url.render_as_string(hide_password=True) == address
    assert url.password == values.get("password")


def test_without_a_store_connection_the_embedded_one_is_used_unless_it_is_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from cogent_ops.hooks import EMBEDDED_STORE, store_url

    assert store_url(None) is None
    monkeypatch.setenv(EMBEDDED_STORE, "off")
    with pytest.raises(ConnectionConfigError, match="forbids the embedded store"):
        store_url(None)


def test_an_unknown_kind_of_store_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from cogent_ops.hooks import STORE_CONNECTION_ID, find_connection, store_url

    set_connection(monkeypatch, STORE_CONNECTION_ID, {"conn_type": "mysql", "host": "db"})
    with pytest.raises(ConnectionConfigError, match="'mysql' is not supported"):
        store_url(find_connection(STORE_CONNECTION_ID))


@pytest.mark.parametrize(
    ("text", "day"),
    [("2027-06-30", date(2027, 6, 30)), (" never ", date.max), ("Never", date.max), ("", None), (None, None)],
)
def test_a_last_day_is_read_as_people_write_it(
    monkeypatch: pytest.MonkeyPatch, text: str | None, day: date | None
) -> None:
    from cogent_ops.hooks import expires_on, find_connection

    set_connection(monkeypatch, "cloudshelf_default", CLOUDSHELF | {"extra": {"expires_on": text}})
    found = find_connection("cloudshelf_default")
    assert found is not None
    assert expires_on(found) == day


def test_a_last_day_that_is_no_date_says_how_to_write_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from cogent_ops.hooks import expires_on, find_connection

    set_connection(monkeypatch, "cloudshelf_default", CLOUDSHELF | {"extra": {"expires_on": "30.06.2027"}})
    found = find_connection("cloudshelf_default")
    assert found is not None
    with pytest.raises(ConnectionConfigError, match=r"'30\.06\.2027' is no date\. Write year, month and day"):
        expires_on(found)
