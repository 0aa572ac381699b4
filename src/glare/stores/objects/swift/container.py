"""A container of Swift, as far as the driver of object stores needs one.

A key that is written in parts is a static large object (SLO): its parts are keys below it, `KEY/00000` and so on, and
its manifest is the key. Swift compares the MD5 of everything that it takes.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from typing import Any, Final

import requests
import urllib3

from glare.errors import StoreFailed, Unavailable
from glare.stores.objects import failures
from glare.stores.objects.layout import BYTES_TYPE
from glare.stores.objects.remote import WRITER, Broken, Coming, Exists, Listed, Look, Missing, NoUploads
from glare.stores.objects.swift.account import Account, Asking, Kind

MOST_PARTS: Final = 1000
"""Parts of a static large object, where the operator of Swift has not said otherwise."""

_PIECE: Final = 1 << 20
_PAGE: Final = 1000
_MOST_READ: Final = 1 << 20
"""Bytes of a key that is read at once, of a page of a list, and of an answer."""

_MOST_PAGE: Final = 4 << 20
_META: Final = f"X-Object-Meta-{WRITER}"
_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_MANIFEST: Final = re.compile(r"(?:.*/)?data/[^/]+/[0-9a-f]{32}/\d{6}")
"""Keys that `Container.begin` has made: nothing else has such a name."""

_MISSED: Final = 8
"""After so many parts that are not there no more are looked for: fewer are sent at the same time."""

_SECONDS_OF_A_PART: Final = 0.2
"""Swift looks at each part of a manifest before it answers."""

_BROKEN_OFF: Final = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)


class Container:
    """The keys of one container; see `RemoteKeys`."""

    most_parts: int = MOST_PARTS

    def __init__(self, account: Account, container: str) -> None:
        self.store = account.store
        self.uploads = NoUploads()
        self._account = account
        self._container = container

    def make(self, key: str, data: bytes, content_type: str, writer: str) -> None:
        headers = {
            "If-None-Match": "*",
            "Content-Type": content_type,
            "ETag": hashlib.md5(data, usedforsecurity=False).hexdigest(),
            _META: writer,
        }
        found = self._account.ask(Asking("PUT", self._path(key), headers=headers, data=data))
        if found.status_code == 412:
            found.close()
            # Swift may have made it before, and its answer was lost: then the request was repeated.
            look = self.look(key)
            if look is None or look.writer != writer:
                raise Exists
            return
        self._require_stored(found)

    def note(self, key: str) -> None:
        headers = {"Content-Type": BYTES_TYPE}
        self._require_stored(self._account.ask(Asking("PUT", self._path(key), headers=headers, data=b"")))

    def begin(self, key: str, part: int, ahead: int) -> LargeObject:
        return LargeObject(self, key, part, ahead)

    def put_part(self, key: str, data: bytes) -> str:
        """Make or replace a key; returns the MD5 of its bytes."""
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
        headers = {"Content-Type": BYTES_TYPE, "ETag": digest}
        self._require_stored(self._account.ask(Asking("PUT", self._path(key), headers=headers, data=data)))
        return digest

    def put_manifest(self, key: str, parts: Sequence[tuple[str, str, int]]) -> None:
        """Make a static large object of keys, each with its MD5 and its bytes."""
        document = [
            {"path": f"/{self._container}/{name}", "etag": digest, "size_bytes": size} for name, digest, size in parts
        ]
        asking = Asking(
            "PUT",
            self._path(key),
            {"multipart-manifest": "put"},
            {"Content-Type": BYTES_TYPE},
            json.dumps(document).encode(),
            seconds=len(parts) * _SECONDS_OF_A_PART,
        )
        found = self._account.ask(asking)
        if found.status_code == 400:
            found.close()
            raise StoreFailed(
                f"Store {self.store!r} does not take a large object of {len(parts)} parts; nothing was stored. Its "
                f"operator has to allow {MOST_PARTS} in max_manifest_segments."
            )
        self._require_stored(found)

    def look(self, key: str) -> Look | None:
        found = self._account.ask(Asking("HEAD", self._path(key)))
        found.close()
        if found.status_code == 404:
            return None
        if found.status_code != 200:
            raise self._account.refuse(found, "look")
        return _look(found.headers, self._length(found))

    def read(self, key: str, *, hurried: bool = False) -> tuple[Look, bytes]:
        found = self._found(Asking("GET", self._path(key), kind=Kind.PROBE if hurried else Kind.QUICK), "get")
        if found.status_code != 200:
            raise self._account.refuse(found, "get")
        size = self._length(found)
        if size > _MOST_READ:
            found.close()
            raise Broken(f"{size} bytes came for a small object")
        data = self._whole(found, size)
        if len(data) != size:
            raise Broken(f"{len(data)} bytes came of {size} that were announced")
        return _look(found.headers, size), data

    def get(self, key: str, start: int, end: int | None) -> Coming:
        headers = {}
        if end is not None or start:
            headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        found = self._found(Asking("GET", self._path(key), headers=headers, kind=Kind.STREAM), "get")
        if found.status_code == 416:
            found.close()
            # An empty key has no range that is not refused.
            look = self.look(key)
            if look is None:
                raise Missing
            if start < look.size:
                raise Broken("a range that exists is refused")
            return Coming(look, start, start, iter(()))
        if found.status_code == 206:
            first, last, size = self._range(found)
        elif found.status_code == 200:
            first, last = 0, self._length(found)
            size = last
        else:
            raise self._account.refuse(found, "get")
        if first != start or last > size or last != (size if end is None else min(end, size)):
            found.close()
            raise Broken(f"bytes {first} to {last} of {size} came instead of {start} to {end}")
        return Coming(_look(found.headers, size), first, last, _Pieces(found, last - first))

    def listed(self, folder: str, after: str = "") -> Iterator[Listed]:
        before = after
        while True:
            query = {"format": "json", "prefix": f"{folder}/", "limit": str(_PAGE)}
            if before:
                query["marker"] = before
            found = self._account.ask(Asking("GET", f"/{self._container}", query))
            if found.status_code == 404:
                found.close()
                raise failures.answered(404, failures.NO_CONTAINER, self.store, "list")
            if found.status_code not in (200, 204):
                raise self._account.refuse(found, "list")
            page = self._page(found)
            for entry in page:
                if entry.key <= before:
                    raise Broken("keys are not listed in the order of their names")
                before = entry.key
                yield entry
            if not page:
                return

    def remove(self, keys: Sequence[str]) -> None:
        gone = ""
        for key in keys:
            if gone and key.startswith(f"{gone}/"):
                continue  # It was a part.
            if _MANIFEST.fullmatch(key):
                if not self._remove_large(key):
                    self._remove_parts(key)
                gone = key
            else:
                self._remove_one(key)

    def _remove_one(self, key: str) -> bool:
        """Whether it was there."""
        found = self._account.ask(Asking("DELETE", self._path(key)))
        found.close()
        if found.status_code not in (204, 404):
            raise self._account.refuse(found, "delete")
        return found.status_code == 204

    def _remove_parts(self, key: str) -> None:
        """Remove the parts of a key whose manifest was not made. A list of keys may be older than they are."""
        number = missed = 0
        while missed < _MISSED:
            missed = 0 if self._remove_one(_part(key, number)) else missed + 1
            number += 1

    def _remove_large(self, key: str) -> bool:
        """Remove a static large object with its parts; false where there is none."""
        asking = Asking(
            "DELETE",
            self._path(key),
            {"multipart-manifest": "delete"},
            {"Accept": "application/json"},
            seconds=MOST_PARTS * _SECONDS_OF_A_PART,
        )
        found = self._account.ask(asking)
        if found.status_code == 404:
            found.close()
            return False
        if found.status_code != 200:
            raise self._account.refuse(found, "delete")
        said = self._document(found, _MOST_READ)
        errors = said.get("Errors") if isinstance(said, dict) else [["", "500"]]
        if errors:
            status = str(errors[0][1])[:3]
            raise failures.answered(int(status) if status.isdigit() else 500, None, self.store, "delete")
        return bool(said.get("Number Deleted"))

    def _path(self, key: str) -> str:
        return f"/{self._container}/{key}"

    def _found(self, asking: Asking, action: str) -> requests.Response:
        """The answer of a request for a key. Raises `Missing`."""
        found = self._account.ask(asking)
        if found.status_code == 404:
            found.close()
            raise Missing
        if found.status_code >= 500 or found.status_code in (401, 403):
            raise self._account.refuse(found, action)
        return found

    def _require_stored(self, found: requests.Response) -> None:
        found.close()
        if found.status_code == 404:
            raise failures.answered(404, failures.NO_CONTAINER, self.store, "put")
        if found.status_code != 201:
            raise self._account.refuse(found, "put")

    def _length(self, found: requests.Response) -> int:
        text = found.headers.get("Content-Length", "")
        if not text.isdecimal():
            found.close()
            raise Unavailable(f"Store {self.store!r} does not say how long an object is; retry later.")
        return int(text)

    def _range(self, found: requests.Response) -> tuple[int, int, int]:
        said = _RANGE.fullmatch(found.headers.get("Content-Range", ""))
        if said is None:
            found.close()
            raise Broken("a range came without its place")
        return int(said[1]), int(said[2]) + 1, int(said[3])

    def _page(self, found: requests.Response) -> list[Listed]:
        if found.status_code == 204:
            found.close()
            return []
        document = self._document(found, _MOST_PAGE)
        try:
            return [Listed(str(one["name"]), int(one["bytes"]), _moment(one["last_modified"])) for one in document]
        except (KeyError, TypeError, ValueError):
            raise Unavailable(f"Store {self.store!r} answers with what is no list of Swift.") from None

    def _document(self, found: requests.Response, most: int) -> Any:
        try:
            text = self._whole(found, most)
        except Broken:
            raise Unavailable(f"Store {self.store!r} does not send its answer whole; retry later.") from None
        try:
            return json.loads(text)
        except ValueError:
            raise Unavailable(f"Store {self.store!r} answers with what is no document of Swift.") from None

    def _whole(self, found: requests.Response, most: int) -> bytes:
        """The body of an answer, which may have so many bytes at most, and take as long as a request. Raises `Broken`.

        What comes is taken as it comes: a store that sends a byte now and then is not waited for.
        """
        until = time.monotonic() + self._account.patience
        data = bytearray()
        try:
            while piece := found.raw.read1(_PIECE, decode_content=False):
                data += piece
                if len(data) > most:
                    raise Broken(f"more than the {most} bytes came that there may be")
                if time.monotonic() > until:
                    raise Broken("the body takes too long")
        except _BROKEN_OFF:
            raise Broken("the body did not arrive whole") from None
        finally:
            found.close()
        return bytes(data)


class _Pieces:
    """The body of an answer in pieces. The answer is let go of at its end, and by whoever lets go of these, who need
    not have begun: its connection cannot be used until then.
    """

    def __init__(self, found: requests.Response, size: int) -> None:
        self._found = found
        self._stream = found.raw.stream(_PIECE, decode_content=False)
        self._size = size
        self._come = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            piece: bytes = next(self._stream, b"")
        except _BROKEN_OFF:
            self._found.close()
            raise Broken("the body did not arrive whole") from None
        self._come += len(piece)
        if piece and self._come <= self._size:
            return piece
        self._found.close()
        if self._come > self._size:
            raise Broken(f"more than the {self._size} bytes came that were announced")
        if self._come < self._size:
            raise Broken(f"{self._come} bytes came of {self._size} that were announced")
        raise StopIteration

    def __del__(self) -> None:
        self._found.close()


class LargeObject:
    """One key that is being written in parts; see `Written`. Used by one thread; parts are sent by others."""

    def __init__(self, container: Container, key: str, part: int, ahead: int) -> None:
        self._container = container
        self._key = key
        self._size = part
        self._ahead = ahead
        self._buffer = bytearray()
        self._sent: list[tuple[str, int, Future[str]]] = []
        self._pool = ThreadPoolExecutor(ahead, "swift-part")

    def write(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        while view:
            taken = view[: self._size - len(self._buffer)]
            self._buffer += taken
            view = view[len(taken) :]
            if len(self._buffer) == self._size:
                self._send()

    def finish(self) -> None:
        try:
            if self._buffer:
                self._send()
            parts = [(name, sent.result(), size) for name, size, sent in self._sent]
        finally:
            # Whoever removes parts must not be overtaken by one that is sent again.
            self._pool.shutdown(cancel_futures=True)
        self._container.put_manifest(self._key, parts)

    def abort(self) -> None:
        self._buffer = bytearray()
        self._pool.shutdown(cancel_futures=True)
        sent = [name for name, _, one in self._sent if not one.cancelled()]
        self._sent = []
        self._container.remove(sent)

    def _send(self) -> None:
        """Send what was collected. Waits for a place among those that are under way, and raises what one has raised."""
        while True:
            under_way = [one for _, _, one in self._sent if not one.done()]
            if len(under_way) < self._ahead:
                break
            wait(under_way, return_when=FIRST_COMPLETED)
        for _, _, one in self._sent[-self._ahead - 1 :]:
            if one.done() and one.exception() is not None:
                one.result()
        data, self._buffer = bytes(self._buffer), bytearray()
        name = _part(self._key, len(self._sent))
        self._sent.append((name, len(data), self._pool.submit(self._container.put_part, name, data)))


def _part(key: str, number: int) -> str:
    return f"{key}/{number:05d}"


def _look(headers: Mapping[str, str], size: int) -> Look:
    return Look(size, headers.get("Content-Type"), headers.get(_META))


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
