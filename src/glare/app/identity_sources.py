"""The table of identity sources: name in ``[identity] pipeline``, and how settings and services become the source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from glare.app.oidc import oidc_source
from glare.identity.base import Source
from glare.identity.keystone.library import make, open_options
from glare.identity.keystone.memory import TokenMemory
from glare.identity.keystone.source import KeystoneSource
from glare.identity.test_token import TestTokenSource
from glare.identity.token_file import TokenFile, TokenFileSource
from glare.identity.tokens import Bounds, TokensSource
from glare.identity.trusted_headers import TrustedHeadersSource
from glare.operations.services import Services
from glare.operations.tokens.lookup import TokenLookup
from glare.settings import Settings


def _token_file(settings: Settings, _: Services) -> Source:
    return TokenFileSource(TokenFile(settings.identity.token_file))


def _tokens(settings: Settings, services: Services) -> Source:
    options = settings.tokens
    bounds = Bounds(options.look_every, options.remembered, options.unknown_per_network)
    return TokensSource(TokenLookup(services), bounds)


def _trusted_headers(settings: Settings, _: Services) -> Source:
    return TrustedHeadersSource(settings.identity.trusted_peers)


def _test_token(_: Settings, __: Services) -> Source:
    return TestTokenSource()


def _oidc(settings: Settings, services: Services) -> Source:
    return oidc_source(settings, services)


def _keystone(settings: Settings, _: Services) -> Source:
    middleware = make(open_options(settings.files, environment=settings.environment))
    return KeystoneSource(
        middleware, TokenMemory(settings.identity.token_memory), remembered=settings.identity.remembered_callers
    )


SOURCES: Final[Mapping[str, Callable[[Settings, Services], Source]]] = MappingProxyType(
    {
        "tokens": _tokens,
        "token_file": _token_file,
        "trusted_headers": _trusted_headers,
        "test_token": _test_token,
        "oidc": _oidc,
        "keystone": _keystone,
    }
)
"""An entry here, its name among the choices of `[identity] pipeline`, and the source is there."""
