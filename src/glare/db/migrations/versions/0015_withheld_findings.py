"""Which finding waits for the end of an outage: after a mismatch it takes more than after a failure."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def _ascii(length: int) -> TypeEngine[str]:
    return (
        sa.String(length)
        .with_variant(sa.String(length, collation="ascii_bin"), "mysql", "mariadb")
        .with_variant(sa.String(length, collation="C"), "postgresql")
    )


def upgrade() -> None:
    """What waits already is known by its reason."""
    op.add_column("blobs", sa.Column("withheld", _ascii(16), nullable=True))


def downgrade() -> None:
    op.drop_column("blobs", "withheld")
