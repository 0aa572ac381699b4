"""Bytes that are stored and not yet published, for hooks that look into them."""

from __future__ import annotations

from dataclasses import dataclass

from glare.errors import NotFound
from glare.operations.services import Services
from glare.operations.slots import attempts
from glare.stores.base import Reader as StoreReader


@dataclass(frozen=True, slots=True)
class StagedData:
    """A reservation's staged object to read ranges of, as hooks see it. `size` in bytes."""

    services: Services
    reservation: attempts.Reservation
    size: int

    def open(self, offset: int, length: int) -> StoreReader:
        staged = self.reservation.object
        try:
            return self.services.stores[staged.store].open(staged.object, offset, length)
        except NotFound:
            # The sweep takes the object of an attempt that it has found dead.
            raise attempts.lost(self.reservation) from None
