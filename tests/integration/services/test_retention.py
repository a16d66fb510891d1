"""What is old goes, what is open stays, and nothing that is counted changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.integration.services.test_alerts import PAYMENT, House, order
from tests.support.kiosks import SKUS, Kiosks
from tests.support.trouble import HELD
from upath import UPath

from cogent_ops.clients.transport import close_sessions
from cogent_ops.domain.exceptions import Action, Kind, Status
from cogent_ops.domain.rules import RetentionRules
from cogent_ops.errors import PermanentError
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.services import retention as module
from cogent_ops.services.catalogue.runfolder import RunFolder
from cogent_ops.services.retention import LONGEST_RUN, Retention
from cogent_ops.store import Store
from cogent_ops.store.orders import CaptureState
from cogent_ops.store.schema import exception, kiosk_order, metadata, order_capture, order_contact, sync_run
from cogent_ops.store.sql import upsert

LINK = "default"
RULES = RetentionRules()
NOW = datetime.now(UTC)
OLD = NOW - timedelta(days=1000)
DONE = (CaptureState.CAPTURED, CaptureState.EXCLUDED)


@pytest.fixture
def retention(store: Store, tmp_path: Path) -> Retention:
    return Retention(LINK, RULES, store, UPath(tmp_path / "data"))


def gid(number: int) -> str:
    return f"gid://cloudshelf/Order/{number}"


def stand(
    store: Store, order_id: str, state: CaptureState, *, since: datetime = OLD, link: str = LINK, **more: Any
) -> None:
    """An order with content and address, and where it stands."""
    capture = {
        "order_number": f"CS-{order_id}",
        "status": "PAID",
        "state": state,
        "lease_until": 0.0,
        "attempts": 0,
        "tell_attempts": 0,
        "revision": 1,
        "place": "Leeds",
        "currency": "GBP",
        "total": 8400,
        "units": 2,
        "edits": {},
        "ordered_at": since,
        "changed_at": since,
        "updated_at": since,
        "due_at": None,
        **more,
    }
    kiosk = {
        "status": "PAID",
        "modified_at": since,
        "content": {"lines": [1]},
        "hash": "abc",
        "recheck": False,
        "first_seen": since,
        "last_seen": since,
    }
    key = {"link": link, "order_id": order_id}
    contact = {"email": "ada@example.com", "updated_at": since}
    with store.begin() as conn:
        for table, row in ((order_capture, capture), (kiosk_order, kiosk), (order_contact, contact)):
            columns = {name: value for name, value in row.items() if name in table.c}
            upsert(conn, table, [key | columns])


def contents(store: Store) -> dict[str, Any]:
    with store.read() as conn:
        query = sa.select(kiosk_order.c.order_id, kiosk_order.c.content)
        return {row.order_id: row.content for row in conn.execute(query)}


def contacts(store: Store) -> set[str]:
    with store.read() as conn:
        return set(conn.execute(sa.select(order_contact.c.order_id)).scalars())


def everything(store: Store) -> dict[str, list[Any]]:
    """All rows of all tables but those that say when somebody looked, to see that nothing changed."""
    with store.read() as conn:
        return {
            table.name: sorted(map(repr, conn.execute(sa.select(table)).all()))
            for table in metadata.sorted_tables
            if table.name != "watermark"
        }


@pytest.mark.parametrize("state", CaptureState)
def test_addresses_and_contents_of_orders_that_are_done_with_go(
    store: Store, retention: Retention, state: CaptureState
) -> None:
    stand(store, gid(1), state)
    stand(store, gid(2), state, since=NOW - timedelta(days=RULES.contacts_days, hours=-1))
    stand(store, gid(3), state, link="austria")
    done = retention.run(NOW)
    goes = state in DONE
    assert (done["contacts"], done["orders"]) == (int(goes), int(goes))
    assert contacts(store) == {gid(2), gid(3)} | (set() if goes else {gid(1)})
    assert contents(store) == {
        gid(1): {} if goes else {"lines": [1]},
        gid(2): {"lines": [1]},
        gid(3): {"lines": [1]},
    }


def test_each_has_its_own_age(store: Store, retention: Retention) -> None:
    stand(store, gid(1), CaptureState.CAPTURED, since=NOW - timedelta(days=RULES.contacts_days + 1))
    done = retention.run(NOW)
    assert (done["contacts"], done["orders"]) == (1, 0)


def test_an_order_that_is_looked_at_again_keeps_its_content(store: Store, retention: Retention) -> None:
    stand(store, gid(1), CaptureState.CAPTURED, due_at=NOW)
    assert retention.run(NOW)["orders"] == 0


def test_totals_numbers_and_states_stay_for_accounting(store: Store, retention: Retention) -> None:
    stand(store, gid(1), CaptureState.CAPTURED)
    before = store.captures.accounting(LINK)
    assert retention.run(NOW)["orders"] == 1
    assert store.captures.accounting(LINK) == before
    assert before.money == {"GBP": 8400}


def test_an_order_with_an_open_exception_keeps_its_content_until_that_is_closed(
    store: Store, retention: Retention
) -> None:
    stand(store, gid(1), CaptureState.CAPTURED)
    trouble = replace(PAYMENT, kind=Kind.REFUND_AMOUNT, cause_key=f"order/{gid(1)}")
    House(store).open(trouble)
    assert retention.run(NOW)["orders"] == 0
    House(store).close(trouble)
    assert retention.run(NOW)["orders"] == 1


@pytest.mark.parametrize("status", Status)
def test_payloads_go_when_the_exception_is_long_closed(
    store: Store, retention: Retention, status: Status
) -> None:
    house = House(store)
    house.open(PAYMENT, HELD)
    if status is Status.FIXED:
        house.close(PAYMENT)
    elif status is not Status.NEW:
        with store.begin() as conn:
            id_ = house.found(PAYMENT).id
            store.exceptions.decide(conn, LINK, id_, Action.REJECT, status, actor="ada", detail={})
    is_open = status in (Status.NEW, Status.ACKNOWLEDGED, Status.IN_PROGRESS)
    assert retention.run(NOW + timedelta(days=RULES.payloads_days, hours=-1))["payloads"] == 0
    assert retention.run(NOW + timedelta(days=RULES.payloads_days + 1))["payloads"] == (not is_open)
    with store.read() as conn:
        query = sa.select(exception.c.payload, exception.c.message).where(exception.c.kind == PAYMENT.kind)
        (row,) = conn.execute(query)
    assert row.payload == (dict(PAYMENT.payload) if is_open else {})
    assert row.message == PAYMENT.message


def test_messages_go_when_they_were_sent_and_not_while_they_wait(store: Store, retention: Retention) -> None:
    house = House(store)
    house.open(PAYMENT)
    house.tell()
    house.desk.errors["default"] = [PermanentError("down")] * 9
    house.open(order(1, kind=Kind.ORDER_TAX))
    house.tell()
    later = house.now + timedelta(days=RULES.alerts_days + 1)
    assert retention.run(later)["alerts"] == 1
    assert [message.kind for message in house.messages()] == [Kind.ORDER_TAX]


def test_run_folders_go_with_everything_in_them(store: Store, retention: Retention) -> None:
    ages = {"old": RULES.runs_days + 1, "young": RULES.runs_days - 1, "waiting": RULES.runs_days - 1}
    for key, age in ages.items():
        store.runs.start(LINK, "catalogue_sync", key, "window")
        RunFolder(retention.root, LINK, key).write_lines("gate", "accepted-00001.jsonl", ["{}"])
        ended = None if key == "waiting" else NOW - timedelta(days=age)
        with store.begin() as conn:
            mine = sync_run.update().where(sync_run.c.run_key == key)
            conn.execute(mine.values(started_at=NOW - timedelta(days=age, hours=1), finished_at=ended))
    RunFolder(retention.root, LINK, "nobody-knows").write_lines("gate", "accepted-00001.jsonl", ["{}"])
    RunFolder(retention.root, "austria", "old").write_lines("gate", "accepted-00001.jsonl", ["{}"])
    assert retention.run(NOW)["run_folders"] == 1
    assert list(RunFolder.all(retention.root, LINK)) == ["nobody-knows", "waiting", "young"]
    assert list(RunFolder.all(retention.root, "austria")) == ["old"]
    assert retention.run(NOW + LONGEST_RUN)["run_folders"] == 2
    assert list(RunFolder.all(retention.root, LINK)) == ["nobody-knows"]


def test_a_link_without_any_run_has_nothing_to_remove(retention: Retention) -> None:
    assert retention.run(NOW)["run_folders"] == 0


def test_more_than_a_batch_goes_and_the_second_time_nothing_happens(
    store: Store, retention: Retention, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    house = House(store)
    for number in range(5):
        stand(store, gid(number), CaptureState.EXCLUDED)
        house.open(order(number), order(number, kind=Kind.ORDER_TAX))
    house.close(*[order(number) for number in range(5)], *[order(n, kind=Kind.ORDER_TAX) for n in range(5)])
    later = NOW + timedelta(days=400)
    done = retention.run(later)
    gone = {"contacts": 5, "orders": 5, "payloads": 10}
    assert done == {**dict.fromkeys(done, 0), **gone}
    (entry,) = store.audit_log.entries(f"link/{LINK}")
    assert (entry.actor, entry.action, entry.detail) == ("retention", "purge", done)
    before = everything(store)
    assert not any(retention.run(later).values())
    assert everything(store) == before


@pytest.fixture
def kiosks(store: Store) -> Iterator[Kiosks]:
    with ExitStack() as stack:
        data = generate(seed=1, products=0, now=datetime(2026, 11, 20, tzinfo=UTC))
        kiosks = Kiosks(stack.enter_context(SandboxServer(data)), store)
        kiosks.install()
        yield kiosks
        close_sessions()


def test_the_next_poll_does_not_take_an_emptied_order_for_a_changed_one(
    kiosks: Kiosks, store: Store, retention: Retention
) -> None:
    sold = kiosks.sell((SKUS[0], 2))
    kiosks.poll()
    with store.begin() as conn:
        done = {"state": CaptureState.CAPTURED, "due_at": None}
        conn.execute(sa.update(order_capture).where(order_capture.c.order_id == sold).values(done))
    moved = kiosks.moved()
    assert retention.run(NOW + timedelta(days=500))["orders"] == 1
    counts = kiosks.poll()
    assert (counts.read, counts.changed, counts.movements) == (1, 0, 0)
    assert kiosks.moved() == moved
    assert contents(store) == {sold: {}}
    kiosks.set_status(sold, "REFUNDED")
    assert kiosks.poll().changed == 1
    assert kiosks.moved() == {}
    assert contents(store)[sold] != {}
