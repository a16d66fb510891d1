"""Operator of ``retention``."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import Context

from cogent_ops.operators.common import LinkOperator, Summary


class RetentionOperator(LinkOperator):
    """Purge by age what is not needed any more.

    :param link: the link. (templated)
    """

    ui_color: str = "#e0e7ff"

    def execute(self, context: Context) -> Summary:
        """Purge.

        :return: how much of each went.
        """
        from cogent_ops.runtime import Runtime

        return dict(Runtime(self.link).retention().run(datetime.now(UTC)))
