"""Movements of stock, and what they come to: pure arithmetic over signed units.

A movement is a change (sold two: -2) or a count (the truth at its time). Its place is an inventory entry: a SKU and
the key of a supply Channel, where the empty text means the pool without Channel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from cogent_ops.domain.custom_types import LAST_BATCH
from cogent_ops.domain.rules import MovementRules, OrderStatus

NO_CHANNEL = "(no channel)"


class Place(NamedTuple):
    """An inventory entry by what identifies it: SKU and key of the supply Channel (empty: none)."""

    sku: str
    channel: str

    def __str__(self) -> str:
        """As people write it: ``SKU@channel``."""
        return f"{self.sku}@{self.location}"

    @property
    def location(self) -> str:
        """The Channel as people write it, and as addresses of pages name it."""
        return self.channel or NO_CHANNEL

    @classmethod
    def named(cls, text: str) -> Place:
        """The place that people write so; without ``@`` it is in no Channel. A SKU may hold one, a key not."""
        sku, at, channel = text.rpartition("@")
        return cls(sku, "" if channel == NO_CHANNEL else channel) if at else cls(text, "")


class Source(StrEnum):
    """Where a movement came from."""

    KIOSK_ORDER = "kiosk_order"
    FILE = "file"
    API = "api"
    HEAL = "heal"


class MovementState(StrEnum):
    """Where a movement stands. Only ``waiting`` and ``review`` need something to happen."""

    WAITING = "waiting"
    BATCHED = "batched"
    APPLIED = "applied"
    EXCLUDED = "excluded"
    REVIEW = "review"


@dataclass(frozen=True)
class NewMovement:
    """A movement as it enters the inbox.

    :param project: the commercetools project as its rate budget names it; links may share one.
    :param delta: signed units; ``None`` for a count.
    :param counted: units that were there at ``occurred_at``; ``None`` unless it is a count.
    :param source_id: the idempotency key within link and source.
    :param reference: what people know it by: an order, a file and line.
    :param reason: why it is in review, or excluded.
    """

    link: str
    project: str
    sku: str
    channel: str
    source: Source
    source_id: str
    reference: str
    occurred_at: datetime
    delta: int | None = None
    counted: int | None = None
    state: MovementState = MovementState.WAITING
    reason: str | None = None

    def __post_init__(self) -> None:
        """Refuse what is neither a change nor a count.

        :raises ValueError: when both amounts are given, or none.
        """
        if (self.delta is None) == (self.counted is None):
            raise ValueError("A movement has either a delta or a count.")

    @property
    def place(self) -> Place:
        """The inventory entry."""
        return Place(self.sku, self.channel)


def order_movement_id(order_id: str, place: Place, revision: int) -> str:
    """The idempotency key of a kiosk order's movement.

    :param revision: how many movements the order has made at the place, this one included.
    """
    return f"{order_id}/{place.sku}@{place.channel}/{revision}"


def desired_effects(
    status: OrderStatus, ordered: Mapping[Place, int], recorded: Mapping[Place, int], rules: MovementRules
) -> dict[Place, int]:
    """What an order in this state should have done to stock, in signed units by place.

    A state that neither deducts nor gives back leaves what is recorded, except that an order first met in one that
    follows a sale (a partial refund) counts as sold, and a draft never does.

    :param ordered: units by place, summed over the order's lines.
    :param recorded: what the order has done so far, zeros included: an order that gave everything back once is not
        one that was never met.
    """
    sold = {place: -units for place, units in ordered.items()}
    gone = dict.fromkeys(recorded, 0)
    if status in rules.deduct:
        return gone | sold
    if status in rules.give_back or status is OrderStatus.DRAFT_BASKET:
        return gone
    if status is OrderStatus.PARTIALLY_REFUNDED and not recorded:
        return sold
    return dict(recorded)


def differences(desired: Mapping[Place, int], recorded: Mapping[Place, int]) -> dict[Place, int]:
    """The movements that turn ``recorded`` into ``desired``; places without one are left out."""
    places = {**dict.fromkeys(recorded), **dict.fromkeys(desired)}
    changes = {place: desired.get(place, 0) - recorded.get(place, 0) for place in places}
    return {place: change for place, change in changes.items() if change}


@dataclass(frozen=True)
class Claimed:
    """A movement that a batch holds.

    :param corrects: it puts the number of commercetools right, and nothing has happened on the shelf.
    """

    id: int
    occurred_at: datetime
    delta: int | None
    counted: int | None
    source: str = ""
    reference: str = ""
    corrects: bool = False


@dataclass(frozen=True)
class CountPlan:
    """What a batch with a count comes to.

    :param target: units that should be there after the batch.
    :param excluded: reasons by movement, of those that have no effect of their own.
    """

    target: int
    excluded: Mapping[int, str]


def newest_count(claimed: Iterable[Claimed]) -> Claimed | None:
    """The count that decides: the latest by its time; of equal ones, the one recorded last."""
    counts = [one for one in claimed if one.counted is not None]
    return max(counts, key=lambda one: (one.occurred_at, one.id), default=None)


def plan_count(claimed: Sequence[Claimed], count: Claimed, applied_since: int) -> CountPlan:
    """The plan of a batch that holds a count.

    A count has seen everything that happened before it, so earlier movements of the batch have no effect any more,
    whether they arrived in time or late; what happened after it comes on top. A number that was to be put right is
    replaced by the count, whenever the shelf was counted.

    :param count: the one that decides, see :func:`newest_count`.
    :param applied_since: sum of the effects that are younger than the count and in commercetools already.
    """
    excluded: dict[int, str] = {}
    target = (count.counted or 0) + applied_since
    for one in claimed:
        if one.id == count.id:
            continue
        if one.delta is None:
            excluded[one.id] = f"a later count was taken ({count.reference})"
        elif one.corrects:
            excluded[one.id] = f"the count of {count.occurred_at:%Y-%m-%d %H:%M:%S} UTC settles it"
        elif one.occurred_at <= count.occurred_at:
            excluded[one.id] = f"the count of {count.occurred_at:%Y-%m-%d %H:%M:%S} UTC has seen it"
        else:
            target += one.delta
    return CountPlan(target, excluded)


# Requests to commercetools


def change_actions(delta: int) -> list[dict[str, Any]]:
    """Update actions that move an entry's quantity by ``delta`` units; a removal may go below zero."""
    if delta == 0:
        return []
    name = "addQuantity" if delta > 0 else "removeQuantity"
    return [{"action": name, "quantity": abs(delta)}]


def mark_actions(batch_id: str, custom: Mapping[str, Any] | None, type_key: str) -> list[dict[str, Any]]:
    """Update actions that write the batch's id on an entry, in the same request as the change.

    An entry has one custom Type. Where one is on it, also another integration's, it stays and only our field is set;
    that the Type has the field must have been seen to.

    :param custom: the entry's ``custom`` as read.
    :param type_key: key of the Type for entries that have none.
    """
    if custom is not None:
        return [{"action": "setCustomField", "name": LAST_BATCH, "value": batch_id}]
    kind = {"typeId": "type", "key": type_key}
    return [{"action": "setCustomType", "type": kind, "fields": {LAST_BATCH: batch_id}}]


def last_batch(entry: Mapping[str, Any]) -> str | None:
    """The batch that an entry says was applied to it last; ``None`` when none was."""
    fields = (entry.get("custom") or {}).get("fields") or {}
    found = fields.get(LAST_BATCH)
    return None if found is None else str(found)
