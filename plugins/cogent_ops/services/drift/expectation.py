"""What inventory entries should say: the snapshot before, what we have changed since, and what orders took since.

An entry says itself which of our changes are in it: it carries the id of the last one, and changes of one entry are
sent strictly one after the other. So it does not matter that snapshot and traffic overlap: each entry is compared with
the ledger as of the change that it names. Only orders of commercetools leave no name on an entry; those that are so
young, or were so young at the snapshot before, that nobody can say whether they show yet leave a doubt.

A count replaces everything before it: from there on the entry's quantity is what the count made it.

Links that share a project each compare it, by snapshots of their own. What another link has mended may have gone wrong
since our snapshot before, and then belongs to what went wrong, or before it, and then is a change like any other. So an
entry that fits either way is right.

All of it is columnar: only what differs becomes rows, and no loop runs over what does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc

from cogent_ops.services.drift.tables import ENTRIES, MENDED, PLACE

_KEYS = list(PLACE)
#: So many places are looked at one by one at most: all of them become rows, and are read again.
MOST = 20_000
#: Rows are told apart by these names once both snapshots stand side by side.
_BEFORE = {"on_stock": "base", "batch": "base_batch", "asked": "base_asked"}
_NOW = ("on_stock", "batch", "asked")
#: What else is known of an entry; looked up for those that differ only.
_DETAILS = ("entry", "version", "changed_by", "changed_at")


@dataclass(frozen=True)
class Expectation:
    """What a comparison of two snapshots comes to.

    :param checked: places that both snapshots have, or that a count has made known.
    :param differing: of those that differ: place, both snapshots, and ``expected``.
    :param gone: places that had an entry, and have none.
    :param further: places that differ or are gone besides; where so many do, it is one cause, and the largest show it.
    :param included: our changes since the snapshot before, of the places in ``differing``; ``mended``: units in them
        that another link has mended, and that nothing is expected of.
    :param sales: what orders may have taken from the places in ``differing``; ``sure`` where they show for certain.
    """

    checked: int
    differing: pa.Table
    gone: pa.Table
    further: int
    included: pa.Table
    sales: pa.Table


def expect(
    before: pa.Table | None,
    now: pa.Table,
    ledger: pa.Table,
    sales: pa.Table,
    lag: timedelta,
    mended: pa.Table | None = None,
) -> Expectation:
    """Compare a snapshot with what it should say.

    :param before: the snapshot before; ``None``: there is none, so nothing is known but what counts tell.
    :param ledger: our changes, at least those that were not settled when ``before`` was taken.
    :param sales: what orders took, at least since ``lag`` before ``before`` was taken.
    :param mended: what other links have mended in our changes.
    """
    places = _side_by_side(before if before is not None else ENTRIES.empty_table(), now)
    touched = _touched(ledger, sales)
    quiet = places.join(touched, keys=_KEYS, join_type="left anti")
    busy = places.join(touched, keys=_KEYS, join_type="left semi")
    both = pc.and_(pc.is_valid(quiet["base"]), pc.is_valid(quiet["on_stock"]))
    changed = quiet.filter(pc.and_(both, pc.not_equal(quiet["base"], quiet["on_stock"])))
    included = _included(busy, ledger)
    busy, included = _from_counts(busy, included)
    included = _with_mended(busy, included, mended if mended is not None else MENDED.empty_table())
    judged, sold = _summed(busy, included, sales, lag)
    known = judged.filter(pc.and_(pc.is_valid(judged["base"]), pc.is_valid(judged["on_stock"])))
    off = known.filter(pc.not_equal(known["expected"], known["on_stock"]))
    alike = changed.append_column("expected", changed["base"])
    differing = pa.concat_tables([alike, off.select(alike.column_names)])
    lost = places.filter(pc.and_(pc.is_valid(places["base"]), pc.is_null(places["on_stock"])))
    further = max(0, differing.num_rows - MOST) + max(0, lost.num_rows - MOST)
    differing = _largest(differing, pc.abs(pc.subtract(differing["on_stock"], differing["expected"])))
    return Expectation(
        checked=_sum(both) + known.num_rows,
        differing=_detailed(differing, before, now),
        gone=_largest(lost, lost["base"]),
        further=further,
        included=included.join(differing.select(PLACE), keys=_KEYS, join_type="left semi"),
        sales=sold.join(differing.select(PLACE), keys=_KEYS, join_type="left semi"),
    )


def _side_by_side(before: pa.Table, now: pa.Table) -> pa.Table:
    old = before.select([*PLACE, *_BEFORE]).rename_columns([*PLACE, *_BEFORE.values()])
    return old.join(now.select([*PLACE, *_NOW]), keys=_KEYS, join_type="full outer")


def _touched(ledger: pa.Table, sales: pa.Table) -> pa.Table:
    places = pa.concat_tables([ledger.select(PLACE), sales.select(PLACE)])
    return places.group_by(_KEYS).aggregate([])


def _included(busy: pa.Table, ledger: pa.Table) -> pa.Table:
    """Our changes that are in the entries now, and were not at the snapshot before.

    A change is in an entry when it was confirmed before the entry was asked for, or when it is the one that the entry
    names, or was made before that one.
    """
    made = ledger.select(["id", "created_at"])
    marks = busy.select([*PLACE, "batch", "asked", "base_batch", "base_asked"])
    for column, name in (("batch", "reached"), ("base_batch", "base_reached")):
        named = made.rename_columns([column, name])
        marks = marks.join(named, keys=column, join_type="left outer")
    changes = ledger.join(marks.drop_columns(["batch", "base_batch"]), keys=_KEYS, join_type="inner")
    has_now = _has(changes, "reached", "asked")
    had = _has(changes, "base_reached", "base_asked")
    mine = pc.and_(pc.and_(has_now, pc.invert(had)), pc.is_valid(changes["delta"]))
    return changes.filter(mine).select(ledger.column_names)


def _has(changes: pa.Table, reached: str, asked: str) -> pa.ChunkedArray:
    named = pc.fill_null(pc.less_equal(changes["created_at"], changes[reached]), False)
    confirmed = pc.fill_null(pc.less_equal(changes["settled_at"], changes[asked]), False)
    return pc.or_(named, confirmed)


def _from_counts(busy: pa.Table, included: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Let entries that were counted begin with what their last count made them."""
    counts = included.filter(pc.and_(pc.is_valid(included["counted"]), pc.is_valid(included["after"])))
    if not counts.num_rows:
        return busy, included
    last = counts.group_by(_KEYS).aggregate([("created_at", "max")])
    last = last.rename_columns([*PLACE, "created_at"])
    begun = last.join(counts, keys=[*PLACE, "created_at"], join_type="inner")
    begun = begun.select([*PLACE, "created_at", "after", "settled_at"])
    begun = begun.rename_columns([*PLACE, "counted_in", "counted_base", "counted_at"])
    busy = busy.join(begun, keys=_KEYS, join_type="left outer")
    for name, other in (("base", "counted_base"), ("base_asked", "counted_at")):
        busy = busy.set_column(busy.schema.get_field_index(name), name, pc.coalesce(busy[other], busy[name]))
    later = included.join(begun.select([*PLACE, "counted_in"]), keys=_KEYS, join_type="left outer")
    after = pc.fill_null(pc.greater(later["created_at"], later["counted_in"]), True)
    return busy.drop_columns(["counted_in", "counted_base", "counted_at"]), later.filter(after).select(
        included.column_names
    )


def _with_mended(busy: pa.Table, included: pa.Table, mended: pa.Table) -> pa.Table:
    """Our changes with what they mend for another link of what was found after the entry's base was read."""
    if not mended.num_rows:
        return included.append_column("mended", pa.repeat(pa.scalar(0, pa.int64()), included.num_rows))
    of = mended.join(busy.select([*PLACE, "base_asked"]), keys=_KEYS, join_type="inner")
    of = of.filter(pc.fill_null(pc.greater(of["found_at"], of["base_asked"]), False))
    of = of.group_by("id").aggregate([("units", "sum")]).rename_columns(["id", "mended"])
    found = included.join(of, keys="id", join_type="left outer")
    return found.set_column(
        found.schema.get_field_index("mended"), "mended", pc.fill_null(found["mended"], 0)
    )


def _summed(busy: pa.Table, included: pa.Table, sales: pa.Table, lag: timedelta) -> tuple[pa.Table, pa.Table]:
    """Places with their sums, and the sales that may show in them."""
    ours = included.group_by(_KEYS).aggregate([("delta", "sum"), ("mended", "sum")])
    ours = ours.rename_columns([*PLACE, "ours", "mended"])
    young = pa.scalar(lag, pa.duration("us"))
    of = sales.join(busy.select([*PLACE, "asked", "base_asked"]), keys=_KEYS, join_type="inner")
    since_sure = pc.greater(of["created_at"], pc.add(of["base_asked"], young))
    since_maybe = pc.greater(of["created_at"], pc.subtract(of["base_asked"], young))
    until_sure = pc.less_equal(of["created_at"], pc.subtract(of["asked"], young))
    until_maybe = pc.less_equal(of["created_at"], pc.add(of["asked"], young))
    of = of.append_column("sure", pc.fill_null(pc.and_(since_sure, until_sure), False))
    of = of.filter(pc.fill_null(pc.and_(since_maybe, until_maybe), False))
    sure = of.filter(of["sure"]).group_by(_KEYS).aggregate([("units", "sum")])
    judged = busy
    for sums in (ours, sure.rename_columns([*PLACE, "sold"])):
        judged = judged.join(sums, keys=_KEYS, join_type="left outer")
    for name in ("ours", "mended", "sold"):
        judged = judged.set_column(judged.schema.get_field_index(name), name, pc.fill_null(judged[name], 0))
    with_all = pc.add(pc.add(judged["base"], judged["ours"]), judged["sold"])
    # What went wrong before the snapshot is in its quantity, so what mended it is expected.
    fits = pc.fill_null(pc.equal(judged["on_stock"], with_all), False)
    expected = pc.if_else(fits, with_all, pc.subtract(with_all, judged["mended"]))
    return judged.append_column("expected", expected), of.select([*sales.column_names, "sure"])


def _largest(data: pa.Table, size: pa.ChunkedArray) -> pa.Table:
    """At most so many rows, the largest, and of equal ones always the same."""
    if data.num_rows <= MOST:
        return data
    order = [("size", "descending"), *((name, "ascending") for name in PLACE)]
    return data.append_column("size", size).sort_by(order).slice(0, MOST).drop_columns(["size"])


def _detailed(differing: pa.Table, before: pa.Table | None, now: pa.Table) -> pa.Table:
    found = now.select([*PLACE, *_DETAILS]).join(differing, keys=_KEYS, join_type="inner")
    if before is None:
        return found.append_column("base_entry", pa.nulls(found.num_rows, pa.string()))
    old = before.select([*PLACE, "entry"]).rename_columns([*PLACE, "base_entry"])
    return old.join(found, keys=_KEYS, join_type="right outer")


def _sum(mask: pa.ChunkedArray) -> int:
    return int(pc.sum(mask).as_py() or 0)
