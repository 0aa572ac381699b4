# ruff: noqa: S101 - this is a suite of tests, and `assert` is how pytest checks
"""The tests that every store must pass, for who writes a driver.

One class in a test module of yours runs them all::

    class TestMyStore(StoreConformance):
        def make_store(self, tmp_path: Path) -> Store:
            return Store(MyDriver(...))

Each call of `make_store` with the same `tmp_path` must give a store over the same objects, as two processes would have
them. A store that cannot give files or tell its free space says so with the class attributes; the suite then tests that
it says so itself. pytest is needed to run the suite, not to import it.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar

from glare.errors import Conflict, NotFound
from glare.stores.base import Store

_MIB = 1 << 20


class StoreConformance:
    """Inherit from it, and give it stores."""

    serves_files: ClassVar[bool] = True
    """Whether `path` gives a file."""

    knows_free_space: ClassVar[bool] = True
    """Whether `free_space` gives a number."""

    one_winner: ClassVar[bool] = True
    """Whether of several writers that commit one name at the very same time one wins. Where not, as in Swift, the last
    one stays; a name that was there before is safe in any store. The service uses no name twice.
    """

    large: ClassVar[int] = 20 * _MIB + 5
    """Bytes of an object that the store does not write in one go."""

    @abstractmethod
    def make_store(self, tmp_path: Path) -> Store:
        """An initialised store that is empty in the first call with `tmp_path`."""

    def test_an_object_is_read_back_as_it_was_written(self, tmp_path: Path) -> None:
        """Bytes that were written in pieces of any size, and committed, are read back equal, also by another store."""
        store, name = self.make_store(tmp_path), _new_name()
        pieces = [b"", b"a", secrets.token_bytes(3 * _MIB + 1), b"", secrets.token_bytes(17)]
        with store.create(name) as writer:
            for piece in pieces:
                writer.write(piece)
            writer.commit()
        whole = b"".join(pieces)
        assert writer.size == len(whole)
        for reading in (store, self.make_store(tmp_path)):
            assert _read(reading, name) == whole
            assert reading.size(name) == len(whole)

    def test_an_empty_object_exists(self, tmp_path: Path) -> None:
        """An object of no bytes is an object."""
        store, name = self.make_store(tmp_path), _new_name()
        _write(store, name, b"")
        assert store.size(name) == 0
        assert _read(store, name) == b""
        assert store.delete(name)

    def test_a_range_is_read(self, tmp_path: Path) -> None:
        """Offset and length choose a part; what reaches beyond the end stops there."""
        store, name = self.make_store(tmp_path), _new_name()
        data = secrets.token_bytes(_MIB + 100)
        _write(store, name, data)
        size = len(data)
        for offset, length in [
            (0, None), (0, 0), (0, 1), (0, size), (0, size + 1), (1, None), (5, 10), (_MIB - 1, 2), (_MIB, None),
            (size - 1, 1),
            (size - 1, 99), (size, None), (size, 5), (size + 7, None), (size + 7, 3),
        ]:  # fmt: skip
            end = size if length is None else offset + length
            assert _read(store, name, offset, length) == data[offset:end], (offset, length)

    def test_a_reader_gives_at_most_what_was_asked_for(self, tmp_path: Path) -> None:
        """`read(n)` gives one to n bytes until the end, then b"" however often it is asked, and nothing once it is
        closed.
        """
        store, name = self.make_store(tmp_path), _new_name()
        data = secrets.token_bytes(100_000)
        _write(store, name, data)
        seen = b""
        with store.open(name) as reader:
            while piece := reader.read(4096):
                assert len(piece) <= 4096
                seen += piece
            assert reader.read(4096) == b""
            assert reader.size == len(data)
            reader.close()
        assert seen == data
        reader.close()
        _raises(ValueError, partial(reader.read, 1))

    def test_bytes_are_readable_only_after_commit(self, tmp_path: Path) -> None:
        """Until it is committed an object does not exist for anybody."""
        store, name = self.make_store(tmp_path), _new_name()
        with store.create(name, 5) as writer:
            writer.write(b"12345")
            _is_missing(store, name)
            _is_missing(self.make_store(tmp_path), name)
            writer.commit()
        assert _read(store, name) == b"12345"

    def test_a_cancelled_writer_leaves_nothing(self, tmp_path: Path) -> None:
        """After `cancel`, or an error in the `with` block, there is no object and no temporary, and the name is
        free.
        """
        store, name = self.make_store(tmp_path), _new_name()
        with store.create(name) as writer:
            writer.write(b"x" * _MIB)
            writer.cancel()
        try:
            with store.create(name) as writer:
                writer.write(b"y" * _MIB)
                raise InterruptedError
        except InterruptedError:
            pass
        with store.create(name):
            pass
        _is_missing(store, name)
        assert store.sweep_temporaries(0) == 0
        _write(store, name, b"z")
        assert _read(store, name) == b"z"

    def test_a_writer_is_used_once(self, tmp_path: Path) -> None:
        """After `commit` or `cancel` a writer takes nothing more, and `cancel` does nothing."""
        store, name = self.make_store(tmp_path), _new_name()
        writer = store.create(name)
        writer.write(b"once")
        writer.commit()
        writer.cancel()
        cancelled = store.create(_new_name())
        cancelled.cancel()
        for used in (writer, cancelled):
            _raises(ValueError, partial(used.write, b"more"))
            _raises(ValueError, used.commit)
        assert _read(store, name) == b"once"

    def test_an_object_is_never_replaced(self, tmp_path: Path) -> None:
        """A second object of a name is refused, at the latest at commit, and the first one stays as it is."""
        store, name = self.make_store(tmp_path), _new_name()
        _write(store, name, b"first")
        _raises(Conflict, lambda: _write(store, name, b"second"))
        assert _read(store, name) == b"first"
        assert store.sweep_temporaries(0) == 0

    def test_of_two_writers_of_one_name_one_wins(self, tmp_path: Path) -> None:
        """When two writers of one name commit, the first one's bytes stay, whole."""
        store, name = self.make_store(tmp_path), _new_name()
        with store.create(name) as first, self.make_store(tmp_path).create(name) as second:
            second.write(b"second")
            first.write(b"first")
            second.commit()
            _raises(Conflict, first.commit)
        assert _read(store, name) == b"second"

    def test_of_many_writers_at_once_one_wins(self, tmp_path: Path) -> None:
        """When writers of one name commit at the same time, one of them does, and its bytes are there."""
        store, name = self.make_store(tmp_path), _new_name()
        ready, won, failures = threading.Barrier(6), [], []

        def write(data: bytes) -> None:
            try:
                with store.create(name) as writer:
                    writer.write(data)
                    ready.wait(60)
                    writer.commit()
                won.append(data)
            except Conflict:
                pass
            except BaseException as error:  # noqa: BLE001 - whatever it is, the test's own thread reports it
                failures.append(error)

        threads = [threading.Thread(target=write, args=(secrets.token_bytes(1000),)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        if self.one_winner:
            assert len(won) == 1
        assert _read(store, name) in won
        assert store.sweep_temporaries(0) == 0

    def test_a_large_object_is_an_object(self, tmp_path: Path) -> None:
        """What takes more than one step to write is readable after commit and not before, as a whole and from anywhere,
        is listed with its size, and is gone when it is deleted.
        """
        store, name, other = self.make_store(tmp_path), _new_name(), self.make_store(tmp_path)
        data = secrets.token_bytes(self.large)
        for announced in (self.large, None):
            with store.create(name, announced) as writer:
                for start in range(0, self.large, _MIB):
                    writer.write(data[start : start + _MIB])
                _is_missing(other, name)
                assert list(other.entries()) == []
                writer.commit()
            for reading in (store, other):
                assert _read(reading, name) == data
                assert reading.size(name) == self.large
            for offset, length in [
                (0, 1),
                (_MIB - 1, 2),
                (self.large // 2, _MIB),
                (self.large - 3, 9),
                (self.large, 1),
            ]:
                assert _read(store, name, offset, length) == data[offset : offset + length], (offset, length)
            assert [(entry.name, entry.size) for entry in store.entries()] == [(name, self.large)]
            assert store.sweep_temporaries(0) == 0
            assert store.delete(name) is True
            for reading in (store, other):
                _is_missing(reading, name)
            assert store.delete(name) is False
            assert list(store.entries()) == []

    def test_a_large_object_is_never_replaced(self, tmp_path: Path) -> None:
        """An object of a name is there once, however large the second one is."""
        store = self.make_store(tmp_path)
        for first, second in [(self.large, self.large), (self.large, 10), (10, self.large)]:
            name, data = _new_name(), secrets.token_bytes(first)
            _write(store, name, data)
            _raises(Conflict, partial(_write, store, name, bytes(second)))
            assert _read(store, name) == data
            assert _read(self.make_store(tmp_path), name) == data
            assert store.sweep_temporaries(0) == 0

    def test_a_large_writer_that_is_cancelled_leaves_nothing(self, tmp_path: Path) -> None:
        """As `test_a_cancelled_writer_leaves_nothing`, after more than one step."""
        store, name = self.make_store(tmp_path), _new_name()
        with store.create(name, self.large) as writer:
            for _ in range(self.large // _MIB):
                writer.write(bytes(_MIB))
        _is_missing(store, name)
        assert store.sweep_temporaries(0) == 0
        _write(store, name, b"small")
        assert _read(store, name) == b"small"

    def test_a_deleted_object_is_gone(self, tmp_path: Path) -> None:
        """Delete says whether there was an object, and a missing one is no error."""
        store, name, other = self.make_store(tmp_path), _new_name(), _new_name()
        _write(store, name, b"gone")
        _write(store, other, b"stays")
        assert store.delete(name) is True
        _is_missing(store, name)
        assert store.delete(name) is False
        assert store.delete(_new_name()) is False
        assert _read(store, other) == b"stays"

    def test_a_name_that_is_no_name_is_refused(self, tmp_path: Path) -> None:
        """No method takes a name that could mean a path, an option or another object."""
        store = self.make_store(tmp_path)
        for name in [
            "",
            "..",
            "../../etc/passwd",
            "/etc/passwd",
            "abc",
            "ABCDEF0123",
            "0123456789\n",
            "01234567/89",
            "0" * 129,
        ]:
            for call in (store.create, store.open, store.size, store.path, store.delete):
                _raises(ValueError, partial(call, name))

    def test_a_read_before_the_beginning_is_refused(self, tmp_path: Path) -> None:
        """Neither offset nor length may be negative."""
        store, name = self.make_store(tmp_path), _new_name()
        _write(store, name, b"data")
        _raises(ValueError, lambda: store.open(name, -1))
        _raises(ValueError, lambda: store.open(name, 0, -1))

    def test_a_file_is_exactly_the_object(self, tmp_path: Path) -> None:
        """Where a store gives a file, it holds the object and nothing else; a store without files says None."""
        store, name = self.make_store(tmp_path), _new_name()
        _write(store, name, b"the bytes")
        path = store.path(name)
        assert (path is not None) == self.serves_files
        if path is not None:
            assert path.read_bytes() == b"the bytes"
            _raises(NotFound, lambda: store.path(_new_name()))

    def test_free_space_is_a_number_where_it_is_known(self, tmp_path: Path) -> None:
        """A store that knows its free space says it in bytes; another says None."""
        free = self.make_store(tmp_path).free_space()
        assert (free is not None) == self.knows_free_space
        assert free is None or free >= 0

    def test_a_store_in_order_passes_its_check(self, tmp_path: Path) -> None:
        """The check of a store that works says nothing and leaves nothing."""
        store = self.make_store(tmp_path)
        store.check()
        store.check()
        assert store.sweep_temporaries(0) == 0

    def test_a_store_is_initialised_once(self, tmp_path: Path) -> None:
        """Initialising a store again, by whomever and whatever objects are known of it, changes nothing."""
        store, name = self.make_store(tmp_path), _new_name()
        _write(store, name, b"stays")
        for again in (store, self.make_store(tmp_path)):
            again.initialise()
            again.initialise([_new_name()], "another")
            assert _read(again, name) == b"stays"

    def test_a_store_has_one_identity(self, tmp_path: Path) -> None:
        """What its place is known by is the same for all who use it, short plain text, or nothing for a store without a
        place.
        """
        identity = self.make_store(tmp_path).identity()
        assert self.make_store(tmp_path).identity() == identity
        assert identity is None or re.fullmatch(r"[!-~]{1,128}", identity)

    def test_all_committed_objects_are_listed_in_order(self, tmp_path: Path) -> None:
        """`entries` gives every committed object once, with its size and time, in the order of names, from any of them
        on.
        """
        store = self.make_store(tmp_path)
        assert list(store.entries()) == []
        sizes = {_new_name(): number for number in range(40)}
        sizes |= {f"abcdef{number:02d}": number for number in range(3)}
        before = time.time()
        for name, size in sizes.items():
            _write(store, name, b"x" * size)
        gone = _new_name()
        _write(store, gone, b"gone")
        store.delete(gone)
        with store.create(_new_name()) as unfinished:
            unfinished.write(b"y" * _MIB)
            found = list(store.entries())
            assert [(entry.name, entry.size) for entry in found] == sorted(sizes.items())
            assert all(before - 5 <= entry.stored_at <= time.time() + 5 for entry in found)
            for position in (0, 5, 39, 42):
                assert list(store.entries(found[position].name)) == found[position + 1 :]
            assert list(store.entries("abcdef000")) == [entry for entry in found if entry.name > "abcdef000"]

    def test_the_sweep_leaves_objects_and_young_temporaries_alone(self, tmp_path: Path) -> None:
        """Sweeping touches neither committed objects nor a writer that is younger than the limit."""
        store, name, late = self.make_store(tmp_path), _new_name(), _new_name()
        _write(store, name, b"committed")
        with store.create(late) as writer:
            writer.write(b"late")
            assert store.sweep_temporaries(3600) == 0
            writer.commit()
        store.sweep_temporaries(0)
        assert _read(store, name) == b"committed"
        assert _read(store, late) == b"late"

    def test_many_threads_use_one_store(self, tmp_path: Path) -> None:
        """Writers and readers in threads of their own do not disturb one another."""
        store = self.make_store(tmp_path)
        contents = {_new_name(): secrets.token_bytes(64 << 10) for _ in range(16)}
        failures: list[BaseException] = []

        def use(name: str, data: bytes) -> None:
            try:
                with store.create(name, len(data)) as writer:
                    for start in range(0, len(data), 1000):
                        writer.write(data[start : start + 1000])
                    writer.commit()
                assert _read(store, name) == data
            except BaseException as error:  # noqa: BLE001 - whatever it is, the test's own thread reports it
                failures.append(error)

        threads = [threading.Thread(target=use, args=item) for item in contents.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        for name, data in contents.items():
            assert _read(store, name) == data


def _new_name() -> str:
    return secrets.token_hex(16)


def _write(store: Store, name: str, data: bytes) -> None:
    with store.create(name, len(data)) as writer:
        writer.write(data)
        writer.commit()


def _read(store: Store, name: str, offset: int = 0, length: int | None = None) -> bytes:
    with store.open(name, offset, length) as reader:
        return b"".join(iter(lambda: reader.read(1 << 16), b""))


def _is_missing(store: Store, name: str) -> None:
    _raises(NotFound, lambda: store.size(name))
    _raises(NotFound, lambda: _read(store, name))


def _raises(expected: type[Exception], call: Callable[[], object]) -> None:
    try:
        call()
    except expected:
        return
    raise AssertionError(f"{expected.__name__} was expected, and nothing was raised")
