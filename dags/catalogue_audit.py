"""The whole catalogue against the product master schema: go or no-go, and a fix list for each owner.

Nothing is sent to Cloudshelf. **extract** reads every published product, **gate** judges it, **report** writes the page
and the fix list, **verdict** records go or no-go. When the findings stand in the way of the first push, **accept** asks
a person under *Required Actions*: approve with a note, or reject and have the catalogue mended first. No answer means
*hold*.

To accept beforehand, give a reason in `accept_findings`; on the command line, `cogent-ops audit accept`.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import CronDataIntervalTimetable, Param

from cogent_ops import operators as ops
from cogent_ops.dag_defaults import HOLD_WITHOUT_ANSWER, flow_dag, for_each_link

REASON = Param(
    "", type="string", description="Your reason to accept this run's findings, unseen. Empty: ask."
)
NOTE = Param("", type="string", description="Why the findings are acceptable.")


def build(link: str) -> None:
    """The DAG of one link."""
    with flow_dag(
        "catalogue_audit",
        link,
        schedule=CronDataIntervalTimetable("0 4 * * 0", timezone="UTC"),
        late_after=timedelta(days=1),
        dagrun_timeout=timedelta(days=8),
        tags=["catalogue"],
        params={"accept_findings": REASON},
        doc_md=__doc__,
    ):
        run = {"link": link, "flow": "catalogue_audit"}
        extract = ops.CommercetoolsCatalogueExtractOperator(task_id="extract", **run)
        gate = ops.ProductMasterGateOperator(task_id="gate", **run)
        report = ops.CatalogueReportOperator(task_id="report", **run)
        reason = "{{ params.accept_findings }}"
        verdict = ops.CatalogueVerdictOperator(task_id="verdict", accept_findings=reason, **run)
        accept = ApprovalOperator(
            task_id="accept",
            subject=f"Catalogue of link '{link}': no-go. Accept its findings and begin to push?",
            body="{{ ti.xcom_pull(task_ids='verdict')['findings'] }}",
            params={"note": NOTE},
            **HOLD_WITHOUT_ANSWER,
        )
        audit, answer = (
            "{{ ti.xcom_pull(task_ids='verdict')['audit'] }}",
            "{{ ti.xcom_pull(task_ids='accept') }}",
        )
        record = ops.AcceptAuditOperator(task_id="record_acceptance", link=link, audit=audit, approval=answer)
        extract >> gate >> report >> verdict >> accept >> record


for_each_link(build)
