"""Jobs: work that outlives the request that asked for it, and the process that does it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import MEDIUMBLOB
from sqlalchemy.types import TypeEngine

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _collated(length: int | None, mysql: str) -> TypeEngine[str]:
    def kind(collation: str | None = None) -> sa.String:
        return sa.Text(collation=collation) if length is None else sa.String(length, collation=collation)

    return kind().with_variant(kind(mysql), "mysql", "mariadb").with_variant(kind("C"), "postgresql")


def _ascii(length: int) -> TypeEngine[str]:
    return _collated(length, "ascii_bin")


def _text(length: int | None = None) -> TypeEngine[str]:
    return _collated(length, "utf8mb4_bin")


def _bytes() -> TypeEngine[bytes]:
    return sa.LargeBinary().with_variant(MEDIUMBLOB(), "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", _ascii(32), nullable=False),
        sa.Column("kind", _ascii(16), nullable=False),
        sa.Column("state", _ascii(16), nullable=False),
        sa.Column("project", _text(255), nullable=False),
        sa.Column("type_name", _ascii(64), nullable=False),
        sa.Column("artifact_id", _ascii(36), nullable=False),
        sa.Column("field", _ascii(64), nullable=False),
        sa.Column("item_key", _text(), nullable=True),
        sa.Column("location_id", _ascii(32), nullable=False),
        sa.Column("host", _ascii(255), nullable=False),
        sa.Column("payload", _bytes(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("claimed_by", _ascii(32), nullable=True),
        sa.Column("claimed_until", sa.BigInteger(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", _bytes(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    )
    for columns in _INDEXES:
        op.create_index(f"ix_jobs_{'_'.join(columns)}", "jobs", columns)


def downgrade() -> None:
    op.drop_table("jobs")


_INDEXES = (
    ["artifact_id"],
    ["location_id"],
    ["claimed_by"],
    ["finished_at"],
    ["state", "due_at"],
    ["state", "project", "due_at"],
)
