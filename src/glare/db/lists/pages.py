"""The statements that read one page of a list, and count one.

A page has branches, one for each type and scope that the list covers, joined with ``UNION ALL``: within a branch type
and scope are fixed, so that its order is that of an index, and each branch gives no more rows than the page needs. The
page begins after the marker's own sort values, compared so that every database starts reading the index there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    and_,
    case,
    exists,
    func,
    literal,
    or_,
    select,
    union,
    union_all,
)

from glare.db.dialects.nulls import AllNull
from glare.db.lists.filters import (
    VALUE_COLUMNS,
    Column,
    Condition,
    ListedType,
    Place,
    conditions,
    key_of,
    type_constant,
    value_conditions,
    visibility_condition,
)
from glare.db.tables import artifact_members, artifact_values, artifacts
from glare.domain.artifact import Visibility
from glare.domain.filters import Filter, Operator, Target
from glare.domain.microversion import Microversion
from glare.domain.query import NEWEST_FIRST, ListQuery, SortKey
from glare.domain.visibility import shown_visibility

_NEWEST: Final = tuple(key.field for key in NEWEST_FIRST)
_SHARED_ORDERS: Final = frozenset(
    (*first, *_NEWEST)
    for first in (
        ("name",),
        ("name", "version"),
        ("version",),
        ("status",),
        ("owner",),
        ("visibility",),
        ("activated_at",),
    )
)
"""Orders of indexes whose first keys many artifacts may share."""


class Part(StrEnum):
    """What a branch reads: artifacts of one scope; those shared with the project that its scope stands for, and of
    these the ones whose members have copies of what may change, or have none; those that their owners let everybody
    read.
    """

    OWN = "own"
    SHARED = "shared"
    COPIED = "copied"
    NOT_COPIED = "not copied"
    COMMUNITY = "community"


Marker = Mapping[str, Any]
"""The sort values, by field, of the artifact after which a page begins."""

_OF_MEMBERS: Final = (Part.SHARED, Part.COPIED, Part.NOT_COPIED)
_MAY_CHANGE: Final = frozenset(("status", "updated_at", "activated_at"))
"""What members have copies of, unless an older release has added them."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A part of a list with one type and one scope (None: everybody's), and what passes all of `only`.

    `owner` has all of it, None where many may. `project` is whom it is shared with. `twice` is what another branch has
    too: it is on a page once, and is not counted here.
    """

    type: ListedType
    scope: str | None
    only: tuple[Filter, ...] = ()
    part: Part = Part.OWN
    owner: str | None = None
    project: str | None = None
    twice: Branch | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """A query and the branches that it covers.

    `highest` is the only version (as `Version.key`) that stays, where `query.latest` holds and one name is asked for.
    `driver` is the filter from whose rows in `artifact_values` the page is read; None walks the order, and tests each
    artifact. `visibility` is what is shown as that of all in the list, None where it differs. `strays` are the fields
    by which all are the same, and the marker is not. `rare` is the filter that so few artifacts of all pass that what
    is shared is found by it too.
    """

    query: ListQuery
    branches: Sequence[Branch]
    highest: str | None = None
    driver: Filter | None = None
    visibility: Visibility | None = None
    strays: frozenset[str] = frozenset()
    rare: Filter | None = None

    @property
    def drivers(self) -> tuple[Filter, ...]:
        """The filters that an index of `artifact_values` can answer."""
        return tuple(wanted for wanted in self.query.filters if fixes_value(wanted) or _is_indexed(wanted))

    @property
    def newest_first(self) -> bool:
        """Whether the order is the one of those indexes."""
        return tuple(key.field for key in self.order) == _NEWEST

    @property
    def order(self) -> tuple[SortKey, ...]:
        """The keys of the query's order that its filters leave open: what an equality fixes needs no sorting."""
        fixed = self._fixed.keys() - self.strays
        return tuple(key for key in self.query.sort if key.field not in fixed)

    def after(self, marker: Marker) -> Listing:
        """The same for a page after this marker, which need not be in the list: it may have another value than the one
        that all in the list have, and is before or behind all of it then.
        """
        return replace(
            self,
            strays=frozenset(field for field, value in self._fixed.items() if marker.get(field) not in (None, value)),
        )

    @property
    def _fixed(self) -> dict[str, Any]:
        """The fields by which all in the list are the same, with what they have there."""
        fixed: dict[str, Any] = {
            wanted.field: key_of(wanted.operands[0])
            for wanted in self.query.filters
            if wanted.target is Target.COLUMN and wanted.operator is Operator.EQ and wanted.field != "id"
        }
        if self.highest is not None:
            fixed["version"] = self.highest
        if self.visibility is not None:
            fixed["visibility"] = self.visibility.value
        types = {branch.type.name: branch.type for branch in self.branches}
        if len(types) == 1:
            [only] = types.values()
            fixed |= {"type_name": only.name, "display_type_name": only.display_name}
        return fixed


@dataclass(frozen=True, slots=True)
class _Key:
    """One key of the order: its column, and where the page begins after a marker, its value in that. A `fixed` one is
    the same for all rows.
    """

    column: Column
    descending: bool
    nullable: bool
    marker: Any = None
    paging: bool = False
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class _Source:
    """What one branch reads: FROM and WHERE without order and marker, the id, and where to find other columns."""

    rows: Select[Any]
    columns: Mapping[str, Column]


def page_statement(listing: Listing, marker: Marker | None) -> Select[Any]:
    """Select the ids of the page, in order."""
    if marker is not None:
        listing = listing.after(marker)
    order = listing.order
    branches = [half for branch in listing.branches for half in _halves(listing, order, branch)]
    parts = [part for branch in branches for part in _parts(listing, order, branch, marker)]
    if len(parts) == 1:
        return parts[0]
    merged = union if any(branch.twice is not None for branch in branches) else union_all
    rows = merged(*(select(part.subquery()) for part in parts)).subquery()
    keys = [_Key(rows.c[f"s{place}"], key.descending, _nullable(key)) for place, key in enumerate(order)]
    return select(rows.c.id).order_by(*_order_by(keys)).limit(listing.query.limit)


def count_statement(listing: Listing) -> Select[Any]:
    """Count what passes, in all branches."""
    counts = []
    for branch in listing.branches:
        counts.append(_number(listing, branch))
        if branch.twice is not None:
            only = (*branch.twice.only, *branch.only)
            counts.append(-_number(listing, replace(branch.twice, type=branch.type, only=only)))
    return select(sum(counts[1:], start=counts[0]))


def _number(listing: Listing, branch: Branch) -> ColumnElement[int]:
    source = _source(listing, branch)
    found = source.rows.with_only_columns(source.columns["id"], maintain_column_froms=True).subquery()
    return select(func.count()).select_from(found).scalar_subquery()


def highest_statement(listing: Listing) -> Select[Any]:
    """Select the highest version key of what passes, `query.latest` aside."""
    plain = replace(listing, query=replace(listing.query, latest=False), driver=None)
    parts = []
    for branch in listing.branches:
        source = _source(plain, branch)
        key = source.columns["version"]
        parts.append(source.rows.with_only_columns(key.label("key")).order_by(key.desc()).limit(1))
    found = union_all(*(select(part.subquery()) for part in parts)).subquery()
    return select(func.max(found.c.key))


def probe_statement(listing: Listing, driver: Filter, most: int) -> Select[Any]:
    """Count the rows that pass `driver`, up to `most` for each type. Scopes count alike: not all the indexes have
    them.
    """
    counts = [
        select(func.count())
        .select_from(_driving(Branch(listed, None), driver).limit(most).subquery())
        .scalar_subquery()
        for listed in {branch.type.name: branch.type for branch in listing.branches}.values()
    ]
    return select(sum(counts[1:], start=counts[0]))


def marker_statement(query: ListQuery, artifact_id: str) -> Select[Any]:
    """Select owner, visibility, sharing and type of an artifact, and where it stands in the query's order, by field.

    `Target.TYPE` keys are left out: the type says them.
    """
    found: list[ColumnElement[Any]] = []
    own = _own_columns(query.microversion)
    for key in query.sort:
        if key.target is Target.COLUMN:
            found.append(own[key.field].label(f"at_{key.field}"))
        elif key.target is Target.VALUE:
            values = artifact_values.alias()
            value = select(values.c[VALUE_COLUMNS[key.kind]]).where(
                values.c.artifact_id == artifacts.c.id, values.c.field == key.field
            )
            found.append(value.scalar_subquery().label(f"at_{key.field}"))
    columns = artifacts.c
    known = (columns.owner, columns.visibility, columns.sharing, columns.type_name)
    return select(*known, *found).where(columns.id == artifact_id)


def _halves(listing: Listing, order: Sequence[SortKey], branch: Branch) -> Iterator[Branch]:
    """Where copies decide the order, or what passes, members without any are read apart: there are hardly any."""
    fields = {key.field for key in order} | {wanted.field for wanted in (*listing.query.filters, *branch.only)}
    if branch.part is not Part.SHARED or not fields & _MAY_CHANGE:
        yield branch
        return
    yield replace(branch, part=Part.COPIED)
    yield replace(branch, part=Part.NOT_COPIED)


def _parts(listing: Listing, order: Sequence[SortKey], branch: Branch, marker: Marker | None) -> Iterator[Select[Any]]:
    """The ordered, limited selects that together hold the branch's share of the page."""
    source = _source(listing, branch)
    rows = source.rows
    keys: list[_Key] = []
    for key in order:
        fixed = key.target is Target.TYPE
        if key.target is Target.VALUE:
            rows, column = _join_value(rows, key, source)
        elif key.target is Target.TYPE:
            column = type_constant(key.field, branch.type)
        elif key.field == "owner" and branch.owner is not None:
            column, fixed = literal(branch.owner, artifacts.c.owner.type), True
        else:
            column = source.columns[key.field]
        value = None if marker is None else marker[key.field]
        keys.append(_Key(column, key.descending, _nullable(key), value, marker is not None, fixed))
    selection: list[ColumnElement[Any]] = [source.columns["id"].label("id")]
    selection += [key.column.label(f"s{n}") for n, key in enumerate(keys)]
    if listing.driver is not None and not fixes_value(listing.driver):
        # What orders distinct rows has to be among what is selected.
        selection += [key.column.is_(None).label(f"n{n}") for n, key in enumerate(keys) if key.nullable]
    selected: Select[Any] = rows.with_only_columns(*selection)
    apart = keys[0].nullable and order[0].target is Target.COLUMN
    following = _nulls_apart(order, keys, nulls=branch.part is not Part.COPIED) if apart else _rows(order, keys)
    for sorted_by, condition in following:
        yield selected.where(*condition).order_by(*_order_by(sorted_by)).limit(listing.query.limit)


def _rows(order: Sequence[SortKey], keys: Sequence[_Key]) -> Iterator[tuple[Sequence[_Key], list[Condition]]]:
    """The rows after the marker, or all without one, as disjoint conditions, each with the keys that it leaves open."""
    yield from _chunks(order, keys) if keys[0].paging else [(keys, [])]


def _nulls_apart(
    order: Sequence[SortKey], keys: Sequence[_Key], *, nulls: bool
) -> Iterator[tuple[Sequence[_Key], list[Condition]]]:
    """As `_rows`, where the first key may be null, in the order of an index on both sides. Without `nulls` none are."""
    first, rest = replace(keys[0], nullable=False), keys[1:]
    among_nulls = first.paging and first.marker is None
    if not among_nulls:
        for sorted_by, condition in _rows(order, [first, *rest]):
            yield sorted_by, [first.column.is_not(None), *condition]
    if nulls:
        among = [_after(rest)] if among_nulls else []
        yield [replace(first, column=AllNull(first.column), descending=False), *rest], [first.column.is_(None), *among]


def _chunks(order: Sequence[SortKey], keys: Sequence[_Key]) -> Iterator[tuple[Sequence[_Key], list[Condition]]]:
    """The rows after the marker as disjoint conditions, each with the keys that it leaves open.

    Where many rows may share a key, those that share the marker's are read apart from those beyond it: one condition
    for both would start reading at the first of those that share it.
    """
    split = len(keys) - len(_NEWEST) if tuple(key.field for key in order) in _SHARED_ORDERS else 0
    for place in range(split):
        yield keys[place:], [*map(_equal, keys[:place]), _beyond(keys[place])]
    yield keys[split:], [*map(_equal, keys[:split]), _after(keys[split:])]


def _after(keys: Sequence[_Key]) -> Condition:
    first, rest = keys[0], keys[1:]
    if not rest:
        return _beyond(first)
    after = or_(_beyond(first), and_(_equal(first), _after(rest)))
    if first.nullable:
        return after
    # Says nothing new, but is what the databases find the place in an index by.
    edge = first.column <= first.marker if first.descending else first.column >= first.marker
    return and_(edge, after)


def _beyond(key: _Key) -> Condition:
    """Nulls are beyond everything, and nothing is beyond null."""
    if key.nullable and key.marker is None:
        return key.column.is_not(None) & key.column.is_(None)
    beyond = key.column < key.marker if key.descending else key.column > key.marker
    return or_(beyond, key.column.is_(None)) if key.nullable else beyond


def _equal(key: _Key) -> Condition:
    return key.column.is_(None) if key.marker is None else key.column == key.marker


def _order_by(keys: Sequence[_Key]) -> Iterator[ColumnElement[Any]]:
    for key in keys:
        if key.fixed:
            continue
        if key.nullable:
            yield key.column.is_(None)
        yield key.column.desc() if key.descending else key.column


def _nullable(key: SortKey) -> bool:
    return key.target is not Target.COLUMN or key.field == "activated_at"


def _source(listing: Listing, branch: Branch) -> _Source:
    """The rows of the branch that pass, without order and marker."""
    query = listing.query
    shared = branch.part in _OF_MEMBERS
    # What is shared with a project is few beside what there is, and is walked unless what passes is fewer.
    driver = listing.rare if shared else listing.driver
    rest = [wanted for wanted in (*query.filters, *branch.only) if wanted is not driver]
    own = _own_columns(query.microversion)
    columns = own | _shared_columns(artifact_members.c, query.microversion) if shared else own
    if branch.part is Part.COPIED:
        columns |= _copied_columns(artifact_members.c)
    place = Place(_Columns(columns, artifacts), branch.type) if shared else Place(artifacts, branch.type)
    found = conditions(rest, query.alternatives, place)
    if listing.highest is not None:
        found.append(place.artifact.c.version_key == listing.highest)
    elif query.latest:
        found += _latest(listing, place)
    if shared:
        found = [*_is_shared(artifact_members, artifacts, branch), *found]
    if driver is None:
        if shared:
            joined = artifact_members.join(artifacts, artifacts.c.id == artifact_members.c.artifact_id)
            return _Source(select(artifact_members.c.artifact_id).select_from(joined).where(*found), columns)
        return _Source(select(artifacts.c.id).where(*_in_branch(artifacts, branch), *found), columns)
    rows = _driving(replace(branch, scope=None, part=Part.OWN) if shared else branch, driver)
    if not fixes_value(driver):
        rows = rows.distinct()  # Two elements of a list may be in one range, or among the items.
    values = artifact_values.c
    if branch.part is Part.COMMUNITY:
        found += _in_branch(artifacts, branch)
    key: dict[str, Column] = {"created_at": values.created_at, "id": values.artifact_id}
    if shared:
        rows = rows.join(
            artifact_members,
            and_(artifact_members.c.artifact_id == values.artifact_id, artifact_members.c.project == branch.project),
        )
    if found or not listing.newest_first:
        rows = rows.join(artifacts, artifacts.c.id == values.artifact_id).where(*found)
        key = columns | key
    return _Source(rows, key)


def _driving(branch: Branch, driver: Filter) -> Select[Any]:
    conditions = value_conditions(driver, artifact_values)
    return select(artifact_values.c.artifact_id).where(*_in_branch(artifact_values, branch), *conditions)


def fixes_value(wanted: Filter) -> bool:
    """Whether `artifact_values` has an index of what passes, newest first, each artifact once."""
    return (
        wanted.target in (Target.VALUE, Target.KEY)
        and wanted.operator in (Operator.EQ, Operator.IN)
        and len(wanted.operands) == 1
    )


def _is_indexed(wanted: Filter) -> bool:
    """Whether `artifact_values` has an index of what passes, in another order, or with an artifact more than once."""
    if wanted.target not in (Target.VALUE, Target.KEY) or not wanted.operands:
        return False
    return wanted.operator is Operator.IN or (
        wanted.operator in (Operator.GT, Operator.GTE, Operator.LT, Operator.LTE)
        and VALUE_COLUMNS[wanted.kind] != "string_value"
    )


def _in_branch(table: FromClause, branch: Branch) -> Iterator[Condition]:
    yield table.c.type_name == branch.type.name
    if branch.part is Part.COMMUNITY:
        if table is not artifact_values:
            yield table.c.sharing == Visibility.COMMUNITY.value
            yield table.c.visibility == Visibility.PRIVATE.value
            yield table.c.listed == 1
    elif branch.scope is not None:
        yield table.c.scope == branch.scope
    elif table is not artifact_values:  # What is deleted has no values.
        yield table.c.listed == 1


def _latest(listing: Listing, place: Place) -> Iterator[Condition]:
    """No other artifact of the name that passes has a higher version, in any branch."""
    query = listing.query
    for group in _groups(listing.branches):
        branch = group[0]
        other = artifacts.alias()
        seen: list[Condition]
        columns = other.c
        if branch.part is Part.SHARED:
            members = artifact_members.alias()
            seen = [members.c.type_name == branch.type.name, *_still_shared(members, other)]
            seen.append(members.c.scope.in_(sorted(str(one.scope) for one in group)))
            other_place = Place(_Columns(_shared_columns(members.c, query.microversion), other), branch.type)
            columns = members.c
        else:
            seen = [*_in_branch(other, branch)] if len(group) == 1 else [columns.type_name == branch.type.name]
            if len(group) > 1:
                seen.append(columns.scope.in_(sorted(str(one.scope) for one in group)))
            other_place = Place(other, branch.type)
        yield ~exists().where(
            *seen,
            columns.name == place.artifact.c.name,
            columns.version_key > place.artifact.c.version_key,
            *conditions((*query.filters, *branch.only), query.alternatives, other_place),
        )


def _groups(branches: Sequence[Branch]) -> Iterator[list[Branch]]:
    """Branches that differ in their scopes only, together."""
    found: dict[Any, list[Branch]] = {}
    for branch in branches:
        found.setdefault((branch.type.name, branch.part, branch.only), []).append(branch)
    yield from found.values()


def _is_shared(members: FromClause, table: FromClause, branch: Branch) -> Iterator[Condition]:
    yield members.c.type_name == branch.type.name
    yield members.c.scope == branch.scope
    if branch.part is not Part.SHARED:
        # Where this one is there the others are.
        known = members.c.artifact_activated_at.is_not(None)
        yield known if branch.part is Part.COPIED else ~known
    yield from _still_shared(members, table)


def _still_shared(members: FromClause, table: FromClause) -> Iterator[Condition]:
    """An older release may have published or deleted the artifact, and left its members."""
    yield table.c.id == members.c.artifact_id
    # Nearly all are: said so that no database guesses few, and reads whatever is shared with anybody first.
    shared = and_(table.c.listed == 1, visibility_condition((Visibility.SHARED,), table.c))
    yield case((shared, table.c.listed)).is_not(None)


def _join_value(rows: Select[Any], key: SortKey, source: _Source) -> tuple[Select[Any], Column]:
    values = artifact_values.alias()
    joined = rows.outerjoin(values, and_(values.c.artifact_id == source.columns["id"], values.c.field == key.field))
    return joined, values.c[VALUE_COLUMNS[key.kind]]


class _Columns:
    """The columns of a join by the names that those of `artifacts` have: those in `first`, or the table's."""

    def __init__(self, first: Mapping[str, Column], table: FromClause) -> None:
        self._first, self._table = first, table

    @property
    def c(self) -> Any:
        return self

    def __getitem__(self, name: str) -> Column:
        # `version` is the key in an order, and the text in a condition.
        found = self._first.get(name) if name != "version" else None
        return self._table.c[name] if found is None else found

    __getattr__ = __getitem__


_OWN_COLUMNS: Final[dict[str, Column]] = {
    **{column.name: column for column in artifacts.c},
    "version": artifacts.c.version_key,
}


def _own_columns(microversion: Microversion) -> dict[str, Column]:
    """What orders artifacts, by field."""
    if shown_visibility(Visibility.SHARED, microversion) is Visibility.PRIVATE:
        return _OWN_COLUMNS
    return _SINCE_SHARING


def _shared_columns(members: Any, microversion: Microversion) -> dict[str, Column]:
    """What orders artifacts that are shared with a project: of what its members say too, what they have an index of."""
    return {
        "id": members.artifact_id,
        "name": members.name,
        "version": members.version_key,
        "version_key": members.version_key,
        "owner": members.owner,
        "created_at": members.artifact_created_at,
        "visibility": literal(shown_visibility(Visibility.SHARED, microversion).value),
    }


def _copied_columns(members: Any) -> dict[str, Column]:
    """What may change, and the database keeps in members."""
    return {name: members[f"artifact_{name}"] for name in sorted(_MAY_CHANGE)}


_own = artifacts.c
_SINCE_SHARING: Final[dict[str, Column]] = _OWN_COLUMNS | {
    "visibility": case(
        (_own.visibility == Visibility.PUBLIC.value, _own.visibility),
        else_=func.coalesce(_own.sharing, _own.visibility),
    )
}
