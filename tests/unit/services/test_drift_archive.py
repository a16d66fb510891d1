"""The archive: a table is there whole or not at all, and nights are found in their order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa  # noqa: TID253 - the tables of an archive are these
import pytest
from pydantic import TypeAdapter
from upath import UPath

from cogent_ops.domain.drift.model import Fact
from cogent_ops.errors import PermanentError
from cogent_ops.services.drift.archive import Archive, Night, night_name
from cogent_ops.services.drift.facts import as_json, read_facts, write_facts
from cogent_ops.services.drift.tables import UNCLEAR, table

NOW = datetime(2026, 11, 24, 1, 30, tzinfo=UTC)
DATA = pa.table({"sku": ["A", "B"]})


def test_a_table_that_was_not_finished_is_not_there(tmp_path: Path) -> None:
    night = Archive(UPath(tmp_path), "default").night("2026-11-24")
    with pytest.raises(RuntimeError):
        _die_writing(night)
    assert not night.has("inventory")
    assert list(night.path.iterdir()) == []
    with pytest.raises(PermanentError, match=r"2026-11-24 has no inventory\.parquet"):
        night.read("inventory")
    night.write("inventory", DATA)
    assert night.read("inventory", ["sku"]).to_pydict() == DATA.to_pydict()


def _die_writing(night: Night) -> None:
    with night.writer("inventory", DATA.schema) as writer:
        writer.write_table(DATA)
        raise RuntimeError("killed")


def test_half_a_character_stops_no_table(tmp_path: Path) -> None:
    night, kind = Archive(UPath(tmp_path), "default").night("2026-11-24"), TypeAdapter(Fact)
    write_facts(night, "facts", [("title", as_json(kind, Fact("is", "half \ud83d of it", NOW)))])
    ((name, kept),) = read_facts(night, "facts")
    assert (name, kind.validate_json(kept)) == ("title", Fact("is", "half \ufffd of it", NOW))
    places = [("SKU \ud83d", "leeds"), ("Größe \U0001f600", "leeds")]
    assert table(UNCLEAR, places)["sku"].to_pylist() == ["SKU \ufffd", "Größe \U0001f600"]


def test_a_night_that_died_goes_on_from_when_it_began(tmp_path: Path) -> None:
    night = Archive(UPath(tmp_path), "default").night("2026-11-24")
    assert night.begin(NOW) == NOW
    assert night.begin(NOW + timedelta(hours=1)) == NOW
    assert night.taken is None
    night.complete(NOW, NOW + timedelta(minutes=5))
    assert night.taken is not None
    assert (night.taken.began, night.taken.ended) == (NOW, NOW + timedelta(minutes=5))


def test_only_complete_nights_count_and_the_oldest_snapshots_go_first(tmp_path: Path) -> None:
    archive = Archive(UPath(tmp_path), "default")
    names = ["2026-11-22", "2026-11-23", "2026-11-23T140512", "2026-11-24"]
    for name in names:
        night = archive.night(name)
        night.write("inventory", DATA)
        (night.path / "report").mkdir()
        if name != "2026-11-23":
            night.complete(NOW, NOW)
    assert [night.name for night in archive.nights()] == ["2026-11-22", "2026-11-23T140512", "2026-11-24"]
    previous = archive.previous(archive.night("2026-11-24"))
    assert previous is not None
    assert previous.name == "2026-11-23T140512"
    assert archive.previous(archive.night("2026-11-22")) is None
    archive.prune(3)
    assert archive.night("2026-11-22").has("inventory")
    archive.prune(1)
    assert [night.name for night in archive.nights()] == names[3:]
    for name in names[:3]:
        assert (archive.night(name).path / "report").is_dir()
        assert not archive.night(name).has("inventory"), "2026-11-23 never became complete"


def test_nights_sort_as_time_goes_on() -> None:
    clock, beside = night_name(NOW, scheduled=True), night_name(NOW, scheduled=False)
    tomorrow = night_name(NOW + timedelta(days=1), scheduled=True)
    assert (clock, beside) == ("2026-11-24", "2026-11-24T013000")
    assert sorted([tomorrow, beside, clock]) == [clock, beside, tomorrow]
