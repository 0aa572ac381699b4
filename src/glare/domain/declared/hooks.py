"""What the hooks of an artifact type are given and may return."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

from glare.domain.actor import Actor
from glare.domain.artifact import Artifact


class Reader(Protocol):
    """A stream of bytes, read in a worker thread."""

    def read(self, size: int, /) -> bytes:
        """At least one and at most `size` bytes, or ``b""`` at the end."""


class ArtifactView(Mapping[str, Any]):
    """An artifact as its type sees it: a read-only mapping of every field to its value.

    Fields without a value show their default, or None. A blob field is a `Blob` or None, a folder a dict of `Blob`.
    Times are microseconds since the epoch, UTC. `artifact` is the record itself.
    """

    __slots__ = ("_values", "artifact")

    def __init__(self, artifact: Artifact, values: Mapping[str, Any]) -> None:
        self.artifact = artifact
        self._values = values

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class ChangeKind(StrEnum):
    """The moments at which `before` and `after` run."""

    CREATE = "create"
    UPDATE = "update"
    ACTIVATE = "activate"
    DEACTIVATE = "deactivate"
    REACTIVATE = "reactivate"
    SHARE = "share"
    COMMUNITIZE = "communitize"
    WITHDRAW = "withdraw"
    PUBLISH = "publish"
    UPLOAD = "upload"
    ADD_LOCATION = "add_location"
    DOWNLOAD = "download"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Change:
    """Something that is about to happen to an artifact, or has happened.

    `patch` holds the operations of an update. `field` and `key` name the blob of an upload, a location or a download
    (`key` None unless the field is a folder), `url` the location that is added.
    """

    kind: ChangeKind
    actor: Actor
    patch: tuple[Mapping[str, Any], ...] = ()
    field: str | None = None
    key: str | None = None
    url: str | None = dataclasses.field(default=None, repr=False)  # It may hold a signature.


@dataclass(frozen=True, slots=True)
class UnpackLimits:
    """What one upload may be unpacked to: `members` in number, `size` in bytes of all of them together.

    `ratio` is how many bytes one packed byte may become; it is asked of members above 1 MiB.
    """

    members: int = 1000
    size: int = 1 << 30
    ratio: int = 200


@dataclass(frozen=True, slots=True)
class Ingest:
    """Data on its way into a blob. `size` in bytes, None when the client does not say; `limit` is the most that is
    stored.

    `unpacking` are the operator's limits for what is unpacked from it.
    """

    artifact: ArtifactView
    actor: Actor
    field: str
    key: str | None
    content_type: str
    size: int | None
    limit: int | None
    unpacking: UnpackLimits = UnpackLimits()

    def within(self, limits: UnpackLimits) -> Ingest:
        """The same upload under `limits` too, where they are stricter than those of the operator."""
        most = self.unpacking
        stricter = UnpackLimits(
            min(limits.members, most.members), min(limits.size, most.size), min(limits.ratio, most.ratio)
        )
        return replace(self, unpacking=stricter)


class Range(Reader, Protocol):
    """A stream that has to be closed."""

    def close(self) -> None: ...


class StoredData(Protocol):
    """The data of an upload, stored as the `ingest` hook left it, and not yet visible to anybody. `size` in bytes."""

    @property
    def size(self) -> int: ...

    def open(self, offset: int, length: int) -> Range:
        """A stream of the `length` bytes from `offset` on."""


@dataclass(frozen=True, slots=True)
class Member:
    """A blob that an ingest hook found inside the data: the folder and key where it goes, and its bytes.

    `stream` is read once, after the streams of the members before it, and closed where it can be. `size` in bytes, None
    when it is not known; quota for it is then reserved as it grows.
    """

    field: str
    key: str
    stream: Reader
    content_type: str = "application/octet-stream"
    size: int | None = None


Members = Callable[[StoredData], Iterable[Member]]
"""Finds the members of stored data. It is called once, when all of the data is stored, and may refuse by raising."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """What an ingest hook makes of the data: the stream to store, and members to store beside it.

    The blob and its members become visible together or not at all. Without `keep` the data itself is not stored as a
    blob, its members only. Of the folders in `replaces` only the members are left; other folders keep what they have.
    """

    stream: Reader
    members: Members | None = None
    keep: bool = True
    replaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hooks:
    """Which hooks a type overrides; the others need not be called."""

    validate: bool
    ingest: bool
    download: bool
    before: bool
    after: bool
    format: bool
