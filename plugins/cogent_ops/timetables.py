"""When flows run that are woken often and backfilled seldom."""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable

#: What one run of a backfill covers.
DAY = timedelta(days=1)
#: A run is known by the moment at which its data begin, and one of the schedule, which begins at a full minute, may
#: have taken it.
APART = timedelta(seconds=1)


class FrequentTimetable(CronDataIntervalTimetable):
    """Runs as often as its cron expression says; a backfill has a run for each day.

    Going through a week by the minute would take ten thousand runs, and leave out every minute in which the schedule
    had a run, whatever that run did. A day begins one second before the time of day at which the backfill begins; the
    last one ends now where it has not passed.
    """

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """See the base class. Only a backfill catches up: no DAG of this package does so by itself."""
        if not restriction.catchup or restriction.earliest is None or restriction.latest is None:
            return super().next_dagrun_info(
                last_automated_data_interval=last_automated_data_interval, restriction=restriction
            )
        last = last_automated_data_interval
        start = restriction.earliest - APART if last is None else last.end
        end = min(start + DAY, self._align_to_prev(pendulum.now(pendulum.UTC)))
        if start > restriction.latest or end <= start:
            return None
        return DagRunInfo.interval(start=start, end=end)
