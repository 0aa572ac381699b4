"""A type that has gained fields with microversion 1.1."""

from __future__ import annotations

from glare.types import ArtifactType, Blob, BlobDict, DictOf, Microversion, String

LATER = Microversion(1, 1)


class Dated(ArtifactType):
    name = "dated"

    old = String(mutable=True, required_on_activate=False, sortable=True)
    new = String(mutable=True, required_on_activate=False, sortable=True, since=LATER)
    new_dict = DictOf(of=String(), required_on_activate=False, since=LATER)
    new_blob = Blob(required_on_activate=False, since=LATER)
    new_folder = BlobDict(required_on_activate=False, since=LATER)
