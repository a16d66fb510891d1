"""What all pages of the desk have in common: the frame around them, how they write times and money, and refusals.

Pages are made on the server and work without scripts. The policy for browsers allows nothing inline and nothing from
elsewhere, so a text that somebody wrote into an order can never run in a visitor's browser.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from hmac import compare_digest
from importlib.resources import files
from typing import Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context, select_autoescape
from jinja2.runtime import Context
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from cogent_ops.addresses import DESK_PREFIX, GOVERNANCE_PREFIX, NIGHTS_PREFIX, REPORTS_PREFIX
from cogent_ops.config import policies_in_force
from cogent_ops.domain.health.model import State
from cogent_ops.domain.money import Money, show
from cogent_ops.domain.text import span
from cogent_ops.errors import PermanentError
from cogent_ops.runtime import Runtime
from cogent_ops.web.desk.access import Visit, signature

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}
#: Names of the pages as the frame lists them: part, address below the desk, label.
PARTS = (
    ("health", "/", "Sync Health"),
    ("exceptions", "/exceptions", "Exceptions"),
    ("explain", "/explain", "Explain"),
    ("playbook", "/playbook", "Playbook"),
)
ELSEWHERE = ((NIGHTS_PREFIX, "Nights"), (REPORTS_PREFIX, "Catalogue"), (GOVERNANCE_PREFIX, "Months"))
WORDS = {State.GOOD: "in order", State.UNKNOWN: "not known", State.LATE: "late", State.BAD: "act now"}


class NotFound(PermanentError):
    """There is no such thing; the message says what there would be."""


@dataclass(frozen=True)
class Told:
    """What a page says first about what was just done.

    :param tone: ``good``, ``late`` or ``bad``.
    """

    text: str
    tone: str


class Desk:
    """What routes make their answers with."""

    def runtime(self, link: str) -> Runtime:
        """A link, put together for one request."""
        return Runtime(link, is_awaited=True)

    def zone(self) -> ZoneInfo:
        """The business's time zone."""
        return ZoneInfo(policies_in_force().business_hours.timezone)

    def address(self, request: Request, path: str, **query: object) -> str:
        """Where a page of the desk is, for the same link; ``None`` in the query means left out.

        :param path: below the desk, such as ``/explain``; it may end in ``#part``.
        """
        visit: Visit | None = getattr(request.state, "visit", None)
        given: dict[str, object] = {}
        if visit is not None and len(visit.links) > 1:
            given["link"] = visit.link
        given |= query
        wanted = urlencode({key: value for key, value in given.items() if value is not None}, doseq=True)
        where, mark, fragment = path.partition("#")
        prefix = str(request.scope.get("root_path", "")).rstrip("/")
        return f"{prefix}{quote(where)}{'?' if wanted else ''}{wanted}{mark}{fragment}"

    def page(
        self, request: Request, template: str, *, title: str, part: str = "", status: int = 200, **values: Any
    ) -> HTMLResponse:
        """A page.

        :param part: which of :data:`PARTS` it belongs to.
        """
        visit: Visit | None = getattr(request.state, "visit", None)
        text = self._pages.get_template(template).render(
            title=title,
            part=part,
            parts=PARTS,
            elsewhere=ELSEWHERE,
            visit=visit,
            zone=self.zone(),
            told=self._told(request),
            # Style and script are for visitors, too; whoever is none gets the words alone.
            is_stranger=status == 401,
            root=str(request.scope.get("root_path", "")).removesuffix(DESK_PREFIX),
            # Airflow shows pages in a frame of its own page; elsewhere they need a way back.
            is_framed=request.headers.get("sec-fetch-dest") == "iframe",
            url=lambda path, **query: self.address(request, path, **query),
            static=lambda name: self._static_address(request, name),
            switch=lambda link: self.address(request, _switchable(request), link=link),
            **values,
        )
        return HTMLResponse(text, status, headers=HEADERS)

    def redirect(
        self, request: Request, path: str, *, told: str = "", tone: str = "good", **query: object
    ) -> RedirectResponse:
        """The answer to a form: on to a page that says what was done.

        :param told: a sentence, shown once at its top.
        """
        said = {"told": told, "tone": tone, "by": signature("told", told, tone)} if told else {}
        return RedirectResponse(self.address(request, path, **query, **said), 303, headers=HEADERS)

    @staticmethod
    def _told(request: Request) -> Told | None:
        told, tone, by = (request.query_params.get(name, "") for name in ("told", "tone", "by"))
        # Nobody else may put words into our mouth by a link.
        if not told or not compare_digest(by.encode(), signature("told", told, tone).encode()):
            return None
        return Told(told, tone)

    def refusal(self, request: Request, status: int, text: str) -> Response:
        """A page that says why there is none."""
        root = str(request.scope.get("root_path", "")).removesuffix(DESK_PREFIX)
        back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        login = f"{root}/api/v2/auth/login?{urlencode({'next': back})}" if status == 401 else ""
        answer = self.page(
            request,
            "desk/refusal.html",
            title=TITLES.get(status, "Not available"),
            status=status,
            text=text,
            login=login,
        )
        if login and request.method == "GET" and request.headers.get("sec-fetch-dest") == "document":
            answer.headers["Refresh"] = f"0;url={login}"
        return answer

    def static(self, name: str) -> Response:
        """A stylesheet, a script or a picture of this package."""
        found = self._static_files.get(name)
        if found is None:
            raise HTTPException(404, "There is no such file.")
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        # Its address changes with its content.
        headers = HEADERS | {"Cache-Control": "private, max-age=604800, immutable"}
        return Response(found, media_type=kind, headers=headers)

    def _static_address(self, request: Request, name: str) -> str:
        version = sha256(self._static_files[name]).hexdigest()[:10]
        prefix = str(request.scope.get("root_path", "")).rstrip("/")
        return f"{prefix}/static/{name}?v={version}"

    @cached_property
    def _static_files(self) -> Mapping[str, bytes]:
        return {file.name: file.read_bytes() for file in files("cogent_ops.web").joinpath("static").iterdir()}

    @cached_property
    def _pages(self) -> Environment:
        pages = Environment(
            loader=PackageLoader("cogent_ops.web"),
            autoescape=select_autoescape(),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        pages.filters |= {
            "ago": ago,
            "moment": moment,
            "money": show_money,
            "number": number,
            "span": span,
            "word": lambda state: WORDS[State(state)],
        }
        return pages


def _switchable(request: Request) -> str:
    """The page for another link: the same one, or the list where this one shows a record of a link."""
    path = request.url.path.removeprefix(str(request.scope.get("root_path", "")).rstrip("/"))
    return f"/{path.split('/')[1]}" if "link" in request.path_params else path


TITLES = {
    401: "Sign in first",
    403: "Not allowed",
    404: "Not found",
    405: "Not possible",
    503: "Not available just now",
}


def number(value: float) -> str:
    """``12,345``."""
    return f"{value:,.0f}"


def show_money(amount: Money) -> str:
    """``£1,234.50``."""
    return show(amount)


@pass_context
def moment(context: Context, at: datetime) -> Markup:
    """A moment as the business's clock shows it, with the day unless it is today."""
    zone, visit = context["zone"], context["visit"]
    local, today = at.astimezone(zone), visit.now.astimezone(zone)
    if local.date() == today.date():
        text = f"{local:%H:%M}"
    else:
        text = f"{local.day} {local:%b}{f' {local.year}' if local.year != today.year else ''}, {local:%H:%M}"
    return _time(at, text)


@pass_context
def ago(context: Context, at: datetime) -> Markup:
    """How long since: ``12 min ago``."""
    seconds = (context["visit"].now - at).total_seconds()
    return _time(at, f"{span(seconds)} ago" if seconds >= 0 else f"in {span(-seconds)}")


def _time(at: datetime, text: str) -> Markup:
    return Markup('<time datetime="{}">{}</time>').format(at.isoformat(timespec="seconds"), text)
