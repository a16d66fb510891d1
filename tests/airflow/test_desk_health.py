"""Sync Health as people read it: what stands on it for a good day, a bad one, a monitor that has gone quiet."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.desk import Clock, Visitor
from tests.support.snapshots import NOW, bad_day, good_day, keep, keep_day, many_stores, store_health

from cogent_ops.domain.health.model import Change, Check, Flow, Snapshot, State
from cogent_ops.store import Store
from cogent_ops.web.desk.health import flow_view

pytestmark = [pytest.mark.airflow, pytest.mark.xdist_group("airflow")]

Visitors = Callable[[str | None], Visitor]


@pytest.fixture(autouse=True)
def at_that_time(desk_now: Clock) -> None:
    desk_now.at = NOW


def words(answer: str) -> str:
    """What somebody reads who sees the page."""
    text = re.sub(r"<(script|style|head)\b.*?</\1>", " ", answer, flags=re.DOTALL)
    text = re.sub(r"</?(a|code|small|span|strong|time)\b[^>]*>", "", text)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def read(visitor: Visitors, path: str = "/", **query: str) -> str:
    answer = visitor("vic").get(path, **query)
    assert answer.status_code == 200
    return words(answer.text)


def test_before_the_first_check_it_says_what_to_do(visitor: Visitors) -> None:
    text = read(visitor)
    assert "Sync health has not made a check of this link yet." in text
    assert "the DAG sync_health is switched on" in text
    assert "On time" not in text


def test_a_good_day_in_one_sentence_and_four_tiles(visitor: Visitors, desk_store: Store) -> None:
    keep_day(desk_store, good_day())
    text = read(visitor)
    assert "All in step Kiosks and commercetools are in step: stock and orders are 24 s old at most." in text
    assert "Checked 2 min ago, at 14:01." in text
    assert "Stock On time kiosk sales to commercetools 6 s old, agreed 60 s" in text
    assert "Availability On time what is left, to the kiosks: 24 s old, agreed 2 min" in text
    assert "Catalogue On time products to the kiosks 10 min old, agreed 45 min" in text
    assert "Drift On time the nightly comparison 11 h old, agreed 30 h" in text
    assert "184,220 pairs compared, 6 differences, 1 wait for a yes or no." in text
    assert "None: what kiosks sold is booked in commercetools" in text


def test_a_bad_day_names_what_is_wrong_the_worst_first(visitor: Visitors, desk_store: Store) -> None:
    keep_day(desk_store, bad_day())
    text = read(visitor)
    assert "Act now Orders or units are unaccounted for. 5 more things need a look." in text
    assert "Stock Stands still kiosk sales to commercetools 7 min old, agreed 60 s" in text
    assert "commercetools has asked to be left alone until 14:06. 812 waiting, done in about 9 min." in text
    assert "3 with people" in text
    assert "Order status Not used yet back to Cloudshelf: agreed 15 min" in text
    assert "23 units may be sold twice, because stock is late. Kiosks are told 10 units less" in text
    assert "data/platform 3 1 overdue 84 min ago £184.00" in text
    assert "£631.20, €49.00" in text
    assert "wrong identifier 14" in text
    assert "Broken Subscription stock-changes commercetools has stopped it" in text
    assert "97% used of 40 requests a second. The API bears 40% of that at present." in text
    assert "It asked to be left alone until 14:06." in text
    order = [text.index(name) for name in ("Leeds Briggate Act now", "Bristol Cabot", "Birmingham Bullring")]
    assert order == sorted(order)


def test_every_order_is_accounted_for_in_the_strip(visitor: Visitors, desk_store: Store) -> None:
    snapshot = bad_day()
    keep(desk_store, snapshot)
    orders = snapshot.orders
    assert orders.unexplained == 1
    text = read(visitor)
    numbers = (orders.seen, orders.done, orders.waiting, orders.review, orders.excluded, orders.unexplained)
    assert f"Orders {' '.join(str(number) for number in numbers)} Units" in text


def test_the_curves_say_how_it_was_and_mark_what_was_changed(visitor: Visitors, desk_store: Store) -> None:
    keep_day(desk_store, bad_day())
    page = visitor("vic").get("/").text
    assert page.count('class="curve"') == len(Flow)
    (stock,) = re.findall(r'aria-label="(Stock: age of its data. [^"]*)"', page)
    assert re.search(r"Agreed: 60 s\. Highest: 7 min at 14:01\. Over it for \d+ min\.", stock)
    assert "Nothing was measured in this time. Agreed: 15 min." in page
    assert page.count('class="gap"') >= len(Flow)
    changes = re.findall(r"<li><p>([^<]*)</p><p class=\"soft\">([^,]*),", page)
    assert changes[0] == ("protection begins: 5 SKUs, 14 units", "protection")
    assert len(changes) == 5
    marks = re.findall(r'class="mark-head"><rect[^>]*/><text[^>]*>([^<]*)<', page)
    assert set(marks) == {"1–2", "3", "4"}
    week = visitor("vic").get("/", hours="168").text
    assert "5" in re.findall(r'class="mark-head"><rect[^>]*/><text[^>]*>([^<]*)<', week)
    assert re.search(r'aria-current="true">7 days', week)
    assert re.search(r'aria-current="true">24 hours', visitor("vic").get("/", hours="1; drop").text)


def test_on_the_first_day_the_curves_show_its_hours(visitor: Visitors, desk_store: Store) -> None:
    with desk_store.begin() as conn:
        desk_store.health.save(conn, bad_day(), "run")
    assert re.search(r'aria-current="true">6 hours', visitor("vic").get("/").text)
    assert re.search(r'aria-current="true">24 hours', visitor("vic").get("/", hours="24").text)


def test_a_monitor_that_has_gone_quiet_turns_everything_grey(
    visitor: Visitors, desk_store: Store, desk_now: Clock
) -> None:
    keep_day(desk_store, bad_day())
    desk_now.ahead(minutes=12)
    assert "gone quiet" not in read(visitor)
    assert 'data-state="bad"' in visitor("vic").get("/").text
    desk_now.ahead(minutes=2)
    page = visitor("vic").get("/").text
    assert "The monitor has said nothing for 16 min, so nobody knows how things stand." in words(page)
    assert "What follows is how it was at 14:01" in words(page)
    assert "was: stands still" in words(page)
    colours = set(re.findall(r'data-state="(\w+)"', page)) | set(re.findall(r'data-tone="(\w+)"', page))
    # The one of late is a note that scripts may show.
    assert colours <= {"unknown", "late"}
    assert page.count('data-state="late"') == 0
    assert 'data-state="unknown"' in visitor("vic").get("/store", place="store-2").text


def test_how_long_quiet_is_quiet_is_configured_and_a_broken_file_does_not_take_the_page(
    visitor: Visitors, desk_store: Store, desk_now: Clock, include: Path
) -> None:
    keep(desk_store, good_day())
    desk_now.ahead(minutes=30)
    assert "nobody knows how things stand" in read(visitor)
    mapping = include / "mapping.yaml"
    whole = mapping.read_text(encoding="utf-8")
    mapping.write_text(whole.replace("  default:\n", "  default:\n    health: {monitor_minutes: 60}\n", 1))
    assert "nobody knows how things stand" not in read(visitor)
    mapping.write_text(whole.replace("  default:\n", "  default:\n    helth: {}\n", 1))
    assert "nobody knows how things stand" in read(visitor)


def test_many_stores_do_not_bury_the_page(visitor: Visitors, desk_store: Store) -> None:
    keep(desk_store, many_stores(200))
    page = visitor("vic").get("/").text
    assert page.count('class="number spark"') == 10
    assert "Show all 200 stores" in page
    everything = visitor("vic").get("/", stores="all").text
    assert everything.count('class="number spark"') == 200
    assert "Show all" not in everything


def test_a_store_hour_by_hour(visitor: Visitors, desk_store: Store) -> None:
    snapshot = bad_day()
    keep(desk_store, snapshot)
    text = read(visitor, "/store", place="store-2")
    assert "Leeds Briggate" in text
    assert "Act now 1 order unaccounted for, of the hour from 17:00 UTC." in text
    store = next(one for one in snapshot.stores if one.place == "store-2")
    for hour in store.hours:
        assert f"{hour.orders.seen} {hour.orders.done} {hour.orders.waiting}" in text
    assert "Leeds 1 live 60 s ago" in text
    late = read(visitor, "/store", place="store-4")
    assert "Last kiosk order 3 h ago; about 12 would have been usual since." in late
    assert "No order for 3 h, where about 12 would have been usual." in late
    assert visitor("vic").get("/store", place="atlantis").status_code == 404


def test_what_others_write_stays_text(visitor: Visitors, desk_store: Store) -> None:
    evil = "<img src=x onerror=alert(1)>"
    snapshot = good_day().model_copy(
        update={
            "sentence": evil,
            "stores": (store_health(0, name=evil, place='"><b>', state=State.BAD, reasons=(evil,)),),
            "checks": (Check(name=evil, state=State.BAD, message=evil, cure=evil),),
            "changes": (Change(at=NOW - timedelta(hours=1), actor=evil, what=evil),),
        }
    )
    keep(desk_store, snapshot)
    for path, query in (("/", {}), ("/store", {"place": '"><b>'})):
        page = visitor("vic").get(path, **query).text
        assert "<img src=x" not in page
        assert '"><b>' not in page
        assert html.escape(evil) in page


def test_without_scripts_it_loads_again_only_when_asked_to(visitor: Visitors, desk_store: Store) -> None:
    keep(desk_store, good_day())
    page = visitor("vic").get("/").text
    assert 'http-equiv="refresh"' not in page
    assert 'data-refresh="60"' in page
    assert 'http-equiv="refresh" content="60"' in visitor("vic").get("/", refresh="on").text
    assert "data-refresh" not in visitor("vic").get("/", refresh="off").text


def test_a_flow_in_words() -> None:
    stuck = bad_day().flow(Flow.STOCK).model_copy(update={"drain": None})
    assert flow_view(stuck).details[0] == "812 waiting, and it does not get less."
    assert flow_view(stuck).level == 100
    on_target = stuck.model_copy(update={"age": stuck.target})
    assert flow_view(on_target).level == 50
    assert flow_view(on_target, is_stale=True).state is State.UNKNOWN


def test_what_was_made_of_a_check_is_kept_until_the_next_one_and_no_longer(
    visitor: Visitors, desk_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cogent_ops.web.desk import health

    made: list[State] = []

    def noted(snapshot: Snapshot, *args: Any, **kwargs: Any) -> Any:
        made.append(snapshot.state)
        return view(snapshot, *args, **kwargs)

    view = health.view
    monkeypatch.setattr(health, "view", noted)
    keep(desk_store, bad_day())
    assert read(visitor) == read(visitor)
    read(visitor, hours="24")
    assert made == [State.BAD, State.BAD]
    keep(desk_store, good_day())
    assert "All in step" in read(visitor)
    assert made == [State.BAD, State.BAD, State.GOOD]
