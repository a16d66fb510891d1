"""What is known of one place's stock, from the store and from both systems: what a story is told from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cogent_ops.domain.drift.model import Finding
from cogent_ops.domain.stock import MovementState, Place, Source


@dataclass(frozen=True)
class Moved:
    """A movement of the inbox; see :class:`cogent_ops.domain.stock.NewMovement`."""

    id: int
    link: str
    delta: int | None
    counted: int | None
    source: str
    source_id: str
    reference: str
    occurred_at: datetime
    recorded_at: datetime
    state: str
    reason: str
    batch_id: str | None
    settled_at: datetime | None


@dataclass(frozen=True)
class Sent:
    """A change of the entry that was sent, or is about to be.

    :param state: ``open``, ``parked`` or ``applied``.
    :param rounds: how often somebody took it up.
    :param before: units before it, where known; ``after`` likewise.
    """

    id: str
    state: str
    delta: int | None
    entry_id: str | None
    rounds: int
    before: int | None
    after: int | None
    available: int | None
    error: str
    created_at: datetime
    settled_at: datetime | None


@dataclass(frozen=True)
class Remembered:
    """What commercetools said of the entry last, as far as we have moved it."""

    entry_id: str
    on_stock: int
    available: int
    read_at: datetime


@dataclass(frozen=True)
class LevelSaid:
    """What kiosks of the store should be told, and were told last."""

    wanted: int
    told: int | None
    wanted_at: datetime
    told_at: datetime | None
    refusals: int


@dataclass(frozen=True)
class FlagSaid:
    """The variant's own two flags, as they should be told and were told last, in words."""

    wanted: str
    told: str | None
    wanted_at: datetime
    told_at: datetime | None
    refusals: int


@dataclass(frozen=True)
class Protected:
    """Units that kiosks are told less while stock is late."""

    buffer: int
    since: datetime


@dataclass(frozen=True)
class Logged:
    """An entry of the audit log."""

    at: datetime
    link: str
    actor: str
    action: str
    subject: str
    detail: Mapping[str, object]


@dataclass(frozen=True)
class FoundBefore:
    """A finding of a night.

    :param at: when that night's findings were stored.
    :param state: what has become of it.
    """

    finding: Finding
    at: datetime
    state: str
    outcome: str


@dataclass(frozen=True)
class Trouble:
    """An exception about the place."""

    id: int
    link: str
    kind: str
    status: str
    message: str
    opened_at: datetime
    resolved_at: datetime | None


@dataclass(frozen=True)
class Ledger:
    """What the store knows.

    :param movements: the oldest first; ``left_out``: older ones that were not read.
    :param batches: in the order in which they were made.
    :param orders: what became in commercetools of kiosk orders, in words, by the reference of their movements.
    :param placed: when kiosk orders were placed, by the same; their movements have the time of the last change.
    """

    movements: tuple[Moved, ...] = ()
    left_out: int = 0
    batches: tuple[Sent, ...] = ()
    remembered: Remembered | None = None
    level: LevelSaid | None = None
    flag: FlagSaid | None = None
    protected: Protected | None = None
    findings: tuple[FoundBefore, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    log: tuple[Logged, ...] = ()
    orders: Mapping[str, str] | None = None
    placed: Mapping[str, datetime] | None = None


# commercetools


@dataclass(frozen=True)
class EntryRead:
    """The inventory entry as read now.

    :param batch: our change that it names.
    :param changed_by: API client that changed it last, or a word for a person; empty: not known.
    """

    on_stock: int
    available: int
    batch: str | None
    changed_at: datetime
    changed_by: str


@dataclass(frozen=True)
class WebOrder:
    """What an order of the web shop took from the entry, or reserved.

    :param units: without sign.
    """

    number: str
    units: int
    takes: bool
    at: datetime


@dataclass(frozen=True)
class Told:
    """A Message about the entry.

    :param before: units; ``None``: the entry was made. ``after``: ``None``: it was deleted.
    :param by: the API client that did it, or a word for a person; empty: the Message does not say.
    """

    id: str
    before: int | None
    after: int | None
    at: datetime
    by: str = ""


@dataclass(frozen=True)
class ShopSide:
    """commercetools.

    :param entry: ``None``: there is none, or nobody could look.
    :param problem: why nobody could look; empty: it was read.
    :param orders: ``None``: they could not be read.
    :param messages: ``None``: the project keeps none, or they could not be read.
    :param why: what could not be read, and why, as sentences.
    """

    read_at: datetime | None
    entry: EntryRead | None = None
    problem: str = ""
    orders: tuple[WebOrder, ...] | None = None
    messages: tuple[Told, ...] | None = None
    why: tuple[str, ...] = ()


# Cloudshelf


@dataclass(frozen=True)
class KioskSide:
    """Cloudshelf, which tells flags and no quantities.

    :param is_shown: whether kiosks have the article at all.
    :param in_stock: whether the store's kiosks take the article to be in stock; ``None``: they know no level there.
    :param flags: the variant's own two flags in words.
    :param problem: why nobody could look; empty: it was read.
    """

    read_at: datetime | None
    is_shown: bool = True
    in_stock: bool | None = None
    flags: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Known:
    """All of it.

    :param name: the store as people call it.
    :param us: our API clients; links that share a project may have several.
    :param lag: a change shows so late at most.
    :param zero: what kiosks are told for 0; below zero where Cloudshelf takes 0 for in stock.
    """

    link: str
    place: Place
    name: str
    asked_at: datetime
    since: datetime
    ledger: Ledger
    shop: ShopSide
    kiosks: KioskSide
    us: frozenset[str]
    lag: timedelta
    zero: int = 0

    def told_for(self, units: int) -> int:
        """What kiosks are told for so many units."""
        return units or self.zero

    def after_none(self, one: Moved) -> timedelta | None:
        """How long before a kiosk's sale kiosks were told that there is none, and nothing else until now.

        ``None``: they were not, or nobody knows when the order was placed.
        """
        level, placed = self.ledger.level, (self.ledger.placed or {}).get(one.reference)
        is_sale = one.source == Source.KIOSK_ORDER and (one.delta or 0) < 0 and one.link == self.link
        if not is_sale or one.state == MovementState.EXCLUDED or placed is None:
            return None
        if level is None or level.told != 0 or level.told_at is None or placed <= level.told_at:
            return None
        return placed - level.told_at
