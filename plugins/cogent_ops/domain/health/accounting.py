"""Nothing is lost and nothing counts twice: what was seen is done, waiting, in review or excluded, or it is a fault.

Orders say what should have happened to stock, movements what did. Both are counted by store and hour, without signs, so
that a unit that went is not made good by another that came back.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cogent_ops.domain.health.model import Account, HourAccount
from cogent_ops.domain.orders import KioskOrder
from cogent_ops.domain.rules import MovementRules
from cogent_ops.domain.stock import MovementState, Place, desired_effects

#: Where states of orders and movements stand in an account; see ``CaptureState`` and ``MovementState``.
_STANDS = {
    "captured": "done",
    "applied": "done",
    "waiting": "waiting",
    "sending": "waiting",
    "batched": "waiting",
    "review": "review",
    "excluded": "excluded",
}
_ANYWHERE = Place("", "")


class What(StrEnum):
    """What is accounted for."""

    ORDERS = "orders"
    UNITS = "units"


@dataclass(frozen=True)
class SeenOrders:
    """Kiosk orders of one hour that stand alike.

    :param hour: in which they were placed.
    :param place: the store as they name it; empty: they do not.
    :param channel: key of the supply Channel whose stock they took; ``None``: they took none.
    :param state: where they stand; empty: nowhere.
    :param example: id of one of them.
    :param suspect: by its numbers alone something about it seems to lack, or to be too much; it stands alone here.
    """

    hour: datetime
    place: str
    channel: str | None
    state: str
    orders: int
    example: str
    suspect: bool = False


@dataclass(frozen=True)
class MovedUnits:
    """Units that moved in one hour at one Channel, by where their movements stand; without signs."""

    hour: datetime
    channel: str
    state: MovementState
    units: int


@dataclass(frozen=True)
class Fault:
    """An order of which nobody can say what became of it, or of its units.

    :param units: so many are too few or too many; without a sign.
    :param message: what is wrong, in words.
    """

    what: What
    order_id: str
    units: int
    message: str

    @property
    def ulid(self) -> str:
        """Under which people know the order."""
        return self.order_id.rpartition("/")[2]


def unrecorded(order: KioskOrder, moves: bool, effects: Iterable[int], rules: MovementRules) -> int:
    """Signed units that an order should have done to stock and has not recorded; 0: it is as it should be.

    Only sums are compared: at which place is a matter of the nightly comparison, for an identifier that becomes known,
    and a person's word, move units from place to place.

    :param moves: whether the order may move stock at all.
    :param effects: what it has recorded, by place.
    """
    known = list(effects)
    recorded = sum(known)
    if not moves:
        return -recorded
    if order.problems:
        # What a broken line means nobody knows, and it has an exception of its own.
        return 0
    ordered = {_ANYWHERE: sum(line.quantity for line in order.lines)}
    desired = desired_effects(order.status, ordered, {_ANYWHERE: recorded} if known else {}, rules)
    return desired.get(_ANYWHERE, 0) - recorded


def hours_by_place(
    orders: Iterable[tuple[str, SeenOrders]],
    units: Iterable[tuple[str, MovedUnits]],
    faults: Mapping[tuple[What, str], Fault],
) -> dict[str, tuple[HourAccount, ...]]:
    """The accounts of each store, hour by hour, the oldest first; hours without anything are left out.

    :param orders: with their store.
    :param units: likewise.
    :param faults: by what they are about, and the order, which stands alone among ``orders``.
    """
    seen: dict[str, dict[datetime, dict[What, Counter[str]]]] = defaultdict(
        lambda: defaultdict(lambda: {what: Counter() for what in What})
    )
    for place, alike in orders:
        hour = seen[place][alike.hour]
        hour[What.ORDERS]["seen"] += alike.orders
        if (What.ORDERS, alike.example) not in faults:
            # What had no place a moment ago, and has one now, has just arrived.
            hour[What.ORDERS][_STANDS.get(alike.state, "waiting")] += alike.orders
        if fault := faults.get((What.UNITS, alike.example)):
            hour[What.UNITS]["seen"] += fault.units
    for place, moved in units:
        account = seen[place][moved.hour][What.UNITS]
        account["seen"] += moved.units
        account[_STANDS[moved.state]] += moved.units
    return {
        place: tuple(
            HourAccount(hour=hour, orders=Account(**found[What.ORDERS]), units=Account(**found[What.UNITS]))
            for hour, found in sorted(hours.items())
        )
        for place, hours in seen.items()
    }
