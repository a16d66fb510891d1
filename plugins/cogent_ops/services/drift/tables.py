"""Tables of a stock snapshot: their columns, and how they are filled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from cogent_ops.domain.stock import Place, last_batch
from cogent_ops.domain.text import writable
from cogent_ops.services.drift.archive import MOMENT

Entry = Mapping[str, Any]

TEXT, UNITS = pa.string(), pa.int64()
PLACE = ("sku", "channel")

#: Inventory entries as read. ``asked``: just before the request went out. Without ``entry``: there was none.
ENTRIES = pa.schema(
    {
        "sku": TEXT,
        "channel": TEXT,
        "entry": TEXT,
        "version": UNITS,
        "on_stock": UNITS,
        "batch": TEXT,
        "changed_at": MOMENT,
        "changed_by": TEXT,
        "asked": MOMENT,
    }
)
#: Changes that we have sent or are about to send; see :class:`cogent_ops.store.stock_history.PastBatch`.
LEDGER = pa.schema(
    {
        "id": TEXT,
        "sku": TEXT,
        "channel": TEXT,
        "delta": UNITS,
        "created_at": MOMENT,
        "settled_at": MOMENT,
        "before": UNITS,
        "after": UNITS,
        "counted": UNITS,
        "changes": UNITS,
    }
)
#: What orders of commercetools took from stock by themselves, in signed units.
SALES = pa.schema({"order": TEXT, "sku": TEXT, "channel": TEXT, "units": UNITS, "created_at": MOMENT})
#: What is on its way; see :class:`cogent_ops.store.stock_history.OpenMovements`.
OPEN = pa.schema(
    {
        "sku": TEXT,
        "channel": TEXT,
        "state": TEXT,
        "reason": TEXT,
        "movements": UNITS,
        "units": UNITS,
        "oldest": MOMENT,
    }
)
#: Kiosk orders whose units no movement carries, or more movements than they should.
#: ``at``: when they took or gave back their units.
UNMOVED = pa.schema(
    {"order": TEXT, "sku": TEXT, "channel": TEXT, "recorded": UNITS, "moved": UNITS, "at": MOMENT}
)
#: What other links have mended in batches of the ledger; see :class:`cogent_ops.store.stock_history.Mended`.
MENDED = pa.schema({"id": TEXT, "sku": TEXT, "channel": TEXT, "units": UNITS, "found_at": MOMENT})
POSITIONS = pa.schema({"sku": TEXT, "channel": TEXT, "on_stock": UNITS, "version": UNITS})
#: Changes of quantity that Messages tell of, ours included. ``by``: the API client, where they say.
EDITS = pa.schema({"sku": TEXT, "channel": TEXT, "before": UNITS, "after": UNITS, "at": MOMENT, "by": TEXT})
PRICES = pa.schema({"sku": TEXT, "cents": UNITS})
#: Places that could not be judged, because something happened at them all the time.
UNCLEAR = pa.schema({"sku": TEXT, "channel": TEXT})


def entry_row(place: Place, entry: Entry | None, asked: datetime) -> tuple[Any, ...]:
    """A row of :data:`ENTRIES`."""
    if entry is None:
        return (*place, None, None, None, None, None, None, asked)
    return (
        *place,
        entry["id"],
        entry["version"],
        entry["quantityOnStock"],
        last_batch(entry),
        datetime.fromisoformat(entry["lastModifiedAt"]),
        (entry.get("lastModifiedBy") or {}).get("clientId"),
        asked,
    )


def table(schema: pa.Schema, rows: Iterable[Sequence[Any]]) -> pa.Table:
    """A table of rows whose values stand in the order of the schema."""
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [_array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:
        return pa.array((writable(one) if isinstance(one, str) else one for one in values), kind)


def overlaid(first: pa.Table, again: pa.Table) -> pa.Table:
    """The first reading with what was read again in its place."""
    if not again.num_rows:
        return first
    kept = first.join(again.select(PLACE), keys=list(PLACE), join_type="left anti")
    return pa.concat_tables([kept.select(first.column_names), again])


def rows(data: pa.Table) -> list[dict[str, Any]]:
    """Rows of a table that is known to be small."""
    found: list[dict[str, Any]] = data.to_pylist()
    return found
