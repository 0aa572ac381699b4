"""The identity source `oidc`, made of the settings: issuers, how their keys are fetched, and where publishers are."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from glare.db.callers import publishers as publisher_rows
from glare.domain.publisher import Publisher
from glare.egress.client import EgressClient
from glare.egress.settings import EgressSettings
from glare.errors import OriginFailed
from glare.identity.base import MAX_PROJECT
from glare.identity.oidc.discovery import MAX_DOCUMENT, jwks_uri
from glare.identity.oidc.issuers import Issuer, Reach
from glare.identity.oidc.keys import Keys, KeysUnusable, Rhythm
from glare.identity.oidc.source import OidcSource, Times
from glare.identity.oidc.verifier import Verifier
from glare.operations.services import Services
from glare.settings import Settings


def oidc_source(settings: Settings, services: Services) -> OidcSource:
    """The source with the issuers that the settings name."""
    issuers = services.issuers
    options = settings.oidc
    rhythm = Rhythm(
        interval=options.key_interval,
        fresh=options.key_refresh,
        most_age=options.key_lifetime,
        patience=3 * options.timeout,
    )
    keys = {issuer.name: Keys(issuer.name, fetch_of(settings, issuer), rhythm) for issuer in issuers}

    times = Times(options.remembered_tokens, options.remembered_time, options.publisher_time)
    return OidcSource(issuers, Verifier(keys, leeway=options.leeway), _Publishers(services), times)


class _Publishers:
    """The registry of publishers in the database."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def of_anchors(self, anchors: Sequence[str], project: str | None) -> Sequence[Publisher]:
        if project is not None and ("\0" in project or len(project) > MAX_PROJECT):
            return ()  # No project is called like this, and databases refuse to compare with it.
        with self._services.db.look() as connection:
            return publisher_rows.of_anchors(connection, anchors, project)

    def find(self, publisher_id: str) -> Publisher | None:
        with self._services.db.look() as connection:
            return publisher_rows.find(connection, publisher_id)


def fetch_of(settings: Settings, issuer: Issuer) -> Callable[[], bytes]:
    """What fetches the issuer's keys: from a file, or through a guarded client of its own."""
    reach = issuer.reach
    if reach.jwks_file is not None:
        return partial(_read, reach.jwks_file)
    tls = ssl.create_default_context(cafile=reach.ca_file)
    client = EgressClient(issuer_egress(settings, reach), tls=tls)

    def fetch() -> bytes:
        return _get(client, reach.jwks_uri or jwks_uri(issuer.url, partial(_get, client)))

    return fetch


def issuer_egress(settings: Settings, reach: Reach) -> EgressSettings:
    """What the guarded client of one issuer is built with.

    The operator has named the issuer, so its addresses are not those that users may name: open are global addresses and
    the issuer's networks; what ``[locations]`` opens or closes has no say. An issuer inside is asked without the egress
    proxy. Redirects are not followed.
    """
    seconds = settings.oidc.timeout
    return replace(
        settings.egress,
        schemes=frozenset({"https", "http"} if reach.allow_http else {"https"}),
        ports=reach.ports,
        ports_option="'ports' of the issuer",
        opened_networks=reach.networks,
        forbidden_networks=(),
        forbidden_hosts=frozenset(),
        proxy=None if reach.networks else settings.egress.proxy,
        header_seconds=seconds,
        connect_seconds=seconds,
        answer_seconds=seconds,
        body_seconds=seconds,
        max_redirects=0,
        refusal_floor_seconds=0.0,
        trace_headers=frozenset(),
    )


def _get(client: EgressClient, text: str) -> bytes:
    """A document. Raises `GlareError`."""
    with client.open(client.parse(text)) as response:
        parts: list[bytes] = []
        size = 0
        while data := response.read(64 << 10):
            parts.append(data)
            size += len(data)
            if size > MAX_DOCUMENT:
                raise OriginFailed(
                    f"The document has more than {MAX_DOCUMENT} bytes.", reason=f"more than {MAX_DOCUMENT} bytes"
                )
    return b"".join(parts)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_DOCUMENT)
    except OSError as error:
        raise KeysUnusable(f"the file {path} cannot be read ({error.strerror})") from None
