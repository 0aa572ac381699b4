"""One object of a store, read in blocks that are compared with what was recorded of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from glare.digest import BLOCK, block_count
from glare.domain.blob import Managed
from glare.errors import BlobDamaged
from glare.operations import damage
from glare.operations.reading.block_digests import BlockDigests, NoBlockDigests

if TYPE_CHECKING:
    from glare.operations.services import Services
    from glare.stores.base import Reader

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Recorded:
    """What an object should be: the content with these `digests`, of `size` bytes. It is read up to the block `last`.

    `path` names the blob for people.
    """

    size: int
    last: int
    path: str
    digests: BlockDigests

    @property
    def end(self) -> int:
        return min(self.size, (self.last + 1) * BLOCK)


def _at_once(_size: int) -> None:
    """The pace of who need not wait."""


class CheckedObject:
    """An object that should be what was recorded. Its reader is opened where it is needed, and goes on from block to
    block.

    `pace` is called with the size of each piece that was read, and may wait. Of what comes from a `trusted` store only
    the length is compared.
    """

    def __init__(
        self,
        services: Services,
        location: Managed,
        recorded: Recorded,
        pace: Callable[[int], None] = _at_once,
        *,
        trusted: bool = False,
    ) -> None:
        self.location = location
        self._services = services
        self._recorded = recorded
        self._pace = pace
        self._trusted = trusted
        self._reader: Reader | None = None
        self._next = 0

    def size(self) -> int:
        """The bytes that the store has of it. Raises like `block`."""
        return self._carefully(lambda: self._services.store_with(self.location).size(self.location.object))

    def block(self, number: int) -> bytes:
        """The checked block.

        Raises `Doubtful` where it is not what was recorded of it, also when it is read again; `BlobDamaged` where that
        proves that the object is wrong; `Unreadable` where it alone cannot be read, and `NotFound`, `Unavailable` and
        other errors of the store.
        """
        data = self._carefully(lambda: self._read(number))
        if self._fits(number, data):
            return data
        # Once more, from the store: what went wrong on its way through memory is no damage.
        self.close()
        data = self._carefully(lambda: self._read(number))
        if self._fits(number, data):
            return data
        if self._recorded.size <= BLOCK:
            raise damage.not_as_recorded(self._recorded.path)
        raise damage.doubtful(self._recorded.path)

    def settled(self, number: int) -> bytes:
        """The block that was `Doubtful`, where the object is right as a whole and the record of its blocks was wrong.
        Raises like `prove`.
        """
        self.close()
        self.prove()
        return self.block(number)

    def prove(self) -> None:
        """Read the whole object, and record its blocks' digests. Raises `BlobDamaged` where its sha256 is not the
        recorded one, and else like `block`.

        Where nothing is known of the blocks, or what is known contradicts them, nothing less says what is right.
        """
        self._recorded.digests.record(self._carefully(self._proven))

    def _proven(self) -> bytes:
        """The digests of the blocks of an object that is right."""
        whole, blocks = hashlib.sha256(), bytearray()
        with self._services.store_with(self.location).open(self.location.object) as reader:
            for _ in range(block_count(self._recorded.size)):
                data = _whole_block(reader, BLOCK)
                whole.update(data)
                blocks += hashlib.sha256(data).digest()
                self._pace(len(data))
        if not self._recorded.digests.are_of(whole.hexdigest(), reader.size):
            raise damage.not_as_recorded(self._recorded.path)
        return bytes(blocks)

    def _carefully(self, read: Callable[[], T]) -> T:
        return damage.read_again(self._services, self.location, self._recorded.path, read, self.close)

    def close(self) -> None:
        """Let go of the reader."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _fits(self, number: int, data: bytes) -> bool:
        if self._trusted:
            return len(data) == min(BLOCK, self._recorded.size - number * BLOCK)
        try:
            return self._recorded.digests.fit(number, data)
        except NoBlockDigests:
            self.prove()
            return self._recorded.digests.fit(number, data)

    def _read(self, number: int) -> bytes:
        start = number * BLOCK
        if self._reader is None or self._next != number:
            self.close()
            self._reader = self._open(start)
        data = _whole_block(self._reader, min(BLOCK, self._recorded.size - start))
        self._next = number + 1
        self._pace(len(data))
        return data

    def _open(self, start: int) -> Reader:
        store = self._services.store_with(self.location)
        recorded = self._recorded
        # One block is read whole before anything is answered, so its digest says enough.
        if recorded.size > BLOCK and (size := store.size(self.location.object)) != recorded.size:
            raise BlobDamaged(
                f"The stored bytes of blob '{recorded.path}' are {size}, but {recorded.size} were recorded, and are "
                "not sent; tell its operator, who may have a copy of them."
            )
        return store.open(self.location.object, start, recorded.end - start)


def _whole_block(reader: Reader, size: int) -> bytes:
    data = reader.read(size)
    while len(data) < size and (more := reader.read(size - len(data))):
        data += more
    return data
