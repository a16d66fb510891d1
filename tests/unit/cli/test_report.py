"""``cogent-ops report``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from tests.support.trouble import HELD, raise_
from tests.unit.cli.conftest import Run

from cogent_ops.store import Store


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where reports are written."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    return tmp_path


def test_the_report_of_a_month_is_written_and_found(run: Run, store: Store, home: Path) -> None:
    raise_(store, HELD)
    month = f"{datetime.now(ZoneInfo('Europe/London')):%Y-%m}"
    code, out, _ = run("report", month)
    assert code == 0
    assert ", so far, link 'default'" in out
    assert "things to do next." in out
    page = home / "cogent_ops" / "governance" / "default" / month / "index.html"
    assert str(page) in out
    assert "Product held back from kiosks" in page.read_text(encoding="utf-8")


def test_by_default_it_is_the_last_month_that_is_over(run: Run, store: Store) -> None:
    code, out, _ = run("report")
    assert code == 0
    assert "so far" not in out
    assert "Nothing is known of" in out


def test_what_is_no_month_is_said(run: Run, store: Store) -> None:
    code, _, err = run("report", "October")
    assert code == 1
    assert "is no month" in err
