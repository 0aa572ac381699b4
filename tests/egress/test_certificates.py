"""Certificates of origins that are refused: the sentence says which thing is wrong with them."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Callable

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from glare.egress import certificates
from glare.egress.client import EgressClient
from glare.errors import Cause, OriginFailed
from support.origins.egress import quick, resolve
from support.origins.origin import Origin

NAME = "mirror.test.example"
NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)

Certified = Callable[[trustme.CA], ssl.SSLContext]


def server(*certificates_: trustme.LeafCert) -> ssl.SSLContext:
    """A server's TLS context."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for certificate in certificates_:
        certificate.configure_cert(made)
    return made


def expired(authority: trustme.CA) -> ssl.SSLContext:
    return server(authority.issue_cert(NAME, not_before=NOW - 9 * DAY, not_after=NOW - DAY))


def early(authority: trustme.CA) -> ssl.SSLContext:
    return server(authority.issue_cert(NAME, not_before=NOW + DAY, not_after=NOW + 9 * DAY))


def untrusted(_: trustme.CA) -> ssl.SSLContext:
    return server(trustme.CA().issue_cert(NAME))


def with_its_own_authority(_: trustme.CA) -> ssl.SSLContext:
    other = trustme.CA()
    leaf = other.issue_cert(NAME)
    chain = trustme.LeafCert(leaf.private_key_pem.bytes(), leaf.cert_chain_pems[0].bytes(), [other.cert_pem.bytes()])
    return server(chain)


def without_the_one_between(authority: trustme.CA) -> ssl.SSLContext:
    leaf = authority.create_child_ca().issue_cert(NAME)
    return server(trustme.LeafCert(leaf.private_key_pem.bytes(), leaf.cert_chain_pems[0].bytes(), []))


def of_another_name(authority: trustme.CA) -> ssl.SSLContext:
    return server(authority.issue_cert("elsewhere.example"))


def signed_by_itself(_: trustme.CA) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return server(trustme.LeafCert(private, made.public_bytes(Encoding.PEM), []))


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (expired, "has expired"),
        (early, "is not valid yet"),
        (untrusted, "no authority that this service trusts"),
        (without_the_one_between, "does not send the certificates in between"),
        (with_its_own_authority, "signed by itself or by an authority of its own"),
        (signed_by_itself, "signed by itself"),
        (of_another_name, "for another name than that of the URL"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_is_wrong_is_said(authority: trustme.CA, trusting: ssl.SSLContext, made: Certified, words: str) -> None:
    """Expired, early, untrusted, self-signed and misnamed certificates are told apart, and only the last is called
    misnamed.
    """
    with Origin(made(authority)) as origin:
        client = EgressClient(quick(origin.port), resolve=resolve, tls=trusting)
        with pytest.raises(OriginFailed) as refused:
            client.open(client.parse(origin.url("/a", NAME)))
    assert words in refused.value.message
    assert ("name" in refused.value.message) == (made is of_another_name)
    assert refused.value.cause is Cause.TLS
    assert "127.0.0.1" not in refused.value.message


def test_an_address_that_the_certificate_does_not_name(
    certified: Callable[..., ssl.SSLContext], trusting: ssl.SSLContext
) -> None:
    """A URL with an address is reported alike."""
    with Origin(certified(NAME)) as origin:
        client = EgressClient(quick(origin.port), tls=trusting)
        with pytest.raises(OriginFailed, match="for another name than that of the URL"):
            client.open(client.parse(origin.url("/a")))


def test_an_error_that_is_not_known() -> None:
    """Whatever else OpenSSL finds is a certificate that cannot be verified."""
    error = ssl.SSLCertVerificationError("x")
    error.verify_code = 99
    assert certificates.refusal(error) == "The origin's certificate cannot be verified."
