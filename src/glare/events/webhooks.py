"""Webhooks as Standard Webhooks has them: secrets, signatures, headers, and when to try again.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import random
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from glare import durable
from glare.domain.moment import SECOND
from glare.domain.origins import origin_text
from glare.errors import Unavailable

PREFIX: Final = "whsec_"
MEDIA_TYPE: Final = "application/cloudevents+json"

_MADE: Final = 32
_LEAST: Final = 24
_MOST: Final = 64


def new_secret() -> str:
    """A secret that nobody can guess."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_MADE)).decode()


def is_secret(text: str) -> bool:
    """Whether this is a symmetric secret: the prefix, and base64 of 24 to 64 bytes."""
    if not text.startswith(PREFIX) or not text.isascii():
        return False
    try:
        return _LEAST <= len(_key(text)) <= _MOST
    except binascii.Error:
        return False


def signed_headers(message_id: str, now: int, body: bytes, keys: Iterable[str]) -> dict[str, str]:
    """The headers of one try at the time `now` (microseconds): one signature for each secret, the newest first."""
    timestamp = str(now // SECOND)
    signed = f"{message_id}.{timestamp}.".encode() + body
    signatures = [
        "v1," + base64.b64encode(hmac.new(_key(key), signed, hashlib.sha256).digest()).decode() for key in keys
    ]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(signatures),
        "Content-Type": MEDIA_TYPE,
    }


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(PREFIX), validate=True)


@dataclass(frozen=True, slots=True)
class Retries:
    """When a message is tried again: after `first` seconds, then twice as many each time, `longest` at most, for
    `total` seconds from its first try. What a target asks for with ``Retry-After`` is obeyed up to `asked`.
    """

    first: float
    longest: float
    total: float
    asked: float

    def next_try(self, tries: int, first_tried_at: int, now: int, retry_after: str | None) -> int | None:
        """The time (microseconds) of the try after `tries` of them, None where it is given up. Spread, so that many do
        not come at once.
        """
        if now - first_tried_at >= self.total * SECOND:
            return None
        pause = min(self.longest, self.first * 2 ** min(tries - 1, 40))
        pause *= random.uniform(0.8, 1.2)  # noqa: S311 - spreads tries, and is no secret
        return now + int(max(pause, min(asked_pause(retry_after, now), self.asked)) * SECOND)


def asked_pause(retry_after: str | None, now: int) -> float:
    """Seconds that ``Retry-After`` asks for: a number of them, or a date; 0 where it is neither."""
    return float(origin_text.retry_after(retry_after, now) or 0)


class SecretBox:
    """Encrypts what is kept of secrets, and signs, with the keys in a file: one a line, the first for new ones, all for
    old ones.

    The file is read when it is first needed, so that a service without subscriptions needs none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys: MultiFernet | None = None
        self._lines: Sequence[str] | None = None

    def seal(self, text: str) -> str:
        """The text encrypted. Raises `Unavailable` where the file cannot be used."""
        return self._opened().encrypt(text.encode()).decode()

    def open(self, sealed: str) -> str:
        """The text again. Raises `Unavailable` where the file cannot be used, or has not the key."""
        try:
            return self._opened().decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise Unavailable(
                f"The key file {self._path} does not have the key that a subscription's secret was encrypted with; "
                "all nodes need the same file ([subscriptions] secret_key_file), and keys stay in it for as long as "
                "secrets use them."
            ) from None

    def sign(self, purpose: str, text: str) -> str:
        """A signature of the text, in url-safe base64, with the first key. `purpose` keeps signatures apart that are
        for different things. Raises `Unavailable` where the file cannot be used.
        """
        return _signature(self._read()[0], purpose, text)

    def has_signed(self, purpose: str, text: str, signature: str) -> bool:
        """Whether one of the keys has signed the text. Raises `Unavailable` as `sign`."""
        given = signature.encode()
        return any(hmac.compare_digest(_signature(key, purpose, text).encode(), given) for key in self._read())

    def _opened(self) -> MultiFernet:
        if self._keys is None:
            self._keys = MultiFernet([Fernet(line) for line in self._read()])
        return self._keys

    def _read(self) -> Sequence[str]:
        if self._lines is None:
            self._lines = _read_keys(self._path)
        return self._lines


def _signature(key: str, purpose: str, text: str) -> str:
    made = hmac.new(base64.urlsafe_b64decode(key), f"{purpose}\0{text}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


def _read_keys(path: Path) -> Sequence[str]:
    try:
        lines = [line.strip() for line in path.read_text("ascii").splitlines()]
        keys = [line for line in lines if line and not line.startswith("#")]
        MultiFernet([Fernet(key) for key in keys])  # Refuses what is no list of keys.
        return keys
    except OSError as error:
        raise Unavailable(
            f"The key file {path} cannot be read ({error.strerror}); `glare-server init` makes one where "
            "there is none, and other nodes need a copy of it."
        ) from error
    except ValueError:
        raise Unavailable(
            f"The key file {path} is no list of keys, one a line, each 32 bytes in url-safe base64; restore it from "
            "a copy."
        ) from None


def make_key_file(path: Path) -> None:
    """Make the file with a new key, readable by its owner only, where there is none. It is whole from the moment it is
    there.

    Raises `Unavailable` where it cannot be made.
    """
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            durable.make_file(path, Fernet.generate_key() + b"\n")
    except OSError as error:
        raise Unavailable(
            f"The key file {path} cannot be made ({error.strerror}); set [subscriptions] secret_key_file to a place "
            "that the service may write to, or put a key file there."
        ) from error


def reason_of_status(status: int) -> str:
    """What an answer that is no success is called in the log."""
    return "redirected" if 300 <= status < 400 else "gone" if status == 410 else "status"
