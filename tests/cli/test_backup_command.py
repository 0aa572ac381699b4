"""`glare-server backup check`: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import select

from glare.db.tables import blobs
from support.programs.command import Cli, sentence
from support.service import Glare, Json, running

pytestmark = pytest.mark.sqlite
CHECK = ("backup", "check", "--config-file", "glare.conf")


def uploaded(glare: Glare, data: bytes) -> tuple[Json, Path]:
    """An artifact with data, and the file that has it."""
    artifact = glare.alice.create("sample_artifact", name="one", string_required="x")
    glare.alice.upload(artifact, "blob", data)
    with glare.services.db.read() as connection:
        name = connection.execute(select(blobs.c.object).where(blobs.c.artifact_id == artifact["id"])).scalar_one()
    [path] = [path for path in glare.objects() if path.name == name]
    return artifact, path


def test_what_is_whole_ends_with_0(tmp_path: Path, cli: Cli) -> None:
    """Nothing on standard output, a sentence for each store, the verdict, and 0."""
    with running(tmp_path) as glare:
        uploaded(glare, b"x" * 1500)
        result = cli.program(*CHECK, "--bytes")
        assert (result.returncode, result.stdout) == (0, "")
        assert result.stderr.splitlines() == [
            "glare-server: store file: 1 of 1 blob compared, 1 object seen, 1.5 KiB of 1.5 KiB read.",
            "glare-server: store database: 0 of 0 blobs compared, 0 objects seen.",
            "glare-server: whole: all that the database needs is there.",
        ]


def test_what_is_missing_ends_with_3(tmp_path: Path, cli: Cli) -> None:
    """A line for each finding, and the same as JSON with artifact, field and store; both end with 3."""
    with running(tmp_path) as glare:
        artifact, path = uploaded(glare, b"lost")
        extra = path.with_name(f"{path.name[:4]}00000000")
        path.rename(extra)
        result = cli.program(*CHECK)
        assert result.returncode == 3
        assert {tuple(line.split("\t")) for line in result.stdout.splitlines()} == {
            ("missing", f"file/{path.name}", f"sample_artifact/{artifact['id']}/blob", "the store does not have it"),
            ("orphan", f"file/{extra.name}", "-", "no blob has these 4 bytes"),
        }
        assert result.stderr.splitlines()[-1] == "glare-server: not whole: the database needs what is not there."
        result = cli.program(*CHECK, "-o", "json", "--store", "file")
        document = json.loads(result.stdout)
        assert (result.returncode, document["whole"], document["done"]) == (3, False, True)
        [missing] = [each for each in document["findings"] if each["kind"] == "missing"]
        assert [missing[name] for name in ("store", "object", "type", "artifact", "field", "key", "size")] == [
            "file", path.name, "sample_artifact", artifact["id"], "blob", None, 4,
        ]  # fmt: skip
        assert [one["findings"] for one in document["stores"]] == [{"missing": 1, "orphan": 1}]


def test_what_cannot_be_found_out_ends_with_1(tmp_path: Path, cli: Cli) -> None:
    """A store that is not at its place is neither whole nor not: 1, and `whole` is null for no script to trust."""
    with running(tmp_path) as glare:
        _, path = uploaded(glare, b"x")
        marker = path.parents[3] / "glare-store"
        marker.unlink()
        result = cli.program(*CHECK, "-o", "json")
        document = json.loads(result.stdout)
        assert (result.returncode, document["whole"], document["done"]) == (1, None, False)
        assert [each["kind"] for each in document["findings"]] == ["unavailable"]
        assert not marker.exists()
        assert "There is no store 'flie'" in sentence(cli.program(*CHECK, "--store", "flie"))


def test_an_empty_document_is_json(tmp_path: Path, cli: Cli) -> None:
    """Without a finding the document has an empty list of them."""
    with running(tmp_path):
        document = json.loads(cli.program(*CHECK, "-o", "json").stdout)
        assert (document["findings"], document["whole"], document["done"]) == ([], True, True)
        assert [one["name"] for one in document["stores"]] == ["file", "database"]
