"""`glare-server members`: with whom an artifact is shared, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from glare.cli.main import main
from support.service import running

pytestmark = pytest.mark.sqlite

SINCE = {"OpenStack-API-Version": "artifact 1.3"}


def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, *arguments: str) -> tuple[int, str]:
    """The exit code of the command, and what it printed."""
    capsys.readouterr()
    code = main(["members", *arguments, "--config-file", str(tmp_path / "glare.conf")])
    return code, capsys.readouterr().out


def test_members_are_listed_and_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the command removes the running service does not show any more, and the audit log says who did it."""
    with running(tmp_path) as glare:
        artifact = glare.alice.create("sample_artifact", name="n", string_required="x")
        glare.alice.activate(artifact)
        step = {"op": "replace", "path": "/visibility", "value": "shared"}
        assert glare.alice.patch(artifact, step, headers=SINCE).status_code == 200
        path = f"/members/{artifact['id']}"
        assert glare.alice.request("POST", path, json={"project": "builders"}, headers=SINCE).status_code == 201
        code, out = run(capsys, tmp_path, "list", artifact["id"])
        assert (code, out.splitlines()[1].split()[:2]) == (0, ["builders", "pending"])
        code, out = run(capsys, tmp_path, "list", artifact["id"], "--output", "json")
        assert [member["project"] for member in json.loads(out)] == ["builders"]
        assert glare.bob.get(artifact).status_code == 200
        assert run(capsys, tmp_path, "remove", artifact["id"], "builders")[0] == 0
        assert glare.bob.get(artifact).status_code == 404
        newest = glare.admin.request("GET", "/audit?limit=1").json()["audit"][0]
        assert (newest["action"], newest["target"], newest["project"]) == ("member.removed", "builders", None)
        assert run(capsys, tmp_path, "remove", artifact["id"], "builders")[0] == 1
        assert run(capsys, tmp_path, "list", "nothing")[0] == 1
        assert run(capsys, tmp_path, "list", artifact["id"])[1] == ""
