"""People who visit the desk: over HTTP, and with a real browser."""

from __future__ import annotations

import os
import re
import shutil
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cogent_ops.addresses import DESK_PREFIX

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient
    from playwright.sync_api import Browser, BrowserContext, Page

ROLES = {"ada": "admin", "uma": "user", "vic": "viewer"}
ORIGIN = "http://testserver"
_TOKEN = re.compile(r'name="form_token" value="([^"]+)"')


def login_token(name: str) -> str:
    """What Airflow gives somebody who has signed in."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    token: str = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=name, role=ROLES[name]))
    return token


class Visitor:
    """Somebody at the desk, with a browser's manners; addresses are those below the desk.

    :param name: one of :data:`ROLES`; ``None``: nobody who has signed in.
    """

    def __init__(self, app: FastAPI, name: str | None) -> None:
        from fastapi.testclient import TestClient

        cookies = {"_token": login_token(name)} if name else {}
        self.raw: TestClient = TestClient(app, ORIGIN, cookies=cookies, follow_redirects=False)

    def get(self, path: str = "/", **query: Any) -> Any:
        """A page."""
        return self.raw.get(DESK_PREFIX + path, params=query or None)

    def post(self, path: str, data: Mapping[str, Any] | None = None, *, page: str = "/") -> Any:
        """A form that was opened on a page of the desk, filled in and sent."""
        form = {"form_token": self.token(page), **(data or {})}
        return self.raw.post(DESK_PREFIX + path, data=form, headers={"Origin": ORIGIN})

    def token(self, page: str) -> str:
        """The token that a page's forms carry; made here where the page has no form."""
        from cogent_ops.web.desk import access

        found = _TOKEN.search(self.get(page).text)
        return found[1] if found else access.form_token(self._user_id(), access.clock())

    def _user_id(self) -> str:
        import jwt

        claims = jwt.decode(self.raw.cookies["_token"], options={"verify_signature": False})
        return str(claims["sub"])


@dataclass
class Clock:
    """The time of the desk; ``None``: the real one."""

    at: datetime | None = None

    def __call__(self) -> datetime:
        """The time of the desk."""
        return self.at or datetime.now(UTC)

    def ahead(self, **by: float) -> None:
        """Go on so far."""
        self.at = self() + timedelta(**by)


@contextmanager
def live_server(app: FastAPI) -> Iterator[str]:
    """The app on a port of its own; gives its URL."""
    import uvicorn

    listening = socket.create_server(("127.0.0.1", 0), backlog=128)
    config = uvicorn.Config(app, log_level="warning", lifespan="off", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


def chromium() -> Path | None:
    """The browser of this machine: ``COGENT_OPS_CHROMIUM``, else what is on the path."""
    named = os.environ.get("COGENT_OPS_CHROMIUM")
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = named or next(filter(None, map(shutil.which, names)), None)
    return Path(found) if found else None


@contextmanager
def started_browser(executable: Path) -> Iterator[Browser]:
    """A headless browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Seat:
    """A browser in which people open pages, and what it complained of.

    :param url: of the live server.
    """

    browser: Browser
    url: str
    complaints: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    def open(
        self,
        path: str = "/",
        *,
        name: str | None = "ada",
        dark: bool = False,
        width: int = 1280,
        height: int = 900,
        scripts: bool = True,
    ) -> Page:
        """A page below the desk."""
        context = self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
            is_mobile=width < 500,
            has_touch=width < 500,
        )
        self.contexts.append(context)
        if name:
            context.add_cookies([{"name": "_token", "value": login_token(name), "url": self.url}])
        page = context.new_page()
        page.on("console", lambda said: self._note(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self._note(str(error)))
        page.on(
            "request",
            lambda asked: None if asked.url.startswith(self.url) else self._note(f"asked for {asked.url}"),
        )
        page.goto(f"{self.url}{DESK_PREFIX}{path}")
        return page

    def _note(self, complaint: str) -> None:
        self.complaints.append(complaint)

    def close(self) -> None:
        """Close the pages."""
        for context in self.contexts:
            context.close()


def assert_accessible(page: Page) -> None:
    """Nothing that axe finds against the accessibility guidelines of the web (WCAG 2.2, level AA) or good practice."""
    from axe_playwright_python.sync_playwright import Axe

    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = Axe().run(page, options={"runOnly": tags, "resultTypes": ["violations"]})
    assert not found.violations_count, found.generate_report()


def assert_no_overflow(page: Page) -> None:
    """Nobody has to scroll sideways; wide tables scroll in a box of their own."""
    wide = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide[0] <= wide[1], f"{page.url} is {wide[0]} wide on a screen of {wide[1]}"
