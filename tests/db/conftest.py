"""A database with its tables, made once and left as it was by every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from glare.db import migrate
from glare.db.engine import Database
from support.catalogue import rolled_back


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A database with tables and nothing in them."""
    url = f"sqlite:///{tmp_path_factory.mktemp('db') / 'glare.db'}"
    migrate.upgrade(url)
    database = Database(url)
    yield database
    database.dispose()


@pytest.fixture
def connection(migrated: Database) -> Iterator[Connection]:
    """A transaction that is rolled back at the end."""
    with rolled_back(migrated) as connection:
        yield connection
