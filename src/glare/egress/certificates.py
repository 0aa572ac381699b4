"""What is wrong with a certificate that an origin shows, in words for who named the origin.

They tell what a visitor of the same origin sees in any browser, and nothing of this service: not which authorities it
trusts, nor where.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Final

_EXPIRED: Final = "has expired, or one that vouches for it has"
_EARLY: Final = "is not valid yet, or one that vouches for it is not"
_UNTRUSTED: Final = (
    "comes from no authority that this service trusts, or the origin does not send the certificates in between"
)
_SELF_SIGNED: Final = "is signed by itself or by an authority of its own, which this service does not trust"
_OTHER_NAME: Final = "is for another name than that of the URL"
_REVOKED: Final = "was revoked"
_WEAK: Final = "has a key or a signature that is too weak"
_OTHER_USE: Final = "is not meant for web servers"

_WORDS: Final[Mapping[int, str]] = {
    2: _UNTRUSTED,  # UNABLE_TO_GET_ISSUER_CERT
    9: _EARLY,  # CERT_NOT_YET_VALID
    10: _EXPIRED,  # CERT_HAS_EXPIRED
    18: _SELF_SIGNED,  # DEPTH_ZERO_SELF_SIGNED_CERT
    19: _SELF_SIGNED,  # SELF_SIGNED_CERT_IN_CHAIN
    20: _UNTRUSTED,  # UNABLE_TO_GET_ISSUER_CERT_LOCALLY
    21: _UNTRUSTED,  # UNABLE_TO_VERIFY_LEAF_SIGNATURE
    23: _REVOKED,  # CERT_REVOKED
    24: _UNTRUSTED,  # INVALID_CA
    26: _OTHER_USE,  # INVALID_PURPOSE
    27: _UNTRUSTED,  # CERT_UNTRUSTED
    28: _UNTRUSTED,  # CERT_REJECTED
    62: _OTHER_NAME,  # HOSTNAME_MISMATCH
    64: _OTHER_NAME,  # IP_ADDRESS_MISMATCH
    66: _WEAK,  # EE_KEY_TOO_SMALL
    67: _WEAK,  # CA_KEY_TOO_SMALL
    68: _WEAK,  # CA_MD_TOO_WEAK
}
"""The end of a sentence by the number that OpenSSL gives (X509_V_ERR_...), which Python hands on."""


def refusal(error: ssl.SSLCertVerificationError) -> str:
    """The sentence for who named the origin."""
    return f"The origin's certificate {_WORDS.get(error.verify_code, 'cannot be verified')}."
