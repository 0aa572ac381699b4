"""Unpacking an archive into a folder, for the `ingest` hooks of artifact types."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from glare.archives.directory import read_directory
from glare.archives.member import MemberStream
from glare.digest import BLOCK
from glare.domain.declared.hooks import Ingest, Ingested, Member, Reader, StoredData, UnpackLimits


def unpack_zip(
    upload: Ingest,
    stream: Reader,
    *,
    into: str,
    keep: bool = True,
    replace: bool = True,
    content_type: str = "application/octet-stream",
) -> Ingested:
    """What an `ingest` hook returns to store a zip archive, and its members in the folder field `into` under their
    paths.

    Without `keep` the archive itself is not stored; without `replace` the folder keeps the blobs that the archive has
    no member for. `content_type` is that of every member. The limits are those of the upload, which `Ingest.within`
    makes stricter. Archives inside are stored as they are.

    What is no sound zip archive, or not safe to unpack, is refused with `BadRequest`, what is too large with
    `RequestEntityTooLarge`, and nothing is stored.
    """
    members = partial(zip_members, into=into, content_type=content_type, limits=upload.unpacking)
    return Ingested(stream, members, keep=keep, replaces=(into,) if replace else ())


def zip_members(archive: StoredData, *, into: str, content_type: str, limits: UnpackLimits) -> Iterator[Member]:
    """The files in an archive, in the order of their bytes. The whole directory is checked before the first one
    comes.
    """
    for entry in read_directory(archive, limits):
        stream = MemberStream(archive, entry)
        if entry.is_directory:
            while stream.read(BLOCK):
                """Nothing is stored of a directory, but its header is compared as any other."""
        else:
            yield Member(into, entry.name, stream, content_type, entry.size)
