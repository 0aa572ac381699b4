"""The first process: it starts those that serve, starts them again when they die, and ends them."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from typing import Any, Final

from glare.server.process import Spec, serve_process

_log = logging.getLogger(__name__)

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_STEADY_SECONDS: Final = 60.0
"""A process that served for so long has its next death forgiven: the pause before the next one is short again."""


@dataclass(slots=True)
class _Worker:
    process: Any  # multiprocessing's class for the start method is private.
    ready: Pipe
    served_since: float | None = None


class Supervisor:
    """`count` processes that accept from the same listening sockets, so that no waiting connection is lost with one of
    them.

    A process that dies is replaced, after a pause that doubles while they go on dying. The service ends when none of
    the first ones comes as far as serving. SIGTERM and SIGINT are passed on; what has not ended `kill_seconds` later is
    killed, and a second SIGINT kills at once.
    """

    def __init__(self, spec: Spec, listeners: Sequence[socket.socket], *, count: int, kill_seconds: float) -> None:
        self._spec = spec
        self._listeners = listeners
        self._count = count
        self._kill_seconds = kill_seconds
        # Forking a process that has threads is undefined; a fresh one starts the same way on every platform and Python.
        self._context = multiprocessing.get_context("spawn")
        # Nobody writes into it: it ends with this process, however that ends, and the others see it.
        self._watched, self._alive = self._context.Pipe(duplex=False)
        self._workers: list[_Worker] = []
        self._starts: list[float] = []
        self._pause = _FIRST_PAUSE
        self._came_up = False
        self._signals: list[int] = []
        self._stop_at: float | None = None

    def run(self) -> int:
        """Serve until a signal; the exit code: 0, or 1 when the processes cannot serve."""
        woken, waker = socket.socketpair()
        for end in (woken, waker):
            end.setblocking(False)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: self._signals.append(number))
        self._starts = [time.monotonic()] * self._count
        try:
            while self._workers or self._starts:
                self._start_due()
                self._wait(woken)
                self._pass_signals_on()
                self._bury()
                if self._stop_at is not None and time.monotonic() >= self._stop_at:
                    self._kill()
                if not self._came_up and not self._workers:
                    return 0 if self._stop_at is not None else 1
            return 0
        finally:
            self._kill()
            signal.set_wakeup_fd(-1)
            woken.close()
            waker.close()

    def _start_due(self) -> None:
        now = time.monotonic()
        for due in [due for due in self._starts if due <= now]:
            self._starts.remove(due)
            ready, tells = self._context.Pipe(duplex=False)
            process = self._context.Process(
                target=serve_process,
                args=(self._spec, tuple(self._listeners), tells, self._watched, os.getpid()),
                name="glare-server",
                daemon=True,
            )
            process.start()
            tells.close()
            self._workers.append(_Worker(process, ready))

    def _wait(self, woken: socket.socket) -> None:
        """Until something happens, or is due."""
        times = [*self._starts, *([] if self._stop_at is None else [self._stop_at])]
        timeout = max(0.0, min(times) - time.monotonic()) if times else None
        waiting = [worker.process.sentinel for worker in self._workers]
        telling = [worker.ready for worker in self._workers if worker.served_since is None and not worker.ready.closed]
        wait([*waiting, *telling, woken], timeout)
        with suppress(BlockingIOError):
            woken.recv(4096)
        for worker in self._workers:
            if worker.ready in telling and worker.ready.poll():
                with suppress(EOFError):
                    worker.ready.recv_bytes()
                    worker.served_since = time.monotonic()
                    self._came_up = True
                worker.ready.close()

    def _pass_signals_on(self) -> None:
        while self._signals:
            number = self._signals.pop(0)
            if self._stop_at is None:
                self._stop_at = time.monotonic() + self._kill_seconds
                self._starts.clear()
                for worker in self._workers:
                    with suppress(ProcessLookupError):
                        os.kill(worker.process.pid, number)
            elif number == signal.SIGINT:
                self._kill()

    def _bury(self) -> None:
        """Take leave of processes that have ended, and plan for their successors."""
        now = time.monotonic()
        for worker in [worker for worker in self._workers if not worker.process.is_alive()]:
            self._workers.remove(worker)
            code, served_since = worker.process.exitcode, worker.served_since
            worker.process.close()
            worker.ready.close()
            if self._stop_at is not None:
                continue
            if served_since is not None and now - served_since >= _STEADY_SECONDS:
                self._pause = _FIRST_PAUSE
            _log.warning("a server process has ended", extra={"exit_code": code, "next_in_seconds": self._pause})
            self._starts.append(now + self._pause)
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    def _kill(self) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
        if self._stop_at is not None:
            self._stop_at = float("inf")
