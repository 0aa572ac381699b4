"""Every operation, broken at each of its steps, one after the other.

As a program (``python -m support.runs.fault_runs DIRECTORY ORIGIN FAULT,… SCENARIO…``) it first records the steps of
each scenario. Then it does the scenario once for each of them, in a process of its own that is broken there; and in
another process afterwards, as after a restart, it lets the sweep do its work, compares everything, and does the
operation again where it had not happened. The findings are JSON on standard output.

FAULT is how it breaks:

``kill``  SIGKILL
``fail``  the store fails with an `OSError`, the database does not answer
``hang``  the store hangs, until the attempt was taken for dead and undone, and somebody else has done what it was for
``cut``   the connection to the database breaks in the transaction
``ask``   it breaks at the commit, before the server hears of it
``tell``  it breaks at the commit, which the server hears, and nobody its answer
"""

from __future__ import annotations

import errno
import gc
import io
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import event, make_url, select

from glare.app import build_services
from glare.db.counters import ALL_TYPES
from glare.db.rows import fetch_artifact
from glare.db.stores import Chosen
from glare.db.tables import artifacts
from glare.domain.actor import Actor
from glare.domain.artifact import Artifact, Status
from glare.domain.blob import External, Managed, Slot
from glare.domain.claims import Claims
from glare.egress.cancellation import Cancellation
from glare.errors import GlareError, Unavailable
from glare.operations.access import Named, find_place
from glare.operations.artifacts.create import create_artifact
from glare.operations.artifacts.delete import delete_artifact
from glare.operations.blobs.delete import delete_blob
from glare.operations.blobs.upload import UploadRequest, upload_blob
from glare.operations.heartbeats import Heartbeats
from glare.operations.locations.add import LocationRequest, add_location
from glare.operations.locations.jobs import do_next
from glare.operations.locations.promote import ask_for_promotion
from glare.operations.locations.record_later import record_later
from glare.operations.locations.show import ask_for_check
from glare.operations.locations.verify import verify_next
from glare.operations.rules import Placing
from glare.operations.services import Services
from glare.operations.slots import attempts
from glare.operations.upkeep.move import Move, Pace, Wish
from glare.operations.upkeep.sweep import scrub, sweep
from support.databases import KIND
from support.origins.torn import COMMIT, Torn
from support.runs.chaos import chaotic
from support.runs.faults import instrument, kill
from support.runs.truth import disagreements, recover
from support.zips import packed

OWNER = Actor("alice", "wonderland", frozenset({"member"}))
ADMIN = Actor("admin", "wonderland", frozenset({"admin"}))
OLD, NEW = b"old bytes", bytes(range(256)) * 40
CHUNKS = bytes(range(256)) * 5000
"""Two chunks of a store in the database."""
_PIECE = 6000
_HOUR = 3600 * 1_000_000
_PATIENCE = 30.0
"""Seconds until a database server is done with a client that went away."""


class Pieces(io.BytesIO):
    """A body in pieces. `declared` is its length, None for a chunked one."""

    declared: int | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 0, max(_PIECE, len(self.getbuffer()) // 2)))


@dataclass(frozen=True, slots=True)
class Scenario:
    """An operation on an artifact that `prepare` makes. `done` is whether it has happened, None being an artifact that
    is gone.

    `commits` names the transaction that makes it happen, and `store` the store that new blobs go to.
    """

    prepare: Callable[[Services, str], str]
    perform: Callable[[Services, str, str], object]
    done: Callable[[Artifact | None], bool]
    commits: str
    store: str = "file"


class Finding(msgspec.Struct):
    """One run: the fault and its step, what the caller was told (None: nothing, it succeeded), and what was wrong
    afterwards.
    """

    fault: str
    step: str
    error: str | None
    happened: bool
    problems: list[str]


class Report(msgspec.Struct):
    """All runs of one scenario, and the steps in their order."""

    steps: list[str]
    findings: list[Finding]


def _create(services: Services, type_name: str = "images") -> str:
    fields = {"name": "faulty"} | ({"string_required": "x"} if type_name == "sample_artifact" else {})
    return create_artifact(services, OWNER, type_name, fields)[1].id


def _put(
    services: Services,
    artifact_id: str,
    data: bytes,
    path: str = "image",
    *,
    type_name: str = "images",
    chunked: bool = False,
) -> None:
    body = Pieces(data)
    body.declared = None if chunked else len(data)
    upload_blob(services, OWNER, UploadRequest(Named(type_name, artifact_id, path), "text/plain", Claims()), body)


def _chunked(services: Services, _: str, artifact_id: str) -> None:
    in_steps = replace(services, rules=replace(services.rules, reservation_step=4000))
    _put(in_steps, artifact_id, NEW, chunked=True)


def _with_data(services: Services, _: str) -> str:
    artifact_id = _create(services)
    _put(services, artifact_id, OLD)
    return artifact_id


def _with_dead_attempt(services: Services, _: str) -> str:
    """Its bytes are stored, and nobody will publish them."""
    artifact_id = _create(services)
    _die(services, artifact_id)
    return artifact_id


def _die(services: Services, artifact_id: str) -> None:
    past = replace(services, clock=lambda: services.clock() - _HOUR)
    spec = services.types.get("images")
    with services.db.read() as connection:
        artifact = fetch_artifact(connection, artifact_id)
    assert artifact is not None
    coming = attempts.Coming(len(OLD), None, "file")
    staged = attempts.reserve(past, OWNER, find_place(spec, artifact, "image"), coming, lambda _: None).object
    with services.stores[staged.store].create(staged.object) as writer:
        writer.write(OLD)
        writer.commit()


_ARCHIVES = tuple(packed(files) for files in ({"a": b"old", "c": b"goes"}, {"a": b"new", "b": bytes(5000)}))


def _with_archive(services: Services, _: str) -> str:
    artifact_id = _create(services, "unpacking_artifact")
    _put(services, artifact_id, _ARCHIVES[0], "zip", type_name="unpacking_artifact")
    return artifact_id


def _unpack(services: Services, _: str, artifact_id: str) -> None:
    _put(services, artifact_id, _ARCHIVES[1], "zip", type_name="unpacking_artifact")


def _is_unpacked(artifact: Artifact | None) -> bool:
    blob = artifact.blobs.get(Slot("content", "b")) if artifact is not None else None
    return blob is not None and blob.digests is not None


def _locate(services: Services, origin: str, artifact_id: str) -> None:
    request = LocationRequest(Named("sample_artifact", artifact_id, "blob"), origin, Claims(), confidential=False)
    add_location(services, OWNER, request, Cancellation())


def _with_location(services: Services, origin: str) -> str:
    artifact_id = _create(services, "sample_artifact")
    _locate(services, origin, artifact_id)
    return artifact_id


def _with_asked_check(services: Services, origin: str) -> str:
    artifact_id = _with_location(services, origin)
    [location] = [location.id for location in _locations(services, artifact_id)]
    ask_for_check(services, OWNER, location)
    return artifact_id


def _locations(services: Services, artifact_id: str) -> list[External]:
    with services.db.read() as connection:
        artifact = fetch_artifact(connection, artifact_id)
    blobs = artifact.blobs.values() if artifact is not None else ()
    return [blob.location for blob in blobs if isinstance(blob.location, External)]


def _check(services: Services, _: str, __: str) -> None:
    """What is due. Each process begins an hour after the one before, when the lease of a dead one is over."""
    later = os.getpid() * _HOUR
    if not verify_next(replace(services, clock=lambda: services.clock() + later), Cancellation()):
        raise Unavailable("Nothing was due.")


def _is_checked(artifact: Artifact | None) -> bool:
    """Its proof is of a process that came later."""
    blobs = artifact.blobs.values() if artifact is not None else ()
    locations = [blob.location for blob in blobs if isinstance(blob.location, External)]
    return any((location.proven_at or 0) > time.time_ns() // 1000 + _HOUR for location in locations)


def _later(services: Services) -> Services:
    """These, where deletion is delayed, and is not due for long."""
    return replace(services, rules=replace(services.rules, delayed_delete={ALL_TYPES: True}, scrub_time=1e6))


def _delete_later(services: Services, _: str, artifact_id: str) -> None:
    delete_artifact(_later(services), ADMIN, "images", artifact_id)


def _deleted_later(services: Services, origin: str) -> str:
    artifact_id = _with_data(services, origin)
    _delete_later(services, origin, artifact_id)
    return artifact_id


def _scrub(services: Services, _: str, __: str) -> None:
    if scrub(services).failed:
        raise Unavailable("An artifact could not be removed.")


def _with_all_of_it(services: Services, origin: str) -> str:
    """What every part of the sweep has to do with; the id is that of the artifact whose deletion is due."""
    artifact_id = _deleted_later(services, origin)
    _with_dead_attempt(services, origin)
    return artifact_id


def _is_new(artifact: Artifact | None) -> bool:
    return _has(artifact, NEW)


def _has(artifact: Artifact | None, data: bytes) -> bool:
    blob = artifact.blobs.get(Slot("image")) if artifact is not None else None
    return blob is not None and blob.size == len(data)


def _is_gone(artifact: Artifact | None) -> bool:
    return artifact is None


def _asked(services: Services, origin: str) -> str:
    """A recording waits for its worker."""
    artifact_id = _create(services, "sample_artifact")
    record_later(
        services,
        OWNER,
        LocationRequest(Named("sample_artifact", artifact_id, "blob"), origin, Claims(), confidential=False),
    )
    return artifact_id


def _promoting(services: Services, origin: str) -> str:
    """A promotion waits for its worker."""
    artifact_id = _with_location(services, origin)
    with services.db.read() as connection:
        artifact = fetch_artifact(connection, artifact_id)
    assert artifact is not None
    location = artifact.blobs[Slot("blob")].location
    assert isinstance(location, External)
    ask_for_promotion(services, OWNER, location.id)
    return artifact_id


def _work(services: Services, _: str, __: str) -> None:
    do_next(services, Cancellation())


def _move(services: Services, _: str, __: str) -> None:
    """From the directory to the database, one blob at a time from the first slot on, so that steps have an order."""
    services = replace(services, chance=lambda: 0.0)
    wish = Wish(Chosen("file"), "database", ADMIN)
    nobody = threading.Event()
    summary = Move(services, wish, Pace(0, 1), lambda _: None, lambda _: None, nobody).run()
    if summary.left:
        raise Unavailable("A blob was not moved.")


def _is_in_database(artifact: Artifact | None) -> bool:
    blobs = artifact.blobs.values() if artifact is not None else ()
    return [blob.location.store for blob in blobs if isinstance(blob.location, Managed)] == ["database"]


def _is_managed(artifact: Artifact | None) -> bool:
    return artifact is not None and any(isinstance(blob.location, Managed) for blob in artifact.blobs.values())


SCENARIOS = {
    "upload": Scenario(
        lambda services, _: _create(services), lambda s, _, i: _put(s, i, NEW), _is_new, "attempts.publish"
    ),
    "chunked upload": Scenario(lambda services, _: _create(services), _chunked, _is_new, "attempts.publish"),
    "upload again": Scenario(_with_data, lambda s, _, i: _put(s, i, NEW), _is_new, "attempts.publish"),
    "upload over a dead one": Scenario(
        _with_dead_attempt, lambda s, _, i: _put(s, i, NEW), _is_new, "attempts.publish"
    ),
    "unpack": Scenario(_with_archive, _unpack, _is_unpacked, "unpack._publish"),
    "location": Scenario(
        lambda services, _: _create(services, "sample_artifact"),
        _locate,
        lambda artifact: artifact is not None and any(blob.digests for blob in artifact.blobs.values()),
        "attempts.publish",
    ),
    "record later": Scenario(
        _asked,
        _work,
        lambda artifact: artifact is not None and any(blob.digests for blob in artifact.blobs.values()),
        "attempts.publish",
    ),
    "promote": Scenario(_promoting, _work, _is_managed, "promote._publish"),
    "delete blob": Scenario(
        _with_location,
        lambda s, _, i: delete_blob(s, OWNER, Named("sample_artifact", i, "blob")),
        lambda artifact: artifact is not None and not artifact.blobs,
        "delete.delete_blob",
    ),
    "check": Scenario(_with_asked_check, _check, _is_checked, "verify.verify"),
    "delete": Scenario(_with_data, lambda s, _, i: delete_artifact(s, ADMIN, "images", i), _is_gone, "delete.remove"),
    "delayed delete": Scenario(
        _with_data,
        _delete_later,
        lambda artifact: artifact is not None and artifact.status is Status.DELETED,
        "delete._mark_deleted",
    ),
    "scrub": Scenario(_deleted_later, _scrub, _is_gone, "delete.remove"),
    "sweep": Scenario(_with_all_of_it, lambda s, _, __: sweep(s), _is_gone, "delete.remove"),
    "upload to the database": Scenario(
        _with_data,
        lambda s, _, i: _put(s, i, CHUNKS),
        lambda artifact: _has(artifact, CHUNKS),
        "attempts.publish",
        store="database",
    ),
    "move": Scenario(_with_data, _move, _is_in_database, "move._swap_in"),
    "delete from the database": Scenario(
        _with_data,
        lambda s, _, i: delete_artifact(s, ADMIN, "images", i),
        _is_gone,
        "delete.remove",
        store="database",
    ),
}


class _Silent(Heartbeats):
    """Heartbeats that nobody hears: nobody waits long enough for one, and no thread is there when a process forks."""

    def __init__(self) -> None:
        super().__init__(lambda _: None, 1)

    @contextmanager
    def keep(self, attempt_id: str) -> Iterator[None]:
        yield


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs a scenario in processes of their own, so that this one has no thread and no connection when it forks."""

    services: Services
    directory: Path
    origin: str
    scenario: Scenario

    def warm_up(self) -> None:
        """Go through all of it once in this process: statements that it has compiled, no child has to compile."""
        with ThreadPoolExecutor() as pool:
            short = replace(self, services=replace(self.services, hashing=pool, heartbeats=_Silent()))
            artifact_id = short._prepare()
            self.scenario.perform(short.services, self.origin, artifact_id)
            short._restart(artifact_id)
        self.services.db.engine.dispose()  # The pool is made anew: one that is disposed of keeps no connection.
        assert threading.active_count() == 1
        gc.freeze()  # Else each child copies all that its collector looks at.

    def steps(self) -> list[str]:
        """What the scenario goes through when nothing happens."""
        artifact_id = forked(self._prepare)[1]
        seen: list[str] = []

        def record() -> list[str]:
            self.scenario.perform(instrument(self.services, seen.append), self.origin, artifact_id)
            return seen

        return [str(step) for step in forked(record)[1]]

    def broken(self, fault: str, number: int, step: str) -> Finding:
        """The scenario, broken at its step of this number."""
        artifact_id = forked(self._prepare)[1]
        status, error = forked(lambda: self._perform(fault, number, artifact_id))
        if os.WIFSIGNALED(status) != (fault == "kill"):
            return Finding(fault, step, error, happened=False, problems=[f"the process ended with {status}: {error}"])
        happened, problems = forked(lambda: self._restart(artifact_id))[1]
        return Finding(fault, step, error, happened, problems)

    def hung(self, number: int, step: str) -> Finding:
        """The scenario, whose call of the store hangs at this step until another process has undone it, and done it
        again.
        """
        artifact_id = forked(self._prepare)[1]
        here, there = socket.socketpair()
        with here, there:
            child = start(lambda: self._perform("hang", number, artifact_id, there))
            here.recv(1)
            forked(lambda: self._instead(artifact_id))
            here.send(b"!")
            _, error = child.wait()
        # What it left must be gone without any sweep.
        problems = forked(lambda: disagreements(self.services, self.directory))[1]
        happened, others = forked(lambda: self._restart(artifact_id))[1]
        return Finding("hang", step, error, happened, [*problems, *others])

    def _instead(self, artifact_id: str) -> None:
        recover(self.services)
        with suppress(GlareError):  # As it is done, for one.
            self.scenario.perform(self.services, self.origin, artifact_id)

    def _prepare(self) -> str:
        with self.services.db.read() as connection:
            held = connection.execute(select(artifacts.c.type_name, artifacts.c.id)).all()
        for type_name, artifact_id in held:  # Of former runs.
            delete_artifact(self.services, ADMIN, type_name, artifact_id)
        return self.scenario.prepare(self.services, self.origin)

    def _perform(self, fault: str, number: int, artifact_id: str, other: socket.socket | None = None) -> str | None:
        with Breaking(self.services, fault, number, other) as services:
            try:
                self.scenario.perform(services, self.origin, artifact_id)
            except GlareError as error:
                return type(error).__name__
        return None

    def _restart(self, artifact_id: str) -> tuple[bool, list[str]]:
        services = _later(self.services) if self.scenario.perform is _delete_later else self.services
        happened = self.scenario.done(self._found(artifact_id))
        problems = self._settled(services)
        if not self.scenario.done(self._found(artifact_id)):
            try:
                self.scenario.perform(services, self.origin, artifact_id)
            except GlareError as error:
                problems.append(f"it cannot be done again: {error}")
            problems += self._settled(services)
        if not self.scenario.done(self._found(artifact_id)):
            problems.append("it has not happened when it was done again")
        return happened, problems

    def _settled(self, services: Services) -> list[str]:
        """What is wrong when the sweep is through. A server may take its time with the last commit of a client that
        went away.
        """
        deadline = time.monotonic() + _PATIENCE
        while True:
            recover(services)
            problems = disagreements(services, self.directory)
            if not problems or KIND == "sqlite" or time.monotonic() > deadline:
                return problems
            time.sleep(0.05)

    def _found(self, artifact_id: str) -> Artifact | None:
        with self.services.db.read() as connection:
            return fetch_artifact(connection, artifact_id)


class Breaking:
    """Services in which the step of a number breaks as `fault` says, once. What hangs tells `other`, and waits for its
    word.
    """

    def __init__(self, services: Services, fault: str, number: int, other: socket.socket | None) -> None:
        self._other = other
        self._services = services
        self._fault = fault
        self._left = number
        self._torn: Torn | None = None

    def __enter__(self) -> Services:
        services = self._services
        if self._fault in ("cut", "ask", "tell"):
            engine = services.db.engine
            self._torn = Torn(engine.url.render_as_string(hide_password=False)).__enter__()
            proxy = make_url(self._torn.url)

            def through_proxy(_: object, __: object, ___: object, arguments: dict[str, Any]) -> None:
                arguments.update(host=proxy.host, port=proxy.port)

            event.listen(engine, "do_connect", through_proxy)
        return instrument(services, self._take)

    def __exit__(self, *_: object) -> None:
        """The process ends, and with it all that it holds."""

    def _take(self, step: str) -> None:
        self._left -= 1
        if self._left != -1:
            return
        if self._fault == "kill":
            kill()
        elif self._other is not None:
            self._other.send(b"!")
            self._other.recv(1)
        elif self._torn is None:
            if step.startswith(("driver", "writer", "reader")):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            raise Unavailable("The database does not answer.")
        elif self._fault == "cut":
            self._torn.cut_all()
        else:
            self._torn.cut_at(COMMIT, delivered=self._fault == "tell")


AT = {
    "kill": (": commit", ": committed", ": returned"),
    "fail": (": begin", ": read", ": call", "commit: returned", "delete: returned"),
    "hang": (": call", "commit: returned"),
    "cut": (": begun",),
    "ask": (": commit",),
    "tell": (": commit",),
}
"""The steps at which each fault happens. What ends a process before a call or a transaction is the same as what ends it
after the one before."""


READS = ("reader.", "driver.open", "sweep._retire", "sweep.retire_events", "sweep.forget_")
"""Steps that change nothing, as there is nothing old enough to be forgotten: a process that ends there leaves what the
step before has left."""


@dataclass(frozen=True, slots=True)
class Child:
    """A process that does some work."""

    pid: int
    source: int

    def wait(self) -> tuple[int, Any]:
        """How it ended, and what the work returned: None where the process was killed."""
        with os.fdopen(self.source, "rb") as stream:
            data = stream.read()
        _, status = os.waitpid(self.pid, 0)
        if status and not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
            raise RuntimeError(f"a process ended with {status}")
        return status, msgspec.json.decode(data) if data else None


def forked(work: Callable[[], Any]) -> tuple[int, Any]:
    """Do `work` in a process, and wait for it."""
    return start(work).wait()


def start(work: Callable[[], Any]) -> Child:
    """Begin `work` in a process."""
    source, sink = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        with suppress(BaseException):
            try:
                os.write(sink, msgspec.json.encode(work()))
                code = 0
            except BaseException:
                traceback.print_exc()
                raise
        os._exit(code)
    os.close(sink)
    return Child(child, source)


def run(directory: Path, origin: str, faults: Sequence[str], names: Sequence[str]) -> dict[str, Report]:
    """Break each of these scenarios at each of its steps in each of these ways."""
    settings = chaotic(directory, urlsplit(origin).port or 80)
    services = build_services(settings)
    rules = replace(services.rules, scrub_pool_size=1, scrub_time=0.0)
    services = replace(services, rules=rules, heartbeats=_Silent())
    reports = {}
    for name in names:
        scenario = SCENARIOS[name]
        stored = replace(services, rules=replace(rules, placing=Placing({ALL_TYPES: (scenario.store,)})))
        runner = Runner(stored, settings.glance_store.filesystem_store_datadir, origin, scenario)
        runner.warm_up()
        steps = runner.steps()
        findings = [
            runner.hung(number, step) if fault == "hang" else runner.broken(fault, number, step)
            for fault in faults
            for number, step in enumerate(steps)
            if step.endswith(AT[fault]) and (fault == "fail" or not step.startswith(READS))
        ]
        reports[name] = Report(steps, findings)
    return reports


if __name__ == "__main__":
    found = run(Path(sys.argv[1]), sys.argv[2], sys.argv[3].split(","), sys.argv[4:])
    sys.stdout.buffer.write(msgspec.json.encode(found))
