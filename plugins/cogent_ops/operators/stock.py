"""Operators of ``stock_deltas`` and ``availability_push``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context

from cogent_ops.links import DEFAULT_LINK
from cogent_ops.operators.common import Summary, try_key


class StockDeltasOperator(BaseOperator):
    """Kiosk sales to commercetools: poll orders into the inbox and drain it, until it is quiet.

    :param link: the link. (templated)
    """

    template_fields: Sequence[str] = ("link",)
    ui_color: str = "#dcfce7"

    def __init__(self, *, link: str = DEFAULT_LINK, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.link = link

    def execute(self, context: Context) -> Summary:
        """Run the flow.

        :return: what was done, in numbers.
        """
        from cogent_ops.runtime import Runtime

        return Runtime(self.link).stock(try_key(context)).run()


class AvailabilityPushOperator(BaseOperator):
    """commercetools' availability to the kiosks: stock levels and flags, for as long as a run may last.

    One at a time: of two that tell the same level nobody could say whose arrived last.

    :param link: the link. (templated)
    :param full: read every inventory entry, not only what changed. (templated)
    """

    template_fields: Sequence[str] = ("link", "full")
    ui_color: str = "#dcfce7"

    def __init__(self, *, link: str = DEFAULT_LINK, full: bool | str = False, **kwargs: Any) -> None:
        super().__init__(**{"max_active_tis_per_dag": 1, **kwargs})
        self.link, self.full = link, full

    def execute(self, context: Context) -> Summary:
        """Run the flow.

        :return: what was told, in numbers.
        """
        from cogent_ops.runtime import Runtime

        return Runtime(self.link).availability(try_key(context)).keep_up(full=bool(self.full))
