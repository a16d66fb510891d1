"""Many processes at once: nothing is lost, nobody waits in a circle, readers are not disturbed."""

from __future__ import annotations

import random
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.engine import URL
from tests.integration.store.test_catalogue import RUG
from tests.support.processes import together
from tests.support.trouble import HELD

from cogent_ops.domain.exceptions import Kind
from cogent_ops.store import ProductState, Store
from cogent_ops.store.engine import database
from cogent_ops.store.schema import rate_budget

PROCESSES = 4
TIMES = 25


def test_reading_computing_and_writing_loses_nothing(store: Store, store_url: URL) -> None:
    opened, b = database(store_url), rate_budget.c
    row = {
        "target": "a",
        "tokens": 0.0,
        "refilled_at": 0.0,
        "factor": 1.0,
        "cut_at": 0.0,
        "blocked_until": 0.0,
    }
    with opened.begin() as conn:
        conn.execute(rate_budget.insert().values(row))

    def add(_: int) -> None:
        for _ in range(TIMES):
            with opened.begin() as conn:
                count = conn.execute(sa.select(b.tokens).with_for_update()).scalar_one()
                conn.execute(rate_budget.update().values(tokens=count + 1))

    together(add, PROCESSES)
    with opened.read() as conn:
        assert conn.execute(sa.select(b.tokens)).scalar_one() == PROCESSES * TIMES


def test_every_repeat_of_a_cause_counts(store: Store) -> None:
    def repeat(number: int) -> None:
        for time in range(TIMES):
            with store.begin() as conn:
                store.exceptions.raise_(conn, "de", HELD, f"run {number}/{time}")

    together(repeat, PROCESSES)
    (found,) = store.exceptions.open("de")
    assert found.count == PROCESSES * TIMES


def test_every_start_of_a_run_counts(store: Store) -> None:
    def start(_: int) -> None:
        for _ in range(TIMES):
            store.runs.start("de", "sync", "r1", "delta")

    together(start, PROCESSES)
    (run,) = store.runs.recent()
    assert run.attempts == PROCESSES * TIMES


def test_one_of_many_acceptances_counts(store: Store) -> None:
    audit = store.audits.record("de", "r1", verdict="no_go", counts={})

    def accept(number: int) -> str | None:
        return store.audits.accept("de", audit.id, actor=f"person {number}", note="ok").accepted_by

    (winner,) = set(together(accept, PROCESSES))
    (entry,) = store.audit_log.entries()
    assert entry.actor == winner


def test_touching_the_same_rows_in_any_order_locks_nobody_out(store: Store) -> None:
    """A deadlock would end one of the processes with StoreUnavailable."""
    ids = [f"p{number:03d}" for number in range(200)]

    def churn(seed: int) -> None:
        dice = random.Random(seed)
        for time in range(8):
            some = dice.sample(ids, 150)
            store.fingerprints.remember("de", "product", dict.fromkeys(some, "h"), f"run {seed}")
            store.fingerprints.forget("de", "product", dice.sample(ids, 150))
            store.catalogue.record_products("de", f"run {seed}", [_state(id_, dice) for id_ in some])
            rows = [(id_, id_, number) for id_ in some for number in dice.sample(range(3), 2)]
            store.catalogue.register_skus("de", f"run {seed}/{time}", some, rows)
            store.catalogue.remove_products("de", dice.sample(ids, 100))
            with store.begin() as conn:
                causes = [replace(HELD, cause_key=id_) for id_ in some]
                store.exceptions.raise_many(conn, "de", causes, f"run {seed}")
            with store.begin() as conn:
                store.exceptions.resolve(conn, "de", Kind.PRODUCT_HELD, dice.sample(ids, 150), f"run {seed}")

    together(churn, PROCESSES)


def test_reading_goes_on_while_others_write(store: Store) -> None:
    ids = [f"p{number:03d}" for number in range(100)]

    def work(number: int) -> None:
        for time in range(TIMES):
            if number == 0:
                hashes = set(store.fingerprints.known("de", "product", ids).values())
                assert len(hashes) <= 1, "half of a transaction was seen"
            else:
                store.fingerprints.remember("de", "product", dict.fromkeys(ids, f"{number}/{time}"), "run")

    together(work, PROCESSES)


def _state(product_id: str, dice: random.Random) -> ProductState:
    groups = tuple(dice.sample(["g1", "g2", "g3"], 2))
    return replace(RUG, product_id=product_id, group_ids=groups, group_order={})
