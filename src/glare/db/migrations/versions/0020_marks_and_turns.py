"""Changes leave a mark, by which a commit that was not answered is found; turns at all hosts are one line."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    mark = (
        sa.String(32)
        .with_variant(sa.String(32, collation="ascii_bin"), "mysql", "mariadb")
        .with_variant(sa.String(32, collation="C"), "postgresql")
    )
    op.create_table("marks", sa.Column("id", mark, nullable=False), sa.PrimaryKeyConstraint("id", name="pk_marks"))
    op.create_index("ix_location_turns_line", "location_turns", ["due_at", "project", "host"])


def downgrade() -> None:
    op.drop_index("ix_location_turns_line", "location_turns")
    op.drop_table("marks")
