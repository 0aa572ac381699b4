"""`glare-server scrub`: deletions that were delayed, finished now."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from glare.cli.configuration import read_settings
from glare.cli.database import require_migrated
from glare.cli.logs import announce, configure_logging
from glare.cli.stopping import stopped_by_signals
from glare.domain.wording import counted
from glare.settings import check_machine

if TYPE_CHECKING:
    from glare.operations.upkeep.sweep import Scrubbed


def scrub(args: Namespace) -> int:
    """`glare-server scrub`. 1 where something that is due is still there, because it could not be removed."""
    settings = read_settings(args)
    check_machine(settings)
    configure_logging(settings)
    require_migrated(settings)
    from glare.app import open_stores, run_scrubber

    open_stores(settings)
    daemon = args.daemon or settings.scrubber.daemon
    left = 0

    def report(done: Scrubbed) -> None:
        nonlocal left
        left = done.failed + done.waiting
        if done.artifacts or left or not daemon:
            announce(settings, _sentence(done))

    stop = stopped_by_signals()
    if daemon:
        announce(settings, "finishing deletions as they become due; Ctrl-C stops it.")
    run_scrubber(settings, stop, report, once=not daemon)
    return 1 if left and not daemon else 0


def _sentence(done: Scrubbed) -> str:
    said = f"{counted(done.artifacts, 'deleted artifact')} removed"
    left = [counted(number, name) for number, name in ((done.failed, "artifact"), (done.waiting, "object")) if number]
    return f"{said}; {' and '.join(left)} could not be removed yet, the log says why." if left else f"{said}."
