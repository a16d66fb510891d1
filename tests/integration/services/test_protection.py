"""Protection while late: kiosks are never told of units that are gone, and of all others once nothing is late."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.carrying import Carrier
from tests.support.dying import Boundaries, kill_myself, survives
from tests.support.lateness import Late, after_reading
from tests.support.shelves import Shelves

from cogent_ops.domain.identifiers import variant_gid
from cogent_ops.domain.stock import Place, Source
from cogent_ops.errors import RetryableError
from cogent_ops.sandbox.cloudshelf_state import KioskBehaviour
from cogent_ops.sandbox.dataset import Dataset, all_variants
from cogent_ops.sandbox.faults import FaultPlan, Rule
from cogent_ops.sandbox.generator import VariantMix, generate
from cogent_ops.services.protection import Refreshed
from cogent_ops.store import Store

pytestmark = pytest.mark.usefixtures("quick_gate")

Begin = Callable[..., Carrier]
#: Each on both databases; more of them take a few seconds each.
HISTORIES = int(os.environ.get("COGENT_OPS_HISTORIES", "6"))
STEPS = 25
STRICT = KioskBehaviour(safety_stock_itself="out")


@pytest.fixture(scope="module")
def clean() -> Dataset:
    mix = VariantMix(((1, 1, 2),))
    return generate(seed=41, products=6, now=datetime.now(UTC), dirty_share=0, variants=mix)


@pytest.fixture
def late(begin: Begin, clean: Dataset) -> Callable[[Store], Late]:
    """Makes a link whose kiosks were told everything."""

    def made(store: Store) -> Late:
        carrier = begin(clean, store, sandbox={"kiosk": STRICT})
        carrier.clear()
        carrier.sync()
        shelves = Shelves(carrier)
        shelves.settle()
        return Late(shelves)

    return made


MakeLate = Callable[[Store], Late]


def place(late: Late, number: int = 0) -> Place:
    """A place of a variant that kiosks show."""
    found = sorted(
        Place(sku, channel)
        for sku, there in late.shelves.stock().items()
        for channel in there
        if channel
        and (variant_gid(sku), f"gid://external/CommercetoolsChannel/{channel}") in late.shelves.levels()
    )
    return found[number]


def scarce(late: Late, units: int = 5, number: int = 0) -> Place:
    """A place with so many units of a variant that is nowhere else."""
    at = place(late, number)
    late.shelves.empty(at.sku)
    late.stock(at, units)
    late.shelves.settle()
    assert late.told(at) == units
    return at


# Begin, change, release


def test_kiosks_are_told_what_is_left_while_stock_is_late(late: MakeLate, store: Store) -> None:
    link = late(store)
    at = scarce(link)
    link.sell(at, 2)
    link.sell_online(at)
    assert link.turn() == Refreshed(begun=1, lowered=1)
    assert link.told(at) == link.left[at] == 2
    link.sell(at, seconds=1)
    assert link.turn() == Refreshed(changed=1, lowered=1), "what is sold now is known not to arrive soon"
    assert link.told(at) == link.left[at] == 1
    row = link.rows()[at]
    assert (row.buffer, row.pending, row.expected) == (3, 3, 0)
    link.drain()
    link.settle()
    assert link.rows() == {}
    assert link.told(at) == link.left[at] == 1
    link.shelves.check()
    assert link.turn() == Refreshed()
    name, whole = f"protection/{at}", f"link/{link.link}"
    assert link.logged() == {
        (name, "begin"): 1,
        (name, "release"): 1,
        (whole, "begin_protection"): 1,
        (whole, "end_protection"): 1,
    }


def test_nothing_is_done_and_nothing_is_asked_while_nothing_is_late(late: MakeLate, local: Store) -> None:
    link = late(local)
    at = scarce(link)
    link.sell(at, seconds=5)
    link.shelves.carrier.forget()
    assert link.refresh() == Refreshed()
    assert link.protection.at_risk(datetime.now(UTC)) == []
    assert link.shelves.carrier.asked() == {}
    assert link.told(at) == 5
    assert not link.logged()


def test_less_is_told_without_asking_commercetools(late: MakeLate, store: Store) -> None:
    link = late(store)
    at = scarce(link, 1)
    link.sell(at)
    link.shelves.carrier.forget()
    assert link.refresh() == Refreshed(begun=1, lowered=2)
    link.shelves.push()
    assert link.told(at) == 0
    assert not link.shelves.variants()[variant_gid(at.sku)]["isInStock"], "nothing is left anywhere"
    assert not [name for name in link.shelves.carrier.asked() if name.startswith("commercetools")]


def test_a_place_that_gets_units_back_is_told_so_once_it_was_read(late: MakeLate, store: Store) -> None:
    link = late(store)
    at = scarce(link)
    link.sell(at, 3)
    link.turn()
    link.sell(at, -2)
    assert link.refresh() == Refreshed(changed=1)
    link.shelves.push()
    assert link.told(at) == 2, "only a reading may raise it"
    link.shelves.once()
    assert link.told(at) == link.left[at] == 4


def test_others_variants_and_places_are_left_alone(late: MakeLate, local: Store) -> None:
    link = late(local)
    at, other = scarce(link), scarce(link, 7, 3)
    assert at.sku != other.sku
    before = link.shelves.levels()
    link.sell(at)
    link.sell(Place("no-such-sku", at.channel))
    link.sell(Place(at.sku, "no-such-channel"))
    link.turn()
    assert link.told(at) == 4
    after = link.shelves.levels()
    assert {key for key, level in after.items() if before[key] != level} == {
        key for key in before if key[0] == variant_gid(at.sku) and key[1].endswith(f"/{at.channel}")
    }
    assert set(link.rows()) == {at, Place(at.sku, "no-such-channel")}
    assert len(link.protection.at_risk(datetime.now(UTC))) == 3, "sync health hears of all"


def test_movements_of_stores_systems_count_from_when_they_came(late: MakeLate, local: Store) -> None:
    link = late(local)
    at = scarce(link)
    link.sell(at, seconds=80_000, source=Source.FILE)
    assert link.turn() == Refreshed(), "last night's file has only just come"
    link.age(61)
    link.turn()
    assert link.told(at) == 4


def test_a_refused_batch_protects_its_own_place_only(late: MakeLate, local: Store) -> None:
    link = late(local)
    at, other = scarce(link), scarce(link, 7, 3)
    link.sell(at)
    link.refuse()
    assert link.store.stock.backlog(link.project).parked == 1
    link.sell(other, seconds=5)
    link.turn()
    assert (link.told(at), link.told(other)) == (4, 7)
    assert set(link.rows()) == {at}


def test_off_holds_nothing_back_and_still_says_what_is_at_risk(late: MakeLate, local: Store) -> None:
    link = late(local)
    at = scarce(link)
    link.sell(at, 2)
    link.turn()
    assert link.told(at) == 3
    link.settings(mode="off")
    assert link.turn() == Refreshed(ended=1)
    assert link.told(at) == 5
    assert link.rows() == {}
    (risk,) = link.protection.at_risk(datetime.now(UTC))
    assert (risk.units, risk.buffer, risk.place) == (2, 0, at.channel)


def test_a_variant_that_is_taken_off_the_kiosks_is_released(late: MakeLate, local: Store) -> None:
    link = late(local)
    at = scarce(link)
    link.sell(at)
    link.turn()
    link.store.availability.forget(link.link, {_product(link, at.sku): [at.sku]})
    link.drain()
    assert link.refresh() == Refreshed(ended=1)
    assert link.rows() == {}
    assert link.logged()[f"protection/{at}", "release"] == 1


def _product(link: Late, sku: str) -> str:
    products = link.shelves.kiosk()["products"]
    (gid,) = [gid for gid, product in products.items() if variant_gid(sku) in product["variants"]]
    return str(gid).rpartition("/")[2]


def _variant(link: Late, sku: str) -> int:
    product = link.shelves.carrier.product(_product(link, sku))
    (found,) = [one["id"] for one in all_variants(product) if one["sku"] == sku]
    return int(found)


# What nobody has heard of


def test_what_was_probably_sold_while_nobody_read_orders_is_held_back(late: MakeLate, store: Store) -> None:
    link = late(store)
    at = scarce(link, 9)
    for minute in (4, 6, 8):
        link.sell(at, seconds=180 + 60 * minute)  # 3 in ten minutes: 18 an hour
    link.drain()
    link.settle()
    link.orders_read(180)
    assert link.told(at) == link.left[at] == 6
    link.turn()
    assert link.rows()[at].expected == 1
    assert link.told(at) == 5
    link.orders_read(360)
    link.settings()
    link.turn()
    assert link.rows()[at].expected == 2
    assert link.told(at) == 4
    link.orders_read(0)
    link.turn()
    assert link.rows() == {}
    assert link.told(at) == 6, "nobody has bought it after all"


def test_the_most_that_is_expected_is_bounded(late: MakeLate, local: Store) -> None:
    link = late(local)
    at = scarce(link, 200)
    link.sell(at, 100, seconds=200)
    link.drain()
    link.settle()
    link.orders_read(190)
    link.sell(at, 7, seconds=100)
    link.settings(most_units=10)
    link.turn()
    assert (link.rows()[at].pending, link.rows()[at].expected) == (7, 10)
    assert link.told(at) == 100 - 7 - 10


def test_some_is_left_to_the_web_shop(late: MakeLate, store: Store) -> None:
    link = late(store)
    at = scarce(link, 9)
    link.settings(reserve=1.0)
    link.sell(at, 3)
    link.turn()
    row = link.rows()[at]
    assert (row.buffer, row.pending, row.expected, row.reserved) == (6, 3, 0, 3)
    assert (link.told(at), link.left[at]) == (3, 6)
    (risk,) = link.protection.at_risk(datetime.now(UTC))
    assert (risk.units, risk.buffer) == (3, 6)
    link.drain()
    link.settle()
    assert link.told(at) == 6
    assert link.rows() == {}


# Counted once


def test_a_batch_that_the_entry_shows_is_not_taken_off_again(late: MakeLate, store: Store) -> None:
    """The drain dies after commercetools has taken the batch and before that is noted."""
    link = late(store)
    at = scarce(link)
    link.sell(at, 2)
    link.turn()
    link.drain_and_die()
    link.sell(at, 1)
    link.turn()
    assert link.told(at) == link.left[at] == 2
    link.turn()
    assert link.rows()[at].pending == 1, "by what was read last"
    assert link.told(at) == 2
    link.drain()
    link.settle()
    assert link.told(at) == 2
    assert link.rows() == {}


def test_a_batch_that_was_under_way_when_the_place_became_late(late: MakeLate, store: Store) -> None:
    link = late(store)
    at = scarce(link)
    link.sell(at, 2, seconds=1)
    link.drain_and_die()
    link.turn()
    assert (link.told(at), link.rows()) == (3, {})
    link.age(120)
    link.refresh()
    link.shelves.push()
    assert link.told(at) == link.left[at] == 3
    assert link.rows() == {}


def test_a_batch_that_takes_effect_after_the_reading(late: MakeLate, store: Store) -> None:
    link = late(store)
    at = scarce(link)
    link.sell(at, 2)
    link.turn()
    link.sell_online(at)
    with after_reading(link, link.drain):
        link.turn()
    assert link.told(at) == link.left[at] == 2, "the entry as read has three that are gone"
    link.settle()
    assert link.told(at) == 2
    assert link.rows() == {}


def test_two_batches_in_a_row_are_each_counted_once(late: MakeLate, store: Store) -> None:
    link = late(store)
    at = scarce(link, 9)
    link.sell(at, 2)
    link.turn()
    link.drain()
    link.sell(at, 3)
    link.drain_and_die()
    link.sell(at, 1)
    link.turn()
    assert link.told(at) == link.left[at] == 3, "the entry names the second, which nobody has noted"


def test_a_place_that_ends_is_not_raised_by_an_older_reading(late: MakeLate, store: Store) -> None:
    link = late(store)
    at = scarce(link)
    link.sell(at, 2)
    link.turn()

    def arrive() -> None:
        link.drain()
        link.refresh()

    link.stock(Place(at.sku, ""), 1)
    with after_reading(link, arrive):
        link.shelves.collect()
    link.shelves.push()
    assert link.told(at) == 3
    assert link.rows()[at].is_ending
    link.shelves.let_time_pass()
    link.settle()
    assert link.told(at) == link.left[at] == 3
    assert link.rows() == {}


# Both flows


def test_the_catalogue_does_not_undo_it(late: MakeLate, store: Store) -> None:
    link = late(store)
    at = scarce(link, 1)
    link.sell(at)
    link.turn()
    gid = variant_gid(at.sku)
    assert not link.shelves.variants()[gid]["isInStock"]
    image = {"url": "https://images.example.com/new.jpg"}
    link.shelves.carrier.edit_variant(_product(link, at.sku), _variant(link, at.sku), images=[image])
    link.shelves.carrier.sync(full_refresh=True)
    assert link.shelves.variants()[gid]["isInStock"], "it asks commercetools, which does not know better"
    link.turn()
    assert not link.shelves.variants()[gid]["isInStock"], "and is put right with the next look"
    assert link.told(at) == 0
    link.drain()
    link.settle()
    link.shelves.check()


# Any history


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_any_history_ends_with_everything_told_again(late: MakeLate, store: Store, seed: int) -> None:
    """Sales at kiosks and online, units that come back, drains that work, die or are refused, in any order."""
    link, rng = late(store), random.Random(seed)
    link.settings(reserve=rng.choice((0.0, 1.0, 5.0)))
    places = [scarce(link, rng.randint(2, 9), number) for number in (0, 3)]
    for _ in range(STEPS):
        link.happen(rng, rng.choice(places))
        if rng.random() < 0.3:
            link.shelves.renewed()
        if rng.random() < 0.6:
            link.turn()
            link.check_protected()
    link.drain()
    link.settle()
    assert link.rows() == {}
    link.shelves.check()
    assert {at: link.told(at) for at in places} == {at: max(0, link.left[at]) for at in places}
    logged = link.logged()
    opposite = {
        "begin": "release",
        "release": "begin",
        "begin_protection": "end_protection",
        "end_protection": "begin_protection",
    }
    assert all(logged[subject, opposite[action]] == times for (subject, action), times in logged.items())


# Restarts


def test_each_deed_is_logged_once_wherever_the_process_dies(late: MakeLate, local: Store) -> None:
    link = late(local)
    at = scarce(link)

    def begin() -> None:
        link.shelves.renewed()
        link.turn()

    def end() -> None:
        link.shelves.renewed()
        link.refresh()
        link.shelves.once()

    deaths, number = 0, 0
    while True:
        link.stock(at, 5)
        link.settle()
        link.sell(at, 2)
        lived = survives(begin, Boundaries(number, kill_myself))
        link.shelves.let_time_pass()
        link.turn()
        assert link.told(at) == 3
        link.drain()
        lived &= survives(end, Boundaries(number, kill_myself))
        link.shelves.let_time_pass()
        link.settle()
        assert link.rows() == {}
        link.shelves.check()
        number += 1
        logged = link.logged()
        assert set(logged.values()) == {number}, logged
        if lived:
            break
        deaths += 1
    assert deaths > 10


# The run


def test_a_run_protects_while_commercetools_does_not_answer(late: MakeLate, local: Store) -> None:
    link = late(local)
    at = scarce(link)
    link.sell(at, 2)
    rules = link.shelves.carrier.config.availability
    link.shelves.settings["availability"] = rules.model_copy(
        update={"poll_seconds": 0.2, "longest_run_seconds": 4.0}
    )
    link.shelves.renewed()
    app = link.shelves.carrier.server.app
    app.faults.use(FaultPlan(rules=(Rule(kind="error", api="commercetools", status=503, retry_after=0),)))
    with pytest.raises(RetryableError):
        link.shelves.flow.keep_up()
    assert link.told(at) == 3
    app.faults.use(FaultPlan())
    link.drain()
    link.shelves.renewed()
    link.settle()
    link.shelves.check()


def test_a_run_says_how_many_places_it_protected(late: MakeLate, local: Store) -> None:
    link = late(local)
    at = scarce(link)
    link.sell(at, 2)
    rules = link.shelves.carrier.config.availability
    link.shelves.settings["availability"] = rules.model_copy(
        update={"poll_seconds": 0.2, "longest_run_seconds": 2.0}
    )
    counted: dict[str, Any] = link.shelves.renewed().keep_up()
    assert counted["protected"] == 1
    assert link.told(at) == 3
    assert link.protection.at_risk(datetime.now(UTC) + timedelta(seconds=1))[0].buffer == 2
