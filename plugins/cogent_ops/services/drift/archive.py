"""Snapshots: one folder a night, one Parquet file a table, from which a past night can be compared again.

A file appears whole or not at all, so a night that died is taken up where it stopped. What was read twice, because it
differed and might only have been young, lies beside the first reading and counts instead of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from cogent_ops.errors import PermanentError

#: Written when all of a night's snapshot is there.
COMPLETE = "snapshot.json"
MOMENT = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class Taken:
    """When a snapshot was taken, by our clock."""

    began: datetime
    ended: datetime


class Night:
    """The folder of one night of a link.

    :param name: sorts as time goes on: ``2026-11-24``, or ``2026-11-24T140512`` for a run beside the schedule.
    """

    def __init__(self, root: UPath, link: str, name: str) -> None:
        self.root, self.link, self.name = root, link, name
        self.path = root / "drift" / link / name

    def has(self, table: str) -> bool:
        """Whether a table was written, by this try or an earlier one."""
        return self._file(table).is_file()

    def write(self, table: str, data: pa.Table) -> None:
        """Write a table."""
        with self.writer(table, data.schema) as writer:
            writer.write_table(data)

    @contextmanager
    def writer(self, table: str, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
        """Write a table piece by piece; it is there once the block has ended without an error."""
        with (
            self._replacing(self._file(table)) as file,
            file.open("wb") as sink,
            pq.ParquetWriter(sink, schema, compression="zstd") as writer,
        ):
            yield writer

    def read(self, table: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a table.

        :raises PermanentError: when the night has no such table.
        """
        file = self._file(table)
        if not file.is_file():
            raise PermanentError(
                f"The snapshot of {self.name} has no {file.name}. A past night can only be compared where its snapshot "
                "is archived: see docs/drift.md."
            )
        with file.open("rb") as source:
            return pq.read_table(source, columns=None if columns is None else list(columns))

    def note(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a small document."""
        with self._replacing(self.path / name) as file, file.open("w", encoding="utf-8") as sink:
            json.dump(content, sink, indent=1, default=str)

    def noted(self, name: str) -> dict[str, Any] | None:
        """Read it; ``None`` when there is none."""
        file = self.path / name
        if not file.is_file():
            return None
        with file.open("r", encoding="utf-8") as source:
            found: dict[str, Any] = json.load(source)
        return found

    def begin(self, now: datetime) -> datetime:
        """When the snapshot began: now, unless an earlier try began it."""
        begun = self.noted("begun.json")
        if begun is not None:
            return datetime.fromisoformat(begun["at"])
        self.note("begun.json", {"at": now.isoformat()})
        return now

    def complete(self, began: datetime, now: datetime) -> None:
        """Note that all tables are there."""
        self.note(COMPLETE, {"began": began.isoformat(), "ended": now.isoformat()})

    @property
    def taken(self) -> Taken | None:
        """When the snapshot was taken; ``None`` while it is not complete."""
        found = self.noted(COMPLETE)
        if found is None:
            return None
        return Taken(datetime.fromisoformat(found["began"]), datetime.fromisoformat(found["ended"]))

    def _file(self, table: str) -> UPath:
        return self.path / f"{table}.parquet"

    @contextmanager
    def _replacing(self, file: UPath) -> Iterator[UPath]:
        """A file to write to that becomes ``file`` at the end. Object storage has no half-written objects anyway."""
        self.path.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_name(f".{uuid4().hex}-{file.name}")
        try:
            yield unfinished
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        unfinished.replace(file)


class Archive:
    """All nights of a link.

    :param root: data root.
    """

    def __init__(self, root: UPath, link: str) -> None:
        self._root, self._link = root, link

    def night(self, name: str) -> Night:
        """One night, whether it is there or not."""
        return Night(self._root, self._link, name)

    def nights(self) -> list[Night]:
        """Nights with a complete snapshot, the oldest first."""
        folder = self._root / "drift" / self._link
        if not folder.is_dir():
            return []
        names = sorted(path.name for path in folder.iterdir() if (path / COMPLETE).is_file())
        return [self.night(name) for name in names]

    def previous(self, night: Night) -> Night | None:
        """The youngest complete night before one."""
        before = [one for one in self.nights() if one.name < night.name]
        return before[-1] if before else None

    def prune(self, keep: int) -> None:
        """Remove all snapshots before the youngest ``keep``, also what is left of nights that died; reports stay."""
        nights = self.nights()
        old, kept = nights[:-keep], nights[-keep:]
        if not old:
            return
        for file in (self._root / "drift" / self._link).glob("*/*.parquet"):
            if file.parent.name < kept[0].name:
                file.unlink()
        for night in old:
            (night.path / COMPLETE).unlink()


def night_name(moment: datetime, *, scheduled: bool) -> str:
    """The name of the night whose snapshot is taken at a moment.

    :param scheduled: by the clock, of which there is one a day.
    """
    return f"{moment.astimezone(UTC):{'%Y-%m-%d' if scheduled else '%Y-%m-%dT%H%M%S'}}"
