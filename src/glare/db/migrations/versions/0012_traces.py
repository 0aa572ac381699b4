"""What caused an event, a message and a job: the trace that a caller has named."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_TABLES = ("outbox", "deliveries", "jobs")


def upgrade() -> None:
    text = (
        sa.String(600)
        .with_variant(sa.String(600, collation="ascii_bin"), "mysql", "mariadb")
        .with_variant(sa.String(600, collation="C"), "postgresql")
    )
    for table in _TABLES:
        op.add_column(table, sa.Column("trace", text, nullable=True))


def downgrade() -> None:
    for table in _TABLES:
        op.drop_column(table, "trace")
