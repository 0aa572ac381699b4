"""A request that was let in ends as if its credential had not ended, whatever source it is of."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from glare.identity.token_file import TokenFile
from support.oidc import Issuer
from support.origins.origin import Origin
from support.runs.midway import Midway
from support.server import Server
from support.token_nodes import SINCE

ISSUERS = """
[issuers.ci]
issuer = "{url}"
audience = ["glare"]
algorithms = ["ES256"]
networks = ["127.0.0.1/32"]
allow_http = true
publishers = true
kind = "github"

[[issuers.ci.rules]]
when = {{ groups = "builders" }}
project = "builders"
roles = ["member"]
"""
PATIENT = "[api]\nbody_timeout = 60 s\n"
LIFETIME = 6
"""Seconds within which all requests have to be let in."""


@pytest.mark.timeout(180)
def test_what_was_let_in_ends_well(tmp_path: Path) -> None:
    """An upload and a PATCH of a token of the file, an API token, a signed token, and a build: they end with success
    when it has ended, and the next request is 401. The same holds for what was revoked meanwhile.
    """
    issuer, file = Issuer(), tmp_path / "issuers.toml"
    with Origin() as origin:
        issuer.serve(origin)
        file.write_text(ISSUERS.format(url=issuer.url))
        text = f"[identity]\npipeline = oidc, token_file, tokens\n[oidc]\nissuers = {file}\nleeway = 0\n{PATIENT}"
        with Server(tmp_path, text) as server:
            tokens = TokenFile(server.settings.identity.token_file)
            manager = server.actor(tokens.create("builders", "mia", ("member", "manager"))[0])
            publisher = {"issuer": "ci", "claims": {"repository_id": "7"}}
            assert manager.request("POST", "/publishers", json=publisher, headers=SINCE).status_code == 201
            revoked = manager.request("POST", "/tokens", json={}, headers=SINCE).json()

            ends = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=LIFETIME)
            made = manager.request("POST", "/tokens", json={"expires_at": f"{ends:%Y-%m-%dT%H:%M:%SZ}"}, headers=SINCE)
            assert made.status_code == 201, made.text
            short, _ = tokens.create("builders", "ann", ("member",), expires_in=LIFETIME)
            signed = issuer.token(exp=int(ends.timestamp()))
            build = issuer.token(exp=int(ends.timestamp()), sub="repo:acme/app", repository_id="7", groups=None)
            under_way = {
                "token_file": Midway.of_token(server, short),
                "tokens": Midway.of_token(server, made.json()["token"]),
                "oidc": Midway.of_token(server, signed),
                "publisher": Midway(server, {"X-Auth-Token": build, "X-Glare-Project": "builders"}),
                "revoked": Midway.of_token(server, revoked["token"]),
            }
            assert time.time() < ends.timestamp(), "all are let in before their end"
            assert manager.request("DELETE", f"/tokens/{revoked['id']}", headers=SINCE).status_code == 204
            for one in under_way.values():
                one.wait_for_the_end()
            assert {name: one.end() for name, one in under_way.items()} == dict.fromkeys(under_way, (200, 200))
            assert server.leftovers() == {}
