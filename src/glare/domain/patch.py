"""JSON Patch (RFC 6902) on the flat representation of an artifact: whole fields, and elements of dicts and lists.

`parse` checks the form of a patch, `apply` does one operation on a working copy. Neither knows the fields of a type or
what may be changed: the caller checks that between the operations, since later ones see what earlier ones did.

An element can be moved from one field to another. That changes two fields, which may have different rules, so `parse`
makes two operations of it, a copy and a removal with the same index; each operation touches one field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeGuard

from glare.domain.hints import did_you_mean
from glare.errors import BadRequest


class Op(StrEnum):
    ADD = "add"
    REPLACE = "replace"
    REMOVE = "remove"
    COPY = "copy"
    MOVE = "move"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `index` is its place in the patch, from 0.

    `path` is the field, and for an element its key or index as text. `source` is the same for ``from``, empty where the
    operation has none. `value` is any JSON value, None where the operation has none.
    """

    index: int
    op: Op
    path: tuple[str, ...]
    source: tuple[str, ...] = ()
    value: Any = None

    @property
    def field(self) -> str:
        return self.path[0]

    @property
    def is_test(self) -> bool:
        """Whether the operation changes nothing, so that no rule about changes applies to it."""
        return self.op is Op.TEST


_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,9}")
_BAD_ESCAPE: Final = re.compile(r"~(?![01])")
_END: Final = "-"
_WITH_VALUE: Final = frozenset({Op.ADD, Op.REPLACE, Op.TEST})
_WITH_SOURCE: Final = frozenset({Op.COPY, Op.MOVE})
_QUOTED: Final = 200  # Characters of a path that an error repeats.


def parse(body: object) -> tuple[Operation, ...]:
    """The operations of a decoded patch document. Raises `BadRequest` naming the operation's index and the remedy."""
    if not isinstance(body, list):
        raise BadRequest("A patch is a JSON array of operations; send [] to change nothing.")
    return tuple(operation for index, member in enumerate(body) for operation in _parse_member(index, member))


def apply(operation: Operation, document: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Do one operation. Returns the field that it names and the document afterwards; `document` stays as it is.

    Raises `BadRequest`, with the operation's index and path, when the operation does not fit the document or a test
    fails.
    """
    match operation.op:
        case Op.TEST:
            if not json_equal(_read(operation, document, operation.path), operation.value):
                raise _refusal(operation, "the value differs; read the artifact again, and patch what it is now")
            return operation.field, dict(document)
        case Op.ADD | Op.REPLACE:
            return operation.field, _put(operation, document, operation.value, insert=operation.op is Op.ADD)
        case Op.REMOVE:
            return operation.field, _take(operation, document, operation.path)
        case Op.COPY:
            value = _read(operation, document, operation.source)
            return operation.field, _put(operation, document, value, insert=True)
        case Op.MOVE:
            value = _read(operation, document, operation.source)
            rest = _take(operation, document, operation.source)
            return operation.field, _put(operation, rest, value, insert=True)


def json_equal(one: object, other: object) -> bool:
    """Whether two JSON values are equal as RFC 6902 §4.6 says: 1 equals 1.0, and true does not equal 1."""
    if isinstance(one, bool) or isinstance(other, bool) or one is None or other is None:
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other
    if isinstance(one, str) and isinstance(other, str):
        return one == other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(json_equal(value, other[key]) for key, value in one.items())
    if _is_list(one) and _is_list(other):
        return len(one) == len(other) and all(map(json_equal, one, other))
    return False


def _parse_member(index: int, member: object) -> Iterator[Operation]:
    if not isinstance(member, Mapping):
        raise BadRequest(f"Operation {index} of the patch is not an object; give it op, path, and what the op needs.")
    name = member.get("op")
    if name not in list(Op):
        raise BadRequest(f"Operation {index} of the patch has no known op; give one of: {', '.join(Op)}.")
    op = Op(name)
    path = _parse_pointer(index, op, "path", member)
    source = _parse_pointer(index, op, "from", member) if op in _WITH_SOURCE else ()
    if op in _WITH_VALUE and "value" not in member:
        raise BadRequest(f"Operation {index} of the patch ({op}) has no value; give one, null if that is meant.")
    operation = Operation(index, op, path, source, member.get("value") if op in _WITH_VALUE else None)
    if op is Op.REMOVE and len(path) == 1:
        raise _refusal(operation, "a whole field cannot be removed; replace it with null instead")
    if op is Op.MOVE and len(source) == 1:
        raise _refusal(operation, "a whole field cannot be moved away; copy it, then replace it with null")
    if op is Op.MOVE and source[0] != path[0]:
        yield Operation(index, Op.COPY, path, source)
        yield Operation(index, Op.REMOVE, source)
    else:
        yield operation


def _parse_pointer(index: int, op: Op, name: str, member: Mapping[str, Any]) -> tuple[str, ...]:
    """A JSON pointer (RFC 6901) to a field, or to an element of one."""
    pointer = member.get(name)
    where = f"Operation {index} of the patch ({op})"
    if not isinstance(pointer, str) or not pointer.startswith("/"):
        raise BadRequest(f"{where} has no {name} that begins with '/'; write /field, or /field/element.")
    if _BAD_ESCAPE.search(pointer):
        raise BadRequest(
            f"{where} has a '~' in its {name} {pointer[:_QUOTED]!r} that escapes nothing; write ~0 for ~ and ~1 for /."
        )
    tokens = tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/"))
    if len(tokens) > 2:
        raise BadRequest(
            f"{where} has the {name} {pointer[:_QUOTED]!r}, which is deeper than an element of a field; write /field "
            "or /field/element, with ~1 for a '/' within a key."
        )
    if not all(tokens):
        raise BadRequest(
            f"{where} has an empty part in its {name} {pointer[:_QUOTED]!r}; name the field, and the element."
        )
    return tokens


def _read(operation: Operation, document: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    if path[0] not in document:
        raise _refusal(
            operation,
            f"there is no field {path[0][:_QUOTED]!r}{did_you_mean(path[0], document)}; see the schema of the type",
        )
    held = document[path[0]]
    return held if len(path) == 1 else held[_find(operation, held, path)]


def _take(operation: Operation, document: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """The document without an element."""
    held = _read(operation, document, path[:1])
    where = _find(operation, held, path)
    rest: Any = dict(held) if isinstance(held, Mapping) else list(held)
    del rest[where]
    return {**document, path[0]: rest}


def _put(operation: Operation, document: Mapping[str, Any], value: Any, *, insert: bool) -> dict[str, Any]:
    """The document with a value at the operation's path. Without `insert` an element must exist already."""
    path = operation.path
    if len(path) == 1:
        return {**document, path[0]: value}
    held = _read(operation, document, path[:1])
    changed: Any
    if isinstance(held, Mapping):
        key = path[1] if insert else _find(operation, held, path)
        changed = {**held, key: value}
    else:
        index = _place(operation, held, path) if insert else _find(operation, held, path)
        changed = list(held)
        changed[index : index if insert else index + 1] = [value]
    return {**document, path[0]: changed}


def _find(operation: Operation, held: Any, path: tuple[str, ...]) -> Any:
    """The key or index of an element that exists."""
    name = path[1]
    if isinstance(held, Mapping):
        if name not in held:
            raise _refusal(operation, f"{path[0]!r} has no key {name[:_QUOTED]!r}")
        return name
    index = _place(operation, held, path)
    if name == _END:
        raise _refusal(operation, "'-' is the place after the last element, where nothing is; give an index")
    if index >= len(held):
        raise _refusal(operation, f"{path[0]!r} has {len(held)} elements, and none at {index}")
    return index


def _place(operation: Operation, held: Any, path: tuple[str, ...]) -> int:
    """An index of a list, or the one after its last."""
    if not _is_list(held):
        raise _refusal(operation, f"{path[0]!r} holds no elements now; name the whole field")
    if path[1] == _END:
        return len(held)
    if not _INDEX.fullmatch(path[1]):
        raise _refusal(operation, f"{path[1][:_QUOTED]!r} is no index of a list; give a number without leading zeros")
    index = int(path[1])
    if index > len(held):
        raise _refusal(operation, f"{path[0]!r} has {len(held)} elements, so none can be put at {index}; '-' appends")
    return index


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _refusal(operation: Operation, why: str) -> BadRequest:
    path = "/".join(("", *(token.replace("~", "~0").replace("/", "~1") for token in operation.path)))
    return BadRequest(f"Operation {operation.index} of the patch ({operation.op} {path[:_QUOTED]}): {why}.")
