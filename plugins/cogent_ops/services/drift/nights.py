"""A night: snapshot, compare, mend, report, decide. Each step can be repeated, and takes up what was left to it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter
from upath import UPath

from cogent_ops.domain.drift.healing import plan
from cogent_ops.domain.drift.model import Area, Cause, Finding
from cogent_ops.errors import PermanentError
from cogent_ops.services.drift.archive import Archive, Night
from cogent_ops.services.drift.comparison import Compared, Comparison, MoneyLine, Parts
from cogent_ops.services.drift.exceptions import Raise
from cogent_ops.services.drift.facts import as_json, read_facts, write_facts
from cogent_ops.services.drift.heal import HealCounts, Healer
from cogent_ops.services.drift.registry import COMPARISONS
from cogent_ops.services.drift.report import NightReport, write_report
from cogent_ops.store.drift import FindingState, NightTotal, StoredFinding

log = logging.getLogger(__name__)

RESULT, FINDINGS = "result.json", "findings"
_FINDING = TypeAdapter(Finding)
#: Who mends what lies within the limits.
BY_ITSELF = "drift_reconciliation"
#: Nights that the report's trend shows.
TREND = 30


@dataclass(frozen=True)
class Proposals:
    """What waits for a person.

    :param until: id of the last finding among them.
    :param text: Markdown for the question.
    """

    count: int
    until: int
    text: str


class Nights:
    """The nights of one link.

    :param root: data root.
    :param comparisons: what is compared.
    """

    def __init__(
        self, parts: Parts, root: UPath, comparisons: Sequence[Callable[[Parts], Comparison]] = COMPARISONS
    ) -> None:
        self.parts, self.rules, self.link = parts, parts.config.drift, parts.config.name
        self.archive = Archive(root, self.link)
        self.comparisons = [make(parts) for make in comparisons]
        self.healer = Healer(parts, self.archive)

    def snapshot(self, name: str) -> dict[str, Any]:
        """Read both sides into the archive; a night whose snapshot is complete is not read again."""
        night = self.archive.night(name)
        if night.taken is None:
            began = night.begin(self.parts.now())
            for comparison in self.comparisons:
                comparison.snapshot(night)
            night.complete(began, self.parts.now())
            self.archive.prune(self.rules.keep_nights)
        return {"night": name}

    def compare(self, name: str, *, backfilled: bool = False) -> dict[str, Any]:
        """Compare what is archived, store what was found, and raise what people must hear of.

        :param backfilled: a night of the past is compared again: nothing is raised, mended or asked.
        :raises PermanentError: when the night's snapshot is not archived.
        """
        night = self.archive.night(name)
        taken = night.taken
        if taken is None:
            raise PermanentError(
                f"No complete snapshot of {name} is archived, so that night cannot be compared. See docs/drift.md."
            )
        self.parts.store.drift.begin(self.link, name, self.parts.run_key, backfilled=backfilled)
        previous = self.archive.previous(night)
        results = {one.area: one.compare(night, previous) for one in self.comparisons}
        findings = [finding for result in results.values() for finding in result.findings]
        self._archive(night, results, findings)
        self._store(name, results, findings, backfilled=backfilled)
        if not backfilled:
            verified = self.healer.verify(name, findings, taken.began)
            Raise(self.parts).night(name, [one.area for one in self.comparisons], findings)
            log.info("of what was mended before: %s", verified)
        checked = sum(result.checked for result in results.values())
        return {"night": name, "checked": checked, "findings": len(findings)}

    def _archive(self, night: Night, results: Mapping[Area, Compared], findings: Iterable[Finding]) -> None:
        """Keep all findings and numbers beside the snapshot, for the report."""
        write_facts(night, FINDINGS, ((one.area, as_json(_FINDING, one)) for one in findings))
        figures = [asdict(line) for result in results.values() for line in result.figures]
        areas = {area: {"checked": one.checked, "counts": dict(one.counts)} for area, one in results.items()}
        night.note(RESULT, {"areas": areas, "figures": figures})

    def _store(
        self, name: str, results: Mapping[Area, Compared], findings: list[Finding], *, backfilled: bool
    ) -> None:
        proposed = self._still_proposed(name, findings) if backfilled else self._proposed(results)
        ranked = sorted(findings, key=lambda one: (one not in proposed, not one.heal, -abs(one.amount or 0)))
        kept = [one for place, one in enumerate(ranked) if one in proposed or place < self.rules.listed]
        states = {True: FindingState.PROPOSED, False: FindingState.REPORTED}
        with self.parts.store.begin() as conn:
            self.parts.store.drift.record(
                conn,
                self.link,
                name,
                totals(name, findings),
                [(one, states[one in proposed]) for one in kept],
            )

    def _proposed(self, results: Mapping[Area, Compared]) -> set[Finding]:
        stock = results.get(Area.STOCK)
        if stock is None:
            return set()
        chosen = plan(stock.findings, stock.checked, self.rules, self.parts.config.currency)
        if chosen.asked:
            log.info("%d differences wait for a person. %s", len(chosen.asked), chosen.why)
        return {*chosen.at_once, *chosen.asked}

    def _still_proposed(self, name: str, findings: Iterable[Finding]) -> set[Finding]:
        """What a person was asked about when the night was compared before: no later night would find it again."""
        waiting = self.parts.store.drift.findings(self.link, name, [FindingState.PROPOSED])
        asked = {one.finding.key for one in waiting}
        return {one for one in findings if one.key in asked}

    # Mending

    def heal(self, name: str) -> dict[str, int]:
        """Mend what lies within the limits."""
        night, drift = self.archive.night(name), self.parts.store.drift
        self.healer.set_aside(drift.findings(self.link, states=[FindingState.PROPOSED]))
        found = drift.findings(self.link, name, [FindingState.PROPOSED])
        checked = int((night.noted(RESULT) or {}).get("areas", {}).get(Area.STOCK, {}).get("checked", 0))
        # What else was found at the same places matters, too.
        archived = (
            _FINDING.validate_json(facts) for area, facts in read_facts(night, FINDINGS) if area == Area.STOCK
        )
        chosen = plan(list(archived), checked, self.rules, self.parts.config.currency)
        small = {one.key for one in chosen.at_once}
        counts = self.healer.heal([one for one in found if one.finding.key in small], BY_ITSELF)
        return vars(counts)

    def proposals(self) -> Proposals:
        """What of this night and of earlier ones waits for a person."""
        found = self.parts.store.drift.findings(self.link, states=[FindingState.PROPOSED])
        return Proposals(len(found), max((one.id for one in found), default=0), question(found))

    def decide(self, until: int, choice: str, actor: str) -> dict[str, int]:
        """Do what a person has chosen.

        :param until: the last finding of those that they were asked about.
        :param choice: ``Approve``, ``Decline``, or anything else for leaving it as it is.
        """
        found = [
            one
            for one in self.parts.store.drift.findings(self.link, states=[FindingState.PROPOSED])
            if one.id <= until
        ]
        counts, declined = HealCounts(), 0
        if choice == "Approve":
            counts = self.healer.heal(found, actor)
        elif choice == "Decline":
            with self.parts.store.begin() as conn:
                mine = self.parts.store.drift.lock(conn, [one.id for one in found], FindingState.PROPOSED)
                declined = self.parts.store.drift.decide(
                    conn, sorted(mine), FindingState.DECLINED, actor=actor, outcome=f"{actor} declined"
                )
                detail = {"findings": sorted(mine)}
                self.parts.store.audit_log.write(actor, "decline", "drift", detail, link=self.link, conn=conn)
        Raise(self.parts).heals()
        return {**vars(counts), "declined": declined}

    # Reporting

    def report(self, name: str) -> dict[str, Any]:
        """Write the page and the CSV, and close the night."""
        night, drift = self.archive.night(name), self.parts.store.drift
        result = night.noted(RESULT) or {"areas": {}, "figures": []}
        checked = sum(area["checked"] for area in result["areas"].values())
        kept = drift.findings(self.link, name)
        taken = night.taken
        page = write_report(
            NightReport(
                link=self.link,
                night=name,
                began=taken.began if taken else self.parts.now(),
                heal=self.rules.heal,
                checked={area: one["checked"] for area, one in result["areas"].items()},
                counts={area: one["counts"] for area, one in result["areas"].items()},
                findings=[_FINDING.validate_json(facts) for _, facts in read_facts(night, FINDINGS)],
                kept=kept,
                figures=[MoneyLine(**line) for line in result["figures"]],
                trend=drift.trend(self.link, TREND, until=name),
                nights=sorted(one.night for one in drift.nights(self.link, TREND, until=name)),
                is_first=self.archive.previous(night) is None,
            ),
            night.path / "report",
        )
        states = Counter(one.state.value for one in kept)
        with self.parts.store.begin() as conn:
            drift.finish(conn, self.link, name, checked, dict(states), str(page))
        Raise(self.parts).heals()
        return {"night": name, "report": str(page), **states}


def totals(night: str, findings: Iterable[Finding]) -> list[NightTotal]:
    """What a night found, by area, cause and currency."""
    sums: dict[tuple[Area, Cause, str], list[int]] = {}
    for one in findings:
        total = sums.setdefault((one.area, one.cause, one.currency or ""), [0, 0, 0])
        for place, number in enumerate((1, abs(one.units), abs(one.amount or 0))):
            total[place] += number
    return [NightTotal(night, *key, *total) for key, total in sorted(sums.items())]


def question(found: Sequence[StoredFinding], most: int = 20) -> str:
    """What a person is asked, in Markdown."""
    units = sum(abs(one.finding.heal or 0) for one in found)
    lines = [f"{len(found):,} differences of {units:,} units can be mended:", ""]
    for one in found[:most]:
        lines.append(f"- {one.finding.message} Mending it adds {one.finding.heal:+d}.")
        if one.outcome:
            lines.append(f"  ({one.outcome})")
    if len(found) > most:
        lines.append(f"- and {len(found) - most:,} more: see the report.")
    lines += [
        "",
        "*Approve* mends all of them, *Decline* none ever; *Hold* or no answer: asked again next night.",
    ]
    return "\n".join(lines)
