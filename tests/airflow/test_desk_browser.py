"""The desk in a real browser: what axe finds, telephones, keyboards, the dark, and no scripts at all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.desk import Clock, Seat, assert_accessible, assert_no_overflow
from tests.support.snapshots import NOW, bad_day, good_day, keep, keep_day, many_stores
from tests.support.tales import tale

from cogent_ops.addresses import DESK_PREFIX
from cogent_ops.store import Store

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.airflow, pytest.mark.xdist_group("airflow")]

PAGES = {
    "bad day": "/",
    "all stores": "/?stores=all",
    "week": "/?hours=168",
    "store": "/store?place=store-2",
    "question": "/explain",
    "answer": "/explain?sku=COAT-M-001&location=store-2",
    "places": "/explain?sku=COAT-M-001",
    "playbook": "/playbook",
    "card": "/playbook#oversell",
}


@pytest.fixture(autouse=True)
def a_bad_day(desk_store: Store, desk_now: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    desk_now.at = NOW
    keep_day(desk_store, bad_day())

    class Told:
        def story(self, named: str, *, days: int) -> Any:
            return tale()

        def suggestions(self, text: str) -> list[str]:
            return [f"{text}@store-2", f"{text}@(no channel)"]

    monkeypatch.setattr("cogent_ops.runtime.Runtime.explain", lambda self: Told())


def ready(page: Page) -> Page:
    """Unfold some of what is folded, so that it does not escape the look."""
    page.evaluate(
        "[...document.querySelectorAll('details')].slice(0, 4).forEach((one) => { one.open = true; })"
    )
    return page


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)
def test_everybody_can_use_every_page(seat: Seat, path: str, dark: bool) -> None:
    page = ready(seat.open(path, dark=dark))
    assert_accessible(page)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, re.findall(r"\d+", background)[:3])) / 3
    assert (brightness < 64) if dark else (brightness > 192)


@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)
def test_no_page_is_wider_than_a_telephone(seat: Seat, path: str) -> None:
    page = ready(seat.open(path, width=360, height=740))
    assert_no_overflow(page)
    assert_accessible(page)
    # A finger hits it: what is pressed is at least 24 pixels high, or stands in a text.
    small = page.evaluate(
        "[...document.querySelectorAll('button, .button, .pill, nav a, input, select')]"
        ".filter((one) => one.offsetParent && one.type !== 'hidden' && one.getBoundingClientRect().height < 24)"
        ".map((one) => one.outerHTML)"
    )
    assert not small


@pytest.mark.parametrize("state", ["good day", "many stores", "stale", "first visit"])
def test_other_days_are_as_good_to_use(
    seat: Seat, desk_store: Store, desk_now: Clock, state: str, include: Any
) -> None:
    if state == "good day":
        keep(desk_store, good_day())
    elif state == "many stores":
        keep(desk_store, many_stores())
    elif state == "stale":
        desk_now.ahead(hours=3)
    else:
        mapping = include / "mapping.yaml"
        mapping.write_text(mapping.read_text(encoding="utf-8").replace("  default:\n", "  austria:\n", 1))
    for width in (1280, 360):
        page = seat.open("/", width=width)
        assert_accessible(page)
        assert_no_overflow(page)


def test_refusals_are_pages_too(seat: Seat) -> None:
    for name, path in (("vic", "/nothing"), (None, "/")):
        page = seat.open(path, name=name)
        if name is None:
            # It leads to Airflow's login by itself.
            page.wait_for_url("**/auth/login**")
            continue
        assert page.locator("h1").inner_text() == "Not found"
        assert_accessible(page)
    seat.complaints[:] = [one for one in seat.complaints if "Failed to load resource" not in one]


def focused(page: Page) -> str:
    return str(page.evaluate("(document.activeElement.innerText || document.activeElement.id || '').trim()"))


def test_the_keyboard_alone_is_enough(seat: Seat) -> None:
    page = seat.open("/")
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    assert page.locator(".skip").bounding_box()["y"] >= 0  # type: ignore[index]
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.append(focused(page))
        # Whoever has arrived somewhere can see where.
        style = page.evaluate(
            "(({outlineStyle, outlineWidth}) => [outlineStyle, outlineWidth])(getComputedStyle(document.activeElement))"
        )
        assert style[0] != "none", seen[-1]
        assert float(style[1].removesuffix("px")) >= 2, seen[-1]
        if seen[-1] == "retail ops":
            break
    assert {"Stop", "3 with people", "6 hours", "7 days", "what was changed"} <= set(seen)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{DESK_PREFIX}/exceptions?owner=retail+ops")


def test_no_key_is_caught_in_a_wide_table(seat: Seat) -> None:
    page = seat.open("/", width=700)
    boxes = page.locator(".scroll[tabindex='0']")
    assert boxes.count() >= 4
    boxes.first.focus()
    page.keyboard.press("Tab")
    assert not page.evaluate("document.activeElement.classList.contains('scroll')") or focused(page)


def test_without_scripts_everything_is_there(seat: Seat) -> None:
    page = seat.open("/", scripts=False)
    text = page.locator("main").inner_text()
    for part in (
        "unaccounted for",
        "7 min",
        "Leeds Briggate",
        "Subscription stock-changes",
        "wrong identifier",
    ):
        assert part in text
    assert page.locator("svg.curve").count() == 6
    assert page.get_by_role("link", name="Load again every minute").is_visible()
    assert not page.get_by_text("Keeps itself up to date").is_visible()
    page.get_by_role("link", name="Explain", exact=True).click()
    page.get_by_label("Article (SKU)").fill("COAT-M-001")
    page.locator("#location").fill("Leeds Briggate")
    page.get_by_role("button", name="Explain").click()
    assert "commercetools has 3" in page.locator(".sentence").inner_text()
    page.goto(f"{seat.url}{DESK_PREFIX}/playbook#oversell")
    assert page.locator("#oversell").is_visible()


def test_it_keeps_itself_up_to_date_and_leaves_the_reader_where_they_are(
    seat: Seat, desk_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cogent_ops.web.desk.health.REFRESH_SECONDS", 0.3)
    page = seat.open("/")
    assert page.get_by_text("Keeps itself up to date").is_visible()
    link = page.get_by_role("link", name="merchandising")
    link.focus()
    before = page.evaluate("scrollY")
    assert before > 0
    keep(
        desk_store,
        good_day().model_copy(update={"queues": bad_day().queues, "sentence": "All is well again."}),
    )
    page.get_by_text("All is well again.").first.wait_for()
    assert focused(page) == "merchandising"
    assert page.locator("#said").inner_text() == "All is well again."
    # The page has become shorter above; the reader still looks at the same link.
    assert page.evaluate("document.activeElement.getBoundingClientRect().top < innerHeight")
    assert page.locator(".hero[data-state='good']").is_visible()


def test_what_somebody_has_marked_is_not_taken_away(
    seat: Seat, desk_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cogent_ops.web.desk.health.REFRESH_SECONDS", 0.2)
    page = seat.open("/")
    page.evaluate("getSelection().selectAllChildren(document.querySelector('.hero .sentence'))")
    keep(desk_store, good_day())
    page.wait_for_timeout(1000)
    assert "unaccounted" in page.evaluate("getSelection().toString()")
    page.evaluate("getSelection().removeAllRanges()")
    page.locator(".hero[data-state='good']").wait_for()


def test_it_can_be_told_to_stand_still(
    seat: Seat, desk_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cogent_ops.web.desk.health.REFRESH_SECONDS", 0.2)
    page = seat.open("/")
    page.get_by_role("link", name="Stop").click()
    page.get_by_text("Does not change by itself.").wait_for()
    keep(desk_store, good_day())
    page.wait_for_timeout(1000)
    assert page.locator(".hero[data-state='bad']").is_visible()


def test_a_page_that_cannot_be_brought_up_to_date_says_so(
    seat: Seat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cogent_ops.web.desk.health.REFRESH_SECONDS", 0.3)
    page = seat.open("/")
    assert not page.locator("#away").is_visible()
    page.context.clear_cookies()
    page.locator("#away").wait_for(state="visible")
    assert "old" in str(page.locator("#live").get_attribute("class"))
    assert_accessible(page)
    page.close()
    assert all("401" in one for one in seat.complaints)
    seat.complaints.clear()


def test_a_card_opens_where_an_alert_leads(seat: Seat) -> None:
    page = seat.open("/playbook#oversell")
    assert page.locator("#oversell").is_visible()
    assert not page.locator("#order-money").is_visible()
    top = page.evaluate("document.getElementById('oversell').getBoundingClientRect().top")
    assert 0 <= top <= 300
    page.get_by_role("link", name="Order whose money does not add up").first.click()
    page.locator("#order-money").wait_for(state="visible")
