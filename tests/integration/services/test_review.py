"""What people decide about exceptions: each deed with its record, and what becomes of the order then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.captures import coats
from tests.support.kiosks import ulid
from tests.support.reviewing import COAT, PAID_HERE, Reviewing

from cogent_ops.clients.transport import Tuning, close_sessions
from cogent_ops.domain.exceptions import Action, Kind, NewException, Owner, Status
from cogent_ops.domain.stock import NewMovement, Place, Source
from cogent_ops.errors import PermanentError
from cogent_ops.sandbox.faults import FaultPlan, Rule
from cogent_ops.sandbox.faults import Kind as Fault
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.services.case import case_of
from cogent_ops.services.orders.capture import RECHECK
from cogent_ops.services.orders.desk import OrderDesk
from cogent_ops.store import Filter, Store
from cogent_ops.store.orders import CaptureState, Origin

EMAIL = "ann.customer@example.com"
LATER = datetime.now(UTC) + timedelta(hours=8)


@pytest.fixture
def begin(store: Store) -> Iterator[Callable[..., Reviewing]]:
    with ExitStack() as stack:

        def made(**named: Any) -> Reviewing:
            world = Reviewing(stack.enter_context(SandboxServer(coats())), store, **named)
            world.begin()
            return world

        yield made
        close_sessions()


@pytest.fixture
def world(begin: Callable[..., Reviewing]) -> Reviewing:
    return begin()


def raised(world: Reviewing, kind: Kind, cause: str = "c", **more: Any) -> int:
    """An exception as a flow raises it; its number."""
    new = NewException(kind, cause, "REC-1", "f", "r", "It is wrong.", "Mend it.", Owner.PLATFORM, **more)
    with world.store.begin() as conn:
        world.store.exceptions.raise_(conn, world.name, new, "r1")
    return world.everything()[-1].id


def history(world: Reviewing, number: int) -> list[tuple[str, str]]:
    """Who did what, the oldest first."""
    return [(entry.actor, entry.action) for entry in world.review().show(number).history]


# The way of an order


def test_an_ambiguous_payment_is_approved_and_the_order_arrives(world: Reviewing) -> None:
    order = world.placed_long_ago()
    one = world.one(order)
    assert (one.kind, one.owner, one.status, one.place) == (
        "ambiguous_payment",
        "retail ops",
        "new",
        "Berlin",
    )
    (done,) = world.do(Action.APPROVE, [one.id], note="seen in the till")
    assert done.is_done
    assert "same order number" in done.message
    assert (world.one(order).status, world.one(order).replays) == (Status.IN_PROGRESS, 1)
    assert world.ct_orders() == []
    world.finish()
    assert world.ct_order(order)["paymentState"] == "Paid"
    assert world.one(order).status is Status.FIXED
    assert world.one(order).resolved_at
    shown = world.review().show(one.id)
    (entry,) = shown.history
    assert (entry.actor, entry.action) == ("ann", "approve")
    assert entry.detail == {"note": "seen in the till", "before": "new", "status": "in_progress"}


def test_orders_of_one_cause_are_mended_at_once(world: Reviewing) -> None:
    orders = world.nowhere(3)
    ids = world.review().ids_of_cause(world.one(orders[0]).id)
    assert len(ids) == 3
    (cause,) = world.review().causes(Filter())
    assert [one.id for one in cause.exceptions] == ids
    edited = world.do(Action.EDIT, ids, edits={"location": "hamburg"})
    assert all(one.is_done for one in edited)
    assert world.finish().imported == 0
    replayed = world.do(Action.REPLAY, ids, actor="bob")
    assert [one.id for one in replayed if one.is_done] == ids
    assert world.finish().imported == 3
    assert {world.ct_order(order)["store"]["key"] for order in orders} == {"store-hamburg"}
    assert {world.one(order).status for order in orders} == {Status.FIXED}
    assert history(world, ids[0]) == [("ann", "edit"), ("bob", "replay")]
    (edit, _) = world.review().show(ids[0]).history
    assert edit.detail["edits"] == {"location": "hamburg"}


def test_a_replay_may_bring_its_corrections_along(world: Reviewing) -> None:
    (order,) = world.nowhere()
    number = world.one(order).id
    assert world.do(Action.REPLAY, [number], edits={"location": "berlin"})[0].is_done
    world.finish()
    assert world.ct_order(order)["store"]["key"] == "store-berlin"
    assert history(world, number) == [("ann", "edit"), ("ann", "replay")]


def seen(world: Reviewing) -> int:
    """What a person has seen who looks now."""
    return world.store.audit_log.newest()


def test_a_replay_with_corrections_that_its_person_keeps_elsewhere_is_carried_out(world: Reviewing) -> None:
    (order,) = world.nowhere()
    number, before = world.one(order).id, seen(world)
    edits = {"location": "berlin"}
    assert world.do(Action.EDIT, [number], edits=edits, seen=before)[0].is_done
    (done,) = world.do(Action.REPLAY, [number], edits=edits, seen=before)
    assert (done.is_done, done.message.startswith("Tried again")) == (True, True)
    assert world.one(order).replays == 1
    assert world.finish().imported == 1


def test_the_corrections_of_the_form_that_is_sent_last_are_those_that_count(world: Reviewing) -> None:
    (order,) = world.nowhere()
    number, before = world.one(order).id, seen(world)
    for location in ("berlin", "hamburg"):
        assert world.do(Action.EDIT, [number], edits={"location": location}, seen=before)[0].is_done
    assert world.do(Action.REPLAY, [number], edits={"location": "berlin"}, seen=before)[0].is_done
    world.finish()
    assert world.ct_order(order)["store"]["key"] == "store-berlin"


def test_a_replay_with_corrections_that_is_sent_twice_is_carried_out_once(world: Reviewing) -> None:
    (order,) = world.nowhere()
    number, before = world.one(order).id, seen(world)
    first, second = (
        world.do(Action.REPLAY, [number], edits={"location": "berlin"}, seen=before)[0] for _ in range(2)
    )
    assert (first.is_done, second.is_done) == (True, True)
    assert second.message.startswith("That was done already (replay, ")
    assert world.one(order).replays == 1
    assert history(world, number) == [("ann", "edit"), ("ann", "replay")]


@pytest.mark.parametrize("overtaken", [False, True])
def test_a_deed_that_is_refused_keeps_none_of_its_corrections(
    world: Reviewing, monkeypatch: pytest.MonkeyPatch, overtaken: bool
) -> None:
    (order,) = world.nowhere()
    number, before = world.one(order).id, seen(world)
    if overtaken:
        world.do(Action.HOLD, [number], actor="bob")
    else:

        def refuse(*_: Any) -> None:
            raise PermanentError("It is being worked on.")

        monkeypatch.setattr(OrderDesk, "replay", refuse)
    untouched = world.row(order), world.one(order), world.moved()
    (done,) = world.do(Action.REPLAY, [number], edits={"location": "berlin"}, seen=before)
    assert not done.is_done
    assert (world.row(order), world.one(order), world.moved()) == untouched


def test_a_replay_that_changes_nothing_leaves_it_open_and_counted(world: Reviewing) -> None:
    (order,) = world.nowhere()
    world.do(Action.REPLAY, [world.one(order).id])
    assert world.finish().review == 1
    again = world.one(order)
    assert (again.status, again.count, again.replays) == (Status.IN_PROGRESS, 2, 1)


def test_a_dry_run_says_what_would_be_sent_and_sends_nothing(world: Reviewing) -> None:
    (order,) = world.nowhere()
    number = world.one(order).id
    (missing,) = world.do(Action.DRY_RUN, [number])
    assert missing.is_done
    assert "cannot be sent yet" in missing.message
    (sent,) = world.do(Action.DRY_RUN, [number], edits={"location": "berlin"})
    assert "total: €9.50" in sent.message
    assert "store: store-berlin" in sent.message
    assert world.ct_orders() == []
    one = world.one(order)
    assert one.outcome == sent.message
    assert one.replays == 0
    assert world.row(order).state is CaptureState.REVIEW


def test_a_dry_run_leaves_nothing_behind_that_anything_acts_on(world: Reviewing) -> None:
    (order,) = world.nowhere()
    number = world.one(order).id
    before = world.row(order), world.moved(), world.effects(), sorted(world.exceptions())
    for store in ("berlin", "hamburg"):
        (done,) = world.do(Action.DRY_RUN, [number], edits={"location": store}, note="which one?")
        assert f"store: store-{store}" in done.message
        world.ahead += timedelta(minutes=20)
        world.poll()
        assert (world.row(order), world.moved(), world.effects(), sorted(world.exceptions())) == before
    world.finish()
    assert world.ct_orders() == []
    assert world.moved() == before[1]
    assert history(world, number) == [("ann", "dry_run")] * 2
    entry = world.review().show(number).history[-1]
    assert entry.detail["edits"] == {"location": "hamburg"}
    assert world.do(Action.REPLAY, [number])[0].is_done
    assert world.finish().imported == 0, "what was tried dry is not sent"
    assert world.do(Action.REPLAY, [number], edits={"location": "hamburg"})[0].is_done
    assert world.finish().imported == 1


def test_a_dry_run_counts_what_is_kept_and_keeps_no_address(begin: Callable[..., Reviewing]) -> None:
    world = begin(orders_settings={"email": "required"})
    (order,) = world.nowhere()
    (number,) = (one.id for one in world.everything() if one.kind == "order_location")
    world.do(Action.EDIT, [number], edits={"location": "hamburg"})
    world.finish()
    number = next(one.id for one in world.everything() if one.kind == "order_contact")
    (done,) = world.do(Action.DRY_RUN, [number], edits={"email": EMAIL})
    assert "store: store-hamburg" in done.message
    assert "e-mail address: given" in done.message
    with world.store.read() as conn:
        assert world.store.captures.contact(conn, world.name, order) is None
    kept = str(world.store.audit_log.entries()) + str(world.everything()) + str(world.row(order))
    assert EMAIL not in kept


def test_what_was_tried_dry_stands_in_its_field_until_something_is_kept(world: Reviewing) -> None:
    (order,) = world.nowhere()
    number = world.one(order).id

    def store() -> tuple[str, str, bool]:
        ((field,),) = (group.fields for group in case_of(world.review(), number, world.now).fields)
        return field.value, field.given, "not kept" in field.hints

    assert store() == ("", "", False)
    world.do(Action.DRY_RUN, [number], edits={"location": "berlin"})
    assert store() == ("berlin", "", True)
    world.do(Action.DRY_RUN, [number])
    assert store() == ("", "", False)
    world.do(Action.DRY_RUN, [number], edits={"location": "berlin"})
    world.do(Action.EDIT, [number], edits={"location": "hamburg"})
    assert store() == ("hamburg", "hamburg", False)


def test_a_dry_run_says_what_cannot_be_corrected_so(world: Reviewing) -> None:
    (order,) = world.nowhere()
    number = world.one(order).id
    (done,) = world.do(Action.DRY_RUN, [number], edits={"location": "atlantis"})
    assert not done.is_done
    assert "no Channel with the key 'atlantis'" in done.message
    assert history(world, number) == []


def test_a_store_that_is_kept_takes_its_stock_at_once_and_is_sent_at_the_next_look(world: Reviewing) -> None:
    (order,) = world.nowhere()
    world.do(Action.EDIT, [world.one(order).id], edits={"location": "hamburg"})
    assert world.moved("waiting") == {(ulid(order), Place(COAT, "hamburg")): -1}
    world.ahead += RECHECK - timedelta(minutes=1)
    assert world.finish().imported == 0
    world.ahead += timedelta(minutes=2)
    assert world.finish().imported == 1
    assert world.ct_order(order)["store"]["key"] == "store-hamburg"


def test_an_order_entered_by_hand_is_linked(world: Reviewing) -> None:
    (order,) = world.nowhere()
    number = world.one(order).id
    (refused,) = world.do(Action.LINK, [number], order_number="BY-HAND")
    assert not refused.is_done
    assert "no order with the number" in refused.message
    assert world.one(order).status is Status.NEW
    made = world.by_hand("BY-HAND")
    assert world.do(Action.LINK, [number], order_number=" BY-HAND ")[0].is_done
    row = world.row(order)
    assert (row.state, row.origin, row.ct_order_id) == (CaptureState.CAPTURED, Origin.HAND, made["id"])
    assert world.one(order).status is Status.FIXED
    (entry,) = world.review().show(number).history
    assert entry.detail["order_number"] == "BY-HAND"
    world.finish()
    assert len(world.ct_orders()) == 1


def test_a_rejected_order_is_excluded_by_name_and_stays_so(world: Reviewing) -> None:
    order = world.placed_long_ago()
    (done,) = world.do(
        Action.REJECT, [world.one(order).id], note=f"nobody paid, asked {EMAIL} and +44 20 7946 0958"
    )
    assert done.is_done
    assert world.one(order).status is Status.REJECTED
    row = world.row(order)
    assert row.state is CaptureState.EXCLUDED
    assert row.reason == "rejected by a person: nobody paid, asked *** and ***"
    assert world.ct_orders() == []
    assert "***" in str(world.store.audit_log.entries())
    assert EMAIL not in str(world.store.audit_log.entries())


def test_a_note_is_kept_in_full_or_refused(world: Reviewing) -> None:
    (order,) = world.nowhere()
    number, note = world.one(order).id, "x" * 985 + " Do NOT refund."
    (refused,) = world.do(Action.REJECT, [number], note=f"{note}!")
    assert not refused.is_done
    assert "1,000 are kept" in refused.message
    assert (history(world, number), world.row(order).state) == ([], CaptureState.REVIEW)
    assert world.do(Action.REJECT, [number], note=note)[0].is_done
    (entry,) = world.review().show(number).history
    assert entry.detail["note"] == note
    assert world.row(order).reason == f"rejected by a person: {note}"


def test_a_rejection_can_be_taken_back(world: Reviewing) -> None:
    (order,) = world.nowhere()
    number = world.one(order).id
    world.do(Action.REJECT, [number], note="a test sale")
    assert not world.do(Action.REPLAY, [number])[0].is_done
    assert world.do(Action.REOPEN, [number], actor="bob")[0].is_done
    assert world.do(Action.REPLAY, [number], edits={"location": "berlin"})[0].is_done
    assert world.finish().imported == 1
    assert world.one(order).status is Status.FIXED
    assert history(world, number) == [
        ("ann", "reject"),
        ("bob", "reopen"),
        ("ann", "edit"),
        ("ann", "replay"),
    ]


def test_a_rejection_is_taken_back_long_after_the_payload_has_gone(world: Reviewing) -> None:
    order = world.placed_long_ago()
    number = world.one(order).id
    world.do(Action.REJECT, [number], note="not paid")
    assert world.store.retention.empty_payloads(world.name, LATER, 10) == 1
    world.do(Action.REOPEN, [number])
    (done,) = world.do(Action.APPROVE, [number], note="it was paid after all")
    assert done.is_done
    world.finish()
    assert world.ct_order(order)["paymentState"] == "Paid"


def test_an_email_address_is_kept_for_the_order_alone(begin: Callable[..., Reviewing]) -> None:
    world = begin(orders_settings={"email": "required"})
    order = world.sell((COAT, 1), **PAID_HERE)
    world.run()
    number = world.one(order).id
    assert world.one(order).kind == "order_contact"
    (done,) = world.do(Action.REPLAY, [number], edits={"email": EMAIL})
    assert done.is_done
    world.finish()
    assert world.ct_order(order)["customerEmail"] == EMAIL
    kept = str(world.store.audit_log.entries()) + str(world.everything()) + str(world.row(order))
    assert EMAIL not in kept
    assert "(given)" in kept


# Stock


def test_a_refused_change_of_stock_is_tried_again(world: Reviewing) -> None:
    place, store = Place(COAT, "berlin"), world.store
    with store.begin() as conn:
        move = NewMovement(
            world.name, world.project, COAT, "berlin", Source.API, "m1", "o", datetime.now(UTC), delta=-1
        )
        store.stock.add_movements(conn, [move])
    number = raised(world, Kind.STOCK_REFUSED, str(place))
    (refused,) = world.do(Action.REPLAY, [number])
    assert not refused.is_done
    assert "has no change that was refused" in refused.message
    assert world.everything()[-1].status is Status.NEW
    (batch,) = store.stock.claim(world.project, "w", limit=5, lease_seconds=60)
    with store.begin() as conn:
        store.stock.park(conn, batch.id, "w", "why", 3600)
    assert store.stock.claim(world.project, "w", limit=5, lease_seconds=60) == []
    assert world.do(Action.REPLAY, [number])[0].is_done
    assert [one.id for one in store.stock.claim(world.project, "w", limit=5, lease_seconds=60)] == [batch.id]
    assert world.everything()[-1].status is Status.IN_PROGRESS


# What needs no order


@pytest.mark.parametrize(
    ("kind", "action", "becomes"),
    [
        (Kind.PRODUCT_HELD, Action.ACKNOWLEDGE, Status.ACKNOWLEDGED),
        (Kind.PRODUCT_HELD, Action.START, Status.IN_PROGRESS),
        (Kind.PRODUCT_HELD, Action.HOLD, Status.ACKNOWLEDGED),
        (Kind.PRODUCT_HELD, Action.NOTE, Status.NEW),
        (Kind.PRODUCT_HELD, Action.EXPECTED, Status.EXPECTED),
        (Kind.BAD_MOVEMENT, Action.FIXED, Status.FIXED),
        (Kind.BAD_MOVEMENT, Action.REJECT, Status.REJECTED),
    ],
)
def test_a_deed_leads_to_its_status(world: Reviewing, kind: Kind, action: Action, becomes: Status) -> None:
    number = raised(world, kind)
    assert world.do(action, [number], note="because")[0].is_done
    found = world.review().show(number)
    assert found.exception.status is becomes
    assert history(world, number) == [("ann", action)]


def test_what_was_closed_can_be_reopened_and_nothing_else_be_done_about_it(world: Reviewing) -> None:
    number = raised(world, Kind.PRODUCT_HELD)
    world.do(Action.EXPECTED, [number], note="sold as is")
    assert world.review().show(number).actions == (Action.NOTE, Action.REOPEN)
    (refused,) = world.do(Action.START, [number])
    assert refused.message == "REC-1 is expected already. Reopen it first if that is not so."
    assert world.do(Action.REOPEN, [number])[0].is_done
    assert world.everything()[-1].status is Status.NEW
    assert not world.do(Action.REOPEN, [number])[0].is_done


@pytest.mark.parametrize(
    ("kind", "deeds"),
    [
        (Kind.BAD_MOVEMENT, (Action.REJECT, Action.REOPEN)),
        (Kind.BAD_MOVEMENT, (Action.FIXED, Action.REOPEN)),
        (Kind.PRODUCT_HELD, (Action.EXPECTED, Action.REOPEN)),
    ],
)
def test_an_ending_and_a_reopening_that_are_sent_twice_are_carried_out_once(
    world: Reviewing, kind: Kind, deeds: tuple[Action, ...]
) -> None:
    number = raised(world, kind)
    for deed in deeds:
        before = seen(world)
        first, second = (world.do(deed, [number], note="because", seen=before)[0] for _ in range(2))
        assert (first.is_done, second.is_done) == (True, True)
        assert second.message.startswith(f"That was done already ({deed}, ")
    assert history(world, number) == [("ann", deed) for deed in deeds]


def test_a_link_that_is_sent_twice_is_made_once(world: Reviewing) -> None:
    (order,) = world.nowhere()
    world.by_hand("BY-HAND")
    number, before = world.one(order).id, seen(world)
    for _ in range(2):
        (done,) = world.do(Action.LINK, [number], order_number=" BY-HAND ", seen=before)
        assert done.is_done
    assert done.message.startswith("That was done already (link, ")
    assert history(world, number) == [("ann", "link")]


def test_who_has_closed_it_meanwhile_is_named(world: Reviewing) -> None:
    number = raised(world, Kind.PRODUCT_HELD)
    before = seen(world)
    world.do(Action.EXPECTED, [number], actor="bob", note="sold as is")
    (done,) = world.do(Action.START, [number], seen=before)
    assert not done.is_done
    assert done.message.startswith("Nothing was done: bob was faster (expected, ")
    (another,) = world.do(Action.EXPECTED, [number], actor="bob", note="another reason", seen=before)
    assert another.message == "REC-1 is expected already. Reopen it first if that is not so."


@pytest.mark.parametrize(
    ("kind", "action", "more", "told"),
    [
        (Kind.PRODUCT_HELD, Action.APPROVE, {}, "'approve' is not possible, but acknowledge"),
        (Kind.PRODUCT_HELD, Action.EDIT, {"edits": {"location": "x"}}, "'edit' is not possible"),
        (Kind.PRODUCT_HELD, Action.EXPECTED, {}, "Say in the note why it is expected"),
        (Kind.PRODUCT_HELD, Action.NOTE, {"note": "  "}, "Say in the note what there is to note"),
        (Kind.BAD_MOVEMENT, Action.FIXED, {}, "Say in the note how it was fixed"),
        (Kind.ORDER_LOCATION, Action.REJECT, {}, "Say in the note why it is rejected"),
        (Kind.ORDER_LOCATION, Action.FIXED, {"note": "n"}, "'fixed' is not possible"),
        (Kind.ORDER_LOCATION, Action.LINK, {}, "Give the number of the order"),
        (Kind.ORDER_LOCATION, Action.EDIT, {}, "Give what to correct"),
        (
            Kind.ORDER_LOCATION,
            Action.EDIT,
            {"edits": {"total": "1"}},
            "'total' cannot be corrected here, but location",
        ),
        (
            Kind.ORDER_LOCATION,
            Action.START,
            {"edits": {"location": "x"}},
            "Corrections have no place in 'start'",
        ),
        (Kind.ORDER_LOCATION, Action.REPLAY, {}, "There is no kiosk order"),
    ],
)
def test_what_is_not_possible_is_refused_and_changes_nothing(
    world: Reviewing, kind: Kind, action: Action, more: Any, told: str
) -> None:
    number = raised(world, kind, payload={"order": "gid://cloudshelf/Order/none"})
    before = world.everything()
    (done,) = world.do(action, [number], **more)
    assert (done.is_done, done.is_later, done.record) == (False, False, "REC-1")
    assert told in done.message
    assert world.everything() == before
    assert world.store.audit_log.entries() == []


def test_one_that_cannot_be_done_does_not_keep_the_others_from_it(world: Reviewing) -> None:
    orders = world.nowhere(2)
    first, last = (world.one(order).id for order in orders)
    odd = raised(world, Kind.PRODUCT_HELD)
    done = world.do(Action.REPLAY, [first, 9999, odd, last, first], edits={"location": "berlin"})
    assert [(one.id, one.is_done) for one in done] == [
        (first, True),
        (9999, False),
        (odd, False),
        (last, True),
    ]
    assert world.finish().imported == 2


def test_a_wrong_correction_keeps_the_replay_from_happening(world: Reviewing) -> None:
    (order,) = world.nowhere()
    (done,) = world.do(Action.REPLAY, [world.one(order).id], edits={"location": "atlantis"})
    assert done.message == (
        "location: commercetools has no Channel with the key 'atlantis'. "
        "There are: berlin, hamburg, london, milan, munich."
    )
    assert (world.one(order).status, world.one(order).replays) == (Status.NEW, 0)


def test_deed_and_record_stand_or_fall_together(world: Reviewing, monkeypatch: pytest.MonkeyPatch) -> None:
    (order,) = world.nowhere()
    before = world.row(order)

    def crash(*_: Any, **__: Any) -> None:
        raise PermanentError("no room for the record")

    monkeypatch.setattr(world.store.exceptions, "decide", crash)
    (done,) = world.do(Action.REJECT, [world.one(order).id], note="never paid")
    assert done.message == "no room for the record"
    assert world.row(order) == before
    assert world.one(order).status is Status.NEW


def test_what_is_fixed_meanwhile_is_not_done_any_more(
    world: Reviewing, monkeypatch: pytest.MonkeyPatch
) -> None:
    (order,) = world.nowhere()
    seen = world.one(order)
    with world.store.begin() as conn:
        world.store.exceptions.resolve(conn, world.name, seen.kind, [seen.cause_key], "r9")
    before = world.row(order)
    monkeypatch.setattr(world.store.exceptions, "get", lambda link, number: seen)
    (done,) = world.do(Action.REPLAY, [seen.id])
    assert done.message == f"Exception {seen.id} is fixed, so it cannot become in_progress."
    assert world.row(order) == before


def test_what_is_out_of_reach_is_for_later(begin: Callable[..., Reviewing]) -> None:
    hasty = Tuning(read_seconds=2, attempts=1, total_seconds=2, backoff_seconds=0.01)
    world = begin()
    (order,) = world.nowhere()
    world.server.set_faults(FaultPlan(seed=1, rules=(Rule(kind=Fault.ERROR, api="commercetools"),)))
    world.tuning = hasty
    (done,) = world.do(Action.REPLAY, [world.one(order).id], edits={"location": "berlin"})
    assert (done.is_done, done.is_later) == (False, True)
    assert world.one(order).status is Status.NEW


# What is shown


def test_all_about_one(world: Reviewing) -> None:
    orders = world.nowhere(2)
    number = world.one(orders[0]).id
    world.do(Action.ACKNOWLEDGE, [number])
    found = world.review().show(number)
    assert found.exception.record == f"CS-{ulid(orders[0])}"
    assert found.policy == world.policies.kind("order_location")
    assert found.cause == 2
    assert found.silence is None
    assert {Action.EDIT, Action.REPLAY, Action.LINK, Action.REJECT, Action.DRY_RUN} < set(found.actions)
    assert not {Action.APPROVE, Action.FIXED, Action.EXPECTED, Action.REOPEN} & set(found.actions)
    with pytest.raises(PermanentError, match="has no exception 99"):
        world.review().show(99)


def test_a_cause_or_a_kind_is_silenced_until_it_is_lifted(world: Reviewing) -> None:
    orders = world.nowhere()
    first, other = (
        world.one(orders[0]).id,
        raised(world, Kind.ORDER_LOCATION, "other", payload={"order": "o"}),
    )
    review = world.review()
    number = review.silence(first, actor="ann", reason=f"moving the kiosk, {EMAIL}", until=LATER)
    found = review.show(first).silence
    assert found is not None
    assert (found.id, found.reason, found.actor) == (number, "moving the kiosk, ***", "ann")
    assert review.show(other).silence is None
    everything = review.silence(first, actor="ann", reason="moving all", until=LATER, whole_kind=True)
    assert review.show(other).silence is not None
    assert [one.id for one in review.silences()] == [number, everything]
    for each in (number, everything):
        review.lift(each, actor="bob")
    assert review.silences() == []
    assert review.show(first).silence is None
