"""The months of a link: one folder each, written as often as one likes.

A month that is over is kept in numbers (``facts.json``) beside its report. When it is written again, it is read anew
from the store; once some of its sources were purged by age, what was kept counts instead.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from pydantic import ValidationError
from upath import UPath

from cogent_ops.domain.governance.model import FORM, Month
from cogent_ops.domain.governance.steps import next_steps
from cogent_ops.domain.policies import Policies
from cogent_ops.domain.rules import RetentionRules
from cogent_ops.services.governance.gather import Gathered, Gathering, Span, month_before, month_span
from cogent_ops.services.governance.report import PAGE, title, verdict, write_report
from cogent_ops.store import Store

log = logging.getLogger(__name__)

FOLDER, FACTS = "governance", "facts.json"


@dataclass(frozen=True)
class Written:
    """A report that is there.

    :param page: address of the page.
    :param steps: how many things the numbers ask for.
    """

    month: str
    title: str
    verdict: str
    is_over: bool
    page: str
    steps: int


class Months:
    """Writes the reports of a link.

    :param root: data root.
    """

    def __init__(
        self,
        link: str,
        store: Store,
        policies: Policies,
        kept: RetentionRules,
        root: UPath,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.link, self.policies, self.root = link, policies, root
        self._gathering, self._clock = Gathering(link, store, policies, kept), clock

    def write(self, name: str = "") -> Written:
        """Write the report of a month; one that is not over, as far as it has come.

        :param name: ``2026-10``; empty: the last month that is over.
        :raises PermanentError: when there is no such month, or it has not begun.
        """
        now, hours = self._clock(), self.policies.business_hours
        span = month_span(name or month_before(now, hours), hours, now)
        found = self._found(span, now)
        folder = month_folder(self.root, self.link, span.name)
        page = write_report(found.month, found.lives, self.policies, folder)
        if span.is_over:
            (folder / FACTS).write_text(found.month.model_dump_json(indent=1), encoding="utf-8")
        month = found.month
        return Written(
            month.name, title(month), verdict(month), month.is_over, str(page), len(next_steps(month))
        )

    def of(self, moment: datetime) -> str:
        """The name of the month in which a moment lies, by the business's calendar."""
        return f"{moment.astimezone(ZoneInfo(self.policies.business_hours.timezone)):%Y-%m}"

    def _found(self, span: Span, now: datetime) -> Gathered:
        kept = self._kept(span.name) if self._gathering.is_purged(span, now) else None
        if kept is None:
            return self._gathering.month(span, now)
        log.info("%s is written as it was kept: some of what it was made of is purged by now", span.name)
        return Gathered(kept, [one for one in self._gathering.lives(span) if not one.is_drill])

    def _kept(self, name: str) -> Month | None:
        """The month as it was kept; ``None``: it was not, or in a form that is not read any more."""
        file = month_folder(self.root, self.link, name) / FACTS
        if not file.is_file():
            return None
        try:
            month = Month.model_validate_json(file.read_text(encoding="utf-8"))
        except ValidationError as error:
            log.warning("%s cannot be read, so it is not used: %s", file, error.error_count())
            return None
        return month if month.form == FORM else None


def month_folder(root: UPath, link: str, name: str) -> UPath:
    """Where a month's report lies."""
    return root / FOLDER / link / name


def month_names(root: UPath, link: str) -> list[str]:
    """Months whose report is written, the youngest first."""
    folder = root / FOLDER / link
    if not folder.is_dir():
        return []
    return sorted((path.name for path in folder.iterdir() if (path / PAGE).is_file()), reverse=True)
