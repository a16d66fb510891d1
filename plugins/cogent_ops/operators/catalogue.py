"""Operators of ``catalogue_sync`` and ``catalogue_audit``: one stage each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator, BaseOperatorLink, Context
from airflow.sdk.bases.skipmixin import SkipMixin

from cogent_ops.operators.common import LinkOperator, Summary, backfilled, who_answered
from cogent_ops.pages import ReportLink, run_key

if TYPE_CHECKING:
    from cogent_ops.runtime import Runtime
    from cogent_ops.services.catalogue.plan import CatalogueRequest
    from cogent_ops.services.catalogue.sync import CatalogueSync
    from cogent_ops.store import Audit


class CatalogueOperator(LinkOperator):
    """One stage of a catalogue run.

    :param link: the pair of commercetools project and Cloudshelf organisation. (templated)
    :param flow: ``catalogue_sync`` or ``catalogue_audit``.
    :param full_refresh: read the whole catalogue and find what is gone, instead of what changed. (templated)
    :param skus: read only the products that hold these SKUs. (templated)
    :param is_dry_run: gate and compare, send and store nothing. (templated)
    :param resend: send what Cloudshelf has confirmed already, too. (templated)
    :param accept_removals: how many removals a person has reviewed and accepts. (templated)
    """

    template_fields: Sequence[str] = (
        "link",
        "full_refresh",
        "skus",
        "is_dry_run",
        "resend",
        "accept_removals",
    )
    ui_color: str = "#dbeafe"
    reads: ClassVar[bool] = False
    writes: ClassVar[bool] = False

    def __init__(
        self,
        *,
        flow: str = "catalogue_sync",
        full_refresh: bool | str = False,
        skus: Sequence[str] | str = (),
        is_dry_run: bool | str = False,
        resend: bool | str = False,
        accept_removals: int | str = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.flow = flow
        self.full_refresh, self.skus = full_refresh, skus
        self.is_dry_run, self.resend = is_dry_run, resend
        self.accept_removals = accept_removals

    def execute(self, context: Context) -> Any:
        """Run the stage.

        :return: the stage's summary, as XCom.
        """
        from cogent_ops.runtime import Runtime
        from cogent_ops.services.pipeline import fewer_collections

        runtime = Runtime(self.link)
        flow = runtime.catalogue(reads=self.reads, writes=self.writes)
        with fewer_collections():
            summary = self.stage(flow, self.request(context), runtime, context)
        self.publish(context, summary if isinstance(summary, dict) else {})
        return summary

    def stage(
        self, flow: CatalogueSync, request: CatalogueRequest, runtime: Runtime, context: Context
    ) -> Summary:
        """What this operator does; each subclass calls one service method."""
        raise NotImplementedError

    def request(self, context: Context) -> CatalogueRequest:
        """The run as the service wants it; only a backfill brings its data interval."""
        from cogent_ops.services.catalogue.plan import CatalogueRequest, Flow

        run = context["dag_run"]
        return CatalogueRequest(
            link=self.link,
            run_key=run_key(run.dag_id, run.run_id),
            now=run.start_date or run.run_after,
            flow=Flow(self.flow),
            full_refresh=bool(self.full_refresh),
            skus=tuple(str(sku).strip() for sku in _listed(self.skus) if str(sku).strip()),
            dry_run=bool(self.is_dry_run),
            resend=bool(self.resend),
            accept_removals=int(self.accept_removals),
            interval=backfilled(run),
        )


class CommercetoolsCatalogueExtractOperator(CatalogueOperator):
    """Read products, prices, stock and reference data from commercetools into the run's folder."""

    reads = True

    def stage(
        self, flow: CatalogueSync, request: CatalogueRequest, runtime: Runtime, context: Context
    ) -> Summary:
        """See :meth:`CatalogueSync.extract`."""
        return flow.extract(request)


class ProductMasterGateOperator(CatalogueOperator):
    """Map what was extracted, and let the product master schema hold back what must not reach a kiosk."""

    ui_color = "#fef3c7"

    def stage(
        self, flow: CatalogueSync, request: CatalogueRequest, runtime: Runtime, context: Context
    ) -> Summary:
        """See :meth:`CatalogueSync.gate`."""
        return flow.gate(request)


class CloudshelfCataloguePushOperator(CatalogueOperator):
    """Bring what passed the gate to Cloudshelf, remove what is gone, close the run.

    One at a time, also when a backfill runs beside the schedule: of two pushes that send the same record at the same
    time nobody could say whose arrived last.
    """

    ui_color = "#dcfce7"
    writes = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_active_tis_per_dag": 1, **kwargs})

    def stage(
        self, flow: CatalogueSync, request: CatalogueRequest, runtime: Runtime, context: Context
    ) -> Summary:
        """See :meth:`CatalogueSync.push`."""
        return flow.push(request)


class CatalogueReportOperator(CatalogueOperator):
    """Write the report and the fix list of a run."""

    operator_extra_links: Collection[BaseOperatorLink] = (ReportLink(),)

    def stage(
        self, flow: CatalogueSync, request: CatalogueRequest, runtime: Runtime, context: Context
    ) -> Summary:
        """See :meth:`CatalogueSync.report`."""
        return flow.report(request)


class CatalogueVerdictOperator(CatalogueOperator, SkipMixin):
    """Record the audit's go or no-go. What follows (asking a person) runs only when an acceptance is needed.

    :param accept_findings: a reason given when the run was triggered: the findings are accepted beforehand, in the
        name of whoever triggered it. (templated)
    """

    template_fields: Sequence[str] = (*CatalogueOperator.template_fields, "accept_findings")
    ui_color = "#fce7f3"

    def __init__(self, *, accept_findings: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.accept_findings = accept_findings

    def stage(
        self, flow: CatalogueSync, request: CatalogueRequest, runtime: Runtime, context: Context
    ) -> Summary:
        """See :meth:`CatalogueSync.verdict`."""
        audit = flow.verdict(request)
        if not audit.is_clear and self.accept_findings:
            actor = context["dag_run"].triggering_user_name or "whoever triggered the run"
            audit = runtime.store.audits.accept(
                self.link, audit.id, actor=actor, note=str(self.accept_findings)
            )
        cleared = audit.is_clear or runtime.store.audits.clearance(self.link) is not None
        summary = {
            "audit": audit.id,
            "verdict": audit.verdict,
            "cleared": cleared,
            "findings": _findings(audit),
        }
        self.log.info("Audit %d of link '%s': %s.", audit.id, self.link, audit.verdict)
        if cleared:
            # Skipping ends the task there and then, so its result must be stored before.
            context["ti"].xcom_push(key="return_value", value=summary)
            self.skip(ti=context["ti"], tasks=list(self.get_direct_relatives()))
        return summary


class AcceptAuditOperator(BaseOperator):
    """Record that a person accepted an audit's findings, after the approval task before it.

    :param link: the link. (templated)
    :param audit: the audit's id. (templated)
    :param approval: XCom of the approval task: who answered, and the note. (templated)
    """

    template_fields: Sequence[str] = ("link", "audit", "approval")
    ui_color: str = "#fce7f3"

    def __init__(self, *, link: str, audit: int | str, approval: Summary | str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.link, self.audit, self.approval = link, audit, approval

    def execute(self, context: Context) -> Summary:
        """Accept the audit.

        :raises PermanentError: when the link has no such audit.
        """
        from cogent_ops.runtime import Runtime

        answer = self.approval if isinstance(self.approval, dict) else {}
        actor = who_answered(answer) or "a person in Airflow"
        note = str((answer.get("params_input") or {}).get("note") or "")
        audit = Runtime(self.link).store.audits.accept(self.link, int(self.audit), actor=actor, note=note)
        return {"audit": audit.id, "accepted_by": actor}


def _findings(audit: Audit) -> str:
    """An audit in Markdown, for the person who is asked."""
    counts = "\n".join(f"- {name.replace('_', ' ')}: {count}" for name, count in sorted(audit.counts.items()))
    return f"{counts}\n\nEvery finding, with owner and cure: {audit.report_path}"


def _listed(value: Sequence[str] | str) -> Sequence[str]:
    """SKUs as a list, also when a template or a form gave one text with commas."""
    return value.split(",") if isinstance(value, str) else value
