"""Where the keys of an issuer are, asked of the issuer itself (OpenID Connect Discovery 1.0)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from glare.identity.oidc.keys import KeysUnusable

MAX_DOCUMENT: Final = 1 << 20
"""Bytes of a discovery document, and of a JWK Set."""

_PLACE: Final = "/.well-known/openid-configuration"

Get = Callable[[str], bytes]
"""Gets a document of at most `MAX_DOCUMENT` bytes by its URL. Raises `GlareError`."""


class _Metadata(msgspec.Struct):
    issuer: str
    jwks_uri: str


def jwks_uri(issuer: str, get: Get) -> str:
    """The URL of the issuer's JWK Set. Raises `KeysUnusable`, and what `get` raises."""
    place = issuer.rstrip("/") + _PLACE
    try:
        found = msgspec.json.decode(get(place), type=_Metadata)
    except (msgspec.DecodeError, RecursionError) as error:
        raise KeysUnusable(f"the document at {place} is none of an issuer: {error}") from None
    if found.issuer != issuer:
        raise KeysUnusable(f"the document at {place} is that of the issuer {found.issuer[:200]!r}")
    return found.jwks_uri
