"""Requests of a caller whose credential ends while their bodies are under way."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Mapping
from typing import Self

from support.server import Raw, Server
from support.service import BYTES, PATCH, Json, path_of

DATA = b"as long as it takes"
_NUMBERS = itertools.count(1)
STEPS = json.dumps([{"op": "replace", "path": "/description", "value": "changed"}]).encode()


class Midway:
    """An upload and a PATCH of somebody with these headers: the service has let both in, and half of each body has
    come.
    """

    def __init__(self, server: Server, headers: Mapping[str, str]) -> None:
        self._server = server
        self._headers = headers
        self._image = self._create()
        path, changed = path_of(self._image), path_of(self._create())
        self._upload = self._begin("PUT", f"{path}/image", BYTES, DATA)
        self._patch = self._begin("PATCH", changed, PATCH, STEPS)

    @classmethod
    def of_token(cls, server: Server, token: str) -> Self:
        return cls(server, {"X-Auth-Token": token})

    def end(self) -> tuple[int, int]:
        """The status of both when the rest has come."""
        statuses = []
        for raw, data in ((self._upload, DATA), (self._patch, STEPS)):
            with raw:
                raw.send(data[len(data) // 2 :])
                statuses.append(raw.answer()[0])
        upload, patch = statuses
        return upload, patch

    def wait_for_the_end(self) -> None:
        """Until the credential is worth nothing any more."""
        until = time.monotonic() + 60
        while self.status() != 401:
            assert time.monotonic() < until
            time.sleep(0.2)

    def status(self) -> int:
        """What a new request is told."""
        return self._server.client.get("/artifacts/images", headers=self._headers).status_code

    def _create(self) -> Json:
        body = {"name": f"midway-{next(_NUMBERS)}"}
        answer = self._server.client.post("/artifacts/images", json=body, headers=self._headers)
        assert answer.status_code == 201, answer.text
        made: Json = {"type_name": "images", **answer.json()}
        return made

    def _begin(self, method: str, path: str, media_type: str, data: bytes) -> Raw:
        raw = self._server.connect()
        asked = {"Content-Type": media_type, "Content-Length": len(data), "Expect": "100-continue", **self._headers}
        raw.ask(method, path, asked)
        assert raw.head()[0] == 100, "the body is asked for when its sender is let in"
        raw.send(data[: len(data) // 2])
        return raw
