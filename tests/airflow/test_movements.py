"""The endpoint for movements as a store's system meets it: real HTTP, a real store, whatever is sent."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.stock import movements_told

from cogent_ops.errors import ConnectionConfigError
from cogent_ops.store import Store, open_store, upgrade

TOKEN = "a-token-that-nobody-guesses"
PREFIX = "/cogent_ops/movements"
CONNECTION = "AIRFLOW_CONN_COGENT_OPS_MOVEMENTS_DEFAULT"

pytestmark = [pytest.mark.airflow, pytest.mark.xdist_group("airflow")]

Json = dict[str, Any]


def one(id_: Any, quantity: Any = -1, **more: Any) -> Json:
    at = "2026-11-24T10:00:00+01:00"
    return {"id": id_, "sku": "coat", "location": "berlin", "quantity": quantity, "at": at, **more}


class Till:
    """A store's system that sends movements, and the store behind the endpoint."""

    def __init__(self, url: str, store: Store) -> None:
        self.http, self.store = httpx.Client(base_url=f"{url}{PREFIX}/", timeout=30), store

    def post(self, body: Any, *, token: str | None = TOKEN, link: str = "default") -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.http.post(link, content=content, headers=headers)

    def send(self, *movements: Any) -> Json:
        answer = self.post({"movements": list(movements)})
        assert answer.status_code == 200, answer.text
        body: Json = answer.json()
        return body

    def stored(self) -> list[tuple[Any, ...]]:
        return movements_told(self.store)


@pytest.fixture
def till(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Till]:
    import uvicorn
    from starlette.applications import Starlette

    from cogent_ops.web.movements import create_app

    store = {"conn_type": "sqlite", "host": str(tmp_path / "store.db")}
    shop = {
        "conn_type": "commercetools",
        "host": "https://shop.example.com",
        "login": "id",
        "password": "secret",
    }
    extra = {"project_key": "sandbox", "auth_url": "https://auth.example.com"}
    upgrade(f"sqlite:///{tmp_path / 'store.db'}")
    monkeypatch.setenv("AIRFLOW_CONN_COGENT_OPS_STORE", json.dumps(store))
    monkeypatch.setenv("AIRFLOW_CONN_COMMERCETOOLS_DEFAULT", json.dumps({**shop, "extra": extra}))
    monkeypatch.setenv(CONNECTION, json.dumps({"conn_type": "generic", "password": TOKEN}))
    outer = Starlette()
    outer.mount(PREFIX, create_app())
    listening = socket.create_server(("127.0.0.1", 0), backlog=128)
    server = uvicorn.Server(uvicorn.Config(outer, log_level="warning", lifespan="off", access_log=False))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    opened = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    try:
        yield Till(f"http://127.0.0.1:{listening.getsockname()[1]}", opened)
    finally:
        server.should_exit = True
        thread.join(10)
        opened.close()


def test_each_row_has_its_outcome_and_sending_again_changes_nothing(till: Till) -> None:
    rows = [
        one("1", -2, reason="sold"),
        one("2", None, counted=7),
        one("3", 0),
        one(4, 1, location="-"),
        "row",
    ]
    answer = till.send(*rows)
    assert [row["status"] for row in answer["results"]] == [
        "accepted",
        "accepted",
        "rejected",
        "accepted",
        "rejected",
    ]
    assert (answer["accepted"], answer["duplicates"], answer["rejected"]) == (3, 0, 2)
    refused = answer["results"][2]
    assert (refused["id"], refused["field"]) == ("3", "quantity")
    assert refused["message"] == "quantity is 0."
    assert refused["cure"]
    stored = till.stored()
    assert stored == [
        ("1", "coat", "berlin", -2, None),
        ("2", "coat", "berlin", None, 7),
        ("4", "coat", "", 1, None),
    ]
    again = till.send(*rows)
    assert (again["accepted"], again["duplicates"], again["rejected"]) == (0, 3, 2)
    assert till.stored() == stored
    found = {one.cause_key: one for one in till.store.exceptions.open("default")}
    assert set(found) == {"api/quantity/is 1 to 1000000 either way", "api/movements/are objects"}
    assert found["api/quantity/is 1 to 1000000 either way"].payload == {"ids": ["3"], "count": 1}
    assert found["api/quantity/is 1 to 1000000 either way"].count == 2


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (one("", -1), "id"),
        (one(["x"], -1), "id"),
        (one("1", counted=3), "quantity"),
        (one("1", at="2026-11-24T10:00:00"), "at"),
        (one("1", at=(datetime.now(UTC) + timedelta(days=1)).isoformat()), "at"),
        (one("1", quantitiy=3), "quantitiy"),
        (one("1", sku=None), "sku"),
    ],
)
def test_a_bad_row_is_rejected_alone(till: Till, row: Json, field: str) -> None:
    answer = till.send(row, one("fine"))
    assert [found["status"] for found in answer["results"]] == ["rejected", "accepted"]
    assert answer["results"][0]["field"] == field


def test_an_id_that_stands_for_two_movements_is_rejected(till: Till) -> None:
    answer = till.send(one("1"), one("1"), one("1", -2))
    assert [row["status"] for row in answer["results"]] == ["accepted", "duplicate", "rejected"]
    assert "across stores" in answer["results"][2]["cure"]


@pytest.mark.parametrize("token", [None, "wrong", TOKEN[:-1], TOKEN + "x", "ü"])
def test_nobody_gets_in_without_the_token(till: Till, token: str | None) -> None:
    headers = {} if token is None else {b"Authorization": f"Bearer {token}".encode()}
    answer = till.http.post("default", json={"movements": [one("1")]}, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert till.http.post("default", auth=("Bearer", TOKEN)).status_code == 401
    assert till.stored() == []


def test_while_tokens_change_both_open(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    both = {
        "conn_type": "generic",
        "password": "the-new-token-nobody-guesses",
        "extra": {"previous_token": TOKEN},
    }
    monkeypatch.setenv(CONNECTION, json.dumps(both))
    assert till.post({"movements": []}).status_code == 200
    assert till.post({"movements": []}, token="the-new-token-nobody-guesses").status_code == 200


@pytest.mark.parametrize("password", [None, "short"])
def test_without_a_sound_token_nobody_gets_in(
    till: Till, monkeypatch: pytest.MonkeyPatch, password: str | None
) -> None:
    if password is None:
        monkeypatch.delenv(CONNECTION)
    else:
        monkeypatch.setenv(CONNECTION, json.dumps({"conn_type": "generic", "password": password}))
    answer = till.post({"movements": []}, token=password or TOKEN)
    assert (answer.status_code, answer.json()["error"]) == (503, "not_configured")
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "no_json"),
        (b"{", 400, "no_json"),
        (b"\xff\xff", 400, "no_json"),
        (b"[" * 100_000, 400, "no_json"),
        (b"[]", 400, "no_movements"),
        (b'{"movements": {}}', 400, "no_movements"),
        (b'{"rows": []}', 400, "no_movements"),
        (json.dumps({"movements": [1] * 1001}).encode(), 413, "too_many"),
        (b" " * (2 * 1024 * 1024 + 1), 413, "too_large"),
    ],
)
def test_a_request_that_cannot_be_right_is_refused_as_a_whole(
    till: Till, body: bytes, status: int, code: str
) -> None:
    answer = till.post(body)
    assert (answer.status_code, answer.json()["error"]) == (status, code)
    assert answer.json()["message"]
    assert till.stored() == []


def test_other_addresses_and_methods_are_told_what_is_right(till: Till) -> None:
    assert till.post({"movements": []}, link="nowhere").json()["error"] == "unknown_link"
    assert till.http.get("default").json()["error"] == "method_not_allowed"
    assert till.http.post("default/more").json()["error"] == "not_found"
    assert till.post({"movements": []}, link="default/").status_code == 200


def test_a_store_out_of_reach_says_that_nothing_is_certain(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert till.post({"movements": []}).status_code == 200
    with till.store.begin():  # somebody holds the write lock
        from cogent_ops.store.engine import Database

        monkeypatch.setattr(Database, "begin", _unavailable)
        answer = till.post({"movements": [one("1")]})
    assert (answer.status_code, answer.json()["error"]) == (503, "unavailable")
    monkeypatch.undo()
    assert till.stored() == []


def _unavailable(*_: Any) -> Any:
    from cogent_ops.errors import StoreUnavailable

    raise StoreUnavailable("The store is busy.")


def test_while_one_waits_for_what_does_not_answer_the_others_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    import cogent_ops.web.movements as module

    asked, answer = threading.Semaphore(0), threading.Event()

    def slow(link: str) -> Any:
        asked.release()
        assert answer.wait(60)
        raise ConnectionConfigError("cogent_ops_movements_default", "conn_id", "it is away", "wait")

    monkeypatch.setattr(module, "movement_tokens", slow)
    monkeypatch.setattr(module, "FIRST_SECONDS", 0.1)
    doors = module.Doors()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(doors.door, "default")
        assert asked.acquire(timeout=60)
        for _ in range(3):
            with pytest.raises(module.NotOpen):
                doors.door("default")
        answer.set()
        with pytest.raises(module.NotOpen):
            first.result()
    with pytest.raises(module.NotOpen):
        doors.door("default")
    assert not asked.acquire(blocking=False), "what has just failed is not tried again at once"


def test_many_senders_at_once_count_each_movement_once(till: Till) -> None:
    rows = [one(str(number)) for number in range(200)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: till.send(*rows), range(6)))
    assert sum(answer["accepted"] for answer in answers) == 200
    assert sum(answer["duplicates"] for answer in answers) == 1000
    assert len(till.stored()) == 200


# The file drop over what Airflow offers for object storage


def test_the_file_drop_works_on_airflows_own_paths(till: Till, tmp_path: Path) -> None:
    from cogent_ops.config import load_config
    from cogent_ops.runtime import object_path
    from cogent_ops.services.stock.files import FileCounts, FileDrop

    folder = tmp_path / "drop"
    folder.mkdir()
    header = "id;sku;location;quantity;at\n"
    (folder / "till.csv").write_text(header + "1;coat;berlin;-2;2026-11-24T10:00:00Z\n2;coat;berlin;x;\n")
    config = load_config(Path(__file__).resolve().parents[2] / "include").link("default")
    drop = FileDrop(config, till.store, "commercetools/sandbox", object_path(str(folder)))
    assert drop.has_work()
    now = datetime.now(UTC) + timedelta(hours=1)
    assert drop.run(now) == FileCounts(files=1, rows=2, accepted=1, rejected=1)
    assert till.stored() == [("1", "coat", "berlin", -2, None)]
    assert [path.name for path in folder.iterdir()] == ["done"]
    assert [path.name.rpartition("-")[2] for path in (folder / "done").iterdir()] == ["till.csv"]
    assert not drop.has_work()


def test_a_bucket_is_as_good_as_a_folder(till: Till) -> None:
    from airflow.sdk import ObjectStoragePath
    from airflow.sdk.io import attach
    from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]

    from cogent_ops.config import load_config
    from cogent_ops.services.stock.files import FileDrop

    attach("memory", fs=MemoryFileSystem())
    folder: Any = ObjectStoragePath("memory://stores/drop")
    folder.mkdir(parents=True, exist_ok=True)
    row = {"id": "7", "sku": "coat", "location": "berlin", "counted": 4, "at": "2026-11-24T10:00:00Z"}
    (folder / "rows.jsonl").write_text(json.dumps(row))
    config = load_config(Path(__file__).resolve().parents[2] / "include").link("default")
    drop = FileDrop(config, till.store, "commercetools/sandbox", folder)
    assert drop.run(datetime.now(UTC)).waiting == 1
    assert drop.run(datetime.now(UTC)).accepted == 1
    assert till.stored() == [("7", "coat", "berlin", None, 4)]
    assert [path.name for path in folder.iterdir() if path.is_file()] == []
