"""Notes of people: kept in full, and without what is personal."""

from __future__ import annotations

import pytest

from cogent_ops.errors import PermanentError
from cogent_ops.services.notes import LONGEST_NOTE, kept_note


def test_a_note_is_kept_to_its_end() -> None:
    text = "The store counts again. " * 40 + "Do NOT refund."
    assert len(text) <= LONGEST_NOTE
    assert kept_note(f" {text}\n") == text


def test_what_is_personal_is_masked_wherever_it_stands() -> None:
    assert kept_note("a " * 400 + "maria.muster@example.com").endswith("a ***")


def test_a_note_that_is_too_long_is_refused_in_words() -> None:
    with pytest.raises(PermanentError, match=r"The note has 1,001 characters, and 1,000 are kept\."):
        kept_note("x" * 1001)


def test_an_end_of_line_counts_once_as_in_the_form() -> None:
    assert kept_note("\r\n".join(["x" * 9] * 100)) == "\n".join(["x" * 9] * 100)
