"""What lies outside: whoever stops letting us in, telling us or selling is noticed and named, and closed when over."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.support.arrivals import Sold, arrive
from tests.support.outside import (
    KIOSK,
    LINK,
    SHOP,
    AlwaysOpen,
    NeverOpen,
    Outskirts,
    one,
    states,
)

from cogent_ops.clients.transport import close_sessions
from cogent_ops.domain.exceptions import Kind
from cogent_ops.domain.health.model import State
from cogent_ops.errors import ConnectionConfigError
from cogent_ops.sandbox.cloudshelf_state import ALL_PERMISSIONS, KioskBehaviour
from cogent_ops.sandbox.dataset import Dataset
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.sandbox.state import Behaviour
from cogent_ops.services.beat import COLLECTED, POLLED, SHOP_LOOKED
from cogent_ops.services.health.credentials import NEVER
from cogent_ops.services.health.looking import OutsideReport
from cogent_ops.services.health.outside import Outside, prepared
from cogent_ops.store import Store

GOOD, UNKNOWN, LATE, BAD = State.GOOD, State.UNKNOWN, State.LATE, State.BAD
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

Begin = Callable[..., Outskirts]


@pytest.fixture
def begin(dataset: Dataset) -> Iterator[Begin]:
    """Starts both systems: ``begin(store, rules={…}, behaviour=…, kiosk=…)``."""
    with ExitStack() as stack:

        def made(store: Store, **more: Any) -> Outskirts:
            sandbox = {name: more.pop(name) for name in ("behaviour", "kiosk") if name in more}
            server = stack.enter_context(SandboxServer(dataset, **sandbox))
            return Outskirts(server, store, **more)

        yield made
        close_sessions()


@pytest.fixture
def world(begin: Begin, store: Store) -> Outskirts:
    return begin(store)


@pytest.fixture
def small(begin: Begin, local: Store) -> Outskirts:
    """For what does not depend on the database."""
    return begin(local)


def use_all_flows(store: Store) -> None:
    with store.begin() as conn:
        for mark in (POLLED, COLLECTED, SHOP_LOOKED, "catalogue_sync"):
            store.watermarks.set(conn, LINK, mark, datetime.now(UTC))


# As a whole


def test_all_is_well(world: Outskirts) -> None:
    use_all_flows(world.store)
    found = world.look()
    assert found.found == ()
    assert states(found.checks) == {
        "commercetools access": GOOD,
        "Cloudshelf access": GOOD,
        "Messages": GOOD,
        "Subscriptions": GOOD,
        "Kiosks": GOOD,
        "Orders from stores": GOOD,
    }
    assert found.stores


def test_an_api_out_of_reach_raises_nothing_and_closes_nothing(world: Outskirts) -> None:
    world.subscribe()
    world.look()
    world.change("subscription", subscription="erp", status="ManuallySuspended")
    world.change("key", revoked=True)
    world.look()
    before = {kind: world.open(kind) for kind in Kind}
    assert before[Kind.CREDENTIAL]
    assert before[Kind.SUBSCRIPTION_STOPPED]
    world.server.stop()
    close_sessions()
    found = world.look()
    assert set(states(found.checks).values()) == {UNKNOWN}
    assert {kind: world.open(kind) for kind in Kind} == before


class Slow:
    name = "Slow"

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def ask(self) -> None:
        self.go_on.wait(30)

    def judge(self, answer: None, now: datetime) -> OutsideReport:
        raise AssertionError("nobody waited for it")


class Broken:
    name = "Broken"

    def ask(self) -> None:
        raise KeyError("status")

    def judge(self, answer: None, now: datetime) -> OutsideReport:
        raise AssertionError("there is nothing to judge")


def test_a_slow_or_broken_look_hides_nothing(small: Outskirts) -> None:
    slow = Slow()
    small.look("messages")  # The first look takes longer than others: it logs in.
    found = Outside([slow, Broken(), small.looks()["messages"]], patience=8.0).look(datetime.now(UTC))
    slow.go_on.set()
    assert states(found.checks) == {"Slow": UNKNOWN, "Broken": UNKNOWN, "Messages": GOOD}
    assert "KeyError" in one(found, "Broken").message


def test_all_ask_at_the_same_time() -> None:
    """Else one that waits would make the others late."""
    met = threading.Barrier(3, timeout=10)

    class Meeting:
        name = "Meeting"

        def ask(self) -> int:
            return met.wait()

        def judge(self, answer: int, now: datetime) -> OutsideReport:
            return OutsideReport(reasons={str(answer): ("met",)})

    found = Outside([Meeting(), Meeting(), Meeting()]).look(datetime.now(UTC))
    assert found.reasons.keys() == {"0", "1", "2"}


def test_a_connection_that_cannot_be_used_is_said_where_it_is_asked_for() -> None:
    def broken() -> int:
        raise ConnectionConfigError(SHOP, "host", "it is empty", "Fill it in.")

    make = prepared(broken)
    with pytest.raises(ConnectionConfigError, match="Fill it in"):
        make()
    assert prepared(lambda: 3)() == 3


# Access


def test_a_revoked_client_is_noticed_at_once(world: Outskirts) -> None:
    """Its token would be good for two days: only a new one shows that nobody is let in any more."""
    world.look("shop", "kiosk")
    world.change("client", revoked=True)
    found = world.look("shop", "kiosk")
    assert states(found.checks) == {"commercetools access": BAD, "Cloudshelf access": GOOD}
    (said,) = world.open(Kind.CREDENTIAL)
    assert SHOP in said
    assert "was let in at" in said
    assert "sandbox-secret" not in repr(found)
    world.server.state.commercetools.reset()
    world.look("shop")
    assert world.open(Kind.CREDENTIAL) == []


def test_a_revoked_key_is_noticed_and_named(world: Outskirts) -> None:
    world.look("kiosk")
    world.change("key", revoked=True)
    found = world.look("shop", "kiosk")
    assert states(found.checks) == {"commercetools access": GOOD, "Cloudshelf access": BAD}
    (said,) = world.open(Kind.CREDENTIAL)
    assert KIOSK in said
    assert "sandbox-key" not in repr(found)
    world.change("key", revoked=False)
    found = world.look("kiosk")
    assert "'Connector'" in one(found, "Cloudshelf access").message
    assert world.open(Kind.CREDENTIAL) == []


def test_what_was_decided_of_one_refusal_holds_for_no_other(small: Outskirts) -> None:
    small.look("kiosk")
    small.change("key", revoked=True)
    small.look("kiosk")
    small.decide(Kind.CREDENTIAL)
    small.look("kiosk")
    assert small.open(Kind.CREDENTIAL) == []
    small.change("key", revoked=False)
    small.look("kiosk", later=MINUTE)
    small.change("key", revoked=True)
    small.look("kiosk", later=2 * MINUTE)
    assert len(small.open(Kind.CREDENTIAL)) == 1


def test_rights_that_flows_in_use_lack_are_named(small: Outskirts) -> None:
    scopes = ["view_products:sandbox", "view_project_settings:sandbox", "view_categories:sandbox"]
    small.change("client", scopes=scopes)
    small.change("key", permissions=["CATALOGUE:READ", "LOCATIONS:READ"])
    assert small.look("shop", "kiosk").found == (), "no flow has run yet"
    with small.store.begin() as conn:
        small.store.watermarks.set(conn, LINK, POLLED, datetime.now(UTC))
    found = small.look("shop", "kiosk")
    assert states(found.checks) == {"commercetools access": BAD, "Cloudshelf access": BAD}
    to_kiosk, to_shop = sorted(small.open(Kind.CREDENTIAL))
    assert "manage_products (for inventory)" in to_shop
    assert "manage_orders" not in to_shop, "nobody captures orders"
    assert "READ of ORDERS" in to_kiosk
    small.change("client", scopes=["manage_project:sandbox"])
    small.change("key", permissions=sorted(ALL_PERMISSIONS))
    small.look("shop", "kiosk")
    assert small.open(Kind.CREDENTIAL) == []


# When access ends


def ending(days: int) -> date:
    """So many days from now, by the calendar of the business."""
    return datetime.now(ZoneInfo(AlwaysOpen().timezone)).date() + timedelta(days=days)


@pytest.mark.parametrize(
    ("days", "state", "words"),
    [
        (400, GOOD, "in 400 days"),
        (31, GOOD, "in 31 days"),
        (30, LATE, "in 30 days"),
        (1, LATE, "in 1 day"),
        (-1, BAD, "ended on"),
    ],
)
def test_whoever_must_renew_an_access_hears_of_it_before(
    small: Outskirts, days: int, state: State, words: str
) -> None:
    small.ends = {KIOSK: ending(days), SHOP: NEVER}
    found = small.look("ends")
    assert states(found.checks) == {f"End of {KIOSK}": state}
    assert words in one(found, f"End of {KIOSK}").message
    assert len(small.open(Kind.CREDENTIAL)) == (state is not GOOD)
    small.ends = {KIOSK: ending(400), SHOP: NEVER}
    small.look("ends")
    assert small.open(Kind.CREDENTIAL) == []


def test_what_commercetools_says_of_the_end_counts_where_it_is_sooner(small: Outskirts) -> None:
    small.ends = {SHOP: ending(300), KIOSK: NEVER}
    small.change("client", deleteAt=(datetime.now(UTC) + 10 * DAY).isoformat())
    assert states(small.look("ends").checks) == {f"End of {SHOP}": LATE}
    small.change("client", deleteAt=(datetime.now(UTC) + 500 * DAY).isoformat())
    assert "300 days" in one(small.look("ends"), f"End of {SHOP}").message
    small.change("client", scopes=["view_products:sandbox"], deleteAt=None)
    small.ends = {SHOP: None, KIOSK: None, "cogent_ops_store": None}
    found = one(small.look("ends"), "End of access")
    assert found.state is UNKNOWN
    assert f"{SHOP} and {KIOSK}" in found.message
    assert "expires_on" in found.cure


def test_nobody_is_woken_because_of_next_month(small: Outskirts) -> None:
    small.hours = NeverOpen()
    small.ends = {KIOSK: ending(20), SHOP: ending(1)}
    found = small.look("ends")
    assert states(found.checks) == {f"End of {KIOSK}": LATE, f"End of {SHOP}": LATE}
    (said,) = small.open(Kind.CREDENTIAL)
    assert SHOP in said, "tomorrow is another matter"
    small.hours = AlwaysOpen()
    small.look("ends")
    small.hours = NeverOpen()
    small.look("ends")
    assert len(small.open(Kind.CREDENTIAL)) == 2, "what people know of stays"


def test_a_last_day_that_is_none_is_said(small: Outskirts) -> None:
    cure = "Write year, month and day, such as 2027-06-30, or never."
    small.ends = {
        KIOSK: ConnectionConfigError(KIOSK, "extra expires_on", "'soon' is no date", cure),
        SHOP: NEVER,
    }
    found = one(small.look("ends"), f"End of {KIOSK}")
    assert (found.state, found.cure) == (LATE, cure)
    assert small.open(Kind.CREDENTIAL) == []


# Messages


def test_a_project_that_kept_messages_must_go_on(world: Outskirts) -> None:
    assert states(world.look("messages", "gaps").checks) == {"Messages": GOOD}
    world.keep_messages(False)
    found = world.look("messages", "gaps", later=MINUTE)
    assert one(found, "Messages").state is LATE
    assert "changeMessagesConfiguration" in one(found, "Messages").cure
    assert len(world.open(Kind.MESSAGES_OFF)) == 1
    (gap,) = world.store.gaps.open(LINK)
    assert abs(gap.began_at - datetime.now(UTC)) < MINUTE, "from when they were seen last"
    world.keep_messages(True)
    found = world.look("messages", "gaps", later=2 * MINUTE)
    assert one(found, "Messages").state is GOOD
    assert one(found, "Gap of Messages").state is LATE
    (said,) = world.open(Kind.MESSAGES_OFF)
    assert "being read again" in said, "on again is not the end of it"


@pytest.mark.parametrize(
    ("rule", "state", "raised"), [("watch", GOOD, 0), ("ignore", GOOD, 0), ("required", LATE, 1)]
)
def test_a_project_without_messages(begin: Begin, local: Store, rule: str, state: State, raised: int) -> None:
    world = begin(local, rules={"messages": rule})
    world.keep_messages(False)
    assert one(world.look("messages", "gaps"), "Messages").state is state
    assert len(world.open(Kind.MESSAGES_OFF)) == raised


def test_somebody_may_leave_them_off(begin: Begin, local: Store) -> None:
    world = begin(local)
    world.look("messages", "gaps")
    world.keep_messages(False)
    world.look("messages", "gaps")
    world.decide(Kind.MESSAGES_OFF)
    found = world.look("messages", "gaps")
    assert one(found, "Messages").state is GOOD
    assert world.open(Kind.MESSAGES_OFF) == []
    ignoring = Outskirts(world.server, local, rules={"messages": "ignore"})
    ignoring.look("messages", "gaps")
    assert local.gaps.open(LINK) == []
    (gap,) = local.gaps.recent(LINK, datetime.now(UTC) - HOUR)
    assert "not needed" in gap.detail["given_up"]


def test_messages_must_outlast_a_long_weekend(small: Outskirts) -> None:
    small.keep_messages(True, days=3)
    assert one(small.look("messages"), "Messages").state is LATE
    small.change("client", scopes=["view_products:sandbox"])
    close_sessions()
    assert one(small.look("messages"), "Messages").state is UNKNOWN


# Subscriptions


@pytest.mark.parametrize(
    ("status", "state", "raised"),
    [
        ("Healthy", GOOD, False),
        ("TemporaryError", LATE, False),
        ("ConfigurationError", BAD, True),
        ("ConfigurationErrorDeliveryStopped", BAD, True),
        ("ManuallySuspended", BAD, True),
    ],
)
def test_each_status_of_a_subscription(small: Outskirts, status: str, state: State, raised: bool) -> None:
    small.subscribe()
    small.look("subscriptions", "gaps")
    small.change("subscription", subscription="erp", status=status)
    found = small.look("subscriptions", "gaps")
    assert states(found.checks) == {"Subscriptions" if state is GOOD else "Subscription erp": state}
    assert len(small.open(Kind.SUBSCRIPTION_STOPPED)) == raised
    assert len(small.store.gaps.open(LINK)) == raised


def test_what_a_stopped_subscription_means_is_said(world: Outskirts) -> None:
    world.subscribe()
    world.subscribe("pim")
    seen = datetime.now(UTC)
    world.look("subscriptions", "gaps")
    world.change("subscription", subscription="erp", status="ConfigurationErrorDeliveryStopped")
    found = world.look("subscriptions", "gaps", later=5 * MINUTE)
    assert one(found, "Subscriptions").message == "They deliver: 1 Subscription."
    (said,) = world.open(Kind.SUBSCRIPTION_STOPPED)
    assert said.startswith("Subscription 'erp' (SQS) has the status ConfigurationErrorDeliveryStopped")
    assert "discarded, not kept" in said
    assert f"{seen:%Y-%m-%d}" in said
    world.change("subscription", subscription="erp", status="ManuallySuspended")
    world.look("subscriptions", "gaps", later=10 * MINUTE)
    (said,) = world.open(Kind.SUBSCRIPTION_STOPPED)
    assert "ManuallySuspended" in said, "one case, as it stands now"
    (gap,) = world.store.gaps.open(LINK)
    assert abs(gap.began_at - seen) < MINUTE


def test_trouble_that_does_not_pass_is_a_stop(small: Outskirts) -> None:
    small.subscribe()
    small.look("subscriptions", "gaps")
    small.change("subscription", subscription="erp", status="TemporaryError")
    small.look("subscriptions", "gaps", later=59 * MINUTE)
    assert small.open(Kind.SUBSCRIPTION_STOPPED) == []
    small.look("subscriptions", "gaps", later=61 * MINUTE)
    assert len(small.open(Kind.SUBSCRIPTION_STOPPED)) == 1


def test_one_that_is_gone_is_missed_until_somebody_says_that_it_may_be(small: Outskirts) -> None:
    small.subscribe()
    small.look("subscriptions", "gaps")
    small.unsubscribe()
    found = small.look("subscriptions", "gaps")
    assert one(found, "Subscription erp").state is BAD
    (said,) = small.open(Kind.SUBSCRIPTION_STOPPED)
    assert "is not there any more" in said
    small.decide(Kind.SUBSCRIPTION_STOPPED)
    small.look("subscriptions", "gaps")
    assert states(small.look("subscriptions", "gaps").checks) == {"Subscriptions": GOOD}
    assert small.store.gaps.open(LINK) == []


def test_one_that_was_created_anew_between_two_looks_has_a_gap(small: Outskirts) -> None:
    """Its key and its status are the same; what came in between was told to nobody."""
    small.subscribe()
    small.look("subscriptions", "gaps")
    small.unsubscribe()
    small.subscribe()
    found = small.look("subscriptions", "gaps", later=MINUTE)
    assert one(found, "Subscriptions").state is GOOD
    assert len(small.open(Kind.SUBSCRIPTION_STOPPED)) == 1
    (gap,) = small.store.gaps.open(LINK)
    assert gap.ended_at is not None


def test_which_subscriptions_matter_is_a_setting(begin: Begin, local: Store) -> None:
    world = begin(local, rules={"subscriptions": ("erp", "pim")})
    world.subscribe()
    world.subscribe("others")
    world.change("subscription", subscription="others", status="ManuallySuspended")
    found = world.look("subscriptions", "gaps")
    assert states(found.checks) == {"Subscriptions": GOOD, "Subscription pim": BAD}
    assert "'pim' is not there" in world.open(Kind.SUBSCRIPTION_STOPPED)[0]
    nobody = Outskirts(world.server, local, rules={"subscriptions": "none"})
    assert nobody.look("subscriptions", "gaps").checks == ()
    assert nobody.open(Kind.SUBSCRIPTION_STOPPED) == []
    assert local.gaps.sources(LINK, "subscription") == {}


@pytest.mark.parametrize(("rule", "state"), [("all", UNKNOWN), (("erp",), LATE)])
def test_whoever_may_not_look_says_so(begin: Begin, local: Store, rule: Any, state: State) -> None:
    world = begin(
        local, rules={"subscriptions": rule}, behaviour=Behaviour(scopes=("view_products:sandbox",))
    )
    world.subscribe()
    found = one(world.look("subscriptions", "gaps"), "Subscriptions")
    assert found.state is state
    assert "manage_subscriptions" in found.cure
    assert world.open(Kind.SUBSCRIPTION_STOPPED) == []


# Kiosks


def some_stores(world: Outskirts) -> list[str]:
    """Cloudshelf has the link's stores; their keys."""
    stores = world.look("silence").stores
    world.open_stores(stores)
    return sorted(stores)


def test_a_store_whose_kiosks_are_off_is_missed(begin: Begin, store: Store) -> None:
    world = begin(store, kiosk=KioskBehaviour(kiosks_per_store=2))
    first, second, *_ = some_stores(world)
    assert one(world.look("kiosks"), "Kiosks").state is GOOD
    world.change("kiosk", channel=first, on=False)
    world.change("kiosk", channel=second, on=False, number=2)
    assert one(world.look("kiosks", later=59 * MINUTE), "Kiosks").state is GOOD
    world.server.state.clock.advance(61 * 60)
    world.ahead = 61 * MINUTE
    found = world.look("kiosks")
    check = one(found, "Kiosks")
    assert check.state is LATE
    assert check.message.startswith("3 of ")
    assert {len(some) for place, some in found.kiosks.items() if place} == {2}
    assert found.reasons[first] == ("all kiosks off, seen 61 min ago last",)
    assert found.reasons[second] == ("1 of 2 kiosks off, seen 61 min ago last",)
    (raised,) = store.exceptions.open(LINK, Kind.STORE_SILENT)
    assert (raised.payload["place"], raised.cause_group) == (first, f"store/{first}")
    world.change("kiosk", channel=first, on=True, number=1)
    assert world.look("kiosks").found == ()
    assert world.open(Kind.STORE_SILENT) == []


def test_at_night_kiosks_may_be_off(small: Outskirts) -> None:
    first, *_ = some_stores(small)
    small.change("kiosk", channel=first, on=False)
    small.server.state.clock.advance(2 * 3600)
    small.ahead = 2 * HOUR
    small.look("kiosks")
    assert len(small.open(Kind.STORE_SILENT)) == 1
    small.hours = NeverOpen()
    found = small.look("kiosks")
    assert one(found, "Kiosks").state is GOOD
    assert len(small.open(Kind.STORE_SILENT)) == 1, "night proves nothing"
    small.hours = AlwaysOpen()
    small.server.state.clock.advance(8 * 24 * 3600)
    small.ahead += 8 * DAY
    found = small.look("kiosks")
    assert one(found, "Kiosks").state is GOOD
    assert "1 more not in use" in one(found, "Kiosks").message


def test_a_store_that_stays_dark_for_a_week_is_not_mended_by_that(begin: Begin, store: Store) -> None:
    world = begin(store, kiosk=KioskBehaviour(kiosks_per_store=1))
    first, second, *_ = some_stores(world)
    for place in (first, second):
        world.change("kiosk", channel=place, on=False)
    for days in (1, 8):
        world.server.state.clock.advance(days * 24 * 3600)
        world.ahead += days * DAY
        world.look("kiosks")
        assert len(world.open(Kind.STORE_SILENT)) == 2
    world.change("kiosk", channel=first, on=True)
    world.look("kiosks")
    (left,) = store.exceptions.open(LINK, Kind.STORE_SILENT)
    assert left.payload["place"] == second
    state = world.server.state.cloudshelf
    state.behaviour = replace(state.behaviour, kiosks_per_store=0)
    world.look("kiosks")
    assert world.open(Kind.STORE_SILENT) == [], "there is nothing left to come back"


def test_without_the_right_to_see_kiosks_the_check_says_so(begin: Begin, local: Store) -> None:
    world = begin(local, kiosk=KioskBehaviour(permissions=ALL_PERMISSIONS - {"DEVICE:READ"}))
    found = one(world.look("kiosks"), "Kiosks")
    assert (found.state, "READ for DEVICE" in found.cure) == (UNKNOWN, True)


# Silence


def sold_for_weeks(world: Outskirts, name: str, last: datetime, per_hour: int = 4) -> None:
    """A store that has sold as much in each hour around this one of the week; its last order came then."""
    begin = last.replace(minute=0, second=0, microsecond=0)
    hours = [begin - timedelta(weeks=weeks) + hour * HOUR for weeks in range(1, 6) for hour in range(-3, 12)]
    sold = [Sold(name, hour + place * MINUTE) for hour in hours for place in range(per_hour)]
    arrive(world.store, [*sold, Sold(name, last)], link=LINK)


def test_a_store_from_which_nothing_comes_is_missed(world: Outskirts) -> None:
    stores = world.look("silence").stores
    (first, name), (second, other), *_ = sorted(stores.items())
    sold_for_weeks(world, name, world.now - 3 * HOUR)
    sold_for_weeks(world, other, world.now - 10 * MINUTE)
    found = world.look("silence")
    check = one(found, "Orders from stores")
    assert check.state is LATE
    assert name in check.message
    assert other not in check.message
    assert found.quiet[first].is_silent
    assert found.quiet[first].expected == pytest.approx(12, abs=0.5)
    assert not found.quiet[second].is_silent
    assert found.reasons == {first: ("no order for 3 h, and about 12 would have been usual",)}
    (raised,) = world.store.exceptions.open(LINK, Kind.STORE_SILENT)
    assert (raised.place, raised.cause_group) == (name, f"store/{first}")
    world.look("silence", later=10 * MINUTE)
    (same,) = world.store.exceptions.open(LINK, Kind.STORE_SILENT)
    assert (same.id, same.count) == (raised.id, 3 - 1)
    arrive(world.store, [Sold(name, world.now)], link=LINK)
    assert world.look("silence").found == ()
    assert world.open(Kind.STORE_SILENT) == []


def test_a_silence_lasts_until_the_next_order_however_long(world: Outskirts) -> None:
    """After weeks, what was usual lies too far back to be looked at, and the store is as silent as before."""
    stores = world.look("silence").stores
    (place, name), *_ = sorted(stores.items())
    sold_for_weeks(world, name, world.now - 3 * HOUR)
    world.look("silence")
    assert len(world.open(Kind.STORE_SILENT)) == 1
    later = world.look("silence", later=30 * DAY)
    assert not later.quiet[place].is_silent, "nothing is usual any more"
    assert len(world.open(Kind.STORE_SILENT)) == 1
    assert place not in world.look("silence", later=40 * DAY).quiet
    assert len(world.open(Kind.STORE_SILENT)) == 1
    arrive(world.store, [Sold(name, world.now + 40 * DAY)], link=LINK)
    world.look("silence", later=40 * DAY)
    assert world.open(Kind.STORE_SILENT) == []


def test_a_holiday_may_be_expected_and_the_next_silence_may_not(small: Outskirts) -> None:
    stores = small.look("silence").stores
    (_, name), *_ = sorted(stores.items())
    sold_for_weeks(small, name, small.now - 3 * HOUR)
    small.look("silence")
    small.decide(Kind.STORE_SILENT)
    small.look("silence", later=10 * MINUTE)
    assert small.open(Kind.STORE_SILENT) == []
    arrive(small.store, [Sold(name, small.now)], link=LINK)
    small.look("silence")
    small.look("silence", later=4 * HOUR)
    assert len(small.open(Kind.STORE_SILENT)) == 1


def test_a_store_that_is_none_any_more_is_missed_by_nobody(small: Outskirts) -> None:
    stores = small.look("silence").stores
    (key, name), *_ = sorted(stores.items())
    sold_for_weeks(small, name, small.now - 3 * HOUR)
    small.look("silence")
    state = small.server.state.commercetools
    with state.lock:
        channel = state["channels"].first("key", key)
        assert channel is not None
        state["channels"].put({**channel, "roles": ["ProductDistribution"]})
    found = small.look("silence")
    assert key not in found.stores
    assert small.open(Kind.STORE_SILENT) == []


def test_kiosks_that_are_off_and_orders_that_are_missed_are_one_matter(small: Outskirts) -> None:
    """One call to the store cures both, so people hear of it once."""
    first, *_ = some_stores(small)
    name = small.look("silence").stores[first]
    sold_for_weeks(small, name, small.now - HOUR)
    small.change("kiosk", channel=first, on=False)
    small.server.state.clock.advance(3 * 3600)
    small.ahead = 3 * HOUR
    found = small.look()
    assert len(found.reasons[first]) == 2
    raised = small.store.exceptions.open(LINK, Kind.STORE_SILENT)
    assert {one.cause_group for one in raised} == {f"store/{first}"}
    assert len(raised) == 2
