"""A clock that stands still until a test moves it."""

from __future__ import annotations

from glare.domain import moment
from support.service import Glare


class Clock:
    """Set into a running service it gives the time that the service goes by."""

    def __init__(self, glare: Glare, time: str = "2030-01-01T00:00:00Z") -> None:
        self.micros = moment.read(time)
        object.__setattr__(
            glare.services, "clock", lambda: self.micros
        )  # The services are frozen, as nobody else may do this.

    def forward(self, seconds: float) -> None:
        """Later."""
        self.micros += int(seconds * 1_000_000)
