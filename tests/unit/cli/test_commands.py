"""``cogent-ops``: what it understands, what it prints, and how it ends."""

from __future__ import annotations

import getpass
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.trouble import HELD, raise_

if "airflow" not in sys.modules:  # its settings must stand before anything imports it
    import tests.airflow.conftest  # noqa: F401

# Airflow's log handler keeps the standard output that it finds when it is imported: let it not be one test's.
import cogent_ops.hooks  # noqa: F401
from cogent_ops import __version__, cli
from cogent_ops.cli import accounts, audits, exceptions
from cogent_ops.cli import stock as stock_commands
from cogent_ops.cli import store as store_commands
from cogent_ops.domain.stock import MovementState, NewMovement, Source
from cogent_ops.sandbox import command
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.store import Store, head_revision

pytestmark = pytest.mark.airflow

ROOT = Path(__file__).parents[3]

Run = Callable[..., tuple[int, str, str]]

# What it understands


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["preflight"], {"command": accounts.preflight, "link": None}),
        (["preflight", "--link", "a", "--link", "b"], {"link": ["a", "b"]}),
        (["bootstrap"], {"command": accounts.bootstrap, "link": "default", "dry_run": False}),
        (["bootstrap", "--link", "a", "--dry-run"], {"link": "a", "dry_run": True}),
        (["store", "upgrade"], {"command": store_commands.upgrade, "url": None}),
        (["store", "status", "--url", "u"], {"command": store_commands.status, "url": "u"}),
        (["audit", "list"], {"command": audits.audit_list, "link": "default"}),
        (["audit", "accept", "--note", "n"], {"audit": None, "note": "n", "actor": getpass.getuser()}),
        (["audit", "accept", "7", "--note", "n", "--actor", "ada"], {"audit": 7, "actor": "ada"}),
        (["exceptions", "--json"], {"command": exceptions.listing, "json": True}),
        (["runs", "--limit", "3"], {"command": audits.runs_list, "limit": 3, "json": False}),
        (["stock", "status"], {"command": stock_commands.status, "link": "default"}),
        (["stock", "retry", "A@b", "C@"], {"command": stock_commands.retry, "place": ["A@b", "C@"]}),
        (["sandbox", "--port", "0"], {"command": command.run, "port": 0}),
    ],
)
def test_command_lines(argv: list[str], expected: dict[str, Any]) -> None:
    given = vars(cli.parser().parse_args(argv))
    assert {name: given[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ([], "command"),
        (["prefligt"], "invalid choice"),
        (["store"], "action"),
        (["audit", "accept"], "--note"),
        (["audit", "accept", "latest", "--note", "n"], "invalid int value"),
        (["runs", "--limit", "many"], "invalid int value"),
    ],
)
def test_command_lines_that_it_does_not_understand(
    argv: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["preflight"],
        ["bootstrap"],
        ["store", "upgrade"],
        ["store", "status"],
        ["audit", "list"],
        ["audit", "accept"],
        ["exceptions"],
        ["runs"],
        ["sandbox"],
    ],
)
def test_every_command_has_help(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([*argv, "--help"])
    assert caught.value.code == 0
    assert f"usage: cogent-ops {' '.join(argv)}".strip() in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"cogent-ops {__version__}\n"


# The store


def test_a_store_from_nothing(run: Run, path: Path) -> None:
    head = head_revision()
    code, out, _ = run("store", "status")
    assert code == 1
    assert out == f"The store has schema (none), this release needs {head}.\nRun: cogent-ops store upgrade\n"
    assert not path.exists()
    for _ in range(2):
        assert run("store", "upgrade")[:2] == (0, f"The store has schema {head}.\n")
    assert run("store", "status")[:2] == (0, f"The store has schema {head}, this release needs {head}.\n")


def test_an_address_instead_of_the_connection(run: Run, path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    assert run("store", "upgrade", "--url", f"sqlite:///{other}")[0] == 0
    assert other.exists()
    assert not path.exists()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mysql://root@localhost/x", "'mysql' is not supported"),
        ("sqlite:///store.db", "another file in every working directory"),
        ("no address", "not a database URL"),
    ],
)
def test_addresses_that_are_none(run: Run, url: str, told: str) -> None:
    code, out, err = run("store", "upgrade", "--url", url)
    assert (code, out) == (1, "")
    assert told in err


def test_a_file_that_is_no_store(run: Run, path: Path) -> None:
    path.write_text("A shopping list, long enough to be taken for a database file.\n" * 100, encoding="utf-8")
    code, _, err = run("audit", "list")
    assert code == 1
    assert "the file is no SQLite database" in err


def test_a_database_that_does_not_answer_means_later(run: Run) -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        url = f"postgresql://u:hidden-word@127.0.0.1:{one.getsockname()[1]}/x"
    code, _, err = run("store", "status", "--url", url)
    assert code == cli.TRY_AGAIN == 75
    assert err.startswith("Not now: ")
    assert "hidden-word" not in err


@pytest.mark.parametrize("argv", [["audit", "list"], ["exceptions"], ["runs"]])
def test_a_store_without_tables_says_what_to_run(run: Run, path: Path, argv: list[str]) -> None:
    code, _, err = run(*argv)
    assert code == 1
    assert "Run: cogent-ops store upgrade" in err
    assert not path.exists()


# Audits


def audited(store: Store, run_key: str = "r1", verdict: Any = "no_go") -> int:
    counts = {"products_held": 3}
    return store.audits.record(
        "default", run_key, verdict=verdict, counts=counts, report_path=f"/reports/{run_key}"
    ).id


def test_no_audit_yet(run: Run, store: Store) -> None:
    assert run("audit", "list")[:2] == (0, "Nothing.\n")
    code, _, err = run("audit", "accept", "--note", "fine")
    assert code == 1
    assert "There is no such audit" in err
    assert "cogent-ops audit list" in err


def test_the_latest_audit_is_accepted(run: Run, store: Store) -> None:
    audited(store)
    latest = audited(store, "r2")
    assert store.audits.clearance("default") is None
    code, out, _ = run("audit", "accept", "--note", "only posters", "--actor", "ada")
    assert code == 0
    assert out == f"Audit {latest} of link 'default' is accepted by ada. catalogue_sync may push.\n"
    cleared = store.audits.clearance("default")
    assert cleared is not None
    assert (cleared.id, cleared.accepted_by, cleared.note) == (latest, "ada", "only posters")


def test_an_audit_is_accepted_by_its_number_and_once(run: Run, store: Store) -> None:
    first, _ = audited(store), audited(store, "r2")
    assert run("audit", "accept", str(first), "--note", "a", "--actor", "ada")[0] == 0
    code, out, _ = run("audit", "accept", str(first), "--note", "b", "--actor", "bob")
    assert code == 0
    assert "accepted by ada" in out
    assert run("audit", "accept", str(first + 99), "--note", "x")[0] == 1
    assert run("audit", "accept", str(first), "--link", "austria", "--note", "x")[0] == 1


def test_audits_are_listed(run: Run, store: Store) -> None:
    number = audited(store)
    run("audit", "accept", "--note", "fine", "--actor", "ada")
    head, row = run("audit", "list")[1].splitlines()
    assert head.split("  ")[0] == "audit"
    assert row.startswith(f"{number} ")
    assert all(text in row for text in ("no_go", "ada", "3", "/reports/r1"))
    assert run("audit", "list", "--link", "austria")[1] == "Nothing.\n"


# What waits and what ran


def test_exceptions_are_listed(run: Run, store: Store) -> None:
    assert run("exceptions")[1] == "Nothing.\n"
    raise_(store, HELD)
    assert HELD.message in run("exceptions")[1]
    (line,) = run("exceptions", "--json")[1].splitlines()
    assert json.loads(line)["message"] == HELD.message


def test_runs_are_listed(run: Run, store: Store) -> None:
    for number in range(3):
        store.runs.start("default", "catalogue_sync", f"r{number}", "full", window=(None, None))
    assert len(run("runs")[1].splitlines()) == 4
    assert len(run("runs", "--limit", "2", "--json")[1].splitlines()) == 2


# Accounts


def test_preflight_and_bootstrap_of_a_sound_link(run: Run, sandbox: SandboxServer) -> None:
    code, out, _ = run("preflight")
    assert code == 0
    assert out.startswith("Link 'default'\n  ok    configuration: ")
    assert "  warn  custom Type cogent-ops-order: " in out
    assert "        → Run: cogent-ops bootstrap --link default\n" in out
    assert out.endswith("Ready: 0 failed, 3 to look at.\n")

    before = sandbox.dump("commercetools")
    assert run("bootstrap", "--dry-run")[0] == 0
    assert sandbox.dump("commercetools") == before

    assert run("bootstrap")[0] == 0
    code, out, _ = run("bootstrap")
    assert code == 0
    assert out.splitlines()[-1] == "  ok    locations: 6 are there already."
    assert run("preflight")[1].endswith("Ready: 0 failed, 1 to look at.\n")


def test_preflight_fails_with_a_cure(
    run: Run, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn = {"conn_type": "cloudshelf", "host": sandbox.cloudshelf_url, "password": "hidden-word"}
    monkeypatch.setenv("AIRFLOW_CONN_CLOUDSHELF_DEFAULT", json.dumps(conn))
    code, out, err = run("preflight")
    assert code == 1
    assert "  fail  Cloudshelf key: Connection 'cloudshelf_default', field 'password (API key)'" in out
    assert out.endswith("Not ready: 1 failed, 3 to look at.\n")
    assert "hidden-word" not in out + err
    code, out, _ = run("bootstrap")
    assert code == 1
    assert "  fail  locations: Connection 'cloudshelf_default'" in out


def test_preflight_looks_at_every_link(
    run: Run, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    include = tmp_path / "include"
    (include / "schemas").mkdir(parents=True)
    data = yaml.safe_load((ROOT / "include/mapping.yaml").read_text(encoding="utf-8"))
    data["links"]["nowhere"] = {"country": "AT", "currency": "EUR"}
    (include / "mapping.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    suite = "schemas/product_master.json"
    (include / suite).write_bytes((ROOT / "include" / suite).read_bytes())
    monkeypatch.setenv("COGENT_OPS_INCLUDE", str(include))

    code, out, _ = run("preflight")
    assert code == 1
    assert [line for line in out.splitlines() if line.startswith("Link")] == [
        "Link 'default'",
        "Link 'nowhere'",
    ]
    assert "Connection 'commercetools_nowhere', field 'conn_id': there is no such connection" in out
    assert "airflow connections add cloudshelf_nowhere" in out
    assert run("preflight", "--link", "default")[0] == 0


def test_a_link_that_does_not_exist(run: Run, store: Store) -> None:
    code, out, _ = run("bootstrap", "--link", "defaul")
    assert code == 1
    assert "Did you mean 'default'?" in out


# Stock


def test_stock_shows_what_waits_and_why(run: Run, sandbox: SandboxServer, store: Store) -> None:
    code, out, _ = run("stock", "status")
    assert code == 0
    assert "commercetools/sandbox: 0 movements wait, 0 are under way." in out
    with store.begin() as conn:
        store.stock.add_movements(conn, [_movement("a"), _movement("b", MovementState.REVIEW, "unknown sku")])
    code, out, _ = run("stock", "status")
    assert code == 0
    assert "1 movements wait" in out
    assert "1 have unknown identifiers" in out
    assert "SKU-b@berlin" in out
    assert "unknown sku" in out


def test_a_refused_change_is_tried_again_on_a_persons_word(
    run: Run, sandbox: SandboxServer, store: Store
) -> None:
    with store.begin() as conn:
        store.stock.add_movements(conn, [_movement("a")])
    (batch,) = store.stock.claim(PROJECT, "w", limit=5, lease_seconds=60)
    with store.begin() as conn:
        assert store.stock.park(conn, batch.id, "w", "refused", 3600)
    assert not store.stock.has_waiting(PROJECT)
    code, out, err = run("stock", "retry", "SKU-a@berlin", "SKU-b@", "--actor", "ada")
    assert code == 1
    assert "SKU-a@berlin is tried again" in out
    assert "SKU-b@(no channel) has no change that was refused" in err
    assert store.stock.has_waiting(PROJECT)
    (again,) = store.stock.claim(PROJECT, "w2", limit=5, lease_seconds=60)
    assert again.id == batch.id
    (entry,) = store.audit_log.entries("SKU-a@berlin")
    assert (entry.actor, entry.action) == ("ada", "retry_stock")


PROJECT = "commercetools/sandbox"


def _movement(
    name: str, state: MovementState = MovementState.WAITING, reason: str | None = None
) -> NewMovement:
    return NewMovement(
        link="default",
        project=PROJECT,
        sku=f"SKU-{name}",
        channel="berlin",
        source=Source.API,
        source_id=name,
        reference=name,
        occurred_at=datetime(2026, 11, 20, tzinfo=UTC),
        delta=-1,
        state=state,
        reason=reason,
    )


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_whoever_reads_only_the_beginning_gets_no_error(unbuffered: str) -> None:
    asked = [sys.executable, "-m", "cogent_ops.cli", "sandbox", "--help"]
    env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, said = process.communicate(timeout=60)
    assert said == b""
