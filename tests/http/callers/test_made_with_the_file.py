"""Tokens of the database that were made with a token of the file."""

from __future__ import annotations

import time
from pathlib import Path

from glare.cli.main import main
from glare.identity.token_file import TokenFile
from support.service import ActorClient, running

LATEST = {"OpenStack-API-Version": "artifact latest"}


def test_they_end_with_the_token_of_the_file(tmp_path: Path) -> None:
    """Who revokes a leaked token need not know what was made with it, or with that."""
    with running(tmp_path, "[identity]\npipeline = token_file, tokens\n") as glare:
        file = TokenFile(glare.settings.identity.token_file)
        made = {name: file.create("p1", name, ("member", "manager")) for name in ("mia", "max")}
        callers = {name: [ActorClient(glare.client, text)] for name, (text, _) in made.items()}
        for family in callers.values():
            for _ in range(2):
                child = family[-1].request("POST", "/tokens", json={}, headers=LATEST)
                assert child.status_code == 201, child.text
                family.append(ActorClient(glare.client, child.json()["token"]))
                assert family[-1].request("GET", "/artifacts/images").status_code == 200
        words = ["token", "revoke", made["mia"][1].id, "--config-file", str(tmp_path / "glare.conf")]
        assert main(words) == 0
        time.sleep(2.5)
        for name, status in (("mia", 401), ("max", 200)):
            found = [caller.request("GET", "/artifacts/images").status_code for caller in callers[name]]
            assert found == [status] * 3, name
