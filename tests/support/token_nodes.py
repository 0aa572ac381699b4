"""Two nodes of one service: users have sessions at the one, and come to the other with API tokens that they made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
from starlette.testclient import TestClient

from glare.app import build_services, create_application
from support.origins.egress import resolve
from support.service import ActorClient, Glare, running

SINCE = {"OpenStack-API-Version": "artifact 1.3"}


class TokenNodes:
    """`users` is the node of sessions, `tokens` the one that takes API tokens."""

    def __init__(self, users: Glare, tokens: Glare) -> None:
        self.users = users
        self.tokens = tokens

    def try_make(self, session: str, **members: Any) -> httpx2.Response:
        """Make a token in a session; whatever comes."""
        return self.users.actor(session).request("POST", "/tokens", json=members, headers=SINCE)

    def make(self, session: str, **members: Any) -> dict[str, Any]:
        """A token that was made in a session."""
        answer = self.try_make(session, **members)
        assert answer.status_code == 201, answer.text
        document: dict[str, Any] = answer.json()
        return document

    def bearer(self, token: dict[str, Any]) -> ActorClient:
        """Who comes with the token."""
        return self.tokens.actor(token["token"])


@contextmanager
def token_nodes(directory: Path, text: str = "") -> Iterator[TokenNodes]:
    """Both, on one database. `text` adds to their configuration."""
    with running(directory, "[tokens]\nlook_every = 0.1 s\n" + text) as users:
        settings = replace(users.settings, identity=replace(users.settings.identity, pipeline=("tokens",)))
        services = build_services(settings, resolve=resolve)
        with TestClient(
            create_application(settings, with_worker=False, services=services),
            raise_server_exceptions=False,
            client=("127.0.0.1", 50000),
        ) as client:
            yield TokenNodes(users, Glare(settings, services, client))
