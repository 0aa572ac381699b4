"""The contract's example types work as types of the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from glare.domain.actor import Actor
from glare.domain.artifact import Artifact, Status, Visibility
from glare.domain.declared.artifact_type import TypeSpec
from glare.domain.declared.hooks import Change, ChangeKind
from glare.types.registry import load
from support.sample_types import STORED_LINES, HooksArtifact

ACTOR = Actor("user", "project", frozenset())


@pytest.fixture
def spec(tmp_path: Path) -> TypeSpec:
    """The hooks type, found as any custom type is, with its option set."""
    options = {"hooks_artifact": {"temp_file_path": str(tmp_path / "lines")}}
    return load(["hooks_artifact"], ["support.sample_types"], entry_points=False, options=options).get("hooks_artifact")


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    """An artifact that names the folder for its files."""
    return Artifact(
        id="a",
        type_name=HooksArtifact.name,
        name="n",
        version="0.0.0",
        owner="project",
        status=Status.DRAFTED,
        visibility=Visibility.PRIVATE,
        created_at=0,
        updated_at=0,
        activated_at=None,
        values={"temp_dir": str(tmp_path)},
        blobs={},
        revision=1,
    )


def test_the_sample_types_load() -> None:
    """The example types are found in their module and compile."""
    names = [
        "sample_artifact",
        "hooks_artifact",
        "non_nullable_fields_artifact",
        "unpacking_artifact",
        "crate_artifact",
    ]
    assert load(names, ["support.sample_types"], entry_points=False, options={}).names == set(names)


@pytest.mark.parametrize("kind", STORED_LINES)
def test_a_hook_sets_a_field_that_the_next_one_reads(spec: TypeSpec, artifact: Artifact, kind: str) -> None:
    """What a `before` hook returns is a value of the artifact, which the `after` hook finds."""
    change, hooks = Change(ChangeKind(kind), ACTOR), spec.artifact_type
    given = spec.hook_values(hooks.before(change, spec.view(artifact)))
    assert list(given) == [f"temp_file_path_{kind}"]
    artifact.values.update(given)  # type: ignore[attr-defined]  # the fixture's values are a plain dict
    hooks.after(change, spec.view(artifact))
    lines = Path(given[f"temp_file_path_{kind}"]).read_text(encoding="utf-8")
    assert lines == f"pre_{kind}_hook was called\npost_{kind}_hook was called\n"


@pytest.mark.parametrize("kind", ["upload", "add_location", "download", "delete"])
def test_a_hook_uses_an_option(spec: TypeSpec, artifact: Artifact, tmp_path: Path, kind: str) -> None:
    """The hooks around blobs and deletion write to the file that the configuration names."""
    (tmp_path / "lines").write_text("old\n", encoding="utf-8")
    change, hooks = Change(ChangeKind(kind), ACTOR, field="blob"), spec.artifact_type
    assert spec.hook_values(hooks.before(change, spec.view(artifact))) == {}
    hooks.after(change, spec.view(artifact))
    kept = "old\n" if kind == "download" else ""
    lines = (tmp_path / "lines").read_text(encoding="utf-8")
    assert lines == f"{kept}pre_{kind}_hook was called\npost_{kind}_hook was called\n"
