"""The composition root: settings become services, services become the ASGI application or the background worker."""

from __future__ import annotations

from glare.app.application import create_application
from glare.app.rounds import run_fsck, run_move, run_scrubber, run_trial
from glare.app.services import bare_stores, build_services, close, open_stores, prepare
from glare.app.worker import Worker, run_worker

__all__ = (
    "Worker",
    "bare_stores",
    "build_services",
    "close",
    "create_application",
    "open_stores",
    "prepare",
    "run_fsck",
    "run_move",
    "run_scrubber",
    "run_trial",
    "run_worker",
)
