"""Operators of ``exception_review``: which questions there are, a person's answer, and what it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Context

from cogent_ops.links import DEFAULT_LINK
from cogent_ops.operators.common import LinkOperator, Summary, who_answered
from cogent_ops.pages import run_key

if TYPE_CHECKING:
    from cogent_ops.services.asking import Asking

#: Airflow wants to know while it parses what may be chosen, when it is not known yet what will be asked.
_HOLD = "Hold"


def _asking(link: str, context: Context) -> Asking:
    from cogent_ops.runtime import Runtime

    run = context["dag_run"]
    return Runtime(link).asking(run_key(run.dag_id, run.run_id))


class ExceptionQuestionsOperator(LinkOperator):
    """Take the exceptions that a person can decide about, all of one cause as one question.

    What follows runs once for each; without any it is skipped.

    :param link: the link. (templated)
    """

    ui_color: str = "#fef3c7"

    def execute(self, context: Context) -> list[Summary]:
        """Claim the questions.

        :return: kind and numbers of the exceptions of each.
        """
        found = _asking(self.link, context).claim(datetime.now(UTC))
        return [{"kind": one.kind, "ids": [each.id for each in one.exceptions]} for one in found]


class AskPersonOperator(HITLOperator):
    """Ask a person under *Required Actions* about the exceptions of one cause, and wait for the answer.

    No answer in time means hold.

    :param link: the link. (templated)
    :param question: one of those that :class:`ExceptionQuestionsOperator` found. (templated)
    """

    template_fields: Sequence[str] = ("link", "question")
    ui_color: str = "#fce7f3"

    def __init__(self, *, link: str = DEFAULT_LINK, question: Any, **kwargs: Any) -> None:
        super().__init__(subject="An exception", options=[_HOLD], defaults=_HOLD, **kwargs)
        self.link, self.question = link, question

    def execute(self, context: Context) -> Any:
        """Show the form, and park until somebody answers or the time is over."""
        self._show(context)
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Take the answer. See :meth:`HITLOperator.execute_complete`."""
        # Airflow has held the choice against what was offered; whether it is allowed by now, carrying it out tells.
        self.options = list(event.get("chosen_options") or self.options)
        return super().execute_complete(context, event)

    def validate_params_input(self, params_input: Mapping[str, Any]) -> None:
        """Take what was typed as it is: what cannot be used is asked again with the reason; a failed task were not."""

    def _show(self, context: Context) -> None:
        asking = _asking(self.link, context)
        form = asking.form(self.question["kind"], self.question["ids"], datetime.now(UTC))
        self.subject, self.body, self.options = form.subject, form.body, list(form.options)


class ApplyAnswerOperator(LinkOperator):
    """Do what a person answered, in that person's name; what cannot be done is asked again, with the reason.

    :param link: the link. (templated)
    :param question: the question. (templated)
    :param answer: XCom of :class:`AskPersonOperator`. (templated)
    """

    template_fields: Sequence[str] = ("link", "question", "answer")
    ui_color: str = "#dcfce7"

    def __init__(self, *, question: Any, answer: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.question, self.answer = question, answer

    def execute(self, context: Context) -> Summary:
        """Carry it out.

        :return: how many exceptions it was done for, and for how many it was refused.
        """
        from cogent_ops.services.asking import Answer

        typed = self.answer.get("params_input") or {}
        answer = Answer(
            option=self.answer["chosen_options"][0],
            actor=who_answered(self.answer),
            note=str(typed.get("note") or ""),
            corrections=str(typed.get("set") or ""),
            order_number=str(typed.get("order_number") or ""),
        )
        return _asking(self.link, context).apply(self.question["ids"], answer, datetime.now(UTC))
