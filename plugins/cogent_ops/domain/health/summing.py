"""The arithmetic of a story: from a number that is certain to the numbers of now, and the answer in a sentence."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from cogent_ops.domain.health.chain import Chain, Row, is_pending, moment
from cogent_ops.domain.health.evidence import Known, LevelSaid, Moved
from cogent_ops.domain.health.story import Step
from cogent_ops.domain.stock import MovementState, Source

Why = Literal["sold", "back", "store", "heal", "count", "shop", "told", "beside", "entry"]

#: Rows by their reason, in the order in which they are shown.
_TEXTS: Mapping[Why, str] = {
    "sold": "Kiosks sold",
    "back": "Kiosk orders gave back",
    "store": "Stores' systems moved",
    "heal": "Mended by this integration",
    "count": "Counts corrected",
    "shop": "The web shop sold",
    "told": "Changed by others, as commercetools tells",
    "beside": "Changed by our own API client, beside the ledger",
    "entry": "The inventory entry was made or deleted",
}
#: The same as a part of the sentence; ``{0}``: units without sign, ``{1}``: with it.
_PHRASES: Mapping[Why, str] = {
    "sold": "kiosks sold {0}",
    "back": "{0} came back from kiosk orders",
    "store": "stores' systems moved {1}",
    "heal": "{1} were mended",
    "count": "counts corrected {1}",
    "shop": "the web shop sold {0}",
    "told": "others changed it by {1}",
    "beside": "our own API client changed it by {1} beside the ledger",
    "entry": "the entry was made anew ({1})",
}
UNTOLD = "Nobody tells why"


@dataclass
class _Tally:
    units: int = 0
    times: int = 0


@dataclass(frozen=True)
class Sums:
    """What the rows come to.

    :param base: the number that is certain; ``since``: what it is, as a row, and ``since_text`` within the sentence.
    :param by_reason: units and how often, by reason.
    :param titled: steps that a night or the entry itself explains: title, sentence and units.
    :param untold: steps that nothing explains.
    """

    base: int
    since: str
    since_text: str
    by_reason: dict[Why, _Tally] = field(default_factory=dict)
    titled: list[tuple[str, str, int]] = field(default_factory=list)
    untold: list[Row] = field(default_factory=list)

    @property
    def unexplained(self) -> int:
        """Units, without sign."""
        return sum(abs(row.step.units) for row in self.untold)


def sums(chain: Chain, known: Known) -> Sums | None:
    """Sum up the rows since the last count, or since the first number that is known; ``None``: none is."""
    if chain.base is None:
        return None
    held = _by_batch(known.ledger.movements)
    start = _last_start(chain.rows, held)
    if start is None:
        found = Sums(chain.base, *_first(chain, known))
    else:
        row = chain.rows[start]
        found = Sums(row.step.number, *_begun(row, held))
    for row in chain.rows[0 if start is None else start + 1 :]:
        for why, units in _parts(row, held, known.us):
            tally = found.by_reason.setdefault(why, _Tally())
            tally.units += units
            tally.times += 1
        if row.title:
            found.titled.append((row.title, row.why, row.step.units))
        elif row.is_unexplained:
            found.untold.append(row)
    return found


def _by_batch(movements: Sequence[Moved]) -> dict[str, list[Moved]]:
    held: dict[str, list[Moved]] = {}
    for one in movements:
        if one.batch_id is not None and one.state != MovementState.EXCLUDED:
            held.setdefault(one.batch_id, []).append(one)
    return held


def _last_start(rows: Sequence[Row], held: Mapping[str, Sequence[Moved]]) -> int | None:
    """Where the last count stands, or where the entry was made, whichever is later."""
    for place in range(len(rows) - 1, -1, -1):
        row = rows[place]
        is_count = row.batch is not None and any(
            one.counted is not None for one in held.get(row.batch.id, ())
        )
        if is_count or (row.told is not None and row.told.before is None):
            return place
    return None


def _begun(row: Row, held: Mapping[str, Sequence[Moved]]) -> tuple[str, str]:
    if row.batch is None:
        at = moment(row.step.at)
        return f"The inventory entry was made on {at}", f"the entry was made with {row.step.number} on {at}"
    counts = [one for one in held[row.batch.id] if one.counted is not None]
    count = max(counts, key=lambda one: (one.occurred_at, one.id))
    at = moment(count.occurred_at)
    beside = (
        ""
        if count.counted == row.step.number
        else f", which made it {row.step.number} with what else was sold"
    )
    text = f"Counted on {at} ({count.reference}): {count.counted}{beside}"
    return text, f"{count.counted} were counted on {at}{beside}"


def _first(chain: Chain, known: Known) -> tuple[str, str]:
    at = moment(known.since)
    if not chain.rows:
        return f"Since {at} no change of it is known", f"no change of it is known since {at}"
    if not any(row.batch or row.told for row in chain.rows):
        return f"On {at}, as follows from the number of now", f"it had {chain.base} on {at}"
    at = moment(chain.rows[0].step.at)
    return f"commercetools had before {at}", f"it had {chain.base} before {at}"


def _parts(row: Row, held: Mapping[str, Sequence[Moved]], us: Collection[str]) -> Iterator[tuple[Why, int]]:
    """A row by reasons; together they are its units."""
    units = row.step.units
    if row.order is not None:
        yield "shop", units
    elif row.told is not None:
        is_change = row.told.before is not None and row.told.after is not None
        yield ("entry" if not is_change else "beside" if row.told.by in us else "told"), units
    elif row.batch is not None:
        rest = units
        for one in held.get(row.batch.id, ()):
            if one.delta:
                rest -= one.delta
                yield _reason(one, one.delta), one.delta
        if rest:
            yield "count", rest


def _reason(one: Moved, delta: int) -> Why:
    if one.source == Source.KIOSK_ORDER:
        return "sold" if delta < 0 else "back"
    return "heal" if one.source == Source.HEAL else "store"


# Rows


def steps(chain: Chain, found: Sums | None, known: Known) -> list[Step]:
    """All rows of the arithmetic."""
    if found is None or chain.number is None:
        return []
    rows = [Step(text=found.since, units=found.base), *_changes(found)]
    if chain.gone_units:
        text = "The inventory entry is gone, with what it had"
        rows.append(Step(text=text, units=-chain.gone_units))
    number = chain.number - chain.gone_units
    rows.append(Step(text=_total(known, chain), units=number, is_sum=True))
    entry = known.shop.entry
    if entry is None:
        return rows
    if entry.available != number:
        text = (
            "Reserved for orders of the web shop" if entry.available < number else "Promised beyond the stock"
        )
        rows.append(Step(text=text, units=entry.available - number))
        rows.append(Step(text="Can be sold", units=entry.available, is_sum=True))
    return [*rows, *_kiosk_rows(entry.available, known)]


def _changes(found: Sums) -> Iterator[Step]:
    for why, text in _TEXTS.items():
        tally = found.by_reason.get(why)
        if tally is not None:
            yield Step(
                text=text, units=tally.units, note=f"in {tally.times:,} steps" if tally.times > 1 else ""
            )
    for title, why_, units in found.titled:
        yield Step(text=title, units=units, note=why_)
    if found.untold:
        net = sum(row.step.units for row in found.untold)
        yield Step(text=UNTOLD, units=net, is_unexplained=True, note=_when(found.untold))


def _when(untold: Sequence[Row]) -> str:
    named = [f"{row.step.units:+d} {_span(row)}" for row in untold[-3:]]
    more = f"{len(untold) - 3} earlier ones, " if len(untold) > 3 else ""
    return more + ", ".join(named)


def _span(row: Row) -> str:
    if row.step.since is None:
        return f"before {moment(row.step.at)}"
    return f"between {moment(row.step.since)} and {moment(row.step.at)}"


def _total(known: Known, chain: Chain) -> str:
    if chain.is_gone:
        return "commercetools has no inventory entry"
    if known.shop.problem:
        return "In commercetools, by all that is known here: it could not be read"
    return "On stock in commercetools"


def _kiosk_rows(available: int, known: Known) -> Iterator[Step]:
    level = known.ledger.level
    if level is None:
        return
    protected = known.ledger.protected
    buffer = min(protected.buffer, max(available, 0)) if protected else 0
    less, wanted = level.wanted - available + buffer, known.told_for(level.wanted)
    if buffer:
        yield Step(text="Held back while stock is late", units=-buffer)
    if less:
        yield Step(text=_less(available, less, level, known), units=less)
    if wanted != level.wanted:
        text = f"Told as {wanted}, which means none: Cloudshelf takes 0 for in stock"
        yield Step(text=text, units=wanted - level.wanted)
    yield Step(text="Kiosks should be told", units=wanted, is_sum=True)
    if level.told is not None and level.told != level.wanted:
        told = known.told_for(level.told)
        yield Step(text="Not told yet", units=told - wanted, note=_waits(level))
        yield Step(text="Kiosks were told", units=told, is_sum=True)


def _less(available: int, less: int, level: LevelSaid, known: Known) -> str:
    """Why kiosks should be told otherwise than what can be sold."""
    entry = known.shop.entry
    if available < 0 and not level.wanted:
        return "Kiosks are not told of units that are missing"
    if entry is not None and entry.changed_at > level.wanted_at:
        return "availability_push has not looked since the last change"
    if not level.wanted:
        return "Kiosks are told none: below the safety stock, or its Channel does not count"
    return "What changed since availability_push looked"


def _waits(level: LevelSaid) -> str:
    refused = f", refused {level.refusals} times" if level.refusals else ""
    return f"since {moment(level.wanted_at)}{refused}"


# The sentence


def pending(known: Known) -> list[Moved]:
    """Movements that commercetools does not have yet."""
    batches = {one.id: one for one in known.ledger.batches}
    return [one for one in known.ledger.movements if is_pending(one, known, batches)]


def sentence(chain: Chain, found: Sums | None, known: Known) -> str:
    """The answer."""
    where = f"{known.place.sku} at {known.name or 'the pool without Channel'}"
    parts = [_has(chain, known, where, found)]
    if found is not None and found.unexplained:
        word = "unit" if found.unexplained == 1 else "units"
        parts.append(f"{found.unexplained} {word} cannot be explained")
    parts += [*_on_the_way(chain, known), *_kiosks(known)]
    return "; ".join(parts) + "."


def _has(chain: Chain, known: Known, where: str, found: Sums | None) -> str:
    number = chain.number
    if chain.is_gone:
        had = f", and had {number} before" if number else ""
        return f"commercetools has no inventory entry of {where}{had}"
    if number is None or found is None:
        return f"commercetools cannot be read, and nothing is known here of {where}"
    opening = f"commercetools has {number} of {where}"
    if known.shop.problem:
        opening = f"commercetools cannot be read; by all that is known here it has {number} of {where}"
    changes = list(_phrases(found))
    if chain.rows and not changes and not found.unexplained:
        return f"{opening}: {found.since_text}, and nothing has changed it since"
    return f"{opening}: {', '.join([found.since_text, *changes])}"


def _phrases(found: Sums) -> Iterator[str]:
    for why, phrase in _PHRASES.items():
        tally = found.by_reason.get(why)
        if tally is not None and tally.units:
            yield phrase.format(abs(tally.units), f"{tally.units:+d}")
    for title, _, units in found.titled:
        yield f"{units:+d} {title[0].lower()}{title[1:]}"


def _on_the_way(chain: Chain, known: Known) -> Iterator[str]:
    waiting = pending(known)
    if not waiting:
        return
    units = sum(one.delta or 0 for one in waiting)
    counts = [one for one in waiting if one.counted is not None]
    if counts:
        yield f"a count of {counts[-1].counted} waits to be carried"
    elif chain.number is not None and not chain.is_gone:
        yield f"{units:+d} is on the way, so it will be {chain.number + units}"
    else:
        yield f"{units:+d} is on the way"


def _kiosks(known: Known) -> Iterator[str]:
    level, entry, protected = known.ledger.level, known.shop.entry, known.ledger.protected
    if level is None or level.told is None:
        return
    reasons = []
    if level.told != level.wanted:
        reasons.append(f"and not yet that it is {known.told_for(level.wanted)} now")
    elif protected and protected.buffer:
        reasons.append(f"because {protected.buffer} are held back while stock is late")
    elif entry is not None and level.told == entry.available != entry.on_stock:
        reasons.append(f"because {entry.on_stock - entry.available} are reserved")
    yield f"kiosks were told {told_words(level.told, known)}{', ' if reasons else ''}{', '.join(reasons)}"
    if late := sold_after_none(known):
        were = "was" if late == 1 else "were"
        yield f"{late} of what kiosks sold {were} ordered after they were told that there is none"


def told_words(units: int, known: Known) -> str:
    """What kiosks are told for so many units, and why, where it is another number."""
    told = known.told_for(units)
    if told == units:
        return f"{units}"
    return f"{told} in place of {units}, which means none (Cloudshelf takes 0 for in stock)"


def sold_after_none(known: Known) -> int:
    """Units of kiosk orders that were placed after kiosks had been told that there is none."""
    return sum(-(one.delta or 0) for one in known.ledger.movements if known.after_none(one) is not None)
