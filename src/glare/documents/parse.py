"""Documents and query parameters from requests, and what is wrong with them in sentences.

What a member must be is made from its type. A declaration says it better where that helps:
`Meta(extra={"must_be": …})` for members, `Meta(extra={"remedy": …})` for parameters. The value is repeated, but not
that of `Meta(extra={"secret": True})`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
from msgspec import inspect

from glare.documents.parts import names_of
from glare.errors import BadRequest, InvalidParameterValue

D = TypeVar("D", bound=msgspec.Struct)
T = TypeVar("T")

_QUOTED: Final = 40
_LONGEST_PARAMETER: Final = 255
_PLACE: Final = re.compile(r"(.*) - at `\$([^`]*)`", re.DOTALL)
_STEP: Final = re.compile(r"\.(\w+)|\[(\d+)\]")
_UNKNOWN: Final = "Object contains unknown field `"
_NAMED: Final = re.compile(r".* field `(.*)`", re.DOTALL)


def parse(document: type[T], body: Any) -> T:
    """The document that a JSON value is. Raises `BadRequest` that names the member, `InvalidParameterValue` for a word
    that is none of a few.
    """
    try:
        return msgspec.convert(body, document)
    except msgspec.ValidationError as wrong:
        raise _refusal(document, body, str(wrong)) from None


def parse_query(document: type[D], pairs: Sequence[tuple[str, str]]) -> D:
    """The parameters of a query, each given once. Raises `InvalidParameterValue` that names the parameter."""
    known = names_of(document)
    given: dict[str, Any] = {}
    for name, value in pairs:
        if name not in known:
            raise InvalidParameterValue(f"Parameter '{name[:_QUOTED]}' is not known here; use {', '.join(known)}.")
        if name in given:
            raise InvalidParameterValue(f"Parameter '{name}' is given twice; give it once.")
        if len(value) > _LONGEST_PARAMETER or "\0" in value:
            raise InvalidParameterValue(
                f"Parameter '{name}' may have at most {_LONGEST_PARAMETER} characters, and no NUL."
            )
        given[name] = value
    fields = {field.encode_name: _Member.of(field.type) for field in _fields(document)}
    numbers = {
        name: int(text) for name, text in given.items() if fields[name].is_number and text.isascii() and text.isdigit()
    }
    try:
        return msgspec.convert(given | numbers, document)
    except msgspec.ValidationError as wrong:
        place = _PLACE.fullmatch(str(wrong))
        name = place[2].lstrip(".") if place else ""
        if name not in fields:
            raise
        raise InvalidParameterValue(
            f"Parameter '{name}' is '{given[name][:_QUOTED]}'; {fields[name].remedy}."
        ) from None


class _Member:
    """What the declaration of one member says."""

    def __init__(self, kind: inspect.Type, extra: Mapping[str, Any]) -> None:
        self.kind = kind
        self.nullable = False
        self._extra = extra
        if isinstance(kind, inspect.UnionType):
            others = [one for one in kind.types if not isinstance(_bare(one), inspect.NoneType)]
            self.nullable = len(others) < len(kind.types)
            inner = _Member.of(others[0])
            self.kind, self._extra = inner.kind, {**inner._extra, **extra}

    @classmethod
    def of(cls, kind: inspect.Type) -> _Member:
        extra: dict[str, Any] = {}
        while isinstance(kind, inspect.Metadata):
            extra = {**(kind.extra or {}), **extra}
            kind = kind.type
        return cls(kind, extra)

    @property
    def is_number(self) -> bool:
        return isinstance(self.kind, inspect.IntType)

    @property
    def is_secret(self) -> bool:
        return bool(self._extra.get("secret"))

    @property
    def must_be(self) -> str:
        said = self._extra.get("must_be")
        return str(said) if said else _phrase(self.kind) + (" or null" if self.nullable else "")

    @property
    def remedy(self) -> str:
        return str(self._extra.get("remedy") or f"give {_phrase(self.kind)}")

    def at(self, step: str | int) -> _Member | None:
        """The declaration of a member of this one, or of its elements."""
        if isinstance(step, int):
            return _Member.of(self.kind.item_type) if isinstance(self.kind, inspect.ListType) else None
        if not isinstance(self.kind, inspect.StructType):
            return None
        return next((_Member.of(field.type) for field in self.kind.fields if field.encode_name == step), None)


def _refusal(document: Any, body: Any, message: str) -> BadRequest:
    """The sentence for what msgspec has found."""
    place = _PLACE.fullmatch(message)
    if isinstance(body, dict) and message.startswith(_UNKNOWN) and message[len(_UNKNOWN) : -1] in body:
        place = None  # What looks like a place is in the name that the client has made up.
    found, path = (place[1], place[2]) if place else (message, "")
    member = _Member.of(inspect.type_info(document))
    named = _NAMED.fullmatch(found)
    value, name = body, ""
    for step in _STEP.finditer(path):
        key: str | int = step[1] if step[1] else int(step[2])
        inner = member.at(key)
        if inner is None or (isinstance(key, int) and isinstance(inner.kind, inspect.EnumType)):
            break  # Of an element that is one of a few words, the list is spoken of.
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            break
        member, name = inner, _joined(name, key)
    if named and found.startswith(_UNKNOWN) and isinstance(member.kind, inspect.StructType):
        known = ", ".join(field.encode_name for field in member.kind.fields)
        return BadRequest(f"Member '{_joined(name, named[1])[:_QUOTED]}' is not known here; use {known}.")
    if named and "missing" in found:
        lacking = member.at(named[1])
        must_be = f" and must be {lacking.must_be}" if lacking else ""
        return BadRequest(f"Member '{_joined(name, named[1])}' is required{must_be}.")
    if not name:
        return BadRequest(f"The body must be {member.must_be}.")
    kind = InvalidParameterValue if isinstance(member.kind, inspect.EnumType) and isinstance(value, str) else BadRequest
    if found.startswith("Expected `str` of length") and isinstance(value, str):
        return kind(f"Member '{name}' must be {member.must_be}; it has {len(value)}.")
    said = "" if member.is_secret else _said(value)
    return kind(f"Member '{name}' must be {member.must_be}{said}.")


def _joined(name: str, key: str | int) -> str:
    if isinstance(key, int):
        return f"{name}[{key}]"
    return f"{name}.{key}" if name else key


def _said(value: Any) -> str:
    if isinstance(value, str):
        more = "…" if len(value) > _QUOTED else ""
        return f"; it is '{value[:_QUOTED]}{more}'" if value.isprintable() and value else ""
    if isinstance(value, bool) or value is None:
        return f"; it is {str(value).lower() if value is not None else 'null'}"
    return f"; it is {str(value)[:_QUOTED]}" if isinstance(value, int | float) else ""


def _fields(document: type[msgspec.Struct]) -> Sequence[inspect.Field]:
    info = inspect.type_info(document)
    return info.fields if isinstance(info, inspect.StructType) else ()


def _bare(kind: inspect.Type) -> inspect.Type:
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    return kind


def _phrase(kind: inspect.Type) -> str:
    """What a value of this type is, in words."""
    match kind:
        case inspect.StrType():
            return f"a string{_length(kind.min_length, kind.max_length)}"
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return f"an integer{_bounds(kind.ge, kind.le)}"
        case inspect.EnumType():
            return f"one of {', '.join(str(word.value) for word in kind.cls)}"
        case inspect.LiteralType():
            return f"one of {', '.join(map(str, kind.values))}"
        case inspect.ListType():
            return "an array of " + _plural(_Member.of(kind.item_type).kind)
        case inspect.StructType():
            required = all(field.required for field in kind.fields)
            return f"a JSON object with {'' if required else 'members out of '}{_listed(_names(kind))}"
    return "another value"


def _plural(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.StructType):
        return f"objects with {_listed(_names(kind))}"
    if isinstance(kind, inspect.EnumType):
        return f"words out of {', '.join(str(word.value) for word in kind.cls)}"
    return "strings" if isinstance(kind, inspect.StrType) else "values"


def _names(kind: inspect.StructType) -> Sequence[str]:
    return [f"'{field.encode_name}'" for field in kind.fields]


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _length(least: int | None, most: int | None) -> str:
    if least and most:
        return f" of {least} to {most} characters"
    if most:
        return f" of at most {most} characters"
    return f" of {least} character{'s' if least > 1 else ''} or more" if least else ""


def _bounds(least: int | None, most: int | None) -> str:
    if least is not None and most is not None:
        return f" from {least} to {most}"
    return f" of {least} or more" if least is not None else ""
