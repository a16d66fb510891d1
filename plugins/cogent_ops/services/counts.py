"""What a flow did, in numbers that add up."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self


@dataclass(frozen=True)
class Counts:
    """Base: a subclass declares the numbers, each with a default of nothing."""

    def __add__(self, other: Self) -> Self:
        """Both together, field by field."""
        return type(self)(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))
