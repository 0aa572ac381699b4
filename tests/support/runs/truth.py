"""What must always be true of a database and its store, computed anew from rows and bytes.

`disagreements` compares everything that is kept twice: bytes and their digests, counters and what they count, values
and the index of them, what happened and what is told of it. After a crash it is called once `recover` has done what the
background work does in time.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, select

from glare.db import contents
from glare.db.keys import scope_of, uniqueness
from glare.db.rows import fetch_artifact
from glare.db.tables import (
    artifact_counts,
    artifact_values,
    artifacts,
    audit,
    blobs,
    doomed_objects,
    outbound_leases,
    outbox,
    quota_usage,
    stored_chunks,
    stored_objects,
)
from glare.digest import BLOCK
from glare.domain.artifact import Artifact, Status
from glare.domain.audit import DONE
from glare.domain.blob import Blob, Managed, Slot
from glare.domain.declared.index import IndexValue, index_values
from glare.egress.cancellation import Cancellation
from glare.errors import NotFound
from glare.operations.locations.jobs import do_next
from glare.operations.services import Services
from glare.operations.upkeep.sweep import sweep
from glare.stores.filesystem import MARKER

_HOUR = 3600 * 1_000_000


def recover(services: Services) -> None:
    """Do jobs and sweep as if so much time had passed that whatever is not alive counts as dead."""
    later = replace(services, clock=lambda: services.clock() + _HOUR)
    sweep(later)
    while do_next(later, Cancellation()) is not None:
        pass
    sweep(later)
    for store in services.stores.values():
        store.sweep_temporaries(0)


def disagreements(services: Services, directory: Path) -> list[str]:
    """Whatever is not as it must be when nothing is under way, in words; empty when all is well.

    `directory` is that of the file store.
    """
    with services.db.read() as connection:
        ids = connection.execute(select(artifacts.c.id)).scalars().all()
        held = [artifact for wanted in ids if (artifact := fetch_artifact(connection, wanted)) is not None]
        return [
            *(problem for artifact in held for problem in _unpacked(services, artifact)),
            *_leftovers(services, connection, directory),
            *_counters(connection, held),
            *_recorded(connection, held),
            *(problem for artifact in held for problem in _index(services, connection, artifact)),
            *(
                f"blob {blob.slot.path} of {artifact.id}: {problem}"
                for artifact in held
                for blob in artifact.blobs.values()
                for problem in _blob(services, connection, blob)
            ),
        ]


def _leftovers(services: Services, connection: Connection, directory: Path) -> Iterator[str]:
    for table in (doomed_objects, outbound_leases):
        if count := connection.execute(select(func.count()).select_from(table)).scalar_one():
            yield f"{count} rows are left in {table.name}"
    if count := connection.execute(select(func.count()).where(stored_objects.c.object.is_(None))).scalar_one():
        yield f"{count} unfinished objects are left in the database"
    chunks = select(stored_chunks.c.object_id)
    if lost := connection.execute(
        select(stored_objects.c.id).where(stored_objects.c.size > 0, stored_objects.c.id.not_in(chunks))
    ).all():
        yield f"{len(lost)} objects in the database have no chunk"
    known = connection.execute(select(blobs.c.object).where(blobs.c.object.is_not(None))).scalars().all()
    if len(set(known)) < len(known):
        yield "two blobs share an object"
    files = {path.name for path in directory.rglob("*") if path.is_file() and path.name != MARKER}
    objects = files | {entry.name for entry in services.stores["database"].entries()}
    if orphans := objects - set(known):
        yield f"objects belong to no blob: {sorted(orphans)}"


def _counters(connection: Connection, held: Sequence[Artifact]) -> Iterator[str]:
    used: Counter[tuple[str, str]] = Counter()
    stored: Counter[tuple[str, str]] = Counter()
    listed: Counter[tuple[str, str]] = Counter()
    for artifact in held:
        managed = sum(blob.size or 0 for blob in artifact.blobs.values() if isinstance(blob.location, Managed))
        for name in ("", artifact.type_name):
            used[artifact.owner, name] += 1
            stored[artifact.owner, name] += managed
        if artifact.status is not Status.DELETED:
            listed[artifact.type_name, scope_of(artifact.visibility, artifact.owner)] += 1
    usage = {(row.project, row.type_name): row for row in connection.execute(select(quota_usage))}
    for key in usage.keys() | used.keys():
        counted = (usage[key].artifacts, usage[key].bytes) if key in usage else (0, 0)
        if counted != (used[key], stored[key]):
            yield f"quota_usage of {key} says {counted}, and there are {used[key], stored[key]}"
    totals = {(row.type_name, row.scope): row.total for row in connection.execute(select(artifact_counts))}
    for key in totals.keys() | listed.keys():
        if totals.get(key, 0) != listed[key]:
            yield f"artifact_counts of {key} says {totals.get(key, 0)}, and there are {listed[key]}"


def _index(services: Services, connection: Connection, artifact: Artifact) -> Iterator[str]:
    deleted = artifact.status is Status.DELETED
    scope = scope_of(artifact.visibility, artifact.owner)
    wanted = None if deleted else uniqueness(artifact.type_name, artifact.name, artifact.version, scope)
    row = connection.execute(select(artifacts).where(artifacts.c.id == artifact.id)).one()
    if row.uniqueness != wanted or row.scope != (None if deleted else scope):
        yield f"uniqueness or scope of {artifact.id} is not that of its name and visibility"
    rows = connection.execute(
        select(artifact_values).where(artifact_values.c.artifact_id == artifact.id).order_by(artifact_values.c.position)
    ).all()
    names = ("match", "field", "item_key", "string_value", "integer_value", "number_value")
    kept = [IndexValue(*(getattr(row, name) for name in names)) for row in rows]
    expected = [] if deleted else list(index_values(services.types.get(artifact.type_name), artifact.values))
    if kept != expected or any(row.scope != scope for row in rows):
        yield f"artifact_values of {artifact.id} are not those of its document"


def _recorded(connection: Connection, held: Sequence[Artifact]) -> Iterator[str]:
    """What the audit log and the outbox tell, from the first entry to the last, is what there is: no more, and no
    less.
    """
    recorded: defaultdict[str, list[Row[Any]]] = defaultdict(list)
    of_artifacts = (audit.c.outcome == DONE, audit.c.artifact_id.is_not(None))
    for row in connection.execute(select(audit).where(*of_artifacts).order_by(audit.c.id)):
        recorded[row.artifact_id].append(row)
    events: Counter[tuple[str, str]] = Counter(
        (row.artifact_id, row.event_type)
        for row in connection.execute(
            select(outbox.c.artifact_id, outbox.c.event_type).where(outbox.c.artifact_id.is_not(None))
        )
    )
    # What is scrubbed was deleted before, as subscribers have heard; of a check they hear what comes of it.
    unrecorded = ("scrub", "check_location")
    actions = Counter(
        (row.artifact_id, row.action) for rows in recorded.values() for row in rows if row.action not in unrecorded
    )
    if events != actions:
        yield f"the outbox tells {events - actions} more than the audit log, and this not: {actions - events}"
    there = {artifact.id: artifact for artifact in held}
    for artifact_id in recorded.keys() | there.keys():
        rows, artifact = recorded[artifact_id], there.get(artifact_id)
        last = rows[-1].action if rows else None
        delayed = last == "delete" and msgspec.json.decode(rows[-1].detail).get("delayed", False)
        if artifact is None:
            if last not in ("delete", "scrub") or delayed:
                yield f"{artifact_id} is gone, and the last that is told of it is {last!r}"
        elif not rows or rows[0].action != "create" or delayed != (artifact.status is Status.DELETED):
            yield f"{artifact_id} is {artifact.status}, and told are {[row.action for row in rows]}"
        elif (blobs_recorded := _blobs_recorded(rows)) != (published := _blobs_published(artifact)):
            yield f"{artifact_id} has {published}, and told are {blobs_recorded}"


def _blobs_recorded(rows: Sequence[Row[Any]]) -> dict[str, str]:
    """The sha256 of each blob by its path, after all that is told; of an archive itself, and not of what is in it."""
    found = {}
    for row in rows:
        if row.action in ("upload", "set_location"):
            found[row.target] = msgspec.json.decode(row.detail)["sha256"]
        elif row.action == "delete_blob":
            del found[row.target]
    return found


def _blobs_published(artifact: Artifact) -> dict[str, str]:
    unpacked = artifact.type_name == "unpacking_artifact"
    return {
        slot.path: blob.digests.sha256
        for slot, blob in artifact.blobs.items()
        if blob.digests is not None and not (unpacked and slot.field == "content")
    }


def _unpacked(services: Services, artifact: Artifact) -> Iterator[str]:
    """The folder of the type that unpacks archives holds what is in the archive, and nothing else."""
    archive = artifact.blobs.get(Slot("zip"))
    if artifact.type_name != "unpacking_artifact" or archive is None or not isinstance(archive.location, Managed):
        return
    with zipfile.ZipFile(io.BytesIO(_bytes(services, archive.location))) as members:
        wanted = {(info.filename, hashlib.sha256(members.read(info)).hexdigest()) for info in members.infolist()}
    held = {(slot.key, b.digests.sha256) for slot, b in artifact.blobs.items() if slot.field == "content" and b.digests}
    if held != wanted:
        yield f"the content of {artifact.id} is not that of its archive: {sorted(held ^ wanted)}"


def _blob(services: Services, connection: Connection, blob: Blob) -> Iterator[str]:
    if blob.attempt is not None:
        yield "an attempt is left"
    if blob.location is None or blob.digests is None or blob.size is None:
        yield "it has no data"
        return
    digests = contents.block_digests(connection, blob.digests.sha256, 0, max(0, blob.size - 1) // BLOCK)
    if len(digests) != -(-blob.size // BLOCK) * 32:
        yield "its block digests are not kept"
    if not isinstance(blob.location, Managed):
        return
    data = _bytes(services, blob.location)
    if (len(data), hashlib.sha256(data).hexdigest()) != (blob.size, blob.digests.sha256):
        yield "its bytes are not those that were recorded"


def _bytes(services: Services, location: Managed) -> bytes:
    """The whole object; nothing where it is missing."""
    try:
        with services.stores[location.store].open(location.object) as reader:
            return b"".join(iter(lambda: reader.read(BLOCK), b""))
    except NotFound:
        return b""
