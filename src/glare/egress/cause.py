"""Which request of ours an outbound one is sent for: only the log asks, so no operation hands it on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_REQUEST_ID: Final[ContextVar[str | None]] = ContextVar("request_id", default=None)


@contextmanager
def caused_by(request_id: str) -> Iterator[None]:
    """What this thread asks of origins meanwhile is logged with this request id."""
    before = _REQUEST_ID.set(request_id)
    try:
        yield
    finally:
        _REQUEST_ID.reset(before)


def cause() -> str | None:
    """The id of the request that this thread works for; None in the background."""
    return _REQUEST_ID.get()
