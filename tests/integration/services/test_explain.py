"""Why a number is what it is: what happened in a sandbox is what the story tells, and its arithmetic adds up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.integration.clients.helpers import shop
from tests.support.nights import NightWorld
from tests.support.stories import check, explain, steps
from tests.support.trouble import HELD

from cogent_ops.clients.transport import close_sessions
from cogent_ops.domain.availability import Wanted
from cogent_ops.domain.beside import Mark
from cogent_ops.domain.exceptions import Kind
from cogent_ops.domain.health.model import Snapshot, State, StoreHealth
from cogent_ops.domain.health.story import Event, Story, System, What
from cogent_ops.domain.identifiers import location_gid
from cogent_ops.domain.rules import LocationOverride
from cogent_ops.domain.stock import MovementState, Place
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.services.availability import NOTE, ZERO
from cogent_ops.services.beside import stock_beside
from cogent_ops.services.explain.naming import UnknownPlace
from cogent_ops.store import Store
from cogent_ops.store.availability import Shown
from cogent_ops.store.schema import movement, order_capture, protection, stock_level, variant_flag
from cogent_ops.store.sql import now

#: Nobody listens there.
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def world(store: Store, tmp_path: Path) -> Iterator[NightWorld]:
    with ExitStack() as stack:
        data = generate(seed=1, products=3, now=datetime.now(UTC), dirty_share=0.0)
        server = stack.enter_context(SandboxServer(data))
        yield NightWorld(server, store, tmp_path / "root", rules={"heal": "small", "heal_value": 1e6})
        close_sessions()


def story(world: NightWorld, place: Place | str) -> Story:
    return check(explain(world).story(str(place)))


def of(told: Story, what: What) -> list[Event]:
    return [one for one in told.events if one.what is what]


def let_kiosks_know(world: NightWorld, place: Place, units: int) -> None:
    """As availability_push does, without a kiosk."""
    available, link = world.store.availability, "default"
    available.seen_by_catalogue(link, [Shown(place.sku, "p", True, True, False)])
    turn, soon = available.begin(link), now() + timedelta(minutes=1)
    with world.store.begin() as conn:
        available.record(conn, link, turn, {place.sku: Wanted({place.channel: units}, units > 0)}, soon)
    levels = available.claim_levels(link, "b", 100, due=now(), until=soon)
    available.confirm_levels(link, "b", levels)


def note_placed(world: NightWorld, order: str, at: datetime) -> None:
    """As if a kiosk's order had been placed then."""
    with world.store.begin() as conn:
        mine = sa.update(order_capture).where(order_capture.c.order_id == order)
        assert conn.execute(mine.values(ordered_at=at)).rowcount == 1


def test_everything_that_changed_a_number_is_told_and_adds_up(world: NightWorld) -> None:
    (place,) = world.places(1)
    world.count_shelf(place, 19)
    world.sell(place, 3)
    order = world.sell(place, 2)
    world.sell_online(place, 4)
    world.kiosks.set_status(order, "VOIDED")
    world.carry()
    world.edit(place, 30)
    world.move(place, -1)
    told = story(world, place)
    assert (told.shop.number, told.shop.available, told.unexplained, told.pending) == (29, 29, 0, 0)
    assert [one for one in steps(told).items() if not one[0].startswith("Counted")] == [
        ("Kiosks sold", -5),
        ("Kiosk orders gave back", 2),
        ("Stores' systems moved", -1),
        ("The web shop sold", -4),
        ("Changed by others, as commercetools tells", 18),
        ("On stock in commercetools", 29),
    ]
    kinds = Counter(one.what for one in told.events)
    assert kinds == {
        What.ENTRY: 1,
        What.COUNT: 1,
        What.MOVEMENT: 4,
        What.BATCH: 5,
        What.WEB_ORDER: 1,
        What.EDIT: 1,
    }
    assert [one.number for one in told.events if one.number is not None] == [20, 19, 16, 14, 10, 12, 30, 29]
    assert told.sentence.startswith(f"commercetools has 29 of {place.sku} at ")
    (web,) = of(told, What.WEB_ORDER)
    assert (web.system, web.units, web.reference) == (System.SHOP, -4, "W1")
    assert of(told, What.EDIT)[0].detail[0].value == "sandbox-people"


def test_without_messages_what_others_did_is_said_to_be_unexplained(world: NightWorld) -> None:
    (place,) = world.places(1)
    world.keep_messages(False)
    world.move(place, -1)
    world.edit(place, 30)
    world.move(place, -1)
    world.edit(place, 25)
    told = story(world, place)
    assert told.unexplained == 11
    assert [one.units for one in of(told, What.UNEXPLAINED)] == [11]
    (last,) = of(told, What.EDIT)
    assert (last.units, last.number) == (-4, 25)
    assert "sandbox-people" in last.detail[0].value
    assert any("keeps no Messages" in note for note in told.notes)
    assert "11 units cannot be explained" in told.sentence


def test_what_the_web_shop_did_last_is_nobodys_edit(world: NightWorld) -> None:
    """Who changed an entry last may be whoever sold."""
    (place,) = world.places(1)
    world.keep_messages(False)
    world.move(place, -1)
    world.edit(place, 30)
    world.sell_online(place, 2)
    told = story(world, place)
    assert (told.shop.number, told.unexplained, of(told, What.EDIT)) == (28, 11, [])


def test_what_a_night_found_explains_what_nobody_told(world: NightWorld) -> None:
    (place,) = world.places(1)
    world.keep_messages(False)
    world.night()
    world.move(place, -2)
    world.duplicate_last(place, -2)
    (found,) = world.night()
    told = story(world, place)
    assert (found.cause, told.unexplained, told.pending) == ("duplicated", 0, 2)
    assert steps(told)["There twice, as the night of 2026-12-02 found"] == -2
    assert [one.text for one in of(told, What.HEAL)] == [
        "This integration mended +2; it waits to be carried."
    ]
    assert "+2 is on the way, so it will be 18" in told.sentence
    (night,) = of(told, What.FINDING)
    assert (night.open, night.reference, night.units) == (True, "2026-12-02", None)
    decision = of(told, What.DECISION)
    assert [one.text for one in decision] == ["drift_reconciliation: heal."]
    world.carry()
    assert steps(story(world, place))["Mended by this integration"] == 2


def test_what_our_own_client_did_beside_the_ledger_is_named(world: NightWorld) -> None:
    (place,) = world.places(1)
    world.move(place, -2)
    world.duplicate_last(place, -2)
    told = story(world, place)
    assert steps(told)["Changed by our own API client, beside the ledger"] == -2
    assert told.unexplained == 0


def test_orders_that_only_reserve_lower_what_can_be_sold(world: NightWorld) -> None:
    (place,) = world.places(1)
    world.move(place, -1)
    line = {"sku": place.sku, "quantity": 3, "centAmount": 100}
    order = {"orderNumber": "R1", "currency": "EUR", "lines": [line], "channel": place.channel}
    world.server.state.floor.raw_online_order({**order, "inventoryMode": "ReserveOnOrder"})
    let_kiosks_know(world, place, 16)
    told = story(world, place)
    assert (told.shop.number, told.shop.available, told.kiosks.number) == (19, 16, 16)
    assert list(steps(told).items())[-4:] == [
        ("On stock in commercetools", 19),
        ("Reserved for orders of the web shop", -3),
        ("Can be sold", 16),
        ("Kiosks should be told", 16),
    ]
    assert [one.text for one in of(told, What.WEB_ORDER)] == ["An order of the web shop reserved 3."]
    assert told.sentence.endswith("kiosks were told 16, because 3 are reserved.")


def test_what_kiosks_are_told_less_and_were_not_told_yet_is_in_the_arithmetic(world: NightWorld) -> None:
    (place,) = world.places(1)
    let_kiosks_know(world, place, 20)
    with world.store.begin() as conn:
        row = {
            "link": "default",
            "sku": place.sku,
            "channel": place.channel,
            "since": now(),
            "updated_at": now(),
        }
        units = {"buffer": 4, "most": 4, "pending": 4, "expected": 0, "reserved": 0}
        numbers = {**units, "ending": False, "age": 90.0, "rate": 2.0}
        conn.execute(protection.insert(), row | numbers)
        world.store.audit_log.write(
            "protection", "begin", f"protection/{place}", {"buffer": 4}, link="default", conn=conn
        )
    turn = world.store.availability.begin("default")
    with world.store.begin() as conn:
        wanted = {place.sku: Wanted({place.channel: 16}, True)}
        world.store.availability.record(conn, "default", turn, wanted, now())
    told = story(world, place)
    assert list(steps(told).items())[-5:] == [
        ("On stock in commercetools", 20),
        ("Held back while stock is late", -4),
        ("Kiosks should be told", 16),
        ("Not told yet", 4),
        ("Kiosks were told", 20),
    ]
    assert "and not yet that it is 16 now" in told.sentence
    assert [(one.text, one.open) for one in of(told, What.PROTECTION)] == [
        ("Stock is late, so kiosks are told 4 fewer.", True)
    ]
    assert {(one.what, one.open) for one in told.events if one.system is System.KIOSK} >= {
        (What.TOLD, False),
        (What.WANTED, True),
    }


def test_where_cloudshelf_takes_zero_for_in_stock_it_is_said_what_kiosks_were_told(world: NightWorld) -> None:
    (place,) = world.places(1, units=1)
    world.sell(place, 1)
    let_kiosks_know(world, place, 0)
    assert story(world, place).kiosks.number == 0
    world.store.fingerprints.remember("default", NOTE, {ZERO: "0"}, "r")
    told = story(world, place)
    assert told.kiosks.number == -1
    assert told.sentence.endswith(
        "kiosks were told -1 in place of 0, which means none (Cloudshelf takes 0 for in stock)."
    )
    (available, *_) = stock_beside(told).pairs
    shown = (available.source, available.target, available.mark, available.words)
    assert shown == ("-1", "0", Mark.PLAIN, "Both mean that there is none.")
    world.edit(place, 3)
    (available, *_) = stock_beside(story(world, place)).pairs
    assert available.words == "Kiosks were told 3 less."


def test_a_sale_after_kiosks_were_told_that_there_is_none_is_said_to_be_one(world: NightWorld) -> None:
    (place,) = world.places(1, units=1)
    world.sell(place, 1)
    order = world.sell(place, 4)
    let_kiosks_know(world, place, 0)
    assert "there is none" not in story(world, place).sentence
    note_placed(world, order, now() + timedelta(minutes=20))
    told = story(world, place)
    assert told.sentence.endswith(
        "; 4 of what kiosks sold were ordered after they were told that there is none."
    )
    late = [one for one in of(told, What.MOVEMENT) if "there is none" in one.text]
    assert [(one.units, one.reference) for one in late] == [(-4, order.rpartition("/")[2])]


def test_what_waits_and_why_is_told(world: NightWorld) -> None:
    (place,) = world.places(1)
    world.move(place, -1)
    world.stock.move(place, -2)
    waiting = world.stock.movement(place, -3)
    world.stock.add(replace(waiting, state=MovementState.REVIEW, reason="unknown location id"))
    told = story(world, place)
    assert told.pending == -5
    assert "-5 is on the way, so it will be 14" in told.sentence
    reasons = {fact.value for one in told.events if one.open for fact in one.detail if fact.name == "stands"}
    assert reasons == {"waits to be carried", "waits for a person: unknown location id"}


def test_exceptions_of_the_place_are_on_the_time_line_and_no_others(world: NightWorld) -> None:
    place, other = world.places(2)
    world.move(place, -1)
    oversell = replace(HELD, kind=Kind.OVERSELL, cause_key=str(place), message="More was sold than is there.")
    unknown = replace(HELD, kind=Kind.UNKNOWN_IDENTIFIER, cause_key=f"sku/{place.sku}", message="Unknown.")
    elsewhere = replace(HELD, kind=Kind.OVERSELL, cause_key=str(other), message="Elsewhere.")
    with world.store.begin() as conn:
        world.store.exceptions.raise_many(conn, "default", [oversell, unknown, elsewhere, HELD], "r")
        world.store.exceptions.resolve(conn, "default", Kind.UNKNOWN_IDENTIFIER, [f"sku/{place.sku}"], "r")
    found = of(story(world, place), What.EXCEPTION)
    assert {one.text: one.open for one in found} == {"More was sold than is there.": True, "Unknown.": False}
    assert all(one.exception for one in found)


def test_an_entry_that_is_gone_is_said_to_be(world: NightWorld) -> None:
    (place,) = world.places(1)
    world.move(place, -1)
    world.remove(place)
    told = story(world, place)
    assert (told.shop.number, told.shop.text, told.unexplained) == (None, "no inventory entry", 0)
    assert told.events[-1].text == "The inventory entry was deleted."
    assert told.sentence.startswith("commercetools has no inventory entry of ")


def test_an_entry_that_is_gone_is_said_to_be_without_messages_too(world: NightWorld) -> None:
    (place,) = world.places(1)
    world.keep_messages(False)
    world.move(place, -1)
    world.remove(place)
    told = story(world, place)
    assert steps(told)["The inventory entry is gone, with what it had"] == -19
    assert "and had 19 before" in told.sentence


def test_an_entry_made_anew_begins_there(world: NightWorld) -> None:
    (place,) = world.places(1)
    world.move(place, -1)
    world.remove(place)
    world.stock.stock(place, 7)
    world.move(place, -2)
    told = story(world, place)
    assert (told.shop.number, told.unexplained) == (5, 0)
    assert [one.text.partition(" on ")[0] for one in told.steps][:2] == [
        "The inventory entry was made",
        "Stores' systems moved",
    ]


def test_young_orders_show_late_and_are_no_riddle(world: NightWorld) -> None:
    (place,) = world.places(1)
    world.move(place, -1)
    world.server.state.commercetools.behaviour = replace(
        world.server.state.commercetools.behaviour, order_lag_seconds=600.0
    )
    world.sell_online(place, 2)
    told = story(world, place)
    assert (told.shop.number, told.unexplained) == (19, 0)
    assert [(one.units, one.open, one.number) for one in of(told, What.WEB_ORDER)] == [(-2, True, None)]


# When something cannot be read


def test_without_commercetools_the_ledger_tells_what_it_knows(world: NightWorld) -> None:
    (place,) = world.places(1)
    world.move(place, -1)
    world.sell(place, 2)
    told = check(explain(world, shop_url=NOWHERE).story(str(place)))
    assert (told.shop.number, told.shop.read_at) == (17, None)
    assert "commercetools" in told.shop.problem
    assert told.kiosks.problem == ""
    assert told.sentence.startswith("commercetools cannot be read; by all that is known here it has 17 of ")
    assert any(note.startswith("commercetools could not be read") for note in told.notes)


def test_without_cloudshelf_commercetools_is_still_explained(world: NightWorld) -> None:
    (place,) = world.places(1)
    world.move(place, -1)
    let_kiosks_know(world, place, 19)
    told = check(explain(world, kiosk_url=f"{NOWHERE}/graphql").story(str(place)))
    assert (told.shop.number, told.kiosks.number, told.kiosks.read_at) == (19, 19, None)
    assert "cloudshelf" in told.kiosks.problem
    nobody = check(explain(world, shop_url=NOWHERE, kiosk_url=f"{NOWHERE}/graphql").story(str(place)))
    assert (nobody.shop.number, nobody.kiosks.number) == (19, 19)


def test_what_may_not_be_read_is_said_and_the_rest_told(world: NightWorld) -> None:
    (place,) = world.places(1)
    world.move(place, -1)
    world.sell_online(place, 2)
    mine = explain(world)
    scopes = ("manage_products:sandbox", "view_channels:sandbox")
    mine._commercetools = lambda: shop(world.server, scopes=scopes)
    told = check(mine.story(str(place)))
    assert told.shop.number == 17
    assert told.unexplained == 2
    assert any("Orders of the web shop could not be read" in note for note in told.notes)


# Who is meant


def test_a_store_is_known_by_its_key_its_name_and_cloudshelfs_id(world: NightWorld) -> None:
    (place,) = world.places(1)
    called = {"berlin": LocationOverride(display_name="Berlin Mitte")}
    mine = explain(world, overrides=called)
    for given in ("berlin", "berlin mitte", " BERLIN  MITTE ", location_gid("berlin")):
        told = check(mine.story(f"{place.sku}@{given}"))
        assert (told.sku, told.place, told.name) == (*place, "Berlin Mitte")
    pool = mine.story(f"{place.sku}@")
    assert (pool.place, pool.subject) == ("", f"{place.sku}@(no channel)")


def test_an_article_in_one_place_needs_no_store(world: NightWorld) -> None:
    (place,) = world.places(1)
    world.move(place, -1)
    assert story(world, place.sku).place == "berlin"
    world.stock.stock(Place(place.sku, "hamburg"), 3)
    world.move(Place(place.sku, "hamburg"), -1)
    with pytest.raises(UnknownPlace, match=r"is in 2 places; say which: .*@berlin.*@hamburg"):
        story(world, place.sku)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("nix@berlin", r"No article has the SKU 'nix'\."),
        ("{typo}@berlin", r"No article has the SKU '.*'\. Did you mean the SKU '{sku}'\?"),
        (
            "{sku}@berlim",
            r"No supply Channel has the key or the name 'berlim'\. Did you mean the Channel 'berlin'\?",
        ),
        ("{sku}@Berlin Mite", r"Did you mean 'Berlin Mitte' \('berlin'\)\?"),
        ("{sku}@xyz", r"There are: .*'berlin'"),
        ("@berlin", "Name an article and a store"),
    ],
)
def test_what_nobody_knows_is_said_with_what_was_meant(world: NightWorld, given: str, message: str) -> None:
    (place,) = world.places(1)
    world.move(place, -1)
    typo = f"{place.sku[:-1]}{'X' if place.sku[-1] != 'X' else 'Y'}"
    called = {"berlin": LocationOverride(display_name="Berlin Mitte")}
    with pytest.raises(UnknownPlace, match=message.replace("{sku}", place.sku)):
        explain(world, overrides=called).story(given.format(sku=place.sku, typo=typo))


def test_two_stores_of_one_name_are_told_apart_by_their_keys(world: NightWorld) -> None:
    (place,) = world.places(1)
    called = {key: LocationOverride(display_name="Mitte") for key in ("berlin", "hamburg")}
    with pytest.raises(
        UnknownPlace, match="Several stores are called 'mitte'; give the key of one: 'berlin', 'hamburg'"
    ):
        explain(world, overrides=called).story(f"{place.sku}@mitte")


def test_stores_have_their_names_while_commercetools_does_not_answer(world: NightWorld) -> None:
    (place,) = world.places(1)
    world.move(place, -1)
    seen = Snapshot(
        link="default",
        checked_at=now(),
        state=State.GOOD,
        sentence="All is well.",
        flows=(),
        stores=(StoreHealth(place="berlin", name="Berlin Mitte", state=State.GOOD),),
    )
    with world.store.begin() as conn:
        world.store.health.save(conn, seen, "r")
    mine = explain(world, shop_url=NOWHERE)
    assert check(mine.story(f"{place.sku}@Berlin Mitte")).place == "berlin"
    with pytest.raises(UnknownPlace, match="commercetools cannot be asked for its stores"):
        mine.story(f"{place.sku}@nirgends")
    with pytest.raises(UnknownPlace, match="commercetools could not be asked"):
        mine.story("nix@berlin")


def test_places_are_suggested_by_their_beginning(world: NightWorld) -> None:
    place, other = world.places(2)
    world.move(place, -1)
    let_kiosks_know(world, other, 3)
    mine = explain(world)
    assert mine.suggestions(place.sku[:4]) == [str(place)]
    assert mine.suggestions("") == sorted([str(place), str(other)])
    assert len(mine.suggestions("", limit=1)) == 1


# Traffic, and much of it


def test_a_busy_place_adds_up_while_it_is_busy(world: NightWorld) -> None:
    """Kiosks, the web shop, stores' systems and people, one after the other, and asked again and again."""
    (place,) = world.places(1, units=1000)
    deeds = (
        lambda: world.sell(place, 1),
        lambda: world.sell_online(place, 2),
        lambda: world.move(place, 3),
        lambda: world.edit(place, (world.stock.on_stock(place) or 0) + 5),
        lambda: world.count_shelf(place, 900),
    )
    for turn in range(12):
        deeds[(turn * 7) % len(deeds)]()
        told = story(world, place)
        assert told.shop.number == world.stock.on_stock(place)
        assert told.unexplained == 0


def test_where_much_has_moved_the_story_begins_later_and_still_adds_up(world: NightWorld) -> None:
    (place,) = world.places(1, units=100)
    for _ in range(8):
        world.move(place, -1)
    ledger = world.store.stock_story.ledger(
        "default", world.stock.project, place, now() - timedelta(days=1), most=5
    )
    assert (len(ledger.movements), ledger.left_out, len(ledger.batches)) == (5, 3, 5)
    assert [one.before for one in ledger.batches] == [97, 96, 95, 94, 93]


def test_movements_of_another_time_are_left_out_unless_they_are_open(world: NightWorld) -> None:
    (place,) = world.places(1)
    world.move(place, -1)
    world.stock.move(place, -2)
    long_ago = now() - timedelta(days=60)
    with world.store.begin() as conn:
        conn.execute(sa.update(movement).values(occurred_at=long_ago, recorded_at=long_ago))
        conn.execute(
            sa.update(movement).where(movement.c.settled_at.is_not(None)).values(settled_at=long_ago)
        )
    told = check(explain(world).story(str(place)))
    assert [one.units for one in of(told, What.MOVEMENT)] == [-2]
    told = check(explain(world).story(str(place), days=90))
    assert [one.units for one in of(told, What.MOVEMENT)] == [-1, -2]


def test_a_story_survives_being_stored_and_read(world: NightWorld) -> None:
    (place,) = world.places(1)
    world.sell(place, 1)
    told = story(world, place)
    assert Story.model_validate_json(told.model_dump_json()) == told
    assert all(len(one.text) < 300 for one in told.events)


def test_the_levels_of_another_link_are_its_own(world: NightWorld) -> None:
    (place,) = world.places(1)
    let_kiosks_know(world, place, 20)
    with world.store.begin() as conn:
        conn.execute(sa.update(stock_level).values(link="austria"))
        conn.execute(sa.update(variant_flag).values(link="austria"))
    told = story(world, place)
    assert told.kiosks.number is None
