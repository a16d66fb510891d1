"""Operator of ``retention``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import BaseOperator, Context

from cogent_ops.links import DEFAULT_LINK
from cogent_ops.operators.common import Summary


class RetentionOperator(BaseOperator):
    """Purge by age what is not needed any more.

    :param link: the link. (templated)
    """

    template_fields: Sequence[str] = ("link",)
    ui_color: str = "#e0e7ff"

    def __init__(self, *, link: str = DEFAULT_LINK, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.link = link

    def execute(self, context: Context) -> Summary:
        """Purge.

        :return: how much of each went.
        """
        from cogent_ops.runtime import Runtime

        return dict(Runtime(self.link).retention().run(datetime.now(UTC)))
