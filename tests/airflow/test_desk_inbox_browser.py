"""The exception inbox in a real browser: by keyboard alone, without scripts, on a phone, and for everybody's eyes."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests.airflow.test_desk_inbox import EMAIL, ORDER, case, history, raised, sold
from tests.support.desk import Seat, assert_accessible, assert_no_overflow
from tests.support.kiosks import ulid
from tests.support.reviewing import Reviewing
from tests.support.trouble import HELD

from cogent_ops.domain.drills import drill, drill_cause
from cogent_ops.domain.exceptions import Kind, Status

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from cogent_ops.store import Store

pytestmark = [pytest.mark.airflow, pytest.mark.xdist_group("airflow")]

PHONE = 390


def mixed(store: Store) -> None:
    """A list with everything that looks different: a cause of many, a drill, money, text too long for a line."""
    raised(store, *(replace(HELD, cause_key=f"p{n}", record=f"SKU-{n}", group="g") for n in range(8)))
    raised(store, replace(ORDER, message="coat@leeds: " + "It is odd. " * 60, record="X" * 90))
    raised(store, drill(Kind.OVERSELL, drill_cause(datetime.now(UTC))))


def focused(page: Page) -> str:
    """What has the focus, as it reads."""
    text: Any = page.evaluate(
        "document.activeElement.innerText || document.activeElement.name || document.activeElement.tagName"
    )
    return str(text).strip()


def await_focus(page: Page, text: str) -> None:
    """Wait until what reads so has the focus; scripts run after the page is there."""
    page.wait_for_function("(text) => document.activeElement.innerText.trim() === text", arg=text)


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_an_order_is_decided_by_keyboard_alone(seat: Seat, world: Reviewing) -> None:
    raised(world.store, HELD)
    one = sold(world)
    page = seat.open("/exceptions")
    press(page, "/")
    assert focused(page) == "q"
    page.keyboard.type(ulid(one.cause_key))
    press(page, "Enter")
    page.wait_for_url("**q=*")
    press(page, "j")
    assert focused(page) == "Order whose money does not add up"
    press(page, "Enter")
    page.wait_for_url(f"**/exceptions/default/{one.id}?*")
    page.get_by_text("It cannot be sent yet.").wait_for()
    press(page, "e")
    assert focused(page) == "edit.total"
    page.keyboard.type("30.00")
    press(page, "Enter")
    page.get_by_text("This is what would be sent. Nothing was sent or kept.").wait_for()
    assert "total: €30.00" in page.locator("#outcome").inner_text()
    page.get_by_text("It cannot be sent yet.").wait_for()
    assert world.ct_orders() == []
    press(page, "r")
    assert focused(page) == "Replay"
    press(page, "Enter")
    page.get_by_text("Tried again with the same order number").first.wait_for()
    world.finish()
    page.reload()
    page.get_by_text("closed by itself: verified").wait_for()
    assert [action for _, action in history(world.store, one.id)] == ["dry_run", "edit", "replay"]
    press(page, "u")
    page.wait_for_url("**/exceptions?*")
    assert "No open exception fits" in page.inner_text("main")


def test_everything_can_be_reached_with_tab(seat: Seat, world: Reviewing) -> None:
    one = sold(world, mail=EMAIL)
    page = seat.open(case(one.id))
    page.get_by_text("It cannot be sent yet.").wait_for()
    reached = set()
    for _ in range(120):
        press(page, "Tab")
        reached.add(page.evaluate("document.activeElement.outerHTML.slice(0, 200)"))
    wanted = page.evaluate(
        """[...document.querySelectorAll('main a, main button, main summary, main input, main textarea, main select')]
        .filter((one) => one.type !== 'hidden' && !one.closest('dialog')
            && (one.tagName === 'SUMMARY' || !one.closest('details:not([open])')))
        .map((one) => one.outerHTML.slice(0, 200))"""
    )
    assert len(wanted) > 15
    assert set(wanted) <= reached


def test_keys_walk_the_list_tick_and_can_be_switched_off(seat: Seat, desk_store: Store) -> None:
    mixed(desk_store)
    page = seat.open("/exceptions")
    titles = page.locator("[data-row] a[data-open]")
    press(page, "j", "j")
    second = focused(page)
    press(page, "k")
    first = focused(page)
    assert [titles.nth(0).inner_text(), titles.nth(1).inner_text()] == [first, second]
    press(page, "x")
    assert page.locator("[data-ticked]").inner_text() in ("1 single ticked", "1 cause ticked")
    press(page, "?")
    assert page.locator("#keys").is_visible()
    page.locator("#keys-on").uncheck()
    press(page, "Escape")
    page.reload()
    press(page, "j")
    assert focused(page) not in (first, second)
    page.locator("#keys-open").click()
    page.locator("#keys-on").check()
    press(page, "Escape", "j")
    assert focused(page) == first


def test_keys_do_not_disturb_whoever_writes(seat: Seat, desk_store: Store) -> None:
    (one,) = raised(desk_store, HELD)
    page = seat.open(case(one.id))
    press(page, "n")
    page.keyboard.type("just a note? j/k")
    assert page.locator("#note-note").input_value() == "just a note? j/k"
    assert not page.locator("#keys").is_visible()


def test_it_works_without_scripts(seat: Seat, world: Reviewing) -> None:
    one = sold(world)
    page = seat.open("/exceptions", scripts=False)
    page.get_by_role("link", name="Order whose money does not add up").click()
    page.get_by_role("link", name="Compare both systems now").click()
    assert "It cannot be sent yet." in page.inner_text("#beside")
    page.get_by_label(re.compile("^Total paid")).fill("thirty")
    page.get_by_role("button", name="Dry run").click()
    assert "total: An amount is given" in page.get_by_role("alert").inner_text()
    assert page.get_by_label(re.compile("^Total paid")).input_value() == "thirty"
    page.get_by_label(re.compile("^Total paid")).fill("30.00")
    page.get_by_role("button", name="Replay").click()
    assert "Tried again with the same order number" in page.inner_text("main")
    seat.complaints = [said for said in seat.complaints if "422" not in said]
    assert world.store.exceptions.get("default", one.id).status is Status.IN_PROGRESS


def test_a_refusal_is_where_the_eye_and_the_keyboard_are(seat: Seat, desk_store: Store) -> None:
    (one,) = raised(desk_store, ORDER)
    page = seat.open(case(one.id))
    page.locator("summary", has_text="Fixed").click()
    page.locator("#fixed-note").evaluate("(field) => field.removeAttribute('required')")
    page.get_by_role("button", name="Fixed").click()
    await_focus(page, "Say in the note how it was fixed.")
    assert page.locator("#fixed-note").is_visible()
    seat.complaints = [said for said in seat.complaints if "422" not in said]


def test_a_button_that_is_pressed_twice_acts_once(seat: Seat, desk_store: Store) -> None:
    (one,) = raised(desk_store, ORDER)
    page = seat.open(case(one.id))
    page.get_by_role("button", name="Start").dblclick()
    page.get_by_text("is in progress").first.wait_for()
    assert history(desk_store, one.id) == [("ada", "start")]


def test_a_comparison_that_cannot_be_loaded_says_so(seat: Seat, world: Reviewing) -> None:
    one = sold(world)
    page = seat.open("/exceptions")
    page.route("**/beside", lambda route: route.abort())
    page.get_by_role("link", name="Order whose money does not add up").click()
    page.get_by_text("This could not be loaded.").wait_for()
    page.get_by_role("link", name="Try again").click()
    page.get_by_text("It cannot be sent yet.").wait_for()
    seat.complaints = [said for said in seat.complaints if "ERR_FAILED" not in said]
    assert one.id


def test_an_address_is_seen_once_and_not_kept(seat: Seat, world: Reviewing) -> None:
    one = sold(world, mail=EMAIL)
    page = seat.open(case(one.id))
    page.get_by_text("It cannot be sent yet.").wait_for()
    page.get_by_role("button", name="Show the address").click()
    page.get_by_text(EMAIL).wait_for()
    await_focus(page, EMAIL)
    assert_accessible(page)
    page.goto(page.url.partition("/reveal")[0])
    page.get_by_text("It cannot be sent yet.").wait_for()
    assert EMAIL not in page.content()
    assert EMAIL not in page.url


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 800, PHONE])
def test_everybody_can_use_it(seat: Seat, world: Reviewing, width: int, dark: bool) -> None:
    mixed(world.store)
    one = sold(world, mail=EMAIL)
    page = seat.open("/exceptions", width=width, dark=dark)
    for summary in page.locator(".members > summary").all():
        summary.click()
    assert_accessible(page)
    assert_no_overflow(page)
    page.goto(f"{seat.url}/cogent_ops/desk{case(one.id)}")
    page.get_by_text("It cannot be sent yet.").wait_for()
    for summary in page.locator("details > summary").all():
        summary.click()
    assert_accessible(page)
    assert_no_overflow(page)
    press(page, "?")
    assert_accessible(page)


def test_what_came_of_many_can_be_read_by_everybody(seat: Seat, desk_store: Store) -> None:
    mixed(desk_store)
    page = seat.open("/exceptions", width=PHONE)
    for box in page.locator("[form=bulk]").all():
        if box.is_visible():
            box.check()
    page.get_by_label("What to do").select_option("expected")
    page.get_by_label(re.compile("^Note")).fill("stocktaking")
    page.get_by_role("button", name="Do it").click()
    page.get_by_text("done").first.wait_for()
    assert_accessible(page)
    assert_no_overflow(page)


def test_on_a_phone_the_list_comes_before_what_narrows_it(seat: Seat, desk_store: Store) -> None:
    mixed(desk_store)
    page = seat.open("/exceptions", width=PHONE, height=844)
    assert not page.locator("#f-owner").is_visible()
    top = page.locator(".queue").bounding_box()
    assert top is not None
    assert top["y"] < 844
    page.get_by_text("Narrow the list").click()
    assert page.locator("#f-owner").is_visible()
