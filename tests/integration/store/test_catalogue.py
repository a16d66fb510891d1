"""What the kiosk shows of each product: states, groups, totals."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from cogent_ops.store import ProductState, Store, Totals
from cogent_ops.store.sql import ROWS_PER_PAGE, now

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
RUG = ProductState(
    product_id="p1",
    product_key="rug",
    product_name="Rug",
    version=7,
    modified_at=NOON,
    status="partial",
    on_kiosk=True,
    recheck=True,
    skus=("B", "A"),
    group_ids=("g1", "g2"),
    group_order={"g2": "0.5"},
)
VASE = replace(
    RUG, product_id="p2", status="pushed", recheck=False, skus=("C",), group_ids=("g2",), group_order={}
)
HELD = replace(RUG, product_id="p3", status="held", on_kiosk=False, skus=(), group_ids=(), group_order={})


def test_a_state_comes_back_as_it_was(store: Store) -> None:
    store.catalogue.record_products("de", "r1", [RUG, HELD])
    assert store.catalogue.states("de", ["p1", "p3", "p9"]) == {"p1": RUG, "p3": HELD}
    assert list(store.catalogue.products("de")) == [RUG, HELD]
    assert store.catalogue.states("at", ["p1"]) == {}


def test_a_later_state_replaces_all_of_the_earlier(store: Store) -> None:
    store.catalogue.record_products("de", "r1", [RUG, VASE])
    later = replace(
        RUG, version=8, status="pushed", skus=("A",), group_ids=("g3",), group_order={"g3": "0.1"}
    )
    store.catalogue.record_products("de", "r2", [later])
    assert store.catalogue.states("de", ["p1", "p2"]) == {"p1": later, "p2": VASE}
    assert store.catalogue.group_members("de", ["g1", "g2", "g3"]) == {"g1": [], "g2": ["p2"], "g3": ["p1"]}
    store.catalogue.record_products("de", "r3", [])
    assert store.catalogue.states("de", ["p1"]) == {"p1": later}


def test_the_order_in_which_groups_are_named_makes_no_other_state(store: Store) -> None:
    same = replace(RUG, group_ids=("g2", "g1", "g2"))
    assert same == RUG
    store.catalogue.record_products("de", "r1", [same])
    assert store.catalogue.states("de", ["p1"]) == {"p1": RUG}


def test_an_unknown_status_is_refused(store: Store) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        store.catalogue.record_products("de", "r1", [replace(RUG, status="sold")])  # type: ignore[arg-type]
    assert store.catalogue.states("de", ["p1"]) == {}


def test_products_are_listed_by_id_and_status(store: Store) -> None:
    store.catalogue.record_products("de", "r1", [HELD, VASE, RUG])
    store.catalogue.record_products("at", "r1", [replace(RUG, product_id="p0")])
    assert list(store.catalogue.products("de")) == [RUG, VASE, HELD]
    assert list(store.catalogue.products("de", "held")) == [HELD]
    assert list(store.catalogue.product_ids("de")) == ["p1", "p2", "p3"]
    assert list(store.catalogue.product_ids("de", on_kiosk=True)) == ["p1", "p2"]
    assert store.catalogue.recheck_ids("de") == ["p1", "p3"]


def test_more_products_than_a_page(store: Store) -> None:
    ids = [f"{number:05d}" for number in range(2 * ROWS_PER_PAGE + 3)]
    store.catalogue.record_products("de", "r1", [replace(RUG, product_id=id_) for id_ in ids])
    assert [state.product_id for state in store.catalogue.products("de")] == ids
    assert [state.group_order for state in store.catalogue.products("de")] == [RUG.group_order] * len(ids)
    assert [product_id for _, product_id in store.catalogue.members("de")] == 2 * ids
    assert store.catalogue.totals("de") == Totals(len(ids), 2 * len(ids), 2)


def test_members_are_ordered_by_hint_then_id(store: Store) -> None:
    hints = {
        "p-plain-b": None,
        "p-plain-a": None,
        "p-last": "0.91",
        "p-tie-b": "0.5",
        "p-tie-a": "0.500",
        "p-first": "1e-7",
        "p-wrong-a": "first",
        "p-wrong-b": "NaN",
        "p-wrong-c": "Infinity",
    }
    states = [
        replace(RUG, product_id=id_, group_ids=("g",), group_order={} if hint is None else {"g": hint})
        for id_, hint in hints.items()
    ]
    random.Random(7).shuffle(states)
    store.catalogue.record_products("de", "r1", states)
    wanted = ["p-first", "p-tie-a", "p-tie-b", "p-last", "p-plain-a", "p-plain-b"]
    wanted += ["p-wrong-a", "p-wrong-b", "p-wrong-c"]
    assert store.catalogue.group_members("de", ["g", "unknown"]) == {"g": wanted, "unknown": []}
    assert list(store.catalogue.members("de")) == [("g", id_) for id_ in wanted]


def test_a_group_shows_what_the_kiosk_shows(store: Store) -> None:
    lost = replace(VASE, product_id="p4", on_kiosk=False, status="held")
    store.catalogue.record_products("de", "r1", [RUG, VASE, lost])
    assert store.catalogue.group_members("de", ["g1", "g2"]) == {"g1": ["p1"], "g2": ["p1", "p2"]}
    assert list(store.catalogue.members("de")) == [("g1", "p1"), ("g2", "p1"), ("g2", "p2")]
    store.catalogue.record_products("de", "r2", [replace(RUG, on_kiosk=False)])
    assert list(store.catalogue.members("de")) == [("g2", "p2")]


def test_members_as_they_would_be(store: Store) -> None:
    store.catalogue.record_products("de", "r1", [RUG, VASE, HELD])
    supposed: dict[str, dict[str, str | None]] = {
        "p1": {"g1": "0.7", "g9": None},  # leaves g2, joins g9
        "p3": {"g1": "0.2"},  # held so far
        "p7": {"g2": None},  # new
    }
    assert store.catalogue.group_members("de", ["g1", "g2"], instead=supposed) == {
        "g1": ["p3", "p1"],
        "g2": ["p2", "p7"],
    }
    assert list(store.catalogue.members("de", instead=supposed)) == [
        ("g1", "p3"),
        ("g1", "p1"),
        ("g2", "p2"),
        ("g2", "p7"),
        ("g9", "p1"),
    ]
    assert list(store.catalogue.members("de", instead={"p1": {}})) == [("g2", "p2")]


def test_a_state_tells_when_it_was_recorded(store: Store) -> None:
    before = now()
    store.catalogue.record_products("de", "r1", [RUG])
    recorded = store.catalogue.states("de", ["p1"])["p1"].recorded_at
    assert recorded is not None
    assert before <= recorded <= now()


def test_totals_count_what_the_kiosk_shows(store: Store) -> None:
    assert store.catalogue.totals("de") == Totals(0, 0, 0)
    odd = replace(VASE, skus=("\0", '"', "\ud800"))
    lost = replace(RUG, product_id="p4", on_kiosk=False, group_ids=("g9",), group_order={})
    store.catalogue.record_products("de", "r1", [RUG, odd, HELD, lost])
    store.catalogue.record_products("at", "r1", [RUG])
    assert store.catalogue.totals("de") == Totals(products=2, variants=5, groups=2)


def test_a_removed_product_leaves_nothing(store: Store) -> None:
    for link in ("de", "at"):
        store.catalogue.record_products(link, "r1", [RUG, VASE])
        store.catalogue.register_skus(link, "r1", ["p1", "p2"], [("A", "p1", 1), ("C", "p2", 1)])
    store.catalogue.remove_products("de", ["p1", "p9"])
    store.catalogue.remove_products("de", [])
    assert list(store.catalogue.product_ids("de")) == ["p2"]
    assert list(store.catalogue.members("de")) == [("g2", "p2")]
    assert store.catalogue.previous_skus("de", ["p1", "p2"]) == {("p2", 1): "C"}
    assert list(store.catalogue.product_ids("at")) == ["p1", "p2"]
    assert store.catalogue.previous_skus("at", ["p1"]) == {("p1", 1): "A"}
