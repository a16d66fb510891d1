"""Whether a commercetools project has what the mapping speaks of: names that nothing answers to are typing errors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cogent_ops.domain.catalogue import SUPPLY_ROLE, Problem
from cogent_ops.domain.rules import CatalogueRules
from cogent_ops.domain.text import did_you_mean

_KEYS = {"channel": "channels", "customer group": "customer_groups", "category": "categories"}


def check_mapping(rules: CatalogueRules, reference: Mapping[str, Any]) -> list[Problem]:
    """Everything in the rules that the project does not know.

    :param reference: raw resources by name, as :meth:`CatalogueContext.build` takes them, with ``project``.
    :return: ``field`` is the field of ``include/mapping.yaml``, ``value`` what it holds.
    """
    project = reference["project"]
    problems = [
        *_unknown("country", (rules.country,), project.get("countries", ()), "country of the project"),
        *_unknown("currency", (rules.currency,), project.get("currencies", ()), "currency of the project"),
        *_unknown("locales", rules.locales, project.get("languages", ()), "language of the project"),
        *_unknown_attributes(rules, reference["product_types"]),
    ]
    for what, field, keys in _named(rules):
        known = [raw["key"] for raw in reference[_KEYS[what]] if raw.get("key")]
        problems += _unknown(field, keys, known, what)
    if not any(SUPPLY_ROLE in channel.get("roles", ()) for channel in reference["channels"]):
        message = f"No channel of the project has the role {SUPPLY_ROLE}, so there is no store."
        problems.append(Problem("", "locations", "a store exists", message))
    return problems


def _named(rules: CatalogueRules) -> Iterator[tuple[str, str, Sequence[str]]]:
    """What each field with keys refers to."""
    prices, stock = rules.prices, rules.stock
    yield "channel", "prices.channel", (prices.channel,) if prices.channel else ()
    yield "customer group", "prices.customer_group", (prices.customer_group,) if prices.customer_group else ()
    yield "channel", "stock.channels", () if isinstance(stock.channels, str) else stock.channels
    yield "channel", "locations.exclude", rules.locations.exclude
    yield "category", "groups.exclude", rules.groups.exclude


def _unknown_attributes(
    rules: CatalogueRules, product_types: Iterable[Mapping[str, Any]]
) -> Iterator[Problem]:
    known = {definition["name"] for kind in product_types for definition in kind.get("attributes", ())}
    wanted, source = rules.attributes, rules.attributes.product_type
    named = {
        "attributes.options": () if wanted.options == "auto" else wanted.options,
        "attributes.ignore": wanted.ignore,
        "attributes.barcode": wanted.barcode,
        "attributes.vendor": (wanted.vendor,) if wanted.vendor else (),
        "attributes.tags": wanted.tags,
        "attributes.product_type": (source.removeprefix("attribute:"),) if ":" in source else (),
        "attributes.metadata": tuple(rule.attribute for rule in wanted.metadata),
        "stock.back_order_attribute": tuple(filter(None, (rules.stock.back_order_attribute,))),
    }
    for field, names in named.items():
        yield from _unknown(field, names, known, "attribute of any product type")


def _unknown(field: str, values: Iterable[str], known: Iterable[str], what: str) -> Iterator[Problem]:
    choices = list(known)
    for value in values:
        if value not in choices:
            message = f"'{value}' is no {what}. {did_you_mean(value, choices)}".strip()
            yield Problem(value, field, f"{what} exists", message)
