"""What to do next month: rules over the numbers of a month, each with the number that makes it speak.

A rule says nothing where there is nothing to say. Nothing here knows more than the report shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

from cogent_ops.domain.exceptions import HELD_ORDERS, Kind, Owner
from cogent_ops.domain.governance.model import FlowMonth, KindMonth, Month, Step
from cogent_ops.domain.text import listed, span

#: Below this share of the time somebody must see to it that sync health looks.
COVERED = 0.99
#: Below this share of measurements within the target a flow needs a look.
FRESH = 0.99
#: Above this share of orders that needed a person their cause is worth mending.
HELPED = 0.02
#: Below this share of answers in time an owner needs help; judged from so many on.
ANSWERED, ENOUGH = 0.9, 3
#: The second half of the nights finds so much more than the first, and at least so many a night; fewer nights in a half
#: show no trend.
GROWTH, GROWN, NIGHTS = 1.5, 3, 3
#: A silence that lasts longer hides something.
SILENT = timedelta(days=7)
#: What is open for longer is nobody's.
OLD = timedelta(days=14)
#: So many decisions to leave a kind as it is say that its rule is wrong.
EXPECTED = 10
#: So many repeated causes are named one by one.
NAMED = 3

PLATFORM = Owner.PLATFORM.value


def next_steps(month: Month) -> tuple[Step, ...]:
    """What the numbers ask for, the most urgent rule first."""
    return tuple(step for rule in RULES for step in rule(month))


def _unaccounted(month: Month) -> Iterator[Step]:
    if month.unaccounted:
        still = sum(one.until is None for one in month.unaccounted)
        yield Step(
            owner=PLATFORM,
            text="Find out what became of the orders and units that were not accounted for, and how it could happen.",
            why=f"{times(len(month.unaccounted)).capitalize()} in the month, {still} of them at its end.",
        )


def _messages(month: Month) -> Iterator[Step]:
    lost = [one for one in month.channels if one.undelivered]
    if lost:
        yield Step(
            owner=PLATFORM,
            text="Mend the channels whose messages do not arrive: nobody hears of exceptions there.",
            why=listed(
                f"{one.undelivered:,} of {one.written:,} messages over '{one.channel}'" for one in lost
            )
            + " were not delivered by the month's end.",
        )
    for one in _of(month, Kind.ALERT_UNDELIVERED):
        yield Step(
            owner=PLATFORM,
            text="Name a second channel in include/exceptions.yaml, over which people hear that the first is down.",
            why=f"Messages could not be delivered {times(one.opened)} in the month.",
        )


def _covered(month: Month) -> Iterator[Step]:
    if month.covered < COVERED:
        yield Step(
            owner=PLATFORM,
            text="Keep sync_health running, and let a service outside watch it (health.heartbeat).",
            why=f"It looked as often as it should in {month.covered:.1%} of the time; all other numbers hold for that.",
        )


def _fresh(month: Month) -> Iterator[Step]:
    for flow in month.flows:
        if flow.share < FRESH:
            yield Step(
                owner=PLATFORM,
                text=f"See why {flow.flow} was late, beginning with the longest time.",
                why=_late(flow),
            )


def _late(flow: FlowMonth) -> str:
    said = f"Within {span(flow.target)} in {flow.share:.1%} of measurements"
    if not flow.spells:
        return f"{said}."
    worst = flow.spells[0]
    return (
        f"{said}; late for {span(flow.late)} altogether, longest from {worst.began:%d %b %H:%M} UTC for "
        f"{span(worst.lasted.total_seconds())}, up to {span(worst.peak)} old."
    )


def _orders(month: Month) -> Iterator[Step]:
    orders = month.orders
    if orders.left_over:
        yield Step(
            owner=Owner.RETAIL_OPS.value,
            text="See to the orders of the month that are not in commercetools: each is a customer with a receipt.",
            why=f"{orders.left_over:,} of {orders.confirmed:,} sales were not captured at the month's end.",
        )
    if orders.captured and orders.helped / orders.captured > HELPED:
        kinds = [one for kind in HELD_ORDERS for one in _of(month, kind)]
        first = max(kinds, key=lambda one: (one.opened, one.kind), default=None)
        most = f" Most often: {first.title} ({times(first.opened)})." if first else ""
        yield Step(
            owner=Owner.ECOMMERCE.value,
            text="Mend what most often keeps orders from being captured by themselves.",
            why=f"{orders.helped:,} of {orders.captured:,} orders needed a person.{most}",
        )


def _drift(month: Month) -> Iterator[Step]:
    nights = month.drift.nights
    if not nights:
        yield Step(
            owner=PLATFORM,
            text="Let drift_reconciliation run every night: nothing else finds what both systems hold apart.",
            why="No night of the month was compared.",
        )
        return
    half = len(nights) // 2
    if half >= NIGHTS:
        early, late = (sum(one.total for one in some) / len(some) for some in (nights[:half], nights[half:]))
        if late >= GROWN and late > GROWTH * early:
            yield Step(
                owner=PLATFORM,
                text="Look at the causes of drift that grow, in the report of the last night.",
                why=f"{late:,.0f} differences a night in the second half of the nights, {early:,.0f} in the first.",
            )
    returned = month.drift.mended.get("returned", 0)
    if returned:
        yield Step(
            owner=PLATFORM,
            text="Find what makes mended quantities wrong again before they are mended once more.",
            why=f"{returned:,} differences that were mended came back.",
        )


def _answers(month: Month) -> Iterator[Step]:
    for one in month.owners:
        if one.judged >= ENOUGH and one.share is not None and one.share < ANSWERED:
            yield Step(
                owner=one.owner,
                text="Agree who looks at exceptions and when; see deputy, business hours and deadlines in "
                "include/exceptions.yaml.",
                why=f"{one.in_time:,} of {one.judged:,} were answered in time ({one.share:.0%})"
                + (f"; the deputy was told {times(one.escalated)}." if one.escalated else "."),
            )
        if one.oldest is not None and month.until - one.oldest > OLD:
            yield Step(
                owner=one.owner,
                text="Decide about what is open for weeks: mend it, reject it, or say that it is expected.",
                why=f"Open: {one.open:,}, the oldest since {one.oldest:%Y-%m-%d}.",
            )


def _repeats(month: Month) -> Iterator[Step]:
    for one in month.repeats[:NAMED]:
        of = f"of {one.records:,} records" if one.records > 1 else f"of {one.record}"
        yield Step(
            owner=one.owner,
            text=f"Mend the cause of '{one.title}' rather than case after case.",
            why=f"It came up {times(one.times)}, {of}. Last: {one.message}",
        )


def _expected(month: Month) -> Iterator[Step]:
    for one in month.kinds:
        if one.decided >= EXPECTED:
            yield Step(
                owner=PLATFORM,
                text=f"Change the rule behind '{one.title}': people keep leaving it as it is.",
                why=f"{one.decided:,} of {one.opened:,} were left as they are or rejected.",
            )


def _silences(month: Month) -> Iterator[Step]:
    for one in month.silences:
        if one.until - one.since > SILENT:
            yield Step(
                owner=PLATFORM,
                text=f"End the silence about '{one.title}', or mend what it hides.",
                why=f"{one.actor} silenced it from {one.since:%Y-%m-%d} to {one.until:%Y-%m-%d}: {one.reason}",
            )


def _drills(month: Month) -> Iterator[Step]:
    if not month.drills:
        yield Step(
            owner=PLATFORM,
            text="Practise an alert with each team: cogent-ops drill <kind>.",
            why="There was no drill in the month.",
        )
    for one in month.drills:
        if one.in_time is False:
            why = (
                "it was not taken note of in time"
                if one.alerted is not None
                else "its message did not arrive"
            )
            yield Step(
                owner=one.owner,
                text=f"Repeat the drill of '{one.title}'.",
                why=f"On {one.raised_at:%Y-%m-%d} {why}.",
            )


def _of(month: Month, kind: Kind) -> Sequence[KindMonth]:
    return [one for one in month.kinds if one.kind == kind and one.opened]


def times(count: int) -> str:
    """``once``, ``12 times``."""
    return "once" if count == 1 else f"{count:,} times"


RULES: tuple[Callable[[Month], Iterator[Step]], ...] = (
    _unaccounted,
    _messages,
    _orders,
    _fresh,
    _covered,
    _drift,
    _answers,
    _repeats,
    _expected,
    _silences,
    _drills,
)
