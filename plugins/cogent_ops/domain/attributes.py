"""Attributes as a shopper reads them, and which of them tell the variants of a product apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cogent_ops.domain.commercetools import Attribute, AttributeDefinition, Localized, ProductType
from cogent_ops.domain.iso import CURRENCY_EXPONENTS
from cogent_ops.domain.kiosk import Metadata
from cogent_ops.domain.rules import AttributeRules, MetadataRule
from cogent_ops.domain.text import any_language, localized

Values = Mapping[str, Any]
"""Raw attribute values by name."""
Options = tuple[tuple[str, str], ...]
"""Label and value of each attribute that tells a variant apart."""

_READABLE = frozenset(("text", "ltext", "enum", "lenum"))
_SAYS_NOTHING = frozenset(("Unique", "SameForAll"))
_MARKED = "CombinationUnique"


@dataclass(frozen=True, slots=True)
class TypeView:
    """A product type as the mapping sees it.

    :param labels: what a shopper reads for each attribute; no two are equal.
    :param options: attributes that may tell variants apart, in order.
    :param auto: whether ``options`` are a guess, of which only those count whose values differ.
    """

    name: str = ""
    key: str = ""
    labels: Localized = field(default_factory=dict)
    options: tuple[str, ...] = ()
    auto: bool = True

    @classmethod
    def of(cls, product_type: ProductType, rules: AttributeRules, locales: Sequence[str]) -> TypeView:
        """The view of a product type under these rules."""
        auto = rules.options == "auto"
        return cls(
            name=product_type.name,
            key=product_type.key or "",
            labels=_labels(product_type.attributes, locales),
            options=_candidates(product_type.attributes, rules) if auto else tuple(rules.options),
            auto=auto,
        )

    def tell_apart(self, variants: Sequence[Values], locales: Sequence[str]) -> list[Options]:
        """The options of each of a product's variants, in their order; values are as a shopper reads them.

        Variants that do not differ at all get all their values, so that a person sees what they agree in.
        """
        table = [[render(values.get(name), locales) for name in self.options] for values in variants]
        columns = list(enumerate(self.labels.get(name, name) for name in self.options))
        shown = columns
        if self.auto:
            differing = [(place, label) for place, label in columns if len({row[place] for row in table}) > 1]
            shown = differing or (columns if len(variants) > 1 else [])
        return [tuple((label, row[place]) for place, label in shown if row[place]) for row in table]


def distinguishable(options: Sequence[Options]) -> list[bool]:
    """Which variants of one product a shopper can tell from all others: a single one always."""
    if len(options) == 1:
        return [True]
    seen = Counter(options)
    return [bool(mine) and seen[mine] == 1 for mine in options]


def by_name(attributes: Iterable[Attribute]) -> dict[str, Any]:
    """Raw values by attribute name."""
    return {attribute.name: attribute.value for attribute in attributes}


def first_filled(values: Values, names: Iterable[str], locales: Sequence[str]) -> str:
    """The first of the attributes that holds something; empty when none does."""
    for name in names:
        if text := render(values.get(name), locales):
            return text
    return ""


def tags(values: Values, names: Iterable[str], locales: Sequence[str]) -> tuple[str, ...]:
    """Values of the attributes, those of a set one by one, each once."""
    found: dict[str, None] = {}
    for name in names:
        value = values.get(name)
        for item in value if isinstance(value, list) else (value,):
            if text := render(item, locales):
                found[text] = None
    return tuple(found)


def metadata(values: Values, rules: Iterable[MetadataRule], locales: Sequence[str]) -> tuple[Metadata, ...]:
    """Metadata of the filled attributes."""
    return tuple(
        Metadata(namespace=rule.namespace, key=rule.key or rule.attribute, data=text)
        for rule in rules
        if (text := render(values.get(rule.attribute), locales))
    )


def render(value: Any, locales: Sequence[str]) -> str:
    """An attribute's value as text; empty for what has none to show (references, nested attributes)."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return _number(value)
    if isinstance(value, list):
        return ", ".join(filter(None, (render(item, locales) for item in value)))
    return _structured(value, locales) if isinstance(value, dict) else ""


def _structured(value: dict[str, Any], locales: Sequence[str]) -> str:
    if "label" in value:
        return render(value["label"], locales) or render(value.get("key"), locales)
    if isinstance(value.get("centAmount"), int):
        return _money(value)
    if "typeId" in value or not all(isinstance(text, str) for text in value.values()):
        return ""
    return localized(value, locales)


def _number(value: float) -> str:
    whole = isinstance(value, int) or value.is_integer()
    return str(int(value)) if whole else str(value)


def _money(value: dict[str, Any]) -> str:
    currency = str(value.get("currencyCode", ""))
    digits = CURRENCY_EXPONENTS.get(currency, 2)
    return f"{value['centAmount'] / 10**digits:.{digits}f} {currency}".strip()


def _labels(definitions: Iterable[AttributeDefinition], locales: Sequence[str]) -> dict[str, str]:
    labels: dict[str, str] = {}
    used: set[str] = set()
    for definition in definitions:
        label = any_language(definition.label, locales) or definition.name
        if label in used:
            label = f"{label} ({definition.name})"
        used.add(label)
        labels[definition.name] = label
    return labels


def _candidates(definitions: Sequence[AttributeDefinition], rules: AttributeRules) -> tuple[str, ...]:
    """What may tell variants apart: what commercetools was told to keep distinct, else what can be read."""
    other_meaning = {*rules.barcode, *rules.tags, *rules.ignore, rules.vendor}
    marked = [d.name for d in definitions if d.attribute_constraint == _MARKED and d.name not in rules.ignore]
    return tuple(marked) or tuple(
        definition.name
        for definition in definitions
        if definition.type.name in _READABLE
        and definition.attribute_constraint not in _SAYS_NOTHING
        and definition.name not in other_meaning
    )
