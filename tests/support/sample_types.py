"""The artifact types of the contract that only tests use, declared as any author would."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

from glare.errors import BadRequest, GlareError
from glare.types import (
    ArtifactType,
    ArtifactView,
    Blob,
    BlobDict,
    Boolean,
    Change,
    ChangeKind,
    DictOf,
    Float,
    Ingest,
    Ingested,
    Integer,
    Link,
    ListOf,
    Member,
    Option,
    Reader,
    StoredData,
    String,
    UnpackLimits,
    unpack_zip,
)

EQ_IN = ("eq", "in")


class ShowsItsName(ArtifactType):
    """A base for types that add one key to what clients see."""

    def format(self, artifact: ArtifactView, representation: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"__some_meta_information__": artifact["name"].upper()}


class SampleArtifact(ShowsItsName):
    name = "sample_artifact"
    display_name = "Sample Artifact"

    blob = Blob("I am Blob", mutable=True, required_on_activate=False)
    small_blob = Blob(max_size=10, mutable=True, required_on_activate=False)
    dict_of_blobs = BlobDict(max_folder_size=2000, max_key_length=1000, required_on_activate=False)
    link1 = Link(required_on_activate=False)
    link2 = Link(required_on_activate=False)
    bool1 = Boolean(default=False, required_on_activate=False, filter_ops=("eq",))
    bool2 = Boolean(default=False, required_on_activate=False, filter_ops=("eq",))
    int1 = Integer(sortable=True, required_on_activate=False)
    int2 = Integer(sortable=True, required_on_activate=False)
    float1 = Float(sortable=True, required_on_activate=False)
    float2 = Float(sortable=True, required_on_activate=False)
    str1 = String(sortable=True, required_on_activate=False, filter_ops=("like", "eq", "neq", "in"))
    list_of_str = ListOf(of=String(), required_on_activate=False, filter_ops=EQ_IN)
    list_of_int = ListOf(of=Integer(), required_on_activate=False, filter_ops=EQ_IN)
    dict_of_str = DictOf(of=String(), required_on_activate=False, filter_ops=EQ_IN)
    dict_of_int = DictOf(of=Integer(), required_on_activate=False, filter_ops=EQ_IN)
    dict_of_links = DictOf(of=Link(), mutable=True, required_on_activate=False, filter_ops=("eq",))
    list_of_links = ListOf(of=Link(), mutable=True, required_on_activate=False, filter_ops=("eq",))
    string_mutable = String(mutable=True, required_on_activate=False)
    string_regex = String(pattern="^([0-9a-fA-F]){8}$", required_on_activate=False)
    string_required = String()
    string_validators = String(allowed=("aa", "bb", "c" * 11), max_length=10, required_on_activate=False)
    int_validators = Integer(minimum=10, maximum=20, required_on_activate=False)
    list_validators = ListOf(of=String(), max_size=3, unique=True, required_on_activate=False, filter_ops=())
    dict_validators = DictOf(
        of=String(),
        max_size=3,
        allowed_keys=("abc", "def", "ghi", "jkl"),
        default=None,
        required_on_activate=False,
        filter_ops=(),
    )
    system_attribute = String(system=True, sortable=True, default="default")
    metadata_attribute = String(default="default", metadata={"metadata1": "value1", "metadata2": "blahblahblah"})

    def ingest(self, upload: Ingest, stream: Reader) -> Reader:
        """Read everything, and fail on the bytes ``invalid_data``."""
        data = b"".join(iter(lambda: stream.read(1 << 20), b""))
        if data == b"invalid_data":
            raise GlareError("This data makes the sample type fail.")
        return BytesIO(data)


class NonNullableFieldsArtifact(ShowsItsName):
    name = "non_nullable_fields_artifact"
    display_name = "not Nullable Fields Artifact"

    int_not_nullable_with_default = Integer(nullable=False, default=0, required_on_activate=False)
    int_not_nullable_without_default = Integer(nullable=False)


STORED_LINES = ("create", "update", "activate", "reactivate", "deactivate", "publish")
"""The changes whose hooks write into a file that a field of the artifact names."""


def _path_field() -> String:
    return String(mutable=True, required_on_activate=False)


class HooksArtifact(ArtifactType):
    """Writes a line at each of its hooks, into a file that `temp_file_path` or a field of the artifact names."""

    name = "hooks_artifact"
    display_name = "Hooks Artifact"
    config = (Option("temp_file_path", str, "", "File that the hooks of uploads, downloads and deletions write to."),)

    temp_dir = _path_field()
    temp_file_path_create = _path_field()
    temp_file_path_update = _path_field()
    temp_file_path_activate = _path_field()
    temp_file_path_reactivate = _path_field()
    temp_file_path_deactivate = _path_field()
    temp_file_path_publish = _path_field()
    blob = Blob(mutable=True, required_on_activate=False)

    def before(self, change: Change, artifact: ArtifactView) -> Mapping[str, Any] | None:
        line = f"pre_{change.kind}_hook was called\n"
        if change.kind in STORED_LINES:
            with tempfile.NamedTemporaryFile("w", dir=artifact["temp_dir"], delete=False, encoding="utf-8") as file:
                file.write(line)
            return {f"temp_file_path_{change.kind}": file.name}
        self._write(line, "a" if change.kind is ChangeKind.DOWNLOAD else "w")
        return None

    def after(self, change: Change, artifact: ArtifactView) -> None:
        line = f"post_{change.kind}_hook was called\n"
        if change.kind in STORED_LINES:
            with Path(artifact[f"temp_file_path_{change.kind}"]).open("a", encoding="utf-8") as file:
                file.write(line)
        else:
            self._write(line, "a")

    def _write(self, line: str, mode: str) -> None:
        with Path(self.options["temp_file_path"]).open(mode, encoding="utf-8") as file:
            file.write(line)


class UnpackingArtifact(ArtifactType):
    """Keeps a zip archive, and what is in it."""

    name = "unpacking_artifact"
    display_name = "Unpacking Artifact"

    zip = Blob("An archive, which is unpacked into 'content'.", max_size=100_000, required_on_activate=False)
    content = BlobDict(system=True, required_on_activate=False)

    def ingest(self, upload: Ingest, stream: Reader) -> Ingested:
        return unpack_zip(upload, stream, into="content")


class CrateArtifact(ArtifactType):
    """Unpacks in other ways: only the members, beside what is there, within narrow limits, or by a hook of its own."""

    name = "crate_artifact"

    box = Blob(mutable=True, required_on_activate=False)
    tight = Blob(required_on_activate=False)
    big = Blob(max_size=10**9, required_on_activate=False)
    lines = Blob(required_on_activate=False)
    wrong = Blob(required_on_activate=False)
    files = BlobDict(
        max_size=5, max_blob_size=1000, max_folder_size=2000, max_key_length=20, required_on_activate=False
    )
    many = BlobDict(max_blob_size=10**9, max_folder_size=10**9, required_on_activate=False)
    copies = BlobDict(replicas=True, required_on_activate=False)
    doubled = Blob(required_on_activate=False)

    def ingest(self, upload: Ingest, stream: Reader) -> Reader | Ingested:
        match upload.field:
            case "box":
                return unpack_zip(upload, stream, into="files", keep=False, replace=False, content_type="text/plain")
            case "tight":
                return unpack_zip(upload.within(UnpackLimits(members=3, size=2_000_000, ratio=50)), stream, into="many")
            case "big":
                return unpack_zip(upload, stream, into="many")
            case "doubled":
                return unpack_zip(upload, stream, into="copies")
            case "lines":
                return Ingested(stream, split_lines)
            case "wrong":
                return Ingested(stream, lambda stored: [Member("box", "key", BytesIO())])
            case _:
                return stream


def split_lines(stored: StoredData) -> Iterator[Member]:
    """Each line of the data under its number; a line ``fail`` makes the hook fail, and one ``refuse`` its stream."""
    with closing(stored.open(0, stored.size)) as stream:
        lines = b"".join(iter(lambda: stream.read(1 << 20), b"")).decode().split()
    for number, line in enumerate(lines):
        if line == "fail":
            raise ValueError(line)
        yield Member("files", str(number), Refusing() if line == "refuse" else BytesIO(line.encode()))


class Refusing:
    """A stream that cannot be read, and notes that it was closed."""

    closed = 0

    def close(self) -> None:
        Refusing.closed += 1

    def read(self, size: int, /) -> bytes:
        raise BadRequest("This line cannot be read; write another one.")
