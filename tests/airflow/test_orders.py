"""Order capture as Airflow runs it: its schedule and its backfills, and both sides after a run."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.captures import coats
from tests.support.dag_runs import dag_run
from tests.support.kiosks import Kiosks, line, ulid

from cogent_ops.sandbox.command import connections
from cogent_ops.sandbox.server import SandboxServer

ROOT = Path(__file__).resolve().parents[2]
DAG_ID = "kiosk_order_capture"
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)

pytestmark = [pytest.mark.airflow, pytest.mark.xdist_group("airflow")]


@pytest.fixture(scope="module", autouse=True)
def airflow_database() -> None:
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def kiosks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Kiosks]:
    """Kiosks that sell, behind the connections that the tasks will read, and runs that end soon."""
    from cogent_ops.clients.transport import close_sessions
    from cogent_ops.runtime import Runtime
    from cogent_ops.store import upgrade

    include, url = tmp_path / "include", f"sqlite:///{tmp_path / 'store.db'}"
    shutil.copytree(ROOT / "include", include)
    file = yaml.safe_load((include / "mapping.yaml").read_text(encoding="utf-8"))
    hasty = {"linger_seconds": 0.5, "poll_seconds": 0.1}
    file["links"]["default"] |= {
        "orders": hasty,
        "movements": {**hasty, "start": "2020-01-01T00:00:00Z"},
    }
    (include / "mapping.yaml").write_text(yaml.safe_dump(file), encoding="utf-8")
    monkeypatch.setenv("COGENT_OPS_INCLUDE", str(include))
    store = {"conn_type": "sqlite", "host": str(tmp_path / "store.db")}
    monkeypatch.setenv("AIRFLOW_CONN_COGENT_OPS_STORE", json.dumps(store))
    upgrade(url)
    with SandboxServer(coats()) as server:
        for name, value in connections(server).items():
            monkeypatch.setenv(name, value)
        runtime = Runtime("default")
        made = Kiosks(server, runtime.store)
        made.install()
        runtime.bootstrap()
        yield made
        close_sessions()


def run() -> Any:
    """Run the DAG, parsed anew."""
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(ROOT / "dags")).dags[DAG_ID].test()


def numbers(kiosks: Kiosks) -> set[str]:
    """Order numbers in commercetools."""
    state = kiosks.server.state.commercetools
    with state.lock:
        return {str(one["orderNumber"]) for one in state["orders"]}


def sell(kiosks: Kiosks, *lines: tuple[str, int], **more: Any) -> str:
    return kiosks.sell(*(lines or (("coat-s", 1),)), paymentAttemptId="attempt", **more)


def test_a_paid_order_is_in_commercetools_and_cloudshelf_knows_its_name(kiosks: Kiosks) -> None:
    """The stock flow is not at work, so this one reads the orders itself."""
    from cogent_ops.runtime import Runtime

    email = {**line("coat-s", 2), "customAttributes": [{"key": "CS_EMAIL", "value": "anna@example.com"}]}
    session = {"locationId": kiosks.location("berlin"), "paymentAttemptId": "attempt"}
    order, basket = kiosks.raw_order([email], session=session), sell(kiosks, status="DRAFT_BASKET")
    done = run()
    assert done.state == "success"
    assert numbers(kiosks) == {f"CS-{ulid(order)}"}
    (task,) = done.get_task_instances()
    summary = task.xcom_pull(task_ids="capture")
    assert (summary["orders_imported"], summary["orders_told"]) == (1, 1)
    assert "anna" not in json.dumps(summary)
    with kiosks.state.lock:
        assert kiosks.state.get("Order", order)["thirdPartyId"]
        assert kiosks.state.get("Order", basket)["thirdPartyId"] is None
    found = Runtime("default").store.captures.accounting("default")
    assert (found.seen, found.captured, found.unexplained) == (2, 1, 0)
    assert run().state == "success"
    assert len(numbers(kiosks)) == 1


def test_the_trigger_wakes_for_an_order_that_is_due_and_not_while_a_run_is_alive(kiosks: Kiosks) -> None:
    from cogent_ops.runtime import Runtime
    from cogent_ops.services.orders.flow import ALIVE
    from cogent_ops.triggers import OrderWorkTrigger

    runtime, now = Runtime("default"), datetime.now(UTC)
    watch = runtime.order_watch()
    assert not watch.has_work(now)
    sell(kiosks)
    assert not watch.has_work(now), "the store is all that it looks at"
    kiosks.poll()
    assert watch.has_work(datetime.now(UTC))
    with runtime.store.begin() as conn:
        runtime.store.watermarks.set(conn, "default", ALIVE, datetime.now(UTC))
    assert not watch.has_work(datetime.now(UTC))
    assert watch.has_work(datetime.now(UTC) + MINUTE)

    trigger = OrderWorkTrigger("default", 0.01)
    path, kwargs = trigger.serialize()
    assert (path, kwargs) == ("cogent_ops.triggers.OrderWorkTrigger", {"link": "default", "seconds": 0.01})
    with runtime.store.begin() as conn:
        runtime.store.watermarks.set(conn, "default", ALIVE, datetime.now(UTC) - MINUTE)

    async def first() -> Any:
        return await anext(trigger.run())

    assert asyncio.run(first()).payload == {"link": "default"}


# Backfill


def serialised() -> Any:
    """The DAG as the scheduler and ``airflow backfill`` know it."""
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization

    dag = DagBag(str(ROOT / "dags")).dags[DAG_ID]
    return DagSerialization.from_dict(DagSerialization.to_dict(dag))


def test_a_backfill_of_a_week_is_seven_runs_that_no_scheduled_run_stands_in_the_way_of() -> None:
    monday = datetime(2026, 11, 16, tzinfo=UTC)
    infos = list(serialised().iter_dagrun_infos_between(monday, monday + 6 * DAY))
    windows = [(one.data_interval.start, one.data_interval.end) for one in infos]
    assert len(windows) == 7
    assert windows[0][0] < monday
    assert windows[-1][1] >= monday + 7 * DAY - MINUTE
    assert [end for _, end in windows[:-1]] == [start for start, _ in windows[1:]], "without a gap"
    assert all(one.logical_date.second for one in infos), "the schedule's runs begin at full minutes"


def test_a_backfill_of_today_ends_now() -> None:
    dag = serialised()
    now = datetime.now(UTC)
    morning = now.replace(second=0, microsecond=0) - timedelta(hours=2)
    (info,) = dag.iter_dagrun_infos_between(morning, now)
    assert now - 2 * MINUTE < info.data_interval.end <= datetime.now(UTC)
    assert list(dag.iter_dagrun_infos_between(now + DAY, now + 2 * DAY)) == []


def test_the_schedule_goes_by_the_minute() -> None:
    from airflow.timetables.base import TimeRestriction

    clock = serialised().timetable.timetable
    info = clock.next_dagrun_info(
        last_automated_data_interval=None, restriction=TimeRestriction(None, None, catchup=False)
    )
    assert info.data_interval.end - info.data_interval.start == MINUTE
    assert info.data_interval.start.second == 0


def backfill(start: datetime, end: datetime) -> Any:
    """The task as a run of a backfill has it."""
    from cogent_ops.operators import KioskOrderCaptureOperator

    run_ = dag_run(DAG_ID, "backfill", start, end)
    task = type("Task", (), {"try_number": 1})()
    return KioskOrderCaptureOperator(task_id="capture").execute({"dag_run": run_, "ti": task})


def test_a_backfill_captures_the_days_that_were_missed_and_nothing_else(kiosks: Kiosks) -> None:
    monday = (datetime.now(UTC) - 9 * DAY).replace(hour=0, minute=0, second=0, microsecond=0)

    def sold(day: int) -> str:
        given = {
            "lines": [line("coat-s", 1)],
            "session": {"locationId": kiosks.location("berlin"), "paymentAttemptId": "attempt"},
            "status": "PAID",
            "at": (monday + day * DAY + timedelta(hours=10)).isoformat(),
        }
        return str(kiosks.server.state.floor.change("kiosk-order", given)["id"])

    captured = [sold(day) for day in (0, 1, 4, 5, 6)]
    assert run().state == "success"
    missed, outside = [sold(2), sold(3)], sold(7)
    before = numbers(kiosks)
    assert before == {f"CS-{ulid(order)}" for order in captured}

    week = serialised().iter_dagrun_infos_between(monday, monday + 6 * DAY)
    done = [backfill(one.data_interval.start, one.data_interval.end) for one in week]
    assert [one["orders_captured"] for one in done] == [0, 0, 1, 1, 0, 0, 0]
    assert [one["orders_there_already"] for one in done] == [1, 1, 0, 0, 1, 1, 1]
    assert numbers(kiosks) - before == {f"CS-{ulid(order)}" for order in missed}
    assert f"CS-{ulid(outside)}" not in numbers(kiosks)
