"""An OpenID Connect issuer in this process: keys, tokens, forged tokens, and the documents that it publishes."""

from __future__ import annotations

import base64
import json
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from glare.domain.publisher import Publisher
from glare.identity.oidc.issuers import IssuerDocument, issuer_of_document
from glare.identity.oidc.keys import ALGORITHMS, Keys, Rhythm
from glare.identity.oidc.mapping import RuleDocument
from glare.identity.oidc.source import OidcSource, Registry, Times
from glare.identity.oidc.verifier import Verifier
from support.origins.origin import Origin

AUDIENCE: Final = "glare"
RULE: Final = RuleDocument(when={"groups": "builders"}, project="builders", roles=["member"])


def encoded(part: Any) -> str:
    """Base64url of bytes, or of a JSON document."""
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def key_for(algorithm: str, kid: str) -> Key:
    """A new key for an algorithm."""
    parameters: Any = {"kid": kid, "use": "sig", "alg": algorithm}
    if algorithm in ("EdDSA", "Ed25519"):
        return OKPKey.generate_key("Ed25519", parameters)
    if algorithm.startswith("ES"):
        return ECKey.generate_key({"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[algorithm], parameters)
    return RSAKey.generate_key(2048, parameters)


@dataclass
class Issuer:
    """One issuer. `get` is what a client of its documents gets; `asked` are the URLs that it was asked for."""

    url: str = "https://issuer.example"
    keys: list[tuple[str, Key]] = field(default_factory=list)
    down: Exception | None = None
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.keys:
            self.rotate()

    def rotate(self, algorithm: str = "ES256", *, keep: bool = False) -> None:
        """Sign with a new key from now on; with `keep` the ones before stay good."""
        number = len(self.asked) + len(self.keys) + 1
        kid = f"key-{number}-{algorithm}"
        self.keys = [*(self.keys if keep else ()), (algorithm, key_for(algorithm, kid))]

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Those of a good token; None leaves one out."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "ann",
            "iat": now,
            "exp": now + 600,
            "groups": ["builders"],
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, header: Mapping[str, Any] | None = None, **changes: Any) -> str:
        """A token with the newest key. `changes` are those of claims."""
        return self.sign(json.dumps(self.claims(**changes)).encode(), header)

    def sign(self, payload: bytes, header: Mapping[str, Any] | None = None) -> str:
        """A token of any bytes, really signed."""
        algorithm, key = self.keys[-1]
        whole = {"alg": algorithm, "kid": key.kid, "typ": "JWT", **(header or {})}
        whole = {name: value for name, value in whole.items() if value is not None}
        head, body = encoded(whole), encoded(payload)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)
            signature = jws.JWSRegistry.algorithms[algorithm].sign(f"{head}.{body}".encode(), key)
        return f"{head}.{body}.{encoded(signature)}"

    @property
    def jwks(self) -> bytes:
        return json.dumps({"keys": [key.as_dict(private=False) for _, key in self.keys]}).encode()

    @property
    def metadata(self) -> bytes:
        return json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/jwks"}).encode()

    def get(self, url: str) -> bytes:
        self.asked.append(url)
        if self.down is not None:
            raise self.down
        return self.metadata if url.endswith("/openid-configuration") else self.jwks

    def serve(self, origin: Origin) -> None:
        """Publish the documents on a server, whose URL the issuer takes."""
        self.url = origin.url("/realm")
        origin.put("/realm/.well-known/openid-configuration", self.metadata)
        origin.put("/realm/jwks", self.jwks)


@dataclass
class Clock:
    """A clock that a test moves."""

    now: float = field(default_factory=time.time)

    def __call__(self) -> float:
        return self.now


def document(issuer: Issuer, **changes: Any) -> IssuerDocument:
    """The issuer as an operator's file has it."""
    values: dict[str, Any] = {
        "issuer": issuer.url,
        "audience": [AUDIENCE],
        "algorithms": ALGORITHMS,
        "rules": [RULE],
        **changes,
    }
    return IssuerDocument(**values)


class NoPublishers:
    """A registry without any."""

    def of_anchors(self, _: Sequence[str], __: str | None) -> Sequence[Publisher]:
        return ()

    def find(self, _: str) -> Publisher | None:
        return None


def source_of(
    *issuers: Issuer,
    registry: Registry | None = None,
    rhythm: Rhythm | None = None,
    clock: Clock | None = None,
    times: Times | None = None,
    **changes: Any,
) -> OidcSource:
    """The source of these issuers, named `corp`, `corp2` …; `changes` are those of their documents."""
    clock = clock or Clock()
    named = [
        issuer_of_document(f"corp{number or ''}", document(issuer, **changes)) for number, issuer in enumerate(issuers)
    ]
    keys = {
        one.name: Keys(one.name, partial(issuer.get, f"{issuer.url}/jwks"), rhythm or Rhythm(), clock)
        for one, issuer in zip(named, issuers, strict=True)
    }
    return OidcSource(named, Verifier(keys, clock=clock), registry or NoPublishers(), times, clock)
