"""The base class of artifact types: what authors fill in, and the hooks that they may override."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from glare.domain.declared.hooks import ArtifactView, Change, Ingest, Ingested, Reader


@dataclass(frozen=True, slots=True)
class Option:
    """A configuration option of a type, in the group ``artifact_type:<name of the type>``.

    `kind` is str, int, float, bool or list (of texts, separated by commas in the file).
    """

    name: str
    kind: type[str] | type[int] | type[float] | type[bool] | type[list[str]]
    default: Any = None
    help: str = ""


class ArtifactType:
    """Declare a type by a subclass whose attributes are fields (`glare.types` has them all).

    `name` is the type's name in URLs; `display_name` is the one for people; `version` that of the declaration. `config`
    lists options of the type, whose values are in `self.options`. One instance serves all requests of a process, from
    many threads: hooks keep no state on it.

    Errors of `glare.errors` that a hook raises reach the client as they are; any other is a failure of the service.
    """

    name: ClassVar[str]
    display_name: ClassVar[str | None] = None
    version: ClassVar[str] = "1.0"
    description: ClassVar[str] = ""
    config: ClassVar[tuple[Option, ...]] = ()

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options

    def validate(self, artifact: ArtifactView) -> None:
        """Refuse the activation of an artifact by raising."""

    def ingest(self, upload: Ingest, stream: Reader) -> Reader | Ingested:
        """The stream to store for what a client uploads: the same, or a rewritten one; raise to refuse.

        Size and digests describe what is returned, and the limit of the upload holds for it. An `Ingested` names
        members of the data besides, to be stored in folders of the artifact; `glare.types.unpack_zip` makes one of a
        zip archive.
        """
        return stream

    def download(self, artifact: ArtifactView, field: str, key: str | None, stream: Reader) -> Reader:
        """The stream to send for a stored blob. A type that overrides this gives up ranges and digests."""
        return stream

    def before(self, change: Change, artifact: ArtifactView) -> Mapping[str, Any] | None:
        """Called before a change is stored, and before a download; raise to refuse.

        What is returned are values for fields of the type's own (no blobs), stored and shown with the change. They may
        be system or immutable fields. With a download or a deletion nothing is stored.
        """
        return None

    def after(self, change: Change, artifact: ArtifactView) -> None:
        """Called once a change is stored, and when a download begins."""

    def format(self, artifact: ArtifactView, representation: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keys to add to what clients see of an artifact, alone and in lists, also those of ``all``.

        In lists of ``all``, `representation` has the base fields only. A field of the type wins over a key of its name.
        """
        return {}
