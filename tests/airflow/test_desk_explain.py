"""Why is this number what it is, as people read it; and the playbook beside it."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.desk import Clock, Visitor
from tests.support.snapshots import NOW, bad_day, keep
from tests.support.tales import tale
from tests.support.trouble import HELD, raise_

from cogent_ops.domain.exceptions import Kind
from cogent_ops.domain.health.story import Story
from cogent_ops.domain.stock import NO_CHANNEL, Place
from cogent_ops.services.explain.naming import UnknownPlace
from cogent_ops.store import Filter, Store
from cogent_ops.web.desk.charts import Stairs, Window, stairs

pytestmark = [pytest.mark.airflow, pytest.mark.xdist_group("airflow")]

Visitors = Callable[[str | None], Visitor]


class Told:
    """Explains as the service does, without asking anybody."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.answer: Story | UnknownPlace = tale()
        self.begins: list[str] = []

    def story(self, named: str, *, days: int) -> Story:
        self.asked.append((named, days))
        if isinstance(self.answer, UnknownPlace):
            raise self.answer
        return self.answer

    def suggestions(self, text: str) -> list[str]:
        return [one for one in self.begins if one.startswith(text)]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, desk_now: Clock) -> Told:
    desk_now.at = NOW
    made = Told()
    monkeypatch.setattr("cogent_ops.runtime.Runtime.explain", lambda self: made)
    return made


def words(answer: Any) -> str:
    text = re.sub(r"<(script|style|head)\b.*?</\1>", " ", answer.text, flags=re.DOTALL)
    text = re.sub(r"</?(a|code|small|span|strong|time)\b[^>]*>", "", text)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def test_it_asks_for_an_article_and_a_store_and_asks_nobody_before(visitor: Visitors, told: Told) -> None:
    answer = visitor("vic").get("/explain")
    assert answer.status_code == 200
    assert "What this page tells" in answer.text
    assert not told.asked


def test_the_answer_its_sum_and_what_happened_the_latest_first(visitor: Visitors, told: Told) -> None:
    answer = visitor("vic").get("/explain", sku="COAT-M-001", location="Leeds Briggate", days="30")
    assert told.asked == [("COAT-M-001@Leeds Briggate", 30)]
    text = words(answer)
    assert "COAT-M-001 at Leeds Briggate commercetools has 3, because 12 were counted" in text
    assert "2 not explained" in text
    assert "sold at kiosks −5 sold on the website −3 came back +1" in text
    assert "on stock in commercetools = 3" in text
    assert "changed without a trace not explained between 26 Nov 09:10 and 10:25 −2" in text
    assert (
        text.index("Kiosks were told 2. ")
        < text.index("The website sold 3. Order W-20811")
        < text.index("The store counted 12.")
    )
    assert "Sold at a kiosk: 1. Order CS-01K9ZZ waits" in text
    assert 'href="/cogent_ops/desk/exceptions/default/41"' in answer.text
    assert "4 older movements are not listed." in text
    assert "commercetools keeps no Messages" in text


def test_an_api_that_is_away_is_said_beside_its_number(visitor: Visitors, told: Told) -> None:
    story = tale()
    away = story.shop.model_copy(update={"read_at": None, "problem": "commercetools does not answer."})
    told.answer = story.model_copy(update={"shop": away})
    assert "not read now commercetools does not answer." in words(
        visitor("vic").get("/explain", sku="a", location="b")
    )


def test_an_unknown_place_is_said_with_what_was_meant(visitor: Visitors, told: Told) -> None:
    told.answer = UnknownPlace("Nobody knows a store 'leads'. Did you mean 'leeds'?")
    answer = visitor("vic").get("/explain", sku="COAT", location="leads")
    assert answer.status_code == 404
    assert "Did you mean 'leeds'?" in words(answer)
    assert 'value="leads"' in answer.text


def test_without_a_store_one_chooses_among_the_places_of_the_article(
    visitor: Visitors, told: Told, desk_store: Store
) -> None:
    keep(desk_store, bad_day())
    told.begins = ["COAT-M@store-2", "COAT-M@(no channel)"]
    answer = visitor("vic").get("/explain", sku="COAT-M")
    assert "COAT-M at Leeds Briggate COAT-M at the pool without a store" in words(answer)
    assert "sku=COAT-M&amp;location=store-2&amp;days=14" in answer.text
    assert "location=%28no+channel%29" in answer.text
    assert not told.asked
    told.begins = []
    unknown = visitor("vic").get("/explain", sku="<b>")
    assert unknown.status_code == 404
    assert "<b>" not in unknown.text


def test_article_and_store_may_stand_in_one_word_and_days_are_those_on_offer(
    visitor: Visitors, told: Told
) -> None:
    for query in ({"sku": "COAT@leeds", "days": "5000"}, {"sku": "COAT@leeds", "days": "x"}):
        assert visitor("vic").get("/explain", **query).status_code == 200
    visitor("vic").get("/explain", sku="C@AT", location="leeds")
    visitor("vic").get("/explain", sku="COAT@")
    assert told.asked == [
        ("COAT@leeds", 14),
        ("COAT@leeds", 14),
        ("C@AT@leeds", 14),
        (f"COAT@{NO_CHANNEL}", 14),
    ]


@pytest.mark.parametrize("kind", [Kind.OVERSELL, Kind.STOCK_REFUSED, Kind.STOCK_AT_RISK])
@pytest.mark.parametrize("place", [Place("coat", "leeds"), Place("coat", "")])
def test_the_page_of_an_exception_leads_to_the_story_of_its_article(
    visitor: Visitors, told: Told, desk_store: Store, kind: Kind, place: Place
) -> None:
    payload = {"sku": place.sku, "channel": place.channel}
    raise_(desk_store, replace(HELD, kind=kind, cause_key=str(place), payload=payload))
    (one,) = desk_store.exceptions.find("default", Filter())
    vic = visitor("vic")
    page = vic.get(f"/exceptions/default/{one.id}").text
    found = re.search(r'href="/cogent_ops/desk([^"]*)">Why is this number what it is\?', page)
    assert found
    told.asked.clear()
    answer = vic.get(html.unescape(found[1]))
    assert (answer.status_code, told.asked) == (200, [(str(place), 14)])
    assert tale().sentence in words(answer)


@pytest.mark.parametrize("young", [timedelta(minutes=37), timedelta(days=3)])
def test_the_drawing_ends_now(
    visitor: Visitors, told: Told, monkeypatch: pytest.MonkeyPatch, young: timedelta
) -> None:
    windows: list[Window] = []

    def drawn(numbers: list[tuple[datetime, int]], window: Window) -> Stairs | None:
        windows.append(window)
        found = stairs(numbers, window)
        assert found is not None
        return found

    monkeypatch.setattr("cogent_ops.web.desk.explain.stairs", drawn)
    story = tale()
    first, second, *_ = (one for one in story.events if one.number is not None)
    begun = first.model_copy(update={"at": story.asked_at - young})
    # Read while the answer was made.
    last = second.model_copy(update={"at": story.asked_at + timedelta(seconds=2)})
    told.answer = story.model_copy(update={"events": (begun, last)})
    assert visitor("vic").get("/explain", sku="a", location="b").status_code == 200
    (window,) = windows
    assert window.end == story.asked_at
    assert window.start == story.asked_at - max(young, timedelta(hours=1))


# The playbook


def test_every_place_that_the_book_leads_to_is_there(visitor: Visitors) -> None:
    page = visitor("vic").get("/playbook").text
    anchors = re.findall(r'id="([^"]+)"', page)
    assert len(anchors) == len(set(anchors))
    leads = re.findall(r'href="#([^"]+)"', page)
    assert len(leads) > 40
    assert set(leads) <= set(anchors)


def test_every_kind_of_exception_has_its_card_where_alerts_lead(visitor: Visitors) -> None:
    from cogent_ops.domain.policies import Policies

    page = visitor("vic").get("/playbook").text
    for kind in Kind:
        assert f'<div id="{Policies.playbook(kind)}"' in page


def test_links_into_the_desk_and_into_airflow_are_addresses_there(visitor: Visitors) -> None:
    vic = visitor("vic")
    page = vic.get("/playbook").text
    outward = set(re.findall(r'href="(/[^"#]*)', page))
    ours = {path.removeprefix("/cogent_ops/desk") for path in outward if path.startswith("/cogent_ops/desk")}
    assert {"/", "/exceptions", "/explain"} <= ours
    for path in ours:
        assert vic.get(html.unescape(path)).status_code == 200, path


def test_a_typing_error_in_the_business_files_does_not_take_the_book_away(
    visitor: Visitors, include: Path
) -> None:
    for name in ("mapping.yaml", "exceptions.yaml", "playbook.yaml"):
        (include / name).write_text("links: [broken", encoding="utf-8")
    assert 'id="oversell"' in visitor("vic").get("/playbook").text
