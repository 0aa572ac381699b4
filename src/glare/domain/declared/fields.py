"""Field declarations: what a type author writes. They are checked and compiled when the type is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar, Final

from glare.domain.declared.coercion import Kind, Shape
from glare.domain.declared.validators import (
    AllowedKeys,
    AllowedValues,
    DictSize,
    ForbiddenCharacters,
    KeyLength,
    Length,
    ListSize,
    Pattern,
    Range,
    RequiredKeys,
    Unique,
    Uuid,
    Validator,
)
from glare.domain.microversion import Microversion

MAX_STRING: Final = 255
MAX_ITEMS: Final = 255
MAX_KEY: Final = 255
MAX_BLOB_SIZE: Final = 10_485_760
MAX_FOLDER_SIZE: Final = 2_673_868_800


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds text and containers for which a type says nothing: characters of a text, elements of a list or keys
    of a dict.
    """

    text: int
    items: int


OLDER: Final = Limits(MAX_STRING, MAX_ITEMS)
"""Those of the original service, for requests before `WIDER_TEXT`."""

WIDER: Final = Limits(4096, 2000)
"""Those since then, where the operator sets no others."""


class Unset:
    """No default was declared."""


UNSET: Final = Unset()


@dataclass(frozen=True)
class Field:
    """The options that every field has.

    mutable
        may change while the artifact is active
    required_on_activate
        must have a value before the artifact can be activated
    system
        only hooks set it; clients see it
    nullable
        may be without a value; one that is not needs a default, or a value when the artifact is created
    default
        what shows when there is no value; containers default to an empty one
    sortable
        lists can be sorted by it
    filter_ops
        the operators that filters may use, those usual for its kind when left out
    metadata
        an object for people and programs that read the schema
    since
        the first microversion that knows the field; older requests see nothing of it
    field_name
        its name on the wire, where the attribute's cannot be it (``display_name``)
    """

    kind: ClassVar[Kind]
    shape: ClassVar[Shape] = Shape.SCALAR

    description: str | None = None
    _: KW_ONLY
    mutable: bool = False
    required_on_activate: bool = True
    system: bool = False
    nullable: bool = True
    default: Any = UNSET
    sortable: bool = False
    filter_ops: Sequence[str] | None = None
    metadata: Mapping[str, Any] | None = None
    since: Microversion | None = None
    field_name: str | None = None

    def element_rules(self) -> tuple[Validator, ...]:
        """The rules for a value, or for each element of a container."""
        return ()

    def container_rules(self) -> tuple[Validator, ...]:
        """The rules for a container as a whole."""
        return ()


@dataclass(frozen=True)
class String(Field):
    """Text. Where neither `max_length` nor `allowed` is given, `max_length` is 255, and more since microversion 1.3
    unless it is `sortable`.

    `pattern` matches from the start of the text.
    """

    kind = Kind.STRING

    _: KW_ONLY
    allowed: Sequence[str] = ()
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    forbidden_chars: str = ""
    uuid: bool = False

    @property
    def longest(self) -> int | None:
        """The most characters that it may have, None where only the allowed values say so."""
        return self.max_length if self.max_length is not None or self.allowed else MAX_STRING

    def element_rules(self) -> tuple[Validator, ...]:
        longest = self.longest
        return (
            *((Uuid(),) if self.uuid else ()),
            *((AllowedValues(tuple(self.allowed)),) if self.allowed else ()),
            *((Pattern(self.pattern),) if self.pattern is not None else ()),
            *((ForbiddenCharacters(self.forbidden_chars),) if self.forbidden_chars else ()),
            *((Length(self.min_length, longest),) if (self.min_length, longest) != (None, None) else ()),
        )


@dataclass(frozen=True)
class Integer(Field):
    """A whole number within 64 bits; bounds are inclusive."""

    kind = Kind.INTEGER

    _: KW_ONLY
    allowed: Sequence[int] = ()
    minimum: int | None = None
    maximum: int | None = None

    def element_rules(self) -> tuple[Validator, ...]:
        return _number_rules(self.allowed, self.minimum, self.maximum)


@dataclass(frozen=True)
class Float(Field):
    """A finite number; bounds are inclusive."""

    kind = Kind.FLOAT

    _: KW_ONLY
    allowed: Sequence[float] = ()
    minimum: float | None = None
    maximum: float | None = None

    def element_rules(self) -> tuple[Validator, ...]:
        return _number_rules(self.allowed, self.minimum, self.maximum)


@dataclass(frozen=True)
class Boolean(Field):
    kind = Kind.BOOLEAN


@dataclass(frozen=True)
class DateTime(Field):
    """A point in time, kept in UTC with whole seconds."""

    kind = Kind.DATETIME


@dataclass(frozen=True)
class Version(Field):
    """A semantic version; filters and sorting know its order."""

    kind = Kind.VERSION


@dataclass(frozen=True)
class Link(Field):
    """Another artifact (``/artifacts/<type>/<id>``), or an http(s) URL."""

    kind = Kind.LINK


@dataclass(frozen=True)
class Blob(Field):
    """A binary; `max_size` in bytes. `formats` are fields of the type whose value may say its format, the first one
    first: downloaded files are named after it.
    """

    kind = Kind.BLOB

    _: KW_ONLY
    max_size: int = MAX_BLOB_SIZE
    formats: Sequence[str] = ()


@dataclass(frozen=True)
class ListOf(Field):
    """A list of `of`, a field whose own options are the rules for each element.

    Duplicates are refused where `unique`, silently dropped where `drop_duplicates`. Without a `max_size` it has 255
    elements at most, and more since microversion 1.3.
    """

    shape = Shape.LIST

    _: KW_ONLY
    of: Field
    min_size: int | None = None
    max_size: int | None = None
    unique: bool = False
    drop_duplicates: bool = False

    def element_rules(self) -> tuple[Validator, ...]:
        return self.of.element_rules()

    def container_rules(self) -> tuple[Validator, ...]:
        distinct = (Unique(self.drop_duplicates),) if self.unique or self.drop_duplicates else ()
        return (*distinct, ListSize(self.min_size, self.most))

    @property
    def most(self) -> int:
        """The most elements that it may have."""
        return MAX_ITEMS if self.max_size is None else self.max_size


@dataclass(frozen=True)
class DictOf(Field):
    """A dict of `of`, a field whose own options are the rules for each value. Keys have 1 to 255 characters.

    Without a `max_size` it has 255 keys at most, and more since microversion 1.3.
    """

    shape = Shape.DICT

    _: KW_ONLY
    of: Field
    min_size: int | None = None
    max_size: int | None = None
    min_key_length: int = 1
    max_key_length: int = MAX_KEY
    allowed_keys: Sequence[str] = ()
    required_keys: Sequence[str] = ()

    def element_rules(self) -> tuple[Validator, ...]:
        return self.of.element_rules()

    def container_rules(self) -> tuple[Validator, ...]:
        return (
            DictSize(self.min_size, self.most),
            KeyLength(self.min_key_length, self.max_key_length),
            *((AllowedKeys(tuple(self.allowed_keys)),) if self.allowed_keys else ()),
            *((RequiredKeys(tuple(self.required_keys)),) if self.required_keys else ()),
        )

    @property
    def most(self) -> int:
        """The most keys that it may have."""
        return MAX_ITEMS if self.max_size is None else self.max_size


@dataclass(frozen=True)
class BlobDict(Field):
    """A folder: blobs under keys that clients choose.

    `max_blob_size` and `max_folder_size` in bytes, of each blob and of all; `max_size` is the number of keys. Where it
    holds `replicas` every key is the same content: the first one fixes size and sha256, and others are refused.
    `formats` are as those of a blob.
    """

    kind = Kind.BLOB
    shape = Shape.DICT

    _: KW_ONLY
    max_size: int = MAX_ITEMS
    max_blob_size: int = MAX_BLOB_SIZE
    max_folder_size: int = MAX_FOLDER_SIZE
    min_key_length: int = 1
    max_key_length: int = MAX_KEY
    replicas: bool = False
    formats: Sequence[str] = ()

    def container_rules(self) -> tuple[Validator, ...]:
        return (DictSize(None, self.max_size), KeyLength(self.min_key_length, self.max_key_length))


def _number_rules(allowed: Sequence[float], minimum: float | None, maximum: float | None) -> tuple[Validator, ...]:
    return (
        *((AllowedValues(tuple(allowed)),) if allowed else ()),
        *((Range(minimum, maximum),) if (minimum, maximum) != (None, None) else ()),
    )


def widened(field: Field, limits: Limits) -> Field:
    """The declaration with `limits` where it has none of its own. What can be sorted by stays short, as indexes are."""
    match field:
        case String() if field.max_length is None and not (field.allowed or field.uuid or field.sortable):
            return replace(field, max_length=limits.text)
        case ListOf() | DictOf():
            most = limits.items if field.max_size is None else field.max_size
            return replace(field, of=widened(field.of, limits), max_size=most)
    return field
