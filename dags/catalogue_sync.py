"""Products, prices and categories of commercetools on the kiosks: only what passes the product master schema.

**extract** reads what changed since the last run (once a night everything, which also finds deletions). **gate** maps
the records and lets the product master schema hold back what must not reach a kiosk. **push** sends what changed to
Cloudshelf and removes what is gone. **report** writes the page and the fix list that say what was held, why, and who
mends it.

Held records keep their last good version on the kiosk and release themselves once they are mended. A run can be
repeated at any time: what Cloudshelf has already is not sent again. Before the first push `catalogue_audit` must have
passed, or a person must have accepted its findings.

A backfill (`airflow backfill create --dag-id catalogue_sync --from-date … --to-date …`) reads the products that changed
in each past interval, in their present state; it moves no watermark and removes nothing.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import CronDataIntervalTimetable, Param

from cogent_ops import operators as ops
from cogent_ops.dag_defaults import catalogue_asset, flow_dag, for_each_link

PARAMS = {
    "full_refresh": Param(False, type="boolean", description="Read everything, and find what is gone."),
    "skus": Param(
        [], type="array", items={"type": "string"}, description="Only the products that hold these SKUs."
    ),
    "dry_run": Param(False, type="boolean", description="Show what would change; send and store nothing."),
    "resend": Param(False, type="boolean", description="Send again what kiosks show otherwise."),
    "accept_removals": Param(
        0, type="integer", minimum=0, description="How many held removals you have reviewed and accept."
    ),
}


def build(link: str) -> None:
    """The DAG of one link."""
    with flow_dag(
        "catalogue_sync",
        link,
        schedule=CronDataIntervalTimetable("*/15 * * * *", timezone="UTC"),
        late_after=timedelta(minutes=30),
        tags=["catalogue"],
        params=PARAMS,
        doc_md=__doc__,
    ):
        names = ("full_refresh", "skus", "resend", "accept_removals")
        run = {name: f"{{{{ params.{name} }}}}" for name in names}
        run |= {"link": link, "is_dry_run": "{{ params.dry_run }}"}
        extract = ops.CommercetoolsCatalogueExtractOperator(task_id="extract", **run)
        gate = ops.ProductMasterGateOperator(task_id="gate", **run)
        push = ops.CloudshelfCataloguePushOperator(task_id="push", outlets=[catalogue_asset(link)], **run)
        report = ops.CatalogueReportOperator(task_id="report", **run)
        extract >> gate >> push >> report


for_each_link(build)
