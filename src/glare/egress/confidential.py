"""Which URLs carry a secret in their query, by the names of known signature and token parameters."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote_plus

from glare.egress.url import Url

# A name too many hides a URL that could be shown; a name too few shows a secret. All are compared in lower case.
_PREFIXES: Final = (
    "x-amz-",  # AWS Signature Version 4, and every S3-compatible store
    "x-goog-",  # Google Cloud Storage V4
    "x-oss-",  # Alibaba OSS
    "x-obs-",  # Huawei OBS
    "x-cos-",  # Tencent COS
    "x-bz-",  # Backblaze B2
    "temp_url_",  # OpenStack Swift TempURL
    "hdn",  # Akamai EdgeAuth: hdnea, hdnts
)
_SUFFIXES: Final = ("token", "signature", "secret", "password", "apikey", "api_key", "api-key", "accesskeyid", "jwt")
_NAMES: Final = frozenset(
    {
        "__token__",  # Akamai
        "access_key",
        "auth",
        "auth_key",  # Alibaba CDN
        "authorization",
        "code",
        "credential",
        "credentials",
        "googleaccessid",  # Google Cloud Storage V2
        "hmac",
        "key",
        "key-pair-id",  # CloudFront, with Policy and Signature
        "passwd",
        "policy",
        "pwd",
        "q-ak",
        "q-sign-algorithm",  # Tencent COS
        "sas",
        "session",
        "sessionid",
        "sid",
        "sig",  # Azure shared access signature
        "sign",
        "verify",  # Cloudflare
    }
)


def is_confidential(url: Url) -> bool:
    """Whether the query holds a known signature or token parameter."""
    pairs = url.query.replace(";", "&").split("&")
    return any(_is_secret(unquote_plus(pair.partition("=")[0]).strip().lower()) for pair in pairs)


def _is_secret(name: str) -> bool:
    return name in _NAMES or name.startswith(_PREFIXES) or name.endswith(_SUFFIXES)
