"""Large blobs: the service may use every core, and so may the client, as nobody hashes 1 GiB on one."""

from __future__ import annotations

import hashlib
import itertools
import json
import mmap
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

from figures import Beside, Figure
from load import Load, Operation, call, create, drive, fetch, request, send_file
from peers import COPIED, file_server
from processes import Server
from service import Glare

MIB = 1 << 20
LOCATION = "application/vnd+openstack.glare-custom-location+json"
READERS = 20
LIMIT = "three digests in threads"


class LargeBlobs:
    """The parts that measure large blobs, of `size` bytes. What they need is made when the first of them asks."""

    def __init__(self, folder: Path, stack: ExitStack, *, size: int, rounds: int) -> None:
        self._folder, self._stack = folder, stack
        self._size, self._rounds = size, rounds
        self._names = itertools.count()
        self._digests: list[float] = []
        self._uploads: list[float] = []
        self._idle = 0.0

    @cached_property
    def file(self) -> Path:
        return self._random_file("large", self._size)

    @cached_property
    def small_file(self) -> Path:
        """What many read at once."""
        return self._random_file("smaller", max(MIB, self._size // 16))

    @cached_property
    def origin(self) -> tuple[str, Server]:
        name, server = file_server(self._folder, self.file.parent)
        self._stack.callback(server.stop)
        return name, server

    @cached_property
    def trusting(self) -> Glare:
        """One that sends whole files unchecked."""
        glare = Glare(self._folder / "trusting", options="\n[store]\nunchecked_files = file\n")
        self._stack.callback(glare.stop)
        return glare

    @cached_property
    def glare(self) -> Glare:
        glare = Glare(self._folder / "bulk", origin=self.origin[1].port)
        self._stack.callback(glare.stop)
        # The code of a kind of request comes into memory with the first of them, whatever the size.
        tiny = self._random_file("tiny", 4096)
        send_file(glare.port, self._slot(glare), glare.token, tiny)
        fetch(glare.port, self._recorded(glare, tiny), glare.token)
        self._idle = glare.rss()
        return glare

    def upload(self) -> list[Figure]:
        glare = self.glare
        cpu, growth = [], []
        for _ in range(self._rounds):
            self._digests.append(self._hash())
            growth.append(self._upload(cpu))
        return [
            Figure(
                f"upload {self._title}", "MB/s", self._speeds(self._uploads), 200,
                beside=Beside(LIMIT, self._speeds(self._digests), 0.4),
            ),
            Figure(f"upload {self._title}", "CPU s/GiB", cpu, higher=False),
            Figure(f"upload {self._title}, most above idle", "MB", [max(growth)], 32, higher=False),
            Figure("memory of the worker, after uploads", "MB", [glare.rss()], 100, higher=False),
        ]  # fmt: skip

    def polled(self) -> list[Figure]:
        """Uploads alone and with somebody who polls, in turns."""
        glare = self.glare
        alone, together, polls = [], [], []
        asked = request("GET", create(glare.port, glare.token, "polled"), glare.token)
        for _ in range(2):
            alone.append(send_file(glare.port, self._slot(glare), glare.token, self.file))
            seconds, load = self._polled_upload(asked)
            together.append(seconds)
            polls.append(load)
        self._uploads += alone
        return [
            Figure("upload while show is polled", "s", together, higher=False, beside=Beside("alone", alone, 1.3)),
            Figure("show during an upload", "p99 ms", [load.p99 for load in polls], 25, higher=False),
            Figure("show during an upload", "req/s", [load.rate for load in polls]),
        ]

    def download(self) -> list[Figure]:
        """A stored blob, checked as by default, and sent by the server as where the store is trusted."""
        return [
            *self._download(self.glare, f"download {self._title}, checked", 0.25, None),
            *self._download(self.trusting, f"download {self._title}, unchecked", 0.9, 1.3),
        ]

    def _download(self, glare: Glare, title: str, speed: float, effort: float | None) -> list[Figure]:
        peer, server = self.origin
        path = self._slot(glare)
        send_file(glare.port, path, glare.token, self.file)
        ours: list[float] = []
        theirs: list[float] = []
        our_cpu: list[float] = []
        their_cpu: list[float] = []
        for _ in range(self._rounds + 1):
            for place, target, speeds, cpu in (
                (glare, path, ours, our_cpu),
                (server, f"/{self.file.name}", theirs, their_cpu),
            ):
                before = place.cpu()
                speeds.append(fetch(place.port, target, glare.token))
                cpu.append(self._per_gib(place.cpu() - before))
        return [
            Figure(title, "MB/s", self._speeds(ours), beside=Beside(peer, self._speeds(theirs), speed)),
            Figure(title, "CPU s/GiB", our_cpu, higher=False, beside=Beside(peer, their_cpu, effort)),
        ]  # fmt: skip

    def record(self) -> list[Figure]:
        glare = self.glare
        seconds, growth, digests = [], [], []
        for _ in range(self._rounds):
            digests.append(self._hash())
            glare.forget_peak()
            began = time.perf_counter()
            self._recorded(glare, self.file)
            seconds.append(time.perf_counter() - began)
            growth.append(glare.peak() - self._idle)
        return [
            Figure(
                f"record a location of {self._title}", "MB/s", self._speeds(seconds),
                beside=Beside(LIMIT, self._speeds(digests), 0.4),
            ),
            Figure("record a location, most above idle", "MB", [max(growth)], 32, higher=False),
        ]  # fmt: skip

    def proxy(self) -> list[Figure]:
        glare = self.glare
        peer, origin = self.origin
        path = self._recorded(glare, self.file)
        seconds, growth, cpu, copied = [], [], [], []
        for _ in range(self._rounds):
            glare.forget_peak()
            used = glare.cpu()
            seconds.append(fetch(glare.port, path, glare.token))
            cpu.append(self._per_gib(glare.cpu() - used))
            growth.append(glare.peak() - self._idle)
            if peer == "nginx":
                copied.append(fetch(origin.port, f"{COPIED}/{self.file.name}", glare.token))
        beside = Beside("nginx, a plain copy from the origin", self._speeds(copied), None) if copied else None
        return [
            Figure(f"verified download of {self._title}", "MB/s", self._speeds(seconds), 200, beside=beside),
            Figure(f"verified download of {self._title}", "CPU s/GiB", cpu, higher=False),
            Figure("verified download, most above idle", "MB", [max(growth)], 64, higher=False),
        ]

    def readers(self) -> list[Figure]:
        glare = self.glare
        path = self._recorded(glare, self.small_file)
        glare.forget_peak()
        began = time.perf_counter()
        with ThreadPoolExecutor(READERS) as pool:
            list(pool.map(lambda _: fetch(glare.port, path, glare.token), range(READERS)))
        seconds = time.perf_counter() - began
        total = self.small_file.stat().st_size * READERS
        return [
            Figure(f"{READERS} verified downloads at once, together", "MB/s", [total / seconds / 1e6], 200),
            Figure(
                f"{READERS} verified downloads, most above idle", "MB", [glare.peak() - self._idle], 64, higher=False
            ),
        ]

    @property
    def _title(self) -> str:
        return f"{self._size / 2**30:g} GiB"

    def _random_file(self, name: str, size: int) -> Path:
        folder = self._folder / "files"
        folder.mkdir(exist_ok=True)
        path = folder / name
        with path.open("wb") as file:
            for _ in range(0, size, MIB):
                file.write(os.urandom(min(MIB, size - file.tell())))
        return path

    def _slot(self, glare: Glare) -> str:
        """A fresh image's blob."""
        return create(glare.port, glare.token, f"large-{next(self._names)}") + "/image"

    def _recorded(self, glare: Glare, file: Path) -> str:
        """A blob at the origin."""
        path = self._slot(glare)
        body = json.dumps({"url": f"http://127.0.0.1:{self.origin[1].port}/{file.name}"}).encode()
        call(glare.port, request("PUT", path, glare.token, body, LOCATION))
        return path

    def _upload(self, cpu: list[float]) -> float:
        """Upload the file, and note seconds and CPU; how much larger than idle the worker was at most, in MB."""
        glare = self.glare
        path = self._slot(glare)
        glare.forget_peak()
        used = glare.cpu()
        self._uploads.append(send_file(glare.port, path, glare.token, self.file))
        cpu.append(self._per_gib(glare.cpu() - used))
        return glare.peak() - self._idle

    def _polled_upload(self, asked: bytes) -> tuple[float, Load]:
        glare = self.glare
        path = self._slot(glare)

        def poll() -> Operation:
            yield asked

        with ThreadPoolExecutor(1) as pool:
            upload = pool.submit(send_file, glare.port, path, glare.token, self.file)
            load = drive(glare.port, poll, connections=1, until=upload.done)
            return upload.result(), load

    def _hash(self) -> float:
        """Seconds for md5, sha1 and sha256 of the file, each in a thread."""
        with self.file.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            began = time.perf_counter()
            with ThreadPoolExecutor(3) as pool:
                list(pool.map(lambda name: _hash_with(name, data), ("md5", "sha1", "sha256")))
            return time.perf_counter() - began

    def _speeds(self, seconds: list[float]) -> list[float]:
        return [self._size / second / 1e6 for second in seconds]

    def _per_gib(self, seconds: float) -> float:
        return seconds * 2**30 / self._size


def _hash_with(name: str, data: mmap.mmap) -> str:
    state = hashlib.new(name, usedforsecurity=False)
    with memoryview(data) as view:
        for at in range(0, len(view), MIB):
            state.update(view[at : at + MIB])
    return state.hexdigest()
