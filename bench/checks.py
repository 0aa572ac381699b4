"""What re-verification costs: checks a second, and bytes of database for each location, host and history entry.

    python bench/checks.py [--locations 100000] [--hosts 1000] [--seconds 5] [--database
    postgresql://postgres@127.0.0.1/test ...]

The rows of the locations are written directly; the checks are real ones, of a web server on loopback that answers for
all hosts. Measured on an empty SQLite file, and on every empty `--database`. The last columns are what one core could
ask of the same server without any bookkeeping, the ratio, and what a check by one thread costs of a processor, which
tells most on a machine that does other work.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from sqlalchemy import Connection, insert, text

from glare.app import build_services, close, prepare
from glare.db import contents, migrate
from glare.db.artifacts import insert_artifact
from glare.db.keys import slot_id
from glare.db.tables import blobs, location_hosts, location_turns
from glare.digest import BLOCK, HashingPass
from glare.domain.artifact import Artifact, Status, Visibility
from glare.egress.asked import Asked
from glare.egress.cancellation import Cancellation
from glare.operations.locations.verify import verify_next
from glare.operations.services import Services
from glare.settings import Sources, load
from support.origins.egress import LOOPBACK
from support.origins.origin import Origin

DATA = bytes(range(256)) * (2 * BLOCK // 256)


def build(folder: Path, database: str, port: int) -> Services:
    path = folder / "glare.conf"
    path.write_text(
        f"[database]\nconnection = {database}\n[DEFAULT]\nstate_dir = {folder / 'state'}\n[store]\n"
        f"free_space_reserve = 0\n"
        f"[locations]\nallowed_networks = {LOOPBACK[0]}\nallowed_ports = {port}\n"
        "[verification]\nspot_blocks = 1\nhost_interval = 0\n"
    )
    settings = load(Sources(files=(path,), environment=False)).settings
    settings.server.state_dir.mkdir(parents=True, exist_ok=True)
    migrate.upgrade(database)
    prepare(settings)
    from ipaddress import ip_address

    return build_services(settings, resolve=lambda _: [ip_address("127.0.0.1")])


def fill(services: Services, origin: Origin, locations: int, hosts: int) -> None:
    """So many due locations, a hundred to an artifact."""
    hashing = HashingPass(services.hashing)
    hashing.update(DATA)
    content = hashing.finish()
    etag = f'"{hashlib.sha256(DATA).hexdigest()[:32]}"'

    def write(connection: Connection, start: int) -> None:
        contents.keep(connection, content, services.clock())
        artifact = Artifact(
            str(uuid.uuid4()), "images", f"n{start}", "1.0.0", "bench", Status.ACTIVE, Visibility.PRIVATE, 1, 1, 1,
            {}, {}, 1
        )  # fmt: skip
        insert_artifact(connection, artifact, [])
        rows = []
        for number in range(start, min(start + 100, locations)):
            host = f"mirror.site{number % hosts}.example"
            rows.append(
                {
                    "slot_id": slot_id(artifact.id, "locations", str(number)), "artifact_id": artifact.id,
                    "field": "locations", "item_key": str(number), "created_at": 1, "status": "active",
                    "content_type": "application/octet-stream", "size": content.size, "md5": content.digests.md5,
                    "sha1": content.digests.sha1, "sha256": content.digests.sha256, "external": 1,
                    "url": origin.url(f"/{number}", host), "project": "bench", "location_id": uuid.uuid4().hex,
                    "host": host,
                    "confidential": 0, "state": "verified", "proven_at": 1, "seen_at": 1, "check_at": number + 1,
                    "full_at": 1 << 60, "etag": etag, "generation": 1,
                }
            )  # fmt: skip
            origin.put(f"/{number}", DATA, etag=etag)
        connection.execute(insert(blobs), rows)

    for start in range(0, locations, 100):
        services.db.transact(lambda connection, start=start: write(connection, start))
    due = [{"host": f"mirror.site{number}.example", "due_at": number, "failures": 0} for number in range(hosts)]
    services.db.transact(lambda connection: connection.execute(insert(location_hosts), due))
    turns = [{**row, "project": "bench"} for row in due]
    services.db.transact(lambda connection: connection.execute(insert(location_turns), turns))


def rate(services: Services, workers: int, seconds: float, spot: bool) -> tuple[float, float]:
    """Checks a second by so many threads, and milliseconds of CPU for each, with those of the server that answers."""
    object.__setattr__(services, "chance", lambda: 0.1 if spot else 0.9)
    until = time.perf_counter() + seconds
    counts = []

    def work() -> None:
        done = 0
        while time.perf_counter() < until and verify_next(services, Cancellation()):
            done += 1
        counts.append(done)

    used = time.process_time()
    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds, (time.process_time() - used) * 1000 / max(1, sum(counts))


def bare(services: Services, origin: Origin, seconds: float) -> float:
    """The same requests through the same client, one after the other, without a database."""
    until, done = time.perf_counter() + seconds, 0
    while time.perf_counter() < until:
        url = services.egress.parse(origin.url(f"/{done % 100}", "mirror.site0.example"))
        with services.egress.open(
            url, Asked(byte_range=(0, 0), statuses=None, headers={"If-None-Match": '"x"'})
        ) as response:
            response.read(1)
        done += 1
    return done / seconds


def size_of(services: Services, database: str) -> int:
    """Bytes of the database."""
    with services.db.read() as connection:
        if database.startswith("sqlite"):
            pages = connection.execute(text("PRAGMA page_count")).scalar_one()
            return int(pages * connection.execute(text("PRAGMA page_size")).scalar_one())
        if database.startswith("postgresql"):
            return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
        connection.execute(text("ANALYZE TABLE blobs, location_checks, location_hosts"))
        query = "SELECT SUM(data_length + index_length) FROM information_schema.tables WHERE table_schema = DATABASE()"
        return int(connection.execute(text(query)).scalar_one())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--locations", type=int, default=100_000)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--database", action="append", default=[])
    options = parser.parse_args()
    print(
        f"{'database':12} {'B/location':>10} {'1 thread':>9} {'4 threads':>9} {'spot, 4':>9} "
        f"{'bare':>7} {'ratio':>6} {'CPU ms':>7}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for database in [f"sqlite:///{folder}/bench.sqlite", *options.database]:
            with Origin() as origin:
                services = build(Path(folder), database, origin.port)
                try:
                    empty = size_of(services, database)
                    fill(services, origin, options.locations, options.hosts)
                    each = (size_of(services, database) - empty) / options.locations
                    one, cost = rate(services, 1, options.seconds, spot=False)
                    four, _ = rate(services, 4, options.seconds, spot=False)
                    spot, _ = rate(services, 4, options.seconds, spot=True)
                    alone = bare(services, origin, options.seconds)
                    kind = database.partition(":")[0].partition("+")[0]
                    print(
                        f"{kind:12} {each:10.0f} {one:9.0f} {four:9.0f} {spot:9.0f} "
                        f"{alone:7.0f} {one / alone:6.2f} {cost:7.1f}"
                    )
                finally:
                    close(services)


if __name__ == "__main__":
    main()
