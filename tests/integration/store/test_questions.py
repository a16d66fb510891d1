"""Each question is put to people once at a time, whatever runs ask, and again when there is a reason to."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.trouble import HELD

from cogent_ops.domain.exceptions import Action, Kind, Status
from cogent_ops.store import Cause, Store
from cogent_ops.store.questions import HOLD, LOST

KINDS = (Kind.ORDER_TAX, Kind.ORDER_LOCATION)
TAX = replace(HELD, kind=Kind.ORDER_TAX, group="tax/books")
NOW = datetime.now(UTC)


def raise_(
    store: Store, *causes: str, group: str = "tax/books", kind: Kind = Kind.ORDER_TAX, run: str = "r1"
) -> None:
    new = [replace(TAX, cause_key=cause, group=group, kind=kind) for cause in causes]
    with store.begin() as conn:
        store.exceptions.raise_many(conn, "de", new, run)


def claim(store: Store, run: str, *, at: datetime | None = None, limit: int = 20) -> dict[str, list[str]]:
    """Cause keys by group of what a run is given to ask."""
    found = store.questions.claim("de", KINDS, run, at or NOW, limit=limit)
    return {one.cause_group: [each.cause_key for each in one.exceptions] for one in found}


def answer(store: Store, run: str, at: datetime | None) -> None:
    ids = store.questions.asked("de", run, range(100))
    with store.begin() as conn:
        store.questions.answered(conn, "de", run, ids, at=at)


def decide(store: Store, number: int, action: Action, status: Status) -> None:
    with store.begin() as conn:
        store.exceptions.decide(conn, "de", number, action, status, actor="ann", detail={})


def is_due(store: Store, at: datetime = NOW) -> bool:
    return store.questions.is_due("de", KINDS, at)


def test_one_question_a_cause(store: Store) -> None:
    assert not is_due(store)
    raise_(store, "a", "b")
    raise_(store, "c", group="tax/toys")
    raise_(store, "d", group="")
    raise_(store, "a", kind=Kind.ORDER_LOCATION, group="location/x")
    assert is_due(store)
    assert claim(store, "run") == {
        "tax/books": ["a", "b"],
        "tax/toys": ["c"],
        "d": ["d"],
        "location/x": ["a"],
    }
    assert not is_due(store)
    assert claim(store, "other") == {}


def test_only_what_can_be_decided_and_is_open_is_asked(store: Store) -> None:
    raise_(store, "a", kind=Kind.PRODUCT_HELD)
    raise_(store, "b", "c")
    decide(store, 2, Action.REJECT, Status.REJECTED)
    assert store.questions.claim("at", KINDS, "run", NOW, limit=20) == []
    assert claim(store, "run") == {"tax/books": ["c"]}


def test_the_oldest_come_first_and_no_more_than_one_run_takes(store: Store) -> None:
    for number in range(5):
        raise_(store, f"c{number}", group=f"g{number}")
    assert list(claim(store, "one", limit=2)) == ["g0", "g1"]
    assert list(claim(store, "two", limit=2)) == ["g2", "g3"]
    assert list(claim(store, "one", limit=2)) == [
        "g0",
        "g1",
        "g4",
    ]  # tried again: what it had, and what is left


def test_what_is_raised_while_its_cause_is_asked_about_waits_for_the_answer(store: Store) -> None:
    raise_(store, "a")
    assert claim(store, "one") == {"tax/books": ["a"]}
    raise_(store, "b")
    assert not is_due(store)
    assert claim(store, "two") == {}
    answer(store, "one", NOW)
    assert claim(store, "two") == {"tax/books": ["b"]}


@pytest.mark.parametrize(
    ("answered", "after", "again"),
    [
        (None, timedelta(0), True),  # a dry run, or what could not be done
        (NOW, timedelta(0), False),
        (NOW, HOLD - timedelta(seconds=1), False),
        (NOW, HOLD, True),
    ],
)
def test_an_answer_that_left_it_open_is_asked_for_again(
    store: Store, answered: datetime | None, after: timedelta, again: bool
) -> None:
    raise_(store, "a")
    claim(store, "one")
    answer(store, "one", answered)
    assert is_due(store, NOW + after) is again
    assert bool(claim(store, "two", at=NOW + after)) is again


def test_a_replay_that_failed_again_is_asked_about_at_once_and_one_that_is_under_way_is_not(
    store: Store,
) -> None:
    raise_(store, "a")
    claim(store, "one")
    decide(store, 1, Action.REPLAY, Status.IN_PROGRESS)
    answered = datetime.now(UTC)
    answer(store, "one", answered)
    assert not is_due(store, answered)
    raise_(store, "a", run="r2")
    assert is_due(store, datetime.now(UTC))


def test_a_hold_is_kept_although_the_cause_repeats(store: Store) -> None:
    raise_(store, "a")
    claim(store, "one")
    decide(store, 1, Action.HOLD, Status.ACKNOWLEDGED)
    answer(store, "one", datetime.now(UTC))
    raise_(store, "a", run="r2")
    assert not is_due(store, datetime.now(UTC))


def test_a_run_that_died_while_it_asked_is_succeeded(store: Store) -> None:
    raise_(store, "a")
    claim(store, "dead")
    assert claim(store, "next", at=NOW + LOST - timedelta(seconds=1)) == {}
    assert claim(store, "next", at=NOW + LOST) == {"tax/books": ["a"]}
    assert store.questions.asked("de", "dead", [1]) == []
    answer(store, "dead", None)
    assert store.questions.asked("de", "next", [1, 2]) == [1]


def test_what_comes_back_after_it_was_fixed_is_a_new_question(store: Store) -> None:
    raise_(store, "a")
    claim(store, "one")
    with store.begin() as conn:
        store.exceptions.resolve(conn, "de", Kind.ORDER_TAX, ["a"], "r2")
    assert not is_due(store)
    raise_(store, "a", run="r3")
    assert claim(store, "two") == {"tax/books": ["a"]}


def test_runs_that_ask_at_the_same_time_never_ask_the_same(store: Store) -> None:
    for number in range(30):
        raise_(store, f"c{number}", group=f"g{number}")

    def ask(run: int) -> list[Cause]:
        return store.questions.claim("de", KINDS, f"run {run}", NOW, limit=8)

    with ThreadPoolExecutor(4) as pool:
        asked = Counter(one.cause_group for found in pool.map(ask, range(8)) for one in found)
    assert asked == Counter({f"g{number}": 1 for number in range(30)})
