"""Verdicts about a link's whole catalogue: go, no-go, or accepted by a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, or_, select, update

from cogent_ops.errors import PermanentError
from cogent_ops.store.engine import Database
from cogent_ops.store.ledger import AuditLog
from cogent_ops.store.schema import catalogue_audit
from cogent_ops.store.sql import now, upsert

Verdict = Literal["go", "no_go"]


@dataclass(frozen=True)
class Audit:
    """One audit of a link's catalogue; the last three fields are filled when a person accepts it."""

    id: int
    link: str
    run_key: str
    verdict: Verdict
    counts: Mapping[str, Any]
    report_path: str | None
    created_at: datetime
    accepted_at: datetime | None
    accepted_by: str | None
    note: str | None

    @property
    def is_clear(self) -> bool:
        """Whether pushes may begin after it."""
        return self.verdict == "go" or self.accepted_at is not None


class Audits:
    """Audits of all links."""

    def __init__(self, database: Database, audit_log: AuditLog) -> None:
        self._database, self._log = database, audit_log

    def record(
        self,
        link: str,
        run_key: str,
        *,
        verdict: Verdict,
        counts: Mapping[str, Any],
        report_path: str | None = None,
    ) -> Audit:
        """Note a verdict; the same run's verdict is replaced, an acceptance of it stays."""
        row = {
            "link": link,
            "run_key": run_key,
            "verdict": verdict,
            "counts": dict(counts),
            "report_path": report_path,
            "created_at": now(),
        }
        with self._database.begin() as conn:
            upsert(conn, catalogue_audit, [row], key=("link", "run_key"), fixed=("created_at",))
        return self._one(catalogue_audit.c.link == link, catalogue_audit.c.run_key == run_key)

    def accept(self, link: str, audit_id: int, *, actor: str, note: str) -> Audit:
        """Note that a person accepts an audit's findings; a second acceptance changes nothing.

        :raises PermanentError: when the link has no such audit.
        """
        a = catalogue_audit.c
        accepting = (
            update(catalogue_audit)
            .where(a.link == link, a.id == audit_id, a.accepted_at.is_(None))
            .values(accepted_at=now(), accepted_by=actor, note=note)
        )
        with self._database.begin() as conn:
            if conn.execute(accepting).rowcount:
                detail = {"audit_id": audit_id, "note": note}
                self._log.write(actor, "accept_audit", f"audit/{audit_id}", detail, link=link, conn=conn)
        return self._one(a.link == link, a.id == audit_id)

    def clearance(self, link: str) -> Audit | None:
        """The latest audit that passed or was accepted; while there is none, nothing may be pushed."""
        a = catalogue_audit.c
        return self._latest(a.link == link, or_(a.verdict == "go", a.accepted_at.is_not(None)))

    def latest(self, link: str) -> Audit | None:
        """The latest audit, whatever its verdict."""
        return self._latest(catalogue_audit.c.link == link)

    def recent(self, link: str | None = None, *, limit: int = 20) -> list[Audit]:
        """Audits, the youngest first."""
        return self._select(*([] if link is None else [catalogue_audit.c.link == link]), limit=limit)

    def _one(self, *where: ColumnElement[bool]) -> Audit:
        audit = self._latest(*where)
        if audit is None:
            raise PermanentError(
                "There is no such audit for this link. List them with 'cogent-ops audit list'."
            )
        return audit

    def _latest(self, *where: ColumnElement[bool]) -> Audit | None:
        return next(iter(self._select(*where, limit=1)), None)

    def _select(self, *where: ColumnElement[bool], limit: int) -> list[Audit]:
        query = select(catalogue_audit).where(*where).order_by(catalogue_audit.c.id.desc()).limit(limit)
        with self._database.read() as conn:
            return [Audit(**row._mapping) for row in conn.execute(query)]
