"""What a story makes of what is known, where a sandbox would take long to bring it about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cogent_ops.domain.drift.model import Area, Cause, Fact, Finding
from cogent_ops.domain.exceptions import Owner
from cogent_ops.domain.health.evidence import (
    EntryRead,
    FoundBefore,
    KioskSide,
    Known,
    Ledger,
    LevelSaid,
    Moved,
    Remembered,
    Sent,
    ShopSide,
    Told,
    WebOrder,
)
from cogent_ops.domain.health.story import Story, What
from cogent_ops.domain.health.telling import tell
from cogent_ops.domain.stock import Place

START = datetime(2026, 11, 20, 9, tzinfo=UTC)
PLACE = Place("coat", "berlin")


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def moved(id_: int, minutes: float, delta: int | None, batch: str | None = None, **more: Any) -> Moved:
    given: dict[str, Any] = {
        "link": "default",
        "counted": None,
        "source": "kiosk_order",
        "source_id": f"o{id_}",
        "reference": f"O{id_}",
        "recorded_at": at(minutes),
        "state": "applied" if batch else "waiting",
        "reason": "",
        "settled_at": at(minutes) if batch else None,
    }
    return Moved(id=id_, delta=delta, occurred_at=at(minutes), batch_id=batch, **(given | more))


def sent(id_: str, minutes: float, delta: int, before: int | None, **more: Any) -> Sent:
    given: dict[str, Any] = {
        "state": "applied",
        "entry_id": "e",
        "rounds": 0,
        "after": None if before is None else before + delta,
        "available": None,
        "error": "",
        "settled_at": at(minutes),
    }
    return Sent(id=id_, delta=delta, before=before, created_at=at(minutes), **(given | more))


def entry(on_stock: int, **more: Any) -> EntryRead:
    given: dict[str, Any] = {"available": on_stock, "batch": None, "changed_by": "us", "changed_at": at(0)}
    return EntryRead(on_stock=on_stock, **(given | more))


def known(ledger: Ledger, shop: ShopSide, **more: Any) -> Known:
    given: dict[str, Any] = {
        "kiosks": KioskSide(at(600)),
        "us": frozenset({"us", "austria"}),
        "name": "Berlin",
    }
    return Known(
        link="default",
        place=PLACE,
        asked_at=at(600),
        since=at(-9000),
        ledger=ledger,
        shop=shop,
        lag=timedelta(seconds=60),
        **(given | more),
    )


def units(story: Story) -> dict[str, int]:
    return {one.text: one.units for one in story.steps}


SOLD = Ledger(movements=(moved(1, 10, -2, "b1"),), batches=(sent("b1", 10, -2, 20),))


def read(entry_: EntryRead | None, **more: Any) -> ShopSide:
    return ShopSide(read_at=at(600), entry=entry_, **more)


def test_a_change_under_way_that_the_entry_names_is_in_it() -> None:
    """The answer was lost; nobody has noted yet that commercetools has the change."""
    ledger = Ledger(
        movements=(moved(1, 10, -2, "b1"), moved(2, 20, -3, "b2", state="batched", settled_at=None)),
        batches=(sent("b1", 10, -2, 20), sent("b2", 20, -3, None, state="open", settled_at=None)),
    )
    there = tell(known(ledger, read(entry(15, batch="b2"))))
    assert (there.pending, there.unexplained, there.shop.number) == (0, 0, 15)
    not_there = tell(known(ledger, read(entry(18, batch="b1"))))
    assert (not_there.pending, not_there.unexplained, not_there.shop.number) == (-3, 0, 18)
    waiting = [one.text for one in not_there.events if one.what is What.BATCH and one.open]
    assert waiting == ["Our change -3 is under way."]


def test_our_own_message_is_not_somebody_elses() -> None:
    told = (Told("m1", 20, 18, at(10.1), "us"), Told("m2", 18, 25, at(50), "ann"))
    story = tell(known(SOLD, read(entry(25), messages=told)))
    assert units(story)["Changed by others, as commercetools tells"] == 7
    assert story.unexplained == 0
    assert [one.what.value for one in story.events] == ["movement", "batch", "edit"]


def test_a_change_that_was_read_again_is_found_among_the_messages_by_its_units() -> None:
    ledger = replace(SOLD, batches=(sent("b1", 10, -2, None, after=17),))
    told = (Told("m1", 20, 18, at(10), "us"),)
    orders = (WebOrder("W1", 1, takes=True, at=at(10.2)),)
    story = tell(known(ledger, read(entry(17), messages=told, orders=orders)))
    assert (story.unexplained, units(story)["The web shop sold"], units(story)["Kiosks sold"]) == (0, -1, -2)


@pytest.mark.parametrize(("by", "unexplained"), [("ann", 0), ("us", 4), ("austria", 4), ("", 4)])
def test_who_changed_an_entry_last_explains_a_gap_unless_it_was_us(by: str, unexplained: int) -> None:
    """Links that share a project have clients of their own, which are ours all the same."""
    story = tell(known(SOLD, read(entry(14, changed_by=by, changed_at=at(300)))))
    assert story.unexplained == unexplained


def test_who_changed_it_before_our_last_change_explains_nothing_that_came_later() -> None:
    story = tell(known(SOLD, read(entry(14, changed_by="ann", changed_at=at(2)))))
    assert story.unexplained == 4


def finding(cause: Cause, off: int, reference: str = "") -> Finding:
    facts = (Fact("commercetools says", "14"),)
    return Finding(
        "default",
        "2026-11-21",
        Area.STOCK,
        cause,
        str(PLACE),
        "It says otherwise.",
        facts,
        Owner.PLATFORM,
        "Look.",
        off,
        reference=reference,
    )


@pytest.mark.parametrize(
    ("cause", "off", "reference", "unexplained"),
    [
        (Cause.DUPLICATED, -4, "", 0),
        (Cause.MANUAL_EDIT, -4, "", 0),
        (Cause.DUPLICATED, -3, "", 4),
        (Cause.UNEXPLAINED, -4, "", 4),
        # It is about an order whose movement never came, so it has changed nothing.
        (Cause.LOST, -4, "order/1", 4),
    ],
)
def test_a_night_explains_a_gap_if_it_found_as_much_and_why(
    cause: Cause, off: int, reference: str, unexplained: int
) -> None:
    found = FoundBefore(finding(cause, off, reference), at(400), "reported", "")
    story = tell(known(replace(SOLD, findings=(found,)), read(entry(14))))
    assert story.unexplained == unexplained


def test_a_finding_explains_one_gap_and_none_that_came_after_it() -> None:
    found = FoundBefore(finding(Cause.DUPLICATED, -4), at(30), "healing", "")
    ledger = Ledger(
        movements=(moved(1, 10, -2, "b1"), moved(2, 60, -1, "b2")),
        batches=(sent("b1", 10, -2, 20), sent("b2", 60, -1, 14)),
        findings=(found,),
    )
    assert tell(known(ledger, read(entry(13)))).unexplained == 0
    assert tell(known(ledger, read(entry(9)))).unexplained == 4


def test_what_happened_before_a_count_does_not_matter_any_more() -> None:
    ledger = Ledger(
        movements=(
            moved(1, 10, -2, "b1"),
            moved(2, 60, None, "b2", counted=7, source="file", reference="f:1"),
        ),
        batches=(sent("b1", 10, -2, 20), sent("b2", 60, -4, 11)),
    )
    story = tell(known(ledger, read(entry(7))))
    assert story.unexplained == 0
    assert [one.units for one in story.events if one.what is What.UNEXPLAINED] == [-7]
    assert list(units(story).values()) == [7, 7]
    assert "7 were counted on 20 Nov 10:00 UTC, and nothing has changed it since" in story.sentence


def test_a_count_with_changes_beside_it_says_what_they_made_of_it() -> None:
    count = moved(2, 60, None, "b2", counted=7, source="file", reference="f:1")
    ledger = Ledger(movements=(count, moved(3, 61, -1, "b2")), batches=(sent("b2", 61, -5, 11),))
    story = tell(known(ledger, read(entry(6))))
    assert (
        story.steps[0].text == "Counted on 20 Nov 10:00 UTC (f:1): 7, which made it 6 with what else was sold"
    )
    assert story.steps[0].units == 6


def test_a_count_that_waits_is_said_to() -> None:
    count = moved(2, 60, None, counted=7, source="file", reference="f:1")
    story = tell(known(replace(SOLD, movements=(*SOLD.movements, count)), read(entry(18))))
    assert "a count of 7 waits to be carried" in story.sentence


def test_what_came_to_nothing_is_not_said_to_have_been_sent() -> None:
    ledger = Ledger(
        movements=(moved(1, 10, -2, "b1"), moved(2, 11, 2, "b1")),
        batches=(sent("b1", 11, 0, None, entry_id=None),),
    )
    story = tell(known(ledger, read(entry(5))))
    (batch,) = (one for one in story.events if one.what is What.BATCH)
    assert (batch.text, batch.number, batch.open) == (
        "What moved came to nothing, so nothing was sent.",
        None,
        False,
    )
    assert (story.unexplained, story.shop.number) == (0, 5)


@pytest.mark.parametrize(
    ("level", "available", "text"),
    [
        (LevelSaid(0, 0, at(0), at(0), 0), -2, "Kiosks are not told of units that are missing"),
        (
            LevelSaid(0, 0, at(0), at(0), 0),
            2,
            "Kiosks are told none: below the safety stock, or its Channel does not count",
        ),
        (LevelSaid(9, 9, at(-5), at(0), 0), 2, "availability_push has not looked since the last change"),
        (LevelSaid(9, 9, at(0), at(0), 0), 2, "What changed since availability_push looked"),
    ],
)
def test_why_kiosks_are_told_otherwise_is_said(level: LevelSaid, available: int, text: str) -> None:
    story = tell(known(Ledger(level=level), read(entry(2, available=available))))
    assert units(story)[text] == level.wanted - available


ZERO = LevelSaid(0, 0, at(100), at(101), 0)


@pytest.mark.parametrize(
    ("available", "rows"),
    [
        (-16, {"Kiosks are not told of units that are missing": 16}),
        (0, {}),
        (2, {"Kiosks are told none: below the safety stock, or its Channel does not count": -2}),
    ],
)
def test_where_zero_counts_as_in_stock_what_was_really_told_is_said(
    available: int, rows: dict[str, int]
) -> None:
    story = tell(known(Ledger(level=ZERO), read(entry(available)), zero=-1))
    assert story.kiosks.number == -1
    said = "-1 in place of 0, which means none (Cloudshelf takes 0 for in stock)"
    assert story.kiosks.text.startswith(f"kiosks were told {said}, and ")
    assert story.sentence.endswith(f"; kiosks were told {said}.")
    last = {"Told as -1, which means none: Cloudshelf takes 0 for in stock": -1, "Kiosks should be told": -1}
    assert list(units(story).items())[2:] == [*rows.items(), *last.items()]
    assert [one.text for one in story.events] == ["Kiosks of Berlin were told -1, which means none."]


def test_what_is_not_told_yet_is_told_as_zero_is_told_there() -> None:
    come = tell(known(Ledger(level=replace(ZERO, wanted=5)), read(entry(5)), zero=-1))
    assert list(units(come).items())[2:] == [
        ("Kiosks should be told", 5),
        ("Not told yet", -6),
        ("Kiosks were told", -1),
    ]
    gone = tell(known(Ledger(level=replace(ZERO, told=5)), read(entry(0)), zero=-1))
    assert "kiosks were told 5, and not yet that it is -1 now" in gone.sentence
    assert list(units(gone).items())[-2:] == [("Not told yet", 6), ("Kiosks were told", 5)]
    doubted = tell(known(Ledger(level=replace(ZERO, told=None)), read(entry(0)), zero=-1))
    assert doubted.kiosks.number is None


SOLD_LATE = replace(
    SOLD,
    movements=(moved(1, 130, -2, "b1"),),
    batches=(sent("b1", 130, -2, 0),),
    level=ZERO,
    placed={"O1": at(121)},
)
AFTER = "ordered 20 min after kiosks were told that there is none"


def test_what_kiosks_sell_after_they_were_told_that_there_is_none_is_said() -> None:
    story = tell(known(SOLD_LATE, read(entry(-2)), zero=-1))
    (sale,) = (one for one in story.events if one.what is What.MOVEMENT)
    assert sale.text == f"A kiosk sold 2, {AFTER}."
    assert story.sentence.endswith(
        "; 2 of what kiosks sold were ordered after they were told that there is none."
    )
    assert any("had not heard of it, or sells whatever it shows" in note for note in story.notes)


@pytest.mark.parametrize(
    "change",
    [
        # Placed before, though paid after.
        {"placed": {"O1": at(100.5)}},
        {"placed": {}},
        {"placed": None},
        {"level": replace(ZERO, told=3)},
        {"level": replace(ZERO, told=None)},
        {"level": None},
        {"movements": (moved(1, 130, 2, "b1"),)},
        {"movements": (moved(1, 130, -2, "b1", source="api"),)},
        {"movements": (moved(1, 130, -2, "b1", link="austria"),)},
        {"movements": (moved(1, 130, -2, state="excluded"),)},
    ],
)
def test_of_no_other_movement_it_is_said(change: dict[str, Any]) -> None:
    story = tell(known(replace(SOLD_LATE, **change), read(entry(-2))))
    assert "there is none" not in f"{story.sentence}{story.notes}{[one.text for one in story.events]}"


def test_nothing_known_is_said_to_be_nothing() -> None:
    story = tell(
        known(Ledger(), ShopSide(None, problem="down"), kiosks=KioskSide(None, problem="down"), name="")
    )
    assert (
        story.sentence
        == "commercetools cannot be read, and nothing is known here of coat at the pool without Channel."
    )
    assert (story.steps, story.events, story.shop.text) == ((), (), "not known")


def test_what_is_remembered_stands_in_while_commercetools_is_down() -> None:
    ledger = replace(SOLD, remembered=Remembered("e", 18, 17, at(10)))
    story = tell(known(ledger, ShopSide(None, problem="down")))
    assert (story.shop.number, story.shop.available, story.shop.read_at) == (18, 17, None)
    assert "20 Nov 09:10 UTC" in story.shop.text
    assert list(units(story)) == [
        "commercetools had before 20 Nov 09:10 UTC",
        "Kiosks sold",
        "In commercetools, by all that is known here: it could not be read",
    ]
