"""Links by which blobs are read without an account."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0021"
down_revision = "0020"
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


def upgrade() -> None:
    op.create_table(
        "links",
        sa.Column("id", _ascii(36), nullable=False),
        sa.Column("project", _text(255), nullable=False),
        sa.Column("user_id", _text(255), nullable=True),
        sa.Column("maker_project", _text(255), nullable=True),
        sa.Column("roles", _text(), nullable=False),
        sa.Column("domain", _text(255), nullable=True),
        sa.Column("system", sa.SmallInteger(), nullable=False),
        sa.Column("type_name", _ascii(64), nullable=False),
        sa.Column("artifact_id", _ascii(36), nullable=False),
        sa.Column("path", _text(511), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("network", _ascii(64), nullable=True),
        sa.Column("uses_left", sa.BigInteger(), nullable=True),
        sa.Column("description", _text(255), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_links"),
    )
    op.create_index("ix_links_project", "links", ["project", "id"])


def downgrade() -> None:
    op.drop_table("links")
