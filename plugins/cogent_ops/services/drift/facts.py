"""Facts of a night in its archive: tables of kinds and JSON, written and read piece by piece."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
from pydantic import TypeAdapter

from cogent_ops.domain.text import writable
from cogent_ops.services.drift.archive import Night
from cogent_ops.services.pipeline import batches

#: A kind of fact, and the fact as JSON.
Row = tuple[str, str]
#: Rows in a piece of the table.
PIECE = 500


def as_json(kind: TypeAdapter[Any], fact: object) -> str:
    """A fact as JSON that every file can hold, whatever texts are in it."""
    return writable(json.dumps(kind.dump_python(fact, mode="json"), ensure_ascii=False))


def write_facts(night: Night, table: str, rows: Iterable[Row]) -> None:
    """Write a table as its rows come; it is there once all have come."""
    schema = pa.schema([("kind", pa.string()), ("facts", pa.string())])
    with night.writer(table, schema) as writer:
        for some in batches(rows, PIECE):
            writer.write_table(pa.table(list(zip(*some, strict=True)), schema=schema))


def read_facts(night: Night, table: str) -> Iterator[Row]:
    """Read it, in the order in which it was written."""
    found = night.read(table)
    for batch in found.to_batches(max_chunksize=PIECE):
        yield from ((row["kind"], row["facts"]) for row in batch.to_pylist())
