"""How many bytes a slot may have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from glare.domain.blob import Blob, Slot
from glare.domain.declared.artifact_type import FieldSpec
from glare.operations.place import Place
from glare.operations.slots import replicas

FOLDER_REST: Final = "what is left of the folder's maximum"


def size_limit(place: Place) -> tuple[int, str]:
    """How many bytes a blob in `place` may have by its type, and which limit that is, in words."""
    field, slot = place.field, place.slot
    limit, limited_by = field.max_blob_size, "the maximum of the field"
    fixed = replicas.fixed_by_others(place)
    if fixed is not None:
        limit, limited_by = fixed.size, f"the size of the other blobs of folder '{slot.field}'"
    if field.is_folder:
        rest = rest_of_folder(field, slot, place.artifact.blobs, under_way=True)
        if rest < limit:
            limit, limited_by = rest, FOLDER_REST
    return limit, limited_by


def rest_of_folder(field: FieldSpec, slot: Slot, blobs: Mapping[Slot, Blob], *, under_way: bool) -> int:
    """How many bytes the other blobs of the folder leave to `slot`; with `under_way` also what attempts have
    reserved for them.
    """
    others = 0
    for other, blob in blobs.items():
        if other.field == slot.field and other != slot:
            others += (blob.size or 0) + (blob.attempt.reserved if under_way and blob.attempt else 0)
    return max(0, field.max_folder_size - others)
