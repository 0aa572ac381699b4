"""What must hold between options, and between options and the machine that the service starts on."""

from __future__ import annotations

import difflib
import os
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from glare.db.dialects.registry import DIALECTS
from glare.errors import GlareError
from glare.events.messaging import EXTRA, FORMATS, MessagingSink, installed
from glare.settings.errors import SettingsError
from glare.settings.issuers import load_issuers
from glare.settings.keystone import keystone_problem
from glare.settings.stores import stores_problem
from glare.settings.units import show_duration
from glare.settings.values import Settings


def check_relations(settings: Settings) -> None:
    """Refuse options that contradict each other. Raises SettingsError with the first rule that does not hold."""
    _check(RELATIONS, settings)


def check_machine(settings: Settings) -> None:
    """Refuse options that name what this machine does not have, or what this user may not use. Raises SettingsError.

    Asked where the service starts only: whoever lists types or prints a sample need not be able to read its private
    key.
    """
    _check(MACHINE, settings)


Rule = Callable[[Settings], str | None]
"""A rule that says what is wrong, with the remedy, in a sentence; None when it holds."""


def _check(rules: Sequence[Rule], settings: Settings) -> None:
    for rule in rules:
        problem = rule(settings)
        if problem is not None:
            raise SettingsError(problem)


def _page_limits(settings: Settings) -> str | None:
    lists = settings.lists
    if lists.default_api_limit <= lists.max_api_limit:
        return None
    return (
        f"[DEFAULT] default_api_limit is {lists.default_api_limit}, but it must not be above max_api_limit, "
        f"which is {lists.max_api_limit}; lower the one or raise the other."
    )


def _links(settings: Settings) -> str | None:
    links = settings.links
    if links.default_time <= links.longest_time:
        return None
    return (
        f"[links] default_time is {show_duration(links.default_time)}, but it must not be above longest_time, "
        f"which is {show_duration(links.longest_time)}; lower the one or raise the other."
    )


def _heartbeat(settings: Settings) -> str | None:
    uploads = settings.uploads
    if uploads.attempt_heartbeat * 2 < uploads.attempt_timeout:
        return None
    return (
        f"[uploads] attempt_heartbeat is {show_duration(uploads.attempt_heartbeat)}, but it must be below half of "
        f"attempt_timeout, which is {show_duration(uploads.attempt_timeout)}, so that one late heartbeat kills no "
        "upload; lower the one or raise the other."
    )


def _threads(settings: Settings) -> str | None:
    threads, lists, pool = settings.api.request_threads, settings.api.list_threads, settings.database.max_pool_size
    if threads + lists < pool:
        return None
    return (
        f"[api] request_threads is {threads} and list_threads is {lists}, but together they must be below [database] "
        f"max_pool_size, which is {pool}, because each thread needs a connection and so does the background work; "
        "lower the one or raise the other."
    )


def _database_times(settings: Settings) -> str | None:
    database = settings.database
    if database.pool_timeout < database.statement_timeout < database.answer_timeout:
        return None
    return (
        f"[database] pool_timeout is {show_duration(database.pool_timeout)}, statement_timeout is "
        f"{show_duration(database.statement_timeout)} and answer_timeout is {show_duration(database.answer_timeout)}, "
        "but each must be below the next, so that a lock is given up before the statement that waits for it, and that "
        "before the connection; change one of them."
    )


def _tls(settings: Settings) -> str | None:
    server = settings.server
    if server.cert_file is None and server.key_file is None:
        if server.ca_file is None:
            return None
        return (
            f"[DEFAULT] ca_file is {str(server.ca_file)!r}, but without TLS there is no client certificate; "
            "set cert_file and key_file."
        )
    if server.cert_file is None or server.key_file is None:
        given, missing = ("key_file", "cert_file") if server.cert_file is None else ("cert_file", "key_file")
        return (
            f"[DEFAULT] {given} is {str(getattr(server, given))!r}, but {missing} is unset; set both for TLS, or none."
        )
    return None


def _certificate(settings: Settings) -> str | None:
    server = settings.server
    if server.cert_file is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # A prompt for a password would block a service for ever, so an encrypted key fails here.
        context.load_cert_chain(server.cert_file, server.key_file, password=_no_password)
        if server.ca_file is not None:
            context.load_verify_locations(server.ca_file)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        return (
            f"[DEFAULT] cert_file {str(server.cert_file)!r} and key_file {str(server.key_file)!r}"
            f"{'' if server.ca_file is None else f' with ca_file {str(server.ca_file)!r}'} cannot be used ({reason}); "
            "name PEM files that exist and belong together, with a key that is not encrypted."
        )
    return None


def _no_password() -> str:
    raise ValueError("the key is encrypted")


def _pipeline(settings: Settings) -> str | None:
    flavor, pipeline = settings.paste_deploy.flavor, settings.identity.pipeline
    if flavor is None or pipeline in (("token_file", "tokens"), ("token_file",), settings.pipeline):
        return None
    return (
        f"[paste_deploy] flavor is {flavor!r}, but [identity] pipeline is {', '.join(pipeline)!r}, which is another "
        "one; "
        "remove flavor and keep [identity] pipeline."
    )


def _test_token(settings: Settings) -> str | None:
    if "test_token" not in settings.pipeline or len(settings.pipeline) == 1:
        return None
    return (
        f"[identity] pipeline is {', '.join(settings.pipeline)!r}, but test_token believes everybody, so that no other "
        "source would count; remove it."
    )


def _networks(settings: Settings) -> str | None:
    locations = settings.locations
    both = set(locations.allowed_networks) & set(locations.forbidden_networks)
    if not both:
        return None
    network = min(map(str, both))
    return f"[locations] allowed_networks holds {network}, but forbidden_networks does too; remove one of them."


def _database(settings: Settings) -> str | None:
    connection = settings.database.connection
    scheme = connection.partition(":")[0]
    if scheme.partition("+")[0] in DIALECTS:
        try:
            make_url(connection)
        except (ArgumentError, ValueError):
            return (
                "[database] connection is no URL of a database; write it as postgresql://USER:PASSWORD@HOST:PORT/NAME, "
                "with @, : and / in a password as %40, %3A and %2F."
            )
        return None
    if (meant := _meant_dialect(scheme.partition("+")[0])) is not None:
        return f"[database] connection is a {scheme[:40]} URL; did you mean {meant}://? Correct it."
    return (
        f"[database] connection is a {scheme} URL, but Glare works with {', '.join(DIALECTS)}; "
        "name one of those, or remove it for the default 'sqlite:///$state_dir/glare.sqlite'."
    )


def _meant_dialect(name: str) -> str | None:
    close = difflib.get_close_matches(name.lower(), [*_OTHER_NAMES, *DIALECTS], 1, 0.8)
    return _OTHER_NAMES.get(close[0], close[0]) if close else None


_OTHER_NAMES: Final = MappingProxyType(
    {"postgres": "postgresql", "psql": "postgresql", "pgsql": "postgresql", "sqlite3": "sqlite"}
)
"""What people call databases elsewhere."""


def _notifications(settings: Settings) -> str | None:
    driver, rabbit = settings.notifications.driver, settings.rabbit
    if driver not in FORMATS:
        return None
    if settings.bus is None:
        return (
            f"[oslo_messaging_notifications] driver is {driver!r}, but no message bus is named; "
            "set transport_url there or in [DEFAULT], or driver = noop."
        )
    scheme = settings.bus.url.partition(":")[0]
    if scheme != "rabbit":
        return (
            f"The transport_url of notifications is a URL of {scheme[:40]!r}, but Glare speaks to RabbitMQ; "
            "write it as rabbit://USER:PASSWORD@HOST:PORT/VHOST."
        )
    if rabbit.ssl and rabbit.ssl_ca_file is None:
        return (
            "[oslo_messaging_rabbit] ssl is true, but without ssl_ca_file the broker's certificate is not verified; "
            "name the file of its authorities."
        )
    return None


def _outbox(settings: Settings) -> str | None:
    outbox = settings.outbox
    if outbox.retry_delay <= outbox.max_retry_delay:
        return None
    return (
        f"[outbox] retry_delay is {show_duration(outbox.retry_delay)}, but it must not be above max_retry_delay, "
        f"which is {show_duration(outbox.max_retry_delay)}; lower the one or raise the other."
    )


def _bus(settings: Settings) -> str | None:
    bus = settings.bus
    if bus is None:
        return None
    if not installed():
        return (
            f"[oslo_messaging_notifications] driver is {bus.driver!r}, but oslo.messaging is not installed; "
            f"install '{EXTRA}'."
        )
    try:
        MessagingSink(bus).close()
    except GlareError as error:
        return error.message
    return None


def _policy_file(settings: Settings) -> str | None:
    path = settings.policy.policy_file
    if path is None or path.is_file():
        return None
    return (
        f"[oslo_policy] policy_file is {str(path)!r}, but there is no such file; "
        "correct it, or remove it for the default rules."
    )


def _issuers(settings: Settings) -> str | None:
    try:
        load_issuers(settings)
    except SettingsError as error:
        return str(error)
    return None


def _directories(settings: Settings) -> str | None:
    places = {
        "[DEFAULT] state_dir": settings.server.state_dir,
        "[glance_store] filesystem_store_datadir": settings.glance_store.filesystem_store_datadir,
    } | {f"[store:{name}] directory": one.directory for name, one in settings.stores.items() if one.directory}
    return next(filter(None, (_writable(title, path) for title, path in places.items())), None)


def _writable(title: str, path: Path) -> str | None:
    existing = path.absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        return f"{title} is {str(path)!r}, but {existing} is not a directory; name another one."
    if not os.access(existing, os.W_OK | os.X_OK):
        return (
            f"{title} is {str(path)!r}, but {existing} is not writable; "
            "name another one, or give the service's user the right."
        )
    return None


RELATIONS: Sequence[Rule] = (
    _page_limits,
    _links,
    _heartbeat,
    _threads,
    _database_times,
    _tls,
    stores_problem,
    _pipeline,
    _test_token,
    _networks,
    _database,
    _notifications,
    _outbox,
)
MACHINE: Sequence[Rule] = (_certificate, _policy_file, _directories, _bus, _issuers, keystone_problem)
