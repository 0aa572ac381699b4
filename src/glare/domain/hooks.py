"""What the hooks of an artifact type are given and may return."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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

    Fields without a value show their default, or None. A blob field is a `Blob` or None, a folder a dict of `Blob`. Times are
    microseconds since the epoch, UTC. `artifact` is the record itself.
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
    PUBLISH = "publish"
    UPLOAD = "upload"
    ADD_LOCATION = "add_location"
    DOWNLOAD = "download"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Change:
    """Something that is about to happen to an artifact, or has happened.

    `patch` holds the operations of an update. `field` and `key` name the blob of an upload, a location or a download (`key`
    None unless the field is a folder), `url` the location that is added.
    """

    kind: ChangeKind
    actor: Actor
    patch: tuple[Mapping[str, Any], ...] = ()
    field: str | None = None
    key: str | None = None
    url: str | None = dataclasses.field(default=None, repr=False)  # It may hold a signature.


@dataclass(frozen=True, slots=True)
class Ingest:
    """Data on its way into a blob. `size` in bytes, None when the client does not say; `limit` is the most that is stored."""

    artifact: ArtifactView
    actor: Actor
    field: str
    key: str | None
    content_type: str
    size: int | None
    limit: int | None


@dataclass(frozen=True, slots=True)
class Member:
    """A blob that an ingest hook found inside the data: where it goes, and its bytes."""

    field: str
    key: str
    stream: Reader
    content_type: str = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Ingested:
    """What an ingest hook makes of the data: the stream to store, and members to store beside it."""

    stream: Reader
    members: tuple[Member, ...] = ()


@dataclass(frozen=True, slots=True)
class Hooks:
    """Which hooks a type overrides; the others need not be called."""

    validate: bool
    ingest: bool
    download: bool
    before: bool
    after: bool
    format: bool
