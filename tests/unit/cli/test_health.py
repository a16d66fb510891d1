"""``cogent-ops health``: how a link stands, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cogent_ops.domain.health.model import (
    Account,
    BudgetUse,
    Check,
    Flow,
    Freshness,
    HourAccount,
    Queue,
    Snapshot,
    State,
    StoreHealth,
)
from cogent_ops.store import Store

pytestmark = pytest.mark.airflow

Run = Callable[..., tuple[int, str, str]]
NOW = datetime.now(UTC)
HOUR = NOW.replace(minute=0, second=0, microsecond=0)
SNAPSHOT = Snapshot(
    link="default",
    checked_at=NOW,
    state=State.LATE,
    sentence="Stock in commercetools is 14 min old, agreed are 60 s.",
    flows=(
        Freshness(flow=Flow.STOCK, state=State.LATE, age=840.0, target=60.0, waiting=12, cause="It stands."),
    ),
    stores=(
        StoreHealth(
            place="leeds",
            name="Leeds",
            state=State.LATE,
            hours=(HourAccount(hour=HOUR, orders=Account(seen=4, done=3), units=Account(seen=9, done=9)),),
            reasons=("no order",),
        ),
        StoreHealth(place="york", name="York", state=State.GOOD),
    ),
    budgets=(BudgetUse(target="commercetools/p", state=State.GOOD, rate=50.0, factor=1.0, used=0.25),),
    checks=(
        Check(name="Messages", state=State.UNKNOWN, message="not allowed to look", cure="give the scope"),
    ),
    queues=(Queue(owner="finance", open=3, overdue=1, oldest=NOW),),
)


def save(store: Store, **other: Any) -> None:
    """Store what a check has found just now."""
    found = SNAPSHOT.model_copy(update={"checked_at": datetime.now(UTC), **other})
    with store.begin() as conn:
        store.health.save(conn, found, "run")


def test_the_last_check_is_told_in_words_and_tables(run: Run, store: Store) -> None:
    save(store)
    code, out, _ = run("health")
    assert code == 1
    assert out.startswith("Stock in commercetools is 14 min old, agreed are 60 s.\nChecked ")
    lines = [line.split() for line in out.splitlines()]
    assert ["stock", "late", "14", "min", "60", "s", "12", "0", "It", "stands."] in lines
    assert ["orders", "4", "3", "0", "0", "0", "1"] in lines
    assert ["units", "9", "9", "0", "0", "0", "0"] in lines
    assert "Leeds" in out
    assert "York" not in out
    assert ["commercetools/p", "good", "25%", "100%", "50"] in lines
    assert "not allowed to look" in out
    assert "York" in run("health", "--stores")[1]


@pytest.mark.parametrize(
    ("state", "code"), [(State.GOOD, 0), (State.UNKNOWN, 1), (State.LATE, 1), (State.BAD, 2)]
)
def test_programs_hear_it_by_the_exit_code(run: Run, store: Store, state: State, code: int) -> None:
    save(store, state=state)
    found, out, _ = run("health", "--json")
    assert found == code
    assert json.loads(out)["state"] == state.value


def test_an_old_check_says_nothing_of_the_present(run: Run, store: Store) -> None:
    save(store, checked_at=NOW - timedelta(hours=1), state=State.GOOD)
    code, out, _ = run("health")
    assert code == 2
    assert "That is too long ago" in out


def test_a_link_that_was_never_checked_says_what_to_do(run: Run, store: Store) -> None:
    code, out, _ = run("health", "--link", "default")
    assert code == 2
    assert "unpause the DAG sync_health" in out
