"""Which flow goes first when an API's rate budget is short."""

from __future__ import annotations

from enum import IntEnum


class Priority(IntEnum):
    """Smaller goes first."""

    ORDERS = 0
    LIVE = 1
    """A shopper waits before the kiosk; what live reads may take altogether is capped (``live_stock.share``)."""
    STOCK = 2
    AVAILABILITY = 3
    CATALOGUE = 4
