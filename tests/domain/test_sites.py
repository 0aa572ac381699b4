"""Which hosts are of one owner."""

from __future__ import annotations

import pytest

from glare.domain.origins.sites import site_of


@pytest.mark.parametrize(
    ("host", "site"),
    [
        ("a.b.example.com", "example.com"),
        ("example.com.", "example.com"),
        ("a.b.example.co.uk", "example.co.uk"),
        ("co.uk", "co.uk"),
        ("localhost", "localhost"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_a_site_is_the_registered_domain(host: str, site: str) -> None:
    """Names of one registered domain share what it may have."""
    assert site_of(host) == site
