"""The time line of a story: everything that happened at a place, as sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from cogent_ops.domain.health.chain import Chain, Row, moment
from cogent_ops.domain.health.evidence import (
    FlagSaid,
    FoundBefore,
    Known,
    Logged,
    Moved,
    Sent,
    Told,
    Trouble,
)
from cogent_ops.domain.health.story import Event, Fact, System, What
from cogent_ops.domain.stock import MovementState, Source
from cogent_ops.domain.text import span

#: In whose name kiosks are told less while stock is late.
PROTECTION = "protection"
_SYSTEMS: Mapping[str, System] = {
    Source.KIOSK_ORDER: System.KIOSK,
    Source.FILE: System.STORE,
    Source.API: System.STORE,
    Source.HEAL: System.US,
}
_STATES: Mapping[str, str] = {
    MovementState.WAITING: "waits to be carried",
    MovementState.BATCHED: "is under way",
    MovementState.APPLIED: "commercetools has it",
    MovementState.EXCLUDED: "has no effect of its own",
    MovementState.REVIEW: "waits for a person",
}


def events(known: Known, whole: Chain) -> list[Event]:
    """All events, the oldest first; those that change the number stay in the order of the reckoning."""
    ranked: list[tuple[datetime, int, Event]] = []
    latest: datetime | None = None
    for row in whole.rows:
        latest = row.step.at if latest is None else max(latest, row.step.at)
        ranked.append((latest, 1, _row_event(row, known)))
    told = {row.batch.id for row in whole.rows if row.batch is not None}
    others = [
        *(_movement_event(one, known) for one in known.ledger.movements),
        *(_batch_event(one, None) for one in known.ledger.batches if one.id not in told),
        *_gone_event(known, whole),
        *_order_events(known, whole),
        *_level_events(known),
        *_flag_events(known.ledger.flag),
        *_protection_events(known),
        *map(_finding_event, known.ledger.findings),
        *map(_trouble_event, known.ledger.troubles),
        *(_decision_event(one) for one in known.ledger.log if one.actor != PROTECTION),
    ]
    # What was sold is told before what carried it, also where both have the same time.
    ranked += [(event.at, 0, event) for event in others]
    return [event for _, _, event in sorted(ranked, key=lambda one: one[:2])]


def _row_event(row: Row, known: Known) -> Event:
    units = row.step.units
    if row.batch is not None:
        return _batch_event(row.batch, row)
    if row.order is not None:
        text = f"The web shop {'sold' if units <= 0 else 'gave back'} {abs(units)}."
        return _step_event(row, What.WEB_ORDER, text, at=row.order.at, reference=row.order.number)
    if row.told is not None:
        return _told_event(row, row.told, known)
    if row.title:
        return _step_event(row, What.EDIT, f"{row.title}.", detail=_facts({"why": row.why}))
    since = "" if row.step.since is None else f" since {moment(row.step.since)}"
    text = f"The quantity has moved by {units:+d}{since}, and nobody tells why."
    unknown = tuple(Fact(name="not known", value=why) for why in known.shop.why)
    return _step_event(row, What.UNEXPLAINED, text, detail=unknown)


def _step_event(
    row: Row,
    what: What,
    text: str,
    *,
    at: datetime | None = None,
    reference: str = "",
    detail: tuple[Fact, ...] = (),
) -> Event:
    return Event(
        at=at or row.step.at,
        system=System.SHOP,
        what=what,
        text=text,
        units=row.step.units,
        number=row.step.number,
        reference=reference,
        detail=detail,
    )


def _told_event(row: Row, told: Told, known: Known) -> Event:
    what = What.EDIT if told.before is not None and told.after is not None else What.ENTRY
    if told.after is None:
        text = "The inventory entry was deleted."
    elif told.before is None:
        text = f"The inventory entry was made with {told.after}."
    elif told.by in known.us:
        text = (
            f"Our own API client changed the quantity from {told.before} to {told.after}, beside the ledger."
        )
    else:
        text = f"Somebody else changed the quantity from {told.before} to {told.after}."
    return _step_event(row, what, text, at=told.at, detail=_facts({"by": told.by, "Message": told.id}))


def _batch_event(batch: Sent, row: Row | None) -> Event:
    number = row.step.number if row else None
    delta = "" if batch.delta is None else f" {batch.delta:+d}"
    if row is not None:
        chain_ = (
            ""
            if batch.after is None
            else f": {'?' if batch.before is None else batch.before} to {batch.after}"
        )
        text = f"commercetools took our change{delta}{chain_}."
    elif batch.state == "applied":
        text = "What moved came to nothing, so nothing was sent."
    elif batch.state == "parked":
        text = f"commercetools refuses our change{delta}: {batch.error}"
    else:
        text = f"Our change{delta} is under way."
    facts = {
        "batch": batch.id,
        "inventory entry": batch.entry_id or "not known yet",
        "taken up": f"{batch.rounds + 1} times" if batch.rounds else "once",
        "last problem": batch.error,
        "can be sold afterwards": "" if batch.available is None else str(batch.available),
    }
    return Event(
        at=row.step.at if row else batch.created_at,
        system=System.SHOP,
        what=What.BATCH,
        text=text,
        units=row.step.units if row else batch.delta,
        number=number,
        reference=batch.id,
        detail=_facts(facts),
        open=row is None and batch.state != "applied",
    )


def _movement_event(one: Moved, known: Known) -> Event:
    orders = known.ledger.orders or {}
    facts = {
        "stands": f"{_STATES[one.state]}{f': {one.reason}' if one.reason else ''}",
        "recorded": moment(one.recorded_at),
        "in commercetools since": moment(one.settled_at) if one.settled_at and one.state == "applied" else "",
        "batch": one.batch_id or "",
        "order in commercetools": orders.get(one.reference, "") if one.source == Source.KIOSK_ORDER else "",
        "key": one.source_id,
    }
    what = What.HEAL if one.source == Source.HEAL else What.MOVEMENT if one.counted is None else What.COUNT
    return Event(
        at=one.occurred_at,
        system=_SYSTEMS.get(one.source, System.US),
        what=what,
        text=_moved_text(one, known.after_none(one)),
        units=one.delta,
        reference=one.reference,
        detail=_facts(facts),
        open=one.state in (MovementState.WAITING, MovementState.BATCHED, MovementState.REVIEW),
        link=one.link,
    )


def _moved_text(one: Moved, after_none: timedelta | None) -> str:
    delta = one.delta or 0
    if one.counted is not None:
        text = f"The shelf was counted: {one.counted}"
    elif one.source == Source.HEAL:
        text = f"This integration mended {delta:+d}"
    elif one.source == Source.KIOSK_ORDER:
        text = f"A kiosk sold {-delta}" if delta < 0 else f"A kiosk order gave back {delta}"
    else:
        text = f"A store's system moved {delta:+d}"
    if after_none is not None:
        late = span(after_none.total_seconds())
        text += f", ordered {late} after kiosks were told that there is none"
    return f"{text}." if one.state == MovementState.APPLIED else f"{text}; it {_STATES[one.state]}."


def _gone_event(known: Known, whole: Chain) -> Iterator[Event]:
    if whole.gone_units:
        yield Event(
            at=known.asked_at,
            system=System.SHOP,
            what=What.ENTRY,
            text=f"The inventory entry is gone, and nobody tells since when; it had {whole.gone_units}.",
            units=-whole.gone_units,
            number=0,
        )


def _order_events(known: Known, whole: Chain) -> Iterator[Event]:
    hidden = {one.number for one in whole.hidden}
    for one in known.shop.orders or ():
        if not one.takes:
            yield Event(
                at=one.at,
                system=System.SHOP,
                what=What.WEB_ORDER,
                text=f"An order of the web shop reserved {one.units}.",
                reference=one.number,
            )
        elif one.number in hidden:
            yield Event(
                at=one.at,
                system=System.SHOP,
                what=What.WEB_ORDER,
                text=f"The web shop sold {one.units}; the inventory does not show it yet.",
                units=-one.units,
                reference=one.number,
                open=True,
            )


def _level_events(known: Known) -> Iterator[Event]:
    level, name = known.ledger.level, known.name
    if level is None:
        return
    if level.told_at is not None and level.told is not None:
        text = f"Kiosks of {name} were told {_units(level.told, known)}."
        yield Event(at=level.told_at, system=System.KIOSK, what=What.TOLD, text=text)
    if level.told != level.wanted:
        refused = (("refused", f"{level.refusals} times"),) if level.refusals else ()
        yield Event(
            at=level.wanted_at,
            system=System.KIOSK,
            what=What.WANTED,
            text=f"Kiosks of {name} should be told {_units(level.wanted, known)}, and were not yet.",
            detail=_facts(dict(refused)),
            open=True,
        )


def _units(units: int, known: Known) -> str:
    told = known.told_for(units)
    return f"{told}" if told >= 0 else f"{told}, which means none"


def _flag_events(flag: FlagSaid | None) -> Iterator[Event]:
    if flag is None:
        return
    if flag.told_at is not None and flag.told is not None:
        text = f"Kiosks were told of the article, all stores together: {flag.told}."
        yield Event(at=flag.told_at, system=System.KIOSK, what=What.FLAG, text=text)
    if flag.told != flag.wanted:
        text = f"Kiosks should be told of the article, all stores together: {flag.wanted}, and were not yet."
        yield Event(at=flag.wanted_at, system=System.KIOSK, what=What.FLAG, text=text, open=True)


def _protection_events(known: Known) -> Iterator[Event]:
    protected = known.ledger.protected
    for one in known.ledger.log:
        if one.actor == PROTECTION:
            units = one.detail.get("buffer")
            is_over = one.action == "release"
            text = (
                "Nothing is held back from kiosks any more."
                if is_over
                else f"Stock is late, so kiosks are told {units} fewer."
            )
            yield Event(
                at=one.at,
                system=System.US,
                what=What.PROTECTION,
                text=text,
                detail=_facts({name: str(value) for name, value in one.detail.items()}),
                open=not is_over and protected is not None and one.at >= protected.since,
                link=one.link,
            )


def _finding_event(one: FoundBefore) -> Event:
    finding = one.finding
    facts = [Fact(name=fact.what, value=fact.value) for fact in finding.evidence]
    what_came = f"{one.state}{f': {one.outcome}' if one.outcome else ''}"
    return Event(
        at=one.at,
        system=System.US,
        what=What.FINDING,
        text=f"The night of {finding.night} found: {finding.message}",
        reference=finding.reference.rpartition("/")[2] or finding.night,
        detail=(
            Fact(name="units", value=f"{finding.units:+d}"),
            *facts,
            Fact(name="what became of it", value=what_came),
        ),
        open=one.state in ("proposed", "healing"),
        link=finding.link,
    )


def _trouble_event(one: Trouble) -> Event:
    closed = f"closed on {moment(one.resolved_at)}" if one.resolved_at else one.status
    return Event(
        at=one.opened_at,
        system=System.US,
        what=What.EXCEPTION,
        text=one.message,
        reference=f"{one.kind} {one.id}",
        detail=_facts({"stands": closed}),
        open=one.resolved_at is None and one.status in ("new", "acknowledged", "in_progress"),
        exception=one.id,
        link=one.link,
    )


def _decision_event(one: Logged) -> Event:
    return Event(
        at=one.at,
        system=System.US,
        what=What.DECISION,
        text=f"{one.actor}: {one.action.replace('_', ' ')}.",
        reference=one.subject,
        detail=_facts({name: str(value) for name, value in one.detail.items()}),
        link=one.link,
    )


def _facts(facts: Mapping[str, str]) -> tuple[Fact, ...]:
    return tuple(Fact(name=name, value=value) for name, value in facts.items() if value)
