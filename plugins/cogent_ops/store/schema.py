"""Tables of the store. Everything is keyed by link; two links share nothing here but the rate budgets.

A change here needs a migration in ``migrations/versions``; a test compares the two on both databases.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import postgresql

from cogent_ops.domain.text import writable


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. SQLite gives back naive times, PostgreSQL those of the session's zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a naive time: nobody could say which moment it means."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("The store takes timezone-aware times only.")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Attach UTC, or convert to it."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class SafeText(TypeDecorator[str]):
    """Text that both databases accept and order alike (by code point).

    Catalogue data may hold what a database refuses (NUL, halves of surrogate pairs); a dirty record must be
    reported, not break the run that reports it, so these become U+FFFD.
    """

    impl = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace what the database cannot hold; a member of a string enumeration becomes its plain value."""
        if value is None:
            return None
        text = str(value)
        if text.isascii() and "\0" not in text:
            return text
        return writable(text.replace("\0", "\ufffd"))


#: JSON as text: unlike ``jsonb`` it keeps every escape that dirty data may hold.
Json = JSON(none_as_null=True)
Identity = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def _key(name: str) -> Column[str]:
    return Column(name, SafeText, primary_key=True)


def _text(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, SafeText, nullable=nullable)


def _time(name: str, *, nullable: bool = False) -> Column[datetime]:
    return Column(name, UtcDateTime, nullable=nullable)


watermark = Table(
    "watermark",
    metadata,
    _key("link"),
    _key("flow"),
    _time("value"),
    _time("updated_at"),
)

fingerprint = Table(
    "fingerprint",
    metadata,
    _key("link"),
    _key("kind"),
    _key("id"),
    _text("hash"),
    _text("run_key"),
    _time("updated_at"),
)

#: Which SKU each variant carries, and carried before the run that saw it last.
sku_registry = Table(
    "sku_registry",
    metadata,
    _key("link"),
    _key("product_id"),
    Column("variant_id", Integer, primary_key=True, autoincrement=False),
    _text("sku"),
    _text("folded"),
    _text("previous_sku", nullable=True),
    _text("run_key"),
    _time("updated_at"),
    Index(None, "link", "sku"),
    Index(None, "link", "folded"),
)

#: What the kiosk shows of each product, and the last verdict about it.
product_state = Table(
    "product_state",
    metadata,
    _key("link"),
    _key("product_id"),
    _text("product_key"),
    _text("product_name"),
    Column("version", BigInteger, nullable=False),
    _time("modified_at"),
    _text("status"),
    Column("on_kiosk", Boolean, nullable=False),
    Column("recheck", Boolean, nullable=False),
    Column("skus", Json, nullable=False),
    _text("run_key"),
    _time("updated_at"),
    CheckConstraint("status IN ('pushed', 'partial', 'held')", name="status"),
)

group_member = Table(
    "group_member",
    metadata,
    _key("link"),
    _key("group_id"),
    _key("product_id"),
    _text("order_hint", nullable=True),
    ForeignKeyConstraint(
        ["link", "product_id"], ["product_state.link", "product_state.product_id"], ondelete="CASCADE"
    ),
    Index(None, "link", "product_id"),
)

sync_run = Table(
    "sync_run",
    metadata,
    Column("id", Identity, primary_key=True),
    _text("link"),
    _text("flow"),
    _text("run_key"),
    _text("mode"),
    _time("window_start", nullable=True),
    _time("window_end", nullable=True),
    Column("params", Json, nullable=False),
    _text("status"),
    Column("attempts", Integer, nullable=False),
    Column("counts", Json, nullable=False),
    _text("report_path", nullable=True),
    _time("started_at"),
    _time("finished_at", nullable=True),
    UniqueConstraint("link", "flow", "run_key"),
)

catalogue_audit = Table(
    "catalogue_audit",
    metadata,
    Column("id", Identity, primary_key=True),
    _text("link"),
    _text("run_key"),
    _text("verdict"),
    Column("counts", Json, nullable=False),
    _text("report_path", nullable=True),
    _time("created_at"),
    _time("accepted_at", nullable=True),
    _text("accepted_by", nullable=True),
    _text("note", nullable=True),
    UniqueConstraint("link", "run_key"),
    CheckConstraint("verdict IN ('go', 'no_go')", name="verdict"),
)

exception = Table(
    "exception",
    metadata,
    Column("id", Identity, primary_key=True),
    _text("link"),
    _text("kind"),
    _text("cause_key"),
    _text("record"),
    _text("field"),
    _text("rule"),
    _text("message"),
    _text("cure"),
    _text("owner"),
    _text("severity"),
    _text("status"),
    _time("deadline", nullable=True),
    Column("count", Integer, nullable=False),
    _time("first_seen"),
    _time("last_seen"),
    _time("resolved_at", nullable=True),
    Column("payload", Json, nullable=False),
    _text("run_key"),
    # What alerts and decisions in bulk put together: equal for exceptions that one deed would cure.
    Column("cause_group", SafeText, nullable=False, server_default=""),
    Column("place", SafeText, nullable=False, server_default=""),
    Column("amount", BigInteger, nullable=True),
    _text("currency", nullable=True),
    Column("replays", Integer, nullable=False, server_default="0"),
    _text("outcome", nullable=True),
    _time("opened_at", nullable=True),
    _time("acknowledged_at", nullable=True),
    _time("alerted_at", nullable=True),
    _time("escalated_at", nullable=True),
    _text("asked_by", nullable=True),
    _time("asked_at", nullable=True),
    UniqueConstraint("link", "kind", "cause_key"),
    Index(None, "link", "status", "kind"),
    CheckConstraint(
        "status IN ('new', 'acknowledged', 'in_progress', 'fixed', 'expected', 'rejected')", name="status"
    ),
)

#: Lives of exceptions that came back: what was said and done until the cause was gone, or until a person decided.
exception_past = Table(
    "exception_past",
    metadata,
    Column("exception_id", BigInteger, primary_key=True),
    Column("opened_at", UtcDateTime, primary_key=True),
    _text("link"),
    _text("kind"),
    _text("cause_key"),
    _text("cause_group"),
    _text("record"),
    _text("message"),
    _text("owner"),
    _text("severity"),
    _text("status"),
    _text("place"),
    _time("deadline", nullable=True),
    _time("alerted_at", nullable=True),
    _time("escalated_at", nullable=True),
    _time("acknowledged_at", nullable=True),
    _time("resolved_at"),
    Index(None, "link", "resolved_at"),
    CheckConstraint("status IN ('fixed', 'expected', 'rejected')", name="status"),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", Identity, primary_key=True),
    _time("at"),
    _text("link", nullable=True),
    _text("actor"),
    _text("action"),
    _text("subject"),
    Column("detail", Json, nullable=False),
    Index(None, "subject"),
    Index(None, "link", "at"),
)

#: One token bucket per target API, in seconds since 1970 UTC by the database's clock. See ``budget``.
rate_budget = Table(
    "rate_budget",
    metadata,
    _key("target"),
    Column("tokens", Double, nullable=False),
    Column("refilled_at", Double, nullable=False),
    Column("factor", Double, nullable=False),
    Column("cut_at", Double, nullable=False),
    Column("blocked_until", Double, nullable=False),
    # Tokens that were ever taken: two readings say how much of the rate was used between them.
    Column("used", Double, nullable=False, server_default="0"),
)

#: Every Cloudshelf order as the last poll read it: stock movements and order capture both live from it.
kiosk_order = Table(
    "kiosk_order",
    metadata,
    _key("link"),
    _key("order_id"),
    _text("status"),
    _time("modified_at"),
    Column("content", Json, nullable=False),
    _text("hash"),
    Column("recheck", Boolean, nullable=False),
    _time("first_seen"),
    _time("last_seen"),
    Index(None, "link", "modified_at"),
    Index(
        "ix_kiosk_order_recheck",
        "link",
        sqlite_where=text("recheck"),
        postgresql_where=text("recheck"),
    ),
)

#: What an order has done to stock so far, in signed units over all its lines (two sold: -2).
order_effect = Table(
    "order_effect",
    metadata,
    _key("link"),
    _key("order_id"),
    _key("sku"),
    _key("channel"),
    Column("quantity", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    _time("updated_at"),
)

#: The inbox of stock. A channel is the supply Channel's key; the empty text is the pool without Channel.
movement = Table(
    "movement",
    metadata,
    Column("id", Identity, primary_key=True),
    _text("link"),
    _text("project"),
    _text("sku"),
    _text("channel"),
    Column("delta", Integer, nullable=True),
    Column("counted", Integer, nullable=True),
    _text("source"),
    _text("source_id"),
    _text("reference"),
    _time("occurred_at"),
    _time("recorded_at"),
    _text("state"),
    _text("reason", nullable=True),
    _text("batch_id", nullable=True),
    _time("settled_at", nullable=True),
    UniqueConstraint("link", "source", "source_id"),
    Index(None, "project", "sku", "channel", "occurred_at"),
    Index(None, "batch_id"),
    Index(None, "project", "settled_at"),
    Index(None, "link", "occurred_at"),
    Index(
        "ix_movement_open",
        "project",
        "state",
        "sku",
        "channel",
        sqlite_where=text("state IN ('waiting', 'review')"),
        postgresql_where=text("state IN ('waiting', 'review')"),
    ),
    CheckConstraint("state IN ('waiting', 'batched', 'applied', 'excluded', 'review')", name="state"),
    CheckConstraint("(delta IS NULL) <> (counted IS NULL)", name="one_amount"),
)

#: Write-ahead of what is about to be sent: one row per change of an inventory entry. Times in seconds since 1970.
stock_batch = Table(
    "stock_batch",
    metadata,
    _key("id"),
    _text("project"),
    _text("sku"),
    _text("channel"),
    Column("delta", Integer, nullable=True),
    _text("state"),
    _text("owner"),
    Column("lease_until", Double, nullable=False),
    Column("retry_at", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    _text("entry_id", nullable=True),
    Column("quantity_before", Integer, nullable=True),
    Column("quantity_after", Integer, nullable=True),
    Column("available_after", Integer, nullable=True),
    _text("error", nullable=True),
    _time("created_at"),
    _time("settled_at", nullable=True),
    # Who inserts first owns the entry: never two changes of one entry in flight.
    Index(
        "uq_stock_batch_in_flight",
        "project",
        "sku",
        "channel",
        unique=True,
        sqlite_where=text("state <> 'applied'"),
        postgresql_where=text("state <> 'applied'"),
    ),
    CheckConstraint("state IN ('open', 'parked', 'applied')", name="state"),
)

#: What commercetools said last of an inventory entry, and the count that its stock rests on.
stock_position = Table(
    "stock_position",
    metadata,
    _key("project"),
    _key("sku"),
    _key("channel"),
    _text("entry_id"),
    Column("version", BigInteger, nullable=False),
    Column("on_stock", Integer, nullable=False),
    Column("available", Integer, nullable=False),
    _text("batch_id", nullable=True),
    _time("counted_at", nullable=True),
    Column("counted", Integer, nullable=True),
    _time("read_at"),
)

#: What kiosks should be told of a variant at a location, and were told last. The latest wish replaces older ones.
stock_level = Table(
    "stock_level",
    metadata,
    _key("link"),
    _key("sku"),
    _key("channel"),
    Column("wanted", Integer, nullable=False),
    Column("told", Integer, nullable=True),
    _time("wanted_at"),
    _time("told_at", nullable=True),
    _time("due_at"),
    Column("refusals", Integer, nullable=False),
    _text("batch", nullable=True),
    Index(None, "link", "told_at"),
    Index(
        "ix_stock_level_due",
        "link",
        "due_at",
        sqlite_where=text("told IS NULL OR told <> wanted"),
        postgresql_where=text("told IS NULL OR told <> wanted"),
    ),
)

#: The same for a variant's own two flags; a row for each variant that kiosks show. The catalogue flow and this one
#: both write variants, so whoever sends holds the row. ``counted``: what its inventory entries held when they were read
#: last, see ``cogent_ops.domain.availability.Counted``; NULL: they were never read.
variant_flag = Table(
    "variant_flag",
    metadata,
    _key("link"),
    _key("sku"),
    _text("product_id"),
    Column("in_stock", Boolean, nullable=False),
    Column("purchasable", Boolean, nullable=False),
    Column("told_in_stock", Boolean, nullable=True),
    Column("told_purchasable", Boolean, nullable=True),
    Column("back_order", Boolean, nullable=False),
    _time("wanted_at"),
    _time("told_at", nullable=True),
    _time("due_at"),
    Column("refusals", Integer, nullable=False),
    _time("read_due"),
    Column("counted", Json, nullable=True),
    _text("holder", nullable=True),
    _time("held_until", nullable=True),
    Index(None, "link", "read_due"),
    Index(
        "ix_variant_flag_due",
        "link",
        "due_at",
        sqlite_where=text(
            "told_in_stock IS NULL OR told_purchasable IS NULL "
            "OR told_in_stock <> in_stock OR told_purchasable <> purchasable"
        ),
        postgresql_where=text(
            "told_in_stock IS NULL OR told_purchasable IS NULL "
            "OR told_in_stock <> in_stock OR told_purchasable <> purchasable"
        ),
    ),
)

#: What becomes of each kiosk order in commercetools, and what Cloudshelf was told of it.
#: ``due_at``: when to look at it next; NULL: when it changes. Leases in seconds since 1970. Money in minor units.
order_capture = Table(
    "order_capture",
    metadata,
    _key("link"),
    _key("order_id"),
    _text("order_number"),
    _text("status"),
    _text("state"),
    _text("reason", nullable=True),
    _time("due_at", nullable=True),
    _text("owner", nullable=True),
    Column("lease_until", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    # Grows with every change of the order and every word of a person.
    Column("revision", Integer, nullable=False),
    # Written ahead of the import: what was about to be sent.
    _text("draft_hash", nullable=True),
    _text("origin", nullable=True),
    _text("ct_order_id", nullable=True),
    _text("payment_id", nullable=True),
    _text("captured_status", nullable=True),
    _text("shop_status", nullable=True),
    _text("told_status", nullable=True),
    _text("told_id", nullable=True),
    _time("tell_at", nullable=True),
    Column("tell_attempts", Integer, nullable=False),
    _text("place"),
    _text("currency", nullable=True),
    Column("total", BigInteger, nullable=True),
    Column("units", Integer, nullable=False),
    Column("edits", Json, nullable=False),
    _text("decided_by", nullable=True),
    _time("ordered_at"),
    _time("changed_at"),
    _time("confirmed_at", nullable=True),
    _time("captured_at", nullable=True),
    _time("updated_at"),
    Index(None, "link", "order_number"),
    Index(None, "link", "ct_order_id"),
    Index(None, "link", "ordered_at"),
    Index(None, "link", "captured_at"),
    Index(
        "ix_order_capture_due",
        "link",
        "due_at",
        sqlite_where=text("due_at IS NOT NULL"),
        postgresql_where=text("due_at IS NOT NULL"),
    ),
    Index(
        "ix_order_capture_tell",
        "link",
        "tell_at",
        sqlite_where=text("tell_at IS NOT NULL"),
        postgresql_where=text("tell_at IS NOT NULL"),
    ),
    CheckConstraint("state IN ('waiting', 'sending', 'captured', 'review', 'excluded')", name="state"),
    CheckConstraint("origin IN ('kiosk', 'shop', 'hand')", name="origin"),
)

#: The only personal data in the store: how to reach a customer, until the order is in commercetools.
order_contact = Table(
    "order_contact",
    metadata,
    _key("link"),
    _key("order_id"),
    _text("email"),
    _time("updated_at"),
    Index(None, "updated_at"),
)

#: Messages to people, stored before they are sent.
alert = Table(
    "alert",
    metadata,
    Column("id", Identity, primary_key=True),
    _text("link"),
    _text("channel"),
    _text("kind"),
    _text("cause_group"),
    _text("urgency"),
    Column("exceptions", Json, nullable=False),
    _text("subject"),
    _text("body"),
    _text("state"),
    Column("attempts", Integer, nullable=False),
    _time("due_at"),
    _text("error", nullable=True),
    _time("created_at"),
    _time("sent_at", nullable=True),
    Index(None, "link", "state", "due_at"),
    Index(None, "link", "created_at"),
    CheckConstraint("state IN ('waiting', 'sent', 'obsolete')", name="state"),
)

#: What nobody wants to hear of for a while, and why. An empty cause group means all of the kind.
silence = Table(
    "silence",
    metadata,
    Column("id", Identity, primary_key=True),
    _text("link"),
    _text("kind"),
    _text("cause_group"),
    _text("reason"),
    _text("actor"),
    _time("created_at"),
    _time("until"),
    Index(None, "link", "until"),
)

#: Nights on which both sides were compared; a night's name sorts as time goes on.
drift_night = Table(
    "drift_night",
    metadata,
    _key("link"),
    _key("night"),
    _text("run_key"),
    _text("state"),
    Column("backfilled", Boolean, nullable=False),
    Column("checked", BigInteger, nullable=False),
    Column("counts", Json, nullable=False),
    _text("report_path", nullable=True),
    _time("started_at"),
    _time("finished_at", nullable=True),
    CheckConstraint("state IN ('running', 'done')", name="state"),
)

#: What a night found, in numbers: all of it, also where single findings were too many to be kept.
drift_total = Table(
    "drift_total",
    metadata,
    _key("link"),
    _key("night"),
    _key("area"),
    _key("cause"),
    _key("currency"),
    Column("findings", Integer, nullable=False),
    # Without signs, or too much here would hide what is missing there. Money in minor units.
    Column("units", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
)

#: Single findings of a night, and what became of those that can be mended.
drift_finding = Table(
    "drift_finding",
    metadata,
    Column("id", Identity, primary_key=True),
    _text("link"),
    _text("night"),
    _text("area"),
    _text("cause"),
    _text("subject"),
    _text("message"),
    Column("evidence", Json, nullable=False),
    _text("owner"),
    _text("action"),
    Column("units", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=True),
    _text("currency", nullable=True),
    _text("place"),
    _text("reference"),
    Column("heal", Integer, nullable=True),
    _text("state"),
    _text("decided_by", nullable=True),
    _text("outcome", nullable=True),
    _time("created_at"),
    _time("updated_at"),
    UniqueConstraint("link", "night", "area", "cause", "subject"),
    Index(None, "link", "area", "subject", "night"),
    Index(None, "link", "state"),
    CheckConstraint(
        "state IN ('reported', 'proposed', 'healing', 'verified', 'returned', 'declined', 'overtaken')",
        name="state",
    ),
)

#: What the last check of sync health found, whole; see ``cogent_ops.domain.health.model.Snapshot``.
health_state = Table(
    "health_state",
    metadata,
    _key("link"),
    _time("checked_at"),
    _text("run_key"),
    Column("content", Json, nullable=False),
)

#: How old the data of a flow was at each check. Ages and spans in seconds.
health_sample = Table(
    "health_sample",
    metadata,
    _key("link"),
    _key("flow"),
    Column("at", UtcDateTime, primary_key=True),
    Column("age", Double, nullable=True),
    Column("target", Double, nullable=False),
    Column("p50", Double, nullable=True),
    Column("p95", Double, nullable=True),
    Column("waiting", Integer, nullable=False),
    Column("done", Integer, nullable=False),
    _text("state"),
    CheckConstraint("state IN ('good', 'late', 'bad', 'unknown')", name="state"),
)

#: Times in which a source outside told us nothing, and what was done to make up for it.
health_gap = Table(
    "health_gap",
    metadata,
    Column("id", Identity, primary_key=True),
    _text("link"),
    _text("source"),
    _text("name"),
    _time("began_at"),
    _time("ended_at", nullable=True),
    _time("replayed_at", nullable=True),
    _time("reconciled_at", nullable=True),
    Column("detail", Json, nullable=False),
    Index(None, "link", "began_at"),
    Index(
        "uq_health_gap_open",
        "link",
        "source",
        "name",
        unique=True,
        sqlite_where=text("reconciled_at IS NULL"),
        postgresql_where=text("reconciled_at IS NULL"),
    ),
    CheckConstraint("source IN ('subscription', 'messages')", name="source"),
)

#: What outside was looked at, and when it was seen in order last. Another reference is another one of the same name.
health_source = Table(
    "health_source",
    metadata,
    _key("link"),
    _key("source"),
    _key("name"),
    _text("status"),
    _text("reference"),
    _time("healthy_at", nullable=True),
    _time("looked_at"),
)

#: Units that kiosks are told less of while the stock of a place is late. ``buffer`` is the sum of what is pending,
#: expected and reserved, ``most`` its largest so far. What is ending is released once its entry was read.
protection = Table(
    "protection",
    metadata,
    _key("link"),
    _key("sku"),
    _key("channel"),
    Column("buffer", Integer, nullable=False),
    Column("most", Integer, nullable=False),
    Column("pending", Integer, nullable=False),
    Column("expected", Integer, nullable=False),
    Column("reserved", Integer, nullable=False),
    Column("ending", Boolean, nullable=False),
    _time("since"),
    _time("updated_at"),
)
