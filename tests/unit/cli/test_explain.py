"""``cogent-ops explain``: what it prints, and how it ends."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

if "airflow" not in sys.modules:  # its settings must stand before anything imports it
    import tests.airflow.conftest  # noqa: F401

from cogent_ops.domain.health.story import Story
from cogent_ops.domain.stock import NewMovement, Source
from cogent_ops.runtime import Runtime
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.store import Store

pytestmark = pytest.mark.airflow

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def sku(run: Run, sandbox: SandboxServer, store: Store) -> str:
    """An article of which a store has sold two."""
    assert run("bootstrap")[0] == 0
    entry = next(one for one in sandbox.state.commercetools["inventory"] if "supplyChannel" not in one)
    found = str(entry["sku"])
    _move(found, "m1", -2)
    return found


def _move(sku: str, id_: str, delta: int) -> None:
    """Let a till report what it sold, and carry it."""
    runtime, at = Runtime("default"), datetime.now(UTC)
    with runtime.store.begin() as conn:
        sold = NewMovement("default", runtime.project, sku, "", Source.API, id_, "till 3", at, delta=delta)
        runtime.store.stock.add_movements(conn, [sold])
    runtime.stock("worker").drain.round()


def test_the_answer_its_arithmetic_and_a_time_line_are_printed(run: Run, sku: str) -> None:
    code, out, err = run("explain", f"{sku}@")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("commercetools has ")
    assert re.search(r"^ +Stores' systems moved +-2$", out, re.MULTILINE)
    assert re.search(r"^ = On stock in commercetools +\d+$", out, re.MULTILINE)
    assert re.search(r" store +-2 +A store's system moved -2\. +till 3$", out, re.MULTILINE)
    code, out, _ = run("explain", f"{sku}@", "--detail", "--days", "3")
    assert code == 0
    assert "key: m1" in out


def test_all_of_it_is_given_as_json(run: Run, sku: str) -> None:
    code, out, _ = run("explain", f"{sku}@", "--json")
    told = Story.model_validate(json.loads(out))
    assert (code, told.sku, told.place, told.unexplained) == (0, sku, "", 0)


def test_units_that_cannot_be_explained_end_it_with_one(run: Run, sku: str, sandbox: SandboxServer) -> None:
    sandbox.state.commercetools.project["messages"]["enabled"] = False
    sandbox.state.floor.set_stock(sku, 500, None)
    _move(sku, "m2", -1)
    code, out, err = run("explain", f"{sku}@")
    assert code == 1
    assert "cannot be explained" in out
    assert "keeps no Messages" in err


def test_a_system_that_cannot_be_read_ends_it_with_two(
    run: Run, sku: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn = {"conn_type": "commercetools", "host": "http://127.0.0.1:9", "login": "sandbox-client"}
    extra = {"project_key": "sandbox", "auth_url": "http://127.0.0.1:9"}
    monkeypatch.setenv(
        "AIRFLOW_CONN_COMMERCETOOLS_DEFAULT", json.dumps({**conn, "password": "s", "extra": extra})
    )
    code, out, err = run("explain", f"{sku}@")
    assert code == 2
    assert "by all that is known here" in out
    assert "commercetools could not be read" in err


def test_an_unknown_article_and_an_unknown_store_say_what_was_meant(run: Run, sku: str) -> None:
    code, out, err = run("explain", f"{sku}@nirgends")
    assert (code, out) == (1, "")
    assert "No supply Channel has the key or the name 'nirgends'" in err
    code, _, err = run("explain", "nix@")
    assert (code, err.startswith("No article has the SKU 'nix'.")) == (1, True)
