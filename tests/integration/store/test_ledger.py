"""Watermarks, fingerprints, runs and the audit log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from cogent_ops.errors import PermanentError
from cogent_ops.store import Store
from cogent_ops.store.schema import sync_run

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Crash(Exception):
    """Whatever ends a run in the middle."""


def test_a_flow_that_never_finished_has_no_watermark(store: Store) -> None:
    assert store.watermarks.get("de", "catalogue_sync") is None


def test_a_watermark_moves_with_what_was_stored_before_it(store: Store) -> None:
    def crash_after_storing() -> None:
        with store.begin() as conn:
            store.watermarks.set(conn, "de", "catalogue_sync", NOON)
            store.audit_log.write("system", "stored", "everything", conn=conn)
            raise Crash

    with pytest.raises(Crash):
        crash_after_storing()
    assert store.watermarks.get("de", "catalogue_sync") is None
    assert store.audit_log.entries() == []
    with store.begin() as conn:
        store.watermarks.set(conn, "de", "catalogue_sync", NOON)
        store.audit_log.write("system", "stored", "everything", conn=conn)
        assert store.watermarks.get("de", "catalogue_sync") is None
    assert store.watermarks.get("de", "catalogue_sync") == NOON
    assert len(store.audit_log.entries()) == 1


def test_watermarks_of_links_and_flows_are_apart(store: Store) -> None:
    wanted = {(link, flow): NOON + timedelta(hours=hour) for hour, (link, flow) in enumerate(_pairs())}
    for (link, flow), value in wanted.items():
        with store.begin() as conn:
            store.watermarks.set(conn, link, flow, NOON - timedelta(days=1))
            store.watermarks.set(conn, link, flow, value)
    assert {pair: store.watermarks.get(*pair) for pair in wanted} == wanted


def test_fingerprints_are_remembered_until_forgotten(store: Store) -> None:
    prints = store.fingerprints
    prints.remember("de", "product", {"a": "1", "b": "2"}, "run-1")
    prints.remember("de", "product", {"b": "3", "c": "4"}, "run-2")
    prints.remember("de", "product", {}, "run-3")
    assert prints.known("de", "product", ["a", "b", "c", "d"]) == {"a": "1", "b": "3", "c": "4"}
    prints.forget("de", "product", ["a", "a", "d"])
    assert prints.known("de", "product", ["a", "b", "c"]) == {"b": "3", "c": "4"}
    assert list(prints.ids("de", "product")) == ["b", "c"]


def test_fingerprints_of_links_and_kinds_are_apart(store: Store) -> None:
    prints = store.fingerprints
    for number, (link, kind) in enumerate(_pairs()):
        prints.remember(link, kind, {"a": str(number)}, "run")
    prints.forget("de", "product", ["a"])
    left = {pair: prints.known(*pair, ["a"]) for pair in _pairs()}
    assert left == {
        pair: {"a": str(n)} if pair != ("de", "product") else {} for n, pair in enumerate(_pairs())
    }
    assert list(prints.ids("de", "product")) == []


def test_a_run_is_started_and_finished(store: Store) -> None:
    window = (NOON - timedelta(hours=1), NOON)
    store.runs.start("de", "catalogue_sync", "r1", "delta", window=window, params={"dry_run": False})
    started = store.runs.latest("de", "catalogue_sync")
    assert started is not None
    assert (started.status, started.attempts, started.finished_at) == ("running", 1, None)
    assert (started.window_start, started.window_end) == window
    assert started.params == {"dry_run": False}
    store.runs.finish(
        "de", "catalogue_sync", "r1", status="done", counts={"products": 3}, report_path="s3://r1/index.html"
    )
    done = store.runs.latest("de", "catalogue_sync", status="done")
    assert done is not None
    assert (done.id, done.counts, done.report_path) == (started.id, {"products": 3}, "s3://r1/index.html")
    assert done.finished_at is not None
    assert done.finished_at >= done.started_at == started.started_at


def test_a_retry_counts_as_an_attempt_of_the_same_run(store: Store) -> None:
    store.runs.start("de", "catalogue_sync", "r1", "delta")
    store.runs.finish("de", "catalogue_sync", "r1", status="failed", counts={"products": 1})
    (first,) = store.runs.recent()
    store.runs.start("de", "catalogue_sync", "r1", "full", params={"full_refresh": True})
    (again,) = store.runs.recent()
    assert (again.id, again.attempts, again.started_at) == (first.id, 2, first.started_at)
    assert (again.mode, again.status, again.counts, again.finished_at) == ("full", "running", {}, None)


def test_a_failed_run_says_where_and_why_until_it_goes_on(store: Store) -> None:
    store.runs.start("de", "catalogue_sync", "r1", "delta")
    store.runs.start("at", "catalogue_sync", "r1", "delta")
    store.runs.fail("de", "catalogue_sync", "r1", stage="push", reason="The key is not accepted.")
    store.runs.fail("de", "catalogue_sync", "unknown", stage="push", reason="whatever")
    failed, other = store.runs.recent(link="de")[0], store.runs.recent(link="at")[0]
    assert (failed.status, other.status) == ("failed", "running")
    assert failed.counts == {"failed_in": "push", "reason": "The key is not accepted."}
    assert failed.finished_at is not None
    for link in ("de", "at"):
        store.runs.resume(link, "catalogue_sync", "r1")
    again = store.runs.recent(link="de")[0]
    assert (again.status, again.counts, again.finished_at, again.attempts) == ("running", {}, None, 1)
    store.runs.finish("de", "catalogue_sync", "r1", status="done", counts={"products": 1})
    store.runs.resume("de", "catalogue_sync", "r1")
    assert store.runs.recent(link="de")[0].status == "done"


def test_runs_since_a_moment_are_all_there_the_oldest_first(store: Store) -> None:
    keys = [f"r{number:02}" for number in range(30)]
    for key in keys:
        store.runs.start("de", "catalogue_sync", key, "delta")
        store.runs.finish("de", "catalogue_sync", key, status="done", counts={})
    store.runs.start("de", "catalogue_sync", "running", "delta")
    store.runs.start("at", "catalogue_sync", "other", "delta")
    with store.begin() as conn:
        for key, at in ((keys[0], NOON - timedelta(seconds=1)), (keys[1], NOON)):
            conn.execute(sa.update(sync_run).where(sync_run.c.run_key == key).values(started_at=at))
    found = store.runs.since("de", "catalogue_sync", NOON, status="done")
    assert [run.run_key for run in found] == keys[1:]


def test_a_run_that_never_started_cannot_finish(store: Store) -> None:
    store.runs.start("at", "catalogue_sync", "r1", "delta")
    with pytest.raises(PermanentError, match=r"No run 'r1' of catalogue_sync was started for link 'de'"):
        store.runs.finish("de", "catalogue_sync", "r1", status="done", counts={})
    assert store.runs.recent(status="done") == []


def test_runs_are_listed_youngest_first(store: Store) -> None:
    for link, flow, key in (
        ("de", "sync", "1"),
        ("at", "sync", "1"),
        ("de", "audit", "1"),
        ("de", "sync", "2"),
    ):
        store.runs.start(link, flow, key, "delta")
    store.runs.finish("de", "sync", "1", status="done", counts={})
    assert [(run.link, run.flow, run.run_key) for run in store.runs.recent(limit=3)] == [
        ("de", "sync", "2"),
        ("de", "audit", "1"),
        ("at", "sync", "1"),
    ]
    assert [run.run_key for run in store.runs.recent(link="de", flow="sync")] == ["2", "1"]
    assert [run.run_key for run in store.runs.recent(status="done")] == ["1"]
    latest = store.runs.latest("de", "sync")
    assert latest is not None
    assert latest.run_key == "2"
    assert store.runs.latest("at", "audit") is None


def test_the_audit_log_keeps_every_entry(store: Store) -> None:
    log = store.audit_log
    log.write("ann", "accept_audit", "audit/1", {"note": "ok"}, link="de")
    log.write("ben", "decide_exception", "exception/7")
    log.write("ann", "decide_exception", "exception/7", {"status": "expected"})
    assert [(e.actor, e.action, e.subject, e.link) for e in log.entries()] == [
        ("ann", "decide_exception", "exception/7", None),
        ("ben", "decide_exception", "exception/7", None),
        ("ann", "accept_audit", "audit/1", "de"),
    ]
    assert [entry.detail for entry in log.entries("exception/7")] == [{"status": "expected"}, {}]
    assert [entry.actor for entry in log.entries(limit=1)] == ["ann"]
    assert log.entries("audit/1")[0].at.tzinfo is UTC


def _pairs() -> list[tuple[str, str]]:
    return [(link, name) for link in ("de", "at") for name in ("product", "variant")]
