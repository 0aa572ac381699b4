"""What checks need to judge: hints that were followed, findings that wait, whose hosts they are; and work that steps
out of the line.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def _collated(length: int, mysql: str) -> TypeEngine[str]:
    def kind(collation: str | None = None) -> sa.String:
        return sa.String(length, collation=collation)

    return kind().with_variant(kind(mysql), "mysql", "mariadb").with_variant(kind("C"), "postgresql")


def upgrade() -> None:
    for table, name, kind in _NULLABLE:
        op.add_column(table, sa.Column(name, kind, nullable=True))
    for table, name in _COUNTS:
        op.add_column(table, sa.Column(name, sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    for table, name in reversed(_COUNTS):
        op.drop_column(table, name)
    for table, name, _ in reversed(_NULLABLE):
        op.drop_column(table, name)


_NULLABLE = (
    ("blobs", "doubt", _collated(32, "ascii_bin")),
    ("blobs", "withheld_at", sa.BigInteger()),
    ("location_hosts", "changed_at", sa.BigInteger()),
    ("location_hosts", "network", _collated(64, "ascii_bin")),
    ("location_hosts", "project", _collated(255, "utf8mb4_bin")),
    ("outbox", "aside_until", sa.BigInteger()),
    ("outbox", "fan_at", sa.BigInteger()),
)
_COUNTS = (
    ("blobs", "faults"),
    ("blobs", "refuted"),
    ("outbox", "fan_tries"),
)
