"""Kiosk orders in commercetools, what people decide about exceptions, and messages to people.

Revision 0003.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STRING = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
MOMENT = sa.DateTime(timezone=True)
IDENTITY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create everything; orders that were polled before are looked at by the next run."""
    _exceptions()
    _captures()
    _alerts()


def _string(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, STRING, nullable=nullable)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, MOMENT, nullable=nullable)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False)


def _exceptions() -> None:
    for column in (
        sa.Column("cause_group", STRING, nullable=False, server_default=""),
        sa.Column("place", STRING, nullable=False, server_default=""),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        _string("currency", nullable=True),
        sa.Column("replays", sa.Integer(), nullable=False, server_default="0"),
        _string("outcome", nullable=True),
        _moment("opened_at", nullable=True),
        _moment("acknowledged_at", nullable=True),
        _moment("alerted_at", nullable=True),
        _moment("escalated_at", nullable=True),
        _string("asked_by", nullable=True),
        _moment("asked_at", nullable=True),
    ):
        op.add_column("exception", column)
    # What was open before has been shown already.
    op.execute("UPDATE exception SET opened_at = first_seen, alerted_at = last_seen, cause_group = cause_key")


def _captures() -> None:
    op.create_table(
        "order_capture",
        _string("link"),
        _string("order_id"),
        _string("order_number"),
        _string("status"),
        _string("state"),
        _string("reason", nullable=True),
        _moment("due_at", nullable=True),
        _string("owner", nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=False),
        _number("attempts"),
        _number("revision"),
        _string("draft_hash", nullable=True),
        _string("origin", nullable=True),
        _string("ct_order_id", nullable=True),
        _string("payment_id", nullable=True),
        _string("captured_status", nullable=True),
        _string("shop_status", nullable=True),
        _string("told_status", nullable=True),
        _string("told_id", nullable=True),
        _moment("tell_at", nullable=True),
        _number("tell_attempts"),
        _string("place"),
        _string("currency", nullable=True),
        sa.Column("total", sa.BigInteger(), nullable=True),
        _number("units"),
        sa.Column("edits", sa.JSON(none_as_null=True), nullable=False),
        _string("decided_by", nullable=True),
        _moment("ordered_at"),
        _moment("changed_at"),
        _moment("confirmed_at", nullable=True),
        _moment("captured_at", nullable=True),
        _moment("updated_at"),
        sa.PrimaryKeyConstraint("link", "order_id", name="pk_order_capture"),
        sa.CheckConstraint(
            "state IN ('waiting', 'sending', 'captured', 'review', 'excluded')",
            name=op.f("ck_order_capture_state"),
        ),
        sa.CheckConstraint("origin IN ('kiosk', 'shop', 'hand')", name=op.f("ck_order_capture_origin")),
    )
    op.create_index("ix_order_capture_link_order_number", "order_capture", ["link", "order_number"])
    op.create_index("ix_order_capture_link_ct_order_id", "order_capture", ["link", "ct_order_id"])
    op.create_index("ix_order_capture_link_ordered_at", "order_capture", ["link", "ordered_at"])
    for name, column in (("ix_order_capture_due", "due_at"), ("ix_order_capture_tell", "tell_at")):
        condition = sa.text(f"{column} IS NOT NULL")
        op.create_index(
            name,
            "order_capture",
            ["link", column],
            sqlite_where=condition,
            postgresql_where=condition,
        )
    op.create_table(
        "order_contact",
        _string("link"),
        _string("order_id"),
        _string("email"),
        _moment("updated_at"),
        sa.PrimaryKeyConstraint("link", "order_id", name="pk_order_contact"),
    )
    op.create_index("ix_order_contact_updated_at", "order_contact", ["updated_at"])


def _alerts() -> None:
    op.create_table(
        "alert",
        sa.Column("id", IDENTITY, nullable=False),
        _string("link"),
        _string("channel"),
        _string("kind"),
        _string("cause_group"),
        _string("urgency"),
        sa.Column("exceptions", sa.JSON(none_as_null=True), nullable=False),
        _string("subject"),
        _string("body"),
        _string("state"),
        _number("attempts"),
        _moment("due_at"),
        _string("error", nullable=True),
        _moment("created_at"),
        _moment("sent_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_alert"),
        sa.CheckConstraint("state IN ('waiting', 'sent', 'obsolete')", name=op.f("ck_alert_state")),
    )
    op.create_index("ix_alert_link_state_due_at", "alert", ["link", "state", "due_at"])
    op.create_index("ix_alert_link_created_at", "alert", ["link", "created_at"])
    op.create_table(
        "silence",
        sa.Column("id", IDENTITY, nullable=False),
        _string("link"),
        _string("kind"),
        _string("cause_group"),
        _string("reason"),
        _string("actor"),
        _moment("created_at"),
        _moment("until"),
        sa.PrimaryKeyConstraint("id", name="pk_silence"),
    )
    op.create_index("ix_silence_link_until", "silence", ["link", "until"])
