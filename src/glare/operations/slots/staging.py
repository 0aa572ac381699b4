"""Bytes on their way into a store: durable once they are staged, and visible to nobody before they are published."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from glare.digest import BLOCK, Content, HashingPass
from glare.domain.blob import Managed
from glare.domain.declared.hooks import Reader
from glare.errors import NotFound
from glare.operations.services import Services
from glare.operations.slots import attempts
from glare.stores.base import Reader as StoreReader


@dataclass(frozen=True, slots=True)
class Stored:
    """What was staged for one slot."""

    reservation: attempts.Reservation
    content: Content
    content_type: str

    @property
    def filling(self) -> attempts.Filling:
        """What is published of it."""
        return attempts.Filling(self.content, staged_of(self.reservation), self.content_type)


def stage(
    services: Services,
    reservation: attempts.Reservation,
    source: Reader,
    *,
    expected: int | None,
    check: Callable[[Content], None] = lambda content: None,
) -> Content:
    """Store what `source` gives as the reservation's object; `expected` is its size in bytes where it is announced.

    Quota is reserved as the data grows. `check` may refuse what was measured. Raises `RequestEntityTooLarge` beyond the
    reservation's limit, `StoreFull`, and what `source` and `check` raise; nothing is left of the object then.
    """
    staged = staged_of(reservation)
    measured = HashingPass(services.hashing, reservation.limit, reservation.over)
    with services.stores[staged.store].create(staged.object, expected_size=expected) as writer:
        while data := source.read(BLOCK):
            measured.update(data)
            attempts.grow(services, reservation, measured.size)
            writer.write(data)
        content = measured.finish()
        check(content)
        writer.commit()
    return content


def staged_of(reservation: attempts.Reservation) -> Managed:
    """Where the reservation's bytes go."""
    if reservation.staged is None:
        raise AssertionError("an upload always goes to a store")
    return reservation.staged


@dataclass(frozen=True, slots=True)
class StagedData:
    """A reservation's staged object to read ranges of, as hooks see it. `size` in bytes."""

    services: Services
    reservation: attempts.Reservation
    size: int

    def open(self, offset: int, length: int) -> StoreReader:
        staged = staged_of(self.reservation)
        try:
            return self.services.stores[staged.store].open(staged.object, offset, length)
        except NotFound:
            # The sweep takes the object of an attempt that it has found dead.
            raise attempts.lost(self.reservation) from None
