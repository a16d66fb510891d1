"""Messages are put into the order in which things happened, however many of them in a millisecond."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cogent_ops.domain.commercetools import timestamp
from cogent_ops.domain.messages import in_order

BEGAN = datetime(2026, 11, 28, tzinfo=UTC)

#: How many changes of its quantity each entry had until it was deleted, and how long each step took.
LIVES = st.lists(st.integers(0, 3), min_size=1, max_size=4)
PAUSES = st.lists(st.integers(0, 2), min_size=20, max_size=20)


def told(lives: list[int], pauses: list[int]) -> list[dict[str, Any]]:
    """Entries of one place, each made after the one before was deleted; the last one lives."""
    found: list[dict[str, Any]] = []
    moment = BEGAN
    for entry, changes in enumerate(lives):
        kinds = ["Created", *["QuantitySet"] * changes, *["Deleted"] * (entry < len(lives) - 1)]
        for number, kind in enumerate(kinds, start=1):
            # Between two of one entry there may be no time at all; a whole life takes at least a millisecond.
            moment += timedelta(milliseconds=pauses[len(found)] + (number == 2))
            found.append(
                {
                    "type": f"InventoryEntry{kind}",
                    "resource": {"typeId": "inventory-entry", "id": f"{9 - entry}"},
                    "sequenceNumber": number,
                    "createdAt": timestamp(moment),
                }
            )
    return found


@given(LIVES, PAUSES, st.randoms(use_true_random=False))
def test_the_order_is_found_again(lives: list[int], pauses: list[int], chance: Any) -> None:
    happened = told(lives, pauses)
    shuffled = chance.sample(happened, len(happened))
    assert in_order(shuffled) == happened


def test_a_moment_may_be_written_with_and_without_its_fraction() -> None:
    first, second = told([1], [0] * 20)
    first, second = (
        {**first, "createdAt": "2026-11-28T10:00:00Z"},
        {**second, "createdAt": "2026-11-28T10:00:00.5Z"},
    )
    assert in_order([second, first]) == [first, second]
