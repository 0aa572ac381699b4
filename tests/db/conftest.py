"""A database with its tables, made once and left as it was by every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from glare.db.engine import Database
from support.catalogue import rolled_back
from support.databases import database_of


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A database with tables and nothing in them."""
    database = Database(database_of(tmp_path_factory.mktemp("db")))
    yield database
    database.dispose()


@pytest.fixture
def connection(migrated: Database) -> Iterator[Connection]:
    """A transaction that is rolled back at the end."""
    with rolled_back(migrated) as connection:
        yield connection
