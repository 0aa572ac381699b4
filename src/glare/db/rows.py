"""Reading artifacts: rows of `artifacts` and `blobs` become `Artifact` values.

Every function runs in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, bindparam, func, select

from glare.db import as_sent
from glare.db.tables import artifacts, blobs
from glare.digest import Digests
from glare.domain.artifact import Artifact, Status, Visibility
from glare.domain.blob import (
    Attempt,
    Blob,
    BlobStatus,
    ClaimedDigests,
    Damage,
    External,
    LocationState,
    Managed,
    Slot,
    Source,
)

_decode = msgspec.json.Decoder(dict[str, Any]).decode

_ARTIFACT: Final = [
    artifacts.c[name]
    for name in (
        "id", "type_name", "name", "version", "owner", "status", "visibility", "created_at", "updated_at",
        "activated_at", "document", "revision", "deleted_at", "sharing",
    )
]  # fmt: skip
_BLOB: Final = [
    blobs.c[name]
    for name in (
        "artifact_id", "field", "item_key", "created_at", "status", "content_type", "size", "md5", "sha1", "sha256",
        "store",
        "object", "url", "confidential", "state", "proven_at", "seen_at", "etag", "last_modified", "generation",
        "attempt_id", "attempt_heartbeat", "attempt_reserved", "damage", "location_id", "reason", "failures",
        "check_at",
        "full_at", "matched_at", "source_url", "source_confidential", "as_sent",
    )
]  # fmt: skip
_WIDTH: Final = len(_ARTIFACT)
_ID_LENGTH: Final = 36

_ONE = (
    select(*_ARTIFACT, *_BLOB)
    .select_from(artifacts.outerjoin(blobs, blobs.c.artifact_id == artifacts.c.id))
    .where(artifacts.c.id == bindparam("wanted"))
)
_MANY = select(*_ARTIFACT).where(artifacts.c.id.in_(bindparam("wanted", expanding=True)))
_MANY_BLOBS = select(*_BLOB).where(blobs.c.artifact_id.in_(bindparam("wanted", expanding=True)))

_SIZES = select(
    artifacts.c.id,
    func.length(artifacts.c.document),
    select(func.count()).where(blobs.c.artifact_id == artifacts.c.id).scalar_subquery(),
).where(artifacts.c.id.in_(bindparam("wanted", expanding=True)))
_FEW: Final = 25
_MOST: Final = 100
_BLOB_BYTES: Final = 700  # What a blob adds to a document that shows it, about.

_STATUS: Final = {status.value: status for status in Status}
_VISIBILITY: Final = {visibility.value: visibility for visibility in Visibility}


def fetch_artifact(connection: Connection, artifact_id: str) -> Artifact | None:
    """The artifact with its blobs, deleted or not, in one query; None when there is none.

    The blobs of a folder come in the order in which their slots were first taken.
    """
    if not may_be_id(artifact_id):
        return None
    rows = connection.execute(_ONE, {"wanted": artifact_id}).all()
    if not rows:
        return None
    first = rows[0]
    return _artifact(first, [row[_WIDTH:] for row in rows] if first[_WIDTH] is not None else ())


def owners(connection: Connection, ids: Sequence[str]) -> dict[str, tuple[str, Visibility]]:
    """Owner and visibility of the artifacts of `ids` by id. Those that are not there are left out."""
    columns = (artifacts.c.id, artifacts.c.owner, artifacts.c.visibility, artifacts.c.sharing)
    found = connection.execute(select(*columns).where(artifacts.c.id.in_(ids))) if ids else ()
    return {row.id: (row.owner, visibility_of(row.visibility, row.sharing)) for row in found}


def visibility_of(stored: str, sharing: str | None) -> Visibility:
    """What two columns of a row say. An older release may have published what was shared, and left that there."""
    visibility = _VISIBILITY[stored]
    return visibility if sharing is None or visibility is Visibility.PUBLIC else _VISIBILITY[sharing]


def may_be_id(text: str) -> bool:
    """Whether an artifact could have this id. What databases refuse to compare with one could not."""
    return len(text) <= _ID_LENGTH and text.isascii() and "\0" not in text


def fetch_artifacts(connection: Connection, ids: Sequence[str]) -> list[Artifact]:
    """The artifacts of `ids` with their blobs, in that order, in two queries. Ids that are not there are left out."""
    if not ids:
        return []
    wanted = {"wanted": list(ids)}
    rows = {row[0]: row for row in connection.execute(_MANY, wanted)}
    found = sorted(connection.execute(_MANY_BLOBS, wanted), key=itemgetter(0))
    slots = {artifact_id: list(group) for artifact_id, group in groupby(found, key=itemgetter(0))}
    return [_artifact(rows[wanted_id], slots.get(wanted_id, ())) for wanted_id in ids if wanted_id in rows]


def batches(connection: Connection, ids: Sequence[str], size: int) -> list[list[str]]:
    """The artifacts of `ids`, in that order, in runs whose documents and blobs have about `size` bytes, or which are
    one artifact.

    One statement, which reads no document; none where there are so few that they are read at once anyway.
    """
    if len(ids) <= _FEW:
        return [list(ids)] if ids else []
    sizes = {row[0]: row[1] + row[2] * _BLOB_BYTES for row in connection.execute(_SIZES, {"wanted": list(ids)})}
    runs: list[list[str]] = []
    room = 0
    for wanted in ids:
        room -= sizes.get(wanted, 0)
        if not runs or room < 0 or len(runs[-1]) == _MOST:
            runs.append([])
            room = size - sizes.get(wanted, 0)
        runs[-1].append(wanted)
    return runs


def _artifact(row: Row[Any], slots: Iterable[Sequence[Any]]) -> Artifact:
    (
        artifact_id, type_name, name, version, owner, status, visibility, created_at, updated_at, activated_at,
        document,
        revision, deleted_at, sharing,
    ) = row[:_WIDTH]  # fmt: skip
    return Artifact(
        artifact_id,
        type_name,
        name,
        version,
        owner,
        _STATUS[status],
        visibility_of(visibility, sharing),
        created_at,
        updated_at,
        activated_at,
        _decode(document),
        {blob.slot: blob for blob in map(_blob, sorted(slots, key=_slot_order))},
        revision,
        deleted_at,
    )


def _slot_order(row: Sequence[Any]) -> tuple[int, str, str]:
    _, field, key, created_at, *_ = row
    return created_at, field, key or ""


def _blob(row: Sequence[Any]) -> Blob:
    (
        _, field, key, _, status, content_type, size, md5, sha1, sha256, store,
        stored_object, url, confidential, state, proven_at, seen_at, etag, last_modified, generation,
        attempt_id, attempt_heartbeat, attempt_reserved, damage, location_id, reason, failures, check_at, full_at,
        matched_at,
        source_url, source_confidential, sent,
    ) = row  # fmt: skip
    location: Managed | External | None = None
    if url is not None:
        location = External(
            url, bool(confidential), LocationState(state), proven_at, seen_at, etag, last_modified, generation,
            location_id,
            reason, failures, check_at, full_at, matched_at, as_sent.read(sent),
        )  # fmt: skip
    elif stored_object is not None:
        location = Managed(store, stored_object)
    measured = size is not None and sha256 is not None
    return Blob(
        Slot(field, key),
        BlobStatus(status),
        content_type,
        size,
        Digests(md5, sha1, sha256) if measured else None,
        location,
        Attempt(attempt_id, attempt_heartbeat, attempt_reserved) if attempt_id is not None else None,
        Damage.read(damage),
        Source(source_url, bool(source_confidential)) if source_url is not None else None,
        ClaimedDigests(md5, sha1, sha256) if location is not None and not measured else None,
    )
