"""`glare-server serve`: the service."""

from __future__ import annotations

import logging
import signal
import sys
from argparse import Namespace

from glare.cli.configuration import require_state, service_settings
from glare.cli.database import require_migrated
from glare.cli.init import set_up
from glare.cli.logs import announce, configure_logging
from glare.cli.metrics import metrics_of
from glare.cli.server import address_of, bind, run_server
from glare.identity.token_file import TokenFile
from glare.policy.engine import PolicyEngine
from glare.server.host import Program
from glare.settings import Settings, check_machine
from glare.settings.type_options import load_types

_FLAGS = {"bind_host": "bind_host", "bind_port": "bind_port", "workers": "workers"}
"""Arguments that stand for options of [DEFAULT]."""


def serve(args: Namespace) -> int:
    """`glare-server serve`."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    overrides = {
        ("DEFAULT", name): value for name, flag in _FLAGS.items() if (value := getattr(args, flag)) is not None
    }
    settings = service_settings(args, overrides)
    check_machine(settings)
    configure_logging(settings)
    if not args.quickstart:
        require_migrated(settings)
        require_state(settings)
    listener = bind(settings)
    # What each process would fail on, and fail again when it is started anew, is refused here with its one sentence.
    load_types(settings)
    PolicyEngine(settings.policy.policy_file, settings.policy.policy_default_rule)
    if "token_file" in settings.pipeline:
        TokenFile(settings.identity.token_file).list()
    if args.quickstart:
        from glare.cli.quickstart import welcome_when_ready
        from glare.cli.tokens import quickstart_token

        set_up(settings)
        welcome_when_ready(settings, quickstart_token(settings), args.config_file)
    else:
        from glare.app import open_stores

        open_stores(settings, patient=True)
        announce(settings, f"serving on {address_of(settings).url}; Ctrl-C stops it.")
    code = run_server(settings, listener, create_application, with_worker=not args.no_worker)
    if code:
        announce(settings, "the service stopped, because its processes failed; the log above says why.", logging.ERROR)
    return code


def create_application(settings: Settings, with_worker: bool) -> Program:
    """What a server process serves."""
    configure_logging(settings)
    metrics = metrics_of(settings)
    from glare.app import build_services
    from glare.app import create_application as create
    from glare.http.drain import Drain

    drain = Drain(settings.server.shutdown_timeout, settings.server.shutdown_lead_time)
    services = build_services(settings, metrics=metrics)
    application = create(settings, with_worker=with_worker, services=services, drain=drain)
    return Program(application, drain.run, metrics)
