"""The SKU registry against a simple model: who carries which SKU, and carried it before the present run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cogent_ops.domain.text import fold
from cogent_ops.store import Store

RUNS = ("r1", "r2", "r3")
PRODUCTS = ("p1", "p2", "p3")
SKUS = ("A", "a", "A ", "B", "ß", "SS", "ss")

Carried = dict[tuple[str, int], str]


@dataclass(frozen=True)
class Begin:
    """A run begins (or is tried again)."""

    run: str

    def apply(self, store: Store, link: str, model: Model) -> None:
        store.runs.start(link, "catalogue_sync", self.run, "full")
        model.clock += 1
        model.began.setdefault(self.run, model.clock)


@dataclass(frozen=True)
class Register:
    """A run saw these products, which carry these SKUs and no others."""

    run: str
    carried: dict[str, dict[int, str]]

    def apply(self, store: Store, link: str, model: Model) -> None:
        rows = [(sku, id_, number) for id_, skus in self.carried.items() for number, sku in skus.items()]
        for _ in range(2):  # a repetition changes nothing
            store.catalogue.register_skus(link, self.run, list(self.carried), rows)
        model.register(self.run, {(id_, number): sku for sku, id_, number in rows}, set(self.carried))


@dataclass(frozen=True)
class Prune:
    """A run has seen the whole catalogue."""

    run: str

    def apply(self, store: Store, link: str, model: Model) -> None:
        assert store.catalogue.prune_skus(link, self.run) == model.prune(self.run)


@dataclass(frozen=True)
class Remove:
    """A product is gone."""

    product_id: str

    def apply(self, store: Store, link: str, model: Model) -> None:
        store.catalogue.remove_products(link, [self.product_id])
        model.rows = {key: row for key, row in model.rows.items() if key[0] != self.product_id}


@dataclass
class Row:
    sku: str
    before: str | None
    run: str
    at: int


@dataclass
class Model:
    """What the registry should hold; a step counter is its clock."""

    rows: dict[tuple[str, int], Row] = field(default_factory=dict)
    began: dict[str, int] = field(default_factory=dict)
    clock: int = 0

    def register(self, run: str, carried: Carried, products: set[str]) -> None:
        self.clock += 1
        before = {key: self.before(key, run) for key in carried}
        self.rows = {key: row for key, row in self.rows.items() if key[0] not in products}
        for key, sku in carried.items():
            self.rows[key] = Row(sku, before[key], run, self.clock)

    def before(self, key: tuple[str, int], run: str | None) -> str | None:
        row = self.rows.get(key)
        if row is None:
            return None
        return row.before if row.run == run else row.sku

    def prune(self, run: str) -> int:
        began = self.began.get(run, self.clock + 1)
        gone = [key for key, row in self.rows.items() if row.run != run and row.at < began]
        for key in gone:
            del self.rows[key]
        return len(gone)


runs = st.sampled_from(RUNS)
products = st.sampled_from(PRODUCTS)
variants = st.dictionaries(st.integers(1, 3), st.sampled_from(SKUS), max_size=3)
steps = st.one_of(
    st.builds(Begin, runs),
    st.builds(Register, runs, st.dictionaries(products, variants, min_size=1, max_size=3)),
    st.builds(Prune, runs),
    st.builds(Remove, products),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(steps, max_size=10))
def test_any_history_leaves_what_the_model_says(
    store: Store, history: list[Begin | Register | Prune | Remove]
) -> None:
    link, model = str(uuid4()), Model()
    store.catalogue.register_skus("another link", "r1", ["p1"], [("A", "p1", 1), ("A", "p1", 2)])
    for step in history:
        step.apply(store, link, model)
    _assert_alike(store, link, model)


def _assert_alike(store: Store, link: str, model: Model) -> None:
    for run in (None, *RUNS):
        assert store.catalogue.previous_skus(link, PRODUCTS, run_key=run) == {
            key: sku for key in model.rows if (sku := model.before(key, run)) is not None
        }
    skus = [row.sku for row in model.rows.values()]
    assert store.catalogue.sku_conflicts(link, SKUS) == {
        sku: count for sku, count in Counter(skus).items() if count > 1
    }
    assert store.catalogue.lookalikes(link, SKUS) == {
        sku: min(alike)
        for sku in SKUS
        if (alike := {other for other in skus if other != sku and fold(other) == fold(sku)})
    }
    for product_id in PRODUCTS:
        others: dict[str, set[str]] = {}
        for (other, _), row in model.rows.items():
            if other != product_id:
                others.setdefault(row.sku, set()).add(other)
        assert store.catalogue.carried_elsewhere(link, SKUS, product_id) == others


def test_a_run_tried_again_still_knows_what_was_before_it(store: Store) -> None:
    catalogue = store.catalogue
    catalogue.register_skus("de", "r1", ["p1"], [("OLD", "p1", 1)])
    catalogue.register_skus("de", "r2", ["p1"], [("NEW", "p1", 1)])
    catalogue.register_skus("de", "r2", ["p1"], [("NEWER", "p1", 1)])
    assert catalogue.previous_skus("de", ["p1"], run_key="r2") == {("p1", 1): "OLD"}
    assert catalogue.previous_skus("de", ["p1"], run_key="r3") == {("p1", 1): "NEWER"}


def test_pruning_keeps_what_another_run_registered_meanwhile(store: Store) -> None:
    catalogue = store.catalogue
    catalogue.register_skus("de", "before", ["p1", "p2"], [("A", "p1", 1), ("B", "p2", 1)])
    store.runs.start("de", "catalogue_sync", "full", "full")
    catalogue.register_skus("de", "full", ["p2"], [("B", "p2", 1)])
    catalogue.register_skus("de", "delta", ["p3"], [("C", "p3", 1)])
    assert catalogue.prune_skus("de", "full") == 1
    assert set(catalogue.previous_skus("de", ["p1", "p2", "p3"]).values()) == {"B", "C"}


def test_products_without_any_sku_are_registered_as_such(store: Store) -> None:
    catalogue = store.catalogue
    catalogue.register_skus("de", "r1", ["p1"], [("A", "p1", 1), ("B", "p1", 2)])
    catalogue.register_skus("de", "r2", ["p1"], [])
    assert catalogue.previous_skus("de", ["p1"]) == {}
    assert catalogue.sku_conflicts("de", ["A", "B"]) == {}


def test_a_large_catalogue(store: Store) -> None:
    rows = [(f"SKU-{number % 4999}", f"p{number // 10}", number % 10) for number in range(5000)]
    ids = [f"p{number}" for number in range(500)]
    store.catalogue.register_skus("de", "r1", ids, rows)
    assert store.catalogue.sku_conflicts("de", [sku for sku, _, _ in rows]) == {"SKU-0": 2}
    assert len(store.catalogue.previous_skus("de", ids)) == 5000
    store.catalogue.register_skus("de", "r2", ids, rows[::2])
    assert len(store.catalogue.previous_skus("de", ids)) == 2500
