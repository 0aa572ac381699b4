"""What administrators have taken down."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0006"
down_revision = "0005"
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
        "takedowns",
        sa.Column("id", _ascii(36), nullable=False),
        sa.Column("kind", _ascii(8), nullable=False),
        sa.Column("key", _ascii(64), nullable=False),
        sa.Column("value", _text(), nullable=False),
        sa.Column("reason", _text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", _text(255), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_takedowns"),
        sa.UniqueConstraint("key", name="uq_takedowns_key"),
    )


def downgrade() -> None:
    op.drop_table("takedowns")
