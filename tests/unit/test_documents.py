"""The project's papers: links lead somewhere, and what is said twice is said alike."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_of_the_project(page: Path) -> None:
    targets = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_a_copied_project_needs_what_the_package_needs() -> None:
    listed = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    copied = {line for line in listed if line and not line.startswith("#")}
    assert copied == {need for need in PROJECT["dependencies"] if not need.startswith("apache-airflow>")}


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_constraints_pin_everything_and_name_no_address(version: str) -> None:
    lines = (ROOT / f"constraints/python-{version}.txt").read_text(encoding="utf-8").splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==[^\s;]+(\s*;.*)?", line) for line in lines)
    pinned = {line.partition("==")[0].partition("[")[0] for line in lines}
    needed = {re.split(r"[\[<>=]", need)[0].lower() for need in PROJECT["dependencies"]}
    assert needed <= pinned
