"""The audit log says how the user was known: by which identity source, and by which credential.

No index: the table may be large, and an index on it is made while nothing can be changed. Who looks for a credential
names its user or its project too.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def _collated(length: int, mysql: str) -> TypeEngine[str]:
    def kind(collation: str | None = None) -> sa.String:
        return sa.String(length, collation=collation)

    return kind().with_variant(kind(mysql), "mysql", "mariadb").with_variant(kind("C"), "postgresql")


def upgrade() -> None:
    op.add_column("audit", sa.Column("source", _collated(32, "ascii_bin"), nullable=True))
    op.add_column("audit", sa.Column("credential", _collated(255, "utf8mb4_bin"), nullable=True))


def downgrade() -> None:
    op.drop_column("audit", "credential")
    op.drop_column("audit", "source")
