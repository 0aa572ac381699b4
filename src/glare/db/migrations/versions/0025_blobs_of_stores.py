"""The blobs of a store are found by an index, in the order of their slots."""

from __future__ import annotations

from alembic import op

revision = "0025"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_blobs_store", "blobs", ["store", "slot_id"])


def downgrade() -> None:
    op.drop_index("ix_blobs_store", "blobs")
