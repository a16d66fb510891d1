"""Operators of ``stock_deltas`` and ``availability_push``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import Context

from cogent_ops.operators.common import LinkOperator, Summary, try_key


class StockDeltasOperator(LinkOperator):
    """Kiosk sales to commercetools: poll orders into the inbox and drain it, until it is quiet.

    :param link: the link. (templated)
    """

    ui_color: str = "#dcfce7"

    def execute(self, context: Context) -> Summary:
        """Run the flow.

        :return: what was done, in numbers.
        """
        from cogent_ops.runtime import Runtime

        summary = Runtime(self.link).stock(try_key(context)).run()
        self.publish(context, summary)
        return summary


class AvailabilityPushOperator(LinkOperator):
    """commercetools' availability to the kiosks: stock levels and flags, for as long as a run may last.

    One at a time: of two that tell the same level nobody could say whose arrived last.

    :param link: the link. (templated)
    :param full: read every inventory entry, not only what changed. (templated)
    """

    template_fields: Sequence[str] = ("link", "full")
    ui_color: str = "#dcfce7"

    def __init__(self, *, full: bool | str = False, **kwargs: Any) -> None:
        super().__init__(**{"max_active_tis_per_dag": 1, **kwargs})
        self.full = full

    def execute(self, context: Context) -> Summary:
        """Run the flow.

        :return: what was told, in numbers.
        """
        from cogent_ops.runtime import Runtime

        summary = Runtime(self.link).availability(try_key(context)).keep_up(full=bool(self.full))
        self.publish(context, summary)
        return summary
