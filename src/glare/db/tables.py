"""The tables, designed for SQLite, PostgreSQL and MariaDB alike.

Times are microseconds since the epoch in a BIGINT. Text compares and sorts by code point everywhere (`utf8mb4_bin` on
MariaDB, `C` on PostgreSQL); machine-made text is ASCII, so that composite keys fit into InnoDB's 3072 bytes. Booleans
are 0 and 1.

`scope` is who sees an artifact in lists: ``public``, or the first 32 hex digits of the sha256 of the owner's project
for any other, or null once it is deleted (`glare.db.keys.scope_of`). Lists read one branch a scope with ``UNION ALL``,
never ``OR``, so every guaranteed shape walks one index per branch; what is shared with a project is one more.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.mysql import MEDIUMBLOB
from sqlalchemy.types import TypeEngine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _collated(length: int | None, mysql: str) -> TypeEngine[str]:
    def kind(collation: str | None = None) -> String:
        return Text(collation=collation) if length is None else String(length, collation=collation)

    return kind().with_variant(kind(mysql), "mysql", "mariadb").with_variant(kind("C"), "postgresql")


def _ascii(length: int) -> TypeEngine[str]:
    return _collated(length, "ascii_bin")


def _text(length: int | None = None) -> TypeEngine[str]:
    return _collated(length, "utf8mb4_bin")


def _bytes() -> TypeEngine[bytes]:
    return LargeBinary().with_variant(MEDIUMBLOB(), "mysql", "mariadb")


def _auto_id() -> TypeEngine[int]:
    return BigInteger().with_variant(Integer(), "sqlite")  # SQLite autoincrements INTEGER only


artifacts = Table(
    "artifacts",
    metadata,
    Column("id", _ascii(36), primary_key=True),
    Column("type_name", _ascii(64), nullable=False),
    Column("name", _text(255), nullable=False),
    Column("version", _ascii(530), nullable=False),  # canonical text
    Column("version_key", _ascii(600), nullable=False),  # sorts as semver does, without build metadata
    Column("owner", _text(255), nullable=False),
    Column("status", _ascii(16), nullable=False),
    Column("visibility", _ascii(16), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("activated_at", BigInteger),
    Column("deleted_at", BigInteger),
    Column("revision", BigInteger, nullable=False),
    # sha256 (hex) of the tagged (type, name, version, scope); null once deleted: names are unique by this constraint
    # alone.
    Column("uniqueness", _ascii(64), unique=True),
    Column("scope", _ascii(32)),
    Column("listed", SmallInteger, nullable=False),  # 0 once deleted: what an admin's lists start from
    # shared or community, while `visibility` says private: which is all that older releases look at.
    Column("sharing", _ascii(16)),
    Column("document", _bytes(), nullable=False),  # JSON of Artifact.values
    # What the database keeps copies of in `artifact_members`.
    Index("ix_artifacts_copied", "id", "status", "updated_at", "activated_at", unique=True),
)

artifact_values = Table(
    "artifact_values",
    metadata,
    Column("artifact_id", _ascii(36), ForeignKey("artifacts.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("type_name", _ascii(64), nullable=False),
    Column("scope", _ascii(32)),
    Column("created_at", BigInteger, nullable=False),
    Column("match", _ascii(32), nullable=False),  # hash of (field, key, typed value): equality, whatever the length
    Column("field", _ascii(64), nullable=False),
    Column("item_key", _text(255)),  # the key of a dict's entry
    Column("string_value", _text()),
    Column("integer_value", BigInteger),  # booleans too
    Column("number_value", Double),
    # The rows of one artifact lie together, and are found without a look into a second tree.
    sqlite_with_rowid=False,
)

blobs = Table(
    "blobs",
    metadata,
    # sha256 (hex) of (artifact, field, key): folder keys may be longer than an InnoDB key. One row is one slot, so a
    # second attempt or a second blob cannot exist beside the first.
    Column("slot_id", _ascii(64), primary_key=True),
    Column("artifact_id", _ascii(36), ForeignKey("artifacts.id"), nullable=False, index=True),
    Column("field", _ascii(64), nullable=False),
    Column("item_key", _text()),
    Column("created_at", BigInteger, nullable=False),
    Column("status", _ascii(16), nullable=False),  # saving until the first publication, active from then on
    Column("content_type", _text(255)),
    Column("size", BigInteger),
    Column("md5", _ascii(32)),
    Column("sha1", _ascii(40)),
    Column("sha256", _ascii(64), index=True),
    Column("external", SmallInteger, nullable=False),
    Column("store", _ascii(64)),
    Column("object", _ascii(255)),
    Column("url", _text()),
    Column("project", _text(255)),  # of an external location: whose it is, so that theirs can be listed
    Column("location_id", _ascii(32)),  # one record of an external location: a later one in the same slot has another
    Column("host", _ascii(255)),
    Column("confidential", SmallInteger, nullable=False, default=0),
    Column("state", _ascii(16)),
    Column("reason", _ascii(32)),  # why it is not verified, or why the last check failed
    Column("proven_at", BigInteger),
    Column("seen_at", BigInteger),
    Column("check_at", BigInteger),  # when the next check of any kind is due; null where nothing is to be checked
    Column("full_at", BigInteger),  # when the next full one is due
    Column("failures", Integer, nullable=False, server_default="0"),  # failed checks in a row
    Column("matched_at", BigInteger),  # the first equal full check since it was changed or unreachable
    Column("doubt", _ascii(32)),  # what hinted at a change that no full check has looked at yet
    Column("refuted", Integer, nullable=False, server_default="0"),  # hints that full checks have shown to be wrong
    Column("withheld_at", BigInteger),  # since when a finding waits for the end of an outage of ours
    Column("withheld", _ascii(16)),  # which one: changed or failed
    Column("faults", Integer, nullable=False, server_default="0"),  # checks in a row that ended by a defect of ours
    Column("asked_at", BigInteger),  # when somebody asked for the check that is due
    Column("stale_told_at", BigInteger),  # when its age was last told to subscribers
    Column("etag", _text()),
    Column("last_modified", _text()),
    Column(
        "as_sent", _ascii(255)
    ),  # what the origin's headers left in doubt when the bytes were proved by a claim: JSON
    Column("generation", BigInteger, nullable=False, default=0),
    Column("source_url", _text()),  # where managed bytes were copied from
    Column("source_confidential", Integer, nullable=False, server_default="0"),
    Column("damage", _ascii(16)),  # what was wrong with the object when its bytes were last read; null for nothing
    Column("damaged_at", BigInteger),
    Column("attempt_id", _ascii(32)),
    Column("attempt_heartbeat", BigInteger, index=True),
    Column("attempt_reserved", BigInteger),
    Column("attempt_store", _ascii(64)),
    Column("attempt_object", _ascii(255)),
    Index("ix_blobs_store", "store", "slot_id"),
)

location_checks = Table(
    "location_checks",
    metadata,
    # The history of a location: equal outcomes in a row are one entry.
    Column("id", _auto_id(), primary_key=True, autoincrement=True),
    Column("location_id", _ascii(32), nullable=False),
    Column("kind", _ascii(16), nullable=False),
    Column("outcome", _ascii(16), nullable=False),
    Column("reason", _ascii(32)),
    Column("state", _ascii(16), nullable=False),  # the location's after it
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False, index=True),
    Column("checks", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Index("ix_location_checks_location", "location_id", "id"),
)

location_hosts = Table(
    "location_hosts",
    metadata,
    # Workers lease hosts, so that one slow origin holds one worker, and limits hold over all nodes.
    Column("host", _ascii(255), primary_key=True),
    Column("due_at", BigInteger, nullable=False, index=True),
    Column("claimed_by", _ascii(32)),
    Column("claimed_until", BigInteger),
    Column("failures", Integer, nullable=False),  # checks in a row that did not reach it
    Column("failed_at", BigInteger, index=True),
    Column("reached_at", BigInteger, index=True),
    Column("changed_at", BigInteger),  # when a location of it that was good was last found changed
    Column("network", _ascii(64)),  # of its address when it was last reached
    Column("project", _text(255)),  # whose location was checked last
)
location_turns = Table(
    "location_turns",
    metadata,
    # Projects take turns at a host: each has one place in its line, however many locations.
    Column("host", _ascii(255), primary_key=True),
    Column("project", _text(255), primary_key=True),  # empty for nobody's
    Column("due_at", BigInteger, nullable=False),  # its place in the line: not before a location of it is due
    Column("failures", Integer, nullable=False, server_default="0"),  # checks of it in a row that met silence
    Index("ix_location_turns_due", "host", "due_at"),
    Index("ix_location_turns_line", "due_at", "project", "host"),
)

contents = Table(
    "contents",
    metadata,
    Column("sha256", _ascii(64), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("touched_at", BigInteger, nullable=False, index=True),  # the last publication: young rows are never swept
)

content_blocks = Table(
    "content_blocks",
    metadata,
    Column("sha256", _ascii(64), ForeignKey("contents.sha256", ondelete="CASCADE"), primary_key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("digests", _bytes(), nullable=False),  # up to 1024 raw sha256 values, of blocks sequence*1024 onwards
)

doomed_objects = Table(
    "doomed_objects",
    metadata,
    # Objects of stores that no row needs any more. Written in the transaction that lets go of them, emptied by the
    # sweep.
    Column("id", _auto_id(), primary_key=True),
    Column("store", _ascii(64), nullable=False),
    Column("object", _ascii(255), nullable=False),
    Column("not_before", BigInteger, nullable=False, index=True),
    Column("tries", Integer, nullable=False),
    Index("ix_doomed_objects_object", "object"),
)

stored_objects = Table(
    "stored_objects",
    metadata,
    # Objects of the store that keeps bytes in this database. The id is never used twice: a reader of an object that is
    # gone must not find another one's chunks.
    Column("id", _ascii(32), primary_key=True),
    Column("name", _ascii(128), nullable=False, index=True),
    Column("object", _ascii(128), unique=True),  # the name once it is committed, null before and after
    Column("state", _ascii(16), nullable=False),  # writing, stored, removing
    Column("size", BigInteger, nullable=False),
    Column("chunk_size", Integer, nullable=False),
    Column("touched_at", BigInteger, nullable=False),
    Index("ix_stored_objects_state", "state", "touched_at"),
)

stored_chunks = Table(
    "stored_chunks",
    metadata,
    Column("object_id", _ascii(32), ForeignKey("stored_objects.id"), primary_key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("data", _bytes(), nullable=False),  # all of `chunk_size` bytes, but the last
)

stores = Table(
    "stores",
    metadata,
    # Which place each store of bytes is: a node with another one must not work with this database.
    Column("name", _ascii(64), primary_key=True),
    Column("identity", _ascii(128), nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
)

fsck_runs = Table(
    "fsck_runs",
    metadata,
    # How far a check of a store has come, so that the next one goes on there.
    Column("store", _ascii(64), primary_key=True),
    Column("phase", _ascii(16), nullable=False),  # blobs, objects
    Column("position", _ascii(128), nullable=False),  # the last slot or object that was looked at
    Column("started_at", BigInteger, nullable=False),
    Column("holder", _ascii(32)),
    Column("heartbeat", BigInteger, nullable=False),
    Column("counts", _bytes(), nullable=False),  # JSON
)

patrols = Table(
    "patrols",
    metadata,
    # How far the background has come with reading all bytes of a store again.
    Column("store", _ascii(64), primary_key=True),
    Column("started_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),  # null while a round is under way
    Column("position", _ascii(64), nullable=False),  # the last slot whose object was read to its end
    Column("object", _ascii(255)),  # the one that is being read,
    Column("block", BigInteger, nullable=False),  # and how many of its blocks were found right
    Column("holder", _ascii(32)),
    Column("held_until", BigInteger),
    Column("counts", _bytes(), nullable=False),  # JSON
)

artifact_members = Table(
    "artifact_members",
    metadata,
    # Projects that an artifact is shared with. What is shared is active or was, so most of what lists are ordered by
    # here cannot change any more. What can, the database itself copies whenever the artifact changes, whichever release
    # changes it; but not where one of the three is null: then an older release has added the member, and lists look at
    # the artifact.
    Column("artifact_id", _ascii(36), ForeignKey("artifacts.id", ondelete="CASCADE"), primary_key=True),
    Column("project", _text(255), primary_key=True),
    Column("status", _ascii(16), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("scope", _ascii(32), nullable=False),  # of project and status: see `glare.db.keys.member_scope`
    Column("type_name", _ascii(64), nullable=False),
    Column("name", _text(255), nullable=False),
    Column("version_key", _ascii(600), nullable=False),
    Column("owner", _text(255), nullable=False),
    Column("artifact_created_at", BigInteger, nullable=False),
    Column("artifact_status", _ascii(16)),
    Column("artifact_updated_at", BigInteger),
    Column("artifact_activated_at", BigInteger),
    ForeignKeyConstraint(
        ["artifact_id", "artifact_status", "artifact_updated_at", "artifact_activated_at"],
        ["artifacts.id", "artifacts.status", "artifacts.updated_at", "artifacts.activated_at"],
        name="fk_artifact_members_copies",
        onupdate="CASCADE",
        ondelete="CASCADE",
    ),
    # Where the database finds the copies.
    Index(
        "ix_artifact_members_copies", "artifact_id", "artifact_status", "artifact_updated_at", "artifact_activated_at"
    ),
)

member_counts = Table(
    "member_counts",
    metadata,
    # Apart from `artifact_counts`, which is the total of what there is.
    Column("type_name", _ascii(64), primary_key=True),
    Column("scope", _ascii(32), primary_key=True),
    Column("total", BigInteger, nullable=False),
)

artifact_counts = Table(
    "artifact_counts",
    metadata,
    Column("type_name", _ascii(64), primary_key=True),
    Column("scope", _ascii(32), primary_key=True),
    Column("total", BigInteger, nullable=False),
)

quotas = Table(
    "quotas",
    metadata,
    Column("project", _text(255), primary_key=True),
    Column("name", _text(255), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

quota_usage = Table(
    "quota_usage",
    metadata,
    Column("project", _text(255), primary_key=True),
    Column("type_name", _ascii(64), primary_key=True),  # empty: of all types
    Column("artifacts", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
)

outbound_usage = Table(
    "outbound_usage",
    metadata,
    Column("project", _text(255), primary_key=True),
    Column("period", BigInteger, primary_key=True, autoincrement=False),  # start of the window
    Column("requests", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
)

outbound_hosts = Table(
    "outbound_hosts",
    metadata,
    Column("host", _ascii(255), primary_key=True),
    Column("period", BigInteger, primary_key=True, autoincrement=False),
    Column("requests", BigInteger, nullable=False),
)

outbound_leases = Table(
    "outbound_leases",
    metadata,
    Column("id", _ascii(32), primary_key=True),
    Column("project", _text(255), nullable=False, index=True),
    Column("host", _ascii(255), nullable=False, index=True),
    Column("heartbeat", BigInteger, nullable=False, index=True),
)

marks = Table(
    "marks",
    metadata,
    # One of each change, for as long as somebody may ask whether it was kept. See `glare.db.dialects.marks`.
    Column("id", _ascii(32), primary_key=True),
)

jobs = Table(
    "jobs",
    metadata,
    # Work that outlives the request that asked for it, and the process that does it.
    Column("id", _ascii(32), primary_key=True),
    Column("kind", _ascii(16), nullable=False),
    Column("state", _ascii(16), nullable=False),  # waiting, running, done, failed
    Column("project", _text(255), nullable=False),
    Column("type_name", _ascii(64), nullable=False),
    Column("artifact_id", _ascii(36), nullable=False, index=True),
    Column("field", _ascii(64), nullable=False),
    Column("item_key", _text()),
    Column("location_id", _ascii(32), nullable=False, index=True),
    Column("host", _ascii(255), nullable=False),
    Column("payload", _bytes(), nullable=False),  # JSON, by kind
    Column("due_at", BigInteger, nullable=False),
    Column("claimed_by", _ascii(32), index=True),
    Column("claimed_until", BigInteger),
    Column("tries", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger, index=True),
    Column("outcome", _bytes()),  # JSON: why it failed, or failed last
    Column("trace", _ascii(600)),
    Index("ix_jobs_state_due_at", "state", "due_at"),
    Index("ix_jobs_state_project_due_at", "state", "project", "due_at"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", _auto_id(), primary_key=True, autoincrement=True),
    Column("event_id", _ascii(32), nullable=False),
    Column("event_type", _ascii(64), nullable=False),
    Column("project", _text(255)),
    Column("type_name", _ascii(64)),
    Column("artifact_id", _ascii(36)),
    Column("payload", _bytes(), nullable=False),
    Column("occurred_at", BigInteger, nullable=False),
    Column("claimed_until", BigInteger),
    Column("claimed_by", _ascii(32)),
    Column("tries", Integer, nullable=False, default=0),
    Column("consumed_at", BigInteger),
    Column("aside_until", BigInteger),  # one that cannot be delivered while others can lets them pass until then
    Column("trace", _ascii(600)),  # of whom it belongs to: see `glare.trace`
    Column("fanned_at", BigInteger),  # when it became messages to subscribers, whether or not it is consumed
    Column("fan_tries", Integer, nullable=False, server_default="0"),  # how often that has failed by a defect of ours
    Column("fan_at", BigInteger),  # when it is tried again
)
Index("ix_outbox_consumed_at_id", outbox.c.consumed_at, outbox.c.id)
Index("ix_outbox_fanned_at_id", outbox.c.fanned_at, outbox.c.id)
_held = blobs.c.attempt_id.is_not(None)
Index("ix_blobs_attempt_id", blobs.c.attempt_id, sqlite_where=_held, postgresql_where=_held)
_external = blobs.c.host.is_not(None)
Index("ix_blobs_host_check", blobs.c.host, blobs.c.check_at, sqlite_where=_external, postgresql_where=_external)
Index(
    "ix_blobs_host_project_check", blobs.c.host, blobs.c.project, blobs.c.check_at,
    sqlite_where=_external, postgresql_where=_external,
)  # fmt: skip
Index("ix_blobs_location_id", blobs.c.location_id, unique=True)
Index(
    "ix_blobs_project_location", blobs.c.project, blobs.c.location_id,
    sqlite_where=_external, postgresql_where=_external,
)  # fmt: skip
Index(
    "ix_blobs_state_location", blobs.c.state, blobs.c.location_id,
    sqlite_where=_external, postgresql_where=_external,
)  # fmt: skip
Index("ix_blobs_proof", blobs.c.state, blobs.c.proven_at, sqlite_where=_external, postgresql_where=_external)
_managed = blobs.c.object.is_not(None)
Index("ix_blobs_object", blobs.c.object, sqlite_where=_managed, postgresql_where=_managed)
_damaged = blobs.c.damage.is_not(None)
Index("ix_blobs_damage", blobs.c.damage, blobs.c.slot_id, sqlite_where=_damaged, postgresql_where=_damaged)

subscription_projects = Table(
    "subscription_projects",
    metadata,
    Column("project", _text(255), primary_key=True),
    Column("served_at", BigInteger, nullable=False),  # the last claim of one of its subscriptions: claims rotate
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", _ascii(36), primary_key=True),
    Column("project", _text(255), nullable=False),
    Column("user_id", _text(255)),
    Column("description", _text(255), nullable=False),
    Column("target", _text(), nullable=False),
    Column("events", _bytes(), nullable=False),  # JSON: a list of names, or null for all
    Column("type_name", _ascii(64)),
    Column("artifact_id", _ascii(36)),
    Column("location_id", _ascii(32)),
    Column("state", _ascii(16), nullable=False),
    Column("reason", _ascii(32)),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    # Encrypted with the operator's key: the secrets that sign, and the token that a target confirms with.
    Column("secret", _ascii(1024), nullable=False),
    Column("old_secret", _ascii(1024)),
    Column("old_secret_until", BigInteger),
    Column("token", _ascii(1024)),
    Column("confirm_until", BigInteger),
    Column("failing_since", BigInteger),
    Column("delivered_at", BigInteger),
    # Workers lease subscriptions, so that messages to one target go one after the other.
    Column("next_at", BigInteger),
    Column("claimed_by", _ascii(32)),
    Column("claimed_until", BigInteger),
    Index("ix_subscriptions_project", "project", "created_at", "id"),
    Index("ix_subscriptions_due", "state", "next_at"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", _auto_id(), primary_key=True, autoincrement=True),
    Column("subscription_id", _ascii(36), ForeignKey("subscriptions.id", ondelete="CASCADE"), nullable=False),
    Column("message_id", _ascii(40), nullable=False),
    Column("outbox_id", BigInteger),
    Column("event_id", _ascii(32), nullable=False),
    Column("event_type", _ascii(64), nullable=False),
    Column("project", _text(255)),
    Column("type_name", _ascii(64)),
    Column("artifact_id", _ascii(36)),
    Column("payload", _bytes(), nullable=False),
    Column("occurred_at", BigInteger, nullable=False),
    Column("state", _ascii(16), nullable=False),
    Column("reason", _ascii(32)),
    Column("status", SmallInteger),
    Column("tries", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("first_tried_at", BigInteger),
    Column("tried_at", BigInteger),
    Column("finished_at", BigInteger, index=True),
    Column("trace", _ascii(600)),
    Index("ix_deliveries_message", "subscription_id", "message_id", unique=True),
    Index("ix_deliveries_event", "subscription_id", "event_id", unique=True),  # once into the log
    Index("ix_deliveries_queue", "subscription_id", "state", "id"),
    Index("ix_deliveries_log", "subscription_id", "id"),
)
_unfinished = deliveries.c.finished_at.is_(None)
Index("ix_deliveries_state", deliveries.c.state, sqlite_where=_unfinished, postgresql_where=_unfinished)

audit = Table(
    "audit",
    metadata,
    Column("id", _auto_id(), primary_key=True, autoincrement=True),
    Column("occurred_at", BigInteger, nullable=False),
    Column("request_id", _ascii(40)),
    Column("user_id", _text(255)),
    Column("project", _text(255)),  # of who did it, not of what it was done to
    Column("roles", _text(1024), nullable=False),
    Column("action", _ascii(64), nullable=False),
    Column("outcome", _ascii(16), nullable=False),
    Column("type_name", _ascii(64)),
    Column("artifact_id", _ascii(36)),
    Column("target", _text(255)),
    Column("detail", _bytes(), nullable=False),  # JSON
    Column("source", _ascii(32)),  # how the user was known
    Column("credential", _text(255)),  # its id
)
Index("ix_audit_occurred_at_id", audit.c.occurred_at, audit.c.id)
for _name, _column in (
    ("user", audit.c.user_id),
    ("project", audit.c.project),
    ("artifact", audit.c.artifact_id),
    ("action", audit.c.action),
    ("outcome", audit.c.outcome),
):
    Index(f"ix_audit_{_name}", _column, audit.c.occurred_at, audit.c.id)


def _list_indexes() -> None:
    """Every guaranteed list shape walks one of these from its first row to its last.

    Each comes twice: by scope for everybody, by `listed` for those who see all.
    """
    a, v = artifacts.c, artifact_values.c
    newest = (a.created_at.desc(), a.id)
    for prefix, who in (((a.type_name, a.scope), "scope"), ((a.type_name, a.listed), "all")):
        Index(f"ix_artifacts_{who}_newest", *prefix, *newest)
        Index(f"ix_artifacts_{who}_name", *prefix, a.name, *newest)
        Index(f"ix_artifacts_{who}_name_version", *prefix, a.name, a.version_key, *newest)
        Index(f"ix_artifacts_{who}_version", *prefix, a.version_key, *newest)
        Index(f"ix_artifacts_{who}_status", *prefix, a.status, *newest)
        Index(f"ix_artifacts_{who}_owner", *prefix, a.owner, *newest)
        Index(f"ix_artifacts_{who}_updated", *prefix, a.updated_at)  # Hardly two share it, so nothing follows.
        Index(f"ix_artifacts_{who}_activated", *prefix, a.activated_at, *newest)  # Many share its null.
    Index("ix_artifacts_all_visibility", a.type_name, a.listed, a.visibility, *newest)
    Index("ix_artifacts_deleted_at", a.deleted_at)
    shared = a.sharing.is_not(None)
    Index(
        "ix_artifacts_all_sharing", a.type_name, a.listed, a.visibility, a.sharing, *newest,
        sqlite_where=shared, postgresql_where=shared,
    )  # fmt: skip
    Index(
        "ix_artifacts_scope_sharing", a.type_name, a.scope, a.sharing, *newest,
        sqlite_where=shared, postgresql_where=shared,
    )  # fmt: skip
    for name, first in (
        ("name", (a.name,)),
        ("name_version", (a.name, a.version_key)),
        ("version", (a.version_key,)),
        ("status", (a.status,)),
        ("updated", (a.updated_at.desc(),)),
        ("activated", (a.activated_at,)),
    ):
        Index(
            f"ix_artifacts_scope_sharing_{name}", a.type_name, a.scope, a.sharing, *first, *newest,
            sqlite_where=shared, postgresql_where=shared,
        )  # fmt: skip
    m = artifact_members.c
    with_me = (m.type_name, m.scope)
    latest = (m.artifact_created_at.desc(), m.artifact_id)
    Index("ix_artifact_members_newest", *with_me, *latest)
    Index("ix_artifact_members_name", *with_me, m.name, *latest)
    Index("ix_artifact_members_name_version", *with_me, m.name, m.version_key, *latest)
    Index("ix_artifact_members_version", *with_me, m.version_key, *latest)
    Index("ix_artifact_members_owner", *with_me, m.owner, *latest)
    Index("ix_artifact_members_status", *with_me, m.artifact_status, *latest)
    Index("ix_artifact_members_updated", *with_me, m.artifact_updated_at.desc(), *latest)
    Index("ix_artifact_members_activated", *with_me, m.artifact_activated_at.desc(), *latest)
    Index("ix_artifact_values_scope_match", v.type_name, v.scope, v.match, v.created_at.desc(), v.artifact_id)
    Index("ix_artifact_values_all_match", v.type_name, v.match, v.created_at.desc(), v.artifact_id)
    for name in ("integer", "number"):
        value = v[f"{name}_value"]
        there = value.is_not(None)  # MariaDB has no partial indexes, and keeps the nulls.
        Index(
            f"ix_artifact_values_{name}", v.type_name, v.field, value, v.scope, v.artifact_id,
            sqlite_where=there, postgresql_where=there,
        )  # fmt: skip


_list_indexes()

takedowns = Table(
    "takedowns",
    metadata,
    Column("id", _ascii(36), primary_key=True),
    Column("kind", _ascii(8), nullable=False),  # digest, host or url
    # sha256 (hex) of the tagged, normalised value: what each download and each outbound request asks for.
    Column("key", _ascii(64), nullable=False, unique=True),
    Column("value", _text(), nullable=False),
    Column("reason", _text(), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", _text(255)),  # the user, null where the service does not know
)

publishers = Table(
    "publishers",
    metadata,
    Column("id", _ascii(36), primary_key=True),
    Column("project", _text(255), nullable=False),
    Column("place", Integer, nullable=False),  # from 0 up to the most that a project may have
    Column("issuer", _ascii(32), nullable=False),  # its name in the operator's file
    # sha256 (hex) of issuer, name and value of one exact claim: what each new token of a build asks for.
    Column("anchor", _ascii(64), nullable=False),
    Column("claims", _bytes(), nullable=False),  # JSON: patterns by the names of claims
    Column("roles", _bytes(), nullable=False),  # JSON: a list of names
    Column("types", _bytes()),  # JSON: a list of names; null is all
    Column("names", _bytes()),  # JSON: a list of patterns; null is all
    Column("description", _text(255), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", _text(255)),
    UniqueConstraint("project", "place"),
    Index("ix_publishers_anchor", "anchor", "id"),
    Index("ix_publishers_project", "project", "created_at", "id"),
    Index("ix_publishers_created_at", "created_at", "id"),
)
"""Builds that may write into a project with the token of their platform."""

links = Table(
    "links",
    metadata,
    Column("id", _ascii(36), primary_key=True),
    Column("project", _text(255), nullable=False),
    # Who made it, and reads by it.
    Column("user_id", _text(255)),
    Column("maker_project", _text(255)),
    Column("roles", _text(), nullable=False),
    Column("domain", _text(255)),
    Column("system", SmallInteger, nullable=False),
    Column("type_name", _ascii(64), nullable=False),
    Column("artifact_id", _ascii(36), nullable=False),
    Column("path", _text(511), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("network", _ascii(64)),
    Column("uses_left", BigInteger),  # null where uses are not counted
    Column("description", _text(255), nullable=False),
    # Who vouched for the maker, and with what; null where an older release has made the link.
    Column("source", _ascii(32)),
    Column("credential", _text(255)),
    Index("ix_links_project", "project", "id"),
    Index("ix_links_credential", "credential"),
    Index("ix_links_expires_at", "expires_at"),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", _ascii(36), primary_key=True),
    Column("sha256", _ascii(64), nullable=False, unique=True),  # of the token, which is not kept
    Column("project", _text(255), nullable=False),
    Column("user_id", _text(255), nullable=False),
    Column("domain", _text(255)),
    Column("roles", _bytes(), nullable=False),  # JSON: a list of names
    Column("description", _text(255), nullable=False),
    Column("limits", _bytes(), nullable=False),  # JSON: what it may do less than its project and roles
    Column("source", _ascii(32), nullable=False),  # the identity source of its maker
    Column("parent", _ascii(36)),  # the token that it was made with
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("notify_at", BigInteger),  # when its project is told that it expires; null where that is not to be
    Column("last_used_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("revocation", BigInteger),  # its number
    Index("ix_api_tokens_project", "project", "created_at", "id"),
    Index("ix_api_tokens_user", "user_id", "created_at", "id"),
    Index("ix_api_tokens_parent", "parent"),
    Index("ix_api_tokens_notify_at", "notify_at"),
    Index("ix_api_tokens_expires_at", "expires_at"),
    Index("ix_api_tokens_revoked_at", "revoked_at"),
    Index("ix_api_tokens_revocation", "revocation"),
)

api_token_state = Table(
    "api_token_state",
    metadata,
    # One row. Its number grows with each revocation, which has it too: so every process learns of new ones by reading
    # one number. Who makes a token locks it, so that two at once do not pass a limit that has room for one.
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("revocations", BigInteger, nullable=False),
)
