"""Names of downloaded files: what they are made of, and that no text of a user makes a dangerous one."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glare.domain.artifact import Artifact, Status, Visibility
from glare.domain.blob import Slot
from glare.domain.declared.compile import compile_type
from glare.domain.file_names import ascii_name, file_name
from glare.errors import InvalidDeclaration
from glare.http.response_headers import attachment
from glare.types import ArtifactType, Blob, BlobDict, String

DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")


class Sample(ArtifactType):
    name = "samples"
    kind = String("Format.", required_on_activate=False)
    data = Blob("Data.", formats=("kind",))
    parts = BlobDict("Parts.", formats=("kind",))
    mirrors = BlobDict("Mirrors.", replicas=True, formats=("kind",))


SPEC = compile_type(Sample)


def named(
    name: str, version: str = "1.2.3", path: str = "data", kind: str | None = None, content_type: str | None = None
) -> str:
    values: dict[str, Any] = {} if kind is None else {"kind": kind}
    artifact = Artifact(
        id="0",
        type_name="samples",
        name=name,
        version=version,
        owner="o",
        status=Status.ACTIVE,
        visibility=Visibility.PRIVATE,
        created_at=0,
        updated_at=0,
        activated_at=0,
        values=values,
        blobs={},
        revision=0,
    )
    field, _, key = path.partition("/")
    return file_name(artifact, SPEC.fields[field], Slot(field, key or None), content_type)


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (named("cirros", kind="qcow2"), "cirros-1.2.3-data.qcow2"),
        (named("cirros", kind="docker"), "cirros-1.2.3-data.tar"),
        (named("cirros"), "cirros-1.2.3-data"),
        (named("cirros", kind="of my own", content_type="text/yaml"), "cirros-1.2.3-data.yaml"),
        (named("cirros", kind="iso", content_type="text/yaml"), "cirros-1.2.3-data.iso"),
        (named("cirros", kind="iso", path="parts/a/b.TXT"), "cirros-1.2.3-parts-a_b.txt"),
        (named("cirros", kind="iso", path="parts/readme"), "cirros-1.2.3-parts-readme.iso"),
        (named("cirros", kind="iso", path="mirrors/eu"), "cirros-1.2.3.iso"),
        (named("cirros", version="1.2.3-rc.1+4"), "cirros-1.2.3-rc.1+4-data"),
        (named("../../etc/passwd"), "etc_passwd-1.2.3-data"),
        (named(".bashrc"), "bashrc-1.2.3-data"),
        (named("-rf *"), "rf-1.2.3-data"),
        (named("a\r\nSet-Cookie: x"), "a_Set-Cookie_x-1.2.3-data"),
        (named("nul.x"), "_nul.x-1.2.3-data"),
        (named("💿"), "artifact-1.2.3-data"),
        (named("photo\u202egpj.exe"), "photo_gpj.exe-1.2.3-data"),
        (named("Über Größe"), "Über_Größe-1.2.3-data"),
    ],
)
def test_a_name_is_made_of_artifact_version_field_and_format(made: str, wanted: str) -> None:
    """The format comes from the key, the artifact, or the content type; what is not safe is left out."""
    assert made == wanted


@settings(max_examples=300, derandomize=True, database=None)
@given(name=st.text(min_size=1, max_size=300), key=st.text(min_size=1, max_size=255), kind=st.text(max_size=9))
def test_no_text_makes_a_dangerous_name(name: str, key: str, kind: str) -> None:
    """No separator, control, leading dot or dash, device or overlong name comes of whatever a user writes."""
    for path in ("data", f"parts/{key}"):
        made = named(name, path=path, kind=kind)
        assert len(made.encode()) <= 255
        assert not set(made) & set("/\\:*?\"<>|%;'$`& ")
        assert made.isprintable()
        assert made[0] not in ".-"
        assert made[-1] not in ". "
        assert not DEVICES.match(made)
        plain = ascii_name(made)
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._+-]*", plain), plain
        assert not DEVICES.match(plain)
        attachment(made).encode("ascii")


def test_long_names_stay_apart() -> None:
    """What is cut keeps a mark of the whole, so that two long names do not become one file."""
    assert named("n" * 255 + "1") != named("n" * 255 + "2")
    assert named("x", path="parts/" + "k" * 254 + "1") != named("x", path="parts/" + "k" * 254 + "2")


def test_the_header_has_a_name_for_every_program() -> None:
    """ASCII in quotes first, and what is more than that as RFC 8187 has it."""
    assert attachment("cirros-1.iso") == 'attachment; filename="cirros-1.iso"'
    assert attachment("Größe-1.iso") == "attachment; filename=\"Grosse-1.iso\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe-1.iso"
    assert attachment("画像-1.iso") == "attachment; filename=\"1.iso\"; filename*=UTF-8''%E7%94%BB%E5%83%8F-1.iso"


def test_formats_name_fields() -> None:
    """A type whose blob takes its format from a field that it does not have is refused."""

    class Wrong(ArtifactType):
        name = "wrong"
        data = Blob("Data.", formats=("missing",))

    with pytest.raises(InvalidDeclaration, match="field 'data': formats names 'missing'"):
        compile_type(Wrong)
