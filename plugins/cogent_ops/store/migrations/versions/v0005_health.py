"""Sync health: what checks found, sources outside and their gaps, protection while late, and indexes to measure by.

Revision 0005.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STRING = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
MOMENT = sa.DateTime(timezone=True)
IDENTITY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON(none_as_null=True)


def upgrade() -> None:
    """Create tables and indexes; what was measured begins with it."""
    op.add_column("rate_budget", sa.Column("used", sa.Double(), nullable=False, server_default="0"))
    op.add_column("variant_flag", sa.Column("counted", JSON, nullable=True))
    op.create_index("ix_movement_project_settled_at", "movement", ["project", "settled_at"])
    op.create_index("ix_movement_link_occurred_at", "movement", ["link", "occurred_at"])
    op.create_index("ix_stock_level_link_told_at", "stock_level", ["link", "told_at"])
    op.create_index("ix_order_capture_link_captured_at", "order_capture", ["link", "captured_at"])
    op.create_index("ix_audit_log_link_at", "audit_log", ["link", "at"])
    _checks()
    _gaps()
    _protection()
    _lives()


def _string(name: str) -> sa.Column[str]:
    return sa.Column(name, STRING, nullable=False)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, MOMENT, nullable=nullable)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False)


def _real(name: str, *, nullable: bool = False) -> sa.Column[float]:
    return sa.Column(name, sa.Double(), nullable=nullable)


def _checks() -> None:
    op.create_table(
        "health_state",
        _string("link"),
        _moment("checked_at"),
        _string("run_key"),
        sa.Column("content", JSON, nullable=False),
        sa.PrimaryKeyConstraint("link", name="pk_health_state"),
    )
    op.create_table(
        "health_sample",
        _string("link"),
        _string("flow"),
        _moment("at"),
        _real("age", nullable=True),
        _real("target"),
        _real("p50", nullable=True),
        _real("p95", nullable=True),
        _number("waiting"),
        _number("done"),
        _string("state"),
        sa.PrimaryKeyConstraint("link", "flow", "at", name="pk_health_sample"),
        sa.CheckConstraint(
            "state IN ('good', 'late', 'bad', 'unknown')", name=op.f("ck_health_sample_state")
        ),
    )


def _gaps() -> None:
    op.create_table(
        "health_gap",
        sa.Column("id", IDENTITY, nullable=False),
        *(_string(name) for name in ("link", "source", "name")),
        _moment("began_at"),
        *(_moment(name, nullable=True) for name in ("ended_at", "replayed_at", "reconciled_at")),
        sa.Column("detail", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_health_gap"),
        sa.CheckConstraint("source IN ('subscription', 'messages')", name=op.f("ck_health_gap_source")),
    )
    op.create_index("ix_health_gap_link_began_at", "health_gap", ["link", "began_at"])
    op.create_table(
        "health_source",
        *(_string(name) for name in ("link", "source", "name", "status", "reference")),
        _moment("healthy_at", nullable=True),
        _moment("looked_at"),
        sa.PrimaryKeyConstraint("link", "source", "name", name="pk_health_source"),
    )
    is_open = sa.text("reconciled_at IS NULL")
    op.create_index(
        "uq_health_gap_open",
        "health_gap",
        ["link", "source", "name"],
        unique=True,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )


def _protection() -> None:
    op.create_table(
        "protection",
        *(_string(name) for name in ("link", "sku", "channel")),
        *(_number(name) for name in ("buffer", "most", "pending", "expected", "reserved")),
        sa.Column("ending", sa.Boolean(), nullable=False),
        _moment("since"),
        _moment("updated_at"),
        sa.PrimaryKeyConstraint("link", "sku", "channel", name="pk_protection"),
    )


def _lives() -> None:
    texts = (
        "link",
        "kind",
        "cause_key",
        "cause_group",
        "record",
        "message",
        "owner",
        "severity",
        "status",
        "place",
    )
    moments = ("deadline", "alerted_at", "escalated_at", "acknowledged_at")
    op.create_table(
        "exception_past",
        sa.Column("exception_id", sa.BigInteger(), nullable=False),
        _moment("opened_at"),
        *(_string(name) for name in texts),
        *(_moment(name, nullable=True) for name in moments),
        _moment("resolved_at"),
        sa.PrimaryKeyConstraint("exception_id", "opened_at", name="pk_exception_past"),
        sa.CheckConstraint(
            "status IN ('fixed', 'expected', 'rejected')", name=op.f("ck_exception_past_status")
        ),
    )
    op.create_index("ix_exception_past_link_resolved_at", "exception_past", ["link", "resolved_at"])
