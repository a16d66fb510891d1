"""From when on a link's kiosk orders count: before that moment somebody else carried sales and orders over."""

from __future__ import annotations

from datetime import datetime

from cogent_ops.config import LinkConfig
from cogent_ops.store import Store

#: Watermark: the moment of the first poll.
START_FLOW = "kiosk_orders_start"


def started_at(config: LinkConfig, store: Store) -> datetime | None:
    """The moment; ``None`` before the first poll of a link that does not configure one."""
    return config.movements.start or store.watermarks.get(config.name, START_FLOW)
