"""Facts of a night in its archive: tables of kinds and JSON, written and read piece by piece."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cogent_ops.services.drift.archive import Night
from cogent_ops.services.pipeline import batches

#: A kind of fact, and the fact as JSON.
Row = tuple[str, str]
#: Rows in a piece of the table.
PIECE = 500


def write_facts(night: Night, table: str, rows: Iterable[Row]) -> None:
    """Write a table as its rows come; it is there once all have come."""
    import pyarrow as pa

    schema = pa.schema([("kind", pa.string()), ("facts", pa.string())])
    with night.writer(table, schema) as writer:
        for some in batches(rows, PIECE):
            writer.write_table(pa.table(list(zip(*some, strict=True)), schema=schema))


def read_facts(night: Night, table: str) -> Iterator[Row]:
    """Read it, in the order in which it was written."""
    found = night.read(table)
    for batch in found.to_batches(max_chunksize=PIECE):
        yield from ((row["kind"], row["facts"]) for row in batch.to_pylist())
