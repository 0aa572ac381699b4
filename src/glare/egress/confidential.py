"""Which URLs carry a secret in their query: all, but for those that hold nothing but a few parameters which are
harmless everywhere.

A list of the names of secrets never ends; every CDN has one of its own. So a query is a secret unless all of it is
known to be none, or its owner says so; and one with a parameter that is known to be a secret is one whatever anybody
says.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final
from urllib.parse import unquote_plus

from glare.egress.url import Url

HARMLESS: Final = (
    *("v", "ver", "version", "release", "tag", "branch", "channel", "arch", "os", "platform", "format", "type", "ext"),
    *("lang", "language", "locale", "download", "dl", "raw", "inline", "attachment", "compression", "mirror", "region"),
)
"""What an operator has not to name: parameters that choose a representation, and whose values people type."""

_TYPED: Final = re.compile(r"[A-Za-z0-9._+/ -]{0,24}\Z")
"""What a value has to look like to be harmless. A token is longer."""

# All are compared in lower case.
_PREFIXES: Final = (
    "x-amz-",  # AWS Signature Version 4, and every S3-compatible store
    "x-goog-",  # Google Cloud Storage V4
    "x-oss-",  # Alibaba OSS
    "x-obs-",  # Huawei OBS
    "x-cos-",  # Tencent COS
    "x-bz-",  # Backblaze B2
    "temp_url_",  # OpenStack Swift TempURL
    "hdn",  # Akamai EdgeAuth: hdnea, hdnts
    "wowzatoken",
)
_SUFFIXES: Final = ("token", "signature", "secret", "password", "apikey", "api_key", "api-key", "accesskeyid", "jwt")
_NAMES: Final = frozenset(
    {
        "__token__",  # Akamai
        "access_key",
        "auth",
        "auth_key",  # Alibaba CDN
        "authkey",  # OneDrive
        "authorization",
        "code",
        "credential",
        "credentials",
        "googleaccessid",  # Google Cloud Storage V2
        "hmac",
        "key",
        "key-pair-id",  # CloudFront, with Policy and Signature
        "ks",  # Kaltura
        "md5",  # nginx secure_link, with expires
        "passwd",
        "policy",
        "pwd",
        "q-ak",
        "q-sign-algorithm",  # Tencent COS
        "resourcekey",  # Google Drive
        "rlkey",  # Dropbox
        "sas",
        "session",
        "sessionid",
        "sid",
        "sig",  # Azure shared access signature
        "sign",
        "st",  # lighttpd and others, with e
        "verify",  # Cloudflare
    }
)


def is_confidential(url: Url, wish: bool | None, harmless: Collection[str]) -> bool:
    """Whether a URL is shown to its owner and to administrators only.

    `wish` is what its owner says, None where they say nothing. `harmless` are names of parameters in lower case. It is
    confidential where its owner wishes so, and where its query holds the parameter of a known secret; where they say
    nothing, also where anything in the query is not known to be harmless.
    """
    return is_query_confidential(url.query, wish, harmless)


def is_query_confidential(query: str, wish: bool | None, harmless: Collection[str]) -> bool:
    """As `is_confidential`, of what follows a URL's first question mark: also where the URL is not allowed any more."""
    pairs = tuple(_pairs(query))
    if any(_is_secret(name) for name, _ in pairs):
        return True
    if wish is not None:
        return wish
    return not all(name in harmless and _TYPED.match(value) for name, value in pairs)


def _pairs(query: str) -> Iterator[tuple[str, str]]:
    for pair in query.replace(";", "&").split("&"):
        if pair:
            name, _, value = pair.partition("=")
            yield unquote_plus(name).strip().lower(), unquote_plus(value)


def _is_secret(name: str) -> bool:
    return name in _NAMES or name.startswith(_PREFIXES) or name.endswith(_SUFFIXES)
