"""Findings about stock, in the words of the business."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from cogent_ops.domain.drift.causes import Difference, judge
from cogent_ops.domain.drift.model import OURS, Area, Cause, Fact, Finding
from cogent_ops.domain.exceptions import Owner
from cogent_ops.domain.stock import Place

_OWNERS: Mapping[Cause, Owner] = {
    Cause.LATE: Owner.PLATFORM,
    Cause.LOST: Owner.PLATFORM,
    Cause.DUPLICATED: Owner.PLATFORM,
    Cause.WRONG_IDENTIFIER: Owner.ECOMMERCE,
    Cause.MANUAL_EDIT: Owner.ECOMMERCE,
    Cause.MISSING_ENTRY: Owner.ECOMMERCE,
    Cause.PHANTOM_LOCATION: Owner.RETAIL_OPS,
    Cause.COUNT_DIFFERENCE: Owner.RETAIL_OPS,
    Cause.UNEXPLAINED: Owner.RETAIL_OPS,
}
_ACTIONS: Mapping[Cause, str] = {
    Cause.LATE: "See why stock_deltas does not carry it: its runs in Airflow, and cogent-ops stock status. It goes on "
    "by itself.",
    Cause.LOST: "Let it be mended; a count of the shelf overrules it at any time.",
    Cause.DUPLICATED: "Let it be mended; a count of the shelf overrules it at any time.",
    Cause.WRONG_IDENTIFIER: "Correct the SKU at its source, or add it to commercetools; the movement then goes on by "
    "itself.",
    Cause.MANUAL_EDIT: "Ask who changed it. If it was meant, there is nothing to do; if not, count the shelf and send "
    "the count.",
    Cause.MISSING_ENTRY: "Make the inventory entry again, or take the article off sale; the next movement makes it "
    "with what moves.",
    Cause.PHANTOM_LOCATION: "Give the kiosk its store in the Cloudshelf Manager, or make the supply Channel; the "
    "movement then goes on by itself.",
    Cause.COUNT_DIFFERENCE: "Find out where the units went; commercetools has the counted number already.",
    Cause.UNEXPLAINED: "Count the shelf and send the count, or approve that the expected number is restored.",
}

#: The piece of evidence that names the order of a finding.
ORDER = "order"


@dataclass(frozen=True)
class Night:
    """What all findings of a night share.

    :param currency: of the link.
    :param prices: in minor units by SKU, where known.
    """

    link: str
    name: str
    currency: str
    prices: Mapping[str, int]

    def finding(
        self,
        cause: Cause,
        place: Place,
        units: int,
        message: str,
        evidence: tuple[Fact, ...],
        *,
        heal: int | None = None,
        order: str = "",
    ) -> Finding:
        """A finding about a place.

        :param order: id of the order that it is about.
        """
        price = self.prices.get(place.sku)
        return Finding(
            link=self.link,
            night=self.name,
            area=Area.STOCK,
            cause=cause,
            subject=subject(place, order),
            message=message,
            evidence=evidence,
            owner=_OWNERS[cause],
            action=_ACTIONS[cause],
            units=units,
            amount=None if price is None else units * price,
            currency=None if price is None else self.currency,
            place=place.channel,
            reference=order,
            heal=heal,
        )


def subject(place: Place, order: str = "") -> str:
    """What a finding about a place is called."""
    return f"{place} (order {order.rpartition('/')[2]})" if order else str(place)


def happened_at(finding: Finding) -> datetime | None:
    """When the order of a finding about one moved stock; ``None``: not known, or it is about none."""
    return next((fact.at for fact in finding.evidence if fact.what == ORDER), None)


def place_of(finding: Finding) -> Place:
    """The place of a finding about stock."""
    tail = f" (order {finding.reference.rpartition('/')[2]})" if finding.reference else ""
    return Place.named(finding.subject.removesuffix(tail))


def differences(night: Night, found: Difference, version: int | None) -> Iterator[Finding]:
    """An entry that does not say what it should: a finding for each cause.

    :param version: of the entry when it was read.
    """
    verdicts, evidence = judge(found), _evidence(found, version)
    said = f"{found.place}: commercetools says {found.actual}, not {found.expected} ({_signed(found.off)})"
    for one in verdicts:
        which = f"; {_signed(one.units)} of it" if len(verdicts) > 1 else ""
        healable = one.cause in OURS or one.cause is Cause.UNEXPLAINED
        heal = -one.units if healable else None
        yield night.finding(
            one.cause, found.place, one.units, f"{said}{which}. {one.why}", evidence, heal=heal
        )


def _signed(units: int) -> str:
    return f"{units:+d}".replace("-", "−")


def _evidence(found: Difference, version: int | None) -> tuple[Fact, ...]:
    return (
        Fact("commercetools says", f"{found.actual} on stock, version {version}", found.read_at),
        Fact("expected", f"{found.expected} = {found.base}{_terms(found)}"),
        *(
            Fact("our change", f"{one.delta:+d} in batch {one.batch}{_chain(one.before, one.after)}", one.at)
            for one in found.changes
        ),
        *(Fact("order of the web shop", f"{one.order}: {one.units:+d}", one.at) for one in found.sales),
        *(
            Fact(
                "change that is not in the ledger",
                f"{one.before} to {one.after}{f', by API client {one.by}' if one.by else ''}",
                one.at,
            )
            for one in found.edits or ()
        ),
        Fact("the entry names batch", found.batch or "none"),
        Fact(
            "changed last by",
            f"API client {found.changed_by}" if found.changed_by else "not known",
            found.changed_at,
        ),
    )


def _terms(found: Difference) -> str:
    ours = sum(change.delta for change in found.changes)
    sold = sum(sale.units for sale in found.sales)
    mended = sum(change.mended for change in found.changes)
    without = f" {-mended:+d} that another link mended" if mended else ""
    return f" before {ours:+d} by us {sold:+d} by the web shop{without}"


def _chain(before: int | None, after: int | None) -> str:
    return "" if after is None else f", {'?' if before is None else before} to {after}"


def missing_entry(night: Night, place: Place, units: int, read: datetime) -> Finding:
    """An entry that was there and is not any more.

    :param units: that it had.
    """
    message = f"{place}: commercetools has no inventory entry any more; it had {units} units."
    facts = (Fact("commercetools says", "no such entry", read), Fact("it said before", f"{units} on stock"))
    return night.finding(Cause.MISSING_ENTRY, place, -units, message, facts)


def counted(night: Night, place: Place, off: int, count: int, batch: str, at: datetime) -> Finding:
    """A count that found something else than commercetools said.

    :param off: units that the store has more; negative: less.
    """
    more = "more" if off > 0 else "fewer"
    message = f"{place}: the store counted {count}, {abs(off)} {more} than commercetools said."
    facts = (
        Fact("counted", f"{count} units, in batch {batch}", at),
        Fact("commercetools said", str(count - off)),
    )
    return night.finding(Cause.COUNT_DIFFERENCE, place, off, message, facts)


def unmoved(
    night: Night, place: Place, order: str, recorded: int, moved: int, at: datetime | None = None
) -> Finding:
    """A kiosk order whose units no movement carries, or more than it should.

    :param at: when it took or gave back its units; ``None``: not known.
    """
    off, name = moved - recorded, order.rpartition("/")[2]
    is_more = recorded * moved > 0 and abs(moved) > abs(recorded)
    cause = Cause.DUPLICATED if is_more else Cause.LOST
    message = (
        f"{place}: order {name} should have moved {recorded:+d} units, and its movements come to {moved:+d}."
    )
    facts = (
        Fact(ORDER, order, at),
        Fact("should move", f"{recorded:+d}"),
        Fact("movements", f"{moved:+d}"),
    )
    return night.finding(cause, place, off, message, facts, heal=-off, order=order)


@dataclass(frozen=True)
class Waiting:
    """Movements of a place that commercetools does not have, of one state and reason."""

    place: Place
    state: str
    reason: str
    movements: int
    units: int
    oldest: datetime


def waiting(night: Night, found: Waiting, now: datetime) -> Finding:
    """Movements that wait too long, or for an identifier that nobody knows."""
    minutes = int((now - found.oldest).total_seconds() // 60)
    cause, why = _why(found)
    message = f"{found.place}: {found.movements} movements ({found.units:+d} units) wait since {minutes} minutes{why}."
    facts = (
        Fact(
            "in the inbox",
            f"{found.movements} movements, {found.units:+d} units, {found.state}",
            found.oldest,
        ),
        *((Fact("reason", found.reason),) if found.reason else ()),
    )
    # What is missing from commercetools has the opposite sign of what should move it.
    return night.finding(cause, found.place, -found.units, message, facts)


def _why(found: Waiting) -> tuple[Cause, str]:
    if found.state == "parked":
        return Cause.LATE, ", because commercetools refuses the change"
    if found.state != "review":
        return Cause.LATE, ""
    if "location" in found.reason and "variant" not in found.reason and "sku" not in found.reason:
        return (
            Cause.PHANTOM_LOCATION,
            f", because '{found.place.channel}' is no store that commercetools knows",
        )
    return Cause.WRONG_IDENTIFIER, f", because nobody knows '{found.place.sku}'"
