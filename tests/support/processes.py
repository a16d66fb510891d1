"""Run a piece of work in several processes at once."""

from __future__ import annotations

import multiprocessing
import multiprocessing.process
import time
import traceback
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import Any, TypeVar

Result = TypeVar("Result")
Argument = TypeVar("Argument")

#: Forks, as Airflow's executors do: what the parent had open, the children inherit.
_FORK = multiprocessing.get_context("fork")


def together(work: Callable[[int], Result], processes: int, *, timeout: float = 60) -> list[Result]:
    """Call ``work(number)`` in as many forked processes, which start together; returns their results in order.

    :raises AssertionError: with the traceback of the first that failed, or when one takes over ``timeout`` seconds.
    """
    barrier = _FORK.Barrier(processes)
    pipes = [_FORK.Pipe(duplex=False) for _ in range(processes)]
    children = [
        _FORK.Process(target=_child, args=(work, number, barrier, writer), daemon=True)
        for number, (_, writer) in enumerate(pipes)
    ]
    try:
        with warnings.catch_warnings():
            # Threads of the test runner do not matter to the children, which only do the work and end.
            warnings.filterwarnings("ignore", message=".*multi-threaded", category=DeprecationWarning)
            for child in children:
                child.start()
        deadline = time.monotonic() + timeout
        return [_result(reader, deadline) for reader, _ in pipes]
    finally:
        for child in children:
            child.join(1)
            child.kill()
            child.join()


def started(work: Callable[[Argument], None], argument: Argument) -> multiprocessing.process.BaseProcess:
    """A forked process that does ``work(argument)`` until it is killed."""
    with warnings.catch_warnings():
        # Threads of the test runner do not matter to the child, which only does the work and ends.
        warnings.filterwarnings("ignore", message=".*multi-threaded", category=DeprecationWarning)
        process = _FORK.Process(target=work, args=(argument,), daemon=True)
        process.start()
    return process


def alone(work: Callable[[], Result], *, timeout: float = 60) -> Result:
    """Call ``work()`` in one forked process; returns its result."""
    return together(lambda _: work(), 1, timeout=timeout)[0]


def _child(work: Callable[[int], object], number: int, barrier: Barrier, writer: Connection) -> None:
    try:
        barrier.wait(30)
        writer.send((work(number), None))
    except BaseException:  # noqa: BLE001  (the parent is told, whatever it is)
        writer.send((None, traceback.format_exc()))


def _result(reader: Connection, deadline: float) -> Any:
    assert reader.poll(max(0.0, deadline - time.monotonic())), "a process takes too long"
    result, failure = reader.recv()
    assert failure is None, failure
    return result
