"""Measure the stores beside one another: bytes a second into and out of each, and what a range costs.

    python bench/stores.py [--size 256] [--database postgresql://postgres@127.0.0.1/test ...]

The database store is measured on a SQLite file, and on every `--database`, whose tables are made where they are missing
and whose objects are removed again. Ratios are to the file store, measured in the same run.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from glare.db import migrate
from glare.db.engine import Database
from glare.stores.base import Store
from glare.stores.database import DatabaseDriver
from glare.stores.filesystem import FilesystemDriver

MIB = 1 << 20
ROUNDS = 3
RANGES = 200


def measured(store: Store, size: int) -> tuple[float, float, float]:
    """MiB/s in, MiB/s out, and milliseconds for 64 KiB at a random place: medians of the rounds."""
    piece = bytes(range(256)) * (MIB // 256)
    into, out, ranges = [], [], []
    for _ in range(ROUNDS):
        name = uuid.uuid4().hex
        into.append(size / seconds(lambda name=name: write(store, name, piece, size)))
        out.append(size / seconds(lambda name=name: read(store, name, 0, None)))
        spots = [(number * 7919 * 65536) % (size * MIB - 65536) for number in range(RANGES)]
        ranges.append(
            1000 * seconds(lambda name=name, spots=spots: [read(store, name, spot, 65536) for spot in spots]) / RANGES
        )
        store.delete(name)
    return statistics.median(into), statistics.median(out), statistics.median(ranges)


def write(store: Store, name: str, piece: bytes, size: int) -> None:
    with store.create(name, size * MIB) as writer:
        for _ in range(size):
            writer.write(piece)
        writer.commit()


def read(store: Store, name: str, offset: int, length: int | None) -> None:
    with store.open(name, offset, length) as reader:
        while reader.read(MIB):
            pass


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--size", type=int, default=256, metavar="MIB", help="size of an object (default: 256)")
    arguments.add_argument("--database", action="append", default=[], metavar="URL", help="measure on this too")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = Store(FilesystemDriver(Path(folder) / "files", name="file"))
        files.initialise()
        limit = measured(files, options.size)
        print(f"{'store':12} {'in':>16} {'out':>16} {'64 KiB range':>20}")
        report("file", limit, limit)
        for url in (f"sqlite:///{folder}/glare.sqlite", *options.database):
            migrate.upgrade(url)
            database = Database(url)
            store = Store(DatabaseDriver(database, name="database"))
            report(database.engine.dialect.name, measured(store, options.size), limit)
            database.dispose()


def report(name: str, found: tuple[float, float, float], limit: tuple[float, float, float]) -> None:
    into, out, spot = found
    print(
        f"{name:12} {into:6.0f} MiB/s x{into / limit[0]:4.2f} {out:6.0f} MiB/s x{out / limit[1]:4.2f} "
        f"{spot:8.2f} ms x{spot / limit[2]:6.1f}"
    )


if __name__ == "__main__":
    main()
