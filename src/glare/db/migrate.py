"""Bringing a database to the tables that this release needs, and checking that it has them.

No ``alembic.ini``: the configuration is made here, and the revisions are packaged beside this module.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine, text

from glare.db.engine import Database
from glare.db.tables import metadata
from glare.errors import BadRequest, Unavailable

_VERSION_TABLE: Final = "alembic_version"
_LOCK_TIMEOUT: Final = 60.0
_LOCK_KEY: Final = 0x676C617265  # "glare": one key for each database of a PostgreSQL server


@dataclass(frozen=True, slots=True)
class Report:
    """What `check` found. Revisions are None before the first one; each difference is a line for the operator."""

    current: str | None
    head: str | None
    differences: tuple[str, ...]

    @property
    def ready(self) -> bool:
        """Whether this release can work on the database."""
        return self.current == self.head and not self.differences


def upgrade(url: str, revision: str = "head") -> None:
    """Apply all revisions up to `revision`, in one transaction where the database can do that.

    Several processes may do this at once: the first does the work and the others find it done. Raises `BadRequest` for
    a revision that does not exist, `Unavailable` when the database stays locked or a newer release made it.
    """
    with _connection(url) as connection, _known_revision(connection, revision):
        command.upgrade(_config(connection), revision)


def downgrade(url: str, revision: str) -> None:
    """Undo all revisions after `revision`; ``base`` undoes them all, with everything that is stored."""
    with _connection(url) as connection, _known_revision(connection, revision):
        command.downgrade(_config(connection), revision)


def check(url: str) -> Report:
    """Compare a database with what this release needs; changes nothing.

    Raises `Unavailable` for a database that a newer release made.
    """
    database = Database(url, busy_timeout=_LOCK_TIMEOUT)
    try:
        with database.read() as connection:
            context = MigrationContext.configure(connection)
            head = _require_known(connection).get_current_head()
            if connection.dialect.name == "sqlite":
                differences = _sqlite_differences(connection)
            else:
                differences = tuple(str(difference) for difference in compare_metadata(context, metadata))
            return Report(context.get_current_revision(), head, differences)
    finally:
        database.dispose()


@contextmanager
def _connection(url: str) -> Iterator[Connection]:
    database = Database(url, pool_size=1, busy_timeout=_LOCK_TIMEOUT)
    try:
        with database.write() as connection:
            _wait_for_turn(connection)
            yield connection
    finally:
        database.dispose()


def _wait_for_turn(connection: Connection) -> None:
    """Let no other process change the tables meanwhile. The lock ends with the transaction, or with the connection.

    SQLite holds its write lock already. MariaDB commits with each statement that changes tables, so its lock is the
    session's.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
    elif connection.dialect.name != "sqlite":
        name = f"glare.{connection.engine.url.database}"[:64]
        if not connection.execute(
            text("SELECT GET_LOCK(:name, :wait)"), {"name": name, "wait": _LOCK_TIMEOUT}
        ).scalar():
            raise Unavailable(
                "Another process is changing the tables of the database; wait until it is done, then retry."
            )


@contextmanager
def _known_revision(connection: Connection, revision: str) -> Iterator[None]:
    scripts = _require_known(connection)
    try:
        yield
    except CommandError as error:
        known = ", ".join(sorted(script.revision for script in scripts.walk_revisions()))
        raise BadRequest(
            f"The database cannot be brought to revision '{revision}' ({error}); this version knows {known}."
        ) from error


def _require_known(connection: Connection) -> ScriptDirectory:
    """The revisions of this release, among them the one of the database, if it has any."""
    scripts = ScriptDirectory.from_config(_config(connection))
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
        raise Unavailable(
            f"The database is at revision {current}, which this version does not know, so a newer one made it; "
            "install that one, and downgrade the database with it if you want to come back here."
        )
    return scripts


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _sqlite_differences(connection: Connection) -> tuple[str, ...]:
    """Alembic's comparison is blind to an index's directions and collations, which our lists rely on."""
    engine = create_engine("sqlite://")
    with engine.connect() as pristine:
        metadata.create_all(pristine)
        wanted = _sqlite_shape(pristine)
    engine.dispose()
    found = _sqlite_shape(connection)
    lines = [f"missing: {item}" for item in sorted(wanted - found)]
    lines += [f"not expected: {item}" for item in sorted(found - wanted)]
    return tuple(lines)


def _sqlite_shape(connection: Connection) -> set[str]:
    """Every table, column, key and index, one line each."""
    lines: set[str] = set()

    def rows(pragma: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in connection.exec_driver_sql(f"PRAGMA {pragma}")]

    tables = connection.exec_driver_sql("SELECT name FROM sqlite_schema WHERE type = 'table'").scalars().all()
    for table in tables:
        if table == _VERSION_TABLE or table.startswith("sqlite_"):
            continue
        for _, name, kind, required, default, key, _ in rows(f'table_xinfo("{table}")'):
            lines.add(f"column {table}.{name} {kind}{' not null' * required}, default {default}, position in key {key}")
        for key in rows(f'foreign_key_list("{table}")'):
            lines.add(f"foreign key {table}.{key[3]} to {key[2]}.{key[4]}, on delete {key[6]}")
        for _, name, unique, *_ in rows(f'index_list("{table}")'):
            columns = ", ".join(
                f"{column}{' desc' * descending} {collation}"
                for _, _, column, descending, collation, is_key in rows(f'index_xinfo("{name}")')
                if is_key
            )
            lines.add(f"index {name} on {table} ({columns}){' unique' * unique}")
    return lines
