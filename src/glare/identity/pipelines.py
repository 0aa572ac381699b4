"""The table of identity sources, for the composition root."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from glare.identity.base import Identity
from glare.identity.test_token import TestTokenIdentity
from glare.identity.token_file import TokenFile, TokenFileIdentity
from glare.identity.trusted_headers import Network, TrustedHeadersIdentity


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """`pipeline` is a key of `PIPELINES`; of the rest each pipeline takes what it needs."""

    pipeline: str
    allow_anonymous: bool
    token_file: Path
    trusted_peers: tuple[Network, ...] = ()
    trust_unix_socket: bool = False


def _token_file(settings: IdentitySettings) -> Identity:
    return TokenFileIdentity(TokenFile(settings.token_file), allow_anonymous=settings.allow_anonymous)


def _trusted_headers(settings: IdentitySettings) -> Identity:
    return TrustedHeadersIdentity(
        settings.trusted_peers,
        trust_unix_socket=settings.trust_unix_socket,
        allow_anonymous=settings.allow_anonymous,
    )


def _test_token(settings: IdentitySettings) -> Identity:
    return TestTokenIdentity(allow_anonymous=settings.allow_anonymous)


PIPELINES: Final[Mapping[str, Callable[[IdentitySettings], Identity]]] = MappingProxyType(
    {"token_file": _token_file, "trusted_headers": _trusted_headers, "test_token": _test_token}
)


def make_identity(settings: IdentitySettings) -> Identity:
    """The identity source that the settings choose. `settings.pipeline` must be a key of `PIPELINES`."""
    return PIPELINES[settings.pipeline](settings)
