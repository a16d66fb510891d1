"""Mend stock: what differs becomes a movement like any other, and the next night looks whether that was right.

A heal is a change, never a quantity. It goes through the inbox, so that it is sent once, with the version just read,
and within the rate budget. It happens at the time of the snapshot that found the difference, and what an order should
have moved at the time of the order: a count that was taken since has seen the shelf, and the drain lets it overrule the
heal. So does a count that was taken before and carried since, unless the heal makes up for an order: what puts a number
right has not happened on the shelf, and the count has made the number right.

Links that share a project find the same differences, by snapshots of their own; whoever mends first mends for both.

Between the snapshot and a person's answer may lie a day. So an entry is looked at again first: only where nothing that
we cannot explain has happened to it since the youngest snapshot is what was found still what is wrong.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from cogent_ops.domain.drift.model import Area, Cause, Finding
from cogent_ops.domain.drift.stock import happened_at, place_of
from cogent_ops.domain.stock import MovementState, NewMovement, Place, Source
from cogent_ops.services.counts import Counts
from cogent_ops.services.drift.archive import Archive
from cogent_ops.services.drift.comparison import Parts
from cogent_ops.services.drift.stock import StockComparison
from cogent_ops.store.drift import FindingState, StoredFinding

log = logging.getLogger(__name__)

#: What shows that a place is not as expected, whatever the reason.
OFF = frozenset({Cause.LOST, Cause.DUPLICATED, Cause.UNEXPLAINED, Cause.MANUAL_EDIT, Cause.MISSING_ENTRY})
LATER = "a later night found what settles it"
COUNTED = "a count of the shelf was carried after the snapshot, and has settled it"
CHANGED = "something else has happened to it since the snapshot; it is looked at again"
GONE = "the snapshot that found it is not archived any more"
OTHERS = "it was mended for another link of the same project"


@dataclass(frozen=True)
class HealCounts(Counts):
    """What a round of mending did.

    :param healed: findings whose movement is in the inbox now.
    :param units: of those, without signs.
    :param overtaken: findings that are not to be mended any more.
    :param left: findings that wait, because something happens to their entries.
    """

    healed: int = 0
    units: int = 0
    overtaken: int = 0
    left: int = 0


class Healer:
    """Mends the stock of one link."""

    def __init__(self, parts: Parts, archive: Archive) -> None:
        self.parts, self.archive = parts, archive
        self.link, self.drift = parts.config.name, parts.store.drift

    def heal(self, wanted: Sequence[StoredFinding], actor: str) -> HealCounts:
        """Let findings be mended that were proposed; what is not proposed any more is left alone.

        :param actor: who decided it.
        """
        chosen = [one for one in wanted if one.state is FindingState.PROPOSED and one.finding.heal]
        if not chosen:
            return HealCounts()
        moments, overtaken = self._overtaken(chosen)
        open_ = [one for one in chosen if one.id not in overtaken]
        moving = self._moving(open_)
        ready = [one for one in open_ if place_of(one.finding) not in moving]
        with self.parts.store.begin() as conn:
            self.drift.take_turns(conn, self.parts.project)
            healed = self._add(conn, ready, moments, overtaken, actor)
            for why in sorted(set(overtaken.values())):
                ids = [id_ for id_, reason in overtaken.items() if reason == why]
                self.drift.decide(conn, ids, FindingState.OVERTAKEN, actor=None, outcome=why)
            left = [one.id for one in open_ if place_of(one.finding) in moving]
            self.drift.decide(conn, left, FindingState.PROPOSED, actor=None, outcome=CHANGED)
        units = sum(abs(one.finding.heal or 0) for one in healed)
        return HealCounts(len(healed), units, len(overtaken), len(left))

    def _overtaken(self, chosen: Sequence[StoredFinding]) -> tuple[dict[str, datetime], dict[int, str]]:
        """When each finding's snapshot began, and why findings are not to be mended any more."""
        moments: dict[str, datetime] = {}
        reasons: dict[int, str] = {}
        for name in {one.finding.night for one in chosen}:
            here = [one for one in chosen if one.finding.night == name]
            taken = self.archive.night(name).taken
            if taken is None:
                reasons |= {one.id: GONE for one in here}
                continue
            moments[name] = taken.began
            later = self.drift.at(self.link, [one.finding.subject for one in here], name)
            orders = [one.finding.reference for one in here if one.finding.reference]
            moved = self.parts.store.stock_history.moved_since(self.link, orders, taken.began)
            plain = {one.id: place_of(one.finding) for one in here if not one.finding.reference}
            counted = self.parts.store.stock_history.counted_since(
                self.parts.project, plain.values(), taken.began
            )
            reasons |= {id_: COUNTED for id_, place in plain.items() if place in counted}
            for one in here:
                if one.finding.subject in later or one.finding.reference in moved:
                    reasons[one.id] = LATER
        return moments, reasons

    def _moving(self, open_: Sequence[StoredFinding]) -> set[Place]:
        """Places at which something happened since the youngest snapshot that nothing explains."""
        # What an order should have moved is missing whatever else happens.
        places = {place_of(one.finding) for one in open_ if not one.finding.reference}
        return StockComparison(self.parts).unexplained(self.archive, places) if places else set()

    def _add(
        self,
        conn: Connection,
        ready: Sequence[StoredFinding],
        moments: Mapping[str, datetime],
        overtaken: dict[int, str],
        actor: str,
    ) -> list[StoredFinding]:
        """Add the movements; notes in ``overtaken`` what another link has mended."""
        store = self.parts.store
        still = self.drift.lock(conn, [one.id for one in ready], FindingState.PROPOSED)
        mine = [one for one in ready if one.id in still]
        twice = self._mended_elsewhere(conn, mine, moments)
        overtaken |= dict.fromkeys(twice, OTHERS)
        healed = [one for one in mine if one.id not in twice]
        store.stock.add_movements(conn, (self._movement(one.finding, moments) for one in healed))
        ids = [one.id for one in healed]
        self.drift.decide(
            conn, ids, FindingState.HEALING, actor=actor, outcome="its movement is in the inbox"
        )
        for one in healed:
            detail = {"night": one.finding.night, "subject": one.finding.subject, "units": one.finding.heal}
            store.audit_log.write(actor, "heal", f"drift/{one.id}", detail, link=self.link, conn=conn)
        return healed

    def _mended_elsewhere(
        self, conn: Connection, found: Sequence[StoredFinding], moments: Mapping[str, datetime]
    ) -> set[int]:
        """Findings whose places were mended for another link since the snapshots before theirs.

        Another link may have mended a place before our snapshot was taken, and the entry not have had it yet. What this
        link has mended there is another finding: each night begins with what the entry said the night before.
        """
        plain = [one for one in found if not one.finding.reference]
        history, project, done = self.parts.store.stock_history, self.parts.project, set[int]()
        for name, began in moments.items():
            here = {one.id: place_of(one.finding) for one in plain if one.finding.night == name}
            previous = self.archive.previous(self.archive.night(name))
            before = previous.taken.began if previous and previous.taken else began
            places = history.healed_since(conn, project, here.values(), before, without=self.link)
            done |= {id_ for id_, place in here.items() if place in places}
        return done

    def set_aside(self, waiting: Sequence[StoredFinding]) -> int:
        """Take out of what waits for a person what another link has mended; returns how many findings."""
        moments = {
            name: taken.began
            for name in {one.finding.night for one in waiting}
            if (taken := self.archive.night(name).taken)
        }
        with self.parts.store.begin() as conn:
            self.drift.take_turns(conn, self.parts.project)
            mended = sorted(self._mended_elsewhere(conn, waiting, moments))
            still = self.drift.lock(conn, mended, FindingState.PROPOSED)
            return self.drift.decide(conn, sorted(still), FindingState.OVERTAKEN, actor=None, outcome=OTHERS)

    def _movement(self, finding: Finding, moments: Mapping[str, datetime]) -> NewMovement:
        place, found_at = place_of(finding), moments[finding.night]
        return NewMovement(
            link=self.link,
            project=self.parts.project,
            sku=place.sku,
            channel=place.channel,
            source=Source.HEAL,
            source_id=heal_id(finding),
            reference=f"drift of {finding.night}",
            occurred_at=min(found_at, happened_at(finding) or found_at),
            delta=finding.heal,
        )

    # The next night

    def verify(self, night: str, findings: Iterable[Finding], began: datetime) -> dict[FindingState, int]:
        """See what has become of what was mended before a night's snapshot.

        :param findings: of the night.
        :param began: when its snapshot began.
        """
        off = {
            place_of(one)
            for one in findings
            if one.area is Area.STOCK and one.cause in OFF and not one.reference
        }
        again = {one.reference for one in findings if one.reference}
        healing = [
            one
            for one in self.drift.findings(self.link, states=[FindingState.HEALING])
            if one.finding.night < night
        ]
        movements = self.parts.store.stock_history.heals(self.link, (heal_id(one.finding) for one in healing))
        ended: dict[tuple[FindingState, str], list[int]] = {}
        for one in healing:
            movement = movements.get(heal_id(one.finding))
            if movement is None or movement.settled_at is None or movement.settled_at > began:
                continue
            if movement.state == MovementState.EXCLUDED:
                verdict = FindingState.OVERTAKEN, movement.reason or ""
            elif place_of(one.finding) in off or (one.finding.reference and one.finding.reference in again):
                verdict = FindingState.RETURNED, f"the night of {night} found it wrong again"
            else:
                verdict = FindingState.VERIFIED, f"the night of {night} found it right"
            ended.setdefault(verdict, []).append(one.id)
        with self.parts.store.begin() as conn:
            for (state, outcome), ids in sorted(ended.items()):
                self.drift.decide(conn, ids, state, actor=None, outcome=outcome)
        return {state: len(ids) for (state, _), ids in ended.items()}


def heal_id(finding: Finding) -> str:
    """The idempotency key of the movement that mends a finding; an order's begins with its id, as all of its do."""
    place = place_of(finding)
    if finding.reference:
        return f"{finding.reference}/{place}/{finding.night}"
    return f"{finding.night}/{place}"
