from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glare.egress.url import MAX_LENGTH, Url, UrlRules, parse
from glare.errors import LocationRefused

RULES = UrlRules(ports=frozenset({80, 443, 8080}))


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("http://example.com", "http://example.com/"),
        ("http://example.com:80/a", "http://example.com/a"),
        ("http://example.com:/a", "http://example.com/a"),
        ("https://EXAMPLE.com.:443/A?b=C", "https://example.com/A?b=C"),
        ("http://example.com:8080?x", "http://example.com:8080/?x"),
        ("http://example.com/a//b/../c%2fd?e=[1]", "http://example.com/a//b/../c%2fd?e=[1]"),
        ("http://example.com/ü?ü", "http://example.com/%C3%BC?%C3%BC"),
        ("http://example.com/a|b", "http://example.com/a%7Cb"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://ＥＸＡＭＰＬＥ．com/", "http://example.com/"),
        ("http://my_bucket.example.com/", "http://my_bucket.example.com/"),
        ("http://[2001:DB8:0::1]:8080/", "http://[2001:db8::1]:8080/"),
        ("http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/"),
        ("http://[64:ff9b::169.254.169.254]/", "http://[64:ff9b::a9fe:a9fe]/"),
    ],
)
def test_one_canonical_text(text: str, canonical: str) -> None:
    """A URL has one canonical text, which parses to the same value again."""
    url = parse(text, RULES)
    assert url.text == canonical
    assert parse(url.text, RULES) == url


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "127.0.1", "2130706433", "0177.0.0.1", "0x7f.1", "0x7f000001", "017700000001"),
        *("0X7F.0.0.1", "127.0.0.1.", "127.0.0x0.1", "00000177.0.0.01", "１２７.０.０.１", "127。0。0。1", "①②⑦.0.0.1"),
    ],
)
def test_spellings_of_an_address(host: str) -> None:
    """Every spelling of an IPv4 address that a resolver would take is that address."""
    assert parse(f"http://{host}/", RULES).host == "127.0.0.1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "httpfoo://example.com/",
        "httpfoo",
        "http:example.com",
        "HTTP://example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "//example.com/",
        "http://",
        "http:///path",
        "http://user@example.com/",
        "http://user:pass@example.com/",
        "http://@example.com/",
        "http://example.com/#fragment",
        "http://example.com#",
        "http://example.com\\@evil.example/",
        "http://example.com/a b",
        " http://example.com/",
        "http://example.com/\n",
        "http://example.com/\t",
        "http://example.com/\x00",
        "http://example.com/\x7f",
        "http://example.com/\u202e",
        "http://example.com/\ud800",
        "http://exa\u200bmple.com/",
        "http://[fe80::1%25eth0]/",
        "http://[fe80::1%eth0]/",
        "http://exam%70le.com/",
        "http://[::1",
        "http://[::1]x/",
        "http://[127.0.0.1]/",
        "http://::1/",
        "http://localhost/",
        "http://localhost./",
        "http://example/",
        "http://.example.com/",
        "http://example..com/",
        "http://example.com../",
        "http://-a.example/",
        "http://ex!ample.com/",
        "http://℀.example/",
        f"http://{'a' * 64}.example/",
        f"http://{'a.' * 130}example/",
        "http://example.com:22/",
        "http://example.com:0/",
        "http://example.com:99999/",
        "http://example.com:8 0/",
        "http://example.com:+80/",
        "http://example.com:٨٠/",
        "http://256.1.1.1/",
        "http://1.2.3.4.5/",
        "http://1.2.3.0x100/",
        "http://08.1.1.1/",
        "http://foo.1/",
        "http://4294967296/",
        "http://1..1/",
        f"http://example.com/{'a' * MAX_LENGTH}",
        f"http://example.com/{'ü' * 1000}",
    ],
)
def test_refused(text: str) -> None:
    """A URL that could be read in two ways, or that the operator has not opened, is refused."""
    with pytest.raises(LocationRefused) as caught:
        parse(text, RULES)
    assert "'url'" in caught.value.message


def test_message_keeps_secrets() -> None:
    """A refusal repeats neither user info nor path nor query."""
    with pytest.raises(LocationRefused) as caught:
        parse("http://user:hunter2@example.com/hunter2?token=hunter2", RULES)
    assert "hunter2" not in caught.value.message + caught.value.reason


@given(st.text(max_size=60))
def test_any_text_is_parsed_or_refused(rest: str) -> None:
    """Whatever follows the scheme is refused, or gives a value whose text is ASCII and parses to itself."""
    try:
        url = parse(f"http://{rest}", RULES)
    except LocationRefused:
        return
    assert url.text.isascii()
    assert parse(url.text, RULES) == url


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.lists(st.sampled_from(["", "0", "0x"]), min_size=4, max_size=4))
def test_numeric_hosts(value: int, parts: int, bases: list[str]) -> None:
    """Any IPv4 address in one to four decimal, octal or hexadecimal parts is read as that address."""
    numbers = [value >> 8 * (3 - at) & 0xFF for at in range(parts - 1)] + [value & 256 ** (5 - parts) - 1]
    formats = {"": "d", "0": "o", "0x": "x"}
    host = ".".join(f"{base}{number:{formats[base]}}" for base, number in zip(bases, numbers, strict=False))
    assert parse(f"http://{host}/", RULES).address == IPv4Address(value)


@given(st.integers(0, 2**128 - 1))
def test_ipv6_hosts(value: int) -> None:
    """Any IPv6 address, however it is written, is read as that address and has one text."""
    address = IPv6Address(value)
    url, exploded = parse(f"http://[{address}]/", RULES), parse(f"http://[{address.exploded.upper()}]/", RULES)
    assert url == exploded
    assert url.address == address


def test_host_header() -> None:
    """The Host header holds the port only where it is not the scheme's own."""
    assert Url("https", "a.example", 443, "/").host_header == "a.example"
    assert Url("http", "a.example", 443, "/").host_header == "a.example:443"
    assert Url("http", "2001:db8::1", 8080, "/x?y").redacted == "http://[2001:db8::1]:8080"
