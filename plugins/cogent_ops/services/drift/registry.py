"""All comparisons of a night, in the order in which they are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cogent_ops.services.drift.comparison import Comparison, Parts
from cogent_ops.services.drift.stock import StockComparison

COMPARISONS: Sequence[Callable[[Parts], Comparison]] = (StockComparison,)
