"""Overlap slow calls with bounded memory."""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from cogent_ops.errors import CogentOpsError

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int
) -> Iterator[Result]:
    """Apply ``function`` in ``workers`` threads and yield the results in the order of ``items``.

    At most twice ``workers`` items are taken ahead, whatever the length of ``items``. The first error ends the
    iteration; calls that have not begun are dropped, those under way are waited for.
    """
    source = iter(items)
    with ThreadPoolExecutor(workers, thread_name_prefix="cogent-ops") as pool:
        waiting: deque[Future[Result]] = deque(
            pool.submit(function, item) for item in islice(source, 2 * workers)
        )
        try:
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(function, item) for item in islice(source, 1))
                yield result
        finally:
            for future in waiting:
                future.cancel()


def eager_map(function: Callable[[Item], Result], items: Iterable[Item], *, workers: int) -> Iterator[Result]:
    """Like :func:`ordered_map`, but results come as soon as they are there: a slow item holds up no other.

    At most eight times ``workers`` items are taken ahead, so that threads find work while the caller is busy. After an
    error no call begins any more; it is raised once the results of those under way were yielded.
    """
    source, failure = iter(items), None
    with ThreadPoolExecutor(workers, thread_name_prefix="cogent-ops") as pool:
        running = {pool.submit(function, item) for item in islice(source, 8 * workers)}
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                errors = [error for future in done if (error := future.exception()) is not None]
                failure = failure or next(iter(errors), None)
                if failure is None:
                    running.update(pool.submit(function, item) for item in islice(source, len(done)))
                else:
                    running = {future for future in running if not future.cancel()}
                yield from (future.result() for future in done if future.exception() is None)
        finally:
            for future in running:
                future.cancel()
    if failure is not None:
        raise failure


def portions(results: Iterable[Result], *, most: int, seconds: float) -> Generator[list[Result], None, None]:
    """Collect results into lists of at most ``most``, and let none wait longer than ``seconds`` for the next to come.

    An error of the results is raised after what came before it: it ends the work, but what was done is done.
    """
    portion: list[Result] = []
    since = time.monotonic()
    try:
        for result in results:
            portion.append(result)
            if len(portion) >= most or time.monotonic() - since > seconds:
                yield portion
                portion, since = [], time.monotonic()
    except CogentOpsError:
        if portion:
            yield portion
        raise
    if portion:
        yield portion


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Cut ``items`` into lists of at most ``size``."""
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch


@contextmanager
def fewer_collections() -> Iterator[None]:
    """Let the garbage collector look less often while a stage works.

    Pages of JSON are hundreds of thousands of young objects without a single cycle, and whatever was imported before
    is there to stay. Looking through all that again and again costs a third of the time of a large run.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
