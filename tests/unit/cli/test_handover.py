"""``cogent-ops handover``."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.cli.conftest import Run

from cogent_ops.sandbox.server import SandboxServer


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))


def test_the_checklist_is_shown_answered_and_written(
    run: Run, sandbox: SandboxServer, tmp_path: Path
) -> None:
    code, out, _ = run("handover")
    assert code == 1
    assert "  [?] backups: Are Airflow's database" in out
    assert "→ cogent-ops handover confirm backups" in out
    assert "[ ] night: Both systems were compared last night." in out
    assert "to be answered by people." in out

    code, out, _ = run(
        "handover", "confirm", "backups", "--note", "Nightly, restored in May.", "--actor", "ann"
    )
    assert (code, out.strip()) == (0, "backups: ann: Nightly, restored in May.")
    assert "  [x] backups:" in run("handover")[1]

    file = tmp_path / "handover.md"
    assert run("handover", "--markdown", str(file))[0] == 1
    assert "- [x] **backups**" in file.read_text(encoding="utf-8")
    assert run("handover", "--markdown", "-")[1].startswith("# Handover of link 'default'")

    code, _, err = run("handover", "confirm", "night", "--note", "yes")
    assert code == 1
    assert "nobody can answer it" in err
