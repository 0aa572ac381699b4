"""Points in time: microseconds since the epoch inside, whole seconds of UTC on the wire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

SECOND: Final = 1_000_000
"""Microseconds."""

MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def text(micros: int) -> str:
    """``YYYY-MM-DDTHH:MM:SSZ`` of a number of microseconds since the epoch."""
    return datetime.fromtimestamp(micros // SECOND, UTC).isoformat()[:19] + "Z"


def read(text: str) -> int:
    """Microseconds since the epoch of an ISO-8601 text.

    A date alone is its first instant; a time without an offset is UTC. Raises `ValueError`, also for a time that
    its offset moves out of the calendar.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND
