"""The page about the sandbox names every switch, every control endpoint and every change."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from cogent_ops.sandbox.cloudshelf_state import KioskBehaviour
from cogent_ops.sandbox.server import Control
from cogent_ops.sandbox.shopfloor import CHANGES
from cogent_ops.sandbox.state import Behaviour

PAGE = (Path(__file__).parents[3] / "docs/sandbox.md").read_text(encoding="utf-8")
#: What a sandbox simply is, and no question about the real APIs.
PLAIN = {"client_id", "client_secret", "api_key", "requires_stock_sync"}


@pytest.mark.parametrize("switches", [Behaviour, KioskBehaviour])
def test_every_switch_is_explained(switches: type[Behaviour | KioskBehaviour]) -> None:
    names = {field.name for field in fields(switches)} - PLAIN
    assert {name for name in names if f"`{name}`" not in PAGE} == set()


def test_the_page_names_no_switch_that_is_gone() -> None:
    tables = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", PAGE.partition("## Open questions")[2], re.MULTILINE)
    named = {name for cell in tables for name in re.findall(r"`(\w+)`", cell)}
    known = {field.name for switches in (Behaviour, KioskBehaviour) for field in fields(switches)}
    assert len(named) > 20
    assert named <= known


def test_every_change_is_explained() -> None:
    assert {name for name in CHANGES if f"`{name}`" not in PAGE} == set()


def test_every_control_endpoint_is_explained() -> None:
    offered = re.findall(r"``((?:GET|PUT|POST|DELETE) /[\w/]+)``", Control.__doc__ or "")
    assert len(offered) >= 13
    assert [request for request in offered if f"`{request}`" not in PAGE] == []
