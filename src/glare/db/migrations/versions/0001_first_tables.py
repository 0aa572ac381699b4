"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import MEDIUMBLOB
from sqlalchemy.types import TypeEngine

revision = "0001"
down_revision = None
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
    op.create_table(
        "artifact_counts",
        sa.Column("type_name", _ascii(64), nullable=False),
        sa.Column("scope", _ascii(32), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("type_name", "scope", name="pk_artifact_counts"),
    )
    op.create_table(
        "artifacts",
        sa.Column("id", _ascii(36), nullable=False),
        sa.Column("type_name", _ascii(64), nullable=False),
        sa.Column("name", _text(255), nullable=False),
        sa.Column("version", _ascii(530), nullable=False),
        sa.Column("version_key", _ascii(600), nullable=False),
        sa.Column("owner", _text(255), nullable=False),
        sa.Column("status", _ascii(16), nullable=False),
        sa.Column("visibility", _ascii(16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("activated_at", sa.BigInteger(), nullable=True),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("uniqueness", _ascii(64), nullable=True),
        sa.Column("scope", _ascii(32), nullable=True),
        sa.Column("listed", sa.SmallInteger(), nullable=False),
        sa.Column("document", _bytes(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_artifacts"),
        sa.UniqueConstraint("uniqueness", name="uq_artifacts_uniqueness"),
    )
    op.create_index(
        "ix_artifacts_all_activated",
        "artifacts",
        ["type_name", "listed", "activated_at", sa.text("created_at DESC"), "id"],
    )
    op.create_index(
        "ix_artifacts_all_name", "artifacts", ["type_name", "listed", "name", sa.text("created_at DESC"), "id"]
    )
    op.create_index(
        "ix_artifacts_all_name_version",
        "artifacts",
        ["type_name", "listed", "name", "version_key", sa.text("created_at DESC"), "id"],
    )
    op.create_index("ix_artifacts_all_newest", "artifacts", ["type_name", "listed", sa.text("created_at DESC"), "id"])
    op.create_index(
        "ix_artifacts_all_owner", "artifacts", ["type_name", "listed", "owner", sa.text("created_at DESC"), "id"]
    )
    op.create_index(
        "ix_artifacts_all_status", "artifacts", ["type_name", "listed", "status", sa.text("created_at DESC"), "id"]
    )
    op.create_index("ix_artifacts_all_updated", "artifacts", ["type_name", "listed", "updated_at"])
    op.create_index(
        "ix_artifacts_all_version",
        "artifacts",
        ["type_name", "listed", "version_key", sa.text("created_at DESC"), "id"],
    )
    op.create_index(
        "ix_artifacts_all_visibility",
        "artifacts",
        ["type_name", "listed", "visibility", sa.text("created_at DESC"), "id"],
    )
    op.create_index("ix_artifacts_deleted_at", "artifacts", ["deleted_at"])
    op.create_index(
        "ix_artifacts_scope_activated",
        "artifacts",
        ["type_name", "scope", "activated_at", sa.text("created_at DESC"), "id"],
    )
    op.create_index(
        "ix_artifacts_scope_name", "artifacts", ["type_name", "scope", "name", sa.text("created_at DESC"), "id"]
    )
    op.create_index(
        "ix_artifacts_scope_name_version",
        "artifacts",
        ["type_name", "scope", "name", "version_key", sa.text("created_at DESC"), "id"],
    )
    op.create_index("ix_artifacts_scope_newest", "artifacts", ["type_name", "scope", sa.text("created_at DESC"), "id"])
    op.create_index(
        "ix_artifacts_scope_owner", "artifacts", ["type_name", "scope", "owner", sa.text("created_at DESC"), "id"]
    )
    op.create_index(
        "ix_artifacts_scope_status", "artifacts", ["type_name", "scope", "status", sa.text("created_at DESC"), "id"]
    )
    op.create_index("ix_artifacts_scope_updated", "artifacts", ["type_name", "scope", "updated_at"])
    op.create_index(
        "ix_artifacts_scope_version",
        "artifacts",
        ["type_name", "scope", "version_key", sa.text("created_at DESC"), "id"],
    )
    op.create_table(
        "contents",
        sa.Column("sha256", _ascii(64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("touched_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_contents"),
    )
    op.create_index("ix_contents_touched_at", "contents", ["touched_at"])
    op.create_table(
        "doomed_objects",
        sa.Column("id", _auto_id(), nullable=False),
        sa.Column("store", _ascii(64), nullable=False),
        sa.Column("object", _ascii(255), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_doomed_objects"),
    )
    op.create_index("ix_doomed_objects_not_before", "doomed_objects", ["not_before"])
    op.create_table(
        "outbound_hosts",
        sa.Column("host", _ascii(255), nullable=False),
        sa.Column("period", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("host", "period", name="pk_outbound_hosts"),
    )
    op.create_table(
        "outbound_leases",
        sa.Column("id", _ascii(32), nullable=False),
        sa.Column("project", _text(255), nullable=False),
        sa.Column("host", _ascii(255), nullable=False),
        sa.Column("heartbeat", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outbound_leases"),
    )
    op.create_index("ix_outbound_leases_heartbeat", "outbound_leases", ["heartbeat"])
    op.create_index("ix_outbound_leases_host", "outbound_leases", ["host"])
    op.create_index("ix_outbound_leases_project", "outbound_leases", ["project"])
    op.create_table(
        "outbound_usage",
        sa.Column("project", _text(255), nullable=False),
        sa.Column("period", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "period", name="pk_outbound_usage"),
    )
    op.create_table(
        "outbox",
        sa.Column("id", _auto_id(), nullable=False),
        sa.Column("event_id", _ascii(32), nullable=False),
        sa.Column("event_type", _ascii(64), nullable=False),
        sa.Column("project", _text(255), nullable=True),
        sa.Column("type_name", _ascii(64), nullable=True),
        sa.Column("artifact_id", _ascii(36), nullable=True),
        sa.Column("payload", _bytes(), nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("claimed_until", sa.BigInteger(), nullable=True),
        sa.Column("claimed_by", _ascii(32), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("consumed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
    )
    op.create_index("ix_outbox_consumed_at_id", "outbox", ["consumed_at", "id"])
    op.create_table(
        "quota_usage",
        sa.Column("project", _text(255), nullable=False),
        sa.Column("type_name", _ascii(64), nullable=False),
        sa.Column("artifacts", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "type_name", name="pk_quota_usage"),
    )
    op.create_table(
        "quotas",
        sa.Column("project", _text(255), nullable=False),
        sa.Column("name", _text(255), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "name", name="pk_quotas"),
    )
    op.create_table(
        "artifact_values",
        sa.Column("artifact_id", _ascii(36), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("type_name", _ascii(64), nullable=False),
        sa.Column("scope", _ascii(32), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("match", _ascii(32), nullable=False),
        sa.Column("field", _ascii(64), nullable=False),
        sa.Column("item_key", _text(255), nullable=True),
        sa.Column("string_value", _text(), nullable=True),
        sa.Column("integer_value", sa.BigInteger(), nullable=True),
        sa.Column("number_value", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["artifacts.id"], name="fk_artifact_values_artifact_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("artifact_id", "position", name="pk_artifact_values"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_artifact_values_all_match",
        "artifact_values",
        ["type_name", "match", sa.text("created_at DESC"), "artifact_id"],
    )
    op.create_index(
        "ix_artifact_values_integer",
        "artifact_values",
        ["type_name", "field", "integer_value", "scope", "artifact_id"],
        sqlite_where=sa.text("integer_value IS NOT NULL"),
        postgresql_where=sa.text("integer_value IS NOT NULL"),
    )
    op.create_index(
        "ix_artifact_values_number",
        "artifact_values",
        ["type_name", "field", "number_value", "scope", "artifact_id"],
        sqlite_where=sa.text("number_value IS NOT NULL"),
        postgresql_where=sa.text("number_value IS NOT NULL"),
    )
    op.create_index(
        "ix_artifact_values_scope_match",
        "artifact_values",
        ["type_name", "scope", "match", sa.text("created_at DESC"), "artifact_id"],
    )
    op.create_table(
        "blobs",
        sa.Column("slot_id", _ascii(64), nullable=False),
        sa.Column("artifact_id", _ascii(36), nullable=False),
        sa.Column("field", _ascii(64), nullable=False),
        sa.Column("item_key", _text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("status", _ascii(16), nullable=False),
        sa.Column("content_type", _text(255), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("md5", _ascii(32), nullable=True),
        sa.Column("sha1", _ascii(40), nullable=True),
        sa.Column("sha256", _ascii(64), nullable=True),
        sa.Column("external", sa.SmallInteger(), nullable=False),
        sa.Column("store", _ascii(64), nullable=True),
        sa.Column("object", _ascii(255), nullable=True),
        sa.Column("url", _text(), nullable=True),
        sa.Column("host", _ascii(255), nullable=True),
        sa.Column("confidential", sa.SmallInteger(), nullable=False),
        sa.Column("state", _ascii(16), nullable=True),
        sa.Column("proven_at", sa.BigInteger(), nullable=True),
        sa.Column("seen_at", sa.BigInteger(), nullable=True),
        sa.Column("etag", _text(), nullable=True),
        sa.Column("last_modified", _text(), nullable=True),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("attempt_id", _ascii(32), nullable=True),
        sa.Column("attempt_heartbeat", sa.BigInteger(), nullable=True),
        sa.Column("attempt_reserved", sa.BigInteger(), nullable=True),
        sa.Column("attempt_store", _ascii(64), nullable=True),
        sa.Column("attempt_object", _ascii(255), nullable=True),
        sa.ForeignKeyConstraint(["artifact_id"], ["artifacts.id"], name="fk_blobs_artifact_id"),
        sa.PrimaryKeyConstraint("slot_id", name="pk_blobs"),
    )
    op.create_index("ix_blobs_artifact_id", "blobs", ["artifact_id"])
    op.create_index("ix_blobs_attempt_heartbeat", "blobs", ["attempt_heartbeat"])
    op.create_index(
        "ix_blobs_attempt_id",
        "blobs",
        ["attempt_id"],
        sqlite_where=sa.text("attempt_id IS NOT NULL"),
        postgresql_where=sa.text("attempt_id IS NOT NULL"),
    )
    op.create_index("ix_blobs_host", "blobs", ["host"])
    op.create_index("ix_blobs_sha256", "blobs", ["sha256"])
    op.create_table(
        "content_blocks",
        sa.Column("sha256", _ascii(64), nullable=False),
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digests", _bytes(), nullable=False),
        sa.ForeignKeyConstraint(["sha256"], ["contents.sha256"], name="fk_content_blocks_sha256", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("sha256", "sequence", name="pk_content_blocks"),
    )


def downgrade() -> None:
    for table in (
        "content_blocks",
        "blobs",
        "artifact_values",
        "quotas",
        "quota_usage",
        "outbox",
        "outbound_usage",
        "outbound_leases",
        "outbound_hosts",
        "doomed_objects",
        "contents",
        "artifacts",
        "artifact_counts",
    ):
        op.drop_table(table)
