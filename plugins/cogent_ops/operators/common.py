"""What operators of all flows share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, Context

from cogent_ops.links import DEFAULT_LINK
from cogent_ops.pages import run_key

if TYPE_CHECKING:
    from airflow.sdk.types import DagRunProtocol

Summary = dict[str, Any]


class LinkOperator(BaseOperator):
    """Base: an operator that works for one link.

    :param link: the pair of commercetools project and Cloudshelf organisation. (templated)
    """

    template_fields: Sequence[str] = ("link",)

    def __init__(self, *, link: str = DEFAULT_LINK, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.link = link

    def publish(self, context: Context, numbers: Mapping[str, Any]) -> None:
        """Write what was done beside the events of the assets that this task brings up to date, for people to see.

        :param numbers: a task's summary; what is no number is left out.
        """
        extra = {name: value for name, value in numbers.items() if isinstance(value, int | float)}
        for asset in self.outlets:
            context["outlet_events"][asset].extra = {"link": self.link, **extra}


def who_answered(answer: Mapping[str, Any]) -> str | None:
    """Name of the person who answered a question in Airflow; ``None``: nobody did in time.

    :param answer: XCom of the task that asked.
    """
    person = answer.get("responded_by_user")
    return str(person.get("name") or person["id"]) if person else None


def try_key(context: Context) -> str:
    """A try of a task: two tries, of which the first may still be alive somewhere, are two owners."""
    run, task = context["dag_run"], context["ti"]
    return f"{run_key(run.dag_id, run.run_id)}/{task.try_number}"


def backfilled(run: DagRunProtocol) -> tuple[datetime, datetime] | None:
    """The data interval of a backfill; other runs work from the watermark."""
    start, end = run.data_interval_start, run.data_interval_end
    if run.run_type != "backfill" or start is None or end is None:
        return None
    return start, end
