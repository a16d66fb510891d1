"""The card of one kind of exception: everything that the policies say about it, in words."""

from __future__ import annotations

from cogent_ops.domain.business_hours import DAYS, BusinessHours
from cogent_ops.domain.exceptions import Action, Owner
from cogent_ops.domain.order_edits import field_name
from cogent_ops.domain.policies import KindPolicy, Policies, Severity
from cogent_ops.domain.text import counted
from cogent_ops.domain.wording import Span
from cogent_ops.links import DEFAULT_LINK
from cogent_ops.services.case import ENDING, LABELS, QUICK, TRYING
from cogent_ops.services.playbook.blocks import Facts, Paragraph, Section, Steps
from cogent_ops.services.playbook.leads import words

AS_FOUND = "the team that the exception names"
_LOUDNESS = {
    Severity.CRITICAL: "It is told at once",
    Severity.WARNING: "It waits for business hours",
    Severity.INFO: "It waits for business hours",
}
_DAY_NAMES = dict(zip(DAYS, ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), strict=True))


def card(policies: Policies, kind: str, owner: str | None = None, *, link: str = DEFAULT_LINK) -> Section:
    """The card of a kind.

    :param owner: whose an exception at hand is; ``None``: whoever the policies name.
    :param link: the link whose pages its links lead to.
    """
    policy = policies.kind(kind)
    found = policy.owner or (None if owner is None else Owner(owner))
    rows = (
        ("Raised when", policy.playbook.trigger),
        ("What it means", policy.playbook.effect),
        ("How loud", loudness(policy)),
        ("Owner and deputy", _owner(policies, kind, found)),
        ("Acknowledge", f"{within(policy, policies.business_hours)} {_escalation(policies, kind, found)}"),
        ("First", policy.first_response),
        ("Safe to do", policy.playbook.safe_action),
        ("Pausing", policy.playbook.pause),
        ("Replaying", policy.playbook.replay),
        ("Do not", policy.playbook.do_not),
        ("Tell", policy.playbook.tell),
        ("Over when", policy.playbook.proof),
        ("Buttons", _buttons(policy)),
    )
    facts: list[tuple[str, tuple[Paragraph | Steps, ...]]] = [
        (label, (Paragraph(words(text, link)),)) for label, text in rows
    ]
    steps = Steps(tuple(words(one, link) for one in policy.playbook.checks))
    facts.insert([label for label, _ in rows].index("First") + 1, ("Step by step", (steps,)))
    kind_named = (Span("code", kind),)
    return Section(policies.playbook(kind), policy.title, (Paragraph(kind_named), Facts(tuple(facts))))


def loudness(policy: KindPolicy) -> str:
    """How loudly a kind asks for somebody, in words."""
    by_day, out = policy.severity, policy.severity_out_of_hours
    if by_day is out:
        when = "at any hour" if out is Severity.CRITICAL else "also at night"
        return f"{by_day.capitalize()}, {when}. {_LOUDNESS[out]}."
    return f"{by_day.capitalize()} in business hours, {out} outside of them. {_loudness_at_night(out)}."


def _loudness_at_night(out: Severity) -> str:
    return "It is told at any hour" if out is Severity.CRITICAL else "At night it waits for the morning"


def within(policy: KindPolicy, hours: BusinessHours) -> str:
    """Until when somebody must have acknowledged, in words."""
    by_day = f"Within {span(policy.deadline_minutes, hours)}"
    night = policy.deadline_minutes_out_of_hours
    if night is None:
        return f"{by_day} of business time; nights do not count."
    return f"{by_day} in business hours, and at any hour within {_clock(night)} by the clock."


def span(minutes: int, hours: BusinessHours) -> str:
    """Minutes of business time as people say them: ``30 minutes``, ``4 hours``, ``2 working days``."""
    day = _minutes(hours.closes) - _minutes(hours.opens)
    if minutes >= day and minutes % day == 0:
        return counted(minutes // day, "working day")
    return _clock(minutes)


def _clock(minutes: int) -> str:
    return counted(minutes // 60, "hour") if minutes % 60 == 0 else counted(minutes, "minute")


def _minutes(clock: str) -> int:
    hour, _, minute = clock.partition(":")
    return int(hour) * 60 + int(minute)


def opening(hours: BusinessHours) -> str:
    """Business hours in words: ``Mon, Tue, … 09:00 to 18:00 (Europe/London)``."""
    days = ", ".join(_DAY_NAMES[day] for day in DAYS if day in hours.days)
    closed = (
        f"; closed on {', '.join(f'{day:%d %b %Y}' for day in hours.closed_on)}" if hours.closed_on else ""
    )
    return f"{days}, {hours.opens} to {hours.closes} ({hours.timezone}){closed}"


def _owner(policies: Policies, kind: str, owner: Owner | None) -> str:
    if owner is None:
        teams = "; ".join(f"{one}: {_deputy(policies, kind, one)}" for one in Owner)
        return f"Owner is {AS_FOUND}. Who stands in: {teams}."
    return f"Owner is {owner}. {_deputy(policies, kind, owner).capitalize()} stands in."


def _deputy(policies: Policies, kind: str, owner: Owner) -> str:
    return policies.escalation(kind, owner) or "nobody"


def _escalation(policies: Policies, kind: str, owner: Owner | None) -> str:
    policy = policies.kind(kind)
    whom = "the deputy" if owner is None else policies.escalation(kind, owner)
    if not whom:
        return "If nobody does, nobody else is told."
    later = f", {_clock(policy.escalate_minutes)} later" if policy.escalate_minutes else ""
    return f"If nobody does, {whom} is told, once{later}."


def _buttons(policy: KindPolicy) -> str:
    always = ", ".join(f"**{LABELS[action]}**" for action in (*QUICK, Action.NOTE))
    deeds = [LABELS[action] for action in (*TRYING, *ENDING) if action in policy.actions]
    named = ", ".join(f"**{deed}**" for deed in deeds)
    decided = f"{named}." if named else "Nothing is decided here: it closes by itself."
    fields = ", ".join(f'"{field_name(name)}"' for name in policy.editable)
    corrected = f" May be corrected: {fields}." if fields else ""
    return f"{decided}{corrected} Always there: {always}."
