"""What waits for a person: folded, counted, decided, reopened, never lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy.engine import URL
from tests.support.trouble import HELD, raise_

from cogent_ops.config import load_policies
from cogent_ops.domain.exceptions import FOLLOWS, Action, Kind, NewException, Owner, Status
from cogent_ops.errors import PermanentError
from cogent_ops.store import Filter, Store, StoredException, open_store
from cogent_ops.store.sql import ROWS_PER_PAGE

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
OTHER = replace(HELD, cause_key="p2/1/gtin", record="SKU-2")
_raise = partial(raise_, link="de")
EVERYTHING = Filter(statuses=tuple(Status))


def test_an_exception_says_what_whose_and_since_when(store: Store) -> None:
    _raise(store, HELD, run="r1", deadline=NOON)
    found = _only(store)
    for name in (
        "kind",
        "cause_key",
        "record",
        "field",
        "rule",
        "message",
        "cure",
        "owner",
        "payload",
    ):
        assert getattr(found, name) == getattr(HELD, name)
    assert (found.link, found.status, found.count, found.deadline, found.run_key) == (
        "de",
        Status.NEW,
        1,
        NOON,
        "r1",
    )
    assert found.first_seen == found.last_seen == found.opened_at
    assert (found.severity, found.resolved_at, found.alerted_at, found.replays) == ("warning", None, None, 0)


def test_the_policy_of_its_kind_says_whose_it_is_and_until_when(store: Store) -> None:
    strayed = replace(HELD, kind=Kind.ORDER_TAX, owner=Owner.ECOMMERCE)
    _raise(store, HELD, run="r1")
    _raise(store, strayed, run="r1")
    held, order = store.exceptions.open("de")
    assert (held.owner, order.owner) == (Owner.MERCHANDISING, Owner.FINANCE)
    assert (held.severity, order.severity) == ("warning", "critical")
    policies = load_policies()
    for found in (held, order):
        assert found.opened_at
        assert found.deadline == policies.deadline(found.kind, found.opened_at)


def test_exceptions_that_one_deed_would_cure_have_a_group_and_others_one_of_their_own(store: Store) -> None:
    some = [replace(HELD, cause_key=key, group=group) for key, group in (("a", "g"), ("b", "g"), ("c", ""))]
    placed = replace(HELD, cause_key="d", place="Leeds", amount=8400, currency="GBP")
    _raise(store, *some, placed, run="r1")
    found = store.exceptions.open("de")
    assert [one.cause_group for one in found] == ["g", "g", "c", "d"]
    assert (found[3].place, found[3].amount, found[3].currency) == ("Leeds", 8400, "GBP")


def test_a_store_may_be_given_its_policies(store: Store, store_url: URL) -> None:
    policies = load_policies()
    mine = policies.kinds[Kind.PRODUCT_HELD].model_copy(update={"owner": Owner.FINANCE})
    kinds = {**policies.kinds, Kind.PRODUCT_HELD: mine}
    opened = open_store(store_url, policies=lambda: policies.model_copy(update={"kinds": kinds}))
    with opened.begin() as conn:
        opened.exceptions.raise_(conn, "de", HELD, "r1")
    assert _only(store).owner == Owner.FINANCE
    opened.close()


def test_equal_causes_fold_into_one_record(store: Store) -> None:
    _raise(store, HELD, run="r1")
    first = _only(store)
    _raise(store, replace(HELD, message="Rug: check digit is 5", payload={"value": "5"}), run="r2")
    again = _only(store)
    assert (again.id, again.count, again.first_seen) == (first.id, 2, first.first_seen)
    assert again.last_seen > first.last_seen
    assert (again.message, again.payload, again.run_key) == ("Rug: check digit is 5", {"value": "5"}, "r2")


def test_a_run_counts_a_cause_once_however_often_it_is_tried(store: Store) -> None:
    _raise(store, HELD, HELD, replace(HELD, message="later"), run="r1")
    _raise(store, HELD, run="r1")
    assert _only(store).count == 1
    _raise(store, HELD, run="r2")
    assert _only(store).count == 2


def test_links_and_kinds_are_apart(store: Store) -> None:
    _raise(store, HELD, replace(HELD, kind=Kind.RECORD_REFUSED), run="r1")
    _raise(store, HELD, run="r1", link="at")
    assert [record.kind for record in store.exceptions.open("de")] == [Kind.PRODUCT_HELD, Kind.RECORD_REFUSED]
    assert len(store.exceptions.open("de", Kind.RECORD_REFUSED)) == 1
    with store.begin() as conn:
        assert store.exceptions.resolve(conn, "de", Kind.PRODUCT_HELD, [HELD.cause_key], "r2") == 1
    assert [record.kind for record in store.exceptions.open("de")] == [Kind.RECORD_REFUSED]
    assert len(store.exceptions.open("at")) == 1


def test_causes_are_listed_while_they_are_open(store: Store) -> None:
    more = [replace(HELD, cause_key=f"p{number:04d}/1/gtin") for number in range(ROWS_PER_PAGE + 5)]
    _raise(store, *more, replace(OTHER, kind=Kind.RECORD_REFUSED), run="r1")
    _raise(store, HELD, run="r1", link="at")
    with store.begin() as conn:
        store.exceptions.resolve(conn, "de", Kind.PRODUCT_HELD, [more[0].cause_key], "r2")
    left = list(store.exceptions.open_causes("de", Kind.PRODUCT_HELD))
    assert left == [one.cause_key for one in more[1:]]


def test_the_oldest_is_listed_first(store: Store) -> None:
    _raise(store, OTHER, run="r1")
    _raise(store, HELD, run="r2")
    _raise(store, OTHER, run="r3")
    assert [record.cause_key for record in store.exceptions.open("de")] == [OTHER.cause_key, HELD.cause_key]


def test_nothing_is_raised_when_the_transaction_fails(store: Store) -> None:
    def crash() -> None:
        with store.begin() as conn:
            store.exceptions.raise_many(conn, "de", [HELD, OTHER], "r1")
            raise KeyError

    with pytest.raises(KeyError):
        crash()
    assert store.exceptions.open("de") == []


@pytest.mark.parametrize("status", [Status.NEW, Status.ACKNOWLEDGED, Status.IN_PROGRESS])
def test_a_verified_success_closes_what_is_open(store: Store, status: Status) -> None:
    _raise(store, HELD, OTHER, run="r1")
    _decide(store, HELD, status)
    with store.begin() as conn:
        closed = store.exceptions.resolve(conn, "de", Kind.PRODUCT_HELD, [HELD.cause_key, "unknown"], "r2")
    assert closed == 1
    assert _only(store).cause_key == OTHER.cause_key


def test_a_fixed_cause_that_comes_back_is_new_again(store: Store) -> None:
    _raise(store, HELD, run="r1", deadline=NOON)
    first = _only(store)
    _resolve(store, HELD, run="r2")
    assert store.exceptions.open("de") == []
    _raise(store, HELD, run="r3", deadline=NOON + timedelta(days=1))
    again = _only(store)
    assert (again.id, again.status, again.count, again.resolved_at) == (first.id, Status.NEW, 2, None)
    assert (again.first_seen, again.deadline) == (first.first_seen, NOON + timedelta(days=1))


def test_a_deadline_that_runs_stays(store: Store) -> None:
    _raise(store, HELD, run="r1", deadline=NOON)
    _raise(store, HELD, run="r2", deadline=NOON + timedelta(days=1))
    _raise(store, HELD, run="r3")
    assert _only(store).deadline == NOON


def test_what_comes_back_is_nobodys_yet_and_due_anew(store: Store) -> None:
    _raise(store, HELD, run="r1", deadline=NOON)
    _decide(store, HELD, Status.ACKNOWLEDGED)
    _resolve(store, HELD, run="r2")
    before = store.exceptions.get("de", 1)
    assert before.acknowledged_at
    _raise(store, HELD, run="r3")
    again = _only(store)
    assert again.acknowledged_at is None
    assert again.opened_at
    assert before.resolved_at
    assert again.opened_at > before.resolved_at
    assert again.deadline == load_policies().deadline(HELD.kind, again.opened_at)


@pytest.mark.parametrize("status", [Status.FIXED, Status.EXPECTED, Status.REJECTED])
def test_what_a_person_opens_again_is_due_anew(store: Store, status: Status) -> None:
    _raise(store, HELD, run="r1", deadline=NOON)
    _decide(store, HELD, status)
    assert store.exceptions.get("de", 1).deadline == NOON
    _decide(store, HELD, Status.NEW)
    again = _only(store)
    assert again.opened_at
    assert again.deadline == load_policies().deadline(HELD.kind, again.opened_at)


def test_to_confirm_that_it_is_new_leaves_its_deadline(store: Store) -> None:
    _raise(store, HELD, run="r1", deadline=NOON)
    _decide(store, HELD, Status.NEW)
    assert _only(store).deadline == NOON


@pytest.mark.parametrize("status", [Status.ACKNOWLEDGED, Status.IN_PROGRESS])
def test_somebodys_work_is_not_new_again_with_a_repeat(store: Store, status: Status) -> None:
    _raise(store, HELD, run="r1")
    _decide(store, HELD, status)
    _raise(store, HELD, run="r2")
    assert _only(store).status is status


@pytest.mark.parametrize("status", [Status.EXPECTED, Status.REJECTED])
def test_a_decision_of_a_person_outlives_repeats_and_successes(store: Store, status: Status) -> None:
    _raise(store, HELD, run="r1")
    _decide(store, HELD, status)
    for run in ("r2", "r3"):
        _raise(store, HELD, run=run)
        assert store.exceptions.open("de") == []
        assert _resolve(store, HELD, run=run) == 0
    _decide(store, HELD, Status.NEW)
    assert _only(store).count == 3


def test_a_decision_is_logged_with_the_person_and_what_it_changed(store: Store) -> None:
    _raise(store, HELD, run="r1")
    with store.begin() as conn:
        found = store.exceptions.decide(
            conn,
            "de",
            1,
            Action.EXPECTED,
            Status.EXPECTED,
            actor="ann",
            detail={"note": "sold as is"},
            outcome="known",
        )
    assert (found.status, found.outcome, found.is_open) == (Status.EXPECTED, "known", False)
    assert found == store.exceptions.get("de", 1)
    assert found.resolved_at
    (entry,) = store.audit_log.entries("exception/1")
    assert (entry.actor, entry.action, entry.link) == ("ann", "expected", "de")
    assert entry.detail == {"note": "sold as is", "before": "new", "status": "expected"}


def test_a_decision_and_its_entry_stand_or_fall_together(store: Store) -> None:
    _raise(store, HELD, run="r1")

    def crash() -> None:
        with store.begin() as conn:
            store.exceptions.decide(conn, "de", 1, Action.EXPECTED, Status.EXPECTED, actor="ann", detail={})
            raise KeyError

    with pytest.raises(KeyError):
        crash()
    assert _only(store).status is Status.NEW
    assert store.audit_log.entries() == []


@pytest.mark.parametrize("before", Status)
def test_only_what_may_follow_can_be_decided(store: Store, before: Status) -> None:
    for after in Status:
        one = replace(HELD, cause_key=f"{after}")
        _raise(store, one, run="r1")
        number = next(
            each.id for each in store.exceptions.find("de", EVERYTHING) if each.cause_key == one.cause_key
        )
        _set(store, number, before)
        if after is before or after in FOLLOWS[before]:
            _set(store, number, after)
            assert store.exceptions.get("de", number).status is after
        else:
            with pytest.raises(PermanentError, match=f"is {before}, so it cannot become {after}"):
                _set(store, number, after)
            assert store.exceptions.get("de", number).status is before


def test_what_is_tried_again_is_counted(store: Store) -> None:
    _raise(store, HELD, run="r1")
    for action in (Action.REPLAY, Action.APPROVE, Action.NOTE):
        with store.begin() as conn:
            store.exceptions.decide(conn, "de", 1, action, None, actor="ann", detail={})
    assert (_only(store).replays, _only(store).status) == (2, Status.NEW)


def test_what_does_not_exist_cannot_be_decided(store: Store) -> None:
    _raise(store, HELD, run="r1", link="at")
    (number,) = (record.id for record in store.exceptions.open("at"))
    with pytest.raises(PermanentError, match=f"Link 'de' has no exception {number}"):
        _set(store, number, Status.EXPECTED)
    with pytest.raises(PermanentError, match=f"Link 'de' has no exception {number}"):
        store.exceptions.get("de", number)
    assert store.audit_log.entries() == []
    assert store.exceptions.open("at")[0].status is Status.NEW


def test_exceptions_are_found_by_what_a_person_knows_of_them(store: Store) -> None:
    order = replace(
        OTHER, kind=Kind.ORDER_TAX, record="CS-01", place="Leeds", message="100% odd_rate", group="tax/books"
    )
    _raise(store, HELD, run="r1", deadline=NOON)
    _raise(store, order, run="r1", deadline=NOON + timedelta(hours=1))
    _decide(store, HELD, Status.EXPECTED)

    def found(**wanted: Any) -> list[int]:
        return [one.id for one in store.exceptions.find("de", Filter(**wanted))]

    assert found() == [2]
    assert found(statuses=tuple(Status)) == [1, 2]
    assert found(statuses=(Status.EXPECTED,)) == [1]
    assert found(kind="order_tax") == found(owner="finance") == found(cause_group="tax/books") == [2]
    assert found(kind="product_held") == found(owner="ecommerce") == found(cause_group="tax") == []
    assert found(text="leeds") == found(text="cs-01") == found(text="100% ODD_") == [2]
    assert found(text="%leeds") == found(text="oddXrate") == []
    assert found(overdue_at=NOON + timedelta(hours=2)) == [2]
    assert found(overdue_at=NOON + timedelta(hours=1)) == []
    assert [one.id for one in store.exceptions.find("de", EVERYTHING, limit=1)] == [1]


def test_many_are_raised_and_closed_at_once(store: Store) -> None:
    many = [replace(HELD, cause_key=f"{number:05d}") for number in range(2500)]
    _raise(store, *many, run="r1")
    assert [record.cause_key for record in store.exceptions.open("de")] == [one.cause_key for one in many]
    with store.begin() as conn:
        keys = [one.cause_key for one in many[1:]]
        assert store.exceptions.resolve(conn, "de", Kind.PRODUCT_HELD, keys + keys, "r2") == 2499
    assert _only(store).cause_key == many[0].cause_key


def _resolve(store: Store, one: NewException, *, run: str) -> int:
    with store.begin() as conn:
        return store.exceptions.resolve(conn, "de", one.kind, [one.cause_key], run)


def _decide(store: Store, one: NewException, status: Status) -> None:
    _set(store, 1 if one is HELD else 2, status)  # in the order in which they were raised


def _set(store: Store, number: int, status: Status) -> None:
    with store.begin() as conn:
        store.exceptions.decide(conn, "de", number, Action.NOTE, status, actor="ann", detail={})


def _only(store: Store) -> StoredException:
    (found,) = store.exceptions.open("de")
    return found
