"""Folders of replicas: every key is the same content. The first one fixes size and sha256, and others are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from glare.db import contents
from glare.digest import Content, block_count
from glare.domain.artifact import Artifact, Status
from glare.domain.blob import Blob, External, Slot
from glare.domain.declared.artifact_type import FieldSpec
from glare.errors import Conflict
from glare.operations import access
from glare.operations.place import Place

if TYPE_CHECKING:
    from glare.domain.claims import Claims
    from glare.operations.services import Services


@dataclass(frozen=True, slots=True)
class Fixed:
    """What the members of a folder are: `size` in bytes, and sha256 (hex)."""

    size: int
    sha256: str


def fixed_by_others(place: Place, replaced: frozenset[Slot] = frozenset()) -> Fixed | None:
    """What the folder's other members, but for those that are `replaced`, fix for `place`; None where nothing is fixed
    yet.
    """
    if not place.field.replicas:
        return None
    for blob in _others(place.artifact, place.slot):
        if blob.slot in replaced:
            continue
        if blob.digests is not None and blob.size is not None:
            return Fixed(blob.size, blob.digests.sha256)
    return None


def require_possible(place: Place, claims: Claims, declared: int | None = None) -> None:
    """Raises `Conflict` where what a client says of its data contradicts what the data for `place` has to be."""
    fixed = fixed_by_others(place)
    if fixed is None:
        return
    said = declared if declared is not None else claims.size
    if said is not None and said != fixed.size:
        raise _differs(place.slot, fixed, f"{said} bytes")
    if claims.sha256 is not None and claims.sha256.lower() != fixed.sha256:
        raise _differs(place.slot, fixed, f"sha256 {claims.sha256.lower()}")


def too_large(slot: Slot, fixed: Fixed) -> Conflict:
    """The error for data that is longer than the other members."""
    return _differs(slot, fixed, f"more than {fixed.size} bytes")


def require_equal(
    connection: Connection, place: Place, content: Content, replaced: frozenset[Slot] = frozenset()
) -> None:
    """Raises `Conflict` where the folder's other members are something else, but for those that are `replaced`.

    The caller has locked the artifact.
    """
    if not place.field.replicas:
        return
    fixed = fixed_by_others(place.reread(access.reread(connection, place.artifact.id)), replaced)
    if fixed is not None and (content.size, content.digests.sha256) != (fixed.size, fixed.sha256):
        raise _differs(place.slot, fixed, f"{content.size} bytes with sha256 {content.digests.sha256}")


def require_leaving(artifact: Artifact, slot: Slot, is_open: Callable[[Blob], bool]) -> None:
    """Raises `Conflict` where an active artifact would lose its last good member of a folder, or its last one.

    `is_open` is whether a member may be read: one that is taken down is good for nobody.
    """
    if artifact.status is not Status.ACTIVE:
        return
    others = [blob for blob in _others(artifact, slot) if blob.digests is not None]
    mine = artifact.blobs[slot]
    if not others or (mine.good and is_open(mine) and not any(blob.good and is_open(blob) for blob in others)):
        raise Conflict(
            f"Blob '{slot.path}' is the last good one of folder '{slot.field}', and artifact '{artifact.id}' is "
            "active; add another good one first."
        )


def equal_members(artifact: Artifact, field: FieldSpec, blob: Blob) -> Iterator[Blob]:
    """The other published members with the content of `blob`; none where the field is no folder of replicas."""
    if not field.replicas or blob.digests is None:
        return
    for other in _others(artifact, blob.slot):
        if other.digests is not None and (other.size, other.digests.sha256) == (blob.size, blob.digests.sha256):
            yield other


def good_ones(blobs: Iterable[Blob]) -> list[Blob]:
    """Those of `blobs` whose bytes may be served, the surest first: stored ones, then the latest proof."""

    def sureness(blob: Blob) -> tuple[bool, int]:
        location = blob.location
        return isinstance(location, External), -(location.proven_at or 0) if isinstance(location, External) else 0

    return sorted((blob for blob in blobs if blob.good), key=sureness)


def runs_of_digests(services: Services, sha256: str, size: int) -> Iterator[bytes]:
    """The raw sha256 digests of all blocks of a content, some at a time."""
    blocks = block_count(size)
    for first in range(0, blocks, contents.BLOCKS_PER_ROW):
        with services.db.look() as connection:
            yield contents.block_digests(connection, sha256, first, min(blocks, first + contents.BLOCKS_PER_ROW) - 1)


def _others(artifact: Artifact, slot: Slot) -> Iterator[Blob]:
    for other, blob in artifact.blobs.items():
        if other.field == slot.field and other != slot:
            yield blob


def _differs(slot: Slot, fixed: Fixed, found: str) -> Conflict:
    return Conflict(
        f"Every blob of folder '{slot.field}' is the same content, of {fixed.size} bytes with sha256 {fixed.sha256}; "
        f"blob '{slot.path}' would be {found}. Nothing was stored."
    )
