"""Audits: go, no-go, accepted; and what clears the first push."""

from __future__ import annotations

import pytest

from cogent_ops.errors import PermanentError
from cogent_ops.store import Store


def test_without_an_audit_nothing_is_cleared(store: Store) -> None:
    assert store.audits.latest("de") is None
    assert store.audits.clearance("de") is None


def test_an_audit_that_passed_clears_its_link(store: Store) -> None:
    passed = store.audits.record("de", "r1", verdict="go", counts={"products_held": 0}, report_path="r1.html")
    assert passed.is_clear
    assert store.audits.clearance("de") == store.audits.latest("de") == passed
    assert (passed.counts, passed.report_path, passed.accepted_at) == ({"products_held": 0}, "r1.html", None)
    assert store.audits.clearance("at") is None


def test_an_audit_that_failed_clears_when_a_person_accepts_it(store: Store) -> None:
    failed = store.audits.record("de", "r1", verdict="no_go", counts={})
    assert not failed.is_clear
    assert store.audits.clearance("de") is None
    accepted = store.audits.accept("de", failed.id, actor="ann", note="known gaps")
    assert accepted.is_clear
    assert (accepted.accepted_by, accepted.note, accepted.verdict) == ("ann", "known gaps", "no_go")
    assert store.audits.clearance("de") == accepted
    (entry,) = store.audit_log.entries(f"audit/{failed.id}")
    assert (entry.actor, entry.action, entry.link) == ("ann", "accept_audit", "de")
    assert entry.detail == {"audit_id": failed.id, "note": "known gaps"}


def test_a_second_acceptance_changes_nothing(store: Store) -> None:
    audit = store.audits.record("de", "r1", verdict="no_go", counts={})
    first = store.audits.accept("de", audit.id, actor="ann", note="known gaps")
    assert store.audits.accept("de", audit.id, actor="ben", note="me too") == first
    assert len(store.audit_log.entries()) == 1


def test_an_audit_of_another_link_cannot_be_accepted(store: Store) -> None:
    audit = store.audits.record("at", "r1", verdict="no_go", counts={})
    with pytest.raises(PermanentError, match="no such audit for this link"):
        store.audits.accept("de", audit.id, actor="ann", note="")
    assert store.audits.clearance("at") is None
    assert store.audit_log.entries() == []


def test_a_retry_replaces_the_verdict_and_keeps_the_acceptance(store: Store) -> None:
    first = store.audits.record("de", "r1", verdict="no_go", counts={"products_held": 3}, report_path="a")
    store.audits.accept("de", first.id, actor="ann", note="known gaps")
    again = store.audits.record("de", "r1", verdict="no_go", counts={"products_held": 2}, report_path="b")
    assert (again.id, again.created_at, again.accepted_by) == (first.id, first.created_at, "ann")
    assert (again.counts, again.report_path) == ({"products_held": 2}, "b")


def test_a_later_failure_is_the_latest_and_takes_no_clearance_away(store: Store) -> None:
    passed = store.audits.record("de", "r1", verdict="go", counts={})
    failed = store.audits.record("de", "r2", verdict="no_go", counts={})
    assert store.audits.clearance("de") == passed
    assert store.audits.latest("de") == failed
    other = store.audits.record("at", "r1", verdict="go", counts={})
    assert store.audits.recent() == [other, failed, passed]
    assert store.audits.recent("de", limit=1) == [failed]
