"""``sync_health`` as Airflow runs it: what it leaves in the store, in metrics and beside asset events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.inboxes import Webhooks, webhooks

from cogent_ops.domain.exceptions import Kind
from cogent_ops.domain.health.model import BudgetUse, Flow, Freshness, Queue, Snapshot, State, StoreHealth
from cogent_ops.sandbox.command import connections
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.store import Store

ROOT = Path(__file__).resolve().parents[2]
LINK = "default"

pytestmark = [pytest.mark.airflow, pytest.mark.xdist_group("airflow")]


@pytest.fixture(scope="module", autouse=True)
def airflow_database() -> None:
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Store]:
    """A fresh store beside a sandbox, behind the connections that the tasks will read."""
    from cogent_ops.clients.transport import close_sessions
    from cogent_ops.store import open_store, upgrade

    data = generate(seed=3, products=5, now=datetime.now(UTC), dirty_share=0.0)
    with SandboxServer(data) as server:
        for name, value in connections(server).items():
            monkeypatch.setenv(name, value)
        file = tmp_path / "store.db"
        monkeypatch.setenv(
            "AIRFLOW_CONN_COGENT_OPS_STORE", json.dumps({"conn_type": "sqlite", "host": str(file)})
        )
        upgrade(f"sqlite:///{file}")
        opened = open_store(f"sqlite:///{file}")
        yield opened
        opened.close()
        close_sessions()


@pytest.fixture
def post(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhooks]:
    """Where messages arrive, and the heartbeat outside."""
    with webhooks() as running:
        for conn_id in ("COGENT_OPS_ALERTS", "OUTSIDE"):
            fields = {"conn_type": "http", "host": running.url, "password": f"/{conn_id.lower()}"}
            monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id}", json.dumps(fields))
        yield running


def run() -> Any:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(ROOT / "dags")).dags["sync_health"].test()


def result(run: Any, task: str) -> Any:
    (found,) = (one for one in run.get_task_instances() if one.task_id == task)
    return found.xcom_pull(task_ids=task)


def test_both_tasks_run_side_by_side_and_the_check_is_stored(store: Store, post: Webhooks) -> None:
    done = run()
    assert {one.task_id: str(one.state) for one in done.get_task_instances()} == {
        "alert": "success",
        "check": "success",
    }
    snapshot = store.health.snapshot(LINK)
    assert snapshot is not None
    assert {one.flow for one in snapshot.flows} == set(Flow)
    assert result(done, "check")["sentence"] == snapshot.sentence


def test_what_a_check_finds_is_told_within_the_same_run(
    store: Store, post: Webhooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Snapshot(
        link=LINK,
        checked_at=datetime.now(UTC) - timedelta(days=3),
        state=State.UNKNOWN,
        sentence="",
        flows=tuple(Freshness(flow=flow, state=State.UNKNOWN, age=None, target=60.0) for flow in Flow),
    )
    with store.begin() as conn:
        store.health.save(conn, first, "long ago")
    run()
    stalled = {one.cause_key: one for one in store.exceptions.open(LINK, Kind.FLOW_STALLED)}
    assert set(stalled) == {flow.value for flow in Flow}
    assert all(one.alerted_at is not None for one in stalled.values())
    assert any("has never been up to date" in text for text in post.texts)


def test_a_run_that_an_exception_woke_does_not_check_again_at_once(
    store: Store, post: Webhooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import SimpleNamespace

    from cogent_ops.operators import HealthCheckOperator

    operator = HealthCheckOperator(task_id="check", link=LINK)
    woken: Any = {
        "dag_run": SimpleNamespace(run_type="asset_triggered", dag_id="sync_health", run_id="r"),
        "ti": SimpleNamespace(try_number=1),
        "outlet_events": {},
    }
    checked = operator.execute(woken)
    assert "sentence" in checked
    at = store.health.checked_at(LINK)
    assert "skipped" in operator.execute(woken)
    assert store.health.checked_at(LINK) == at
    woken["dag_run"].run_type = "scheduled"
    assert "sentence" in operator.execute(woken)


def test_whoever_watches_from_outside_is_called(
    store: Store, post: Webhooks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import shutil

    include = tmp_path / "include"
    shutil.copytree(ROOT / "include", include)
    mapping = include / "mapping.yaml"
    text = mapping.read_text(encoding="utf-8")
    mapping.write_text(text.replace("  default:\n", "  default:\n    health: {heartbeat: outside}\n", 1))
    monkeypatch.setenv("COGENT_OPS_INCLUDE", str(include))
    assert run().state == "success"
    assert [one.path for one in post.posts if one.path == "/outside"] == ["/outside"]


SNAPSHOT = Snapshot(
    link="austria",
    checked_at=datetime(2026, 11, 28, tzinfo=UTC),
    state=State.LATE,
    sentence="Late.",
    flows=(Freshness(flow=Flow.STOCK, state=State.LATE, age=90.0, target=60.0, waiting=4),),
    stores=(StoreHealth(place="wien", name="Wien", state=State.GOOD, at_risk=2),),
    budgets=(BudgetUse(target="api", state=State.GOOD, rate=50.0, factor=0.5),),
    queues=(Queue(owner="finance", open=3, overdue=1),),
)


def test_metrics_carry_what_is_known_with_link_flow_and_store() -> None:
    from cogent_ops.operators.health import gauges

    found = {(name, *tags.items()): value for name, value, tags in gauges(SNAPSHOT)}
    assert found["state",] == 2
    assert found["data_age_seconds", ("flow", "stock")] == 90.0
    assert found["waiting", ("flow", "stock")] == 4.0
    assert found["units_at_risk", ("store", "wien")] == 2.0
    assert found["budget_factor", ("target", "api")] == 0.5
    assert found["exceptions_overdue", ("owner", "finance")] == 1.0
    assert ("p95_seconds", ("flow", "stock")) not in found, "nothing arrived"
    assert ("budget_used", ("target", "api")) not in found


def test_metrics_go_to_airflows_own_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.observability import stats

    from cogent_ops.operators.health import emit

    sent: list[tuple[str, float, dict[str, str]]] = []
    monkeypatch.setattr(
        stats, "gauge", lambda name, value, *, tags: sent.append((name, value, tags)), raising=True
    )
    emit(SNAPSHOT)
    assert ("cogent_ops.health.data_age_seconds", 90.0, {"link": "austria", "flow": "stock"}) in sent


def test_an_event_carries_the_numbers_of_its_run() -> None:
    from types import SimpleNamespace

    from cogent_ops.dag_defaults import health_asset
    from cogent_ops.operators import HealthCheckOperator

    asset = health_asset(LINK)
    operator = HealthCheckOperator(task_id="check", link=LINK, outlets=[asset])
    events = {asset: SimpleNamespace(extra={})}
    operator.publish({"outlet_events": events}, {"units_at_risk": 2, "sentence": "text"})  # type: ignore[typeddict-item]
    assert events[asset].extra == {"link": LINK, "units_at_risk": 2}
