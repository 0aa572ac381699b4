"""`glare-server init`: what the configuration names, and is not there yet."""

from __future__ import annotations

from argparse import Namespace

from glare.cli.configuration import make_directories, read_settings, say
from glare.cli.database import explained, redacted
from glare.cli.logs import configure_logging
from glare.db import migrate
from glare.identity.token_file import TokenFile
from glare.settings import Settings, check_machine


def init(args: Namespace) -> int:
    """`glare-server init`."""
    settings = read_settings(args)
    check_machine(settings)
    configure_logging(settings)
    set_up(settings)
    say(f"the directory of state is {settings.server.state_dir}.")
    say(f"the database is {redacted(settings)}, at the revision of this version.")
    say(f"the key file is {settings.subscriptions.secret_key_file}; every other node needs a copy of it.")
    if settings.keeps_tokens_in_file:
        say(f"the token file is {settings.identity.token_file}; `glare-server token create` makes a token.")
    elif "tokens" in settings.pipeline:
        say("tokens are in the database; `glare-server token create` makes one.")
    return 0


def set_up(settings: Settings) -> None:
    """Make what is missing; what is there stays as it is, but for the tables, which become those of this version."""
    make_directories(settings)
    with explained(settings):
        migrate.upgrade(settings.database.connection)
    if settings.keeps_tokens_in_file:
        TokenFile(settings.identity.token_file).make()
    from glare.app import prepare

    prepare(settings)
