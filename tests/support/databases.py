"""The database that tests of the service work on: SQLite, or a server that `GLARE_TEST_DATABASE` names.

``GLARE_TEST_DATABASE=postgresql`` and ``=mariadb`` run the same tests on a server of this machine, whose URLs are
`SERVERS` or the variables ``GLARE_TEST_POSTGRESQL_URL`` and ``GLARE_TEST_MARIADB_URL``. Each test directory gets a
database of its own, without a trace of others; they are dropped at the end.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Final

from sqlalchemy import URL, Engine, create_engine, make_url, text
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.pool import NullPool

from glare.db import migrate
from glare.db.tables import metadata

KIND: Final = os.environ.get("GLARE_TEST_DATABASE", "sqlite")

SERVERS: Final = {
    "postgresql": os.environ.get("GLARE_TEST_POSTGRESQL_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"),
    "mariadb": os.environ.get("GLARE_TEST_MARIADB_URL", "mysql+pymysql://root@127.0.0.1:3306/test"),
}
"""URL of each server, with a user that may create databases."""

_NUMBERS: Final = itertools.count(1)
_MADE: Final[dict[Path, str]] = {}
_TEMPORARY: Final[list[Path]] = []
_IDLE: Final[list[str]] = []
"""Databases with tables whose tests are over: emptying one costs less than making another."""


def why_not(kind: str) -> str | None:
    """Why tests cannot run on this kind of database here; None when they can."""
    if kind == "sqlite":
        return None
    if kind not in SERVERS:
        return f"GLARE_TEST_DATABASE is '{kind}'; it may be sqlite, {', '.join(SERVERS)}"
    try:
        with _server(kind).connect():
            return None
    except OperationalError as error:
        return f"no {kind} at {make_url(SERVERS[kind]).render_as_string()}: {error.orig}"


def database_of(directory: Path, *, tables: bool = True) -> str:
    """URL of the database of a test directory, made at the first call; with `tables` it has them, and nothing in
    them.
    """
    made = _MADE.get(directory)
    if made is None:
        # Other processes that a test starts in the directory work on the same one.
        note = directory / "database-url"
        made = note.read_text() if note.exists() else _make(directory, tables=tables)
        note.write_text(made)
        _MADE[directory] = made
    return made


def drop_all() -> None:
    """Drop every database that this process has made on a server, and the template of SQLite's."""
    for directory in _TEMPORARY:
        shutil.rmtree(directory, ignore_errors=True)
    if _server.cache_info().currsize:
        _drop_all(_server(KIND), mine=True)


def release(directory: Path) -> None:
    """The tests below `directory` are over."""
    for path in [path for path in _MADE if path.is_relative_to(directory)]:
        url = _MADE.pop(path)
        if KIND != "sqlite":
            _IDLE.append(url)


def new_database(kind: str, directory: Path) -> str:
    """URL of another database of this kind, without tables."""
    if kind == "sqlite":
        return f"sqlite:///{directory / f'glare-{next(_NUMBERS)}.sqlite'}"
    return _create(kind, f"{_PREFIX}{next(_NUMBERS)}", "")


def _make(directory: Path, *, tables: bool) -> str:
    if KIND == "sqlite":
        state = directory / "state"
        state.mkdir(parents=True, exist_ok=True)
        path = state / "glare.sqlite"
        if tables and not path.exists():
            shutil.copyfile(_sqlite_template(), path)
        return f"sqlite:///{path}"
    if tables and _IDLE:
        url = _IDLE.pop()
        if _empty(url):
            return url
    name = f"{_PREFIX}{next(_NUMBERS)}"
    if KIND == "postgresql" and tables:
        return _create(KIND, name, f" TEMPLATE {_postgresql_template()}")
    url = _create(KIND, name, "")
    if tables:
        migrate.upgrade(url)
    return url


def _empty(url: str) -> bool:
    """Delete all rows; False where a test has taken tables away."""
    try:
        with create_engine(url, poolclass=NullPool).begin() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(table.delete())
    except ProgrammingError:
        return False
    return True


_PREFIX: Final = f"glare_test_{os.getpid()}_"


@lru_cache
def _sqlite_template() -> Path:
    """An empty database with all tables, made once a process: migrating costs more than most tests."""
    directory = Path(tempfile.mkdtemp(prefix="glare-tests-"))
    _TEMPORARY.append(directory)
    migrate.upgrade(f"sqlite:///{directory}/empty.sqlite")
    return directory / "empty.sqlite"


@lru_cache
def _postgresql_template() -> str:
    name = f"{_PREFIX}template"
    migrate.upgrade(_create("postgresql", name, ""))
    return name


def _create(kind: str, name: str, options: str) -> str:
    server = _server(kind)
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}{options}"))
    url: URL = make_url(SERVERS[kind]).set(database=name)
    return url.render_as_string(hide_password=False)


@lru_cache
def _server(kind: str) -> Engine:
    engine = create_engine(SERVERS[kind], isolation_level="AUTOCOMMIT", pool_size=1)
    with engine.connect():
        pass
    _drop_all(engine, mine=False)
    return engine


def _drop_all(engine: Engine, *, mine: bool) -> None:
    """Drop this process's databases, or those that processes which are no more have left behind."""
    postgresql = engine.dialect.name == "postgresql"
    names = "SELECT datname FROM pg_database" if postgresql else "SHOW DATABASES"
    with engine.connect() as connection:
        for name in connection.execute(text(names)).scalars().all():
            found = re.fullmatch(r"glare_test_(\d+)_\w+", name)
            if found is None:
                continue
            if name.startswith(_PREFIX) if mine else not Path(f"/proc/{found[1]}").exists():
                connection.execute(text(f"DROP DATABASE IF EXISTS {name}{' WITH (FORCE)' if postgresql else ''}"))
    if mine:
        engine.dispose()
