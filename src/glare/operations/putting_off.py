"""Background work that ends with an error which is no outcome of it: it is reported, and waits, so that the work behind
it has its turn.

Whatever is wrong, with a server, a row or this program, it comes back each time the same work is tried. What is tried
must therefore never stay first in its line: every loop puts off what raises, for longer each time, and goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import Connection

from glare.operations.services import Services

_log = logging.getLogger(__name__)

CHECK: Final = "check"
JOB: Final = "job"
MESSAGE: Final = "message"
FAN_OUT: Final = "fan_out"
NOTIFICATION: Final = "notification"
PROMOTION: Final = "promotion"
SWEEP: Final = "sweep"
PATROL: Final = "patrol"
"""Kinds of work, as the metric has them."""

_DOUBLINGS: Final = 32


def wait(first: int, most: int, times: int) -> int:
    """How long work waits that was put off so many times in a row: `first` microseconds, doubled with each further time
    up to `most`.
    """
    return int(min(first << min(max(times - 1, 0), _DOUBLINGS), most))


def report(services: Services, work: str, error: Exception, **names: Any) -> None:
    """Tell operators, in the log and in a metric, of an `error` that work has ended with. `names` say which one it
    was.
    """
    services.metrics.work_put_off(work)
    _log.error("%s put off", work, exc_info=error, extra={"work": work, **names})


def put_off(
    services: Services, work: str, error: Exception, later: Callable[[Connection], object], **names: Any
) -> None:
    """Tell of it, and let it wait as `later` says, in a transaction. Raises what the database does: then nothing can go
    on anyway.
    """
    report(services, work, error, **names)
    services.db.transact(later)
