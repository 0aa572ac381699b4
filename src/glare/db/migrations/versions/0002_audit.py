"""The audit log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import MEDIUMBLOB
from sqlalchemy.types import TypeEngine

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _collated(length: int, mysql: str) -> TypeEngine[str]:
    def kind(collation: str | None = None) -> sa.String:
        return sa.String(length, collation=collation)

    return kind().with_variant(kind(mysql), "mysql", "mariadb").with_variant(kind("C"), "postgresql")


def _ascii(length: int) -> TypeEngine[str]:
    return _collated(length, "ascii_bin")


def _text(length: int) -> TypeEngine[str]:
    return _collated(length, "utf8mb4_bin")


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("request_id", _ascii(40), nullable=True),
        sa.Column("user_id", _text(255), nullable=True),
        sa.Column("project", _text(255), nullable=True),
        sa.Column("roles", _text(1024), nullable=False),
        sa.Column("action", _ascii(64), nullable=False),
        sa.Column("outcome", _ascii(16), nullable=False),
        sa.Column("type_name", _ascii(64), nullable=True),
        sa.Column("artifact_id", _ascii(36), nullable=True),
        sa.Column("target", _text(255), nullable=True),
        sa.Column("detail", sa.LargeBinary().with_variant(MEDIUMBLOB(), "mysql", "mariadb"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    for name, columns in _INDEXES.items():
        op.create_index(name, "audit", columns)


def downgrade() -> None:
    for name in _INDEXES:
        op.drop_index(name, "audit")
    op.drop_table("audit")


_INDEXES = {
    "ix_audit_occurred_at_id": ["occurred_at", "id"],
    "ix_audit_user": ["user_id", "occurred_at", "id"],
    "ix_audit_project": ["project", "occurred_at", "id"],
    "ix_audit_artifact": ["artifact_id", "occurred_at", "id"],
    "ix_audit_action": ["action", "occurred_at", "id"],
    "ix_audit_outcome": ["outcome", "occurred_at", "id"],
}
