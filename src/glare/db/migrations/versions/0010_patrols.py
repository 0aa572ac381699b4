"""How far the background has come with reading all stored bytes again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import MEDIUMBLOB
from sqlalchemy.types import TypeEngine

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def _ascii(length: int) -> TypeEngine[str]:
    return (
        sa.String(length)
        .with_variant(sa.String(length, collation="ascii_bin"), "mysql", "mariadb")
        .with_variant(sa.String(length, collation="C"), "postgresql")
    )


def upgrade() -> None:
    op.create_table(
        "patrols",
        sa.Column("store", _ascii(64), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("position", _ascii(64), nullable=False),
        sa.Column("object", _ascii(255), nullable=True),
        sa.Column("block", sa.BigInteger(), nullable=False),
        sa.Column("holder", _ascii(32), nullable=True),
        sa.Column("held_until", sa.BigInteger(), nullable=True),
        sa.Column("counts", sa.LargeBinary().with_variant(MEDIUMBLOB(), "mysql", "mariadb"), nullable=False),
        sa.PrimaryKeyConstraint("store", name="pk_patrols"),
    )


def downgrade() -> None:
    op.drop_table("patrols")
