"""The search for personal data finds it wherever it lies, however it is written."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL
from tests.support.leaks import Leak, scan
from tests.support.trouble import HELD

from cogent_ops.store import Store
from cogent_ops.store.schema import order_contact
from cogent_ops.store.sql import now

EMAIL = "jürgen.o'neil@example.com"
NEEDLES = {"e-mail": EMAIL, "phone": "+49 170 1234567", "token": "kTz9-secret-token"}


def test_nothing_is_found_where_nothing_is(store: Store, store_url: URL, tmp_path: Path) -> None:
    (tmp_path / "task.log").write_text("done", encoding="utf-8")
    with store.begin() as conn:
        store.exceptions.raise_(conn, "de", HELD, "run")
    report = scan(NEEDLES, folders=[tmp_path], databases={"store": store_url})
    assert (report.leaks, report.files) == (set(), 1)
    assert report.rows > 1


def test_every_column_is_read(store: Store, store_url: URL) -> None:
    with store.begin() as conn:
        hidden = replace(HELD, message=f"for {EMAIL.upper()}", payload={"a": [{"tel": "+491701234567"}]})
        store.exceptions.raise_(conn, "de", hidden, NEEDLES["token"])
        contact = {"link": "de", "order_id": "1", "email": EMAIL, "updated_at": now()}
        conn.execute(sa.insert(order_contact), contact)
    store.audit_log.write("ada", "edit", "exception/1", {"email": EMAIL})
    where = {
        Leak("e-mail", "store: exception.message"),
        Leak("e-mail", "store: audit_log.detail"),
        Leak("phone", "store: exception.payload"),
        Leak("token", "store: exception.run_key"),
    }
    assert scan(NEEDLES, databases={"store": store_url}).leaks == where
    contact_too = scan(NEEDLES, databases={"store": store_url}, without=()).leaks
    assert contact_too - where == {Leak("e-mail", "store: order_contact.email")}


@pytest.mark.parametrize(
    "written",
    [
        EMAIL.upper(),
        json.dumps({"to": EMAIL}),
        f"?to={quote(EMAIL)}",
        f"?to={quote(EMAIL, safe='')}",
        "j&uuml;rgen and jürgen.o&#x27;neil@example.com",
        *(base64.b64encode(f"{'x' * n}:{EMAIL}:y".encode()).decode() for n in range(3)),
    ],
)
def test_it_is_found_however_it_is_written(tmp_path: Path, written: str) -> None:
    file = tmp_path / "logs" / "task.log"
    file.parent.mkdir()
    file.write_bytes(b"\xff\xfe" + written.encode())
    assert scan(NEEDLES, folders=[tmp_path]).leaks == {Leak("e-mail", str(file))}


def test_names_of_files_count(tmp_path: Path) -> None:
    (tmp_path / f"{EMAIL}.json").touch()
    assert [leak.needle for leak in scan(NEEDLES, folders=[tmp_path]).leaks] == ["e-mail"]
