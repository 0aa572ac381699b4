"""Links know the credential of their maker, and are found by when they end."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def _collated(length: int, mysql: str) -> TypeEngine[str]:
    def kind(collation: str | None = None) -> sa.String:
        return sa.String(length, collation=collation)

    return kind().with_variant(kind(mysql), "mysql", "mariadb").with_variant(kind("C"), "postgresql")


def upgrade() -> None:
    op.add_column("links", sa.Column("source", _collated(32, "ascii_bin"), nullable=True))
    op.add_column("links", sa.Column("credential", _collated(255, "utf8mb4_bin"), nullable=True))
    op.create_index("ix_links_credential", "links", ["credential"])
    op.create_index("ix_links_expires_at", "links", ["expires_at"])


def downgrade() -> None:
    op.drop_index("ix_links_expires_at", "links")
    op.drop_index("ix_links_credential", "links")
    op.drop_column("links", "credential")
    op.drop_column("links", "source")
