"""Every DAG, as Airflow reads it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "dags").glob("*.py"))
IDS = {
    "availability_push",
    "catalogue_audit",
    "catalogue_sync",
    "drift_reconciliation",
    "exception_review",
    "governance_report",
    "kiosk_order_capture",
    "retention",
    "stock_deltas",
    "sync_health",
}
HEAVY = {
    "pandas",
    "great_expectations",
    "upath",
    "alembic",
    "fastapi",
    "cogent_ops.services",
    "cogent_ops.store",
}

pytestmark = [pytest.mark.airflow, pytest.mark.xdist_group("airflow")]


@pytest.fixture(scope="module")
def bag() -> Any:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(ROOT / "dags"))


@pytest.fixture(scope="module", params=sorted(IDS))
def dag(request: pytest.FixtureRequest, bag: Any) -> Any:
    return bag.dags[request.param]


def test_nothing_fails_to_import_and_the_ids_are_the_fixed_ones(bag: Any) -> None:
    assert bag.import_errors == {}
    assert set(bag.dags) == IDS


def test_serialises(dag: Any) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    serialised = DagSerialization.serialize_dag(dag)
    assert json.loads(json.dumps(serialised))["dag_id"] == dag.dag_id


def test_has_owner_tags_limits_and_documentation(dag: Any) -> None:
    assert dag.owner == "data/platform"
    assert {"cogent_ops", "link:default"} <= set(dag.tags)
    assert len(dag.doc_md) > 300
    assert dag.dagrun_timeout
    # Only questions may wait beside one another, for what they lead to is claimed one by one; and messages, which are
    # claimed, too, must not wait for a check.
    beside = {"exception_review": 8, "sync_health": 4}
    assert (dag.catchup, dag.max_active_runs) == (False, beside.get(dag.dag_id, 1))


def test_is_backfillable_by_a_real_data_interval(dag: Any) -> None:
    from airflow.sdk import AssetOrTimeSchedule, CronDataIntervalTimetable

    from cogent_ops.timetables import FrequentTimetable

    timetable = dag.timetable
    if isinstance(timetable, AssetOrTimeSchedule):
        timetable = timetable.timetable
    assert isinstance(timetable, (CronDataIntervalTimetable, FrequentTimetable))


def test_raises_a_deadline_alert_that_backfills_of_the_past_do_not(dag: Any) -> None:
    from airflow.sdk.definitions.deadline import DeadlineReference

    (alert,) = dag.deadline
    assert alert.reference == DeadlineReference.DAGRUN_QUEUED_AT
    assert alert.callback.path == "cogent_ops.notifiers.deadline_missed"
    assert timedelta(minutes=15) < alert.interval < dag.dagrun_timeout


def test_every_parameter_is_described_for_the_form(dag: Any) -> None:
    for name in dag.params:
        param = dag.params.get_param(name)
        assert param.description, name
        assert param.schema["type"], name


def test_every_task_retries_by_kind_of_error_and_has_a_time_limit(dag: Any) -> None:
    from cogent_ops.dag_defaults import FlowRetryPolicy

    for task in dag.tasks:
        assert isinstance(task.retry_policy, FlowRetryPolicy), task.task_id
        assert task.execution_timeout or task.response_timeout, task.task_id


def test_only_one_push_runs_at_a_time_whatever_is_backfilled(bag: Any) -> None:
    assert bag.dags["catalogue_sync"].get_task("push").max_active_tis_per_dag == 1


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_is_wiring_only(file: Path) -> None:
    source = file.read_text(encoding="utf-8")
    tree = ast.parse(source)
    assert ast.get_docstring(tree)
    assert len(source.splitlines()) <= 60
    statements = [node for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)]
    assert not any(isinstance(node, ast.ClassDef | ast.For | ast.While | ast.Try) for node in statements)


def test_parsing_imports_nothing_heavy_and_reads_no_connection() -> None:
    script = (
        "import sys; from airflow.dag_processing.dagbag import DagBag; before = set(sys.modules);"
        f"bag = DagBag({str(ROOT / 'dags')!r}); assert not bag.import_errors, bag.import_errors;"
        "print('\\n'.join(set(sys.modules) - before))"
    )
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(output.stdout.split())
    assert "cogent_ops.operators" in loaded
    assert not [
        name for name in loaded if any(name == heavy or name.startswith(f"{heavy}.") for heavy in HEAVY)
    ]


def test_each_link_has_dags_and_connections_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "mapping.yaml").write_text("links: {default: {}, austria: {}}\n")
    script = (
        "from airflow.dag_processing.dagbag import DagBag;"
        f"bag = DagBag({str(ROOT / 'dags')!r}); assert not bag.import_errors;"
        "print(*sorted(f'{d.dag_id}={d.tasks[0].link}' for d in bag.dags.values()), sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**__import__("os").environ, "COGENT_OPS_INCLUDE": str(tmp_path)},
    )
    expected = {f"{name}=default" for name in IDS}
    expected |= {f"{name}__austria=austria" for name in IDS}
    assert set(done.stdout.split()[-2 * len(IDS) :]) == expected


@pytest.mark.parametrize(
    ("error", "action", "delay"),
    [
        ("PermanentError('x')", "fail", None),
        ("AuditRequired('x')", "fail", None),
        ("RateLimited('x', retry_after=7)", "retry", timedelta(seconds=7)),
        ("RateLimited('x', retry_after=90_000)", "retry", timedelta(minutes=30)),
        ("TargetUnavailable('x')", "default", None),
        ("ValueError('x')", "default", None),
    ],
)
def test_retry_policy(error: str, action: str, delay: timedelta | None) -> None:
    from cogent_ops import errors
    from cogent_ops.dag_defaults import FlowRetryPolicy

    raised = eval(error, vars(errors) | {"ValueError": ValueError})
    decision = FlowRetryPolicy().evaluate(raised, 1, 3)
    assert (decision.action.value, decision.retry_delay) == (action, delay)
