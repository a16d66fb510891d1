"""Both DAGs, run by Airflow in this process against the sandbox: what a person gets for what they ask."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

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


@pytest.mark.parametrize(
    ("run_type", "takes_its_interval"),
    [("backfill", True), ("scheduled", False), ("manual", False), ("asset_triggered", False)],
)
def test_only_a_backfill_brings_its_data_interval(run_type: str, takes_its_interval: bool) -> None:
    from airflow.sdk.api.datamodels._generated import DagRun, DagRunState, DagRunType

    from cogent_ops.operators import ProductMasterGateOperator

    start, end = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)
    dag_run = DagRun(
        dag_id="catalogue_sync",
        run_id=f"{run_type}__2026-11-01T00:00:00+00:00",
        logical_date=start,
        data_interval_start=start,
        data_interval_end=end,
        run_after=end,
        start_date=end,
        end_date=None,
        run_type=DagRunType(run_type),
        state=DagRunState.RUNNING,
        consumed_asset_events=[],
        partition_key=None,
    )
    request = ProductMasterGateOperator(task_id="gate", skus=" A, ,B ").request({"dag_run": dag_run})
    assert request.interval == ((start, end) if takes_its_interval else None)
    assert request.run_key == f"catalogue_sync__{run_type}__2026-11-01T00_00_00_00_00"
    assert request.skus == ("A", "B")
