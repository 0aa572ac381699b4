"""Members have copies of what an artifact is ordered by and may change, which the database keeps."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_TABLE = "artifact_members"
_COPIES = ("artifact_status", "artifact_updated_at", "artifact_activated_at")
_ORIGINALS = ("status", "updated_at", "activated_at")
_KEY = "fk_artifact_members_copies"
_LATEST = (sa.text("artifact_created_at DESC"), "artifact_id")
_WITH_ME = ("type_name", "scope")
_OLD_INDEXES = {
    "newest": (*_WITH_ME, *_LATEST),
    "name": (*_WITH_ME, "name", *_LATEST),
    "name_version": (*_WITH_ME, "name", "version_key", *_LATEST),
    "version": (*_WITH_ME, "version_key", *_LATEST),
    "owner": (*_WITH_ME, "owner", *_LATEST),
}
_INDEXES = {
    "copies": ("artifact_id", *_COPIES),
    "status": (*_WITH_ME, "artifact_status", *_LATEST),
    "updated": (*_WITH_ME, sa.text("artifact_updated_at DESC"), *_LATEST),
    "activated": (*_WITH_ME, sa.text("artifact_activated_at DESC"), *_LATEST),
}
_NEWEST = (sa.text("created_at DESC"), "id")
_OF_SHARING = {
    "name": ("name", *_NEWEST),
    "name_version": ("name", "version_key", *_NEWEST),
    "version": ("version_key", *_NEWEST),
    "status": ("status", *_NEWEST),
    "updated": (sa.text("updated_at DESC"), *_NEWEST),
    "activated": ("activated_at", *_NEWEST),
}


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


def _copies() -> tuple[sa.Column[str] | sa.Column[int], ...]:
    status, *times = _COPIES
    return (
        sa.Column(status, _ascii(16), nullable=True),
        *(sa.Column(time, sa.BigInteger(), nullable=True) for time in times),
    )


def _columns() -> tuple[sa.Column[str] | sa.Column[int], ...]:
    return (
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
    )


def _make_again(*more: sa.schema.SchemaItem) -> None:
    """SQLite adds no keys to a table that is there: another one takes its place."""
    columns = _columns()
    op.create_table(
        f"{_TABLE}_new",
        *columns,
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["artifacts.id"], name="fk_artifact_members_artifact_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("artifact_id", "project", name="pk_artifact_members"),
        *more,
    )
    names = ", ".join(column.name for column in columns)
    op.execute(f"INSERT INTO {_TABLE}_new ({names}) SELECT {names} FROM {_TABLE}")  # noqa: S608 - names of ours
    op.drop_table(_TABLE)
    op.rename_table(f"{_TABLE}_new", _TABLE)
    for name, indexed in _OLD_INDEXES.items():
        op.create_index(f"ix_{_TABLE}_{name}", _TABLE, list(indexed))


def upgrade() -> None:
    """The key comes before the copies: from then on the database keeps them, while nodes of the version before go on
    changing artifacts.
    """
    op.create_index("ix_artifacts_copied", "artifacts", ["id", *_ORIGINALS], unique=True)
    there = sa.text("sharing IS NOT NULL")
    for name, last in _OF_SHARING.items():
        op.create_index(
            f"ix_artifacts_scope_sharing_{name}",
            "artifacts",
            ["type_name", "scope", "sharing", *last],
            sqlite_where=there,
            postgresql_where=there,
        )
    local, remote = ["artifact_id", *_COPIES], ["id", *_ORIGINALS]
    if op.get_bind().dialect.name == "sqlite":
        key = sa.ForeignKeyConstraint(
            local, [f"artifacts.{name}" for name in remote], name=_KEY, onupdate="CASCADE", ondelete="CASCADE"
        )
        _make_again(*_copies(), key)
    else:
        for column in _copies():
            op.add_column(_TABLE, column)
    for name, indexed in _INDEXES.items():
        op.create_index(f"ix_{_TABLE}_{name}", _TABLE, list(indexed))
    if op.get_bind().dialect.name != "sqlite":
        op.create_foreign_key(_KEY, _TABLE, "artifacts", local, remote, onupdate="CASCADE", ondelete="CASCADE")
    # In one statement: what only some of the three are copied of is not kept yet.
    mine = f"FROM artifacts WHERE artifacts.id = {_TABLE}.artifact_id"
    pairs = zip(_COPIES, _ORIGINALS, strict=True)
    copied = ", ".join(f"{copy} = (SELECT {name} {mine})" for copy, name in pairs)
    op.execute(f"UPDATE {_TABLE} SET {copied}")  # noqa: S608 - names of ours


def downgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    if not sqlite:
        op.drop_constraint(_KEY, _TABLE, type_="foreignkey")
    for name in _INDEXES:
        op.drop_index(f"ix_{_TABLE}_{name}", _TABLE)
    if sqlite:
        _make_again()
    else:
        for name in _COPIES:
            op.drop_column(_TABLE, name)
    for name in _OF_SHARING:
        op.drop_index(f"ix_artifacts_scope_sharing_{name}", "artifacts")
    op.drop_index("ix_artifacts_copied", "artifacts")
