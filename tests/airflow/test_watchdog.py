"""Whoever works notices that the monitor does not, tells people, and the monitor's next check takes that back.

And what lies outside, through real Airflow connections.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.airflow.test_alerts import connect, run
from tests.support.inboxes import Webhooks, webhooks
from tests.support.outside import states
from tests.support.snapshots import good_day, keep

from cogent_ops.clients.transport import close_sessions
from cogent_ops.domain.exceptions import Kind
from cogent_ops.domain.health.model import State
from cogent_ops.sandbox.command import connections
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.store import Store

LINK = "default"
HOUR = timedelta(hours=1)

pytestmark = [pytest.mark.airflow, pytest.mark.xdist_group("airflow")]


@pytest.fixture(scope="module", autouse=True)
def airflow_database() -> None:
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def post(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhooks]:
    with webhooks() as running:
        connect(monkeypatch, "cogent_ops_alerts", conn_type="http", host=running.url, password="/secret")
        yield running


@pytest.fixture
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    from cogent_ops.store import open_store, upgrade

    connect(monkeypatch, "cogent_ops_store", conn_type="sqlite", host=str(tmp_path / "store.db"))
    upgrade(f"sqlite:///{tmp_path / 'store.db'}")
    return open_store(f"sqlite:///{tmp_path / 'store.db'}")


def check_at(store: Store, moment: datetime) -> None:
    """The monitor has looked then."""
    keep(store, good_day(LINK, moment, stores=1))


def watch() -> None:
    from cogent_ops.notifiers import watch_monitor

    watch_monitor(LINK, "scheduled__1")


def test_a_task_of_any_flow_notices_that_nobody_watches(own_store: Store, post: Webhooks) -> None:
    check_at(own_store, datetime.now(UTC) - HOUR)
    assert run("retention").state == "success"
    (silent,) = own_store.exceptions.open(LINK, Kind.MONITOR_SILENT)
    assert "Until it looks again nobody is told" in silent.message
    (text,) = post.texts
    assert "Nobody watches" in text
    watch()
    assert len(post.texts) == 1, "once per cause"


def test_an_awake_monitor_is_left_in_peace(own_store: Store, post: Webhooks) -> None:
    check_at(own_store, datetime.now(UTC) - timedelta(minutes=10))
    watch()
    assert own_store.exceptions.open(LINK) == []
    assert post.posts == []


def test_a_monitor_that_never_looked_is_missed_after_a_while(own_store: Store, post: Webhooks) -> None:
    """A new installation on which somebody forgot to unpause it."""
    watch()
    assert own_store.exceptions.open(LINK) == []
    noted = own_store.gaps.source(LINK, "monitor", "sync_health")
    assert noted is not None
    with own_store.begin() as conn:
        own_store.gaps.saw(
            conn, LINK, "monitor", "sync_health", "never", noted.looked_at - HOUR, is_healthy=True
        )
    watch()
    (silent,) = own_store.exceptions.open(LINK, Kind.MONITOR_SILENT)
    assert "has not checked anything yet" in silent.message


def test_what_waits_for_a_dead_monitor_is_told_by_whoever_notices(own_store: Store, post: Webhooks) -> None:
    """The task that tells people is dead, too."""
    from cogent_ops.notifiers import late_run

    check_at(own_store, datetime.now(UTC) - HOUR)
    with own_store.begin() as conn:
        own_store.exceptions.raise_(conn, LINK, late_run("stock_deltas", 20, "r", "stock_deltas"), "r")
    watch()
    told = {one.kind for one in own_store.exceptions.open(LINK) if one.alerted_at is not None}
    assert Kind.MONITOR_SILENT in told


# Outside, through connections


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxServer]:
    dataset = generate(seed=1, products=5, now=datetime(2026, 11, 20, tzinfo=UTC))
    with SandboxServer(dataset) as server:
        for name, value in connections(server).items():
            monkeypatch.setenv(name, value)
        yield server
        close_sessions()


def extra(monkeypatch: pytest.MonkeyPatch, server: SandboxServer, name: str, **more: Any) -> None:
    found = json.loads(connections(server)[name])
    monkeypatch.setenv(name, json.dumps({**found, "extra": {**found.get("extra", {}), **more}}))


def test_everything_outside_is_looked_at_through_the_connections(
    own_store: Store, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cogent_ops.runtime import Runtime

    last = (datetime.now(UTC) + timedelta(days=5)).date()
    extra(monkeypatch, sandbox, "AIRFLOW_CONN_CLOUDSHELF_DEFAULT", expires_on=last.isoformat())
    extra(monkeypatch, sandbox, "AIRFLOW_CONN_COMMERCETOOLS_DEFAULT", expires_on="never")
    connect(
        monkeypatch,
        "cogent_ops_movements_default",
        conn_type="generic",
        password="x" * 20,
        extra={"expires_on": "next year"},
    )
    found = Runtime(LINK).outside().look(datetime.now(UTC))
    assert states(found.checks) == {
        "commercetools access": State.GOOD,
        "Cloudshelf access": State.GOOD,
        "End of cloudshelf_default": State.LATE,
        "End of cogent_ops_movements_default": State.LATE,
        "Messages": State.GOOD,
        "Subscriptions": State.GOOD,
        "Kiosks": State.GOOD,
        "Orders from stores": State.GOOD,
    }
    assert found.stores
    assert (Kind.MONITOR_SILENT, "sync_health") in found.gone


def test_no_call_that_a_gap_needs_holds_a_check_up_for_long(own_store: Store, sandbox: SandboxServer) -> None:
    from cogent_ops.runtime import Runtime
    from cogent_ops.services.health.gaps import Gaps

    (reader,) = (look for look in Runtime(LINK).outside().looks if isinstance(look, Gaps))
    tuning = reader._client()._transport.tuning
    assert tuning.total_seconds + tuning.read_seconds <= 30


def test_a_connection_that_is_not_there_is_a_refusal_and_hides_nothing(
    own_store: Store, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cogent_ops.runtime import Runtime

    monkeypatch.delenv("AIRFLOW_CONN_CLOUDSHELF_DEFAULT")
    found = Runtime(LINK).outside().look(datetime.now(UTC))
    by_name = states(found.checks)
    assert (by_name["commercetools access"], by_name["Cloudshelf access"]) == (State.GOOD, State.BAD)
    (refused,) = [new for new in found.found if new.kind is Kind.CREDENTIAL]
    assert "there is no such connection" in refused.message
    assert "airflow connections add cloudshelf_default" in refused.cure


@pytest.mark.parametrize(
    ("system", "name"), [("commercetools", "commercetools access"), ("cloudshelf", "Cloudshelf access")]
)
def test_a_check_goes_through_without_one_of_the_connections(
    own_store: Store, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch, system: str, name: str
) -> None:
    from cogent_ops.runtime import Runtime

    monkeypatch.delenv(f"AIRFLOW_CONN_{system.upper()}_DEFAULT")
    found = Runtime(LINK).health("run").run()
    assert states(found.checks)[name] is State.BAD
    (refused,) = own_store.exceptions.open(LINK, Kind.CREDENTIAL)
    assert refused.record == f"connection {system}_default"
