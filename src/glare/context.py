"""Which request is being worked on, wherever its work happens: on the event loop or in a worker thread.

The request id and the trace are for telling only (logs, the audit log, receivers): nothing is decided by it. The party
is whose turn it is where work waits in line (`glare.shares`). Whoever hands work of a request to another thread hands
the context over too, as `glare.http.call` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from glare.shares import SERVICE, Party
from glare.trace import Trace

REQUEST_ID: Final[ContextVar[str | None]] = ContextVar("glare_request_id", default=None)
"""The id as clients see it (``req-…``); None outside of a request, as in background work."""

TRACE: Final[ContextVar[Trace | None]] = ContextVar("glare_trace", default=None)
"""The trace that the caller has named, or that of the event or job that is worked on; None where there is none."""

PARTY: Final[ContextVar[Party]] = ContextVar("glare_party", default=SERVICE)
"""Whom the work belongs to: the caller of a request, the project of a job, else the service itself."""


def trace_of(project: str | None) -> str | None:
    """The trace at hand as a text to be kept with what belongs to `project`; None where there is none, or it is
    somebody else's.
    """
    trace = TRACE.get()
    return trace.text if trace is not None and project is not None and trace.project == project else None


@contextmanager
def part_of(trace: Trace | None) -> Iterator[None]:
    """Let the block be part of a trace."""
    token = TRACE.set(trace)
    try:
        yield
    finally:
        TRACE.reset(token)


@contextmanager
def on_behalf_of(project: str | None) -> Iterator[None]:
    """Let the block be the work of a project, or of the service where it is nobody's."""
    token = PARTY.set(Party.project(project) if project else SERVICE)
    try:
        yield
    finally:
        PARTY.reset(token)
