"""Compare stock: what commercetools says, what the ledger of movements expects, and what stores counted."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cogent_ops.domain.drift import stock as words
from cogent_ops.domain.drift.causes import Change, Difference, Edit, Sale, may_be_young
from cogent_ops.domain.drift.model import Area, Finding
from cogent_ops.domain.reckoning import Change as Step
from cogent_ops.domain.reckoning import own_message
from cogent_ops.domain.stock import Place
from cogent_ops.services.drift.archive import Archive, Night, Taken
from cogent_ops.services.drift.comparison import Compared, Parts
from cogent_ops.services.drift.expectation import Expectation, expect
from cogent_ops.services.drift.prices import prices
from cogent_ops.services.drift.readings import Moves, StockReadings
from cogent_ops.services.drift.tables import EDITS, ENTRIES, PLACE, PRICES, UNCLEAR, overlaid, rows, table

log = logging.getLogger(__name__)

Row = dict[str, Any]
#: How far the first night looks back into the ledger.
FIRST = timedelta(days=1)
#: The table that is written last.
LAST = "stock_unclear"


class StockComparison:
    """The stock of one link's commercetools project."""

    area = Area.STOCK

    def __init__(self, parts: Parts) -> None:
        self.parts, self.rules = parts, parts.config.drift
        self.readings = StockReadings(parts)
        self.lag = timedelta(seconds=self.rules.lag_seconds)

    # Reading

    def snapshot(self, night: Night) -> None:
        """Read all inventory entries, then the ledger; and again, once they are old enough, those that differ."""
        if night.has(LAST):
            return
        previous = Archive(night.root, night.link).previous(night)
        since = self._since(previous)
        if not night.has("inventory"):
            self.readings.inventory(night)
        before = None if previous is None else entries(previous)
        again, moves, found, unclear = self._settled(before, night.read("inventory"), since)
        night.write("inventory_again", again)
        night.write("ledger", moves.ledger)
        night.write("sales", moves.sales)
        night.write("mended", moves.mended)
        night.write("positions", self.readings.positions())
        night.write("open", self.readings.open())
        night.write("unmoved", self.readings.unmoved(since))
        self._write_edits(night, found, since)
        self._write_prices(night, found, moves.ledger)
        night.write(LAST, table(UNCLEAR, sorted(unclear)))

    def unexplained(self, archive: Archive, places: set[Place]) -> set[Place]:
        """Those of the places at which something happened since the youngest snapshot that nothing explains."""
        nights = archive.nights()
        if not nights:
            return places
        wanted = table(UNCLEAR, sorted(places))
        before = _only(entries(nights[-1]), wanted)
        first = self.readings.again(sorted(places))
        _, _, found, unclear = self._settled(before, first, self._since(nights[-1]))
        known = {_place(row) for row in rows(before)}
        return unclear | _off(found).keys() | (places - known)

    def _since(self, previous: Night | None) -> datetime:
        taken = previous.taken if previous else None
        return (taken.began if taken else self.parts.now() - FIRST) - self.lag

    def _settled(
        self, before: pa.Table | None, first: pa.Table, since: datetime
    ) -> tuple[pa.Table, Moves, Expectation, set[Place]]:
        """Read again what differs until it stands: the same twice, and no young order may explain it."""
        again, seen = ENTRIES.empty_table(), dict[Place, int | None]()
        # After the entries, so that every change that an entry names is in it.
        moves = self.readings.moves(since)
        for turn in range(self.rules.rereads + 1):
            now = overlaid(first, again)
            found = expect(before, now, moves.ledger, moves.sales, self.lag, moves.mended)
            now_off = _off(found)
            open_ = _unsettled(found, now_off, seen)
            if not open_ or turn == self.rules.rereads:
                break
            self._wait(found, open_)
            log.info("%d inventory entries differ and are read again", len(open_))
            seen |= {place: now_off[place] for place in open_}
            again = overlaid(again, self.readings.again(sorted(open_)))
            moves = self.readings.moves_since(moves)
        return again, moves, found, open_

    def _wait(self, found: Expectation, open_: set[Place]) -> None:
        """Let as much time pass since the readings as a change may take to show."""
        now = self.parts.now()
        # An entry that is not there was not there at any time of the reading.
        asked = [
            row["asked"] or now
            for part in (found.differing, found.gone)
            for row in rows(part)
            if _place(row) in open_
        ]
        seconds = (max(asked) + self.lag - now).total_seconds()
        if seconds > 0:
            time.sleep(seconds)

    def _write_edits(self, night: Night, found: Expectation, since: datetime) -> None:
        differing = [row["entry"] for row in rows(found.differing)]
        edits = self.readings.edits(differing, since) if differing else None
        night.write("edits", EDITS.empty_table() if edits is None else edits)
        night.note("edits.json", {"known": edits is not None})

    def _write_prices(self, night: Night, found: Expectation, ledger: pa.Table) -> None:
        skus = {row["sku"] for part in (found.differing, found.gone) for row in rows(part)}
        for name in ("open", "unmoved"):
            skus.update(night.read(name, ["sku"])["sku"].to_pylist())
        skus.update(row["sku"] for row in _counts(ledger))
        night.write("prices", table(PRICES, sorted(prices(self.parts, skus).items())))

    # Comparing

    def compare(self, night: Night, previous: Night | None) -> Compared:
        """Compare what the night has archived."""
        taken = night.taken
        if taken is None or not night.has(LAST):
            return Compared(0, ())
        before = None if previous is None or not previous.has("inventory") else entries(previous)
        now, ledger = entries(night), night.read("ledger")
        mended = night.read("mended") if night.has("mended") else None
        found = expect(before, now, ledger, night.read("sales"), self.lag, mended)
        unclear = {_place(row) for row in rows(night.read(LAST))}
        worth = {row["sku"]: row["cents"] for row in rows(night.read("prices"))}
        shared = words.Night(night.link, night.name, self.parts.config.currency, worth)
        started = previous.taken.began if previous and previous.taken else taken.began - FIRST
        findings = [
            *self._differences(shared, night, found, unclear),
            *(
                words.missing_entry(shared, place, units, taken.began)
                for place, units in sorted(_missing(night, found, now if before is None else None).items())
                if place not in unclear
            ),
            *_counted(shared, ledger, started, taken),
            *(
                words.unmoved(shared, _place(row), row["order"], row["recorded"], row["moved"], row.get("at"))
                for row in rows(night.read("unmoved"))
            ),
            *self._waiting(shared, night, taken),
        ]
        counts = {
            "inventory_entries": now.num_rows,
            "our_changes_since_the_night_before": ledger.num_rows,
            "places_in_motion_all_the_time": len(unclear),
            "further_differences_not_listed": found.further,
        }
        return Compared(found.checked, findings, counts)

    def _differences(
        self, shared: words.Night, night: Night, found: Expectation, unclear: set[Place]
    ) -> Iterator[Finding]:
        if not found.differing.num_rows:
            return
        differing = [row for row in rows(found.differing) if _place(row) not in unclear]
        changes = _by_place(found.included.sort_by("created_at"))
        sales = _by_place(found.sales.filter(found.sales["sure"]).sort_by("created_at"))
        ledger = _by_place(_only(night.read("ledger"), found.differing))
        edits = _by_place(night.read("edits")) if (night.noted("edits.json") or {}).get("known") else None
        versions = {
            _place(row): row["version"] for row in rows(_only(night.read("positions"), found.differing))
        }
        for row in sorted(differing, key=_place):
            place = _place(row)
            begun = row["base_asked"]
            told = [one for one in (edits or {}).get(place, ()) if one["at"] >= begun]
            ours, others = _told_apart(
                changes.get(place, ()), ledger.get(place, ()), told, row["asked"], self.lag
            )
            sold = tuple(Sale(one["order"], one["units"], one["created_at"]) for one in sales.get(place, ()))
            touched = None if sold or place not in versions else bool(row["version"] > versions[place])
            yield from words.differences(
                shared,
                Difference(
                    place=place,
                    base=row["base"],
                    base_at=begun,
                    expected=row["expected"],
                    actual=row["on_stock"],
                    read_at=row["asked"],
                    batch=row["batch"],
                    us=self.parts.us,
                    changed_by=row["changed_by"],
                    changed_at=row["changed_at"],
                    is_replaced=row["base_entry"] is not None and row["base_entry"] != row["entry"],
                    is_touched=touched,
                    changes=ours,
                    sales=sold,
                    edits=None if edits is None else others,
                    lag=self.lag,
                ),
                row["version"],
            )

    def _waiting(self, shared: words.Night, night: Night, taken: Taken) -> Iterator[Finding]:
        late = taken.ended - timedelta(minutes=self.rules.late_minutes)
        folded: dict[tuple[Place, str], words.Waiting] = {}
        for row in rows(night.read("open")):
            if row["oldest"] > late:
                continue
            one = words.Waiting(
                _place(row), row["state"], row["reason"], row["movements"], row["units"], row["oldest"]
            )
            key = one.place, "review" if one.state == "review" else "late"
            folded[key] = one if key not in folded else _together(folded[key], one)
        yield from (words.waiting(shared, one, taken.ended) for _, one in sorted(folded.items()))


def entries(night: Night) -> pa.Table:
    """The inventory entries of a night, those that were read again as they were then."""
    return overlaid(night.read("inventory"), night.read("inventory_again"))


def _place(row: Row) -> Place:
    return Place(row["sku"], row["channel"])


def _off(found: Expectation) -> dict[Place, int | None]:
    """Units off by place; ``None``: the entry is gone."""
    off: dict[Place, int | None] = {_place(row): None for row in rows(found.gone)}
    return off | {_place(row): row["on_stock"] - row["expected"] for row in rows(found.differing)}


def _missing(night: Night, found: Expectation, first: pa.Table | None) -> dict[Place, int]:
    """Entries that are gone, and the units that they had.

    :param first: the entries, on the first night; then what we once moved tells what has been there.
    """
    if first is None:
        return {_place(row): row["base"] for row in rows(found.gone)}
    there = first.filter(pc.is_valid(first["entry"]))
    gone = night.read("positions").join(there.select(PLACE), keys=list(PLACE), join_type="left anti")
    return {_place(row): row["on_stock"] for row in rows(gone)}


def _unsettled(found: Expectation, off: dict[Place, int | None], seen: dict[Place, int | None]) -> set[Place]:
    """Places that were read once only, said something else then, or may owe it to an order that is too young."""
    doubts: dict[Place, list[int]] = {}
    for row in rows(found.sales.filter(pc.invert(found.sales["sure"]))) if found.sales.num_rows else ():
        doubts.setdefault(_place(row), []).append(row["units"])
    return {
        place
        for place, units in off.items()
        if place not in seen
        or seen[place] != units
        or (units is not None and may_be_young(units, tuple(doubts.get(place, ()))))
    }


def _by_place(data: pa.Table) -> dict[Place, list[Row]]:
    found: dict[Place, list[Row]] = {}
    for row in rows(data):
        found.setdefault(_place(row), []).append(row)
    return found


def _only(data: pa.Table, places: pa.Table) -> pa.Table:
    return data.join(places.select(PLACE), keys=list(PLACE), join_type="left semi")


def _told_apart(
    changes: Iterable[Row], ledger: Iterable[Row], told: Iterable[Row], read_at: datetime, lag: timedelta
) -> tuple[tuple[Change, ...], tuple[Edit, ...]]:
    """Our changes, each with whether a Message tells of it, and the Messages that tell of none.

    :param ledger: all of ours, also such that are settled by a count.
    :param read_at: when the entry was read: what nobody has confirmed yet was sent before that.
    """
    left = [Edit(one["before"], one["after"], one["at"], one.get("by")) for one in told]
    of_ours: set[str] = set()
    for row in sorted(ledger, key=lambda row: row["created_at"]):
        first, last = row["created_at"], row["settled_at"] or read_at
        step = Step(row["id"], last, row["delta"], row["before"], row["after"])
        mine = own_message(step, left, first - lag, last + lag)
        if mine is not None:
            left.remove(mine)
            of_ours.add(row["id"])
    ours = [
        Change(
            row["id"],
            row["delta"],
            row["settled_at"] or row["created_at"],
            row["before"],
            row["after"],
            is_told=row["id"] in of_ours,
            mended=row["mended"],
        )
        for row in changes
    ]
    return tuple(ours), tuple(left)


def _counts(ledger: pa.Table) -> list[Row]:
    """Changes that hold a count and have found a difference."""
    counts = ledger.filter(pc.and_(pc.is_valid(ledger["counted"]), pc.is_valid(ledger["settled_at"])))
    return [row for row in rows(counts) if row["delta"] is not None and row["delta"] != row["changes"]]


def _counted(shared: words.Night, ledger: pa.Table, since: datetime, taken: Taken) -> Iterator[Finding]:
    """Counts of the night, by the moment at which its snapshot began: a count belongs to one night only."""
    last: dict[Place, tuple[int, Row]] = {}
    for row in sorted(_counts(ledger), key=lambda row: row["created_at"]):
        if since < row["settled_at"] <= taken.began:
            place, off = _place(row), row["delta"] - row["changes"]
            last[place] = (last[place][0] if place in last else 0) + off, row
    for place, (off, row) in sorted(last.items()):
        if off:
            yield words.counted(shared, place, off, row["counted"], row["id"], row["settled_at"])


def _together(one: words.Waiting, other: words.Waiting) -> words.Waiting:
    first = min(one, other, key=lambda waiting: waiting.oldest)
    return words.Waiting(
        first.place,
        "parked" if "parked" in (one.state, other.state) else first.state,
        one.reason or other.reason,
        one.movements + other.movements,
        one.units + other.units,
        first.oldest,
    )
