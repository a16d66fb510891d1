"""Overlapping calls: order kept, memory bounded, errors passed on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from cogent_ops.errors import PermanentError
from cogent_ops.services.pipeline import batches, eager_map, ordered_map, portions


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


def test_eager_results_do_not_wait_for_a_slow_item() -> None:
    others_are_done = threading.Event()

    def slow_first(item: int) -> int:
        if item == 0:
            assert others_are_done.wait(10)
        return item

    results = []
    for result in eager_map(slow_first, range(50), workers=2):
        results.append(result)
        if len(results) == 49:
            others_are_done.set()
    assert results[-1] == 0
    assert sorted(results) == list(range(50))


def test_eager_takes_a_bounded_number_of_items_ahead() -> None:
    taken = 0

    def source() -> Iterator[int]:
        nonlocal taken
        for item in range(1000):
            taken += 1
            yield item

    ahead = [
        taken - done for done, _ in enumerate(eager_map(lambda item: item, source(), workers=3), start=1)
    ]
    assert max(ahead) <= 2 * 8 * 3


def test_an_eager_error_ends_it_and_loses_nothing_that_was_under_way() -> None:
    failed, begun, got = threading.Event(), list[int](), list[int]()

    def fail_at_one(item: int) -> int:
        begun.append(item)
        if item == 1:
            failed.set()
            raise ValueError("one")
        assert failed.wait(10)
        return item

    results = eager_map(fail_at_one, range(1000), workers=2)
    with pytest.raises(ValueError, match="one"):
        got.extend(results)
    assert 0 in got
    assert sorted(got) == sorted(set(begun) - {1})
    assert len(begun) < 50


def test_portions_are_full_or_what_there_is() -> None:
    assert list(portions(range(7), most=3, seconds=60)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(portions([], most=3, seconds=60)) == []


def test_a_portion_does_not_wait_longer_than_it_may() -> None:
    assert list(portions(range(3), most=100, seconds=-1)) == [[0], [1], [2]]


def test_what_was_done_before_an_error_is_told_before_it() -> None:
    def failing() -> Iterator[int]:
        yield from range(4)
        raise PermanentError("the shop is closed")

    told = portions(failing(), most=3, seconds=60)
    assert [next(told), next(told)] == [[0, 1, 2], [3]]
    with pytest.raises(PermanentError, match="closed"):
        next(told)
