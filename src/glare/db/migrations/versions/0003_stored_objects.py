"""Bytes kept in the database, and what a check of stored bytes has found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import MEDIUMBLOB
from sqlalchemy.types import TypeEngine

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _ascii(length: int) -> TypeEngine[str]:
    def kind(collation: str | None = None) -> sa.String:
        return sa.String(length, collation=collation)

    return kind().with_variant(kind("ascii_bin"), "mysql", "mariadb").with_variant(kind("C"), "postgresql")


def _bytes() -> TypeEngine[bytes]:
    return sa.LargeBinary().with_variant(MEDIUMBLOB(), "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "stored_objects",
        sa.Column("id", _ascii(32), nullable=False),
        sa.Column("name", _ascii(128), nullable=False),
        sa.Column("object", _ascii(128), nullable=True),
        sa.Column("state", _ascii(16), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("chunk_size", sa.Integer(), nullable=False),
        sa.Column("touched_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stored_objects"),
        sa.UniqueConstraint("object", name="uq_stored_objects_object"),
    )
    op.create_index("ix_stored_objects_name", "stored_objects", ["name"])
    op.create_index("ix_stored_objects_state", "stored_objects", ["state", "touched_at"])
    op.create_table(
        "stored_chunks",
        sa.Column("object_id", _ascii(32), nullable=False),
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("data", _bytes(), nullable=False),
        sa.ForeignKeyConstraint(["object_id"], ["stored_objects.id"], name="fk_stored_chunks_object_id"),
        sa.PrimaryKeyConstraint("object_id", "sequence", name="pk_stored_chunks"),
    )
    if op.get_bind().dialect.name == "postgresql":
        # Blobs are compressed already, most of them: trying again costs much and saves nothing.
        op.execute("ALTER TABLE stored_chunks ALTER COLUMN data SET STORAGE EXTERNAL")
    op.create_table(
        "fsck_runs",
        sa.Column("store", _ascii(64), nullable=False),
        sa.Column("phase", _ascii(16), nullable=False),
        sa.Column("position", _ascii(128), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("holder", _ascii(32), nullable=True),
        sa.Column("heartbeat", sa.BigInteger(), nullable=False),
        sa.Column("counts", _bytes(), nullable=False),
        sa.PrimaryKeyConstraint("store", name="pk_fsck_runs"),
    )
    op.add_column("blobs", sa.Column("damage", _ascii(16), nullable=True))
    op.add_column("blobs", sa.Column("damaged_at", sa.BigInteger(), nullable=True))
    for name, columns, there in _BLOB_INDEXES:
        op.create_index(name, "blobs", columns, sqlite_where=sa.text(there), postgresql_where=sa.text(there))
    op.create_index("ix_doomed_objects_object", "doomed_objects", ["object"])


def downgrade() -> None:
    op.drop_index("ix_doomed_objects_object", "doomed_objects")
    for name, *_ in _BLOB_INDEXES:
        op.drop_index(name, "blobs")
    op.drop_column("blobs", "damaged_at")
    op.drop_column("blobs", "damage")
    op.drop_table("fsck_runs")
    op.drop_table("stored_chunks")
    op.drop_table("stored_objects")


_BLOB_INDEXES = (
    ("ix_blobs_object", ["object"], "object IS NOT NULL"),
    ("ix_blobs_damage", ["damage", "slot_id"], "damage IS NOT NULL"),
)
