"""Categories to groups: paths, order, and trees that no tree should be like."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from cogent_ops.domain.categories import CategoryTree
from cogent_ops.domain.commercetools import Category, Reference
from cogent_ops.domain.rules import GroupRules


def category(id_: str, parent: str | None = None, hint: str = "0.5", name: str | None = None) -> Category:
    return Category(
        id=id_,
        key=f"key-{id_}",
        name={"de": id_.upper() if name is None else name},
        parent=None if parent is None else Reference(type_id="category", id=parent),
        order_hint=hint,
    )


def tree(categories: Iterable[Category], **rules: object) -> CategoryTree:
    return CategoryTree(categories, GroupRules.model_validate(rules), ("de",))


def names(found: CategoryTree) -> list[str]:
    return [name for _, name in found.grouped()]


SHOP = [
    category("boots", "shoes", "0.2"),
    category("shoes", "women", "0.1"),
    category("women", None, "0.2"),
    category("men", None, "0.10"),
    category("pumps", "shoes", "0.1"),
]


def test_path_names_in_the_order_of_the_tree() -> None:
    assert names(tree(SHOP)) == [
        "MEN",
        "WOMEN",
        "WOMEN > SHOES",
        "WOMEN > SHOES > PUMPS",
        "WOMEN > SHOES > BOOTS",
    ]


def test_separator() -> None:
    assert "WOMEN/SHOES" in names(tree(SHOP, separator="/"))


def test_products_join_their_own_category_or_those_above_it_too() -> None:
    assert tree(SHOP).groups_of("boots") == ("boots",)
    assert tree(SHOP, include_ancestors=True).groups_of("boots") == ("women", "shoes", "boots")


def test_excluded_categories_take_those_below_along() -> None:
    found = tree(SHOP, exclude=("key-shoes",))
    assert names(found) == ["MEN", "WOMEN"]
    assert found.groups_of("boots") == ()
    assert "boots" in found


def test_what_lies_deeper_joins_the_deepest_level() -> None:
    found = tree(SHOP, max_depth=2)
    assert names(found) == ["MEN", "WOMEN", "WOMEN > SHOES"]
    assert found.groups_of("boots") == ("shoes",)


def test_unknown_category() -> None:
    assert "nowhere" not in tree(SHOP)
    assert tree(SHOP).groups_of("nowhere") == ()


def test_missing_parent_makes_a_root() -> None:
    assert names(tree([category("boots", "gone")])) == ["BOOTS"]


def test_a_circle_is_cut() -> None:
    found = tree([category("a", "b"), category("b", "a"), category("c", "c")])
    assert sorted(names(found)) == ["A > B", "B > A", "C"]


def test_a_category_without_a_name_is_called_by_its_key() -> None:
    assert names(tree([category("x", name="  ")])) == ["key-x"]


def test_names_are_made_one_line() -> None:
    assert names(tree([category("x", name="Schuhe\t&\x00 mehr ")])) == ["Schuhe & mehr"]


def test_hints_that_are_no_numbers_go_last() -> None:
    assert names(
        tree([category("a", hint="none"), category("b", hint="0.9"), category("c", hint="NaN")])
    ) == [
        "B",
        "A",
        "C",
    ]


ids = st.sampled_from([f"c{number}" for number in range(8)])


@given(
    parents=st.dictionaries(ids, st.none() | ids | st.just("gone"), min_size=1),
    depth=st.none() | st.integers(1, 4),
    ancestors=st.booleans(),
    excluded=st.sets(ids, max_size=2),
)
def test_any_graph_of_categories_gives_groups(
    parents: dict[str, str | None], depth: int | None, ancestors: bool, excluded: set[str]
) -> None:
    found = tree(
        [category(id_, parent) for id_, parent in parents.items()],
        max_depth=depth,
        include_ancestors=ancestors,
        exclude=tuple(f"key-{id_}" for id_ in excluded),
    )
    grouped = {c.id: name for c, name in found.grouped()}
    for id_ in parents:
        path = found.path(id_)
        assert path[-1].id == id_
        assert len({c.id for c in path}) == len(path)
        joined = found.groups_of(id_)
        assert (joined == ()) is any(c.id in excluded for c in path)
        assert all(group in parents for group in joined)
    for id_, name in grouped.items():
        assert name.count(" > ") < (depth or 100)
        assert id_ in found.groups_of(id_)


@given(order=st.permutations(SHOP))
def test_the_order_in_which_categories_are_read_does_not_matter(order: list[Category]) -> None:
    assert names(tree(order)) == names(tree(SHOP))
