"""The DAGs, run by Airflow in this process against the sandbox: what a person gets for what they ask."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml
from tests.support.dag_runs import dag_run

from cogent_ops.sandbox.command import connections
from cogent_ops.sandbox.dataset import Dataset
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.server import SandboxServer

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.airflow, pytest.mark.xdist_group("airflow")]


@pytest.fixture(scope="module", autouse=True)
def airflow_database() -> None:
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return generate(seed=3, products=40, now=datetime.now(UTC), dirty_share=0.1)


@pytest.fixture
def sandbox(dataset: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SandboxServer]:
    """A fresh sandbox and a fresh store, behind the connections that the tasks will read."""
    from cogent_ops.clients.transport import close_sessions

    with SandboxServer(dataset) as server:
        for name, value in connections(server).items():
            monkeypatch.setenv(name, value)
        store = {"conn_type": "sqlite", "host": str(tmp_path / "store.db")}
        monkeypatch.setenv("AIRFLOW_CONN_COGENT_OPS_STORE", json.dumps(store))
        from cogent_ops.store import upgrade

        upgrade(f"sqlite:///{tmp_path / 'store.db'}")
        yield server
        close_sessions()


def run(dag_id: str, **conf: Any) -> Any:
    """Run a DAG; parsed anew each time, because a test run keeps its parameters in the DAG."""
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(ROOT / "dags")).dags[dag_id].test(run_conf=conf)


def states(run: Any) -> dict[str, str]:
    return {task.task_id: str(task.state) for task in run.get_task_instances()}


def test_nothing_is_pushed_before_the_catalogue_was_audited(sandbox: SandboxServer) -> None:
    refused = run("catalogue_sync")
    assert refused.state == "failed"
    assert states(refused)["extract"] == "failed"
    assert _held(sandbox) == 0


def _held(sandbox: SandboxServer) -> int:
    return len(sandbox.state.cloudshelf.entities["Product"])


def test_an_accepted_audit_lets_the_sync_push_what_passes(sandbox: SandboxServer) -> None:
    from cogent_ops.runtime import Runtime

    audit = run("catalogue_audit", accept_findings="seen, and fine for a test")
    assert audit.state == "success"
    assert states(audit)["accept"] == "skipped"
    assert _held(sandbox) == 0
    runtime = Runtime("default")
    recorded = runtime.store.audits.latest("default")
    assert recorded is not None
    assert (recorded.verdict, recorded.note) == ("no_go", "seen, and fine for a test")

    synced = run("catalogue_sync")
    assert synced.state == "success"
    latest = runtime.store.runs.latest("default", "catalogue_sync")
    assert latest is not None
    assert latest.status == "done"
    assert _held(sandbox) == latest.counts["products_created"] > 20
    assert runtime.store.exceptions.open("default", "product_held")
    assert latest.report_path
    assert Path(latest.report_path.removeprefix("file://")).is_file()


def test_parameters_of_the_form_reach_the_run(sandbox: SandboxServer, dataset: Dataset) -> None:
    from cogent_ops.runtime import Runtime

    store = Runtime("default").store
    store.audits.record("default", "before", verdict="go", counts={})
    dry = run("catalogue_sync", dry_run=True, full_refresh=True)
    assert dry.state == "success"
    assert _held(sandbox) == 0

    clean = next(product for product in dataset.products if product["id"] not in dataset.dirt)
    chosen = run("catalogue_sync", skus=[clean["masterVariant"]["sku"]])
    assert chosen.state == "success"
    assert _held(sandbox) == 1


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The business's files, with runs of the stock flows that end soon."""
    include = tmp_path / "include"
    shutil.copytree(ROOT / "include", include)
    file = yaml.safe_load((include / "mapping.yaml").read_text(encoding="utf-8"))
    file["links"]["default"] |= {
        "movements": {"linger_seconds": 1, "poll_seconds": 0.2, "start": "2020-01-01T00:00:00Z"},
        "availability": {"longest_run_seconds": 1, "poll_seconds": 0.2},
    }
    (include / "mapping.yaml").write_text(yaml.safe_dump(file), encoding="utf-8")
    monkeypatch.setenv("COGENT_OPS_INCLUDE", str(include))


def _sell(sandbox: SandboxServer, store: str, units: int) -> tuple[str, str]:
    """A kiosk order of something that kiosks show: its variant and its id."""
    state = sandbox.state.cloudshelf
    variant = next(iter(state.entities["ProductVariant"].values()))["platformProvidedId"]
    line = {"productVariantID": variant, "quantity": units, "price": 5.0, "currencyCode": "EUR"}
    session = {"locationId": f"gid://external/CommercetoolsChannel/{store}"}
    order = {"lines": [line], "status": "PAID", "session": session}
    return variant, str(sandbox.state.floor.change("kiosk-order", order)["id"])


def _inventory(sandbox: SandboxServer) -> dict[str, list[int]]:
    found: dict[str, list[int]] = sandbox.dump("commercetools")["inventory"]
    return found


def test_a_kiosk_sale_reaches_commercetools_and_what_is_left_reaches_the_kiosks(
    sandbox: SandboxServer, hasty: None
) -> None:
    from cogent_ops.runtime import Runtime

    runtime = Runtime("default")
    runtime.store.audits.record("default", "before", verdict="go", counts={})
    assert run("catalogue_sync").state == "success"
    assert [check for check in runtime.bootstrap() if check.outcome == "fail"] == []
    _, order = _sell(sandbox, "store-hamburg", 3)
    before = _inventory(sandbox)

    for _ in range(2):  # a second run finds nothing to do
        assert run("stock_deltas").state == "success"
    after = _inventory(sandbox)
    changed = {
        place: after[place][0] - before.get(place, [0])[0]
        for place in after
        if after[place] != before.get(place)
    }
    assert list(changed.values()) == [-3]
    (place,) = changed
    assert place.endswith("@store-hamburg")

    sandbox.state.floor.change("kiosk-status", {"order": order, "status": "VOIDED"})
    assert run("stock_deltas").state == "success"
    assert {at: stock[0] for at, stock in _inventory(sandbox).items() if stock[0]} == {
        at: stock[0] for at, stock in before.items() if stock[0]
    }

    assert run("availability_push", full=True).state == "success"
    told = sandbox.dump("cloudshelf")["stock"]
    assert len(told) > 20
    inventory = _inventory(sandbox)
    for level, (quantity, _) in told.items():
        sku, store = (part.rpartition("/")[2] for part in level.split("@gid"))
        # Where zero would still show as in stock, less than zero is told.
        assert max(0, quantity) == max(0, inventory.get(f"{unquote(sku)}@{store}", [0, 0])[1])


def test_no_stock_moves_before_its_type_is_installed_and_nothing_is_lost(
    sandbox: SandboxServer, hasty: None
) -> None:
    from cogent_ops.runtime import Runtime

    runtime = Runtime("default")
    runtime.store.audits.record("default", "before", verdict="go", counts={})
    run("catalogue_sync")
    _sell(sandbox, "store-hamburg", 1)
    before = _inventory(sandbox)
    assert run("stock_deltas").state == "failed"
    assert _inventory(sandbox) == before
    assert runtime.store.stock.has_waiting(runtime.project)
    runtime.bootstrap()
    assert run("stock_deltas").state == "success"
    assert _inventory(sandbox) != before


def test_the_trigger_wakes_for_an_order_and_for_a_movement_and_not_while_a_run_is_alive(
    sandbox: SandboxServer, hasty: None
) -> None:
    from cogent_ops.runtime import Runtime
    from cogent_ops.services.stock.flow import ALIVE
    from cogent_ops.triggers import StockWorkTrigger

    runtime, now = Runtime("default"), datetime.now(UTC)
    runtime.store.audits.record("default", "before", verdict="go", counts={})
    run("catalogue_sync")
    runtime.bootstrap()
    watch = runtime.stock_watch()
    assert not watch.has_work(now)
    _sell(sandbox, "store-hamburg", 1)
    assert watch.has_work(now)
    with runtime.store.begin() as conn:
        runtime.store.watermarks.set(conn, "default", ALIVE, now)
    assert not watch.has_work(now)

    assert run("stock_deltas").state == "success"
    assert not watch.has_work(datetime.now(UTC) + timedelta(minutes=1))

    trigger = StockWorkTrigger("default", 0.01)
    path, kwargs = trigger.serialize()
    assert (path, kwargs) == ("cogent_ops.triggers.StockWorkTrigger", {"link": "default", "seconds": 0.01})
    _sell(sandbox, "store-hamburg", 1)

    async def first() -> Any:
        return await anext(trigger.run())

    assert asyncio.run(first()).payload == {"link": "default"}


@pytest.mark.parametrize(
    ("run_type", "takes_its_interval"),
    [("backfill", True), ("scheduled", False), ("manual", False), ("asset_triggered", False)],
)
def test_only_a_backfill_brings_its_data_interval(run_type: str, takes_its_interval: bool) -> None:
    from cogent_ops.operators import ProductMasterGateOperator

    start, end = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)
    run_ = dag_run("catalogue_sync", run_type, start, end)
    request = ProductMasterGateOperator(task_id="gate", skus=" A, ,B ").request({"dag_run": run_})
    assert request.interval == ((start, end) if takes_its_interval else None)
    assert request.run_key == f"catalogue_sync__{run_type}__2026-11-01T00_00_00_00_00"
    assert request.skus == ("A", "B")
