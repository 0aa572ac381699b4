"""Revisions make the tables that the code works with."""

from __future__ import annotations

import multiprocessing
import re
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, create_engine, inspect, select, text
from sqlalchemy.pool import NullPool

from glare.db import blobs as blob_rows
from glare.db import migrate, outbox
from glare.db.artifacts import insert_artifact
from glare.db.blobs import NewAttempt
from glare.db.engine import Database
from glare.db.rows import fetch_artifact
from glare.db.tables import artifacts, blobs, quotas
from glare.digest import Digests
from glare.domain.artifact import Artifact, Status, Visibility
from glare.domain.blob import Blob, BlobStatus, Managed, Slot
from glare.domain.events import artifact_event
from glare.errors import BadRequest, Unavailable
from support.catalogue import artifact_row
from support.databases import KIND, new_database


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database that does not exist yet."""
    return new_database(KIND, tmp_path)


def _change(url: str, statement: str) -> None:
    database = Database(url)
    with database.write() as connection:
        connection.execute(text(statement))
    database.dispose()


@pytest.mark.sqlite
def test_upgrade_makes_the_tables_of_the_models(url: str) -> None:
    """After an upgrade each table, column, key and index is that of the models."""
    migrate.upgrade(url)
    report = migrate.check(url)
    assert report.differences == ()
    assert report.current == report.head is not None
    assert report.ready


def test_second_upgrade_changes_nothing(url: str) -> None:
    """An upgrade of what is there already keeps the data."""
    migrate.upgrade(url)
    _change(url, "INSERT INTO quotas VALUES ('p', 'n', 1)")
    migrate.upgrade(url)
    database = Database(url)
    with database.read() as connection:
        assert connection.execute(text("SELECT value FROM quotas")).scalar() == 1
    database.dispose()


@pytest.mark.sqlite
def test_each_upgrade_only_adds(tmp_path: Path) -> None:
    """Processes of the version before go on with the newer tables: none loses a table or a column, and a new column may
    be left out.

    Server processes of two versions run beside each other while an upgrade goes through the nodes, as the page for
    operators says.
    """
    url = new_database("sqlite", tmp_path)
    scripts = ScriptDirectory(str(Path(migrate.__file__).parent / "migrations"))
    revisions = [script.revision for script in reversed(list(scripts.walk_revisions()))]
    before: dict[str, dict[str, Any]] = {}
    for revision in revisions:
        migrate.upgrade(url, revision)
        engine = create_engine(url, poolclass=NullPool)
        with engine.connect() as connection:
            found = inspect(connection)
            tables = {
                table: {column["name"]: column for column in found.get_columns(table)}
                for table in found.get_table_names()
            }
        engine.dispose()
        for table, columns in before.items():
            assert columns.keys() <= tables[table].keys(), (revision, table)
            for name, column in tables[table].items():
                optional = column["nullable"] or column["default"] is not None
                assert optional or name in columns, (
                    f"{revision}: {table}.{name} has to be given, and older processes do not know it"
                )
        before = tables


def test_downgrade_leaves_nothing(url: str) -> None:
    """Downgraded to the base a database has no tables, and can be upgraded again."""
    migrate.upgrade(url)
    migrate.downgrade(url, "base")
    report = migrate.check(url)
    assert report.current is None
    assert not report.ready
    assert any("artifacts" in line for line in report.differences)
    assert not any("not expected" in line or "remove" in line for line in report.differences)
    migrate.upgrade(url)
    assert migrate.check(url).ready


def test_each_revision_goes_back_and_forth_with_data(url: str) -> None:
    """Down to the first revision and up again, what was stored in the tables of both is as it was."""
    kept = _kept()
    migrate.upgrade(url)
    database = Database(url)
    database.transact(lambda connection: _fill(connection, kept))
    database.dispose()
    whole = _rows(url)
    assert {name for name, rows in whole.items() if rows} >= {
        "artifacts",
        "blobs",
        "quotas",
        "outbox",
        "doomed_objects",
    }
    for revision in ("0005", "0004", "0003", "0002", "0001"):
        migrate.downgrade(url, revision)
        assert migrate.check(url).current == revision
        for name, rows in _rows(url).items():
            columns = rows[0].keys() if rows else ()
            assert rows == [{column: row[column] for column in columns} for row in whole[name]], name
    migrate.upgrade(url)
    assert migrate.check(url).ready
    for name in ("artifacts", "blobs", "quotas", "outbox", "doomed_objects"):
        assert _rows(url)[name] == whole[name]
    again = Database(url)
    with again.read() as connection:
        found = fetch_artifact(connection, kept.id)
    assert found is not None
    assert replace(found, blobs={}) == kept
    again.dispose()


def _kept() -> Artifact:
    return Artifact(
        id=str(uuid.UUID(int=7)),
        type_name="images",
        name="kept \U0001f600",
        version="1.0.0",
        owner="me",
        status=Status.DRAFTED,
        visibility=Visibility.PRIVATE,
        created_at=1,
        updated_at=2,
        activated_at=None,
        values={"tags": ["a"], "min_ram": 1},
        blobs={},
        revision=1,
    )


def _fill(connection: Connection, kept: Artifact) -> None:
    """An artifact with a blob and an attempt, and a row of what else the service writes."""
    insert_artifact(connection, kept, [])
    staged = Managed("file", "0123456789abcdef")
    blob_rows.begin_attempt(
        connection, kept.id, Slot("image"), NewAttempt("a" * 32, 3, 10, "text/plain", False, staged)
    )
    document = Blob(Slot("image"), BlobStatus.ACTIVE, "text/plain", 10, Digests("m" * 32, "s" * 40, "t" * 64), staged)
    assert blob_rows.publish(connection, "a" * 32, document)
    blob_rows.doom(connection, [Managed("file", "fedcba9876543210")])
    outbox.record(connection, [artifact_event("create", kept, 4)])
    connection.execute(quotas.insert().values(project="me", name="max_artifact_number", value=5))


def _insert_as_before_sharing(connection: Connection, kept: Artifact) -> None:
    """Insert an artifact as releases did that knew of no sharing."""
    row = {name: value for name, value in artifact_row(kept).items() if name != "sharing"}
    connection.execute(artifacts.insert().values(row).inline())


def _rows(url: str) -> dict[str, list[dict[str, object]]]:
    """Every row of every table that the database has now."""
    engine = create_engine(url)
    found = MetaData()
    found.reflect(engine)
    with engine.connect() as connection:
        rows = {
            table.name: [dict(row._mapping) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in found.sorted_tables
            if table.name != "alembic_version"
        }
    engine.dispose()
    return rows


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("statement", "line"),
    [
        ("DROP INDEX ix_artifacts_scope_newest", "missing: index ix_artifacts_scope_newest"),
        ("ALTER TABLE quotas ADD COLUMN extra TEXT", "not expected: column quotas.extra"),
        ("DROP TABLE quotas", "missing: column quotas.value"),
        ("CREATE TABLE more (id INTEGER)", "not expected: column more.id"),
    ],
)
def test_check_names_what_differs(url: str, statement: str, line: str) -> None:
    """A database that somebody changed is not ready, and the report says where."""
    migrate.upgrade(url)
    _change(url, statement)
    report = migrate.check(url)
    assert not report.ready
    assert [found for found in report.differences if found.startswith(line)]


@pytest.mark.sqlite
def test_check_sees_the_direction_of_an_index(url: str) -> None:
    """An index with the right columns in the wrong direction is a difference."""
    migrate.upgrade(url)
    _change(url, "DROP INDEX ix_artifacts_scope_newest")
    _change(url, "CREATE INDEX ix_artifacts_scope_newest ON artifacts (type_name, scope, created_at, id)")
    assert len(migrate.check(url).differences) == 2


@pytest.mark.parametrize("revision", ["unknown", "9999"])
def test_unknown_revision_is_refused(url: str, revision: str) -> None:
    """A revision that does not exist is named in the refusal, and nothing happens."""
    with pytest.raises(BadRequest, match=revision):
        migrate.upgrade(url, revision)
    assert migrate.check(url).current is None


def test_a_newer_database_is_left_alone(url: str) -> None:
    """A revision that only a newer release knows is named, and nobody is told to upgrade what is newer already."""
    migrate.upgrade(url)
    _change(url, "UPDATE alembic_version SET version_num = '9999'")
    for attempt in (migrate.check, migrate.upgrade):
        with pytest.raises(Unavailable, match="is at revision 9999, which this version does not know"):
            attempt(url)


def test_processes_upgrade_at_once(url: str) -> None:
    """Several processes that start together upgrade the database once, and all of them find it ready."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=migrate.upgrade, args=(url,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert migrate.check(url).ready


def test_queries_that_were_shown_are_closed(url: str) -> None:
    """What was recorded open with a query that is not harmless is confidential after the upgrade, of copies the source,
    too.
    """
    before = sorted(path.name[:4] for path in Path(migrate.__file__).parent.glob("migrations/versions/0*_*.py"))
    last = before[before.index(_revision_of("confidential_queries")) - 1]
    migrate.upgrade(url, last)
    kept = _kept()
    urls = {
        "a": "https://h.example/x?hm=1",
        "b": "https://h.example/x?version=2",
        "c": "https://h.example/x",
        "d": None,
    }
    database = Database(url)
    with database.write() as connection:
        _insert_as_before_sharing(connection, kept)
        for name, text_of in urls.items():
            row = {"slot": name * 64, "url": text_of, "source": "https://h.example/y?sig=1" if name == "d" else None}
            connection.execute(
                blobs.insert().values(
                    slot_id=row["slot"],
                    artifact_id=kept.id,
                    field="image",
                    created_at=1,
                    status="active",
                    external=1,
                    url=row["url"],
                    source_url=row["source"],
                )
            )
    database.dispose()
    migrate.upgrade(url)
    closed = {str(row["slot_id"])[0]: (row["confidential"], row["source_confidential"]) for row in _rows(url)["blobs"]}
    assert closed == {"a": (1, 0), "b": (0, 0), "c": (0, 0), "d": (0, 1)}


def _revision_of(name: str) -> str:
    return next(Path(migrate.__file__).parent.glob(f"migrations/versions/*_{name}.py")).name[:4]


def test_the_page_closes_what_the_release_before_has_left_open(url: str) -> None:
    """The statements of the page for operators close the URLs with a query, of copies the source, and no others."""
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "back-up-and-upgrade.md").read_text()
    [block] = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    migrate.upgrade(url)
    kept = _kept()
    places = {
        "a": ("https://h.example/x?sig=1", None),
        "b": ("https://h.example/x", None),
        "c": (None, "https://h.example/y?sig=1"),
        "d": (None, "https://h.example/y"),
    }
    database = Database(url)
    with database.write() as connection:
        insert_artifact(connection, kept, [])
        for name, (location, source) in places.items():
            row = {"slot_id": name * 64, "artifact_id": kept.id, "field": "image", "created_at": 1, "status": "active"}
            connection.execute(blobs.insert().values(**row, external=1, url=location, source_url=source))
    database.dispose()
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in filter(str.strip, block.split(";")):
            connection.execute(text(statement))
    engine.dispose()
    closed = {str(row["slot_id"])[0]: (row["confidential"], row["source_confidential"]) for row in _rows(url)["blobs"]}
    assert closed == {"a": (1, 0), "b": (0, 0), "c": (0, 1), "d": (0, 0)}
