"""Alembic's entry: runs the migrations in the transaction that ``cogent_ops.store.migration`` opened."""

from __future__ import annotations

from alembic import context

from cogent_ops.store.migration import VERSION_TABLE
from cogent_ops.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
