"""What can be wrong in a declared type, as sentences for its author."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

from glare.domain.declared import fields
from glare.domain.declared.base_fields import BASE_FIELDS
from glare.domain.declared.coercion import Kind, Shape
from glare.domain.declared.declaration import ArtifactType, Option
from glare.domain.microversion import Microversion
from glare.errors import InvalidDeclaration

DEFAULT_OPERATORS: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.STRING: ("eq", "neq", "in"),
    Kind.INTEGER: ("eq", "neq", "in", "gt", "gte", "lt", "lte"),
    Kind.FLOAT: ("eq", "neq", "in", "gt", "gte", "lt", "lte"),
    Kind.VERSION: ("eq", "neq", "in", "gt", "gte", "lt", "lte"),
    Kind.BOOLEAN: ("eq", "neq"),
    Kind.LINK: ("eq", "neq"),
    Kind.DATETIME: ("lt", "gt"),
    Kind.BLOB: (),
}
"""The filter operators of each kind, in the order that schemas show; lists and dicts follow their elements."""

_MAY_LIKE: Final = frozenset((Kind.STRING, Kind.INTEGER, Kind.FLOAT))
_ELEMENTS: Final = (fields.String, fields.Integer, fields.Float, fields.Boolean, fields.Link)
_FIELD_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_TYPE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_ATTRIBUTES: Final = tuple(name for name in vars(ArtifactType) if not name.startswith("_"))
_HOOKS: Final = tuple(name for name in _ATTRIBUTES if inspect.isfunction(getattr(ArtifactType, name)))
_OPTION_KINDS: Final = (str, int, float, bool, list)
_MAX_SORTABLE: Final = 255

RESERVED_FIELDS: Final = frozenset(("type_name", "limit", "marker", "sort"))
"""Names that lists of artifacts use for themselves."""

RESERVED_OPTIONS: Final = frozenset(("max_artifact_number", "max_uploaded_data", "delayed_delete", "default_store"))
"""Options that every type's group in the configuration has."""


def check_type(cls: Any, reserved: Collection[str]) -> None:
    """Raises `InvalidDeclaration` for what is wrong in the type itself; its fields are checked one by one."""
    if not (isinstance(cls, type) and issubclass(cls, ArtifactType)):
        raise InvalidDeclaration(f"{cls!r} is no artifact type; derive it from glare.types.ArtifactType.")
    label = f"{cls.__module__}.{cls.__qualname__}"
    name = getattr(cls, "name", None)
    if not isinstance(name, str):
        raise InvalidDeclaration(f"Artifact type {label}: it has no name; set 'name' to the type's name in URLs.")
    for problem in _type_problems(cls, reserved):
        raise InvalidDeclaration(f"Artifact type '{name}' ({label}): {problem}.")
    wire_names = set(BASE_FIELDS)
    for attribute, declaration in declared_fields(cls):
        wire = declaration.field_name or attribute
        if wire in wire_names:
            kind = "a base field" if wire in BASE_FIELDS else "another field of the type"
            raise InvalidDeclaration(
                f"Artifact type '{name}', field '{wire}': {kind} has this name; choose another one."
            )
        wire_names.add(wire)
    for attribute, declaration in declared_fields(cls):
        for missing in _named_formats(declaration) - wire_names:
            raise InvalidDeclaration(
                f"Artifact type '{name}', field '{declaration.field_name or attribute}': formats names '{missing}', "
                "which is no field of the type; name fields that are."
            )


def vars_of(cls: type) -> dict[str, Any]:
    """The attributes of a class and its bases, those of the bases first, overridden ones at their first place."""
    found: dict[str, Any] = {}
    for owner in reversed(cls.__mro__):
        found.update(vars(owner))
    return found


def declared_fields(cls: type[ArtifactType]) -> list[tuple[str, fields.Field]]:
    """Attribute and declaration of each field, in the order in which they are declared."""
    return [(attribute, value) for attribute, value in vars_of(cls).items() if isinstance(value, fields.Field)]


def name_problem(name: Any) -> str | None:
    """What is wrong with the name of a field."""
    if not isinstance(name, str) or not _FIELD_NAME.fullmatch(name):
        return "its name must be 1 to 64 ASCII letters, digits and underscores, and not begin with a digit"
    if name in RESERVED_FIELDS:
        return "this name is reserved; choose another one"
    return None


def field_problem(field: fields.Field) -> str | None:
    """The first thing that is wrong in a declaration, its name and default aside."""
    for check in _FIELD_CHECKS:
        for problem in check(field):
            return problem
    return None


def _named_formats(field: fields.Field) -> set[str]:
    return set(field.formats) if isinstance(field, (fields.Blob, fields.BlobDict)) else set()


def _type_problems(cls: Any, reserved: Collection[str]) -> Iterator[str]:
    if not _TYPE_NAME.fullmatch(cls.name):
        yield "its name must be 1 to 64 ASCII letters, digits, underscores and dashes, and begin with a letter"
    if cls.name in reserved:
        yield "this name is reserved; choose another one"
    for attribute in _ATTRIBUTES:
        if isinstance(getattr(cls, attribute), fields.Field):
            yield f"'{attribute}' is an attribute of types; declare the field under another one, with field_name"
    if not (cls.display_name is None or isinstance(cls.display_name, str)):
        yield "'display_name' must be text"
    if not isinstance(cls.version, str) or not cls.version:
        yield "'version' must be text such as '1.0'"
    for attribute, value in vars_of(cls).items():
        if isinstance(value, type) and issubclass(value, fields.Field):
            yield f"field '{attribute}' is declared as a class; write {value.__name__}(…)"
    for hook in _HOOKS:
        if isinstance(getattr(cls, hook), fields.Field):
            continue  # Said above.
        yield from _hook_problems(cls, hook)
    for attribute, value in vars_of(cls).items():
        if _is_method(value) and attribute not in _ATTRIBUTES and not attribute.startswith("_"):
            close = difflib.get_close_matches(attribute, _HOOKS, n=1)
            yield (
                f"method '{attribute}' is no hook, so nobody would call it; name it "
                f"{close[0] if close else ' or '.join(_HOOKS)}, "
                "or begin its name with an underscore if it is the type's own"
            )
    yield from _option_problems(cls.config)


def _is_method(value: Any) -> bool:
    return inspect.isfunction(value) or isinstance(value, (staticmethod, classmethod))


def _hook_problems(cls: type[ArtifactType], name: str) -> Iterator[str]:
    """A hook that nobody awaits would refuse nothing, and one that cannot be called fails every request."""
    hook = getattr(cls, name)
    wanted = list(inspect.signature(getattr(ArtifactType, name)).parameters)[1:]
    if not callable(hook):
        yield f"'{name}' is a hook; write it as a method"
    elif inspect.iscoroutinefunction(hook) or inspect.isasyncgenfunction(hook) or inspect.isgeneratorfunction(hook):
        yield f"hook '{name}' must be a plain method that returns its result; write it without async and yield"
    else:
        bound = isinstance(inspect.getattr_static(cls, name), (staticmethod, classmethod))
        try:
            inspect.signature(hook).bind(*wanted if bound else ["self", *wanted])
        except TypeError:
            yield f"hook '{name}' is called with {', '.join(wanted)}; write def {name}(self, {', '.join(wanted)})"


def _option_problems(options: Any) -> Iterator[str]:
    if not isinstance(options, (tuple, list)):
        yield "'config' must be a tuple; a single option needs a comma: (Option(…),)"
        return
    names = set(RESERVED_OPTIONS)
    for option in options:
        if not isinstance(option, Option) or option.kind not in _OPTION_KINDS or not _FIELD_NAME.fullmatch(option.name):
            yield "'config' must hold options with an ASCII name and one of the kinds str, int, float, bool and list"
        elif option.name in names:
            yield f"the name of option '{option.name}' is taken; choose another one"
        elif not (option.default is None or isinstance(option.default, option.kind)):
            yield f"the default of option '{option.name}' must be of kind {option.kind.__name__}"
        else:
            names.add(option.name)


def _flags(field: Any) -> Iterator[str]:
    for flag in ("mutable", "required_on_activate", "system", "nullable", "sortable", "replicas"):
        if not isinstance(getattr(field, flag, False), bool):
            yield f"{flag} must be True or False"
    if not (field.description is None or isinstance(field.description, str)):
        yield "its description must be text"
    if not (field.since is None or isinstance(field.since, Microversion)):
        yield "since must be a Microversion, such as Microversion(1, 2)"
    if not (field.metadata is None or isinstance(field.metadata, Mapping)):
        yield "its metadata must be a mapping"
    if field.system and not field.nullable and field.default in (None, fields.UNSET) and field.shape is Shape.SCALAR:
        yield (
            "nobody could give it a value on creation, as it is system and not nullable; add a default, or leave it "
            "nullable"
        )


def _elements(field: fields.Field) -> Iterator[str]:
    if not isinstance(field, (fields.ListOf, fields.DictOf)):
        return
    container = "list" if isinstance(field, fields.ListOf) else "dict"
    if isinstance(field.of, fields.Blob):
        yield "lists of blobs do not exist; use BlobDict" if container == "list" else "use BlobDict for a dict of blobs"
    elif not isinstance(field.of, _ELEMENTS):
        yield f"a {container} may be of String(), Integer(), Float(), Boolean() or Link()"
    else:
        for option in dataclasses.fields(fields.Field):
            if getattr(field.of, option.name) is not option.default:
                yield f"{option.name} is an option of the {container}, not of its elements; move it out of 'of'"


def _sorting(field: fields.Field) -> Iterator[str]:
    if not field.sortable:
        return
    if not isinstance(
        field, (fields.String, fields.Integer, fields.Float, fields.Boolean, fields.DateTime, fields.Version)
    ):
        yield "only single values can be sorted by, and no links or blobs; remove sortable"
    elif isinstance(field, fields.String):
        longest = field.longest or max((len(value) for value in field.allowed), default=0)
        if longest > _MAX_SORTABLE:
            yield f"a text that may be longer than {_MAX_SORTABLE} characters cannot be sorted by; remove sortable"


def _operators(field: fields.Field) -> Iterator[str]:
    if field.filter_ops is None:
        return
    kind = field.of.kind if isinstance(field, (fields.ListOf, fields.DictOf)) else field.kind
    usable = DEFAULT_OPERATORS[kind] + (("like",) if kind in _MAY_LIKE else ())
    if isinstance(field.filter_ops, str) or len(set(field.filter_ops)) < len(field.filter_ops):
        yield "filter_ops must be a list of different operators"
    for operator in field.filter_ops:
        if operator not in usable:
            yield f"filter operator '{operator}' does not exist for {kind}; use {', '.join(usable) or 'none'}"


def _values(field: fields.Field) -> Iterator[str]:
    rules = field.of if isinstance(field, (fields.ListOf, fields.DictOf)) else field
    if isinstance(rules, fields.String):
        yield from _string_rules(rules)
    elif isinstance(rules, (fields.Integer, fields.Float)):
        numbers = (int,) if isinstance(rules, fields.Integer) else (int, float)
        given = [*rules.allowed, *(bound for bound in (rules.minimum, rules.maximum) if bound is not None)]
        if not all(isinstance(number, numbers) and not isinstance(number, bool) for number in given):
            yield f"its bounds and allowed values must be of {rules.kind}"
        elif rules.minimum is not None and rules.maximum is not None and rules.minimum > rules.maximum:
            yield "its minimum is above its maximum"


def _string_rules(field: fields.String) -> Iterator[str]:
    if isinstance(field.allowed, str) or not all(isinstance(value, str) for value in field.allowed):
        yield "allowed must be a list of texts"
    yield from _sizes("min_length", field.min_length, "max_length", field.longest)
    if field.pattern is not None:
        try:
            re.compile(field.pattern)
        except (re.error, TypeError) as wrong:
            yield f"its pattern is no regular expression ({wrong})"
    if sum((field.uuid, field.pattern is not None, bool(field.forbidden_chars))) > 1:
        yield "uuid, pattern and forbidden_chars exclude one another, as a schema has one pattern"
    if any(character in field.forbidden_chars for character in "]\\^-"):
        yield "forbidden_chars may not hold ']', '\\', '^' or '-'; use pattern"


def _bounds(field: fields.Field) -> Iterator[str]:
    match field:
        case fields.Blob():
            yield from _sizes("max_size", 1, "max_size", field.max_size)
        case fields.ListOf():
            yield from _sizes("min_size", field.min_size, "max_size", field.most)
        case fields.DictOf():
            yield from _sizes("min_size", field.min_size, "max_size", field.most)
            yield from _sizes("min_key_length", field.min_key_length, "max_key_length", field.max_key_length)
            if field.max_key_length > fields.MAX_KEY:
                yield f"keys of more than {fields.MAX_KEY} characters cannot be indexed; lower max_key_length"
            if field.allowed_keys and set(field.required_keys) - set(field.allowed_keys):
                yield "each of required_keys must be among allowed_keys"
        case fields.BlobDict():
            yield from _sizes("max_size", 1, "max_size", field.max_size)
            yield from _sizes("max_blob_size", 1, "max_blob_size", field.max_blob_size)
            yield from _sizes("max_folder_size", 1, "max_folder_size", field.max_folder_size)
            yield from _sizes("min_key_length", field.min_key_length, "max_key_length", field.max_key_length)


def _sizes(low: str, minimum: Any, high: str, maximum: Any) -> Iterator[str]:
    for name, bound in ((low, minimum), (high, maximum)):
        if bound is not None and (not isinstance(bound, int) or isinstance(bound, bool) or bound < 0):
            yield f"{name} must be a whole number, and not negative"
            return
    if minimum is not None and maximum is not None and minimum > maximum:
        yield f"{high} must be at least {minimum}"


def _blobs(field: fields.Field) -> Iterator[str]:
    if field.kind is Kind.BLOB if not isinstance(field, (fields.ListOf, fields.DictOf)) else False:
        if field.default is not fields.UNSET:
            yield "a blob cannot have a default"
        if not field.nullable:
            yield "a blob is never there when an artifact is created; use required_on_activate instead of nullable"


_FIELD_CHECKS: Final[tuple[Callable[[fields.Field], Iterator[str]], ...]] = (
    _flags,
    _elements,
    _blobs,
    _values,
    _bounds,
    _sorting,
    _operators,
)
