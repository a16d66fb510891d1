"""Looks everywhere for what must be nowhere: addresses, telephone numbers, tokens, secrets.

A scan that finds nothing proves something only if it can find: :func:`scan` plants a text of its own in every folder
and database first, and fails unless it comes back.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import URL

#: Where such things belong: Airflow's credentials, and addresses of customers until their order is captured.
KEEPERS = frozenset({"connection", "order_contact"})


@dataclass(frozen=True)
class Leak:
    """Something was found.

    :param needle: its name, not itself.
    :param place: file, or table and column.
    """

    needle: str
    place: str


@dataclass
class Report:
    """What was found, and how much was looked at."""

    leaks: set[Leak] = field(default_factory=set)
    files: int = 0
    rows: int = 0


def scan(
    needles: Mapping[str, str],
    *,
    folders: Iterable[Path] = (),
    databases: Mapping[str, str | URL] | None = None,
    without: Collection[str] = KEEPERS,
) -> Report:
    """Look for texts, in whatever case and however they are written, in names and contents of files and in all tables.

    :param needles: texts by a name for the report.
    :param databases: addresses by name; every column of every table is read.
    :param without: tables that may hold them.
    :raises AssertionError: when the scan does not even find what it has planted itself.
    """
    report, forms = Report(), _forms(needles)
    for folder in folders:
        _prove_folder(folder)
        _scan_folder(folder, forms, report)
    for name, url in (databases or {}).items():
        engine = sa.create_engine(url)
        try:
            _prove_database(engine)
            _scan_database(name, engine, forms, without, report)
        finally:
            engine.dispose()
    return report


def _forms(needles: Mapping[str, str]) -> dict[str, set[str]]:
    """Each text in lower case as it may be written: as it is, without blanks, in JSON, a URL, HTML or base64."""
    return {name: set(_written(text)) for name, text in needles.items()}


def _written(text: str) -> Iterator[str]:
    assert len(text) >= 6, "so short a text is found anywhere"
    for plain in (text, "".join(text.split())):
        for form in (plain, json.dumps(plain)[1:-1], quote(plain, safe=""), quote(plain), escape(plain)):
            yield form.lower()
    for before in range(3):  # base64 looks different at each of three places
        coded = base64.b64encode(b"\0" * before + text.encode()).decode()
        yield coded[(before * 8 + 5) // 6 : len(coded) - 4].lower()


def _found(text: str, forms: Mapping[str, set[str]], place: str) -> Iterator[Leak]:
    folded = text.lower()
    for name, written in forms.items():
        if any(form in folded for form in written):
            yield Leak(name, place)


# Files


def _scan_folder(folder: Path, forms: Mapping[str, set[str]], report: Report) -> None:
    for path in sorted(folder.rglob("*")):
        report.leaks.update(_found(str(path.relative_to(folder)), forms, f"name of {path}"))
        if path.is_file():
            report.files += 1
            report.leaks.update(_found(path.read_bytes().decode("utf-8", "replace"), forms, str(path)))


def _prove_folder(folder: Path) -> None:
    planted = f"planted-{uuid.uuid4().hex}"
    file = folder / f"{planted}.log"
    file.write_text(f"… {planted} …", encoding="utf-8")
    report = Report()
    _scan_folder(folder, _forms({"planted": planted}), report)
    file.unlink()
    assert {leak.place for leak in report.leaks} == {str(file), f"name of {file}"}


# Databases


def _scan_database(
    name: str, engine: sa.Engine, forms: Mapping[str, set[str]], without: Collection[str], report: Report
) -> None:
    tables = [table for table in sa.inspect(engine).get_table_names() if table not in without]
    assert tables, f"{name} has no tables"
    with engine.connect() as conn:
        for table in tables:
            for row in conn.execute(sa.text(f"SELECT * FROM {_quoted(engine, table)}")).mappings():
                report.rows += 1
                for column, value in row.items():
                    report.leaks.update(_found(_text(value), forms, f"{name}: {table}.{column}"))


def _text(value: Any) -> str:
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode("utf-8", "replace")
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def _prove_database(engine: sa.Engine) -> None:
    planted, table = f"planted-{uuid.uuid4().hex}", f"planted_{uuid.uuid4().hex}"
    blob = "BYTEA" if engine.dialect.name == "postgresql" else "BLOB"
    values = {"a": planted, "b": json.dumps({"deep": [planted]}), "c": planted.encode()}
    report = Report()
    with engine.begin() as conn:
        conn.execute(sa.text(f"CREATE TABLE {table} (a TEXT, b JSON, c {blob})"))
        conn.execute(sa.text(f"INSERT INTO {table} VALUES (:a, :b, :c)"), values)
    try:
        _scan_database("", engine, _forms({"planted": planted}), (), report)
    finally:
        with engine.begin() as conn:
            conn.execute(sa.text(f"DROP TABLE {table}"))
    assert {leak.place for leak in report.leaks} == {f": {table}.{column}" for column in "abc"}


def _quoted(engine: sa.Engine, table: str) -> str:
    return str(engine.dialect.identifier_preparer.quote(table))
