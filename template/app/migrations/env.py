"""Alembic's entry: it runs on the connection that app.db opened."""

from alembic import context

from app import ledger  # noqa: F401  # its tables are of this Base too
from app.db import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
