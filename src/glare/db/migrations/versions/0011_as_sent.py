"""What an origin's headers left in doubt when the bytes of a location were proved by a claim."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def _ascii(length: int) -> TypeEngine[str]:
    def kind(collation: str | None = None) -> sa.String:
        return sa.String(length, collation=collation)

    return kind().with_variant(kind("ascii_bin"), "mysql", "mariadb").with_variant(kind("C"), "postgresql")


def upgrade() -> None:
    op.add_column("blobs", sa.Column("as_sent", _ascii(255), nullable=True))


def downgrade() -> None:
    op.drop_column("blobs", "as_sent")
