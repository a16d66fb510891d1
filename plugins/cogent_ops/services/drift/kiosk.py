"""Compare what kiosks show of stock with what they were told, and that with what they should be told."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cogent_ops.domain.drift.kiosk import Shelf, finding, judge
from cogent_ops.domain.drift.model import Area, Moment
from cogent_ops.domain.drift.shelf import own_id
from cogent_ops.domain.identifiers import LOCATION, VARIANT
from cogent_ops.errors import PermanentError
from cogent_ops.services.drift.archive import MOMENT, Night
from cogent_ops.services.drift.comparison import Compared, Parts
from cogent_ops.services.drift.tables import TEXT, UNITS, rows, table
from cogent_ops.services.pipeline import batches, ordered_map
from cogent_ops.store.availability import Told, in_one

log = logging.getLogger(__name__)

Row = dict[str, Any]

#: What kiosks show. Without ``channel``: the variant's flags, both in one; else whether it is in stock there.
SHOWN = pa.schema({"product": TEXT, "sku": TEXT, "channel": TEXT, "shown": UNITS, "asked": MOMENT})
TOLD = pa.schema(
    {
        "sku": TEXT,
        "channel": TEXT,
        "wanted": UNITS,
        "told": UNITS,
        "wanted_at": MOMENT,
        "told_at": MOMENT,
        "read_due": MOMENT,
    }
)
#: Channel of the rows that hold a variant's flags: joins need something, and no Channel has this key.
FLAGS = "*"
_KEYS = ["sku", "channel"]
ROWS = 20_000


class KioskComparison:
    """What one link's kiosks show of stock."""

    area = Area.KIOSK

    def __init__(self, parts: Parts) -> None:
        self.parts, self.rules, self.link = parts, parts.config.drift, parts.config.name
        self.lag = timedelta(seconds=self.rules.lag_seconds)

    # Reading

    def snapshot(self, night: Night) -> None:
        """Read what kiosks show, then what they were told; and what differs once more, when it is old enough."""
        if night.has("kiosk_told"):
            return
        asked = self.parts.now()
        if not night.has("kiosk_shown"):
            night.note("kiosk.json", {"asked": asked.isoformat(), "safety_stock": self._safety_stock()})
            with night.writer("kiosk_shown", SHOWN) as writer:
                for some in batches(self._shown(), ROWS):
                    writer.write_table(table(SHOWN, some))
        shown, told = night.read("kiosk_shown"), self._told()
        suspects = self._suspects(shown, told, night)
        if suspects:
            log.info("%d products are read again, because kiosks show something else", len(suspects))
            time.sleep(self.lag.total_seconds())
            shown = self._again(shown, suspects)
            told = self._told()
        night.write("kiosk_shown_again", shown if suspects else SHOWN.empty_table())
        night.write("kiosk_told", told)

    def _shown(self) -> Iterator[tuple[object, ...]]:
        asked = self.parts.now()
        for page in self.parts.cloudshelf.shown_levels():
            yield from chain.from_iterable(_shown(product, asked) for product in page)
            asked = self.parts.now()

    def _safety_stock(self) -> int | None:
        """Quantities below it count as out of stock; ``None`` when it cannot be read."""
        try:
            found = self.parts.cloudshelf.organisation()
        except PermanentError as error:
            log.warning("the organisation's safety stock number cannot be read: %s", error)
            return None
        return None if found is None else found.safety_stock

    def _told(self) -> pa.Table:
        told = self.parts.store.availability.told(self.link)
        pieces = [table(TOLD, map(_told_row, some)) for some in batches(told, ROWS)]
        return pa.concat_tables(pieces) if pieces else TOLD.empty_table()

    def _suspects(self, shown: pa.Table, told: pa.Table, night: Night) -> list[str]:
        """Products of which something differs, by Cloudshelf's external id."""
        safety = (night.noted("kiosk.json") or {}).get("safety_stock")
        off = {row["sku"] for row in rows(_differing(shown, told, safety))}
        if not off:
            return []
        wanted = pa.table({"sku": pa.array(sorted(off), TEXT)})
        found = shown.select(["product", "sku"]).join(wanted, keys="sku", join_type="inner")
        return sorted({product for product in found["product"].to_pylist() if product})

    def _again(self, shown: pa.Table, products: list[str]) -> pa.Table:
        asked = self.parts.now()
        read = ordered_map(
            self.parts.cloudshelf.shown_levels_of, products, workers=self.parts.config.concurrency
        )
        fresh = table(SHOWN, chain.from_iterable(_shown(one, asked) for one in read if one is not None))
        gone = pa.table({"product": pa.array(products, TEXT)})
        kept = shown.join(gone, keys="product", join_type="left anti").select(SHOWN.names)
        return pa.concat_tables([kept, fresh])

    # Comparing

    def compare(self, night: Night, previous: Night | None) -> Compared:
        """Compare what the night has archived."""
        noted = night.noted("kiosk.json")
        if noted is None or not night.has("kiosk_told"):
            return Compared(0, ())
        again, told = night.read("kiosk_shown_again"), night.read("kiosk_told")
        shown = again if again.num_rows else night.read("kiosk_shown")
        asked, late = datetime.fromisoformat(noted["asked"]), timedelta(minutes=self.rules.late_minutes)
        stores = set(pc.unique(told["channel"]).to_pylist())
        findings = []
        for row in rows(_differing(shown, told, noted["safety_stock"], asked - late)):
            one, read = _shelf(row, stores), row["asked"] or asked
            verdict = judge(one, Moment(read, self.lag, late))
            if verdict is not None:
                findings.append(finding(night.link, night.name, one, verdict, read))
        findings.sort(key=lambda each: each.subject)
        return Compared(told.num_rows, findings, {"flags_and_levels_read_back": shown.num_rows})


def _shown(product: Row, asked: datetime) -> Iterator[tuple[object, ...]]:
    """Rows of a product of ours; others are no stock of this link."""
    gid = product["platformProvidedId"]
    for variant in product["productVariants"] or ():
        sku = own_id(variant["platformProvidedId"], VARIANT)
        if sku is None:
            continue
        yield gid, sku, FLAGS, in_one(variant["isInStock"], variant["availableToPurchase"]), asked
        for level in variant["stockLevels"] or ():
            location = (level["location"] or {}).get("platformProvidedId")
            channel = own_id(location, LOCATION)
            yield gid, sku, channel or f"({location or 'without id'})", int(level["isInStock"]), asked


def _told_row(one: Told) -> tuple[object, ...]:
    channel = FLAGS if one.channel is None else one.channel
    return one.sku, channel, one.wanted, one.told, one.wanted_at, one.told_at, one.read_due


def _differing(shown: pa.Table, told: pa.Table, safety: int | None, due: datetime | None = None) -> pa.Table:
    """Rows of both sides that do not agree.

    :param safety: quantities below it are out of stock; ``None``: nobody knows, so only what is told as nothing, and
        shown as something, differs for certain.
    :param due: also what was not told, and what should have been looked at before this moment and was not.
    """
    both = told.join(shown.drop_columns(["product"]), keys=_KEYS, join_type="full outer")
    is_flag = pc.equal(both["channel"], FLAGS)
    least = max(1, safety or 0)
    as_level = pc.cast(pc.greater_equal(both["told"], least), UNITS)
    expected = pc.if_else(is_flag, both["told"], as_level)
    differs = pc.fill_null(pc.not_equal(expected, both["shown"]), False)
    if safety is None:
        certain = pc.or_(is_flag, pc.fill_null(pc.less_equal(both["told"], 0), False))
        differs = pc.and_(differs, certain)
    lacking = pc.and_(pc.is_valid(both["told"]), pc.is_null(both["shown"]))
    stranger = pc.and_(pc.is_null(both["wanted"]), pc.greater(pc.fill_null(both["shown"], 0), 0))
    wrong = pc.or_(pc.or_(differs, lacking), stranger)
    if due is not None:
        untold = pc.and_(pc.is_valid(both["wanted"]), pc.invert(_same(both["told"], both["wanted"])))
        overdue = pc.fill_null(pc.less(both["read_due"], pa.scalar(due, MOMENT)), False)
        wrong = pc.or_(wrong, pc.or_(untold, overdue))
    return both.append_column("expected", expected).filter(wrong)


def _same(one: pa.ChunkedArray, other: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.fill_null(pc.equal(one, other), False)


def _shelf(row: Row, stores: Iterable[str]) -> Shelf:
    is_flag, channel = row["channel"] == FLAGS, row["channel"]
    known = channel in stores
    return Shelf(
        sku=row["sku"],
        channel=None if is_flag else channel,
        wanted=_words(row["wanted"], is_flag, units=True),
        told=_words(row["told"], is_flag, units=True),
        expected=_words(row["expected"], is_flag) or ("out of stock" if known else None),
        shown=_words(row["shown"], is_flag),
        wanted_at=row["wanted_at"],
        told_at=row["told_at"],
        read_due=row["read_due"],
    )


def _words(value: int | None, is_flag: bool, *, units: bool = False) -> str | None:
    if value is None:
        return None
    if is_flag:
        purchasable = "can be bought" if value % 2 else "cannot be bought"
        return f"{'in stock' if value >= 2 else 'out of stock'}, {purchasable}"
    if units:
        return f"{value} units"
    return "in stock" if value else "out of stock"
