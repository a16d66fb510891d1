"""Attributes as a shopper reads them, and which of them tell variants apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogent_ops.domain.attributes import TypeView, distinguishable, metadata, render, tags
from cogent_ops.domain.commercetools import ProductType
from cogent_ops.domain.rules import AttributeRules, MetadataRule
from cogent_ops.domain.text import any_language, localized

LOCALES = ("de", "en")
EUROS = {"type": "centPrecision", "currencyCode": "EUR", "centAmount": 1999, "fractionDigits": 2}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("  cotton ", "cotton"),
        (True, "true"),
        (False, "false"),
        (120, "120"),
        (250.5, "250.5"),
        (480.0, "480"),
        ({"key": "m", "label": "M"}, "M"),
        ({"key": "red", "label": {"de": "Rot", "en": "Red"}}, "Rot"),
        ({"key": "red", "label": {"it": "Rosso"}}, "red"),
        ({"key": "red", "label": {}}, "red"),
        ({"en": "Red"}, "Red"),
        ({"de": " ", "en": "Red"}, "Red"),
        ({"it": "Rosso"}, ""),
        (EUROS, "19.99 EUR"),
        ({**EUROS, "currencyCode": "JPY"}, "1999 JPY"),
        (["a", "", {"key": "b", "label": "B"}], "a, B"),
        ({"typeId": "product", "id": "4711"}, ""),
        ([[{"name": "nested", "value": 1}]], ""),
        ({"de": 5}, ""),
    ],
)
def test_values_as_text(value: Any, text: str) -> None:
    assert render(value, LOCALES) == text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["de", "key", "label", "typeId", "id", "centAmount", "currencyCode"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(value=json_values)
def test_any_value_becomes_text(value: Any) -> None:
    assert isinstance(render(value, LOCALES), str)
    assert isinstance(tags({"a": value}, ("a", "b"), LOCALES), tuple)


@given(
    texts=st.dictionaries(st.sampled_from(["de", "en", "it"]), st.sampled_from(["", " ", "x", " y "])),
    locales=st.lists(st.sampled_from(["de", "en", "it"]), unique=True),
)
def test_fallback_takes_the_first_language_that_has_a_text(texts: dict[str, str], locales: list[str]) -> None:
    filled = [locale for locale in locales if texts.get(locale, "").strip()]
    assert localized(texts, locales) == (texts[filled[0]].strip() if filled else "")
    anything = any_language(texts, locales)
    assert (anything == "") is not any(text.strip() for text in texts.values())
    if filled:
        assert anything == localized(texts, locales)


def kind(*definitions: tuple[str, str, str], **rules: Any) -> TypeView:
    """A product type whose attributes are given by name, type and constraint; the label is the name in capitals."""
    raw = {
        "id": "t",
        "key": "shirt",
        "name": "Shirt",
        "attributes": [
            {
                "name": name,
                "label": {"de": name.upper()},
                "type": {"name": type_},
                "attributeConstraint": limit,
            }
            for name, type_, limit in definitions
        ],
    }
    return TypeView.of(ProductType.model_validate(raw), AttributeRules(**rules), LOCALES)


SHIRT = (
    ("article", "text", "Unique"),
    ("gtin", "text", "None"),
    ("size", "enum", "None"),
    ("color", "lenum", "None"),
    ("weight", "number", "None"),
    ("brand", "enum", "SameForAll"),
)


def test_auto_takes_readable_attributes_whose_values_differ() -> None:
    shirt = kind(*SHIRT, barcode=("gtin",), vendor="brand")
    variants = [
        {"article": "1", "gtin": "11", "size": "M", "color": "red", "weight": 1},
        {"article": "2", "gtin": "12", "size": "L", "color": "red", "weight": 2},
    ]
    assert shirt.tell_apart(variants, LOCALES) == [(("SIZE", "M"),), (("SIZE", "L"),)]


def test_auto_trusts_the_mark_that_commercetools_has_for_it() -> None:
    shirt = kind(("note", "text", "None"), ("fit", "number", "CombinationUnique"))
    variants = [{"note": "a", "fit": 1}, {"note": "b", "fit": 2}]
    assert shirt.tell_apart(variants, LOCALES) == [(("FIT", "1"),), (("FIT", "2"),)]


def test_auto_ignores_what_it_is_told_to() -> None:
    assert kind(*SHIRT, barcode=("gtin",), ignore=("size",)).options == ("color",)


def test_named_options_keep_their_order_and_show_equal_values_too() -> None:
    shirt = kind(*SHIRT, options=("color", "size", "unheard-of"))
    variants = [{"size": "M", "color": "red"}, {"size": "L", "color": "red"}]
    assert shirt.tell_apart(variants, LOCALES)[0] == (("COLOR", "red"), ("SIZE", "M"))


def test_two_attributes_with_one_label_stay_two() -> None:
    view = TypeView.of(
        ProductType.model_validate(
            {
                "id": "t",
                "attributes": [
                    {"name": name, "label": {"de": "Größe"}, "type": {"name": "text"}}
                    for name in ("us", "eu")
                ],
            }
        ),
        AttributeRules(),
        LOCALES,
    )
    assert view.tell_apart([{"us": "8", "eu": "39"}, {"us": "9", "eu": "40"}], LOCALES)[0] == (
        ("Größe", "8"),
        ("Größe (eu)", "39"),
    )


RED_M, RED_L = (("Farbe", "rot"), ("Größe", "M")), (("Farbe", "rot"), ("Größe", "L"))


@pytest.mark.parametrize(
    ("options", "clear"),
    [
        ([()], [True]),
        ([RED_M, RED_L], [True, True]),
        ([RED_M, RED_M, RED_L], [False, False, True]),
        ([(), ()], [False, False]),
        ([RED_M, ()], [True, False]),
    ],
)
def test_distinguishable(options: list[Any], clear: list[bool]) -> None:
    assert distinguishable(options) == clear


def test_tags_come_once_each() -> None:
    values = {
        "tags": [{"key": "n", "label": "new"}, {"key": "n", "label": "new"}],
        "more": "new",
        "eco": None,
    }
    assert tags(values, ("tags", "more", "eco"), LOCALES) == ("new",)


def test_metadata_of_filled_attributes_only() -> None:
    rules = (
        MetadataRule(attribute="weight", namespace="facts", key="grams"),
        MetadataRule(attribute="material"),
    )
    [found] = metadata({"weight": 120, "material": " "}, rules, LOCALES)
    assert (found.namespace, found.key, found.data) == ("facts", "grams", "120")


def test_an_unknown_product_type_tells_nothing_apart() -> None:
    view: Callable[..., list[Any]] = TypeView().tell_apart
    assert view([{"size": "M"}, {"size": "L"}], LOCALES) == [(), ()]
