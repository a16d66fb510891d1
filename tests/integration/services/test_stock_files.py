"""The file drop: every row once, whatever the file looks like and whenever the process dies."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from tests.support.dying import Boundaries, Crash
from tests.support.kiosks import ROOT
from tests.support.stock import movements_told
from upath import UPath

from cogent_ops.config import load_config
from cogent_ops.errors import TargetUnavailable
from cogent_ops.services.stock import files as module
from cogent_ops.services.stock.files import DONE, FileCounts, FileDrop
from cogent_ops.store import Store
from cogent_ops.store.exceptions import StoredException
from cogent_ops.store.schema import movement

HEADER = "id,sku,location,quantity,counted,at,reason\n"
AT = "2026-11-24T10:00:00Z"


class Drop:
    """A folder, and what comes of the files in it."""

    def __init__(self, store: Store, folder: UPath) -> None:
        self.store, self.folder = store, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.config = load_config(ROOT / "include").link("default")
        self.files = self.renewed()

    def renewed(self) -> FileDrop:
        """The drop as the next task makes it."""
        self.files = FileDrop(self.config, self.store, "commercetools/sandbox", self.folder)
        return self.files

    def lay(self, name: str, content: str | bytes, *, age: float = 3600) -> UPath:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        if path.protocol in ("", "file"):
            then = datetime.now(UTC).timestamp() - age
            os.utime(str(path), (then, then))
        return path

    def look(self) -> FileCounts:
        return self.files.run(datetime.now(UTC))

    def movements(self) -> list[tuple[Any, ...]]:
        return movements_told(self.store)

    def exceptions(self) -> dict[str, StoredException]:
        return {one.cause_key: one for one in self.store.exceptions.open("default")}

    def lying(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if path.name != DONE)

    def done(self) -> list[str]:
        done = self.folder / DONE
        return sorted(path.name for path in done.iterdir()) if done.exists() else []


@pytest.fixture
def drop(store: Store, tmp_path: Path) -> Drop:
    return Drop(store, UPath(tmp_path / "drop"))


def row(id_: Any, quantity: Any = -1, counted: Any = "", *, sku: str = "coat", reason: str = "") -> str:
    return f"{id_},{sku},berlin,{quantity},{counted},{AT},{reason}\n"


def test_movements_and_counts_enter_and_the_file_is_put_away(drop: Drop) -> None:
    assert not drop.files.has_work()
    drop.lay("till.csv", HEADER + row(1, -2, reason="sold") + "\n , ,,,,,\n" + row(2, "", 7) + row("3", 5))
    assert drop.files.has_work()
    assert drop.look() == FileCounts(files=1, rows=3, accepted=3)
    assert drop.movements() == [
        ("1", "coat", "berlin", -2, None),
        ("2", "coat", "berlin", None, 7),
        ("3", "coat", "berlin", 5, None),
    ]
    assert drop.lying() == []
    assert [name.rpartition("-")[2] for name in drop.done()] == ["till.csv"]
    with drop.store.read() as conn:
        first = conn.execute(sa.select(movement).order_by(movement.c.id)).first()
    assert first is not None
    assert (first.source, first.reference, first.state) == ("file", "till.csv:2 (sold)", "waiting")
    assert first.occurred_at == datetime(2026, 11, 24, 10, tzinfo=UTC)


def test_a_file_that_is_sent_again_changes_nothing(drop: Drop) -> None:
    content = HEADER + row(1) + row(2)
    drop.lay("a.csv", content)
    drop.look()
    drop.lay("a.csv", content)
    assert drop.look() == FileCounts(files=1)
    drop.lay("b.csv", content + row(3))
    assert drop.look() == FileCounts(files=1, rows=3, accepted=1, duplicates=2)
    assert len(drop.movements()) == 3
    assert drop.exceptions() == {}


def test_a_row_that_lay_in_the_future_counts_when_the_same_file_is_sent_again(drop: Drop) -> None:
    content = HEADER + row(1) + row(2).replace(AT, "2026-11-24T12:00:00Z")
    noon = datetime(2026, 11, 24, 12, tzinfo=UTC)
    long_ago = datetime.now(UTC).timestamp() - datetime(2026, 11, 1, tzinfo=UTC).timestamp()
    drop.lay("till.csv", content, age=long_ago)
    assert drop.files.run(noon - timedelta(hours=1)) == FileCounts(files=1, rows=2, accepted=1, rejected=1)
    assert set(drop.exceptions()) == {"file/till.csv/at/lies in the past"}
    drop.lay("till.csv", content, age=long_ago)
    assert drop.files.run(noon) == FileCounts(files=1, rows=2, accepted=1, duplicates=1)
    assert [one[0] for one in drop.movements()] == ["1", "2"]
    assert drop.exceptions() == {}


def test_an_id_that_stands_for_two_movements_is_told(drop: Drop) -> None:
    drop.lay("a.csv", HEADER + row(1, -1))
    drop.lay("b.csv", HEADER + row(1, -2) + row(2) + row(2, -3))
    assert drop.look() == FileCounts(files=2, rows=4, accepted=2, rejected=2)
    assert [one[3] for one in drop.movements()] == [-1, -1]
    (found,) = drop.exceptions().values()
    assert found.payload["lines"] == [2, 4]
    assert "across stores" in found.cure


def test_bad_rows_are_told_by_cause_with_their_lines_and_the_rest_goes_on(drop: Drop) -> None:
    content = HEADER + row(1, "x") + row(2) + row(3, "y") + row(4, 0) + row("") + row(6) + "7,coat,berlin\n"
    drop.lay("till.csv", content)
    assert drop.look() == FileCounts(files=1, rows=7, accepted=2, rejected=5)
    found = drop.exceptions()
    assert set(found) == {
        "file/till.csv/quantity/is a whole number",
        "file/till.csv/quantity/is 1 to 1000000 either way",
        "file/till.csv/quantity/is either a movement or a count",
        "file/till.csv/id/is filled",
    }
    numbers = found["file/till.csv/quantity/is a whole number"]
    assert numbers.message == "till.csv, lines 2, 4: quantity is 'x'."
    assert (numbers.kind, numbers.payload["lines"]) == ("bad_movement", [2, 4])
    drop.lay("till.csv", HEADER + row(1) + row(2) + row(3) + row(4, 1) + row(5) + row(6))
    drop.look()
    assert drop.exceptions() == {}
    assert len(drop.movements()) == 6


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom", "utf-32"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_spreadsheets_write_many_kinds_of_csv(
    local: Store, tmp_path: Path, codec: str, delimiter: str
) -> None:
    drop = Drop(local, UPath(tmp_path / "drop"))
    content = (HEADER + row(1, reason='"größer"') + row(2)).replace(",", delimiter).replace("\n", "\r\n")
    data = b"\xff\xfe" + content.encode("utf-16-le") if codec == "utf-16-le-bom" else content.encode(codec)
    drop.lay("till.csv", data)
    assert drop.look().accepted == 2
    assert drop.exceptions() == {}


def test_a_line_may_name_the_delimiter(drop: Drop) -> None:
    drop.lay("till.csv", "sep=;\n" + (HEADER + row(1)).replace(",", ";"))
    assert drop.look().accepted == 1


def test_quoted_cells_may_hold_anything(drop: Drop) -> None:
    drop.lay("till.csv", HEADER + row(1, sku='"co,at"', reason='"a ""b""\nc"') + row(2, "x"))
    drop.look()
    assert drop.movements()[0][1] == "co,at"
    (found,) = drop.exceptions().values()
    assert found.payload["lines"] == [4]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", HEADER.encode() + "1,gr\xfc\xdfe,berlin".encode("cp1252"), "line 2: the file is not UTF-8"),
        ("a.csv", b"\xff\xfea", "the file is not UTF-16"),
        ("a.csv", b"name,sku\n1,2\n", "line 1: there is no column id"),
        ("a.csv", b"\n\nname,sku\n1,2\n", "line 3: there is no column id"),
        ("a.csv", HEADER.encode() + b'1,"coat,berlin,-1,,,\n', "it is no CSV any more"),
        ("a.csv", HEADER.encode() + b"x" * 70_000, "line 2: the line is longer than any row"),
        ("a.xlsx", b"PK", "'a.xlsx' ends in none of .csv"),
        ("a.parquet", b"PAR1 nothing", "it is no Parquet that can be read"),
    ],
)
def test_a_file_that_cannot_be_read_says_why_and_stays(
    drop: Drop, name: str, content: bytes, message: str
) -> None:
    drop.lay(name, content)
    assert drop.look().refused == 1
    (found,) = drop.exceptions().values()
    assert message in found.message
    assert drop.lying() == [name]
    assert drop.movements() == []
    assert not drop.renewed().has_work()
    assert drop.look() == FileCounts(), "it is not looked at again until it changes"
    drop.lay(name, content, age=1800)
    assert drop.files.has_work()


def test_what_stands_before_a_break_is_taken_and_not_doubled_later(drop: Drop) -> None:
    drop.lay("a.csv", HEADER + row(1) + row(2) + '3,"co"at,berlin,-1,,,\n' + row(4))
    counts = drop.look()
    assert counts.refused == 1
    drop.lay("a.csv", HEADER + row(1) + row(2) + row(3) + row(4), age=1800)
    drop.look()
    assert [one[0] for one in drop.movements()] == ["1", "2", "3", "4"]
    assert drop.exceptions() == {}


def test_json_lines(drop: Drop) -> None:
    fine = {"id": 1, "sku": "coat", "location": "berlin", "quantity": -2, "at": AT, "till": 3}
    lines = [
        json.dumps(fine),
        "",
        json.dumps({"movement_id": "2", "SKU": "coat", "store": "berlin", "count": 4, "timestamp": AT}),
        "{broken",
        "[1, 2]",
        json.dumps({"id": "3", "sku": "coat"}),
        json.dumps({**fine, "SKU": "hat"}),
        "[" * 5000,
    ]
    drop.lay("rows.jsonl", "\n".join(lines))
    assert drop.look() == FileCounts(files=1, rows=7, accepted=2, rejected=5)
    found = {
        cause.partition("rows.jsonl/")[2]: one.payload["lines"] for cause, one in drop.exceptions().items()
    }
    assert found == {
        "row/is JSON": [4, 8],
        "row/is an object": [5],
        "location/is filled": [6],
        "sku/is there once": [7],
    }


def test_parquet(drop: Drop) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    moment = datetime(2026, 11, 24, 11, tzinfo=UTC)
    table = pa.table(
        {
            "id": ["1", "2", "3"],
            "sku": ["coat", "coat", None],
            "location": ["berlin", "-", "berlin"],
            "quantity": pa.array([-2, None, 1], pa.int32()),
            "counted": pa.array([None, 7.0, None], pa.float64()),
            "at": pa.array([moment] * 3, pa.timestamp("us", tz="Europe/Berlin")),
            "extra": [{"a": 1}] * 3,
        }
    )
    path = drop.folder / "rows.parquet"
    parquet.write_table(table, str(path))
    os.utime(str(path), (1, 1))
    assert drop.look() == FileCounts(files=1, rows=3, accepted=2, rejected=1)
    assert drop.movements() == [("1", "coat", "berlin", -2, None), ("2", "coat", "", None, 7)]
    assert drop.exceptions()["file/rows.parquet/sku/is filled"].payload["lines"] == [3]


def test_a_file_that_is_still_being_written_is_not_read(drop: Drop) -> None:
    path = drop.lay("till.csv", HEADER + row(1), age=0)
    assert drop.look() == FileCounts(waiting=1)
    path.write_text(HEADER + row(1) + row(2))
    assert drop.look() == FileCounts(waiting=1)
    assert drop.look() == FileCounts(files=1, rows=2, accepted=2)
    for name in ("a.csv.tmp", "a.csv.part", ".a.csv", "a.CSV.FILEPART"):
        drop.lay(name, HEADER + row(9))
    drop.lay("empty.csv", "")
    (drop.folder / "folder.csv").mkdir()
    assert drop.look() == FileCounts(waiting=1)
    assert len(drop.movements()) == 2


def test_a_folder_that_does_not_let_files_move_is_read_once(
    drop: Drop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(type(drop.folder), "rename", refuse)
    drop.lay("till.csv", HEADER + row(1) + row(2, "x"))
    assert drop.look().accepted == 1
    assert drop.look() == FileCounts()
    drop.renewed()
    assert not drop.files.has_work()
    assert drop.look() == FileCounts()
    drop.lay("till.csv", HEADER + row(1) + row(2, "x"), age=1800)
    assert drop.look() == FileCounts(files=1, rows=2, duplicates=1, rejected=1), (
        "a refused row is judged anew"
    )
    assert len(drop.exceptions()) == 1
    drop.lay("till.csv", HEADER + row(1) + row(2))
    assert drop.look() == FileCounts(files=1, rows=2, accepted=1, duplicates=1)
    drop.lay("till.csv", HEADER + row(1) + row(2), age=1800)
    assert drop.look() == FileCounts(files=1), "its content is remembered"
    assert drop.exceptions() == {}
    assert drop.lying() == ["till.csv"]


def test_a_folder_that_is_not_there_yet_holds_nothing(store: Store, tmp_path: Path) -> None:
    drop = Drop(store, UPath(tmp_path / "drop"))
    drop.folder.rmdir()
    assert drop.look() == FileCounts()


def test_a_folder_that_is_out_of_reach_is_tried_again(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(type(drop.folder), "iterdir", refuse)
    with pytest.raises(TargetUnavailable, match="out of reach"):
        drop.look()


def test_any_object_storage_will_do(store: Store) -> None:
    drop = Drop(store, UPath(f"memory://stores/{uuid4().hex}"))
    drop.lay("till.csv", HEADER + row(1))
    drop.look()
    drop.look()
    assert len(drop.movements()) == 1
    assert drop.lying() == []
    assert len(drop.done()) == 1


def test_a_large_file_is_read_in_batches(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 50)
    drop.lay("big.csv", HEADER + "".join(row(number) for number in range(1234)))
    assert drop.look() == FileCounts(files=1, rows=1234, accepted=1234)
    assert len(drop.movements()) == 1234


@pytest.mark.parametrize("bad", [0, 1])
def test_it_goes_on_after_the_process_died_anywhere(
    local: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: int
) -> None:
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 2)
    for at in count():
        drop = Drop(local, UPath(tmp_path / str(at)))
        ids = [f"{at}-{number}" for number in range(5)]
        drop.lay("till.csv", HEADER + "".join(row(id_) for id_ in ids) + row(f"{at}-bad", "x") * bad)
        boundaries = Boundaries(at)
        try:
            with boundaries.watched():
                drop.look()
        except Crash:
            drop.renewed()
            drop.look()
        assert [one[0] for one in drop.movements() if one[0].startswith(f"{at}-")] == ids
        assert drop.lying() == []
        assert len(drop.exceptions()) == bad
        if not boundaries.is_dead:
            break
    assert at >= 7


def test_two_tasks_at_once_count_each_row_once(drop: Drop) -> None:
    import threading

    drop.lay("till.csv", HEADER + "".join(row(number) for number in range(300)))
    others = [drop.renewed() for _ in range(3)]
    errors: list[BaseException] = []

    def work(files: FileDrop) -> None:
        try:
            files.run(datetime.now(UTC) + timedelta(seconds=1))
        except BaseException as error:  # noqa: BLE001 - told below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(files,)) for files in others]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert errors == []
    assert len(drop.movements()) == 300
    assert drop.lying() == []
