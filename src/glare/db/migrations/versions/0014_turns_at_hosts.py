"""Projects take turns at a host, so that one with many locations there keeps nobody waiting."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def _collated(length: int, mysql: str) -> TypeEngine[str]:
    def kind(collation: str | None = None) -> sa.String:
        return sa.String(length, collation=collation)

    return kind().with_variant(kind(mysql), "mysql", "mariadb").with_variant(kind("C"), "postgresql")


_ROWS = sa.text(
    "INSERT INTO location_turns (host, project, due_at, failures) "
    "SELECT host, COALESCE(project, ''), MIN(check_at), 0 FROM blobs "
    "WHERE host IS NOT NULL AND check_at IS NOT NULL GROUP BY host, COALESCE(project, '')"
)


def upgrade() -> None:
    op.create_table(
        "location_turns",
        sa.Column("host", _collated(255, "ascii_bin"), nullable=False),
        sa.Column("project", _collated(255, "utf8mb4_bin"), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("host", "project", name="pk_location_turns"),
    )
    op.create_index("ix_location_turns_due", "location_turns", ["host", "due_at"])
    external = sa.text("host IS NOT NULL")
    op.create_index(
        "ix_blobs_host_project_check",
        "blobs",
        ["host", "project", "check_at"],
        sqlite_where=external,
        postgresql_where=external,
    )
    op.execute(_ROWS)


def downgrade() -> None:
    op.drop_index("ix_blobs_host_project_check", "blobs")
    op.drop_table("location_turns")
