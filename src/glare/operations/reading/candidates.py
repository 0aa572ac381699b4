"""Which blobs may deliver a content: the one that was asked for, and its equal replicas."""

from __future__ import annotations

from glare.domain.blob import Blob, Damage, External, LocationState
from glare.operations.place import Place
from glare.operations.slots.replicas import equal_members, good_ones


def candidates_of(place: Place, blob: Blob) -> tuple[Blob, ...]:
    """The blobs to try, in this order: itself, its good replicas, and itself although it was unreachable lately or some
    of it is damaged.

    None where there is nothing to try: it is damaged, or known to have changed, and no good replica is there.
    """
    others = good_ones(equal_members(place.artifact, place.field, blob))
    if blob.good:
        return (blob, *others)
    location = blob.location
    silent = isinstance(location, External) and location.state is LocationState.UNREACHABLE and blob.digests is not None
    # Each block of it is checked, and it may have one that the others lack.
    marked = bool(others) and blob.damage in (Damage.DIFFERS, Damage.UNREADABLE)
    return (*others, blob) if silent or marked else tuple(others)
