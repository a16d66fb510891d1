"""``cogent-ops drill``."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.inboxes import Webhooks, webhooks
from tests.unit.cli.conftest import Run

from cogent_ops.domain.exceptions import Kind
from cogent_ops.runtime import Runtime
from cogent_ops.store import Store


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhooks]:
    """Where the messages of every owner go."""
    with webhooks() as found:
        conn = {"conn_type": "http", "host": found.url}
        monkeypatch.setenv("AIRFLOW_CONN_COGENT_OPS_ALERTS", json.dumps(conn))
        yield found


def _tell() -> None:
    """What sync_health does, at an hour at which everybody works."""
    monday = datetime.now(UTC) + timedelta(days=7)
    monday -= timedelta(days=monday.weekday())
    Runtime("default").alerts("run").run(monday.replace(hour=11))


def test_a_drill_goes_from_the_command_line_to_the_owners_channel_and_back(
    run: Run, store: Store, hooks: Webhooks
) -> None:
    code, out, _ = run("drill", "task_failed", "--actor", "ada", "--note", "handover")
    assert code == 0
    assert "Drill 1: A task has failed, for data/platform, over channel 'default'." in out
    assert "cogent-ops exceptions ack 1" in out
    _tell()
    (text,) = hooks.texts
    assert text.startswith("DRILL [CRITICAL] A task has failed: 1")

    assert "DRILL stock_deltas.drain" in run("exceptions")[1]
    code, out, _ = run("exceptions", "show", "1")
    assert "you may:     acknowledge, start, hold, note, fixed" in out
    assert run("exceptions", "replay", "1")[0] == 1
    assert run("exceptions", "ack", "1", "--actor", "ann")[0] == 0
    assert run("exceptions", "fixed", "1", "--actor", "ann", "--note", "read the log")[0] == 0

    code, out, _ = run("drill", "status")
    assert code == 0
    assert "(ann)" in out
    assert out.rstrip().endswith("yes")
    (line,) = run("drill", "status", "--json")[1].splitlines()
    found = json.loads(line)
    assert (found["kind"], found["closed_by"], found["in_time"]) == ("task_failed", "ann", True)
    assert found["alerted_seconds"] > 0
    assert run("drill", "end")[1].startswith("0 drills were open")


def test_what_is_open_is_ended(run: Run, store: Store) -> None:
    for kind in ("task_failed", "order_tax"):
        assert run("drill", kind)[0] == 0
    assert run("drill", "end", "1", "--actor", "ada")[1].startswith("1 drills were open")
    assert run("drill", "end", "--actor", "ada")[1].startswith("1 drills were open")
    code, out, _ = run("drill", "status")
    assert (code, out.count("ended unclosed")) == (0, 2)
    assert run("exceptions")[1].strip() == "Nothing."


def test_waiting_says_each_step_and_succeeds_when_it_was_acknowledged_in_time(
    run: Run, store: Store, hooks: Webhooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cogent_ops import cli

    steps: Iterator[Callable[[], object]] = iter(
        [
            _tell,
            lambda: cli.main(["exceptions", "ack", "1", "--actor", "ann"]),
            lambda: cli.main(["exceptions", "fixed", "1", "--actor", "bob", "--note", "done"]),
        ]
    )
    monkeypatch.setattr(time, "sleep", lambda _: next(steps)())
    code, out, _ = run("drill", "order_tax", "--wait", "--minutes", "1")
    assert code == 0
    for said in ("message delivered after", "acknowledged after", "by ann", "closed after", "by bob"):
        assert said in out
    assert out.rstrip().endswith("Acknowledged in time: yes.")


def test_waiting_in_vain_fails_and_says_what_to_look_at(run: Run, store: Store) -> None:
    code, out, _ = run("drill", "order_tax", "--wait", "--minutes", "0")
    assert code == 1
    assert "Nobody heard of it: does sync_health run?" in out
    assert "cogent-ops drill end 1" in out


def test_what_is_wrong_is_said(run: Run, store: Store) -> None:
    with pytest.raises(SystemExit):
        run("drill", "order_taxes")
    code, _, err = run("drill", "order_tax", "--owner", "ecommerce")
    assert code == 1
    assert "finance's by include/exceptions.yaml" in err
    assert run("drill", "end", "7")[0] == 1


def test_every_kind_is_a_command(run: Run, store: Store) -> None:
    for kind in Kind:
        assert run("drill", kind)[0] == 0
    assert run("drill", "end")[1].startswith(f"{len(Kind)} drills were open")
