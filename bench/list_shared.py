"""What a page of a list costs where 1 % of everything is shared with the caller, few and many.

    GLARE_TEST_DATABASE=postgresql python bench/list_shared.py [--count 1000000] [--seconds 0.8]

Fills a database of 1 000 and one of `--count` artifacts (SQLite, or the server that GLARE_TEST_DATABASE names), half of
which belong to the caller, a tenth is public, and a hundredth, but at least 100, is shared with the caller by others.
Prints milliseconds of the first, a middle and the last page of 25 with its artifacts and, without a filter, its total:
on SQLite of the processor, which other work on the machine does not change.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from list_million import MINE, SMALL, artifacts_of, best, pairs
from sqlalchemy import insert, text

from glare.db import migrate
from glare.db.engine import Database
from glare.db.lists.pages import page_statement
from glare.db.lists.read import list_page, plan
from glare.db.tables import artifact_members, artifact_values, artifacts
from glare.documents.members import MemberStatus
from glare.domain.artifact import Artifact, Status, Visibility
from glare.domain.declared.compile import compile_type
from glare.domain.microversion import SHARING
from glare.domain.moment import SECOND
from glare.domain.query import ListQuery, parse_query
from glare.domain.visibility import ListScope
from glare.types.images import Image
from support.catalogue import artifact_row, count_all, member_row, value_rows
from support.databases import KIND, new_database

SPEC: Final = compile_type(Image)
SCOPE: Final = ListScope.of_project(MINE)
QUERIES: Final = (
    "",
    "visibility=shared",
    "sort=name:asc",
    "sort=version:asc",
    "name=image-3",
    "status=active",
    "visibility=shared&sort=name:asc",
    "visibility=shared&sort=status:asc",
    "visibility=shared&tags=common",
    "visibility=community",
    "sort=version:desc",
    "sort=status:asc",
    "sort=updated_at:desc",
    "sort=activated_at:desc",
    "sort=owner:asc",
    "tags=common",
    "tags=rare",
    "visibility=shared&sort=updated_at:desc",
    "visibility=shared&sort=activated_at:desc",
    "visibility=shared&sort=version:asc",
    "visibility=shared&sort=version:desc",
    "visibility=shared&tags=rare",
    "visibility=all",
)
CLOCK: Final = time.thread_time if KIND == "sqlite" else time.perf_counter
LEAST: Final = 100
FIRST: Final = 1_577_836_800
"""When the oldest one was made, in seconds."""


def build(folder: Path, count: int) -> Database:
    """A database of its own with so many artifacts."""
    url = new_database(KIND, folder)
    migrate.upgrade(url)
    database = Database(url)
    started = time.monotonic()
    for batch in _batches(count):
        with database.write() as connection:
            connection.execute(insert(artifacts), [artifact_row(artifact) for artifact in batch])
            connection.execute(
                insert(artifact_values), [row for artifact in batch for row in value_rows(SPEC, artifact)]
            )
            shared = [artifact for artifact in batch if artifact.visibility is Visibility.SHARED]
            if shared:
                rows = [member_row(artifact, MINE, MemberStatus.ACCEPTED) for artifact in shared]
                connection.execute(insert(artifact_members), rows)
    with database.write() as connection:
        count_all(connection)
    tables = "artifacts, artifact_values, artifact_members"
    analyze = {"postgresql": f"VACUUM ANALYZE {tables}", "mariadb": f"ANALYZE TABLE {tables}"}.get(KIND)
    if analyze:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(analyze)).close()
    print(f"built {count} in {time.monotonic() - started:.0f} s", flush=True)
    return database


def _batches(count: int) -> Iterator[list[Artifact]]:
    every = count // max(LEAST, count // 100)
    for batch in artifacts_of(count):
        yield [_shared(artifact, every) for artifact in batch]


def _shared(artifact: Artifact, every: int) -> Artifact:
    """Some of the private ones of others are shared, and as many are community."""
    if artifact.owner == MINE or artifact.visibility is Visibility.PUBLIC:
        return artifact
    visibility = {3: Visibility.SHARED, 7: Visibility.COMMUNITY}.get((artifact.created_at // SECOND - FIRST) % every)
    if visibility is None:
        return artifact
    return replace(artifact, visibility=visibility, status=Status.ACTIVE, activated_at=artifact.created_at)


def _query(query: str, marker: str | None = None) -> ListQuery:
    return replace(parse_query(SPEC.face(SHARING), pairs(query)), marker=marker)


def page(database: Database, query: str, marker: str | None) -> float:
    """Milliseconds of one page."""
    asked = _query(query, marker)
    started = CLOCK()
    with database.read() as connection:
        list_page(connection, asked, SCOPE, [SPEC], count=not asked.filters)
    return (CLOCK() - started) * 1000


def marker_at(database: Database, query: str, part: float) -> str | None:
    """The artifact at this part (0 to 1) of the list."""
    asked = _query(query)
    with database.read() as connection:
        total = list_page(connection, replace(asked, limit=0), SCOPE, [SPEC]).total or 0
        if not int(total * part):
            return None
        listing = plan(connection, replace(asked, limit=int(total * part)), SCOPE, [SPEC])
        return str(connection.execute(page_statement(listing, None)).scalars().all()[-1])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--count", type=int, default=1_000_000)
    arguments.add_argument("--seconds", type=float, default=0.8, help="how long each page is read again and again")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        databases = []
        for count in (SMALL, options.count):
            Path(folder, str(count)).mkdir()
            databases.append(build(Path(folder, str(count)), count))
        print(f"\n{KIND}\n\n| {'query':36} | first | middle | last | worst / worst of {SMALL} |\n|---|---|---|---|---|")
        for query in QUERIES:
            figures = []
            for part in (0.0, 0.5, 0.995):
                at = [(database, marker_at(database, query, part)) for database in databases]
                runs = [partial(page, database, query, marker) for database, marker in at]
                figures.append(best(*runs, seconds=options.seconds))
            small, large = (max(column) for column in zip(*figures, strict=True))
            row = " | ".join(f"{figure:.2f}" for _, figure in figures)
            print(f"| {f'`{query}`' if query else '(plain)':36} | {row} | {large / small:.2f} |", flush=True)
        for database in databases:
            database.dispose()


if __name__ == "__main__":
    main()
