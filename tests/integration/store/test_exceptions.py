"""What waits for a person: folded, counted, decided, reopened, never lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cogent_ops.domain.exceptions import Kind, NewException, Owner
from cogent_ops.errors import PermanentError
from cogent_ops.store import Status, Store, StoredException
from cogent_ops.store.sql import ROWS_PER_PAGE

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HELD = NewException(
    kind=Kind.PRODUCT_HELD,
    cause_key="p1/1/gtin",
    record="SKU-1",
    field="gtin",
    rule="gtin_check_digit",
    message="Rug: check digit is 3, not 4",
    cure="Correct the GTIN.",
    owner=Owner.MERCHANDISING,
    payload={"value": "4012345678904"},
)
OTHER = replace(HELD, cause_key="p2/1/gtin", record="SKU-2")


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
        "severity",
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
    assert found.first_seen == found.last_seen
    assert found.resolved_at is None


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
    _raise(store, HELD, run="r1")
    assert _only(store).deadline is None
    _raise(store, HELD, run="r2", deadline=NOON)
    assert _only(store).deadline == NOON
    _raise(store, HELD, run="r3", deadline=NOON + timedelta(days=1))
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


def test_a_decision_is_logged_with_the_person(store: Store) -> None:
    _raise(store, HELD, run="r1")
    number = _only(store).id
    store.exceptions.decide("de", number, Status.EXPECTED, actor="ann", note="sold as is")
    (entry,) = store.audit_log.entries(f"exception/{number}")
    assert (entry.actor, entry.action, entry.link) == ("ann", "decide_exception", "de")
    assert entry.detail == {"status": "expected", "note": "sold as is"}


def test_what_does_not_exist_cannot_be_decided(store: Store) -> None:
    _raise(store, HELD, run="r1", link="at")
    (number,) = (record.id for record in store.exceptions.open("at"))
    with pytest.raises(PermanentError, match=f"Link 'de' has no exception {number}"):
        store.exceptions.decide("de", number, Status.EXPECTED, actor="ann", note="")
    assert store.audit_log.entries() == []
    assert store.exceptions.open("at")[0].status is Status.NEW


def test_many_are_raised_and_closed_at_once(store: Store) -> None:
    many = [replace(HELD, cause_key=f"{number:05d}") for number in range(2500)]
    _raise(store, *many, run="r1")
    assert [record.cause_key for record in store.exceptions.open("de")] == [one.cause_key for one in many]
    with store.begin() as conn:
        keys = [one.cause_key for one in many[1:]]
        assert store.exceptions.resolve(conn, "de", Kind.PRODUCT_HELD, keys + keys, "r2") == 2499
    assert _only(store).cause_key == many[0].cause_key


def _raise(
    store: Store, *new: NewException, run: str, link: str = "de", deadline: datetime | None = None
) -> None:
    with store.begin() as conn:
        store.exceptions.raise_many(conn, link, new, run, deadline=deadline)


def _resolve(store: Store, one: NewException, *, run: str) -> int:
    with store.begin() as conn:
        return store.exceptions.resolve(conn, "de", one.kind, [one.cause_key], run)


def _decide(store: Store, one: NewException, status: Status) -> None:
    number = 1 if one is HELD else 2  # in the order in which they were raised
    store.exceptions.decide("de", number, status, actor="ann", note="looked at it")


def _only(store: Store) -> StoredException:
    (found,) = store.exceptions.open("de")
    return found
