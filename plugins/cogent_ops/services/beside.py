"""The two systems side by side, for somebody who is to decide about an exception.

What our own store knows is shown whatever happens; what has to be asked is asked now, with little patience, and where
no answer comes, that is said in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from cogent_ops.clients.commercetools import CommercetoolsClient
from cogent_ops.domain.beside import Beside, Mark, Pair, ShopOrder, compare, of_draft, of_order
from cogent_ops.domain.drift.model import Finding
from cogent_ops.domain.exceptions import ORDER_KINDS, Kind, order_of
from cogent_ops.domain.health.story import Story
from cogent_ops.domain.order_changes import shop_status
from cogent_ops.domain.order_draft import Draft
from cogent_ops.domain.order_problems import Problem
from cogent_ops.domain.orders import UnreadableOrder, read_order
from cogent_ops.domain.stock import Place
from cogent_ops.errors import CogentOpsError, ConfigError, PermanentError
from cogent_ops.quality.schema import Rule, read_schema
from cogent_ops.services.orders.desk import Preview
from cogent_ops.services.orders.shop import payment_ids, together
from cogent_ops.store import Store, StoredException
from cogent_ops.store.orders import Work

KIOSK, SHOP, DRAFT = "Kiosk (Cloudshelf)", "commercetools", "Would be sent to commercetools"
#: So many findings of a night are shown with an exception.
FINDINGS = 5
_ORDER_KINDS = ORDER_KINDS | {Kind.BAD_MOVEMENT, Kind.REFUND_QUANTITY, Kind.ORDER_UNREADABLE}
_PLACE_KINDS = frozenset({Kind.STOCK_REFUSED, Kind.OVERSELL, Kind.STOCK_AT_RISK})
_DRIFT_KINDS = frozenset({Kind.DRIFT_STOCK, Kind.DRIFT_CATALOGUE, Kind.DRIFT_ORDERS, Kind.DRIFT_MONEY})
_FIELD_KINDS = frozenset({Kind.PRODUCT_HELD, Kind.LOCATION_INCOMPLETE, Kind.RECORD_REFUSED})


class Stories(Protocol):
    """Tells why a number is what it is; :class:`cogent_ops.services.explain.Explain` does."""

    def story(self, named: str, *, days: int = 14) -> Story:
        """All about one place."""


class SideBySide:
    """Source beside target, for the exceptions of one link. Each part is made when it is first needed.

    :param shop: a client with little patience: somebody waits for the page.
    :param preview: says what would be sent of an order.
    :param suite: the product master suite.
    """

    def __init__(
        self,
        link: str,
        store: Store,
        *,
        shop: Callable[[], CommercetoolsClient],
        preview: Callable[[], Preview],
        stories: Callable[[], Stories],
        suite: Callable[[], Path],
    ) -> None:
        self.link, self.store = link, store
        self._shop, self._preview, self._stories, self._suite = shop, preview, stories, suite

    @staticmethod
    def is_asked(one: StoredException) -> bool:
        """Whether something has to be asked of another system, which may take its time."""
        return not one.is_drill and (one.kind in _ORDER_KINDS or place_of(one) is not None)

    def of(self, one: StoredException) -> tuple[Beside, ...]:
        """What there is to lay side by side; nothing for a drill, and where there is nothing to compare."""
        if one.is_drill:
            return ()
        place = place_of(one)
        if place is not None:
            return (self._stock(place),)
        if one.kind in _ORDER_KINDS:
            return tuple(self._order(one))
        if one.kind in _DRIFT_KINDS:
            return tuple(self._night(one))
        return (self._field(one),) if one.kind in _FIELD_KINDS else ()

    # Orders

    def _order(self, one: StoredException) -> Iterator[Beside]:
        named = order_of(one.cause_key) if one.kind in ORDER_KINDS else one.payload.get("order")
        with self.store.read() as conn:
            work = self.store.captures.work(conn, self.link, named) if isinstance(named, str) else None
        if work is None:
            return
        if not work.content:
            text = "What it sold is not kept any more. See it in the Cloudshelf Manager."
            yield Beside(work.capture.order_number, KIOSK, SHOP, (), problem=text)
            return
        try:
            order = read_order(work.content)
        except UnreadableOrder as error:
            yield Beside(work.capture.order_number, KIOSK, SHOP, (), problem=str(error))
            return
        shop, problems, problem = self._asked(one, work)
        edits = work.capture.edits
        pairs = compare(order, work.capture.order_number, shop, edits=edits, problems=problems)
        if problems:
            note = "It cannot be sent yet. The rows say what stops it."
            yield Beside(work.capture.order_number, KIOSK, "", pairs, note=note)
            return
        heading = DRAFT if shop is None or shop.is_draft else SHOP
        yield Beside(work.capture.order_number, KIOSK, heading if not problem else "", pairs, problem)

    def _asked(self, one: StoredException, work: Work) -> tuple[ShopOrder | None, Sequence[Problem], str]:
        """Commercetools' side of an order, what keeps it from having one, and why neither can be told."""
        capture = work.capture
        try:
            if capture.ct_order_id is not None:
                found = self._shop().get("orders", capture.ct_order_id)
                if found is None:
                    return None, (), f"commercetools has no order {capture.ct_order_id} any more."
                return self._shop_order(found), (), ""
            if one.kind == Kind.ORDER_CONFLICT:
                found = self._shop().get("orders", key=capture.order_number)
                if found is not None:
                    return self._shop_order(found), (), ""
            made = self._preview().preview(work)
        except CogentOpsError as error:
            return None, (), _out_of_reach(error)
        if isinstance(made, Draft):
            return of_draft(made), (), ""
        return None, made, ""

    def _shop_order(self, found: Mapping[str, Any]) -> ShopOrder:
        payments = chain.from_iterable(self._shop().by_values("payments", "id", payment_ids(found)))
        return of_order(found, shop_status(found, together(payments)))

    # Stock

    def _stock(self, place: Place) -> Beside:
        try:
            story = self._stories().story(str(place))
        except CogentOpsError as error:
            return Beside(f"Stock of {place}", KIOSK, SHOP, (), problem=_out_of_reach(error))
        return stock_beside(story)

    # What a night found

    def _night(self, one: StoredException) -> Iterator[Beside]:
        night, subjects = one.payload.get("night"), one.payload.get("subjects") or ()
        if not isinstance(night, str):
            return
        rank = {subject: place for place, subject in enumerate(subjects)}
        found = [
            each.finding
            for each in self.store.drift.findings(self.link, night)
            if f"{each.finding.area}/{each.finding.cause}" == one.cause_key and each.finding.subject in rank
        ]
        found.sort(key=lambda finding: rank[finding.subject])
        yield from map(_evidence, found[:FINDINGS])

    # Fields

    def _field(self, one: StoredException) -> Beside:
        value = one.payload.get("value")
        source = str(value) if value else "nothing"
        wanted, note = one.rule, ""
        if one.kind == Kind.PRODUCT_HELD:
            try:
                rules = read_schema(self._suite()).rules
            except ConfigError as error:
                note = str(error)
            else:
                rule = next((rule for rule in rules if rule.name == one.rule), None)
                if rule is not None:
                    wanted, note = wants(rule), f"Mend it at {rule.entry.meta.mend}."
                    if value and any(column.startswith("missing_") for column in rule.judged):
                        source = f"nothing in: {value}"
        sides = {
            Kind.PRODUCT_HELD: ("commercetools has", "The product master schema wants"),
            Kind.LOCATION_INCOMPLETE: ("commercetools has", "A store needs"),
            Kind.RECORD_REFUSED: ("Was sent", "Cloudshelf said"),
        }
        pair = Pair(one.field or one.record, source, wanted, Mark.DIFFERS, one.message)
        return Beside(one.record, *sides[Kind(one.kind)], (pair,), note=note)


def place_of(one: StoredException) -> Place | None:
    """The place whose stock an exception is about; ``None``: it is about no single one."""
    sku, channel = one.payload.get("sku"), one.payload.get("channel")
    if one.is_drill or one.kind not in _PLACE_KINDS:
        return None
    return Place(str(sku), str(channel or "")) if sku else Place.named(one.cause_key)


def stock_beside(story: Story) -> Beside:
    """What kiosks were told beside what commercetools has."""
    kiosk, shop = story.kiosks, story.shop
    pairs = [_available(story), Pair("On stock", "", _number(shop.number), Mark.PLAIN, shop.text)]
    if story.pending:
        words = f"Not in commercetools yet: {story.pending:+,} units are on their way."
        pairs.append(Pair("On the way", f"{story.pending:+,}", "", Mark.PLAIN, words))
    if story.unexplained:
        words = f"{story.unexplained:,} units that nothing explains."
        pairs.append(Pair("Unexplained", "", f"{story.unexplained:,}", Mark.DIFFERS, words))
    problem = " ".join(part for part in (shop.problem, kiosk.problem) if part)
    return Beside(
        f"Stock of {story.subject}", "Kiosks were told", SHOP, tuple(pairs), problem, story.sentence
    )


def _available(story: Story) -> Pair:
    told, there = story.kiosks.number, story.shop.available
    shown = _number(told), _number(there)
    if told is None or there is None:
        return Pair("Available", *shown, Mark.PLAIN, story.kiosks.text)
    if told == there:
        return Pair("Available", *shown, Mark.SAME)
    if max(told, there) <= 0:
        return Pair("Available", *shown, Mark.PLAIN, "Both mean that there is none.")
    # Below zero means none, too: see "Zero that counts as in stock" in docs/availability.md.
    units = max(told, 0) - there
    return Pair(
        "Available",
        *shown,
        Mark.DIFFERS,
        f"Kiosks were told {abs(units):,} {'more' if units > 0 else 'less'}.",
    )


def _number(number: int | None) -> str:
    return "not known" if number is None else f"{number:,}"


def _evidence(finding: Finding) -> Beside:
    facts = [Pair(fact.what, fact.value, "") for fact in finding.evidence]
    return Beside(finding.subject, "Evidence of the night", "", tuple(facts), note=finding.message)


def wants(rule: Rule) -> str:
    """What a rule of the product master schema asks for, in words."""
    kwargs = rule.entry.kwargs
    limits = [
        f"{word} {kwargs[name]:,}"
        for name, word in (("min_value", "at least"), ("max_value", "at most"))
        if isinstance(kwargs.get(name), int | float)
    ]
    if isinstance(kwargs.get("regex"), str):
        limits.append(f"in the form {kwargs['regex']}")
    values = [str(one) for one in kwargs.get("value_set") or () if one not in ("", None, True, False)]
    if values:
        limits.append(f"one of {', '.join(values)}")
    return f"{rule.name}: {', '.join(limits)}" if limits else rule.name


def _out_of_reach(error: CogentOpsError) -> str:
    if isinstance(error, PermanentError):
        return f"It cannot be compared: {error}"
    return f"It cannot be compared just now: {error} Load this again in a while."
