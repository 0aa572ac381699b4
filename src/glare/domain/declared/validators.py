"""The rules that a value meets after coercion, each with the JSON Schema keys that say the same."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from glare.domain.declared import legacy
from glare.domain.declared.coercion import Unacceptable
from glare.domain.wording import counted

UUID_PATTERN: Final = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"


class Validator(Protocol):
    """A rule about a coerced value."""

    def check(self, value: Any) -> Any:
        """The value to store. Raises `Unacceptable`."""

    def schema(self) -> Mapping[str, Any]:
        """The JSON Schema keys of the rule; none where JSON Schema has no words for it."""


@dataclass(frozen=True, slots=True)
class Uuid:
    """A UUID in any form that Python parses; stored as given."""

    def check(self, value: str) -> str:
        try:
            uuid.UUID(value)
        except ValueError:
            raise Unacceptable("give a UUID") from None
        return value

    def schema(self) -> Mapping[str, Any]:
        return {"pattern": UUID_PATTERN}


@dataclass(frozen=True, slots=True)
class AllowedValues:
    values: tuple[Any, ...]

    def check(self, value: Any) -> Any:
        if value not in self.values:
            raise Unacceptable("give one of " + ", ".join(map(str, self.values)))
        return value

    def schema(self) -> Mapping[str, Any]:
        return {"enum": list(self.values)}


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression that matches from the start of the value; it need not reach the end."""

    pattern: str

    def check(self, value: str) -> str:
        if not re.match(self.pattern, value):
            raise Unacceptable(f"give text that matches {self.pattern}")
        return value

    def schema(self) -> Mapping[str, Any]:
        return {"pattern": self.pattern}


@dataclass(frozen=True, slots=True)
class ForbiddenCharacters:
    """None of these characters. The pattern that says so asks for one character at least, so the rule does too."""

    characters: str

    def check(self, value: str) -> str:
        if not value:
            raise Unacceptable("give at least 1 character")
        for character in self.characters:
            if character in value:
                raise Unacceptable(f"remove the character '{character}'")
        return value

    def schema(self) -> Mapping[str, Any]:
        return {"pattern": f"^[^{self.characters}]+$"}


@dataclass(frozen=True, slots=True)
class Length:
    """Characters of a text, inclusive."""

    minimum: int | None
    maximum: int | None

    def check(self, value: str) -> str:
        _within(len(value), self.minimum, self.maximum, "character")
        return value

    def schema(self) -> Mapping[str, Any]:
        return _bounds("minLength", self.minimum, "maxLength", self.maximum)


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of a number, inclusive."""

    minimum: float | None
    maximum: float | None

    def check(self, value: float) -> float:
        if self.minimum is not None and value < self.minimum:
            raise Unacceptable(f"give a number of at least {self.minimum}")
        if self.maximum is not None and value > self.maximum:
            raise Unacceptable(f"give a number of at most {self.maximum}")
        return value

    def schema(self) -> Mapping[str, Any]:
        return _bounds("minimum", self.minimum, "maximum", self.maximum)


@dataclass(frozen=True, slots=True)
class ListSize:
    minimum: int | None
    maximum: int | None

    def check(self, value: list[Any]) -> list[Any]:
        _within(len(value), self.minimum, self.maximum, "element")
        return value

    def schema(self) -> Mapping[str, Any]:
        return _bounds("minItems", self.minimum, "maxItems", self.maximum)


@dataclass(frozen=True, slots=True)
class DictSize:
    minimum: int | None
    maximum: int | None

    def check(self, value: dict[str, Any]) -> dict[str, Any]:
        _within(len(value), self.minimum, self.maximum, "key")
        return value

    def schema(self) -> Mapping[str, Any]:
        return _bounds("minProperties", self.minimum, "maxProperties", self.maximum)


@dataclass(frozen=True, slots=True)
class Unique:
    """No element twice: refused, or silently dropped."""

    drop: bool

    def check(self, value: list[Any]) -> list[Any]:
        kept = legacy.without_duplicates(value)
        if len(kept) < len(value) and not self.drop:
            raise Unacceptable("give each element once")
        return kept

    def schema(self) -> Mapping[str, Any]:
        return {"uniqueItems": True}


@dataclass(frozen=True, slots=True)
class KeyLength:
    """Characters in each key of a dict, inclusive. JSON Schema has no word for it here."""

    minimum: int
    maximum: int

    def check(self, value: Collection[str]) -> Collection[str]:
        for key in value:
            if not self.minimum <= len(key) <= self.maximum:
                raise Unacceptable(f"give keys of {self.minimum} to {self.maximum} characters")
        return value

    def schema(self) -> Mapping[str, Any]:
        return {}


@dataclass(frozen=True, slots=True)
class AllowedKeys:
    """Only these keys. The schema lists them as properties, which `glare.domain.declared.schema` writes."""

    keys: tuple[str, ...]

    def check(self, value: Collection[str]) -> Collection[str]:
        for key in value:
            if key not in self.keys:
                raise Unacceptable("use only the keys " + ", ".join(self.keys))
        return value

    def schema(self) -> Mapping[str, Any]:
        return {"additionalProperties": False}


@dataclass(frozen=True, slots=True)
class RequiredKeys:
    """These keys at least."""

    keys: tuple[str, ...]

    def check(self, value: Collection[str]) -> Collection[str]:
        for key in self.keys:
            if key not in value:
                raise Unacceptable(f"add the key '{key}'")
        return value

    def schema(self) -> Mapping[str, Any]:
        return {"required": list(self.keys)}


def _within(size: int, minimum: int | None, maximum: int | None, what: str) -> None:
    if minimum is not None and size < minimum:
        raise Unacceptable(f"give at least {counted(minimum, what)}")
    if maximum is not None and size > maximum:
        raise Unacceptable(f"give at most {counted(maximum, what)}")


def _bounds(low: str, minimum: float | None, high: str, maximum: float | None) -> dict[str, Any]:
    return {key: bound for key, bound in ((low, minimum), (high, maximum)) if bound is not None}
