"""Steps of an operation, at each of which a test may end the process, fail, or wait. Nothing of it is in the product.

`instrument` puts itself around the database's transactions and the calls of the stores, in services that the product
has composed. Each beginning and end is a *step*, and has a name:

    attempts.publish: begin       before the transaction, which function `publish` of module `attempts` wants
    attempts.publish: begun       in it, before anything is done
    attempts.publish: commit      all is done, and not committed
    attempts.publish: committed
    access.find_artifact: read    before a transaction that only reads
    driver.create: call           before the call of a store, its writer or its reader
    writer.commit: returned       after it

As a program (``python -m support.runs.faults serve …``) it is `glare`, whose server processes do at a step what the
file ``fault`` in their working directory says: ``kill attempts.publish: commit`` or ``hang writer.commit: call``.
`order` writes it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

from sqlalchemy import Connection

from glare import app
from glare.cli import main, serve
from glare.db.engine import Database
from glare.operations.services import Services
from glare.settings import Settings

T = TypeVar("T")

Take = Callable[[str], None]
"""Called with the name of each step, when it is reached."""

ORDER = Path("fault")
HELD = Path("held")


def instrument(services: Services, take: Take) -> Services:
    """Let `take` see every step of these services. What keeps attempts alive goes on unseen, for it has a time of its
    own.
    """

    def seen(name: str) -> None:
        if threading.current_thread().name != "heartbeats":
            take(name)

    _step_transactions(services.db, seen)
    for store in services.stores.values():
        state = vars(store)
        state["_driver"] = _Stepped(state["_driver"], "driver", seen)
    return services


def _step_transactions(db: Database, take: Take) -> None:
    write, read, look, transact = db.write, db.read, db.look, db.transact
    wanted = threading.local()

    @contextmanager
    def stepped_write() -> Iterator[Connection]:
        name = wanted.by
        take(f"{name}: begin")
        with write() as connection:
            take(f"{name}: begun")
            yield connection
            take(f"{name}: commit")
        take(f"{name}: committed")

    def stepped_transact(work: Callable[[Connection], T], *, done: Callable[[Connection], T | None] | None = None) -> T:
        wanted.by = _named(work)
        return transact(work, done=done)

    def stepped(
        read: Callable[[], AbstractContextManager[Connection]],
    ) -> Callable[[], AbstractContextManager[Connection]]:
        @contextmanager
        def stepped_read() -> Iterator[Connection]:
            # Above this frame is that of `contextmanager`, then its `__enter__`, then whoever reads.
            reader = sys._getframe(2)
            module = Path(reader.f_code.co_filename).stem
            take(f"{module}.{reader.f_code.co_qualname}: read")
            with read() as connection:
                yield connection

        return stepped_read

    vars(db).update(write=stepped_write, read=stepped(read), look=stepped(look), transact=stepped_transact)


def _named(work: Any) -> str:
    function = work.func if isinstance(work, partial) else work
    return f"{function.__module__.rpartition('.')[2]}.{function.__qualname__.partition('.')[0]}"


class _Stepped:
    """A driver of a store, or what it has made, every call of which takes a step before and one after."""

    def __init__(self, inner: Any, kind: str, take: Take) -> None:
        self._inner = inner
        self._kind = kind
        self._take = take

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if not callable(value):
            return value

        def call(*args: Any) -> Any:
            self._take(f"{self._kind}.{name}: call")
            result = value(*args)
            self._take(f"{self._kind}.{name}: returned")
            made = {"create": "writer", "open": "reader"}.get(name)
            return _Stepped(result, made, self._take) if made else result

        return call


def kill() -> None:
    """End this process as a power failure would."""
    os.kill(os.getpid(), signal.SIGKILL)


def order(directory: Path, fault: str, step: str) -> None:
    """Have the server that runs in `directory` do `fault` (``kill``, ``hang``) once, when a request reaches `step`."""
    written = directory / f"{ORDER}.new"
    written.write_text(f"{fault} {step}")
    written.rename(directory / ORDER)


def let_go(directory: Path) -> None:
    """End what hangs there."""
    (directory / HELD).unlink(missing_ok=True)


def _obey(name: str) -> None:
    fault = ""
    with suppress(FileNotFoundError):
        fault, _, step = ORDER.read_text().partition(" ")
        if step != name:
            return
        ORDER.unlink()
    if fault == "kill":
        os.killpg(0, signal.SIGKILL)
    if fault == "hang":
        HELD.touch()
        while HELD.exists():
            time.sleep(0.01)


def create_application(settings: Settings, with_worker: bool) -> Any:
    """The application of `glare-server serve` that obeys."""
    build = app.build_services

    def stepped(*args: Any, **kwargs: Any) -> Services:
        return instrument(build(*args, **kwargs), _obey)

    with patch.object(app, "build_services", stepped):
        return _CREATE(settings, with_worker)


_CREATE = serve.create_application


if __name__ == "__main__":
    # A server process imports the function by its name, which is that of this module, run or not.
    from support.runs import faults

    with patch.object(serve, "create_application", faults.create_application):
        sys.exit(main.main())
