"""What kiosks should be told, and were told: the latest wish wins, and nobody's late answer hides a difference."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import uuid4

import pytest
import sqlalchemy as sa
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import URL
from tests.support.databases import Databases
from tests.support.processes import together

from cogent_ops.domain.availability import Wanted
from cogent_ops.store import Store, open_store
from cogent_ops.store.availability import AT_ONCE, Backlog, Flag, Level, Overtaken, Shown
from cogent_ops.store.schema import stock_level, variant_flag

LINK = "de"
LATER = timedelta(minutes=15)
HOLD = timedelta(minutes=5)


def moment(seconds: float = 0) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def show(
    store: Store, *skus: str, in_stock: bool = True, back_order: bool = False, product: str = "p1"
) -> None:
    shown = [Shown(sku, product, in_stock, in_stock or back_order, back_order) for sku in skus]
    store.availability.told_by_catalogue(LINK, "catalogue/run", shown)


def want(
    store: Store, sku: str, turn: datetime | None = None, /, *, in_stock: bool = True, **levels: int
) -> int:
    turn = turn or store.availability.begin(LINK)
    with store.begin() as conn:
        return store.availability.record(
            conn,
            LINK,
            turn,
            {sku: Wanted(levels, in_stock)},
            moment() + LATER,
        )


def claim(store: Store, batch: str = "b", limit: int = 100) -> list[Level]:
    return store.availability.claim_levels(LINK, batch, limit, due=moment(1), until=moment() + HOLD)


def claim_flags(store: Store, holder: str = "h", limit: int = 100) -> list[Flag]:
    return store.availability.claim_flags(LINK, holder, limit, due=moment(1), until=moment() + HOLD)


def tell(store: Store) -> list[Level]:
    batch = uuid4().hex
    claimed = claim(store, batch)
    store.availability.confirm_levels(LINK, batch, claimed)
    return claimed


def at(seconds: float) -> Callable[[object], datetime]:
    return lambda record: moment(seconds)


# Levels


def test_the_latest_wish_is_told_once(store: Store) -> None:
    show(store, "a")
    assert [want(store, "a", berlin=units) for units in (5, 4, 4, 3)] == [1, 1, 0, 1]
    assert tell(store) == [Level("a", "berlin", 3)]
    assert tell(store) == []
    assert store.availability.backlog(LINK) == Backlog(0, 0, 0, None)


def test_a_wish_that_is_fulfilled_again_needs_no_telling(store: Store) -> None:
    show(store, "a")
    want(store, "a", berlin=5)
    tell(store)
    want(store, "a", berlin=4)
    want(store, "a", berlin=5)
    assert claim(store) == []


def test_a_wish_that_returns_while_another_is_told_is_told_again(store: Store) -> None:
    show(store, "a")
    want(store, "a", berlin=5)
    tell(store)
    want(store, "a", berlin=4)
    (sent,) = claim(store, "b1")
    want(store, "a", berlin=5)
    assert claim(store, "b2") == [], "one at a time"
    store.availability.confirm_levels(LINK, "b1", [sent])
    assert claim(store, "b3") == [Level("a", "berlin", 5)]


def test_what_was_sent_before_a_crash_is_told_again(store: Store) -> None:
    show(store, "a")
    want(store, "a", berlin=5)
    tell(store)
    want(store, "a", berlin=4)
    claim(store, "dead")
    want(store, "a", berlin=5)  # as it was told last; but perhaps Cloudshelf has the 4
    after = store.availability.claim_levels(LINK, "b", 9, due=moment() + HOLD * 2, until=moment() + HOLD * 3)
    assert after == [Level("a", "berlin", 5)]
    store.availability.confirm_levels(LINK, "dead", [Level("a", "berlin", 4)])
    assert store.availability.backlog(LINK).levels == 1, "who comes too late changes nothing"
    store.availability.confirm_levels(LINK, "b", after)
    assert store.availability.backlog(LINK).levels == 0


def test_the_longest_waiting_go_first_however_often_they_change(store: Store) -> None:
    show(store, "a", "b", "c")
    for sku in ("c", "a", "b"):
        want(store, sku, berlin=1)
    want(store, "c", berlin=2)
    assert {level.sku for level in claim(store, "1", 2)} == {"a", "c"}
    assert claim(store, "2", 5) == [Level("b", "berlin", 1)]


def test_a_store_without_entry_has_none(store: Store) -> None:
    show(store, "a")
    want(store, "a", berlin=5, bonn=1)
    tell(store)
    want(store, "a", berlin=5)
    assert tell(store) == [Level("a", "bonn", 0)]


def test_a_sku_that_no_kiosk_shows_is_left_out(store: Store) -> None:
    show(store, "a")
    assert want(store, "other", berlin=5) == 0
    assert store.availability.shown(LINK, ["a", "other"]) == {"a"}
    assert claim(store) == []


def test_what_was_refused_waits_longer_whatever_is_wished(store: Store) -> None:
    show(store, "a")
    want(store, "a", berlin=5)
    for refusals in range(3):
        (level,) = claim(store)
        assert level.refusals == refusals
        store.availability.postpone_levels(LINK, "b", [level], at(60), refused=True)
        want(store, "a", berlin=6 + refusals)
        store.availability.postpone_levels(LINK, "b", [level], at(0), refused=True)  # not ours any more
        assert claim(store) == []
        _hurry(store)
    assert store.availability.backlog(LINK).refused == 1
    assert [level.wanted for level in tell(store)] == [8]
    assert store.availability.backlog(LINK).refused == 0


def test_what_waits_for_cloudshelf_is_not_refused(store: Store) -> None:
    show(store, "a")
    want(store, "a", berlin=5)
    store.availability.postpone_levels(LINK, "b", claim(store), at(60), refused=False)
    assert claim(store) == []
    assert not store.availability.has_due(LINK, moment(30))
    assert store.availability.has_due(LINK, moment(61))
    assert store.availability.backlog(LINK).refused == 0


def test_levels_of_no_store_are_dropped(store: Store) -> None:
    show(store, "a")
    want(store, "a", berlin=5, bonn=2)
    levels = claim(store)
    store.availability.drop_levels(LINK, "b", [level for level in levels if level.channel == "bonn"])
    assert store.availability.backlog(LINK).levels == 1


def test_told_zeros_can_be_doubted(store: Store) -> None:
    show(store, "a")
    want(store, "a", berlin=0, bonn=2)
    tell(store)
    store.availability.doubt_zeros(LINK)
    assert claim(store) == [Level("a", "berlin", 0)]


def _hurry(store: Store) -> None:
    """Whatever waits for its time has waited enough."""
    with store.begin() as conn:
        for table in (stock_level, variant_flag):
            conn.execute(sa.update(table).values(due_at=moment(-1)))


# Flags


def test_flags_follow_stock_and_policy(store: Store) -> None:
    show(store, "a")
    show(store, "b", back_order=True)
    for sku in ("a", "b"):
        want(store, sku, in_stock=False)
    flags = {flag.sku: (flag.in_stock, flag.purchasable) for flag in claim_flags(store)}
    assert flags == {"a": (False, False), "b": (False, True)}


def test_the_catalogue_tells_another_policy(store: Store) -> None:
    show(store, "a", in_stock=False)
    want(store, "a", in_stock=False)
    show(store, "a", in_stock=False, back_order=True)
    assert claim_flags(store) == [], "the catalogue flow has told both flags itself"


def test_what_the_catalogue_told_counts_as_told(store: Store) -> None:
    show(store, "a")
    want(store, "a", in_stock=False)
    show(store, "a", in_stock=False)
    assert claim_flags(store) == []
    want(store, "a", in_stock=True)
    assert claim_flags(store) == [Flag("a", "p1", True, True)]


def test_what_the_catalogue_read_too_early_is_told_again_and_read_again(store: Store) -> None:
    show(store, "a")
    want(store, "a", in_stock=False)
    held = claim_flags(store)
    store.availability.confirm_flags(LINK, "h", held)
    assert store.availability.to_read(LINK, moment(), 9) == []
    show(store, "a", in_stock=True)
    assert claim_flags(store) == [Flag("a", "p1", False, False)]
    assert store.availability.to_read(LINK, moment(), 9) == ["a"]


def test_an_unchanged_variant_is_read_again_where_the_catalogue_reads_another_stock(store: Store) -> None:
    show(store, "a", "b")
    want(store, "a", in_stock=False)
    want(store, "b", in_stock=True)
    store.availability.seen_by_catalogue(LINK, [Shown(sku, "p1", True, True, False) for sku in "abc"])
    assert set(store.availability.to_read(LINK, moment(), 9)) == {"a", "c"}
    assert [flag.sku for flag in claim_flags(store)] == ["a"]


def test_one_writes_a_variant_at_a_time(store: Store) -> None:
    show(store, "a", "b")
    want(store, "a", in_stock=False)
    available = store.availability
    assert [flag.sku for flag in claim_flags(store)] == ["a"]
    assert available.hold(LINK, "catalogue/run", ["a", "b", "new"], moment() + HOLD) == {"a"}
    assert claim_flags(store, "other") == []
    assert available.confirm_flags(LINK, "h", [Flag("a", "p1", False, False)]) == set()
    assert available.hold(LINK, "catalogue/run", ["a"], moment() + HOLD) == set()
    want(store, "a", in_stock=True)
    assert claim_flags(store) == []
    available.told_by_catalogue(LINK, "catalogue/run", [], refused=["a", "b"])
    assert {flag.sku for flag in claim_flags(store)} == {"a", "b"}, "nobody knows what was told"


def test_who_held_too_long_learns_it(store: Store) -> None:
    show(store, "a")
    want(store, "a", in_stock=False)
    (flag,) = store.availability.claim_flags(LINK, "slow", 9, due=moment(1), until=moment(-1))
    assert store.availability.hold(LINK, "catalogue/run", ["a"], moment() + HOLD) == set()
    assert store.availability.confirm_flags(LINK, "slow", [flag]) == {"a"}
    store.availability.postpone_flags(LINK, "slow", [flag], at(60), refused=True)
    show(store, "a", in_stock=False)
    assert store.availability.backlog(LINK) == Backlog(0, 0, 0, None)


def test_forgetting_spares_what_another_product_shows_by_now(store: Store) -> None:
    show(store, "a", "b")
    want(store, "a", berlin=1)
    want(store, "b", berlin=1)
    show(store, "b", product="p2")
    store.availability.forget(LINK, {"p1": ["a", "b", "unknown"]})
    assert store.availability.shown(LINK, ["a", "b"]) == {"b"}
    assert [level.sku for level in claim(store)] == ["b"]


# Reading


def test_new_variants_are_read_at_once_and_others_in_turn(store: Store) -> None:
    show(store, "a", "b")
    assert set(store.availability.to_read(LINK, AT_ONCE, 9)) == {"a", "b"}
    want(store, "a")
    assert store.availability.to_read(LINK, moment(), 9) == ["b"]
    assert store.availability.to_read(LINK, moment() + LATER * 2, 9) == ["b", "a"]
    store.availability.read_soon(LINK, ["a", "unknown"], moment(-1))
    assert set(store.availability.to_read(LINK, moment(), 9)) == {"a", "b"}


def test_who_was_overtaken_stores_nothing(store: Store) -> None:
    show(store, "a")
    old = store.availability.begin(LINK)
    want(store, "a", store.availability.begin(LINK), berlin=1)
    with pytest.raises(Overtaken):
        want(store, "a", old, berlin=9)
    assert [level.wanted for level in tell(store)] == [1]


def test_turns_grow_even_where_clocks_stand(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    still = moment()
    monkeypatch.setattr("cogent_ops.store.availability.now", lambda: still)
    assert store.availability.begin(LINK) < store.availability.begin(LINK) < store.availability.begin(LINK)


def test_links_share_nothing(store: Store) -> None:
    show(store, "a")
    want(store, "a", berlin=3)
    assert store.availability.shown("at", ["a"]) == set()
    assert store.availability.backlog("at") == Backlog(0, 0, 0, None)
    assert not store.availability.has_due("at", moment() + LATER * 2)


# Several at once


def _drain(url: URL, number: int) -> list[tuple[str, str]]:
    store = open_store(url)
    told = []
    while levels := claim(store, f"{number}/{uuid4().hex}", 7):
        told += [(level.sku, level.channel) for level in levels]
    return told


def test_two_senders_never_take_the_same(store: Store, store_url: URL) -> None:
    skus = [f"s{number}" for number in range(60)]
    show(store, *skus)
    turn, wishes = (
        store.availability.begin(LINK),
        {sku: Wanted({"berlin": 1, "bonn": 2}, True) for sku in skus},
    )
    with store.begin() as conn:
        store.availability.record(conn, LINK, turn, wishes, moment() + LATER)
    taken = [one for part in together(lambda number: _drain(store_url, number), 3) for one in part]
    assert len(taken) == len(set(taken)) == 120


# Any order of events

EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("wish"), st.integers(0, 1)),
        st.tuples(st.just("tell"), st.just(0)),
        st.tuples(st.sampled_from(("claim", "deliver", "confirm", "refuse")), st.integers(0, 1)),
        st.tuples(st.just("expire"), st.just(0)),
    ),
    min_size=4,
    max_size=20,
)


class Shelf:
    """A level, who is about to tell it, and Cloudshelf."""

    def __init__(self, store: Store) -> None:
        self.store, self.names = store, count()
        self.wanted = 0
        self.has: int | None = None
        #: Claims that nobody has settled; those of them that can still reach Cloudshelf, and those that have.
        self.under_way: list[tuple[str, Level]] = []
        self.alive: set[str] = set()
        self.delivered: set[str] = set()
        show(store, "a")
        want(store, "a", berlin=0)

    def wish(self, value: int) -> None:
        self.wanted = value
        want(self.store, "a", berlin=value)

    def claim(self, _: int) -> None:
        name = str(next(self.names))
        self.under_way += [(name, level) for level in claim(self.store, name)]
        self.alive.add(name)

    def deliver(self, _: int) -> None:
        """The hold outlasts the request."""
        if self.under_way and self.under_way[-1][0] in self.alive:
            name, level = self.under_way[-1]
            self.has = level.wanted
            self.delivered.add(name)

    def confirm(self, place: int) -> None:
        """Perhaps long after somebody else has claimed it."""
        if place < len(self.under_way) and self.under_way[place][0] in self.delivered:
            name, level = self.under_way.pop(place)
            self.store.availability.confirm_levels(LINK, name, [level])

    def refuse(self, place: int) -> None:
        if place < len(self.under_way) and self.under_way[place][0] not in self.delivered:
            name, level = self.under_way.pop(place)
            self.store.availability.postpone_levels(LINK, name, [level], at(-1), refused=True)

    def tell(self, _: int) -> None:
        for level in tell(self.store):
            self.has = level.wanted

    def expire(self, _: int) -> None:
        """So late that no request is under way, and every hold has ended."""
        self.alive.clear()
        _hurry(self.store)

    def check(self) -> None:
        """Cloudshelf has what is wanted, or that it may not is known."""
        if self.store.availability.backlog(LINK).levels == 0:
            assert self.has == self.wanted


def history(text: str) -> list[tuple[str, int]]:
    """Events in words, e.g. ``wish 1, claim``."""
    words = (event.split() for event in text.split(", "))
    return [(word[0], int(word[1]) if len(word) > 1 else 0) for word in words]


@settings(max_examples=60, deadline=None)
@given(events=EVENTS)
@example(events=history("tell, wish 1, claim, deliver, wish 0"))
@example(events=history("wish 1, claim, deliver, expire, wish 0, claim, deliver, wish 1, confirm"))
@example(events=history("tell, wish 1, claim, wish 0, refuse"))
def test_whatever_happens_a_difference_is_due(
    sqlite_databases: Databases, events: list[tuple[str, int]]
) -> None:
    with sqlite_databases.current() as url:
        store = open_store(url)
        shelf = Shelf(store)
        for event, value in events:
            getattr(shelf, event)(value)
            shelf.check()
        shelf.expire(0)
        shelf.tell(0)
        assert shelf.has == shelf.wanted
        store.close()
