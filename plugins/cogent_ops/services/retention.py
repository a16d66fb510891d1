"""What is not needed any more goes, by age: first of all personal data. What is open stays, and so do all totals.

Every part may be repeated and may stop anywhere: what is left is done the next day.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from upath import UPath

from cogent_ops.domain.rules import RetentionRules
from cogent_ops.services.catalogue.runfolder import RunFolder
from cogent_ops.store import Run, Store

log = logging.getLogger(__name__)

#: Rows in a transaction, so that flows that write meanwhile need not wait.
BATCH = 500
#: A run that has not ended may wait for a person this long; after it nobody goes on with it.
LONGEST_RUN = timedelta(days=14)
#: Watermark that says when everything was purged last.
PURGED = "retention"


class Retention:
    """Purges one link.

    :param root: data root, under which runs have their folders.
    """

    def __init__(self, link: str, rules: RetentionRules, store: Store, root: UPath) -> None:
        self.link, self.rules, self.store, self.root = link, rules, store, root

    def run(self, now: datetime) -> dict[str, int]:
        """Purge; how much of each went. What went is noted in the audit log, in numbers."""
        kept = self.store.retention
        counts = {
            "contacts": self._batches(kept.forget_contacts, now, self.rules.contacts_days),
            "orders": self._batches(kept.empty_orders, now, self.rules.orders_days),
            "payloads": self._batches(kept.empty_payloads, now, self.rules.payloads_days),
            "alerts": self._batches(kept.delete_alerts, now, self.rules.alerts_days),
            "health_samples": self._batches(kept.delete_samples, now, self.rules.health_days),
            "nights": self._batches(self.store.drift.purge, now, self.rules.drift_days),
            "run_folders": self._run_folders(now),
        }
        if any(counts.values()):
            self.store.audit_log.write("retention", "purge", f"link/{self.link}", counts, link=self.link)
        with self.store.begin() as conn:
            self.store.watermarks.set(conn, self.link, PURGED, now)
        return counts

    def _batches(self, purge: Callable[[str, datetime, int], int], now: datetime, days: int) -> int:
        before, total = now - timedelta(days=days), 0
        while done := purge(self.link, before, BATCH):
            total += done
        return total

    def _run_folders(self, now: datetime) -> int:
        removed = 0
        for key in RunFolder.all(self.root, self.link):
            runs = self.store.runs.by_key(self.link, key)
            if runs and all(self._is_over(run, now) for run in runs):
                log.info("the folder of run %s is removed", key)
                RunFolder(self.root, self.link, key).remove()
                removed += 1
        return removed

    def _is_over(self, run: Run, now: datetime) -> bool:
        age = timedelta(days=self.rules.runs_days)
        if run.finished_at is None:
            return now - run.started_at > max(age, LONGEST_RUN)
        return now - run.finished_at > age
