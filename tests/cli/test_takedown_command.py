"""`glare-server takedown`: taking down and undoing it, from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from glare.cli.main import main
from support.service import Glare, running

pytestmark = pytest.mark.sqlite


@pytest.fixture
def glare(tmp_path: Path) -> Iterator[Glare]:
    with running(tmp_path) as found:
        yield found


def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, *arguments: str) -> tuple[int, str]:
    """The exit code of the command, and what it printed."""
    capsys.readouterr()
    code = main(["takedown", *arguments, "--config-file", str(tmp_path / "glare.conf")])
    return code, capsys.readouterr().out


def test_what_the_command_takes_down_the_running_service_refuses(
    glare: Glare, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Adding prints the id and blocks at once; the list shows it without a query; removing gives it back; both are in
    the audit log.
    """
    image = glare.alice.create("sample_artifact", name="n", string_required="x")
    sha256 = glare.alice.upload(image, "blob", b"data")["blob"]["sha256"]
    code, out = run(capsys, tmp_path, "add", "digest", sha256, "--reason", "a notice")
    takedown = out.strip()
    assert (code, len(takedown)) == (0, 36)
    assert glare.alice.download(image, "blob").status_code == 451
    assert run(capsys, tmp_path, "add", "url", "https://files.example.org/x?token=hidden", "--reason", "x")[0] == 0
    code, out = run(capsys, tmp_path, "list")
    assert code == 0
    assert sha256 in out
    assert "https://files.example.org/x" in out
    assert "hidden" not in out
    assert len(run(capsys, tmp_path, "list", "--kind", "digest")[1].splitlines()) == 2
    assert run(capsys, tmp_path, "remove", takedown)[0] == 0
    assert glare.alice.download(image, "blob").content == b"data"
    entries = glare.admin.request("GET", "/audit").json()["audit"]
    reported = [(entry["action"], entry["detail"]["kind"]) for entry in entries if "takedown" in entry["action"]]
    assert reported == [("takedown_delete", "digest"), ("takedown_create", "url"), ("takedown_create", "digest")]
    assert "hidden" not in json.dumps(entries)


def test_mistakes_end_with_a_sentence(glare: Glare, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown kind, a digest that is none and an id that is none end with 1 and change nothing."""
    for arguments in (
        ("add", "blob", "x", "--reason", "x"),
        ("add", "digest", "x", "--reason", "x"),
        ("remove", "none"),
    ):
        assert run(capsys, tmp_path, *arguments)[0] == 1
    assert glare.admin.request("GET", "/takedowns").json()["takedowns"] == []
