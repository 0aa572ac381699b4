"""`glare-server worker`: the background work in a process of its own."""

from __future__ import annotations

from argparse import Namespace

from glare.cli.configuration import require_state, service_settings
from glare.cli.database import require_migrated
from glare.cli.logs import announce, configure_logging
from glare.cli.metrics import metrics_of
from glare.cli.stopping import stopped_by_signals
from glare.settings import check_machine


def worker(args: Namespace) -> int:
    """`glare-server worker`. The first signal ends it once the jobs under way are done, the second at once."""
    settings = service_settings(args)
    check_machine(settings)
    configure_logging(settings)
    require_migrated(settings)
    require_state(settings)
    metrics = metrics_of(settings)
    from glare.app import open_stores, run_worker

    open_stores(settings, patient=True)
    stop = stopped_by_signals()
    announce(settings, "doing the background work; Ctrl-C stops it.")
    run_worker(settings, stop, metrics)
    return 0
