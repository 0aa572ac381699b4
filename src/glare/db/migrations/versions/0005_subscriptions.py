"""Subscriptions, the messages to their targets, and how far the outbox has become such messages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import MEDIUMBLOB
from sqlalchemy.types import TypeEngine

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _collated(length: int | None, mysql: str) -> TypeEngine[str]:
    def kind(collation: str | None = None) -> sa.String:
        return sa.Text(collation=collation) if length is None else sa.String(length, collation=collation)

    return kind().with_variant(kind(mysql), "mysql", "mariadb").with_variant(kind("C"), "postgresql")


def _ascii(length: int) -> TypeEngine[str]:
    return _collated(length, "ascii_bin")


def _text(length: int | None = None) -> TypeEngine[str]:
    return _collated(length, "utf8mb4_bin")


def _bytes() -> TypeEngine[bytes]:
    return sa.LargeBinary().with_variant(MEDIUMBLOB(), "mysql", "mariadb")


def _auto_id() -> TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("outbox", sa.Column("fanned_at", sa.BigInteger(), nullable=True))
    op.create_index("ix_outbox_fanned_at_id", "outbox", ["fanned_at", "id"])
    op.create_table(
        "subscription_projects",
        sa.Column("project", _text(255), nullable=False),
        sa.Column("served_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", name="pk_subscription_projects"),
    )
    op.create_table(
        "subscriptions",
        sa.Column("id", _ascii(36), nullable=False),
        sa.Column("project", _text(255), nullable=False),
        sa.Column("user_id", _text(255), nullable=True),
        sa.Column("description", _text(255), nullable=False),
        sa.Column("target", _text(), nullable=False),
        sa.Column("events", _bytes(), nullable=False),
        sa.Column("type_name", _ascii(64), nullable=True),
        sa.Column("artifact_id", _ascii(36), nullable=True),
        sa.Column("location_id", _ascii(32), nullable=True),
        sa.Column("state", _ascii(16), nullable=False),
        sa.Column("reason", _ascii(32), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("secret", _ascii(1024), nullable=False),
        sa.Column("old_secret", _ascii(1024), nullable=True),
        sa.Column("old_secret_until", sa.BigInteger(), nullable=True),
        sa.Column("token", _ascii(1024), nullable=True),
        sa.Column("confirm_until", sa.BigInteger(), nullable=True),
        sa.Column("failing_since", sa.BigInteger(), nullable=True),
        sa.Column("delivered_at", sa.BigInteger(), nullable=True),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("claimed_by", _ascii(32), nullable=True),
        sa.Column("claimed_until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_subscriptions"),
    )
    op.create_index("ix_subscriptions_project", "subscriptions", ["project", "created_at", "id"])
    op.create_index("ix_subscriptions_due", "subscriptions", ["state", "next_at"])
    op.create_table(
        "deliveries",
        sa.Column("id", _auto_id(), autoincrement=True, nullable=False),
        sa.Column("subscription_id", _ascii(36), nullable=False),
        sa.Column("message_id", _ascii(40), nullable=False),
        sa.Column("outbox_id", sa.BigInteger(), nullable=True),
        sa.Column("event_id", _ascii(32), nullable=False),
        sa.Column("event_type", _ascii(64), nullable=False),
        sa.Column("project", _text(255), nullable=True),
        sa.Column("type_name", _ascii(64), nullable=True),
        sa.Column("artifact_id", _ascii(36), nullable=True),
        sa.Column("payload", _bytes(), nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("state", _ascii(16), nullable=False),
        sa.Column("reason", _ascii(32), nullable=True),
        sa.Column("status", sa.SmallInteger(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("first_tried_at", sa.BigInteger(), nullable=True),
        sa.Column("tried_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sa.ForeignKeyConstraint(
            ["subscription_id"], ["subscriptions.id"], ondelete="CASCADE", name="fk_deliveries_subscription_id"
        ),
    )
    for name, columns, unique in _INDEXES:
        op.create_index(name, "deliveries", columns, unique=unique)
    unfinished = sa.text("finished_at IS NULL")
    op.create_index(
        "ix_deliveries_state", "deliveries", ["state"], sqlite_where=unfinished, postgresql_where=unfinished
    )


def downgrade() -> None:
    op.drop_table("deliveries")
    op.drop_table("subscriptions")
    op.drop_table("subscription_projects")
    op.drop_index("ix_outbox_fanned_at_id", "outbox")
    op.drop_column("outbox", "fanned_at")


_INDEXES = (
    ("ix_deliveries_finished_at", ["finished_at"], False),
    ("ix_deliveries_message", ["subscription_id", "message_id"], True),
    ("ix_deliveries_event", ["subscription_id", "event_id"], True),
    ("ix_deliveries_queue", ["subscription_id", "state", "id"], False),
    ("ix_deliveries_log", ["subscription_id", "id"], False),
)
