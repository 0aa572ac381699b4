"""Store the members of an upload: list, reserve, stream, and publish all with the upload's own blob; or undo.

Each member has an attempt of its own in its slot, as any upload. So its bytes are found by the sweep when the process
dies, and two requests for one slot meet there: the second one is refused.
"""

from __future__ import annotations

import logging
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from sqlalchemy import Connection

from glare.db import artifacts as artifact_rows
from glare.db import blobs as blob_rows
from glare.db import counters
from glare.domain.artifact import Artifact
from glare.domain.blob import Blob, Managed, Slot
from glare.domain.declared.artifact_type import FieldSpec
from glare.domain.declared.hooks import Ingested, Member, Members
from glare.domain.events import artifact_event
from glare.errors import BadRequest, GlareError, RequestEntityTooLarge
from glare.operations import access, audit, quotas
from glare.operations.services import Services
from glare.operations.slots import attempts, holders
from glare.operations.slots.attempts import Stored
from glare.operations.slots.objects import remove_doomed
from glare.operations.slots.staged_data import StagedData
from glare.operations.takedowns import lookup as takedowns

_log = logging.getLogger(__name__)

_FOLDER: Final = "what is left of the folder's maximum"
_UNPACKED: Final = "what is left of [unpacking] max_unpacked_size"


@dataclass(frozen=True, slots=True)
class _Group:
    """The members of one upload, each with its reservation, and the folders that they concern by name.

    `slots` are those of the members and of the upload itself; `replaces` names folders that lose everything else.
    """

    upload: Stored
    members: Sequence[tuple[Member, attempts.Reservation]]
    folders: Mapping[str, FieldSpec]
    replaces: frozenset[str]
    slots: frozenset[Slot]

    def goes(self, slot: Slot) -> bool:
        """Whether what is in `slot` makes room for the members."""
        return slot.field in self.replaces and slot not in self.slots


def unpack(
    services: Services, upload: Stored, ingested: Ingested, find: Members, values: Mapping[str, Any]
) -> Artifact:
    """Store what `find` finds in the staged upload, and publish all of it at once; returns the artifact as it is then.

    `values` are fields that the type's hook sets. Raises `BadRequest`, `RequestEntityTooLarge`, `Forbidden`,
    `Conflict`, and what the hook raises; the members are undone then, and the caller undoes the upload.
    """
    group = _list(services, upload, ingested, find)
    reservations = [reservation for _, reservation in group.members]
    with ExitStack() as held:
        for member, _ in group.members:
            held.callback(getattr(member.stream, "close", _nothing))
        _reserve(services, group)
        for reservation in reservations:
            held.enter_context(services.heartbeats.keep(reservation.attempt_id))
        with _undone_on_error(services, reservations):
            stored = _stage(services, group)
            return _publish(services, group, stored, values, keep=ingested.keep)


def _nothing() -> None:
    """What a stream that cannot be closed needs."""


def _list(services: Services, upload: Stored, ingested: Ingested, find: Members) -> _Group:
    reservation = upload.reservation
    data = StagedData(services, reservation, upload.content.size)
    most = services.rules.unpacking.members
    found = list(islice(find(data), most + 1))
    if len(found) > most:
        raise BadRequest(
            f"Blob '{reservation.place.slot.path}' has more than {most} members ([unpacking] max_members)."
        )
    replaces = frozenset(ingested.replaces)
    folders = {name: _folder(reservation, name) for name in replaces.union(member.field for member in found)}
    members = [(member, _prepared(upload, folders[member.field], member)) for member in found]
    slots = frozenset((reservation.place.slot, *(own.place.slot for _, own in members)))
    if len(slots) <= len(members):
        raise BadRequest(
            f"Two members of blob '{reservation.place.slot.path}' have one name, or one has that of the blob itself; "
            "rename it."
        )
    return _Group(upload, members, folders, replaces, slots)


def _folder(upload: attempts.Reservation, name: str) -> FieldSpec:
    spec = upload.place.spec
    field = spec.custom_fields.get(name)
    if field is None or not field.is_folder:
        raise GlareError(
            f"The 'ingest' hook of type '{spec.name}' unpacks into '{name}'; name a folder of the type instead."
        )
    return field


def _prepared(upload: Stored, field: FieldSpec, member: Member) -> attempts.Reservation:
    """The reservation of one member, which holds nothing before `_reserve`."""
    field.validate_key(member.key)
    place = replace(upload.reservation.place, field=field, slot=Slot(member.field, member.key))
    reservation = attempts.Reservation(
        actor=upload.reservation.actor,
        place=place,
        attempt_id=uuid.uuid4().hex,
        limit=field.max_blob_size,
        limited_by="the maximum of the field",
        reserved=member.size or 0,
        replaced=0,
        staged=Managed(upload.reservation.object.store, uuid.uuid4().hex),
    )
    if reservation.reserved > reservation.limit:
        raise reservation.over()
    return reservation


def _reserve(services: Services, group: _Group) -> None:
    """Take the slots of all members, and quota for those whose size is known, in one transaction."""
    upload, now = group.upload.reservation.place, services.clock()
    artifact = upload.artifact

    def take(connection: Connection) -> int:
        artifact_rows.lock(connection, artifact.id)
        current = access.reread(connection, artifact.id)
        dead = 0
        for field in group.folders.values():
            access.require_field_changeable(field, current, by_hook=True)
            _require_room(field, current, group)
        for slot in current.blobs:
            if group.goes(slot):
                dead += holders.take_over_dead(services, connection, current, slot, now)
        for member, reservation in sorted(group.members, key=lambda pair: pair[1].place.slot):
            _take(services, connection, current, member, reservation, now)
        total = sum(reservation.reserved for _, reservation in group.members)
        if total:
            quotas.take(services, connection, artifact, upload.slot, total)
        artifact_rows.touch_any(connection, artifact.id, now)
        return dead

    holders.count_dead(services, services.db.transact(take))


def _take(
    services: Services,
    connection: Connection,
    current: Artifact,
    member: Member,
    reservation: attempts.Reservation,
    now: int,
) -> None:
    slot = reservation.place.slot
    holders.take_over_dead(services, connection, current, slot, now)
    present = current.blobs.get(slot)
    reservation.replaced = present.size or 0 if present and isinstance(present.location, Managed) else 0
    reservation.reserved = max(0, (member.size or 0) - reservation.replaced)
    attempt = blob_rows.NewAttempt(
        reservation.attempt_id,
        now,
        reservation.reserved,
        member.content_type,
        external=False,
        staged=reservation.staged,
    )
    blob_rows.begin_attempt(connection, current.id, slot, attempt)


def _require_room(field: FieldSpec, current: Artifact, group: _Group) -> None:
    """Raises `BadRequest` for too many keys in a folder, `RequestEntityTooLarge` for too many bytes."""
    coming = {
        reservation.place.slot: member.size or 0 for member, reservation in group.members if member.field == field.name
    }
    keys = coming.keys() | {slot for slot in current.blobs if slot.field == field.name and not group.goes(slot)}
    if len(keys) > field.max_keys:
        raise BadRequest(
            f"Folder '{field.name}' may hold {field.max_keys} blobs, and would hold {len(keys)}; pack fewer files."
        )
    size = sum(coming.values()) + _staying(field, current, group)
    if size > field.max_folder_size:
        raise _folder_full(field, size)


def _staying(field: FieldSpec, current: Artifact, group: _Group) -> int:
    """Bytes of a folder that stay beside the members, those on their way included."""
    return sum(
        (blob.size or 0) + (blob.attempt.reserved if blob.attempt else 0)
        for slot, blob in current.blobs.items()
        if slot.field == field.name and not group.goes(slot) and slot not in group.slots
    )


def _folder_full(field: FieldSpec, size: int) -> RequestEntityTooLarge:
    return RequestEntityTooLarge(
        f"Folder '{field.name}' may have {field.max_folder_size} bytes, and would have {size}; pack less."
    )


def _stage(services: Services, group: _Group) -> list[Stored]:
    """Stream the members one after the other, each within what the others leave of every limit."""
    current = group.upload.reservation.place.artifact
    used = Counter({name: _staying(field, current, group) for name, field in group.folders.items()})
    rest, stored = services.rules.unpacking.size, []
    for member, reservation in group.members:
        folder = reservation.place.field
        bounds = (
            (reservation.limit, reservation.limited_by),
            (max(0, folder.max_folder_size - used[folder.name]), _FOLDER),
            (rest, _UNPACKED),
        )
        reservation.limit, reservation.limited_by = min(bounds)
        content = attempts.stage(services, reservation, member.stream, expected=member.size)
        used[folder.name] += content.size
        rest -= content.size
        stored.append(Stored(reservation, content, member.content_type))
    return stored


def _publish(
    services: Services, group: _Group, stored: Sequence[Stored], values: Mapping[str, Any], *, keep: bool
) -> Artifact:
    """Publish all or nothing: one transaction, only if every attempt is still ours."""
    upload, now = group.upload.reservation, services.clock()
    place = upload.place
    published = [group.upload, *stored] if keep else stored

    def store(connection: Connection) -> tuple[Artifact, list[Managed], int]:
        artifact_rows.lock(connection, place.artifact.id)
        takedowns.require_open(connection, sha256=group.upload.content.digests.sha256)
        before = access.reread(connection, place.artifact.id)
        if not keep and not holders.end_attempt(services, connection, place.artifact, upload.attempt_id):
            raise attempts.lost(upload)
        gone, dead = _clear(services, connection, before, group, now)
        settle = -sum(blob.size or 0 for blob in gone if isinstance(blob.location, Managed))
        coming = {one.reservation.place.slot for one in published}
        for one in published:
            settle += attempts.publish_row(connection, one.reservation, one.filling, now, frozenset(coming))
            coming.discard(one.reservation.place.slot)
        if settle:
            counters.use(connection, place.artifact.owner, place.artifact.type_name, size=settle)
        after = attempts.changed(connection, place.spec, place.artifact.id, values, now)
        for field in group.folders.values():
            size = sum(blob.size or 0 for slot, blob in after.blobs.items() if slot.field == field.name)
            if size > field.max_folder_size:
                raise _folder_full(field, size)
        event = artifact_event("upload", after, now)
        detail = {
            "size": group.upload.content.size,
            "sha256": group.upload.content.digests.sha256,
            "members": len(stored),
        }
        audit.changed(connection, upload.actor, [event], target=place.slot.path, detail=detail)
        replaced = [
            before.blobs[slot] for slot in before.blobs.keys() & {one.reservation.place.slot for one in published}
        ]
        return after, [blob.location for blob in (*gone, *replaced) if isinstance(blob.location, Managed)], dead

    after, objects, dead = services.db.transact(store)
    holders.count_dead(services, dead)
    remove_doomed(services, objects if keep else [*objects, upload.object])
    return after


def _clear(
    services: Services, connection: Connection, before: Artifact, group: _Group, now: int
) -> tuple[list[Blob], int]:
    """Remove what the members replace as a whole; returns what was published of it, and how many attempts were dead."""
    gone, dead = [], 0
    for slot, blob in before.blobs.items():
        if not group.goes(slot):
            continue
        dead += holders.take_over_dead(services, connection, before, slot, now)
        if blob.location is None:
            continue  # It was a dead attempt only.
        if not blob_rows.drop_blob(connection, before.id, blob, now + services.rules.removal_delay):
            raise artifact_rows.lost_race(before.id)
        gone.append(blob)
    return gone, dead


@contextmanager
def _undone_on_error(services: Services, reservations: Sequence[attempts.Reservation]) -> Iterator[None]:
    """Undo all of the reservations when the block raises. What cannot be done now, the sweep finishes."""
    try:
        yield
    except BaseException:
        try:
            _undo(services, reservations)
        except GlareError:
            _log.exception("attempts are left to the sweep", extra={"attempts": len(reservations)})
        raise


def _undo(services: Services, reservations: Sequence[attempts.Reservation]) -> None:
    def end(connection: Connection) -> None:
        for reservation in reservations:
            holders.end_attempt(services, connection, reservation.place.artifact, reservation.attempt_id)

    services.db.transact(end)
    first = reservations[0] if reservations else None
    if first is None or access.is_published(services, first.place.artifact.id, first.place.slot, first.staged):
        return  # All are: a commit whose answer got lost may have happened.
    # Where an attempt had been given up before, nothing is doomed, and its object is removed directly.
    staged = [reservation.object for reservation in reservations]
    for location in staged:
        services.stores[location.store].delete(location.object)
    remove_doomed(services, staged)
