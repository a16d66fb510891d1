"""``governance_report``, run by Airflow in this process, and its page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy.engine import URL
from tests.airflow.test_plugin import login
from tests.airflow.test_runs import run, states
from tests.support.dag_runs import dag_run
from tests.support.trouble import HELD, raise_

from cogent_ops.operators.governance import month_of
from cogent_ops.runtime import Runtime
from cogent_ops.store import Store, open_store, upgrade

PREFIX = "/cogent_ops/governance"

pytestmark = [pytest.mark.airflow, pytest.mark.xdist_group("airflow")]


@pytest.fixture(scope="module", autouse=True)
def airflow_database() -> None:
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def store(include: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store behind its connection, and reports in a folder of the test."""
    file = yaml.safe_load((include / "mapping.yaml").read_text(encoding="utf-8"))
    file["links"]["default"] |= {"data_root": str(tmp_path / "root")}
    (include / "mapping.yaml").write_text(yaml.safe_dump(file), encoding="utf-8")
    path = tmp_path / "store.db"
    monkeypatch.setenv(
        "AIRFLOW_CONN_COGENT_OPS_STORE", json.dumps({"conn_type": "sqlite", "host": str(path)})
    )
    url = URL.create("sqlite", database=str(path))
    upgrade(url)
    opened = open_store(url)
    yield opened
    opened.close()


def test_a_run_writes_the_month_that_it_is_asked_for(store: Store, tmp_path: Path) -> None:
    raise_(store, HELD)
    month = Runtime("default").months().of(datetime.now(UTC))
    done = run("governance_report", month=month)
    assert states(done) == {"report": "success"}
    page = tmp_path / "root" / "governance" / "default" / month / "index.html"
    assert "Product held back from kiosks" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("run_type", "month"), [("scheduled", "2026-10"), ("backfill", "2026-10"), ("manual", "")]
)
def test_a_run_by_the_clock_is_about_the_month_of_its_interval(
    store: Store, run_type: str, month: str
) -> None:
    start, end = datetime(2026, 10, 1, 12, tzinfo=UTC), datetime(2026, 11, 1, 12, tzinfo=UTC)
    assert month_of(Runtime("default").months(), dag_run("governance_report", run_type, start, end)) == month


@pytest.fixture
def client(airflow_app: Any) -> Any:
    from fastapi.testclient import TestClient

    return TestClient(airflow_app, base_url="http://testserver", raise_server_exceptions=False)


PAGES = ["/", "/default/2026-10/index.html", "/default/2026-10/figures.csv", "/nobody/2026-10/index.html"]


@pytest.mark.parametrize("page", PAGES)
def test_every_page_refuses_without_login(client: Any, page: str) -> None:
    assert client.get(f"{PREFIX}{page}").status_code == 401
    refused = client.get(f"{PREFIX}{page}", headers={"Authorization": "Bearer wrong"})
    assert refused.status_code in (401, 403)


def test_whoever_may_read_the_dag_reads_the_months_and_nothing_else(
    client: Any, store: Store, tmp_path: Path
) -> None:
    headers = login(client, "vic")
    assert "No report yet" in client.get(f"{PREFIX}/", headers=headers).text
    Runtime("default").months().write("2026-10")
    Runtime("default").months().write("2026-09")
    index = client.get(f"{PREFIX}/", headers=headers)
    assert index.text.index("2026-10") < index.text.index("2026-09")
    assert "default-src 'none'" in index.headers["content-security-policy"]
    page = client.get(f"{PREFIX}/default/2026-10/index.html", headers=headers)
    assert (page.status_code, "October 2026" in page.text) == (200, True)
    figures = client.get(f"{PREFIX}/default/2026-10/figures.csv", headers=headers)
    assert figures.headers["content-type"].startswith("text/csv")
    (tmp_path / "root" / "secret.txt").write_text("secret")
    for path in (
        "/default/2026-08/index.html",
        "/default/2026-10/nothing.html",
        "/nobody/2026-10/index.html",
        "/default/%2e%2e/secret.txt",
        "/default/2026-10/..%2f..%2f..%2fsecret.txt",
        "/default/2026-10/x%5c..%5csecret.txt",
    ):
        answer = client.get(f"{PREFIX}{path}", headers=headers)
        assert answer.status_code in (401, 404), path
        assert "secret" not in answer.text
