"""Measure how fast a store of small blobs is drained into another, beside what the stores alone take to read and write
the same objects, with as many threads and in the same run.

    python bench/drain.py [--blobs 10000] [--size 4096] [--rounds 3] [--database URL] [--s3]

Both stores are directories; with `--s3` the second one is a bucket of a SeaweedFS on loopback. The metadata are in a
SQLite file, or in the database at `--database`, which has to be empty.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "tools"))

from figures import Beside, Figure, table
from sqlalchemy import insert, select

from glare.app import build_services, close, prepare
from glare.db import migrate
from glare.db.counters import ALL_TYPES
from glare.db.keys import slot_id
from glare.db.stores import Chosen
from glare.db.tables import blobs
from glare.digest import BLOCK
from glare.domain.actor import Actor
from glare.operations.artifacts.create import create_artifact
from glare.operations.rules import Placing
from glare.operations.services import Services
from glare.operations.upkeep.move import Move, Pace, Wish
from glare.settings import Sources, load
from glare.stores.base import Store
from seaweedfs_server import ACCESS_KEY, SECRET_KEY, SeaweedFS

BUCKET = "glare-bench"
ROOT = Actor("root", "bench", frozenset({"admin"}))
PEER = "the stores alone"


def services_in(folder: Path, database: str | None, bucket: str) -> Services:
    path = folder / "glare.conf"
    connection = database or f"sqlite:///{folder}/glare.sqlite"
    second = bucket or f"driver = file\ndirectory = {folder}/second\n"
    path.write_text(
        f"[DEFAULT]\nstate_dir = {folder}/state\n[database]\nconnection = {connection}\n"
        f"[store]\nfree_space_reserve = 0\n[store:second]\n{second}"
    )
    settings = load(Sources(files=(path,), environment=False)).settings
    settings.server.state_dir.mkdir()
    migrate.upgrade(connection)
    prepare(settings)
    return build_services(settings)


def fill(services: Services, count: int, size: int) -> None:
    """So many blobs in the store `file`, as uploads leave them."""
    artifact = create_artifact(services, ROOT, "images", {"name": uuid.uuid4().hex})[1]
    store = services.stores["file"]

    def make(number: int) -> dict[str, object]:
        data, name = os.urandom(size), uuid.uuid4().hex
        write(store, name, data)
        digest = sha256(data).hexdigest()
        place = {"artifact_id": artifact.id, "field": "bench", "item_key": str(number)}
        return {
            **place,
            "slot_id": slot_id(artifact.id, "bench", str(number)),
            "created_at": services.clock(),
            "status": "active",
            "content_type": "application/octet-stream",
            "size": size,
            "sha256": digest,
            "external": 0,
            "store": "file",
            "object": name,
            "generation": 1,
        }

    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(make, range(count)))
    for start in range(0, count, 1000):
        part = rows[start : start + 1000]
        services.db.transact(lambda connection, part=part: connection.execute(insert(blobs), part) and None)


def write(store: Store, name: str, data: bytes) -> None:
    with store.create(name, len(data)) as writer:
        writer.write(data)
        writer.commit()


def copy(source: Store, name: str, target: Store) -> None:
    with source.open(name) as reader:
        write(target, uuid.uuid4().hex, b"".join(iter(lambda: reader.read(BLOCK), b"")))


def alone(services: Services, source: str, target: str, parallel: int) -> None:
    """Read all objects of one store and write them to the other, and nothing else."""
    with services.db.read() as connection:
        names = connection.execute(select(blobs.c.object).where(blobs.c.store == source)).scalars().all()
    one, other = services.stores[source], services.stores[target]
    with ThreadPoolExecutor(parallel) as pool:
        list(pool.map(lambda name: copy(one, name, other), names))


def drain(services: Services, source: str, target: str, parallel: int) -> None:
    placing = Placing({ALL_TYPES: (target,)}, read_only=frozenset({source}))
    drained = replace(services, rules=replace(services.rules, placing=placing))
    wish = Wish(Chosen(source), target, ROOT, drain=True)
    summary = Move(drained, wish, Pace(0, parallel), print, lambda _: None, threading.Event()).run()
    if summary.left or not summary.done:
        raise SystemExit(f"the drain did not end: {summary}")


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measured(services: Services, options: argparse.Namespace) -> list[Figure]:
    fill(services, options.blobs, options.size)
    ours, theirs = [], []
    stores = ("file", "second")
    for number in range(options.rounds):
        source, target = stores if number % 2 == 0 else stores[::-1]
        theirs.append(options.blobs / seconds(lambda one=source, other=target: alone(services, one, other, 4)))
        ours.append(options.blobs / seconds(lambda one=source, other=target: drain(services, one, other, 4)))
    title = f"drain of {options.blobs} blobs of {options.size} bytes"
    return [Figure(title, "blobs/s", ours, beside=Beside(PEER, theirs, 0.5))]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--blobs", type=int, default=10000, help="how many (default: 10000)")
    arguments.add_argument("--size", type=int, default=4096, help="bytes of each (default: 4096)")
    arguments.add_argument("--rounds", type=int, default=3, help="how often, to and fro (default: 3)")
    arguments.add_argument("--database", metavar="URL", help="an empty database for the metadata")
    arguments.add_argument("--s3", action="store_true", help="make the second store a bucket")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="glare-bench-") as folder, ExitStack() as stack:
        bucket = ""
        if options.s3:
            server = stack.enter_context(SeaweedFS(Path(folder) / "seaweedfs"))
            server.make_bucket(BUCKET)
            bucket = (
                f"driver = s3\nbucket = {BUCKET}\nendpoint = {server.endpoint}\n"
                f"access_key_id = {ACCESS_KEY}\nsecret_access_key = {SECRET_KEY}\n"
            )
        services = services_in(Path(folder), options.database, bucket)
        stack.callback(close, services)
        print(table(measured(services, options)))


if __name__ == "__main__":
    main()
