"""Operator of ``sync_health``."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import Context

from cogent_ops.operators.common import LinkOperator, Summary, try_key


class AlertOperator(LinkOperator):
    """Tell people of exceptions: write the messages that are due and send whatever waits.

    A message that cannot be delivered waits and becomes an exception; it does not fail the task. A mistake in
    ``include/exceptions.yaml`` does, after the messages have gone out by the released policies.

    :param link: the link. (templated)
    """

    ui_color: str = "#fee2e2"

    def execute(self, context: Context) -> Summary:
        """Tell.

        :return: what was done, in numbers.
        """
        from cogent_ops.config import load_policies
        from cogent_ops.runtime import Runtime

        done = Runtime(self.link).alerts(try_key(context)).run(datetime.now(UTC))
        load_policies()
        return dict(done)
