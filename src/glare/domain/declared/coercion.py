"""What is made of the values that clients send: one function per kind of value.

A function takes any JSON value but null and returns the stored form, or raises `Unacceptable` with a remedy;
`FieldSpec` puts the field and the value before it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final

from glare.domain import moment, version
from glare.domain.declared import legacy


class Kind(StrEnum):
    """The kinds of single values; the text is what schemas call ``glareType``, except for versions."""

    STRING = "String"
    INTEGER = "Integer"
    FLOAT = "Float"
    BOOLEAN = "Boolean"
    DATETIME = "DateTime"
    VERSION = "Version"
    LINK = "Link"
    BLOB = "Blob"


class Shape(StrEnum):
    """Whether a field holds one value of its kind, a list of them, or a dict of them."""

    SCALAR = ""
    LIST = "List"
    DICT = "Dict"


class Unacceptable(ValueError):
    """Why a value cannot be used, as a remedy: ``give an integer``."""


MIN_INTEGER: Final = -(1 << 63)
MAX_INTEGER: Final = (1 << 63) - 1

_INTEGER: Final = re.compile(r"\s*[+-]?[0-9]{1,40}\s*")
_FOURTH_NUMBER: Final = re.compile(r"\d+\.\d+\.\d+\.\d")
_ARTIFACT_LINK: Final = re.compile(r"/artifacts/[^/]+/[^/]+")
_WEB_LINK: Final = re.compile(r"https?://[^/\s]")


def _string(value: Any) -> str:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, (bool, int, float)):
        return legacy.as_text(value)
    raise Unacceptable("give a string")


def _integer(value: Any) -> int:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Unacceptable("give an integer")
        number = int(value)
    elif isinstance(value, int) or (isinstance(value, str) and _INTEGER.fullmatch(value)):
        number = int(value)
    else:
        raise Unacceptable("give an integer")
    if not MIN_INTEGER <= number <= MAX_INTEGER:
        raise Unacceptable(f"give an integer between {MIN_INTEGER} and {MAX_INTEGER}")
    return number


def _float(value: Any) -> float:
    if not isinstance(value, (str, int, float)):
        raise Unacceptable("give a number")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise Unacceptable("give a finite number") from None
    if not math.isfinite(number):
        raise Unacceptable("give a finite number")
    return number + 0.0  # Turns -0.0 into 0.0: the two are equal, and are found by one filter.


def _datetime(value: Any) -> str:
    try:
        return moment.text(moment.read(value))
    except (TypeError, ValueError, OverflowError):
        raise Unacceptable("give an ISO-8601 date or time such as 2030-01-31T12:00:00Z") from None


def _version(value: Any) -> str:
    if not isinstance(value, (str, int, float)):
        raise Unacceptable("give a semantic version such as 1.2.3")
    try:
        return version.parse(value).text
    except ValueError as reason:
        raise Unacceptable(str(reason)) from None


def require_three_numbers(value: Any) -> None:
    """Raises `Unacceptable` for a version of more numbers than three, of which the others would have no order."""
    if isinstance(value, str) and _FOURTH_NUMBER.match(value):
        raise Unacceptable(
            "a version has three numbers, and further ones have no order; give three, or name them as a prerelease "
            "(1.2.3-4) or build metadata (1.2.3+4)"
        )


def _link(value: Any) -> str:
    if isinstance(value, str) and (_ARTIFACT_LINK.fullmatch(value) or _WEB_LINK.match(value)):
        return storable(value)
    raise Unacceptable("give /artifacts/<type>/<id>, or an http or https URL")


def _blob(_value: Any) -> Any:
    raise Unacceptable("upload its data, or add a location, at its own path")


COERCERS: Final[Mapping[Kind, Callable[[Any], Any]]] = {
    Kind.STRING: _string,
    Kind.INTEGER: _integer,
    Kind.FLOAT: _float,
    Kind.BOOLEAN: legacy.as_boolean,
    Kind.DATETIME: _datetime,
    Kind.VERSION: _version,
    Kind.LINK: _link,
    Kind.BLOB: _blob,
}
"""Kind to its function; the stored form is JSON: text, bool, int within 64 bits, finite float."""


def storable(text: str) -> str:
    """The text itself, unless a database cannot hold it: a NUL, or half of a surrogate pair."""
    if "\0" in text:
        raise Unacceptable("remove the NUL character")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Unacceptable("remove the lone surrogate; it is no character") from None
    return text


def narrow(text: str) -> str:
    """The text itself, unless it holds a character above U+FFFF: quirk 53, for requests before 1.3."""
    if not text.isascii() and max(text) > "\uffff":
        raise Unacceptable("remove the characters above U+FFFF (those of four bytes in UTF-8)")
    return text
