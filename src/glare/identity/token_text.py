"""The text of API tokens: a prefix that scanners for leaked secrets know, a version, 256 random bits, and a checksum.

The checksum tells a token from a text that only looks like one, so that a scanner finds no false ones and a mistyped
one costs no look-up. It is no secret: what protects a token are its random bits. Older versions made tokens without
version and checksum, which stay valid.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib
from typing import Final

PREFIX: Final = "glare_"
"""How every token begins."""

REMEDY: Final = "Send a token in the X-Auth-Token header; its operator makes one with: glare-server token create."
"""What somebody is told whose request has none that counts. It is the same wherever tokens are kept."""

PATTERN: Final = r"\bglare_1[0-9A-Za-z]{49}\b"
"""The regular expression for scanners. The last six characters are the CRC-32 of all before them in base 62."""

_VERSION: Final = "1"
_RANDOM_LENGTH: Final = 43
_CHECKSUM_LENGTH: Final = 6
_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_FORM: Final = re.compile(rf"{PREFIX}{_VERSION}[0-9A-Za-z]{{{_RANDOM_LENGTH + _CHECKSUM_LENGTH}}}")
_OLDER_FORM: Final = re.compile(rf"{PREFIX}[\w-]{{43}}", re.ASCII)


def new_token() -> str:
    """The text of a new token."""
    body = PREFIX + _VERSION + _base62(secrets.randbits(256), _RANDOM_LENGTH)
    return body + _checksum(body)


def is_token(text: str) -> bool:
    """Whether this has the form of a token, this version's or an older one's, and the right checksum."""
    if _FORM.fullmatch(text):
        return text[-_CHECKSUM_LENGTH:] == _checksum(text[:-_CHECKSUM_LENGTH])
    return _OLDER_FORM.fullmatch(text) is not None


def digest_of(token: str) -> str:
    """What is kept of a token: its sha256, in hex.

    256 random bits can neither be reversed nor guessed, and need no salt and no slow function. For the same reason a
    look-up by hash leaks nothing by its timing: who does not know a token cannot choose its hash.
    """
    # What is no text of ours is hashed all the same, and then not found.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode("ascii")), _CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
