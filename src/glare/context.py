"""Which request is being worked on, wherever its work happens: on the event loop or in a worker thread.

The request id is for telling only (logs, the audit log): nothing is decided by it. The party is whose turn it is where work waits
in line (`glare.shares`). Whoever hands work of a request to another thread hands
the context over too, as `glare.http.call` does.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

from glare.shares import SERVICE, Party

REQUEST_ID: Final[ContextVar[str | None]] = ContextVar("glare_request_id", default=None)
"""The id as clients see it (``req-…``); None outside of a request, as in background work."""

PARTY: Final[ContextVar[Party]] = ContextVar("glare_party", default=SERVICE)
"""Whom the work belongs to: the caller of a request, the project of a job, else the service itself."""
