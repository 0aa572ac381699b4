"""Lists: one page of what a caller may see, and how many there are. `glare.db.lists.pages` makes the statements.

Which queries cost the same at every size and page: `docs/reference/list-queries.md`. Every function runs in the
caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, Select, Table, bindparam, func, select, union_all

from glare.db.keys import PUBLIC_SCOPE, member_scope, scope_of
from glare.db.lists import members
from glare.db.lists.filters import ListedType
from glare.db.lists.pages import (
    Branch,
    Listing,
    Marker,
    Part,
    count_statement,
    fixes_value,
    highest_statement,
    marker_statement,
    page_statement,
    probe_statement,
)
from glare.db.rows import fetch_artifacts, may_be_id, visibility_of
from glare.db.tables import artifact_counts, member_counts
from glare.domain.artifact import Artifact, Visibility
from glare.domain.declared.coercion import Kind
from glare.domain.filters import Filter, Operator, Target
from glare.domain.query import NEWEST_FIRST, TYPE_CONSTANTS, ListQuery
from glare.domain.visibility import ListScope, ScopeKind, shown_visibility, visible
from glare.domain.wording import quoted
from glare.errors import ArtifactNotFound

_SPLIT: Final = frozenset(("name", "version", "status", "owner"))
_MOST_ITEMS: Final = 8


@dataclass(frozen=True, slots=True)
class _NoType:
    """The type of a part that is not yet one of a type."""

    name: str = ""
    display_name: str | None = None


_NO_TYPE: Final = _NoType()

FEW: Final = 10_000
"""So many rows are read and sorted in some ten milliseconds."""

RARE: Final = 1000
"""So many artifacts are looked for among what is shared in a few milliseconds."""

_WALKED: Final = 100
"""Where no more are shared with a project, nothing is worth asking before they are read."""


@dataclass(frozen=True, slots=True)
class Ids:
    """The artifacts of one page by their ids. `total` as in `Page`."""

    ids: Sequence[str]
    total: int | None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list. `total` counts all artifacts that pass, None where nobody asked."""

    artifacts: list[Artifact]
    total: int | None


def list_page(
    connection: Connection,
    query: ListQuery,
    scope: ListScope,
    types: Sequence[ListedType],
    *,
    count: bool = True,
    few: int = FEW,
) -> Page:
    """One page of the artifacts of `types` (for `all`, of every enabled type) that `scope` shows.

    As `list_ids`, with the artifacts.
    """
    page = list_ids(connection, query, scope, types, count=count, few=few)
    return Page(fetch_artifacts(connection, page.ids), page.total)


def list_ids(
    connection: Connection,
    query: ListQuery,
    scope: ListScope,
    types: Sequence[ListedType],
    *,
    count: bool = True,
    few: int = FEW,
) -> Ids:
    """Which artifacts are on one page, in their order.

    Raises `ArtifactNotFound` when the marker is no artifact that the scope shows. `count=False` saves the total, which
    costs a count of all that passes unless the list is plain. Up to `few` artifacts that pass one filter are read and
    sorted.
    """
    marker = find_marker(connection, query, scope, types)
    listing = plan(connection, query, scope, types, few=few)
    if not listing.branches:
        return Ids((), 0 if count else None)
    total = _total(connection, listing, scope) if count else None
    if not query.limit:
        return Ids((), total)
    return Ids(connection.execute(page_statement(listing, marker)).scalars().all(), total)


def plan(
    connection: Connection, query: ListQuery, scope: ListScope, types: Sequence[ListedType], *, few: int = FEW
) -> Listing:
    """How to read the list: which branches, and what decides among the ways through the indexes. Without branches it is
    empty.
    """
    query, parts, visibility = _settle_visibility(query, scope)
    query, items = _split_items(query)
    branches = [
        replace(part, type=listed, only=(*part.only, *item)) for listed in types for part in parts for item in items
    ]
    listing = Listing(query, branches, visibility=visibility)
    if not branches:
        return listing
    if query.latest and any(wanted.field == "name" and wanted.operator is Operator.EQ for wanted in query.filters):
        highest = connection.execute(highest_statement(listing)).scalar()
        listing = replace(listing, highest=highest) if highest is not None else replace(listing, branches=())
    if not listing.branches:
        return listing
    rare = _choose_rare(connection, listing)
    return replace(listing, driver=_choose_driver(connection, listing, few), rare=rare)


def _split_items(query: ListQuery) -> tuple[ListQuery, tuple[tuple[Filter, ...], ...]]:
    """``in`` on a base field as one filter by equality for each item, which the indexes know how to answer in order."""
    chosen = next(
        (wanted for wanted in query.filters if wanted.field in _SPLIT and wanted.operator is Operator.IN), None
    )
    if chosen is None or query.latest or not 0 < len(set(chosen.operands)) <= _MOST_ITEMS:
        return query, ((),)
    rest = tuple(wanted for wanted in query.filters if wanted is not chosen)
    items = tuple((replace(chosen, operator=Operator.EQ, operands=(item,)),) for item in dict.fromkeys(chosen.operands))
    return replace(query, filters=rest), items


def _choose_driver(connection: Connection, listing: Listing, few: int) -> Filter | None:
    """The filter by whose values to read, where that touches fewer rows than walking the order.

    Databases guess this from statistics, which SQLite does not have. What few artifacts pass is read and sorted; what
    many pass is soon found on the way along the order.
    """
    drivers = listing.drivers
    # Values have no index of what is shared or for everybody, and artifacts have.
    apart = any(branch.part is Part.COMMUNITY or _excludes_private(branch) for branch in listing.branches)
    if listing.newest_first and len(drivers) == 1 and fixes_value(drivers[0]) and not apart:
        return drivers[0]
    few = min(few, RARE) if apart else few
    counts = [connection.execute(probe_statement(listing, driver, few + 1)).scalar_one() for driver in drivers]
    if counts and min(counts) <= few:
        return drivers[counts.index(min(counts))]
    return next(filter(fixes_value, drivers), None) if listing.newest_first and not apart else None


def _choose_rare(connection: Connection, listing: Listing) -> Filter | None:
    """The filter that fewer artifacts of all pass than are shared with the project. Where few are, these are walked."""
    drivers = listing.drivers
    shared = [branch for branch in listing.branches if branch.part is Part.SHARED]
    if not drivers or not shared:
        return None
    keys = {
        "types": sorted({branch.type.name for branch in shared}),
        "scopes": sorted({str(branch.scope) for branch in shared}),
    }
    with_us = sum(connection.execute(_some_counts(member_counts), keys).scalars())
    if with_us <= _WALKED:
        return None
    most = min(with_us, RARE)
    counts = [connection.execute(probe_statement(listing, driver, most + 1)).scalar_one() for driver in drivers]
    return drivers[counts.index(min(counts))] if min(counts) <= most else None


def _excludes_private(branch: Branch) -> bool:
    return any(wanted.field == "visibility" and Visibility.PRIVATE not in wanted.operands for wanted in branch.only)


def _settle_visibility(query: ListQuery, scope: ListScope) -> tuple[ListQuery, tuple[Branch, ...], Visibility | None]:
    """The query without its filters by visibility, which choose among the parts of the list, those parts, for no type
    yet, and what is shown as the visibility of them all, where it is the same.
    """
    wanted = frozenset(Visibility)
    rest = []
    for condition in query.filters:
        if condition.field == "visibility":
            wanted &= {Visibility(str(operand)) for operand in condition.operands}
        else:
            rest.append(condition)
    shown = {shown_visibility(one, query.microversion) for one in wanted}
    only = next(iter(shown)) if len(shown) == 1 else None
    return replace(query, filters=tuple(rest)), tuple(_parts(query, scope, wanted)), only


def _parts(query: ListQuery, scope: ListScope, wanted: frozenset[Visibility]) -> Iterator[Branch]:
    if scope.kind is ScopeKind.EVERYTHING:
        if wanted:
            yield Branch(_NO_TYPE, None, _only(wanted, frozenset(Visibility)))
        return
    every = wanted & {Visibility.COMMUNITY} if query.shown.community else frozenset()
    twice = None
    if scope.project is not None:
        mine = scope_of(Visibility.PRIVATE, scope.project)
        own = wanted - every - {Visibility.PUBLIC}
        possible = frozenset(Visibility) - {Visibility.PUBLIC}
        if own | every == possible:
            # All that is owned has an order, and all without what is everybody's has none.
            own, twice = possible, Branch(_NO_TYPE, mine, _only(every, possible))
        if own:
            yield Branch(_NO_TYPE, mine, _only(own, possible), owner=scope.project)
        if Visibility.SHARED in wanted:
            for status in query.shown.statuses:
                with_us = member_scope(status, scope.project)
                yield Branch(_NO_TYPE, with_us, (), Part.SHARED, project=scope.project)
    if Visibility.PUBLIC in wanted:
        yield Branch(_NO_TYPE, PUBLIC_SCOPE)
    if every:
        yield Branch(_NO_TYPE, None, (), Part.COMMUNITY, twice=twice)


def _only(wanted: frozenset[Visibility], possible: frozenset[Visibility]) -> tuple[Filter, ...]:
    """What of a part is wanted, where it is not all that the part may have."""
    if wanted == possible:
        return ()
    operands = tuple(one.value for one in Visibility if one in wanted)
    return (Filter("visibility", Kind.STRING, Target.COLUMN, Operator.IN, operands),)


def _shows(connection: Connection, scope: ListScope, artifact_id: str, owner: str, visibility: Visibility) -> bool:
    """Whether who has this scope may see the artifact."""
    if visible(scope, owner, visibility):
        return True
    if visibility is not Visibility.SHARED or scope.project is None:
        return False
    return members.find(connection, artifact_id, scope.project) is not None


def find_marker(
    connection: Connection, query: ListQuery, scope: ListScope, types: Sequence[ListedType]
) -> Marker | None:
    """The sort values of the marker, which may be of any type, and may be deleted as long as it can be shown."""
    marker = query.marker
    if marker is None:
        return None
    row = connection.execute(marker_statement(query, marker)).first() if may_be_id(marker) else None
    shown = row is not None and scope.shows_type(row.type_name)
    if (
        row is None
        or not shown
        or not _shows(connection, scope, marker, row.owner, visibility_of(row.visibility, row.sharing))
    ):
        raise ArtifactNotFound(
            f"Parameter 'marker' is {quoted(marker)}, which is no artifact that you can see; give the id of the last "
            "artifact of the page before, or follow 'next'."
        )
    display_names = {listed.name: listed.display_name for listed in types}
    values: dict[str, Any] = {"type_name": row.type_name, "display_type_name": display_names.get(row.type_name)}
    found = row._mapping
    return values | {key.field: found[f"at_{key.field}"] for key in query.sort if key.field not in TYPE_CONSTANTS}


_ALL_COUNTS = select(func.sum(artifact_counts.c.total)).where(
    artifact_counts.c.type_name.in_(bindparam("types", expanding=True))
)


def _some_counts(table: Table) -> Select[Any]:
    columns = table.c
    return select(columns.total).where(
        columns.type_name.in_(bindparam("types", expanding=True)),
        columns.scope.in_(bindparam("scopes", expanding=True)),
    )


# The scopes of members are no others' scopes: both are digests of different texts.
_COUNTS = union_all(_some_counts(artifact_counts), _some_counts(member_counts)).subquery()
_SOME_COUNTS = select(func.sum(_COUNTS.c.total))


def _total(connection: Connection, listing: Listing, scope: ListScope) -> int:
    apart = [branch for branch in listing.branches if branch.only or branch.part is Part.COMMUNITY]
    if not listing.query.plain:
        return _count(connection, listing)
    counted = _count(connection, replace(listing, branches=apart)) if apart else 0
    branches = [branch for branch in listing.branches if branch not in apart]
    if not branches:
        return counted
    wanted: dict[str, Any] = {"types": sorted({branch.type.name for branch in branches})}
    if scope.kind is ScopeKind.EVERYTHING:
        return counted + int(connection.execute(_ALL_COUNTS, wanted).scalar() or 0)
    wanted["scopes"] = sorted({str(branch.scope) for branch in branches})
    return counted + int(connection.execute(_SOME_COUNTS, wanted).scalar() or 0)


def _count(connection: Connection, listing: Listing) -> int:
    # Any index of what passes one filter beats a look at every artifact, and no order matters.
    driver = listing.driver or next(iter(sorted(listing.drivers, key=fixes_value, reverse=True)), None)
    counted = replace(listing, driver=driver, query=replace(listing.query, sort=NEWEST_FIRST))
    return int(connection.execute(count_statement(counted)).scalar_one())
