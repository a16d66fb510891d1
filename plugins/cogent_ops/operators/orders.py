"""Operator of ``kiosk_order_capture``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context

from cogent_ops.links import DEFAULT_LINK
from cogent_ops.operators.common import Summary, backfilled, try_key


class KioskOrderCaptureOperator(BaseOperator):
    """Kiosk orders to commercetools, and what became of them back to Cloudshelf, until it is quiet.

    In a backfill: the orders of its data interval that were missed, and nothing else.

    :param link: the link. (templated)
    """

    template_fields: Sequence[str] = ("link",)
    ui_color: str = "#fef3c7"

    def __init__(self, *, link: str = DEFAULT_LINK, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.link = link

    def execute(self, context: Context) -> Summary:
        """Run the flow.

        :return: what was done, in numbers.
        """
        from cogent_ops.runtime import Runtime

        runtime, owner = Runtime(self.link), try_key(context)
        interval = backfilled(context["dag_run"])
        if interval is None:
            return runtime.orders(owner).run()
        return runtime.order_backfill(owner).run(*interval)
