"""Small requests: the service and what it is measured beside on core 0, the load on core 1."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from figures import Beside, Figure
from filling import fill
from load import Load, Operation, call, create, drive, during, request
from peers import memory_server
from processes import Server, on_cores
from service import PROJECTS, Glare

from environments import NoEnvironmentError
from keystone_server import Keystone

SERVER, CLIENT = {0}, {1}
CONNECTIONS = 8
LISTED = 1000
BLOB = 4096

RICH = {
    "disk_format": "qcow2",
    "container_format": "bare",
    "min_ram": 512,
    "min_disk": 10,
    "tags": ["linux", "lts", "common"],
    "metadata": {"rack": "r1", "build": "20240101"},
    "os_distro": "debian",
    "architecture": "x86_64",
}


@dataclass(frozen=True, slots=True)
class Run:
    """One load and the CPU milliseconds of the server for each operation."""

    load: Load
    cpu: float


class SmallRequests:
    """The parts that measure small requests. What they need is started when the first of them asks."""

    def __init__(self, folder: Path, stack: ExitStack, *, seconds: float, rounds: int, full: int) -> None:
        self._folder, self._stack = folder, stack
        self._seconds, self._rounds, self._full = seconds, rounds, full
        self._names = itertools.count()

    @cached_property
    def glare(self) -> Glare:
        """A service whose first project has a thousand images."""
        return self._glare("listed", LISTED)

    @cached_property
    def crowded(self) -> Glare:
        """A service whose first project has a hundred thousand."""
        return self._glare("crowded", self._full)

    def _glare(self, name: str, count: int) -> Glare:
        prepare = partial(fill, project=PROJECTS[0], count=count)
        glare = Glare(self._folder / name, cores=SERVER, prepare=prepare)
        self._stack.callback(glare.stop)
        return glare

    def show(self) -> list[Figure]:
        glare = self.glare
        asked = request("GET", create(glare.port, glare.token, "shown", **RICH), glare.token)
        memory = memory_server(self._folder, call(glare.port, asked), SERVER)
        self._stack.callback(memory.stop)
        runs = [(self._run(glare, _repeat(asked)), self._run(memory, _repeat(asked))) for _ in range(self._rounds)]
        ours, theirs = zip(*runs, strict=True)
        name = "Starlette, same bytes from memory"
        return [
            Figure("show", "req/s", _rates(ours), 1500, beside=Beside(name, _rates(theirs), 0.15)),
            Figure("show", "CPU ms", _cpus(ours), higher=False, beside=Beside(name, _cpus(theirs), None)),
            Figure(f"show, {CONNECTIONS} connections", "p99 ms", [run.load.p99 for run in ours], higher=False),
        ]

    def listing(self) -> list[Figure]:
        glare = self.glare
        asked = request("GET", "/artifacts/images?limit=25", glare.token)
        runs = [self._run(glare, _repeat(asked)) for _ in range(self._rounds)]
        return [
            Figure(f"list 25 of {LISTED}", "req/s", _rates(runs), 250),
            Figure(f"list 25 of {LISTED}", "CPU ms", _cpus(runs), higher=False),
        ]

    def creating(self) -> list[Figure]:
        names = itertools.count()
        few, many = self.glare, self.crowded
        runs = [
            (self._run(few, _creating(few.tokens[PROJECTS[1]], names)), self._run(many, _creating(many.token, names)))
            for _ in range(self._rounds)
        ]
        empty, crowded = zip(*runs, strict=True)
        beside = Beside("in an empty project", _cpus(empty), 1.2)
        return [
            Figure("create", "req/s", _rates(empty), 150),
            Figure("create", "CPU ms", _cpus(empty), higher=False),
            Figure(f"create among {self._full}", "CPU ms", _cpus(crowded), higher=False, beside=beside),
        ]

    def blobs(self) -> list[Figure]:
        glare, names = self.glare, itertools.count()
        data = os.urandom(BLOB)
        path = create(glare.port, glare.token, "downloaded") + "/image"
        call(glare.port, request("PUT", path, glare.token, data, "application/octet-stream"))
        if call(glare.port, request("GET", path, glare.token)) != data:
            raise RuntimeError("the download is not what was uploaded")
        uploads = [self._run(glare, _uploading(glare.token, names, data)) for _ in range(self._rounds)]
        downloads = [self._run(glare, _repeat(request("GET", path, glare.token))) for _ in range(self._rounds)]
        return [
            Figure("create and upload 4 KiB", "a second", _rates(uploads), 100),
            Figure("create and upload 4 KiB", "CPU ms", _cpus(uploads), higher=False),
            Figure("download 4 KiB", "a second", _rates(downloads), 1000),
            Figure("download 4 KiB", "CPU ms", _cpus(downloads), higher=False),
        ]

    def starting(self) -> list[Figure]:
        starts = []
        for number in range(self._rounds):
            glare = Glare(self._folder / f"start-{number}")
            idle = glare.rss()
            starts.append((glare.started_in, idle))
            glare.stop()
        seconds, memory = zip(*starts, strict=True)
        return [
            Figure("start to first answer", "s", seconds, 1.5, higher=False),
            Figure("memory of the worker, idle", "MB", memory, higher=False),
        ]

    def inside(self) -> list[Figure]:
        """What it costs to be seen into: the same request without numbers, with them, and with a line in the log
        too.
        """
        without = self._plain("without", "[metrics]\nenabled = false\n")
        counted = self._plain("counted", "")
        logged = self._plain("logged", "[logging]\nlevel = info\n")
        rounds = [[self._document(glare) for glare in (without, counted, logged)] for _ in range(self._rounds)]
        off, on, lines = (_cpus(list(runs)) for runs in zip(*rounds, strict=True))
        return [
            Figure("show, with metrics", "CPU ms", on, higher=False, beside=Beside("without", off, 1.1)),
            Figure(
                "show, with metrics and access lines", "CPU ms", lines, higher=False, beside=Beside("without", off, 1.3)
            ),
            Figure("scrape of /metrics", "ms", [self._scrape(counted) for _ in range(self._rounds)], 50, higher=False),
        ]

    def keystone(self) -> list[Figure]:
        """The same request with a token of Keystone that was seen before, and with one of the database; nothing where
        there can be no Keystone.
        """
        try:
            server = self._stack.enter_context(Keystone(self._folder / "keystone"))
        except NoEnvironmentError as reason:
            print(f"no Keystone to measure with: {reason}")
            return []
        options = "[identity]\npipeline = keystone, tokens, token_file\n"
        glare = self._plain("keystone-tokens", options + server.authtoken())
        project = server.project("measured")
        token = server.token_of(server.member(project, "member"), project)
        body = b'{"description": "of the database"}'
        made = json.loads(call(glare.port, request("POST", "/tokens", glare.token, body, "application/json")))
        both = (token, made["token"])
        asked = [request("GET", create(glare.port, one, "shown", **RICH), one) for one in both]
        rounds = [[self._run(glare, _repeat(one)) for one in asked] for _ in range(self._rounds)]
        ours, theirs = (list(runs) for runs in zip(*rounds, strict=True))
        name = "a token of the database"
        return [
            Figure(
                "show, a token of Keystone",
                "CPU ms",
                _cpus(ours),
                higher=False,
                beside=Beside(name, _cpus(theirs), 1.3),
            ),
            Figure("show, a token of Keystone", "req/s", _rates(ours), beside=Beside(name, _rates(theirs), None)),
        ]

    def _plain(self, name: str, options: str) -> Glare:
        glare = Glare(self._folder / name, cores=SERVER, options=options)
        self._stack.callback(glare.stop)
        return glare

    def _document(self, glare: Glare) -> Run:
        path = create(glare.port, glare.token, f"shown-{next(self._names)}", **RICH)
        return self._run(glare, _repeat(request("GET", path, glare.token)))

    def _scrape(self, glare: Glare) -> float:
        began = time.perf_counter()
        call(glare.port, request("GET", "/metrics", glare.token))
        return (time.perf_counter() - began) * 1000

    def memory(self) -> list[Figure]:
        """Last of all: what the loads before have left."""
        if "glare" not in self.__dict__:
            return []
        return [Figure("memory of the worker, after small requests", "MB", [self.glare.rss()], 100, higher=False)]

    def _run(self, server: Server, start: Callable[[], Operation]) -> Run:
        with on_cores(CLIENT):
            drive(server.port, start, connections=CONNECTIONS, until=during(self._seconds / 10))
            before = server.cpu()
            load = drive(server.port, start, connections=CONNECTIONS, until=during(self._seconds))
            return Run(load, (server.cpu() - before) / len(load.latencies) * 1000)


def _repeat(asked: bytes) -> Callable[[], Operation]:
    def once() -> Operation:
        yield asked

    return once


def _creating(token: str, names: itertools.count[int]) -> Callable[[], Operation]:
    def once() -> Operation:
        body = json.dumps({"name": f"made-{next(names)}", **RICH}).encode()
        yield request("POST", "/artifacts/images", token, body, "application/json")

    return once


def _uploading(token: str, names: itertools.count[int], data: bytes) -> Callable[[], Operation]:
    def once() -> Operation:
        body = json.dumps({"name": f"filled-{next(names)}"}).encode()
        made = json.loads((yield request("POST", "/artifacts/images", token, body, "application/json")))
        yield request("PUT", f"/artifacts/images/{made['id']}/image", token, data, "application/octet-stream")

    return once


def _rates(runs: list[Run] | tuple[Run, ...]) -> list[float]:
    return [run.load.rate for run in runs]


def _cpus(runs: list[Run] | tuple[Run, ...]) -> list[float]:
    return [run.cpu for run in runs]
