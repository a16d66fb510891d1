"""Addresses of our pages below Airflow's own, for whoever writes a link: pages, messages and the playbook."""

from __future__ import annotations

from urllib.parse import quote, urlencode

REPORTS_PREFIX = "/cogent_ops/reports"
NIGHTS_PREFIX = "/cogent_ops/nights"
DESK_PREFIX = "/cogent_ops/desk"
GOVERNANCE_PREFIX = "/cogent_ops/governance"
#: Where Airflow itself asks people for answers.
QUESTIONS = "/required_actions?response_received=false"


def exception_address(link: str, exception_id: int) -> str:
    """The page of one exception."""
    return f"{DESK_PREFIX}/exceptions/{quote(link)}/{exception_id}"


def inbox_address(link: str, kind: str, owner: str) -> str:
    """The inbox, with what a team owns of one kind."""
    return f"{DESK_PREFIX}/exceptions?{urlencode({'link': link, 'owner': owner, 'kind': kind})}"


def playbook_address(anchor: str) -> str:
    """A place in the playbook."""
    return f"{DESK_PREFIX}/playbook#{anchor}"
