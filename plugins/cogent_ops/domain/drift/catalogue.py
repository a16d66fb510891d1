"""The catalogue as kiosks show it, against what they should show: what differs, why, and what explains it.

What should be shown is what the catalogue flow would send now: the same mapping, judged by the same gate. Only what a
shopper or a sale depends on is compared: titles, prices, images, groups, identifiers, and whether a record is there.
Whether a variant is in stock is the availability flow's affair.

A difference is explained, and no drift, where somebody is at work on it: the gate holds the record, Cloudshelf refused
it, a person is asked about it, or it changed so lately that the flow may not have come to it yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cogent_ops.domain.catalogue import FULL_PASS_LIMIT
from cogent_ops.domain.drift.model import Area, Cause, Fact, Finding, Moment
from cogent_ops.domain.drift.shelf import ProductView, VariantView, is_ours, own_id
from cogent_ops.domain.exceptions import Owner
from cogent_ops.domain.identifiers import PRODUCT, VARIANT
from cogent_ops.domain.money import Money, show

#: Records that a finding names.
NAMED = 20


class Aspect(StrEnum):
    """What differs."""

    PRODUCT = "product"
    VARIANT = "variant"
    TITLE = "title"
    PRICE = "price"
    IMAGE = "image"
    CATEGORY = "category"
    IDENTIFIER = "identifier"
    GROUP = "group"


# What tells why


@dataclass(frozen=True)
class Known:
    """What the store knows of a product on the kiosks, see ``ProductState``."""

    status: str
    on_kiosk: bool
    skus: tuple[str, ...]
    groups: tuple[str, ...]
    recorded_at: datetime


@dataclass(frozen=True)
class Suspect:
    """A product that is shown otherwise than it should be, read once more from both sides, with all that tells why.

    :param name: how people name it: its key, else its id.
    :param is_published: whether commercetools has it for this link now.
    :param wanted: what would be sent now; ``None``: nothing of it.
    :param held_skus: what the gate holds of it.
    :param shown: what the kiosks show; ``None``: nothing.
    :param told: ids of records whose content was confirmed by Cloudshelf as it would be sent now.
    :param confirmed: ids of records that Cloudshelf has confirmed in whatever form.
    :param refused: ids of records that it refused, which a person knows.
    :param changed_at: when the product changed, or what its hold depends on; the next run finds that.
    :param nightly_at: when something changed that only the nightly full pass finds.
    :param was_listed: whether the last full pass still saw it in commercetools.
    """

    gid: str
    name: str
    is_published: bool
    wanted: ProductView | None
    held_skus: tuple[str, ...]
    shown: ProductView | None
    known: Known | None
    told: tuple[str, ...]
    confirmed: tuple[str, ...]
    refused: tuple[str, ...]
    changed_at: datetime | None
    nightly_at: datetime | None
    was_listed: bool


@dataclass(frozen=True)
class GroupSuspect:
    """A product group that is shown under another name, or although its category is gone.

    :param wanted: its name as it would be sent; ``None``: it is no group any more.
    :param is_told: whether Cloudshelf has confirmed that name.
    :param changed_at: when any category changed last.
    :param shown_at: when Cloudshelf changed it last.
    """

    gid: str
    wanted: str | None
    shown: str
    is_told: bool
    is_refused: bool
    changed_at: datetime | None
    shown_at: datetime


@dataclass(frozen=True)
class CatalogueMoment(Moment):
    """The same, with what the catalogue flow was at.

    :param last_full: when the last full pass began; ``None``: never.
    :param removals_held: whether a person is asked about products that are gone.
    :param is_removing: a full pass is under way, or has failed: it has seen what is gone, and not removed it yet.
    """

    last_full: datetime | None
    removals_held: bool
    is_removing: bool = False

    def awaits_full_pass(self, at: datetime | None) -> bool:
        """Whether something changed since the last full pass, and the next one is not overdue."""
        if at is None or self.now - at >= FULL_PASS_LIMIT:
            return False
        return self.last_full is None or self.last_full < at


# What explains a difference

HELD = "held_by_the_gate"
REFUSED = "refused_and_told"
YOUNG = "changed_a_moment_ago"
NIGHTLY = "waits_for_the_full_pass"
REMOVALS = "removal_waits_for_a_person"
RETIRED = "taken_off_sale"


@dataclass(frozen=True)
class Mismatch:
    """One difference.

    :param gid: of the record that differs.
    :param sku: of the variant; empty: it is about the product.
    :param cause: ``None``: it is explained, and ``why`` says by what.
    :param why: a sentence where there is a cause.
    :param amount: how much less the shopper pays (negative) or more, in minor units; 0: it is not about a price.
    """

    aspect: Aspect
    gid: str
    sku: str
    wanted: str
    shown: str
    cause: Cause | None = None
    why: str = ""
    amount: int = 0


def judge(suspect: Suspect, moment: CatalogueMoment, currency: str) -> list[Mismatch]:
    """Everything that differs about a product, with its cause or what explains it."""
    judging = _Judging(suspect, moment)
    return [
        Mismatch(one.aspect, one.gid, one.sku, one.wanted, one.shown, *judging.why(one), one.amount)
        for one in differences(suspect, currency)
    ]


def differences(suspect: Suspect, currency: str) -> Iterator[Mismatch]:
    """What differs, without why."""
    wanted, shown = suspect.wanted, suspect.shown
    if wanted is None or shown is None:
        if wanted is not shown:
            told = ("on the kiosks", "not there") if shown is None else ("not on the kiosks", "there")
            yield Mismatch(Aspect.PRODUCT, suspect.gid, "", *told)
        return
    if wanted.title != shown.title:
        yield Mismatch(Aspect.TITLE, wanted.gid, "", wanted.title, shown.title)
    if wanted.groups != shown.groups:
        yield Mismatch(Aspect.CATEGORY, wanted.gid, "", _named(wanted.groups), _named(shown.groups))
    there = {one.gid: one for one in shown.variants}
    for one in wanted.variants:
        found = there.pop(one.gid, None)
        if found is None:
            yield Mismatch(Aspect.VARIANT, one.gid, one.sku, "on the kiosks", "not there")
        else:
            yield from _variant_differences(one, found, currency)
    for one in there.values():
        yield Mismatch(Aspect.VARIANT, one.gid, one.sku, "not on the kiosks", "there")


def _variant_differences(wanted: VariantView, shown: VariantView, currency: str) -> Iterator[Mismatch]:
    gid, sku = wanted.gid, wanted.sku
    if (wanted.sku, wanted.barcode) != (shown.sku, shown.barcode):
        yield Mismatch(Aspect.IDENTIFIER, gid, sku, _codes(wanted), _codes(shown))
    if wanted.title != shown.title:
        yield Mismatch(Aspect.TITLE, gid, sku, wanted.title, shown.title)
    if (wanted.current, wanted.original) != (shown.current, shown.original):
        told = _price(wanted, currency), _price(shown, currency)
        yield Mismatch(Aspect.PRICE, gid, sku, *told, amount=shown.current - wanted.current)
    if wanted.images != shown.images:
        yield Mismatch(Aspect.IMAGE, gid, sku, _named(wanted.images), _named(shown.images))


def _codes(one: VariantView) -> str:
    return f"SKU {one.sku or '-'}, barcode {one.barcode or '-'}"


def _price(one: VariantView, currency: str) -> str:
    current, original = (show(Money(currency, cents)) for cents in (one.current, one.original))
    return current if one.current == one.original else f"{current} instead of {original}"


def _named(values: tuple[str, ...]) -> str:
    return ", ".join(values) or "none"


Why = tuple[Cause | None, str]


class _Judging:
    """Why a product's differences are there."""

    def __init__(self, suspect: Suspect, moment: CatalogueMoment) -> None:
        self.suspect, self.moment = suspect, moment
        self.known, self.wanted, self.shown = suspect.known, suspect.wanted, suspect.shown
        self._refused = frozenset(suspect.refused)

    def why(self, one: Mismatch) -> Why:
        if not self._refused.isdisjoint((one.gid, self.suspect.gid)):
            return None, REFUSED  # the variants of a refused product are not sent at all
        if one.aspect is Aspect.PRODUCT:
            return self._missing(one) if self.shown is None else self._extra_product()
        if one.aspect is Aspect.VARIANT:
            shown = self._shown_variant(one.gid)
            return self._missing(one) if shown is None else self._extra_variant(shown)
        return self._other_content(one)

    def _shown_variant(self, gid: str) -> VariantView | None:
        return next((one for one in (self.shown.variants if self.shown else ()) if one.gid == gid), None)

    def _waiting(self) -> str:
        """What explains that the flow has not come to it yet; empty: nothing."""
        if self.moment.is_young(self.suspect.changed_at, self.moment.late):
            return YOUNG
        return NIGHTLY if self.moment.awaits_full_pass(self.suspect.nightly_at) else ""

    def _late(self, text: str) -> Why:
        waiting = self._waiting()
        return (None, waiting) if waiting else (Cause.LATE, text)

    def _just_recorded(self) -> bool:
        return self.known is not None and self.moment.is_young(self.known.recorded_at, self.moment.lag)

    def _missing(self, one: Mismatch) -> Why:
        known = self.known
        was_there = known is not None and known.on_kiosk and (not one.sku or one.sku in known.skus)
        if self._just_recorded():
            return None, YOUNG
        if was_there and one.gid in self.suspect.confirmed:
            return Cause.LOST, "Cloudshelf confirmed it, and does not have it any more."
        if known is None:
            return self._late("No run of the catalogue flow has come to it.")
        return self._late("It passes the gate, and no run of the catalogue flow has sent it.")

    def _extra_product(self) -> Why:
        suspect, known = self.suspect, self.known
        if not is_ours(suspect.gid, PRODUCT):
            return Cause.EXTRA, "This integration did not make it; somebody else put it there."
        if suspect.is_published:
            if known is not None and known.on_kiosk:
                return None, HELD
            return Cause.UNEXPLAINED, "The gate holds it, and nothing says that it was ever sent."
        if known is None:
            return (
                Cause.LOST,
                "Cloudshelf confirmed its deletion, or another installation made it, and it is there.",
            )
        if self.moment.removals_held:
            return None, REMOVALS
        full = self.moment.last_full
        is_expected = suspect.was_listed or self.moment.is_removing
        if is_expected and full is not None and self.moment.now - full < FULL_PASS_LIMIT:
            return None, NIGHTLY
        return Cause.LATE, "It is not published any more, and the nightly full pass has not removed it."

    def _extra_variant(self, shown: VariantView) -> Why:
        sku = own_id(shown.gid, VARIANT)
        if sku is None:
            return self._foreign_variant(shown)
        if shown.sku in self.suspect.held_skus or sku in self.suspect.held_skus:
            return None, HELD
        if not shown.is_on_sale:
            return None, RETIRED
        if self.moment.is_young(shown.changed_at, self.moment.lag) or self._just_recorded():
            return None, YOUNG
        if self.known is None or sku in self.known.skus:
            return self._late("commercetools does not have it any more, and no run has taken it off sale.")
        return self._changed_since(shown.changed_at, "It was taken off sale")

    def _foreign_variant(self, shown: VariantView) -> Why:
        if self.wanted and shown.sku in {one.sku for one in self.wanted.variants}:
            return Cause.WRONG_IDENTIFIER, "It carries a SKU of ours under an id that is not ours."
        if not shown.is_on_sale:
            return None, RETIRED
        return Cause.EXTRA, "This integration did not make it; somebody else put it there."

    def _other_content(self, one: Mismatch) -> Why:
        entity = self._shown_variant(one.gid) if one.sku else self.shown
        changed_at = entity.changed_at if entity else None
        if self.moment.is_young(changed_at, self.moment.lag) or self._just_recorded():
            return None, YOUNG
        if not self._is_told(one):
            return self._late("The catalogue flow has not sent it as it is in commercetools now.")
        if one.aspect is Aspect.IDENTIFIER:
            return Cause.WRONG_IDENTIFIER, "Cloudshelf confirmed another SKU or barcode than it shows."
        return self._changed_since(changed_at, "It was sent as it should be")

    def _is_told(self, one: Mismatch) -> bool:
        if one.aspect is Aspect.CATEGORY and self.known is not None and self.wanted is not None:
            return self.known.groups == self.wanted.groups
        return one.gid in self.suspect.told

    def _changed_since(self, changed_at: datetime | None, done: str) -> Why:
        recorded = self.known.recorded_at if self.known else None
        if changed_at and recorded and changed_at > recorded + self.moment.lag:
            return Cause.MANUAL_EDIT, f"{done}, and was changed in Cloudshelf afterwards."
        return Cause.LOST, f"{done}; Cloudshelf confirmed that and shows something else."


def judge_group(suspect: GroupSuspect, moment: CatalogueMoment) -> Mismatch:
    """Why a group is not shown as it should be."""
    wanted = "no group" if suspect.wanted is None else suspect.wanted
    cause, why = _group_cause(suspect, moment)
    return Mismatch(Aspect.GROUP, suspect.gid, "", wanted, suspect.shown, cause, why)


def _group_cause(suspect: GroupSuspect, moment: CatalogueMoment) -> Why:
    if suspect.is_refused:
        return None, REFUSED
    if moment.is_young(suspect.shown_at, moment.lag) or moment.is_young(suspect.changed_at, moment.late):
        return None, YOUNG
    if suspect.wanted is None:
        return Cause.LATE, "Its category is gone, and no run of the catalogue flow has removed it."
    if suspect.is_told:
        return Cause.MANUAL_EDIT, "It was sent as it should be, and was renamed in Cloudshelf."
    return Cause.LATE, "The catalogue flow has not sent it as it is in commercetools now."


# What people read

_OWNERS = {
    Cause.LATE: Owner.PLATFORM,
    Cause.LOST: Owner.PLATFORM,
    Cause.UNEXPLAINED: Owner.PLATFORM,
    Cause.WRONG_IDENTIFIER: Owner.ECOMMERCE,
    Cause.MANUAL_EDIT: Owner.MERCHANDISING,
    Cause.EXTRA: Owner.MERCHANDISING,
}
_RESEND = "trigger catalogue_sync with its SKUs and resend = true"
_ACTIONS = {
    Cause.LATE: "Look at the last runs of catalogue_sync; when they are green, trigger it with full_refresh = true.",
    Cause.LOST: f"Have it sent again: {_RESEND}. If it gets lost again, ask Cloudshelf.",
    Cause.UNEXPLAINED: "Compare it by hand in both systems, and note in the exception what it is.",
    Cause.WRONG_IDENTIFIER: "Remove the record with the other identifier in the Cloudshelf Manager, because what it "
    f"sells cannot be told from a stranger's; then {_RESEND}.",
    Cause.MANUAL_EDIT: f"If the change is meant, make it in commercetools; else {_RESEND}.",
    Cause.EXTRA: "Delete it in the Cloudshelf Manager, or mark the exception as expected.",
}


def findings(
    suspect: Suspect, mismatches: Iterable[Mismatch], *, link: str, night: str, currency: str
) -> list[Finding]:
    """One finding for each aspect and cause of a product."""
    together: dict[tuple[Aspect, Cause], list[Mismatch]] = {}
    for one in mismatches:
        if one.cause is not None:
            together.setdefault((one.aspect, one.cause), []).append(one)
    return [
        _finding(suspect.name, cause, rows, _history(suspect), link=link, night=night, currency=currency)
        for (_, cause), rows in together.items()
    ]


def group_finding(mismatch: Mismatch, *, link: str, night: str, currency: str) -> Finding | None:
    """A group's finding; ``None`` where it is explained."""
    if mismatch.cause is None:
        return None
    return _finding(mismatch.gid, mismatch.cause, [mismatch], (), link=link, night=night, currency=currency)


def _history(suspect: Suspect) -> tuple[Fact, ...]:
    known, shown = suspect.known, suspect.shown
    facts = [Fact("changed in commercetools", "last", suspect.changed_at)] if suspect.changed_at else []
    if known is not None:
        facts.append(Fact("recorded by the catalogue flow", known.status, known.recorded_at))
    if shown is not None:
        facts.append(Fact("changed in Cloudshelf", "last", shown.changed_at))
    return tuple(facts)


def _finding(
    name: str,
    cause: Cause,
    rows: list[Mismatch],
    history: tuple[Fact, ...],
    *,
    link: str,
    night: str,
    currency: str,
) -> Finding:
    first, more = rows[0], len(rows) - 1
    what = f"{name} ({first.sku})" if first.sku else name
    also = f" {more} more of its variants alike." if more else ""
    evidence = [Fact(one.sku or one.gid, f"should be: {one.wanted}; is: {one.shown}") for one in rows[:NAMED]]
    is_price = first.aspect is Aspect.PRICE
    owner = Owner.FINANCE if is_price and cause is Cause.MANUAL_EDIT else _OWNERS[cause]
    return Finding(
        link=link,
        night=night,
        area=Area.CATALOGUE,
        cause=cause,
        subject=f"{name} · {first.aspect}",
        message=f"{what}, {first.aspect}: should be {first.wanted}, is {first.shown}. {first.why}{also}",
        evidence=(*evidence, *history),
        owner=owner,
        action=_ACTIONS[cause],
        units=len(rows),
        amount=sum(one.amount for one in rows) if is_price else None,
        currency=currency if is_price else None,
    )
