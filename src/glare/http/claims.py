"""The digests that clients send with their data, in whichever header. They are claims: each is compared with what is
measured.

Algorithms that Glare does not compute are no claims to it (RFC 9530, 5), and neither is what S3 clients send in the
place of a digest.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from typing import Final

from starlette.datastructures import Headers

from glare.domain.claims import Claims
from glare.errors import BadRequest

Claim = tuple[str, str]
"""The name of an algorithm (``sha256``, ``sha1``, ``md5``), and the digest in lower-case hex."""

_LENGTHS: Final = {"sha256": 32, "sha1": 20, "md5": 16}
_NAMES: Final = {
    **dict.fromkeys(("sha-256", "sha256", "id-sha-256"), "sha256"),
    **dict.fromkeys(("sha", "sha-1", "sha1", "id-sha"), "sha1"),
    "md5": "md5",
}
_FIELD_ITEM: Final = re.compile(r"\s*([a-z0-9*_.-]+)\s*=\s*:([A-Za-z0-9+/=]*):\s*")
_LIST_ITEM: Final = re.compile(r"\s*([A-Za-z0-9_.-]+)\s*=\s*([A-Za-z0-9+/=_-]+)\s*")
_HEX_SHA256: Final = re.compile(r"[0-9A-Fa-f]{64}")


def claims_of(headers: Headers) -> Claims:
    """All claims about the data of a request. Raises `BadRequest` for one that is malformed, and for two that
    contradict each other.
    """
    found: dict[str, tuple[str, str]] = {}
    for header, parse in _HEADERS.items():
        for value in headers.getlist(header):
            for name, digest in parse(header, value):
                known, said_by = found.setdefault(name, (digest, header))
                if known != digest:
                    raise BadRequest(
                        f"Header {header} claims the {name} {digest}, and header {said_by} another one, {known}; "
                        "send one of them."
                    )
    digests = {name: digest for name, (digest, _) in found.items()}
    return Claims(digests.get("md5"), digests.get("sha1"), digests.get("sha256"))


def _field(header: str, value: str) -> Iterator[Claim]:
    """A dictionary of byte sequences, as RFC 9530 has it."""
    for item in value.split(",") if value.strip() else ():
        matched = _FIELD_ITEM.fullmatch(item)
        if matched is None:
            raise BadRequest(f"Header {header} must look like 'sha-256=:<base64>:'; it is '{value[:200]}'.")
        name = _NAMES.get(matched[1])
        if name is not None:
            yield name, _from_base64(header, name, matched[2])


def _list(header: str, value: str) -> Iterator[Claim]:
    """Algorithms and digests, as RFC 3230 and some object stores have them. Names are of any case; many send hex where
    base64 is wanted.
    """
    for item in value.split(",") if value.strip() else ():
        matched = _LIST_ITEM.fullmatch(item)
        if matched is None:
            raise BadRequest(f"Header {header} must look like 'SHA-256=<base64>'; it is '{value[:200]}'.")
        name = _NAMES.get(matched[1].lower())
        if name is not None:
            yield name, _from_either(header, name, matched[2])


def _one(name: str) -> Callable[[str, str], Iterator[Claim]]:
    """One digest of a known algorithm, in hex or base64."""

    def parse(header: str, value: str) -> Iterator[Claim]:
        if value.strip():
            yield name, _from_either(header, name, value.strip())

    return parse


def _of_signature(_header: str, value: str) -> Iterator[Claim]:
    """What S3 clients sign: the digest of the data, or a word that says that they did not compute one."""
    if _HEX_SHA256.fullmatch(value.strip()):
        yield "sha256", value.strip().lower()


_HEADERS: Final[dict[str, Callable[[str, str], Iterator[Claim]]]] = {
    "repr-digest": _field,
    "content-digest": _field,
    "digest": _list,
    "content-md5": _one("md5"),
    "x-checksum-sha256": _one("sha256"),
    "x-checksum-sha1": _one("sha1"),
    "x-checksum-md5": _one("md5"),
    "x-openstack-glare-content-sha256": _one("sha256"),
    "x-openstack-glare-content-sha1": _one("sha1"),
    "x-amz-checksum-sha256": _one("sha256"),
    "x-amz-checksum-sha1": _one("sha1"),
    "x-amz-content-sha256": _of_signature,
    "x-goog-hash": _list,
}

DIGEST_HEADERS: Final = tuple(_HEADERS)
"""The headers that are read, in lower case."""


def _from_either(header: str, name: str, text: str) -> str:
    if len(text) == 2 * _LENGTHS[name] and re.fullmatch(r"[0-9A-Fa-f]+", text):
        return text.lower()
    return _from_base64(header, name, text)


def _from_base64(header: str, name: str, text: str) -> str:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _LENGTHS[name]:
        raise BadRequest(
            f"Header {header} must carry a {name} of {_LENGTHS[name]} bytes, and '{text[:200]}' is none; leave it "
            "out, or send the right one."
        )
    return raw.hex()
