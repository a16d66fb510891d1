"""Which flow goes first when an API's rate budget is short."""

from __future__ import annotations

from enum import IntEnum


class Priority(IntEnum):
    """Smaller goes first."""

    ORDERS = 0
    STOCK = 1
    AVAILABILITY = 2
    CATALOGUE = 3
