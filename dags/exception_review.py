"""What waits for a person, asked under *Required Actions*: approve, correct, try again, link, reject or hold.

**gather** takes the exceptions about which something can be decided, all of one cause as one question, so that a
broken kiosk with forty orders is one decision. For each question **decide** asks: the form says what happened, in which
store, how much money waits, whose it is and until when, and what each choice does. **apply** carries the answer out in
the name of the person who gave it; what is not possible is asked again, with the reason, and so is a dry run, with what
would be sent. No answer within an hour means *hold*: the exception waits on, and a new run asks about all again.

An exception that is opened wakes it, and an answer; the clock does every ten minutes. Questions that wait take no
worker. `cogent-ops exceptions` does the same, and only there may an e-mail address be given: Airflow keeps what is
typed into its forms.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, task_group

from cogent_ops import operators as ops
from cogent_ops.dag_defaults import exception_inbox, flow_dag, for_each_link, on_clock

TEXT = ["null", "string"]
FORM = {
    "note": Param(None, type=TEXT, description="Why. Everybody may read it, for ever: no personal data."),
    "set": Param(None, type=TEXT, description="Corrections, such as location=store-leeds; price.2=12.50"),
    "order_number": Param(None, type=TEXT, description="To link: the order's number in commercetools."),
}


def build(link: str) -> None:
    """The DAG of one link."""
    inbox = exception_inbox(link)
    with flow_dag(
        "exception_review",
        link,
        schedule=on_clock("*/10 * * * *", inbox),
        late_after=timedelta(hours=2),
        dagrun_timeout=timedelta(hours=3),
        # Airflow's scheduler looks at 20 runs at a time, those of a backfill last: more that wait would starve it.
        max_active_runs=8,
        tags=["exceptions"],
        doc_md=__doc__,
    ):
        gather = ops.ExceptionQuestionsOperator(task_id="gather", link=link)

        @task_group
        def ask(question: Any) -> None:
            run = {"link": link, "question": question}
            waits = {"response_timeout": timedelta(hours=1), "execution_timeout": None}
            decide = ops.AskPersonOperator(task_id="decide", params=FORM, **run, **waits)
            # An answer may lead to the next question, such as what would be sent.
            ops.ApplyAnswerOperator(task_id="apply", answer=decide.output, outlets=[inbox], **run)

        ask.expand(question=gather.output)


for_each_link(build)
