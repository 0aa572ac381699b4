"""Writing an object into a bucket: a small one by one request, a large one in parts, below keys of its writer's own,
and then a record that makes it visible.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Final

from glare.errors import Conflict, GlareError, StoreFailed
from glare.stores.objects.layout import BYTES_TYPE, RECORD_TYPE, SMALL, Keys, Plan, Record
from glare.stores.objects.remote import Exists, RemoteKeys, Written

AHEAD: Final = 2
"""Parts on their way while the next one is filled."""

_NOTED_SECONDS: Final = 600.0
"""How often a writer says that it is still there: far more often than the sweep would take it for dead."""


class ObjectWriter:
    """Collects a small object, and makes it at once; begins parts when it has become large.

    `conflict` makes the error for a name that is taken.
    """

    def __init__(
        self, bucket: RemoteKeys, keys: Keys, name: str, expected: int | None, conflict: Callable[[], Conflict]
    ) -> None:
        self._bucket = bucket
        self._keys = keys
        self._name = name
        self._conflict = conflict
        self._plan = Plan.of(expected, bucket.most_parts)
        self._writer = uuid.uuid4().hex
        self._small = bytearray()
        self._size = 0
        self._noted_at: float | None = None
        self._writing: Written | None = None
        self._ended = 0
        self._doubtful = False
        self._publishing = False

    def write(self, data: bytes) -> None:
        if self._noted_at is None:
            if len(self._small) + len(data) <= SMALL:
                self._small += data
                return
            self._say_so()
            small, self._small = self._small, bytearray()
            self._add(small)
            del small
        self._add(data)

    def commit(self) -> None:
        if self._noted_at is None:
            small, self._small = bytes(self._small), bytearray()
            self._publish(small, BYTES_TYPE)
            return
        if self._writing is not None:
            self._end_segment()
        record = Record(self._size, self._plan.segment, self._writer)
        self._publish(record.encode(), RECORD_TYPE)
        # Where this fails, the sweep finds that the note's writer has published.
        self._bucket.remove([self._note])

    def cancel(self) -> None:
        self._small = bytearray()
        if self._publishing:
            self._unpublish()
        if self._noted_at is None:
            return
        if self._writing is not None:
            self._abort()
        if self._doubtful:
            for upload in self._bucket.uploads.under(self._keys.written(self._name, self._writer)):
                self._bucket.uploads.abort(upload)
        if self._ended:
            self._bucket.remove([self._segment(number) for number in range(self._ended)])
        # The note goes last: as long as it is there, the sweep knows where to look.
        self._bucket.remove([self._note])

    @property
    def _note(self) -> str:
        return self._keys.note(self._name, self._writer)

    def _segment(self, number: int) -> str:
        return self._keys.segment(self._name, self._writer, number)

    def _say_so(self) -> None:
        self._bucket.note(self._note)
        self._noted_at = time.monotonic()

    def _add(self, data: bytes | bytearray) -> None:
        if self._noted_at is not None and time.monotonic() - self._noted_at > _NOTED_SECONDS:
            self._say_so()
        view = memoryview(data)
        while view:
            if self._writing is None:
                self._writing = self._bucket.begin(self._segment(self._ended), self._plan.part, AHEAD)
            piece = view[: self._plan.segment - self._size % self._plan.segment]
            self._pass_on(piece)
            self._size += len(piece)
            view = view[len(piece) :]
            if self._size % self._plan.segment == 0:
                self._end_segment()

    def _pass_on(self, piece: memoryview) -> None:
        assert self._writing is not None  # noqa: S101 - `_add` has begun it
        try:
            self._writing.write(piece)
        except GlareError:
            # Whether an upload has begun, or has parts, the library may not know.
            self._doubtful = True
            raise

    def _end_segment(self) -> None:
        """Make the key of the segment that is being written. What the store has of it then must be what it was given,
        also where its answer was lost.
        """
        writing, self._writing = self._writing, None
        assert writing is not None  # noqa: S101 - whoever ends a segment has begun it
        number, failed = self._ended, None
        self._ended += 1
        try:
            writing.finish()
        except GlareError as error:
            self._doubtful, failed = True, error
        look = self._bucket.look(self._segment(number))
        if look is None or look.size != self._size - number * self._plan.segment:
            raise failed or StoreFailed(
                "The store has other bytes than were written; nothing was stored. Retry, and tell its operator."
            )

    def _abort(self) -> None:
        writing, self._writing = self._writing, None
        if not self._bucket.uploads.aborted:
            self._doubtful = True
        try:
            if writing is not None:
                writing.abort()
        except GlareError:
            self._doubtful = True

    def _publish(self, data: bytes, content_type: str) -> None:
        try:
            self._publishing = True
            self._bucket.make(self._keys.object(self._name), data, content_type, self._writer)
        except Exists:
            self._publishing = False
            raise self._conflict() from None
        self._publishing = False

    def _unpublish(self) -> None:
        """Take back what may have been made by a request whose answer was lost."""
        key = self._keys.object(self._name)
        look = self._bucket.look(key)
        if look is not None and look.writer == self._writer:
            self._bucket.remove([key])
