"""How one option is declared: once, as a field of a frozen dataclass.

::

    @section("uploads")
    class UploadSettings:
        stall_timeout: float = seconds("60 s", "How long ...", at_least=1, at_most=3600)

The field's name is the option's name and its type the type of the value. The default is written as a user would write
it in a configuration file. A default that refers to another option (`$state_dir/blobs`) can only be known once options
are read, so such a field must be given when the dataclass is made by hand.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar, dataclass_transform
from urllib.parse import urlsplit

from glare.settings.units import parse_duration, parse_size, show_duration, show_size

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NONE_PLANNED: Mapping[str, str] = MappingProxyType({})

_METADATA = "glare.option"
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


class Planned(ValueError):
    """A value that older or later versions know and this one does not; the message completes "…, but …"."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What values an option takes. `words` complete the sentence "it must be …"; `parse` raises ValueError."""

    words: str
    parse: Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Option:
    """One option. `default` is written as in a configuration file; `help` says what it is for, its unit and why this
    default.

    The value of a `secret` option (it may hold a password) is never shown.
    """

    kind: Kind
    default: str
    help: str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Declared:
    """An option in its place."""

    group: str
    name: str
    option: Option

    @property
    def title(self) -> str:
        return f"[{self.group}] {self.name}"

    @property
    def environment(self) -> str:
        return f"OS_{self.group.upper()}__{self.name.upper()}"


class Section:
    """Base of the dataclasses that hold options; `group` is their group in the configuration file."""

    __slots__ = ()
    group: ClassVar[str]


S = TypeVar("S")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def section(group: str) -> Callable[[type[S]], type[S]]:
    """Make a class a frozen section of the settings, whose options are in `group`."""

    def decorate(cls: type[S]) -> type[S]:
        made = dataclass(frozen=True, slots=True, kw_only=True)(cls)
        made.group = group  # type: ignore[attr-defined]  # Section declares it; a bound would lose the class's own type
        return made

    return decorate


@dataclass_transform(frozen_default=True, kw_only_default=True)
def common(cls: type[S]) -> type[S]:
    """Make a class whose options several sections have, each in its own group: they inherit it."""
    return dataclass(frozen=True, slots=True, kw_only=True)(cls)


def options_of(cls: type[Section]) -> Iterator[Declared]:
    """The options of a section, in the order in which they are declared: its own, then those that it has in common."""
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]  # `section` has made it a dataclass
    for field in sorted(fields, key=lambda field: field.name not in cls.__annotations__):
        if _METADATA in field.metadata:
            yield Declared(cls.group, field.name, field.metadata[_METADATA])


def _field(kind: Kind, default: str, help_text: str, *, secret: bool = False) -> Any:
    option = Option(kind, default, help_text, secret)
    if "$" in default:
        return dataclasses.field(metadata={_METADATA: option})
    return dataclasses.field(default=kind.parse(default), metadata={_METADATA: option})


def text(default: str, help_text: str, *, secret: bool = False, at_most: int = 1024) -> Any:
    """A `str` that is not empty."""

    def parse(value: str) -> str:
        if not 0 < len(value) <= at_most or not value.isprintable():
            raise ValueError
        return value

    return _field(Kind(f"text of 1 to {at_most} printable characters", parse), default, help_text, secret=secret)


def optional_text(help_text: str, *, pattern: re.Pattern[str], words: str) -> Any:
    """A `str` of a shape, or None when unset. `words` say what shape that is."""

    def parse(value: str) -> str | None:
        if value and not pattern.fullmatch(value):
            raise ValueError
        return value or None

    return _field(Kind(f"unset or {words}", parse), "", help_text)


def optional_secret(help_text: str, *, at_most: int = 1024) -> Any:
    """A `str` that is never shown, or None when unset."""

    def parse(value: str) -> str | None:
        if len(value) > at_most or not value.isprintable():
            raise ValueError
        return value or None

    return _field(Kind(f"unset or text of at most {at_most} printable characters", parse), "", help_text, secret=True)


def choice(default: str, help_text: str, choices: Sequence[str], *, planned: Mapping[str, str] = NONE_PLANNED) -> Any:
    """A `str` out of a few. `planned` values are refused with a reason of their own."""

    def parse(value: str) -> str:
        if value not in choices:
            raise Planned(planned[value]) if value in planned else ValueError
        return value

    return _field(Kind(" or ".join(choices), parse), default, help_text)


def optional_choice(help_text: str, choices: Sequence[str], *, planned: Mapping[str, str] = NONE_PLANNED) -> Any:
    """A `str` out of a few, or None when unset. `planned` values are refused with a reason of their own."""

    def parse(value: str) -> str | None:
        if value and value not in choices:
            raise Planned(planned[value]) if value in planned else ValueError
        return value or None

    return _field(Kind(f"unset or {' or '.join(choices)}", parse), "", help_text)


def flag(default: str, help_text: str) -> Any:
    """A `bool`."""
    return _field(Kind("true or false", parse_boolean), default, help_text)


def optional_flag(help_text: str) -> Any:
    """A `bool`, or None when unset."""

    def parse(value: str) -> bool | None:
        return parse_boolean(value) if value else None

    return _field(Kind("unset, true or false", parse), "", help_text)


def integer(default: str, help_text: str, *, at_least: int, at_most: int) -> Any:
    """An `int` within bounds."""

    def parse(value: str) -> int:
        return _within(int(value), at_least, at_most)

    return _field(Kind(f"a whole number from {at_least} to {at_most}", parse), default, help_text)


def count_or_unlimited(default: str, help_text: str) -> Any:
    """An `int` from 0, or -1 for no limit."""

    def parse(value: str) -> int:
        return _within(int(value), -1, 2**53)

    return _field(Kind("a whole number from 0, or -1 for no limit", parse), default, help_text)


def size_or_unlimited(default: str, help_text: str) -> Any:
    """Bytes as an `int` from 0, or -1 for no limit."""

    def parse(value: str) -> int:
        return _within(parse_size(value), -1, 2**53)

    return _field(Kind("a size such as 500 MiB or 1099511627776, or -1 for no limit", parse), default, help_text)


def size(default: str, help_text: str, *, at_least: int, at_most: int) -> Any:
    """Bytes as an `int` within bounds."""

    def parse(value: str) -> int:
        return _within(parse_size(value), at_least, at_most)

    return _field(Kind(f"a size from {show_size(at_least)} to {show_size(at_most)}", parse), default, help_text)


def seconds(default: str, help_text: str, *, at_least: float, at_most: float) -> Any:
    """Seconds as a `float` within bounds."""

    def parse(value: str) -> float:
        return _within(parse_duration(value), at_least, at_most)

    words = f"a duration from {show_duration(at_least)} to {show_duration(at_most)}"
    return _field(Kind(words, parse), default, help_text)


def path(default: str, help_text: str) -> Any:
    """A `Path`, relative to the working directory when it is not absolute."""

    def parse(value: str) -> Path:
        if not value or "\0" in value:
            raise ValueError
        return Path(value).expanduser()

    return _field(Kind("the path of a file or directory", parse), default, help_text)


def optional_path(help_text: str) -> Any:
    """A `Path`, or None when unset."""

    def parse(value: str) -> Path | None:
        if "\0" in value:
            raise ValueError
        return Path(value).expanduser() if value else None

    return _field(Kind("unset or the path of a file", parse), "", help_text)


def optional_url(help_text: str) -> Any:
    """An http(s) URL without user info, query and fragment as a `str` without a slash at its end, or None when
    unset.
    """

    def parse(value: str) -> str | None:
        if not value:
            return None
        url = urlsplit(value)
        if url.scheme not in ("http", "https") or not url.hostname or url.username or url.query or url.fragment:
            raise ValueError
        _within(url.port or 1, 1, 65535)
        return value.rstrip("/")

    return _field(Kind("unset or an http or https URL without user name, query and fragment", parse), "", help_text)


def words(default: str, help_text: str, *, allowed: Sequence[str] = (), empty: bool = True) -> Any:
    """A tuple of `str`, written with commas between them."""

    def parse(value: str) -> tuple[str, ...]:
        found = split_list(value)
        if (not found and not empty) or (allowed and not set(found) <= set(allowed)):
            raise ValueError
        return found

    kind = f"some of {' and '.join(allowed)}" if allowed else "names"
    least = "" if empty else ", at least one"
    return _field(Kind(f"{kind}, with commas between them{least}", parse), default, help_text)


STORE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")


def store_names(default: str, help_text: str, *, planned: Mapping[str, str] = NONE_PLANNED) -> Any:
    """A tuple of names of stores, each once; whether there are such stores is known once all options are read.

    `planned` names are refused with a reason of their own.
    """

    def parse(value: str) -> tuple[str, ...]:
        found = split_list(value)
        for name in found:
            if name in planned:
                raise Planned(planned[name])
            if not STORE_NAME.fullmatch(name):
                raise ValueError
        if len(set(found)) < len(found) or (default and not found):
            raise ValueError
        return found

    least = "one or more names of stores" if default else "unset or names of stores"
    return _field(Kind(f"{least}, each once, with commas between them", parse), default, help_text)


def sources(default: str, help_text: str, choices: Sequence[str], *, planned: Mapping[str, str] = NONE_PLANNED) -> Any:
    """A tuple of `str` out of a few, in an order that counts: at least one, each once.

    `planned` values are refused with a reason of their own.
    """

    def parse(value: str) -> tuple[str, ...]:
        found = split_list(value)
        for name in found:
            if name in planned:
                raise Planned(planned[name])
        if not found or len(set(found)) < len(found) or not set(found) <= set(choices):
            raise ValueError
        return found

    kind = f"one or more of {', '.join(choices)}, each once, with commas between them"
    return _field(Kind(kind, parse), default, help_text)


def urls(default: str, help_text: str, *, at_most: int) -> Any:
    """A tuple of http(s) URLs without user info and fragment."""

    def parse(value: str) -> tuple[str, ...]:
        found = split_list(value)
        if len(found) > at_most:
            raise ValueError
        for item in found:
            url = urlsplit(item)
            if url.scheme not in ("http", "https") or not url.hostname or url.username or url.fragment:
                raise ValueError
            _within(url.port or 1, 1, 65535)
        return found

    return _field(Kind(f"at most {at_most} http or https URLs, with commas between them", parse), default, help_text)


def ports(default: str, help_text: str) -> Any:
    """A tuple of `int`."""

    def parse(value: str) -> tuple[int, ...]:
        return tuple(_within(int(port), 1, 65535) for port in split_list(value))

    return _field(Kind("port numbers from 1 to 65535, with commas between them", parse), default, help_text)


def networks(default: str, help_text: str) -> Any:
    """A tuple of IPv4 and IPv6 networks."""

    def parse(value: str) -> tuple[Network, ...]:
        return tuple(ipaddress.ip_network(item) for item in split_list(value))

    kind = "addresses or networks such as 192.0.2.0/24 or 2001:db8::/32, with commas between them"
    return _field(Kind(kind, parse), default, help_text)


NAT64_LENGTHS = (32, 40, 48, 56, 64, 96)
"""Lengths that RFC 6052 gives a prefix which an IPv4 address is put into."""


def nat64_prefixes(default: str, help_text: str) -> Any:
    """A tuple of IPv6 networks."""

    def parse(value: str) -> tuple[ipaddress.IPv6Network, ...]:
        found = tuple(ipaddress.IPv6Network(item) for item in split_list(value))
        if any(prefix.prefixlen not in NAT64_LENGTHS for prefix in found):
            raise ValueError
        return found

    lengths = ", ".join(map(str, NAT64_LENGTHS))
    kind = f"IPv6 prefixes such as 2001:db8:64::/96 (of length {lengths}), with commas between them"
    return _field(Kind(kind, parse), default, help_text)


def ip_text(default: str, help_text: str) -> Any:
    """An IP address, as a `str`."""

    def parse(value: str) -> str:
        return str(ipaddress.ip_address(value))

    return _field(Kind("an IP address such as 127.0.0.1 or ::1", parse), default, help_text)


def host_names(default: str, help_text: str) -> Any:
    """A tuple of host names in lower case."""

    def parse(value: str) -> tuple[str, ...]:
        found = tuple(item.lower().rstrip(".") for item in split_list(value))
        if not all(re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", item) for item in found):
            raise ValueError
        return found

    return _field(Kind("host names such as example.com, with commas between them", parse), default, help_text)


def optional_proxy(help_text: str) -> Any:
    """Host and port of an HTTP proxy as a tuple, or None when unset."""

    def parse(value: str) -> tuple[str, int] | None:
        if not value:
            return None
        url = urlsplit(value)
        if url.scheme != "http" or not url.hostname or not url.port or value.count("/") != 2 or "@" in value:
            raise ValueError
        return url.hostname, url.port

    return _field(Kind("unset or http://HOST:PORT", parse), "", help_text)


def optional_address(help_text: str) -> Any:
    """An IP address and a TCP port as a tuple, or None when unset."""

    def parse(value: str) -> tuple[str, int] | None:
        if not value:
            return None
        host, separator, port = value.rpartition(":")
        if not separator or (":" in host) != (host.startswith("[") and host.endswith("]")):
            raise ValueError
        return str(ipaddress.ip_address(host.strip("[]"))), _within(int(port), 1, 65535)

    return _field(Kind("unset or an address and a port, such as 127.0.0.1:9495 or [::1]:9495", parse), "", help_text)


def split_list(value: str) -> tuple[str, ...]:
    """The items of a list that is written with commas or line breaks."""
    return tuple(item.strip() for item in re.split(r"[,\n]", value) if item.strip())


def parse_boolean(value: str) -> bool:
    """True or false, from the words that people use; ValueError for others."""
    lowered = value.lower()
    if lowered not in _TRUE | _FALSE:
        raise ValueError
    return lowered in _TRUE


N = TypeVar("N", int, float)


def _within(value: N, at_least: float, at_most: float) -> N:
    if not at_least <= value <= at_most:
        raise ValueError
    return value
