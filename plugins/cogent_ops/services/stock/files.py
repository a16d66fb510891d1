"""The file drop: CSV, JSON lines and Parquet of stores' systems, from any folder, into the inbox.

A file is taken once nobody writes to it any more, row by row in batches, so that it may be of any size. When it was
read to its end it moves to ``done``, and when every row of it is in the inbox its content is remembered. A process that
dies in between reads it again, and finds its rows there already. What is wrong with a row, or a file, is one exception
for each cause and file.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import json
import logging
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import IO, TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from cogent_ops.config import LinkConfig
from cogent_ops.domain.exceptions import Kind, NewException, Owner
from cogent_ops.domain.movement_rows import MovementRow, RowProblem, columns_of, meanings, read_row
from cogent_ops.domain.stock import Source
from cogent_ops.domain.text import visible
from cogent_ops.errors import PermanentError, TargetUnavailable
from cogent_ops.services.counts import Counts
from cogent_ops.services.stock.receive import Fate, Inbox, Received
from cogent_ops.store import Store

if TYPE_CHECKING:
    from upath import UPath

log = logging.getLogger(__name__)

DONE = "done"
#: Kind of the fingerprints of files that are in the inbox as a whole.
FINGERPRINT = "stock_file"
#: The same of files that lie in the folder and need not be read again until they change, by name.
SETTLED_FILE = "stock_file_settled"
ROWS_AT_ONCE = 500
#: A file that was not written to for so long is complete, however many looks saw it.
SETTLED = timedelta(seconds=60)
#: Longer lines are no rows of movements.
LONGEST_LINE = 64 * 1024
_CHUNK = 1024 * 1024
_LINES_NAMED = 50
_UNFINISHED = (".tmp", ".part", ".partial", ".filepart", ".crdownload", ".swp", "~")
_SUFFIXES = {
    ".csv": "csv",
    ".txt": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
_DELIMITERS = ",;\t|"
#: The codec by the bytes that a file begins with; UTF-32 before UTF-16, whose mark it begins with.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class FileCounts(Counts):
    """What a look at the folder did.

    :param files: files that are in the inbox as a whole now.
    :param rows: their rows.
    :param accepted: rows that were new.
    :param duplicates: rows that were there already.
    :param rejected: rows that were not taken.
    :param refused: files that could not be read at all, or not to their end.
    :param waiting: files that somebody may still be writing to.
    """

    files: int = 0
    rows: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    refused: int = 0
    waiting: int = 0


class FileRefused(PermanentError):
    """A file cannot be read, or not further than a line.

    :param line: where, from 1; 0: the file as a whole.
    """

    def __init__(self, line: int, problem: RowProblem) -> None:
        super().__init__(problem.message)
        self.line, self.problem = line, problem


class _Row(NamedTuple):
    """A row by column, or what is wrong with it.

    :param line: its line, or its number in a file without lines, from 1.
    """

    line: int
    content: Mapping[str, Any] | RowProblem


class _State(NamedTuple):
    """What tells whether a file is still being written."""

    size: int
    modified: float

    def __str__(self) -> str:
        """In the form in which it is remembered."""
        return f"{self.size}/{self.modified}"


@dataclass
class _Tally:
    """What became of a file's rows."""

    counts: FileCounts = field(default_factory=FileCounts)
    problems: dict[tuple[str, str], list[tuple[int, RowProblem]]] = field(default_factory=dict)

    def add(self, line: int, result: Received) -> None:
        fate = result.fate
        self.counts += FileCounts(
            rows=1,
            accepted=fate is Fate.ACCEPTED,
            duplicates=fate is Fate.DUPLICATE,
            rejected=fate is Fate.REJECTED,
        )
        if result.problem is not None:
            self.note(line, result.problem)

    def note(self, line: int, problem: RowProblem) -> None:
        self.problems.setdefault((problem.field, problem.rule), []).append((line, problem))


class FileDrop:
    """A folder in which stores' systems lay movements and counts for one link.

    Keep one as long as a task lives: a file is taken when two looks find it the same.

    :param project: the commercetools project as its rate budget names it.
    :param folder: local, or on any object storage.
    :param run_key: the run, for the exceptions it raises.
    """

    def __init__(
        self, config: LinkConfig, store: Store, project: str, folder: UPath, *, run_key: str | None = None
    ) -> None:
        self.store, self.folder = store, folder
        self._link, self._run_key = config.name, run_key or uuid4().hex
        self._inbox = Inbox(config.name, store, project, Source.FILE)
        self._seen: dict[str, _State] = {}

    def has_work(self) -> bool:
        """Whether a file lies in the folder that was not read as it is now.

        :raises TargetUnavailable: when the folder cannot be reached.
        """
        return bool(self._open_files())

    def run(self, now: datetime) -> FileCounts:
        """Take the files that are complete.

        :raises TargetUnavailable: when the folder cannot be reached.
        """
        total = FileCounts()
        found = self._open_files()
        self._seen = {name: state for name, state in self._seen.items() if name in found}
        for name, (path, state) in sorted(found.items()):
            if not self._is_complete(name, state, now):
                total += FileCounts(waiting=1)
                continue
            try:
                total += self._take(path, state, now)
            except FileNotFoundError:
                continue  # another process was faster
            except OSError as error:
                raise TargetUnavailable(f"The file drop could not read {name}: {error}") from error
        return total

    def _open_files(self) -> dict[str, tuple[UPath, _State]]:
        """Files in the folder that were not read as they are now, by name."""
        found = self._files()
        settled = self.store.fingerprints.known(self._link, SETTLED_FILE, found) if found else {}
        return {name: one for name, one in found.items() if settled.get(name) != str(one[1])}

    def _files(self) -> dict[str, tuple[UPath, _State]]:
        """Files that lie in the folder, by name."""
        found: dict[str, tuple[UPath, _State]] = {}
        try:
            if not self.folder.exists():
                return found
            for path in self.folder.iterdir():
                name = path.name
                if name.startswith(".") or name.lower().endswith(_UNFINISHED) or name == DONE:
                    continue
                try:
                    if path.is_file():
                        stat = path.stat()
                        found[name] = path, _State(stat.st_size, float(stat.st_mtime or 0))
                except FileNotFoundError:
                    continue
        except OSError as error:
            raise TargetUnavailable(f"The file drop {self.folder} is out of reach: {error}") from error
        return found

    def _is_complete(self, name: str, state: _State, now: datetime) -> bool:
        before, self._seen[name] = self._seen.get(name), state
        is_old = 0 < state.modified < (now - SETTLED).timestamp()
        return state.size > 0 and (before == state or is_old)

    # One file

    def _take(self, path: UPath, state: _State, now: datetime) -> FileCounts:
        """Bring a file into the inbox, tell what is wrong with it, and put it away."""
        tally, is_whole = _Tally(), True
        try:
            kind = _kind(path.name)
            content, codec = _inspect(path, kind)
            if self._is_known(content):
                log.info("%s was in the inbox already, as a whole", path.name)
                self._put_away(path, state, now)
                return FileCounts(files=1)
            self._rows(path, kind, codec, tally, now)
        except FileRefused as error:
            is_whole, content = False, ""
            tally.note(error.line, error.problem)
        self._tell(path.name, tally)
        if not is_whole:
            # It stays where it is, so that whoever sent it finds it.
            self._let_lie(path, state)
            return tally.counts + FileCounts(refused=1)
        if not tally.counts.rejected:
            # What was refused may be right later (a moment in the future), so then the same content is read again.
            self.store.fingerprints.remember(self._link, FINGERPRINT, {content: path.name}, self._run_key)
        self._put_away(path, state, now)
        return tally.counts + FileCounts(files=1)

    def _is_known(self, content: str) -> bool:
        return bool(self.store.fingerprints.known(self._link, FINGERPRINT, [content]))

    def _rows(self, path: UPath, kind: str, codec: str, tally: _Tally, now: datetime) -> None:
        with path.open("rb") as raw, closing(_READERS[kind](raw, codec)) as rows:
            try:
                while portion := list(islice(rows, ROWS_AT_ONCE)):
                    self._store(path.name, portion, tally, now)
            except FileRefused as error:
                if tally.counts.rows:
                    log.warning("%s was read up to line %d only", path.name, error.line)
                raise

    def _store(self, name: str, portion: Iterable[_Row], tally: _Tally, now: datetime) -> None:
        read: list[tuple[int, MovementRow | RowProblem]] = []
        for line, content in portion:
            read.append((line, content if isinstance(content, RowProblem) else read_row(content, now)))
        results = self._inbox.record([(f"{name}:{line}", row) for line, row in read])
        for (line, _), result in zip(read, results, strict=True):
            tally.add(line, result)

    def _tell(self, name: str, tally: _Tally) -> None:
        """Raise what is wrong with a file, and close what is not any more."""
        new = [_exception(name, found) for found in tally.problems.values()]
        mine = f"file/{name}/"
        open_ = self.store.exceptions.open_causes(self._link, Kind.BAD_MOVEMENT)
        gone = {cause for cause in open_ if cause.startswith(mine)} - {one.cause_key for one in new}
        if not new and not gone:
            return
        with self.store.begin() as conn:
            self.store.exceptions.resolve(conn, self._link, Kind.BAD_MOVEMENT, gone, self._run_key)
            self.store.exceptions.raise_many(conn, self._link, new, self._run_key)

    def _put_away(self, path: UPath, state: _State, now: datetime) -> None:
        """Move a file to ``done``; where that is not allowed, it is let lie."""
        stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%S")
        target = self.folder / DONE / f"{stamp}-{uuid4().hex[:8]}-{path.name}"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
        except FileNotFoundError:
            return  # another process was faster
        except (OSError, NotImplementedError) as error:
            log.warning("%s is in the inbox, but could not be moved to %s/: %s", path.name, DONE, error)
            self._let_lie(path, state)

    def _let_lie(self, path: UPath, state: _State) -> None:
        """Note that a file need not be read again until it changes."""
        self.store.fingerprints.remember(self._link, SETTLED_FILE, {path.name: str(state)}, self._run_key)


# Reading


def _kind(name: str) -> str:
    suffix = "." + name.lower().rpartition(".")[2]
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    known = ", ".join(_SUFFIXES)
    problem = RowProblem(
        "file",
        "is CSV, JSON lines or Parquet",
        f"'{visible(name)}' ends in none of {known}",
        "Give it the right ending.",
    )
    raise FileRefused(0, problem)


def _inspect(path: UPath, kind: str) -> tuple[str, str]:
    """Hash of a file's content, and its codec; all of it is looked at, so that no half of it is stored.

    :raises FileRefused: when it is text in no encoding that says what it is.
    """
    with path.open("rb") as raw:
        beginning = raw.read(_CHUNK)
        codec = next((name for mark, name in _MARKS if beginning.startswith(mark)), "utf-8")
        digest, chunk, line = hashlib.sha256(), beginning, 1
        decoder = codecs.getincrementaldecoder(codec)()
        while chunk:
            digest.update(chunk)
            if kind != "parquet":
                try:
                    text = decoder.decode(chunk)
                except UnicodeDecodeError as error:
                    line += chunk[: error.start].count(b"\n")
                    raise FileRefused(line, _encoding(codec)) from error
                line += text.count("\n")
            chunk = raw.read(_CHUNK)
    if kind != "parquet":
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            raise FileRefused(line, _encoding(codec)) from error
    return digest.hexdigest(), codec


def _encoding(codec: str) -> RowProblem:
    text = f"the file is not {codec.removesuffix('-sig').upper()}"
    return RowProblem(
        "file", "is UTF-8", text, "Save it as UTF-8 (in Excel: CSV UTF-8), and lay it down again."
    )


def _read_csv(raw: IO[bytes], codec: str) -> Generator[_Row, None, None]:
    text = io.TextIOWrapper(raw, codec, newline="")
    lines = _Lines(text)
    header = next((line for line in lines if line.strip()), None)
    if header is None:
        return
    # A spreadsheet may name its delimiter in a line of its own.
    named = re.fullmatch(r"sep=(.)\s*", header)
    delimiter = named[1] if named else max(_DELIMITERS, key=header.count)
    reader = csv.reader(iter(lines) if named else _again(header, lines), delimiter=delimiter, strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        columns = columns_of(names)
        if isinstance(columns, RowProblem):
            raise FileRefused(lines.number, columns)
        places = {column: names.index(name) for column, name in columns.items()}
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield _Row(lines.number, _cells(cells, places, len(names)))
    except csv.Error as error:
        text_ = f"it is no CSV any more: {error}"
        cure = "Look for a quotation mark that is opened and not closed; the rows before it were taken."
        raise FileRefused(lines.number, RowProblem("file", "is CSV", text_, cure)) from error
    finally:
        text.detach()


def _cells(cells: list[str], places: Mapping[str, int], width: int) -> Mapping[str, Any] | RowProblem:
    if len(cells) > width and any(cell.strip() for cell in cells[width:]):
        text = f"the row has {len(cells)} cells, its header {width}"
        cure = "Put cells that hold the delimiter into quotation marks."
        return RowProblem("row", "has a cell for each column", text, cure)
    return {column: cells[place] if place < len(cells) else "" for column, place in places.items()}


class _Lines:
    """Lines of a text, counted; one that is too long to be a row ends the file."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text, self.number = text, 0

    def __iter__(self) -> Iterator[str]:
        """The lines from here on."""
        while line := self._text.readline(LONGEST_LINE):
            self.number += 1
            if len(line) == LONGEST_LINE:
                problem = RowProblem(
                    "file",
                    f"has lines of at most {LONGEST_LINE} characters",
                    "the line is longer than any row of movements",
                    "Look for missing line ends.",
                )
                raise FileRefused(self.number, problem)
            yield line


def _again(first: str, lines: _Lines) -> Iterator[str]:
    yield first
    yield from lines


def _read_jsonl(raw: IO[bytes], codec: str) -> Generator[_Row, None, None]:
    text = io.TextIOWrapper(raw, codec)
    lines = _Lines(text)
    try:
        for line in lines:
            if line.strip():
                yield _Row(lines.number, _object(line))
    finally:
        text.detach()


def _object(line: str) -> Mapping[str, Any] | RowProblem:
    cure = 'Write one JSON object a line: {"id": "1", "sku": "A", "location": "berlin", "quantity": -1, "at": "…"}.'
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        return RowProblem("row", "is JSON", f"the line is no JSON: {error}"[:200], cure)
    if not isinstance(found, dict):
        return RowProblem(
            "row", "is an object", f"the line is JSON, but no object: {visible(line)[:60]}", cure
        )
    columns = meanings(found)
    if isinstance(columns, RowProblem):
        return columns
    return {column: found[header] for column, header in columns.items()}


def _read_parquet(raw: IO[bytes], codec: str) -> Generator[_Row, None, None]:
    import pyarrow
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(raw)
        columns = columns_of(file.schema_arrow.names)
        if isinstance(columns, RowProblem):
            raise FileRefused(0, columns)
        wanted, number = list(columns.values()), 0
        for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=wanted):
            for row in batch.to_pylist():
                number += 1
                yield _Row(number, {column: row.get(header) for column, header in columns.items()})
    except (pyarrow.ArrowException, ValueError, OverflowError) as error:
        text = f"it is no Parquet that can be read: {visible(str(error))[:200]}"
        raise FileRefused(
            0, RowProblem("file", "is Parquet", text, "Write it anew, and lay it down again.")
        ) from error


_READERS: Mapping[str, Callable[[IO[bytes], str], Generator[_Row, None, None]]] = {
    "csv": _read_csv,
    "jsonl": _read_jsonl,
    "parquet": _read_parquet,
}


def _exception(name: str, found: list[tuple[int, RowProblem]]) -> NewException:
    """One exception for a cause in a file, with the lines."""
    lines = [line for line, _ in found if line]
    first = found[0][1]
    shown = ", ".join(map(str, lines[:_LINES_NAMED]))
    more = f" and {len(lines) - _LINES_NAMED} more" if len(lines) > _LINES_NAMED else ""
    where = f", line{'s' if len(lines) > 1 else ''} {shown}{more}" if lines else ""
    return NewException(
        kind=Kind.BAD_MOVEMENT,
        cause_key=f"file/{name}/{first.field}/{first.rule}",
        record=visible(name),
        field=first.field,
        rule=first.rule,
        message=f"{visible(name)}{where}: {first.message}.",
        cure=f"{first.cure} Correct it and lay the file down again under the same name: rows that were taken do not "
        "count twice, and this closes by itself.",
        owner=Owner.RETAIL_OPS,
        payload={"file": visible(name), "lines": lines[:_LINES_NAMED], "count": len(found)},
    )
