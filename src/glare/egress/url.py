"""The URL of an external location: parsed once, into the form that is decided on, stored and sent.

The host is brought to the form that a browser or `inet_aton` would connect to before anything is decided about it: a
name to lower-case A-labels (UTS 46), an address in decimal, octal, hexadecimal or short spelling to dotted decimal, an
IPv6 address to its RFC 5952 text. Sources: RFC 3986, WHATWG URL (host parsing), UTS 46, `inet_aton(3)`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from urllib.parse import quote

import idna

from glare.errors import LocationRefused

MAX_LENGTH: Final = 2048
"""Characters in a URL, before and after normalisation."""

DEFAULT_PORTS: Final = {"http": 80, "https": 443}

_MAX_HOST: Final = 253
_MAX_PORT: Final = 65535
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z")
_NUMBER: Final = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)\Z")
_PORT: Final = re.compile(r"[0-9]{1,5}\Z")
SENT_AS_IS: Final = "/?:@!$&'()*+,;=-._~%[]"
"""What is not percent-encoded in a path or query, beside letters and digits."""


@dataclass(frozen=True, slots=True)
class UrlRules:
    """What an operator allows a URL to say. `schemes` are lower-case; `ports` are the opened TCP ports, by the option
    `ports_option`, None for all.
    """

    schemes: frozenset[str] = frozenset({"http", "https"})
    ports: frozenset[int] | None = frozenset({80, 443})
    ports_option: str = "[locations] allowed_ports"


ANY_URL: Final = UrlRules(ports=None)
"""For what is named and never requested."""


@dataclass(frozen=True, slots=True)
class Url:
    """A parsed URL.

    `host` is a lower-case A-label name without trailing dot, or the canonical text of an address (IPv6 without
    brackets); `target` is path and query exactly as they are sent, beginning with a slash.
    """

    scheme: str
    host: str
    port: int
    target: str = field(repr=False)  # It may hold a signature.

    @property
    def address(self) -> IPv4Address | IPv6Address | None:
        """The address, where the host is one."""
        try:
            return ip_address(self.host)
        except ValueError:
            return None

    @property
    def host_header(self) -> str:
        """Host and port for the ``Host`` header: brackets around IPv6, no port where it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS.get(self.scheme) else f"{host}:{self.port}"

    @property
    def redacted(self) -> str:
        """What may be logged, and shown of a confidential URL: scheme and host only."""
        return f"{self.scheme}://{self.host_header}"

    @property
    def text(self) -> str:
        """The canonical URL. `parse` of it gives this value again."""
        return f"{self.redacted}{self.target}"

    @property
    def query(self) -> str:
        """What follows the first question mark, without it."""
        return self.target.partition("?")[2]


class UnusableUrl(ValueError):
    """Its text says what is wrong with a URL, and `remedy` what its author can do. They never repeat path, query or
    user info.
    """

    def __init__(self, why: str, remedy: str = "") -> None:
        super().__init__(why)
        self.remedy = remedy


def parse(text: str, rules: UrlRules) -> Url:
    """The URL that `text` spells.

    Characters of path and query that RFC 3986 does not allow there (non-ASCII ones as UTF-8) are percent-encoded, as
    browsers do; nothing else of them is touched. Raises `LocationRefused` with a message that says what to change and
    never repeats path, query or user info.
    """
    try:
        return _parse(text, rules)
    except UnusableUrl as why:
        what = "; ".join(filter(None, (str(why), why.remedy)))
        raise LocationRefused(f"The value of 'url' cannot be used: {what}.") from None


def _parse(text: str, rules: UrlRules) -> Url:
    if len(text) > MAX_LENGTH:
        raise UnusableUrl(f"it has {len(text)} characters, and at most {MAX_LENGTH} are allowed")
    _check_characters(text)
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in rules.schemes:
        allowed = " or ".join(f"{name}://" for name in sorted(rules.schemes))
        raise UnusableUrl(f"it must begin with {allowed} in lower case")
    cut = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    url = compose(scheme, rest[:cut], quote(rest[cut:], safe=SENT_AS_IS), rules)
    if len(url.text) > MAX_LENGTH:
        raise UnusableUrl(f"with its characters percent-encoded it is longer than {MAX_LENGTH}")
    return url


def compose(scheme: str, authority: str, target: str, rules: UrlRules) -> Url:
    """The URL of these parts. `target` is path and query, encoded as they are sent. Raises `UnusableUrl`."""
    if scheme not in rules.schemes:
        raise UnusableUrl(f"its scheme is none of {', '.join(sorted(rules.schemes))}")
    host, port = _split_authority(authority)
    number = int(port) if port else DEFAULT_PORTS.get(scheme, 0)
    if rules.ports is None:
        if not 0 < number <= _MAX_PORT:
            raise UnusableUrl(f"port {number} does not exist", f"ports go up to {_MAX_PORT}")
    elif number not in rules.ports:
        opened = ", ".join(map(str, sorted(rules.ports)))
        raise UnusableUrl(
            f"port {number} is not opened",
            f"opened are {opened}, and the operator opens others with {rules.ports_option}",
        )
    return Url(scheme, host, number, target if target.startswith("/") else f"/{target}")


def _check_characters(text: str) -> None:
    if "#" in text:
        raise UnusableUrl("it has a fragment", "leave out '#' and what follows")
    if "\\" in text:
        raise UnusableUrl("it has a backslash", "percent-encode it as %5C")
    for character in text:
        if character == " " or unicodedata.category(character)[0] in "CZ":
            raise UnusableUrl(
                f"it has the character U+{ord(character):04X}; percent-encode spaces and control characters"
            )


def _split_authority(authority: str) -> tuple[str, str]:
    """Normalised host, and port as it is written ("" where there is none)."""
    if "@" in authority:
        raise UnusableUrl("it holds user info", "locations are read without credentials")
    if "%" in authority:
        raise UnusableUrl("its host holds a percent sign; zone ids and encoded hosts are not allowed")
    if authority.startswith("["):
        literal, bracket, after = authority[1:].partition("]")
        if not bracket or (after and not after.startswith(":")):
            raise UnusableUrl("its IPv6 address is not closed with a bracket")
        host, port = _ipv6(literal), after[1:]
    else:
        name, _, port = authority.partition(":")
        host = _ipv4_or_name(name)
    if port and not _PORT.match(port):
        raise UnusableUrl("its port is not a number")
    return host, port


def _ipv6(literal: str) -> str:
    try:
        address = IPv6Address(literal)
    except ValueError:
        raise UnusableUrl("its host is not an IPv6 address") from None
    mapped = address.ipv4_mapped
    if mapped is None:
        return str(address)
    # Python versions print mapped addresses differently; one URL must have one text.
    return f"::ffff:{int(mapped) >> 16:x}:{int(mapped) & 0xFFFF:x}"


def _ipv4_or_name(name: str) -> str:
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            raise UnusableUrl("its host is not a valid international name") from None
    host = name.lower().removesuffix(".")
    labels = host.split(".")
    if _NUMBER.match(labels[-1]):
        return _ipv4(labels)
    if len(host) > _MAX_HOST or not all(_LABEL.match(label) for label in labels):
        raise UnusableUrl("its host is not a valid name")
    if len(labels) == 1:
        raise UnusableUrl("its host is a single label", "use a fully qualified name")
    return host


def _ipv4(labels: list[str]) -> str:
    """Dotted decimal of one to four numbers, the last of which fills all remaining bytes, as `inet_aton` reads them."""
    try:
        numbers = [_number(label) for label in labels]
    except ValueError:
        numbers = []
    *leading, last = numbers or [-1]
    if len(numbers) not in range(1, 5) or any(part > 255 for part in leading):
        raise UnusableUrl("its host looks like an IPv4 address and is none")
    if last >= 256 ** (4 - len(leading)):
        raise UnusableUrl("its host looks like an IPv4 address and is none")
    value = sum(part << (8 * (3 - at)) for at, part in enumerate(leading)) + last
    return str(IPv4Address(value))


def _number(label: str) -> int:
    """A part of an IPv4 address: hexadecimal after 0x, octal after 0, else decimal. Raises ValueError."""
    if not _NUMBER.match(label):
        raise ValueError(label)
    if label.startswith("0x"):
        return int(label[2:] or "0", 16)
    return int(label, 8 if label.startswith("0") else 10)
