"""Builds that may write into a project with the token of their platform."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import MEDIUMBLOB
from sqlalchemy.types import TypeEngine

revision = "0018"
down_revision = "0017"
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


def _bytes() -> TypeEngine[bytes]:
    return sa.LargeBinary().with_variant(MEDIUMBLOB(), "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "publishers",
        sa.Column("id", _ascii(36), nullable=False),
        sa.Column("project", _text(255), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("issuer", _ascii(32), nullable=False),
        sa.Column("anchor", _ascii(64), nullable=False),
        sa.Column("claims", _bytes(), nullable=False),
        sa.Column("roles", _bytes(), nullable=False),
        sa.Column("types", _bytes()),
        sa.Column("names", _bytes()),
        sa.Column("description", _text(255), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", _text(255)),
        sa.PrimaryKeyConstraint("id", name="pk_publishers"),
        sa.UniqueConstraint("project", "place", name="uq_publishers_project_place"),
    )
    op.create_index("ix_publishers_anchor", "publishers", ["anchor", "id"])
    op.create_index("ix_publishers_project", "publishers", ["project", "created_at", "id"])
    op.create_index("ix_publishers_created_at", "publishers", ["created_at", "id"])


def downgrade() -> None:
    op.drop_table("publishers")
