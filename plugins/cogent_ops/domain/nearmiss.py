"""What a person, a spreadsheet or a scanner makes of an identifier: the forms in which it may have been meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice, product

#: Spreadsheets drop leading zeros; an identifier is filled up again to at most this length.
LONGEST_FILLED = 18
#: Characters that are taken for one another, in print and by eye.
_LOOKALIKES = ("0oO", "1lI", "5S", "8B", "2Z", "-_–—−‐")
_MOST_FORMS = 256


def other_forms(value: str) -> list[str]:
    """Forms that the value may have been meant as: without spaces, leading zeros or a spreadsheet's decimals, filled
    up with zeros, and with look-alikes exchanged. The value itself is not among them.
    """
    plain = "".join(value.split())
    bases = [plain, plain.strip("'\"=")]
    number, dot, decimals = bases[1].partition(".")
    if dot and not decimals.strip("0"):
        bases.append(number)  # 4711.0
    forms = list(bases)
    for base in dict.fromkeys(bases):
        forms.append(base.lstrip("0"))
        if base.isdigit():
            forms += [base.zfill(length) for length in range(len(base) + 1, LONGEST_FILLED + 1)]
    forms += _exchanged(plain)
    return [form for form in dict.fromkeys(forms) if form and form != value]


def _exchanged(text: str) -> Iterable[str]:
    choices = [next((group for group in _LOOKALIKES if char in group), char) for char in text]
    ordered = [char + group.replace(char, "") for char, group in zip(text, choices, strict=True)]
    return ("".join(chars) for chars in islice(product(*ordered), _MOST_FORMS))


def closest(value: str, known: Iterable[str]) -> str | None:
    """The known identifier that differs least, by a slip of the keyboard at most."""
    folded = {one.casefold(): one for one in known}
    found = get_close_matches(value.casefold(), list(folded), n=1, cutoff=0.8)
    return folded[found[0]] if found else None
