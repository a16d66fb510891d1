"""Take the pictures of docs/images that show the desk, from an Airflow that runs with ``make up``.

Let it run for half an hour first, so that something has happened. What stands on the pictures is what happened then.

    .venv/bin/python scripts/pictures.py SKU@location [http://127.0.0.1:8080]
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, StorageState, sync_playwright

from cogent_ops.addresses import DESK_PREFIX
from demo import PASSWORD, USER

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
PHONE = (390, 844)


@dataclass(frozen=True)
class Picture:
    """A page as it is taken.

    :param path: below the desk; ``{exception}``, ``{sku}`` and ``{location}`` are filled in.
    :param size: of the window, in pixels; ``None`` of the height: the page as long as it is.
    """

    name: str
    path: str
    size: tuple[int, int | None] = (1280, 1180)
    is_dark: bool = False


PICTURES = (
    Picture("health", "/"),
    Picture("health-dark", "/", is_dark=True),
    Picture("health-phone", "/", PHONE),
    Picture("inbox", "/exceptions", (1280, 860)),
    Picture("inbox-phone", "/exceptions", PHONE),
    Picture("inbox-exception", "{exception}", (1280, None)),
    Picture("explain", "/explain?sku={sku}&location={location}", (1280, 1000)),
    Picture("playbook", "/playbook#flow-stalled", (1280, 900)),
)


def main() -> int:
    """Take them all."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("place", help="what is explained, as SKU@location")
    made.add_argument("url", nargs="?", default="http://127.0.0.1:8080")
    made.add_argument("--folder", type=Path, default=IMAGES, help="where they go (default: docs/images)")
    made.add_argument("--kind", default="ambiguous_payment", help="of the exception that is shown")
    args = made.parse_args()
    chromium = os.environ.get("COGENT_OPS_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        login = _signed_in(browser, args.url)
        desk = args.url.rstrip("/") + DESK_PREFIX
        sku, _, location = args.place.rpartition("@")
        filled = {"sku": sku, "location": location, "exception": ""}
        for one in PICTURES:
            width, height = one.size
            context = browser.new_context(
                viewport={"width": width, "height": height or 900},
                color_scheme="dark" if one.is_dark else "light",
                is_mobile=width < 500,
                storage_state=login,
            )
            page = context.new_page()
            if "{exception}" in one.path:
                filled["exception"] = _an_exception(page, desk, args.kind)
            page.goto(desk + one.path.format(**filled))
            page.wait_for_load_state("networkidle")
            page.screenshot(path=args.folder / f"{one.name}.png", full_page=height is None)
            print(f"{one.name}: {page.url}")
            context.close()
        browser.close()
    return 0


def _signed_in(browser: Browser, url: str) -> StorageState:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{url}/auth/login/")
    page.get_by_label("Username").fill(USER)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda at: "login" not in at)
    found = context.storage_state()
    context.close()
    return found


def _an_exception(page: Page, desk: str, kind: str) -> str:
    """The address of an open exception of a kind."""
    page.goto(f"{desk}/exceptions?view=all&kind={kind}")
    found = page.locator("a[href*='/exceptions/default/']").first.get_attribute("href")
    if found is None:
        raise SystemExit(f"There is no open exception of the kind {kind}.")
    return found.partition(DESK_PREFIX)[2]


if __name__ == "__main__":
    sys.exit(main())
