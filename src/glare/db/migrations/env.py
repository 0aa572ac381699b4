"""Runs revisions on the connection that `glare.db.migrate` hands over, in the transaction that it has begun."""

from __future__ import annotations

from alembic import context

from glare.db.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
