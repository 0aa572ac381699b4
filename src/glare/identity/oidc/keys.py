"""The keys of one issuer: fetched when they are first needed, kept, and fetched anew when a token names another one.

Whoever sends forged tokens can name keys that do not exist as often as they like. So the issuer is asked once in
`interval` seconds at most, whatever tokens say; who comes in between hears that the key is not known. Where the issuer
does not answer, the keys that are there stay in force for `most_age` seconds.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, Key, OKPKey, RSAKey

from glare.errors import GlareError, Unavailable

LOG = logging.getLogger(__name__)

MAX_KEYS: Final = 256
"""Keys that an issuer may have."""
MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192

_KINDS: Final[Mapping[str, tuple[str, str | None]]] = {
    **{f"{family}{bits}": ("RSA", None) for family in ("RS", "PS") for bits in (256, 384, 512)},
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
    "Ed25519": ("OKP", "Ed25519"),
}
"""Type and curve of the keys that an algorithm works with."""

ALGORITHMS: Final = tuple(_KINDS)
"""The algorithms that may be allowed: signatures by a private key, each of them."""


class KeysUnusable(Exception):
    """What an issuer sent are no keys. The message is a sentence's end."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that verifies signatures. `algorithm` is the only one that it is for, None where its issuer does not
    say.
    """

    kid: str | None
    kind: str
    curve: str | None
    algorithm: str | None
    key: Key = field(repr=False)

    def is_for(self, algorithm: str) -> bool:
        """Whether it verifies signatures of this algorithm."""
        kind, curve = _KINDS[algorithm]
        return self.kind == kind and curve in (None, self.curve) and self.algorithm in (None, algorithm)


def read_keys(document: bytes) -> tuple[PublicKey, ...]:
    """The usable keys of a JWK Set. What is no public signature key, or a weak one, is left out. Raises
    `KeysUnusable`.
    """
    try:
        found = msgspec.json.decode(document, type=_Set).keys
    except (msgspec.DecodeError, RecursionError) as error:
        raise KeysUnusable(f"they are no JWK Set: {error}") from None
    if len(found) > MAX_KEYS:
        raise KeysUnusable(f"they are {len(found)}, and may be {MAX_KEYS}")
    keys = tuple(key for data in found if (key := _public_key(data)) is not None)
    if not keys:
        raise KeysUnusable("none of them is a public key for signatures that is strong enough")
    return keys


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often an issuer is asked, in seconds: `interval` at least between two questions; after `fresh` again when a
    token comes; after `most_age` keys are not used any more. `most_waiting` threads wait for an answer, and no longer
    than `patience`.
    """

    interval: float = 30.0
    fresh: float = 900.0
    most_age: float = 86400.0
    patience: float = 15.0
    most_waiting: int = 4


class Keys:
    """The keys of one issuer. `fetch` gets the JWK Set and may block for some seconds; it raises `GlareError` or
    `KeysUnusable`. Threads share it; one of them fetches.
    """

    def __init__(
        self,
        name: str,
        fetch: Callable[[], bytes],
        rhythm: Rhythm,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._fetch = fetch
        self._rhythm = rhythm
        self._clock = clock
        self._keys: tuple[PublicKey, ...] = ()
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._failed: str | None = None
        self._lock = threading.Lock()
        self._ended = threading.Condition(self._lock)
        self._fetching = False
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """Threads that wait for one that fetches."""
        return self._waiting

    def find(self, kid: str | None, algorithm: str) -> PublicKey | None:
        """The key of this name for this algorithm; without a name the only one for it. None where there is none.

        Asks the issuer where that may help. Raises `Unavailable` where it is not known whether there is one.
        """
        with self._lock:
            age = self._age()
            found = None if age is None else self._known(kid, algorithm)
            if found is not None and age is not None and age < self._rhythm.fresh:
                return found
            tried_before = self._rhythm.interval if self._tried_at is None else self._clock() - self._tried_at
            may_ask = self._fetching or tried_before >= self._rhythm.interval
        if may_ask:
            self._refresh(wait=found is None)
        with self._lock:
            found = None if self._age() is None else self._known(kid, algorithm)
            if found is None and (self._fetching or self._failed is not None or self._age() is None):
                self._be_unavailable()
            return found

    def _known(self, kid: str | None, algorithm: str) -> PublicKey | None:
        usable = [key for key in self._keys if key.is_for(algorithm)]
        if kid is None:
            return usable[0] if len(usable) == 1 else None
        return next((key for key in usable if key.kid == kid), None)

    def _age(self) -> float | None:
        """Seconds since the keys were fetched; None where there are none that may still be used."""
        if self._fetched_at is None:
            return None
        age = self._clock() - self._fetched_at
        return age if age < self._rhythm.most_age else None

    def _refresh(self, *, wait: bool) -> None:
        """Fetch the keys, or wait until who is fetching them has ended."""
        with self._lock:
            if self._fetching:
                if not wait:
                    return
                if self._waiting >= self._rhythm.most_waiting:
                    self._be_unavailable()
                self._waiting += 1
                try:
                    self._ended.wait_for(lambda: not self._fetching, self._rhythm.patience)
                finally:
                    self._waiting -= 1
                return
            self._fetching = True
            self._tried_at = self._clock()
        failed: str | None = "it ended early"
        keys: tuple[PublicKey, ...] = ()
        try:
            keys = read_keys(self._fetch())
            failed = None
        except KeysUnusable as error:
            failed = str(error)
        except GlareError as error:
            failed = getattr(error, "reason", error.message)
        finally:
            with self._lock:
                self._fetching = False
                self._failed = failed
                if failed is None:
                    self._keys, self._fetched_at = keys, self._clock()
                self._ended.notify_all()
        if failed is not None:
            LOG.warning("The keys of the issuer %s cannot be had (%s); those that are there stay.", self._name, failed)

    def _be_unavailable(self) -> None:
        since = 0.0 if self._tried_at is None else self._clock() - self._tried_at
        wait = max(1, round(self._rhythm.interval - since))
        raise Unavailable(
            f"The keys of the issuer '{self._name}' cannot be had now, so that its tokens cannot be verified; retry "
            "later, or ask the operator.",
            retry_after=wait,
        )


class _Set(msgspec.Struct):
    keys: list[dict[str, Any]]


def _public_key(data: dict[str, Any]) -> PublicKey | None:
    """The key, None for one that is not for this."""
    kind = data.get("kty")
    if kind not in ("RSA", "EC", "OKP") or data.get("use", "sig") != "sig" or not _may_verify(data.get("key_ops")):
        return None
    kid, algorithm = data.get("kid"), data.get("alg")
    if kid is not None and not isinstance(kid, str):
        return None
    if algorithm is not None and not (isinstance(algorithm, str) and algorithm in _KINDS):
        return None
    public = {name: data[name] for name in _MEMBERS[kind] if name in data}
    try:
        key = JWKRegistry.import_key(public)
        size, curve = _strength(key)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    if kind == "RSA" and not MIN_RSA_BITS <= size <= MAX_RSA_BITS:
        return None
    return PublicKey(kid, kind, curve, algorithm, key)


def _strength(key: Key) -> tuple[int, str | None]:
    """The bits of an RSA key, else the curve."""
    if isinstance(key, RSAKey):
        return key.public_key.key_size, None
    if isinstance(key, ECKey | OKPKey):
        _ = key.public_key
        return 0, key.curve_name
    raise ValueError


def _may_verify(operations: object) -> bool:
    return operations is None or (isinstance(operations, list) and "verify" in operations)


_MEMBERS: Final = {"RSA": ("kty", "n", "e"), "EC": ("kty", "crv", "x", "y"), "OKP": ("kty", "crv", "x")}
"""What is taken of a key: nothing private, and nothing that leads elsewhere."""
