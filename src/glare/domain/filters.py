"""The grammar of a filter's value, ``[and:|or:][op:]operand``, and what a filter is once it is understood."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from glare.domain import moment
from glare.domain.declared.coercion import Kind
from glare.domain.version import Version


class Operator(StrEnum):
    EQ = "eq"
    NEQ = "neq"
    IN = "in"
    LIKE = "like"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"


class Combiner(StrEnum):
    AND = "and"
    OR = "or"


class Target(StrEnum):
    """Where the value is that a filter or a sort looks at."""

    COLUMN = "column"
    """A column of the artifact itself."""
    TYPE = "type"
    """What all artifacts of one type share: `type_name` and `display_type_name`."""
    VALUE = "value"
    """A value of any other field: a scalar, some element of a list, or the entry of a dict under `item_key`."""
    KEY = "key"
    """The keys of a dict."""
    FOLDER = "folder"
    """The keys of a folder of blobs."""


Operand = str | int | float | bool | Version


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition. Points in time are microseconds; a filter without operands (``in:``) matches nothing."""

    field: str
    kind: Kind
    target: Target
    operator: Operator
    operands: tuple[Operand, ...]
    item_key: str | None = None


@dataclass(frozen=True, slots=True)
class WrittenFilter:
    """The parts of a filter's value as they are written; `operator` is None when there is none."""

    combiner: Combiner
    operator: str | None
    operand: str


_COMBINERS = {combiner.value: combiner for combiner in Combiner}


def split_value(text: str) -> WrittenFilter:
    """The parts of a filter's value. Whether the operator exists is not looked at."""
    head, colon, rest = text.partition(":")
    if not colon:
        return WrittenFilter(Combiner.AND, None, text)
    combiner = _COMBINERS.get(head)
    if ":" not in rest:
        return WrittenFilter(Combiner.AND, head, rest) if combiner is None else WrittenFilter(combiner, None, rest)
    if combiner is None:
        combiner, rest = Combiner.AND, text
    if _is_date(rest):
        return WrittenFilter(combiner, None, rest)
    operator, _, operand = rest.partition(":")
    return WrittenFilter(combiner, operator, operand)


def split_items(text: str) -> tuple[str, ...]:
    r"""The items between the commas of an ``in:`` operand; none when it is empty.

    An item may be in double quotes, within which commas are its own; ``\"`` is a quote that closes nothing. Raises
    `ValueError` with the reason for a quote that is not closed, or that stands inside an item.
    """
    if not text:
        return ()
    items: list[str] = []
    position = 0
    while True:
        item, position = _quoted(text, position + 1) if text.startswith('"', position) else _bare(text, position)
        items.append(item)
        if position == len(text):
            return tuple(items)
        if text[position] != ",":
            raise ValueError("a comma or the end must follow a closing quote")
        position += 1


def _quoted(text: str, start: int) -> tuple[str, int]:
    end = start
    while (end := text.find('"', end)) > 0 and text[end - 1] == "\\":
        end += 1
    if end < 0:
        raise ValueError("a quote is not closed")
    return text[start:end].replace('\\"', '"'), end + 1


def _bare(text: str, start: int) -> tuple[str, int]:
    end = text.find(",", start)
    end = len(text) if end < 0 else end
    item = text[start:end]
    if '"' in item.replace('\\"', ""):
        raise ValueError('a quote inside an item must be written as \\"')
    return item.replace('\\"', '"'), end


def _is_date(text: str) -> bool:
    try:
        moment.read(text)
    except (ValueError, OverflowError):
        return False
    return True
