"""Spans: the steps of a piece of work, for those who follow requests through several services.

The parts of the service name their steps to a `Tracer`, and know nothing of where that goes, as with `glare.metrics`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from enum import Enum
from typing import Final

Attributes = Mapping[str, str | int | bool]
NONE: Final[Attributes] = {}


class Kind(Enum):
    """Where a step begins: within the service, by a request that came, by a request that it sends."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"


class Span:
    """A step under way. This one nobody keeps: what would be said of it need not be put together."""

    kept = False

    def name(self, text: str) -> None:
        """Call it something else than at its beginning."""

    def note(self, attributes: Attributes) -> None:
        """Say more of it. Values come from the service and from small sets: no name, URL or secret of a caller."""

    def fail(self, code: str) -> None:
        """It ended with this error."""


_NOBODY: Final[AbstractContextManager[Span]] = nullcontext(Span())


class Tracer:
    """Takes steps, and keeps none of them: what a service has whose traces are off."""

    def span(
        self, name: str, attributes: Attributes = NONE, kind: Kind = Kind.INTERNAL
    ) -> AbstractContextManager[Span]:
        """Let the block be a step of the work at hand. What it raises is told as its error, by its code."""
        return _NOBODY

    def close(self) -> None:
        """Send what was not sent yet."""
