"""Drills: raise the alert of a kind for practice, measure how people take it, and clean up.

A drill only puts its exception into the queue. That people hear of it, over which channel and when, and who hears of it
when nobody acts, is left to what does that for real exceptions (``sync_health``): a drill that finds this broken has
done its duty. See :mod:`cogent_ops.domain.drills` for what keeps it apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cogent_ops.domain.drills import drill, drill_cause
from cogent_ops.domain.exceptions import LEADS_TO, Kind, Owner, Status
from cogent_ops.domain.policies import Policies
from cogent_ops.errors import PermanentError
from cogent_ops.services.alerts import first_told
from cogent_ops.services.notes import kept_note
from cogent_ops.store import Filter, LogEntry, Store, StoredException
from cogent_ops.store.alerts import Alert, AlertState
from cogent_ops.store.exceptions import subject

RUN_KEY = "drill"
#: What the audit log says of drills, besides what people do about them as about any exception.
BEGIN, END = "drill", "end_drill"
#: Seconds between two looks at a drill that somebody watches.
LOOK = 1.0
#: After so long nobody looks for the messages of a drill any more.
_PAST = timedelta(days=400)


@dataclass(frozen=True)
class Drill:
    """One drill, and how it was taken. Spans count from when it was raised.

    :param channel: where its message goes.
    :param due_at: when its message goes at the earliest, by the kind's policy.
    :param sent_at: when the first message about it was delivered; ``None``: none was.
    :param problem: why its message was not delivered, as far as that is known; nothing secret.
    :param acknowledged_by: who took note of it first.
    :param closed_by: who closed it; whoever ended it, where nobody did.
    :param was_ended: it was cleaned up before anybody had closed it.
    """

    exception: StoredException
    title: str
    channel: str
    due_at: datetime
    sent_at: datetime | None
    problem: str
    acknowledged_by: str
    closed_by: str
    was_ended: bool

    @property
    def raised_at(self) -> datetime:
        """When it began."""
        return self.exception.opened_at or self.exception.first_seen

    @property
    def alerted_in(self) -> timedelta | None:
        """How long until people heard of it; ``None``: they have not."""
        return self._since(self.sent_at)

    @property
    def acknowledged_in(self) -> timedelta | None:
        """How long until somebody took note of it; ``None``: nobody has."""
        return self._since(self.exception.acknowledged_at)

    @property
    def closed_in(self) -> timedelta | None:
        """How long until it was closed; ``None``: it is open, or was ended unclosed."""
        return None if self.was_ended else self._since(self.exception.resolved_at)

    @property
    def allowed(self) -> timedelta | None:
        """How long the owner has to act."""
        return self._since(self.exception.deadline)

    def in_time(self, now: datetime) -> bool | None:
        """Whether somebody took note of it by its deadline; ``None``: there still is time."""
        deadline, seen = self.exception.deadline, self.exception.acknowledged_at
        if seen is not None:
            return deadline is None or seen <= deadline
        is_late = deadline is not None and deadline < now
        return False if is_late or not self.exception.is_open else None

    def _since(self, moment: datetime | None) -> timedelta | None:
        return None if moment is None else moment - self.raised_at


@dataclass(frozen=True)
class Ended:
    """What cleaning up did.

    :param closed: drills that were still open.
    :param withdrawn: messages that were still waiting.
    """

    closed: int
    withdrawn: int


class Drills:
    """The drills of a link."""

    def __init__(
        self,
        link: str,
        store: Store,
        policies: Policies,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.link, self.store, self.policies, self._clock = link, store, policies, clock

    def start(self, kind: Kind, *, actor: str, owner: Owner | None = None, note: str = "") -> Drill:
        """Raise the alert of a kind.

        :param owner: who shall practise, where the kind's policy leaves open who must act.
        :param note: what it is for; everybody may read it.
        :raises PermanentError: when somebody else owns the kind, nobody would hear of it, or the note is too long.
        """
        self._check(kind, owner)
        cause = drill_cause(self._clock())
        detail = {"kind": kind, **({"note": kept_note(note)} if note.strip() else {})}
        with self.store.begin() as conn:
            self.store.exceptions.raise_(conn, self.link, drill(kind, cause, owner), RUN_KEY)
            number = self.store.exceptions.number(conn, self.link, kind, cause)
            self.store.audit_log.write(actor, BEGIN, subject(number), detail, link=self.link, conn=conn)
        return self.show(number)

    def show(self, number: int) -> Drill:
        """One drill.

        :raises PermanentError: when the link has no such exception, or it is no drill.
        """
        return self._described([self._drill(number)])[0]

    def recent(self, limit: int, owner: Owner | None = None) -> list[Drill]:
        """Drills, the youngest first.

        :param owner: only theirs.
        """
        wanted = Filter(tuple(Status), owner=owner and owner.value, drills=True)
        found = self.store.exceptions.find(self.link, wanted)
        return self._described(found[::-1][:limit])

    def open(self) -> list[Drill]:
        """Drills that have not ended, the oldest first."""
        return self._described(self._open())

    def end(self, *, actor: str, numbers: Collection[int] = ()) -> Ended:
        """Close drills that are open, and send no message about them that still waits.

        :param numbers: of which drills; none: of all.
        :raises PermanentError: when one of them is no drill of the link.
        """
        named = [self._drill(number) for number in numbers]
        waiting = [one for one in self._messages() if one.state is AlertState.WAITING]
        groups = {one.cause_group for one in named} or {one.cause_group for one in waiting}
        closed = 0
        with self.store.begin() as conn:
            for one in named or self._open():
                if self.store.exceptions.resolve(conn, self.link, one.kind, [one.cause_key], RUN_KEY):
                    self.store.audit_log.write(actor, END, subject(one.id), link=self.link, conn=conn)
                    closed += 1
                groups.add(one.cause_group)
            return Ended(closed, self.store.alerts.withdraw(conn, self.link, groups))

    def watch(
        self, number: int, span: timedelta, pause: Callable[[float], object] | None = None
    ) -> Iterator[Drill]:
        """The drill as it is, and again whenever something has become of it, until it is closed.

        :param span: for how long at most.
        :param pause: waits between two looks, for so many seconds.
        :raises PermanentError: see :meth:`show`.
        """
        until, last = self._clock() + span, None
        while True:
            found = self.show(number)
            if found != last:
                yield found
            if not found.exception.is_open or self._clock() >= until:
                return
            last = found
            (pause or time.sleep)(LOOK)

    def _check(self, kind: Kind, owner: Owner | None) -> None:
        policy = self.policies.kind(kind)
        if owner is not None and policy.owner not in (None, owner):
            raise PermanentError(
                f"'{policy.title}' is {policy.owner}'s by include/exceptions.yaml, so {owner} cannot practise it. "
                "Leave the owner out, or choose another kind."
            )
        for silence in self.store.alerts.silences(self.link, self._clock()):
            if silence.covers(kind, ""):
                raise PermanentError(
                    f"'{policy.title}' is silenced until {silence.until:%Y-%m-%d %H:%M} UTC ({silence.reason}), so "
                    f"nobody would hear of the drill. Lift it first (cogent-ops exceptions lift {silence.id}), or "
                    "choose another kind."
                )

    def _drill(self, number: int) -> StoredException:
        found = self.store.exceptions.get(self.link, number)
        if not found.is_drill:
            raise PermanentError(
                f"Exception {number} ({found.record}) is no drill. See: cogent-ops drill status"
            )
        return found

    def _open(self) -> list[StoredException]:
        return self.store.exceptions.find(self.link, Filter(drills=True))

    def _messages(self) -> list[Alert]:
        return self.store.alerts.drills(self.link, self._clock() - _PAST)

    def _described(self, found: Sequence[StoredException]) -> list[Drill]:
        messages = self._messages() if found else []
        return [
            self._of(one, [each for each in messages if each.cause_group == one.cause_group]) for one in found
        ]

    def _of(self, one: StoredException, messages: Sequence[Alert]) -> Drill:
        done = self.store.audit_log.entries(subject(one.id))[::-1]
        deeds = [entry for entry in done if _status(entry) is not None]
        ended = [entry for entry in done if entry.action == END]
        sent = [each.sent_at for each in messages if each.sent_at is not None]
        closing = ended or [entry for entry in deeds if _status(entry) is Status.FIXED]
        return Drill(
            exception=one,
            title=self.policies.kind(one.kind).title,
            channel=messages[0].channel if messages else self.policies.channel(one.kind, one.owner).name,
            due_at=first_told(self.policies, one.kind, one.opened_at or one.first_seen),
            sent_at=min(sent, default=None),
            problem=next((each.error for each in messages if each.error and not sent), None) or "",
            acknowledged_by=deeds[0].actor if deeds and one.acknowledged_at else "",
            closed_by=closing[-1].actor if closing and not one.is_open else "",
            was_ended=bool(ended),
        )


def _status(entry: LogEntry) -> Status | None:
    """The status that a deed has led to; ``None``: to none."""
    return next((status for action, status in LEADS_TO.items() if action == entry.action), None)
