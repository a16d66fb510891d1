"""Operator of ``kiosk_order_capture``."""

from __future__ import annotations

from airflow.sdk import Context

from cogent_ops.operators.common import LinkOperator, Summary, backfilled, try_key


class KioskOrderCaptureOperator(LinkOperator):
    """Kiosk orders to commercetools, and what became of them back to Cloudshelf, until it is quiet.

    In a backfill: the orders of its data interval that were missed, and nothing else.

    :param link: the link. (templated)
    """

    ui_color: str = "#fef3c7"

    def execute(self, context: Context) -> Summary:
        """Run the flow.

        :return: what was done, in numbers.
        """
        from cogent_ops.runtime import Runtime

        runtime, owner = Runtime(self.link), try_key(context)
        interval = backfilled(context["dag_run"])
        summary = (
            runtime.orders(owner).run() if interval is None else runtime.order_backfill(owner).run(*interval)
        )
        self.publish(context, summary)
        return summary
