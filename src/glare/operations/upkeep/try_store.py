"""Trying whether a store does what it must do, with an object that is made for it and removed again."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from glare.db import blobs as blob_rows
from glare.digest import BLOCK
from glare.domain.blob import Managed
from glare.domain.moment import HOUR
from glare.errors import GlareError, NotFound, StoreFailed, StoreFull, StoreReadOnly
from glare.operations.slots.objects import remove_doomed

if TYPE_CHECKING:
    from glare.operations.services import Services
    from glare.stores.base import Store

_SIZE: Final = BLOCK + 1000


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was tried, how long it took (seconds), and what was wrong (None: nothing)."""

    what: str
    seconds: float
    problem: str | None


def try_store(services: Services, name: str) -> list[Step]:
    """What was tried of a store, up to what failed. One that takes no new bytes is only asked whether it is there.

    Raises `NotFound` where there is no such store.
    """
    store = services.stores.get(name)
    if store is None:
        raise NotFound(f"There is no store '{name}'; the stores are {', '.join(services.stores)}.")
    writes = name not in services.rules.placing.read_only
    steps = [_step("is at its place", lambda: _there(store, writes=writes))]
    if steps[0].problem is not None or not writes:
        return steps
    location, data = Managed(name, uuid.uuid4().hex), secrets.token_bytes(_SIZE)
    until = services.clock() + HOUR
    # Doomed before it is there: whoever is killed leaves it to the sweep.
    services.db.transact(lambda connection: blob_rows.doom(connection, [location], until))
    try:
        for what, work in (
            ("writes", lambda: _write(store, location.object, data)),
            ("reads", lambda: _compare(_read(store, location.object, 0, None), data)),
            ("reads a range", lambda: _compare(_read(store, location.object, 900, BLOCK), data[900 : 900 + BLOCK])),
            ("removes", lambda: _remove(store, location.object)),
        ):
            steps.append(_step(what, work))
            if steps[-1].problem is not None:
                break
    finally:
        services.db.transact(lambda connection: blob_rows.hurry_objects(connection, [location]))
        remove_doomed(services, [location])
    return steps


def _step(what: str, work: Callable[[], None]) -> Step:
    started = time.perf_counter()
    problem = None
    try:
        work()
    except GlareError as failed:
        problem = failed.message
    return Step(what, time.perf_counter() - started, problem)


def _there(store: Store, *, writes: bool) -> None:
    if writes:
        store.check()
        return
    with suppress(StoreFull, StoreReadOnly):
        store.check()


def _write(store: Store, name: str, data: bytes) -> None:
    with store.create(name, len(data)) as writer:
        writer.write(data)
        writer.commit()


def _read(store: Store, name: str, offset: int, length: int | None) -> bytes:
    with store.open(name, offset, length) as reader:
        return b"".join(iter(lambda: reader.read(BLOCK), b""))


def _compare(found: bytes, expected: bytes) -> None:
    if found != expected:
        raise StoreFailed("The store gave other bytes than were written; do not use it before that is explained.")


def _remove(store: Store, name: str) -> None:
    store.delete(name)
    if not store.delete(name):
        return
    raise StoreFailed("The store still has an object that was removed; it may keep versions, which would fill it.")
