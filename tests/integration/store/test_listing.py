"""Lists of exceptions: what stands first, what they come to, and what a page shows of thousands."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from tests.support.trouble import HELD, raise_

from cogent_ops.domain.exceptions import OPEN, Action, Kind, NewException, Owner, Status
from cogent_ops.domain.money import Money
from cogent_ops.store import Filter, Store, StoredException
from cogent_ops.store.exceptions import REVEAL, Overtaken, subject
from cogent_ops.store.listing import Sort
from cogent_ops.store.schema import exception

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ALL = Filter(statuses=tuple(Status), drills=None)
KINDS = (Kind.ORDER_CONTACT, Kind.ORDER_MONEY, Kind.PRODUCT_HELD)
LOUDNESS = ("critical", "warning", "info")


def some(store: Store, number: int, seed: int = 1) -> list[StoredException]:
    """Exceptions of all sorts, as they may stand in the table."""
    rng = random.Random(seed)
    new = [
        NewException(
            rng.choice(KINDS),
            f"c{n}",
            f"REC-{n}",
            "f",
            "r",
            "It is wrong.",
            "Mend it.",
            Owner.PLATFORM,
            group=rng.choice(("", "", "g1", "g2")),
            place=rng.choice(("Leeds", "Bath", "")),
            amount=rng.choice((None, 0, 100, 8400)),
            currency=rng.choice(("GBP", "EUR")),
        )
        for n in range(number)
    ]
    raise_(store, *new)
    with store.begin() as conn:
        for (id_,) in conn.execute(sa.select(exception.c.id)).all():
            is_open = rng.random() < 0.8
            values: dict[str, Any] = {
                "severity": rng.choice(LOUDNESS),
                "owner": rng.choice(list(Owner)),
                "deadline": rng.choice((None, NOW + rng.randrange(-3, 4) * HOUR)),
                "status": rng.choice(OPEN) if is_open else Status.FIXED,
                "opened_at": NOW - rng.randrange(9) * HOUR,
                "resolved_at": None if is_open else NOW - rng.randrange(9) * HOUR,
            }
            conn.execute(sa.update(exception).where(exception.c.id == id_).values(values))
    return store.exceptions.find("default", ALL)


def _never(one: datetime | None) -> datetime:
    return one or datetime.max.replace(tzinfo=UTC)


def _is_overdue(one: StoredException) -> bool:
    return one.deadline is not None and one.deadline < NOW


def _rank(one: StoredException) -> tuple[bool, int]:
    return not _is_overdue(one), LOUDNESS.index(one.severity)


ORDERS: dict[Sort, Callable[[StoredException], Any]] = {
    Sort.URGENCY: lambda one: (_rank(one), _never(one.deadline), -(one.amount or 0), one.id),
    Sort.DEADLINE: lambda one: (_never(one.deadline), _rank(one), one.id),
    Sort.MONEY: lambda one: (-(one.amount or 0), _never(one.deadline), one.id),
    Sort.NEWEST: lambda one: (-(one.resolved_at or one.opened_at or NOW).timestamp(), one.id),
}

FILTERS: dict[str, tuple[Filter, Callable[[StoredException], bool]]] = {
    "open": (Filter(), lambda one: one.is_open),
    "everything": (ALL, lambda one: True),
    "closed": (Filter((Status.FIXED,)), lambda one: one.status is Status.FIXED),
    "owner": (
        replace(ALL, owner=Owner.FINANCE),
        lambda one: one.owner == Owner.FINANCE,
    ),
    "place": (replace(ALL, place="Leeds"), lambda one: one.place == "Leeds"),
    "no place": (replace(ALL, place=""), lambda one: one.place == ""),
    "money": (replace(ALL, has_money=True), lambda one: bool(one.amount)),
    "overdue": (replace(ALL, overdue_at=NOW), _is_overdue),
    "soon": (
        replace(ALL, due_from=NOW, overdue_at=NOW + 2 * HOUR),
        lambda one: one.deadline is not None and NOW <= one.deadline < NOW + 2 * HOUR,
    ),
    "number": (replace(ALL, text="17"), lambda one: one.id == 17 or "17" in one.record),
    "no number": (replace(ALL, text="9" * 40), lambda one: False),
}


@pytest.mark.parametrize("sort", Sort)
def test_the_order_is_the_same_on_both_databases(store: Store, sort: Sort) -> None:
    everything = some(store, 120)
    found = store.listing.exceptions("default", ALL, sort, NOW, limit=1000)
    wanted = sorted(everything, key=ORDERS[sort])
    assert [one.id for one in found] == [one.id for one in wanted]
    assert store.listing.ids("default", ALL, sort, NOW, limit=1000) == [one.id for one in wanted]
    page = store.listing.exceptions("default", ALL, sort, NOW, limit=7, offset=20)
    assert [one.id for one in page] == [one.id for one in wanted[20:27]]


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_narrows_pages_numbers_and_causes_alike(store: Store, name: str) -> None:
    wanted, fits = FILTERS[name]
    here = [one for one in some(store, 80) if fits(one)]
    found = store.listing.exceptions("default", wanted, Sort.URGENCY, NOW, limit=1000)
    assert {one.id for one in found} == {one.id for one in here}
    assert store.listing.count("default", wanted) == len(here)
    causes = {(one.kind, one.cause_group) for one in here}
    assert store.listing.count_causes("default", wanted) == len(causes)
    listed = store.listing.causes("default", wanted, Sort.URGENCY, NOW, limit=1000, first=1000)
    assert {(one.kind, one.cause_group) for one in listed} == causes
    assert sorted(each.id for one in listed for each in one.first) == sorted(one.id for one in here)
    assert store.listing.by("owner", "default", wanted) == Counter(one.owner for one in here)


@pytest.mark.parametrize("sort", [Sort.URGENCY, Sort.DEADLINE])
def test_a_cause_stands_where_its_most_urgent_exception_stands(store: Store, sort: Sort) -> None:
    everything = sorted(some(store, 120), key=ORDERS[sort])
    causes = store.listing.causes("default", ALL, sort, NOW, limit=1000, first=3)
    first_seen = list(dict.fromkeys((_rank(one), one.kind, one.cause_group) for one in everything))
    best: dict[tuple[str, str], tuple[bool, int]] = {}
    for rank, kind, group in first_seen:
        best[kind, group] = min(best.get((kind, group), rank), rank)
    if sort is Sort.URGENCY:
        ranks = [best[one.kind, one.cause_group] for one in causes]
        assert ranks == sorted(ranks)
    for one in causes:
        mine = [each for each in everything if (each.kind, each.cause_group) == (one.kind, one.cause_group)]
        assert [each.id for each in one.first] == [each.id for each in mine[:3]]
        assert one.count == len(mine)
        assert one.deadline == min((each.deadline for each in mine if each.deadline), default=None)
        assert one.opened_at == min(each.opened_at for each in mine if each.opened_at)
    if sort is Sort.DEADLINE:
        due = [_never(one.deadline) for one in causes]
        assert due == sorted(due)


def test_a_cause_adds_up_money_of_one_currency_only(store: Store) -> None:
    base = replace(HELD, group="g")
    raise_(
        store,
        replace(base, cause_key="a", amount=300, currency="GBP"),
        replace(base, cause_key="b", amount=500, currency="GBP"),
        replace(base, cause_key="c"),
        replace(base, cause_key="d", group="h", amount=500, currency="GBP"),
        replace(base, cause_key="e", group="h", amount=400, currency="EUR"),
    )
    found = store.listing.causes("default", Filter(), Sort.MONEY, NOW, limit=10, first=1)
    assert [(one.cause_group, one.count, one.at_stake) for one in found] == [
        ("h", 2, None),
        ("g", 3, Money("GBP", 800)),
    ]


def test_a_cause_that_is_cured_while_the_list_is_read_is_not_in_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    some(store, 40)
    first = store.listing._first_of
    (lost, *others) = store.listing.causes("default", Filter(), Sort.URGENCY, NOW, limit=100, first=1)

    def late(*given: Any) -> Any:
        return {**first(*given), (lost.kind, lost.cause_group): []}

    monkeypatch.setattr(store.listing, "_first_of", late)
    assert store.listing.causes("default", Filter(), Sort.URGENCY, NOW, limit=100, first=1) == others


def test_totals_say_what_is_late_and_what_money_depends_on_it(store: Store) -> None:
    here = [one for one in some(store, 120) if one.is_open]
    found = store.listing.totals("default", Filter(), NOW, soon=2 * HOUR)
    money: Counter[str] = Counter()
    for one in here:
        money[str(one.currency)] += one.amount or 0
    assert found.all == len(here)
    assert found.overdue == sum(map(_is_overdue, here))
    assert found.soon == sum(
        one.deadline is not None and NOW <= one.deadline < NOW + 2 * HOUR for one in here
    )
    assert found.valued == sum(bool(one.amount) for one in here)
    assert found.at_stake == tuple(Money(name, cents) for name, cents in money.most_common())


def test_an_empty_list_comes_to_nothing(store: Store) -> None:
    found = store.listing.totals("default", Filter(), NOW, soon=HOUR)
    assert (found.all, found.overdue, found.soon, found.valued, found.at_stake) == (0, 0, 0, 0, ())
    assert store.listing.causes("default", Filter(), Sort.URGENCY, NOW, limit=10, first=3) == []


def test_drills_are_listed_where_they_are_asked_for_and_are_no_money_at_risk(store: Store) -> None:
    drill = replace(HELD, cause_key="drill/20261120T120000-0123abcd", amount=500, currency="GBP")
    raise_(store, drill, HELD, deadline=NOW - HOUR)
    assert store.listing.count("default", Filter()) == 1
    assert store.listing.count("default", Filter(drills=None)) == 2
    found = store.listing.totals("default", Filter(drills=None), NOW, soon=HOUR)
    assert (found.all, found.overdue, found.valued, found.at_stake) == (2, 1, 0, ())


def test_another_links_exceptions_are_no_concern_of_this_one(store: Store) -> None:
    raise_(store, HELD, link="austria")
    assert store.listing.count("default", ALL) == 0
    assert store.listing.ids("default", ALL, Sort.URGENCY, NOW, limit=10) == []


# What somebody has seen before deciding


@pytest.fixture
def held(store: Store) -> StoredException:
    raise_(store, HELD)
    return store.exceptions.open("default")[0]


def _decide(store: Store, id_: int, action: Action, actor: str, seen: int | None, **detail: Any) -> None:
    with store.begin() as conn:
        store.exceptions.decide(conn, "default", id_, action, None, actor=actor, detail=detail, seen=seen)


def test_what_somebody_did_meanwhile_keeps_a_decision_from_being_noted(
    store: Store, held: StoredException
) -> None:
    seen = store.audit_log.newest()
    _decide(store, held.id, Action.ACKNOWLEDGE, "bob", seen)
    with pytest.raises(Overtaken) as caught:
        _decide(store, held.id, Action.REPLAY, "ann", seen)
    assert not caught.value.is_same
    assert (caught.value.entry.actor, caught.value.entry.action) == ("bob", "acknowledge")
    assert len(store.audit_log.entries(subject(held.id))) == 1
    _decide(store, held.id, Action.REPLAY, "ann", store.audit_log.newest())


def test_the_same_deed_twice_is_told_from_another_one(store: Store, held: StoredException) -> None:
    seen = store.audit_log.newest()
    _decide(store, held.id, Action.NOTE, "ann", seen, note="Called the store.")
    with pytest.raises(Overtaken) as caught:
        _decide(store, held.id, Action.NOTE, "ann", seen, note="Called the store.")
    assert caught.value.is_same
    _decide(store, held.id, Action.NOTE, "ann", seen, note="Called again.")
    assert len(store.audit_log.entries(subject(held.id))) == 2


def test_looking_at_an_address_is_no_news_and_other_exceptions_are_none_either(
    store: Store, held: StoredException
) -> None:
    seen = store.audit_log.newest()
    store.audit_log.write("bob", REVEAL, subject(held.id), link="default")
    store.audit_log.write("bob", "reject", subject(held.id + 1), link="default")
    _decide(store, held.id, Action.FIXED, "ann", seen)


def test_the_log_names_the_youngest_entry_of_each_subject(store: Store) -> None:
    assert store.audit_log.newest() == 0
    for actor, action, name in (
        ("ann", "start", "a"),
        ("bob", "hold", "a"),
        ("eve", "note", "a"),
        ("joe", "start", "b"),
    ):
        store.audit_log.write(actor, action, name)
    found = store.audit_log.latest(["a", "b", "c"], ["start", "hold"])
    assert {name: entry.actor for name, entry in found.items()} == {"a": "bob", "b": "joe"}
    assert store.audit_log.newest() == store.audit_log.entries(limit=1)[0].id
