"""The accounts of a link, store by store: counted in bulk, and what seems wrong looked at one by one, twice.

Flows write while this reads, so what seems wrong may only have been in between. It counts when the record itself, read
once more, says so.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cogent_ops.config import LinkConfig
from cogent_ops.domain.exceptions import Kind
from cogent_ops.domain.health.accounting import (
    Fault,
    SeenOrders,
    What,
    hours_by_place,
    unrecorded,
)
from cogent_ops.domain.health.model import HourAccount
from cogent_ops.domain.order_states import moves_stock
from cogent_ops.domain.orders import NO_LOCATION, own_channel, read_order
from cogent_ops.domain.rules import OrderStatus
from cogent_ops.domain.text import counted
from cogent_ops.store import Store
from cogent_ops.store.accounts import Judged

#: So far back accounts go.
WINDOW = timedelta(hours=24)
#: So many orders at most are looked at one by one. Where more seem wrong, it is one cause, and these show it.
MOST = 2000


@dataclass(frozen=True)
class Accounted:
    """What became of everything.

    :param hours: by place (key of the supply Channel; empty: nobody knows the store).
    :param names: of the stores, by place, as orders name them.
    :param faults: orders of which nobody can say what became of them, or of their units, with the place of each.
    """

    hours: Mapping[str, tuple[HourAccount, ...]]
    names: Mapping[str, str]
    faults: tuple[tuple[str, Fault], ...]


class Accounting:
    """Accounts for a link."""

    def __init__(self, config: LinkConfig, store: Store) -> None:
        self.config, self.store, self.link = config, store, config.name

    def take(self, now: datetime, again: Mapping[str, str], stores: Mapping[str, str]) -> Accounted:
        """Count the last hours.

        :param again: orders that were wrong before, with their place; they are looked at again however old they are.
        :param stores: the link's stores as people name them, by key of their Channel, as far as known.
        """
        since = now - WINDOW
        orders = self.store.accounts.orders(self.link, since, self.config.movements)
        units = self.store.accounts.units(self.link, since)
        suspects = [one.example for one in orders if one.suspect]
        faults = self._faults([*again, *suspects[-MOST:]])
        places = self._places(orders, stores)
        known = {**again, **{one.example: places.of(one) for one in orders if one.suspect}}
        return Accounted(
            hours=hours_by_place(
                ((places.of(one), one) for one in orders),
                ((places.channel(one.channel), one) for one in units),
                {(fault.what, fault.order_id): fault for fault in faults},
            ),
            names=places.names,
            faults=tuple((known[fault.order_id], fault) for fault in faults),
        )

    # What is wrong

    def _faults(self, order_ids: Iterable[str]) -> list[Fault]:
        first = self._wrong(order_ids)
        if not first:
            return []
        again = self._wrong({one.order_id for one in first})
        return [one for one in again if one in first]

    def _wrong(self, order_ids: Iterable[str]) -> list[Fault]:
        listed = sorted(set(order_ids))
        found = [fault for one in self.store.accounts.judged(self.link, listed) for fault in self._judge(one)]
        by_order: dict[str, int] = defaultdict(int)
        for unmoved in self.store.stock_history.unmoved_among(self.link, listed):
            by_order[unmoved.order_id] += abs(unmoved.recorded - unmoved.moved)
        found += [
            Fault(
                What.UNITS,
                order_id,
                units,
                f"{counted(units, 'unit')} recorded otherwise than its movements say",
            )
            for order_id, units in by_order.items()
        ]
        # One thing of a kind about an order: the accounts count it once.
        return list({(fault.what, fault.order_id): fault for fault in found}.values())

    def _judge(self, one: Judged) -> list[Fault]:
        found = []
        if one.is_stranded:
            found.append(Fault(What.ORDERS, one.order_id, 0, "it waits, and nothing will look at it again"))
        order = read_order(one.content)
        moves = not order.is_internal and order.status is not OrderStatus.DRAFT_BASKET
        lacking = unrecorded(
            order, moves and moves_stock(order.status, one.edits), one.effects, self.config.movements
        )
        if lacking:
            what = "were not taken" if lacking < 0 else "were not given back, or taken too much"
            message = f"{counted(abs(lacking), 'unit')} {what}"
            found.append(Fault(What.UNITS, one.order_id, abs(lacking), message))
        return found

    # Whose it is

    def _places(self, orders: Iterable[SeenOrders], stores: Mapping[str, str]) -> _Places:
        unknown = {
            cause.partition("/")[2]
            for cause in self.store.exceptions.open_causes(self.link, Kind.UNKNOWN_IDENTIFIER)
            if cause.startswith("location/")
        }
        by_channel = self.config.movements.take_from == "location"
        votes: dict[str, Counter[str]] = defaultdict(Counter)
        examples: dict[str, str] = {}
        for one in orders:
            if by_channel and one.channel is not None and one.channel not in unknown:
                votes[one.place][one.channel] += one.orders
            elif one.place:
                examples[one.place] = one.example
        by_name = {name: counts.most_common(1)[0][0] for name, counts in votes.items() if name}
        by_name |= {name: key for key, name in stores.items()}
        by_name |= self._sampled({name: id_ for name, id_ in examples.items() if name not in by_name})
        names = {key: name for name, key in by_name.items()} | dict(stores)
        return _Places(by_name, names, frozenset(unknown), by_channel)

    def _sampled(self, examples: Mapping[str, str]) -> dict[str, str]:
        """The Channel of stores of which no order has taken stock yet, by the location that an order names."""
        contents = self.store.accounts.samples(self.link, sorted(examples.values()))
        found: dict[str, str] = {}
        for name, order_id in examples.items():
            content = contents.get(order_id)
            channel = own_channel(read_order(content).location) if content else None
            if channel:
                found[name] = channel
        return found


@dataclass(frozen=True)
class _Places:
    """Which store an order belongs to.

    :param by_name: keys of supply Channels by the name of their store.
    :param unknown: what stands for no Channel, although orders name it as their location.
    :param by_channel: an order takes the stock of its own store.
    """

    by_name: Mapping[str, str]
    names: Mapping[str, str]
    unknown: frozenset[str]
    by_channel: bool

    def of(self, order: SeenOrders) -> str:
        if self.by_channel and order.channel is not None:
            return self.channel(order.channel)
        return self.by_name.get(order.place, "")

    def channel(self, given: str) -> str:
        """A Channel's key; empty for what stands for none."""
        return "" if given in self.unknown or given == NO_LOCATION else given
