"""Checks of external locations: who each is, when it is due, and what came of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _collated(length: int | None, mysql: str) -> TypeEngine[str]:
    def kind(collation: str | None = None) -> sa.String:
        return sa.Text(collation=collation) if length is None else sa.String(length, collation=collation)

    return kind().with_variant(kind(mysql), "mysql", "mariadb").with_variant(kind("C"), "postgresql")


def _ascii(length: int) -> TypeEngine[str]:
    return _collated(length, "ascii_bin")


def _auto_id() -> TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.drop_index("ix_blobs_host", "blobs")
    for name, kind in _NULLABLE:
        op.add_column("blobs", sa.Column(name, kind, nullable=True))
    for name in _COUNTS:
        op.add_column("blobs", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "location_checks",
        sa.Column("id", _auto_id(), autoincrement=True, nullable=False),
        sa.Column("location_id", _ascii(32), nullable=False),
        sa.Column("kind", _ascii(16), nullable=False),
        sa.Column("outcome", _ascii(16), nullable=False),
        sa.Column("reason", _ascii(32), nullable=True),
        sa.Column("state", _ascii(16), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("checks", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_location_checks"),
    )
    op.create_index("ix_location_checks_location", "location_checks", ["location_id", "id"])
    op.create_index("ix_location_checks_last_at", "location_checks", ["last_at"])
    op.create_table(
        "location_hosts",
        sa.Column("host", _ascii(255), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("claimed_by", _ascii(32), nullable=True),
        sa.Column("claimed_until", sa.BigInteger(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failed_at", sa.BigInteger(), nullable=True),
        sa.Column("reached_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("host", name="pk_location_hosts"),
    )
    for name in ("due_at", "failed_at", "reached_at"):
        op.create_index(f"ix_location_hosts_{name}", "location_hosts", [name])
    # What was recorded before is due: at its first check it takes its place in the order of its host.
    op.execute(
        "UPDATE blobs SET project = (SELECT owner FROM artifacts WHERE artifacts.id = blobs.artifact_id), "
        "location_id = SUBSTR(slot_id, 1, 32), check_at = proven_at, full_at = proven_at "
        "WHERE url IS NOT NULL"
    )
    op.execute(
        "INSERT INTO location_hosts (host, due_at, failures) "
        "SELECT host, MIN(proven_at), 0 FROM blobs WHERE host IS NOT NULL AND proven_at IS NOT NULL GROUP BY host"
    )
    for name, columns, unique in _INDEXES:
        there = None if unique else sa.text("host IS NOT NULL")
        op.create_index(name, "blobs", columns, unique=unique, sqlite_where=there, postgresql_where=there)


def downgrade() -> None:
    for name, *_ in _INDEXES:
        op.drop_index(name, "blobs")
    op.drop_table("location_hosts")
    op.drop_table("location_checks")
    for name in _COUNTS:
        op.drop_column("blobs", name)
    for name, _ in reversed(_NULLABLE):
        op.drop_column("blobs", name)
    op.create_index("ix_blobs_host", "blobs", ["host"])


_NULLABLE = (
    ("project", _collated(255, "utf8mb4_bin")),
    ("location_id", _ascii(32)),
    ("reason", _ascii(32)),
    ("check_at", sa.BigInteger()),
    ("full_at", sa.BigInteger()),
    ("matched_at", sa.BigInteger()),
    ("asked_at", sa.BigInteger()),
    ("stale_told_at", sa.BigInteger()),
    ("source_url", _collated(None, "utf8mb4_bin")),
)
_COUNTS = ("failures", "source_confidential")
_INDEXES = (
    ("ix_blobs_host_check", ["host", "check_at"], False),
    ("ix_blobs_location_id", ["location_id"], True),
    ("ix_blobs_project_location", ["project", "location_id"], False),
    ("ix_blobs_state_location", ["state", "location_id"], False),
    ("ix_blobs_proof", ["state", "proven_at"], False),
)
