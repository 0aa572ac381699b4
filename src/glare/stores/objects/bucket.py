"""A bucket or container, as far as the driver needs one: the calls of obstore, with Glare's errors.

obstore repeats a request that was not answered, or answered with 5xx, with growing pauses, until the budget of its
client is spent; what arrives here has failed for good.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError

from glare.stores.objects import failures
from glare.stores.objects.layout import BYTES_TYPE, MOST_PARTS
from glare.stores.objects.remote import WRITER, Broken, Coming, Exists, Listed, Look, Missing, Uploads

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_PIECE: Final = 1 << 20
_PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class Clients:
    """One bucket by clients with different time-outs: `quick` for requests of a bounded size, `streams` for bodies that
    are read as slowly as their reader likes, `probes` for who would rather hear that there is no answer than wait.
    `writer_field` is where they keep who made a key.
    """

    quick: ObjectStore
    streams: ObjectStore
    probes: ObjectStore
    writer_field: str = WRITER


class Bucket:
    """One bucket, for the store of this name; see `RemoteKeys`. Safe for threads."""

    most_parts: int = MOST_PARTS

    def __init__(self, store: str, clients: Clients, uploads: Uploads) -> None:
        self.store = store
        self._quick = clients.quick
        self._streams = clients.streams
        self._probes = clients.probes
        self._writer_field = clients.writer_field
        self.uploads = uploads

    def make(self, key: str, data: bytes, content_type: str, writer: str) -> None:
        """Make a key, in one request. Raises `Exists` where there is one of this name by another writer."""
        attributes = {"Content-Type": content_type, self._writer_field: writer}
        try:
            with self._named("make"):
                obstore.put(self._quick, key, data, attributes=attributes, mode="create", use_multipart=False)
        except _Taken:
            # The store may have made it before, and its answer was lost: then the request was repeated.
            found = self.look(key)
            if found is None or found.writer != writer:
                raise Exists from None

    def note(self, key: str) -> None:
        """Make a key without bytes, or make it anew."""
        with self._named("put"):
            obstore.put(self._quick, key, b"", use_multipart=False)

    def begin(self, key: str, part: int, ahead: int) -> Writing:
        """Begin a key that is written in parts of `part` bytes, `ahead` of which may be on their way at once."""
        attributes: dict[str, str] = {"Content-Type": BYTES_TYPE}
        with self._named("write"):
            file = obstore.open_writer(self._quick, key, attributes=attributes, buffer_size=part, max_concurrency=ahead)
        return Writing(file, self._named)

    def look(self, key: str) -> Look | None:
        """What is there; None where there is nothing."""
        try:
            with self._named("look"):
                return self._look(obstore.get(self._quick, key, options={"head": True}))
        except Missing:
            return None

    def read(self, key: str, *, hurried: bool = False) -> tuple[Look, bytes]:
        """A small key, whole. Raises `Missing`, `Broken`."""
        with self._named("get"):
            found = obstore.get(self._probes if hurried else self._quick, key)
        with self._named("read"):
            return self._look(found), bytes(found.bytes())

    def get(self, key: str, start: int, end: int | None) -> Coming:
        """The bytes from `start` to `end` (excluded; None: the end), fewer where the key has fewer.

        Raises `Missing`, `Broken` for a store that does not answer to ranges. The iterator raises `Broken` where the
        body ends early.
        """
        options: Any = {}
        if end is not None:
            options = {"range": (start, end)}
        elif start:
            options = {"range": {"offset": start}}
        try:
            with self._named("get"):
                found = obstore.get(self._streams, key, options=options)
        except _BehindTheEnd:
            # An empty key has no range that is not refused.
            look = self.look(key)
            if look is None:
                raise Missing from None
            if start < look.size:
                raise Broken("a range that exists is refused") from None
            return Coming(look, start, start, iter(()))
        look = self._look(found)
        first, last = found.range
        if first != start or last > look.size or (end is not None and last != min(end, look.size)):
            raise Broken(f"bytes {first} to {last} of {look.size} came instead of {start} to {end}")
        return Coming(look, first, last, self._pieces(found, last - first))

    def listed(self, folder: str, after: str = "") -> Iterator[Listed]:
        """The keys in a folder, in the order of their names, those after the key `after`. Raises `Broken` where they
        come in another order.
        """
        before = ""
        with self._named("list"):
            for page in obstore.list(self._quick, folder, offset=after or None, chunk_size=_PAGE):
                for meta in page:
                    key = str(meta["path"])
                    if key <= after:  # Some begin with it, and some at the beginning.
                        continue
                    if key <= before:
                        raise Broken("keys are not listed in the order of their names")
                    before = key
                    yield Listed(key, int(meta["size"]), meta["last_modified"].timestamp())

    def remove(self, keys: Sequence[str]) -> None:
        """Remove keys; those that are gone count as removed."""
        for begin in range(0, len(keys), _PAGE):
            page = keys[begin : begin + _PAGE]
            if not self._removed(page) and len(page) > 1:
                # Where one of them is gone, some stores say nothing of the others.
                for key in page:
                    self._removed([key])

    def _removed(self, keys: Sequence[str]) -> bool:
        """Remove keys; False where one of them is gone already."""
        try:
            with self._named("delete"):
                obstore.delete(self._quick, list(keys))
        except Missing:
            return False
        return True

    def _look(self, found: Any) -> Look:
        attributes = found.attributes
        return Look(int(found.meta["size"]), attributes.get("Content-Type"), attributes.get(self._writer_field))

    def _pieces(self, found: Any, size: int) -> Iterator[bytes]:
        come = 0
        with self._named("read"):
            for piece in found.stream(min_chunk_size=_PIECE):
                come += len(piece)
                if come > size:
                    raise Broken(f"more than the {size} bytes came that were announced")
                yield bytes(piece)
        if come < size:
            raise Broken(f"{come} bytes came of {size} that were announced")

    @contextmanager
    def _named(self, action: str) -> Iterator[None]:
        """Give errors of the library their names. What it says of a request is not told on, nor in a traceback."""
        try:
            yield
        except FileNotFoundError as error:
            if failures.names_no_bucket(error):
                raise failures.named(error, self.store, action) from None
            raise Missing from None
        except (BaseError, OSError) as error:
            if isinstance(error, AlreadyExistsError) and action == "make" and not failures.names_no_bucket(error):
                raise _Taken from None
            if failures.begins_behind(error):
                raise _BehindTheEnd from None
            if action == "read" and failures.status_of(error) is None:
                raise Broken("the body did not arrive whole") from None
            if failures.belies_range(error):
                raise Broken("something else came than the range that was asked for") from None
            raise failures.named(error, self.store, action) from None


class Writing:
    """One key that is being written in parts. Nothing of it is there before `finish`."""

    def __init__(self, file: Any, named: Callable[[str], Any]) -> None:
        self._file = file
        self._named = named

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Add all of `data`; waits where too much is on its way. Raises a `GlareError`."""
        with self._named("write"):
            self._file.write(data)

    def finish(self) -> None:
        """Make the key. Raises a `GlareError`, and it may be there all the same where the answer was lost."""
        with self._named("write"):
            self._file.close()

    def abort(self) -> None:
        """Remove its parts. Raises a `GlareError`."""
        given_up = _GivenUp()
        with self._named("abort"):
            self._file.__exit__(_GivenUp, given_up, None)


class _Taken(Exception):
    """There is a key of this name."""


class _BehindTheEnd(Exception):
    """A range begins where the key has ended."""


class _GivenUp(Exception):
    """What the library is told, so that it removes parts rather than make a key of them."""
