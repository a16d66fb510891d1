"""What the flows remember, in a relational database of our own: SQLite by default, or PostgreSQL."""

from cogent_ops.domain.exceptions import Status
from cogent_ops.store.audits import Audit, Verdict
from cogent_ops.store.budget import SharedBudget
from cogent_ops.store.catalogue import Catalogue, ProductState, ProductStatus, Totals
from cogent_ops.store.engine import CONNECTION_ID, default_url
from cogent_ops.store.exceptions import Cause, Filter, StoredException
from cogent_ops.store.facade import Store, open_store
from cogent_ops.store.ledger import LogEntry, Run
from cogent_ops.store.migration import current_revision, head_revision, upgrade

__all__ = [
    "CONNECTION_ID",
    "Audit",
    "Catalogue",
    "Cause",
    "Filter",
    "LogEntry",
    "ProductState",
    "ProductStatus",
    "Run",
    "SharedBudget",
    "Status",
    "Store",
    "StoredException",
    "Totals",
    "Verdict",
    "current_revision",
    "default_url",
    "head_revision",
    "open_store",
    "upgrade",
]
