"""Overlapping calls: order kept, memory bounded, errors passed on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from cogent_ops.services.pipeline import batches, ordered_map


def test_results_come_in_the_order_of_the_items() -> None:
    def slow_first(item: int) -> int:
        time.sleep(0.02 if item == 0 else 0)
        return item * 10

    assert list(ordered_map(slow_first, range(20), workers=4)) == [item * 10 for item in range(20)]


def test_takes_a_bounded_number_of_items_ahead() -> None:
    taken = 0

    def source() -> Iterator[int]:
        nonlocal taken
        for item in range(1000):
            taken += 1
            yield item

    ahead = []
    for done, _ in enumerate(ordered_map(lambda item: item, source(), workers=3), start=1):
        ahead.append(taken - done)
    assert max(ahead) <= 6


def test_calls_overlap() -> None:
    together = threading.Barrier(3, timeout=5)
    assert sum(ordered_map(lambda item: together.wait() >= 0, range(3), workers=3)) == 3


def test_the_first_error_ends_it() -> None:
    begun = []

    def fail_at_two(item: int) -> int:
        begun.append(item)
        if item == 2:
            raise ValueError("two")
        return item

    with pytest.raises(ValueError, match="two"):
        list(ordered_map(fail_at_two, range(1000), workers=2))
    assert len(begun) < 12


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (3, [3]), (7, [3, 3, 1])])
def test_batches(count: int, sizes: list[int]) -> None:
    assert [len(batch) for batch in batches(range(count), 3)] == sizes
