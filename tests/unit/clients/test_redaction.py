"""Nothing secret or personal survives; what a fix list needs does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogent_ops.clients.redaction import LONGEST_TEXT, MASK, Redactor


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("customer anna.b+kiosk@mail.example.co.uk exists", "anna.b+kiosk@mail.example.co.uk"),
        ("call +49 30 1234567 now", "1234567"),
        ("call 0049-30-1234567 now", "1234567"),
        ("call (030) 123 45 67", "123 45 67"),
        ("call 030/1234567", "1234567"),
        ("Authorization: Bearer abcdefghijklmnop.qrst", "abcdefghijklmnop.qrst"),
        ("Token 0123456789abcdef0123 refused", "0123456789abcdef0123"),
        ('{"access_token":"xyz","expires_in":1}', "xyz"),
        ("client_secret=very-hidden&grant_type=x", "very-hidden"),
        ("api-key: k3y", "k3y"),
    ],
)
def test_masks(text: str, gone: str) -> None:
    cleaned = Redactor()(text)
    assert gone not in cleaned
    assert MASK in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "A duplicate value '4006381333931' exists for field 'sku'.",
        "Object 3f2504e0-4f89-11d3-9a0c-0305e82c3301 has version 12, expected 11.",
        "gid://external/CommercetoolsSku/0815-4711-XL could not be found",
        "changed at 2026-11-20T10:15:00.000Z",
        "the token has expired",
        "order cs-2026-000123 for 199.00 EUR",
        "sku 0815",
    ],
)
def test_leaves_identifiers_readable(text: str) -> None:
    assert Redactor()(text) == text


def test_masks_what_it_has_learned() -> None:
    clean = Redactor("first-secret")
    clean.learn("second-secret")
    assert clean("first-secret second-secret third") == f"{MASK} {MASK} third"


def test_masks_the_longer_secret_first() -> None:
    assert Redactor("abcd", "abcd-efgh")("abcd-efgh") == MASK


def test_cuts_a_web_page() -> None:
    assert len(Redactor()("<p>" * 10_000)) <= LONGEST_TEXT + 1


def test_what_is_only_masked_keeps_its_length() -> None:
    text = "<p>" * 10_000
    assert Redactor("secret").masked(f"{text}secret{text}") == f"{text}{MASK}{text}"


@given(
    secret=st.text(st.characters(codec="ascii", exclude_categories=("C", "Z")), min_size=8), around=st.text()
)
def test_no_known_secret_survives(secret: str, around: str) -> None:
    assert secret not in Redactor(secret)(f"{around}{secret}{around}") or secret in MASK * 3
