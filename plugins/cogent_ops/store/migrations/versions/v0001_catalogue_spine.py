"""Tables of the catalogue flow: progress, SKUs, product states, runs, audits, exceptions and rate budgets.

Revision 0001. The types are spelled out here instead of taken from the schema module, which may change.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STRING = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
MOMENT = sa.DateTime(timezone=True)
IDENTITY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create everything."""
    _progress()
    _catalogue()
    _runs_and_audits()
    _exceptions()
    _rate_budgets()


def _string(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, STRING, nullable=nullable)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, MOMENT, nullable=nullable)


def _json(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.JSON(), nullable=False)


def _identity() -> sa.Column[int]:
    return sa.Column("id", IDENTITY, primary_key=True)


def _progress() -> None:
    op.create_table(
        "watermark",
        _string("link"),
        _string("flow"),
        _moment("value"),
        _moment("updated_at"),
        sa.PrimaryKeyConstraint("link", "flow", name="pk_watermark"),
    )
    op.create_table(
        "fingerprint",
        _string("link"),
        _string("kind"),
        _string("id"),
        _string("hash"),
        _string("run_key"),
        _moment("updated_at"),
        sa.PrimaryKeyConstraint("link", "kind", "id", name="pk_fingerprint"),
    )


def _catalogue() -> None:
    op.create_table(
        "sku_registry",
        _string("link"),
        _string("product_id"),
        sa.Column("variant_id", sa.Integer(), nullable=False),
        _string("sku"),
        _string("folded"),
        _string("previous_sku", nullable=True),
        _string("run_key"),
        _moment("updated_at"),
        sa.PrimaryKeyConstraint("link", "product_id", "variant_id", name="pk_sku_registry"),
    )
    op.create_index("ix_sku_registry_link_sku", "sku_registry", ["link", "sku"])
    op.create_index("ix_sku_registry_link_folded", "sku_registry", ["link", "folded"])
    op.create_table(
        "product_state",
        _string("link"),
        _string("product_id"),
        _string("product_key"),
        _string("product_name"),
        sa.Column("version", sa.BigInteger(), nullable=False),
        _moment("modified_at"),
        _string("status"),
        sa.Column("on_kiosk", sa.Boolean(), nullable=False),
        sa.Column("recheck", sa.Boolean(), nullable=False),
        _json("skus"),
        _string("run_key"),
        _moment("updated_at"),
        sa.PrimaryKeyConstraint("link", "product_id", name="pk_product_state"),
        sa.CheckConstraint("status IN ('pushed', 'partial', 'held')", name=op.f("ck_product_state_status")),
    )
    op.create_table(
        "group_member",
        _string("link"),
        _string("group_id"),
        _string("product_id"),
        _string("order_hint", nullable=True),
        sa.PrimaryKeyConstraint("link", "group_id", "product_id", name="pk_group_member"),
        sa.ForeignKeyConstraint(
            ["link", "product_id"],
            ["product_state.link", "product_state.product_id"],
            name="fk_group_member_product_state",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_group_member_link_product_id", "group_member", ["link", "product_id"])


def _runs_and_audits() -> None:
    op.create_table(
        "sync_run",
        _identity(),
        _string("link"),
        _string("flow"),
        _string("run_key"),
        _string("mode"),
        _moment("window_start", nullable=True),
        _moment("window_end", nullable=True),
        _json("params"),
        _string("status"),
        sa.Column("attempts", sa.Integer(), nullable=False),
        _json("counts"),
        _string("report_path", nullable=True),
        _moment("started_at"),
        _moment("finished_at", nullable=True),
        sa.UniqueConstraint("link", "flow", "run_key", name="uq_sync_run_link_flow_run_key"),
    )
    op.create_table(
        "catalogue_audit",
        _identity(),
        _string("link"),
        _string("run_key"),
        _string("verdict"),
        _json("counts"),
        _string("report_path", nullable=True),
        _moment("created_at"),
        _moment("accepted_at", nullable=True),
        _string("accepted_by", nullable=True),
        _string("note", nullable=True),
        sa.UniqueConstraint("link", "run_key", name="uq_catalogue_audit_link_run_key"),
        sa.CheckConstraint("verdict IN ('go', 'no_go')", name=op.f("ck_catalogue_audit_verdict")),
    )
    op.create_table(
        "audit_log",
        _identity(),
        _moment("at"),
        _string("link", nullable=True),
        _string("actor"),
        _string("action"),
        _string("subject"),
        _json("detail"),
    )
    op.create_index("ix_audit_log_subject", "audit_log", ["subject"])


def _exceptions() -> None:
    op.create_table(
        "exception",
        _identity(),
        _string("link"),
        _string("kind"),
        _string("cause_key"),
        _string("record"),
        _string("field"),
        _string("rule"),
        _string("message"),
        _string("cure"),
        _string("owner"),
        _string("severity"),
        _string("status"),
        _moment("deadline", nullable=True),
        sa.Column("count", sa.Integer(), nullable=False),
        _moment("first_seen"),
        _moment("last_seen"),
        _moment("resolved_at", nullable=True),
        _json("payload"),
        _string("run_key"),
        sa.UniqueConstraint("link", "kind", "cause_key", name="uq_exception_link_kind_cause_key"),
        sa.CheckConstraint(
            "status IN ('new', 'acknowledged', 'in_progress', 'fixed', 'expected', 'rejected')",
            name=op.f("ck_exception_status"),
        ),
    )
    op.create_index("ix_exception_link_status_kind", "exception", ["link", "status", "kind"])


def _rate_budgets() -> None:
    op.create_table(
        "rate_budget",
        _string("target"),
        *(
            sa.Column(name, sa.Double(), nullable=False)
            for name in ("tokens", "refilled_at", "factor", "cut_at", "blocked_until")
        ),
        sa.PrimaryKeyConstraint("target", name="pk_rate_budget"),
    )
