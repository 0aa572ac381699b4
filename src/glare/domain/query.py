"""What a list request asks for: filters, order and page, parsed against the type that is listed.

Quirks that are kept: descending is the default direction and unknown parameters are refused (11), `next` also follows a
full last page (12), `version=latest` looks at names only (13), two type-specific sort keys are refused (16), keys of
dicts know two operators and no dots (46).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol
from urllib.parse import urlencode

from glare.documents.members import MemberStatus
from glare.domain import version
from glare.domain.artifact import Visibility
from glare.domain.declared.coercion import Kind, Shape, Unacceptable, storable
from glare.domain.filters import Combiner, Filter, Operand, Operator, Target, WrittenFilter, split_items, split_value
from glare.domain.hints import did_you_mean
from glare.domain.microversion import SHARING, Microversion
from glare.domain.visibility import DEFAULT_SHOWN, Shown, shown_visibility
from glare.domain.wording import quoted
from glare.errors import BadRequest, InvalidParameterValue

DEFAULT_LIMIT: Final = 25
MAX_LIMIT: Final = 1000
MAX_CONDITIONS: Final = 100
MAX_VALUES: Final = 1000

COLUMNS: Final = frozenset(
    {"id", "name", "version", "owner", "status", "visibility", "created_at", "updated_at", "activated_at"}
)
TYPE_CONSTANTS: Final = frozenset({"type_name", "display_type_name"})

MEMBER_STATUS: Final = "member_status"
EVERY: Final = "all"
"""What `visibility` and `member_status` may be in lists beside their values."""

_VISIBILITY: Final = "visibility"
_LATEST: Final = "latest"
_TAGS: Final = "tags"
_TAGS_ANY: Final = "tags-any"
_PAGING: Final = ("limit", "marker", "sort")
_DIRECTIONS: Final = {"asc": False, "desc": True, "": True}
_KEY_OPERATORS: Final = (Operator.EQ, Operator.IN)

Pairs = Iterable[tuple[str, str]]


class QueryField(Protocol):
    """What this module needs to know of a field; `glare.domain.declared.artifact_type` has it."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def shape(self) -> Shape: ...
    @property
    def filter_ops(self) -> Sequence[str]: ...
    @property
    def sortable(self) -> bool: ...
    @property
    def is_blob(self) -> bool: ...
    @property
    def is_folder(self) -> bool: ...
    def coerce_filter(self, text: str, operator: str = "eq") -> object:
        """The stored form of one operand, or a pattern for ``like``; raises `BadRequest`."""
        ...


class QueryType(Protocol):
    """What this module needs to know of a type."""

    @property
    def name(self) -> str: ...
    @property
    def fields(self) -> Mapping[str, QueryField]: ...
    @property
    def later(self) -> Mapping[str, Microversion]: ...


@dataclass(frozen=True, slots=True)
class SortKey:
    """One key of an order; what has no value comes last in both directions."""

    field: str
    descending: bool
    kind: Kind
    target: Target


@dataclass(frozen=True, slots=True)
class ListQuery:
    """One page of a list.

    An artifact passes when all of `filters` hold and, where there are `alternatives`, all filters of one of them. With
    `latest` only the highest version of each name stays. `sort` is a total order. `marker` is the id after which the
    page starts, as it was sent.

    Filters by visibility have those that pass as operands of ``in``. `shown` says which artifacts of others there are
    in the list, `microversion` what they are called.
    """

    filters: tuple[Filter, ...] = ()
    alternatives: tuple[tuple[Filter, ...], ...] = ()
    sort: tuple[SortKey, ...] = ()
    limit: int = DEFAULT_LIMIT
    marker: str | None = None
    latest: bool = False
    shown: Shown = DEFAULT_SHOWN
    microversion: Microversion = SHARING

    @property
    def plain(self) -> bool:
        """Whether the list is everything there is."""
        return not (self.filters or self.alternatives or self.latest)


NEWEST_FIRST: Final = (
    SortKey("created_at", True, Kind.DATETIME, Target.COLUMN),
    SortKey("id", False, Kind.STRING, Target.COLUMN),
)


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """What a query may ask for: artifacts on a page, conditions (each tag is one), and values to compare with in
    all.
    """

    default_page: int = DEFAULT_LIMIT
    max_page: int = MAX_LIMIT
    max_conditions: int = MAX_CONDITIONS
    max_values: int = MAX_VALUES

    def check(self, filters: Sequence[Filter]) -> None:
        """Raises `BadRequest` for more than the database should be asked."""
        if len(filters) > self.max_conditions:
            raise BadRequest(
                f"The query has {len(filters)} conditions, and may have {self.max_conditions} ([api] max_filters); "
                "ask for less."
            )
        values = sum(len(condition.operands) for condition in filters)
        if values > self.max_values:
            raise BadRequest(
                f"The query compares with {values} values, and may with {self.max_values} ([api] max_filter_values); "
                "ask for less."
            )


def parse_query(
    spec: QueryType, pairs: Pairs, limits: QueryLimits = QueryLimits(), microversion: Microversion = SHARING
) -> ListQuery:
    """Parse the decoded (name, value) pairs of a query string, repeated ones kept.

    Raises `BadRequest` naming parameter, value and remedy.
    """
    paging: dict[str, str] = {}
    filters: list[Filter] = []
    alternatives: list[tuple[Filter, ...]] = []
    alternative_tags: list[Filter] = []
    latest = every = False
    once = (*_PAGING, MEMBER_STATUS) if _knows_members(spec, microversion) else _PAGING
    for name, value in pairs:
        if name in once:
            if name in paging:
                raise BadRequest(f"Parameter '{name}' is given twice; give it once.")
            paging[name] = value
        elif name == _VISIBILITY and value == EVERY and microversion >= SHARING:
            every = True
        elif name == "version" and value == _LATEST:
            latest = True
        elif name in (_TAGS, _TAGS_ANY):
            combiner, found = _parse_tags(name, value)
            (filters if combiner is Combiner.AND else alternative_tags).extend(found)
        else:
            combiner, condition = _parse_filter(spec, name, value)
            if condition.field == _VISIBILITY:
                every = every or (combiner is Combiner.AND and _names_community(condition))
                condition = _by_visibility(condition, microversion)
            if combiner is Combiner.AND:
                filters.append(condition)
            else:
                alternatives.append((condition,))
    if alternative_tags:
        alternatives.append(tuple(alternative_tags))
    limits.check([*filters, *(condition for member in alternatives for condition in member)])
    return ListQuery(
        tuple(filters),
        tuple(alternatives),
        _parse_sort(spec, paging.get("sort")),
        min(_parse_limit(paging["limit"]) if "limit" in paging else limits.default_page, limits.max_page),
        paging.get("marker"),
        latest,
        Shown(_parse_statuses(paging.get(MEMBER_STATUS)), every),
        microversion,
    )


def _knows_members(spec: QueryType, microversion: Microversion) -> bool:
    """Whether `member_status` is what this module means by it: a type may have a field of that name."""
    return microversion >= SHARING and MEMBER_STATUS not in spec.fields


def _parse_statuses(text: str | None) -> tuple[MemberStatus, ...]:
    if text is None:
        return (MemberStatus.ACCEPTED,)
    if text == EVERY:
        return tuple(MemberStatus)
    if text not in list(MemberStatus):
        raise InvalidParameterValue(
            f"Parameter '{MEMBER_STATUS}' is {quoted(text)}; give one of {', '.join((*MemberStatus, EVERY))}."
        )
    return (MemberStatus(text),)


def _names_community(wanted: Filter) -> bool:
    return wanted.operator in (Operator.EQ, Operator.IN) and Visibility.COMMUNITY in wanted.operands


def _by_visibility(wanted: Filter, microversion: Microversion) -> Filter:
    """The filter with all values that pass, by what they are called in this microversion."""
    passing = tuple(
        visibility.value
        for visibility in Visibility
        if (shown_visibility(visibility, microversion).value in wanted.operands)
        is not (wanted.operator is Operator.NEQ)
    )
    return replace(wanted, operator=Operator.IN, operands=passing)


def first_link(path: str, pairs: Pairs) -> str:
    """The address of the first page: `path` with the query, form-encoded, all repeated parameters kept (quirk 40)."""
    query = urlencode([(name, value) for name, value in pairs if name != "marker"])
    return f"{path}?{query}" if query else path


def next_link(path: str, pairs: Pairs, marker: str) -> str:
    """The address of the page after the artifact `marker`."""
    kept = [(name, value) for name, value in pairs if name != "marker"]
    return f"{path}?{urlencode([*kept, ('marker', marker)])}"


def _parse_limit(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise InvalidParameterValue(f"Parameter 'limit' is {quoted(text)}; give an integer of 0 or more.")
    return int(
        text[:19]
    )  # More digits change nothing: every limit is capped, and Python refuses to read very long ones.


def _hint(spec: QueryType, name: str) -> str:
    """What is said behind a field that cannot be asked for, with the end of the sentence."""
    since = spec.later.get(name)
    if since is not None:
        return f"; it exists since API version {since}: send the header OpenStack-API-Version: artifact {since}."
    return did_you_mean(name, spec.fields.keys() - {name}) or "."


def _parse_sort(spec: QueryType, text: str | None) -> tuple[SortKey, ...]:
    keys: dict[str, SortKey] = {}
    for part in text.split(",") if text is not None else ():
        name, _, direction = part.partition(":")
        field = spec.fields.get(name)
        if field is None or not field.sortable:
            sortable = ", ".join(sorted(field.name for field in spec.fields.values() if field.sortable))
            raise BadRequest(
                f"Parameter 'sort' names {quoted(name)}{_hint(spec, name)} Type '{spec.name}' can be sorted by "
                f"{sortable}."
            )
        if direction not in _DIRECTIONS or part.endswith(":"):
            raise BadRequest(f"Parameter 'sort' has the direction {quoted(direction)} for '{name}'; give asc or desc.")
        keys.setdefault(name, SortKey(name, _DIRECTIONS[direction], field.kind, _target(field)))
    specific = [key.field for key in keys.values() if key.target is Target.VALUE]
    if len(specific) > 1:
        raise BadRequest(f"Parameter 'sort' names {' and '.join(specific)}; give one field of the type's own at most.")
    for key in NEWEST_FIRST:
        keys.setdefault(key.field, key)
    order = list(keys.values())
    # Ids are unique, so nothing after the id decides anything.
    return tuple(order[: 1 + next(place for place, key in enumerate(order) if key.field == "id")])


def _parse_tags(name: str, text: str) -> tuple[Combiner, tuple[Filter, ...]]:
    written = split_value(text)
    if written.operator is not None:
        raise BadRequest(f"Parameter '{name}' is {quoted(text)}; it takes tags separated by commas and no operator.")
    tags = tuple(_text(name, tag) for tag in written.operand.split(",")) if written.operand else ()
    if name == _TAGS_ANY:
        return written.combiner, (Filter(_TAGS, Kind.STRING, Target.VALUE, Operator.IN, tags),)
    return written.combiner, tuple(Filter(_TAGS, Kind.STRING, Target.VALUE, Operator.EQ, (tag,)) for tag in tags)


def _parse_filter(spec: QueryType, name: str, text: str) -> tuple[Combiner, Filter]:
    written = split_value(text)
    field = spec.fields.get(name)
    if field is None:
        return written.combiner, _entry_filter(spec, name, text, written)
    if field.is_folder or field.shape is Shape.DICT:
        return written.combiner, _key_filter(field, text, written)
    return written.combiner, _value_filter(field, name, None, text, written)


def _entry_filter(spec: QueryType, name: str, text: str, written: WrittenFilter) -> Filter:
    """``dict.key=value``, split at the last dot."""
    owner, dot, key = name.rpartition(".")
    field = spec.fields.get(owner) if dot else None
    if field is None:
        filterable = ", ".join(sorted(field.name for field in spec.fields.values() if field.filter_ops))
        raise BadRequest(
            f"Parameter {quoted(name)} is unknown{_hint(spec, name)} Type '{spec.name}' can be filtered by "
            f"{filterable}."
        )
    if field.is_folder or field.shape is not Shape.DICT:
        raise BadRequest(
            f"Parameter {quoted(name)} looks into '{field.name}', which is no dict; filter by '{field.name}'."
        )
    return _value_filter(field, name, _text(name, key), text, written)


def _key_filter(field: QueryField, text: str, written: WrittenFilter) -> Filter:
    """``dict=key``, which knows two operators, whatever the field declares."""
    operator = _operator(field.name, text, written, _KEY_OPERATORS)
    keys = tuple(_text(field.name, key) for key in _operands(field.name, text, operator, written.operand))
    return Filter(field.name, Kind.STRING, Target.FOLDER if field.is_folder else Target.KEY, operator, keys)


def _value_filter(field: QueryField, name: str, key: str | None, text: str, written: WrittenFilter) -> Filter:
    if not field.filter_ops:
        raise BadRequest(
            f"Parameter '{name}' cannot be used: artifacts cannot be filtered by '{field.name}'; leave it out."
        )
    operator = _operator(name, text, written, field.filter_ops)
    operands = tuple(_operand(field, operator, item) for item in _operands(name, text, operator, written.operand))
    return Filter(field.name, field.kind, _target(field), operator, operands, key)


def _operator(name: str, text: str, written: WrittenFilter, allowed: Sequence[str]) -> Operator:
    operator = Operator.EQ if written.operator is None else written.operator
    if operator not in allowed:
        raise BadRequest(
            f"Parameter '{name}' is {quoted(text)}: operator {quoted(str(operator))} is not one of "
            f"{', '.join(allowed)}; write <operator>:<value>, also before a value that holds a colon."
        )
    return Operator(operator)


def _operands(name: str, text: str, operator: Operator, operand: str) -> tuple[str, ...]:
    if operator is not Operator.IN:
        return (operand,)
    try:
        return split_items(operand)
    except ValueError as reason:
        raise BadRequest(
            f"Parameter '{name}' is {quoted(text)}: {reason}; quote whole items, as in in:\"a,b\",c."
        ) from None


def _operand(field: QueryField, operator: Operator, text: str) -> Operand:
    value = field.coerce_filter(text, operator)
    if not isinstance(value, (str, int, float)):
        raise TypeError(f"{type(value).__name__} is not the stored form of a single value")
    if field.kind is Kind.VERSION and operator is not Operator.LIKE:
        return version.parse(value)
    return value


def _target(field: QueryField) -> Target:
    if field.name in COLUMNS:
        return Target.COLUMN
    return Target.TYPE if field.name in TYPE_CONSTANTS else Target.VALUE


def _text(name: str, text: str) -> str:
    try:
        return storable(text)
    except Unacceptable as remedy:
        raise BadRequest(f"Parameter '{name}' cannot be used: {remedy}.") from None
