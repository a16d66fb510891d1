"""The handover checklist: what can be seen is looked at, and what only people know is asked and recorded.

Each point that is looked at stands for itself: one that cannot be looked at is open and says why, and hides no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from upath import UPath

from cogent_ops.config import LinkConfig
from cogent_ops.domain.business_hours import BusinessHours
from cogent_ops.domain.exceptions import Kind, Owner
from cogent_ops.domain.governance.reckoning import covered
from cogent_ops.domain.handover import HOLDS, QUESTIONS, Checklist, Point, Question, State, answerable
from cogent_ops.domain.health.model import State as Health
from cogent_ops.domain.policies import Policies
from cogent_ops.domain.text import listed
from cogent_ops.errors import CogentOpsError, PermanentError
from cogent_ops.services.checks import Check, Outcome
from cogent_ops.services.drill import Drills
from cogent_ops.services.governance.months import month_names
from cogent_ops.services.notes import kept_note
from cogent_ops.services.retention import PURGED
from cogent_ops.store import Filter, LogEntry, Store
from cogent_ops.store.governance import Window

CONFIRM = "confirm_handover"
#: So long sync health must have been green, and so good it must have been.
GREEN, FRESH = timedelta(days=7), 0.99
#: A channel must have delivered something within so long; what waits for longer is not delivered.
SPOKEN, PATIENCE = timedelta(days=35), timedelta(minutes=15)
#: Each owner must have practised within so long.
PRACTISED = timedelta(days=90)
#: A night and a purge must be no older.
NIGHTLY = timedelta(hours=48)
#: So many drills of an owner are looked at, the latest first.
_DRILLS = 20
#: The one point that is looked at and that a person may answer all the same, and all that may be answered.
HOURS = "hours"
_ANSWERED = (HOURS, *(one.key for one in QUESTIONS))


@dataclass(frozen=True)
class Found:
    """What was seen.

    :param at: when it was so; ``None``: never.
    :param cure: what to do when it is not.
    """

    is_done: bool
    evidence: str
    at: datetime | None = None
    cure: str = ""


@dataclass(frozen=True)
class Looked:
    """A point that is looked at."""

    key: str
    role: Owner
    text: str
    look: Callable[[datetime], Found]


class Handover:
    """The checklist of a link.

    :param policies: the business's own, as they are in its file.
    :param released: the policies that the package was released with.
    :param root: data root.
    :param preflight: looks at both accounts; takes a while.
    """

    def __init__(
        self,
        config: LinkConfig,
        store: Store,
        policies: Policies,
        released: Policies,
        root: UPath,
        preflight: Callable[[], list[Check]],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.config, self.link, self.store = config, config.name, store
        self.policies, self.released, self.root = policies, released, root
        self._preflight, self._clock = preflight, clock

    def checklist(self) -> Checklist:
        """Look at everything."""
        now = self._clock()
        answers = self._answers()
        points = [self._looked(one, now, answers) for one in self._looks()]
        points += [_asked(one, answers.get(one.key), now) for one in QUESTIONS]
        return Checklist(self.link, now, tuple(points))

    def confirm(self, key: str, *, actor: str, note: str) -> Point:
        """Record what a person answers.

        :param note: what they answer; everybody may read it.
        :raises PermanentError: when there is no such question, or no answer, or one that is too long.
        """
        question = self._answerable(key)
        if not note.strip():
            raise PermanentError(f"Say in the note what the answer is: {question.text}")
        detail = {"question": question.text, "note": kept_note(note)}
        self.store.audit_log.write(actor, CONFIRM, _subject(key), detail, link=self.link)
        return _asked(question, self._answers().get(key), self._clock())

    def _answerable(self, key: str) -> Question:
        question = answerable(key)
        if question is not None:
            return question
        looked = {one.key: one for one in self._looks()}
        if key == HOURS:
            return Question(key, looked[key].role, looked[key].text)
        if key in looked:
            raise PermanentError(f"'{key}' is looked at, so nobody can answer it: see what it says to do.")
        raise PermanentError(f"There is no question '{key}'. There are: {', '.join(_ANSWERED)}.")

    def _answers(self) -> Mapping[str, LogEntry]:
        """The youngest answer to each question."""
        subjects = {_subject(key): key for key in _ANSWERED}
        found = self.store.audit_log.latest(subjects, (CONFIRM,), link=self.link)
        return {subjects[subject]: one for subject, one in found.items()}

    def _looked(self, one: Looked, now: datetime, answers: Mapping[str, LogEntry]) -> Point:
        try:
            found = one.look(now)
        except CogentOpsError as error:
            found = Found(False, f"It could not be looked at: {error}")
        if not found.is_done and one.key in answers:
            return _asked(Question(one.key, one.role, one.text), answers[one.key], now)
        state = State.DONE if found.is_done else State.OPEN
        return Point(one.key, one.role, one.text, state, found.evidence, found.at, found.cure)

    def _looks(self) -> Iterator[Looked]:
        platform = Owner.PLATFORM
        yield Looked(
            "preflight",
            platform,
            "Both accounts and the configuration are what the flows need.",
            self._accounts,
        )
        yield Looked(
            "channels",
            platform,
            "Messages arrive over every channel that an owner is told over.",
            self._channels,
        )
        yield Looked("deputies", platform, "Every owner has somebody who stands in.", self._deputies)
        yield Looked(HOURS, platform, "Business hours and days off are those of this business.", self._hours)
        yield Looked(
            "audit",
            Owner.MERCHANDISING,
            "The whole catalogue was audited, and passed or was accepted.",
            self._audit,
        )
        yield Looked("night", platform, "Both systems were compared last night.", self._night)
        yield Looked(
            "health", platform, f"Data was fresh for {GREEN.days} days, and somebody looked.", self._health
        )
        yield Looked(
            "accounted", platform, f"Everything was accounted for in {GREEN.days} days.", self._accounted
        )
        yield Looked("outside", platform, "Nothing that was looked at outside is wrong.", self._outside)
        yield Looked("retention", platform, "Personal data is purged every night.", self._retention)
        yield Looked(
            "heartbeat", platform, "A service outside would notice that sync health is dead.", self._heartbeat
        )
        yield Looked("month", platform, "A monthly report was written.", self._month)
        for owner in Owner:
            name = owner.value.replace(" ", "_")
            reached = "A drill has reached them, and they took note of it in time."
            yield Looked(f"drill/{name}", owner, reached, partial(self._drilled, owner))
            kept = "Nothing of theirs waits longer than it should."
            yield Looked(f"queue/{name}", owner, kept, partial(self._queue, owner))

    def _accounts(self, now: datetime) -> Found:
        checks = self._preflight()
        failed = [one for one in checks if one.outcome is Outcome.FAIL]
        warned = [one.name for one in checks if one.outcome is Outcome.WARN]
        evidence = f"{len(checks)} checks, {len(failed)} failed"
        evidence += f"; to look at: {listed(warned)}." if warned else "."
        cure = f"{failed[0].name}: {failed[0].message} {failed[0].cure}" if failed else ""
        return Found(not failed, evidence, now, f"{cure} See: cogent-ops preflight".strip())

    def _channels(self, now: datetime) -> Found:
        named = {one.channel for one in self.policies.owners.values()}
        named |= {one.channel for one in self.policies.kinds.values() if one.channel}
        found = self.store.governance.messages(Window(self.link, now - SPOKEN, now + timedelta(seconds=1)))
        last = {one.channel: one.sent_at for one in found if one.sent_at is not None}
        stuck = {
            one.channel
            for one in found
            if one.sent_at is None and not one.is_needless and now - one.written_at > PATIENCE
        }
        silent = sorted(named - last.keys())
        parts = [f"'{name}' last {last[name]:%Y-%m-%d %H:%M} UTC" for name in sorted(named & last.keys())]
        parts += [f"'{name}' never within {SPOKEN.days} days" for name in silent]
        parts += [f"messages wait for '{name}'" for name in sorted(stuck)]
        return Found(
            not silent and not stuck,
            f"{'; '.join(parts)}.",
            max(last.values(), default=None),
            "Raise a drill whose owner is told over it (cogent-ops drill KIND). See: cogent-ops exceptions messages",
        )

    def _deputies(self, now: datetime) -> Found:
        missing = [owner.value for owner, one in self.policies.owners.items() if one.deputy in (None, owner)]
        named = [
            f"{owner.value} → {one.deputy.value}" for owner, one in self.policies.owners.items() if one.deputy
        ]
        evidence = f"Nobody stands in for {listed(missing)}." if missing else f"{', '.join(named)}."
        return Found(not missing, evidence, now, "Name a deputy in include/exceptions.yaml, section owners.")

    def _hours(self, now: datetime) -> Found:
        hours = self.policies.business_hours
        return Found(
            hours != self.released.business_hours,
            _said(hours),
            now,
            "These are the hours that the package was released with. Change them in include/exceptions.yaml, or say "
            "that they are right: cogent-ops handover confirm hours --note '…'",
        )

    def _audit(self, now: datetime) -> Found:
        audit = self.store.audits.clearance(self.link)
        if audit is None:
            return Found(
                False, "No audit has passed or was accepted.", cure="Trigger the DAG catalogue_audit."
            )
        by = f", accepted by {audit.accepted_by}: {audit.note}" if audit.accepted_at else ""
        verdict = audit.verdict.replace("_", "-")
        return Found(True, f"Audit {audit.id}: {verdict}{by}.", audit.accepted_at or audit.created_at)

    def _night(self, now: datetime) -> Found:
        cure = "Unpause the DAG drift_reconciliation, or trigger it for a first snapshot."
        done = [one for one in self.store.drift.nights(self.link, 5) if one.finished_at is not None]
        if not done:
            return Found(False, "No night was compared.", cure=cure)
        last = done[0]
        is_recent = last.finished_at is not None and now - last.finished_at < NIGHTLY
        evidence = f"Night of {last.night}: {last.checked:,} pairs; mending is '{self.config.drift.heal}'."
        return Found(is_recent, evidence, last.finished_at, cure)

    def _health(self, now: datetime) -> Found:
        samples = self.store.health.samples(self.link, now - GREEN)
        known = [one for one in samples if one.age is not None]
        looks = sorted({one.at for one in samples})
        if not known:
            return Found(False, "Sync health has measured nothing.", cure="Unpause the DAG sync_health.")
        cover = covered(looks, now - GREEN, now)
        within = sum((one.age or 0) <= one.target for one in known) / len(known)
        return Found(
            cover >= FRESH and within >= FRESH,
            f"In {GREEN.days} days {within:.1%} of {len(known):,} measurements were within target; sync health looked "
            f"often enough {cover:.1%} of the time.",
            looks[-1],
            f"Wait until {GREEN.days} days are good; what was late: cogent-ops health, and the page Sync Health.",
        )

    def _accounted(self, now: datetime) -> Found:
        lives = self.store.governance.lives(Window(self.link, now - GREEN, now + timedelta(seconds=1)))
        lost = [one for one in lives if one.kind == Kind.UNACCOUNTED and not one.is_drill]
        checked = self.store.health.checked_at(self.link)
        if checked is None:
            return Found(False, "Nobody has counted yet.", cure="Unpause the DAG sync_health.")
        evidence = lost[-1].message if lost else f"Nothing was unaccounted for in {GREEN.days} days."
        return Found(
            not lost, evidence, checked, "See the exceptions: cogent-ops exceptions --kind unaccounted --all"
        )

    def _outside(self, now: datetime) -> Found:
        snapshot = self.store.health.snapshot(self.link)
        if snapshot is None or not snapshot.checks:
            return Found(False, "Nothing outside was looked at.", cure="Unpause the DAG sync_health.")
        wrong = [one for one in snapshot.checks if one.state in (Health.LATE, Health.BAD)]
        unknown = [one.name for one in snapshot.checks if one.state is Health.UNKNOWN]
        evidence = f"{len(snapshot.checks)} things, {len(wrong)} wrong"
        evidence += f"; not to be seen: {listed(unknown)}." if unknown else "."
        cure = f"{wrong[0].name}: {wrong[0].message} {wrong[0].cure}".strip() if wrong else ""
        return Found(not wrong, evidence, snapshot.checked_at, cure)

    def _retention(self, now: datetime) -> Found:
        at = self.store.watermarks.get(self.link, PURGED)
        evidence = "It has never run." if at is None else f"It ran on {at:%Y-%m-%d %H:%M} UTC."
        return Found(at is not None and now - at < NIGHTLY, evidence, at, "Unpause the DAG retention.")

    def _heartbeat(self, now: datetime) -> Found:
        conn = self.config.health.heartbeat
        evidence = f"Each check calls connection '{conn}'." if conn else "No connection is named."
        return Found(
            bool(conn),
            evidence,
            now,
            "Name one in include/mapping.yaml (health.heartbeat); see docs/health.md.",
        )

    def _month(self, now: datetime) -> Found:
        names = month_names(self.root, self.link)
        evidence = f"The last is that of {names[0]}." if names else "There is none."
        return Found(bool(names), evidence, now if names else None, "Write one: cogent-ops report")

    def _drilled(self, owner: Owner, now: datetime) -> Found:
        mine = Drills(self.link, self.store, self.policies, clock=self._clock).recent(_DRILLS, owner)
        kind = next((kind for kind, one in self.policies.kinds.items() if one.owner is owner), None)
        cure = f"cogent-ops drill {kind or f'{Kind.PRODUCT_HELD} --owner {owner.value!r}'}"
        good = [one for one in mine if one.sent_at is not None and one.in_time(now)]
        if good:
            last = good[0]
            after = timedelta(seconds=round((last.acknowledged_in or timedelta()).total_seconds()))
            evidence = f"'{last.title}': taken note of after {after} by {last.acknowledged_by}."
            return Found(now - last.raised_at < PRACTISED, evidence, last.raised_at, cure)
        missed = "None of the last has both arrived and been taken note of in time."
        return Found(False, missed if mine else "There was none.", mine[0].raised_at if mine else None, cure)

    def _queue(self, owner: Owner, now: datetime) -> Found:
        late = self.store.exceptions.find(self.link, Filter(owner=owner.value, overdue_at=now))
        untaken = [one for one in late if one.acknowledged_at is None]
        evidence = (
            f"{len(untaken):,} exceptions are overdue and nobody has taken note of them."
            if untaken
            else "Nothing is."
        )
        cure = f"cogent-ops exceptions --overdue --owner '{owner.value}'"
        return Found(not untaken, evidence, now, cure)


def _asked(question: Question, answer: LogEntry | None, now: datetime) -> Point:
    """A question with its answer, as long as that holds."""
    cure = f"cogent-ops handover confirm {question.key} --note '…'"
    if answer is None:
        return Point(question.key, question.role, question.text, State.ASKED, cure=cure)
    said = f"{answer.actor}: {answer.detail.get('note')}"
    if now - answer.at > HOLDS:
        said, state = f"{said} (more than a year ago: ask again)", State.ASKED
    else:
        state = State.DONE
    return Point(question.key, question.role, question.text, state, said, answer.at, cure)


def _said(hours: BusinessHours) -> str:
    off = ", ".join(f"{day:%Y-%m-%d}" for day in hours.closed_on) or "none entered"
    return f"{', '.join(hours.days)} {hours.opens} to {hours.closes}, {hours.timezone}; days off: {off}."


def _subject(key: str) -> str:
    """What the audit log calls a question."""
    return f"handover/{key}"
