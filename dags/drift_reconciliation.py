"""What both systems say every night against what they should say: causes, evidence, and what was mended.

**snapshot** archives both sides. **compare** looks for what nothing under way explains, and names each cause with its
evidence. **heal** mends small differences of our own making by movements like any other (`drift.heal`; off on a new
installation: read a few reports first). **report** writes the page and the CSV. Where more is to be mended than the
limits allow, **ask** wants a person's answer under *Required Actions*; no answer changes nothing, and it is asked again
next night. **decide** does what was answered. What was mended is verified by the next night.

A backfill compares past nights again from their archived snapshots, and mends nothing:

    airflow backfill create --dag-id drift_reconciliation --from-date 2026-11-16 --to-date 2026-11-22
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import CronDataIntervalTimetable, Param

from cogent_ops import operators as ops
from cogent_ops.dag_defaults import drift_asset, flow_dag, for_each_link

CHOICES = ["", "off", "ask", "small"]
HEAL = Param("", type="string", enum=CHOICES, description="Instead of drift.heal. Empty: as configured.")
FROM_REPORT = "{{ ti.xcom_pull(task_ids='report')['%s'] }}"


def build(link: str) -> None:
    """The DAG of one link."""
    with flow_dag(
        "drift_reconciliation",
        link,
        schedule=CronDataIntervalTimetable("30 1 * * *", timezone="UTC"),
        late_after=timedelta(hours=3),
        dagrun_timeout=timedelta(hours=23),
        params={"heal": HEAL},
        tags=["drift"],
        doc_md=__doc__,
    ):
        step = {"link": link, "heal": "{{ params.heal }}"}
        snapshot = ops.DriftSnapshotOperator(task_id="snapshot", **step)
        compare = ops.DriftCompareOperator(task_id="compare", **step)
        heal = ops.DriftHealOperator(task_id="heal", **step)
        report = ops.DriftReportOperator(task_id="report", outlets=[drift_asset(link)], **step)
        ask = HITLOperator(
            task_id="ask",
            subject=f"Stock of {link}: may this be mended?",
            body=FROM_REPORT % "question",
            options=["Approve", "Decline", "Hold"],
            defaults="Hold",
            response_timeout=timedelta(hours=20),
            execution_timeout=None,
        )
        until = FROM_REPORT % "until"
        decide = ops.DriftDecideOperator(task_id="decide", answer=ask.output, until=until, **step)
        snapshot >> compare >> heal >> report >> ask >> decide


for_each_link(build)
