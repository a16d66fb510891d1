"""People hear of exceptions: once per cause, at a decent hour, and somebody always hears."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import URL
from tests.support.dying import Boundaries, Crash
from tests.support.processes import together
from tests.support.trouble import HELD

from cogent_ops.config import load_policies
from cogent_ops.domain.business_hours import DAYS, BusinessHours
from cogent_ops.domain.exceptions import Action, Kind, NewException, Owner, Status
from cogent_ops.domain.policies import Channel, NamedChannel, Policies, Severity
from cogent_ops.errors import CogentOpsError, PermanentError, TargetUnavailable
from cogent_ops.services.alert_text import NAMED, Places
from cogent_ops.services.alerts import (
    AGAIN,
    FIRST_PAUSE,
    LEASE,
    LOOK,
    PACE,
    TRIES,
    Alerting,
    ExceptionWatch,
)
from cogent_ops.store import Store, StoredException, open_store
from cogent_ops.store.alerts import LONGEST_SILENCE, Alert, AlertState

ROOT = Path(__file__).resolve().parents[3]
LINK = "default"
RELEASED = load_policies(ROOT / "include")


class AnyHour(BusinessHours):
    """Nobody ever sleeps, not even in the last minute of the day."""

    def is_open(self, moment: datetime) -> bool:
        return True


DAYTIME = BusinessHours(timezone="UTC", days=DAYS, opens="00:00", closes="23:59")
ALWAYS = AnyHour(**dict(DAYTIME))
SECOND = timedelta(seconds=1)

PAYMENT = NewException(
    kind=Kind.AMBIGUOUS_PAYMENT,
    cause_key="order/gid://cloudshelf/Order/01J8ZQ",
    record="CS-01J8ZQ",
    field="status",
    rule="somebody knows whether it was paid",
    message="Order CS-01J8ZQ, Leeds: nobody said that it was paid.",
    cure="Ask the store.",
    owner=Owner.RETAIL_OPS,
    payload={"order": "gid://cloudshelf/Order/01J8ZQ"},
    place="Leeds",
    amount=8400,
    currency="GBP",
)


def order(number: int, *, place: str = "", kind: Kind = Kind.AMBIGUOUS_PAYMENT) -> NewException:
    """An order in trouble; with a place it shares its cause with all others there."""
    return replace(
        PAYMENT,
        kind=kind,
        cause_key=f"order/{number}",
        record=f"CS-{number}",
        message=f"Order CS-{number} is in trouble.",
        group=f"location/{place}" if place else "",
    )


def at_any_hour(**kinds: dict[str, Any]) -> Policies:
    """The released policies, but everything goes at once and at any hour unless a kind's settings say otherwise."""
    changed = {
        kind: policy.model_copy(update={"batch_minutes": 0, **kinds.get(kind, {})})
        for kind, policy in RELEASED.kinds.items()
    }
    return RELEASED.model_copy(update={"business_hours": ALWAYS, "kinds": changed})


def with_channels(policies: Policies, **of_kind: str) -> Policies:
    """The same with channels of their own for kinds."""
    channels = {name: Channel(connection=name) for name in of_kind.values()}
    kinds = {
        Kind(kind): policies.kind(kind).model_copy(update={"channel": name}) for kind, name in of_kind.items()
    }
    return policies.model_copy(
        update={"channels": {**policies.channels, **channels}, "kinds": {**policies.kinds, **kinds}}
    )


@dataclass
class Desk:
    """Everybody who reads messages; ``errors`` by channel are what happens to the next ones."""

    got: list[tuple[str, Alert]] = field(default_factory=list)
    errors: dict[str, list[CogentOpsError]] = field(default_factory=dict)

    def __call__(self, channel: NamedChannel, message: Alert) -> None:
        waiting = self.errors.get(channel.name)
        if waiting:
            raise waiting.pop(0)
        self.got.append((channel.name, message))

    def take(self) -> list[Alert]:
        """What has come since the last time."""
        got, self.got = [message for _, message in self.got], []
        return got


@dataclass
class House:
    """A store with exceptions, somebody who tells of them, and a clock."""

    store: Store
    policies: Policies = field(default_factory=at_any_hour)
    desk: Desk = field(default_factory=Desk)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def alerting(self, send: Callable[[NamedChannel, Alert], None] | None = None) -> Alerting:
        places = Places(airflow="https://airflow.test/")
        return Alerting(LINK, self.store, self.policies, send or self.desk, places, run_key="run")

    def tell(self, after: timedelta = SECOND) -> dict[str, int]:
        """Let time pass and tell."""
        self.now += after
        return self.alerting().run(self.now)

    def open(self, *new: NewException, link: str = LINK) -> None:
        with self.store.begin() as conn:
            self.store.exceptions.raise_many(conn, link, new, f"run-{random.random()}")

    def close(self, *gone: NewException) -> None:
        with self.store.begin() as conn:
            for one in gone:
                self.store.exceptions.resolve(conn, LINK, one.kind, [one.cause_key], "later")

    def decide(self, one: NewException, status: Status) -> None:
        with self.store.begin() as conn:
            self.store.exceptions.decide(
                conn, LINK, self.found(one).id, Action.ACKNOWLEDGE, status, actor="ada", detail={}
            )

    def found(self, one: NewException) -> StoredException:
        """The exception as the store holds it."""
        return next(
            found for found in self.store.exceptions.open(LINK, one.kind) if found.cause_key == one.cause_key
        )

    def messages(self) -> list[Alert]:
        """All that was written, the youngest first."""
        return self.store.alerts.recent(LINK, limit=1000)

    def silence(self, one: NewException, until: timedelta, group: str = "") -> int:
        with self.store.begin() as conn:
            return self.store.alerts.silence(
                conn,
                LINK,
                kind=one.kind,
                cause_group=group,
                reason="the fair is on",
                until=datetime.now(UTC) + until,
                actor="ada",
            )


@pytest.fixture
def house(store: Store) -> House:
    return House(store)


# What is said


def test_a_message_says_what_whose_until_when_what_first_and_where(house: House) -> None:
    house.open(PAYMENT)
    assert house.tell(timedelta(minutes=22, seconds=10))["sent"] == 1
    (message,) = house.desk.take()
    policy = house.policies.kind(PAYMENT.kind)
    assert message.subject == f"[CRITICAL] {policy.title}: 1"
    for said in (
        "- Order CS-01J8ZQ, Leeds: nobody said that it was paid. (£84.00, waiting 22 min)",
        "At stake: £84.00.",
        "Owner: retail ops, until ",
        "(UTC)",
        f"First: {policy.first_response}",
        f"Open: https://airflow.test/cogent_ops/desk/exceptions/default/{house.found(PAYMENT).id}",
        "Playbook: https://airflow.test/cogent_ops/desk/playbook#ambiguous-payment",
        f"cogent-ops exceptions show {house.found(PAYMENT).id}",
    ):
        assert said in message.body, said
    # Airflow lists its questions without telling which is this one; the page of the exception decides about just this.
    assert "required_actions" not in message.body
    assert list(message.exceptions) == [house.found(PAYMENT).id]
    assert (message.kind, message.cause_group, message.urgency) == (
        Kind.AMBIGUOUS_PAYMENT,
        PAYMENT.cause_key,
        Severity.CRITICAL,
    )


def test_a_record_that_the_message_does_not_name_stands_before_it(house: House) -> None:
    house.open(HELD)
    house.tell(timedelta(hours=3, minutes=1))
    (message,) = house.desk.take()
    assert "- SKU-1: Rug: check digit is 3, not 4 (waiting 3 h)" in message.body
    assert "required_actions" not in message.body


def test_of_many_the_oldest_are_named_and_all_are_counted(house: House) -> None:
    house.open(*[order(number, place="leeds") for number in range(NAMED + 7)])
    house.tell()
    (message,) = house.desk.take()
    assert message.subject.endswith(f": {NAMED + 7}")
    assert "and 7 more" in message.body
    assert "At stake: £1008.00." in message.body
    assert "different causes" not in message.body
    assert len(message.exceptions) == NAMED + 7
    assert message.cause_group == "location/leeds"


def test_a_long_message_is_cut(house: House) -> None:
    house.open(replace(HELD, message="a" * 5000))
    house.tell(timedelta(hours=3))
    assert len(house.desk.take()[0].body) < 1500


# Once per cause


def test_a_cause_is_told_once_however_often_it_is_seen(house: House) -> None:
    house.open(PAYMENT)
    house.tell()
    for _ in range(3):
        house.open(PAYMENT)
        house.tell(timedelta(minutes=9))
    assert len(house.desk.take()) == 1


def test_causes_that_come_up_together_share_a_message(house: House) -> None:
    house.open(order(1), order(2, place="york"), order(3, place="york"))
    house.tell()
    (message,) = house.desk.take()
    assert "2 different causes." in message.body
    assert (message.subject[-1], message.cause_group, len(message.exceptions)) == ("3", "", 3)


def test_kinds_and_owners_do_not_share_one(house: House) -> None:
    house.open(order(1), order(1, kind=Kind.ORDER_TAX))
    held = [replace(HELD, cause_key=owner, owner=owner) for owner in (Owner.FINANCE, Owner.MERCHANDISING)]
    house.open(*held)
    house.tell(timedelta(hours=3))
    told = Counter(message.kind for message in house.desk.take())
    assert told == {Kind.AMBIGUOUS_PAYMENT: 1, Kind.ORDER_TAX: 1, Kind.PRODUCT_HELD: 2}


def test_the_next_cause_of_a_kind_waits_a_little_so_that_a_bad_day_is_no_flood(house: House) -> None:
    house.open(order(1))
    house.tell()
    house.open(order(2))
    house.tell()
    house.open(order(3))
    assert len(house.desk.take()) == 1
    house.tell(PACE)
    (second,) = house.desk.take()
    assert len(second.exceptions) == 2


def test_new_cases_of_a_known_cause_are_told_together_after_some_hours(store: Store) -> None:
    # Deadlines fall into the business's hours, so that it depends on the time of day whether one passes meanwhile.
    house = House(store, at_any_hour(ambiguous_payment={"escalate_minutes": 10_000}))
    house.open(order(1, place="york"))
    house.tell()
    house.open(order(2, place="york"), order(3, place="leeds"))
    house.tell(PACE)
    assert [message.cause_group for message in house.desk.take()] == ["location/york", "location/leeds"]
    house.open(order(4, place="york"))
    house.tell(AGAIN - PACE - SECOND)
    assert house.desk.take() == []
    house.tell()
    (again,) = house.desk.take()
    assert [house.found(order(2)).id, house.found(order(4)).id] == list(again.exceptions)


def test_what_comes_back_is_told_again(house: House) -> None:
    house.open(PAYMENT)
    house.tell()
    house.close(PAYMENT)
    house.open(PAYMENT)
    house.tell(PACE)
    assert len(house.desk.take()) == 2


def test_what_somebody_has_taken_up_needs_no_message(house: House) -> None:
    house.open(PAYMENT)
    house.decide(PAYMENT, Status.ACKNOWLEDGED)
    house.tell()
    assert house.desk.take() == []


def test_a_kind_may_be_collected_before_it_is_told(store: Store) -> None:
    house = House(store, at_any_hour(ambiguous_payment={"batch_minutes": 30}))
    house.open(order(1))
    house.tell(timedelta(minutes=29))
    house.open(order(2))
    assert house.desk.take() == []
    house.tell(timedelta(minutes=2))
    assert [len(message.exceptions) for message in house.desk.take()] == [2]


def test_links_are_apart(house: House) -> None:
    house.open(PAYMENT, link="austria")
    house.tell()
    assert house.desk.take() == []


# At a decent hour


@pytest.mark.parametrize("severity", Severity)
def test_out_of_hours_only_what_is_critical_disturbs_anybody(store: Store, severity: Severity) -> None:
    today = datetime.now(UTC).date()
    closed = DAYTIME.model_copy(update={"closed_on": tuple(today + timedelta(days=n) for n in range(-2, 3))})
    policies = at_any_hour(ambiguous_payment={"severity_out_of_hours": severity})
    house = House(store, policies.model_copy(update={"business_hours": closed}))
    house.open(PAYMENT)
    house.tell()
    assert bool(house.desk.take()) == (severity is Severity.CRITICAL)
    house.tell(closed.after(house.now, 0) - house.now)
    told = [message for message in house.messages() if "[OVERDUE]" not in message.subject]
    assert len(told) == 1


# Silence


@pytest.mark.parametrize("group", ["", "location/york"])
def test_what_is_silenced_is_told_when_the_silence_ends(house: House, group: str) -> None:
    house.open(order(1, place="york"))
    house.silence(PAYMENT, timedelta(hours=1), group)
    house.tell(timedelta(minutes=59))
    assert house.desk.take() == []
    house.tell(timedelta(minutes=2))
    assert len(house.desk.take()) == 1


def test_a_silence_is_about_its_cause_only(house: House) -> None:
    house.open(order(1, place="york"), order(2, place="leeds"), order(3, place="york", kind=Kind.ORDER_TAX))
    house.silence(PAYMENT, timedelta(hours=1), "location/york")
    house.tell()
    groups = {(message.kind, message.cause_group) for message in house.desk.take()}
    assert groups == {(Kind.AMBIGUOUS_PAYMENT, "location/leeds"), (Kind.ORDER_TAX, "location/york")}


def test_a_silence_can_be_lifted(house: House) -> None:
    house.open(PAYMENT)
    silenced = house.silence(PAYMENT, timedelta(days=1))
    (found,) = house.store.alerts.silences(LINK, house.now)
    assert (found.id, found.reason, found.actor) == (silenced, "the fair is on", "ada")
    with house.store.begin() as conn:
        house.store.alerts.lift(conn, LINK, silenced, actor="bob")
    house.tell(timedelta(minutes=1))
    assert len(house.desk.take()) == 1
    log = house.store.audit_log.entries(f"silence/{silenced}")
    assert [(entry.actor, entry.action) for entry in log] == [("bob", "lift_silence"), ("ada", "silence")]
    assert log[1].detail["reason"] == "the fair is on"
    with pytest.raises(PermanentError, match="has no silence"), house.store.begin() as conn:
        house.store.alerts.lift(conn, LINK, silenced, actor="bob")


@pytest.mark.parametrize(
    ("reason", "length", "problem"),
    [
        (" ", timedelta(hours=1), "needs a reason"),
        ("fair", timedelta(0), "needs an end"),
        ("fair", LONGEST_SILENCE + timedelta(minutes=1), "within the next 90 days"),
    ],
)
def test_a_silence_needs_a_reason_and_an_end(
    house: House, reason: str, length: timedelta, problem: str
) -> None:
    until = datetime.now(UTC) + length
    with pytest.raises(PermanentError, match=problem), house.store.begin() as conn:
        house.store.alerts.silence(conn, LINK, kind=PAYMENT.kind, reason=reason, until=until, actor="ada")
    assert house.store.alerts.silences(LINK, house.now) == []


# Nobody acts


def test_when_nobody_acts_in_time_somebody_else_is_told_once(store: Store) -> None:
    policies = at_any_hour(
        ambiguous_payment={"deadline_minutes": 60, "escalate_minutes": 30, "escalate_to": Owner.FINANCE}
    )
    owners = {
        **policies.owners,
        Owner.FINANCE: policies.owners[Owner.FINANCE].model_copy(update={"channel": "money"}),
    }
    channels = {**policies.channels, "money": Channel(connection="money")}
    house = House(store, policies.model_copy(update={"owners": owners, "channels": channels}))
    with store.begin() as conn:
        deadline = house.now + timedelta(hours=1)
        store.exceptions.raise_many(conn, LINK, [order(1), order(2)], "run", deadline=deadline)
    house.tell()
    house.decide(order(2), Status.ACKNOWLEDGED)
    house.tell(timedelta(minutes=85))
    assert [channel for channel, _ in house.desk.got] == ["default"]
    house.tell(timedelta(minutes=6))
    house.tell(timedelta(hours=5))
    assert [channel for channel, _ in house.desk.got] == ["default", "money"]
    message = house.desk.take()[1]
    assert message.subject.startswith("[OVERDUE] ")
    assert "Now it is finance's." in message.body
    assert "retail ops should have done so by" in message.body
    assert list(message.exceptions) == [house.found(order(1)).id]


def test_what_is_silenced_is_not_escalated(house: House) -> None:
    house.open(PAYMENT)
    house.tell()
    house.silence(PAYMENT, timedelta(days=30))
    house.tell(timedelta(days=20))
    assert len(house.desk.take()) == 1
    house.tell(timedelta(days=11))
    assert house.desk.take()[0].subject.startswith("[OVERDUE] ")


# It cannot be delivered


def test_a_failed_delivery_is_tried_again_with_growing_pauses_and_then_becomes_an_exception(
    house: House,
) -> None:
    house.desk.errors["default"] = [TargetUnavailable("down") for _ in range(TRIES)]
    house.open(PAYMENT)
    assert house.tell()["failed"] == 1
    assert house.tell(FIRST_PAUSE - 2 * SECOND)["failed"] == 0
    for attempt in range(1, TRIES):
        assert not house.store.exceptions.open(LINK, Kind.ALERT_UNDELIVERED)
        assert house.tell(FIRST_PAUSE * 2 ** (attempt - 1))["failed"] == 1
    (undelivered,) = house.store.exceptions.open(LINK, Kind.ALERT_UNDELIVERED)
    assert (undelivered.cause_key, undelivered.owner) == ("default", Owner.PLATFORM)
    assert "down" in undelivered.message
    (message,) = house.messages()
    assert (message.state, message.attempts, message.error) == (AlertState.WAITING, TRIES, "down")

    assert house.tell(FIRST_PAUSE * 2**TRIES)["sent"] == 2
    assert PAYMENT.kind in {message.kind for message in house.desk.take()}
    assert house.store.exceptions.open(LINK, Kind.ALERT_UNDELIVERED) == []
    assert {message.state for message in house.messages()} == {AlertState.SENT}


def test_a_refusal_becomes_an_exception_at_once_that_another_channel_tells(store: Store) -> None:
    house = House(store, with_channels(at_any_hour(), order_tax="tax"))
    house.desk.errors["default"] = [PermanentError("no such webhook") for _ in range(9)]
    house.open(PAYMENT)
    assert house.tell()["failed"] == 1
    house.tell()
    ((channel, message),) = house.desk.got
    assert (channel, message.kind) == ("tax", Kind.ALERT_UNDELIVERED)
    assert "no such webhook" in message.body


def test_a_channel_that_is_down_holds_up_no_other_and_is_tried_once_a_run(store: Store) -> None:
    house = House(store, with_channels(at_any_hour(), order_tax="tax"))
    house.desk.errors["default"] = [TargetUnavailable("down")]
    house.open(PAYMENT, order(1, kind=Kind.ORDER_LOCATION), order(1, kind=Kind.ORDER_TAX))
    done = house.tell()
    assert (done["failed"], done["sent"]) == (1, 1)
    assert [channel for channel, _ in house.desk.got] == ["tax"]
    assert house.tell()["sent"] == 1
    assert house.tell(FIRST_PAUSE)["sent"] == 1


def test_a_pause_that_the_channel_asks_for_is_kept(house: House) -> None:
    house.desk.errors["default"] = [TargetUnavailable("later", retry_after=600)]
    house.open(PAYMENT)
    house.tell()
    assert house.tell(timedelta(seconds=598))["sent"] == 0
    assert house.tell(timedelta(seconds=3))["sent"] == 1


def test_a_message_that_is_late_and_whose_cause_is_gone_is_not_sent_any_more(house: House) -> None:
    house.desk.errors["default"] = [TargetUnavailable("down")]
    house.open(PAYMENT)
    house.tell()
    house.close(PAYMENT)
    assert house.tell(timedelta(hours=2))["obsolete"] == 1
    assert house.desk.take() == []
    assert house.messages()[0].state is AlertState.OBSOLETE


def test_messages_for_a_channel_that_was_taken_out_go_to_the_default_one(store: Store) -> None:
    house = House(store, with_channels(at_any_hour(), ambiguous_payment="gone"))
    house.desk.errors["gone"] = [TargetUnavailable("down")]
    house.open(PAYMENT)
    house.tell()
    house.policies = at_any_hour(ambiguous_payment={"escalate_minutes": 10_000})
    house.tell(timedelta(hours=2))
    assert [channel for channel, _ in house.desk.got] == ["default"]


# Nothing is lost, whatever dies


def test_whoever_dies_where_ever_each_cause_is_told(store_url: URL) -> None:
    moment, store = 0, open_store(store_url)
    policies = at_any_hour(
        ambiguous_payment={"escalate_minutes": 10_000}, order_tax={"escalate_minutes": 10_000}
    )
    while True:
        house, got = House(store, policies), Counter[int]()
        house.now += moment * (LEASE + 2 * PACE)
        house.open(*[order(number) for number in range(3)], order(1, kind=Kind.ORDER_TAX))
        boundaries = Boundaries(moment)

        def send(
            _channel: NamedChannel,
            message: Alert,
            boundaries: Boundaries = boundaries,
            got: Counter[int] = got,
        ) -> None:
            boundaries.cross()
            got.update(message.exceptions)
            boundaries.cross()

        def count(_channel: NamedChannel, message: Alert, got: Counter[int] = got) -> None:
            got.update(message.exceptions)

        with boundaries.watched():
            try:
                house.alerting(send).run(house.now + SECOND)
                has_died = False
            except Crash:
                has_died = True
        after = house.now + LEASE + PACE + SECOND
        house.alerting(count).run(after)
        opened = {one.id for one in house.store.exceptions.open(LINK)}
        assert set(got) == opened
        assert max(got.values()) <= (2 if has_died else 1)
        house.close(*[order(number) for number in range(3)], order(1, kind=Kind.ORDER_TAX))
        if not has_died:
            assert moment > 8
            return
        moment += 1


def test_of_many_who_tell_at_the_same_time_one_does(store_url: URL, tmp_path: Path) -> None:
    house = House(open_store(store_url))
    house.open(*[order(number) for number in range(30)], *[order(n, kind=Kind.ORDER_TAX) for n in range(30)])
    house.store.close()

    def work(number: int) -> dict[str, int]:
        def send(_channel: NamedChannel, message: Alert) -> None:
            (tmp_path / f"{message.id}-{number}").write_text(message.body)

        own = House(open_store(store_url), now=house.now)
        return own.alerting(send).run(house.now + SECOND)

    done = together(work, 4)
    assert sum(one["told"] for one in done) == 60
    assert len(list(tmp_path.iterdir())) == len(house.messages()) == 2


@pytest.mark.parametrize("seed", range(4))
def test_every_opening_is_told_exactly_once_whatever_happens(store: Store, seed: int) -> None:
    chance, house = random.Random(seed), House(store)
    kinds = [Kind.AMBIGUOUS_PAYMENT, Kind.ORDER_TAX, Kind.ORDER_LOCATION]
    openings = Counter[int]()
    known = [
        order(number, place=chance.choice(["", "york"]), kind=chance.choice(kinds)) for number in range(12)
    ]
    for _ in range(40):
        one = chance.choice(known)
        open_before = {found.id for found in store.exceptions.open(LINK)}
        match chance.randrange(5):
            case 0 | 1:
                house.open(one)
                openings.update({found.id for found in store.exceptions.open(LINK)} - open_before)
            case 2:
                # What is closed before anybody heard of it is not told; so only what was told is closed.
                found = next(
                    (f for f in store.exceptions.open(LINK, one.kind) if f.cause_key == one.cause_key), None
                )
                if found and found.alerted_at:
                    house.close(one)
            case 3:
                house.desk.errors["default"] = [TargetUnavailable("down") for _ in range(chance.randrange(3))]
            case _:
                house.tell(timedelta(minutes=chance.randrange(1, 90)))
    house.desk.errors.clear()
    for _ in range(4):
        house.tell(AGAIN)
    own = [message for message in house.messages() if message.kind != Kind.ALERT_UNDELIVERED]
    told = Counter[int]()
    for message in own:
        if not message.subject.startswith("[OVERDUE]"):
            told.update(message.exceptions)
    assert told == openings
    assert AlertState.WAITING not in {message.state for message in house.messages()}
    delivered = Counter(message.id for message in house.desk.take())
    assert set(delivered.values()) <= {1}


# What wakes


def test_the_watch_says_once_that_something_was_opened(house: House) -> None:
    watch = ExceptionWatch(LINK, house.store, lambda now: False)
    assert not watch.has_news(house.now)
    house.open(PAYMENT)
    assert [watch.has_news(house.now) for _ in range(3)] == [True, False, False]
    house.open(PAYMENT)
    assert not watch.has_news(house.now)
    house.open(HELD)
    assert watch.has_news(house.now)
    house.close(PAYMENT)
    assert not watch.has_news(house.now)
    house.open(PAYMENT)
    assert watch.has_news(house.now)


def test_the_watch_wakes_when_what_was_collected_is_due_and_not_all_the_time(store: Store) -> None:
    house = House(store, at_any_hour(ambiguous_payment={"batch_minutes": 2}))
    watch = ExceptionWatch(LINK, store, house.alerting().is_due)
    house.open(PAYMENT)
    woken = [second for second in range(0, 400, 2) if watch.has_news(house.now + timedelta(seconds=second))]
    assert woken[0] == 0
    assert 120 <= woken[1] <= 120 + LOOK.total_seconds() + 4
    assert 4 <= len(woken) <= 6
    house.tell(timedelta(seconds=401))
    assert len(house.desk.take()) == 1
    assert not any(watch.has_news(house.now + timedelta(seconds=second)) for second in range(60, 300, 2))


def test_the_watch_wakes_for_a_message_that_is_to_be_sent_again(house: House) -> None:
    house.desk.errors["default"] = [TargetUnavailable("down", retry_after=300)]
    house.open(PAYMENT)
    house.tell()
    alerting = house.alerting()
    assert not alerting.is_due(house.now + timedelta(seconds=299))
    assert alerting.is_due(house.now + timedelta(seconds=301))
