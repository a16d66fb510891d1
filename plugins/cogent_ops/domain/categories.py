"""The category tree, which Cloudshelf's flat product groups are made from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal, InvalidOperation

from cogent_ops.domain.commercetools import Category
from cogent_ops.domain.rules import GroupRules
from cogent_ops.domain.text import any_language, one_line


class CategoryTree:
    """Categories by id, each with its path from the root.

    A missing parent makes a category a root; a circle is cut where it closes. Neither stops the others.
    """

    def __init__(self, categories: Iterable[Category], rules: GroupRules, locales: Sequence[str]) -> None:
        self._rules = rules
        self._by_id = {category.id: category for category in categories}
        self._names = {
            category.id: one_line(any_language(category.name, locales)) or category.key or category.id
            for category in self._by_id.values()
        }
        self._groups = {id_: self._joined(self.path(id_)) for id_ in self._by_id}

    def __contains__(self, category_id: str) -> bool:
        return category_id in self._by_id

    def path(self, category_id: str) -> tuple[Category, ...]:
        """The category and those above it, root first."""
        found: dict[str, Category] = {}
        category = self._by_id.get(category_id)
        while category is not None and category.id not in found:
            found[category.id] = category
            category = self._by_id.get(category.parent.id) if category.parent else None
        return tuple(reversed(found.values()))

    def groups_of(self, category_id: str) -> tuple[str, ...]:
        """Ids of the categories whose groups a product in this category joins; none for an unknown category."""
        return self._groups.get(category_id, ())

    def grouped(self) -> Iterator[tuple[Category, str]]:
        """Every category that is a group of its own, with its path name; in the order of the tree."""
        for category in sorted(self._by_id.values(), key=self._place):
            if category.id in self._groups[category.id]:
                yield category, self._rules.separator.join(self._names[c.id] for c in self.path(category.id))

    def _joined(self, path: tuple[Category, ...]) -> tuple[str, ...]:
        if any(category.key in self._rules.exclude for category in path):
            return ()
        kept = path[: self._rules.max_depth]
        return tuple(category.id for category in (kept if self._rules.include_ancestors else kept[-1:]))

    def _place(self, category: Category) -> list[tuple[Decimal, str]]:
        return [(_hint(above.order_hint), above.id) for above in self.path(category.id)]


def _hint(text: str) -> Decimal:
    """An order hint as a number; one that is none goes last."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return Decimal("Infinity")
    return number if number.is_finite() else Decimal("Infinity")
