"""Findings about what kiosks show of stock. Only flags can be read back: Cloudshelf gives no quantities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from cogent_ops.domain.drift.model import Area, Cause, Fact, Finding, Moment
from cogent_ops.domain.exceptions import Owner


@dataclass(frozen=True)
class Shelf:
    """A variant in a store, or a variant's own flags, on both sides.

    :param channel: key of the store's Channel; ``None``: the variant's flags.
    :param wanted: units that kiosks should be told, or both flags as words; ``told`` was told last.
    :param shown: what Cloudshelf says; ``None``: it has nothing there.
    """

    sku: str
    channel: str | None
    wanted: str | None = None
    told: str | None = None
    expected: str | None = None
    shown: str | None = None
    wanted_at: datetime | None = None
    told_at: datetime | None = None
    read_due: datetime | None = None

    @property
    def subject(self) -> str:
        """As people write it."""
        return self.sku if self.channel is None else f"{self.sku}@{self.channel}"


_ACTIONS: Mapping[Cause, tuple[Owner, str]] = {
    Cause.LATE: (
        Owner.PLATFORM,
        (
            "See why availability_push does not tell it: its runs in Airflow, and its exceptions. It is told as soon "
            "as it can be."
        ),
    ),
    Cause.KIOSK_FLAG: (
        Owner.PLATFORM,
        (
            "Run availability_push with full, and catalogue_sync with full_refresh if it comes back; look for somebody "
            "who edits stock in the Cloudshelf Manager."
        ),
    ),
    Cause.PHANTOM_LOCATION: (
        Owner.RETAIL_OPS,
        "Move that location's kiosks to a store and delete it in the Cloudshelf Manager, or make its Channel a store.",
    ),
    Cause.EXTRA: (
        Owner.ECOMMERCE,
        (
            "Run catalogue_sync with full_refresh; Cloudshelf has no way to remove a single stock level, so ask them "
            "if it stays."
        ),
    ),
}


def judge(one: Shelf, moment: Moment) -> tuple[Cause, str] | None:
    """Why a shelf is not as it should be, and a sentence; ``None`` when it is, or is too young to say."""
    if one.wanted is None:
        if one.expected is None:
            return (
                Cause.PHANTOM_LOCATION,
                "kiosks take it to be in stock at a location that is no store of this link",
            )
        return Cause.EXTRA, "kiosks take it to be in stock, and nobody has told them about it"
    if one.told != one.wanted:
        if one.wanted_at is not None and not moment.is_young(one.wanted_at, moment.late):
            return (
                Cause.LATE,
                f"kiosks should be told {one.wanted}, and were told {one.told or 'nothing known'}",
            )
        return None
    if one.read_due is not None and moment.now - one.read_due > moment.late:
        return Cause.LATE, "nobody has looked in commercetools for longer than agreed"
    is_young = one.told_at is None or moment.is_young(one.told_at, moment.lag)
    if one.shown == one.expected or is_young:
        return None
    return Cause.KIOSK_FLAG, f"kiosks show {one.shown or 'nothing'}, and were told {one.told}"


def finding(link: str, night: str, one: Shelf, verdict: tuple[Cause, str], read: datetime) -> Finding:
    """What was found about a shelf.

    :param read: when kiosks were read.
    """
    cause, why = verdict
    owner, action = _ACTIONS[cause]
    facts = (
        Fact("kiosks show", one.shown or "nothing", read),
        Fact("should be told", one.wanted or "nothing", one.wanted_at),
        Fact("was told", one.told or "nothing known", one.told_at),
        *(() if one.read_due is None else (Fact("to be read again by", "", one.read_due),)),
    )
    return Finding(
        link=link,
        night=night,
        area=Area.KIOSK,
        cause=cause,
        subject=one.subject,
        message=f"{one.subject}: {why}.",
        evidence=facts,
        owner=owner,
        action=action,
        place=one.channel or "",
    )
