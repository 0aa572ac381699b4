"""Versions of artifacts: semantic versions, read leniently and written canonically."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MAX_COMPONENT: Final = 65535
"""The largest major, minor or patch number."""

MAX_PRERELEASE_DIGITS: Final = 6
"""Digits in a numeric part of a prerelease."""

MAX_SUFFIX: Final = 255
"""Characters in the prerelease, and in the build metadata."""

_NUMBERS: Final = re.compile(r"[0-9]+(?:\.[0-9]+){0,2}")
_FOREIGN: Final = re.compile(r"[^0-9A-Za-z+.-]")
_IDENTIFIERS: Final = re.compile(r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*")
_REMEDY: Final = "give a semantic version such as 1.2.3 or 1.2.3-rc.1+build.5"


@dataclass(frozen=True, slots=True)
class Version:
    """A semantic version. `prerelease` and `build` are the identifiers between the dots, empty where there are none."""

    major: int
    minor: int
    patch: int
    prerelease: tuple[str, ...] = ()
    build: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The canonical form, at most 529 characters."""
        text = f"{self.major}.{self.minor}.{self.patch}"
        if self.prerelease:
            text += "-" + ".".join(self.prerelease)
        if self.build:
            text += "+" + ".".join(self.build)
        return text

    @property
    def key(self) -> str:
        """ASCII text of at most 600 characters that sorts by code point as versions do.

        Build metadata has no say. ``~`` sorts after ``-``, so a release comes after its prereleases; ``!`` sorts before
        all that identifiers may hold, so a shorter identifier comes before one that it begins.
        """
        numbers = f"{self.major:05d}{self.minor:05d}{self.patch:05d}"
        return numbers + ("-" + "!".join(map(_identifier_key, self.prerelease)) if self.prerelease else "~")


def parse(value: str | int | float) -> Version:
    """The version that a text or number means.

    Missing numbers are 0, further ones become build metadata (``1.2.3.4`` is ``1.2.3+4``), what is no part of a
    version becomes ``-`` (``1:0`` is ``1.0.0-0``).

    Raises:
        ValueError: it is no version; the message is the reason and a remedy, without the text.
    """
    text = str(value)
    found = _NUMBERS.match(text)
    if found is None:
        raise ValueError(f"it does not begin with a digit; {_REMEDY}")
    numbers = [_component(digits) for digits in found[0].split(".")]
    major, minor, patch = numbers + [0] * (3 - len(numbers))
    prerelease, build = _split(_FOREIGN.sub("-", text[found.end() :]))
    return Version(
        major,
        minor,
        patch,
        tuple(_prerelease_part(part) for part in _identifiers("prerelease", prerelease)),
        _identifiers("build metadata", build),
    )


def _split(rest: str) -> tuple[str | None, str | None]:
    """Prerelease and build metadata of what follows the numbers; None for what is not there."""
    if not rest or rest == "-":
        return None, None
    if rest[0] in "+.":
        return None, rest[1:].replace("+", ".")
    prerelease, plus, build = rest.removeprefix("-").partition("+")
    return prerelease or None, build.replace("+", ".") if plus else None


def _component(digits: str) -> int:
    if len(digits) > 1 and digits[0] == "0":
        raise ValueError(f"'{digits[:16]}' has a leading zero; {_REMEDY}")
    if len(digits) > len(str(MAX_COMPONENT)) or int(digits) > MAX_COMPONENT:
        raise ValueError(f"'{digits[:16]}' is too large; its numbers may be up to {MAX_COMPONENT}")
    return int(digits)


def _identifiers(what: str, part: str | None) -> tuple[str, ...]:
    if part is None:
        return ()
    if len(part) > MAX_SUFFIX:
        raise ValueError(f"its {what} is longer than {MAX_SUFFIX} characters; shorten it")
    if not _IDENTIFIERS.fullmatch(part):
        raise ValueError(f"its {what} has an empty part; {_REMEDY}")
    return tuple(part.split("."))


def _prerelease_part(part: str) -> str:
    if part.isdecimal():
        if len(part) > 1 and part[0] == "0":
            raise ValueError(f"the number '{part[:16]}' in its prerelease has a leading zero; remove it")
        if len(part) > MAX_PRERELEASE_DIGITS:
            raise ValueError(
                f"a number in its prerelease is longer than {MAX_PRERELEASE_DIGITS} digits; shorten it, or add a letter"
            )
    return part


def _identifier_key(part: str) -> str:
    return f"0{len(part)}{part}" if part.isdecimal() else f"1{part}"
