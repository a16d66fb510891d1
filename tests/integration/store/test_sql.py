"""Bulk statements: many rows, many keys, pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from cogent_ops.store import Store
from cogent_ops.store.engine import database
from cogent_ops.store.schema import fingerprint, rate_budget
from cogent_ops.store.sql import ROWS_PER_PAGE, chunks, now, pages, upsert

MANY = 10_000


def test_many_rows_in_one_call(store: Store) -> None:
    ids = [f"{number:05d}" for number in range(MANY)]
    store.fingerprints.remember("x", "product", dict.fromkeys(ids, "old"), "1")
    store.fingerprints.remember("x", "product", dict.fromkeys(reversed(ids[::2]), "new"), "2")
    found = store.fingerprints.known("x", "product", [*ids, "unknown"])
    assert found == {id_: "old" if int(id_) % 2 else "new" for id_ in ids}
    assert list(store.fingerprints.ids("x", "product")) == ids
    store.fingerprints.forget("x", "product", ids[1:])
    assert list(store.fingerprints.ids("x", "product")) == ids[:1]


def test_an_update_changes_what_it_is_told_to(store_url: URL) -> None:
    row = {
        "target": "a",
        "tokens": 1.0,
        "refilled_at": 1.0,
        "factor": 1.0,
        "cut_at": 1.0,
        "blocked_until": 1.0,
        "used": 1.0,
    }
    other = row | {"target": "b"}
    newer = {name: value if name == "target" else 5.0 for name, value in row.items()}
    b = rate_budget.c
    with database(store_url).begin() as conn:
        upsert(conn, rate_budget, [])
        upsert(conn, rate_budget, iter([row, other]))
        upsert(conn, rate_budget, [newer], fixed=("cut_at",), changes={"tokens": b.tokens + 10})
        rows = conn.execute(sa.select(rate_budget).order_by(b.target)).all()
    assert [dict(found._mapping) for found in rows] == [newer | {"cut_at": 1.0, "tokens": 11.0}, other]


def test_pages_cover_everything_once_and_in_order(store: Store, store_url: URL) -> None:
    kinds = [f"kind-{number % 3}" for number in range(2 * ROWS_PER_PAGE + 7)]
    with database(store_url).begin() as conn:
        rows = [_row(kind, f"{number:05d}") for number, kind in enumerate(kinds)]
        upsert(conn, fingerprint, rows)
    f = fingerprint.c
    query = sa.select(f.kind, f.id).where(f.link == "x")
    found = [(row.kind, row.id) for row in pages(database(store_url), query, f.kind, f.id)]
    assert found == sorted((row["kind"], row["id"]) for row in rows)


def test_the_caller_may_write_between_pages(store: Store) -> None:
    ids = [f"{number:05d}" for number in range(3 * ROWS_PER_PAGE)]
    store.fingerprints.remember("x", "product", dict.fromkeys(ids, "1"), "run")
    seen = []
    for id_ in store.fingerprints.ids("x", "product"):
        if int(id_) % 500 == 0:
            store.fingerprints.forget("x", "product", [id_])
        seen.append(id_)
    assert seen == ids
    assert len(list(store.fingerprints.ids("x", "product"))) == len(ids) - 6


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (3, [3]), (7, [3, 3, 1])])
def test_chunks(count: int, sizes: list[int]) -> None:
    assert [len(chunk) for chunk in chunks(iter(range(count)), 3)] == sizes


LOOKUPS: list[tuple[str, Callable[[Store, list[str]], Any], Any]] = [
    ("known", lambda store, keys: store.fingerprints.known("x", "product", keys), {}),
    ("states", lambda store, keys: store.catalogue.states("x", keys), {}),
    ("previous_skus", lambda store, keys: store.catalogue.previous_skus("x", keys), {}),
    ("conflicts", lambda store, keys: store.catalogue.sku_conflicts("x", keys), {}),
    ("lookalikes", lambda store, keys: store.catalogue.lookalikes("x", keys), {}),
    ("elsewhere", lambda store, keys: store.catalogue.carried_elsewhere("x", keys, "p"), {}),
    ("forget", lambda store, keys: store.fingerprints.forget("x", "product", keys), None),
    ("remove", lambda store, keys: store.catalogue.remove_products("x", keys), None),
]


@pytest.mark.parametrize(
    ("lookup", "nothing"), [case[1:] for case in LOOKUPS], ids=[case[0] for case in LOOKUPS]
)
@pytest.mark.parametrize("count", [0, 1, 70_000])
def test_any_number_of_keys(
    store: Store, lookup: Callable[[Store, list[str]], Any], nothing: Any, count: int
) -> None:
    assert lookup(store, [str(number) for number in range(count)]) == nothing


def _row(kind: str, id_: str) -> dict[str, Any]:
    return {"link": "x", "kind": kind, "id": id_, "hash": "h", "run_key": "run", "updated_at": now()}
