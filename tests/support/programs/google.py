"""SeaweedFS in Google's words. No emulator of Google Cloud Storage that can be installed here speaks its XML API, which
is what obstore speaks. That API is S3's but for some headers and its credentials, so a relay turns one into the other.

What Google does otherwise than SeaweedFS, this cannot show.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from glare.stores.objects.options import GCSOptions
from support.origins.http_relay import HttpRelay, Request, Spoiled
from support.programs.seaweedfs import ACCESS_KEY, BUCKET, SECRET_KEY, TIMES, SeaweedFS

REGION: Final = "us-east-1"


@dataclass(frozen=True, slots=True)
class Google:
    """Where it is, and the file of the service account that it knows."""

    endpoint: str
    credentials_file: Path


@contextmanager
def in_googles_words(server: SeaweedFS, folder: Path) -> Iterator[Google]:
    """The server in Google's words, until the block ends."""
    key = new_key()
    file = folder / "service-account.json"
    with HttpRelay(server.port) as relay:
        relay.spoil = lambda request: _translated(request, key.public_key(), server.port)
        file.write_text(account_of(key))
        yield Google(relay.endpoint, file)


def in_google(google: Google, **changes: Any) -> GCSOptions:
    """Options for the bucket of all tests, changed where one says so."""
    options = GCSOptions(
        prefix="",
        endpoint=google.endpoint,
        ca_file=None,
        times=TIMES,
        bucket=BUCKET,
        credentials_file=google.credentials_file,
    )
    return replace(options, **changes)


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def account_of(key: rsa.RSAPrivateKey) -> str:
    """The file of a service account with this key."""
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return json.dumps(
        {
            "type": "service_account",
            "client_email": "glare@example.iam.gserviceaccount.com",
            "private_key_id": "of-these-tests",
            "private_key": pem,
        }
    )


def _translated(request: Request, key: rsa.RSAPublicKey, port: int) -> Spoiled | None:
    said = request.header("authorization") or ""
    if said.startswith("AWS4-"):  # Who looks behind it.
        return None
    if not _is_token(said.removeprefix("Bearer "), key):
        return Spoiled(status=401)

    def before(head: bytes, body: bytes) -> tuple[bytes, bytes]:
        return _signed(head, port), body

    def after(head: bytes, body: bytes) -> tuple[bytes, bytes]:
        return re.sub(rb"(?im)^x-amz-meta-", b"x-goog-meta-", head), body

    return Spoiled(before=before, after=after)


def _is_token(token: str, key: rsa.RSAPublicKey) -> bool:
    """Whether the service account has signed it, and it holds."""
    try:
        head, claims, signature = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split("."))
        key.verify(signature, token.rpartition(".")[0].encode(), padding.PKCS1v15(), hashes.SHA256())
        return json.loads(head)["alg"] == "RS256" and float(json.loads(claims)["exp"]) > time.time()
    except (ValueError, InvalidSignature):
        return False


def _signed(head: bytes, port: int) -> bytes:
    """The head of a request in S3's words, and signed by its rules."""
    first, *lines = head.decode("latin1").strip().split("\r\n")
    method, target, version = first.split(" ")
    path, _, query = target.partition("?")
    path = quote(unquote(path), safe="/-_.~")
    asked = "&".join(f"{quote(name, safe='')}={quote(text, safe='')}" for name, text in _sorted(query))
    headers = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}
    del headers["authorization"]
    if headers.pop("x-goog-if-generation-match", None) == "0":
        headers["if-none-match"] = "*"
    for name in [name for name in headers if name.startswith("x-goog-")]:
        headers[name.replace("x-goog-", "x-amz-")] = headers.pop(name)
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    headers |= {"host": f"127.0.0.1:{port}", "x-amz-date": now, "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
    names = sorted(name for name in headers if name == "host" or name.startswith("x-amz-"))
    canonical = [method, path, asked, *(f"{name}:{headers[name]}" for name in names), ""]
    canonical += [";".join(names), "UNSIGNED-PAYLOAD"]
    scope = f"{now[:8]}/{REGION}/s3/aws4_request"
    digest = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{digest}"
    key = f"AWS4{SECRET_KEY}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={';'.join(names)}, Signature={signature}"
    )
    made = [f"{method} {path}{'?' if asked else ''}{asked} {version}"]
    made += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*made, "", ""]).encode("latin1")


def _sorted(query: str) -> list[tuple[str, str]]:
    return sorted(parse_qsl(query, keep_blank_values=True))
