"""Watching the monitor: every other flow looks, in passing, whether sync health still does.

Sync health cannot tell that it is dead itself. All others are tasks of their own, so as long as any of them runs,
somebody notices; when none does, only the heartbeat outside can tell (``health.heartbeat``).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from cogent_ops.domain.exceptions import Kind, NewException, Owner
from cogent_ops.store import Store

#: What is watched: the one cause of its kind.
CAUSE = "sync_health"
#: Kind under which it is noted since when it is watched.
MONITOR = "monitor"


class Watchdog:
    """Looks at the monitor of one link.

    :param minutes: after so long without a check it counts as dead.
    """

    def __init__(self, link: str, store: Store, minutes: int) -> None:
        self.link, self.store, self.minutes = link, store, minutes

    def look(self, now: datetime) -> NewException | None:
        """What is to be raised; ``None`` while the monitor is awake."""
        checked = self.store.health.checked_at(self.link)
        since = checked or self._watched_since(now)
        if now - since <= timedelta(minutes=self.minutes):
            return None
        return _silent(checked, since, self.minutes)

    def _watched_since(self, now: datetime) -> datetime:
        """Since when somebody watches a monitor that has never checked anything."""
        found = self.store.gaps.source(self.link, MONITOR, CAUSE)
        if found is not None and found.healthy_at is not None:
            return found.healthy_at
        with self.store.begin() as conn:
            self.store.gaps.saw(conn, self.link, MONITOR, CAUSE, "never", now, is_healthy=True)
        return now


def _silent(checked: datetime | None, since: datetime, minutes: int) -> NewException:
    what = (
        f"The last check of sync_health was at {since:%Y-%m-%d %H:%M} UTC"
        if checked
        else f"sync_health has not checked anything yet, and the other flows have run since {since:%Y-%m-%d %H:%M} UTC"
    )
    return NewException(
        kind=Kind.MONITOR_SILENT,
        cause_key=CAUSE,
        record=CAUSE,
        field="",
        rule=f"a check every {minutes} minutes at least",
        message=f"{what}. Until it looks again nobody is told of late stock, lost orders or stopped flows.",
        cure="Unpause sync_health in Airflow, or mend what the log of its failed task names. Its next check closes "
        "this.",
        owner=Owner.PLATFORM,
        payload={"checked_at": checked.isoformat() if checked else None},
    )
