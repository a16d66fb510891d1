"""People hear of exceptions: once per cause, in business hours unless it is critical, and again when nobody acts.

A message is stored in the transaction that marks what it tells of, and sent afterwards. Whoever dies between sending
and noting it sends once more: a message may come twice after a crash, and never not at all.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from cogent_ops.domain.drills import is_drill
from cogent_ops.domain.exceptions import Kind, NewException, Owner
from cogent_ops.domain.policies import NamedChannel, Policies, Severity
from cogent_ops.errors import CogentOpsError, PermanentError, RetryableError
from cogent_ops.services.alert_text import NAMED, Places, Telling, body, subject
from cogent_ops.services.counts import Counts
from cogent_ops.store import Store
from cogent_ops.store.alerts import Alert, AlertState, NewAlert, Silence, Told, Untold

log = logging.getLogger(__name__)

#: New cases of a cause that people know of are told so long after it was told last, together.
AGAIN = timedelta(hours=4)
#: Causes of a kind that come up within so long share a message, so that a bad day is no flood.
PACE = timedelta(minutes=5)
#: After so long somebody else may send a message that was taken. Longer than any channel tries.
LEASE = timedelta(minutes=10)
#: Pause after the first failed delivery; it doubles each time, up to the longest.
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=1)
#: Pause between two looks of the watch for what has become due, and between two wake-ups because of it.
LOOK = timedelta(seconds=15)
WAKE = timedelta(minutes=1)
#: So many failed deliveries of a message make an exception; a refusal does at once.
TRIES = 3

Send = Callable[[NamedChannel, Alert], None]
#: Kind and owner, and which drill it is, if any: a drill shares no message, and keeps none waiting.
Group = tuple[str, str, str]


@dataclass(frozen=True)
class AlertCounts(Counts):
    """What was told.

    :param told: exceptions that messages were written of; ``escalated``: those of which it was not the first.
    :param failed: messages that could not be delivered now; they wait.
    :param obsolete: messages whose exceptions were closed before they could be delivered.
    """

    told: int = 0
    escalated: int = 0
    sent: int = 0
    failed: int = 0
    obsolete: int = 0


@dataclass(frozen=True)
class _Due:
    """Exceptions of one kind and owner that people should hear of now."""

    told: Told
    kind: str
    owner: str
    found: Sequence[Untold]


class ExceptionWatch:
    """Whether those who tell people of exceptions, and ask them, should be woken. Keep one as long as you watch.

    :param is_due: whether something is to be told or sent by now; see :meth:`Alerting.is_due`.
    """

    def __init__(self, link: str, store: Store, is_due: Callable[[datetime], bool]) -> None:
        self.link, self.store = link, store
        self._is_due = is_due
        self._seen: datetime | None = None
        self._looked_at = self._woken_at = datetime.min.replace(tzinfo=UTC)

    def has_news(self, now: datetime) -> bool:
        """Whether an exception was opened since the last time, or one that was collected has become due.

        Cheap enough to ask every second or two. What stays due, because nobody can deal with it, wakes once a minute.
        """
        newest = self.store.alerts.newest_opening(self.link)
        is_new = newest is not None and (self._seen is None or newest > self._seen)
        if is_new:
            self._seen = newest
        elif now - self._looked_at < LOOK or now - self._woken_at < WAKE:
            return False
        else:
            self._looked_at = now
            if not self._is_due(now):
                return False
        self._woken_at = now
        return True


class Alerting:
    """Tells people of a link's exceptions.

    :param send: delivers a message; raises RetryableError or PermanentError, whose text holds nothing secret.
    :param run_key: the run, for the exceptions it raises.
    """

    def __init__(
        self, link: str, store: Store, policies: Policies, send: Send, places: Places, *, run_key: str
    ) -> None:
        self.link, self.store, self.policies, self.places = link, store, policies, places
        self._send, self._run_key = send, run_key

    def run(self, now: datetime) -> dict[str, int]:
        """Write the messages that are due and send whatever waits; what was done, in numbers."""
        told = Counter[Told]()
        for due in self._due(now):
            told[due.told] += self._tell(due, now)
        written = AlertCounts(told=told[Told.OPENED], escalated=told[Told.OVERDUE])
        return asdict(written + self._deliver(now))

    def is_due(self, now: datetime) -> bool:
        """Whether a run would write or send something."""
        return bool(self._due(now)) or self.store.alerts.has_due(self.link, now)

    def _due(self, now: datetime) -> list[_Due]:
        """What is to be told now."""
        silences = self.store.alerts.silences(self.link, now)
        paced = self.store.alerts.kinds_since(self.link, now - PACE)
        known = self.store.alerts.told_since(self.link, now - AGAIN)
        untold = [
            one for one in self.store.alerts.untold(self.link) if (one.kind, one.cause_group) not in known
        ]
        due = [
            _Due(Told.OPENED, kind, owner, found)
            for (kind, owner, _), found in self._ready(untold, now, silences, paced).items()
            if min(one.since for one in found) + timedelta(minutes=self.policies.kind(kind).batch_minutes)
            <= now
        ]
        overdue = self.store.alerts.overdue(self.link, now)
        for (kind, owner, _), found in self._ready(overdue, now, silences, paced).items():
            grace = timedelta(minutes=self.policies.kind(kind).escalate_minutes)
            late = [one for one in found if one.since + grace <= now]
            if late and self.policies.escalation(kind, owner) is not None:
                due.append(_Due(Told.OVERDUE, kind, owner, late))
        return due

    def _ready(
        self,
        found: Collection[Untold],
        now: datetime,
        silences: Collection[Silence],
        paced: Collection[tuple[str, bool]],
    ) -> Mapping[Group, list[Untold]]:
        """By kind and owner, what may be told now: not silenced, at an hour that suits it, not too soon again."""
        ready: dict[Group, list[Untold]] = defaultdict(list)
        for one in found:
            is_silent = any(silence.covers(one.kind, one.cause_group) for silence in silences)
            drill = one.cause_key if is_drill(one.cause_key) else ""
            if not is_silent and (one.kind, bool(drill)) not in paced and self._may_disturb(one.kind, now):
                ready[one.kind, one.owner, drill].append(one)
        return dict(sorted(ready.items()))

    def _may_disturb(self, kind: str, now: datetime) -> bool:
        is_critical = self.policies.severity(kind, now) is Severity.CRITICAL
        return is_critical or self.policies.business_hours.is_open(now)

    def _tell(self, due: _Due, now: datetime) -> int:
        """Mark exceptions as told of and write the message, together; how many it tells of."""
        with self.store.begin() as conn:
            marked = self.store.alerts.mark(conn, self.link, due.kind, due.told, due.found, now)
            if marked:
                self.store.alerts.write(conn, self.link, self._message(conn, due, marked, now), now)
        return len(marked)

    def _message(self, conn: Connection, due: _Due, marked: list[int], now: datetime) -> NewAlert:
        ids = set(marked)
        groups = {one.cause_group for one in due.found if one.id in ids}
        reader = self.policies.escalation(due.kind, due.owner) if due.told is Told.OVERDUE else None
        telling = Telling(
            link=self.link,
            kind=due.kind,
            owner=due.owner,
            first=self.store.alerts.exceptions(conn, marked[:NAMED]),
            count=len(marked),
            causes=len(groups),
            at_stake=self.store.alerts.at_stake(conn, marked),
            escalated_to=reader,
        )
        return NewAlert(
            channel=self._channel_for(due.kind, reader or due.owner, groups),
            kind=due.kind,
            cause_group=groups.pop() if len(groups) == 1 else "",
            urgency=self.policies.severity(due.kind, now),
            exceptions=marked,
            subject=subject(telling, self.policies, now),
            body=body(telling, self.policies, self.places, now),
        )

    def _channel_for(self, kind: str, reader: str, groups: Collection[str]) -> str:
        """Name of the channel; that a channel is down is told over another one, if there is any."""
        name = self.policies.channel(kind, reader).name
        if kind == Kind.ALERT_UNDELIVERED and name in groups:
            return next((other for other in sorted(self.policies.channels) if other not in groups), name)
        return name

    def _deliver(self, now: datetime) -> AlertCounts:
        counts, failing = AlertCounts(), set[str]()
        while taken := self.store.alerts.claim(self.link, now, LEASE, without=failing):
            if taken.attempts > 1 and self.store.alerts.is_over(taken.exceptions):
                with self.store.begin() as conn:
                    self.store.alerts.settle(conn, taken, AlertState.OBSOLETE, now)
                counts += AlertCounts(obsolete=1)
                continue
            channel = self.policies.named(taken.channel)
            try:
                self._send(channel, taken)
            except CogentOpsError as error:
                # The channel's other messages would fail alike, and each may take its time for it.
                failing.add(taken.channel)
                self._failed(channel, taken, error, now)
                counts += AlertCounts(failed=1)
            else:
                self._sent(channel, taken, now)
                counts += AlertCounts(sent=1)
        return counts

    def _sent(self, channel: NamedChannel, taken: Alert, now: datetime) -> None:
        with self.store.begin() as conn:
            self.store.alerts.settle(conn, taken, AlertState.SENT, now)
            self.store.exceptions.resolve(
                conn, self.link, Kind.ALERT_UNDELIVERED, [channel.name], self._run_key
            )

    def _failed(self, channel: NamedChannel, taken: Alert, error: CogentOpsError, now: datetime) -> None:
        log.warning("message %d could not be delivered over '%s': %s", taken.id, channel.name, error)
        with self.store.begin() as conn:
            is_ours = self.store.alerts.postpone(conn, taken, now + _pause(taken, error), str(error))
            if is_ours and (isinstance(error, PermanentError) or taken.attempts >= TRIES):
                self.store.exceptions.raise_(conn, self.link, _undelivered(channel, error), self._run_key)


def first_told(policies: Policies, kind: str, opened: datetime) -> datetime:
    """When people may first hear of an exception that is opened then, unless it is silenced."""
    collected = opened + timedelta(minutes=policies.kind(kind).batch_minutes)
    if policies.severity(kind, collected) is Severity.CRITICAL:
        return collected
    return policies.business_hours.after(collected, 0)


def _pause(taken: Alert, error: CogentOpsError) -> timedelta:
    asked = error.retry_after if isinstance(error, RetryableError) else None
    if asked is not None:
        return min(timedelta(seconds=asked), LONGEST_PAUSE)
    doubled: timedelta = FIRST_PAUSE * 2 ** min(taken.attempts - 1, 10)
    return min(doubled, LONGEST_PAUSE)


def _undelivered(channel: NamedChannel, error: CogentOpsError) -> NewException:
    return NewException(
        kind=Kind.ALERT_UNDELIVERED,
        cause_key=channel.name,
        record=f"channel {channel.name}",
        field="connection",
        rule="delivery",
        message=f"Messages cannot be delivered over connection '{channel.connection}': {error}",
        cure="Mend the connection, or name another one in include/exceptions.yaml. The messages wait and go then; "
        "until then read the queue: cogent-ops exceptions.",
        owner=Owner.PLATFORM,
        payload={"channel": channel.name, "connection": channel.connection},
        group=channel.name,
    )
