"""Tokens that are not what they say: every one is refused, and nothing is fetched from where one of them points."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from glare.domain.actor import Actor
from glare.errors import Unauthorized
from glare.identity.base import Credentials, Undecided
from glare.identity.oidc.source import OidcSource
from glare.identity.oidc.token import MAX_TOKEN
from glare.identity.pipeline import Pipeline
from support.oidc import Issuer, encoded, key_for, source_of

ELSEWHERE = "https://attacker.example/keys"


def shown_to(source: OidcSource, token: str) -> Actor:
    """What a service with this source alone makes of a request with this token."""
    pipeline = Pipeline([source], allow_anonymous=True)
    credentials = Credentials({"authorization": f"Bearer {token}"}, "192.0.2.7")
    found = pipeline.known(credentials)
    return pipeline.decide(credentials) if isinstance(found, Undecided) else found


def with_parts(token: str, header: Any = None, claims: Any = None, signature: str | None = None) -> str:
    """The token with other parts, and the signature that it had."""
    parts = token.split(".")
    if header is not None:
        parts[0] = encoded(header)
    if claims is not None:
        parts[1] = encoded(claims)
    if signature is not None:
        parts[2] = signature
    return ".".join(parts)


def signed_with_public_key(issuer: Issuer, form: str) -> str:
    """HS256 with the issuer's public key as its secret: what a verifier takes that lets the token choose."""
    issuer.rotate("RS256")
    key = issuer.keys[-1][1]
    assert isinstance(key, RSAKey)
    secret = key.as_pem(private=False) if form == "pem" else json.dumps(key.as_dict(private=False)).encode()
    head = encoded({"alg": "HS256", "kid": key.kid, "typ": "JWT"})
    body = encoded(issuer.claims())
    signature = hmac.new(secret, f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}.{encoded(signature)}"


def by_another(issuer: Issuer, **header: Any) -> str:
    """A whole and well-made token of somebody who has a key of their own, and says whatever they like."""
    other = Issuer(issuer.url)
    other.rotate("RS256")
    return other.token({"kid": issuer.keys[-1][1].kid, "alg": "RS256", **header})


def embedded(issuer: Issuer) -> str:
    other = key_for("ES256", "mine")
    forger = Issuer(issuer.url, [("ES256", other)])
    return forger.token({"jwk": other.as_dict(private=False), "kid": None})


def nested(depth: int) -> bytes:
    return b'{"iss":"https://issuer.example","a":' + b"[" * depth + b"]" * depth + b"}"


def of_zeros(issuer: Issuer) -> str:
    return with_parts(issuer.token(), signature=encoded(bytes(64)))


def raw_claims(issuer: Issuer, text: str) -> str:
    """Claims spelt by hand, really signed."""
    return issuer.sign(text.encode())


def twice(issuer: Issuer, name: str, first: Any, second: Any) -> str:
    whole = json.dumps(issuer.claims())
    return raw_claims(issuer, whole[:-1] + f', "{name}": {json.dumps(first)}, "{name}": {json.dumps(second)}}}')


Forge = Callable[[Issuer], str]

FORGED: dict[str, Forge] = {
    "none": lambda i: with_parts(i.token(), {"alg": "none", "typ": "JWT"}, signature=""),
    "None": lambda i: with_parts(i.token(), {"alg": "None", "typ": "JWT"}, signature=""),
    "nOnE with a signature": lambda i: with_parts(i.token(), {"alg": "nOnE"}),
    "an empty algorithm": lambda i: with_parts(i.token(), {"alg": ""}),
    "no algorithm": lambda i: with_parts(i.token(), {"typ": "JWT"}),
    "a list of algorithms": lambda i: with_parts(i.token(), {"alg": ["ES256", "none"]}),
    "HS256 with the public key as PEM": lambda i: signed_with_public_key(i, "pem"),
    "HS256 with the public key as JWK": lambda i: signed_with_public_key(i, "jwk"),
    "HS256 with no secret": lambda i: i.sign(json.dumps(i.claims()).encode(), {"alg": "HS256"}),
    "another algorithm of the same key": lambda i: i.token({"alg": "ES384"}),
    "RS256 for an EC key": lambda i: i.token({"alg": "RS256"}),
    "a key of somebody else's": by_another,
    "an embedded key": embedded,
    "jku": lambda i: by_another(i, jku=ELSEWHERE),
    "jku without a key id": lambda i: by_another(i, jku=ELSEWHERE, kid=None),
    "x5u": lambda i: by_another(i, x5u=ELSEWHERE),
    "x5c": lambda i: by_another(i, x5c=["MIIB"]),
    "crit": lambda i: i.token({"crit": ["exp"]}),
    "crit that is empty": lambda i: i.token({"crit": []}),
    "an unencoded payload": lambda i: i.token({"b64": False}),
    "a compressed payload": lambda i: i.token({"zip": "DEF"}),
    "a token in a token": lambda i: i.token({"cty": "JWT"}),
    "a token for logging out": lambda i: i.token({"typ": "logout+jwt"}),
    "a proof of possession": lambda i: i.token({"typ": "dpop+jwt"}),
    "a security event": lambda i: i.token({"typ": "secevent+jwt"}),
    "a type that is a number": lambda i: i.token({"typ": 7}),
    "kid of a path": lambda i: i.token({"kid": "../../../../dev/null"}),
    "kid of SQL": lambda i: i.token({"kid": "x' UNION SELECT 'secret' --"}),
    "kid of a command": lambda i: i.token({"kid": "key; touch /tmp/x"}),
    "kid of a URL": lambda i: i.token({"kid": ELSEWHERE}),
    "kid with NUL": lambda i: i.token({"kid": "key\0"}),
    "kid that is huge": lambda i: i.token({"kid": "k" * 4000}),
    "kid that is a list": lambda i: i.token({"kid": ["key-1-ES256"]}),
    "kid that is empty": lambda i: i.token({"kid": ""}),
    "another audience": lambda i: i.token(aud="nova"),
    "another audience in a list": lambda i: i.token(aud=["nova", "swift"]),
    "an audience that begins alike": lambda i: i.token(aud="glare-test"),
    "an audience that is an object": lambda i: i.token(aud={"glare": True}),
    "no audience": lambda i: i.token(aud=None),
    "no subject": lambda i: i.token(sub=None),
    "a subject that is a number": lambda i: i.token(sub=7),
    "another issuer": lambda i: i.token(iss="https://other.example"),
    "an issuer with a slash more": lambda i: i.token(iss=i.url + "/"),
    "an issuer that begins alike": lambda i: i.token(iss=i.url + ".attacker.example"),
    "no issuer": lambda i: i.token(iss=None),
    "a list of issuers": lambda i: i.token(iss=[i.url]),
    "expired": lambda i: i.token(exp=int(time.time()) - 61, iat=int(time.time()) - 600),
    "without an end": lambda i: i.token(exp=None),
    "an end that is text": lambda i: i.token(exp="4102444800"),
    "an end that is true": lambda i: i.token(exp=True),
    "an end beyond all bounds": lambda i: i.token(exp=10**400),
    "an end that is infinite": lambda i: raw_claims(i, json.dumps(i.claims(exp=1)).replace('"exp": 1', '"exp": 1e999')),
    "an end that is no number": lambda i: raw_claims(i, json.dumps(i.claims(exp=1)).replace('"exp": 1', '"exp": NaN')),
    "not yet": lambda i: i.token(nbf=int(time.time()) + 120),
    "issued tomorrow": lambda i: i.token(iat=int(time.time()) + 86400, exp=int(time.time()) + 90000),
    "an end before its beginning": lambda i: i.token(iat=int(time.time()) + 30, exp=int(time.time()) + 20),
    "claims twice": lambda i: twice(i, "sub", "ann", "root"),
    "audience twice": lambda i: twice(i, "aud", "nova", "glare"),
    "issuer twice": lambda i: twice(i, "iss", "https://other.example", i.url),
    "other claims under the signature": lambda i: with_parts(i.token(), claims=i.claims(sub="root")),
    "the signature of another token": lambda i: with_parts(i.token(), signature=i.token(sub="bob").split(".")[2]),
    "no signature": lambda i: with_parts(i.token(), signature=""),
    "no signature and no dot": lambda i: i.token().rpartition(".")[0],
    "half a signature": lambda i: with_parts(i.token(), signature=i.token().split(".")[2][:40]),
    "a signature of zeros": of_zeros,
    "a signature in DER": lambda i: with_parts(i.token(), signature=encoded(b"\x30\x06\x02\x01\x01\x02\x01\x01")),
    "a signature with padding": lambda i: i.token() + "==",
    "a signature with bits to spare": lambda i: i.token()[:-1] + _next(i.token()[-1]),
    "a blank at its end": lambda i: i.token() + "\t\n.",
    "not base64": lambda i: "eyJ!!!.%%%.###",
    "three words": lambda i: "eyJhbGciOiJFUzI1NiJ9.junk.junk",
    "three dots": lambda i: "ey...",
    "two tokens": lambda i: f"{i.token()}, {i.token()}",
    "two tokens in one": lambda i: f"{i.token()}.{i.token()}",
    "encrypted": lambda i: ".".join([encoded({"alg": "RSA-OAEP", "enc": "A256GCM"}), "AA", "AA", "AA", "AA"]),
    "as JSON": lambda i: json.dumps({"payload": encoded(i.claims()), "signatures": []}),
    "huge": lambda i: i.token(filler="x" * MAX_TOKEN),
    "a megabyte": lambda i: "eyJhbGciOiJFUzI1NiJ9." + "A" * (1 << 20) + ".AA",
    "nested 17 deep": lambda i: i.sign(json.dumps(i.claims(a=json.loads("[" * 16 + "]" * 16))).encode()),
    "nested 5000 deep": lambda i: i.sign(nested(5000)),
    "claims that are a list": lambda i: i.sign(b'["https://issuer.example"]'),
    "claims that are no JSON": lambda i: i.sign(b"{'iss': 'https://issuer.example'}"),
    "claims in UTF-16": lambda i: i.sign(json.dumps(i.claims()).encode("utf-16")),
    "claims with bytes behind": lambda i: i.sign(json.dumps(i.claims()).encode() + b" {}"),
    "nobody in a text of half a character": lambda i: raw_claims(
        i, json.dumps(i.claims(sub="x")).replace('"sub": "x"', '"sub": "\\ud800"')
    ),
}


def _next(sign: str) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return alphabet[alphabet.index(sign) + 1]


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_forged_token_is_refused(issuer: Issuer, forge: Forge) -> None:
    """It is refused, and only the issuer's own keys are ever asked for."""
    token = forge(issuer)
    source = source_of(issuer)
    assert shown_to(source, issuer.token()) == Actor("corp:ann", "corp:builders", frozenset({"member"}))
    with pytest.raises(Unauthorized) as refused:
        shown_to(source, token)
    assert len(refused.value.message) < 500
    assert set(issuer.asked) <= {f"{issuer.url}/jwks"}
    assert len(issuer.asked) == 1, "a forged token must not make us ask again"


def test_what_a_good_token_says_of_keys_is_not_read(issuer: Issuer) -> None:
    """Some issuers name the place of their keys in each token. That token is good by the key that is known."""
    token = issuer.token({"jku": ELSEWHERE, "x5u": ELSEWHERE, "x5c": ["MIIB"], "jwk": {"kty": "oct", "k": "AA"}})
    assert shown_to(source_of(issuer), token).user == "corp:ann"
    assert issuer.asked == [f"{issuer.url}/jwks"]


@pytest.mark.parametrize("header", [{}, {"typ": None}, {"typ": "at+jwt"}, {"typ": "application/at+JWT"}])
def test_the_types_of_access_and_id_tokens_are_taken(issuer: Issuer, header: dict[str, Any]) -> None:
    """Without a type, as JWT, and as RFC 9068 has it."""
    assert shown_to(source_of(issuer), issuer.token(header)).user == "corp:ann"


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"])
def test_tokens_of_each_algorithm_are_taken_where_it_is_allowed(algorithm: str) -> None:
    """And refused where it is not, although the key is the issuer's."""
    issuer = Issuer(keys=[(algorithm, key_for(algorithm, "k"))])
    assert shown_to(source_of(issuer), issuer.token()).user == "corp:ann"
    with pytest.raises(Unauthorized, match="algorithm"):
        shown_to(source_of(issuer, algorithms=["ES384" if algorithm == "ES256" else "ES256"]), issuer.token())


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0", "alg": "HS256"},
        {"kty": "oct", "k": "", "alg": "HS256"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": "OKP", "crv": "X25519", "x": "AA"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "alg": ["ES256"]},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "alg": {}},
        {"kty": 7},
        {},
    ],
)
def test_what_is_no_strong_public_key_is_not_taken_for_one(key: dict[str, Any]) -> None:
    """A key set with such keys beside the good one works, with the good one only."""
    issuer = Issuer()

    class Published(Issuer):
        @property
        def jwks(self) -> bytes:
            return json.dumps({"keys": [{**key, "kid": "weak"}, *json.loads(issuer.jwks)["keys"]]}).encode()

    published = Published(issuer.url, issuer.keys)
    source = source_of(published)
    assert shown_to(source, issuer.token()).user == "corp:ann"
    with pytest.raises(Unauthorized, match="no key 'weak'"):
        shown_to(source, issuer.token({"kid": "weak"}))
