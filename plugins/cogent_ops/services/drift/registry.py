"""All comparisons of a night, in the order in which they are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cogent_ops.services.drift.catalogue import CatalogueComparison
from cogent_ops.services.drift.comparison import Comparison, Parts
from cogent_ops.services.drift.kiosk import KioskComparison
from cogent_ops.services.drift.money import MoneyComparison
from cogent_ops.services.drift.orders import OrderComparison
from cogent_ops.services.drift.stock import StockComparison

COMPARISONS: Sequence[Callable[[Parts], Comparison]] = (
    StockComparison,
    KioskComparison,
    CatalogueComparison,
    OrderComparison,
    MoneyComparison,
)
