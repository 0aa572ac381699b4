"""`glare-server db`: the database's tables."""

from __future__ import annotations

import getpass
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import make_url

from glare.cli.configuration import REMEDY, read_settings, say
from glare.cli.logs import configure_logging
from glare.db import migrate
from glare.db.dialects.refusals import why_unreachable
from glare.domain.actor import COMMAND, Actor
from glare.errors import GlareError, Unavailable
from glare.operations.services import Services
from glare.settings import Settings, check_machine


def upgrade(args: Namespace) -> int:
    """`glare-server db upgrade`."""
    settings = read_settings(args)
    _require_file(settings)
    with explained(settings):
        migrate.upgrade(settings.database.connection, args.revision)
    say(f"the database {redacted(settings)} is at revision {migrate.check(settings.database.connection).current}.")
    return 0


def downgrade(args: Namespace) -> int:
    """`glare-server db downgrade`."""
    settings = read_settings(args)
    if not args.yes:
        raise GlareError(
            f"Going back to revision {args.revision} loses what later revisions stored in {redacted(settings)}; "
            "make a copy of the database, then add --yes."
        )
    _require_file(settings)
    with explained(settings):
        migrate.downgrade(settings.database.connection, args.revision)
    say(f"the database {redacted(settings)} is at revision {args.revision}.")
    return 0


def check(args: Namespace) -> int:
    """`glare-server db check`."""
    settings = read_settings(args)
    require_migrated(settings)
    say(f"the database {redacted(settings)} fits this version.")
    return 0


def require_migrated(settings: Settings) -> None:
    """Refuse a database that this version cannot work on."""
    _require_file(settings)
    with explained(settings):
        report = migrate.check(settings.database.connection)
    if report.ready:
        return
    if report.current != report.head:
        at = f"is at revision {report.current}" if report.current else "has no tables yet"
        raise Unavailable(
            f"The database {redacted(settings)} {at}, and this version needs revision {report.head}; run `glare-server "
            "db upgrade`."
        )
    raise Unavailable(
        f"The database {redacted(settings)} is at the right revision, but its tables differ from what this version "
        f"made: {'; '.join(report.differences)}. Undo the change that was made by hand, or restore a copy."
    )


@contextmanager
def explained(settings: Settings) -> Iterator[None]:
    """Say why a server cannot be reached: clients of the API need not know, and who starts the service must."""
    try:
        yield
    except Exception as error:
        sentence = why_unreachable(settings.database.connection, error)
        if sentence is None:
            raise
        raise Unavailable(sentence) from error


def redacted(settings: Settings) -> str:
    """The database's URL without its password."""
    return make_url(settings.database.connection).render_as_string(hide_password=True)


def _require_file(settings: Settings) -> None:
    """SQLite makes the file that it does not find; a check must not."""
    url = make_url(settings.database.connection)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise Unavailable(f"The database {redacted(settings)} does not exist; {REMEDY}.")


@contextmanager
def opened(settings: Settings) -> Iterator[Services]:
    """The services of these settings, on a database of this version."""
    require_migrated(settings)
    from glare.app import build_services, close

    services = build_services(settings)
    try:
        yield services
    finally:
        close(services)


@contextmanager
def services_of(args: Namespace) -> Iterator[Services]:
    """The services that a command works with, on a database of this version."""
    settings = read_settings(args)
    check_machine(settings)
    configure_logging(settings)
    with opened(settings) as services:
        yield services


def somebody() -> Actor:
    """Whoever runs this command."""
    return Actor(getpass.getuser(), None, frozenset(), source=COMMAND)
