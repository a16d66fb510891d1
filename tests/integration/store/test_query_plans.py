"""Hot queries find their rows by an index on both databases, however large the tables grow.

The statements are those that the store really sends: they are recorded and then explained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL
from tests.integration.store.test_catalogue import RUG
from tests.support.databases import Databases
from tests.support.trouble import HELD

from cogent_ops.domain.availability import Wanted
from cogent_ops.domain.drift.model import Area, Cause, Finding
from cogent_ops.domain.exceptions import Action, Kind, Owner
from cogent_ops.domain.health.model import Flow as HealthFlow
from cogent_ops.domain.health.model import Freshness, Snapshot, State
from cogent_ops.domain.health.risk import Risk
from cogent_ops.domain.rules import MovementRules, OrderStatus
from cogent_ops.domain.stock import MovementState, NewMovement, Place, Source
from cogent_ops.store import Filter, Store, open_store
from cogent_ops.store.alerts import AlertState, NewAlert, Told, Untold
from cogent_ops.store.availability import TURN as TURN_FLOW
from cogent_ops.store.availability import Flag, Level, Shown
from cogent_ops.store.drift import FindingState, NightTotal
from cogent_ops.store.engine import Database, database
from cogent_ops.store.listing import Sort
from cogent_ops.store.order_decisions import Entered
from cogent_ops.store.order_news import Told as TellsOrder
from cogent_ops.store.orders import Ahead, CaptureState, Landed, Origin, Queued, Settled
from cogent_ops.store.schema import metadata, sync_run
from cogent_ops.store.sql import Values, chunks, now, upsert
from cogent_ops.store.stock import Aim, Applied, Effect, Position, StoredOrder

# Filling the tables takes longer than all questions to them, so one worker does both.
pytestmark = pytest.mark.xdist_group("query plans")

LINKS = ("at", "ch", "de")
PRODUCTS = [f"p{number:05d}" for number in range(3000)]
SKUS = [f"SKU-{number:05d}" for number in range(9000)]
SOME = [f"p{number:05d}" for number in range(100, 105)]

LEVEL = Level(SKUS[7], "s1", 7)
FLAG = Flag(SKUS[7], "p", True, True)
SHOWN = Shown(SKUS[7], "p", False, False, False)
TURN = now()
UNTOLD = Untold(1, HELD.kind, HELD.cause_key, HELD.cause_key, HELD.owner, TURN)
#: Partial indexes so small that they may be read as a whole, or for a link.
SMALL = ("ix_kiosk_order_recheck", "uq_stock_batch_in_flight")

Call = Callable[[Store], object]


def _in_transaction(work: Callable[[Store, sa.Connection], object]) -> Call:
    def call(store: Store) -> None:
        with store.begin() as conn:
            work(store, conn)

    return call


CALLS: dict[str, Call] = {
    "measures": lambda store: _measure(store, "de"),
    "accounts": lambda store: _account(store, "de"),
    "health": lambda store: _check(store, "de"),
    "availability.unread": lambda store: store.availability.unread("de"),
    "availability.untold": lambda store: store.availability.untold("de", TURN, 5),
    "arrivals.by_store": lambda store: store.arrivals.by_store("de", now() + timedelta(hours=1)),
    "watermarks.advance": _in_transaction(
        lambda store, conn: store.watermarks.advance(conn, "de", "catalogue_sync", TURN, TURN)
    ),
    "watermarks.move_back": _in_transaction(
        lambda store, conn: store.watermarks.move_back(conn, "de", "catalogue_sync", TURN)
    ),
    "retention.delete_samples": lambda store: store.retention.delete_samples("de", TURN, 5),
    "fingerprints.known": lambda store: store.fingerprints.known("de", "product", SOME),
    "fingerprints.remember": lambda store: store.fingerprints.remember(
        "de", "product", dict.fromkeys(SOME, "h"), "run"
    ),
    "fingerprints.forget": lambda store: store.fingerprints.forget("de", "product", SOME),
    "fingerprints.ids": lambda store: list(store.fingerprints.ids("de", "product")),
    "catalogue.register_skus": lambda store: store.catalogue.register_skus(
        "de", "r2", SOME, [(SKUS[number], id_, 1) for number, id_ in enumerate(SOME)]
    ),
    "catalogue.previous_skus": lambda store: store.catalogue.previous_skus("de", SOME),
    "catalogue.sku_conflicts": lambda store: store.catalogue.sku_conflicts("de", SKUS[:5]),
    "catalogue.lookalikes": lambda store: store.catalogue.lookalikes("de", SKUS[:5]),
    "catalogue.carried_elsewhere": lambda store: store.catalogue.carried_elsewhere("de", SKUS[:5], "p"),
    "catalogue.record_products": lambda store: store.catalogue.record_products(
        "de", "r2", [replace(RUG, product_id=id_) for id_ in SOME]
    ),
    "catalogue.states": lambda store: store.catalogue.states("de", SOME),
    "catalogue.product_ids": lambda store: list(store.catalogue.product_ids("de")),
    "catalogue.group_members": lambda store: store.catalogue.group_members("de", ["g00001"]),
    "catalogue.remove_products": lambda store: store.catalogue.remove_products("de", SOME),
    "exceptions.raise_many": _in_transaction(
        lambda store, conn: store.exceptions.raise_many(conn, "de", [HELD], "r2")
    ),
    "exceptions.resolve": _in_transaction(
        lambda store, conn: store.exceptions.resolve(conn, "de", Kind.PRODUCT_HELD, SOME, "r2")
    ),
    "exceptions.open": lambda store: store.exceptions.open("de"),
    "exceptions.open of a kind": lambda store: store.exceptions.open("de", Kind.PRODUCT_HELD),
    "exceptions.open_causes": lambda store: list(store.exceptions.open_causes("de", Kind.PRODUCT_HELD)),
    "exceptions.get": lambda store: store.exceptions.get("de", 12_500),
    "alerts.newest_opening": lambda store: store.alerts.newest_opening("de"),
    "alerts.untold": lambda store: store.alerts.untold("de"),
    "alerts.overdue": lambda store: store.alerts.overdue("de", TURN),
    "alerts.told_since": lambda store: store.alerts.told_since("de", TURN),
    "alerts.mark": _in_transaction(
        lambda store, conn: store.alerts.mark(conn, "de", HELD.kind, Told.OPENED, [UNTOLD], TURN)
    ),
    "alerts.claim": lambda store: store.alerts.claim("de", TURN, timedelta(minutes=1), without=()),
    "alerts.has_due": lambda store: store.alerts.has_due("de", TURN),
    "alerts.is_over": lambda store: store.alerts.is_over([12_500]),
    "alerts.kinds_since": lambda store: store.alerts.kinds_since("de", TURN),
    "exceptions.find by text": lambda store: store.exceptions.find("de", Filter(text="sku-00001")),
    "exceptions.find by cause": lambda store: store.exceptions.find(
        "de", Filter(kind=Kind.PRODUCT_HELD, cause_group=PRODUCTS[100])
    ),
    "exceptions.decide": _in_transaction(
        lambda store, conn: store.exceptions.decide(
            conn, "de", 12_500, Action.NOTE, None, actor="ann", detail={}, outcome="seen"
        )
    ),
    "exceptions.ids": lambda store: store.exceptions.ids("de", Filter(kind=Kind.PRODUCT_HELD)),
    "listing.exceptions": lambda store: store.listing.exceptions("de", Filter(), Sort.URGENCY, TURN, limit=5),
    "listing.ids": lambda store: store.listing.ids("de", Filter(drills=None), Sort.MONEY, TURN, limit=5),
    "listing.causes": lambda store: store.listing.causes(
        "de", Filter(text="sku"), Sort.DEADLINE, TURN, limit=5, first=3
    ),
    "listing.totals": lambda store: store.listing.totals("de", Filter(), TURN, timedelta(hours=1)),
    "listing.count_causes": lambda store: store.listing.count_causes("de", Filter()),
    "listing.by": lambda store: store.listing.by("place", "de", Filter()),
    "audit_log.latest": lambda store: store.audit_log.latest(["subject-5"], ["note"]),
    "audit_log.since": _in_transaction(lambda store, conn: store.audit_log.since(conn, "subject-5", 3)),
    "questions.is_due": lambda store: store.questions.is_due("de", [Kind.PRODUCT_HELD], TURN),
    "questions.claim": lambda store: store.questions.claim("de", [Kind.PRODUCT_HELD], "run", TURN, limit=5),
    "questions.asked": lambda store: store.questions.asked("de", "run", [12_500]),
    "questions.answered": _in_transaction(
        lambda store, conn: store.questions.answered(conn, "de", "run", [12_500], at=TURN)
    ),
    "runs.start": lambda store: store.runs.start("de", "sync", "run-5", "delta"),
    "runs.finish": lambda store: store.runs.finish("de", "sync", "run-5", status="done", counts={}),
    "runs.fail": lambda store: store.runs.fail("de", "sync", "run-5", stage="push", reason="why"),
    "runs.resume": lambda store: store.runs.resume("de", "sync", "run-5"),
    "availability.shown": lambda store: store.availability.shown("de", SKUS[:5]),
    "availability.to_read": lambda store: store.availability.to_read("de", now(), 50),
    "availability.read_soon": lambda store: store.availability.read_soon("de", SKUS[:5], now()),
    "availability.record": _in_transaction(
        lambda store, conn: store.availability.record(
            conn, "de", TURN, {sku: Wanted({"s1": 3, "s4": 4}, False) for sku in SKUS[:5]}, now()
        )
    ),
    "availability.claim_levels": lambda store: store.availability.claim_levels(
        "de", "b", 50, due=now(), until=now()
    ),
    "availability.confirm_levels": lambda store: store.availability.confirm_levels("de", "b", [LEVEL]),
    "availability.postpone_levels": lambda store: store.availability.postpone_levels(
        "de", "b", [LEVEL], lambda level: now(), refused=True
    ),
    "availability.drop_levels": lambda store: store.availability.drop_levels("de", "b", [LEVEL]),
    "availability.claim_flags": lambda store: store.availability.claim_flags(
        "de", "h", 50, due=now(), until=now()
    ),
    "availability.confirm_flags": lambda store: store.availability.confirm_flags("de", "h", [FLAG]),
    "availability.hold": lambda store: store.availability.hold("de", "h", SKUS[:5], now()),
    "availability.told_by_catalogue": lambda store: store.availability.told_by_catalogue(
        "de", "h", [SHOWN], SKUS[1:5]
    ),
    "availability.seen_by_catalogue": lambda store: store.availability.seen_by_catalogue("de", [SHOWN]),
    "availability.forget": lambda store: store.availability.forget("de", {"p": SKUS[:5]}),
    "availability.has_due": lambda store: store.availability.has_due("de", now()),
    "catalogue.skus_alike": lambda store: store.catalogue.skus_alike("de", SKUS[:5]),
    "catalogue.skus_beginning": lambda store: store.catalogue.skus_beginning("de", SKUS[0], 5),
    "stock.add_movements": _in_transaction(
        lambda store, conn: store.stock.add_movements(conn, [_movement("de", SKUS[7], "new")])
    ),
    "stock.recorded": _in_transaction(
        lambda store, conn: store.stock.recorded(conn, "de", Source.API, SKUS[:5])
    ),
    "stock.orders": _in_transaction(lambda store, conn: store.stock.orders(conn, "de", SOME)),
    "stock.rechecks": _in_transaction(lambda store, conn: store.stock.rechecks(conn, "de")),
    "stock.effects": _in_transaction(lambda store, conn: store.stock.effects(conn, "de", SOME)),
    "stock.in_review": lambda store: store.stock.in_review("p-de"),
    "stock.release": _in_transaction(
        lambda store, conn: store.stock.release(conn, "de", "p-de", Place(SKUS[8], "s"), Place(SKUS[8], "s"))
    ),
    "stock.has_waiting": lambda store: store.stock.has_waiting("p-de"),
    "stock.backlog": lambda store: store.stock.backlog("p-de"),
    "stock.claim and what follows": lambda store: _drain(store, "p-de"),
    "stock.applied_since": lambda store: store.stock.applied_since("p-de", {Place(SKUS[7], "s"): TURN}),
    "stock.sales": lambda store: store.stock.sales("p-de", Place(SKUS[7], "s"), 100),
    "stock.unpark": _in_transaction(
        lambda store, conn: store.stock.unpark(conn, "p-de", Place(SKUS[7], "s"))
    ),
    "stock.positions": lambda store: store.stock.positions("p-de", [Place(sku, "s") for sku in SKUS[:5]]),
    "stock_story.ledger": lambda store: store.stock_story.ledger(
        "de", "p-de", Place(SKUS[7], "s"), TURN - timedelta(days=14)
    ),
    "stock_story.product_of": lambda store: store.stock_story.product_of("de", SKUS[7]),
    "stock_story.beginning": lambda store: store.stock_story.beginning("de", "p-de", SKUS[7][:-1], 20),
    "stock_story.places_of": lambda store: store.stock_story.places_of("de", "p-de", SKUS[7]),
    "captures.queue": _in_transaction(
        lambda store, conn: store.captures.queue(conn, "de", [_queued(id_) for id_ in ("new", *SOME)])
    ),
    "captures.changed_between": lambda store: store.captures.changed_between("de", now(), now()),
    "captures.captured_between": lambda store: store.captures.captured_between("de", now(), now()),
    "captures.claim and what follows": lambda store: _capture(store, "de"),
    "captures.claim of a window": lambda store: store.captures.claim(
        "de", "b", now(), limit=5, lease_seconds=-1, only=SOME
    ),
    "captures.has_due": lambda store: store.captures.has_due("de", now()),
    "captures.reopen": _in_transaction(
        lambda store, conn: store.captures.reopen(conn, "de", SOME, "old", "new")
    ),
    "captures.work": _in_transaction(lambda store, conn: store.captures.work(conn, "de", SOME[0])),
    "captures.get": _in_transaction(lambda store, conn: store.captures.get(conn, "de", SOME[0], lock=True)),
    "captures.by_ids": _in_transaction(lambda store, conn: store.captures.by_ids(conn, "de", SOME)),
    "captures.by_ct_orders": _in_transaction(
        lambda store, conn: store.captures.by_ct_orders(conn, "de", SOME)
    ),
    "captures.by_numbers": _in_transaction(lambda store, conn: store.captures.by_numbers(conn, "de", SOME)),
    "captures.content": _in_transaction(lambda store, conn: store.captures.content(conn, "de", SOME[0])),
    "captures.contact": _in_transaction(lambda store, conn: store.captures.contact(conn, "de", SOME[0])),
    "captures.accounting": lambda store: store.captures.accounting("de", now(), now()),
    "order_news.has_news": lambda store: store.order_news.has_news("de", now()),
    "order_news.claim and what follows": lambda store: _tell(store, "de"),
    "order_news.saw_shop": _in_transaction(
        lambda store, conn: store.order_news.saw_shop(
            conn, "de", dict.fromkeys(SOME, OrderStatus.VOIDED), SOME[:5]
        )
    ),
    "order_effects.in_review": _in_transaction(
        lambda store, conn: store.order_effects.in_review(conn, "de", "p-de")
    ),
    "order_effects.in_review of an order": _in_transaction(
        lambda store, conn: store.order_effects.in_review(conn, "de", "p-de", SOME[0])
    ),
    "order_effects.move": _in_transaction(
        lambda store, conn: store.order_effects.move(conn, "de", "p-de", SOME[1], "t")
    ),
    "order_effects.give_back": _in_transaction(
        lambda store, conn: store.order_effects.give_back(conn, "de", "p-de", SOME[2], "why")
    ),
    "order_decisions": _in_transaction(lambda store, conn: _decide(store, conn, "de", SOME[3])),
    "protection.signs": lambda store: store.protection.signs("de", "p-de", ("a", "b")),
    "protection.unsent of some": _in_transaction(
        lambda store, conn: store.protection.unsent(conn, "p-de", SKUS[:5])
    ),
    "protection.sold": lambda store: store.protection.sold("de", TURN - timedelta(days=30), 2.0),
    "protection.holds": _in_transaction(
        lambda store, conn: store.protection.holds(conn, "de", "p-de", SKUS[:5])
    ),
    "protection.sending": _in_transaction(
        lambda store, conn: store.protection.sending(conn, "p-de", SKUS[:5])
    ),
    "protection.protect": _in_transaction(
        lambda store, conn: store.protection.protect(conn, "de", [_risk(sku) for sku in SKUS[3:8]], TURN)
    ),
    "protection.in_force, end and release": _in_transaction(
        lambda store, conn: _protect_no_longer(store, conn, [Place(sku, "s") for sku in SKUS[:5]])
    ),
    "availability.counted": _in_transaction(
        lambda store, conn: store.availability.counted(conn, "de", SKUS[:5])
    ),
    "availability.lower": _in_transaction(
        lambda store, conn: store.availability.lower(conn, "de", {SKUS[3]: Wanted({"s1": 0}, False)})
    ),
    "audit_log.entries": lambda store: store.audit_log.entries("subject-5"),
}


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def loaded(request: pytest.FixtureRequest) -> Iterator[URL]:
    """A store of several links with some thousands of rows in each table that grows."""
    databases: Databases = request.getfixturevalue(f"{request.param}_databases")
    with databases.current() as url:
        store = open_store(url)
        for link in LINKS:
            _fill(store, link)
            _fill_availability(store, link)
            _fill_stock(store, link)
            _fill_alerts(store, link)
            _fill_captures(store, link)
            _fill_protection(store, link)
            _fill_drift(store, link)
            _fill_health(store, link)
        with database(url).begin() as conn:
            for number in range(1000):
                store.audit_log.write("ann", "decide", f"subject-{number}", link=LINKS[number % 3], conn=conn)
            if not database(url).is_sqlite:  # PostgreSQL plans by statistics that it keeps, SQLite has none
                conn.exec_driver_sql("ANALYZE")
        yield url


def _fill(store: Store, link: str) -> None:
    for kind in ("product", "variant"):
        store.fingerprints.remember(link, kind, dict.fromkeys(PRODUCTS, "h"), "r1")
    rows = [(sku, PRODUCTS[number // 3], number % 3) for number, sku in enumerate(SKUS)]
    store.catalogue.register_skus(link, "r1", PRODUCTS, rows)
    groups = [(f"g{number % 200:05d}", f"g{number % 190:05d}") for number in range(len(PRODUCTS))]
    store.catalogue.record_products(
        link,
        "r1",
        [
            replace(RUG, product_id=id_, group_ids=shown, group_order={})
            for id_, shown in zip(PRODUCTS, groups, strict=True)
        ],
    )
    with store.begin() as conn:
        for kind in (Kind.PRODUCT_HELD, Kind.LOCATION_INCOMPLETE):
            causes = [replace(HELD, kind=kind, cause_key=id_) for id_ in PRODUCTS]
            store.exceptions.raise_many(conn, link, causes, "r1")
            store.exceptions.resolve(conn, link, kind, PRODUCTS[50:], "r2")
        upsert(conn, sync_run, [_run(link, number) for number in range(200)], key=("link", "flow", "run_key"))


def _fill_availability(store: Store, link: str) -> None:
    """Some levels are due, most are told."""
    available, skus = store.availability, SKUS[::3]
    available.told_by_catalogue(link, "h", [Shown(sku, "p", True, True, False) for sku in SKUS])
    turn = available.begin(link)
    wanted = dict.fromkeys(skus, Wanted({f"s{number}": number for number in range(4)}, True))
    with store.begin() as conn:
        available.record(conn, link, turn, wanted, now())
    claimed = available.claim_levels(link, "b", 11_500, due=now(), until=now())
    available.confirm_levels(link, "b", claimed)
    with store.begin() as conn:
        for flow in (
            TURN_FLOW,
            *(f"flow-{number}" for number in range(300)),
        ):  # a small table is read as a whole
            store.watermarks.set(conn, link, flow, TURN)


def _fill_drift(store: Store, link: str) -> None:
    """Some nights with many findings each."""
    for number in range(3):
        night = f"2026-11-{number + 1:02d}"
        subjects = [str(Place(sku, "s")) for sku in SKUS[:1000]]
        cause = Area.STOCK, Cause.LOST
        found = [
            (Finding(link, night, *cause, subject, "m", (), Owner.PLATFORM, "a", 1), FindingState.REPORTED)
            for subject in subjects
        ]
        store.drift.begin(link, night, "r", backfilled=False)
        with store.begin() as conn:
            total = NightTotal(night, *cause, "", 1000, 1000, 0)
            store.drift.record(conn, link, night, [total], found)


def _fill_protection(store: Store, link: str) -> None:
    with store.begin() as conn:
        for chunk in chunks(SKUS[:2000], 400):
            store.protection.protect(conn, link, [_risk(sku) for sku in chunk], TURN)


def _fill_alerts(store: Store, link: str) -> None:
    with store.begin() as conn:
        for number in range(500):
            told = NewAlert("default", HELD.kind, f"g{number}", "warning", [number], "subject", "body")
            store.alerts.write(conn, link, told, TURN)
    for _ in range(480):
        taken = store.alerts.claim(link, TURN, timedelta(minutes=1), without=())
        assert taken is not None
        with store.begin() as conn:
            store.alerts.settle(conn, taken, AlertState.SENT, TURN)


def _risk(sku: str) -> Risk:
    return Risk(Place(sku, "s"), 1, 0, 0, timedelta(minutes=2), 1.0)


def _protect_no_longer(store: Store, conn: sa.Connection, places: list[Place]) -> None:
    store.protection.in_force(conn, "de", dict.fromkeys(places, 5), TURN)
    store.protection.end(conn, "de", places, TURN)
    store.protection.release(conn, "de", places, TURN)


def _movement(link: str, sku: str, id_: str, **more: Any) -> NewMovement:
    amount: dict[str, Any] = {} if "counted" in more else {"delta": -1}
    return NewMovement(link, f"p-{link}", sku, "s", Source.API, id_, "o", TURN, **amount, **more)


def _fill_stock(store: Store, link: str) -> None:
    """Most movements are applied, some wait, some are in review."""
    orders = [StoredOrder(id_, "PAID", TURN, {}, "h", recheck=id_ in SOME) for id_ in PRODUCTS]
    with store.begin() as conn:
        store.stock.save_orders(conn, link, orders)
        store.stock.save_effects(conn, link, [Effect(id_, Place(SKUS[7], "s"), -1, 1) for id_ in PRODUCTS])
        store.stock.add_movements(conn, (_movement(link, sku, f"{sku}/1") for sku in SKUS))
    while batches := store.stock.claim(f"p-{link}", "w", limit=5000, lease_seconds=60):
        done = [Applied(one.id, Position(one.place, one.id, 1, 1, 1)) for one in batches]
        with store.begin() as conn:
            store.stock.settle(conn, f"p-{link}", done)
    with store.begin() as conn:
        store.stock.add_movements(conn, (_movement(link, sku, f"{sku}/2") for sku in SKUS[:400]))
        review = (_movement(link, sku, f"{sku}/3", state=MovementState.REVIEW) for sku in SKUS[:300])
        store.stock.add_movements(conn, review)
        store.stock.add_movements(conn, [_movement(link, SKUS[3], "c", counted=1)])


def _queued(id_: str, **more: Any) -> Queued:
    given: dict[str, Any] = {
        "order_id": id_,
        "order_number": f"CS-{id_}",
        "status": "PAID",
        "state": CaptureState.WAITING,
        "reason": "is to be looked at",
        "due_at": TURN,
        "place": "Leeds",
        "currency": "GBP",
        "units": 1,
        "ordered_at": TURN,
        "changed_at": TURN,
        "confirmed_at": TURN,
        "changed": True,
        "email": "ann@example.com",
        **more,
    }
    return Queued(**given)


def _fill_captures(store: Store, link: str) -> None:
    """Most orders are captured and told of, some are due."""
    with store.begin() as conn:
        store.captures.queue(conn, link, map(_queued, PRODUCTS))
    done = store.captures.claim(link, "a", now(), limit=len(PRODUCTS) - 150, lease_seconds=60)
    landed = [
        Landed(f"ct-{one.capture.order_id}", Origin.KIOSK, "PAID", tell=number < 200)
        for number, one in enumerate(done)
    ]
    with store.begin() as conn:
        outcomes = [
            Settled(one.capture.order_id, 1, CaptureState.CAPTURED, landed=there)
            for one, there in zip(done, landed, strict=True)
        ]
        store.captures.settle(conn, link, "a", outcomes)


def _capture(store: Store, link: str) -> None:
    """Everything that can become of claimed orders."""
    captures = store.captures
    claimed = captures.claim(link, "a", now(), limit=20, lease_seconds=60)
    ids = [one.capture.order_id for one in claimed]
    assert len(ids) > 10
    captures.renew(link, "a", ids, 60)
    captures.ahead(link, "a", [Ahead(id_, "h", "GBP", 1, 1) for id_ in ids], 60)
    with store.begin() as conn:
        outcomes = [Settled(id_, 1, CaptureState.REVIEW, "order line") for id_ in ids[:10]]
        captures.settle(conn, link, "a", outcomes)
    captures.hand_back(link, "a", ids[10:])


def _tell(store: Store, link: str) -> None:
    """Orders that are told of, and others that have to wait."""
    news = store.order_news
    claimed = news.claim(link, now(), limit=20, until=now())
    assert len(claimed) > 10
    news.about_to_tell(link, {one.order_id: OrderStatus.VOIDED for one in claimed})
    with store.begin() as conn:
        news.told(conn, link, [TellsOrder(one, told_status=OrderStatus.VOIDED) for one in claimed[:10]])
        news.postpone(conn, link, [(one, now()) for one in claimed[10:]])


def _decide(store: Store, conn: sa.Connection, link: str, order: str) -> None:
    """All that people may say of an order."""
    decisions, found = store.order_decisions, store.captures.get(conn, link, order, lock=True)
    assert found is not None
    decisions.is_held(conn, link, order)
    decisions.edit(conn, link, found, {"paid": "yes"}, "ann")
    decisions.set_contact(conn, link, order, "ann@example.com")
    decisions.set_contact(conn, link, order, None)
    decisions.replay(conn, link, found, "ann")
    decisions.exclude(conn, link, found, OrderStatus.PLACED, "a test", "ann")
    decisions.enter(conn, link, found, Entered(order, "ct", "HAND-1", "GBP", 1, deducts=True), "ann")
    store.stock.read_again(conn, link, order)


def _drain(store: Store, project: str) -> None:
    """Everything that can become of batches, and a second claim that takes over what was left."""
    stock = store.stock
    first = stock.claim(project, "a", limit=60, lease_seconds=-1)
    again = stock.claim(project, "a", limit=80, lease_seconds=60)
    ids = [batch.id for batch in again]
    assert set(ids) > {batch.id for batch in first}
    (movement_id, *_), *_ = ([one.id for one in held] for held in stock.movements_of(ids).values())
    stock.links_of(ids)
    stock.renew(ids, "a", 60)
    stock.aim("a", [Aim(id_, "e", 1, {movement_id: "why"}) for id_ in ids[:50]], 60)
    with store.begin() as conn:
        stock.settle(
            conn, project, [Applied(one.id, Position(one.place, "e", 1, 1, 1)) for one in again[:50]]
        )
        stock.park(conn, ids[50], "a", "why", 60)
        stock.review(conn, ids[51], "a", "why")
    stock.hand_back(ids[52:], "a", 60)


def _measure(store: Store, link: str) -> None:
    """What a check measures. All that was filled is of now, so a moment after it stands for the last hour.

    What waits it counts by the index of just that, all of it; that is not tried here.
    """
    measures, since = store.measures, now() + timedelta(hours=1)
    measures.stock_waiting(link, f"p-{link}")
    measures.stock_arrived(link, f"p-{link}", since, since)
    measures.availability_arrived(link, since, since)
    measures.orders_arrived(link, since, since)
    measures.queues(link, now())
    measures.open_by_place(link)


def _account(store: Store, link: str) -> None:
    """Everything that a check counts."""
    accounts, since = store.accounts, now() + timedelta(hours=1)
    accounts.orders(link, since, MovementRules())
    accounts.units(link, since)
    accounts.judged(link, PRODUCTS[:5])
    store.stock_history.unmoved_among(link, PRODUCTS[:5])


def _check(store: Store, link: str) -> None:
    """What a check keeps, and pages read."""
    with store.begin() as conn:
        store.health.save(conn, _snapshot(link, now()), "run")
    store.health.first_check(link)
    store.health.samples(link, now() - timedelta(hours=1), HealthFlow.STOCK)
    store.health.deeds(link, now() + timedelta(hours=1), ["heal"], 10)


def _snapshot(link: str, at: datetime) -> Snapshot:
    flows = tuple(Freshness(flow=flow, state=State.GOOD, age=1.0, target=60.0) for flow in HealthFlow)
    return Snapshot(link=link, checked_at=at, state=State.GOOD, sentence="", flows=flows)


def _fill_health(store: Store, link: str) -> None:
    for number in range(300):
        with store.begin() as conn:
            store.health.save(conn, _snapshot(link, TURN - timedelta(minutes=5 * number)), "run")


def _run(link: str, number: int) -> Values:
    return {
        "link": link,
        "flow": "sync",
        "run_key": f"run-{number}",
        "mode": "delta",
        "params": {},
        "status": "done",
        "attempts": 1,
        "counts": {},
        "started_at": now(),
    }


@pytest.mark.parametrize("name", CALLS)
def test_rows_are_found_by_an_index(loaded: URL, name: str) -> None:
    opened, store = database(loaded), open_store(loaded)
    with _recorded(opened) as sent:
        CALLS[name](store)
    assert any(table in statement for statement, _ in sent for table in metadata.tables)
    explain = _sqlite_scans if opened.is_sqlite else _postgresql_scans
    with opened.begin() as conn:
        for statement, parameters in sent:
            assert explain(conn, statement, parameters) == [], statement[:300]


@contextmanager
def _recorded(opened: Database) -> Iterator[list[tuple[str, Any]]]:
    """Statements that the block sends, with their parameters (of many rows, the first)."""
    sent: list[tuple[str, Any]] = []

    def record(_conn: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if statement.startswith(("SELECT", "INSERT", "UPDATE", "DELETE")):
            sent.append((statement, parameters[0] if isinstance(parameters, list) else parameters))

    sa.event.listen(opened.engine, "before_cursor_execute", record)
    yield sent
    sa.event.remove(opened.engine, "before_cursor_execute", record)


def _sqlite_scans(conn: sa.Connection, statement: str, parameters: Any) -> list[str]:
    """Steps that read a whole table, or all rows of a link or a project although not in the order of a page."""
    steps = [step.detail for step in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    scans = tuple(f"SCAN {table}" for table in metadata.tables)
    return [
        step
        for step in steps
        if not any(f"INDEX {name} " in f"{step} " for name in SMALL)
        and (
            step.startswith(scans)
            or (step.endswith(("(link=?)", "(project=?)")) and not _is_page(statement, steps))
        )
    ]


def _postgresql_scans(conn: sa.Connection, statement: str, parameters: Any) -> list[str]:
    plan = conn.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()
    nodes = list(_nodes(plan[0]["Plan"]))
    kinds = [node["Node Type"] for node in nodes]
    return [
        f"{node['Node Type']} {node.get('Index Cond', '')}"
        for node in nodes
        if node["Node Type"] == "Seq Scan"
        or (
            node["Node Type"] in ("Index Scan", "Index Only Scan", "Bitmap Index Scan")
            and " AND " not in node.get("Index Cond", "")
            and node.get("Index Cond", "(link").startswith("(link")
            and node["Index Name"] not in SMALL
            and not _is_page(statement, kinds)
        )
    ]


def _is_page(statement: str, steps: list[str]) -> bool:
    """Whether rows are read in the order of an index up to a limit."""
    return "LIMIT" in statement and not any("ORDER BY" in step or "Sort" in step for step in steps)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from _nodes(inner)
