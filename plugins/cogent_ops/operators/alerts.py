"""Operator of ``sync_health``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import BaseOperator, Context

from cogent_ops.links import DEFAULT_LINK
from cogent_ops.operators.common import Summary, try_key


class AlertOperator(BaseOperator):
    """Tell people of exceptions: write the messages that are due and send whatever waits.

    A message that cannot be delivered waits and becomes an exception; it does not fail the task. A mistake in
    ``include/exceptions.yaml`` does, after the messages have gone out by the released policies.

    :param link: the link. (templated)
    """

    template_fields: Sequence[str] = ("link",)
    ui_color: str = "#fee2e2"

    def __init__(self, *, link: str = DEFAULT_LINK, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.link = link

    def execute(self, context: Context) -> Summary:
        """Tell.

        :return: what was done, in numbers.
        """
        from cogent_ops.config import load_policies
        from cogent_ops.runtime import Runtime

        done = Runtime(self.link).alerts(try_key(context)).run(datetime.now(UTC))
        load_policies()
        return dict(done)
