"""Artifacts that are shared with named projects, or with everybody who knows of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def _collated(length: int, mysql: str) -> TypeEngine[str]:
    return (
        sa.String(length)
        .with_variant(sa.String(length, collation=mysql), "mysql", "mariadb")
        .with_variant(sa.String(length, collation="C"), "postgresql")
    )


def _ascii(length: int) -> TypeEngine[str]:
    return _collated(length, "ascii_bin")


def _text(length: int) -> TypeEngine[str]:
    return _collated(length, "utf8mb4_bin")


def upgrade() -> None:
    """Nodes of the older release see what is shared as private, and keep the column."""
    op.add_column("artifacts", sa.Column("sharing", _ascii(16), nullable=True))
    there = sa.text("sharing IS NOT NULL")
    newest = (sa.text("created_at DESC"), "id")
    for name, columns in (
        ("ix_artifacts_all_sharing", ("type_name", "listed", "visibility", "sharing", *newest)),
        ("ix_artifacts_scope_sharing", ("type_name", "scope", "sharing", *newest)),
    ):
        op.create_index(name, "artifacts", list(columns), sqlite_where=there, postgresql_where=there)
    op.create_table(
        "artifact_members",
        sa.Column("artifact_id", _ascii(36), nullable=False),
        sa.Column("project", _text(255), nullable=False),
        sa.Column("status", _ascii(16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("scope", _ascii(32), nullable=False),
        sa.Column("type_name", _ascii(64), nullable=False),
        sa.Column("name", _text(255), nullable=False),
        sa.Column("version_key", _ascii(600), nullable=False),
        sa.Column("owner", _text(255), nullable=False),
        sa.Column("artifact_created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["artifacts.id"], name="fk_artifact_members_artifact_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("artifact_id", "project", name="pk_artifact_members"),
    )
    latest = (sa.text("artifact_created_at DESC"), "artifact_id")
    orders: dict[str, tuple[str, ...]] = {
        "newest": (),
        "name": ("name",),
        "name_version": ("name", "version_key"),
        "version": ("version_key",),
        "owner": ("owner",),
    }
    for name, first in orders.items():
        op.create_index(f"ix_artifact_members_{name}", "artifact_members", ["type_name", "scope", *first, *latest])
    op.create_table(
        "member_counts",
        sa.Column("type_name", _ascii(64), nullable=False),
        sa.Column("scope", _ascii(32), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("type_name", "scope", name="pk_member_counts"),
    )


def downgrade() -> None:
    """What was shared is private again."""
    op.drop_table("member_counts")
    op.drop_table("artifact_members")
    op.drop_index("ix_artifacts_scope_sharing", "artifacts")
    op.drop_index("ix_artifacts_all_sharing", "artifacts")
    op.drop_column("artifacts", "sharing")
