"""Everything that the author of an artifact type needs. `docs/how-to/write-your-own-type.md` shows how it goes
together.
"""

from __future__ import annotations

from glare.archives.unpack import unpack_zip
from glare.domain.actor import Actor
from glare.domain.artifact import Artifact, Status, Visibility
from glare.domain.declared.declaration import ArtifactType, Option
from glare.domain.declared.fields import (
    Blob,
    BlobDict,
    Boolean,
    DateTime,
    DictOf,
    Field,
    Float,
    Integer,
    Link,
    ListOf,
    String,
    Version,
)
from glare.domain.declared.hooks import (
    ArtifactView,
    Change,
    ChangeKind,
    Ingest,
    Ingested,
    Member,
    Reader,
    StoredData,
    UnpackLimits,
)
from glare.domain.microversion import Microversion

__all__ = [
    "Actor",
    "Artifact",
    "ArtifactType",
    "ArtifactView",
    "Blob",
    "BlobDict",
    "Boolean",
    "Change",
    "ChangeKind",
    "DateTime",
    "DictOf",
    "Field",
    "Float",
    "Ingest",
    "Ingested",
    "Integer",
    "Link",
    "ListOf",
    "Member",
    "Microversion",
    "Option",
    "Reader",
    "Status",
    "StoredData",
    "String",
    "UnpackLimits",
    "Version",
    "Visibility",
    "unpack_zip",
]
