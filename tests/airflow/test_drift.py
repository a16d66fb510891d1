"""``drift_reconciliation``, run by Airflow in this process against the sandbox, and its page."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.airflow.test_runs import run, states
from tests.support.dag_runs import dag_run

from cogent_ops.domain.custom_types import LAST_BATCH
from cogent_ops.domain.drift.model import TITLES
from cogent_ops.domain.stock import NewMovement, Source
from cogent_ops.operators.drift import night_of
from cogent_ops.sandbox.command import connections
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.server import SandboxServer

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.airflow, pytest.mark.xdist_group("airflow")]


@pytest.fixture(scope="module", autouse=True)
def airflow_database() -> None:
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SandboxServer]:
    """A sandbox and a store behind the connections, and a configuration whose nights are short."""
    from cogent_ops.clients.transport import close_sessions
    from cogent_ops.store import upgrade

    include = tmp_path / "include"
    shutil.copytree(ROOT / "include", include)
    file = yaml.safe_load((include / "mapping.yaml").read_text(encoding="utf-8"))
    drift = {"lag_seconds": 0.3, "heal_units": 3, "heal_value": 1_000_000}
    file["links"]["default"] |= {"drift": drift, "data_root": str(tmp_path / "root")}
    (include / "mapping.yaml").write_text(yaml.safe_dump(file), encoding="utf-8")
    monkeypatch.setenv("COGENT_OPS_INCLUDE", str(include))
    with SandboxServer(generate(seed=3, products=10, now=datetime.now(UTC), dirty_share=0.0)) as server:
        for name, value in connections(server).items():
            monkeypatch.setenv(name, value)
        store = {"conn_type": "sqlite", "host": str(tmp_path / "store.db")}
        monkeypatch.setenv("AIRFLOW_CONN_COGENT_OPS_STORE", json.dumps(store))
        upgrade(f"sqlite:///{tmp_path / 'store.db'}")
        yield server
        close_sessions()


def move(units: dict[str, int]) -> None:
    """Movements by place, carried to commercetools."""
    from cogent_ops.domain.stock import Place
    from cogent_ops.runtime import Runtime

    runtime = Runtime("default")
    runtime.bootstrap()
    moment = datetime.now(UTC)
    with runtime.store.begin() as conn:
        for text, delta in units.items():
            place = Place.named(text)
            one = NewMovement(
                link="default",
                project=runtime.project,
                sku=place.sku,
                channel=place.channel,
                source=Source.API,
                source_id=f"{text} {moment.isoformat()}",
                reference="a test",
                occurred_at=moment,
                delta=delta,
            )
            runtime.store.stock.add_movements(conn, [one])
    drain(runtime)


def drain(runtime: Any) -> None:
    flow = runtime.stock("a test")
    while flow.drain.round().batches:
        pass


def places(sandbox: SandboxServer, number: int) -> list[str]:
    """Places of the project that have a supply Channel."""
    found = sandbox.dump("commercetools")["inventory"]
    return [place for place in sorted(found) if not place.endswith("@")][:number]


def on_stock(sandbox: SandboxServer, place: str) -> int:
    return int(sandbox.dump("commercetools")["inventory"][place][0])


def repeat(place: str, delta: int) -> None:
    """The last change of a place is applied once more, by our own client."""
    from cogent_ops.domain.priorities import Priority
    from cogent_ops.runtime import Runtime

    client = Runtime("default").commercetools(Priority.STOCK)
    sku, _, channel = place.rpartition("@")
    id_ = next(iter(client.pages("channels", where=[f'key = "{channel}"'])))[0]["id"]
    where = [f'sku = "{sku}"', f'supplyChannel(id = "{id_}")']
    entry = next(iter(client.pages("inventory", where=where)))[0]
    change = [
        {"action": "removeQuantity", "quantity": -delta},
        {"action": "setCustomField", "name": LAST_BATCH, "value": entry["custom"]["fields"][LAST_BATCH]},
    ]
    client.update("inventory", entry["id"], entry["version"], change)


def night(**conf: Any) -> Any:
    """A run; two in one second would be one night."""
    time.sleep(1.0)
    return run("drift_reconciliation", **conf)


def test_two_nights_find_and_mend_what_went_wrong_in_between(sandbox: SandboxServer) -> None:
    from cogent_ops.runtime import Runtime
    from cogent_ops.web.nights import night_file, render_index

    place, other = places(sandbox, 2)
    assert night().state == "success"
    move({place: -2, other: -1})
    repeat(place, -2)
    before = on_stock(sandbox, place)
    second = night(heal="small")
    assert second.state == "success"
    assert states(second) | {"ask": "skipped", "decide": "skipped"} == states(second)
    runtime = Runtime("default")
    drain(runtime)
    assert on_stock(sandbox, place) == before + 2
    assert night().state == "success"

    nights = runtime.store.drift.nights("default", 10)
    assert [one.state for one in nights] == ["done"] * 3
    (found,) = runtime.store.drift.findings("default")
    assert (found.finding.subject, found.finding.cause, found.state) == (place, "duplicated", "verified")
    page = night_file("default", found.finding.night, "index.html")
    assert page is not None
    text = page.read_text(encoding="utf-8")
    assert place in text
    assert TITLES[found.finding.cause] in text
    assert found.finding.night in render_index(["default"])
    assert night_file("default", "../../..", "index.html") is None


def test_by_default_nothing_is_mended(sandbox: SandboxServer) -> None:
    from cogent_ops.runtime import Runtime

    (place,) = places(sandbox, 1)
    night()
    move({place: -2})
    repeat(place, -2)
    before = on_stock(sandbox, place)
    second = night()
    assert states(second)["ask"] == "skipped"
    drain(Runtime("default"))
    assert on_stock(sandbox, place) == before
    (found,) = Runtime("default").store.drift.findings("default")
    assert (found.state, found.finding.heal) == ("reported", 2)


def test_a_person_is_asked_and_what_they_answer_is_done_in_their_name(sandbox: SandboxServer) -> None:
    from airflow.sdk import Context

    from cogent_ops.operators import DriftDecideOperator
    from cogent_ops.runtime import Runtime

    (place,) = places(sandbox, 1)
    night()
    move({place: -2})
    repeat(place, -2)
    before = on_stock(sandbox, place)
    from airflow.dag_processing.dagbag import DagBag

    dag = DagBag(str(ROOT / "dags")).dags["drift_reconciliation"]
    time.sleep(1.0)
    asked = dag.test(run_conf={"heal": "ask"}, mark_success_pattern="ask|decide")
    said = {task.task_id: task for task in asked.get_task_instances()}["report"].xcom_pull(task_ids="report")
    assert said["waiting"] == 1
    assert place in said["question"]
    runtime = Runtime("default")
    assert [one.kind for one in runtime.store.exceptions.open("default", "drift_heal")] == ["drift_heal"]

    answer = {"chosen_options": ["Approve"], "responded_by_user": {"id": "7", "name": "ada"}}
    decide = DriftDecideOperator(task_id="decide", answer=answer, until=said["until"])
    assert decide.execute(Context(dag_run=asked))["healed"] == 1
    drain(runtime)
    assert on_stock(sandbox, place) == before + 2
    (found,) = runtime.store.drift.findings("default")
    assert (found.state, found.decided_by) == ("healing", "ada")
    assert runtime.store.exceptions.open("default", "drift_heal") == []


@pytest.mark.parametrize(
    ("run_type", "night"),
    [("scheduled", "2026-11-02"), ("backfill", "2026-11-02"), ("manual", "2026-11-05T140000")],
)
def test_a_run_by_the_clock_is_about_its_day_and_another_about_its_moment(run_type: str, night: str) -> None:
    assert night_of(_run(run_type)) == night


def test_a_backfill_needs_the_archived_snapshot_and_asks_nobody(sandbox: SandboxServer) -> None:
    from airflow.sdk import Context

    from cogent_ops.errors import PermanentError
    from cogent_ops.operators import DriftCompareOperator, DriftSnapshotOperator

    context = Context(dag_run=_run("backfill"))
    sandbox.app.forget()
    assert DriftSnapshotOperator(task_id="snapshot").execute(context) == {"night": "2026-11-02"}
    with pytest.raises(PermanentError, match="No complete snapshot of 2026-11-02"):
        DriftCompareOperator(task_id="compare").execute(context)
    assert sandbox.counters()["requests"] == {}


def _run(run_type: str) -> Any:
    start, end = datetime(2026, 11, 1, 1, 30, tzinfo=UTC), datetime(2026, 11, 2, 1, 30, tzinfo=UTC)
    return dag_run("drift_reconciliation", run_type, start, end, datetime(2026, 11, 5, 14, tzinfo=UTC))


def test_every_page_of_nights_refuses_without_login() -> None:
    from fastapi.testclient import TestClient

    from cogent_ops.web import nights

    client = TestClient(nights.create_app(), follow_redirects=False)
    for path in ("/", "/default/run/x", "/default/2026-11-24/index.html"):
        assert client.get(path).status_code == 401
