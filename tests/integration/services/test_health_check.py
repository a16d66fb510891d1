"""A check says how a link stands: what flows left in the store, what is wrong with it, and that it is well again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from tests.integration.clients.helpers import kiosk
from tests.support.captures import Captures, coats
from tests.support.stock import StockWorld
from tests.support.trouble import HELD

from cogent_ops.clients.transport import close_sessions
from cogent_ops.domain.exceptions import Action, Kind, Status
from cogent_ops.domain.health.model import AtRisk, Check, Flow, Snapshot, State
from cogent_ops.domain.health.silence import Quiet
from cogent_ops.domain.priorities import Priority
from cogent_ops.errors import StoreUnavailable, TargetUnavailable
from cogent_ops.sandbox.faults import FaultPlan, Rule
from cogent_ops.sandbox.faults import Kind as FaultKind
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.services.beat import COLLECTED, POLLED, SHOP_LOOKED, WATCHED
from cogent_ops.services.health import accounting, raising
from cogent_ops.services.health.changes import PACKAGE, fingerprints
from cogent_ops.services.health.check import HealthCheck, HealthParts
from cogent_ops.services.health.looking import OutsideReport
from cogent_ops.services.health.raising import RISK_CAUSE
from cogent_ops.services.orders.flow import ALIVE as ORDERS_ALIVE
from cogent_ops.services.orders.tell import OrderTelling
from cogent_ops.services.stock.flow import ALIVE as STOCK_ALIVE
from cogent_ops.services.stock.flow import StockWatch
from cogent_ops.store import Store
from cogent_ops.store.bucket import Limit
from cogent_ops.store.schema import health_sample, kiosk_order, movement, order_capture, order_effect

LINK = "default"
LIVE = (POLLED, STOCK_ALIVE, COLLECTED, ORDERS_ALIVE, SHOP_LOOKED)


@dataclass
class Monitored(Captures):
    """A link whose orders are captured and whose stock is moved, and checks of it.

    :param told: how often people would have been told by now.
    """

    told: int = 0

    def carry(self) -> None:
        """All flows at once: what was sold is in commercetools, and Cloudshelf knows."""
        self.poll()
        StockWorld(self.server, self.store).finish()
        self.finish()
        OrderTelling(self.config, self.store, kiosk(self.server)).round(datetime.now(UTC))
        self.look(datetime.now(UTC))

    def look(self, moment: datetime, *marks: str) -> None:
        """The flows have looked."""
        with self.store.begin() as conn:
            for mark in marks or LIVE:
                self.store.watermarks.set(conn, self.name, mark, moment)

    def check(self, later: timedelta = timedelta(0), **parts: Any) -> Snapshot:
        def tell() -> None:
            self.told += 1

        names = OutsideReport(stores={"berlin": "Berlin", "hamburg": "Hamburg"})
        made = HealthParts(
            self.config,
            self.store,
            self.project,
            "check",
            outside=lambda now: names,
            tell=tell,
            clock=lambda: datetime.now(UTC) + later,
        )
        return HealthCheck(replace(made, **parts)).run()

    def raised(self, kind: Kind) -> dict[str, str]:
        """Messages of the open exceptions of a kind by cause."""
        return {one.cause_key: one.message for one in self.store.exceptions.open(self.name, kind)}

    def stands(self, flow: Flow) -> State:
        """How a flow stands by now."""
        return self.check().flow(flow).state


@pytest.fixture
def world(store: Store) -> Iterator[Monitored]:
    with ExitStack() as stack:
        made = Monitored(stack.enter_context(SandboxServer(coats())), store)
        made.begin()
        yield made
        close_sessions()


def sell(world: Monitored, *lines: tuple[str, int], store: str | None = "berlin", **more: Any) -> str:
    return world.sell(*(lines or (("coat-s", 2),)), store=store, paymentAttemptId="attempt", **more)


# Nothing is wrong


def test_everything_that_was_sold_is_accounted_for_store_by_store(world: Monitored) -> None:
    sell(world, ("coat-s", 2), ("coat-m", 1))
    sell(world, store="hamburg")
    void = sell(world)
    sell(world, status="DRAFT_BASKET")
    world.carry()
    world.set_status(void, "VOIDED")
    world.carry()
    found = world.check()
    assert (found.orders.seen, found.orders.done, found.orders.excluded) == (4, 3, 1)
    assert (found.units.seen, found.units.done) == (2 + 1 + 2 + 2 + 2, 9), (
        "what went and came back counts twice"
    )
    assert (found.orders.unexplained, found.units.unexplained) == (0, 0)
    by_name = {store.name: store for store in found.stores}
    assert {name: store.units.seen for name, store in by_name.items()} == {"Berlin": 7, "Hamburg": 2}
    assert by_name["Berlin"].place == "berlin"
    assert [one.state for one in found.stores] == [State.GOOD, State.GOOD]
    assert [world.raised(kind) for kind in (Kind.UNACCOUNTED, Kind.FLOW_STALLED)] == [{}, {}]
    assert world.told == 1


def test_what_waits_and_what_is_a_persons_is_counted_apart(world: Monitored) -> None:
    sell(world)
    sell(world, ("coat-m", 1), store=None)
    world.poll()
    found = world.check()
    assert (found.units.waiting, found.units.review, found.units.unexplained) == (2, 1, 0)
    assert found.orders.waiting == 2
    stock = found.flow(Flow.STOCK)
    assert (stock.waiting, stock.review) == (1, 1)


def test_orders_without_a_known_store_stand_apart(world: Monitored) -> None:
    sell(world, store=None)
    world.raw_order([], session={"locationId": "gid://nobody/Knows/1", "locationName": "Nowhere"})
    world.poll()
    found = world.check()
    assert {store.place: store.orders.seen for store in found.stores if store.orders.seen} == {"": 2}
    (nowhere,) = [store for store in found.stores if not store.place]
    assert (nowhere.state, nowhere.reasons) == (State.GOOD, ()), "nobody has looked at them yet"
    world.finish()
    found = world.check()
    (nowhere,) = [store for store in found.stores if not store.place]
    assert (nowhere.state, nowhere.reasons) == (State.LATE, ("people have to find the store of 2 orders",))
    assert "No store: people have to find the store of 2 orders" in found.sentence


# Units and orders that nobody can explain


def delete_movements(world: Monitored) -> list[dict[str, Any]]:
    """Lose all movements; gives what was lost."""
    with world.store.begin() as conn:
        lost = [dict(row._mapping) for row in conn.execute(sa.select(movement))]
        conn.execute(sa.delete(movement))
    return lost


def test_lost_units_show_at_once_alarm_when_they_stay_and_close_when_they_are_back(world: Monitored) -> None:
    order = sell(world, ("coat-s", 3))
    world.carry()
    world.check()
    lost = delete_movements(world)
    first = world.check()
    assert first.units.unexplained == 3
    assert first.state is State.BAD
    assert first.stores[0].reasons[0].startswith("3 units unaccounted for")
    assert world.raised(Kind.UNACCOUNTED) == {}, "it may have been between two reads"
    world.check()
    (message,) = world.raised(Kind.UNACCOUNTED).values()
    assert "3 units of Berlin unaccounted for" in message
    assert order.rpartition("/")[2] in message
    with world.store.begin() as conn:
        conn.execute(movement.insert(), lost)
    found = world.check()
    assert (found.units.unexplained, world.raised(Kind.UNACCOUNTED)) == (0, {})


@pytest.mark.parametrize(
    "what", ["twice", "not recorded", "not recorded of a partial refund", "not given back"]
)
def test_each_way_to_lose_units_is_found(world: Monitored, what: str) -> None:
    order = sell(world)
    sell(world, ("coat-m", 1), store="hamburg")
    world.carry()
    void, part = (
        {**world.orders()[order].content, "status": one} for one in ("VOIDED", "PARTIALLY_REFUNDED")
    )
    with world.store.begin() as conn:
        if what == "twice":
            row = dict(conn.execute(sa.select(movement).where(movement.c.sku == "coat-s")).one()._mapping)
            again = {"id": 10_000, "source_id": row["source_id"].replace("/1", "/9")}
            conn.execute(movement.insert(), {**row, **again})
        elif what.startswith("not recorded"):
            mine = order_effect.c.order_id == order
            conn.execute(sa.delete(order_effect).where(mine))
            conn.execute(sa.delete(movement).where(movement.c.sku == "coat-s"))
        content = {"not given back": void, "not recorded of a partial refund": part}.get(what)
        if content is not None:
            for table in (kiosk_order, order_capture):
                become = sa.update(table).where(table.c.order_id == order)
                conn.execute(become.values(status=content["status"]))
            conn.execute(
                sa.update(kiosk_order).where(kiosk_order.c.order_id == order).values(content=content)
            )
    found = world.check()
    assert {store.name: store.units.unexplained for store in found.stores} == {"Berlin": 2, "Hamburg": 0}
    assert found.orders.unexplained == 0


def test_an_order_that_nobody_looks_at_is_found_however_old_it_grows(world: Monitored) -> None:
    order = sell(world)
    world.poll()
    stuck = sa.update(order_capture).where(order_capture.c.order_id == order)
    with world.store.begin() as conn:
        conn.execute(stuck.values(due_at=None))
    assert world.check().orders.unexplained == 1
    world.check()
    assert list(world.raised(Kind.UNACCOUNTED)) == ["orders/berlin"]
    tomorrow = timedelta(days=2)
    assert world.check(tomorrow).orders.seen == 0, "it is out of sight"
    assert world.raised(Kind.UNACCOUNTED), "and it is not out of mind"
    with world.store.begin() as conn:
        conn.execute(stuck.values(due_at=datetime.now(UTC)))
    world.carry()
    world.check(tomorrow)
    assert world.raised(Kind.UNACCOUNTED) == {}


def test_all_that_is_looked_at_is_named_and_what_is_not_closes_by_no_check(
    world: Monitored, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert raising.NAMED >= accounting.MOST
    monkeypatch.setattr(raising, "NAMED", 2)
    for _ in range(3):
        sell(world)
    world.poll()
    due = sa.update(order_capture)
    with world.store.begin() as conn:
        conn.execute(due.values(due_at=None))
    for _ in range(2):
        world.check()
    (message,) = world.raised(Kind.UNACCOUNTED).values()
    assert message.startswith("3 orders of ")
    assert "1 were too many to be named" in message
    (found,) = world.store.exceptions.open(LINK, Kind.UNACCOUNTED)
    assert (len(found.payload["orders"]), found.payload["unnamed"]) == (2, 1)
    tomorrow = timedelta(days=2)
    world.check(tomorrow)
    with world.store.begin() as conn:
        named = order_capture.c.order_id.in_(found.payload["orders"])
        conn.execute(due.where(named).values(due_at=datetime.now(UTC)))
    world.carry()
    world.check(tomorrow)
    assert world.raised(Kind.UNACCOUNTED), "the third is out of sight, and as stuck as before"


# How old data is


def test_a_flow_that_stands_calls_somebody_and_closes_when_it_goes_on(world: Monitored) -> None:
    sell(world)
    world.carry()
    assert world.stands(Flow.STOCK) is State.GOOD
    sell(world)
    world.poll()
    standing = timedelta(minutes=4)
    found = world.check(standing)
    stock = found.flow(Flow.STOCK)
    assert (stock.state, stock.waiting) == (State.BAD, 1)
    assert stock.age == pytest.approx(240, abs=20)
    assert "has not looked since" in stock.cause
    assert found.sentence.startswith("Stock in commercetools is 4 min old, agreed are 60 s.")
    (message,) = (text for cause, text in world.raised(Kind.FLOW_STALLED).items() if cause == "stock")
    assert "was up to date 4 min ago last; agreed are 60 s" in message
    world.carry()
    assert world.stands(Flow.STOCK) is State.GOOD
    assert "stock" not in world.raised(Kind.FLOW_STALLED)


def test_a_little_late_calls_somebody_at_the_second_check(world: Monitored) -> None:
    world.carry()
    late = timedelta(seconds=90)
    assert world.check(late).flow(Flow.STOCK).state is State.LATE
    assert "stock" not in world.raised(Kind.FLOW_STALLED)
    world.check(late)
    assert "stock" in world.raised(Kind.FLOW_STALLED)


def expect(world: Monitored, kind: Kind, cause: str) -> None:
    """Somebody says that this is expected."""
    (found,) = (one for one in world.store.exceptions.open(LINK, kind) if one.cause_key == cause)
    with world.store.begin() as conn:
        world.store.exceptions.decide(
            conn, LINK, found.id, Action.EXPECTED, Status.EXPECTED, actor="ada", detail={}
        )


def test_a_persons_word_about_a_late_flow_stays_and_holds_for_no_later_stop(world: Monitored) -> None:
    world.carry()
    world.check(timedelta(minutes=10))
    expect(world, Kind.FLOW_STALLED, "stock")
    world.check(timedelta(minutes=11))
    assert "stock" not in world.raised(Kind.FLOW_STALLED), "it was said of this stop"
    assert world.stands(Flow.STOCK) is State.GOOD
    world.check(timedelta(minutes=12))
    assert "stock" in world.raised(Kind.FLOW_STALLED), "and not of the next one"


def test_an_order_that_cloudshelf_refuses_makes_its_flow_late_and_hides_no_stop(world: Monitored) -> None:
    order = sell(world)
    gone = Rule(kind=FaultKind.REFUSE, operation="upsertOrders", ids=order, code="ENTITY_NOT_FOUND")
    world.server.set_faults(FaultPlan(seed=1, rules=(gone,)))
    world.carry()
    later = timedelta(hours=2)
    world.look(datetime.now(UTC) + later)
    for _ in range(2):
        status = world.check(later).flow(Flow.STATUS)
        assert (status.state, status.waiting, status.review) == (State.LATE, 1, 0)
    assert "1 are refused by the other side" in status.cause
    assert list(world.raised(Kind.STATUS_REFUSED)) == [f"order/{order}"]
    assert "status" not in world.raised(Kind.FLOW_STALLED), "it has called somebody already"
    world.check(later + timedelta(hours=1))
    assert "status" in world.raised(Kind.FLOW_STALLED), "nobody has looked for an hour"


def test_a_new_link_is_unknown_and_not_bad(world: Monitored) -> None:
    found = world.check()
    assert {one.state for one in found.flows} == {State.UNKNOWN}
    assert (found.state, found.sentence) == (
        State.UNKNOWN,
        "Nothing has run yet, so nobody can say how it stands.",
    )
    assert world.store.exceptions.open(LINK) == []
    again = world.check(timedelta(minutes=10))
    assert again.flow(Flow.STOCK).state is State.BAD, "by now it should have run"
    assert again.flow(Flow.DRIFT).state is State.UNKNOWN


def test_the_watch_that_finds_nothing_to_do_has_looked(world: Monitored) -> None:
    """Between two runs nobody polls; that there is nothing new is what the watch sees."""
    sell(world)
    world.carry()
    world.poll()
    watch = StockWatch(LINK, world.store, kiosk(world.server), world.project)
    later = datetime.now(UTC) + timedelta(minutes=5)
    assert not watch.has_work(later)
    assert world.store.watermarks.get(LINK, WATCHED) == later
    sell(world)
    assert watch.has_work(later + timedelta(seconds=10))
    assert not watch.has_work(later + timedelta(seconds=11)), "it wakes nobody twice for the same order"
    assert world.store.watermarks.get(LINK, WATCHED) == later, "which nobody has read yet"


def test_a_poll_that_breaks_off_has_not_looked(world: Monitored) -> None:
    world.poll()
    looked = world.store.watermarks.get(LINK, POLLED)
    assert looked is not None
    world.server.stop()
    with pytest.raises(TargetUnavailable):
        world.poll()
    assert world.store.watermarks.get(LINK, POLLED) == looked


# What lies around it


def test_what_is_found_outside_is_raised_and_what_is_gone_is_closed(world: Monitored) -> None:
    refused = replace(HELD, kind=Kind.CREDENTIAL, cause_key="commercetools_default/refused")
    bad = Check(name="commercetools", state=State.BAD, message="refused", cure="renew")
    report = OutsideReport(
        checks=(bad,),
        found=(refused,),
        stores={"berlin": "Berlin Mitte", "ulm": "Ulm"},
        quiet={"ulm": Quiet(datetime(2026, 11, 1, tzinfo=UTC), 9.0, is_silent=True)},
        reasons={"ulm": ("no order for 20 days, and about 9 would have been usual",)},
    )
    sell(world)
    world.carry()
    found = world.check(outside=lambda now: report)
    assert found.checks == (bad,)
    assert [(one.place, one.name, one.state) for one in found.stores] == [
        ("ulm", "Ulm", State.LATE),
        ("berlin", "Berlin Mitte", State.GOOD),
    ]
    assert world.raised(Kind.CREDENTIAL)
    well = OutsideReport(gone=((Kind.CREDENTIAL, refused.cause_key),))
    world.check(outside=lambda now: well)
    assert world.raised(Kind.CREDENTIAL) == {}


RISK = AtRisk(
    sku="coat-s",
    place="berlin",
    pending=3,
    age=300.0,
    rate=6.0,
    expected=1,
    buffer=4,
    since=datetime(2026, 11, 28, tzinfo=UTC),
)


def test_units_at_risk_are_raised_as_one_and_closed_when_there_are_none(world: Monitored) -> None:
    risks = [RISK, RISK.model_copy(update={"place": "hamburg", "buffer": 0})]
    found = world.check(at_risk=lambda now: risks)
    assert {store.place: store.at_risk for store in found.stores} == {"berlin": 4, "hamburg": 4}
    (message,) = world.raised(Kind.STOCK_AT_RISK).values()
    assert message.startswith("8 units may be sold twice, because stock is up to 5 min late: 4 of coat-s in ")
    assert "told 4 units less" in message

    def broken(now: datetime) -> list[AtRisk]:
        raise StoreUnavailable("no answer")

    unseen = world.check(at_risk=broken)
    assert [(one.name, one.state) for one in unseen.checks] == [("Units at risk", State.UNKNOWN)]
    assert world.raised(Kind.STOCK_AT_RISK), "nobody knows, so it stays"
    world.check()
    assert world.raised(Kind.STOCK_AT_RISK) == {}


def test_units_at_risk_that_are_expected_are_so_until_nothing_is_late(world: Monitored) -> None:
    for _ in range(2):
        world.check(at_risk=lambda now: [RISK])
        expect(world, Kind.STOCK_AT_RISK, RISK_CAUSE)
        world.check(at_risk=lambda now: [RISK])
        assert world.raised(Kind.STOCK_AT_RISK) == {}
        world.check()


def test_budget_use_is_the_share_sent_since_the_check_before(world: Monitored) -> None:
    limits = {"commercetools/sandbox": Limit(50.0, 100.0), "never used": Limit(1.0, 1.0)}
    budget = world.store.budget("commercetools/sandbox", 50.0, 100.0)
    budget.acquire(priority=Priority.ORDERS, timeout=5.0)
    first = world.check(limits=limits)
    for _ in range(60):
        budget.acquire(priority=Priority.ORDERS, timeout=5.0)
    second = world.check(timedelta(seconds=60), limits=limits)
    (use,), (before,) = second.budgets, first.budgets
    sent, seconds = use.taken - before.taken, (second.checked_at - first.checked_at).total_seconds()
    # A process takes a slice at once, a quarter of a second's worth.
    assert 60 - 13 <= sent <= 60 + 13
    assert use.used == pytest.approx(sent / (50.0 * seconds))
    assert (use.state, use.factor) == (State.GOOD, 1.0)
    budget.throttled(30.0)
    (blocked,) = world.check(timedelta(seconds=60), limits=limits).budgets
    assert blocked.state is State.LATE
    assert blocked.blocked_until is not None
    late = world.check(timedelta(minutes=10), limits=limits).flow(Flow.STOCK)
    assert "asked for no requests" in late.cause


def test_what_fails_is_named_as_the_reason(world: Monitored) -> None:
    payload = {"dag_id": "stock_deltas", "task_id": "move", "run_id": "r"}
    failed = replace(
        HELD,
        kind=Kind.TASK_FAILED,
        cause_key="stock_deltas/move",
        record="stock_deltas.move",
        payload=payload,
    )
    with world.store.begin() as conn:
        world.store.exceptions.raise_(conn, LINK, failed, "run")
    world.look(datetime.now(UTC))
    found = world.check(timedelta(minutes=10))
    assert found.flow(Flow.STOCK).cause.startswith("stock_deltas.move fails:")
    assert "fails" not in found.flow(Flow.AVAILABILITY).cause


def test_a_silent_heartbeat_stops_no_check(world: Monitored, caplog: pytest.LogCaptureFixture) -> None:
    def dead() -> None:
        raise TargetUnavailable("connection 'outside': answered 503")

    world.check(heartbeat=dead)
    assert "answered 503" in caplog.text
    assert world.store.health.snapshot(LINK) is not None


# What was changed


def test_changes_of_configuration_are_noted_once(world: Monitored, tmp_path: Any) -> None:
    (tmp_path / "mapping.yaml").write_text("a: 1", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")

    def check(version: str) -> list[str]:
        found = world.check(files=lambda: fingerprints(tmp_path, version))
        return [change.what for change in found.changes]

    assert check("1.0") == [], "the first check compares with nothing"
    assert check("1.0") == []
    (tmp_path / "mapping.yaml").write_text("a: 2", encoding="utf-8")
    (tmp_path / "locations.yaml").write_text("", encoding="utf-8")
    noted = ["configuration: locations.yaml added", "configuration: mapping.yaml changed"]
    assert check("1.0") == noted
    assert check("1.0") == noted
    (tmp_path / "locations.yaml").unlink()
    assert check("1.1")[2:] == [
        "configuration: locations.yaml removed",
        f"configuration: {PACKAGE} 1.0 → 1.1",
    ]
    entries = world.store.audit_log.entries("configuration")
    assert {(one.actor, one.link) for one in entries} == {("sync_health", LINK)}


def test_what_people_did_is_laid_beside_the_curves(world: Monitored) -> None:
    for number in range(3):
        world.store.audit_log.write("ada", "heal", f"drift/{number}", link=LINK)
    world.store.audit_log.write("bob", "reveal", "exception/1", link=LINK)
    detail = {"kind": "flow_stalled", "reason": "maintenance"}
    world.store.audit_log.write("bob", "silence", "silence/1", detail, link=LINK)
    found = [(one.actor, one.what) for one in world.check().changes]
    assert found == [
        ("ada", "drift: 3 differences mended"),
        ("bob", "silenced flow_stalled: maintenance"),
    ]


def test_a_gap_that_was_left_unread_is_not_said_to_be_read(world: Monitored) -> None:
    gaps, now = world.store.gaps, datetime.now(UTC)
    with world.store.begin() as conn:
        for name in ("crm", "erp"):
            gaps.begin(conn, LINK, "subscription", name, now - timedelta(hours=2), {})
        gaps.give_up(conn, LINK, "subscription", "crm", "somebody decided that it may be gone", now)
    erp = gaps.ongoing(LINK, "subscription", "erp")
    assert erp is not None
    with world.store.begin() as conn:
        gaps.close(conn, erp, now)
    said = {one.what for one in world.check().changes if one.at == now}
    assert said == {
        "Subscription crm: the gap was left unread: somebody decided that it may be gone",
        "Subscription erp: the gap was read again and compared",
    }


def test_every_check_measures_every_flow(world: Monitored) -> None:
    world.check()
    world.check(timedelta(minutes=5))
    with world.store.read() as conn:
        rows = conn.execute(sa.select(health_sample.c.flow, sa.func.count()).group_by(health_sample.c.flow))
        assert {row[0]: row[1] for row in rows} == dict.fromkeys((flow.value for flow in Flow), 2)
