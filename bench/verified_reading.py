"""What it costs to check our own bytes on their way out: the reading side in this process, on one thread.

    python bench/verified_reading.py [--size 512]

An object in a file store is read as downloads read it, each block compared with its recorded sha256. Beside it stands
`hashlib.sha256` over the same bytes in memory, in turns: nothing that checks with SHA-256 can be faster, and on
hardware without SHA extensions both are slower. Everything is counted in CPU seconds of this process, so that what else
the machine does matters little.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from figures import Beside, Figure, table

from glare.app import build_services, close, prepare
from glare.db import contents, migrate
from glare.digest import BLOCK, Content, Digests
from glare.domain.actor import ANONYMOUS
from glare.domain.blob import Blob, BlobStatus, Managed, Slot
from glare.operations.blobs.download import Download
from glare.operations.blobs.own_bytes import OwnBytes
from glare.operations.services import Services
from glare.settings import Sources, load

ROUNDS = 5
OBJECT = "0" * 32
RANGE = 64 << 10


def figures(folder: Path, size: int, rounds: int = ROUNDS) -> list[Figure]:
    """The figures for an object of `size` bytes below `folder`."""
    (folder / "state").mkdir(parents=True)
    file = folder / "glare.conf"
    file.write_text(
        f"[database]\nconnection = sqlite:///{folder / 'state' / 'glare.sqlite'}\n[DEFAULT]\nstate_dir = "
        f"{folder / 'state'}\n[store]\nfree_space_reserve = 0\n"
    )
    settings = load(Sources(files=(file,), environment=False)).settings
    migrate.upgrade(settings.database.connection)
    prepare(settings)
    services = build_services(settings)
    try:
        found, data = _stored(services, size)
        return _measured(services, found, data, rounds)
    finally:
        close(services)


def _stored(services: Services, size: int) -> tuple[Download, bytes]:
    """An object of random bytes, recorded as an upload would, and a blob of it that nobody owns."""
    data = os.urandom(size)
    blocks = b"".join(hashlib.sha256(data[at : at + BLOCK]).digest() for at in range(0, size, BLOCK))
    digests = Digests("", "", hashlib.sha256(data).hexdigest())
    with services.stores["file"].create(OBJECT, size) as writer:
        for at in range(0, size, BLOCK):
            writer.write(data[at : at + BLOCK])
        writer.commit()
    services.db.transact(lambda connection: contents.keep(connection, Content(size, digests, blocks), 0))
    slot = Slot("image")
    blob = Blob(slot, BlobStatus.ACTIVE, None, size, digests, Managed("file", OBJECT))
    unasked: Any = None  # Only failures look at the type and the artifact.
    return Download(unasked, unasked, slot, blob, size, digests, ANONYMOUS, (blob,)), data


def _measured(services: Services, found: Download, data: bytes, rounds: int) -> list[Figure]:
    size = len(data)
    checked, plain, alone, ranges = [], [], [], []
    view = memoryview(data)
    for _ in range(rounds):
        began = time.process_time()
        for at in range(0, size, BLOCK):
            hashlib.sha256(view[at : at + BLOCK]).digest()
        plain.append(size / (time.process_time() - began) / 1e9)
        began = time.process_time()
        if _read(services, found, 0, size - 1) != size:
            raise RuntimeError("not every byte came")
        checked.append(size / (time.process_time() - began) / 1e9)
        began = time.process_time()
        with services.stores["file"].open(OBJECT) as reader:
            while reader.read(BLOCK):
                pass
        alone.append(size / (time.process_time() - began) / 1e9)
        spots = [(number * 7919 * RANGE) % (size - RANGE) for number in range(50)]
        began = time.process_time()
        for spot in spots:
            _read(services, found, spot, spot + RANGE - 1)
        ranges.append(1000 * (time.process_time() - began) / len(spots))
    hashing = BLOCK / max(plain) / 1e6  # Milliseconds for a block.
    return [
        Figure("checked reading, one core", "GB/s", checked, 1, beside=Beside("sha256 of the same bytes", plain, 0.6)),
        Figure("reading without a check, one core", "GB/s", alone),
        Figure(
            "a checked range of 64 KiB",
            "CPU ms",
            ranges,
            higher=False,
            beside=Beside("sha256 of a block", [hashing], None),
        ),
    ]


def _read(services: Services, found: Download, first: int, last: int) -> int:
    read = 0
    with closing(OwnBytes(services, found, first, last)) as stream:
        stream.open()
        while data := stream.read():
            read += len(data)
    return read


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--size", type=int, default=512, metavar="MIB", help="size of the object (default: 512)")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="glare-bench-") as folder:
        print(table(figures(Path(folder), options.size << 20)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
