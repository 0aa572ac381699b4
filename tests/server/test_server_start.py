"""Server processes that begin with nothing."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from glare.db import migrate
from support.databases import database_of
from support.server import Server


def test_two_processes_start_together_on_an_empty_database(tmp_path: Path) -> None:
    """Both answer, on tables that one of them has made, and what is stored through one is read through the other."""
    url = database_of(tmp_path, tables=False)
    with ExitStack() as stack:
        servers = [Server(tmp_path, options=("--quickstart",)) for _ in range(2)]
        for server in servers:
            stack.push(server.__exit__)
            server.launch()
        first, second = servers
        first.wait_until_ready()
        second.wait_until_ready()
        artifact = first.alice.create("images", name="made by the first")
        first.alice.upload(artifact, "image", b"bytes")
        assert second.alice.download(artifact, "image").content == b"bytes"
        assert second.alice.page("images")["total_count"] == 1
    assert migrate.check(url).ready
