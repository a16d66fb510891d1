"""The exception inbox over HTTP: who may do what, what a form does, what comes back when it is refused."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from tests.support.desk import Clock, Visitor
from tests.support.kiosks import line, ulid
from tests.support.reviewing import COAT, PAID_HERE, Reviewing
from tests.support.trouble import HELD, raise_

from cogent_ops.addresses import DESK_PREFIX
from cogent_ops.config import SHIPPED, load_policies
from cogent_ops.domain.drills import drill, drill_cause
from cogent_ops.domain.exceptions import ALWAYS, Action, Kind, NewException, Owner, Status, possible
from cogent_ops.sandbox.faults import FaultPlan, Rule
from cogent_ops.sandbox.faults import Kind as Fault
from cogent_ops.services.notes import LONGEST_NOTE
from cogent_ops.services.review import Decision
from cogent_ops.store import Filter, StoredException
from cogent_ops.store.exceptions import subject
from cogent_ops.store.schema import exception

if TYPE_CHECKING:
    from fastapi import FastAPI

    from cogent_ops.store import Store

pytestmark = [pytest.mark.airflow, pytest.mark.xdist_group("airflow")]

Visitors = Callable[[str | None], Visitor]
ROOT = Path(__file__).resolve().parents[2]
EMAIL = "maria.muster@example.com"
EVERYTHING = Filter(statuses=tuple(Status), drills=None)
ORDER = NewException(
    Kind.OVERSELL,
    "coat@leeds",
    "coat@leeds",
    "availableQuantity",
    "more was sold than is there",
    "coat@leeds: -2 on stock.",
    "Count the shelf.",
    Owner.CUSTOMER_SERVICE,
    place="Leeds",
    amount=8400,
    currency="GBP",
    payload={"sku": "coat", "channel": "leeds"},
)


def raised(store: Store, *new: NewException, due: timedelta | None = None) -> list[StoredException]:
    raise_(store, *new)
    found = {one.cause_key: one for one in store.exceptions.find("default", EVERYTHING)}
    some = [found[one.cause_key] for one in new]
    if due is not None:
        with store.begin() as conn:
            at = {"deadline": datetime.now(UTC) + due}
            ids = [one.id for one in some]
            conn.execute(sa.update(exception).where(exception.c.id.in_(ids)).values(at))
    return some


def case(number: int, deed: str = "") -> str:
    return f"/exceptions/default/{number}{f'/{deed}' if deed else ''}"


def text(answer: Any) -> str:
    """What somebody reads."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def field(answer: Any, name: str) -> str:
    """The value of the first field of a name."""
    found = re.search(rf'name="{re.escape(name)}" value="([^"]*)"', answer.text)
    assert found, f"no field {name}"
    return unescape(found[1])


def sent(who: Visitor, number: int, deed: str, **form: str) -> Any:
    """A form of the page of an exception, as it is opened and sent."""
    page = who.get(case(number))
    seen = re.search(r'name="seen" value="(\d+)"', page.text)
    return who.post(case(number, deed), {"seen": seen[1] if seen else "", **form}, page=case(number))


def history(store: Store, number: int) -> list[tuple[str, str]]:
    entries = store.audit_log.entries(subject(number))
    return [(entry.actor, entry.action) for entry in reversed(entries)]


def sold(world: Reviewing, *, mail: str = "", **session: Any) -> StoredException:
    """An order that waits for a person."""
    attribute = {"key": world.config.orders.email_attribute, "value": mail}
    goods = {**line(COAT, 2), "productName": "Coat", "customAttributes": [attribute] if mail else []}
    place = {"locationId": world.location("berlin"), "locationName": "Berlin"}
    wrong = {"basketValue": 30.0, "basketCurrencyCode": "EUR"}
    order = world.raw_order([goods], "PAID", {**place, **PAID_HERE, **wrong, **session})
    world.run()
    return world.one(order)


# The list


def test_the_list_says_what_whose_and_how_urgent(visitor: Visitors, desk_store: Store) -> None:
    raised(desk_store, ORDER, due=-timedelta(hours=2))
    raised(desk_store, HELD, due=timedelta(hours=5, minutes=5))
    shown = text(visitor("vic").get("/exceptions"))
    for words in (
        "More sold than is there",
        "coat@leeds",
        "-2 on stock.",
        "£84.00",
        "overdue by 2 h",
        "customer service",
        "Next Have the store count the shelf.",
        "Product held back from kiosks",
        "due in 5 h",
        "2 waiting, 1 overdue , £84.00 at risk",
    ):
        assert words in shown, words
    assert shown.index("More sold") < shown.index("Product held")
    assert "oversell" not in shown


def test_an_empty_list_says_that_nothing_waits(visitor: Visitors) -> None:
    assert "Nothing waits" in text(visitor("vic").get("/exceptions"))


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ({}, {"A", "B"}),
        ({"owner": "customer service"}, {"A"}),
        ({"owner": ""}, {"A", "B"}),
        ({"due": "overdue"}, {"A"}),
        ({"due": "soon"}, set()),
        ({"money": "1"}, {"A"}),
        ({"kind": "product_held"}, {"B"}),
        ({"store": "Leeds"}, {"A"}),
        ({"q": "coat"}, {"A"}),
        ({"state": "closed"}, {"C"}),
        ({"view": "all"}, {"A", "B"}),
        ({"sort": "money"}, {"A", "B"}),
        ({"page": "99"}, {"A", "B"}),
        ({"kind": "nonsense", "due": "x", "page": "-1", "sort": "'", "owner": "nobody"}, {"A", "B"}),
        ({"q": "%_'\"<b>"}, set()),
        ({"page": "9" * 40, "cause": "x"}, {"A", "B"}),
    ],
)
def test_the_address_says_which_list_it_is(
    visitor: Visitors, desk_store: Store, query: dict[str, str], shown: set[str]
) -> None:
    raised(desk_store, replace(ORDER, record="REC-A", message="coat A"), due=-timedelta(hours=2))
    raised(desk_store, replace(HELD, record="REC-B"), due=timedelta(hours=5))
    (closed,) = raised(desk_store, replace(HELD, cause_key="p9", record="REC-C"))
    with desk_store.begin() as conn:
        desk_store.exceptions.resolve(conn, "default", closed.kind, [closed.cause_key], "r2")
    answer = visitor("vic").get("/exceptions", **query)
    assert answer.status_code == 200
    assert set(re.findall(r"REC-(\w)", text(answer))) == shown


def chosen(who: Visitor, **form: str) -> Any:
    """The form above the list, sent as it is but for what somebody chooses in it."""
    return who.get("/exceptions", before=field(who.get("/exceptions"), "before"), **form)


def test_the_team_is_remembered_until_another_one_is_chosen(visitor: Visitors, desk_store: Store) -> None:
    raised(desk_store, ORDER, HELD)
    who = visitor("vic")
    answer = chosen(who, owner="merchandising", q="rug")
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    # A colleague who gets the address from me keeps their own team.
    assert answer.headers["location"].endswith("/exceptions?owner=merchandising&q=rug")
    shown = text(who.get("/exceptions"))
    assert "Only those of merchandising" in shown
    assert "coat@leeds" not in shown
    assert "set-cookie" not in chosen(who, owner="merchandising", kind="oversell").headers
    chosen(who, owner="")
    assert "coat@leeds" in text(who.get("/exceptions"))


@pytest.mark.parametrize("owner", ["merchandising", "", "nobody"])
def test_a_link_shows_its_list_once_and_remembers_nothing(
    visitor: Visitors, desk_store: Store, owner: str
) -> None:
    raised(desk_store, ORDER, HELD)
    who = visitor("vic")
    chosen(who, owner="customer service")
    answer = who.get("/exceptions", owner=owner)
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert ("Only those of merchandising: show everybody's" in text(answer)) is (owner == "merchandising")
    assert "Only those of customer service" in text(who.get("/exceptions"))


def test_who_searches_in_the_list_of_a_link_keeps_their_team(visitor: Visitors, desk_store: Store) -> None:
    raised(desk_store, ORDER, HELD)
    who = visitor("vic")
    linked = who.get("/exceptions", owner="merchandising")
    found = who.get("/exceptions", owner="merchandising", before=field(linked, "before"), q="rug")
    assert "set-cookie" not in found.headers
    assert "coat@leeds" in text(who.get("/exceptions"))


def test_an_order_is_found_by_the_number_that_customers_have(visitor: Visitors, desk_store: Store) -> None:
    number = "01M8HEM570ABCDEFGHJKMNPQRS"
    raised(
        desk_store,
        replace(ORDER, message=f"coat@leeds: -2 on stock. The latest kiosk orders: {number}."),
        HELD,
    )
    for words in (f"CS-{number}", number):
        shown = text(visitor("vic").get("/exceptions", q=words))
        assert "1 waiting" in shown
        assert "coat@leeds" in shown


def test_a_long_name_floods_no_list_and_is_whole_on_the_page_of_its_exception(
    visitor: Visitors, desk_store: Store
) -> None:
    name = "Rug-" * 300
    (one, *_) = raised(
        desk_store, *(replace(HELD, cause_key=key, message=f"{name} is held.") for key in "ab")
    )
    assert name not in visitor("vic").get("/exceptions", view="all").text
    assert name not in visitor("vic").get("/exceptions").text
    assert name in visitor("vic").get(case(one.id)).text


def test_thousands_are_listed_a_page_at_a_time(visitor: Visitors, desk_store: Store) -> None:
    raise_(desk_store, *(replace(HELD, cause_key=f"p{n}", record=f"REC-{n:03}") for n in range(120)))
    who = visitor("vic")
    pages = [set(re.findall(r"REC-\d+", who.get("/exceptions", page=n).text)) for n in (1, 2, 3)]
    assert [len(one) for one in pages] == [50, 50, 20]
    assert len(set.union(*pages)) == 120
    assert "page 2 of 3" in text(who.get("/exceptions", page=2))


def test_what_somebody_wrote_into_an_order_is_shown_as_text(visitor: Visitors, desk_store: Store) -> None:
    evil = '"><script>alert(1)</script>'
    (one,) = raised(desk_store, replace(ORDER, record=evil, message=evil, place=evil, cure=evil))
    for answer in (visitor("ada").get("/exceptions"), visitor("ada").get(case(one.id))):
        assert "<script>alert" not in answer.text
        assert "alert(1)" in answer.text


def test_a_drill_is_marked_wherever_it_is_shown(visitor: Visitors, desk_store: Store) -> None:
    (one,) = raised(desk_store, drill(Kind.OVERSELL, drill_cause(datetime.now(UTC))))
    listed, shown = visitor("ada").get("/exceptions"), visitor("ada").get(case(one.id))
    assert 'class="drill"' in listed.text
    assert 'class="drill"' in shown.text
    assert "This is a drill." in text(shown)
    assert "Silence" not in text(shown)


# Who may


def test_a_viewer_sees_all_about_one_and_no_form(visitor: Visitors, desk_store: Store) -> None:
    (one,) = raised(desk_store, ORDER)
    for path in ("/exceptions", case(one.id)):
        answer = visitor("vic").get(path)
        assert answer.status_code == 200
        assert 'method="post"' not in answer.text
    assert "You may look, not decide." in text(visitor("vic").get(case(one.id)))


@pytest.mark.parametrize("deed", [*Action, "silence", "lift", "reveal"])
def test_a_viewer_decides_nothing(visitor: Visitors, desk_store: Store, deed: str) -> None:
    (one,) = raised(desk_store, ORDER)
    answer = visitor("vic").post(case(one.id, deed), {"note": "n"})
    assert answer.status_code == 403
    assert history(desk_store, one.id) == []


def test_a_form_without_a_token_does_nothing(visitor: Visitors, desk_store: Store) -> None:
    (one,) = raised(desk_store, ORDER)
    who = visitor("ada")
    for path in (case(one.id, "acknowledge"), "/exceptions/default/bulk"):
        answer = who.post(path, {"form_token": "wrong", "id": str(one.id), "deed": "acknowledge"})
        assert answer.status_code == 403
    assert history(desk_store, one.id) == []


@pytest.mark.parametrize("path", ["/exceptions/default/999", "/exceptions/default/999/beside"])
def test_what_is_not_there_is_not_found(visitor: Visitors, path: str) -> None:
    assert visitor("ada").get(path).status_code == 404


def test_a_deed_that_there_is_none_of_is_not_found(visitor: Visitors, desk_store: Store) -> None:
    (one,) = raised(desk_store, ORDER)
    answer = visitor("ada").post(case(one.id, "burn"))
    assert answer.status_code == 404
    assert "There is no such deed." in text(answer)


# One exception


def test_all_about_one(visitor: Visitors, desk_store: Store) -> None:
    (one,) = raised(desk_store, HELD)
    policy = load_policies(SHIPPED.parent).kind(one.kind)
    answer = visitor("ada").get(case(one.id))
    shown = text(answer)
    for words in (
        policy.title,
        one.record,
        one.message,
        one.cure,
        policy.first_response,
        "Why it matters",
        "opened: merchandising must act",
        "Never",
        "Side by side",
        "4012345678904",
        "then ecommerce",
    ):
        assert words in shown, words
    assert f"/playbook#{one.kind.replace('_', '-')}" in answer.text


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_page_with_what_its_policy_allows(
    visitor: Visitors, desk_store: Store, kind: Kind
) -> None:
    (one,) = raised(desk_store, replace(ORDER, kind=kind, cause_key="order/gone", payload={}))
    policy = load_policies(SHIPPED.parent).kind(kind)
    answer = visitor("ada").get(case(one.id))
    assert answer.status_code == 200
    offered = set(re.findall(rf"/exceptions/default/{one.id}/(\w+)", answer.text))
    allowed = {action for action in Action if policy.allows(action)} - {Action.REOPEN}
    assert offered - {"beside", "silence", "reveal"} == allowed
    assert allowed <= possible(kind) | ALWAYS


def test_below_a_path_of_airflows_own_every_address_is_below_it(
    airflow_app: FastAPI, desk_store: Store
) -> None:
    from fastapi import FastAPI

    from cogent_ops.web.desk.app import create_app

    outer = FastAPI()
    outer.mount(f"/airflow{DESK_PREFIX}", create_app())
    (one,) = raised(desk_store, replace(ORDER, kind=Kind.STOCK_AT_RISK))
    page = Visitor(outer, "ada").raw.get(f"/airflow{DESK_PREFIX}{case(one.id)}").text
    found = re.findall(r'(?:href|action|src|data-load)="(/[^"]*)"', page)
    assert {f"/airflow{DESK_PREFIX}/playbook#flow-stalled", f"/airflow{DESK_PREFIX}/"} <= set(found)
    assert not [address for address in found if not re.match(r"/airflow/(?!airflow)", address)]


def test_the_page_waits_for_no_other_system(visitor: Visitors, world: Reviewing) -> None:
    one = world.one(world.placed_long_ago())
    world.forget_requests()
    page = visitor("ada").get(case(one.id))
    assert "Compare both systems now" in text(page)
    assert world.requests() == {}
    fragment = visitor("ada").get(case(one.id, "beside"))
    assert "<html" not in fragment.text
    assert "Would be sent to commercetools" in text(fragment)
    whole = visitor("vic").get(case(one.id), beside="1")
    assert "Would be sent to commercetools" in text(whole)


def test_what_is_out_of_reach_is_said_in_place(visitor: Visitors, world: Reviewing) -> None:
    one = world.one(world.placed_long_ago())
    world.server.set_faults(FaultPlan(seed=1, rules=(Rule(kind=Fault.ERROR, api="commercetools"),)))
    for answer in (visitor("ada").get(case(one.id, "beside")), visitor("ada").get(case(one.id), beside="1")):
        assert answer.status_code == 200
        assert "It cannot be compared just now" in text(answer)
        assert "1 × €9.50" in text(answer)


def test_connections_that_are_missing_are_said_in_place(visitor: Visitors, desk_store: Store) -> None:
    (one,) = raised(desk_store, ORDER)
    answer = visitor("ada").get(case(one.id, "beside"))
    assert answer.status_code == 200
    assert "commercetools_default" in text(answer)


# Deeds


def test_somebody_takes_it_up_and_the_list_says_who(visitor: Visitors, desk_store: Store) -> None:
    (one,) = raised(desk_store, ORDER)
    who = visitor("uma")
    answer = sent(who, one.id, "start")
    assert answer.status_code == 303
    assert history(desk_store, one.id) == [("uma", "start")]
    where = answer.headers["location"]
    assert "coat@leeds is in progress." in text(who.raw.get(where))
    assert "uma is working on it" in text(who.get("/exceptions"))


def test_what_is_closed_leads_to_the_next_one(visitor: Visitors, desk_store: Store) -> None:
    first, second = raised(desk_store, ORDER, HELD)
    (third,) = raised(desk_store, replace(ORDER, cause_key="x"), due=timedelta(days=9))
    raised(desk_store, ORDER, due=-timedelta(hours=2))
    raised(desk_store, HELD, due=timedelta(hours=2))
    who = visitor("ada")
    answer = sent(who, first.id, "fixed", note="Counted: they are there.")
    page = who.raw.get(answer.headers["location"])
    following = re.search(r'rel="next"[^>]* href="[^"]*/exceptions/default/(\d+)', page.text)
    assert following
    assert int(following[1]) == (third.id if third.severity == "critical" else second.id)
    assert "Go on with the next one" in text(page)


def test_a_deed_that_needs_a_reason_comes_back_with_what_was_typed(
    visitor: Visitors, desk_store: Store
) -> None:
    (one,) = raised(desk_store, ORDER)
    answer = sent(visitor("ada"), one.id, "fixed", note="  ")
    assert answer.status_code == 422
    assert "Say in the note how it was fixed." in text(answer)
    assert 'role="alert"' in answer.text
    assert re.search(r'<details class="deed" name="deed" open>', answer.text)
    assert history(desk_store, one.id) == []


def test_what_was_typed_stays_when_a_correction_is_refused(visitor: Visitors, world: Reviewing) -> None:
    one = sold(world)
    form = {"edit.total": "30.00", "edit.price.1": "fifteen", "note": "as the receipt says"}
    answer = sent(visitor("ada"), one.id, "replay", **form)
    assert answer.status_code == 422
    assert "An amount is given in major units with a point" in text(answer)
    for typed in ('value="fifteen"', 'value="30.00"', "as the receipt says"):
        assert typed in answer.text, typed
    assert history(world.store, one.id) == []


def test_an_order_is_tried_dry_then_sent_and_closes_by_itself(visitor: Visitors, world: Reviewing) -> None:
    one, who = sold(world), visitor("ada")
    dry = sent(who, one.id, "dry_run", **{"edit.total": "30.00"})
    page = who.raw.get(dry.headers["location"])
    assert "would be sent to commercetools:" in text(page)
    assert "total: €30.00" in text(page)
    assert field(page, "edit.total") == "30.00"
    assert world.ct_orders() == []
    assert "it is not kept" in text(page)
    assert field(page, "was.edit.total") == ""
    again = sent(who, one.id, "replay", **{"edit.total": "30.00", "was.edit.total": ""})
    assert again.status_code == 303
    assert history(world.store, one.id) == [("ada", "dry_run"), ("ada", "edit"), ("ada", "replay")]
    world.finish()
    assert len(world.ct_orders()) == 1
    closed = text(who.get(case(one.id)))
    assert "closed by itself: verified" in closed
    assert "Reopen" in closed


def test_a_correction_is_taken_back_by_emptying_its_field(visitor: Visitors, world: Reviewing) -> None:
    one, who = sold(world), visitor("ada")
    sent(who, one.id, "edit", **{"edit.total": "30.00"})
    sent(who, one.id, "edit", **{"edit.total": "", "was.edit.total": "30.00"})
    assert field(who.get(case(one.id)), "edit.total") == ""


def test_commercetools_out_of_reach_is_no_error_page(visitor: Visitors, world: Reviewing) -> None:
    one = sold(world)
    world.server.set_faults(FaultPlan(seed=1, rules=(Rule(kind=Fault.ERROR, api="commercetools"),)))
    answer = sent(visitor("ada"), one.id, "dry_run", note="look")
    assert answer.status_code == 503
    assert 'role="alert"' in answer.text
    assert "look" in answer.text


def test_a_link_needs_a_number_that_is_there(visitor: Visitors, world: Reviewing) -> None:
    one, who = sold(world), visitor("ada")
    world.by_hand("BY-HAND-1")
    wrong = sent(who, one.id, "link", order_number="NO-SUCH")
    assert wrong.status_code == 422
    assert "commercetools has no order with the number or id 'NO-SUCH'." in text(wrong)
    assert 'value="NO-SUCH"' in wrong.text
    assert sent(who, one.id, "link", order_number="BY-HAND-1").status_code == 303
    assert world.store.exceptions.get("default", one.id).status is Status.FIXED


def test_sending_a_form_twice_does_it_once(visitor: Visitors, world: Reviewing) -> None:
    one, who = sold(world), visitor("ada")
    seen = field(who.get(case(one.id)), "seen")
    form = {"seen": seen, "edit.total": "30.00"}
    first, second = (who.post(case(one.id, "replay"), form, page=case(one.id)) for _ in range(2))
    assert (first.status_code, second.status_code) == (303, 303)
    assert world.store.exceptions.get("default", one.id).replays == 1
    assert "That was done already" in text(who.raw.get(second.headers["location"]))


def test_two_people_do_not_decide_over_one_another(visitor: Visitors, desk_store: Store) -> None:
    (one,) = raised(desk_store, ORDER)
    ada, uma = visitor("ada"), visitor("uma")
    seen = field(ada.get(case(one.id)), "seen")
    sent(uma, one.id, "hold", note="the store is counting")
    answer = ada.post(case(one.id, "fixed"), {"seen": seen, "note": "done"}, page=case(one.id))
    assert answer.status_code == 422
    assert "Nothing was done: uma was faster (hold" in text(answer)
    assert desk_store.exceptions.get("default", one.id).status is Status.ACKNOWLEDGED
    assert sent(ada, one.id, "fixed", note="done").status_code == 303


def test_a_form_that_is_not_there_any_more_says_why_it_was_refused(
    visitor: Visitors, desk_store: Store
) -> None:
    (one,) = raised(desk_store, ORDER)
    who = visitor("ada")
    seen = field(who.get(case(one.id)), "seen")
    with desk_store.begin() as conn:
        desk_store.exceptions.resolve(conn, "default", one.kind, [one.cause_key], "r2")
    for deed in ("start", "fixed", "replay"):
        answer = who.post(case(one.id, deed), {"seen": seen, "note": "n"}, page=case(one.id))
        assert answer.status_code == 422
        assert answer.text.count('role="alert"') == 1
    answer = who.post(case(one.id, "start"), {"seen": seen}, page=case(one.id))
    assert "coat@leeds is fixed already. Reopen it first if that is not so." in text(answer)


@pytest.mark.parametrize("deed", ["acknowledge", "fixed", "note", "silence"])
def test_a_form_that_is_there_says_once_why_it_was_refused(
    visitor: Visitors, desk_store: Store, deed: str
) -> None:
    (one,) = raised(desk_store, ORDER)
    ada = visitor("ada")
    seen = field(ada.get(case(one.id)), "seen")
    sent(visitor("uma"), one.id, "hold")
    answer = ada.post(case(one.id, deed), {"seen": seen}, page=case(one.id))
    assert answer.status_code == 422
    assert answer.text.count('role="alert"') == 1


@pytest.mark.parametrize("deed", ["fixed", "reject"])
def test_closing_and_reopening_twice_is_once(visitor: Visitors, desk_store: Store, deed: str) -> None:
    (one,) = raised(desk_store, replace(ORDER, kind=Kind.BAD_MOVEMENT))
    who = visitor("ada")
    for name in (deed, "reopen"):
        form = {"seen": field(who.get(case(one.id)), "seen"), "note": "counted"}
        answers = [who.post(case(one.id, name), form, page=case(one.id)) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [303, 303]
        assert f"That was done already ({name}, " in text(who.raw.get(answers[-1].headers["location"]))
    assert history(desk_store, one.id) == [("ada", deed), ("ada", "reopen")]


def test_what_looks_personal_in_a_note_is_masked(visitor: Visitors, desk_store: Store) -> None:
    (one,) = raised(desk_store, ORDER)
    who = visitor("ada")
    sent(who, one.id, "note", note=f"Ask {EMAIL}.")
    shown = who.get(case(one.id)).text
    assert EMAIL not in shown
    assert "Ask ***." in shown


def test_a_note_that_is_too_long_comes_back_in_full_with_the_reason(
    visitor: Visitors, desk_store: Store
) -> None:
    (one,) = raised(desk_store, ORDER)
    who, note = visitor("ada"), "x" * LONGEST_NOTE
    answer = sent(who, one.id, "note", note=f"{note}y")
    assert answer.status_code == 422
    assert "1,000 are kept" in text(answer)
    assert f"{note}y" in answer.text
    assert sent(who, one.id, "note", note=note).status_code == 303
    assert note in who.get(case(one.id)).text
    for page in (case(one.id), "/exceptions"):
        assert f'name="note" maxlength="{LONGEST_NOTE}"' in re.sub(' rows="."', "", who.get(page).text)


# Silence


def test_a_cause_is_silenced_with_a_reason_and_told_of_again(visitor: Visitors, desk_store: Store) -> None:
    (one,) = raised(desk_store, ORDER)
    who = visitor("ada")
    refused = sent(who, one.id, "silence", hours="24", reason=" ")
    assert refused.status_code == 422
    assert "A silence needs a reason." in text(refused)
    for _ in range(2):
        assert sent(who, one.id, "silence", hours="24", reason="stocktaking").status_code == 303
    (silence,) = desk_store.alerts.silences("default", datetime.now(UTC))
    assert (silence.reason, silence.actor, silence.cause_group) == ("stocktaking", "ada", one.cause_group)
    assert timedelta(hours=23) < silence.until - datetime.now(UTC) <= timedelta(hours=24)
    assert "stocktaking" in text(who.get(case(one.id)))
    for _ in range(2):
        assert sent(who, one.id, "lift", silence=str(silence.id)).status_code == 303
    assert desk_store.alerts.silences("default", datetime.now(UTC)) == []


@pytest.mark.parametrize("form", [{"hours": "168"}, {"hours": "4", "whole_kind": "1"}])
def test_a_silence_that_somebody_else_was_faster_with_is_not_taken_for_ones_own(
    visitor: Visitors, desk_store: Store, form: dict[str, str]
) -> None:
    (one,) = raised(desk_store, ORDER)
    sent(visitor("uma"), one.id, "silence", hours="4", reason="the store is counting")
    refused = sent(visitor("ada"), one.id, "silence", reason="the kiosk is being moved", **form)
    assert refused.status_code == 422
    assert "uma has silenced it already" in text(refused)
    (silence,) = desk_store.alerts.silences("default", datetime.now(UTC))
    assert (silence.actor, silence.reason) == ("uma", "the store is counting")


def test_only_the_silence_that_was_looked_at_is_lifted(visitor: Visitors, desk_store: Store) -> None:
    (one,) = raised(desk_store, ORDER)
    ada, uma = visitor("ada"), visitor("uma")
    sent(ada, one.id, "silence", hours="4", reason="stocktaking")
    looked_at = field(ada.get(case(one.id)), "silence")
    sent(ada, one.id, "lift", silence=looked_at)
    sent(uma, one.id, "silence", hours="4", reason="the store is counting")
    refused = sent(ada, one.id, "lift", silence=looked_at)
    assert refused.status_code == 422
    assert "another silence, which uma has set" in text(refused)
    assert len(desk_store.alerts.silences("default", datetime.now(UTC))) == 1


# The customer's address


def test_an_address_is_shown_once_to_whom_it_is_recorded_for(
    visitor: Visitors, world: Reviewing, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    one, who = sold(world, mail=EMAIL), visitor("uma")
    before = who.get(case(one.id))
    assert EMAIL not in before.text
    assert "m•••@e•••.com" in before.text
    answer = who.post(case(one.id, "reveal"), page=case(one.id))
    assert answer.status_code == 200
    assert answer.text.count(EMAIL) == 1
    assert "no-store" in answer.headers["cache-control"]
    assert history(world.store, one.id) == [("uma", "reveal")]
    after = who.get(case(one.id))
    assert EMAIL not in after.text
    assert "uma looked at the customer's e-mail address" in text(after)
    assert EMAIL not in caplog.text
    assert not any(EMAIL in str(entry) for entry in world.store.audit_log.entries())


def test_an_address_that_is_given_is_used_and_not_shown(visitor: Visitors, world: Reviewing) -> None:
    one = world.one(world.placed_long_ago())
    who = visitor("ada")
    answer = sent(who, one.id, "edit", **{"edit.email": EMAIL})
    page = who.raw.get(answer.headers["location"])
    assert EMAIL not in page.text
    assert EMAIL not in answer.headers["location"]
    assert "m•••@e•••.com" in page.text
    assert "(given)" in page.text


def test_there_is_no_address_to_show_about_stock(visitor: Visitors, desk_store: Store) -> None:
    (one,) = raised(desk_store, ORDER)
    assert visitor("ada").post(case(one.id, "reveal"), page=case(one.id)).status_code == 404
    assert history(desk_store, one.id) == []


# Many at once


def bulk(who: Visitor, **form: Any) -> Any:
    return who.post("/exceptions/default/bulk", form, page="/exceptions")


def test_ticked_ones_get_one_deed_and_each_its_answer(visitor: Visitors, desk_store: Store) -> None:
    stock, held = raised(desk_store, ORDER, HELD)
    answer = bulk(visitor("ada"), id=[str(stock.id), str(held.id)], deed="expected", note="stocktaking")
    assert answer.status_code == 200
    shown = text(answer)
    assert "Expected: 1 of 2 done" in shown
    assert "More sold than is there: 'expected' is not possible" in shown
    assert desk_store.exceptions.get("default", held.id).status is Status.EXPECTED
    assert desk_store.exceptions.get("default", stock.id).status is Status.NEW


def test_a_whole_cause_gets_one_deed(visitor: Visitors, world: Reviewing) -> None:
    orders = world.nowhere(3)
    first = world.one(orders[0])
    who = visitor("ada")
    page = who.get("/exceptions", kind=first.kind, cause=first.cause_group)
    assert "These 3 have the same cause" in text(page)
    form = {"cause_of": str(first.id), "deed": "replay", "edit.location": "berlin", "note": "the new kiosk"}
    answer = bulk(who, **form)
    assert "Replay: 3 of 3 done" in text(answer)
    world.finish()
    assert {world.ct_order(order)["store"]["key"] for order in orders} == {"store-berlin"}


def held_of_one_cause(store: Store, *records: str) -> list[StoredException]:
    some = [replace(HELD, cause_key=f"{one}/gtin", record=one, group="gtin") for one in records]
    return raised(store, *some)


def test_all_of_a_cause_are_those_that_the_list_shows(visitor: Visitors, desk_store: Store) -> None:
    coat, jacket, rug = held_of_one_cause(desk_store, "COAT-1", "COAT-2", "RUG-1")
    who = visitor("ada")
    page = who.get("/exceptions", q="COAT", owner="")
    assert "2 of one cause" in text(page)
    (late,) = held_of_one_cause(desk_store, "COAT-3")
    form = {name: field(page, name) for name in ("cause_of", "seen", "shown_at")}
    answer = who.post(
        "/exceptions/default/bulk?q=COAT&owner=",
        {**form, "deed": "expected", "note": "sold as they are"},
        page="/exceptions",
    )
    assert "Expected: 2 of 2 done" in text(answer)
    found = {one.record: one.status for one in desk_store.exceptions.find("default", EVERYTHING)}
    assert found == {
        coat.record: Status.EXPECTED,
        jacket.record: Status.EXPECTED,
        rug.record: Status.NEW,
        late.record: Status.NEW,
    }


def test_what_was_ticked_stays_ticked_when_a_deed_is_refused(visitor: Visitors, desk_store: Store) -> None:
    stock, held = raised(desk_store, ORDER, HELD)
    (coat, _) = held_of_one_cause(desk_store, "COAT-1", "COAT-2")
    answer = bulk(visitor("ada"), id=[str(stock.id)], cause_of=[str(coat.id)], deed="expected", note="")
    assert answer.status_code == 422
    ticked = re.findall(r'name="(id|cause_of)" value="(\d+)" form="bulk" checked', answer.text)
    assert sorted(ticked) == [("cause_of", str(coat.id)), ("id", str(stock.id))]
    assert held.id != stock.id


def test_many_at_once_twice_is_once(visitor: Visitors, desk_store: Store) -> None:
    some = raised(desk_store, ORDER, HELD)
    who = visitor("ada")
    seen = field(who.get("/exceptions"), "seen")
    ids = [str(one.id) for one in some]
    for _ in range(2):
        assert "Start: 2 of 2 done" in text(bulk(who, id=ids, deed="start", seen=seen))
    assert [history(desk_store, one.id) for one in some] == [[("ada", "start")]] * 2


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"deed": "start"}, "Tick the exceptions, or a cause, that it is about."),
        ({"id": "1", "deed": ""}, "Choose what to do."),
        ({"id": "1", "deed": "burn"}, "Choose what to do."),
        ({"id": "1", "deed": "link"}, "Choose what to do."),
        ({"id": "1", "deed": "fixed", "note": " "}, "Say in the note how it was fixed."),
        ({"id": "nonsense", "deed": "start"}, "Tick the exceptions, or a cause, that it is about."),
    ],
)
def test_a_deed_for_many_that_cannot_be_comes_back_with_the_reason(
    visitor: Visitors, desk_store: Store, form: dict[str, str], message: str
) -> None:
    raised(desk_store, ORDER)
    answer = bulk(visitor("ada"), **form)
    assert answer.status_code == 422
    assert message in text(answer)
    assert history(desk_store, 1) == []


def test_what_is_gone_meanwhile_is_answered_in_its_row(visitor: Visitors, desk_store: Store) -> None:
    (one,) = raised(desk_store, ORDER)
    shown = text(bulk(visitor("ada"), id=[str(one.id), "999"], deed="start"))
    assert "Start: 1 of 2 done" in shown
    assert "Link 'default' has no exception 999." in shown


def test_what_takes_too_long_is_left_and_can_be_gone_on_with(
    visitor: Visitors, desk_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = raised(desk_store, ORDER, HELD)
    who = visitor("ada")
    with monkeypatch.context() as hurried:
        hurried.setattr("cogent_ops.web.desk.inbox.BULK_SECONDS", -1.0)
        answer = bulk(who, id=[str(one.id) for one in some], deed="start")
    assert "2 were not begun" in text(answer)
    assert not any(history(desk_store, one.id) for one in some)
    going_on = {name: field(answer, name) for name in ("deed", "note", "ids", "seen")}
    assert "Start: 2 of 2 done" in text(bulk(who, **going_on))
    assert [history(desk_store, one.id) for one in some] == [[("ada", "start")]] * 2


def test_what_others_did_before_somebody_goes_on_is_not_overwritten(
    visitor: Visitors, desk_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = raised(desk_store, ORDER, HELD)
    ada = visitor("ada")
    seen = field(ada.get("/exceptions"), "seen")
    sent(visitor("uma"), some[0].id, "hold", note="the store is counting")
    with monkeypatch.context() as hurried:
        hurried.setattr("cogent_ops.web.desk.inbox.BULK_SECONDS", -1.0)
        answer = bulk(ada, id=[str(one.id) for one in some], deed="start", seen=seen)
    going_on = {name: field(answer, name) for name in ("deed", "note", "ids", "seen")}
    shown = text(bulk(ada, **going_on))
    assert "Start: 1 of 2 done" in shown
    assert "uma was faster" in shown
    assert history(desk_store, some[0].id) == [("uma", "hold")]


# Configuration that cannot be used


def test_a_broken_file_of_policies_takes_the_list_away_from_nobody(
    visitor: Visitors, desk_store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (one,) = raised(desk_store, ORDER)
    who = visitor("ada")
    token = who.token(case(one.id))
    (tmp_path / "exceptions.yaml").write_text("kinds: [", encoding="utf-8")
    for name in ("mapping.yaml", "locations.yaml"):
        (tmp_path / name).write_bytes((ROOT / "include" / name).read_bytes())
    monkeypatch.setenv("COGENT_OPS_INCLUDE", str(tmp_path))
    assert "coat@leeds" in text(who.get("/exceptions"))
    assert who.get(case(one.id)).status_code == 200
    refused = who.post(case(one.id, "start"), {"form_token": token})
    assert refused.status_code == 503
    assert "exceptions.yaml" in text(refused)
    many = who.post("/exceptions/default/bulk", {"form_token": token, "id": str(one.id), "deed": "start"})
    assert "exceptions.yaml" in text(many)
    assert history(desk_store, one.id) == []


def test_the_clock_of_the_page_is_the_visits(visitor: Visitors, desk_store: Store, desk_now: Clock) -> None:
    raised(desk_store, ORDER, due=timedelta(hours=1, minutes=1))
    desk_now.ahead(hours=3)
    assert "overdue by" in text(visitor("vic").get("/exceptions"))


def test_what_a_decision_has_done_elsewhere_is_shown_too(visitor: Visitors, world: Reviewing) -> None:
    one = world.one(world.placed_long_ago())
    world.review().carry_out(Decision(Action.APPROVE, "bob", "seen in the till"), [one.id])
    shown = text(visitor("vic").get(case(one.id)))
    assert "bob approved it" in shown
    assert "seen in the till" in shown
    assert f"CS-{ulid(one.cause_key)}" in shown
