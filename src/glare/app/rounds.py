"""Work that a command does in its own thread, and then ends."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from glare.app.services import build_services, close
from glare.errors import GlareError
from glare.operations.upkeep import fsck, move
from glare.operations.upkeep.sweep import Scrubbed, scrub
from glare.operations.upkeep.try_store import Step, try_store
from glare.settings import Settings

_log = logging.getLogger(__name__)


def run_scrubber(settings: Settings, stop: threading.Event, report: Callable[[Scrubbed], None], *, once: bool) -> None:
    """Finish deletions in this thread, once or every `wakeup_time` until `stop` is set; each round is reported.

    Once is at somebody's wish, so what an earlier round has postponed is tried again.
    """
    services = build_services(settings)
    try:
        while not stop.is_set():
            try:
                report(scrub(services, retry=once))
            except GlareError:
                if once:
                    raise
                _log.exception("deletions are left to the next round")
            if once:
                return
            stop.wait(settings.scrubber.wakeup_time)
    finally:
        close(services)


def run_move(
    settings: Settings,
    wish: move.Wish,
    stop: threading.Event,
    found: Callable[[move.Finding], None],
    progress: Callable[[move.Progress], None],
) -> move.Summary:
    """Move blobs from one store to another, in this thread and its helpers."""
    services = build_services(settings)
    try:
        pace = move.Pace(settings.moving.rate, settings.moving.parallel)
        return move.Move(services, wish, pace, found, progress, stop).run()
    finally:
        close(services)


def run_trial(settings: Settings, name: str) -> list[Step]:
    """Try whether a store does what it must do."""
    services = build_services(settings)
    try:
        return try_store(services, name)
    finally:
        close(services)


def run_fsck(
    settings: Settings,
    stop: threading.Event,
    options: fsck.Options,
    stores: Sequence[str],
    found: Callable[[fsck.Finding], None],
    progress: Callable[[fsck.Progress], None],
) -> fsck.Summary:
    """Check stored bytes in this thread: of `stores`, or of all where none is named."""
    services = build_services(settings)
    try:
        return fsck.Check(services, options, found, progress, stop).run(stores or list(services.stores))
    finally:
        close(services)
