"""Whether a token is what its issuer has signed, for us, and for now."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jws import JWSRegistry

from glare.identity.oidc.issuers import Issuer
from glare.identity.oidc.keys import Keys, PublicKey
from glare.identity.oidc.mapping import shown
from glare.identity.oidc.token import MAX_HEADER, MAX_TOKEN, Refused, Unverified

_FAR: Final = 2**53
MAX_LEEWAY: Final = 300.0
"""Seconds that clocks may differ at most."""


@dataclass(frozen=True, slots=True)
class Verified:
    """The claims of a good token, which is good until `expires` (seconds since the epoch)."""

    issuer: Issuer
    claims: Mapping[str, Any]
    expires: float


class Verifier:
    """Verifies tokens of the issuers whose keys it has. It may block where keys have to be fetched."""

    def __init__(
        self,
        keys: Mapping[str, Keys],
        *,
        leeway: float = 60.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._leeway = leeway
        self._clock = clock

    def verify(self, issuer: Issuer, token: Unverified) -> Verified:
        """The claims. Raises `Refused` with the first thing that is wrong, `Unavailable` where keys cannot be had."""
        if token.algorithm not in issuer.algorithms:
            raise Refused(
                f"its algorithm ('alg') is {shown(token.algorithm)}, and this issuer's are "
                f"{', '.join(sorted(issuer.algorithms))}"
            )
        if token.issuer != issuer.url:
            raise Refused("it is from another issuer")
        # What costs nothing comes before keys are asked for and signatures are counted.
        expires = self._check_claims(issuer, token.claims)
        key = self._keys[issuer.name].find(token.kid, token.algorithm)
        if key is None:
            raise Refused(
                f"its issuer has no key {shown(token.kid)} for {token.algorithm}"
                if token.kid is not None
                else f"it names no key ('kid'), and its issuer has not exactly one for {token.algorithm}"
            )
        self._check_signature(token, key)
        return Verified(issuer, token.claims, expires)

    def is_over(self, expires: float) -> bool:
        """Whether a token that is good until `expires` is so no more."""
        return self._clock() >= expires + self._leeway

    def _check_signature(self, token: Unverified, key: PublicKey) -> None:
        try:
            signed = jws.deserialize_compact(token.text, key.key, registry=_Only(token.algorithm))
        except (JoseError, ValueError, TypeError, UnsupportedAlgorithm, RecursionError):
            raise Refused("its signature is not that of its issuer's key") from None
        if signed.headers().get("alg") != token.algorithm:
            raise Refused("its signature is of another algorithm")

    def _check_claims(self, issuer: Issuer, claims: Mapping[str, Any]) -> float:
        now = self._clock()
        audience = claims.get("aud")
        named = audience if isinstance(audience, list) else [audience]
        if not any(isinstance(one, str) and one in issuer.audience for one in named):
            raise Refused(
                f"its audience ('aud') is {shown(audience)}; ask the issuer for a token for "
                f"{' or '.join(sorted(issuer.audience))}"
            )
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= 512:
            raise Refused("it names nobody: its subject ('sub') must be a text of 1 to 512 characters")
        expires = _time(claims, "exp")
        if expires is None:
            raise Refused("it never expires: 'exp' is missing")
        if now >= expires + self._leeway:
            raise Refused(f"it has expired {round(now - expires)} seconds ago")
        not_before, issued = _time(claims, "nbf"), _time(claims, "iat")
        if not_before is not None and now < not_before - self._leeway:
            raise Refused(f"it is not valid before {round(not_before - now)} seconds from now ('nbf')")
        if issued is not None and now < issued - self._leeway:
            raise Refused(f"it was issued in the future ('iat'), {round(issued - now)} seconds from now")
        if issued is not None and expires <= issued:
            raise Refused("it expires before it was issued")
        return expires


class _Only(JWSRegistry):
    """Exactly one algorithm. Members of the header that are not known are left alone: `take_apart` has seen them."""

    max_header_length = MAX_HEADER
    max_payload_length = MAX_TOKEN

    def __init__(self, algorithm: str) -> None:
        super().__init__(algorithms=[algorithm], strict_check_header=False)
        self._algorithm = algorithm

    def get_alg(self, name: str) -> Any:
        # The library's own warns of `EdDSA` each time, an older name for Ed25519 that issuers use.
        if name != self._algorithm or name not in self.algorithms:
            raise UnsupportedAlgorithmError
        return self.algorithms[name]


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    """Seconds since the epoch. Raises `Refused` for what is no time."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(f"'{name}' is {shown(value)}, and must be a number of seconds since 1970")
    if not 0 <= value < _FAR:
        raise Refused(f"'{name}' is out of all bounds")
    return float(value)
