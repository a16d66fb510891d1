"""Who may come to the desk, and what is refused there."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from tests.support.desk import ORIGIN, Clock, Visitor

from cogent_ops.addresses import DESK_PREFIX
from cogent_ops.web.desk.access import visit_of

if TYPE_CHECKING:
    from fastapi import APIRouter, FastAPI

    from cogent_ops.store import Store
    from cogent_ops.web.desk.frame import Desk


pytestmark = [pytest.mark.airflow, pytest.mark.xdist_group("airflow")]

Visitors = Callable[[str | None], Visitor]


def routes() -> Iterator[tuple[str, str]]:
    """Each route of the app: method and address, with something put in for what is variable."""
    from cogent_ops.web.desk.app import create_app

    for route in create_app().routes:
        path = getattr(route, "path", "")
        assert path, route
        filled = path.replace("{link}", "default").replace("{name}", "desk.css")
        filled = re.sub(r"\{[^}]*\}", "1", filled)
        for method in sorted(getattr(route, "methods", None) or ()):
            yield method, filled


ROUTES = list(routes())
READ = [path for method, path in ROUTES if method == "GET"]
SENT = [(method, path) for method, path in ROUTES if method not in ("GET", "HEAD")]


def test_the_walk_over_the_routes_finds_them() -> None:
    assert {"/", "/static/desk.css"} <= set(READ)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_nobody_gets_in_without_a_login(visitor: Visitors, method: str, path: str) -> None:
    raw = visitor(None).raw
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": "_token=wrong"}):
        answer = raw.request(method, DESK_PREFIX + path, headers={"Origin": ORIGIN, **headers})
        assert answer.status_code in ((401,) if not headers else (401, 403))
        assert "form_token" not in answer.text


@pytest.mark.parametrize("path", READ)
def test_a_viewer_may_read_everything(visitor: Visitors, path: str) -> None:
    assert visitor("vic").get(path).status_code not in (401, 403)


@pytest.mark.parametrize("path", READ)
def test_every_answer_forbids_what_is_inline_or_from_elsewhere(visitor: Visitors, path: str) -> None:
    answer = visitor("ada").get(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'self'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"<script(?![^>]* src=)|<style| style=| on[a-z]+=|javascript:", answer.text)


@dataclass
class Forms:
    """A desk with a form that notes who has sent it, so that what is refused is tried where something would happen."""

    app: FastAPI
    noted: list[str]

    def send(self, name: str, *, link: str = "default", token: str | None = None, **headers: str) -> Any:
        visitor = Visitor(self.app, name)
        form = {"what": "coat", "form_token": visitor.token("/said") if token is None else token}
        return visitor.raw.post(f"{DESK_PREFIX}/noted/{link}", data=form, headers=headers)


@pytest.fixture
def forms(airflow_app: FastAPI, desk_store: Store, monkeypatch: pytest.MonkeyPatch) -> Forms:
    from fastapi import FastAPI

    from cogent_ops.web.desk import app as module

    noted: list[str] = []

    class Part:
        @staticmethod
        def add_routes(router: APIRouter, desk: Desk) -> None:
            @router.post("/noted/{link}")
            def note(request: Request) -> Response:
                visit = visit_of(request)
                noted.append(f"{visit.name} {visit.link} {visit.form['what']}")
                return desk.redirect(request, "/", told="It is <noted>.")

            @router.get("/said")
            def said(request: Request) -> Response:
                return PlainTextResponse(f'name="form_token" value="{visit_of(request).form_token()}"')

    monkeypatch.setattr(module, "PARTS", (*module.PARTS, Part))
    outer = FastAPI()
    outer.mount(DESK_PREFIX, module.create_app())
    return Forms(outer, noted)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": ORIGIN},
        {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://airflow.example", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "same-origin"},
    ],
    ids=["origin", "both", "behind a proxy", "no origin"],
)
def test_a_form_of_ours_is_taken_with_the_name_of_who_sent_it(
    forms: Forms, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example")
    answer = forms.send("uma", **headers)
    assert answer.status_code == 303
    assert forms.noted == ["uma default coat"]


def test_what_was_done_is_said_once_and_nobody_else_can_have_it_said(forms: Forms) -> None:
    where = forms.send("ada", Origin=ORIGIN).headers["location"]
    reader = Visitor(forms.app, "ada").raw
    assert "It is &lt;noted&gt;." in reader.get(where).text
    assert "It is" not in reader.get(where.replace("noted", "forged")).text
    assert "Owned" not in Visitor(forms.app, "ada").get("/", told="Owned", tone="good").text


def test_a_viewer_may_not_send_one(forms: Forms) -> None:
    answer = forms.send("vic", Origin=ORIGIN)
    assert answer.status_code == 403
    assert "exception_review" in answer.text
    assert not forms.noted


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"},
        {"Origin": ORIGIN, "Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ],
    ids=str,
)
def test_a_form_from_elsewhere_is_refused_though_its_token_is_good(
    forms: Forms, headers: dict[str, str]
) -> None:
    assert forms.send("ada", **headers).status_code == 403
    assert not forms.noted


def test_a_form_without_a_token_of_ours_is_refused(forms: Forms, desk_now: Clock) -> None:
    of_another = Visitor(forms.app, "uma").token("/said")
    good = Visitor(forms.app, "ada").token("/said")
    when, nonce, mac = good.split(".")
    forged = [f"{int(when) + 1}.{nonce}.{mac}", f"{when}.{nonce}.{mac[:-1]}", f".{mac}", mac, "ä.b.c"]
    for token in ("", of_another, *forged):
        answer = forms.send("ada", token=token, Origin=ORIGIN)
        assert answer.status_code == 403
        assert "load the page again" in answer.text
    assert not forms.noted
    desk_now.ahead(hours=11.9)
    assert forms.send("ada", token=good, Origin=ORIGIN).status_code == 303
    desk_now.ahead(hours=0.2)
    assert forms.send("ada", token=good, Origin=ORIGIN).status_code == 403
    assert len(forms.noted) == 1


def test_a_form_for_a_link_that_is_not_there_is_not_found(forms: Forms) -> None:
    assert forms.send("ada", link="atlantis", Origin=ORIGIN).status_code == 404


def test_every_form_has_another_token(forms: Forms) -> None:
    ada = Visitor(forms.app, "ada")
    assert len({ada.token("/said") for _ in range(5)}) == 5


@pytest.fixture
def two_links(include: Path) -> None:
    """A second link beside the first."""
    mapping = yaml.safe_load((include / "mapping.yaml").read_text(encoding="utf-8"))
    mapping["links"]["austria"] = mapping["links"]["default"]
    (include / "mapping.yaml").write_text(yaml.safe_dump(mapping), encoding="utf-8")


def test_with_several_links_there_is_a_switch_and_addresses_keep_the_link(
    visitor: Visitors, two_links: None
) -> None:
    ada = visitor("ada")
    page = ada.get("/", link="austria").text
    assert re.search(r'href="[^"]*desk/\?link=default">default<', page)
    assert re.search(r'href="[^"]*desk/\?link=austria" aria-current="true">austria<', page)
    assert f'href="{DESK_PREFIX}/?link=austria" aria-current="page"' in page
    assert ada.get("/", link="atlantis").status_code == 404


def test_rights_are_asked_for_each_link(
    visitor: Visitors, forms: Forms, two_links: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.api_fastapi.app import get_auth_manager

    asked: list[tuple[str, str, str]] = []

    def may(*, method: str, user: Any, details: Any, access_entity: Any = None) -> bool:
        asked.append((method, details.id, str(access_entity and access_entity.value)))
        return details.id in ("sync_health__austria", "exception_review__austria")

    monkeypatch.setattr(get_auth_manager(), "is_authorized_dag", may)
    reader = visitor("vic")
    assert reader.get("/", link="default").status_code == 403
    assert reader.get("/", link="austria").status_code == 200
    page = reader.get("/")
    assert page.status_code == 200
    assert "default<" not in page.text
    assert ("GET", "sync_health", "None") in asked
    assert forms.send("vic", link="austria", Origin=ORIGIN).status_code == 303
    assert ("PUT", "exception_review__austria", "HITL_DETAIL") in asked
    assert forms.send("vic", link="default", Origin=ORIGIN).status_code == 403


@pytest.mark.parametrize(
    ("where", "dag"),
    [
        ("nights", "drift_reconciliation"),
        ("reports", "catalogue_sync"),
        ("governance", "governance_report"),
    ],
)
def test_reports_are_for_those_who_may_read_the_dag_of_their_link(
    visitor: Visitors, two_links: None, monkeypatch: pytest.MonkeyPatch, where: str, dag: str
) -> None:
    from airflow.api_fastapi.app import get_auth_manager

    readable = {f"{dag}__austria"}
    monkeypatch.setattr(
        get_auth_manager(), "is_authorized_dag", lambda *, details, **_: details.id in readable
    )
    raw = visitor("vic").raw
    assert raw.get(f"/cogent_ops/{where}/").status_code == 200
    assert "no such report" in raw.get(f"/cogent_ops/{where}/austria/x/index.html").text
    assert "no such link" in raw.get(f"/cogent_ops/{where}/default/x/index.html").text
    assert raw.get(f"/cogent_ops/{where}/default/x/index.html").status_code == 404
    readable.clear()
    assert raw.get(f"/cogent_ops/{where}/").status_code == 403


def test_the_lists_of_nights_reports_and_months_are_one_step_away_and_lead_back(visitor: Visitors) -> None:
    vic = visitor("vic")
    page = vic.get("/").text
    for where in ("nights", "reports", "governance"):
        assert f'href="/cogent_ops/{where}/"' in page
        listed = vic.raw.get(f"/cogent_ops/{where}/")
        assert listed.status_code == 200
        assert 'href="../desk/"' in listed.text


def test_whoever_is_not_signed_in_is_shown_the_way(visitor: Visitors) -> None:
    raw = visitor(None).raw
    answer = raw.get(f"{DESK_PREFIX}/?link=default&x=1", headers={"Sec-Fetch-Dest": "document"})
    assert answer.status_code == 401
    way = "/api/v2/auth/login?next=%2Fcogent_ops%2Fdesk%2F%3Flink%3Ddefault%26x%3D1"
    assert f'href="{way}"' in answer.text
    assert answer.headers["refresh"] == f"0;url={way}"
    assert "/auth/login" in raw.get(way).headers["location"]
    assert "refresh" not in raw.get(f"{DESK_PREFIX}/", headers={"Sec-Fetch-Dest": "iframe"}).headers


def test_what_cannot_be_read_is_said_in_words(visitor: Visitors, monkeypatch: pytest.MonkeyPatch) -> None:
    conn = {"conn_type": "mysql", "host": "nowhere"}
    monkeypatch.setenv("AIRFLOW_CONN_COGENT_OPS_STORE", json.dumps(conn))
    answer = visitor("vic").get("/")
    assert answer.status_code == 500
    assert "cogent_ops_store" in answer.text
    assert visitor("vic").get("/nothing").status_code == 404
    assert visitor("vic").raw.post(f"{DESK_PREFIX}/").status_code == 405


def test_files_keep_for_as_long_as_they_are_the_same_and_none_other_is_served(visitor: Visitors) -> None:
    vic = visitor("vic")
    (address,) = re.findall(r'rel="stylesheet" href="[^"]*(/static/desk.css\?v=\w+)"', vic.get("/").text)
    answer = vic.get(address)
    assert answer.headers["content-type"].startswith("text/css")
    assert "immutable" in answer.headers["cache-control"]
    for escape in ("..%2fdesk%2fapp.py", "%2e%2e%2fdesk%2fapp.py", "desk.css%00", "..%5cdesk.css"):
        assert vic.get(f"/static/{escape}").status_code == 404
