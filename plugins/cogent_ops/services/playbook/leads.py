"""Where the links of the playbook's texts lead, below the address at which Airflow's pages are."""

from __future__ import annotations

from dataclasses import replace

from cogent_ops.addresses import DESK_PREFIX, GOVERNANCE_PREFIX, NIGHTS_PREFIX, QUESTIONS, REPORTS_PREFIX
from cogent_ops.domain.policies import Policies
from cogent_ops.domain.wording import Words, spans
from cogent_ops.links import DEFAULT_LINK

#: Pages of ours show one link at a time; Airflow's own know nothing of links.
_OURS = {
    "health": f"{DESK_PREFIX}/",
    "inbox": f"{DESK_PREFIX}/exceptions",
    "explain": f"{DESK_PREFIX}/explain",
    "playbook": f"{DESK_PREFIX}/playbook",
}
_OTHERS = {
    "nights": f"{NIGHTS_PREFIX}/",
    "reports": f"{REPORTS_PREFIX}/",
    "governance": f"{GOVERNANCE_PREFIX}/",
    "actions": QUESTIONS,
    "dags": "/dags?tags=cogent_ops",
    "connections": "/connections",
}


def href(target: str, link: str = DEFAULT_LINK) -> str:
    """The address of a target such as ``page:inbox`` or ``card:oversell``; empty: it leads nowhere from a page.

    :param link: the link whose pages are meant.
    """
    kind, _, name = target.partition(":")
    if kind == "card":
        return f"#{Policies.playbook(name)}"
    if kind == "part":
        return f"#{name}"
    if kind != "page":
        return ""
    if name.startswith("dag/"):
        dag = name.removeprefix("dag/")
        return f"/dags/{dag}" if link == DEFAULT_LINK else f"/dags/{dag}__{link}"
    if name in _OURS:
        return _OURS[name] if link == DEFAULT_LINK else f"{_OURS[name]}?link={link}"
    return _OTHERS.get(name, "")


def words(text: str, link: str = DEFAULT_LINK) -> Words:
    """A text taken apart, with the addresses of its links filled in."""
    return tuple(replace(one, href=href(one.target, link)) if one.target else one for one in spans(text))
