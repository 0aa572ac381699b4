"""Which queries are secrets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glare.egress.confidential import HARMLESS, is_confidential
from glare.egress.url import Url

KNOWN = (
    *("X-Amz-Signature=1", "a=b&X-Goog-Credential=1", "sv=2020&sig=abc", "Signature=1&Expires=2", "access_token=1"),
    *("temp_url_sig=1&temp_url_expires=2", "TOKEN", "a;token=1", "x%2Damz%2Dsignature=1", "private_token=1", "key=1"),
    *("myApiKey=1", "hdnts=1", "md5=x&expires=1", "st=x&e=1", "rlkey=x", "authkey=x", "resourcekey=x", "ks=x"),
    *("wowzatokenhash=x", "wowzatokenendtime=1"),
)
UNKNOWN = (
    "hm=x",
    "q=1",
    "id=7",
    "version=2&u=x",
    "x",
    "version=" + "9" * 25,
    "v=%00",
    "version=2%26token",
    "expires=1",
    "%20=1",
)
OPEN = ("", "version=2", "version=2&arch=x86_64", "Version=2;raw", "&&", "v=", "dl=1&format=tar.gz", "v%65r=1")


def confidential(query: str, wish: bool | None = None) -> bool:
    return is_confidential(Url("https", "a.example", 443, f"/x?{query}"), wish, frozenset(HARMLESS))


@pytest.mark.parametrize("query", KNOWN)
def test_what_is_known_as_a_secret_is_one_whatever_anybody_says(query: str) -> None:
    """A query with a known signature or token parameter makes the URL confidential."""
    assert all(confidential(query, wish) for wish in (None, True, False))


@pytest.mark.parametrize("query", UNKNOWN)
def test_what_is_unknown_is_a_secret_unless_its_owner_denies_it(query: str) -> None:
    """Names that nobody has listed, and values of listed ones that nobody types."""
    assert confidential(query)
    assert confidential(query, True)
    assert not confidential(query, False)


@pytest.mark.parametrize("query", OPEN)
def test_what_is_harmless_is_no_secret_unless_its_owner_wants_it(query: str) -> None:
    """Parameters that choose a representation, with short values; no query at all."""
    assert not confidential(query)
    assert not confidential(query, False)
    assert confidential(query, True)


@pytest.mark.parametrize("target", ["/", "/token=1", "/X-Amz-Signature", "/?"])
def test_a_path_is_not_judged(target: str) -> None:
    """Only queries are: of a path nobody can tell."""
    assert not is_confidential(Url("https", "a.example", 443, target), None, frozenset(HARMLESS))


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="&;="), min_size=1))
def test_any_other_name_makes_a_query_a_secret(name: str) -> None:
    """Whatever it is called and however it is encoded: nothing but the short list is open by itself."""
    from urllib.parse import unquote_plus

    read = unquote_plus(name).strip().lower()
    assert confidential(f"version=2&{name}=1") or read in HARMLESS


def test_operators_have_a_list_of_their_own() -> None:
    """Names of it are harmless, but for those that are known as secrets."""
    url = Url("https", "a.example", 443, "/x?build=7")
    assert is_confidential(url, None, frozenset(HARMLESS))
    assert not is_confidential(url, None, frozenset({"build"}))
    assert is_confidential(Url("https", "a.example", 443, "/x?token=7"), None, frozenset({"token"}))
