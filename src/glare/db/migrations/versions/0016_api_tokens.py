"""API tokens, and the number that tells every process that some were revoked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import MEDIUMBLOB
from sqlalchemy.types import TypeEngine

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def _collated(length: int, mysql: str) -> TypeEngine[str]:
    return (
        sa.String(length)
        .with_variant(sa.String(length, collation=mysql), "mysql", "mariadb")
        .with_variant(sa.String(length, collation="C"), "postgresql")
    )


def _ascii(length: int) -> TypeEngine[str]:
    return _collated(length, "ascii_bin")


def _text(length: int) -> TypeEngine[str]:
    return _collated(length, "utf8mb4_bin")


def _bytes() -> TypeEngine[bytes]:
    return sa.LargeBinary().with_variant(MEDIUMBLOB(), "mysql", "mariadb")


def upgrade() -> None:
    """The row of the number is made with the first token."""
    op.create_table(
        "api_tokens",
        sa.Column("id", _ascii(36), nullable=False),
        sa.Column("sha256", _ascii(64), nullable=False),
        sa.Column("project", _text(255), nullable=False),
        sa.Column("user_id", _text(255), nullable=False),
        sa.Column("domain", _text(255)),
        sa.Column("roles", _bytes(), nullable=False),
        sa.Column("description", _text(255), nullable=False),
        sa.Column("limits", _bytes(), nullable=False),
        sa.Column("source", _ascii(32), nullable=False),
        sa.Column("parent", _ascii(36)),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("notify_at", sa.BigInteger()),
        sa.Column("last_used_at", sa.BigInteger()),
        sa.Column("revoked_at", sa.BigInteger()),
        sa.Column("revocation", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_api_tokens"),
        sa.UniqueConstraint("sha256", name="uq_api_tokens_sha256"),
    )
    op.create_index("ix_api_tokens_project", "api_tokens", ["project", "created_at", "id"])
    op.create_index("ix_api_tokens_user", "api_tokens", ["user_id", "created_at", "id"])
    op.create_index("ix_api_tokens_parent", "api_tokens", ["parent"])
    op.create_index("ix_api_tokens_notify_at", "api_tokens", ["notify_at"])
    op.create_index("ix_api_tokens_expires_at", "api_tokens", ["expires_at"])
    op.create_index("ix_api_tokens_revoked_at", "api_tokens", ["revoked_at"])
    op.create_index("ix_api_tokens_revocation", "api_tokens", ["revocation"])
    op.create_table(
        "api_token_state",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("revocations", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_api_token_state"),
    )


def downgrade() -> None:
    op.drop_table("api_token_state")
    op.drop_table("api_tokens")
