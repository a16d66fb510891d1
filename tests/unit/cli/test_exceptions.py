"""``cogent-ops exceptions`` and ``orders``: what people see there, and do."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support import trouble
from tests.support.trouble import raise_

from cogent_ops import cli
from cogent_ops.cli import exceptions
from cogent_ops.domain.exceptions import Action, Kind, NewException, Owner
from cogent_ops.domain.identifiers import product_gid, variant_gid
from cogent_ops.runtime import Runtime
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.store import Store
from cogent_ops.store.alerts import Alert, AlertState, NewAlert

pytestmark = pytest.mark.airflow

Run = Callable[..., tuple[int, str, str]]
HELD = replace(trouble.HELD, group="gtin")
HELD_TOO = replace(HELD, cause_key="p2/1/gtin", record="SKU-2")
DRIVEN = NewException(
    kind=Kind.BAD_MOVEMENT,
    cause_key="m1",
    record="till.csv",
    field="quantity",
    rule="is a number",
    message="till.csv, line 3: 'two'",
    cure="Write 2.",
    owner=Owner.RETAIL_OPS,
    place="Leeds",
    amount=8400,
    currency="GBP",
)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (
            ["list", "--kind", "oversell"],
            {"command": exceptions.listing, "kind": "oversell", "link": "default"},
        ),
        (["--link", "a", "list"], {"link": "a", "json": False}),
        (["--json", "list", "--link", "a"], {"link": "a", "json": True}),
        (["show", "7"], {"command": exceptions.show, "number": 7}),
        (["ack", "7", "8"], {"action": Action.ACKNOWLEDGE, "what": ["7", "8"], "actor": getpass.getuser()}),
        (["dry-run", "7"], {"command": exceptions.deed, "action": Action.DRY_RUN}),
        (["replay", "7", "a=b", "--cause"], {"action": Action.REPLAY, "what": ["7", "a=b"], "cause": True}),
        (["link", "7", "--order", "X-1"], {"action": Action.LINK, "order": "X-1"}),
        (
            ["reject", "7", "--note", "n", "--actor", "ada"],
            {"action": Action.REJECT, "note": "n", "actor": "ada"},
        ),
        (["silence", "7", "--reason", "r", "--hours", "8"], {"hours": 8.0, "whole_kind": False}),
    ],
)
def test_command_lines(argv: list[str], expected: dict[str, Any]) -> None:
    given = vars(cli.parser().parse_args(["exceptions", *argv]))
    assert {name: given[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["list", "--kind", "everything"], "invalid choice"),
        (["show"], "number"),
        (["ack"], "what"),
        (["link", "7"], "--order"),
        (["silence", "7", "--reason", "r"], "--hours"),
        (["forget", "7"], "invalid choice"),
    ],
)
def test_command_lines_that_it_does_not_understand(
    argv: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["exceptions", *argv])
    assert caught.value.code == 2
    assert told in capsys.readouterr().err


# What is shown


def test_listing_narrows_to_what_a_person_looks_for(run: Run, store: Store) -> None:
    past = datetime.now(UTC) - timedelta(hours=1)
    raise_(store, HELD, HELD_TOO)
    raise_(store, DRIVEN, deadline=past)
    run("exceptions", "expected", "1", "--note", "sold as is")

    def listed(*argv: str) -> list[int]:
        code, out, _ = run("exceptions", *argv, "--json")
        assert code == 0
        return [json.loads(line)["id"] for line in out.splitlines()]

    assert listed() == listed("list") == [2, 3]
    assert listed("--all") == listed("list", "--all") == [1, 2, 3]
    assert listed("--status", "expected") == [1]
    assert listed("--kind", "bad_movement") == listed("--owner", "retail ops") == [3]
    assert listed("--text", "leeds") == listed("--text", "CS-till.csv") == listed("list", "--overdue") == [3]
    assert listed("--limit", "1") == [2]
    assert listed("list", "--link", "austria") == []
    head, row, _ = run("exceptions", "list")[1].splitlines()
    assert head.split() == ["number", "kind", "owner", "is", "due", "(UTC)", "times", "record", "what"]
    assert row.startswith("2  ")


def test_causes_are_listed_by_size(run: Run, store: Store) -> None:
    raise_(store, DRIVEN, HELD, HELD_TOO)
    _, first, second = run("exceptions", "--causes")[1].splitlines()
    assert first.split()[:4] == ["2", "product_held", "merchandising", "2"]
    assert second.split()[:2] == ["1", "bad_movement"]
    assert len(run("exceptions", "list", "--causes", "--limit", "1")[1].splitlines()) == 2


def test_one_is_shown_with_what_may_be_done_and_what_was(run: Run, store: Store) -> None:
    raise_(store, DRIVEN)
    run("exceptions", "start", "1", "--note", "called the store", "--actor", "ada")
    code, out, _ = run("exceptions", "show", "1")
    assert code == 0
    for told in (
        "1: Movement that cannot be read, in progress, retail ops",
        "till.csv, line 3: 'two'",
        "at stake:    £84.00",
        "store:       Leeds",
        "cure:        Write 2.",
        "you may:     acknowledge, start, hold, note, reject, fixed",
        "  ada  start: note called the store, before new, status in_progress",
    ):
        assert told in out
    code, _, err = run("exceptions", "show", "2")
    assert code == 1
    assert "has no exception 2" in err


# What is done


def test_deeds_are_done_one_by_one_and_the_code_says_whether_all_were(run: Run, store: Store) -> None:
    raise_(store, HELD, HELD_TOO)
    raise_(store, DRIVEN)
    assert run("exceptions", "ack", "1", "2")[:2] == (
        0,
        "1: SKU-1 is acknowledged.\n2: SKU-2 is acknowledged.\n",
    )
    code, out, err = run("exceptions", "fixed", "1", "3", "--note", "mended")
    assert code == 1
    assert out == "3: till.csv is fixed.\n"
    assert err.startswith("1: Product held back from kiosks: 'fixed' is not possible, but")
    code, out, _ = run("exceptions", "expected", "1", "--cause", "--note", "known", "--actor", "ada")
    assert (code, len(out.splitlines())) == (0, 2)
    assert {entry.actor for entry in store.audit_log.entries("exception/2", limit=1)} == {"ada"}
    assert run("exceptions")[1] == "Nothing.\n"
    assert run("exceptions", "reopen", "2")[0] == 0
    assert "SKU-2" in run("exceptions")[1]


@pytest.mark.parametrize("what", [["one"], ["=x", "1"], ["location=x"]])
def test_what_is_neither_number_nor_correction_is_refused(run: Run, store: Store, what: list[str]) -> None:
    code, _, err = run("exceptions", "replay", *what)
    assert code == 1
    assert "number" in err


def test_a_cause_is_silenced_and_heard_again(run: Run, store: Store) -> None:
    raise_(store, HELD)
    assert run("exceptions", "silences")[1] == "Nothing.\n"
    code, out, _ = run(
        "exceptions", "silence", "1", "--reason", "stocktaking", "--hours", "2", "--actor", "ada"
    )
    assert code == 0
    assert out.startswith("Silence 1 keeps messages back until ")
    assert "ada" in run("exceptions", "silences")[1]
    assert "silenced:    until" in run("exceptions", "show", "1")[1]
    assert run("exceptions", "silence", "1", "--reason", " ", "--hours", "2")[0] == 1
    assert run("exceptions", "lift", "1")[:2] == (0, "Silence 1 is over.\n")
    assert run("exceptions", "lift", "1")[0] == 1


def test_what_people_were_told_and_what_they_were_not(run: Run, store: Store) -> None:
    assert run("exceptions", "messages")[1] == "Nothing.\n"
    raise_(store, DRIVEN)
    at = datetime(2026, 11, 24, 9, tzinfo=UTC)

    def write(subject: str) -> Alert:
        new = NewAlert("default", Kind.BAD_MOVEMENT, "", "warning", [1], subject, "Read it.")
        with store.begin() as conn:
            store.alerts.write(conn, "default", new, at)
        taken = store.alerts.claim("default", at, timedelta(minutes=10), without=())
        assert taken
        return taken

    for subject in ("[WARNING] Lines: 1", "[WARNING] Lines: 2"):
        taken = write(subject)
        with store.begin() as conn:
            if subject.endswith("1"):
                store.alerts.settle(conn, taken, AlertState.SENT, at)
            else:
                store.alerts.postpone(conn, taken, at + timedelta(hours=1), "answered 500")
    _, *rows = run("exceptions", "messages")[1].splitlines()
    assert [" ".join(row.split()) for row in rows] == [
        "2026-11-24 09:00 default warning waiting 1 [WARNING] Lines: 2 answered 500",
        "2026-11-24 09:00 default warning sent 2026-11-24 09:00 1 [WARNING] Lines: 1",
    ]
    assert len(run("exceptions", "messages", "--limit", "1")[1].splitlines()) == 2


def test_a_mistake_in_the_declaration_is_told(
    run: Run, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "mapping.yaml").write_text("links: {default: {}}")
    (tmp_path / "exceptions.yaml").write_text("kinds: {oversell: {owner: nobody}}")
    monkeypatch.setenv("COGENT_OPS_INCLUDE", str(tmp_path))
    code, _, err = run("exceptions")
    assert code == 1
    assert "exceptions.yaml, line 1: kinds.oversell.owner" in err


# The whole way of an order


def test_an_order_without_store_is_mended_from_the_command_line(
    run: Run, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("bootstrap")
    _sell(sandbox)
    began = datetime.now(UTC) - timedelta(minutes=5)

    def capture() -> None:
        Runtime("default").order_backfill("cli").run(began, datetime.now(UTC) + timedelta(minutes=5))

    capture()
    code, out, _ = run("orders", "status")
    assert code == 0
    assert "1 kiosk orders were seen." in out
    assert "     1 in review\n            1 order location\n" in out
    (row,) = (json.loads(line) for line in run("exceptions", "--json")[1].splitlines())
    assert (row["kind"], row["owner"]) == ("order_location", "retail ops")
    number, order = str(row["id"]), row["record"]
    assert "cannot be sent yet" in run("exceptions", "dry-run", number)[1]
    assert "store: store-hamburg" in run("exceptions", "dry-run", number, "location=store-hamburg")[1]
    assert "location=" not in run("orders", "show", order)[1]
    asked: list[str] = []

    def typed(prompt: str) -> str:
        asked.append(prompt)
        return "store-hamburg"

    monkeypatch.setattr(getpass, "getpass", typed)
    assert run("exceptions", "edit", number, "location=-", "--actor", "ada")[0] == 0
    assert asked == ["location: "]
    code, out, _ = run("orders", "show", order)
    assert code == 0
    for told in (
        "is:               review: order location",
        "location=store-hamburg",
        "decided by:       ada",
    ):
        assert told in out
    assert f"exception {number} (in_progress)" in out
    assert run("exceptions", "replay", number)[0] == 0
    capture()
    assert run("exceptions")[1] == "Nothing.\n"
    code, out, _ = run("orders", "status")
    assert "     1 captured: €5.00" in out
    assert "in commercetools: " in run("orders", "show", order)[1]
    assert json.loads(run("orders", "status", "--json", "--until", began.isoformat())[1])["seen"] == 0
    code, _, err = run("orders", "show", "CS-NONE")
    assert (code, "has no kiosk order 'CS-NONE'" in err) == (1, True)


def _sell(sandbox: SandboxServer) -> None:
    """A kiosk order that names no store, of something that commercetools has."""
    sku = next(iter(sandbox.dump("commercetools")["inventory"])).rpartition("@")[0]
    kiosk = sandbox.state.cloudshelf
    shown = {"displayName": "A", "currentPrice": 5.0, "originalPrice": 5.0, "isInStock": True}
    variant = {"id": variant_gid(sku), "sku": sku, "availableToPurchase": True, **shown}
    with kiosk.lock:
        kiosk.upsert("upsertProducts", "Product", [{"id": product_gid("p"), "displayName": "A"}])
        batch = [{"productId": product_gid("p"), "variants": [variant]}]
        assert kiosk.upsert_variants("upsertProductVariants", batch).errors == []
    line = {
        "productID": product_gid("p"),
        "productVariantID": variant_gid(sku),
        "quantity": 1,
        "price": 5.0,
        "currencyCode": "EUR",
    }
    session = {"paymentAttemptId": "attempt-1"}
    sandbox.state.floor.change("kiosk-order", {"lines": [line], "status": "PAID", "session": session})
