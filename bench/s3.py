"""Measure a blob's way into a bucket and out of it through the service, beside what obstore alone moves to and from the
same server, in the same run.

    python bench/s3.py [--size 1024] [--rounds 3]

It starts a SeaweedFS and a service on loopback, and needs Linux. With `--size 64` it takes some seconds.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1] / "tools"))

import obstore
from figures import Beside, Figure, table
from load import create, fetch, send_file
from obstore.store import S3Store
from service import Glare

from seaweedfs_server import ACCESS_KEY, SECRET_KEY, SeaweedFS

MIB = 1 << 20
BUCKET = "glare-bench"
PEER = "obstore alone"
NAMES = itertools.count()


def client_of(server: SeaweedFS) -> S3Store:
    """The library as it comes, but for the checksums that Glare sends too."""
    http: Any = {"allow_http": True}
    return S3Store(
        BUCKET,
        endpoint=server.endpoint,
        region="us-east-1",
        access_key_id=ACCESS_KEY,
        secret_access_key=SECRET_KEY,
        checksum_algorithm="SHA256",
        virtual_hosted_style_request=False,
        client_options=http,
    )


def measured(folder: Path, stack: ExitStack, size: int, rounds: int) -> list[Figure]:
    """The figures. `size` in bytes."""
    server = stack.enter_context(SeaweedFS(folder / "seaweedfs"))
    server.make_bucket(BUCKET)
    client = client_of(server)
    glare = Glare(
        folder / "glare",
        options=(
            f"\n[glance_store]\ndefault_store = s3\n[s3]\nbucket = {BUCKET}\nendpoint = {server.endpoint}\n"
            f"access_key_id = {ACCESS_KEY}\nsecret_access_key = {SECRET_KEY}\nprefix = glare/\n"
        ),
    )
    stack.callback(glare.stop)
    file = folder / "large"
    with file.open("wb") as made:
        for _ in range(size // MIB):
            made.write(os.urandom(MIB))
    tiny = folder / "tiny"
    tiny.write_bytes(os.urandom(4096))
    send_file(glare.port, slot(glare), glare.token, tiny)
    idle = glare.rss()
    ours_in, ours_out, theirs_in, theirs_out, growth = [], [], [], [], []
    for _ in range(rounds):
        path = slot(glare)
        theirs_in.append(seconds(lambda: alone_in(client, file)))
        glare.forget_peak()
        ours_in.append(send_file(glare.port, path, glare.token, file))
        growth.append(glare.peak() - idle)
        theirs_out.append(seconds(lambda: alone_out(client)))
        ours_out.append(fetch(glare.port, path, glare.token))
    title = f"{size >> 20} MiB"

    def speeds(times: list[float]) -> list[float]:
        return [size / 1e6 / each for each in times]

    return [
        Figure(f"upload {title} to S3", "MB/s", speeds(ours_in), beside=Beside(PEER, speeds(theirs_in), 0.7)),
        Figure(f"upload {title} to S3, most above idle", "MB", [max(growth)], 32, higher=False),
        Figure(f"download {title} from S3", "MB/s", speeds(ours_out), beside=Beside(PEER, speeds(theirs_out), 0.7)),
    ]


def slot(glare: Glare) -> str:
    """A fresh image's blob."""
    return create(glare.port, glare.token, f"large-{next(NAMES)}") + "/image"


def alone_in(client: S3Store, file: Path) -> None:
    with file.open("rb") as data, obstore.open_writer(client, "alone") as writer:
        while piece := data.read(MIB):
            writer.write(piece)


def alone_out(client: S3Store) -> None:
    for _ in obstore.get(client, "alone").stream():
        pass


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--size", type=int, default=1024, metavar="MIB", help="size of the blob (default: 1024)")
    arguments.add_argument("--rounds", type=int, default=3, help="how often (default: 3)")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="glare-bench-") as folder, ExitStack() as stack:
        print(table(measured(Path(folder), stack, options.size * MIB, options.rounds)))


if __name__ == "__main__":
    main()
