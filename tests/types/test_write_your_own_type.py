"""The example of the how-to works as its text says."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from glare.domain.actor import Actor
from glare.domain.artifact import Artifact, Status, Visibility
from glare.domain.declared.artifact_type import TypeSpec
from glare.domain.declared.checks import DEFAULT_OPERATORS
from glare.domain.declared.coercion import Kind
from glare.domain.declared.hooks import Change, ChangeKind, Ingest, Ingested, Member
from glare.domain.microversion import Microversion
from glare.domain.representation import represent
from glare.errors import BadRequest, Forbidden, InvalidParameterValue
from glare.types.registry import load
from support.service import running
from support.zips import packed

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "write-your-own-type.md"
ACTOR = Actor("ada", "project", frozenset())


def blocks(language: str) -> list[str]:
    """The blocks of code in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```", HOW_TO.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def block(language: str) -> str:
    """The only one of them."""
    (found,) = blocks(language)
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the search path with the how-to's module in it."""
    (tmp_path / "lab_types.py").write_text(block("python"), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("lab_types", None)


@pytest.fixture
def spec(folder: Path) -> TypeSpec:
    """The how-to's type, loaded with the how-to's configuration."""
    written = configparser.ConfigParser()
    written.read_string(block("ini"))
    default = written["DEFAULT"]
    least = written.getfloat("artifact_type:trained_models", "least_accuracy")
    types = load(
        [name.strip() for name in default["enabled_artifact_types"].split(",")],
        [default["custom_artifact_types_modules"]],
        entry_points=False,
        options={"trained_models": {"least_accuracy": least}},
    )
    return types.get("trained_models")


def a_model(**values: object) -> Artifact:
    """A drafted model with these values."""
    return Artifact(
        id="a",
        type_name="trained_models",
        name="cats",
        version="1.0.0",
        owner="project",
        status=Status.DRAFTED,
        visibility=Visibility.PRIVATE,
        created_at=0,
        updated_at=0,
        activated_at=None,
        values=values,
        blobs={},
        revision=1,
    )


def test_the_command_says_that_the_type_is_fine(folder: Path) -> None:
    """`glare-server types check` prints what the how-to shows."""
    prompt, expected = block("console").splitlines()
    arguments = prompt.removeprefix("$ glare-server ").split()
    program = (
        f"import sys; sys.path.insert(0, {str(folder)!r}); from glare.cli.main import main; "
        f"sys.exit(main({arguments!r}))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.stdout.splitlines() == [expected], result.stderr


def test_its_fields_are_checked(spec: TypeSpec) -> None:
    """The example's fields accept and refuse what their declarations say."""
    assert spec.fields["accuracy"].coerce("0.9") == 0.9
    with pytest.raises(InvalidParameterValue):
        spec.fields["accuracy"].coerce(1.1)
    with pytest.raises(InvalidParameterValue):
        spec.fields["classes"].coerce(["cat", "cat"])


def test_it_can_be_listed_as_the_text_says(spec: TypeSpec) -> None:
    """The filters and the sort key of the how-to's query are allowed."""
    assert "gt" in spec.fields["accuracy"].filter_ops
    assert "eq" in spec.fields["classes"].filter_ops
    assert spec.fields["accuracy"].sortable


def test_it_notes_who_registers_a_model(spec: TypeSpec) -> None:
    """The example's `before` hook fills its system field on creation only."""
    view = spec.view(a_model())
    assert spec.artifact_type.before(Change(ChangeKind.CREATE, ACTOR), view) == {"registered_by": "ada"}
    assert spec.artifact_type.before(Change(ChangeKind.DELETE, ACTOR), view) is None


def test_it_checks_and_rewrites_cards(spec: TypeSpec) -> None:
    """The example's `ingest` hook refuses a card that is no JSON, rewrites one that is, and leaves other data alone."""

    def upload(field: str) -> Ingest:
        return Ingest(spec.view(a_model()), ACTOR, field, None, "application/json", None, None)

    assert spec.ingest(upload("card"), BytesIO(b'{"a": 1}')).stream.read(99) == b'{"a":1}'
    with pytest.raises(BadRequest, match="no JSON"):
        spec.ingest(upload("card"), BytesIO(b"{"))
    stream = BytesIO(b"{")
    assert spec.ingest(upload("weights"), stream) == Ingested(stream)


def test_it_unpacks_bundles(folder: Path, tmp_path: Path) -> None:
    """A bundle that is uploaded fills the examples, as the how-to shows."""
    modules = "enabled_artifact_types = trained_models\ncustom_artifact_types_modules = lab_types\n"
    with running(tmp_path, f"[DEFAULT]\n{modules}") as glare:
        drafted = glare.alice.create("trained_models", name="cats")
        document = {}
        document["model"] = glare.alice.upload(
            drafted, "bundle", packed({"cats/1.png": b"miaow", "dogs/1.png": b"woof"})
        )
    (session,) = [text for text in blocks("python-session") if "model" in text]
    for line, answer in re.findall(r">>> (.*)\n(.*)\n", session):
        assert repr(eval(line, document)) == answer  # noqa: S307 - the how-to's own lines


def test_its_halves_are_members() -> None:
    """The function of the how-to that finds members in any data finds them."""
    (session,) = [text for text in blocks("python-session") if "Member" in text]
    found: dict[str, Any] = {"Member": Member}
    exec(re.sub(r"^(>>>|\.\.\.) ?", "", session, flags=re.MULTILINE), found)  # noqa: S102 - the how-to's own lines
    members = list(found["two_halves"](Halves()))
    assert [(member.key, member.stream.read(9)) for member in members] == [("first", b"ab"), ("second", b"cde")]


class Halves:
    """Stored data of five bytes."""

    size = 5

    def open(self, offset: int, length: int) -> BytesIO:
        return BytesIO(b"abcde"[offset : offset + length])


def test_it_refuses_models_that_guess(spec: TypeSpec) -> None:
    """The example's `validate` hook decides with the configured option."""
    spec.artifact_type.validate(spec.view(a_model(accuracy=0.9)))
    with pytest.raises(Forbidden, match=r"below 0\.8"):
        spec.artifact_type.validate(spec.view(a_model(accuracy=0.7)))


def test_it_adds_a_label(spec: TypeSpec) -> None:
    """The example's `format` hook adds its line to what clients see."""
    document = represent(spec, a_model(framework="onnx"), microversion=Microversion(1, 0), full_urls=True)
    assert document["label"] == "cats 1.0.0 (onnx)"


@pytest.mark.parametrize(
    "kind", [Kind.STRING, Kind.INTEGER, Kind.FLOAT, Kind.BOOLEAN, Kind.DATETIME, Kind.VERSION, Kind.LINK]
)
def test_the_table_of_operators_is_true(kind: Kind) -> None:
    """The operators that the how-to gives for a kind of field are those that it has."""
    (entry,) = [
        text
        for text in re.findall(r"^- (.*(?:\n  .*)*)", HOW_TO.read_text(encoding="utf-8"), re.MULTILINE)
        if re.match(rf"[^:]*`{kind.value}`[^:]*: ", text)
    ]
    assert f"`{' '.join(DEFAULT_OPERATORS[kind])}`" in entry.rsplit("filter operators:", 1)[1]
