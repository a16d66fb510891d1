"""Operators of ``drift_reconciliation``: one step of a night each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink, Context
from airflow.sdk.bases.skipmixin import SkipMixin

from cogent_ops.operators.common import LinkOperator, Summary, backfilled, who_answered
from cogent_ops.pages import NightLink, run_key

if TYPE_CHECKING:
    from airflow.sdk.types import DagRunProtocol

    from cogent_ops.services.drift.nights import Nights

#: Runs of the clock, of which there is one a day.
_BY_THE_CLOCK = ("scheduled", "backfill")


class DriftOperator(LinkOperator):
    """One step of a night.

    :param link: the link. (templated)
    :param heal: what is mended in this run, instead of what the configuration says: ``off``, ``ask`` or ``small``;
        empty: as configured. (templated)
    """

    template_fields: Sequence[str] = ("link", "heal")
    ui_color: str = "#ede9fe"

    def __init__(self, *, heal: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heal = heal

    def execute(self, context: Context) -> Summary:
        """Take the step.

        :return: what was done, in numbers.
        """
        run = context["dag_run"]
        return self.step(self.nights(context), night_of(run), is_past=backfilled(run) is not None)

    def nights(self, context: Context) -> Nights:
        """The link's nights, as this run sees them."""
        from cogent_ops.runtime import Runtime

        run = context["dag_run"]
        return Runtime(self.link).nights(run_key(run.dag_id, run.run_id), heal=str(self.heal))

    def step(self, nights: Nights, night: str, *, is_past: bool) -> Summary:
        """What this operator does.

        :param is_past: a backfill compares a past night again, from its archived snapshot.
        """
        raise NotImplementedError


class DriftSnapshotOperator(DriftOperator):
    """Read both sides into the archive. A backfill reads nobody: it needs the night's own snapshot."""

    ui_color = "#dbeafe"

    def step(self, nights: Nights, night: str, *, is_past: bool) -> Summary:
        """See :meth:`Nights.snapshot`."""
        return {"night": night} if is_past else nights.snapshot(night)


class DriftCompareOperator(DriftOperator):
    """Compare what is archived, and name the cause of each difference."""

    def step(self, nights: Nights, night: str, *, is_past: bool) -> Summary:
        """See :meth:`Nights.compare`."""
        return nights.compare(night, backfilled=is_past)


class DriftHealOperator(DriftOperator):
    """Mend what lies within the configured limits."""

    ui_color = "#dcfce7"

    def step(self, nights: Nights, night: str, *, is_past: bool) -> Summary:
        """See :meth:`Nights.heal`."""
        return {} if is_past else {**nights.heal(night)}


class DriftReportOperator(DriftOperator, SkipMixin):
    """Write the report. What follows (asking a person) runs only when something waits for a decision."""

    operator_extra_links: Collection[BaseOperatorLink] = (NightLink(),)

    def execute(self, context: Context) -> Summary:
        """Write it, and skip the question when there is none.

        :return: with the question in ``question``, and what it is about in ``until``.
        """
        run, nights = context["dag_run"], self.nights(context)
        summary = nights.report(night_of(run))
        waiting = nights.proposals()
        summary |= {"waiting": waiting.count, "until": waiting.until, "question": waiting.text}
        self.publish(context, summary)
        if backfilled(run) is not None or not waiting.count:
            # Skipping ends the task there and then, so its result must be stored before.
            context["ti"].xcom_push(key="return_value", value=summary)
            self.skip(ti=context["ti"], tasks=list(self.get_direct_relatives()))
        return summary


class DriftDecideOperator(DriftOperator):
    """Do what a person has answered, in that person's name.

    :param answer: XCom of the question: what was chosen, and by whom. (templated)
    :param until: the last finding that the question was about. (templated)
    """

    template_fields: Sequence[str] = (*DriftOperator.template_fields, "answer", "until")
    ui_color = "#dcfce7"

    def __init__(self, *, answer: Any, until: int | str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.answer, self.until = answer, until

    def execute(self, context: Context) -> Summary:
        """Carry it out. See :meth:`Nights.decide`."""
        actor = who_answered(self.answer) or "nobody"
        choice = str(self.answer["chosen_options"][0])
        return {**self.nights(context).decide(int(self.until), choice, actor)}


def night_of(run: DagRunProtocol) -> str:
    """The night that a run is about: by the clock, the day on which it ends; else the moment of the run."""
    from cogent_ops.services.drift.archive import night_name

    if run.run_type in _BY_THE_CLOCK and run.data_interval_end is not None:
        return night_name(run.data_interval_end, scheduled=True)
    return night_name(run.run_after, scheduled=False)
