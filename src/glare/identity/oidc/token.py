"""A signed token as text, taken apart with bounds and without believing any of it.

What a token says of where its key is to be found (``jku``, ``x5u``, ``jwk``, ``x5c``) is read by nothing here.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Never

MAX_TOKEN: Final = 16 << 10
"""Characters of a token. A longer one is not read."""
MAX_HEADER: Final = 8 << 10
"""Characters of a token's first part."""
MAX_DEPTH: Final = 16
"""Objects and lists in one another."""
MAX_KID: Final = 256
"""Characters of the name of a key."""

_TYPES: Final = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
_PARTS: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_ENCRYPTED: Final = re.compile(r"eyJ[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*){4}")


class Refused(Exception):
    """The token is not good. The message is a sentence for who sent it, without any part of a signature."""


@dataclass(frozen=True, slots=True)
class Unverified:
    """What a token claims to be. Nothing in it has been verified."""

    text: str
    algorithm: str
    kid: str | None
    issuer: str
    claims: Mapping[str, Any]


def issuer_of(text: str) -> str | None:
    """Who a token says it is from; None for what is no signed token, or says nothing of that.

    Raises `Refused` for an encrypted token and for one that is too long: nobody else reads these.
    """
    if text.startswith("eyJ") and text.count(".") >= 2:
        if len(text) > MAX_TOKEN:
            raise Refused(f"it has {len(text)} characters, and a token may have {MAX_TOKEN}")
        if _ENCRYPTED.fullmatch(text):
            raise Refused("it is encrypted (JWE); send a signed token (JWS)")
    if len(text) > MAX_TOKEN or not _PARTS.fullmatch(text):
        return None
    header, claims, _ = text.split(".")
    try:
        if not isinstance(_document("header", header).get("alg"), str):
            return None
        issuer = _document("payload", claims).get("iss")
    except Refused:
        return None
    return issuer if isinstance(issuer, str) else None


def take_apart(text: str) -> Unverified:
    """The parts of a token. Raises `Refused` for what can be no good one, whoever has signed it."""
    if len(text) > MAX_TOKEN:
        raise Refused(f"it has {len(text)} characters, and a token may have {MAX_TOKEN}")
    if _ENCRYPTED.fullmatch(text):
        raise Refused("it is encrypted (JWE); send a signed token (JWS)")
    if not _PARTS.fullmatch(text):
        raise Refused("it is not three parts in base64url with dots between them")
    header_part, claims_part, _ = text.split(".")
    if len(header_part) > MAX_HEADER:
        raise Refused(f"its header has {len(header_part)} characters, and may have {MAX_HEADER}")
    header, claims = _document("header", header_part), _document("payload", claims_part)
    if "crit" in header:
        raise Refused("its header marks extensions as critical ('crit'), and none is known here")
    if "b64" in header or "enc" in header or "zip" in header:
        raise Refused("its header asks for a payload that is unencoded, encrypted or compressed")
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise Refused(f"its type ('typ') is {_shown(kind)}; an access or id token is a 'JWT' or 'at+jwt'")
    if "cty" in header:
        raise Refused("it holds another token ('cty'); send that one")
    kid = header.get("kid")
    if kid is not None and (not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID or not kid.isprintable()):
        raise Refused(f"its key's name ('kid') must be a text of 1 to {MAX_KID} printable characters")
    algorithm, issuer = header.get("alg"), claims.get("iss")
    if not isinstance(algorithm, str) or not isinstance(issuer, str):
        raise Refused("it does not name its algorithm ('alg') and its issuer ('iss')")
    return Unverified(text, algorithm, kid, issuer, claims)


def _document(what: str, part: str) -> dict[str, Any]:
    """The JSON object of one part. Raises `Refused`."""
    raw = decoded(part)
    if raw is None:
        raise Refused(f"its {what} is not base64url")
    try:
        text = raw.decode("utf-8")
        _check_depth(what, text)
        document = json.loads(text, object_pairs_hook=_without_twins, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refused(f"its {what} is not JSON with each key once") from None
    if not isinstance(document, dict):
        raise Refused(f"its {what} is no JSON object")
    return document


def decoded(part: str) -> bytes | None:
    """The bytes of base64url without padding, in its one spelling; None for anything else."""
    try:
        raw = base64.b64decode(part + "=" * (-len(part) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.urlsafe_b64encode(raw).rstrip(b"=") == part.encode("ascii", "replace") else None


def _check_depth(what: str, text: str) -> None:
    """Before the parser sees it, which calls itself for each level."""
    depth = most = 0
    in_text = escaped = False
    for sign in text:
        if in_text:
            in_text = escaped or sign != '"'
            escaped = sign == "\\" and not escaped
        elif sign == '"':
            in_text = True
        elif sign in "{[":
            depth += 1
            most = max(most, depth)
        elif sign in "}]":
            depth -= 1
    if most > MAX_DEPTH:
        raise Refused(f"its {what} is nested {most} levels deep, and may be {MAX_DEPTH}")


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _no_constant(_: str) -> Never:
    raise ValueError  # NaN and infinities are no JSON.


def _shown(value: object) -> str:
    return repr(value)[:40] if isinstance(value, str) else "no text"
