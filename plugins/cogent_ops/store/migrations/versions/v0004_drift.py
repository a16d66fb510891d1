"""What nights of comparison found, and what was mended.

Revision 0004.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STRING = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
MOMENT = sa.DateTime(timezone=True)
IDENTITY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON(none_as_null=True)


def upgrade() -> None:
    """Create everything; the first night begins with it."""
    _nights()
    _findings()


def _string(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, STRING, nullable=nullable)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, MOMENT, nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _nights() -> None:
    op.create_table(
        "drift_night",
        _string("link"),
        _string("night"),
        _string("run_key"),
        _string("state"),
        sa.Column("backfilled", sa.Boolean(), nullable=False),
        _number("checked"),
        sa.Column("counts", JSON, nullable=False),
        _string("report_path", nullable=True),
        _moment("started_at"),
        _moment("finished_at", nullable=True),
        sa.PrimaryKeyConstraint("link", "night", name="pk_drift_night"),
        sa.CheckConstraint("state IN ('running', 'done')", name=op.f("ck_drift_night_state")),
    )
    op.create_table(
        "drift_total",
        _string("link"),
        _string("night"),
        _string("area"),
        _string("cause"),
        _string("currency"),
        sa.Column("findings", sa.Integer(), nullable=False),
        _number("units"),
        _number("amount"),
        sa.PrimaryKeyConstraint("link", "night", "area", "cause", "currency", name="pk_drift_total"),
    )


def _findings() -> None:
    op.create_table(
        "drift_finding",
        sa.Column("id", IDENTITY, nullable=False),
        *(_string(name) for name in ("link", "night", "area", "cause", "subject", "message")),
        sa.Column("evidence", JSON, nullable=False),
        _string("owner"),
        _string("action"),
        _number("units"),
        _number("amount", nullable=True),
        _string("currency", nullable=True),
        _string("place"),
        _string("reference"),
        sa.Column("heal", sa.Integer(), nullable=True),
        _string("state"),
        _string("decided_by", nullable=True),
        _string("outcome", nullable=True),
        _moment("created_at"),
        _moment("updated_at"),
        sa.PrimaryKeyConstraint("id", name="pk_drift_finding"),
        sa.UniqueConstraint(
            "link", "night", "area", "cause", "subject", name="uq_drift_finding_link_night_area_cause_subject"
        ),
        sa.CheckConstraint(
            "state IN ('reported', 'proposed', 'healing', 'verified', 'returned', 'declined', 'overtaken')",
            name=op.f("ck_drift_finding_state"),
        ),
    )
    op.create_index(
        "ix_drift_finding_link_area_subject_night", "drift_finding", ["link", "area", "subject", "night"]
    )
    op.create_index("ix_drift_finding_link_state", "drift_finding", ["link", "state"])
