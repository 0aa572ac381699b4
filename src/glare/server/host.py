"""One server process: the event loop, the application's life, and how both end."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from glare.metrics import Metrics
from glare.server.acceptor import Acceptor
from glare.server.connection import Application, Connection, Site
from glare.server.limits import Limits
from glare.server.memory import Memory
from glare.server.places import Places
from glare.server.tally import Tally

_log = logging.getLogger(__name__)

_FLUSH_SECONDS: Final = 1.0
_LIFESPAN_SECONDS: Final = 5.0
_THRESHOLDS: Final = (700, 10, 100)


@dataclass(frozen=True, slots=True)
class Program:
    """What a process serves. `drain` is awaited when it is to end; its argument says whether balancers get their lead
    time.
    """

    application: Application
    drain: Callable[[bool], Awaitable[None]]
    metrics: Metrics


class Host:
    """Serves a program on listening sockets."""

    def __init__(self, program: Program, limits: Limits, tls: ssl.SSLContext | None) -> None:
        self._program = program
        self._limits = limits
        self._tls = tls
        self._stop: asyncio.Future[bool] | None = None

    async def serve(self, listeners: Sequence[socket.socket], ready: Callable[[], None]) -> None:
        """Serve until a signal: SIGTERM with a lead time for balancers, SIGINT without. `ready` is called when it
        begins to.
        """
        loop = asyncio.get_running_loop()
        self._stop = loop.create_future()
        loop.add_signal_handler(signal.SIGTERM, self._end, True)
        loop.add_signal_handler(signal.SIGINT, self._end, False)
        program = self._program
        lifespan = _Lifespan(program.application)
        await lifespan.start()
        _freeze()
        try:
            async with listening(program.application, self._limits, Tally(program.metrics), listeners, self._tls):
                ready()
                await program.drain(await self._stop)
        finally:
            await lifespan.stop()

    def _end(self, lead: bool) -> None:
        if self._stop is not None and not self._stop.done():
            self._stop.set_result(lead)


@asynccontextmanager
async def listening(
    application: Application,
    limits: Limits,
    tally: Tally,
    listeners: Sequence[socket.socket],
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Site]:
    """Accept connections for the duration of the block; then close the sockets, and end what is connected."""
    site = Site(application, limits, tally, asyncio.get_running_loop())
    places = Places(limits)
    acceptors = [Acceptor(site, listener, places, tls) for listener in listeners]
    looking = site.loop.create_task(_look(site))
    for acceptor in acceptors:
        acceptor.start()
    try:
        yield site
    finally:
        site.closing = True
        for acceptor in acceptors:
            acceptor.stop()
            acceptor.end()
        for listener in listeners:
            listener.close()
        await _close(site)
        looking.cancel()
        tally.tell(site.loop.time())


async def _look(site: Site) -> None:
    """Judge all connections, again and again, and give memory back that they have used."""
    memory = Memory()
    while True:
        await asyncio.sleep(site.limits.tick)
        try:
            now = site.loop.time()
            for connection in tuple(site.connections):
                _look_at(connection, now)
            site.tally.tell(now)
            if memory.is_due(now):
                await asyncio.to_thread(memory.give_back)
        except Exception:  # noqa: BLE001 - without the next round nobody would be judged any more
            _log.exception("a round of looks at the connections failed")


def _look_at(connection: Connection, now: float) -> None:
    """Judge one connection; one that cannot be judged must not keep the others from it."""
    try:
        connection.look(now)
    except Exception:  # noqa: BLE001 - a defect in judging one must not end the round
        _log.exception("a connection cannot be judged")
        try:
            connection.cut_off("error")
        except Exception:  # noqa: BLE001 - a socket that cannot be ended must not end the round either
            _log.exception("a connection cannot be cut off")


async def _close(site: Site) -> None:
    """End all connections; what is sent now, or being answered, has a moment more."""
    for connection in tuple(site.connections):
        connection.stop()
    if site.connections:
        with suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_SECONDS):
                await site.empty.wait()
    for connection in tuple(site.connections):
        connection.end()
    for task in tuple(site.tasks):
        task.cancel()
    await asyncio.sleep(0)


def _freeze() -> None:
    """Let the collector of garbage pass by what is there before the first request: it stays, and to go through it takes
    a tenth of a second and more, in which nobody is answered. Of what comes later the old is gone through rarely: with
    thousands of connections that takes nearly as long. `Memory` has it done where memory grows.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


class _Lifespan:
    """The application's own beginning and end, as ASGI has it."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._to: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Raises what the application raises, `RuntimeError` where it says that it cannot."""
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        self._task = asyncio.ensure_future(self._application(scope, self._to.get, self._from.put))
        await self._ask("startup")

    async def stop(self) -> None:
        try:
            async with asyncio.timeout(_LIFESPAN_SECONDS):
                await self._ask("shutdown")
        except TimeoutError:
            _log.warning("the application does not end its work; the process goes without")
        finally:
            if self._task is not None:
                self._task.cancel()
                with suppress(asyncio.CancelledError):
                    await self._task

    async def _ask(self, phase: str) -> None:
        if self._task is None:
            raise AssertionError("the application has not been started")
        await self._to.put({"type": f"lifespan.{phase}"})
        answer = asyncio.ensure_future(self._from.get())
        await asyncio.wait((answer, self._task), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            await self._task
            raise RuntimeError(f"the application ended at its {phase}")
        if answer.result()["type"] != f"lifespan.{phase}.complete":
            raise RuntimeError(f"the application failed at its {phase}: {answer.result().get('message', '')}")
