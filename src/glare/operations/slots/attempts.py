"""Attempts: the part that storing a blob and recording a location share. Reserve, publish, or undo.

A slot is one row of `blobs`. It is *empty* (no row), *saving* (an attempt, nothing published), *active* (published), or
*active and held* (published, and an attempt that will replace it):

=========  ===============  ============================================================================
from       by               to
=========  ===============  ============================================================================
empty      `reserve`        saving
active     `reserve`        active and held
saving     `publish`        active
held       `publish`        active with the new data; the old object is doomed
saving     `undo`, or dead  empty; the staged object is doomed
held       `undo`, or dead  active, as it was before; the staged object is doomed
=========  ===============  ============================================================================

The rules:

1. A slot has one attempt at most. `reserve` raises `Conflict` where a living one holds it, and ends a dead one in its
   own transaction (`holders.py` says which is which).
2. An attempt has an id that is never used again. `grow`, `publish` and `undo` name it, and find nothing once it was
   ended by somebody else: an attempt that was ended does not come back.
3. What an attempt stages has its name in the row before its first byte is written. So there is no object that no row
   knows: `publish` moves the name to the published columns, whatever else ends the attempt dooms it.
4. Quota is taken in the transaction that reserves or grows, given back in the one that ends the attempt, and settled at
   the true size in the one that publishes. Each of them happens once, because each needs the attempt's id in the row.
5. Nothing of an attempt is seen before `publish`. That is one transaction: the blob, what it replaces, quota, block
   digests, audit entry and event are there together, or not at all. Readers have the old or the new bytes.
6. A commit that was not answered is looked for by its mark (`glare.db.dialects.marks`). Whoever undoes looks for the
   location in the slot, which no other attempt has.
7. Each transaction locks the artifact's row first. `reserve` decides on an artifact that was read before: where its
   revision is another one under the lock, `check` decides again.
8. Death between any two lines leaves an attempt without a heartbeat, or a doomed object: both are found by the sweep.

An example, in which `take` reserves the slot as an upload does, and `store` writes bytes and publishes them:

>>> paused = take()
>>> take()
Traceback (most recent call last):
glare.errors.Conflict: Blob 'image' is being stored by another request; wait until it is active, then retry.
>>> status(), doomed()
('saving', 0)

It shows no sign of life for longer than `attempt_timeout`. The next one ends it, and dooms what it has staged:

>>> clock.forward(3600)
>>> second = take()
>>> status(), doomed()
('saving', 1)
>>> store(paused, b"too late")
Traceback (most recent call last):
glare.errors.Conflict: Storing blob 'image' took so long without a sign of life that it was given up; upload it again.
>>> store(second, b"first")
>>> status(), data(), quota()
('active', b'first', 5)

A later one leaves what is published as it is, until it publishes, or is undone:

>>> third = take(declared=100)
>>> status(), data(), quota()
('active', b'first', 100)
>>> undo(services, third)
>>> status(), data(), quota()
('active', b'first', 5)
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from glare.db import artifacts as artifact_rows
from glare.db import blobs as blob_rows
from glare.db import contents, counters
from glare.db.rows import fetch_artifact
from glare.digest import BLOCK, Content, HashingPass
from glare.domain.actor import Actor
from glare.domain.artifact import Artifact
from glare.domain.blob import Blob, BlobStatus, External, Managed, Slot
from glare.domain.declared.artifact_type import TypeSpec
from glare.domain.declared.hooks import Reader
from glare.domain.declared.index import index_values
from glare.domain.events import artifact_event
from glare.errors import BadRequest, Conflict, GlareError, RequestEntityTooLarge
from glare.operations import access, audit, quotas
from glare.operations.place import Place
from glare.operations.services import Services
from glare.operations.slots import holders, replicas, room
from glare.operations.slots.objects import remove_doomed
from glare.operations.takedowns import lookup as takedowns

_log = logging.getLogger(__name__)

_RESERVE_TRIES = 20
"""Uploads into other slots of the same artifact change its revision; each such race is decided again, so many times."""


@dataclass(slots=True)
class Reservation:
    """A place that is ours until `publish` or `undo`; `actor` is who fills it.

    `place` is as it was read before. `limit` is how many bytes the blob may have at most, of what the type allows;
    `reserved` how many bytes of quota are taken for it so far, and `replaced` the bytes of managed data that publishing
    will let go of. `fixed` is what other replicas have fixed. `removal_delay` (microseconds) is how long the object
    that is replaced stays for those who read it.
    """

    actor: Actor
    place: Place
    attempt_id: str
    limit: int
    limited_by: str
    reserved: int
    replaced: int
    staged: Managed | None
    fixed: replicas.Fixed | None = None
    removal_delay: int = 0

    @property
    def object(self) -> Managed:
        """Where the bytes of an upload go, before and after they are published."""
        if self.staged is None:
            raise AssertionError("an upload always goes to a store")
        return self.staged

    def over(self) -> RequestEntityTooLarge | Conflict:
        """The error for data beyond the limit."""
        if self.fixed is not None and self.limit == self.fixed.size:
            return replicas.too_large(self.place.slot, self.fixed)
        return RequestEntityTooLarge(
            f"Blob '{self.place.slot.path}' may have at most {self.limit} bytes ({self.limited_by}); the data is "
            "larger."
        )


Check = Callable[[Place], None]
JobOf = Callable[[Connection, Reservation], None]


@dataclass(frozen=True, slots=True)
class Coming:
    """What a place is reserved for.

    `declared` is the size in bytes, None where it is unknown: quota is then taken in steps as the data grows. `store`
    is the managed store that the bytes will go to, None for an external location. `job` records the job that fills the
    slot, in the same transaction.
    """

    declared: int | None
    content_type: str | None
    store: str | None
    job: JobOf | None = None


@dataclass(frozen=True, slots=True)
class Filling:
    """What is published in a place. `host` is that of an external location."""

    content: Content
    location: Managed | External
    content_type: str
    host: str | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """What `stage` has stored for one slot."""

    reservation: Reservation
    content: Content
    content_type: str

    @property
    def filling(self) -> Filling:
        """What is published of it."""
        return Filling(self.content, self.reservation.object, self.content_type)


def reserve(services: Services, actor: Actor, place: Place, coming: Coming, check: Check) -> Reservation:
    """Take the slot, and quota for what is coming.

    `check` decides, on each further read of the artifact, whether the slot may be taken. Raises `Conflict` when the
    slot is busy, `RequestEntityTooLarge` when the declared size is over a limit.
    """
    with services.tracer.span("reserve"):
        return _reserve(services, actor, place, coming, check)


def _reserve(services: Services, actor: Actor, place: Place, coming: Coming, check: Check) -> Reservation:
    artifact_id = place.artifact.id
    for tries_left in reversed(range(_RESERVE_TRIES)):
        try:
            return _reserve_once(services, actor, place, coming)
        except _RevisionRace:
            if not tries_left:
                raise artifact_rows.lost_race(artifact_id) from None
            with services.db.look() as connection:
                again = fetch_artifact(connection, artifact_id)
            if again is None:
                raise access.not_found(artifact_id) from None
            place = place.reread(again)
            check(place)
    raise AssertionError("unreachable: the last try returns or raises")


class _RevisionRace(Exception):
    """The artifact changed between its read and the reservation."""


def _reserve_once(services: Services, actor: Actor, place: Place, coming: Coming) -> Reservation:
    artifact, field, slot, present = place.artifact, place.field, place.slot, place.blob
    declared, store = coming.declared, coming.store
    replaced = 0
    if present is not None and isinstance(present.location, Managed):
        replaced = present.size or 0
    limit, limited_by = room.size_limit(place)
    if field.is_folder and present is None:
        field.validate_key(slot.key or "")
        used = sum(1 for other in artifact.blobs if other.field == slot.field)
        if used >= field.max_keys:
            raise BadRequest(f"Folder '{slot.field}' holds {used} blobs, as many as it may; delete one first.")
    if declared is not None and declared > limit:
        raise RequestEntityTooLarge(
            f"Blob '{slot.path}' may have at most {limit} bytes ({limited_by}); Content-Length says {declared}."
        )
    now = services.clock()
    reservation = Reservation(
        actor=actor,
        place=place,
        attempt_id=uuid.uuid4().hex,
        limit=limit,
        limited_by=limited_by,
        reserved=max(0, (declared or 0) - replaced) if store is not None else 0,
        replaced=replaced,
        staged=Managed(store, uuid.uuid4().hex) if store is not None else None,
        fixed=replicas.fixed_by_others(place),
        removal_delay=services.rules.removal_delay,
    )

    def take(connection: Connection) -> bool:
        artifact_rows.lock(connection, artifact.id)
        current = fetch_artifact(connection, artifact.id)
        if current is None:
            raise access.not_found(artifact.id)
        if current.revision != artifact.revision:
            raise _RevisionRace
        was_dead = holders.take_over_dead(services, connection, current, slot, now)
        blob_rows.begin_attempt(
            connection,
            artifact.id,
            slot,
            blob_rows.NewAttempt(
                reservation.attempt_id,
                now,
                reservation.reserved,
                coming.content_type,
                external=store is None,
                staged=reservation.staged,
                of_job=coming.job is not None,
            ),
        )
        artifact_rows.touch_any(connection, artifact.id, now)
        if reservation.reserved:
            quotas.take(services, connection, artifact, slot, reservation.reserved)
        if coming.job is not None:
            coming.job(connection, reservation)
        return was_dead

    holders.count_dead(services, services.db.transact(take))
    return reservation


def stage(
    services: Services,
    reservation: Reservation,
    source: Reader,
    *,
    expected: int | None,
    check: Callable[[Content], None] = lambda content: None,
) -> Content:
    """Store what `source` gives as the reservation's object, durable and visible to nobody yet; `expected` is its size
    in bytes where it is announced.

    Quota is reserved as the data grows. `check` may refuse what was measured. Raises `RequestEntityTooLarge` beyond the
    reservation's limit, `StoreFull`, and what `source` and `check` raise; nothing is left of the object then.
    """
    staged = reservation.object
    measured = HashingPass(services.hashing, reservation.limit, reservation.over)
    with (
        services.tracer.span("store", {"glare.store": staged.store}) as span,
        services.stores[staged.store].create(staged.object, expected_size=expected) as writer,
    ):
        while data := source.read(BLOCK):
            measured.update(data)
            grow(services, reservation, measured.size)
            writer.write(data)
        content = measured.finish()
        check(content)
        writer.commit()
        span.note({"glare.size": content.size})
    return content


def grow(services: Services, reservation: Reservation, size: int) -> None:
    """Make sure that quota is reserved for `size` bytes of data, in steps. Raises `RequestEntityTooLarge`."""
    wanted = size - reservation.replaced
    if wanted <= reservation.reserved:
        return
    # More than the limit is never needed, and what is reserved counts against the others of a folder.
    useful = reservation.limit - reservation.replaced - reservation.reserved
    step = max(wanted - reservation.reserved, min(services.rules.reservation_step, useful))
    try:
        services.db.transact(lambda connection: _extend(services, connection, reservation, step))
    except RequestEntityTooLarge:
        # A whole step may be too much where the bytes at hand still fit.
        step = wanted - reservation.reserved
        services.db.transact(lambda connection: _extend(services, connection, reservation, step))
    reservation.reserved += step


def _extend(services: Services, connection: Connection, reservation: Reservation, by: int) -> None:
    if not blob_rows.extend_attempt(connection, reservation.attempt_id, by):
        raise lost(reservation)
    quotas.take(services, connection, reservation.place.artifact, reservation.place.slot, by)


def publish(
    services: Services,
    reservation: Reservation,
    filling: Filling,
    action: str,
    values: Mapping[str, Any],
    also: Callable[[Connection], None] = lambda _: None,
) -> Artifact:
    """Publish the blob: one transaction, only if the attempt is still ours. Returns the artifact as it is then.

    `values` are fields that the type's hook sets with the blob; `also` is done in the same transaction.
    """
    now = services.clock()
    place, content, host = reservation.place, filling.content, filling.host
    artifact = place.artifact

    def store(connection: Connection) -> Artifact:
        artifact_rows.lock(connection, artifact.id)
        also(connection)
        settle = publish_row(connection, reservation, filling, now)
        if settle:
            counters.use(connection, artifact.owner, artifact.type_name, size=settle)
        after = changed(connection, place.spec, artifact.id, values, now)
        _require_folder_room(reservation, after, content.size)
        detail = {"size": content.size, "sha256": content.digests.sha256} | ({"host": host} if host else {})
        event = artifact_event(action, after, now)
        audit.changed(connection, reservation.actor, [event], target=place.slot.path, detail=detail)
        return after

    with services.tracer.span("publish", {"glare.action": action}):
        after = services.db.transact(store)
    before = place.blob
    if before is not None and isinstance(before.location, Managed):
        remove_doomed(services, [before.location])
    services.metrics.attempt_ended("published")
    return after


def publish_row(
    connection: Connection,
    reservation: Reservation,
    filling: Filling,
    now: int,
    replaced_too: frozenset[Slot] = frozenset(),
) -> int:
    """Publish one row in the caller's transaction, and return the bytes of quota that it takes beyond what was
    reserved.

    `replaced_too` are slots whose blobs the same transaction replaces next: replicas need not be equal to those.

    Raises `Conflict` where the attempt is not ours any more, `Blocked` where the content or its location is taken down.
    """
    place, content, location, host = reservation.place, filling.content, filling.location, filling.host
    takedowns.require_open(
        connection, sha256=content.digests.sha256, url=location.url if isinstance(location, External) else None
    )
    replicas.require_equal(connection, place, content, replaced_too | {place.slot})
    blob = Blob(place.slot, BlobStatus.ACTIVE, filling.content_type, content.size, content.digests, location)
    owner, keep_until = place.artifact.owner, now + reservation.removal_delay
    if not blob_rows.publish(connection, reservation.attempt_id, blob, host, owner, keep_until):
        raise lost(reservation)
    contents.keep(connection, content, now)
    stored = content.size if isinstance(location, Managed) else 0
    return stored - reservation.replaced - reservation.reserved


@contextmanager
def undone_on_error(services: Services, reservation: Reservation) -> Iterator[None]:
    """Undo the reservation when the block raises; the slot is then as it was before."""
    try:
        yield
    except BaseException:
        undo(services, reservation)
        raise


def undo(services: Services, reservation: Reservation) -> None:
    """Give the slot and the quota back, and remove what was staged. What cannot be done now, the sweep finishes."""
    services.metrics.attempt_ended("undone")
    try:
        artifact, staged = reservation.place.artifact, reservation.staged
        services.db.transact(
            lambda connection: holders.end_attempt(services, connection, artifact, reservation.attempt_id)
        )
        if staged is not None and not access.is_published(services, artifact.id, reservation.place.slot, staged):
            # Where the attempt had been given up before, nothing is doomed, and the object is removed directly.
            services.stores[staged.store].delete(staged.object)
            remove_doomed(services, [staged])
    except GlareError:
        # The attempt's heartbeat has ended with the request: the sweep undoes it when it is dead.
        _log.exception("an attempt is left to the sweep", extra={"artifact": reservation.place.artifact.id})


def changed(connection: Connection, spec: TypeSpec, artifact_id: str, values: Mapping[str, Any], now: int) -> Artifact:
    """Count the change, store what the type's hook has set, and read the artifact as it is now."""
    if not values:
        artifact_rows.touch_any(connection, artifact_id, now)
        return access.reread(connection, artifact_id)
    current = access.reread(connection, artifact_id)
    merged = {**current.values, **values}
    after = replace(current, values=merged, updated_at=now, revision=current.revision + 1)
    artifact_rows.update_artifact(connection, current, after, index_values(spec, merged))
    return after


def _require_folder_room(reservation: Reservation, after: Artifact, size: int) -> None:
    """What is stored at the same time without an announced length may fit each by itself, and together be too much."""
    place = reservation.place
    if place.field.is_folder:
        rest = room.rest_of_folder(place.field, place.slot, after.blobs, under_way=False)
        if size > rest:
            reservation.limit, reservation.limited_by = rest, room.FOLDER_REST
            raise reservation.over()


def lost(reservation: Reservation) -> Conflict:
    """The error for an attempt that was taken over, or whose artifact is gone."""
    return Conflict(
        f"Storing blob '{reservation.place.slot.path}' took so long without a sign of life that it was given up; "
        "upload it again."
    )
