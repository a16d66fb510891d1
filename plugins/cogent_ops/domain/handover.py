"""The handover: what must be so before people run a link by themselves.

What can be looked at is looked at (:mod:`cogent_ops.services.handover`); the questions here only people can answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cogent_ops.domain.exceptions import Owner


class State(StrEnum):
    """Where a point stands."""

    DONE = "done"
    OPEN = "open"
    #: Only people can tell, and nobody has yet.
    ASKED = "asked"


@dataclass(frozen=True)
class Question:
    """Something that only people can answer.

    :param key: what it is called when it is answered.
    :param role: who answers.
    """

    key: str
    role: Owner
    text: str


@dataclass(frozen=True)
class Point:
    """A point of the checklist.

    :param at: when it was seen to be so, or answered; ``None``: never.
    :param evidence: what says so: numbers, dates, or who answered what.
    :param cure: what to do about an open one.
    """

    key: str
    role: Owner
    text: str
    state: State
    evidence: str = ""
    at: datetime | None = None
    cure: str = ""


@dataclass(frozen=True)
class Checklist:
    """All points of a link, as of a moment."""

    link: str
    taken_at: datetime
    points: tuple[Point, ...]

    @property
    def is_done(self) -> bool:
        """Whether nothing is open or unanswered."""
        return all(one.state is State.DONE for one in self.points)

    def of(self, role: Owner) -> list[Point]:
        """The points of one role."""
        return [one for one in self.points if one.role is role]


#: After so long an answer is asked for again: people change.
HOLDS = timedelta(days=365)

QUESTIONS: tuple[Question, ...] = (
    Question(
        "backups",
        Owner.PLATFORM,
        "Are Airflow's database, the cogent_ops store and the data root backed up, and was a restore tried?",
    ),
    Question(
        "access",
        Owner.PLATFORM,
        "Who may log in to Airflow, who may decide there, and was that list looked at?",
    ),
    Question(
        "credentials",
        Owner.PLATFORM,
        "Who renews the credentials of both systems, and do they know where they stand?",
    ),
    Question(
        "nights", Owner.PLATFORM, "Who is reached at night and on days off by what is critical, and how?"
    ),
    Question(
        "outage",
        Owner.PLATFORM,
        "Who notices when Airflow as a whole is down, and who starts it again?",
    ),
    Question(
        "shifts",
        Owner.RETAIL_OPS,
        "Who looks at the inbox on each shift, and who on days when that person is off?",
    ),
    Question(
        "stores",
        Owner.RETAIL_OPS,
        "Do stores know whom to call, and what to tell customers while a kiosk's order is not confirmed?",
    ),
    Question(
        "counts", Owner.RETAIL_OPS, "Do stores know how a count reaches the system, and when to make one?"
    ),
    Question(
        "desk",
        Owner.ECOMMERCE,
        "Have the people who look at Sync Health every morning done so with somebody beside?",
    ),
    Question(
        "launch",
        Owner.ECOMMERCE,
        "Is it agreed who watches a launch, and which articles get a safety stock for it?",
    ),
    Question(
        "fixes",
        Owner.MERCHANDISING,
        "Do those who keep product data find their fix list, and know where each field is mended?",
    ),
    Question("month_end", Owner.FINANCE, "Has a month end been closed with the nightly report of takings?"),
    Question(
        "approvals",
        Owner.FINANCE,
        "Is it agreed up to which amount who may approve what a night wants to mend?",
    ),
    Question(
        "customers",
        Owner.CUSTOMER_SERVICE,
        "Is there a text for customers whose order was sold twice or is late, and who sends it?",
    ),
)


def answerable(key: str) -> Question | None:
    """The question of that name; ``None``: there is none."""
    return next((one for one in QUESTIONS if one.key == key), None)


def as_markdown(checklist: Checklist) -> str:
    """The checklist as a document that can be printed and signed."""
    return "\n".join(_lines(checklist)) + "\n"


def _lines(checklist: Checklist) -> Iterator[str]:
    done = sum(one.state is State.DONE for one in checklist.points)
    yield f"# Handover of link '{checklist.link}'\n"
    yield f"As of {checklist.taken_at:%Y-%m-%d %H:%M} UTC: {done} of {len(checklist.points)} points are done."
    for role in Owner:
        points = checklist.of(role)
        if points:
            yield f"\n## {role.value[:1].upper()}{role.value[1:]}\n"
            for one in points:
                yield from _point(one)


def _point(one: Point) -> Iterable[str]:
    yield f"- [{'x' if one.state is State.DONE else ' '}] **{one.key}**: {one.text}"
    when = f" ({one.at:%Y-%m-%d})" if one.at else ""
    if one.evidence or when:
        yield f"  {one.evidence}{when}".rstrip()
    if one.cure and one.state is not State.DONE:
        yield f"  → {one.cure}"
