"""The block digests of contents: what becomes of them where several processes write the same ones."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from glare.db import contents
from glare.db.engine import Database
from glare.digest import DIGEST_LENGTH, Content, Digests
from support.databases import database_of

SIZE = 1 << 20


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(database_of(tmp_path), pool_size=4, busy_timeout=60)
    yield database
    database.dispose()


@pytest.mark.parametrize("kept", [True, False])
def test_who_restores_the_same_content_at_once_waits(database: Database, kept: bool) -> None:
    """The second waits for the first, and then its digests stand; nothing collides, whether digests were kept before or
    not.
    """
    sha256, old, first, second = secrets.token_hex(32), *(secrets.token_bytes(DIGEST_LENGTH) for _ in range(3))
    if kept:
        database.transact(lambda connection: contents.keep(connection, Content(SIZE, Digests("", "", sha256), old), 1))
    written, finished = threading.Event(), threading.Event()
    runs: list[str] = []
    failed: list[BaseException] = []

    def hold(connection: Connection) -> None:
        runs.append("first")
        contents.restore(connection, sha256, SIZE, first, 2)
        written.set()
        # Time for the second to come to where it has to wait; it may as well come later.
        assert not finished.wait(0.5)

    def follow(connection: Connection) -> None:
        runs.append("second")
        contents.restore(connection, sha256, SIZE, second, 3)

    def write() -> None:
        assert written.wait(60)
        try:
            database.transact(follow)
        except BaseException as error:  # noqa: BLE001 - reported by the test's own thread
            failed.append(error)
        finished.set()

    thread = threading.Thread(target=write)
    thread.start()
    database.transact(hold)
    thread.join()
    assert failed == []
    assert runs == ["first", "second"]
    with database.read() as connection:
        assert contents.block_digests(connection, sha256, 0, 0) == second
