"""What a night's comparison finds: one difference that nothing under way explains, with its cause and its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cogent_ops.domain.exceptions import Owner


class Area(StrEnum):
    """What was compared."""

    STOCK = "stock"
    KIOSK = "kiosk"
    CATALOGUE = "catalogue"
    ORDERS = "orders"
    MONEY = "money"


class Cause(StrEnum):
    """Why two sides differ; :data:`TITLES` says it in words."""

    LATE = "late"
    LOST = "lost"
    DUPLICATED = "duplicated"
    WRONG_IDENTIFIER = "wrong_identifier"
    MANUAL_EDIT = "manual_edit"
    MISSING_ENTRY = "missing_entry"
    PHANTOM_LOCATION = "phantom_location"
    COUNT_DIFFERENCE = "count_difference"
    KIOSK_FLAG = "kiosk_flag"
    UNEXPLAINED = "unexplained"
    EXTRA = "extra"
    ORPHANED = "orphaned"


#: Causes as the report and the exceptions name them.
TITLES: Mapping[Cause, str] = {
    Cause.LATE: "Waits longer than it should",
    Cause.LOST: "Lost on the way",
    Cause.DUPLICATED: "There twice",
    Cause.WRONG_IDENTIFIER: "Identifier that the other side does not know",
    Cause.MANUAL_EDIT: "Changed by a person or another system",
    Cause.MISSING_ENTRY: "Inventory entry is gone",
    Cause.PHANTOM_LOCATION: "Stock at a location that is no store",
    Cause.COUNT_DIFFERENCE: "The store counted otherwise",
    Cause.KIOSK_FLAG: "Kiosks say otherwise than they were told",
    Cause.UNEXPLAINED: "No cause was found",
    Cause.EXTRA: "There, and made by somebody else",
    Cause.ORPHANED: "Nobody knows where it came from",
}


#: Causes that point to ourselves, so that we may mend what we have done.
OURS = frozenset({Cause.LOST, Cause.DUPLICATED})


@dataclass(frozen=True)
class Moment:
    """When the two sides were read, and what counts as late then.

    :param lag: what changed within it may not show yet.
    :param late: a change takes so long at most to reach the other side.
    """

    now: datetime
    lag: timedelta
    late: timedelta

    def is_young(self, at: datetime | None, age: timedelta) -> bool:
        """Whether something happened so lately."""
        return at is not None and self.now - at < age


@dataclass(frozen=True)
class Fact:
    """A piece of evidence.

    :param what: e.g. ``commercetools says``.
    :param value: numbers, versions and ids as text; no personal data.
    """

    what: str
    value: str
    at: datetime | None = None


@dataclass(frozen=True)
class Finding:
    """A difference that is real.

    :param night: name of the night; names sort as time goes on.
    :param subject: what differs, unique within night, area and cause: ``SKU@channel``, an order's number.
    :param message: one sentence for people who run the business.
    :param action: what the owner should do.
    :param units: what is there less what should be.
    :param amount: the same in money: minor units of ``currency``.
    :param place: the store, as people name it; empty: none.
    :param reference: the order that it is about, by its id; empty: none.
    :param heal: units to add that would make it right; ``None``: nothing that may be mended from here.
    """

    link: str
    night: str
    area: Area
    cause: Cause
    subject: str
    message: str
    evidence: tuple[Fact, ...]
    owner: Owner
    action: str
    units: int = 0
    amount: int | None = None
    currency: str | None = None
    place: str = ""
    reference: str = ""
    heal: int | None = None

    @property
    def key(self) -> tuple[Area, Cause, str]:
        """What tells it from the other findings of its night."""
        return self.area, self.cause, self.subject
