"""Tables of stock: orders as polled, their effects, movements, batches, positions, and what kiosks were told.

Revision 0002.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STRING = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
MOMENT = sa.DateTime(timezone=True)
IDENTITY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
LEVEL_DUE = "told IS NULL OR told <> wanted"
FLAG_DUE = (
    "told_in_stock IS NULL OR told_purchasable IS NULL "
    "OR told_in_stock <> in_stock OR told_purchasable <> purchasable"
)


def upgrade() -> None:
    """Create everything."""
    _orders()
    _movements()
    _batches()
    _availability()


def _string(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, STRING, nullable=nullable)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, MOMENT, nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=nullable)


def _flag(name: str, *, nullable: bool = False) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=nullable)


def _partial(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def _orders() -> None:
    op.create_table(
        "kiosk_order",
        _string("link"),
        _string("order_id"),
        _string("status"),
        _moment("modified_at"),
        sa.Column("content", sa.JSON(), nullable=False),
        _string("hash"),
        _flag("recheck"),
        _moment("first_seen"),
        _moment("last_seen"),
        sa.PrimaryKeyConstraint("link", "order_id", name="pk_kiosk_order"),
    )
    op.create_index("ix_kiosk_order_link_modified_at", "kiosk_order", ["link", "modified_at"])
    _partial("ix_kiosk_order_recheck", "kiosk_order", ["link"], "recheck")
    op.create_table(
        "order_effect",
        _string("link"),
        _string("order_id"),
        _string("sku"),
        _string("channel"),
        _number("quantity"),
        _number("revision"),
        _moment("updated_at"),
        sa.PrimaryKeyConstraint("link", "order_id", "sku", "channel", name="pk_order_effect"),
    )


def _movements() -> None:
    op.create_table(
        "movement",
        sa.Column("id", IDENTITY, primary_key=True),
        _string("link"),
        _string("project"),
        _string("sku"),
        _string("channel"),
        _number("delta", nullable=True),
        _number("counted", nullable=True),
        _string("source"),
        _string("source_id"),
        _string("reference"),
        _moment("occurred_at"),
        _moment("recorded_at"),
        _string("state"),
        _string("reason", nullable=True),
        _string("batch_id", nullable=True),
        _moment("settled_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_movement"),
        sa.UniqueConstraint("link", "source", "source_id", name="uq_movement_link_source_source_id"),
        sa.CheckConstraint(
            "state IN ('waiting', 'batched', 'applied', 'excluded', 'review')",
            name=op.f("ck_movement_state"),
        ),
        sa.CheckConstraint("(delta IS NULL) <> (counted IS NULL)", name=op.f("ck_movement_one_amount")),
    )
    op.create_index(
        "ix_movement_project_sku_channel_occurred_at",
        "movement",
        ["project", "sku", "channel", "occurred_at"],
    )
    op.create_index("ix_movement_batch_id", "movement", ["batch_id"])
    _partial(
        "ix_movement_open",
        "movement",
        ["project", "state", "sku", "channel"],
        "state IN ('waiting', 'review')",
    )


def _batches() -> None:
    op.create_table(
        "stock_batch",
        _string("id"),
        _string("project"),
        _string("sku"),
        _string("channel"),
        _number("delta", nullable=True),
        _string("state"),
        _string("owner"),
        sa.Column("lease_until", sa.Double(), nullable=False),
        sa.Column("retry_at", sa.Double(), nullable=False),
        _number("attempts"),
        _string("entry_id", nullable=True),
        _number("quantity_before", nullable=True),
        _number("quantity_after", nullable=True),
        _number("available_after", nullable=True),
        _string("error", nullable=True),
        _moment("created_at"),
        _moment("settled_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_stock_batch"),
        sa.CheckConstraint("state IN ('open', 'parked', 'applied')", name=op.f("ck_stock_batch_state")),
    )
    _partial(
        "uq_stock_batch_in_flight",
        "stock_batch",
        ["project", "sku", "channel"],
        "state <> 'applied'",
        unique=True,
    )
    op.create_table(
        "stock_position",
        _string("project"),
        _string("sku"),
        _string("channel"),
        _string("entry_id"),
        sa.Column("version", sa.BigInteger(), nullable=False),
        _number("on_stock"),
        _number("available"),
        _string("batch_id", nullable=True),
        _moment("counted_at", nullable=True),
        _number("counted", nullable=True),
        _moment("read_at"),
        sa.PrimaryKeyConstraint("project", "sku", "channel", name="pk_stock_position"),
    )


def _availability() -> None:
    op.create_table(
        "stock_level",
        _string("link"),
        _string("sku"),
        _string("channel"),
        _number("wanted"),
        _number("told", nullable=True),
        _moment("wanted_at"),
        _moment("told_at", nullable=True),
        _moment("due_at"),
        _number("refusals"),
        _string("batch", nullable=True),
        sa.PrimaryKeyConstraint("link", "sku", "channel", name="pk_stock_level"),
    )
    _partial("ix_stock_level_due", "stock_level", ["link", "due_at"], LEVEL_DUE)
    op.create_table(
        "variant_flag",
        _string("link"),
        _string("sku"),
        _string("product_id"),
        _flag("in_stock"),
        _flag("purchasable"),
        _flag("told_in_stock", nullable=True),
        _flag("told_purchasable", nullable=True),
        _flag("back_order"),
        _moment("wanted_at"),
        _moment("told_at", nullable=True),
        _moment("due_at"),
        _number("refusals"),
        _moment("read_due"),
        _string("holder", nullable=True),
        _moment("held_until", nullable=True),
        sa.PrimaryKeyConstraint("link", "sku", name="pk_variant_flag"),
    )
    op.create_index("ix_variant_flag_link_read_due", "variant_flag", ["link", "read_due"])
    _partial("ix_variant_flag_due", "variant_flag", ["link", "due_at"], FLAG_DUE)
