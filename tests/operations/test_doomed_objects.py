"""Objects that no row needs any more are removed once nobody can bring them back, and once only."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from glare.db import blobs as blob_rows
from glare.db.tables import doomed_objects
from glare.domain.blob import Managed
from glare.errors import StoreFailed
from glare.operations.slots.objects import remove_due
from support.runs.clock import Clock
from support.service import Glare, running

MINUTE = 60


@pytest.fixture
def glare(tmp_path: Path) -> Iterator[Glare]:
    with running(tmp_path) as service:
        yield service


def doomed(glare: Glare, number: int = 1) -> list[Managed]:
    """Objects that wait for their removal."""
    made = [Managed("file", secrets.token_hex(16)) for _ in range(number)]
    for location in made:
        with glare.services.stores["file"].create(location.object) as writer:
            writer.write(b"bytes")
            writer.commit()
    glare.services.db.transact(lambda connection: blob_rows.doom(connection, made))
    return made


def is_there(glare: Glare, location: Managed) -> bool:
    return any(path.name == location.object for path in glare.objects())


def rows(glare: Glare) -> list[tuple[str, int]]:
    with glare.services.db.read() as connection:
        found = connection.execute(
            select(doomed_objects.c.object, doomed_objects.c.tries).order_by(doomed_objects.c.id)
        )
        return [(row.object, row.tries) for row in found]


def after_the_look(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Do something when the objects that are due were found, and nothing was done about them."""
    original = blob_rows.doomed

    def look(*args: Any) -> Sequence[blob_rows.Doomed]:
        found = original(*args)
        monkeypatch.undo()
        act()
        return found

    monkeypatch.setattr(blob_rows, "doomed", look)


def test_what_is_needed_again_is_not_removed(glare: Glare, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever takes an object back after it was found, and before it was taken, has it."""
    [location] = doomed(glare)
    taken_back: list[bool] = []

    def undoom() -> None:
        taken_back.append(glare.services.db.transact(lambda connection: blob_rows.undoom(connection, location)))

    after_the_look(monkeypatch, undoom)
    remove_due(glare.services, 100)
    assert (taken_back, is_there(glare, location), rows(glare)) == ([True], True, [])


def test_what_is_read_again_stays(glare: Glare, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that puts the removal off in that moment keeps its object for as long as it said."""
    clock = Clock(glare)
    [location] = doomed(glare)
    until = clock.micros + 5 * MINUTE * 1_000_000
    after_the_look(
        monkeypatch,
        lambda: glare.services.db.transact(lambda connection: blob_rows.hold(connection, location, until)),
    )
    remove_due(glare.services, 100)
    assert (is_there(glare, location), rows(glare)) == (True, [(location.object, 0)])
    clock.forward(5 * MINUTE)
    remove_due(glare.services, 100)
    assert (is_there(glare, location), rows(glare)) == (False, [])


def test_what_is_being_removed_does_not_come_back(glare: Glare, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the moment that a removal begins nobody is told that the object is his again."""
    [location] = doomed(glare)
    taken_back: list[bool] = []
    store = glare.services.stores["file"]
    original = store.delete

    def delete(name: str) -> bool:
        taken_back.append(glare.services.db.transact(lambda connection: blob_rows.undoom(connection, location)))
        return original(name)

    monkeypatch.setattr(store, "delete", delete)
    remove_due(glare.services, 100)
    assert (taken_back, is_there(glare, location), rows(glare)) == ([False], False, [])


def test_nodes_that_sweep_at_once_share_the_work(glare: Glare, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two that have found the same objects each removes what the other has not taken: all of them, once."""
    made = doomed(glare, 30)
    barrier = threading.Barrier(2, timeout=10)
    original = blob_rows.doomed
    removed: list[str] = []

    def look(*args: Any) -> Sequence[blob_rows.Doomed]:
        found = original(*args)
        barrier.wait()
        return found

    monkeypatch.setattr(blob_rows, "doomed", look)
    store = glare.services.stores["file"]
    delete = store.delete

    def note(name: str) -> bool:
        removed.append(name)
        return delete(name)

    monkeypatch.setattr(store, "delete", note)
    sweepers = [threading.Thread(target=remove_due, args=(glare.services, 100)) for _ in range(2)]
    for sweeper in sweepers:
        sweeper.start()
    for sweeper in sweepers:
        sweeper.join()
    assert sorted(removed) == sorted(location.object for location in made)
    assert rows(glare) == []


class Died(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_a_process_took_and_did_not_finish_is_removed_later(
    glare: Glare, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """A process that dies before or after the removal leaves a row, which is taken again after a minute."""
    clock = Clock(glare)
    [location] = doomed(glare)
    store = glare.services.stores["file"]
    original = store.delete

    def die(name: str) -> bool:
        if when == "after":
            original(name)
        raise Died

    monkeypatch.setattr(store, "delete", die)
    with pytest.raises(Died):
        remove_due(glare.services, 100)
    monkeypatch.undo()
    assert rows(glare) == [(location.object, 1)]
    assert remove_due(glare.services, 100) == 0
    clock.forward(MINUTE)
    assert remove_due(glare.services, 100) == 1
    assert (is_there(glare, location), rows(glare)) == (False, [])


def test_a_store_that_fails_is_asked_less_and_less_often(glare: Glare, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each failure doubles the wait, up to six hours; what other stores have goes all the same."""
    clock = Clock(glare)
    [location] = doomed(glare)
    store = glare.services.stores["file"]
    original = store.delete

    def fail(name: str) -> bool:
        raise StoreFailed("The disk says no.")

    monkeypatch.setattr(store, "delete", fail)
    tried: list[int] = []
    start = clock.micros
    while clock.micros < start + 30 * 3600 * 1_000_000:
        if remove_due(glare.services, 100):
            tried.append((clock.micros - start) // 60_000_000)
        clock.forward(MINUTE)
    assert tried[:5] == [0, 1, 3, 7, 15]
    assert tried[-1] - tried[-2] == 360
    [other] = doomed(glare)
    monkeypatch.setattr(store, "delete", lambda name: original(name) if name == other.object else fail(name))
    remove_due(glare.services, 100)
    assert (is_there(glare, other), is_there(glare, location)) == (False, True)
