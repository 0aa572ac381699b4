"""Hooks of a type's own, at every moment that the API has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from glare.errors import BadRequest, Forbidden, GlareError
from glare.types import ArtifactView, Change
from support.origins.origin import Origin
from support.sample_types import HooksArtifact
from support.service import Glare, Json, path_of, running

pytestmark = pytest.mark.sqlite  # The page and the schemas are made from the code.

KIND = "hooks_artifact"

Hook = Callable[[HooksArtifact, Change, ArtifactView], Mapping[str, Any] | None]


@pytest.fixture(scope="module")
def web() -> Iterator[Origin]:
    """A web server on loopback."""
    with Origin() as server:
        yield server


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that the hooks of blobs write to."""
    return tmp_path_factory.mktemp("hooks") / "lines"


@pytest.fixture(scope="module")
def hooked(tmp_path_factory: pytest.TempPathFactory, web: Origin, file: Path) -> Iterator[Glare]:
    """A service of the type with hooks."""
    text = f"[artifact_type:{KIND}]\ntemp_file_path = {file}\n"
    with running(tmp_path_factory.mktemp("hooked"), text, ports=(web.port,)) as glare:
        yield glare
        assert glare.leftovers() == {}


@pytest.fixture
def artifact(hooked: Glare, unique: Callable[[], str], tmp_path: Path) -> Json:
    """A new artifact whose hooks of the life cycle have a directory to write to."""
    return hooked.alice.create(KIND, name=unique(), temp_dir=str(tmp_path))


def lines(path: str | Path) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()


def both(kind: str) -> list[str]:
    """What the hooks before and after a change write."""
    return [f"pre_{kind}_hook was called", f"post_{kind}_hook was called"]


def test_hooks_around_the_life_cycle(hooked: Glare, artifact: Json) -> None:
    """A hook before a change may set fields, which are stored and answered; one after it finds them."""
    assert lines(artifact["temp_file_path_create"]) == both("create")
    assert hooked.alice.show(artifact) == artifact
    steps = [
        ("update", hooked.alice, {"description": "x"}),
        ("activate", hooked.alice, {"status": "active"}),
        ("deactivate", hooked.admin, {"status": "deactivated"}),
        ("reactivate", hooked.admin, {"status": "active"}),
        ("publish", hooked.admin, {"visibility": "public"}),
    ]
    for kind, actor, fields in steps:
        after = actor.set(artifact, **fields).json()
        assert lines(after[f"temp_file_path_{kind}"]) == both(kind)
        assert hooked.admin.show(artifact)[f"temp_file_path_{kind}"] == after[f"temp_file_path_{kind}"]


def test_hooks_around_blobs(hooked: Glare, web: Origin, artifact: Json, file: Path) -> None:
    """Uploads, locations, downloads and deletions call their hooks, in order."""
    hooked.alice.upload(artifact, "blob", b"data")
    assert lines(file) == both("upload")
    assert hooked.alice.download(artifact, "blob").content == b"data"
    assert lines(file) == [*both("upload"), both("download")[0], *lines(file)[3:]]
    second = hooked.alice.create(KIND, name="second", temp_dir=artifact["temp_dir"])
    web.put("/x", b"x")
    hooked.alice.locate(second, "blob", web.url("/x"), md5=None)
    assert lines(file) == both("add_location")
    assert hooked.alice.delete(second).status_code == 204
    assert lines(file) == both("delete")


def test_hook_of_a_repeated_step(hooked: Glare, artifact: Json) -> None:
    """Active to active calls the hook before activation again."""
    first = hooked.alice.activate(artifact)["temp_file_path_activate"]
    again = hooked.alice.activate(artifact)["temp_file_path_activate"]
    assert first != again
    assert lines(again) == both("activate")


def refuse(error: Exception, kind: str) -> Hook:
    """A `before` hook that refuses one kind of change."""

    def before(self: HooksArtifact, change: Change, artifact: ArtifactView) -> None:
        if change.kind == kind:
            raise error

    return before


CHANGES: dict[str, Callable[[Glare, Json], Any]] = {
    "create": lambda glare, a: glare.alice.try_create(KIND, name="refused", temp_dir=a["temp_dir"]),
    "update": lambda glare, a: glare.alice.set(a, description="refused"),
    "activate": lambda glare, a: glare.alice.set(a, status="active"),
    "upload": lambda glare, a: glare.alice.try_upload(a, "blob", b"data"),
    "delete": lambda glare, a: glare.alice.delete(a),
}
ERRORS = [(BadRequest("no"), 400), (Forbidden("no"), 403), (GlareError("no"), 500)]


@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize(("error", "status"), ERRORS, ids=["400", "403", "500"])
def test_hook_refuses(
    hooked: Glare, artifact: Json, monkeypatch: pytest.MonkeyPatch, kind: str, error: Exception, status: int
) -> None:
    """What a hook raises before a change is the answer, with its message, and nothing has changed."""
    before, events, usage = hooked.alice.show(artifact), hooked.events(), hooked.usage("wonderland")
    monkeypatch.setattr(HooksArtifact, "before", refuse(error, kind))
    answer = CHANGES[kind](hooked, artifact)
    assert (answer.status_code, answer.json()["error"]["message"]) == (status, "no")
    # A refused upload was visible as `saving` for a moment, which counts as two changes.
    assert {**hooked.alice.show(artifact), "updated_at": None} == {**before, "updated_at": None}
    assert hooked.events() == events
    assert hooked.alice.names(KIND, "name=refused") == []
    assert hooked.usage("wonderland") == usage


def test_hook_sees_the_patch(hooked: Glare, artifact: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hook before an update is given the operations as they came, and the artifact as it was."""
    seen: list[Any] = []

    def before(self: HooksArtifact, change: Change, artifact: ArtifactView) -> None:
        seen.append((change.kind, [dict(one) for one in change.patch], artifact["description"], change.actor.project))

    monkeypatch.setattr(HooksArtifact, "before", before)
    monkeypatch.setattr(HooksArtifact, "after", lambda self, change, artifact: None)
    operation = {"op": "replace", "path": "/description", "value": "new"}
    hooked.alice.change(artifact, operation)
    (kind, patch, description, project) = seen[0]
    assert (kind, patch, project) == ("update", [operation], "wonderland")
    assert not description


def test_validation_refuses_activation(hooked: Glare, artifact: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    """A type may refuse an activation, looking at the artifact as the patch has made it."""

    def validate(self: HooksArtifact, artifact: ArtifactView) -> None:
        if artifact["description"] != "ready":
            raise Forbidden("describe it as ready")

    spec = hooked.services.types.get(KIND)
    hooks = type(spec.hooks)(
        **{name: getattr(spec.hooks, name) for name in type(spec.hooks).__slots__ if name != "validate"}, validate=True
    )
    monkeypatch.setattr(HooksArtifact, "validate", validate)
    kept = spec.hooks
    object.__setattr__(spec, "hooks", hooks)  # A compiled type is frozen; only a test changes it.
    try:
        assert hooked.alice.set(artifact, status="active").status_code == 403
        assert hooked.alice.set(artifact, description="ready", status="active").status_code == 200
    finally:
        object.__setattr__(spec, "hooks", kept)


def test_ingest_refuses_and_leaves_nothing(api: Glare) -> None:
    """The sample type refuses certain bytes: 500 with its message, and no blob."""
    artifact = api.alice.create("sample_artifact", name="ingest")
    answer = api.alice.try_upload(artifact, "blob", b"invalid_data")
    assert (answer.status_code, answer.json()["error"]["type"]) == (500, "GlareException")
    assert api.alice.show(artifact)["blob"] is None
    api.alice.upload(artifact, "blob", b"valid")
    assert api.alice.request("GET", f"{path_of(artifact)}/blob").content == b"valid"


def test_formatter_adds_its_keys_everywhere(api: Glare) -> None:
    """A type's own formatter shows its key alone, in lists, through `all`, and in the answers to changes."""
    made = api.alice.create("sample_artifact", name="formatted", string_required="x")
    key, value = "__some_meta_information__", "FORMATTED"
    assert made[key] == value
    assert api.alice.show(made)[key] == value
    assert api.alice.set(made, description="x").json()[key] == value
    assert api.alice.upload(made, "blob", b"")[key] == value
    for kind in ("sample_artifact", "all"):
        assert [artifact[key] for artifact in api.alice.page(kind, "name=formatted")["artifacts"]] == [value]
    assert api.alice.request("GET", f"/artifacts/all/{made['id']}").json()[key] == value
