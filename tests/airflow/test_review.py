"""``exception_review`` in Airflow: a question is asked, answered by the REST API as in the UI, and carried out."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cogent_ops.domain.exceptions import Action, Kind, NewException, Owner, Status
from cogent_ops.store import Filter, Store

ROOT = Path(__file__).resolve().parents[2]
DAG_ID = "exception_review"
REFUSED = NewException(
    kind=Kind.STOCK_REFUSED,
    cause_key="SKU-1@berlin",
    record="SKU-1@berlin",
    field="quantityOnStock",
    rule="commercetools takes the change",
    message="SKU-1@berlin: the Type is missing",
    cure="Run the bootstrap.",
    owner=Owner.PLATFORM,
    group="type",
)

pytestmark = [pytest.mark.airflow, pytest.mark.xdist_group("airflow")]

#: What a person chooses, and those fields of the form that are filled: a script need not send the others.
Answer = tuple[str, Mapping[str, str]]


@pytest.fixture(scope="module", autouse=True)
def airflow_database() -> None:
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Store]:
    """A fresh store behind the connection that the tasks read; commercetools is not reached for by what is tested."""
    from cogent_ops.store import open_store, upgrade

    url = f"sqlite:///{tmp_path / 'store.db'}"
    upgrade(url)
    shop = {"conn_type": "commercetools", "host": "http://127.0.0.1:9", "login": "i", "password": "s"}
    extra = {"project_key": "sandbox", "auth_url": "http://127.0.0.1:9/auth"}
    monkeypatch.setenv("AIRFLOW_CONN_COMMERCETOOLS_DEFAULT", json.dumps({**shop, "extra": extra}))
    sqlite = {"conn_type": "sqlite", "host": str(tmp_path / "store.db")}
    monkeypatch.setenv("AIRFLOW_CONN_COGENT_OPS_STORE", json.dumps(sqlite))
    opened = open_store(url)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def client() -> Any:
    """The REST API, with the login of ``ada``."""
    from airflow.api_fastapi.app import create_app, get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from fastapi.testclient import TestClient

    made = TestClient(create_app(apps="core"), base_url="http://testserver")
    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="ada", role="ADMIN"))
    made.headers["Authorization"] = f"Bearer {token}"
    return made


def raise_(store: Store, *causes: str) -> None:
    places = [f"{cause}@berlin" for cause in causes]
    new = [replace(REFUSED, cause_key=at, record=at, message=f"{at}: the Type is missing") for at in places]
    with store.begin() as conn:
        store.exceptions.raise_many(conn, "default", new, "r1")


def park(store: Store, *skus: str) -> None:
    """Changes of stock that commercetools refused."""
    from cogent_ops.domain.stock import NewMovement, Source

    project, moment = "commercetools/sandbox", datetime.now(UTC)
    with store.begin() as conn:
        store.stock.add_movements(
            conn,
            [
                NewMovement("default", project, sku, "berlin", Source.API, sku, "o", moment, delta=-1)
                for sku in skus
            ],
        )
    for batch in store.stock.claim(project, "w", limit=50, lease_seconds=60):
        with store.begin() as conn:
            store.stock.park(conn, batch.id, "w", "why", 3600)


def run(client: Any, choose: Callable[[dict[str, Any]], Answer]) -> tuple[Any, list[dict[str, Any]]]:
    """Run the DAG; a person answers each question as it appears. Gives the run and the questions."""
    from airflow.dag_processing.dagbag import DagBag

    asked: list[dict[str, Any]] = []
    over = threading.Event()

    def answer() -> None:
        while not over.is_set():
            found = client.get(f"/api/v2/dags/{DAG_ID}/dagRuns/~/hitlDetails").json().get("hitl_details", [])
            for one in found:
                task = one["task_instance"]
                if task["state"] == "awaiting_input" and not one["response_received"]:
                    option, typed = choose(one)
                    at = f"/api/v2/dags/{DAG_ID}/dagRuns/{task['dag_run_id']}/taskInstances/{task['task_id']}"
                    body = {"chosen_options": [option], "params_input": dict(typed)}
                    told = client.patch(f"{at}/{task['map_index']}/hitlDetails", json=body)
                    assert told.status_code == 200, told.text
                    asked.append(one)
            time.sleep(0.2)

    person = threading.Thread(target=answer, daemon=True)
    person.start()
    try:
        done = DagBag(str(ROOT / "dags")).dags[DAG_ID].test()
    finally:
        over.set()
        person.join(30)
    return done, asked


def states(done: Any) -> list[tuple[str, str]]:
    return sorted((task.task_id, str(task.state)) for task in done.get_task_instances())


def everything(store: Store) -> list[Any]:
    return store.exceptions.find("default", Filter(statuses=tuple(Status)))


def test_without_questions_nobody_is_asked(store: Store, client: Any) -> None:
    done, asked = run(client, lambda question: ("Hold", {}))
    assert (done.state, asked) == ("success", [])
    assert states(done) == [("ask.apply", "skipped"), ("ask.decide", "skipped"), ("gather", "success")]


def test_a_person_answers_for_a_whole_cause_and_it_is_done_in_their_name(store: Store, client: Any) -> None:
    park(store, "SKU-1", "SKU-2")
    raise_(store, "SKU-1", "SKU-2")
    done, (question,) = run(client, lambda question: ("Replay", {"note": "Type is installed"}))
    assert done.state == "success"
    assert question["subject"] == "commercetools refuses a stock change: 2"
    assert question["options"] == ["Replay", "Hold"]
    assert question["defaults"] == ["Hold"]
    assert "SKU-2@berlin: the Type is missing" in question["body"]
    assert {one.status for one in everything(store)} == {Status.IN_PROGRESS}
    for number in (1, 2):
        (entry,) = store.audit_log.entries(f"exception/{number}")
        assert (entry.actor, entry.action, entry.detail["note"]) == (
            "ada",
            Action.REPLAY,
            "Type is installed",
        )
    assert store.stock.has_waiting("commercetools/sandbox")


def test_what_is_not_possible_is_asked_again_in_the_next_run(store: Store, client: Any) -> None:
    raise_(store, "SKU-1")
    first, _ = run(client, lambda question: ("Replay", {}))
    assert first.state == "success"
    _, (again,) = run(client, lambda question: ("Hold", {}))
    assert "Replay was not possible: SKU-1@berlin has no change that was refused" in again["body"].replace(
        "\\", ""
    )
    (one,) = everything(store)
    assert one.status is Status.ACKNOWLEDGED
    _, asked = run(client, lambda question: ("Hold", {}))
    assert asked == []


def test_causes_are_asked_apart_and_nothing_of_it_is_long_in_xcom(store: Store, client: Any) -> None:
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    raise_(store, "SKU-1")
    with store.begin() as conn:
        other = NewException(Kind.STOCK_REFUSED, "B@x", "B@x", "f", "r", "no scope", "c", Owner.PLATFORM)
        store.exceptions.raise_(conn, "default", other, "r1")
    done, asked = run(client, lambda question: ("Hold", {}))
    assert done.state == "success"
    assert sorted(one["task_instance"]["map_index"] for one in asked) == [0, 1]
    assert len([state for state in states(done) if state == ("ask.apply", "success")]) == 2
    with create_session() as session:
        kept = [str(row.value) for row in session.query(XComModel).filter(XComModel.run_id == done.run_id)]
    assert any("ids" in value for value in kept)
    assert max(map(len, kept)) < 500


def test_a_run_waits_an_hour_and_then_holds() -> None:
    from airflow.dag_processing.dagbag import DagBag

    decide: Any = DagBag(str(ROOT / "dags")).dags[DAG_ID].get_task("ask.decide")
    assert decide.defaults == ["Hold"]
    assert decide.response_timeout == timedelta(hours=1)
    assert decide.execution_timeout is None
