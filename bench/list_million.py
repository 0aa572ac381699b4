"""What a page of a list costs at a thousand and at a million artifacts, first, middle and last page.

    python bench/list_million.py [--count 1000000] [--folder /tmp/glare-bench]

Builds a database of each size (or takes the one that is in the folder), and prints milliseconds for each guaranteed
shape, what the large one costs compared with the small one, then the other shapes with their totals apart.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from sqlalchemy import delete, insert, text

from glare.db import migrate
from glare.db.engine import Database
from glare.db.lists.pages import page_statement
from glare.db.lists.read import list_page, plan
from glare.db.tables import artifact_values, artifacts
from glare.domain.artifact import Artifact, Status, Visibility
from glare.domain.declared.artifact_type import TypeSpec
from glare.domain.declared.compile import compile_all, compile_type
from glare.domain.query import parse_query
from glare.domain.visibility import ListScope
from glare.types.images import Image
from glare.types.murano_packages import MuranoPackage
from support.catalogue import artifact_row, count_all, value_rows

SMALL = 1000
MINE = "project-0"
FORMATS = ("qcow2", "raw", "vmdk", "iso")

GUARANTEED = (
    "",
    "sort=created_at:asc",
    "sort=name:asc",
    "sort=name:desc",
    "sort=name:asc,version:asc",
    "sort=version:asc",
    "sort=status:asc",
    "name=image-7",
    "name=image-7&sort=version:asc",
    "name=image-7&version=1.0.3",
    "name=image-7&version=latest",
    "version=1.0.3",
    "status=active",
    "status=active&sort=status:asc",
    "owner=project-0",
    "visibility=public",
    "disk_format=qcow2",
    "tags=rare",
    "tags=common",
    "metadata.rack=r1",
    "metadata=rack",
    "min_ram=512",
)
OTHERS = (
    "version=latest",
    "sort=version:desc",
    "sort=updated_at:desc",
    "sort=activated_at:desc",
    "name=like:image-77%25",
    "name=like:%25nothing%25",
    "name=neq:image-7",
    "name=in:image-7,image-8",
    "status=in:active,drafted",
    "min_ram=gt:100",
    "min_ram=gt:100000",
    "tags=common&tags=rare",
    "tags-any=common,rare",
    "status=active&disk_format=qcow2",
    "status=drafted&tags=rare",
    "disk_format=qcow2&sort=name:asc",
    "tags=rare&sort=name:asc",
    "status=active&sort=name:asc",
    "disk_format=or:iso&tags=or:rare",
    "created_at=lt:2020-01-02",
)


def build(path: Path, count: int, spec: TypeSpec) -> None:
    """Half of `count` belongs to one project, a tenth is public, the rest to a hundred others."""
    url = f"sqlite:///{path}"
    migrate.upgrade(url)
    database = Database(url)
    started = time.monotonic()
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA synchronous = OFF")
        connection.exec_driver_sql("PRAGMA cache_size = -400000")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        # Indexes are made from the rows at the end, which is several times as fast.
        indexes = connection.execute(
            text("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql > ''")
        ).all()
        for name, _ in indexes:
            connection.exec_driver_sql(f'DROP INDEX "{name}"')
        for batch in artifacts_of(count):
            connection.execute(insert(artifacts), [artifact_row(artifact) for artifact in batch])
            connection.execute(
                insert(artifact_values), [row for artifact in batch for row in value_rows(spec, artifact)]
            )
        for _, statement in indexes:
            connection.exec_driver_sql(statement)
        count_all(connection)
        connection.commit()
    database.dispose()
    size = path.stat().st_size
    print(f"built {count} in {time.monotonic() - started:.0f} s: {size / 1e6:.0f} MB, {size // count} bytes each")


def artifacts_of(count: int) -> Iterator[list[Artifact]]:
    """The artifacts of a database of `count`, in batches."""
    source = random.Random(1)  # noqa: S311 - repeatable figures are wanted, not secrets
    batch: list[Artifact] = []
    for number in range(count):
        mine = number % 2 == 0
        public = number % 10 == 1
        created = 1_577_836_800_000_000 + number * 1_000_000 + source.randrange(1_000_000)
        status = Status.ACTIVE if public or source.random() < 0.8 else Status.DRAFTED
        tags = ["common"] + (["rare"] if number % 5000 == 0 else [])
        batch.append(
            Artifact(
                id=str(uuid.UUID(int=source.getrandbits(128), version=4)),
                type_name="images",
                name=f"image-{number % max(1, count // 50)}",
                version=f"1.{number // max(1, count // 50)}.{source.randrange(10)}",
                owner=MINE if mine else f"project-{1 + source.randrange(100)}",
                status=status,
                visibility=Visibility.PUBLIC if public else Visibility.PRIVATE,
                created_at=created,
                updated_at=created + source.randrange(10**12),
                activated_at=created + 10**6 if status is Status.ACTIVE else None,
                values={
                    "disk_format": source.choice(FORMATS),
                    "container_format": "bare",
                    "min_ram": source.choice((256, 512, 1024, 2048)),
                    "tags": tags,
                    "metadata": {"rack": f"r{source.randrange(20)}"},
                },
                blobs={},
                revision=1,
            )
        )
        if len(batch) == 5000:
            yield batch
            batch = []
    if batch:
        yield batch


def pairs(query: str) -> list[tuple[str, str]]:
    """The decoded parameters of a query that is written here."""
    found = [part.partition("=") for part in query.split("&") if part]
    return [(name, value.replace("%25", "%")) for name, _, value in found]


class Bench:
    """One database and one way to look at it."""

    def __init__(self, path: Path, spec: TypeSpec, types: Sequence[TypeSpec], scope: ListScope) -> None:
        self.database = Database(f"sqlite:///{path}")
        self.spec, self.types, self.scope = spec, types, scope

    def page(self, query: str, marker: str | None, *, count: bool = False) -> float:
        """Milliseconds of one page."""
        parsed = replace(parse_query(self.spec, pairs(query)), marker=marker)
        started = time.perf_counter()
        with self.database.read() as connection:
            list_page(connection, parsed, self.scope, self.types, count=count)
        return (time.perf_counter() - started) * 1000

    def marker(self, query: str, part: float) -> str | None:
        """The artifact at this part (0 to 1) of the list, found by a page as long as it takes."""
        parsed = parse_query(self.spec, pairs(query))
        with self.database.read() as connection:
            total = list_page(connection, replace(parsed, limit=0), self.scope, self.types).total or 0
            wanted = int(total * part)
            if not wanted:
                return None
            # The statement alone, for the artifacts themselves may be too many for the memory.
            listing = plan(connection, replace(parsed, limit=wanted), self.scope, self.types)
            return str(connection.execute(page_statement(listing, None)).scalars().all()[-1])


def best(*runs: Callable[[], float], seconds: float = 0.3) -> list[float]:
    """The best figure of each, taken in turns, so that what else the machine does meets all of them."""
    figures = [run() for run in runs]
    until = time.monotonic() + seconds
    for _ in range(40):
        if time.monotonic() > until:
            break
        figures = [min(figure, run()) for figure, run in zip(figures, runs, strict=True)]
    return figures


def report(small: Bench, large: Bench) -> None:
    print(f"| {'query':30} | first | middle | last | worst / worst of 1 000 |")
    print("|---|---|---|---|---|")
    for query in GUARANTEED:
        figures = []
        for part in (0.0, 0.5, 0.995):
            at = [(bench, bench.marker(query, part)) for bench in (small, large)]
            figures.append(best(*(partial(bench.page, query, marker) for bench, marker in at)))
        worst_small, worst_large = (max(column) for column in zip(*figures, strict=True))
        document = " | ".join(f"{figure:.2f}" for _, figure in figures)
        print(f"| {f'`{query}`' if query else '(plain)':30} | {document} | {worst_large / worst_small:.2f} |")


def report_others(large: Bench) -> None:
    print(f"| {'query':34} | page | page and total |")
    print("|---|---|---|")
    for query in OTHERS:
        (page,) = best(partial(large.page, query, None))
        (total,) = best(partial(large.page, query, None, count=True))
        print(f"| {f'`{query}`':34} | {page:.1f} | {total:.1f} |")


def create_cost(bench: Bench) -> float:
    """Milliseconds to insert and commit one artifact with its values; it is removed again."""
    (artifact,) = next(artifacts_of(1))
    fresh = replace(artifact, id=str(uuid.uuid4()), name=f"fresh-{uuid.uuid4()}")
    row, values = artifact_row(fresh), list(value_rows(bench.spec, fresh))
    started = time.perf_counter()
    with bench.database.write() as connection:
        connection.execute(insert(artifacts), row)
        connection.execute(insert(artifact_values), values)
    spent = time.perf_counter() - started
    with bench.database.write() as connection:
        connection.execute(delete(artifacts).where(artifacts.c.id == fresh.id))
    return spent * 1000


def report_creates(small: Bench, large: Bench) -> None:
    figures = [(create_cost(small), create_cost(large)) for _ in range(100)]
    for count, column in zip(("few", "many"), zip(*figures, strict=True), strict=True):
        print(f"create among {count}: median {median(column):.2f} ms")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--count", type=int, default=1_000_000)
    arguments.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir(), "glare-bench"))
    options = arguments.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    spec = compile_type(Image)
    paths = {count: options.folder / f"list-{count}.db" for count in (SMALL, options.count)}
    for count, path in paths.items():
        if not path.exists():
            build(path, count, spec)
    scopes = {"one project and public": ListScope.of_project(MINE), "everything": ListScope.everything()}
    for title, scope in scopes.items():
        print(f"\n{title}, images")
        small, large = (Bench(path, spec, [spec], scope) for path in paths.values())
        report(small, large)
        report_others(large)
    print("\none project and public, all types")
    types = [spec, compile_type(MuranoPackage)]
    small, large = (Bench(path, compile_all(), types, ListScope.of_project(MINE)) for path in paths.values())
    report_creates(Bench(paths[SMALL], spec, types, large.scope), Bench(paths[options.count], spec, types, large.scope))
    for query in ("", "name=image-7", "tags=rare"):
        figures = best(*(partial(bench.page, query, None) for bench in (small, large)))
        print(f"{query or '(plain)'}: {figures[0]:.2f} and {figures[1]:.2f} ms")


if __name__ == "__main__":
    main()
