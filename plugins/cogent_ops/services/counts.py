"""What a flow did, in numbers that add up."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Generic, Self, TypeVar


@dataclass(frozen=True)
class Counts:
    """Base: a subclass declares the numbers, each with a default of nothing."""

    def __add__(self, other: Self) -> Self:
        """Both together, field by field."""
        return type(self)(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


Numbers = TypeVar("Numbers", bound=Counts)


class Tally(Generic[Numbers]):
    """What the turns of a step did in all.

    :param total: what it begins with.
    """

    def __init__(self, total: Numbers) -> None:
        self.total = total

    def add(self, numbers: Numbers) -> Numbers:
        """Count a turn; returns what it did."""
        self.total += numbers
        return numbers
