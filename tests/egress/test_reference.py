"""Where a ``Location`` leads, byte for byte."""

from __future__ import annotations

import pytest

from glare.egress.reference import resolve
from glare.egress.url import UnusableUrl, Url, UrlRules

RULES = UrlRules()
MOST = 65536

# RFC 3986, 5.4.1 and 5.4.2: the base is http://a/b/c/d;p?q.
EXAMPLES = {
    "g": "/b/c/g",
    "./g": "/b/c/g",
    "g/": "/b/c/g/",
    "/g": "/g",
    "?y": "/b/c/d;p?y",
    "g?y": "/b/c/g?y",
    "#s": "/b/c/d;p?q",
    "g#s": "/b/c/g",
    "g?y#s": "/b/c/g?y",
    ";x": "/b/c/;x",
    "g;x": "/b/c/g;x",
    "g;x?y#s": "/b/c/g;x?y",
    ".": "/b/c/",
    "./": "/b/c/",
    "..": "/b/",
    "../": "/b/",
    "../g": "/b/g",
    "../..": "/",
    "../../": "/",
    "../../g": "/g",
    "../../../g": "/g",
    "../../../../g": "/g",
    "/./g": "/g",
    "/../g": "/g",
    "g.": "/b/c/g.",
    ".g": "/b/c/.g",
    "g..": "/b/c/g..",
    "..g": "/b/c/..g",
    "./../g": "/b/g",
    "./g/.": "/b/c/g/",
    "g/./h": "/b/c/g/h",
    "g/../h": "/b/c/h",
    "g;x=1/./y": "/b/c/g;x=1/y",
    "g;x=1/../y": "/b/c/y",
    "g?y/./x": "/b/c/g?y/./x",
    "g?y/../x": "/b/c/g?y/../x",
    "g#s/./x": "/b/c/g",
}


@pytest.mark.parametrize("reference", sorted(EXAMPLES))
def test_the_examples_of_the_standard(reference: str) -> None:
    """References are resolved as in RFC 3986, section 5.4."""
    url = resolve(Url("http", "a", 80, "/b/c/d;p?q"), reference, RULES, MOST)
    assert (url.scheme, url.host, url.port, url.target) == ("http", "a", 80, EXAMPLES[reference])


@pytest.mark.parametrize(
    ("reference", "target"),
    [
        # What a signature covers stays, although it looks like nothing.
        ("/f?", "/f?"),
        ("?", "/dir/file?"),
        ("/f;", "/f;"),
        ("/f;?", "/f;?"),
        ("/f;a=1;b?x", "/f;a=1;b?x"),
        ("/f?#part", "/f?"),
        ("/f?x=", "/f?x="),
        ("/f?x=1&&y", "/f?x=1&&y"),
        ("/f?a?b", "/f?a?b"),
        ("/a//b/", "/a//b/"),
        ("/a/%2e%2e/b", "/a/%2e%2e/b"),
        ("/%7Euser/%zz%", "/%7Euser/%zz%"),
        ("/f?sig=a%2Fb/c+d==", "/f?sig=a%2Fb/c+d=="),
        ("//other.example/x?", "/x?"),
        ("https://other.example?x", "/?x"),
        ("https://other.example", "/"),
        ("https://other.example/a/../b", "/b"),
        ("HTTPS://other.example/x", "/x"),
        # What a URL cannot hold is percent-encoded, as curl and wget do.
        ("/a b", "/a%20b"),
        ("/a  b?c d", "/a%20%20b?c%20d"),
        ("a\tb", "/dir/a%09b"),
        ('/"<>^`{|}', "/%22%3C%3E%5E%60%7B%7C%7D"),
        ("\\\\8.8.8.8\\x", "/dir/%5C%5C8.8.8.8%5Cx"),
        ("/\x01\x7f", "/%01%7F"),
        # Bytes that are not ASCII are what they are: two of UTF-8, or one of anything else.
        ("/\xc3\xbc", "/%C3%BC"),
        ("/\xfc?\xe4", "/%FC?%E4"),
        ("1:2", "/dir/1:2"),
        ("[x]?[y]", "/dir/[x]?[y]"),
    ],
)
def test_every_byte_counts(reference: str, target: str) -> None:
    """Path and query are sent as they came, but for bytes that no URL holds."""
    assert resolve(Url("https", "mirror.example", 443, "/dir/file?old"), reference, RULES, MOST).target == target


def test_an_international_host() -> None:
    """The host of a reference may be a name in UTF-8."""
    url = resolve(Url("http", "a", 80, "/"), "http://b\xc3\xbccher.example/x", RULES, MOST)
    assert url.text == "http://xn--bcher-kva.example/x"


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ("", "empty"),
        ("ftp://mirror.example/", "scheme is none of http, https"),
        ("file:///etc/passwd", "scheme is none of http, https"),
        ("mailto:a@b.example", "names a scheme and no host"),
        ("http:next", "names a scheme and no host"),
        ("https:/next", "names a scheme and no host"),
        ("http://u:p@mirror.example/", "user info"),
        ("http://mirror.example:22/", "port 22 is not opened"),
        ("http://mirror.example:x/", "port is not a number"),
        ("//", "host is not a valid name"),
        ("//[::1", "bracket"),
        ("http://b\xfccher.example/", "not a valid international name"),
        ("http://mirror/", "single label"),
        ("/" + 70_000 * "a", "at most 65536"),
        ("/" + 30_000 * " ", "it has 900"),
    ],
)
def test_the_true_cause(reference: str, why: str) -> None:
    """What cannot be followed is refused with what is wrong with it, and without the path and query."""
    with pytest.raises(UnusableUrl, match=why) as caught:
        resolve(Url("http", "mirror.example", 80, "/s3cr3t?sig=s3cr3t"), reference, RULES, MOST)
    assert "s3cr3t" not in str(caught.value)


def test_a_target_may_be_longer_than_what_is_recorded() -> None:
    """The limit of recorded URLs, 2 048 characters, is not that of redirects."""
    target = "/f?sig=" + 20_000 * "x"
    assert resolve(Url("http", "a", 80, "/"), target, RULES, MOST).target == target
