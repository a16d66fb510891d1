"""Orders that came from stores, as the store keeps them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any

from cogent_ops.store import Store
from cogent_ops.store.schema import order_capture

_NUMBERS = count(1)


@dataclass(frozen=True)
class Sold:
    """An order.

    :param place: the store's name.
    :param reason: why it is excluded; ``None``: it is captured.
    """

    place: str
    at: datetime
    reason: str | None = None


def arrive(store: Store, orders: Iterable[Sold], *, link: str = "default") -> None:
    """Keep orders as if they had been captured."""
    rows: list[dict[str, Any]] = [
        {
            "link": link,
            "order_id": f"arrived-{number}",
            "order_number": str(number),
            "status": "PAID",
            "state": "captured" if one.reason is None else "excluded",
            "reason": one.reason,
            "lease_until": 0.0,
            "attempts": 0,
            "revision": 0,
            "tell_attempts": 0,
            "place": one.place,
            "units": 1,
            "edits": {},
            "ordered_at": one.at,
            "changed_at": one.at,
            "updated_at": one.at,
        }
        for number, one in zip(_NUMBERS, orders, strict=False)
    ]
    with store.begin() as conn:
        conn.execute(order_capture.insert(), rows)
