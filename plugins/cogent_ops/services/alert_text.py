"""What a message says: in the words of the business, short enough for a telephone, and with nobody's personal data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from cogent_ops.addresses import exception_address, inbox_address, playbook_address
from cogent_ops.domain.drills import MARK, NOTICE
from cogent_ops.domain.money import Money, show
from cogent_ops.domain.policies import Policies
from cogent_ops.domain.text import span
from cogent_ops.domain.wording import plain
from cogent_ops.links import DEFAULT_LINK
from cogent_ops.store import StoredException

#: So many exceptions are named; of the others a message gives the number.
NAMED = 5
_LONGEST_LINE = 300


@dataclass(frozen=True)
class Places:
    """Where a reader finds more.

    :param airflow: base URL of Airflow's pages; ``None`` or empty: not known here.
    """

    airflow: str | None = None

    def page(self, address: str) -> str:
        """The whole address of a page; empty where nobody knows."""
        return f"{self.airflow.rstrip('/')}{address}" if self.airflow else ""

    def card(self, anchor: str) -> str:
        """The card of a kind: on the page, or in the document that comes with the package."""
        return self.page(playbook_address(anchor)) or f"docs/playbook.md#{anchor}"


@dataclass(frozen=True)
class Telling:
    """What one message tells of: exceptions of one kind and owner.

    :param first: the oldest of them, at most :data:`NAMED`.
    :param count: how many there are.
    :param causes: how many different causes they have.
    :param at_stake: money that depends on them.
    :param escalated_to: whom it tells that the owner has let the deadline pass; ``None``: it tells the owner.
    """

    link: str
    kind: str
    owner: str
    first: Sequence[StoredException]
    count: int
    causes: int
    at_stake: Sequence[Money]
    escalated_to: str | None = None

    @property
    def is_drill(self) -> bool:
        """Whether it tells of a drill, which shares no message with anything else."""
        return any(one.is_drill for one in self.first)


def subject(telling: Telling, policies: Policies, now: datetime) -> str:
    """``[CRITICAL] Kiosk order without a known location: 3``, and ``DRILL`` before it where it is one."""
    mark = "OVERDUE" if telling.escalated_to else policies.severity(telling.kind, now).upper()
    where = "" if telling.link == DEFAULT_LINK else f"{telling.link}: "
    drill = f"{MARK} " if telling.is_drill else ""
    return f"{drill}[{mark}] {where}{policies.kind(telling.kind).title}: {telling.count}"


def body(telling: Telling, policies: Policies, places: Places, now: datetime) -> str:
    """The message itself: what, whose, until when, what to do first, and where to read on."""
    policy = policies.kind(telling.kind)
    parts = [
        _head(telling),
        "\n".join(_lines(telling, now)),
        _whose(telling, policies),
        f"First: {plain(policy.first_response)}",
        "\n".join(_links(telling, policies, places)),
    ]
    return "\n\n".join(part for part in parts if part)


def _head(telling: Telling) -> str:
    parts = [NOTICE] if telling.is_drill else []
    if telling.causes > 1:
        parts.append(f"{telling.causes} different causes.")
    if telling.at_stake:
        parts.append(f"At stake: {', '.join(show(amount) for amount in telling.at_stake)}.")
    return " ".join(parts)


def _lines(telling: Telling, now: datetime) -> Iterable[str]:
    for one in telling.first:
        yield f"- {line(one, now)}"
    more = telling.count - len(telling.first)
    if more > 0:
        yield f"- and {more} more"


def line(one: StoredException, now: datetime) -> str:
    """``Order CS-…, Leeds: nobody knows the e-mail address. (£84.00, waiting 22 min)``."""
    is_named = one.record in one.message
    money = show(one.at_stake) if one.at_stake else ""
    facts = [money, f"waiting {waited(now - (one.opened_at or one.first_seen))}"]
    head = "" if is_named else ", ".join(fact for fact in (one.record, one.place) if fact) + ": "
    return f"{_cut(head + one.message)} ({', '.join(fact for fact in facts if fact)})"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_LINE else f"{text[: _LONGEST_LINE - 1]}…"


def waited(since: timedelta) -> str:
    """A time span as people say it; nobody waits for seconds."""
    return span(since.total_seconds()) if since >= timedelta(minutes=1) else "under a minute"


def _whose(telling: Telling, policies: Policies) -> str:
    deadlines = [one.deadline for one in telling.first if one.deadline is not None]
    until = f" {local_time(min(deadlines), policies)}" if deadlines else ""
    if telling.escalated_to:
        return (
            f"Nobody has taken this up: {telling.owner} should have done so by{until}. "
            f"Now it is {telling.escalated_to}'s."
        )
    return f"Owner: {telling.owner}" + (f", until{until}" if until else "")


def local_time(moment: datetime, policies: Policies) -> str:
    """A moment as the business's clock shows it."""
    zone = policies.business_hours.timezone
    return f"{moment.astimezone(ZoneInfo(zone)):%a %d %b %H:%M} ({zone})"


def _links(telling: Telling, policies: Policies, places: Places) -> Iterable[str]:
    first = telling.first[0]
    opened = (
        exception_address(telling.link, first.id)
        if telling.count == 1
        else inbox_address(telling.link, telling.kind, telling.owner)
    )
    if places.airflow:
        yield f"Open: {places.page(opened)}"
    yield f"Playbook: {places.card(policies.playbook(telling.kind))}"
    yield f"On the command line: cogent-ops exceptions show {first.id}"
